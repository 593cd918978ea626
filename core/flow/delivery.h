/*
 * delivery.h - a message under way, and the duty to answer for it.
 *
 * A source makes one delivery per message. It is settled exactly once, when every leg that must
 * confirm has. A leg is the message on its way to one sink: the authoritative one, and further ones
 * where the destination has several (destination.h).
 *
 * Memory: a delivery, its legs, its subjects, its header array and its bytes lie side by side in a chunk of the
 * maker that made it (maker.c). It lives until it is settled and no leg of it is out.
 *
 * Threads: the source's thread owns deliveries and legs. A leg that was sent belongs to the
 * sink's thread until it comes back through the inlet's inbox; meanwhile the source's thread touches only
 * its state word, and who needs it, which is nothing to the sink.
 */
#ifndef XF_FLOW_DELIVERY_H
#define XF_FLOW_DELIVERY_H

#include <stdatomic.h>
#include <stdbool.h>

#include <crossfade/transport.h>

#include "base/inbox.h"
#include "flow/destination.h"

struct xf_lane;
struct xf_chunk;
struct xf_job;

#define XF_SIDES 2 /* a migration's old and new */

/* What a leg is to the sink's thread. */
enum {
	XF_LEG_QUEUED,   /* sent to the sink, not offered to its plugin */
	XF_LEG_TAKEN,    /* the plugin may have it */
	XF_LEG_RECALLED, /* the inlet wants it back: not to be published any more */
};

/* Whether a sink refused the message for good, and whether it could be kept. */
enum {
	XF_REFUSED_NOT,
	XF_REFUSED_KEPT,
	XF_REFUSED_NOT_KEPT, /* to be offered again */
	XF_REFUSED_UNSURE,   /* kept, but perhaps not on disk: to be offered again */
};

struct xf_leg {
	struct xf_node node; /* first: legs travel in inboxes and lists by it */
	struct xf_delivery *delivery;
	char *reason;      /* of a failure, on the heap; NULL: none */
	char *wrapped;     /* the message in the envelope of its sink, on the heap; NULL: it has none */
	char *dedup_id;    /* where the id alone would not do, on the heap; NULL: it does */
	char *reply_to;    /* of a request: where its sink wants the reply, on the heap; NULL: nowhere */
	uint64_t taken_ns; /* when the plugin took it */
	uint64_t retry_at; /* where no order is kept and it is held: when it goes again, in milliseconds */
	_Atomic uint32_t state;
	uint32_t generation; /* of the sink as the inlet knew it when it sent the leg */
	uint32_t attempts;
	uint32_t failures; /* attempts that count by the route's retry policy */
	uint8_t result; /* XF_RESULT_*, once back */
	uint8_t result_flags;
	uint8_t sink;   /* where it goes */
	uint8_t pipe;   /* by which of the lanes' pipes */
	uint8_t need;   /* XF_NEED_* */
	uint8_t maybe;  /* sinks, as bits, to which it was sent once with its outcome unknown */
	bool copy;      /* a migration's mirror copy, marked so */
	bool held;      /* in its lane's held list */
	bool bounced;   /* came back without having been offered: no fault of the message */
	bool down;      /* bounced because the sink is down */
	bool abandoned; /* recalled: whatever comes back is too late */
	bool extra;     /* allocated by itself */
	bool to_spool;  /* is, or was last, on its way to the spool of its sink */
	uint8_t role;   /* what a record says of it: enum xf_spooled_role */
};

struct xf_delivery {
	struct xf_delivery *older; /* the open ones, by acceptance */
	struct xf_delivery *newer;
	struct xf_delivery *waiting_next; /* in its lane's waiting list */
	struct xf_lane *lane;
	uint64_t sequence; /* of acceptance, within the inlet */
	uint64_t accepted_ms;
	struct xf_leg *authority; /* the leg whose confirmation makes it stand; NULL once it does */
	uint16_t bucket;
	uint16_t unconfirmed; /* legs that must still confirm */
	uint16_t out;         /* legs that exist */
	uint16_t copies_due;  /* of unconfirmed: copies */
	uint8_t legs;         /* that it was dispatched with */
	uint8_t copied;       /* sinks, as bits, that have a copy which must confirm */
	uint8_t stored;       /* sinks, as bits, that have confirmed it */
	bool waived;          /* its copies need not confirm any more */
	bool open;            /* not settled */
	uint8_t refused;      /* XF_REFUSED_* */
	uint8_t replayed;     /* 1 + enum xf_spooled_role: it was one leg of a message, and goes on as that; 0: it is new */
	uint8_t replayed_to;  /* the sink of that leg, if it has one of its own */
	uint64_t request;     /* its authority's reply is awaited under this number (requests.h); 0: none is */
	struct xf_job *job;   /* what handlers made it of, which is settled in its place; NULL: it is its source's */
	uint64_t letter;      /* number of the dead letter that it is, whose store is its source; 0: it has its inlet's */
	struct xf_leg leg;    /* the first */

	struct xf_inbox *home; /* where its legs go back to */

	/* the maker's */
	struct xf_chunk *chunk;
	uint64_t handle;
	void (*release)(void *context);
	void *release_context;
	struct xf_str subject; /* as accepted */
	const struct xf_str *to; /* resolved for each sink that may get it, by the sink's number */
	struct xf_str id;      /* followed in memory by "/copy" */
	struct xf_str key;     /* what the route's template made of it */
	struct xf_str key_given; /* as the source gave it */
	struct xf_str reply;
	struct xf_str content_type;
	const void *payload;
	uint64_t payload_size;
	/* Those of crossfade's that the source gave, which no sink is shown; headers: the message's own, then crossfade's, then
	 * Crossfade-Copy, which only a copy shows. */
	const struct xf_header *headers_given;
	const struct xf_header *headers;
	uint32_t header_count; /* without Crossfade-Copy */
	uint32_t headers_given_count; /* with the message's own, which lie behind them */
	uint32_t priority;
	bool id_made; /* here: it came without one */
	int64_t time_ms;
	uint64_t ttl_ms;
};

/* Further legs, as many as the destination may need, lie in front of the delivery, so that behind every leg there are soon
 * the message's bytes. */
static inline struct xf_leg *
xf_delivery_leg(struct xf_delivery *delivery, unsigned index)
{
	return index == 0 ? &delivery->leg : (struct xf_leg *)delivery - index;
}

#endif
