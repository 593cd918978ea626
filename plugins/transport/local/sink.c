/*
 * A sink of the embedded broker: publishing is a copy, and complete at once.
 */
#include <stdio.h>
#include <stdlib.h>

#include "broker.h"
#include "local.h"
#include "pattern.h"

#define PATTERN_SIZE 256

struct sink {
	struct producer producer;
	bool reported;
	bool blocked;
	uint64_t sight_ms; /* when it is told next */
	struct xf_str pattern; /* of what it can publish to */
	char pattern_text[PATTERN_SIZE];
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
	if (sink == NULL) {
		snprintf(error->text, sizeof(error->text), "no memory for the sink");
		return -1;
	}
	sink->pattern = pattern_of_template(info->subject, sink->pattern_text, sizeof(sink->pattern_text));
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

/* BLOCKED while the file cannot be written. */
static void
sink_tell_state(struct sink *sink)
{
	struct producer *p = &sink->producer;
	const struct xf_host *host = p->broker->host;
	char reason[512];
	bool blocked = broker_blocked(p->broker, reason, sizeof(reason));

	if (sink->reported && blocked == sink->blocked)
		return;
	sink->reported = true;
	sink->blocked = blocked;
	host->state(p->endpoint, blocked ? XF_STATE_BLOCKED : XF_STATE_UP, blocked ? reason : NULL);
}

static void
sink_tell_sight(struct sink *sink)
{
	struct producer *p = &sink->producer;
	uint64_t now = p->broker->host->now_ms();
	struct xf_sight sight;

	if (now < sink->sight_ms)
		return;
	sink->sight_ms = now + BROKER_SIGHT_MS;
	sight = broker_sight(p->broker, sink->pattern);
	p->broker->host->sight(p->endpoint, &sight);
}

static void
sink_work(void *instance, struct xf_work *work)
{
	struct sink *sink = instance;

	sink_tell_state(sink);
	sink_tell_sight(sink);
	work->room = producer_room(&sink->producer);
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
