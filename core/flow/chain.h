/*
 * chain.h - the handlers of a route as one inlet sees them: every message that comes goes through them in turn, and what is made of it
 * goes on to the destination.
 *
 *   enter ──▶ RUNS: with a handler, or between two ──▶ GONE: what it became is on its way to the sinks ──▶ settled
 *               │          ▲
 *               ▼          │
 *             WAITS: behind another of its lane; for its next attempt; for a slot of a pool; or for a reload to end
 *
 * Order: one message of a lane is in the handlers at a time, and the next enters when it has left them. So what is made of them goes to
 * the sinks in the order in which they came, and none is worked on beside another of its key. A message that waits for its next attempt
 * is in them. With `order: none` none waits for another.
 *
 * Memory: a job is made for each message. As long as no handler holds it, it borrows the message from its source.
 *
 * Threads: the source's. A handler gives jobs back from any thread.
 */
#ifndef XF_FLOW_CHAIN_H
#define XF_FLOW_CHAIN_H

#include "conf/conf.h"
#include "flow/handler.h"
#include "flow/pool.h"

/* The handlers of a route, in their order; the route's. */
struct xf_handlers {
	struct xf_handler *list[XF_CONF_HANDLERS_MAX];
	size_t count;
	struct xf_pool *pool; /* NULL: as many are worked on as come */
	uint32_t pool_priority;
};

struct xf_chain_ops {
	/* In which lane JOB's message is. */
	uint16_t (*bucket)(void *context, const struct xf_incoming *message);
	/* What JOB's message is now goes on to the destination, as a delivery that says so by xf_chain_settled() when it is
	 * settled. It is borrowed for the call only. */
	void (*deliver)(void *context, struct xf_job *job);
	/* JOB, as it was given, becomes a dead letter, or whoever asked is told; its code, status and delay say more. Returns what came of
	 * that: XF_REFUSED_*. */
	uint8_t (*refuse)(void *context, struct xf_job *job, const char *reason);
	/* JOB leaves the handlers, and they let nothing of it through. */
	void (*drop)(void *context, struct xf_job *job);
	/* All that became of JOB is settled, and the worst of it is in refused. The last call for it. */
	void (*settle)(void *context, struct xf_job *job);
};

struct xf_chain {
	const struct xf_chain_ops *ops;
	void *context;
	struct xf_inbox *bell; /* of the source's thread */
	const struct xf_handlers *handlers; /* NULL: none */
	const struct xf_conf_retry *retry;
	bool held;  /* nothing is begun */
	struct xf_job *first, *last; /* all jobs, by acceptance */
	uint32_t inside;             /* not GONE */
	uint32_t given;              /* with a handler now */
	uint64_t bytes;              /* in blocks of jobs */
	struct xf_job **tails;       /* of each lane the last job inside; NULL: none waits for another */
	struct xf_job *ready_first, *ready_last; /* that may begin, or go on */
	struct xf_pool_member pool;
	struct xf_job *pool_first, *pool_last;   /* that wait for a slot */
	struct xf_job *spare;
	uint64_t random;
	uint64_t now_ms;
	uint64_t tick_at; /* when something of it is due; UINT64_MAX: nothing */
	_Atomic(struct xf_job *) back; /* from any thread */
};

/* BELL is rung when a job comes back. */
void xf_chain_init(struct xf_chain *chain, const struct xf_chain_ops *ops, void *context, struct xf_inbox *bell);
/* No handler has any of its jobs, and nothing that they became is open. */
void xf_chain_fini(struct xf_chain *chain);

/* Whose handlers, with the route's order and retry; before the first message, and after xf_chain_cancel() when nothing is with a handler: what
 * is inside begins anew, as it was given. HANDLERS, which may be NULL, and RETRY outlive it. */
void xf_chain_set(struct xf_chain *chain, const struct xf_handlers *handlers, enum xf_order order,
                  const struct xf_conf_retry *retry, uint64_t now_ms);

/* Messages go through it: there are handlers, or jobs of earlier ones. */
static inline bool
xf_chain_any(const struct xf_chain *chain)
{
	return (chain->handlers != NULL && chain->handlers->count > 0) || chain->inside > 0;
}

/* A job of MESSAGE, which has an id. With KEEP it is copied; else it is borrowed until xf_chain_own(). */
struct xf_job *xf_chain_make(struct xf_chain *chain, const struct xf_incoming *message, bool keep, uint64_t now_ms);
/* Nothing of JOB is its source's any more. */
void xf_chain_own(struct xf_chain *chain, struct xf_job *job);
/* It goes through the handlers; it may be settled before this returns. */
void xf_chain_enter(struct xf_chain *chain, struct xf_job *job, uint64_t now_ms);

/* Jobs that have come back go on, attempts that are due begin, and what a handler has for too long is asked for. */
void xf_chain_follow(struct xf_chain *chain, uint64_t now_ms);

/* What JOB became is settled as far as one delivery goes, REFUSED. */
void xf_chain_settled(struct xf_chain *chain, struct xf_job *job, uint8_t refused);

/* Nothing is begun any more, or again. */
void xf_chain_hold(struct xf_chain *chain, bool held);
/* All that handlers have is asked for; to be repeated until nothing is given. */
void xf_chain_cancel(struct xf_chain *chain);

/* [any] JOB, with what its handler said of it. */
void xf_chain_back(struct xf_job *job);

#endif
