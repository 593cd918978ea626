/*
 * stall.c - brokers that stand still (SIGSTOP) with every connection open: it is noticed, a route on another broker goes on, and
 * afterwards nothing is missing.
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

static unsigned
stall_ms(void)
{
	return getenv("XF_LONG") != NULL ? 30000 : 5000;
}

/* What it does to a line's latency is printed; what it must not do is hold the calm line up. */
static void
stall_and_back(struct rig *rig, const char *title)
{
	uint64_t end;
	double calm;

	rig_mark(rig, ENDS);
	for (int i = 0; i < FAULTY; i++)
		xf_broker_pause(rig->lines[i].broker);
	end = xf_now_ms() + stall_ms();
	calm = rig_report(rig, CALM, "received");
	rig_wait_down(rig, title);
	while (xf_now_ms() < end)
		xf_sleep_ms(20);
	printf("  stalled: calm delivered %.0f meanwhile\n", rig_report(rig, CALM, "received") - calm);
	rig_delivers(rig, CALM, RATE);
	rig_mark(rig, ENDS);
	for (int i = 0; i < FAULTY; i++)
		xf_broker_resume(rig->lines[i].broker);
	rig_wait_back(rig, "  resumed: back");
}

static void
test_stall(void **state)
{
	struct rig *rig = *state;

	rig_serve(rig, "stall", RATE, 128);
	stall_and_back(rig, "stalled, loaded: down");
	for (int i = 0; i < LINES; i++)
		rig_delivers(rig, (enum line_name)i, RATE);
	rig_idle(rig);
	stall_and_back(rig, "stalled, idle: down");
	rig_load(rig);
	for (int i = 0; i < LINES; i++)
		rig_delivers(rig, (enum line_name)i, RATE);
	rig_finish(rig, "broker stopped, loaded and idle", 2);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stall),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
