/*
 * redelivery.h - dead letters on their way through their route once more: which ones are asked for, and which have arrived and leave
 * the store. Until then the store has them, so nothing here need outlive a crash.
 *
 * Threads: add from any; the rest is the inlet's.
 */
#ifndef XF_FLOW_REDELIVERY_H
#define XF_FLOW_REDELIVERY_H

#include <pthread.h>
#include <stdatomic.h>

#include "dead/letters.h"
#include "flow/way.h"

struct xf_redelivery {
	struct xf_letters *letters;
	const char *name; /* of the inlet, for the log */
	uint64_t *arrived;
	size_t arrived_count, arrived_size;
	pthread_mutex_t lock; /* guards all below */
	uint64_t *wanted;
	size_t first, count;
	_Atomic bool any;
};

void xf_redelivery_init(struct xf_redelivery *redelivery, struct xf_letters *letters, const char *name);
void xf_redelivery_fini(struct xf_redelivery *redelivery);

/* [any] What is wanted already is wanted once. */
void xf_redelivery_add(struct xf_redelivery *redelivery, const uint64_t *numbers, size_t count);

/* [any] What FROM has not come to is TO's. */
void xf_redelivery_move(struct xf_redelivery *to, struct xf_redelivery *from);

/* The next one that is wanted; false: there is none. */
bool xf_redelivery_next(struct xf_redelivery *redelivery, uint64_t *number);
/* What became of a letter: one of the first two, or none where it is there no more, or a reason. */
struct xf_redelivered {
	struct xf_delivery *delivery; /* it goes to the sinks: one of them had refused it, or there are no handlers */
	struct xf_job *job;           /* it is to enter the chain */
	char *reason;                 /* why it can go nowhere; on the heap */
	char *sink;                   /* with that: whose it was; on the heap */
};

/* That letter, made by WAY, or a job of CHAIN. Blocks on the disk. */
struct xf_redelivered xf_redelivery_make(struct xf_redelivery *redelivery, uint64_t number, struct xf_way *way,
                                         struct xf_chain *chain);
/* It stands where it had to go. */
void xf_redelivery_arrived(struct xf_redelivery *redelivery, uint64_t number);
/* What has arrived leaves the store; where that fails it stays, and may be delivered again. Blocks on the disk where there is some. */
void xf_redelivery_flush(struct xf_redelivery *redelivery);

#endif
