/*
 * held.c - a list; see held.h.
 */
#include "held.h"

#include <stdlib.h>
#include <string.h>

#include "acks.h"
#include "json.h"

void
held_init(struct held *held)
{
	*held = (struct held){.end = &held->first};
}

void
held_clear(struct held *held)
{
	while (held->first != NULL)
		free(held_take(held));
}

void
held_add(struct held *held, const struct link_message *message, uint64_t handle, uint64_t now)
{
	uint64_t size = message->subject.len + message->reply.len + message->headers.len + message->payload.len;
	struct held_message *copy = need(malloc(sizeof(*copy) + size));
	struct xf_str *strings[] = {&copy->message.subject, &copy->message.reply, &copy->message.headers,
	                            &copy->message.payload};
	char *at = copy->bytes;
	size_t i;

	if (held->first == NULL)
		held->said_ms = now;
	copy->next = NULL;
	copy->handle = handle;
	copy->message = *message;
	copy->message.owned = NULL;
	for (i = 0; i < 4; i++) {
		if (strings[i]->len > 0)
			memcpy(at, strings[i]->data, strings[i]->len);
		strings[i]->data = at;
		at += strings[i]->len;
	}
	held->bytes += (int64_t)message->payload.len;
	*held->end = copy;
	held->end = &copy->next;
	held->count++;
}

struct held_message *
held_take(struct held *held)
{
	struct held_message *first = held->first;

	held->first = first->next;
	if (held->first == NULL)
		held->end = &held->first;
	held->count--;
	held->bytes -= (int64_t)first->message.payload.len;
	return first;
}

uint32_t
held_extend(struct held *held, struct link *link, uint64_t ack_wait_ms, uint64_t now)
{
	struct held_message *message;
	uint64_t left;

	if (held->first == NULL)
		return UINT32_MAX;
	if (now >= held->said_ms + ack_wait_ms / 2) {
		for (message = held->first; message != NULL; message = message->next)
			ack_send(link, message->message.reply, XF_SETTLE_EXTEND, 0);
		held->said_ms = now;
	}
	left = held->said_ms + ack_wait_ms / 2 - now;
	return left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;
}
