/*
 * codec.c - reads frames, methods, properties and tables of AMQP 0-9-1.
 *
 * A cursor never leaves its bytes: a read that would do so marks it bad and parks it at the end, so a
 * reader may take all its fields and look once. Tables are walked flat; what is nested inside a field
 * is stepped over by its length.
 */
#include "codec.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Reading ---------------------------------------------------------------- */

struct codec_cursor
codec_cursor(const void *data, size_t size)
{
	const uint8_t *at = size > 0 ? data : (const uint8_t *)"";

	return (struct codec_cursor){at, at + size, false};
}

/* SIZE bytes, or NULL. */
static const uint8_t *
cursor_take(struct codec_cursor *cursor, size_t size)
{
	const uint8_t *at = cursor->at;

	if (cursor->bad || (size_t)(cursor->end - at) < size) {
		cursor->bad = true;
		cursor->at = cursor->end;
		return NULL;
	}
	cursor->at += size;
	return at;
}

static uint16_t
load_u16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t
load_u32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint64_t
load_u64(const uint8_t *at)
{
	return (uint64_t)load_u32(at) << 32 | load_u32(at + 4);
}

uint8_t
codec_u8(struct codec_cursor *cursor)
{
	const uint8_t *at = cursor_take(cursor, 1);

	return at != NULL ? at[0] : 0;
}

uint16_t
codec_u16(struct codec_cursor *cursor)
{
	const uint8_t *at = cursor_take(cursor, 2);

	return at != NULL ? load_u16(at) : 0;
}

uint32_t
codec_u32(struct codec_cursor *cursor)
{
	const uint8_t *at = cursor_take(cursor, 4);

	return at != NULL ? load_u32(at) : 0;
}

uint64_t
codec_u64(struct codec_cursor *cursor)
{
	const uint8_t *at = cursor_take(cursor, 8);

	return at != NULL ? load_u64(at) : 0;
}

static struct xf_str
cursor_bytes(struct codec_cursor *cursor, size_t size)
{
	const uint8_t *at = cursor_take(cursor, size);

	if (at == NULL)
		return (struct xf_str){NULL, 0};
	return (struct xf_str){(const char *)at, size};
}

struct xf_str
codec_short(struct codec_cursor *cursor)
{
	return cursor_bytes(cursor, codec_u8(cursor));
}

struct xf_str
codec_long(struct codec_cursor *cursor)
{
	return cursor_bytes(cursor, codec_u32(cursor));
}

enum codec_status
codec_frame_read(const uint8_t *data, size_t size, uint32_t frame_max, struct codec_frame *frame)
{
	uint32_t payload;

	if (size < 7)
		return CODEC_MORE;
	frame->type = data[0];
	frame->channel = load_u16(data + 1);
	payload = load_u32(data + 3);
	if (payload > frame_max - CODEC_FRAME_OVERHEAD)
		return CODEC_BAD;
	if (size < payload + CODEC_FRAME_OVERHEAD)
		return CODEC_MORE;
	if (data[7 + payload] != CODEC_FRAME_END)
		return CODEC_BAD;

	frame->payload = data + 7;
	frame->size = payload;
	frame->total = payload + CODEC_FRAME_OVERHEAD;
	frame->method = 0;
	if (frame->type == CODEC_FRAME_METHOD) {
		if (payload < 4)
			return CODEC_BAD;
		frame->method = load_u32(data + 7);
	}
	return CODEC_OK;
}

struct codec_cursor
codec_arguments(const struct codec_frame *frame)
{
	return codec_cursor(frame->payload + 4, frame->size - 4);
}

bool
codec_close_read(const struct codec_frame *frame, struct codec_close *out)
{
	struct codec_cursor at = codec_arguments(frame);

	out->code = codec_u16(&at);
	out->text = codec_short(&at);
	out->method = codec_u32(&at);
	return !at.bad;
}

