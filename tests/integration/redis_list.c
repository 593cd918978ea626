/*
 * Lists as queues, against a real server: first in, first out; each message once while nothing breaks; and none lost with
 * a consumer that dies, a line that breaks, or two messages that are the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker.h"
#include "harness.h"

#define DEADLINE 20000

struct fixture {
	struct xf_broker *broker;
	struct harness *harness;
	struct harness_endpoint *sink;
	struct harness_endpoint *source;
	char url[128];
};

static const char *const list[] = {"mode=list", NULL};
static const char *const list_c[] = {"mode=list", "consumer=c", NULL};

static void
fixture_open(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	f->broker = xf_broker_start("redis", NULL);
	snprintf(f->url, sizeof(f->url), "url=%s", xf_broker_url(f->broker));
	f->harness = harness_open("redis", OPTIONS(f->url, "heartbeat=1s"));
	f->sink = harness_sink(f->harness, "sink", NULL, list);
}

static void
fixture_close(struct fixture *f)
{
	harness_destroy(&f->source);
	harness_destroy(&f->sink);
	harness_close(&f->harness);
	xf_broker_destroy(&f->broker);
}

static void
publish_many(struct harness_endpoint *sink, unsigned from, unsigned count)
{
	size_t before = harness_published(sink);
	char payload[32];

	for (unsigned i = from; i < from + count; i++) {
		snprintf(payload, sizeof(payload), "%u", i);
		harness_publish_text(sink, "q.1", payload);
	}
	assert_true(harness_wait_completed(sink, before + count, DEADLINE));
	assert_int_equal(harness_completed_as(sink, XF_RESULT_STORED), before + count);
}

static unsigned
number_of(struct harness_endpoint *source, size_t index)
{
	return (unsigned)strtoul(harness_message(source, index)->in.payload, NULL, 10);
}

static long
redis_number(struct fixture *f, const char *verb, const char *key)
{
	char *out = xf_broker_ctl(f->broker, OPTIONS(verb, key));
	long number = atol(out);

	free(out);
	return number;
}

static bool
wait_length(struct fixture *f, const char *key, long length)
{
	for (unsigned i = 0; i < 1000; i++) {
		if (redis_number(f, "LLEN", key) == length)
			return true;
		harness_sleep_ms(20);
	}
	return false;
}

static void
test_first_in_is_first_out_at_either_end(void **state)
{
	enum { COUNT = 20000 };
	static const char *const ends[] = {"push=left", "push=right"};
	struct fixture f;

	(void)state;
	fixture_open(&f);
	assert_int_equal(harness_source_traits(f.harness, list), XF_TRAIT_TAKES);
	assert_int_equal(harness_sink_traits(f.harness, list), 0);
	for (unsigned end = 0; end < 2; end++) {
		struct harness_endpoint *sink =
			harness_sink(f.harness, "pushes", NULL, OPTIONS("mode=list", ends[end], "separator=:"));

		publish_many(sink, 0, COUNT / 2);
		assert_int_equal(redis_number(&f, "LLEN", "q:1"), COUNT / 2);
		f.source = harness_source(f.harness, "source", "q.1",
		                          OPTIONS("mode=list", ends[end], "separator=:", "consumer=c"));
		harness_window(f.source, 1500, 1 << 20);
		harness_settle_auto(f.source, XF_SETTLE_ACK, true);
		publish_many(sink, COUNT / 2, COUNT / 2);
		assert_true(harness_wait_received(f.source, COUNT, DEADLINE));
		for (unsigned i = 0; i < COUNT; i++)
			assert_int_equal(number_of(f.source, i), i);
		assert_string_equal(harness_message(f.source, 0)->in.subject.data, "q.1");
		assert_int_equal(harness_message(f.source, 0)->in.flags, 0);
		assert_true(wait_length(&f, "q:1:processing:c", 0));
		/* and when all was quiet */
		harness_sleep_ms(300);
		publish_many(sink, COUNT, 1);
		assert_true(harness_wait_received(f.source, COUNT + 1, DEADLINE));
		assert_true(wait_length(&f, "q:1:processing:c", 0));
		assert_int_equal(redis_number(&f, "LLEN", "q:1"), 0);
		harness_destroy(&f.source);
		harness_destroy(&sink);
	}
	fixture_close(&f);
}

