/*
 * All of a greeting goes out in one write, and the answers come in order. To a server: who we are, which database,
 * and three questions. Is it part of a cluster, which is not served here? Where it matters, is it the master? And
 * a PING, which tells a server that is loading or wants a password. To a sentinel: where is the master?
 *
 * What a user may not ask (NOPERM) is taken to be well: messages will show it.
 */
#include "greeting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	GREET_AUTH = 0x1,
	GREET_MASTER = 0x2,
	GREET_CLUSTER = 0x4,
	GREET_SELECT = 0x8,
	GREET_NAME = 0x10,
	GREET_ROLE = 0x20,
	GREET_PING = 0x40,
};

static bool
greet(struct conn *conn, unsigned bit, int count, const char *const *words, uint64_t now)
{
	conn->greetings |= bit;
	return conn_command(conn, count, words, NULL, now);
}

/* No password, no AUTH. */
static bool
auth_send(struct conn *conn, const char *user, const char *password, uint64_t now)
{
	const char *with_user[] = {"AUTH", user, password};
	const char *alone[] = {"AUTH", password};

	if (password[0] == '\0')
		return true;
	return user[0] != '\0' ? greet(conn, GREET_AUTH, 3, with_user, now) : greet(conn, GREET_AUTH, 2, alone, now);
}

static bool
to_sentinel(const struct conn *conn)
{
	return conn->settings.at.master[0] != '\0' && !conn->found;
}

bool
greeting_master_ask(struct conn *conn, uint64_t now)
{
	const char *master[] = {"SENTINEL", "GET-MASTER-ADDR-BY-NAME", conn->settings.at.master};

	return conn_command(conn, 3, master, NULL, now);
}

static bool
sentinel_ask(struct conn *conn, uint64_t now)
{
	const struct settings *settings = &conn->settings;

	if (!auth_send(conn, settings->sentinel_user, settings->sentinel_password, now))
		return false;
	conn->greetings |= GREET_MASTER;
	return greeting_master_ask(conn, now);
}

static bool
server_ask(struct conn *conn, uint64_t now)
{
	const struct place *at = &conn->settings.at;
	const char *cluster[] = {"INFO", "cluster"};
	const char *name[] = {"CLIENT", "SETNAME", conn->name};
	const char *role[] = {"ROLE"};
	const char *ping[] = {"PING"};
	char db[16];
	const char *select[] = {"SELECT", db};

	snprintf(db, sizeof(db), "%u", at->db);
	return auth_send(conn, at->user, at->password, now) && greet(conn, GREET_CLUSTER, 2, cluster, now) &&
	       (at->db == 0 || greet(conn, GREET_SELECT, 2, select, now)) && greet(conn, GREET_NAME, 3, name, now) &&
	       (!conn->wants_master || greet(conn, GREET_ROLE, 1, role, now)) && greet(conn, GREET_PING, 1, ping, now);
}

void
greeting_send(struct conn *conn, uint64_t now)
{
	conn->greetings = 0;
	if (to_sentinel(conn) ? sentinel_ask(conn, now) : server_ask(conn, now))
		conn_flush(conn, now);
}

/* ---- Answers ------------------------------------------------------------------------ */

static bool
begins(const char *text, const char *word)
{
	return strncmp(text, word, strlen(word)) == 0;
}

