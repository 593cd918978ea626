#include "spool/mark.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fake_disk.h"

#define PATH "/data/mark"

static void
opened(struct xf_mark *mark)
{
	struct xf_error error;

	if (xf_mark_open(mark, &fake_disk, PATH, true, &error) != XF_OK)
		fail_msg("%s", error.text);
}

static void
last_write_is_read(void **state)
{
	struct xf_error error;
	struct xf_mark mark;

	(void)state;
	fake_disk_reset(1);
	opened(&mark);
	assert_int_equal(mark.version, 0);
	for (uint64_t i = 1; i < 10; i++) {
		assert_int_equal(xf_mark_write(&mark, 1, i, 100 + i, &error), XF_OK);
		xf_mark_close(&mark);
		opened(&mark);
		assert_int_equal(mark.version, 1);
		assert_int_equal(mark.low, i);
		assert_int_equal(mark.high, 100 + i);
	}
	xf_mark_close(&mark);
}

/* The power goes while it is written: what is read is what was last synced, or what was being written. */
static void
torn_write_leaves_the_one_before(void **state)
{
	struct xf_error error;
	struct xf_mark mark;
	unsigned older = 0, newer = 0;

	(void)state;
	for (uint64_t seed = 1; seed < 2000; seed++) {
		uint64_t high = 0, writes = 1 + seed % 5;

		fake_disk_reset(seed);
		opened(&mark);
		fake_disk.sync("/data");
		while (high < writes)
			assert_int_equal(xf_mark_write(&mark, 1, 1, ++high, &error), XF_OK);
		fake_disk_cut_at(fake_disk_calls() + seed % 2); /* before the write or the sync */
		assert_int_equal(xf_mark_write(&mark, 1, 1, high + 1, &error), XF_FAILED);
		xf_mark_close(&mark);
		fake_disk_restart();
		opened(&mark);
		assert_int_equal(mark.version, 1);
		assert_in_range(mark.high, high, high + 1);
		older += mark.high == high;
		newer += mark.high > high;
		xf_mark_close(&mark);
	}
	assert_true(older > 100 && newer > 100);
}

/* A sync fails, and what it was to sync is lost: the slot before that must not be written over until one has come onto the disk. */
static void
failed_sync_keeps_the_slot(void **state)
{
	struct xf_error error;
	struct xf_mark mark;

	(void)state;
	for (uint64_t seed = 1; seed < 500; seed++) {
		fake_disk_reset(seed);
		opened(&mark);
		fake_disk.sync("/data");
		assert_int_equal(xf_mark_write(&mark, 1, 1, 1, &error), XF_OK);
		assert_int_equal(xf_mark_write(&mark, 1, 1, 2, &error), XF_OK);
		fake_disk_fail(fake_disk_calls() + 1, fake_disk_calls() + 1, EIO);
		assert_int_equal(xf_mark_write(&mark, 1, 1, 3, &error), XF_FAILED);
		assert_non_null(strstr(error.text, "Input/output error"));
		fake_disk_cut_at(fake_disk_calls() + 1);
		assert_int_equal(xf_mark_write(&mark, 1, 1, 4, &error), XF_FAILED);
		xf_mark_close(&mark);
		fake_disk_restart();
		opened(&mark);
		assert_int_equal(mark.version, 1);
		assert_true(mark.high >= 2);
		xf_mark_close(&mark);
	}
}

static void
damaged_slot_leaves_the_other(void **state)
{
	struct xf_error error;
	struct xf_mark mark;

	(void)state;
	fake_disk_reset(1);
	opened(&mark);
	assert_int_equal(xf_mark_write(&mark, 1, 3, 7, &error), XF_OK);
	assert_int_equal(xf_mark_write(&mark, 1, 4, 8, &error), XF_OK);
	xf_mark_close(&mark);
	fake_disk_save();
	for (uint64_t bit = 0; bit < 8 * 48; bit++) {
		fake_disk_load();
		fake_disk_flip(PATH, bit); /* of the newer one */
		opened(&mark);
		assert_int_equal(mark.high, 7);
		xf_mark_close(&mark);
		fake_disk_flip(PATH, 8 * 4096 + bit);
		opened(&mark);
		assert_int_equal(mark.version, 0);
		xf_mark_close(&mark);
		fake_disk_flip(PATH, bit);
		opened(&mark);
		assert_int_equal(mark.high, 8);
		xf_mark_close(&mark);
	}
}

static void
reserve_is_had_and_given_up(void **state)
{
	struct xf_error error;
	struct xf_mark mark;

	(void)state;
	fake_disk_reset(1);
	opened(&mark);
	assert_int_equal(xf_mark_write(&mark, 1, 1, 1, &error), XF_OK);
	assert_int_equal(xf_mark_write(&mark, 1, 1, 2, &error), XF_OK);
	assert_int_equal(xf_mark_reserve(&mark, &error), XF_OK);
	assert_true(fake_disk_size(PATH) >= fake_disk.reserve);
	xf_mark_close(&mark);
	opened(&mark);
	assert_true(mark.reserved);
	assert_int_equal(mark.high, 2);

	fake_disk_capacity(fake_disk_used() + fake_disk.reserve / 2);
	assert_int_equal(xf_mark_probe(&mark, &error), XF_FAILED);
	assert_non_null(strstr(error.text, "No space left"));
	assert_true(fake_disk_size(PATH) >= fake_disk.reserve && mark.reserved);
	assert_int_equal(xf_mark_release(&mark, &error), XF_OK);
	assert_true(fake_disk_size(PATH) < fake_disk.reserve);
	fake_disk_capacity(fake_disk_used() + fake_disk.reserve / 2);
	assert_int_equal(xf_mark_reserve(&mark, &error), XF_FAILED);
	assert_false(mark.reserved);
	assert_int_equal(xf_mark_write(&mark, 1, 1, 3, &error), XF_OK); /* wants no room */
	fake_disk_capacity(0);
	assert_int_equal(xf_mark_reserve(&mark, &error), XF_OK);
	assert_int_equal(xf_mark_probe(&mark, &error), XF_OK);
	xf_mark_close(&mark);
	opened(&mark);
	assert_int_equal(mark.high, 3);
	xf_mark_close(&mark);
}

static void
mark_has_one_owner(void **state)
{
	struct xf_mark mark, other;
	struct xf_error error;

	(void)state;
	fake_disk_reset(1);
	opened(&mark);
	assert_int_equal(xf_mark_open(&other, &fake_disk, PATH, false, &error), XF_FAILED);
	assert_non_null(strstr(error.text, "held by another"));
	xf_mark_close(&mark);
	opened(&mark);
	xf_mark_close(&mark);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(last_write_is_read),
		cmocka_unit_test(torn_write_leaves_the_one_before),
		cmocka_unit_test(failed_sync_keeps_the_slot),
		cmocka_unit_test(damaged_slot_leaves_the_other),
		cmocka_unit_test(reserve_is_had_and_given_up),
		cmocka_unit_test(mark_has_one_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
