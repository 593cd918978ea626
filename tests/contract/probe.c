/*
 * The generator and the checker, which other tests believe: that they count right, and that the checker
 * finds faults that are made on purpose.
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
number_at(const char *json, const char *name)
{
	char key[64];
	const char *at;

	snprintf(key, sizeof(key), "\"%s\":", name);
	at = strstr(json, key);
	assert_non_null(at);
	return strtoull(at + strlen(key), NULL, 10);
}

static uint64_t
report_number(struct harness *h, const char *name)
{
	return number_at(harness_report(h), name);
}

static uint64_t
side_number(struct harness *h, const char *side, const char *name)
{
	char key[64];
	const char *at;

	snprintf(key, sizeof(key), "\"%s\":{", side);
	at = strstr(harness_report(h), key);
	assert_non_null(at);
	return number_at(at, name);
}

/* What a forwarder does on the way to the message of an index. */
enum fault { FINE, DROP, TWICE, SWAP, CORRUPT, ACROSS };

#define CARRIED 10000
#define KEYS 100

static void
forward_one(struct harness_endpoint *sink, const struct harness_message *m, bool corrupt)
{
	char *payload = malloc(m->in.payload_size);
	struct xf_outgoing out = {
		.subject = m->in.subject,
		.id = m->in.id,
		.headers = m->in.headers,
		.header_count = m->in.header_count,
		.payload = payload,
		.payload_size = m->in.payload_size,
	};

	assert_non_null(payload);
	memcpy(payload, m->in.payload, m->in.payload_size);
	payload[m->in.payload_size / 2] ^= (char)corrupt;
	harness_publish(sink, &out);
	free(payload);
}

/* Which message goes at the place of I: SWAP exchanges one with the next of its key. */
static size_t
place_of(const enum fault *faults, size_t i)
{
	if (faults[i] == SWAP)
		return i + KEYS;
	return i >= KEYS && faults[i - KEYS] == SWAP ? i - KEYS : i;
}

/* Carries COUNT messages from a generator to the checkers: keys below 50 to `new`, the others to `old`. */
static void
carry(struct harness *h, size_t count, const enum fault *faults)
{
	char option[32];
	struct harness_endpoint *source, *old, *new;

	snprintf(option, sizeof(option), "count=%zu", count);
	source = harness_source_create(h, "from", NULL, OPTIONS(option, "keys=100", "size=64"), NULL);
	harness_window(source, (uint32_t)count + 1, 1 << 30);
	harness_start(source);
	old = harness_sink(h, "old", NULL, OPTIONS("side=old"));
	new = harness_sink(h, "new", NULL, OPTIONS("side=new"));
	assert_true(harness_wait_received(source, count, SOON));
	for (size_t i = 0; i < count; i++) {
		const struct harness_message *m = harness_message(source, place_of(faults, i));
		struct harness_endpoint *sink = atoi(harness_header(m, "key") + 1) < KEYS / 2 ? new : old;

		if (faults[i] == DROP)
			continue;
		if (faults[i] == ACROSS)
			sink = sink == new ? old : new;
		forward_one(sink, m, faults[i] == CORRUPT);
		if (faults[i] == TWICE)
			forward_one(sink, m, false);
	}
	assert_true(harness_wait_completed(old, harness_published(old), SOON));
	assert_true(harness_wait_completed(new, harness_published(new), SOON));
	harness_settle_range(source, 0, count, XF_SETTLE_ACK);
	assert_true(harness_wait_settled(source, SOON));
	harness_destroy(&source);
	harness_destroy(&old);
	harness_destroy(&new);
}

