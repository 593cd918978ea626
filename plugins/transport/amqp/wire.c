/*
 * wire.c - connecting by the library, everything after that by hand.
 *
 * Why by hand: the library of today sends three times per message, waits without limit while the
 * broker does not read, and with an overdue heartbeat waits for ever. At the hand-over it must hold
 * no input of its own: it asks one thing at a time while logging in, and nothing has been subscribed to,
 * so only a heartbeat or an alarm can be there; those are read through it until none is left.
 *
 * A dead peer is found by its silence (two heartbeats), by TCP_USER_TIMEOUT once anything is unacknowledged,
 * and by keepalive.
 */
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>

#define FRAME_MAX 131072
#define FRAME_MIN 4096
/* A method, a header and a body frame of full size fit, so a delivery in one body frame is never copied. */
#define WIRE_IN_SIZE (512 * 1024)

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000
#define BACKOFF_REFUSED_MS 15000
#define CLOSE_WAIT_MS 1000

bool
wire_init(struct wire *wire, const struct xf_host *host, struct xf_endpoint *endpoint,
          const struct settings *settings, const struct xf_endpoint_info *info)
{
	memset(wire, 0, sizeof(*wire));
	wire->host = host;
	wire->endpoint = endpoint;
	wire->settings = settings;
	wire->fd = -1;
	wire->backoff_ms = BACKOFF_MIN_MS;
	wire->random = (uint64_t)host->wall_ms() ^ (uint64_t)(uintptr_t)wire << 20 ^ (uint64_t)getpid() << 40;
	wire->in = malloc(WIRE_IN_SIZE);
	if (asprintf(&wire->name, "crossfade %.*s %.*s", SETTINGS_STR(info->server), SETTINGS_STR(info->name)) < 0)
		wire->name = NULL;
	return wire->in != NULL && wire->name != NULL;
}

void
wire_fini(struct wire *wire)
{
	codec_buffer_fini(&wire->out);
	free(wire->in);
	free(wire->name);
	wire->in = NULL;
	wire->name = NULL;
}

uint32_t
wire_jitter(struct wire *wire, uint32_t base_ms)
{
	wire->random = wire->random * 6364136223846793005u + 1442695040888963407u;
	return base_ms - base_ms / 4 + (uint32_t)(wire->random >> 33) % (base_ms / 2 + 1);
}

void
wire_log(struct wire *wire, uint32_t level, const char *format, ...)
{
	char text[WIRE_REASON_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	wire->host->log(wire->endpoint, level, text);
}

void
wire_state(struct wire *wire, uint32_t state, const char *format, ...)
{
	char text[WIRE_REASON_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (state == wire->state && strcmp(text, wire->reason) == 0)
		return;
	wire->state = state;
	strcpy(wire->reason, text);
	wire->host->state(wire->endpoint, state, text[0] != '\0' ? text : NULL);
}

void
wire_fail(struct wire *wire, const char *format, ...)
{
	va_list args;

	if (wire->failed)
		return;
	wire->failed = true;
	va_start(args, format);
	vsnprintf(wire->error, sizeof(wire->error), format, args);
	va_end(args);
}

/* ---- Connecting -------------------------------------------------------------- */

static struct timeval
timeval_of(uint64_t ms)
{
	return (struct timeval){.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
}

static amqp_table_entry_t
entry_text(const char *key, const char *value)
{
	return (amqp_table_entry_t){
		.key = amqp_cstring_bytes(key),
		.value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(value)},
	};
}

static amqp_table_entry_t
entry_true(const char *key)
{
	return (amqp_table_entry_t){
		.key = amqp_cstring_bytes(key),
		.value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1},
	};
}

static void
login_failed(struct wire *wire, amqp_rpc_reply_t reply)
{
	if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
		const amqp_connection_close_t *close_method = reply.reply.decoded;

		wire->refused = close_method->reply_code == AMQP_ACCESS_REFUSED;
		wire_fail(wire, "the broker refuses the connection: %.*s", (int)close_method->reply_text.len,
		          (const char *)close_method->reply_text.bytes);
	} else if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) {
		wire_fail(wire, "logging in: %s", amqp_error_string2(reply.library_error));
	} else {
		wire_fail(wire, "logging in: unexpected answer");
	}
}

