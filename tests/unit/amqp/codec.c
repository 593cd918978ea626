/*
 * Frames, properties and tables of the amqp transport: what is written is read back, and whatever a broker or
 * somebody in its place could send instead is noticed within the bytes that are there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../../../plugins/transport/amqp/codec.c"
#include "../../../plugins/transport/amqp/encode.c"

#define FRAME_MAX 131072u
#define STR(text) ((struct xf_str){text, sizeof(text) - 1})

/* A copy that ends where its allocation ends, so that a sanitizer sees every byte read beyond. */
static uint8_t *
tight_copy(const void *data, size_t size)
{
	uint8_t *copy = malloc(size);

	assert_true(copy != NULL || size == 0);
	if (size > 0)
		memcpy(copy, data, size);
	return copy;
}

static void
assert_str(struct xf_str text, const char *expected)
{
	assert_int_equal(text.len, strlen(expected));
	assert_memory_equal(text.data, expected, text.len);
}

static void
frame_next(const struct codec_buffer *buffer, size_t *at, struct codec_frame *frame)
{
	assert_int_equal(codec_frame_read(buffer->data + buffer->start + *at, buffer->end - buffer->start - *at,
	                                  FRAME_MAX, frame),
	                 CODEC_OK);
	*at += frame->total;
}

static const struct xf_header some_headers[] = {
	{STR("Crossfade-Id"), STR("id-1")},
	{STR("colour"), STR("red")},
	{STR("correlation-id"), STR("c-17")},
	{STR("colour"), STR("")},
	{STR("shape"), STR("round")},
	{STR("colour"), STR("blue")},
	{STR("Content-Encoding"), STR("gzip")},
	{STR("Message-Type"), STR("order")},
	{STR("App-Id"), STR("shop")},
};

static struct codec_publish
some_publish(const void *payload, size_t size)
{
	return (struct codec_publish){
		.exchange = STR("events"),
		.routing_key = STR("orders.eu"),
		.content_type = STR("text/plain"),
		.reply_to = STR("answers"),
		.message_id = STR("id-1"),
		.headers = some_headers,
		.header_count = sizeof(some_headers) / sizeof(some_headers[0]),
		.priority = 1 + 7,
		.timestamp = 1700000000,
		.expiration_ms = 60000,
		.persistent = true,
		.payload = payload,
		.payload_size = size,
	};
}

static void
test_publish_round_trip(void **state)
{
	static const char payload[] = "hello";
	struct codec_publish publish = some_publish(payload, 5);
	struct codec_buffer buffer = {0};
	struct codec_properties properties;
	struct codec_cursor cursor, array;
	struct codec_value value;
	struct codec_frame frame;
	struct xf_str name;
	size_t at = 0;

	(void)state;
	assert_int_equal(codec_write_publish(&buffer, 1, FRAME_MAX, &publish), CODEC_TAKEN);

	frame_next(&buffer, &at, &frame);
	assert_int_equal(frame.method, CODEC_BASIC_PUBLISH);
	cursor = codec_arguments(&frame);
	assert_int_equal(codec_u16(&cursor), 0);
	assert_str(codec_short(&cursor), "events");
	assert_str(codec_short(&cursor), "orders.eu");
	assert_int_equal(codec_u8(&cursor), 1);
	assert_false(cursor.bad);
	assert_ptr_equal(cursor.at, cursor.end);

	frame_next(&buffer, &at, &frame);
	assert_int_equal(frame.type, CODEC_FRAME_HEADER);
	assert_true(codec_properties_read(frame.payload, frame.size, &properties));
	assert_int_equal(properties.body_size, 5);
	assert_str(properties.content_type, "text/plain");
	assert_str(properties.content_encoding, "gzip");
	assert_str(properties.correlation_id, "c-17");
	assert_str(properties.reply_to, "answers");
	assert_str(properties.expiration, "60000");
	assert_str(properties.message_id, "id-1");
	assert_str(properties.type, "order");
	assert_str(properties.app_id, "shop");
	assert_int_equal(properties.timestamp, 1700000000);
	assert_int_equal(properties.priority, 8);
	assert_int_equal(properties.delivery_mode, 2);

	/* A name stands once; what repeats is an array. What became a property is no header. */
	cursor = codec_cursor(properties.table.data, properties.table.len);
	assert_true(codec_field_next(&cursor, &name, &value));
	assert_str(name, "colour");
	assert_int_equal(value.kind, CODEC_ARRAY);
	array = codec_cursor(value.bytes.data, value.bytes.len);
	assert_true(codec_value_next(&array, &value));
	assert_str(value.bytes, "red");
	assert_true(codec_value_next(&array, &value));
	assert_int_equal(value.bytes.len, 0);
	assert_true(codec_value_next(&array, &value));
	assert_str(value.bytes, "blue");
	assert_false(codec_value_next(&array, &value));
	assert_false(array.bad);
	assert_true(codec_field_next(&cursor, &name, &value));
	assert_str(name, "shape");
	assert_false(codec_field_next(&cursor, &name, &value));
	assert_false(cursor.bad);

	frame_next(&buffer, &at, &frame);
	assert_int_equal(frame.type, CODEC_FRAME_BODY);
	assert_int_equal(frame.size, 5);
	assert_memory_equal(frame.payload, "hello", 5);
	assert_int_equal(at, buffer.end - buffer.start);
	codec_buffer_fini(&buffer);
}

