/*
 * requests.c - requests and replies on the core, with a server that is played: what comes to an inbox is not always a reply, and
 * a reply is not always what the server takes.
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

#define SID 10u /* of a source's subscription, and of the one that replies come to */
#define NUMBER 0xf123456789abcdefu

struct bench {
	struct peer *peer;
	struct harness *harness;
};

static void
bench_up(struct bench *bench)
{
	char url[64];

	bench->peer = peer_create();
	snprintf(url, sizeof(url), "url=nats://127.0.0.1:%u", peer_port(bench->peer));
	bench->harness = harness_open("nats", OPTIONS(url, "ping_interval=10m"));
	harness_requests(bench->harness, XF_WAIT_MS);
}

static void
bench_down(struct bench *bench, struct harness_endpoint *endpoint)
{
	peer_destroy(&bench->peer);
	harness_destroy(&endpoint);
	harness_close(&bench->harness);
}

/* Reads up to the line that begins with WORD. */
static const char *
line_with(struct peer *peer, const char *word)
{
	const char *line;

	do
		line = peer_line(peer);
	while (strncmp(line, word, strlen(word)) != 0);
	return line;
}

/* Only what has a number behind the sink's own name is a reply. */
static void
test_replies_have_a_number(void **state)
{
	static const char *const odd[] = {"", "x", "0", "17363992474021710318x", "173639924740217103189", "99999999999999999999999", "-1", "1.2"};
	struct xf_outgoing message = {.subject = {"a.b", 3}, .payload = "x", .payload_size = 1, .request = NUMBER};
	struct harness_endpoint *sink;
	struct peer_message asked;
	struct bench bench;
	char name[256];

	(void)state;
	bench_up(&bench);
	sink = harness_sink(bench.harness, "r/to", NULL, OPTIONS("mode=core"));
	peer_nats_welcome(bench.peer, "");
	harness_publish(sink, &message);
	asked = peer_nats_message(bench.peer, "a.b");
	assert_true(strncmp(asked.reply, "_INBOX.", 7) == 0);
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		snprintf(name, sizeof(name), "%.*s%s", (int)(strrchr(asked.reply, '.') + 1 - asked.reply), asked.reply, odd[i]);
		peer_nats_deliver(bench.peer, SID, name, "", "junk");
	}
	peer_nats_deliver(bench.peer, SID, asked.reply, "", "the reply");
	assert_true(harness_wait_replied(sink, 1, XF_WAIT_MS));
	assert_int_equal(harness_replied_at(sink, 0)->request, NUMBER);
	assert_memory_equal(harness_replied_at(sink, 0)->message->in.payload, "the reply", 9);
	peer_nats_message_fini(&asked);
	bench_down(&bench, sink);
}

/* A sink that may not subscribe to replies makes no requests, and says why. */
static void
test_inbox_is_refused(void **state)
{
	struct harness_endpoint *sink;
	struct bench bench;

	(void)state;
	bench_up(&bench);
	sink = harness_sink(bench.harness, "r/to", NULL, OPTIONS("mode=core"));
	peer_nats_welcome(bench.peer, "");
	assert_true(harness_wait_state(sink, XF_STATE_UP, XF_WAIT_MS));
	peer_say(bench.peer, "-ERR 'Permissions Violation for Subscription to \"_INBOX.x.*\"'\r\n");
	assert_true(harness_wait_state(sink, XF_STATE_DOWN, XF_WAIT_MS));
	assert_non_null(strstr(harness_state_reason(sink), "Permissions Violation for Subscription"));
	bench_down(&bench, sink);
}

/* What is larger than the server takes would cost the connection; what goes to the server itself might cost a stream. */
static void
test_replies_that_cannot_be_sent(void **state)
{
	static char large[2000];
	struct harness_endpoint *source;
	struct peer_message reply;
	struct bench bench;

	(void)state;
	memset(large, 'x', sizeof(large) - 1);
	bench_up(&bench);
	source = harness_source(bench.harness, "r/from", "a.b", OPTIONS("mode=core"));
	peer_nats_welcome(bench.peer, ",\"max_payload\":1000");
	line_with(bench.peer, "SUB a.b");
	line_with(bench.peer, "PING");
	peer_say(bench.peer, "PONG\r\n");
	assert_true(harness_wait_state(source, XF_STATE_UP, XF_WAIT_MS));
	peer_nats_deliver(bench.peer, SID, "a.b", "$JS.API.STREAM.PURGE.S", "1");
	peer_nats_deliver(bench.peer, SID, "a.b", "asker.1", "2");
	peer_nats_deliver(bench.peer, SID, "a.b", "asker.2", "3");
	assert_true(harness_wait_received(source, 3, XF_WAIT_MS));
	harness_reply_text(source, 0, "");
	harness_reply_text(source, 1, large);
	harness_reply_text(source, 2, "fits");
	reply = peer_nats_message(bench.peer, "");
	assert_string_equal(reply.subject, "asker.1");
	assert_non_null(strstr(reply.body, "Crossfade-Status: 500\r\n"));
	assert_non_null(strstr(reply.body, "{\"error\":\"the reply of 2"));
	peer_nats_message_fini(&reply);
	reply = peer_nats_message(bench.peer, "");
	assert_string_equal(reply.subject, "asker.2");
	assert_non_null(strstr(reply.body, "Content-Type: text/plain\r\n"));
	assert_non_null(strstr(reply.body, "\r\n\r\nfits"));
	peer_nats_message_fini(&reply);
	bench_down(&bench, source);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replies_have_a_number),
		cmocka_unit_test(test_inbox_is_refused),
		cmocka_unit_test(test_replies_that_cannot_be_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
