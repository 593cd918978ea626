/*
 * held.c - how many messages stand at a place.
 *
 *   bench-held URL NAME [--empty]
 *
 * NAME is a stream at nats:// and redis://, a queue at amqp://guest:guest@127.0.0.1. With --empty it is emptied
 * afterwards. What is not there holds 0.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jetstream.h"
#include "rabbit.h"
#include "redis.h"

static uint64_t
nats_held(const char *url, const char *name, bool empty)
{
	natsConnection *connection;
	jsStreamInfo *info = NULL;
	jsErrCode code = 0;
	uint64_t count = 0;
	natsStatus status;
	jsCtx *js;

	connection = jetstream_connect(url, true);
	jetstream_need(natsConnection_JetStream(&js, connection, NULL), "JetStream");
	status = js_GetStreamInfo(&info, js, name, NULL, &code);
	if (status != NATS_NOT_FOUND) {
		jetstream_need(status, name);
		count = info->State.Msgs;
		jsStreamInfo_Destroy(info);
		if (empty)
			jetstream_need(js_PurgeStream(js, name, NULL, &code), name);
	}
	jsCtx_Destroy(js);
	natsConnection_Destroy(connection);
	nats_Close();
	return count;
}

static uint64_t
redis_held(int port, const char *name, bool empty)
{
	redisContext *redis = redis_connect(port);
	redisReply *reply;
	uint64_t count;

	if (redisAppendCommand(redis, "XLEN %s", name) != REDIS_OK ||
	    (empty && redisAppendCommand(redis, "DEL %s", name) != REDIS_OK))
		bridge_fail("redis", redis->errstr);
	reply = redis_reply(redis);
	count = (uint64_t)reply->integer;
	freeReplyObject(reply);
	if (empty)
		freeReplyObject(redis_reply(redis));
	redisFree(redis);
	return count;
}

static uint64_t
amqp_held(int port, const char *name, bool empty)
{
	amqp_connection_state_t connection = rabbit_connect(port);
	amqp_queue_declare_ok_t *queue;
	uint64_t count;

	queue = amqp_queue_declare(connection, 1, amqp_cstring_bytes(name), 1, 0, 0, 0, amqp_empty_table);
	if (queue == NULL) { /* the channel is closed over it, and so may be the rest */
		amqp_destroy_connection(connection);
		return 0;
	}
	count = queue->message_count;
	if (empty) {
		amqp_queue_purge(connection, 1, amqp_cstring_bytes(name));
		rabbit_need(amqp_get_rpc_reply(connection), "purge");
	}
	rabbit_close(connection);
	return count;
}

int
main(int argc, char **argv)
{
	bool empty = argc == 4 && strcmp(argv[3], "--empty") == 0;
	const char *port;
	uint64_t count;

	if (argc != 3 && !empty) {
		fprintf(stderr, "usage: bench-held URL NAME [--empty]\n");
		return 2;
	}
	port = strrchr(argv[1], ':') + 1;
	if (strncmp(argv[1], "nats:", 5) == 0)
		count = nats_held(argv[1], argv[2], empty);
	else if (strncmp(argv[1], "redis:", 6) == 0)
		count = redis_held(atoi(port), argv[2], empty);
	else
		count = amqp_held(atoi(port), argv[2], empty);
	printf("%llu\n", (unsigned long long)count);
	return 0;
}