static void
login(struct wire *wire, uint64_t left_ms)
{
	amqp_table_entry_t capabilities[] = {
		entry_true("publisher_confirms"),        entry_true("basic.nack"),
		entry_true("connection.blocked"),        entry_true("consumer_cancel_notify"),
		entry_true("authentication_failure_close"),
	};
	amqp_table_entry_t properties[] = {
		entry_text("product", "crossfade"),
		entry_text("connection_name", wire->name),
		{
			.key = amqp_cstring_bytes("capabilities"),
			.value = {.kind = AMQP_FIELD_KIND_TABLE,
		                  .value.table = {sizeof(capabilities) / sizeof(capabilities[0]), capabilities}},
		},
	};
	amqp_table_t table = {sizeof(properties) / sizeof(properties[0]), properties};
	/* The library counts the handshake and the opening of the vhost apart. */
	struct timeval handshake = timeval_of(left_ms * 2 / 3);
	struct timeval rpc = timeval_of(left_ms / 3);
	amqp_rpc_reply_t reply;

	amqp_set_handshake_timeout(wire->library, &handshake);
	amqp_set_rpc_timeout(wire->library, &rpc);
	reply = amqp_login_with_properties(wire->library, wire->settings->vhost, (int)WIRE_CHANNEL_DECLARE,
	                                   FRAME_MAX, (int)(wire->settings->heartbeat_ms / 1000), &table,
	                                   AMQP_SASL_METHOD_PLAIN, wire->settings->user, wire->settings->password);
	if (reply.reply_type != AMQP_RESPONSE_NORMAL)
		login_failed(wire, reply);
}

static void
blocked_set(struct wire *wire, struct xf_str reason)
{
	wire->blocked = true;
	snprintf(wire->blocked_reason, sizeof(wire->blocked_reason), "memory or disk alarm: %.*s",
	         SETTINGS_STR(reason));
}

/* Empties the library's input: after a whole frame with nothing behind it, the socket is between frames. */
static void
library_drain(struct wire *wire)
{
	struct timeval wait = timeval_of(500);
	amqp_frame_t frame;

	while (!wire->failed && (amqp_frames_enqueued(wire->library) || amqp_data_in_buffer(wire->library))) {
		int status = amqp_simple_wait_frame_noblock(wire->library, &frame, &wait);

		if (status != AMQP_STATUS_OK) {
			wire_fail(wire, "after logging in: %s", amqp_error_string2(status));
		} else if (frame.frame_type == AMQP_FRAME_METHOD &&
		           frame.payload.method.id == AMQP_CONNECTION_BLOCKED_METHOD) {
			const amqp_connection_blocked_t *method = frame.payload.method.decoded;

			blocked_set(wire, (struct xf_str){method->reason.bytes, method->reason.len});
		} else if (frame.frame_type != AMQP_FRAME_HEARTBEAT) {
			wire_fail(wire, "after logging in: a frame that nobody asked for");
		}
	}
}

static void
socket_option(int fd, int level, int option, int value)
{
	/* Each only helps; one that a kernel does not know does no harm. */
	(void)setsockopt(fd, level, option, &value, sizeof(value));
}

static void
socket_take(struct wire *wire)
{
	int fd = amqp_get_sockfd(wire->library);
	int flags = fcntl(fd, F_GETFL);

	if (fd < 0 || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		wire_fail(wire, "socket: %s", strerror(errno));
		return;
	}
	socket_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	socket_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	socket_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 10);
	socket_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 5);
	socket_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
	socket_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)(2 * wire->settings->heartbeat_ms));
	wire->fd = fd;

	wire->frame_max = (uint32_t)amqp_get_frame_max(wire->library);
	if (wire->frame_max == 0 || wire->frame_max > FRAME_MAX)
		wire->frame_max = FRAME_MAX;
	if (wire->frame_max < FRAME_MIN)
		wire_fail(wire, "the broker wants frames of at most %u bytes; AMQP guarantees %d", wire->frame_max,
		          FRAME_MIN);
	wire->heartbeat_ms = (uint32_t)amqp_get_heartbeat(wire->library) * 1000;
}

static void
library_free(struct wire *wire)
{
	if (wire->library != NULL)
		amqp_destroy_connection(wire->library);
	wire->library = NULL;
	wire->fd = -1;
}

