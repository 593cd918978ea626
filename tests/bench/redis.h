/*
 * redis.h - a bridge's Redis side, by hiredis: a connection, and on it a stream that is read through a consumer group.
 *
 * Everything is pipelined: what is to be sent (entries asked for, acknowledgements, the bridge's own commands) is
 * appended, and the replies are read in that order.
 */
#ifndef BENCH_REDIS_H
#define BENCH_REDIS_H

#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#include "bridge.h"

#define REDIS_BATCH 512
#define REDIS_ID_MAX 48

redisContext *redis_connect(int port);
/* Never an error; to be freed. */
redisReply *redis_reply(redisContext *redis);
/* Writes what was appended, without waiting for replies. */
void redis_flush(redisContext *redis);

/* An entry of a stream; its parts lie in the reply that has it. */
struct redis_entry {
	const redisReply *id, *payload;
	const char *message_id, *key; /* "" where there is none */
};

struct redis_stream {
	redisContext *redis;
	const char *key, *group;
};

/* Makes the group, from the first entry on. */
void redis_stream_open(struct redis_stream *stream, redisContext *redis, const char *key, const char *group);
/* Asks for up to COUNT entries; its reply is a batch. */
void redis_stream_ask(struct redis_stream *stream, size_t count);
/* The number of entries in the reply to redis_stream_ask(). */
size_t redis_batch_size(const redisReply *batch);
void redis_batch_entry(const redisReply *batch, size_t i, struct redis_entry *entry);
/* Acknowledges up to REDIS_BATCH entries; its reply is their number. */
void redis_stream_ack(struct redis_stream *stream, char (*ids)[REDIS_ID_MAX], size_t count);
/* Reads that reply. */
void redis_stream_acked(struct redis_stream *stream, size_t count);

#endif
