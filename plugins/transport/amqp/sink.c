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
 * ack, in the order of publishing, but without its tag. It is the one that is out with the same id, subject and size.
 * Where several are, what came back is compared with what was sent, headers and payload; of those that agree in
 * everything the first is taken, and whichever it is, it is the same message. If there is none, the connection is
 * given up rather than guessed about.
 *
 * A channel that the broker closes over one message cannot say which. All are then UNKNOWN, and after the
 * reconnect as many go out one by one: if the channel closes with only one out, that one did it.
 *
 * What stands at the broker: topology.h for the exchange, declare.h for queues that subjects name, sight.h for what
 * waits in them.
 *
 * Threads: all calls on the endpoint's thread.
 */
#include "declare.h"
#include "endpoints.h"
#include "requests.h"
#include "sight.h"
#include "topology.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESULTS 256
#define OUT_SOFT_MAX (1024 * 1024) /* nothing more is taken while so much waits for the socket */
#define RETURNS_IN_ROW 64          /* with no success between them: probe from then on */
#define PROBE_ROOM 16
#define PROBE_MIN_MS 100
#define PROBE_MAX_MS 2000
#define MISSING_HOLD_MS 1000 /* BLOCKED for a return stays at least so long */
#define EXPIRATION_MAX UINT32_MAX /* RabbitMQ refuses more; so long a life is as good as for ever */
#define NAME_SIZE (CODEC_SHORT_MAX + 1)
#define TAG_NONE 0

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

/* All borrowed: alive until completed. */
struct trace {
	struct xf_str id;
	struct xf_str subject;
	const void *payload;
	uint64_t size;
	const struct xf_header *headers;
	uint32_t header_count;
	uint64_t request; /* its number is what was sent as the correlation id; 0: none */
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
	uint64_t tag; /* of the only message that it can be; TAG_NONE: `header` and `body` have to tell */
	struct codec_buffer header;
	struct codec_buffer body;
};

struct sink {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct wire wire;
	struct topology topology;
	struct declare declare;
	struct sight sight;
	struct requests requests;

	char *only; /* the one subject there is, where the template has no variable; else NULL */
	uint64_t exchange_len;
	bool direct; /* to the default exchange: a subject is a queue */
	bool persistent;

	enum phase phase;
	uint64_t phase_until_ms;

	/* Tags low .. next-1 are out; mask is the ring's size - 1. */
	struct place *places;
	struct trace *traces;
	uint32_t mask;
	uint32_t window;
	uint64_t low, next;
	uint64_t clock_from_ms; /* confirms are due from then on: low moved, or an alarm is over */
	struct returned returned;

	struct xf_result results[RESULTS];
	uint32_t result_count;
	char reason[WIRE_REASON_MAX]; /* of all results that have one, until they are flushed */

	/* Trouble that the operator sees; each "" where there is none. */
	char missing[WIRE_REASON_MAX]; /* returned or nacked */
	uint64_t missing_ms;
	bool mended; /* something was stored since */
	uint32_t returns_in_row;
	uint32_t probe_ms;
	uint64_t probe_at_ms;
	char broken[WIRE_REASON_MAX]; /* why the channel was closed */
	uint64_t single_left;         /* so many are still to go out one by one */
	bool halted;                  /* by channel.flow */
};

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
	result_add(sink, token, code, settings_str(sink->reason));
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
	else if (sink->halted)
		wire_state(wire, XF_STATE_BLOCKED, "%s", "the broker asks to publish no more for now (channel.flow)");
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

/* ---- Declaring queues ------------------------------------------------------------------------ */

/* Whether a message for SUBJECT can be written now: its queue was declared, or cannot be. Else starts declaring what is
 * new among the messages offered. */
static bool
declare_ahead(struct sink *sink, const char *messages, uint32_t stride, uint32_t count, uint64_t now)
{
	struct declare *declare = &sink->declare;
	uint32_t i;

	for (i = 0; i < count && declare->waiting_count < DECLARE_AT_ONCE; i++) {
		struct xf_str subject = ((const struct xf_outgoing *)(messages + (size_t)i * stride))->subject;

		if (subject.len <= CODEC_SHORT_MAX && declare_find(declare, subject, now) == NULL)
			declare_begin(declare, subject);
	}
	return declare->waiting_count == 0;
}

