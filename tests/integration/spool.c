/*
 * spool.c - a side that is away has its messages in a spool: the source is acked meanwhile, and what was spooled reaches the broker
 * in order when it is back, after restarts of crossfaded too; or the other side, where the traffic is turned away from a dead one.
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

#include "world.h"

#define MESSAGES (20000 / XF_SCALE)
#define KEYS 200
#define RATE (4000 / XF_SCALE)
#define KILLS 5

static struct ledger *
begin(struct world *w, const char *name, uint32_t producer, const char *sides, const char *migration)
{
	world_begin(w, name);
	w->sides = sides;
	world_configure(w, migration, "");
	xf_server_start(w->server);
	xf_server_wait_ready(w->server);
	return ledger_create(producer, MESSAGES, KEYS);
}

static void
wait_spools_empty(struct world *w)
{
	uint64_t tries = 0;

	while (world_number(w, "sides.old.spool.messages") + world_number(w, "sides.new.spool.messages") > 0) {
		if (++tries > 20 * XF_WAIT_MS / 1000)
			fail_msg("%.0f and %.0f messages are left in the spools", world_number(w, "sides.old.spool.messages"),
			         world_number(w, "sides.new.spool.messages"));
		usleep(50000);
	}
}

/* Where counters begin anew: all that was sent was acked. */
static void
wait_queue_empty(struct world *w)
{
	uint64_t tries = 0;

	while (rabbit_count(w->queue, w->in) > 0 || world_route_number(w, "in_flight") > 0) {
		assert_true(++tries < 20 * XF_WAIT_MS / 1000);
		usleep(50000);
	}
	wait_spools_empty(w);
}

/* Nothing is lost, broken, or out of the order of its key. */
static void
finish(struct world *w, struct ledger **ledger)
{
	struct ledger_sum sum;

	wait_spools_empty(w);
	world_reopen(w);
	world_read(w, *ledger);
	sum = ledger_sum(*ledger);
	ledger_print(w->name, &sum);
	assert_int_equal(sum.lost + sum.corrupted + sum.unexpected, 0);
	assert_int_equal(sum.reordered[OLD] + sum.reordered[NEW] + sum.across, 0);
	assert_int_equal(rabbit_count(w->queue, w->in), 0);
	assert_int_equal(xf_server_stop(w->server), 0);
	w->sides = NULL;
	ledger_destroy(ledger);
}

/* The other side's keys flow on, and those of the dead one are acked from its spool. */
static void
test_away_and_back(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = begin(w, "away", 60, ", when_down: spool", ", percent: 50");
	struct feeder *feeder = feeder_start(xf_broker_url(w->rabbit), w->in, ledger, 0, MESSAGES, RATE);

	xf_server_wait_number(w->server, w->route, "acked", RATE);
	xf_broker_kill(w->redis);
	xf_server_wait_number(w->server, w->migration, "sides.old.spool.messages", RATE);
	xf_broker_restart(w->redis);
	feeder_join(&feeder);
	xf_server_wait_settled(w->server, w->name, MESSAGES);
	wait_spools_empty(w);
	assert_true(world_number(w, "sides.old.spooled") > 0);
	assert_true(world_number(w, "sides.new.spooled") == 0);
	world_check_accounts(w);
	finish(w, &ledger);
}

/* All is acked while one side is dead; only then it comes back. */
static void
test_acked_while_away(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = begin(w, "acked", 61, ", when_down: spool", ", percent: 50");
	struct xf_buffer shown = {0};
	const char *spools;

	xf_broker_kill(w->redis);
	rabbit_feed(w->queue, w->in, ledger, 0, MESSAGES);
	xf_server_wait_settled(w->server, w->name, MESSAGES);
	assert_true(world_number(w, "sides.old.spool.messages") > 0);
	assert_int_equal(XF_CLI(w->server, &shown, "status"), 0);
	spools = strstr(shown.data, "SPOOL OF");
	assert_non_null(spools);
	assert_non_null(strstr(spools, "acked/to/old"));
	assert_non_null(strstr(spools, "  1.0 GiB  "));
	assert_null(strstr(shown.data, "dead letters"));
	puts(spools);
	xf_buffer_fini(&shown);
	xf_broker_restart(w->redis);
	finish(w, &ledger);
}

/* crossfaded is killed while it fills a spool and while it empties it. */
static void
test_killed(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = begin(w, "killed", 62, ", when_down: spool", ", percent: 50");
	struct feeder *feeder = feeder_start(xf_broker_url(w->rabbit), w->in, ledger, 0, MESSAGES, RATE);
	unsigned seed = (unsigned)getpid();

	printf("seed %u\n", seed);
	for (unsigned i = 0; i < KILLS * 2; i++) {
		if (i == 0)
			xf_broker_kill(w->redis);
		if (i == KILLS)
			xf_broker_restart(w->redis);
		usleep(100000 + (useconds_t)(rand_r(&seed) % 600000));
		xf_server_kill(w->server);
		xf_server_start(w->server);
	}
	feeder_join(&feeder);
	wait_queue_empty(w);
	finish(w, &ledger);
}

/* What a dead side has in its spool goes to the other one. */
static void
test_forced_away(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = begin(w, "forced", 63, ", when_down: spool", ", percent: 0");
	struct feeder *feeder = feeder_start(xf_broker_url(w->rabbit), w->in, ledger, 0, MESSAGES, RATE);

	xf_server_wait_number(w->server, w->route, "acked", RATE / 2.0);
	xf_broker_kill(w->redis);
	xf_server_wait_number(w->server, w->migration, "sides.old.spool.messages", RATE);
	world_percent(w, "100", "--force");
	feeder_join(&feeder);
	xf_server_wait_settled(w->server, w->name, MESSAGES);
	wait_spools_empty(w); /* the old one's, which is still dead */
	xf_server_wait_string(w->server, w->migration, "sides.old.state", "down");
	xf_broker_restart(w->redis);
	finish(w, &ledger);
}

