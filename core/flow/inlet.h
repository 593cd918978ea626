/*
 * inlet.h - the way in: a source plugin, its thread, and everything that thread does with a message: check it, give
 * it a key and a lane, send its legs, and settle it when they have confirmed.
 *
 * A route has one inlet per source. Nothing is shared between inlets but sinks and the knobs of a migration, so
 * nothing here needs a lock.
 */
#ifndef XF_FLOW_INLET_H
#define XF_FLOW_INLET_H

#include "flow/lanes.h"
#include "flow/migration.h"
#include "flow/rejects.h"
#include "flow/runner.h"
#include "flow/sink.h"

struct xf_inlet;

/* What an inlet is made from; all of it outlives the inlet. */
struct xf_inlet_setup {
	const struct xf_conf_route *route;
	const struct xf_conf_server *server;
	const struct xf_conf_endpoint *source;
	void *shared; /* the transport's */
	struct xf_migration *migration; /* NULL: a plain sink */
	const struct xf_conf_endpoint *sink_conf[XF_SIDES];
	struct xf_sink *sinks[XF_SIDES]; /* the second NULL for a plain sink */
	struct xf_rejects *rejects;
};

/* NAME is taken. NULL with a reason. */
struct xf_inlet *xf_inlet_create(char *name, const struct xf_inlet_setup *setup, struct xf_error *error);
void xf_inlet_destroy(struct xf_inlet **inlet); /* after its sinks have stopped */

void xf_inlet_start(struct xf_inlet *inlet);
void xf_inlet_stop(struct xf_inlet *inlet);

/* [any] */
struct xf_runner *xf_inlet_runner(struct xf_inlet *inlet);
void xf_inlet_pause(struct xf_inlet *inlet, bool paused);
void xf_inlet_drain(struct xf_inlet *inlet);
bool xf_inlet_drained(const struct xf_inlet *inlet); /* takes nothing in any more, and nothing is in flight */
uint64_t xf_inlet_in_flight(const struct xf_inlet *inlet);
uint32_t xf_inlet_knobs_version(const struct xf_inlet *inlet); /* the newest that it follows */
bool xf_inlet_was_up(const struct xf_inlet *inlet);

/* [any] Adds its numbers; sources and legs of STATUS are set already. */
void xf_inlet_status(struct xf_inlet *inlet, struct xf_route_status *status);

/* [any] Its lanes, for the maps and counters that others may read. */
const struct xf_lanes *xf_inlet_lanes(const struct xf_inlet *inlet);

#endif
