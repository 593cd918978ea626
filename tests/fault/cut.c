/*
 * cut.c - every connection is reset again and again under load: all come back by themselves, and nothing is lost or reordered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "rig.h"

#define RATE (1000 / XF_SCALE)
#define DELAY_MS 20 /* so that there is always something on the line, which is lost with it */

static void
slow_down(struct proxy *proxy)
{
	proxy_delay(proxy, DELAY_MS);
}

static void
test_resets_under_load(void **state)
{
	struct rig *rig = *state;
	int rounds = getenv("XF_LONG") != NULL ? 60 : 5;

	rig_serve(rig, "cut", RATE, 128);
	rig_fault(rig, ENDS, slow_down);
	for (int round = 0; round < rounds; round++) {
		rig_fault(rig, ENDS, proxy_cut);
		rig_wait_back(rig, "reset: back");
		for (int i = 0; i < LINES; i++)
			rig_delivers(rig, (enum line_name)i, RATE / 2);
	}
	rig_finish(rig, "connections reset", (unsigned)rounds * ENDS);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resets_under_load),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
