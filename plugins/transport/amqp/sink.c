/*
 * sink.c - publishes with confirms; nothing counts before the broker's basic.ack.
 *
 * A published message has a place in a ring by its delivery tag, the broker's count of publishes on the
 * channel. Acks and nacks come out of order and for many at once; a place is cleared when its tag is
 * answered, and the ring's low end moves over cleared places. Where a message ends in the output stream
 * is kept too: when the connection breaks, what had not gone out whole is certainly not stored, the rest
 * is unknown.
 *
 * Messages are mandatory. One that no queue takes comes back whole (method, header, body) before its
 * ack. RabbitMQ returns in the order of publishing, so the message is the next one without an answer that
 * has the same id, subject and size; if there is none, the connection is given up rather than guessed
 * about.
 *
 * A channel that the broker closes over one message cannot say which. All are then UNKNOWN, and after the
 * reconnect as many go out one by one: if the channel closes with only one out, that one did it.
 *
 * Queues are declared on a channel of their own, since a refused declaration closes its channel.
 *
 * Threads: all calls on the endpoint's thread.
 */
#include "endpoints.h"
#include "wire.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESULTS 256
#define OUT_SOFT_MAX (1024 * 1024) /* nothing more is taken while so much waits for the socket */
#define DECLARES_MAX 256           /* under way at once */
#define KNOWN_MAX 65536            /* queues remembered as declared; then forgotten all at once */
#define RETURNS_IN_ROW 64          /* with no success between them: probe from then on */
#define PROBE_ROOM 16
#define PROBE_MIN_MS 100
#define PROBE_MAX_MS 2000
#define MISSING_HOLD_MS 1000 /* BLOCKED for a return stays at least so long */
#define EXPIRATION_MAX UINT32_MAX /* RabbitMQ refuses more; so long a life is as good as for ever */
#define NAME_SIZE (CODEC_SHORT_MAX + 1)

enum phase {
	PHASE_AWAY,
	PHASE_SETUP, /* up to confirm.select was sent */
	PHASE_READY,
};

enum place_state {
	PLACE_FREE,
	PLACE_OUT,
	PLACE_RETURNED, /* came back; its ack is due */
};

/* What is needed for every answer, and apart from it what only a return is compared with. */
struct place {
	uint64_t token;
	uint64_t end;     /* in the output stream */
	uint64_t sent_ms; /* when it was written */
	uint32_t state;
	uint32_t code; /* of the return */
};

struct trace {
	struct xf_str id; /* borrowed: alive until completed */
	struct xf_str subject;
	uint64_t size;
};

/* A basic.return that is being read. */
struct returned {
	bool active;
	bool header_seen;
	uint16_t code;
	char subject[NAME_SIZE];
	char id[NAME_SIZE];
	uint32_t subject_len;
	uint32_t id_len;
	uint64_t size;
	uint64_t left;
};

struct sink {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct settings settings;
	struct wire wire;

	char *exchange; /* "" is the default one */
	char *exchange_type;
	bool declare;
	bool persistent;

	enum phase phase;
	bool skip_exchange; /* declaring it was refused; publishing will tell */
	uint64_t phase_until_ms;

	/* Tags low .. next-1 are out; mask is the ring's size - 1. */
	struct place *places;
	struct trace *traces;
	uint32_t mask;
	uint32_t window;
	uint64_t low, next;
	uint64_t return_from; /* tags before it have been looked at for returns */
	uint64_t clock_from_ms; /* confirms are due from then on: an alarm is over */
	struct returned returned;

	struct xf_result results[RESULTS];
	uint32_t result_count;
	char reason[WIRE_REASON_MAX]; /* of all results that have one, until they are flushed */

	/* Declared queues: open addressing, names on the heap. */
	char **known;
	uint32_t known_size;
	uint32_t known_count;
	char *declares[DECLARES_MAX]; /* under way, in order */
	uint32_t declare_count;
	bool declare_channel; /* open was sent */
	bool declare_refused;
	char declare_error[WIRE_REASON_MAX];

	/* Trouble that the operator sees; each "" where there is none. */
	char missing[WIRE_REASON_MAX]; /* returned or nacked */
	uint64_t missing_ms;
	bool mended; /* something was stored since */
	uint32_t returns_in_row;
	uint32_t probe_ms;
	uint64_t probe_at_ms;
	char broken[WIRE_REASON_MAX]; /* why the channel was closed */
	uint64_t single_left;         /* so many are still to go out one by one */
};

static struct xf_str
str(const char *text)
{
	return (struct xf_str){text, strlen(text)};
}

static struct place *
place_of(struct sink *sink, uint64_t tag)
{
	return &sink->places[tag & sink->mask];
}

/* ---- Results ---------------------------------------------------------------------- */

