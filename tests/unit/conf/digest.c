/*
 * What changes a digest and what does not: one file written in many ways, and one change at a time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "conf/conf.h"
#include "conf_fake.h"

/* Parts whose digest a change may touch. */
enum {
	SERVER = 1,
	TRANSPORT_A = 2,
	TRANSPORT_B = 4,
	MIGRATION = 8,
	SIDE_OLD = 16,
	SIDE_NEW = 32,
	ROUTE_MOVE = 64,
	ROUTE_SPLIT = 128,
	ROUTE_READ = 256,
	SOURCE_MOVE = 512,
	WHOLE = 1024, /* in every case but none */
};

#define A_USERS (MIGRATION | SIDE_OLD | ROUTE_MOVE | SOURCE_MOVE | ROUTE_SPLIT | ROUTE_READ)
#define B_USERS (MIGRATION | SIDE_NEW | ROUTE_MOVE | ROUTE_SPLIT | ROUTE_READ)

static const char base[] = "server:\n"
			   "  name: edge\n"
			   "  data_dir: /data\n"
			   "  admin: {listen: '127.0.0.1:1', token: t0ken}\n"
			   "  limits: {headers: 64}\n"
			   "transports:\n"
			   "  a: {plugin: alpha, url: 'alpha://one:1', user: joe, password: hunter2}\n"
			   "  b: {plugin: alpha, url: 'alpha://two:2', streams: [{name: S}]}\n"
			   "migrations:\n"
			   "  m:\n"
			   "    old: {transport: a, subject: 'm.{subject}'}\n"
			   "    new: {transport: b, subject: 'm.{subject}', maxlen: 10}\n"
			   "    percent: 25\n"
			   "    mirror: true\n"
			   "    key: '{header.k|subject}'\n"
			   "routes:\n"
			   "  - name: move\n"
			   "    from: {transport: a, subject: in.>, prefetch: 9}\n"
			   "    to: {migration: m}\n"
			   "    max_in_flight: 100\n"
			   "  - name: split\n"
			   "    from: {transport: a, subject: s, message_id: '{json./i}'}\n"
			   "    key: '{header.s|subject}'\n"
			   "    to: {split: [{weight: 90, transport: b, subject: s}, {weight: 10, transport: b, subject: t}]}\n"
			   "  - name: read\n"
			   "    from: {migration: m, subject: 'm.>', group: g}\n"
			   "    to: {all: [{transport: b, subject: u}, {transport: a, subject: v, mode: pubsub}]}\n";

static const struct xf_conf *
load(const char *text)
{
	struct xf_conf_catalogue catalogue = conf_fake_catalogue();
	struct xf_buffer errors = {0};
	const struct xf_conf *conf = xf_conf_load_text("memory.yaml", xf_str(text), &catalogue, &errors);

	if (conf == NULL)
		fail_msg("%s", errors.data);
	return conf;
}

/* The base with FROM, which stands there, replaced. */
static const struct xf_conf *
load_changed(const char *from, const char *to)
{
	const char *at = strstr(base, from);
	char *text;
	const struct xf_conf *conf;

	assert_non_null(at);
	text = xf_format("%.*s%s%s", (int)(at - base), base, to, at + strlen(from));
	conf = load(text);
	free(text);
	return conf;
}

static const struct xf_conf_transport *
transport(const struct xf_conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->transport_count; i++)
		if (strcmp(conf->transports[i].name, name) == 0)
			return &conf->transports[i];
	fail();
	return NULL;
}

static const struct xf_conf_route *
route(const struct xf_conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->route_count; i++)
		if (strcmp(conf->routes[i].name, name) == 0)
			return &conf->routes[i];
	fail();
	return NULL;
}

static unsigned
part_of(struct xf_digest a, struct xf_digest b, unsigned part)
{
	return xf_digest_equal(a, b) ? 0 : part;
}

