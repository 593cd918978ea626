/*
 * requests.h - the numbers by which replies find back to who awaits them.
 *
 * A request that goes out by a sink has a number, which is never used twice; its reply may come from any thread, late, or never. Of one
 * server there is one table. Who awaits replies has a box of its own, into which they are put; a number that is closed is unknown.
 */
#ifndef XF_FLOW_REQUESTS_H
#define XF_FLOW_REQUESTS_H

#include <stdatomic.h>

#include <crossfade/transport.h>

#include "base/inbox.h"

struct xf_requests;

/* A reply that came. */
struct xf_request_reply {
	struct xf_request_reply *next;
	uint64_t number;
	uint32_t status;             /* as in struct xf_replied */
	char *reason;                /* NULL: none */
	struct xf_incoming *message; /* NULL: none; its holder's, by free() */
};

/* Belongs to one thread, which opens, takes and closes. It outlives its open numbers. */
struct xf_reply_box {
	struct xf_inbox *bell; /* rung when something comes */
	_Atomic(struct xf_request_reply *) first; /* the newest */
};

struct xf_requests *xf_requests_create(void);
void xf_requests_destroy(struct xf_requests **requests); /* all are closed */

/* A number under which CONTEXT awaits a reply, in BOX. Never 0. */
uint64_t xf_requests_open(struct xf_requests *requests, struct xf_reply_box *box, void *context);
/* The context of NUMBER; NULL: it is not open. */
void *xf_requests_find(struct xf_requests *requests, uint64_t number);
/* Nothing is put into a box for it any more. */
void xf_requests_close(struct xf_requests *requests, uint64_t number);

/* [any] Copies what somebody waits for. Returns how many of them nobody does, any more or ever. */
uint32_t xf_requests_replied(struct xf_requests *requests, const struct xf_replied *replies, uint32_t stride, uint32_t count);

/* All that came, in the order in which it did, or NULL; each is given back with xf_request_reply_free(). */
struct xf_request_reply *xf_reply_box_take(struct xf_reply_box *box);
void xf_request_reply_free(struct xf_request_reply *reply);

#endif