/* Copies that must confirm wait in the spool of a side that is dead, and hold nobody back. */
static void
test_copies(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = begin(w, "copies", 64, ", when_down: spool", ", percent: 0, mirror: required");
	struct ledger_sum sum;

	xf_broker_kill(w->nats);
	rabbit_feed(w->queue, w->in, ledger, 0, MESSAGES);
	xf_server_wait_settled(w->server, w->name, MESSAGES);
	assert_true(world_number(w, "sides.new.spool.messages") == MESSAGES);
	xf_broker_restart(w->nats);
	wait_spools_empty(w);
	world_reopen(w);
	world_read(w, ledger);
	sum = ledger_sum(ledger);
	assert_int_equal(sum.copies[NEW], MESSAGES);
	finish(w, &ledger);
}

/*
 * Copies for a dead side stand in front of what was turned to it. Turned away from it again, all of that reaches the other one, and what
 * comes flows there, after a restart too; the copies wait for their side.
 */
static void
test_behind_copies(void **state)
{
	const uint32_t copies = MESSAGES / 2, turned = MESSAGES / 10;
	struct world *w = *state;
	struct ledger *ledger = begin(w, "behind", 67, ", when_down: spool", ", percent: 0, mirror: required");
	struct ledger_sum sum;
	uint64_t tries = 0;

	world_configure(w, ", percent: 0, mirror: required", ", max_in_flight: 100");
	XF_CLI_DONE(w->server, "reload");
	xf_broker_kill(w->nats);
	rabbit_feed(w->queue, w->in, ledger, 0, copies);
	xf_server_wait_number(w->server, w->migration, "sides.new.spool.messages", copies);
	world_percent(w, "100", "--force");
	rabbit_feed(w->queue, w->in, ledger, copies, copies + turned);
	xf_server_wait_number(w->server, w->migration, "sides.new.spool.messages", copies + turned);
	xf_server_kill(w->server);
	xf_server_start(w->server);
	world_percent(w, "0", "--force");
	while (world_number(w, "sides.new.spool.messages") > copies) {
		assert_true(++tries < 20 * XF_WAIT_MS / 1000);
		usleep(50000);
	}
	xf_server_kill(w->server);
	xf_server_start(w->server);
	rabbit_feed(w->queue, w->in, ledger, copies + turned, MESSAGES);
	xf_server_wait_settled(w->server, w->name, MESSAGES - copies - turned);
	xf_server_wait_number(w->server, w->migration, "sides.old.confirmed", MESSAGES - copies - turned);
	xf_server_wait_string(w->server, w->migration, "sides.new.state", "down");
	xf_broker_restart(w->nats);
	wait_spools_empty(w);
	world_reopen(w);
	world_read(w, ledger);
	sum = ledger_sum(ledger);
	assert_int_equal(sum.here[OLD], MESSAGES);
	assert_int_equal(sum.copies[NEW], MESSAGES - turned);
	finish(w, &ledger);
}

/* A spool that is full holds the source back, and has room again when its broker is back. */
static void
test_full(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = begin(w, "full", 65, ", when_down: spool, spool: {max_size: 256KiB}", ", percent: 0");

	xf_broker_kill(w->redis);
	rabbit_feed(w->queue, w->in, ledger, 0, MESSAGES);
	xf_server_wait_number(w->server, w->migration, "sides.old.spool.refused", 1);
	assert_true(world_route_number(w, "acked") < MESSAGES);
	xf_broker_restart(w->redis);
	xf_server_wait_settled(w->server, w->name, MESSAGES);
	finish(w, &ledger);
}

/* Reloads hand a spool on, with what is in it; where nothing reads it any more, that is said. */
static void
test_reloads(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = begin(w, "reloads", 66, ", when_down: spool", ", percent: 50");
	struct feeder *feeder = feeder_start(xf_broker_url(w->rabbit), w->in, ledger, 0, MESSAGES, RATE);
	char route[64];

	xf_server_wait_number(w->server, w->route, "acked", RATE / 2.0);
	for (unsigned i = 0; i < 8; i++) {
		if (i == 1)
			xf_broker_kill(w->redis);
		if (i == 3)
			xf_server_wait_number(w->server, w->migration, "sides.old.spool.messages", 1);
		if (i == 4)
			xf_broker_restart(w->redis);
		snprintf(route, sizeof(route), ", max_in_flight: %u", 1000 + i);
		world_configure(w, ", percent: 50", route);
		XF_CLI_DONE(w->server, "reload");
		usleep(200000);
	}
	feeder_join(&feeder);
	wait_queue_empty(w);
	w->sides = NULL;
	world_configure(w, ", percent: 50", "");
	XF_CLI_DONE(w->server, "reload");
	xf_server_wait_logged(w->server, "/spools/reloads.to.old: what is in it waits");
	finish(w, &ledger);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_away_and_back), cmocka_unit_test(test_acked_while_away), cmocka_unit_test(test_killed),
		cmocka_unit_test(test_forced_away),   cmocka_unit_test(test_copies),           cmocka_unit_test(test_full),
		cmocka_unit_test(test_reloads),       cmocka_unit_test(test_behind_copies),
	};

	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
