/*
 * dedup.h - which messages were stored lately.
 *
 * Remembers at least the last WINDOW keys, and at most twice as many: two tables, of which the younger
 * fills; when it holds WINDOW keys the older is emptied and becomes the younger. So nothing is ever
 * removed one by one. A key is a 128-bit hash with a seed of the process's own.
 *
 * Threads: whoever has the broker's lock; dedup_key() and dedup_prefetch() any.
 */
#ifndef LOCAL_DEDUP_H
#define LOCAL_DEDUP_H

#include <stdbool.h>
#include <stdint.h>

struct dedup_key {
	uint64_t low, high; /* both 0: none */
};

struct dedup {
	struct dedup_key *tables[2]; /* younger, older */
	uint64_t mask;
	uint32_t window;
	uint32_t used; /* of the younger */
	uint64_t seed;
};

/* WINDOW 0: remembers nothing. False: no memory. */
bool dedup_init(struct dedup *dedup, uint32_t window);
void dedup_fini(struct dedup *dedup);

/* The key of an id on a subject. The subject is part of it, because a chain of routes may carry one
 * message through one broker under several subjects. */
struct dedup_key dedup_key(const struct dedup *dedup, const char *subject, uint64_t subject_len, const char *id,
                           uint64_t id_len);

/* Has the places of KEY near when they are asked for. */
void dedup_prefetch(const struct dedup *dedup, struct dedup_key key);

/* True: KEY was there. False: it is now. */
bool dedup_seen(struct dedup *dedup, struct dedup_key key);

#endif
