/*
 * transports.h - the opened transports, and the configurations that what runs was made from.
 *
 * A reload leaves alone what has not changed, and that goes on pointing into the configuration it was made from; so a
 * configuration lives as long as somebody holds it.
 *
 * Threads: use and release on one at a time, which holds the flow's reload lock; release of what others may be looking at
 * under its parts lock, too. find: any, under its parts lock.
 */
#ifndef XF_FLOW_TRANSPORTS_H
#define XF_FLOW_TRANSPORTS_H

#include <stdatomic.h>

#include "conf/conf.h"

struct xf_holder {
	const struct xf_conf *conf;
	bool own;
	unsigned count;
};

/* Held once. OWN: takes CONF; else it outlives the holder. */
struct xf_holder *xf_holder_create(const struct xf_conf *conf, bool own);
struct xf_holder *xf_holder_keep(struct xf_holder *holder);
/* The last one destroys a configuration of its own. */
void xf_holder_release(struct xf_holder **holder);

struct xf_transport {
	const struct xf_conf_transport *conf;
	struct xf_holder *holder;
	void *shared;
	unsigned users;
	struct xf_transport *next;
};

struct xf_transports {
	_Atomic(struct xf_transport *) first; /* new ones come in front */
};

/* The transport of CONF, opened if it is not: one of the same name and digest is the same. Given back with
 * xf_transport_release(). NULL with a reason. */
struct xf_transport *xf_transport_use(struct xf_transports *transports, const struct xf_conf_transport *conf,
                                      struct xf_holder *holder, struct xf_error *error);
/* The last user closes it. */
void xf_transport_release(struct xf_transports *transports, struct xf_transport *transport);

/* The one that runs with CONF's settings, or NULL. */
const struct xf_transport *xf_transport_find(const struct xf_transports *transports,
                                             const struct xf_conf_transport *conf);

#endif