/* An error in place of an answer. STEP is what it answers. False: it is lost. */
static bool
error_read(struct conn *conn, unsigned step, const char *text, size_t len, uint64_t now)
{
	const char *user = to_sentinel(conn) ? conn->settings.sentinel_user : conn->settings.at.user;
	const char *which = to_sentinel(conn) ? "sentinel_" : "";
	char said[200];

	reason_from_reply(said, sizeof(said), text, len);
	if (begins(said, "ERR max number") || begins(said, "DENIED") || begins(said, "LOADING")) {
		conn_lose(conn, now, "%s is not ready: %s", conn->who, said);
		return false;
	}
	if (step == GREET_NAME || (step != GREET_AUTH && step != GREET_SELECT && begins(said, "NOPERM")))
		return true; /* a name is a courtesy, and any answer to the PING is one */
	if (step == GREET_PING && begins(said, "MASTERDOWN"))
		return true; /* messages will be told the same, one by one */
	if (begins(said, "NOAUTH"))
		conn_refused(conn, now, "%s wants a password (%suser, %spassword): %s", conn->who, which, which, said);
	else if (step == GREET_AUTH)
		conn_refused(conn, now, "%s refuses %suser '%s' or its password: %s", conn->who, which,
		             user[0] != '\0' ? user : "default", said);
	else if (step == GREET_SELECT)
		conn_refused(conn, now, "%s refuses database %u: %s", conn->who, conn->settings.at.db, said);
	else if (step == GREET_CLUSTER || step == GREET_ROLE)
		return true; /* a server of another make, that does not know the question */
	else
		conn_lose(conn, now, "%s is not ready: %s", conn->who, said);
	return false;
}

/* [host, port], or nil. */
bool
greeting_master_read(struct conn *conn, const redisReply *reply, uint64_t now)
{
	const redisReply *host, *port;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
		conn_lose(conn, now, "sentinel %s knows no master '%s'", conn->who, conn->settings.at.master);
		return false;
	}
	host = reply->element[0];
	port = reply->element[1];
	if (host->type != REDIS_REPLY_STRING || port->type != REDIS_REPLY_STRING ||
	    (size_t)host->len >= sizeof(conn->master.host) || (size_t)port->len >= sizeof(conn->master.port) ||
	    port->len == 0) {
		conn_lose(conn, now, "sentinel %s: its answer is not understood", conn->who);
		return false;
	}
	memcpy(conn->master.host, host->str, (size_t)host->len + 1);
	memcpy(conn->master.port, port->str, (size_t)port->len + 1);
	return true;
}

static bool
role_read(struct conn *conn, const redisReply *reply, uint64_t now)
{
	const redisReply *role = reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 ? reply->element[0] : NULL;

	if (role == NULL || role->type != REDIS_REPLY_STRING || strcmp(role->str, "master") == 0)
		return true;
	conn_lose(conn, now, "%s is no master but a %s%s", conn->who,
	          strcmp(role->str, "slave") == 0 ? "replica" : role->str,
	          conn->found ? "; the sentinels have not settled yet" : "");
	return false;
}

static bool
cluster_read(struct conn *conn, const redisReply *reply, uint64_t now)
{
	if (reply->type != REDIS_REPLY_STRING || strstr(reply->str, "cluster_enabled:1") == NULL)
		return true;
	conn_blocked(conn, now,
	             "%s: a Redis Cluster is not supported; point the url at a single server, or at sentinels", conn->who);
	return false;
}

static bool
answer_read(struct conn *conn, unsigned step, const redisReply *reply, uint64_t now)
{
	if (reply->type == REDIS_REPLY_ERROR)
		return error_read(conn, step, reply->str, (size_t)reply->len, now);
	switch (step) {
	case GREET_MASTER:
		return greeting_master_read(conn, reply, now);
	case GREET_ROLE:
		return role_read(conn, reply, now);
	case GREET_CLUSTER:
		return cluster_read(conn, reply, now);
	default:
		return true;
	}
}

bool
greeting_read(struct conn *conn, uint64_t now)
{
	if (conn_read(conn, now) <= 0)
		return false;
	while (conn->phase == CONN_GREETING && conn->greetings != 0) {
		unsigned step = conn->greetings & -conn->greetings;
		redisReply *reply = conn_reply(conn, now);
		bool fine;

		if (reply == NULL)
			return false;
		fine = answer_read(conn, step, reply, now);
		freeReplyObject(reply);
		if (!fine)
			return false;
		conn->greetings &= ~step;
	}
	return conn->phase == CONN_GREETING;
}
