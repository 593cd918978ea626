/* Times as people write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/clock.h"

static void
what_is_written_is_read(void **state)
{
	static const int64_t times[] = {0, 1, 999, 1769860800123, 951782400000, 4102444799999};
	char text[32];

	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		xf_wall_format(times[i], text);
		assert_int_equal(xf_wall_parse(text), times[i]);
	}
	assert_int_equal(xf_wall_parse("2026-01-31T12:00:00Z"), 1769860800000);
	assert_int_equal(xf_wall_parse("2026-01-31T12:00:00.5Z"), 1769860800500);
}

static void
what_is_no_time_is_refused(void **state)
{
	static const char *const texts[] = {"", "yesterday", "2026-01-31", "2026-01-31T12:00:00", "2026-01-31T12:00:00+01:00", "2026-13-31T12:00:00Z",
	                                    "2026-01-31T24:00:00Z", "2026-01-31T12:00:00.Z", "2026-01-31T12:00:00.-5Z", "2026-01-31T12:00:00Zx",
	                                    "1969-01-31T12:00:00Z"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(xf_wall_parse(texts[i]), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(what_is_no_time_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
