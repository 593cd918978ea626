/*
 * slots.h - the messages of a consumer that are in the core's hands, each with the subject that its settlement goes to.
 *
 * A handle names a slot and how often it was used before: an old handle finds nothing.
 *
 * Threads: the endpoint's own.
 */
#ifndef NATS_SLOTS_H
#define NATS_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <crossfade/plugin.h>

#define SLOT_REPLY_INLINE 118u

struct slot {
	uint64_t sequence;   /* in the stream */
	uint32_t generation; /* rises when the slot is freed */
	uint32_t next_free;
	uint32_t outcome;    /* settled while there was no connection; 0: not */
	uint32_t delay_ms;
	char *long_reply;    /* where it does not fit below */
	uint16_t reply_len;
	bool used;
	char reply[SLOT_REPLY_INLINE];
};

struct slots {
	struct slot *list;
	uint32_t count; /* of the list */
	uint32_t free;  /* the first free one */
	uint32_t used;
};

void slots_init(struct slots *slots);
void slots_fini(struct slots *slots);

/* Returns its handle. REPLY is copied. */
uint64_t slots_take(struct slots *slots, struct xf_str reply, uint64_t sequence);
void slots_free(struct slots *slots, struct slot *slot);

/* NULL: settled already, or of a consumer that is no more. */
struct slot *slots_find(struct slots *slots, uint64_t handle);

/* Frees all that are used. */
void slots_void(struct slots *slots);

/* Those that are used, COUNT of them, in the order of the stream; to be freed. */
struct slot **slots_in_order(struct slots *slots, size_t *count);

struct xf_str slot_reply(const struct slot *slot);

#endif
