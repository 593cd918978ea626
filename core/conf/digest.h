/*
 * digest.h - what tells a changed part of a configuration from one that is written otherwise.
 *
 * A digest is taken of settings, not of text: places, comments, the order of keys and names, and whether a value of the
 * core stands there or is its default make no difference. Of a plugin's options it does count whether a value is
 * given, since a plugin may ask that.
 */
#ifndef XF_CONF_DIGEST_H
#define XF_CONF_DIGEST_H

#include "conf/schema.h"

/* Fills the digests of a configuration without mistakes. */
void xf_digests_fill(struct xf_loading *loading);

#endif
