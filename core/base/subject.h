/*
 * subject.h - subjects and subject patterns.
 *
 * A subject is tokens parted by dots. In a pattern `*` stands for one token, a
 * last `>` for one or more. The same rules hold on every broker.
 */
#ifndef XF_BASE_SUBJECT_H
#define XF_BASE_SUBJECT_H

#include <stdbool.h>

#include "base/str.h"

/* No empty token, no wildcard token, no white space, control byte or DEL. NULL if fine, else what is wrong. */
const char *xf_subject_check(struct xf_str subject);

/* The same for a pattern. */
const char *xf_subject_pattern_check(struct xf_str pattern);

/* Both have passed their checks. */
bool xf_subject_match(struct xf_str pattern, struct xf_str subject);

/* Whether some subject matches both patterns. */
bool xf_subject_overlap(struct xf_str a, struct xf_str b);

/* The N-th token, counted from 1; empty where there are fewer. */
struct xf_str xf_subject_token(struct xf_str subject, unsigned n);

#endif
