/*
 * assembly.h - a delivery that is put together from its frames: deliver, header, body.
 *
 * Threads: the endpoint's own.
 */
#ifndef CROSSFADE_AMQP_ASSEMBLY_H
#define CROSSFADE_AMQP_ASSEMBLY_H

#include "wire.h"

struct assembly {
	bool active;    /* deliver was seen */
	bool complete;  /* waits to be taken */
	uint8_t *deliver; /* copies of the two frames' payloads */
	uint32_t deliver_size;
	uint8_t *header;
	uint32_t header_size;
	uint8_t *body;
	uint64_t body_size; /* as announced */
	uint64_t body_len;
	uint64_t body_room;
};

/* METHOD is its basic.deliver. What is malformed or finds no memory fails the connection. */
void assembly_begin(struct assembly *assembly, struct wire *wire, const struct codec_frame *method);

/* A frame that follows. */
void assembly_feed(struct assembly *assembly, struct wire *wire, const struct codec_frame *frame);

/* Of a complete one. False: malformed, and the connection has failed. */
bool assembly_read(const struct assembly *assembly, struct wire *wire, struct codec_deliver *deliver,
                   struct codec_properties *properties);

void assembly_clear(struct assembly *assembly);

#endif
