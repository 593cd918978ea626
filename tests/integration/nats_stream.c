/*
 * nats_stream.c - the nats plugin against a real server: what is stored, told and given back when things go
 * wrong.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker.h"
#include "harness.h"
#include "wait.h"

#define WAIT_MS XF_WAIT_MS

struct bench {
	struct xf_broker *broker;
	char url[128];
};

static int
setup(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	bench->broker = xf_broker_start("nats", NULL);
	snprintf(bench->url, sizeof(bench->url), "url=%s", xf_broker_url(bench->broker));
	*state = bench;
	return 0;
}

static int
teardown(void **state)
{
	struct bench *bench = *state;

	xf_broker_destroy(&bench->broker);
	free(bench);
	return 0;
}

#define ORDERS(bench)                                                                                                  \
	OPTIONS((bench)->url, "ping_interval=1s", "publish_timeout=2s", "streams[0].name=ORDERS",                          \
	        "streams[0].subjects=orders.>")

static struct xf_str
str(const char *text)
{
	return (struct xf_str){text, strlen(text)};
}

static size_t
publish(struct harness_endpoint *sink, const char *subject, unsigned number)
{
	char id[32], payload[64];
	struct xf_header headers[] = {{str("Crossfade-Hops"), str("1")}, {str("X-Color"), str("red")}};
	struct xf_outgoing message = {.subject = str(subject), .headers = headers, .header_count = 2};

	snprintf(id, sizeof(id), "id-%u", number);
	snprintf(payload, sizeof(payload), "payload %u", number);
	message.id = message.dedup_id = str(id);
	message.payload = payload;
	message.payload_size = strlen(payload);
	message.content_type = str("text/plain");
	message.reply = str("answers.here");
	return harness_publish(sink, &message);
}

/* Offers again what was not stored, until everything is. Returns how many were told to be duplicates. */
static size_t
publish_until_stored(struct harness_endpoint *sink, size_t first, size_t count)
{
	size_t *token = malloc(count * sizeof(*token)), i, left = count, duplicates = 0;
	uint64_t until = harness_now_ms() + 30000;

	for (i = 0; i < count; i++)
		token[i] = first + i;
	while (left > 0) {
		assert_true(harness_now_ms() < until);
		assert_true(harness_wait_completed(sink, harness_published(sink), WAIT_MS));
		for (i = 0, left = 0; i < count; i++) {
			struct harness_result result = harness_result(sink, token[i]);

			if (result.code == XF_RESULT_STORED)
				continue;
			assert_int_not_equal(result.code, XF_RESULT_REJECTED);
			token[i] = harness_republish(sink, token[i]);
			left++;
		}
		harness_sleep_ms(50);
	}
	for (i = 0; i < count; i++)
		duplicates += harness_result(sink, token[i]).flags & XF_RESULT_DUPLICATE ? 1 : 0;
	free(token);
	return duplicates;
}

