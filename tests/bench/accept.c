/*
 * accept.c - how soon publishers are told that their message is safe.
 *
 *   bench-accept http|nats|redis|amqp URL PUBLISHERS SECONDS BYTES
 *
 * Each publisher has a connection of its own, sends one message and waits for the answer before it sends the next: POST
 * /publish/bench.accept (202), a JetStream publish (PubAck; the stream ACCEPT is made, in files), XADD, or a persistent AMQP
 * message to a durable queue (confirm). One thread serves them all, with the protocol by hand. Prints answers per second, and the
 * median and 99th percentile of the wait in microseconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "jetstream.h"
#include "rabbit.h"

#define PUBLISHERS_MAX 1000
#define WAITS_MAX 4000000

struct publisher {
	int fd;
	char *request; /* the same each time */
	size_t request_len, answer_len;
	uint64_t since_ns;
	char answer[4096]; /* as much of it as is here, with a NUL behind */
};

struct kind {
	const char *name;
	void (*prepare)(const char *url);
	void (*open)(struct publisher *publisher, int number, int port, const char *payload, size_t size);
	/* Whether the answer is whole; ends the program where it is no confirmation. */
	bool (*answered)(struct publisher *publisher);
};

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- What publishers have in common --------------------------------------------------------------------------- */

static void
request_add(struct publisher *publisher, const void *bytes, size_t len)
{
	publisher->request = realloc(publisher->request, publisher->request_len + len);
	if (publisher->request == NULL)
		bridge_fail("accept", "no memory");
	memcpy(publisher->request + publisher->request_len, bytes, len);
	publisher->request_len += len;
}

__attribute__((format(printf, 2, 3))) static void
request_print(struct publisher *publisher, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	request_add(publisher, text, (size_t)vsnprintf(text, sizeof text, format, args));
	va_end(args);
}

