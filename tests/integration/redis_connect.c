/*
 * The ways to a Redis server: TLS, a socket in the file system, several servers of which only one will do; and the
 * places that are refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker.h"
#include "harness.h"
#include "wait.h"

#define DEADLINE XF_WAIT_MS

static const char *
text(const char *format, const char *a, const char *b)
{
	static char texts[32][400];
	static unsigned next;
	char *out = texts[next++ % 32];

	snprintf(out, 400, format, a, b);
	return out;
}

/* A message through each mode, out and in. */
static void
assert_carries(struct harness *h)
{
	static const char *const modes[] = {"mode=pubsub", "mode=stream", "mode=list"};

	for (unsigned i = 0; i < 3; i++) {
		struct harness_endpoint *source = harness_source(h, "source", modes[i] + 5, OPTIONS(modes[i]));
		struct harness_endpoint *sink = harness_sink(h, "sink", NULL, OPTIONS(modes[i]));

		if (!harness_wait_state(source, XF_STATE_UP, DEADLINE) || !harness_wait_state(sink, XF_STATE_UP, DEADLINE))
			fail_msg("%s / %s", harness_state_reason(source), harness_state_reason(sink));
		harness_publish_text(sink, modes[i] + 5, "x");
		assert_true(harness_wait_received(source, 1, DEADLINE));
		harness_settle(source, 0, XF_SETTLE_ACK, 0);
		assert_true(harness_wait_settled(source, DEADLINE));
		assert_true(harness_wait_completed(sink, 1, DEADLINE));
		assert_int_equal(harness_result(sink, 0).code, XF_RESULT_STORED);
		harness_destroy(&source);
		harness_destroy(&sink);
	}
}

/* DOWN with WORDS in the reason. */
static void
assert_down(const char *const *options, const char *words, bool once)
{
	struct harness *h = harness_open("redis", options);
	struct harness_endpoint *sink = harness_sink(h, "sink", NULL, NULL);

	assert_true(harness_wait_state_count(sink, XF_STATE_DOWN, 1, DEADLINE));
	if (strstr(harness_state_reason(sink), words) == NULL)
		fail_msg("'%s' is not in: %s", words, harness_state_reason(sink));
	harness_sleep_ms(once ? 2500 : 0); /* said once, though it goes on trying */
	assert_true(!once || harness_state_count(sink, XF_STATE_DOWN) == 1);
	harness_destroy(&sink);
	harness_close(&h);
}

/* ---- TLS ------------------------------------------------------------------------------ */

static void
test_tls_carries_all_modes(void **state)
{
	struct xf_broker *broker = xf_broker_start_tls("redis", false);
	const char *dir = xf_broker_dir(broker);
	struct harness *h = harness_open("redis", OPTIONS(text("url=%s%s", xf_broker_url(broker), ""),
	                                                  text("tls.ca=%s/ca.pem%s", dir, "")));

	(void)state;
	assert_carries(h);
	harness_close(&h);
	xf_broker_destroy(&broker);
}

static void
test_tls_payloads_of_all_sizes_arrive_in_order(void **state)
{
	static const size_t sizes[] = {0,      1,      127,             4096, 16384,           16385,
	                               70000, 300000, 5 * 1024 * 1024, 2,    8 * 1024 * 1024, 3};
	const size_t count = sizeof(sizes) / sizeof(sizes[0]);
	struct xf_broker *broker = xf_broker_start_tls("redis", false);
	struct harness *h = harness_open("redis", OPTIONS(text("url=%s%s", xf_broker_url(broker), ""),
	                                                  text("tls.ca=%s/ca.pem%s", xf_broker_dir(broker), "")));
	struct harness_endpoint *source = harness_source(h, "source", "bytes", OPTIONS("mode=stream"));
	struct harness_endpoint *sink = harness_sink(h, "sink", NULL, OPTIONS("mode=stream"));
	char *payload = malloc(8 * 1024 * 1024);

	(void)state;
	for (size_t i = 0; i < 8 * 1024 * 1024; i++)
		payload[i] = (char)(i * 31 + (i >> 8));
	for (unsigned round = 0; round < 2; round++) {
		for (size_t i = 0; i < count; i++) {
			struct xf_outgoing message = {
				.subject = {"bytes", 5}, .payload = payload, .payload_size = sizes[i]};

			harness_publish(sink, &message);
		}
	}
	harness_settle_auto(source, XF_SETTLE_ACK, true);
	assert_true(harness_wait_completed(sink, 2 * count, DEADLINE));
	assert_int_equal(harness_completed_as(sink, XF_RESULT_STORED), 2 * count);
	assert_true(harness_wait_received(source, 2 * count, DEADLINE));
	for (size_t i = 0; i < 2 * count; i++) {
		const struct harness_message *m = harness_message(source, i);

		assert_int_equal(m->in.payload_size, sizes[i % count]);
		assert_memory_equal(m->in.payload, payload, sizes[i % count]);
	}
	free(payload);
	harness_destroy(&sink);
	harness_destroy(&source);
	harness_close(&h);
	xf_broker_destroy(&broker);
}

