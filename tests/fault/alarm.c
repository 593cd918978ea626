/*
 * alarm.c - a broker that is out of memory: it is published to no more, what it has is consumed on, the sink says why, nothing is given up
 * for it, and all goes on by itself once there is memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "broker.h"
#include "carry.h"

#define RATE 500
#define BOUND 300 /* in flight on the way to the broker */

struct world {
	struct xf_broker *broker;
	struct xf_server *server;
	const char *name;
	unsigned heartbeat_s;
	struct samples notice, recover;
};

static void
begin(struct world *w, const char *kind, unsigned heartbeat_s, const char *options)
{
	char *broker, *place = xf_format("subject: alarm%s", options), *bound = xf_format("    max_in_flight: %d\n", BOUND);

	*w = (struct world){.broker = xf_broker_start(kind, NULL), .server = xf_server_create(kind), .name = kind,
	                    .heartbeat_s = heartbeat_s};
	broker = xf_format("plugin: %s, url: '%s', heartbeat: %us", kind, xf_broker_url(w->broker), heartbeat_s);
	carry_start(w->server, &(struct carry){.name = kind, .broker = broker, .place = place, .route = bound, .rate = RATE}, 1);
	free(broker);
	free(place);
	free(bound);
}

static void
finish(struct world *w)
{
	carry_finish(w->server, w->name,
	             &(struct figures){.fault = "memory alarm", .broker = w->name, .faults = 1, .notice = &w->notice, .recover = &w->recover});
	samples_fini(&w->notice);
	samples_fini(&w->recover);
	assert_int_equal(xf_server_stop(w->server), 0);
	xf_server_destroy(&w->server);
	xf_broker_destroy(&w->broker);
}

static void
ctl(struct world *w, const char *const *args)
{
	free(xf_broker_ctl(w->broker, args));
}

static void
consumption(struct world *w, const char *verb)
{
	char *out = xf_format("%s-out", w->name);

	XF_CLI_DONE(w->server, "route", verb, out);
	free(out);
}

/* There is no memory from FULL on, and again from FREED on. */
static void
out_of_memory(struct world *w, const char *const *full, const char *const *freed, const char *reason)
{
	uint64_t begun;
	double before;

	carry_delivers(w->server, w->name, RATE);
	consumption(w, "pause");
	carry_wait_number(w->server, w->name, "acked", carry_number(w->server, w->name, "acked") + RATE);
	ctl(w, full);
	begun = xf_now_ms();
	carry_wait_string(w->server, w->name, "sinks.0.state", "blocked");
	samples_add(&w->notice, (double)(xf_now_ms() - begun) / 1000);
	printf("%s: noticed after %.2f s\n", w->name, (double)(xf_now_ms() - begun) / 1000);
	carry_wait_string(w->server, w->name, "sinks.0.reason", reason);
	assert_int_equal(xf_server_request(w->server, "GET", "/healthz", NULL, NULL), 503);

	/* the source is held back */
	carry_wait_number(w->server, w->name, "in_flight", BOUND);
	before = carry_number(w->server, w->name, "acked");
	xf_sleep_ms(2500ull * w->heartbeat_s); /* a broker that blocks is not a dead one */
	assert_true(carry_number(w->server, w->name, "acked") == before);
	assert_true(carry_number(w->server, w->name, "in_flight") == BOUND);

	/* what was confirmed is consumed */
	assert_true(carry_report(w->server, w->name, "lost") > 0); /* lies there */
	consumption(w, "resume");
	while (carry_report(w->server, w->name, "lost") > 0 && xf_now_ms() - begun < XF_WAIT_MS)
		xf_sleep_ms(10);
	assert_int_equal(carry_report(w->server, w->name, "lost"), 0);
	carry_wait_string(w->server, w->name, "sinks.0.state", "blocked");
	assert_int_equal(carry_number(w->server, w->name, "sinks.0.reconnects"), 0);

	ctl(w, freed);
	begun = xf_now_ms();
	carry_wait_string(w->server, w->name, "sinks.0.state", "up");
	samples_add(&w->recover, (double)(xf_now_ms() - begun) / 1000);
	carry_delivers(w->server, w->name, BOUND + RATE);
	printf("%s: goes on, and %d messages further %.2f s after\n", w->name, BOUND + RATE, (double)(xf_now_ms() - begun) / 1000);
	assert_int_equal(xf_server_request(w->server, "GET", "/healthz", NULL, NULL), 200);
}

static void
test_rabbitmq(void **state)
{
	static const char *const full[] = {"set_vm_memory_high_watermark", "0", NULL};
	static const char *const freed[] = {"set_vm_memory_high_watermark", "0.8", NULL};
	struct world w;

	(void)state;
	begin(&w, "amqp", 2, ", declare: true");
	out_of_memory(&w, full, freed, "low on memory");
	finish(&w);
}

static void
test_redis(void **state)
{
	static const char *const never[] = {"CONFIG", "SET", "maxmemory-policy", "noeviction", NULL};
	static const char *const full[] = {"CONFIG", "SET", "maxmemory", "1", NULL};
	static const char *const freed[] = {"CONFIG", "SET", "maxmemory", "0", NULL};
	struct world w;

	(void)state;
	begin(&w, "redis", 1, ", mode: stream");
	ctl(&w, never);
	out_of_memory(&w, full, freed, "OOM");
	finish(&w);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_redis),
		cmocka_unit_test(test_rabbitmq),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
