/*
 * admin.h - the HTTP interface for operators and machines, over a Unix socket and, if asked, TCP.
 *
 * It asks the flow and tells it what an operator wants; it keeps no truth of its own. Each listener is
 * a server of its own, so that whoever floods the TCP port cannot lock the operator out of the socket.
 *
 * Threads: start, draining and stop on one thread. Every connection has a thread of its own inside
 * (a change of a migration waits for the disk), so the flow's functions are called from many.
 */
#ifndef XF_ADMIN_ADMIN_H
#define XF_ADMIN_ADMIN_H

#include "admin/control.h"
#include "base/error.h"
#include "conf/conf.h"
#include "flow/flow.h"
#include "host/catalogue.h"

struct xf_admin;

/* All borrowed; all outlive the admin interface. */
struct xf_admin_setup {
	const struct xf_conf *conf;
	struct xf_flow *flow;
	struct xf_catalogue *catalogue;
	const struct xf_control *control; /* NULL: reload and drain are refused (a flow inside another program) */
};

/*
 * Listens on server.admin.socket and, where given, server.admin.listen. A stale socket is replaced: the
 * caller holds the lock on data_dir, so that nobody lives behind one that does not answer. NULL with a
 * reason: an address in use, a path that is too long or no socket, TCP beyond loopback without a token.
 */
struct xf_admin *xf_admin_start(const struct xf_admin_setup *setup, struct xf_error *error);

/* The TCP port it listens on, which `listen: 127.0.0.1:0` leaves open; 0: none. */
unsigned xf_admin_port(const struct xf_admin *admin);

/* From now on /readyz answers 503. */
void xf_admin_draining(struct xf_admin *admin);

/* Ends all connections, waits for what is being answered, removes the socket. */
void xf_admin_stop(struct xf_admin **admin);

#endif
