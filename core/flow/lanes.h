/*
 * lanes.h - the lanes of one inlet: where each message goes, in which order, and what happens when a leg
 * fails, a sink goes down or a migration moves. The heart of the flow, and pure: no threads, no
 * clock, no I/O. Time comes as an argument, effects leave through struct xf_lanes_ops.
 *
 * A lane is a bucket of keys and the unit of order. It has an authority, one of the destination's sinks, and for each sink a
 * number of legs under way and a held list. A sink has one or more pipes (connections); a lane uses one of them,
 * always the same. The moves are always the same: stop the lane, wait until nothing of it is under way (or take
 * its legs back), switch, resume.
 *
 *   retry      a leg comes back unsent: it is held, and all later ones of its lane and sink behind it;
 *              once nothing of them is under way they go again, in order, after a delay
 *   outage     the sink gives back all it has; everything is held until it is up
 *   spool      or, a moment later, goes to its spool, in order; so does what comes next, until the spool has nothing
 *              of the lane any more, which is read back by an inlet of its own (replay.h)
 *   aside      the sink is up and takes nothing, or not enough: what it has not confirmed is taken back and goes to its spool
 *   hand-over  a lane that moves lets its messages wait until nothing is under way or held at the
 *              sink that it leaves, nor in its spool, then opens at the other
 *   forced     does not wait: what the sink that is left has not confirmed goes to the other
 *              first, in order; what may have been sent already is counted as crossed
 *
 * Orders: in `strict` one leg of a lane and sink is under way at a time, and the next waits in the held list; in `none` a
 * failing leg is held alone.
 *
 * Threads: one, the source's. The atomics are for others to read.
 */
#ifndef XF_FLOW_LANES_H
#define XF_FLOW_LANES_H

#include "base/counter.h"
#include "base/histogram.h"
#include "flow/delivery.h"
#include "flow/destination.h"

#define XF_LANE_PAGE 100 /* lanes are made in pages, when first used */
#define XF_PIPES_MAX XF_CONF_CONNECTIONS_MAX

/* A lane at one sink. */
struct xf_lane_sink {
	uint32_t under_way; /* legs sent and not back, abandoned ones not counted */
	uint8_t pipe;
	bool stopped; /* a leg came back: nothing is sent until the rest is back too */
	bool spooling; /* what is under way is so to the spool */
	/* Set by whoever completes a leg that failed, for the sink to give back those queued behind it; cleared
	 * when nothing is under way. */
	_Atomic bool refused;
};

struct xf_lane {
	struct xf_lane_held *held; /* only while something is held, waits or moves */
	uint16_t bucket;
	uint8_t sink;   /* authoritative for what is dispatched */
	uint8_t target; /* which one is to be: differs while it moves */
	bool stuck;
	bool made;
	struct xf_lane_sink at[]; /* as many as the destination has */
};

/* Counters of one sink, at rest: accepted = confirmed + refused + dropped + crossed + moved + spooled + in flight. */
struct xf_leg_counters {
	_Atomic uint64_t accepted, confirmed, refused, dropped, crossed, moved, spooled, retried, copies, no_receiver;
	_Atomic uint64_t only; /* of a migration: messages that this side has confirmed and the other has not got */
	_Atomic uint64_t held; /* now */
	struct xf_histogram publish;
};

struct xf_lanes_sink {
	uint8_t pipe, pipes; /* its first, and how many; none: what comes already stands there */
	bool drop_when_down;
	bool spools;     /* what it cannot take goes to its spool */
	bool spool_drops; /* and is dropped where that is full */
	uint64_t down_at; /* in milliseconds, when a pipe of it was last seen to be down */
	uint32_t loose_out; /* legs that exist and that nobody waits for */
	uint64_t loose_bytes_out;
	struct xf_leg_counters counters;
};

struct xf_lanes_ops {
	/* Hands LEG to its sink by its pipe, or with to_spool set to its sink's spool; it comes back by xf_lanes_returned(),
	 * exactly once. */
	void (*send)(void *context, struct xf_leg *leg);
	/* What the spool of a sink that has one holds of BUCKET, with what is on its way there: a migration's copies, which are for
	 * that sink alone, or all else; whether a crash might leave some of all else to be found, if it was delivered or not; and how
	 * much it holds of everything. */
	uint32_t (*spooled)(void *context, unsigned sink, uint16_t bucket, bool copies);
	bool (*spool_stands)(void *context, unsigned sink, uint16_t bucket);
	uint64_t (*spooled_all)(void *context, unsigned sink);
	/* Every leg that must confirm has: settle. Once per delivery. */
	void (*settle)(void *context, struct xf_delivery *delivery);
	/* The sink refused for good a LEG that DELIVERY waits for. Called before it is settled. LEG may be done with, and its
	 * own delivery cleared, where others have been waited for since. */
	void (*refused)(void *context, struct xf_delivery *delivery, const struct xf_leg *leg);
	/* Settled and no leg out: the memory may go. The last call for a delivery. */
	void (*release)(void *context, struct xf_delivery *delivery);
};

