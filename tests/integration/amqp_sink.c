/*
 * amqp_sink.c - publishing to a real RabbitMQ: what is confirmed, what comes back and why, and what is said of a
 * message whose connection broke.
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

static struct xf_broker *broker;
static char url[160];

static int
broker_up(void **state)
{
	(void)state;
	broker = xf_broker_start("amqp", NULL);
	snprintf(url, sizeof(url), "url=%s", xf_broker_url(broker));
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
ctl(const char *const *args)
{
	free(xf_broker_ctl(broker, args));
}

#define CTL(...) ctl((const char *const[]){__VA_ARGS__, NULL})

static struct harness *
transport(void)
{
	return harness_open("amqp", OPTIONS(url, "confirm_timeout=10s"));
}

static struct xf_str
str(const char *text)
{
	return (struct xf_str){text, strlen(text)};
}

static size_t
publish_number(struct harness_endpoint *sink, const char *subject, unsigned number)
{
	char id[32];
	struct xf_outgoing message = {.subject = str(subject)};

	snprintf(id, sizeof(id), "m%u", number);
	message.id = message.dedup_id = str(id);
	message.payload = id;
	message.payload_size = strlen(id);
	return harness_publish(sink, &message);
}

/* Reads COUNT messages from a queue and acknowledges them. */
static struct harness_endpoint *
drain(struct harness *h, const char *queue, size_t count)
{
	struct harness_endpoint *source = harness_source(h, "check", queue, NULL);

	harness_settle_auto(source, XF_SETTLE_ACK, true);
	assert_true(harness_wait_received(source, count, WAIT_MS));
	harness_sleep_ms(200);
	assert_int_equal(harness_received(source), count);
	return source;
}

static void
test_stores_in_order(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *sink = harness_sink(h, "sink", NULL, OPTIONS("declare=true")), *check;
	unsigned i;

	(void)state;
	harness_hold(sink, true);
	for (i = 0; i < 5000; i++)
		publish_number(sink, "ordered", i);
	harness_hold(sink, false);
	assert_true(harness_wait_completed(sink, 5000, WAIT_MS));
	assert_int_equal(harness_completed_as(sink, XF_RESULT_STORED), 5000);

	check = drain(h, "ordered", 5000);
	for (i = 0; i < 5000; i++) {
		char text[32];

		snprintf(text, sizeof(text), "m%u", i);
		assert_string_equal(harness_message(check, i)->in.id.data, text);
	}
	harness_destroy(&check);
	harness_destroy(&sink);
	harness_close(&h);
}