static void
assert_ledger(struct harness *h, uint64_t received, uint64_t lost, uint64_t reordered, uint64_t across,
              uint64_t duplicates, uint64_t both, uint64_t corrupted)
{
	assert_int_equal(report_number(h, "received"), received);
	assert_int_equal(report_number(h, "lost"), lost);
	assert_int_equal(report_number(h, "reordered"), reordered);
	assert_int_equal(report_number(h, "reordered_across"), across);
	assert_int_equal(report_number(h, "duplicates"), duplicates);
	assert_int_equal(report_number(h, "on_both_sides"), both);
	assert_int_equal(report_number(h, "corrupted"), corrupted);
	assert_int_equal(report_number(h, "unexpected"), 0);
	assert_int_equal(report_number(h, "renamed"), 0);
	assert_non_null(strstr(harness_report(h), "\"finished\":true"));
}

static void
a_faultless_way_is_faultless(void **state)
{
	struct harness *h = harness_open("probe", NULL);

	(void)state;
	carry(h, CARRIED, (enum fault[CARRIED]){FINE});
	assert_int_equal(report_number(h, "sent"), 10000);
	assert_int_equal(report_number(h, "acked"), 10000);
	assert_ledger(h, 10000, 0, 0, 0, 0, 0, 0);
	assert_int_equal(side_number(h, "old", "received"), 5000);
	assert_int_equal(side_number(h, "new", "received"), 5000);
	harness_close(&h);
}

static void
a_dropped_message_is_lost(void **state)
{
	struct harness *h = harness_open("probe", NULL);
	enum fault faults[CARRIED] = {FINE};

	(void)state;
	faults[4321] = DROP;
	carry(h, CARRIED, faults);
	assert_ledger(h, 9999, 1, 0, 1, 0, 0, 0); /* its successor came without it */
	harness_close(&h);
}

static void
a_doubled_message_is_a_duplicate(void **state)
{
	struct harness *h = harness_open("probe", NULL);
	enum fault faults[CARRIED] = {FINE};

	(void)state;
	faults[77] = TWICE;
	carry(h, CARRIED, faults);
	assert_ledger(h, 10001, 0, 0, 0, 1, 0, 0);
	harness_close(&h);
}

static void
swapped_messages_are_out_of_order(void **state)
{
	struct harness *h = harness_open("probe", NULL);
	enum fault faults[CARRIED] = {FINE};

	(void)state;
	faults[5000] = SWAP; /* with the next of its key */
	carry(h, CARRIED, faults);
	assert_ledger(h, 10000, 0, 1, 1, 0, 0, 0);
	harness_close(&h);
}

static void
a_changed_byte_is_corruption(void **state)
{
	struct harness *h = harness_open("probe", NULL);
	enum fault faults[CARRIED] = {FINE};

	(void)state;
	faults[9999] = CORRUPT;
	carry(h, CARRIED, faults);
	assert_ledger(h, 9999, 1, 0, 0, 0, 0, 1);
	harness_close(&h);
}

/* One fault of a random kind for every other key, somewhere in its messages, by a seed: each kind is counted exactly. XF_SEED
 * chooses the run. */
static void
seeded_faults_are_all_found(void **state)
{
	enum { PER_KEY = CARRIED / KEYS };
	const char *seed = getenv("XF_SEED");
	unsigned random = seed != NULL ? (unsigned)strtoul(seed, NULL, 10) : 20231;
	enum fault faults[CARRIED] = {FINE};
	size_t counts[ACROSS] = {0}, gone;
	struct harness *h = harness_open("probe", NULL);

	(void)state;
	print_message("seed %u\n", random);
	for (size_t key = 0; key < KEYS; key += 2) {
		enum fault fault;

		random = random * 1664525u + 1013904223u;
		fault = (enum fault)(DROP + (random >> 16) % CORRUPT);
		/* the last of a key has no successor that could be early, nor to be swapped with */
		faults[key + KEYS * ((random >> 8) % (PER_KEY - 1))] = fault;
		counts[fault]++;
	}
	for (int kind = DROP; kind <= CORRUPT; kind++)
		assert_true(counts[kind] > 0);
	carry(h, CARRIED, faults);
	gone = counts[DROP] + counts[CORRUPT];
	assert_ledger(h, CARRIED - gone + counts[TWICE], gone, counts[SWAP], gone + counts[SWAP], counts[TWICE], 0,
	              counts[CORRUPT]);
	harness_close(&h);
}

