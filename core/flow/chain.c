#include "flow/chain.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/memory.h"
#include "flow/delivery.h"
#include "flow/message.h"
#include "flow/retry.h"

#define LATER_MS 100          /* where a handler says no time */
#define TICK_MS 20            /* how often it is looked what is due */
#define TURN 256              /* jobs that begin in a turn */
#define MADE_MAX 65536        /* messages of one, by all handlers together */

enum {
	WAITS,   /* behind another of its lane, for a slot, or until since_ms */
	RUNS,    /* between two handlers */
	HELD,    /* with a handler */
	GONE,    /* through; what it became is under way */
};

/* ---- Jobs --------------------------------------------------------------------------------------- */

void
xf_chain_back(struct xf_job *job)
{
	struct xf_chain *chain = job->chain;
	struct xf_job *top = atomic_load_explicit(&chain->back, memory_order_relaxed);
	struct xf_inbox *bell = chain->bell;

	do
		job->next = top;
	while (!atomic_compare_exchange_weak(&chain->back, &top, job));
	xf_inbox_ring(bell);
}

static void
block_set(struct xf_chain *chain, struct xf_incoming **block, struct xf_incoming *copy)
{
	if (*block != NULL) {
		chain->bytes -= xf_message_bytes(*block);
		free(*block);
	}
	*block = copy;
	if (copy != NULL)
		chain->bytes += xf_message_bytes(copy);
}

void
xf_chain_own(struct xf_chain *chain, struct xf_job *job)
{
	if (job->given_block != NULL)
		return;
	block_set(chain, &job->given_block, xf_message_copy(&job->given));
	job->given = *job->given_block;
	if (job->message_block == NULL)
		job->message = job->given;
}

static void
said_forget(struct xf_job *job)
{
	for (uint32_t i = 0; i < job->made_count; i++)
		free(job->made[i]);
	free(job->made);
	free(job->reason);
	job->made = NULL;
	job->made_count = 0;
	job->reason = NULL;
	job->delay_ms = 0;
	job->status = 0;
	job->followed = false;
}

/* The next of REST, which counts no longer as waiting. */
static struct xf_incoming *
rest_take(struct xf_chain *chain, struct xf_rest *rest)
{
	struct xf_incoming *made = rest->made[rest->next++];

	chain->bytes -= xf_message_bytes(made);
	return made;
}

static void
rest_forget(struct xf_chain *chain, struct xf_job *job)
{
	while (job->rest != NULL) {
		struct xf_rest *rest = job->rest;

		job->rest = rest->under;
		while (rest->next < rest->count)
			free(rest_take(chain, rest));
		free(rest->made);
		free(rest);
	}
}

/* Who is to know of it is told. */
static void
follows_tell(struct xf_job *job, uint32_t code)
{
	const struct xf_incoming *became = code == XF_SETTLED_UNKNOWN ? NULL : job->became;

	while (job->follows != NULL) {
		struct xf_follow *follow = job->follows;

		job->follows = follow->next;
		xf_handler_settled(follow->handler, follow->token, code, became);
		free(follow);
	}
	free(job->became);
	job->became = NULL;
}

struct xf_job *
xf_chain_make(struct xf_chain *chain, const struct xf_incoming *message, bool keep, uint64_t now_ms)
{
	struct xf_job *job = chain->spare;

	if (job != NULL) {
		chain->spare = job->newer;
		memset(job, 0, sizeof(*job));
	} else
		job = xf_alloc(sizeof(*job));
	job->chain = chain;
	job->given = *message;
	job->given.handle = 0;
	job->given.flags &= XF_MESSAGE_REDELIVERED;
	job->given.release = NULL;
	job->given.release_context = NULL;
	job->message = job->given;
	job->handle = message->handle;
	job->accepted_ms = now_ms;
	job->state = WAITS;
	job->since_ms = UINT64_MAX;
	job->older = chain->last;
	if (chain->last != NULL)
		chain->last->newer = job;
	else
		chain->first = job;
	chain->last = job;
	chain->inside++;
	if (keep)
		xf_chain_own(chain, job);
	return job;
}

