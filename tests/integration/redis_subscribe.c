/*
 * The Redis source against a real server: patterns, names, order, and what it does when the connection ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker.h"
#include "harness.h"
#include "wait.h"

#define DEADLINE XF_WAIT_MS

struct fixture {
	struct xf_broker *broker;
	struct harness *harness;
	struct harness_endpoint *source;
	char url[128];
};

static void
fixture_open(struct fixture *f, const char *subject, const char *const *transport, const char *const *options)
{
	const char *all[16] = {f->url};
	size_t n = 1;

	memset(f, 0, sizeof(*f));
	f->broker = xf_broker_start("redis", NULL);
	snprintf(f->url, sizeof(f->url), "url=%s", xf_broker_url(f->broker));
	for (; transport != NULL && *transport != NULL; transport++)
		all[n++] = *transport;
	all[n] = NULL;
	f->harness = harness_open("redis", all);
	f->source = harness_source(f->harness, "source", subject, options);
}

static void
fixture_close(struct fixture *f)
{
	harness_destroy(&f->source);
	harness_close(&f->harness);
	xf_broker_destroy(&f->broker);
}

static long
redis_publish(struct fixture *f, const char *channel, const char *payload)
{
	char *out = xf_broker_ctl(f->broker, OPTIONS("PUBLISH", channel, payload));
	long receivers = atol(out);

	free(out);
	return receivers;
}

static void
expect_message(struct fixture *f, size_t index, const char *subject, const char *payload)
{
	const struct harness_message *m;

	assert_true(harness_wait_received(f->source, index + 1, DEADLINE));
	m = harness_message(f->source, index);
	assert_string_equal(m->in.subject.data, subject);
	assert_int_equal(m->in.payload_size, strlen(payload));
	assert_memory_equal(m->in.payload, payload, strlen(payload));
}

static void
test_a_subject_is_one_channel(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, "a.b[1]*", NULL, NULL);
	assert_int_equal(harness_source_traits(f.harness, NULL), XF_TRAIT_LOSSY | XF_TRAIT_REPLIES);
	assert_true(harness_wait_state(f.source, XF_STATE_UP, DEADLINE));
	assert_int_equal(redis_publish(&f, "a.b1", "no"), 0);
	assert_int_equal(redis_publish(&f, "a.b[1]*", "yes"), 1);
	assert_int_equal(redis_publish(&f, "a.b[1]*", ""), 1);
	expect_message(&f, 0, "a.b[1]*", "yes");
	expect_message(&f, 1, "a.b[1]*", "");
	fixture_close(&f);
}

static void
test_a_pattern_is_a_glob_that_is_not_narrower(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, "a[x]?*.*.c.>", NULL, NULL);
	assert_true(harness_wait_state(f.source, XF_STATE_UP, DEADLINE));
	assert_int_equal(redis_publish(&f, "ax?*.1.c.d", "no: [x] is meant as it stands"), 0);
	assert_int_equal(redis_publish(&f, "a[x]y*.1.c.d", "no: ? too"), 0);
	assert_int_equal(redis_publish(&f, "a[x]?y.1.c.d", "no: and a * within a token"), 0);
	assert_int_equal(redis_publish(&f, "a[x]?*.1.c.d", "1"), 1);
	assert_int_equal(redis_publish(&f, "a[x]?*.1.c.d.e.f", "2"), 1);
	expect_message(&f, 0, "a[x]?*.1.c.d", "1");
	expect_message(&f, 1, "a[x]?*.1.c.d.e.f", "2");
	fixture_close(&f);
}

static void
test_everything(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, ">", NULL, NULL);
	assert_true(harness_wait_state(f.source, XF_STATE_UP, DEADLINE));
	assert_int_equal(redis_publish(&f, "x", "1"), 1);
	assert_int_equal(redis_publish(&f, "a.b.c", "2"), 1);
	expect_message(&f, 0, "x", "1");
	expect_message(&f, 1, "a.b.c", "2");
	fixture_close(&f);
}

static void
test_a_separator_is_translated_both_ways(void **state)
{
	struct fixture f;
	struct harness_endpoint *sink;

	(void)state;
	fixture_open(&f, "a.*.>", NULL, OPTIONS("separator=:"));
	assert_true(harness_wait_state(f.source, XF_STATE_UP, DEADLINE));
	assert_int_equal(redis_publish(&f, "a.b.c", "no"), 0);
	assert_int_equal(redis_publish(&f, "a:b:c", "1"), 1);
	expect_message(&f, 0, "a.b.c", "1");
	sink = harness_sink(f.harness, "sink", NULL, OPTIONS("separator=:"));
	harness_publish_text(sink, "a.x.y.z", "2");
	expect_message(&f, 1, "a.x.y.z", "2");
	harness_destroy(&sink);
	fixture_close(&f);
}

static void
test_many_in_order_whatever_the_credit(void **state)
{
	enum { COUNT = 200000 };
	struct fixture f;
	struct harness_endpoint *sink;
	char payload[64];

	(void)state;
	fixture_open(&f, "a.>", NULL, NULL);
	harness_window(f.source, 10, 1000);
	assert_true(harness_wait_state(f.source, XF_STATE_UP, DEADLINE));
	sink = harness_sink(f.harness, "sink", NULL, NULL);
	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(payload, sizeof(payload), "%u %*s", i, (int)(i % 40), "");
		harness_publish_text(sink, i % 2 ? "a.odd" : "a.even", payload);
	}
	assert_true(harness_wait_received(f.source, COUNT, 30000));
	for (unsigned i = 0; i < COUNT; i++) {
		const struct harness_message *m = harness_message(f.source, i);

		assert_int_equal(strtoul(m->in.payload, NULL, 10), i);
		assert_string_equal(m->in.subject.data, i % 2 ? "a.odd" : "a.even");
	}
	assert_int_equal(harness_state_count(f.source, XF_STATE_DOWN), 0);
	harness_destroy(&sink);
	fixture_close(&f);
}

static void
test_it_comes_back_and_says_what_may_be_lost(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, "a.*", NULL, NULL);
	assert_true(harness_wait_state(f.source, XF_STATE_UP, DEADLINE));
	assert_int_equal(harness_log_count(f.source, XF_LOG_WARN), 0);
	xf_broker_kill(f.broker);
	assert_true(harness_wait_state(f.source, XF_STATE_DOWN, DEADLINE));
	xf_broker_restart(f.broker);
	assert_true(harness_wait_state(f.source, XF_STATE_UP, DEADLINE));
	assert_true(harness_log_count(f.source, XF_LOG_WARN) > 0);
	assert_int_equal(redis_publish(&f, "a.b", "again"), 1);
	expect_message(&f, 0, "a.b", "again");
	fixture_close(&f);
}

static void
test_a_stalled_server_is_found(void **state)
{
	struct fixture f;
	uint64_t start;

	(void)state;
	fixture_open(&f, "a", OPTIONS("heartbeat=400ms"), NULL);
	assert_true(harness_wait_state(f.source, XF_STATE_UP, DEADLINE));
	harness_sleep_ms(1500);
	assert_int_equal(harness_state_count(f.source, XF_STATE_DOWN), 0);
	xf_broker_pause(f.broker);
	start = harness_now_ms();
	assert_true(harness_wait_state(f.source, XF_STATE_DOWN, 1500));
	assert_in_range(harness_now_ms() - start, 0, 1100);
	xf_broker_resume(f.broker);
	assert_true(harness_wait_state(f.source, XF_STATE_UP, DEADLINE));
	fixture_close(&f);
}

static void
test_a_refused_channel_is_blocked(void **state)
{
	struct fixture f = {0};

	(void)state;
	fixture_open(&f, "secret", OPTIONS("user=svc", "password=p%40:/"), NULL);
	/* the user comes into being after the first refusal */
	assert_true(harness_wait_state_count(f.source, XF_STATE_DOWN, 1, DEADLINE));
	free(xf_broker_ctl(f.broker, OPTIONS("ACL", "SETUSER", "svc", "on", ">p%40:/", "&public", "+@all")));
	assert_true(harness_wait_state(f.source, XF_STATE_BLOCKED, 15000));
	assert_non_null(strstr(harness_state_reason(f.source), "refuses the subscription: NOPERM"));
	free(xf_broker_ctl(f.broker, OPTIONS("ACL", "SETUSER", "svc", "&secret")));
	assert_true(harness_wait_state(f.source, XF_STATE_UP, 30000));
	fixture_close(&f);
}

