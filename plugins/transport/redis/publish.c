/*
 * A batch is encoded into one output buffer and written at once; what the kernel does not take waits for
 * POLLOUT. Redis answers in order, so the tokens under way are one ring: each reply belongs to its front.
 *
 * Fate when the connection breaks: a command whose last byte was handed to the kernel may have been executed,
 * UNKNOWN; one that was not is certainly incomplete at the server, and Redis executes nothing incomplete:
 * NOT_SENT.
 *
 * Errors are replies like others. Those that pass by (memory full, loading, a replica, a wrong type) are NOT_SENT
 * and the state is BLOCKED; then only a probe goes out now and then, with a growing pause, until one is
 * confirmed. All else is the message's own fault: REJECTED.
 *
 * A PING goes out only when nothing is under way, and nothing is taken until it is answered: so the ring holds
 * messages only.
 */
#include "publish.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "connection.h"
#include "fields.h"

#define INPUT_SIZE (64u * 1024u)
#define OUTPUT_MAX ((size_t)4 * 1024 * 1024) /* unwritten bytes; one message may exceed it */
#define RESULTS 256u
#define READS_PER_WORK 16

#define PROBE_FIRST_MS 100u
#define PROBE_MAX_MS 2000u
#define STOP_MS 500u           /* how long stop() waits for replies that are due */
#define FAULT_MEMORY_MS 5000u  /* a fault of some keys is over when none was seen for so long */
#define REPLICA_PATIENCE_MS 5000u

enum {
	ROW_MODE,
	ROW_SEPARATOR,
	ROW_WINDOW,
	ROW_MAXLEN,
	ROW_FIELDS,
};

enum {
	MODE_PUBSUB,
	MODE_STREAM,
};

static const char *const modes[] = {"pubsub", "stream", NULL};
static const struct xf_option option_mode = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_ENUM,
	.key = "mode",
	.def = "pubsub",
	.values = modes,
	.help = "How to publish: pubsub (PUBLISH to the channel) or stream (XADD to the stream); list is not built yet",
};
static const struct xf_option option_separator = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_STRING,
	.key = "separator",
	.help = "The character that names at Redis have between tokens instead of the dot: \":\" makes a.b.c a:b:c",
};
static const struct xf_option option_window = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_I64,
	.key = "window",
	.def = "4096",
	.min = 1,
	.max = 65536,
	.unit = "messages",
	.help = "How many messages may be under way without a reply",
};
static const struct xf_option option_maxlen = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_I64,
	.key = "maxlen",
	.def = "0",
	.min = 0,
	.max = INT64_MAX,
	.unit = "entries",
	.help = "Streams are trimmed to about this length (MAXLEN ~); 0: never trimmed",
};

const struct xf_option *const publish_options[] = {
	&option_mode, &option_separator, &option_window, &option_maxlen, &fields_option, NULL,
};

struct pending {
	uint64_t token;
	uint64_t end; /* of its command, counted in conn->queued */
};

/* What stands in the way of messages while the connection is fine. */
enum fault {
	FAULT_NONE,
	FAULT_SERVER, /* of all: memory, loading, replica */
	FAULT_KEY,    /* of some subjects: type, permission */
};

struct sink {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct conn conn;
	struct state_memory told;

	int mode;
	char separator;
	uint32_t window;
	char *head; /* of XADD: " MAXLEN ~ n" and "*", encoded */
	size_t head_len;
	uint32_t head_words;
	char *fields[FIELDS]; /* encoded names */
	size_t field_lens[FIELDS];

	bool up; /* UP or BLOCKED was told for this connection */
	struct pending *ring;
	uint32_t mask;
	uint32_t first; /* both run freely */
	uint32_t next;
	uint64_t progress_at; /* the last reply, or the first message after none */

	enum fault fault;
	uint64_t fault_at;   /* seen last */
	uint64_t fault_from; /* seen first */
	uint64_t probe_at;
	uint32_t probe_ms; /* 0: messages go freely */
	bool replica;      /* READONLY */