static void
results_flush(struct sink *sink)
{
	if (sink->result_count > 0)
		sink->host->complete(sink->endpoint, sink->results, sink->result_count);
	sink->result_count = 0;
}

static void
result_add(struct sink *sink, uint64_t token, uint32_t code, struct xf_str reason)
{
	sink->results[sink->result_count++] = (struct xf_result){token, code, 0, reason};
	if (sink->result_count == RESULTS)
		results_flush(sink);
}

/* A result with a reason of its own. */
static void
result_explain(struct sink *sink, uint64_t token, uint32_t code, const char *reason)
{
	if (strcmp(sink->reason, reason) != 0) {
		results_flush(sink);
		snprintf(sink->reason, sizeof(sink->reason), "%s", reason);
	}
	result_add(sink, token, code, str(sink->reason));
}

/* ---- State --------------------------------------------------------------------------- */

/* What holds this sink up, the worst first. */
static void
state_report(struct sink *sink)
{
	struct wire *wire = &sink->wire;

	if (sink->phase != PHASE_READY)
		return;
	if (wire->blocked)
		wire_state(wire, XF_STATE_BLOCKED, "%s", wire->blocked_reason);
	else if (sink->broken[0] != '\0')
		wire_state(wire, XF_STATE_BLOCKED, "%s", sink->broken);
	else if (sink->missing[0] != '\0')
		wire_state(wire, XF_STATE_BLOCKED, "%s", sink->missing);
	else
		wire_state(wire, XF_STATE_UP, "%s", "");
}

static void
missing_note(struct sink *sink, const char *reason)
{
	sink->missing_ms = sink->host->now_ms();
	sink->mended = false;
	snprintf(sink->missing, sizeof(sink->missing), "%s", reason);
	if (++sink->returns_in_row >= RETURNS_IN_ROW && sink->probe_ms == 0) {
		sink->probe_ms = PROBE_MIN_MS;
		sink->probe_at_ms = sink->missing_ms + sink->probe_ms;
	}
}

static void
success_note(struct sink *sink)
{
	sink->returns_in_row = 0;
	sink->probe_ms = 0;
	sink->mended = true;
	if (sink->single_left > 0)
		sink->single_left--;
	if (sink->single_left == 0)
		sink->broken[0] = '\0';
}

/* ---- Queues that are known to exist ------------------------------------------------------ */

static uint32_t
name_hash(struct xf_str name)
{
	uint64_t hash = 14695981039346656037u;
	uint64_t i;

	for (i = 0; i < name.len; i++)
		hash = (hash ^ (uint8_t)name.data[i]) * 1099511628211u;
	return (uint32_t)(hash ^ hash >> 32);
}

/* Where NAME stands in the table, or the empty place for it. */
static uint32_t
known_find(const struct sink *sink, struct xf_str name)
{
	uint32_t i = name_hash(name) & (sink->known_size - 1);

	while (sink->known[i] != NULL && (strlen(sink->known[i]) != name.len ||
	                                  memcmp(sink->known[i], name.data, name.len) != 0))
		i = (i + 1) & (sink->known_size - 1);
	return i;
}

static bool
known_has(const struct sink *sink, struct xf_str name)
{
	return sink->known_size > 0 && sink->known[known_find(sink, name)] != NULL;
}

static void
known_clear(struct sink *sink)
{
	uint32_t i;

	for (i = 0; i < sink->known_size; i++)
		free(sink->known[i]);
	free(sink->known);
	sink->known = NULL;
	sink->known_size = sink->known_count = 0;
}

static bool
known_grow(struct sink *sink)
{
	uint32_t old_size = sink->known_size, i;
	char **old = sink->known;

	sink->known_size = old_size > 0 ? 2 * old_size : 64;
	sink->known = calloc(sink->known_size, sizeof(*sink->known));
	if (sink->known == NULL) {
		sink->known = old;
		sink->known_size = old_size;
		return false;
	}
	for (i = 0; i < old_size; i++)
		if (old[i] != NULL)
			sink->known[known_find(sink, str(old[i]))] = old[i];
	free(old);
	return true;
}

/* Takes NAME. */
static void
known_add(struct sink *sink, char *name)
{
	uint32_t i;

	if (sink->known_count >= KNOWN_MAX)
		known_clear(sink);
	if (2 * sink->known_count >= sink->known_size && !known_grow(sink)) {
		free(name);
		wire_fail(&sink->wire, "out of memory");
		return;
	}
	i = known_find(sink, str(name));
	if (sink->known[i] != NULL) {
		free(name);
		return;
	}
	sink->known[i] = name;
	sink->known_count++;
}

/* ---- Declaring queues ------------------------------------------------------------------------ */

static void
declares_clear(struct sink *sink)
{
	uint32_t i;

	for (i = 0; i < sink->declare_count; i++)
		free(sink->declares[i]);
	sink->declare_count = 0;
	sink->declare_channel = false;
}