/* A subscriber may lack the right to PING: the refusal is a sign of life, too. */
static void
test_ping_needs_no_permission(void **state)
{
	struct fixture f = {0};

	(void)state;
	f.broker = xf_broker_start("redis", NULL);
	free(xf_broker_ctl(f.broker, OPTIONS("ACL", "SETUSER", "svc", "on", ">pw", "&*", "-@all", "+subscribe",
	                                     "+psubscribe")));
	snprintf(f.url, sizeof(f.url), "url=redis://svc:pw@%s", xf_broker_url(f.broker) + strlen("redis://"));
	f.harness = harness_open("redis", OPTIONS(f.url, "heartbeat=200ms"));
	f.source = harness_source(f.harness, "source", "a", NULL);
	assert_true(harness_wait_state(f.source, XF_STATE_UP, DEADLINE));
	harness_sleep_ms(1000);
	assert_int_equal(harness_state_count(f.source, XF_STATE_DOWN), 0);
	assert_int_equal(redis_publish(&f, "a", "x"), 1);
	expect_message(&f, 0, "a", "x");
	fixture_close(&f);
}

static void
test_draining_unsubscribes(void **state)
{
	struct fixture f;
	long receivers = 1;

	(void)state;
	fixture_open(&f, "a.*", NULL, NULL);
	assert_true(harness_wait_state(f.source, XF_STATE_UP, DEADLINE));
	harness_drain(f.source);
	for (unsigned i = 0; i < 100 && receivers > 0; i++) {
		harness_sleep_ms(20);
		receivers = redis_publish(&f, "a.b", "late");
	}
	assert_int_equal(receivers, 0);
	fixture_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_subject_is_one_channel),
		cmocka_unit_test(test_a_pattern_is_a_glob_that_is_not_narrower),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_a_separator_is_translated_both_ways),
		cmocka_unit_test(test_many_in_order_whatever_the_credit),
		cmocka_unit_test(test_it_comes_back_and_says_what_may_be_lost),
		cmocka_unit_test(test_a_stalled_server_is_found),
		cmocka_unit_test(test_a_refused_channel_is_blocked),
		cmocka_unit_test(test_ping_needs_no_permission),
		cmocka_unit_test(test_draining_unsubscribes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
