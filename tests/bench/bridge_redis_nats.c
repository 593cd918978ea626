/*
 * bridge_redis_nats.c - a Redis channel to JetStream, by hand: hiredis and nats.c.
 *
 *   bench-bridge-redis-nats PORT CHANNEL COUNT NATS_URL PROGRESS_FILE
 *
 * It reads only while its window has room; what it does not read waits in Redis, whose limit for subscribers is off.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jetstream.h"
#include "redis.h"

int
main(int argc, char **argv)
{
	struct jetstream jetstream;
	redisContext *redis;
	uint64_t count;

	if (argc != 6) {
		fprintf(stderr, "usage: bench-bridge-redis-nats PORT CHANNEL COUNT NATS_URL PROGRESS_FILE\n");
		return 2;
	}
	count = strtoull(argv[3], NULL, 10);
	jetstream_open(&jetstream, jetstream_connect(argv[4], false), "BENCH", "bench.out", argv[5]);
	redis = redis_connect(atoi(argv[1]));
	freeReplyObject(redisCommand(redis, "SUBSCRIBE %s", argv[2]));
	while (jetstream.published < count) {
		redisReply *reply = redis_reply(redis);

		if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 || strcmp(reply->element[0]->str, "message") != 0)
			bridge_fail("redis", "an unexpected answer");
		if (jetstream.published == 0)
			bridge_begin();
		jetstream_publish(&jetstream, reply->element[2]->str, reply->element[2]->len, "");
		freeReplyObject(reply);
	}
	jetstream_finish(&jetstream);
	bridge_end(count);
	redisFree(redis);
	jetstream_close(&jetstream);
	return 0;
}
