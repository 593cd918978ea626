#include "document.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "bytes.h"

/* Parses LEN bytes from memory that ends there. */
static bool
parse(struct document *d, const char *text, size_t len, char **copy)
{
	*copy = malloc(len > 0 ? len : 1);
	assert_non_null(*copy);
	memcpy(*copy, text, len);
	return document_parse(d, (struct xf_str){*copy, len});
}

static void
test_grammar(void **state)
{
	static const char *const good[] = {"0", "-0", "1.5", "1e5", "1E+05", "-1.0e-9", "\"\"", "\"\\u00E4\\\"\"", "[]", " [ ] ", "{}",
	                                   "{\"a\":[1,{\"\":null}]}", "true", "false", "null", "\"\xff\"", "\t\r\n1 "};
	static const char *const bad[] = {"", " ", "01", "1.", ".5", "-", "+1", "1e", "1e+", "nul", "truex", "'a'", "\"", "\"\\x\"",
	                                  "\"\\u12g4\"", "\"\n\"", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "{", "{1:2}", "{\"a\"}",
	                                  "{\"a\":}", "{\"a\":1,}", "{\"a\" 1}", "1 2", "[]]", "NaN", "\xef\xbb\xbf[]", "/**/1"};
	struct document d = {.nodes = NULL};
	char *copy;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		if (!parse(&d, good[i], strlen(good[i]), &copy))
			fail_msg("'%s': %s", good[i], d.wrong);
		free(copy);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		if (parse(&d, bad[i], strlen(bad[i]), &copy))
			fail_msg("'%s' was taken", bad[i]);
		assert_non_null(d.wrong);
		free(copy);
	}
	document_fini(&d);
}

static void
test_bounds(void **state)
{
	size_t size = 4u << 20;
	char *text = malloc(size), *copy;
	struct document d = {.nodes = NULL};

	(void)state;
	memset(text, '[', size);
	assert_false(parse(&d, text, size, &copy));
	assert_string_equal(d.wrong, "it is nested too deeply");
	free(copy);
	memset(text, ']', 2 * DOCUMENT_DEPTH_MAX);
	memset(text, '[', DOCUMENT_DEPTH_MAX);
	assert_true(parse(&d, text, 2 * DOCUMENT_DEPTH_MAX, &copy));
	free(copy);
	for (size_t i = 0; i < size; i++)
		text[i] = i % 2 == 0 ? ',' : '0';
	text[0] = '[';
	text[size - 1] = ']';
	assert_false(parse(&d, text, size, &copy));
	assert_string_equal(d.wrong, "it has too many values");
	free(copy);
	free(text);
	document_fini(&d);
}

static struct xf_str
string_of(struct document *d, const char *text)
{
	assert_true(document_parse(d, str_of(text)));
	return document_string(d, 1);
}

static void
test_strings(void **state)
{
	struct document d = {.nodes = NULL};
	struct bytes out = {NULL, 0, 0};

	(void)state;
	assert_true(str_equal(string_of(&d, "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\""), str_of("a\"\\/\b\f\n\r\t")));
	assert_true(str_equal(string_of(&d, "\"\\u0041\\u00e4\\u20AC\\ud83d\\ude00\""), str_of("A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80")));
	assert_true(str_equal(string_of(&d, "\"\\ud83dx\\ude00\\ud83d\\u0041\""), str_of("\xef\xbf\xbdx\xef\xbf\xbd\xef\xbf\xbd" "A")));
	assert_true(str_equal(string_of(&d, "\"a\\u0000b\""), (struct xf_str){"a\0b", 3}));
	bytes_json(&out, (struct xf_str){"a\"\\\n\0\x7f\xc3\xa4", 8});
	assert_true(str_equal((struct xf_str){out.data, out.len}, str_of("\"a\\\"\\\\\\u000a\\u0000\x7f\xc3\xa4\"")));
	bytes_fini(&out);
	document_fini(&d);
}

/* Bytes of texts changed and cut: never read past the end, and what is taken is JSON to another reader too. */
static void
test_anything(void **state)
{
	static const char seed[] = "{\"a\":{\"b\":[1,-2.5e3,\"x\\u00e9\\\\\"]},\"c\":null,\"d\":[true,{\"e\":\"f\"}],\"g\":false}";
	struct document d = {.nodes = NULL};
	struct bytes out = {NULL, 0, 0};
	uint64_t random = 1;
	unsigned taken = 0;

	(void)state;
	for (int i = 0; i < 50000; i++) {
		char text[sizeof(seed)], *copy;
		size_t len = sizeof(seed) - 1;

		memcpy(text, seed, sizeof(seed));
		for (int change = 0; change < 1 + i % 3; change++) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			text[(random >> 33) % len] = i % 2 == 0 ? seed[(random >> 45) % len] : (char)(random >> 45);
		}
		if (i % 4 == 0)
			len = (random >> 20) % len;
		if (parse(&d, text, len, &copy)) {
			cJSON *json = cJSON_ParseWithLength(text, len);

			taken++;
			if (json == NULL && strstr(text, "\\ud") == NULL)
				fail_msg("'%.*s' is no JSON", (int)len, text);
			cJSON_Delete(json);
			out.len = 0;
			document_print(&d, 1, &out);
			if (len == sizeof(seed) - 1)
				assert_memory_equal(out.data, text, out.len);
		}
		free(copy);
	}
	assert_true(taken > 1000);
	bytes_fini(&out);
	document_fini(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grammar),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
