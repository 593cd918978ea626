/*
 * parts.h - what a flow is made of: for flow.c, which looks and steers, and reload.c, which exchanges.
 */
#ifndef XF_FLOW_PARTS_H
#define XF_FLOW_PARTS_H

#include <pthread.h>

#include "flow/flow.h"
#include "flow/route.h"

/* What a reload has exchanged, and cannot destroy yet: a plugin keeps a thread of it. */
struct xf_left {
	struct xf_route *old;
	struct xf_route *new; /* sources of it may be on their way over still; NULL: none was kept */
};

struct xf_flow {
	struct xf_holder *holder; /* of the newest configuration */
	struct xf_holder *first;  /* of the one it was created with, whose server settings hold */
	struct xf_state *state;
	struct xf_letters *letters;
	struct xf_transports transports;
	struct xf_spoolers spoolers;
	struct xf_requests *requests;
	struct xf_pools pools;
	struct xf_migration **migrations;
	size_t migration_count;
	struct xf_route **routes;
	size_t route_count;
	pthread_mutex_t reload_lock;
	uint64_t patience_ms; /* with a plugin that keeps a thread */
	/* under reload_lock */
	bool started;
	struct xf_left *left;
	size_t left_count;
	struct xf_migration **left_migrations; /* that those use */
	size_t left_migration_count;
	pthread_mutex_t control_lock;
	const struct xf_conf *coming; /* under control_lock: what a reload goes over to; no change may be against it */
	pthread_rwlock_t parts_lock;
	_Atomic bool was_up; /* once; what breaks later is for health to tell */
	_Atomic bool draining;
	_Atomic bool drain_now;
};

/* Destroys what was left and has ended meanwhile. One that still has not, or NULL. Under reload_lock, and under parts_lock
 * for writing. */
const struct xf_runner *xf_flow_reap(struct xf_flow *flow);

/* Whether MIGRATION of CONF can stand there at all. */
enum xf_status xf_position_check(const struct xf_conf *conf, const struct xf_conf_migration *migration,
                                 struct xf_position position, struct xf_error *error);

/* Where it was committed to stand, else at the first values of CONF, which is of ALL. NULL with a reason. */
struct xf_migration *xf_flow_migration_make(struct xf_flow *flow, const struct xf_conf *all,
                                            const struct xf_conf_migration *conf, struct xf_error *error);

#endif