	uint32_t results;
	struct xf_result result[RESULTS];
};

/* ---- What it is ------------------------------------------------------------------------- */

static int
mode_of(const struct xf_host *host, const struct xf_config *endpoint)
{
	return (int)host->option(endpoint, ROW_MODE)->i64;
}

static uint64_t
sink_traits(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint)
{
	(void)transport;
	return mode_of(host, endpoint) == MODE_STREAM ? XF_TRAIT_HEADERS : XF_TRAIT_EPHEMERAL;
}

static uint32_t
sink_address(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
             char *out, uint32_t size)
{
	int stream = mode_of(host, endpoint) == MODE_STREAM;
	struct settings settings;
	struct xf_error error;

	if (settings_read(host, transport, &settings, &error) < 0)
		return 0;
	/* Channels are the server's, streams a database's. */
	return settings_address(&settings, stream, stream ? "stream" : "pubsub", out, size);
}

static int32_t
sink_check(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
           const struct xf_endpoint_info *info, struct xf_error *error)
{
	const struct xf_value *fields = host->option(endpoint, ROW_FIELDS);
	struct settings settings;

	(void)info;
	if (settings_read(host, transport, &settings, error) < 0)
		return -1;
	if (settings_separator(host, endpoint, ROW_SEPARATOR, error) < 0)
		return -1;
	if (mode_of(host, endpoint) != MODE_STREAM) {
		if (host->option(endpoint, ROW_MAXLEN)->present)
			return settings_fail(error, "maxlen: only with 'mode: stream'");
		if (fields->present)
			return settings_fail(error, "fields: only with 'mode: stream'");
	}
	if (fields_name(host, fields, FIELD_PAYLOAD).len == 0)
		return settings_fail(error, "fields: the payload needs a field");
	return 0;
}

/* ---- Birth and death ------------------------------------------------------------------------ */

static bool
head_make(struct sink *sink, int64_t maxlen)
{
	char digits[24], *at;

	sink->head = malloc(128);
	if (sink->head == NULL)
		return false;
	at = sink->head;
	if (maxlen > 0) {
		at = resp_put_bulk(at, "MAXLEN", 6);
		at = resp_put_bulk(at, "~", 1);
		at = resp_put_bulk(at, digits, (size_t)snprintf(digits, sizeof(digits), "%lld", (long long)maxlen));
	}
	at = resp_put_bulk(at, "*", 1);
	sink->head_len = (size_t)(at - sink->head);
	sink->head_words = maxlen > 0 ? 4 : 1;
	return true;
}

/* A field with an empty name is not written. */
static bool
fields_make(struct sink *sink, const struct xf_value *option)
{
	for (unsigned i = 0; i < FIELDS; i++) {
		struct xf_str name = fields_name(sink->host, option, i);

		sink->fields[i] = malloc(RESP_BULK_SIZE(name.len));
		if (sink->fields[i] == NULL)
			return false;
		if (name.len > 0)
			sink->field_lens[i] =
				(size_t)(resp_put_bulk(sink->fields[i], name.data, name.len) - sink->fields[i]);
	}
	return true;
}

static bool
ring_make(struct sink *sink)
{
	uint32_t size = 1;

	while (size < sink->window)
		size *= 2;
	sink->mask = size - 1;
	sink->ring = malloc(size * sizeof(*sink->ring));
	return sink->ring != NULL;
}

static void
sink_destroy(void *instance)
{
	struct sink *sink = instance;

	conn_fini(&sink->conn);
	for (unsigned i = 0; i < FIELDS; i++)
		free(sink->fields[i]);
	free(sink->head);
	free(sink->ring);
	free(sink);
}

