/*
 * A batch is encoded into one output buffer and written at once; what the kernel does not take waits for
 * POLLOUT. Redis answers in order, so what is under way is one ring: each reply belongs to its front. Beside messages
 * there are questions in it (sight.h), which nobody waits for.
 *
 * Fate when the connection breaks: a command whose last byte was handed to the kernel may have been executed,
 * UNKNOWN; one that was not is certainly incomplete at the server, and Redis executes nothing incomplete:
 * NOT_SENT. With TLS the same holds for whole records.
 *
 * Errors are replies like others. Those that pass by (memory full, loading, a replica, a wrong type) are NOT_SENT
 * and the state is BLOCKED; then only a probe goes out now and then, with a growing pause, until one is
 * confirmed. REJECTED is what is known to be the message's own fault. What is not known may be said by a proxy, or a
 * service that limits, and of every message: nothing is given up for that.
 *
 * A PING goes out only when nothing is under way, and nothing is taken until it is answered.
 */
#include "publish.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "command.h"
#include "connection.h"
#include "endpoint.h"
#include "fields.h"
#include "requests.h"
#include "sight.h"

#define INPUT_SIZE (64u * 1024u)
#define OUTPUT_MAX ((size_t)4 * 1024 * 1024) /* unwritten bytes; one message may exceed it */
#define RESULTS 256u
#define QUESTIONS 2u /* that may be under way beside a window of messages */
#define READS_PER_WORK 16

#define PROBE_FIRST_MS 100u
#define PROBE_MAX_MS 2000u
#define STOP_MS 500u           /* how long stop() waits for replies that are due */
#define FAULT_MEMORY_MS 5000u  /* a fault of some keys is over when none was seen for so long */
#define REPLICA_PATIENCE_MS 5000u

enum {
	ROW_WINDOW = ROWS_SHARED,
	ROW_MAXLEN,
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
	ENDPOINT_OPTIONS, &option_window, &option_maxlen, NULL,
};

static const struct mode_row sink_rows[] = {
	{"maxlen", ROW_MAXLEN, 1 << MODE_STREAM, "mode: stream"},
	{NULL, 0, 0, NULL},
};

