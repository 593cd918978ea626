#include "replies.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct reply_out {
	uint64_t handle; /* 0: answered */
	uint64_t sent_ms;
};

static const struct xf_str no_exchange = {"", 0};

void
replies_init(struct replies *replies, struct wire *wire, struct acks *acks)
{
	*replies = (struct replies){.wire = wire, .acks = acks, .low = 1, .next = 1};
}

void
replies_fini(struct replies *replies)
{
	free(replies->out);
}

void
replies_reset(struct replies *replies)
{
	replies->open = false;
	replies->low = replies->next = 1;
}

static struct reply_out *
out_at(const struct replies *replies, uint64_t tag)
{
	return &replies->out[tag & (replies->size - 1)];
}

/* Room for one more. False: no memory. */
static bool
out_grow(struct replies *replies)
{
	uint32_t size = replies->size > 0 ? 2 * replies->size : 64;
	struct reply_out *out;
	uint64_t tag;

	if (replies->next - replies->low < replies->size)
		return true;
	out = calloc(size, sizeof(*out));
	if (out == NULL)
		return false;
	for (tag = replies->low; tag < replies->next; tag++)
		out[tag & (size - 1)] = *out_at(replies, tag);
	free(replies->out);
	replies->out = out;
	replies->size = size;
	return true;
}

/* ---- Out ------------------------------------------------------------------------- */

static struct xf_str
correlation_of(const struct xf_incoming *request)
{
	static const char name[] = CODEC_HEADER_CORRELATION_ID;

	for (uint32_t i = 0; i < request->header_count; i++) {
		const struct xf_header *header = &request->headers[i];

		if (header->name.len == sizeof(name) - 1 && strncasecmp(header->name.data, name, sizeof(name) - 1) == 0)
			return header->value;
	}
	return request->id;
}

/* What cannot be said in AMQP. Who asked is told instead. */
static enum codec_refusal
refusal_publish(struct replies *replies, const struct codec_publish *reply, enum codec_refusal refusal)
{
	const char *reason = codec_refusal_text(refusal);
	struct xf_header headers[] = {
		{{"Crossfade-Status", 16}, {"500", 3}},
		{{"Crossfade-Error", 15}, settings_str(reason)},
	};
	struct codec_publish publish = *reply;
	char payload[256];

	publish.content_type = settings_str("application/json");
	publish.headers = headers;
	publish.header_count = 2;
	publish.payload = payload;
	publish.payload_size = (uint64_t)snprintf(payload, sizeof(payload), "{\"error\":\"%s\"}", reason);
	return codec_write_publish(&replies->wire->out, WIRE_CHANNEL_REPLY, replies->wire->frame_max, &publish);
}

void
replies_publish(struct replies *replies, const struct xf_reply *reply, uint64_t now)
{
	static const char direct[] = "amq.rabbitmq.reply-to.";
	const struct xf_incoming *message = reply->message;
	struct codec_buffer *out = &replies->wire->out;
	struct codec_publish publish = {
		.exchange = no_exchange,
		.routing_key = reply->request->reply,
		.content_type = message->content_type,
		.message_id = message->id,
		.correlation_id = correlation_of(reply->request),
		.headers = message->headers,
		.header_count = message->header_count,
		.persistent = true,
		.payload = message->payload,
		.payload_size = message->payload_size,
	};
	enum codec_refusal refusal;

	if (publish.routing_key.len == 0 || publish.routing_key.len > CODEC_SHORT_MAX || !acks_await(replies->acks, reply->handle))
		return;
	publish.may_vanish = publish.routing_key.len >= sizeof(direct) - 1 &&
	                     memcmp(publish.routing_key.data, direct, sizeof(direct) - 1) == 0;
	if (!replies->open) {
		codec_write_channel_open(out, WIRE_CHANNEL_REPLY);
		codec_write_confirm_select(out, WIRE_CHANNEL_REPLY);
		replies->open = true;
	}
	refusal = out_grow(replies) ? codec_write_publish(out, WIRE_CHANNEL_REPLY, replies->wire->frame_max, &publish)
	                            : CODEC_NO_MEMORY;
	if (refusal != CODEC_TAKEN && refusal != CODEC_NO_MEMORY)
		refusal = refusal_publish(replies, &publish, refusal);
	if (refusal != CODEC_TAKEN) {
		acks_replied(replies->acks, reply->handle, false, now);
		return;
	}
	*out_at(replies, replies->next++) = (struct reply_out){reply->handle, now};
}

