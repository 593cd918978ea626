/*
 * clock.c - the machine's clock is set by an hour, by a day, to and fro, while messages flow: no connection is given up for it, what is half-open
 * is still noticed in time, and what waits in a spool does not grow old by it.
 *
 * libfaketime shows crossfaded, and nobody else, the clock that a file names. The monotonic clock is left as it is, as when a clock is set.
 */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "clients.h"
#include "rig.h"

#define RATE (500 / XF_SCALE)
#define HOUR_S 3600
#define DAY_S (24 * HOUR_S)
#define EXPIRING 50
#define MARGIN_MS 10000
#define HALF_OPEN_MS 4000 /* see half_open.c */

static const int jumps_s[] = {HOUR_S, -HOUR_S, DAY_S, -DAY_S, 0}; /* away from the true time */
#define JUMPS (sizeof(jumps_s) / sizeof(jumps_s[0]))

struct clock {
	struct rig *rig;
	char *dir, *file;
	char *preload, *names_file;
	const char *environ[5];
};

/* At once, or a reader might find half of it. */
static void
clock_write(struct clock *c, int seconds)
{
	char *next = xf_format("%s.next", c->file);
	FILE *file = fopen(next, "w");

	assert_non_null(file);
	fprintf(file, "%+d\n", seconds);
	fclose(file);
	assert_int_equal(rename(next, c->file), 0);
	free(next);
}

static int
setup(void **state)
{
	struct clock *c = xf_alloc(sizeof(*c));
	glob_t found;

	if (glob("/usr/lib/*/faketime/libfaketimeMT.so.1", 0, NULL, &found) != 0) {
		print_error("libfaketime is not installed; run tools/setup\n");
		return -1;
	}
	c->preload = xf_format("LD_PRELOAD=%s", found.gl_pathv[0]);
	globfree(&found);
	c->dir = xf_temp_create("clock");
	c->file = xf_format("%s/clock", c->dir);
	c->names_file = xf_format("FAKETIME_TIMESTAMP_FILE=%s", c->file);
	memcpy(c->environ, ((const char *[]){c->preload, c->names_file, "FAKETIME_NO_CACHE=1", "DONT_FAKE_MONOTONIC=1", NULL}),
	       sizeof(c->environ));
	clock_write(c, 0);
	rig_setup((void **)&c->rig);
	c->rig->environ = c->environ;
	*state = c;
	return 0;
}

static int
teardown(void **state)
{
	struct clock *c = *state;

	rig_teardown((void *[]){c->rig});
	xf_temp_destroy(&c->dir);
	free(c->file);
	free(c->preload);
	free(c->names_file);
	free(c);
	return 0;
}

/* Returns once SERVER lives by it: its start, as it tells that, moves along. */
static void
clock_set(struct clock *c, struct xf_server *server, int seconds)
{
	uint64_t until = xf_now_ms() + XF_WAIT_MS;
	int64_t off;

	clock_write(c, seconds);
	do {
		char *started = xf_server_string(server, "/system/status", "started");

		assert_true(xf_now_ms() < until);
		off = xf_wall_parse(started) - (xf_wall_ms() + (int64_t)seconds * 1000);
		free(started);
	} while (off > 0 || off < -HOUR_S / 2 * 1000);
}

static void
all_deliver(struct rig *rig)
{
	for (int i = 0; i < LINES; i++)
		rig_delivers(rig, (enum line_name)i, RATE / 10);
}

static void
test_messages_flow(void **state)
{
	struct clock *c = *state;
	struct rig *rig = c->rig;
	struct sightings down;
	int rounds = getenv("XF_LONG") != NULL ? 20 : 1;

	rig_serve(rig, "clock", RATE, 128);
	rig_mark(rig, ENDS);
	for (size_t i = 0; i < JUMPS; i++) {
		clock_set(c, rig->server, jumps_s[i]);
		all_deliver(rig);
	}
	xf_sleep_ms(3000); /* longer than any heartbeat */
	assert_int_equal(rig_reconnects(rig), 0);

	for (int i = 0; i < rounds; i++) {
		rig_fault(rig, ENDS, proxy_swallow);
		clock_set(c, rig->server, i % 2 == 0 ? -DAY_S : HOUR_S);
		down = rig_wait_down(rig, "half-open, and the clock is set: down");
		for (int line = 0; line < FAULTY; line++)
			for (int e = 0; e < ENDS; e++)
				assert_in_range(down.after[line][e], 0, HALF_OPEN_MS + MARGIN_MS * XF_SCALE);
		rig_fault(rig, ENDS, proxy_clean);
		clock_set(c, rig->server, 0);
		rig_wait_back(rig, "healed, and the clock is set: back");
		all_deliver(rig);
	}
	rig_finish(rig, "clock set, hours and days", (unsigned)(JUMPS + (size_t)rounds * 2));
}

/* They are good for an hour, and lie in the spool for a moment, in which the clock is set to the next day. */
static void
test_what_may_expire(void **state)
{
	struct clock *c = *state;
	struct line *line = &c->rig->lines[AMQP];
	struct xf_server *server = xf_server_create("expire");
	struct rabbit *queue = rabbit_open(xf_broker_url(line->broker));
	static const char route[] = "/api/v1/routes/expire";

	for (size_t i = 0; c->environ[i] != NULL; i++)
		xf_server_environ(server, c->environ[i]);
	xf_server_configure(server, "",
	                    "transports:\n"
	                    "  near: {plugin: amqp, url: '%s'}\n"
	                    "  far: {plugin: amqp, url: '%s'}\n"
	                    "routes:\n"
	                    "  - name: expire\n"
	                    "    from: {transport: near, subject: expire-from, declare: true}\n"
	                    "    to: {transport: far, subject: expire-to, declare: true, when_down: spool}\n",
	                    xf_broker_url(line->broker), proxy_url(line->proxies[WRITER]));
	xf_server_start(server);
	xf_server_wait_ready(server);
	proxy_refuse(line->proxies[WRITER]);
	proxy_cut(line->proxies[WRITER]);
	xf_server_wait_string(server, route, "sinks.0.state", "down");
	rabbit_expire(queue, "3600000");
	for (int i = 0; i < EXPIRING; i++)
		rabbit_publish(queue, "", xf_str("expire-from"), "x", 1, NULL, xf_str(""));
	rabbit_confirm(queue);
	xf_server_wait_number(server, route, "sinks.0.spool.messages", EXPIRING);
	clock_set(c, server, DAY_S);
	assert_in_range(xf_server_number(server, route, "sinks.0.spool.oldest_seconds"), 0, HOUR_S);
	proxy_clean(line->proxies[WRITER]);
	xf_server_wait_number(server, route, "sinks.0.reconnects", 1);
	xf_server_wait_settled(server, "expire", EXPIRING);
	while (xf_server_number(server, route, "sinks.0.spool.messages") > 0)
		xf_sleep_ms(10);
	assert_true(xf_server_number(server, route, "sinks.0.spool.oldest_seconds") == 0);
	assert_int_equal(xf_server_stop(server), 0);
	assert_int_equal(rabbit_count(queue, "expire-to"), EXPIRING);
	rabbit_close(&queue);
	xf_server_destroy(&server);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages_flow),
		cmocka_unit_test(test_what_may_expire),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
