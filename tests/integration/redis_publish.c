/*
 * The Redis sink against a real server: what arrives, what each refusal becomes, and what an outage leaves.
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
	char url[128];
};

static void
fixture_open(struct fixture *f, const char *const *server, const char *const *more)
{
	const char *options[16] = {f->url};
	size_t n = 1;

	f->broker = xf_broker_start("redis", server);
	snprintf(f->url, sizeof(f->url), "url=%s", xf_broker_url(f->broker));
	for (; more != NULL && *more != NULL; more++)
		options[n++] = *more;
	options[n] = NULL;
	f->harness = harness_open("redis", options);
}

static void
fixture_close(struct fixture *f)
{
	harness_close(&f->harness);
	xf_broker_destroy(&f->broker);
}

static char *
redis_cli(struct fixture *f, const char *a, const char *b, const char *c, const char *d)
{
	const char *args[] = {a, b, c, d, NULL};

	return xf_broker_ctl(f->broker, args);
}

static void
redis_do(struct fixture *f, const char *a, const char *b, const char *c, const char *d)
{
	free(redis_cli(f, a, b, c, d));
}

static struct xf_str
str(const char *text)
{
	return (struct xf_str){text, strlen(text)};
}

static void
publish_many(struct harness_endpoint *sink, const char *subject, unsigned count)
{
	char payload[32];

	for (unsigned i = 0; i < count; i++) {
		snprintf(payload, sizeof(payload), "%u", i);
		harness_publish_text(sink, subject, payload);
	}
}

/* ---- What arrives ------------------------------------------------------------------ */

static void
test_pubsub_tells_when_nobody_listens(void **state)
{
	struct fixture f = {0};
	struct harness_endpoint *sink, *source;

	(void)state;
	fixture_open(&f, NULL, NULL);
	sink = harness_sink(f.harness, "sink", NULL, NULL);
	harness_publish_text(sink, "a.b", "lost");
	assert_true(harness_wait_completed(sink, 1, DEADLINE));
	assert_int_equal(harness_result(sink, 0).code, XF_RESULT_STORED);
	assert_int_equal(harness_result(sink, 0).flags, XF_RESULT_NO_RECEIVER);

	source = harness_source(f.harness, "source", "a.b", NULL);
	assert_true(harness_wait_state(source, XF_STATE_UP, DEADLINE));
	harness_publish_text(sink, "a.b", "kept");
	assert_true(harness_wait_completed(sink, 2, DEADLINE));
	assert_int_equal(harness_result(sink, 1).flags, 0);
	assert_true(harness_wait_received(source, 1, DEADLINE));
	assert_string_equal((const char *)harness_message(source, 0)->in.payload, "kept");
	harness_destroy(&source);
	harness_destroy(&sink);
	fixture_close(&f);
}

static void
test_stream_entry_holds_all_of_a_message(void **state)
{
	static const struct xf_header headers[] = {
		{{"n", 1}, {"one", 3}}, {{"n", 1}, {"two", 3}}, {{"Crossfade-Id", 12}, {"id-1", 4}}};
	struct fixture f = {0};
	struct harness_endpoint *sink;
	struct xf_outgoing message = {
		.subject = str("orders.eu"), .id = str("id-1"), .key = str("k"), .reply = str("r.1"),
		.content_type = str("text/plain"), .payload = "body", .payload_size = 4,
		.headers = headers, .header_count = 3,
	};
	char *out;

	(void)state;
	fixture_open(&f, NULL, NULL);
	assert_int_equal(harness_sink_traits(f.harness, OPTIONS("mode=stream")), XF_TRAIT_HEADERS | XF_TRAIT_REQUESTS);
	assert_int_equal(harness_sink_traits(f.harness, NULL), XF_TRAIT_EPHEMERAL | XF_TRAIT_REQUESTS);
	sink = harness_sink(f.harness, "sink", NULL, OPTIONS("mode=stream"));
	harness_publish(sink, &message);
	assert_true(harness_wait_completed(sink, 1, DEADLINE));
	assert_int_equal(harness_result(sink, 0).code, XF_RESULT_STORED);
	out = redis_cli(&f, "XRANGE", "orders.eu", "-", "+");
	assert_non_null(strstr(out, "payload\nbody\nid\nid-1\nsubject\norders.eu\nkey\nk\nreply\nr.1\nh:n\none\nh:n\ntwo\n"
	                            "h:Crossfade-Id\nid-1\nh:Content-Type\ntext/plain"));
	free(out);
	harness_destroy(&sink);
	fixture_close(&f);
}

