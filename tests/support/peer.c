/*
 * peer.c - one listening socket, one connection, both blocking, with poll() in front of each read.
 */
#include "peer.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/memory.h"
#include "server.h"

struct peer {
	int listener;
	int fd; /* -1: nobody is connected */
	unsigned port;
	char *in; /* what was read and not taken yet: in[at .. end) */
	size_t at, end, size;
};

struct peer *
peer_create(void)
{
	struct peer *peer = xf_alloc(sizeof(*peer));
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int small = 65536; /* what is not read is not swallowed by the kernel */

	peer->fd = -1;
	peer->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(peer->listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (bind(peer->listener, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(peer->listener, 16) != 0 ||
	    getsockname(peer->listener, (struct sockaddr *)&address, &len) != 0)
		fail_msg("listening: %s", strerror(errno));
	peer->port = ntohs(address.sin_port);
	return peer;
}

void
peer_destroy(struct peer **peer)
{
	struct peer *gone = *peer;

	if (gone == NULL)
		return;
	*peer = NULL;
	peer_hang_up(gone);
	close(gone->listener);
	free(gone->in);
	free(gone);
}

unsigned
peer_port(const struct peer *peer)
{
	return peer->port;
}

void
peer_hang_up(struct peer *peer)
{
	if (peer->fd >= 0)
		close(peer->fd);
	peer->fd = -1;
	peer->at = peer->end = 0;
}

static bool
readable(int fd, unsigned ms)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};
	int n;

	do
		n = poll(&poller, 1, (int)ms);
	while (n < 0 && errno == EINTR);
	return n > 0;
}

/* Bytes that nobody has read make the end of a connection a reset, which may overtake what was sent before. */
void
peer_hang_up_last(struct peer *peer)
{
	char bytes[4096];

	shutdown(peer->fd, SHUT_WR);
	while (readable(peer->fd, XF_WAIT_MS) && recv(peer->fd, bytes, sizeof(bytes), 0) > 0)
		;
	peer_hang_up(peer);
}

void
peer_accept(struct peer *peer)
{
	peer_hang_up(peer);
	if (!readable(peer->listener, XF_WAIT_MS))
		fail_msg("nobody connects");
	peer->fd = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC);
	if (peer->fd < 0)
		fail_msg("accept: %s", strerror(errno));
}

bool
peer_wanted(struct peer *peer, unsigned ms)
{
	return readable(peer->listener, ms);
}

void
peer_write(struct peer *peer, const void *data, size_t size)
{
	const char *at = data;

	while (size > 0) {
		ssize_t n = send(peer->fd, at, size, MSG_NOSIGNAL);

		if (n <= 0)
			fail_msg("the other end does not read: %s", strerror(errno));
		at += n;
		size -= (size_t)n;
	}
}

void
peer_say(struct peer *peer, const char *format, ...)
{
	va_list args;
	char *text;
	int len;

	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	assert_true(len >= 0);
	peer_write(peer, text, (size_t)len);
	free(text);
}

/* Reads once more; 0 at the end. */
static ssize_t
more(struct peer *peer)
{
	ssize_t n;

	if (peer->at > 0) {
		memmove(peer->in, peer->in + peer->at, peer->end - peer->at);
		peer->end -= peer->at;
		peer->at = 0;
	}
	if (peer->end == peer->size) {
		peer->size = peer->size > 0 ? 2 * peer->size : 65536;
		peer->in = realloc(peer->in, peer->size);
		assert_non_null(peer->in);
	}
	if (!readable(peer->fd, XF_WAIT_MS))
		fail_msg("the other end says nothing");
	n = recv(peer->fd, peer->in + peer->end, peer->size - peer->end, 0);
	if (n > 0)
		peer->end += (size_t)n;
	return n;
}

bool
peer_gone(struct peer *peer, unsigned ms)
{
	char bytes[4096];
	ssize_t n;

	do {
		if (!readable(peer->fd, ms))
			return false;
		n = recv(peer->fd, bytes, sizeof(bytes), 0);
	} while (n > 0);
	return true;
}

const uint8_t *
peer_bytes(struct peer *peer, size_t size)
{
	while (peer->end - peer->at < size)
		if (more(peer) <= 0)
			fail_msg("the other end hung up");
	peer->at += size;
	return (const uint8_t *)peer->in + peer->at - size;
}

const char *
peer_line(struct peer *peer)
{
	char *line, *eol;

	while (peer->at == peer->end || (eol = memchr(peer->in + peer->at, '\n', peer->end - peer->at)) == NULL)
		if (more(peer) <= 0)
			fail_msg("the other end hung up");
	line = peer->in + peer->at;
	peer->at = (size_t)(eol + 1 - peer->in);
	*eol = '\0';
	if (eol > line && eol[-1] == '\r')
		eol[-1] = '\0';
	return line;
}

/* ---- As a NATS server -------------------------------------------------------- */

void
peer_nats_welcome(struct peer *peer, const char *info)
{
	peer_accept(peer);
	peer_say(peer, "INFO {\"server_id\":\"P\",\"version\":\"2.9.10\",\"headers\":true%s}\r\n", info);
	while (strcmp(peer_line(peer), "PING") != 0)
		;
	peer_say(peer, "PONG\r\n");
}

