/*
 * endpoint.h - one source or one sink: the core's own keys, its plugin's, and what the plugin says about it.
 */
#ifndef XF_CONF_ENDPOINT_H
#define XF_CONF_ENDPOINT_H

#include "conf/read.h"

/* The place where an endpoint stands; it decides which keys may. */
enum xf_endpoint_kind {
	XF_ENDPOINT_SOURCE,
	XF_ENDPOINT_SINK,  /* of a route: alone, or one of `all` */
	XF_ENDPOINT_SHARE, /* one of `split`: has a weight */
	XF_ENDPOINT_OLD,
	XF_ENDPOINT_NEW,
};

struct xf_endpoint_setting {
	enum xf_endpoint_kind kind;
	const char *scope; /* "route 'orders': from: " */
	const char *name;  /* "orders/from" */
	const char *route; /* NULL: of a migration */
	uint32_t max_in_flight;
};

/* A source, or a sink, from a map. *WEIGHT is set where there is one; may be NULL. */
void xf_endpoint_read(struct xf_loading *l, const struct xf_yaml *map, const struct xf_endpoint_setting *setting,
                      struct xf_conf_endpoint *ep, uint32_t *weight);

/* A sink: a map, or the bare name of a transport. */
void xf_sink_read(struct xf_loading *l, const struct xf_yaml *node, const struct xf_endpoint_setting *setting,
                  struct xf_conf_endpoint *ep, uint32_t *weight);

/* NODE as a map: itself, or {transport: NODE} of a bare name; NULL where it is neither. */
const struct xf_yaml *xf_endpoint_map(struct xf_loading *l, const struct xf_yaml *node);

/* False where something about the endpoint was reported, so its plugin may not be asked about it. */
bool xf_endpoint_sound(const struct xf_conf_endpoint *endpoint);

#endif