static void
a_visit_to_the_other_side_is_no_fault(void **state)
{
	struct harness *h = harness_open("probe", NULL);
	enum fault faults[CARRIED] = {FINE};

	(void)state;
	/* the sinks have threads of their own, so the neighbours on the other side may have come already or not */
	faults[0] = ACROSS;
	carry(h, 100, faults);
	assert_ledger(h, 100, 0, 0, 0, 0, 0, 0);
	assert_int_equal(side_number(h, "old", "received"), 51);
	harness_close(&h);
}

static void
both_sides_and_copies_are_told_apart(void **state)
{
	struct harness *h = harness_open("probe", NULL);
	struct harness_endpoint *source = harness_source(h, "from", NULL, OPTIONS("count=3", "keys=1"));
	struct harness_endpoint *old = harness_sink(h, "old", NULL, OPTIONS("side=old"));
	struct harness_endpoint *new = harness_sink(h, "new", NULL, OPTIONS("side=new"));
	const struct xf_header mark = {{"Crossfade-Copy", 14}, {"m", 1}};
	struct xf_outgoing copy = {.subject = {"x", 1}, .headers = &mark, .header_count = 1};

	(void)state;
	assert_true(harness_wait_received(source, 3, SOON));
	forward_one(old, harness_message(source, 0), false);
	forward_one(old, harness_message(source, 1), false);
	assert_true(harness_wait_completed(old, 2, SOON));
	forward_one(new, harness_message(source, 1), false); /* crossed */
	forward_one(new, harness_message(source, 2), false);
	copy.payload = harness_message(source, 0)->in.payload;
	copy.payload_size = harness_message(source, 0)->in.payload_size;
	harness_publish(new, &copy);
	assert_true(harness_wait_completed(new, 3, SOON));
	harness_publish_text(old, "x", "not one of ours, and shorter than a stamp");
	assert_true(harness_wait_completed(old, 3, SOON));
	assert_int_equal(report_number(h, "on_both_sides"), 1);
	assert_int_equal(report_number(h, "duplicates"), 0);
	assert_int_equal(report_number(h, "reordered_across"), 0);
	assert_int_equal(side_number(h, "new", "copies"), 1);
	assert_int_equal(side_number(h, "old", "copies"), 0);
	assert_int_equal(side_number(h, "old", "corrupted"), 1);
	assert_int_equal(report_number(h, "lost"), 0);
	assert_non_null(strstr(harness_report(h), "\"finished\":false"));
	harness_destroy(&source);
	harness_destroy(&old);
	harness_destroy(&new);
	harness_close(&h);
}

static void
another_id_is_noticed(void **state)
{
	static const char *const ids[] = {"1-0-7", "10", ""};
	struct harness *h = harness_open("probe", NULL);
	struct harness_endpoint *source = harness_source(h, "from", NULL, OPTIONS("count=11", "keys=1"));
	struct harness_endpoint *sink = harness_sink(h, "to", NULL, NULL);
	struct harness_message m;

	(void)state;
	assert_true(harness_wait_received(source, 11, SOON));
	m = *harness_message(source, 10);
	for (size_t i = 0; i < 3; i++) {
		m.in.id = (struct xf_str){ids[i], strlen(ids[i])};
		forward_one(sink, &m, false);
	}
	forward_one(sink, harness_message(source, 10), false);
	assert_true(harness_wait_completed(sink, 4, SOON));
	assert_int_equal(report_number(h, "renamed"), 3);
	assert_int_equal(side_number(h, "new", "renamed"), 3);
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);
}

