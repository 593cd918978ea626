/*
 * Promises 10 to 19: what a message is on its other side, and what a transport says about itself.
 */
#include "bench.h"
#include "promises.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

void
p10_messages_arrive_once_and_in_order(void **state)
{
	enum { COUNT = 10000 };
	struct bench *b = bench_begin();

	(void)state;
	if (!row->no_source)
		harness_settle_auto(b->source, XF_SETTLE_ACK, true);
	bench_publish(b, 0, COUNT);
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

/* Every size is carried as it is, or refused with a reason; and what comes behind a refused one is not harmed. */
void
p11_payloads_are_bytes_of_any_size(void **state)
{
	const size_t sizes[] = {0, 1, 2, 1000, 64 << 10, row->largest, 1 << 20, 8 << 20, 3};
	enum { COUNT = sizeof(sizes) / sizeof(sizes[0]) };
	unsigned char *bytes = malloc(8 << 20);
	struct bench *b = bench_begin();
	struct xf_outgoing message = {.subject = xf_str(b->subject), .payload = bytes};
	size_t came = 0;

	(void)state;
	assert_non_null(bytes);
	for (size_t i = 0; i < 8 << 20; i++)
		bytes[i] = (unsigned char)(i * 7 + i / 256);
	if (!row->no_source)
		harness_settle_auto(b->source, XF_SETTLE_ACK, true);
	for (size_t i = 0; i < COUNT; i++) {
		char id[64];

		snprintf(id, sizeof(id), "%s-%zu", b->word, i);
		message.id = message.dedup_id = xf_str(id);
		message.payload_size = sizes[i];
		harness_publish(b->sink, &message);
	}
	assert_true(harness_wait_completed(b->sink, COUNT, LATE));
	for (size_t i = 0; i < COUNT; i++) {
		struct harness_result result = harness_result(b->sink, i);

		if (sizes[i] > row->largest && result.code == XF_RESULT_REJECTED) {
			assert_true(strlen(result.reason) > 0);
			continue;
		}
		if (result.code != XF_RESULT_STORED)
			fail_msg("%zu bytes: code %u, %s", sizes[i], result.code, result.reason);
		if (row->no_source)
			continue;
		/* A large one may take a slow machine longer than its broker waits, and come once more. */
		for (assert_received(b->source, came + 1); is_marked(harness_message(b->source, came));)
			assert_received(b->source, ++came + 1);
		assert_int_equal(harness_message(b->source, came)->in.payload_size, sizes[i]);
		assert_memory_equal(harness_message(b->source, came)->in.payload, bytes, sizes[i]);
		came++;
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

/* Order, case, empty values, and names that repeat; 64 of them. */
void
p12_headers_are_carried(void **state)
{
	struct xf_header headers[64];
	char names[64][24], values[64][24];
	struct bench *b = bench_begin();
	struct xf_outgoing message = {.subject = xf_str(b->subject), .headers = headers, .header_count = 64};

	(void)state;
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

void
p13_ids_replies_and_types_are_carried(void **state)
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
		if (bench_source_traits(b) & XF_TRAIT_IDS) {
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

void
p14_priority_and_life_are_carried(void **state)
{
	struct bench *b = bench_begin();
	struct xf_outgoing message = {
		.subject = xf_str(b->subject), .payload = "x", .payload_size = 1, .priority = 1 + 5, .ttl_ms = 600000,
	};

	(void)state;
	message.id = message.dedup_id = xf_str(b->word);
	harness_publish(b->sink, &message);
	assert_all_stored(b->sink);
	if (!row->no_source) {
		assert_received(b->source, 1);
		if (row->carries_priority)
			assert_int_equal(harness_message(b->source, 0)->in.priority, 1 + 5);
		if (row->carries_ttl)
			assert_in_range(harness_message(b->source, 0)->in.ttl_ms, 1, 600000);
	}
	bench_destroy(b);
}

/* A subject of LEN bytes in COUNT tokens below the row's own. */
static void
long_subject(struct bench *b, size_t len, size_t tokens, char *out)
{
	size_t begin = strlen(b->subject);

	memcpy(out, b->subject, begin);
	memset(out + begin, 'x', len - begin);
	for (size_t i = 0; i < tokens && begin + 2 * i + 1 < len; i++)
		out[begin + 2 * i] = '.';
	out[len] = '\0';
}

/* Short ones, ones of many tokens, and the longest that the core lets through: carried verbatim, or refused with a reason. */
void
p15_subjects_at_the_limits(void **state)
{
	static const size_t shapes[][2] = {{40, 1}, {100, 30}, {250, 1}, {255, 1}, {256, 1}, {1000, 400}, {1024, 1}};
	enum { COUNT = sizeof(shapes) / sizeof(shapes[0]) };
	struct bench *b = bench_create(NULL);
	char subjects[COUNT][1032], wide[128];
	size_t came = 0;

	(void)state;
	if (row->wide != NULL)
		b->pattern = bench_fill(row->wide, b->word, wide, sizeof(wide));
	bench_source(b);
	bench_sink(b);
	for (size_t i = 0; i < COUNT; i++) {
		long_subject(b, shapes[i][0], shapes[i][1], subjects[i]);
		harness_publish_text(b->sink, subjects[i], "x");
	}
	harness_publish_text(b->sink, b->subject, "the last");
	assert_true(harness_wait_completed(b->sink, COUNT + 1, LATE));
	for (size_t i = 0; i < COUNT; i++) {
		struct harness_result result = harness_result(b->sink, i);

		if (result.code == XF_RESULT_REJECTED) {
			assert_true(strlen(result.reason) > 0);
			continue;
		}
		if (result.code != XF_RESULT_STORED)
			fail_msg("a subject of %zu bytes: code %u, %s", shapes[i][0], result.code, result.reason);
		if (row->wide == NULL || row->no_source)
			continue;
		assert_received(b->source, came + 1);
		assert_string_equal(harness_message(b->source, came)->in.subject.data, subjects[i]);
		came++;
	}
	assert_int_equal(harness_result(b->sink, COUNT).code, XF_RESULT_STORED);
	assert_int_equal(harness_state(b->sink), XF_STATE_UP);
	bench_destroy(b);
}

void
p16_a_duplicate_is_stored_once(void **state)
{
	struct bench *b = bench_begin();
	size_t first;

	(void)state;
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

/* Published before anybody subscribes: EPHEMERAL sinks promise nothing of it, others keep it. */
void
p17_ephemeral_is_who_keeps_nothing(void **state)
{
	struct bench *b = bench_create(NULL);
	bool ephemeral = bench_sink_traits(b) & XF_TRAIT_EPHEMERAL;

	(void)state;
	bench_sink(b);
	bench_publish(b, 0, 1);
	assert_all_stored(b->sink);
	if (row->tells_no_receiver)
		assert_true(harness_result(b->sink, 0).flags & XF_RESULT_NO_RECEIVER);
	bench_source(b);
	bench_publish(b, 1, 1);
	assert_received(b->source, ephemeral ? 1 : 2);
	assert_int_equal(number_of(b->source, 0), ephemeral);
	assert_all_stored(b->sink);
	assert_false(harness_result(b->sink, 1).flags & XF_RESULT_NO_RECEIVER);
	bench_destroy(b);
}

/* Two sources that know nothing of each other: TAKES says that what one has the other has not. */
void
p18_takes_is_who_takes_away(void **state)
{
	enum { COUNT = 20 };
	struct bench *b = bench_create(NULL);
	bool takes = bench_source_traits(b) & XF_TRAIT_TAKES;
	const char *options[ROW_OPTIONS + 1] = {NULL};
	char texts[ROW_OPTIONS][128];
	struct harness_endpoint *other;
	uint64_t until;

	(void)state;
	for (size_t i = 0; row->other[i] != NULL; i++)
		options[i] = bench_fill(row->other[i], b->word, texts[i], sizeof(texts[i]));
	bench_source(b);
	other = harness_source(b->harness, "contract/other", b->pattern, row->other[0] != NULL ? options : b->source_options);
	assert_true(harness_wait_state(other, XF_STATE_UP, SOON));
	bench_sink(b);
	bench_publish(b, 0, COUNT);
	assert_all_stored(b->sink);
	until = harness_now_ms() + LATE;
	while (harness_received(b->source) + harness_received(other) < (takes ? 1 : 2) * COUNT && harness_now_ms() < until)
		harness_sleep_ms(5);
	harness_sleep_ms(200);
	if (takes) {
		assert_int_equal(harness_received(b->source) + harness_received(other), COUNT);
	} else {
		assert_int_equal(harness_received(b->source), COUNT);
		assert_int_equal(harness_received(other), COUNT);
	}
	harness_destroy(&other);
	bench_destroy(b);
}

/* Until the endpoint tells that so many messages wait, of what it tells at all. */
static void
assert_sight(struct harness_endpoint *endpoint, uint32_t known, uint64_t waiting)
{
	uint64_t until = harness_now_ms() + LATE;
	struct xf_sight sight;
	bool fine;

	do {
		sight = harness_wait_sight(endpoint, known, SOON);
		fine = (!(known & XF_SIGHT_LAG) || sight.lag == waiting) &&
		       (!(known & XF_SIGHT_DEPTH) || sight.depth >= waiting) &&
		       (!(known & XF_SIGHT_CONSUMERS) || sight.consumers >= 1);
	} while (!fine && harness_now_ms() < until);
	if (!fine)
		fail_msg("%llu wait; told were depth %llu, lag %llu, consumers %llu", (unsigned long long)waiting,
		         (unsigned long long)sight.depth, (unsigned long long)sight.lag,
		         (unsigned long long)sight.consumers);
}

/* A sink tells of whoever is furthest behind, which may be what another test has left unread in the same place: how much that
 * is, where it is at least WAITING. */
static uint64_t
sink_sight(struct harness_endpoint *sink, uint32_t known, uint64_t waiting)
{
	uint64_t until = harness_now_ms() + LATE;
	struct xf_sight sight;

	do {
		sight = harness_wait_sight(sink, known, SOON);
	} while ((known & XF_SIGHT_LAG) && sight.lag < waiting && harness_now_ms() < until);
	assert_sight(sink, known, known & XF_SIGHT_LAG && sight.lag > waiting ? sight.lag : waiting);
	return known & XF_SIGHT_LAG ? sight.lag : waiting;
}

void
p19_sight_tells_true_numbers(void **state)
{
	enum { COUNT = 5 };
	struct bench *b = bench_create(NULL);
	bool acks = !(bench_source_traits(b) & XF_TRAIT_LOSSY);
	uint64_t furthest = COUNT;

	(void)state;
	bench_source(b);
	bench_sink(b);
	bench_publish(b, 0, COUNT);
	assert_all_stored(b->sink);
	if (!row->no_source)
		assert_received(b->source, COUNT); /* and has them, unsettled */
	if (row->source_sight != 0)
		assert_sight(b->source, row->source_sight, COUNT);
	if (row->sink_sight != 0)
		furthest = sink_sight(b->sink, row->sink_sight, COUNT);
	if (acks) {
		harness_settle_auto(b->source, XF_SETTLE_ACK, true);
		bench_ack(b, 0, harness_received(b->source));
		if (row->source_sight != 0)
			assert_sight(b->source, row->source_sight, 0);
		if (row->sink_sight != 0)
			assert_sight(b->sink, row->sink_sight, furthest == COUNT ? 0 : furthest);
	}
	bench_destroy(b);
}
