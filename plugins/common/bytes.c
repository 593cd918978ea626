#include "bytes.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

void *
need(void *memory)
{
	if (memory == NULL)
		abort();
	return memory;
}

struct xf_str
str_copy(struct xf_str text)
{
	char *copy = need(malloc(text.len + 1));

	if (text.len > 0)
		memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	return (struct xf_str){copy, text.len};
}

bool
str_equal_nocase(struct xf_str a, struct xf_str b)
{
	return a.len == b.len && (a.len == 0 || strncasecmp(a.data, b.data, a.len) == 0);
}

bool
str_number(struct xf_str text, double *number)
{
	char copy[128], *end;

	if (text.len == 0 || text.len >= sizeof(copy) || strchr("-0123456789", text.data[0]) == NULL)
		return false;
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	if (strspn(copy, "-+.0123456789eE") != text.len)
		return false;
	*number = strtod(copy, &end);
	return *end == '\0' && isfinite(*number);
}

void
bytes_fini(struct bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct bytes){NULL, 0, 0};
}

void
bytes_add(struct bytes *bytes, const void *data, size_t len)
{
	size_t size = bytes->size > 0 ? bytes->size : 256;

	if (len == 0)
		return;
	while (size - bytes->len < len)
		size *= 2;
	if (size > bytes->size) {
		bytes->data = need(realloc(bytes->data, size));
		bytes->size = size;
	}
	memcpy(bytes->data + bytes->len, data, len);
	bytes->len += len;
}

void
bytes_str(struct bytes *bytes, struct xf_str text)
{
	bytes_add(bytes, text.data, text.len);
}

void
bytes_puts(struct bytes *bytes, const char *text)
{
	bytes_add(bytes, text, strlen(text));
}

void
bytes_json(struct bytes *bytes, struct xf_str text)
{
	bytes_puts(bytes, "\"");
	for (size_t i = 0, from = 0; i <= text.len; i++) {
		unsigned char c = i < text.len ? (unsigned char)text.data[i] : 0;
		char escape[8];

		if (i < text.len && c >= ' ' && c != '"' && c != '\\')
			continue;
		bytes_add(bytes, text.data + from, i - from);
		from = i + 1;
		if (i == text.len)
			break;
		if (c == '"' || c == '\\')
			snprintf(escape, sizeof(escape), "\\%c", c);
		else
			snprintf(escape, sizeof(escape), "\\u%04x", c);
		bytes_puts(bytes, escape);
	}
	bytes_puts(bytes, "\"");
}

static size_t
utf8_put(uint32_t c, char *out)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

static uint32_t
hex4(const char *at)
{
	uint32_t value = 0;

	for (int i = 0; i < 4; i++)
		value = value << 4 | (uint32_t)(isdigit((unsigned char)at[i]) ? at[i] - '0' : (at[i] | 0x20) - 'a' + 10);
	return value;
}

/* The character of the \u whose digits are at AT, with the other half of a pair; *AT moves behind it. */
static uint32_t
unicode_take(const char **at, const char *end)
{
	uint32_t c = hex4(*at), low;

	*at += 4;
	if (c < 0xd800 || c > 0xdfff)
		return c;
	if (c > 0xdbff || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u')
		return 0xfffd;
	low = hex4(*at + 2);
	if (low < 0xdc00 || low > 0xdfff)
		return 0xfffd;
	*at += 6;
	return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}

size_t
json_unescape(struct xf_str text, char *out)
{
	static const char letters[] = "bfnrt", meant[] = "\b\f\n\r\t";
	const char *at = text.data, *end = at + text.len, *letter;
	char *to = out;

	while (at < end) {
		if (*at != '\\') {
			*to++ = *at++;
			continue;
		}
		at++;
		if (*at == 'u') {
			at++;
			to += utf8_put(unicode_take(&at, end), to);
			continue;
		}
		letter = strchr(letters, *at);
		*to++ = letter != NULL ? meant[letter - letters] : *at;
		at++;
	}
	return (size_t)(to - out);
}
