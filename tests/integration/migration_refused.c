/*
 * migration_refused.c - what cannot go on: a payload that the broker refuses, names that would break out of a protocol, and
 * more from pub/sub than there is room for. Each is kept or counted, and the others flow on.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "world.h"

#define MESSAGES (10000 / XF_SCALE)
#define KEYS 50
#define BURST (40000 / XF_SCALE)
#define ROOM (2000 / XF_SCALE)

#define BYTES(text) ((struct xf_str){text, sizeof(text) - 1})

static unsigned
lines_with(const char *text, const char *part)
{
	unsigned count = 0;

	while ((text = strstr(text, part)) != NULL) {
		count++;
		text = strchrnul(text, '\n');
	}
	return count;
}

static unsigned
lines(const char *text)
{
	unsigned count = 0;

	for (; *text != '\0'; text++)
		count += *text == '\n';
	return count;
}

/* What a broker refuses for good is kept with its reason; what is around it goes on. */
static void
test_too_large(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = ledger_create(50, MESSAGES, KEYS);
	size_t size = 1536 * 1024;
	char *large = xf_alloc(size), *rejected;
	struct xf_buffer shown = {0};
	struct ledger_sum sum;

	memset(large, 'x', size);
	world_begin(w, "large");
	world_configure(w, ", percent: 100", "");
	rabbit_feed(w->queue, w->in, ledger, 0, MESSAGES / 2);
	rabbit_publish(w->queue, "", xf_str(w->in), large, size, "large-1", BYTES("k1"));
	rabbit_feed(w->queue, w->in, ledger, MESSAGES / 2, MESSAGES);
	xf_server_start(w->server);
	xf_server_wait_settled(w->server, w->name, MESSAGES + 1);
	world_read(w, ledger);
	sum = ledger_sum(ledger);
	ledger_print("one of 1.5 MiB among others", &sum);
	assert_int_equal(sum.here[NEW], MESSAGES);
	assert_int_equal(sum.lost + sum.reordered[NEW] + sum.corrupted + sum.unexpected, 0);
	assert_int_equal(world_route_number(w, "rejected"), 1);
	assert_int_equal(world_route_number(w, "sinks.1.reconnects"), 0);
	assert_int_equal(rabbit_count(w->queue, w->in), 0);
	rejected = xf_server_rejected(w->server);
	assert_int_equal(lines(rejected), 1);
	assert_non_null(strstr(rejected, "\"large-1\""));
	assert_non_null(strstr(rejected, "\"reason\""));
	assert_true(strlen(rejected) > size);
	assert_non_null(strstr(rejected, "\"sink\":\"large/to/new\""));
	assert_int_equal(xf_server_number(w->server, "/api/v1/dead", "count"), 1);
	assert_int_equal(xf_server_number(w->server, "/api/v1/dead/1", "payload_bytes"), size);
	assert_int_equal(XF_CLI(w->server, &shown, "dead", "show", "1"), 0);
	assert_non_null(strstr(shown.data, "large/to/new refused it"));
	assert_true(shown.len > size);
	xf_buffer_fini(&shown);
	assert_int_equal(XF_CLI(w->server, &shown, "status"), 0);
	assert_non_null(strstr(shown.data, "\n1 dead letters, "));
	assert_null(strstr(shown.data, "SPOOL OF"));
	xf_buffer_fini(&shown);
	printf("the dead letter says %.*s\n", 200, strstr(rejected, "\"reason\""));
	free(rejected);
	world_check_accounts(w);
	assert_int_equal(xf_server_stop(w->server), 0);
	free(large);
	ledger_destroy(&ledger);
}