struct xf_lanes {
	const struct xf_lanes_ops *ops;
	void *context;
	char *pages[XF_BUCKETS / XF_LANE_PAGE];
	uint32_t lane_size;                    /* in a page */
	uint32_t up;                           /* pipes, as bits */
	uint32_t aside;                        /* likewise: nothing goes by them, but to the spool of their sink */
	struct xf_lane_held *holders;          /* all lanes with a held structure */
	struct xf_delivery *oldest, *newest;   /* open deliveries, by acceptance */
	uint64_t sequence;
	uint32_t open;                         /* deliveries not settled */
	uint32_t moving_count;                 /* lanes that wait to stand elsewhere */
	uint8_t sink_count;
	uint8_t pipe_count;
	uint8_t standing;                      /* sinks, as bits, where every message stands already */
	struct xf_lanes_sink *sinks;
	struct xf_destination destination;
	/* settings */
	enum xf_order order;
	uint64_t handover_timeout_ms;
	struct xf_conf_retry retry;
	uint32_t loose_max;                    /* of one sink */
	uint64_t loose_bytes_max;
	bool shut;                             /* nothing is sent any more */
	uint64_t now_ms;
	uint64_t random;                       /* state of the jitter */
	/* for others to read */
	struct xf_histogram handover;          /* how long lanes that had to wait were held */
	_Atomic uint64_t moving[(XF_BUCKETS + 63) / 64];
	_Atomic uint64_t stuck[(XF_BUCKETS + 63) / 64];
	_Atomic uint32_t used;                 /* lanes made */
	_Atomic uint64_t used_map[(XF_BUCKETS + 63) / 64];
};

void xf_lanes_init(struct xf_lanes *lanes, const struct xf_lanes_ops *ops, void *context,
                   const struct xf_destination *destination, enum xf_order order);
/* Before the first message: the sinks of the destination in their order. Pipes are numbered as they come, and start down; a
 * sink without pipes is a place where every message stands already. */
void xf_lanes_add_sink(struct xf_lanes *lanes, unsigned pipes, bool drop_when_down);
/* The sink added last has a spool. */
void xf_lanes_add_spool(struct xf_lanes *lanes, bool drops, uint64_t now_ms);
unsigned xf_lanes_pipe_sink(const struct xf_lanes *lanes, unsigned pipe); /* which sink it leads to */
/* Every leg is back. What is still open is released, not settled. */
void xf_lanes_fini(struct xf_lanes *lanes);

/* Takes charge of DELIVERY: its bucket and payload size are set, all else that lanes use is zero. It may be settled
 * and released before this returns. */
void xf_lanes_accept(struct xf_lanes *lanes, struct xf_delivery *delivery, uint64_t now_ms);

/* The lane of BUCKET will be needed shortly. */
static inline void
xf_lanes_prefetch(const struct xf_lanes *lanes, uint16_t bucket)
{
	const char *page = lanes->pages[bucket / XF_LANE_PAGE];

	if (page != NULL)
		__builtin_prefetch(page + (size_t)(bucket % XF_LANE_PAGE) * lanes->lane_size, 1);
}

/* A leg is back, its result, flags and reason set. */
void xf_lanes_returned(struct xf_lanes *lanes, struct xf_leg *leg, uint64_t now_ms);

/* A pipe came up or went down. When it is down all of its legs are on their way back; up is told only once
 * they have been returned. */
void xf_lanes_pipe(struct xf_lanes *lanes, unsigned pipe, bool up, uint64_t now_ms);

/* How much of what a sink that spools has not confirmed goes to its spool instead, although the sink is up. */
enum xf_aside {
	XF_ASIDE_NOTHING,
	XF_ASIDE_QUEUED, /* what its plugin has not been offered: the rest is confirmed soon, and then what follows it goes */
	XF_ASIDE_ALL,    /* that, too: it may be stored twice */
};

/* What is sent next goes to the spool, and so does what PIPE has of that. The sink is to be asked for what it has queued. */
void xf_lanes_aside(struct xf_lanes *lanes, unsigned pipe, enum xf_aside aside, uint64_t now_ms);

/* Where what comes for BUCKET of a migration will go, once its lane has moved; and whether SINK is up for it. */
unsigned xf_lanes_target(struct xf_lanes *lanes, uint16_t bucket);
bool xf_lanes_sink_is_up(struct xf_lanes *lanes, uint16_t bucket, unsigned sink);

/* The knobs of the migration. Lanes head for their newest authority. Where the mirror is not required any more, no
 * delivery waits for its copies. */
void xf_lanes_set(struct xf_lanes *lanes, uint32_t percent, enum xf_mirror mirror, uint64_t now_ms);

/* Every lane that moves stops waiting for the sink it leaves. */
void xf_lanes_force(struct xf_lanes *lanes, uint64_t now_ms);

/* Delays that are over, hand-overs that take too long. Returns the milliseconds until it wants to be called
 * again, or UINT32_MAX. */
uint32_t xf_lanes_tick(struct xf_lanes *lanes, uint64_t now_ms);

#endif
