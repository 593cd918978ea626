/* What a source is told: all of it, in order, and of a refusal only what is on disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/counter.h"
#include "base/log.h"
#include "base/memory.h"
#include "fake_disk.h"
#include "flow/settlements.h"

#define MANY 1000
#define MAX (1u << 20)

struct place {
	char folder[64];
	struct xf_letters *letters;
	struct xf_settlements settlements;
};

static struct xf_settlement told[MANY];
static uint32_t told_count;

static void
source_settle(void *source, const struct xf_settlement *settlements, uint32_t count)
{
	(void)source;
	for (uint32_t i = 0; i < count; i++)
		told[told_count++] = settlements[i];
}

static const struct xf_source_ops source_ops = {.struct_size = sizeof(source_ops), .settle = source_settle};

static int
place_make(void **state)
{
	struct place *place = xf_alloc(sizeof(*place));
	struct xf_error error;

	snprintf(place->folder, sizeof(place->folder), "/tmp/xf-settlements-XXXXXX");
	assert_non_null(mkdtemp(place->folder));
	fake_disk_reset(1);
	sqlite3_vfs_register(sqlite3_vfs_find(fake_disk.vfs), 1);
	place->letters = xf_letters_open(place->folder, MAX, &error);
	assert_non_null(place->letters);
	xf_settlements_init(&place->settlements, place->letters, "r/from");
	told_count = 0;
	*state = place;
	return 0;
}

static int
place_clear(void **state)
{
	struct place *place = *state;
	char command[128];

	xf_settlements_fini(&place->settlements);
	xf_letters_close(&place->letters);
	snprintf(command, sizeof(command), "rm -rf '%s'", place->folder);
	assert_int_equal(system(command), 0);
	free(place);
	return 0;
}

static bool
keep(struct place *place, struct xf_str payload, uint64_t now_ms)
{
	const struct xf_letter letter = {
		.route = {"r", 1},
		.reason = {"because", 7},
		.message = {.subject = {"orders", 6}, .id = {"7", 1}, .payload = payload},
	};

	return xf_settlements_keep(&place->settlements, &letter, now_ms);
}

static void
all_are_told_in_order(void **state)
{
	struct place *place = *state;

	for (uint32_t i = 0; i < MANY; i++)
		xf_settlements_add(&place->settlements, i, i % 2 ? XF_SETTLE_ACK : XF_SETTLE_RETRY, i);
	assert_true(xf_settlements_sync(&place->settlements));
	xf_settlements_hand_over(&place->settlements, &source_ops, NULL);
	assert_int_equal(told_count, MANY);
	for (uint32_t i = 0; i < MANY; i++) {
		assert_int_equal(told[i].handle, i);
		assert_int_equal(told[i].outcome, i % 2 ? XF_SETTLE_ACK : XF_SETTLE_RETRY);
		assert_int_equal(told[i].delay_ms, i);
	}
	xf_settlements_hand_over(&place->settlements, &source_ops, NULL);
	assert_int_equal(told_count, MANY);
}

/* The letter is lost before it is on disk: its message is offered again, and the others' answers stand. */
static void
a_refusal_that_may_be_lost_is_taken_back(void **state)
{
	struct place *place = *state;

	assert_true(keep(place, xf_str("one"), 0));
	assert_int_equal(xf_read(&place->settlements.kept), 1);
	xf_settlements_add(&place->settlements, 1, XF_SETTLE_REJECT, 0);
	xf_settlements_add(&place->settlements, 2, XF_SETTLE_ACK, 0);
	fake_disk_fail(fake_disk_calls() + 1, UINT64_MAX, EIO);
	assert_false(xf_settlements_sync(&place->settlements));
	xf_settlements_hand_over(&place->settlements, &source_ops, NULL);
	assert_int_equal(told[0].outcome, XF_SETTLE_RETRY);
	assert_true(told[0].delay_ms > 0);
	assert_int_equal(told[1].outcome, XF_SETTLE_ACK);
}

static void
a_full_store_holds_up_until_it_is_purged(void **state)
{
	struct place *place = *state;
	struct xf_str large = {.len = MAX};
	uint64_t removed;

	large.data = memset(xf_alloc(large.len), 'x', large.len);
	assert_true(keep(place, large, 100));
	assert_false(place->settlements.full);
	assert_false(keep(place, xf_str("one"), 100));
	assert_true(place->settlements.full);
	assert_int_equal(xf_read(&place->settlements.kept), 1);
	xf_settlements_look(&place->settlements, 100000);
	assert_true(place->settlements.full);
	assert_int_equal(xf_letters_remove(place->letters, 0, NULL, INT64_MAX, &removed, NULL), XF_OK);
	assert_int_equal(removed, 1);
	xf_settlements_look(&place->settlements, 100001); /* not every time */
	assert_true(place->settlements.blocked);
	xf_settlements_look(&place->settlements, 200000);
	assert_false(place->settlements.full);
	assert_false(place->settlements.blocked);
	assert_true(keep(place, xf_str("one"), 200000));
	free((char *)large.data);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_are_told_in_order, place_make, place_clear),
		cmocka_unit_test_setup_teardown(a_refusal_that_may_be_lost_is_taken_back, place_make, place_clear),
		cmocka_unit_test_setup_teardown(a_full_store_holds_up_until_it_is_purged, place_make, place_clear),
	};

	xf_log_setup(XF_LOG_ERROR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
