/* amqp_hosts.c - of several hosts the next one takes over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker.h"
#include "harness.h"
#include "wait.h"

#define WAIT_MS XF_WAIT_MS

/* What was on its way when a broker was killed is unknown, and published again. */
static void
stored(struct harness_endpoint *sink, const char *subject, const char *payload)
{
	uint32_t code;

	do {
		size_t token = harness_publish_text(sink, subject, payload);

		assert_true(harness_wait_completed(sink, token + 1, WAIT_MS));
		code = harness_result(sink, token).code;
	} while (code == XF_RESULT_UNKNOWN);
	assert_int_equal(code, XF_RESULT_STORED);
}

static void
test_several_hosts(void **state)
{
	struct xf_broker *first = xf_broker_start("amqp", NULL), *second = xf_broker_start("amqp", NULL);
	char first_url[160], second_url[160];
	struct harness *h;
	struct harness_endpoint *sink;

	(void)state;
	snprintf(first_url, sizeof(first_url), "url=%s", xf_broker_url(first));
	snprintf(second_url, sizeof(second_url), "url=%s", xf_broker_url(second));
	h = harness_open("amqp", OPTIONS("url=amqp://127.0.0.1:1/", first_url, second_url, "url=amqp://127.0.0.1:2/"));
	sink = harness_sink(h, "sink", NULL, OPTIONS("declare=true"));
	stored(sink, "clustered", "1");
	/* Whichever it was, the other one takes over, and then none is left. */
	xf_broker_kill(first);
	stored(sink, "clustered", "2");
	xf_broker_kill(second);
	assert_true(harness_wait_state(sink, XF_STATE_DOWN, WAIT_MS));
	{
		uint64_t until = harness_now_ms() + WAIT_MS;

		while (strstr(harness_state_reason(sink), "127.0.0.1:1:") == NULL && harness_now_ms() < until)
			harness_sleep_ms(20);
		assert_non_null(strstr(harness_state_reason(sink), "127.0.0.1:1:"));
		assert_non_null(strstr(harness_state_reason(sink), "127.0.0.1:2:"));
	}
	xf_broker_restart(first);
	stored(sink, "clustered", "3");
	harness_destroy(&sink);
	harness_close(&h);
	xf_broker_destroy(&first);
	xf_broker_destroy(&second);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_several_hosts)};

	if (!harness_available("amqp")) {
		printf("the amqp plugin is not built\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
