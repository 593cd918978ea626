/*
 * source.c - reads a stream through a durable pull consumer, or subscribes on the core; see source.h.
 *
 * Requests for messages are in pulls.h, those that came and wait for their settlement in slots.h, what is said of them
 * in acks.h.
 *
 * Every message that came has a slot with its ack subject until it is settled. JetStream takes acks
 * on any connection, so slots outlive one: what is settled while the server is away is sent once the very
 * same consumer (told by its time of creation) is found again. A consumer that was made anew counts from 1
 * again, and an old ack might hit a message that nobody has seen: all old slots are void then.
 *
 * Order. What the server had sent, but was lost with a connection or with a former process, would come
 * again only after ack_wait, long behind later messages. So when the only reader of a consumer connects, it
 * has the server begin with what is pending there and not in its hands; see lost.h. With several readers on a
 * consumer there is no order to keep, and nobody's messages are touched.
 *
 * What comes beyond the credit (it shrank after we asked) is held, in order, and emitted first when there
 * is credit. It has its slot already, so it outlives a connection too, and the server is told in time that it
 * is not forgotten.
 */
#include "source.h"

#include <ctype.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acks.h"
#include "frame.h"
#include "held.h"
#include "json.h"
#include "lost.h"
#include "pulls.h"
#include "requests.h"
#include "setup.h"
#include "sight.h"
#include "slots.h"

#define BATCH_MAX 256u
#define HEADERS_MAX 2048u   /* in a batch */
#define MESSAGE_HEADERS 256u
#define READS_MAX 4u        /* per work() */
#define STEADY_MS 5000u
#define SETUP_RETRY_MS 1000u
#define RECLAIM_MS 10000u   /* for the server to say that it has read what was said of lost messages */
#define RECHECKS 3u         /* of a consumer where others seem to read */
#define RECHECK_MS 250u
#define SAME_CONSUMER_NS 50000000ll
#define STOP_MS 1500u

enum phase {
	PHASE_WAIT,
	PHASE_SETUP,
	PHASE_SUBSCRIBE, /* core: until the server has read our SUB */
	PHASE_READY,
};

struct source {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	const struct settings *settings;
	int64_t mode;
	char *subject;
	char *group;
	struct consumer_want want;
	uint32_t max_in_flight;

	struct link link;
	struct setup setup;
	struct sight sight;
	struct backoff backoff;
	enum phase phase;
	uint32_t state;
	char told[512];
	uint64_t up_ms;
	uint64_t setup_at_ms;
	uint32_t rechecks;       /* how often the consumer was looked at again; see others_wait() */
	uint64_t subscribe_ping; /* core: the PONG that says it is subscribed */
	bool subscribe_refused;
	int64_t consumer_created; /* the one that the slots belong to, by its time of creation in ns */

	struct slots slots;
	uint64_t pending; /* what the consumer had yet to deliver, as of its last message */

	struct held held;

	struct pulls pulls;
	bool reclaiming; /* the server has yet to read our naks: pull after that */
	uint64_t due;    /* of what was lost, and comes before anything new */

	/* The batch under way: its strings stand in what the link has read. */
	struct xf_incoming batch[BATCH_MAX];
	struct xf_header headers[HEADERS_MAX];
	char ids[BATCH_MAX][300];
	uint32_t batch_count, headers_used;
	uint32_t credit; /* left in this work() */
	int64_t credit_bytes;
	uint64_t core_handles;
};

/* ---- Telling ------------------------------------------------------------------------ */

static void
source_tell(struct source *source, uint32_t state, const char *reason)
{
	if (reason == NULL)
		reason = "";
	if (source->state == state && strcmp(source->told, reason) == 0)
		return;
	source->state = state;
	snprintf(source->told, sizeof(source->told), "%s", reason);
	source->host->state(source->endpoint, state, state == XF_STATE_UP ? NULL : source->told);
}

/* ---- What goes to the server ----------------------------------------------------------- */

