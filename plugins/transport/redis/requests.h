/*
 * requests.h - the replies to what a sink publishes as requests.
 *
 * Each request names a channel of its own below a name that is the sink's alone, and a second connection subscribes to all of them.
 * While it is not subscribed a reply would be lost, so nothing is published then.
 *
 * Threads: [io] of its endpoint.
 */
#ifndef REDIS_REQUESTS_H
#define REDIS_REQUESTS_H

#include "side.h"

struct requests {
	bool wanted;
	struct side side; /* where wanted */
	char name[48];    /* "crossfade.reply.NAME." */
	bool asked;       /* PSUBSCRIBE is sent */
	bool subscribed;
};

/* Zeroed before. False with a reason; requests_fini() is due in any case. */
bool requests_init(struct requests *requests, const struct xf_host *host, struct xf_endpoint *endpoint,
                   const struct settings *settings, const struct xf_endpoint_info *info, struct xf_error *error);
void requests_fini(struct requests *requests);

/* Connects, subscribes, hands on what came. */
void requests_work(struct requests *requests, uint64_t now);

/* Whether what is asked now could not be answered. */
static inline bool
requests_deaf(const struct requests *requests)
{
	return requests->wanted && !requests->subscribed;
}

/* As in struct xf_sink_ops. */
uint32_t requests_reply_to(const struct requests *requests, uint64_t request, char *out, uint32_t size);

#endif
