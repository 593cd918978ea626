/*
 * message.h - a message as a line of JSON, as `sub --json` prints it and `pub --ndjson` reads it.
 *
 *   {"subject": "orders.eu", "id": "7", "key": "k", "reply": "r", "headers": {"a": "1", "b": ["2", "3"]}, "payload": {"n": 1}}
 *
 * The payload is one of three: `payload`, JSON that comes out byte for byte as it stands; `payload_text`, the characters
 * of a string; `payload_base64`, any bytes.
 */
#ifndef CROSSFADE_MESSAGE_H
#define CROSSFADE_MESSAGE_H

#include <crossfade/transport.h>

#include "base/error.h"
#include "base/str.h"

/* A message with memory of its own. Zero is empty. */
struct message {
	struct xf_incoming in; /* points into what follows */
	struct xf_header *headers;
	char **memory;
	size_t memory_count;
};

void message_fini(struct message *message);

/* Adds a header; both are copied. */
void message_header(struct message *message, struct xf_str name, struct xf_str value);

/* A copy that lives as long as the message. */
struct xf_str message_keep(struct message *message, const void *bytes, size_t len);

/* *MESSAGE, empty before, holds what LINE says. XF_FAILED: what is wrong with it. */
enum xf_status message_parse(struct message *message, struct xf_str line, struct xf_error *error);

/* Appends the line, without its end. */
void message_format(const struct xf_outgoing *message, struct xf_buffer *out);

#endif
