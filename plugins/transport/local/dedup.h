/*
 * dedup.h - which messages were stored lately.
 *
 * Remembers at least the last WINDOW keys, and at most twice as many: two tables, of which the younger
 * fills; when it holds WINDOW keys the older is emptied and becomes the younger. So nothing is ever
 * removed one by one. A key is a 128-bit hash with a seed of the process's own; one half is stored, the other is the
 * place where it is. That two messages pass for one by chance is less likely than one in 10^18.
 *
 * Threads: whoever has the broker's lock; dedup_key() and dedup_prefetch() any.
 */
#ifndef LOCAL_DEDUP_H
#define LOCAL_DEDUP_H

#include <stdbool.h>
#include <crossfade/plugin.h>

struct dedup_key {
	uint64_t mark; /* 0: no key */
	uint64_t place;
};

struct dedup {
	uint64_t *tables[2]; /* marks; younger, older */
	uint64_t *both[2];   /* the same, in an order that stays: for dedup_prefetch() */
	uint64_t mask;
	uint32_t window;
	uint32_t used; /* of the younger */
	uint64_t seed;
};

/* WINDOW 0: remembers nothing. False: no memory. Keys that outlive the process are only right with its `seed`. */
bool dedup_init(struct dedup *dedup, uint32_t window);
void dedup_fini(struct dedup *dedup);

/* The key of an id on a subject. The subject is part of it, because a chain of routes may carry one
 * message through one broker under several subjects. */
struct dedup_key dedup_key(const struct dedup *dedup, struct xf_str subject, struct xf_str id);

/* Has the places of KEY near when they are asked for. */
void dedup_prefetch(const struct dedup *dedup, struct dedup_key key);

/* True: KEY was there. False: it is now. */
bool dedup_seen(struct dedup *dedup, struct dedup_key key);

/* KEY was not stored after all. */
void dedup_forget(struct dedup *dedup, struct dedup_key key);

#endif
