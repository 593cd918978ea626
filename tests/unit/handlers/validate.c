#include "run.h"

/* Why PAYLOAD is refused, or "". */
static const char *
wrong(const char *schema, const char *payload)
{
	char option[2048];

	snprintf(option, sizeof(option), "schema=%s", schema);
	run_open("validate", OPTIONS(option));
	if (run_text("s", payload) == XF_OUTCOME_PASS)
		run.reason[0] = '\0';
	else
		assert_int_equal(run.code, XF_OUTCOME_REFUSE);
	run_close();
	return run.reason;
}

static void
test_types(void **state)
{
	static const char *const values[] = {"null", "true", "1.5", "7", "\"x\"", "[]", "{}"};
	static const char *const types[] = {"null", "boolean", "number", "integer", "string", "array", "object"};
	static const bool valid[7][7] = {
		{1}, {0, 1}, {0, 0, 1, 1}, {0, 0, 0, 1}, {0, 0, 0, 0, 1}, {0, 0, 0, 0, 0, 1}, {0, 0, 0, 0, 0, 0, 1},
	};
	char schema[64];

	(void)state;
	for (int t = 0; t < 7; t++)
		for (int v = 0; v < 7; v++) {
			snprintf(schema, sizeof(schema), "{\"type\":\"%s\"}", types[t]);
			assert_int_equal(wrong(schema, values[v])[0] == '\0', valid[t][v]);
		}
	assert_string_equal(wrong("{\"type\":\"integer\"}", "1.0"), "");
	assert_string_equal(wrong("{\"type\":\"integer\"}", "123456789012345678901234567890"), "");
	assert_string_equal(wrong("{\"type\":\"integer\"}", "1.5"), "is a number with a fraction; expected integer");
	assert_string_equal(wrong("{\"type\":[\"string\",\"null\"]}", "null"), "");
	assert_string_equal(wrong("{\"type\":[\"string\",\"null\"]}", "[]"), "is an array; expected null or string");
	assert_string_equal(wrong("true", "[]"), "");
	assert_string_equal(wrong("false", "[]"), "is not allowed");
	assert_string_equal(wrong("{}", "[1,]"), "its payload is no JSON: a value was expected at byte 3");
}

static void
test_objects(void **state)
{
	static const char schema[] =
		"{\"$schema\":\"x\",\"title\":\"order\",\"type\":\"object\",\"required\":[\"id\",\"items\"],\"additionalProperties\":false,"
		"\"properties\":{\"id\":{\"type\":\"string\"},\"items\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":3,\"items\":"
		"{\"type\":\"object\",\"properties\":{\"price\":{\"type\":\"number\"},\"a/b\":{\"const\":1}}}}}}";

	(void)state;
	assert_string_equal(wrong(schema, "{\"id\":\"1\",\"items\":[{\"price\":1,\"x\":0}]}"), "");
	assert_string_equal(wrong(schema, "{\"id\":\"1\",\"items\":[{},{},{\"price\":\"1\"}]}"),
	                    "/items/2/price: is a string; expected number");
	assert_string_equal(wrong(schema, "{\"id\":\"1\",\"items\":[{\"a/b\":2}]}"),
	                    "/items/0/a~1b: is not the one value that is allowed");
	assert_string_equal(wrong(schema, "{\"id\":\"1\"}"), "has no 'items'");
	assert_string_equal(wrong(schema, "{\"id\":\"1\",\"items\":[]}"), "/items: has 0 elements; expected at least 1");
	assert_string_equal(wrong(schema, "{\"id\":\"1\",\"items\":[1,2,3,4]}"), "/items: has 4 elements; expected at most 3");
	assert_string_equal(wrong(schema, "{\"id\":\"1\",\"items\":[{}],\"x\":0}"), "/x: is not allowed");
	/* a name written with an escape is that name, and one that stands twice is looked at twice */
	assert_string_equal(wrong(schema, "{\"\\u0069d\":\"1\",\"items\":[{}]}"), "");
	assert_string_equal(wrong(schema, "{\"id\":\"1\",\"items\":[{}],\"id\":1}"), "/id: is a number; expected string");
	assert_string_equal(wrong("{\"additionalProperties\":{\"type\":\"null\"},\"properties\":{\"a\":true}}", "{\"a\":1,\"b\":2}"),
	                    "/b: is a number; expected null");
}

