/*
 * replies.h - the replies that a source sends: PUBLISH to the channel that the request names, on a second connection, since the first
 * may be subscribed, or wait for entries.
 *
 * What was replied to is acknowledged once the server has answered the PUBLISH. Where that cannot be had the message is given back to be
 * offered again; an acknowledgement that comes after that finds it settled.
 *
 * Threads: [io] of its endpoint.
 */
#ifndef REDIS_REPLIES_H
#define REDIS_REPLIES_H

#include "side.h"
#include "source.h"

/* A message whose reply is under way. */
struct replied {
	uint64_t handle;
	bool acked;
};

struct replies {
	bool wanted;
	struct side side; /* where wanted */
	const struct source_kind *kind; /* whose messages they are */
	void *instance;
	struct replied *ring; /* low .. next-1, in the order of their PUBLISH; size is a power of two */
	uint32_t size;
	uint64_t low, next;
	bool told_refused;
};

/* Zeroed before. False with a reason; replies_fini() is due in any case. */
bool replies_init(struct replies *replies, const struct source_kind *kind, void *instance, const struct source_making *making,
                  struct xf_error *error);
void replies_fini(struct replies *replies);

/* Connects, and settles what the server has answered. */
void replies_work(struct replies *replies, uint64_t now);

void replies_publish(struct replies *replies, const struct xf_reply *reply, uint64_t now);

/* Passes on what need not wait for a reply. */
void replies_settle(struct replies *replies, const struct xf_settlement *settlements, uint32_t count);

/* Waits a moment for the last of them. */
void replies_stop(struct replies *replies);

#endif
