#include "run.h"

static void
test_envelope(void **state)
{
	(void)state;
	run_open("transform", OPTIONS("subject=out.{json./c|'none'}.{subject.2}", "key={json./n}", "headers.set[0].name=kind",
	                              "headers.set[0].value={subject}", "headers.set[1].name=New",
	                              "headers.set[1].value={header.x-debug}", "headers.remove=x-debug"));
	assert_int_equal(run_text("in.eu", "{\"c\":\"de\",\"n\":7}"), XF_OUTCOME_PASS);
	assert_true(run.made);
	assert_string_equal(run.subject, "out.de.eu");
	assert_string_equal(run.key, "7");
	assert_string_equal(run.headers, "kind=in.eu\nNew=1\n");
	assert_string_equal(run.payload, "{\"c\":\"de\",\"n\":7}");
	assert_int_equal(run_text("in.eu", "{\"c\":\"de\"}"), XF_OUTCOME_REFUSE);
	assert_string_equal(run.reason, "the message has no value for {json./n}");
	assert_int_equal(run_text("in.eu", "no json"), XF_OUTCOME_REFUSE);
	run_close();
}

/* What the options make of PAYLOAD, or why it is refused. */
static const char *
json(const char *payload, const char *const *texts)
{
	run_open("transform", texts);
	run_text("s", payload);
	run_close();
	return run.code == XF_OUTCOME_PASS ? run.payload : run.reason;
}

static void
test_set(void **state)
{
	(void)state;
	assert_string_equal(json("{\"a\":1}", OPTIONS("json.set[0].field=/b", "json.set[0].value={json./a}\"")),
	                    "{\"a\":1,\"b\":\"1\\\"\"}");
	assert_string_equal(json("{\"a\":{\"b\":1,\"c\":2}}", OPTIONS("json.set[0].field=/a/b", "json.set[0].json={json./a/c}0")),
	                    "{\"a\":{\"b\":20,\"c\":2}}");
	assert_string_equal(json("{}", OPTIONS("json.set[0].field=/a~1b/c", "json.set[0].json=null")), "{\"a/b\":{\"c\":null}}");
	assert_string_equal(json("{\"l\":[1,2]}", OPTIONS("json.set[0].field=/l/0", "json.set[0].json=true", "json.set[1].field=/l/-",
	                                                 "json.set[1].value=")),
	                    "{\"l\":[true,2,\"\"]}");
	assert_string_equal(json("{\"a\":1,\"b\":2,\"a\":3}", OPTIONS("json.set[0].field=/a", "json.set[0].json=4")),
	                    "{\"a\":4,\"b\":2}");
	/* all is read before anything is changed */
	assert_string_equal(json("{\"a\":1,\"b\":2}", OPTIONS("json.set[0].field=/a", "json.set[0].json={json./b}",
	                                                      "json.set[1].field=/b", "json.set[1].json={json./a}")),
	                    "{\"a\":2,\"b\":1}");
	assert_string_equal(json("[1]", OPTIONS("json.set[0].field=/3", "json.set[0].json=1")),
	                    "its field /3 cannot be set: the array has no such element");
	assert_string_equal(json("{\"a\":1}", OPTIONS("json.set[0].field=/a/b", "json.set[0].json=1")),
	                    "its field /a/b cannot be set: what should hold it is neither an object nor an array");
	assert_string_equal(json("{}", OPTIONS("json.set[0].field=/a", "json.set[0].json={header.kind}")),
	                    "what its field /a should be set to is no JSON: a value was expected");
	assert_string_equal(json("{", OPTIONS("json.set[0].field=/a", "json.set[0].json=1")),
	                    "its payload is no JSON: a string was expected at byte 1");
	assert_string_equal(json("", OPTIONS("json.remove=/a")), "its payload is no JSON: a value was expected at byte 0");
}

static void
test_rename(void **state)
{
	(void)state;
	assert_string_equal(json("{\"a\":{ \"x\":1 },\"b\":2}", OPTIONS("json.rename[0].from=/a", "json.rename[0].to=/c/d")),
	                    "{\"b\":2,\"c\":{\"d\":{ \"x\":1 }}}");
	assert_string_equal(json("{\"a\":1,\"b\":2}", OPTIONS("json.rename[0].from=/a", "json.rename[0].to=/b")), "{\"b\":1}");
	assert_string_equal(json("{\"a\":1}", OPTIONS("json.rename[0].from=/x", "json.rename[0].to=/b")), "{\"a\":1}");
	assert_string_equal(json("{\"a\":1}", OPTIONS("json.rename[0].from=/a", "json.rename[0].to=/a/b")), "{\"a\":{\"b\":1}}");
	/* what was moved is hidden where it stands then, and of a name that stands twice nothing stays behind */
	assert_string_equal(json("{\"o\":{\"a\":{\"s\":1}},\"o\":{\"a\":{\"s\":2,\"t\":3}}}",
	                         OPTIONS("json.rename[0].from=/o/a", "json.rename[0].to=/b", "json.redact=/b/s")),
	                    "{\"o\":{},\"o\":{},\"b\":{\"s\":\"***\",\"t\":3}}");
}

