/*
 * acks.c - see acks.h.
 */
#include "acks.h"

#include <stdlib.h>

#define GAP_ACK_MS 200 /* settled messages behind an unsettled one wait so long for it */
#define NIL UINT32_MAX
#define REPLY_AGAIN_MS 1000 /* until a message is put back whose reply the broker refused */

enum slot_state {
	SLOT_FREE,
	SLOT_OUT,     /* emitted, not settled */
	SLOT_SETTLED, /* to be acknowledged */
	SLOT_HELD,    /* to be put back at due_ms */
	SLOT_ACKED,   /* to be acknowledged once its reply is confirmed */
};

enum slot_reply {
	REPLY_NONE, /* or confirmed */
	REPLY_OUT,
	REPLY_REFUSED,
};

struct acks_slot {
	uint64_t handle;
	uint64_t tag;
	uint64_t due_ms;
	uint32_t next, prev; /* next also links the free ones */
	enum slot_state state;
	enum slot_reply reply;
};

bool
acks_init(struct acks *acks, uint32_t size)
{
	acks->slots = calloc(size, sizeof(*acks->slots));
	acks->size = size;
	if (acks->slots != NULL)
		acks_clear(acks);
	return acks->slots != NULL;
}

void
acks_fini(struct acks *acks)
{
	free(acks->slots);
	acks->slots = NULL;
}

void
acks_clear(struct acks *acks)
{
	uint32_t i;

	/* Those behind were never touched, so that a quiet source has no memory for a whole prefetch. */
	for (i = 0; i < acks->made; i++) {
		acks->slots[i].state = SLOT_FREE;
		acks->slots[i].handle = 0;
	}
	acks->made = 0;
	acks->free = NIL;
	acks->head = acks->tail = NIL;
	acks->used = acks->settled = acks->held = 0;
	acks->due_ms = UINT64_MAX;
	acks->gap_since_ms = 0;
}

uint64_t
acks_take(struct acks *acks, uint64_t tag)
{
	uint32_t index = acks->free;
	struct acks_slot *slot;

	if (index == NIL && acks->made == acks->size)
		return 0;
	if (index == NIL)
		index = acks->made++;
	else
		acks->free = acks->slots[index].next;
	slot = &acks->slots[index];
	if (++acks->generation == 0)
		acks->generation = 1;
	slot->handle = (uint64_t)acks->generation << 32 | index;
	slot->tag = tag;
	slot->state = SLOT_OUT;
	slot->reply = REPLY_NONE;
	slot->next = NIL;
	slot->prev = acks->tail;
	if (acks->tail != NIL)
		acks->slots[acks->tail].next = index;
	else
		acks->head = index;
	acks->tail = index;
	acks->used++;
	return slot->handle;
}

static void
slot_free(struct acks *acks, uint32_t index)
{
	struct acks_slot *slot = &acks->slots[index];

	if (slot->state == SLOT_SETTLED)
		acks->settled--;
	else if (slot->state == SLOT_HELD)
		acks->held--;
	if (slot->prev != NIL)
		acks->slots[slot->prev].next = slot->next;
	else
		acks->head = slot->next;
	if (slot->next != NIL)
		acks->slots[slot->next].prev = slot->prev;
	else
		acks->tail = slot->prev;
	acks->used--;
	slot->state = SLOT_FREE;
	slot->handle = 0;
	slot->next = acks->free;
	acks->free = index;
}

void
acks_untake(struct acks *acks)
{
	slot_free(acks, acks->tail);
}

/* NULL where its channel is gone. */
static struct acks_slot *
slot_find(const struct acks *acks, uint64_t handle)
{
	uint32_t index = (uint32_t)handle;
	struct acks_slot *slot = index < acks->size ? &acks->slots[index] : NULL;

	return slot != NULL && slot->handle == handle && handle != 0 ? slot : NULL;
}

static void
slot_settled(struct acks *acks, struct acks_slot *slot)
{
	slot->state = SLOT_SETTLED;
	acks->settled++;
}

static void
slot_hold(struct acks *acks, struct acks_slot *slot, uint64_t until_ms)
{
	slot->state = SLOT_HELD;
	slot->due_ms = until_ms;
	if (until_ms < acks->due_ms)
		acks->due_ms = until_ms;
	acks->held++;
}

bool
acks_await(struct acks *acks, uint64_t handle)
{
	struct acks_slot *slot = slot_find(acks, handle);

	if (slot == NULL || slot->state != SLOT_OUT)
		return false;
	slot->reply = REPLY_OUT;
	return true;
}

