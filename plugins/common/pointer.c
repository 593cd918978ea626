#include "pointer.h"

#include "bytes.h"

const char *
pointer_check(struct xf_str pointer)
{
	if (pointer.len > 0 && pointer.data[0] != '/')
		return "a JSON pointer begins with '/', like /order/items/0";
	for (size_t i = 0; i < pointer.len; i++)
		if (pointer.data[i] == '~' &&
		    (i + 1 == pointer.len || (pointer.data[i + 1] != '0' && pointer.data[i + 1] != '1')))
			return "'~' stands as ~0 in a JSON pointer, and '/' within a name as ~1";
	return NULL;
}

struct xf_str
pointer_next(struct xf_str *pointer)
{
	struct xf_str token = {pointer->data + 1, pointer->len - 1};
	const char *slash = token.len > 0 ? memchr(token.data, '/', token.len) : NULL;

	if (slash != NULL)
		token.len = (uint64_t)(slash - token.data);
	pointer->data += token.len + 1;
	pointer->len -= token.len + 1;
	return token;
}

bool
token_is_star(struct xf_str token)
{
	return token.len == 1 && token.data[0] == '*';
}

bool
pointer_is_pattern(struct xf_str pointer)
{
	while (pointer.len > 0)
		if (token_is_star(pointer_next(&pointer)))
			return true;
	return false;
}

bool
token_is(struct xf_str token, struct xf_str name)
{
	size_t n = 0;

	for (size_t i = 0; i < token.len; i++, n++) {
		char c = token.data[i];

		if (c == '~')
			c = token.data[++i] == '0' ? '~' : '/';
		if (n == name.len || name.data[n] != c)
			return false;
	}
	return n == name.len;
}

bool
token_index(struct xf_str token, uint32_t *index)
{
	*index = 0;
	if (token.len == 0 || token.len > 7 || (token.len > 1 && token.data[0] == '0'))
		return false;
	for (size_t i = 0; i < token.len; i++) {
		if (token.data[i] < '0' || token.data[i] > '9')
			return false;
		*index = *index * 10 + (uint32_t)(token.data[i] - '0');
	}
	return true;
}

void
token_name(struct xf_str token, struct bytes *out)
{
	for (size_t i = 0; i < token.len; i++)
		if (token.data[i] == '~')
			bytes_puts(out, token.data[++i] == '0' ? "~" : "/");
		else
			bytes_add(out, token.data + i, 1);
}
