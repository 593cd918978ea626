/*
 * The walk over JSON lines: what is found is as it stood, and no beginning of a line, nor one with a byte changed, makes it
 * read past its end.
 */
#include "../../../plugins/common/json.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Exactly as long as the text, so that a sanitizer sees a read past its end. */
static char *
exact(const char *text, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1);

	assert_non_null(copy);
	memcpy(copy, text, len);
	return copy;
}

/* Walks through it all; returns how many members there are, or -1. */
static int
walk(const char *text, size_t len)
{
	char *copy = exact(text, len), *decoded = malloc(len + 1);
	struct xf_str name, value;
	struct json json;
	uint64_t decoded_len;
	int count = 0;

	json_open(&json, (struct xf_str){copy, len});
	while (json_next(&json, &name, &value)) {
		assert_true(value.data >= copy && value.data + value.len <= copy + len);
		if (json_is_string(value))
			json_decode(value, decoded, &decoded_len);
		count++;
	}
	if (!json_close(&json))
		count = -1;
	free(copy);
	free(decoded);
	return count;
}

static void
test_members(void **state)
{
	static const char text[] = " { \"a\" : 1.50e+3 , \"b\\\"\":[ {\"c\":null} ,2] ,\"d\":\"x\\ty\" } ";
	static const char *const expected[][2] = {{"a", "1.50e+3"}, {"b\\\"", "[ {\"c\":null} ,2]"}, {"d", "\"x\\ty\""}};
	struct xf_str name, value;
	struct json json;

	(void)state;
	json_open(&json, (struct xf_str){text, sizeof(text) - 1});
	for (size_t i = 0; i < 3; i++) {
		assert_true(json_next(&json, &name, &value));
		assert_int_equal(name.len, strlen(expected[i][0]));
		assert_memory_equal(name.data, expected[i][0], name.len);
		assert_int_equal(value.len, strlen(expected[i][1]));
		assert_memory_equal(value.data, expected[i][1], value.len);
	}
	assert_false(json_next(&json, &name, &value));
	assert_true(json_close(&json));
}

static void
test_what_is_json(void **state)
{
	static const char *const good[] = {"{}", "{\"a\":0}", "{\"a\":-0.1E9}", "{\"a\":[]}", "{\"a\":[[],{}]}", "{\"a\":true}",
					   "{\"\":\"\\u0041\\/\"}", "{\"a\":\"\x80\xff\"}"};
	static const char *const bad[] = {
		"", " ", "{", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{\"a\":1}}", "{\"a\":01}", "{\"a\":1.}", "{\"a\":.5}",
		"{\"a\":1e}", "{\"a\":+1}", "{\"a\":-}", "{\"a\":tru}", "{\"a\":nulll}", "{\"a\":\"\t\"}", "{\"a\":\"\\x\"}",
		"{\"a\":\"\\u12g4\"}", "{\"a\":\"\\u12\"}", "{\"a\":[1,]}", "{\"a\":[1 2]}", "{\"a\":[}", "{\"a\":{1:2}}", "{'a':1}",
		"[1]", "\"a\"", "{\"a\":1 \"b\":2}", "{\"a\":\"\\",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (walk(good[i], strlen(good[i])) < 0)
			fail_msg("refused: %s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (walk(bad[i], strlen(bad[i])) >= 0)
			fail_msg("taken: %s", bad[i]);
}

static void
test_depth_is_bounded(void **state)
{
	char text[600] = "{\"a\":";
	size_t len = strlen(text);

	(void)state;
	memset(text + len, '[', 500);
	assert_int_equal(walk(text, len + 500), -1);
	memset(text + len, '[', 100);
	memset(text + len + 100, ']', 100);
	text[len + 200] = '}';
	assert_int_equal(walk(text, len + 201), 1);
}

static void
test_strings(void **state)
{
	static const char *const pairs[][2] = {
		{"\"\"", ""}, {"\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "a\"\\/\b\f\n\r\t"},
		{"\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
	};
	static const char *const halves[] = {"\"\\ud83d\"", "\"\\ude00\"", "\"\\ud83dx\"", "\"\\ud83d\\n\"", "\"\\ud83d\\u0041\""};
	char out[64];
	uint64_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		assert_true(json_decode((struct xf_str){pairs[i][0], strlen(pairs[i][0])}, out, &len));
		assert_int_equal(len, strlen(pairs[i][1]));
		assert_memory_equal(out, pairs[i][1], len);
	}
	for (size_t i = 0; i < sizeof(halves) / sizeof(halves[0]); i++)
		assert_false(json_decode((struct xf_str){halves[i], strlen(halves[i])}, out, &len));
}

/* Every beginning, and every byte exchanged for every other of some that matter. */
static void
test_damaged_lines(void **state)
{
	static const char text[] = "{\"s\":\"a\\u0041\\ud83d\\ude00\\n\",\"n\":-1.5e3,\"l\":[true,{\"x\":null}],\"o\":{}}";
	static const char bytes[] = "\"\\{}[],:u0e-. \n\x80";

	(void)state;
	for (size_t cut = 0; cut < sizeof(text) - 1; cut++)
		assert_int_equal(walk(text, cut), -1);
	assert_int_equal(walk(text, sizeof(text) - 1), 4);
	for (size_t at = 0; at < sizeof(text) - 1; at++) {
		for (size_t i = 0; i < sizeof(bytes) - 1; i++) {
			char *damaged = exact(text, sizeof(text) - 1);

			damaged[at] = bytes[i];
			walk(damaged, sizeof(text) - 1); /* whatever it says, it stays within */
			free(damaged);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members),       cmocka_unit_test(test_what_is_json),  cmocka_unit_test(test_depth_is_bounded),
		cmocka_unit_test(test_strings),       cmocka_unit_test(test_damaged_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
