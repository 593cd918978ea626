/*
 * jetstream.h - a bridge's JetStream side, by nats.c: asynchronous publishes into a stream, and how far they are
 * confirmed.
 */
#ifndef BENCH_JETSTREAM_H
#define BENCH_JETSTREAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nats/nats.h>

struct jetstream {
	natsConnection *connection;
	jsCtx *js;
	const char *subject;
	int bell;                   /* an eventfd, rung once some confirmations came or all that are wanted are here */
	uint64_t published;         /* the bridge's thread */
	_Atomic uint64_t confirmed; /* the library's thread writes; in order, as the server answers one connection */
	_Atomic uint64_t wanted;    /* published when the bridge last slept */
	_Atomic uint64_t *progress; /* the same for whoever paces the source, in a file; may be NULL */
};

void jetstream_need(natsStatus status, const char *what);

/* AT_ONCE: what is published leaves at once; else the library gathers it for a millisecond, which costs it less. */
natsConnection *jetstream_connect(const char *url, bool at_once);
/* Takes the connection, and makes STREAM for SUBJECT, in files; NULL: it is there. PROGRESS: a file of eight bytes, or NULL. */
void jetstream_open(struct jetstream *jetstream, natsConnection *connection, const char *stream, const char *subject,
                    const char *progress);
/* ID: "" for none. Blocks while the window is full. */
void jetstream_publish(struct jetstream *jetstream, const void *data, size_t size, const char *id);
uint64_t jetstream_confirmed(const struct jetstream *jetstream);
/* Before polling the bell: it rings when all published so far is confirmed, if it is not yet. */
void jetstream_sleep(struct jetstream *jetstream);
/* Takes the bell's rings. */
void jetstream_wake(struct jetstream *jetstream);
/* Waits for all confirmations. */
void jetstream_finish(struct jetstream *jetstream);
void jetstream_close(struct jetstream *jetstream);

#endif
