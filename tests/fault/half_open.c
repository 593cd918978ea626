/*
 * half_open.c - a network that swallows everything and says nothing: each end notices by itself, idle or loaded, other routes
 * do not feel it, and once it is over nothing is missing.
 *
 * What is promised is twice the configured heartbeat. The margin is for machines with other work; the output has the figures.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "rig.h"

#define RATE (500 / XF_SCALE)
#define HEARTBEATS_MS 2000 /* twice what rig.c configures, */
#define AMQP_MS 4000       /* of which AMQP has no less than this */
#define MARGIN_MS 10000

static void
fault_and_back(struct rig *rig, enum line_end end, const char *title)
{
	struct sightings down;

	rig_fault(rig, end, proxy_swallow);
	down = rig_wait_down(rig, title);
	for (int i = 0; i < FAULTY; i++)
		for (int e = 0; e < ENDS; e++)
			assert_in_range(down.after[i][e], 0, (i == AMQP ? AMQP_MS : HEARTBEATS_MS) + MARGIN_MS * XF_SCALE);
	rig_delivers(rig, CALM, RATE);
	rig_fault(rig, end, proxy_clean);
	rig_wait_back(rig, "  healed: back");
}

static void
test_half_open(void **state)
{
	struct rig *rig = *state;

	rig_serve(rig, "half", RATE, 128);
	fault_and_back(rig, WRITER, "half-open, loaded: down");
	for (int i = 0; i < LINES; i++)
		rig_delivers(rig, (enum line_name)i, RATE);
	fault_and_back(rig, READER, "half-open, loaded: down");
	for (int i = 0; i < LINES; i++)
		rig_delivers(rig, (enum line_name)i, RATE);
	rig_idle(rig);
	fault_and_back(rig, ENDS, "half-open, idle: down");
	rig_load(rig);
	for (int i = 0; i < LINES; i++)
		rig_delivers(rig, (enum line_name)i, RATE);
	rig_finish(rig, "half-open, loaded and idle", 2 * ENDS);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_half_open),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