static void
test_others_push_and_pop(void **state)
{
	struct fixture f;
	char *out;

	(void)state;
	fixture_open(&f);
	f.source = harness_source(f.harness, "source", "jobs", list_c);
	free(xf_broker_ctl(f.broker, OPTIONS("LPUSH", "jobs", "a", "b", "", "b")));
	assert_true(harness_wait_received(f.source, 4, DEADLINE));
	assert_string_equal(harness_message(f.source, 0)->in.payload, "a");
	assert_string_equal(harness_message(f.source, 1)->in.payload, "b");
	assert_int_equal(harness_message(f.source, 2)->in.payload_size, 0);
	harness_settle_range(f.source, 0, 4, XF_SETTLE_ACK);
	assert_true(wait_length(&f, "jobs:processing:c", 0));
	publish_many(f.sink, 0, 3);
	out = xf_broker_ctl(f.broker, OPTIONS("RPOP", "q.1"));
	assert_string_equal(out, "0\n");
	free(out);
	fixture_close(&f);
}

static void
test_settled_in_any_order(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f);
	publish_many(f.sink, 0, 100);
	f.source = harness_source(f.harness, "source", "q.1", list_c);
	assert_true(harness_wait_received(f.source, 100, DEADLINE));
	assert_int_equal(redis_number(&f, "LLEN", "q.1:processing:c"), 100);
	for (unsigned i = 0; i < 100; i += 2)
		harness_settle(f.source, 99 - i, i % 4 == 0 ? XF_SETTLE_ACK : XF_SETTLE_REJECT, 0);
	assert_true(wait_length(&f, "q.1:processing:c", 50));
	harness_destroy(&f.source);
	f.source = harness_source(f.harness, "source", "q.1", list_c);
	assert_true(harness_wait_received(f.source, 50, DEADLINE));
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(number_of(f.source, i), 2 * i);
		assert_int_equal(harness_message(f.source, i)->in.flags, XF_MESSAGE_REDELIVERED);
	}
	harness_settle_range(f.source, 0, 50, XF_SETTLE_ACK);
	assert_true(wait_length(&f, "q.1:processing:c", 0));
	fixture_close(&f);
}

static void
test_retry_keeps_its_place(void **state)
{
	struct fixture f;
	uint64_t start;

	(void)state;
	fixture_open(&f);
	publish_many(f.sink, 0, 4);
	f.source = harness_source(f.harness, "source", "q.1", list_c);
	harness_window(f.source, 2, 1 << 20);
	assert_true(harness_wait_received(f.source, 2, DEADLINE));
	start = harness_now_ms();
	harness_settle(f.source, 0, XF_SETTLE_RETRY, 300);
	assert_true(harness_wait_received(f.source, 3, DEADLINE)); /* its credit is free meanwhile */
	harness_settle(f.source, 1, XF_SETTLE_ACK, 0);
	assert_true(harness_wait_received(f.source, 4, DEADLINE));
	harness_settle_range(f.source, 2, 1, XF_SETTLE_ACK);
	assert_true(harness_wait_received(f.source, 5, DEADLINE));
	assert_true(harness_now_ms() - start >= 290);
	for (size_t i = 2, again = 0; i < 5; i++) {
		again += number_of(f.source, i) == 0;
		if (i == 4)
			assert_int_equal(again, 1);
	}
	/* what is to be tried again is unsettled: it survives this consumer */
	assert_int_equal(redis_number(&f, "LLEN", "q.1:processing:c"), 2);
	fixture_close(&f);
}

/* All is there again, what is under way is passed over, and what was settled on the dead line is not repeated. */
static void
test_a_cut_connection_repeats_nothing_under_way(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f);
	publish_many(f.sink, 0, 400);
	for (unsigned i = 0; i < 50; i++)
		harness_publish_text(f.sink, "q.1", "the same");
	assert_true(harness_wait_completed(f.sink, 450, DEADLINE));
	f.source = harness_source(f.harness, "source", "q.1", list_c);
	assert_true(harness_wait_received(f.source, 450, DEADLINE));
	for (unsigned round = 1; round <= 3; round++) {
		size_t first = (round - 1) * 100;

		harness_settle_range(f.source, first, 100, XF_SETTLE_ACK);
		free(xf_broker_ctl(f.broker, OPTIONS("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")));
		assert_true(harness_wait_state_count(f.source, XF_STATE_UP, round + 1, DEADLINE));
	}
	harness_settle_range(f.source, 300, 149, XF_SETTLE_ACK);
	assert_true(wait_length(&f, "q.1:processing:c", 1));
	assert_int_equal(harness_received(f.source), 450);
	harness_settle(f.source, 449, XF_SETTLE_ACK, 0);
	assert_true(wait_length(&f, "q.1:processing:c", 0));
	fixture_close(&f);
}

