/*
 * seen.h - which messages a route has had already, by their ids: for a route that de-duplicates, or that reads both sides of a
 * migration, where one may stand on each.
 *
 * An id is remembered until as many newer ones have come as the window counts, and, once its message is settled, for as long as
 * the window lasts. It is kept as a hash of 128 bits, in 36 bytes, which are taken at the beginning.
 *
 * Threads: any; a mutex inside. Time is the caller's monotonic one.
 */
#ifndef XF_FLOW_SEEN_H
#define XF_FLOW_SEEN_H

#include "base/str.h"

struct xf_seen;

enum xf_seen_verdict {
	XF_SEEN_NEW,       /* it is remembered, as under way */
	XF_SEEN_UNDER_WAY, /* another with its id is not settled yet */
	XF_SEEN_DONE,
};

/* The window: COUNT ids, at least 1; and WINDOW_MS, or 0 for no bound in time. */
struct xf_seen *xf_seen_create(uint32_t count, uint64_t window_ms);
void xf_seen_destroy(struct xf_seen **seen);

enum xf_seen_verdict xf_seen_enter(struct xf_seen *seen, struct xf_str id, uint64_t now_ms);

/* What became of one that was new: DONE, or it is forgotten, since it may come again. */
void xf_seen_leave(struct xf_seen *seen, struct xf_str id, bool done, uint64_t now_ms);

#endif