static int32_t
sink_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared,
            const struct xf_config *transport, const struct xf_config *config, const struct xf_endpoint_info *info,
            void **instance, struct xf_error *error)
{
	struct settings settings;
	struct sink *sink;
	int separator;

	(void)shared;
	if (settings_read(host, transport, &settings, error) < 0)
		return -1;
	separator = settings_separator(host, config, ROW_SEPARATOR, error);
	if (separator < 0)
		return -1;
	sink = calloc(1, sizeof(*sink));
	if (sink == NULL || conn_init(&sink->conn, host, endpoint, &settings, info, INPUT_SIZE) < 0) {
		free(sink);
		return settings_fail(error, "no memory");
	}
	sink->host = host;
	sink->endpoint = endpoint;
	sink->mode = mode_of(host, config);
	sink->separator = (char)separator;
	sink->window = (uint32_t)host->option(config, ROW_WINDOW)->i64;
	if (!ring_make(sink) || !head_make(sink, host->option(config, ROW_MAXLEN)->i64) ||
	    !fields_make(sink, host->option(config, ROW_FIELDS))) {
		sink_destroy(sink);
		return settings_fail(error, "no memory");
	}
	explicit_bzero(&settings, sizeof(settings));
	*instance = sink;
	return 0;
}

static void
sink_start(void *instance)
{
	struct sink *sink = instance;

	sink->conn.retry_at = 0;
}

/* ---- Results ----------------------------------------------------------------------------------- */

static inline uint32_t
under_way(const struct sink *sink)
{
	return sink->next - sink->first;
}

static void
results_flush(struct sink *sink)
{
	uint32_t count = sink->results;

	sink->results = 0;
	if (count > 0)
		sink->host->complete(sink->endpoint, sink->result, count);
}

/* The reason has to last until the next results_flush(). */
static inline void
front_complete(struct sink *sink, uint32_t code, uint32_t flags, struct xf_str reason)
{
	sink->result[sink->results++] = (struct xf_result){
		.token = sink->ring[sink->first++ & sink->mask].token, .code = code, .flags = flags, .reason = reason};
	if (sink->results == RESULTS)
		results_flush(sink);
}

/* The connection is gone: answers for all that was under way. */
static void
rest_complete(struct sink *sink)
{
	struct xf_str reason = {sink->conn.reason, strlen(sink->conn.reason)};
	uint64_t written = sink->conn.written;

	while (under_way(sink) > 0) {
		bool whole = sink->ring[sink->first & sink->mask].end <= written;

		front_complete(sink, whole ? XF_RESULT_UNKNOWN : XF_RESULT_NOT_SENT, 0, reason);
	}
	results_flush(sink);
}

/* ---- Faults -------------------------------------------------------------------------------------- */

static bool
begins(struct xf_str text, const char *word)
{
	size_t len = strlen(word);

	return text.len >= len && memcmp(text.data, word, len) == 0;
}

static bool
begins_any(struct xf_str text, const char *const *words)
{
	for (; *words != NULL; words++)
		if (begins(text, *words))
			return true;
	return false;
}

/* What an error reply says about messages to come; NONE: only this one is at fault. */
static enum fault
fault_of(struct xf_str error)
{
	static const char *const of_server[] = {
		"LOADING", "BUSY ", "MASTERDOWN", "READONLY", "OOM", "MISCONF", "NOAUTH", "NOREPLICAS", "CLUSTERDOWN",
		"TRYAGAIN", "ERR unknown command", "ERR max number of clients",
		"ERR The stream has exhausted", NULL,
	};
	static const char *const of_key[] = {"WRONGTYPE", "NOPERM", "MOVED", "ASK ", "CROSSSLOT", NULL};

	if (begins_any(error, of_server))
		return FAULT_SERVER;
	return begins_any(error, of_key) ? FAULT_KEY : FAULT_NONE;
}

