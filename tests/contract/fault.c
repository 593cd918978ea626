/*
 * Promises 30 to 39: ends, and brokers that fail.
 */
#include "bench.h"
#include "promises.h"

#include <stdlib.h>

/* The harness counts. */
void
p30_stop_completes_all(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		struct bench *b = bench_begin();

		bench_publish(b, 0, 2000);
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

/* Every token is completed once, DOWN is told; when it is back, UP, and all goes on. Handles of the old connection are
 * ignored. */
void
p31_a_killed_broker_comes_back(void **state)
{
	enum { COUNT = 20000 };
	struct bench *b;
	size_t missing, held;
	bool *seen;

	(void)state;
	seen = calloc(COUNT + 10, sizeof(*seen));
	assert_non_null(seen);
	b = bench_begin();
	bench_publish(b, 0, 10);
	assert_all_stored(b->sink);
	if (!row->no_source)
		assert_received(b->source, 10);
	xf_broker_ripen(broker);
	bench_publish(b, 10, COUNT);
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
	if (!row->no_source && row->keeps && !(bench_source_traits(b) & XF_TRAIT_LOSSY)) {
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

/* What is honest can be seen by what is there: nothing of NOT_SENT or REJECTED, and all of STORED where the broker keeps
 * what it confirmed. UNKNOWN may be both. */
void
p32_not_sent_was_not_stored(void **state)
{
	enum { COUNT = 20000 };
	struct bench *b = bench_create(NULL);
	bool *seen = calloc(COUNT, sizeof(*seen));
	uint64_t until;
	size_t looked = 0, missing = 1;

	(void)state;
	assert_non_null(seen);
	bench_source(b);
	harness_destroy(&b->source); /* its subscription stays */
	bench_sink(b);
	xf_broker_ripen(broker);
	bench_publish(b, 0, COUNT);
	assert_true(harness_wait_completed(b->sink, 300, SOON));
	xf_broker_kill(broker);
	assert_true(harness_wait_state(b->sink, XF_STATE_DOWN, LATE));
	harness_hold(b->sink, true); /* nothing is offered again */
	xf_broker_restart(broker);
	bench_source(b);
	harness_settle_auto(b->source, XF_SETTLE_ACK, true);
	harness_settle_range(b->source, 0, harness_received(b->source), XF_SETTLE_ACK);
	until = harness_now_ms() + (row->keeps ? LATE : 2000);
	while (missing > 0 && harness_now_ms() < until) {
		harness_sleep_ms(row->keeps ? 100 : 500);
		for (size_t n = harness_received(b->source); looked < n; looked++) {
			size_t number = number_of(b->source, looked);
			uint32_t code;

			assert_in_range(number, 0, COUNT - 1);
			code = harness_result(b->sink, number).code;
			if (code != XF_RESULT_STORED && code != XF_RESULT_UNKNOWN)
				fail_msg("%zu was completed with %u, and is there", number, code);
			seen[number] = true;
		}
		missing = 0;
		for (size_t i = 0; i < COUNT; i++)
			missing += !seen[i] && harness_result(b->sink, i).code == XF_RESULT_STORED;
		missing += !row->keeps; /* then it is only waited for what may come */
	}
	if (row->keeps)
		assert_int_equal(missing, 0);
	free(seen);
	bench_destroy(b);
}

/* Asks the plugin's thread for a turn: settlements are handed over between two calls of work(). */
static void
assert_works(struct harness_endpoint *source)
{
	harness_settle_handle(source, 0x1234567890abcdefu, XF_SETTLE_ACK);
	assert_true(harness_wait_settled(source, SOON));
}

/* A broker that is there and says nothing: work(), settle() and stop() come back all the same. Connecting may take five
 * seconds; twice that is for the machine. */
void
p33_a_stopped_broker_blocks_nobody(void **state)
{
	enum { PATIENCE = 12000 };
	struct bench *b = bench_begin();
	uint64_t since;

	(void)state;
	bench_publish(b, 0, 10);
	assert_all_stored(b->sink);
	if (!row->no_source)
		assert_received(b->source, 10);
	xf_broker_pause(broker);
	bench_publish(b, 10, 2000);
	since = harness_now_ms();
	for (int i = 0; !row->no_source && i < 5; i++) {
		assert_works(b->source);
		harness_sleep_ms(100);
	}
	assert_true(harness_now_ms() - since < PATIENCE);
	since = harness_now_ms();
	harness_destroy(&b->sink);
	assert_true(harness_now_ms() - since < PATIENCE);
	since = harness_now_ms();
	harness_destroy(&b->source);
	assert_true(harness_now_ms() - since < PATIENCE);
	xf_broker_resume(broker);
	bench_destroy(b);
}
