/*
 * connect.c - a host with several addresses, the first of which is silent.
 */
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int addresses_find(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **list);

#define getaddrinfo addresses_find
#define freeaddrinfo(list) ((void)(list))

#include "../../../plugins/transport/amqp/codec.c"
#include "../../../plugins/transport/amqp/encode.c"
#include "../../../plugins/transport/amqp/options.c"
#include "../../../plugins/transport/amqp/settings.c"
#include "../../../plugins/transport/amqp/wire.c"
#include "../../../plugins/transport/amqp/connect.c"

#include <arpa/inet.h>

#include "base/clock.h"

static struct sockaddr_in places[2];
static struct addrinfo found[2];

static int
addresses_find(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **list)
{
	(void)host;
	(void)port;
	(void)hints;
	for (size_t i = 0; i < 2; i++)
		found[i] = (struct addrinfo){
			.ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_addrlen = sizeof(places[i]),
			.ai_addr = (struct sockaddr *)&places[i], .ai_next = i == 0 ? &found[1] : NULL};
	*list = found;
	return 0;
}

static int
listener_open(struct sockaddr_in *place, int backlog)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*place);

	*place = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(fd, (struct sockaddr *)place, sizeof(*place)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)place, &len), 0);
	return fd;
}

/* Nobody accepts there, and the queue is full: the kernel answers no more. */
static void
queue_fill(const struct sockaddr_in *place, int fds[8])
{
	for (size_t i = 0; i < 8; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)connect(fds[i], (const struct sockaddr *)place, sizeof(*place));
	}
}

static void
test_silent_address(void **state)
{
	struct xf_host host = {.struct_size = sizeof(host), .now_ms = xf_now_ms};
	struct wire wire = {.host = &host, .fd = -1};
	int silent = listener_open(&places[0], 0), other = listener_open(&places[1], 8), fds[8];
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);

	(void)state;
	wire.server = &wire.settings.servers[0];
	wire.settings.heartbeat_ms = 10000;
	queue_fill(&places[0], fds);
	assert_true(socket_open(&wire, xf_now_ms() + 6000));
	assert_int_equal(getpeername(wire.fd, (struct sockaddr *)&peer, &len), 0);
	assert_int_equal(peer.sin_port, places[1].sin_port);
	assert_false(wire.failed);
	close(wire.fd);

	/* Both of them: that is told, and took its time only. */
	wire.fd = -1;
	places[1] = places[0];
	assert_false(socket_open(&wire, xf_now_ms() + 500));
	assert_string_equal(wire.error, "timed out");
	for (size_t i = 0; i < 8; i++)
		close(fds[i]);
	close(silent);
	close(other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_silent_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
