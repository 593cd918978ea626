/*
 * nats_order.c - connections that are lost in the middle of a recovery, against a real server: what was lost comes again before
 * anything later, in the order of the stream, however often it is cut short.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker.h"
#include "harness.h"
#include "proxy.h"
#include "wait.h"

#define WINDOW 1000u
#define CUTS 3u

struct bench {
	struct xf_broker *broker;
	struct proxy *proxy; /* before the source */
	struct harness *near, *far;
	struct harness_endpoint *sink, *source;
	size_t count; /* published */
};

static struct harness *
harness_to(const char *url, const char *retention)
{
	char server[160], kept[64];

	snprintf(server, sizeof(server), "url=%s", url);
	snprintf(kept, sizeof(kept), "streams[0].retention=%s", retention);
	return harness_open("nats", OPTIONS(server, "streams[0].name=ORDERS", "streams[0].subjects=orders", kept));
}

/* COUNT messages of SIZE bytes, each of which begins with its number, wait in a stream; nobody reads yet. */
static void
bench_fill(struct bench *bench, const char *retention, size_t count, size_t size)
{
	char *payload = calloc(1, size);
	struct xf_outgoing message = {.subject = {"orders", 6}, .payload = payload, .payload_size = size};

	assert_non_null(payload);
	*bench = (struct bench){.broker = xf_broker_start("nats", NULL), .count = count};
	bench->proxy = proxy_create(xf_broker_url(bench->broker));
	bench->near = harness_to(xf_broker_url(bench->broker), retention);
	bench->far = harness_to(proxy_url(bench->proxy), retention);
	bench->sink = harness_sink(bench->near, "r/to", NULL, NULL);
	bench->source = harness_source_create(bench->far, "r/from", "orders", NULL, NULL);
	for (size_t i = 0; i < count; i++) {
		snprintf(payload, size, "%zu", i);
		harness_publish(bench->sink, &message);
	}
	free(payload);
	assert_true(harness_wait_completed(bench->sink, count, XF_WAIT_MS));
	assert_int_equal(harness_completed_as(bench->sink, XF_RESULT_STORED), count);
	harness_settle_auto(bench->source, XF_SETTLE_ACK, true);
	harness_window(bench->source, WINDOW, 1 << 26);
}

static void
bench_empty(struct bench *bench)
{
	harness_destroy(&bench->source);
	harness_destroy(&bench->sink);
	harness_close(&bench->far);
	harness_close(&bench->near);
	proxy_destroy(&bench->proxy);
	xf_broker_destroy(&bench->broker);
}

/* Every message came, and by its first appearance behind all that are older; none comes twice but by a loss. */
static void
assert_ordered(struct bench *bench, size_t losses)
{
	size_t next = 0, at = 0;
	uint64_t until = harness_now_ms() + XF_WAIT_MS;

	for (; next < bench->count; harness_sleep_ms(5)) {
		assert_true(harness_now_ms() < until);
		for (; at < harness_received(bench->source); at++) {
			size_t number = strtoul(harness_message(bench->source, at)->in.payload, NULL, 10);

			if (number > next)
				fail_msg("%zu where %zu is due", number, next);
			next += number == next;
		}
	}
	assert_true(harness_wait_settled(bench->source, XF_WAIT_MS));
	assert_true(at - next <= losses * WINDOW);
	print_message("%zu messages, %zu of them again\n", next, at - next);
}

/* A window of messages is under way in a slow network when it is cut; they are offered again in pieces, and the network is
 * cut each time some of those have come. */
static void
cut_in_recovery(const char *retention)
{
	struct bench bench;

	bench_fill(&bench, retention, 2 * WINDOW, 1000);
	proxy_slow(bench.proxy, 1000000);
	harness_start(bench.source);
	for (unsigned i = 0; i < CUTS; i++) {
		assert_true(harness_wait_received(bench.source, harness_received(bench.source) + 100, XF_WAIT_MS));
		harness_window(bench.source, 100, 1 << 26);
		proxy_cut(bench.proxy);
	}
	proxy_clean(bench.proxy);
	harness_window(bench.source, WINDOW, 1 << 26);
	assert_ordered(&bench, CUTS);
	bench_empty(&bench);
}

static void
test_cut_in_recovery_limits(void **state)
{
	(void)state;
	cut_in_recovery("limits");
}

static void
test_cut_in_recovery_workqueue(void **state)
{
	(void)state;
	cut_in_recovery("workqueue");
}

/* What is offered again does not fit into what may be in flight now: nothing of it is put off for that. */
static void
test_recovery_beyond_credit(void **state)
{
	struct bench bench;

	(void)state;
	bench_fill(&bench, "limits", 200, 10000);
	proxy_slow(bench.proxy, 1000000);
	harness_start(bench.source);
	assert_true(harness_wait_received(bench.source, 5, XF_WAIT_MS));
	harness_window(bench.source, WINDOW, 45000);
	proxy_cut(bench.proxy);
	proxy_clean(bench.proxy);
	assert_ordered(&bench, 1);
	bench_empty(&bench);
}

/* Anywhere, either way, and with more or less room each time; in the long form for as long as there is anything to cut. */
static void
test_cuts_anywhere(void **state)
{
	static const uint32_t windows[] = {20, 60, 300, WINDOW};
	unsigned seed = getenv("XF_SEED") != NULL ? (unsigned)atoi(getenv("XF_SEED")) : (unsigned)harness_now_ms();
	unsigned cuts = 0, most = getenv("XF_LONG") != NULL ? UINT32_MAX : CUTS;
	struct bench bench;

	(void)state;
	print_message("XF_SEED=%u\n", seed);
	bench_fill(&bench, "limits", 3 * WINDOW, 200);
	proxy_slow(bench.proxy, 1000000);
	harness_start(bench.source);
	for (; cuts < most && harness_received(bench.source) < bench.count; cuts++) {
		enum proxy_way way = rand_r(&seed) % 4 == 0 ? PROXY_TO_BROKER : PROXY_FROM_BROKER;
		uint64_t before = proxy_cuts(bench.proxy), until = harness_now_ms() + XF_WAIT_MS;

		harness_window(bench.source, windows[rand_r(&seed) % 4], 1 << 26);
		proxy_cut_after(bench.proxy, way, 2000 + (size_t)rand_r(&seed) % (way == PROXY_TO_BROKER ? 10000 : 100000));
		while (proxy_cuts(bench.proxy) == before && harness_received(bench.source) < bench.count) {
			assert_true(harness_now_ms() < until);
			harness_sleep_ms(2);
		}
	}
	proxy_clean(bench.proxy);
	harness_window(bench.source, WINDOW, 1 << 26);
	assert_ordered(&bench, cuts);
	bench_empty(&bench);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_in_recovery_limits),
		cmocka_unit_test(test_cut_in_recovery_workqueue),
		cmocka_unit_test(test_recovery_beyond_credit),
		cmocka_unit_test(test_cuts_anywhere),
	};

	if (getenv("ONLY"))
		cmocka_set_test_filter(getenv("ONLY"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
