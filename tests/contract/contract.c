/*
 * The contract: what every transport promises to the core, one test for each promise, on a real broker.
 *
 *   contract ROW [TEST]   status 77: the plugin was not built, or its broker is not installed
 *
 * The harness itself watches over the rest, in every test: credit, one completion for each token, threads, DOWN only
 * with no token out, nothing after stop().
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"
#include "broker.h"
#include "harness.h"
#include "rows.h"

#define SOON 20000
#define LATE 60000 /* a broker starts, or gives back what a dead connection held */
#define SKIPPED 77

static const struct row *row;
static struct xf_broker *broker;

/* What a test runs on. */
struct bench {
	char word[32];
	char texts[4][128];
	char options[2][ROW_OPTIONS][128];
	const char *source_options[ROW_OPTIONS + 1];
	const char *sink_options[ROW_OPTIONS + 1];
	const char *subject;
	const char *pattern;
	struct harness *harness;
	struct harness_endpoint *source;
	struct harness_endpoint *sink;
};

/* Puts WORD in the place of "%s". */
static const char *
fill_in(const char *text, const char *word, char *out, size_t size)
{
	const char *place = strstr(text, "%s");

	if (place == NULL)
		snprintf(out, size, "%s", text);
	else
		snprintf(out, size, "%.*s%s%s", (int)(place - text), text, word, place + 2);
	return out;
}

static void
options_fill(const char *const *from, const char *word, char texts[][128], const char **to)
{
	size_t count = 0;

	for (; count < ROW_OPTIONS && from[count] != NULL; count++)
		to[count] = fill_in(from[count], word, texts[count], 128);
	to[count] = NULL;
}

static struct harness *
transport_open(const char *url)
{
	const char *options[ROW_OPTIONS + 2] = {NULL};
	char text[256];
	size_t count = 0;

	for (; row->transport[count] != NULL; count++)
		options[count] = row->transport[count];
	if (row->broker != NULL) {
		snprintf(text, sizeof(text), "url=%s", url);
		options[count++] = text;
	}
	return harness_open(row->plugin, options);
}

static struct bench *
bench_create(const char *url)
{
	static unsigned tests;
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	snprintf(b->word, sizeof(b->word), "t%u", ++tests);
	b->subject = fill_in(row->subject, b->word, b->texts[0], sizeof(b->texts[0]));
	b->pattern = fill_in(row->pattern, b->word, b->texts[1], sizeof(b->texts[1]));
	options_fill(row->source, b->word, b->options[0], b->source_options);
	options_fill(row->sink, b->word, b->options[1], b->sink_options);
	b->harness = transport_open(url != NULL ? url : broker != NULL ? xf_broker_url(broker) : NULL);
	return b;
}

static void
bench_destroy(struct bench *b)
{
	harness_destroy(&b->source);
	harness_destroy(&b->sink);
	harness_close(&b->harness);
	free(b);
}

static void
source_begin(struct bench *b)
{
	if (row->no_source)
		return;
	b->source = harness_source(b->harness, "contract/from", b->pattern, b->source_options);
	if (!harness_wait_state(b->source, XF_STATE_UP, SOON))
		fail_msg("the source does not come up: %s", harness_state_reason(b->source));
}

static void
sink_begin(struct bench *b)
{
	b->sink = harness_sink(b->harness, "contract/to", "{subject}", b->sink_options);
	if (!harness_wait_state(b->sink, XF_STATE_UP, SOON))
		fail_msg("the sink does not come up: %s", harness_state_reason(b->sink));
}

static struct bench *
bench_begin(void)
{
	struct bench *b = bench_create(NULL);

	source_begin(b);
	sink_begin(b);
	return b;
}

static uint64_t
source_traits(struct bench *b)
{
	return row->no_source ? XF_TRAIT_LOSSY : harness_source_traits(b->harness, b->source_options);
}

static bool
has_source(void)
{
	if (row->no_source)
		skip();
	return true;
}

/* A source whose messages wait for an acknowledgement. */
static void
need_acks(struct bench *b)
{
	if (!(source_traits(b) & XF_TRAIT_LOSSY))
		return;
	bench_destroy(b);
	skip();
}

static void
publish(struct bench *b, size_t first, size_t count)
{
	char text[32];

	harness_hold(b->sink, true);
	for (size_t i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "%zu", first + i);
		harness_publish_text(b->sink, b->subject, text);
	}
	harness_hold(b->sink, false);
}