static void
test_stream_takes_foreign_names(void **state)
{
	struct fixture f = {0};
	struct harness_endpoint *sink;
	char *out;

	(void)state;
	fixture_open(&f, NULL, NULL);
	sink = harness_sink(f.harness, "sink", NULL,
	                    OPTIONS("mode=stream", "separator=:", "fields.payload=data", "fields.subject=topic"));
	harness_publish_text(sink, "a.b.c", "body");
	assert_true(harness_wait_completed(sink, 1, DEADLINE));
	out = redis_cli(&f, "XRANGE", "a:b:c", "-", "+");
	assert_non_null(strstr(out, "data\nbody\n"));
	assert_non_null(strstr(out, "topic\na.b.c"));
	free(out);
	harness_destroy(&sink);
	fixture_close(&f);
}

static void
test_stream_is_trimmed(void **state)
{
	struct fixture f = {0};
	struct harness_endpoint *sink;
	char *out;

	(void)state;
	fixture_open(&f, NULL, NULL);
	sink = harness_sink(f.harness, "sink", NULL, OPTIONS("mode=stream", "maxlen=500"));
	publish_many(sink, "s", 5000);
	assert_true(harness_wait_completed(sink, 5000, DEADLINE));
	assert_int_equal(harness_completed_as(sink, XF_RESULT_STORED), 5000);
	out = redis_cli(&f, "XLEN", "s", NULL, NULL);
	assert_in_range(atol(out), 500, 700);
	free(out);
	harness_destroy(&sink);
	fixture_close(&f);
}

static void
test_payloads_of_all_sizes_arrive_in_order(void **state)
{
	static const size_t sizes[] = {0, 1, 127, 4096, 70000, 300000, 5 * 1024 * 1024, 2, 8 * 1024 * 1024, 3};
	const size_t count = sizeof(sizes) / sizeof(sizes[0]);
	char *payload = malloc(8 * 1024 * 1024);
	struct fixture f = {0};
	struct harness_endpoint *sink, *source;

	(void)state;
	for (size_t i = 0; i < 8 * 1024 * 1024; i++)
		payload[i] = (char)(i * 31 + (i >> 8));
	fixture_open(&f, NULL, NULL);
	source = harness_source(f.harness, "source", ">", NULL);
	assert_true(harness_wait_state(source, XF_STATE_UP, DEADLINE));
	sink = harness_sink(f.harness, "sink", NULL, NULL);
	for (size_t i = 0; i < count; i++) {
		struct xf_outgoing message = {.subject = str("bytes"), .payload = payload, .payload_size = sizes[i]};

		harness_publish(sink, &message);
	}
	assert_true(harness_wait_completed(sink, count, DEADLINE));
	assert_int_equal(harness_completed_as(sink, XF_RESULT_STORED), count);
	assert_true(harness_wait_received(source, count, DEADLINE));
	for (size_t i = 0; i < count; i++) {
		const struct harness_message *m = harness_message(source, i);

		assert_int_equal(m->in.payload_size, sizes[i]);
		assert_memory_equal(m->in.payload, payload, sizes[i]);
	}
	free(payload);
	harness_destroy(&sink);
	harness_destroy(&source);
	fixture_close(&f);
}

/* ---- Refusals ------------------------------------------------------------------------- */

