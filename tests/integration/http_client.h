/*
 * http_client.h - a client of the HTTP listener that can also misbehave: plain sockets, one request after the other.
 *
 * What goes wrong fails the running cmocka test. Threads: the test's own.
 */
#ifndef XF_TESTS_HTTP_CLIENT_H
#define XF_TESTS_HTTP_CLIENT_H

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"
#include "wait.h"

#define HTTP_SOON XF_WAIT_MS

struct http_answer {
	int status; /* 0: the connection was closed instead */
	char head[8192];
	char *body; /* terminated */
	size_t body_len;
};

static inline int
http_connect(unsigned port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		fail_msg("connect to port %u: %s", port, strerror(errno));
	return fd;
}

/* A socket bound to a port of this machine, 0 for any; the port is in *BOUND. */
static inline int
http_bind(unsigned port, unsigned *bound)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	*bound = ntohs(address.sin_port);
	return fd;
}

/* One that was free a moment ago. */
static inline unsigned
http_port_free(void)
{
	unsigned port;

	close(http_bind(0, &port));
	return port;
}

/* False: the other side has gone. */
static inline bool
http_send(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len > 0) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

		if (n < 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

/* HEADERS are lines that end in "\r\n", or "". */
static inline void
http_begin(int fd, const char *method, const char *path, const char *headers, size_t body_len)
{
	size_t size = strlen(path) + strlen(headers) + 256;
	char *text = malloc(size);
	int n;

	assert_non_null(text);
	n = snprintf(text, size, "%s %s HTTP/1.1\r\nHost: here\r\nContent-Length: %zu\r\n%s\r\n", method, path, body_len,
	             headers);
	http_send(fd, text, (size_t)n);
	free(text);
}

static inline void
http_post(int fd, const char *path, const char *headers, const void *body, size_t len)
{
	http_begin(fd, "POST", path, headers, len);
	http_send(fd, body, len);
}

/* Whether something can be read (or the end seen) within the time. */
static inline bool
http_readable(int fd, unsigned deadline_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, (int)deadline_ms) > 0;
}

static inline ssize_t
http_receive(int fd, char *out, size_t size, uint64_t until)
{
	uint64_t now = harness_now_ms();

	if (now >= until || !http_readable(fd, (unsigned)(until - now)))
		fail_msg("no answer in time");
	return recv(fd, out, size, 0);
}

/* A head, then the body that it announces. */
static inline struct http_answer
http_read(int fd)
{
	struct http_answer answer = {.status = 0};
	uint64_t until = harness_now_ms() + HTTP_SOON;
	size_t len = 0;
	const char *length;

	while (len < 4 || memcmp(answer.head + len - 4, "\r\n\r\n", 4) != 0) {
		assert_true(len + 1 < sizeof(answer.head));
		if (http_receive(fd, answer.head + len, 1, until) <= 0)
			return answer;
		len++;
	}
	assert_int_equal(sscanf(answer.head, "HTTP/1.1 %d", &answer.status), 1);
	if (answer.status == 100)
		return http_read(fd);
	length = strcasestr(answer.head, "\r\nContent-Length:");
	answer.body_len = length != NULL ? strtoull(length + 17, NULL, 10) : 0;
	answer.body = calloc(1, answer.body_len + 1);
	assert_non_null(answer.body);
	for (size_t got = 0; got < answer.body_len;) {
		ssize_t n = http_receive(fd, answer.body + got, answer.body_len - got, until);

		if (n <= 0)
			fail_msg("an answer ended within its body");
		got += (size_t)n;
	}
	return answer;
}

/* The value of a header of the answer, up to its line's end; "" where there is none. Static. */
static inline const char *
http_header(const struct http_answer *answer, const char *name)
{
	static char value[512];
	char line[128];
	const char *at;

	snprintf(line, sizeof(line), "\r\n%s: ", name);
	at = strcasestr(answer->head, line);
	value[0] = '\0';
	if (at != NULL)
		snprintf(value, sizeof(value), "%.*s", (int)strcspn(at + strlen(line), "\r"), at + strlen(line));
	return value;
}

static inline void
http_forget(struct http_answer *answer)
{
	free(answer->body);
	answer->body = NULL;
}

/* Reads an answer and wants it to be STATUS, with PART in its body. */
static inline void
http_expect(int fd, int status, const char *part)
{
	struct http_answer answer = http_read(fd);

	if (answer.status != status || (answer.status != 0 && strstr(answer.body, part) == NULL))
		fail_msg("status %d, not %d with '%s': %s", answer.status, status, part,
		         answer.body != NULL ? answer.body : "closed");
	http_forget(&answer);
}

/* Until the other side closes; false: it does not in time. */
static inline bool
http_wait_closed(int fd, unsigned deadline_ms)
{
	uint64_t until = harness_now_ms() + deadline_ms;
	char bytes[4096];

	for (;;) {
		uint64_t now = harness_now_ms();

		if (now >= until || !http_readable(fd, (unsigned)(until - now)))
			return false;
		if (recv(fd, bytes, sizeof(bytes), 0) <= 0)
			return true;
	}
}

/* The port of a transport in the harness. */
static inline unsigned
http_port(struct harness *harness)
{
	const char *at = strstr(harness_report(harness), "\"port\":");

	return at != NULL ? (unsigned)strtoul(at + 7, NULL, 10) : 0;
}

/* A number of its report. */
static inline unsigned long
http_report(struct harness *harness, const char *name)
{
	char key[64];
	const char *at;

	snprintf(key, sizeof(key), "\"%s\":", name);
	at = strstr(harness_report(harness), key);
	assert_non_null(at);
	return strtoul(at + strlen(key), NULL, 10);
}

static inline void
http_wait_report(struct harness *harness, const char *name, unsigned long value)
{
	uint64_t until = harness_now_ms() + HTTP_SOON;

	while (http_report(harness, name) != value) {
		if (harness_now_ms() > until)
			fail_msg("%s is %lu, not %lu", name, http_report(harness, name), value);
		harness_sleep_ms(5);
	}
}

#endif
