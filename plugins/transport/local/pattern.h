/*
 * pattern.h - which subscriptions a sink may publish to.
 */
#ifndef LOCAL_PATTERN_H
#define LOCAL_PATTERN_H

#include <stdbool.h>

#include <crossfade/plugin.h>

/* Whether some subject matches both patterns. */
bool pattern_overlaps(struct xf_str a, struct xf_str b);

/* The pattern of what a sink's template can become: from its first token with a placeholder on, anything. At most SIZE,
 * terminated; what is too long becomes ">". */
struct xf_str pattern_of_template(struct xf_str text, char *out, uint32_t size);

#endif
