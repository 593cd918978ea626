/*
 * outlet.h - a sink of a route as its people see it: one name and one state, behind which there are as many connections as the
 * configuration asks for, or none where what comes already stands in place.
 *
 * Threads: made, started, stopped and destroyed by one; the rest is for any.
 */
#ifndef XF_FLOW_OUTLET_H
#define XF_FLOW_OUTLET_H

#include "flow/sink.h"

struct xf_outlet {
	char *name;
	const struct xf_conf_endpoint *conf;
	unsigned count;
	struct xf_sink *sinks[]; /* NAME where there is one, else NAME/1, NAME/2, ... */
};

/* NAME is taken. NULL with a reason. */
struct xf_outlet *xf_outlet_create(char *name, const struct xf_sink_setup *setup, struct xf_error *error);
void xf_outlet_destroy(struct xf_outlet **outlet);

void xf_outlet_start(struct xf_outlet *outlet);

/* That of the connection that is worst off. */
uint32_t xf_outlet_state(const struct xf_outlet *outlet);
/* All of them. */
bool xf_outlet_was_up(const struct xf_outlet *outlet);
/* Sums, and the state, its reason and the sight of the connection that is worst off. */
void xf_outlet_status(struct xf_outlet *outlet, struct xf_endpoint_status *status);

#endif