/* Names that a broker's protocol would take for something else never get that far. */
static void
test_smuggled_names(void **state)
{
	static const struct xf_str bad_subjects[] = {
		BYTES("smuggle.a b"),  BYTES("smuggle.a\r\nPUB x 1"), BYTES("smuggle.a\nb"), BYTES("smuggle.a\0b"),
		BYTES("smuggle..a"),   BYTES("smuggle.a\tb"),         BYTES("smuggle.*"),    BYTES("smuggle.>"),
		BYTES("smuggle.a."),
	};
	static const struct xf_str bad_keys[] = {BYTES("a\r\nNats-Msg-Id: 1"), BYTES("a\nb"), BYTES("a\0b"), BYTES("a\r")};
	struct world *w = *state;
	struct ledger *ledger = ledger_create(51, MESSAGES, KEYS);
	size_t subjects = sizeof(bad_subjects) / sizeof(bad_subjects[0]), keys = sizeof(bad_keys) / sizeof(bad_keys[0]);
	struct ledger_sum sum;
	char *rejected;

	world_begin(w, "smuggle");
	world_configure(w, ", percent: 50, mirror: required", "");
	rabbit_bind(w->queue, w->in, "amq.topic", "#");
	rabbit_feed(w->queue, w->in, ledger, 0, MESSAGES / 2);
	for (size_t i = 0; i < subjects; i++)
		rabbit_publish(w->queue, "amq.topic", bad_subjects[i], "bad", 3, "bad", BYTES("k1"));
	for (size_t i = 0; i < keys; i++)
		rabbit_publish(w->queue, "", xf_str(w->in), "bad", 3, "bad", bad_keys[i]);
	rabbit_publish(w->queue, "", xf_str(w->in), "bad", 3, "bad\r\nid", BYTES("k1"));
	rabbit_confirm(w->queue);
	rabbit_feed(w->queue, w->in, ledger, MESSAGES / 2, MESSAGES);
	xf_server_start(w->server);
	xf_server_wait_settled(w->server, w->name, (double)(MESSAGES + subjects + keys + 1));
	world_read(w, ledger);
	sum = ledger_sum(ledger);
	ledger_print("bad names among others", &sum);
	assert_int_equal(sum.here[OLD] + sum.here[NEW], MESSAGES);
	assert_int_equal(sum.copies[OLD] + sum.copies[NEW], MESSAGES);
	assert_int_equal(sum.lost + sum.corrupted + sum.unexpected + sum.reordered[OLD] + sum.reordered[NEW], 0);
	assert_int_equal(world_route_number(w, "rejected"), subjects + keys + 1);
	rejected = xf_server_rejected(w->server);
	assert_int_equal(lines(rejected), subjects + keys + 1);
	assert_int_equal(lines_with(rejected, "the subject has"), subjects);
	assert_int_equal(lines_with(rejected, "a header value has"), keys);
	assert_int_equal(lines_with(rejected, "the id is"), 1);
	free(rejected);
	assert_int_equal(world_route_number(w, "sinks.0.reconnects"), 0);
	assert_int_equal(world_route_number(w, "sinks.1.reconnects"), 0);
	assert_int_equal(world_route_number(w, "sources.0.reconnects"), 0);
	assert_int_equal(rabbit_count(w->queue, w->in), 0);
	assert_int_equal(xf_server_stop(w->server), 0);
	ledger_destroy(&ledger);
}

/* Pub/sub cannot be held back: what has no room in memory is spooled, or where that is not wanted dropped, and counted. */
static void
overflow(struct world *w, bool spools)
{
	char payload[LEDGER_PAYLOAD] = "x";
	double dropped, before, after;
	uint64_t received, begun;
	const char *name = spools ? "spooled" : "overflow";

	world_begin(w, name);
	jet_create(w->new, w->name, name);
	xf_server_configure(w->server, "",
	                    "transports:\n"
	                    "  redis: {plugin: redis, url: \"%s\"}\n"
	                    "  nats: {plugin: nats, url: \"%s\"}\n"
	                    "routes:\n"
	                    "  - {name: %s, from: {transport: redis, subject: %s}, to: {transport: nats%s}, "
	                    "max_in_flight: %d}\n",
	                    xf_broker_url(w->redis), xf_broker_url(w->nats), name, name, spools ? "" : ", when_down: wait", ROOM);
	xf_server_start(w->server);
	xf_server_wait_ready(w->server);
	before = xf_server_number(w->server, "/api/v1/health/system", "resident_bytes");
	xf_broker_pause(w->nats);
	received = cache_publish(w->old, name, payload, sizeof(payload), BURST);
	assert_int_equal(received, BURST);
	xf_server_wait_number(w->server, w->route, "accepted", BURST);
	after = xf_server_number(w->server, "/api/v1/health/system", "resident_bytes");
	assert_true(world_route_number(w, "in_flight") <= ROOM);
	xf_broker_resume(w->nats);
	begun = xf_now_ms();
	xf_server_wait_settled(w->server, w->name, BURST);
	dropped = world_route_number(w, "overflow");
	printf("pub/sub: %d published to a sink that hung, room for %d: %.0f overflowed, %" PRIu64
	       " stored; resident memory %.1f -> %.1f MiB\n",
	       BURST, ROOM, dropped, jet_count(w->new, w->name), before / 1048576, after / 1048576);
	assert_true(spools ? dropped == 0 : dropped >= BURST - ROOM - 4096);
	assert_true(dropped < BURST);
	while (jet_count(w->new, w->name) + (uint64_t)dropped < BURST && xf_now_ms() - begun < XF_WAIT_MS)
		xf_sleep_ms(10);
	assert_int_equal(jet_count(w->new, w->name) + (uint64_t)dropped, BURST);
	if (XF_SCALE == 1)
		assert_true(after - before < 64.0 * 1048576);
	assert_int_equal(xf_server_stop(w->server), 0);
}

static void
test_overflow(void **state)
{
	overflow(*state, false);
}

static void
test_spooled(void **state)
{
	overflow(*state, true);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_smuggled_names),
		cmocka_unit_test(test_overflow),
		cmocka_unit_test(test_spooled),
	};

	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