static void
declare_write(struct sink *sink, const char *name)
{
	if (!sink->declare_channel)
		codec_write_channel_open(&sink->wire.out, WIRE_CHANNEL_DECLARE);
	sink->declare_channel = true;
	codec_write_queue_declare(&sink->wire.out, WIRE_CHANNEL_DECLARE, str(name));
}

static void
declare_begin(struct sink *sink, struct xf_str name)
{
	uint32_t i;
	char *copy;

	for (i = 0; i < sink->declare_count; i++)
		if (strlen(sink->declares[i]) == name.len && memcmp(sink->declares[i], name.data, name.len) == 0)
			return;
	copy = settings_copy(name);
	if (copy == NULL) {
		wire_fail(&sink->wire, "out of memory");
		return;
	}
	if (sink->declare_count == 0)
		sink->phase_until_ms = sink->host->now_ms() + sink->settings.confirm_timeout_ms;
	sink->declares[sink->declare_count++] = copy;
	declare_write(sink, copy);
}

/* The first of those under way is answered. */
static void
declare_done(struct sink *sink)
{
	char *name = sink->declares[0];

	sink->declare_count--;
	memmove(sink->declares, sink->declares + 1, sink->declare_count * sizeof(sink->declares[0]));
	sink->phase_until_ms = sink->host->now_ms() + sink->settings.confirm_timeout_ms;
	known_add(sink, name);
}

/*
 * A queue that is there but of another kind (406), or that may not be declared, can still be published to;
 * whether it can is for the broker to say. The declarations behind it went down with the channel.
 */
static void
declare_closed(struct sink *sink, const struct codec_frame *frame)
{
	struct codec_close reason;
	uint32_t i;

	if (!codec_close_read(frame, &reason)) {
		wire_fail(&sink->wire, "the broker sent a malformed channel.close");
		return;
	}
	codec_write_empty(&sink->wire.out, WIRE_CHANNEL_DECLARE, CODEC_CHANNEL_CLOSE_OK);
	sink->declare_channel = false;
	if (sink->declare_count == 0)
		return;
	if (reason.code != 406) {
		sink->declare_refused = true;
		snprintf(sink->declare_error, sizeof(sink->declare_error), "%.*s", SETTINGS_STR(reason.text));
	}
	declare_done(sink);
	for (i = 0; i < sink->declare_count; i++)
		declare_write(sink, sink->declares[i]);
}

static void
declare_frame(struct sink *sink, const struct codec_frame *frame)
{
	switch (frame->type == CODEC_FRAME_METHOD ? frame->method : 0) {
	case CODEC_CHANNEL_OPEN_OK:
		break;
	case CODEC_QUEUE_DECLARE_OK:
		if (sink->declare_count > 0)
			declare_done(sink);
		break;
	case CODEC_CHANNEL_CLOSE:
		declare_closed(sink, frame);
		break;
	default:
		wire_fail(&sink->wire, "the broker sent an unexpected method %u.%u", frame->method >> 16,
		          frame->method & 0xFFFF);
	}
}

/* Starts declaring what is new among the messages offered. True if the first can go out now. */
static bool
declare_ahead(struct sink *sink, const char *messages, uint32_t stride, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count && sink->declare_count < DECLARES_MAX; i++) {
		struct xf_str subject = ((const struct xf_outgoing *)(messages + (size_t)i * stride))->subject;

		if (subject.len > CODEC_SHORT_MAX || known_has(sink, subject))
			continue;
		declare_begin(sink, subject);
	}
	return sink->declare_count == 0;
}

/* ---- Confirms ------------------------------------------------------------------------------ */

/* Why a returned message has nowhere to go, and what would mend it. */
static void
return_reason(struct sink *sink, struct xf_str subject, uint32_t code, char out[WIRE_REASON_MAX])
{
	if (code != 312)
		snprintf(out, WIRE_REASON_MAX, "the broker returned a message for '%.*s' (%u)", SETTINGS_STR(subject),
		         code);
	else if (sink->exchange[0] != '\0')
		snprintf(out, WIRE_REASON_MAX, "exchange '%s' has no queue for '%.*s'; bind one", sink->exchange,
		         SETTINGS_STR(subject));
	else if (sink->declare && sink->declare_refused)
		snprintf(out, WIRE_REASON_MAX, "no queue '%.*s', and it may not be declared (%.200s); create it",
		         SETTINGS_STR(subject), sink->declare_error);
	else
		snprintf(out, WIRE_REASON_MAX, "no queue '%.*s'; create it, or set declare: true",
		         SETTINGS_STR(subject));
}

