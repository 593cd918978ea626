/*
 * The socket is ours, non-blocking throughout; hiredis formats control commands and reads control replies.
 * A connection is never repaired: any failure, malformed reply or missed deadline closes it, since a late
 * reply would be taken for the answer to a later command.
 *
 * A failed write does not close at once: replies that the kernel holds already are read first, so fewer
 * messages are left with an unknown fate.
 */
#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKOFF_FIRST_MS 100u
#define BACKOFF_MAX_MS 5000u
#define BACKOFF_REFUSED_MS 5000u
#define BACKOFF_REFUSED_MAX_MS 30000u
#define STEADY_MS 5000u /* READY for so long, the next failure counts as a first one */

#define INPUT_MAX ((size_t)128 * 1024 * 1024) /* the longest reply that is taken in */
#define OUTPUT_FIRST 65536u

enum {
	GREET_AUTH = 0x1,
	GREET_SELECT = 0x2,
	GREET_NAME = 0x4,
	GREET_PING = 0x8,
};

/* ---- Birth and death ---------------------------------------------------------- */

/* CLIENT SETNAME takes printable bytes without spaces. */
static void
name_make(char *out, size_t size, const struct xf_endpoint_info *info)
{
	size_t n = (size_t)snprintf(out, size, "crossfade:%.*s", (int)info->name.len,
	                            info->name.len > 0 ? info->name.data : "");

	if (n >= size)
		n = size - 1;
	for (size_t i = 0; i < n; i++)
		if (out[i] <= ' ' || out[i] >= 0x7f)
			out[i] = '_';
}

int
conn_init(struct conn *conn, const struct xf_host *host, struct xf_endpoint *endpoint,
          const struct settings *settings, const struct xf_endpoint_info *info, size_t in_size)
{
	memset(conn, 0, sizeof(*conn));
	conn->host = host;
	conn->endpoint = endpoint;
	conn->settings = *settings;
	conn->fd = -1;
	conn->in_size = in_size;
	conn->backoff_ms = BACKOFF_FIRST_MS;
	name_make(conn->name, sizeof(conn->name), info);
	snprintf(conn->reason, sizeof(conn->reason), "not connected yet");
	if (getrandom(&conn->seed, sizeof(conn->seed), GRND_NONBLOCK) != sizeof(conn->seed))
		conn->seed = host->now_ms() ^ (uint64_t)(uintptr_t)conn;
	conn->seed |= 1;
	conn->in.data = malloc(in_size);
	conn->in.size = in_size;
	conn->out.data = malloc(OUTPUT_FIRST);
	conn->out.size = OUTPUT_FIRST;
	if (conn->in.data != NULL && conn->out.data != NULL)
		return 0;
	conn_fini(conn);
	return -1;
}

void
conn_fini(struct conn *conn)
{
	conn_close(conn);
	free(conn->in.data);
	free(conn->out.data);
	conn->in.data = NULL;
	conn->out.data = NULL;
	explicit_bzero(&conn->settings, sizeof(conn->settings));
}

static void
addresses_drop(struct conn *conn)
{
	if (conn->addresses != NULL)
		freeaddrinfo(conn->addresses);
	conn->addresses = NULL;
	conn->address = NULL;
}

static void
socket_close(struct conn *conn)
{
	if (conn->fd >= 0)
		close(conn->fd);
	conn->fd = -1;
	conn->phase = CONN_WAITING;
	conn->failing = false;
	conn->pinged_at = 0;
	if (conn->reader != NULL)
		redisReaderFree(conn->reader);
	conn->reader = NULL;
}

void
conn_close(struct conn *conn)
{
	socket_close(conn);
	addresses_drop(conn);
}

static uint64_t
random_next(struct conn *conn)
{
	conn->seed ^= conn->seed << 13;
	conn->seed ^= conn->seed >> 7;
	conn->seed ^= conn->seed << 17;
	return conn->seed;
}

/* The full backoff or up to half less: whoever was cut off at once does not come back at once. */
static void
retry_after(struct conn *conn, uint64_t now, uint32_t ms)
{
	conn->retry_at = now + ms / 2 + random_next(conn) % (ms / 2 + 1);
}

