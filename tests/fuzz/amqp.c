/*
 * What an AMQP broker sends: frames, their methods, properties and tables. Then a message made of a delivery is published, and its
 * frames are read back.
 */
#include "transport/amqp/codec.h"

#include "fuzz.h"

enum { HEADERS = 16 };

static uint32_t
table_read(struct xf_str bytes, struct xf_header *headers, char (*texts)[CODEC_VALUE_TEXT_MAX])
{
	struct codec_cursor table = codec_cursor(bytes.data, bytes.len), array;
	struct codec_value value, element;
	struct xf_str name;
	uint32_t count = 0;

	while (codec_field_next(&table, &name, &value)) {
		XF_ASSERT(name.len <= CODEC_SHORT_MAX && value.bytes.len <= bytes.len);
		if (value.kind == CODEC_ARRAY || value.kind == CODEC_TABLE) {
			array = codec_cursor(value.bytes.data, value.bytes.len);
			while (codec_value_next(&array, &element))
				codec_value_text(&element, texts[HEADERS]);
		} else if (count < HEADERS && name.len > 0) {
			struct xf_str text = codec_value_text(&value, texts[count]);

			XF_ASSERT(text.data != texts[count] || text.len < CODEC_VALUE_TEXT_MAX);
			headers[count++] = (struct xf_header){name, text.data != NULL ? text : (struct xf_str){"", 0}};
		}
	}
	return count;
}

static void
publish_check(const struct codec_deliver *deliver, const struct codec_properties *properties)
{
	char texts[HEADERS + 1][CODEC_VALUE_TEXT_MAX];
	struct xf_header headers[HEADERS];
	struct codec_publish publish = {.exchange = deliver->exchange, .routing_key = deliver->routing_key};
	struct codec_buffer out = {0};
	struct codec_properties again;
	struct codec_frame frame;
	size_t at = 0;

	publish.content_type = properties->content_type;
	publish.reply_to = properties->reply_to;
	publish.message_id = properties->message_id;
	publish.timestamp = properties->timestamp;
	publish.priority = properties->priority;
	publish.headers = headers;
	publish.header_count = table_read(properties->table, headers, texts);
	publish.payload = properties->table.data;
	publish.payload_size = properties->table.len;
	if (codec_write_publish(&out, 1, 4096, &publish) == CODEC_TAKEN) {
		for (unsigned n = 0; at < out.end - out.start; n++) {
			XF_ASSERT(codec_frame_read(out.data + out.start + at, out.end - out.start - at, 4096, &frame) == CODEC_OK);
			XF_ASSERT(frame.channel == 1 && frame.type == (n < 2 ? n + 1 : CODEC_FRAME_BODY));
			if (n == 1) {
				XF_ASSERT(codec_properties_read(frame.payload, frame.size, &again));
				XF_ASSERT(again.body_size == publish.payload_size && again.priority == publish.priority);
				XF_ASSERT(xf_str_equal(again.message_id, publish.message_id));
				XF_ASSERT(xf_str_equal(again.reply_to, publish.reply_to));
				table_read(again.table, headers, texts);
			}
			at += frame.total;
		}
	} else {
		XF_ASSERT(out.end == out.start);
	}
	codec_buffer_fini(&out);
}

static void
method_read(const struct codec_frame *frame, struct codec_deliver *deliver)
{
	struct codec_close closed;
	struct codec_return returned;
	struct codec_confirm confirm;
	struct codec_tune tune;
	struct codec_queue queue;
	struct xf_str mechanisms;

	codec_close_read(frame, &closed);
	codec_return_read(frame, &returned);
	codec_confirm_read(frame, &confirm);
	codec_tune_read(frame, &tune);
	codec_queue_read(frame, &queue);
	codec_start_read(frame, &mechanisms);
	if (!codec_deliver_read(frame, deliver))
		*deliver = (struct codec_deliver){.tag = 0};
}

void
fuzz_one(struct xf_str input)
{
	struct codec_deliver deliver = {.tag = 0};
	struct codec_properties properties;
	struct codec_frame frame;

	while (codec_frame_read((const uint8_t *)input.data, input.len, 4096, &frame) == CODEC_OK) {
		struct xf_str tight = fuzz_tight((struct xf_str){(const char *)frame.payload, frame.size});

		XF_ASSERT(frame.total <= input.len && frame.total == frame.size + CODEC_FRAME_OVERHEAD);
		input = (struct xf_str){input.data + frame.total, input.len - frame.total};
		frame.payload = (const uint8_t *)tight.data;
		if (frame.type == CODEC_FRAME_METHOD)
			method_read(&frame, &deliver);
		else if (codec_properties_read(frame.payload, frame.size, &properties))
			publish_check(&deliver, &properties);
	}
}
