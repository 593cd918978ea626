/*
 * acks.c - see acks.h.
 */
#include "acks.h"

#include <stdio.h>
#include <string.h>

static bool
number(struct xf_str field, uint64_t *value)
{
	uint64_t i, n = 0;

	if (field.len == 0 || field.len > 19)
		return false;
	for (i = 0; i < field.len; i++) {
		if (field.data[i] < '0' || field.data[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(field.data[i] - '0');
	}
	*value = n;
	return true;
}

bool
delivery_read(struct xf_str reply, struct delivery *delivery)
{
	struct xf_str token[12];
	uint64_t begin = 0, i, stamp;
	uint32_t count = 0, first;

	if (reply.len < 8 || memcmp(reply.data, "$JS.ACK.", 8) != 0)
		return false;
	for (i = 0; i <= reply.len; i++) {
		if (i < reply.len && reply.data[i] != '.')
			continue;
		if (count == 12)
			break;
		token[count++] = (struct xf_str){reply.data + begin, i - begin};
		begin = i + 1;
	}
	if (count < 9)
		return false;
	first = count >= 11 ? 4 : 2;
	delivery->stream = token[first];
	if (!number(token[first + 2], &delivery->delivered) ||
	    !number(token[first + 3], &delivery->stream_sequence) ||
	    !number(token[first + 5], &stamp) || !number(token[first + 6], &delivery->pending))
		return false;
	delivery->time_ns = (int64_t)stamp;
	return true;
}

void
ack_send(struct link *link, struct xf_str reply, uint32_t outcome, uint32_t delay_ms)
{
	static const struct xf_str none;
	char text[64];
	size_t len;

	switch (outcome) {
	case XF_SETTLE_ACK:
		link_publish(link, reply, none, "+ACK", 4);
		break;
	case XF_SETTLE_RETRY:
		len = 4;
		memcpy(text, "-NAK", 4);
		if (delay_ms > 0)
			len = (size_t)snprintf(text, sizeof(text), "-NAK {\"delay\":%llu}",
			                       (unsigned long long)delay_ms * 1000000ull);
		link_publish(link, reply, none, text, len);
		break;
	case XF_SETTLE_REJECT:
		link_publish(link, reply, none, "+TERM", 5);
		break;
	default:
		link_publish(link, reply, none, "+WPI", 4);
		break;
	}
}
