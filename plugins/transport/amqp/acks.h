/*
 * acks.h - what a source has not acknowledged yet, and how it is told to the broker.
 *
 * Every delivery that is unacknowledged has a slot. Slots in use form a list in order of delivery tag.
 * What is settled at the head of the list goes with one basic.ack `multiple`; what is settled behind
 * a message that takes longer is acknowledged one by one, once it has waited a while or holds much of
 * the prefetch. There are as many slots as prefetch, and the broker never has more out. A handle is a
 * slot with a number that changes with each use; a settlement for a channel that is gone finds its
 * slot empty and is ignored. While others are still out, acks gather for a millisecond: each one sent
 * costs a system call here and a wake-up there.
 *
 * What was replied to is acknowledged once its reply is confirmed, too (replies.h).
 *
 * RETRY waits here for its delay, then the message is put back into the queue. REJECT is acknowledged:
 * the core keeps such messages itself. EXTEND is nothing: the broker waits (for its consumer_timeout).
 *
 * Threads: the source's own.
 */
#ifndef CROSSFADE_AMQP_ACKS_H
#define CROSSFADE_AMQP_ACKS_H

#include "codec.h"

#include <crossfade/transport.h>

struct acks_slot;

struct acks {
	struct acks_slot *slots;
	uint32_t size; /* the prefetch */
	uint32_t made; /* of them, were in use */
	uint32_t free;
	uint32_t head, tail;
	uint32_t used;    /* in the list */
	uint32_t settled; /* of them, to be acknowledged */
	uint32_t held;    /* and to be put back later */
	uint64_t due_ms;  /* of the next held one, about */
	uint64_t gap_since_ms;
	uint64_t acked_ms; /* when acks were last written */
	uint32_t generation;
};

/* False where there is no memory. */
bool acks_init(struct acks *acks, uint32_t size);
void acks_fini(struct acks *acks);

/* The channel is gone, and with it everything that was out. */
void acks_clear(struct acks *acks);

/* The handle of the delivery TAG, never 0; 0 where the broker exceeds its prefetch. */
uint64_t acks_take(struct acks *acks, uint64_t tag);

/* The last one taken was not emitted after all. */
void acks_untake(struct acks *acks);

/* A reply to HANDLE is under way: an ACK waits until acks_replied(). False: its channel is gone, or it is settled. */
bool acks_await(struct acks *acks, uint64_t handle);

/* The reply is with the broker, or cannot be: then the message is to be put back instead of acknowledged. */
void acks_replied(struct acks *acks, uint64_t handle, bool sent, uint64_t now);

/* What an outcome means is kept; nothing is written. */
void acks_settle(struct acks *acks, const struct xf_settlement *settlement, uint64_t now);

/* Writes the acks that are due, and puts back what has waited for its delay. */
void acks_write(struct acks *acks, struct codec_buffer *out, uint16_t channel, uint64_t now);

/* All that is settled or waits, without any delay: the last words of the channel. */
void acks_write_all(struct acks *acks, struct codec_buffer *out, uint16_t channel);

/* When acks_write() has something to do. */
uint64_t acks_due(const struct acks *acks, uint64_t now);

#endif
