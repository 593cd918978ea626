/*
 * The socket is ours, non-blocking throughout; hiredis formats control commands and reads control replies.
 * A connection is never repaired: any failure, malformed reply or missed deadline closes it, since a late
 * reply would be taken for the answer to a later command.
 *
 * A failed write does not close at once: replies that the kernel holds already are read first, so fewer
 * messages are left with an unknown fate.
 *
 * A round tries each server once, and of a name each address; the reason that is shown is that of the first of
 * them, so that it stays the same while the same is wrong. Sentinels are asked in an order of chance, as all of
 * them know the same and each should have its share.
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
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "greeting.h"
#include "watch.h"

#define BACKOFF_FIRST_MS 100u
#define BACKOFF_MAX_MS 1500u
#define BACKOFF_REFUSED_MS 5000u
#define BACKOFF_REFUSED_MAX_MS 30000u
#define STEADY_MS 5000u /* READY for so long, the next failure counts as a first one */

#define INPUT_MAX ((size_t)128 * 1024 * 1024) /* the longest reply that is taken in */
#define OUTPUT_FIRST 65536u

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

static uint64_t
random_next(struct conn *conn)
{
	conn->seed ^= conn->seed << 13;
	conn->seed ^= conn->seed >> 7;
	conn->seed ^= conn->seed << 17;
	return conn->seed;
}

/* Everything about which server is tried next starts anew. */
static void
round_begin(struct conn *conn)
{
	uint32_t count = conn->settings.at.server_count;

	conn->tried = 0;
	conn->patient = false;
	conn->found = false;
	conn->reason_of = SERVERS_MAX;
	for (uint32_t i = 0; i < count; i++)
		conn->order[i] = (uint8_t)i;
	if (conn->settings.at.master[0] == '\0')
		return;
	for (uint32_t i = count; i > 1; i--) {
		uint32_t other = (uint32_t)(random_next(conn) % i);
		uint8_t swap = conn->order[i - 1];

		conn->order[i - 1] = conn->order[other];
		conn->order[other] = swap;
	}
}

int
conn_init(struct conn *conn, const struct xf_host *host, struct xf_endpoint *endpoint,
          const struct settings *settings, const struct xf_endpoint_info *info, size_t in_size, struct xf_error *error)
{
	bool to_stay = conn->to_stay;

	memset(conn, 0, sizeof(*conn));
	conn->to_stay = to_stay;
	conn->host = host;
	conn->endpoint = endpoint;
	conn->settings = *settings;
	conn->wants_master = settings->at.master[0] != '\0' || settings->at.server_count > 1;
	conn->fd = -1;
	conn->in_size = in_size;
	conn->backoff_ms = BACKOFF_FIRST_MS;
	name_make(conn->name, sizeof(conn->name), info);
	snprintf(conn->reason, sizeof(conn->reason), "not connected yet");
	if (getrandom(&conn->seed, sizeof(conn->seed), GRND_NONBLOCK) != sizeof(conn->seed))
		conn->seed = host->now_ms() ^ (uint64_t)(uintptr_t)conn;
	conn->seed |= 1;
	round_begin(conn);
	if (settings->at.tls) {
		conn->tls_context = tls_context_create(host, settings->tls, error);
		if (conn->tls_context == NULL)
			return -1;
	}
	conn->in.data = malloc(in_size);
	conn->in.size = in_size;
	conn->out.data = malloc(OUTPUT_FIRST);
	conn->out.size = OUTPUT_FIRST;
	if (conn->in.data == NULL || conn->out.data == NULL)
		return settings_fail(error, "no memory");
	if (settings->at.master[0] != '\0' && !conn->to_stay) {
		conn->watch = watch_create(conn, info, error);
		return conn->watch != NULL ? 0 : -1;
	}
	return 0;
}

void
conn_fini(struct conn *conn)
{
	conn_close(conn);
	watch_destroy(&conn->watch);
	tls_context_destroy(&conn->tls_context);
	free(conn->in.data);
	free(conn->out.data);
	conn->in.data = NULL;
	conn->out.data = NULL;
	settings_clear(&conn->settings);
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
	tls_destroy(&conn->tls);
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
	if (conn->watch != NULL)
		watch_close(conn->watch);
	socket_close(conn);
	addresses_drop(conn);
}

