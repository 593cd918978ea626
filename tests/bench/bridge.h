/*
 * bridge.h - what the bridges written by hand share: ends, and the measurement.
 *
 * They are the yardstick beside which crossfaded is measured: one case, the client libraries used well, at least
 * once, and none of what a server needs beyond that (reconnects, order after failures, limits, sight).
 * Anything unexpected ends them.
 */
#ifndef BENCH_BRIDGE_H
#define BENCH_BRIDGE_H

#include <stdint.h>

#define BRIDGE_WINDOW 4096 /* published and not confirmed */

_Noreturn void bridge_fail(const char *what, const char *why);

/* The first message is here: time and CPU count from now on. */
void bridge_begin(void);
/* All is confirmed and acknowledged. Prints MESSAGES, seconds, CPU seconds of all threads, and resident bytes. */
void bridge_end(uint64_t messages);

#endif
