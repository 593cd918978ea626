/*
 * envelope.h - a message as one JSON object, for brokers that carry no headers (`envelope: json`).
 *
 *     {"id": "7", "subject": "orders.eu", "key": "k", "reply": "r", "content_type": "text/plain", "time": 1700000000000,
 *      "headers": [["name", "value"], ["name", "again"]], "payload": "text"}
 *
 * A payload that is no plain text (not UTF-8, or with control bytes but tab and line ends) stands as "payload_base64".
 * What is empty is left out. Any other text that is not UTF-8 stands as {"base64": "..."}. time is in milliseconds since 1970.
 *
 * Reading is strict where a message could be misunderstood (a key twice, both kinds of payload, a value of another
 * type, anything behind the object) and lenient where not: unknown keys are passed over, null is as if it were not
 * there, and a payload that is JSON but no text is its JSON, as it stands.
 *
 * Pure functions. Any thread; a scratch per thread.
 */
#ifndef XF_FLOW_ENVELOPE_H
#define XF_FLOW_ENVELOPE_H

#include "base/error.h"
#include "base/str.h"

#define XF_ENVELOPE_HEADERS_MAX 1029u /* what a server may be set to, and crossfade's own */

/* All borrowed; empty: none. */
struct xf_envelope_message {
	struct xf_str id;
	struct xf_str subject;
	struct xf_str key;
	struct xf_str reply;
	struct xf_str content_type;
	int64_t time_ms; /* 0: none */
	const struct xf_header *headers;
	uint32_t header_count;
	struct xf_str payload;
};

/* Appends MESSAGE to OUT. */
void xf_envelope_encode(const struct xf_envelope_message *message, struct xf_buffer *out);

/* Appends TEXT, which is valid UTF-8, as a JSON string. */
void xf_envelope_string(struct xf_str text, struct xf_buffer *out);

/* What a message needs that is not in its text as it stands. Zero is empty; grows to the largest text so far. */
struct xf_envelope_scratch {
	char *bytes;
	size_t size;
	size_t used;
	struct xf_header *headers;
};

void xf_envelope_scratch_fini(struct xf_envelope_scratch *scratch);

/*
 * MESSAGE borrows from TEXT and SCRATCH, until the next call with that scratch. XF_FAILED with the byte and the finding
 * in ERROR; MESSAGE is then unchanged.
 */
enum xf_status xf_envelope_decode(struct xf_str text, struct xf_envelope_scratch *scratch,
                                  struct xf_envelope_message *message, struct xf_error *error);

#endif