bool
codec_deliver_read(const struct codec_frame *frame, struct codec_deliver *out)
{
	struct codec_cursor at = codec_arguments(frame);

	codec_short(&at); /* the consumer's tag: there is only one */
	out->tag = codec_u64(&at);
	out->redelivered = (codec_u8(&at) & 1) != 0;
	out->exchange = codec_short(&at);
	out->routing_key = codec_short(&at);
	return !at.bad;
}

bool
codec_return_read(const struct codec_frame *frame, struct codec_return *out)
{
	struct codec_cursor at = codec_arguments(frame);

	out->code = codec_u16(&at);
	out->text = codec_short(&at);
	out->exchange = codec_short(&at);
	out->routing_key = codec_short(&at);
	return !at.bad;
}

bool
codec_confirm_read(const struct codec_frame *frame, struct codec_confirm *out)
{
	struct codec_cursor at = codec_arguments(frame);

	out->tag = codec_u64(&at);
	out->multiple = (codec_u8(&at) & 1) != 0;
	return !at.bad;
}

bool
codec_start_read(const struct codec_frame *frame, struct xf_str *mechanisms)
{
	struct codec_cursor at = codec_arguments(frame);

	codec_u16(&at);  /* the version */
	codec_long(&at); /* the server's properties */
	*mechanisms = codec_long(&at);
	return !at.bad;
}

bool
codec_tune_read(const struct codec_frame *frame, struct codec_tune *out)
{
	struct codec_cursor at = codec_arguments(frame);

	out->channel_max = codec_u16(&at);
	out->frame_max = codec_u32(&at);
	out->heartbeat = codec_u16(&at);
	return !at.bad;
}

bool
codec_queue_read(const struct codec_frame *frame, struct codec_queue *out)
{
	struct codec_cursor at = codec_arguments(frame);

	out->name = codec_short(&at);
	out->messages = codec_u32(&at);
	out->consumers = codec_u32(&at);
	return !at.bad;
}

bool
codec_properties_read(const void *payload, size_t size, struct codec_properties *out)
{
	struct codec_cursor at = codec_cursor(payload, size);
	uint32_t flags;

	memset(out, 0, sizeof(*out));
	if (codec_u16(&at) != 60)
		return false;
	codec_u16(&at); /* weight */
	out->body_size = codec_u64(&at);
	flags = codec_u16(&at);
	if ((flags & CODEC_HAS_MORE_FLAGS) != 0)
		return false; /* the basic class has no more than fourteen */

	if ((flags & CODEC_HAS_CONTENT_TYPE) != 0)
		out->content_type = codec_short(&at);
	if ((flags & CODEC_HAS_CONTENT_ENCODING) != 0)
		out->content_encoding = codec_short(&at);
	if ((flags & CODEC_HAS_HEADERS) != 0)
		out->table = codec_long(&at);
	if ((flags & CODEC_HAS_DELIVERY_MODE) != 0)
		out->delivery_mode = codec_u8(&at);
	if ((flags & CODEC_HAS_PRIORITY) != 0)
		out->priority = 1u + codec_u8(&at);
	if ((flags & CODEC_HAS_CORRELATION_ID) != 0)
		out->correlation_id = codec_short(&at);
	if ((flags & CODEC_HAS_REPLY_TO) != 0)
		out->reply_to = codec_short(&at);
	if ((flags & CODEC_HAS_EXPIRATION) != 0)
		out->expiration = codec_short(&at);
	if ((flags & CODEC_HAS_MESSAGE_ID) != 0)
		out->message_id = codec_short(&at);
	if ((flags & CODEC_HAS_TIMESTAMP) != 0)
		out->timestamp = codec_u64(&at);
	if ((flags & CODEC_HAS_TYPE) != 0)
		out->type = codec_short(&at);
	if ((flags & CODEC_HAS_USER_ID) != 0)
		out->user_id = codec_short(&at);
	if ((flags & CODEC_HAS_APP_ID) != 0)
		out->app_id = codec_short(&at);
	if ((flags & CODEC_HAS_CLUSTER_ID) != 0)
		codec_short(&at);
	return !at.bad;
}

static double
load_float(uint32_t bits)
{
	float value;

	memcpy(&value, &bits, sizeof(value));
	return (double)value;
}

