#include "flow/settlements.h"

#include <stdlib.h>

#include "base/counter.h"
#include "base/log.h"
#include "base/memory.h"

#define LOOK_MS 1000

void
xf_settlements_init(struct xf_settlements *settlements, struct xf_letters *letters, const char *name)
{
	*settlements = (struct xf_settlements){.letters = letters, .name = name};
}

void
xf_settlements_fini(struct xf_settlements *settlements)
{
	free(settlements->list);
}

void
xf_settlements_add(struct xf_settlements *settlements, uint64_t handle, uint32_t outcome, uint32_t delay_ms)
{
	if (settlements->count == settlements->size) {
		uint32_t size = settlements->size ? settlements->size * 2 : 256;

		settlements->list = xf_grow_array(settlements->list, settlements->size, size, sizeof(*settlements->list));
		settlements->size = size;
	}
	settlements->list[settlements->count++] = (struct xf_settlement){handle, outcome, delay_ms};
}

bool
xf_settlements_keep(struct xf_settlements *settlements, const struct xf_letter *letter, uint64_t now_ms)
{
	struct xf_error error;

	if (settlements->unsynced == 0)
		settlements->losses = xf_letters_losses(settlements->letters);
	if (xf_letters_append(settlements->letters, letter, &error) != XF_OK) {
		if (!settlements->full) {
			xf_log(XF_LOG_ERROR, settlements->name, "route pauses: %s", error.text);
			settlements->look_at = now_ms + LOOK_MS;
		}
		settlements->full = true;
		atomic_store(&settlements->blocked, true);
		return false;
	}
	if (xf_read(&settlements->kept) == 0)
		xf_log(XF_LOG_WARN, settlements->name, "a message was refused: %.*s; it is kept among the dead letters",
		       XF_STR_ARG(letter->reason));
	xf_count(&settlements->kept, 1);
	settlements->unsynced++;
	return true;
}

bool
xf_settlements_sync(struct xf_settlements *settlements)
{
	struct xf_error error;

	if (settlements->unsynced == 0)
		return true;
	settlements->unsynced = 0;
	if (xf_letters_sync(settlements->letters, settlements->losses, &error) == XF_OK)
		return true;
	xf_log(XF_LOG_ERROR, settlements->name, "%s", error.text);
	for (uint32_t i = 0; i < settlements->count; i++) {
		struct xf_settlement *settlement = &settlements->list[i];

		if (settlement->outcome == XF_SETTLE_REJECT)
			*settlement = (struct xf_settlement){settlement->handle, XF_SETTLE_RETRY, XF_REJECT_RETRY_MS};
	}
	return false;
}

void
xf_settlements_hand_over(struct xf_settlements *settlements, const struct xf_source_ops *ops, void *source)
{
	if (settlements->count > 0 && ops->settle != NULL)
		ops->settle(source, settlements->list, settlements->count);
	settlements->count = 0;
}

void
xf_settlements_look(struct xf_settlements *settlements, uint64_t now_ms)
{
	if (!settlements->full || now_ms < settlements->look_at)
		return;
	settlements->look_at = now_ms + LOOK_MS;
	settlements->full = xf_letters_full(settlements->letters);
	atomic_store(&settlements->blocked, settlements->full);
}
