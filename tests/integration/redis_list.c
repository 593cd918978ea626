/*
 * Lists as queues, against a real server: first in, first out; each message once while nothing breaks; and none lost with
 * a consumer that dies, a line that breaks, or two messages that are the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "redis_fixture.h"

static const char *const list[] = {"mode=list", NULL};
static const char *const list_c[] = {"mode=list", "consumer=c", NULL};

static bool
wait_length(struct fixture *f, const char *key, long length)
{
	return redis_wait_number(f, OPTIONS("LLEN", key), length);
}

static void
test_first_in_is_first_out_at_either_end(void **state)
{
	enum { COUNT = 20000 };
	static const char *const ends[] = {"push=left", "push=right"};
	struct fixture f;

	(void)state;
	fixture_open(&f, NULL, list);
	assert_int_equal(harness_source_traits(f.harness, list), XF_TRAIT_TAKES | XF_TRAIT_REPLIES);
	assert_int_equal(harness_sink_traits(f.harness, list), XF_TRAIT_REQUESTS);
	for (unsigned end = 0; end < 2; end++) {
		struct harness_endpoint *sink =
			harness_sink(f.harness, "pushes", NULL, OPTIONS("mode=list", ends[end], "separator=:"));

		publish_many(sink, "q.1", 0, COUNT / 2);
		assert_int_equal(redis_number(&f, OPTIONS("LLEN", "q:1")), COUNT / 2);
		f.source = harness_source_create(f.harness, "source", "q.1",
		                                 OPTIONS("mode=list", ends[end], "separator=:", "consumer=c"), NULL);
		harness_window(f.source, 1500, 1 << 20);
		harness_settle_auto(f.source, XF_SETTLE_ACK, true);
		harness_start(f.source);
		publish_many(sink, "q.1", COUNT / 2, COUNT / 2);
		assert_true(harness_wait_received(f.source, COUNT, DEADLINE));
		for (unsigned i = 0; i < COUNT; i++)
			assert_int_equal(number_of(f.source, i), i);
		assert_string_equal(harness_message(f.source, 0)->in.subject.data, "q.1");
		assert_int_equal(harness_message(f.source, 0)->in.flags, 0);
		assert_true(wait_length(&f, "q:1:processing:c", 0));
		/* and when all was quiet */
		harness_sleep_ms(300);
		publish_many(sink, "q.1", COUNT, 1);
		assert_true(harness_wait_received(f.source, COUNT + 1, DEADLINE));
		assert_true(wait_length(&f, "q:1:processing:c", 0));
		assert_int_equal(redis_number(&f, OPTIONS("LLEN", "q:1")), 0);
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
	fixture_open(&f, NULL, list);
	f.source = harness_source(f.harness, "source", "jobs", list_c);
	free(xf_broker_ctl(f.broker, OPTIONS("LPUSH", "jobs", "a", "b", "", "b")));
	assert_true(harness_wait_received(f.source, 4, DEADLINE));
	assert_string_equal(harness_message(f.source, 0)->in.payload, "a");
	assert_string_equal(harness_message(f.source, 1)->in.payload, "b");
	assert_int_equal(harness_message(f.source, 2)->in.payload_size, 0);
	harness_settle_range(f.source, 0, 4, XF_SETTLE_ACK);
	assert_true(wait_length(&f, "jobs:processing:c", 0));
	publish_many(f.sink, "q.1", 0, 3);
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
	fixture_open(&f, NULL, list);
	publish_many(f.sink, "q.1", 0, 100);
	f.source = harness_source(f.harness, "source", "q.1", list_c);
	assert_true(harness_wait_received(f.source, 100, DEADLINE));
	assert_int_equal(redis_number(&f, OPTIONS("LLEN", "q.1:processing:c")), 100);
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
	fixture_open(&f, NULL, list);
	publish_many(f.sink, "q.1", 0, 4);
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
	assert_int_equal(redis_number(&f, OPTIONS("LLEN", "q.1:processing:c")), 2);
	fixture_close(&f);
}

/* All is there again, what is under way is passed over, and what was settled on the dead line is not repeated. */
static void
test_a_cut_connection_repeats_nothing_under_way(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, NULL, list);
	publish_many(f.sink, "q.1", 0, 400);
	for (unsigned i = 0; i < 50; i++)
		harness_publish_text(f.sink, "q.1", "the same");
	assert_true(harness_wait_completed(f.sink, 450, DEADLINE));
	f.source = harness_source(f.harness, "source", "q.1", list_c);
	assert_true(harness_wait_received(f.source, 450, DEADLINE));
	for (unsigned round = 1; round <= 3; round++) {
		size_t first = (round - 1) * 100;

		harness_settle_range(f.source, first, 100, XF_SETTLE_ACK);
		redis_cut(&f);
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
	fixture_open(&f, NULL, list);
	publish_many(f.sink, "q.1", 0, 600);
	dead = harness_source(f.harness, "dead", "q.1", OPTIONS("mode=list", "consumer=dead", "claim_idle=2s"));
	harness_window(dead, 300, 1 << 20);
	assert_true(harness_wait_received(dead, 300, DEADLINE));
	f.source = harness_source(f.harness, "source", "q.1", OPTIONS("mode=list", "consumer=c", "claim_idle=2s"));
	assert_true(harness_wait_received(f.source, 300, DEADLINE));
	/* it lives: what it has stays its own */
	harness_sleep_ms(4000);
	assert_int_equal(harness_received(f.source), 300);
	assert_int_equal(redis_number(&f, OPTIONS("LLEN", "q.1:processing:dead")), 300);
	harness_destroy(&dead);
	assert_true(harness_wait_received(f.source, 600, DEADLINE));
	for (unsigned i = 0; i < 300; i++) {
		assert_int_equal(number_of(f.source, 300 + i), i);
		assert_int_equal(harness_message(f.source, 300 + i)->in.flags, XF_MESSAGE_REDELIVERED);
	}
	harness_settle_range(f.source, 0, 600, XF_SETTLE_ACK);
	assert_true(wait_length(&f, "q.1:processing:c", 0));
	assert_int_equal(redis_number(&f, OPTIONS("LLEN", "q.1:processing:dead")), 0);
	assert_true(redis_wait_number(&f, OPTIONS("ZCARD", "q.1:processing"), 1));
	fixture_close(&f);
}

