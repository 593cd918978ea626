/*
 * host.h - the functions promised to plugins (struct xf_host), and where they lead.
 *
 * A plugin's endpoint handle is the first member of whatever the flow keeps for that endpoint; its
 * functions are how a plugin's call reaches it.
 */
#ifndef XF_HOST_HOST_H
#define XF_HOST_HOST_H

#include <crossfade/handler.h>

/* What stands behind `struct xf_endpoint *`: the flow's side of an instance. */
struct xf_endpoint {
	const struct xf_endpoint_calls *calls;
	const char *name; /* "orders/from" */
};

struct xf_endpoint_calls {
	void (*wake)(struct xf_endpoint *endpoint);
	void (*state)(struct xf_endpoint *endpoint, uint32_t state, const char *reason);
	uint32_t (*emit)(struct xf_endpoint *endpoint, const struct xf_incoming *messages, uint32_t stride,
	                 uint32_t count);
	void (*complete)(struct xf_endpoint *endpoint, const struct xf_result *results, uint32_t count);
	void (*settle_within)(struct xf_endpoint *endpoint, uint32_t milliseconds);
	void (*sight)(struct xf_endpoint *endpoint, const struct xf_sight *sight);
	void (*finish)(struct xf_endpoint *endpoint, const struct xf_outcome *outcomes, uint32_t stride, uint32_t count);
	void (*replied)(struct xf_endpoint *endpoint, const struct xf_replied *replies, uint32_t stride, uint32_t count);
};

/* The one table, static. */
const struct xf_host *xf_host(void);

#endif
