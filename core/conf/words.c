/*
 * The words of the contract for what the configuration says.
 */
#include "conf/conf.h"

/* From the weakest on; the last two take nothing away from a route that has another way. */
enum promise {
	PROMISE_EPHEMERAL,
	PROMISE_LOSSY,
	PROMISE_LOSSY_SPOOLED,
	PROMISE_WHILE_UP,
	PROMISE_ANY,
	PROMISE_ONCE,
	PROMISE_DEDUP,
	PROMISE_COPY,
	PROMISE_STANDS,
};

static const char *const promise_words[] = {
	[PROMISE_EPHEMERAL] = "as the broker: those subscribed at that moment",
	[PROMISE_LOSSY] = "what the broker delivered, bounded; overflow is dropped and counted",
	[PROMISE_LOSSY_SPOOLED] = "what the broker delivered, at least once, as long as the spool has room",
	[PROMISE_WHILE_UP] = "at least once while the sink is up; dropped and counted while it is down",
	[PROMISE_ANY] = "settled once one of the sinks has it; the others get it as they can",
	[PROMISE_ONCE] = "at least once",
	[PROMISE_DEDUP] = "at least once; duplicates are stored once within the broker's window",
	[PROMISE_COPY] = "a copy as it can be delivered; never waited for",
	[PROMISE_STANDS] = "stands there already; nothing is published",
};

enum xf_when_down
xf_conf_when_down(const struct xf_conf_route *route, const struct xf_conf_endpoint *sink)
{
	bool any = route->to == XF_TO_ALL && route->require == XF_REQUIRE_ANY; /* what one cannot take another does */

	if (sink->when_down != XF_WHEN_DOWN_UNSAID)
		return sink->when_down;
	if (route->request_ms > 0)
		return XF_WHEN_DOWN_WAIT; /* and nobody waits for longer */
	for (size_t i = 0; i < route->source_count && !any && !sink->in_place; i++)
		if (route->sources[i].traits & XF_TRAIT_LOSSY && !route->sources[i].accept_spooled)
			return XF_WHEN_DOWN_SPOOL;
	return XF_WHEN_DOWN_WAIT;
}

static enum promise
promise_of(const struct xf_conf_route *route, const struct xf_conf_endpoint *source, const struct xf_conf_endpoint *sink)
{
	enum xf_when_down when_down = xf_conf_when_down(route, sink);

	if (sink->traits & XF_TRAIT_EPHEMERAL)
		return PROMISE_EPHEMERAL;
	if (source->traits & XF_TRAIT_LOSSY)
		return source->accept_spooled || when_down == XF_WHEN_DOWN_SPOOL ? PROMISE_LOSSY_SPOOLED : PROMISE_LOSSY;
	if (when_down == XF_WHEN_DOWN_DROP)
		return PROMISE_WHILE_UP;
	return sink->traits & XF_TRAIT_DEDUP ? PROMISE_DEDUP : PROMISE_ONCE;
}

static enum promise
promise_of_way(const struct xf_conf_route *route, size_t source, size_t sink)
{
	const struct xf_conf_endpoint *to = route->to == XF_TO_MIGRATION ? &route->migration->sides[sink] : &route->sinks[sink];

	if (to->in_place)
		return PROMISE_STANDS;
	if (route->to == XF_TO_ALL && route->require == XF_REQUIRE_ANY)
		return PROMISE_ANY;
	if (route->to == XF_TO_ALL && route->require == XF_REQUIRE_FIRST && sink > 0)
		return PROMISE_COPY;
	return promise_of(route, &route->sources[source], to);
}

const char *
xf_conf_way_promise(const struct xf_conf_route *route, size_t source, size_t sink)
{
	return promise_words[promise_of_way(route, source, sink)];
}

const char *
xf_conf_route_promise(const struct xf_conf_route *route)
{
	size_t sinks = route->to == XF_TO_MIGRATION ? 2 : route->sink_count;
	enum promise weakest = PROMISE_STANDS;

	for (size_t source = 0; route->to == XF_TO_REPLY && source < route->source_count; source++)
		if (weakest > PROMISE_LOSSY)
			weakest = route->sources[source].traits & XF_TRAIT_LOSSY ? PROMISE_LOSSY : PROMISE_ONCE;
	for (size_t source = 0; source < route->source_count; source++)
		for (size_t sink = 0; sink < sinks; sink++)
			if (promise_of_way(route, source, sink) < weakest)
				weakest = promise_of_way(route, source, sink);
	return promise_words[weakest];
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
