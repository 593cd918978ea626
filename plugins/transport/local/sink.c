/*
 * A sink of the embedded broker: publishing is a copy, and complete at once. The replies to requests come by a subscription of its own.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "broker.h"
#include "digits.h"
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
	bool requests;         /* it makes some, with: */
	struct member replies;
	char reply_prefix[40]; /* "crossfade.reply.3f...", behind which the request's number stands */
};

static uint64_t
sink_traits(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint)
{
	(void)endpoint;
	return XF_TRAIT_HEADERS | XF_TRAIT_REQUESTS | (host->option(transport, TRANSPORT_DEDUP_WINDOW)->i64 > 0 ? XF_TRAIT_DEDUP : 0);
}

/* What others have published there before is not for it, so no other process and no other sink may have the same. */
static bool
replies_init(struct sink *sink, struct broker *broker, struct xf_endpoint *endpoint, const struct xf_endpoint_info *info)
{
	char pattern[sizeof(sink->reply_prefix) + 2];
	uint64_t mark = (uint64_t)(uintptr_t)sink ^ broker->host->now_ms() << 20;

	if (getrandom(&mark, sizeof(mark), GRND_NONBLOCK) != (ssize_t)sizeof(mark))
		mark ^= (uint64_t)broker->host->wall_ms();
	snprintf(sink->reply_prefix, sizeof(sink->reply_prefix), "crossfade.reply.%" PRIx64, mark);
	snprintf(pattern, sizeof(pattern), "%s.*", sink->reply_prefix);
	sink->requests = member_init(&sink->replies, broker, endpoint, info->name, (struct xf_str){pattern, strlen(pattern)}, false);
	return sink->requests;
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
	if (info->request_ms > 0 && !replies_init(sink, shared, endpoint, info)) {
		snprintf(error->text, sizeof(error->text), "no memory for the replies");
		free(sink);
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
	if (sink->requests)
		member_start(&sink->replies);
}

static uint32_t
sink_reply_to(void *instance, uint64_t request, char *out, uint32_t size)
{
	struct sink *sink = instance;

	return (uint32_t)snprintf(out, size, "%s.%" PRIu64, sink->reply_prefix, request);
}

/* The number behind the last dot; 0: there is none. */
static uint64_t
request_of(struct xf_str subject)
{
	uint64_t at = subject.len;

	while (at > 0 && subject.data[at - 1] != '.')
		at--;
	return digits_read((struct xf_str){subject.data + at, subject.len - at});
}

static void
replies_take(struct sink *sink)
{
	const struct xf_host *host = sink->producer.broker->host;
	struct xf_settlement settlements[BROKER_BATCH];
	struct xf_replied replied[BROKER_BATCH];
	struct xf_incoming messages[BROKER_BATCH];
	uint32_t count, due_in;
	uint64_t first;

	while ((count = member_take(&sink->replies, BROKER_BATCH, UINT64_MAX, true, &first, &due_in)) > 0) {
		uint32_t n = 0;

		for (uint32_t i = 0; i < count; i++) {
			record_read(ring_at(&sink->replies.out, first + i)->record, &messages[i]);
			replied[n] = (struct xf_replied){
				.request = request_of(messages[i].subject),
				.message = &messages[i],
				.message_size = sizeof(messages[i]),
			};
			n += replied[n].request != 0; /* else it only looks like one */
			settlements[i] = (struct xf_settlement){.handle = first + i, .outcome = XF_SETTLE_ACK};
		}
		host->replied(sink->replies.endpoint, replied, sizeof(replied[0]), n);
		member_settle(&sink->replies, settlements, count);
	}
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
	if (sink->requests)
		replies_take(sink);
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
	if (sink->requests)
		member_stop(&sink->replies);
}

static void
sink_destroy(void *instance)
{
	struct sink *sink = instance;

	producer_fini(&sink->producer);
	if (sink->requests)
		member_fini(&sink->replies);
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
	.reply_to = sink_reply_to,
};