struct peer_message
peer_nats_message(struct peer *peer, const char *prefix)
{
	for (;;) {
		struct peer_message message = {.body = NULL};
		const char *line = peer_line(peer);
		char last[256];
		int fields;
		size_t size;

		if (strcmp(line, "PING") == 0)
			peer_say(peer, "PONG\r\n");
		if (strncmp(line, "PUB ", 4) != 0 && strncmp(line, "HPUB ", 5) != 0)
			continue;
		fields = sscanf(line + (line[0] == 'H') + 4, "%1099s %255s %255s", message.subject, message.reply, last);
		/* what stands before the size, or with headers before two of them */
		if (line[0] == 'H' ? fields < 3 || strchr(message.reply, '.') == NULL : fields < 3)
			message.reply[0] = '\0';
		size = strtoul(strrchr(line, ' ') + 1, NULL, 10);
		message.body = xf_strndup((const char *)peer_bytes(peer, size + 2), size);
		if (strncmp(message.subject, prefix, strlen(prefix)) == 0)
			return message;
		peer_nats_message_fini(&message);
	}
}

void
peer_nats_message_fini(struct peer_message *message)
{
	free(message->body);
	message->body = NULL;
}

void
peer_nats_deliver(struct peer *peer, unsigned sid, const char *subject, const char *reply, const char *body)
{
	peer_say(peer, "MSG %s %u %s%s%zu\r\n%s\r\n", subject, sid, reply, reply[0] != '\0' ? " " : "", strlen(body), body);
}

void
peer_nats_answer(struct peer *peer, const struct peer_message *message, const char *body)
{
	peer_nats_deliver(peer, 1, message->reply, "", body);
}

/* ---- As an AMQP broker --------------------------------------------------------- */

static uint64_t
number_read(const uint8_t *bytes, size_t size)
{
	uint64_t value = 0;

	for (size_t i = 0; i < size; i++)
		value = value << 8 | bytes[i];
	return value;
}

static void
number_put(struct xf_buffer *out, uint64_t value, size_t size)
{
	for (size_t i = size; i > 0; i--) {
		uint8_t byte = (uint8_t)(value >> (8 * (i - 1)));

		xf_buffer_append(out, &byte, 1);
	}
}

void
peer_amqp_frame(struct peer *peer, unsigned type, unsigned channel, const void *payload, size_t size)
{
	struct xf_buffer frame = {0};

	number_put(&frame, type, 1);
	number_put(&frame, channel, 2);
	number_put(&frame, size, 4);
	xf_buffer_append(&frame, payload, size);
	number_put(&frame, 0xCE, 1);
	peer_write(peer, frame.data, frame.len);
	xf_buffer_fini(&frame);
}

void
peer_amqp_header(struct peer *peer, unsigned channel, uint64_t size)
{
	struct xf_buffer payload = {0};

	number_put(&payload, 60, 2);
	number_put(&payload, 0, 2);
	number_put(&payload, size, 8);
	number_put(&payload, 0, 2);
	peer_amqp_frame(peer, 2, channel, payload.data, payload.len);
	xf_buffer_fini(&payload);
}

void
peer_amqp_send(struct peer *peer, unsigned channel, uint32_t method, const char *types, ...)
{
	struct xf_buffer payload = {0};
	const char *text;
	va_list args;

	number_put(&payload, method, 4);
	va_start(args, types);
	for (; *types != '\0'; types++) {
		switch (*types) {
		case 'b':
			number_put(&payload, va_arg(args, unsigned), 1);
			break;
		case 'w':
			number_put(&payload, va_arg(args, unsigned), 2);
			break;
		case 'd':
			number_put(&payload, va_arg(args, unsigned), 4);
			break;
		case 'q':
			number_put(&payload, va_arg(args, uint64_t), 8);
			break;
		default:
			text = va_arg(args, const char *);
			number_put(&payload, strlen(text), *types == 's' ? 1 : 4);
			xf_buffer_append(&payload, text, strlen(text));
		}
	}
	va_end(args);
	peer_amqp_frame(peer, 1, channel, payload.data, payload.len);
	xf_buffer_fini(&payload);
}

uint32_t
peer_amqp_next(struct peer *peer, unsigned *channel)
{
	for (;;) {
		const uint8_t *head = peer_bytes(peer, 7), *payload;
		unsigned type = head[0];
		size_t size = number_read(head + 3, 4);

		*channel = (unsigned)number_read(head + 1, 2);
		payload = peer_bytes(peer, size + 1);
		assert_int_equal(payload[size], 0xCE);
		if (type == 1)
			return (uint32_t)number_read(payload, 4);
	}
}

unsigned
peer_amqp_expect(struct peer *peer, uint32_t method)
{
	unsigned channel;

	while (peer_amqp_next(peer, &channel) != method)
		;
	return channel;
}

void
peer_amqp_welcome(struct peer *peer, unsigned heartbeat)
{
	peer_accept(peer);
	assert_memory_equal(peer_bytes(peer, 8), "AMQP\0\0\x09\x01", 8);
	peer_amqp_send(peer, 0, PEER_AMQP(10, 10), "bblll", 0u, 9u, "", "PLAIN", "en_US");
	peer_amqp_expect(peer, PEER_AMQP(10, 11));
	peer_amqp_send(peer, 0, PEER_AMQP(10, 30), "wdw", 0u, 131072u, heartbeat);
	peer_amqp_expect(peer, PEER_AMQP(10, 40));
	peer_amqp_send(peer, 0, PEER_AMQP(10, 41), "s", "");
}
