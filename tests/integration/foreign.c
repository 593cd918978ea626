/*
 * foreign.c - what a broker cannot say by itself: headers and ids where it carries none, and names that are no subjects.
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
#include "clients.h"
#include "server.h"

#define COUNT (5000 / XF_SCALE)

struct world {
	struct xf_broker *redis, *nats;
	struct xf_server *server;
	struct cache *cache;
	struct jet *jet;
};

static int
setup(void **state)
{
	struct world *w = xf_alloc(sizeof(*w));

	w->redis = xf_broker_start("redis", NULL);
	w->nats = xf_broker_start("nats", NULL);
	w->cache = cache_open(xf_broker_url(w->redis));
	w->jet = jet_open(xf_broker_url(w->nats));
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	cache_close(&w->cache);
	jet_close(&w->jet);
	xf_broker_destroy(&w->redis);
	xf_broker_destroy(&w->nats);
	free(w);
	return 0;
}

static void
serve(struct world *w, const char *routes)
{
	w->server = xf_server_create("foreign");
	xf_server_configure(w->server, "",
	                    "transports:\n"
	                    "  load: {plugin: probe}\n"
	                    "  redis: {plugin: redis, url: '%s'}\n"
	                    "  nats:\n"
	                    "    plugin: nats\n"
	                    "    url: '%s'\n"
	                    "    streams: [{name: N, subjects: ['n.>']}]\n"
	                    "routes:\n%s",
	                    xf_broker_url(w->redis), xf_broker_url(w->nats), routes);
	xf_server_start(w->server);
	xf_server_wait_ready(w->server);
}

/* Through a list, and as a copy of it through a channel: the header that makes the next subject, the id and every byte are
 * there on the other side. */
static void
test_envelope(void **state)
{
	struct world *w = *state;
	char *routes = xf_format("  - name: in\n"
	                         "    from: {transport: load, rate: 5000, count: %d, keys: 10, to: probe.list}\n"
	                         "    to: {transport: redis, mode: list, envelope: json}\n"
	                         "  - name: through\n"
	                         "    from: {transport: redis, mode: list, subject: probe.list, envelope: json}\n"
	                         "    key: '{header.key}'\n"
	                         "    to: {transport: nats, subject: 'n.{header.key}'}\n"
	                         "  - name: out\n"
	                         "    from: {transport: nats, subject: 'n.>'}\n"
	                         "    to: {transport: load}\n",
	                         COUNT);

	serve(w, routes);
	free(routes);
	xf_server_wait_number(w->server, "/api/v1/transports/load", "report.received", COUNT);
	assert_int_equal(xf_server_number(w->server, "/api/v1/transports/load", "report.lost"), 0);
	assert_int_equal(xf_server_number(w->server, "/api/v1/transports/load", "report.corrupted"), 0);
	assert_int_equal(xf_server_number(w->server, "/api/v1/transports/load", "report.reordered"), 0);
	assert_int_equal(xf_server_number(w->server, "/api/v1/transports/load", "report.duplicates"), 0);
	assert_int_equal(xf_server_stop(w->server), 0);
	xf_server_destroy(&w->server);
}

/* What is no envelope is kept with its reason, and the next one passes. */
static void
test_no_envelope(void **state)
{
	struct world *w = *state;
	char *rejected;

	cache_number(w->cache, "LPUSH bare %s", "just text");
	cache_number(w->cache, "LPUSH bare %s", "{\"id\":\"i-1\",\"headers\":[[\"tag\",\"x\"]],\"payload\":\"hello\"}");
	serve(w, "  - name: bare\n"
	         "    from: {transport: redis, mode: list, subject: bare, envelope: json}\n"
	         "    to: {transport: nats, subject: 'n.bare.{header.tag}'}\n");
	xf_server_wait_number(w->server, "/api/v1/routes/bare", "rejected", 1);
	xf_server_wait_number(w->server, "/api/v1/routes/bare", "acked", 1);
	rejected = xf_server_rejected(w->server);
	assert_non_null(strstr(rejected, "envelope"));
	free(rejected);
	assert_int_equal(xf_server_stop(w->server), 0);
	xf_server_destroy(&w->server);
}

/* An id is found in a bare payload, so that the second one is a duplicate to JetStream; a name with a space is a subject
 * there, and a name again behind it. */
static void
test_ids_and_names(void **state)
{
	static const char payload[] = "{\"id\":\"order-1\",\"total\":3}";
	struct world *w = *state;
	uint64_t before = jet_count(w->jet, "N");

	serve(w, "  - name: there\n"
	         "    from: {transport: redis, subject: '>', subject_escape: true, message_id: '{json./id}'}\n"
	         "    to: {transport: nats, subject: 'n.foreign.{subject}'}\n"
	         "  - name: back\n"
	         "    from: {transport: nats, subject: 'n.foreign.>'}\n"
	         "    to: {transport: redis, mode: stream, subject: '{subject.3}', subject_escape: true}\n");
	cache_number(w->cache, "PUBLISH %s %s", "my orders", payload);
	cache_number(w->cache, "PUBLISH %s %s", "my orders", payload);
	cache_number(w->cache, "PUBLISH %s %s", "my orders", "no json");
	xf_server_wait_number(w->server, "/api/v1/routes/there", "rejected", 1);
	xf_server_wait_number(w->server, "/api/v1/routes/there", "acked", 2);
	xf_server_wait_settled(w->server, "back", 1);
	assert_int_equal(jet_count(w->jet, "N") - before, 1);
	assert_int_equal(cache_number(w->cache, "XLEN %s", "my orders"), 1);
	assert_int_equal(xf_server_stop(w->server), 0);
	xf_server_destroy(&w->server);
}

/* From one subject to another of the same stream: what goes there has the id of what came, and is not taken for it. */
static void
test_within_a_stream(void **state)
{
	struct world *w = *state;
	uint64_t before = jet_count(w->jet, "N");

	serve(w, "  - {name: feed, from: {transport: load, rate: 5000, count: 100, to: x}, to: {transport: nats, subject: n.here.a}}\n"
	         "  - {name: there, from: {transport: nats, subject: 'n.here.*'}, to: {transport: nats, subject: 'n.there.{subject.3}'}}\n"
	         "  - {name: seen, from: {transport: nats, subject: 'n.there.*'}, to: {transport: load}}\n");
	xf_server_wait_settled(w->server, "there", 100);
	assert_int_equal(jet_count(w->jet, "N") - before, 200);
	xf_server_wait_number(w->server, "/api/v1/transports/load", "report.received", 100);
	assert_int_equal(xf_server_number(w->server, "/api/v1/transports/load", "report.lost"), 0);
	assert_int_equal(xf_server_number(w->server, "/api/v1/transports/load", "report.duplicates"), 0);
	assert_int_equal(xf_server_stop(w->server), 0);
	xf_server_destroy(&w->server);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_envelope),
		cmocka_unit_test(test_no_envelope),
		cmocka_unit_test(test_ids_and_names),
		cmocka_unit_test(test_within_a_stream),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
