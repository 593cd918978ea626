/*
 * ledger.h - what was sent, acknowledged and received: what the endpoints of one transport share.
 *
 * A producer is a numbered stream of messages 0, 1, 2 ...; message N has the key N mod `keys`, and is the
 * (N / keys)-th of it. So a number tells all that the checker must know. A producer outlives the source that
 * speaks for it: a source that comes later goes on where it was left, and sends again what was not settled.
 *
 * A side is where messages arrive. Per producer and side the ledger keeps a bit for every message, and for each copy that
 * a mirror made, and the last message of each key. Chunks of 65,536 messages that are settled and arrived
 * are forgotten once 4 newer ones are; beyond `track` messages the oldest chunk is forgotten in any case, and what
 * is missing of it counts as lost for good.
 *
 * Threads: a lock per producer (held by its source for a batch of settlements) and per side (by its sinks for a
 * batch of messages). Report and forgetting take all: the ledger's, then the producers', then the sides' in order.
 * `sent` and the last of each key are read without a lock.
 */
#ifndef PROBE_LEDGER_H
#define PROBE_LEDGER_H

#include <pthread.h>
#include <stdatomic.h>

#include <crossfade/transport.h>

#include "bits.h"

#define PRODUCERS_MAX 16
#define SIDES_MAX 8
#define LATENCY_BITS 5
#define LATENCY_STEPS (1u << LATENCY_BITS) /* buckets for every power of two: 3 % */
#define LATENCY_BUCKETS (64 * LATENCY_STEPS)

/* What a payload begins with; little-endian. A filler follows. */
struct stamp {
	uint64_t checksum; /* XXH3_64 of all that follows, filler included */
	uint32_t magic;
	uint32_t producer;
	uint64_t run; /* the ledger's; messages of another run are unexpected */
	uint64_t number;
	uint32_t key;
	uint32_t of_key; /* the how many-th of its key, from 0 */
	uint64_t sent_ns; /* monotonic */
};

#define STAMP_MAGIC 0x31627270u /* "prb1" */

struct producer {
	uint32_t number;
	uint32_t keys;
	uint64_t count; /* 0: endless; ledger's lock */
	bool running;   /* a source speaks for it; ledger's lock */
	_Atomic bool ended; /* its time is over */
	_Atomic uint64_t first_ns; /* when the first message was sent; 0: none was */
	_Atomic uint64_t sent;
	_Atomic uint64_t rate; /* messages in the last second */
	pthread_mutex_t lock;
	/* guarded by lock */
	struct bits acked;
	struct bits rejected;
	uint64_t acked_count, rejected_count, retried_count;
	uint64_t forgotten;       /* chunks */
	uint64_t forgotten_lost;  /* messages of them that were acknowledged and never came */
	uint64_t forgotten_both;  /* that came on more than one side */
};

/* What a side has of a producer. */
struct arrivals {
	struct bits messages;
	struct bits copies;
	uint64_t newest; /* the highest number */
	_Atomic uint32_t *last; /* by key: 1 + of_key of the newest; 0: none */
};

struct side {
	char name[32];
	pthread_mutex_t lock;
	/* guarded by lock */
	struct arrivals arrivals[PRODUCERS_MAX];
	uint64_t received, copies, duplicates, copy_duplicates, reordered, reordered_across, corrupted, unexpected, renamed;
	uint64_t duplicate_distance; /* the most messages that came between one and its duplicate, if all came in order */
	uint64_t latency[LATENCY_BUCKETS];
	uint64_t latency_max, latency_sum;
	uint64_t last_ns; /* when the last message came */
};

struct ledger {
	const struct xf_host *host;
	uint64_t run;
	uint64_t track;
	_Atomic(struct producer *) producers[PRODUCERS_MAX]; /* set once */
	_Atomic(struct side *) sides[SIDES_MAX];             /* filled from the front, set once */
	pthread_mutex_t lock;                                /* of adding to either */
};

struct ledger *ledger_create(const struct xf_host *host, uint64_t track, struct xf_error *error);
void ledger_destroy(struct ledger **ledger);
uint32_t ledger_report(struct ledger *ledger, char *out, uint32_t size);

/* The producer of a number, taken for one source; NULL with a reason: it is taken, or has other keys. */
struct producer *ledger_take_producer(struct ledger *ledger, uint32_t number, uint32_t keys, uint64_t count,
                                      struct xf_error *error);
void ledger_give_producer(struct ledger *ledger, struct producer *producer);

/* The side of a name. NULL: too many, or no memory. */
struct side *ledger_side(struct ledger *ledger, struct xf_str name);

/* Called by a source now and then: forgets what is complete. */
void ledger_forget(struct ledger *ledger, struct producer *producer);

/* Where a latency is counted: to the microsecond below twice LATENCY_STEPS. */
unsigned latency_bucket(uint64_t us);

uint64_t ledger_now_ns(void);

#endif
