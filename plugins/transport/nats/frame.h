/*
 * frame.h - a message with headers, as a NATS server reads it.
 *
 * Threads: the link's.
 */
#ifndef NATS_FRAME_H
#define NATS_FRAME_H

#include "link.h"

struct frame {
	struct xf_str subject;
	struct xf_str reply; /* the protocol's own; empty: none */
	/* Headers; each is left out where it is empty. */
	struct xf_str dedup_id;     /* Nats-Msg-Id */
	struct xf_str content_type; /* Content-Type */
	struct xf_str stored_reply; /* Crossfade-Reply */
	struct xf_str id;           /* Crossfade-Id */
	const struct xf_header *headers; /* those of NATS itself are passed over */
	uint32_t header_count;
	const void *payload;
	uint64_t payload_size;
};

/* Of headers and payload, which the server bounds. */
uint64_t frame_size(const struct frame *frame);

void frame_write(struct link *link, const struct frame *frame);

/* Reads the header lines of BLOCK into IN: those that are fields of a message become that, the others go to HEADERS, at most MAX. */
void frame_read_headers(struct xf_str block, struct xf_incoming *in, struct xf_header *headers, uint32_t max);

/* Subjects that steer the server, by their beginning; NULL: it is none of those. A message must not reach them because of what it says. */
const char *frame_reserved(struct xf_str subject);

#endif
