#include "requests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "digits.h"
#include "frame.h"

#define HEADERS_MAX 256u
#define UNSENT_MAX (64u << 20) /* replies that the server does not read: what comes on top is dropped */

/* ---- A source's ---------------------------------------------------------------- */

/* The server would cut the connection over it. Who asked is told instead. */
static void
large_answer(struct link *link, struct xf_str to, uint64_t size)
{
	char reason[128], payload[192];
	struct xf_header headers[2];
	struct frame frame = {.subject = to, .content_type = {"application/json", 16}, .headers = headers, .header_count = 2};
	int len = snprintf(reason, sizeof(reason), "the reply of %llu bytes with headers is more than the server's max_payload of %lld",
	                   (unsigned long long)size, (long long)link->max_payload);

	headers[0] = (struct xf_header){{"Crossfade-Status", 16}, {"500", 3}};
	headers[1] = (struct xf_header){{"Crossfade-Error", 15}, {reason, (uint64_t)len}};
	frame.payload = payload;
	frame.payload_size = (uint64_t)snprintf(payload, sizeof(payload), "{\"error\":\"%s\"}", reason);
	frame_write(link, &frame);
}

static bool
has_id(const struct xf_incoming *message)
{
	static const char name[] = "Crossfade-Id";

	for (uint32_t i = 0; i < message->header_count; i++)
		if (message->headers[i].name.len == sizeof(name) - 1 && strncasecmp(message->headers[i].name.data, name, sizeof(name) - 1) == 0)
			return true;
	return false;
}

void
request_answer(struct link *link, const struct xf_reply *reply)
{
	const struct xf_incoming *message = reply->message;
	struct frame frame = {
		.subject = reply->request->reply,
		.content_type = message->content_type,
		.id = has_id(message) ? (struct xf_str){NULL, 0} : message->id,
		.headers = message->headers,
		.header_count = message->header_count,
		.payload = message->payload,
		.payload_size = message->payload_size,
	};

	if (frame.subject.len == 0 || frame_reserved(frame.subject) != NULL || link_unsent(link) > UNSENT_MAX)
		return;
	if (link->max_payload > 0 && frame_size(&frame) > (uint64_t)link->max_payload)
		large_answer(link, frame.subject, frame_size(&frame));
	else
		frame_write(link, &frame);
}

/* ---- A sink's ------------------------------------------------------------------- */

void
requests_init(struct requests *requests, bool wanted)
{
	requests->wanted = wanted;
	link_name(requests->name);
}

void
requests_subscribe(const struct requests *requests, struct link *link)
{
	if (requests->wanted)
		link_printf(link, "SUB %s* %u\r\n", requests->name, LINK_SID_FIRST);
}

uint32_t
requests_reply_to(const struct requests *requests, uint64_t request, char *out, uint32_t size)
{
	size_t len = strlen(requests->name);

	if (size < len + DIGITS_MAX)
		return 0;
	memcpy(out, requests->name, len);
	return (uint32_t)(put_number(out + len, request) - out);
}

/* The number behind the name. 0: it is none. */
static uint64_t
number_read(const struct requests *requests, struct xf_str subject)
{
	size_t len = strlen(requests->name);

	return subject.len > len ? digits_read((struct xf_str){subject.data + len, subject.len - len}) : 0;
}

void
requests_reply(const struct requests *requests, struct xf_endpoint *endpoint, const struct xf_host *host,
               const struct link_message *message)
{
	static const char nobody[] = "nobody is subscribed who could answer";
	struct xf_header headers[HEADERS_MAX];
	struct xf_incoming in = {.payload = message->payload.data, .payload_size = message->payload.len};
	struct xf_replied replied = {
		.request = number_read(requests, message->subject),
		.message = &in,
		.message_size = sizeof(in),
		.status = message->status,
		.reason = message->status_text,
	};

	if (replied.request == 0)
		return;
	if (message->status != 0)
		replied.message = NULL;
	else
		frame_read_headers(message->headers, &in, headers, HEADERS_MAX);
	if (message->status == 503)
		replied.reason = (struct xf_str){nobody, sizeof(nobody) - 1};
	host->replied(endpoint, &replied, sizeof(replied), 1);
}
