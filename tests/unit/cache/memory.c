#include "cache_ask.h"

#define PATCH "patch.set[0].field=/request_id", "patch.set[0].value={json./id}"
#define CACHE(...) bench_open("cache", (const char *const[]){"key={json./text}", __VA_ARGS__, NULL})

static void
test_answers_with_the_askers_ids(void **state)
{
	struct bench *bench = CACHE(PATCH);
	const struct bench_result *result = asked(bench, "one", "x");
	const struct xf_incoming *message;

	(void)state;
	assert_followed(result);
	answer(bench, 0, "one", "42");
	result = asked(bench, "two", "x");
	assert_answer(result, "{\"request_id\":\"two\",\"answer\":\"42\"}");
	message = result->messages[0];
	assert_str(message->id, "two");
	assert_str(message->subject, "result.a");
	assert_str(message->content_type, "application/json");
	assert_int_equal(message->header_count, 2);
	assert_str(message->headers[0].name, "Correlation");
	assert_str(message->headers[0].value, "two");
	assert_str(message->headers[1].value, "HIGH");
	assert_followed(asked(bench, "three", "y"));
	assert_int_equal(bench_number(bench, "cache_hits"), 1);
	assert_int_equal(bench_number(bench, "cache_misses"), 2);
	assert_int_equal(bench_number(bench, "cache_kept"), 1);
	assert_int_equal(bench_number(bench, "cache_entries"), 1);
	bench_close(&bench);
}

/* Who does not say what the answer is to have is told so. */
static void
test_asker_without_ids(void **state)
{
	struct bench *bench = CACHE("patch.set[0].field=/request_id", "patch.set[0].value={json./nothing}");
	const struct bench_result *result;

	(void)state;
	assert_followed(asked(bench, "one", "x"));
	answer(bench, 0, "one", "42");
	result = asked(bench, "two", "x");
	assert_int_equal(result->code, XF_OUTCOME_REFUSE);
	assert_string_equal(result->reason, "the message has no value for {json./nothing}");
	bench_close(&bench);
}

/* The answer of an unchanged subject has the asker's, and a reply stays one. */
static void
test_reply(void **state)
{
	struct bench *bench = CACHE(NULL);
	const struct xf_incoming reply = {.subject = {"request.a", 9}, .payload = "r", .payload_size = 1, .flags = XF_MESSAGE_REPLY};
	const struct xf_incoming other = {.subject = {"request.b", 9}, .payload = "{\"text\":\"x\"}", .payload_size = 12};

	(void)state;
	assert_followed(asked(bench, "one", "x"));
	bench_settle(bench, 0, XF_SETTLED_STOOD, &reply);
	bench_give(bench, &other);
	bench_wait_finished(bench, 2);
	assert_answer(bench_result(bench, 1), "r");
	assert_str(bench_result(bench, 1)->messages[0]->subject, "request.b");
	assert_int_equal(bench_result(bench, 1)->messages[0]->flags, XF_MESSAGE_REPLY);
	bench_close(&bench);
}

static void
test_single_flight(void **state)
{
	struct bench *bench = CACHE(PATCH);
	size_t others[3];

	(void)state;
	assert_followed(asked(bench, "one", "x"));
	for (size_t i = 0; i < 3; i++)
		others[i] = ask(bench, i == 0 ? "two" : i == 1 ? "three" : "four", "x");
	bench_wait_taken(bench, 4);
	bench_cancel(bench, others[1]);
	answer(bench, 0, "one", "42");
	assert_answer(bench_result(bench, others[0]), "{\"request_id\":\"two\",\"answer\":\"42\"}");
	assert_answer(bench_result(bench, others[2]), "{\"request_id\":\"four\",\"answer\":\"42\"}");
	assert_int_equal(bench_number(bench, "cache_waited"), 3);
	bench_close(&bench);
}

