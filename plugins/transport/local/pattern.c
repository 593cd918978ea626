#include "pattern.h"

#include <string.h>

static struct xf_str
token_take(struct xf_str *rest)
{
	const char *dot = memchr(rest->data, '.', rest->len);
	struct xf_str token = {rest->data, dot != NULL ? (uint64_t)(dot - rest->data) : rest->len};
	uint64_t taken = token.len + (dot != NULL);

	rest->data += taken;
	rest->len -= taken;
	return token;
}

static bool
is(struct xf_str token, char wildcard)
{
	return token.len == 1 && token.data[0] == wildcard;
}

bool
pattern_overlaps(struct xf_str a, struct xf_str b)
{
	while (a.len > 0 && b.len > 0) {
		struct xf_str x = token_take(&a), y = token_take(&b);

		if (is(x, '>') || is(y, '>'))
			return true;
		if (!is(x, '*') && !is(y, '*') && (x.len != y.len || memcmp(x.data, y.data, x.len) != 0))
			return false;
	}
	return a.len == 0 && b.len == 0;
}

struct xf_str
pattern_of_template(struct xf_str text, char *out, uint32_t size)
{
	const char *place = text.len > 0 ? memchr(text.data, '{', text.len) : NULL;
	uint64_t len = place != NULL ? (uint64_t)(place - text.data) : text.len;

	while (place != NULL && len > 0 && text.data[len - 1] != '.')
		len--;
	if (text.len == 0 || len + 2 > size)
		len = 0;
	memcpy(out, text.data, len);
	if (place != NULL || len == 0)
		out[len++] = '>';
	out[len] = '\0';
	return (struct xf_str){out, len};
}