static void
messages_of_another_run_are_unexpected(void **state)
{
	struct harness *one = harness_open("probe", NULL), *two = harness_open("probe", NULL);
	struct harness_endpoint *source = harness_source(one, "from", NULL, OPTIONS("count=1"));
	struct harness_endpoint *sink = harness_sink(two, "to", NULL, NULL);

	(void)state;
	assert_true(harness_wait_received(source, 1, SOON));
	forward_one(sink, harness_message(source, 0), false);
	assert_true(harness_wait_completed(sink, 1, SOON));
	assert_int_equal(report_number(two, "unexpected"), 1);
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&one);
	harness_close(&two);
}

static void
what_is_generated_looks_as_the_manual_says(void **state)
{
	struct harness *h = harness_open("probe", NULL);
	struct harness_endpoint *source =
	        harness_source(h, "from", NULL, OPTIONS("count=30", "keys=12", "size=100", "to=a.{k}.b", "header=Order"));

	(void)state;
	assert_true(harness_wait_received(source, 30, SOON));
	for (size_t i = 0; i < 30; i++) {
		const struct harness_message *m = harness_message(source, i);
		char subject[32], key[16];

		snprintf(subject, sizeof(subject), "a.%zu.b", i % 12);
		snprintf(key, sizeof(key), "k%zu", i % 12);
		assert_string_equal(m->in.subject.data, subject);
		assert_string_equal(m->in.key.data, key);
		assert_string_equal(harness_header(m, "Order"), key);
		assert_int_equal(m->in.payload_size, 104);
		assert_int_equal(m->in.attempt, 1);
		assert_true(m->in.time_ms > 0);
		assert_true(i == 0 || strcmp(m->in.id.data, harness_message(source, i - 1)->in.id.data) != 0);
	}
	harness_sleep_ms(20);
	assert_int_equal(harness_received(source), 30);
	harness_destroy(&source);
	harness_close(&h);
}

static void
retries_and_what_a_source_left_are_sent_again(void **state)
{
	struct harness *h = harness_open("probe", NULL);
	struct harness_endpoint *source = harness_source(h, "from", NULL, OPTIONS("count=10", "keys=3"));
	char first_id[64];

	(void)state;
	assert_true(harness_wait_received(source, 10, SOON));
	snprintf(first_id, sizeof(first_id), "%s", harness_message(source, 2)->in.id.data);
	harness_settle(source, 2, XF_SETTLE_RETRY, 30);
	assert_true(harness_wait_received(source, 11, SOON));
	assert_string_equal(harness_message(source, 10)->in.id.data, first_id);
	assert_int_equal(harness_message(source, 10)->in.attempt, 2);
	harness_settle(source, 0, XF_SETTLE_ACK, 0);
	harness_settle(source, 1, XF_SETTLE_REJECT, 0);
	assert_true(harness_wait_settled(source, SOON));
	harness_destroy(&source);

	source = harness_source(h, "from", NULL, OPTIONS("count=10", "keys=3"));
	assert_true(harness_wait_received(source, 8, SOON));
	assert_string_equal(harness_message(source, 0)->in.id.data, first_id);
	harness_settle_range(source, 0, 8, XF_SETTLE_ACK);
	assert_true(harness_wait_settled(source, SOON));
	assert_int_equal(report_number(h, "acked"), 9);
	assert_int_equal(report_number(h, "rejected"), 1);
	assert_int_equal(report_number(h, "retried"), 1);
	assert_int_equal(report_number(h, "lost"), 9);
	assert_non_null(strstr(harness_report(h), "\"finished\":true"));
	harness_destroy(&source);
	harness_close(&h);
}

