/*
 * sink.c - a broker that is played, and so does what RabbitMQ does not do when it is asked to: confirms slowly, or not,
 * or says something odd.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "harness.h"
#include "peer.h"
#include "server.h"

#define SLOW_SIZE (40u << 20)
#define SLOW_STEP (6u << 20) /* more than the kernel buffers: some of it was written since the last */
#define CHANNEL_OPEN PEER_AMQP(20, 10)
#define CHANNEL_OPEN_OK PEER_AMQP(20, 11)
#define CONFIRM_SELECT PEER_AMQP(85, 10)
#define CONFIRM_SELECT_OK PEER_AMQP(85, 11)
#define BASIC_PUBLISH PEER_AMQP(60, 40)
#define BASIC_ACK PEER_AMQP(60, 80)

struct bench {
	struct peer *peer;
	struct harness *harness;
	struct harness_endpoint *sink;
};

static void
broker_welcome(struct peer *peer)
{
	peer_amqp_welcome(peer, 600);
	peer_amqp_expect(peer, CONFIRM_SELECT);
	peer_amqp_send(peer, 1, CHANNEL_OPEN_OK, "l", "");
	peer_amqp_send(peer, 1, CONFIRM_SELECT_OK, "");
}

/* Timeouts are long, and the clock is turned: a machine that is slow does not look like a broker that is. */
static void
bench_up(struct bench *bench)
{
	char url[64];

	bench->peer = peer_create();
	snprintf(url, sizeof(url), "url=amqp://127.0.0.1:%u", peer_port(bench->peer));
	bench->harness = harness_open("amqp", OPTIONS(url, "confirm_timeout=100s", "heartbeat=10m"));
	bench->sink = harness_sink(bench->harness, "r/to", NULL, NULL);
	broker_welcome(bench->peer);
	assert_true(harness_wait_state(bench->sink, XF_STATE_UP, XF_WAIT_MS));
}

static void
bench_down(struct bench *bench)
{
	peer_destroy(&bench->peer);
	harness_destroy(&bench->sink);
	harness_close(&bench->harness);
}

/* In all they take longer than confirm_timeout, but one after the other they are confirmed. Then no more are. */
static void
test_slow_but_steady(void **state)
{
	enum { COUNT = 6 };
	struct bench bench;
	size_t i;

	(void)state;
	bench_up(&bench);
	for (i = 0; i < COUNT; i++)
		harness_publish_text(bench.sink, "a.b", "x");
	for (i = 0; i < COUNT; i++)
		peer_amqp_expect(bench.peer, BASIC_PUBLISH);
	for (i = 0; i + 1 < COUNT; i++) {
		harness_clock_advance(40000);
		peer_amqp_send(bench.peer, 1, BASIC_ACK, "qb", (uint64_t)i + 1, 0u);
		assert_true(harness_wait_completed(bench.sink, i + 1, XF_WAIT_MS));
		assert_int_equal(harness_result(bench.sink, i).code, XF_RESULT_STORED);
	}
	assert_int_equal(harness_state_count(bench.sink, XF_STATE_DOWN), 0);
	harness_clock_advance(100000);
	assert_true(harness_wait_completed(bench.sink, COUNT, XF_WAIT_MS));
	assert_int_equal(harness_result(bench.sink, COUNT - 1).code, XF_RESULT_UNKNOWN);
	assert_true(harness_wait_state(bench.sink, XF_STATE_DOWN, XF_WAIT_MS));
	bench_down(&bench);
}

/* A confirm that got lost is missed, though those of later messages come. */
static void
test_one_is_missing(void **state)
{
	struct bench bench;
	size_t i;

	(void)state;
	bench_up(&bench);
	for (i = 0; i < 3; i++)
		harness_publish_text(bench.sink, "a.b", "x");
	for (i = 0; i < 3; i++)
		peer_amqp_expect(bench.peer, BASIC_PUBLISH);
	for (i = 1; i < 3; i++) {
		harness_clock_advance(60000);
		peer_amqp_send(bench.peer, 1, BASIC_ACK, "qb", (uint64_t)i + 1, 0u);
	}
	assert_true(harness_wait_completed(bench.sink, 3, XF_WAIT_MS));
	assert_int_equal(harness_result(bench.sink, 0).code, XF_RESULT_UNKNOWN);
	bench_down(&bench);
}

/* A message that takes longer to leave than confirm_timeout, on a line that never stands still. */
static void
test_slow_line(void **state)
{
	struct xf_outgoing message = {.subject = {"a.b", 3}, .payload_size = SLOW_SIZE};
	struct bench bench;
	size_t read;

	(void)state;
	bench_up(&bench);
	message.payload = calloc(1, SLOW_SIZE);
	harness_publish(bench.sink, &message);
	for (read = 0; read + SLOW_STEP < SLOW_SIZE; read += SLOW_STEP) {
		peer_bytes(bench.peer, SLOW_STEP);
		harness_clock_advance(60000);
	}
	assert_int_equal(harness_state_count(bench.sink, XF_STATE_DOWN), 0);
	peer_amqp_send(bench.peer, 1, BASIC_ACK, "qb", (uint64_t)1, 0u);
	assert_true(harness_wait_completed(bench.sink, 1, XF_WAIT_MS));
	assert_int_equal(harness_result(bench.sink, 0).code, XF_RESULT_STORED);
	free((void *)(uintptr_t)message.payload);
	bench_down(&bench);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow_but_steady),
		cmocka_unit_test(test_one_is_missing),
		cmocka_unit_test(test_slow_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
