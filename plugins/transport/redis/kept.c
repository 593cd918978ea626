/*
 * A payload is copied once, for the core and for the command that removes it: whoever needs it longer frees it.
 */
#include "kept.h"

#include <stdlib.h>
#include <string.h>

uint32_t
kept_hash(const char *data, size_t size)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < size; i += 1 + size / 256)
		hash = (hash ^ (unsigned char)data[i]) * 16777619u;
	return hash ^ (uint32_t)size;
}

struct kept *
kept_create(const char *data, size_t size)
{
	struct kept *kept = malloc(sizeof(*kept) + size);

	if (kept == NULL)
		return NULL;
	atomic_init(&kept->holds, 1);
	kept->size = size;
	kept->hash = kept_hash(data, size);
	if (size > 0)
		memcpy(kept->data, data, size);
	return kept;
}

void
kept_drop(void *context)
{
	struct kept *kept = context;

	if (atomic_fetch_sub_explicit(&kept->holds, 1, memory_order_acq_rel) == 1)
		free(kept);
}

void
slots_init(struct slots *slots)
{
	*slots = (struct slots){.free_first = NO_SLOT};
}

void
slots_fini(struct slots *slots)
{
	for (uint32_t i = 0; i < slots->count; i++)
		if (slots->at[i].kept != NULL)
			kept_drop(slots->at[i].kept);
	free(slots->at);
	slots->at = NULL;
	slots->count = 0;
}

static bool
slots_grow(struct slots *slots)
{
	uint32_t count = slots->count > 0 ? slots->count * 2 : 256;
	struct slot *at = realloc(slots->at, count * sizeof(*at));

	if (at == NULL)
		return false;
	for (uint32_t i = slots->count; i < count; i++)
		at[i] = (struct slot){.next = i + 1 < count ? i + 1 : NO_SLOT};
	slots->free_first = slots->count;
	slots->at = at;
	slots->count = count;
	return true;
}

uint32_t
slot_take(struct slots *slots, struct kept *kept)
{
	struct slot *slot;
	uint32_t i;

	if (slots->free_first == NO_SLOT && !slots_grow(slots))
		return NO_SLOT;
	i = slots->free_first;
	slot = &slots->at[i];
	slots->free_first = slot->next;
	slot->kept = kept;
	slot->state = SLOT_OUT;
	slot->seen = true;
	slots->out++;
	return i;
}

void
slot_free(struct slots *slots, uint32_t i)
{
	struct slot *slot = &slots->at[i];

	kept_drop(slot->kept);
	slot->kept = NULL;
	slot->state = SLOT_FREE;
	slot->next = slots->free_first;
	slots->free_first = i;
	slots->done--;
}