static void
test_wrong_type_waits_and_others_pass(void **state)
{
	struct fixture f = {0};
	struct harness_endpoint *sink;

	(void)state;
	fixture_open(&f, NULL, NULL);
	redis_do(&f, "SET", "wrong", "x", NULL);
	sink = harness_sink(f.harness, "sink", NULL, OPTIONS("mode=stream"));
	assert_true(harness_wait_state(sink, XF_STATE_UP, DEADLINE));
	harness_hold(sink, true);
	harness_publish_text(sink, "right", "1");
	harness_publish_text(sink, "wrong", "2");
	harness_publish_text(sink, "right", "3");
	harness_hold(sink, false);
	assert_true(harness_wait_completed(sink, 3, DEADLINE));
	assert_int_equal(harness_result(sink, 0).code, XF_RESULT_STORED);
	assert_int_equal(harness_result(sink, 1).code, XF_RESULT_NOT_SENT);
	assert_non_null(strstr(harness_result(sink, 1).reason, "WRONGTYPE"));
	assert_int_equal(harness_result(sink, 2).code, XF_RESULT_STORED);
	assert_int_equal(harness_state(sink), XF_STATE_BLOCKED);
	assert_non_null(strstr(harness_state_reason(sink), "another kind"));
	/* the memory of it fades */
	harness_clock_advance(5000);
	assert_true(harness_wait_state(sink, XF_STATE_UP, DEADLINE));
	harness_destroy(&sink);
	fixture_close(&f);
}

static void
test_full_memory_blocks_until_there_is_some(void **state)
{
	struct fixture f = {0};
	struct harness_endpoint *sink;
	size_t tries = 1, ups;

	(void)state;
	fixture_open(&f, NULL, NULL);
	sink = harness_sink(f.harness, "sink", NULL, OPTIONS("mode=stream"));
	assert_true(harness_wait_state(sink, XF_STATE_UP, DEADLINE));
	redis_do(&f, "CONFIG", "SET", "maxmemory", "1");
	harness_hold(sink, true);
	publish_many(sink, "s", 1000);
	harness_hold(sink, false);
	assert_true(harness_wait_state(sink, XF_STATE_BLOCKED, DEADLINE));
	assert_non_null(strstr(harness_state_reason(sink), "OOM"));
	assert_true(harness_wait_completed(sink, 1000, DEADLINE));
	assert_int_equal(harness_completed_as(sink, XF_RESULT_NOT_SENT), 1000);
	assert_int_equal(harness_state_count(sink, XF_STATE_BLOCKED), 1);

	/* what is offered meanwhile goes out as a probe now and then, not as a storm */
	ups = harness_state_count(sink, XF_STATE_UP);
	for (; tries < 20; tries++)
		harness_republish(sink, 0);
	harness_sleep_ms(1000);
	assert_in_range(harness_completed(sink), 1001, 1006);
	redis_do(&f, "CONFIG", "SET", "maxmemory", "0");
	assert_true(harness_wait_state_count(sink, XF_STATE_UP, ups + 1, DEADLINE));
	publish_many(sink, "s", 100);
	assert_true(harness_wait_completed(sink, 1000 + 19 + 100, DEADLINE));
	assert_int_equal(harness_result(sink, 1000 + 19 + 99).code, XF_RESULT_STORED);
	harness_destroy(&sink);
	fixture_close(&f);
}

static void
test_what_never_will_be_is_rejected(void **state)
{
	struct fixture f = {0};
	struct harness_endpoint *sink;
	char *payload = calloc(1, 2 * 1024 * 1024);
	struct xf_outgoing message = {.subject = str("s"), .payload = payload, .payload_size = 2 * 1024 * 1024};

	(void)state;
	fixture_open(&f, NULL, NULL);
	redis_do(&f, "CONFIG", "SET", "proto-max-bulk-len", "1mb");
	sink = harness_sink(f.harness, "sink", NULL, OPTIONS("mode=stream"));
	harness_publish_text(sink, "s", "small");
	harness_publish(sink, &message);
	harness_publish_text(sink, "s", "small");
	assert_true(harness_wait_completed(sink, 3, DEADLINE));
	assert_int_equal(harness_result(sink, 0).code, XF_RESULT_STORED);
	assert_int_equal(harness_result(sink, 1).code, XF_RESULT_REJECTED);
	assert_true(harness_result(sink, 2).code == XF_RESULT_UNKNOWN || harness_result(sink, 2).code == XF_RESULT_STORED ||
	            harness_result(sink, 2).code == XF_RESULT_NOT_SENT);
	harness_publish_text(sink, "s", "after");
	assert_true(harness_wait_completed(sink, 4, DEADLINE));
	assert_int_equal(harness_result(sink, 3).code, XF_RESULT_STORED);
	free(payload);
	harness_destroy(&sink);
	fixture_close(&f);
}