/* ARGS may hold the reason that stands already. */
static void
reason_set(struct conn *conn, const char *format, va_list args)
{
	char text[sizeof(conn->reason)];

	vsnprintf(text, sizeof(text), format, args);
	memcpy(conn->reason, text, sizeof(text));
}

void
conn_lose(struct conn *conn, uint64_t now, const char *format, ...)
{
	bool steady = conn->phase == CONN_READY && now - conn->began_at >= STEADY_MS;
	bool untried = conn->phase < CONN_READY && conn->address != NULL;
	va_list args;

	va_start(args, format);
	reason_set(conn, format, args);
	va_end(args);
	socket_close(conn);
	if (steady)
		conn->backoff_ms = BACKOFF_FIRST_MS;
	if (untried) {
		conn->retry_at = now; /* the name has another address */
		return;
	}
	addresses_drop(conn);
	if (conn->backoff_ms > BACKOFF_MAX_MS)
		conn->backoff_ms = BACKOFF_FIRST_MS;
	retry_after(conn, now, conn->backoff_ms);
	conn->backoff_ms = conn->backoff_ms * 2 < BACKOFF_MAX_MS ? conn->backoff_ms * 2 : BACKOFF_MAX_MS;
}

void
conn_refused(struct conn *conn, uint64_t now, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	reason_set(conn, format, args);
	va_end(args);
	conn_close(conn);
	if (conn->backoff_ms < BACKOFF_REFUSED_MS)
		conn->backoff_ms = BACKOFF_REFUSED_MS;
	retry_after(conn, now, conn->backoff_ms);
	conn->backoff_ms *= 2;
	if (conn->backoff_ms > BACKOFF_REFUSED_MAX_MS)
		conn->backoff_ms = BACKOFF_REFUSED_MAX_MS;
}

/* ---- Buffers ---------------------------------------------------------------------- */

/* Room for SIZE more bytes behind len, by moving what is left to the front, or growing. */
static bool
buffer_room(struct conn_buffer *buffer, size_t size)
{
	size_t want;
	char *data;

	if (buffer->pos == buffer->len)
		buffer->pos = buffer->len = 0;
	if (buffer->size - buffer->len >= size)
		return true;
	if (buffer->pos > 0 && buffer->size - (buffer->len - buffer->pos) >= size) {
		memmove(buffer->data, buffer->data + buffer->pos, buffer->len - buffer->pos);
		buffer->len -= buffer->pos;
		buffer->pos = 0;
		return true;
	}
	want = buffer->size;
	while (want - buffer->len < size)
		want *= 2;
	data = realloc(buffer->data, want);
	if (data == NULL)
		return false;
	buffer->data = data;
	buffer->size = want;
	return true;
}

/* Gives back what one large message made it grow to. Fails silently: it stays large. */
static void
buffer_shrink(struct conn_buffer *buffer, size_t size)
{
	char *data;

	if (buffer->pos != buffer->len || buffer->size <= size)
		return;
	data = realloc(buffer->data, size);
	if (data == NULL)
		return;
	buffer->data = data;
	buffer->size = size;
	buffer->pos = buffer->len = 0;
}

char *
conn_reserve(struct conn *conn, size_t size)
{
	return buffer_room(&conn->out, size) ? conn->out.data + conn->out.len : NULL;
}

bool
conn_need(struct conn *conn, size_t need, uint64_t now)
{
	size_t have = conn->in.len - conn->in.pos;

	if (need > INPUT_MAX) {
		conn_lose(conn, now, "a reply of more than %zu MiB, which is not taken in", INPUT_MAX >> 20);
		return false;
	}
	if (need > have && !buffer_room(&conn->in, need - have)) {
		conn_lose(conn, now, "no memory for a reply of %zu bytes", need);
		return false;
	}
	return true;
}

/* ---- Bytes in and out -------------------------------------------------------------- */

