/*
 * pool.h - how many messages several routes have worked on at once, and whose turn it is.
 *
 * A pool has slots. A message takes one before a route's handlers get it and gives it back when it has left them, or waits for its next
 * attempt. Where none is free it waits, and a slot that comes free goes to the waiting member of the highest priority; of equal ones to the
 * one that has had none for longest. So that the others do not wait for ever, a share of the slots goes to whoever of them has waited
 * longest.
 *
 * Threads: a member is its source's thread's, but for what others grant it, and the numbers; the pool has a lock, held for no longer than it
 * takes to look at the members.
 */
#ifndef XF_FLOW_POOL_H
#define XF_FLOW_POOL_H

#include "base/inbox.h"
#include "conf/conf.h"

struct xf_pool;

/* The pools of a server; zero is none. [control] */
struct xf_pools {
	struct xf_pool *first;
};

/* Who has messages for it: an inlet. Zeroed storage of the caller's. */
struct xf_pool_member {
	struct xf_pool *pool; /* NULL: in none */
	struct xf_pool_member *next;
	struct xf_inbox *bell;
	uint32_t priority;
	uint64_t turn;            /* when it was given a slot last, by count */
	uint64_t since;           /* when it began to wait, by count */
	_Atomic uint32_t waiting; /* messages; changed with the lock */
	_Atomic uint32_t busy;    /* slots that it has, granted ones included; changed with the lock */
	_Atomic uint32_t granted; /* slots that it waited for, and has not taken notice of */
};

/* That of CONF's name, which is made if there is none, with CONF's numbers from now on. [control] */
struct xf_pool *xf_pool_use(struct xf_pools *pools, const struct xf_conf_pool *conf);
void xf_pool_release(struct xf_pools *pools, struct xf_pool *pool); /* POOL may be NULL */

/* BELL is rung when a slot is granted. */
void xf_pool_join(struct xf_pool *pool, struct xf_pool_member *member, uint32_t priority, struct xf_inbox *bell);
/* It waits for none any more, and what it has others get. Where it is in none, nothing. */
void xf_pool_leave(struct xf_pool_member *member);

/* True: it has a slot. False: it waits for one, which is granted later. */
bool xf_pool_enter(struct xf_pool_member *member);
/* How many were granted since the last call. */
uint32_t xf_pool_take(struct xf_pool_member *member);
/* Gives one back. */
void xf_pool_exit(struct xf_pool_member *member);

#endif
