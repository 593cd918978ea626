/*
 * inbox.h - how threads hand things to each other: a queue of chains, and a bell.
 *
 * Any number of threads push chains of nodes; one thread takes all that is there, and alone sleeps. (Once it has
 * ended, others may take what comes late.)
 * Chains of one producer come out in the order they went in. Nothing is
 * allocated and no lock is taken: a push is one compare-and-swap for a whole chain, whose
 * nodes but the first and last are not touched, and a system call only where the taker sleeps.
 *
 * Bound: none of its own; whoever pushes is bounded (by credit).
 */
#ifndef XF_BASE_INBOX_H
#define XF_BASE_INBOX_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"

struct xf_node {
	struct xf_node *next;
	/* the inbox's, of the first node of a chain */
	struct xf_node *chain;
	struct xf_node *last;
};

struct xf_inbox {
	_Atomic(struct xf_node *) top;
	_Atomic bool asleep;
	_Atomic bool rung;
	int bell; /* an eventfd, readable when rung while asleep */
};

/* Fails, with nothing to be given back, where no descriptor is left for the bell. */
enum xf_status xf_inbox_init(struct xf_inbox *inbox, struct xf_error *error);
void xf_inbox_fini(struct xf_inbox *inbox);

/* [any] Pushes the chain FIRST .. LAST, linked by next in the order in which it is to come out. */
void xf_inbox_push(struct xf_inbox *inbox, struct xf_node *first, struct xf_node *last);

/* [any] Makes the taker look. */
void xf_inbox_ring(struct xf_inbox *inbox);

/* Taker: everything, oldest first, or NULL. It is one chain: the first node's last is its end. */
struct xf_node *xf_inbox_take(struct xf_inbox *inbox);

/* Taker: about to sleep. False: there is something already; do not sleep. Every true is
 * followed by xf_inbox_awake(). */
bool xf_inbox_sleep(struct xf_inbox *inbox);
void xf_inbox_awake(struct xf_inbox *inbox);

#endif
