/*
 * queue.h - what waits for one subscription.
 *
 * New messages lie in a ring, in the order in which they were accepted. What came back (a retry that is due, what a
 * source left unsettled) goes before all that is newer, in that order too.
 *
 * Threads: whoever has the broker's lock.
 */
#ifndef LOCAL_QUEUE_H
#define LOCAL_QUEUE_H

#include <stddef.h>

#include "store.h"

/* A place in a queue, or one that a source holds. */
struct entry {
	struct record *record; /* NULL: settled, in a source's ring */
	uint32_t size;         /* of the payload */
	uint32_t attempts : 31; /* how often it was handed out */
	uint32_t mortal : 1;   /* it may be too old; the record says when */
};

/* A growing ring; positions only rise. */
struct ring {
	struct entry *entries;
	uint64_t size; /* 0 or a power of two */
	uint64_t head;
	uint64_t tail;
};

/* An entry that came back. */
struct returned {
	struct entry entry;
	uint64_t due_ms; /* 0: at once */
	uint64_t sequence;
};

struct member;

/* A subscription. */
struct queue {
	struct queue *next;
	struct queue *previous;
	struct xf_str pattern; /* owned, terminated */
	char *group;
	struct ring fresh;
	struct returned *returned; /* from first up to count, in order where sorted */
	size_t returned_first, returned_count, returned_size;
	bool returned_sorted;
	uint64_t unsettled; /* handed out */
	struct member *members;
	unsigned member_count;
	uint64_t overdue_ms; /* when the first of what its members hold is to be offered to others; UINT64_MAX: never */
	bool used;           /* a source of it was started */

	struct queue *next_touched; /* of those that the present batch put something into */
	bool touched;

	uint64_t id;   /* in the journal */
	bool durable;  /* remembered there while nobody is subscribed and nothing is left */
	unsigned pins; /* messages on their way to the disk that are for it */
};

/* NULL: no memory. */
struct queue *queue_create(struct xf_str group, struct xf_str pattern);

/* It is empty. */
void queue_destroy(struct queue *queue);

/* Room for COUNT more new ones; for as many that come back. False: no memory. */
bool ring_reserve(struct ring *ring, uint64_t count);
bool queue_return_reserve(struct queue *queue, uint64_t count);

/* Room was reserved. */
void ring_push(struct ring *ring, struct entry entry);
void queue_return(struct queue *queue, struct entry entry, uint64_t due_ms);

/* A backlog that is gone gives its memory back. */
void ring_relax(struct ring *ring);

/* What waits, due or not. */
uint64_t queue_pending(const struct queue *queue);

/* The next that may be handed out, or NULL; then queue_shift() takes it out. */
struct entry *queue_peek(struct queue *queue, uint64_t now_ms);
void queue_shift(struct queue *queue, uint64_t now_ms);

/* Until the first of those that came back is due; UINT32_MAX: there is none. */
uint32_t queue_due_in(struct queue *queue, uint64_t now_ms);

static inline struct entry *
ring_at(const struct ring *ring, uint64_t position)
{
	return &ring->entries[position & (ring->size - 1)];
}

#endif
