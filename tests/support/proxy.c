/*
 * proxy.c - one thread with poll(), and for each connection two streams of bytes that wait for their time.
 *
 * A stream reads only while it holds little, and buffers of the kernel are kept small, so a slow link is felt at the other
 * end. After poll() everything is tried anew, whatever it said: a call may have closed what it speaks of.
 *
 * A second socket is bound to the port and never listens, so that the port stays ours while connections are refused.
 */
#include "proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"

#define HELD_MAX 262144   /* bytes that are under way in a stream at most */
#define AHEAD_MS 100      /* a slow stream takes in what it can send in so long */
#define KERNEL_MAX 65536
#define CONNECTIONS_MAX 64

/* Bytes that were read together. */
struct piece {
	struct piece *next;
	uint64_t due_ms;
	size_t at, len;
	char data[];
};

struct stream {
	struct piece *first, **end;
	size_t held;
	uint64_t free_ns; /* when the link has sent all that it holds */
	uint64_t passed;
	uint64_t left;    /* bytes until the connection is reset; UINT64_MAX: it is not */
	bool over;        /* its sender has closed */
	bool told;        /* and its receiver knows */
	bool full;        /* its receiver takes no more at the moment */
};

struct connection {
	struct connection *next;
	int ends[2];              /* that a way leads to: the broker's, then the client's; -1: closed */
	struct stream streams[2]; /* by enum proxy_way */
	bool stranded;            /* it swallows, whatever the proxy does */
	bool swallowed;           /* something of it was, be it the end */
};

struct proxy {
	char *url;
	unsigned port, broker;
	int keeper, waker;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t turned;
	/* guarded by lock */
	bool ending;
	uint64_t turns; /* of the thread: poll() has ended, and with it the hold that it has on what was closed */
	int listener; /* -1: connections are refused */
	struct connection *connections; /* the newest first */
	unsigned delay_ms, bytes_per_second;
	bool swallowing;
	uint64_t left[2]; /* of the next connection's streams */
	uint64_t accepted, cuts;
	uint64_t passed[2]; /* by the newest connection, which may be gone */
};

/* ---- Sockets ------------------------------------------------------------------- */