static void
test_a_lacking_permission_waits(void **state)
{
	struct fixture f = {0};
	struct harness_endpoint *sink;

	(void)state;
	fixture_open(&f, NULL, OPTIONS("user=svc", "password=s3cret"));
	free(xf_broker_ctl(f.broker, OPTIONS("ACL", "SETUSER", "svc", "on", ">s3cret", "~ok*", "&ok*", "+@all")));
	sink = harness_sink(f.harness, "sink", NULL, OPTIONS("mode=stream"));
	assert_true(harness_wait_state(sink, XF_STATE_UP, DEADLINE));
	harness_publish_text(sink, "ok.1", "x");
	harness_publish_text(sink, "forbidden", "x");
	assert_true(harness_wait_completed(sink, 2, DEADLINE));
	assert_int_equal(harness_result(sink, 0).code, XF_RESULT_STORED);
	assert_int_equal(harness_result(sink, 1).code, XF_RESULT_NOT_SENT);
	assert_true(harness_wait_state(sink, XF_STATE_BLOCKED, DEADLINE));
	free(xf_broker_ctl(f.broker, OPTIONS("ACL", "SETUSER", "svc", "allkeys")));
	harness_republish(sink, 1);
	assert_true(harness_wait_completed(sink, 3, DEADLINE));
	assert_int_equal(harness_result(sink, 2).code, XF_RESULT_STORED);
	harness_destroy(&sink);
	fixture_close(&f);
}

static void
test_a_wrong_password_is_said_once(void **state)
{
	struct fixture f = {0};
	struct harness_endpoint *sink;
	char *out, *calls;

	(void)state;
	fixture_open(&f, NULL, OPTIONS("password=wrong"));
	free(xf_broker_ctl(f.broker, OPTIONS("ACL", "SETUSER", "default", "resetpass", ">right")));
	sink = harness_sink(f.harness, "sink", NULL, NULL);
	assert_true(harness_wait_state_count(sink, XF_STATE_DOWN, 1, DEADLINE));
	assert_non_null(strstr(harness_state_reason(sink), "refuses user 'default' or its password"));
	assert_null(strstr(harness_state_reason(sink), "wrong"));
	harness_sleep_ms(2000);
	assert_int_equal(harness_state_count(sink, XF_STATE_DOWN), 1);
	out = xf_broker_ctl(f.broker, OPTIONS("-a", "right", "--no-auth-warning", "INFO", "commandstats"));
	calls = strstr(out, "cmdstat_auth:calls=");
	assert_non_null(calls);
	assert_in_range(atol(calls + strlen("cmdstat_auth:calls=")), 1, 3); /* one of them this test's own */
	free(out);
	free(xf_broker_ctl(f.broker,
	                   OPTIONS("-a", "right", "--no-auth-warning", "ACL", "SETUSER", "default", ">wrong")));
	assert_true(harness_wait_state(sink, XF_STATE_UP, 15000));
	harness_destroy(&sink);
	fixture_close(&f);
}

/* ---- Outages ---------------------------------------------------------------------------- */

