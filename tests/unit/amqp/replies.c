/*
 * replies.c - a source's replies, with a broker that is played: a request is acknowledged once its reply is confirmed, and comes again
 * where that cannot be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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
#define BASIC_PUBLISH PEER_AMQP(60, 40)
#define BASIC_DELIVER PEER_AMQP(60, 60)
#define BASIC_ACK PEER_AMQP(60, 80)
#define BASIC_NACK PEER_AMQP(60, 120)
#define REPLY_CHANNEL 2u

struct bench {
	struct peer *peer;
	struct harness *harness;
	struct harness_endpoint *source;
};

/* The next method that is about no look at the queue; those are answered. */
static uint32_t
next(struct bench *bench, unsigned *channel)
{
	uint32_t method;

	for (;;) {
		method = peer_amqp_next(bench->peer, channel);
		if (method == CHANNEL_OPEN && *channel != 1)
			peer_amqp_send(bench->peer, *channel, CHANNEL_OPEN_OK, "l", "");
		else if (method == QUEUE_DECLARE)
			peer_amqp_send(bench->peer, *channel, QUEUE_DECLARE_OK, "sdd", "q", 0u, 0u);
		else
			return method;
	}
}

static void
expect(struct bench *bench, uint32_t method, unsigned channel)
{
	unsigned used;

	while (next(bench, &used) != method)
		;
	assert_int_equal(used, channel);
}

/* All that was said and asked for has been done; nothing was written but the answer to this. */
static void
quiet(struct bench *bench)
{
	unsigned channel;

	peer_amqp_send(bench->peer, 1, CHANNEL_FLOW, "b", 1u);
	assert_int_equal(next(bench, &channel), CHANNEL_FLOW_OK);
}

/* UP, with a request at work that was replied to and acknowledged. */
static void
bench_up(struct bench *bench)
{
	static const uint8_t header[] = {0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 5, 'a', 's', 'k', 'e', 'r'};
	char url[64];

	bench->peer = peer_create();
	snprintf(url, sizeof(url), "url=amqp://127.0.0.1:%u", peer_port(bench->peer));
	bench->harness = harness_open("amqp", OPTIONS(url, "heartbeat=10m"));
	harness_requests(bench->harness, XF_WAIT_MS);
	bench->source = harness_source(bench->harness, "r/from", "q", NULL);
	peer_amqp_welcome(bench->peer, 600);
	expect(bench, BASIC_CONSUME, 1);
	peer_amqp_send(bench->peer, 1, BASIC_QOS_OK, "");
	peer_amqp_send(bench->peer, 1, BASIC_CONSUME_OK, "s", "c");
	peer_amqp_send(bench->peer, 1, BASIC_DELIVER, "sqbss", "c", (uint64_t)1, 0u, "", "q");
	peer_amqp_frame(bench->peer, 2, 1, header, sizeof(header));
	peer_amqp_frame(bench->peer, 3, 1, "x", 1);
	assert_true(harness_wait_received(bench->source, 1, XF_WAIT_MS));
	harness_reply_text(bench->source, 0, "the reply");
	harness_settle(bench->source, 0, XF_SETTLE_ACK, 0);
	assert_true(harness_wait_settled(bench->source, XF_WAIT_MS));
	expect(bench, BASIC_PUBLISH, REPLY_CHANNEL);
	quiet(bench);
}

static void
bench_down(struct bench *bench)
{
	peer_destroy(&bench->peer);
	harness_destroy(&bench->source);
	harness_close(&bench->harness);
}

static void
test_ack_waits_for_the_confirm(void **state)
{
	struct bench bench;

	(void)state;
	bench_up(&bench);
	peer_amqp_send(bench.peer, REPLY_CHANNEL, BASIC_ACK, "qb", (uint64_t)1, 0u);
	expect(&bench, BASIC_ACK, 1);
	bench_down(&bench);
}

/* A second later the request goes back into its queue. */
static void
assert_comes_again(struct bench *bench)
{
	quiet(bench);
	harness_clock_advance(1000);
	expect(bench, BASIC_NACK, 1);
	bench_down(bench);
}

static void
test_refused_reply(void **state)
{
	struct bench bench;

	(void)state;
	bench_up(&bench);
	peer_amqp_send(bench.peer, REPLY_CHANNEL, BASIC_NACK, "qb", (uint64_t)1, 0u);
	assert_comes_again(&bench);
}

static void
test_refused_channel(void **state)
{
	struct bench bench;

	(void)state;
	bench_up(&bench);
	peer_amqp_send(bench.peer, REPLY_CHANNEL, CHANNEL_CLOSE, "wsd", 403u, "ACCESS_REFUSED", 0u);
	expect(&bench, CHANNEL_CLOSE_OK, REPLY_CHANNEL);
	assert_comes_again(&bench);
}

/* Confirms that are missing, and those of nothing, cost the connection. */
static void
test_confirms_that_make_no_sense(void **state)
{
	struct bench bench;

	(void)state;
	bench_up(&bench);
	harness_clock_advance(40000);
	assert_true(harness_wait_state(bench.source, XF_STATE_DOWN, XF_WAIT_MS));
	assert_non_null(strstr(harness_state_reason(bench.source), "has not confirmed a reply"));
	bench_down(&bench);

	bench_up(&bench);
	peer_amqp_send(bench.peer, REPLY_CHANNEL, BASIC_ACK, "qb", (uint64_t)2, 0u);
	assert_true(harness_wait_state(bench.source, XF_STATE_DOWN, XF_WAIT_MS));
	assert_non_null(strstr(harness_state_reason(bench.source), "confirmed what was never published"));
	bench_down(&bench);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ack_waits_for_the_confirm),
		cmocka_unit_test(test_refused_reply),
		cmocka_unit_test(test_refused_channel),
		cmocka_unit_test(test_confirms_that_make_no_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
