/*
 * kept.h - the messages of a list that are under way, each with its payload, which is what it is removed by.
 *
 * Threads: [io] of its source, but for kept_drop(), which may be called on any.
 */
#ifndef REDIS_KEPT_H
#define REDIS_KEPT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A payload, shared by the slot and the core. */
struct kept {
	atomic_uint holds;
	uint32_t hash;
	size_t size;
	char data[];
};

enum slot_state {
	SLOT_FREE,
	SLOT_OUT,   /* emitted, not settled */
	SLOT_AGAIN, /* settled with RETRY: offered again at again_at */
	SLOT_DONE,  /* settled; LREM is not known to have been done */
};

struct slot {
	struct kept *kept;
	uint64_t again_at;
	uint32_t turn; /* part of the handle, so that an old one is told from a new one */
	uint32_t next; /* free list */
	enum slot_state state;
	bool seen; /* in the history */
};

struct slots {
	struct slot *at;
	uint32_t count;
	uint32_t free_first;
	uint32_t out; /* how many are in that state */
	uint32_t again;
	uint32_t done;
};

/* A copy, held once. NULL: no memory. */
struct kept *kept_create(const char *data, size_t size);

static inline void
kept_hold(struct kept *kept)
{
	atomic_fetch_add_explicit(&kept->holds, 1, memory_order_relaxed);
}

/* CONTEXT is a struct kept: the shape of xf_incoming.release. */
void kept_drop(void *context);

/* Enough to tell most apart; equality decides. */
uint32_t kept_hash(const char *data, size_t size);

#define NO_SLOT UINT32_MAX

void slots_init(struct slots *slots);
void slots_fini(struct slots *slots);

/* A slot that is OUT, with KEPT, which it takes. NO_SLOT: no memory, and KEPT is the caller's. */
uint32_t slot_take(struct slots *slots, struct kept *kept);

/* It was DONE. */
void slot_free(struct slots *slots, uint32_t i);

#endif
