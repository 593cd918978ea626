#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"

int
world_setup(void **state)
{
	static const char *const durable[] = {"--appendonly", "yes", "--appendfsync", "no", NULL};
	struct world *w = xf_alloc(sizeof(*w));

	w->rabbit = xf_broker_start("amqp", NULL);
	w->redis = xf_broker_start("redis", durable);
	w->nats = xf_broker_start("nats", NULL);
	w->queue = rabbit_open(xf_broker_url(w->rabbit));
	w->old = cache_open(xf_broker_url(w->redis));
	w->new = jet_open(xf_broker_url(w->nats));
	*state = w;
	return 0;
}

static void
names_free(struct world *w)
{
	free(w->name);
	free(w->in);
	free(w->route);
	free(w->migration);
}

int
world_teardown(void **state)
{
	struct world *w = *state;

	xf_server_destroy(&w->server);
	rabbit_close(&w->queue);
	cache_close(&w->old);
	jet_close(&w->new);
	xf_broker_destroy(&w->rabbit);
	xf_broker_destroy(&w->redis);
	xf_broker_destroy(&w->nats);
	names_free(w);
	free(w);
	return 0;
}

void
world_begin(struct world *w, const char *name)
{
	xf_server_destroy(&w->server);
	names_free(w);
	w->name = xf_strdup(name);
	w->in = xf_format("%s.in", name);
	w->route = xf_format("/api/v1/routes/%s", name);
	w->migration = xf_format("/api/v1/migrations/%s", name);
	w->server = xf_server_create(name);
	rabbit_declare(w->queue, w->in);
}

/* As crossfaded reaches it. */
static const char *
address(const struct world *w, int place, const struct xf_broker *broker)
{
	return w->lines[place] != NULL ? proxy_url(w->lines[place]) : xf_broker_url(broker);
}

void
world_configure(struct world *w, const char *migration, const char *route)
{
	const char *name = w->name, *sides = w->sides != NULL ? w->sides : "", *source = w->source != NULL ? w->source : "";

	xf_server_configure(w->server, w->extra != NULL ? w->extra : "",
	                    "transports:\n"
	                    "  rabbit: {plugin: amqp, url: \"%s\"}\n"
	                    "  redis: {plugin: redis, url: \"%s\", timeout: 2s, heartbeat: 1s}\n"
	                    "  nats:\n"
	                    "    plugin: nats\n"
	                    "    url: \"%s\"\n"
	                    "    ping_interval: 1s\n"
	                    "    publish_timeout: 2s\n"
	                    "    streams: [{name: %s, subjects: [%s.moved]}]\n"
	                    "migrations:\n"
	                    "  %s: {old: {transport: redis, mode: stream, subject: %s%s}, new: {transport: nats, subject: "
	                    "%s.moved%s}, key: \"{header.key}\"%s}\n"
	                    "routes:\n"
	                    "  - {name: %s, from: {transport: rabbit, queue: %s%s}, to: {migration: %s}%s}\n",
	                    address(w, SOURCE, w->rabbit), address(w, OLD, w->redis), address(w, NEW, w->nats), name, name,
	                    name, name, sides, name, sides, migration, name, w->in, source, name, route);
}

void
world_reopen(struct world *w)
{
	cache_close(&w->old);
	jet_close(&w->new);
	w->old = cache_open(xf_broker_url(w->redis));
	w->new = jet_open(xf_broker_url(w->nats));
}

void
world_read(struct world *w, struct ledger *ledger)
{
	ledger_reset(ledger);
	cache_read(w->old, w->name, side_arrived, &(struct side){ledger, OLD});
	jet_read(w->new, w->name, side_arrived, &(struct side){ledger, NEW});
}

double
world_number(struct world *w, const char *field)
{
	return xf_server_number(w->server, w->migration, field);
}

double
world_route_number(struct world *w, const char *field)
{
	return xf_server_number(w->server, w->route, field);
}

void
world_percent(struct world *w, const char *percent, const char *flag)
{
	XF_CLI_DONE(w->server, "migration", "set", w->name, "--percent", percent, "--timeout", "1m", flag);
}

static double
sum_of(struct world *w, const char *path, const char *prefix, const char *const *names)
{
	double sum = 0;

	for (; *names != NULL; names++) {
		char *field = xf_format("%s%s", prefix, *names);

		sum += xf_server_number(w->server, path, field);
		free(field);
	}
	return sum;
}

void
world_check_accounts(struct world *w)
{
	static const char *const legs[] = {"confirmed", "refused", "dropped", "crossed", "moved", "spooled", "in_flight", NULL};
	static const char *const messages[] = {"acked", "rejected", "overflow", "filtered", "in_flight", NULL};

	assert_true(sum_of(w, w->migration, "sides.old.", legs) == world_number(w, "sides.old.accepted"));
	assert_true(sum_of(w, w->migration, "sides.new.", legs) == world_number(w, "sides.new.accepted"));
	assert_true(sum_of(w, w->route, "", messages) == world_route_number(w, "accepted"));
}
