/*
 * encode.c - writes what codec.h says: methods, tables, and messages to publish.
 *
 * Every function reserves room for the largest frame that it can write, puts the bytes there, and only then moves the
 * buffer's end: what does not come to its end leaves nothing behind.
 */
#include "codec.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

uint8_t *
codec_buffer_reserve(struct codec_buffer *buffer, size_t size)
{
	size_t used = buffer->end - buffer->start;
	size_t wanted;
	uint8_t *data;

	if (buffer->size - buffer->end >= size)
		return buffer->data + buffer->end;
	if (buffer->size - used >= size && buffer->start >= used) {
		memcpy(buffer->data, buffer->data + buffer->start, used);
		buffer->start = 0;
		buffer->end = used;
		return buffer->data + used;
	}

	wanted = buffer->size > 0 ? buffer->size : 64 * 1024;
	while (wanted - used < size)
		wanted *= 2;
	data = malloc(wanted);
	if (data == NULL)
		return NULL;
	if (used > 0)
		memcpy(data, buffer->data + buffer->start, used);
	free(buffer->data);
	*buffer = (struct codec_buffer){data, 0, used, wanted};
	return data + used;
}

void
codec_buffer_fini(struct codec_buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct codec_buffer){0};
}

static uint8_t *
put_u8(uint8_t *at, uint8_t value)
{
	*at = value;
	return at + 1;
}

static uint8_t *
put_u16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
	return at + 2;
}

static uint8_t *
put_u32(uint8_t *at, uint32_t value)
{
	put_u16(at, value >> 16);
	put_u16(at + 2, value & 0xFFFF);
	return at + 4;
}

static uint8_t *
put_u64(uint8_t *at, uint64_t value)
{
	put_u32(at, (uint32_t)(value >> 32));
	put_u32(at + 4, (uint32_t)value);
	return at + 8;
}

static uint8_t *
put_bytes(uint8_t *at, struct xf_str text)
{
	if (text.len > 0)
		memcpy(at, text.data, text.len);
	return at + text.len;
}

static uint8_t *
put_short(uint8_t *at, struct xf_str text)
{
	return put_bytes(put_u8(at, (uint8_t)text.len), text);
}

static uint8_t *
put_long(uint8_t *at, struct xf_str text)
{
	return put_bytes(put_u32(at, (uint32_t)text.len), text);
}

/* ---- Tables ------------------------------------------------------------------ */

/* Room for a field NAME with SIZE bytes of value, and its name and TYPE written. */
static uint8_t *
field_begin(struct codec_buffer *table, const char *name, char type, size_t size)
{
	size_t len = strlen(name);
	uint8_t *at = codec_buffer_reserve(table, 2 + len + size);

	return at != NULL ? put_u8(put_short(at, (struct xf_str){name, len}), (uint8_t)type) : NULL;
}

static bool
field_end(struct codec_buffer *table, const uint8_t *at)
{
	table->end = (size_t)(at - table->data);
	return true;
}

bool
codec_put_text(struct codec_buffer *table, const char *name, struct xf_str value)
{
	uint8_t *at = field_begin(table, name, 'S', 4 + value.len);

	return at != NULL && field_end(table, put_long(at, value));
}

bool
codec_put_number(struct codec_buffer *table, const char *name, int64_t value)
{
	uint8_t *at = field_begin(table, name, 'l', 8);

	return at != NULL && field_end(table, put_u64(at, (uint64_t)value));
}

bool
codec_put_bool(struct codec_buffer *table, const char *name, bool value)
{
	uint8_t *at = field_begin(table, name, 't', 1);

	return at != NULL && field_end(table, put_u8(at, value));
}

bool
codec_put_table(struct codec_buffer *table, const char *name, struct xf_str fields)
{
	uint8_t *at = field_begin(table, name, 'F', 4 + fields.len);

	return at != NULL && field_end(table, put_long(at, fields));
}

