/*
 * connect.c - see connect.h.
 *
 * The socket never blocks; waiting is poll() with what is left of the time. The login goes through the buffers and the
 * codec of the connection, so that TLS needs no second way and nothing has to be handed over afterwards:
 *
 *   protocol header -> start, start-ok -> tune, tune-ok and open -> open-ok
 *
 * A broker says no by connection.close, or, an old one, by hanging up.
 */
#include "connect.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tls.h"

#define FRAME_MIN 4096u
#define ACCESS_REFUSED 403
#define NOT_ALLOWED 530 /* the vhost, for this user */
#define TIMED_OUT "timed out"

/* ---- The socket -------------------------------------------------------------------- */

/* Waits for EVENTS. False: the time is over. */
static bool
descriptor_wait(struct wire *wire, int fd, uint32_t events, uint64_t until)
{
	for (;;) {
		struct pollfd poller = {.fd = fd, .events = (short)events};
		uint64_t now = wire->host->now_ms();

		if (now >= until)
			return false;
		if (poll(&poller, 1, (int)(until - now)) > 0)
			return true;
	}
}

/* The same for the connection, which then has failed. */
static bool
socket_wait(struct wire *wire, uint32_t events, uint64_t until)
{
	bool came = descriptor_wait(wire, wire->fd, events, until);

	if (!came)
		wire_fail(wire, "%s", TIMED_OUT);
	return came;
}

/* Connects FD. 0, or an errno. */
static int
socket_connect(struct wire *wire, int fd, const struct addrinfo *address, uint64_t until)
{
	socklen_t size = sizeof(int);
	int error = 0;

	if (connect(fd, address->ai_addr, address->ai_addrlen) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	if (!descriptor_wait(wire, fd, POLLOUT, until))
		return ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
		return errno;
	return error;
}

static void
socket_option(int fd, int level, int option, int value)
{
	/* Each only helps; one that a kernel does not know does no harm. */
	(void)setsockopt(fd, level, option, &value, sizeof(value));
}

static void
socket_tune(struct wire *wire)
{
	socket_option(wire->fd, IPPROTO_TCP, TCP_NODELAY, 1);
	socket_option(wire->fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	socket_option(wire->fd, IPPROTO_TCP, TCP_KEEPIDLE, 10);
	socket_option(wire->fd, IPPROTO_TCP, TCP_KEEPINTVL, 5);
	socket_option(wire->fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
	if (wire->pauses)
		socket_option(wire->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)(2 * wire->settings.heartbeat_ms));
}

/* The first of the host's addresses that answers. */
static bool
socket_open(struct wire *wire, uint64_t until)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list, *address;
	char port[8];
	int status, error = 0;

	snprintf(port, sizeof(port), "%u", wire->server->port);
	status = getaddrinfo(wire->server->host, port, &hints, &list);
	if (status != 0) {
		wire_fail(wire, "%s", gai_strerror(status));
		return false;
	}
	for (address = list; address != NULL && wire->fd < 0; address = address->ai_next) {
		int fd = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, address->ai_protocol);
		uint64_t now = wire->host->now_ms(), left = until > now ? until - now : 0;

		/* A silent address leaves half of what is left to the next. */
		error = fd < 0 ? errno : socket_connect(wire, fd, address, now + (address->ai_next != NULL ? left / 2 : left));
		if (error == 0)
			wire->fd = fd;
		else if (fd >= 0)
			close(fd);
	}
	freeaddrinfo(list);
	if (wire->fd < 0) {
		wire_fail(wire, "%s", error == ETIMEDOUT ? TIMED_OUT : strerror(error));
		return false;
	}
	socket_tune(wire);
	return true;
}

static bool
tls_open(struct wire *wire, uint64_t until)
{
	enum tls_progress progress;

	wire->tls = tls_create(wire->tls_context, wire->fd, wire->server->host);
	if (wire->tls == NULL) {
		wire_fail(wire, "out of memory");
		return false;
	}
	while ((progress = tls_handshake(wire->tls)) == TLS_AGAIN)
		if (!socket_wait(wire, tls_events(wire->tls, 0), until))
			return false;
	if (progress == TLS_FAILED)
		wire_fail(wire, "%s", tls_reason(wire->tls));
	return progress == TLS_DONE;
}

/* ---- The login ------------------------------------------------------------------------- */

static void
login_refused(struct wire *wire, const struct codec_frame *frame)
{
	struct codec_close reason;

	if (!codec_close_read(frame, &reason)) {
		wire_fail(wire, "the broker sent a malformed connection.close");
		return;
	}
	wire->refused = reason.code == ACCESS_REFUSED || reason.code == NOT_ALLOWED;
	wire_fail(wire, "the broker refuses the connection: %.*s", SETTINGS_STR(reason.text));
}

/* Sends what is there, then waits for METHOD. FRAME holds until the next read. */
static bool
login_await(struct wire *wire, uint32_t method, uint64_t until, struct codec_frame *frame)
{
	for (;;) {
		enum codec_status status;

		wire_flush(wire);
		status = wire_peek(wire, 0, frame);
		if (wire->failed)
			return false;
		if (status == CODEC_MORE) {
			if (wire_read(wire) == WIRE_NOTHING && !wire->failed &&
			    !socket_wait(wire, wire_events(wire, true), until))
				return false;
			continue;
		}
		wire_consume(wire, frame->total);
		if (frame->method == CODEC_CONNECTION_CLOSE) {
			login_refused(wire, frame);
			return false;
		}
		if (frame->type == CODEC_FRAME_METHOD && frame->channel == 0 && frame->method == method)
			return true;
		wire_control(wire, frame);
	}
}

