/*
 * listen.h - the sockets that the admin interface listens on, and who is at the other end.
 */
#ifndef XF_ADMIN_LISTEN_H
#define XF_ADMIN_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/error.h"

/*
 * A listening socket at PATH, mode 0660, or -1 with a reason. What stands there already is replaced if it is
 * a socket that nobody answers on. *MADE tells it from one that somebody else put there later.
 */
int xf_listen_unix(const char *path, struct stat *made, struct xf_error *error);

/* Removes PATH if it still is the socket that xf_listen_unix() made. */
void xf_listen_unix_remove(const char *path, const struct stat *made);

/* "127.0.0.1:8480", "[::1]:8480", "localhost:8480", ":8480" (every address). *LOOPBACK: nobody beyond this
 * machine can reach it. -1 with a reason. */
int xf_listen_tcp(const char *address, bool *loopback, struct xf_error *error);

/* The port that FD listens on. */
unsigned xf_listen_port(int fd);

/* Names the peer of a connection for the log: the user at the end of a Unix socket, else the address. */
void xf_peer_name(int fd, char *out, size_t size);

#endif
