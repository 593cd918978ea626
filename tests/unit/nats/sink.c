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
	peer_destroy(&bench->peer);
	harness_destroy(&bench->sink);
	harness_close(&bench->harness);
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

/* Who serves requests on the subject is no stream: neither a confirmation nor a refusal. */
static void
test_stranger_answers(void **state)
{
	struct peer_message message;
	struct bench bench;

	(void)state;
	bench_up(&bench, "jetstream", "");
	harness_publish_text(bench.sink, "a.b", "x");
	message = peer_nats_message(bench.peer, "a.b");
	peer_nats_answer(bench.peer, &message, "+OK");
	peer_nats_answer(bench.peer, &message, "{\"answer\":42}");
	peer_nats_answer(bench.peer, &message, ACK);
	assert_true(harness_wait_completed(bench.sink, 1, XF_WAIT_MS));
	assert_int_equal(harness_result(bench.sink, 0).code, XF_RESULT_STORED);
	assert_int_equal(harness_state_count(bench.sink, XF_STATE_BLOCKED), 0);
	assert_int_equal(harness_log_count(bench.sink, XF_LOG_WARN), 1);
	peer_nats_message_fini(&message);
	bench_down(&bench);
}

/* To the byte, headers included. */
static void
test_max_payload(void **state)
{
	static const struct xf_header headers[] = {{{"a", 1}, {"bc", 2}}, {{"Nats-Rollup", 11}, {"all", 3}}};
	static const char bytes[1000];
	/* "NATS/1.0", "Nats-Msg-Id: i", "Content-Type: t", "Crossfade-Reply: r" and "a: bc", with CR LF, and the empty line */
	const uint64_t fits = 1000 - (10 + 16 + 17 + 20 + 7 + 2);
	struct xf_outgoing message = {
		.subject = {"a.b", 3}, .dedup_id = {"i", 1}, .content_type = {"t", 1}, .reply = {"r", 1},
		.headers = headers, .header_count = 2, .payload = bytes, .payload_size = fits,
	};
	struct peer_message got;
	struct bench bench;

	(void)state;
	bench_up(&bench, "jetstream", ",\"max_payload\":1000");
	harness_publish(bench.sink, &message);
	got = peer_nats_message(bench.peer, "a.b");
	peer_nats_answer(bench.peer, &got, ACK);
	peer_nats_message_fini(&got);
	message.payload_size = fits + 1;
	harness_publish(bench.sink, &message);
	assert_true(harness_wait_completed(bench.sink, 2, XF_WAIT_MS));
	assert_int_equal(harness_result(bench.sink, 0).code, XF_RESULT_STORED);
	assert_int_equal(harness_result(bench.sink, 1).code, XF_RESULT_REJECTED);

	/* The server changes its mind. */
	peer_say(bench.peer, "INFO {\"max_payload\":2000}\r\nPING\r\n");
	while (strcmp(peer_line(bench.peer), "PONG") != 0)
		;
	harness_publish(bench.sink, &message);
	got = peer_nats_message(bench.peer, "a.b");
	peer_nats_answer(bench.peer, &got, ACK);
	peer_nats_message_fini(&got);
	assert_true(harness_wait_completed(bench.sink, 3, XF_WAIT_MS));
	assert_int_equal(harness_result(bench.sink, 2).code, XF_RESULT_STORED);
	bench_down(&bench);
}

/* What only this user may not send cuts the connection, and says so only then. It must not come again for ever. */
static void
test_too_large_for_us(void **state)
{
	static const char bytes[5000];
	struct xf_outgoing message = {.subject = {"a.b", 3}, .payload = bytes, .payload_size = sizeof(bytes)};
	struct peer_message got;
	struct bench bench;

	(void)state;
	bench_up(&bench, "jetstream", "");
	harness_publish_text(bench.sink, "a.a", "x");
	harness_publish(bench.sink, &message);
	harness_publish_text(bench.sink, "a.c", "x");
	got = peer_nats_message(bench.peer, "a.c");
	peer_nats_message_fini(&got);
	peer_say(bench.peer, "-ERR 'Maximum Payload Violation'\r\n");
	assert_true(harness_wait_completed(bench.sink, 3, XF_WAIT_MS));
	assert_int_equal(harness_result(bench.sink, 0).code, XF_RESULT_UNKNOWN);
	assert_int_equal(harness_result(bench.sink, 1).code, XF_RESULT_REJECTED);
	assert_int_equal(harness_result(bench.sink, 2).code, XF_RESULT_UNKNOWN);
	bench_down(&bench);
}

