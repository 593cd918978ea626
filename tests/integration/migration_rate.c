/*
 * migration_rate.c - a share that turns under 20,000 messages a second: how long lanes are held, and what the throughput
 * does meanwhile. The numbers are printed; only what is far off fails.
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

#include "base/clock.h"
#include "broker.h"
#include "server.h"

#define RATE (20000 / XF_SCALE)
#define SECONDS 8
#define CHANGES 10
#define WINDOW_MS 250

/* The bucket of crossfade_route_handover_seconds in which the quantile lies, in seconds. */
static double
handover_quantile(const char *metrics, double quantile)
{
	static const char head[] = "crossfade_route_handover_seconds_bucket{";
	double total = 0;

	for (const char *line = strstr(metrics, "crossfade_route_handover_seconds_count{"); line != NULL; line = NULL)
		total = strtod(strchr(line, '}') + 1, NULL);
	for (const char *line = strstr(metrics, head); line != NULL && total > 0; line = strstr(line + 1, head)) {
		const char *bound = strstr(line, "le=\"");

		if (strtod(strchr(line, '}') + 1, NULL) >= total * quantile)
			return strtod(bound + 4, NULL);
	}
	return -1;
}

static double
acked(struct xf_server *server)
{
	return xf_server_number(server, "/api/v1/routes/load", "acked");
}

/* The lowest rate of COUNT windows; with CHANGE, the share is turned at the start of each. */
static double
lowest_rate(struct xf_server *server, int count, bool change, double *mean)
{
	static const char *const shares[] = {"10", "50", "90", "100", "50", "20", "0", "75", "25", "50"};
	double lowest = 1e9, first = acked(server);
	uint64_t start = xf_now_ms();

	for (int i = 0; i < count; i++) {
		double before = acked(server), rate;
		uint64_t begin = xf_now_ms();

		if (change) {
			char body[64];

			snprintf(body, sizeof(body), "{\"percent\": %s}", shares[i % 10]);
			assert_int_equal(xf_server_request(server, "PATCH", "/api/v1/migrations/m", body, NULL), 200);
		}
		while (xf_now_ms() < begin + WINDOW_MS)
			usleep(5000);
		rate = (acked(server) - before) * 1000 / (double)(xf_now_ms() - begin);
		lowest = rate < lowest ? rate : lowest;
	}
	*mean = (acked(server) - first) * 1000 / (double)(xf_now_ms() - start);
	return lowest;
}

static void
test_hold_and_dip(void **state)
{
	struct xf_broker *redis = xf_broker_start("redis", NULL), *nats = xf_broker_start("nats", NULL);
	struct xf_server *server = xf_server_create("rate");
	double quiet, quiet_mean, turning, turning_mean, p50, p99, max;
	char *metrics;

	(void)state;
	xf_server_configure(server, "",
	                    "transports:\n"
	                    "  probe: {plugin: probe}\n"
	                    "  redis: {plugin: redis, url: \"%s\"}\n"
	                    "  nats: {plugin: nats, url: \"%s\", streams: [{name: P, subjects: [\"probe.>\"]}]}\n"
	                    "migrations:\n"
	                    "  m: {old: {transport: redis, mode: stream, subject: probe}, new: {transport: nats}, "
	                    "key: \"{header.key}\", percent: 50}\n"
	                    "routes:\n"
	                    "  - {name: load, from: {transport: probe, rate: %d, count: %d, keys: 1000, size: 128}, to: "
	                    "{migration: m}}\n",
	                    xf_broker_url(redis), xf_broker_url(nats), RATE, RATE * SECONDS);
	xf_server_start(server);
	xf_server_wait_number(server, "/api/v1/routes/load", "acked", RATE);
	quiet = lowest_rate(server, CHANGES, false, &quiet_mean);
	turning = lowest_rate(server, CHANGES, true, &turning_mean);
	xf_server_wait_number(server, "/api/v1/migrations/m", "buckets.new", 5000);
	assert_int_equal(xf_server_number(server, "/api/v1/migrations/m", "buckets.stuck"), 0);
	assert_int_equal(xf_server_number(server, "/api/v1/migrations/m", "crossed"), 0);
	xf_server_wait_settled(server, "load", RATE * SECONDS);

	metrics = xf_server_text(server, "/metrics");
	p50 = handover_quantile(metrics, 0.50);
	p99 = handover_quantile(metrics, 0.99);
	max = handover_quantile(metrics, 1.00);
	printf("%d a second offered; at rest %.0f (lowest of %d ms: %.0f), with %d changes %.0f (lowest %.0f); lanes held: "
	       "%.0f, p50 <= %.6f s, p99 <= %.6f s, longest <= %.6f s\n",
	       RATE, quiet_mean, WINDOW_MS, quiet, CHANGES, turning_mean, turning,
	       xf_server_number(server, "/api/v1/routes/load", "handover.count"), p50, p99, max);
	free(metrics);
	assert_true(p99 > 0 && p99 < 5);
	assert_true(turning_mean > quiet_mean / 2);
	assert_int_equal(xf_server_stop(server), 0);
	xf_server_destroy(&server);
	xf_broker_destroy(&redis);
	xf_broker_destroy(&nats);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hold_and_dip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
