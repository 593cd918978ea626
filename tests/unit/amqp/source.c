/*
 * source.c - a broker that is played: it takes the queue away, closes the channel, and sends messages in odd pieces.
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

#define CHANNEL_OPEN_OK PEER_AMQP(20, 11)
#define CHANNEL_CLOSE PEER_AMQP(20, 40)
#define CHANNEL_CLOSE_OK PEER_AMQP(20, 41)
#define BASIC_QOS_OK PEER_AMQP(60, 11)
#define BASIC_CONSUME PEER_AMQP(60, 20)
#define BASIC_CONSUME_OK PEER_AMQP(60, 21)
#define BASIC_CANCEL PEER_AMQP(60, 30)
#define BASIC_DELIVER PEER_AMQP(60, 60)
#define BASIC_ACK PEER_AMQP(60, 80)

struct bench {
	struct peer *peer;
	struct harness *harness;
	struct harness_endpoint *source;
};

static void
consume_answer(struct peer *peer)
{
	peer_amqp_expect(peer, BASIC_CONSUME);
	peer_amqp_send(peer, 1, CHANNEL_OPEN_OK, "l", "");
	peer_amqp_send(peer, 1, BASIC_QOS_OK, "");
	peer_amqp_send(peer, 1, BASIC_CONSUME_OK, "s", "c");
}

static void
bench_up(struct bench *bench)
{
	char url[64];

	bench->peer = peer_create();
	snprintf(url, sizeof(url), "url=amqp://127.0.0.1:%u", peer_port(bench->peer));
	bench->harness = harness_open("amqp", OPTIONS(url, "heartbeat=10m"));
	bench->source = harness_source(bench->harness, "r/from", "q", NULL);
	peer_amqp_welcome(bench->peer, 600);
	consume_answer(bench->peer);
	assert_true(harness_wait_state(bench->source, XF_STATE_UP, XF_WAIT_MS));
}

static void
bench_down(struct bench *bench)
{
	peer_destroy(&bench->peer);
	harness_destroy(&bench->source);
	harness_close(&bench->harness);
}

static void
deliver(struct peer *peer, uint64_t tag, const char *body)
{
	peer_amqp_send(peer, 1, BASIC_DELIVER, "sqbss", "c", tag, 0u, "", "q");
	peer_amqp_header(peer, 1, strlen(body));
	peer_amqp_frame(peer, 3, 1, body, strlen(body));
}

/* The queue is taken away while messages of it are out. Their settlements mean nothing on the channel that follows, whose
 * tags begin anew. */
static void
test_cancelled(void **state)
{
	struct bench bench;

	(void)state;
	bench_up(&bench);
	deliver(bench.peer, 1, "one");
	deliver(bench.peer, 2, "two");
	assert_true(harness_wait_received(bench.source, 2, XF_WAIT_MS));
	peer_amqp_send(bench.peer, 1, BASIC_CANCEL, "sb", "c", 1u);
	deliver(bench.peer, 3, "too late");
	peer_amqp_expect(bench.peer, CHANNEL_CLOSE);
	assert_true(harness_wait_state(bench.source, XF_STATE_BLOCKED, XF_WAIT_MS));
	harness_settle(bench.source, 0, XF_SETTLE_ACK, 0);
	peer_amqp_send(bench.peer, 1, CHANNEL_CLOSE_OK, "");
	consume_answer(bench.peer);
	assert_true(harness_wait_state(bench.source, XF_STATE_UP, XF_WAIT_MS));
	harness_settle(bench.source, 1, XF_SETTLE_ACK, 0);
	deliver(bench.peer, 1, "three");
	assert_true(harness_wait_received(bench.source, 3, XF_WAIT_MS));
	assert_string_equal(harness_message(bench.source, 2)->in.payload, "three");
	harness_settle(bench.source, 2, XF_SETTLE_ACK, 0);
	/* the first and only one */
	peer_amqp_expect(bench.peer, BASIC_ACK);
	assert_false(peer_gone(bench.peer, 300));
	assert_int_equal(harness_state_count(bench.source, XF_STATE_DOWN), 0);
	bench_down(&bench);
}

/* As after RabbitMQ's consumer_timeout, or when it refuses an ack: on the same connection it begins anew. */
static void
test_channel_closed(void **state)
{
	struct bench bench;

	(void)state;
	bench_up(&bench);
	deliver(bench.peer, 1, "one");
	peer_amqp_send(bench.peer, 1, BASIC_DELIVER, "sqbss", "c", (uint64_t)2, 0u, "", "q"); /* and never the rest of it */
	peer_amqp_send(bench.peer, 1, CHANNEL_CLOSE, "wsd", 406u, "PRECONDITION_FAILED - timed out", 0u);
	peer_amqp_expect(bench.peer, CHANNEL_CLOSE_OK);
	assert_true(harness_wait_state(bench.source, XF_STATE_BLOCKED, XF_WAIT_MS));
	consume_answer(bench.peer);
	assert_true(harness_wait_state(bench.source, XF_STATE_UP, XF_WAIT_MS));
	deliver(bench.peer, 1, "again");
	assert_true(harness_wait_received(bench.source, 2, XF_WAIT_MS));
	assert_string_equal(harness_message(bench.source, 1)->in.payload, "again");
	assert_int_equal(harness_state_count(bench.source, XF_STATE_DOWN), 0);
	bench_down(&bench);
}

/* A body in two frames with a heartbeat between them, and one byte at a time. */
static void
test_pieces(void **state)
{
	static const char frames[] = "\1\0\1\0\0\0\x12\0\x3c\0\x3c\1c\0\0\0\0\0\0\0\2\0\0\1q\xce"; /* deliver, tag 2 */
	struct bench bench;
	size_t i;

	(void)state;
	bench_up(&bench);
	peer_amqp_send(bench.peer, 1, BASIC_DELIVER, "sqbss", "c", (uint64_t)1, 0u, "", "q");
	peer_amqp_header(bench.peer, 1, 4);
	peer_amqp_frame(bench.peer, 3, 1, "ab", 2);
	peer_amqp_frame(bench.peer, 8, 0, "", 0);
	peer_amqp_frame(bench.peer, 3, 1, "cd", 2);
	assert_true(harness_wait_received(bench.source, 1, XF_WAIT_MS));
	assert_string_equal(harness_message(bench.source, 0)->in.payload, "abcd");
	for (i = 0; i < sizeof(frames) - 1; i++) {
		peer_write(bench.peer, frames + i, 1);
		harness_sleep_ms(1);
	}
	peer_amqp_header(bench.peer, 1, 0);
	assert_true(harness_wait_received(bench.source, 2, XF_WAIT_MS));
	assert_int_equal(harness_message(bench.source, 1)->in.payload_size, 0);
	bench_down(&bench);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_channel_closed),
		cmocka_unit_test(test_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
