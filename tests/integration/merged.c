/*
 * merged.c - a route that reads both sides of a migration: each message once, copies dropped, and with drain_first in the
 * order of its key even across a move with a backlog.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "broker.h"
#include "server.h"

#define RATE (4000 / XF_SCALE)
#define COUNT (5 * RATE)

struct world {
	struct xf_broker *redis, *nats;
	struct xf_server *server;
};

static int
setup(void **state)
{
	struct world *w = xf_alloc(sizeof(*w));

	w->redis = xf_broker_start("redis", NULL);
	w->nats = xf_broker_start("nats", NULL);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	xf_broker_destroy(&w->redis);
	xf_broker_destroy(&w->nats);
	free(w);
	return 0;
}

/* NAME makes the stream's name and the subjects, so that tests do not read each other's. */
static void
serve(struct world *w, const char *name, const char *mirror, const char *drain_first)
{
	w->server = xf_server_create("merged");
	xf_server_configure(w->server, "",
	                    "transports:\n"
	                    "  load: {plugin: probe}\n"
	                    "  redis: {plugin: redis, url: '%s'}\n"
	                    "  nats:\n"
	                    "    plugin: nats\n"
	                    "    url: '%s'\n"
	                    "    streams: [{name: %s, subjects: ['%s.>']}]\n"
	                    "migrations:\n"
	                    "  orders:\n"
	                    "    old: {transport: redis, mode: stream, subject: '%s.orders'}\n"
	                    "    new: {transport: nats, subject: '%s.orders'}\n"
	                    "    mirror: %s\n"
	                    "    key: '{header.key}'\n"
	                    "routes:\n"
	                    "  - name: write\n"
	                    "    from: {transport: load, rate: %d, count: %d, keys: 100, to: probe.orders}\n"
	                    "    to: {migration: orders}\n"
	                    "  - name: read\n"
	                    "    from: {migration: orders, subject: '%s.orders', group: readers, drain_first: %s}\n"
	                    "    to: {transport: load}\n",
	                    xf_broker_url(w->redis), xf_broker_url(w->nats), name, name, name, name, mirror, RATE, COUNT,
	                    name, drain_first);
	xf_server_start(w->server);
	xf_server_wait_ready(w->server);
}

static double
report(struct world *w, const char *field)
{
	char path[64];

	snprintf(path, sizeof(path), "report.%s", field);
	return xf_server_number(w->server, "/api/v1/transports/load", path);
}

static void
move(struct world *w, const char *percent)
{
	XF_CLI_DONE(w->server, "migration", "set", "orders", "--percent", percent);
}

static void
all_arrived(struct world *w)
{
	xf_server_wait_number(w->server, "/api/v1/transports/load", "report.received", COUNT);
	xf_server_wait_settled(w->server, "read", COUNT);
	assert_int_equal(report(w, "lost"), 0);
	assert_int_equal(report(w, "corrupted"), 0);
	assert_int_equal(report(w, "duplicates"), 0);
	assert_int_equal(report(w, "received"), COUNT);
}

/* The reader stands still while the traffic moves, so a backlog is on the old side when the new one begins. */
static void
test_order_across_a_move(void **state)
{
	struct world *w = *state;

	serve(w, "a", "false", "true");
	XF_CLI_DONE(w->server, "route", "pause", "read");
	xf_server_wait_number(w->server, "/api/v1/routes/write", "acked", RATE);
	move(w, "50");
	xf_server_wait_number(w->server, "/api/v1/routes/write", "acked", 2 * RATE);
	move(w, "100");
	xf_server_wait_number(w->server, "/api/v1/routes/write", "acked", 3 * RATE);
	XF_CLI_DONE(w->server, "route", "resume", "read");
	all_arrived(w);
	assert_int_equal(report(w, "reordered"), 0);
	assert_int_equal(xf_server_stop(w->server), 0);
	xf_server_destroy(&w->server);
}

static void
test_copies_are_dropped(void **state)
{
	struct world *w = *state;

	serve(w, "b", "required", "false");
	xf_server_wait_number(w->server, "/api/v1/routes/write", "acked", COUNT);
	all_arrived(w);
	xf_server_wait_number(w->server, "/api/v1/routes/read", "copies", COUNT);
	assert_int_equal(xf_server_number(w->server, "/api/v1/routes/read", "copies"), COUNT);
	assert_int_equal(xf_server_stop(w->server), 0);
	xf_server_destroy(&w->server);
}

/* A reload of the reader under way leaves what it knows where it is. */
static void
test_reload_while_moving(void **state)
{
	struct world *w = *state;
	char *path, *command;

	serve(w, "c", "false", "true");
	XF_CLI_DONE(w->server, "route", "pause", "read");
	xf_server_wait_number(w->server, "/api/v1/routes/write", "acked", RATE);
	move(w, "100");
	XF_CLI_DONE(w->server, "route", "resume", "read");
	path = xf_format("%s/crossfade.yaml", xf_server_dir(w->server));
	for (unsigned i = 0; i < 5; i++) {
		command = xf_format("sed -i '/max_in_flight_bytes/d; $ a\\    max_in_flight_bytes: %uMiB' %s", 8 + i, path);
		assert_int_equal(system(command), 0);
		free(command);
		assert_int_equal(xf_server_request(w->server, "POST", "/api/v1/reload", "", NULL), 200);
	}
	free(path);
	all_arrived(w);
	assert_int_equal(report(w, "reordered"), 0);
	assert_int_equal(xf_server_stop(w->server), 0);
	xf_server_destroy(&w->server);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_across_a_move),
		cmocka_unit_test(test_copies_are_dropped),
		cmocka_unit_test(test_reload_while_moving),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