static void
assert_all_stored(struct harness_endpoint *sink)
{
	size_t count = harness_published(sink);

	if (!harness_wait_completed(sink, count, LATE))
		fail_msg("%zu of %zu completed", harness_completed(sink), count);
	for (size_t i = 0; i < count; i++) {
		struct harness_result result = harness_result(sink, i);

		if (result.code != XF_RESULT_STORED)
			fail_msg("token %zu: code %u, %s", i, result.code, result.reason);
	}
}

static void
assert_received(struct harness_endpoint *source, size_t count)
{
	if (!harness_wait_received(source, count, LATE))
		fail_msg("%zu of %zu received", harness_received(source), count);
}

static size_t
number_of(struct harness_endpoint *source, size_t index)
{
	const struct harness_message *m = harness_message(source, index);

	assert_non_null(m);
	return strtoull(m->in.payload, NULL, 10);
}

/* ---- 1. Life ------------------------------------------------------------------------ */

/* 1.1 Create and destroy need no broker and leave nothing. */
static void
create_and_destroy(void **state)
{
	struct bench *b = bench_create(row->nowhere);
	size_t fds = harness_count_fds(), threads = harness_count_threads();

	(void)state;
	for (int i = 0; i < 200; i++) {
		if (!row->no_source)
			b->source = harness_source_create(b->harness, "contract/from", b->pattern, b->source_options, NULL);
		b->sink = harness_sink_create(b->harness, "contract/to", "{subject}", b->sink_options, NULL);
		/* each has its bell, which is the harness's */
		assert_true(harness_count_fds() <= fds + 2);
		harness_destroy(&b->source);
		harness_destroy(&b->sink);
	}
	assert_int_equal(harness_count_fds(), fds);
	assert_int_equal(harness_count_threads(), threads);
	bench_destroy(b);
}

/* 1.2 Stop may come at any time, before a connection too. */
static void
stop_before_connected(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		struct bench *b = bench_create(i % 2 == 0 ? row->nowhere : NULL);

		if (!row->no_source)
			b->source = harness_source(b->harness, "contract/from", b->pattern, b->source_options);
		b->sink = harness_sink(b->harness, "contract/to", "{subject}", b->sink_options);
		harness_publish_text(b->sink, b->subject, "never mind");
		harness_sleep_ms((unsigned)i);
		bench_destroy(b);
	}
}

/* 1.3 A broker that is away is DOWN with a reason, and UP once it is there. */
static void
a_broker_may_come_later(void **state)
{
	struct bench *b;

	(void)state;
	if (broker == NULL)
		skip();
	xf_broker_stop(broker);
	b = bench_create(NULL);
	if (!row->no_source)
		b->source = harness_source(b->harness, "contract/from", b->pattern, b->source_options);
	b->sink = harness_sink(b->harness, "contract/to", "{subject}", b->sink_options);
	assert_true(harness_wait_state(b->sink, XF_STATE_DOWN, SOON));
	assert_true(row->no_source || harness_wait_state(b->source, XF_STATE_DOWN, SOON));
	assert_true(strlen(harness_state_reason(b->sink)) > 0);
	harness_publish_text(b->sink, b->subject, "0");
	xf_broker_restart(broker);
	assert_true(row->no_source || harness_wait_state(b->source, XF_STATE_UP, LATE));
	assert_true(harness_wait_state(b->sink, XF_STATE_UP, LATE));
	assert_all_stored(b->sink);
	if (!row->no_source && !(source_traits(b) & XF_TRAIT_LOSSY))
		assert_received(b->source, 1);
	bench_destroy(b);
}

/* ---- 2. Messages ----------------------------------------------------------------------- */

/* 2.1 All that is published arrives once, in order, as it was. */
static void
messages_arrive_in_order(void **state)
{
	enum { COUNT = 10000 };
	struct bench *b = bench_begin();

	(void)state;
	if (!row->no_source)
		harness_settle_auto(b->source, XF_SETTLE_ACK, true);
	publish(b, 0, COUNT);
	assert_all_stored(b->sink);
	if (!row->no_source) {
		assert_received(b->source, COUNT);
		for (size_t i = 0; i < COUNT; i++) {
			assert_int_equal(number_of(b->source, i), i);
			assert_string_equal(harness_message(b->source, i)->in.subject.data, b->subject);
		}
		assert_true(harness_wait_settled(b->source, SOON));
		harness_sleep_ms(100);
		assert_int_equal(harness_received(b->source), COUNT);
	}
	bench_destroy(b);
}

