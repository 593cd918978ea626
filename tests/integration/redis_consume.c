/*
 * A stream's consumer group as a source, against a real server: each entry once while nothing breaks, again when
 * something did, and none forgotten.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "redis_fixture.h"

static const char *const to_stream[] = {"mode=stream", NULL};
static const char *const stream[] = {"mode=stream", "group=g", "consumer=c", NULL};

static bool
wait_pending(struct fixture *f, long count)
{
	return redis_wait_number(f, OPTIONS("XPENDING", "s.1", "g"), count);
}

/* How many entries of s.1 are pending and have been idle for almost an hour. */
#define IDLE_ENTRIES                                                                                               \
	OPTIONS("EVAL", "return #redis.call('XPENDING', 's.1', 'g', 'IDLE', 3000000, '-', '+', 10000)", "0")

/* Those of the consumer c have been for an hour. */
static void
entries_age(struct fixture *f)
{
	free(xf_broker_ctl(f->broker, OPTIONS("EVAL",
		"for _, e in ipairs(redis.call('XPENDING', 's.1', 'g', '-', '+', 10000)) do "
		"redis.call('XCLAIM', 's.1', 'g', 'c', 0, e[1], 'IDLE', 3600000, 'JUSTID') end", "0")));
	assert_int_not_equal(redis_number(f, IDLE_ENTRIES), 0);
}

static void
test_what_a_sink_writes_a_source_reads(void **state)
{
	static const struct xf_header headers[] = {{{"n", 1}, {"one", 3}}, {{"n", 1}, {"two", 3}}};
	struct xf_outgoing message = {
		.subject = {"s.1", 3}, .id = {"id-1", 4}, .key = {"k", 1}, .reply = {"r.1", 3},
		.content_type = {"text/plain", 10}, .payload = "body", .payload_size = 4,
		.headers = headers, .header_count = 2,
	};
	struct fixture f;
	const struct harness_message *m;

	(void)state;
	fixture_open(&f, NULL, to_stream);
	assert_int_equal(harness_source_traits(f.harness, stream), XF_TRAIT_HEADERS | XF_TRAIT_IDS | XF_TRAIT_REPLIES);
	harness_publish(f.sink, &message);
	free(xf_broker_ctl(f.broker, OPTIONS("XADD", "s.1", "77-7", "data", "foreign")));
	assert_true(harness_wait_completed(f.sink, 1, DEADLINE));
	f.source = harness_source(f.harness, "source", "s.1", stream);
	assert_true(harness_wait_received(f.source, 1, DEADLINE));
	m = harness_message(f.source, 0);
	assert_string_equal(m->in.subject.data, "s.1");
	assert_string_equal(m->in.id.data, "id-1");
	assert_string_equal(m->in.key.data, "k");
	assert_string_equal(m->in.reply.data, "r.1");
	assert_string_equal(m->in.content_type.data, "text/plain");
	assert_int_equal(m->in.payload_size, 4);
	assert_memory_equal(m->in.payload, "body", 4);
	assert_int_equal(m->in.header_count, 2);
	assert_string_equal(m->in.headers[0].value.data, "one");
	assert_string_equal(m->in.headers[1].value.data, "two");
	assert_true(m->in.time_ms > 0);
	assert_int_equal(m->in.flags, 0);
	fixture_close(&f);
}

static void
test_acknowledged_in_order_and_done(void **state)
{
	enum { COUNT = 50000 };
	struct fixture f;

	(void)state;
	fixture_open(&f, NULL, to_stream);
	publish_many(f.sink, "s.1", 0, COUNT / 2);
	f.source = harness_source(f.harness, "source", "s.1", stream);
	harness_window(f.source, 1500, 1 << 20);
	harness_settle_auto(f.source, XF_SETTLE_ACK, true);
	publish_many(f.sink, "s.1", COUNT / 2, COUNT / 2);
	assert_true(harness_wait_received(f.source, COUNT, 3 * DEADLINE));
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(number_of(f.source, i), i);
	assert_true(wait_pending(&f, 0));
	/* and when all was quiet */
	harness_sleep_ms(300);
	publish_many(f.sink, "s.1", COUNT, 1);
	assert_true(harness_wait_received(f.source, COUNT + 1, DEADLINE));
	assert_true(wait_pending(&f, 0));
	fixture_close(&f);
}

