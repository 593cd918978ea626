/*
 * job.h - a message that a route's handlers work on, until all that became of it is settled.
 *
 * Threads: its source's; while a handler has it, from xf_handler_give() until it is back in its chain's list, the handler's. What is
 * atomic anybody may look at meanwhile.
 */
#ifndef XF_FLOW_JOB_H
#define XF_FLOW_JOB_H

#include <stdatomic.h>
#include <stdbool.h>

#include <crossfade/handler.h>

#include "base/inbox.h"

struct xf_chain;
struct xf_handler;

#define XF_OUTCOME_CANCELLED 100u /* beside XF_OUTCOME_*: it was taken back */

/* Messages that a handler made of one, behind each other through the handlers that follow. */
struct xf_rest {
	struct xf_rest *under;
	struct xf_incoming **made;
	uint32_t count, next;
	uint8_t stage;
};

/* A handler that is to be told what became of a message that it passed on. */
struct xf_follow {
	struct xf_follow *next;
	struct xf_handler *handler;
	uint64_t token;
};

struct xf_job {
	struct xf_node node; /* first: in a handler's inbox */
	struct xf_chain *chain;
	struct xf_job *older, *newer; /* all of the chain, by acceptance */
	struct xf_job *behind;        /* of its lane: waits until this one has left the handlers */
	struct xf_job *next;          /* in the chain's list of those that are back, or of those that may begin */
	_Atomic uint64_t token;       /* by which the handler's plugin knows it; 0: that has not got it */
	_Atomic bool cancel;          /* its handler is to give it back */

	struct xf_incoming message;   /* as it is now */
	struct xf_incoming given;     /* as its source gave it; both borrow from what follows, or while it is being taken in from the source */
	struct xf_incoming *message_block; /* NULL: message is borrowed, or is given */
	struct xf_incoming *given_block;   /* NULL: given is borrowed */
	char *id;                     /* where duplicates are looked for */

	/* What the handler said, once it is back. */
	uint32_t code; /* XF_OUTCOME_* */
	uint32_t delay_ms;
	uint32_t status;
	bool followed;
	uint64_t said_by; /* the token of it then */
	char *reason;
	struct xf_incoming **made; /* copies, made_count of them: what goes on in its place */
	uint32_t made_count;

	struct xf_rest *rest; /* what else was made of it, and is to follow */

	struct xf_follow *follows;
	struct xf_incoming *became; /* with follows: the first of it that went to the destination, or its reply; or NULL */

	/* What goes back to whoever asked (replies.h). */
	struct xf_job *reply_next, *request_older, *request_newer;
	struct xf_incoming *reply; /* to be sent */
	uint32_t reply_status;     /* of a failure */
	uint32_t reply_delay_ms;
	uint64_t request;          /* a reply from the destination is awaited under this number; 0: none is */
	uint64_t request_until_ms;
	bool request_alone;        /* and all that became of it otherwise is settled */
	bool asked;                /* somebody waits for a reply */
	bool told;                 /* or at least for whether it fails */
	bool replied;              /* or is about to be: whoever asked is told nothing else */

	uint8_t state; /* the chain's */
	bool late;     /* it was asked for because its time was up */
	bool slot;     /* it has one of the pool's */
	bool several;  /* more than one message was made of it */
	bool kept;     /* as it was given, it is a dead letter */
	bool delivered; /* something of it has passed the last handler */
	bool failed;   /* something of it was refused, even where that is no dead letter */
	uint8_t stage; /* the next handler, or the one that has it */
	uint16_t bucket;
	uint32_t under_way; /* deliveries that are not settled */
	uint8_t refused;    /* the worst of what became of those: XF_REFUSED_* */
	uint32_t failures;  /* at this handler */
	uint64_t handle;    /* its source's */
	uint64_t letter;    /* number of the dead letter that it is; 0: it is its source's */
	uint64_t accepted_ms;
	uint32_t made_total; /* messages made of it, by all handlers */
	uint64_t since_ms;  /* WAITS: when it goes on; HELD: since when its plugin has it, 0: it waits before that */
};

#endif
