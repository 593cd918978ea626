/*
 * nats_core.c - the nats plugin without a stream: what is passed on, to whom, and on which server.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker.h"
#include "harness.h"
#include "wait.h"

#define WAIT_MS XF_WAIT_MS
#define CORE OPTIONS("mode=core")

static struct xf_str
str(const char *text)
{
	return (struct xf_str){text, strlen(text)};
}

static const char *
url_option(const struct xf_broker *broker)
{
	static char texts[8][160];
	static unsigned next;
	char *text = texts[next++ % 8];

	snprintf(text, sizeof(texts[0]), "url=%s", xf_broker_url(broker));
	return text;
}

static struct harness_endpoint *
source_up(struct harness *harness, const char *subject, const char *const *options)
{
	struct harness_endpoint *source = harness_source(harness, "c/from", subject, options);

	if (!harness_wait_state(source, XF_STATE_UP, WAIT_MS))
		fail_msg("not UP: %s", harness_state_reason(source));
	harness_settle_auto(source, XF_SETTLE_ACK, true);
	return source;
}

static struct harness_endpoint *
sink_up(struct harness *harness, const char *const *options)
{
	struct harness_endpoint *sink = harness_sink(harness, "c/to", NULL, options);

	if (!harness_wait_state(sink, XF_STATE_UP, WAIT_MS))
		fail_msg("not UP: %s", harness_state_reason(sink));
	return sink;
}

static bool
wait_received_by_two(struct harness_endpoint *one, struct harness_endpoint *two, size_t count)
{
	uint64_t until = harness_now_ms() + WAIT_MS;

	while (harness_received(one) + harness_received(two) < count && harness_now_ms() < until)
		harness_sleep_ms(20);
	return harness_received(one) + harness_received(two) == count;
}

/* A group shares; whoever is in none gets all. */
static void
test_groups(void **state)
{
	enum { COUNT = 2000 };
	struct xf_broker *broker = xf_broker_start("nats", NULL);
	struct harness *harness = harness_open("nats", OPTIONS(url_option(broker)));
	struct harness_endpoint *one = source_up(harness, "c.*", OPTIONS("mode=core", "group=g"));
	struct harness_endpoint *two = source_up(harness, "c.*", OPTIONS("mode=core", "group=g"));
	struct harness_endpoint *all = source_up(harness, "c.>", CORE);
	struct harness_endpoint *sink = sink_up(harness, CORE);
	char text[32];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT; i++) {
		snprintf(text, sizeof(text), "%zu", i);
		harness_publish_text(sink, "c.a", text);
	}
	assert_true(harness_wait_completed(sink, COUNT, WAIT_MS));
	assert_int_equal(harness_completed_as(sink, XF_RESULT_STORED), COUNT);
	assert_true(wait_received_by_two(one, two, COUNT));
	assert_true(harness_received(one) > 100 && harness_received(two) > 100);
	assert_true(harness_wait_received(all, COUNT, WAIT_MS));
	for (i = 0; i < COUNT; i++)
		assert_int_equal(atoi(harness_message(all, i)->in.payload), i);
	harness_destroy(&sink);
	harness_destroy(&all);
	harness_destroy(&two);
	harness_destroy(&one);
	harness_close(&harness);
	xf_broker_destroy(&broker);
}

/* UP is told once the server has the subscription: nothing published after it is missed. */
static void
test_up_is_subscribed(void **state)
{
	struct xf_broker *broker = xf_broker_start("nats", NULL);
	struct harness *harness = harness_open("nats", OPTIONS(url_option(broker)));
	struct harness_endpoint *sink = sink_up(harness, CORE);

	(void)state;
	for (unsigned i = 0; i < 30; i++) {
		struct harness_endpoint *source = source_up(harness, "c.now", CORE);

		harness_publish_text(sink, "c.now", "x");
		assert_true(harness_wait_received(source, 1, WAIT_MS));
		harness_destroy(&source);
	}
	harness_destroy(&sink);
	harness_close(&harness);
	xf_broker_destroy(&broker);
}

