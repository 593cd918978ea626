/*
 * What JSON and metrics share about a snapshot. Apart from snapshot.c, which needs a flow.
 */
#include "admin/snapshot.h"

bool
xf_snapshot_healthy(const struct xf_snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->route_count; i++)
		if (!snapshot->routes[i].ok)
			return false;
	return true;
}

const char *
xf_state_word(uint32_t state)
{
	switch (state) {
	case XF_STATE_UP:
		return "up";
	case XF_STATE_BLOCKED:
		return "blocked";
	default:
		return "down";
	}
}

/* The sinks of a route are called "ROUTE/to/SIDE", a single one "ROUTE/to". */
const char *
xf_side_word(const struct xf_route_status *route, size_t leg)
{
	const char *name = route->legs[leg].sink.name;
	size_t head = strlen(route->name) + strlen("/to/");

	return strlen(name) > head ? name + head : "";
}
