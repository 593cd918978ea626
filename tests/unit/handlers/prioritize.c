#include "run.h"

#define NOW_MS INT64_C(1764590400000) /* 2025-12-01T12:00:00Z */

/* The request with FIELDS behind its id; the last of a name that stands twice is not looked at, so they come first. */
static const char *
request(const char *fields)
{
	static char text[2048];

	snprintf(text, sizeof(text),
	         "{\"id\":\"r-1\",%s%s\"title\":\"Printer\",\"description\":\"is noisy\",\"category\":\"other\",\"requester_role\":\"guest\","
	         "\"requester_name\":\"Ann\",\"timestamp\":\"2025-12-01T12:00:00Z\",\"correlation_id\":\"c-1\"}",
	         fields, fields[0] != '\0' ? "," : "");
	return text;
}

static void
open_with(const char *const *options)
{
	run_open("prioritize", options);
	run.wall_ms = NOW_MS;
}

/* The result's part from the level to the reasons. */
static const char *
found(const char *fields)
{
	static char part[2048];
	const char *begin, *end;

	if (run_text("prioritization.request.bug", request(fields)) != XF_OUTCOME_PASS)
		fail_msg("%s", run.reason);
	begin = strstr(run.payload, "\"urgency_level\":");
	end = strstr(run.payload, ",\"processing_time_ms\"");
	assert_non_null(begin);
	assert_non_null(end);
	snprintf(part, sizeof(part), "%.*s", (int)(end - begin), begin);
	return part;
}

#define FOUND(fields, level, score, reasons)                                                                        \
	assert_string_equal(found(fields), "\"urgency_level\":\"" level "\",\"priority_score\":" score ",\"reasons\":[" reasons "]")

static void
test_alone(void **state)
{
	(void)state;
	open_with(OPTIONS(NULL));
	assert_int_equal(run_text("prioritization.request.other", request("")), XF_OUTCOME_PASS);
	assert_string_equal(run.payload, "{\"request_id\":\"r-1\",\"correlation_id\":\"c-1\",\"urgency_level\":\"LOW\",\"priority_score\":1.0,"
	                                 "\"reasons\":[\"every request: +1.0\"],\"processing_time_ms\":0,"
	                                 "\"timestamp\":\"2025-12-01T12:00:00.000Z\"}");
	assert_string_equal(run.subject, "prioritization.request.other");
	FOUND("\"category\":\"Security\",\"requester_role\":\"CEO\",\"title\":\"URGENT:  production\\nis down\"", "CRITICAL", "10.0",
	      "\"every request: +1.0\",\"category 'security': +3.0\",\"role 'ceo': +2.0\",\"'production is down' in the title: +3.0\","
	      "\"'urgent' in the title: +2.5\",\"no more than 10.0: -1.5\"");
	FOUND("\"category\":\"bug\",\"description\":\"login is blocked\",\"deadline\":\"2025-12-01T15:30:00+01:00\"", "HIGH", "7.5",
	      "\"every request: +1.0\",\"category 'bug': +2.0\",\"'blocked' in the description: +1.5\",\"deadline in 2 h: +3.0\"");
	FOUND("\"title\":\"no rush\"", "LOW", "0.0",
	      "\"every request: +1.0\",\"'no rush' in the title: -3.0\",\"no less than 0.0: +2.0\"");
	run_close();
}

static void
test_rules(void **state)
{
	(void)state;
	open_with(OPTIONS("base=0", "categories[0].name=bug", "categories[0].name=defect", "categories[0].points=2.5", "roles[0].name=vip",
	                  "roles[0].points=0.7", "words[0].text=caf\xc3\xa9 fire", "words[0].points=4", "words[0].in=title",
	                  "words[1].text=slow", "words[1].points=-0.5", "words[1].in=description", "levels.medium=2.5", "levels.high=4",
	                  "levels.critical=7.2", "subject=result.{json./category}.{subject.2}"));
	FOUND("\"category\":\"defect\"", "MEDIUM", "2.5", "\"category 'defect': +2.5\"");
	assert_string_equal(run.subject, "result.defect.request");
	FOUND("\"title\":\"slow\"", "LOW", "0.0", "");
	FOUND("\"category\":\"bug\",\"description\":\"so slow.\"", "LOW", "2.0",
	      "\"category 'bug': +2.5\",\"'slow' in the description: -0.5\"");
	FOUND("\"title\":\"Caf\xc3\xa9 \\t fire!\",\"requester_role\":\"VIP\",\"category\":\"bug\"", "CRITICAL", "7.2",
	      "\"category 'bug': +2.5\",\"role 'vip': +0.7\",\"'caf\xc3\xa9 fire' in the title: +4.0\"");
	/* words are whole */
	FOUND("\"title\":\"xcaf\xc3\xa9 fire\"", "LOW", "0.0", "");
	FOUND("\"title\":\"caf\xc3\xa9 fires\"", "LOW", "0.0", "");
	FOUND("\"title\":\"caf\xc3\xa9 fires, caf\xc3\xa9 fire\"", "HIGH", "4.0", "\"'caf\xc3\xa9 fire' in the title: +4.0\"");
	run_close();
}

