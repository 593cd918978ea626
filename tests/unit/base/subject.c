/*
 * Matching and overlap are compared with their definitions over every small pattern and subject, beside the examples
 * that a person would give.
 */
#include "base/subject.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void
good_subjects_pass(void **state)
{
	static const char *const good[] = {"a", "orders.eu.created", "a-b_c.$x", "a*b.c>", "x.**", "\xc3\xa4.b"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_null(xf_subject_check(xf_str(good[i])));
}

static void
bad_subjects_are_named(void **state)
{
	static const char *const bad[] = {"",     ".",     "a.",   ".a",    "a..b",   "*",      "a.*",   "a.>",      ">",
	                                  "a b",  "a\rb",  "a\nb", "a\tb",  "a\x7f",  "a.\x01", " a",    "a ",       "a. .b"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (xf_subject_check(xf_str(bad[i])) == NULL)
			fail_msg("'%s' passed", bad[i]);
	assert_non_null(xf_subject_check((struct xf_str){"a\0b", 3}));
	assert_non_null(xf_subject_check((struct xf_str){NULL, 0}));
}

static void
patterns_have_wildcards_in_their_places(void **state)
{
	(void)state;
	assert_null(xf_subject_pattern_check(xf_str(">")));
	assert_null(xf_subject_pattern_check(xf_str("*")));
	assert_null(xf_subject_pattern_check(xf_str("a.*.c.>")));
	assert_null(xf_subject_pattern_check(xf_str("a.b*.c")));
	assert_non_null(xf_subject_pattern_check(xf_str("a.>.b")));
	assert_non_null(xf_subject_pattern_check(xf_str(">.>")));
	assert_non_null(xf_subject_pattern_check(xf_str("a..>")));
	assert_non_null(xf_subject_pattern_check(xf_str("")));
	assert_non_null(xf_subject_pattern_check(xf_str("a b")));
}

static bool
matches(const char *pattern, const char *subject)
{
	return xf_subject_match(xf_str(pattern), xf_str(subject));
}

static bool
overlaps(const char *a, const char *b)
{
	return xf_subject_overlap(xf_str(a), xf_str(b));
}

static void
examples_match(void **state)
{
	(void)state;
	assert_true(matches("orders.*.paid", "orders.eu.paid"));
	assert_false(matches("orders.*.paid", "orders.paid"));
	assert_false(matches("orders.*", "orders.eu.paid"));
	assert_true(matches("orders.>", "orders.eu.paid"));
	assert_false(matches("orders.>", "orders")); /* one or more */
	assert_false(matches("orders", "orders.eu"));
	assert_false(matches("order", "orders"));
	assert_true(matches("a.b*", "a.b*")); /* a star within a token is a star */
	assert_false(matches("a.b*", "a.bc"));

	assert_true(overlaps("orders.*.paid", "orders.eu.>"));
	assert_false(overlaps("orders.*.paid", "orders.*.sent"));
	assert_false(overlaps("a.>", "a"));
}

/* ---- All there are ------------------------------------------------------------------ */

#define TOKENS_MAX 4

/* The N-th of all texts of up to TOKENS_MAX tokens of the KINDS first of a, b, *, and where WITH_REST a last >. */
static bool
text_make(char *out, unsigned n, unsigned kinds, bool with_rest)
{
	static const char *const tokens[] = {"a", "b", "*", ">"};
	unsigned radix = kinds + with_rest, count = 0;

	*out = '\0';
	for (n++; n > 0; n = (n - 1) / radix) {
		unsigned kind = (n - 1) % radix;

		if (++count > TOKENS_MAX)
			return false;
		if (kind == kinds && n > radix)
			return false; /* > before the end */
		snprintf(out + strlen(out), 3, "%s%s", count > 1 ? "." : "", tokens[kind == kinds ? 3 : kind]);
	}
	return true;
}

static bool
match_by_definition(const char *pattern, const char *subject)
{
	if (*pattern == '>')
		return *subject != '\0';
	if (*pattern == '\0' || *subject == '\0')
		return *pattern == *subject;
	if (*pattern != '*' && *pattern != *subject)
		return false;
	pattern++;
	subject++;
	if ((*pattern == '.') != (*subject == '.'))
		return false;
	return *pattern == '.' ? match_by_definition(pattern + 1, subject + 1) : true;
}

static void
all_small_ones_agree_with_the_definition(void **state)
{
	char a[16], b[16], subject[16];
	unsigned compared = 0;

	(void)state;
	for (unsigned i = 0; i < 400; i++) {
		if (!text_make(a, i, 3, true))
			continue;
		assert_null(xf_subject_pattern_check(xf_str(a)));
		for (unsigned j = 0; j < 400; j++) {
			bool common = false;

			if (!text_make(b, j, 3, true))
				continue;
			for (unsigned k = 0; k < 40; k++) {
				if (!text_make(subject, k, 2, false))
					continue;
				if (matches(a, subject) != match_by_definition(a, subject))
					fail_msg("%s matches %s", a, subject);
				common = common || (match_by_definition(a, subject) && match_by_definition(b, subject));
			}
			if (overlaps(a, b) != common)
				fail_msg("%s overlaps %s", a, b);
			compared++;
		}
	}
	assert_true(compared > 20000);
}

static void
tokens_are_counted_from_one(void **state)
{
	struct xf_str subject = xf_str("orders.eu.created");

	(void)state;
	assert_true(xf_str_is(xf_subject_token(subject, 1), "orders"));
	assert_true(xf_str_is(xf_subject_token(subject, 2), "eu"));
	assert_true(xf_str_is(xf_subject_token(subject, 3), "created"));
	assert_int_equal(xf_subject_token(subject, 4).len, 0);
	assert_int_equal(xf_subject_token(subject, 0).len, 0);
	assert_int_equal(xf_subject_token(subject, UINT32_MAX).len, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_subjects_pass),
		cmocka_unit_test(bad_subjects_are_named),
		cmocka_unit_test(patterns_have_wildcards_in_their_places),
		cmocka_unit_test(examples_match),
		cmocka_unit_test(all_small_ones_agree_with_the_definition),
		cmocka_unit_test(tokens_are_counted_from_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
