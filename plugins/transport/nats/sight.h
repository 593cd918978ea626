/*
 * sight.h - what stands at the server behind an endpoint: messages, who reads them, how far behind they are.
 *
 * About every two seconds a few questions go over the endpoint's own link, one at a time; no message waits for an
 * answer, and none is asked before the last one came. A source looks at its consumer and its stream. A sink looks at
 * the streams that it writes to and at all their consumers. Which those are it learns from PubAcks; before the first
 * one, from what the subject of the sink can become and what `streams` of the transport says.
 *
 * What cannot be known (no permission, no stream yet, too many streams) is left out, silently.
 */
#ifndef NATS_SIGHT_H
#define NATS_SIGHT_H

#include "link.h"

#define SIGHT_STREAMS 8u

struct sight {
	const struct settings *settings;
	struct xf_endpoint *endpoint;
	char *pattern;       /* sink: what it can publish to */
	const char *durable; /* source */

	char streams[SIGHT_STREAMS][256];
	uint32_t stream_count;
	bool guessed; /* no PubAck has named them */
	bool sample;  /* the next PubAck is to be looked at */

	uint32_t step, stream; /* which question is out, about which stream */
	uint32_t asked;
	char question[1000]; /* its subject */
	bool list_refused;
	uint32_t offset, pages; /* in the list of consumers */
	uint64_t due_ms, deadline_ms;
	bool running, failed;
	bool behind; /* what was told last was a lag, or nothing */
	struct xf_sight sum;
};

/* SUBJECT: a sink's template as text; NULL for a source. DURABLE: a source's consumer; NULL for a sink. */
void sight_init(struct sight *sight, const struct settings *settings, struct xf_endpoint *endpoint,
                const struct xf_str *subject, const char *durable);
void sight_fini(struct sight *sight);

/* The link is new, or what it reads may be another: look soon. STREAM: a source's; NULL: a sink's remain. */
void sight_begin(struct sight *sight, const char *stream);

/* A source that has settled all it got: whether that was all there is should be known soon. True: be awake for it. */
bool sight_hurry(struct sight *sight, uint64_t now);

/* Asks what is due. Returns in how many milliseconds it wants to be called again. */
uint32_t sight_tick(struct sight *sight, struct link *link, uint64_t now);

/* An answer: a message that came to LINK_SID_INBOX with a token that begins with 'i'. */
void sight_answer(struct sight *sight, struct link *link, const struct link_message *message);

/* The server refuses something. True: it is one of our questions, and no concern of anybody else. */
bool sight_refused(struct sight *sight, struct link *link, const char *reason);

/* sight->sample was set, and this is a PubAck. */
void sight_sample(struct sight *sight, struct xf_str ack);

#endif
