/*
 * amqp_tls.c - TLS to a real RabbitMQ: who is let in and who is not, and that everything else is as without it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker.h"
#include "harness.h"
#include "wait.h"

#define WAIT_MS XF_WAIT_MS
#define MESSAGES 3000

static struct xf_broker *broker; /* wants a certificate */
static char url[160];
static char ca[200], other_ca[200], cert[200], key[200];

static int
broker_up(void **state)
{
	const char *dir;

	(void)state;
	broker = xf_broker_start_tls("amqp", true);
	dir = xf_broker_dir(broker);
	snprintf(url, sizeof(url), "url=%s", xf_broker_url(broker));
	snprintf(ca, sizeof(ca), "tls.ca=%s/ca.pem", dir);
	snprintf(other_ca, sizeof(other_ca), "tls.ca=%s/other-ca.pem", dir);
	snprintf(cert, sizeof(cert), "tls.cert=%s/client.pem", dir);
	snprintf(key, sizeof(key), "tls.key=%s/client.key", dir);
	return 0;
}

static int
broker_down(void **state)
{
	(void)state;
	xf_broker_destroy(&broker);
	return 0;
}

static void
eval(const char *expression)
{
	free(xf_broker_ctl(broker, (const char *const[]){"eval", expression, NULL}));
}

/* Enough for many records and frames, and a payload larger than the read buffer, through both directions. */
static void
test_carries_messages(void **state)
{
	struct harness *h = harness_open("amqp", OPTIONS(url, ca, cert, key));
	struct harness_endpoint *sink = harness_sink(h, "sink", NULL, OPTIONS("declare=true"));
	struct harness_endpoint *source = harness_source(h, "source", "secret", OPTIONS("declare=true"));
	size_t size = 3 * 1024 * 1024 + 5, i;
	char *large = malloc(size);
	struct xf_outgoing message = {
		.subject = {"secret", 6}, .id = {"large", 5}, .dedup_id = {"large", 5}, .payload = large, .payload_size = size};

	(void)state;
	assert_non_null(large);
	for (i = 0; i < size; i++)
		large[i] = (char)(i * 31 + (i >> 11));
	harness_settle_auto(source, XF_SETTLE_ACK, true);
	harness_hold(sink, true);
	for (i = 0; i < MESSAGES; i++) {
		char text[32];

		snprintf(text, sizeof(text), "%zu", i);
		harness_publish_text(sink, "secret", text);
	}
	harness_publish(sink, &message);
	harness_hold(sink, false);
	assert_true(harness_wait_completed(sink, MESSAGES + 1, 2 * WAIT_MS));
	assert_int_equal(harness_completed_as(sink, XF_RESULT_STORED), MESSAGES + 1);
	assert_true(harness_wait_received(source, MESSAGES + 1, 2 * WAIT_MS));
	for (i = 0; i < MESSAGES; i++)
		assert_int_equal(strtoul(harness_message(source, i)->in.payload, NULL, 10), i);
	assert_int_equal(harness_message(source, MESSAGES)->in.payload_size, size);
	assert_memory_equal(harness_message(source, MESSAGES)->in.payload, large, size);
	assert_true(harness_wait_settled(source, WAIT_MS));
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);
	free(large);
}

/* Paused and resumed by credit, with decrypted bytes that no poll() shows. */
static void
test_little_credit(void **state)
{
	struct harness *h = harness_open("amqp", OPTIONS(url, ca, cert, key));
	struct harness_endpoint *sink = harness_sink(h, "sink", NULL, OPTIONS("declare=true"));
	struct harness_endpoint *source;
	size_t i;

	(void)state;
	harness_hold(sink, true);
	for (i = 0; i < 500; i++)
		harness_publish_text(sink, "credit", "x");
	harness_hold(sink, false);
	assert_true(harness_wait_completed(sink, 500, WAIT_MS));
	source = harness_source(h, "source", "credit", NULL);
	harness_window(source, 3, 1000);
	harness_settle_auto(source, XF_SETTLE_ACK, true);
	assert_true(harness_wait_received(source, 500, 2 * WAIT_MS));
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);
}

/* Killed: both sides notice, come back, and go on. */
static void
test_comes_back(void **state)
{
	struct harness *h = harness_open("amqp", OPTIONS(url, ca, cert, key));
	struct harness_endpoint *sink = harness_sink(h, "sink", NULL, OPTIONS("declare=true"));

	(void)state;
	harness_publish_text(sink, "again", "1");
	assert_true(harness_wait_completed(sink, 1, WAIT_MS));
	xf_broker_kill(broker);
	assert_true(harness_wait_state(sink, XF_STATE_DOWN, WAIT_MS));
	xf_broker_restart(broker);
	harness_publish_text(sink, "again", "2");
	assert_true(harness_wait_completed(sink, 2, 2 * WAIT_MS));
	assert_int_equal(harness_result(sink, 1).code, XF_RESULT_STORED);
	harness_destroy(&sink);
	harness_close(&h);
}

