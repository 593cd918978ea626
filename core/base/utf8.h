/*
 * utf8.h - whether bytes are text.
 */
#ifndef XF_BASE_UTF8_H
#define XF_BASE_UTF8_H

#include <stdbool.h>

#include "base/str.h"

/* Well-formed UTF-8 as of RFC 3629: shortest forms, no surrogates, at most U+10FFFF. */
bool xf_utf8_valid(struct xf_str bytes);

/* How many bytes at the beginning are that. */
uint64_t xf_utf8_prefix(struct xf_str bytes);

/* Copies TEXT as valid UTF-8 to the end of OUT: each byte that is not part of a character becomes '?'. */
void xf_utf8_mend(const char *text, struct xf_buffer *out);

#endif