/* 2.2 A payload is bytes: none, NUL, every other, and very many. */
static void
payloads_are_bytes(void **state)
{
	const size_t sizes[] = {0, 1, 2, 1000, row->largest};
	unsigned char *bytes = malloc(row->largest);
	struct bench *b = bench_begin();
	struct xf_outgoing message = {.subject = xf_str(b->subject), .payload = bytes};

	(void)state;
	assert_non_null(bytes);
	for (size_t i = 0; i < row->largest; i++)
		bytes[i] = (unsigned char)(i * 7 + i / 256);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char id[64];

		snprintf(id, sizeof(id), "%s-%zu", b->word, i);
		message.id = message.dedup_id = xf_str(id);
		message.payload_size = sizes[i];
		harness_publish(b->sink, &message);
	}
	assert_all_stored(b->sink);
	for (size_t i = 0; !row->no_source && i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_received(b->source, i + 1);
		assert_int_equal(harness_message(b->source, i)->in.payload_size, sizes[i]);
		assert_memory_equal(harness_message(b->source, i)->in.payload, bytes, sizes[i]);
	}
	free(bytes);
	bench_destroy(b);
}

static void
assert_same_headers(const struct harness_message *m, const struct xf_header *headers, uint32_t count)
{
	uint32_t found = 0;

	/* a broker may add its own, but not between */
	for (uint32_t i = 0; i < m->in.header_count && found < count; i++)
		if (xf_str_equal(m->in.headers[i].name, headers[found].name) &&
		    xf_str_equal(m->in.headers[i].value, headers[found].value))
			found++;
	if (found < count)
		fail_msg("header %u, %.*s, is not where it was", found, XF_STR_ARG(headers[found].name));
}

/* 2.3 Headers keep their order, their case, empty values, and names that repeat; 64 of them. */
static void
headers_are_carried(void **state)
{
	struct xf_header headers[64];
	char names[64][24], values[64][24];
	struct bench *b = bench_begin();
	struct xf_outgoing message = {.subject = xf_str(b->subject), .headers = headers, .header_count = 64};

	(void)state;
	if (!(harness_sink_traits(b->harness, b->sink_options) & XF_TRAIT_HEADERS) ||
	    !(source_traits(b) & XF_TRAIT_HEADERS)) {
		bench_destroy(b);
		skip();
	}
	for (int i = 0; i < 64; i++) {
		snprintf(names[i], sizeof(names[i]), "X-Name-%d", i);
		snprintf(values[i], sizeof(values[i]), "value %d;=", i);
		if (i >= 60)
			strcpy(names[i], "x-Twice");
		if (i == 7)
			values[i][0] = '\0';
		headers[i] = (struct xf_header){xf_str(names[i]), xf_str(values[i])};
	}
	message.id = message.dedup_id = xf_str(b->word);
	harness_publish(b->sink, &message);
	assert_all_stored(b->sink);
	assert_received(b->source, 1);
	assert_same_headers(harness_message(b->source, 0), headers, 64);
	bench_destroy(b);
}

/* 2.4 Ids, replies and content types, where there are such. */
static void
properties_are_carried(void **state)
{
	struct bench *b = bench_begin();
	struct xf_outgoing message = {
		.subject = xf_str(b->subject),
		.id = {"id-1", 4},
		.dedup_id = {"id-1", 4},
		.reply = {"inbox.7", 7},
		.content_type = {"text/plain", 10},
		.payload = "x",
		.payload_size = 1,
	};

	(void)state;
	harness_publish(b->sink, &message);
	message.id = message.dedup_id = (struct xf_str){"id-2", 4};
	harness_publish(b->sink, &message);
	assert_all_stored(b->sink);
	if (!row->no_source) {
		assert_received(b->source, 2);
		if (row->carries_id) {
			assert_string_equal(harness_message(b->source, 0)->in.id.data, "id-1");
			assert_string_equal(harness_message(b->source, 1)->in.id.data, "id-2");
		}
		if (source_traits(b) & XF_TRAIT_IDS) {
			assert_true(harness_message(b->source, 0)->in.id.len > 0);
			assert_string_not_equal(harness_message(b->source, 0)->in.id.data,
			                        harness_message(b->source, 1)->in.id.data);
		}
		if (row->carries_reply) {
			assert_string_equal(harness_message(b->source, 0)->in.reply.data, "inbox.7");
			assert_string_equal(harness_message(b->source, 0)->in.content_type.data, "text/plain");
		}
	}
	bench_destroy(b);
}