bool
wire_connect(struct wire *wire)
{
	uint64_t began = wire->host->now_ms(), elapsed;
	struct timeval timeout = timeval_of(wire->settings->connect_timeout_ms);
	amqp_socket_t *socket;
	int status;

	if (began < wire->connect_at_ms)
		return false;
	wire->failed = wire->refused = wire->blocked = false;
	wire->out.start = wire->out.end = 0;
	wire->in_start = wire->in_end = 0;
	wire->sent = 0;

	wire->library = amqp_new_connection();
	socket = wire->library != NULL ? amqp_tcp_socket_new(wire->library) : NULL;
	if (socket == NULL) {
		wire_fail(wire, "out of memory");
		wire_drop(wire);
		return false;
	}
	status = amqp_socket_open_noblock(socket, wire->settings->host, wire->settings->port, &timeout);
	elapsed = wire->host->now_ms() - began;
	if (status != AMQP_STATUS_OK)
		/* The library does not keep what the socket said. */
		wire_fail(wire, "connecting to %s:%u: %s", wire->settings->host, wire->settings->port,
		          status == AMQP_STATUS_SOCKET_ERROR ? "connection refused, or no way there"
		                                             : amqp_error_string2(status));
	else if (elapsed >= wire->settings->connect_timeout_ms)
		wire_fail(wire, "connecting to %s:%u: timed out", wire->settings->host, wire->settings->port);
	if (!wire->failed)
		login(wire, wire->settings->connect_timeout_ms - elapsed);
	if (!wire->failed)
		library_drain(wire);
	if (!wire->failed)
		socket_take(wire);
	if (wire->failed) {
		wire_drop(wire);
		return false;
	}
	wire->connected_ms = wire->read_ms = wire->wrote_ms = wire->host->now_ms();
	return true;
}

void
wire_drop(struct wire *wire)
{
	uint64_t now = wire->host->now_ms();

	/* What lasted a while was a good connection: the next try comes soon again. */
	if (wire->fd >= 0 && now - wire->connected_ms >= BACKOFF_MAX_MS)
		wire->backoff_ms = BACKOFF_MIN_MS;
	wire->connect_at_ms = now + wire_jitter(wire, wire->refused ? BACKOFF_REFUSED_MS : wire->backoff_ms);
	wire->backoff_ms = wire->backoff_ms * 2 < BACKOFF_MAX_MS ? wire->backoff_ms * 2 : BACKOFF_MAX_MS;
	library_free(wire);
	wire->in_start = wire->in_end = 0;
	wire->out.start = wire->out.end = 0;
	wire_state(wire, XF_STATE_DOWN, "%s", wire->error);
}

/* ---- Bytes ---------------------------------------------------------------------- */

void
wire_flush(struct wire *wire)
{
	while (!wire->failed && wire_pending(wire) > 0) {
		ssize_t n = send(wire->fd, wire->out.data + wire->out.start, wire_pending(wire), MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (errno != EAGAIN && errno != EWOULDBLOCK)
				wire_fail(wire, "writing: %s", strerror(errno));
			break;
		}
		wire->out.start += (size_t)n;
		wire->sent += (uint64_t)n;
		wire->wrote_ms = wire->host->now_ms();
	}
	if (wire_pending(wire) == 0) {
		wire->out.start = wire->out.end = 0;
		if (wire->out.size > 4 * 1024 * 1024) /* after one large message */
			codec_buffer_fini(&wire->out);
	}
}

enum wire_news
wire_read(struct wire *wire)
{
	size_t unread = wire->in_end - wire->in_start, room;
	ssize_t n;

	if (wire->failed)
		return WIRE_NOTHING;
	if (unread == 0) {
		wire->in_start = wire->in_end = 0;
	} else if (WIRE_IN_SIZE - wire->in_end < WIRE_IN_SIZE / 2 && wire->in_start > 0) {
		memmove(wire->in, wire->in + wire->in_start, unread);
		wire->in_start = 0;
		wire->in_end = unread;
	}
	room = WIRE_IN_SIZE - wire->in_end;
	if (room == 0)
		return WIRE_NOTHING;
	do {
		n = recv(wire->fd, wire->in + wire->in_end, room, 0);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		wire->in_end += (size_t)n;
		wire->read_ms = wire->host->now_ms();
		return (size_t)n < room ? WIRE_ALL : WIRE_SOME; /* poll() tells of what comes after */
	}
	if (n == 0)
		wire_fail(wire, "the broker closed the connection");
	else if (errno != EAGAIN && errno != EWOULDBLOCK)
		wire_fail(wire, "reading: %s", strerror(errno));
	return WIRE_NOTHING;
}

