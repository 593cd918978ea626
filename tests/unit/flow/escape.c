/*
 * Foreign names to subjects and back: each by name, and every short name there is over the bytes that matter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/subject.h"
#include "flow/escape.h"

static void
test_names(void **state)
{
	static const char *const pairs[][2] = {
		{"orders.eu", "orders.eu"},
		{"a b", "a%20b"},
		{"a..b c", "a.%2Eb%20c"},
		{"", "%"},
		{".", "%2E"},
		{"..", "%2E%2E"},
		{".a", "%2Ea"},
		{"a.", "a%2E"},
		{"a...b", "a.%2E.b"},
		{"*", "%2A"},
		{"a.*.>", "a.%2A.%3E"},
		{"a*.b>", "a*.b>"},
		{"*.", "*%2E"},
		{"100%", "100%25"},
		{"%20", "%2520"},
		{"tab\there\x7f", "tab%09here%7F"},
		{"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		struct xf_str name = xf_str(pairs[i][0]);
		struct xf_buffer out = {0}, back = {0};

		xf_escape(name, &out);
		assert_true(xf_str_is((struct xf_str){out.data, out.len}, pairs[i][1]));
		assert_int_equal(xf_escape_needed(name), strcmp(pairs[i][0], pairs[i][1]) != 0);
		assert_int_equal(xf_unescape_needed((struct xf_str){out.data, out.len}),
		                 strcmp(pairs[i][0], pairs[i][1]) != 0);
		xf_unescape((struct xf_str){out.data, out.len}, &back);
		assert_true(xf_str_equal((struct xf_str){back.data, back.len}, name));
		xf_buffer_fini(&out);
		xf_buffer_fini(&back);
	}
}

/* What nothing was escaped with stays. */
static void
test_foreign_percent(void **state)
{
	static const char *const pairs[][2] = {
		{"100%", "100%"}, {"a%2", "a%2"}, {"a%zz", "a%zz"}, {"a%2e", "a."}, {"%%20", "% "}, {"a.%", "a.%"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		struct xf_buffer out = {0};

		xf_unescape(xf_str(pairs[i][0]), &out);
		assert_true(xf_str_is((struct xf_str){out.data, out.len}, pairs[i][1]));
		xf_buffer_fini(&out);
	}
}

static void
test_every_short_name(void **state)
{
	static const char bytes[] = {'a', '.', '*', '>', ' ', '%', '2', 'E', '\0', '\x7f', '\xff', '\n'};
	enum { BYTES = sizeof(bytes), LENGTH = 5 };
	size_t names = 1;

	(void)state;
	for (size_t len = 0; len <= LENGTH; len++, names *= BYTES)
		for (size_t n = 0; n < names; n++) {
			struct xf_buffer out = {0}, back = {0};
			char name[LENGTH];
			size_t rest = n;

			for (size_t i = 0; i < len; i++, rest /= BYTES)
				name[i] = bytes[rest % BYTES];
			xf_escape((struct xf_str){name, len}, &out);
			assert_null(xf_subject_check((struct xf_str){out.data, out.len}));
			assert_true(out.len <= 3 * len || len == 0);
			xf_unescape((struct xf_str){out.data, out.len}, &back);
			assert_int_equal(back.len, len);
			if (len > 0)
				assert_memory_equal(back.data, name, len);
			if (!xf_escape_needed((struct xf_str){name, len}))
				assert_memory_equal(out.data, name, len);
			xf_buffer_fini(&out);
			xf_buffer_fini(&back);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_foreign_percent),
		cmocka_unit_test(test_every_short_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
