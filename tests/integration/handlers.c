/*
 * handlers.c - workers between RabbitMQ and a migration: they crash, crossfaded is killed, the configuration is exchanged and the share
 * moves, and what comes out is what came in, once and in order; what they refuse is a dead letter, and passes when it is sent again to
 * one that knows better.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "world.h"

#define MESSAGES (10000 / XF_SCALE)
#define KEYS 200
#define RATE (3000 / XF_SCALE)
#define KILLS 5
#define REFUSED_EVERY 100

/* A worker in a shell: BODY for each line, with N the number of it. */
#define WORKER(BODY) "n=0; while read -r line; do n=$$((n + 1)); " BODY "; done"
#define EXEC(SETTINGS, BODY) "{plugin: exec, stop_timeout: 1s" SETTINGS ", command: '" WORKER(BODY) "'}"

#define PASS "echo \"{\\\"pass\\\":true}\""
/* Now and then it ends in the middle of its work. */
#define CRASHES EXEC(", workers: 2, restart_delay: 10ms", PASS "; [ $$((n % 997)) != 0 ] || exit 3")
#define PASSES EXEC("", PASS)
#define REFUSES EXEC("", "if [ $$((n % 100)) = 0 ]; then echo \"{\\\"refuse\\\":\\\"no\\\"}\"; else " PASS "; fi")

static struct ledger *
begin(struct world *w, const char *name, uint32_t producer, const char *route)
{
	world_begin(w, name);
	world_configure(w, ", percent: 50", route);
	xf_server_start(w->server);
	xf_server_wait_ready(w->server);
	return ledger_create(producer, MESSAGES, KEYS);
}

/* Nothing is lost or broken, nor, with ORDER, out of the order of its key. */
static void
finish(struct world *w, struct ledger **ledger, bool order)
{
	struct ledger_sum sum;
	uint64_t tries = 0;

	while (rabbit_count(w->queue, w->in) > 0 || world_route_number(w, "in_flight") > 0) {
		if (++tries > 20 * XF_WAIT_MS / 1000)
			fail_msg("%.0f messages are still in flight", world_route_number(w, "in_flight"));
		usleep(50000);
	}
	world_read(w, *ledger);
	sum = ledger_sum(*ledger);
	ledger_print(w->name, &sum);
	assert_int_equal(sum.lost + sum.corrupted + sum.unexpected, 0);
	if (order)
		assert_int_equal(sum.reordered[OLD] + sum.reordered[NEW] + sum.across, 0);
	assert_int_equal(xf_server_stop(w->server), 0);
	ledger_destroy(ledger);
}

static void
test_killed(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = begin(w, "killed", 81, ", handlers: [" CRASHES ", " PASSES "], retry: {initial: 20ms}");
	struct feeder *feeder = feeder_start(xf_broker_url(w->rabbit), w->in, ledger, 0, MESSAGES, RATE);
	unsigned seed = (unsigned)getpid();

	printf("seed %u\n", seed);
	for (unsigned i = 0; i < KILLS; i++) {
		usleep(100000 + (useconds_t)(rand_r(&seed) % 500000));
		xf_server_kill(w->server);
		xf_server_start(w->server);
	}
	xf_server_wait_ready(w->server);
	world_percent(w, "100", NULL);
	feeder_join(&feeder);
	finish(w, &ledger, true);
}

/* Workers come, change and go, and nothing passes what they had. */
static void
test_reloads(void **state)
{
	static const char *const routes[] = {
		", handlers: [" CRASHES "], retry: {initial: 20ms}",
		"",
		", handlers: [" PASSES ", " CRASHES "], retry: {initial: 20ms}",
	};
	struct world *w = *state;
	struct ledger *ledger = begin(w, "worked", 82, routes[0]);
	struct feeder *feeder = feeder_start(xf_broker_url(w->rabbit), w->in, ledger, 0, MESSAGES, RATE);

	for (unsigned i = 1; i <= 6; i++) {
		usleep(200000);
		world_configure(w, ", percent: 50", routes[i % 3]);
		XF_CLI_DONE(w->server, "reload");
	}
	feeder_join(&feeder);
	finish(w, &ledger, true);
}

static void
test_refused_and_sent_again(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = begin(w, "refused", 83, ", handlers: [" REFUSES "]");

	rabbit_feed(w->queue, w->in, ledger, 0, MESSAGES);
	xf_server_wait_number(w->server, "/api/v1/dead", "count", MESSAGES / REFUSED_EVERY);
	world_configure(w, ", percent: 50", ", handlers: [" PASSES "]");
	XF_CLI_DONE(w->server, "reload");
	XF_CLI_DONE(w->server, "dead", "replay", "--all");
	while (xf_server_number(w->server, "/api/v1/dead", "count") > 0)
		usleep(50000);
	assert_true(xf_server_number(w->server, w->route, "handlers.0.passed") >= MESSAGES / REFUSED_EVERY);
	finish(w, &ledger, false);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_reloads),
		cmocka_unit_test(test_refused_and_sent_again),
	};

	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