/* What the operator could do, where the server's own words do not say it. */
static const char *
remedy_of(struct xf_str error)
{
	static const char *const remedies[][2] = {
		{"OOM", "raise maxmemory, or trim with maxlen"},
		{"READONLY", "this is a replica; point the url at the primary"},
		{"WRONGTYPE", "the subject names a key that is no stream"},
		{"NOPERM", "give the user the command and the key or channel"},
		{"MOVED", "clusters are not built yet; point the url at a single server"},
		{"MISCONF", "the server cannot save to its disk"},
		{"ERR unknown command", "the server lacks the command, or it was renamed"},
	};

	for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++)
		if (begins(error, remedies[i][0]))
			return remedies[i][1];
	return NULL;
}

static void
fault_begin(struct sink *sink, enum fault fault, struct xf_str error, uint64_t now)
{
	const char *remedy = remedy_of(error);
	char said[200], reason[320];

	if (sink->fault == FAULT_NONE) {
		sink->fault_from = now;
		sink->probe_at = now;
	}
	sink->fault_at = now;
	sink->replica = begins(error, "READONLY");
	if (fault == FAULT_KEY && sink->fault != FAULT_NONE)
		return; /* told already, or something worse was */
	sink->fault = fault;
	reason_from_reply(said, sizeof(said), error.data, error.len);
	snprintf(reason, sizeof(reason), "%s%s%s", said, remedy != NULL ? "; " : "", remedy != NULL ? remedy : "");
	state_tell(&sink->told, &sink->conn, XF_STATE_BLOCKED, reason);
}

static void
fault_end(struct sink *sink)
{
	sink->fault = FAULT_NONE;
	sink->probe_ms = 0;
	sink->replica = false;
	state_tell(&sink->told, &sink->conn, XF_STATE_UP, NULL);
}

/* After a round of replies: whether to probe, and when. */
static void
fault_pace(struct sink *sink, uint32_t confirmed, uint32_t refused, uint64_t now)
{
	if (sink->fault == FAULT_KEY && confirmed > 0)
		sink->probe_ms = 0; /* others get through; they shall not wait */
	else if (refused > 0 && now >= sink->probe_at) { /* not again for the rest of what was under way */
		sink->probe_ms = sink->probe_ms == 0 ? PROBE_FIRST_MS : sink->probe_ms * 2;
		if (sink->probe_ms > PROBE_MAX_MS)
			sink->probe_ms = PROBE_MAX_MS;
		sink->probe_at = now + sink->probe_ms;
	}
}

/* ---- Replies --------------------------------------------------------------------------------------- */

struct round {
	uint32_t confirmed;
	uint32_t refused;
};

static void
error_take(struct sink *sink, struct xf_str error, struct round *round, uint64_t now)
{
	enum fault fault = fault_of(error);

	if (fault == FAULT_NONE) {
		front_complete(sink, XF_RESULT_REJECTED, 0, error);
		return;
	}
	front_complete(sink, XF_RESULT_NOT_SENT, 0, error);
	round->refused++;
	fault_begin(sink, fault, error, now);
}

static inline void
success_take(struct sink *sink, uint32_t flags, struct round *round)
{
	front_complete(sink, XF_RESULT_STORED, flags, (struct xf_str){NULL, 0});
	round->confirmed++;
	if (__builtin_expect(sink->fault == FAULT_SERVER, 0))
		fault_end(sink);
}

/* False: it answers nothing that was asked. */
static bool
reply_take(struct sink *sink, const struct resp_token *token, struct round *round, uint64_t now)
{
	struct conn *conn = &sink->conn;

	if (under_way(sink) == 0) {
		bool asked = conn->pinged_at != 0;

		conn->pinged_at = 0;
		return asked && (token->type == '+' || token->type == '-');
	}
	if (token->type == ':' && sink->mode == MODE_PUBSUB)
		success_take(sink, token->number == 0 ? XF_RESULT_NO_RECEIVER : 0, round);
	else if (token->type == '$' && token->len > 0 && sink->mode == MODE_STREAM)
		success_take(sink, 0, round);
	else if (token->type == '-')
		error_take(sink, (struct xf_str){token->data, token->len}, round, now);
	else
		return false;
	return true;
}

