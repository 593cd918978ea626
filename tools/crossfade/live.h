/*
 * live.h - whether the brokers of a configuration can be reached, found out without touching a message.
 *
 * Sinks are connected, and nothing is sent through them. What the file declares (streams, queues) is created by that, as at a
 * start. Sources are left alone: to read would be to take.
 */
#ifndef CROSSFADE_LIVE_H
#define CROSSFADE_LIVE_H

#include "conf/conf.h"

/* One way of publishing to a transport: sinks on it with the same options share one. */
struct live {
	const struct xf_conf_transport *transport;
	const struct xf_conf_endpoint *sink; /* NULL: it is only read from, and was not tried */
	uint32_t state;                      /* XF_STATE_* */
	char reason[256];
};

/* In the order of the transports. Waits a few seconds at most. The caller frees. */
struct live *live_try(const struct xf_conf *conf, size_t *count);

#endif
