#include "pattern.h"

#include <string.h>

static bool
has_token(struct xf_str text, char wild)
{
	for (uint64_t i = 0; i < text.len; i++)
		if (text.data[i] == wild && (i == 0 || text.data[i - 1] == '.') &&
		    (i + 1 == text.len || text.data[i + 1] == '.'))
			return true;
	return false;
}

struct pattern
pattern_make(struct xf_str text)
{
	struct pattern p = {PATTERN_TOKENS, text};

	if (text.len == 1 && text.data[0] == '>')
		p.kind = PATTERN_ALL;
	else if (!has_token(text, '*'))
		p.kind = has_token(text, '>') ? PATTERN_PREFIX : PATTERN_EXACT;
	return p;
}

static uint64_t
token_len(const char *text, uint64_t len)
{
	const char *dot = memchr(text, '.', len);

	return dot != NULL ? (uint64_t)(dot - text) : len;
}

static bool
tokens_match(struct xf_str p, const char *subject, uint64_t len)
{
	for (;;) {
		uint64_t a = token_len(p.data, p.len), b = token_len(subject, len);

		if (a == 1 && p.data[0] == '>')
			return true;
		if (!(a == 1 && p.data[0] == '*') && (a != b || memcmp(p.data, subject, a) != 0))
			return false;
		if (a == p.len || b == len)
			return a == p.len && b == len;
		p.data += a + 1;
		p.len -= a + 1;
		subject += b + 1;
		len -= b + 1;
	}
}

bool
pattern_matches(const struct pattern *pattern, const char *subject, uint32_t len)
{
	struct xf_str p = pattern->text;

	switch (pattern->kind) {
	case PATTERN_ALL:
		return true;
	case PATTERN_EXACT:
		return len == p.len && memcmp(p.data, subject, len) == 0;
	case PATTERN_PREFIX: /* all but the ">", and at least a byte for it */
		return len >= p.len && memcmp(p.data, subject, p.len - 1) == 0;
	default:
		return tokens_match(p, subject, len);
	}
}
