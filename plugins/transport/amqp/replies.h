/*
 * replies.h - the replies that a source publishes, and what the broker says of them.
 *
 * They go to the default exchange, each to the queue that its request names in reply_to, with the request's correlation_id (or its
 * message_id, where that has none), on a channel of their own with confirms. A request is acknowledged once its reply is confirmed
 * (acks.h), so it comes again if that gets lost. One to a queue that is gone comes back, and is dropped: nobody waits for it. A direct
 * reply-to (amq.rabbitmq.reply-to.*) is no queue, and would come back always; so it is not mandatory.
 *
 * Threads: the endpoint's own.
 */
#ifndef CROSSFADE_AMQP_REPLIES_H
#define CROSSFADE_AMQP_REPLIES_H

#include "acks.h"
#include "wire.h"

struct reply_out;

struct replies {
	struct wire *wire;
	struct acks *acks;
	bool open; /* the channel: its opening was sent */
	struct reply_out *out; /* a ring: tags low .. next-1 are out; size is a power of two */
	uint32_t size;
	uint64_t low, next;
	uint64_t clock_from_ms; /* confirms are due from then on */
	bool told_dropped, told_refused;
};

void replies_init(struct replies *replies, struct wire *wire, struct acks *acks);
void replies_fini(struct replies *replies);

/* The connection is gone. */
void replies_reset(struct replies *replies);

/* Publishes REPLY, unless nobody asked, or on a channel that is gone. */
void replies_publish(struct replies *replies, const struct xf_reply *reply, uint64_t now);

/* A frame of WIRE_CHANNEL_REPLY. */
void replies_frame(struct replies *replies, const struct codec_frame *frame);

static inline bool
replies_waiting(const struct replies *replies)
{
	return replies->low < replies->next;
}

/* When the connection is given up for want of a confirm. READING: false where confirms may lie unread. */
uint64_t replies_due(struct replies *replies, uint64_t now, bool reading);

#endif
