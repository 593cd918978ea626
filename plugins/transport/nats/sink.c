/*
 * sink.c - publishes, to a stream or on the core; see sink.h.
 *
 * A message taken has a slot in a ring, in the order of publishing. To a stream it goes with a reply
 * subject that ends with the slot's number, and the PubAck finds its slot by that; acks may come in any
 * order. On the core a PING follows each batch, and its PONG confirms all slots before it: the server has
 * passed them on.
 *
 * When the connection is lost every slot is completed: NOT_SENT where not a whole message had left us, else
 * UNKNOWN. Only then DOWN is told, and publish() takes nothing before the next UP.
 *
 * What the server refuses for a reason outside (no stream, a full stream, a permission) is NOT_SENT and the
 * state BLOCKED. While nothing is confirmed there is room for a few probes now and then; the first
 * confirmation lifts that, and a while without refusals ends BLOCKED.
 */
#include "sink.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "json.h"
#include "requests.h"
#include "setup.h"
#include "sight.h"

#define RESULTS_MAX 256u
#define REASONS_SIZE 16384u
#define READS_MAX 16u            /* per work(), so that publishing gets its turn */
#define UNSENT_MAX (4u << 20)    /* bytes that the socket did not take yet: no more room */
#define PROBES 16u               /* messages at a time while blocked */
#define PROBE_MS 250u
#define BLOCKED_MS 1000u         /* without a refusal, and with confirmations: UP again */
#define FORGOTTEN_MS 30000u      /* without a refusal and without anything to confirm: likewise */
#define STEADY_MS 5000u          /* up for so long: the next loss starts the backoff anew */
#define SETUP_RETRY_MS 1000u
#define LINE_MAX_SIZE 4096u      /* of what the server takes before a message; longer, and it cuts the connection */

struct slot {
	uint64_t token;
	uint64_t begin;   /* position of its first byte in what is written, and behind its last */
	uint64_t end;
	uint64_t sent_ms;
	uint64_t ping;    /* core: the PONG that confirms it */
	uint64_t size;    /* headers and payload, which the server bounds */
	struct xf_str subject;
	uint32_t flags;   /* core: XF_RESULT_NO_RECEIVER */
	bool done;
};

enum phase {
	PHASE_WAIT,  /* no connection; backoff runs */
	PHASE_SETUP, /* connected; streams are looked at */
	PHASE_READY,
};

struct sink {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	const struct settings *settings;
	int64_t mode;
	uint32_t window;

	bool no_receiver; /* core: say where nobody is subscribed */

	struct link link;
	struct setup setup;
	struct sight sight;
	struct requests requests;
	struct backoff backoff;
	enum phase phase;
	uint32_t state; /* as told; UINT32_MAX: nothing yet */
	char told[512];
	uint64_t up_ms;
	uint64_t setup_at_ms; /* BLOCKED in setup: begin anew */

	/* Ring of slots: those from head to next are out. */
	struct slot *slots;
	uint32_t mask;
	uint64_t head, next;
	uint64_t progress_ms; /* when head moved on */

	uint64_t refused_ms;  /* the last refusal; 0: none since UP */
	bool confirmed_since; /* something was stored after it */
	bool told_of_stranger;
	uint64_t setup_again_ms;

	struct xf_result results[RESULTS_MAX];
	uint32_t result_count;
	char reasons[REASONS_SIZE];
	size_t reasons_len;
};

/* ---- Telling --------------------------------------------------------------------- */

static void
sink_tell(struct sink *sink, uint32_t state, const char *reason)
{
	if (reason == NULL)
		reason = "";
	if (sink->state == state && strcmp(sink->told, reason) == 0)
		return;
	sink->state = state;
	snprintf(sink->told, sizeof(sink->told), "%s", reason);
	sink->host->state(sink->endpoint, state, state == XF_STATE_UP ? NULL : sink->told);
}

static void
results_flush(struct sink *sink)
{
	if (sink->result_count > 0)
		sink->host->complete(sink->endpoint, sink->results, sink->result_count);
	sink->result_count = 0;
	sink->reasons_len = 0;
}