static void
test_what_the_dead_left_is_taken_over(void **state)
{
	struct harness_endpoint *dead;
	struct fixture f;

	(void)state;
	fixture_open(&f);
	publish_many(f.sink, 0, 600);
	dead = harness_source(f.harness, "dead", "q.1", OPTIONS("mode=list", "consumer=dead", "claim_idle=2s"));
	harness_window(dead, 300, 1 << 20);
	assert_true(harness_wait_received(dead, 300, DEADLINE));
	f.source = harness_source(f.harness, "source", "q.1", OPTIONS("mode=list", "consumer=c", "claim_idle=2s"));
	assert_true(harness_wait_received(f.source, 300, DEADLINE));
	/* it lives: what it has stays its own */
	harness_sleep_ms(4000);
	assert_int_equal(harness_received(f.source), 300);
	assert_int_equal(redis_number(&f, "LLEN", "q.1:processing:dead"), 300);
	harness_destroy(&dead);
	assert_true(harness_wait_received(f.source, 600, DEADLINE));
	for (unsigned i = 0; i < 300; i++) {
		assert_int_equal(number_of(f.source, 300 + i), i);
		assert_int_equal(harness_message(f.source, 300 + i)->in.flags, XF_MESSAGE_REDELIVERED);
	}
	harness_settle_range(f.source, 0, 600, XF_SETTLE_ACK);
	assert_true(wait_length(&f, "q.1:processing:c", 0));
	assert_int_equal(redis_number(&f, "LLEN", "q.1:processing:dead"), 0);
	for (unsigned i = 0; redis_number(&f, "ZCARD", "q.1:processing") != 1; i++) {
		assert_in_range(i, 0, 1000);
		harness_sleep_ms(20);
	}
	fixture_close(&f);
}

static void
test_credit_in_messages_and_bytes(void **state)
{
	enum { SIZE = 100000 };
	char *payload = calloc(1, SIZE);
	struct xf_outgoing message = {.subject = {"q.1", 3}, .payload = payload, .payload_size = SIZE};
	struct fixture f;

	(void)state;
	fixture_open(&f);
	for (unsigned i = 0; i < 100; i++)
		harness_publish(f.sink, &message);
	assert_true(harness_wait_completed(f.sink, 100, DEADLINE));
	f.source = harness_source_create(f.harness, "source", "q.1", list_c, NULL);
	harness_window(f.source, 1000, 10 * SIZE);
	harness_start(f.source);
	assert_true(harness_wait_received(f.source, 10, DEADLINE));
	harness_sleep_ms(2500); /* longer than the heartbeat */
	assert_in_range(harness_received(f.source), 10, 11);
	assert_int_equal(harness_state_count(f.source, XF_STATE_DOWN), 0);
	harness_settle_auto(f.source, XF_SETTLE_ACK, true);
	harness_settle_range(f.source, 0, 10, XF_SETTLE_ACK);
	assert_true(harness_wait_received(f.source, 100, DEADLINE));
	free(payload);
	fixture_close(&f);
}

/* Two routes of one server. */
static void
test_two_share_a_list(void **state)
{
	struct harness_endpoint *other;
	struct fixture f;
	unsigned char seen[1000] = {0};

	(void)state;
	fixture_open(&f);
	f.source = harness_source(f.harness, "one/from", "q.1", list);
	other = harness_source(f.harness, "two/from", "q.1", list);
	assert_true(harness_wait_state(f.source, XF_STATE_UP, DEADLINE));
	assert_true(harness_wait_state(other, XF_STATE_UP, DEADLINE));
	harness_window(f.source, 50, 1 << 20);
	harness_settle_auto(f.source, XF_SETTLE_ACK, true);
	harness_settle_auto(other, XF_SETTLE_ACK, true);
	publish_many(f.sink, 0, 1000);
	assert_true(wait_length(&f, "q.1", 0));
	for (unsigned i = 0; harness_received(f.source) + harness_received(other) < 1000; i++) {
		assert_in_range(i, 0, 1000);
		harness_sleep_ms(20);
	}
	for (size_t i = 0; i < harness_received(f.source); i++)
		seen[number_of(f.source, i)]++;
	for (size_t i = 0; i < harness_received(other); i++)
		seen[number_of(other, i)]++;
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(seen[i], 1);
	assert_true(harness_wait_settled(f.source, DEADLINE));
	assert_true(harness_wait_settled(other, DEADLINE));
	harness_destroy(&other);
	fixture_close(&f);
}

