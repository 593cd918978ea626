#include "windows.h"

#include <stdlib.h>

#define COUNTERS (WINDOW_SLOTS + 1) /* a window begins and ends within a slot */

struct window {
	struct recent_entry entry; /* first */
	uint64_t slot;             /* of the newest counter */
	uint64_t sum;
	uint32_t counters[COUNTERS]; /* of the slots up to that, by remainder */
};

static void
window_drop(struct windows *windows, struct window *window)
{
	recent_remove(&windows->keys, &window->entry);
	free(window);
}

void
windows_fini(struct windows *windows)
{
	while (windows->keys.oldest != NULL)
		window_drop(windows, (struct window *)windows->keys.oldest);
	recent_fini(&windows->keys);
}

static uint64_t
slot_at(const struct windows *windows, uint64_t now_ms)
{
	return now_ms * WINDOW_SLOTS / windows->per_ms;
}

/* The first millisecond of SLOT. */
static uint64_t
slot_begins(const struct windows *windows, uint64_t slot)
{
	return (slot * windows->per_ms + WINDOW_SLOTS - 1) / WINDOW_SLOTS;
}

/* What has left the window counts no more. */
static void
window_move(struct window *window, uint64_t slot)
{
	if (slot >= window->slot + COUNTERS) {
		memset(window->counters, 0, sizeof(window->counters));
		window->sum = 0;
		window->slot = slot;
	}
	while (window->slot < slot) {
		uint32_t *counter = &window->counters[++window->slot % COUNTERS];

		window->sum -= *counter;
		*counter = 0;
	}
}

/* A window that is full has room when so much of it has left that the rest is below the rate. */
static uint64_t
window_wait(const struct windows *windows, const struct window *window, uint64_t now_ms)
{
	uint64_t left = window->sum, slot = window->slot - WINDOW_SLOTS;

	for (;; slot++) {
		left -= window->counters[slot % COUNTERS];
		if (left < windows->rate)
			return slot_begins(windows, slot + COUNTERS) - now_ms;
	}
}

/* Those that nobody has used for a window's length, and with too many of them those that were not used for longest. */
static void
oldest_leave(struct windows *windows, uint64_t slot)
{
	struct window *oldest;

	while ((oldest = (struct window *)windows->keys.oldest) != NULL &&
	       (oldest->slot + COUNTERS <= slot || windows->keys.count >= windows->keys_max))
		window_drop(windows, oldest);
}

static struct window *
window_find(struct windows *windows, struct xf_str key, uint64_t slot)
{
	struct window *window = (struct window *)recent_find(&windows->keys, key);

	if (window != NULL) {
		recent_use(&windows->keys, &window->entry);
		return window;
	}
	oldest_leave(windows, slot);
	window = need(calloc(1, sizeof(*window)));
	window->slot = slot;
	recent_add(&windows->keys, &window->entry, key);
	return window;
}

uint64_t
windows_take(struct windows *windows, struct xf_str key, uint64_t now_ms)
{
	/* From a window's length on, so that there are slots before the first. */
	uint64_t now = now_ms + 2 * windows->per_ms, slot = slot_at(windows, now);
	struct window *window = window_find(windows, key, slot);

	window_move(window, slot);
	if (window->sum >= windows->rate)
		return window_wait(windows, window, now);
	window->counters[slot % COUNTERS]++;
	window->sum++;
	return 0;
}
