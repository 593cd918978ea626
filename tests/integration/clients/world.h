/*
 * world.h - the setting of most tests of a migration: a RabbitMQ queue as the source, a Redis stream as the old side,
 * JetStream as the new one, crossfaded between them, and clients that feed and read.
 *
 * The brokers run as long as the program; every test begins with names of its own: NAME is the migration, the route and
 * the Redis stream, NAME.in the queue, NAME.moved the subject of the JetStream stream NAME.
 */
#ifndef XF_TESTS_WORLD_H
#define XF_TESTS_WORLD_H

#include "broker.h"
#include "clients.h"
#include "proxy.h"
#include "server.h"

/* Beside the sides OLD and NEW. */
enum { SOURCE = NEW + 1, PLACES };

struct world {
	struct xf_broker *rabbit, *redis, *nats;
	struct rabbit *queue;
	struct cache *old;
	struct jet *new;
	struct xf_server *server;
	char *name;
	char *in;        /* the queue */
	char *route;     /* /api/v1/routes/NAME */
	char *migration; /* /api/v1/migrations/NAME */
	struct proxy *lines[PLACES]; /* between crossfaded and the broker of a side or of the source; NULL: none */
	const char *extra; /* more lines of `server:`, as xf_server_configure() has them; NULL: none */
	const char *sides; /* further settings of both sides, as a flow mapping would have them; NULL: none */
	const char *source; /* likewise of the source */
};

/* For cmocka: all three brokers. Redis writes its log before it answers, so what it confirmed outlives a kill of it. */
int world_setup(void **state);
int world_teardown(void **state);

void world_begin(struct world *w, const char *name);

/* The YAML. MIGRATION are more settings of the migration, ROUTE of the route, as a flow mapping
 * would have them: ", percent: 50"; "" for none. */
void world_configure(struct world *w, const char *migration, const char *route);

/* Connects the clients of the sides anew, after their brokers were restarted. */
void world_reopen(struct world *w);

/* What both sides hold goes into LEDGER, which forgets all else. */
void world_read(struct world *w, struct ledger *ledger);

/* A number of the migration, "sides.old.confirmed", and of the route. */
double world_number(struct world *w, const char *field);
double world_route_number(struct world *w, const char *field);

/* `crossfade migration set NAME --percent PERCENT` and FLAG, which may be NULL; done, or the test fails. */
void world_percent(struct world *w, const char *percent, const char *flag);

/* At rest: each side's legs are all accounted for, and the route's messages are. */
void world_check_accounts(struct world *w);

#endif