struct xf_str
codec_buffer_bytes(const struct codec_buffer *buffer)
{
	if (buffer->data == NULL)
		return (struct xf_str){NULL, 0};
	return (struct xf_str){(const char *)buffer->data + buffer->start, buffer->end - buffer->start};
}

/* ---- Methods ------------------------------------------------------------------ */

static uint8_t *
put_frame(uint8_t *at, uint8_t type, uint16_t channel, uint32_t size)
{
	at = put_u8(at, type);
	at = put_u16(at, channel);
	return put_u32(at, size);
}

/* Methods are written behind a frame head whose size is filled in at the end. None needs more than this,
 * tables apart. */
#define METHOD_MAX 1280

static uint8_t *
method_begin_sized(struct codec_buffer *out, uint32_t method, size_t more)
{
	uint8_t *at = codec_buffer_reserve(out, METHOD_MAX + more);

	return at != NULL ? put_u32(at + 7, method) : NULL;
}

static uint8_t *
method_begin(struct codec_buffer *out, uint32_t method)
{
	return method_begin_sized(out, method, 0);
}

static bool
method_end(struct codec_buffer *out, uint16_t channel, uint8_t *at)
{
	uint8_t *head = out->data + out->end;

	put_frame(head, CODEC_FRAME_METHOD, channel, (uint32_t)(at - head - 7));
	at = put_u8(at, CODEC_FRAME_END);
	out->end = (size_t)(at - out->data);
	return true;
}

bool
codec_write_greeting(struct codec_buffer *out)
{
	static const uint8_t greeting[] = {'A', 'M', 'Q', 'P', 0, 0, 9, 1};
	uint8_t *at = codec_buffer_reserve(out, sizeof(greeting));

	if (at == NULL)
		return false;
	memcpy(at, greeting, sizeof(greeting));
	out->end += sizeof(greeting);
	return true;
}

bool
codec_write_start_ok(struct codec_buffer *out, struct xf_str properties, const char *mechanism,
                     struct xf_str response)
{
	uint8_t *at = method_begin_sized(out, CODEC_CONNECTION_START_OK, properties.len + response.len);

	if (at == NULL)
		return false;
	at = put_long(at, properties);
	at = put_short(at, (struct xf_str){mechanism, strlen(mechanism)});
	at = put_long(at, response);
	at = put_short(at, (struct xf_str){"en_US", 5});
	return method_end(out, 0, at);
}

bool
codec_write_tune_ok(struct codec_buffer *out, const struct codec_tune *tune)
{
	uint8_t *at = method_begin(out, CODEC_CONNECTION_TUNE_OK);

	if (at == NULL)
		return false;
	at = put_u16(at, tune->channel_max);
	at = put_u32(at, tune->frame_max);
	at = put_u16(at, tune->heartbeat);
	return method_end(out, 0, at);
}

bool
codec_write_open(struct codec_buffer *out, struct xf_str vhost)
{
	uint8_t *at = method_begin(out, CODEC_CONNECTION_OPEN);

	if (at == NULL)
		return false;
	at = put_short(at, vhost);
	at = put_u16(at, 0); /* two fields that mean nothing any more */
	return method_end(out, 0, at);
}

bool
codec_write_heartbeat(struct codec_buffer *out)
{
	uint8_t *at = codec_buffer_reserve(out, CODEC_FRAME_OVERHEAD);

	if (at == NULL)
		return false;
	put_u8(put_frame(at, CODEC_FRAME_HEARTBEAT, 0, 0), CODEC_FRAME_END);
	out->end += CODEC_FRAME_OVERHEAD;
	return true;
}

bool
codec_write_empty(struct codec_buffer *out, uint16_t channel, uint32_t method)
{
	uint8_t *at = method_begin(out, method);

	return at != NULL && method_end(out, channel, at);
}

