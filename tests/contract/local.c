/*
 * What the embedded broker promises beyond the contract of every transport: groups, order of what comes back,
 * bounded memory, de-duplication, time, sight.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "harness.h"
#include "wait.h"

#define SOON XF_WAIT_MS

static uint64_t
report_number(struct harness *h, const char *name)
{
	char key[64];
	const char *at;

	snprintf(key, sizeof(key), "\"%s\":", name);
	at = strstr(harness_report(h), key);
	assert_non_null(at);
	return strtoull(at + strlen(key), NULL, 10);
}

static void
wait_report(struct harness *h, const char *name, uint64_t value)
{
	uint64_t until = harness_now_ms() + SOON;

	while (report_number(h, name) != value && harness_now_ms() < until)
		harness_sleep_ms(1);
	assert_int_equal(report_number(h, name), value);
}

static void
publish_numbers(struct harness_endpoint *sink, const char *subject, int first, int count)
{
	char text[16];

	harness_hold(sink, true);
	for (int i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "%d", first + i);
		harness_publish_text(sink, subject, text);
	}
	harness_hold(sink, false);
}

static int
number_of(struct harness_endpoint *source, size_t index)
{
	const struct harness_message *m = harness_message(source, index);

	assert_non_null(m);
	return atoi(m->in.payload);
}

static void
patterns_select(void **state)
{
	static const struct {
		const char *pattern;
		const char *subject;
		bool matches;
	} rows[] = {
		{">", "a", true},        {">", "a.b.c", true},   {"a.>", "a.b", true},     {"a.>", "a.b.c", true},
		{"a.>", "a", false},     {"a.>", "ab.c", false}, {"a.*", "a.b", true},     {"a.*", "a.b.c", false},
		{"*.b", "a.b", true},    {"*.b", "a.c", false},  {"a.*.c", "a.b.c", true}, {"a.*.c", "a.b.d", false},
		{"*.*.>", "a.b", false}, {"*.>", "a.b.c", true}, {"a.b", "a.b", true},     {"a.b", "a.bc", false},
		{"a.b", "a", false},     {"a*", "a*", true},     {"a*", "ab", false},      {"a.b>", "a.b>", true},
		{"*", "a", true},        {"*", "a.b", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct harness *h = harness_open("local", NULL);
		struct harness_endpoint *source = harness_source(h, "from", rows[i].pattern, NULL);
		struct harness_endpoint *sink = harness_sink(h, "to", NULL, NULL);
		struct harness_result result;

		harness_publish_text(sink, rows[i].subject, "x");
		assert_true(harness_wait_completed(sink, 1, SOON));
		result = harness_result(sink, 0);
		assert_int_equal(result.code, XF_RESULT_STORED);
		if (!!(result.flags & XF_RESULT_NO_RECEIVER) == rows[i].matches)
			fail_msg("pattern %s, subject %s", rows[i].pattern, rows[i].subject);
		if (rows[i].matches)
			assert_true(harness_wait_received(source, 1, SOON));
		harness_destroy(&sink);
		harness_destroy(&source);
		harness_close(&h);
	}
}

static void
every_subscription_has_its_own_copy(void **state)
{
	struct harness *h = harness_open("local", NULL);
	struct harness_endpoint *a = harness_source(h, "a", "x.>", NULL), *b = harness_source(h, "b", "x.>", NULL);
	struct harness_endpoint *sink = harness_sink(h, "to", NULL, NULL);

	(void)state;
	publish_numbers(sink, "x.y", 0, 1000);
	assert_true(harness_wait_received(a, 1000, SOON));
	assert_true(harness_wait_received(b, 1000, SOON));
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(number_of(a, (size_t)i), i);
		assert_int_equal(number_of(b, (size_t)i), i);
	}
	harness_destroy(&a);
	harness_destroy(&b);
	harness_destroy(&sink);
	harness_close(&h);
}

static void
a_group_shares(void **state)
{
	struct harness *h = harness_open("local", NULL);
	struct harness_endpoint *members[3], *sink;
	bool seen[3000] = {false};
	size_t sum = 0;
	uint64_t until = harness_now_ms() + SOON;

	(void)state;
	for (int i = 0; i < 3; i++) {
		char name[8] = {'m', (char)('0' + i), '\0'};

		members[i] = harness_source_create(h, name, "x", OPTIONS("group=workers"), NULL);
		harness_window(members[i], 1000, 1 << 20);
		harness_start(members[i]);
	}
	sink = harness_sink(h, "to", NULL, NULL);
	publish_numbers(sink, "x", 0, 3000);
	while (sum < 3000 && harness_now_ms() < until) {
		harness_sleep_ms(1);
		sum = 0;
		for (int i = 0; i < 3; i++)
			sum += harness_received(members[i]);
	}
	assert_int_equal(sum, 3000);
	for (int i = 0; i < 3; i++) {
		int before = -1;

		assert_int_equal(harness_received(members[i]), 1000);
		for (size_t k = 0; k < harness_received(members[i]); k++) {
			int n = number_of(members[i], k);

			assert_true(n > before); /* order is kept within a member */
			assert_false(seen[n]);
			seen[n] = true;
			before = n;
		}
	}
	for (int i = 0; i < 3; i++)
		harness_destroy(&members[i]);
	harness_destroy(&sink);
	harness_close(&h);
}

