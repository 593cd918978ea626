#include "frame.h"

#include <string.h>
#include <strings.h>

static char *
put(char *out, const void *data, size_t len)
{
	if (len > 0)
		memcpy(out, data, len);
	return out + len;
}

static char *
put_header(char *out, struct xf_str name, struct xf_str value)
{
	out = put(out, name.data, name.len);
	*out++ = ':';
	*out++ = ' ';
	out = put(out, value.data, value.len);
	*out++ = '\r';
	*out++ = '\n';
	return out;
}

#define NAME(text) ((struct xf_str){text, sizeof(text) - 1})

/* Of a header line: ": " and CR LF. */
#define HEADER_SIZE(name_len, value) ((name_len) + (value).len + 4)

/* Headers that are the server's own instructions ("Nats-Rollup", "Nats-Expected-Stream", another's message
 * id) are not passed on; what they say was meant for the broker that the message comes from. */
static bool
header_passes(const struct xf_header *header)
{
	return header->name.len < 5 || strncasecmp(header->name.data, "Nats-", 5) != 0;
}

/* What put_headers() will write. */
static size_t
headers_size(const struct frame *frame)
{
	size_t size = 12; /* the first line, and the empty one */
	uint32_t i;

	if (frame->dedup_id.len > 0)
		size += HEADER_SIZE(sizeof("Nats-Msg-Id") - 1, frame->dedup_id);
	if (frame->content_type.len > 0)
		size += HEADER_SIZE(sizeof("Content-Type") - 1, frame->content_type);
	if (frame->stored_reply.len > 0)
		size += HEADER_SIZE(sizeof("Crossfade-Reply") - 1, frame->stored_reply);
	if (frame->id.len > 0)
		size += HEADER_SIZE(sizeof("Crossfade-Id") - 1, frame->id);
	for (i = 0; i < frame->header_count; i++)
		if (header_passes(&frame->headers[i]))
			size += HEADER_SIZE(frame->headers[i].name.len, frame->headers[i].value);
	return size;
}

static char *
put_headers(char *out, const struct frame *frame)
{
	uint32_t i;

	out = put(out, "NATS/1.0\r\n", 10);
	if (frame->dedup_id.len > 0)
		out = put_header(out, NAME("Nats-Msg-Id"), frame->dedup_id);
	if (frame->content_type.len > 0)
		out = put_header(out, NAME("Content-Type"), frame->content_type);
	if (frame->stored_reply.len > 0)
		out = put_header(out, NAME("Crossfade-Reply"), frame->stored_reply);
	if (frame->id.len > 0)
		out = put_header(out, NAME("Crossfade-Id"), frame->id);
	for (i = 0; i < frame->header_count; i++)
		if (header_passes(&frame->headers[i]))
			out = put_header(out, frame->headers[i].name, frame->headers[i].value);
	return put(out, "\r\n", 2);
}

uint64_t
frame_size(const struct frame *frame)
{
	return headers_size(frame) + frame->payload_size;
}

/*
 * HPUB SUBJECT REPLY HEADER-SIZE SIZE, headers, payload. The sizes stand in front of what they count, so
 * they are written with a fixed width, after the headers.
 */
void
frame_write(struct link *link, const struct frame *frame)
{
	static const char sizes[] = "00000000 000000000\r\n";
	char *start, *out, *size_at, *headers;
	uint64_t size;
	int i;

	start = link_room(link, frame->subject.len + frame->reply.len + 64 + frame_size(frame));
	out = put(start, "HPUB ", 5);
	out = put(out, frame->subject.data, frame->subject.len);
	*out++ = ' ';
	if (frame->reply.len > 0) {
		out = put(out, frame->reply.data, frame->reply.len);
		*out++ = ' ';
	}
	size_at = out;
	headers = out = put(out, sizes, sizeof(sizes) - 1);
	out = put_headers(out, frame);
	size = (uint64_t)(out - headers);
	for (i = 7; i >= 0; i--, size /= 10)
		size_at[i] = (char)('0' + size % 10);
	size = (uint64_t)(out - headers) + frame->payload_size;
	for (i = 17; i >= 9; i--, size /= 10)
		size_at[i] = (char)('0' + size % 10);
	out = put(out, frame->payload, frame->payload_size);
	out = put(out, "\r\n", 2);
	link_put(link, out);
}

static bool
name_is(struct xf_str name, const char *word, size_t len)
{
	return name.len == len && strncasecmp(name.data, word, len) == 0;
}

#define NAME_IS(name, word) name_is(name, word, sizeof(word) - 1)

void
frame_read_headers(struct xf_str block, struct xf_incoming *in, struct xf_header *headers, uint32_t max)
{
	struct xf_str cursor = block;
	struct xf_header header;
	bool own_id = false;
	uint32_t count = 0;

	while (count < max && link_header(&cursor, &header)) {
		if (NAME_IS(header.name, "Nats-Msg-Id")) {
			if (!own_id)
				in->id = header.value;
			continue;
		}
		if (NAME_IS(header.name, "Content-Type")) {
			in->content_type = header.value;
			continue;
		}
		if (NAME_IS(header.name, "Crossfade-Reply")) {
			in->reply = header.value;
			continue;
		}
		/* A copy's message id is not the message's own. */
		if (NAME_IS(header.name, "Crossfade-Id")) {
			in->id = header.value;
			own_id = true;
		}
		headers[count++] = header;
	}
	in->headers = headers;
	in->header_count = count;
}

const char *
frame_reserved(struct xf_str subject)
{
	static const char *const reserved[] = {"$JS.", "$SYS."};
	size_t i;

	for (i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		size_t len = strlen(reserved[i]);

		if (subject.len >= len && memcmp(subject.data, reserved[i], len) == 0)
			return reserved[i];
	}
	return NULL;
}