static void
job_free(struct xf_chain *chain, struct xf_job *job)
{
	*(job->older != NULL ? &job->older->newer : &chain->first) = job->newer;
	*(job->newer != NULL ? &job->newer->older : &chain->last) = job->older;
	said_forget(job);
	rest_forget(chain, job);
	block_set(chain, &job->message_block, NULL);
	block_set(chain, &job->given_block, NULL);
	follows_tell(job, XF_SETTLED_UNKNOWN);
	free(job->reply);
	free(job->id);
	job->newer = chain->spare;
	chain->spare = job;
}

/* ---- Through the handlers --------------------------------------------------------------------------- */

static void
tick_by(struct xf_chain *chain, uint64_t at_ms)
{
	if (at_ms < chain->tick_at)
		chain->tick_at = at_ms;
}

/* It begins, or goes on, when the chain is followed next. */
static void
ready_add(struct xf_chain *chain, struct xf_job *job)
{
	xf_chain_own(chain, job);
	job->state = RUNS;
	job->next = NULL;
	if (chain->ready_last != NULL)
		chain->ready_last->next = job;
	else
		chain->ready_first = job;
	chain->ready_last = job;
}

static void
job_end(struct xf_chain *chain, struct xf_job *job)
{
	if (job->state != GONE || job->under_way > 0)
		return;
	chain->ops->settle(chain->context, job);
	follows_tell(job, job->failed || job->refused != XF_REFUSED_NOT ? XF_SETTLED_REFUSED : XF_SETTLED_STOOD);
	job_free(chain, job);
}

void
xf_chain_settled(struct xf_chain *chain, struct xf_job *job, uint8_t refused)
{
	XF_ASSERT(job->under_way > 0);
	if (refused > job->refused)
		job->refused = refused;
	job->under_way--;
	job_end(chain, job);
}

/* False: it waits for a slot, behind those that wait already. */
static bool
slot_enter(struct xf_chain *chain, struct xf_job *job)
{
	if (chain->pool.pool == NULL || job->slot)
		return true;
	if (xf_pool_enter(&chain->pool)) {
		job->slot = true;
		return true;
	}
	xf_chain_own(chain, job);
	job->state = WAITS;
	job->since_ms = UINT64_MAX;
	job->next = NULL;
	if (chain->pool_last != NULL)
		chain->pool_last->next = job;
	else
		chain->pool_first = job;
	chain->pool_last = job;
	return false;
}

static void
slot_exit(struct xf_chain *chain, struct xf_job *job)
{
	if (!job->slot)
		return;
	job->slot = false;
	xf_pool_exit(&chain->pool);
}

/* All of it is through the handlers, or given up: the next of its lane may begin. */
static void
job_leave(struct xf_chain *chain, struct xf_job *job)
{
	struct xf_job *behind = job->behind;

	slot_exit(chain, job);
	if (!job->delivered && !job->failed)
		chain->ops->drop(chain->context, job);
	job->state = GONE;
	chain->inside--;
	block_set(chain, &job->message_block, NULL);
	if (!job->told) /* else its reply goes by it */
		block_set(chain, &job->given_block, NULL);
	if (chain->tails != NULL && behind == NULL && chain->tails[job->bucket] == job)
		chain->tails[job->bucket] = NULL;
	job->behind = NULL;
	if (behind != NULL)
		ready_add(chain, behind);
	job_end(chain, job);
}

static void
job_give(struct xf_chain *chain, struct xf_job *job)
{
	struct xf_handler *handler = chain->handlers->list[job->stage];
	uint64_t timeout_ms = xf_handler_conf(handler)->timeout_ms;

	if (!slot_enter(chain, job))
		return;
	if (xf_handler_holds(handler)) {
		xf_chain_own(chain, job);
		if (timeout_ms > 0)
			tick_by(chain, chain->now_ms + (xf_handler_runner(handler) == NULL ? timeout_ms : TICK_MS));
	}
	job->state = HELD;
	job->late = false;
	job->since_ms = xf_handler_runner(handler) == NULL ? chain->now_ms : 0;
	job->message.attempt = job->failures + 1;
	chain->given++;
	xf_handler_give(handler, job);
}

