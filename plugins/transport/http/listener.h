/*
 * listener.h - the HTTP server of a transport: a socket, a thread, and the connections on it.
 *
 * It runs from the first start of an endpoint that needs it until the last of them is destroyed; so over a reload, in
 * which the old source ends before the new one begins, nobody finds the door shut. All of libmicrohttpd is driven by the one
 * thread; a request that waits for its routes costs a suspended connection and nothing else, so thousands may wait.
 */
#ifndef HTTP_LISTENER_H
#define HTTP_LISTENER_H

#include "exchange.h"

struct listener;

/* Threads: any of those below; they know each other. NULL: no memory. */
struct listener *listener_create(struct exchange *exchange, struct xf_str transport);
void listener_destroy(struct listener **listener);

/* One more endpoint needs it; one fewer. [control] The last one to leave waits until what was answered has been sent, for two
 * seconds at most. */
void listener_enter(struct listener *listener);
void listener_leave(struct listener *listener);

/* [io] Tries to listen where that is not done; true: it does. Else ERROR says why not, and *retry_ms when to ask again. */
bool listener_ensure(struct listener *listener, struct xf_error *error, uint32_t *retry_ms);

/* As xf_transport_class.report. */
uint32_t listener_report(struct listener *listener, char *out, uint32_t size);

#endif
