/*
 * bridge.h - what the bridges written by hand share: the JetStream side and the measurement.
 *
 * They are the yardstick beside which crossfaded is measured: one case, the client libraries used well, at least
 * once, and none of what a server needs beyond that (reconnects, order after failures, limits, sight).
 * Anything unexpected ends them.
 */
#ifndef BENCH_BRIDGE_H
#define BENCH_BRIDGE_H

#include <stdatomic.h>
#include <stdint.h>

#include <nats/nats.h>

#define BRIDGE_WINDOW 4096 /* published and not confirmed */

struct bridge {
	natsConnection *connection;
	jsCtx *js;
	int bell;                   /* an eventfd, rung once RING_EVERY confirmations came or none are out */
	uint64_t published;         /* the bridge's thread */
	_Atomic uint64_t confirmed; /* the library's thread writes; in order, as the server answers one connection */
	_Atomic uint64_t wanted;    /* published when the bridge last slept */
	_Atomic uint64_t *progress; /* the same for whoever paces the source, in a file; may be NULL */
	uint64_t begin_ns, begin_cpu_ns;
};

_Noreturn void bridge_fail(const char *what, const char *why);

/* Connects, and makes the stream BENCH for bench.out, in files. */
void bridge_open(struct bridge *bridge, const char *url, const char *progress);
/* The first message is here: time and CPU count from now on. */
void bridge_begin(struct bridge *bridge);
/* ID: "" for none. Blocks while the window is full. */
void bridge_publish(struct bridge *bridge, const void *data, size_t size, const char *id);
/* Waits for all confirmations and prints messages, seconds, CPU seconds and resident bytes. */
void bridge_end(struct bridge *bridge);

#endif
