#include "json.h"

#include <ctype.h>
#include <string.h>

static void
space_skip(struct json *json)
{
	while (json->at < json->end && (*json->at == ' ' || *json->at == '\t' || *json->at == '\r' || *json->at == '\n'))
		json->at++;
}

static bool
fail(struct json *json, const char *why)
{
	if (json->wrong == NULL)
		json->wrong = why;
	return false;
}

static bool
byte_take(struct json *json, char c)
{
	if (json->at == json->end || *json->at != c)
		return false;
	json->at++;
	return true;
}

static bool
string_skip(struct json *json)
{
	if (!byte_take(json, '"'))
		return fail(json, "a string was expected");
	while (json->at < json->end) {
		unsigned char c = (unsigned char)*json->at++;

		if (c == '"')
			return true;
		if (c < ' ')
			return fail(json, "a string has a control character");
		if (c == '\\' && json->at < json->end) {
			c = (unsigned char)*json->at++;
			if (c == '\0' || strchr("\"\\/bfnrtu", c) == NULL)
				return fail(json, "a string has an escape that JSON does not know");
			for (int i = 0; c == 'u' && i < 4; i++, json->at++)
				if (json->at == json->end || !isxdigit((unsigned char)*json->at))
					return fail(json, "a \\u has no four hexadecimal digits behind it");
		}
	}
	return fail(json, "a string does not end");
}

static bool
digits_skip(struct json *json)
{
	const char *start = json->at;

	while (json->at < json->end && isdigit((unsigned char)*json->at))
		json->at++;
	return json->at > start;
}

static bool
number_skip(struct json *json)
{
	byte_take(json, '-');
	if (!byte_take(json, '0') && !digits_skip(json))
		return fail(json, "a value was expected");
	if (byte_take(json, '.') && !digits_skip(json))
		return fail(json, "a number ends with its point");
	if (byte_take(json, 'e') || byte_take(json, 'E')) {
		if (!byte_take(json, '+'))
			byte_take(json, '-');
		if (!digits_skip(json))
			return fail(json, "a number has no exponent behind its e");
	}
	return true;
}

static bool
literal_skip(struct json *json, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(json->end - json->at) < len || memcmp(json->at, word, len) != 0)
		return fail(json, "a value was expected");
	json->at += len;
	return true;
}

static bool value_skip(struct json *json, unsigned depth);

/* The inside of an object or array, up to CLOSE. */
static bool
members_skip(struct json *json, char close, unsigned depth)
{
	if (depth == 0)
		return fail(json, "it nests too deeply");
	json->at++;
	space_skip(json);
	if (byte_take(json, close))
		return true;
	do {
		space_skip(json);
		if (close == '}') {
			if (!string_skip(json))
				return false;
			space_skip(json);
			if (!byte_take(json, ':'))
				return fail(json, "a member has no ':'");
		}
		if (!value_skip(json, depth - 1))
			return false;
		space_skip(json);
	} while (byte_take(json, ','));
	return byte_take(json, close) || fail(json, close == '}' ? "an object does not end" : "an array does not end");
}

static bool
value_skip(struct json *json, unsigned depth)
{
	space_skip(json);
	if (json->at == json->end)
		return fail(json, "a value was expected");
	switch (*json->at) {
	case '"':
		return string_skip(json);
	case '{':
		return members_skip(json, '}', depth);
	case '[':
		return members_skip(json, ']', depth);
	case 't':
		return literal_skip(json, "true");
	case 'f':
		return literal_skip(json, "false");
	case 'n':
		return literal_skip(json, "null");
	default:
		return number_skip(json);
	}
}

static bool
value_take(struct json *json, struct xf_str *value)
{
	const char *start;

	space_skip(json);
	start = json->at;
	if (!value_skip(json, JSON_DEPTH_MAX))
		return false;
	*value = (struct xf_str){start, (uint64_t)(json->at - start)};
	return true;
}

