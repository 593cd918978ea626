/*
 * backlog.h - drain_first: a route that reads both sides of a migration lets a lane that moved wait until the side that it
 * left has been read to its end, as of the move. So the order of a key holds across the sides too.
 *
 * A side is at its end when its broker, asked a second or more after the move, says so (a sight with no lag) and nothing of it
 * is under way in the route. The move is over when no route of this server has anything under way to the side that a lane is
 * to leave; the second is for what other servers have.
 *
 * Threads: any; a mutex inside. Looked at once in a turn of each of the route's inlets.
 */
#ifndef XF_FLOW_BACKLOG_H
#define XF_FLOW_BACKLOG_H

#include "flow/migration.h"

struct xf_backlog;

/* A copy for an inlet: which buckets wait. */
struct xf_backlog_view {
	uint32_t version;
	bool any;
	uint64_t waits[(10000 + 63) / 64];
};

/* MIGRATION outlives it. */
struct xf_backlog *xf_backlog_create(const struct xf_migration *migration);
void xf_backlog_destroy(struct xf_backlog **backlog);

/* For the inlet of SIDE. Follows the migration's knobs; true where VIEW has changed. */
bool xf_backlog_look(struct xf_backlog *backlog, unsigned side, uint64_t now_ms, struct xf_backlog_view *view);

/* SIDE was at its end at AT_MS or later. */
void xf_backlog_ended(struct xf_backlog *backlog, unsigned side, uint64_t at_ms);

/* Whether the inlet of SIDE is full of messages that wait. Where both are, which only turning back under force can bring
 * about, each would wait for the other for ever: then nothing waits any more, and true is returned once. */
bool xf_backlog_full(struct xf_backlog *backlog, unsigned side, bool full);

/* [any] Of MIGRATION: whether a bucket that still waits would turn back at PERCENT. Messages of three times would then be on
 * two sides, and nobody could put them in order. */
bool xf_backlog_turns(struct xf_backlog *backlog, const struct xf_migration *migration, uint32_t percent);

static inline bool
xf_backlog_waits(const struct xf_backlog_view *view, uint16_t bucket)
{
	return view->waits[bucket / 64] >> (bucket % 64) & 1;
}

#endif
