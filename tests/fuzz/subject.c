/*
 * Subjects: two patterns and a subject, a line each. The checks against each byte, the matchers and the plugins' own against
 * the plainest one, an overlap against a subject that shows it.
 */
#include "base/subject.h"

#include "common/subjects.h"
#include "transport/http/words.h"
#include "transport/local/pattern.h"

#include "fuzz.h"

static bool
is_wild_at(struct xf_str text, uint64_t at, char c)
{
	return text.data[at] == c && (at == 0 || text.data[at - 1] == '.') && (at + 1 == text.len || text.data[at + 1] == '.');
}

/* What xf_subject_check() must say, byte by byte. */
static bool
is_fine(struct xf_str text, bool pattern)
{
	for (uint64_t i = 0; i < text.len; i++) {
		bool ends = i + 1 == text.len;

		if ((unsigned char)text.data[i] <= ' ' || text.data[i] == 0x7f)
			return false;
		if (text.data[i] == '.' && (i == 0 || ends || text.data[i + 1] == '.'))
			return false;
		if (is_wild_at(text, i, '*') && !pattern)
			return false;
		if (is_wild_at(text, i, '>') && (!pattern || !ends))
			return false;
	}
	return text.len > 0;
}

/* Does P from I match S from J? Only tokens are stepped over, and a star takes one. */
static bool
matches(struct xf_str p, uint64_t i, struct xf_str s, uint64_t j)
{
	for (; i < p.len && j < s.len; i++) {
		if (is_wild_at(p, i, '>'))
			return true;
		if (is_wild_at(p, i, '*'))
			while (j < s.len && s.data[j] != '.')
				j++;
		else if (p.data[i] != s.data[j++])
			return false;
	}
	return i == p.len && j == s.len;
}

static bool
is_wild(struct xf_str token)
{
	return xf_str_is(token, "*") || xf_str_is(token, ">");
}

static void
token_append(struct xf_buffer *out, struct xf_str token)
{
	xf_buffer_puts(out, out->len > 0 ? "." : "");
	xf_buffer_append(out, token.data, token.len);
}

/* Makes a subject that both match, if there is one: of the words of each where the other has a wildcard. */
static bool
witness(struct xf_str a, struct xf_str b, struct xf_buffer *out)
{
	for (unsigned n = 1;; n++) {
		struct xf_str x = xf_subject_token(a, n), y = xf_subject_token(b, n);

		if (x.len == 0 || y.len == 0)
			return x.len == y.len;
		if (!is_wild(x) && !is_wild(y) && !xf_str_equal(x, y))
			return false;
		token_append(out, !is_wild(x) ? x : !is_wild(y) ? y : xf_str("x"));
		if (!xf_str_is(x, ">") && !xf_str_is(y, ">"))
			continue;
		for (struct xf_str longer = xf_str_is(x, ">") ? b : a; (x = xf_subject_token(longer, ++n)).len > 0;)
			token_append(out, is_wild(x) ? xf_str("x") : x);
		return true;
	}
}

static void
match_check(struct xf_str pattern, struct xf_str subject)
{
	bool expected = matches(pattern, 0, subject, 0);
	struct subjects *index = subjects_create();
	void *found[2];

	XF_ASSERT(xf_subject_match(pattern, subject) == expected);
	XF_ASSERT(subject_matches(pattern, subject) == expected);
	XF_ASSERT(subjects_add(index, pattern, index) && subjects_add(index, xf_str("never.>"), index));
	XF_ASSERT(subjects_match(index, subject, found) == (size_t)expected + matches(xf_str("never.>"), 0, subject, 0));
	XF_ASSERT(subjects_remove(index, pattern, index) && subjects_count(index) == 1);
	subjects_destroy(&index);
}

static void
overlap_check(struct xf_str a, struct xf_str b)
{
	struct xf_buffer subject = {0};
	bool overlap = xf_subject_overlap(a, b);

	XF_ASSERT(overlap == xf_subject_overlap(b, a) && overlap == pattern_overlaps(a, b));
	XF_ASSERT(overlap == witness(a, b, &subject));
	if (overlap) {
		XF_ASSERT(xf_subject_check(fuzz_text(&subject)) == NULL);
		XF_ASSERT(matches(a, 0, fuzz_text(&subject), 0) && matches(b, 0, fuzz_text(&subject), 0));
	}
	xf_buffer_fini(&subject);
}

void
fuzz_one(struct xf_str input)
{
	struct xf_str a = fuzz_line(&input), b = fuzz_line(&input), subject = fuzz_tight(input);
	bool a_fine = xf_subject_pattern_check(a) == NULL, b_fine = xf_subject_pattern_check(b) == NULL;

	XF_ASSERT(a_fine == is_fine(a, true) && b_fine == is_fine(b, true));
	XF_ASSERT((xf_subject_check(subject) == NULL) == is_fine(subject, false));
	XF_ASSERT((subject_wrong(subject) == NULL) == is_fine(subject, false));
	if (a_fine && b_fine)
		overlap_check(a, b);
	if (a_fine && is_fine(subject, false))
		match_check(a, subject);
}
