#include "flow/arrival.h"

#include "flow/escape.h"

void
xf_arrival_init(struct xf_arrival *arrival, const struct xf_conf_endpoint *source)
{
	*arrival = (struct xf_arrival){.conf = source};
	arrival->plain =
		source->envelope == XF_ENVELOPE_NONE && !source->subject_escape && source->message_id == NULL;
}

void
xf_arrival_fini(struct xf_arrival *arrival)
{
	xf_envelope_scratch_fini(&arrival->envelope);
	xf_buffer_fini(&arrival->subject);
	xf_buffer_fini(&arrival->id);
}

/* The subject stays the broker's: by it the route filters, and what names it says it is. */
static enum xf_status
envelope_open(struct xf_arrival *arrival, struct xf_incoming *message, struct xf_error *error)
{
	struct xf_str text = {message->payload, message->payload_size};
	struct xf_envelope_message inside;

	if (xf_envelope_decode(text, &arrival->envelope, &inside, error) != XF_OK) {
		xf_error_prefix(error, "its envelope");
		return XF_FAILED;
	}
	if (inside.id.len > 0)
		message->id = inside.id;
	if (inside.key.len > 0)
		message->key = inside.key;
	if (inside.reply.len > 0)
		message->reply = inside.reply;
	if (inside.content_type.len > 0)
		message->content_type = inside.content_type;
	if (inside.time_ms != 0)
		message->time_ms = inside.time_ms;
	message->headers = inside.headers;
	message->header_count = inside.header_count;
	message->payload = inside.payload.data;
	message->payload_size = inside.payload.len;
	message->release = NULL;
	return XF_OK;
}

static enum xf_status
id_find(struct xf_arrival *arrival, struct xf_incoming *message, struct xf_error *error)
{
	const struct xf_fields fields = {
		.subject = message->subject,
		.key = message->key,
		.payload = {message->payload, message->payload_size},
		.headers = message->headers,
		.header_count = message->header_count,
	};

	if (xf_template_eval(arrival->conf->message_id, &fields, &arrival->id, &message->id, error) == XF_OK)
		return XF_OK;
	xf_error_prefix(error, "message_id");
	return XF_FAILED;
}

enum xf_status
xf_arrival_read(struct xf_arrival *arrival, const struct xf_incoming *message, struct xf_incoming *into,
                struct xf_error *error)
{
	*into = *message;
	if (arrival->conf->subject_escape && xf_escape_needed(message->subject)) {
		arrival->subject.len = 0;
		xf_escape(message->subject, &arrival->subject);
		into->subject = (struct xf_str){arrival->subject.data, arrival->subject.len};
	}
	if (arrival->conf->envelope == XF_ENVELOPE_JSON && envelope_open(arrival, into, error) != XF_OK)
		return XF_FAILED;
	if (arrival->conf->message_id != NULL && into->id.len == 0)
		return id_find(arrival, into, error);
	return XF_OK;
}
