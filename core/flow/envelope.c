/*
 * The reader goes over the text once, with no tree in between. A string without escapes is borrowed from the text; any
 * other is written to the scratch, which never needs more bytes than the text has, so it does not move.
 */
#include "flow/envelope.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/memory.h"
#include "base/utf8.h"

enum { DEPTH_MAX = 32 };

/* ---- Writing ---------------------------------------------------------------- */

void
xf_envelope_string(struct xf_str text, struct xf_buffer *out)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t start = 0;

	xf_buffer_puts(out, "\"");
	for (uint64_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];
		char escape[6] = {'\\', (char)c};
		size_t len = 2;

		if (c >= ' ' && c != '"' && c != '\\')
			continue;
		if (c == '\n') {
			escape[1] = 'n';
		} else if (c == '\t') {
			escape[1] = 't';
		} else if (c == '\r') {
			escape[1] = 'r';
		} else if (c < ' ') {
			memcpy(escape, "\\u00", 4);
			escape[4] = digits[c >> 4];
			escape[5] = digits[c & 15];
			len = sizeof(escape);
		}
		if (i > start)
			xf_buffer_append(out, text.data + start, i - start);
		xf_buffer_append(out, escape, len);
		start = i + 1;
	}
	if (text.len > start)
		xf_buffer_append(out, text.data + start, text.len - start);
	xf_buffer_puts(out, "\"");
}

static void
text_write(struct xf_str text, struct xf_buffer *out)
{
	if (xf_utf8_valid(text)) {
		xf_envelope_string(text, out);
		return;
	}
	xf_buffer_puts(out, "{\"base64\":\"");
	xf_base64_encode(text, out);
	xf_buffer_puts(out, "\"}");
}

static void
member_write(const char *name, struct xf_str text, struct xf_buffer *out)
{
	if (text.len == 0)
		return;
	xf_buffer_printf(out, "\"%s\":", name);
	text_write(text, out);
	xf_buffer_puts(out, ",");
}

/* Whether a person would read it as text, and JSON carry it without growing much. */
static bool
is_plain(struct xf_str payload)
{
	for (uint64_t i = 0; i < payload.len; i++) {
		unsigned char c = (unsigned char)payload.data[i];

		if ((c < ' ' && c != '\t' && c != '\n' && c != '\r') || c == 0x7f)
			return false;
	}
	return xf_utf8_valid(payload);
}

void
xf_envelope_encode(const struct xf_envelope_message *message, struct xf_buffer *out)
{
	xf_buffer_puts(out, "{");
	member_write("id", message->id, out);
	member_write("subject", message->subject, out);
	member_write("key", message->key, out);
	member_write("reply", message->reply, out);
	member_write("content_type", message->content_type, out);
	if (message->time_ms != 0)
		xf_buffer_printf(out, "\"time\":%" PRId64 ",", message->time_ms);
	for (uint32_t i = 0; i < message->header_count; i++) {
		xf_buffer_puts(out, i == 0 ? "\"headers\":[[" : ",[");
		text_write(message->headers[i].name, out);
		xf_buffer_puts(out, ",");
		text_write(message->headers[i].value, out);
		xf_buffer_puts(out, i + 1 == message->header_count ? "]]," : "]");
	}
	if (is_plain(message->payload)) {
		xf_buffer_puts(out, "\"payload\":");
		xf_envelope_string(message->payload, out);
		xf_buffer_puts(out, "}");
	} else {
		xf_buffer_puts(out, "\"payload_base64\":\"");
		xf_base64_encode(message->payload, out);
		xf_buffer_puts(out, "\"}");
	}
}

/* ---- Reading JSON ----------------------------------------------------------- */

struct reader {
	struct xf_str text;
	uint64_t at;
	struct xf_envelope_scratch *scratch;
	struct xf_error *error;
};

static bool
fail(struct reader *r, const char *expected)
{
	if (r->at >= r->text.len)
		xf_error_set(r->error, "no envelope: it ends at byte %" PRIu64 "; expected %s", r->at, expected);
	else
		xf_error_set(r->error, "no envelope: at byte %" PRIu64 ": expected %s", r->at, expected);
	return false;
}

/* The next byte that is no white space, or '\0' at the end. */
static char
peek(struct reader *r)
{
	while (r->at < r->text.len && strchr(" \t\r\n", r->text.data[r->at]) != NULL && r->text.data[r->at] != '\0')
		r->at++;
	return r->at < r->text.len ? r->text.data[r->at] : '\0';
}