static void
slot_settle(struct source *source, struct slot *slot, uint32_t outcome, uint32_t delay_ms)
{
	ack_send(&source->link, slot_reply(slot), outcome, delay_ms);
	if (outcome != XF_SETTLE_EXTEND)
		slots_free(&source->slots, slot);
}

/* ---- Emitting ----------------------------------------------------------------------------- */

/* A message of the consumer: it is in our hands from here on. False: it is none, and the link fails. */
static bool
delivery_take(struct source *source, const struct link_message *message, struct delivery *delivery)
{
	if (!delivery_read(message->reply, delivery)) {
		link_fail(&source->link, "%s: a message without an ack subject", source->link.server);
		return false;
	}
	delivery->handle = slots_take(&source->slots, message->reply, delivery->stream_sequence);
	source->pending = delivery->pending;
	if (source->due > 0)
		source->due = delivery->delivered > 1 ? source->due - 1 : 0;
	return true;
}

static void
batch_emit(struct source *source)
{
	uint32_t taken, i;

	if (source->batch_count == 0)
		return;
	taken = source->host->emit(source->endpoint, source->batch, sizeof(source->batch[0]),
	                           source->batch_count);
	/* The core takes all within credit; should it not, the message comes again in time. */
	for (i = taken; i < source->batch_count; i++) {
		struct xf_incoming *in = &source->batch[i];
		struct slot *slot = source->mode == MODE_JETSTREAM ? slots_find(&source->slots, in->handle) : NULL;

		if (slot != NULL)
			slot_settle(source, slot, XF_SETTLE_RETRY, 0);
		if (in->release != NULL)
			in->release(in->release_context);
	}
	source->batch_count = source->headers_used = 0;
}

/* DELIVERY: NULL on the core. MEMORY: what the message stands in, and goes with it; NULL: what the link has read. */
static void
batch_add(struct source *source, const struct link_message *message, const struct delivery *delivery, void *memory)
{
	struct xf_incoming *in;

	if (source->batch_count == BATCH_MAX || source->headers_used + MESSAGE_HEADERS > HEADERS_MAX)
		batch_emit(source);
	in = &source->batch[source->batch_count];
	*in = (struct xf_incoming){.subject = message->subject,
	                           .payload = message->payload.data,
	                           .payload_size = message->payload.len};
	if (memory != NULL) {
		in->release = free;
		in->release_context = memory;
	}
	if (message->headers.len > 0) {
		frame_read_headers(message->headers, in, source->headers + source->headers_used, MESSAGE_HEADERS);
		source->headers_used += in->header_count;
	}
	if (delivery == NULL) {
		in->handle = source->core_handles++;
		in->reply = message->reply;
		in->attempt = 1;
	} else {
		in->handle = delivery->handle;
		in->attempt = (uint32_t)delivery->delivered;
		in->flags = delivery->delivered > 1 ? XF_MESSAGE_REDELIVERED : 0;
		in->time_ms = delivery->time_ns / 1000000;
		if (in->id.len == 0) {
			char *id = source->ids[source->batch_count], *end;
			uint64_t len = delivery->stream.len < 270 ? delivery->stream.len : 270;

			memcpy(id, delivery->stream.data, len);
			id[len] = ':';
			end = put_number(id + len + 1, delivery->stream_sequence);
			in->id = (struct xf_str){id, (uint64_t)(end - id)};
		}
	}
	source->batch_count++;
	if (source->credit > 0)
		source->credit--;
	source->credit_bytes -= (int64_t)message->payload.len;
}

static bool
has_credit(const struct source *source)
{
	return source->mode == MODE_CORE || (source->credit > 0 && source->credit_bytes > 0);
}

/* ---- Connecting -------------------------------------------------------------------------------- */

static void
source_lost(struct source *source, const char *why, uint64_t now)
{
	char reason[512];

	snprintf(reason, sizeof(reason), "%s", why);
	batch_emit(source);
	link_close(&source->link);
	pulls_clear(&source->pulls);
	source->reclaiming = false;
	source->pulls.at_ms = 0;
	source->setup_at_ms = 0;
	source->rechecks = 0;
	if (source->phase == PHASE_READY && now - source->up_ms >= STEADY_MS)
		source->backoff.step = 0;
	source->phase = PHASE_WAIT;
	backoff_next(&source->backoff, source->link.refused, now);
	source_tell(source, XF_STATE_DOWN, reason);
}

