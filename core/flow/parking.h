/*
 * parking.h - the messages of a merged route's inlet that wait until the other side has been read to its end (backlog.h). They
 * are made, and not accepted: their broker has them still.
 *
 * Threads: the source's. An inlet has one.
 */
#ifndef XF_FLOW_PARKING_H
#define XF_FLOW_PARKING_H

#include "conf/conf.h"
#include "flow/backlog.h"
#include "flow/delivery.h"

struct xf_parked {
	struct xf_parked *next;
	struct xf_delivery *delivery;
	uint16_t bucket; /* of the migration that is read */
};

struct xf_parking {
	const struct xf_conf_endpoint *source;
	struct xf_backlog *backlog; /* NULL: nothing waits */
	struct xf_backlog_view view;
	struct xf_parked *first, **end;
	uint32_t count;
	bool full;          /* as the backlog was told */
	uint64_t told_ms;   /* when the broker last said how much it has; 0: never */
	uint64_t at_end_ms; /* there was no more at this time, or at one after it; 0: not since the last was told */
	uint64_t seed;      /* of the migration's buckets */
	struct xf_buffer scratch;
};

/* Both outlive it. */
void xf_parking_init(struct xf_parking *parking, const struct xf_conf_endpoint *source, struct xf_backlog *backlog);
/* Nothing waits. */
void xf_parking_fini(struct xf_parking *parking);

/* Whether MESSAGE has to wait, and then its bucket. */
bool xf_parking_waits(struct xf_parking *parking, const struct xf_incoming *message, uint16_t *bucket);
void xf_parking_add(struct xf_parking *parking, struct xf_delivery *delivery, uint16_t bucket);

/* The broker of this side said how much it has that is not settled. */
void xf_parking_lag(struct xf_parking *parking, uint64_t lag);

/* Tells the backlog of this side, of which OPEN messages, of at most OPEN_MAX, are under way with those that wait; what need not
 * wait any more GOes, in order. */
void xf_parking_follow(struct xf_parking *parking, uint64_t open, uint64_t open_max, uint64_t now_ms, const char *name,
                       void (*go)(void *context, struct xf_delivery *delivery), void *context);

/* Each that waits becomes what REMAKE makes of it; NULL: it is gone. */
void xf_parking_remake(struct xf_parking *parking,
                       struct xf_delivery *(*remake)(void *context, struct xf_delivery *delivery), void *context);

#endif