bool
codec_write_close(struct codec_buffer *out, uint16_t channel, uint32_t method, uint16_t code,
                  const char *text)
{
	uint8_t *at = method_begin(out, method);

	if (at == NULL)
		return false;
	at = put_u16(at, code);
	at = put_short(at, (struct xf_str){text, strlen(text)});
	at = put_u32(at, 0);
	return method_end(out, channel, at);
}

bool
codec_write_channel_open(struct codec_buffer *out, uint16_t channel)
{
	uint8_t *at = method_begin(out, CODEC_CHANNEL_OPEN);

	return at != NULL && method_end(out, channel, put_u8(at, 0));
}

bool
codec_write_flow_ok(struct codec_buffer *out, uint16_t channel, bool active)
{
	uint8_t *at = method_begin(out, CODEC_CHANNEL_FLOW_OK);

	return at != NULL && method_end(out, channel, put_u8(at, active));
}

/* passive 1, durable 2, auto-delete 4, internal 8, no-wait 16 */
bool
codec_write_exchange_declare(struct codec_buffer *out, uint16_t channel, struct xf_str exchange,
                             struct xf_str type, bool passive)
{
	uint8_t *at = method_begin(out, CODEC_EXCHANGE_DECLARE);

	if (at == NULL)
		return false;
	at = put_u16(at, 0);
	at = put_short(at, exchange);
	at = put_short(at, type);
	at = put_u8(at, passive ? 1 : 2);
	at = put_u32(at, 0);
	return method_end(out, channel, at);
}

bool
codec_write_queue_declare(struct codec_buffer *out, uint16_t channel, struct xf_str queue, uint8_t flags,
                          struct xf_str arguments)
{
	uint8_t *at = method_begin_sized(out, CODEC_QUEUE_DECLARE, arguments.len);

	if (at == NULL)
		return false;
	at = put_u16(at, 0);
	at = put_short(at, queue);
	at = put_u8(at, flags);
	at = put_long(at, arguments);
	return method_end(out, channel, at);
}

bool
codec_write_queue_bind(struct codec_buffer *out, uint16_t channel, struct xf_str queue,
                       struct xf_str exchange, struct xf_str routing_key)
{
	uint8_t *at = method_begin(out, CODEC_QUEUE_BIND);

	if (at == NULL)
		return false;
	at = put_u16(at, 0);
	at = put_short(at, queue);
	at = put_short(at, exchange);
	at = put_short(at, routing_key);
	at = put_u8(at, 0);
	at = put_u32(at, 0);
	return method_end(out, channel, at);
}

bool
codec_write_qos(struct codec_buffer *out, uint16_t channel, uint16_t prefetch)
{
	uint8_t *at = method_begin(out, CODEC_BASIC_QOS);

	if (at == NULL)
		return false;
	at = put_u32(at, 0); /* in bytes: not built by RabbitMQ */
	at = put_u16(at, prefetch);
	at = put_u8(at, 0);
	return method_end(out, channel, at);
}

bool
codec_write_consume(struct codec_buffer *out, uint16_t channel, struct xf_str queue, struct xf_str tag, bool no_ack)
{
	uint8_t *at = method_begin(out, CODEC_BASIC_CONSUME);

	if (at == NULL)
		return false;
	at = put_u16(at, 0);
	at = put_short(at, queue);
	at = put_short(at, tag);
	at = put_u8(at, no_ack ? 2 : 0); /* not exclusive */
	at = put_u32(at, 0);
	return method_end(out, channel, at);
}

bool
codec_write_confirm_select(struct codec_buffer *out, uint16_t channel)
{
	uint8_t *at = method_begin(out, CODEC_CONFIRM_SELECT);

	return at != NULL && method_end(out, channel, put_u8(at, 0));
}

bool
codec_write_ack(struct codec_buffer *out, uint16_t channel, uint64_t tag, bool multiple)
{
	uint8_t *at = method_begin(out, CODEC_BASIC_ACK);

	if (at == NULL)
		return false;
	at = put_u64(at, tag);
	at = put_u8(at, multiple);
	return method_end(out, channel, at);
}

