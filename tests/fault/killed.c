/*
 * killed.c - brokers that are killed under load and started again on what they left: it is noticed, a route on another broker goes on, what
 * comes meanwhile is kept, and afterwards nothing is missing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "rig.h"

#define RATE (500 / XF_SCALE)
#define MOMENTS_MS 500 /* within which it comes */

static void
kill_and_back(struct rig *rig, unsigned *seed)
{
	xf_sleep_ms((unsigned)rand_r(seed) % MOMENTS_MS);
	rig_mark(rig, ENDS);
	for (int i = 0; i < FAULTY; i++)
		xf_broker_kill(rig->lines[i].broker);
	rig_wait_down(rig, "killed: down");
	rig_delivers(rig, CALM, RATE);
	for (int i = 0; i < FAULTY; i++)
		xf_broker_restart(rig->lines[i].broker);
	rig_wait_back(rig, "  started: back");
	for (int i = 0; i < LINES; i++)
		rig_delivers(rig, (enum line_name)i, RATE);
}

static void
test_kills_under_load(void **state)
{
	struct rig *rig = *state;
	unsigned rounds = getenv("XF_LONG") != NULL ? 20 : 2, seed = (unsigned)xf_wall_ms();

	printf("seed %u\n", seed);
	rig_serve(rig, "killed", RATE, 128);
	for (int i = 0; i < FAULTY; i++)
		xf_broker_ripen(rig->lines[i].broker);
	for (unsigned i = 0; i < rounds; i++)
		kill_and_back(rig, &seed);
	for (int i = 0; i < FAULTY; i++)
		samples_fini(&rig->lines[i].backs); /* the first is back while the last still starts */
	rig_finish(rig, "broker killed", rounds);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kills_under_load),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