/* Headers, content type and reply are the message's own; a message without a reply has none. */
static void
test_fields(void **state)
{
	struct xf_broker *broker = xf_broker_start("nats", NULL);
	struct harness *harness = harness_open("nats", OPTIONS(url_option(broker)));
	struct harness_endpoint *source = source_up(harness, "c.*", CORE);
	struct harness_endpoint *sink = sink_up(harness, CORE);
	struct xf_header headers[] = {{str("X-Color"), str("red")}, {str("X-Color"), str("blue")},
	                              {str("Crossfade-Id"), str("id-1")}, {str("Nats-Rollup"), str("all")}};
	struct xf_outgoing message = {
		.subject = str("c.a"), .id = str("id-1"), .dedup_id = str("id-1"), .reply = str("answers.here"),
		.content_type = str("text/plain"), .headers = headers, .header_count = 4, .payload = "x", .payload_size = 1,
	};
	const struct harness_message *got;

	(void)state;
	harness_publish(sink, &message);
	harness_publish_text(sink, "c.b", "");
	assert_true(harness_wait_received(source, 2, WAIT_MS));
	got = harness_message(source, 0);
	assert_string_equal(got->in.id.data, "id-1");
	assert_string_equal(got->in.reply.data, "answers.here");
	assert_string_equal(got->in.content_type.data, "text/plain");
	assert_string_equal(harness_header(got, "X-Color"), "red");
	assert_null(harness_header(got, "Nats-Rollup"));
	assert_int_equal(harness_message(source, 1)->in.reply.len, 0);
	assert_int_equal(harness_message(source, 1)->in.payload_size, 0);
	harness_destroy(&sink);
	harness_destroy(&source);
	harness_close(&harness);
	xf_broker_destroy(&broker);
}

static void
test_no_receiver(void **state)
{
	struct xf_broker *broker = xf_broker_start("nats", NULL);
	struct harness *harness = harness_open("nats", OPTIONS(url_option(broker)));
	struct harness_endpoint *source = source_up(harness, "c.heard", CORE);
	struct harness_endpoint *plain = sink_up(harness, CORE);
	struct harness_endpoint *asking = sink_up(harness, OPTIONS("mode=core", "no_receiver=true"));
	struct xf_error error = {{0}};
	size_t i;

	(void)state;
	for (i = 0; i < 600; i++)
		harness_publish_text(asking, i % 2 == 0 ? "c.heard" : "c.unheard", "x");
	harness_publish_text(plain, "c.unheard", "x");
	assert_true(harness_wait_completed(asking, 600, WAIT_MS));
	assert_true(harness_wait_completed(plain, 1, WAIT_MS));
	for (i = 0; i < 600; i++) {
		assert_int_equal(harness_result(asking, i).code, XF_RESULT_STORED);
		assert_int_equal(harness_result(asking, i).flags, i % 2 == 0 ? 0 : XF_RESULT_NO_RECEIVER);
	}
	assert_int_equal(harness_result(plain, 0).flags, 0);
	assert_true(harness_wait_received(source, 300, WAIT_MS));
	assert_null(harness_sink_create(harness, "c/js", NULL, OPTIONS("no_receiver=true"), &error));
	assert_non_null(strstr(error.text, "mode: core"));
	harness_destroy(&asking);
	harness_destroy(&plain);
	harness_destroy(&source);
	harness_close(&harness);
	xf_broker_destroy(&broker);
}