static void
place_returned(struct sink *sink, uint64_t tag)
{
	struct place *place = place_of(sink, tag);
	struct xf_str subject = sink->traces[tag & sink->mask].subject;
	char reason[WIRE_REASON_MAX];

	return_reason(sink, subject, place->code, reason);
	missing_note(sink, reason);
	/* A queue that was deleted is declared anew. */
	if (known_has(sink, subject))
		known_clear(sink);
	result_explain(sink, place->token, XF_RESULT_NOT_SENT, reason); /* the subject may be gone after that */
}

static void
place_nacked(struct sink *sink, uint64_t tag)
{
	struct place *place = place_of(sink, tag);
	struct xf_str subject = sink->traces[tag & sink->mask].subject;
	char reason[WIRE_REASON_MAX];

	snprintf(reason, sizeof(reason), "the broker refused a message for '%.*s' (basic.nack: a queue is full or "
	         "has failed)", SETTINGS_STR(subject));
	missing_note(sink, reason);
	/* Behind an exchange several queues may stand, some of which took it. */
	result_explain(sink, place->token, sink->exchange[0] != '\0' ? XF_RESULT_UNKNOWN : XF_RESULT_NOT_SENT,
	               reason);
}

static void
place_confirm(struct sink *sink, uint64_t tag, bool nack)
{
	struct place *place = place_of(sink, tag);

	if (place->state == PLACE_FREE)
		return;
	if (place->state == PLACE_RETURNED) {
		place_returned(sink, tag);
	} else if (nack) {
		place_nacked(sink, tag);
	} else {
		result_add(sink, place->token, XF_RESULT_STORED, (struct xf_str){NULL, 0});
		if (sink->returns_in_row > 0 || sink->missing[0] != '\0' || sink->single_left > 0)
			success_note(sink);
	}
	place->state = PLACE_FREE;
}

static void
confirmed(struct sink *sink, const struct codec_frame *frame, bool nack)
{
	struct codec_confirm confirm;
	uint64_t tag;

	if (!codec_confirm_read(frame, &confirm) || confirm.tag >= sink->next) {
		wire_fail(&sink->wire, "the broker confirmed what was never published");
		return;
	}
	if (confirm.multiple) {
		uint64_t last = confirm.tag > 0 ? confirm.tag : sink->next - 1;

		for (tag = sink->low; tag <= last; tag++)
			place_confirm(sink, tag, nack);
	} else if (confirm.tag >= sink->low) {
		place_confirm(sink, confirm.tag, nack);
	}
	while (sink->low < sink->next && place_of(sink, sink->low)->state == PLACE_FREE)
		sink->low++;
	if (sink->return_from < sink->low)
		sink->return_from = sink->low;
}

/* ---- Returns ------------------------------------------------------------------------------ */

static bool
trace_matches(const struct sink *sink, uint64_t tag)
{
	const struct trace *trace = &sink->traces[tag & sink->mask];
	const struct returned *returned = &sink->returned;

	/* An id that did not fit into a property was not sent as one. */
	return sink->places[tag & sink->mask].state == PLACE_OUT && trace->size == returned->size &&
	       trace->subject.len == returned->subject_len &&
	       (trace->id.len == returned->id_len ? memcmp(trace->id.data, returned->id, trace->id.len) == 0
	                                          : trace->id.len > CODEC_SHORT_MAX && returned->id_len == 0) &&
	       memcmp(trace->subject.data, returned->subject, trace->subject.len) == 0;
}

static void
return_match(struct sink *sink)
{
	uint64_t tag;

	sink->returned.active = false;
	for (tag = sink->return_from; tag < sink->next && !trace_matches(sink, tag); tag++)
		;
	if (tag == sink->next) /* a broker that returns out of order */
		for (tag = sink->low; tag < sink->next && !trace_matches(sink, tag); tag++)
			;
	if (tag < sink->next) {
		place_of(sink, tag)->state = PLACE_RETURNED;
		place_of(sink, tag)->code = sink->returned.code;
		sink->return_from = tag + 1;
		return;
	}
	wire_fail(&sink->wire, "the broker returned a message that was not published here");
}

static void
return_begin(struct sink *sink, const struct codec_frame *frame)
{
	struct codec_return method;

	if (!codec_return_read(frame, &method)) {
		wire_fail(&sink->wire, "the broker sent a malformed basic.return");
		return;
	}
	memset(&sink->returned, 0, sizeof(sink->returned));
	sink->returned.active = true;
	sink->returned.code = method.code;
	sink->returned.subject_len = (uint32_t)method.routing_key.len;
	if (method.routing_key.len > 0)
		memcpy(sink->returned.subject, method.routing_key.data, method.routing_key.len);
}