static void
setup_start(struct source *source)
{
	source->phase = PHASE_SETUP;
	setup_begin(&source->setup, &source->link, source->settings,
	            source->mode == MODE_JETSTREAM ? &source->want : NULL);
}

static void
source_connect(struct source *source)
{
	enum link_opened opened = link_open(&source->link);

	if (opened == LINK_TRY_NEXT) {
		link_close(&source->link);
		return;
	}
	if (opened == LINK_NONE_LEFT) {
		source_lost(source, source->link.round, source->host->now_ms());
		return;
	}
	if (source->mode == MODE_JETSTREAM)
		pulls_subscribe(&source->link);
	setup_start(source);
}

/* Settlements that waited for the connection. */
static void
slots_catch_up(struct source *source)
{
	uint32_t i;

	for (i = 0; i < source->slots.count; i++) {
		struct slot *slot = &source->slots.list[i];

		if (slot->used && slot->outcome != 0)
			slot_settle(source, slot, slot->outcome, slot->delay_ms);
	}
}

/* Slots that the consumer, having lost its latest state in a crash, will deliver as new. Their acks would
 * be for deliveries that it does not know. */
static void
slots_drop_unknown(struct source *source)
{
	uint32_t i;

	for (i = 0; i < source->slots.count; i++) {
		struct slot *slot = &source->slots.list[i];

		if (slot->used && (slot->sequence > source->setup.consumer.delivered_stream ||
		                   slot->sequence <= source->setup.consumer.floor_stream))
			slots_free(&source->slots, slot);
	}
}

static void
source_ready(struct source *source, uint64_t now)
{
	const struct consumer_state *consumer = &source->setup.consumer;

	source->phase = PHASE_READY;
	source->up_ms = now;
	source->setup_at_ms = 0;
	source->rechecks = 0;
	if (source->mode == MODE_JETSTREAM) {
		/* The server writes down a time a little later than the one it first tells. */
		if (llabs(source->consumer_created - consumer->created_ns) > SAME_CONSUMER_NS) {
			slots_void(&source->slots);
			held_clear(&source->held);
			pulls_clear(&source->pulls);
		}
		source->consumer_created = consumer->created_ns;
		slots_drop_unknown(source);
		if (lost_reclaim(&source->link, &source->slots, consumer, source->want.durable, &source->due)) {
			source->reclaiming = true;
			source->pulls.at_ms = now + RECLAIM_MS;
		}
		slots_catch_up(source);
		source->host->settle_within(source->endpoint, consumer->ack_wait_ms > UINT32_MAX
		                                                  ? UINT32_MAX
		                                                  : (uint32_t)consumer->ack_wait_ms);
		sight_begin(&source->sight, consumer->stream);
		if (source->setup.notice[0] != '\0')
			source->host->log(source->endpoint, XF_LOG_WARN, source->setup.notice);
	}
	source_tell(source, XF_STATE_UP, NULL);
}

/* What passes from now on comes to us; UP is told once the server says that it knows. */
static void
core_subscribe(struct source *source)
{
	link_printf(&source->link, "SUB %s %s %u\r\n", source->subject, source->group != NULL ? source->group : "",
	            LINK_SID_FIRST);
	source->subscribe_ping = link_ping(&source->link);
	source->subscribe_refused = false;
	source->setup_at_ms = 0;
	source->phase = PHASE_SUBSCRIBE;
}

static void
core_subscribed(struct source *source, uint64_t now)
{
	char reason[sizeof(source->told)];

	if (!source->subscribe_refused) {
		source_ready(source, now);
		return;
	}
	snprintf(reason, sizeof(reason), "%.440s; the server must permit it to this user",
	         source->link.refusal);
	source_tell(source, XF_STATE_BLOCKED, reason);
	source->setup_at_ms = now + SETUP_RETRY_MS + random_below(SETUP_RETRY_MS);
}

