/*
 * wire.c - the bytes of a connection, by hand.
 *
 * Why by hand: the client library of today sends three times per message, waits without limit while the
 * broker does not read, with an overdue heartbeat waits for ever, and gives away no TLS of its own.
 *
 * A dead peer is found by its silence (two heartbeats) and by keepalive; where nobody listens, by TCP_USER_TIMEOUT once
 * anything is unacknowledged. That takes a broker for dead, too, that lives and takes nothing in for so long, so it is
 * kept from those who publish.
 */
#include "wire.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connect.h"
#include "tls.h"

/* A method, a header and a body frame of full size fit, so a delivery in one body frame is never copied. */
#define WIRE_IN_SIZE (512 * 1024)

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 1500 /* who returns is found within two seconds */
#define BACKOFF_REFUSED_MS 15000
#define CLOSE_WAIT_MS 1000

bool
wire_init(struct wire *wire, const struct xf_host *host, struct xf_endpoint *endpoint,
          const struct xf_config *transport, const struct xf_endpoint_info *info, struct xf_error *error)
{
	memset(wire, 0, sizeof(*wire));
	wire->host = host;
	wire->endpoint = endpoint;
	wire->fd = -1;
	wire->backoff_ms = BACKOFF_MIN_MS;
	wire->random = (uint64_t)host->wall_ms() ^ (uint64_t)(uintptr_t)wire << 20 ^ (uint64_t)getpid() << 40;
	if (!settings_read(host, transport, &wire->settings, error))
		return false;
	if (wire->settings.tls) {
		wire->tls_context = tls_context_create(host, host->option(transport, TRANSPORT_TLS)->map, error);
		if (wire->tls_context == NULL)
			return false;
	}
	wire->server = &wire->settings.servers[0];
	wire->in = malloc(WIRE_IN_SIZE);
	if (asprintf(&wire->name, "crossfade %.*s %.*s", SETTINGS_STR(info->server), SETTINGS_STR(info->name)) < 0)
		wire->name = NULL;
	if (wire->in != NULL && wire->name != NULL)
		return true;
	settings_fail(error, "out of memory");
	return false;
}

void
wire_fini(struct wire *wire)
{
	codec_buffer_fini(&wire->out);
	tls_context_destroy(&wire->tls_context);
	free(wire->in);
	free(wire->name);
	wire->in = NULL;
	wire->name = NULL;
}

static uint32_t
random_next(struct wire *wire)
{
	wire->random = wire->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(wire->random >> 33);
}