static void
test_credit_is_kept(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, NULL, to_stream);
	publish_many(f.sink, "s.1", 0, 100);
	f.source = harness_source(f.harness, "source", "s.1", stream);
	harness_window(f.source, 10, 1 << 20);
	assert_true(harness_wait_received(f.source, 10, DEADLINE));
	harness_sleep_ms(LONGER_THAN_HEARTBEAT);
	assert_int_equal(harness_received(f.source), 10);
	assert_int_equal(harness_state_count(f.source, XF_STATE_DOWN), 0);
	harness_settle_range(f.source, 0, 10, XF_SETTLE_ACK);
	assert_true(harness_wait_received(f.source, 20, DEADLINE));
	assert_int_equal(number_of(f.source, 19), 19);
	fixture_close(&f);
}

static void
test_unsettled_comes_again_after_a_restart(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, NULL, to_stream);
	publish_many(f.sink, "s.1", 0, 20);
	f.source = harness_source(f.harness, "source", "s.1", stream);
	assert_true(harness_wait_received(f.source, 20, DEADLINE));
	harness_settle_range(f.source, 0, 5, XF_SETTLE_ACK);
	harness_settle_range(f.source, 5, 5, XF_SETTLE_REJECT);
	assert_true(harness_wait_settled(f.source, DEADLINE));
	harness_destroy(&f.source); /* stop() sends what was settled */
	assert_int_equal(redis_number(&f, OPTIONS("XPENDING", "s.1", "g")), 10);
	publish_many(f.sink, "s.1", 20, 5);
	f.source = harness_source(f.harness, "source", "s.1", stream);
	assert_true(harness_wait_received(f.source, 15, DEADLINE));
	for (unsigned i = 0; i < 15; i++) {
		assert_int_equal(number_of(f.source, i), 10 + i);
		assert_int_equal(harness_message(f.source, i)->in.flags, i < 10 ? XF_MESSAGE_REDELIVERED : 0);
	}
	fixture_close(&f);
}

static void
test_retry_offers_it_again(void **state)
{
	struct fixture f;
	uint64_t start;
	char id[64];

	(void)state;
	fixture_open(&f, NULL, to_stream);
	publish_many(f.sink, "s.1", 0, 3);
	f.source = harness_source(f.harness, "source", "s.1", stream);
	assert_true(harness_wait_received(f.source, 3, DEADLINE));
	start = harness_now_ms();
	harness_settle(f.source, 1, XF_SETTLE_RETRY, 300);
	harness_settle(f.source, 0, XF_SETTLE_ACK, 0);
	assert_true(harness_wait_received(f.source, 4, DEADLINE));
	assert_true(harness_now_ms() - start >= 290);
	assert_int_equal(number_of(f.source, 3), 1);
	assert_string_equal(harness_message(f.source, 3)->in.id.data, "id-1");
	assert_int_equal(harness_message(f.source, 3)->in.flags, XF_MESSAGE_REDELIVERED);
	harness_settle(f.source, 3, XF_SETTLE_ACK, 0);
	assert_true(wait_pending(&f, 1));
	/* what was deleted meanwhile is over */
	{
		char *out = xf_broker_ctl(f.broker, OPTIONS("XRANGE", "s.1", "-", "+"));
		char *at = strstr(out, "id-2"), *line = out;

		assert_non_null(at);
		for (char *p = out; p < at; p++)
			if (*p == '\n' && strchr(p + 1, '-') < strchr(p + 1, '\n') && p[1] >= '0' && p[1] <= '9')
				line = p + 1;
		snprintf(id, sizeof(id), "%.*s", (int)strcspn(line, "\n"), line);
		free(out);
	}
	free(xf_broker_ctl(f.broker, OPTIONS("XDEL", "s.1", id)));
	harness_settle(f.source, 2, XF_SETTLE_RETRY, 0);
	assert_true(wait_pending(&f, 0));
	assert_int_equal(harness_received(f.source), 4);
	fixture_close(&f);
}

static void
test_a_cut_connection_repeats_nothing_under_way(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, NULL, to_stream);
	publish_many(f.sink, "s.1", 0, 100);
	f.source = harness_source(f.harness, "source", "s.1", stream);
	assert_true(harness_wait_received(f.source, 100, DEADLINE));
	for (unsigned round = 1; round <= 3; round++) {
		redis_cut(&f);
		assert_true(harness_wait_state_count(f.source, XF_STATE_UP, round + 1, DEADLINE));
	}
	harness_settle_range(f.source, 0, 100, XF_SETTLE_ACK);
	assert_true(wait_pending(&f, 0));
	assert_int_equal(harness_received(f.source), 100);
	fixture_close(&f);
}

