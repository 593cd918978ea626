/*
 * A sink of the embedded broker: publishing is a copy, and complete at once.
 */
#include <stdio.h>
#include <stdlib.h>

#include "broker.h"
#include "local.h"

struct sink {
	struct producer producer;
	bool reported;
};

static uint64_t
sink_traits(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint)
{
	(void)endpoint;
	return XF_TRAIT_HEADERS | (host->option(transport, TRANSPORT_DEDUP_WINDOW)->i64 > 0 ? XF_TRAIT_DEDUP : 0);
}

static int32_t
sink_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared, const struct xf_config *transport,
            const struct xf_config *config, const struct xf_endpoint_info *info, void **instance,
            struct xf_error *error)
{
	struct sink *sink = calloc(1, sizeof(*sink));

	(void)host;
	(void)transport;
	(void)config;
	(void)info;
	if (sink == NULL) {
		snprintf(error->text, sizeof(error->text), "no memory for the sink");
		return -1;
	}
	producer_init(&sink->producer, shared, endpoint);
	*instance = sink;
	return 0;
}

static void
sink_start(void *instance)
{
	struct sink *sink = instance;

	producer_start(&sink->producer);
}

static void
sink_work(void *instance, struct xf_work *work)
{
	struct sink *sink = instance;
	struct producer *p = &sink->producer;

	if (!sink->reported) {
		sink->reported = true;
		p->broker->host->state(p->endpoint, XF_STATE_UP, NULL);
	}
	work->room = producer_room(p);
}

static uint32_t
sink_publish(void *instance, const struct xf_outgoing *messages, uint32_t stride, uint32_t count)
{
	struct sink *sink = instance;

	return producer_publish(&sink->producer, messages, stride, count);
}

static void
sink_stop(void *instance)
{
	struct sink *sink = instance;

	producer_stop(&sink->producer);
}

static void
sink_destroy(void *instance)
{
	struct sink *sink = instance;

	producer_fini(&sink->producer);
	free(sink);
}

const struct xf_sink_ops local_sink = {
	.struct_size = sizeof(local_sink),
	.traits = sink_traits,
	.address = local_address,
	.create = sink_create,
	.start = sink_start,
	.work = sink_work,
	.publish = sink_publish,
	.stop = sink_stop,
	.destroy = sink_destroy,
};