/* The parts that differ. */
static unsigned
differences(const struct xf_conf *a, const struct xf_conf *b)
{
	return part_of(a->server_digest, b->server_digest, SERVER) |
	       part_of(transport(a, "a")->digest, transport(b, "a")->digest, TRANSPORT_A) |
	       part_of(transport(a, "b")->digest, transport(b, "b")->digest, TRANSPORT_B) |
	       part_of(a->migrations[0].digest, b->migrations[0].digest, MIGRATION) |
	       part_of(a->migrations[0].sides[0].digest, b->migrations[0].sides[0].digest, SIDE_OLD) |
	       part_of(a->migrations[0].sides[1].digest, b->migrations[0].sides[1].digest, SIDE_NEW) |
	       part_of(route(a, "move")->digest, route(b, "move")->digest, ROUTE_MOVE) |
	       part_of(route(a, "move")->sources[0].digest, route(b, "move")->sources[0].digest, SOURCE_MOVE) |
	       part_of(route(a, "split")->digest, route(b, "split")->digest, ROUTE_SPLIT) |
	       part_of(route(a, "read")->digest, route(b, "read")->digest, ROUTE_READ) |
	       part_of(a->digest, b->digest, WHOLE);
}

static void
test_changes(void **state)
{
	static const struct {
		const char *from;
		const char *to;
		unsigned parts;
	} cases[] = {
		/* nothing that matters */
		{"server:\n", "# a remark\n\nserver:\n", 0},
		{"{listen: '127.0.0.1:1', token: t0ken}", "{token: 't0ken', listen: \"127.0.0.1:1\"}", 0},
		{"limits: {headers: 64}", "limits: {headers: 64, payload: 8MiB}", 0},
		{"limits: {headers: 64}", "drain_timeout: 30s", 0},
		{"limits: {headers: 64}", "dead_letters: {max_size: 64MiB}", 0},
		{"user: joe, password: hunter2", "password: hunter2, user: '${JOE}'", 0},
		{"percent: 25\n", "percent: 25.00%\n    handover_timeout: 5s\n", 0},
		{"name: split\n", "name: split\n    max_in_flight: 4096\n    max_in_flight_bytes: 64MiB\n", 0},
		{"'m.>', group: g}", "'m.>', group: g, drain_first: false, old: {}}", 0},
		{"subject: v, mode: pubsub}]", "subject: v, mode: pubsub, when_down: wait, connections: 1}], require: all", 0},

		/* the server's */
		{"name: edge", "name: edge-2", SERVER},
		{"/data", "/data2", SERVER},
		{"t0ken", "t0ken2", SERVER},
		{"headers: 64", "headers: 65", SERVER},
		{"  limits", "  log: {level: debug}\n  limits", SERVER},
		{"  limits", "  drain_timeout: 31s\n  limits", SERVER},
		{"  limits", "  dead_letters: {max_size: 65MiB}\n  limits", SERVER},

		/* a transport's, and of whatever stands on it */
		{"hunter2", "hunter3", TRANSPORT_A | A_USERS},
		{"one:1", "one:11", TRANSPORT_A | A_USERS},
		{"two:2', streams: [{name: S}]", "two:2', streams: [{name: T}]", TRANSPORT_B | B_USERS},
		/* a plugin may ask whether a value was given */
		{"{name: S}", "{name: S, storage: file}", TRANSPORT_B | B_USERS},

		/* a migration's: its position is a first value only */
		{"percent: 25", "percent: 26", 0 | WHOLE},
		{"mirror: true", "mirror: required", 0 | WHOLE},
		{"percent: 25\n    mirror: true", "stage: dualwrite", 0 | WHOLE},
		{"{header.k|subject}", "{header.l|subject}", MIGRATION | ROUTE_MOVE | ROUTE_READ},
		{"percent: 25", "percent: 25\n    handover_timeout: 6s", MIGRATION | ROUTE_MOVE | ROUTE_READ},
		{"maxlen: 10", "maxlen: 11", MIGRATION | SIDE_NEW | ROUTE_MOVE | ROUTE_READ},
		{"{transport: a, subject: 'm.{subject}'", "{transport: a, when_down: drop, subject: 'm.{subject}'",
		 MIGRATION | SIDE_OLD | ROUTE_MOVE | ROUTE_READ},
		{"subject: 'm.{subject}', maxlen", "connections: 2, subject: 'm.{subject}', maxlen",
		 MIGRATION | SIDE_NEW | ROUTE_MOVE | ROUTE_READ},
		{"subject: 'm.{subject}', maxlen", "subject_escape: true, subject: 'm.{subject}', maxlen",
		 MIGRATION | SIDE_NEW | ROUTE_MOVE | ROUTE_READ},

		/* a route's */
		{"prefetch: 9", "prefetch: 8", ROUTE_MOVE | SOURCE_MOVE},
		{"prefetch: 9", "prefetch: 9, accept: spooled", ROUTE_MOVE | SOURCE_MOVE},
		{"in.>", "in.*", ROUTE_MOVE | SOURCE_MOVE},
		{"max_in_flight: 100", "max_in_flight: 101", ROUTE_MOVE | SOURCE_MOVE},
		{"max_in_flight: 100", "max_in_flight: 100\n    max_in_flight_bytes: 1MiB", ROUTE_MOVE},
		{"max_in_flight: 100", "max_in_flight: 100\n    order: strict", ROUTE_MOVE},
		{"max_in_flight: 100", "max_in_flight: 100\n    concurrency: 8", ROUTE_MOVE},
		{"max_in_flight: 100", "max_in_flight: 100\n    max_deliver: 3", ROUTE_MOVE},
		{"max_in_flight: 100", "max_in_flight: 100\n    retry: {initial: 1s}", ROUTE_MOVE},
		{"max_in_flight: 100", "max_in_flight: 100\n    retry: {max: 9s}", ROUTE_MOVE},
		{"max_in_flight: 100", "max_in_flight: 100\n    retry: {jitter: false}", ROUTE_MOVE},
		{"max_in_flight: 100", "max_in_flight: 100\n    retry: {backoff: constant}", ROUTE_MOVE},
		{"max_in_flight: 100", "max_in_flight: 100\n    handlers: [{plugin: worker, text: a}]", ROUTE_MOVE},
		{"{json./i}", "{json./j}", ROUTE_SPLIT},
		{"{header.s|subject}", "{header.t|subject}", ROUTE_SPLIT},
		{"weight: 90, transport: b, subject: s}, {weight: 10", "weight: 80, transport: b, subject: s}, {weight: 20",
		 ROUTE_SPLIT},
		{"transport: b, subject: t}", "transport: b, subject: tt}", ROUTE_SPLIT},
		{"group: g", "group: h", ROUTE_READ},
		{"group: g", "group: g, drain_first: true", ROUTE_READ},
		{"group: g", "group: g, new: {prefetch: 5}", ROUTE_READ},
		{"mode: pubsub}]", "mode: pubsub}], require: any", ROUTE_READ},
		{"mode: pubsub}]", "mode: pubsub}], require: first", ROUTE_READ},
		{"mode: pubsub}]", "mode: pubsub, envelope: json}]", ROUTE_READ},
	};
	const struct xf_conf *before;

	(void)state;
	setenv("JOE", "joe", 1);
	before = load(base);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct xf_conf *after = load_changed(cases[i].from, cases[i].to);
		unsigned parts = differences(before, after);

		if (parts != (cases[i].parts | (cases[i].parts != 0 ? WHOLE : 0)))
			fail_msg("%s to %s: changed %x, expected %x", cases[i].from, cases[i].to, parts, cases[i].parts);
		xf_conf_destroy(&after);
	}
	xf_conf_destroy(&before);
}

