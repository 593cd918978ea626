/*
 * publish.c - a server that is played, and so answers as slowly as the test wants.
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

/* The first word of the next command: *N, then for each word $LENGTH and the word. */
static void
command_read(struct peer *peer, char word[16])
{
	long words = strtol(peer_line(peer) + 1, NULL, 10);

	for (long i = 0; i < words; i++) {
		size_t len = strtoul(peer_line(peer) + 1, NULL, 10);
		const uint8_t *bytes = peer_bytes(peer, len + 2);

		if (i == 0)
			snprintf(word, 16, "%.*s", (int)len, (const char *)bytes);
	}
}

/* Up to the next PUBLISH. What is asked beside, no answer is known to. */
static void
publish_read(struct peer *peer)
{
	char word[16];

	for (command_read(peer, word); strcmp(word, "PUBLISH") != 0; command_read(peer, word))
		peer_say(peer, "-ERR no such thing\r\n");
}

/* In all they take longer than `timeout`, but one after the other they are answered. Then no more are. */
static void
test_slow_but_steady(void **state)
{
	enum { COUNT = 6 };
	struct peer *peer = peer_create();
	struct harness *harness;
	struct harness_endpoint *sink;
	char url[64], word[16];
	size_t i;

	(void)state;
	snprintf(url, sizeof(url), "url=redis://127.0.0.1:%u", peer_port(peer));
	harness = harness_open("redis", OPTIONS(url, "timeout=10m", "heartbeat=50s"));
	sink = harness_sink(harness, "r/to", NULL, NULL);
	peer_accept(peer);
	peer_say(peer, "-ERR\r\n+OK\r\n+PONG\r\n"); /* INFO, CLIENT SETNAME, PING */
	for (i = 0; i < 3; i++)
		command_read(peer, word);
	assert_true(harness_wait_state(sink, XF_STATE_UP, XF_WAIT_MS));
	for (i = 0; i < COUNT; i++)
		harness_publish_text(sink, "a.b", "x");
	for (i = 0; i + 1 < COUNT; i++) {
		publish_read(peer);
		harness_clock_advance(40000);
		peer_say(peer, ":1\r\n");
		assert_true(harness_wait_completed(sink, i + 1, XF_WAIT_MS));
		assert_int_equal(harness_result(sink, i).code, XF_RESULT_STORED);
	}
	assert_int_equal(harness_state_count(sink, XF_STATE_DOWN), 0);
	harness_clock_advance(100000);
	assert_true(harness_wait_completed(sink, COUNT, XF_WAIT_MS));
	assert_int_equal(harness_result(sink, COUNT - 1).code, XF_RESULT_UNKNOWN);
	assert_true(harness_wait_state(sink, XF_STATE_DOWN, XF_WAIT_MS));
	peer_destroy(&peer);
	harness_destroy(&sink);
	harness_close(&harness);
}

static void
publish_stored(struct peer *peer, struct harness_endpoint *sink, size_t count)
{
	harness_publish_text(sink, "a.b", "x");
	publish_read(peer);
	peer_say(peer, ":1\r\n");
	assert_true(harness_wait_completed(sink, count, XF_WAIT_MS));
}

/* Nothing has been heard for nearly a heartbeat when a question goes out: it is not given two more to be answered. */
static void
test_a_question_is_no_sign_of_life(void **state)
{
	struct peer *peer = peer_create();
	struct harness *harness;
	struct harness_endpoint *sink;
	char url[64], word[16];

	(void)state;
	snprintf(url, sizeof(url), "url=redis://127.0.0.1:%u", peer_port(peer));
	harness = harness_open("redis", OPTIONS(url, "timeout=10m", "heartbeat=5m"));
	sink = harness_sink(harness, "r/to", NULL, NULL);
	peer_accept(peer);
	peer_say(peer, "-ERR\r\n+OK\r\n+PONG\r\n"); /* INFO, CLIENT SETNAME, PING */
	for (int i = 0; i < 3; i++)
		command_read(peer, word);
	assert_true(harness_wait_state(sink, XF_STATE_UP, XF_WAIT_MS));
	publish_stored(peer, sink, 1);
	command_read(peer, word); /* the first question comes at once */
	peer_say(peer, "-ERR no such thing\r\n");
	publish_stored(peer, sink, 2);
	harness_clock_advance(290000);
	command_read(peer, word);
	assert_string_equal(word, "PUBSUB");
	harness_clock_advance(320000);
	assert_true(harness_wait_state(sink, XF_STATE_DOWN, XF_WAIT_MS));
	harness_destroy(&sink);
	harness_close(&harness);
	peer_destroy(&peer);
}

/* What nobody knows the meaning of gives no message up; what is the message's own fault does. */
static void
test_what_an_error_makes_of_a_message(void **state)
{
	static const struct {
		const char *reply;
		uint32_t code;
	} rows[] = {
		{"-upstream failure\r\n", XF_RESULT_NOT_SENT},
		{"-ERR max daily request limit exceeded\r\n", XF_RESULT_NOT_SENT},
		{"-ERR Elements are too large to be stored\r\n", XF_RESULT_REJECTED},
		{"-NOAUTH Authentication required.\r\n", XF_RESULT_NOT_SENT},
		{":1\r\n", XF_RESULT_STORED},
	};
	struct peer *peer = peer_create();
	struct harness *harness;
	struct harness_endpoint *sink;
	char url[64], word[16];

	(void)state;
	snprintf(url, sizeof(url), "url=redis://127.0.0.1:%u", peer_port(peer));
	harness = harness_open("redis", OPTIONS(url, "timeout=10m", "heartbeat=10m"));
	sink = harness_sink(harness, "r/to", NULL, NULL);
	peer_accept(peer);
	peer_say(peer, "-ERR\r\n+OK\r\n+PONG\r\n"); /* INFO, CLIENT SETNAME, PING */
	for (size_t i = 0; i < 3; i++)
		command_read(peer, word);
	assert_true(harness_wait_state(sink, XF_STATE_UP, XF_WAIT_MS));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		harness_publish_text(sink, "a.b", "x");
		publish_read(peer);
		peer_say(peer, "%s", rows[i].reply);
		assert_true(harness_wait_completed(sink, i + 1, XF_WAIT_MS));
		assert_int_equal(harness_result(sink, i).code, rows[i].code);
		if (rows[i].code == XF_RESULT_NOT_SENT)
			assert_true(harness_wait_state(sink, XF_STATE_BLOCKED, XF_WAIT_MS));
	}
	peer_hang_up(peer);
	harness_destroy(&sink);
	harness_close(&harness);
	peer_destroy(&peer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow_but_steady),
		cmocka_unit_test(test_a_question_is_no_sign_of_life),
		cmocka_unit_test(test_what_an_error_makes_of_a_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
