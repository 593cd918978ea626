#include "incoming.h"

#include <stdlib.h>
#include <string.h>

#define HEADERS_PER_MESSAGE 1024 /* far above what the core lets through; what is more is cut off */
#define HEADER_POOL (8 * HEADERS_PER_MESSAGE)
#define TEXT_POOL (4 * HEADERS_PER_MESSAGE * CODEC_VALUE_TEXT_MAX)

bool
incoming_init(struct incoming *incoming, struct wire *wire)
{
	incoming->wire = wire;
	incoming->headers = calloc(HEADER_POOL, sizeof(*incoming->headers));
	incoming->text = malloc(TEXT_POOL);
	return incoming->headers != NULL && incoming->text != NULL;
}

void
incoming_fini(struct incoming *incoming)
{
	free(incoming->headers);
	free(incoming->text);
}

void
incoming_clear(struct incoming *incoming)
{
	incoming->header_count = 0;
	incoming->text_len = 0;
}

bool
incoming_full(const struct incoming *incoming)
{
	return incoming->header_count > HEADER_POOL - 2 * HEADERS_PER_MESSAGE ||
	       incoming->text_len > TEXT_POOL - 2 * HEADERS_PER_MESSAGE * CODEC_VALUE_TEXT_MAX;
}

static void
header_add(struct incoming *incoming, struct xf_str name, struct xf_str value)
{
	if (incoming->header_count < HEADER_POOL)
		incoming->headers[incoming->header_count++] = (struct xf_header){name, value};
}

/* One value of the headers table, as text. */
static void
value_add(struct incoming *incoming, struct xf_str name, const struct codec_value *value)
{
	char *scratch = incoming->text + incoming->text_len;
	struct xf_str text = codec_value_text(value, scratch);

	if (text.data == NULL) {
		if (value->kind != CODEC_VOID && !incoming->warned) {
			incoming->warned = true;
			wire_log(incoming->wire, XF_LOG_INFO, "header '%.*s' is binary or nested and is left out; this "
			         "is said once", SETTINGS_STR(name));
		}
		return;
	}
	if (text.data == scratch)
		incoming->text_len += text.len;
	header_add(incoming, name, text);
}

/* The headers table, where arrays of plain values are names that repeat. False if it is malformed. */
static bool
table_add(struct incoming *incoming, struct xf_str bytes, uint32_t *attempt)
{
	struct codec_cursor table = codec_cursor(bytes.data, bytes.len);
	uint32_t first = incoming->header_count;
	struct codec_value value;
	struct xf_str name;

	while (codec_field_next(&table, &name, &value)) {
		if (incoming->header_count - first >= HEADERS_PER_MESSAGE)
			return true;
		if (name.len == 16 && memcmp(name.data, "x-delivery-count", 16) == 0 && value.kind == CODEC_SIGNED) {
			/* A quorum queue's own count, not the publisher's. */
			if (value.number >= 0 && value.number < UINT32_MAX)
				*attempt = (uint32_t)value.number + 1;
		} else if (value.kind == CODEC_ARRAY) {
			struct codec_cursor array = codec_cursor(value.bytes.data, value.bytes.len);
			struct codec_value element;

			while (incoming->header_count - first < HEADERS_PER_MESSAGE &&
			       codec_value_next(&array, &element))
				value_add(incoming, name, &element);
			if (array.bad)
				return false;
		} else {
			value_add(incoming, name, &value);
		}
	}
	return !table.bad;
}

static void
property_add(struct incoming *incoming, const char *name, struct xf_str value)
{
	if (value.len > 0)
		header_add(incoming, settings_str(name), value);
}

static uint64_t
expiration_ms(struct xf_str text)
{
	uint64_t value = 0;
	uint64_t i;

	if (text.len == 0)
		return 0;
	for (i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9' || value > UINT32_MAX)
			return 0;
		value = value * 10 + (uint64_t)(text.data[i] - '0');
	}
	return value > 0 ? value : 1; /* 0 means "at once" there and "never" here */
}

/* AMQP says seconds; publishers that write milliseconds are many. */
static int64_t
timestamp_ms(uint64_t timestamp)
{
	if (timestamp < 100000000000u)
		return (int64_t)timestamp * 1000;
	return timestamp <= INT64_MAX ? (int64_t)timestamp : 0;
}

bool
incoming_read(struct incoming *incoming, const struct codec_properties *properties, bool correlation, uint32_t attempt,
              struct xf_incoming *in)
{
	uint32_t first = incoming->header_count;

	if (correlation)
		property_add(incoming, CODEC_HEADER_CORRELATION_ID, properties->correlation_id);
	property_add(incoming, CODEC_HEADER_CONTENT_ENCODING, properties->content_encoding);
	property_add(incoming, CODEC_HEADER_TYPE, properties->type);
	property_add(incoming, CODEC_HEADER_APP_ID, properties->app_id);
	if (properties->table.len > 0 && !table_add(incoming, properties->table, &attempt)) {
		wire_fail(incoming->wire, "the broker sent a malformed headers table");
		return false;
	}
	*in = (struct xf_incoming){
		.id = properties->message_id,
		.reply = properties->reply_to,
		.content_type = properties->content_type,
		.payload_size = properties->body_size,
		.headers = incoming->headers + first,
		.header_count = incoming->header_count - first,
		.time_ms = timestamp_ms(properties->timestamp),
		.ttl_ms = expiration_ms(properties->expiration),
		.attempt = attempt,
		.priority = properties->priority,
	};
	return true;
}
