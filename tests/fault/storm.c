/*
 * storm.c - thousands of clients of the HTTP source lose their connections at once, come back at once, and send again what was not
 * accepted: all are served, descriptors come to an end again, and nothing that was accepted is missing.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "clients.h"
#include "figures.h"
#include "broker.h"
#include "server.h"

#define CLIENTS (2000 / XF_SCALE)
#define ROUNDS 4
#define AGAIN_MS 100 /* until a client that was refused comes again, at most */

struct client {
	int fd; /* -1: none */
	bool sent, accepted;
	uint64_t next_ms; /* when it tries again */
	unsigned seed;
	char answer[32];
	size_t got;
};

struct storm {
	struct xf_broker *broker;
	struct xf_server *server;
	struct cache *stream;
	unsigned port;
	struct client clients[CLIENTS];
	bool stored[ROUNDS][CLIENTS];
	double duplicates, unexpected;
};

/* A port that nobody has, below those that the kernel gives to clients: one of ours might get it while crossfaded is away. */
static unsigned
port_choose(void)
{
	for (unsigned i = 0; i < 200; i++) {
		unsigned port = 20000 + ((unsigned)getpid() * 7 + i * 131) % 12000;
		struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		bool is_free = bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0;

		close(fd);
		if (is_free)
			return port;
	}
	fail_msg("no free port");
	return 0;
}

static int
setup(void **state)
{
	struct storm *s = xf_alloc(sizeof(*s));
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit); /* the server's, too */
	s->broker = xf_broker_start("redis", NULL);
	s->stream = cache_open(xf_broker_url(s->broker));
	s->server = xf_server_create("storm");
	s->port = port_choose();
	for (unsigned i = 0; i < CLIENTS; i++)
		s->clients[i] = (struct client){.fd = -1, .seed = i};
	xf_server_configure(s->server, "",
	                    "transports:\n"
	                    "  api: {plugin: http, listen: '127.0.0.1:%u'}\n"
	                    "  redis: {plugin: redis, url: '%s'}\n"
	                    "routes:\n"
	                    "  - {name: storm, from: {transport: api, subject: storm}, to: {transport: redis, mode: stream, subject: storm}}\n",
	                    s->port, xf_broker_url(s->broker));
	xf_server_start(s->server);
	xf_server_wait_ready(s->server);
	*state = s;
	return 0;
}

static int
teardown(void **state)
{
	struct storm *s = *state;

	for (unsigned i = 0; i < CLIENTS; i++)
		if (s->clients[i].fd >= 0)
			close(s->clients[i].fd);
	xf_server_destroy(&s->server);
	cache_close(&s->stream);
	xf_broker_destroy(&s->broker);
	free(s);
	return 0;
}

/* ---- The clients -------------------------------------------------------------------------------- */

static void
client_connect(struct client *client, unsigned port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(client->fd >= 0);
	client->sent = false;
	client->got = 0;
	connect(client->fd, (struct sockaddr *)&at, sizeof(at)); /* poll() tells how it went */
}

static void
client_lost(struct client *client)
{
	close(client->fd);
	client->fd = -1;
	client->next_ms = xf_now_ms() + (unsigned)rand_r(&client->seed) % AGAIN_MS;
}

static void
client_turn(struct client *client, unsigned number, unsigned round)
{
	char request[160];
	int size;
	ssize_t n;

	if (!client->sent) {
		size = snprintf(request, sizeof(request),
		                "POST /publish/storm HTTP/1.1\r\nHost: test\r\nMessage-Id: %u-%u\r\nContent-Length: 1\r\n\r\nx", round, number);
		if (send(client->fd, request, (size_t)size, MSG_NOSIGNAL) != size)
			client_lost(client);
		else
			client->sent = true;
		return;
	}
	n = recv(client->fd, client->answer + client->got, sizeof(client->answer) - 1 - client->got, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		client_lost(client);
		return;
	}
	client->got += (size_t)n;
	client->answer[client->got] = '\0';
	if (client->got < strlen("HTTP/1.1 202"))
		return;
	client->accepted = strncmp(client->answer, "HTTP/1.1 202", 12) == 0;
	if (!client->accepted)
		client_lost(client);
}

