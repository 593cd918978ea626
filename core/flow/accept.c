#include "flow/accept.h"

#include "base/subject.h"

#define EACH_BYTE(c) (UINT64_C(0x0101010101010101) * (c))

/* Whether some byte is below LIMIT (at most 128), eight at a time; the last eight may overlap. */
static bool
has_below(struct xf_str text, unsigned char limit)
{
	uint64_t word;

	if (text.len < 8) {
		for (uint64_t i = 0; i < text.len; i++)
			if ((unsigned char)text.data[i] < limit)
				return true;
		return false;
	}
	for (uint64_t i = 0; i < text.len; i += 8) {
		memcpy(&word, text.data + (i + 8 <= text.len ? i : text.len - 8), 8);
		if ((word - EACH_BYTE(limit)) & ~word & EACH_BYTE(0x80))
			return true;
	}
	return false;
}

/* CR and LF end a line, NUL ends a string, somewhere behind every plugin. */
static bool
text_is_safe(struct xf_str text)
{
	return !has_below(text, '\r' + 1) ||
	       (memchr(text.data, '\r', text.len) == NULL && memchr(text.data, '\n', text.len) == NULL &&
	        memchr(text.data, '\0', text.len) == NULL);
}

/* No white space, no control byte: fits where a protocol parts words by spaces. */
static bool
word_is_safe(struct xf_str word)
{
	return !has_below(word, ' ' + 1) && (word.len == 0 || memchr(word.data, 0x7f, word.len) == NULL);
}

/* A token as of RFC 9110: what a header name may be. */
static const bool token_bytes[256] = {
	['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1,
	['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1, ['~'] = 1,
	['0'] = 1, ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1, ['7'] = 1, ['8'] = 1, ['9'] = 1,
	['A'] = 1, ['B'] = 1, ['C'] = 1, ['D'] = 1, ['E'] = 1, ['F'] = 1, ['G'] = 1, ['H'] = 1, ['I'] = 1, ['J'] = 1,
	['K'] = 1, ['L'] = 1, ['M'] = 1, ['N'] = 1, ['O'] = 1, ['P'] = 1, ['Q'] = 1, ['R'] = 1, ['S'] = 1, ['T'] = 1,
	['U'] = 1, ['V'] = 1, ['W'] = 1, ['X'] = 1, ['Y'] = 1, ['Z'] = 1,
	['a'] = 1, ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1, ['f'] = 1, ['g'] = 1, ['h'] = 1, ['i'] = 1, ['j'] = 1,
	['k'] = 1, ['l'] = 1, ['m'] = 1, ['n'] = 1, ['o'] = 1, ['p'] = 1, ['q'] = 1, ['r'] = 1, ['s'] = 1, ['t'] = 1,
	['u'] = 1, ['v'] = 1, ['w'] = 1, ['x'] = 1, ['y'] = 1, ['z'] = 1,
};

/* Without a branch per byte: nearly always all are. */
static bool
name_is_token(struct xf_str name)
{
	bool all = true;

	for (uint64_t i = 0; i < name.len; i++)
		all &= token_bytes[(unsigned char)name.data[i]];
	return all;
}

static const char *
header_check(const struct xf_header *header, const struct xf_conf_server *limits)
{
	if (header->name.len == 0)
		return "a header has no name";
	if (header->name.len > 256)
		return "a header name is longer than 256 bytes";
	if (!name_is_token(header->name))
		return "a header name has a byte that is not allowed";
	if (header->value.len > limits->max_header_value)
		return "a header value is too long";
	if (!text_is_safe(header->value))
		return "a header value has a line break or NUL";
	return NULL;
}

const char *
xf_accept_check_key(struct xf_str key, const struct xf_conf_server *limits)
{
	if (key.len > limits->max_header_value || !text_is_safe(key))
		return "the key is too long or has a line break or NUL";
	return NULL;
}

const char *
xf_accept_check(const struct xf_incoming *message, const struct xf_conf_server *limits)
{
	if (message->subject.len == 0)
		return "the subject is empty";
	if (message->subject.len > limits->max_subject)
		return "the subject is too long";
	if (xf_subject_check(message->subject) != NULL)
		return "the subject has an empty or wildcard token, a space or a control character";
	if (message->payload_size > limits->max_payload)
		return "the payload is too large";
	/* Another crossfade may have added its own to as many as are allowed. */
	if (message->header_count > limits->max_headers + XF_OWN_HEADERS)
		return "there are too many headers";
	if (message->id.len > limits->max_header_value || !text_is_safe(message->id))
		return "the id is too long or has a line break or NUL";
	if (message->reply.len > limits->max_subject || !word_is_safe(message->reply))
		return "the reply subject is too long or has a space or a control character";
	if (message->content_type.len > 256 || !text_is_safe(message->content_type))
		return "the content type is too long or has a line break or NUL";
	for (uint32_t i = 0; i < message->header_count; i++) {
		const char *wrong = header_check(&message->headers[i], limits);

		if (wrong != NULL)
			return wrong;
	}
	return xf_accept_check_key(message->key, limits);
}
