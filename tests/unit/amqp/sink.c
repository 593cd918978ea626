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

#define SLOW_STEPS 6
#define CHANNEL_OPEN PEER_AMQP(20, 10)
#define CHANNEL_OPEN_OK PEER_AMQP(20, 11)
#define CONFIRM_SELECT PEER_AMQP(85, 10)
#define CONFIRM_SELECT_OK PEER_AMQP(85, 11)
#define BASIC_PUBLISH PEER_AMQP(60, 40)
#define BASIC_RETURN PEER_AMQP(60, 50)
#define BASIC_ACK PEER_AMQP(60, 80)
#define BASIC_NACK PEER_AMQP(60, 120)
#define CHANNEL_FLOW PEER_AMQP(20, 20)
#define CHANNEL_FLOW_OK PEER_AMQP(20, 21)
#define CHANNEL_CLOSE PEER_AMQP(20, 40)
#define CHANNEL_CLOSE_OK PEER_AMQP(20, 41)
#define CONNECTION_CLOSE PEER_AMQP(10, 50)
#define CONNECTION_CLOSE_OK PEER_AMQP(10, 51)

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

/* What the kernel keeps for a sender at most; the peer's own buffer is small. */
static size_t
send_buffer_max(void)
{
	unsigned long max = 4u << 20;
	FILE *file = fopen("/proc/sys/net/ipv4/tcp_wmem", "r");

	if (file != NULL) {
		assert_int_equal(fscanf(file, "%*u %*u %lu", &max), 1);
		fclose(file);
	}
	return max;
}

/* A message that takes longer to leave than confirm_timeout, on a line that never stands still. */
static void
test_slow_line(void **state)
{
	const size_t step = send_buffer_max() + (2u << 20); /* some of it was written since the last */
	struct xf_outgoing message = {.subject = {"a.b", 3}, .payload_size = (SLOW_STEPS + 1) * step};
	struct bench bench;

	(void)state;
	bench_up(&bench);
	message.payload = calloc(1, message.payload_size);
	harness_publish(bench.sink, &message);
	for (unsigned i = 0; i < SLOW_STEPS; i++) {
		peer_bytes(bench.peer, step);
		harness_clock_advance(60000);
	}
	assert_int_equal(harness_state_count(bench.sink, XF_STATE_DOWN), 0);
	peer_amqp_send(bench.peer, 1, BASIC_ACK, "qb", (uint64_t)1, 0u);
	assert_true(harness_wait_completed(bench.sink, 1, XF_WAIT_MS));
	assert_int_equal(harness_result(bench.sink, 0).code, XF_RESULT_STORED);
	free((void *)(uintptr_t)message.payload);
	bench_down(&bench);
}

/* Without an id, as the headers of what comes back here have none. */
static void
publish_bare(struct harness_endpoint *sink, const char *subject, const char *text)
{
	const struct xf_outgoing message = {
		.subject = {subject, strlen(subject)}, .payload = text, .payload_size = strlen(text)};

	harness_publish(sink, &message);
}

/* A return that comes in pieces, and one acknowledgement for it and its neighbours; then a nack for many. */
static void
test_return_before_acks(void **state)
{
	struct bench bench;
	size_t i;

	(void)state;
	bench_up(&bench);
	for (i = 0; i < 6; i++)
		publish_bare(bench.sink, i == 1 ? "a.gone" : "a.b", "xy");
	for (i = 0; i < 6; i++)
		peer_amqp_expect(bench.peer, BASIC_PUBLISH);
	peer_amqp_send(bench.peer, 1, BASIC_RETURN, "wsss", 312u, "NO_ROUTE", "", "a.gone");
	peer_amqp_header(bench.peer, 1, 2);
	peer_amqp_frame(bench.peer, 3, 1, "x", 1);
	peer_amqp_frame(bench.peer, 8, 0, "", 0);
	peer_amqp_frame(bench.peer, 3, 1, "y", 1);
	peer_amqp_send(bench.peer, 1, BASIC_ACK, "qb", (uint64_t)3, 1u);
	assert_true(harness_wait_completed(bench.sink, 3, XF_WAIT_MS));
	assert_int_equal(harness_result(bench.sink, 0).code, XF_RESULT_STORED);
	assert_int_equal(harness_result(bench.sink, 1).code, XF_RESULT_NOT_SENT);
	assert_int_equal(harness_result(bench.sink, 2).code, XF_RESULT_STORED);
	peer_amqp_send(bench.peer, 1, BASIC_NACK, "qb", (uint64_t)5, 1u);
	peer_amqp_send(bench.peer, 1, BASIC_ACK, "qb", (uint64_t)0, 1u); /* all there are */
	assert_true(harness_wait_completed(bench.sink, 6, XF_WAIT_MS));
	assert_int_equal(harness_result(bench.sink, 3).code, XF_RESULT_NOT_SENT);
	assert_int_equal(harness_result(bench.sink, 4).code, XF_RESULT_NOT_SENT);
	assert_int_equal(harness_result(bench.sink, 5).code, XF_RESULT_STORED);
	assert_int_equal(harness_state_count(bench.sink, XF_STATE_DOWN), 0);
	bench_down(&bench);
}