/* The full backoff or up to half less: whoever was cut off at once does not come back at once. */
static void
retry_after(struct conn *conn, uint64_t now, uint32_t ms)
{
	conn->retry_at = now + ms / 2 + random_next(conn) % (ms / 2 + 1);
}

/* Of the servers of a round the first one's reason stays. ARGS may hold the reason that stands already. */
static void
reason_set(struct conn *conn, const char *format, va_list args)
{
	uint32_t of = conn->phase == CONN_READY || conn->found ? 0 : conn->order[conn->tried];
	char text[sizeof(conn->reason)];

	if (of > conn->reason_of)
		return;
	vsnprintf(text, sizeof(text), format, args);
	memcpy(conn->reason, text, sizeof(text));
	conn->reason_of = of;
}

static void
backoff(struct conn *conn, uint64_t now)
{
	uint32_t first = conn->patient ? BACKOFF_REFUSED_MS : BACKOFF_FIRST_MS;
	uint32_t max = conn->patient ? BACKOFF_REFUSED_MAX_MS : BACKOFF_MAX_MS;

	if (conn->backoff_ms < first || conn->backoff_ms > max)
		conn->backoff_ms = first;
	retry_after(conn, now, conn->backoff_ms);
	conn->backoff_ms = conn->backoff_ms * 2 < max ? conn->backoff_ms * 2 : max;
}

/* Closes, and decides what is tried next and when. */
static void
attempt_ended(struct conn *conn, bool patient, bool blocked, uint64_t now)
{
	bool ready = conn->phase == CONN_READY;

	if (ready && now - conn->began_at >= STEADY_MS)
		conn->backoff_ms = BACKOFF_FIRST_MS;
	socket_close(conn);
	conn->blocked = blocked;
	if (!ready && !patient && conn->address != NULL) {
		conn->retry_at = now; /* the name has another address */
		return;
	}
	addresses_drop(conn);
	conn->patient |= patient;
	if (!ready && !conn->found && ++conn->tried < conn->settings.at.server_count) {
		conn->retry_at = now;
		return;
	}
	backoff(conn, now);
	round_begin(conn);
}

void
conn_lose(struct conn *conn, uint64_t now, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	reason_set(conn, format, args);
	va_end(args);
	attempt_ended(conn, false, false, now);
}

void
conn_refused(struct conn *conn, uint64_t now, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	reason_set(conn, format, args);
	va_end(args);
	attempt_ended(conn, true, false, now);
}

