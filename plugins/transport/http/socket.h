/*
 * socket.h - listening sockets, which a transport hands to its successor.
 *
 * Over a reload the transport with new settings opens while the old one still runs, on the same address. Both then have
 * the same socket: whoever accepts a connection serves it, and since the kernel's queue is one, no connection is lost when
 * the old one closes its own. A transport of another name gets "address in use", as from another process.
 */
#ifndef HTTP_SOCKET_H
#define HTTP_SOCKET_H

#include <stdbool.h>

#include "settings.h"

struct shared_socket;

/* *FD is the caller's own, to be closed by it. NULL with a reason. Threads: any. */
struct shared_socket *socket_open(struct xf_str transport, const struct settings *settings, int *fd, struct xf_error *error);
void socket_close(struct shared_socket **socket);

/* The socket that a transport of this name has on this address, so that it stays and its owner knows of a successor; NULL:
 * there is none. To be closed like an opened one. */
struct shared_socket *socket_reserve(struct xf_str transport, const struct settings *settings);

/* Whether another transport has the same, or has reserved it. */
bool socket_has_successor(struct shared_socket *socket);

/* The port that it listens on. */
unsigned socket_port(const struct shared_socket *socket);

/* Whether only this machine can reach it. */
bool socket_is_loopback(const struct shared_socket *socket);

#endif