/* The front of the ring is answered by the next reply. */
struct pending {
	uint64_t token;
	uint64_t end : 63;      /* of its command, counted in conn->queued */
	uint64_t question : 1;  /* of sight.c; there is no token */
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
	struct command command;
	struct sight sight;
	struct requests requests;
	bool deaf;    /* it was told that no replies can come */
	bool literal; /* the template is a subject */
	uint32_t window;

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

static uint64_t
sink_traits(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint)
{
	static const uint64_t traits[] = {
		[MODE_PUBSUB] = XF_TRAIT_EPHEMERAL, [MODE_STREAM] = XF_TRAIT_HEADERS, [MODE_LIST] = 0};

	(void)transport;
	return traits[endpoint_mode(host, endpoint)] | XF_TRAIT_REQUESTS;
}

static int32_t
sink_check(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
           const struct xf_endpoint_info *info, struct xf_error *error)
{
	struct settings settings;
	int result = endpoint_check(host, transport, endpoint, sink_rows, &settings, error);

	(void)info;
	settings_clear(&settings);
	return result;
}

/* ---- Birth and death ------------------------------------------------------------------------ */

static bool
ring_make(struct sink *sink)
{
	uint32_t size = 1;

	while (size < sink->window + QUESTIONS)
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
	command_fini(&sink->command);
	sight_fini(&sink->sight);
	requests_fini(&sink->requests);
	free(sink->ring);
	free(sink);
}

/* What is looked at before anything was published. */
static bool
sight_make(struct sink *sink, struct xf_str template)
{
	char *key;
	bool made;

	sight_init(&sink->sight, sink->command.mode, false, (struct xf_str){NULL, 0});
	sink->literal = template.len > 0 && memchr(template.data, '{', template.len) == NULL;
	if (!sink->literal)
		return true;
	key = endpoint_key(template, sink->command.separator);
	made = key != NULL && sight_key_set(&sink->sight, key, template.len);
	free(key);
	return made;
}

static int32_t
sink_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared,
            const struct xf_config *transport, const struct xf_config *config, const struct xf_endpoint_info *info,
            void **instance, struct xf_error *error)
{
	struct sink *sink = calloc(1, sizeof(*sink));
	struct settings settings;
	int result;

	(void)shared;
	if (sink == NULL)
		return settings_fail(error, "no memory");
	sink->conn.fd = -1;
	result = endpoint_check(host, transport, config, sink_rows, &settings, error);
	if (result == 0)
		result = conn_init(&sink->conn, host, endpoint, &settings, info, INPUT_SIZE, error);
	if (result == 0 && info->request_ms > 0 &&
	    !requests_init(&sink->requests, host, endpoint, &settings, info, error))
		result = -1;
	settings_clear(&settings);
	if (result < 0) {
		sink_destroy(sink);
		return -1;
	}
	sink->host = host;
	sink->endpoint = endpoint;
	sink->window = (uint32_t)host->option(config, ROW_WINDOW)->i64;
	if (!ring_make(sink) || !command_init(&sink->command, host, config, host->option(config, ROW_MAXLEN)->i64) ||
	    !sight_make(sink, info->subject)) {
		sink_destroy(sink);
		return settings_fail(error, "no memory");
	}
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

/* Messages and questions. */
static inline uint32_t
under_way(const struct sink *sink)
{
	return sink->next - sink->first;
}

static inline struct pending *
front(const struct sink *sink)
{
	return &sink->ring[sink->first & sink->mask];
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
		bool whole = front(sink)->end <= written;

		if (front(sink)->question)
			sink->first++;
		else
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

/* What an error reply says about messages to come; NONE: this one is at fault, and will be. */
static enum fault
fault_of(struct xf_str error)
{
	static const char *const of_server[] = {
		"LOADING", "BUSY ", "MASTERDOWN", "READONLY", "OOM", "MISCONF", "NOAUTH", "NOREPLICAS", "CLUSTERDOWN",
		"TRYAGAIN", "ERR unknown command", "ERR max number of clients",
		"ERR The stream has exhausted", NULL,
	};
	static const char *const of_message[] = {
		"ERR Protocol error", "ERR Elements are too large", "ERR string exceeds maximum", NULL,
	};

	if (begins_any(error, of_message))
		return FAULT_NONE;
	return begins_any(error, of_server) ? FAULT_SERVER : FAULT_KEY;
}

/* What the operator could do, where the server's own words do not say it. */
static const char *
remedy_of(struct xf_str error)
{
	static const char *const remedies[][2] = {
		{"OOM", "raise maxmemory, or trim with maxlen"},
		{"READONLY", "this is a replica; point the url at the master"},
		{"WRONGTYPE", "the subject names a key of another kind than mode says"},
		{"NOPERM", "give the user the command and the key or channel"},
		{"MOVED", "a Redis Cluster is not supported; point the url at a single server, or at sentinels"},
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
	conn_tell(&sink->conn, XF_STATE_BLOCKED, reason);
}

static void
fault_end(struct sink *sink)
{
	sink->fault = FAULT_NONE;
	sink->probe_ms = 0;
	sink->replica = false;
	conn_tell(&sink->conn, XF_STATE_UP, NULL);
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
	if (token->type == ':' && sink->command.mode == MODE_PUBSUB)
		success_take(sink, token->number == 0 ? XF_RESULT_NO_RECEIVER : 0, round);
	else if (token->type == ':' && sink->command.mode == MODE_LIST)
		success_take(sink, 0, round);
	else if (token->type == '$' && token->len > 0 && sink->command.mode == MODE_STREAM)
		success_take(sink, 0, round);
	else if (token->type == '-')
		error_take(sink, (struct xf_str){token->data, token->len}, round, now);
	else
		return false;
	return true;
}

/* The reply to the question at the front. As resp_token_read(). */
static ssize_t
answer_take(struct sink *sink, const char *data, size_t size, size_t *need)
{
	ssize_t n = resp_extent(data, size, &sink->conn.scan, need);

	if (n <= 0)
		return n;
	sink->first++;
	sight_answer(&sink->sight, &sink->conn, data, (size_t)n);
	return n;
}

/* The next reply. As resp_token_read(); -1 also where it answers nothing that was asked. */
static inline ssize_t
next_take(struct sink *sink, struct round *round, size_t *need, uint64_t now)
{
	struct conn *conn = &sink->conn;
	const char *data = conn->in.data + conn->in.pos;
	size_t size = conn->in.len - conn->in.pos;
	struct resp_token token;
	ssize_t n;

	if (under_way(sink) > 0 && front(sink)->question)
		return answer_take(sink, data, size, need);
	n = resp_token_read(data, size, &token, need);
	return n > 0 && !reply_take(sink, &token, round, now) ? -1 : n;
}

/* Takes every whole reply. Completions go out before the bytes that their reasons point into move. */
static void
input_take(struct sink *sink, uint64_t now)
{
	struct conn *conn = &sink->conn;
	uint32_t before = sink->first;
	struct round round = {0, 0};

	while (conn->in.pos < conn->in.len) {
		size_t need = 0;
		ssize_t n = next_take(sink, &round, &need, now);

		if (n == 0) {
			results_flush(sink);
			conn_need(conn, need, now);
			break;
		}
		if (n < 0) {
			results_flush(sink);
			conn_lose(conn, now, "the reply of %s is not understood; is this a Redis server?", conn->who);
			break;
		}
		conn_consume(conn, (size_t)n);
	}
	results_flush(sink);
	if (sink->first != before)
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

/*
 * With anything under way the replies are the sign of life, else a PING. Bytes that the kernel could hand on count as well: on
 * a slow line a large message takes its time. After a silence what was sent has one heartbeat's time, as a PING would.
 */
static void
deadline_check(struct sink *sink, uint64_t now)
{
	struct conn *conn = &sink->conn;
	uint64_t heartbeat = conn->settings.heartbeat_ms, timeout = conn->settings.timeout_ms;
	uint64_t since = sink->progress_at, heard = conn->heard_at;

	if (under_way(sink) == 0 || conn->pinged_at != 0)
		conn_heartbeat(conn, now);
	if (conn->phase != CONN_READY || under_way(sink) == 0)
		return;
	if (conn_unwritten(conn) > 0 && conn->wrote_at > since)
		since = heard = conn->wrote_at;
	if (now - since < timeout && (now - since < heartbeat || now - heard < 2 * heartbeat))
		return;
	replies_read(sink, now); /* this process may be what was late */
	if (conn->phase == CONN_READY && under_way(sink) > 0 && sink->progress_at < now)
		conn_lose(conn, now, "no reply within %u ms", (unsigned)(timeout < heartbeat ? timeout : heartbeat));
}

static void
fault_check(struct sink *sink, uint64_t now)
{
	if (sink->fault == FAULT_KEY && sink->probe_ms == 0 && now - sink->fault_at >= FAULT_MEMORY_MS)
		fault_end(sink);
	/* After a fail-over the name may lead to the new master, and sentinels know it: look again. */
	if (sink->replica && under_way(sink) == 0 &&
	    (sink->conn.wants_master || now - sink->fault_from >= REPLICA_PATIENCE_MS))
		conn_lose(&sink->conn, now, "%s is a replica; looking for the master", sink->conn.who);
}

static void
sight_look(struct sink *sink, uint64_t now)
{
	struct conn *conn = &sink->conn;
	uint32_t replies;

	if (!sight_due(&sink->sight, now) || conn->failing || conn->pinged_at != 0)
		return;
	replies = sight_ask(&sink->sight, conn, now);
	if (replies > 0 && under_way(sink) == 0)
		sink->progress_at = now;
	for (uint32_t i = 0; i < replies; i++)
		sink->ring[sink->next++ & sink->mask] = (struct pending){.end = conn->queued, .question = 1};
	if (conn->phase == CONN_READY)
		conn_flush(conn, now);
}

static void
lost(struct sink *sink)
{
	rest_complete(sink);
	sight_forget(&sink->sight);
	sink->up = false;
	sink->fault = FAULT_NONE;
	sink->probe_ms = 0;
	sink->replica = false;
}

static uint32_t
room_of(const struct sink *sink, uint64_t now)
{
	uint32_t room = sink->window > under_way(sink) ? sink->window - under_way(sink) : 0;

	if (!sink->up || requests_deaf(&sink->requests) || sink->conn.phase != CONN_READY || sink->conn.failing || sink->conn.pinged_at != 0 ||
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

/* The connection works; of one that makes requests, if their replies can come. */
static void
ready_tell(struct sink *sink)
{
	bool deaf = requests_deaf(&sink->requests);

	if (!deaf && (!sink->up || sink->deaf)) {
		sink->up = true;
		sink->deaf = false;
		if (sink->fault == FAULT_NONE)
			conn_tell(&sink->conn, XF_STATE_UP, NULL);
	} else if (deaf && sink->requests.side.conn.phase == CONN_WAITING) {
		sink->deaf = true;
		conn_tell(&sink->conn, XF_STATE_BLOCKED, sink->requests.side.conn.reason);
	}
}

static void
sink_work(void *instance, struct xf_work *work)
{
	struct sink *sink = instance;
	struct conn *conn = &sink->conn;
	uint64_t now = sink->host->now_ms();

	if (sink->requests.wanted) {
		work->ready = side_begin(&sink->requests.side, work->ready);
		requests_work(&sink->requests, now);
	}
	conn_work(conn, work->ready, now);
	if (conn->phase == CONN_READY) {
		ready_tell(sink);
		/* Not only when told to: a loop that always finds work may rarely look at its descriptors. */
		if (conn_readable(conn, work->ready) || conn->failing || under_way(sink) > sink->window / 4)
			replies_read(sink, now);
		conn_settle(conn, now);
	}
	if (conn->phase == CONN_READY)
		deadline_check(sink, now);
	if (conn->phase == CONN_READY)
		fault_check(sink, now);
	if (conn->phase == CONN_READY && sink->up)
		sight_look(sink, now);
	if (conn->phase != CONN_READY)
		lost(sink);
	if (conn->phase == CONN_WAITING)
		conn_tell_waiting(conn);
	conn_wait(conn, work, true, now);
	work->room = room_of(sink, now);
	if (sink->up && sink->probe_ms > 0 && under_way(sink) == 0)
		work_until(work, sink->probe_at, now);
	if (sink->requests.wanted)
		side_wait(&sink->requests.side, work, now);
}

/* ---- Commands out ----------------------------------------------------------------------------------------- */

/* The newest subject is what the next look is at. */
static void
sight_follow(struct sink *sink, const struct xf_outgoing *messages, uint32_t stride, uint32_t taken)
{
	const struct xf_outgoing *last =
		(const struct xf_outgoing *)(const void *)((const char *)messages + (size_t)(taken - 1) * stride);

	if (sink->sight.asked == 0 && sight_key_set(&sink->sight, last->subject.data, last->subject.len) &&
	    sink->command.separator != '\0')
		for (size_t i = 0; i < sink->sight.key_len; i++)
			if (sink->sight.key[i] == '.')
				sink->sight.key[i] = sink->command.separator;
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

		if (!command_put(&sink->command, conn, message))
			break;
		sink->ring[sink->next++ & sink->mask] =
			(struct pending){.token = message->token, .end = conn->queued};
	}
	if (taken == 0)
		return 0;
	if (!sink->literal)
		sight_follow(sink, messages, stride, taken);
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
	if (sink->requests.wanted)
		conn_close(&sink->requests.side.conn);
}

static uint32_t
sink_reply_to(void *instance, uint64_t request, char *out, uint32_t size)
{
	const struct sink *sink = instance;

	return requests_reply_to(&sink->requests, request, out, size);
}

const struct xf_sink_ops publish_ops = {
	.struct_size = sizeof(struct xf_sink_ops),
	.traits = sink_traits,
	.address = endpoint_address,
	.check = sink_check,
	.create = sink_create,
	.start = sink_start,
	.work = sink_work,
	.publish = sink_publish,
	.stop = sink_stop,
	.destroy = sink_destroy,
	.reply_to = sink_reply_to,
};
