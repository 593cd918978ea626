/*
 * amqp_source.c - consuming from a real RabbitMQ: what is acknowledged, what comes back, and what is said when the
 * queue or the broker goes away.
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
#include "proxy.h"
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

#define CTL(...) free(xf_broker_ctl(broker, (const char *const[]){__VA_ARGS__, NULL}))

static struct harness *
transport(void)
{
	return harness_open("amqp", OPTIONS(url, "heartbeat=5s", "confirm_timeout=10s"));
}

/* Puts numbers from FIRST on into QUEUE, with SIZE bytes each if that is more than the number. */
static void
fill_from(struct harness *h, const char *queue, unsigned first, unsigned count, size_t size)
{
	struct harness_endpoint *sink = harness_sink(h, "fill", NULL, OPTIONS("declare=true"));
	char *payload = calloc(1, size + 32);
	unsigned i;

	assert_non_null(payload);
	harness_hold(sink, true);
	for (i = 0; i < count; i++) {
		struct xf_outgoing message = {.subject = {queue, strlen(queue)}, .payload = payload};
		int len = snprintf(payload, 32, "%u", first + i);

		message.payload_size = size > (size_t)len ? size : (size_t)len;
		message.id = message.dedup_id = (struct xf_str){payload, (uint64_t)len};
		harness_publish(sink, &message);
	}
	harness_hold(sink, false);
	assert_true(harness_wait_completed(sink, count, WAIT_MS));
	assert_int_equal(harness_completed_as(sink, XF_RESULT_STORED), count);
	harness_destroy(&sink);
	free(payload);
}

static void
fill(struct harness *h, const char *queue, unsigned count, size_t size)
{
	fill_from(h, queue, 0, count, size);
}

static unsigned
number(struct harness_endpoint *source, size_t index)
{
	return (unsigned)strtoul(harness_message(source, index)->in.id.data, NULL, 10);
}

/* How many a fresh consumer of QUEUE is offered. */
static void
assert_left(struct harness *h, const char *queue, size_t count)
{
	struct harness_endpoint *source = harness_source(h, "left", queue, NULL);

	harness_settle_auto(source, XF_SETTLE_ACK, true);
	assert_true(harness_wait_state(source, XF_STATE_UP, WAIT_MS));
	assert_true(harness_wait_received(source, count, WAIT_MS));
	harness_sleep_ms(300);
	assert_int_equal(harness_received(source), count);
	harness_destroy(&source);
}

/* More than the prefetch, in order; what was acknowledged is gone, also that from just before stop. */
static void
test_consumes_all(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *source;
	size_t i;

	(void)state;
	fill(h, "all", 10000, 0);
	source = harness_source(h, "source", "all", OPTIONS("prefetch=500"));
	harness_settle_auto(source, XF_SETTLE_ACK, true);
	assert_true(harness_wait_received(source, 10000, WAIT_MS));
	for (i = 0; i < 10000; i++)
		assert_int_equal(number(source, i), i);
	assert_true(harness_wait_settled(source, WAIT_MS));
	harness_destroy(&source);
	assert_left(h, "all", 0);
	harness_close(&h);
}

/* Never more than the prefetch out, never more than the credit in. */
static void
test_bounds(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *source;

	(void)state;
	fill(h, "bounds", 1000, 1000);
	source = harness_source(h, "source", "bounds", OPTIONS("prefetch=50"));
	assert_true(harness_wait_received(source, 50, WAIT_MS));
	harness_sleep_ms(200);
	assert_int_equal(harness_received(source), 50);

	/* A pause, during which heartbeats go on; then little by little. */
	harness_window(source, 0, 0);
	harness_settle_range(source, 0, 50, XF_SETTLE_ACK);
	harness_sleep_ms(11000);
	assert_int_equal(harness_received(source), 50);
	assert_int_equal(harness_state(source), XF_STATE_UP);
	assert_int_equal(harness_state_count(source, XF_STATE_DOWN), 0);
	harness_window(source, 7, 3500);
	harness_settle_auto(source, XF_SETTLE_ACK, true);
	assert_true(harness_wait_received(source, 1000, WAIT_MS));
	assert_true(harness_wait_settled(source, WAIT_MS));
	harness_destroy(&source);
	assert_left(h, "bounds", 0);
	harness_close(&h);
}

