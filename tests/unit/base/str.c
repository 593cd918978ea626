#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void
strings_compare(void **state)
{
	struct xf_str none = {NULL, 0};

	(void)state;
	assert_true(xf_str_equal(xf_str("abc"), xf_str("abc")));
	assert_false(xf_str_equal(xf_str("abc"), xf_str("abd")));
	assert_false(xf_str_equal(xf_str("abc"), xf_str("ab")));
	assert_true(xf_str_equal(none, xf_str("")));
	assert_true(xf_str_equal(none, xf_str(NULL)));
	assert_true(xf_str_is((struct xf_str){"key: value", 3}, "key"));
	assert_true(xf_str_equal((struct xf_str){"a\0b", 3}, (struct xf_str){"a\0b", 3}));
	assert_false(xf_str_equal((struct xf_str){"a\0b", 3}, (struct xf_str){"a\0c", 3}));

	assert_true(xf_str_equal_nocase(xf_str("Content-TYPE"), xf_str("content-type")));
	assert_false(xf_str_equal_nocase(xf_str("content-type"), xf_str("content-typ")));
	assert_false(xf_str_equal_nocase(xf_str("@"), xf_str("`"))); /* as far apart as A and a */
	assert_false(xf_str_equal_nocase(xf_str("\xc3\x84"), xf_str("\xc3\xa4")));
}

static void
the_nearest_word_is_found(void **state)
{
	static const char *const words[] = {"percent", "mirror", "key", "transport", "transports", "to"};
	const size_t count = sizeof(words) / sizeof(words[0]);
	char lengthy[200];

	(void)state;
	assert_string_equal(xf_str_nearest(xf_str("pecrent"), words, count), "percent"); /* swapped */
	assert_string_equal(xf_str_nearest(xf_str("miror"), words, count), "mirror");    /* missing */
	assert_string_equal(xf_str_nearest(xf_str("keyy"), words, count), "key");        /* one more */
	assert_string_equal(xf_str_nearest(xf_str("tranzports"), words, count), "transports");
	assert_string_equal(xf_str_nearest(xf_str("transport"), words, count), "transport"); /* itself before others */
	assert_null(xf_str_nearest(xf_str("elephant"), words, count));
	assert_null(xf_str_nearest(xf_str(""), words, count));
	assert_null(xf_str_nearest(xf_str("percent"), words, 0));
	memset(lengthy, 'x', sizeof(lengthy)); /* more than is looked at */
	assert_null(xf_str_nearest((struct xf_str){lengthy, sizeof(lengthy)}, words, count));
}

static void
a_buffer_grows(void **state)
{
	struct xf_buffer buffer = {0};
	char expected[3001];

	(void)state;
	xf_buffer_append(&buffer, NULL, 0);
	assert_int_equal(buffer.len, 0);
	assert_string_equal(buffer.data, "");
	for (unsigned i = 0; i < 1000; i++)
		xf_buffer_printf(&buffer, "%03u", i);
	assert_int_equal(buffer.len, 3000);
	for (unsigned i = 0; i < 1000; i++)
		snprintf(expected + 3 * i, 4, "%03u", i);
	assert_string_equal(buffer.data, expected);
	xf_buffer_puts(&buffer, "end");
	xf_buffer_append(&buffer, "\0x", 2);
	assert_int_equal(buffer.len, 3005);
	assert_memory_equal(buffer.data + 3000, "end\0x", 6);
	xf_buffer_fini(&buffer);
	assert_null(buffer.data);
	assert_int_equal(buffer.len, 0);
}

/* Each size around a border of growth, with the terminator. */
static void
a_buffer_ends_with_a_terminator_at_every_size(void **state)
{
	(void)state;
	for (size_t len = 250; len < 520; len++) {
		struct xf_buffer buffer = {0};
		char *text = malloc(len);

		assert_non_null(text);
		memset(text, 'a', len);
		xf_buffer_append(&buffer, text, len);
		assert_int_equal(strlen(buffer.data), len);
		xf_buffer_fini(&buffer);
		xf_buffer_printf(&buffer, "%.*s", (int)len, text);
		assert_int_equal(strlen(buffer.data), len);
		xf_buffer_fini(&buffer);
		free(text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_compare),
		cmocka_unit_test(the_nearest_word_is_found),
		cmocka_unit_test(a_buffer_grows),
		cmocka_unit_test(a_buffer_ends_with_a_terminator_at_every_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