static void
test_round_trip(void **state)
{
	struct bench *bench = *state;
	struct harness *harness = harness_open("nats", ORDERS(bench));
	struct harness_endpoint *sink = harness_sink(harness, "r/to", NULL, NULL);
	struct harness_endpoint *source = harness_source(harness, "r/from", "orders.>", NULL);
	const struct harness_message *message;
	struct xf_outgoing plain = {0};
	char subject[64];
	unsigned i;

	assert_true(harness_wait_state(sink, XF_STATE_UP, WAIT_MS));
	for (i = 0; i < 10000; i++) {
		snprintf(subject, sizeof(subject), "orders.%u", i % 7);
		publish(sink, subject, i);
	}
	assert_true(harness_wait_completed(sink, 10000, WAIT_MS));
	assert_int_equal(harness_completed_as(sink, XF_RESULT_STORED), 10000);
	assert_true(harness_wait_received(source, 4096, WAIT_MS));
	harness_settle_auto(source, XF_SETTLE_ACK, true);
	harness_settle_range(source, 0, 4096, XF_SETTLE_ACK);
	assert_true(harness_wait_received(source, 10000, WAIT_MS));
	for (i = 0; i < 10000; i++) {
		char id[32], payload[64];

		message = harness_message(source, i);
		snprintf(id, sizeof(id), "id-%u", i);
		snprintf(payload, sizeof(payload), "payload %u", i);
		snprintf(subject, sizeof(subject), "orders.%u", i % 7);
		assert_string_equal(message->in.id.data, id);
		assert_string_equal(message->in.subject.data, subject);
		assert_int_equal(message->in.payload_size, strlen(payload));
		assert_memory_equal(message->in.payload, payload, strlen(payload));
		assert_string_equal(message->in.content_type.data, "text/plain");
		assert_string_equal(message->in.reply.data, "answers.here");
		assert_string_equal(harness_header(message, "X-Color"), "red");
		assert_null(harness_header(message, "Nats-Msg-Id"));
		assert_int_equal(message->in.attempt, 1);
		assert_int_equal(message->in.flags, 0);
		assert_true(message->in.time_ms > 1000000000000);
	}

	/* Stored once within the window, and told so; without an id it has its place in the stream for one.
	 * */
	publish(sink, "orders.1", 5);
	plain.subject = str("orders.plain");
	harness_publish(sink, &plain);
	assert_true(harness_wait_completed(sink, 10002, WAIT_MS));
	assert_int_equal(harness_result(sink, 10000).flags, XF_RESULT_DUPLICATE);
	assert_true(harness_wait_received(source, 10001, WAIT_MS));
	message = harness_message(source, 10000);
	assert_string_equal(message->in.id.data, "ORDERS:10001");
	assert_int_equal(message->in.payload_size, 0);
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&harness);
}

static void
test_settlements(void **state)
{
	struct bench *bench = *state;
	struct harness *harness = harness_open("nats", ORDERS(bench));
	struct harness_endpoint *sink = harness_sink(harness, "r/to", NULL, NULL);
	struct harness_endpoint *source = harness_source(harness, "r/from", "orders.>",
	                                                 OPTIONS("ack_wait=2s"));
	const struct harness_message *message = NULL;
	uint64_t begin, now, last, longest = 0;
	size_t count;
	unsigned i;

	for (i = 0; i < 4; i++)
		publish(sink, "orders.a", i);
	assert_true(harness_wait_received(source, 4, WAIT_MS));
	begin = last = harness_now_ms();
	harness_settle(source, 0, XF_SETTLE_ACK, 0);
	harness_settle(source, 1, XF_SETTLE_RETRY, 500);
	harness_settle(source, 2, XF_SETTLE_REJECT, 0);
	/* 3 is kept by saying so, for twice as long as it would be otherwise; 1 comes again once its delay is over. */
	do {
		harness_settle(source, 3, XF_SETTLE_EXTEND, 0);
		if (message == NULL && (message = harness_message(source, 4)) != NULL) {
			assert_true(harness_now_ms() >= begin + 400);
			harness_settle(source, 4, XF_SETTLE_ACK, 0);
		}
		harness_sleep_ms(200);
		now = harness_now_ms();
		longest = now - last > longest ? now - last : longest;
		last = now;
		assert_true(now < begin + WAIT_MS);
	} while (message == NULL || now < begin + 4000);
	count = harness_received(source);
	/* A machine that stood still for so long did not say so in time. */
	if (longest < 1000) {
		assert_int_equal(count, 5);
		assert_string_equal(message->in.id.data, "id-1");
		assert_int_equal(message->in.attempt, 2);
		assert_int_equal(message->in.flags, XF_MESSAGE_REDELIVERED);
	}
	/* Left alone it comes again. */
	assert_true(harness_wait_received(source, count + 1, WAIT_MS));
	assert_string_equal(harness_message(source, count)->in.id.data, "id-3");
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&harness);
}