/* Large messages with little credit: put together over many frames, adopted by the core. */
static void
test_large(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *source;
	size_t i;

	(void)state;
	fill(h, "large", 40, 700000);
	source = harness_source(h, "source", "large", NULL);
	harness_window(source, 3, 1000000);
	harness_settle_auto(source, XF_SETTLE_ACK, true);
	assert_true(harness_wait_received(source, 40, WAIT_MS));
	for (i = 0; i < 40; i++) {
		assert_int_equal(number(source, i), i);
		assert_int_equal(harness_message(source, i)->in.payload_size, 700000);
	}
	assert_true(harness_wait_settled(source, WAIT_MS));
	harness_destroy(&source);
	assert_left(h, "large", 0);
	harness_close(&h);
}

/* Out of order, with one that is never settled in front: the others are acknowledged past it. */
static void
test_settles_out_of_order(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *source;
	size_t i;

	(void)state;
	fill(h, "mixed", 100, 0);
	source = harness_source(h, "source", "mixed", OPTIONS("prefetch=10"));
	assert_true(harness_wait_received(source, 10, WAIT_MS));
	for (i = 9; i > 0; i--)
		harness_settle(source, i, XF_SETTLE_ACK, 0);
	/* 9 places are free again although the first message is still out. */
	assert_true(harness_wait_received(source, 19, WAIT_MS));
	for (i = 10; i < 100; i++) {
		assert_true(harness_wait_received(source, i + 1, WAIT_MS));
		harness_settle(source, i, i % 2 != 0 ? XF_SETTLE_ACK : XF_SETTLE_REJECT, 0);
	}
	/* Nonsense is ignored: twice, and a handle of nobody. */
	harness_settle(source, 5, XF_SETTLE_RETRY, 0);
	harness_settle_handle(source, 0xFFFFFFFFFFFFFFFF, XF_SETTLE_ACK);
	harness_settle_handle(source, 0, XF_SETTLE_ACK);
	assert_true(harness_wait_settled(source, WAIT_MS));
	harness_destroy(&source);
	assert_left(h, "mixed", 1);
	harness_close(&h);
}

static void
test_retries_after_delay(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *source;
	uint64_t began;

	(void)state;
	fill(h, "retry", 3, 0);
	source = harness_source(h, "source", "retry", NULL);
	assert_true(harness_wait_received(source, 3, WAIT_MS));
	assert_int_equal(harness_message(source, 1)->in.attempt, 1);
	assert_int_equal(harness_message(source, 1)->in.flags, 0);
	began = harness_now_ms();
	harness_settle(source, 1, XF_SETTLE_RETRY, 3000);
	harness_settle(source, 0, XF_SETTLE_ACK, 0);
	harness_settle(source, 2, XF_SETTLE_RETRY, 0);
	assert_true(harness_wait_received(source, 4, WAIT_MS));
	assert_int_equal(number(source, 3), 2);
	assert_true(harness_wait_received(source, 5, WAIT_MS));
	assert_true(harness_now_ms() - began >= 2990);
	assert_int_equal(number(source, 4), 1);
	assert_int_equal(harness_message(source, 4)->in.flags, XF_MESSAGE_REDELIVERED);
	assert_int_equal(harness_message(source, 4)->in.attempt, 2);
	harness_settle(source, 3, XF_SETTLE_ACK, 0);
	harness_settle(source, 4, XF_SETTLE_ACK, 0);
	assert_true(harness_wait_settled(source, WAIT_MS));
	harness_destroy(&source);
	assert_left(h, "retry", 0);
	harness_close(&h);
}