ssize_t
conn_read(struct conn *conn, uint64_t now)
{
	struct conn_buffer *in = &conn->in;
	ssize_t n;

	if (conn->phase == CONN_WAITING)
		return -1;
	if (in->pos == in->len)
		in->pos = in->len = 0;
	if (in->size > 4 * conn->in_size)
		buffer_shrink(in, conn->in_size);
	if (in->pos > 0) { /* what is left is the beginning of one reply */
		memmove(in->data, in->data + in->pos, in->len - in->pos);
		in->len -= in->pos;
		in->pos = 0;
	}
	if (!buffer_room(in, 1)) {
		conn_lose(conn, now, "no memory to read into");
		return -1;
	}
	do
		n = recv(conn->fd, in->data + in->len, in->size - in->len, 0);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		in->len += (size_t)n;
		conn->heard_at = now;
		return n;
	}
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (n == 0)
		conn_lose(conn, now, "the server closed the connection");
	else
		conn_lose(conn, now, "reading failed: %s", strerror(errno));
	return -1;
}

void
conn_flush(struct conn *conn, uint64_t now)
{
	struct conn_buffer *out = &conn->out;

	while (out->pos < out->len && !conn->failing) {
		ssize_t n = send(conn->fd, out->data + out->pos, out->len - out->pos, MSG_NOSIGNAL);

		if (n > 0) {
			out->pos += (size_t)n;
			conn->written += (uint64_t)n;
			conn->heard_at = now;
		} else if (n < 0 && errno == EINTR) {
			continue;
		} else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			return;
		} else {
			snprintf(conn->reason, sizeof(conn->reason), "writing failed: %s", strerror(errno));
			conn->failing = true;
		}
	}
	if (out->pos == out->len) {
		out->pos = out->len = 0;
		if (out->size > 16 * 1024 * 1024)
			buffer_shrink(out, OUTPUT_FIRST);
	}
}

bool
conn_command(struct conn *conn, int count, const char *const *words, const size_t *lens, uint64_t now)
{
	char *text = NULL, *at;
	/* hiredis does not write to the words, it only does not say so. */
	int len = redisFormatCommandArgv(&text, count, (const char **)(uintptr_t)words, lens);

	at = len > 0 ? conn_reserve(conn, (size_t)len) : NULL;
	if (at == NULL) {
		if (len > 0)
			redisFreeCommand(text);
		conn_lose(conn, now, "no memory for a command");
		return false;
	}
	conn_commit(conn, resp_put(at, text, (size_t)len));
	explicit_bzero(text, (size_t)len); /* may hold the password */
	redisFreeCommand(text);
	return true;
}

redisReply *
conn_reply(struct conn *conn, uint64_t now)
{
	size_t need;
	void *reply = NULL;
	ssize_t n = resp_extent(conn->in.data + conn->in.pos, conn->in.len - conn->in.pos, &conn->scan, &need);

	if (n == 0) {
		conn_need(conn, need, now);
		return NULL;
	}
	if (n > 0 && conn->reader == NULL)
		conn->reader = redisReaderCreate();
	if (n < 0 || conn->reader == NULL ||
	    redisReaderFeed(conn->reader, conn->in.data + conn->in.pos, (size_t)n) != REDIS_OK ||
	    redisReaderGetReply(conn->reader, &reply) != REDIS_OK || reply == NULL) {
		conn_lose(conn, now, "the reply is not understood; is this a Redis server?");
		return NULL;
	}
	conn_consume(conn, (size_t)n);
	return reply;
}

/* ---- Connecting --------------------------------------------------------------------- */

static bool
name_look_up(struct conn *conn, uint64_t now)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	int error;

	error = getaddrinfo(conn->settings.host, conn->settings.port, &hints, &conn->addresses);
	if (error == EAI_NONAME || error == EAI_ADDRFAMILY) {
		hints.ai_flags = 0; /* a machine with only a loopback has no family "configured" */
		error = getaddrinfo(conn->settings.host, conn->settings.port, &hints, &conn->addresses);
	}
	if (error != 0) {
		conn->addresses = NULL;
		conn_lose(conn, now, "host '%s': %s", conn->settings.host, gai_strerror(error));
		return false;
	}
	conn->address = conn->addresses;
	return true;
}

