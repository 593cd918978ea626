/*
 * spool_accept.c - a source that accepts into a spool: its broker is answered while both sides are away, crossfaded is killed, and the
 * configuration is exchanged; what was accepted reaches the sides once and in order.
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

#define MESSAGES (20000 / XF_SCALE)
#define KEYS 200
#define RATE (4000 / XF_SCALE)
#define KILLS 4

#define SPOOLED "sources.0.spool.messages"

static struct ledger *
begin(struct world *w, const char *name, uint32_t producer)
{
	world_begin(w, name);
	w->source = ", accept: spooled";
	world_configure(w, ", percent: 50", "");
	xf_server_start(w->server);
	xf_server_wait_ready(w->server);
	return ledger_create(producer, MESSAGES, KEYS);
}

/* Nothing is lost, broken, or out of the order of its key. */
static void
finish(struct world *w, struct ledger **ledger)
{
	struct ledger_sum sum;
	uint64_t tries = 0;

	while (rabbit_count(w->queue, w->in) > 0 || world_route_number(w, "in_flight") + world_route_number(w, SPOOLED) > 0) {
		if (++tries > 20 * XF_WAIT_MS / 1000)
			fail_msg("%.0f messages are left in the spool", world_route_number(w, SPOOLED));
		usleep(50000);
	}
	world_reopen(w);
	world_read(w, *ledger);
	sum = ledger_sum(*ledger);
	ledger_print(w->name, &sum);
	assert_int_equal(sum.lost + sum.corrupted + sum.unexpected, 0);
	assert_int_equal(sum.reordered[OLD] + sum.reordered[NEW] + sum.across, 0);
	assert_int_equal(xf_server_stop(w->server), 0);
	w->source = NULL;
	ledger_destroy(ledger);
}

/* All is acked while neither side is there, and a start finds it. */
static void
test_acked_while_both_are_away(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = begin(w, "away", 71);

	xf_broker_kill(w->redis);
	xf_broker_kill(w->nats);
	rabbit_feed(w->queue, w->in, ledger, 0, MESSAGES);
	xf_server_wait_settled(w->server, w->name, MESSAGES);
	assert_true(world_route_number(w, SPOOLED) == MESSAGES);
	assert_int_equal(rabbit_count(w->queue, w->in), 0);
	xf_server_kill(w->server);
	xf_server_start(w->server);
	xf_server_wait_ready(w->server); /* it accepts, whatever its sides do */
	xf_server_wait_number(w->server, w->route, SPOOLED, MESSAGES);
	XF_CLI_DONE(w->server, "route", "pause", w->name); /* takes nothing in; what was accepted goes on */
	xf_broker_restart(w->redis);
	xf_broker_restart(w->nats);
	finish(w, &ledger);
}

/* crossfaded is killed at random points, and a side goes and comes; the share moves meanwhile. */
static void
test_killed(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = begin(w, "killed", 72);
	struct feeder *feeder = feeder_start(xf_broker_url(w->rabbit), w->in, ledger, 0, MESSAGES, RATE);
	unsigned seed = (unsigned)getpid();

	printf("seed %u\n", seed);
	for (unsigned i = 0; i < KILLS * 2; i++) {
		if (i == 1)
			xf_broker_kill(w->redis);
		if (i == KILLS)
			xf_broker_restart(w->redis);
		usleep(100000 + (useconds_t)(rand_r(&seed) % 600000));
		xf_server_kill(w->server);
		xf_server_start(w->server);
	}
	xf_server_wait_ready(w->server);
	world_percent(w, "100", NULL);
	feeder_join(&feeder);
	finish(w, &ledger);
}

/* Reloads hand the spool on; where the source accepts otherwise, what is in it waits, and that is said. */
static void
test_reloads(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = begin(w, "reloads", 73);
	struct feeder *feeder = feeder_start(xf_broker_url(w->rabbit), w->in, ledger, 0, MESSAGES, RATE);
	char route[64];

	for (unsigned i = 0; i < 6; i++) {
		if (i == 1)
			xf_broker_kill(w->redis);
		if (i == 4)
			xf_broker_restart(w->redis);
		snprintf(route, sizeof(route), ", max_in_flight_bytes: %uMiB", 10 + i); /* the source is kept, its way is not */
		world_configure(w, ", percent: 50", route);
		XF_CLI_DONE(w->server, "reload");
		usleep(200000);
	}
	feeder_join(&feeder);
	xf_server_wait_settled(w->server, w->name, MESSAGES);
	w->source = NULL;
	world_configure(w, ", percent: 50", "");
	XF_CLI_DONE(w->server, "reload");
	xf_server_wait_logged(w->server, "/spools/reloads.from.1: what is in it waits");
	w->source = ", accept: spooled";
	world_configure(w, ", percent: 50", "");
	XF_CLI_DONE(w->server, "reload");
	finish(w, &ledger);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_acked_while_both_are_away),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_reloads),
	};

	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