uint32_t
wire_jitter(struct wire *wire, uint32_t base_ms)
{
	return base_ms - base_ms / 4 + random_next(wire) % (base_ms / 2 + 1);
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
wire_sight(struct wire *wire, const struct xf_sight *sight)
{
	const struct xf_host *host = wire->host;

	if (host->struct_size > offsetof(struct xf_host, sight) && host->sight != NULL)
		host->sight(wire->endpoint, sight);
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

void
wire_blocked(struct wire *wire, struct xf_str reason)
{
	wire->blocked = true;
	snprintf(wire->blocked_reason, sizeof(wire->blocked_reason), "memory or disk alarm: %.*s",
	         SETTINGS_STR(reason));
}

/* So that the clients of a cluster do not all go to its first server. */
static void
servers_shuffle(struct wire *wire)
{
	uint32_t i;

	for (i = 0; i < wire->settings.server_count; i++) {
		uint32_t other = random_next(wire) % (i + 1);

		wire->order[i] = wire->order[other];
		wire->order[other] = (uint8_t)i;
	}
}

static void
descriptor_close(struct wire *wire)
{
	tls_destroy(&wire->tls);
	if (wire->fd >= 0)
		close(wire->fd);
	wire->fd = -1;
	wire->in_start = wire->in_end = 0;
	wire->out.start = wire->out.end = 0;
}

static void
pause_choose(struct wire *wire, uint64_t now)
{
	wire->connect_at_ms = now + wire_jitter(wire, wire->refused ? BACKOFF_REFUSED_MS : wire->backoff_ms);
	wire->backoff_ms = wire->backoff_ms * 2 < BACKOFF_MAX_MS ? wire->backoff_ms * 2 : BACKOFF_MAX_MS;
}

/* The next server follows at once; what happened is told when none is left. */
static void
try_failed(struct wire *wire)
{
	size_t len = strlen(wire->round);
	uint64_t now = wire->host->now_ms();

	snprintf(wire->round + len, sizeof(wire->round) - len, "%sconnecting to %s:%u: %s", len > 0 ? "; " : "",
	         wire->server->host, wire->server->port, wire->error);
	descriptor_close(wire);
	wire->connect_at_ms = now;
	if (wire->tried < wire->settings.server_count)
		return;
	wire->tried = 0;
	pause_choose(wire, now);
	wire_state(wire, XF_STATE_DOWN, "%s", wire->round);
}

bool
wire_connect(struct wire *wire)
{
	uint64_t now = wire->host->now_ms();

	if (now < wire->connect_at_ms)
		return false;
	if (wire->tried == 0) {
		servers_shuffle(wire);
		wire->refused = false;
		wire->round[0] = '\0';
	}
	wire->server = &wire->settings.servers[wire->order[wire->tried++]];
	wire->failed = wire->blocked = false;
	wire->sent = 0;
	if (!connect_open(wire, now + wire->settings.connect_timeout_ms)) {
		try_failed(wire);
		return false;
	}
	wire->tried = 0;
	wire->connected_ms = wire->read_ms = wire->wrote_ms = wire->host->now_ms();
	return true;
}

void
wire_drop(struct wire *wire)
{
	uint64_t now = wire->host->now_ms();

	/* What lasted a while was a good connection: the next try comes soon again. */
	if (now - wire->connected_ms >= BACKOFF_MAX_MS)
		wire->backoff_ms = BACKOFF_MIN_MS;
	pause_choose(wire, now);
	descriptor_close(wire);
	wire_state(wire, XF_STATE_DOWN, "%s", wire->error);
}

/* ---- Bytes ---------------------------------------------------------------------- */

/* Why reading or writing has failed; errno still says so. */
static const char *
io_reason(const struct wire *wire)
{
	int error = errno;
	const char *reason = wire->tls != NULL ? tls_reason(wire->tls) : "";

	return reason[0] != '\0' ? reason : strerror(error);
}

uint32_t
wire_events(const struct wire *wire, bool reading)
{
	uint32_t wanted = (reading ? POLLIN : 0) | (wire_pending(wire) > 0 ? POLLOUT : 0);

	return wire->tls != NULL ? tls_events(wire->tls, wanted) : wanted;
}

void
wire_flush(struct wire *wire)
{
	while (!wire->failed && wire_pending(wire) > 0) {
		const uint8_t *data = wire->out.data + wire->out.start;
		ssize_t n = wire->tls != NULL ? tls_write(wire->tls, data, wire_pending(wire))
		                              : send(wire->fd, data, wire_pending(wire), MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (errno != EAGAIN && errno != EWOULDBLOCK)
				wire_fail(wire, "writing: %s", io_reason(wire));
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
		n = wire->tls != NULL ? tls_read(wire->tls, wire->in + wire->in_end, room)
		                      : recv(wire->fd, wire->in + wire->in_end, room, 0);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		wire->in_end += (size_t)n;
		wire->read_ms = wire->host->now_ms();
		return (size_t)n < room ? WIRE_ALL : WIRE_SOME; /* poll() tells of what comes after */
	}
	if (n == 0)
		wire_fail(wire, "the broker closed the connection");
	else if (errno != EAGAIN && errno != EWOULDBLOCK)
		wire_fail(wire, "reading: %s", io_reason(wire));
	return WIRE_NOTHING;
}

bool
wire_full(const struct wire *wire)
{
	return wire->in_end - wire->in_start == WIRE_IN_SIZE;
}

void
wire_void(struct wire *wire, size_t behind)
{
	uint8_t *frame = wire->in + wire->in_start + behind;

	frame[0] = CODEC_FRAME_HEARTBEAT;
	frame[1] = frame[2] = 0; /* the channel */
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
		wire_blocked(wire, text);
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
input_waits(const struct wire *wire)
{
	uint8_t byte;

	return (wire->tls != NULL && tls_pending(wire->tls) > 0) ||
	       recv(wire->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

uint32_t
wire_tick(struct wire *wire, uint64_t now, bool reading)
{
	uint64_t send_at, due;

	if (wire->heartbeat_ms == 0)
		return 1000;
	if (reading && now - wire->read_ms >= 2 * (uint64_t)wire->heartbeat_ms && input_waits(wire))
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
	due = wire->read_ms + 2 * (uint64_t)wire->heartbeat_ms;
	if (send_at < due)
		due = send_at;
	/* Where nothing is read, often enough to know from when on it is again. */
	return due - now < wire->heartbeat_ms / 5 ? (uint32_t)(due - now) : wire->heartbeat_ms / 5;
}

/* ---- The end --------------------------------------------------------------------------- */

void
wire_close(struct wire *wire)
{
	uint64_t until = wire->host->now_ms() + CLOSE_WAIT_MS;
	struct codec_frame frame;

	if (wire->fd < 0)
		return;
	if (!wire->failed)
		codec_write_close(&wire->out, 0, CODEC_CONNECTION_CLOSE, 200, "bye");
	/* An alarmed broker does not read what publishers send; it would not answer. */
	while (!wire->failed && !wire->blocked) {
		struct pollfd poller = {.fd = wire->fd};
		uint64_t now = wire->host->now_ms();

		wire_flush(wire);
		poller.events = (short)wire_events(wire, true);
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
	descriptor_close(wire);
}