enum codec_status
wire_peek(struct wire *wire, size_t behind, struct codec_frame *frame)
{
	size_t at = wire->in_start + behind;
	enum codec_status status;

	if (wire->failed)
		return CODEC_BAD;
	status = codec_frame_read(wire->in + at, wire->in_end - at, wire->frame_max, frame);
	if (status == CODEC_BAD)
		wire_fail(wire, "the broker sent something that is not AMQP");
	return status;
}

/* ---- Control ----------------------------------------------------------------------- */

void
wire_control(struct wire *wire, const struct codec_frame *frame)
{
	struct codec_cursor at;
	struct codec_close reason;
	struct xf_str text;

	if (frame->type == CODEC_FRAME_HEARTBEAT)
		return;
	switch (frame->method) {
	case CODEC_CONNECTION_CLOSE:
		if (!codec_close_read(frame, &reason)) {
			wire_fail(wire, "the broker sent a malformed connection.close");
			return;
		}
		codec_write_empty(&wire->out, 0, CODEC_CONNECTION_CLOSE_OK);
		wire_flush(wire);
		wire_fail(wire, "the broker closed the connection: %u %.*s", reason.code, SETTINGS_STR(reason.text));
		return;
	case CODEC_CONNECTION_CLOSE_OK:
		wire_fail(wire, "closed");
		return;
	case CODEC_CONNECTION_BLOCKED:
		at = codec_arguments(frame);
		text = codec_short(&at);
		blocked_set(wire, text);
		return;
	case CODEC_CONNECTION_UNBLOCKED:
		wire->blocked = false;
		return;
	default:
		wire_fail(wire, "the broker sent an unexpected method %u.%u", frame->method >> 16,
		          frame->method & 0xFFFF);
	}
}

/* Input that nobody reads hides the end of the stream behind it; the kernel knows. */
static bool
peer_gone(int fd)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && info.tcpi_state != TCP_ESTABLISHED;
}

static bool
input_waits(int fd)
{
	uint8_t byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

uint32_t
wire_tick(struct wire *wire, uint64_t now, bool reading)
{
	uint64_t send_at;

	if (wire->heartbeat_ms == 0)
		return 1000;
	if (reading && now - wire->read_ms >= 2 * (uint64_t)wire->heartbeat_ms && input_waits(wire->fd))
		wire->read_ms = now; /* it was us who were away */
	if (reading && now - wire->read_ms >= 2 * (uint64_t)wire->heartbeat_ms) {
		wire_fail(wire, "the broker has been silent for %" PRIu64 " ms", now - wire->read_ms);
		return 0;
	}
	if (!reading)
		wire->read_ms = now; /* silence counts from when it is listened to again */
	send_at = wire->wrote_ms + wire->heartbeat_ms / 2;
	if (now >= send_at) {
		if (!reading && peer_gone(wire->fd)) {
			wire_fail(wire, "the broker closed the connection");
			return 0;
		}
		if (wire_pending(wire) == 0) {
			codec_write_heartbeat(&wire->out);
			wire_flush(wire);
		}
		send_at = now + wire->heartbeat_ms / 2;
	}
	/* Often enough to see silence within a tenth of its time. */
	return (uint32_t)(send_at - now < wire->heartbeat_ms / 5 ? send_at - now : wire->heartbeat_ms / 5);
}

/* ---- The end --------------------------------------------------------------------------- */

void
wire_close(struct wire *wire)
{
	uint64_t until = wire->host->now_ms() + CLOSE_WAIT_MS;
	struct codec_frame frame;

	if (wire->library == NULL)
		return;
	if (!wire->failed)
		codec_write_close(&wire->out, 0, CODEC_CONNECTION_CLOSE, 200, "bye");
	/* An alarmed broker does not read what publishers send; it would not answer. */
	while (!wire->failed && !wire->blocked) {
		struct pollfd poller = {.fd = wire->fd, .events = POLLIN};
		uint64_t now = wire->host->now_ms();

		wire_flush(wire);
		if (wire_pending(wire) > 0)
			poller.events |= POLLOUT;
		if (now >= until || (poll(&poller, 1, (int)(until - now)) < 0 && errno != EINTR))
			break;
		/* What still comes is for nobody; the broker offers it again to others. */
		wire_read(wire);
		while (wire_peek(wire, 0, &frame) == CODEC_OK) {
			if (frame.channel == 0)
				wire_control(wire, &frame);
			wire_consume(wire, frame.total);
		}
	}
	library_free(wire);
}
