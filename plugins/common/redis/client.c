/*
 * The questions under way are a ring, in the order in which they were asked, which is that of the answers. PING and SCRIPT LOAD stand in
 * it like any other, with the tag 0.
 */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#define RING (2 * CLIENT_WINDOW) /* with room for what the client asks itself */
#define WORDS_MAX 16
#define INPUT_FIRST 65536u
#define OUTPUT_MAX ((size_t)4 * 1024 * 1024)
#define TROUBLE_MS 1000u /* without an error, it is over */

struct question {
	uint64_t tag;
	uint64_t asked_at;
};

struct client {
	struct conn conn;
	const struct client_script *script;
	client_answered *answered;
	void *context;
	bool up;
	uint64_t trouble_at; /* the last error; 0: all is well */
	uint32_t first, next;
	struct question ring[RING];
};

const struct xf_option client_option = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_MAP,
	.flags = XF_OPTION_REQUIRED,
	.key = "redis",
	.fields = settings_options,
	.help = "The server, with the settings of a transport of the plugin redis",
};

/* ---- Life ------------------------------------------------------------------------------ */

int
client_check(const struct xf_host *host, const struct xf_config *map, struct xf_error *error)
{
	struct settings settings;
	int result = settings_read(host, map, &settings, error);

	settings_clear(&settings);
	return result;
}

static void
script_name(struct client_script *script)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	EVP_Digest(script->text, strlen(script->text), digest, &len, EVP_sha1(), NULL);
	for (unsigned i = 0; i < len; i++)
		snprintf(script->sha + 2 * i, 3, "%02x", digest[i]);
}

struct client *
client_create(const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *map,
              const struct xf_handler_info *info, struct client_script *script, client_answered *answered, void *context,
              struct xf_error *error)
{
	const struct xf_endpoint_info as = {.struct_size = sizeof(as), .name = info->name, .route = info->route, .server = info->server};
	struct client *client = calloc(1, sizeof(*client));
	struct settings settings;
	int result;

	if (client == NULL) {
		settings_fail(error, "no memory");
		return NULL;
	}
	client->conn.fd = -1;
	client->script = script;
	client->answered = answered;
	client->context = context;
	if (script != NULL)
		script_name(script);
	result = settings_read(host, map, &settings, error);
	if (result == 0)
		result = conn_init(&client->conn, host, endpoint, &settings, &as, INPUT_FIRST, error);
	settings_clear(&settings);
	if (result < 0)
		client_destroy(&client);
	return client;
}

void
client_close(struct client *client)
{
	client->first = client->next;
	conn_close(&client->conn);
}

void
client_destroy(struct client **client)
{
	if (*client == NULL)
		return;
	conn_fini(&(*client)->conn);
	free(*client);
	*client = NULL;
}

/* ---- Questions --------------------------------------------------------------------------- */

static uint32_t
under_way(const struct client *client)
{
	return client->next - client->first;
}

static void
question_add(struct client *client, uint64_t tag, uint64_t now)
{
	client->ring[client->next++ % RING] = (struct question){.tag = tag, .asked_at = now};
}

uint32_t
client_room(const struct client *client)
{
	const struct conn *conn = &client->conn;

	if (!client->up || conn->phase != CONN_READY || conn->failing || conn_unwritten(conn) >= OUTPUT_MAX ||
	    under_way(client) >= CLIENT_WINDOW)
		return 0;
	return CLIENT_WINDOW - under_way(client);
}

bool
client_down(const struct client *client)
{
	return !client->up && client->conn.told;
}

bool
client_ask(struct client *client, uint64_t tag, int count, const struct xf_str *words)
{
	struct conn *conn = &client->conn;
	const char *data[WORDS_MAX];
	size_t lens[WORDS_MAX];
	uint64_t now = conn->host->now_ms();

	if (client_room(client) == 0 || count > WORDS_MAX)
		return false;
	for (int i = 0; i < count; i++) {
		data[i] = words[i].len > 0 ? words[i].data : "";
		lens[i] = words[i].len;
	}
	if (!conn_command(conn, count, data, lens, now))
		return false;
	question_add(client, tag, now);
	return true;
}

void
client_flush(struct client *client)
{
	if (client->conn.phase == CONN_READY)
		conn_flush(&client->conn, client->conn.host->now_ms());
}

