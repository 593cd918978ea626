/*
 * parts.h - what a flow is made of: for flow.c, which looks and steers, and reload.c, which exchanges.
 */
#ifndef XF_FLOW_PARTS_H
#define XF_FLOW_PARTS_H

#include <pthread.h>

#include "flow/flow.h"
#include "flow/route.h"

struct xf_flow {
	struct xf_holder *holder; /* of the newest configuration */
	struct xf_holder *first;  /* of the one it was created with, whose server settings hold */
	struct xf_state *state;
	struct xf_rejects *rejects;
	struct xf_transports transports;
	struct xf_migration **migrations;
	size_t migration_count;
	struct xf_route **routes;
	size_t route_count;
	pthread_mutex_t reload_lock;
	bool started; /* under reload_lock */
	pthread_mutex_t control_lock;
	pthread_rwlock_t parts_lock;
	_Atomic bool was_up; /* once; what breaks later is for health to tell */
	_Atomic bool draining;
	_Atomic bool drain_now;
};

/* Whether MIGRATION of CONF can stand there at all. */
enum xf_status xf_position_check(const struct xf_conf *conf, const struct xf_conf_migration *migration,
                                 struct xf_position position, struct xf_error *error);

/* Where it was committed to stand, else at the first values of CONF, which is of ALL. NULL with a reason. */
struct xf_migration *xf_flow_migration_make(struct xf_flow *flow, const struct xf_conf *all,
                                            const struct xf_conf_migration *conf, struct xf_error *error);

#endif
