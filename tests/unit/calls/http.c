#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <crossfade/handler.h>

#include "base/str.h"
#include "broker.h"
#include "handler_bench.h"
#include "harness.h"
#include "web.h"

static struct web *web;
static struct bench *bench;
static char url[200];

static int
setup(void **state)
{
	(void)state;
	web = web_create();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	if (bench != NULL)
		bench_close(&bench);
	web_destroy(&web);
	return 0;
}

#define OPEN(path, ...)                                                                                            \
	do {                                                                                                         \
		snprintf(url, sizeof(url), "url=http://127.0.0.1:%u%s", web_port(web), path);                          \
		bench = bench_open("http", OPTIONS(url, ##__VA_ARGS__));                                               \
	} while (0)

/* What becomes of a message. */
static const struct bench_result *
given(const char *payload)
{
	size_t number = bench_text(bench, payload);

	bench_wait_finished(bench, number + 1);
	return bench_result(bench, number);
}

static void
test_answers(void **state)
{
	static const struct xf_header headers[] = {{{"A", 1}, {"1", 1}}, {{"x-kept", 6}, {"old", 3}}};
	const struct xf_incoming message = {
		.subject = {"orders.eu", 9},
		.id = {"o 17", 4},
		.content_type = {"text/plain", 10},
		.payload = "{\"n\":\"\xc3\xa4/?\"}",
		.payload_size = 12,
		.headers = headers,
		.header_count = 2,
	};
	const struct xf_incoming *made;
	struct web_request request;

	(void)state;
	OPEN("/a%20b/{subject}?q={json./n}", "token=secret", "headers[0].name=X-Subject", "headers[0].value=s={subject.2}",
	     "keep_headers=X-Kept", "keep_headers=X-None");
	web_say(web, 201, "Content-Type: application/json\nX-Kept: new\nX-Other: y\n", "{\"fine\":true}");
	bench_give(bench, &message);
	bench_wait_finished(bench, 1);
	assert_int_equal(bench_result(bench, 0)->code, XF_OUTCOME_PASS);
	assert_int_equal(bench_result(bench, 0)->count, 1);
	made = bench_result(bench, 0)->messages[0];
	assert_int_equal(made->payload_size, 13);
	assert_memory_equal(made->payload, "{\"fine\":true}", 13);
	assert_true(xf_str_equal(made->content_type, xf_str("application/json")));
	assert_true(xf_str_equal(made->subject, message.subject));
	assert_int_equal(made->header_count, 2);
	assert_true(xf_str_equal(made->headers[0].value, xf_str("1")));
	assert_true(xf_str_equal(made->headers[1].name, xf_str("X-Kept")));
	assert_true(xf_str_equal(made->headers[1].value, xf_str("new")));
	request = web_request(web, 0);
	assert_string_equal(request.method, "POST");
	assert_string_equal(request.path, "/a%20b/orders.eu?q=%C3%A4%2F%3F");
	assert_string_equal(request.body, "{\"n\":\"\xc3\xa4/?\"}");
	assert_true(web_has_header(&request, "content-type: text/plain"));
	assert_true(web_has_header(&request, "message-id: o 17"));
	assert_true(web_has_header(&request, "authorization: Bearer secret"));
	assert_true(web_has_header(&request, "x-subject: s=eu"));
	/* a connection stays */
	given("{\"n\":1}");
	given("{\"n\":2}");
	assert_int_equal(web_connections(web), 1);
	assert_int_equal(bench_number(bench, "calls"), 3);
	assert_int_equal(bench_number(bench, "calls_open"), 0);
}

static void
test_ignored(void **state)
{
	const struct bench_result *result;
	struct web_request request;

	(void)state;
	OPEN("/", "answer=ignore", "method=GET", "user=ann", "password=pw");
	web_say(web, 200, "", "not looked at");
	result = given("payload");
	assert_int_equal(result->code, XF_OUTCOME_PASS);
	assert_int_equal(result->count, 0);
	request = web_request(web, 0);
	assert_string_equal(request.method, "GET");
	assert_string_equal(request.body, "");
	assert_true(web_has_header(&request, "authorization: Basic YW5uOnB3"));
}

static void
test_refusals(void **state)
{
	const struct bench_result *result;

	(void)state;
	OPEN("/{json./n}", "headers[0].name=X-A", "headers[0].value={json./h|'none'}");
	web_say(web, 404, "", "no\nsuch");
	result = given("{\"n\":1}");
	assert_int_equal(result->code, XF_OUTCOME_REFUSE);
	assert_int_equal(result->status, 404);
	assert_string_equal(result->reason, "HTTP status 404: no such");
	result = given("{}");
	assert_int_equal(result->code, XF_OUTCOME_REFUSE);
	assert_string_equal(result->reason, "the message has no value for {json./n}");
	result = given("{\"n\":1,\"h\":\"a\\r\\nX-Evil: 1\"}");
	assert_int_equal(result->code, XF_OUTCOME_REFUSE);
	assert_string_equal(result->reason, "header 'X-A' has a control character");
	assert_int_equal(web_count(web), 1);
	assert_int_equal(bench_number(bench, "calls_refused"), 1);
}

static void
test_failures(void **state)
{
	const struct bench_result *result;

	(void)state;
	OPEN("/", "max_answer=10B");
	web_say(web, 500, "Retry-After: 7\n", "oops");
	result = given("x");
	assert_int_equal(result->code, XF_OUTCOME_FAIL);
	assert_int_equal(result->delay_ms, 7000);
	assert_int_equal(result->status, 502);
	assert_string_equal(result->reason, "HTTP status 500: oops");
	web_say(web, 503, "", "");
	result = given("x");
	assert_int_equal(result->code, XF_OUTCOME_FAIL);
	assert_int_equal(result->status, 503);
	web_say(web, 302, "Location: /elsewhere\n", "");
	assert_string_equal(given("x")->reason, "HTTP status 302; redirections are not followed");
	web_say(web, 200, "", "12345678901");
	result = given("x");
	assert_int_equal(result->code, XF_OUTCOME_FAIL);
	assert_string_equal(result->reason, "the answer is longer than 10 bytes (max_answer)");
	web_cut(web);
	web_cut(web); /* libcurl tries a second time where the connection was an old one */
	result = given("x");
	assert_int_equal(result->code, XF_OUTCOME_FAIL);
	assert_int_equal(result->status, 502);
	assert_int_equal(bench_state_count(bench, XF_STATE_BLOCKED), 0);
}

/* What is no affair of the message holds all of them back, until one has found out that it is over. */
static void
test_pauses(void **state)
{
	const struct bench_result *result;
	size_t number;

	(void)state;
	OPEN("/");
	web_say(web, 429, "Retry-After: 3600\n", "slower");
	result = given("x");
	assert_int_equal(result->code, XF_OUTCOME_LATER);
	assert_in_range(result->delay_ms, 3590000, 3600001);
	bench_wait_state(bench, XF_STATE_BLOCKED);
	assert_string_equal(bench_reason(bench), "the server answers HTTP status 429");
	number = bench_text(bench, "y");
	bench_text(bench, "z");
	bench_turn(bench);
	assert_int_equal(bench_room(bench), 0);
	assert_int_equal(web_count(web), 1);
	web_hold(web, true);
	bench_clock_advance(3600001);
	bench_wait_taken(bench, number + 1);
	while (web_count(web) < 2)
		bench_turn(bench);
	assert_int_equal(bench_room(bench), 0); /* one finds out */
	web_hold(web, false);
	bench_wait_state(bench, XF_STATE_UP);
	bench_wait_finished(bench, number + 2);
	web_say(web, 503, "Retry-After: 1\n", "");
	assert_int_equal(given("x")->code, XF_OUTCOME_LATER);
	bench_clock_advance(2000);
	web_say(web, 401, "", "");
	result = given("x");
	assert_int_equal(result->code, XF_OUTCOME_LATER);
	assert_string_equal(bench_reason(bench), "the server answers HTTP status 401; it wants other credentials");
	bench_clock_advance(20000);
	assert_int_equal(given("x")->code, XF_OUTCOME_PASS);
	assert_int_equal(bench_number(bench, "calls_later"), 3);
}

static void
test_nobody(void **state)
{
	const struct bench_result *result;

	(void)state;
	bench = bench_open("http", OPTIONS("url=http://127.0.0.1:1/"));
	result = given("x");
	assert_int_equal(result->code, XF_OUTCOME_LATER);
	assert_true(result->delay_ms > 0);
	assert_int_equal(result->status, 502);
	bench_wait_state(bench, XF_STATE_BLOCKED);
	assert_true(bench_reason(bench)[0] != '\0');
	assert_null(strpbrk(bench_reason(bench), "0123456789")); /* the same each time */
}

static void
test_time(void **state)
{
	const struct bench_result *result;

	(void)state;
	OPEN("/", "request_timeout=500ms", "connect_timeout=60s");
	web_hold(web, true);
	do {
		bench_clock_advance(60000);
		result = given("x");
	} while (result->code == XF_OUTCOME_LATER); /* so slow that it was not sent in time */
	assert_int_equal(result->code, XF_OUTCOME_FAIL);
	assert_int_equal(result->status, 504);
	assert_string_equal(result->reason, "no answer within 500 ms (request_timeout)");
}

static void
test_many(void **state)
{
	(void)state;
	OPEN("/", "concurrency=5");
	web_hold(web, true);
	for (int i = 0; i < 12; i++)
		bench_text(bench, "x");
	while (web_count(web) < 5)
		bench_turn(bench);
	bench_turn(bench);
	assert_int_equal(bench_number(bench, "calls_open"), 5);
	assert_int_equal(web_count(web), 5);
	bench_cancel(bench, 1);
	while (web_count(web) < 6)
		bench_turn(bench);
	web_hold(web, false);
	bench_wait_finished(bench, 11);
	assert_int_equal(bench_result(bench, 1)->code, 0);
	web_hold(web, true);
	bench_text(bench, "is cancelled at the end");
	while (web_count(web) < 13)
		bench_turn(bench);
}

static void
test_tls(void **state)
{
	static const struct {
		const char *ca, *verify;
		bool trusted;
	} rows[] = {{"ca.pem", "true", true}, {"other-ca.pem", "true", false}, {"other-ca.pem", "false", true}};
	char *dir = xf_temp_create("calls"), ca[600], verify[40];
	struct web *plain = web;

	(void)state;
	xf_certificates_make(dir);
	web = web_create_tls(dir);
	snprintf(url, sizeof(url), "url=https://127.0.0.1:%u/", web_port(web));
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		snprintf(ca, sizeof(ca), "tls.ca=%s/%s", dir, rows[i].ca);
		snprintf(verify, sizeof(verify), "tls.verify=%s", rows[i].verify);
		bench = bench_open("http", OPTIONS(url, ca, verify));
		assert_int_equal(given("x")->code, rows[i].trusted ? XF_OUTCOME_PASS : XF_OUTCOME_LATER);
		if (!rows[i].trusted)
			assert_non_null(strstr(bench_reason(bench), "certificate"));
		bench_close(&bench);
	}
	assert_int_equal(web_count(web), 2);
	web_destroy(&web);
	web = plain;
	xf_temp_destroy(&dir);
}

static void
test_mistakes(void **state)
{
	static const char host[] = "url: expected http://host/path or https://host/path, with fields only behind the host";

	(void)state;
	assert_string_equal(bench_check("http", OPTIONS("url=ftp://x/")), host);
	assert_string_equal(bench_check("http", OPTIONS("url=http://{subject}/")), host);
	assert_string_equal(bench_check("http", OPTIONS("url=http://x{subject}/")), host);
	assert_string_equal(bench_check("http", OPTIONS("url=http:///")), host);
	assert_string_equal(bench_check("http", OPTIONS("url=https://x:8443/{subject}")), "");
	assert_non_null(strstr(bench_check("http", OPTIONS("url=http://x/{what}")), "url: unknown field 'what'"));
	assert_string_equal(bench_check("http", OPTIONS("url=http://x/", "headers[0].name=a b", "headers[0].value=")),
	                    "headers: 'a b' is no name of a header");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ignored, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pauses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(test_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tls, setup, teardown),
		cmocka_unit_test(test_mistakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
