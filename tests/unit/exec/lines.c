/*
 * lines.c - what goes to a worker that stays and what comes back: what each answer makes of its message, and that bytes come through.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench.h"

static void
assert_text(struct xf_str text, const char *expected)
{
	assert_int_equal(text.len, strlen(expected));
	assert_memory_equal(text.data, expected, text.len);
}

static void
assert_payload(const struct xf_incoming *message, const void *expected, size_t len)
{
	assert_int_equal(message->payload_size, len);
	assert_memory_equal(message->payload, expected, len);
}

static void
test_many(void **state)
{
	struct bench *bench = BENCH("command=" BENCH_WORKER, "command=pass", "workers=3");

	(void)state;
	for (size_t i = 0; i < 1000; i++)
		bench_text(bench, "some text");
	bench_wait_finished(bench, 1000);
	for (size_t i = 0; i < 1000; i++) {
		assert_int_equal(bench_result(bench, i)->code, XF_OUTCOME_PASS);
		assert_int_equal(bench_result(bench, i)->count, 0);
	}
	assert_int_equal(bench_state_count(bench, XF_STATE_UP), 1);
	assert_int_equal(bench_state_count(bench, XF_STATE_DOWN), 0);
	bench_wait_state(bench, XF_STATE_UP);
	assert_int_equal(bench_room(bench), 3 * 64);
	bench_close(&bench);
}

/* A worker of which each answer is the payload of its task. */
#define SAYS "command=sed -un 's/.*\"payload\":\"\\(.*\\)\"}$/\\1/;s/[\\]\"/\"/g;p'"

static const struct bench_result *
said(struct bench *bench, const char *answer)
{
	size_t number = bench_text(bench, answer);

	bench_wait_finished(bench, number + 1);
	return bench_result(bench, number);
}

static void
test_outcomes(void **state)
{
	struct bench *bench = BENCH(SAYS);
	const struct bench_result *result;

	(void)state;
	assert_int_equal(said(bench, "{\"pass\": true}")->code, XF_OUTCOME_PASS);
	assert_int_equal(said(bench, "{\"drop\":true}")->code, XF_OUTCOME_DROP);
	assert_int_equal(said(bench, "{\"messages\":[]}")->code, XF_OUTCOME_DROP);
	result = said(bench, "{\"fail\":\"no stock\",\"delay_ms\":1500}");
	assert_int_equal(result->code, XF_OUTCOME_FAIL);
	assert_int_equal(result->delay_ms, 1500);
	assert_string_equal(result->reason, "no stock");
	result = said(bench, "{\"later\":\"busy\",\"delay_ms\":70}");
	assert_int_equal(result->code, XF_OUTCOME_LATER);
	assert_int_equal(result->delay_ms, 70);
	result = said(bench, "{\"refuse\":\"bad order\"}");
	assert_int_equal(result->code, XF_OUTCOME_REFUSE);
	assert_string_equal(result->reason, "bad order");
	assert_int_equal(result->status, 0);
	result = said(bench, "{\"refuse\":\"no such order\",\"status\":404}");
	assert_int_equal(result->code, XF_OUTCOME_REFUSE);
	assert_int_equal(result->status, 404);
	assert_int_equal(said(bench, "{\"refuse\":\"no\",\"status\":200}")->code, XF_OUTCOME_FAIL); /* that is no failure */
	result = said(bench, "{\"messages\":[{\"payload\":\"1\",\"asker\":true},{\"payload\":\"2\"}]}");
	assert_int_equal(result->messages[0]->flags, XF_MESSAGE_REPLY);
	assert_int_equal(result->messages[1]->flags, 0);
	result = said(bench, "{\"payload\":\"new\",\"subject\":\"a.b\",\"id\":\"i\",\"key\":\"k\",\"reply\":\"r\",\"content_type\":\"text/plain\","
	                     "\"headers\":{\"X\":\"1\",\"Y\":[\"2\",\"3\"]}}");
	assert_int_equal(result->code, XF_OUTCOME_PASS);
	assert_int_equal(result->count, 1);
	assert_payload(result->messages[0], "new", 3);
	assert_text(result->messages[0]->subject, "a.b");
	assert_text(result->messages[0]->id, "i");
	assert_text(result->messages[0]->key, "k");
	assert_text(result->messages[0]->reply, "r");
	assert_text(result->messages[0]->content_type, "text/plain");
	assert_int_equal(result->messages[0]->header_count, 3);
	assert_text(result->messages[0]->headers[2].name, "Y");
	assert_text(result->messages[0]->headers[2].value, "3");
	result = said(bench, "{\"payload_base64\":\"AAH/\"}");
	assert_payload(result->messages[0], "\0\1\377", 3);
	assert_text(result->messages[0]->subject, "orders.eu"); /* what is not named stays */
	result = said(bench, "{\"payload\":{\"n\": 1.50}}");
	assert_payload(result->messages[0], "{\"n\": 1.50}", 11);
	bench_close(&bench);
}