static void
test_times(void **state)
{
	(void)state;
	open_with(OPTIONS("base=0", "deadlines[0].within=24h", "deadlines[0].points=2", "deadlines[1].within=0s", "deadlines[1].points=4",
	                  "deadlines[2].within=1h", "deadlines[2].points=3", "ages[0].after=1h", "ages[0].points=1", "ages[1].after=30m",
	                  "ages[1].points=0.5"));
	FOUND("\"deadline\":\"2025-12-02T12:00:00.000Z\"", "LOW", "2.0", "\"deadline in 24 h: +2.0\"");
	FOUND("\"deadline\":\"2025-12-02T12:00:00.001Z\"", "LOW", "0.0", "");
	FOUND("\"deadline\":\"2025-12-01 12:59\"", "MEDIUM", "3.0", "\"deadline in 59 min: +3.0\"");
	FOUND("\"deadline\":1764590400", "MEDIUM", "4.0", "\"deadline passed 0 min ago: +4.0\"");
	FOUND("\"deadline\":1764331200000", "MEDIUM", "4.0", "\"deadline passed 3 d ago: +4.0\"");
	FOUND("\"deadline\":\"2025-12-01\"", "LOW", "2.0", "\"deadline in 11 h: +2.0\""); /* until its end */
	FOUND("\"deadline\":null", "LOW", "0.0", "");
	FOUND("\"timestamp\":\"2025-12-01T11:30:00Z\"", "LOW", "0.5", "\"waiting for 30 min: +0.5\"");
	FOUND("\"timestamp\":\"2025-12-01T11:30:00.001Z\"", "LOW", "0.0", "");
	FOUND("\"timestamp\":\"2025-12-01T05:00:00-05:00\"", "LOW", "1.0", "\"waiting for 2 h: +1.0\"");
	FOUND("\"timestamp\":\"2024-02-29T00:00:00Z\"", "LOW", "1.0", "\"waiting for 641 d: +1.0\"");
	FOUND("\"timestamp\":\"2035-01-01T00:00:00Z\"", "LOW", "0.0", ""); /* a clock that is wrong is no fault */
	run_close();
}

static void
test_judgements(void **state)
{
	(void)state;
	open_with(OPTIONS("judgement=/ai"));
	FOUND("\"ai\":{\"priority_score\":6.66,\"reasons\":[\"it \\\"burns\\\"\",7,\"now\"]}", "HIGH", "6.7",
	      "\"it \\\"burns\\\"\",\"now\"");
	FOUND("\"ai\":{\"priority_score\":0}", "LOW", "0.0", "");
	FOUND("\"ai\":{\"priority_score\":\"9\"}", "LOW", "1.0",
	      "\"the judgement has no priority_score from 0 to 10, so rules decide\",\"every request: +1.0\"");
	FOUND("\"ai\":{\"priority_score\":10.5}", "LOW", "1.0",
	      "\"the judgement has no priority_score from 0 to 10, so rules decide\",\"every request: +1.0\"");
	FOUND("\"ai\":7", "LOW", "1.0",
	      "\"the judgement has no priority_score from 0 to 10, so rules decide\",\"every request: +1.0\"");
	FOUND("\"x\":1", "LOW", "1.0", "\"every request: +1.0\"");
	run_close();
}

static void
refused(const char *payload, const char *reason)
{
	assert_int_equal(run_text("s", payload), XF_OUTCOME_REFUSE);
	assert_int_equal(run.status, 400);
	assert_string_equal(run.reason, reason);
}

