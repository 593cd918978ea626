/*
 * base64.h - bytes as text (RFC 4648, section 4: '+', '/', padded with '=').
 */
#ifndef PLUGINS_BASE64_H
#define PLUGINS_BASE64_H

#include "text.h"

/* Into OUT, which has room for 3/4 of the length; false: no base64. White space is not allowed. */
bool base64_decode(struct xf_str text, unsigned char *out, uint64_t *len);

/* Appends BYTES as base64. */
void text_base64(struct text *text, struct xf_str bytes);

#endif