void
conn_blocked(struct conn *conn, uint64_t now, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	reason_set(conn, format, args);
	va_end(args);
	attempt_ended(conn, true, true, now);
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

static ssize_t
bytes_read(struct conn *conn, void *data, size_t size)
{
	ssize_t n;

	if (conn->tls != NULL)
		return tls_read(conn->tls, data, size);
	do
		n = recv(conn->fd, data, size, 0);
	while (n < 0 && errno == EINTR);
	return n;
}

ssize_t
conn_read(struct conn *conn, uint64_t now)
{
	struct conn_buffer *in = &conn->in;
	ssize_t n;

	if (conn->phase < CONN_GREETING)
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
	n = bytes_read(conn, in->data + in->len, in->size - in->len);
	if (n > 0) {
		in->len += (size_t)n;
		conn->heard_at = now;
		return n;
	}
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (n == 0)
		conn_lose(conn, now, "%s closed the connection%s%s", conn->who,
		          conn->tls != NULL && conn->phase == CONN_GREETING ? ": " : "",
		          conn->tls != NULL && conn->phase == CONN_GREETING ? tls_reason(conn->tls) : "");
	else if (errno == EPROTO && conn->tls != NULL && conn->phase == CONN_GREETING)
		conn_refused(conn, now, "%s: %s", conn->who, tls_reason(conn->tls)); /* our certificate, most likely */
	else
		conn_lose(conn, now, "reading from %s failed: %s", conn->who,
		          conn->tls != NULL ? tls_reason(conn->tls) : strerror(errno));
	return -1;
}

void
conn_flush(struct conn *conn, uint64_t now)
{
	struct conn_buffer *out = &conn->out;

	while (out->pos < out->len && !conn->failing) {
		const char *data = out->data + out->pos;
		size_t size = out->len - out->pos;
		ssize_t n = conn->tls != NULL ? tls_write(conn->tls, data, size)
		                              : send(conn->fd, data, size, MSG_NOSIGNAL);

		if (n > 0) {
			out->pos += (size_t)n;
			conn->written += (uint64_t)n;
			conn->wrote_at = now;
		} else if (n < 0 && errno == EINTR) {
			continue;
		} else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			return;
		} else {
			snprintf(conn->reason, sizeof(conn->reason), "writing to %s failed: %s", conn->who,
			         conn->tls != NULL ? tls_reason(conn->tls) : strerror(errno));
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
		conn_lose(conn, now, "the reply of %s is not understood; is this a Redis server?", conn->who);
		return NULL;
	}
	conn_consume(conn, (size_t)n);
	return reply;
}

/* ---- Connecting --------------------------------------------------------------------- */

/* The server to go to now. */
static const struct server *
server_next(const struct conn *conn)
{
	return conn->found ? &conn->master : &conn->settings.at.servers[conn->order[conn->tried]];
}

static bool
name_look_up(struct conn *conn, const struct server *server, uint64_t now)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	int error;

	error = getaddrinfo(server->host, server->port, &hints, &conn->addresses);
	if (error == EAI_NONAME || error == EAI_ADDRFAMILY) {
		hints.ai_flags = 0; /* a machine with only a loopback has no family "configured" */
		error = getaddrinfo(server->host, server->port, &hints, &conn->addresses);
	}
	if (error != 0) {
		conn->addresses = NULL;
		conn_lose(conn, now, "host '%s': %s", server->host, gai_strerror(error));
		return false;
	}
	conn->address = conn->addresses;
	return true;
}

static void
connect_to(struct conn *conn, const struct sockaddr *address, socklen_t size, int protocol, uint64_t now)
{
	int one = 1;

	conn->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
	if (conn->fd < 0) {
		conn_lose(conn, now, "no socket: %s", strerror(errno));
		return;
	}
	if (address->sa_family != AF_UNIX) {
		setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		setsockopt(conn->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	}
	conn->began_at = now;
	conn->phase = CONN_CONNECTING;
	if (connect(conn->fd, address, size) < 0 && errno != EINPROGRESS)
		conn_lose(conn, now, "cannot connect to %s: %s", conn->who, strerror(errno));
}

static void
connect_begin(struct conn *conn, uint64_t now)
{
	const struct server *server = server_next(conn);
	struct addrinfo *address;

	conn->in.pos = conn->in.len = 0;
	conn->out.pos = conn->out.len = 0;
	conn->queued = conn->written = 0;
	memset(&conn->scan, 0, sizeof(conn->scan));
	if (server->port[0] == '\0') {
		snprintf(conn->who, sizeof(conn->who), "%s", server->host);
		conn->path.sun_family = AF_UNIX;
		snprintf(conn->path.sun_path, sizeof(conn->path.sun_path), "%.107s", server->host);
		connect_to(conn, (const struct sockaddr *)&conn->path, sizeof(conn->path), 0, now);
		return;
	}
	snprintf(conn->who, sizeof(conn->who), "%s:%s", server->host, server->port);
	if (conn->address == NULL) {
		addresses_drop(conn);
		if (!name_look_up(conn, server, now))
			return;
	}
	address = conn->address;
	conn->address = address->ai_next;
	connect_to(conn, address->ai_addr, address->ai_addrlen, address->ai_protocol, now);
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
		conn_lose(conn, now, "cannot connect to %s: %s", conn->who, strerror(error));
		return;
	}
	conn->phase = CONN_GREETING;
	if (conn->tls_context != NULL) {
		conn->tls = tls_create(conn->tls_context, conn->fd, server_next(conn)->host);
		if (conn->tls == NULL) {
			conn_lose(conn, now, "no memory for TLS");
			return;
		}
		conn->phase = CONN_SECURING;
		return;
	}
	greeting_send(conn, now);
}

