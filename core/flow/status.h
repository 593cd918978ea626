/*
 * status.h - the flow at a glance, as plain values, for whoever shows it.
 *
 * Filled from counters that their threads write without locks: each number is exact, two numbers may be
 * moments apart, and all agree once nothing moves.
 */
#ifndef XF_FLOW_STATUS_H
#define XF_FLOW_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/histogram.h"
#include "conf/conf.h"
#include "spool/spool.h"

#define XF_HANDLER_NUMBERS_MAX 16

struct xf_endpoint_status {
	const char *name; /* "orders/from", "orders/to/new"; lives as long as the flow, as all strings here do */
	const char *transport;
	const char *plugin;
	const char *subject;
	uint32_t state;   /* XF_STATE_* */
	bool was_up;      /* has been up once */
	char reason[256]; /* empty when up */
	uint64_t reconnects;
	uint64_t violations; /* promises of plugin.h that the plugin broke, each ignored */
	uint64_t late;       /* replies that it brought when nobody waited for them any more */
	struct xf_sight sight;  /* the newest; known: 0 before the first */
	uint64_t sight_age_ms;
	bool spools;           /* it has a spool, of which: */
	struct xf_spool_numbers spool;
	uint64_t spool_age_ms; /* of the oldest message in it */
};

/* One way out of a route: a sink, with the counters of its legs. A leg is one message to one sink.
 * At rest: accepted = confirmed + refused + dropped + crossed + moved + spooled + in_flight. What is read back from the spool is
 * accepted once more. */
struct xf_leg_status {
	struct xf_endpoint_status sink;
	uint64_t accepted;     /* legs made, authoritative ones and copies */
	uint64_t confirmed;
	uint64_t refused;      /* for good */
	uint64_t dropped;      /* copies that were not required; messages under when_down: drop */
	uint64_t crossed;      /* taken over by the other side with their outcome here unknown */
	uint64_t moved;        /* taken over by the other side, certainly never sent here */
	uint64_t spooled;      /* gone to the spool */
	uint64_t in_flight;    /* sent or held */
	uint64_t retried;      /* legs offered again */
	uint64_t copies;       /* of accepted: mirror copies */
	uint64_t no_receiver;  /* of confirmed: nobody was subscribed */
	uint64_t only;         /* of a migration: messages that this side alone holds, since no copy reached the other */
	uint64_t oldest_ms;    /* age of the oldest leg in flight */
	struct xf_histogram_snapshot publish; /* taken by the plugin to confirmed */
};

/* A handler, at its place in the route. At rest: taken = passed + dropped + failed + delayed + refused + cancelled + held. */
struct xf_handler_status {
	const char *name; /* "orders/filter" */
	const char *plugin;
	bool threaded;    /* it has a thread, and with it: */
	uint32_t state;   /* XF_STATE_* */
	char reason[256];
	uint64_t taken;
	uint64_t passed, dropped, failed, delayed, refused;
	uint64_t cancelled; /* taken back: time-outs, and reloads */
	uint64_t violations;
	uint32_t number_count;
	struct xf_number numbers[XF_HANDLER_NUMBERS_MAX]; /* its plugin's own */
};

/* What went back to those who asked. */
struct xf_reply_status {
	uint64_t sent;
	uint64_t failed;    /* of these: said that it failed */
	uint64_t timed_out; /* of failed: nothing came from the destination in time */
	uint64_t unasked;   /* made, but nobody waited: dropped */
	uint64_t awaited;   /* requests that the destination has not answered yet */
};

struct xf_route_status {
	const char *name;
	const char *promise;
	const char *migration; /* NULL: a plain sink */
	bool paused;
	bool ok;
	char reason[256]; /* why not ok: "sink orders/to/new is down: connection refused" */
	/* At rest: accepted = acked + rejected + overflow + filtered + copies + duplicates + in_flight; what was refused after it had stood
	 * in a spool was acked then, and is rejected too. */
	uint64_t accepted;  /* messages that sources handed in */
	uint64_t acked;     /* settled with ack after every confirmation needed */
	uint64_t rejected;  /* refused by the core or a broker for good; kept as dead letters */
	uint64_t overflow;  /* dropped: the source cannot be held back */
	uint64_t filtered;  /* not of the route's subject; acked */
	uint64_t copies;    /* of a migration that is read: marked copies, acked and not sent on */
	uint64_t duplicates; /* had already come, perhaps by the other side of a migration; acked */
	uint64_t in_flight; /* messages */
	uint64_t in_flight_bytes;
	uint64_t redelivered; /* flagged so by the source's broker */
	struct xf_reply_status replies;
	struct xf_histogram_snapshot handover; /* how long a moving lane was held */
	const char *pool; /* NULL: none; else of that: */
	uint32_t pool_priority;
	uint64_t pool_waiting; /* messages that wait for a slot */
	uint64_t pool_busy;    /* slots that the route has */
	size_t source_count;
	struct xf_endpoint_status *sources;
	size_t handler_count;
	struct xf_handler_status *handlers;
	size_t leg_count; /* 1, or old and new */
	struct xf_leg_status *legs;
};

struct xf_migration_status {
	const char *name;
	uint32_t percent; /* hundredths */
	enum xf_mirror mirror;
	uint32_t lanes_new; /* of 10,000 buckets, those whose authority is new and that do not move */
	uint32_t lanes_moving;
	uint32_t lanes_stuck; /* moving for longer than handover_timeout */
	uint64_t crossed;
	struct xf_conf_place place;
	struct xf_leg_status sides[2]; /* sums over its routes; state: the worst */
};

/* Gives back what it points to. */
void xf_route_status_fini(struct xf_route_status *status);

#endif
