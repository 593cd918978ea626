#include "admin/snapshot.h"

#include <stdlib.h>

#include "base/memory.h"

void
xf_snapshot_take(struct xf_snapshot *snapshot, const struct xf_conf *conf, struct xf_flow *flow,
	         const struct xf_control *control, bool draining)
{
	*snapshot = (struct xf_snapshot){
		.server = conf->server.name,
		.ready = !draining && xf_flow_ready(flow),
		.draining = draining,
		.route_count = xf_flow_route_count(flow),
		.migration_count = xf_flow_migration_count(flow),
	};
	xf_process_read(&snapshot->process);
	xf_letters_sum(xf_flow_letters(flow), &snapshot->dead);
	if (control != NULL)
		control->status(control->context, &snapshot->reload);
	snapshot->routes = xf_alloc_array(snapshot->route_count, sizeof *snapshot->routes);
	for (size_t i = 0; i < snapshot->route_count; i++)
		xf_flow_route_status(flow, i, &snapshot->routes[i]);
	snapshot->migrations = xf_alloc_array(snapshot->migration_count, sizeof *snapshot->migrations);
	for (size_t i = 0; i < snapshot->migration_count; i++)
		xf_flow_migration_status(flow, i, &snapshot->migrations[i]);
}

void
xf_snapshot_fini(struct xf_snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->route_count; i++)
		xf_route_status_fini(&snapshot->routes[i]);
	free(snapshot->routes);
	free(snapshot->migrations);
	xf_buffer_fini(&snapshot->reload.errors);
	*snapshot = (struct xf_snapshot){0};
}
