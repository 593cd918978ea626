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
	struct xf_seen *seen = xf_seen_create();

	(void)state;
	assert_int_equal(xf_seen_enter(seen, xf_str("a")), XF_SEEN_NEW);
	assert_int_equal(xf_seen_enter(seen, xf_str("a")), XF_SEEN_UNDER_WAY);
	assert_int_equal(xf_seen_enter(seen, xf_str("b")), XF_SEEN_NEW);
	xf_seen_leave(seen, xf_str("a"), true);
	assert_int_equal(xf_seen_enter(seen, xf_str("a")), XF_SEEN_DONE);
	xf_seen_leave(seen, xf_str("b"), false);
	assert_int_equal(xf_seen_enter(seen, xf_str("b")), XF_SEEN_NEW);
	xf_seen_leave(seen, xf_str("never came"), true);
	assert_int_equal(xf_seen_enter(seen, xf_str("never came")), XF_SEEN_NEW);
	xf_seen_destroy(&seen);
}

/* The last XF_SEEN_IDS are known, whatever came before; and what is forgotten may come again. */
static void
test_window(void **state)
{
	struct xf_seen *seen = xf_seen_create();
	char id[16];

	(void)state;
	for (unsigned n = 0; n < 5 * XF_SEEN_IDS; n++) {
		assert_int_equal(xf_seen_enter(seen, number(id, n)), XF_SEEN_NEW);
		xf_seen_leave(seen, number(id, n), true);
		if (n >= XF_SEEN_IDS - 1 && n % 1000 == 0)
			assert_int_equal(xf_seen_enter(seen, number(id, n - XF_SEEN_IDS + 1)), XF_SEEN_DONE);
	}
	assert_int_equal(xf_seen_enter(seen, number(id, 0)), XF_SEEN_NEW);
	xf_seen_destroy(&seen);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life_of_an_id),
		cmocka_unit_test(test_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
