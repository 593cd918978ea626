/*
 * hang.c - a plugin that keeps its thread: that is said, once, what it has is not given up, and routes with other plugins do not feel it. When
 * it comes back all goes on, and nothing is missing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "carry.h"

#define RATE 500
#define BOUND 300

static int
setup(void **state)
{
	static const struct carry lines[] = {
		{.name = "calm", .broker = "plugin: local", .place = "subject: calm", .rate = RATE},
		{.name = "hung", .broker = "plugin: seeded, fault: hang, every: 2000", .place = "subject: hung", .route = "    max_in_flight: 300\n" /* BOUND */, .rate = RATE},
	};
	struct xf_server *server = xf_server_create("hang");

	setenv("CROSSFADE_PLUGIN_DIR", XF_BINARY_DIR "/tests/fault/plugins", 1);
	carry_start(server, lines, 2);
	*state = server;
	return 0;
}

static int
teardown(void **state)
{
	struct xf_server *server = *state;

	xf_server_destroy(&server);
	return 0;
}

static void
test_it_hangs(void **state)
{
	struct xf_server *server = *state;
	struct samples recover = {0};
	uint64_t begun;
	double before, within;
	char *note;

	carry_delivers(server, "calm", RATE);
	before = carry_report(server, "calm", "latency_us.p99");
	carry_wait_number(server, "hung", "in_flight", BOUND);
	begun = xf_now_ms();
	carry_wait_string(server, "hung", "sinks.0.reason", "does not come back");
	carry_wait_string(server, "hung", "sinks.0.state", "blocked");
	xf_server_wait_logged(server, "hung-in/to: plugin 'seeded' does not come back");
	assert_int_equal(xf_server_request(server, "GET", "/healthz", NULL, NULL), 503);
	printf("said %.1f s after it had no room for more\n", (double)(xf_now_ms() - begun) / 1000);
	carry_delivers(server, "calm", RATE);
	within = carry_report(server, "calm", "latency_us.p99");
	begun = xf_now_ms();
	carry_wait_string(server, "hung", "sinks.0.state", "up");
	carry_delivers(server, "hung", RATE);
	samples_add(&recover, (double)(xf_now_ms() - begun) / 1000);
	assert_true(xf_server_logged(server, "has come back"));
	assert_int_equal(xf_server_request(server, "GET", "/healthz", NULL, NULL), 200);
	carry_finish(server, "calm", &(struct figures){.fault = "beside a plugin that hangs", .broker = "local", .faults = 1});
	note = xf_format("the p99 of another route was %.2f ms before and %.2f ms to the end of it", before / 1000, within / 1000);
	carry_finish(server, "hung", &(struct figures){.fault = "a plugin hangs for 13 s", .broker = "in memory", .faults = 1, .note = note});
	free(note);
	samples_fini(&recover);
	assert_int_equal(xf_server_stop(server), 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_hangs),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