static void
test_values(void **state)
{
	static const char words[] = "{\"enum\":[\"a\\u0062\",1,null,{\"x\":[1,2],\"y\":true},9007199254740993]}";

	(void)state;
	assert_string_equal(wrong(words, "\"\\u0061b\""), "");
	assert_string_equal(wrong(words, "1.0"), "");
	assert_string_equal(wrong(words, "null"), "");
	assert_string_equal(wrong(words, "{\"y\":true,\"x\":[1,2]}"), "");
	assert_string_equal(wrong(words, "9007199254740993"), "");
	assert_string_equal(wrong(words, "9007199254740992"), "is none of the values that are allowed");
	assert_string_equal(wrong(words, "{\"y\":true,\"x\":[2,1]}"), "is none of the values that are allowed");
	assert_string_equal(wrong(words, "true"), "is none of the values that are allowed");
	assert_string_equal(wrong("{\"const\":[]}", "{}"), "is not the one value that is allowed");
	assert_string_equal(wrong("{\"minimum\":1,\"maximum\":2}", "1"), "");
	assert_string_equal(wrong("{\"minimum\":1,\"maximum\":2}", "0.9"), "is too small; expected a number from 1");
	assert_string_equal(wrong("{\"minimum\":1,\"maximum\":2}", "2.1"), "is too large; expected a number up to 2");
	assert_string_equal(wrong("{\"minimum\":1,\"exclusiveMinimum\":1}", "1"), "is too small; expected a number above 1");
	assert_string_equal(wrong("{\"exclusiveMaximum\":2,\"maximum\":2}", "2"), "is too large; expected a number below 2");
	assert_string_equal(wrong("{\"minimum\":1}", "1e999"), "is a number that cannot be compared");
	assert_string_equal(wrong("{\"minimum\":1}", "\"x\""), "");
	assert_string_equal(wrong("{\"minLength\":2,\"maxLength\":3}", "\"\xc3\xa4\xc3\xa4\xc3\xa4\""), "");
	assert_string_equal(wrong("{\"minLength\":2}", "\"\\u00e4\""), "is 1 characters long; expected at least 2");
	assert_string_equal(wrong("{\"maxLength\":3}", "\"abcd\""), "is 4 characters long; expected at most 3");
	assert_string_equal(wrong("{\"pattern\":\"^[A-Z]{2}-[0-9]+$\"}", "\"AB-17\""), "");
	assert_string_equal(wrong("{\"pattern\":\"^[A-Z]{2}$\"}", "\"ABC\""), "does not match '^[A-Z]{2}$'");
	assert_string_equal(wrong("{\"pattern\":\"^a$\"}", "\"a\\u0000b\""), "does not match '^a$'");
}

static void
test_mistakes(void **state)
{
	(void)state;
	run_refused("validate", OPTIONS("schema={"), "schema: is no JSON: a string was expected at byte 1");
	run_refused("validate", OPTIONS("schema=[]"), "schema: is an array; expected a schema, which is an object, true or false");
	run_refused("validate", OPTIONS("schema={\"properties\":{\"a\":{\"items\":{\"oneOf\":[]}}}}"),
	            "schema /properties/a/items: unknown keyword 'oneOf'; it would be ignored, and what it forbids let through");
	run_refused("validate", OPTIONS("schema={\"type\":\"strng\"}"),
	            "schema /type: unknown type 'strng'; expected null, boolean, integer, number, string, array or object");
	run_refused("validate", OPTIONS("schema={\"type\":[]}"), "schema /type: is empty; expected at least one type");
	run_refused("validate", OPTIONS("schema={\"properties\":{\"a\":{\"minLength\":-1}}}"),
	            "schema /properties/a/minLength: is no whole number from 0 on");
	run_refused("validate", OPTIONS("schema={\"properties\":{\"a\":{\"items\":{\"minItems\":1}},\"b\":{\"minLength\":-1}}}"),
	            "schema /properties/b/minLength: is no whole number from 0 on");
	run_refused("validate", OPTIONS("schema={\"maxLength\":\"1\"}"), "schema /maxLength: is a string; expected a whole number");
	run_refused("validate", OPTIONS("schema={\"properties\":{\"a\":{}},\"required\":1}"),
	            "schema /required: is a number; expected a list of names");
	run_refused("validate", OPTIONS("schema={\"items\":1}"),
	            "schema /items: is a number; expected a schema, which is an object, true or false");
	run_refused("validate", OPTIONS("schema={\"maximum\":12345678901234567890}"),
	            "schema /maximum: is 12345678901234567890; expected a number below 2^53, which is kept exactly");
	assert_false(run_try("validate", OPTIONS("schema={\"pattern\":\"(\"}")));
	assert_non_null(strstr(run.reason, "schema /pattern: '(' is no POSIX extended regular expression: "));
}

static void
test_anything(void **state)
{
	(void)state;
	run_open("validate", OPTIONS("schema={\"properties\":{\"a\":{\"properties\":{\"b\":{\"items\":{\"minimum\":-9999,\"pattern\":"
	                             "\"^x\"},\"minItems\":3}}},\"c\":{\"enum\":[null,\"\\u0061\"]},\"d\":{\"items\":{\"type\":[\"boolean\","
	                             "\"object\"]}}},\"additionalProperties\":false}"));
	run_anything(XF_OUTCOME_PASS, XF_OUTCOME_REFUSE);
	run_close();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_objects),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