/* To where the next member or element begins; false: there is none. */
static bool
next_begin(struct json *json, char close, const char *endless)
{
	if (json->wrong != NULL)
		return false;
	space_skip(json);
	if (byte_take(json, close)) {
		json->begun = true;
		return false;
	}
	if (json->begun && !byte_take(json, ','))
		return fail(json, endless);
	json->begun = true;
	space_skip(json);
	return true;
}

void
json_open(struct json *json, struct xf_str text)
{
	*json = (struct json){.at = text.data, .end = text.data + text.len};
	space_skip(json);
	if (!byte_take(json, '{'))
		fail(json, "a '{' was expected");
}

bool
json_next(struct json *json, struct xf_str *name, struct xf_str *value)
{
	const char *start;

	if (!next_begin(json, '}', "the object does not end"))
		return false;
	start = json->at;
	if (!string_skip(json))
		return false;
	*name = (struct xf_str){start + 1, (uint64_t)(json->at - start - 2)};
	space_skip(json);
	if (!byte_take(json, ':'))
		return fail(json, "a member has no ':'");
	return value_take(json, value);
}

void
json_open_list(struct json *json, struct xf_str text)
{
	*json = (struct json){.at = text.data, .end = text.data + text.len};
	space_skip(json);
	if (!byte_take(json, '['))
		fail(json, "a '[' was expected");
}

bool
json_element(struct json *json, struct xf_str *value)
{
	return next_begin(json, ']', "the array does not end") && value_take(json, value);
}

bool
json_is_value(struct xf_str text)
{
	struct json json = {.at = text.data, .end = text.data + text.len};
	struct xf_str value;

	return value_take(&json, &value) && json_close(&json);
}

bool
json_close(struct json *json)
{
	space_skip(json);
	return json->wrong == NULL && (json->at == json->end || fail(json, "something stands behind the object"));
}

/* ---- Strings ------------------------------------------------------------------------- */

static uint32_t
hex_read(const char *at)
{
	uint32_t value = 0;

	for (int i = 0; i < 4; i++) {
		unsigned char c = (unsigned char)at[i];

		value = value * 16 + (uint32_t)(isdigit(c) ? c - '0' : tolower(c) - 'a' + 10);
	}
	return value;
}

static char *
utf8_put(char *out, uint32_t c)
{
	if (c < 0x80) {
		*out++ = (char)c;
	} else if (c < 0x800) {
		*out++ = (char)(0xc0 | c >> 6);
		*out++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*out++ = (char)(0xe0 | c >> 12);
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	} else {
		*out++ = (char)(0xf0 | c >> 18);
		*out++ = (char)(0x80 | (c >> 12 & 0x3f));
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	}
	return out;
}

/* The character of a \u at *AT (behind the u), of two where they are a pair. 0xffffffff: half a pair. */
static uint32_t
escape_read(const char **at, const char *end)
{
	uint32_t c = hex_read(*at), low;

	*at += 4;
	if (c < 0xd800 || c > 0xdfff)
		return c;
	if (c > 0xdbff || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u')
		return UINT32_MAX;
	low = hex_read(*at + 2);
	*at += 6;
	if (low < 0xdc00 || low > 0xdfff)
		return UINT32_MAX;
	return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}

bool
json_decode(struct xf_str string, char *out, uint64_t *len)
{
	static const char letters[] = "bfnrt", bytes[] = "\b\f\n\r\t";
	const char *at = string.data + 1, *end = string.data + string.len - 1;
	char *to = out;

	while (at < end) {
		const char *letter;
		uint32_t c;

		if (*at != '\\') {
			*to++ = *at++;
			continue;
		}
		at++;
		if (*at == 'u') {
			at++;
			c = escape_read(&at, end);
			if (c == UINT32_MAX)
				return false;
			to = utf8_put(to, c);
			continue;
		}
		letter = strchr(letters, *at);
		*to++ = letter != NULL ? bytes[letter - letters] : *at;
		at++;
	}
	*len = (uint64_t)(to - out);
	return true;
}
