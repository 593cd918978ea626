/*
 * truncate.c - connections that end in the middle of a message, at one byte after the other: what was cut short is delivered whole
 * later, and nothing else ever.
 *
 * A connection's first bytes are the greeting. How long that is, an idle one tells; the cuts are spread over what follows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "rig.h"

#define RATE (200 / XF_SCALE)
#define SIZE 64
#define SPAN 1200 /* bytes behind the greeting: several messages of each protocol */
#define SAMPLES 6

static void
wait_cut(struct rig *rig, uint64_t before[FAULTY][ENDS], size_t offset)
{
	uint64_t until = xf_now_ms() + XF_WAIT_MS;

	for (int i = 0; i < FAULTY; i++)
		for (int e = 0; e < ENDS; e++)
			while (proxy_cuts(rig->lines[i].proxies[e]) == before[i][e]) {
				if (xf_now_ms() > until)
					fail_msg("%s: a connection does not come to byte %zu", rig->lines[i].name, offset);
				usleep(2000);
			}
}

/* Where the sinks are cut on the way to the broker, the sources are on the way from it, and the other way round. Returns how often. */
static unsigned
sweep(struct rig *rig, enum proxy_way of_writers, const char *title)
{
	size_t greeting[FAULTY][ENDS], step = getenv("XF_LONG") != NULL ? 1 : SPAN / SAMPLES + 1;
	unsigned cuts = 0;
	uint64_t before[FAULTY][ENDS];

	rig_idle(rig);
	rig_fault(rig, ENDS, proxy_cut);
	rig_wait_back(rig, "reset: back");
	for (int i = 0; i < FAULTY; i++)
		for (int e = 0; e < ENDS; e++)
			greeting[i][e] = proxy_passed(rig->lines[i].proxies[e], e == WRITER ? of_writers : !of_writers);
	rig_load(rig);
	rig_mark(rig, ENDS);
	for (size_t offset = 1; offset <= SPAN; offset += step, cuts++) {
		for (int i = 0; i < FAULTY; i++)
			for (int e = 0; e < ENDS; e++) {
				struct proxy *proxy = rig->lines[i].proxies[e];

				before[i][e] = proxy_cuts(proxy);
				proxy_cut_after(proxy, e == WRITER ? of_writers : !of_writers, greeting[i][e] + offset);
			}
		wait_cut(rig, before, offset);
	}
	rig->since = xf_now_ms(); /* of the last cut, not of the first */
	rig_wait_back(rig, "the last: back");
	printf("%s: %u cuts of each connection\n", title, cuts);
	return cuts * ENDS;
}

static void
test_cuts_within_messages(void **state)
{
	struct rig *rig = *state;
	unsigned cuts;

	rig_serve(rig, "truncate", RATE, SIZE);
	cuts = sweep(rig, PROXY_TO_BROKER, "publishes and deliveries cut short");
	cuts += sweep(rig, PROXY_FROM_BROKER, "confirms and acks cut short");
	for (int i = 0; i < LINES; i++)
		rig_delivers(rig, (enum line_name)i, RATE);
	rig_finish(rig, "connections cut within a message", cuts);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cuts_within_messages),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