/* Another message that was made of it takes the place of the one that is done with. False: there is none. */
static bool
rest_next(struct xf_chain *chain, struct xf_job *job)
{
	struct xf_rest *rest;

	while ((rest = job->rest) != NULL && rest->next == rest->count) {
		job->rest = rest->under;
		free(rest->made);
		free(rest);
	}
	if (rest == NULL)
		return false;
	block_set(chain, &job->message_block, rest_take(chain, rest));
	job->message = *job->message_block;
	job->stage = rest->stage;
	job->failures = 0;
	return true;
}

/* Until a handler has it, or all of it has left them. */
static void
job_run(struct xf_chain *chain, struct xf_job *job)
{
	size_t count = chain->handlers != NULL ? chain->handlers->count : 0;

	job->under_way++; /* what is settled at once does not end it */
	while (job->stage >= count || (job->message.flags & XF_MESSAGE_REPLY)) {
		job->delivered = true;
		chain->ops->deliver(chain->context, job);
		if (!rest_next(chain, job)) {
			job->under_way--;
			job_leave(chain, job);
			return;
		}
	}
	job->under_way--;
	if (chain->held)
		ready_add(chain, job);
	else
		job_give(chain, job);
}

/* What its message is now is done with. */
static void
job_next(struct xf_chain *chain, struct xf_job *job)
{
	if (rest_next(chain, job))
		job_run(chain, job);
	else
		job_leave(chain, job);
}

static void
job_wait(struct xf_chain *chain, struct xf_job *job, uint64_t delay_ms)
{
	said_forget(job);
	slot_exit(chain, job);
	xf_chain_own(chain, job);
	job->state = WAITS;
	job->since_ms = chain->now_ms + delay_ms;
	tick_by(chain, job->since_ms);
}

/* The others that were made of it go on: they are as good as they were. STATUS: where its handler said none. */
static void
job_refuse(struct xf_chain *chain, struct xf_job *job, const char *why, uint32_t status)
{
	char *reason = xf_format("handler %s %s: %s", xf_handler_conf(chain->handlers->list[job->stage])->name, why,
	                         job->reason != NULL ? job->reason : "no reason given");
	uint8_t refused;

	if (job->status == 0)
		job->status = status;
	job->failed = true;
	refused = chain->ops->refuse(chain->context, job, reason);
	if (refused > job->refused)
		job->refused = refused;
	free(reason);
	said_forget(job);
	job_next(chain, job);
}

static void
job_failed(struct xf_chain *chain, struct xf_job *job)
{
	uint64_t delay;

	job->failures++;
	if (chain->retry->attempts > 0 && job->failures >= chain->retry->attempts) {
		job_refuse(chain, job, "failed as often as it is to be tried, the last time", 500);
		return;
	}
	delay = xf_retry_delay(chain->retry, job->failures - 1, &chain->random);
	job_wait(chain, job, job->delay_ms > delay ? job->delay_ms : delay);
}

static void
job_passed(struct xf_chain *chain, struct xf_job *job)
{
	uint8_t stage = job->code == XF_OUTCOME_DONE ? (uint8_t)chain->handlers->count : (uint8_t)(job->stage + 1);

	job->failures = 0;
	if (job->made_count > MADE_MAX - job->made_total) {
		free(job->reason);
		job->reason = xf_format("more than %d messages were made of it", MADE_MAX);
		job_refuse(chain, job, "refused it", 500);
		return;
	}
	if (job->followed) {
		struct xf_follow *follow = xf_alloc(sizeof(*follow));

		*follow = (struct xf_follow){job->follows, chain->handlers->list[job->stage], job->said_by};
		job->follows = follow;
	}
	if (job->made_count > 0) {
		struct xf_rest *rest = xf_alloc(sizeof(*rest));

		job->made_total += job->made_count;
		job->several = job->several || job->made_count > 1;
		for (uint32_t i = 0; i < job->made_count; i++)
			chain->bytes += xf_message_bytes(job->made[i]);
		*rest = (struct xf_rest){job->rest, job->made, job->made_count, 0, stage};
		job->rest = rest;
		job->made = NULL;
		job->made_count = 0;
		rest_next(chain, job);
	} else
		job->stage = stage;
	said_forget(job);
	job_run(chain, job);
}

