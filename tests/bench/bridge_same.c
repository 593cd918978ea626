/*
 * bridge_same.c - from bench.in to bench.out of one broker, by hand and for latency: what was read is published at once.
 *
 *   bench-bridge-same redis|nats|jetstream|amqp URL
 *
 * Until it is killed; it says `ready` once it reads. Redis is pub/sub, whose PUBLISH is answered; core NATS confirms
 * nothing; JetStream and AMQP messages are acknowledged after their confirmation.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jetstream.h"
#include "rabbit.h"
#include "redis.h"

#define LOOK_EVERY 64 /* messages between two looks for confirms */

static void
ready(void)
{
	puts("ready");
	fflush(stdout);
}

/* ---- Redis ------------------------------------------------------------------------------------------------- */

/* Reads the socket once. */
static void
redis_fetch(redisContext *redis)
{
	if (redisBufferRead(redis) != REDIS_OK)
		bridge_fail("redis", redis->errstr);
}

/* The next reply that was fetched, or NULL. */
static redisReply *
redis_fetched(redisContext *redis)
{
	void *reply = NULL;

	if (redisGetReplyFromReader(redis, &reply) != REDIS_OK)
		bridge_fail("redis", redis->errstr);
	if (reply != NULL && ((redisReply *)reply)->type == REDIS_REPLY_ERROR)
		bridge_fail("redis", ((redisReply *)reply)->str);
	return reply;
}

static void
redis_carry(const char *url)
{
	int port = atoi(strrchr(url, ':') + 1);
	redisContext *in = redis_connect(port), *out = redis_connect(port);
	struct pollfd fds[2] = {{.fd = in->fd, .events = POLLIN}, {.fd = out->fd, .events = POLLIN}};
	uint64_t unconfirmed = 0;
	redisReply *reply;

	freeReplyObject(redisCommand(in, "SUBSCRIBE bench.in"));
	ready();
	for (;;) {
		fds[0].events = unconfirmed < BRIDGE_WINDOW ? POLLIN : 0;
		poll(fds, 2, -1);
		if (fds[0].revents != 0) {
			redis_fetch(in);
			while ((reply = redis_fetched(in)) != NULL) {
				const char *argv[] = {"PUBLISH", "bench.out", reply->element[2]->str};
				size_t lengths[] = {7, 9, reply->element[2]->len};

				if (redisAppendCommandArgv(out, 3, argv, lengths) != REDIS_OK)
					bridge_fail("redis", out->errstr);
				unconfirmed++;
				freeReplyObject(reply);
			}
			redis_flush(out);
		}
		if (fds[1].revents != 0) {
			redis_fetch(out);
			for (; (reply = redis_fetched(out)) != NULL; unconfirmed--)
				freeReplyObject(reply);
		}
	}
}

/* ---- NATS, with its library's threads ------------------------------------------------------------------------ */

/* [library] */
static void
nats_arrived(natsConnection *in, natsSubscription *subscription, natsMsg *message, void *out)
{
	(void)in;
	(void)subscription;
	jetstream_need(natsConnection_Publish(out, "bench.out", natsMsg_GetData(message), natsMsg_GetDataLength(message)),
	               "publish");
	natsMsg_Destroy(message);
}

static void
nats_carry(const char *url)
{
	natsConnection *in = jetstream_connect(url, true);
	natsSubscription *subscription;

	jetstream_need(natsConnection_Subscribe(&subscription, in, "bench.in", nats_arrived, jetstream_connect(url, true)),
	               "subscribe");
	jetstream_need(natsConnection_Flush(in), "flush");
	ready();
	pause();
}

struct stream {
	struct jetstream sink;
	natsMsg *pending[2 * BRIDGE_WINDOW]; /* published, not acknowledged: number N, from 1, at N modulo the size */
	uint64_t acked;
};

/* [library] The last ones are acknowledged when others arrive. */
static void
stream_arrived(natsConnection *in, natsSubscription *subscription, natsMsg *message, void *context)
{
	struct stream *stream = context;
	const char *id = "";

	(void)in;
	(void)subscription;
	natsMsgHeader_Get(message, "Nats-Msg-Id", &id);
	jetstream_publish(&stream->sink, natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message), id);
	stream->pending[stream->sink.published % (2 * BRIDGE_WINDOW)] = message;
	while (stream->acked < jetstream_confirmed(&stream->sink)) {
		natsMsg **confirmed = &stream->pending[++stream->acked % (2 * BRIDGE_WINDOW)];

		jetstream_need(natsMsg_Ack(*confirmed, NULL), "ack");
		natsMsg_Destroy(*confirmed);
	}
}

static void
jetstream_carry(const char *url)
{
	static struct stream stream;
	natsConnection *in = jetstream_connect(url, false); /* acknowledgements are in no hurry */
	natsSubscription *subscription;
	jsSubOptions options;
	jsErrCode code = 0;
	jsCtx *js;

	jetstream_open(&stream.sink, jetstream_connect(url, true), NULL, "bench.out", NULL);
	jetstream_need(natsConnection_JetStream(&js, in, NULL), "JetStream");
	jsSubOptions_Init(&options);
	options.ManualAck = true;
	options.Config.DeliverPolicy = js_DeliverNew;
	options.Config.MaxAckPending = 2 * BRIDGE_WINDOW;
	jetstream_need(js_Subscribe(&subscription, js, "bench.in", stream_arrived, &stream, NULL, &options, &code),
	               "consumer");
	ready();
	pause();
}

/* ---- AMQP --------------------------------------------------------------------------------------------------- */

static void
amqp_publish(struct rabbit_sink *sink, const amqp_message_t *message)
{
	char id[RABBIT_ID_MAX];

	rabbit_sink_publish(sink, message->body.bytes, message->body.len, rabbit_message_id(message, id));
	if (sink->published % LOOK_EVERY == 0)
		rabbit_sink_confirms(sink, false);
}

static void
amqp_carry(const char *url)
{
	int port = atoi(strrchr(url, ':') + 1);
	static struct rabbit_sink sink;
	struct rabbit_source source;
	struct pollfd fds[2];

	rabbit_sink_open(&sink, port, "bench.out");
	rabbit_source_open(&source, port, "bench.in");
	ready();
	fds[0] = (struct pollfd){.fd = amqp_get_sockfd(source.connection), .events = POLLIN};
	fds[1] = (struct pollfd){.fd = amqp_get_sockfd(sink.connection), .events = POLLIN};
	for (;;) {
		amqp_envelope_t envelope;
		bool room;

		while ((room = rabbit_sink_room(&sink) > 0) && rabbit_source_next(&source, &envelope)) {
			amqp_publish(&sink, &envelope.message);
			amqp_destroy_envelope(&envelope);
		}
		rabbit_sink_confirms(&sink, !room);
		rabbit_source_ack(&source, sink.low, 1);
		if (room)
			poll(fds, 2, -1);
	}
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *kind;
		void (*carry)(const char *url);
	} kinds[] = {{"redis", redis_carry}, {"nats", nats_carry}, {"jetstream", jetstream_carry}, {"amqp", amqp_carry}};

	for (size_t i = 0; argc == 3 && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(argv[1], kinds[i].kind) == 0)
			kinds[i].carry(argv[2]);
	fprintf(stderr, "usage: bench-bridge-same redis|nats|jetstream|amqp URL\n");
	return 2;
}