static void
what_comes_back_goes_first_and_in_order(void **state)
{
	struct harness *h = harness_open("local", NULL);
	struct harness_endpoint *source = harness_source(h, "from", "x", NULL), *sink = harness_sink(h, "to", NULL, NULL);

	(void)state;
	harness_window(source, 10, 1 << 20);
	publish_numbers(sink, "x", 0, 20);
	assert_true(harness_wait_received(source, 10, SOON));
	/* out of order, some done, some not */
	harness_hold(source, true);
	harness_settle(source, 9, XF_SETTLE_RETRY, 0);
	harness_settle(source, 3, XF_SETTLE_ACK, 0);
	harness_settle(source, 1, XF_SETTLE_RETRY, 0);
	harness_settle(source, 4, XF_SETTLE_REJECT, 0);
	harness_settle(source, 0, XF_SETTLE_EXTEND, 0);
	harness_hold(source, false);
	assert_true(harness_wait_received(source, 14, SOON));
	assert_int_equal(number_of(source, 10), 1);
	assert_int_equal(number_of(source, 11), 9);
	assert_int_equal(harness_message(source, 10)->in.attempt, 2);
	assert_true(harness_message(source, 10)->in.flags & XF_MESSAGE_REDELIVERED);
	assert_int_equal(number_of(source, 12), 10);
	assert_int_equal(harness_message(source, 12)->in.attempt, 1);
	assert_int_equal(number_of(source, 13), 11);
	harness_destroy(&source);

	/* 0 2 5 6 7 8 1 9 10 11 were out; all before 12 */
	source = harness_source(h, "from", "x", NULL);
	assert_true(harness_wait_received(source, 18, SOON));
	for (int i = 0; i < 18; i++) {
		static const int expected[] = {0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19};

		assert_int_equal(number_of(source, (size_t)i), expected[i]);
	}
	assert_int_equal(harness_message(source, 1)->in.attempt, 3);
	assert_int_equal(harness_message(source, 17)->in.attempt, 1);
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);
}

static void
a_retry_waits_for_its_delay(void **state)
{
	struct harness *h = harness_open("local", NULL);
	struct harness_endpoint *source = harness_source(h, "from", "x", NULL), *sink = harness_sink(h, "to", NULL, NULL);
	uint64_t since;

	(void)state;
	publish_numbers(sink, "x", 0, 2);
	assert_true(harness_wait_received(source, 2, SOON));
	since = harness_now_ms();
	harness_hold(source, true);
	harness_settle(source, 0, XF_SETTLE_RETRY, 150);
	harness_settle(source, 1, XF_SETTLE_RETRY, 50);
	harness_hold(source, false);
	assert_true(harness_wait_received(source, 3, SOON));
	assert_int_equal(number_of(source, 2), 1);
	assert_true(harness_wait_received(source, 4, SOON));
	assert_int_equal(number_of(source, 3), 0);
	assert_true(harness_now_ms() - since >= 149);
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);
}

