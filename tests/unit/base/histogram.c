#include "base/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static unsigned
bucket_of(uint64_t microseconds)
{
	struct xf_histogram histogram = {0};
	struct xf_histogram_snapshot snapshot;
	unsigned found = XF_HISTOGRAM_BUCKETS;

	xf_histogram_record(&histogram, microseconds, 1);
	xf_histogram_read(&histogram, &snapshot);
	assert_int_equal(snapshot.count, 1);
	assert_int_equal(snapshot.sum_us, microseconds);
	for (unsigned i = 0; i < XF_HISTOGRAM_BUCKETS; i++)
		if (snapshot.counts[i] == 1)
			found = i;
	return found;
}

static void
each_value_lies_in_the_bucket_that_bounds_it(void **state)
{
	(void)state;
	assert_int_equal(bucket_of(0), 0);
	assert_int_equal(bucket_of(1), 0);
	for (unsigned i = 1; i < XF_HISTOGRAM_BUCKETS - 1; i++) {
		uint64_t bound = (uint64_t)1 << i;

		assert_int_equal(bucket_of(bound), i);
		assert_int_equal(bucket_of(bound - (i > 1)), i);
		assert_int_equal(bucket_of(bound + 1), i + 1);
	}
	assert_int_equal(bucket_of((uint64_t)1 << 40), XF_HISTOGRAM_BUCKETS - 1);
	assert_int_equal(bucket_of(UINT64_MAX), XF_HISTOGRAM_BUCKETS - 1);
}

static void
quantiles_are_upper_bounds(void **state)
{
	struct xf_histogram histogram = {0};
	struct xf_histogram_snapshot snapshot;

	(void)state;
	xf_histogram_read(&histogram, &snapshot);
	assert_int_equal(xf_histogram_quantile(&snapshot, 0.5), 0);
	xf_histogram_record(&histogram, 100, 98); /* at most 128 */
	xf_histogram_record(&histogram, 5000, 1); /* at most 8192 */
	xf_histogram_record(&histogram, 3, 1);
	xf_histogram_read(&histogram, &snapshot);
	assert_int_equal(snapshot.count, 100);
	assert_int_equal(snapshot.sum_us, 98 * 100 + 5000 + 3);
	assert_int_equal(xf_histogram_quantile(&snapshot, 0), 4);
	assert_int_equal(xf_histogram_quantile(&snapshot, 0.5), 128);
	assert_int_equal(xf_histogram_quantile(&snapshot, 0.98), 128);
	assert_int_equal(xf_histogram_quantile(&snapshot, 0.995), 8192);
	assert_int_equal(xf_histogram_quantile(&snapshot, 1), 8192);
}

static void
sums_add_up(void **state)
{
	struct xf_histogram a = {0}, b = {0};
	struct xf_histogram_snapshot sum = {0}, one;

	(void)state;
	xf_histogram_record(&a, 1, 5);
	xf_histogram_record(&b, 1, 2);
	xf_histogram_record(&b, 1000, 3);
	xf_histogram_read(&a, &one);
	xf_histogram_add(&sum, &one);
	xf_histogram_read(&b, &one);
	xf_histogram_add(&sum, &one);
	assert_int_equal(sum.count, 10);
	assert_int_equal(sum.sum_us, 3007);
	assert_int_equal(sum.counts[0], 7);
	assert_int_equal(sum.counts[10], 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_value_lies_in_the_bucket_that_bounds_it),
		cmocka_unit_test(quantiles_are_upper_bounds),
		cmocka_unit_test(sums_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
