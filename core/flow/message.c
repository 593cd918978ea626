#include "flow/message.h"

#include <string.h>

#include "base/memory.h"

uint64_t
xf_message_bytes(const struct xf_incoming *message)
{
	uint64_t bytes = sizeof(*message) + message->header_count * sizeof(struct xf_header) + message->payload_size;

	bytes += message->subject.len + message->id.len + message->key.len + message->reply.len + message->content_type.len;
	for (uint32_t i = 0; i < message->header_count; i++)
		bytes += message->headers[i].name.len + message->headers[i].value.len;
	return bytes;
}

static struct xf_str
put(char **at, struct xf_str bytes)
{
	struct xf_str copy = {*at, bytes.len};

	if (bytes.len > 0)
		memcpy(*at, bytes.data, bytes.len);
	*at += bytes.len;
	return copy;
}

struct xf_incoming *
xf_message_copy(const struct xf_incoming *message)
{
	struct xf_incoming *copy = xf_alloc(xf_message_bytes(message));
	struct xf_header *headers = (struct xf_header *)(copy + 1);
	char *at = (char *)(headers + message->header_count);

	*copy = *message;
	copy->release = NULL;
	copy->release_context = NULL;
	copy->headers = headers;
	for (uint32_t i = 0; i < message->header_count; i++) {
		headers[i].name = put(&at, message->headers[i].name);
		headers[i].value = put(&at, message->headers[i].value);
	}
	copy->subject = put(&at, message->subject);
	copy->id = put(&at, message->id);
	copy->key = put(&at, message->key);
	copy->reply = put(&at, message->reply);
	copy->content_type = put(&at, message->content_type);
	copy->payload = put(&at, (struct xf_str){message->payload, message->payload_size}).data;
	return copy;
}