/* Every property, and a payload of many frames. */
static void
test_carries_everything(void **state)
{
	static const struct xf_header headers[] = {
		{{"Crossfade-Id", 12}, {"the-id", 6}},  {{"tag", 3}, {"one", 3}},
		{{"Correlation-Id", 14}, {"c-1", 3}},   {{"tag", 3}, {"two", 3}},
		{{"Content-Encoding", 16}, {"gzip", 4}}, {{"empty", 5}, {"", 0}},
	};
	struct harness *h = transport();
	struct harness_endpoint *sink = harness_sink(h, "sink", NULL, OPTIONS("declare=true")), *check;
	size_t size = 3 * 1024 * 1024 + 17, i;
	uint8_t *payload = malloc(size);
	const struct harness_message *got;
	struct xf_outgoing message = {
		.subject = str("everything"),
		.id = str("the-id"),
		.dedup_id = str("the-id/copy"),
		.reply = str("answers.here"),
		.content_type = str("application/json"),
		.payload = payload,
		.payload_size = size,
		.headers = headers,
		.header_count = sizeof(headers) / sizeof(headers[0]),
		.time_ms = 1700000000000,
		.ttl_ms = 3600000,
		.priority = 1 + 4,
	};

	(void)state;
	assert_non_null(payload);
	for (i = 0; i < size; i++)
		payload[i] = (uint8_t)(i * 7 + (i >> 9));
	harness_publish(sink, &message);
	assert_true(harness_wait_completed(sink, 1, WAIT_MS));
	assert_int_equal(harness_result(sink, 0).code, XF_RESULT_STORED);

	check = drain(h, "everything", 1);
	got = harness_message(check, 0);
	assert_string_equal(got->in.subject.data, "everything");
	assert_string_equal(got->in.id.data, "the-id/copy");
	assert_string_equal(got->in.reply.data, "answers.here");
	assert_string_equal(got->in.content_type.data, "application/json");
	assert_int_equal(got->in.time_ms, 1700000000000);
	assert_int_equal(got->in.ttl_ms, 3600000);
	assert_int_equal(got->in.priority, 5);
	assert_int_equal(got->in.attempt, 1);
	assert_int_equal(got->in.payload_size, size);
	assert_memory_equal(got->in.payload, payload, size);
	assert_int_equal(got->in.header_count, 6);
	assert_string_equal(harness_header(got, "Crossfade-Id"), "the-id");
	assert_string_equal(harness_header(got, "Correlation-Id"), "c-1");
	assert_string_equal(harness_header(got, "Content-Encoding"), "gzip");
	assert_string_equal(harness_header(got, "empty"), "");
	assert_string_equal(harness_header(got, "tag"), "one");
	for (i = 0; strcmp(got->in.headers[i].name.data, "tag") != 0; i++)
		;
	assert_string_equal(got->in.headers[i + 1].value.data, "two");

	harness_destroy(&check);
	harness_destroy(&sink);
	harness_close(&h);
	free(payload);
}

/* A typo loses nothing and says what would mend it; who has a queue is not held up by who has none. */
static void
test_missing_queue(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *sink = harness_sink(h, "sink", NULL, NULL);
	struct harness_endpoint *maker = harness_sink(h, "maker", NULL, OPTIONS("declare=true")), *check;
	struct harness_result result;
	unsigned i;

	(void)state;
	publish_number(maker, "there", 0);
	assert_true(harness_wait_completed(maker, 1, WAIT_MS));

	harness_hold(sink, true);
	for (i = 0; i < 600; i++) {
		/* the same id to both, to be told apart by the subject */
		publish_number(sink, "there", i);
		publish_number(sink, "not.there", i);
	}
	harness_hold(sink, false);
	assert_true(harness_wait_completed(sink, 1200, WAIT_MS));
	for (i = 0; i < 1200; i++) {
		result = harness_result(sink, i);
		assert_int_equal(result.code, i % 2 == 0 ? XF_RESULT_STORED : XF_RESULT_NOT_SENT);
		if (i % 2 != 0)
			assert_non_null(strstr(result.reason, "no queue 'not.there'"));
	}
	assert_int_equal(harness_state(sink), XF_STATE_BLOCKED);
	assert_non_null(strstr(harness_state_reason(sink), "no queue 'not.there'; create it"));

	/* The queue appears; the next try is stored, and the state is good again. */
	publish_number(maker, "not.there", 0);
	assert_true(harness_wait_completed(maker, 2, WAIT_MS));
	harness_republish(sink, 1);
	assert_true(harness_wait_completed(sink, 1201, WAIT_MS));
	assert_int_equal(harness_result(sink, 1200).code, XF_RESULT_STORED);
	assert_true(harness_wait_state(sink, XF_STATE_UP, WAIT_MS));

	check = drain(h, "there", 601);
	harness_destroy(&check);
	check = drain(h, "not.there", 2);
	harness_destroy(&check);
	harness_destroy(&maker);
	harness_destroy(&sink);
	harness_close(&h);
}

