/*
 * The words of the contract for what the configuration says.
 */
#include "conf/conf.h"

const char *
xf_conf_promise(const struct xf_conf_endpoint *source, const struct xf_conf_endpoint *sink)
{
	if (sink->traits & XF_TRAIT_EPHEMERAL)
		return "as the broker: those subscribed at that moment";
	if (source->traits & XF_TRAIT_LOSSY)
		return "what the broker delivered, bounded; overflow is dropped and counted";
	if (sink->when_down == XF_WHEN_DOWN_DROP)
		return "at least once while the sink is up; dropped and counted while it is down";
	if (sink->traits & XF_TRAIT_DEDUP)
		return "at least once; duplicates are stored once within the broker's window";
	return "at least once";
}

const char *
xf_conf_route_promise(const struct xf_conf_route *route, size_t source, size_t sink)
{
	const struct xf_conf_endpoint *to = route->to == XF_TO_MIGRATION ? &route->migration->sides[sink] : &route->sinks[sink];

	if (to->in_place)
		return "stands there already; nothing is published";
	if (route->to == XF_TO_ALL && route->require == XF_REQUIRE_ANY)
		return "settled once one of the sinks has it; the others get it as they can";
	if (route->to == XF_TO_ALL && route->require == XF_REQUIRE_FIRST && sink > 0)
		return "a copy as it can be delivered; never waited for";
	return xf_conf_promise(&route->sources[source], to);
}

const char *
xf_require_name(enum xf_require require)
{
	static const char *const words[] = {"all", "any", "first"};

	return words[require];
}

const char *
xf_stage_name(uint32_t percent, enum xf_mirror mirror)
{
	if (percent == 0)
		return mirror == XF_MIRROR_OFF ? "off" : "dualwrite";
	if (percent == 10000)
		return mirror == XF_MIRROR_OFF ? "complete" : "rampdown";
	return "live";
}

const char *
xf_mirror_name(enum xf_mirror mirror)
{
	switch (mirror) {
	case XF_MIRROR_OFF:
		return "false";
	case XF_MIRROR_ON:
		return "true";
	case XF_MIRROR_REQUIRED:
		break;
	}
	return "required";
}