/* Takes every whole reply. Completions go out before the bytes that their reasons point into move. */
static void
input_take(struct sink *sink, uint64_t now)
{
	struct conn *conn = &sink->conn;
	struct round round = {0, 0};

	while (conn->in.pos < conn->in.len) {
		struct resp_token token;
		size_t need;
		ssize_t n = resp_token_read(conn->in.data + conn->in.pos, conn->in.len - conn->in.pos, &token, &need);

		if (n == 0) {
			results_flush(sink);
			conn_need(conn, need, now);
			break;
		}
		if (n < 0 || !reply_take(sink, &token, &round, now)) {
			results_flush(sink);
			conn_lose(conn, now, "the reply is not understood; is this a Redis server?");
			break;
		}
		conn_consume(conn, (size_t)n);
	}
	results_flush(sink);
	if (round.confirmed + round.refused > 0)
		sink->progress_at = now;
	fault_pace(sink, round.confirmed, round.refused, now);
}

static void
replies_read(struct sink *sink, uint64_t now)
{
	struct conn *conn = &sink->conn;

	for (int i = 0; i < READS_PER_WORK && conn->phase == CONN_READY; i++) {
		size_t space = conn->in.size - (conn->in.len - conn->in.pos);
		ssize_t n = conn_read(conn, now);

		if (n <= 0)
			return;
		input_take(sink, now);
		if ((size_t)n < space)
			return;
	}
}

/* ---- The loop ------------------------------------------------------------------------------------------ */

/* With messages under way the replies are the sign of life, else a PING. Bytes that the kernel could hand on
 * count as well: on a slow line a large message takes its time. */
static void
deadline_check(struct sink *sink, uint64_t now)
{
	struct conn *conn = &sink->conn;
	uint64_t limit = conn->settings.timeout_ms, since = sink->progress_at;

	if (under_way(sink) == 0) {
		conn_heartbeat(conn, now);
		return;
	}
	if (limit > 2ull * conn->settings.heartbeat_ms)
		limit = 2ull * conn->settings.heartbeat_ms;
	if (conn_unwritten(conn) > 0 && conn->heard_at > since)
		since = conn->heard_at;
	if (now - since < limit)
		return;
	replies_read(sink, now); /* this process may be what was late */
	if (conn->phase == CONN_READY && under_way(sink) > 0 && sink->progress_at < now)
		conn_lose(conn, now, "no reply within %u ms", (unsigned)limit);
}

static void
fault_check(struct sink *sink, uint64_t now)
{
	if (sink->fault == FAULT_KEY && sink->probe_ms == 0 && now - sink->fault_at >= FAULT_MEMORY_MS)
		fault_end(sink);
	/* After a fail-over the name may lead to the new primary: look it up again. */
	if (sink->replica && under_way(sink) == 0 && now - sink->fault_from >= REPLICA_PATIENCE_MS)
		conn_lose(&sink->conn, now, "this server is a replica; looking for the primary under the same name");
}

static void
lost(struct sink *sink)
{
	rest_complete(sink);
	sink->up = false;
	sink->fault = FAULT_NONE;
	sink->probe_ms = 0;
	sink->replica = false;
}

static uint32_t
room_of(const struct sink *sink, uint64_t now)
{
	uint32_t room = sink->window - under_way(sink);

	if (!sink->up || sink->conn.phase != CONN_READY || sink->conn.failing || sink->conn.pinged_at != 0 ||
	    conn_unwritten(&sink->conn) >= OUTPUT_MAX)
		return 0;
	if (sink->probe_ms > 0) {
		/* One is enough to see whether the server works; of several subjects some may pass. */
		uint32_t probe = sink->fault == FAULT_KEY ? 64 : 1;

		if (now < sink->probe_at || under_way(sink) > 0)
			return 0;
		return room < probe ? room : probe;
	}
	return room;
}