static void
test_tls_wants_the_right_server(void **state)
{
	struct xf_broker *broker = xf_broker_start_tls("redis", false), *plain = xf_broker_start("redis", NULL);
	const char *dir = xf_broker_dir(broker);
	const char *url = text("url=%s%s", xf_broker_url(broker), ""), *ca = text("tls.ca=%s/ca.pem%s", dir, "");
	struct harness *h;

	(void)state;
	assert_down(OPTIONS(url), "set tls.ca", true);
	assert_down(OPTIONS(url, text("tls.ca=%s/other-ca.pem%s", dir, "")), "set tls.ca", true);
	assert_down(OPTIONS(url, ca, "tls.server_name=redis.example"), "not for 'redis.example'", true);
	assert_down(OPTIONS(text("url=rediss%s%s", xf_broker_url(plain) + 5, ""), ca), "is there TLS on this port?", false);
	h = harness_open("redis", OPTIONS(url, "tls.verify=false"));
	assert_carries(h);
	harness_close(&h);

	assert_int_equal(rename(text("%s/%s", dir, "expired.pem"), text("%s/%s", dir, "server.pem")), 0);
	assert_int_equal(rename(text("%s/%s", dir, "expired.key"), text("%s/%s", dir, "server.key")), 0);
	xf_broker_restart(broker);
	assert_down(OPTIONS(url, ca), "expired", true);
	xf_broker_destroy(&plain);
	xf_broker_destroy(&broker);
}

static void
test_tls_shows_a_certificate_where_one_is_wanted(void **state)
{
	struct xf_broker *broker = xf_broker_start_tls("redis", true);
	const char *dir = xf_broker_dir(broker);
	const char *url = text("url=%s%s", xf_broker_url(broker), ""), *ca = text("tls.ca=%s/ca.pem%s", dir, "");
	struct harness *h = harness_open("redis", OPTIONS(url, ca, text("tls.cert=%s/%s", dir, "client.pem"),
	                                                  text("tls.key=%s/%s", dir, "client.key")));

	(void)state;
	assert_carries(h);
	harness_close(&h);
	assert_down(OPTIONS(url, ca), "set tls.cert and tls.key", false); /* an alert, or a reset */
	xf_broker_destroy(&broker);
}

static void
test_tls_survives_a_restart(void **state)
{
	struct xf_broker *broker = xf_broker_start_tls("redis", false);
	struct harness *h = harness_open("redis", OPTIONS(text("url=%s%s", xf_broker_url(broker), ""),
	                                                  text("tls.ca=%s/ca.pem%s", xf_broker_dir(broker), "")));
	struct harness_endpoint *sink = harness_sink(h, "sink", NULL, OPTIONS("mode=stream"));
	size_t stored = 0;
	char *out;

	(void)state;
	for (unsigned round = 1; round <= 3; round++) {
		assert_true(harness_wait_state_count(sink, XF_STATE_UP, round, DEADLINE));
		for (unsigned i = 0; i < 20000; i++)
			harness_publish_text(sink, "s", "0123456789");
		harness_sleep_ms(3 * round);
		xf_broker_kill(broker);
		assert_true(harness_wait_state(sink, XF_STATE_DOWN, DEADLINE));
		stored = harness_completed_as(sink, XF_RESULT_STORED);
		xf_broker_restart(broker);
	}
	assert_true(harness_wait_completed(sink, 3 * 20000, DEADLINE));
	/* The last server began empty: it holds exactly what was confirmed since. */
	out = xf_broker_ctl(broker, OPTIONS("XLEN", "s"));
	assert_int_equal(atol(out), harness_completed_as(sink, XF_RESULT_STORED) - stored);
	free(out);
	harness_destroy(&sink);
	harness_close(&h);
	xf_broker_destroy(&broker);
}

/* ---- Where a server is -------------------------------------------------------------------- */

static void
test_a_socket_in_the_file_system(void **state)
{
	char *dir = xf_temp_create("socket");
	struct xf_broker *broker = xf_broker_start("redis", OPTIONS("--unixsocket", text("%s/%s", dir, "s")));
	struct harness *h = harness_open("redis", OPTIONS(text("url=unix://%s/%s?db=3", dir, "s")));
	char *out;

	(void)state;
	assert_carries(h);
	harness_close(&h);
	out = xf_broker_ctl(broker, OPTIONS("-n", "3", "EXISTS", "stream"));
	assert_string_equal(out, "1\n");
	free(out);
	assert_down(OPTIONS(text("url=unix://%s/%s", dir, "nobody")), "No such file", true);
	xf_broker_destroy(&broker);
	xf_temp_destroy(&dir);
}