/* After an outage everybody was last seen long ago. Who is back first does not take what the others are at work on. */
static void
test_who_was_kept_away_is_not_dead(void **state)
{
	struct harness_endpoint *other;
	struct fixture f;

	(void)state;
	fixture_open(&f, NULL, list);
	publish_many(f.sink, "q.1", 0, 10);
	f.source = harness_source(f.harness, "source", "q.1", OPTIONS("mode=list", "consumer=c", "claim_idle=10m"));
	assert_true(harness_wait_received(f.source, 10, DEADLINE));
	assert_true(redis_wait_number(&f, OPTIONS("ZCARD", "q.1:processing"), 1));
	free(xf_broker_ctl(f.broker, OPTIONS("ZADD", "q.1:processing", "1", "c")));
	other = harness_source(f.harness, "other", "q.1", OPTIONS("mode=list", "consumer=o", "claim_idle=10m"));
	assert_true(redis_wait_number(&f, OPTIONS("ZCARD", "q.1:processing"), 2));
	publish_many(f.sink, "q.1", 10, 1);
	for (unsigned i = 0; harness_received(f.source) + harness_received(other) < 11; i++) {
		assert_in_range(i, 0, DEADLINE / 20);
		harness_sleep_ms(20);
	}
	harness_sleep_ms(500);
	assert_int_equal(harness_received(f.source) + harness_received(other), 11);
	harness_settle_range(f.source, 0, 10, XF_SETTLE_ACK);
	assert_true(harness_wait_settled(f.source, DEADLINE));
	harness_destroy(&other);
	fixture_close(&f);
}

/* Without its entry among the consumers nobody would find what it leaves. */
static void
test_a_consumer_that_cannot_be_listed_is_blocked(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, NULL, list);
	free(xf_broker_ctl(f.broker, OPTIONS("SET", "q.1:processing", "x")));
	f.source = harness_source(f.harness, "source", "q.1", OPTIONS("mode=list", "claim_idle=0s"));
	assert_true(harness_wait_state(f.source, XF_STATE_BLOCKED, DEADLINE));
	assert_non_null(strstr(harness_state_reason(f.source), "WRONGTYPE"));
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
	fixture_open(&f, NULL, list);
	for (unsigned i = 0; i < 100; i++)
		harness_publish(f.sink, &message);
	assert_true(harness_wait_completed(f.sink, 100, DEADLINE));
	f.source = harness_source_create(f.harness, "source", "q.1", list_c, NULL);
	harness_window(f.source, 1000, 10 * SIZE);
	harness_start(f.source);
	assert_true(harness_wait_received(f.source, 10, DEADLINE));
	harness_sleep_ms(LONGER_THAN_HEARTBEAT);
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
	fixture_open(&f, NULL, list);
	f.source = harness_source(f.harness, "one/from", "q.1", list);
	other = harness_source(f.harness, "two/from", "q.1", list);
	assert_true(harness_wait_state(f.source, XF_STATE_UP, DEADLINE));
	assert_true(harness_wait_state(other, XF_STATE_UP, DEADLINE));
	harness_window(f.source, 50, 1 << 20);
	harness_settle_auto(f.source, XF_SETTLE_ACK, true);
	harness_settle_auto(other, XF_SETTLE_ACK, true);
	publish_many(f.sink, "q.1", 0, 1000);
	assert_true(wait_length(&f, "q.1", 0));
	for (unsigned i = 0; harness_received(f.source) + harness_received(other) < 1000; i++) {
		assert_in_range(i, 0, DEADLINE / 20);
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
	struct fixture f;
	size_t received;

	(void)state;
	fixture_open(&f, durable, list);
	publish_many(f.sink, "q.1", 0, COUNT);
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
	fixture_open(&f, NULL, list);
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
		cmocka_unit_test(test_who_was_kept_away_is_not_dead),
		cmocka_unit_test(test_a_consumer_that_cannot_be_listed_is_blocked),
		cmocka_unit_test(test_credit_in_messages_and_bytes),
		cmocka_unit_test(test_two_share_a_list),
		cmocka_unit_test(test_killed_under_load),
		cmocka_unit_test(test_what_is_no_list_is_blocked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