/* Sections, transports, keys and routes in another order; the same file, named otherwise. */
static void
test_order(void **state)
{
	const struct xf_conf *before = load(base), *after;
	const char *routes = strstr(base, "routes:\n"), *split = strstr(base, "  - name: split");
	const char *transports = strstr(base, "transports:\n"), *migrations = strstr(base, "migrations:\n");
	struct xf_conf_catalogue catalogue = conf_fake_catalogue();
	struct xf_buffer errors = {0};
	char *text;

	(void)state;
	text = xf_format("routes:\n%s%.*s%.*s%.*s%.*s", split, (int)(split - routes - 8), routes + 8,
	                 (int)(routes - migrations), migrations, (int)(migrations - transports), transports,
	                 (int)(transports - base), base);
	after = xf_conf_load_text("/elsewhere/other.yaml", xf_str(text), &catalogue, &errors);
	assert_non_null(after);
	assert_string_equal(after->routes[0].name, "split");
	assert_int_equal(differences(before, after), 0);
	xf_conf_destroy(&after);
	xf_conf_destroy(&before);
	free(text);
}

/* A part more or less is the whole's, and of none else. */
static void
test_more(void **state)
{
	const struct xf_conf *before = load(base), *after;
	char *text = xf_format("%s  - {name: more, from: {transport: a, subject: w}, to: b}\n", base);

	(void)state;
	after = load(text);
	assert_int_equal(differences(before, after), WHOLE);
	xf_conf_destroy(&after);
	after = load_changed("transports:\n", "transports:\n  c: {plugin: plain}\n");
	assert_int_equal(differences(before, after), WHOLE);
	xf_conf_destroy(&after);
	xf_conf_destroy(&before);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
