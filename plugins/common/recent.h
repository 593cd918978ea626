/*
 * recent.h - things found by a key, in the order in which they were last used: what of a bounded memory leaves first stands at its end.
 *
 * An entry is the first member of the caller's structure, and its memory is the caller's; the key is the table's.
 *
 * Threads: the caller's lock.
 */
#ifndef PLUGINS_RECENT_H
#define PLUGINS_RECENT_H

#include "bytes.h"

struct recent_entry {
	struct recent_entry *next; /* of its bucket */
	struct recent_entry *newer, *older;
	uint64_t hash;
	struct xf_str key;
};

/* Zeroed at first. */
struct recent {
	struct recent_entry **buckets;
	size_t bucket_count;
	size_t count;
	struct recent_entry *newest, *oldest;
};

/* Entries that are in it are the caller's to free first. */
void recent_fini(struct recent *recent);

/* NULL: there is none. */
struct recent_entry *recent_find(const struct recent *recent, struct xf_str key);

/* ENTRY becomes the newest; no other has the KEY, which is copied. */
void recent_add(struct recent *recent, struct recent_entry *entry, struct xf_str key);

/* It becomes the newest. */
void recent_use(struct recent *recent, struct recent_entry *entry);

void recent_remove(struct recent *recent, struct recent_entry *entry);

#endif