static void
test_several_messages(void **state)
{
	struct bench *bench = BENCH(SAYS);
	const struct bench_result *result =
		said(bench, "{\"messages\":[{\"payload\":\"1\"},{\"payload\":\"2\",\"id\":\"own\"},{\"subject\":\"c\",\"id\":\"id-0\"}]}");

	(void)state;
	assert_int_equal(result->code, XF_OUTCOME_PASS);
	assert_int_equal(result->count, 3);
	assert_payload(result->messages[0], "1", 1);
	assert_int_equal(result->messages[0]->id.len, 0); /* the core makes one */
	assert_text(result->messages[1]->id, "own");
	assert_int_equal(result->messages[2]->id.len, 0);
	assert_text(result->messages[2]->subject, "c");
	result = said(bench, "{\"messages\":[{\"subject\":\"c\"}]}");
	assert_int_equal(result->count, 1);
	assert_text(result->messages[0]->id, "id-1");
	bench_close(&bench);
}

/* The answer is one, but says what cannot be: that is the message's fault, and the worker goes on. */
static void
test_answers_that_cannot_be(void **state)
{
	static const struct {
		const char *answer, *reason;
	} wrong[] = {
		{"{}", "does not say what becomes"},
		{"{\"pass\":false}", "can only be true"},
		{"{\"pass\":true,\"drop\":true}", "two things"},
		{"{\"payload\":\"x\",\"fail\":\"y\"}", "two things"},
		{"{\"error\":\"x\"}", "not known"},
		{"{\"subject\":1}", "must be a string"},
		{"{\"fail\":true}", "must be a string"},
		{"{\"fail\":\"x\",\"delay_ms\":-1}", "delay_ms"},
		{"{\"payload\":\"x\",\"payload\":\"y\"}", "twice"},
		{"{\"payload\":\"x\",\"payload_base64\":\"\"}", "together"},
		{"{\"payload_base64\":\"?\"}", "no base64"},
		{"{\"headers\":[\"a\"]}", "no object"},
		{"{\"headers\":{\"a\":1}}", "neither a string nor a list"},
		{"{\"headers\":{\"a\":[1]}}", "must be a string"},
		{"{\"messages\":{}}", "no list"},
		{"{\"messages\":[1]}", "no object"},
		{"{\"messages\":[{\"drop\":true}]}", "only the answer as a whole"},
	};
	struct bench *bench = BENCH(SAYS);

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const struct bench_result *result = said(bench, wrong[i].answer);

		assert_int_equal(result->code, XF_OUTCOME_FAIL);
		if (strstr(result->reason, wrong[i].reason) == NULL)
			fail_msg("%s: %s", wrong[i].answer, result->reason);
	}
	assert_int_equal(bench_log_count(bench), 0); /* no worker ended */
	bench_close(&bench);
}

static void
test_any_order(void **state)
{
	struct bench *bench = BENCH("command=" BENCH_WORKER, "command=reverse", "command=20", "pipeline=20");

	(void)state;
	for (size_t i = 0; i < 100; i++)
		bench_text(bench, "x");
	bench_wait_finished(bench, 100);
	for (size_t i = 0; i < 100; i++) {
		char subject[32];

		snprintf(subject, sizeof(subject), "of.%zu", i + 1);
		assert_text(bench_result(bench, i)->messages[0]->subject, subject);
	}
	bench_close(&bench);
}

/* Two answers at once, and three messages out. */
static void
test_turns(void **state)
{
	struct bench *bench = BENCH("command=while read -r a && read -r b; do printf '{\"pass\":true}\\n{\"drop\":true}\\n'; done", "pipeline=3");

	(void)state;
	for (size_t i = 0; i < 100; i++)
		bench_text(bench, "x");
	bench_wait_finished(bench, 100);
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(bench_result(bench, i)->code, i % 2 == 0 ? XF_OUTCOME_PASS : XF_OUTCOME_DROP);
	bench_close(&bench);
}