static void
test_killed_under_load(void **state)
{
	enum { COUNT = 20000 };
	static const char *const durable[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};
	unsigned char *seen = calloc(1, COUNT);
	struct fixture f = {0};
	size_t received;

	(void)state;
	f.broker = xf_broker_start("redis", durable);
	snprintf(f.url, sizeof(f.url), "url=%s", xf_broker_url(f.broker));
	f.harness = harness_open("redis", OPTIONS(f.url));
	f.sink = harness_sink(f.harness, "sink", NULL, list);
	publish_many(f.sink, 0, COUNT);
	f.source = harness_source(f.harness, "source", "q.1", list_c);
	harness_window(f.source, 500, 1 << 20);
	harness_settle_auto(f.source, XF_SETTLE_ACK, true);
	for (unsigned round = 1; round <= 3; round++) {
		assert_true(harness_wait_received(f.source, round * COUNT / 5, DEADLINE));
		xf_broker_kill(f.broker);
		assert_true(harness_wait_state_count(f.source, XF_STATE_DOWN, round, DEADLINE));
		xf_broker_restart(f.broker);
		assert_true(harness_wait_state_count(f.source, XF_STATE_UP, round + 1, DEADLINE));
	}
	assert_true(wait_length(&f, "q.1", 0));
	assert_true(wait_length(&f, "q.1:processing:c", 0));
	received = harness_received(f.source);
	for (size_t i = 0; i < received; i++)
		seen[number_of(f.source, i)] = 1;
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(seen[i], 1);
	free(seen);
	fixture_close(&f);
}

static void
test_what_is_no_list_is_blocked(void **state)
{
	struct fixture f;
	struct xf_error error = {""};

	(void)state;
	fixture_open(&f);
	free(xf_broker_ctl(f.broker, OPTIONS("SET", "q.1", "x")));
	f.source = harness_source(f.harness, "source", "q.1", list);
	assert_true(harness_wait_state(f.source, XF_STATE_BLOCKED, DEADLINE));
	assert_non_null(strstr(harness_state_reason(f.source), "WRONGTYPE"));
	assert_int_equal(harness_state_count(f.source, XF_STATE_UP), 0);
	harness_publish_text(f.sink, "q.1", "x");
	assert_true(harness_wait_completed(f.sink, 1, DEADLINE));
	assert_int_equal(harness_result(f.sink, 0).code, XF_RESULT_NOT_SENT);
	assert_true(harness_wait_state(f.sink, XF_STATE_BLOCKED, DEADLINE));
	assert_null(harness_source_create(f.harness, "pattern", "q.*", list, &error));
	assert_non_null(strstr(error.text, "one key"));
	assert_null(harness_source_create(f.harness, "group", "q.1", OPTIONS("mode=list", "group=g"), &error));
	assert_non_null(strstr(error.text, "mode: stream"));
	assert_null(harness_sink_create(f.harness, "push", NULL, OPTIONS("mode=stream", "push=right"), &error));
	assert_non_null(strstr(error.text, "mode: list"));
	fixture_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_in_is_first_out_at_either_end),
		cmocka_unit_test(test_others_push_and_pop),
		cmocka_unit_test(test_settled_in_any_order),
		cmocka_unit_test(test_retry_keeps_its_place),
		cmocka_unit_test(test_a_cut_connection_repeats_nothing_under_way),
		cmocka_unit_test(test_what_the_dead_left_is_taken_over),
		cmocka_unit_test(test_credit_in_messages_and_bytes),
		cmocka_unit_test(test_two_share_a_list),
		cmocka_unit_test(test_killed_under_load),
		cmocka_unit_test(test_what_is_no_list_is_blocked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