/* ---- Confirms ------------------------------------------------------------------------------ */

/* Why a returned message has nowhere to go, and what would mend it. */
static void
return_reason(struct sink *sink, struct xf_str subject, uint32_t code, char out[WIRE_REASON_MAX])
{
	if (code != 312)
		snprintf(out, WIRE_REASON_MAX, "the broker returned a message for '%.*s' (%u)", SETTINGS_STR(subject),
		         code);
	else if (!sink->direct)
		snprintf(out, WIRE_REASON_MAX, "exchange '%s' has no queue for '%.*s'; bind one", sink->topology.exchange,
		         SETTINGS_STR(subject));
	else if (sink->declare.forbidden[0] != '\0')
		snprintf(out, WIRE_REASON_MAX, "no queue '%.*s', and it may not be declared (%.200s); create it",
		         SETTINGS_STR(subject), sink->declare.forbidden);
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
	if (declare_find(&sink->declare, subject, 0) != NULL)
		declare_forget(&sink->declare);
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
	result_explain(sink, place->token, sink->direct ? XF_RESULT_NOT_SENT : XF_RESULT_UNKNOWN,
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
	if (sink->low == sink->next || place_of(sink, sink->low)->state != PLACE_FREE)
		return;
	while (sink->low < sink->next && place_of(sink, sink->low)->state == PLACE_FREE)
		sink->low++;
	sink->clock_from_ms = sink->host->now_ms();
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

static bool
str_same(struct xf_str a, struct xf_str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Whether the headers of TAG, written once more, are those that came back. */
static bool
headers_same(struct sink *sink, uint64_t tag)
{
	const struct trace *trace = &sink->traces[tag & sink->mask];
	struct codec_publish publish = {.headers = trace->headers, .header_count = trace->header_count};
	struct xf_str header = codec_buffer_bytes(&sink->returned.header);
	struct codec_properties sent, back;
	struct codec_buffer scratch = {0};
	struct codec_frame frame;
	char number[REQUESTS_NUMBER_SIZE];
	bool same = false;

	if (trace->request != 0)
		publish.correlation_id = requests_number(trace->request, number);
	if (codec_write_publish(&scratch, WIRE_CHANNEL, sink->wire.frame_max, &publish) == CODEC_TAKEN &&
	    codec_frame_read(scratch.data, scratch.end, sink->wire.frame_max, &frame) == CODEC_OK &&
	    codec_frame_read(scratch.data + frame.total, scratch.end - frame.total, sink->wire.frame_max, &frame) ==
	            CODEC_OK &&
	    codec_properties_read(frame.payload, frame.size, &sent) && codec_properties_read(header.data, header.len, &back))
		same = str_same(sent.table, back.table) && str_same(sent.correlation_id, back.correlation_id) &&
		       str_same(sent.content_encoding, back.content_encoding) && str_same(sent.type, back.type) &&
		       str_same(sent.app_id, back.app_id);
	codec_buffer_fini(&scratch);
	return same;
}

static bool
content_same(struct sink *sink, uint64_t tag)
{
	const struct trace *trace = &sink->traces[tag & sink->mask];

	return str_same((struct xf_str){trace->payload, trace->size}, codec_buffer_bytes(&sink->returned.body)) &&
	       headers_same(sink, tag);
}

/* The message that came back, by its id, subject and size; TAG_NONE where that can be several, or none. */
static uint64_t
return_find(const struct sink *sink, uint32_t *count)
{
	uint64_t found = TAG_NONE, tag;

	*count = 0;
	for (tag = sink->low; tag < sink->next; tag++)
		if (trace_matches(sink, tag)) {
			found = tag;
			(*count)++;
		}
	return *count == 1 ? found : TAG_NONE;
}

/* Of several that look alike, the first with the same content. */
static uint64_t
return_tell(struct sink *sink)
{
	uint64_t tag;

	for (tag = sink->low; tag < sink->next; tag++)
		if (trace_matches(sink, tag) && content_same(sink, tag))
			return tag;
	return TAG_NONE;
}

static void
return_done(struct sink *sink)
{
	struct returned *returned = &sink->returned;
	uint64_t tag = returned->tag != TAG_NONE ? returned->tag : return_tell(sink);

	returned->active = false;
	returned->header.start = returned->header.end = 0;
	codec_buffer_fini(&returned->body);
	if (tag == TAG_NONE) {
		wire_fail(&sink->wire, "the broker returned a message that was not published here");
		return;
	}
	place_of(sink, tag)->state = PLACE_RETURNED;
	place_of(sink, tag)->code = returned->code;
}

static void
return_begin(struct sink *sink, const struct codec_frame *frame)
{
	struct returned *returned = &sink->returned;
	struct codec_return method;

	if (!codec_return_read(frame, &method)) {
		wire_fail(&sink->wire, "the broker sent a malformed basic.return");
		return;
	}
	returned->active = true;
	returned->header_seen = false;
	returned->code = method.code;
	returned->subject_len = (uint32_t)method.routing_key.len;
	if (method.routing_key.len > 0)
		memcpy(returned->subject, method.routing_key.data, method.routing_key.len);
}

static void
bytes_keep(struct sink *sink, struct codec_buffer *buffer, const struct codec_frame *frame)
{
	uint8_t *at = codec_buffer_reserve(buffer, frame->size);

	if (at == NULL) {
		wire_fail(&sink->wire, "out of memory");
		return;
	}
	if (frame->size > 0)
		memcpy(at, frame->payload, frame->size);
	buffer->end += frame->size;
}

static void
return_header(struct sink *sink, const struct codec_frame *frame, const struct codec_properties *properties)
{
	struct returned *returned = &sink->returned;
	uint32_t count;

	returned->header_seen = true;
	returned->size = returned->left = properties->body_size;
	returned->id_len = (uint32_t)properties->message_id.len;
	if (properties->message_id.len > 0)
		memcpy(returned->id, properties->message_id.data, properties->message_id.len);
	returned->tag = return_find(sink, &count);
	if (count > 1)
		bytes_keep(sink, &returned->header, frame);
	else if (count == 0)
		wire_fail(&sink->wire, "the broker returned a message that was not published here");
}

static void
return_feed(struct sink *sink, const struct codec_frame *frame)
{
	struct returned *returned = &sink->returned;
	struct codec_properties properties;

	if (frame->type == CODEC_FRAME_HEADER && !returned->header_seen &&
	    codec_properties_read(frame->payload, frame->size, &properties)) {
		return_header(sink, frame, &properties);
	} else if (frame->type == CODEC_FRAME_BODY && returned->header_seen && frame->size <= returned->left) {
		returned->left -= frame->size;
		if (returned->tag == TAG_NONE)
			bytes_keep(sink, &returned->body, frame);
	} else {
		wire_fail(&sink->wire, "the broker sent a malformed basic.return");
	}
	if (!sink->wire.failed && returned->left == 0)
		return_done(sink);
}

/* ---- The channel ------------------------------------------------------------------------------ */

static void
channel_setup(struct sink *sink)
{
	codec_write_channel_open(&sink->wire.out, WIRE_CHANNEL);
	topology_write(&sink->topology, &sink->wire.out, WIRE_CHANNEL);
	requests_consume(&sink->requests);
	codec_write_confirm_select(&sink->wire.out, WIRE_CHANNEL);
	sink->phase = PHASE_SETUP;
	sink->phase_until_ms = sink->host->now_ms() + sink->wire.settings.confirm_timeout_ms;
}

static void
channel_ready(struct sink *sink)
{
	sink->phase = PHASE_READY;
	sink->low = sink->next = 1;
	sink->clock_from_ms = 0;
	sink->halted = false;
	sink->probe_ms = 0;
	sink->returns_in_row = 0;
	/* A queue that is known by name is there before the first message, for consumers to come to. */
	if (sink->topology.declare && sink->direct && sink->only != NULL && sink->only[0] != '\0')
		declare_begin(&sink->declare, settings_str(sink->only));
	sight_hurry(&sink->sight, 0);
	state_report(sink);
}

/* Of what is to stand there, before anything was published. Stays connected; the channel is closed. */
static void
setup_refused(struct sink *sink, const struct codec_close *close)
{
	struct wire *wire = &sink->wire;
	char words[WIRE_REASON_MAX];

	if (topology_refused(&sink->topology, close, wire->server->user, words, sizeof(words))) {
		channel_setup(sink);
		return;
	}
	wire_state(wire, XF_STATE_BLOCKED, "%s", words);
	sink->phase = PHASE_AWAY; /* tried again by phase_until_ms */
	sink->probe_ms = sink->probe_ms == 0 ? PROBE_MIN_MS : 2 * sink->probe_ms;
	if (sink->probe_ms > PROBE_MAX_MS)
		sink->probe_ms = PROBE_MAX_MS;
	sink->phase_until_ms = sink->host->now_ms() + wire_jitter(wire, sink->probe_ms);
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
	if (requests_frame(&sink->requests, frame))
		return;
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
	case CODEC_QUEUE_DECLARE_OK:
	case CODEC_QUEUE_BIND_OK:
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
		sink->halted = (codec_u8(&at) & 1) == 0;
		codec_write_flow_ok(&sink->wire.out, WIRE_CHANNEL, !sink->halted);
		break;
	default:
		wire_fail(&sink->wire, "the broker sent an unexpected method %u.%u", frame->method >> 16,
		          frame->method & 0xFFFF);
	}
}

/* What waits behind the sink: in the queue of its subject, in those that it was last seen publishing to, or in the one
 * that stands for an exchange. What consumers hold unacknowledged the broker does not tell. */
static void
sight_take(struct sink *sink, const struct codec_frame *frame)
{
	struct xf_sight sight = {.struct_size = sizeof(sight), .known = XF_SIGHT_DEPTH | XF_SIGHT_CONSUMERS};

	if (!sight_frame(&sink->sight, frame) || sink->sight.found == 0)
		return;
	sight.depth = sink->sight.messages;
	sight.consumers = sink->sight.consumers;
	wire_sight(&sink->wire, &sight);
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
				declare_frame(&sink->declare, &frame);
			else if (frame.channel == WIRE_CHANNEL_SIGHT)
				sight_take(sink, &frame);
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
	return XF_TRAIT_HEADERS | XF_TRAIT_REQUESTS;
}

static uint32_t
sink_address(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
             char *out, uint32_t size)
{
	return settings_address(host, transport, host->option(endpoint, ENDPOINT_EXCHANGE)->str, out, size);
}

static int32_t
sink_check(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
           const struct xf_endpoint_info *info, struct xf_error *error)
{
	struct settings settings;

	return settings_read(host, transport, &settings, error) &&
	               topology_check(host, transport, endpoint, TOPOLOGY_SINK, info, error)
	           ? 0
	           : -1;
}

static void
sink_destroy(void *instance)
{
	struct sink *sink = instance;

	declare_reset(&sink->declare);
	requests_fini(&sink->requests);
	wire_fini(&sink->wire);
	topology_fini(&sink->topology);
	codec_buffer_fini(&sink->returned.header);
	codec_buffer_fini(&sink->returned.body);
	free(sink->only);
	free(sink->places);
	free(sink->traces);
	free(sink);
}

/* False where there is no memory. */
static bool
parts_create(struct sink *sink, const struct xf_config *transport, const struct xf_config *config,
             const struct xf_endpoint_info *info)
{
	const struct xf_host *host = sink->host;
	uint32_t size = 1;

	sink->persistent = host->option(config, SINK_PERSISTENT)->i64 != 0;
	sink->window = (uint32_t)host->option(config, SINK_WINDOW)->i64;
	while (size < sink->window)
		size *= 2;
	sink->mask = size - 1;
	sink->low = sink->next = 1;
	sink->places = calloc(size, sizeof(*sink->places));
	sink->traces = calloc(size, sizeof(*sink->traces));
	if (info->subject.len > 0 && memchr(info->subject.data, '{', info->subject.len) == NULL) {
		sink->only = settings_copy(info->subject);
		if (sink->only == NULL)
			return false;
	}
	return requests_init(&sink->requests, &sink->wire, info->request_ms > 0) &&
	       topology_init(&sink->topology, host, transport, config, TOPOLOGY_SINK, info) && sink->places != NULL &&
	       sink->traces != NULL;
}

static int32_t
sink_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared,
            const struct xf_config *transport, const struct xf_config *config,
            const struct xf_endpoint_info *info, void **instance, struct xf_error *error)
{
	struct sink *sink;

	(void)shared;
	if (!topology_check(host, transport, config, TOPOLOGY_SINK, info, error))
		return -1;
	sink = calloc(1, sizeof(*sink));
	if (sink == NULL) {
		settings_fail(error, "out of memory");
		return -1;
	}
	sink->host = host;
	sink->endpoint = endpoint;
	if (!wire_init(&sink->wire, host, endpoint, transport, info, error)) {
		sink_destroy(sink);
		return -1;
	}
	if (!parts_create(sink, transport, config, info)) {
		settings_fail(error, "out of memory");
		sink_destroy(sink);
		return -1;
	}
	sink->exchange_len = strlen(sink->topology.exchange);
	sink->direct = sink->exchange_len == 0;
	declare_init(&sink->declare, &sink->wire, &sink->topology);
	sight_init(&sink->sight, &sink->wire);
	if (sink->topology.queue != NULL)
		sight_only(&sink->sight, settings_str(sink->topology.queue));
	else if (sink->direct && sink->only != NULL)
		sight_only(&sink->sight, settings_str(sink->only));
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
	sink->low = sink->next = 1;
}

static void
sink_away(struct sink *sink)
{
	if (!wire_connected(&sink->wire))
		return;
	outstanding_complete(sink, sink->wire.error);
	declare_reset(&sink->declare);
	topology_reset(&sink->topology);
	requests_reset(&sink->requests);
	sink->returned.active = false;
	sink->returned.header.start = sink->returned.header.end = 0;
	codec_buffer_fini(&sink->returned.body);
	sink->phase = PHASE_AWAY;
	wire_drop(&sink->wire);
}

/* How many messages publish() would take now. */
static uint32_t
sink_room(const struct sink *sink, uint64_t now)
{
	uint32_t out = (uint32_t)(sink->next - sink->low);

	if (sink->phase != PHASE_READY || sink->wire.failed || sink->wire.blocked || sink->halted ||
	    sink->declare.waiting_count > 0 || wire_pending(&sink->wire) >= OUT_SOFT_MAX)
		return 0;
	if (sink->single_left > 0 || sink->broken[0] != '\0')
		return out == 0;
	if (sink->probe_ms > 0)
		return out == 0 && now >= sink->probe_at_ms ? (PROBE_ROOM < sink->window ? PROBE_ROOM : sink->window) : 0;
	return sink->window - out;
}

/*
 * When the connection is given up for want of a confirm. The oldest message out had its time since it was sent, since the
 * one before it was confirmed, or, while some of it has not left, since the socket took anything. So a broker that is slow
 * keeps its connection, and a confirm that got lost is missed however many later ones come.
 */
static uint64_t
confirm_due(struct sink *sink)
{
	const struct place *oldest = place_of(sink, sink->low);
	const struct wire *wire = &sink->wire;
	uint64_t since = oldest->sent_ms;

	if (sink->phase != PHASE_READY || sink->low == sink->next || wire->blocked)
		return UINT64_MAX;
	if (since < sink->clock_from_ms)
		since = sink->clock_from_ms;
	if (oldest->end > wire->sent && wire->wrote_ms > since)
		since = wire->wrote_ms;
	return since + wire->settings.confirm_timeout_ms;
}

/* Fails the connection if the broker owes an answer for too long. */
static void
answers_check(struct sink *sink, struct xf_work *work, uint64_t now)
{
	struct wire *wire = &sink->wire;
	uint64_t confirm = confirm_due(sink), due = sink->phase == PHASE_SETUP ? sink->phase_until_ms : UINT64_MAX;

	if (sink->declare.waiting_count > 0 && sink->declare.due_ms < due)
		due = sink->declare.due_ms;
	if (now >= due)
		wire_fail(wire, "the broker has not answered for %u ms", wire->settings.confirm_timeout_ms);
	if (now >= confirm)
		wire_fail(wire, "the broker has not confirmed for %u ms", wire->settings.confirm_timeout_ms);
	wire_call_at(work, now, due < confirm ? due : confirm);
}

static void
sink_tend(struct sink *sink, struct xf_work *work, uint64_t now)
{
	struct wire *wire = &sink->wire;
	uint32_t tick;

	if (sink->phase == PHASE_AWAY) {
		if (now >= sink->phase_until_ms)
			channel_setup(sink);
		wire_call_at(work, now, sink->phase_until_ms);
	}
	answers_check(sink, work, now);
	/* Where some queues are missing and others are not, the state does not flap with every message. */
	if (sink->mended && now - sink->missing_ms >= MISSING_HOLD_MS)
		sink->missing[0] = '\0';
	if (sink->phase == PHASE_READY)
		wire_call_at(work, now, sight_tick(&sink->sight, now));
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
			wire_call_at(work, sink->host->now_ms(), wire->connect_at_ms);
			return;
		}
		sink->probe_ms = 0;
		sight_reset(&sink->sight, sink->host->now_ms());
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
		wire_call_at(work, now, wire->connect_at_ms);
		return;
	}

	work->fd = wire->fd;
	work->events = wire_events(wire, true);
	work->room = sink_room(sink, now);
	if (sink->probe_ms > 0 && sink->phase == PHASE_READY && now < sink->probe_at_ms)
		wire_call_at(work, now, sink->probe_at_ms);
}

