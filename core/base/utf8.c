#include "base/utf8.h"

/* The length of the character at AT, in front of END; 0: there is none. */
static unsigned
character_len(const unsigned char *at, const unsigned char *end)
{
	unsigned char lead = at[0], low = 0x80, high = 0xbf;
	unsigned len = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

	if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || (size_t)(end - at) < len)
		return 0;
	if (lead == 0xe0)
		low = 0xa0;
	else if (lead == 0xed)
		high = 0x9f;
	else if (lead == 0xf0)
		low = 0x90;
	else if (lead == 0xf4)
		high = 0x8f;
	for (unsigned i = 1; i < len; i++) {
		if (at[i] < low || at[i] > high)
			return 0;
		low = 0x80;
		high = 0xbf;
	}
	return len;
}

uint64_t
xf_utf8_prefix(struct xf_str bytes)
{
	const unsigned char *data = (const unsigned char *)bytes.data;
	uint64_t at = 0;
	unsigned len;

	while (at < bytes.len && (len = character_len(data + at, data + bytes.len)) > 0)
		at += len;
	return at;
}

bool
xf_utf8_valid(struct xf_str bytes)
{
	return xf_utf8_prefix(bytes) == bytes.len;
}

void
xf_utf8_mend(const char *text, struct xf_buffer *out)
{
	struct xf_str rest = xf_str(text);

	while (rest.len > 0) {
		uint64_t len = xf_utf8_prefix(rest);

		if (len > 0)
			xf_buffer_append(out, rest.data, len);
		else
			xf_buffer_puts(out, "?");
		rest.data += len > 0 ? len : 1;
		rest.len -= len > 0 ? len : 1;
	}
}
