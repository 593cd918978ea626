/*
 * lost.h - has a consumer offer again, in order, what it has delivered and nobody has.
 *
 * Threads: the endpoint's own.
 */
#ifndef NATS_LOST_H
#define NATS_LOST_H

#include "setup.h"
#include "slots.h"

/*
 * Tells the server what is lost: what it counts as delivered and not acked, and is in no slot. No requests may be out. Returns
 * whether there was anything to tell; then an answer comes to the token 'z' of the link's inbox once the server has read
 * it all, and what is asked for after that begins with what was lost, in the order of the stream. That is DUE messages; 0: it
 * is not known how many.
 */
bool lost_reclaim(struct link *link, struct slots *slots, const struct consumer_state *consumer, const char *durable,
                  uint64_t *due);

#endif
