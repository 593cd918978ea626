/*
 * A channel subscription cannot be held back: what is not read in time the server cuts off together with the
 * connection. So this source reads as fast as it can whatever the credit says, and the core drops and counts
 * what exceeds its bound.
 *
 * The way of a message is kept bare: bytes are read into one large buffer; a push is recognised by comparing it
 * with the constant bytes that every push of this subscription begins with; the message that is emitted points
 * into the buffer. All else (acknowledgements, PONG, errors) goes the slow way through hiredis.
 *
 * A subject pattern becomes a glob that is never narrower: in Redis `*` crosses dots. The core filters again.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connection.h"
#include "source.h"

#define INPUT_SIZE (256u * 1024u)
#define BATCH 256u
#define READS_PER_WORK 16 /* then the loop gets its turn */

struct source {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct conn conn;

	char *name; /* the channel, or the glob */
	size_t name_len;
	bool pattern;
	char separator; /* 0: the dot itself */
	char *prefix;   /* what each push begins with */
	size_t prefix_len;

	bool asked;      /* (P)SUBSCRIBE is sent */
	bool subscribed; /* and acknowledged */
	bool draining;
	bool been_up;
	uint64_t next_handle;
	struct xf_incoming batch[BATCH];
};

/* ---- Birth and death ---------------------------------------------------------------- */

/* Writes the channel or glob for SUBJECT into OUT (room for twice its length); the length. */
static size_t
name_translate(struct xf_str subject, char separator, bool *pattern, char *out)
{
	size_t n = 0;
	uint64_t start = 0;

	*pattern = false;
	for (uint64_t i = 0; i <= subject.len; i++) {
		bool end = i == subject.len || subject.data[i] == '.';

		if (end && i - start == 1 && (subject.data[start] == '*' || subject.data[start] == '>'))
			*pattern = true;
		if (end)
			start = i + 1;
	}
	start = 0;
	for (uint64_t i = 0; i < subject.len; i++) {
		char c = subject.data[i];
		bool alone = i == start && (i + 1 == subject.len || subject.data[i + 1] == '.');

		if (c == '.') {
			start = i + 1;
			if (separator != 0)
				c = separator;
			if (*pattern && (c == '?' || c == '[' || c == ']' || c == '\\'))
				out[n++] = '\\';
		} else if (*pattern && alone && (c == '*' || c == '>')) {
			c = '*';
		} else if (*pattern && strchr("*?[]\\^", c) != NULL) {
			out[n++] = '\\';
		}
		out[n++] = c;
	}
	return n;
}

static bool
names_make(struct source *source, struct xf_str subject)
{
	char *at;

	source->name = malloc(subject.len * 2 + 1);
	source->prefix = malloc(subject.len * 2 + 128);
	if (source->name == NULL || source->prefix == NULL)
		return false;
	source->name_len = name_translate(subject, source->separator, &source->pattern, source->name);
	at = resp_put_head(source->prefix, '*', source->pattern ? 4 : 3);
	at = source->pattern ? resp_put_bulk(at, "pmessage", 8) : resp_put_bulk(at, "message", 7);
	at = resp_put_bulk(at, source->name, source->name_len);
	source->prefix_len = (size_t)(at - source->prefix);
	return true;
}

static void
source_destroy(void *instance)
{
	struct source *source = instance;

	conn_fini(&source->conn);
	free(source->name);
	free(source->prefix);
	free(source);
}

static void *
source_create(const struct source_making *making, struct xf_error *error)
{
	struct source *source = calloc(1, sizeof(*source));

	if (source == NULL) {
		settings_fail(error, "no memory");
		return NULL;
	}
	if (!source_connection(&source->conn, making, INPUT_SIZE, error)) {
		source_destroy(source);
		return NULL;
	}
	source->host = making->host;
	source->endpoint = making->endpoint;
	source->separator = endpoint_separator(making->host, making->config);
	source->next_handle = 1;
	if (!names_make(source, making->info->subject)) {
		settings_fail(error, "no memory");
		source_destroy(source);
		return NULL;
	}
	/* What is the same in every message stays in place. */
	for (unsigned i = 0; i < BATCH; i++)
		source->batch[i].subject = (struct xf_str){source->name, source->name_len};
	return source;
}

static void
source_start(void *instance)
{
	struct source *source = instance;

	source->conn.retry_at = 0;
}

/* ---- At work -------------------------------------------------------------------------- */

static void
subscribe_send(struct source *source, uint64_t now)
{
	const char *words[] = {source->pattern ? "PSUBSCRIBE" : "SUBSCRIBE", source->name};
	const size_t lens[] = {strlen(words[0]), source->name_len};

	source->asked = conn_command(&source->conn, 2, words, lens, now);
	if (source->asked)
		conn_flush(&source->conn, now);
}

static void
unsubscribe_send(struct source *source, uint64_t now)
{
	const char *words[] = {source->pattern ? "PUNSUBSCRIBE" : "UNSUBSCRIBE"};

	if (conn_command(&source->conn, 1, words, NULL, now))
		conn_flush(&source->conn, now);
}

