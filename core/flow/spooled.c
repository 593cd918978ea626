#include "flow/spooled.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define VERSION 1u

/* What stands in front. Behind it the lengths of each header's name and value, then all the bytes in the order of the lengths:
 * texts, headers, payload. */
struct front {
	uint32_t version;
	uint32_t priority;
	uint8_t role;
	uint8_t sink;
	uint8_t reserved[2];
	uint32_t header_count;
	int64_t time_ms;
	uint64_t ttl_ms;
	uint64_t payload_size;
	uint32_t text[5]; /* subject, id, key, reply, content type */
	uint32_t reserved_end;
};

struct header_lens {
	uint32_t name, value;
};

static void
texts_list(struct xf_incoming *message, struct xf_str *texts[5])
{
	texts[0] = &message->subject;
	texts[1] = &message->id;
	texts[2] = &message->key;
	texts[3] = &message->reply;
	texts[4] = &message->content_type;
}

size_t
xf_spooled_size(const struct xf_spooled *record)
{
	const struct xf_incoming *m = &record->message;
	size_t size = sizeof(struct front) + m->header_count * sizeof(struct header_lens);

	size += m->subject.len + m->id.len + m->key.len + m->reply.len + m->content_type.len + m->payload_size;
	for (uint32_t i = 0; i < m->header_count; i++)
		size += m->headers[i].name.len + m->headers[i].value.len;
	return size;
}

static char *
put(char *out, const void *bytes, size_t len)
{
	if (len > 0)
		memcpy(out, bytes, len);
	return out + len;
}

void
xf_spooled_write(const struct xf_spooled *record, char *out)
{
	struct xf_incoming m = record->message;
	struct front front = {
		.version = VERSION,
		.priority = m.priority,
		.role = record->role,
		.sink = record->sink,
		.header_count = m.header_count,
		.time_ms = m.time_ms,
		.ttl_ms = m.ttl_ms,
		.payload_size = m.payload_size,
	};
	struct xf_str *texts[5];

	texts_list(&m, texts);
	for (unsigned i = 0; i < 5; i++)
		front.text[i] = (uint32_t)texts[i]->len;
	out = put(out, &front, sizeof(front));
	for (uint32_t i = 0; i < m.header_count; i++) {
		struct header_lens lens = {(uint32_t)m.headers[i].name.len, (uint32_t)m.headers[i].value.len};

		out = put(out, &lens, sizeof(lens));
	}
	for (unsigned i = 0; i < 5; i++)
		out = put(out, texts[i]->data, texts[i]->len);
	for (uint32_t i = 0; i < m.header_count; i++) {
		out = put(out, m.headers[i].name.data, m.headers[i].name.len);
		out = put(out, m.headers[i].value.data, m.headers[i].value.len);
	}
	put(out, m.payload, m.payload_size);
}

void
xf_spooled_headers_fini(struct xf_spooled_headers *headers)
{
	free(headers->list);
	*headers = (struct xf_spooled_headers){NULL, 0};
}

/* False where there are not so many bytes left. */
static bool
take(struct xf_str *rest, uint64_t len, struct xf_str *out)
{
	if (len > rest->len)
		return false;
	*out = (struct xf_str){len > 0 ? rest->data : NULL, len};
	rest->data += len;
	rest->len -= len;
	return true;
}

static bool
headers_take(struct xf_str lens, struct xf_str *rest, struct xf_spooled_headers *headers, uint32_t count)
{
	if (count > headers->size) {
		headers->list = xf_grow_array(headers->list, headers->size, count, sizeof(*headers->list));
		headers->size = count;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct header_lens len;

		memcpy(&len, lens.data + i * sizeof(len), sizeof(len));
		if (!take(rest, len.name, &headers->list[i].name) || !take(rest, len.value, &headers->list[i].value))
			return false;
	}
	return true;
}

enum xf_status
xf_spooled_read(struct xf_str bytes, struct xf_spooled_headers *headers, struct xf_spooled *record, struct xf_error *error)
{
	struct xf_incoming *m = &record->message;
	struct xf_str rest = bytes, part, lens, *texts[5];
	struct front front;
	bool fits;

	if (!take(&rest, sizeof(front), &part))
		return xf_error_set(error, "the record is cut short");
	memcpy(&front, part.data, sizeof(front));
	if (front.version != VERSION)
		return xf_error_set(error, "the record is of version %u, and this server reads %u", front.version, VERSION);
	*record = (struct xf_spooled){
		.message = {.priority = front.priority, .time_ms = front.time_ms, .ttl_ms = front.ttl_ms},
		.role = front.role,
		.sink = front.sink,
	};
	texts_list(m, texts);
	fits = take(&rest, (uint64_t)front.header_count * sizeof(struct header_lens), &lens);
	for (unsigned i = 0; fits && i < 5; i++)
		fits = take(&rest, front.text[i], texts[i]);
	fits = fits && headers_take(lens, &rest, headers, front.header_count) && take(&rest, front.payload_size, &part);
	if (!fits || rest.len > 0 || front.role > XF_SPOOLED_COPY)
		return xf_error_set(error, "the record does not add up");
	m->payload = part.data;
	m->payload_size = part.len;
	m->headers = headers->list;
	m->header_count = front.header_count;
	return XF_OK;
}
