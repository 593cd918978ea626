/*
 * config.c - the ready deployments beside those of config_pairs.c, each as it stands: it starts against brokers named by
 * the environment, becomes ready, does what its opening comment says, and drains.
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
#include "base/memory.h"
#include "deploy.h"
#include "http_client.h"

#define MESSAGES 500
#define KEYS 20

#define EVENTS "/api/v1/migrations/events"
#define ORDERS "/api/v1/migrations/orders"

static const struct place channel = {PLACE_CHANNEL, "events.made", NULL};
static const struct place channel_in = {PLACE_CHANNEL, "in.events.made", NULL};
static const struct place events = {PLACE_SUBJECT, "events.made", "EVENTS"};
static const struct place queue_in = {PLACE_QUEUE, "orders.in", NULL};
static const struct place queue = {PLACE_QUEUE, "orders", NULL};
static const struct place work = {PLACE_QUEUE, "orders.work", NULL};
static const struct place stream = {PLACE_STREAM, "orders", NULL};
static const struct place subject = {PLACE_SUBJECT, "orders.placed", "ORDERS"};

static struct ledger *
book_create(uint32_t producer, uint32_t count)
{
	struct ledger *ledger = ledger_create(producer, count, KEYS);

	ledger_json(ledger);
	return ledger;
}

/* What consumers of PLACE see, as the old side of LEDGER, which forgets all else. */
static struct ledger_sum
place_sum(struct world *w, const struct place *place, struct cache **attached, struct ledger *ledger)
{
	struct ledger_sum sum;

	ledger_reset(ledger);
	place_read(w, place, attached, side_arrived, &(struct side){ledger, OLD});
	sum = ledger_sum(ledger);
	ledger_print(place->name, &sum);
	assert_int_equal(sum.corrupted + sum.unexpected + sum.reordered[OLD], 0);
	assert_int_equal(sum.duplicates[OLD] + sum.copies_again[OLD], 0);
	return sum;
}

/* Every message once, and no copies. */
static void
check_whole(struct world *w, const struct place *place, struct cache **attached, struct ledger *ledger, uint64_t count)
{
	struct ledger_sum sum = place_sum(w, place, attached, ledger);

	assert_int_equal(sum.here[OLD], count);
	assert_int_equal(sum.copies[OLD], 0);
}

/* Every message once, as a copy. */
static void
check_copied(struct world *w, const struct place *place, struct ledger *ledger, uint64_t count)
{
	struct ledger_sum sum = place_sum(w, place, NULL, ledger);

	assert_int_equal(sum.here[OLD], 0);
	assert_int_equal(sum.copies[OLD], count);
}

#define STEER(w, ...) XF_CLI_DONE((w)->server, "migration", __VA_ARGS__)

/* ---- In place ------------------------------------------------------------------------------------ */

/* Producers and subscribers notice nothing, JetStream gets copies; then the next file takes over. */
static void
test_pubsub_in_place(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = book_create(60, MESSAGES), *later = book_create(61, MESSAGES);
	struct cache *attached;
	struct ledger_sum sum;

	deploy_clear(w);
	attached = place_attach(w, &channel);
	deploy(w, "redis-pubsub-to-jetstream/in-place.yaml");
	place_feed(w, &channel, ledger, 0, MESSAGES);
	xf_server_wait_settled(w->server, "events", MESSAGES);
	check_whole(w, &channel, &attached, ledger, MESSAGES);
	check_copied(w, &events, ledger, MESSAGES);
	assert_int_equal(XF_CLI(w->server, NULL, "migration", "set", "events", "--percent", "5"), 1);

	deploy_next(w, "redis-pubsub-to-jetstream/crossfade.yaml");
	STEER(w, "set", "events", "--percent", "100", "--mirror", "off", "--wait", "--timeout", "1m");
	place_feed(w, &channel_in, later, 0, MESSAGES);
	xf_server_wait_settled(w->server, "events", MESSAGES);
	jet_read(w->new, "EVENTS", side_arrived, &(struct side){later, NEW});
	sum = ledger_sum(later);
	assert_int_equal(sum.here[NEW], MESSAGES);
	assert_int_equal(sum.unexpected, MESSAGES); /* those that were copied */
	assert_int_equal(sum.corrupted + sum.copies[NEW] + sum.reordered[NEW] + sum.duplicates[NEW], 0);
	assert_int_equal(xf_server_stop(w->server), 0);
	ledger_destroy(&ledger);
	ledger_destroy(&later);
}

/* From the first entry on, and on where it was after a restart. */
static void
test_stream_in_place(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = book_create(62, 3 * MESSAGES);

	deploy_clear(w);
	place_feed(w, &stream, ledger, 0, MESSAGES);
	deploy(w, "redis-stream-to-jetstream/in-place.yaml");
	place_feed(w, &stream, ledger, MESSAGES, 2 * MESSAGES);
	xf_server_wait_settled(w->server, "orders", 2 * MESSAGES);
	assert_int_equal(xf_server_stop(w->server), 0);
	place_feed(w, &stream, ledger, 2 * MESSAGES, 3 * MESSAGES);
	xf_server_start(w->server);
	xf_server_wait_settled(w->server, "orders", MESSAGES);
	check_copied(w, &subject, ledger, 3 * MESSAGES);
	assert_int_equal(cache_number(w->old, "XLEN orders"), 3 * MESSAGES);
	assert_int_equal(xf_server_stop(w->server), 0);
	ledger_destroy(&ledger);
}