static void
test_a_lost_group_is_made_again(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, NULL, to_stream);
	f.source = harness_source(f.harness, "source", "s.1", stream);
	assert_true(harness_wait_state(f.source, XF_STATE_UP, DEADLINE));
	free(xf_broker_ctl(f.broker, OPTIONS("FLUSHALL")));
	publish_many(f.sink, "s.1", 0, 10);
	assert_true(harness_wait_received(f.source, 10, DEADLINE));
	harness_settle_range(f.source, 0, 10, XF_SETTLE_ACK);
	assert_true(wait_pending(&f, 0));
	fixture_close(&f);
}

static void
test_what_the_dead_left_is_taken_over(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, NULL, to_stream);
	publish_many(f.sink, "s.1", 0, 300);
	f.source = harness_source(f.harness, "dead", "s.1", OPTIONS("mode=stream", "group=g", "consumer=dead"));
	assert_true(harness_wait_received(f.source, 300, DEADLINE));
	harness_destroy(&f.source);
	f.source = harness_source(f.harness, "source", "s.1",
	                          OPTIONS("mode=stream", "group=g", "consumer=c", "claim_idle=1s"));
	assert_true(harness_wait_received(f.source, 300, DEADLINE));
	harness_settle_range(f.source, 0, 300, XF_SETTLE_ACK);
	assert_true(wait_pending(&f, 0));
	assert_int_equal(harness_received(f.source), 300);
	fixture_close(&f);
}

/* As the core does for all that a dead sink holds up. */
static void
test_what_is_extended_is_not_taken_over(void **state)
{
	enum { COUNT = 1000 };
	struct harness_endpoint *other;
	struct fixture f;

	(void)state;
	fixture_open(&f, NULL, to_stream);
	publish_many(f.sink, "s.1", 0, COUNT);
	f.source = harness_source(f.harness, "source", "s.1", OPTIONS("mode=stream", "group=g", "consumer=c", "claim_idle=0s"));
	assert_true(harness_wait_received(f.source, COUNT, DEADLINE));
	entries_age(&f);
	harness_hold(f.source, true); /* so that all come at once */
	harness_settle_range(f.source, 0, COUNT, XF_SETTLE_EXTEND);
	harness_hold(f.source, false);
	assert_true(harness_wait_settled(f.source, DEADLINE));
	assert_true(redis_wait_number(&f, IDLE_ENTRIES, 0));
	other = harness_source(f.harness, "other", "s.1", OPTIONS("mode=stream", "group=g", "consumer=o", "claim_idle=50m"));
	assert_true(harness_wait_state(other, XF_STATE_UP, DEADLINE));
	harness_sleep_ms(500);
	assert_int_equal(harness_received(other), 0);
	harness_settle_range(f.source, 0, COUNT, XF_SETTLE_ACK);
	assert_true(wait_pending(&f, 0));
	harness_destroy(&other);
	fixture_close(&f);
}

/* After an outage all entries are idle for long. Who is back first does not take what the others are at work on. */
static void
test_who_was_kept_away_is_not_dead(void **state)
{
	struct harness_endpoint *other;
	struct fixture f;

	(void)state;
	fixture_open(&f, NULL, to_stream);
	publish_many(f.sink, "s.1", 0, 10);
	f.source = harness_source(f.harness, "source", "s.1", stream);
	assert_true(harness_wait_received(f.source, 10, DEADLINE));
	entries_age(&f);
	other = harness_source(f.harness, "other", "s.1", OPTIONS("mode=stream", "group=g", "consumer=o", "claim_idle=50m"));
	assert_true(harness_wait_state(other, XF_STATE_UP, DEADLINE));
	publish_many(f.sink, "s.1", 10, 1);
	for (unsigned i = 0; harness_received(f.source) + harness_received(other) < 11; i++) {
		assert_in_range(i, 0, DEADLINE / 20);
		harness_sleep_ms(20);
	}
	harness_sleep_ms(500);
	assert_int_equal(harness_received(f.source) + harness_received(other), 11);
	redis_cut(&f); /* now this one is back: what it has is not idle any more */
	assert_true(redis_wait_number(&f, IDLE_ENTRIES, 0));
	harness_destroy(&other);
	fixture_close(&f);
}

