/*
 * side.h - a second connection of an endpoint, beside its own.
 *
 * A loop waits for one descriptor, so it is given an epoll of both sockets. Work begins with side_begin(), which tells the first
 * connection's part of what woke it, and ends with side_wait(). States are told of the first connection alone.
 *
 * Threads: [io] of its endpoint, but for side_init() and side_fini().
 */
#ifndef REDIS_SIDE_H
#define REDIS_SIDE_H

#include "connection.h"

struct side {
	struct conn conn;
	int both;       /* -1: it was not made */
	uint32_t ready; /* what woke the second */
};

/* Zeroed before. No network. False with a reason; side_fini() is due in any case. */
bool side_init(struct side *side, const struct xf_host *host, struct xf_endpoint *endpoint, const struct settings *settings,
               const struct xf_endpoint_info *info, struct xf_error *error);
void side_fini(struct side *side);

/* READY is what the loop told of both; the first one's part. */
uint32_t side_begin(struct side *side, uint32_t ready);

/* WORK holds what the first one waits for; the second's is added. */
void side_wait(struct side *side, struct xf_work *work, uint64_t now);

#endif