/* Our own headers as they stand in the table of a message with ID: "name=text" or "name:number", one a line. */
static void
assert_own_headers(struct xf_str id, const struct xf_header *headers, uint32_t count, const char *expected)
{
	struct codec_publish publish = {.routing_key = STR("q"), .message_id = id, .headers = headers, .header_count = count};
	struct codec_buffer buffer = {0};
	struct codec_properties properties;
	struct codec_cursor cursor;
	struct codec_value value;
	struct codec_frame frame;
	struct xf_str name;
	char text[600] = "";
	size_t at = 0, len = 0;

	assert_int_equal(codec_write_publish(&buffer, 1, FRAME_MAX, &publish), CODEC_TAKEN);
	frame_next(&buffer, &at, &frame);
	frame_next(&buffer, &at, &frame);
	assert_true(codec_properties_read(frame.payload, frame.size, &properties));
	cursor = codec_cursor(properties.table.data, properties.table.len);
	while (codec_field_next(&cursor, &name, &value)) {
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%.*s", (int)name.len, name.data);
		if (value.kind == CODEC_SIGNED)
			len += (size_t)snprintf(text + len, sizeof(text) - len, ":%d\n", (int)value.number);
		else
			len += (size_t)snprintf(text + len, sizeof(text) - len, "=%.*s\n", (int)value.bytes.len, value.bytes.data);
	}
	assert_false(cursor.bad);
	assert_string_equal(text, expected);
	codec_buffer_fini(&buffer);
}

static void
test_own_headers(void **state)
{
	char large[256], expected[300];
	struct xf_header headers[] = {{STR("Crossfade-Id"), STR("id-1")}, {STR("Crossfade-Hops"), STR("1")}};
	struct xf_header hops = {STR("Crossfade-Hops"), STR("16")};

	(void)state;
	assert_own_headers(STR("id-1"), headers, 2, "Crossfade-Hops:1\n");
	assert_own_headers(STR("id-1/copy"), headers, 2, "Crossfade-Id=id-1\nCrossfade-Hops:1\n");
	assert_own_headers((struct xf_str){NULL, 0}, headers, 2, "Crossfade-Id=id-1\nCrossfade-Hops:1\n");
	assert_own_headers(STR("id-1"), &hops, 1, "Crossfade-Hops:16\n");
	hops.value = STR("128");
	assert_own_headers(STR("id-1"), &hops, 1, "Crossfade-Hops=128\n");
	hops.value = STR("1x");
	assert_own_headers(STR("id-1"), &hops, 1, "Crossfade-Hops=1x\n");
	hops.value = STR("");
	assert_own_headers(STR("id-1"), &hops, 1, "Crossfade-Hops=\n");

	/* One that is too long for a property stays a header. */
	memset(large, 'x', sizeof(large));
	headers[0].value = (struct xf_str){large, sizeof(large)};
	snprintf(expected, sizeof(expected), "Crossfade-Id=%.256s\nCrossfade-Hops:1\n", large);
	assert_own_headers(headers[0].value, headers, 2, expected);
}

