/*
 * link.c - the protocol over one socket, once it is there (dial.c); see link.h.
 *
 * Reading: bytes gather in one buffer, and messages are handed out as slices of it. A large message gets
 * memory of its own, and what is missing of it is read straight into that. Writing: everything is framed
 * into one buffer, sent where a batch ends, and kept for POLLOUT where the socket is full.
 */
#include "link.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "json.h"
#include "tls.h"

#define IN_SIZE LINK_IN_SIZE
#define OUT_SIZE LINK_OUT_SIZE
#define LINE_MAX_SIZE 2048u
#define MESSAGE_MAX (64u * 1024u * 1024u + 65536u)

void
link_fail(struct link *link, const char *format, ...)
{
	va_list args;

	if (link->failed)
		return;
	link->failed = true;
	va_start(args, format);
	vsnprintf(link->reason, sizeof(link->reason), format, args);
	va_end(args);
}

/* ---- In -------------------------------------------------------------------------- */

/* What a socket or TLS says of a read or write that failed. */
static void
link_broken(struct link *link, int code)
{
	const char *reason = link->tls != NULL ? tls_reason(link->tls) : "";

	link_fail(link, "%s: %s", link->server, reason[0] != '\0' ? reason : strerror(code));
}

/* Fills what is missing of a large message, then the buffer. */
static ssize_t
read_parts(struct link *link, size_t missing, size_t space)
{
	struct iovec parts[2];
	int count = 0;

	if (missing > 0)
		parts[count++] = (struct iovec){link->large + link->large_len, missing};
	parts[count++] = (struct iovec){link->in + link->in_end, space};
	return readv(link->fd, parts, count);
}

static ssize_t
read_tls(struct link *link, size_t missing, size_t space)
{
	ssize_t n = 0, more;

	if (missing > 0) {
		n = tls_read(link->tls, link->large + link->large_len, missing);
		if (n < (ssize_t)missing)
			return n;
	}
	more = tls_read(link->tls, link->in + link->in_end, space);
	return more > 0 ? n + more : n > 0 ? n : more;
}

bool
link_read(struct link *link)
{
	size_t space, missing = link->large_size - link->large_len;
	ssize_t n;

	if (link->failed)
		return false;
	if (link->in_at > 0) {
		memmove(link->in, link->in + link->in_at, link->in_end - link->in_at);
		link->in_end -= link->in_at;
		link->in_at = 0;
	}
	space = IN_SIZE - link->in_end;
	do
		n = link->tls != NULL ? read_tls(link, missing, space) : read_parts(link, missing, space);
	while (n < 0 && errno == EINTR);
	if (n == 0) {
		link_fail(link, "%s: closed by the server", link->server);
		return false;
	}
	if (n < 0) {
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			link_broken(link, errno);
		return false;
	}
	link->heard_ms = link->settings->host->now_ms();
	if ((size_t)n <= missing) {
		link->large_len += (size_t)n;
		return (size_t)n == missing;
	}
	link->large_len += missing;
	link->in_end += (size_t)n - missing;
	return (size_t)n == missing + space;
}

static bool
next_field(const char **at, const char *end, struct xf_str *field)
{
	const char *c = *at;

	while (c < end && (*c == ' ' || *c == '\t'))
		c++;
	field->data = c;
	while (c < end && *c != ' ' && *c != '\t')
		c++;
	field->len = (uint64_t)(c - field->data);
	*at = c;
	return field->len > 0;
}