static void
the_pace_is_kept(void **state)
{
	struct harness *h = harness_open("probe", NULL);
	struct harness_endpoint *source = harness_source_create(h, "from", NULL, OPTIONS("rate=20000"), NULL);
	uint64_t since, elapsed;
	size_t sent;

	(void)state;
	harness_settle_auto(source, XF_SETTLE_ACK, false);
	since = harness_now_ms();
	harness_start(source);
	assert_true(harness_wait_received(source, 10000, SOON));
	sent = harness_received(source);
	elapsed = harness_now_ms() - since;
	assert_true(sent <= elapsed * 20 * 13 / 10 + 100);
	/* a pause is not made up for beyond the bound */
	harness_window(source, 0, 0);
	harness_sleep_ms(500);
	sent = harness_received(source);
	since = harness_now_ms();
	harness_window(source, 100000, 1 << 30);
	harness_sleep_ms(50);
	sent = harness_received(source) - sent;
	elapsed = harness_now_ms() - since;
	assert_true(sent < 6000 + elapsed * 20);
	harness_destroy(&source);
	harness_close(&h);
}

static void
a_producer_is_one_source(void **state)
{
	struct harness *h = harness_open("probe", NULL);
	struct harness_endpoint *source = harness_source_create(h, "a", NULL, NULL, NULL), *other;
	struct xf_error error = {""};

	(void)state;
	assert_null(harness_source_create(h, "b", NULL, NULL, &error));
	assert_non_null(strstr(error.text, "producer 0"));
	other = harness_source_create(h, "b", NULL, OPTIONS("producer=1"), NULL);
	harness_destroy(&other);
	harness_destroy(&source);
	assert_null(harness_source_create(h, "b", NULL, OPTIONS("keys=7"), &error));
	assert_null(harness_sink_create(h, "b", NULL, OPTIONS("side=a b"), &error));
	assert_null(harness_source_create(h, "b", NULL, OPTIONS("to=a b"), &error));
	harness_close(&h);
}

static void
a_duration_ends_it(void **state)
{
	struct harness *h = harness_open("probe", NULL);
	struct harness_endpoint *source = harness_source_create(h, "from", NULL, OPTIONS("rate=2000", "duration=300ms"), NULL);
	uint64_t until = harness_now_ms() + SOON;
	size_t sent;

	(void)state;
	harness_settle_auto(source, XF_SETTLE_ACK, false);
	harness_start(source);
	while (strstr(harness_report(h), "\"finished\":true") == NULL && harness_now_ms() < until)
		harness_sleep_ms(5);
	assert_non_null(strstr(harness_report(h), "\"finished\":true"));
	sent = harness_received(source);
	assert_in_range(sent, 1, 2000 * 3 / 10 + 300);
	assert_int_equal(report_number(h, "sent"), sent);
	harness_sleep_ms(50);
	assert_int_equal(harness_received(source), sent);
	harness_destroy(&source);

	/* and one that is held back at its end has ended too */
	source = harness_source_create(h, "from", NULL, OPTIONS("duration=50ms"), NULL);
	harness_window(source, 10, 1 << 20);
	harness_start(source);
	assert_true(harness_wait_received(source, 10, SOON));
	harness_sleep_ms(60);
	harness_settle_range(source, 0, 10, XF_SETTLE_ACK);
	until = harness_now_ms() + SOON;
	while (strstr(harness_report(h), "\"finished\":true") == NULL && harness_now_ms() < until)
		harness_sleep_ms(5);
	assert_non_null(strstr(harness_report(h), "\"finished\":true"));
	assert_int_equal(harness_received(source), 10);
	harness_destroy(&source);
	harness_close(&h);
}