static void
bytes_send(int fd, const char *bytes, size_t len)
{
	if (send(fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
		bridge_fail("send", strerror(errno));
}

static void
publisher_connect(struct publisher *publisher, int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int one = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	publisher->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (publisher->fd < 0 || connect(publisher->fd, (struct sockaddr *)&address, sizeof address) != 0)
		bridge_fail("connect", strerror(errno));
	setsockopt(publisher->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void
answer_read(struct publisher *publisher)
{
	ssize_t n = recv(publisher->fd, publisher->answer + publisher->answer_len,
	                 sizeof publisher->answer - 1 - publisher->answer_len, 0);

	if (n <= 0)
		bridge_fail("receive", n < 0 ? strerror(errno) : "the connection ended");
	publisher->answer_len += (size_t)n;
	publisher->answer[publisher->answer_len] = '\0';
}

static void
answer_begins(const struct publisher *publisher, const char *expected)
{
	size_t len = strlen(expected);

	if (strncmp(publisher->answer, expected, publisher->answer_len < len ? publisher->answer_len : len) != 0)
		bridge_fail("not confirmed", publisher->answer);
}

/* ---- The four kinds ------------------------------------------------------------------------------------------- */

static void
http_open(struct publisher *publisher, int number, int port, const char *payload, size_t size)
{
	(void)number;
	publisher_connect(publisher, port);
	request_print(publisher, "POST /publish/bench.accept HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n", size);
	request_add(publisher, payload, size);
}

static bool
http_answered(struct publisher *publisher)
{
	const char *length = strcasestr(publisher->answer, "\r\nContent-Length:"), *end = strstr(publisher->answer, "\r\n\r\n");

	answer_begins(publisher, "HTTP/1.1 202");
	return length != NULL && end != NULL &&
	       publisher->answer_len >= (size_t)(end + 4 - publisher->answer) + strtoul(length + 17, NULL, 10);
}

static void
nats_prepare(const char *url)
{
	struct jetstream jetstream;

	jetstream_open(&jetstream, jetstream_connect(url, true), "ACCEPT", "bench.accept", NULL);
	jetstream_close(&jetstream);
}

static void
nats_open(struct publisher *publisher, int number, int port, const char *payload, size_t size)
{
	char hello[128];

	publisher_connect(publisher, port);
	snprintf(hello, sizeof hello, "CONNECT {\"verbose\":false}\r\nSUB _INBOX.accept.%d 1\r\nPING\r\n", number);
	bytes_send(publisher->fd, hello, strlen(hello));
	while (strstr(publisher->answer, "PONG\r\n") == NULL)
		answer_read(publisher);
	publisher->answer_len = 0;
	request_print(publisher, "PUB bench.accept _INBOX.accept.%d %zu\r\n", number, size);
	request_add(publisher, payload, size);
	request_add(publisher, "\r\n", 2);
}

/* The server may say PING before the message, whose payload is a line of JSON. */
static bool
nats_answered(struct publisher *publisher)
{
	static const char ping[] = "PING\r\n";
	const char *payload;

	if (strncmp(publisher->answer, ping, sizeof ping - 1) == 0) {
		bytes_send(publisher->fd, "PONG\r\n", 6);
		publisher->answer_len -= sizeof ping - 1;
		memmove(publisher->answer, publisher->answer + sizeof ping - 1, publisher->answer_len + 1);
	}
	if (publisher->answer_len == 0)
		return false;
	answer_begins(publisher, "MSG ");
	payload = strstr(publisher->answer, "\r\n");
	if (payload == NULL || strstr(payload + 2, "\r\n") == NULL)
		return false;
	if (strstr(payload, "\"error\"") != NULL)
		bridge_fail("not confirmed", payload + 2);
	return true;
}

static void
redis_open(struct publisher *publisher, int number, int port, const char *payload, size_t size)
{
	(void)number;
	publisher_connect(publisher, port);
	request_print(publisher, "*5\r\n$4\r\nXADD\r\n$12\r\nbench.accept\r\n$1\r\n*\r\n$7\r\npayload\r\n$%zu\r\n", size);
	request_add(publisher, payload, size);
	request_add(publisher, "\r\n", 2);
}

static bool
redis_answered(struct publisher *publisher)
{
	const char *id;

	answer_begins(publisher, "$");
	id = strstr(publisher->answer, "\r\n");
	return id != NULL && strstr(id + 2, "\r\n") != NULL;
}

static void
amqp_prepare(const char *url)
{
	static struct rabbit_sink sink;

	rabbit_sink_open(&sink, atoi(strrchr(url, ':') + 1), "bench.accept");
	rabbit_close(sink.connection);
}

/* A frame of channel 1. */
static void
frame_add(struct publisher *publisher, unsigned char type, const void *bytes, size_t len)
{
	const unsigned char head[7] = {type,
	                               0,
	                               1,
	                               (unsigned char)(len >> 24),
	                               (unsigned char)(len >> 16),
	                               (unsigned char)(len >> 8),
	                               (unsigned char)len};

	request_add(publisher, head, sizeof head);
	request_add(publisher, bytes, len);
	request_add(publisher, "\xce", 1);
}

/* The library logs in, and is not asked again. */
static void
amqp_open(struct publisher *publisher, int number, int port, const char *payload, size_t size)
{
	static const char publish[] = "\0\x3c\0\x28\0\0\0\x0c"
	                              "bench.accept\x01"; /* to the default exchange, mandatory */
	unsigned char header[15] = {0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 2}; /* delivery mode 2 */
	amqp_connection_state_t connection = rabbit_connect(port);

	(void)number;
	amqp_confirm_select(connection, 1);
	rabbit_need(amqp_get_rpc_reply(connection), "confirms");
	publisher->fd = amqp_get_sockfd(connection);
	for (size_t i = 0; i < 8; i++)
		header[11 - i] = (unsigned char)((uint64_t)size >> 8 * i);
	frame_add(publisher, 1, publish, sizeof publish - 1);
	frame_add(publisher, 2, header, sizeof header);
	frame_add(publisher, 3, payload, size);
}

static bool
amqp_answered(struct publisher *publisher)
{
	static const char ack[] = {1, 0, 1, 0, 0, 0, 13, 0, 60, 0, 80};

	if (publisher->answer_len < 21)
		return false;
	if (memcmp(publisher->answer, ack, sizeof ack) != 0)
		bridge_fail("not confirmed", "another frame than basic.ack");
	return true;
}

/* ---- Running ------------------------------------------------------------------------------------------------- */

static uint32_t waits_us[WAITS_MAX];

static int
wait_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void
publisher_send(struct publisher *publisher)
{
	publisher->answer_len = 0;
	publisher->answer[0] = '\0';
	publisher->since_ns = now_ns();
	bytes_send(publisher->fd, publisher->request, publisher->request_len);
}

static void
run(const struct kind *kind, struct publisher *publishers, int count, uint64_t seconds)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	uint64_t begin_ns, end_ns, answers = 0;

	for (int i = 0; i < count; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = &publishers[i]};

		if (epoll_ctl(epoll, EPOLL_CTL_ADD, publishers[i].fd, &event) != 0)
			bridge_fail("epoll", strerror(errno));
	}
	begin_ns = now_ns();
	end_ns = begin_ns + seconds * 1000000000;
	for (int i = 0; i < count; i++)
		publisher_send(&publishers[i]);
	while (now_ns() < end_ns) {
		struct epoll_event events[64];
		int n = epoll_wait(epoll, events, 64, 10000);

		if (n <= 0)
			bridge_fail("accept", "no answer comes");
		for (int i = 0; i < n; i++) {
			struct publisher *publisher = events[i].data.ptr;

			answer_read(publisher);
			if (!kind->answered(publisher))
				continue;
			if (answers < WAITS_MAX)
				waits_us[answers++] = (uint32_t)((now_ns() - publisher->since_ns) / 1000);
			publisher_send(publisher);
		}
	}
	end_ns = now_ns();
	qsort(waits_us, answers, sizeof waits_us[0], wait_compare);
	printf("%.0f %u %u\n", (double)answers / ((double)(end_ns - begin_ns) / 1e9), waits_us[answers / 2],
	       waits_us[answers * 99 / 100]);
}

int
main(int argc, char **argv)
{
	static const struct kind kinds[] = {{"http", NULL, http_open, http_answered},
	                                    {"nats", nats_prepare, nats_open, nats_answered},
	                                    {"redis", NULL, redis_open, redis_answered},
	                                    {"amqp", amqp_prepare, amqp_open, amqp_answered}};
	static struct publisher publishers[PUBLISHERS_MAX];
	const struct kind *kind = NULL;
	char *payload;
	size_t size;
	int count;

	for (size_t i = 0; argc == 6 && i < sizeof kinds / sizeof kinds[0]; i++)
		if (strcmp(argv[1], kinds[i].name) == 0)
			kind = &kinds[i];
	if (kind == NULL || (count = atoi(argv[3])) < 1 || count > PUBLISHERS_MAX) {
		fprintf(stderr, "usage: bench-accept http|nats|redis|amqp URL PUBLISHERS SECONDS BYTES\n");
		return 2;
	}
	size = strtoul(argv[5], NULL, 10);
	payload = malloc(size);
	if (payload == NULL)
		bridge_fail("accept", "no memory");
	memset(payload, 'x', size);
	if (kind->prepare != NULL)
		kind->prepare(argv[2]);
	for (int i = 0; i < count; i++)
		kind->open(&publishers[i], i, atoi(strrchr(argv[2], ':') + 1), payload, size);
	run(kind, publishers, count, strtoull(argv[4], NULL, 10));
	free(payload);
	return 0;
}