static bool
parse_number(struct xf_str field, uint64_t *number)
{
	uint64_t i, value = 0;

	if (field.len == 0 || field.len > 18)
		return false;
	for (i = 0; i < field.len; i++) {
		if (field.data[i] < '0' || field.data[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(field.data[i] - '0');
	}
	*number = value;
	return true;
}

/* SUBJECT SID [REPLY] [HEADER-SIZE] SIZE */
static bool
parse_message_line(const char *at, const char *end, bool headers, struct link_message *message,
                   uint64_t *header_size, uint64_t *size)
{
	struct xf_str field[5];
	uint32_t n = 0, fixed = headers ? 4 : 3;
	uint64_t sid;

	while (n < 5 && next_field(&at, end, &field[n]))
		n++;
	if (n != fixed && n != fixed + 1)
		return false;
	*message = (struct link_message){.subject = field[0]};
	if (n == fixed + 1)
		message->reply = field[2];
	*header_size = 0;
	if (!parse_number(field[1], &sid) || !parse_number(field[n - 1], size) ||
	    (headers && !parse_number(field[n - 2], header_size)))
		return false;
	message->sid = (uint32_t)sid;
	return *header_size <= *size && *size <= MESSAGE_MAX;
}

/* "NATS/1.0 503 Text CR LF Name: value CR LF ... CR LF" */
static void
parse_header_block(struct link_message *message, const char *block, uint64_t size)
{
	const char *end = block + size, *eol, *at;

	if (size < 12 || memcmp(block, "NATS/1.0", 8) != 0)
		return;
	eol = memchr(block, '\n', size);
	if (eol == NULL)
		return;
	at = block + 8;
	while (at < eol && *at == ' ')
		at++;
	while (at < eol && *at >= '0' && *at <= '9' && message->status < 1000)
		message->status = message->status * 10 + (uint32_t)(*at++ - '0');
	while (at < eol && *at == ' ')
		at++;
	message->status_text = (struct xf_str){at, (uint64_t)(eol - at)};
	if (message->status_text.len > 0 && message->status_text.data[message->status_text.len - 1] == '\r')
		message->status_text.len--;
	if (end - (eol + 1) > 2)
		message->headers = (struct xf_str){eol + 1, (uint64_t)(end - (eol + 1)) - 2};
}

bool
link_buffered(const struct link *link)
{
	return link->tls != NULL && tls_pending(link->tls) > 0;
}

uint32_t
link_events(const struct link *link, uint32_t events)
{
	return link->tls != NULL ? tls_events(link->tls, events) : events;
}

bool
link_header(struct xf_str *cursor, struct xf_header *header)
{
	while (cursor->len > 0) {
		const char *line = cursor->data, *end = line + cursor->len;
		const char *eol = memchr(line, '\n', cursor->len);
		const char *next = eol != NULL ? eol + 1 : end, *colon;

		if (eol == NULL)
			eol = end;
		if (eol > line && eol[-1] == '\r')
			eol--;
		*cursor = (struct xf_str){next, (uint64_t)(end - next)};
		colon = memchr(line, ':', (size_t)(eol - line));
		if (colon == NULL || colon == line)
			continue;
		header->name = (struct xf_str){line, (uint64_t)(colon - line)};
		colon++;
		while (colon < eol && *colon == ' ')
			colon++;
		while (eol > colon && eol[-1] == ' ')
			eol--;
		header->value = (struct xf_str){colon, (uint64_t)(eol - colon)};
		return true;
	}
	return false;
}

static void
message_bodies(struct link_message *message, const char *block, uint64_t header_size, uint64_t size)
{
	if (header_size > 0)
		parse_header_block(message, block, header_size);
	message->payload = (struct xf_str){block + header_size, size - header_size};
}

static enum link_event
large_finished(struct link *link, struct link_message *message)
{
	uint64_t size = link->large_size - 2;

	*message = link->pending;
	message_bodies(message, link->large, link->header_len, size);
	message->owned = link->lent = link->large;
	link->large = NULL;
	link->large_len = link->large_size = 0;
	return LINK_MESSAGE;
}

/* BODY is what the buffer has of it. The names stand in the buffer, which moves on: they go along. */
static void
large_begin(struct link *link, struct link_message *message, const char *body, uint64_t have,
            uint64_t header_size, uint64_t size)
{
	char *names;

	link->large_size = size + 2;
	link->large = need(malloc(link->large_size + message->subject.len + message->reply.len));
	link->large_len = have < link->large_size ? have : link->large_size;
	memcpy(link->large, body, link->large_len);
	names = link->large + link->large_size;
	memcpy(names, message->subject.data, message->subject.len);
	message->subject.data = names;
	if (message->reply.len > 0) {
		names += message->subject.len;
		memcpy(names, message->reply.data, message->reply.len);
		message->reply.data = names;
	}
	link->pending = *message;
	link->header_len = header_size;
	link->in_at = (size_t)(body - link->in) + link->large_len;
}

/* By what the server is to know us. */
static const char *
link_identity(const struct link *link)
{
	const struct settings *settings = link->settings;

	return settings->credentials != NULL ? "credentials"
	       : settings->nkey_seed != NULL ? "nkey"
	       : settings->token != NULL     ? "token"
	                                     : "user, password or token";
}

/* -ERR 'text' */
static enum link_event
server_error(struct link *link, const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\''))
		at++;
	while (end > at && (end[-1] == '\'' || end[-1] == ' '))
		end--;
	if (end - at > 21 && strncasecmp(at, "Permissions Violation", 21) == 0) {
		const char *quoted = memchr(at, '"', (size_t)(end - at)), *last = memrchr(at, '"', (size_t)(end - at));

		snprintf(link->refusal, sizeof(link->refusal), "%.*s", (int)(end - at), at);
		snprintf(link->refused_subject, sizeof(link->refused_subject), "%.*s",
		         quoted < last ? (int)(last - quoted) - 1 : 0, quoted < last ? quoted + 1 : "");
		return LINK_REFUSAL;
	}
	if (link->greeting && at < end && strncasecmp(at, "Authori", 7) == 0) {
		link->refusals++;
		link_fail(link, "%s: the server refuses our %s: %.*s", link->server, link_identity(link),
		          (int)(end - at), at);
	} else {
		link_fail(link, "%s: %.*s", link->server, (int)(end - at), at);
	}
	return LINK_NOTHING;
}