static void
test_hide(void **state)
{
	(void)state;
	assert_string_equal(json("{\"card\":{\"no\":1},\"l\":[{\"p\":1,\"q\":2},{\"p\":[3]},4]}",
	                         OPTIONS("json.redact=/card", "json.redact=/l/*/p", "json.redact=/none/x")),
	                    "{\"card\":\"***\",\"l\":[{\"p\":\"***\",\"q\":2},{\"p\":\"***\"},4]}");
	assert_string_equal(json("{\"pass\\u0077ord\":1,\"password\":2}", OPTIONS("json.redact=/password")),
	                    "{\"pass\\u0077ord\":\"***\",\"password\":\"***\"}");
	assert_string_equal(json("{\"a\":1,\"b\":2,\"l\":[1,2,3]}", OPTIONS("json.remove=/a", "json.remove=/l/1")),
	                    "{\"b\":2,\"l\":[1,3]}");
	assert_string_equal(json("{\"a\":1}", OPTIONS("json.remove=/*")), "{}");
	/* known answers: SHA-256 of "abc"; HMAC-SHA-256 of "what do ya want for nothing?" with "Jefe" (RFC 4231) */
	assert_string_equal(json("{\"a\":\"a\\u0062c\"}", OPTIONS("json.hash=/a")),
	                    "{\"a\":\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"}");
	assert_string_equal(json("{\"a\":\"what do ya want for nothing?\"}", OPTIONS("json.hash=/a", "json.salt=Jefe")),
	                    "{\"a\":\"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843\"}");
	/* hidden also where it was set just now */
	assert_string_equal(json("{}", OPTIONS("json.set[0].field=/a", "json.set[0].json={'{\"s\":1}'}", "json.redact=/a/s")),
	                    "{\"a\":{\"s\":\"***\"}}");
}

/* Nothing of what is not touched changes, neither digits nor spaces nor escapes. */
static void
test_untouched(void **state)
{
	static const char payload[] = "{ \"big\" : 12345678901234567890123, \"f\":0.10, \"e\":1E400,\t\"s\":\"\\u00e4\\/\" , \"l\": [ 1 , {} ],"
	                              " \"x\":1 }";

	(void)state;
	assert_string_equal(json(payload, OPTIONS("json.remove=/none")), payload);
	assert_string_equal(json(payload, OPTIONS("json.set[0].field=/x", "json.set[0].json=2")),
	                    "{\"big\":12345678901234567890123,\"f\":0.10,\"e\":1E400,\"s\":\"\\u00e4\\/\",\"l\":[ 1 , {} ],\"x\":2}");
}

static void
test_mistakes(void **state)
{
	(void)state;
	run_refused("transform", NULL, "changes nothing; expected subject, key, headers or json");
	run_refused("transform", OPTIONS("subject={x"), "subject: '{' without '}' in '{x'");
	run_refused("transform", OPTIONS("headers.set[0].name=N", "headers.set[0].value=}"), "N: '}' without '{' in '}'");
	run_refused("transform", OPTIONS("json.redact=card"),
	            "json: redact 'card': a JSON pointer begins with '/', like /order/items/0");
	run_refused("transform", OPTIONS("json.remove="), "json: remove '': a JSON pointer of a field is not empty");
	run_refused("transform", OPTIONS("json.set[0].field=/a"), "json: set '/a': expected value or json");
	run_refused("transform", OPTIONS("json.rename[0].from=/*/a", "json.rename[0].to=/b"),
	            "json: rename '/*/a': one field is renamed; expected a pointer without *");
}

static void
test_anything(void **state)
{
	(void)state;
	run_open("transform", OPTIONS("subject={json./c|subject}", "json.rename[0].from=/d", "json.rename[0].to=/a/d",
	                              "json.set[0].field=/a/b/0", "json.set[0].value={payload.hash}", "json.hash=/*/b/*",
	                              "json.redact=/a/d/1/e", "json.remove=/c"));
	run_anything(XF_OUTCOME_PASS, XF_OUTCOME_REFUSE);
	run_close();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_envelope),  cmocka_unit_test(test_set),      cmocka_unit_test(test_rename),
		cmocka_unit_test(test_hide),      cmocka_unit_test(test_untouched), cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