static void
config_write(const char *dir, const char *text)
{
	char path[400];
	FILE *file;

	snprintf(path, sizeof(path), "%s/nats.conf", dir);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* What a user may not do is BLOCKED, with the server's words, until it may. */
static void
test_permissions(void **state)
{
	char *dir = xf_temp_create("nats-permissions"), path[400];
	const char *arguments[] = {"-c", path, NULL};
	struct harness_endpoint *source, *sink;
	struct xf_broker *broker;
	struct harness *harness;

	(void)state;
	snprintf(path, sizeof(path), "%s/nats.conf", dir);
	config_write(dir, "authorization: {users: [{user: u, password: p, permissions: "
	                  "{publish: [\"c.open\"], subscribe: [\"c.open\", \"_INBOX.>\"]}}]}\n");
	broker = xf_broker_start("nats", arguments);
	harness = harness_open("nats", OPTIONS(url_option(broker), "user=u", "password=p"));
	source = harness_source(harness, "c/from", "c.secret", CORE);
	assert_true(harness_wait_state(source, XF_STATE_BLOCKED, WAIT_MS));
	assert_non_null(strstr(harness_state_reason(source), "Subscription to \"c.secret\""));
	sink = sink_up(harness, CORE);
	harness_publish_text(sink, "c.secret", "x");
	assert_true(harness_wait_completed(sink, 1, WAIT_MS));
	assert_int_equal(harness_result(sink, 0).code, XF_RESULT_NOT_SENT);
	assert_true(harness_wait_state(sink, XF_STATE_BLOCKED, WAIT_MS));
	assert_non_null(strstr(harness_state_reason(sink), "Publish to \"c.secret\""));
	assert_int_equal(harness_state_count(source, XF_STATE_DOWN), 0);

	config_write(dir, "authorization: {users: [{user: u, password: p}]}\n");
	xf_broker_restart(broker);
	assert_true(harness_wait_state(source, XF_STATE_UP, WAIT_MS));
	assert_true(harness_wait_state(sink, XF_STATE_UP, WAIT_MS));
	harness_republish(sink, 0);
	assert_true(harness_wait_received(source, 1, WAIT_MS));
	harness_destroy(&sink);
	harness_destroy(&source);
	harness_close(&harness);
	xf_broker_destroy(&broker);
	xf_temp_destroy(&dir);
}

/* ---- Several servers ------------------------------------------------------------------ */

static void
publish_one(struct harness_endpoint *sink)
{
	uint64_t until = harness_now_ms() + WAIT_MS;
	size_t token = harness_publish_text(sink, "c.a", "x");

	for (;;) {
		assert_true(harness_now_ms() < until);
		assert_true(harness_wait_completed(sink, harness_published(sink), WAIT_MS));
		if (harness_result(sink, token).code == XF_RESULT_STORED)
			return;
		token = harness_republish(sink, token);
	}
}

/* A killed server: the next one takes over, whichever it was. With none left each is named, once. */
static void
test_next_server(void **state)
{
	struct xf_broker *brokers[2] = {xf_broker_start("nats", NULL), xf_broker_start("nats", NULL)};
	struct harness *harness = harness_open("nats", OPTIONS(url_option(brokers[0]), url_option(brokers[1])));
	struct harness_endpoint *sink = sink_up(harness, CORE);
	size_t downs;

	(void)state;
	publish_one(sink);
	for (unsigned i = 0; i < 4; i++) {
		xf_broker_kill(brokers[i % 2]);
		publish_one(sink);
		xf_broker_restart(brokers[i % 2]);
	}
	assert_true(harness_state_count(sink, XF_STATE_DOWN) > 0);

	/* The loss of a connection may be a reason before the round of all servers is. */
	xf_broker_kill(brokers[0]);
	xf_broker_kill(brokers[1]);
	assert_true(harness_wait_state(sink, XF_STATE_DOWN, WAIT_MS));
	for (unsigned i = 0; i < 200 && strstr(harness_state_reason(sink), "; 127.0.0.1:") == NULL; i++)
		harness_sleep_ms(50);
	for (unsigned i = 0; i < 2; i++)
		assert_non_null(strstr(harness_state_reason(sink), strrchr(xf_broker_url(brokers[i]), '/') + 1));
	downs = harness_state_count(sink, XF_STATE_DOWN);
	harness_sleep_ms(2500);
	assert_int_equal(harness_state_count(sink, XF_STATE_DOWN), downs);
	xf_broker_restart(brokers[1]);
	publish_one(sink);
	harness_destroy(&sink);
	harness_close(&harness);
	xf_broker_destroy(&brokers[0]);
	xf_broker_destroy(&brokers[1]);
}

static unsigned
port_free(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	close(fd);
	return ntohs(address.sin_port);
}

/* The settings name one server of a cluster; the others are learnt from it, those that come later too. */
static void
test_learnt_server(void **state)
{
	char one[64], two[64];
	const char *first_args[] = {"--cluster", one, "--cluster_name", "c", "--routes", two, NULL};
	const char *second_args[] = {"--cluster", two, "--cluster_name", "c", "--routes", one, NULL};
	struct harness_endpoint *sink, *late, *source;
	struct harness *harness, *there;
	struct xf_broker *first, *second;
	uint64_t until;

	(void)state;
	snprintf(one, sizeof(one), "nats://127.0.0.1:%u", port_free());
	do
		snprintf(two, sizeof(two), "nats://127.0.0.1:%u", port_free());
	while (strcmp(one, two) == 0);
	first = xf_broker_start("nats", first_args);
	harness = harness_open("nats", OPTIONS(url_option(first)));
	sink = sink_up(harness, CORE);
	second = xf_broker_start("nats", second_args);
	there = harness_open("nats", OPTIONS(url_option(second)));
	source = source_up(there, "c.a", CORE);
	/* What one takes comes out of the other: they have found each other. */
	for (until = harness_now_ms() + WAIT_MS; harness_received(source) == 0; harness_sleep_ms(50)) {
		assert_true(harness_now_ms() < until);
		publish_one(sink);
	}
	late = sink_up(harness, CORE);
	xf_broker_kill(first);
	assert_true(harness_wait_state_count(sink, XF_STATE_UP, 2, WAIT_MS));
	assert_true(harness_wait_state_count(late, XF_STATE_UP, 2, WAIT_MS));
	publish_one(sink);
	publish_one(late);
	harness_destroy(&source);
	harness_destroy(&late);
	harness_destroy(&sink);
	harness_close(&there);
	harness_close(&harness);
	xf_broker_destroy(&second);
	xf_broker_destroy(&first);
}

/* The server itself says that nobody can answer. */
static void
test_request_to_nobody(void **state)
{
	struct xf_broker *broker = xf_broker_start("nats", NULL);
	struct harness *harness = harness_open("nats", OPTIONS(url_option(broker)));
	struct xf_outgoing message = {.subject = str("c.nobody"), .payload = "x", .payload_size = 1, .request = 7};
	struct harness_endpoint *sink;

	(void)state;
	harness_requests(harness, WAIT_MS);
	sink = sink_up(harness, CORE);
	harness_publish(sink, &message);
	assert_true(harness_wait_replied(sink, 1, WAIT_MS));
	assert_int_equal(harness_replied_at(sink, 0)->request, 7);
	assert_int_equal(harness_replied_at(sink, 0)->status, 503);
	assert_string_equal(harness_replied_at(sink, 0)->reason, "nobody is subscribed who could answer");
	assert_null(harness_replied_at(sink, 0)->message);
	harness_destroy(&sink);
	harness_close(&harness);
	xf_broker_destroy(&broker);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_up_is_subscribed),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_no_receiver),
		cmocka_unit_test(test_request_to_nobody),
		cmocka_unit_test(test_permissions),
		cmocka_unit_test(test_next_server),
		cmocka_unit_test(test_learnt_server),
	};

	if (getenv("ONLY") != NULL)
		cmocka_set_test_filter(getenv("ONLY"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