/* 2.5 A dedup_id is stored once, where that is promised. */
static void
a_duplicate_is_stored_once(void **state)
{
	struct bench *b = bench_begin();
	size_t first;

	(void)state;
	if (!(harness_sink_traits(b->harness, b->sink_options) & XF_TRAIT_DEDUP)) {
		bench_destroy(b);
		skip();
	}
	first = harness_publish_text(b->sink, b->subject, "0");
	harness_publish_text(b->sink, b->subject, "1");
	harness_republish(b->sink, first);
	harness_publish_text(b->sink, b->subject, "2");
	assert_all_stored(b->sink);
	assert_true(harness_result(b->sink, 2).flags & XF_RESULT_DUPLICATE);
	if (!row->no_source) {
		assert_received(b->source, 3);
		for (size_t i = 0; i < 3; i++)
			assert_int_equal(number_of(b->source, i), i);
	}
	bench_destroy(b);
}

/* ---- 3. Credit and settlement --------------------------------------------------------------- */

/* 3.1 No credit, no message; and what comes never exceeds it. */
static void
credit_holds_back(void **state)
{
	struct bench *b = bench_create(NULL);

	(void)state;
	has_source();
	need_acks(b);
	source_begin(b);
	sink_begin(b);
	harness_window(b->source, 0, 0);
	harness_sleep_ms(50);
	publish(b, 0, 200);
	assert_all_stored(b->sink);
	harness_sleep_ms(300);
	assert_int_equal(harness_received(b->source), 0);
	harness_window(b->source, 7, 1 << 20);
	assert_received(b->source, 7);
	harness_sleep_ms(100);
	assert_int_equal(harness_received(b->source), 7);
	harness_settle_auto(b->source, XF_SETTLE_ACK, true);
	harness_settle_range(b->source, 0, 7, XF_SETTLE_ACK);
	assert_received(b->source, 200);
	for (size_t i = 0; i < 200; i++)
		assert_int_equal(number_of(b->source, i), i);
	bench_destroy(b);
}

/* 3.2 What is unsettled at stop comes again, marked; what was acknowledged does not. */
static void
unsettled_messages_come_again(void **state)
{
	struct bench *b = bench_create(NULL);
	bool seen[10] = {false};

	(void)state;
	has_source();
	need_acks(b);
	source_begin(b);
	sink_begin(b);
	publish(b, 0, 20);
	assert_received(b->source, 20);
	harness_settle_range(b->source, 0, 10, XF_SETTLE_ACK);
	assert_true(harness_wait_settled(b->source, SOON));
	harness_destroy(&b->source);
	source_begin(b);
	assert_received(b->source, 10);
	for (size_t i = 0; i < 10; i++) {
		const struct harness_message *m = harness_message(b->source, i);
		size_t number = number_of(b->source, i);

		assert_in_range(number, 10, 19);
		assert_false(seen[number - 10]);
		seen[number - 10] = true;
		assert_true((m->in.flags & XF_MESSAGE_REDELIVERED) || m->in.attempt > 1);
	}
	harness_settle_range(b->source, 0, 10, XF_SETTLE_ACK);
	assert_true(harness_wait_settled(b->source, SOON));
	bench_destroy(b);
}

/* 3.3 Settlements come in any order, and hold. */
static void
settling_out_of_order(void **state)
{
	struct bench *b = bench_create(NULL);

	(void)state;
	has_source();
	need_acks(b);
	source_begin(b);
	sink_begin(b);
	publish(b, 0, 100);
	assert_received(b->source, 100);
	harness_hold(b->source, true);
	for (size_t i = 0; i < 50; i++)
		harness_settle(b->source, 99 - 2 * i, XF_SETTLE_ACK, 0);
	harness_hold(b->source, false);
	assert_true(harness_wait_settled(b->source, SOON));
	harness_hold(b->source, true);
	for (size_t i = 0; i < 50; i++)
		harness_settle(b->source, 2 * i, i % 10 == 3 ? XF_SETTLE_REJECT : XF_SETTLE_ACK, 0);
	harness_hold(b->source, false);
	assert_true(harness_wait_settled(b->source, SOON));
	harness_destroy(&b->source);
	source_begin(b);
	publish(b, 100, 1);
	assert_received(b->source, 1);
	assert_int_equal(number_of(b->source, 0), 100);
	harness_sleep_ms(500);
	assert_int_equal(harness_received(b->source), 1);
	harness_settle(b->source, 0, XF_SETTLE_ACK, 0);
	assert_true(harness_wait_settled(b->source, SOON));
	bench_destroy(b);
}