/* Bodies around the size of a frame: each frame is full but the last, and all bytes arrive. */
static void
test_publish_splits_bodies(void **state)
{
	static const size_t sizes[] = {0, 1, 4087, 4088, 4089, 8176, 8177, 100000};
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t *payload = malloc(sizes[i] + 1);
		struct codec_publish publish = {.routing_key = STR("q"), .payload = payload, .payload_size = sizes[i]};
		struct codec_buffer buffer = {0};
		size_t at = 0, got = 0;
		struct codec_frame frame;

		assert_non_null(payload);
		for (j = 0; j < sizes[i]; j++)
			payload[j] = (uint8_t)(j * 31);
		assert_int_equal(codec_write_publish(&buffer, 1, 4096, &publish), CODEC_TAKEN);
		frame_next(&buffer, &at, &frame);
		frame_next(&buffer, &at, &frame);
		while (at < buffer.end) {
			frame_next(&buffer, &at, &frame);
			assert_int_equal(frame.type, CODEC_FRAME_BODY);
			assert_true(frame.total <= 4096);
			assert_memory_equal(frame.payload, payload + got, frame.size);
			got += frame.size;
		}
		assert_int_equal(got, sizes[i]);
		codec_buffer_fini(&buffer);
		free(payload);
	}
}

static void
test_publish_refuses(void **state)
{
	static char large[300000];
	struct codec_buffer buffer = {0};
	struct xf_header header = {STR("h"), {large, 4096}};
	struct codec_publish publish = {.routing_key = {large, 256}};

	(void)state;
	memset(large, 'x', sizeof(large));
	assert_int_equal(codec_write_publish(&buffer, 1, 4096, &publish), CODEC_SUBJECT_LONG);
	publish.routing_key.len = 255;
	publish.reply_to = (struct xf_str){large, 256};
	assert_int_equal(codec_write_publish(&buffer, 1, 4096, &publish), CODEC_REPLY_LONG);
	publish.reply_to.len = 255;
	publish.content_type = (struct xf_str){large, 256};
	assert_int_equal(codec_write_publish(&buffer, 1, 4096, &publish), CODEC_TYPE_LONG);
	publish.content_type.len = 255;
	publish.headers = &header;
	publish.header_count = 1;
	assert_int_equal(codec_write_publish(&buffer, 1, 4096, &publish), CODEC_HEADERS_LARGE);
	header.value.len = sizeof(large);
	assert_int_equal(codec_write_publish(&buffer, 1, 4096, &publish), CODEC_HEADERS_LARGE);
	header.value.len = 10;
	header.name = (struct xf_str){large, 256};
	assert_int_equal(codec_write_publish(&buffer, 1, 4096, &publish), CODEC_NAME_LONG);
	assert_int_equal(buffer.end, buffer.start); /* nothing half written */

	/* All short strings at their longest; an id that does not fit is left out. */
	header.name.len = 255;
	publish.exchange = publish.routing_key;
	publish.message_id = (struct xf_str){large, 256};
	assert_int_equal(codec_write_publish(&buffer, 1, 4096, &publish), CODEC_TAKEN);
	codec_buffer_fini(&buffer);
}

static void
test_buffer_keeps_what_is_unsent(void **state)
{
	struct codec_buffer buffer = {0};
	uint64_t written = 0, sent = 0;
	int i;

	(void)state;
	for (i = 0; i < 20000; i++) {
		assert_true(codec_write_ack(&buffer, 1, ++written, false));
		/* Takes a frame away two times out of three, so the rest grows and moves. */
		if (i % 3 != 0) {
			struct codec_confirm confirm;
			struct codec_frame frame;
			size_t at = 0;

			frame_next(&buffer, &at, &frame);
			assert_true(codec_confirm_read(&frame, &confirm));
			assert_int_equal(confirm.tag, ++sent);
			buffer.start += at;
		}
	}
	assert_int_equal(buffer.end - buffer.start, (written - sent) * 21);
	codec_buffer_fini(&buffer);
}

