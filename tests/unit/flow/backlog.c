/*
 * backlog.c - what waits for which side, and until when.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flow/backlog.h"

static struct xf_migration migration;

static void
percent_set(uint32_t percent)
{
	struct xf_knobs knobs = xf_migration_knobs(&migration);

	knobs.version++;
	knobs.position.percent = percent;
	atomic_store(&migration.knobs, xf_knobs_pack(knobs));
}

static struct xf_backlog *
begin(uint32_t percent)
{
	percent_set(percent);
	return xf_backlog_create(&migration);
}

/* A bucket that moved waits on the side it moved to, until the one it left was at its end a second later. */
static void
test_a_move(void **state)
{
	struct xf_backlog *backlog = begin(1000);
	struct xf_backlog_view old = {0}, new = {0};

	(void)state;
	xf_backlog_look(backlog, 0, 10000, &old);
	assert_true(xf_backlog_look(backlog, 1, 10000, &new));
	assert_false(new.any);
	assert_false(xf_backlog_look(backlog, 1, 10001, &new));
	percent_set(3000);
	assert_true(xf_backlog_look(backlog, 1, 20000, &new));
	assert_true(xf_backlog_look(backlog, 0, 20000, &old));
	assert_false(old.any);
	assert_false(xf_backlog_waits(&new, 999));
	assert_true(xf_backlog_waits(&new, 1000));
	assert_true(xf_backlog_waits(&new, 2999));
	assert_false(xf_backlog_waits(&new, 3000));
	xf_backlog_ended(backlog, 1, 30000); /* of the other side */
	xf_backlog_ended(backlog, 0, 20999); /* too early */
	assert_false(xf_backlog_look(backlog, 1, 21000, &new));
	xf_backlog_ended(backlog, 0, 21000);
	assert_true(xf_backlog_look(backlog, 1, 21000, &new));
	assert_false(new.any);
	xf_backlog_destroy(&backlog);
}

/* While a lane still has something under way to the side that it leaves, and a second longer, that side is not at its end. */
static void
test_under_way(void **state)
{
	struct xf_backlog *backlog = begin(0);
	struct xf_backlog_view new = {0};

	(void)state;
	percent_set(5000);
	xf_backlog_look(backlog, 1, 10000, &new);
	xf_migration_moving(&migration, 0, 2, 10000);
	xf_backlog_ended(backlog, 0, 12000);
	assert_false(xf_backlog_look(backlog, 1, 12000, &new));
	xf_migration_moving(&migration, 2, 1, 13000);
	xf_migration_moving(&migration, 1, 0, 14000);
	xf_backlog_ended(backlog, 0, 14999);
	assert_false(xf_backlog_look(backlog, 1, 15000, &new));
	xf_backlog_ended(backlog, 0, 15000);
	assert_true(xf_backlog_look(backlog, 1, 15000, &new));
	assert_false(new.any);
	atomic_store(&migration.moved_ms, 0);
	xf_backlog_destroy(&backlog);
}

/* Going on in the same direction is fine; back is only once nothing waits. */
static void
test_turning_back(void **state)
{
	struct xf_backlog *backlog = begin(0);
	struct xf_migration other = {.conf = NULL};
	struct xf_backlog_view view = {0};

	(void)state;
	percent_set(5000);
	xf_backlog_look(backlog, 1, 10000, &view);
	assert_false(xf_backlog_turns(backlog, &migration, 7000));
	assert_false(xf_backlog_turns(backlog, &migration, 5000));
	assert_true(xf_backlog_turns(backlog, &migration, 4999));
	assert_true(xf_backlog_turns(backlog, &migration, 0));
	assert_false(xf_backlog_turns(backlog, &other, 0));
	xf_backlog_ended(backlog, 0, 11000);
	assert_false(xf_backlog_turns(backlog, &migration, 0));
	xf_backlog_destroy(&backlog);
}

/* Two that wait for each other are let go. */
static void
test_both_full(void **state)
{
	struct xf_backlog *backlog = begin(0);
	struct xf_backlog_view old = {0}, new = {0};

	(void)state;
	percent_set(5000);
	xf_backlog_look(backlog, 1, 10000, &new);
	percent_set(2500);
	xf_backlog_look(backlog, 0, 10100, &old);
	assert_true(xf_backlog_waits(&old, 2500));
	assert_false(xf_backlog_full(backlog, 1, true));
	assert_false(xf_backlog_full(backlog, 1, false));
	assert_false(xf_backlog_full(backlog, 0, true));
	assert_false(xf_backlog_look(backlog, 0, 10200, &old));
	assert_true(xf_backlog_full(backlog, 1, true));
	assert_true(xf_backlog_look(backlog, 0, 10200, &old));
	assert_true(xf_backlog_look(backlog, 1, 10200, &new));
	assert_false(old.any);
	assert_false(new.any);
	xf_backlog_destroy(&backlog);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_move),
		cmocka_unit_test(test_under_way),
		cmocka_unit_test(test_turning_back),
		cmocka_unit_test(test_both_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
