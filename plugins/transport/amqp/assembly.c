#include "assembly.h"

#include <stdlib.h>
#include <string.h>

#define BODY_MAX ((uint64_t)512 << 20) /* RabbitMQ's own limit */

void
assembly_clear(struct assembly *assembly)
{
	free(assembly->deliver);
	free(assembly->header);
	free(assembly->body);
	memset(assembly, 0, sizeof(*assembly));
}

static uint8_t *
bytes_copy(const uint8_t *data, uint32_t size)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);

	if (copy != NULL && size > 0)
		memcpy(copy, data, size);
	return copy;
}

void
assembly_begin(struct assembly *assembly, struct wire *wire, const struct codec_frame *method)
{

	assembly->deliver = bytes_copy(method->payload, method->size);
	assembly->deliver_size = method->size;
	assembly->active = true;
	if (assembly->deliver == NULL)
		wire_fail(wire, "out of memory");
}

static void
assembly_header(struct assembly *assembly, struct wire *wire, const struct codec_frame *frame)
{
	struct codec_properties properties;

	if (assembly->header != NULL || !codec_properties_read(frame->payload, frame->size, &properties) ||
	    properties.body_size > BODY_MAX) {
		wire_fail(wire, "the broker sent a malformed delivery");
		return;
	}
	assembly->header = bytes_copy(frame->payload, frame->size);
	assembly->header_size = frame->size;
	assembly->body_size = properties.body_size;
	assembly->complete = properties.body_size == 0;
	if (assembly->header == NULL)
		wire_fail(wire, "out of memory");
}

/* Memory grows with what has really arrived, not with what was announced. */
static void
assembly_body(struct assembly *assembly, struct wire *wire, const struct codec_frame *frame)
{

	if (assembly->header == NULL || frame->size > assembly->body_size - assembly->body_len) {
		wire_fail(wire, "the broker sent a malformed delivery");
		return;
	}
	if (assembly->body_room - assembly->body_len < frame->size) {
		uint64_t room = 2 * (assembly->body_len + frame->size);
		uint8_t *body;

		if (room > assembly->body_size)
			room = assembly->body_size;
		body = realloc(assembly->body, room);
		if (body == NULL) {
			wire_fail(wire, "out of memory");
			return;
		}
		assembly->body = body;
		assembly->body_room = room;
	}
	if (frame->size > 0)
		memcpy(assembly->body + assembly->body_len, frame->payload, frame->size);
	assembly->body_len += frame->size;
	assembly->complete = assembly->body_len == assembly->body_size;
}

void
assembly_feed(struct assembly *assembly, struct wire *wire, const struct codec_frame *frame)
{
	if (frame->type == CODEC_FRAME_HEADER)
		assembly_header(assembly, wire, frame);
	else if (frame->type == CODEC_FRAME_BODY)
		assembly_body(assembly, wire, frame);
	else
		wire_fail(wire, "the broker sent a method within a delivery");
}

bool
assembly_read(const struct assembly *assembly, struct wire *wire, struct codec_deliver *deliver,
              struct codec_properties *properties)
{
	struct codec_frame method = {.payload = assembly->deliver, .size = assembly->deliver_size};

	if (codec_deliver_read(&method, deliver) &&
	    codec_properties_read(assembly->header, assembly->header_size, properties))
		return true;
	wire_fail(wire, "the broker sent a malformed delivery");
	return false;
}