static void
test_sizes(void **state)
{
	static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 65536, 262144, 300000, 900000};
	struct bench *bench = *state;
	struct harness *harness = harness_open("nats", ORDERS(bench));
	struct harness_endpoint *sink = harness_sink(harness, "r/to", NULL, NULL);
	struct harness_endpoint *source = harness_source(harness, "r/from", "orders.>", NULL);
	char *payload = malloc(1 << 21);
	struct xf_outgoing message = {.subject = str("orders.big"), .payload = payload};
	size_t i, round, count = 0;

	harness_window(source, 4096, 1000000);
	harness_settle_auto(source, XF_SETTLE_ACK, true);
	for (i = 0; i < 1 << 21; i++)
		payload[i] = (char)(i * 31 + i / 977);
	for (round = 0; round < 20; round++) {
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++, count++) {
			message.payload_size = sizes[i];
			harness_publish(sink, &message);
		}
	}
	assert_true(harness_wait_completed(sink, count, WAIT_MS));
	assert_int_equal(harness_completed_as(sink, XF_RESULT_STORED), count);
	assert_true(harness_wait_received(source, count, WAIT_MS));
	for (i = 0; i < count; i++) {
		const struct harness_message *got = harness_message(source, i);

		assert_int_equal(got->in.payload_size, sizes[i % (sizeof(sizes) / sizeof(sizes[0]))]);
		assert_memory_equal(got->in.payload, payload, got->in.payload_size);
	}
	/* One too large for the server, and names that are the server's own, cost only themselves. */
	message.payload_size = 1 << 20;
	harness_publish(sink, &message);
	message.payload_size = 3;
	message.subject = str("$JS.API.STREAM.DELETE.ORDERS");
	harness_publish(sink, &message);
	message.subject = str("orders.last");
	harness_publish(sink, &message);
	assert_true(harness_wait_completed(sink, count + 3, WAIT_MS));
	assert_int_equal(harness_result(sink, count).code, XF_RESULT_REJECTED);
	assert_non_null(strstr(harness_result(sink, count).reason, "max_payload"));
	assert_int_equal(harness_result(sink, count + 1).code, XF_RESULT_REJECTED);
	assert_int_equal(harness_result(sink, count + 2).code, XF_RESULT_STORED);
	assert_int_equal(harness_state_count(sink, XF_STATE_DOWN), 0);
	free(payload);
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&harness);
}

/* More than a route wants in hand never comes, and a pause is a pause. */
static void
test_credit(void **state)
{
	struct bench *bench = *state;
	struct harness *harness = harness_open("nats", ORDERS(bench));
	struct harness_endpoint *sink = harness_sink(harness, "r/to", NULL, NULL);
	struct harness_endpoint *source;
	size_t i;

	for (i = 0; i < 3000; i++)
		publish(sink, "orders.a", (unsigned)i);
	assert_true(harness_wait_completed(sink, 3000, WAIT_MS));
	source = harness_source_create(harness, "r/from", "orders.>", NULL, NULL);
	harness_window(source, 10, 1 << 20);
	harness_start(source);
	assert_true(harness_wait_received(source, 10, WAIT_MS));
	harness_sleep_ms(300);
	assert_int_equal(harness_received(source), 10);
	harness_window(source, 4096, 1 << 26);
	assert_true(harness_wait_received(source, 500, WAIT_MS));
	harness_window(source, 0, 0);
	harness_sleep_ms(300);
	harness_window(source, 4096, 1 << 26);
	harness_settle_auto(source, XF_SETTLE_ACK, true);
	assert_true(harness_wait_received(source, 3000, WAIT_MS));
	for (i = 0; i < 3000; i++) {
		char id[32];

		snprintf(id, sizeof(id), "id-%zu", i);
		assert_string_equal(harness_message(source, i)->in.id.data, id);
	}
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&harness);
}