static double
load_double(uint64_t bits)
{
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

bool
codec_value_next(struct codec_cursor *array, struct codec_value *value)
{
	uint8_t type;

	if (array->bad || array->at == array->end)
		return false;
	type = codec_u8(array);
	*value = (struct codec_value){.kind = CODEC_SIGNED};

	/* The letters as RabbitMQ and its clients use them. */
	switch (type) {
	case 't':
		value->kind = CODEC_BOOL;
		value->number = codec_u8(array) != 0;
		break;
	case 'b':
		value->number = (int8_t)codec_u8(array);
		break;
	case 'B':
		value->number = codec_u8(array);
		break;
	case 's':
	case 'U':
		value->number = (int16_t)codec_u16(array);
		break;
	case 'u':
		value->number = codec_u16(array);
		break;
	case 'I':
		value->number = (int32_t)codec_u32(array);
		break;
	case 'i':
		value->number = codec_u32(array);
		break;
	case 'l':
	case 'L':
		value->number = (int64_t)codec_u64(array);
		break;
	case 'T':
		value->kind = CODEC_UNSIGNED;
		value->number = (int64_t)codec_u64(array);
		break;
	case 'f':
		value->kind = CODEC_FLOAT;
		value->real = load_float(codec_u32(array));
		break;
	case 'd':
		value->kind = CODEC_FLOAT;
		value->real = load_double(codec_u64(array));
		break;
	case 'D':
		value->kind = CODEC_DECIMAL;
		value->scale = codec_u8(array);
		value->number = (int32_t)codec_u32(array);
		break;
	case 'S':
		value->kind = CODEC_TEXT;
		value->bytes = codec_long(array);
		break;
	case 'x':
		value->kind = CODEC_BYTES;
		value->bytes = codec_long(array);
		break;
	case 'A':
		value->kind = CODEC_ARRAY;
		value->bytes = codec_long(array);
		break;
	case 'F':
		value->kind = CODEC_TABLE;
		value->bytes = codec_long(array);
		break;
	case 'V':
		value->kind = CODEC_VOID;
		break;
	default:
		array->bad = true;
	}
	return !array->bad;
}

bool
codec_field_next(struct codec_cursor *table, struct xf_str *name, struct codec_value *value)
{
	if (table->bad || table->at == table->end)
		return false;
	*name = codec_short(table);
	if (table->at == table->end)
		table->bad = true; /* a name without a value */
	return codec_value_next(table, value);
}

struct xf_str
codec_value_text(const struct codec_value *value, char out[CODEC_VALUE_TEXT_MAX])
{
	int len = 0;

	switch (value->kind) {
	case CODEC_TEXT:
		return (struct xf_str){value->bytes.data != NULL ? value->bytes.data : "", value->bytes.len};
	case CODEC_BOOL:
		len = snprintf(out, CODEC_VALUE_TEXT_MAX, "%s", value->number != 0 ? "true" : "false");
		break;
	case CODEC_SIGNED:
		len = snprintf(out, CODEC_VALUE_TEXT_MAX, "%" PRId64, value->number);
		break;
	case CODEC_UNSIGNED:
		len = snprintf(out, CODEC_VALUE_TEXT_MAX, "%" PRIu64, (uint64_t)value->number);
		break;
	case CODEC_FLOAT:
		/* The shortest of the two that reads back as the same number. */
		len = snprintf(out, CODEC_VALUE_TEXT_MAX, "%.15g", value->real);
		if (strtod(out, NULL) != value->real)
			len = snprintf(out, CODEC_VALUE_TEXT_MAX, "%.17g", value->real);
		break;
	case CODEC_DECIMAL:
		len = snprintf(out, CODEC_VALUE_TEXT_MAX, "%" PRId64 "e-%u", value->number, value->scale);
		break;
	case CODEC_BYTES:
	case CODEC_VOID:
	case CODEC_ARRAY:
	case CODEC_TABLE:
		return (struct xf_str){NULL, 0};
	}
	return (struct xf_str){out, (uint64_t)len};
}