void
acks_replied(struct acks *acks, uint64_t handle, bool sent, uint64_t now)
{
	struct acks_slot *slot = slot_find(acks, handle);

	if (slot == NULL)
		return;
	slot->reply = sent ? REPLY_NONE : REPLY_REFUSED;
	if (slot->state == SLOT_ACKED && sent)
		slot_settled(acks, slot);
	else if (slot->state == SLOT_ACKED)
		slot_hold(acks, slot, now + REPLY_AGAIN_MS);
}

void
acks_settle(struct acks *acks, const struct xf_settlement *settlement, uint64_t now)
{
	struct acks_slot *slot = slot_find(acks, settlement->handle);

	if (slot == NULL || slot->state != SLOT_OUT)
		return; /* or it was settled before */
	switch (settlement->outcome) {
	case XF_SETTLE_ACK:
		if (slot->reply == REPLY_OUT)
			slot->state = SLOT_ACKED;
		else if (slot->reply == REPLY_REFUSED)
			slot_hold(acks, slot, now + REPLY_AGAIN_MS);
		else
			slot_settled(acks, slot);
		break;
	case XF_SETTLE_REJECT:
		slot_settled(acks, slot);
		break;
	case XF_SETTLE_RETRY:
		slot_hold(acks, slot, now + settlement->delay_ms);
		break;
	default:
		break;
	}
}

/* Puts back what has waited for its delay. */
static void
held_release(struct acks *acks, struct codec_buffer *out, uint16_t channel, uint64_t now)
{
	uint32_t index, next;

	if (acks->held == 0 || now < acks->due_ms)
		return;
	acks->due_ms = UINT64_MAX;
	for (index = acks->head; index != NIL && acks->held > 0; index = next) {
		struct acks_slot *slot = &acks->slots[index];

		next = slot->next;
		if (slot->state != SLOT_HELD)
			continue;
		if (slot->due_ms <= now) {
			codec_write_nack(out, channel, slot->tag, true);
			slot_free(acks, index);
		} else if (slot->due_ms < acks->due_ms) {
			acks->due_ms = slot->due_ms;
		}
	}
}

/* Whether acks may gather: they hold little of the prefetch, and others are still to come. */
static bool
acks_wait(const struct acks *acks, uint64_t now)
{
	return now == acks->acked_ms && acks->settled < acks->size / 8 &&
	       acks->used > acks->settled + acks->held;
}

static void
settled_write(struct acks *acks, struct codec_buffer *out, uint16_t channel, uint64_t now)
{
	uint64_t last = 0;
	uint32_t count = 0, index, next;

	if (acks->settled == 0 || acks_wait(acks, now))
		return;
	acks->acked_ms = now;

	while (acks->head != NIL && acks->slots[acks->head].state == SLOT_SETTLED) {
		last = acks->slots[acks->head].tag;
		count++;
		slot_free(acks, acks->head);
	}
	if (count > 0)
		codec_write_ack(out, channel, last, count > 1);
	if (acks->settled == 0) {
		acks->gap_since_ms = 0;
		return;
	}

	if (acks->gap_since_ms == 0)
		acks->gap_since_ms = now;
	if (acks->settled < acks->size / 2 && now - acks->gap_since_ms < GAP_ACK_MS)
		return;
	for (index = acks->head; index != NIL && acks->settled > 0; index = next) {
		next = acks->slots[index].next;
		if (acks->slots[index].state != SLOT_SETTLED)
			continue;
		codec_write_ack(out, channel, acks->slots[index].tag, false);
		slot_free(acks, index);
	}
	acks->gap_since_ms = 0;
}

void
acks_write(struct acks *acks, struct codec_buffer *out, uint16_t channel, uint64_t now)
{
	held_release(acks, out, channel, now);
	settled_write(acks, out, channel, now);
}

void
acks_write_all(struct acks *acks, struct codec_buffer *out, uint16_t channel)
{
	acks->gap_since_ms = 1;
	acks_write(acks, out, channel, UINT64_MAX);
}

uint64_t
acks_due(const struct acks *acks, uint64_t now)
{
	uint64_t due = acks->due_ms;
	uint64_t ack = acks_wait(acks, now) ? now + 1 : acks->gap_since_ms + GAP_ACK_MS;

	return acks->settled > 0 && ack < due ? ack : due;
}
