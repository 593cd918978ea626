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

#include <hiredis/hiredis.h>

#include "bridge.h"

static redisReply *
reply_next(redisContext *redis)
{
	void *reply = NULL;

	if (redisGetReply(redis, &reply) != REDIS_OK)
		bridge_fail("redis", redis->errstr);
	return reply;
}

int
main(int argc, char **argv)
{
	struct bridge bridge;
	redisContext *redis;
	uint64_t count;

	if (argc != 6) {
		fprintf(stderr, "usage: bench-bridge-redis-nats PORT CHANNEL COUNT NATS_URL PROGRESS_FILE\n");
		return 2;
	}
	count = strtoull(argv[3], NULL, 10);
	bridge_open(&bridge, argv[4], argv[5]);
	redis = redisConnect("127.0.0.1", atoi(argv[1]));
	if (redis == NULL || redis->err != 0)
		bridge_fail("redis", redis != NULL ? redis->errstr : "no memory");
	freeReplyObject(redisCommand(redis, "SUBSCRIBE %s", argv[2]));
	while (bridge.published < count) {
		redisReply *reply = reply_next(redis);

		if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 || strcmp(reply->element[0]->str, "message") != 0)
			bridge_fail("redis", "an unexpected answer");
		if (bridge.published == 0)
			bridge_begin(&bridge);
		bridge_publish(&bridge, reply->element[2]->str, reply->element[2]->len, "");
		freeReplyObject(reply);
	}
	bridge_end(&bridge);
	redisFree(redis);
	return 0;
}
