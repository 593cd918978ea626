/*
 * Envelopes: what is read is written and read as the same, and so is any message, made here of the input's lines.
 */
#include "flow/envelope.h"

#include "fuzz.h"

static void
messages_compare(const struct xf_envelope_message *a, const struct xf_envelope_message *b)
{
	XF_ASSERT(xf_str_equal(a->id, b->id) && xf_str_equal(a->subject, b->subject) && xf_str_equal(a->key, b->key));
	XF_ASSERT(xf_str_equal(a->reply, b->reply) && xf_str_equal(a->content_type, b->content_type));
	XF_ASSERT(a->time_ms == b->time_ms && a->header_count == b->header_count && xf_str_equal(a->payload, b->payload));
	for (uint32_t i = 0; i < a->header_count; i++)
		XF_ASSERT(xf_str_equal(a->headers[i].name, b->headers[i].name) &&
		          xf_str_equal(a->headers[i].value, b->headers[i].value));
}

static void
round_trip(const struct xf_envelope_message *message)
{
	struct xf_envelope_scratch scratch = {0};
	struct xf_envelope_message again;
	struct xf_buffer text = {0};

	xf_envelope_encode(message, &text);
	XF_ASSERT(xf_envelope_decode(fuzz_text(&text), &scratch, &again, NULL) == XF_OK);
	messages_compare(message, &again);
	xf_envelope_scratch_fini(&scratch);
	xf_buffer_fini(&text);
}

void
fuzz_one(struct xf_str input)
{
	struct xf_envelope_scratch scratch = {0};
	struct xf_envelope_message message = {0};
	struct xf_error error = {{0}};
	struct xf_header headers[2];

	if (xf_envelope_decode(fuzz_tight(input), &scratch, &message, &error) == XF_OK)
		round_trip(&message);
	else
		XF_ASSERT(error.text[0] != '\0');
	xf_envelope_scratch_fini(&scratch);

	message = (struct xf_envelope_message){.id = fuzz_line(&input), .subject = fuzz_line(&input)};
	message.key = fuzz_line(&input);
	message.reply = fuzz_line(&input);
	for (unsigned i = 0; i < 2; i++) {
		headers[i].name = fuzz_line(&input);
		headers[i].value = fuzz_line(&input);
	}
	message.headers = headers;
	message.header_count = (uint32_t)(input.len % 3);
	message.time_ms = (int64_t)input.len;
	message.payload = fuzz_tight(input);
	round_trip(&message);
}
