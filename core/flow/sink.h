/*
 * sink.h - the way out: the queue in front of a sink plugin, and its thread.
 *
 * Inlets push chains of legs into its inbox; it offers them to the plugin in that order, as many as there is room
 * for. A completed leg goes straight back to the inbox of its inlet, from whichever thread completed it.
 *
 * The gate keeps order across an outage. The sink keeps nothing while it is down: it gives back every leg that it
 * has not sent, and from each DOWN on refuses legs sent under an older generation. An inlet opens its pipe under the
 * new one only when all its legs are back.
 */
#ifndef XF_FLOW_SINK_H
#define XF_FLOW_SINK_H

#include "flow/delivery.h"
#include "flow/requests.h"
#include "flow/runner.h"

struct xf_sink;

/* The gate as one word: generation, and whether legs may pass. */
static inline uint32_t
xf_gate(uint32_t generation, bool up)
{
	return generation << 1 | up;
}

/* What a sink is made from; all of it outlives the sink. */
struct xf_sink_setup {
	const struct xf_conf_endpoint *conf;
	const char *route;
	const char *server;
	void *shared; /* the transport's */
	struct xf_requests *requests;
	bool reads_there;    /* a source of the route, which is no migration without handlers, is on the same transport */
	uint32_t request_ms; /* how long replies are awaited; 0: it makes no requests */
};

/* NAME is taken. NULL with a reason. */
struct xf_sink *xf_sink_create(char *name, const struct xf_sink_setup *setup, struct xf_error *error);
void xf_sink_destroy(struct xf_sink **sink);

/* Before start: RUNNER's bell is rung when the gate changes. ORDERED: a leg that failed stops those of its lane behind it. */
void xf_sink_attach(struct xf_sink *sink, struct xf_runner *inlet, bool ordered);

/* How many sinks serve what CONF says: its connections; none where what comes already stands there. */
static inline unsigned
xf_sink_connections(const struct xf_conf_endpoint *conf)
{
	return conf->in_place ? 0 : conf->connections > 1 ? conf->connections : 1;
}

void xf_sink_start(struct xf_sink *sink);
/* Every leg has gone back to its inlet's inbox when this returns; one that is sent later goes back at once. */
void xf_sink_stop(struct xf_sink *sink);

struct xf_runner *xf_sink_runner(struct xf_sink *sink);

/* [any] Legs FIRST .. LAST, chained by node.next, in order. */
void xf_sink_send(struct xf_sink *sink, struct xf_leg *first, struct xf_leg *last);

/* [any] An inlet reads it before it takes its inbox, so all legs that came back before are there. */
uint32_t xf_sink_gate(const struct xf_sink *sink);
/* What was recalled and its plugin was not offered comes back now, not when its turn comes. */
void xf_sink_sweep(struct xf_sink *sink);

/* [any] */
uint32_t xf_sink_state(const struct xf_sink *sink);
bool xf_sink_was_up(const struct xf_sink *sink);
const char *xf_sink_name(const struct xf_sink *sink);
void xf_sink_status(struct xf_sink *sink, struct xf_endpoint_status *status);

#endif