/* What was returned is not stored, whether or not its acknowledgement came before the end. */
static void
test_cut_between_return_and_ack(void **state)
{
	struct bench bench;
	size_t i;

	(void)state;
	bench_up(&bench);
	for (i = 0; i < 2; i++)
		publish_bare(bench.sink, i == 1 ? "a.gone" : "a.b", "xy");
	for (i = 0; i < 2; i++)
		peer_amqp_expect(bench.peer, BASIC_PUBLISH);
	peer_amqp_send(bench.peer, 1, BASIC_RETURN, "wsss", 312u, "NO_ROUTE", "", "a.gone");
	peer_amqp_header(bench.peer, 1, 2);
	peer_amqp_frame(bench.peer, 3, 1, "xy", 2);
	peer_hang_up_last(bench.peer);
	assert_true(harness_wait_completed(bench.sink, 2, XF_WAIT_MS));
	assert_int_equal(harness_result(bench.sink, 0).code, XF_RESULT_UNKNOWN);
	assert_int_equal(harness_result(bench.sink, 1).code, XF_RESULT_NOT_SENT);
	bench_down(&bench);
}

/* The broker asks to publish no more, and later to go on. */
static void
test_flow(void **state)
{
	struct bench bench;

	(void)state;
	bench_up(&bench);
	peer_amqp_send(bench.peer, 1, CHANNEL_FLOW, "b", 0u);
	peer_amqp_expect(bench.peer, CHANNEL_FLOW_OK);
	assert_true(harness_wait_state(bench.sink, XF_STATE_BLOCKED, XF_WAIT_MS));
	harness_publish_text(bench.sink, "a.b", "x");
	assert_false(peer_gone(bench.peer, 300)); /* takes in all that would have come */
	assert_false(harness_result(bench.sink, 0).taken);
	peer_amqp_send(bench.peer, 1, CHANNEL_FLOW, "b", 1u);
	peer_amqp_expect(bench.peer, BASIC_PUBLISH);
	peer_amqp_send(bench.peer, 1, BASIC_ACK, "qb", (uint64_t)1, 0u);
	assert_true(harness_wait_completed(bench.sink, 1, XF_WAIT_MS));
	assert_true(harness_wait_state(bench.sink, XF_STATE_UP, XF_WAIT_MS));
	bench_down(&bench);
}

