#include "host/host.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "conf/conf.h"

static void
host_log(struct xf_endpoint *endpoint, uint32_t level, const char *text)
{
	xf_log(level, endpoint != NULL ? endpoint->name : "plugin", "%s", text);
}

static void
host_wake(struct xf_endpoint *endpoint)
{
	endpoint->calls->wake(endpoint);
}

static void
host_state(struct xf_endpoint *endpoint, uint32_t state, const char *reason)
{
	endpoint->calls->state(endpoint, state, reason);
}

static uint32_t
host_emit(struct xf_endpoint *endpoint, const struct xf_incoming *messages, uint32_t stride, uint32_t count)
{
	return endpoint->calls->emit(endpoint, messages, stride, count);
}

static void
host_complete(struct xf_endpoint *endpoint, const struct xf_result *results, uint32_t count)
{
	endpoint->calls->complete(endpoint, results, count);
}

static void
host_settle_within(struct xf_endpoint *endpoint, uint32_t milliseconds)
{
	endpoint->calls->settle_within(endpoint, milliseconds);
}

static void
host_sight(struct xf_endpoint *endpoint, const struct xf_sight *sight)
{
	struct xf_sight whole = {.struct_size = 0};
	size_t size = sight->struct_size < sizeof(whole) ? sight->struct_size : sizeof(whole);

	memcpy(&whole, sight, size); /* of an older plugin: what it does not know is zero */
	endpoint->calls->sight(endpoint, &whole);
}

static void
host_finish(struct xf_endpoint *endpoint, const struct xf_outcome *outcomes, uint32_t stride, uint32_t count)
{
	if (endpoint->calls->finish != NULL) /* nothing that a transport has can be finished */
		endpoint->calls->finish(endpoint, outcomes, stride, count);
}

static void
host_replied(struct xf_endpoint *endpoint, const struct xf_replied *replies, uint32_t stride, uint32_t count)
{
	if (endpoint->calls->replied != NULL) /* nothing that comes from elsewhere is a reply */
		endpoint->calls->replied(endpoint, replies, stride, count);
}

static const void *
host_get_ext(const char *name)
{
	(void)name;
	return NULL;
}

const struct xf_host *
xf_host(void)
{
	static const struct xf_host host = {
		.struct_size = sizeof(struct xf_host),
		.abi_minor = XF_ABI_MINOR,
		.option = xf_config_option,
		.now_ms = xf_now_ms,
		.wall_ms = xf_wall_ms,
		.log = host_log,
		.wake = host_wake,
		.state = host_state,
		.emit = host_emit,
		.complete = host_complete,
		.settle_within = host_settle_within,
		.get_ext = host_get_ext,
		.sight = host_sight,
		.finish = host_finish,
		.replied = host_replied,
	};

	return &host;
}
