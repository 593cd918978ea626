/* The proxy between a client and a broker that the test plays both. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "peer.h"
#include "proxy.h"
#include "wait.h"

struct world {
	struct peer *broker;
	struct proxy *proxy;
};

static int
setup(void **state)
{
	struct world *w = xf_alloc(sizeof(*w));
	char *url;

	w->broker = peer_create();
	url = xf_format("amqp://guest:guest@127.0.0.1:%u/shop", peer_port(w->broker));
	w->proxy = proxy_create(url);
	free(url);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	proxy_destroy(&w->proxy);
	peer_destroy(&w->broker);
	free(w);
	return 0;
}

/* ---- The client ------------------------------------------------------------------ */

static int
client_try(struct world *w)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	                              .sin_port = htons((uint16_t)proxy_port(w->proxy))};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 65536;
	struct timeval patience = {.tv_sec = XF_WAIT_MS / 1000};

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int
client_connect(struct world *w)
{
	int fd = client_try(w);

	if (fd < 0)
		fail_msg("connecting: %s", strerror(errno));
	return fd;
}

static void
client_say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void
client_hear(int fd, const char *text)
{
	char bytes[256];

	assert_int_equal(recv(fd, bytes, strlen(text), MSG_WAITALL), strlen(text));
	assert_memory_equal(bytes, text, strlen(text));
}

static void
client_is_reset(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
}

/* Connected through to the broker. */
static int
client_through(struct world *w)
{
	int fd = client_connect(w);

	peer_accept(w->broker);
	return fd;
}

static void
broker_hears(struct world *w, const char *text)
{
	assert_memory_equal(peer_bytes(w->broker, strlen(text)), text, strlen(text));
}

static void
both_talk(struct world *w, int fd)
{
	client_say(fd, "hello");
	broker_hears(w, "hello");
	peer_say(w->broker, "welcome");
	client_hear(fd, "welcome");
}

/* ---- Tests ------------------------------------------------------------------------ */

static void
bytes_pass_unchanged(void **state)
{
	static char pattern[1000];
	struct world *w = *state;
	char *url = xf_format("amqp://guest:guest@127.0.0.1:%u/shop", proxy_port(w->proxy)), byte;
	int fd = client_through(w);

	assert_string_equal(proxy_url(w->proxy), url);
	free(url);
	both_talk(w, fd);
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (char)(i * 7);
	for (int i = 0; i < 2000; i++) {
		assert_int_equal(send(fd, pattern, sizeof(pattern), MSG_NOSIGNAL), sizeof(pattern));
		assert_memory_equal(peer_bytes(w->broker, sizeof(pattern)), pattern, sizeof(pattern));
	}
	assert_int_equal(proxy_passed(w->proxy, PROXY_TO_BROKER), 5 + 2000 * sizeof(pattern));
	assert_int_equal(proxy_passed(w->proxy, PROXY_FROM_BROKER), 7);
	shutdown(fd, SHUT_WR);
	assert_true(peer_gone(w->broker, XF_WAIT_MS));
	peer_say(w->broker, "farewell"); /* one end may close first */
	client_hear(fd, "farewell");
	peer_hang_up(w->broker);
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	close(fd);
	assert_int_equal(proxy_accepted(w->proxy), 1);
}

static void
nothing_is_early(void **state)
{
	struct world *w = *state;
	int fd = client_through(w);
	uint64_t begin = xf_now_ms();

	proxy_delay(w->proxy, 100);
	both_talk(w, fd);
	assert_true(xf_now_ms() - begin >= 199);
	proxy_clean(w->proxy);
	both_talk(w, fd);
	close(fd);
}

