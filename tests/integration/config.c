/*
 * config.c - the ready deployments, each as it stands: it starts against brokers named by the environment, becomes ready,
 * moves messages, and drains.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "world.h"

#define MESSAGES 500
#define KEYS 20

static void
arrival_count(void *arg, const struct arrival *arrival)
{
	(void)arrival;
	++*(uint64_t *)arg;
}

/* A port that nobody listens on, a moment ago. */
static void
admin_choose(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char *text;

	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	close(fd);
	text = xf_format("127.0.0.1:%u", ntohs(address.sin_port));
	setenv("CROSSFADE_ADMIN", text, 1);
	free(text);
}

/* Starts config/NAME as it stands, with data of its own. */
static void
deploy(struct world *w, const char *name)
{
	char *config = xf_format("%s/config/%s", XF_SOURCE_DIR, name), *data;

	xf_server_destroy(&w->server);
	w->server = xf_server_create("config");
	data = xf_format("%s/data", xf_server_dir(w->server));
	setenv("CROSSFADE_DATA", data, 1);
	admin_choose();
	xf_server_adopt(w->server, config, data);
	assert_int_equal(XF_CLI(w->server, NULL, "validate"), 0);
	xf_server_start(w->server);
	xf_server_wait_ready(w->server);
	free(config);
	free(data);
}

static int
setup(void **state)
{
	struct world *w;

	world_setup(state);
	w = *state;
	setenv("AMQP_URL", xf_broker_url(w->rabbit), 1);
	setenv("REDIS_URL", xf_broker_url(w->redis), 1);
	setenv("NATS_URL", xf_broker_url(w->nats), 1);
	setenv("RATE", "2000", 1);
	setenv("COUNT", "2000", 1);
	return 0;
}

static void
test_amqp_to_jetstream(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = ledger_create(60, 2 * MESSAGES, KEYS);
	uint64_t old = 0, new;

	deploy(w, "amqp-to-jetstream/crossfade.yaml");
	rabbit_feed(w->queue, "orders.in", ledger, 0, MESSAGES);
	xf_server_wait_settled(w->server, "orders", MESSAGES);
	assert_int_equal(rabbit_count(w->queue, "orders"), MESSAGES);
	assert_int_equal(XF_CLI(w->server, NULL, "migration", "set", "orders", "--percent", "50", "--wait"), 0);
	rabbit_feed(w->queue, "orders.in", ledger, MESSAGES, 2 * MESSAGES);
	xf_server_wait_settled(w->server, "orders", 2 * MESSAGES);
	rabbit_read(w->queue, "orders", arrival_count, &old);
	new = jet_count(w->new, "ORDERS");
	printf("amqp-to-jetstream: %" PRIu64 " in RabbitMQ, %" PRIu64 " in JetStream\n", old, new);
	assert_true(new > 0);
	assert_int_equal(old + new, 2 * MESSAGES);
	assert_int_equal(XF_CLI(w->server, NULL, "migration", "rollback", "orders"), 0);
	assert_int_equal(xf_server_stop(w->server), 0);
	ledger_destroy(&ledger);
}

static void
test_redis_pubsub_to_jetstream(void **state)
{
	static const char payload[] = "{\"id\": 7}";
	struct world *w = *state;
	uint64_t old;

	deploy(w, "redis-pubsub-to-jetstream/crossfade.yaml");
	/* A subject of another form is not the route's. */
	cache_publish(w->old, "in.events.eu", payload, sizeof(payload) - 1, 3);
	assert_int_equal(cache_publish(w->old, "in.events.eu.made", payload, sizeof(payload) - 1, MESSAGES), MESSAGES);
	xf_server_wait_settled(w->server, "events", MESSAGES);
	assert_int_equal(xf_server_number(w->server, "/api/v1/migrations/events", "sides.old.confirmed"), MESSAGES);
	old = (uint64_t)xf_server_number(w->server, "/api/v1/migrations/events", "sides.old.no_receiver");
	assert_int_equal(old, MESSAGES); /* nobody is subscribed to events.eu.made here */
	assert_int_equal(XF_CLI(w->server, NULL, "migration", "set", "events", "--percent", "100", "--wait"), 0);
	cache_publish(w->old, "in.events.eu.made", payload, sizeof(payload) - 1, MESSAGES);
	xf_server_wait_number(w->server, "/api/v1/migrations/events", "sides.new.confirmed", MESSAGES);
	assert_int_equal(jet_count(w->new, "EVENTS"), MESSAGES);
	assert_int_equal(xf_server_stop(w->server), 0);
}

static void
test_rabbitmq_backlog(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = ledger_create(61, MESSAGES, KEYS);
	struct ledger_sum sum;

	rabbit_declare(w->queue, "backlog");
	rabbit_feed(w->queue, "backlog", ledger, 0, MESSAGES);
	deploy(w, "rabbitmq-backlog/crossfade.yaml");
	xf_server_wait_settled(w->server, "backlog", MESSAGES);
	jet_read(w->new, "BACKLOG", side_arrived, &(struct side){ledger, NEW});
	sum = ledger_sum(ledger);
	ledger_print("rabbitmq-backlog", &sum);
	assert_int_equal(sum.here[NEW], MESSAGES);
	assert_int_equal(sum.corrupted + sum.unexpected + sum.reordered[NEW] + sum.duplicates[NEW], 0);
	assert_int_equal(rabbit_count(w->queue, "backlog"), 0);
	assert_int_equal(xf_server_stop(w->server), 0);
	ledger_destroy(&ledger);
}

/* The generator's own ledger, once everything has arrived while the share turned. */
static void
quickstart_check(struct world *w, const char *title)
{
	static const char report[] = "/api/v1/transports/load";
	static const char *const shares[] = {"25", "50", "100"};

	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++)
		assert_int_equal(XF_CLI(w->server, NULL, "migration", "set", "demo", "--percent", shares[i]), 0);
	xf_server_wait_number(w->server, report, "report.finished", 1);
	xf_server_wait_number(w->server, report, "report.received", 2000);
	printf("%s: sent %.0f, old %.0f, new %.0f\n", title, xf_server_number(w->server, report, "report.sent"),
	       xf_server_number(w->server, report, "report.sides.old.received"),
	       xf_server_number(w->server, report, "report.sides.new.received"));
	assert_int_equal(xf_server_number(w->server, report, "report.sent"), 2000);
	assert_int_equal(xf_server_number(w->server, report, "report.lost"), 0);
	assert_int_equal(xf_server_number(w->server, report, "report.reordered"), 0);
	assert_int_equal(xf_server_number(w->server, report, "report.duplicates"), 0);
	assert_int_equal(xf_server_number(w->server, report, "report.on_both_sides"), 0);
	assert_int_equal(xf_server_stop(w->server), 0);
}

static void
test_quickstart(void **state)
{
	deploy(*state, "quickstart/crossfade.yaml");
	quickstart_check(*state, "quickstart");
}

static void
test_quickstart_brokers(void **state)
{
	deploy(*state, "quickstart/brokers.yaml");
	quickstart_check(*state, "quickstart with brokers");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quickstart),       cmocka_unit_test(test_quickstart_brokers),
		cmocka_unit_test(test_amqp_to_jetstream), cmocka_unit_test(test_redis_pubsub_to_jetstream),
		cmocka_unit_test(test_rabbitmq_backlog),
	};

	return cmocka_run_group_tests(tests, setup, world_teardown);
}
