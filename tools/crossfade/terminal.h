/*
 * terminal.h - this program's own end of a route: a transport class that lives in it, not in a plugin.
 *
 * Its source asks a verb for messages, its sink hands them to one. A class has no state of its own, so what it works
 * with is set before the flow starts; there is one in a process.
 *
 * Threads: the functions of a terminal are called on the endpoints' threads, one at a time each; the counters may be
 * read from any.
 */
#ifndef CROSSFADE_TERMINAL_H
#define CROSSFADE_TERMINAL_H

#include <stdatomic.h>
#include <stdbool.h>

#include <crossfade/transport.h>

enum terminal_next {
	TERMINAL_MESSAGE, /* filled in; what it points to stays until the next call */
	TERMINAL_LATER,   /* call again when *FD is readable, or in a moment where it is -1 */
	TERMINAL_END,
};

struct terminal {
	/* Source. Never blocks. The message is emitted once; its handle is its number, from 1. */
	enum terminal_next (*next)(void *context, struct xf_incoming *message, int *fd);
	void *next_context;

	/* Sink. False: it cannot be taken any more; nothing else is offered. */
	bool (*take)(void *context, const struct xf_outgoing *message);
	void (*flush)(void *context); /* after some of take(); what was taken is confirmed when it returns */
	void *take_context;

	uint64_t take_max; /* so many are taken; 0: any number */
	bool keep;         /* what is taken is never confirmed: it goes back to its broker */

	_Atomic bool hold;      /* the source waits */
	_Atomic uint64_t emitted, confirmed, refused;
	_Atomic bool ended;     /* nothing more will be emitted */
	_Atomic uint64_t taken;
	_Atomic bool broken;    /* take() said so */
};

extern struct terminal terminal;

const struct xf_transport_class *terminal_class(void);

#endif