static void
a_slow_link_is_felt(void **state)
{
	static char bytes[10000];
	struct world *w = *state;
	int fd = client_through(w);
	struct pollfd writable = {.fd = fd, .events = POLLOUT};
	uint64_t begin = xf_now_ms();
	size_t sent = 0;
	ssize_t n;

	proxy_slow(w->proxy, 20000);
	assert_int_equal(send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL), sizeof(bytes));
	peer_bytes(w->broker, sizeof(bytes));
	assert_true(xf_now_ms() - begin >= 499);
	while (poll(&writable, 1, 200) > 0 && (n = send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL | MSG_DONTWAIT)) > 0)
		sent += (size_t)n;
	assert_true(sent < 300000); /* in the kernel, most of it */
	proxy_clean(w->proxy);
	peer_bytes(w->broker, sent);
	both_talk(w, fd);
	close(fd);
}

static void
a_cut_resets_both_ends(void **state)
{
	struct world *w = *state;
	int fd = client_through(w);

	both_talk(w, fd);
	proxy_cut(w->proxy);
	client_is_reset(fd);
	assert_true(peer_gone(w->broker, XF_WAIT_MS));
	fd = client_through(w);
	both_talk(w, fd);
	close(fd);
	assert_int_equal(proxy_accepted(w->proxy), 2);
}

static void
what_is_swallowed_is_never_heard(void **state)
{
	struct world *w = *state;
	int quiet = client_through(w), fd, late;

	both_talk(w, quiet);
	proxy_swallow(w->proxy);
	late = client_connect(w);
	client_say(late, "anybody?");
	assert_false(peer_wanted(w->broker, 50));
	proxy_clean(w->proxy);
	client_is_reset(late);
	both_talk(w, quiet);

	fd = client_through(w);
	both_talk(w, fd);
	proxy_swallow(w->proxy);
	client_say(fd, "question");
	peer_say(w->broker, "news");
	shutdown(fd, SHUT_WR);
	assert_false(peer_gone(w->broker, 50));
	proxy_clean(w->proxy);
	client_is_reset(fd);
	assert_true(peer_gone(w->broker, XF_WAIT_MS));
	close(quiet);
}

static void
a_stranded_connection_has_a_successor(void **state)
{
	struct world *w = *state;
	int fd = client_through(w), next;

	both_talk(w, fd);
	proxy_strand(w->proxy);
	client_say(fd, "question");
	shutdown(fd, SHUT_WR);
	assert_false(peer_gone(w->broker, 50));
	next = client_through(w);
	both_talk(w, next);
	proxy_clean(w->proxy);
	client_is_reset(fd);
	both_talk(w, next);
	close(next);
}

static void
a_connection_ends_at_a_byte(void **state)
{
	struct world *w = *state;
	int fd;

	proxy_cut_after(w->proxy, PROXY_TO_BROKER, 3);
	fd = client_through(w);
	client_say(fd, "abcdef");
	broker_hears(w, "abc");
	assert_true(peer_gone(w->broker, XF_WAIT_MS));
	client_is_reset(fd);
	assert_int_equal(proxy_cuts(w->proxy), 1);
	assert_int_equal(proxy_passed(w->proxy, PROXY_TO_BROKER), 3);

	proxy_cut_after(w->proxy, PROXY_FROM_BROKER, 9);
	fd = client_through(w);
	both_talk(w, fd);
	peer_say(w->broker, "abcdef");
	client_hear(fd, "ab");
	client_is_reset(fd);
	assert_int_equal(proxy_cuts(w->proxy), 2);
	fd = client_through(w); /* once */
	both_talk(w, fd);
	both_talk(w, fd);
	close(fd);
}

static void
nobody_listens(void **state)
{
	struct world *w = *state;
	int fd = client_through(w);

	proxy_refuse(w->proxy);
	assert_int_equal(client_try(w), -1);
	assert_int_equal(errno, ECONNREFUSED);
	both_talk(w, fd);
	close(fd);
	proxy_clean(w->proxy);
	fd = client_through(w);
	both_talk(w, fd);
	close(fd);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bytes_pass_unchanged, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_early, setup, teardown),
		cmocka_unit_test_setup_teardown(a_slow_link_is_felt, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cut_resets_both_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_swallowed_is_never_heard, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stranded_connection_has_a_successor, setup, teardown),
		cmocka_unit_test_setup_teardown(a_connection_ends_at_a_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_listens, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