static void
job_cancelled(struct xf_chain *chain, struct xf_job *job)
{
	if (!job->late) {
		job_wait(chain, job, 0);
		return;
	}
	free(job->reason);
	job->reason = xf_format("it took longer than %" PRIu64 " ms",
	                        xf_handler_conf(chain->handlers->list[job->stage])->timeout_ms);
	job_failed(chain, job);
}

/* What a handler said of it. */
static void
job_took(struct xf_chain *chain, struct xf_job *job)
{
	chain->given--;
	job->state = RUNS;
	switch (job->code) {
	case XF_OUTCOME_PASS:
	case XF_OUTCOME_DONE:
		job_passed(chain, job);
		break;
	case XF_OUTCOME_DROP:
		said_forget(job);
		job_next(chain, job);
		break;
	case XF_OUTCOME_FAIL:
		job_failed(chain, job);
		break;
	case XF_OUTCOME_LATER:
		job_wait(chain, job, job->delay_ms > 0 ? job->delay_ms : LATER_MS);
		break;
	case XF_OUTCOME_REFUSE:
		job_refuse(chain, job, "refused it", 422);
		break;
	default:
		job_cancelled(chain, job);
	}
}

/* Those that came back, in the order in which they did, until none does any more. */
static void
back_take(struct xf_chain *chain)
{
	struct xf_job *job, *first;

	while ((job = atomic_exchange(&chain->back, NULL)) != NULL) {
		for (first = NULL; job != NULL;) {
			struct xf_job *next = job->next;

			job->next = first;
			first = job;
			job = next;
		}
		while (first != NULL) {
			job = first;
			first = job->next;
			job_took(chain, job);
		}
	}
}

void
xf_chain_enter(struct xf_chain *chain, struct xf_job *job, uint64_t now_ms)
{
	struct xf_job *before = NULL;

	chain->now_ms = now_ms;
	if (chain->tails != NULL) {
		job->bucket = chain->ops->bucket(chain->context, &job->given);
		before = chain->tails[job->bucket];
		chain->tails[job->bucket] = job;
	}
	if (before != NULL) {
		before->behind = job;
		xf_chain_own(chain, job);
	} else if (chain->held)
		ready_add(chain, job);
	else
		job_run(chain, job);
	back_take(chain);
}

/* ---- In time --------------------------------------------------------------------------------------------- */

/* So many and no more: whoever calls has others to look after. */
static void
ready_take(struct xf_chain *chain)
{
	for (unsigned i = 0; i < TURN && !chain->held && chain->ready_first != NULL; i++) {
		struct xf_job *job = chain->ready_first;

		chain->ready_first = job->next;
		if (chain->ready_first == NULL)
			chain->ready_last = NULL;
		job_run(chain, job);
		back_take(chain);
	}
}

/* Those that waited for a slot, and have one. */
static void
slots_take(struct xf_chain *chain)
{
	for (uint32_t granted = xf_pool_take(&chain->pool); granted > 0; granted--) {
		struct xf_job *job = chain->pool_first;

		chain->pool_first = job->next;
		if (chain->pool_first == NULL)
			chain->pool_last = NULL;
		job->slot = true;
		ready_add(chain, job);
	}
}

/* Its time counts from when its plugin has it. */
static void
held_look(struct xf_chain *chain, struct xf_job *job)
{
	struct xf_handler *handler = chain->handlers->list[job->stage];
	uint64_t timeout_ms = xf_handler_conf(handler)->timeout_ms;

	if (timeout_ms == 0 || !xf_handler_holds(handler))
		return;
	if (job->since_ms == 0 && atomic_load(&job->token) != 0)
		job->since_ms = chain->now_ms;
	tick_by(chain, job->since_ms != 0 ? job->since_ms + timeout_ms : chain->now_ms + TICK_MS);
	if (job->since_ms == 0 || job->since_ms + timeout_ms > chain->now_ms)
		return;
	job->late = true;
	xf_handler_cancel(handler, job);
}

