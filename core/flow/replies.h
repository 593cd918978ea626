/*
 * replies.h - what goes back to whoever asked: of one inlet, whose source knows the way.
 *
 *   handlers made it, or refused ──┐
 *   its time is up ────────────────┼──▶ to be sent ──▶ the source's reply() ──▶ the job is settled as far as this goes
 *   a sink brought it (requests.h) ┘
 *
 * Whoever asked is told one thing, the first; a request that waits for a reply from the destination is open until that comes or its time is
 * up. Both hold the job (chain.h), so that the source is told that it is done only after it was given the reply.
 *
 * Threads: the source's; what is atomic is for others to read.
 */
#ifndef XF_FLOW_REPLIES_H
#define XF_FLOW_REPLIES_H

#include "flow/chain.h"
#include "flow/requests.h"

struct xf_replies {
	struct xf_requests *requests;
	struct xf_chain *chain;
	const struct xf_source_ops *ops; /* NULL: its source sends no replies */
	const struct xf_conf_server *limits;
	struct xf_reply_box box;
	struct xf_job *first, *last;     /* replies to be sent */
	struct xf_job *oldest, *newest;  /* open requests, as they were made */
	_Atomic uint64_t replied;   /* to whoever asked */
	_Atomic uint64_t failed;    /* of these: told that it failed */
	_Atomic uint64_t timed_out; /* of these: because the destination said nothing in time */
	_Atomic uint64_t unasked;   /* made, and nobody waits: dropped */
	_Atomic uint64_t open;
	uint64_t alone;             /* of open: nothing else of them is */
};

/* REQUESTS, CHAIN and LIMITS outlive it. OPS: NULL where the source sends no replies. BELL: of the source's thread. */
void xf_replies_init(struct xf_replies *replies, struct xf_requests *requests, struct xf_chain *chain, const struct xf_source_ops *ops,
                     const struct xf_conf_server *limits, struct xf_inbox *bell);
/* Nothing is sent or awaited any more; before its chain ends. */
void xf_replies_fini(struct xf_replies *replies);

/* Whether somebody waits for a reply to MESSAGE, which its source has handed in. */
static inline bool
xf_replies_asks(const struct xf_replies *replies, const struct xf_incoming *message)
{
	return replies->ops != NULL && message->reply.len > 0 && !(message->flags & XF_MESSAGE_TELL);
}

/* Whether JOB, which has just been made of MESSAGE, is waited for; sets its `asked` and `told`. */
void xf_replies_look(const struct xf_replies *replies, struct xf_job *job, const struct xf_incoming *message);

/* MESSAGE goes back to whoever asked for JOB, which is held until it is sent. Copied. */
void xf_replies_add(struct xf_replies *replies, struct xf_job *job, const struct xf_incoming *message);
/* He is told that it failed. False: nobody asked, or he was told something already. */
bool xf_replies_fail(struct xf_replies *replies, struct xf_job *job, uint32_t status, uint32_t delay_ms, const char *reason);

/* The number under which JOB's reply from the destination is awaited, from now on for TIMEOUT_MS, if it is not yet; 0: nobody asked, or he was told
 * something already. JOB is held until then. */
uint64_t xf_replies_await(struct xf_replies *replies, struct xf_job *job, uint64_t timeout_ms, uint64_t now_ms);
/* What JOB became is settled as far as sinks go: only its reply, if one is awaited, is open. */
void xf_replies_alone(struct xf_replies *replies, struct xf_job *job);
/* Nothing can come any more: the destination refused it. Where none is awaited, nothing. */
void xf_replies_give_up(struct xf_replies *replies, struct xf_job *job);

/* What came, and what has come too late. */
void xf_replies_follow(struct xf_replies *replies, uint64_t now_ms);
/* When it wants to be followed at the latest; UINT64_MAX: when something comes. */
uint64_t xf_replies_wants(const struct xf_replies *replies);
/* SOURCE is given what is to be sent. Not from within a call of it. */
void xf_replies_send(struct xf_replies *replies, void *source);

#endif
