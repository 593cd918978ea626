#include "requests.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "digits.h"

#define READS_PER_WORK 16

bool
requests_init(struct requests *requests, const struct xf_host *host, struct xf_endpoint *endpoint,
              const struct settings *settings, const struct xf_endpoint_info *info, struct xf_error *error)
{
	uint64_t random[2];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		abort();
	snprintf(requests->name, sizeof(requests->name), "crossfade.reply.%012" PRIx64 "%012" PRIx64 ".", random[0] >> 16,
	         random[1] >> 16);
	requests->wanted = true;
	return side_init(&requests->side, host, endpoint, settings, info, error);
}

void
requests_fini(struct requests *requests)
{
	if (requests->wanted)
		side_fini(&requests->side);
}

uint32_t
requests_reply_to(const struct requests *requests, uint64_t request, char *out, uint32_t size)
{
	char text[sizeof(requests->name) + DIGITS_MAX];
	int len = snprintf(text, sizeof(text), "%s%" PRIu64, requests->name, request);

	if ((uint32_t)len > size)
		return 0;
	memcpy(out, text, (size_t)len);
	return (uint32_t)len;
}

static void
subscribe_send(struct requests *requests, uint64_t now)
{
	char pattern[sizeof(requests->name) + 1];
	const char *words[] = {"PSUBSCRIBE", pattern};

	snprintf(pattern, sizeof(pattern), "%s*", requests->name);
	requests->asked = conn_command(&requests->side.conn, 2, words, NULL, now);
	if (requests->asked)
		conn_flush(&requests->side.conn, now);
}

/* The number behind the name. 0: it is none. */
static uint64_t
number_read(const struct requests *requests, const redisReply *channel)
{
	size_t len = strlen(requests->name);

	if (channel->type != REDIS_REPLY_STRING || (size_t)channel->len <= len)
		return 0;
	return digits_read((struct xf_str){channel->str + len, (uint64_t)channel->len - len});
}

static bool
is_word(const redisReply *reply, const char *word)
{
	return reply->type == REDIS_REPLY_STRING && strcmp(reply->str, word) == 0;
}

/* A reply to a request, the acknowledgement of the subscription, a PONG, an error. */
static void
input_take(struct requests *requests, const redisReply *reply, uint64_t now)
{
	struct conn *conn = &requests->side.conn;
	char said[200];

	if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 4 && is_word(reply->element[0], "pmessage")) {
		struct xf_incoming message = {.payload = reply->element[3]->str, .payload_size = (uint64_t)reply->element[3]->len};
		struct xf_replied replied = {
			.request = number_read(requests, reply->element[2]), .message = &message, .message_size = sizeof(message),
		};

		if (replied.request != 0 && reply->element[3]->type == REDIS_REPLY_STRING)
			conn->host->replied(conn->endpoint, &replied, sizeof(replied), 1);
	} else if (reply->type == REDIS_REPLY_ARRAY && reply->elements >= 1 && is_word(reply->element[0], "psubscribe")) {
		requests->subscribed = true;
	} else if (reply->type == REDIS_REPLY_ERROR && !requests->subscribed) {
		reason_from_reply(said, sizeof(said), reply->str, (size_t)reply->len);
		conn_blocked(conn, now, "the server refuses to let replies be subscribed to: %s", said);
	}
}

void
requests_work(struct requests *requests, uint64_t now)
{
	struct conn *conn = &requests->side.conn;
	redisReply *reply;

	conn_work(conn, requests->side.ready, now);
	if (conn->phase == CONN_READY && !requests->asked)
		subscribe_send(requests, now);
	for (int i = 0; i < READS_PER_WORK && conn->phase == CONN_READY && conn_read(conn, now) > 0; i++) {
		conn->pinged_at = 0;
		while (conn->phase == CONN_READY && (reply = conn_reply(conn, now)) != NULL) {
			input_take(requests, reply, now);
			freeReplyObject(reply);
		}
	}
	conn_settle(conn, now);
	if (conn->phase == CONN_READY)
		conn_heartbeat(conn, now);
	if (conn->phase != CONN_READY)
		requests->asked = requests->subscribed = false;
}
