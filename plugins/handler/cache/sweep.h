/*
 * sweep.h - an operator's wish, which Redis is asked to fulfil: a walk over the keys that match, by SCAN, listed or removed.
 *
 * The operator waits on his thread, for a second at most; the handler's thread asks. What is not done by then ends there.
 *
 * Threads: sweep_run() on any; the others on the handler's.
 */
#ifndef CACHE_SWEEP_H
#define CACHE_SWEEP_H

#include "client.h"
#include "operator.h"

#define SWEEP_TAG UINT64_MAX /* of its questions */

struct sweep;

struct sweep *sweep_create(const struct xf_host *host, struct xf_endpoint *endpoint, struct client *client, struct xf_str prefix);
void sweep_destroy(struct sweep **sweep);

/* -1 with a reason: Redis is away, or another wish is under way. */
int32_t sweep_run(struct sweep *sweep, const struct wish *wish, struct xf_operator_response *response, struct xf_error *error);

/* Begins what is wished; called in each work(). */
void sweep_work(struct sweep *sweep);
void sweep_answered(struct sweep *sweep, const redisReply *reply);
/* Whoever waits is told that it is over; later ones are too. */
void sweep_stop(struct sweep *sweep);

#endif