static void
test_a_user_a_database_and_a_name(void **state)
{
	struct xf_broker *broker = xf_broker_start("redis", NULL);
	struct harness *h;
	struct harness_endpoint *sink;
	char *out;

	(void)state;
	free(xf_broker_ctl(broker, OPTIONS("ACL", "SETUSER", "svc", "on", ">p@ss/wörd", "allkeys", "allchannels",
	                                   "+@all")));
	h = harness_open("redis", OPTIONS(text("url=redis://svc:p%%40ss%%2Fw%%C3%%B6rd@%s/3%s",
	                                       xf_broker_url(broker) + 8, "")));
	assert_carries(h);
	sink = harness_sink(h, "orders/to", NULL, OPTIONS("mode=stream"));
	assert_true(harness_wait_state(sink, XF_STATE_UP, DEADLINE));
	out = xf_broker_ctl(broker, OPTIONS("CLIENT", "LIST"));
	assert_non_null(strstr(out, "name=crossfade:orders/to"));
	assert_non_null(strstr(out, "user=svc"));
	free(out);
	out = xf_broker_ctl(broker, OPTIONS("-n", "3", "EXISTS", "stream"));
	assert_string_equal(out, "1\n");
	free(out);
	harness_destroy(&sink);
	harness_close(&h);
	xf_broker_destroy(&broker);
}

static void
test_the_first_that_is_a_master(void **state)
{
	struct xf_broker *master = xf_broker_start("redis", NULL), *replica = xf_broker_start("redis", NULL);
	const char *nobody = "url=redis://127.0.0.1:1";
	const char *port = strrchr(xf_broker_url(master), ':') + 1, *other = strrchr(xf_broker_url(replica), ':') + 1;
	struct harness_endpoint *sink;
	struct harness *h;

	(void)state;
	free(xf_broker_ctl(replica, OPTIONS("REPLICAOF", "127.0.0.1", port)));
	h = harness_open("redis", OPTIONS(nobody, text("url=%s%s", xf_broker_url(replica), ""),
	                                  text("url=%s%s", xf_broker_url(master), "")));
	sink = harness_sink(h, "sink", NULL, OPTIONS("mode=stream"));
	assert_true(harness_wait_state(sink, XF_STATE_UP, DEADLINE));
	harness_publish_text(sink, "s", "1");
	assert_true(harness_wait_completed(sink, 1, DEADLINE));
	assert_int_equal(harness_result(sink, 0).code, XF_RESULT_STORED);
	assert_int_equal(harness_state_count(sink, XF_STATE_DOWN), 0); /* which of them is nobody's concern */

	/* they change places */
	free(xf_broker_ctl(replica, OPTIONS("REPLICAOF", "NO", "ONE")));
	free(xf_broker_ctl(master, OPTIONS("REPLICAOF", "127.0.0.1", other)));
	harness_publish_text(sink, "s", "2");
	for (size_t i = 1; harness_wait_completed(sink, i + 1, DEADLINE); i++) {
		if (harness_result(sink, i).code == XF_RESULT_STORED)
			break;
		assert_in_range(i, 1, 20);
		harness_republish(sink, i);
	}
	assert_true(harness_wait_state(sink, XF_STATE_UP, DEADLINE));
	harness_destroy(&sink);
	harness_close(&h);

	h = harness_open("redis", OPTIONS(nobody, text("url=%s%s", xf_broker_url(master), "")));
	sink = harness_sink(h, "sink", NULL, NULL);
	assert_true(harness_wait_state_count(sink, XF_STATE_DOWN, 1, DEADLINE));
	assert_non_null(strstr(harness_state_reason(sink), "127.0.0.1:1: Connection refused"));
	harness_destroy(&sink);
	harness_close(&h);
	xf_broker_destroy(&replica);
	xf_broker_destroy(&master);
}

static void
test_a_cluster_is_refused(void **state)
{
	struct xf_broker *broker = xf_broker_start("redis", OPTIONS("--cluster-enabled", "yes"));
	struct harness *h = harness_open("redis", OPTIONS(text("url=%s%s", xf_broker_url(broker), "")));
	static const char *const modes[] = {"mode=pubsub", "mode=stream", "mode=list"};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct harness_endpoint *source = harness_source(h, "source", "a", OPTIONS(modes[i]));
		struct harness_endpoint *sink = harness_sink(h, "sink", NULL, OPTIONS(modes[i]));

		assert_true(harness_wait_state(source, XF_STATE_BLOCKED, DEADLINE));
		assert_true(harness_wait_state(sink, XF_STATE_BLOCKED, DEADLINE));
		assert_non_null(strstr(harness_state_reason(source), "a Redis Cluster is not supported"));
		assert_non_null(strstr(harness_state_reason(sink), "a Redis Cluster is not supported"));
		harness_destroy(&source);
		harness_destroy(&sink);
	}
	harness_close(&h);
	xf_broker_destroy(&broker);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tls_carries_all_modes),
		cmocka_unit_test(test_tls_payloads_of_all_sizes_arrive_in_order),
		cmocka_unit_test(test_tls_wants_the_right_server),
		cmocka_unit_test(test_tls_shows_a_certificate_where_one_is_wanted),
		cmocka_unit_test(test_tls_survives_a_restart),
		cmocka_unit_test(test_a_socket_in_the_file_system),
		cmocka_unit_test(test_a_user_a_database_and_a_name),
		cmocka_unit_test(test_the_first_that_is_a_master),
		cmocka_unit_test(test_a_cluster_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