static void
test_queue_comes_and_goes(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *source = harness_source(h, "source", "absent", NULL), *other;

	(void)state;
	assert_true(harness_wait_state(source, XF_STATE_BLOCKED, WAIT_MS));
	assert_non_null(strstr(harness_state_reason(source), "no queue 'absent'; create it"));
	fill(h, "absent", 5, 0);
	assert_true(harness_wait_state(source, XF_STATE_UP, WAIT_MS));
	assert_true(harness_wait_received(source, 5, WAIT_MS));
	CTL("delete_queue", "absent");
	assert_true(harness_wait_state(source, XF_STATE_BLOCKED, WAIT_MS));
	/* Settling what is gone with it does no harm. */
	harness_settle_range(source, 0, 5, XF_SETTLE_ACK);
	fill(h, "absent", 2, 0);
	assert_true(harness_wait_received(source, 7, WAIT_MS));
	assert_int_equal(harness_state_count(source, XF_STATE_DOWN), 0);
	harness_destroy(&source);

	/* Declared; one that is there in another form is named as that, and taken as it is where nothing is declared. */
	other = harness_source(h, "other", "made", OPTIONS("declare=true"));
	assert_true(harness_wait_state(other, XF_STATE_UP, WAIT_MS));
	harness_destroy(&other);
	CTL("eval", "rabbit_amqqueue:declare({resource, <<\"/\">>, queue, <<\"transient\">>}, false, false, [], "
	            "none, <<\"test\">>).");
	other = harness_source(h, "other", "transient", OPTIONS("declare=true"));
	assert_true(harness_wait_state(other, XF_STATE_BLOCKED, WAIT_MS));
	assert_non_null(strstr(harness_state_reason(other), "'transient' exists in another form"));
	assert_non_null(strstr(harness_state_reason(other), "leave out 'declare'"));
	harness_destroy(&other);
	other = harness_source(h, "other", "transient", NULL);
	assert_true(harness_wait_state(other, XF_STATE_UP, WAIT_MS));
	harness_destroy(&other);
	harness_close(&h);
}

/* Killed with messages out: offered again after the restart, each at least once. */
static void
test_broker_killed(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *source;
	size_t count, i;
	char seen[3000] = {0};

	(void)state;
	fill(h, "crash", 3000, 0);
	source = harness_source(h, "source", "crash", OPTIONS("prefetch=1000"));
	assert_true(harness_wait_received(source, 1000, WAIT_MS));
	harness_settle_range(source, 0, 400, XF_SETTLE_ACK);
	assert_true(harness_wait_settled(source, WAIT_MS));
	xf_broker_ripen(broker);
	xf_broker_kill(broker);
	assert_true(harness_wait_state(source, XF_STATE_DOWN, WAIT_MS));
	/* Of a connection that is gone. */
	harness_settle_range(source, 400, 100, XF_SETTLE_ACK);
	harness_settle_auto(source, XF_SETTLE_ACK, true);
	xf_broker_restart(broker);
	assert_true(harness_wait_received(source, 1000 + 2600, 2 * WAIT_MS));
	harness_sleep_ms(500);
	count = harness_received(source);
	for (i = 0; i < count; i++)
		seen[number(source, i)] = 1;
	for (i = 0; i < 3000; i++)
		assert_int_equal(seen[i], 1);
	assert_true(harness_wait_settled(source, WAIT_MS));
	harness_destroy(&source);
	assert_left(h, "crash", 0);
	harness_close(&h);
}

static void
assert_in_order(struct harness_endpoint *source, size_t first, size_t count)
{
	assert_true(harness_wait_received(source, first + count, WAIT_MS));
	for (size_t i = 0; i < count; i++)
		assert_int_equal(number(source, first + i), i);
}

/* Until QUEUE has COUNT consumers. */
static void
wait_consumers(const char *queue, unsigned count)
{
	uint64_t end = harness_now_ms() + WAIT_MS;
	char line[80], *text = NULL;

	snprintf(line, sizeof(line), "\n%s\t%u\n", queue, count);
	do {
		free(text);
		text = xf_broker_ctl(broker, (const char *const[]){"list_queues", "--quiet", "name", "consumers", NULL});
		assert_true(harness_now_ms() < end);
	} while (text == NULL || strstr(text, line) == NULL);
	free(text);
}

/* The broker still has the consumer of a process that is gone, and what that holds: whoever comes after it waits, and then
 * gets that first. */