static bool
take(struct reader *r, char c, const char *expected)
{
	if (peek(r) != c)
		return fail(r, expected);
	r->at++;
	return true;
}

/* Four hexadecimal digits. */
static bool
hex_read(struct reader *r, unsigned *value)
{
	*value = 0;
	for (unsigned i = 0; i < 4; i++, r->at++) {
		char c = r->at < r->text.len ? r->text.data[r->at] : '\0';
		unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
		                 : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
		                 : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
		                                        : 16;

		if (digit == 16)
			return fail(r, "four hexadecimal digits");
		*value = *value << 4 | digit;
	}
	return true;
}

static void
scratch_put(struct reader *r, unsigned byte)
{
	r->scratch->bytes[r->scratch->used++] = (char)byte;
}

static void
code_point_put(struct reader *r, unsigned c)
{
	if (c < 0x80) {
		scratch_put(r, c);
	} else if (c < 0x800) {
		scratch_put(r, 0xc0 | c >> 6);
		scratch_put(r, 0x80 | (c & 63));
	} else if (c < 0x10000) {
		scratch_put(r, 0xe0 | c >> 12);
		scratch_put(r, 0x80 | (c >> 6 & 63));
		scratch_put(r, 0x80 | (c & 63));
	} else {
		scratch_put(r, 0xf0 | c >> 18);
		scratch_put(r, 0x80 | (c >> 12 & 63));
		scratch_put(r, 0x80 | (c >> 6 & 63));
		scratch_put(r, 0x80 | (c & 63));
	}
}

/* Behind "\u". */
static bool
unicode_read(struct reader *r)
{
	unsigned high, low;

	if (!hex_read(r, &high))
		return false;
	if (high >= 0xd800 && high < 0xdc00) {
		if (r->text.len - r->at < 2 || r->text.data[r->at] != '\\' || r->text.data[r->at + 1] != 'u')
			return fail(r, "the second half of a surrogate pair");
		r->at += 2;
		if (!hex_read(r, &low))
			return false;
		if (low < 0xdc00 || low > 0xdfff)
			return fail(r, "the second half of a surrogate pair before this");
		high = 0x10000 + ((high - 0xd800) << 10 | (low - 0xdc00));
	} else if (high >= 0xdc00 && high < 0xe000) {
		return fail(r, "the first half of a surrogate pair before this");
	}
	code_point_put(r, high);
	return true;
}

/* Behind a backslash. */
static bool
escape_read(struct reader *r)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	char c = r->at < r->text.len ? r->text.data[r->at] : '\0';
	const char *found = c != '\0' ? strchr(from, c) : NULL;

	if (c == 'u') {
		r->at++;
		return unicode_read(r);
	}
	if (found == NULL)
		return fail(r, "one of \" \\ / b f n r t u behind a backslash");
	scratch_put(r, (unsigned char)to[found - from]);
	r->at++;
	return true;
}

static bool
string_read(struct reader *r, struct xf_str *value)
{
	uint64_t start, used;
	bool copied = false;

	if (!take(r, '"', "a string"))
		return false;
	start = r->at;
	used = r->scratch->used;
	for (;;) {
		unsigned char c = r->at < r->text.len ? (unsigned char)r->text.data[r->at] : 0;

		if (r->at >= r->text.len || c < ' ')
			return fail(r, "'\"' to end a string");
		if (c == '"')
			break;
		if (c == '\\') {
			if (!copied && r->at > start)
				memcpy(r->scratch->bytes + used, r->text.data + start, r->at - start);
			if (!copied)
				r->scratch->used += r->at - start;
			copied = true;
			r->at++;
			if (!escape_read(r))
				return false;
			continue;
		}
		if (copied)
			scratch_put(r, c);
		r->at++;
	}
	*value = copied ? (struct xf_str){r->scratch->bytes + used, r->scratch->used - used}
	                : (struct xf_str){r->text.data + start, r->at - start};
	r->at++;
	return true;
}

static bool
word_skip(struct reader *r, const char *word)
{
	size_t len = strlen(word);

	if (r->text.len - r->at < len || memcmp(r->text.data + r->at, word, len) != 0)
		return fail(r, "a value");
	r->at += len;
	return true;
}