/* The channel and the connection are closed while things are prepared, and when messages are out. */
static void
test_closed_in_every_phase(void **state)
{
	struct bench bench;

	(void)state;
	bench_up(&bench);
	harness_publish_text(bench.sink, "a.b", "x");
	peer_amqp_expect(bench.peer, BASIC_PUBLISH);
	peer_amqp_send(bench.peer, 0, CONNECTION_CLOSE, "wsd", 320u, "CONNECTION_FORCED - restart", 0u);
	peer_amqp_expect(bench.peer, CONNECTION_CLOSE_OK);
	assert_true(harness_wait_completed(bench.sink, 1, XF_WAIT_MS));
	assert_int_equal(harness_result(bench.sink, 0).code, XF_RESULT_UNKNOWN);
	assert_true(harness_wait_state(bench.sink, XF_STATE_DOWN, XF_WAIT_MS));
	assert_non_null(strstr(harness_state_reason(bench.sink), "CONNECTION_FORCED"));

	/* while it is prepared: the connection stays, the channel is opened anew */
	peer_amqp_welcome(bench.peer, 600);
	peer_amqp_expect(bench.peer, CONFIRM_SELECT);
	peer_amqp_send(bench.peer, 1, CHANNEL_CLOSE, "wsd", 504u, "CHANNEL_ERROR", CHANNEL_OPEN);
	peer_amqp_expect(bench.peer, CHANNEL_CLOSE_OK);
	assert_true(harness_wait_state(bench.sink, XF_STATE_BLOCKED, XF_WAIT_MS));
	peer_amqp_expect(bench.peer, CONFIRM_SELECT);
	peer_amqp_send(bench.peer, 1, CHANNEL_OPEN_OK, "l", "");
	peer_amqp_send(bench.peer, 1, CONFIRM_SELECT_OK, "");
	assert_true(harness_wait_state(bench.sink, XF_STATE_UP, XF_WAIT_MS));

	/* over the only message that is out: that one did it */
	harness_publish_text(bench.sink, "a.b", "large");
	peer_amqp_expect(bench.peer, BASIC_PUBLISH);
	peer_amqp_send(bench.peer, 1, CHANNEL_CLOSE, "wsd", 406u, "PRECONDITION_FAILED - too large", BASIC_PUBLISH);
	assert_true(harness_wait_completed(bench.sink, 2, XF_WAIT_MS));
	assert_int_equal(harness_result(bench.sink, 1).code, XF_RESULT_REJECTED);
	broker_welcome(bench.peer);
	assert_true(harness_wait_state(bench.sink, XF_STATE_UP, XF_WAIT_MS));

	/* the connection while it is prepared, and one that is hung up on in the middle of a frame */
	peer_hang_up(bench.peer);
	peer_amqp_welcome(bench.peer, 600);
	peer_amqp_expect(bench.peer, CONFIRM_SELECT);
	peer_amqp_send(bench.peer, 0, CONNECTION_CLOSE, "wsd", 541u, "INTERNAL_ERROR", 0u);
	broker_welcome(bench.peer);
	assert_true(harness_wait_state(bench.sink, XF_STATE_UP, XF_WAIT_MS));
	peer_write(bench.peer, "\1\0\1\0\0", 5);
	peer_hang_up(bench.peer);
	broker_welcome(bench.peer);
	assert_true(harness_wait_state(bench.sink, XF_STATE_UP, XF_WAIT_MS));
	bench_down(&bench);
}

/* Whom the vhost is closed to knocks as seldom as who has the wrong password. */
static void
test_vhost_refused(void **state)
{
	struct bench bench;
	char url[64];

	(void)state;
	bench.peer = peer_create();
	snprintf(url, sizeof(url), "url=amqp://127.0.0.1:%u", peer_port(bench.peer));
	bench.harness = harness_open("amqp", OPTIONS(url));
	bench.sink = harness_sink(bench.harness, "r/to", NULL, NULL);
	peer_accept(bench.peer);
	peer_bytes(bench.peer, 8);
	peer_amqp_send(bench.peer, 0, PEER_AMQP(10, 10), "bblll", 0u, 9u, "", "PLAIN", "en_US");
	peer_amqp_expect(bench.peer, PEER_AMQP(10, 11));
	peer_amqp_send(bench.peer, 0, PEER_AMQP(10, 30), "wdw", 0u, 131072u, 60u);
	peer_amqp_expect(bench.peer, PEER_AMQP(10, 40));
	peer_amqp_send(bench.peer, 0, CONNECTION_CLOSE, "wsd", 530u, "NOT_ALLOWED - access to vhost '/' refused", 0u);
	assert_true(harness_wait_state_count(bench.sink, XF_STATE_DOWN, 1, XF_WAIT_MS));
	assert_non_null(strstr(harness_state_reason(bench.sink), "access to vhost"));
	assert_false(peer_wanted(bench.peer, 1200));
	bench_down(&bench);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow_but_steady),
		cmocka_unit_test(test_one_is_missing),
		cmocka_unit_test(test_slow_line),
		cmocka_unit_test(test_return_before_acks),
		cmocka_unit_test(test_cut_between_return_and_ack),
		cmocka_unit_test(test_flow),
		cmocka_unit_test(test_closed_in_every_phase),
		cmocka_unit_test(test_vhost_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
