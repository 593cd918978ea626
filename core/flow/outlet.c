#include "flow/outlet.h"

#include <stdlib.h>

#include "base/memory.h"

struct xf_outlet *
xf_outlet_create(char *name, const struct xf_sink_setup *setup, struct xf_error *error)
{
	unsigned count = xf_sink_connections(setup->conf);
	struct xf_outlet *outlet = xf_alloc(sizeof(*outlet) + count * sizeof(outlet->sinks[0]));

	outlet->name = name;
	outlet->conf = setup->conf;
	for (unsigned i = 0; i < count; i++) {
		char *own = count > 1 ? xf_format("%s/%u", name, i + 1) : xf_strdup(name);

		outlet->sinks[i] = xf_sink_create(own, setup, error);
		if (outlet->sinks[i] == NULL) {
			xf_outlet_destroy(&outlet);
			return NULL;
		}
		outlet->count++;
	}
	return outlet;
}

void
xf_outlet_destroy(struct xf_outlet **outlet)
{
	if (*outlet == NULL)
		return;
	for (unsigned i = 0; i < (*outlet)->count; i++)
		xf_sink_destroy(&(*outlet)->sinks[i]);
	free((*outlet)->name);
	free(*outlet);
	*outlet = NULL;
}

void
xf_outlet_start(struct xf_outlet *outlet)
{
	for (unsigned i = 0; i < outlet->count; i++)
		xf_sink_start(outlet->sinks[i]);
}

static unsigned
badness(uint32_t state)
{
	return state == XF_STATE_UP ? 0 : state == XF_STATE_BLOCKED ? 1 : 2;
}

uint32_t
xf_outlet_state(const struct xf_outlet *outlet)
{
	uint32_t worst = XF_STATE_UP;

	for (unsigned i = 0; i < outlet->count; i++) {
		uint32_t state = xf_sink_state(outlet->sinks[i]);

		if (badness(state) > badness(worst))
			worst = state;
	}
	return worst;
}

bool
xf_outlet_was_up(const struct xf_outlet *outlet)
{
	bool up = true;

	for (unsigned i = 0; i < outlet->count; i++)
		up = up && xf_sink_was_up(outlet->sinks[i]);
	return up;
}

void
xf_outlet_status(struct xf_outlet *outlet, struct xf_endpoint_status *status)
{
	const struct xf_conf_endpoint *conf = outlet->conf;
	uint64_t reconnects = 0, violations = 0, late = 0;

	/* Where nothing is published nothing can be wrong. */
	*status = (struct xf_endpoint_status){
		.transport = conf->transport->name,
		.plugin = conf->transport->plugin,
		.subject = conf->shown != NULL ? conf->shown : conf->subject,
		.state = XF_STATE_UP,
	};
	for (unsigned i = 0; i < outlet->count; i++) {
		struct xf_endpoint_status one = {.name = NULL}; /* what has no spool says nothing of one */

		xf_sink_status(outlet->sinks[i], &one);
		reconnects += one.reconnects;
		violations += one.violations;
		late += one.late;
		if (i == 0 || badness(one.state) > badness(status->state))
			*status = one;
	}
	status->name = outlet->name;
	status->was_up = xf_outlet_was_up(outlet);
	status->reconnects = reconnects;
	status->violations = violations;
	status->late = late;
}
