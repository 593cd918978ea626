#include "base/subject.h"

static struct xf_str
token_take(struct xf_str *rest)
{
	const char *dot = rest->len ? memchr(rest->data, '.', rest->len) : NULL;
	struct xf_str token = {rest->data, dot != NULL ? (uint64_t)(dot - rest->data) : rest->len};

	rest->data += token.len;
	rest->len -= token.len;
	if (rest->len > 0) {
		rest->data++;
		rest->len--;
	}
	return token;
}

enum byte_kind { BYTE_PLAIN, BYTE_DOT, BYTE_BAD };

static const unsigned char byte_kinds[256] = {
	[0 ... ' '] = BYTE_BAD,
	['.'] = BYTE_DOT,
	[0x7f] = BYTE_BAD,
};

static const char *
tokens_check(struct xf_str text, bool pattern)
{
	uint64_t start = 0;

	if (text.len == 0)
		return "is empty";
	for (uint64_t i = 0; i <= text.len; i++) {
		unsigned char kind = i < text.len ? byte_kinds[(unsigned char)text.data[i]] : BYTE_DOT;

		if (kind == BYTE_PLAIN)
			continue;
		if (kind == BYTE_BAD)
			return "has a space or control character";
		if (i == start)
			return "has an empty token";
		if (i - start == 1 && (text.data[start] == '*' || text.data[start] == '>')) {
			if (!pattern)
				return "has a wildcard token";
			if (text.data[start] == '>' && i < text.len)
				return "has '>' before its end";
		}
		start = i + 1;
	}
	return NULL;
}

const char *
xf_subject_check(struct xf_str subject)
{
	return tokens_check(subject, false);
}

const char *
xf_subject_pattern_check(struct xf_str pattern)
{
	return tokens_check(pattern, true);
}

static bool
is_wild(struct xf_str token, char c)
{
	return token.len == 1 && token.data[0] == c;
}

bool
xf_subject_match(struct xf_str pattern, struct xf_str subject)
{
	while (pattern.len > 0 && subject.len > 0) {
		struct xf_str p = token_take(&pattern), s;

		if (is_wild(p, '>'))
			return true;
		s = token_take(&subject);
		if (!is_wild(p, '*') && !xf_str_equal(p, s))
			return false;
	}
	return pattern.len == 0 && subject.len == 0;
}

bool
xf_subject_overlap(struct xf_str a, struct xf_str b)
{
	while (a.len > 0 && b.len > 0) {
		struct xf_str x = token_take(&a), y = token_take(&b);

		if (is_wild(x, '>') || is_wild(y, '>'))
			return true;
		if (!is_wild(x, '*') && !is_wild(y, '*') && !xf_str_equal(x, y))
			return false;
	}
	return a.len == 0 && b.len == 0;
}

struct xf_str
xf_subject_token(struct xf_str subject, unsigned n)
{
	struct xf_str token = {NULL, 0};

	while (n > 0 && subject.len > 0) {
		token = token_take(&subject);
		n--;
	}
	return n == 0 ? token : (struct xf_str){NULL, 0};
}