static void
return_feed(struct sink *sink, const struct codec_frame *frame)
{
	struct returned *returned = &sink->returned;
	struct codec_properties properties;

	if (frame->type == CODEC_FRAME_HEADER && !returned->header_seen &&
	    codec_properties_read(frame->payload, frame->size, &properties)) {
		returned->header_seen = true;
		returned->size = returned->left = properties.body_size;
		returned->id_len = (uint32_t)properties.message_id.len;
		if (properties.message_id.len > 0)
			memcpy(returned->id, properties.message_id.data, properties.message_id.len);
	} else if (frame->type == CODEC_FRAME_BODY && returned->header_seen && frame->size <= returned->left) {
		returned->left -= frame->size;
	} else {
		wire_fail(&sink->wire, "the broker sent a malformed basic.return");
		return;
	}
	if (returned->left == 0)
		return_match(sink);
}

/* ---- The channel ------------------------------------------------------------------------------ */

static void
channel_setup(struct sink *sink)
{
	struct codec_buffer *out = &sink->wire.out;
	bool named = sink->exchange[0] != '\0';

	codec_write_channel_open(out, WIRE_CHANNEL);
	/* One that is missing is then known before anything is taken, not by a channel that breaks. */
	if (named && !sink->skip_exchange)
		codec_write_exchange_declare(out, WIRE_CHANNEL, str(sink->exchange), str(sink->exchange_type),
		                             !sink->declare);
	codec_write_confirm_select(out, WIRE_CHANNEL);
	sink->phase = PHASE_SETUP;
	sink->phase_until_ms = sink->host->now_ms() + sink->settings.confirm_timeout_ms;
}

static void
channel_ready(struct sink *sink)
{
	sink->phase = PHASE_READY;
	sink->low = sink->next = sink->return_from = 1;
	sink->clock_from_ms = 0;
	sink->probe_ms = 0;
	sink->returns_in_row = 0;
	state_report(sink);
}

/* Of the exchange, before anything was published. Stays connected; the channel is closed. */
static void
setup_refused(struct sink *sink, const struct codec_close *reason)
{
	struct wire *wire = &sink->wire;

	if (reason->method == CODEC_EXCHANGE_DECLARE && reason->code != 404 && !sink->skip_exchange) {
		sink->skip_exchange = true;
		channel_setup(sink);
	} else {
		if (reason->code == 404)
			wire_state(wire, XF_STATE_BLOCKED, "no exchange '%s'; create it, or set declare: true",
			           sink->exchange);
		else
			wire_state(wire, XF_STATE_BLOCKED, "%u %.*s", reason->code, SETTINGS_STR(reason->text));
		sink->phase = PHASE_AWAY; /* tried again by phase_until_ms */
		sink->probe_ms = sink->probe_ms == 0 ? PROBE_MIN_MS : 2 * sink->probe_ms;
		if (sink->probe_ms > PROBE_MAX_MS)
			sink->probe_ms = PROBE_MAX_MS;
		sink->phase_until_ms = sink->host->now_ms() + wire_jitter(wire, sink->probe_ms);
	}
}

/*
 * The broker closed the publishing channel over a message. With only one out it was that one: refused for
 * good if something about itself is wrong (406: too large, say), for now if its surroundings are.
 */
static void
publish_refused(struct sink *sink, const struct codec_close *reason)
{
	struct wire *wire = &sink->wire;
	uint64_t out = 0, tag, last = 0;

	for (tag = sink->low; tag < sink->next; tag++)
		if (place_of(sink, tag)->state != PLACE_FREE) {
			out++;
			last = tag;
		}
	snprintf(sink->broken, sizeof(sink->broken), "the broker refuses to publish: %u %.*s", reason->code,
	         SETTINGS_STR(reason->text));
	if (out == 1) {
		/* What is wrong with a message ends with it. */
		uint32_t code = reason->code == 406 || reason->code == 311 ? XF_RESULT_REJECTED : XF_RESULT_NOT_SENT;

		result_explain(sink, place_of(sink, last)->token, code, sink->broken);
		place_of(sink, last)->state = PLACE_FREE;
		wire_fail(wire, "%s", sink->broken);
		if (code == XF_RESULT_REJECTED) {
			if (sink->single_left > 0)
				sink->single_left--;
			if (sink->single_left == 0)
				sink->broken[0] = '\0';
			return;
		}
	}
	if (out > sink->single_left)
		sink->single_left = out;
	wire_fail(wire, "%s", sink->broken);
}

static void
channel_closed(struct sink *sink, const struct codec_frame *frame)
{
	struct codec_close reason;

	if (!codec_close_read(frame, &reason)) {
		wire_fail(&sink->wire, "the broker sent a malformed channel.close");
		return;
	}
	codec_write_empty(&sink->wire.out, WIRE_CHANNEL, CODEC_CHANNEL_CLOSE_OK);
	if (sink->phase == PHASE_READY)
		publish_refused(sink, &reason);
	else
		setup_refused(sink, &reason);
}