/* Writes one message and gives it the next tag. False: it is not taken. */
static bool
publish_one(struct sink *sink, const struct xf_outgoing *message, uint64_t now)
{
	struct xf_str id = message->dedup_id.len > 0 ? message->dedup_id : message->id;
	struct codec_publish publish = {
		.exchange = {sink->topology.exchange, sink->exchange_len},
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
	char number[REQUESTS_NUMBER_SIZE];

	if (message->request != 0)
		publish.correlation_id = requests_number(message->request, number);
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
	sink->traces[sink->next & sink->mask] = (struct trace){
		.id = id,
		.subject = message->subject,
		.payload = message->payload,
		.size = message->payload_size,
		.headers = message->headers,
		.header_count = message->header_count,
		.request = message->request,
	};
	sink->next++;
	return true;
}

/* Its queue is there in another form. */
static void
mismatch_refuse(struct sink *sink, const struct xf_outgoing *message, const struct declared *queue)
{
	missing_note(sink, queue->mismatch);
	result_explain(sink, message->token, XF_RESULT_NOT_SENT, queue->mismatch);
}

static uint32_t
sink_publish(void *instance, const struct xf_outgoing *messages, uint32_t stride, uint32_t count)
{
	struct sink *sink = instance;
	struct wire *wire = &sink->wire;
	const char *at = (const char *)messages;
	uint64_t now = sink->host->now_ms();
	bool declaring = sink->topology.declare && sink->direct;
	uint32_t room = sink_room(sink, now), taken;

	if (count > room)
		count = room;
	if (count > 0 && sink->direct && sink->only == NULL)
		sight_note(&sink->sight, messages->subject);
	for (taken = 0; taken < count; taken++, at += stride) {
		const struct xf_outgoing *message = (const struct xf_outgoing *)at;

		if (wire_pending(wire) >= OUT_SOFT_MAX) {
			wire_flush(wire);
			if (wire->failed || wire_pending(wire) >= OUT_SOFT_MAX)
				break;
		}
		if (declaring && message->subject.len <= CODEC_SHORT_MAX) {
			const struct declared *queue = declare_find(&sink->declare, message->subject, now);

			if (queue == NULL && !declare_ahead(sink, at, stride, count - taken, now))
				break;
			if (queue != NULL && queue->mismatch != NULL) {
				mismatch_refuse(sink, message, queue);
				continue;
			}
		}
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
	declare_reset(&sink->declare);
	sink->phase = PHASE_AWAY;
}

static uint32_t
sink_reply_to(void *instance, uint64_t request, char *out, uint32_t size)
{
	(void)instance;
	(void)request;
	return requests_reply_to(out, size);
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
	.reply_to = sink_reply_to,
};
