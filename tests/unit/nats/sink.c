/*
 * sink.c - a server that is played, and so does what no real one does when it is asked to: confirms slowly, or not, or
 * something else.
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
#define ACK "{\"stream\":\"S\",\"seq\":1}"

struct bench {
	struct peer *peer;
	struct harness *harness;
	struct harness_endpoint *sink;
};

/* Timeouts are long, and the clock is turned: a machine that is slow does not look like a server that is. */
static void
bench_up(struct bench *bench, const char *mode, const char *info)
{
	char url[64], option[32];

	bench->peer = peer_create();
	snprintf(url, sizeof(url), "url=nats://127.0.0.1:%u", peer_port(bench->peer));
	snprintf(option, sizeof(option), "mode=%s", mode);
	bench->harness = harness_open("nats", OPTIONS(url, "publish_timeout=100s", "ping_interval=10m"));
	bench->sink = harness_sink(bench->harness, "r/to", NULL, OPTIONS(option));
	peer_nats_welcome(bench->peer, info);
	assert_true(harness_wait_state(bench->sink, XF_STATE_UP, XF_WAIT_MS));
}

static void
bench_down(struct bench *bench)
{
	peer_hang_up(bench->peer);
	harness_destroy(&bench->sink);
	harness_close(&bench->harness);
	peer_destroy(&bench->peer);
}

/* In all they take longer than publish_timeout, but one after the other they are confirmed. Then no more are. */
static void
test_slow_but_steady(void **state)
{
	enum { COUNT = 6 };
	struct peer_message message[COUNT];
	struct bench bench;
	size_t i;

	(void)state;
	bench_up(&bench, "jetstream", "");
	for (i = 0; i < COUNT; i++)
		harness_publish_text(bench.sink, "a.b", "x");
	for (i = 0; i < COUNT; i++)
		message[i] = peer_nats_message(bench.peer, "a.b");
	for (i = 0; i + 1 < COUNT; i++) {
		harness_clock_advance(40000);
		peer_nats_answer(bench.peer, &message[i], ACK);
		assert_true(harness_wait_completed(bench.sink, i + 1, XF_WAIT_MS));
		assert_int_equal(harness_result(bench.sink, i).code, XF_RESULT_STORED);
	}
	assert_int_equal(harness_state_count(bench.sink, XF_STATE_DOWN), 0);
	harness_clock_advance(100000);
	assert_true(harness_wait_completed(bench.sink, COUNT, XF_WAIT_MS));
	assert_int_equal(harness_result(bench.sink, COUNT - 1).code, XF_RESULT_UNKNOWN);
	assert_true(harness_wait_state(bench.sink, XF_STATE_DOWN, XF_WAIT_MS));
	for (i = 0; i < COUNT; i++)
		peer_nats_message_fini(&message[i]);
	bench_down(&bench);
}

/* A confirmation that got lost is missed, though those of later messages come. */
static void
test_one_is_missing(void **state)
{
	struct peer_message message[3];
	struct bench bench;
	size_t i;

	(void)state;
	bench_up(&bench, "jetstream", "");
	for (i = 0; i < 3; i++)
		harness_publish_text(bench.sink, "a.b", "x");
	for (i = 0; i < 3; i++)
		message[i] = peer_nats_message(bench.peer, "a.b");
	for (i = 1; i < 3; i++) {
		harness_clock_advance(60000);
		peer_nats_answer(bench.peer, &message[i], ACK);
	}
	assert_true(harness_wait_completed(bench.sink, 3, XF_WAIT_MS));
	assert_int_equal(harness_result(bench.sink, 0).code, XF_RESULT_UNKNOWN);
	for (i = 0; i < 3; i++)
		peer_nats_message_fini(&message[i]);
	bench_down(&bench);
}

/* A message that takes longer to leave than publish_timeout, on a line that never stands still. */
static void
test_slow_line(void **state)
{
	struct xf_outgoing message = {.subject = {"a.b", 3}, .payload_size = SLOW_SIZE};
	struct peer_message last;
	struct bench bench;
	size_t read;

	(void)state;
	bench_up(&bench, "jetstream", "");
	message.payload = calloc(1, SLOW_SIZE);
	harness_publish(bench.sink, &message);
	harness_publish_text(bench.sink, "a.c", "x");
	for (read = 0; read + SLOW_STEP < SLOW_SIZE; read += SLOW_STEP) {
		peer_bytes(bench.peer, SLOW_STEP);
		harness_clock_advance(60000);
	}
	assert_int_equal(harness_completed(bench.sink), 0);
	assert_int_equal(harness_state_count(bench.sink, XF_STATE_DOWN), 0);
	last = peer_nats_message(bench.peer, "a.c");
	peer_nats_answer(bench.peer, &last, ACK);
	assert_true(harness_wait_completed(bench.sink, 1, XF_WAIT_MS));
	peer_nats_message_fini(&last);
	free((void *)(uintptr_t)message.payload);
	bench_down(&bench);
}

/* Half open: nothing under way, and the server says nothing any more. Told within two intervals, and not before it was
 * asked and had one of them to answer. */
static void
test_silence(void **state)
{
	struct peer_message message;
	struct bench bench;

	(void)state;
	bench_up(&bench, "jetstream", "");
	harness_clock_advance(590000);
	assert_false(peer_gone(bench.peer, 100));
	harness_clock_advance(20000);
	while (strcmp(peer_line(bench.peer), "PING") != 0)
		;
	assert_int_equal(harness_state_count(bench.sink, XF_STATE_DOWN), 0);
	harness_clock_advance(600000);
	assert_true(harness_wait_state(bench.sink, XF_STATE_DOWN, XF_WAIT_MS));
	bench_down(&bench);

	/* It was us who were away: it has its time all the same. */
	bench_up(&bench, "jetstream", "");
	harness_clock_advance(3000000);
	while (strcmp(peer_line(bench.peer), "PING") != 0)
		;
	peer_say(bench.peer, "PONG\r\n");
	harness_publish_text(bench.sink, "a.b", "x");
	message = peer_nats_message(bench.peer, "a.b");
	peer_nats_answer(bench.peer, &message, ACK);
	assert_true(harness_wait_completed(bench.sink, 1, XF_WAIT_MS));
	assert_int_equal(harness_state_count(bench.sink, XF_STATE_DOWN), 0);
	peer_nats_message_fini(&message);
	bench_down(&bench);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow_but_steady),
		cmocka_unit_test(test_one_is_missing),
		cmocka_unit_test(test_slow_line),
		cmocka_unit_test(test_silence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
