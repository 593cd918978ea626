/*
 * migration.c - messages move from an AMQP queue through a migration between a Redis stream and JetStream while its share
 * changes: each is on exactly one side, none is lost, and those of a key stay in order.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "world.h"

#define MESSAGES (200000 / XF_SCALE)
#define AT_REST (20000 / XF_SCALE)
#define KEYS 1000

static const char *const shares[] = {"5", "25", "50", "75", "100", "60", "30", "0", "50", "25"};
#define SHARES (sizeof(shares) / sizeof(shares[0]))

/* The counters say what the brokers hold. */
static void
counters_agree(struct world *w)
{
	assert_int_equal(world_number(w, "sides.old.confirmed"), cache_number(w->old, "XLEN orders"));
	assert_int_equal(world_number(w, "sides.new.confirmed"), jet_count(w->new, "orders"));
	world_check_accounts(w);
}

/* How often a bucket changes sides, at most, when the share goes the whole way. */
static uint32_t
turns_allowed(uint32_t bucket)
{
	uint32_t turns = 0;
	bool new = false;

	for (size_t i = 0; i < SHARES; i++) {
		bool next = bucket < (uint32_t)atoi(shares[i]) * 100;

		turns += next != new;
		new = next;
	}
	return turns;
}

static void
move_while_messages_flow(struct world *w)
{
	struct ledger *ledger = ledger_create(1, MESSAGES, KEYS);
	uint64_t begin, ms;
	struct ledger_sum sum;

	rabbit_feed(w->queue, "orders.in", ledger, 0, MESSAGES);
	begin = xf_now_ms();
	xf_server_start(w->server);
	for (size_t i = 0; i < SHARES; i++) {
		xf_server_wait_number(w->server, w->route, "acked",
		                      (double)MESSAGES * (double)(i + 1) / (SHARES + 2));
		world_percent(w, shares[i], NULL);
	}
	xf_server_wait_settled(w->server, "orders", MESSAGES);
	ms = xf_now_ms() - begin;

	world_read(w, ledger);
	sum = ledger_sum(ledger);
	printf("%d messages, %zu changes: %" PRIu64 " ms with the start, %.0f a second; hand-overs %.0f, p50 %.6f s, p99 %.6f "
	       "s\n",
	       MESSAGES, SHARES, ms, MESSAGES * 1000.0 / (double)ms,
	       world_route_number(w, "handover.count"),
	       world_route_number(w, "handover.p50_seconds"),
	       world_route_number(w, "handover.p99_seconds"));
	ledger_print("the share turned", &sum);
	assert_int_equal(sum.here[OLD] + sum.here[NEW], MESSAGES);
	assert_true(sum.here[OLD] > 0 && sum.here[NEW] > 0);
	assert_int_equal(sum.lost + sum.both + sum.corrupted + sum.unexpected, 0);
	assert_int_equal(sum.duplicates[OLD] + sum.duplicates[NEW], 0);
	assert_int_equal(sum.copies[OLD] + sum.copies[NEW], 0);
	assert_int_equal(sum.reordered[OLD] + sum.reordered[NEW] + sum.across, 0);
	/* Where a sanitizer makes steering slow beside the traffic, some of the shares see no message. */
	assert_true(sum.turns_max >= (XF_SCALE > 1 ? 1 : 2));
	for (uint32_t key = 0; key < KEYS; key++) {
		char name[16];

		snprintf(name, sizeof(name), "k%u", key);
		assert_true(ledger_turns(ledger, key) <= turns_allowed(ledger_bucket("orders", name)));
	}
	assert_int_equal(rabbit_count(w->queue, "orders.in"), 0);
	assert_int_equal(world_number(w, "crossed"), 0);
	assert_int_equal(world_number(w, "buckets.stuck"), 0);
	counters_agree(w);
	ledger_destroy(&ledger);
}

/* The new side has the keys that the book gives it, and no other. */
static void
share_is_exact_at_rest(struct world *w)
{
	struct ledger *ledger = ledger_create(2, AT_REST, KEYS);
	uint32_t new_keys = 0;
	struct ledger_sum sum;

	xf_server_wait_number(w->server, w->migration, "buckets.new", 2500);
	assert_int_equal(world_number(w, "buckets.new"), 2500);
	assert_int_equal(world_number(w, "buckets.moving"), 0);
	rabbit_feed(w->queue, "orders.in", ledger, 0, AT_REST);
	xf_server_wait_settled(w->server, "orders", MESSAGES + AT_REST);
	world_read(w, ledger);
	sum = ledger_sum(ledger);
	ledger_print("at rest at 25 %", &sum);
	assert_int_equal(sum.unexpected, MESSAGES); /* those before */
	assert_int_equal(sum.lost + sum.both + sum.corrupted, 0);
	assert_int_equal(sum.here[OLD] + sum.here[NEW], AT_REST);
	assert_int_equal(sum.reordered[OLD] + sum.reordered[NEW] + sum.turns_max, 0);
	for (uint32_t number = 0; number < AT_REST; number++) {
		char key[16];

		snprintf(key, sizeof(key), "k%u", number % KEYS);
		assert_int_equal(ledger_has(ledger, NEW, number), ledger_bucket("orders", key) < 2500);
		new_keys += number < KEYS && ledger_has(ledger, NEW, number);
	}
	printf("at rest at 25 %%: %u of %d keys are on the new side\n", new_keys, KEYS);
	assert_int_equal(rabbit_count(w->queue, "orders.in"), 0);
	counters_agree(w);
	ledger_destroy(&ledger);
}

static void
test_share_turns_under_load(void **state)
{
	struct world *w = *state;

	world_begin(w, "orders");
	world_configure(w, "", "");
	move_while_messages_flow(w);
	share_is_exact_at_rest(w);
	assert_int_equal(xf_server_stop(w->server), 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_share_turns_under_load),
	};

	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