static void
channel_frame(struct sink *sink, const struct codec_frame *frame)
{
	struct codec_cursor at;

	if (sink->returned.active && frame->method != CODEC_CHANNEL_CLOSE) {
		return_feed(sink, frame);
		return;
	}
	switch (frame->type == CODEC_FRAME_METHOD ? frame->method : 0) {
	case CODEC_BASIC_ACK:
		confirmed(sink, frame, false);
		break;
	case CODEC_BASIC_NACK:
		confirmed(sink, frame, true);
		break;
	case CODEC_BASIC_RETURN:
		return_begin(sink, frame);
		break;
	case CODEC_CHANNEL_OPEN_OK:
	case CODEC_EXCHANGE_DECLARE_OK:
		break;
	case CODEC_CONFIRM_SELECT_OK:
		if (sink->phase == PHASE_SETUP)
			channel_ready(sink);
		break;
	case CODEC_CHANNEL_CLOSE:
		channel_closed(sink, frame);
		break;
	case CODEC_CHANNEL_FLOW:
		at = codec_arguments(frame);
		codec_write_flow_ok(&sink->wire.out, WIRE_CHANNEL, (codec_u8(&at) & 1) != 0);
		break;
	default:
		wire_fail(&sink->wire, "the broker sent an unexpected method %u.%u", frame->method >> 16,
		          frame->method & 0xFFFF);
	}
}

static void
input_read(struct sink *sink)
{
	struct wire *wire = &sink->wire;
	struct codec_frame frame;
	enum wire_news news;

	do {
		news = wire_read(wire);
		while (wire_peek(wire, 0, &frame) == CODEC_OK) {
			bool was_blocked = wire->blocked;

			wire_consume(wire, frame.total);
			if (frame.channel == 0)
				wire_control(wire, &frame);
			else if (frame.channel == WIRE_CHANNEL)
				channel_frame(sink, &frame);
			else if (frame.channel == WIRE_CHANNEL_DECLARE)
				declare_frame(sink, &frame);
			else
				wire_fail(wire, "the broker used channel %u, which is not open", frame.channel);
			if (was_blocked && !wire->blocked) /* the clock of confirms stood still */
				sink->clock_from_ms = sink->host->now_ms();
		}
	} while (news == WIRE_SOME && !wire->failed);
}

/* ---- The instance --------------------------------------------------------------------------------- */

static uint64_t
sink_traits(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint)
{
	(void)host;
	(void)transport;
	(void)endpoint;
	return XF_TRAIT_HEADERS;
}

static uint32_t
sink_address(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
             char *out, uint32_t size)
{
	return settings_address(host, transport, host->option(endpoint, SINK_EXCHANGE)->str, out, size);
}

static int32_t
sink_check(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
           const struct xf_endpoint_info *info, struct xf_error *error)
{
	struct settings settings;

	(void)info;
	if (!settings_read(host, transport, &settings, error))
		return -1;
	if (host->option(endpoint, SINK_EXCHANGE)->str.len > CODEC_SHORT_MAX) {
		settings_fail(error, "exchange: a name has at most %u bytes", CODEC_SHORT_MAX);
		return -1;
	}
	return 0;
}

static void
sink_destroy(void *instance)
{
	struct sink *sink = instance;

	declares_clear(sink);
	known_clear(sink);
	wire_fini(&sink->wire);
	free(sink->exchange);
	free(sink->exchange_type);
	free(sink->places);
	free(sink->traces);
	free(sink);
}

static int32_t
sink_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared,
            const struct xf_config *transport, const struct xf_config *config,
            const struct xf_endpoint_info *info, void **instance, struct xf_error *error)
{
	struct xf_str exchange = host->option(config, SINK_EXCHANGE)->str;
	struct sink *sink;
	uint32_t size = 1;
	bool wired;

	(void)shared;
	if (sink_check(host, transport, config, info, error) != 0)
		return -1;
	sink = calloc(1, sizeof(*sink));
	if (sink == NULL) {
		settings_fail(error, "out of memory");
		return -1;
	}
	sink->host = host;
	sink->endpoint = endpoint;
	settings_read(host, transport, &sink->settings, error); /* passed its check above */
	wired = wire_init(&sink->wire, host, endpoint, &sink->settings, info);
	if (exchange.len == 11 && memcmp(exchange.data, "amq.default", 11) == 0)
		exchange.len = 0; /* how RabbitMQ's tools call it */
	sink->exchange = settings_copy(exchange);
	sink->exchange_type = settings_copy(host->option(config, SINK_EXCHANGE_TYPE)->str);
	sink->declare = host->option(config, SINK_DECLARE)->i64 != 0;
	sink->persistent = host->option(config, SINK_PERSISTENT)->i64 != 0;
	sink->window = (uint32_t)host->option(config, SINK_WINDOW)->i64;
	while (size < sink->window)
		size *= 2;
	sink->mask = size - 1;
	sink->low = sink->next = sink->return_from = 1;
	sink->places = calloc(size, sizeof(*sink->places));
	sink->traces = calloc(size, sizeof(*sink->traces));
	if (!wired || sink->exchange == NULL || sink->exchange_type == NULL || sink->places == NULL ||
	    sink->traces == NULL) {
		settings_fail(error, "out of memory");
		sink_destroy(sink);
		return -1;
	}
	*instance = sink;
	return 0;
}

