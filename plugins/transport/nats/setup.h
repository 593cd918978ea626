/*
 * setup.h - what must exist at the server before messages flow: streams, and a source's consumer.
 *
 * A walk of questions and answers on the JetStream API over a link that was just opened, one question at a
 * time and never blocking. What is missing is created. What is there but different is left as it is and
 * named: the walk ends BLOCKED, and its owner begins it anew after a while. Only a consumer's ack_wait and
 * max_ack_pending, which lose nothing, are changed to what is asked for.
 */
#ifndef NATS_SETUP_H
#define NATS_SETUP_H

#include "link.h"

/* Where a consumer begins when it is created. */
enum deliver {
	DELIVER_ALL,
	DELIVER_NEW,
	DELIVER_LAST,
	DELIVER_SINCE,
	DELIVER_SEQUENCE,
};

/* What a source wants to read by. */
struct consumer_want {
	char *stream; /* NULL: the one that stores SUBJECT */
	char *durable;
	bool ephemeral; /* it goes with its reader */
	char *subject;
	uint64_t ack_wait_ms;
	bool ack_wait_given;
	int64_t max_ack_pending;
	enum deliver deliver;
	bool deliver_given;
	int64_t deliver_since_ms;
	uint64_t deliver_sequence;
};

/* What it got. */
struct consumer_state {
	char stream[256];
	int64_t created_ns; /* since 1970: tells a consumer from a later one of the same name */
	uint64_t ack_wait_ms;
	int64_t max_ack_pending;
	uint64_t delivered_stream, delivered_consumer; /* sequences */
	uint64_t floor_stream;
	int64_t ack_pending, waiting;
};

enum setup_state {
	SETUP_IDLE,
	SETUP_RUNNING,
	SETUP_DONE,
	SETUP_BLOCKED, /* see reason */
};

struct setup {
	const struct settings *settings;
	const struct consumer_want *want; /* NULL: streams only */
	enum setup_state state;
	uint32_t step, stream;
	uint32_t asked; /* number of the question that is out */
	uint64_t deadline_ms;
	char filter[1100];
	char reason[480];
	char notice[300]; /* to be logged once; "" for none */
	struct consumer_state consumer;
};

void setup_begin(struct setup *setup, struct link *link, const struct settings *settings,
                 const struct consumer_want *want);

/* An answer: a message that came to LINK_SID_INBOX with a token that begins with 'r'. */
void setup_answer(struct setup *setup, struct link *link, const struct link_message *message);

/* The server refused something while the walk ran. */
void setup_refused(struct setup *setup, const char *reason);

/* What helps against an error of JetStream, by its err_code; NULL: what the server says is all there is to say. */
const char *setup_advice(int64_t code);

/* Fails the link where an answer is overdue. */
void setup_tick(struct setup *setup, struct link *link, uint64_t now);

#endif