/*
 * Whether requests wait at the consumer while something is pending that is not in our hands. They may be another
 * reader's, whose messages those are; but a connection that was lost leaves its requests behind for a moment. So
 * we look again before we believe it.
 */
static bool
others_wait(const struct source *source)
{
	const struct consumer_state *consumer = &source->setup.consumer;

	return source->mode == MODE_JETSTREAM && consumer->waiting > 0 &&
	       consumer->ack_pending > (int64_t)source->slots.used;
}

static void
setup_follow(struct source *source, uint64_t now)
{
	setup_tick(&source->setup, &source->link, now);
	if (source->setup.state == SETUP_DONE && others_wait(source) && source->rechecks < RECHECKS) {
		if (source->setup_at_ms == 0) {
			source->setup_at_ms = now + RECHECK_MS;
		} else if (now >= source->setup_at_ms) {
			source->setup_at_ms = 0;
			source->rechecks++;
			setup_start(source);
		}
	} else if (source->setup.state == SETUP_DONE && source->mode == MODE_CORE) {
		core_subscribe(source);
	} else if (source->setup.state == SETUP_DONE) {
		source_ready(source, now);
	} else if (source->setup.state == SETUP_BLOCKED) {
		if (source->setup_at_ms == 0) {
			source_tell(source, XF_STATE_BLOCKED, source->setup.reason);
			source->setup_at_ms = now + SETUP_RETRY_MS + random_below(SETUP_RETRY_MS);
		} else if (now >= source->setup_at_ms) {
			source->setup_at_ms = 0;
			setup_start(source);
		}
	}
}

static void
source_refused(struct source *source)
{
	const char *reason = source->link.refusal;

	if (sight_refused(&source->sight, &source->link, reason))
		return;
	if (source->phase == PHASE_SUBSCRIBE)
		source->subscribe_refused = true;
	else if (strstr(reason, "Subscription") != NULL)
		link_fail(&source->link, "%s: %s", source->link.server, reason);
	else if (source->phase == PHASE_SETUP)
		setup_refused(&source->setup, reason);
	else
		source_tell(source, XF_STATE_BLOCKED, reason);
}

/* ---- The loop -------------------------------------------------------------------------------------- */

/* The first character after the inbox's name: whose answer it is. */
static char
inbox_token(const struct source *source, const struct link_message *message)
{
	size_t len = source->link.inbox_len;

	return message->subject.len > len ? message->subject.data[len] : '\0';
}

static void
source_message(struct source *source, const struct link_message *message)
{
	struct delivery delivery;

	if (message->sid == LINK_SID_INBOX) {
		if (source->reclaiming && inbox_token(source, message) == 'z') {
			source->reclaiming = false;
			source->pulls.at_ms = 0;
		}
		if (inbox_token(source, message) == 'i')
			sight_answer(&source->sight, &source->link, message);
		else
			setup_answer(&source->setup, &source->link, message);
		return;
	}
	if (source->mode == MODE_JETSTREAM) {
		if (message->status != 0 && message->reply.len == 0) {
			/* It may be that requests for so many bytes are not allowed. */
			if (message->status == 409)
				source->due = 0;
			if (pulls_status(&source->pulls, message, source->host->now_ms()) &&
			    source->phase == PHASE_READY)
				setup_start(source);
			return;
		}
		pulls_received(&source->pulls, message);
		if (!delivery_take(source, message, &delivery))
			return;
	}
	if (source->held.count > 0 || !has_credit(source)) {
		held_add(&source->held, message, delivery.handle, source->host->now_ms());
		return;
	}
	if (message->owned != NULL)
		link_take(&source->link);
	batch_add(source, message, source->mode == MODE_JETSTREAM ? &delivery : NULL, message->owned);
}

