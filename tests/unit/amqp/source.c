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

#define CHANNEL_OPEN PEER_AMQP(20, 10)
#define CHANNEL_OPEN_OK PEER_AMQP(20, 11)
#define CHANNEL_FLOW PEER_AMQP(20, 20)
#define CHANNEL_FLOW_OK PEER_AMQP(20, 21)
#define CHANNEL_CLOSE PEER_AMQP(20, 40)
#define CHANNEL_CLOSE_OK PEER_AMQP(20, 41)
#define QUEUE_DECLARE PEER_AMQP(50, 10)
#define QUEUE_DECLARE_OK PEER_AMQP(50, 11)
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
	unsigned consumers; /* that a look at the queue finds */
	unsigned looks;     /* that were answered */
};

/* Reads up to METHOD, and answers every look at the queue until then, that one among them. */
static void
expect(struct bench *bench, uint32_t method)
{
	uint32_t next;

	do {
		unsigned channel;

		next = peer_amqp_next(bench->peer, &channel);
		if (next == CHANNEL_OPEN)
			peer_amqp_send(bench->peer, channel, CHANNEL_OPEN_OK, "l", "");
		if (next == QUEUE_DECLARE) {
			peer_amqp_send(bench->peer, channel, QUEUE_DECLARE_OK, "sdd", "q", 0u, bench->consumers);
			assert_true(++bench->looks < 100); /* it does not look for ever */
		}
	} while (next != method);
}

static void
consumed(struct bench *bench)
{
	peer_amqp_send(bench->peer, 1, BASIC_QOS_OK, "");
	peer_amqp_send(bench->peer, 1, BASIC_CONSUME_OK, "s", "c");
	assert_true(harness_wait_state(bench->source, XF_STATE_UP, XF_WAIT_MS));
}

static void
consume_answer(struct bench *bench)
{
	expect(bench, BASIC_CONSUME);
	consumed(bench);
}

/* As after RabbitMQ's consumer_timeout, or when it refuses an ack: on the same connection it begins anew. */
static void
channel_close(struct bench *bench)
{
	peer_amqp_send(bench->peer, 1, CHANNEL_CLOSE, "wsd", 406u, "PRECONDITION_FAILED - timed out", 0u);
	expect(bench, CHANNEL_CLOSE_OK);
	assert_true(harness_wait_state(bench->source, XF_STATE_BLOCKED, XF_WAIT_MS));
}

static void
connect(struct bench *bench)
{
	char url[64];

	bench->peer = peer_create();
	snprintf(url, sizeof(url), "url=amqp://127.0.0.1:%u", peer_port(bench->peer));
	bench->harness = harness_open("amqp", OPTIONS(url, "heartbeat=10m"));
	bench->source = harness_source(bench->harness, "r/from", "q", NULL);
	peer_amqp_welcome(bench->peer, 600);
}

static void
bench_up(struct bench *bench)
{
	*bench = (struct bench){0};
	connect(bench);
	consume_answer(bench);
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
	expect(&bench, CHANNEL_CLOSE);
	assert_true(harness_wait_state(bench.source, XF_STATE_BLOCKED, XF_WAIT_MS));
	harness_settle(bench.source, 0, XF_SETTLE_ACK, 0);
	peer_amqp_send(bench.peer, 1, CHANNEL_CLOSE_OK, "");
	consume_answer(&bench);
	harness_settle(bench.source, 1, XF_SETTLE_ACK, 0);
	deliver(bench.peer, 1, "three");
	assert_true(harness_wait_received(bench.source, 3, XF_WAIT_MS));
	assert_string_equal(harness_message(bench.source, 2)->in.payload, "three");
	harness_settle(bench.source, 2, XF_SETTLE_ACK, 0);
	/* the first and only one */
	expect(&bench, BASIC_ACK);
	assert_false(peer_gone(bench.peer, 300));
	assert_int_equal(harness_state_count(bench.source, XF_STATE_DOWN), 0);
	bench_down(&bench);
}

static void
test_channel_closed(void **state)
{
	struct bench bench;

	(void)state;
	bench_up(&bench);
	deliver(bench.peer, 1, "one");
	peer_amqp_send(bench.peer, 1, BASIC_DELIVER, "sqbss", "c", (uint64_t)2, 0u, "", "q"); /* and never the rest of it */
	channel_close(&bench);
	consume_answer(&bench);
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

/* It has read all that was said. */
static void
heard(struct bench *bench)
{
	unsigned channel;

	peer_amqp_send(bench->peer, 1, CHANNEL_FLOW, "b", 1u);
	assert_int_equal(peer_amqp_next(bench->peer, &channel), CHANNEL_FLOW_OK);
}

/* MS later, with the clock held, it looks at the queue. */
static void
look_after(struct bench *bench, unsigned ms)
{
	unsigned channel;

	harness_clock_advance(ms);
	assert_int_equal(peer_amqp_next(bench->peer, &channel), QUEUE_DECLARE);
	peer_amqp_send(bench->peer, channel, QUEUE_DECLARE_OK, "sdd", "q", 0u, bench->consumers);
	heard(bench);
}

/* What its own consumer from before holds comes first, so that is waited for. */
static void
test_consumer_from_before(void **state)
{
	struct bench bench = {.consumers = 1};

	(void)state;
	harness_clock_hold(true);
	connect(&bench);
	expect(&bench, QUEUE_DECLARE);
	assert_true(harness_wait_state(bench.source, XF_STATE_BLOCKED, XF_WAIT_MS));
	assert_non_null(strstr(harness_state_reason(bench.source), "queue 'q' has another consumer"));
	look_after(&bench, 100);
	bench.consumers = 0;
	harness_clock_advance(100);
	consume_answer(&bench);
	harness_clock_hold(false);
	bench_down(&bench);
}

/* Those that stay are somebody else's. It begins two seconds after the last has gone, and waits for them no more when the channel
 * begins anew, but for one more it does. */
static void
test_others_consume(void **state)
{
	struct bench bench = {.consumers = 2};
	unsigned channel;

	(void)state;
	harness_clock_hold(true);
	connect(&bench);
	expect(&bench, QUEUE_DECLARE);
	assert_true(harness_wait_state(bench.source, XF_STATE_BLOCKED, XF_WAIT_MS));
	bench.consumers = 1;
	look_after(&bench, 1900);
	look_after(&bench, 1900);
	harness_clock_advance(100);
	bench.consumers = 2;
	consume_answer(&bench);
	expect(&bench, QUEUE_DECLARE);

	bench.consumers = 1;
	channel_close(&bench);
	harness_clock_advance(1000);
	expect(&bench, QUEUE_DECLARE);
	assert_int_equal(peer_amqp_next(bench.peer, &channel), BASIC_CONSUME);
	bench.consumers = 2;
	consumed(&bench);
	expect(&bench, QUEUE_DECLARE);

	channel_close(&bench);
	harness_clock_advance(1000);
	expect(&bench, QUEUE_DECLARE);
	heard(&bench);
	look_after(&bench, 100);
	bench.consumers = 1;
	harness_clock_advance(100);
	consume_answer(&bench);
	harness_clock_hold(false);
	bench_down(&bench);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_channel_closed),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_consumer_from_before),
		cmocka_unit_test(test_others_consume),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