/* ---- Reading ---------------------------------------------------------------------------------- */

/* A deliver as a broker writes it. */
static size_t
deliver_bytes(uint8_t *out)
{
	uint8_t *at = put_u32(out, CODEC_BASIC_DELIVER);

	at = put_short(at, STR("tag"));
	at = put_u64(at, 42);
	at = put_u8(at, 1);
	at = put_short(at, STR("ex"));
	at = put_short(at, STR("a.b.c"));
	return (size_t)(at - out);
}

static void
test_deliver(void **state)
{
	uint8_t bytes[64];
	size_t size = deliver_bytes(bytes), cut;
	struct codec_deliver deliver;

	(void)state;
	for (cut = 4; cut <= size; cut++) {
		uint8_t *copy = tight_copy(bytes, cut);
		struct codec_frame frame = {.payload = copy, .size = (uint32_t)cut};

		assert_int_equal(codec_deliver_read(&frame, &deliver), cut == size);
		if (cut == size) {
			assert_int_equal(deliver.tag, 42);
			assert_true(deliver.redelivered);
			assert_str(deliver.exchange, "ex");
			assert_str(deliver.routing_key, "a.b.c");
		}
		free(copy);
	}
}

/* A whole publish, cut at every length: never bad, never more than is there. */
static void
test_frames_cut_short(void **state)
{
	struct codec_publish publish = some_publish("0123456789", 10);
	struct codec_buffer buffer = {0};
	size_t cut;

	(void)state;
	assert_int_equal(codec_write_publish(&buffer, 1, FRAME_MAX, &publish), CODEC_TAKEN);
	for (cut = 0; cut < buffer.end; cut++) {
		uint8_t *copy = tight_copy(buffer.data, cut);
		struct codec_frame frame;
		size_t at = 0;
		enum codec_status status;

		while ((status = codec_frame_read(copy + at, cut - at, FRAME_MAX, &frame)) == CODEC_OK)
			at += frame.total;
		assert_int_equal(status, CODEC_MORE);
		free(copy);
	}
	codec_buffer_fini(&buffer);
}

static void
test_frames_that_are_none(void **state)
{
	uint8_t bytes[64] = {CODEC_FRAME_METHOD, 0, 1, 0, 0, 0, 4, 0, 60, 0, 80, CODEC_FRAME_END};
	struct codec_frame frame;

	(void)state;
	assert_int_equal(codec_frame_read(bytes, 12, 4096, &frame), CODEC_OK);
	bytes[11] = 0; /* no end mark */
	assert_int_equal(codec_frame_read(bytes, 12, 4096, &frame), CODEC_BAD);
	bytes[11] = CODEC_FRAME_END;
	bytes[6] = 3; /* a method without its number */
	bytes[10] = CODEC_FRAME_END;
	assert_int_equal(codec_frame_read(bytes, 12, 4096, &frame), CODEC_BAD);
	bytes[3] = 0xFF; /* four gigabytes are refused before they are waited for */
	assert_int_equal(codec_frame_read(bytes, 7, 4096, &frame), CODEC_BAD);
	bytes[3] = 0;
	bytes[5] = (4096 - 7) >> 8;
	bytes[6] = (4096 - 7) & 0xFF; /* one byte above frame_max */
	assert_int_equal(codec_frame_read(bytes, 7, 4096, &frame), CODEC_BAD);
	bytes[6]--;
	assert_int_equal(codec_frame_read(bytes, 7, 4096, &frame), CODEC_MORE);
}

static uint8_t *
put_name(uint8_t *at, const char *name, char type)
{
	return put_u8(put_short(at, (struct xf_str){name, strlen(name)}), (uint8_t)type);
}