/* 3.4 A retry brings it again, and an extension is not final. */
static void
retry_and_extend(void **state)
{
	struct bench *b = bench_create(NULL);

	(void)state;
	has_source();
	need_acks(b);
	source_begin(b);
	sink_begin(b);
	publish(b, 0, 3);
	assert_received(b->source, 3);
	harness_hold(b->source, true);
	harness_settle(b->source, 0, XF_SETTLE_EXTEND, 0);
	harness_settle(b->source, 1, XF_SETTLE_RETRY, 50);
	harness_settle(b->source, 0, XF_SETTLE_EXTEND, 0);
	harness_settle(b->source, 2, XF_SETTLE_ACK, 0);
	harness_hold(b->source, false);
	assert_received(b->source, 4);
	assert_int_equal(number_of(b->source, 3), 1);
	assert_true((harness_message(b->source, 3)->in.flags & XF_MESSAGE_REDELIVERED) ||
	            harness_message(b->source, 3)->in.attempt > 1);
	harness_settle(b->source, 0, XF_SETTLE_ACK, 0);
	harness_settle(b->source, 3, XF_SETTLE_ACK, 0);
	assert_true(harness_wait_settled(b->source, SOON));
	bench_destroy(b);
}

/* 3.5 A handle that was settled already, or never was, is ignored. */
static void
foreign_handles_are_ignored(void **state)
{
	struct bench *b = bench_create(NULL);

	(void)state;
	has_source();
	need_acks(b);
	source_begin(b);
	sink_begin(b);
	publish(b, 0, 2);
	assert_received(b->source, 2);
	harness_settle(b->source, 0, XF_SETTLE_ACK, 0);
	harness_settle(b->source, 0, XF_SETTLE_ACK, 0);
	harness_settle(b->source, 0, XF_SETTLE_RETRY, 0);
	harness_settle_handle(b->source, 0x1234567890abcdefu, XF_SETTLE_ACK);
	harness_settle_handle(b->source, 0x1234567890abcdefu, XF_SETTLE_RETRY);
	harness_settle(b->source, 1, XF_SETTLE_ACK, 0);
	assert_true(harness_wait_settled(b->source, SOON));
	publish(b, 2, 1);
	assert_received(b->source, 3);
	assert_int_equal(number_of(b->source, 2), 2);
	harness_settle(b->source, 2, XF_SETTLE_ACK, 0);
	assert_true(harness_wait_settled(b->source, SOON));
	bench_destroy(b);
}

/* ---- 4. Ends --------------------------------------------------------------------------------- */

/* 4.1 stop() completes what is out; the harness counts. */
static void
stop_completes_all(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		struct bench *b = bench_begin();

		publish(b, 0, 2000);
		harness_sleep_ms(i);
		harness_destroy(&b->sink);
		bench_destroy(b);
	}
}

/* Publishes what failed again, until nothing is left that did. */
static void
publish_until_stored(struct bench *b)
{
	for (size_t i = 0; i < harness_published(b->sink); i++) {
		uint32_t code;

		if (!harness_wait_completed(b->sink, harness_published(b->sink), LATE))
			fail_msg("%zu of %zu completed", harness_completed(b->sink), harness_published(b->sink));
		code = harness_result(b->sink, i).code;
		assert_int_not_equal(code, XF_RESULT_REJECTED);
		if (code != XF_RESULT_STORED)
			harness_republish(b->sink, i);
	}
}

/* 4.2 A broker that is killed: every token is completed once, DOWN is told; when it is back, UP, and all goes on. Handles
 * of the old connection are ignored. */
