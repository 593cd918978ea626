/*
 * declare.h - the queues that a sink creates for its subjects, each before its first message.
 *
 * On the default exchange a subject names a queue. Those that were declared on this connection are remembered; past
 * a bound all are forgotten and declared anew. Declaring has a channel of its own, since one that is
 * refused closes its channel, and what comes behind it is asked for again.
 *
 * A queue that may not be declared by this user can still be published to: the broker will say whether it is there.
 * One that is there in another form is not published to for a while, then asked for again.
 *
 * Threads: the endpoint's own.
 */
#ifndef CROSSFADE_AMQP_DECLARE_H
#define CROSSFADE_AMQP_DECLARE_H

#include "topology.h"
#include "wire.h"

#define DECLARE_AT_ONCE 256u

/* A queue that was declared. */
struct declared {
	char *name;
	char *mismatch; /* why it must not be used; NULL: it is good */
	uint64_t until_ms; /* with mismatch */
};

struct declare {
	struct wire *wire;
	const struct topology *topology;

	struct declared *known; /* open addressing */
	uint32_t known_size;
	uint32_t known_count;

	char *waiting[DECLARE_AT_ONCE]; /* under way, in order */
	uint32_t waiting_count;
	uint64_t due_ms; /* an answer, where some are under way */
	bool open;       /* the channel: its opening was sent */

	char forbidden[WIRE_REASON_MAX]; /* the last refusal to let this user declare; "" for none */
};

void declare_init(struct declare *declare, struct wire *wire, const struct topology *topology);

/* The connection is gone: nothing is known or under way any more. */
void declare_reset(struct declare *declare);

/* What is known is no longer so: a queue was deleted. */
void declare_forget(struct declare *declare);

/* The queue NAME, or NULL where it is to be declared (again). Valid until anything else is called. */
const struct declared *declare_find(const struct declare *declare, struct xf_str name, uint64_t now);

/* Asks for the queue NAME, unless that is under way. */
void declare_begin(struct declare *declare, struct xf_str name);

/* A frame of WIRE_CHANNEL_DECLARE. */
void declare_frame(struct declare *declare, const struct codec_frame *frame);

#endif