/* A forwarder that waits: the latency is at least that, and no more than the test took. */
static void
latency_is_measured(void **state)
{
	struct harness *h = harness_open("probe", NULL);
	uint64_t since = harness_now_ms(), took_us, p50, p99, p999, max, mean;
	struct harness_endpoint *source = harness_source(h, "from", NULL, OPTIONS("count=1000", "keys=10"));
	struct harness_endpoint *sink = harness_sink(h, "to", NULL, NULL);

	(void)state;
	assert_true(harness_wait_received(source, 1000, SOON));
	for (size_t i = 0; i < 900; i++)
		forward_one(sink, harness_message(source, i), false);
	assert_true(harness_wait_completed(sink, 900, SOON));
	harness_sleep_ms(500);
	for (size_t i = 900; i < 1000; i++)
		forward_one(sink, harness_message(source, i), false);
	assert_true(harness_wait_completed(sink, 1000, SOON));
	took_us = (harness_now_ms() - since + 1) * 1000;
	p50 = number_at(strstr(harness_report(h), "latency_us"), "p50");
	p99 = number_at(strstr(harness_report(h), "latency_us"), "p99");
	p999 = number_at(strstr(harness_report(h), "latency_us"), "p999");
	max = number_at(strstr(harness_report(h), "latency_us"), "max");
	mean = number_at(strstr(harness_report(h), "latency_us"), "mean");
	assert_int_equal(number_at(strstr(harness_report(h), "latency_us"), "count"), 1000);
	assert_true(p50 <= p99 && p99 <= p999 && p999 <= max && max <= took_us);
	assert_true(p99 >= 500000);
	assert_true(p50 + 400000 <= max);
	assert_true(mean >= 50000 && mean <= max);
	assert_true(report_number(h, "span_ms") >= 500 && report_number(h, "span_ms") * 1000 <= took_us);
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);
}

/* Chunks that are complete are forgotten, and the sums stay right; memory does not grow with the count. */
static void
the_ledger_forgets_what_is_complete(void **state)
{
	struct harness *h = harness_open("probe", NULL);
	struct harness_endpoint *source = harness_source_create(h, "from", NULL, OPTIONS("count=400000", "size=48"), NULL);
	struct harness_endpoint *sink = harness_sink(h, "to", NULL, OPTIONS("side=only"));
	size_t done = 0;

	(void)state;
	harness_window(source, 50000, 1 << 30);
	harness_start(source);
	while (done < 400000) {
		size_t first = done;

		assert_true(harness_wait_received(source, first + 50000, SOON));
		for (done = first; done < first + 50000; done++)
			if (done != 390000)
				forward_one(sink, harness_message(source, done), false);
		assert_true(harness_wait_completed(sink, harness_published(sink), SOON));
		harness_settle_range(source, first, 50000, XF_SETTLE_ACK);
	}
	assert_true(harness_wait_settled(source, SOON));
	assert_int_equal(report_number(h, "acked"), 400000);
	assert_int_equal(report_number(h, "lost"), 1);
	assert_int_equal(report_number(h, "forgotten"), 3 * 65536);
	forward_one(sink, harness_message(source, 70000), false);
	forward_one(sink, harness_message(source, 399999), false);
	assert_true(harness_wait_completed(sink, harness_published(sink), SOON));
	assert_int_equal(report_number(h, "duplicates"), 2);
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_faultless_way_is_faultless),
		cmocka_unit_test(a_dropped_message_is_lost),
		cmocka_unit_test(a_doubled_message_is_a_duplicate),
		cmocka_unit_test(swapped_messages_are_out_of_order),
		cmocka_unit_test(a_changed_byte_is_corruption),
		cmocka_unit_test(seeded_faults_are_all_found),
		cmocka_unit_test(a_duration_ends_it),
		cmocka_unit_test(latency_is_measured),
		cmocka_unit_test(a_visit_to_the_other_side_is_no_fault),
		cmocka_unit_test(both_sides_and_copies_are_told_apart),
		cmocka_unit_test(another_id_is_noticed),
		cmocka_unit_test(messages_of_another_run_are_unexpected),
		cmocka_unit_test(what_is_generated_looks_as_the_manual_says),
		cmocka_unit_test(retries_and_what_a_source_left_are_sent_again),
		cmocka_unit_test(the_pace_is_kept),
		cmocka_unit_test(a_producer_is_one_source),
		cmocka_unit_test(the_ledger_forgets_what_is_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