static void
script_load(struct client *client, uint64_t now)
{
	const char *load[] = {"SCRIPT", "LOAD", client->script != NULL ? client->script->text : ""};

	if (client->script != NULL && under_way(client) < RING - 1 && conn_command(&client->conn, 3, load, NULL, now))
		question_add(client, 0, now);
}

/* ---- Answers ------------------------------------------------------------------------------- */

static bool
error_is(const redisReply *reply, const char *word)
{
	return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, word, strlen(word)) == 0;
}

bool
client_repeats(const redisReply *reply)
{
	return reply != NULL && error_is(reply, "NOSCRIPT");
}

/* Shown to operators until there is none for a while; what became of the question its owner decides. */
static void
error_note(struct client *client, const redisReply *reply, uint64_t now)
{
	struct conn *conn = &client->conn;
	char said[200], text[512];

	reason_from_reply(said, sizeof(said), reply->str, (size_t)reply->len);
	if (error_is(reply, "READONLY") || error_is(reply, "MASTERDOWN")) {
		conn_lose(conn, now, "%s is no master: %s", conn->who, said);
		return;
	}
	snprintf(text, sizeof(text), "%s: %s", conn->who, said);
	client->trouble_at = now;
	conn_tell(conn, XF_STATE_BLOCKED, text);
}

static void
reply_take(struct client *client, const redisReply *reply, uint64_t now)
{
	struct conn *conn = &client->conn;
	uint64_t tag = client->ring[client->first++ % RING].tag;

	conn->pinged_at = 0;
	if (client_repeats(reply))
		script_load(client, now);
	else if (reply->type == REDIS_REPLY_ERROR)
		error_note(client, reply, now);
	if (tag != 0)
		client->answered(client->context, tag, reply);
}

static void
replies_read(struct client *client, uint64_t now)
{
	struct conn *conn = &client->conn;
	redisReply *reply;

	while (conn->phase == CONN_READY && conn_read(conn, now) > 0)
		while (conn->phase == CONN_READY && (reply = conn_reply(conn, now)) != NULL) {
			if (under_way(client) == 0)
				conn_lose(conn, now, "%s answers what was not asked", conn->who);
			else
				reply_take(client, reply, now);
			freeReplyObject(reply);
		}
}

/* ---- The loop -------------------------------------------------------------------------------- */

/* What was asked of a connection that is gone. */
static void
lost(struct client *client)
{
	client->up = false;
	client->trouble_at = 0;
	while (under_way(client) > 0) {
		uint64_t tag = client->ring[client->first++ % RING].tag;

		if (tag != 0)
			client->answered(client->context, tag, NULL);
	}
}

static void
deadline_check(struct client *client, uint64_t now)
{
	struct conn *conn = &client->conn;

	if (under_way(client) == 0) {
		conn_heartbeat(conn, now);
		if (conn->pinged_at != 0)
			question_add(client, 0, now);
	} else if (now >= client->ring[client->first % RING].asked_at + conn->settings.timeout_ms) {
		conn_lose(conn, now, "no reply within %u ms", conn->settings.timeout_ms);
	} else if (conn->pinged_at != 0) {
		conn_heartbeat(conn, now);
	}
}

static void
ready_work(struct client *client, uint64_t now)
{
	struct conn *conn = &client->conn;

	if (!client->up) {
		client->up = true;
		script_load(client, now);
	}
	replies_read(client, now);
	conn_settle(conn, now);
	if (conn->phase == CONN_READY)
		deadline_check(client, now);
	if (client->trouble_at != 0 && now - client->trouble_at >= TROUBLE_MS)
		client->trouble_at = 0;
	if (conn->phase == CONN_READY && client->trouble_at == 0)
		conn_tell(conn, XF_STATE_UP, NULL);
	if (conn->phase == CONN_READY)
		conn_flush(conn, now);
}

void
client_work(struct client *client, struct xf_work *work)
{
	struct conn *conn = &client->conn;
	uint64_t now = conn->host->now_ms();

	conn_work(conn, work->ready, now);
	if (conn->phase == CONN_READY)
		ready_work(client, now);
	if (conn->phase != CONN_READY)
		lost(client);
	if (conn->phase == CONN_WAITING)
		conn_tell_waiting(conn);
	conn_wait(conn, work, true, now);
}
