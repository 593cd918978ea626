/*
 * A source of the embedded broker: a member of a subscription. What it emits points into the broker's segments,
 * which stay until it is settled; a handle is a position in the member's ring.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker.h"
#include "local.h"

/* Messages in one call of work(): so few that they are still in the cache when their sinks take them, and come back
 * before more are read. 4096 cost a sixth more CPU per message. */
#define WORK_MAX 512

struct source {
	struct member member;
	struct producer replies;
	bool dropped; /* a reply, and that was said */
	bool reported;
	uint64_t sight_ms; /* when it is told next */
	uint64_t lag;      /* as told last */
	struct xf_incoming batch[BROKER_BATCH];
	char ids[BROKER_BATCH][40]; /* of messages that came without one */
};

static uint64_t
source_traits(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint)
{
	(void)host;
	(void)transport;
	(void)endpoint;
	return XF_TRAIT_HEADERS | XF_TRAIT_IDS | XF_TRAIT_REPLIES;
}

static int32_t
source_check(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
             const struct xf_endpoint_info *info, struct xf_error *error)
{
	const struct xf_value *group = host->option(endpoint, SOURCE_GROUP);

	(void)transport;
	(void)info;
	if (group->present && (group->str.len == 0 || memchr(group->str.data, '\0', group->str.len) != NULL)) {
		snprintf(error->text, sizeof(error->text), "group: expected a name, or no group at all");
		return -1;
	}
	return 0;
}

static int32_t
source_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared,
              const struct xf_config *transport, const struct xf_config *config, const struct xf_endpoint_info *info,
              void **instance, struct xf_error *error)
{
	const struct xf_value *group = host->option(config, SOURCE_GROUP);
	struct source *source = calloc(1, sizeof(*source));

	(void)transport;
	if (source != NULL)
		source->member.ack_wait_ms = (uint32_t)host->option(config, SOURCE_ACK_WAIT)->i64;
	if (source == NULL ||
	    !member_init(&source->member, shared, endpoint, group->count > 0 ? group->str : info->name, info->subject,
	                 group->count > 0)) {
		free(source);
		snprintf(error->text, sizeof(error->text), "no memory for the subscription");
		return -1;
	}
	producer_init(&source->replies, shared, NULL);
	*instance = source;
	return 0;
}

static void
source_start(void *instance)
{
	struct source *source = instance;

	member_start(&source->member);
}

/* An id that stays the same however often the message is handed out. */
static void
source_make_id(const struct source *source, const struct record *record, char *text, struct xf_str *id)
{
	int n = snprintf(text, sizeof(source->ids[0]), "%" PRIx64 "-%" PRIu64, source->member.broker->born,
	                 record->sequence);

	*id = (struct xf_str){text, (uint64_t)n};
}

static uint64_t
life_left(const struct broker *broker, const struct record *record)
{
	uint64_t now = broker->host->now_ms();

	return record->expires_ms > now ? record->expires_ms - now : 1;
}

static void
source_read(struct source *source, uint64_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct entry *entry = ring_at(&source->member.out, first + i);
		const struct record *record = entry->record;
		struct xf_incoming *m = &source->batch[i];

		record_read(record, m);
		m->handle = first + i;
		m->attempt = entry->attempts;
		m->flags = entry->attempts > 1 ? XF_MESSAGE_REDELIVERED : 0;
		m->ttl_ms = record->expires_ms > 0 ? life_left(source->member.broker, record) : 0;
		if (record->id_len == 0)
			source_make_id(source, record, source->ids[i], &m->id);
	}
}

static void
source_begin(struct source *source)
{
	const struct xf_host *host = source->member.broker->host;

	source->reported = true;
	host->state(source->member.endpoint, XF_STATE_UP, NULL);
	if (source->member.ack_wait_ms > 0)
		host->settle_within(source->member.endpoint, source->member.ack_wait_ms);
}

/* Every two seconds, and when all that was told of is done with. */
static void
source_tell(struct source *source)
{
	const struct xf_host *host = source->member.broker->host;
	uint64_t now = host->now_ms();
	struct xf_sight sight;

	if (now < source->sight_ms && source->lag == 0)
		return;
	sight = member_sight(&source->member);
	if (now < source->sight_ms && sight.lag > 0)
		return;
	source->sight_ms = now + BROKER_SIGHT_MS;
	source->lag = sight.lag;
	host->sight(source->member.endpoint, &sight);
}

static void
source_work(void *instance, struct xf_work *work)
{
	struct source *source = instance;
	struct member *member = &source->member;
	const struct xf_host *host = member->broker->host;
	uint32_t credit = work->credit_messages, count, emitted, due_in, done = 0;
	uint64_t bytes = work->credit_bytes, first;

	if (!source->reported)
		source_begin(source);
	source_tell(source);
	while (credit > 0 && done < WORK_MAX) {
		count = member_take(member, credit < BROKER_BATCH ? credit : BROKER_BATCH, bytes, done == 0,
		                    &first, &due_in);
		if (count == 0) {
			if (due_in > 0 && due_in < work->timeout_ms)
				work->timeout_ms = due_in;
			return;
		}
		source_read(source, first, count);
		for (uint32_t i = 0; i < count; i++)
			bytes -= source->batch[i].payload_size < bytes ? source->batch[i].payload_size : bytes;
		emitted = host->emit(member->endpoint, source->batch, sizeof(source->batch[0]), count);
		if (emitted < count) {
			member_untake(member, count - emitted);
			return;
		}
		credit -= count;
		done += count;
		if (bytes == 0)
			return;
	}
	if (credit > 0)
		work->timeout_ms = 0;
}

static void
source_settle(void *instance, const struct xf_settlement *settlements, uint32_t count)
{
	struct source *source = instance;

	/* nothing may be left to wake it for but to say so */
	if (member_settle(&source->member, settlements, count) && source->lag > 0)
		source->member.broker->host->wake(source->member.endpoint);
}

/* To the subject that the request names. A broker that is full has no room for it: whoever asked hears nothing. */
static void
source_reply(void *instance, const struct xf_reply *replies, uint32_t stride, uint32_t count)
{
	struct source *source = instance;
	const struct xf_host *host = source->member.broker->host;

	for (uint32_t i = 0; i < count; i++) {
		const struct xf_reply *reply = (const void *)((const char *)replies + (size_t)i * stride);
		const struct xf_incoming *message = reply->message;
		const struct xf_outgoing out = {
			.subject = reply->request->reply,
			.id = message->id,
			.content_type = message->content_type,
			.payload = message->payload,
			.payload_size = message->payload_size,
			.headers = message->headers,
			.header_count = message->header_count,
			.time_ms = host->wall_ms(),
		};

		if (producer_room(&source->replies) > 0 && producer_publish(&source->replies, &out, sizeof(out), 1) == 1)
			continue;
		if (!source->dropped)
			host->log(source->member.endpoint, XF_LOG_WARN, "a reply was dropped: the broker has no room (max_messages, max_bytes)");
		source->dropped = true;
	}
}

static void
source_stop(void *instance)
{
	struct source *source = instance;

	producer_stop(&source->replies);
	member_stop(&source->member);
}

static void
source_destroy(void *instance)
{
	struct source *source = instance;

	producer_fini(&source->replies);
	member_fini(&source->member);
	free(source);
}

const struct xf_source_ops local_source = {
	.struct_size = sizeof(local_source),
	.traits = source_traits,
	.address = local_address,
	.check = source_check,
	.create = source_create,
	.start = source_start,
	.work = source_work,
	.settle = source_settle,
	.stop = source_stop,
	.destroy = source_destroy,
	.reply = source_reply,
};
