/*
 * lost.c - the server's list of what to offer again, put in order; see lost.h.
 *
 * The server offers again from a list, first in, first out. Lost connections leave that in any order: what could not be
 * sent is put on it again, what was sent in vain is not, and a request that nobody waits for any more takes the first one
 * off and sets "delivered" back by one. A nak adds to its end what is not on it; one with a delay takes off what is. So
 * each message goes off it and on again, and it is in order whatever it was. What we have only goes off it. What was
 * acked, even if nobody told us, is not pending: the server passes over all that is said of it, and nothing is waited for
 * in vain.
 */
#include "lost.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acks.h"

#define RANGE 100000u /* sequences looked through */
#define BEHIND 100u   /* and so many behind the last that the server says was delivered */

bool
lost_reclaim(struct link *link, struct slots *slots, const struct consumer_state *consumer, const char *durable,
             uint64_t *due)
{
	uint32_t delay_ms = consumer->ack_wait_ms < UINT32_MAX ? (uint32_t)consumer->ack_wait_ms : UINT32_MAX;
	uint64_t last = consumer->delivered_stream + BEHIND, sequence = consumer->floor_stream + 1;
	char text[640], inbox[64];
	struct xf_str reply = {text, 0};
	struct slot **ours;
	size_t count, i = 0;

	*due = 0;
	if (consumer->waiting > 0 || consumer->ack_pending <= (int64_t)slots->used || last < sequence)
		return false;
	if (last - sequence < RANGE)
		*due = (uint64_t)consumer->ack_pending - slots->used;
	else
		sequence = last - RANGE;
	ours = slots_in_order(slots, &count);
	for (; sequence <= last; sequence++) {
		while (i < count && ours[i]->sequence < sequence)
			i++;
		reply.len = (uint64_t)snprintf(text, sizeof(text), "$JS.ACK.%s.%s.1.%llu.%llu.0.0", consumer->stream, durable,
		                               (unsigned long long)sequence, (unsigned long long)consumer->delivered_consumer);
		ack_send(link, reply, XF_SETTLE_RETRY, delay_ms);
		if (i == count || ours[i]->sequence != sequence)
			ack_send(link, reply, XF_SETTLE_RETRY, 0);
	}
	free(ours);
	/* The last one again, with an answer: requests go another way and might overtake. */
	snprintf(inbox, sizeof(inbox), "%sz", link->inbox);
	link_publish(link, reply, (struct xf_str){inbox, strlen(inbox)}, "-NAK", 4);
	return true;
}