void
link_info(struct link *link, struct xf_str info)
{
	struct xf_str urls;

	link->max_payload = json_get_int(info, "max_payload", link->max_payload);
	json_get_string(info, "server_id", link->server_id, sizeof(link->server_id));
	if (json_get(info, "connect_urls", &urls))
		servers_learn(&link->servers, urls);
	if (json_get_true(info, "ldm"))
		link_fail(link, "%s: the server is shutting down", link->server);
}

enum link_event
link_next(struct link *link, struct link_message *message)
{
	free(link->lent);
	link->lent = NULL;
	for (;;) {
		const char *line, *eol, *body;
		uint64_t header_size, size, have;
		enum link_event event;
		bool headers;

		if (link->failed)
			return LINK_NOTHING;
		if (link->large != NULL && link->large_len < link->large_size)
			return LINK_NOTHING;
		if (link->large != NULL)
			return large_finished(link, message);
		line = link->in + link->in_at;
		have = link->in_end - link->in_at;
		eol = have > 0 ? memchr(line, '\n', have) : NULL;
		if (eol == NULL) {
			if (have == IN_SIZE)
				link_fail(link, "%s: a line without end", link->server);
			return LINK_NOTHING;
		}
		body = eol + 1;
		if (eol > line && eol[-1] == '\r')
			eol--;
		headers = *line == 'H';
		if (headers || *line == 'M') {
			if (eol - line < 5 ||
			    !parse_message_line(line + (headers ? 5 : 4), eol, headers, message,
			                                          &header_size, &size)) {
				link_fail(link, "%s: a message line that makes no sense", link->server);
				return LINK_NOTHING;
			}
			have = link->in_end - (uint64_t)(body - link->in);
			if (size >= LINK_LARGE) {
				large_begin(link, message, body, have, header_size, size);
				continue;
			}
			if (have < size + 2)
				return LINK_NOTHING;
			message_bodies(message, body, header_size, size);
			link->in_at = (size_t)(body - link->in) + size + 2;
			return LINK_MESSAGE;
		}
		link->in_at = (size_t)(body - link->in);
		if (eol - line >= 4 && memcmp(line, "PING", 4) == 0) {
			link_printf(link, "PONG\r\n");
		} else if (eol - line >= 4 && memcmp(line, "PONG", 4) == 0) {
			link->pongs++;
			return LINK_PONG;
		} else if (eol - line >= 4 && memcmp(line, "INFO", 4) == 0) {
			link_info(link, (struct xf_str){line + 4, (uint64_t)(eol - line) - 4});
		} else if (eol - line >= 4 && memcmp(line, "-ERR", 4) == 0) {
			event = server_error(link, line + 4, eol);
			if (event != LINK_NOTHING)
				return event;
		} else if (eol != line && *line != '+') {
			link_fail(link, "%s: an answer that makes no sense", link->server);
		}
	}
}

void
link_take(struct link *link)
{
	link->lent = NULL;
}

/* ---- Out ------------------------------------------------------------------------- */

