/*
 * fill.c - fills a source with messages as an application sends them.
 *
 *   bench-fill URL NAME COUNT SIZE [KEYS]
 *
 * A message has a payload of SIZE bytes and an id, and with KEYS one of so many keys. At nats:// NAME is the subject of
 * the stream IN, at redis:// a stream (fields payload, id, key), at amqp:// a durable queue (messages are persistent).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jetstream.h"
#include "rabbit.h"
#include "redis.h"

struct load {
	const char *name;
	char *payload;
	size_t size;
	uint64_t count, keys;
};

static void
id_write(char id[static 32], uint64_t number)
{
	snprintf(id, 32, "bench-%010llu", (unsigned long long)number);
}

static void
nats_fill(const char *url, const struct load *load)
{
	struct jetstream jetstream;
	char id[32];

	if (load->keys > 0)
		bridge_fail("nats", "no keys here");
	jetstream_open(&jetstream, jetstream_connect(url, false), "IN", load->name, NULL);
	for (uint64_t i = 0; i < load->count; i++) {
		id_write(id, i);
		jetstream_publish(&jetstream, load->payload, load->size, id);
	}
	jetstream_finish(&jetstream);
	jetstream_close(&jetstream);
}

static void
entry_append(redisContext *redis, const struct load *load, uint64_t number)
{
	char id[32], key[32];
	const char *argv[] = {"XADD", load->name, "*", "payload", load->payload, "id", id, "key", key};
	size_t lengths[] = {4, strlen(load->name), 1, 7, load->size, 2, 0, 3, 0};

	id_write(id, number);
	lengths[6] = strlen(id);
	lengths[8] = (size_t)snprintf(key, sizeof(key), "k%llu", (unsigned long long)(load->keys > 0 ? number % load->keys : 0));
	if (redisAppendCommandArgv(redis, load->keys > 0 ? 9 : 7, argv, lengths) != REDIS_OK)
		bridge_fail("redis", redis->errstr);
}

static void
redis_fill(int port, const struct load *load)
{
	redisContext *redis = redis_connect(port);

	for (uint64_t sent = 0, n; sent < load->count; sent += n) {
		n = load->count - sent < REDIS_BATCH ? load->count - sent : REDIS_BATCH;
		for (uint64_t i = 0; i < n; i++)
			entry_append(redis, load, sent + i);
		for (uint64_t i = 0; i < n; i++)
			freeReplyObject(redis_reply(redis));
	}
	redisFree(redis);
}

static void
amqp_fill(int port, const struct load *load)
{
	struct rabbit_sink sink;
	char id[32];

	if (load->keys > 0)
		bridge_fail("amqp", "no keys here");
	rabbit_sink_open(&sink, port, load->name);
	for (uint64_t i = 0; i < load->count; i++) {
		id_write(id, i);
		rabbit_sink_publish(&sink, load->payload, load->size, id);
		if (rabbit_sink_room(&sink) == 0)
			rabbit_sink_confirms(&sink, true);
	}
	while (sink.low < load->count)
		rabbit_sink_confirms(&sink, true);
	rabbit_close(sink.connection);
}

int
main(int argc, char **argv)
{
	struct load load;
	int port;

	if (argc < 5 || argc > 6) {
		fprintf(stderr, "usage: bench-fill URL NAME COUNT SIZE [KEYS]\n");
		return 2;
	}
	load = (struct load){
		.name = argv[2],
		.size = strtoull(argv[4], NULL, 10),
		.count = strtoull(argv[3], NULL, 10),
		.keys = argc == 6 ? strtoull(argv[5], NULL, 10) : 0,
	};
	load.payload = malloc(load.size);
	if (load.payload == NULL)
		bridge_fail("fill", "no memory");
	memset(load.payload, 'x', load.size);
	port = atoi(strrchr(argv[1], ':') + 1);
	if (strncmp(argv[1], "nats:", 5) == 0)
		nats_fill(argv[1], &load);
	else if (strncmp(argv[1], "redis:", 6) == 0)
		redis_fill(port, &load);
	else
		amqp_fill(port, &load);
	free(load.payload);
	return 0;
}