/* Who we are, and that we know what not every client knows. */
static bool
properties_write(const struct wire *wire, struct codec_buffer *table)
{
	static const char *const known[] = {"publisher_confirms", "basic.nack", "connection.blocked",
	                                    "consumer_cancel_notify", "authentication_failure_close"};
	struct codec_buffer capabilities = {0};
	bool whole = true;
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		whole = codec_put_bool(&capabilities, known[i], true) && whole;
	whole = whole && codec_put_text(table, "product", settings_str("crossfade")) &&
	        codec_put_text(table, "version", settings_str(XF_VERSION)) &&
	        codec_put_text(table, "connection_name", settings_str(wire->name)) &&
	        codec_put_table(table, "capabilities", codec_buffer_bytes(&capabilities));
	codec_buffer_fini(&capabilities);
	return whole;
}

/* Whether NAME is one of the words of LIST. */
static bool
word_among(struct xf_str list, const char *name)
{
	size_t len = strlen(name);
	uint64_t at = 0, end;

	for (; at < list.len; at = end + 1) {
		for (end = at; end < list.len && list.data[end] != ' '; end++)
			;
		if (end - at == len && memcmp(list.data + at, name, len) == 0)
			return true;
	}
	return false;
}

static bool
start_answer(struct wire *wire, const struct codec_frame *frame)
{
	const char *mechanism = wire->settings.external ? "EXTERNAL" : "PLAIN";
	char response[2 * SETTINGS_TEXT_MAX + 2];
	struct codec_buffer table = {0};
	struct xf_str mechanisms;
	size_t user_len, len = 0;
	bool whole;

	if (!codec_start_read(frame, &mechanisms)) {
		wire_fail(wire, "the broker sent a malformed connection.start");
		return false;
	}
	if (!word_among(mechanisms, mechanism)) {
		wire_fail(wire, "the broker does not let log in by %s, but by %.*s%s", mechanism, SETTINGS_STR(mechanisms),
		          wire->settings.external ? "; enable its plugin rabbitmq_auth_mechanism_ssl" : "");
		return false;
	}
	if (!wire->settings.external) {
		user_len = strlen(wire->server->user);
		response[len++] = '\0';
		memcpy(response + len, wire->server->user, user_len);
		len += user_len;
		response[len++] = '\0';
		strcpy(response + len, wire->server->password);
		len += strlen(wire->server->password);
	}
	whole = properties_write(wire, &table) &&
	        codec_write_start_ok(&wire->out, codec_buffer_bytes(&table), mechanism, (struct xf_str){response, len});
	codec_buffer_fini(&table);
	if (!whole)
		wire_fail(wire, "out of memory");
	return whole;
}

static uint32_t
least(uint32_t ours, uint32_t theirs)
{
	return theirs == 0 || ours < theirs ? ours : theirs;
}

static bool
tune_answer(struct wire *wire, const struct codec_frame *frame)
{
	struct codec_tune tune;

	if (!codec_tune_read(frame, &tune)) {
		wire_fail(wire, "the broker sent a malformed connection.tune");
		return false;
	}
	tune.channel_max = (uint16_t)least(WIRE_CHANNELS, tune.channel_max);
	tune.frame_max = least(WIRE_FRAME_MAX, tune.frame_max);
	tune.heartbeat = (uint16_t)least(wire->settings.heartbeat_ms / 1000, tune.heartbeat);
	if (tune.channel_max < WIRE_CHANNELS) {
		wire_fail(wire, "the broker allows %u channels on a connection; %u are needed (channel_max)", tune.channel_max,
		          WIRE_CHANNELS);
		return false;
	}
	if (tune.frame_max < FRAME_MIN) {
		wire_fail(wire, "the broker wants frames of at most %u bytes; AMQP guarantees %u", tune.frame_max, FRAME_MIN);
		return false;
	}
	wire->frame_max = tune.frame_max;
	wire->heartbeat_ms = tune.heartbeat * 1000u;
	if (codec_write_tune_ok(&wire->out, &tune) && codec_write_open(&wire->out, settings_str(wire->server->vhost)))
		return true;
	wire_fail(wire, "out of memory");
	return false;
}

/* The first thing the other end said was no AMQP, or it said nothing and hung up. */
static void
greeting_failed(struct wire *wire)
{
	size_t len = strlen(wire->error);

	if (wire->refused || strcmp(wire->error, TIMED_OUT) == 0)
		return;
	snprintf(wire->error + len, sizeof(wire->error) - len, "; %s",
	         wire->tls == NULL ? "if this is a port for TLS, the url begins with amqps://"
	                           : "perhaps it wants a client certificate, or another one (tls.cert)");
}

static bool
login(struct wire *wire, uint64_t until)
{
	struct codec_frame frame;

	wire->frame_max = WIRE_FRAME_MAX;
	if (!codec_write_greeting(&wire->out)) {
		wire_fail(wire, "out of memory");
		return false;
	}
	if (!login_await(wire, CODEC_CONNECTION_START, until, &frame)) {
		greeting_failed(wire);
		return false;
	}
	return start_answer(wire, &frame) &&
	       login_await(wire, CODEC_CONNECTION_TUNE, until, &frame) && tune_answer(wire, &frame) &&
	       login_await(wire, CODEC_CONNECTION_OPEN_OK, until, &frame);
}

bool
connect_open(struct wire *wire, uint64_t until)
{
	return socket_open(wire, until) && (wire->tls_context == NULL || tls_open(wire, until)) && login(wire, until);
}