/* `cat` gives each line back: all of a message that a line can hold comes through. */
static void
test_bytes_come_through(void **state)
{
	static const char binary[] = "\0\1\2\377\376 \"\\";
	static const char *const texts[] = {"", "plain", "\"quotes\" and \\ and / \b\f\n\r\t \x01\x7f", "h\xc3\xa9 \xf0\x9f\x98\x80",
	                                    "half \xc3", "over \xc0\xaf", "surrogate \xed\xa0\x80"};
	static const struct xf_header headers[] = {
		{{"X", 1}, {"1", 1}}, {{"Y", 1}, {"\"q\"", 3}}, {{"X", 1}, {"2", 1}}, {{"Z\xc3\xa9", 3}, {"", 0}}, {{"X", 1}, {"3", 1}}};
	static const char order[] = "XXXYZ";
	const struct xf_incoming message = {
		.subject = {"a.b", 3}, .id = {"i\"d", 3}, .key = {"k\\", 2}, .reply = {"r", 1}, .content_type = {"c/t", 3},
		.payload = binary, .payload_size = sizeof(binary), .headers = headers, .header_count = 5, .attempt = 3};
	struct bench *bench = BENCH("command=cat");
	const struct xf_incoming *back;

	(void)state;
	bench_give(bench, &message);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		bench_text(bench, texts[i]);
	bench_wait_finished(bench, 1 + sizeof(texts) / sizeof(texts[0]));
	back = bench_result(bench, 0)->messages[0];
	assert_payload(back, binary, sizeof(binary));
	assert_text(back->subject, "a.b");
	assert_text(back->id, "i\"d");
	assert_text(back->key, "k\\");
	assert_text(back->reply, "r");
	assert_text(back->content_type, "c/t");
	assert_int_equal(back->header_count, 5);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(back->headers[i].name.data[0], order[i]);
	assert_text(back->headers[0].value, "1");
	assert_text(back->headers[1].value, "2");
	assert_text(back->headers[2].value, "3");
	assert_text(back->headers[3].value, "\"q\"");
	assert_text(back->headers[4].value, "");
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_payload(bench_result(bench, i + 1)->messages[0], texts[i], strlen(texts[i]));
	bench_close(&bench);
}

static void
test_json_payloads(void **state)
{
	static const char *const good[][2] = {
		{"{\"n\":12345678901234567890.10, \"a\":[1,\"x\"]}", "{\"n\":12345678901234567890.10, \"a\":[1,\"x\"]}"},
		{"[\n1,\r\n2]", "[ 1,  2]"}, {"\"text\"", "\"text\""}, {"null", "null"}, {" 1", "1"}};
	static const char *const bad[] = {"", "plain", "{", "{}{}", "\"\xff\"", "1 2"};
	struct bench *bench = BENCH("command=cat", "payload=json");

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		const struct bench_result *result = said(bench, good[i][0]);

		assert_int_equal(result->code, XF_OUTCOME_PASS);
		assert_payload(result->messages[0], good[i][1], strlen(good[i][1]));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(said(bench, bad[i])->code, XF_OUTCOME_REFUSE);
	bench_close(&bench);
}

/* Both pipes are full most of the time. */
static void
test_large(void **state)
{
	enum { COUNT = 12, SIZE = 1 << 20 };
	struct bench *bench = BENCH("command=" BENCH_WORKER, "command=slow", "workers=2");
	char *payload = malloc(SIZE + 1);

	(void)state;
	memset(payload, 'x', SIZE);
	payload[SIZE] = '\0';
	for (size_t i = 0; i < COUNT; i++) {
		payload[i] = '"';
		bench_text(bench, payload);
	}
	bench_wait_finished(bench, COUNT);
	memset(payload, 'x', SIZE);
	for (size_t i = 0; i < COUNT; i++) {
		payload[i] = '"';
		assert_payload(bench_result(bench, i)->messages[0], payload, SIZE);
	}
	free(payload);
	bench_close(&bench);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_outcomes),
		cmocka_unit_test(test_several_messages),
		cmocka_unit_test(test_answers_that_cannot_be),
		cmocka_unit_test(test_any_order),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_bytes_come_through),
		cmocka_unit_test(test_json_payloads),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