/* A field of every type that brokers use. */
static size_t
table_bytes(uint8_t *out)
{
	double real = 0.1;
	float small = 1.5f;
	uint64_t real_bits;
	uint32_t small_bits;
	uint8_t *at = out;

	memcpy(&real_bits, &real, 8);
	memcpy(&small_bits, &small, 4);
	at = put_u8(put_name(at, "t", 't'), 1);
	at = put_u8(put_name(at, "b", 'b'), 0xFF);
	at = put_u8(put_name(at, "B", 'B'), 0xFF);
	at = put_u16(put_name(at, "s", 's'), 0xFFFE);
	at = put_u16(put_name(at, "u", 'u'), 0xFFFE);
	at = put_u32(put_name(at, "I", 'I'), 0x80000000);
	at = put_u32(put_name(at, "i", 'i'), 0x80000000);
	at = put_u64(put_name(at, "l", 'l'), UINT64_MAX);
	at = put_u64(put_name(at, "T", 'T'), UINT64_MAX);
	at = put_u32(put_name(at, "f", 'f'), small_bits);
	at = put_u64(put_name(at, "d", 'd'), real_bits);
	at = put_u32(put_u8(put_name(at, "D", 'D'), 2), 314);
	at = put_long(put_name(at, "S", 'S'), STR("text"));
	at = put_long(put_name(at, "x", 'x'), STR("\1\2"));
	at = put_name(at, "V", 'V');
	at = put_long(put_name(at, "F", 'F'), STR("\1aV"));
	at = put_long(put_name(at, "A", 'A'), STR("VV"));
	return (size_t)(at - out);
}

static void
test_table(void **state)
{
	static const char *const expected[] = {"true",       "-1",          "255", "-2",
	                                       "65534",      "-2147483648", "2147483648", "-1",
	                                       "18446744073709551615", "1.5", "0.1", "314e-2",
	                                       "text",       NULL,          NULL,  NULL,
	                                       NULL};
	char text[CODEC_VALUE_TEXT_MAX];
	struct codec_value value;
	uint8_t bytes[512];
	size_t size = table_bytes(bytes), cut, i;
	struct xf_str name;

	(void)state;
	for (cut = 0; cut <= size; cut++) {
		uint8_t *copy = tight_copy(bytes, cut);
		struct codec_cursor table = codec_cursor(copy, cut);

		for (i = 0; codec_field_next(&table, &name, &value); i++) {
			struct xf_str got = codec_value_text(&value, text);

			assert_true(i < sizeof(expected) / sizeof(expected[0]));
			if (expected[i] == NULL)
				assert_null(got.data);
			else
				assert_str(got, expected[i]);
		}
		if (cut == size) {
			assert_int_equal(i, sizeof(expected) / sizeof(expected[0]));
			assert_false(table.bad);
		}
		free(copy);
	}
	/* A type that nobody knows has no length that could be skipped. */
	bytes[2] = '?';
	{
		struct codec_cursor table = codec_cursor(bytes, size);

		assert_false(codec_field_next(&table, &name, &value));
		assert_true(table.bad);
	}
}

static void
test_properties_cut_short(void **state)
{
	struct codec_publish publish = some_publish("x", 1);
	struct codec_buffer buffer = {0};
	struct codec_properties properties;
	struct codec_frame frame;
	size_t at = 0, cut;

	(void)state;
	assert_int_equal(codec_write_publish(&buffer, 1, FRAME_MAX, &publish), CODEC_TAKEN);
	frame_next(&buffer, &at, &frame);
	frame_next(&buffer, &at, &frame);
	for (cut = 0; cut <= frame.size; cut++) {
		uint8_t *copy = tight_copy(frame.payload, cut);

		assert_int_equal(codec_properties_read(copy, cut, &properties), cut == frame.size);
		free(copy);
	}
	codec_buffer_fini(&buffer);
}