/* The first fails: the next tries, and the others go on waiting. */
static void
test_first_fails(void **state)
{
	struct bench *bench = CACHE(PATCH);

	(void)state;
	assert_followed(asked(bench, "one", "x"));
	ask(bench, "two", "x");
	ask(bench, "three", "x");
	bench_wait_taken(bench, 3);
	bench_settle(bench, 0, XF_SETTLED_REFUSED, NULL);
	assert_followed(bench_result(bench, 1));
	assert_int_equal(bench_result(bench, 2)->code, 0);
	bench_settle(bench, 1, XF_SETTLED_UNKNOWN, NULL);
	assert_followed(bench_result(bench, 2));
	answer(bench, 2, "three", "42");
	assert_answer(asked(bench, "four", "x"), "{\"request_id\":\"four\",\"answer\":\"42\"}");
	bench_close(&bench);
}

/* What is dropped, or private, or too large, is not kept: who waited goes his own way. */
static void
test_not_kept(void **state)
{
	static const char *const texts[] = {"{\"private\":true,\"request_id\":1}", "{\"request_id\":\"0123456789012345678901234567890123456789\"}",
	                                    "no JSON"};
	struct bench *bench = CACHE(PATCH, "private={json./private}", "private={header.X-Private}", "max_entry=70");
	size_t number = 0;

	(void)state;
	for (int i = 0; i < 4; i++) {
		const struct xf_incoming message = {
			.payload = i < 3 ? texts[i] : "", .payload_size = i < 3 ? strlen(texts[i]) : 0};

		assert_followed(asked(bench, "one", "x"));
		ask(bench, "two", "x");
		bench_wait_taken(bench, number + 2);
		bench_settle(bench, number, XF_SETTLED_STOOD, i < 3 ? &message : NULL);
		assert_passed(bench_result(bench, number + 1));
		number += 2;
	}
	assert_int_equal(bench_number(bench, "cache_kept"), 0);
	assert_int_equal(bench_number(bench, "cache_private"), 1);
	bench_close(&bench);
}

static void
test_private_requests(void **state)
{
	struct bench *bench = CACHE("private={json./secret}", "private={header.kind}");
	const struct xf_incoming open = {.payload = "{\"text\":\"x\",\"secret\":false}", .payload_size = 27};

	(void)state;
	assert_passed(asked(bench, "one", "x"));
	bench_give(bench, &open);
	bench_wait_finished(bench, 2);
	assert_followed(bench_result(bench, 1));
	bench_close(&bench);
}

static void
test_times(void **state)
{
	struct bench *bench = CACHE("ttl=10s", "kinds[0].field={json./text}", "kinds[0].equals=never", "kinds[0].ttl=0",
	                            "kinds[1].subject=request.*", "kinds[1].field={json./text}", "kinds[1].equals=short",
	                            "kinds[1].ttl=1s", "kinds[2].subject=other.>", "kinds[2].ttl=1h");

	(void)state;
	bench_clock_stop();
	assert_passed(asked(bench, "one", "never"));
	assert_followed(asked(bench, "one", "short"));
	assert_followed(asked(bench, "one", "long"));
	answer(bench, 1, "one", "a");
	answer(bench, 2, "one", "b");
	bench_clock_advance(999);
	assert_int_equal(asked(bench, "two", "short")->code, XF_OUTCOME_DONE);
	bench_clock_advance(1);
	assert_followed(asked(bench, "two", "short"));
	bench_clock_advance(8999);
	assert_int_equal(asked(bench, "two", "long")->code, XF_OUTCOME_DONE);
	bench_clock_advance(1);
	assert_followed(asked(bench, "two", "long"));
	bench_close(&bench);
}

/* What was not used for longest leaves. */
static void
test_bound(void **state)
{
	struct bench *bench = CACHE("max_bytes=4096");
	char text[16];

	(void)state;
	for (int i = 0; i < 40; i++) {
		size_t number;

		snprintf(text, sizeof(text), "t%d", i);
		number = ask(bench, "one", text);
		bench_wait_finished(bench, number + 1);
		assert_followed(bench_result(bench, number));
		answer(bench, number, "one", "42");
		assert_int_equal(asked(bench, "two", "t0")->code, XF_OUTCOME_DONE);
		assert_true(bench_number(bench, "cache_bytes") <= 4096);
	}
	assert_followed(asked(bench, "two", "t1"));
	assert_int_equal(asked(bench, "two", "t39")->code, XF_OUTCOME_DONE);
	assert_int_equal(bench_number(bench, "cache_evicted"), 40 - bench_number(bench, "cache_entries"));
	bench_close(&bench);
}