static void
connect_begin(struct conn *conn, uint64_t now)
{
	struct addrinfo *address;
	int one = 1;

	conn->in.pos = conn->in.len = 0;
	conn->out.pos = conn->out.len = 0;
	conn->queued = conn->written = 0;
	memset(&conn->scan, 0, sizeof(conn->scan));
	if (conn->address == NULL) {
		addresses_drop(conn);
		if (!name_look_up(conn, now))
			return;
	}
	address = conn->address;
	conn->address = address->ai_next;
	conn->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, address->ai_protocol);
	if (conn->fd < 0) {
		conn_lose(conn, now, "no socket: %s", strerror(errno));
		return;
	}
	setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(conn->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	conn->began_at = now;
	conn->phase = CONN_CONNECTING;
	if (connect(conn->fd, address->ai_addr, address->ai_addrlen) < 0 && errno != EINPROGRESS)
		conn_lose(conn, now, "cannot connect to %s:%s: %s", conn->settings.host, conn->settings.port,
		          strerror(errno));
}

static bool
greet(struct conn *conn, unsigned bit, int count, const char *const *words, uint64_t now)
{
	conn->greetings |= bit;
	return conn_command(conn, count, words, NULL, now);
}

/* All of it goes out in one write; the PING at the end tells a server that is loading, or wants a password. */
static void
greeting_send(struct conn *conn, uint64_t now)
{
	const struct settings *settings = &conn->settings;
	const char *auth_user[] = {"AUTH", settings->user, settings->password};
	const char *auth[] = {"AUTH", settings->password};
	const char *name[] = {"CLIENT", "SETNAME", conn->name};
	const char *ping[] = {"PING"};
	char db[16];
	const char *select[] = {"SELECT", db};

	conn->phase = CONN_GREETING;
	conn->greetings = 0;
	if (settings->user[0] != '\0' && !greet(conn, GREET_AUTH, 3, auth_user, now))
		return;
	if (settings->user[0] == '\0' && settings->password[0] != '\0' && !greet(conn, GREET_AUTH, 2, auth, now))
		return;
	snprintf(db, sizeof(db), "%u", settings->db);
	if (settings->db != 0 && !greet(conn, GREET_SELECT, 2, select, now))
		return;
	if (greet(conn, GREET_NAME, 3, name, now) && greet(conn, GREET_PING, 1, ping, now))
		conn_flush(conn, now);
}

static void
connect_finish(struct conn *conn, uint32_t ready, uint64_t now)
{
	struct pollfd poll_fd = {.fd = conn->fd, .events = POLLOUT};
	int error = 0;
	socklen_t size = sizeof(error);

	if (ready == 0 && poll(&poll_fd, 1, 0) <= 0)
		return;
	if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	if (error != 0) {
		conn_lose(conn, now, "cannot connect to %s:%s: %s", conn->settings.host, conn->settings.port,
		          strerror(error));
		return;
	}
	greeting_send(conn, now);
}

void
reason_from_reply(char *out, size_t size, const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < size && n < 160; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\r' || c == '\n')
			break;
		out[n++] = c < ' ' || c == 0x7f ? '?' : (char)c;
	}
	out[n] = '\0';
}

static bool
begins(const char *text, const char *word)
{
	return strncmp(text, word, strlen(word)) == 0;
}

/* An error in place of a greeting's answer. STEP is the command that it answers. False: it is lost. */
static bool
greeting_refused(struct conn *conn, unsigned step, const char *text, size_t len, uint64_t now)
{
	char said[200];

	reason_from_reply(said, sizeof(said), text, len);
	if (begins(said, "ERR max number") || begins(said, "DENIED") || begins(said, "LOADING")) {
		conn_lose(conn, now, "the server is not ready: %s", said);
		return false;
	}
	if (step == GREET_NAME || (step == GREET_PING && begins(said, "NOPERM")))
		return true; /* a name is a courtesy, and any answer to the PING is one */
	if (step == GREET_PING && begins(said, "MASTERDOWN"))
		return true; /* messages will be told the same, one by one */
	if (begins(said, "NOAUTH"))
		conn_refused(conn, now, "the server wants a password (user, password): %s", said);
	else if (step == GREET_AUTH)
		conn_refused(conn, now, "the server refuses user '%s' or its password: %s",
		             conn->settings.user[0] != '\0' ? conn->settings.user : "default", said);
	else if (step == GREET_SELECT)
		conn_refused(conn, now, "the server refuses database %u: %s", conn->settings.db, said);
	else
		conn_lose(conn, now, "the server is not ready: %s", said);
	return false;
}

