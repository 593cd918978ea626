/*
 * migration_brokers.c - plain routes whose broker goes away under load and comes back, or lacks a queue or a stream: the
 * source is held back, and nothing is lost.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "world.h"

#define MESSAGES (40000 / XF_SCALE)
#define KEYS 200
#define IN_FLIGHT 1000
#define PROBES 64 /* what a plugin sends at most to see whether a missing queue or stream is there */

/* All brokers, and one route from FROM to TO whose key is the header `key`. */
static void
route_configure(struct world *w, const char *from, const char *to)
{
	xf_server_configure(w->server, "",
	                    "transports:\n"
	                    "  rabbit: {plugin: amqp, url: \"%s\", heartbeat: 2s}\n"
	                    "  redis: {plugin: redis, url: \"%s\", timeout: 2s, heartbeat: 1s}\n"
	                    "  nats: {plugin: nats, url: \"%s\", ping_interval: 1s, publish_timeout: 2s}\n"
	                    "routes:\n"
	                    "  - {name: %s, from: {%s}, to: {%s}, key: \"{header.key}\", max_in_flight: %d}\n",
	                    xf_broker_url(w->rabbit), xf_broker_url(w->redis), xf_broker_url(w->nats), w->name, from, to,
	                    IN_FLIGHT);
}

/* Kills BROKER in the middle of MESSAGES, leaves it away for a second, and waits for the end. */
static void
broker_dies(struct world *w, struct xf_broker *broker)
{
	uint64_t begin, back;
	double acked;

	xf_server_wait_number(w->server, w->route, "acked", MESSAGES / 4.0);
	xf_broker_kill(broker);
	xf_server_wait_string(w->server, w->route, "sinks.0.state", "down");
	usleep(500000);
	acked = world_route_number(w, "acked");
	usleep(500000);
	assert_true(world_route_number(w, "acked") == acked);
	assert_true(acked < MESSAGES);
	assert_true(world_route_number(w, "in_flight") <= IN_FLIGHT);
	xf_broker_restart(broker);
	begin = xf_now_ms();
	xf_server_wait_number(w->server, w->route, "acked", acked + 1);
	back = xf_now_ms() - begin;
	xf_server_wait_settled(w->server, w->name, MESSAGES);
	printf("%s: first message settled %" PRIu64 " ms after the broker's return, reconnects %.0f, offered again %.0f\n", w->name,
	       back, world_route_number(w, "sinks.0.reconnects"), world_route_number(w, "sinks.0.retried"));
}

/* All on side OLD of the ledger. */
static struct ledger_sum
check_all_there(const struct ledger *ledger, const char *title)
{
	struct ledger_sum sum = ledger_sum(ledger);

	ledger_print(title, &sum);
	assert_int_equal(sum.here[OLD], MESSAGES);
	assert_int_equal(sum.lost + sum.corrupted + sum.unexpected, 0);
	return sum;
}

/* And in order by first appearance. */
static void
check_in_order(const struct ledger *ledger, const char *title)
{
	struct ledger_sum sum = check_all_there(ledger, title);

	assert_int_equal(sum.reordered[OLD], 0);
}

static void
test_redis_dies(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = ledger_create(40, MESSAGES, KEYS);

	world_begin(w, "rediskill");
	route_configure(w, "transport: rabbit, queue: rediskill.in", "transport: redis, mode: stream, subject: rediskill");
	rabbit_feed(w->queue, w->in, ledger, 0, MESSAGES);
	xf_server_start(w->server);
	broker_dies(w, w->redis);
	world_reopen(w);
	cache_read(w->old, w->name, side_arrived, &(struct side){ledger, OLD});
	check_in_order(ledger, "Redis killed under load");
	assert_int_equal(rabbit_count(w->queue, w->in), 0);
	assert_int_equal(xf_server_stop(w->server), 0);
	ledger_destroy(&ledger);
}

static void
test_nats_dies(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = ledger_create(41, MESSAGES, KEYS);
	struct ledger_sum sum;

	world_begin(w, "natskill");
	jet_create(w->new, w->name, "natskill");
	route_configure(w, "transport: rabbit, queue: natskill.in", "transport: nats, subject: natskill");
	rabbit_feed(w->queue, w->in, ledger, 0, MESSAGES);
	xf_server_start(w->server);
	broker_dies(w, w->nats);
	world_reopen(w);
	jet_read(w->new, w->name, side_arrived, &(struct side){ledger, OLD});
	check_in_order(ledger, "NATS killed under load");
	sum = ledger_sum(ledger);
	assert_int_equal(sum.duplicates[OLD], 0); /* within its window the stream stores an id once */
	assert_int_equal(rabbit_count(w->queue, w->in), 0);
	assert_int_equal(xf_server_stop(w->server), 0);
	ledger_destroy(&ledger);
}

