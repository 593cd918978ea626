/*
 * store.h - what caches keep in memory, within a bound of bytes: what was not used for longest leaves first.
 *
 * A store has a name, and all caches of the process that name it share it; it goes with the last of them.
 *
 * Threads: any.
 */
#ifndef CACHE_STORE_H
#define CACHE_STORE_H

#include "recent.h"

struct store;

struct store_entry {
	struct recent_entry entry; /* the store's */
	uint64_t kept_ms, expires_ms;
	uint64_t hits;
	uint32_t holds; /* by the store and by readers */
	size_t len;
	char data[];
};

struct store_sum {
	uint64_t entries, bytes, evicted;
};

/* The bound of whoever comes last holds. */
struct store *store_open(struct xf_str name, uint64_t bytes_max);
void store_close(struct store **store);

/* A hold on what is kept under KEY, which store_drop() gives back; NULL: nothing. */
struct store_entry *store_find(struct store *store, struct xf_str key, uint64_t now_ms);
void store_drop(struct store *store, struct store_entry **entry);

/* In place of what is there. What alone is larger than the bound is not kept. */
void store_put(struct store *store, struct xf_str key, struct xf_str data, uint64_t ttl_ms, uint64_t now_ms);

/* Calls SHOW for each entry whose key PATTERN matches (fnmatch(3)), newest first, until it returns false; it must not call the store. */
void store_each(struct store *store, const char *pattern, uint64_t now_ms,
                bool (*show)(const struct store_entry *entry, void *context), void *context);

/* Returns how many. */
uint64_t store_remove(struct store *store, const char *pattern);

struct store_sum store_sum(struct store *store);

#endif