static void
source_read(struct source *source)
{
	struct link_message message;
	enum link_event event;
	uint32_t reads = 0;
	bool more;

	do {
		more = link_read(&source->link);
		while ((event = link_next(&source->link, &message)) != LINK_NOTHING) {
			if (event == LINK_MESSAGE)
				source_message(source, &message);
			else if (event == LINK_REFUSAL)
				source_refused(source);
			else if (source->phase == PHASE_SUBSCRIBE && source->link.pongs == source->subscribe_ping)
				core_subscribed(source, source->host->now_ms());
		}
		batch_emit(source);
	} while (more && ++reads < READS_MAX && !source->link.failed);
}

static void
held_emit(struct source *source)
{
	while (source->held.count > 0 && has_credit(source)) {
		struct held_message *held = held_take(&source->held);
		struct delivery delivery;

		/* Or the consumer is another one now, or will deliver it as new. */
		if (slots_find(&source->slots, held->handle) != NULL && delivery_read(held->message.reply, &delivery)) {
			delivery.handle = held->handle;
			batch_add(source, &held->message, &delivery, held);
		} else {
			free(held);
		}
	}
	batch_emit(source);
}

/*
 * Asks for what there is credit for. What was lost is asked for by number alone: the server takes a message off its list
 * before it finds that it is larger than what was asked for, and then forgets it for as long as ack_wait. Its bytes were
 * within the credit when it was first asked for; what exceeds the credit now is held.
 */
static void
source_pull(struct source *source, uint64_t now)
{
	struct pulls_want want = {
		.stream = source->setup.consumer.stream,
		.durable = source->want.durable,
		.messages = source->credit > source->held.count ? source->credit - source->held.count : 0,
		.bytes = source->credit_bytes - source->held.bytes,
		.max_in_flight = source->max_in_flight,
	};

	if (source->due > 0) {
		want.messages = want.messages < source->due ? want.messages : (uint32_t)source->due;
		want.bytes = INT32_MAX;
	}
	if (source->credit_bytes > 0)
		pulls_send(&source->pulls, &source->link, &want, now);
}

static void
source_work(void *instance, struct xf_work *work)
{
	struct source *source = instance;
	uint64_t now = source->host->now_ms();
	uint32_t sight_ms = UINT32_MAX, held_ms = UINT32_MAX, tick_ms;

	source->credit = work->credit_messages;
	source->credit_bytes = work->credit_bytes > INT64_MAX ? INT64_MAX : (int64_t)work->credit_bytes;
	if (source->phase == PHASE_WAIT && now >= source->backoff.until_ms) {
		source_connect(source);
		now = source->host->now_ms();
	}
	if (source->phase == PHASE_WAIT) {
		work->timeout_ms = backoff_left(&source->backoff, now);
		return;
	}
	held_emit(source);
	source_read(source);
	now = source->host->now_ms();
	if (source->phase == PHASE_SETUP)
		setup_follow(source, now);
	else if (source->phase == PHASE_SUBSCRIBE && source->setup_at_ms != 0 && now >= source->setup_at_ms)
		core_subscribe(source);
	if (source->phase == PHASE_READY && source->mode == MODE_JETSTREAM) {
		if (pulls_expire(&source->pulls, now))
			setup_start(source);
		else if (!work->draining)
			source_pull(source, now);
		sight_ms = sight_tick(&source->sight, &source->link, now);
		held_ms = held_extend(&source->held, &source->link, source->setup.consumer.ack_wait_ms, now);
	}
	tick_ms = link_tick(&source->link, now);
	link_flush(&source->link);
	if (source->link.failed) {
		source_lost(source, source->link.reason, now);
		work->timeout_ms = backoff_left(&source->backoff, now);
		return;
	}
	work->fd = source->link.fd;
	work->events = link_events(&source->link, POLLIN | (link_unsent(&source->link) > 0 ? POLLOUT : 0));
	if (source->phase == PHASE_SETUP || source->phase == PHASE_SUBSCRIBE || now < source->pulls.at_ms)
		work->timeout_ms = 200;
	if (work->timeout_ms > tick_ms)
		work->timeout_ms = tick_ms;
	if (work->timeout_ms > sight_ms)
		work->timeout_ms = sight_ms;
	if (work->timeout_ms > held_ms)
		work->timeout_ms = held_ms;
	if (link_buffered(&source->link))
		work->timeout_ms = 0;
}

