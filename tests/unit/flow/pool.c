/*
 * Whose turn it is in a pool: by priority, in turn among equals, and a share by time alone; and nothing is lost when members leave.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flow/pool.h"

#define MEMBERS 4

struct world {
	struct xf_pools pools;
	struct xf_pool *pool;
	struct xf_inbox bell;
	struct xf_pool_member members[MEMBERS];
};

static void
world_open(struct world *w, uint32_t slots, uint32_t share, const uint32_t *priorities)
{
	struct xf_error error;

	*w = (struct world){.pools = {NULL}};
	assert_int_equal(xf_inbox_init(&w->bell, &error), XF_OK);
	w->pool = xf_pool_use(&w->pools, &(struct xf_conf_pool){.name = "p", .concurrency = slots, .share = share});
	for (size_t i = 0; i < MEMBERS; i++)
		xf_pool_join(w->pool, &w->members[i], priorities[i], &w->bell);
}

static void
world_close(struct world *w)
{
	for (size_t i = 0; i < MEMBERS; i++)
		xf_pool_leave(&w->members[i]);
	xf_pool_release(&w->pools, w->pool);
	assert_null(w->pools.first);
	xf_inbox_fini(&w->bell);
}

/* Who was granted the slot that FROM gives back; MEMBERS: nobody. */
static size_t
granted_after(struct world *w, size_t from)
{
	size_t who = MEMBERS;

	xf_pool_exit(&w->members[from]);
	for (size_t i = 0; i < MEMBERS; i++)
		if (xf_pool_take(&w->members[i]) > 0) {
			assert_int_equal(who, MEMBERS);
			who = i;
		}
	return who;
}

static void
test_by_priority_then_in_turn(void **state)
{
	static const uint32_t priorities[MEMBERS] = {1, 5, 5, 0};
	static const size_t order[] = {1, 2, 1, 2, 0, 0, 3};
	struct world w;
	size_t at = 0;

	(void)state;
	world_open(&w, 1, 0, priorities);
	assert_true(xf_pool_enter(&w.members[0]));
	assert_false(xf_pool_enter(&w.members[3]));
	for (size_t i = 0; i < 2; i++)
		for (size_t m = 0; m < 3; m++)
			assert_false(xf_pool_enter(&w.members[m]));
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		size_t next = granted_after(&w, at);

		assert_int_equal(next, order[i]);
		at = next;
	}
	assert_int_equal(granted_after(&w, at), MEMBERS);
	world_close(&w);
}

/* Of a hundred slots that the others would have, twenty go to the one that they pass over. */
static void
test_a_share_goes_by_time(void **state)
{
	static const uint32_t priorities[MEMBERS] = {9, 9, 9, 0};
	size_t at = 0, low = 0;
	struct world w;

	(void)state;
	world_open(&w, 1, 2000, priorities);
	assert_true(xf_pool_enter(&w.members[0]));
	for (size_t i = 0; i < MEMBERS; i++)
		assert_false(xf_pool_enter(&w.members[i]));
	for (size_t i = 0; i < 100; i++) {
		size_t next = granted_after(&w, at);

		assert_false(xf_pool_enter(&w.members[next])); /* there is always more of each */
		low += next == 3;
		at = next;
	}
	assert_int_equal(low, 20);
	world_close(&w);
}

static void
test_what_a_member_has_others_get(void **state)
{
	static const uint32_t priorities[MEMBERS] = {0, 0, 0, 0};
	struct world w;

	(void)state;
	world_open(&w, 2, 0, priorities);
	assert_true(xf_pool_enter(&w.members[0]));
	assert_true(xf_pool_enter(&w.members[0]));
	assert_false(xf_pool_enter(&w.members[1]));
	assert_false(xf_pool_enter(&w.members[2]));
	assert_false(xf_pool_enter(&w.members[2]));
	assert_int_equal(atomic_load(&w.members[0].busy), 2);
	assert_int_equal(atomic_load(&w.members[2].waiting), 2);
	xf_pool_leave(&w.members[0]);
	assert_int_equal(xf_pool_take(&w.members[1]), 1);
	assert_int_equal(xf_pool_take(&w.members[2]), 1);
	/* One that is granted, and leaves before it takes notice, keeps nothing. */
	xf_pool_exit(&w.members[1]);
	xf_pool_leave(&w.members[2]);
	assert_true(xf_pool_enter(&w.members[1]));
	assert_true(xf_pool_enter(&w.members[3]));
	assert_false(xf_pool_enter(&w.members[3]));
	/* More slots than there were. */
	assert_ptr_equal(xf_pool_use(&w.pools, &(struct xf_conf_pool){.name = "p", .concurrency = 3}), w.pool);
	assert_int_equal(xf_pool_take(&w.members[3]), 1);
	xf_pool_release(&w.pools, w.pool);
	world_close(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_priority_then_in_turn),
		cmocka_unit_test(test_a_share_goes_by_time),
		cmocka_unit_test(test_what_a_member_has_others_get),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
