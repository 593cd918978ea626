/*
 * flow.h - everything that moves messages, from one configuration.
 *
 * Life: create (no network) -> start (threads; sinks before sources) -> drain -> destroy.
 *
 * Threads: create, start, drain and destroy on one thread; all others from any. A reload exchanges what is not alike:
 * whoever looks, from an index or a count on, does so between enter and leave; names, strings and confs are valid that long.
 */
#ifndef XF_FLOW_FLOW_H
#define XF_FLOW_FLOW_H

#include "dead/letters.h"
#include "flow/state.h"
#include "flow/status.h"

struct xf_flow;

/* Borrows CONF and STATE; both outlive the flow. NULL with a reason. */
struct xf_flow *xf_flow_create(const struct xf_conf *conf, struct xf_state *state, struct xf_error *error);
void xf_flow_start(struct xf_flow *flow);

/* Stops intake and waits until nothing is in flight or TIMEOUT_MS has passed; then stops all
 * endpoints, sources first. Returns how many messages were left unsettled (their brokers have
 * them still). */
uint64_t xf_flow_drain(struct xf_flow *flow, uint64_t timeout_ms);

/* After a drain: whether every thread has ended. A plugin that keeps one is named in the log; while it does the flow can neither be
 * destroyed nor its plugins closed, and all that is left to do is to end the process. */
bool xf_flow_stopped(struct xf_flow *flow);

/* Another thread cuts a drain short. */
void xf_flow_drain_now(struct xf_flow *flow);
void xf_flow_destroy(struct xf_flow **flow);

/* What a reload did, part by part: "route 'orders'". */
struct xf_reload_report {
	char **added, **changed, **removed, **kept;
	char **late; /* sentences: who was to end, and does not */
	size_t added_count, changed_count, removed_count, kept_count, late_count;
	bool server_differs; /* its settings hold from the next start on */
};

/*
 * Goes over to CONF, whose file has been found good. What is alike is left alone; of what is not, the new connects before
 * the old is let go, and what is under way is settled first, or goes the new way where its sinks are dead. XF_OK: CONF is
 * taken. XF_FAILED with a reason: nothing was changed, and CONF is the caller's. Blocks for as long as brokers take to
 * connect and to confirm, some seconds at most, and for a plugin that keeps a thread: what would have to be stopped must come
 * back first, or the reload is refused. One that comes back and then does not end is left behind, and no other reload goes
 * through until it has. REPORT is given back by fini.
 */
enum xf_status xf_flow_reload(struct xf_flow *flow, const struct xf_conf *conf, struct xf_reload_report *report,
                              struct xf_error *error);
void xf_reload_report_fini(struct xf_reload_report *report);

/* Blocks for the moment in which a reload exchanges parts. Not around xf_flow_reload(). */
void xf_flow_enter(struct xf_flow *flow);
void xf_flow_leave(struct xf_flow *flow);
/* The newest; what `server` says holds as it was at create. */
const struct xf_conf *xf_flow_conf(const struct xf_flow *flow);

/* What was refused for good; lives as long as the flow. */
struct xf_letters *xf_flow_letters(const struct xf_flow *flow);
/* Dead letters, chosen as by xf_letters_remove(), come into their routes again; *COUNT is how many it were. Those whose route is not
 * there any more stay. Between enter and leave; blocks on the disk. */
enum xf_status xf_flow_redeliver(struct xf_flow *flow, uint64_t number, const char *route, int64_t before_ms, uint64_t *count,
                                 struct xf_error *error);

/* [control] Says which plugins do not come back from a call; to be called every second or so. */
void xf_flow_watch(struct xf_flow *flow);

/* Every source has subscribed and every sink in use connected once; true from then on until drain. */
bool xf_flow_ready(struct xf_flow *flow);

size_t xf_flow_route_count(const struct xf_flow *flow);
size_t xf_flow_migration_count(const struct xf_flow *flow);

/* The caller gives back what was filled with xf_route_status_fini(). */
void xf_flow_route_status(const struct xf_flow *flow, size_t index, struct xf_route_status *status);
void xf_flow_migration_status(const struct xf_flow *flow, size_t index, struct xf_migration_status *status);

/* A transport's own report as JSON text, appended to OUT; nothing where its plugin has none. */
void xf_flow_transport_report(const struct xf_flow *flow, const struct xf_conf_transport *transport,
                              struct xf_buffer *out);

/* What a change would do, and whether it may be made. */
struct xf_migration_change {
	bool has_percent;
	bool has_mirror;
	bool force;       /* do not wait for the side that is left; allow a side that is down */
	bool rollback;    /* percent 0 with force */
	bool dry_run;     /* only say what would move */
	struct xf_position to;
};

struct xf_migration_effect {
	struct xf_position from;
	struct xf_position to;
	uint32_t lanes_moving;  /* of 10,000 buckets: those that change sides */
	uint32_t lanes_in_use;  /* of those: used by some route since it started */
};

/*
 * Commits the position before it takes effect for the next message. XF_FAILED with a reason where
 * it is refused (a rise towards a side that is down, no force) or cannot be stored.
 * WHO stands in the log. Blocks on the disk, and until every route has seen the change (milliseconds).
 */
enum xf_status xf_flow_migration_set(struct xf_flow *flow, size_t index, const struct xf_migration_change *change,
                                     const char *who, struct xf_migration_effect *effect, struct xf_error *error);

/* Index of a name, or SIZE_MAX. */
size_t xf_flow_route_find(const struct xf_flow *flow, struct xf_str name);
size_t xf_flow_migration_find(const struct xf_flow *flow, struct xf_str name);

/* What its handler NAME ("cache", "cache.2") answers an operator; XF_FAILED with a reason, and a status in RESPONSE. May take a second. */
enum xf_status xf_flow_handler_serve(const struct xf_flow *flow, size_t index, struct xf_str name,
                                     const struct xf_operator_request *request, struct xf_operator_response *response,
                                     struct xf_error *error);

/* A paused route takes nothing in; what is in flight goes on. What a source brings that cannot be held back is dropped
 * and counted. */
void xf_flow_route_pause(struct xf_flow *flow, size_t index, bool paused, const char *who);

#endif
