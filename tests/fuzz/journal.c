/*
 * A message's body in the file of the local broker, under a checksum that is right: what is read is written and read as the same.
 */
#include "../../plugins/transport/local/journal.c"

#include "fuzz.h"

static void
message_compare(const struct xf_outgoing *a, const struct xf_outgoing *b)
{
	XF_ASSERT(xf_str_equal(a->subject, b->subject) && xf_str_equal(a->id, b->id) && xf_str_equal(a->key, b->key));
	XF_ASSERT(xf_str_equal(a->reply, b->reply) && xf_str_equal(a->content_type, b->content_type));
	XF_ASSERT(a->time_ms == b->time_ms && a->priority == b->priority && a->header_count == b->header_count);
	XF_ASSERT(a->payload_size == b->payload_size && memcmp(a->payload, b->payload, a->payload_size) == 0);
	for (uint32_t i = 0; i < a->header_count; i++)
		XF_ASSERT(xf_str_equal(a->headers[i].name, b->headers[i].name) &&
		          xf_str_equal(a->headers[i].value, b->headers[i].value));
}

static void
round_trip(const struct journal_message *message)
{
	uint64_t size = record_size(&message->message);
	struct buffer body = {0};
	struct xf_header *headers;
	struct journal_message again;
	struct store store;
	struct segment *segment;
	struct record *record;

	store_init(&store, 64 << 20);
	segment = store_open(&store, size);
	record = record_write(segment, &message->message, size);
	XF_ASSERT(record != NULL && body_write(&body, record, message->expires_wall_ms, message->accepted_wall_ms));
	XF_ASSERT(body_read((struct xf_str){(const char *)body.data, body.len}, &again, &headers));
	XF_ASSERT(message->expires_wall_ms == again.expires_wall_ms && message->accepted_wall_ms == again.accepted_wall_ms);
	message_compare(&message->message, &again.message);
	free(headers);
	free(body.data);
	store_want(&store, segment, 1);
	store_seal(&store, segment);
	store_unwant(&store, segment, 1);
	store_fini(&store);
}

void
fuzz_one(struct xf_str input)
{
	struct journal_message message = {.sequence = 1};
	struct xf_header *headers;

	if (body_read(fuzz_tight(input), &message, &headers))
		round_trip(&message);
	free(headers);
}