/* Nothing but returns: the broker is probed, not flooded. */
static void
test_missing_queue_only(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *sink = harness_sink(h, "sink", NULL, NULL);
	size_t before;
	unsigned i, seconds = 0;

	(void)state;
	harness_hold(sink, true);
	for (i = 0; i < 10000; i++)
		publish_number(sink, "nowhere", i);
	harness_hold(sink, false);
	assert_true(harness_wait_state(sink, XF_STATE_BLOCKED, 3 * WAIT_MS));
	/* What is under way comes back first, on a loaded machine for many seconds; a flood would go on to the end. */
	do {
		before = harness_completed(sink);
		harness_sleep_ms(1000);
	} while (harness_completed(sink) - before > 200 && ++seconds < 3 * WAIT_MS / 1000);
	assert_true(harness_completed(sink) < 10000);
	assert_int_equal(harness_completed(sink), harness_completed_as(sink, XF_RESULT_NOT_SENT));
	harness_destroy(&sink);
	harness_close(&h);
}

/* New subjects by the hundred: each gets its queue before its first message, nothing overtakes. */
static void
test_declares_queues(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *sink = harness_sink(h, "sink", NULL, OPTIONS("declare=true")), *check;
	unsigned i;

	(void)state;
	harness_hold(sink, true);
	for (i = 0; i < 600; i++) {
		char subject[32];

		snprintf(subject, sizeof(subject), "many.%u", i % 300);
		publish_number(sink, subject, i);
	}
	harness_hold(sink, false);
	assert_true(harness_wait_completed(sink, 600, WAIT_MS));
	assert_int_equal(harness_completed_as(sink, XF_RESULT_STORED), 600);
	check = drain(h, "many.7", 2);
	assert_string_equal(harness_message(check, 0)->in.id.data, "m7");
	assert_string_equal(harness_message(check, 1)->in.id.data, "m307");
	harness_destroy(&check);

	/* Deleted behind our back: said once, then declared anew. */
	CTL("delete_queue", "many.7");
	publish_number(sink, "many.7", 1000);
	assert_true(harness_wait_completed(sink, 601, WAIT_MS));
	assert_int_equal(harness_result(sink, 600).code, XF_RESULT_NOT_SENT);
	harness_republish(sink, 600);
	assert_true(harness_wait_completed(sink, 602, WAIT_MS));
	assert_int_equal(harness_result(sink, 601).code, XF_RESULT_STORED);

	/* A name that AMQP cannot carry, and one that may not be declared. */
	{
		char name[300];

		memset(name, 'x', sizeof(name) - 1);
		name[sizeof(name) - 1] = '\0';
		publish_number(sink, name, 1);
		publish_number(sink, "amq.reserved", 1);
		publish_number(sink, "many.8", 1);
		assert_true(harness_wait_completed(sink, 605, WAIT_MS));
		assert_int_equal(harness_result(sink, 602).code, XF_RESULT_REJECTED);
		assert_int_equal(harness_result(sink, 603).code, XF_RESULT_NOT_SENT);
		assert_int_equal(harness_result(sink, 604).code, XF_RESULT_STORED);
	}
	harness_destroy(&sink);
	harness_close(&h);
}

static void
test_exchange(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *sink = harness_sink(h, "sink", NULL, OPTIONS("exchange=events")), *maker, *source;

	(void)state;
	/* Missing: nothing is taken. */
	assert_true(harness_wait_state(sink, XF_STATE_BLOCKED, WAIT_MS));
	assert_non_null(strstr(harness_state_reason(sink), "no exchange 'events'"));
	publish_number(sink, "orders.eu.paid", 1);
	harness_sleep_ms(500);
	assert_int_equal(harness_completed(sink), 0);

	source = harness_source(h, "source", "orders.>",
	                        OPTIONS("queue=orders-of-events", "exchange=events", "declare=true"));
	assert_true(harness_wait_state(source, XF_STATE_UP, WAIT_MS));
	assert_true(harness_wait_completed(sink, 1, WAIT_MS));
	assert_int_equal(harness_result(sink, 0).code, XF_RESULT_STORED);
	assert_true(harness_wait_received(source, 1, WAIT_MS));
	assert_string_equal(harness_message(source, 0)->in.subject.data, "orders.eu.paid");

	publish_number(sink, "other", 2);
	assert_true(harness_wait_completed(sink, 2, WAIT_MS));
	assert_int_equal(harness_result(sink, 1).code, XF_RESULT_NOT_SENT);
	assert_non_null(strstr(harness_result(sink, 1).reason, "has no queue for 'other'"));

	/* One of another type is not what was asked for; without declare it is as good as any. */
	maker = harness_sink(h, "maker", NULL, OPTIONS("exchange=events", "exchange_type=direct", "declare=true"));
	assert_true(harness_wait_state(maker, XF_STATE_BLOCKED, WAIT_MS));
	assert_non_null(strstr(harness_state_reason(maker), "exchange 'events' exists in another form"));
	harness_destroy(&maker);
	maker = harness_sink(h, "maker", NULL, OPTIONS("exchange=events"));
	publish_number(maker, "orders.us.paid", 3);
	assert_true(harness_wait_completed(maker, 1, WAIT_MS));
	assert_int_equal(harness_result(maker, 0).code, XF_RESULT_STORED);
	harness_destroy(&maker);
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);
}