static void
test_missing_stream(void **state)
{
	struct bench *bench = *state;
	struct harness *bare = harness_open("nats", OPTIONS(bench->url));
	struct harness *owner;
	struct harness_endpoint *sink = harness_sink(bare, "r/to", NULL, NULL);
	struct harness_endpoint *source = harness_source(bare, "r/from", "orders.>", NULL);
	struct harness_endpoint *other;

	publish(sink, "orders.a", 1);
	assert_true(harness_wait_completed(sink, 1, WAIT_MS));
	assert_int_equal(harness_result(sink, 0).code, XF_RESULT_NOT_SENT);
	assert_non_null(strstr(harness_result(sink, 0).reason, "no stream for subject 'orders.a'"));
	assert_int_equal(harness_state(sink), XF_STATE_BLOCKED);
	assert_true(harness_wait_state(source, XF_STATE_BLOCKED, WAIT_MS));
	assert_non_null(strstr(harness_state_reason(source), "no stream stores 'orders.>'"));

	owner = harness_open("nats", ORDERS(bench));
	other = harness_sink(owner, "o/to", NULL, NULL);
	assert_true(harness_wait_state(other, XF_STATE_UP, WAIT_MS));
	assert_true(harness_wait_state(source, XF_STATE_UP, WAIT_MS));
	publish_until_stored(sink, 0, 1);
	publish(sink, "orders.b", 2);
	assert_true(harness_wait_state(sink, XF_STATE_UP, WAIT_MS));
	assert_true(harness_wait_received(source, 2, WAIT_MS));
	assert_int_equal(harness_state_count(sink, XF_STATE_DOWN), 0);
	harness_destroy(&other);
	harness_close(&owner);
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&bare);
}

static void
expect_blocked(struct bench *bench, const char *const *options, const char *reason)
{
	struct harness *harness = harness_open("nats", options);
	struct harness_endpoint *sink = harness_sink(harness, "r/to", NULL, NULL);

	(void)bench;
	assert_true(harness_wait_state(sink, XF_STATE_BLOCKED, WAIT_MS));
	if (strstr(harness_state_reason(sink), reason) == NULL)
		fail_msg("'%s' lacks '%s'", harness_state_reason(sink), reason);
	harness_destroy(&sink);
	harness_close(&harness);
}

static void
test_other_stream(void **state)
{
	struct bench *bench = *state;
	struct harness *harness = harness_open("nats", ORDERS(bench));
	struct harness_endpoint *sink = harness_sink(harness, "r/to", NULL, NULL);
	struct harness_endpoint *first, *second;

	assert_true(harness_wait_state(sink, XF_STATE_UP, WAIT_MS));
	expect_blocked(bench,
	               OPTIONS(bench->url, "streams[0].name=ORDERS",
	                       "streams[0].subjects=orders.*"), "other subjects");
	expect_blocked(bench,
	               OPTIONS(bench->url, "streams[0].name=ORDERS", "streams[0].subjects=orders.>",
	                       "streams[0].storage=memory"),
	               "storage file, not memory");
	expect_blocked(bench,
	               OPTIONS(bench->url, "streams[0].name=ORDERS", "streams[0].subjects=orders.>",
	                       "streams[0].max_age=1h"),
	               "max_age 0ms, not 3600000ms");
	expect_blocked(bench, OPTIONS(bench->url, "streams[0].name=OTHER", "streams[0].subjects=orders.x"),
	               "overlap");

	/* The same durable for another subject. */
	first = harness_source(harness, "r/from", "orders.a", OPTIONS("durable=d"));
	assert_true(harness_wait_state(first, XF_STATE_UP, WAIT_MS));
	second = harness_source(harness, "r/from2", "orders.b", OPTIONS("durable=d"));
	assert_true(harness_wait_state(second, XF_STATE_BLOCKED, WAIT_MS));
	assert_non_null(strstr(harness_state_reason(second), "filter_subject 'orders.a', not 'orders.b'"));
	harness_destroy(&second);
	/* A longer wait is no difference in kind: the consumer is given it. */
	second = harness_source(harness, "r/from2", "orders.a",
	                        OPTIONS("durable=d", "ack_wait=45s", "max_ack_pending=9000"));
	assert_true(harness_wait_state(second, XF_STATE_UP, WAIT_MS));
	assert_int_equal(harness_log_count(second, XF_LOG_WARN), 0);
	harness_destroy(&second);
	harness_destroy(&first);
	harness_destroy(&sink);
	harness_close(&harness);
}