static void
test_killed_under_load(void **state)
{
	struct fixture f = {0};
	struct harness_endpoint *sink;
	size_t stored = 0;
	char *out;

	(void)state;
	fixture_open(&f, NULL, NULL);
	sink = harness_sink(f.harness, "sink", NULL, OPTIONS("mode=stream"));
	for (unsigned round = 1; round <= 5; round++) {
		assert_true(harness_wait_state_count(sink, XF_STATE_UP, round, DEADLINE));
		publish_many(sink, "s", 20000);
		harness_sleep_ms(round);
		xf_broker_kill(f.broker);
		assert_true(harness_wait_state(sink, XF_STATE_DOWN, DEADLINE));
		stored = harness_completed_as(sink, XF_RESULT_STORED);
		xf_broker_restart(f.broker);
	}
	assert_true(harness_wait_completed(sink, 5 * 20000, DEADLINE));
	assert_int_equal(harness_completed_as(sink, XF_RESULT_STORED) + harness_completed_as(sink, XF_RESULT_UNKNOWN) +
	                         harness_completed_as(sink, XF_RESULT_NOT_SENT),
	                 5 * 20000);
	assert_in_range(harness_completed_as(sink, XF_RESULT_UNKNOWN), 0, 5 * 4096);
	/* The last server began empty: it holds exactly what was confirmed since. */
	out = redis_cli(&f, "XLEN", "s", NULL, NULL);
	assert_int_equal(atol(out), harness_completed_as(sink, XF_RESULT_STORED) - stored);
	free(out);
	harness_destroy(&sink);
	fixture_close(&f);
}

static void
test_a_stalled_server_is_found_busy_and_idle(void **state)
{
	struct fixture f = {0};
	struct harness_endpoint *busy, *idle;
	uint64_t start;
	size_t taken;

	(void)state;
	/* Generous, for a machine that stalls by itself must not look like a server that does. */
	fixture_open(&f, NULL, OPTIONS("heartbeat=1s", "timeout=3s"));
	busy = harness_sink(f.harness, "busy", NULL, OPTIONS("mode=stream"));
	idle = harness_sink(f.harness, "idle", NULL, NULL);
	assert_true(harness_wait_state(busy, XF_STATE_UP, DEADLINE));
	assert_true(harness_wait_state(idle, XF_STATE_UP, DEADLINE));
	harness_sleep_ms(5000); /* heartbeats are answered */
	assert_int_equal(harness_state_count(idle, XF_STATE_DOWN), 0);
	assert_int_equal(harness_state_count(busy, XF_STATE_DOWN), 0);
	xf_broker_pause(f.broker);
	start = harness_now_ms();
	publish_many(busy, "s", 10);
	assert_true(harness_wait_state(busy, XF_STATE_DOWN, DEADLINE));
	assert_true(harness_wait_state(idle, XF_STATE_DOWN, DEADLINE));
	assert_in_range(harness_now_ms() - start, 0, 8000); /* a heartbeat and a time-out, and a slow machine */
	/* Where the machine stood still for longer than the time-out, they were not even offered. */
	taken = harness_completed(busy);
	assert_int_equal(harness_completed_as(busy, XF_RESULT_UNKNOWN), taken);
	assert_true(taken == 0 || taken == 10);
	xf_broker_resume(f.broker);
	assert_true(harness_wait_state(busy, XF_STATE_UP, DEADLINE));
	assert_true(harness_wait_state(idle, XF_STATE_UP, DEADLINE));
	assert_true(harness_wait_completed(busy, 10, DEADLINE));
	harness_destroy(&busy);
	harness_destroy(&idle);
	fixture_close(&f);
}

/* The kernel takes a few megabytes for a server that does not read; the rest was never sent, and is said to be so. */
static void
test_what_was_not_written_is_known_not_to_be(void **state)
{
	struct fixture f = {0};
	struct harness_endpoint *sink;
	char *payload = calloc(1, 1024 * 1024);
	struct xf_outgoing message = {.subject = str("s"), .payload = payload, .payload_size = 1024 * 1024};
	char *out;
	long after;

	(void)state;
	fixture_open(&f, NULL, OPTIONS("timeout=500ms"));
	sink = harness_sink(f.harness, "sink", NULL, OPTIONS("mode=stream"));
	assert_true(harness_wait_state(sink, XF_STATE_UP, DEADLINE));
	xf_broker_pause(f.broker);
	for (unsigned i = 0; i < 40; i++)
		harness_publish(sink, &message);
	assert_true(harness_wait_state(sink, XF_STATE_DOWN, 3000));
	assert_in_range(harness_completed_as(sink, XF_RESULT_NOT_SENT), 1, 39);
	assert_int_equal(harness_completed_as(sink, XF_RESULT_STORED), 0);
	after = (long)harness_completed_as(sink, XF_RESULT_UNKNOWN);
	harness_hold(sink, true);
	xf_broker_resume(f.broker);
	assert_true(harness_wait_state(sink, XF_STATE_UP, DEADLINE));
	/* no more than what is unknown can have been stored */
	out = redis_cli(&f, "XLEN", "s", NULL, NULL);
	assert_in_range(atol(out), 0, after);
	free(out);
	free(payload);
	harness_destroy(&sink);
	fixture_close(&f);
}

