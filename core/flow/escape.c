#include "flow/escape.h"

#include "base/subject.h"

static const char digits[] = "0123456789ABCDEF";

static bool
has_percent(struct xf_str text)
{
	return text.len > 0 && memchr(text.data, '%', text.len) != NULL;
}

bool
xf_escape_needed(struct xf_str name)
{
	return xf_subject_check(name) != NULL || has_percent(name);
}

static void
byte_escape(unsigned char byte, struct xf_buffer *out)
{
	const char escaped[3] = {'%', digits[byte >> 4], digits[byte & 15]};

	xf_buffer_append(out, escaped, sizeof(escaped));
}

/* A token that is not empty; dots in it part nothing. */
static void
token_escape(struct xf_str token, struct xf_buffer *out)
{
	bool wildcard = token.len == 1 && (token.data[0] == '*' || token.data[0] == '>');

	for (uint64_t i = 0; i < token.len; i++) {
		unsigned char byte = (unsigned char)token.data[i];

		if (byte <= ' ' || byte == 0x7f || byte == '%' || byte == '.' || wildcard)
			byte_escape(byte, out);
		else
			xf_buffer_append(out, &token.data[i], 1);
	}
}

void
xf_escape(struct xf_str name, struct xf_buffer *out)
{
	uint64_t start = 0;

	if (name.len == 0)
		xf_buffer_puts(out, "%");
	for (uint64_t i = 0; i < name.len; i++) {
		if (name.data[i] != '.' || i == start || i + 1 == name.len)
			continue;
		token_escape((struct xf_str){name.data + start, i - start}, out);
		xf_buffer_puts(out, ".");
		start = i + 1;
	}
	if (start < name.len)
		token_escape((struct xf_str){name.data + start, name.len - start}, out);
}

bool
xf_unescape_needed(struct xf_str subject)
{
	return has_percent(subject);
}

static int
digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void
xf_unescape(struct xf_str subject, struct xf_buffer *out)
{
	if (xf_str_is(subject, "%"))
		return;
	for (uint64_t i = 0; i < subject.len; i++) {
		bool room = subject.data[i] == '%' && subject.len - i > 2;
		int high = room ? digit_value(subject.data[i + 1]) : -1;
		int low = room ? digit_value(subject.data[i + 2]) : -1;
		char byte = subject.data[i];

		if (high >= 0 && low >= 0) {
			byte = (char)(high << 4 | low);
			i += 2;
		}
		xf_buffer_append(out, &byte, 1);
	}
}