static bool
results_full(const struct sink *sink)
{
	return sink->result_count == RESULTS_MAX || sink->reasons_len + 512 > REASONS_SIZE;
}

/* Adds a result; there is place for it. REASON is copied. */
static void
result_add(struct sink *sink, uint64_t token, uint32_t code, uint32_t flags, const char *reason)
{
	struct xf_result *result = &sink->results[sink->result_count++];

	*result = (struct xf_result){.token = token, .code = code, .flags = flags};
	if (reason != NULL && reason[0] != '\0') {
		size_t len = strlen(reason);

		if (len > 500)
			len = 500;

		memcpy(sink->reasons + sink->reasons_len, reason, len);
		result->reason = (struct xf_str){sink->reasons + sink->reasons_len, len};
		sink->reasons_len += len;
	}
}

static void
slot_finish(struct sink *sink, struct slot *slot, uint32_t code, uint32_t flags, const char *reason)
{
	if (results_full(sink))
		results_flush(sink);
	result_add(sink, slot->token, code, flags, reason);
	slot->done = true;
}

static void
slots_advance(struct sink *sink)
{
	uint64_t before = sink->head;

	while (sink->head < sink->next && sink->slots[sink->head & sink->mask].done)
		sink->head++;
	if (sink->head > before)
		sink->progress_ms = sink->host->now_ms();
}

/* ---- Losing the connection --------------------------------------------------------- */

/*
 * The server cut the connection over a message that is larger than this user may send, which no INFO told us. It does not
 * say which; but the largest that is out is no smaller than that one, so it is refused for good. Else it would come again
 * and cut every connection.
 */
static void
largest_reject(struct sink *sink)
{
	struct slot *largest = NULL;
	char reason[128];

	for (uint64_t i = sink->head; i < sink->next; i++) {
		struct slot *slot = &sink->slots[i & sink->mask];

		if (!slot->done && (largest == NULL || slot->size > largest->size))
			largest = slot;
	}
	if (largest == NULL)
		return;
	snprintf(reason, sizeof(reason), "%llu bytes with headers are more than the server lets this user send",
	         (unsigned long long)largest->size);
	slot_finish(sink, largest, XF_RESULT_REJECTED, 0, reason);
}

static void
slots_give_up(struct sink *sink, const char *reason)
{
	uint64_t sent = link_is_open(&sink->link) ? link_sent_position(&sink->link) : 0;
	uint64_t i;

	for (i = sink->head; i < sink->next; i++) {
		struct slot *slot = &sink->slots[i & sink->mask];

		if (!slot->done)
			slot_finish(sink, slot, slot->begin >= sent ? XF_RESULT_NOT_SENT : XF_RESULT_UNKNOWN,
			            0, reason);
	}
	sink->head = sink->next;
	results_flush(sink);
}

static void
sink_lost(struct sink *sink, const char *why, uint64_t now)
{
	char reason[512];

	snprintf(reason, sizeof(reason), "%s", why);
	if (strstr(reason, "Maximum Payload") != NULL)
		largest_reject(sink);
	slots_give_up(sink, reason);
	link_close(&sink->link);
	sink->refused_ms = 0;
	sink->setup_at_ms = 0;
	if (sink->phase == PHASE_READY && now - sink->up_ms >= STEADY_MS)
		sink->backoff.step = 0;
	sink->phase = PHASE_WAIT;
	backoff_next(&sink->backoff, sink->link.refused, now);
	sink_tell(sink, XF_STATE_DOWN, reason);
}

/* ---- Connecting ---------------------------------------------------------------------- */

static void
setup_start(struct sink *sink)
{
	sink->phase = PHASE_SETUP;
	setup_begin(&sink->setup, &sink->link, sink->settings, NULL);
}

static void
sink_connect(struct sink *sink)
{
	enum link_opened opened = link_open(&sink->link);

	if (opened == LINK_TRY_NEXT) {
		link_close(&sink->link);
		return;
	}
	if (opened == LINK_NONE_LEFT) {
		sink_lost(sink, sink->link.round, sink->host->now_ms());
		return;
	}
	requests_subscribe(&sink->requests, &sink->link);
	setup_start(sink);
}

