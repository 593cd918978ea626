/*
 * source.c - a stream that is played, and so does what no real one does when it is asked to: forgets to answer, or ends a
 * request in the middle.
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

#define CONSUMER_INFO "$JS.API.CONSUMER.INFO.S.D"
#define PULL "$JS.API.CONSUMER.MSG.NEXT.S.D"
#define PULL_SID 10u

struct bench {
	struct peer *peer;
	struct harness *harness;
	struct harness_endpoint *source;
};

/* The next question of setup.c about SUBJECT; those of sight.c go without an answer. */
static struct peer_message
question(struct peer *peer, const char *subject)
{
	for (;;) {
		struct peer_message message = peer_nats_message(peer, subject);

		if (strrchr(message.reply, '.') != NULL && strrchr(message.reply, '.')[1] == 'r')
			return message;
		peer_nats_message_fini(&message);
	}
}

static void
answer(struct peer *peer, const char *subject, const char *body)
{
	struct peer_message message = question(peer, subject);

	peer_nats_answer(peer, &message, body);
	peer_nats_message_fini(&message);
}

/* DELIVERED messages were, and none of them was acknowledged. */
static void
consumer_answer(struct peer *peer, unsigned delivered)
{
	char body[600];

	snprintf(body, sizeof(body),
	         "{\"created\":\"2026-01-01T00:00:00Z\",\"config\":{\"durable_name\":\"D\",\"ack_policy\":\"explicit\","
	         "\"ack_wait\":30000000000,\"max_deliver\":-1,\"max_ack_pending\":5000},\"delivered\":{\"consumer_seq\":%u,"
	         "\"stream_seq\":%u},\"ack_floor\":{\"consumer_seq\":0,\"stream_seq\":0},\"num_ack_pending\":%u,"
	         "\"num_waiting\":0}",
	         delivered, delivered, delivered);
	answer(peer, CONSUMER_INFO, body);
}

static void
walk(struct peer *peer, unsigned delivered)
{
	answer(peer, "$JS.API.STREAM.INFO.S", "{\"config\":{\"subjects\":[\"a.b\"]}}");
	consumer_answer(peer, delivered);
}

