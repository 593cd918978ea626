/*
 * A reply is read where it lies. Incomplete is told from malformed at the first byte that can tell, so rubbish
 * never makes us wait for more of it; every number is bounded before it is believed.
 */
#include "resp.h"

/* A decimal number up to CR LF. Bytes consumed, 0 or -1. */
static inline ssize_t
number_read(const char *data, size_t size, int64_t *number)
{
	size_t i = 0;
	int negative = size > 0 && data[0] == '-';
	size_t first = negative ? 1 : 0;
	int64_t value = 0;

	for (i = first; i < size; i++) {
		unsigned digit = (unsigned)(unsigned char)data[i] - '0';

		if (digit > 9)
			break;
		if (i - first >= 18)
			return -1;
		value = value * 10 + digit;
	}
	if (i == size)
		return 0;
	if (i == first || data[i] != '\r')
		return -1;
	if (i + 1 == size)
		return 0;
	if (data[i + 1] != '\n')
		return -1;
	*number = negative ? -value : value;
	return (ssize_t)i + 2;
}

static ssize_t
line_read(const char *data, size_t size, struct resp_token *token)
{
	const char *end = memchr(data, '\r', size < RESP_LINE_MAX ? size : RESP_LINE_MAX);

	if (end == NULL)
		return size < RESP_LINE_MAX ? 0 : -1;
	if ((size_t)(end - data) + 1 == size)
		return 0;
	if (end[1] != '\n')
		return -1;
	token->data = data;
	token->len = (size_t)(end - data);
	return end + 2 - data;
}

/* A bulk string without its type byte, not nil. */
static inline ssize_t
bulk_read(const char *data, size_t size, const char **string, size_t *len, size_t *need)
{
	int64_t number;
	ssize_t head = number_read(data, size, &number);
	size_t total;

	if (head <= 0) {
		*need = size + 1;
		return head;
	}
	if (number < 0 || number > RESP_BULK_MAX)
		return -1;
	total = (size_t)head + (size_t)number + 2;
	if (total > size) {
		*need = total;
		return 0;
	}
	if (data[total - 2] != '\r' || data[total - 1] != '\n')
		return -1;
	*string = data + head;
	*len = (size_t)number;
	return (ssize_t)total;
}

ssize_t
resp_token_read(const char *data, size_t size, struct resp_token *token, size_t *need)
{
	ssize_t n;

	*need = size + 1;
	if (size == 0)
		return 0;
	token->type = data[0];
	switch (data[0]) {
	case '+':
	case '-':
		n = line_read(data + 1, size - 1, token);
		break;
	case ':':
		n = number_read(data + 1, size - 1, &token->number);
		break;
	case '*':
		n = number_read(data + 1, size - 1, &token->number);
		if (n > 0 && (token->number < -1 || token->number > RESP_ARRAY_MAX))
			return -1;
		break;
	case '$':
		n = number_read(data + 1, size - 1, &token->number);
		if (n > 0 && token->number == -1) {
			token->data = NULL;
			token->len = 0;
			break;
		}
		n = bulk_read(data + 1, size - 1, &token->data, &token->len, need);
		if (n == 0)
			*need += 1;
		break;
	default:
		return -1;
	}
	return n > 0 ? n + 1 : n;
}

ssize_t
resp_extent(const char *data, size_t size, struct resp_scan *scan, size_t *need)
{
	if (scan->at == 0)
		scan->open = 1;
	while (scan->open > 0) {
		struct resp_token token;
		ssize_t n = resp_token_read(data + scan->at, size - scan->at, &token, need);

		if (n < 0)
			return -1;
		if (n == 0) {
			*need += scan->at;
			return 0;
		}
		scan->at += (size_t)n;
		scan->open--;
		if (token.type == '*' && token.number > 0)
			scan->open += token.number;
		if (scan->open > RESP_ARRAY_MAX * 2)
			return -1;
	}
	size = scan->at;
	scan->at = 0;
	return (ssize_t)size;
}

ssize_t
resp_push_read(char *data, size_t size, const char *prefix, size_t prefix_len, int has_channel,
               struct resp_push *push, size_t *need)
{
	const char *string;
	size_t at = prefix_len;
	ssize_t n;

	if (size < prefix_len) {
		*need = prefix_len;
		return memcmp(data, prefix, size) == 0 ? 0 : -1;
	}
	if (memcmp(data, prefix, prefix_len) != 0)
		return -1;
	push->channel = NULL;
	push->channel_len = 0;
	for (int left = has_channel ? 2 : 1; left > 0; left--) {
		if (at == size) {
			*need = size + 1;
			return 0;
		}
		if (data[at] != '$')
			return -1;
		at++;
		n = bulk_read(data + at, size - at, &string, left == 2 ? &push->channel_len : &push->payload_len, need);
		if (n <= 0) {
			*need += at;
			return n;
		}
		if (left == 2)
			push->channel = data + (string - data);
		else
			push->payload = data + (string - data);
		at += (size_t)n;
	}
	return (ssize_t)at;
}
