#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "admin/change.h"

static const struct xf_position at_25 = {2500, XF_MIRROR_REQUIRED};
static const struct xf_position at_0 = {0, XF_MIRROR_OFF};

static void
good(const char *body, struct xf_position now, struct xf_migration_change want)
{
	struct xf_migration_change got = {0};
	struct xf_error error = {{0}};

	if (xf_change_parse(xf_str(body), now, &got, &error) != XF_OK)
		fail_msg("%s: %s", body, error.text);
	assert_int_equal(got.has_percent, want.has_percent);
	assert_int_equal(got.has_mirror, want.has_mirror);
	assert_int_equal(got.force, want.force);
	assert_int_equal(got.dry_run, want.dry_run);
	assert_false(got.rollback);
	if (want.has_percent)
		assert_int_equal(got.to.percent, want.to.percent);
	if (want.has_mirror)
		assert_int_equal(got.to.mirror, want.to.mirror);
}

static void
bad(const char *body, const char *reason)
{
	struct xf_migration_change got = {.force = true};
	struct xf_error error = {{0}};

	assert_int_equal(xf_change_parse(xf_str(body), at_25, &got, &error), XF_FAILED);
	if (strstr(error.text, reason) == NULL)
		fail_msg("%s: '%s' does not say '%s'", body, error.text, reason);
	assert_true(got.force); /* outputs change only on success */
}

#define PERCENT(p) .has_percent = true, .to.percent = (p)
#define MIRROR(m) .has_mirror = true, .to.mirror = XF_MIRROR_##m
#define WANT(...) ((struct xf_migration_change){__VA_ARGS__})

static void
percent_in_all_spellings(void **state)
{
	(void)state;
	good("{\"percent\":25}", at_0, WANT(PERCENT(2500)));
	good("{\"percent\":\"25%\"}", at_0, WANT(PERCENT(2500)));
	good("{\"percent\":\"0.01%\"}", at_0, WANT(PERCENT(1)));
	good("{\"percent\":0.01}", at_0, WANT(PERCENT(1)));
	good("{\"percent\":33.33}", at_0, WANT(PERCENT(3333)));
	good("{\"percent\":0}", at_25, WANT(PERCENT(0)));
	good(" {\"percent\":100} \n", at_0, WANT(PERCENT(10000)));
	bad("{\"percent\":100.01}", "from 0 to 100");
	bad("{\"percent\":-0.01}", "from 0 to 100");
	bad("{\"percent\":1e999}", "from 0 to 100");
	bad("{\"percent\":NaN}", "not JSON");
	bad("{\"percent\":\"NaN\"}", "percent");
	bad("{\"percent\":\"101%\"}", "percent");
	bad("{\"percent\":\"-1\"}", "percent");
	bad("{\"percent\":25.001}", "steps of 0.01");
	bad("{\"percent\":null}", "percent must be");
	bad("{\"percent\":true}", "percent must be");
}

static void
mirror_and_flags(void **state)
{
	(void)state;
	good("{\"mirror\":true}", at_0, WANT(MIRROR(ON)));
	good("{\"mirror\":false}", at_0, WANT(MIRROR(OFF)));
	good("{\"mirror\":\"required\"}", at_0, WANT(MIRROR(REQUIRED)));
	good("{\"percent\":50,\"mirror\":true,\"force\":true,\"dry_run\":true}", at_0,
	     WANT(PERCENT(5000), MIRROR(ON), .force = true, .dry_run = true));
	bad("{\"mirror\":\"on\"}", "mirror must be");
	bad("{\"mirror\":1}", "mirror must be");
	bad("{\"percent\":5,\"force\":1}", "force must be");
	bad("{\"percent\":5,\"dry_run\":\"yes\"}", "dry_run must be");
}