static void
bench_up(struct bench *bench)
{
	char url[64];

	bench->peer = peer_create();
	snprintf(url, sizeof(url), "url=nats://127.0.0.1:%u", peer_port(bench->peer));
	bench->harness = harness_open("nats", OPTIONS(url, "ping_interval=10m"));
	bench->source = harness_source(bench->harness, "r/from", "a.b", OPTIONS("stream=S", "durable=D"));
	peer_nats_welcome(bench->peer, "");
	walk(bench->peer, 0);
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
deliver(struct peer *peer, unsigned sequence, unsigned attempt)
{
	char reply[100];

	snprintf(reply, sizeof(reply), "$JS.ACK.S.D.%u.%u.%u.1700000000000000000.0", attempt, sequence, sequence);
	peer_nats_deliver(peer, PULL_SID, "a.b", reply, "x");
}

/* A request that nobody seems to have heard: what became of the consumer is looked up, not waited for in silence. */
static void
test_unheard(void **state)
{
	struct peer_message pull, asked;
	struct bench bench;

	(void)state;
	bench_up(&bench);
	pull = peer_nats_message(bench.peer, PULL);
	peer_nats_message_fini(&pull);
	harness_clock_advance(10000);
	walk(bench.peer, 0);
	pull = peer_nats_message(bench.peer, PULL);
	peer_nats_message_fini(&pull);
	deliver(bench.peer, 1, 1);
	assert_true(harness_wait_received(bench.source, 1, XF_WAIT_MS));

	/* And where that is not answered either, the connection is no use. */
	harness_clock_advance(10000);
	asked = question(bench.peer, "$JS.API.STREAM.INFO.S");
	peer_nats_message_fini(&asked);
	harness_clock_advance(10000);
	assert_true(harness_wait_state(bench.source, XF_STATE_DOWN, XF_WAIT_MS));
	bench_down(&bench);
}

/* The next word about SEQUENCE; it is BODY. */
static void
expect_word(struct peer *peer, unsigned sequence, const char *body)
{
	struct peer_message message = peer_nats_message(peer, "$JS.ACK.S.D.");
	char subject[60];

	snprintf(subject, sizeof(subject), "$JS.ACK.S.D.1.%u.", sequence);
	assert_memory_equal(message.subject, subject, strlen(subject));
	assert_string_equal(message.body, body);
	peer_nats_message_fini(&message);
}

/* What came beyond the credit is in our hands as much as what was emitted: the server is told in time, and when the consumer is
 * looked at anew, nothing is asked for again and nothing doubled. */
static void
test_held(void **state)
{
	static const char *const ids[] = {"S:1", "S:2", "S:3", "S:4"};
	struct peer_message pull;
	struct bench bench;
	unsigned i;

	(void)state;
	bench_up(&bench);
	pull = peer_nats_message(bench.peer, PULL);
	harness_window(bench.source, 0, 0);
	for (i = 1; i <= 3; i++)
		deliver(bench.peer, i, 1);
	/* The end of the request, after which it looks. */
	peer_say(bench.peer, "HMSG %s %u 31 31\r\nNATS/1.0 409 Consumer Moved\r\n\r\n\r\n", pull.reply, PULL_SID);
	peer_nats_message_fini(&pull);
	peer_say(bench.peer, "HMSG a %u 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", PULL_SID);
	walk(bench.peer, 3);
	harness_clock_advance(15001);
	for (i = 1; i <= 3; i++)
		expect_word(bench.peer, i, "+WPI");
	harness_window(bench.source, 100, 1 << 20);
	assert_true(harness_wait_received(bench.source, 3, XF_WAIT_MS));
	deliver(bench.peer, 4, 1);
	assert_true(harness_wait_received(bench.source, 4, XF_WAIT_MS));
	for (i = 0; i < 4; i++)
		assert_string_equal(harness_message(bench.source, i)->in.id.data, ids[i]);
	bench_down(&bench);
}

/* What was lost is put in order at the server before it is asked for: each message off its list of those to offer again, and on to
 * the end. What is in our hands, emitted or held, is only taken off. Then as many are asked for as were lost, whatever their size. */
static void
test_lost_in_order(void **state)
{
	static const char *off = "-NAK {\"delay\":30000000000}", *on = "-NAK";
	struct peer_message pull, last;
	struct bench bench;
	unsigned i;

	(void)state;
	bench_up(&bench);
	pull = peer_nats_message(bench.peer, PULL);
	peer_nats_message_fini(&pull);
	deliver(bench.peer, 1, 1);
	assert_true(harness_wait_received(bench.source, 1, XF_WAIT_MS));
	harness_window(bench.source, 0, 0);
	deliver(bench.peer, 2, 1);
	peer_hang_up(bench.peer);
	harness_window(bench.source, 100, 1 << 20);
	peer_nats_welcome(bench.peer, "");
	walk(bench.peer, 5);
	for (i = 1; i <= 105; i++) {
		expect_word(bench.peer, i, off);
		if (i > 2)
			expect_word(bench.peer, i, on);
	}
	last = peer_nats_message(bench.peer, "$JS.ACK.S.D.1.105.");
	assert_string_equal(last.body, on);
	peer_nats_answer(bench.peer, &last, "");
	peer_nats_message_fini(&last);
	pull = peer_nats_message(bench.peer, PULL);
	assert_non_null(strstr(pull.body, "\"batch\":3,"));
	assert_non_null(strstr(pull.body, "\"max_bytes\":1073741823"));
	peer_nats_message_fini(&pull);
	for (i = 3; i <= 5; i++)
		deliver(bench.peer, i, 2);
	assert_true(harness_wait_received(bench.source, 5, XF_WAIT_MS));
	pull = peer_nats_message(bench.peer, PULL);
	assert_null(strstr(pull.body, "\"max_bytes\":1073741823"));
	peer_nats_message_fini(&pull);
	for (i = 0; i < 5; i++)
		assert_int_equal(harness_message(bench.source, i)->in.attempt, i < 2 ? 1 : 2);
	bench_down(&bench);
}

static void
test_settings(void **state)
{
	struct harness *harness = harness_open("nats", OPTIONS("url=nats://127.0.0.1:1"));
	struct xf_error error = {{0}};

	(void)state;
	assert_null(harness_source_create(harness, "a", "a.b", OPTIONS("mode=core", "ephemeral=true"), &error));
	assert_string_equal(error.text, "ephemeral goes with 'mode: jetstream'");
	assert_null(harness_source_create(harness, "a", "a.b", OPTIONS("mode=core", "deliver_since=2h"), &error));
	assert_string_equal(error.text, "deliver goes with 'mode: jetstream'");
	harness_close(&harness);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unheard),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_lost_in_order),
		cmocka_unit_test(test_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
