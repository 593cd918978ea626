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

#define OPEN(...)                                                                                                  \
	do {                                                                                                         \
		snprintf(url, sizeof(url), "base_url=http://127.0.0.1:%u/v1/", web_port(web));                         \
		bench = bench_open("llm", OPTIONS(url, "model=m-1", "key=sk-1", ##__VA_ARGS__));                       \
	} while (0)

/* What becomes of a message, which the handler is given for the ATTEMPT-th time. */
static const struct bench_result *
given(const char *payload, uint32_t attempt)
{
	const struct xf_incoming message = {
		.subject = {"ask.eu", 6},
		.id = {"id-1", 4},
		.content_type = {"text/x", 6},
		.payload = payload,
		.payload_size = strlen(payload),
		.attempt = attempt,
	};
	size_t number = bench_give(bench, &message);

	bench_wait_finished(bench, number + 1);
	return bench_result(bench, number);
}

/* It goes on with PAYLOAD; NULL: untouched. */
static void
passed(const struct bench_result *result, const char *payload)
{
	if (result->code != XF_OUTCOME_PASS)
		fail_msg("%u: %s", result->code, result->reason);
	assert_int_equal(result->count, payload != NULL);
	if (payload == NULL)
		return;
	assert_int_equal(result->messages[0]->payload_size, strlen(payload));
	assert_memory_equal(result->messages[0]->payload, payload, strlen(payload));
}

static void
failed(const struct bench_result *result, const char *reason)
{
	assert_int_equal(result->code, XF_OUTCOME_FAIL);
	assert_string_equal(result->reason, reason);
	assert_int_equal(result->status, 502);
}

static void
test_questions(void **state)
{
	struct web_request request;

	(void)state;
	OPEN("system=Answer \"{subject.2}\".", "user={json./q} {json./n}", "temperature=0.5", "max_tokens=99", "json=true");
	web_chat(web, "{\"a\":1}", 7);
	passed(given("{\"q\":\"wh\\ny?\",\"n\":2}", 1), "{\"a\":1}");
	assert_true(xf_str_is(bench_result(bench, 0)->messages[0]->content_type, "application/json"));
	request = web_request(web, 0);
	assert_string_equal(request.method, "POST");
	assert_string_equal(request.path, "/v1/chat/completions");
	assert_true(web_has_header(&request, "authorization: Bearer sk-1"));
	assert_true(web_has_header(&request, "content-type: application/json"));
	assert_string_equal(request.body, "{\"model\":\"m-1\",\"messages\":[{\"role\":\"system\",\"content\":\"Answer \\\"eu\\\".\"},"
	                                  "{\"role\":\"user\",\"content\":\"wh\\u000ay? 2\"}],\"temperature\":0.5,\"max_tokens\":99,"
	                                  "\"response_format\":{\"type\":\"json_object\"}}");
	assert_int_equal(given("{}", 1)->code, XF_OUTCOME_REFUSE);
	assert_int_equal(bench_result(bench, 1)->status, 400);
	assert_string_equal(bench_result(bench, 1)->reason, "the message has no value for {json./q}");
	assert_int_equal(bench_number(bench, "llm_tokens"), 7);
	assert_int_equal(bench_number(bench, "llm_answered"), 1);
	assert_int_equal(bench_number(bench, "calls"), 1);
}

static void
test_texts(void **state)
{
	(void)state;
	OPEN(NULL);
	web_chat(web, "any \"text\"", 0);
	passed(given("hello", 1), "any \"text\"");
	assert_true(xf_str_is(bench_result(bench, 0)->messages[0]->content_type, "text/plain; charset=utf-8"));
	assert_string_equal(web_request(web, 0).body, "{\"model\":\"m-1\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}");
}

static void
test_places(void **state)
{
	(void)state;
	OPEN("into=/ai/says", "json=true");
	web_chat(web, "```json\n{\"a\": [1.50]}\n```\n", 0);
	passed(given("{\"n\": 1.0,\"ai\":{\"says\":\"mine\",\"x\":1}}", 1), "{\"n\":1.0,\"ai\":{\"says\":{\"a\": [1.50]},\"x\":1}}");
	/* what the message has there is not the model's to read */
	assert_non_null(strstr(web_request(web, 0).body, "\"content\":\"{\\\"n\\\":1.0,\\\"ai\\\":{\\\"x\\\":1}}\""));
	web_chat(web, "{}", 0);
	passed(given("{}", 1), "{\"ai\":{\"says\":{}}}");
	web_chat(web, "{}", 0);
	assert_int_equal(given("{\"ai\":7}", 1)->code, XF_OUTCOME_REFUSE);
	assert_string_equal(bench_result(bench, 2)->reason, "/ai/says: what should hold it is neither an object nor an array");
	assert_int_equal(given("no JSON", 1)->code, XF_OUTCOME_REFUSE);
	assert_string_equal(bench_result(bench, 3)->reason, "the payload is no JSON: a value was expected at byte 0");
	assert_int_equal(bench_result(bench, 3)->status, 400);
	assert_int_equal(web_count(web), 3);
	bench_close(&bench);
	OPEN("into=/text");
	web_chat(web, "a\n\"b\"", 0);
	passed(given("{}", 1), "{\"text\":\"a\\u000a\\\"b\\\"\"}");
}

static void
test_malformed(void **state)
{
	(void)state;
	OPEN("schema={\"required\":[\"score\"],\"properties\":{\"score\":{\"type\":\"number\",\"maximum\":10}}}");
	web_say(web, 200, "", "<html>");
	failed(given("x", 1), "the endpoint's answer is no JSON: a value was expected at byte 0");
	web_say(web, 200, "", "{\"choices\":[]}");
	failed(given("x", 1), "the endpoint's answer has no /choices/0/message/content");
	web_say(web, 200, "", "{\"choices\":[{\"message\":{\"content\":7}}]}");
	failed(given("x", 1), "the endpoint's answer has no /choices/0/message/content");
	web_say(web, 200, "", "{\"choices\":[{\"message\":{\"content\":\"{}\"},\"finish_reason\":\"length\"}],\"usage\":{\"total_tokens\":5}}");
	failed(given("x", 1), "the model's answer was cut off; give it more max_tokens");
	web_say(web, 200, "", "{\"choices\":[{\"message\":{\"content\":\"{}\"},\"finish_reason\":\"content_filter\"}]}");
	failed(given("x", 1), "the model's answer was held back by a content filter");
	web_say(web, 200, "", "{\"choices\":[{\"message\":{\"content\":null,\"refusal\":\"I will not\"}}]}");
	failed(given("x", 1), "the model refuses: I will not");
	web_chat(web, "Sure! {\"score\":1}", 3);
	failed(given("x", 1), "the model's answer is no JSON: a value was expected at byte 0");
	web_chat(web, "[1]", 0);
	failed(given("x", 1), "the model's answer is no JSON object");
	web_chat(web, "{\"score\":11}", 0);
	failed(given("x", 1),
	       "the model's answer is not as the schema says: /score: is too large; expected a number up to 10");
	web_chat(web, "`", 0);
	assert_int_equal(given("x", 1)->code, XF_OUTCOME_FAIL);
	web_chat(web, "```", 0);
	assert_int_equal(given("x", 1)->code, XF_OUTCOME_FAIL);
	web_chat(web, "``````", 0);
	assert_int_equal(given("x", 1)->code, XF_OUTCOME_FAIL);
	web_chat(web, " {\"score\":9}\n", 2);
	passed(given("x", 1), "{\"score\":9}");
	assert_int_equal(bench_number(bench, "llm_tokens"), 10);
	assert_int_equal(bench_number(bench, "llm_unusable"), 12);
}

static void
test_refusals(void **state)
{
	(void)state;
	OPEN(NULL);
	web_say(web, 400, "", "{\"error\":{\"message\":\"too long\"}}");
	assert_int_equal(given("x", 1)->code, XF_OUTCOME_REFUSE);
	assert_int_equal(bench_result(bench, 0)->status, 502);
	assert_string_equal(bench_result(bench, 0)->reason, "HTTP status 400: {\"error\":{\"message\":\"too long\"}}");
	web_say(web, 500, "", "");
	failed(given("x", 1), "HTTP status 500");
	web_say(web, 429, "Retry-After: 20\n", "");
	assert_int_equal(given("x", 1)->code, XF_OUTCOME_LATER);
	assert_in_range(bench_result(bench, 2)->delay_ms, 19000, 20001);
	assert_int_equal(bench_room(bench), 0);
}

/* Where a message is to go on without an answer, nothing holds it back. */
static void
test_passing(void **state)
{
	static const char fake[] = "{\"ai\":{\"score\":10},\"n\":1,\"\\u0061i\":2}";

	(void)state;
	OPEN("into=/ai", "json=true", "on_failure=pass", "attempts=2");
	web_say(web, 500, "", "");
	assert_int_equal(given("{}", 1)->code, XF_OUTCOME_FAIL);
	web_say(web, 500, "", "");
	passed(given("{}", 2), NULL);
	web_say(web, 403, "", "");
	passed(given(fake, 1), "{\"n\":1}");
	web_chat(web, "hm", 0);
	assert_int_equal(given(fake, 1)->code, XF_OUTCOME_FAIL);
	web_chat(web, "hm", 0);
	passed(given(fake, 2), "{\"n\":1}");
	passed(given("no JSON", 1), NULL);
	web_say(web, 429, "Retry-After: 1000\n", "");
	passed(given(fake, 1), "{\"n\":1}");
	passed(given("{}", 1), NULL);
	assert_int_equal(web_count(web), 6);
	bench_clock_advance(1000001);
	web_chat(web, "{\"score\":5}", 0);
	passed(given(fake, 1), "{\"ai\":{\"score\":5},\"n\":1}");
	assert_int_equal(bench_number(bench, "llm_passed"), 6);
}

static void
test_slow(void **state)
{
	(void)state;
	OPEN("on_failure=pass", "request_timeout=300ms");
	web_hold(web, true);
	passed(given("{}", 1), NULL);
	assert_int_equal(bench_number(bench, "calls_failed") + bench_number(bench, "calls_later"), 1);
}

static void
test_no_key(void **state)
{
	(void)state;
	bench = bench_open("llm", OPTIONS("base_url=http://127.0.0.1:1", "model=m", "key=", "into=/ai"));
	passed(given("{\"n\":1}", 1), NULL);
	passed(given("{\"ai\":1}", 1), "{}");
	passed(given("no JSON", 1), NULL);
	bench_wait_state(bench, XF_STATE_UP);
	bench_wait_log(bench, "no key");
	assert_int_equal(bench_log_count(bench), 1);
}

static void
test_budget(void **state)
{
	size_t number;

	(void)state;
	OPEN("budget.requests=2", "budget.tokens=100", "concurrency=1");
	bench_clock_stop();
	web_chat(web, "a", 1);
	passed(given("x", 1), "a");
	bench_clock_advance(30000);
	web_chat(web, "b", 1);
	passed(given("x", 1), "b");
	number = bench_text(bench, "x");
	bench_turn(bench);
	bench_turn(bench);
	assert_int_equal(bench_room(bench), 0);
	assert_int_equal(web_count(web), 2);
	web_chat(web, "c", 200);
	bench_clock_advance(30000); /* the first is a minute ago */
	bench_wait_finished(bench, number + 1);
	passed(bench_result(bench, number), "c");
	bench_clock_advance(30000); /* the second is, too, but so many tokens were used */
	bench_text(bench, "x");
	bench_turn(bench);
	bench_turn(bench);
	assert_int_equal(bench_room(bench), 0);
	web_chat(web, "d", 1);
	bench_clock_advance(30000);
	bench_wait_finished(bench, number + 2);
	passed(bench_result(bench, number + 1), "d");
	bench_close(&bench);
	OPEN("budget.requests=1", "budget.when_spent=pass");
	bench_clock_stop();
	web_chat(web, "a", 1);
	passed(given("x", 1), "a");
	passed(given("x", 1), NULL);
	bench_clock_advance(60000);
	web_chat(web, "b", 1);
	passed(given("x", 1), "b");
}

static void
test_mistakes(void **state)
{
	char prompt[20000] = "system=";

	(void)state;
	memset(prompt + 7, 'x', sizeof(prompt) - 8);
	assert_string_equal(bench_check("llm", OPTIONS("base_url=http://x", "model=m", prompt)), "");
	assert_string_equal(bench_check("llm", OPTIONS("base_url=nats://x", "model=m")), "base_url: expected http://... or https://...");
	assert_string_equal(bench_check("llm", OPTIONS("base_url=http://x", "model=m", "into=/a/*")),
	                    "into: '/a/*': an answer is put into one place; expected a pointer without *");
	assert_string_equal(bench_check("llm", OPTIONS("base_url=http://x", "model=m", "attempts=2")),
	                    "attempts: with on_failure: fail the route's retry says how many");
	assert_string_equal(bench_check("llm", OPTIONS("base_url=http://x", "model=m", "schema={\"type\":1}")),
	                    "schema /type: is a number; expected the name of a type, or a list of them");
	assert_non_null(strstr(bench_check("llm", OPTIONS("base_url=http://x", "model=m", "system={what}")), "system: unknown field"));
	assert_string_equal(bench_check("llm", OPTIONS("base_url=http://x", "model=m")), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_questions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_texts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_places, setup, teardown),
		cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_passing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_budget, setup, teardown),
		cmocka_unit_test(test_mistakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
