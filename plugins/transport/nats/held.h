/*
 * held.h - messages that came beyond the credit, copied, in order.
 *
 * Each has its slot already.
 *
 * Threads: the endpoint's own.
 */
#ifndef NATS_HELD_H
#define NATS_HELD_H

#include "link.h"

struct held_message {
	struct held_message *next;
	uint64_t handle; /* of its slot */
	struct link_message message;
	char bytes[];
};

struct held {
	struct held_message *first, **end;
	uint32_t count;
	int64_t bytes;    /* of their payloads */
	uint64_t said_ms; /* when the server was last told of them */
};

void held_init(struct held *held);

/* Frees all. */
void held_clear(struct held *held);

void held_add(struct held *held, const struct link_message *message, uint64_t handle, uint64_t now);

/* The first one, to be freed; there is one. */
struct held_message *held_take(struct held *held);

/* Tells the server in time that they are not forgotten. Returns the milliseconds until it has to be told again. */
uint32_t held_extend(struct held *held, struct link *link, uint64_t ack_wait_ms, uint64_t now);

#endif
