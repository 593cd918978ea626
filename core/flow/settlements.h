/*
 * settlements.h - what a source is told of its messages, gathered and handed over in batches. A message that is refused is kept
 * first (dead/letters.h), and that is told only once it is on disk.
 *
 * Threads: the source's, which has one; what is atomic is for others to read.
 */
#ifndef XF_FLOW_SETTLEMENTS_H
#define XF_FLOW_SETTLEMENTS_H

#include <crossfade/transport.h>

#include "dead/letters.h"

#define XF_REJECT_RETRY_MS 5000 /* when a message that could not be kept is offered again */

struct xf_settlements {
	struct xf_letters *letters;
	const char *name; /* of the source, in the log */
	struct xf_settlement *list; /* to be handed over */
	uint32_t count, size;
	uint32_t unsynced; /* kept, and not on disk */
	uint64_t losses;   /* of the store, before the first of them */
	bool full;         /* the store takes no more, so nothing is to come in */
	uint64_t look_at;  /* then: when it is looked at again */
	_Atomic uint64_t kept;
	_Atomic bool blocked; /* as full */
};

/* Both outlive it. */
void xf_settlements_init(struct xf_settlements *settlements, struct xf_letters *letters, const char *name);
void xf_settlements_fini(struct xf_settlements *settlements);

void xf_settlements_add(struct xf_settlements *settlements, uint64_t handle, uint32_t outcome, uint32_t delay_ms);

/* Keeps the message with its reason and counts it. False where it cannot be kept: it is not done. */
bool xf_settlements_keep(struct xf_settlements *settlements, const struct xf_letter *letter, uint64_t now_ms);

/* What was kept is on disk. Or false: it may not be, and those that are told of here are offered again instead; of others that
 * were kept, and are not settled yet, the caller takes care. */
bool xf_settlements_sync(struct xf_settlements *settlements);

/* Tells SOURCE of all, after a sync. */
void xf_settlements_hand_over(struct xf_settlements *settlements, const struct xf_source_ops *ops, void *source);

/* Whether the store that was full takes some again; looks now and then. */
void xf_settlements_look(struct xf_settlements *settlements, uint64_t now_ms);

#endif
