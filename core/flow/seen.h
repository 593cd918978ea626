/*
 * seen.h - which messages a route has had already, by their ids: for a route that reads both sides of a migration, where one
 * may stand on each.
 *
 * An id is remembered from its acceptance until XF_SEEN_IDS newer ones, or twice as many, have come; by a hash of 128 bits.
 *
 * Threads: any; a mutex inside. A route that reads one source has none.
 */
#ifndef XF_FLOW_SEEN_H
#define XF_FLOW_SEEN_H

#include "base/str.h"

#define XF_SEEN_IDS 65536

struct xf_seen;

enum xf_seen_verdict {
	XF_SEEN_NEW,       /* it is remembered, as under way */
	XF_SEEN_UNDER_WAY, /* another with its id is not settled yet */
	XF_SEEN_DONE,
};

struct xf_seen *xf_seen_create(void);
void xf_seen_destroy(struct xf_seen **seen);

enum xf_seen_verdict xf_seen_enter(struct xf_seen *seen, struct xf_str id);

/* What became of one that was new: DONE, or it is forgotten, since its broker offers it again. */
void xf_seen_leave(struct xf_seen *seen, struct xf_str id, bool done);

#endif