/* A group that is there already is read from, though the server would take nothing new. */
static void
test_a_server_without_memory_is_read_from(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, NULL, to_stream);
	publish_many(f.sink, "s.1", 0, 10);
	f.source = harness_source(f.harness, "source", "s.1", stream);
	assert_true(harness_wait_received(f.source, 10, DEADLINE));
	harness_destroy(&f.source);
	free(xf_broker_ctl(f.broker, OPTIONS("CONFIG", "SET", "maxmemory", "1")));
	f.source = harness_source(f.harness, "source", "s.1", stream);
	assert_true(harness_wait_received(f.source, 10, DEADLINE));
	assert_true(harness_wait_state(f.source, XF_STATE_UP, DEADLINE));
	harness_settle_range(f.source, 0, 10, XF_SETTLE_ACK);
	assert_true(wait_pending(&f, 0));
	harness_destroy(&f.source);
	/* One that is not is waited for. */
	f.source = harness_source(f.harness, "source", "s.2", stream);
	assert_true(harness_wait_state(f.source, XF_STATE_BLOCKED, DEADLINE));
	assert_non_null(strstr(harness_state_reason(f.source), "maxmemory"));
	assert_int_equal(harness_state_count(f.source, XF_STATE_UP), 0);
	fixture_close(&f);
}

static void
test_a_stalled_server_is_found(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, NULL, to_stream);
	f.source = harness_source(f.harness, "source", "s.1", stream);
	assert_true(harness_wait_state(f.source, XF_STATE_UP, DEADLINE));
	harness_sleep_ms(LONGER_THAN_HEARTBEAT);
	assert_int_equal(harness_state_count(f.source, XF_STATE_DOWN), 0);
	xf_broker_pause(f.broker);
	assert_true(harness_wait_state(f.source, XF_STATE_DOWN, DEADLINE));
	xf_broker_resume(f.broker);
	assert_true(harness_wait_state(f.source, XF_STATE_UP, DEADLINE));
	fixture_close(&f);
}

static void
test_a_key_that_is_no_stream_is_blocked(void **state)
{
	struct fixture f;
	struct xf_error error = {""};

	(void)state;
	fixture_open(&f, NULL, to_stream);
	free(xf_broker_ctl(f.broker, OPTIONS("SET", "s.1", "x")));
	f.source = harness_source(f.harness, "source", "s.1", stream);
	assert_true(harness_wait_state(f.source, XF_STATE_BLOCKED, DEADLINE));
	assert_non_null(strstr(harness_state_reason(f.source), "WRONGTYPE"));
	assert_null(harness_source_create(f.harness, "pattern", "s.*", stream, &error));
	assert_non_null(strstr(error.text, "one key"));
	assert_null(harness_source_create(f.harness, "pubsub", "s.*", OPTIONS("group=g"), &error));
	assert_non_null(strstr(error.text, "mode: stream"));
	fixture_close(&f);
}

/* A look that leaves nothing: no group, no key that was not there, and nobody's place is moved. */
static void
test_ephemeral_leaves_nothing(void **state)
{
	const char *const look[] = {"mode=stream", "ephemeral=true", NULL};
	const char *const new[] = {"mode=stream", "ephemeral=true", "deliver=new", NULL};
	struct harness_endpoint *late, *nowhere;
	struct fixture f;
	char *out;

	(void)state;
	fixture_open(&f, NULL, to_stream);
	publish_many(f.sink, "s.1", 0, 1000);
	f.source = harness_source(f.harness, "all", "s.1", look);
	late = harness_source(f.harness, "new", "s.1", new);
	nowhere = harness_source(f.harness, "nowhere", "s.none", new);
	assert_true(harness_wait_state(late, XF_STATE_UP, DEADLINE));
	assert_true(harness_wait_state(nowhere, XF_STATE_UP, DEADLINE));
	assert_true(harness_wait_received(f.source, 1000, DEADLINE));

	/* Offered again without a group that would know it; what is under way holds nothing up. */
	harness_settle(f.source, 7, XF_SETTLE_RETRY, 0);
	assert_true(harness_wait_received(f.source, 1001, DEADLINE));
	assert_int_equal(number_of(f.source, 1000), 7);
	assert_true((harness_message(f.source, 1000)->in.flags & XF_MESSAGE_REDELIVERED) != 0);
	harness_settle_range(f.source, 0, 7, XF_SETTLE_ACK);
	harness_settle(f.source, 1000, XF_SETTLE_ACK, 0);

	/* Across a cut it goes on where it was. */
	free(xf_broker_ctl(f.broker, OPTIONS("CLIENT", "KILL", "TYPE", "normal")));
	assert_true(harness_wait_state_count(f.source, XF_STATE_UP, 2, DEADLINE));
	assert_true(harness_wait_state_count(late, XF_STATE_UP, 2, DEADLINE));
	assert_true(harness_wait_state_count(f.sink, XF_STATE_UP, 2, DEADLINE));
	publish_many(f.sink, "s.1", 1000, 50);
	assert_true(harness_wait_received(f.source, 1051, DEADLINE));
	assert_int_equal(number_of(f.source, 1001), 1000);
	assert_true(harness_wait_received(late, 50, DEADLINE));
	assert_int_equal(number_of(late, 0), 1000);
	harness_sleep_ms(200);
	assert_int_equal(harness_received(f.source), 1051);
	assert_int_equal(harness_received(late), 50);
	assert_int_equal(harness_received(nowhere), 0);

	harness_destroy(&nowhere);
	harness_destroy(&late);
	out = xf_broker_ctl(f.broker, OPTIONS("XINFO", "GROUPS", "s.1"));
	assert_string_equal(out, "\n");
	free(out);
	out = xf_broker_ctl(f.broker, OPTIONS("EXISTS", "s.none"));
	assert_int_equal(atol(out), 0);
	free(out);
	fixture_close(&f);
}

