/*
 * digits.h - the number of a request, as it stands in an address or a correlation id.
 */
#ifndef PLUGINS_DIGITS_H
#define PLUGINS_DIGITS_H

#include <crossfade/plugin.h>

#define DIGITS_MAX 20u /* of 64 bits */

/* What DIGITS are in decimal; 0: they are no number, which a request's never is, or one past 64 bits. */
static inline uint64_t
digits_read(struct xf_str digits)
{
	uint64_t number = 0;

	if (digits.len > DIGITS_MAX)
		return 0;
	for (uint64_t i = 0; i < digits.len; i++) {
		uint64_t digit = (uint64_t)(unsigned char)digits.data[i] - '0';

		if (digit > 9 || number > (UINT64_MAX - digit) / 10)
			return 0;
		number = number * 10 + digit;
	}
	return number;
}

#endif
