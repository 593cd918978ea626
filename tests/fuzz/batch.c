/*
 * The body of a batch: every line that is not empty is taken or named as bad, and what is taken is what the core lets in.
 */
#include "transport/http/visit.h"

#include "flow/accept.h"
#include "fuzz.h"

static int64_t
wall_ms(void)
{
	return 1;
}

static const struct settings settings = {
	.max_body = 1 << 20, .max_subject = 1024, .max_header_value = 4096, .max_headers = 8, .max_bytes = 1 << 20};

static const struct xf_conf_server limits = {
	.max_subject = 1024, .max_header_value = 4096, .max_headers = 8, .max_payload = 1 << 20};

static uint32_t
lines_count(struct xf_str text)
{
	uint32_t count = 0;

	for (uint64_t i = 0, start = 0; i <= text.len; i++) {
		if (i < text.len && text.data[i] != '\n')
			continue;
		count += i > start + 1 || (i > start && text.data[start] != '\r');
		start = i + 1;
	}
	return count;
}

static void
item_accept(const struct item *item)
{
	struct xf_incoming message = {.subject = item->subject, .id = item->id, .key = item->key, .reply = item->reply,
	                              .content_type = item->content_type, .payload = item->payload.data,
	                              .payload_size = item->payload.len, .headers = item->headers,
	                              .header_count = item->header_count};

	XF_ASSERT(item->id.len > 0 && xf_accept_check(&message, &limits) == NULL);
}

void
fuzz_one(struct xf_str input)
{
	static const struct xf_host host = {.struct_size = sizeof(host), .wall_ms = wall_ms};
	struct exchange exchange = {.host = &host, .settings = &settings};
	struct visit visit = {.exchange = &exchange, .call = call_create(&exchange, CALL_BATCH)};
	uint32_t count = 0, lines = lines_count(input);

	if (input.len > 0 && request_body(&visit, input.data, input.len)) {
		batch_read(&visit);
		for (const struct item *item = visit.call->items; item != NULL; item = item->next, count++)
			item_accept(item);
		XF_ASSERT(count == visit.call->item_count && count + visit.bad_count == lines);
		XF_ASSERT((visit.refusal.status != 0) == (lines == 0));
	}
	call_drop(&visit.call);
	XF_ASSERT(exchange.bytes == 0);
}