static void
test_stop_completes_all(void **state)
{
	struct fixture f = {0};
	struct harness_endpoint *sink;

	(void)state;
	fixture_open(&f, NULL, NULL);
	sink = harness_sink(f.harness, "sink", NULL, OPTIONS("mode=stream"));
	assert_true(harness_wait_state(sink, XF_STATE_UP, DEADLINE));
	publish_many(sink, "s", 3000);
	while (harness_completed(sink) == 0)
		harness_sleep_ms(1);
	harness_stop(sink); /* the harness sees to it that no token is left */
	assert_int_equal(harness_completed_as(sink, XF_RESULT_UNKNOWN), 0);
	harness_destroy(&sink);
	fixture_close(&f);
}

/* ---- Settings ------------------------------------------------------------------------------ */

static void
expect_refusal(const char *words, const char *const *transport, const char *const *options)
{
	struct harness *h = harness_open("redis", transport);
	struct xf_error error = {""};

	assert_null(harness_sink_create(h, "sink", NULL, options, &error));
	if (strstr(error.text, words) == NULL)
		fail_msg("expected '%s' in '%s'", words, error.text);
	assert_null(strstr(error.text, "s3cret"));
	harness_close(&h);
}

static void
test_bad_settings_are_refused(void **state)
{
	(void)state;
	expect_refusal("No such file", OPTIONS("url=rediss://h", "tls.ca=/nowhere/ca.pem"), NULL);
	expect_refusal("expected redis://", OPTIONS("url=http://h"), NULL);
	expect_refusal("no host", OPTIONS("url=redis://"), NULL);
	expect_refusal("port", OPTIONS("url=redis://h:0"), NULL);
	expect_refusal("port", OPTIONS("url=redis://h:99999"), NULL);
	expect_refusal("database", OPTIONS("url=redis://h/x"), NULL);
	expect_refusal("IPv6", OPTIONS("url=redis://[::1"), NULL);
	expect_refusal("password", OPTIONS("url=redis://u:s3cret%@h"), NULL);
	expect_refusal("already", OPTIONS("url=redis://:s3cret@h", "password=s3cret"), NULL);
	expect_refusal("needs a password", OPTIONS("url=redis://svc@h"), NULL);
	expect_refusal("separator", OPTIONS("url=redis://h"), OPTIONS("separator=::"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_settings_are_refused),
		cmocka_unit_test(test_pubsub_tells_when_nobody_listens),
		cmocka_unit_test(test_stream_entry_holds_all_of_a_message),
		cmocka_unit_test(test_stream_takes_foreign_names),
		cmocka_unit_test(test_stream_is_trimmed),
		cmocka_unit_test(test_payloads_of_all_sizes_arrive_in_order),
		cmocka_unit_test(test_wrong_type_waits_and_others_pass),
		cmocka_unit_test(test_full_memory_blocks_until_there_is_some),
		cmocka_unit_test(test_what_never_will_be_is_rejected),
		cmocka_unit_test(test_a_lacking_permission_waits),
		cmocka_unit_test(test_a_wrong_password_is_said_once),
		cmocka_unit_test(test_killed_under_load),
		cmocka_unit_test(test_a_stalled_server_is_found_busy_and_idle),
		cmocka_unit_test(test_what_was_not_written_is_known_not_to_be),
		cmocka_unit_test(test_stop_completes_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