static void
test_kill_under_load(void **state)
{
	struct bench *bench = *state;
	struct harness *harness = harness_open("nats", ORDERS(bench));
	struct harness_endpoint *sink = harness_sink(harness, "r/to", NULL, NULL);
	struct harness_endpoint *source = harness_source(harness, "r/from", "orders.>", NULL);
	const size_t count = 60000;
	unsigned char *seen = calloc(count, 1);
	size_t i, round, doubled = 0, missing = count;
	uint64_t begin;

	harness_settle_auto(source, XF_SETTLE_ACK, true);
	assert_true(harness_wait_state(sink, XF_STATE_UP, WAIT_MS));
	for (i = 0; i < count; i++)
		publish(sink, "orders.a", (unsigned)i);
	for (round = 0; round < 3; round++) {
		harness_sleep_ms(100 + 60 * (unsigned)round);
		xf_broker_kill(bench->broker);
		assert_true(harness_wait_state(sink, XF_STATE_DOWN, WAIT_MS));
		xf_broker_restart(bench->broker);
		assert_true(harness_wait_state(sink, XF_STATE_UP, WAIT_MS));
	}
	publish_until_stored(sink, 0, count);
	begin = harness_now_ms();
	for (i = 0; missing > 0 && harness_now_ms() < begin + 45000; harness_sleep_ms(20)) {
		for (; i < harness_received(source); i++) {
			unsigned number = (unsigned)atoi(harness_message(source, i)->in.id.data + 3);

			missing -= !seen[number];
			doubled += seen[number] != 0;
			seen[number] = 1;
		}
	}
	assert_int_equal(missing, 0);
	/* What was lost on the way is asked for at once, not after ack_wait. */
	assert_true(harness_now_ms() < begin + 15000);
	print_message("killed 3 times: %zu sent, %zu received, %zu doubled\n", count,
	              harness_received(source), doubled);
	free(seen);
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&harness);
}

/* A settlement that comes while the server is away counts, once it is back. */
static void
test_settle_across_restart(void **state)
{
	struct bench *bench = *state;
	struct harness *harness = harness_open("nats", ORDERS(bench));
	struct harness_endpoint *sink = harness_sink(harness, "r/to", NULL, NULL);
	struct harness_endpoint *source = harness_source(harness, "r/from", "orders.>",
	                                                 OPTIONS("ack_wait=3s"));
	unsigned i;

	for (i = 0; i < 100; i++)
		publish(sink, "orders.a", i);
	assert_true(harness_wait_received(source, 100, WAIT_MS));
	harness_sleep_ms(1000); /* the server writes down what it has delivered, in its own time */
	xf_broker_kill(bench->broker);
	assert_true(harness_wait_state(source, XF_STATE_DOWN, WAIT_MS));
	harness_settle_range(source, 0, 60, XF_SETTLE_ACK);
	xf_broker_restart(bench->broker);
	assert_true(harness_wait_state(source, XF_STATE_UP, WAIT_MS));
	harness_settle_range(source, 60, 40, XF_SETTLE_ACK);
	harness_sleep_ms(5000);
	assert_int_equal(harness_received(source), 100);

	/* A new life of the broker: what was settled for the old one says nothing about it. */
	for (i = 100; i < 150; i++)
		publish(sink, "orders.a", i);
	assert_true(harness_wait_received(source, 150, WAIT_MS));
	xf_broker_kill(bench->broker);
	assert_true(harness_wait_state(source, XF_STATE_DOWN, WAIT_MS));
	xf_broker_wipe(bench->broker);
	xf_broker_restart(bench->broker);
	harness_settle_range(source, 100, 50, XF_SETTLE_ACK);
	assert_true(harness_wait_state(source, XF_STATE_UP, WAIT_MS));
	assert_true(harness_wait_state(sink, XF_STATE_UP, WAIT_MS));
	for (i = 0; i < 150; i++)
		publish(sink, "orders.a", 1000 + i);
	assert_true(harness_wait_received(source, 300, WAIT_MS));
	harness_sleep_ms(4000);
	/* Nothing was acked: all of it comes again. */
	assert_true(harness_wait_received(source, 450, WAIT_MS));
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&harness);
}