char *
link_room(struct link *link, size_t size)
{
	if (link->out_at > 0 && link->out_end + size > link->out_size) {
		memmove(link->out, link->out + link->out_at, link->out_end - link->out_at);
		link->out_base += link->out_at;
		link->out_end -= link->out_at;
		link->out_at = 0;
	}
	if (link->out_end + size > link->out_size) {
		link->out_size = (link->out_end + size) * 3 / 2;
		link->out = need(realloc(link->out, link->out_size));
	}
	return link->out + link->out_end;
}

void
link_printf(struct link *link, const char *format, ...)
{
	va_list args;
	int len;
	char *out;

	out = link_room(link, LINE_MAX_SIZE);
	va_start(args, format);
	len = vsnprintf(out, LINE_MAX_SIZE, format, args);
	va_end(args);
	if (len < 0 || len >= (int)LINE_MAX_SIZE) {
		link_fail(link, "%s: a line too long to send", link->server);
		return;
	}
	link_put(link, out + len);
}

char *
put_number(char *out, uint64_t value)
{
	char digits[20];
	size_t n = 0;

	do {
		digits[n++] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	while (n > 0)
		*out++ = digits[--n];
	return out;
}

static char *
put(char *out, const void *data, size_t len)
{
	if (len > 0)
		memcpy(out, data, len);
	return out + len;
}

void
link_publish(struct link *link, struct xf_str subject, struct xf_str reply, const void *payload, size_t size)
{
	char *out = link_room(link, subject.len + reply.len + size + 40);

	out = put(out, "PUB ", 4);
	out = put(out, subject.data, subject.len);
	*out++ = ' ';
	if (reply.len > 0) {
		out = put(out, reply.data, reply.len);
		*out++ = ' ';
	}
	out = put_number(out, size);
	out = put(out, "\r\n", 2);
	out = put(out, payload, size);
	out = put(out, "\r\n", 2);
	link_put(link, out);
}

bool
link_flush(struct link *link)
{
	while (!link->failed && link->out_at < link->out_end) {
		const char *from = link->out + link->out_at;
		size_t size = link->out_end - link->out_at;
		ssize_t n = link->tls != NULL ? tls_write(link->tls, from, size)
		                              : send(link->fd, from, size, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (errno != EAGAIN && errno != EWOULDBLOCK)
				link_broken(link, errno);
			return false;
		}
		link->out_at += (size_t)n;
		link->wrote_ms = link->settings->host->now_ms();
	}
	if (link->failed)
		return false;
	link->out_base += link->out_at;
	link->out_at = link->out_end = 0;
	/* What a burst of large messages made of it is not kept. */
	if (link->out_size > 16 * OUT_SIZE) {
		free(link->out);
		link->out = need(malloc(OUT_SIZE));
		link->out_size = OUT_SIZE;
	}
	return true;
}

uint64_t
link_ping(struct link *link)
{
	char *out = link_room(link, 6);

	link_put(link, put(out, "PING\r\n", 6));
	if (link->pings == link->pongs)
		link->asked_ms = link->settings->host->now_ms();
	return ++link->pings;
}

/* While something waits to be sent, a ping may stand behind it: on a slow line that is no silence. */
uint32_t
link_tick(struct link *link, uint64_t now)
{
	uint64_t interval = link->settings->ping_interval_ms;
	uint64_t alive = link->heard_ms, due;

	if (link_unsent(link) > 0 && link->wrote_ms > alive)
		alive = link->wrote_ms;
	if (link->pings == link->pongs && now >= alive + interval)
		link_ping(link);
	due = alive + interval;
	if (link->pings > link->pongs) /* it had an interval to answer, even if we asked late */
		due = alive > link->asked_ms ? alive + 2 * interval : link->asked_ms + interval;
	if (now < due)
		return (uint32_t)(due - now);
	link_fail(link, "%s: silent for %llu ms", link->server, (unsigned long long)(now - link->heard_ms));
	return 0;
}

/* ---- Backoff ------------------------------------------------------------------- */

uint32_t
random_below(uint32_t bound)
{
	uint32_t random = 0;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
		random = 0x9e3779b9u;
	return bound > 0 ? random % bound : 0;
}

void
backoff_next(struct backoff *backoff, bool refused, uint64_t now)
{
	uint32_t delay = 100u << (backoff->step < 6 ? backoff->step : 6);

	if (delay > 1500)
		delay = 1500;
	if (refused)
		delay = 10000;
	backoff->step++;
	backoff->until_ms = now + delay / 2 + random_below(delay / 2 + 1);
}
