/*
 * The index against a list that is compared one by one, over random patterns and subjects of few tokens, so that they
 * meet often. XF_SEED chooses the run.
 */
#include "../../../plugins/common/subjects.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/str.h"
#include "base/subject.h"

#define PATTERNS 400
#define TEXT 64

static uint64_t random_state;

static unsigned
random_below(unsigned bound)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(random_state >> 33) % bound;
}

/* One to five tokens of a small alphabet; some are longer, and some only look like wildcards. */
static void
random_text(char *out, bool wild)
{
	static const char *const words[] = {"a", "b", "c", "ab", "a*", "b>", "a-rather-long-token"};
	unsigned tokens = 1 + random_below(5);

	out[0] = '\0';
	for (unsigned i = 0; i < tokens; i++) {
		const char *word = words[random_below(7)];

		if (wild && random_below(4) == 0)
			word = "*";
		if (wild && i + 1 == tokens && random_below(4) == 0)
			word = ">";
		if (i > 0)
			strcat(out, ".");
		strcat(out, word);
	}
}

struct listed {
	char pattern[5 * 24];
	bool there;
};

/* Each pattern's value is its place in the list. */
static void
assert_same_matches(const struct subjects *s, struct listed *list, const char *subject)
{
	void *out[PATTERNS];
	bool found[PATTERNS] = {false};
	size_t count = subjects_match(s, xf_str(subject), out);

	for (size_t i = 0; i < count; i++) {
		size_t at = (size_t)((struct listed *)out[i] - list);

		if (found[at])
			fail_msg("'%s' was found twice for '%s'", list[at].pattern, subject);
		found[at] = true;
	}
	for (size_t i = 0; i < PATTERNS; i++) {
		bool matches = list[i].there && xf_subject_match(xf_str(list[i].pattern), xf_str(subject));

		if (matches != found[i])
			fail_msg("'%s' %s '%s'", list[i].pattern, matches ? "was not found for" : "was found for", subject);
	}
}

static void
finds_what_a_list_finds(void **state)
{
	struct listed *list = calloc(PATTERNS, sizeof(*list));
	struct subjects *s = subjects_create();
	const char *seed = getenv("XF_SEED");
	size_t there = 0;
	char subject[5 * 24];

	(void)state;
	assert_non_null(list);
	assert_non_null(s);
	random_state = seed != NULL ? strtoull(seed, NULL, 10) : 20231;
	print_message("seed %llu\n", (unsigned long long)random_state);
	for (int round = 0; round < 20000; round++) {
		struct listed *l = &list[random_below(PATTERNS)];

		if (l->there) {
			assert_true(subjects_remove(s, xf_str(l->pattern), l));
			assert_false(subjects_remove(s, xf_str(l->pattern), l));
			there--;
		} else {
			random_text(l->pattern, true);
			assert_null(xf_subject_pattern_check(xf_str(l->pattern)));
			assert_true(subjects_add(s, xf_str(l->pattern), l));
			there++;
		}
		l->there = !l->there;
		assert_int_equal(subjects_count(s), there);
		random_text(subject, false);
		assert_same_matches(s, list, subject);
	}
	for (size_t i = 0; i < PATTERNS; i++)
		if (list[i].there)
			assert_true(subjects_remove(s, xf_str(list[i].pattern), &list[i]));
	/* nothing is left behind */
	assert_int_equal(s->count, 0);
	assert_int_equal(s->used, 0);
	assert_int_equal(s->root->children, 0);
	assert_int_equal(s->literals->children, 0);
	subjects_destroy(&s);
	assert_null(s);
	free(list);
}

static void
values_repeat_and_are_listed(void **state)
{
	struct subjects *s = subjects_create();
	int a, b;
	void *out[8];
	size_t count;

	(void)state;
	assert_true(subjects_add(s, xf_str("x.*"), &a));
	assert_true(subjects_add(s, xf_str("x.*"), &b));
	assert_true(subjects_add(s, xf_str("x.y"), &a));
	assert_true(subjects_add(s, xf_str("x.y"), &a));
	assert_int_equal(subjects_match(s, xf_str("x.y"), out), 4);
	assert_int_equal(subjects_match(s, xf_str("x.z"), out), 2);
	assert_non_null(subjects_under(s, xf_str("x.*"), &count));
	assert_int_equal(count, 2);
	assert_null(subjects_under(s, xf_str("x.>"), &count));
	assert_int_equal(count, 0);
	assert_true(subjects_remove(s, xf_str("x.y"), &a));
	assert_int_equal(subjects_match(s, xf_str("x.y"), out), 3);
	assert_false(subjects_remove(s, xf_str("x.y"), &b));
	assert_false(subjects_remove(s, xf_str("y"), &b));
	subjects_destroy(&s);
}

/* The nodes that a look-up can come to depend on the wildcards, not on the patterns: a subject of two tokens meets two
 * edges at most, among any number. */
static void
edges_stay_spread(void **state)
{
	struct subjects *s = subjects_create();
	size_t longest = 0, run = 0;
	char text[TEXT];

	(void)state;
	for (int i = 0; i < 10000; i++) {
		snprintf(text, sizeof(text), i % 2 ? "orders.%d.created" : "orders.%d.*", i);
		assert_true(subjects_add(s, xf_str(text), s));
	}
	assert_true(s->used * 2 <= s->size);
	for (size_t i = 0; i < 2 * s->size; i++) {
		run = s->edges[i & (s->size - 1)].node != NULL ? run + 1 : 0;
		longest = run > longest ? run : longest;
	}
	assert_true(longest < 200);
	subjects_destroy(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_a_list_finds),
		cmocka_unit_test(values_repeat_and_are_listed),
		cmocka_unit_test(edges_stay_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