static unsigned
descriptors(struct storm *s)
{
	char *path = xf_format("/proc/%d/fd", (int)xf_server_pid(s->server));
	DIR *dir = opendir(path);
	unsigned count = 0;

	free(path);
	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

/* Each client sends until it is accepted, all at once; their seconds are added to BACK. */
static void
storm(struct storm *s, unsigned round, struct samples *back)
{
	static struct pollfd fds[CLIENTS];
	uint64_t begin = xf_now_ms(), until = begin + XF_WAIT_MS;
	unsigned waiting = CLIENTS;

	for (unsigned i = 0; i < CLIENTS; i++) {
		s->clients[i].accepted = false;
		s->clients[i].next_ms = 0;
	}
	while (waiting > 0) {
		uint64_t now = xf_now_ms();

		if (now > until)
			fail_msg("%u clients are not served", waiting);
		for (unsigned i = 0; i < CLIENTS; i++) {
			struct client *client = &s->clients[i];

			if (!client->accepted && client->fd < 0 && now >= client->next_ms)
				client_connect(client, s->port);
			fds[i] = (struct pollfd){.fd = client->accepted ? -1 : client->fd, .events = client->sent ? POLLIN : POLLOUT};
		}
		poll(fds, CLIENTS, 10);
		for (unsigned i = 0; i < CLIENTS; i++) {
			if (fds[i].fd < 0 || fds[i].revents == 0)
				continue;
			client_turn(&s->clients[i], i, round);
			if (s->clients[i].accepted) {
				waiting--;
				samples_add(back, (double)(xf_now_ms() - begin) / 1000);
			}
		}
	}
	printf("round %u: all %u served after %.2f s, crossfaded has %u descriptors\n", round, CLIENTS, (double)(xf_now_ms() - begin) / 1000,
	       descriptors(s));
}

static void
clients_leave(struct storm *s)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		client_lost(&s->clients[i]);
}

/* ---- What came of it ------------------------------------------------------------------------------ */

static void
arrived(void *arg, const struct arrival *arrival)
{
	struct storm *s = arg;
	unsigned round, number;

	if (arrival->id == NULL || sscanf(arrival->id, "%u-%u", &round, &number) != 2 || round >= ROUNDS || number >= CLIENTS) {
		s->unexpected++;
		return;
	}
	s->duplicates += s->stored[round][number];
	s->stored[round][number] = true;
}

static unsigned
missing(struct storm *s)
{
	unsigned count = 0;

	for (unsigned round = 0; round < ROUNDS; round++)
		for (unsigned i = 0; i < CLIENTS; i++)
			count += !s->stored[round][i];
	return count;
}

static void
test_reconnects(void **state)
{
	struct storm *s = *state;
	struct samples back = {0};
	unsigned lost, idle = descriptors(s);
	uint64_t until;

	storm(s, 0, &back);
	samples_fini(&back); /* that was no fault */
	for (unsigned round = 1; round < ROUNDS; round++) {
		if (round == 1) {
			clients_leave(s);
		} else {
			xf_server_kill(s->server);
			xf_server_start(s->server);
		}
		for (unsigned i = 0; i < CLIENTS; i++)
			if (s->clients[i].fd >= 0)
				client_lost(&s->clients[i]); /* each has heard of it */
		storm(s, round, &back);
	}
	clients_leave(s);
	until = xf_now_ms() + XF_WAIT_MS;
	while (descriptors(s) > idle + 20 && xf_now_ms() < until)
		xf_sleep_ms(10);
	assert_in_range(descriptors(s), 0, idle + 20);
	cache_read(s->stream, "storm", arrived, s);
	lost = missing(s);
	figures_write(&(struct figures){.fault = "clients of HTTP reconnect at once",
	                                .broker = "http to redis",
	                                .acked = (double)ROUNDS * CLIENTS,
	                                .faults = ROUNDS - 1,
	                                .lost = lost,
	                                .duplicates = s->duplicates,
	                                .recover = &back,
	                                .note = "from the reconnect to 202, of 2,000 clients each time; crossfaded was killed two of the times"});
	samples_fini(&back);
	assert_int_equal(lost, 0);
	assert_true(s->unexpected == 0);
	assert_int_equal(xf_server_stop(s->server), 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reconnects),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
