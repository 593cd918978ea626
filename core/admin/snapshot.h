/*
 * snapshot.h - the server at one moment: what every answer is rendered from.
 *
 * Rendering (json.h, metrics.h) takes these plain values only, so it is tested without a flow.
 */
#ifndef XF_ADMIN_SNAPSHOT_H
#define XF_ADMIN_SNAPSHOT_H

#include "admin/control.h"
#include "admin/process.h"
#include "flow/flow.h"

struct xf_snapshot {
	const char *server;
	bool ready; /* and not draining */
	bool draining;
	struct xf_reload_status reload; /* generation 0: nobody can tell */
	struct xf_process process;
	struct xf_letters_sum dead;
	size_t route_count;
	struct xf_route_status *routes;
	size_t migration_count;
	struct xf_migration_status *migrations;
};

/* CONTROL may be NULL. */
void xf_snapshot_take(struct xf_snapshot *snapshot, const struct xf_conf *conf, struct xf_flow *flow,
                      const struct xf_control *control, bool draining);
void xf_snapshot_fini(struct xf_snapshot *snapshot);

/* Every route can do its work. */
bool xf_snapshot_healthy(const struct xf_snapshot *snapshot);

/* "up", "down", "blocked". Static. */
const char *xf_state_word(uint32_t state);

/* What tells the legs of a route apart: "old", "new", the names of the sinks in all and split; "" where there is one
 * plain sink. Lives as long as the flow. */
const char *xf_side_word(const struct xf_route_status *route, size_t leg);

#endif
