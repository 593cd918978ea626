/*
 * seen.c - ids are known from acceptance on, and long enough.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "flow/seen.h"

static struct xf_str
number(char *out, unsigned n)
{
	snprintf(out, 16, "id-%u", n);
	return xf_str(out);
}

static void
test_life_of_an_id(void **state)
{
	struct xf_seen *seen = xf_seen_create(100, 0);

	(void)state;
	assert_int_equal(xf_seen_enter(seen, xf_str("a"), 0), XF_SEEN_NEW);
	assert_int_equal(xf_seen_enter(seen, xf_str("a"), 0), XF_SEEN_UNDER_WAY);
	assert_int_equal(xf_seen_enter(seen, xf_str("b"), 0), XF_SEEN_NEW);
	xf_seen_leave(seen, xf_str("a"), true, 0);
	assert_int_equal(xf_seen_enter(seen, xf_str("a"), 0), XF_SEEN_DONE);
	xf_seen_leave(seen, xf_str("b"), false, 0);
	assert_int_equal(xf_seen_enter(seen, xf_str("b"), 0), XF_SEEN_NEW);
	xf_seen_leave(seen, xf_str("never came"), true, 0);
	assert_int_equal(xf_seen_enter(seen, xf_str("never came"), 0), XF_SEEN_NEW);
	xf_seen_destroy(&seen);
}

/* The last COUNT are known, and none before them; what is forgotten may come again. */
static void
count_check(uint32_t count)
{
	struct xf_seen *seen = xf_seen_create(count, 0);
	char id[16];

	for (unsigned n = 0; n < 5 * count; n++) {
		assert_int_equal(xf_seen_enter(seen, number(id, n), n), XF_SEEN_NEW);
		xf_seen_leave(seen, number(id, n), true, n);
		if (n >= count - 1)
			assert_int_equal(xf_seen_enter(seen, number(id, n - count + 1), n), XF_SEEN_DONE);
	}
	for (unsigned n = 0; n < count; n++)
		assert_int_equal(xf_seen_enter(seen, number(id, n), 5 * count), XF_SEEN_NEW);
	xf_seen_destroy(&seen);
}

static void
test_count(void **state)
{
	(void)state;
	count_check(1);
	count_check(3);
	count_check(1000);
	count_check(65536);
}

/* From the moment in which it was settled, however long it was under way. */
static void
test_time(void **state)
{
	struct xf_seen *seen = xf_seen_create(100, 1000);

	(void)state;
	assert_int_equal(xf_seen_enter(seen, xf_str("a"), 5000), XF_SEEN_NEW);
	assert_int_equal(xf_seen_enter(seen, xf_str("a"), 50000), XF_SEEN_UNDER_WAY);
	xf_seen_leave(seen, xf_str("a"), true, 60000);
	assert_int_equal(xf_seen_enter(seen, xf_str("a"), 60999), XF_SEEN_DONE);
	assert_int_equal(xf_seen_enter(seen, xf_str("a"), 61000), XF_SEEN_NEW);
	assert_int_equal(xf_seen_enter(seen, xf_str("a"), 61000), XF_SEEN_UNDER_WAY);
	xf_seen_leave(seen, xf_str("a"), true, 61000);
	assert_int_equal(xf_seen_enter(seen, xf_str("a"), 61999), XF_SEEN_DONE);
	xf_seen_destroy(&seen);
}

/* One that came again after its time, or after it was given up, is as new as if it had never been. */
static void
test_again_counts_anew(void **state)
{
	struct xf_seen *seen = xf_seen_create(3, 1000);
	char id[16];

	(void)state;
	for (unsigned n = 0; n < 3; n++) {
		assert_int_equal(xf_seen_enter(seen, number(id, n), 0), XF_SEEN_NEW);
		xf_seen_leave(seen, number(id, n), n != 1, 0);
	}
	assert_int_equal(xf_seen_enter(seen, number(id, 1), 10), XF_SEEN_NEW);   /* 1 2 1 */
	assert_int_equal(xf_seen_enter(seen, number(id, 2), 1000), XF_SEEN_NEW); /* 2 1 2 */
	assert_int_equal(xf_seen_enter(seen, number(id, 3), 1000), XF_SEEN_NEW); /* 1 2 3 */
	for (unsigned n = 1; n < 4; n++)
		assert_int_equal(xf_seen_enter(seen, number(id, n), 1000), XF_SEEN_UNDER_WAY);
	assert_int_equal(xf_seen_enter(seen, number(id, 4), 1000), XF_SEEN_NEW); /* 2 3 4 */
	assert_int_equal(xf_seen_enter(seen, number(id, 2), 1000), XF_SEEN_UNDER_WAY);
	assert_int_equal(xf_seen_enter(seen, number(id, 1), 1000), XF_SEEN_NEW);
	xf_seen_destroy(&seen);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life_of_an_id),
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_again_counts_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
