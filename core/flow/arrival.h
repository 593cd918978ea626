/*
 * arrival.h - a message as crossfade takes it, made from the message as its broker has it: out of its envelope, with a
 * subject made of a foreign name, with an id found in its payload, as its source's configuration asks.
 *
 * Threads: the source's. An inlet has one.
 */
#ifndef XF_FLOW_ARRIVAL_H
#define XF_FLOW_ARRIVAL_H

#include "conf/conf.h"
#include "flow/envelope.h"

struct xf_arrival {
	const struct xf_conf_endpoint *conf;
	bool plain; /* there is nothing to do: messages are taken as they come */
	struct xf_envelope_scratch envelope;
	struct xf_buffer subject, id;
};

void xf_arrival_init(struct xf_arrival *arrival, const struct xf_conf_endpoint *source);
void xf_arrival_fini(struct xf_arrival *arrival);

/* INTO borrows from MESSAGE and ARRIVAL until the next call, has nothing to release where its payload is not MESSAGE's own,
 * and is MESSAGE as far as it goes where this fails, with the reason in ERROR. */
enum xf_status xf_arrival_read(struct xf_arrival *arrival, const struct xf_incoming *message, struct xf_incoming *into,
                               struct xf_error *error);

#endif
