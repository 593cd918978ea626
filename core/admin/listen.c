#include "admin/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/memory.h"

enum { BACKLOG = 64 };

/* 0: free to bind, having removed a socket that nobody answers on. */
static enum xf_status
stale_remove(const char *path, const struct sockaddr_un *address, struct xf_error *error)
{
	struct stat there;
	int fd, answered;

	if (lstat(path, &there) < 0)
		return errno == ENOENT ? XF_OK
			               : xf_error_set(error, "admin socket %s: %s", path, strerror(errno));
	if (!S_ISSOCK(there.st_mode))
		return xf_error_set(error, "admin socket %s: something stands there that is no socket; "
			            "remove it, or set server.admin.socket", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return xf_error_set(error, "admin socket %s: %s", path, strerror(errno));
	answered = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN;
	close(fd);
	if (answered)
		return xf_error_set(error, "admin socket %s: another server answers there", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return xf_error_set(error, "admin socket %s: cannot replace the one left behind: %s", path,
			            strerror(errno));
	return XF_OK;
}

int
xf_listen_unix(const char *path, struct stat *made, struct xf_error *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = strlen(path);
	int fd;

	if (len >= sizeof address.sun_path) {
		xf_error_set(error, "admin socket %s: the path has %zu bytes, a Unix socket's at most %zu; "
			     "set server.admin.socket to a shorter one, as /run/crossfade/admin.sock",
			     path, len, sizeof address.sun_path - 1);
		return -1;
	}
	memcpy(address.sun_path, path, len);
	if (stale_remove(path, &address, error) != XF_OK)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
		xf_error_set(error, "admin socket %s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	/* Nobody can connect before listen(), so nobody slips in before the mode is set. */
	if (chmod(path, 0660) < 0 || lstat(path, made) < 0 || listen(fd, BACKLOG) < 0) {
		xf_error_set(error, "admin socket %s: %s", path, strerror(errno));
		close(fd);
		unlink(path);
		return -1;
	}
	return fd;
}

void
xf_listen_unix_remove(const char *path, const struct stat *made)
{
	struct stat there;

	if (lstat(path, &there) == 0 && there.st_dev == made->st_dev && there.st_ino == made->st_ino)
		unlink(path);
}

/* Parts "HOST:PORT" and "[HOST]:PORT" in place; an empty host is every address. */
static enum xf_status
address_split(char *text, char **host, char **port)
{
	char *colon = strrchr(text, ':');

	if (colon == NULL || colon[1] == '\0')
		return XF_FAILED;
	*colon = '\0';
	*port = colon + 1;
	*host = text;
	if (text[0] == '[') {
		size_t len = strlen(text);

		if (text[len - 1] != ']')
			return XF_FAILED;
		text[len - 1] = '\0';
		*host = text + 1;
	} else if (strchr(text, ':') != NULL) {
		return XF_FAILED; /* a bare IPv6 address: where would its port begin? */
	}
	return XF_OK;
}

static bool
is_loopback(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24 ==
		       127;
	return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

static int
bind_one(const struct addrinfo *choice)
{
	int fd = socket(choice->ai_family, choice->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
		        choice->ai_protocol);
	int on = 1, saved;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, choice->ai_addr, choice->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

int
xf_listen_tcp(const char *address, bool *loopback, struct xf_error *error)
{
	const struct addrinfo hints = {
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *choices = NULL;
	char *copy = xf_strdup(address), *host, *port;
	int fd = -1, failure;

	if (address_split(copy, &host, &port) != XF_OK) {
		xf_error_set(error, "admin address '%s': expected HOST:PORT, as 127.0.0.1:8480 or [::1]:8480",
			     address);
		goto free_copy;
	}
	failure = getaddrinfo(host[0] != '\0' ? host : NULL, port, &hints, &choices);
	if (failure != 0) {
		xf_error_set(error, "admin address '%s': %s", address,
			     failure == EAI_SYSTEM ? strerror(errno) : gai_strerror(failure));
		goto free_copy;
	}
	for (const struct addrinfo *choice = choices; choice != NULL && fd < 0; choice = choice->ai_next) {
		fd = bind_one(choice);
		if (fd >= 0)
			*loopback = is_loopback(choice->ai_addr);
	}
	if (fd < 0)
		xf_error_set(error, "admin address '%s': %s", address, strerror(errno));
	freeaddrinfo(choices);
free_copy:
	free(copy);
	return fd;
}

unsigned
xf_listen_port(int fd)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof address;

	if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		return 0;
	if (address.ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)&address)->sin_port);
	if (address.ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)&address)->sin6_port);
	return 0;
}

static void
user_name(uid_t uid, char *out, size_t size)
{
	struct passwd entry, *found = NULL;
	char room[4096];

	if (getpwuid_r(uid, &entry, room, sizeof room, &found) == 0 && found != NULL)
		snprintf(out, size, "%s", found->pw_name);
	else
		snprintf(out, size, "uid %lu", (unsigned long)uid);
}

void
xf_peer_name(int fd, char *out, size_t size)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof address;
	char host[NI_MAXHOST];

	snprintf(out, size, "unknown");
	if (getpeername(fd, (struct sockaddr *)&address, &len) < 0)
		return;
	if (address.ss_family == AF_UNIX) {
		struct ucred peer;
		socklen_t peer_len = sizeof peer;

		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_len) == 0)
			user_name(peer.uid, out, size);
	} else if (getnameinfo((struct sockaddr *)&address, len, host, sizeof host, NULL, 0,
		               NI_NUMERICHOST) == 0) {
		snprintf(out, size, "%s", host);
	}
}
