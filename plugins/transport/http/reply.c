/*
 * A sink that brings replies: each message goes to the request that waits on its subject. One that nobody waits for any
 * more has come too late, which is its fate, not a failure: it is confirmed as received by nobody.
 */
#include <stdlib.h>

#include "plugin.h"

#define ROOM 256u

struct replies {
	struct sink_head head;
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct transport *transport;
	bool up, told;
};

static int32_t
reply_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared, const struct xf_config *transport,
             const struct xf_config *config, const struct xf_endpoint_info *info, void **instance,
             struct xf_error *error)
{
	struct transport *t = shared;
	struct replies *sink = calloc(1, sizeof(*sink));

	(void)transport, (void)config;
	if (sink == NULL)
		return settings_fail(error, "no memory");
	*sink = (struct replies){{&reply_sink}, host, endpoint, t, false, false};
	exchange_name(&t->exchange, info->server);
	exchange_repliers(&t->exchange, 1);
	listener_enter(t->listener);
	*instance = sink;
	return 0;
}

static void
reply_start(void *instance)
{
	(void)instance; /* work() does all */
}

static void
reply_work(void *instance, struct xf_work *work)
{
	struct replies *sink = instance;
	struct xf_error error;
	uint32_t retry_ms;

	if (!sink->up && !listener_ensure(sink->transport->listener, &error, &retry_ms)) {
		if (!sink->told)
			sink->host->state(sink->endpoint, XF_STATE_DOWN, error.text);
		sink->told = true;
		work->timeout_ms = retry_ms < work->timeout_ms ? retry_ms : work->timeout_ms;
		return;
	}
	if (!sink->up)
		sink->host->state(sink->endpoint, XF_STATE_UP, NULL);
	sink->up = true;
	work->room = ROOM;
}

static uint32_t
reply_publish(void *instance, const struct xf_outgoing *messages, uint32_t stride, uint32_t count)
{
	struct replies *sink = instance;
	struct xf_result results[ROOM];

	if (count > ROOM)
		count = ROOM;
	for (uint32_t i = 0; i < count; i++) {
		const struct xf_outgoing *m = (const void *)((const char *)messages + (size_t)i * stride);
		bool waited = exchange_reply(&sink->transport->exchange, m);

		results[i] = (struct xf_result){
			.token = m->token, .code = XF_RESULT_STORED, .flags = waited ? 0 : XF_RESULT_NO_RECEIVER};
	}
	sink->host->complete(sink->endpoint, results, count);
	return count;
}

static void
reply_stop(void *instance)
{
	(void)instance; /* each message was completed when it came */
}

static void
reply_destroy(void *instance)
{
	struct replies *sink = instance;

	listener_leave(sink->transport->listener);
	exchange_repliers(&sink->transport->exchange, -1);
	free(sink);
}

const struct xf_sink_ops reply_sink = {
	.struct_size = sizeof(reply_sink),
	.create = reply_create,
	.start = reply_start,
	.work = reply_work,
	.publish = reply_publish,
	.stop = reply_stop,
	.destroy = reply_destroy,
};