static void
sink_work(void *instance, struct xf_work *work)
{
	struct sink *sink = instance;
	struct conn *conn = &sink->conn;
	uint64_t now = sink->host->now_ms();

	conn_work(conn, work->ready, now);
	if (conn->phase == CONN_READY) {
		if (!sink->up) {
			sink->up = true;
			state_tell(&sink->told, conn, XF_STATE_UP, NULL);
		}
		/* Not only when told to: a loop that always finds work may rarely look at its descriptors. */
		if (work->ready != 0 || conn->failing || under_way(sink) > sink->window / 4)
			replies_read(sink, now);
		conn_settle(conn, now);
	}
	if (conn->phase == CONN_READY)
		deadline_check(sink, now);
	if (conn->phase == CONN_READY)
		fault_check(sink, now);
	if (conn->phase != CONN_READY)
		lost(sink);
	if (conn->phase == CONN_WAITING)
		state_tell(&sink->told, conn, XF_STATE_DOWN, conn->reason);
	conn_wait(conn, work, now);
	work->room = room_of(sink, now);
	if (sink->up && sink->probe_ms > 0 && under_way(sink) == 0)
		work_until(work, sink->probe_at, now);
}

/* ---- Commands out ----------------------------------------------------------------------------------------- */

/* The subject as a name at Redis. */
static inline char *
name_put(char *at, struct xf_str subject, char separator)
{
	char *end;

	at = resp_put_head(at, '$', subject.len);
	end = resp_put(at, subject.data, subject.len);
	if (separator != 0)
		while ((at = memchr(at, '.', (size_t)(end - at))) != NULL)
			*at++ = separator;
	*end++ = '\r';
	*end++ = '\n';
	return end;
}

static bool
publish_encode(struct sink *sink, const struct xf_outgoing *message)
{
	static const char head[] = "*3\r\n$7\r\nPUBLISH\r\n";
	char *at = conn_reserve(&sink->conn, sizeof(head) + RESP_BULK_SIZE(message->subject.len) +
	                                             RESP_BULK_SIZE(message->payload_size));

	if (at == NULL)
		return false;
	at = resp_put(at, head, sizeof(head) - 1);
	at = name_put(at, message->subject, sink->separator);
	at = resp_put_bulk(at, message->payload, message->payload_size);
	conn_commit(&sink->conn, at);
	return true;
}

/* Whether FIELD is written for a message in which its VALUE is this. */
static inline bool
field_wanted(const struct sink *sink, unsigned field, struct xf_str value)
{
	return sink->field_lens[field] > 0 && (value.len > 0 || field == FIELD_PAYLOAD);
}

static bool
has_content_type(const struct xf_outgoing *message)
{
	for (uint32_t i = 0; i < message->header_count; i++)
		if (message->headers[i].name.len == 12 &&
		    strncasecmp(message->headers[i].name.data, "Content-Type", 12) == 0)
			return true;
	return false;
}

static char *
header_put(char *at, struct xf_str name, struct xf_str value)
{
	at = resp_put_head(at, '$', name.len + 2);
	at = resp_put(at, "h:", 2);
	at = resp_put(at, name.data, name.len);
	at = resp_put(at, "\r\n", 2);
	return resp_put_bulk(at, value.data, value.len);
}