static void
a_killed_broker(void **state)
{
	enum { COUNT = 20000 };
	struct bench *b;
	size_t missing, held;
	bool *seen;

	(void)state;
	if (broker == NULL)
		skip();
	seen = calloc(COUNT + 10, sizeof(*seen));
	assert_non_null(seen);
	b = bench_begin();
	publish(b, 0, 10);
	assert_all_stored(b->sink);
	if (!row->no_source)
		assert_received(b->source, 10);
	publish(b, 10, COUNT);
	assert_true(harness_wait_completed(b->sink, 500, SOON));
	xf_broker_kill(broker);
	assert_true(harness_wait_state(b->sink, XF_STATE_DOWN, LATE));
	assert_true(row->no_source || harness_wait_state(b->source, XF_STATE_DOWN, LATE));
	held = row->no_source ? 0 : harness_received(b->source);
	xf_broker_restart(broker);
	assert_true(harness_wait_state_count(b->sink, XF_STATE_UP, 2, LATE));
	assert_true(row->no_source || harness_wait_state_count(b->source, XF_STATE_UP, 2, LATE));
	if (!row->no_source) {
		harness_settle_auto(b->source, XF_SETTLE_ACK, true);
		harness_settle_range(b->source, 0, held, XF_SETTLE_ACK); /* stale */
	}
	publish_until_stored(b);
	if (!row->no_source && row->keeps && !(source_traits(b) & XF_TRAIT_LOSSY)) {
		uint64_t until = harness_now_ms() + LATE;
		size_t looked = 0;

		missing = COUNT + 10;
		while (missing > 0 && harness_now_ms() < until) {
			for (size_t n = harness_received(b->source); looked < n; looked++) {
				size_t number = number_of(b->source, looked);

				assert_in_range(number, 0, COUNT + 9);
				missing -= !seen[number];
				seen[number] = true;
			}
			harness_sleep_ms(10);
		}
		assert_int_equal(missing, 0);
	}
	free(seen);
	bench_destroy(b);
}

/* 4.3 Nothing is left: descriptors and threads are as many as after the first time. */
static void
nothing_is_left(void **state)
{
	size_t fds = 0, threads = 0;

	(void)state;
	for (int i = 0; i < 5; i++) {
		struct bench *b = bench_begin();

		publish(b, 0, 10);
		assert_all_stored(b->sink);
		if (!row->no_source)
			assert_received(b->source, 10);
		bench_destroy(b);
		if (i == 0) {
			/* what a client library keeps for the process, it has by now */
			harness_sleep_ms(100);
			fds = harness_count_fds();
			threads = harness_count_threads();
		}
	}
	for (int i = 0; i < 200 && (harness_count_fds() > fds || harness_count_threads() > threads); i++)
		harness_sleep_ms(10);
	assert_true(harness_count_fds() <= fds);
	assert_true(harness_count_threads() <= threads);
}

/* -------------------------------------------------------------------------------------------------- */

static int
suite_begin(void **state)
{
	(void)state;
	if (row->broker != NULL)
		broker = xf_broker_start(row->broker, row->broker_args);
	return 0;
}

static int
suite_end(void **state)
{
	(void)state;
	xf_broker_destroy(&broker);
	return 0;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create_and_destroy),
		cmocka_unit_test(stop_before_connected),
		cmocka_unit_test(messages_arrive_in_order),
		cmocka_unit_test(payloads_are_bytes),
		cmocka_unit_test(headers_are_carried),
		cmocka_unit_test(properties_are_carried),
		cmocka_unit_test(a_duplicate_is_stored_once),
		cmocka_unit_test(credit_holds_back),
		cmocka_unit_test(unsettled_messages_come_again),
		cmocka_unit_test(settling_out_of_order),
		cmocka_unit_test(retry_and_extend),
		cmocka_unit_test(foreign_handles_are_ignored),
		cmocka_unit_test(stop_completes_all),
		cmocka_unit_test(a_broker_may_come_later),
		cmocka_unit_test(a_killed_broker),
		cmocka_unit_test(nothing_is_left),
	};

	row = argc > 1 ? row_find(argv[1]) : NULL;
	if (row == NULL) {
		fprintf(stderr, "usage: contract ROW [TEST], a row of rows.c\n");
		return 2;
	}
	if (!harness_available(row->plugin)) {
		fprintf(stderr, "contract: plugin %s was not built\n", row->plugin);
		return SKIPPED;
	}
	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	return cmocka_run_group_tests_name(row->name, tests, suite_begin, suite_end);
}