static void
a_full_broker_takes_no_more(void **state)
{
	struct harness *h = harness_open("local", OPTIONS("max_messages=100"));
	struct harness_endpoint *source = harness_source(h, "from", "x", NULL), *sink = harness_sink(h, "to", NULL, NULL);

	(void)state;
	harness_window(source, 1000, 1 << 20);
	publish_numbers(sink, "x", 0, 250);
	assert_true(harness_wait_received(source, 100, SOON));
	assert_true(harness_wait_completed(sink, 100, SOON));
	harness_sleep_ms(30);
	assert_int_equal(harness_completed(sink), 100);
	assert_int_equal(report_number(h, "messages"), 100);
	harness_settle_range(source, 0, 50, XF_SETTLE_ACK);
	assert_true(harness_wait_completed(sink, 150, SOON));
	assert_true(harness_wait_received(source, 150, SOON));
	harness_settle_auto(source, XF_SETTLE_ACK, true);
	harness_settle_range(source, 50, 100, XF_SETTLE_ACK);
	assert_true(harness_wait_completed(sink, 250, SOON));
	assert_true(harness_wait_received(source, 250, SOON));
	wait_report(h, "messages", 0);
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);
}

static void
bytes_are_bounded_too(void **state)
{
	static char big[40000];
	struct harness *h = harness_open("local", OPTIONS("max_bytes=128KiB"));
	struct harness_endpoint *source = harness_source(h, "from", "x", NULL), *sink = harness_sink(h, "to", NULL, NULL);
	struct xf_outgoing message = {.subject = {"x", 1}, .payload = big, .payload_size = sizeof(big)};
	char *huge = calloc(1, 200000);

	(void)state;
	assert_non_null(huge);
	for (int i = 0; i < 20; i++)
		harness_publish(sink, &message);
	message.payload = huge;
	message.payload_size = 200000;
	harness_publish(sink, &message);
	assert_true(harness_wait_completed(sink, 2, SOON));
	harness_sleep_ms(30);
	assert_true(harness_completed(sink) <= 3);
	assert_true(report_number(h, "bytes") <= 140 << 10);
	harness_settle_auto(source, XF_SETTLE_ACK, true);
	for (size_t i = 0, out = harness_received(source); i < out; i++)
		harness_settle(source, i, XF_SETTLE_ACK, 0);
	assert_true(harness_wait_completed(sink, 21, SOON));
	assert_int_equal(harness_result(sink, 20).code, XF_RESULT_REJECTED);
	assert_true(harness_wait_received(source, 20, SOON));
	wait_report(h, "bytes", 0);
	free(huge);
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);
}

static void
an_id_is_stored_once_within_the_window(void **state)
{
	struct harness *h = harness_open("local", OPTIONS("dedup_window=100"));
	struct harness_endpoint *source = harness_source(h, "from", ">", NULL), *sink = harness_sink(h, "to", NULL, NULL);
	struct xf_outgoing message = {.subject = {"x", 1}, .dedup_id = {"one", 3}, .id = {"one", 3}};

	(void)state;
	assert_true(harness_sink_traits(h, NULL) & XF_TRAIT_DEDUP);
	harness_publish(sink, &message);
	harness_publish(sink, &message);
	message.dedup_id = (struct xf_str){"one/copy", 8};
	harness_publish(sink, &message);
	message.dedup_id = (struct xf_str){"one", 3};
	message.subject = (struct xf_str){"y", 1}; /* carried on by another route */
	harness_publish(sink, &message);
	assert_true(harness_wait_completed(sink, 4, SOON));
	assert_int_equal(harness_result(sink, 0).flags, 0);
	assert_int_equal(harness_result(sink, 1).flags, XF_RESULT_DUPLICATE);
	assert_int_equal(harness_result(sink, 2).flags, 0);
	assert_int_equal(harness_result(sink, 3).flags, 0);
	assert_true(harness_wait_received(source, 3, SOON));
	for (int i = 0; i < 98 * 2 + 10; i++) {
		char id[16];

		snprintf(id, sizeof(id), "other-%d", i);
		message.dedup_id = xf_str(id);
		harness_publish(sink, &message);
		if (i == 90)
			harness_republish(sink, 0); /* still within */
	}
	harness_republish(sink, 0); /* long past */
	assert_true(harness_wait_completed(sink, 4 + 98 * 2 + 12, SOON));
	assert_int_equal(harness_result(sink, 4 + 91).flags, XF_RESULT_DUPLICATE);
	assert_int_equal(harness_result(sink, harness_published(sink) - 1).flags, 0);
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);
}

