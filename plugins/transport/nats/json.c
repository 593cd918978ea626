/*
 * json.c - a walk over JSON text without recursion; see json.h.
 */
#include "json.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *
skip_space(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
		at++;
	return at;
}

/* Past the string that begins at AT with its quotation mark; NULL where it does not end. */
static const char *
skip_string(const char *at, const char *end)
{
	for (at++; at < end; at++) {
		if (*at == '\\')
			at++;
		else if (*at == '"')
			return at + 1;
	}
	return NULL;
}

/* Past the value at AT; NULL where there is none. */
static const char *
skip_value(const char *at, const char *end)
{
	const char *start = at;
	size_t depth = 0;

	do {
		if (at >= end)
			return NULL;
		if (*at == '"') {
			at = skip_string(at, end);
			if (at == NULL)
				return NULL;
			continue;
		}
		if (*at == '{' || *at == '[') {
			depth++;
		} else if (*at == '}' || *at == ']') {
			if (depth == 0)
				return NULL;
			depth--;
		} else if (depth == 0) {
			while (at < end && *at != ',' && *at != '}' && *at != ']' &&
			       !isspace((unsigned char)*at))
				at++;
			return at > start ? at : NULL;
		}
		at++;
	} while (depth > 0);
	return at;
}

static bool
object_get(struct xf_str object, const char *key, size_t key_len, struct xf_str *value)
{
	const char *at = object.data, *end = object.data + object.len;

	at = skip_space(at, end);
	if (at >= end || *at++ != '{')
		return false;
	for (;;) {
		const char *name, *name_end, *value_end;

		at = skip_space(at, end);
		if (at >= end || *at != '"')
			return false;
		name = at + 1;
		at = skip_string(at, end);
		if (at == NULL)
			return false;
		name_end = at - 1;
		at = skip_space(at, end);
		if (at >= end || *at++ != ':')
			return false;
		at = skip_space(at, end);
		value_end = skip_value(at, end);
		if (value_end == NULL)
			return false;
		if ((size_t)(name_end - name) == key_len && memcmp(name, key, key_len) == 0) {
			*value = (struct xf_str){at, (uint64_t)(value_end - at)};
			return true;
		}
		at = skip_space(value_end, end);
		if (at >= end || *at++ != ',')
			return false;
	}
}

bool
json_get(struct xf_str text, const char *path, struct xf_str *value)
{
	if (text.len == 0)
		return false;
	for (;;) {
		const char *dot = strchr(path, '.');
		size_t len = dot != NULL ? (size_t)(dot - path) : strlen(path);

		if (!object_get(text, path, len, &text))
			return false;
		if (dot == NULL)
			break;
		path = dot + 1;
	}
	*value = text;
	return true;
}

int64_t
json_get_int(struct xf_str text, const char *path, int64_t fallback)
{
	struct xf_str value;
	char digits[32];

	if (!json_get(text, path, &value) || value.len == 0 || value.len >= sizeof(digits))
		return fallback;
	memcpy(digits, value.data, value.len);
	digits[value.len] = '\0';
	if (digits[0] != '-' && !isdigit((unsigned char)digits[0]))
		return fallback;
	return strtoll(digits, NULL, 10);
}

bool
json_get_true(struct xf_str text, const char *path)
{
	struct xf_str value;

	return json_get(text, path, &value) && value.len == 4 && memcmp(value.data, "true", 4) == 0;
}

bool
json_string(struct xf_str value, char *out, size_t size)
{
	size_t n = 0;
	uint64_t i;

	out[0] = '\0';
	if (value.len < 2 || value.data[0] != '"')
		return false;
	for (i = 1; i + 1 < value.len && n + 1 < size; i++) {
		char c = value.data[i];

		if (c == '\\' && i + 2 < value.len) {
			c = value.data[++i];
			if (c == 'n' || c == 'r' || c == 't')
				c = ' ';
			else if (c == 'u' && i + 5 < value.len) {
				char hex[5];
				unsigned long code;

				memcpy(hex, value.data + i + 1, 4);
				hex[4] = '\0';
				code = strtoul(hex, NULL, 16);
				c = code >= 0x20 && code < 0x7f ? (char)code : '?';
				i += 4;
			}
		}
		out[n++] = c;
	}
	out[n] = '\0';
	return true;
}

bool
json_get_string(struct xf_str text, const char *path, char *out, size_t size)
{
	struct xf_str value;

	out[0] = '\0';
	return json_get(text, path, &value) && json_string(value, out, size);
}

bool
json_each(struct xf_str *cursor, struct xf_str *element)
{
	const char *at, *end, *value_end;

	if (cursor->len == 0)
		return false;
	end = cursor->data + cursor->len;
	at = skip_space(cursor->data, end);
	if (at >= end || (*at != '[' && *at != ','))
		return false;
	at = skip_space(at + 1, end);
	value_end = skip_value(at, end);
	if (value_end == NULL)
		return false;
	*element = (struct xf_str){at, (uint64_t)(value_end - at)};
	*cursor = (struct xf_str){value_end, (uint64_t)(end - value_end)};
	return true;
}

/* ---- Texts that grow -------------------------------------------------------- */

void *
need(void *memory)
{
	if (memory == NULL) {
		fprintf(stderr, "nats: out of memory\n");
		abort();
	}
	return memory;
}

void
text_fini(struct text *text)
{
	free(text->data);
	*text = (struct text){0};
}

static void
text_reserve(struct text *text, size_t more)
{
	if (text->len + more + 1 <= text->size)
		return;
	text->size = (text->len + more + 1) * 2;
	text->data = need(realloc(text->data, text->size));
}

void
text_add(struct text *text, const void *data, size_t len)
{
	text_reserve(text, len);
	if (len > 0)
		memcpy(text->data + text->len, data, len);
	text->len += len;
	text->data[text->len] = '\0';
}

void
text_printf(struct text *text, const char *format, ...)
{
	va_list args;
	int len;

	text_reserve(text, 256);
	va_start(args, format);
	len = vsnprintf(text->data + text->len, 256, format, args);
	va_end(args);
	if (len < 0)
		return;
	if (len >= 256) {
		text_reserve(text, (size_t)len);
		va_start(args, format);
		vsnprintf(text->data + text->len, (size_t)len + 1, format, args);
		va_end(args);
	}
	text->len += (size_t)len;
}

void
text_quote(struct text *text, const char *string)
{
	text_add(text, "\"", 1);
	for (; *string != '\0'; string++) {
		if (*string == '"' || *string == '\\')
			text_printf(text, "\\%c", *string);
		else if ((unsigned char)*string < 0x20)
			text_printf(text, "\\u%04x", (unsigned)(unsigned char)*string);
		else
			text_add(text, string, 1);
	}
	text_add(text, "\"", 1);
}
