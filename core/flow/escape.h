/*
 * escape.h - foreign names as subjects, and back (`subject_escape: true`).
 *
 * Brokers know names that are no subjects: with spaces or control bytes, with empty tokens ("a..b", ".a", ""), with a
 * wildcard as a token. Percent-escaped they are subjects, and a sink can turn them back into what they were:
 *
 *     bytes up to space, DEL, '%'         %20 and so on
 *     a token that is '*' or '>' alone    %2A, %3E
 *     a dot that would end an empty token, and a last one    %2E, which parts no tokens
 *     the empty name                      %
 *
 * So "a..b c" is "a.%2Eb%20c". A name that is a subject and has no '%' stays as it is.
 *
 * Pure functions. Any thread.
 */
#ifndef XF_FLOW_ESCAPE_H
#define XF_FLOW_ESCAPE_H

#include "base/str.h"

/* Whether NAME would change. */
bool xf_escape_needed(struct xf_str name);

/* Appends NAME as a subject. At most three times as long. */
void xf_escape(struct xf_str name, struct xf_buffer *out);

/* Whether SUBJECT would change: it has a '%'. */
bool xf_unescape_needed(struct xf_str subject);

/* Appends the name that SUBJECT was made from. A '%' that nothing was escaped with stays. Never longer. */
void xf_unescape(struct xf_str subject, struct xf_buffer *out);

#endif