static void
secure(struct conn *conn, uint64_t now)
{
	switch (tls_handshake(conn->tls)) {
	case TLS_AGAIN:
		return;
	case TLS_DONE:
		conn->phase = CONN_GREETING;
		greeting_send(conn, now);
		return;
	case TLS_FAILED:
		if (errno == EPROTO) /* the two do not agree, and will not without a person */
			conn_refused(conn, now, "%s: %s", conn->who, tls_reason(conn->tls));
		else
			conn_lose(conn, now, "%s: %s", conn->who, tls_reason(conn->tls));
		return;
	}
}

/* All answers are there. A sentinel's is where the master is: on to that. */
static void
greeted(struct conn *conn, uint64_t now)
{
	addresses_drop(conn);
	if (conn->settings.at.master[0] != '\0' && !conn->found && !conn->to_stay) {
		socket_close(conn);
		conn->found = true;
		conn->retry_at = now;
		return;
	}
	conn->phase = CONN_READY;
	conn->was_ready = true;
	conn->blocked = false;
	conn->began_at = now;
	conn->heard_at = now;
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
	if (n == 0)
		snprintf(out, size, "an error without a reason");
}

/* To the new master directly: another sentinel may not know of it yet. */
static void
master_check(struct conn *conn, uint64_t now)
{
	const struct server *master = watch_work(conn->watch, &conn->master, now);

	if (master == NULL)
		return;
	conn_lose(conn, now, "the sentinels made %s:%s the master in the place of %s", master->host, master->port,
	          conn->who);
	conn->master = *master;
	conn->found = true;
	conn->retry_at = now;
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
	if (conn->phase == CONN_SECURING)
		secure(conn, now);
	if (conn->phase == CONN_GREETING) {
		conn_flush(conn, now);
		if (greeting_read(conn, now))
			greeted(conn, now);
	}
	if (conn->phase != CONN_WAITING && conn->phase != CONN_READY &&
	    now - conn->began_at >= conn->settings.connect_timeout_ms)
		conn_lose(conn, now, "cannot connect to %s: no answer within %u ms%s", conn->who,
		          conn->settings.connect_timeout_ms,
		          conn->phase == CONN_SECURING ? "; is there TLS on this port?" : "");
	if (conn->phase == CONN_READY && conn->watch != NULL)
		master_check(conn, now);
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
conn_wait(const struct conn *conn, struct xf_work *work, bool reading, uint64_t now)
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
	case CONN_SECURING:
	case CONN_GREETING:
		work->events = POLLIN | (conn_unwritten(conn) > 0 ? POLLOUT : 0);
		work_until(work, conn->began_at + conn->settings.connect_timeout_ms, now);
		break;
	case CONN_READY:
		work->events = (reading ? POLLIN : 0) | (conn_unwritten(conn) > 0 ? POLLOUT : 0);
		if (conn->failing || (reading && conn_readable(conn, 0)))
			work->timeout_ms = 0;
		break;
	}
	if (conn->tls != NULL)
		work->events = tls_events(conn->tls, work->events);
	if (conn->watch != NULL && work->timeout_ms > WATCH_MS)
		work->timeout_ms = WATCH_MS;
}

void
conn_tell(struct conn *conn, uint32_t state, const char *reason)
{
	if (reason == NULL)
		reason = "";
	if (conn->told && conn->told_state == state && strcmp(conn->told_reason, reason) == 0)
		return;
	conn->told = true;
	conn->told_state = state;
	snprintf(conn->told_reason, sizeof(conn->told_reason), "%s", reason);
	conn->host->state(conn->endpoint, state, reason[0] != '\0' ? reason : NULL);
}

void
conn_tell_waiting(struct conn *conn)
{
	if (conn->was_ready || (conn->tried == 0 && !conn->found))
		conn_tell(conn, conn->blocked ? XF_STATE_BLOCKED : XF_STATE_DOWN, conn->reason);
	conn->was_ready = false;
}