/* What has no group has nothing of one. */
static void
test_ephemeral_settings(void **state)
{
	struct xf_error error = {{0}};
	struct fixture f;

	(void)state;
	fixture_open(&f, NULL, to_stream);
	assert_null(harness_source_create(f.harness, "a", "s.1", OPTIONS("mode=stream", "ephemeral=true", "group=g"), &error));
	assert_non_null(strstr(error.text, "an ephemeral source has no group"));
	assert_null(harness_source_create(f.harness, "b", "s.1", OPTIONS("ephemeral=true"), &error));
	assert_non_null(strstr(error.text, "ephemeral: only with 'mode: stream'"));
	fixture_close(&f);
}

/* A reply that the server did not answer: nobody knows what became of it, so its request is not acknowledged, and comes again. */
static void
test_a_reply_without_an_answer(void **state)
{
	struct xf_outgoing message = {.subject = {"s.1", 3}, .id = {"id-1", 4}, .reply = {"r.1", 3}, .payload = "x", .payload_size = 1};
	struct fixture f;

	(void)state;
	fixture_open(&f, OPTIONS("--appendonly", "yes", "--appendfsync", "always"), to_stream);
	harness_requests(f.harness, DEADLINE);
	harness_publish(f.sink, &message);
	assert_true(harness_wait_completed(f.sink, 1, DEADLINE));
	f.source = harness_source(f.harness, "source", "s.1", stream);
	assert_true(harness_wait_received(f.source, 1, DEADLINE));
	xf_broker_pause(f.broker);
	harness_reply_text(f.source, 0, "the reply");
	harness_settle(f.source, 0, XF_SETTLE_ACK, 0);
	assert_true(harness_wait_settled(f.source, DEADLINE));
	xf_broker_kill(f.broker);
	xf_broker_restart(f.broker);
	assert_true(harness_wait_received(f.source, 2, DEADLINE));
	assert_string_equal(harness_message(f.source, 1)->in.id.data, "id-1");
	assert_true(harness_wait_state(f.source, XF_STATE_UP, DEADLINE));
	harness_settle(f.source, 1, XF_SETTLE_ACK, 0);
	assert_true(harness_wait_settled(f.source, DEADLINE));
	fixture_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_a_sink_writes_a_source_reads),
		cmocka_unit_test(test_a_reply_without_an_answer),
		cmocka_unit_test(test_acknowledged_in_order_and_done),
		cmocka_unit_test(test_credit_is_kept),
		cmocka_unit_test(test_unsettled_comes_again_after_a_restart),
		cmocka_unit_test(test_retry_offers_it_again),
		cmocka_unit_test(test_a_cut_connection_repeats_nothing_under_way),
		cmocka_unit_test(test_a_lost_group_is_made_again),
		cmocka_unit_test(test_what_the_dead_left_is_taken_over),
		cmocka_unit_test(test_what_is_extended_is_not_taken_over),
		cmocka_unit_test(test_who_was_kept_away_is_not_dead),
		cmocka_unit_test(test_a_server_without_memory_is_read_from),
		cmocka_unit_test(test_a_stalled_server_is_found),
		cmocka_unit_test(test_a_key_that_is_no_stream_is_blocked),
		cmocka_unit_test(test_ephemeral_leaves_nothing),
		cmocka_unit_test(test_ephemeral_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
