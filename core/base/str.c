#include "base/str.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/memory.h"

static unsigned char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : (unsigned char)c;
}

bool
xf_str_equal_nocase(struct xf_str a, struct xf_str b)
{
	if (a.len != b.len)
		return false;
	if (a.len == 0 || memcmp(a.data, b.data, a.len) == 0)
		return true;
	for (size_t i = 0; i < a.len; i++)
		if (lower(a.data[i]) != lower(b.data[i]))
			return false;
	return true;
}

/* Optimal string alignment distance: edits, counting a swap of neighbours as one. Words are short. */
static size_t
distance(struct xf_str a, struct xf_str b)
{
	enum { MAX = 64 };
	size_t rows[3][MAX + 1];

	if (a.len > MAX || b.len > MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= b.len; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		size_t *row = rows[i % 3], *above = rows[(i - 1) % 3], *above2 = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			size_t best = above[j - 1] + (a.data[i - 1] != b.data[j - 1]);

			if (above[j] + 1 < best)
				best = above[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] && a.data[i - 2] == b.data[j - 1] &&
			    above2[j - 2] + 1 < best)
				best = above2[j - 2] + 1;
			row[j] = best;
		}
	}
	return rows[a.len % 3][b.len];
}

const char *
xf_str_nearest(struct xf_str word, const char *const *words, size_t count)
{
	const char *nearest = NULL;
	size_t best = word.len / 3 + 1; /* a third may be wrong, one letter always */

	for (size_t i = 0; i < count; i++) {
		size_t d = distance(word, xf_str(words[i]));

		if (d <= best && (nearest == NULL || d < best)) {
			best = d;
			nearest = words[i];
		}
	}
	return nearest;
}

static void
buffer_reserve(struct xf_buffer *buffer, size_t more)
{
	size_t size = buffer->size ? buffer->size : 256;

	if (buffer->len + more + 1 <= buffer->size)
		return;
	while (size < buffer->len + more + 1)
		size *= 2;
	buffer->data = xf_grow_array(buffer->data, buffer->size, size, 1);
	buffer->size = size;
}

void
xf_buffer_fini(struct xf_buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct xf_buffer){0};
}

void
xf_buffer_append(struct xf_buffer *buffer, const void *data, size_t len)
{
	buffer_reserve(buffer, len);
	if (len > 0)
		memcpy(buffer->data + buffer->len, data, len);
	buffer->len += len;
	buffer->data[buffer->len] = '\0';
}

void
xf_buffer_puts(struct xf_buffer *buffer, const char *text)
{
	xf_buffer_append(buffer, text, strlen(text));
}

void
xf_buffer_printf(struct xf_buffer *buffer, const char *format, ...)
{
	char *text;
	va_list args;
	int len;

	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	XF_ASSERT(len >= 0);
	xf_buffer_append(buffer, text, (size_t)len);
	free(text);
}