/* Stays DOWN and says REASON, once. */
static void
assert_kept_out(const char *const *options, const char *reason)
{
	struct harness *h = harness_open("amqp", options);
	struct harness_endpoint *sink = harness_sink(h, "sink", NULL, NULL);
	uint64_t until = harness_now_ms() + WAIT_MS;

	while (strstr(harness_state_reason(sink), reason) == NULL && harness_now_ms() < until)
		harness_sleep_ms(20);
	if (strstr(harness_state_reason(sink), reason) == NULL)
		fail_msg("expected '%s' in '%s'", reason, harness_state_reason(sink));
	harness_sleep_ms(1500);
	assert_int_equal(harness_state(sink), XF_STATE_DOWN);
	assert_int_equal(harness_state_count(sink, XF_STATE_DOWN), 1);
	assert_int_equal(harness_state_count(sink, XF_STATE_UP), 0);
	harness_destroy(&sink);
	harness_close(&h);
}

static void
test_keeps_out(void **state)
{
	char plain[160];

	(void)state;
	assert_kept_out(OPTIONS(url, other_ca, cert, key), "certificate verify failed");
	assert_kept_out(OPTIONS(url, cert, key), "certificate verify failed");
	assert_kept_out(OPTIONS(url, ca, cert, key, "tls.server_name=elsewhere.example"), "elsewhere.example");
	assert_kept_out(OPTIONS(url, ca, cert, key, "password=wrong"), "ACCESS_REFUSED");
	/* A port for TLS is not spoken to in the clear; what it answers is no AMQP. */
	snprintf(plain, sizeof(plain), "url=amqp://%s", strstr(url, "://") + 3);
	assert_kept_out(OPTIONS(plain), "amqps://");
}

static void
test_wants_certificate(void **state)
{
	struct harness *h = harness_open("amqp", OPTIONS(url, ca));
	struct harness_endpoint *sink = harness_sink(h, "sink", NULL, NULL);
	uint64_t until = harness_now_ms() + WAIT_MS;

	(void)state;
	while (harness_state_reason(sink)[0] == '\0' && harness_now_ms() < until)
		harness_sleep_ms(20);
	if (strstr(harness_state_reason(sink), "certificate") == NULL)
		fail_msg("no word of a certificate in '%s'", harness_state_reason(sink));
	assert_non_null(strstr(harness_state_reason(sink), "tls.cert"));
	assert_int_equal(harness_state_count(sink, XF_STATE_UP), 0);
	harness_destroy(&sink);
	harness_close(&h);
}

/* The certificate is the login; the broker's plugin for it is switched on while it runs. */
static void
test_external(void **state)
{
	struct harness *h;
	struct harness_endpoint *sink;
	char expression[300];

	(void)state;
	assert_kept_out(OPTIONS(url, ca, cert, key, "auth=external"), "rabbitmq_auth_mechanism_ssl");
	snprintf(expression, sizeof(expression),
	         "ok = file:write_file(\"%s/enabled_plugins\", \"[rabbitmq_auth_mechanism_ssl].\"), "
	         "rabbit_plugins:ensure(\"%s/enabled_plugins\").",
	         xf_broker_dir(broker), xf_broker_dir(broker));
	eval(expression);
	eval("application:set_env(rabbit, auth_mechanisms, ['PLAIN', 'EXTERNAL']), "
	     "application:set_env(rabbit, ssl_cert_login_from, common_name).");
	/* The certificate's name is no user yet. */
	assert_kept_out(OPTIONS(url, ca, cert, key, "auth=external"), "ACCESS_REFUSED");
	eval("rabbit_auth_backend_internal:add_user(<<\"client\">>, <<\"unused\">>, <<\"test\">>).");
	eval("rabbit_auth_backend_internal:set_permissions(<<\"client\">>, <<\"/\">>, <<\".*\">>, <<\".*\">>, <<\".*\">>, "
	     "<<\"test\">>).");
	h = harness_open("amqp", OPTIONS(url, ca, cert, key, "auth=external"));
	sink = harness_sink(h, "sink", NULL, OPTIONS("declare=true"));
	harness_publish_text(sink, "by.certificate", "1");
	assert_true(harness_wait_completed(sink, 1, WAIT_MS));
	assert_int_equal(harness_result(sink, 0).code, XF_RESULT_STORED);
	harness_destroy(&sink);
	harness_close(&h);
}

static void
assert_refused(const char *const *options, const char *reason)
{
	struct harness *h = harness_open("amqp", options);
	struct xf_error error;

	assert_null(harness_sink_create(h, "sink", NULL, NULL, &error));
	if (strstr(error.text, reason) == NULL)
		fail_msg("expected '%s' in '%s'", reason, error.text);
	harness_close(&h);
}

static void
test_settings(void **state)
{
	(void)state;
	assert_refused(OPTIONS("url=amqp://localhost/", ca), "amqps://");
	assert_refused(OPTIONS("url=amqps://localhost/", "auth=external"), "client certificate");
	assert_refused(OPTIONS("url=amqps://localhost/", "url=amqp://localhost/"), "one cluster");
	assert_refused(OPTIONS("url=amqps://localhost/", "tls.ca=/nowhere/ca.pem"), "/nowhere/ca.pem");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settings),      cmocka_unit_test(test_carries_messages),
		cmocka_unit_test(test_little_credit), cmocka_unit_test(test_keeps_out),
		cmocka_unit_test(test_wants_certificate), cmocka_unit_test(test_external),
		cmocka_unit_test(test_comes_back),
	};

	if (!harness_available("amqp")) {
		printf("the amqp plugin is not built\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, broker_up, broker_down);
}
