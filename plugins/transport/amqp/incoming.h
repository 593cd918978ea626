/*
 * incoming.h - a delivery's properties as fields and headers of a message.
 *
 * The headers of the messages that a call gathers stand in one pool, and so does text that had to be made of numbers, until it is cleared.
 *
 * Threads: the endpoint's own.
 */
#ifndef CROSSFADE_AMQP_INCOMING_H
#define CROSSFADE_AMQP_INCOMING_H

#include "wire.h"

#include <crossfade/transport.h>

struct incoming {
	struct wire *wire;
	struct xf_header *headers;
	uint32_t header_count;
	char *text;
	size_t text_len;
	bool warned; /* of headers that are left out */
};

/* False where there is no memory; then incoming_fini() is due all the same. */
bool incoming_init(struct incoming *incoming, struct wire *wire);
void incoming_fini(struct incoming *incoming);

void incoming_clear(struct incoming *incoming);

/* There may be no room for another one before the pool is cleared. */
bool incoming_full(const struct incoming *incoming);

/* Sets all that PROPERTIES tell, payload_size and attempt among it; *ATTEMPT is that of a queue which does not count. CORRELATION: its id
 * becomes a header too. False: malformed, and the connection has failed. */
bool incoming_read(struct incoming *incoming, const struct codec_properties *properties, bool correlation, uint32_t attempt,
                   struct xf_incoming *in);

#endif