/* The next life of a source begins with what the last one left, in order, whether it could say goodbye or
 * not. */
static void
test_takes_up_in_order(void **state)
{
	struct bench *bench = *state;
	struct harness *harness = harness_open("nats", ORDERS(bench));
	struct harness_endpoint *sink = harness_sink(harness, "r/to", NULL, NULL);
	struct harness_endpoint *source = harness_source(harness, "r/from", "orders.>", NULL);
	unsigned i;

	for (i = 0; i < 500; i++)
		publish(sink, "orders.a", i);
	assert_true(harness_wait_received(source, 500, WAIT_MS));
	for (i = 0; i < 500; i += 5)
		harness_settle(source, i, XF_SETTLE_ACK, 0);
	assert_true(harness_wait_settled(source, WAIT_MS));
	harness_destroy(&source);
	for (i = 500; i < 600; i++)
		publish(sink, "orders.a", i);
	source = harness_source(harness, "r/from", "orders.>", NULL);
	assert_true(harness_wait_received(source, 500, WAIT_MS));
	for (i = 0; i < 500; i++) {
		unsigned expected = i < 400 ? i / 4 * 5 + i % 4 + 1 : i + 100;
		unsigned got = (unsigned)atoi(harness_message(source, i)->in.id.data + 3);

		assert_int_equal(got, expected);
	}

	/* Now without goodbye: the server is gone while it stops. */
	harness_sleep_ms(1000);
	xf_broker_kill(bench->broker);
	harness_destroy(&source);
	xf_broker_restart(bench->broker);
	assert_true(harness_wait_state(sink, XF_STATE_UP, WAIT_MS));
	source = harness_source(harness, "r/from", "orders.>", NULL);
	assert_true(harness_wait_received(source, 500, WAIT_MS));
	for (i = 0; i < 500; i++) {
		unsigned expected = i < 400 ? i / 4 * 5 + i % 4 + 1 : i + 100;
		unsigned got = (unsigned)atoi(harness_message(source, i)->in.id.data + 3);

		assert_int_equal(got, expected);
	}
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&harness);
}

static void
test_stalled_server(void **state)
{
	struct bench *bench = *state;
	struct harness *harness = harness_open("nats", ORDERS(bench));
	struct harness_endpoint *sink = harness_sink(harness, "r/to", NULL, NULL);
	struct harness_endpoint *source = harness_source(harness, "r/from", "orders.>", NULL);
	size_t i, count = 20000;
	uint64_t begin;

	harness_settle_auto(source, XF_SETTLE_ACK, true);
	assert_true(harness_wait_state(sink, XF_STATE_UP, WAIT_MS));
	assert_true(harness_wait_state(source, XF_STATE_UP, WAIT_MS));
	xf_broker_pause(bench->broker);
	begin = harness_now_ms();
	for (i = 0; i < count; i++)
		publish(sink, "orders.a", (unsigned)i);
	assert_true(harness_wait_state(sink, XF_STATE_DOWN, WAIT_MS));
	assert_true(harness_wait_state(source, XF_STATE_DOWN, WAIT_MS));
	print_message("stalled server noticed after %" PRIu64 " ms: %s\n", harness_now_ms() - begin,
	              harness_state_reason(sink));
	xf_broker_resume(bench->broker);
	assert_true(harness_wait_state(sink, XF_STATE_UP, WAIT_MS));
	publish_until_stored(sink, 0, count);
	assert_true(harness_wait_received(source, count, WAIT_MS));
	harness_sleep_ms(300);
	assert_int_equal(harness_received(source), count);
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&harness);
}

