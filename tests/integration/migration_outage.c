/*
 * migration_outage.c - a side of a migration dies half way: the turn back needs nothing from it, the way forward
 * can be forced, and nothing is lost.
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
#include "world.h"

#define MESSAGES (40000 / XF_SCALE)
#define KEYS 200
#define RATE (2500 / XF_SCALE)

/* Nothing is lost or broken; what stands on both sides, or twice on one, was counted as uncertain. */
static void
check_outage(struct world *w, struct ledger *ledger, const char *title)
{
	double crossed = world_number(w, "crossed"), retried;
	struct ledger_sum sum;

	retried = world_number(w, "sides.old.retried") + world_number(w, "sides.new.retried");
	world_reopen(w);
	world_read(w, ledger);
	sum = ledger_sum(ledger);
	ledger_print(title, &sum);
	printf("%s: crossed %.0f, retried %.0f\n", title, crossed, retried);
	assert_int_equal(sum.lost + sum.corrupted + sum.unexpected, 0);
	assert_true((double)sum.both <= crossed);
	assert_true((double)(sum.duplicates[OLD] + sum.duplicates[NEW]) <= retried);
	assert_int_equal(rabbit_count(w->queue, w->in), 0);
	world_check_accounts(w);
}

static void
test_new_side_dies(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = ledger_create(20, MESSAGES, KEYS);
	struct feeder *feeder;
	struct xf_buffer text = {0};
	uint64_t begin, back, flowing;
	double acked;

	world_begin(w, "newdies");
	world_configure(w, ", percent: 50", "");
	xf_server_start(w->server);
	xf_server_wait_ready(w->server);
	feeder = feeder_start(xf_broker_url(w->rabbit), w->in, ledger, 0, MESSAGES, RATE);
	xf_server_wait_number(w->server, w->route, "acked", RATE);

	xf_broker_kill(w->nats);
	usleep(300000);
	begin = xf_now_ms();
	XF_CLI_DONE(w->server, "migration", "rollback", w->name);
	back = xf_now_ms() - begin;
	assert_int_equal(world_number(w, "percent"), 0);
	xf_server_wait_number(w->server, w->route, "acked", feeder_sent(feeder));
	flowing = xf_now_ms() - begin;
	assert_int_equal(world_number(w, "buckets.moving"), 0);
	printf("new side killed: rolled back in %" PRIu64 " ms, everything sent until then settled in %" PRIu64 " ms\n", back,
	       flowing);

	/* It is known to be down: a rise is refused, and says why. */
	xf_server_wait_string(w->server, w->migration, "sides.new.state", "down");
	assert_int_equal(XF_CLI(w->server, &text, "migration", "set", w->name, "--percent", "10"), 1);
	if (strstr(text.data, "the new side does not work") == NULL)
		fail_msg("refused without a reason: %s", text.data);
	xf_buffer_fini(&text);
	assert_int_equal(xf_server_request(w->server, "PATCH", w->migration, "{\"percent\": 10}", NULL), 409);
	assert_int_equal(world_number(w, "percent"), 0);

	/* Forced, its keys wait for it, and the others flow on. */
	acked = world_route_number(w, "acked");
	assert_int_equal(xf_server_request(w->server, "PATCH", w->migration, "{\"percent\": 10, \"force\": true}", NULL), 200);
	assert_int_equal(world_number(w, "percent"), 10);
	xf_server_wait_number(w->server, w->route, "acked", acked + RATE / 4.0);
	xf_broker_restart(w->nats);
	begin = xf_now_ms();
	xf_server_wait_string(w->server, w->migration, "sides.new.state", "up");
	printf("new side is back: up again after %" PRIu64 " ms\n", xf_now_ms() - begin);

	world_percent(w, "60", "--wait");
	feeder_join(&feeder);
	xf_server_wait_settled(w->server, w->name, MESSAGES);
	assert_int_equal(world_number(w, "buckets.new"), 6000);
	check_outage(w, ledger, "new side died");
	assert_int_equal(xf_server_stop(w->server), 0);
	ledger_destroy(&ledger);
}

static void
test_old_side_dies(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = ledger_create(21, MESSAGES, KEYS);
	struct feeder *feeder;
	uint64_t begin;

	world_begin(w, "olddies");
	world_configure(w, ", percent: 50", "");
	xf_server_start(w->server);
	xf_server_wait_ready(w->server);
	feeder = feeder_start(xf_broker_url(w->rabbit), w->in, ledger, 0, MESSAGES, RATE);
	xf_server_wait_number(w->server, w->route, "acked", RATE);

	xf_broker_kill(w->redis);
	usleep(300000);
	begin = xf_now_ms();
	world_percent(w, "100", "--force");
	feeder_join(&feeder);
	xf_server_wait_settled(w->server, w->name, MESSAGES);
	printf("old side killed: went on without it; all settled %" PRIu64 " ms after, of which the producer took %d ms\n",
	       xf_now_ms() - begin, MESSAGES * 1000 / RATE - 1000);
	assert_int_equal(world_number(w, "buckets.new"), 10000);
	assert_int_equal(world_number(w, "sides.old.in_flight"), 0);
	xf_server_wait_string(w->server, w->migration, "sides.old.state", "down");
	xf_broker_restart(w->redis);
	check_outage(w, ledger, "old side died");
	assert_int_equal(xf_server_stop(w->server), 0);
	ledger_destroy(&ledger);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_side_dies),
		cmocka_unit_test(test_old_side_dies),
	};

	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