/* A backlog comes and goes many times; the memory that the broker counts is back at nothing each time. */
static void
memory_is_flat(void **state)
{
	struct harness *h = harness_open("local", OPTIONS("max_bytes=8MiB", "dedup_window=0"));
	struct harness_endpoint *source = harness_source_create(h, "from", "x", NULL, NULL);
	struct harness_endpoint *sink = harness_sink(h, "to", NULL, NULL);

	(void)state;
	harness_settle_auto(source, XF_SETTLE_ACK, false);
	harness_start(source);
	for (int round = 0; round < 10; round++) {
		harness_window(source, 0, 0);
		publish_numbers(sink, "x", 0, 5000);
		assert_true(harness_wait_completed(sink, (size_t)(round + 1) * 5000, SOON));
		assert_true(report_number(h, "bytes") > 0);
		harness_window(source, 512, 1 << 20);
		assert_true(harness_wait_received(source, (size_t)(round + 1) * 5000, SOON));
		wait_report(h, "messages", 0);
		assert_int_equal(report_number(h, "bytes"), 0);
	}
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);
}

static void
a_subscription_stays_while_something_is_left(void **state)
{
	struct harness *h = harness_open("local", NULL);
	struct harness_endpoint *source = harness_source(h, "from", "x", NULL), *sink = harness_sink(h, "to", NULL, NULL);
	struct harness_endpoint *never = harness_source_create(h, "never", "x", NULL, NULL);

	(void)state;
	publish_numbers(sink, "x", 0, 5);
	assert_true(harness_wait_received(source, 5, SOON));
	harness_settle_range(source, 0, 4, XF_SETTLE_ACK);
	assert_true(harness_wait_settled(source, SOON));
	harness_destroy(&source);
	assert_non_null(strstr(harness_report(h), "\"sources\":0,\"pending\":1,"));
	harness_destroy(&never);
	assert_null(strstr(harness_report(h), "never"));
	publish_numbers(sink, "x", 5, 1);
	source = harness_source(h, "from", "x", NULL);
	assert_true(harness_wait_received(source, 2, SOON));
	assert_int_equal(number_of(source, 0), 4);
	assert_int_equal(number_of(source, 1), 5);
	harness_settle_range(source, 0, 2, XF_SETTLE_ACK);
	assert_true(harness_wait_settled(source, SOON));
	harness_destroy(&source);
	assert_non_null(strstr(harness_report(h), "\"subscriptions\":[]"));
	assert_int_equal(report_number(h, "messages"), 0);
	harness_destroy(&sink);
	harness_close(&h);
}

static void
what_has_no_id_gets_one_that_stays(void **state)
{
	struct harness *h = harness_open("local", NULL);
	struct harness_endpoint *source = harness_source(h, "from", "x", NULL), *sink = harness_sink(h, "to", NULL, NULL);
	struct xf_outgoing message = {.subject = {"x", 1}, .ttl_ms = 60000, .priority = 5, .time_ms = 1234};

	(void)state;
	harness_publish(sink, &message);
	harness_publish(sink, &message);
	assert_true(harness_wait_received(source, 2, SOON));
	harness_settle(source, 0, XF_SETTLE_RETRY, 0);
	assert_true(harness_wait_received(source, 3, SOON));
	assert_true(harness_message(source, 0)->in.id.len > 0);
	assert_string_equal(harness_message(source, 0)->in.id.data, harness_message(source, 2)->in.id.data);
	assert_string_not_equal(harness_message(source, 0)->in.id.data, harness_message(source, 1)->in.id.data);
	assert_in_range(harness_message(source, 0)->in.ttl_ms, 1, 60000);
	assert_int_equal(harness_message(source, 0)->in.priority, 5);
	assert_int_equal(harness_message(source, 0)->in.time_ms, 1234);
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);
}