/* ---- Plain routes ---------------------------------------------------------------------------------- */

static void
test_backlog(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = book_create(63, MESSAGES);

	deploy_clear(w);
	rabbit_declare(w->queue, queue.name);
	place_feed(w, &queue, ledger, 0, MESSAGES);
	deploy(w, "amqp-to-jetstream/backlog.yaml");
	xf_server_wait_settled(w->server, "backlog", MESSAGES);
	check_whole(w, &subject, NULL, ledger, MESSAGES);
	assert_int_equal(xf_server_stop(w->server), 0);
	assert_int_equal(rabbit_count(w->queue, queue.name), 0);
	ledger_destroy(&ledger);
}

/* All three have everything, though one was away. */
static void
test_dual_publish(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = book_create(64, 2 * MESSAGES);

	deploy_clear(w);
	deploy(w, "dual-publish/crossfade.yaml");
	place_feed(w, &queue_in, ledger, 0, MESSAGES);
	xf_server_wait_settled(w->server, "orders", MESSAGES);
	xf_broker_stop(w->nats);
	place_feed(w, &queue_in, ledger, MESSAGES, 2 * MESSAGES);
	xf_server_wait_string(w->server, "/api/v1/routes/orders", "sinks.1.state", "down");
	assert_int_equal((int)xf_server_number(w->server, "/api/v1/routes/orders", "acked"), MESSAGES);
	xf_broker_restart(w->nats);
	xf_server_wait_settled(w->server, "orders", 2 * MESSAGES);
	world_reopen(w);
	check_whole(w, &queue, NULL, ledger, 2 * MESSAGES);
	check_whole(w, &subject, NULL, ledger, 2 * MESSAGES);
	check_whole(w, &stream, NULL, ledger, 2 * MESSAGES);
	assert_int_equal(xf_server_stop(w->server), 0);
	ledger_destroy(&ledger);
}

/* ---- Merged consumers ------------------------------------------------------------------------------ */

/* Refused while what stood on a side before the last change is still being read. */
static void
steer_merged(struct world *w, const char *percent)
{
	uint64_t until = xf_now_ms() + XF_WAIT_MS;

	while (XF_CLI(w->server, NULL, "migration", "set", "orders", "--percent", percent) != 0 && xf_now_ms() < until)
		usleep(100000);
	STEER(w, "set", "orders", "--percent", percent, "--wait", "--timeout", "1m");
}

/* While the share goes up and back, the one queue has each order once, and those of a customer in order. */
static void
test_merged_consumers(void **state)
{
	static const char *const shares[] = {"50", "100", "0"};
	struct world *w = *state;
	struct ledger *ledger = book_create(65, 4 * MESSAGES);
	uint32_t fed = MESSAGES;

	deploy_clear(w);
	deploy(w, "merged-consumers/crossfade.yaml");
	place_feed(w, &queue_in, ledger, 0, MESSAGES);
	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++, fed += MESSAGES) {
		steer_merged(w, shares[i]);
		place_feed(w, &queue_in, ledger, fed, fed + MESSAGES);
	}
	xf_server_wait_settled(w->server, "orders", fed);
	xf_server_wait_settled(w->server, "work", fed);
	assert_true(xf_server_number(w->server, ORDERS, "sides.new.confirmed") >= MESSAGES);
	check_whole(w, &work, NULL, ledger, fed);
	assert_int_equal(rabbit_count(w->queue, "orders"), 0);
	/* Copies are read, too, and go no further. */
	STEER(w, "set", "orders", "--mirror", "required");
	ledger_destroy(&ledger);
	ledger = book_create(66, MESSAGES);
	place_feed(w, &queue_in, ledger, 0, MESSAGES);
	xf_server_wait_settled(w->server, "orders", fed + MESSAGES);
	xf_server_wait_number(w->server, "/api/v1/routes/work", "copies", MESSAGES);
	xf_server_wait_settled(w->server, "work", fed + MESSAGES);
	check_whole(w, &work, NULL, ledger, MESSAGES);
	assert_int_equal(xf_server_stop(w->server), 0);
	ledger_destroy(&ledger);
}

/* ---- HTTP front ------------------------------------------------------------------------------------ */

static void
orders_post(int fd, const struct ledger *ledger, uint32_t first, uint32_t end)
{
	for (uint32_t number = first; number < end; number++) {
		char payload[LEDGER_PAYLOAD], id[32], key[16];
		char *headers;

		ledger_message(ledger, number, payload, id, key);
		headers = xf_format("Message-Id: %s\r\nkey: %s\r\n", id, key);
		http_post(fd, "/publish/orders.placed", headers, payload, sizeof(payload));
		http_expect(fd, 202, id);
		free(headers);
	}
}