static void
sink_start(void *instance)
{
	(void)instance; /* the first work() connects */
}

/* Everything that is out gets the result that is true of it. */
static void
outstanding_complete(struct sink *sink, const char *reason)
{
	uint64_t tag;

	for (tag = sink->low; tag < sink->next; tag++) {
		struct place *place = place_of(sink, tag);

		if (place->state == PLACE_FREE)
			continue;
		/* Returned is not stored, whether or not its ack came; nor is what did not go out whole. */
		result_explain(sink, place->token,
		               place->state == PLACE_RETURNED || place->end > sink->wire.sent ? XF_RESULT_NOT_SENT
		                                                                             : XF_RESULT_UNKNOWN,
		               reason);
		place->state = PLACE_FREE;
	}
	results_flush(sink);
	sink->low = sink->next = sink->return_from = 1;
}

static void
sink_away(struct sink *sink)
{
	if (!wire_connected(&sink->wire))
		return;
	outstanding_complete(sink, sink->wire.error);
	declares_clear(sink);
	known_clear(sink);
	sink->returned.active = false;
	sink->skip_exchange = sink->declare_refused = false;
	sink->phase = PHASE_AWAY;
	wire_drop(&sink->wire);
}

/* How many messages publish() would take now. */
static uint32_t
sink_room(const struct sink *sink, uint64_t now)
{
	uint32_t out = (uint32_t)(sink->next - sink->low);

	if (sink->phase != PHASE_READY || sink->wire.failed || sink->wire.blocked || sink->declare_count > 0 ||
	    wire_pending(&sink->wire) >= OUT_SOFT_MAX)
		return 0;
	if (sink->single_left > 0 || sink->broken[0] != '\0')
		return out == 0;
	if (sink->probe_ms > 0)
		return out == 0 && now >= sink->probe_at_ms ? (PROBE_ROOM < sink->window ? PROBE_ROOM : sink->window) : 0;
	return sink->window - out;
}

static void
timeout_lower(struct xf_work *work, uint64_t now, uint64_t at)
{
	uint64_t wait = at > now ? at - now : 0;

	if (wait < work->timeout_ms)
		work->timeout_ms = (uint32_t)wait;
}

/* Fails the connection if the broker owes an answer for too long. */
static void
answers_check(struct sink *sink, struct xf_work *work, uint64_t now)
{
	struct wire *wire = &sink->wire;
	uint64_t due;

	if (sink->phase == PHASE_SETUP || sink->declare_count > 0) {
		if (now >= sink->phase_until_ms)
			wire_fail(wire, "the broker has not answered for %u ms", sink->settings.confirm_timeout_ms);
		timeout_lower(work, now, sink->phase_until_ms);
	}
	if (sink->phase != PHASE_READY || sink->low == sink->next || wire->blocked)
		return;
	due = place_of(sink, sink->low)->sent_ms;
	if (due < sink->clock_from_ms)
		due = sink->clock_from_ms;
	due += sink->settings.confirm_timeout_ms;
	if (now >= due)
		wire_fail(wire, "the broker has not confirmed for %u ms", sink->settings.confirm_timeout_ms);
	timeout_lower(work, now, due);
}

static void
sink_tend(struct sink *sink, struct xf_work *work, uint64_t now)
{
	struct wire *wire = &sink->wire;
	uint32_t tick;

	if (sink->phase == PHASE_AWAY) {
		if (now >= sink->phase_until_ms)
			channel_setup(sink);
		timeout_lower(work, now, sink->phase_until_ms);
	}
	answers_check(sink, work, now);
	/* Where some queues are missing and others are not, the state does not flap with every message. */
	if (sink->mended && now - sink->missing_ms >= MISSING_HOLD_MS)
		sink->missing[0] = '\0';
	tick = wire_tick(wire, now, true);
	if (tick < work->timeout_ms)
		work->timeout_ms = tick;
	wire_flush(wire);
	if (!wire->failed)
		state_report(sink);
}