static void
greeting_read(struct conn *conn, uint64_t now)
{
	if (conn_read(conn, now) <= 0)
		return;
	while (conn->phase == CONN_GREETING && conn->greetings != 0) {
		unsigned step = conn->greetings & -conn->greetings;
		redisReply *reply = conn_reply(conn, now);
		bool refused;

		if (reply == NULL)
			return;
		refused = reply->type == REDIS_REPLY_ERROR &&
		          !greeting_refused(conn, step, reply->str, (size_t)reply->len, now);
		freeReplyObject(reply);
		if (refused)
			return;
		conn->greetings &= ~step;
	}
	if (conn->phase == CONN_GREETING) {
		addresses_drop(conn);
		conn->phase = CONN_READY;
		conn->began_at = now;
		conn->heard_at = now;
	}
}

void
conn_work(struct conn *conn, uint32_t ready, uint64_t now)
{
	if (conn->phase == CONN_WAITING) {
		if (now < conn->retry_at)
			return;
		connect_begin(conn, now);
		ready = 0;
	}
	if (conn->phase == CONN_CONNECTING)
		connect_finish(conn, ready, now);
	if (conn->phase == CONN_GREETING) {
		conn_flush(conn, now);
		greeting_read(conn, now);
	}
	if ((conn->phase == CONN_CONNECTING || conn->phase == CONN_GREETING) &&
	    now - conn->began_at >= conn->settings.connect_timeout_ms)
		conn_lose(conn, now, "cannot connect to %s:%s: no answer within %u ms", conn->settings.host,
		          conn->settings.port, conn->settings.connect_timeout_ms);
	if (conn->phase == CONN_READY && conn_unwritten(conn) > 0)
		conn_flush(conn, now);
}

void
conn_settle(struct conn *conn, uint64_t now)
{
	if (conn->phase == CONN_READY && conn->failing)
		conn_lose(conn, now, "%s", conn->reason);
}

void
conn_heartbeat(struct conn *conn, uint64_t now)
{
	const char *ping[] = {"PING"};
	uint64_t heartbeat = conn->settings.heartbeat_ms;

	if (conn->pinged_at != 0) {
		if (now - conn->pinged_at >= heartbeat)
			conn_lose(conn, now, "no answer to a PING within %u ms; the line or the server is dead",
			          conn->settings.heartbeat_ms);
		return;
	}
	if (now - conn->heard_at < heartbeat)
		return;
	if (conn_command(conn, 1, ping, NULL, now)) {
		conn->pinged_at = now != 0 ? now : 1;
		conn_flush(conn, now);
	}
}

void
conn_wait(const struct conn *conn, struct xf_work *work, uint64_t now)
{
	uint32_t tick = conn->settings.heartbeat_ms < conn->settings.timeout_ms ? conn->settings.heartbeat_ms
	                                                                        : conn->settings.timeout_ms;

	work->fd = conn->fd;
	work->events = 0;
	work->timeout_ms = 1000;
	if (tick / 4 < work->timeout_ms)
		work->timeout_ms = tick / 4 > 5 ? tick / 4 : 5;
	switch (conn->phase) {
	case CONN_WAITING:
		work->timeout_ms = 5000;
		work_until(work, conn->retry_at, now);
		break;
	case CONN_CONNECTING:
		work->events = POLLOUT;
		work_until(work, conn->began_at + conn->settings.connect_timeout_ms, now);
		break;
	case CONN_GREETING:
		work->events = POLLIN | (conn_unwritten(conn) > 0 ? POLLOUT : 0);
		work_until(work, conn->began_at + conn->settings.connect_timeout_ms, now);
		break;
	case CONN_READY:
		work->events = POLLIN | (conn_unwritten(conn) > 0 ? POLLOUT : 0);
		if (conn->failing)
			work->timeout_ms = 0;
		break;
	}
}

void
state_tell(struct state_memory *memory, const struct conn *conn, uint32_t state, const char *reason)
{
	if (reason == NULL)
		reason = "";
	if (memory->told && memory->state == state && strcmp(memory->reason, reason) == 0)
		return;
	memory->told = true;
	memory->state = state;
	snprintf(memory->reason, sizeof(memory->reason), "%s", reason);
	conn->host->state(conn->endpoint, state, reason[0] != '\0' ? reason : NULL);
}