static void
test_successor_waits(void **state)
{
	struct harness *h = transport(), *behind;
	struct proxy *line = proxy_create(xf_broker_url(broker));
	struct harness_endpoint *source;
	char through[160];

	(void)state;
	snprintf(through, sizeof(through), "url=%s", proxy_url(line));
	behind = harness_open("amqp", OPTIONS(through));
	fill(h, "order", 300, 0);
	source = harness_source(behind, "source", "order", NULL);
	assert_true(harness_wait_received(source, 300, WAIT_MS));
	fill_from(h, "order", 300, 300, 0);
	proxy_strand(line);
	harness_destroy(&source);

	harness_clock_hold(true);
	source = harness_source(behind, "source", "order", NULL);
	assert_true(harness_wait_state(source, XF_STATE_BLOCKED, WAIT_MS));
	assert_non_null(strstr(harness_state_reason(source), "queue 'order' has another consumer"));
	proxy_clean(line);
	wait_consumers("order", 0);
	harness_clock_hold(false);
	assert_in_order(source, 0, 600);
	harness_settle_range(source, 0, 600, XF_SETTLE_ACK);
	assert_true(harness_wait_settled(source, WAIT_MS));
	harness_destroy(&source);
	assert_left(h, "order", 0);
	harness_close(&behind);
	proxy_destroy(&line);
	harness_close(&h);
}

/* Others consume there: a source that starts works beside them two seconds later. */
static void
test_starts_beside_others(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *other, *source;

	(void)state;
	fill(h, "shared", 1, 0);
	other = harness_source(h, "other", "shared", NULL);
	assert_true(harness_wait_received(other, 1, WAIT_MS));
	harness_clock_hold(true);
	source = harness_source(h, "source", "shared", NULL);
	assert_true(harness_wait_state(source, XF_STATE_BLOCKED, WAIT_MS));
	harness_clock_advance(2000);
	assert_true(harness_wait_state(source, XF_STATE_UP, WAIT_MS));
	harness_clock_hold(false);
	harness_destroy(&source);
	harness_destroy(&other);
	harness_close(&h);
}

/* A line that is dead without a word: the source waits until the broker has noticed, too. */
static void
test_half_open_keeps_order(void **state)
{
	struct harness *h = transport(), *behind;
	struct proxy *line = proxy_create(xf_broker_url(broker));
	struct harness_endpoint *source;
	char through[160];

	(void)state;
	snprintf(through, sizeof(through), "url=%s", proxy_url(line));
	behind = harness_open("amqp", OPTIONS(through, "heartbeat=2s"));
	fill(h, "half", 300, 0);
	source = harness_source(behind, "source", "half", NULL);
	assert_true(harness_wait_received(source, 300, WAIT_MS));
	proxy_strand(line);
	assert_true(harness_wait_state(source, XF_STATE_BLOCKED, WAIT_MS));
	fill_from(h, "half", 300, 300, 0);
	assert_in_order(source, 300, 600);
	harness_destroy(&source);
	harness_close(&behind);
	proxy_destroy(&line);
	harness_close(&h);
}

/* Start and stop at once, with messages under way: nothing leaks, nothing is lost. */
static void
test_starts_and_stops(void **state)
{
	struct harness *h = transport();
	size_t fds = 0;
	int i;

	(void)state;
	fill(h, "life", 2000, 0);
	for (i = 0; i < 20; i++) {
		struct harness_endpoint *source = harness_source(h, "source", "life", NULL);

		if (i % 2 != 0)
			assert_true(harness_wait_received(source, 1, WAIT_MS));
		harness_destroy(&source);
		if (i == 0)
			fds = harness_count_fds();
	}
	assert_int_equal(harness_count_fds(), fds);
	assert_left(h, "life", 2000);
	harness_close(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_consumes_all),         cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_large),                cmocka_unit_test(test_settles_out_of_order),
		cmocka_unit_test(test_retries_after_delay),  cmocka_unit_test(test_queue_comes_and_goes),
		cmocka_unit_test(test_successor_waits),      cmocka_unit_test(test_half_open_keeps_order),
		cmocka_unit_test(test_starts_beside_others), cmocka_unit_test(test_starts_and_stops),
		cmocka_unit_test(test_broker_killed),
	};

	if (!harness_available("amqp")) {
		printf("the amqp plugin is not built\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, broker_up, broker_down);
}