static bool
digits_skip(struct reader *r)
{
	uint64_t start = r->at;

	while (r->at < r->text.len && r->text.data[r->at] >= '0' && r->text.data[r->at] <= '9')
		r->at++;
	return r->at > start || fail(r, "a digit");
}

static bool
next_is(const struct reader *r, const char *set)
{
	return r->at < r->text.len && r->text.data[r->at] != '\0' && strchr(set, r->text.data[r->at]) != NULL;
}

static bool
number_skip(struct reader *r)
{
	if (next_is(r, "-"))
		r->at++;
	if (next_is(r, "0"))
		r->at++;
	else if (!digits_skip(r))
		return false;
	if (next_is(r, ".")) {
		r->at++;
		if (!digits_skip(r))
			return false;
	}
	if (next_is(r, "eE")) {
		r->at++;
		if (next_is(r, "+-"))
			r->at++;
		if (!digits_skip(r))
			return false;
	}
	return true;
}

static bool value_skip(struct reader *r, unsigned depth);

/* The rest of a map or a list. */
static bool
members_skip(struct reader *r, bool map, unsigned depth)
{
	char end = map ? '}' : ']';
	struct xf_str name;

	r->at++;
	if (peek(r) == end) {
		r->at++;
		return true;
	}
	for (;;) {
		if (map && (!string_read(r, &name) || !take(r, ':', "':'")))
			return false;
		if (!value_skip(r, depth + 1))
			return false;
		if (peek(r) == end) {
			r->at++;
			return true;
		}
		if (!take(r, ',', map ? "',' or '}'" : "',' or ']'"))
			return false;
	}
}

static bool
value_skip(struct reader *r, unsigned depth)
{
	struct xf_str string;

	if (depth == DEPTH_MAX)
		return fail(r, "a value that is less deeply nested");
	switch (peek(r)) {
	case '{':
		return members_skip(r, true, depth);
	case '[':
		return members_skip(r, false, depth);
	case '"':
		return string_read(r, &string);
	case 't':
		return word_skip(r, "true");
	case 'f':
		return word_skip(r, "false");
	case 'n':
		return word_skip(r, "null");
	case '\0':
		return fail(r, "a value");
	}
	return number_skip(r);
}

/* ---- Reading a message ------------------------------------------------------ */

enum member { ID, SUBJECT, KEY, REPLY, CONTENT_TYPE, TIME, HEADERS, PAYLOAD, PAYLOAD_BASE64, MEMBERS };

static const char *const members[] = {"id",   "subject", "key",     "reply",         "content_type",
                                      "time", "headers", "payload", "payload_base64"};

static bool
base64_read(struct reader *r, struct xf_str *value)
{
	struct xf_str text;
	uint64_t at = r->at;
	int64_t len;
	char *out = r->scratch->bytes + r->scratch->used;

	if (!string_read(r, &text))
		return false;
	/* of a string with escapes the scratch has the text, too, behind which nothing would fit: it goes over itself */
	if (text.data == out)
		len = xf_base64_decode(text, out);
	else if ((len = xf_base64_decode(text, out)) >= 0)
		r->scratch->used += (size_t)len;
	if (len < 0) {
		r->at = at;
		return fail(r, "base64");
	}
	*value = (struct xf_str){out, (uint64_t)len};
	return true;
}

/* A string, or {"base64": "..."}. */
static bool
text_read(struct reader *r, struct xf_str *value)
{
	struct xf_str name;

	if (peek(r) != '{') {
		if (peek(r) != '"')
			return fail(r, "a string, or {\"base64\": \"...\"}");
		return string_read(r, value);
	}
	r->at++;
	if (!string_read(r, &name))
		return false;
	if (!xf_str_is(name, "base64"))
		return fail(r, "'base64' as the only name before this");
	return take(r, ':', "':'") && base64_read(r, value) && take(r, '}', "'}'");
}