struct question {
	char *reply;
	uint64_t seen;
};

static void
question_note(void *arg, const struct arrival *arrival)
{
	struct question *question = arg;

	question->seen++;
	free(question->reply);
	question->reply = arrival->reply != NULL ? xf_strdup(arrival->reply) : NULL;
}

/* A service that reads the stream of questions: answers the latest of COUNT. */
static void
redis_answer(struct world *w, uint64_t count, const char *answer)
{
	struct question question = {0};
	uint64_t until = xf_now_ms() + XF_WAIT_MS;

	while (question.seen < count && xf_now_ms() < until) {
		question.seen = 0;
		cache_read(w->old, "ask", question_note, &question);
		usleep(10000);
	}
	assert_int_equal(question.seen, count);
	assert_non_null(question.reply);
	assert_int_equal(cache_publish(w->old, question.reply, answer, strlen(answer), 1), 1);
	free(question.reply);
}

#define ASK "/request/ask.price?timeout=20s"

static void
test_http_front(void **state)
{
	static const char payload[] = "{\"article\": 17}";
	struct world *w = *state;
	struct ledger *ledger = book_create(67, 3 * MESSAGES / 5);
	struct ledger_sum sum;
	struct ears *ears;
	unsigned port = port_choose();
	char *listen = xf_format("127.0.0.1:%u", port);
	int fd;

	deploy_clear(w);
	setenv("HTTP_LISTEN", listen, 1);
	deploy(w, "http-front/crossfade.yaml");
	fd = http_connect(port);
	orders_post(fd, ledger, 0, MESSAGES / 5);
	STEER(w, "set", "orders", "--percent", "100", "--wait", "--timeout", "1m");
	orders_post(fd, ledger, MESSAGES / 5, 2 * MESSAGES / 5);
	STEER(w, "rollback", "orders");
	orders_post(fd, ledger, 2 * MESSAGES / 5, 3 * MESSAGES / 5);
	place_read(w, &stream, NULL, side_arrived, &(struct side){ledger, OLD});
	place_read(w, &subject, NULL, side_arrived, &(struct side){ledger, NEW});
	sum = ledger_sum(ledger);
	ledger_print("http-front", &sum);
	assert_int_equal(sum.here[OLD], 2 * MESSAGES / 5);
	assert_int_equal(sum.here[NEW], MESSAGES / 5);
	assert_int_equal(sum.lost + sum.both + sum.corrupted + sum.unexpected, 0);
	assert_int_equal(sum.reordered[OLD] + sum.reordered[NEW] + sum.across, 0);

	http_post(fd, ASK, "", payload, sizeof(payload) - 1);
	redis_answer(w, 1, "it costs 3");
	http_expect(fd, 200, "it costs 3");
	ears = jet_listen(w->new, "ask.price");
	STEER(w, "set", "ask", "--percent", "100", "--wait", "--timeout", "1m");
	http_post(fd, ASK, "", payload, sizeof(payload) - 1);
	jet_answer(w->new, ears, "it costs 4");
	http_expect(fd, 200, "it costs 4");
	STEER(w, "rollback", "ask");
	http_post(fd, ASK, "", payload, sizeof(payload) - 1);
	redis_answer(w, 2, "it costs 5");
	http_expect(fd, 200, "it costs 5");
	close(fd);
	ears_close(&ears);
	assert_int_equal(xf_server_stop(w->server), 0);
	ledger_destroy(&ledger);
	free(listen);
}

/* ---- The quickstart -------------------------------------------------------------------------------- */

/* The generator's own ledger, once everything has arrived while the share turned. */
static void
quickstart_check(struct world *w, const char *file)
{
	static const char report[] = "/api/v1/transports/load";
	static const char *const shares[] = {"25", "50", "100"};

	deploy_clear(w);
	setenv("RATE", "2000", 1);
	setenv("COUNT", "2000", 1);
	deploy(w, file);
	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++)
		STEER(w, "set", "demo", "--percent", shares[i]);
	xf_server_wait_number(w->server, report, "report.finished", 1);
	xf_server_wait_number(w->server, report, "report.received", 2000);
	printf("%s: sent %.0f, old %.0f, new %.0f\n", file, xf_server_number(w->server, report, "report.sent"),
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
	quickstart_check(*state, "quickstart/crossfade.yaml");
}

static void
test_quickstart_brokers(void **state)
{
	quickstart_check(*state, "quickstart/brokers.yaml");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quickstart),       cmocka_unit_test(test_quickstart_brokers),
		cmocka_unit_test(test_pubsub_in_place),  cmocka_unit_test(test_stream_in_place),
		cmocka_unit_test(test_backlog),          cmocka_unit_test(test_dual_publish),
		cmocka_unit_test(test_merged_consumers), cmocka_unit_test(test_http_front),
	};

	return cmocka_run_group_tests(tests, deploy_setup, world_teardown);
}