static void
source_settle(void *instance, const struct xf_settlement *settlements, uint32_t count)
{
	struct source *source = instance;
	bool hurry = false;
	uint32_t i;

	if (source->mode == MODE_CORE)
		return;
	for (i = 0; i < count; i++) {
		const struct xf_settlement *settlement = &settlements[i];
		struct slot *slot = slots_find(&source->slots, settlement->handle);

		if (slot == NULL || slot->outcome != 0)
			continue;
		if (source->phase == PHASE_READY) {
			slot_settle(source, slot, settlement->outcome, settlement->delay_ms);
		} else if (settlement->outcome != XF_SETTLE_EXTEND) {
			slot->outcome = settlement->outcome;
			slot->delay_ms = settlement->delay_ms;
		}
	}
	if (source->phase != PHASE_READY)
		return;
	if (source->slots.used == 0 && source->pending == 0)
		hurry = sight_hurry(&source->sight, source->host->now_ms());
	if (!link_flush(&source->link) || hurry)
		source->host->wake(source->endpoint);
}

static void
source_reply(void *instance, const struct xf_reply *replies, uint32_t stride, uint32_t count)
{
	struct source *source = instance;
	uint32_t i;

	if (source->mode != MODE_CORE || source->phase != PHASE_READY || source->link.failed)
		return;
	for (i = 0; i < count; i++)
		request_answer(&source->link, (const struct xf_reply *)((const char *)replies + (size_t)stride * i));
	if (!link_flush(&source->link))
		source->host->wake(source->endpoint);
}

/* ---- Life -------------------------------------------------------------------------------------------- */

/* Waits for the PONG, so that the server has read all before it, or for the answer to a question. What
 * still comes goes back. */
static bool
stop_wait(struct source *source, bool answer, uint64_t until)
{
	uint64_t ping = link_ping(&source->link);
	struct link_message message;
	struct delivery delivery;
	enum link_event event;
	bool answered = !answer;

	for (;;) {
		uint64_t now = source->host->now_ms();
		struct pollfd poller = {.fd = source->link.fd, .events = POLLIN};

		if (!link_flush(&source->link))
			poller.events |= POLLOUT;
		poller.events = (short)link_events(&source->link, (uint32_t)poller.events);
		if (source->link.failed)
			return false;
		if (answered && source->link.pongs >= ping)
			return true;
		if (now >= until || (!link_buffered(&source->link) && poll(&poller, 1, (int)(until - now)) < 0))
			return false;
		link_read(&source->link);
		while ((event = link_next(&source->link, &message)) != LINK_NOTHING) {
			if (event != LINK_MESSAGE)
				continue;
			if (message.sid == LINK_SID_INBOX)
				answered |= inbox_token(source, &message) == 's';
			else if (message.reply.len > 0)
				delivery_take(source, &message, &delivery);
		}
	}
}

/* Everything unsettled, in the order of the stream. */
static void
slots_return(struct source *source)
{
	struct slot **order;
	size_t count, i;

	order = slots_in_order(&source->slots, &count);
	for (i = 0; i < count; i++)
		slot_settle(source, order[i], order[i]->outcome != 0 ? order[i]->outcome : XF_SETTLE_RETRY,
		            order[i]->delay_ms);
	free(order);
}

/*
 * Gives everything back, in order. First the server must forget our requests, or it would give what comes
 * back to those: ending their subscriptions is not enough for that (2.9 looks at them when it is next asked
 * for a message, and takes the message for sent), but asking for the consumer's state is.
 */