/* A full queue refuses with basic.nack. */
static void
test_nack(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *sink = harness_sink(h, "sink", NULL, OPTIONS("declare=true"));
	unsigned i;

	(void)state;
	CTL("set_policy", "full", "^full$", "{\"max-length\":10,\"overflow\":\"reject-publish\"}", "--apply-to", "queues");
	for (i = 0; i < 30; i++) {
		publish_number(sink, "full", i);
		assert_true(harness_wait_completed(sink, i + 1, WAIT_MS));
	}
	assert_true(harness_completed_as(sink, XF_RESULT_STORED) >= 10);
	assert_true(harness_completed_as(sink, XF_RESULT_NOT_SENT) >= 15);
	assert_int_equal(harness_result(sink, 29).code, XF_RESULT_NOT_SENT);
	assert_int_equal(harness_state(sink), XF_STATE_BLOCKED);
	harness_destroy(&sink);
	harness_close(&h);
}

/* Killed under load: what is confirmed is there after the restart, and everything got an answer. */
static void
test_broker_killed(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *sink = harness_sink(h, "sink", NULL, OPTIONS("declare=true")), *check;
	struct harness_endpoint *maker = harness_sink(h, "maker", NULL, OPTIONS("declare=true"));
	size_t stored, unknown, i;
	unsigned n;

	(void)state;
	publish_number(maker, "crash", 0); /* there, and empty again, in good time */
	assert_true(harness_wait_completed(maker, 1, WAIT_MS));
	check = drain(h, "crash", 1);
	harness_destroy(&check);
	harness_destroy(&maker);
	xf_broker_ripen(broker);
	harness_hold(sink, true);
	for (n = 0; n < 60000; n++)
		publish_number(sink, "crash", n);
	harness_hold(sink, false);
	assert_true(harness_wait_completed(sink, 10000, WAIT_MS));
	xf_broker_kill(broker);
	assert_true(harness_wait_state(sink, XF_STATE_DOWN, WAIT_MS));
	harness_hold(sink, true);
	stored = harness_completed_as(sink, XF_RESULT_STORED);
	unknown = harness_completed_as(sink, XF_RESULT_UNKNOWN);
	assert_true(stored >= 10000);
	assert_true(unknown <= 4096);

	xf_broker_restart(broker);
	assert_true(harness_wait_state(sink, XF_STATE_UP, 2 * WAIT_MS));
	check = harness_source(h, "check", "crash", NULL);
	harness_settle_auto(check, XF_SETTLE_ACK, true);
	assert_true(harness_wait_received(check, stored, WAIT_MS));
	harness_sleep_ms(500);
	assert_true(harness_received(check) <= stored + unknown);
	/* Persistent and confirmed: the first STORED ones are there, in order, with no hole. */
	for (i = 0; i < stored; i++) {
		char text[32];

		snprintf(text, sizeof(text), "m%zu", i);
		assert_string_equal(harness_message(check, i)->in.id.data, text);
	}
	harness_hold(sink, false);
	assert_true(harness_wait_completed(sink, 60000, 3 * WAIT_MS));
	harness_destroy(&check);
	harness_destroy(&sink);
	harness_close(&h);
}