static void
test_rabbit_dies(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = ledger_create(42, MESSAGES, KEYS);

	world_begin(w, "rabbitkill");
	rabbit_declare(w->queue, "rabbitkill.out");
	rabbit_close(&w->queue);
	xf_broker_ripen(w->rabbit);
	route_configure(w, "transport: redis, mode: stream, subject: rabbitkill",
	                "transport: rabbit, subject: rabbitkill.out");
	cache_feed(w->old, w->name, ledger, 0, MESSAGES);
	xf_server_start(w->server);
	broker_dies(w, w->rabbit);
	w->queue = rabbit_open(xf_broker_url(w->rabbit));
	rabbit_read(w->queue, "rabbitkill.out", side_arrived, &(struct side){ledger, OLD});
	check_in_order(ledger, "RabbitMQ killed under load");
	assert_int_equal(cache_number(w->old, "XLEN rabbitkill"), MESSAGES);
	assert_int_equal(xf_server_stop(w->server), 0);
	ledger_destroy(&ledger);
}

/* The one exception of the default order: what was under way together with messages that the broker refused for the
 * moment may land before them. No more than that. */
static void
check_late(const struct ledger *ledger, const char *title)
{
	struct ledger_sum sum = check_all_there(ledger, title);

	assert_true(sum.reordered[OLD] <= PROBES);
}

/* A name that leads nowhere holds everything up, and says why, until it leads somewhere. */
static void
missing(struct world *w, const char *reason)
{
	xf_server_wait_string(w->server, w->route, "sinks.0.state", "blocked");
	xf_server_wait_string(w->server, w->route, "sinks.0.reason", reason);
	xf_server_wait_string(w->server, w->route, "reason", reason);
	assert_int_equal(xf_server_request(w->server, "GET", "/healthz", NULL, NULL), 503);
	assert_int_equal(world_route_number(w, "acked"), 0);
	assert_int_equal(world_route_number(w, "rejected"), 0);
}

static void
test_missing_queue(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = ledger_create(43, MESSAGES, KEYS);
	struct xf_buffer text = {0};

	world_begin(w, "noqueue");
	route_configure(w, "transport: redis, mode: stream, subject: noqueue", "transport: rabbit, subject: noqueue.out");
	cache_feed(w->old, w->name, ledger, 0, MESSAGES);
	xf_server_start(w->server);
	missing(w, "no queue 'noqueue.out'");
	assert_int_equal(XF_CLI(w->server, &text, "status"), 0);
	assert_non_null(strstr(text.data, "noqueue.out"));
	xf_buffer_fini(&text);
	rabbit_declare(w->queue, "noqueue.out");
	xf_server_wait_settled(w->server, w->name, MESSAGES);
	xf_server_wait_string(w->server, w->route, "sinks.0.state", "up");
	rabbit_read(w->queue, "noqueue.out", side_arrived, &(struct side){ledger, OLD});
	check_late(ledger, "queue made late");
	assert_int_equal(xf_server_stop(w->server), 0);
	ledger_destroy(&ledger);
}

static void
test_missing_stream(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = ledger_create(44, MESSAGES, KEYS);

	world_begin(w, "nostream");
	route_configure(w, "transport: rabbit, queue: nostream.in", "transport: nats, subject: nostream");
	rabbit_feed(w->queue, w->in, ledger, 0, MESSAGES);
	xf_server_start(w->server);
	missing(w, "nostream");
	jet_create(w->new, w->name, "nostream");
	xf_server_wait_settled(w->server, w->name, MESSAGES);
	xf_server_wait_string(w->server, w->route, "sinks.0.state", "up");
	jet_read(w->new, w->name, side_arrived, &(struct side){ledger, OLD});
	check_late(ledger, "stream made late");
	assert_int_equal(rabbit_count(w->queue, w->in), 0);
	assert_int_equal(xf_server_stop(w->server), 0);
	ledger_destroy(&ledger);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_redis_dies),   cmocka_unit_test(test_nats_dies),      cmocka_unit_test(test_missing_queue),
		cmocka_unit_test(test_missing_stream), cmocka_unit_test(test_rabbit_dies),
	};

	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