static int
socket_bound(unsigned port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	                              .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1, small = KERNEL_MAX;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int
socket_listening(unsigned port)
{
	int fd = socket_bound(port);

	if (fd >= 0 && listen(fd, CONNECTIONS_MAX) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Connected, or about to be: on the loopback that is known at once. -1 where nobody listens. */
static int
socket_to(unsigned port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	                              .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1, small = KERNEL_MAX;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0 && errno != EINPROGRESS) {
		close(fd);
		return -1;
	}
	return fd;
}

static void
socket_reset(int fd)
{
	struct linger now = {.l_onoff = 1};

	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

/* ---- A connection --------------------------------------------------------------- */

static void
stream_clear(struct stream *s)
{
	while (s->first != NULL) {
		struct piece *gone = s->first;

		s->first = gone->next;
		free(gone);
	}
	s->end = &s->first;
	s->held = 0;
}

static void
connection_free(struct connection *c)
{
	stream_clear(&c->streams[0]);
	stream_clear(&c->streams[1]);
	free(c);
}

/* Resets both ends. */
static void
connection_cut(struct connection *c)
{
	socket_reset(c->ends[0]);
	socket_reset(c->ends[1]);
	c->ends[0] = c->ends[1] = -1;
}

static bool
connection_gone(const struct connection *c)
{
	return c->ends[0] < 0 && c->ends[1] < 0;
}

static void
gone_free_locked(struct proxy *p)
{
	for (struct connection **at = &p->connections; *at != NULL;) {
		struct connection *c = *at;

		if (!connection_gone(c)) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		connection_free(c);
	}
}

static void
accept_locked(struct proxy *p)
{
	struct connection *c;
	int fd, one = 1;

	if (p->listener < 0 || (fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c = xf_alloc(sizeof(*c));
	c->swallowed = p->swallowing;
	c->ends[PROXY_FROM_BROKER] = fd;
	c->ends[PROXY_TO_BROKER] = p->swallowing ? -1 : socket_to(p->broker);
	for (int way = 0; way < 2; way++) {
		c->streams[way].end = &c->streams[way].first;
		c->streams[way].left = p->left[way];
		p->left[way] = UINT64_MAX;
		p->passed[way] = 0;
	}
	if (c->ends[PROXY_TO_BROKER] < 0 && !p->swallowing)
		connection_cut(c);
	c->next = p->connections;
	p->connections = c;
	p->accepted++;
}

/* ---- Moving bytes ------------------------------------------------------------------ */

static bool
swallows_locked(const struct proxy *p, const struct connection *c)
{
	return p->swallowing || c->stranded;
}

/* How many bytes the connection's stream that WAY may read now. */
static size_t
stream_room_locked(const struct proxy *p, const struct connection *c, int way, uint64_t now_ns)
{
	const struct stream *s = &c->streams[way];
	size_t room = s->held < HELD_MAX ? HELD_MAX - s->held : 0, share;

	if (swallows_locked(p, c) || p->bytes_per_second == 0)
		return room;
	if (s->free_ns > now_ns + AHEAD_MS * 1000000ull)
		return 0;
	share = p->bytes_per_second * AHEAD_MS / 1000;
	share = share > 0 ? share : 1;
	return share < room ? share : room;
}

/* Whether the sender of the stream can have something to say that is wanted. */
static bool
stream_reads_locked(const struct proxy *p, const struct connection *c, int way, uint64_t now_ns)
{
	return c->ends[!way] >= 0 && !c->streams[way].over && stream_room_locked(p, c, way, now_ns) > 0;
}

static void
stream_read_locked(struct proxy *p, struct connection *c, int way, uint64_t now_ns)
{
	struct stream *s = &c->streams[way];
	struct piece *piece;
	char bytes[65536];
	size_t room;
	ssize_t n;

	if (!stream_reads_locked(p, c, way, now_ns))
		return;
	room = stream_room_locked(p, c, way, now_ns);
	n = recv(c->ends[!way], bytes, room < sizeof(bytes) ? room : sizeof(bytes), 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	c->swallowed |= swallows_locked(p, c);
	if (n < 0 && !swallows_locked(p, c)) {
		connection_cut(c);
		return;
	}
	if (n <= 0) {
		s->over = true;
		return;
	}
	if (swallows_locked(p, c))
		return;
	if (s->free_ns < now_ns)
		s->free_ns = now_ns;
	if (p->bytes_per_second > 0)
		s->free_ns += (uint64_t)n * 1000000000u / p->bytes_per_second;
	piece = xf_alloc(sizeof(*piece) + (size_t)n);
	piece->due_ms = s->free_ns / 1000000 + p->delay_ms;
	piece->len = (size_t)n;
	memcpy(piece->data, bytes, (size_t)n);
	*s->end = piece;
	s->end = &piece->next;
	s->held += (size_t)n;
}

/* What may go out of the first piece; 0: nothing yet. */
static size_t
stream_due(const struct stream *s, uint64_t now_ms)
{
	size_t size;

	if (s->first == NULL || s->first->due_ms > now_ms)
		return 0;
	size = s->first->len - s->first->at;
	return size < s->left ? size : (size_t)s->left;
}

static void
stream_write_locked(struct proxy *p, struct connection *c, int way, uint64_t now_ms)
{
	struct stream *s = &c->streams[way];
	size_t size;

	s->full = false;
	while (c->ends[way] >= 0 && (size = stream_due(s, now_ms)) > 0) {
		struct piece *piece = s->first;
		ssize_t n = send(c->ends[way], piece->data + piece->at, size, MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			s->full = true;
			return;
		}
		if (n < 0) {
			connection_cut(c);
			return;
		}
		piece->at += (size_t)n;
		s->held -= (size_t)n;
		s->passed += (uint64_t)n;
		if (c == p->connections)
			p->passed[way] = s->passed;
		if (s->left != UINT64_MAX)
			s->left -= (uint64_t)n;
		if (piece->at == piece->len) {
			s->first = piece->next;
			if (s->first == NULL)
				s->end = &s->first;
			free(piece);
		}
		if (s->left == 0) {
			p->cuts++;
			connection_cut(c);
			return;
		}
	}
	if (s->over && s->first == NULL && !s->told && c->ends[way] >= 0) {
		s->told = true;
		shutdown(c->ends[way], SHUT_WR);
	}
}

static void
connection_work_locked(struct proxy *p, struct connection *c)
{
	uint64_t now_ns = xf_now_ns();

	for (int way = 0; way < 2; way++)
		stream_read_locked(p, c, way, now_ns);
	if (swallows_locked(p, c))
		return;
	for (int way = 0; way < 2; way++)
		stream_write_locked(p, c, way, now_ns / 1000000);
	if (c->streams[0].told && c->streams[1].told) {
		close(c->ends[0]);
		close(c->ends[1]);
		c->ends[0] = c->ends[1] = -1;
	}
}

/* ---- The thread ------------------------------------------------------------------------ */

/* Adds the ends of a connection that something is wanted of, and shortens the wait to what is due first. */
static size_t
connection_polls_locked(const struct proxy *p, const struct connection *c, struct pollfd *polls, int *wait_ms)
{
	uint64_t now_ns = xf_now_ns();
	size_t count = 0;

	for (int end = 0; end < 2; end++) {
		const struct stream *out = &c->streams[end];
		short events = 0;

		if (c->ends[end] < 0)
			continue;
		if (stream_reads_locked(p, c, !end, now_ns))
			events |= POLLIN;
		else if (!c->streams[!end].over && *wait_ms > 5) /* it may read again before long */
			*wait_ms = 5;
		if (!swallows_locked(p, c) && out->full)
			events |= POLLOUT;
		if (!swallows_locked(p, c) && !out->full && out->first != NULL) {
			uint64_t now_ms = now_ns / 1000000, due = out->first->due_ms;
			int left = due > now_ms ? (int)(due - now_ms) : 0;

			*wait_ms = left < *wait_ms ? left : *wait_ms;
		}
		if (events != 0)
			polls[count++] = (struct pollfd){.fd = c->ends[end], .events = events};
	}
	return count;
}

static void *
proxy_run(void *arg)
{
	struct proxy *p = arg;
	struct pollfd polls[2 + 2 * CONNECTIONS_MAX];
	uint64_t called;

	pthread_mutex_lock(&p->lock);
	while (!p->ending) {
		int wait_ms = 1000;
		size_t count = 0;

		accept_locked(p);
		for (struct connection *c = p->connections; c != NULL; c = c->next)
			connection_work_locked(p, c);
		gone_free_locked(p);
		polls[count++] = (struct pollfd){.fd = p->waker, .events = POLLIN};
		if (p->listener >= 0)
			polls[count++] = (struct pollfd){.fd = p->listener, .events = POLLIN};
		for (struct connection *c = p->connections; c != NULL && count <= 2 * CONNECTIONS_MAX; c = c->next)
			count += connection_polls_locked(p, c, polls + count, &wait_ms);
		pthread_mutex_unlock(&p->lock);
		poll(polls, count, wait_ms);
		if (read(p->waker, &called, sizeof(called)) < 0)
			called = 0;
		pthread_mutex_lock(&p->lock);
		p->turns++;
		pthread_cond_broadcast(&p->turned);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* Returns once the thread has come by. Takes the lock from the caller. */
static void
unlock_and_wake(struct proxy *p)
{
	uint64_t one = 1, turns = p->turns;

	if (write(p->waker, &one, sizeof(one)) < 0)
		abort();
	while (p->turns == turns)
		pthread_cond_wait(&p->turned, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

/* ---- For the test ---------------------------------------------------------------------- */

static unsigned
port_of(int fd)
{
	struct sockaddr_in address;
	socklen_t len = sizeof(address);

	return getsockname(fd, (struct sockaddr *)&address, &len) == 0 ? ntohs(address.sin_port) : 0;
}

struct proxy *
proxy_create(const char *url)
{
	static const char host[] = "127.0.0.1:";
	const char *at = strstr(url, host);
	char *rest;
	struct proxy *p = xf_alloc(sizeof(*p));

	if (at == NULL)
		fail_msg("'%s' is no address on the loopback", url);
	at += sizeof(host) - 1;
	p->broker = (unsigned)strtoul(at, &rest, 10);
	p->keeper = socket_bound(0);
	p->port = port_of(p->keeper);
	p->listener = socket_listening(p->port);
	p->waker = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->keeper < 0 || p->listener < 0 || p->waker < 0)
		fail_msg("listening: %s", strerror(errno));
	p->url = xf_format("%.*s%u%s", (int)(at - url), url, p->port, rest);
	p->left[0] = p->left[1] = UINT64_MAX;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->turned, NULL);
	if (pthread_create(&p->thread, NULL, proxy_run, p) != 0)
		fail_msg("no thread for the proxy");
	return p;
}

void
proxy_destroy(struct proxy **proxy)
{
	struct proxy *p = *proxy;

	if (p == NULL)
		return;
	*proxy = NULL;
	pthread_mutex_lock(&p->lock);
	p->ending = true;
	unlock_and_wake(p);
	pthread_join(p->thread, NULL);
	for (struct connection *c = p->connections; c != NULL; c = c->next)
		connection_cut(c);
	gone_free_locked(p);
	if (p->listener >= 0)
		close(p->listener);
	close(p->keeper);
	close(p->waker);
	pthread_cond_destroy(&p->turned);
	pthread_mutex_destroy(&p->lock);
	free(p->url);
	free(p);
}

const char *
proxy_url(const struct proxy *proxy)
{
	return proxy->url;
}

unsigned
proxy_port(const struct proxy *proxy)
{
	return proxy->port;
}

void
proxy_clean(struct proxy *p)
{
	bool listening;

	pthread_mutex_lock(&p->lock);
	p->delay_ms = p->bytes_per_second = 0;
	p->swallowing = false;
	p->left[0] = p->left[1] = UINT64_MAX;
	for (struct connection *c = p->connections; c != NULL; c = c->next) {
		c->stranded = false;
		if (c->swallowed)
			connection_cut(c);
		for (int way = 0; way < 2; way++) {
			c->streams[way].left = UINT64_MAX;
			c->streams[way].free_ns = 0;
			for (struct piece *piece = c->streams[way].first; piece != NULL; piece = piece->next)
				piece->due_ms = 0;
		}
	}
	gone_free_locked(p);
	if (p->listener < 0)
		p->listener = socket_listening(p->port);
	listening = p->listener >= 0;
	unlock_and_wake(p);
	if (!listening)
		fail_msg("nobody can listen on port %u again", p->port);
}

void
proxy_delay(struct proxy *p, unsigned ms)
{
	pthread_mutex_lock(&p->lock);
	p->delay_ms = ms;
	unlock_and_wake(p);
}

void
proxy_slow(struct proxy *p, unsigned bytes_per_second)
{
	pthread_mutex_lock(&p->lock);
	p->bytes_per_second = bytes_per_second;
	unlock_and_wake(p);
}

/* What is under way does not arrive. */
static void
under_way_swallow_locked(struct connection *c)
{
	for (int way = 0; way < 2; way++)
		if (c->streams[way].held > 0) {
			stream_clear(&c->streams[way]);
			c->swallowed = true;
		}
}

void
proxy_swallow(struct proxy *p)
{
	pthread_mutex_lock(&p->lock);
	p->swallowing = true;
	for (struct connection *c = p->connections; c != NULL; c = c->next)
		under_way_swallow_locked(c);
	unlock_and_wake(p);
}

void
proxy_strand(struct proxy *p)
{
	pthread_mutex_lock(&p->lock);
	for (struct connection *c = p->connections; c != NULL; c = c->next) {
		c->stranded = true;
		under_way_swallow_locked(c);
	}
	unlock_and_wake(p);
}

void
proxy_refuse(struct proxy *p)
{
	pthread_mutex_lock(&p->lock);
	if (p->listener >= 0)
		close(p->listener);
	p->listener = -1;
	unlock_and_wake(p);
}

static void
cut_locked(struct proxy *p)
{
	for (struct connection *c = p->connections; c != NULL; c = c->next)
		connection_cut(c);
	gone_free_locked(p);
}

void
proxy_cut(struct proxy *p)
{
	pthread_mutex_lock(&p->lock);
	cut_locked(p);
	unlock_and_wake(p);
}

void
proxy_cut_after(struct proxy *p, enum proxy_way way, size_t bytes)
{
	pthread_mutex_lock(&p->lock);
	cut_locked(p);
	p->left[way] = bytes;
	unlock_and_wake(p);
}

uint64_t
proxy_accepted(struct proxy *p)
{
	uint64_t accepted;

	pthread_mutex_lock(&p->lock);
	accepted = p->accepted;
	pthread_mutex_unlock(&p->lock);
	return accepted;
}

uint64_t
proxy_cuts(struct proxy *p)
{
	uint64_t cuts;

	pthread_mutex_lock(&p->lock);
	cuts = p->cuts;
	pthread_mutex_unlock(&p->lock);
	return cuts;
}

uint64_t
proxy_passed(struct proxy *p, enum proxy_way way)
{
	uint64_t passed;

	pthread_mutex_lock(&p->lock);
	passed = p->passed[way];
	pthread_mutex_unlock(&p->lock);
	return passed;
}
