/*
 * acks.h - JetStream's ack subjects: what they tell of a delivery, and what is said to them.
 *
 * Threads: the endpoint's own.
 */
#ifndef NATS_ACKS_H
#define NATS_ACKS_H

#include "link.h"

struct delivery {
	uint64_t handle; /* of its slot */
	uint64_t delivered, stream_sequence, pending;
	int64_t time_ns;
	struct xf_str stream;
};

/*
 * Reads $JS.ACK.STREAM.CONSUMER.DELIVERED.STREAM-SEQ.CONSUMER-SEQ.TIME.PENDING, or with a domain and an account
 * before the stream and a token after the end. False: REPLY is none. The handle is the caller's.
 */
bool delivery_read(struct xf_str reply, struct delivery *delivery);

/* Says OUTCOME (XF_SETTLE_*) of the delivery that REPLY stands for. */
void ack_send(struct link *link, struct xf_str reply, uint32_t outcome, uint32_t delay_ms);

#endif