/* One keeps results, another route's answers from them; a third has a store of its own. */
static void
test_store_and_look_up(void **state)
{
	struct bench *stores = CACHE("mode=store", "store=results"),
	             *answers = CACHE("mode=lookup", "miss=refuse", "store=results"), *other = CACHE("mode=lookup");
	const struct bench_result *result;

	(void)state;
	assert_passed(asked(stores, "one", "x"));
	assert_answer(asked(answers, "two", "x"), "{\"id\":\"one\",\"text\":\"x\"}");
	assert_passed(asked(stores, "newer", "x"));
	assert_answer(asked(answers, "two", "x"), "{\"id\":\"newer\",\"text\":\"x\"}");
	assert_int_equal(bench_number(stores, "cache_entries"), 1);
	result = asked(answers, "two", "y");
	assert_int_equal(result->code, XF_OUTCOME_REFUSE);
	assert_int_equal(result->status, 404);
	assert_passed(asked(other, "two", "x"));
	bench_close(&stores);
	assert_int_equal(asked(answers, "two", "x")->code, XF_OUTCOME_DONE);
	bench_close(&answers);
	bench_close(&other);
	answers = CACHE("mode=lookup", "store=results");
	assert_passed(asked(answers, "two", "x"));
	bench_close(&answers);
}

static char *
served(struct bench *bench, const char *method, const char *path, const char *query, uint32_t status)
{
	static char text[4096];
	uint32_t got;
	char *body = bench_serve(bench, method, path, query, &got);

	assert_int_equal(got, status);
	snprintf(text, sizeof(text), "%s", body);
	free(body);
	return text;
}

static void
test_operators(void **state)
{
	struct bench *bench = CACHE("mode=store");

	(void)state;
	bench_clock_stop();
	asked(bench, "one", "a:1");
	asked(bench, "one", "a:2");
	asked(bench, "one", "b:1");
	assert_non_null(strstr(served(bench, "GET", "", "", 200), "{\"hits\": 0, \"misses\": 0, \"waited\": 0, \"kept\": 3, "));
	assert_non_null(strstr(served(bench, "GET", "", "", 200), "\"entries\": 3, "));
	assert_string_equal(served(bench, "GET", "keys", "match=b:*", 200),
	                    "{\"keys\": [{\"key\": \"b:1\", \"bytes\": 94, \"age_ms\": 0, \"ttl_ms\": 300000, \"hits\": 0}], "
	                    "\"complete\": true}\n");
	assert_non_null(strstr(served(bench, "GET", "keys", "limit=2", 200), "\"complete\": false"));
	assert_string_equal(served(bench, "DELETE", "keys", "match=a:*", 200), "{\"removed\": 2, \"complete\": true}\n");
	assert_null(strstr(served(bench, "GET", "keys", "", 200), "a:"));
	served(bench, "DELETE", "keys", "", 400);
	served(bench, "GET", "keys", "limit=0", 400);
	served(bench, "POST", "keys", "match=a", 405);
	served(bench, "GET", "else", "", 404);
	bench_close(&bench);
}

static void
test_settings(void **state)
{
	(void)state;
#define REFUSED(text, ...) assert_non_null(strstr(bench_check("cache", (const char *const[]){__VA_ARGS__, NULL}), text))
	REFUSED("key: unknown field", "key={nonsense}");
	REFUSED("miss: only with mode: lookup", "key=k", "miss=refuse");
	REFUSED("kinds: expected subject or field", "key=k", "kinds[0].ttl=1s");
	REFUSED("private: unknown field", "key=k", "private={nonsense}");
	REFUSED("patch: ", "key=k", "patch.set[0].field=x", "patch.set[0].value=y");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers_with_the_askers_ids),
		cmocka_unit_test(test_asker_without_ids),
		cmocka_unit_test(test_reply),
		cmocka_unit_test(test_single_flight),
		cmocka_unit_test(test_first_fails),
		cmocka_unit_test(test_not_kept),
		cmocka_unit_test(test_private_requests),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_store_and_look_up),
		cmocka_unit_test(test_operators),
		cmocka_unit_test(test_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
