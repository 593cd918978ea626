#include "base64.h"

static int
base64_value(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool
base64_decode(struct xf_str text, unsigned char *out, uint64_t *len)
{
	uint64_t n = 0;

	if (text.len % 4 != 0)
		return false;
	for (uint64_t i = 0; i < text.len; i += 4) {
		unsigned padding = 0;
		uint32_t bits = 0;

		if (i + 4 == text.len)
			padding = (text.data[i + 3] == '=') + (text.data[i + 3] == '=' && text.data[i + 2] == '=');
		for (unsigned k = 0; k < 4; k++) {
			int value = k >= 4 - padding ? 0 : base64_value((unsigned char)text.data[i + k]);

			if (value < 0)
				return false;
			bits = bits << 6 | (uint32_t)value;
		}
		/* What the padding cuts off must be zero, or two texts would stand for the same bytes. */
		if ((padding == 1 && (bits & 0xff) != 0) || (padding == 2 && (bits & 0xffff) != 0))
			return false;
		for (unsigned k = 0; k < 3 - padding; k++)
			out[n++] = (unsigned char)(bits >> (16 - 8 * k));
	}
	*len = n;
	return true;
}

void
text_base64(struct text *text, struct xf_str bytes)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *at = (const unsigned char *)bytes.data;

	for (uint64_t left = bytes.len; left > 0; at += 3) {
		uint64_t n = left < 3 ? left : 3;
		uint32_t bits = (uint32_t)at[0] << 16 | (n > 1 ? (uint32_t)at[1] << 8 : 0) | (n > 2 ? at[2] : 0);
		char four[4] = {letters[bits >> 18], letters[bits >> 12 & 63], n > 1 ? letters[bits >> 6 & 63] : '=',
		                n > 2 ? letters[bits & 63] : '='};

		text_add(text, four, sizeof(four));
		left -= n;
	}
}