/* A permission is missing, for a subject as long as it can be. */
static void
test_long_subject_refused(void **state)
{
	struct peer_message got;
	char subject[1001];
	struct bench bench;

	(void)state;
	memset(subject, 'a', sizeof(subject) - 1);
	subject[sizeof(subject) - 1] = '\0';
	bench_up(&bench, "jetstream", "");
	harness_publish_text(bench.sink, subject, "x");
	got = peer_nats_message(bench.peer, "aaa");
	peer_nats_message_fini(&got);
	peer_say(bench.peer, "-ERR 'Permissions Violation for Publish to \"%s\"'\r\n", subject);
	assert_true(harness_wait_completed(bench.sink, 1, XF_WAIT_MS));
	assert_int_equal(harness_result(bench.sink, 0).code, XF_RESULT_NOT_SENT);
	assert_true(harness_wait_state(bench.sink, XF_STATE_BLOCKED, XF_WAIT_MS));
	assert_int_equal(harness_state_count(bench.sink, XF_STATE_DOWN), 0);
	bench_down(&bench);
}

/* Longer than the line that a server reads: refused here, since the server would cut the connection. */
static void
test_long_line(void **state)
{
	struct xf_outgoing message = {0};
	struct peer_message got;
	struct bench bench;
	char text[4100];

	(void)state;
	memset(text, 'a', sizeof(text));
	bench_up(&bench, "core", "");
	message.subject = (struct xf_str){text, 1000};
	message.reply = (struct xf_str){text, 3090};
	harness_publish(bench.sink, &message);
	message.subject = (struct xf_str){text, 4095};
	message.reply.len = 0;
	harness_publish(bench.sink, &message);
	harness_publish_text(bench.sink, "b.a", "x");
	got = peer_nats_message(bench.peer, "");
	assert_string_equal(got.subject, "b.a");
	peer_nats_message_fini(&got);
	while (strcmp(peer_line(bench.peer), "PING") != 0)
		;
	peer_say(bench.peer, "PONG\r\n");
	assert_true(harness_wait_completed(bench.sink, 3, XF_WAIT_MS));
	assert_int_equal(harness_result(bench.sink, 0).code, XF_RESULT_REJECTED);
	assert_int_equal(harness_result(bench.sink, 1).code, XF_RESULT_REJECTED);
	assert_int_equal(harness_result(bench.sink, 2).code, XF_RESULT_STORED);
	bench_down(&bench);
}

/* Who is not let in does not knock every second. */
static void
test_login_refused(void **state)
{
	struct bench bench;
	char url[64];

	(void)state;
	bench.peer = peer_create();
	snprintf(url, sizeof(url), "url=nats://127.0.0.1:%u", peer_port(bench.peer));
	bench.harness = harness_open("nats", OPTIONS(url));
	bench.sink = harness_sink(bench.harness, "r/to", NULL, NULL);
	peer_accept(bench.peer);
	peer_say(bench.peer, "INFO {\"headers\":true}\r\n");
	while (strcmp(peer_line(bench.peer), "PING") != 0)
		;
	peer_say(bench.peer, "-ERR 'Authorization Violation'\r\n");
	assert_true(harness_wait_state_count(bench.sink, XF_STATE_DOWN, 1, XF_WAIT_MS));
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
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_stranger_answers),
		cmocka_unit_test(test_max_payload),
		cmocka_unit_test(test_too_large_for_us),
		cmocka_unit_test(test_long_subject_refused),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_login_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