static bool
headers_read(struct reader *r, struct xf_envelope_message *m)
{
	struct xf_header *headers;

	if (r->scratch->headers == NULL)
		r->scratch->headers = xf_alloc_array(XF_ENVELOPE_HEADERS_MAX, sizeof(*r->scratch->headers));
	headers = r->scratch->headers;
	m->headers = headers;
	if (!take(r, '[', "a list of [name, value]"))
		return false;
	if (peek(r) == ']') {
		r->at++;
		return true;
	}
	for (;;) {
		if (m->header_count == XF_ENVELOPE_HEADERS_MAX)
			return fail(r, "fewer headers");
		if (!take(r, '[', "[name, value]") || !text_read(r, &headers[m->header_count].name) ||
		    !take(r, ',', "','") || !text_read(r, &headers[m->header_count].value) || !take(r, ']', "']'"))
			return false;
		m->header_count++;
		if (peek(r) == ']') {
			r->at++;
			return true;
		}
		if (!take(r, ',', "',' or ']'"))
			return false;
	}
}

static bool
time_read(struct reader *r, int64_t *value)
{
	uint64_t start;
	int64_t number = 0;

	peek(r);
	start = r->at;
	if (!number_skip(r))
		return false;
	for (uint64_t i = start; i < r->at; i++) {
		char c = r->text.data[i];

		if (c < '0' || c > '9' || __builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, c - '0', &number)) {
			r->at = start;
			return fail(r, "whole milliseconds since 1970");
		}
	}
	*value = number;
	return true;
}

/* Text, or any JSON as it stands. */
static bool
payload_read(struct reader *r, struct xf_str *value)
{
	uint64_t start;

	if (peek(r) == '"')
		return string_read(r, value);
	start = r->at;
	if (!value_skip(r, 1))
		return false;
	*value = (struct xf_str){r->text.data + start, r->at - start};
	return true;
}

static bool
member_read(struct reader *r, enum member member, struct xf_envelope_message *m)
{
	struct xf_str *const texts[] = {&m->id, &m->subject, &m->key, &m->reply, &m->content_type};

	if (peek(r) == 'n')
		return word_skip(r, "null");
	switch (member) {
	case TIME:
		return time_read(r, &m->time_ms);
	case HEADERS:
		return headers_read(r, m);
	case PAYLOAD:
		return payload_read(r, &m->payload);
	case PAYLOAD_BASE64:
		return base64_read(r, &m->payload);
	case MEMBERS:
		return value_skip(r, 1);
	default:
		return text_read(r, texts[member]);
	}
}

static enum member
member_find(struct xf_str name)
{
	for (unsigned i = 0; i < MEMBERS; i++)
		if (xf_str_is(name, members[i]))
			return (enum member)i;
	return MEMBERS;
}

static bool
message_read(struct reader *r, struct xf_envelope_message *m)
{
	unsigned seen = 0;

	if (!take(r, '{', "'{'"))
		return false;
	if (peek(r) == '}') {
		r->at++;
		return true;
	}
	for (;;) {
		enum member member;
		struct xf_str name;
		unsigned bit;

		if (!string_read(r, &name))
			return false;
		member = member_find(name);
		/* the two kinds of payload are one */
		bit = member == MEMBERS ? 0 : 1u << (member == PAYLOAD_BASE64 ? PAYLOAD : member);
		if (seen & bit) {
			xf_error_set(r->error, "no envelope: before byte %" PRIu64 ": '%s' stands there again", r->at,
			             members[member]);
			return false;
		}
		seen |= bit;
		if (!take(r, ':', "':'") || !member_read(r, member, m))
			return false;
		if (peek(r) == '}') {
			r->at++;
			return true;
		}
		if (!take(r, ',', "',' or '}'"))
			return false;
	}
}

void
xf_envelope_scratch_fini(struct xf_envelope_scratch *scratch)
{
	free(scratch->bytes);
	free(scratch->headers);
	*scratch = (struct xf_envelope_scratch){0};
}

enum xf_status
xf_envelope_decode(struct xf_str text, struct xf_envelope_scratch *scratch, struct xf_envelope_message *message,
                   struct xf_error *error)
{
	struct xf_envelope_message read = {.time_ms = 0};
	struct reader r = {.text = text, .scratch = scratch, .error = error};

	if (!xf_utf8_valid(text))
		return xf_error_set(error, "no envelope: not UTF-8");
	if (scratch->size < text.len) {
		free(scratch->bytes);
		scratch->bytes = xf_alloc(text.len);
		scratch->size = text.len;
	}
	scratch->used = 0;
	if (!message_read(&r, &read))
		return XF_FAILED;
	if (peek(&r) != '\0' || r.at < text.len) {
		fail(&r, "nothing behind the envelope");
		return XF_FAILED;
	}
	*message = read;
	return XF_OK;
}