/* Reads everything there is to read, in whatever the bytes claim to be. */
static void
read_all(const uint8_t *data, size_t size)
{
	struct codec_frame frame;
	size_t at = 0;

	while (codec_frame_read(data + at, size - at, FRAME_MAX, &frame) == CODEC_OK) {
		struct codec_properties properties;
		struct codec_deliver deliver;
		struct codec_return returned;
		struct codec_confirm confirm;
		struct codec_close closed;
		struct codec_value value;
		struct xf_str name;

		if (frame.type == CODEC_FRAME_METHOD) {
			codec_deliver_read(&frame, &deliver);
			codec_return_read(&frame, &returned);
			codec_confirm_read(&frame, &confirm);
			codec_close_read(&frame, &closed);
		}
		if (codec_properties_read(frame.payload, frame.size, &properties)) {
			struct codec_cursor table = codec_cursor(properties.table.data, properties.table.len);

			while (codec_field_next(&table, &name, &value)) {
				struct codec_cursor array = codec_cursor(value.bytes.data, value.bytes.len);
				char text[CODEC_VALUE_TEXT_MAX];

				codec_value_text(&value, text);
				if (value.kind == CODEC_ARRAY)
					while (codec_value_next(&array, &value))
						codec_value_text(&value, text);
			}
		}
		at += frame.total;
	}
}

/* Valid bytes with some of them changed, and noise: under the sanitizers nothing is read that is not there. */
static void
test_garbage(void **state)
{
	struct codec_publish publish = some_publish("0123456789", 10);
	struct codec_buffer buffer = {0};
	uint64_t random = 1;
	int round;

	(void)state;
	assert_int_equal(codec_write_publish(&buffer, 1, FRAME_MAX, &publish), CODEC_TAKEN);
	for (round = 0; round < 20000; round++) {
		uint8_t *copy = tight_copy(buffer.data, buffer.end);
		int changes = round % 8 + 1;

		while (changes-- > 0) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			copy[(random >> 33) % buffer.end] = (uint8_t)(random >> 20);
		}
		read_all(copy, buffer.end);
		free(copy);
	}
	for (round = 0; round < 2000; round++) {
		uint8_t noise[300];
		size_t i;

		for (i = 0; i < sizeof(noise); i++) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			noise[i] = (uint8_t)(random >> 40);
		}
		noise[0] = (uint8_t)(random % 4);
		put_u32(noise + 3, sizeof(noise) - CODEC_FRAME_OVERHEAD);
		noise[sizeof(noise) - 1] = CODEC_FRAME_END;
		read_all(noise, sizeof(noise));
	}
	codec_buffer_fini(&buffer);
}

/* Tables are written as they are read, and the methods that log in and declare carry them whole. */
static void
test_tables_are_written(void **state)
{
	struct codec_buffer inner = {0}, table = {0}, out = {0};
	struct codec_cursor at;
	struct codec_frame frame;
	struct codec_value value;
	struct xf_str name, text;
	size_t offset = 0;

	(void)state;
	assert_int_equal(codec_buffer_bytes(&table).len, 0);
	assert_true(codec_put_bool(&inner, "basic.nack", true));
	assert_true(codec_put_text(&table, "x-queue-type", STR("quorum")));
	assert_true(codec_put_number(&table, "x-max-length", -5));
	assert_true(codec_put_table(&table, "capabilities", codec_buffer_bytes(&inner)));

	assert_true(codec_write_queue_declare(&out, 3, STR("q"), CODEC_QUEUE_DURABLE | CODEC_QUEUE_AUTO_DELETE,
	                                      codec_buffer_bytes(&table)));
	frame_next(&out, &offset, &frame);
	assert_int_equal(frame.channel, 3);
	assert_int_equal(frame.method, CODEC_QUEUE_DECLARE);
	at = codec_arguments(&frame);
	codec_u16(&at);
	assert_str(codec_short(&at), "q");
	assert_int_equal(codec_u8(&at), 2 | 8);
	text = codec_long(&at);
	assert_false(at.bad);
	assert_true(at.at == at.end);
	at = codec_cursor(text.data, text.len);
	assert_true(codec_field_next(&at, &name, &value));
	assert_str(name, "x-queue-type");
	assert_str(value.bytes, "quorum");
	assert_true(codec_field_next(&at, &name, &value));
	assert_int_equal(value.number, -5);
	assert_true(codec_field_next(&at, &name, &value));
	assert_int_equal(value.kind, CODEC_TABLE);
	assert_int_equal(value.bytes.len, 1 + 10 + 2);
	assert_false(codec_field_next(&at, &name, &value));
	assert_false(at.bad);

	assert_true(codec_write_start_ok(&out, codec_buffer_bytes(&table), "PLAIN", (struct xf_str){"\0u\0p", 4}));
	frame_next(&out, &offset, &frame);
	assert_int_equal(frame.channel, 0);
	at = codec_arguments(&frame);
	assert_int_equal(codec_long(&at).len, table.end);
	assert_str(codec_short(&at), "PLAIN");
	assert_int_equal(codec_long(&at).len, 4);
	assert_str(codec_short(&at), "en_US");
	codec_buffer_fini(&inner);
	codec_buffer_fini(&table);
	codec_buffer_fini(&out);
}

