/*
 * rig.h - crossfaded between three brokers, each behind a network that can fail, and a fourth that is left in peace.
 *
 * Each broker has a line: a route LINE-in from a generator to the broker, and a route LINE-out from the broker to the checker of
 * that generator. What is written and what is read go through a proxy each. Nothing fails on the line CALM, which has a
 * Redis of its own and no proxies: what it delivers must not depend on the others.
 *
 * Threads: the test's main thread only.
 */
#ifndef XF_TESTS_RIG_H
#define XF_TESTS_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "broker.h"
#include "figures.h"
#include "proxy.h"
#include "server.h"

enum line_name {
	REDIS,
	NATS,
	AMQP,
	CALM,
	LINES,
	FAULTY = CALM, /* those before it */
};

/* Ends of a line that meet its broker: the sink of LINE-in, the source of LINE-out. */
enum line_end {
	WRITER,
	READER,
	ENDS,
};

struct line {
	const char *name;
	struct xf_broker *broker;
	struct proxy *proxies[ENDS]; /* NULL: none */
	char *in, *out, *load;       /* paths of the routes and of the generator's transport */
	double reconnects[ENDS];     /* before the last fault */
	struct samples downs, backs; /* seconds, of both ends */
	double acked, lost, reordered, duplicates; /* once it has rested for good */
};

struct rig {
	struct line lines[LINES];
	struct xf_server *server;
	const char *const *environ; /* of the servers to come, ends with NULL; NULL: nothing beside ours. Borrowed */
	enum line_end end; /* that the last fault was for */
	uint64_t since;    /* when it began */
};

/* For cmocka: the brokers, which keep what they confirmed when they are killed, and the proxies. */
int rig_setup(void **state);
int rig_teardown(void **state);

/* Starts a server whose lines have RATE messages a second of SIZE bytes, without end, and names of their own at the
 * brokers; returns once each of them delivers. */
void rig_serve(struct rig *rig, const char *test, unsigned rate, unsigned size);

/* Stops the generators, waits until everything that was sent has been delivered, and stops the server. Prints the sums, and puts what
 * each faulty line went through, under COUNT faults of that name, into the table. Then nothing may be lost, corrupted or unexpected, or
 * come again under another id or behind a later one of its key. */
void rig_finish(struct rig *rig, const char *fault, unsigned count);

/* Of the checker of a line. */
double rig_report(struct rig *rig, enum line_name line, const char *field);

/* Waits until LINE has delivered COUNT messages more than now. */
void rig_delivers(struct rig *rig, enum line_name line, double count);

/* No new messages on the faulty lines; returns when nothing is under way there. And again. */
void rig_idle(struct rig *rig);
void rig_load(struct rig *rig);

/* ---- Faults on all faulty lines at once -------------------------------------------- */

typedef void fault_fn(struct proxy *proxy);

/* At END, or at both for ENDS; what follows is counted from here. */
void rig_fault(struct rig *rig, enum line_end end, fault_fn *fault);

/* Counts from here, for what the caller does himself. */
void rig_mark(struct rig *rig, enum line_end end);

/* When something was seen of the ends that the last fault was for, in milliseconds since. */
struct sightings {
	bool seen[FAULTY][ENDS];
	uint64_t after[FAULTY][ENDS];
};

/* Waits until each of them is down; until each is up again, with a connection that is newer than the fault. Prints when. */
struct sightings rig_wait_down(struct rig *rig, const char *title);
struct sightings rig_wait_back(struct rig *rig, const char *title);

/* How often all of them together, and each of them, has connected anew since. */
double rig_reconnects(struct rig *rig);
void rig_print_reconnects(struct rig *rig, const char *title);

#endif
