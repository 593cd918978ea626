/*
 * pulls.c - bites of the credit; see pulls.h.
 */
#include "pulls.h"

#include <stdio.h>
#include <string.h>

#define PULL_MS 5000u /* life of a request */
#define PULL_BYTES_MIN 65536
#define PAUSE_MS 200u

void
pulls_subscribe(struct link *link)
{
	for (uint32_t i = 0; i < PULLS; i++)
		link_printf(link, "SUB %sp.%u %u\r\n", link->inbox, i, LINK_SID_FIRST + i);
}

void
pulls_unsubscribe(struct link *link)
{
	for (uint32_t i = 0; i < PULLS; i++)
		link_printf(link, "UNSUB %u\r\n", LINK_SID_FIRST + i);
}

void
pulls_clear(struct pulls *pulls)
{
	uint64_t at_ms = pulls->at_ms;

	*pulls = (struct pulls){.at_ms = at_ms};
}

static void
pull_end(struct pulls *pulls, struct pull *pull)
{
	pulls->requested -= pull->remaining;
	pulls->requested_bytes -= pull->bytes;
	pull->remaining = 0;
	pull->bytes = 0;
}

bool
pulls_expire(struct pulls *pulls, uint64_t now)
{
	bool unheard = false;

	for (uint32_t i = 0; i < PULLS; i++) {
		if (pulls->list[i].remaining == 0 || now < pulls->list[i].deadline_ms)
			continue;
		unheard = unheard || !pulls->list[i].answered;
		pull_end(pulls, &pulls->list[i]);
	}
	return unheard;
}

static void
pull_send(struct pulls *pulls, struct link *link, const struct pulls_want *want, struct pull *pull, uint32_t messages,
          int64_t bytes, uint64_t now)
{
	char subject[1000], reply[64], body[128];

	*pull = (struct pull){.remaining = messages, .bytes = bytes, .deadline_ms = now + PULL_MS + 1000};
	pulls->requested += messages;
	pulls->requested_bytes += bytes;
	snprintf(subject, sizeof(subject), "%s.CONSUMER.MSG.NEXT.%s.%s", link->settings->api, want->stream, want->durable);
	snprintf(reply, sizeof(reply), "%sp.%u", link->inbox, (unsigned)(pull - pulls->list));
	snprintf(body, sizeof(body), "{\"batch\":%u,\"expires\":%llu,\"max_bytes\":%lld}", messages,
	         (unsigned long long)PULL_MS * 1000000ull, (long long)bytes);
	link_publish(link, (struct xf_str){subject, strlen(subject)}, (struct xf_str){reply, strlen(reply)}, body,
	             strlen(body));
}

void
pulls_send(struct pulls *pulls, struct link *link, const struct pulls_want *want, uint64_t now)
{
	uint32_t messages, i;
	int64_t bytes = want->bytes - pulls->requested_bytes;
	struct pull *pull = NULL;

	if (now < pulls->at_ms || pulls->requested >= want->messages)
		return;
	messages = want->messages - pulls->requested;
	if (pulls->one_large) {
		/* A first large one may exceed the credit in bytes. */
		if (pulls->requested > 0)
			return;
		messages = 1;
		bytes = INT32_MAX;
		pulls->one_large = false;
	} else if (pulls->requested == 0) {
		bytes = bytes > 0 ? bytes : 1;
		if (messages > want->max_in_flight / 2 && want->max_in_flight > 64)
			messages = want->max_in_flight / 2;
	} else if (messages < want->max_in_flight / PULLS || bytes < PULL_BYTES_MIN) {
		return;
	}
	/* Some is left for the requests that overlap with this one. */
	if (messages > 1 && bytes > 2 * PULL_BYTES_MIN)
		bytes /= 2;
	if (bytes > INT32_MAX)
		bytes = INT32_MAX;
	for (i = 0; i < PULLS && pull == NULL; i++) {
		if (pulls->list[i].remaining == 0)
			pull = &pulls->list[i];
	}
	if (pull != NULL)
		pull_send(pulls, link, want, pull, messages, bytes, now);
}

/* NULL: the message came to none. */
static struct pull *
pull_of(struct pulls *pulls, const struct link_message *message)
{
	uint32_t index = message->sid - LINK_SID_FIRST;

	return index < PULLS ? &pulls->list[index] : NULL;
}

void
pulls_received(struct pulls *pulls, const struct link_message *message)
{
	int64_t bytes = (int64_t)(message->payload.len + message->headers.len);
	struct pull *pull = pull_of(pulls, message);

	if (pull == NULL || pull->remaining == 0)
		return;
	pull->answered = true;
	pull->remaining--;
	pulls->requested--;
	if (bytes > pull->bytes || pull->remaining == 0)
		bytes = pull->bytes;
	pull->bytes -= bytes;
	pulls->requested_bytes -= bytes;
}

static bool
text_has(struct xf_str text, const char *word)
{
	return memmem(text.data, text.len, word, strlen(word)) != NULL;
}

/* 404 none there, 408 its time is over, 409 something ended it, 503 no such consumer, 100 still there. */
bool
pulls_status(struct pulls *pulls, const struct link_message *message, uint64_t now)
{
	struct pull *pull = pull_of(pulls, message);
	bool answered;

	if (message->status == 100 || pull == NULL)
		return false;
	answered = pull->answered;
	pull_end(pulls, pull);
	if (message->status == 404 || message->status == 408)
		return false;
	if (text_has(message->status_text, "MaxBytes")) {
		pulls->one_large = !answered;
		return false;
	}
	pulls->at_ms = now + PAUSE_MS;
	return message->status == 503 || text_has(message->status_text, "Deleted") ||
	       text_has(message->status_text, "Leadership");
}
