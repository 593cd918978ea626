/*
 * requests.h - the replies to what a sink publishes as requests.
 *
 * They come by RabbitMQ's direct reply-to: the channel that publishes consumes from the pseudo-queue amq.rabbitmq.reply-to, which
 * stands in reply_to, and the broker makes an address of it. Which request is meant the correlation_id says, its number. The address is
 * gone with the connection, and so is what is answered to it later.
 *
 * Threads: the endpoint's own.
 */
#ifndef CROSSFADE_AMQP_REQUESTS_H
#define CROSSFADE_AMQP_REQUESTS_H

#include "assembly.h"
#include "incoming.h"

#define REQUESTS_NUMBER_SIZE 24u

struct requests {
	struct wire *wire;
	bool wanted;
	struct assembly assembly; /* of the reply that is being read */
	struct incoming incoming;
};

/* False where there is no memory; then requests_fini() is due all the same. */
bool requests_init(struct requests *requests, struct wire *wire, bool wanted);
void requests_fini(struct requests *requests);

/* The connection is gone. */
void requests_reset(struct requests *requests);

/* On the open channel, before anything is published. */
void requests_consume(struct requests *requests);

uint32_t requests_reply_to(char *out, uint32_t size);

/* The correlation_id of REQUEST, in OUT. */
struct xf_str requests_number(uint64_t request, char out[REQUESTS_NUMBER_SIZE]);

/* A frame of WIRE_CHANNEL. False: it is no part of a reply. */
bool requests_frame(struct requests *requests, const struct codec_frame *frame);

#endif