/* ---- Time ------------------------------------------------------------------------------ */

static void
what_has_outlived_its_time_is_dropped(void **state)
{
	struct harness *h = harness_open("local", NULL);
	struct harness_endpoint *source = harness_source_create(h, "from", "x", NULL, NULL);
	struct harness_endpoint *sink = harness_sink(h, "to", NULL, NULL);
	struct xf_outgoing message = {.subject = {"x", 1}, .payload = "0", .payload_size = 1, .ttl_ms = 60000};

	(void)state;
	harness_publish(sink, &message);
	message.payload = "1";
	message.ttl_ms = 0;
	harness_publish(sink, &message);
	message.payload = "2";
	message.ttl_ms = 200000;
	harness_publish(sink, &message);
	message.payload = "3";
	message.ttl_ms = UINT64_MAX;
	harness_publish(sink, &message);
	assert_true(harness_wait_completed(sink, 4, SOON));
	harness_clock_advance(61000);
	harness_start(source);
	assert_true(harness_wait_received(source, 3, SOON));
	assert_int_equal(number_of(source, 2), 3);
	assert_int_equal(harness_message(source, 2)->in.ttl_ms, 0);
	assert_int_equal(number_of(source, 0), 1);
	assert_int_equal(harness_message(source, 0)->in.ttl_ms, 0);
	assert_int_equal(number_of(source, 1), 2);
	assert_in_range(harness_message(source, 1)->in.ttl_ms, 1, 139000);
	assert_int_equal(report_number(h, "expired"), 1);
	/* while it is out it may die too: then the retry does not come */
	harness_settle(source, 0, XF_SETTLE_ACK, 0);
	harness_settle(source, 2, XF_SETTLE_ACK, 0);
	harness_clock_advance(200000);
	harness_settle(source, 1, XF_SETTLE_RETRY, 0);
	wait_report(h, "expired", 2);
	assert_int_equal(report_number(h, "messages"), 0);
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);
}

static void
max_age_makes_room_without_consumers(void **state)
{
	struct harness *h = harness_open("local", OPTIONS("max_messages=10", "max_age=1h"));
	struct harness_endpoint *source = harness_source_create(h, "from", "x", NULL, NULL);
	struct harness_endpoint *sink = harness_sink(h, "to", NULL, NULL);

	(void)state;
	publish_numbers(sink, "x", 0, 15);
	assert_true(harness_wait_completed(sink, 10, SOON));
	harness_sleep_ms(30);
	assert_int_equal(harness_completed(sink), 10);
	harness_clock_advance(3601000);
	assert_true(harness_wait_completed(sink, 15, SOON));
	assert_int_equal(report_number(h, "expired"), 10);
	assert_int_equal(report_number(h, "messages"), 5);
	harness_start(source);
	assert_true(harness_wait_received(source, 5, SOON));
	assert_int_equal(number_of(source, 0), 10);
	assert_int_equal(harness_message(source, 0)->in.ttl_ms, 0); /* the age is the broker's own affair */
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);
}

