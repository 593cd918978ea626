#include "base/utf8.h"

bool
xf_utf8_valid(struct xf_str bytes)
{
	const unsigned char *at = (const unsigned char *)bytes.data, *end;

	if (bytes.len == 0)
		return true;
	end = at + bytes.len;
	while (at < end) {
		unsigned char lead = *at++;
		unsigned more = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
		unsigned char low = 0x80, high = 0xbf;

		if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || (size_t)(end - at) < more)
			return false;
		if (lead == 0xe0)
			low = 0xa0;
		else if (lead == 0xed)
			high = 0x9f;
		else if (lead == 0xf0)
			low = 0x90;
		else if (lead == 0xf4)
			high = 0x8f;
		for (; more > 0; more--, at++) {
			if (*at < low || *at > high)
				return false;
			low = 0x80;
			high = 0xbf;
		}
	}
	return true;
}
