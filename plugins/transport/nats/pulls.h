/*
 * pulls.h - the requests for messages that a source has out at its consumer.
 *
 * A few are out at a time, each with an inbox (a subscription) of its own, so that the server always has somebody to
 * send to; together they never ask for more than the core gives credit for. A request ends when all of it came, or the
 * server says so, or its time is over.
 *
 * Threads: the endpoint's own.
 */
#ifndef NATS_PULLS_H
#define NATS_PULLS_H

#include "link.h"

#define PULLS 4u

struct pull {
	uint32_t remaining; /* 0: free */
	bool answered;      /* a message came */
	int64_t bytes;      /* of what it may still bring */
	uint64_t deadline_ms;
};

struct pulls {
	struct pull list[PULLS];
	uint32_t requested;      /* sum of what remains */
	int64_t requested_bytes;
	bool one_large;          /* the next message exceeds what we allowed: ask for it alone */
	uint64_t at_ms;          /* not before */
};

/* What a source could take now. */
struct pulls_want {
	const char *stream, *durable;
	uint32_t messages;
	int64_t bytes;
	uint32_t max_in_flight;
};

/* Begins and ends the subscriptions that answers come to. */
void pulls_subscribe(struct link *link);
void pulls_unsubscribe(struct link *link);

/* Nothing is out any more. */
void pulls_clear(struct pulls *pulls);

/* Ends those whose time is over: the server's own word for it may have been lost. True: one had no answer at all, as if
 * nobody had heard it; see what is there now. */
bool pulls_expire(struct pulls *pulls, uint64_t now);

/* Asks for what is wanted and not asked for yet, in large bites where possible. */
void pulls_send(struct pulls *pulls, struct link *link, const struct pulls_want *want, uint64_t now);

/* MESSAGE came to the subscription of a pull. */
void pulls_received(struct pulls *pulls, const struct link_message *message);

/* A word of the server about a request. True: the consumer is gone or moved, see what is there now. */
bool pulls_status(struct pulls *pulls, const struct link_message *message, uint64_t now);

#endif
