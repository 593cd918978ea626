/*
 * slow.c - a line of 64 kbit/s and half a second of latency, and far more to send: it is not taken for a dead one, memory stays
 * bounded, and other routes do not feel it.
 */
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
#include "rig.h"

#define RATE (2000 / XF_SCALE)
#define SIZE 1024
#define BYTES_PER_SECOND 8000
#define LATENCY_MS 500
#define GROWTH_MAX_KB (48 * 1024) /* what comes in meanwhile would need more; what a route may have in flight does not */

static void
make_slow(struct proxy *proxy)
{
	proxy_slow(proxy, BYTES_PER_SECOND);
	proxy_delay(proxy, LATENCY_MS);
}

static long
memory_kb(const struct rig *rig)
{
	char *path = xf_format("/proc/%d/status", (int)xf_server_pid(rig->server)), line[128];
	FILE *file = fopen(path, "r");
	long kb = -1;

	free(path);
	assert_non_null(file);
	while (kb < 0 && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "VmRSS: %ld", &kb) != 1)
			kb = -1;
	fclose(file);
	assert_true(kb > 0);
	return kb;
}

/* Every slow line goes on, and the calm one at its pace; returns the peak of memory. */
static long
watch(struct rig *rig, const char *title)
{
	uint64_t begin = xf_now_ms(), end = begin + (getenv("XF_LONG") != NULL ? 60000 : 7000);
	double calm = rig_report(rig, CALM, "received"), before[FAULTY];
	long peak = 0;

	for (int i = 0; i < FAULTY; i++)
		before[i] = rig_report(rig, (enum line_name)i, "received");
	do {
		long kb = memory_kb(rig);

		peak = kb > peak ? kb : peak;
		usleep(50000);
	} while (xf_now_ms() < end);
	printf("%s: in %.1f s", title, (double)(xf_now_ms() - begin) / 1000);
	for (int i = 0; i < FAULTY; i++)
		printf(" %s %.0f,", rig->lines[i].name, rig_report(rig, (enum line_name)i, "received") - before[i]);
	printf(" calm %.0f; memory at most %ld KiB\n", rig_report(rig, CALM, "received") - calm, peak);
	return peak;
}

static void
slow_and_back(struct rig *rig, enum line_end end, const char *title)
{
	long before = memory_kb(rig), peak;

	rig_fault(rig, end, make_slow);
	peak = watch(rig, title);
	for (int i = 0; i < FAULTY; i++)
		rig_delivers(rig, (enum line_name)i, 5);
	rig_delivers(rig, CALM, RATE);
	rig_print_reconnects(rig, title);
	assert_true(peak - before < GROWTH_MAX_KB);
	rig_fault(rig, end, proxy_clean);
}

static void
test_slow_lines(void **state)
{
	struct rig *rig = *state;

	rig_serve(rig, "slow", RATE, SIZE);
	for (int i = 0; i < LINES; i++)
		rig_delivers(rig, (enum line_name)i, RATE);
	slow_and_back(rig, WRITER, "slow to the broker");
	assert_false(xf_server_logged(rig->server, "Connection timed out"));
	for (int i = 0; i < LINES; i++)
		rig_delivers(rig, (enum line_name)i, RATE);
	slow_and_back(rig, READER, "slow from the broker");
	rig_finish(rig, "64 kbit/s and 500 ms", ENDS);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow_lines),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
