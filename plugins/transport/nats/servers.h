/*
 * servers.h - the servers that a connection may go to: those of the settings, and those that they tell of.
 *
 * Every link has a list of its own, in an order of its own, so that the endpoints of many processes do not
 * fall upon one server together. A server of a cluster names the others when it greets and whenever that
 * changes; what it names joins the list and leaves it again. The settings' own stay.
 */
#ifndef NATS_SERVERS_H
#define NATS_SERVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <crossfade/plugin.h>

struct server {
	char *host; /* for the resolver: no brackets */
	char port[6];
	char *user; /* of the URL, NULL: none; without a password it is a token */
	char *password;
	char *tls_name; /* whom its certificate must name; NULL: host */
	bool tls;       /* tls:// */
	bool learnt;
};

/* nats://[user[:password]@|token@]host[:port], or tls://. False with a reason. */
bool server_parse(struct xf_str url, struct server *server, struct xf_error *error);
void server_fini(struct server *server);

/* host:port in lower case, localhost as 127.0.0.1: in a form that compares. */
void server_address(const struct server *server, char *out, size_t size);

struct servers {
	struct server *list;
	uint32_t count;
	uint32_t at;    /* the one taken last */
	uint32_t tried; /* since one was reached, or the round began */
};

struct settings;

/* Copies, and shuffles. */
void servers_init(struct servers *servers, const struct settings *settings);
void servers_fini(struct servers *servers);

/* The next one to try; borrowed until servers_learn(). */
const struct server *servers_next(struct servers *servers);

/* Whether all have been tried in vain; then a new round begins. */
bool servers_round_over(struct servers *servers);

/* It was reached: the next round begins behind it. */
void servers_reached(struct servers *servers);

/* What the server in use says of its cluster: a JSON array of "host:port". */
void servers_learn(struct servers *servers, struct xf_str urls);

#endif