/* What the broker says while somebody logs in, whole and cut short at every byte. */
static void
test_login_methods(void **state)
{
	static const uint8_t start[] = {1, 0, 0, 0, 0, 0, 26, 0, 10, 0, 10, 0, 9, 0, 0, 0, 0, 0, 0, 0, 5,
	                                'P', 'L', 'A', 'I', 'N', 0, 0, 0, 2, 'e', 'n', 0, CODEC_FRAME_END};
	static const uint8_t tune[] = {1, 0, 0, 0, 0, 0, 12, 0, 10, 0, 30, 7, 255, 0, 2, 0, 0, 0, 60, CODEC_FRAME_END};
	static const uint8_t queue[] = {1, 0, 3, 0, 0, 0, 14, 0, 50, 0, 11, 1, 'q', 0, 0, 1, 2, 0, 0, 0, 3, CODEC_FRAME_END};
	struct codec_frame frame = {0};
	struct codec_tune tuned;
	struct codec_queue seen;
	struct xf_str mechanisms;
	uint32_t size;

	(void)state;
	assert_int_equal(codec_frame_read(start, sizeof(start), 4096, &frame), CODEC_OK);
	assert_true(codec_start_read(&frame, &mechanisms));
	assert_str(mechanisms, "PLAIN");
	assert_int_equal(codec_frame_read(tune, sizeof(tune), 4096, &frame), CODEC_OK);
	assert_true(codec_tune_read(&frame, &tuned));
	assert_int_equal(tuned.channel_max, 2047);
	assert_int_equal(tuned.frame_max, 131072);
	assert_int_equal(tuned.heartbeat, 60);
	assert_int_equal(codec_frame_read(queue, sizeof(queue), 4096, &frame), CODEC_OK);
	assert_true(codec_queue_read(&frame, &seen));
	assert_str(seen.name, "q");
	assert_int_equal(seen.messages, 258);
	assert_int_equal(seen.consumers, 3);

	for (size = 4; size < 14; size++) {
		uint8_t *copy = tight_copy(queue + 7, size);

		frame = (struct codec_frame){.payload = copy, .size = size};
		assert_false(codec_queue_read(&frame, &seen));
		assert_false(codec_start_read(&frame, &mechanisms));
		if (size < 12)
			assert_false(codec_tune_read(&frame, &tuned));
		free(copy);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_publish_round_trip),
		cmocka_unit_test(test_own_headers),
		cmocka_unit_test(test_publish_splits_bodies),
		cmocka_unit_test(test_publish_refuses),
		cmocka_unit_test(test_buffer_keeps_what_is_unsent),
		cmocka_unit_test(test_deliver),
		cmocka_unit_test(test_frames_cut_short),
		cmocka_unit_test(test_frames_that_are_none),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_properties_cut_short),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_tables_are_written), cmocka_unit_test(test_login_methods),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
