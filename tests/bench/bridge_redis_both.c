/*
 * bridge_redis_both.c - a Redis stream to another one and to JetStream, by hand: hiredis and nats.c.
 *
 *   bench-bridge-redis-both PORT STREAM GROUP COUNT OUT NATS_URL PERCENT
 *
 * PERCENT 100: every message to both, acknowledged once both confirmed it. Less: by the hash of its key so much to
 * JetStream alone and the rest to Redis alone. One connection to Redis: XADDs, the next batch and acknowledgements go
 * out together, and JetStream is published to while Redis works on them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jetstream.h"
#include "redis.h"

#define RING (2 * BRIDGE_WINDOW)

struct bridge {
	struct redis_stream source;
	const char *out;
	struct jetstream jetstream;
	uint64_t percent, passed;
	/* What waits for a PubAck: number N of those published, from 1, at N modulo RING. */
	char ids[RING][REDIS_ID_MAX];
	uint64_t acked;
	/* What went to Redis alone in this turn. */
	char added[REDIS_BATCH][REDIS_ID_MAX];
	size_t added_count;
};

/* FNV-1a */
static uint64_t
hash(const char *key)
{
	uint64_t h = 0xcbf29ce484222325;

	for (; *key != '\0'; key++)
		h = (h ^ (unsigned char)*key) * 0x100000001b3;
	return h;
}

static bool
goes_to_jetstream(const struct bridge *bridge, const struct redis_entry *entry)
{
	return bridge->percent == 100 || hash(entry->key) % 100 < bridge->percent;
}

static void
entry_add(struct bridge *bridge, const struct redis_entry *entry)
{
	const char *argv[] = {"XADD", bridge->out, "*", "payload", entry->payload->str, "id", entry->message_id,
	                      "key", entry->key};
	const size_t lengths[] = {4, strlen(bridge->out), 1, 7, entry->payload->len, 2, strlen(entry->message_id),
	                          3, strlen(entry->key)};

	if (redisAppendCommandArgv(bridge->source.redis, 9, argv, lengths) != REDIS_OK)
		bridge_fail("redis", bridge->source.redis->errstr);
}

/* Appends what goes to Redis. Returns how many replies will come. */
static size_t
batch_add(struct bridge *bridge, const redisReply *batch)
{
	size_t size = redis_batch_size(batch), replies = 0;

	bridge->added_count = 0;
	for (size_t i = 0; i < size; i++) {
		struct redis_entry entry;
		bool other;

		redis_batch_entry(batch, i, &entry);
		other = goes_to_jetstream(bridge, &entry);
		if (other && bridge->percent < 100)
			continue;
		entry_add(bridge, &entry);
		replies++;
		if (!other)
			memcpy(bridge->added[bridge->added_count++], entry.id->str, entry.id->len + 1);
	}
	return replies;
}

static void
batch_publish(struct bridge *bridge, const redisReply *batch)
{
	size_t size = redis_batch_size(batch);

	for (size_t i = 0; i < size; i++) {
		struct redis_entry entry;

		redis_batch_entry(batch, i, &entry);
		if (!goes_to_jetstream(bridge, &entry))
			continue;
		jetstream_publish(&bridge->jetstream, entry.payload->str, entry.payload->len, entry.message_id);
		if (bridge->jetstream.published - bridge->acked >= RING)
			bridge_fail("acks", "they lag behind");
		memcpy(bridge->ids[bridge->jetstream.published % RING], entry.id->str, entry.id->len + 1);
	}
}

/* As in bridge_redis_amqp.c; what of it went to Redis too is confirmed there by the end of its turn. */
static size_t
confirmed_ack(struct bridge *bridge)
{
	size_t first = (bridge->acked + 1) % RING, count = jetstream_confirmed(&bridge->jetstream) - bridge->acked;

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
added_ack(struct bridge *bridge)
{
	size_t count = bridge->added_count;

	bridge->added_count = 0;
	if (count == 0)
		return;
	redis_stream_ack(&bridge->source, bridge->added, count);
	redis_stream_acked(&bridge->source, count);
}

/* Passes what was read before; returns the next batch. */
static redisReply *
turn(struct bridge *bridge, redisReply *batch)
{
	size_t acked = confirmed_ack(bridge), added_before = bridge->added_count, replies;

	if (added_before > 0)
		redis_stream_ack(&bridge->source, bridge->added, added_before);
	replies = batch != NULL ? batch_add(bridge, batch) : 0;
	redis_stream_ask(&bridge->source, REDIS_BATCH);
	redis_flush(bridge->source.redis);
	if (batch != NULL) {
		batch_publish(bridge, batch);
		bridge->passed += redis_batch_size(batch);
		freeReplyObject(batch);
	}
	if (acked > 0)
		redis_stream_acked(&bridge->source, acked);
	if (added_before > 0)
		redis_stream_acked(&bridge->source, added_before);
	for (size_t i = 0; i < replies; i++)
		freeReplyObject(redis_reply(bridge->source.redis));
	return redis_reply(bridge->source.redis);
}

int
main(int argc, char **argv)
{
	static struct bridge bridge;
	redisReply *batch = NULL;
	uint64_t count;
	size_t acked;

	if (argc != 8) {
		fprintf(stderr, "usage: bench-bridge-redis-both PORT STREAM GROUP COUNT OUT NATS_URL PERCENT\n");
		return 2;
	}
	count = strtoull(argv[4], NULL, 10);
	bridge.out = argv[5];
	bridge.percent = strtoull(argv[7], NULL, 10);
	jetstream_open(&bridge.jetstream, jetstream_connect(argv[6], false), "BENCH", "bench.out", NULL);
	redis_stream_open(&bridge.source, redis_connect(atoi(argv[1])), argv[2], argv[3]);
	bridge_begin();
	while (bridge.passed < count)
		batch = turn(&bridge, batch);
	freeReplyObject(batch);
	added_ack(&bridge);
	jetstream_finish(&bridge.jetstream);
	while ((acked = confirmed_ack(&bridge)) > 0)
		redis_stream_acked(&bridge.source, acked);
	bridge_end(count);
	redisFree(bridge.source.redis);
	jetstream_close(&bridge.jetstream);
	return 0;
}
