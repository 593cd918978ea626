/*
 * base64.h - bytes as text (RFC 4648, section 4: '+', '/', padded with '=').
 */
#ifndef XF_BASE_BASE64_H
#define XF_BASE_BASE64_H

#include "base/str.h"

/* Appends BYTES as text. */
void xf_base64_encode(struct xf_str bytes, struct xf_buffer *out);

/* Writes what TEXT stands for to OUT, which has room for three bytes per four of it and may be where TEXT is.
 * Returns the length, or -1 where TEXT is no such text. */
int64_t xf_base64_decode(struct xf_str text, char *out);

#endif
