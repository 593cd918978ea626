/*
 * Promises 20 to 29: credit, and what becomes of a message by its settlement.
 */
#include "bench.h"
#include "promises.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
p20_credit_holds_back(void **state)
{
	struct bench *b = bench_create(NULL);

	(void)state;
	bench_source(b);
	bench_sink(b);
	harness_window(b->source, 0, 0);
	harness_sleep_ms(50);
	bench_publish(b, 0, 200);
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

/* And what was acknowledged does not. */
void
p21_unsettled_messages_come_again_marked(void **state)
{
	struct bench *b = bench_create(NULL);
	bool seen[10] = {false};

	(void)state;
	bench_source(b);
	bench_sink(b);
	bench_publish(b, 0, 20);
	assert_received(b->source, 20);
	harness_settle_range(b->source, 0, 10, XF_SETTLE_ACK);
	assert_true(harness_wait_settled(b->source, SOON));
	harness_destroy(&b->source);
	bench_source(b);
	assert_received(b->source, 10);
	for (size_t i = 0; i < 10; i++) {
		size_t number = number_of(b->source, i);

		assert_in_range(number, 10, 19);
		assert_false(seen[number - 10]);
		seen[number - 10] = true;
		assert_true(is_marked(harness_message(b->source, i)));
	}
	harness_settle_range(b->source, 0, 10, XF_SETTLE_ACK);
	assert_true(harness_wait_settled(b->source, SOON));
	bench_destroy(b);
}

void
p22_ids_survive_redelivery(void **state)
{
	enum { COUNT = 10 };
	struct bench *b = bench_begin();
	char ids[COUNT][128];

	(void)state;
	bench_publish(b, 0, COUNT);
	assert_received(b->source, COUNT);
	for (size_t i = 0; i < COUNT; i++)
		snprintf(ids[number_of(b->source, i)], sizeof(ids[0]), "%s", harness_message(b->source, i)->in.id.data);
	harness_destroy(&b->source);
	bench_source(b);
	assert_received(b->source, COUNT);
	for (size_t i = 0; i < COUNT; i++) {
		assert_true(strlen(ids[i]) > 0);
		assert_string_equal(harness_message(b->source, i)->in.id.data, ids[number_of(b->source, i)]);
	}
	bench_ack(b, 0, COUNT);
	bench_destroy(b);
}

void
p23_settlements_come_in_any_order_and_hold(void **state)
{
	struct bench *b = bench_create(NULL);

	(void)state;
	bench_source(b);
	bench_sink(b);
	bench_publish(b, 0, 100);
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
	bench_source(b);
	bench_publish(b, 100, 1);
	assert_received(b->source, 1);
	assert_int_equal(number_of(b->source, 0), 100);
	harness_sleep_ms(500);
	assert_int_equal(harness_received(b->source), 1);
	harness_settle(b->source, 0, XF_SETTLE_ACK, 0);
	assert_true(harness_wait_settled(b->source, SOON));
	bench_destroy(b);
}

void
p24_a_retry_waits_and_is_marked(void **state)
{
	enum { DELAY = 800 };
	struct bench *b = bench_begin();
	uint64_t since;

	(void)state;
	bench_publish(b, 0, 3);
	assert_received(b->source, 3);
	harness_hold(b->source, true);
	harness_settle(b->source, 1, XF_SETTLE_RETRY, DELAY);
	harness_settle(b->source, 0, XF_SETTLE_ACK, 0);
	harness_settle(b->source, 2, XF_SETTLE_ACK, 0);
	since = harness_now_ms();
	harness_hold(b->source, false);
	assert_received(b->source, 4);
	assert_true(harness_now_ms() - since >= DELAY - 1);
	assert_int_equal(number_of(b->source, 3), 1);
	assert_true(is_marked(harness_message(b->source, 3)));
	harness_settle(b->source, 3, XF_SETTLE_RETRY, 0); /* and at once */
	assert_received(b->source, 5);
	assert_int_equal(number_of(b->source, 4), 1);
	bench_ack(b, 4, 1);
	bench_destroy(b);
}

/* Twice as long as the broker would wait. */
void
p25_an_extension_keeps_the_message(void **state)
{
	struct bench *b = bench_begin();
	unsigned wait = row->ack_wait_ms > 0 ? row->ack_wait_ms : 500;

	(void)state;
	bench_publish(b, 0, 2);
	assert_received(b->source, 2);
	for (unsigned i = 0; i < 10; i++) {
		harness_settle(b->source, 0, XF_SETTLE_EXTEND, 0);
		harness_settle(b->source, 1, XF_SETTLE_EXTEND, 0);
		harness_sleep_ms(wait / 5);
	}
	assert_int_equal(harness_received(b->source), 2);
	bench_ack(b, 0, 2);
	bench_destroy(b);
}

void
p26_a_reject_never_comes_again(void **state)
{
	struct bench *b = bench_begin();

	(void)state;
	bench_publish(b, 0, 3);
	assert_received(b->source, 3);
	harness_settle_range(b->source, 0, 2, XF_SETTLE_REJECT);
	assert_true(harness_wait_settled(b->source, SOON));
	harness_destroy(&b->source);
	bench_source(b);
	assert_received(b->source, 1);
	assert_int_equal(number_of(b->source, 0), 2);
	harness_sleep_ms(row->ack_wait_ms > 0 ? row->ack_wait_ms + 500 : 500);
	for (size_t i = 0; i < harness_received(b->source); i++) /* it may have been too long for the third */
		assert_int_equal(number_of(b->source, i), 2);
	bench_ack(b, 0, harness_received(b->source));
	bench_destroy(b);
}

void
p27_unknown_handles_are_ignored(void **state)
{
	struct bench *b = bench_create(NULL);

	(void)state;
	bench_source(b);
	bench_sink(b);
	bench_publish(b, 0, 2);
	assert_received(b->source, 2);
	harness_settle(b->source, 0, XF_SETTLE_ACK, 0);
	harness_settle(b->source, 0, XF_SETTLE_ACK, 0);
	harness_settle(b->source, 0, XF_SETTLE_RETRY, 0);
	harness_settle_handle(b->source, 0x1234567890abcdefu, XF_SETTLE_ACK);
	harness_settle_handle(b->source, 0x1234567890abcdefu, XF_SETTLE_RETRY);
	harness_settle(b->source, 1, XF_SETTLE_ACK, 0);
	assert_true(harness_wait_settled(b->source, SOON));
	bench_publish(b, 2, 1);
	assert_received(b->source, 3);
	assert_int_equal(number_of(b->source, 2), 2);
	harness_settle(b->source, 2, XF_SETTLE_ACK, 0);
	assert_true(harness_wait_settled(b->source, SOON));
	bench_destroy(b);
}

void
p28_a_drain_brings_nothing_new(void **state)
{
	struct bench *b = bench_begin();

	(void)state;
	bench_publish(b, 0, 5);
	assert_received(b->source, 5);
	harness_drain(b->source);
	harness_settle_handle(b->source, 0x1234567890abcdefu, XF_SETTLE_ACK);
	assert_true(harness_wait_settled(b->source, SOON)); /* it knows by now */
	bench_publish(b, 5, 5);
	assert_all_stored(b->sink);
	harness_sleep_ms(300);
	assert_int_equal(harness_received(b->source), 5);
	bench_ack(b, 0, 5); /* what is out can still be settled */
	harness_destroy(&b->source);
	bench_source(b);
	assert_received(b->source, 5);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(number_of(b->source, i), 5 + i);
	bench_ack(b, 0, 5);
	bench_destroy(b);
}