static void
due_take(struct xf_chain *chain)
{
	struct xf_job *next;

	chain->tick_at = UINT64_MAX;
	for (struct xf_job *job = chain->first; job != NULL; job = next) {
		next = job->newer;
		if (job->state == WAITS && job->since_ms <= chain->now_ms) {
			job->since_ms = UINT64_MAX;
			ready_add(chain, job);
		} else if (job->state == WAITS)
			tick_by(chain, job->since_ms);
		else if (job->state == HELD)
			held_look(chain, job);
	}
	if (chain->tick_at < chain->now_ms + TICK_MS)
		chain->tick_at = chain->now_ms + TICK_MS;
}

void
xf_chain_follow(struct xf_chain *chain, uint64_t now_ms)
{
	chain->now_ms = now_ms;
	back_take(chain);
	slots_take(chain);
	if (now_ms >= chain->tick_at)
		due_take(chain);
	ready_take(chain);
}

/* ---- From one configuration to another ------------------------------------------------------------------------ */

void
xf_chain_hold(struct xf_chain *chain, bool held)
{
	chain->held = held;
}

void
xf_chain_cancel(struct xf_chain *chain)
{
	for (struct xf_job *job = chain->first; job != NULL; job = job->newer)
		if (job->state == HELD)
			xf_handler_cancel(chain->handlers->list[job->stage], job);
}

/* As it was given, and in front of no handler yet. */
static void
job_anew(struct xf_chain *chain, struct xf_job *job)
{
	said_forget(job);
	rest_forget(chain, job);
	follows_tell(job, XF_SETTLED_UNKNOWN);
	block_set(chain, &job->message_block, NULL);
	job->message = job->given;
	job->failed = job->delivered = false;
	job->stage = 0;
	job->behind = NULL;
	job->since_ms = UINT64_MAX;
	job->failures = 0;
	job->made_total = 0;
	job->slot = false;
	if (job->refused == XF_REFUSED_NOT_KEPT)
		job->refused = XF_REFUSED_NOT;
	job->state = WAITS;
}

void
xf_chain_set(struct xf_chain *chain, const struct xf_handlers *handlers, enum xf_order order,
             const struct xf_conf_retry *retry, uint64_t now_ms)
{
	bool any = handlers != NULL && handlers->count > 0;

	XF_ASSERT(chain->given == 0);
	chain->now_ms = now_ms;
	chain->handlers = handlers;
	chain->retry = retry;
	free(chain->tails);
	chain->tails = any && order != XF_ORDER_NONE ? xf_alloc_array(XF_BUCKETS, sizeof(*chain->tails)) : NULL;
	chain->ready_first = chain->ready_last = NULL;
	xf_pool_leave(&chain->pool);
	chain->pool_first = chain->pool_last = NULL;
	if (any && handlers->pool != NULL)
		xf_pool_join(handlers->pool, &chain->pool, handlers->pool_priority, chain->bell);
	for (struct xf_job *job = chain->first; job != NULL; job = job->newer) {
		struct xf_job *before = NULL;

		if (job->state == GONE) {
			follows_tell(job, XF_SETTLED_UNKNOWN);
			continue;
		}
		job_anew(chain, job);
		if (chain->tails != NULL) {
			job->bucket = chain->ops->bucket(chain->context, &job->given);
			before = chain->tails[job->bucket];
			chain->tails[job->bucket] = job;
		}
		if (before != NULL)
			before->behind = job;
		else
			ready_add(chain, job);
	}
}

void
xf_chain_init(struct xf_chain *chain, const struct xf_chain_ops *ops, void *context, struct xf_inbox *bell)
{
	*chain = (struct xf_chain){.ops = ops, .context = context, .bell = bell, .tick_at = UINT64_MAX};
	chain->random = xf_now_ns() | 1;
}

void
xf_chain_fini(struct xf_chain *chain)
{
	xf_pool_leave(&chain->pool);
	while (chain->first != NULL)
		job_free(chain, chain->first);
	while (chain->spare != NULL) {
		struct xf_job *job = chain->spare;

		chain->spare = job->newer;
		free(job);
	}
	free(chain->tails);
}
