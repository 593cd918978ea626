/*
 * bridge_nats_amqp.c - a JetStream stream to an AMQP queue, by hand: nats.c and rabbitmq-c.
 *
 *   bench-bridge-nats-amqp NATS_URL STREAM DURABLE COUNT PORT QUEUE
 *
 * Fetches through a durable pull consumer, as many at a time as the library does well with, and acknowledges each
 * message once the broker confirmed it. Nats-Msg-Id becomes the message id.
 */
#include <stdio.h>
#include <stdlib.h>

#include "jetstream.h"
#include "rabbit.h"

#define FETCH 1024
#define LOOK_EVERY 64 /* messages between two looks for confirms */

struct source {
	natsConnection *connection;
	jsCtx *js;
	natsSubscription *consumer;
	natsMsg *pending[BRIDGE_WINDOW]; /* published, not acknowledged: number N at N modulo the window, N from 1 */
	uint64_t acked;
};

static void
source_open(struct source *source, const char *url, const char *stream, const char *durable)
{
	jsSubOptions options;
	jsErrCode code = 0;

	*source = (struct source){0};
	source->connection = jetstream_connect(url, false);
	jetstream_need(natsConnection_JetStream(&source->js, source->connection, NULL), "JetStream");
	jsSubOptions_Init(&options);
	options.Stream = stream;
	options.Config.MaxAckPending = 2 * BRIDGE_WINDOW;
	jetstream_need(js_PullSubscribe(&source->consumer, source->js, "bench.in", durable, NULL, &options, &code),
	               "consumer");
}

static void
source_ack(struct source *source, const struct rabbit_sink *sink)
{
	while (source->acked < sink->low) {
		natsMsg **message = &source->pending[++source->acked % BRIDGE_WINDOW];

		jetstream_need(natsMsg_Ack(*message, NULL), "ack");
		natsMsg_Destroy(*message);
		*message = NULL;
	}
}

/* Takes the message. */
static void
message_pass(struct source *source, struct rabbit_sink *sink, natsMsg *message)
{
	const char *id = "";

	natsMsgHeader_Get(message, "Nats-Msg-Id", &id);
	rabbit_sink_publish(sink, natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message), id);
	source->pending[sink->published % BRIDGE_WINDOW] = message;
	if (sink->published % LOOK_EVERY == 0 || rabbit_sink_room(sink) == 0) {
		rabbit_sink_confirms(sink, rabbit_sink_room(sink) == 0);
		source_ack(source, sink);
	}
}

int
main(int argc, char **argv)
{
	static struct source source;
	static struct rabbit_sink sink;
	uint64_t count;

	if (argc != 7) {
		fprintf(stderr, "usage: bench-bridge-nats-amqp NATS_URL STREAM DURABLE COUNT PORT QUEUE\n");
		return 2;
	}
	count = strtoull(argv[4], NULL, 10);
	rabbit_sink_open(&sink, atoi(argv[5]), argv[6]);
	source_open(&source, argv[1], argv[2], argv[3]);
	while (sink.published < count) {
		uint64_t wanted = count - sink.published;
		natsMsgList list = {NULL, 0};
		jsErrCode code = 0;

		jetstream_need(natsSubscription_Fetch(&list, source.consumer, wanted < FETCH ? (int)wanted : FETCH, 5000, &code),
		               "fetch");
		if (sink.published == 0)
			bridge_begin();
		for (int i = 0; i < list.Count; i++) {
			message_pass(&source, &sink, list.Msgs[i]);
			list.Msgs[i] = NULL;
		}
		natsMsgList_Destroy(&list);
	}
	while (sink.low < count)
		rabbit_sink_confirms(&sink, true);
	source_ack(&source, &sink);
	jetstream_need(natsConnection_FlushTimeout(source.connection, 10000), "last acks");
	bridge_end(count);
	rabbit_close(sink.connection);
	natsSubscription_Destroy(source.consumer);
	jsCtx_Destroy(source.js);
	natsConnection_Destroy(source.connection);
	nats_Close();
	return 0;
}
