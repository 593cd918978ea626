/*
 * inlet.h - the way in: a source plugin, its thread, and everything that thread does with a message: check it, give
 * it a key and a lane, send its legs, and settle it when they have confirmed.
 *
 * A route has one inlet per source. Nothing is shared between inlets but sinks and the knobs of a migration, so
 * nothing here needs a lock.
 */
#ifndef XF_FLOW_INLET_H
#define XF_FLOW_INLET_H

#include "dead/letters.h"
#include "flow/backlog.h"
#include "flow/runner.h"
#include "flow/seen.h"
#include "flow/way.h"

struct xf_inlet;

/* What an inlet is made from. The source, its configuration and the letters outlive it; for the way see way.h. */
struct xf_inlet_setup {
	struct xf_way_setup way;
	const struct xf_conf_endpoint *source;
	bool read_back; /* it reads a spool, or dead letters: what comes was accepted before */
	bool counted;   /* and counted then */
	bool late;      /* its runner is started late, if ever */
	void *shared; /* the transport's */
	struct xf_letters *letters;
	struct xf_requests *requests;
	struct xf_seen *seen;       /* NULL: duplicates are not looked for */
	struct xf_backlog *backlog; /* NULL: no side waits for the other */
};

/* Whether sources of ROUTE may have replies to send. */
bool xf_inlet_may_reply(const struct xf_conf_route *route);

/* NAME is taken. NULL with a reason. */
struct xf_inlet *xf_inlet_create(char *name, const struct xf_inlet_setup *setup, struct xf_error *error);
void xf_inlet_destroy(struct xf_inlet **inlet); /* after its sinks have stopped */

/* [any] It is started and ended by its runner. */
struct xf_runner *xf_inlet_runner(struct xf_inlet *inlet);
void xf_inlet_pause(struct xf_inlet *inlet, bool paused);
void xf_inlet_drain(struct xf_inlet *inlet);
/* Dead letters of its route, by their numbers, come in again as it has room for them. */
void xf_inlet_redeliver(struct xf_inlet *inlet, const uint64_t *numbers, size_t count);
void xf_inlet_redeliver_for(struct xf_inlet *inlet, struct xf_inlet *before); /* what BEFORE was asked for and has not taken */
/* Takes nothing in any more, and nothing is in flight but what waits for the other side of a migration, which its broker has. */
bool xf_inlet_drained(const struct xf_inlet *inlet);
uint64_t xf_inlet_in_flight(const struct xf_inlet *inlet);
uint32_t xf_inlet_knobs_version(struct xf_inlet *inlet); /* the newest that it follows */
bool xf_inlet_was_up(const struct xf_inlet *inlet);

/* [its source, instead of emit()] What was read is no message: it is kept as a dead letter that has RECORD for its payload. */
void xf_inlet_refuse(struct xf_endpoint *endpoint, uint64_t handle, struct xf_str record, const char *reason);

/* [its source] The way that what it emits goes. */
struct xf_way *xf_inlet_its_way(struct xf_endpoint *endpoint);

/*
 * [control] Another way, in this order: hold; wait until quiet, or long enough; stop the old sinks, so that all legs are back;
 * offer; wait until left() gives the old way, to be destroyed. What is open by then goes the new way, in order. While it is
 * held nothing new comes in; what a source brings that cannot be held back waits within the route's bound.
 */
struct xf_way *xf_inlet_way(struct xf_inlet *inlet, const struct xf_way_setup *setup);
void xf_inlet_hold(struct xf_inlet *inlet);
bool xf_inlet_quiet(const struct xf_inlet *inlet); /* what is under way has been confirmed, as far as its sinks are up */
void xf_inlet_offer(struct xf_inlet *inlet, struct xf_way *way);
struct xf_way *xf_inlet_left(struct xf_inlet *inlet); /* NULL: not yet */

/* [any] Adds its numbers; sources and legs of STATUS are set already. */
void xf_inlet_status(struct xf_inlet *inlet, struct xf_route_status *status);

#define XF_BUCKET_WORDS ((XF_BUCKETS + 63) / 64)

/* Buckets as bits. */
struct xf_bucket_maps {
	uint64_t moving[XF_BUCKET_WORDS];
	uint64_t stuck[XF_BUCKET_WORDS];
	uint64_t used[XF_BUCKET_WORDS];
};

/* [any] Adds its lanes. */
void xf_inlet_maps(struct xf_inlet *inlet, struct xf_bucket_maps *maps);

#endif