bool
codec_write_nack(struct codec_buffer *out, uint16_t channel, uint64_t tag, bool requeue)
{
	uint8_t *at = method_begin(out, CODEC_BASIC_NACK);

	if (at == NULL)
		return false;
	at = put_u64(at, tag);
	at = put_u8(at, requeue ? 2 : 0);
	return method_end(out, channel, at);
}

/* ---- Publishing ---------------------------------------------------------------- */

struct property_headers {
	struct xf_str content_encoding;
	struct xf_str correlation_id;
	struct xf_str type;
	struct xf_str app_id;
	uint64_t taken; /* a bit for each of the first 64 headers that went into a property */
};

static bool
name_is(struct xf_str name, const char *text)
{
	return strncasecmp(name.data, text, name.len) == 0;
}

static bool
same_text(struct xf_str a, struct xf_str b)
{
	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/*
 * Sorts out the headers that are properties: the first of its name, if it fits into a short string. An id that the
 * property message_id says is not said again: with more than 64 bytes of properties, RabbitMQ 3.10 needs a third more CPU
 * for a message.
 */
static void
properties_collect(const struct codec_publish *publish, struct property_headers *out)
{
	uint32_t count = publish->header_count < 64 ? publish->header_count : 64;
	uint32_t i;

	memset(out, 0, sizeof(*out));
	if (publish->correlation_id.len <= CODEC_SHORT_MAX)
		out->correlation_id = publish->correlation_id;
	for (i = 0; i < count; i++) {
		struct xf_str name = publish->headers[i].name;
		struct xf_str value = publish->headers[i].value;
		struct xf_str *slot = NULL;

		if (name.len == 12 && value.len > 0 && value.len <= CODEC_SHORT_MAX && same_text(value, publish->message_id) &&
		    name_is(name, CODEC_HEADER_ID)) {
			out->taken |= (uint64_t)1 << i;
			continue;
		}
		if (name.len == 14 && name_is(name, CODEC_HEADER_CORRELATION_ID))
			slot = &out->correlation_id;
		else if (name.len == 16 && name_is(name, CODEC_HEADER_CONTENT_ENCODING))
			slot = &out->content_encoding;
		else if (name.len == 12 && name_is(name, CODEC_HEADER_TYPE))
			slot = &out->type;
		else if (name.len == 6 && name_is(name, CODEC_HEADER_APP_ID))
			slot = &out->app_id;
		if (slot == NULL || slot->len > 0 || value.len == 0 || value.len > CODEC_SHORT_MAX)
			continue;
		*slot = value;
		out->taken |= (uint64_t)1 << i;
	}
}

static bool
header_taken(const struct property_headers *properties, uint32_t i)
{
	return i < 64 && (properties->taken >> i & 1) != 0;
}

static bool
same_name(const struct xf_header *a, const struct xf_header *b)
{
	return same_text(a->name, b->name);
}

static uint8_t *
put_text(uint8_t *at, struct xf_str value)
{
	return put_long(put_u8(at, 'S'), value);
}

/* The hops, at most two digits, are a number of one byte. */
static uint8_t *
put_value(uint8_t *at, const struct xf_header *header)
{
	const char *digits = header->value.data;
	uint64_t len = header->value.len;
	uint8_t hops = 0;

	if (header->name.len != 14 || len == 0 || len > 2 || !name_is(header->name, CODEC_HEADER_HOPS))
		return put_text(at, header->value);
	for (uint64_t i = 0; i < len; i++) {
		if (digits[i] < '0' || digits[i] > '9')
			return put_text(at, header->value);
		hops = (uint8_t)(hops * 10 + (digits[i] - '0'));
	}
	return put_u8(put_u8(at, 'b'), hops);
}

/*
 * Headers as a table of long strings. A table has each name once: what repeats becomes an array of
 * its values at the place of the first, which the source takes apart again.
 */
static uint8_t *
put_headers(uint8_t *at, const struct codec_publish *publish, const struct property_headers *properties)
{
	const struct xf_header *headers = publish->headers;
	uint32_t count = publish->header_count;
	uint8_t *size_at = at;
	uint32_t i, j;

	at += 4;
	for (i = 0; i < count; i++) {
		uint8_t *array_at;

		if (header_taken(properties, i))
			continue;
		for (j = 0; j < i; j++)
			if (same_name(&headers[i], &headers[j]) && !header_taken(properties, j))
				break;
		if (j < i)
			continue; /* went into the array of the first */

		at = put_short(at, headers[i].name);
		for (j = i + 1; j < count; j++)
			if (same_name(&headers[i], &headers[j]) && !header_taken(properties, j))
				break;
		if (j == count) {
			at = put_value(at, &headers[i]);
			continue;
		}
		at = put_u8(at, 'A');
		array_at = at;
		at = put_text(at + 4, headers[i].value);
		for (; j < count; j++)
			if (same_name(&headers[i], &headers[j]) && !header_taken(properties, j))
				at = put_text(at, headers[j].value);
		put_u32(array_at, (uint32_t)(at - array_at - 4));
	}
	put_u32(size_at, (uint32_t)(at - size_at - 4));
	return at;
}

static uint8_t *
put_properties(uint8_t *at, const struct codec_publish *publish, const struct property_headers *properties)
{
	bool has_id = publish->message_id.len > 0 && publish->message_id.len <= CODEC_SHORT_MAX;
	uint8_t *flags_at = at;
	uint32_t flags = CODEC_HAS_DELIVERY_MODE;
	char digits[24];

	at += 2;
	if (publish->content_type.len > 0) {
		flags |= CODEC_HAS_CONTENT_TYPE;
		at = put_short(at, publish->content_type);
	}
	if (properties->content_encoding.len > 0) {
		flags |= CODEC_HAS_CONTENT_ENCODING;
		at = put_short(at, properties->content_encoding);
	}
	if (publish->header_count > 0) {
		flags |= CODEC_HAS_HEADERS;
		at = put_headers(at, publish, properties);
	}
	at = put_u8(at, publish->persistent ? 2 : 1);
	if (publish->priority > 0) {
		flags |= CODEC_HAS_PRIORITY;
		at = put_u8(at, publish->priority > 256 ? 255 : (uint8_t)(publish->priority - 1));
	}
	if (properties->correlation_id.len > 0) {
		flags |= CODEC_HAS_CORRELATION_ID;
		at = put_short(at, properties->correlation_id);
	}
	if (publish->reply_to.len > 0) {
		flags |= CODEC_HAS_REPLY_TO;
		at = put_short(at, publish->reply_to);
	}
	if (publish->expiration_ms > 0) {
		int len = snprintf(digits, sizeof(digits), "%" PRIu64, publish->expiration_ms);

		flags |= CODEC_HAS_EXPIRATION;
		at = put_short(at, (struct xf_str){digits, (uint64_t)len});
	}
	if (has_id) {
		flags |= CODEC_HAS_MESSAGE_ID;
		at = put_short(at, publish->message_id);
	}
	if (publish->timestamp > 0) {
		flags |= CODEC_HAS_TIMESTAMP;
		at = put_u64(at, publish->timestamp);
	}
	if (properties->type.len > 0) {
		flags |= CODEC_HAS_TYPE;
		at = put_short(at, properties->type);
	}
	if (properties->app_id.len > 0) {
		flags |= CODEC_HAS_APP_ID;
		at = put_short(at, properties->app_id);
	}
	put_u16(flags_at, flags);
	return at;
}

static enum codec_refusal
publish_check(const struct codec_publish *publish, uint32_t frame_max, size_t *headers_size)
{
	uint32_t i;

	if (publish->routing_key.len > CODEC_SHORT_MAX)
		return CODEC_SUBJECT_LONG;
	if (publish->reply_to.len > CODEC_SHORT_MAX)
		return CODEC_REPLY_LONG;
	if (publish->content_type.len > CODEC_SHORT_MAX)
		return CODEC_TYPE_LONG;
	*headers_size = 0;
	for (i = 0; i < publish->header_count; i++) {
		if (publish->headers[i].name.len > CODEC_SHORT_MAX)
			return CODEC_NAME_LONG;
		if (publish->headers[i].value.len > frame_max)
			return CODEC_HEADERS_LARGE;
		/* a name, a value, and perhaps an array around it */
		*headers_size += 1 + publish->headers[i].name.len + 5 + 5 + publish->headers[i].value.len;
	}
	return CODEC_TAKEN;
}

enum codec_refusal
codec_write_publish(struct codec_buffer *out, uint16_t channel, uint32_t frame_max,
                    const struct codec_publish *publish)
{
	uint64_t chunk = frame_max - CODEC_FRAME_OVERHEAD;
	const uint8_t *payload = publish->payload;
	uint64_t left = publish->payload_size;
	struct property_headers properties;
	enum codec_refusal refusal;
	size_t headers_size;
	uint8_t *start, *at, *head;

	refusal = publish_check(publish, frame_max, &headers_size);
	if (refusal != CODEC_TAKEN)
		return refusal;
	/* Method; header with up to eight short strings; body in frames. */
	start = codec_buffer_reserve(out, METHOD_MAX + 2560 + headers_size + left +
	                                          (left / chunk + 1) * CODEC_FRAME_OVERHEAD);
	if (start == NULL)
		return CODEC_NO_MEMORY;
	properties_collect(publish, &properties);

	at = put_u32(start + 7, CODEC_BASIC_PUBLISH);
	at = put_u16(at, 0);
	at = put_short(at, publish->exchange);
	at = put_short(at, publish->routing_key);
	at = put_u8(at, publish->may_vanish ? 0 : 1); /* mandatory */
	put_frame(start, CODEC_FRAME_METHOD, channel, (uint32_t)(at - start - 7));
	at = put_u8(at, CODEC_FRAME_END);

	head = at;
	at = put_u16(head + 7, 60);
	at = put_u16(at, 0);
	at = put_u64(at, publish->payload_size);
	at = put_properties(at, publish, &properties);
	if ((uint64_t)(at - head - 7) > chunk)
		return CODEC_HEADERS_LARGE;
	put_frame(head, CODEC_FRAME_HEADER, channel, (uint32_t)(at - head - 7));
	at = put_u8(at, CODEC_FRAME_END);

	while (left > 0) {
		uint64_t size = left < chunk ? left : chunk;

		at = put_frame(at, CODEC_FRAME_BODY, channel, (uint32_t)size);
		memcpy(at, payload, size);
		at = put_u8(at + size, CODEC_FRAME_END);
		payload += size;
		left -= size;
	}
	out->end = (size_t)(at - out->data);
	return CODEC_TAKEN;
}

const char *
codec_refusal_text(enum codec_refusal refusal)
{
	switch (refusal) {
	case CODEC_TAKEN:
		break;
	case CODEC_NO_MEMORY:
		return "out of memory";
	case CODEC_SUBJECT_LONG:
		return "the subject is longer than 255 bytes, which AMQP cannot carry";
	case CODEC_REPLY_LONG:
		return "the reply subject is longer than 255 bytes, which AMQP cannot carry";
	case CODEC_TYPE_LONG:
		return "the content type is longer than 255 bytes, which AMQP cannot carry";
	case CODEC_NAME_LONG:
		return "a header name is longer than 255 bytes, which AMQP cannot carry";
	case CODEC_HEADERS_LARGE:
		return "the headers are larger than a frame of this connection (frame_max)";
	}
	return "";
}
