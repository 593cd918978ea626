#include "requests.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "digits.h"

static const char reply_queue[] = "amq.rabbitmq.reply-to";

bool
requests_init(struct requests *requests, struct wire *wire, bool wanted)
{
	*requests = (struct requests){.wire = wire, .wanted = wanted};
	return !wanted || incoming_init(&requests->incoming, wire);
}

void
requests_fini(struct requests *requests)
{
	assembly_clear(&requests->assembly);
	incoming_fini(&requests->incoming);
}

void
requests_reset(struct requests *requests)
{
	assembly_clear(&requests->assembly);
}

void
requests_consume(struct requests *requests)
{
	if (requests->wanted)
		codec_write_consume(&requests->wire->out, WIRE_CHANNEL, settings_str(reply_queue), settings_str("replies"), true);
}

uint32_t
requests_reply_to(char *out, uint32_t size)
{
	uint32_t len = sizeof(reply_queue) - 1;

	if (size < len)
		return 0;
	memcpy(out, reply_queue, len);
	return len;
}

struct xf_str
requests_number(uint64_t request, char out[REQUESTS_NUMBER_SIZE])
{
	return (struct xf_str){out, (uint64_t)snprintf(out, REQUESTS_NUMBER_SIZE, "%" PRIu64, request)};
}

/* Without the number of a request it is for nobody here. */
static void
reply_take(struct requests *requests)
{
	struct assembly *assembly = &requests->assembly;
	const struct xf_host *host = requests->wire->host;
	struct xf_incoming message;
	struct xf_replied replied = {.message = &message, .message_size = sizeof(message)};
	struct codec_properties properties;
	struct codec_deliver deliver;

	incoming_clear(&requests->incoming);
	if (assembly_read(assembly, requests->wire, &deliver, &properties) &&
	    incoming_read(&requests->incoming, &properties, false, 1, &message)) {
		message.payload = assembly->body;
		replied.request = digits_read(properties.correlation_id);
		if (replied.request != 0)
			host->replied(requests->wire->endpoint, &replied, sizeof(replied), 1);
	}
	assembly_clear(assembly);
}

bool
requests_frame(struct requests *requests, const struct codec_frame *frame)
{
	struct assembly *assembly = &requests->assembly;

	if (!requests->wanted || frame->method == CODEC_CHANNEL_CLOSE)
		return false;
	if (!assembly->active && frame->method != CODEC_BASIC_DELIVER)
		return frame->method == CODEC_BASIC_CONSUME_OK;
	if (!assembly->active)
		assembly_begin(assembly, requests->wire, frame);
	else
		assembly_feed(assembly, requests->wire, frame);
	if (assembly->complete && !requests->wire->failed)
		reply_take(requests);
	return true;
}