/* Says what is wrong, once, and gets in when it is mended. */
static void
test_password(void **state)
{
	const char *const arguments[] = {"--user", "u", "--pass", "p", NULL};
	struct xf_broker *broker = xf_broker_start("nats", arguments);
	char url[160], with[200];
	struct harness *harness;
	struct harness_endpoint *sink;

	(void)state;
	snprintf(url, sizeof(url), "url=nats://%s", strrchr(xf_broker_url(broker), '/') + 1);
	harness = harness_open("nats", OPTIONS(url, "user=u", "password=wrong"));
	sink = harness_sink(harness, "r/to", NULL, NULL);
	assert_true(harness_wait_state_count(sink, XF_STATE_DOWN, 1, WAIT_MS));
	harness_sleep_ms(1500);
	print_message("%s\n", harness_state_reason(sink));
	assert_non_null(strstr(harness_state_reason(sink), "uthorization"));
	assert_null(strstr(harness_state_reason(sink), "wrong"));
	assert_int_equal(harness_state_count(sink, XF_STATE_DOWN), 1);
	/* The state says it; a line of the log beside it would be the same once more. */
	assert_int_equal(harness_log_count(sink, XF_LOG_WARN), 0);
	harness_destroy(&sink);
	harness_close(&harness);

	harness = harness_open("nats", OPTIONS(url, "user=u", "password=p"));
	sink = harness_sink(harness, "r/to", NULL, NULL);
	assert_true(harness_wait_state(sink, XF_STATE_UP, WAIT_MS));
	harness_destroy(&sink);
	harness_close(&harness);

	snprintf(with, sizeof(with), "url=nats://u:p@%s", url + 11);
	harness = harness_open("nats", OPTIONS(with));
	sink = harness_sink(harness, "r/to", NULL, NULL);
	assert_true(harness_wait_state(sink, XF_STATE_UP, WAIT_MS));
	harness_destroy(&sink);
	harness_close(&harness);
	xf_broker_destroy(&broker);
}

static void
test_leaves_nothing(void **state)
{
	struct bench *bench = *state;
	size_t fds = 0, threads = 0, i;

	for (i = 0; i < 20; i++) {
		struct harness *harness = harness_open("nats", ORDERS(bench));
		struct harness_endpoint *sink = harness_sink(harness, "r/to", NULL, NULL);
		struct harness_endpoint *source = harness_source(harness, "r/from", "orders.>", NULL);

		if (i % 2 == 0) {
			assert_true(harness_wait_state(sink, XF_STATE_UP, WAIT_MS));
			assert_true(harness_wait_state(source, XF_STATE_UP, WAIT_MS));
		}
		harness_destroy(&source);
		harness_destroy(&sink);
		harness_close(&harness);
		if (i == 1) {
			fds = harness_count_fds();
			threads = harness_count_threads();
		}
	}
	assert_int_equal(harness_count_fds(), fds);
	assert_int_equal(harness_count_threads(), threads);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_settlements, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_credit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing_stream, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_stream, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kill_under_load, setup, teardown),
		cmocka_unit_test_setup_teardown(test_settle_across_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_takes_up_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stalled_server, setup, teardown),
		cmocka_unit_test(test_password),
		cmocka_unit_test_setup_teardown(test_leaves_nothing, setup, teardown),
	};

	if (getenv("ONLY")) cmocka_set_test_filter(getenv("ONLY"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
