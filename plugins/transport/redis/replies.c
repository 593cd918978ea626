#include "replies.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READS_PER_WORK 16
#define UNWRITTEN_MAX ((size_t)64 << 20)
#define AGAIN_MS 1000 /* until a message is offered again whose reply could not be sent */
#define STOP_MS 500u

bool
replies_init(struct replies *replies, const struct source_kind *kind, void *instance, const struct source_making *making,
             struct xf_error *error)
{
	replies->wanted = true;
	replies->kind = kind;
	replies->instance = instance;
	return side_init(&replies->side, making->host, making->endpoint, making->settings, making->info, error);
}

void
replies_fini(struct replies *replies)
{
	if (replies->wanted)
		side_fini(&replies->side);
	free(replies->ring);
}

static struct replied *
ring_at(const struct replies *replies, uint64_t at)
{
	return &replies->ring[at & (replies->size - 1)];
}

/* Room for one more. False: no memory. */
static bool
ring_grow(struct replies *replies)
{
	uint32_t size = replies->size > 0 ? 2 * replies->size : 64;
	struct replied *ring;

	if (replies->next - replies->low < replies->size)
		return true;
	ring = malloc(size * sizeof(*ring));
	if (ring == NULL)
		return false;
	for (uint64_t i = replies->low; i < replies->next; i++)
		ring[i & (size - 1)] = *ring_at(replies, i);
	free(replies->ring);
	replies->ring = ring;
	replies->size = size;
	return true;
}

static void
settle_one(struct replies *replies, uint64_t handle, uint32_t outcome)
{
	struct xf_settlement settlement = {handle, outcome, outcome == XF_SETTLE_RETRY ? AGAIN_MS : 0};

	replies->kind->settle(replies->instance, &settlement, 1);
}

void
replies_publish(struct replies *replies, const struct xf_reply *reply, uint64_t now)
{
	struct conn *conn = &replies->side.conn;
	const struct xf_str to = reply->request->reply;
	const char *words[] = {"PUBLISH", to.data, reply->message->payload != NULL ? reply->message->payload : ""};
	const size_t lens[] = {7, to.len, reply->message->payload_size};

	if (to.len == 0)
		return;
	if (conn->phase != CONN_READY || conn->failing || conn_unwritten(conn) > UNWRITTEN_MAX || !ring_grow(replies) ||
	    !conn_command(conn, 3, words, lens, now)) {
		settle_one(replies, reply->handle, XF_SETTLE_RETRY);
		return;
	}
	*ring_at(replies, replies->next++) = (struct replied){reply->handle, false};
}

void
replies_settle(struct replies *replies, const struct xf_settlement *settlements, uint32_t count)
{
	uint32_t from = 0;

	for (uint32_t i = 0; i < count && replies->low < replies->next; i++) {
		uint64_t at = replies->next;

		if (settlements[i].outcome != XF_SETTLE_ACK)
			continue;
		while (at > replies->low && ring_at(replies, at - 1)->handle != settlements[i].handle)
			at--;
		if (at == replies->low)
			continue;
		ring_at(replies, at - 1)->acked = true;
		if (i > from)
			replies->kind->settle(replies->instance, settlements + from, i - from);
		from = i + 1;
	}
	if (count > from)
		replies->kind->settle(replies->instance, settlements + from, count - from);
}

static void
answer_take(struct replies *replies, const redisReply *answer)
{
	struct conn *conn = &replies->side.conn;
	char said[200], text[320];
	struct replied front;

	if (answer->type == REDIS_REPLY_STATUS || replies->low == replies->next)
		return; /* PONG, or what stands for it without the permission to PING */
	front = *ring_at(replies, replies->low++);
	if (answer->type == REDIS_REPLY_INTEGER) {
		if (front.acked)
			settle_one(replies, front.handle, XF_SETTLE_ACK);
		return;
	}
	settle_one(replies, front.handle, XF_SETTLE_RETRY);
	if (replies->told_refused)
		return;
	replies->told_refused = true;
	reason_from_reply(said, sizeof(said), answer->str, answer->type == REDIS_REPLY_ERROR ? (size_t)answer->len : 0);
	snprintf(text, sizeof(text), "the server refuses a reply: %s; its request is worked on again; this is said once", said);
	conn->host->log(conn->endpoint, XF_LOG_WARN, text);
}

static void
answers_read(struct replies *replies, uint64_t now)
{
	struct conn *conn = &replies->side.conn;
	redisReply *answer;

	for (int i = 0; i < READS_PER_WORK && conn->phase == CONN_READY && conn_read(conn, now) > 0; i++) {
		conn->pinged_at = 0;
		while (conn->phase == CONN_READY && (answer = conn_reply(conn, now)) != NULL) {
			answer_take(replies, answer);
			freeReplyObject(answer);
		}
	}
	conn_settle(conn, now);
}

void
replies_work(struct replies *replies, uint64_t now)
{
	struct conn *conn = &replies->side.conn;

	conn_work(conn, replies->side.ready, now);
	answers_read(replies, now);
	if (conn->phase == CONN_READY)
		conn_heartbeat(conn, now);
	if (conn->phase == CONN_READY)
		return;
	/* What became of those nobody knows. */
	while (replies->low < replies->next)
		settle_one(replies, ring_at(replies, replies->low++)->handle, XF_SETTLE_RETRY);
}

void
replies_stop(struct replies *replies)
{
	struct conn *conn = &replies->side.conn;
	uint64_t now = conn->host->now_ms(), end = now + STOP_MS;

	while (replies->low < replies->next && conn->phase == CONN_READY && !conn->failing && now < end) {
		struct pollfd poller = {.fd = conn->fd, .events = POLLIN};

		if (conn_unwritten(conn) > 0)
			poller.events |= POLLOUT;
		poll(&poller, 1, (int)(end - now));
		now = conn->host->now_ms();
		conn_flush(conn, now);
		answers_read(replies, now);
	}
	conn_close(conn);
}
