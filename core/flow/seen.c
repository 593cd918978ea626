/*
 * A ring of ids in the order in which they came, and a table of where they stand in it by their hash: the newest takes the place
 * of the oldest. So nothing is ever looked for to be thrown away, and memory is fixed.
 */
#include "flow/seen.h"

#include <pthread.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/memory.h"

enum { FREE, UNDER_WAY, DONE, FORGOTTEN };

struct entry {
	uint64_t low, high;  /* the hash of its id */
	uint64_t at_ms : 62; /* when it was settled */
	uint64_t state : 2;
	uint32_t next; /* 1 + the entry behind it in its list; 0: none */
};

struct xf_seen {
	pthread_mutex_t lock;
	uint32_t count;
	uint64_t window_ms;
	struct entry *entries;
	uint32_t *lists; /* by hash: 1 + the first entry; 0: none */
	uint32_t turn;   /* the entry that is overwritten next */
};

struct xf_seen *
xf_seen_create(uint32_t count, uint64_t window_ms)
{
	struct xf_seen *seen = xf_alloc(sizeof(*seen));

	pthread_mutex_init(&seen->lock, NULL);
	seen->count = count;
	seen->window_ms = window_ms;
	seen->entries = xf_alloc_array(count, sizeof(*seen->entries));
	seen->lists = xf_alloc_array(count, sizeof(*seen->lists));
	return seen;
}

void
xf_seen_destroy(struct xf_seen **pointer)
{
	struct xf_seen *seen = *pointer;

	if (seen == NULL)
		return;
	*pointer = NULL;
	pthread_mutex_destroy(&seen->lock);
	free(seen->entries);
	free(seen->lists);
	free(seen);
}

static struct entry *
entry_find(struct xf_seen *seen, XXH128_hash_t hash)
{
	uint32_t at = seen->lists[hash.low64 % seen->count];

	while (at != 0) {
		struct entry *entry = &seen->entries[at - 1];

		if (entry->low == hash.low64 && entry->high == hash.high64)
			return entry;
		at = entry->next;
	}
	return NULL;
}

static void
entry_unlink(struct xf_seen *seen, const struct entry *entry)
{
	uint32_t number = 1 + (uint32_t)(entry - seen->entries), *at = &seen->lists[entry->low % seen->count];

	while (*at != number)
		at = &seen->entries[*at - 1].next;
	*at = entry->next;
}

static void
entry_add(struct xf_seen *seen, XXH128_hash_t hash)
{
	struct entry *entry = &seen->entries[seen->turn];
	uint32_t *list = &seen->lists[hash.low64 % seen->count];

	if (entry->state != FREE)
		entry_unlink(seen, entry);
	*entry = (struct entry){.low = hash.low64, .high = hash.high64, .state = UNDER_WAY, .next = *list};
	*list = ++seen->turn;
	seen->turn %= seen->count;
}

static bool
entry_holds(const struct xf_seen *seen, const struct entry *entry, uint64_t now_ms)
{
	if (entry->state == UNDER_WAY)
		return true;
	return entry->state == DONE && (seen->window_ms == 0 || now_ms < entry->at_ms + seen->window_ms);
}

enum xf_seen_verdict
xf_seen_enter(struct xf_seen *seen, struct xf_str id, uint64_t now_ms)
{
	XXH128_hash_t hash = XXH3_128bits(id.data, id.len);
	enum xf_seen_verdict verdict = XF_SEEN_NEW;
	struct entry *entry;

	pthread_mutex_lock(&seen->lock);
	entry = entry_find(seen, hash);
	if (entry != NULL && !entry_holds(seen, entry, now_ms)) {
		entry_unlink(seen, entry);
		entry->state = FREE;
		entry = NULL;
	}
	if (entry == NULL)
		entry_add(seen, hash);
	else
		verdict = entry->state == DONE ? XF_SEEN_DONE : XF_SEEN_UNDER_WAY;
	pthread_mutex_unlock(&seen->lock);
	return verdict;
}

void
xf_seen_leave(struct xf_seen *seen, struct xf_str id, bool done, uint64_t now_ms)
{
	XXH128_hash_t hash = XXH3_128bits(id.data, id.len);
	struct entry *entry;

	pthread_mutex_lock(&seen->lock);
	entry = entry_find(seen, hash);
	if (entry != NULL) {
		entry->state = done ? DONE : FORGOTTEN;
		entry->at_ms = now_ms & (UINT64_MAX >> 2);
	}
	pthread_mutex_unlock(&seen->lock);
}
