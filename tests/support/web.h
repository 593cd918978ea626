/*
 * web.h - an HTTP server that answers what the test tells it to, and remembers what it was asked; also in the form of a
 * chat-completions endpoint.
 *
 * Threads: it has one of its own. A test calls from one thread.
 */
#ifndef XF_TESTS_WEB_H
#define XF_TESTS_WEB_H

#include <stdbool.h>
#include <stddef.h>

struct web;

/* On a port of 127.0.0.1. */
struct web *web_create(void);

/* With TLS, as server.pem in the folder that xf_certificates_make() filled (broker.h). */
struct web *web_create_tls(const char *dir);
void web_destroy(struct web **web);
unsigned web_port(const struct web *web);

/* The next request gets this, the one after it what was told next; what comes when nothing is left gets 200 and what it had
 * sent. HEADERS: lines "Name: value\n", or "". */
void web_say(struct web *web, unsigned status, const char *headers, const char *body);

/* The next request is hung up on. */
void web_cut(struct web *web);

/* From now on requests are not answered; until they are again, those that wait too. */
void web_hold(struct web *web, bool hold);

/* As web_say, as a chat-completions endpoint does: CONTENT is what the model says, in so many tokens. */
void web_chat(struct web *web, const char *content, unsigned tokens);

/* Of requests that came whole, in order of arrival. Texts are terminated, and live as long as the server. */
struct web_request {
	char *method, *path; /* with the query */
	char *headers;       /* lines "name: value\n", names in small letters */
	char *body;
};

size_t web_count(struct web *web);
struct web_request web_request(struct web *web, size_t index);

/* Whether REQUEST has the line "name: value". */
bool web_has_header(const struct web_request *request, const char *line);

/* Connections that were made. */
size_t web_connections(struct web *web);

#endif
