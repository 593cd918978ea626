/*
 * slots.c - an array that grows, with its free places in a list; see slots.h.
 */
#include "slots.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "settings.h"

#define NO_SLOT UINT32_MAX

void
slots_init(struct slots *slots)
{
	*slots = (struct slots){.free = NO_SLOT};
}

void
slots_fini(struct slots *slots)
{
	slots_void(slots);
	free(slots->list);
	slots_init(slots);
}

static void
slots_grow(struct slots *slots)
{
	uint32_t count = slots->count > 0 ? slots->count * 2 : 256;

	slots->list = need(realloc(slots->list, count * sizeof(slots->list[0])));
	memset(slots->list + slots->count, 0, (count - slots->count) * sizeof(slots->list[0]));
	for (uint32_t i = count; i-- > slots->count;) {
		slots->list[i].next_free = slots->free;
		slots->free = i;
	}
	slots->count = count;
}

uint64_t
slots_take(struct slots *slots, struct xf_str reply, uint64_t sequence)
{
	struct slot *slot;
	uint32_t index;

	if (slots->free == NO_SLOT)
		slots_grow(slots);
	index = slots->free;
	slot = &slots->list[index];
	slots->free = slot->next_free;
	slots->used++;
	slot->used = true;
	slot->outcome = 0;
	slot->sequence = sequence;
	slot->reply_len = (uint16_t)reply.len;
	if (reply.len <= SLOT_REPLY_INLINE)
		memcpy(slot->reply, reply.data, reply.len);
	else
		slot->long_reply = copy_string(reply);
	return (uint64_t)slot->generation << 32 | index;
}

void
slots_free(struct slots *slots, struct slot *slot)
{
	free(slot->long_reply);
	slot->long_reply = NULL;
	slot->used = false;
	slot->generation++;
	slot->next_free = slots->free;
	slots->free = (uint32_t)(slot - slots->list);
	slots->used--;
}

struct slot *
slots_find(struct slots *slots, uint64_t handle)
{
	uint32_t index = (uint32_t)handle;
	struct slot *slot;

	if (index >= slots->count)
		return NULL;
	slot = &slots->list[index];
	return slot->used && slot->generation == (uint32_t)(handle >> 32) ? slot : NULL;
}

void
slots_void(struct slots *slots)
{
	for (uint32_t i = 0; i < slots->count; i++) {
		if (slots->list[i].used)
			slots_free(slots, &slots->list[i]);
	}
}

static int
sequence_order(const void *a, const void *b)
{
	uint64_t x = (*(struct slot *const *)a)->sequence, y = (*(struct slot *const *)b)->sequence;

	return x < y ? -1 : x > y;
}

struct slot **
slots_in_order(struct slots *slots, size_t *count)
{
	struct slot **order = need(calloc(slots->used + 1u, sizeof(order[0])));
	size_t n = 0;

	for (uint32_t i = 0; i < slots->count; i++) {
		if (slots->list[i].used)
			order[n++] = &slots->list[i];
	}
	qsort(order, n, sizeof(order[0]), sequence_order);
	*count = n;
	return order;
}

struct xf_str
slot_reply(const struct slot *slot)
{
	return (struct xf_str){slot->long_reply != NULL ? slot->long_reply : slot->reply, slot->reply_len};
}