static void
stages_set_the_knobs(void **state)
{
	(void)state;
	good("{\"stage\":\"off\"}", at_25, WANT(PERCENT(0), MIRROR(OFF)));
	good("{\"stage\":\"dualwrite\"}", at_0, WANT(PERCENT(0), MIRROR(ON)));
	good("{\"stage\":\"dualwrite\"}", at_25, WANT(PERCENT(0), MIRROR(REQUIRED))); /* keeps required */
	good("{\"stage\":\"rampdown\"}", at_25, WANT(PERCENT(10000), MIRROR(REQUIRED)));
	good("{\"stage\":\"complete\"}", at_25, WANT(PERCENT(10000), MIRROR(OFF)));
	good("{\"stage\":\"live\",\"percent\":10}", at_0, WANT(PERCENT(1000)));
	good("{\"stage\":\"live\"}", at_25, WANT(0));
	bad("{\"stage\":\"live\",\"percent\":100}", "needs a percent");
	bad("{\"stage\":\"off\",\"percent\":10}", "stage off is percent 0");
	bad("{\"stage\":\"complete\",\"mirror\":true}", "without mirror");
	bad("{\"stage\":\"dualwrite\",\"mirror\":false}", "with mirror");
	bad("{\"stage\":\"dualwrit\"}", "did you mean 'dualwrite'?");
	bad("{\"stage\":3}", "stage must be");
}

static void
live_needs_a_percent(void **state)
{
	struct xf_migration_change change = {0};
	struct xf_error error = {{0}};

	(void)state;
	assert_int_equal(xf_change_parse(xf_str("{\"stage\":\"live\"}"), at_0, &change, &error), XF_FAILED);
	assert_non_null(strstr(error.text, "stage live needs a percent"));
}

static void
bodies_that_are_none(void **state)
{
	(void)state;
	bad("", "not JSON");
	bad("{", "not JSON");
	bad("[1]", "must be a JSON object");
	bad("7", "must be a JSON object");
	bad("{}", "nothing to change");
	bad("{\"force\":true}", "nothing to change");
	bad("{\"percent\":5} x", "behind the JSON value");
	bad("{\"percent\":5}{}", "behind the JSON value");
	bad("{\"percnt\":5}", "unknown member 'percnt'; did you mean 'percent'?");
	bad("{\"zzzzzzzz\":5}", "known: percent, mirror, stage, force, dry_run");
	bad("{\"percent\":5,\"percent\":6}", "stands twice");
	bad("{\"Percent\":5}", "unknown member 'Percent'");
}

/* Deeper than the parser goes: refused, not crashed. */
static void
nesting_costs_nothing(void **state)
{
	struct xf_buffer body = {0};
	struct xf_migration_change change;
	struct xf_error error = {{0}};

	(void)state;
	for (int i = 0; i < 60000; i++)
		xf_buffer_puts(&body, "[");
	assert_int_equal(xf_change_parse((struct xf_str){body.data, body.len}, at_0, &change, &error),
		         XF_FAILED);
	xf_buffer_fini(&body);
}

static void
rollback_bodies(void **state)
{
	struct xf_migration_change change = {0};
	struct xf_error error = {{0}};

	(void)state;
	assert_int_equal(xf_change_parse_rollback(xf_str(""), &change, &error), XF_OK);
	assert_true(change.rollback && change.force && change.has_percent && !change.has_mirror &&
		    !change.dry_run);
	assert_int_equal(change.to.percent, 0);
	assert_int_equal(xf_change_parse_rollback(xf_str("{\"dry_run\":true}"), &change, &error), XF_OK);
	assert_true(change.dry_run);
	assert_int_equal(xf_change_parse_rollback(xf_str("{\"percent\":5}"), &change, &error), XF_FAILED);
	assert_non_null(strstr(error.text, "known: dry_run"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(percent_in_all_spellings), cmocka_unit_test(mirror_and_flags),
		cmocka_unit_test(stages_set_the_knobs),     cmocka_unit_test(live_needs_a_percent),
		cmocka_unit_test(bodies_that_are_none),     cmocka_unit_test(nesting_costs_nothing),
		cmocka_unit_test(rollback_bodies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