/* Follows the walk through the streams. */
static void
setup_follow(struct sink *sink, uint64_t now)
{
	setup_tick(&sink->setup, &sink->link, now);
	if (sink->setup.state == SETUP_DONE) {
		sink->phase = PHASE_READY;
		sink->setup_at_ms = 0;
		sight_begin(&sink->sight, NULL);
		if (sink->refused_ms == 0) {
			sink->up_ms = now;
			sink_tell(sink, XF_STATE_UP, NULL);
		}
	} else if (sink->setup.state == SETUP_BLOCKED) {
		if (sink->setup_at_ms == 0) {
			sink_tell(sink, XF_STATE_BLOCKED, sink->setup.reason);
			sink->setup_at_ms = now + SETUP_RETRY_MS + random_below(SETUP_RETRY_MS);
		} else if (now >= sink->setup_at_ms) {
			sink->setup_at_ms = 0;
			setup_start(sink);
		}
	}
}

/* ---- Confirmations ------------------------------------------------------------------- */

static void
sink_refused(struct sink *sink, const char *reason)
{
	sink->refused_ms = sink->host->now_ms();
	sink->confirmed_since = false;
	sink_tell(sink, XF_STATE_BLOCKED, reason);
}

/* The server stores nothing of what is too large, now or later. */
#define ERR_MESSAGE_TOO_LARGE 10054
#define ERR_HEADER_TOO_LARGE 10097

static void
slot_refused(struct sink *sink, struct slot *slot, struct xf_str error)
{
	char description[256] = "", reason[512];
	int64_t code = json_get_int(error, "err_code", 0);
	const char *advice;

	json_get_string(error, "description", description, sizeof(description));
	if (code == ERR_MESSAGE_TOO_LARGE || code == ERR_HEADER_TOO_LARGE) {
		slot_finish(sink, slot, XF_RESULT_REJECTED, 0, description);
		return;
	}
	advice = setup_advice(code);
	snprintf(reason, sizeof(reason), "the stream of '%.*s' refuses: %s%s%s",
	         slot->subject.len > 100 ? 100 : (int)slot->subject.len, slot->subject.data, description,
	         advice != NULL ? "; " : "", advice != NULL ? advice : "");
	slot_finish(sink, slot, XF_RESULT_NOT_SENT, 0, reason);
	sink_refused(sink, reason);
}

static void
slot_no_stream(struct sink *sink, struct slot *slot)
{
	char reason[512];

	snprintf(reason, sizeof(reason),
	         "no stream for subject '%.*s'; create one that stores it, or have it created by listing it under "
	         "'streams' of the transport",
	         slot->subject.len > 200 ? 200 : (int)slot->subject.len, slot->subject.data);
	slot_finish(sink, slot, XF_RESULT_NOT_SENT, 0, reason);
	sink_refused(sink, reason);
}

/* Who serves requests on the subject answers to our inbox too. That is no confirmation, nor a refusal. */
static void
stranger_note(struct sink *sink, const struct slot *slot)
{
	char text[256];

	if (sink->told_of_stranger)
		return;
	sink->told_of_stranger = true;
	snprintf(text, sizeof(text), "somebody who is no stream answers to messages for '%.*s'; that is passed over",
	         slot->subject.len > 100 ? 100 : (int)slot->subject.len, slot->subject.data);
	sink->host->log(sink->endpoint, XF_LOG_WARN, text);
}