/* An acknowledgement, a PONG, an error. */
static void
control_take(struct source *source, const redisReply *reply, uint64_t now)
{
	struct conn *conn = &source->conn;
	char said[200];

	if (reply->type == REDIS_REPLY_ARRAY && reply->elements >= 3 &&
	    reply->element[0]->type == REDIS_REPLY_STRING &&
	    (strcmp(reply->element[0]->str, "subscribe") == 0 || strcmp(reply->element[0]->str, "psubscribe") == 0)) {
		source->subscribed = true;
		if (source->been_up)
			source->host->log(source->endpoint, XF_LOG_WARN,
			                  "subscribed again; what was published meanwhile is lost, as Redis keeps nothing");
		source->been_up = true;
		conn_tell(conn, XF_STATE_UP, NULL);
		return;
	}
	if (reply->type != REDIS_REPLY_ERROR || source->subscribed)
		return; /* PONG, or what stands for it without the permission to PING */
	reason_from_reply(said, sizeof(said), reply->str, (size_t)reply->len);
	if (strncmp(said, "LOADING", 7) == 0 || strncmp(said, "MASTERDOWN", 10) == 0)
		conn_lose(conn, now, "the server is not ready: %s", said);
	else if (strncmp(said, "NOPERM", 6) == 0)
		conn_blocked(conn, now, "the server refuses the subscription: %s", said);
	else
		conn_refused(conn, now, "the server refuses the subscription: %s", said);
}

static inline void
channel_to_subject(char *name, size_t len, char separator)
{
	char *end = name + len;

	while ((name = memchr(name, separator, (size_t)(end - name))) != NULL)
		*name++ = '.';
}

static void
batch_emit(struct source *source, uint32_t count)
{
	/* From a LOSSY source the core takes all. */
	if (count > 0 && !source->draining)
		source->host->emit(source->endpoint, source->batch, sizeof(source->batch[0]), count);
}

/* Emits everything that is complete. False: the connection was lost. */
static bool
input_take(struct source *source, uint64_t now)
{
	struct conn *conn = &source->conn;
	uint32_t count = 0;

	while (conn->in.pos < conn->in.len) {
		struct xf_incoming *message = &source->batch[count];
		struct resp_push push;
		redisReply *reply;
		size_t need;
		ssize_t n = resp_push_read(conn->in.data + conn->in.pos, conn->in.len - conn->in.pos, source->prefix,
		                           source->prefix_len, source->pattern, &push, &need);

		if (n > 0) {
			if (push.channel != NULL) {
				if (source->separator != 0)
					channel_to_subject(push.channel, push.channel_len, source->separator);
				message->subject = (struct xf_str){push.channel, push.channel_len};
			}
			message->handle = source->next_handle++;
			message->payload = push.payload;
			message->payload_size = push.payload_len;
			conn_consume(conn, (size_t)n);
			if (++count == BATCH) {
				batch_emit(source, count);
				count = 0;
			}
			continue;
		}
		batch_emit(source, count); /* before anything below moves the buffer */
		count = 0;
		if (n == 0)
			return conn_need(conn, need, now);
		reply = conn_reply(conn, now);
		if (reply == NULL)
			return conn->phase == CONN_READY;
		control_take(source, reply, now);
		freeReplyObject(reply);
		if (conn->phase != CONN_READY)
			return false;
	}
	batch_emit(source, count);
	return true;
}

static void
source_work(void *instance, struct xf_work *work)
{
	struct source *source = instance;
	struct conn *conn = &source->conn;
	uint64_t now = source->host->now_ms();

	if (work->draining && !source->draining) {
		source->draining = true; /* whoever publishes from here on sees that nobody listens */
		if (conn->phase == CONN_READY && source->asked)
			unsubscribe_send(source, now);
	}
	conn_work(conn, work->ready, now);
	if (conn->phase == CONN_READY && !source->asked && !source->draining)
		subscribe_send(source, now);
	if (conn->phase == CONN_READY && conn_readable(conn, work->ready)) {
		for (int i = 0; i < READS_PER_WORK; i++) {
			size_t space = conn->in.size - conn->in.len;
			ssize_t n = conn_read(conn, now);

			if (n <= 0)
				break;
			conn->pinged_at = 0;
			if (!input_take(source, now) || (size_t)n < space)
				break;
		}
	}
	conn_settle(conn, now);
	if (conn->phase == CONN_READY)
		conn_heartbeat(conn, now);
	if (conn->phase != CONN_READY) {
		source->asked = source->subscribed = false;
		if (conn->phase == CONN_WAITING)
			conn_tell_waiting(conn);
	}
	conn_wait(conn, work, true, now);
}

static void
source_settle(void *instance, const struct xf_settlement *settlements, uint32_t count)
{
	/* Nothing to tell: Redis forgot the message when it sent it. */
	(void)instance;
	(void)settlements;
	(void)count;
}

static void
source_stop(void *instance)
{
	struct source *source = instance;

	conn_close(&source->conn);
}

const struct source_kind subscribe_kind = {
	.create = source_create,
	.start = source_start,
	.work = source_work,
	.settle = source_settle,
	.stop = source_stop,
	.destroy = source_destroy,
};