static void
stop_return(struct source *source)
{
	uint64_t until = source->host->now_ms() + STOP_MS;
	char subject[1000], inbox[64];

	pulls_unsubscribe(&source->link);
	snprintf(subject, sizeof(subject), "%s.CONSUMER.INFO.%s.%s", source->settings->api,
	         source->setup.consumer.stream, source->want.durable);
	snprintf(inbox, sizeof(inbox), "%ss", source->link.inbox);
	link_publish(&source->link, (struct xf_str){subject, strlen(subject)},
	             (struct xf_str){inbox, strlen(inbox)}, NULL,
	             0);
	stop_wait(source, true, until);
	if (source->link.failed)
		return;
	slots_return(source);
	stop_wait(source, false, until + STOP_MS);
}

/* Nobody reads by it any more. What is unsettled is offered to others by the stream itself. */
static void
consumer_delete(struct source *source)
{
	char subject[512];

	snprintf(subject, sizeof(subject), "%s.CONSUMER.DELETE.%s.%s", source->settings->api,
	         source->setup.consumer.stream, source->want.durable);
	link_publish(&source->link, (struct xf_str){subject, strlen(subject)}, (struct xf_str){NULL, 0}, NULL, 0);
	link_flush(&source->link);
}

static void
source_stop(void *instance)
{
	struct source *source = instance;

	if (source->mode == MODE_JETSTREAM && source->phase == PHASE_READY && !source->link.failed)
		stop_return(source);
	if (source->want.ephemeral && source->phase == PHASE_READY && !source->link.failed)
		consumer_delete(source);
	held_clear(&source->held);
	link_close(&source->link);
	pulls_clear(&source->pulls);
	source->phase = PHASE_WAIT;
}

static void
source_free(struct source *source)
{
	sight_fini(&source->sight);
	slots_fini(&source->slots);
	free(source->subject);
	free(source->group);
	free(source->want.stream);
	free(source->want.durable);
	free(source->want.subject);
	free(source);
}

static void
source_destroy(void *instance)
{
	struct source *source = instance;

	link_fini(&source->link);
	held_clear(&source->held);
	source_free(source);
}

/* crossfade-ROUTE, with what cannot stand in a consumer's name replaced. */
static char *
durable_name(struct xf_str given, struct xf_str route)
{
	char *name;
	size_t i;

	if (given.len > 0)
		return copy_string(given);
	name = need(malloc(route.len + 11));
	memcpy(name, "crossfade-", 10);
	if (route.len > 0)
		memcpy(name + 10, route.data, route.len);
	name[10 + route.len] = '\0';
	for (i = 10; name[i] != '\0'; i++) {
		if (strchr(".*>/\\\"", name[i]) != NULL || (unsigned char)name[i] <= ' ')
			name[i] = '_';
	}
	return name;
}

static void
deliver_read(struct consumer_want *want, const struct xf_host *host, const struct xf_config *config)
{
	const struct xf_value *word = host->option(config, SOURCE_DELIVER);
	const struct xf_value *since = host->option(config, SOURCE_DELIVER_SINCE);
	const struct xf_value *sequence = host->option(config, SOURCE_DELIVER_SEQUENCE);

	want->deliver = word->i64 == 1 ? DELIVER_NEW : word->i64 == 2 ? DELIVER_LAST : DELIVER_ALL;
	if (since->present)
		want->deliver = DELIVER_SINCE;
	if (sequence->present)
		want->deliver = DELIVER_SEQUENCE;
	want->deliver_given = word->present || since->present || sequence->present;
	want->deliver_since_ms = since->i64;
	want->deliver_sequence = (uint64_t)sequence->i64;
}

static int32_t
source_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared,
              const struct xf_config *transport,
              const struct xf_config *config, const struct xf_endpoint_info *info, void **instance,
              struct xf_error *error)
{
	struct source *source = need(calloc(1, sizeof(*source)));
	const struct xf_value *value;

