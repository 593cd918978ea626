#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "handler_bench.h"

#define DEDUPE(...) bench_open("dedupe", (const char *const[]){"id={json./order}", __VA_ARGS__, NULL})

/* What became of a message about ORDER that comes now; *NUMBER is its own, which may be NULL. */
static uint32_t
comes(struct bench *bench, const char *order, size_t *number)
{
	char payload[64];
	size_t given;

	snprintf(payload, sizeof(payload), "{\"order\":\"%s\"}", order);
	given = bench_text(bench, payload);
	bench_wait_finished(bench, given + 1);
	if (number != NULL)
		*number = given;
	return bench_result(bench, given)->code;
}

/* It comes, passes, and stands. */
static void
stands(struct bench *bench, const char *order)
{
	size_t number;

	assert_int_equal(comes(bench, order, &number), XF_OUTCOME_PASS);
	assert_int_equal(bench_result(bench, number)->flags, XF_OUTCOME_FOLLOWED);
	bench_settle(bench, number, XF_SETTLED_STOOD, NULL);
}

static void
test_what_stood_is_dropped(void **state)
{
	struct bench *bench = DEDUPE("within=10s");

	(void)state;
	bench_clock_stop();
	assert_int_equal(comes(bench, "open", NULL), XF_OUTCOME_PASS); /* for all this time */
	stands(bench, "a");
	assert_int_equal(comes(bench, "a", NULL), XF_OUTCOME_DROP);
	stands(bench, "b");
	bench_clock_advance(9999);
	assert_int_equal(comes(bench, "a", NULL), XF_OUTCOME_DROP);
	bench_clock_advance(1);
	stands(bench, "a");
	assert_int_equal(bench_number(bench, "dedupe_dropped"), 2);
	bench_close(&bench);
}

/* While the first may yet fail, it may yet be needed. */
static void
test_twin_under_way(void **state)
{
	struct bench *bench = DEDUPE(NULL);
	size_t first;

	(void)state;
	for (uint32_t code = XF_SETTLED_REFUSED; code <= XF_SETTLED_UNKNOWN; code++) {
		assert_int_equal(comes(bench, "a", &first), XF_OUTCOME_PASS);
		assert_int_equal(comes(bench, "a", NULL), XF_OUTCOME_LATER);
		bench_settle(bench, first, code, NULL);
	}
	stands(bench, "a");
	assert_int_equal(comes(bench, "a", NULL), XF_OUTCOME_DROP);
	assert_int_equal(bench_number(bench, "dedupe_waited"), 2);
	bench_close(&bench);
}

static void
test_ids_are_bounded(void **state)
{
	struct bench *bench = DEDUPE("count=10", "within=1s");
	size_t first;
	char order[16];

	(void)state;
	bench_clock_stop();
	assert_int_equal(comes(bench, "first", &first), XF_OUTCOME_PASS);
	for (int i = 0; i < 20; i++) {
		snprintf(order, sizeof(order), "n%d", i);
		stands(bench, order);
		assert_true(bench_number(bench, "dedupe_ids") <= 10);
	}
	assert_int_equal(comes(bench, "n19", NULL), XF_OUTCOME_DROP);
	stands(bench, "n0");                                              /* the oldest was forgotten */
	assert_int_equal(comes(bench, "first", NULL), XF_OUTCOME_LATER); /* but never what is under way */
	bench_settle(bench, first, XF_SETTLED_STOOD, NULL);
	assert_int_equal(comes(bench, "first", NULL), XF_OUTCOME_DROP);
	bench_clock_advance(1000);
	stands(bench, "new");
	assert_int_equal(bench_number(bench, "dedupe_ids"), 1); /* what is over leaves by itself */
	bench_close(&bench);
}

static void
test_without_the_field(void **state)
{
	struct bench *bench = DEDUPE(NULL);

	(void)state;
	bench_text(bench, "{}");
	bench_wait_finished(bench, 1);
	assert_int_equal(bench_result(bench, 0)->code, XF_OUTCOME_REFUSE);
	assert_string_equal(bench_result(bench, 0)->reason, "the message has no value for {json./order}");
	bench_close(&bench);
	assert_string_equal(bench_check("dedupe", (const char *const[]){"within=1s", NULL}), "");
	assert_non_null(strstr(bench_check("dedupe", (const char *const[]){"id={x}", NULL}), "id: unknown field"));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_stood_is_dropped),
		cmocka_unit_test(test_twin_under_way),
		cmocka_unit_test(test_ids_are_bounded),
		cmocka_unit_test(test_without_the_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
