/*
 * way.h - from an accepted message to its sinks, and back: the maker that copies it, the lanes that decide, and a pipe to
 * each connection of each sink.
 *
 * An inlet has one way at a time, and all of it runs on the inlet's thread; a reload gives the inlet another. Legs come back
 * through the inlet's inbox, whichever way made them, so an old way is ended only when none of its legs is out.
 *
 * The pipe to a sink opens under a new generation of its gate only when every leg of the old one is back, so what
 * failed stands in the held lists before anything later can be sent (sink.h).
 */
#ifndef XF_FLOW_WAY_H
#define XF_FLOW_WAY_H

#include "flow/chain.h"
#include "flow/lanes.h"
#include "flow/maker.h"
#include "flow/migration.h"
#include "flow/runner.h"
#include "flow/sink.h"
#include "flow/spooler.h"

/* What a way is made from; all of it outlives the way. */
struct xf_way_setup {
	const struct xf_conf_route *route;
	const struct xf_conf_server *server;
	struct xf_migration *migration; /* NULL: plain sinks */
	const struct xf_conf_endpoint *sink_conf[XF_CONF_SINKS_MAX]; /* a migration's old and new; those that are not there NULL */
	struct xf_sink *sinks[XF_PIPES_MAX]; /* each one's connections (xf_sink_connections()), one behind the other */
	struct xf_spooler *spoolers[XF_CONF_SINKS_MAX]; /* NULL: that sink has none */
	const struct xf_handlers *handlers; /* what comes goes through them first; NULL: none */
	struct xf_spooler *accepts; /* all goes to this spool alone, and is settled there; another way reads it back; NULL: none */
	bool replays; /* what comes is read from a spool: it is one leg of a message, and goes into none */
};

/* What the way tells its inlet. */
struct xf_way_ops {
	/* Every leg that must confirm has: settle. Once per delivery. */
	void (*settle)(void *context, struct xf_delivery *delivery);
	/* The sink refuses for good a LEG that DELIVERY waits for, before it is settled (lanes.h). */
	void (*refused)(void *context, struct xf_delivery *delivery, const struct xf_leg *leg, const char *sink);
};

/* The way to one connection of a sink. */
struct xf_pipe {
	struct xf_sink *sink;
	uint32_t gate; /* as read before the inbox */
	uint32_t generation;
	uint32_t out; /* legs sent and not back */
	struct xf_leg *first, *last; /* to be pushed */
	const struct xf_spooler *spooler; /* of its sink; NULL: it has none, or nothing goes there */
	enum xf_aside aside; /* as the lanes were told */
	uint64_t blocked_at; /* when the sink was first seen to be blocked; 0: it is not */
};

/* The way to the spool of a sink. */
struct xf_spool_pipe {
	uint32_t generation; /* read when nothing is out */
	uint32_t out;        /* legs appended and not back */
	uint32_t chained;    /* legs to be appended */
	struct xf_leg *first, *last;
};

struct xf_way {
	struct xf_way_setup setup;
	const struct xf_way_ops *ops;
	void *context;
	struct xf_lanes lanes;
	struct xf_pipe *pipes; /* as the lanes number them */
	struct xf_spool_pipe spools[XF_CONF_SINKS_MAX];
	struct xf_maker maker;
	struct xf_draft draft; /* of the message at hand */
	uint64_t now_ms;
	uint64_t tick_at; /* when the lanes want to be looked at */
	enum xf_aside pressed;
	uint32_t turns; /* how often it has changed where something read from a spool might go */
	uint32_t knobs_version;
	uint16_t forces;
	uint32_t moving_told; /* what the migration knows of lanes.moving_count */
	_Atomic uint32_t followed_version; /* for others to read */
};

/* Sinks ring RUNNER's bell when their gate changes, and legs come back to its inbox. Before it and the sinks run, or where
 * they have been attached already. */
struct xf_way *xf_way_create(const struct xf_way_setup *setup, struct xf_runner *runner, const struct xf_way_ops *ops,
                             void *context);
/* Nothing is sent any more: legs that come back stay. */
void xf_way_shut(struct xf_way *way);
/* No leg is out. What is open is given up: its broker has it. */
void xf_way_destroy(struct xf_way **way);

/* Before the inbox is taken: all legs that came back before the gates were so are in it then (sink.h). */
void xf_way_look(struct xf_way *way);
/* A leg of it that was in the inbox. NOW_NS: xf_now_ns(). */
void xf_way_returned(struct xf_way *way, struct xf_leg *leg, uint64_t now_ns);
/* What the gates and the migration's knobs say now, and what is due. */
void xf_way_follow(struct xf_way *way);
/* Pushes what is to be sent. */
void xf_way_flush(struct xf_way *way);
/* There is no room for what comes, and it cannot wait: so much of what has a spool to go to goes there, until there is room again. */
void xf_way_press(struct xf_way *way, enum xf_aside aside);

/* When it wants to be followed again at the latest; UINT64_MAX: when something comes. */
uint64_t xf_way_wants(const struct xf_way *way);

/* MESSAGE has passed xf_accept_check(). Where it can go nowhere NULL is returned with the reason in ERROR and what it is known
 * by in FIELDS, which borrow from MESSAGE and, until the next one is made, from the way. With release set the payload was adopted. */
struct xf_delivery *xf_way_make(struct xf_way *way, const struct xf_incoming *message, struct xf_fields *fields,
                                struct xf_error *error);
/* Whether MESSAGE, which was read from a spool and says so (replay.h), would go to a sink that is up. *SINK is that one, or UINT_MAX
 * where it is no matter since there is but one. What is said holds until `turns` is another. */
bool xf_way_takes(struct xf_way *way, const struct xf_incoming *message, unsigned *sink);

/* It may be settled before this returns. */
void xf_way_accept(struct xf_way *way, struct xf_delivery *delivery);

/* MESSAGE is DELIVERY, of FROM and with no leg out, as the source handed it in, but has an id in any case: tries that follow
 * go by the same. A payload that was adopted is MESSAGE's from then on; the rest borrows from DELIVERY. */
void xf_way_unmake(struct xf_way *from, struct xf_delivery *delivery, struct xf_incoming *message);

/* How many messages may be open at once. */
uint32_t xf_way_open_max(const struct xf_way *way);

bool xf_way_spools(const struct xf_way *way);

/* Whether it has as much as it may. */
bool xf_way_is_full(const struct xf_way *way, uint64_t open, uint64_t bytes);

/* Legs that are out: sent and not back; and of those the ones that a spool has, which come back by themselves. */
uint32_t xf_way_out(const struct xf_way *way);
uint32_t xf_way_spooling(const struct xf_way *way);

/* [any], while the way lives. Adds its numbers; legs of STATUS are set already. OLDEST_MS: age of what is open. */
void xf_way_status(const struct xf_way *way, uint64_t oldest_ms, struct xf_route_status *status);

/* The counters of FROM go on in TO, which takes over from it with as many sinks; nothing is in flight. */
void xf_way_inherit(struct xf_way *to, const struct xf_way *from);

#endif