/* ---- In --------------------------------------------------------------------------- */

static void
out_answered(struct replies *replies, uint64_t tag, bool sent, uint64_t now)
{
	struct reply_out *out = out_at(replies, tag);

	if (out->handle != 0)
		acks_replied(replies->acks, out->handle, sent, now);
	out->handle = 0;
}

static void
confirmed(struct replies *replies, const struct codec_frame *frame, bool sent)
{
	uint64_t now = replies->wire->host->now_ms(), tag, last;
	struct codec_confirm confirm;

	if (!codec_confirm_read(frame, &confirm) || confirm.tag >= replies->next) {
		wire_fail(replies->wire, "the broker confirmed what was never published");
		return;
	}
	last = confirm.tag > 0 ? confirm.tag : replies->next - 1;
	for (tag = confirm.multiple ? replies->low : last; tag <= last && tag >= replies->low; tag++)
		out_answered(replies, tag, sent, now);
	while (replies->low < replies->next && out_at(replies, replies->low)->handle == 0)
		replies->low++;
	replies->clock_from_ms = now;
}

static void
channel_closed(struct replies *replies, const struct codec_frame *frame)
{
	uint64_t now = replies->wire->host->now_ms(), tag;
	struct codec_close reason;

	if (!codec_close_read(frame, &reason)) {
		wire_fail(replies->wire, "the broker sent a malformed channel.close");
		return;
	}
	if (!replies->told_refused)
		wire_log(replies->wire, XF_LOG_WARN, "the broker refuses replies: %u %.*s; their requests are worked on again; "
		         "this is said once", reason.code, SETTINGS_STR(reason.text));
	replies->told_refused = true;
	codec_write_empty(&replies->wire->out, WIRE_CHANNEL_REPLY, CODEC_CHANNEL_CLOSE_OK);
	for (tag = replies->low; tag < replies->next; tag++)
		out_answered(replies, tag, false, now);
	replies_reset(replies);
}

/* Its header and body follow, and are passed over; then its confirm. */
static void
returned(struct replies *replies, const struct codec_frame *frame)
{
	struct codec_return method;

	if (!codec_return_read(frame, &method)) {
		wire_fail(replies->wire, "the broker sent a malformed basic.return");
		return;
	}
	if (!replies->told_dropped)
		wire_log(replies->wire, XF_LOG_WARN, "there is no queue '%.*s' (any more) for the reply to a request; it is dropped; "
		         "this is said once", SETTINGS_STR(method.routing_key));
	replies->told_dropped = true;
}

void
replies_frame(struct replies *replies, const struct codec_frame *frame)
{
	struct codec_cursor at = codec_arguments(frame);

	if (frame->type != CODEC_FRAME_METHOD)
		return;
	switch (frame->method) {
	case CODEC_BASIC_ACK:
		confirmed(replies, frame, true);
		break;
	case CODEC_BASIC_NACK:
		confirmed(replies, frame, false);
		break;
	case CODEC_BASIC_RETURN:
		returned(replies, frame);
		break;
	case CODEC_CHANNEL_CLOSE:
		channel_closed(replies, frame);
		break;
	case CODEC_CHANNEL_FLOW:
		codec_write_flow_ok(&replies->wire->out, WIRE_CHANNEL_REPLY, (codec_u8(&at) & 1) != 0);
		break;
	case CODEC_CHANNEL_OPEN_OK:
	case CODEC_CONFIRM_SELECT_OK:
		break;
	default:
		wire_fail(replies->wire, "the broker sent an unexpected method %u.%u", frame->method >> 16, frame->method & 0xFFFF);
	}
}

uint64_t
replies_due(struct replies *replies, uint64_t now, bool reading)
{
	uint64_t since;

	if (!replies_waiting(replies))
		return UINT64_MAX;
	if (!reading || replies->wire->blocked) {
		replies->clock_from_ms = now;
		return UINT64_MAX;
	}
	since = out_at(replies, replies->low)->sent_ms;
	return (since > replies->clock_from_ms ? since : replies->clock_from_ms) + replies->wire->settings.confirm_timeout_ms;
}
