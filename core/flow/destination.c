#include "flow/destination.h"

void
xf_destination_init(struct xf_destination *destination, const struct xf_conf_route *route,
                    const struct xf_conf_migration *migration)
{
	uint32_t below = 0;

	*destination = (struct xf_destination){
		.to = route->to,
		.sink_count = (uint8_t)route->sink_count,
		.require = route->require,
	};
	if (migration != NULL) {
		destination->to = XF_TO_MIGRATION;
		destination->sink_count = 2;
		destination->percent = migration->percent;
		destination->mirror = migration->mirror;
	}
	for (unsigned sink = 0; destination->to == XF_TO_SPLIT && sink < destination->sink_count; sink++) {
		below += route->weights[sink];
		destination->below[sink] = (uint16_t)below;
	}
}

uint8_t
xf_destination_authority(const struct xf_destination *destination, uint16_t bucket)
{
	uint8_t sink = 0;

	if (destination->to == XF_TO_MIGRATION)
		return bucket < destination->percent;
	if (destination->to == XF_TO_SPLIT)
		while (sink + 1 < destination->sink_count && bucket >= destination->below[sink])
			sink++;
	return sink;
}

struct xf_legs_plan
xf_destination_legs(const struct xf_destination *destination, uint8_t authority)
{
	struct xf_legs_plan plan = {.authority_need = XF_NEED_IT};

	if (destination->to == XF_TO_MIGRATION && destination->mirror != XF_MIRROR_OFF) {
		plan.further = (uint8_t)(1u << !authority);
		plan.further_need = destination->mirror == XF_MIRROR_REQUIRED ? XF_NEED_IT : XF_NEED_NOT;
		plan.copies = true;
	}
	if (destination->to == XF_TO_ALL) {
		plan.further = (uint8_t)(((1u << destination->sink_count) - 1) & ~(1u << authority));
		plan.further_need = destination->require == XF_REQUIRE_ALL ? XF_NEED_IT : XF_NEED_NOT;
		if (destination->require == XF_REQUIRE_ANY)
			plan.authority_need = plan.further_need = XF_NEED_ANY;
	}
	return plan;
}

unsigned
xf_destination_legs_max(const struct xf_destination *destination)
{
	if (destination->to == XF_TO_MIGRATION || destination->to == XF_TO_ALL)
		return destination->sink_count;
	return 1;
}
