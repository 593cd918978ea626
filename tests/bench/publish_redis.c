/*
 * publish_redis.c - publishes on a Redis channel as fast as its reader follows.
 *
 *   bench-publish-redis PORT CHANNEL COUNT SIZE AHEAD PROGRESS_FILE
 *
 * Waits until somebody has subscribed. PROGRESS_FILE holds a count, as eight bytes, which the reader or whoever watches
 * it keeps; at most AHEAD messages more than that are published, so nothing need be dropped.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#define BATCH 256

static _Noreturn void
fail(const char *what, const char *why)
{
	fprintf(stderr, "bench-publish-redis: %s: %s\n", what, why);
	exit(1);
}

static void
nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
}

static long long
subscribers(redisContext *redis, const char *channel)
{
	redisReply *reply = redisCommand(redis, "PUBSUB NUMSUB %s", channel);
	long long n;

	if (reply == NULL || reply->elements != 2)
		fail("NUMSUB", redis->errstr);
	n = reply->element[1]->integer;
	freeReplyObject(reply);
	return n;
}

static void
batch_publish(redisContext *redis, const char *channel, const char *payload, size_t size, uint64_t count)
{
	const char *argv[3] = {"PUBLISH", channel, payload};
	size_t lengths[3] = {7, strlen(channel), size};

	for (uint64_t i = 0; i < count; i++)
		if (redisAppendCommandArgv(redis, 3, argv, lengths) != REDIS_OK)
			fail("PUBLISH", redis->errstr);
	for (uint64_t i = 0; i < count; i++) {
		void *reply;

		if (redisGetReply(redis, &reply) != REDIS_OK)
			fail("PUBLISH", redis->errstr);
		if (((redisReply *)reply)->type != REDIS_REPLY_INTEGER || ((redisReply *)reply)->integer != 1)
			fail("PUBLISH", "it did not reach exactly one subscriber");
		freeReplyObject(reply);
	}
}

int
main(int argc, char **argv)
{
	uint64_t count, ahead, sent = 0;
	_Atomic uint64_t *progress;
	redisContext *redis;
	char *payload;
	size_t size;
	int fd;

	if (argc != 7) {
		fprintf(stderr, "usage: bench-publish-redis PORT CHANNEL COUNT SIZE AHEAD PROGRESS_FILE\n");
		return 2;
	}
	count = strtoull(argv[3], NULL, 10);
	size = strtoull(argv[4], NULL, 10);
	ahead = strtoull(argv[5], NULL, 10);
	fd = open(argv[6], O_RDWR | O_CLOEXEC);
	progress = mmap(NULL, sizeof(*progress), PROT_READ, MAP_SHARED, fd, 0);
	if (fd < 0 || progress == MAP_FAILED)
		fail(argv[6], "cannot be mapped");
	redis = redisConnect("127.0.0.1", atoi(argv[1]));
	payload = malloc(size);
	if (redis == NULL || redis->err != 0 || payload == NULL)
		fail("redis", redis != NULL ? redis->errstr : "no memory");
	memset(payload, 'x', size);
	while (subscribers(redis, argv[2]) == 0)
		nap();
	while (sent < count) {
		uint64_t n = count - sent < BATCH ? count - sent : BATCH;

		if (sent + n > atomic_load(progress) + ahead) {
			nap();
			continue;
		}
		batch_publish(redis, argv[2], payload, size, n);
		sent += n;
	}
	redisFree(redis);
	free(payload);
	return 0;
}
