#include "base/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
xf_base64_encode(struct xf_str bytes, struct xf_buffer *out)
{
	for (uint64_t i = 0; i < bytes.len; i += 3) {
		uint64_t left = bytes.len - i;
		unsigned a = (unsigned char)bytes.data[i];
		unsigned b = left > 1 ? (unsigned char)bytes.data[i + 1] : 0;
		unsigned c = left > 2 ? (unsigned char)bytes.data[i + 2] : 0;
		const char text[4] = {digits[a >> 2], digits[(a & 3) << 4 | b >> 4],
		                      left > 1 ? digits[(b & 15) << 2 | c >> 6] : '=', left > 2 ? digits[c & 63] : '='};

		xf_buffer_append(out, text, sizeof(text));
	}
}

/* 64: none. */
static unsigned
digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (unsigned)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (unsigned)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0') + 52;
	return c == '+' ? 62 : c == '/' ? 63 : 64;
}

int64_t
xf_base64_decode(struct xf_str text, char *out)
{
	uint64_t padding = 0;
	int64_t len = 0;

	if (text.len % 4 != 0)
		return -1;
	while (padding < 2 && padding < text.len && text.data[text.len - 1 - padding] == '=')
		padding++;
	for (uint64_t i = 0; i < text.len; i += 4) {
		bool last = i + 4 == text.len;
		unsigned word = 0;

		for (uint64_t k = 0; k < 4; k++) {
			unsigned value = last && k >= 4 - padding ? 0 : digit_value(text.data[i + k]);

			if (value == 64)
				return -1;
			word = word << 6 | value;
		}
		for (unsigned k = 0; k < (last ? 3 - padding : 3); k++)
			out[len++] = (char)(word >> (16 - 8 * k));
	}
	return len;
}