/* Stopped dead: found by its silence, idle or not, long before a confirm would be missed. */
static void
test_broker_silent(void **state)
{
	struct harness *h = harness_open("amqp", OPTIONS(url, "heartbeat=3s"));
	struct harness_endpoint *sink = harness_sink(h, "sink", NULL, OPTIONS("declare=true"));
	struct harness_endpoint *idle = harness_source(h, "idle", "silent", NULL);
	uint64_t began;

	(void)state;
	publish_number(sink, "silent", 0);
	assert_true(harness_wait_completed(sink, 1, WAIT_MS));
	assert_true(harness_wait_state(idle, XF_STATE_UP, WAIT_MS));
	xf_broker_pause(broker);
	began = harness_now_ms();
	publish_number(sink, "silent", 1);
	assert_true(harness_wait_completed(sink, 2, WAIT_MS));
	assert_true(harness_now_ms() - began < 25000);
	assert_int_equal(harness_result(sink, 1).code, XF_RESULT_UNKNOWN);
	assert_true(harness_wait_state(sink, XF_STATE_DOWN, WAIT_MS));
	assert_true(harness_wait_state(idle, XF_STATE_DOWN, WAIT_MS));
	xf_broker_resume(broker);
	assert_true(harness_wait_state(sink, XF_STATE_UP, WAIT_MS));
	assert_true(harness_wait_state(idle, XF_STATE_UP, WAIT_MS));
	harness_destroy(&idle);
	harness_destroy(&sink);
	harness_close(&h);
}

/* An alarm stops publishing, is named, costs no message, and stops the clock of the confirms. */
static void
test_memory_alarm(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *sink = harness_sink(h, "sink", NULL, OPTIONS("declare=true")), *check;
	unsigned i;

	(void)state;
	publish_number(sink, "alarm", 0);
	assert_true(harness_wait_completed(sink, 1, WAIT_MS));
	CTL("set_vm_memory_high_watermark", "0");
	harness_hold(sink, true);
	for (i = 1; i < 3000; i++)
		publish_number(sink, "alarm", i);
	harness_hold(sink, false);
	assert_true(harness_wait_state(sink, XF_STATE_BLOCKED, WAIT_MS));
	assert_non_null(strstr(harness_state_reason(sink), "memory or disk alarm"));

	/* Consuming goes on meanwhile. */
	check = harness_source(h, "check", "alarm", NULL);
	harness_settle_auto(check, XF_SETTLE_ACK, true);
	assert_true(harness_wait_received(check, 1, WAIT_MS));
	harness_sleep_ms(11000); /* longer than a confirm may take */
	assert_int_equal(harness_state(sink), XF_STATE_BLOCKED);

	CTL("set_vm_memory_high_watermark", "0.4");
	assert_true(harness_wait_completed(sink, 3000, WAIT_MS));
	assert_string_equal(harness_state_count(sink, XF_STATE_DOWN) == 0 ? "" : harness_state_reason(sink), "");
	assert_int_equal(harness_completed_as(sink, XF_RESULT_STORED), 3000);
	assert_true(harness_wait_state(sink, XF_STATE_UP, WAIT_MS));
	assert_true(harness_wait_received(check, 3000, WAIT_MS));
	harness_destroy(&check);
	harness_destroy(&sink);
	harness_close(&h);
}

