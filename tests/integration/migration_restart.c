/*
 * migration_restart.c - crossfaded ends and starts again: by SIGTERM, which drains, and by SIGKILL at any moment. Positions
 * stay, and nothing is lost.
 */
#include <inttypes.h>
#include <pwd.h>
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

#define MESSAGES (40000 / XF_SCALE)
#define KEYS 200
#define RATE (4000 / XF_SCALE)
#define KILLS 5

static void
test_position_survives(void **state)
{
	const struct passwd *user = getpwuid(geteuid());
	struct world *w = *state;
	char *change;

	assert_non_null(user);
	world_begin(w, "position");
	world_configure(w, ", percent: 10", "");
	xf_server_start(w->server);
	xf_server_wait_ready(w->server);
	assert_int_equal(world_number(w, "percent"), 10);
	XF_CLI_DONE(w->server, "migration", "set", w->name, "--percent", "37.5", "--mirror", "required");
	change = xf_format("migration 'position' changed by=%s percent=10->37.5 mirror=false->required", user->pw_name);
	xf_server_wait_logged(w->server, change);
	free(change);
	assert_int_equal(xf_server_stop(w->server), 0);

	xf_server_start(w->server);
	assert_true(world_number(w, "percent") == 37.5);
	xf_server_wait_logged(w->server, "stands at percent=37.5 mirror=required as committed at run time");
	xf_server_wait_logged(w->server, "says percent=10 mirror=false, which is its first value only");
	xf_server_wait_ready(w->server);

	/* Once it was answered it holds, whatever comes next. */
	for (int i = 1; i <= KILLS; i++) {
		char body[64];

		snprintf(body, sizeof(body), "{\"percent\": %d}", i * 11);
		assert_int_equal(xf_server_request(w->server, "PATCH", w->migration, body, NULL), 200);
		xf_server_kill(w->server);
		xf_server_start(w->server);
		assert_int_equal(world_number(w, "percent"), i * 11);
		xf_server_wait_ready(w->server); /* a rise towards a side that is not up yet is refused */
	}
	assert_int_equal(xf_server_stop(w->server), 0);
}

/* Runs the server until the queue stays empty. RabbitMQ counts only what no consumer has: what was on its way to the
 * server when it ended is there again. */
static void
queue_empty(struct world *w)
{
	for (int round = 0; round < 10; round++) {
		xf_server_start(w->server);
		for (int i = 0; i < 3000 && rabbit_count(w->queue, w->in) > 0; i++)
			usleep(20000);
		for (int i = 0; i < 500 && world_route_number(w, "in_flight") > 0; i++)
			usleep(20000);
		assert_int_equal(xf_server_stop(w->server), 0);
		if (rabbit_count(w->queue, w->in) == 0)
			return;
		printf("%" PRIu64 " messages went back to the queue\n", rabbit_count(w->queue, w->in));
	}
	fail_msg("the queue does not become empty");
}

static void
test_drains_under_load(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = ledger_create(30, MESSAGES / 2, KEYS);
	struct ledger_sum sum;
	uint64_t longest = 0;

	world_begin(w, "drain");
	world_configure(w, ", percent: 50", "");
	for (uint32_t i = 0; i < 3; i++) {
		uint64_t begin;

		rabbit_feed(w->queue, w->in, ledger, i * (MESSAGES / 2) / 3, (i + 1) * (MESSAGES / 2) / 3);
		xf_server_start(w->server);
		xf_server_wait_number(w->server, w->route, "acked", 1);
		begin = xf_now_ms();
		assert_int_equal(xf_server_stop(w->server), 0);
		longest = xf_now_ms() - begin > longest ? xf_now_ms() - begin : longest;
		assert_true(xf_server_logged(w->server, "all settled"));
	}
	queue_empty(w);
	world_read(w, ledger);
	sum = ledger_sum(ledger);
	ledger_print("SIGTERM three times under load", &sum);
	printf("longest drain: %" PRIu64 " ms\n", longest);
	assert_int_equal(sum.lost + sum.both + sum.corrupted + sum.unexpected, 0);
	assert_int_equal(sum.duplicates[OLD] + sum.duplicates[NEW], 0);
	assert_int_equal(sum.reordered[OLD] + sum.reordered[NEW] + sum.across, 0);
	assert_int_equal(rabbit_count(w->queue, w->in), 0);
	ledger_destroy(&ledger);
}

static void
test_killed_under_load(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = ledger_create(31, MESSAGES, KEYS);
	unsigned seed = (unsigned)xf_now_ns();
	struct feeder *feeder;
	struct ledger_sum sum;

	printf("seed %u\n", seed);
	world_begin(w, "killed");
	world_configure(w, ", percent: 50", "");
	feeder = feeder_start(xf_broker_url(w->rabbit), w->in, ledger, 0, MESSAGES, RATE);
	for (int i = 0; i < KILLS; i++) {
		xf_server_start(w->server);
		xf_server_wait_number(w->server, w->route, "acked", 1 + rand_r(&seed) % RATE);
		xf_server_kill(w->server);
	}
	feeder_join(&feeder);
	queue_empty(w);
	world_read(w, ledger);
	sum = ledger_sum(ledger);
	ledger_print("SIGKILL five times under load", &sum);
	assert_int_equal(sum.lost + sum.corrupted + sum.unexpected, 0);
	assert_int_equal(sum.both, 0); /* the share stood still, and a bucket has one side */
	assert_int_equal(sum.reordered[OLD] + sum.reordered[NEW], 0);
	assert_int_equal(rabbit_count(w->queue, w->in), 0);
	ledger_destroy(&ledger);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_position_survives),
		cmocka_unit_test(test_drains_under_load),
		cmocka_unit_test(test_killed_under_load),
	};

	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
