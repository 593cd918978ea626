/*
 * windows.h - how often each key came within the last while: sliding windows of fine counters.
 *
 * A window is cut into WINDOW_SLOTS slots, and a key has a counter for each (Figma, "An alternative approach to rate limiting", 2017, has
 * the same). What was counted leaves when all of its slot is out of the window: a sixtieth late at most, and never early, so that
 * in no span of this length more than the rate passes; and a key costs the same memory at any rate, which a log of times does not.
 *
 * Threads: the caller's lock.
 */
#ifndef RATELIMIT_WINDOWS_H
#define RATELIMIT_WINDOWS_H

#include "recent.h"

#define WINDOW_SLOTS 60u

struct windows {
	uint32_t rate;
	uint64_t per_ms;
	size_t keys_max;
	struct recent keys;
};

void windows_fini(struct windows *windows);

/* 0: it was counted, and is within the rate. Else in how many milliseconds one would be. */
uint64_t windows_take(struct windows *windows, struct xf_str key, uint64_t now_ms);

#endif
