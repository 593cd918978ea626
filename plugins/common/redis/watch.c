/*
 * Sentinels agree only after a while, so one that names another master may be ahead, or behind. It is ahead when
 * it named ours before. And one that has been of another opinion for long has had the time to learn: then it is we
 * who are behind.
 */
#include "watch.h"

#include <stdlib.h>
#include <string.h>

#include "greeting.h"

#define INPUT_SIZE 4096u
#define AGREE_MS 4000u

struct watch {
	struct conn conn;
	bool asked;
	uint64_t asked_at;
	struct server before;  /* the last answer of this connection; no port: none yet */
	uint64_t differs_from; /* since when it names another; 0: it does not */
};

struct watch *
watch_create(const struct conn *of, const struct xf_endpoint_info *info, struct xf_error *error)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (watch == NULL) {
		settings_fail(error, "no memory");
		return NULL;
	}
	watch->conn.to_stay = true;
	if (conn_init(&watch->conn, of->host, of->endpoint, &of->settings, info, INPUT_SIZE, error) < 0)
		watch_destroy(&watch);
	return watch;
}

void
watch_destroy(struct watch **watch)
{
	if (*watch == NULL)
		return;
	conn_fini(&(*watch)->conn);
	free(*watch);
	*watch = NULL;
}

void
watch_close(struct watch *watch)
{
	conn_close(&watch->conn);
}

static bool
same(const struct server *a, const struct server *b)
{
	return strcmp(a->host, b->host) == 0 && strcmp(a->port, b->port) == 0;
}

/* Asks, and reads what came. True: there is an answer, in conn.master. */
static bool
answered(struct watch *watch, uint64_t now)
{
	struct conn *conn = &watch->conn;
	redisReply *reply;
	bool fine;

	if (!watch->asked) {
		if (now - watch->asked_at < WATCH_MS || !greeting_master_ask(conn, now))
			return false;
		conn_flush(conn, now);
		watch->asked = true;
		watch->asked_at = now;
	}
	if (conn_read(conn, now) <= 0 || (reply = conn_reply(conn, now)) == NULL) {
		if (conn->phase == CONN_READY && now - watch->asked_at >= conn->settings.timeout_ms)
			conn_lose(conn, now, "no reply within %u ms", conn->settings.timeout_ms);
		return false;
	}
	watch->asked = false;
	fine = reply->type != REDIS_REPLY_ERROR && greeting_master_read(conn, reply, now);
	freeReplyObject(reply);
	return fine;
}

const struct server *
watch_work(struct watch *watch, const struct server *current, uint64_t now)
{
	struct conn *conn = &watch->conn;
	enum conn_phase phase = conn->phase;
	bool ahead;

	conn_work(conn, 0, now);
	conn_settle(conn, now);
	if (conn->phase != CONN_READY) {
		watch->asked = false;
		watch->before.port[0] = '\0';
		watch->differs_from = 0;
		return NULL;
	}
	if (phase == CONN_READY && !answered(watch, now)) /* the greeting has brought the first answer */
		return NULL;
	if (same(&conn->master, current)) {
		watch->before = conn->master;
		watch->differs_from = 0;
		return NULL;
	}
	ahead = same(&watch->before, current);
	watch->before = conn->master;
	if (watch->differs_from == 0)
		watch->differs_from = now;
	if (!ahead && now - watch->differs_from < AGREE_MS)
		return NULL;
	watch->differs_from = 0;
	return &conn->master;
}
