/*
 * pattern.h - a subject pattern, made ready for comparing it with very many subjects.
 *
 * `*` is one token, a last `>` one or more. The core has checked patterns and subjects.
 */
#ifndef LOCAL_PATTERN_H
#define LOCAL_PATTERN_H

#include <stdbool.h>

#include <crossfade/plugin.h>

enum pattern_kind {
	PATTERN_ALL,    /* ">" */
	PATTERN_EXACT,  /* no wildcard */
	PATTERN_PREFIX, /* only a last ">" */
	PATTERN_TOKENS,
};

struct pattern {
	enum pattern_kind kind;
	struct xf_str text; /* borrowed from whoever made it */
};

/* Borrows TEXT. */
struct pattern pattern_make(struct xf_str text);
bool pattern_matches(const struct pattern *pattern, const char *subject, uint32_t len);

#endif