/* A subscription that was left with messages goes with the last of them, however that went. */
static void
a_subscription_ends_with_what_has_died(void **state)
{
	struct harness *h = harness_open("local", OPTIONS("max_age=1h"));
	struct harness_endpoint *source = harness_source_create(h, "from", "x", NULL, NULL);
	struct harness_endpoint *sink = harness_sink(h, "to", NULL, NULL);

	(void)state;
	harness_window(source, 0, 0);
	harness_start(source);
	assert_true(harness_wait_state(source, XF_STATE_UP, SOON));
	publish_numbers(sink, "x", 0, 5);
	assert_true(harness_wait_completed(sink, 5, SOON));
	harness_destroy(&source);
	assert_int_equal(report_number(h, "messages"), 5);
	assert_int_equal(report_number(h, "subscription_count"), 1);
	harness_clock_advance(3600001);
	wait_report(h, "subscription_count", 0);
	assert_int_equal(report_number(h, "expired"), 5);
	publish_numbers(sink, "x", 5, 1);
	assert_true(harness_wait_completed(sink, 6, SOON));
	assert_int_equal(harness_result(sink, 5).flags, XF_RESULT_NO_RECEIVER);
	harness_destroy(&sink);
	harness_close(&h);
}

static void
what_is_not_settled_in_time_goes_to_another(void **state)
{
	struct harness *h = harness_open("local", NULL);
	struct harness_endpoint *slow = harness_source(h, "slow", "x", OPTIONS("group=g", "ack_wait=30s"));
	struct harness_endpoint *sink = harness_sink(h, "to", NULL, NULL), *quick;

	(void)state;
	publish_numbers(sink, "x", 0, 4);
	assert_true(harness_wait_received(slow, 4, SOON));
	harness_clock_advance(20000);
	harness_settle(slow, 1, XF_SETTLE_EXTEND, 0);
	harness_settle(slow, 2, XF_SETTLE_ACK, 0);
	assert_true(harness_wait_settled(slow, SOON));
	harness_window(slow, 0, 0);
	quick = harness_source(h, "quick", "x", OPTIONS("group=g", "ack_wait=30s"));
	harness_sleep_ms(50);
	assert_int_equal(harness_received(quick), 0);
	harness_clock_advance(11000); /* 0 and 3 are overdue */
	assert_true(harness_wait_received(quick, 2, SOON));
	assert_int_equal(number_of(quick, 0), 0);
	assert_int_equal(number_of(quick, 1), 3);
	assert_int_equal(harness_message(quick, 0)->in.attempt, 2);
	assert_true(harness_message(quick, 0)->in.flags & XF_MESSAGE_REDELIVERED);
	assert_int_equal(report_number(h, "overdue"), 2);
	/* the old handles are nobody's; the extended one is good */
	harness_settle_range(slow, 0, 2, XF_SETTLE_ACK);
	harness_settle(slow, 3, XF_SETTLE_RETRY, 0);
	assert_true(harness_wait_settled(slow, SOON));
	harness_settle_range(quick, 0, 2, XF_SETTLE_ACK);
	assert_true(harness_wait_settled(quick, SOON));
	assert_int_equal(report_number(h, "messages"), 0);
	assert_int_equal(report_number(h, "settled"), 4);
	assert_int_equal(harness_received(quick), 2);
	harness_destroy(&slow);
	harness_destroy(&quick);
	harness_destroy(&sink);
	harness_close(&h);
}

/* ---- Sight ------------------------------------------------------------------------------ */

#define ALL (XF_SIGHT_DEPTH | XF_SIGHT_LAG | XF_SIGHT_CONSUMERS)

static struct xf_sight
sight_soon(struct harness_endpoint *endpoint, uint32_t known)
{
	harness_clock_advance(2000);
	return harness_wait_sight(endpoint, known, SOON);
}