/* A message that the broker refuses for itself is found among those around it. */
static void
test_refused_message(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *sink;
	size_t size = 200 * 1024 + 1, rejected;
	char *large = calloc(1, size);
	struct xf_outgoing message = {
		.subject = str("limit"), .id = str("big"), .dedup_id = str("big"), .payload = large, .payload_size = size};
	unsigned i;

	(void)state;
	assert_non_null(large);
	CTL("eval", "application:set_env(rabbit, max_message_size, 204800)."); /* of channels from now on */
	sink = harness_sink(h, "sink", NULL, OPTIONS("declare=true"));
	harness_hold(sink, true);
	for (i = 0; i < 20; i++)
		publish_number(sink, "limit", i);
	rejected = harness_publish(sink, &message);
	harness_hold(sink, false);
	assert_true(harness_wait_completed(sink, 21, WAIT_MS));
	if (harness_result(sink, rejected).code == XF_RESULT_UNKNOWN) {
		size_t count = 21;

		/* As the core would: all that was unknown, in order. */
		for (i = 0; i <= 20; i++)
			if (harness_result(sink, i).code != XF_RESULT_STORED)
				rejected = harness_republish(sink, i), count++;
		assert_true(harness_wait_completed(sink, count, 2 * WAIT_MS));
	}
	assert_int_equal(harness_result(sink, rejected).code, XF_RESULT_REJECTED);
	publish_number(sink, "limit", 100);
	assert_true(harness_wait_state(sink, XF_STATE_UP, WAIT_MS));
	CTL("eval", "application:set_env(rabbit, max_message_size, 134217728).");
	harness_destroy(&sink);
	harness_close(&h);
	free(large);
}

static void
test_wrong_password(void **state)
{
	struct harness *h = harness_open("amqp", OPTIONS(url, "password=wrong"));
	struct harness_endpoint *sink = harness_sink(h, "sink", NULL, NULL);
	uint64_t until;

	(void)state;
	for (until = harness_now_ms() + WAIT_MS; harness_state_reason(sink)[0] == '\0' && harness_now_ms() < until;)
		harness_sleep_ms(20);
	assert_non_null(strstr(harness_state_reason(sink), "ACCESS_REFUSED"));
	harness_sleep_ms(2000);
	assert_int_equal(harness_state(sink), XF_STATE_DOWN);
	assert_null(strstr(harness_state_reason(sink), "wrong"));
	assert_int_equal(harness_state_count(sink, XF_STATE_DOWN), 1);
	harness_destroy(&sink);
	harness_close(&h);
}

static void
test_settings(void **state)
{
	static const char *const wrong[] = {"url=amqp:/localhost/", "url=http://localhost/",  "url=amqp://:5672/",
	                                    "url=amqp://h:0/",      "url=amqp://h:99999/",    "url=amqp://h/%zz",
	                                    "url=amqp://h/a?b=c",   "url=amqp://u%:p@h:5672/"};
	struct harness *h = harness_open("amqp", OPTIONS("url=amqp://Host.Example:1234/a%2fb"));
	struct xf_error error;
	size_t i;

	(void)state;
	assert_null(harness_source_create(h, "source", "orders.>", NULL, &error));
	assert_non_null(strstr(error.text, "say which with 'queue'"));
	assert_null(harness_source_create(h, "source", "orders", OPTIONS("exchange=e"), &error));
	assert_non_null(strstr(error.text, "declare: true"));
	assert_int_equal(harness_source_traits(h, OPTIONS("queue=q")), XF_TRAIT_HEADERS | XF_TRAIT_TAKES | XF_TRAIT_REPLIES);
	assert_int_equal(harness_sink_traits(h, NULL), XF_TRAIT_HEADERS | XF_TRAIT_REQUESTS);
	harness_close(&h);
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		h = harness_open("amqp", OPTIONS(wrong[i]));
		assert_null(harness_sink_create(h, "sink", NULL, NULL, &error));
		assert_int_equal(strncmp(error.text, "url:", 4), 0);
		harness_close(&h);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settings),         cmocka_unit_test(test_stores_in_order),
		cmocka_unit_test(test_carries_everything), cmocka_unit_test(test_missing_queue),
		cmocka_unit_test(test_missing_queue_only), cmocka_unit_test(test_declares_queues),
		cmocka_unit_test(test_exchange),         cmocka_unit_test(test_nack),
		cmocka_unit_test(test_refused_message),  cmocka_unit_test(test_memory_alarm),
		cmocka_unit_test(test_broker_silent),    cmocka_unit_test(test_wrong_password),
		cmocka_unit_test(test_broker_killed),
	};

	if (!harness_available("amqp")) {
		printf("the amqp plugin is not built\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, broker_up, broker_down);
}
