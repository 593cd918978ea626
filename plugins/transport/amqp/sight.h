/*
 * sight.h - looks at queues from time to time: how much waits in them, and how many consume.
 *
 * About every two seconds each queue is asked for by a passive queue.declare, on a channel of its own: one that is
 * missing closes its channel, and must not take publishing or consuming along. A round is over when the broker has
 * answered for every queue; its sums are then there for the owner to report.
 *
 * Threads: the endpoint's own.
 */
#ifndef CROSSFADE_AMQP_SIGHT_H
#define CROSSFADE_AMQP_SIGHT_H

#include "wire.h"

#define SIGHT_QUEUES 32u

struct sight {
	struct wire *wire;
	char names[SIGHT_QUEUES][CODEC_SHORT_MAX + 1];
	uint32_t count;
	uint32_t oldest; /* makes way for the next name where all places are taken */

	bool open;         /* the channel: its opening was sent */
	uint32_t asked;    /* queues of this round; 0: none is under way */
	uint32_t answered; /* of them, in order */
	uint64_t due_ms;   /* the next round */

	/* Of the last round. */
	uint32_t found; /* queues that are there */
	uint64_t messages;
	uint64_t consumers;
};

void sight_init(struct sight *sight, struct wire *wire);

/* A new connection: looks at once. */
void sight_reset(struct sight *sight, uint64_t now);

/* A queue to look at; of more than SIGHT_QUEUES the latest. Not kept while a round is under way. */
void sight_note(struct sight *sight, struct xf_str name);

/* The one queue to look at. */
void sight_only(struct sight *sight, struct xf_str name);

/* The next round begins by AT. */
void sight_hurry(struct sight *sight, uint64_t at);

/* Begins a round where it is time. Returns when to be called again. */
uint64_t sight_tick(struct sight *sight, uint64_t now);

/* A frame of WIRE_CHANNEL_SIGHT. True: a round is over. */
bool sight_frame(struct sight *sight, const struct codec_frame *frame);

#endif
