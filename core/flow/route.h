/*
 * route.h - a route: its sources (inlets) and its sinks, made from one configuration.
 *
 * Life: create (no network) -> start -> ... -> drain -> stop -> destroy; or, in a reload, a new route takes over from an old
 * one: what it can keep of its sources it keeps, with what is under way in them.
 *
 * Threads: one thread makes, starts, replaces and ends routes; the rest is for any thread while the route lives.
 */
#ifndef XF_FLOW_ROUTE_H
#define XF_FLOW_ROUTE_H

#include "flow/chain.h"
#include "flow/inlet.h"
#include "flow/outlet.h"
#include "flow/transports.h"

/* Where messages come in. */
struct xf_route_source {
	struct xf_inlet *inlet; /* NULL: still the old route's, from which it is kept */
	struct xf_holder *holder; /* of the configuration that it was made from */
	struct xf_transport *transport;
	bool kept;          /* its inlet is that of the route that it takes over from */
	struct xf_way *way; /* for an inlet that is kept, until that is offered it */
	bool goes_over;     /* the inlet was, and has not left its old way yet */
	struct xf_spooler *accepts; /* where what it brings is settled, used by it; NULL: at the sinks */
	struct xf_spooler *reads;   /* the spool that it reads: that of a sink, or of another source; NULL: it is the configuration's */
	bool replays;               /* that of a sink */
};

struct xf_route {
	const struct xf_conf_route *conf;
	struct xf_holder *holder; /* of conf */
	struct xf_transports *transports;
	struct xf_spoolers *open_spoolers;
	struct xf_pools *open_pools;
	struct xf_migration *migration;
	struct xf_route_source *sources; /* as many as conf has, and behind them one for each spool, which reads that */
	size_t source_count;
	struct xf_outlet *outlets[XF_CONF_SINKS_MAX]; /* a migration's old and new */
	struct xf_transport *outlet_transports[XF_CONF_SINKS_MAX];
	struct xf_spooler *spoolers[XF_CONF_SINKS_MAX]; /* NULL: that sink has none */
	unsigned outlet_count;
	struct xf_handlers handlers;
	struct xf_seen *seen;       /* NULL: duplicates are not looked for */
	struct xf_backlog *backlog; /* NULL: no drain_first */
	bool borrows;               /* these two are of the route that it takes over from, or that has taken over */
	bool paused;
};

/* What a route is made from. */
struct xf_route_setup {
	const struct xf_conf_route *conf;
	struct xf_holder *holder; /* of the configuration that CONF is in; the route keeps it */
	struct xf_migration *migration;
	const struct xf_migration *reads; /* the migration that it reads, or NULL */
	struct xf_transports *transports;
	struct xf_spoolers *spoolers;
	struct xf_letters *letters;
	struct xf_requests *requests;
	struct xf_pools *pools;
	struct xf_route *from; /* the route that it takes over from, or NULL */
};

/* The migration that a source of CONF reads a side of, or NULL. */
const struct xf_conf_migration *xf_route_reads(const struct xf_conf_route *conf);

/* NULL with a reason. Touches nothing of FROM. */
struct xf_route *xf_route_create(const struct xf_route_setup *setup, struct xf_error *error);
/* Its threads have ended. */
void xf_route_destroy(struct xf_route **route);

/* Whether what comes through that source gets its side of the migration there, and first. */
static inline bool
xf_route_source_decides(const struct xf_route *route, size_t index)
{
	return route->sources[index].accepts == NULL && !route->sources[index].replays;
}

/* It reads a spool in which there was nothing yet: it has no thread. */
static inline bool
xf_route_source_rests(const struct xf_route_source *source)
{
	return source->reads != NULL && !xf_runner_has_started(xf_inlet_runner(source->inlet));
}

void xf_route_start_sinks(struct xf_route *route);
void xf_route_start_sources(struct xf_route *route);

/* Its sources take nothing in any more. */
void xf_route_drain(struct xf_route *route);
bool xf_route_drained(const struct xf_route *route); /* and nothing is in flight */
/* Its threads are asked to end, sources before sinks: but those of the sources that NEW, which may be NULL, keeps. A sink whose
 * thread has ended has given every leg back. */
void xf_route_end_sources(struct xf_route *route, const struct xf_route *new);
void xf_route_end_sinks(struct xf_route *route);

/*
 * A plugin may keep a thread for ever. So nothing here waits for one; these name what has not come, or NULL: after a call, which
 * asks every thread to come by its loop; after an end; and after going over.
 */
void xf_route_call(struct xf_route *route);
void xf_route_watch(struct xf_route *route); /* as xf_runner_watch() */
const struct xf_runner *xf_route_absent(const struct xf_route *route);
const struct xf_runner *xf_route_not_ended(struct xf_route *route);
const struct xf_runner *xf_route_not_over(struct xf_route *route);

/*
 * The steps of taking over, for NEW made with `from` OLD; sinks of NEW run. leave: nothing new comes in through what is
 * kept, and what is not kept drains. left: that is done. lossy_take_over: of sources that cannot be held back the new ones
 * start and the old ones drain; waits for some seconds, unless it HURRIES. Then what is not kept ends. go_over: whatever is still open goes the new
 * way, as soon as its sources come back to their loops. take_over, which does not wait: what is kept is NEW's, and the other
 * new sources start; OLD is to be destroyed once its threads have ended and nothing goes over any more.
 */
void xf_route_leave(struct xf_route *old, const struct xf_route *new);
bool xf_route_left(const struct xf_route *old, const struct xf_route *new);
void xf_route_lossy_take_over(struct xf_route *new, struct xf_route *old, const _Atomic bool *hurries);
void xf_route_go_over(struct xf_route *old, struct xf_route *new);
void xf_route_take_over(struct xf_route *new, struct xf_route *old);

/* Each sink that it needs where its knobs stand, unless a spool stands in for it, and each source, was up once. */
bool xf_route_was_up(const struct xf_route *route);
bool xf_route_sinks_up(const struct xf_route *route); /* all of them, now */
uint64_t xf_route_in_flight(const struct xf_route *route);
void xf_route_pause(struct xf_route *route, bool paused);

/* Given back with xf_route_status_fini(). */
void xf_route_status(const struct xf_route *route, struct xf_route_status *status);

#endif
