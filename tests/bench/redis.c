#include "redis.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

redisContext *
redis_connect(int port)
{
	redisContext *redis = redisConnect("127.0.0.1", port);

	if (redis == NULL || redis->err != 0)
		bridge_fail("redis", redis != NULL ? redis->errstr : "no memory");
	return redis;
}

redisReply *
redis_reply(redisContext *redis)
{
	void *reply = NULL;

	if (redisGetReply(redis, &reply) != REDIS_OK)
		bridge_fail("redis", redis->errstr);
	if (((redisReply *)reply)->type == REDIS_REPLY_ERROR)
		bridge_fail("redis", ((redisReply *)reply)->str);
	return reply;
}

void
redis_flush(redisContext *redis)
{
	int done = 0;

	while (!done)
		if (redisBufferWrite(redis, &done) != REDIS_OK)
			bridge_fail("redis", redis->errstr);
}

static void
append(redisContext *redis, int argc, const char **argv, const size_t *lengths)
{
	if (redisAppendCommandArgv(redis, argc, argv, lengths) != REDIS_OK)
		bridge_fail("redis", redis->errstr);
}

void
redis_stream_open(struct redis_stream *stream, redisContext *redis, const char *key, const char *group)
{
	const char *argv[] = {"XGROUP", "CREATE", key, group, "0"};

	*stream = (struct redis_stream){redis, key, group};
	append(redis, 5, argv, NULL);
	freeReplyObject(redis_reply(redis));
}

void
redis_stream_ask(struct redis_stream *stream, size_t count)
{
	char number[24];
	const char *argv[] = {"XREADGROUP", "GROUP", stream->group, "bridge", "COUNT", number, "STREAMS", stream->key, ">"};

	snprintf(number, sizeof(number), "%zu", count);
	append(stream->redis, 9, argv, NULL);
}

/* [[key, [[id, [field, value, ...]], ...]]], or nil. */
size_t
redis_batch_size(const redisReply *batch)
{
	if (batch->type == REDIS_REPLY_NIL)
		return 0;
	if (batch->type != REDIS_REPLY_ARRAY || batch->elements != 1 || batch->element[0]->elements != 2)
		bridge_fail("redis", "an unexpected answer");
	return batch->element[0]->element[1]->elements;
}

void
redis_batch_entry(const redisReply *batch, size_t i, struct redis_entry *entry)
{
	const redisReply *reply = batch->element[0]->element[1]->element[i], *fields = reply->element[1];

	*entry = (struct redis_entry){.id = reply->element[0], .message_id = "", .key = ""};
	for (size_t f = 0; f + 1 < fields->elements; f += 2) {
		const redisReply *value = fields->element[f + 1];

		if (strcmp(fields->element[f]->str, "payload") == 0)
			entry->payload = value;
		else if (strcmp(fields->element[f]->str, "id") == 0)
			entry->message_id = value->str;
		else if (strcmp(fields->element[f]->str, "key") == 0)
			entry->key = value->str;
	}
	if (entry->payload == NULL || entry->id->len >= REDIS_ID_MAX)
		bridge_fail("redis", "an entry without a payload");
}

void
redis_stream_ack(struct redis_stream *stream, char (*ids)[REDIS_ID_MAX], size_t count)
{
	const char *argv[REDIS_BATCH + 3] = {"XACK", stream->key, stream->group};

	for (size_t i = 0; i < count; i++)
		argv[3 + i] = ids[i];
	append(stream->redis, (int)count + 3, argv, NULL);
}

void
redis_stream_acked(struct redis_stream *stream, size_t count)
{
	redisReply *reply = redis_reply(stream->redis);

	if (reply->type != REDIS_REPLY_INTEGER || reply->integer != (long long)count)
		bridge_fail("redis", "not every entry was acknowledged");
	freeReplyObject(reply);
}