static bool
parse_slot(struct xf_str token, uint64_t *number)
{
	uint64_t value = 0, i;

	if (token.len == 0 || token.len > 18)
		return false;
	for (i = 0; i < token.len; i++) {
		if (token.data[i] < '0' || token.data[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(token.data[i] - '0');
	}
	*number = value;
	return true;
}

/* {"stream":"X","seq":N} and {"stream":"X","seq":N,"duplicate":true}; everything else goes the long way. */
static void
sink_answer(struct sink *sink, const struct link_message *message)
{
	static const char stored[] = "{\"stream\":";
	struct xf_str token = message->subject, answer = message->payload, error;
	struct slot *slot;
	uint64_t number;

	if (token.len <= sink->link.inbox_len)
		return;
	token.data += sink->link.inbox_len;
	token.len -= sink->link.inbox_len;
	if (token.data[0] == 'r') {
		setup_answer(&sink->setup, &sink->link, message);
		return;
	}
	if (token.data[0] == 'i') {
		sight_answer(&sink->sight, &sink->link, message);
		return;
	}
	if (!parse_slot(token, &number) || number < sink->head || number >= sink->next)
		return;
	slot = &sink->slots[number & sink->mask];
	if (slot->done)
		return;
	if (sink->mode == MODE_CORE) {
		/* A subscriber may answer too: that is no concern of ours. */
		if (message->status == 503)
			slot->flags = XF_RESULT_NO_RECEIVER;
		return;
	}
	if (message->status == 503) {
		slot_no_stream(sink, slot);
	} else if (answer.len > sizeof(stored) - 1 && memcmp(answer.data, stored, sizeof(stored) - 1) == 0 &&
	           memmem(answer.data, answer.len, "\"error\"", 7) == NULL) {
		bool duplicate = memmem(answer.data, answer.len, "\"duplicate\"", 11) != NULL &&
		                 json_get_true(answer, "duplicate");

		slot_finish(sink, slot, XF_RESULT_STORED, duplicate ? XF_RESULT_DUPLICATE : 0, NULL);
		sink->confirmed_since = true;
		if (sink->sight.sample)
			sight_sample(&sink->sight, answer);
	} else if (json_get(answer, "error", &error)) {
		slot_refused(sink, slot, error);
	} else {
		stranger_note(sink, slot);
	}
}

/* A PONG: everything published before its PING was passed on. */
static void
sink_pong(struct sink *sink)
{
	uint64_t i;

	if (sink->mode != MODE_CORE)
		return;
	for (i = sink->head; i < sink->next; i++) {
		struct slot *slot = &sink->slots[i & sink->mask];

		if (slot->ping > sink->link.pongs)
			break;
		if (!slot->done)
			slot_finish(sink, slot, XF_RESULT_STORED, slot->flags, NULL);
		sink->confirmed_since = true;
	}
}

/* Permissions Violation for Publish to "SUBJECT": that of the oldest message which has it. */
static void
sink_violation(struct sink *sink)
{
	const char *subject = sink->link.refused_subject;
	uint64_t i;

	if (strstr(sink->link.refusal, "Subscription") != NULL) {
		/* Without the inbox nothing is ever confirmed, or replied to. */
		if (sink->mode == MODE_JETSTREAM || sink->requests.wanted)
			link_fail(&sink->link, "%s: %s", sink->link.server, sink->link.refusal);
		return;
	}
	if (sight_refused(&sink->sight, &sink->link, sink->link.refusal))
		return;
	if (sink->phase == PHASE_SETUP) {
		setup_refused(&sink->setup, sink->link.refusal);
		return;
	}
	if (subject[0] == '\0')
		return;
	for (i = sink->head; i < sink->next; i++) {
		struct slot *slot = &sink->slots[i & sink->mask];

		if (!slot->done && slot->subject.len == strlen(subject) &&
		    memcmp(slot->subject.data, subject, slot->subject.len) == 0) {
			slot_finish(sink, slot, XF_RESULT_NOT_SENT, 0, sink->link.refusal);
			break;
		}
	}
	sink_refused(sink, sink->link.refusal);
}

static void
sink_read(struct sink *sink)
{
	struct link_message message;
	enum link_event event;
	uint32_t reads = 0;
	bool more;

	do {
		more = link_read(&sink->link);
		while ((event = link_next(&sink->link, &message)) != LINK_NOTHING) {
			if (event == LINK_MESSAGE && message.sid == LINK_SID_FIRST)
				requests_reply(&sink->requests, sink->endpoint, sink->host, &message);
			else if (event == LINK_MESSAGE)
				sink_answer(sink, &message);
			else if (event == LINK_PONG)
				sink_pong(sink);
			else
				sink_violation(sink);
		}
	} while (more && ++reads < READS_MAX && !sink->link.failed);
	slots_advance(sink);
}

/* ---- The loop -------------------------------------------------------------------------- */

/*
 * The oldest one out tells whether confirmations still come: it had its time since it was sent, since the one before it was
 * confirmed, or, while some of it has not left, since the socket took anything. So a server that is slow keeps its
 * connection, and a confirmation that got lost is missed however many later ones come.
 */
static void
sink_watch(struct sink *sink, uint64_t now)
{
	const struct slot *slot = &sink->slots[sink->head & sink->mask];
	const struct link *link = &sink->link;
	uint64_t since;

	if (sink->head == sink->next)
		return;
	since = slot->sent_ms > sink->progress_ms ? slot->sent_ms : sink->progress_ms;
	if (slot->end > link_sent_position(link) && link->wrote_ms > since)
		since = link->wrote_ms;
	if (now >= since + sink->settings->publish_timeout_ms)
		link_fail(&sink->link, "%s: a message was not confirmed within %u ms", link->server,
		          sink->settings->publish_timeout_ms);
}

static void
sink_unblock(struct sink *sink, uint64_t now)
{
	if (sink->refused_ms == 0)
		return;
	if (now >= sink->refused_ms + (sink->confirmed_since ? BLOCKED_MS : FORGOTTEN_MS)) {
		sink->refused_ms = 0;
		sink_tell(sink, XF_STATE_UP, NULL);
	} else if (!sink->confirmed_since && sink->settings->stream_count > 0 &&
	           now >= sink->setup_again_ms &&
	           sink->head == sink->next) {
		/* A stream of ours may have been deleted: have a look, at times. */
		sink->setup_again_ms = now + 5 * SETUP_RETRY_MS;
		setup_start(sink);
	}
}

static uint32_t
sink_room(const struct sink *sink, uint64_t now)
{
	uint64_t out = sink->next - sink->head;
	uint32_t window = sink->window;

	if (sink->phase != PHASE_READY || link_unsent(&sink->link) > UNSENT_MAX)
		return 0;
	if (sink->refused_ms != 0 && !sink->confirmed_since) {
		if (now < sink->refused_ms + PROBE_MS)
			return 0;
		window = window < PROBES ? window : PROBES;
	}
	return out < window ? window - (uint32_t)out : 0;
}

static void
sink_work(void *instance, struct xf_work *work)
{
	struct sink *sink = instance;
	uint64_t now = sink->host->now_ms();
	uint32_t sight_ms = UINT32_MAX, tick_ms;

	results_flush(sink);
	if (sink->phase == PHASE_WAIT && now >= sink->backoff.until_ms) {
		sink_connect(sink);
		now = sink->host->now_ms();
	}
	if (sink->phase == PHASE_WAIT) {
		work->timeout_ms = backoff_left(&sink->backoff, now);
		return;
	}
	sink_read(sink);
	now = sink->host->now_ms();
	if (sink->phase == PHASE_SETUP)
		setup_follow(sink, now);
	else
		sink_unblock(sink, now);
	sink_watch(sink, now);
	tick_ms = link_tick(&sink->link, now);
	if (sink->phase == PHASE_READY && sink->mode == MODE_JETSTREAM)
		sight_ms = sight_tick(&sink->sight, &sink->link, now);
	link_flush(&sink->link);
	results_flush(sink);
	if (sink->link.failed) {
		sink_lost(sink, sink->link.reason, now);
		work->timeout_ms = backoff_left(&sink->backoff, now);
		return;
	}
	work->fd = sink->link.fd;
	work->events = link_events(&sink->link, POLLIN | (link_unsent(&sink->link) > 0 ? POLLOUT : 0));
	work->room = sink_room(sink, now);
	if (sink->refused_ms != 0 || sink->phase == PHASE_SETUP)
		work->timeout_ms = PROBE_MS;
	else if (work->timeout_ms > sink->settings->publish_timeout_ms)
		work->timeout_ms = sink->settings->publish_timeout_ms;
	if (work->timeout_ms > tick_ms)
		work->timeout_ms = tick_ms;
	if (work->timeout_ms > sight_ms)
		work->timeout_ms = sight_ms;
	if (link_buffered(&sink->link))
		work->timeout_ms = 0;
}

/* ---- Publishing -------------------------------------------------------------------------- */

/* A message's place among confirmations: the reply subject that its own is sent to. */
#define OWN_REPLY_SIZE (sizeof(((struct link *)NULL)->inbox) + 20)

/* NUMBER: the slot's. OWN is what the reply subject may stand in. */
static struct frame
message_frame(const struct sink *sink, const struct xf_outgoing *message, uint64_t number, char own[OWN_REPLY_SIZE])
{
	struct frame frame = {
		.subject = message->subject,
		.content_type = message->content_type,
		.headers = message->headers,
		.header_count = message->header_count,
		.payload = message->payload,
		.payload_size = message->payload_size,
	};

	memcpy(own, sink->link.inbox, sink->link.inbox_len);
	frame.reply = (struct xf_str){own, (uint64_t)(put_number(own + sink->link.inbox_len, number) - own)};
	if (sink->mode == MODE_JETSTREAM) {
		frame.dedup_id = message->dedup_id;
		frame.stored_reply = message->reply;
	} else if (message->reply.len > 0 || !sink->no_receiver) {
		frame.reply = message->reply;
	}
	return frame;
}

/* Never will be: told at once, or it would cost the connection. False: it may go. */
static bool
sink_rejects(struct sink *sink, uint64_t token, const struct frame *frame)
{
	static const char inbox[] = "_INBOX.";
	const char *reserved = frame_reserved(frame->subject);
	uint64_t size = frame_size(frame);
	uint64_t line = frame->subject.len + frame->reply.len;
	char reason[256];

	if (frame->subject.len >= sizeof(inbox) - 1 && memcmp(frame->subject.data, inbox, sizeof(inbox) - 1) == 0)
		reserved = inbox;

	if (reserved != NULL) {
		snprintf(reason, sizeof(reason), "the subject begins with '%s', which is the server's own",
		         reserved);
	} else if (line > LINE_MAX_SIZE - 64) {
		snprintf(reason, sizeof(reason), "a NATS server takes no line of more than %u bytes, and so no subject with a "
		         "reply subject of %llu", LINE_MAX_SIZE, (unsigned long long)line);
	} else if (sink->link.max_payload > 0 && size > (uint64_t)sink->link.max_payload) {
		snprintf(reason, sizeof(reason),
		         "%llu bytes with headers are more than the server's max_payload of %lld",
		         (unsigned long long)size, (long long)sink->link.max_payload);
	} else {
		return false;
	}
	result_add(sink, token, XF_RESULT_REJECTED, 0, reason);
	return true;
}

static uint32_t
sink_publish(void *instance, const struct xf_outgoing *messages, uint32_t stride, uint32_t count)
{
	struct sink *sink = instance;
	uint64_t now = sink->host->now_ms();
	uint64_t first = sink->next, i;
	uint32_t taken = 0;

	if (sink->phase != PHASE_READY || sink->link.failed)
		return 0;
	while (taken < count && sink->next - sink->head < sink->window &&
	       link_unsent(&sink->link) <= UNSENT_MAX) {
		const struct xf_outgoing *message =
		    (const struct xf_outgoing *)((const char *)messages + (size_t)stride * taken);

		struct frame frame;
		char own[OWN_REPLY_SIZE];

		/* The core has yet to learn that we took them: work() tells what was refused. */
		if (results_full(sink))
			break;
		frame = message_frame(sink, message, sink->next, own);
		if (!sink_rejects(sink, message->token, &frame)) {
			sink->slots[sink->next & sink->mask] = (struct slot){
			    .token = message->token,
			    .begin = link_position(&sink->link),
			    .sent_ms = now,
			    .ping = UINT64_MAX,
			    .size = frame_size(&frame),
			    .subject = message->subject,
			};
			frame_write(&sink->link, &frame);
			sink->slots[sink->next & sink->mask].end = link_position(&sink->link);
			sink->next++;
		}
		taken++;
	}
	if (sink->mode == MODE_CORE && sink->next > first) {
		uint64_t ping = link_ping(&sink->link);

		for (i = first; i < sink->next; i++)
			sink->slots[i & sink->mask].ping = ping;
	}
	if (!link_flush(&sink->link) || sink->result_count > 0 || taken == 0)
		sink->host->wake(sink->endpoint);
	return taken;
}

/* ---- Life ------------------------------------------------------------------------------------ */

static void
sink_free(struct sink *sink)
{
	sight_fini(&sink->sight);
	free(sink->slots);
	free(sink);
}

static int32_t
sink_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared,
            const struct xf_config *transport,
            const struct xf_config *config, const struct xf_endpoint_info *info, void **instance,
            struct xf_error *error)
{
	struct sink *sink = need(calloc(1, sizeof(*sink)));
	uint32_t size = 1;

	sink->host = host;
	sink->endpoint = endpoint;
	sink->settings = shared;
	sink->mode = host->option(config, SINK_MODE)->i64;
	sink->window = (uint32_t)host->option(config, SINK_WINDOW)->i64;
	sink->no_receiver = host->option(config, SINK_NO_RECEIVER)->i64 != 0;
	while (size < sink->window)
		size *= 2;
	sink->slots = need(calloc(size, sizeof(sink->slots[0])));
	sink->mask = size - 1;
	sink->state = UINT32_MAX;
	requests_init(&sink->requests, info->request_ms > 0 && sink->mode == MODE_CORE);
	if (!link_init(&sink->link, sink->settings, transport, info->name, error)) {
		sink_free(sink);
		return -1;
	}
	sight_init(&sink->sight, sink->settings, endpoint, &info->subject, NULL);
	*instance = sink;
	return 0;
}

static void
sink_start(void *instance)
{
	struct sink *sink = instance;

	sink->host->wake(sink->endpoint);
}

static void
sink_stop(void *instance)
{
	struct sink *sink = instance;

	results_flush(sink);
	slots_give_up(sink, "stopped before it was confirmed");
	link_close(&sink->link);
	sink->phase = PHASE_WAIT;
}

static void
sink_destroy(void *instance)
{
	struct sink *sink = instance;

	link_fini(&sink->link);
	sink_free(sink);
}

static uint32_t
sink_reply_to(void *instance, uint64_t request, char *out, uint32_t size)
{
	const struct sink *sink = instance;

	return requests_reply_to(&sink->requests, request, out, size);
}

static uint64_t
sink_traits(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint)
{
	(void)transport;
	if (host->option(endpoint, SINK_MODE)->i64 == MODE_CORE)
		return XF_TRAIT_HEADERS | XF_TRAIT_EPHEMERAL | XF_TRAIT_REQUESTS;
	return XF_TRAIT_HEADERS | XF_TRAIT_DEDUP;
}

static int32_t
sink_check(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
           const struct xf_endpoint_info *info, struct xf_error *error)
{
	(void)info;
	if (host->option(endpoint, SINK_NO_RECEIVER)->i64 != 0 && host->option(endpoint, SINK_MODE)->i64 != MODE_CORE) {
		snprintf(error->text, sizeof(error->text), "no_receiver goes with 'mode: core'; a stream always receives");
		return -1;
	}
	return settings_check(host, transport, error);
}

const struct xf_sink_ops nats_sink_ops = {
	.struct_size = sizeof(struct xf_sink_ops),
	.traits = sink_traits,
	.address = settings_address,
	.check = sink_check,
	.create = sink_create,
	.start = sink_start,
	.work = sink_work,
	.publish = sink_publish,
	.stop = sink_stop,
	.destroy = sink_destroy,
	.reply_to = sink_reply_to,
};