static void
sight_tells_what_stands_there(void **state)
{
	struct harness *h = harness_open("local", NULL);
	struct harness_endpoint *a = harness_source_create(h, "a", "x.*", OPTIONS("group=g"), NULL);
	struct harness_endpoint *b = harness_source_create(h, "b", "x.*", OPTIONS("group=g"), NULL);
	struct harness_endpoint *other = harness_source_create(h, "c", "y", NULL, NULL);
	struct harness_endpoint *sink = harness_sink(h, "to", "x.{key}", NULL), *wide = harness_sink(h, "all", NULL, NULL);
	struct xf_sight sight;

	(void)state;
	publish_numbers(sink, "x.1", 0, 5);
	publish_numbers(sink, "y", 0, 1); /* the harness does not fill in templates */
	assert_true(harness_wait_completed(sink, 6, SOON));
	sight = sight_soon(sink, ALL);
	assert_int_equal(sight.depth, 5);
	assert_int_equal(sight.lag, 5);
	assert_int_equal(sight.consumers, 2);
	sight = sight_soon(wide, XF_SIGHT_LAG | XF_SIGHT_CONSUMERS);
	assert_false(sight.known & XF_SIGHT_DEPTH);
	assert_int_equal(sight.lag, 5);
	assert_int_equal(sight.consumers, 3);
	harness_start(a);
	assert_true(harness_wait_received(a, 5, SOON));
	sight = sight_soon(a, ALL);
	assert_int_equal(sight.lag, 5);
	assert_int_equal(sight.consumers, 2);
	/* the end is told at once, without the clock */
	harness_settle_range(a, 0, 5, XF_SETTLE_ACK);
	sight = harness_wait_sight(a, ALL, SOON);
	assert_int_equal(sight.lag, 0);
	harness_destroy(&a);
	harness_destroy(&b);
	harness_destroy(&other);
	harness_destroy(&sink);
	harness_destroy(&wide);
	harness_close(&h);
}

static void
a_group_has_a_name(void **state)
{
	struct harness *h = harness_open("local", NULL);
	struct xf_error error = {""};

	(void)state;
	assert_null(harness_source_create(h, "from", "x", OPTIONS("group="), &error));
	assert_non_null(strstr(error.text, "expected a name"));
	harness_close(&h);
}

/* Each of many subscriptions gets its own. */
static void
many_subscriptions(void **state)
{
	enum { MANY = 2000 };
	struct harness *h = harness_open("local", NULL);
	static struct harness_endpoint *sources[MANY];
	struct harness_endpoint *sink = harness_sink(h, "to", NULL, NULL);
	char text[32];

	(void)state;
	for (int i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), i % 3 ? "orders.%d.created" : "orders.%d.>", i);
		sources[i] = harness_source_create(h, "from", text, NULL, NULL);
	}
	assert_int_equal(report_number(h, "subscription_count"), MANY);
	for (int i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "orders.%d.created", i);
		harness_publish_text(sink, text, "x");
	}
	assert_true(harness_wait_completed(sink, MANY, SOON));
	assert_int_equal(report_number(h, "messages"), MANY);
	assert_int_equal(report_number(h, "no_receiver"), 0);
	harness_start(sources[MANY - 1]);
	assert_true(harness_wait_received(sources[MANY - 1], 1, SOON));
	snprintf(text, sizeof(text), "orders.%d.created", MANY - 1);
	assert_string_equal(harness_message(sources[MANY - 1], 0)->in.subject.data, text);
	for (int i = 0; i < MANY; i++)
		harness_destroy(&sources[i]);
	harness_destroy(&sink);
	harness_close(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_select),
		cmocka_unit_test(every_subscription_has_its_own_copy),
		cmocka_unit_test(a_group_shares),
		cmocka_unit_test(what_comes_back_goes_first_and_in_order),
		cmocka_unit_test(a_retry_waits_for_its_delay),
		cmocka_unit_test(a_full_broker_takes_no_more),
		cmocka_unit_test(bytes_are_bounded_too),
		cmocka_unit_test(an_id_is_stored_once_within_the_window),
		cmocka_unit_test(memory_is_flat),
		cmocka_unit_test(a_subscription_stays_while_something_is_left),
		cmocka_unit_test(what_has_no_id_gets_one_that_stays),
		cmocka_unit_test(what_has_outlived_its_time_is_dropped),
		cmocka_unit_test(max_age_makes_room_without_consumers),
		cmocka_unit_test(a_subscription_ends_with_what_has_died),
		cmocka_unit_test(what_is_not_settled_in_time_goes_to_another),
		cmocka_unit_test(sight_tells_what_stands_there),
		cmocka_unit_test(a_group_has_a_name),
		cmocka_unit_test(many_subscriptions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
