/*
 * Two tables: ids come into the young one; when that is full it becomes the old one, and the old one is forgotten. So nothing
 * is ever looked for to be thrown away, and memory is fixed.
 */
#include "flow/seen.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/memory.h"

#define SLOTS (2 * XF_SEEN_IDS) /* open addressing, at most half full */

enum { FREE, UNDER_WAY, DONE, FORGOTTEN };

struct slot {
	uint64_t low, high;
	uint8_t state;
};

struct table {
	struct slot *slots;
	uint32_t used; /* forgotten ones too */
};

struct xf_seen {
	pthread_mutex_t lock;
	struct table young, old;
};

struct xf_seen *
xf_seen_create(void)
{
	struct xf_seen *seen = xf_alloc(sizeof(*seen));

	pthread_mutex_init(&seen->lock, NULL);
	seen->young.slots = xf_alloc_array(SLOTS, sizeof(struct slot));
	seen->old.slots = xf_alloc_array(SLOTS, sizeof(struct slot));
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
	free(seen->young.slots);
	free(seen->old.slots);
	free(seen);
}

/* The slot of the hash, or the free one where it would stand. */
static struct slot *
slot_find(const struct table *table, XXH128_hash_t hash)
{
	uint64_t at = hash.low64 % SLOTS;

	while (table->slots[at].state != FREE && (table->slots[at].low != hash.low64 || table->slots[at].high != hash.high64))
		at = (at + 1) % SLOTS;
	return &table->slots[at];
}

static struct slot *
slot_known(struct xf_seen *seen, XXH128_hash_t hash)
{
	struct slot *slot = slot_find(&seen->young, hash);

	if (slot->state == FREE)
		slot = slot_find(&seen->old, hash);
	return slot->state == FREE ? NULL : slot;
}

static void
slot_add(struct xf_seen *seen, XXH128_hash_t hash)
{
	if (seen->young.used == XF_SEEN_IDS) {
		struct table old = seen->old;

		seen->old = seen->young;
		memset(old.slots, 0, SLOTS * sizeof(struct slot));
		seen->young = (struct table){old.slots, 0};
	}
	*slot_find(&seen->young, hash) = (struct slot){hash.low64, hash.high64, UNDER_WAY};
	seen->young.used++;
}

enum xf_seen_verdict
xf_seen_enter(struct xf_seen *seen, struct xf_str id)
{
	XXH128_hash_t hash = XXH3_128bits(id.data, id.len);
	enum xf_seen_verdict verdict = XF_SEEN_NEW;
	struct slot *slot;

	pthread_mutex_lock(&seen->lock);
	slot = slot_known(seen, hash);
	if (slot == NULL)
		slot_add(seen, hash);
	else if (slot->state == FORGOTTEN)
		slot->state = UNDER_WAY;
	else
		verdict = slot->state == DONE ? XF_SEEN_DONE : XF_SEEN_UNDER_WAY;
	pthread_mutex_unlock(&seen->lock);
	return verdict;
}

void
xf_seen_leave(struct xf_seen *seen, struct xf_str id, bool done)
{
	XXH128_hash_t hash = XXH3_128bits(id.data, id.len);
	struct slot *slot;

	pthread_mutex_lock(&seen->lock);
	slot = slot_known(seen, hash);
	if (slot != NULL)
		slot->state = done ? DONE : FORGOTTEN;
	pthread_mutex_unlock(&seen->lock);
}
