#include "spool/runs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_disk.h"

#define NUMBERS 5000

/* Every number once, in an order of chance: all are there, each taken once, the lowest first. */
static void
runs_hold_what_was_added(void **state)
{
	struct xf_runs runs = {0}, taken = {0};
	uint64_t order[NUMBERS], next = 1;

	(void)state;
	fake_disk_reset(3);
	for (uint64_t i = 0; i < NUMBERS; i++) {
		uint64_t at = fake_below(i + 1);

		order[i] = order[at];
		order[at] = i + 1;
	}
	for (uint64_t i = 0; i < NUMBERS; i++)
		xf_runs_add(&runs, (struct xf_run){order[i], order[i], 10});
	assert_int_equal(runs.records, NUMBERS);
	while (runs.count > 0) {
		uint64_t bytes = 0, records = 0;

		xf_runs_take(&runs, 300, &taken);
		assert_in_range(taken.records, 300 < NUMBERS - next + 1 ? 300 : NUMBERS - next + 1, 400); /* by chance some touch */
		assert_false(xf_runs_have(&taken, next - 1));
		for (size_t i = 0; i < taken.count; i++) {
			assert_int_equal(taken.items[i].first, next);
			next = taken.items[i].last + 1;
			assert_true(xf_runs_have(&taken, taken.items[i].first) && xf_runs_have(&taken, next - 1));
			bytes += taken.items[i].bytes;
			records += taken.items[i].last - taken.items[i].first + 1;
		}
		assert_false(xf_runs_have(&taken, next));
		assert_int_equal(bytes, 10 * taken.records);
		assert_int_equal(records, taken.records);
		assert_int_equal(runs.records, NUMBERS - next + 1);
		xf_runs_clear(&taken);
	}
	assert_int_equal(next, NUMBERS + 1);
	xf_runs_fini(&taken);
	xf_runs_fini(&runs);
}

/* A million in a row take next to nothing, and are taken in bounded parts. */
static void
numbers_in_a_row_are_few_runs(void **state)
{
	struct xf_runs runs = {0}, taken = {0};

	(void)state;
	for (uint64_t seq = 1; seq <= 1000000; seq++)
		xf_runs_add(&runs, (struct xf_run){seq, seq, 1});
	assert_true(runs.count < 1000);
	xf_runs_take(&runs, 1, &taken);
	assert_in_range(taken.records, 1, 2000);
	xf_runs_add_all(&runs, &taken); /* back again */
	assert_int_equal(runs.records, 1000000);
	xf_runs_sort(&runs);
	assert_true(xf_runs_have(&runs, 1) && xf_runs_have(&runs, 1000000) && !xf_runs_have(&runs, 1000001));
	xf_runs_fini(&taken);
	xf_runs_fini(&runs);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_hold_what_was_added),
		cmocka_unit_test(numbers_in_a_row_are_few_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
