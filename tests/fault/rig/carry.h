/*
 * carry.h - a line through one broker, as its own checker sees it: a route NAME-in from the generator of the transport NAME-load, and a
 * route NAME-out to the checker of it. Of servers that a test configures by itself; rig.h has lines ready made.
 *
 * Threads: the test's main thread only.
 */
#ifndef XF_TESTS_CARRY_H
#define XF_TESTS_CARRY_H

#include <stddef.h>

#include "figures.h"
#include "server.h"

struct carry {
	const char *name;
	const char *broker; /* the settings of its transport, which has the name of the line */
	const char *place;  /* where at the broker, for both ends: "mode: stream, subject: auth" */
	const char *from;   /* beside what the generator has, ", size: 1KiB"; likewise NULL: nothing */
	const char *sink;   /* ", when_down: spool" */
	const char *route;  /* of NAME-in, whole lines */
	unsigned rate;
};

/* Writes SERVER's configuration: COUNT lines, and what else there is to be of transports and of routes, whole lines or "". */
void carry_configure(struct xf_server *server, const struct carry *lines, size_t count, const char *transports, const char *routes);

/* The same with nothing else, and starts it; returns once it is ready. */
void carry_start(struct xf_server *server, const struct carry *lines, size_t count);

/* A number of the checker's report, "lost"; of the route NAME-in, "in_flight", "sinks.0.reconnects". */
double carry_report(struct xf_server *server, const char *name, const char *field);
double carry_number(struct xf_server *server, const char *name, const char *field);

/* Waits until COUNT messages more than now have come; until a number of NAME-in is at least LEAST, a text of it contains PART. */
void carry_delivers(struct xf_server *server, const char *name, double count);
void carry_wait_number(struct xf_server *server, const char *name, const char *field, double least);
void carry_wait_string(struct xf_server *server, const char *name, const char *field, const char *part);

/* Lines of the server's log that are warnings about NAME-in or NAME-out. */
unsigned carry_warnings(struct xf_server *server, const char *name);

/* Stops the generator and waits until all that it sent is settled and delivered. Prints the sums: nothing is lost, refused, damaged,
 * under another id, or behind a later one of its key. FIGURES say which fault it was and how long it took; they are kept with the sums. */
void carry_finish(struct xf_server *server, const char *name, struct figures *figures);

#endif