static bool
xadd_encode(struct sink *sink, const struct xf_outgoing *message)
{
	static const struct xf_str content_type = {"Content-Type", 12};
	const struct xf_str values[FIELDS] = {
		[FIELD_PAYLOAD] = {message->payload, message->payload_size},
		[FIELD_ID] = message->id,
		[FIELD_SUBJECT] = message->subject,
		[FIELD_KEY] = message->key,
		[FIELD_REPLY] = message->reply,
	};
	bool typed = message->content_type.len > 0 && !has_content_type(message);
	uint32_t words = 2 + sink->head_words + 2 * (message->header_count + typed);
	size_t size = RESP_HEAD_MAX + RESP_BULK_SIZE(4) + RESP_BULK_SIZE(message->subject.len) + sink->head_len;
	char *at;

	for (unsigned i = 0; i < FIELDS; i++) {
		if (!field_wanted(sink, i, values[i]))
			continue;
		words += 2;
		size += sink->field_lens[i] + RESP_BULK_SIZE(values[i].len);
	}
	for (uint32_t i = 0; i < message->header_count; i++)
		size += RESP_BULK_SIZE(message->headers[i].name.len + 2) +
		        RESP_BULK_SIZE(message->headers[i].value.len);
	if (typed)
		size += RESP_BULK_SIZE(content_type.len + 2) + RESP_BULK_SIZE(message->content_type.len);

	at = conn_reserve(&sink->conn, size);
	if (at == NULL)
		return false;
	at = resp_put_head(at, '*', words);
	at = resp_put_bulk(at, "XADD", 4);
	at = name_put(at, message->subject, sink->separator);
	at = resp_put(at, sink->head, sink->head_len);
	for (unsigned i = 0; i < FIELDS; i++) {
		if (!field_wanted(sink, i, values[i]))
			continue;
		at = resp_put(at, sink->fields[i], sink->field_lens[i]);
		at = resp_put_bulk(at, values[i].data, values[i].len);
	}
	for (uint32_t i = 0; i < message->header_count; i++)
		at = header_put(at, message->headers[i].name, message->headers[i].value);
	if (typed)
		at = header_put(at, content_type, message->content_type);
	conn_commit(&sink->conn, at);
	return true;
}

static uint32_t
sink_publish(void *instance, const struct xf_outgoing *messages, uint32_t stride, uint32_t count)
{
	struct sink *sink = instance;
	struct conn *conn = &sink->conn;
	uint64_t now = sink->host->now_ms();
	uint32_t room = room_of(sink, now), taken;

	if (count > room)
		count = room;
	if (count > 0 && under_way(sink) == 0)
		sink->progress_at = now;
	for (taken = 0; taken < count && conn_unwritten(conn) < OUTPUT_MAX; taken++) {
		const struct xf_outgoing *message =
			(const struct xf_outgoing *)(const void *)((const char *)messages + (size_t)taken * stride);

		if (!(sink->mode == MODE_STREAM ? xadd_encode(sink, message) : publish_encode(sink, message)))
			break;
		sink->ring[sink->next++ & sink->mask] =
			(struct pending){.token = message->token, .end = conn->queued};
	}
	if (taken == 0)
		return 0;
	conn_flush(conn, now);
	/* What is left needs POLLOUT, and a failure an answer; work() knows neither yet. */
	if (conn_unwritten(conn) > 0 || conn->failing)
		sink->host->wake(sink->endpoint);
	return taken;
}

static void
sink_stop(void *instance)
{
	struct sink *sink = instance;
	struct conn *conn = &sink->conn;
	uint64_t now = sink->host->now_ms(), end = now + STOP_MS;

	while (conn->phase == CONN_READY && !conn->failing && under_way(sink) > 0 && now < end) {
		struct pollfd poll_fd = {.fd = conn->fd, .events = POLLIN};

		if (conn_unwritten(conn) > 0)
			poll_fd.events |= POLLOUT;
		poll(&poll_fd, 1, (int)(end - now));
		now = sink->host->now_ms();
		conn_flush(conn, now);
		replies_read(sink, now);
	}
	if (conn->phase == CONN_READY)
		snprintf(conn->reason, sizeof(conn->reason), "stopped before the server replied");
	conn_close(conn);
	rest_complete(sink);
}

const struct xf_sink_ops publish_ops = {
	.struct_size = sizeof(struct xf_sink_ops),
	.traits = sink_traits,
	.address = sink_address,
	.check = sink_check,
	.create = sink_create,
	.start = sink_start,
	.work = sink_work,
	.publish = sink_publish,
	.stop = sink_stop,
	.destroy = sink_destroy,
};