	source->host = host;
	source->endpoint = endpoint;
	source->settings = shared;
	source->mode = host->option(config, SOURCE_MODE)->i64;
	source->subject = copy_string(info->subject);
	source->max_in_flight = info->max_in_flight > 0 ? info->max_in_flight : 1;
	value = host->option(config, SOURCE_GROUP);
	if (value->str.len > 0)
		source->group = copy_string(value->str);
	value = host->option(config, SOURCE_STREAM);
	if (value->str.len > 0)
		source->want.stream = copy_string(value->str);
	source->want.durable = durable_name(host->option(config, SOURCE_DURABLE)->str, info->route);
	source->want.subject = copy_string(info->subject);
	source->want.ephemeral = source->mode == MODE_JETSTREAM && host->option(config, SOURCE_EPHEMERAL)->i64 != 0;
	value = host->option(config, SOURCE_ACK_WAIT);
	source->want.ack_wait_ms = (uint64_t)value->i64;
	source->want.ack_wait_given = value->present;
	value = host->option(config, SOURCE_MAX_ACK_PENDING);
	source->want.max_ack_pending = value->present ? value->i64
	                               : source->max_in_flight > 1000 ? (int64_t)source->max_in_flight
	                                                              : 1000;
	deliver_read(&source->want, host, config);
	source->state = UINT32_MAX;
	slots_init(&source->slots);
	held_init(&source->held);
	if (!link_init(&source->link, source->settings, transport, info->name, error)) {
		source_free(source);
		return -1;
	}
	sight_init(&source->sight, source->settings, endpoint, NULL, source->want.durable);
	*instance = source;
	return 0;
}

static void
source_start(void *instance)
{
	struct source *source = instance;

	source->host->wake(source->endpoint);
}

static uint64_t
source_traits(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint)
{
	(void)transport;
	if (host->option(endpoint, SOURCE_MODE)->i64 == MODE_CORE)
		return XF_TRAIT_HEADERS | XF_TRAIT_LOSSY | XF_TRAIT_REPLIES;
	return XF_TRAIT_HEADERS | XF_TRAIT_IDS;
}

static int32_t
source_check(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
             const struct xf_endpoint_info *info, struct xf_error *error)
{
	static const uint32_t jetstream_rows[] = {SOURCE_STREAM, SOURCE_DURABLE, SOURCE_ACK_WAIT,
	                                          SOURCE_MAX_ACK_PENDING, SOURCE_DELIVER,
	                                          SOURCE_DELIVER_SINCE, SOURCE_DELIVER_SEQUENCE,
	                                          SOURCE_EPHEMERAL};
	const struct xf_value *value = host->option(endpoint, SOURCE_GROUP);
	bool core = host->option(endpoint, SOURCE_MODE)->i64 == MODE_CORE;
	size_t i;

	(void)info;
	if (settings_check(host, transport, error) != 0)
		return -1;
	if (!core && value->present) {
		snprintf(error->text, sizeof(error->text),
		         "group goes with 'mode: core'; readers of a stream share a 'durable'");
		return -1;
	}
	if (core && value->present && !stream_name_valid(value->str)) {
		snprintf(error->text, sizeof(error->text),
		         "group may not hold spaces, dots, '*', '>' or slashes");
		return -1;
	}
	for (i = 0; core && i < sizeof(jetstream_rows) / sizeof(jetstream_rows[0]); i++) {
		if (host->option(endpoint, jetstream_rows[i])->present) {
			const char *key = source_options[jetstream_rows[i]]->key;

			snprintf(error->text, sizeof(error->text), "%s goes with 'mode: jetstream'",
			         strncmp(key, "deliver_", 8) == 0 ? "deliver" : key);
			return -1;
		}
	}
	for (i = SOURCE_STREAM; i <= SOURCE_DURABLE; i++) {
		value = host->option(endpoint, (uint32_t)i);
		if (value->str.len > 0 && !stream_name_valid(value->str)) {
			snprintf(error->text, sizeof(error->text),
			         "%s may not hold spaces, dots, '*', '>' or slashes",
			         source_options[i]->key);
			return -1;
		}
	}
	return 0;
}

const struct xf_source_ops nats_source_ops = {
	.struct_size = sizeof(struct xf_source_ops),
	.traits = source_traits,
	.address = settings_address,
	.check = source_check,
	.create = source_create,
	.start = source_start,
	.work = source_work,
	.settle = source_settle,
	.stop = source_stop,
	.destroy = source_destroy,
	.reply = source_reply,
};
