/*
 * requests.h - requests and replies on the core: a source answers at a message's reply subject, a sink has a name of its own below
 * which replies come to it.
 *
 * That name is the sink's for as long as it lives, so what is answered while its connection is lost still finds it if it is back by
 * then. The last token is the number of the request.
 *
 * Threads: the link's.
 */
#ifndef NATS_REQUESTS_H
#define NATS_REQUESTS_H

#include "link.h"

/* ---- A source's ---- */

/* Sends REPLY, or says to who asked why it cannot be. What has no reply subject, or one of the server's own, is dropped. */
void request_answer(struct link *link, const struct xf_reply *reply);

/* ---- A sink's ---- */

struct requests {
	bool wanted;
	char name[LINK_NAME_SIZE]; /* "_INBOX.NAME." */
};

void requests_init(struct requests *requests, bool wanted);

/* On a new connection, before anything is published. */
void requests_subscribe(const struct requests *requests, struct link *link);

/* Of REQUEST; see xf_sink_ops. */
uint32_t requests_reply_to(const struct requests *requests, uint64_t request, char *out, uint32_t size);

/* Hands on what came to the subscription. */
void requests_reply(const struct requests *requests, struct xf_endpoint *endpoint, const struct xf_host *host,
                    const struct link_message *message);

#endif