static void
test_malformed(void **state)
{
	static const char no_time[] = ": is no time; expected one like \"2026-01-31T08:00:00Z\"";
	static const char *const times[] = {"",           "now",        "2025-13-01", "2025-02-29",       "2025-12-01T",
	                                    "2025-12-01T24:00", "2025-12-01T12:00:00.Z", "2025-12-01T12:00Zx", "2025-12-01T12:00+1",
	                                    "1969-12-31", "2025-12-1"};
	char text[200], reason[200];

	(void)state;
	open_with(OPTIONS(NULL));
	refused("", "the request is no JSON: a value was expected at byte 0");
	refused("{\"id\":", "the request is no JSON: a value was expected at byte 6");
	refused("[]", "the request is an array; expected an object");
	refused("{}", "id: is missing");
	refused("{\"id\":7}", "id: is a number; expected a string");
	refused("{\"id\":\"\"}", "id: is empty");
	refused("{\"id\":\"1\",\"title\":null}", "title: is missing");
	refused(request("\"description\":[]"), "description: is an array; expected a string");
	refused(request("\"timestamp\":true"), "timestamp: is a boolean; expected a time like \"2026-01-31T08:00:00Z\"");
	refused(request("\"timestamp\":-1"), "timestamp: is no time; expected seconds or milliseconds since 1970");
	refused(request("\"timestamp\":1e99"), "timestamp: is no time; expected seconds or milliseconds since 1970");
	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		snprintf(text, sizeof(text), "\"deadline\":\"%s\"", times[i]);
		snprintf(reason, sizeof(reason), "deadline%s", no_time);
		refused(request(text), reason);
	}
	assert_int_equal(run_text("s", request("\"description\":\"\"")), XF_OUTCOME_PASS);
	run_close();
	open_with(OPTIONS("required=id", "deadline_field=", "subject=r.{json./category}"));
	refused("{\"title\":\"x\"}", "id: is missing");
	refused("{\"id\":\"1\"}", "the message has no value for {json./category}");
	assert_int_equal(run_text("s", "{\"id\":\"1\",\"category\":\"c\",\"deadline\":{}}"), XF_OUTCOME_PASS);
	assert_non_null(strstr(run.payload, "{\"request_id\":\"1\",\"correlation_id\":\"1\","));
	run_close();
}

static void
test_anything(void **state)
{
	const char *seed = request("\"ai\":{\"priority_score\":9.5,\"reasons\":[\"a\\u0062\"]},\"deadline\":\"2025-12-01T23:59:59.5+01:00\"");
	unsigned passed = 0, refusals = 0;
	uint64_t random = 1;
	char payload[2048];

	(void)state;
	open_with(OPTIONS("judgement=/ai"));
	for (int i = 0; i < 20000; i++) {
		size_t len = strlen(seed);
		struct xf_incoming message = {.subject = {"s", 1}, .payload = payload};

		memcpy(payload, seed, len);
		for (int change = 0; change < 3; change++) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			payload[(random >> 33) % len] = seed[(random >> 45) % len];
		}
		message.payload_size = i % 16 == 0 ? (random >> 20) % len : len;
		if (run_message(&message) == XF_OUTCOME_PASS) {
			passed++;
			continue;
		}
		refusals++;
		assert_int_equal(run.code, XF_OUTCOME_REFUSE);
		assert_true(run.reason[0] != '\0');
	}
	assert_true(passed > 100 && refusals > 100);
	run_close();
}

static void
test_numbers(void **state)
{
	static const uint64_t expected[] = {2, 1, 0, 1, 3, 1};
	struct xf_number numbers[8];

	(void)state;
	open_with(OPTIONS("judgement=/ai"));
	run_text("s", request(""));
	run_text("s", request(""));
	run_text("s", request("\"title\":\"outage\""));
	run_text("s", request("\"ai\":{\"priority_score\":8}"));
	for (int i = 0; i < 3; i++)
		run_text("s", "no JSON");
	assert_int_equal(run.class->ops->numbers(run.instance, numbers, 8), 6);
	for (int i = 0; i < 6; i++)
		assert_int_equal(numbers[i].value, expected[i]);
	run_close();
}

static void
test_mistakes(void **state)
{
	(void)state;
	run_refused("prioritize", OPTIONS("levels.medium=8.5"), "levels: high from 5.5 is not above medium");
	run_refused("prioritize", OPTIONS("levels.critical=11"), "levels: critical from 11; expected 0.1 to 10.0, with one decimal");
	run_refused("prioritize", OPTIONS("base=0.25"), "base: 0.25 points; expected at most 100, with one decimal");
	run_refused("prioritize", OPTIONS("words[0].text= ", "words[0].points=1"), "words: an empty text; expected a word");
	run_refused("prioritize", OPTIONS("ages[0].after=1h", "ages[0].points=1000"),
	            "ages: 1000 points; expected at most 100, with one decimal");
	run_refused("prioritize", OPTIONS("judgement=x"), "judgement: 'x': a JSON pointer begins with '/', like /order/items/0");
	assert_false(run_try("prioritize", OPTIONS("subject={nothing}")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alone),     cmocka_unit_test(test_rules),   cmocka_unit_test(test_times),
		cmocka_unit_test(test_judgements), cmocka_unit_test(test_malformed), cmocka_unit_test(test_anything),
		cmocka_unit_test(test_numbers),   cmocka_unit_test(test_mistakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
