/*
 * broker.h - the embedded broker: what the endpoints of one transport share.
 *
 * A sink publishes messages; each lands in the queue of every subscription whose pattern it matches. A source takes
 * from the queue of its subscription, and settles. Sources of one group and pattern share a queue.
 *
 * A queue hands out in the order in which messages were accepted; what comes back (a retry that is due, what a
 * source left unsettled when it stopped) goes before all newer ones, in that order too.
 *
 * Bounds: messages_max places in queues (a message in two queues has two) and bytes_max bytes of segments.
 * When either is reached publishing takes no more, until something is settled.
 *
 * Threads: every function from any; one lock, held for a batch. wake() is called with it held, so that nobody is
 * woken after it has stopped.
 */
#ifndef LOCAL_BROKER_H
#define LOCAL_BROKER_H

#include <pthread.h>

#include "dedup.h"
#include "pattern.h"
#include "store.h"

#define BROKER_BATCH 128

/* A place in a queue, or one that a source holds. */
struct entry {
	struct record *record; /* NULL: settled, in a source's ring */
	uint32_t size;         /* of the payload */
	uint32_t attempts;     /* how often it was handed out */
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

/* A subscription. */
struct queue {
	struct queue *next;
	struct pattern pattern;
	char *group;
	struct ring fresh;
	struct returned *returned; /* from first up to count, in order where sorted */
	size_t returned_first, returned_count, returned_size;
	bool returned_sorted;
	uint64_t unsettled; /* handed out */
	unsigned members;
	bool used; /* a source of it was started */
};

struct broker {
	const struct xf_host *host;
	uint64_t born; /* wall clock; sets the ids that it makes apart from those of other runs */
	uint64_t messages_max;
	pthread_mutex_t lock;
	/* the rest is guarded by lock */
	struct store store;
	struct dedup dedup;
	struct queue *queues;
	unsigned queue_count;
	struct queue **matches; /* room for queue_count of them: of the message being admitted */
	struct producer *producers;
	struct member *members;
	uint64_t messages; /* places in queues, handed out ones included */
	uint64_t sequence;
	uint64_t published, delivered, settled, retried, rejected, duplicates, no_receiver;
};

/* A sink. Its fields belong to its thread but where said otherwise. */
struct producer {
	struct broker *broker;
	struct xf_endpoint *endpoint;
	struct producer *next; /* lock */
	bool running;          /* lock: may be woken */
	bool waiting;          /* lock: for room */
	struct segment *open;
	uint32_t room;  /* what is left of what the last producer_room() said */
	uint64_t needs; /* bytes that publishing lacked; 0: nothing */
	struct record *records[BROKER_BATCH];
	struct dedup_key keys[BROKER_BATCH];
	struct xf_result results[BROKER_BATCH];
};

/* A source. Likewise. */
struct member {
	struct broker *broker;
	struct queue *queue;
	struct xf_endpoint *endpoint;
	struct member *next; /* lock */
	bool running;        /* lock: may be woken */
	bool waiting;        /* lock: for messages */
	struct ring out;     /* what it was handed; a handle is a position */
};

/* NULL: no memory. */
struct broker *broker_create(const struct xf_host *host, uint64_t messages_max, uint64_t bytes_max,
                             uint32_t dedup_window);
void broker_destroy(struct broker **broker);
uint32_t broker_report(struct broker *broker, char *out, uint32_t size);

/* PRODUCER is zeroed storage of the caller's. */
void producer_init(struct producer *producer, struct broker *broker, struct xf_endpoint *endpoint);
void producer_fini(struct producer *producer);
void producer_start(struct producer *producer);
void producer_stop(struct producer *producer);

/* How many messages would be taken now. 0: wake() comes once there is room. */
uint32_t producer_room(struct producer *producer);

/* As publish() of a sink. Fewer than COUNT: wake() comes once there is room. */
uint32_t producer_publish(struct producer *producer, const struct xf_outgoing *messages, uint32_t stride,
                          uint32_t count);

/* MEMBER is zeroed storage. Subscribes: what is published from now on is kept for it. False: no memory. */
bool member_init(struct member *member, struct broker *broker, struct xf_endpoint *endpoint, struct xf_str group,
                 struct xf_str pattern);
void member_fini(struct member *member);
void member_start(struct member *member);

/* What is unsettled goes back to its queue. */
void member_stop(struct member *member);

/*
 * Takes up to COUNT (at most BROKER_BATCH) messages of up to BYTES of payload into member->out, from position
 * *at on, and returns how many. With ALONE the first may be larger. 0: there is nothing now; wake() comes once
 * there is, except for what is due in *due_in_ms (UINT32_MAX: nothing; 0: its size is in the way).
 */
uint32_t member_take(struct member *member, uint32_t count, uint64_t bytes, bool alone, uint64_t *at,
                     uint32_t *due_in_ms);

/* The last COUNT of those taken were not wanted after all; they go back as if they had never been out. */
void member_untake(struct member *member, uint32_t count);

void member_settle(struct member *member, const struct xf_settlement *settlements, uint32_t count);

static inline struct entry *
ring_at(const struct ring *ring, uint64_t position)
{
	return &ring->entries[position & (ring->size - 1)];
}

#endif
