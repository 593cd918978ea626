/*
 * bridge_redis_amqp.c - a Redis stream to an AMQP queue, by hand: hiredis and rabbitmq-c.
 *
 *   bench-bridge-redis-amqp PORT STREAM GROUP COUNT AMQP_PORT QUEUE
 *
 * Acknowledges entries after their confirms, many with one command. The next batch is asked for before this one is
 * published, so Redis works meanwhile.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rabbit.h"
#include "redis.h"

#define LOOK_EVERY 64 /* messages between two looks for confirms */
#define RING (2 * BRIDGE_WINDOW)

struct bridge {
	struct redis_stream source;
	struct rabbit_sink sink;
	char ids[RING][REDIS_ID_MAX]; /* of number N, from 1, at N modulo RING: those published and not acknowledged */
	uint64_t acked;
};

/* Appends an XACK for what is confirmed, at most one batch and not across the end of the ring; 0: nothing is. */
static size_t
confirmed_ack(struct bridge *bridge)
{
	size_t first = (bridge->acked + 1) % RING, count = bridge->sink.low - bridge->acked;

	if (count > REDIS_BATCH)
		count = REDIS_BATCH;
	if (count > RING - first)
		count = RING - first;
	if (count > 0)
		redis_stream_ack(&bridge->source, &bridge->ids[first], count);
	bridge->acked += count;
	return count;
}

static void
batch_pass(struct bridge *bridge, const redisReply *batch)
{
	struct rabbit_sink *sink = &bridge->sink;
	size_t size = redis_batch_size(batch);

	for (size_t i = 0; i < size; i++) {
		struct redis_entry entry;

		redis_batch_entry(batch, i, &entry);
		rabbit_sink_publish(sink, entry.payload->str, entry.payload->len, entry.message_id);
		if (sink->published - bridge->acked >= RING)
			bridge_fail("acks", "they lag behind");
		memcpy(bridge->ids[sink->published % RING], entry.id->str, entry.id->len + 1);
		if (sink->published % LOOK_EVERY == 0 || rabbit_sink_room(sink) == 0)
			rabbit_sink_confirms(sink, rabbit_sink_room(sink) == 0);
	}
}

/* Passes what was read before, while Redis works on what is asked for now; returns that. */
static redisReply *
turn(struct bridge *bridge, redisReply *batch)
{
	size_t acked = confirmed_ack(bridge);

	redis_stream_ask(&bridge->source, REDIS_BATCH);
	redis_flush(bridge->source.redis);
	if (batch != NULL) {
		batch_pass(bridge, batch);
		freeReplyObject(batch);
	}
	if (acked > 0)
		redis_stream_acked(&bridge->source, acked);
	return redis_reply(bridge->source.redis);
}

int
main(int argc, char **argv)
{
	static struct bridge bridge;
	redisReply *batch = NULL;
	uint64_t count;
	size_t acked;

	if (argc != 7) {
		fprintf(stderr, "usage: bench-bridge-redis-amqp PORT STREAM GROUP COUNT AMQP_PORT QUEUE\n");
		return 2;
	}
	count = strtoull(argv[4], NULL, 10);
	rabbit_sink_open(&bridge.sink, atoi(argv[5]), argv[6]);
	redis_stream_open(&bridge.source, redis_connect(atoi(argv[1])), argv[2], argv[3]);
	bridge_begin();
	while (bridge.sink.published < count)
		batch = turn(&bridge, batch);
	freeReplyObject(batch);
	while (bridge.sink.low < count)
		rabbit_sink_confirms(&bridge.sink, true);
	while ((acked = confirmed_ack(&bridge)) > 0)
		redis_stream_acked(&bridge.source, acked);
	bridge_end(count);
	rabbit_close(bridge.sink.connection);
	redisFree(bridge.source.redis);
	return 0;
}
