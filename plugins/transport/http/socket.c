#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 1024

struct shared_socket {
	struct shared_socket *next;
	struct xf_str transport, listen;
	int fd;
	unsigned port, users;
	bool loopback;
};

/* Of the whole process: a reload's two transports know nothing else in common. */
static pthread_mutex_t sockets_lock = PTHREAD_MUTEX_INITIALIZER;
static struct shared_socket *sockets;

static int
bind_one(const struct addrinfo *choice)
{
	int fd = socket(choice->ai_family, choice->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, choice->ai_protocol);
	int on = 1, saved;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, choice->ai_addr, choice->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static int
address_bind(const struct settings *settings, struct xf_error *error)
{
	const struct addrinfo hints = {
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *choices = NULL;
	int fd = -1, failure;

	failure = getaddrinfo(settings->host[0] != '\0' ? settings->host : NULL, settings->port, &hints, &choices);
	if (failure != 0)
		return settings_fail(error, "cannot listen on %s: %s", settings->listen.data,
		                     failure == EAI_SYSTEM ? strerror(errno) : gai_strerror(failure));
	for (const struct addrinfo *choice = choices; choice != NULL && fd < 0; choice = choice->ai_next)
		fd = bind_one(choice);
	freeaddrinfo(choices);
	if (fd < 0)
		return settings_fail(error, "cannot listen on %s: %s%s", settings->listen.data, strerror(errno),
		                     errno == EADDRINUSE ? "; end what listens there, or give another port" : "");
	return fd;
}

static void
address_look(struct shared_socket *shared)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);

	if (getsockname(shared->fd, (struct sockaddr *)&address, &len) < 0)
		return;
	if (address.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)&address;

		shared->port = ntohs(in->sin_port);
		shared->loopback = ntohl(in->sin_addr.s_addr) >> 24 == 127;
	} else if (address.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const void *)&address;

		shared->port = ntohs(in->sin6_port);
		shared->loopback = IN6_IS_ADDR_LOOPBACK(&in->sin6_addr);
	}
}

static struct xf_str
copy_of(struct xf_str text)
{
	char *copy = strndup(text.data, text.len);

	return (struct xf_str){copy, copy != NULL ? text.len : 0};
}

static void
shared_free(struct shared_socket *shared)
{
	if (shared->fd >= 0)
		close(shared->fd);
	free((char *)shared->transport.data);
	free((char *)shared->listen.data);
	free(shared);
}

static struct shared_socket *
shared_create(struct xf_str transport, const struct settings *settings, struct xf_error *error)
{
	struct shared_socket *shared = calloc(1, sizeof(*shared));

	if (shared == NULL) {
		settings_fail(error, "no memory");
		return NULL;
	}
	shared->transport = copy_of(transport);
	shared->listen = copy_of(settings->listen);
	shared->fd = address_bind(settings, error);
	if (shared->fd < 0 || shared->transport.data == NULL || shared->listen.data == NULL) {
		shared_free(shared);
		return NULL;
	}
	address_look(shared);
	return shared;
}

static bool
same(struct xf_str a, struct xf_str b)
{
	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

static struct shared_socket *
shared_find_locked(struct xf_str transport, const struct settings *settings)
{
	struct shared_socket *shared = sockets;

	if (strcmp(settings->port, "0") == 0)
		return NULL; /* each has one of its own */
	while (shared != NULL && !(same(shared->transport, transport) && same(shared->listen, settings->listen)))
		shared = shared->next;
	return shared;
}

struct shared_socket *
socket_reserve(struct xf_str transport, const struct settings *settings)
{
	struct shared_socket *shared;

	pthread_mutex_lock(&sockets_lock);
	shared = shared_find_locked(transport, settings);
	if (shared != NULL)
		shared->users++;
	pthread_mutex_unlock(&sockets_lock);
	return shared;
}

struct shared_socket *
socket_open(struct xf_str transport, const struct settings *settings, int *fd, struct xf_error *error)
{
	struct shared_socket *shared;

	pthread_mutex_lock(&sockets_lock);
	shared = shared_find_locked(transport, settings);
	if (shared == NULL) {
		shared = shared_create(transport, settings, error);
		if (shared != NULL) {
			shared->next = sockets;
			sockets = shared;
		}
	}
	if (shared != NULL) {
		*fd = fcntl(shared->fd, F_DUPFD_CLOEXEC, 0);
		shared->users++;
	}
	pthread_mutex_unlock(&sockets_lock);
	if (shared != NULL && *fd < 0) {
		settings_fail(error, "cannot listen on %s: %s", settings->listen.data, strerror(errno));
		socket_close(&shared);
	}
	return shared;
}

void
socket_close(struct shared_socket **pointer)
{
	struct shared_socket *shared = *pointer, **at = &sockets;

	*pointer = NULL;
	if (shared == NULL)
		return;
	pthread_mutex_lock(&sockets_lock);
	if (--shared->users == 0) {
		while (*at != shared)
			at = &(*at)->next;
		*at = shared->next;
		shared_free(shared);
	}
	pthread_mutex_unlock(&sockets_lock);
}

bool
socket_has_successor(struct shared_socket *shared)
{
	bool has;

	pthread_mutex_lock(&sockets_lock);
	has = shared->users > 1;
	pthread_mutex_unlock(&sockets_lock);
	return has;
}

unsigned
socket_port(const struct shared_socket *shared)
{
	return shared->port;
}

bool
socket_is_loopback(const struct shared_socket *shared)
{
	return shared->loopback;
}