static void
sink_work(void *instance, struct xf_work *work)
{
	struct sink *sink = instance;
	struct wire *wire = &sink->wire;
	uint64_t now;

	if (wire->failed)
		sink_away(sink);
	if (!wire_connected(wire)) {
		if (work->draining)
			return;
		if (!wire_connect(wire)) {
			timeout_lower(work, sink->host->now_ms(), wire->connect_at_ms);
			return;
		}
		sink->probe_ms = 0;
		channel_setup(sink);
	}

	if (work->ready != 0)
		input_read(sink);
	results_flush(sink);
	now = sink->host->now_ms();
	if (!wire->failed)
		sink_tend(sink, work, now);
	if (wire->failed) {
		sink_away(sink);
		timeout_lower(work, now, wire->connect_at_ms);
		return;
	}

	work->fd = wire->fd;
	work->events = POLLIN | (wire_pending(wire) > 0 ? POLLOUT : 0);
	work->room = sink_room(sink, now);
	if (sink->probe_ms > 0 && sink->phase == PHASE_READY && now < sink->probe_at_ms)
		timeout_lower(work, now, sink->probe_at_ms);
}

/* Writes one message and gives it the next tag. False: it is not taken. */
static bool
publish_one(struct sink *sink, const struct xf_outgoing *message, uint64_t now)
{
	struct xf_str id = message->dedup_id.len > 0 ? message->dedup_id : message->id;
	struct codec_publish publish = {
		.exchange = str(sink->exchange),
		.routing_key = message->subject,
		.content_type = message->content_type,
		.reply_to = message->reply,
		.message_id = id,
		.headers = message->headers,
		.header_count = message->header_count,
		.priority = message->priority,
		.timestamp = message->time_ms > 0 ? (uint64_t)message->time_ms / 1000 : 0,
		.expiration_ms = message->ttl_ms <= EXPIRATION_MAX ? message->ttl_ms : 0,
		.persistent = sink->persistent,
		.payload = message->payload,
		.payload_size = message->payload_size,
	};
	enum codec_refusal refusal;

	refusal = codec_write_publish(&sink->wire.out, WIRE_CHANNEL, sink->wire.frame_max, &publish);
	if (refusal == CODEC_NO_MEMORY)
		return false; /* offered again */
	if (refusal != CODEC_TAKEN) {
		result_explain(sink, message->token, XF_RESULT_REJECTED, codec_refusal_text(refusal));
		return true;
	}
	*place_of(sink, sink->next) = (struct place){
		.token = message->token,
		.end = wire_end(&sink->wire),
		.sent_ms = now,
		.state = PLACE_OUT,
	};
	sink->traces[sink->next & sink->mask] = (struct trace){id, message->subject, message->payload_size};
	sink->next++;
	return true;
}

static uint32_t
sink_publish(void *instance, const struct xf_outgoing *messages, uint32_t stride, uint32_t count)
{
	struct sink *sink = instance;
	struct wire *wire = &sink->wire;
	const char *at = (const char *)messages;
	uint64_t now = sink->host->now_ms();
	bool declaring = sink->declare && sink->exchange[0] == '\0';
	uint32_t room = sink_room(sink, now), taken;

	if (count > room)
		count = room;
	for (taken = 0; taken < count; taken++, at += stride) {
		const struct xf_outgoing *message = (const struct xf_outgoing *)at;

		if (wire_pending(wire) >= OUT_SOFT_MAX) {
			wire_flush(wire);
			if (wire->failed || wire_pending(wire) >= OUT_SOFT_MAX)
				break;
		}
		if (declaring && message->subject.len <= CODEC_SHORT_MAX && !known_has(sink, message->subject) &&
		    !declare_ahead(sink, at, stride, count - taken))
			break;
		if (!publish_one(sink, message, now))
			break;
	}
	if (taken > 0 && sink->probe_ms > 0) {
		sink->probe_ms = sink->probe_ms * 2 < PROBE_MAX_MS ? sink->probe_ms * 2 : PROBE_MAX_MS;
		sink->probe_at_ms = now + wire_jitter(wire, sink->probe_ms);
	}
	wire_flush(wire);
	results_flush(sink);
	/* The wait was chosen before this. */
	if (wire_pending(wire) > 0 || wire->failed)
		sink->host->wake(sink->endpoint);
	return taken;
}

static void
sink_stop(void *instance)
{
	struct sink *sink = instance;

	if (wire_connected(&sink->wire)) {
		if (!sink->wire.failed)
			wire_flush(&sink->wire);
		/* What did not go out whole is told to be so, and must not follow now. */
		if (wire_pending(&sink->wire) > 0)
			wire_fail(&sink->wire, "stopped before everything was sent");
		outstanding_complete(sink, sink->wire.failed ? sink->wire.error : "stopped before the confirm came");
		wire_close(&sink->wire);
	}
	declares_clear(sink);
	sink->phase = PHASE_AWAY;
}

const struct xf_sink_ops sink_ops = {
	.struct_size = sizeof(struct xf_sink_ops),
	.traits = sink_traits,
	.address = sink_address,
	.check = sink_check,
	.create = sink_create,
	.start = sink_start,
	.work = sink_work,
	.publish = sink_publish,
	.stop = sink_stop,
	.destroy = sink_destroy,
};
