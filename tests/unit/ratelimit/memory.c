#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "handler_bench.h"

#define LIMIT(...) bench_open("ratelimit", (const char *const[]){__VA_ARGS__, NULL})

/* What became of a message of NAME that comes now. */
static const struct bench_result *
asked(struct bench *bench, const char *name)
{
	char payload[64];
	size_t number;

	snprintf(payload, sizeof(payload), "{\"requester_name\":\"%s\"}", name);
	number = bench_text(bench, payload);
	bench_wait_finished(bench, number + 1);
	return bench_result(bench, number);
}

static void
test_of_a_key_so_many_pass(void **state)
{
	struct bench *bench = LIMIT("key={json./requester_name}", "rate=120");
	const struct bench_result *result;
	uint32_t delay_ms;

	(void)state;
	bench_clock_stop();
	for (int i = 0; i < 120; i++) {
		assert_int_equal(asked(bench, "ann")->code, XF_OUTCOME_PASS);
		bench_clock_advance(250);
	}
	result = asked(bench, "ann");
	assert_int_equal(result->code, XF_OUTCOME_LATER);
	assert_string_equal(result->reason, "more than 120 messages in 60 s");
	delay_ms = result->delay_ms;
	assert_in_range(delay_ms, 30000, 31000);
	assert_int_equal(asked(bench, "bob")->code, XF_OUTCOME_PASS);
	assert_int_equal(bench_number(bench, "ratelimit_limited"), 1);
	assert_int_equal(bench_number(bench, "ratelimit_keys"), 2);
	bench_clock_advance(delay_ms - 1);
	assert_int_equal(asked(bench, "ann")->code, XF_OUTCOME_LATER);
	bench_clock_advance(1);
	assert_int_equal(asked(bench, "ann")->code, XF_OUTCOME_PASS);
	bench_close(&bench);
}

static void
test_over_the_limit(void **state)
{
	struct bench *bench = LIMIT("rate=1", "per=10s", "over=reject");
	const struct bench_result *result;

	(void)state;
	bench_clock_stop();
	assert_int_equal(asked(bench, "ann")->code, XF_OUTCOME_PASS);
	result = asked(bench, "bob"); /* without a key there is one limit */
	assert_int_equal(result->code, XF_OUTCOME_REFUSE);
	assert_int_equal(result->status, 429);
	assert_in_range(result->delay_ms, 10000, 10200);
	bench_close(&bench);
	bench = LIMIT("rate=1", "over=drop");
	assert_int_equal(asked(bench, "ann")->code, XF_OUTCOME_PASS);
	assert_int_equal(asked(bench, "ann")->code, XF_OUTCOME_DROP);
	bench_close(&bench);
}

/* In no span of the window's length pass more; and what is told to wait passes just then. */
static void
test_window_slides(void **state)
{
	enum { RATE = 7, PER = 1300, PASSED_MAX = 5000 };
	struct bench *bench = LIMIT("rate=7", "per=1300ms");
	static uint64_t passed[PASSED_MAX];
	uint64_t now = 0, random = 1;
	size_t count = 0;

	(void)state;
	bench_clock_stop();
	while (count < PASSED_MAX) {
		const struct bench_result *result = asked(bench, "ann");
		uint64_t step = (random = random * 6364136223846793005u + 1442695040888963407u) >> 33;

		if (result->code == XF_OUTCOME_PASS) {
			assert_true(count < RATE || now - passed[count - RATE] >= PER);
			passed[count++] = now;
			step %= 8 * PER / RATE / ((random & 7) + 1);
		} else {
			assert_int_equal(result->code, XF_OUTCOME_LATER);
			assert_true(now + result->delay_ms <= passed[count - RATE] + PER + PER / 60 + 1);
			step = result->delay_ms;
			if (step > 1 && step % 2 == 0) { /* a moment before it is too early */
				bench_clock_advance(step - 1);
				assert_int_equal(asked(bench, "ann")->code, XF_OUTCOME_LATER);
				now += step - 1;
				step = 1;
			}
		}
		bench_clock_advance(step);
		now += step;
	}
	bench_close(&bench);
}

static void
test_keys_are_bounded(void **state)
{
	struct bench *bench = LIMIT("key={json./requester_name}", "rate=1", "per=1s", "max_keys=10");
	char name[16];

	(void)state;
	bench_clock_stop();
	for (int i = 0; i < 11; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(asked(bench, name)->code, XF_OUTCOME_PASS);
		assert_int_equal(asked(bench, "n0")->code, XF_OUTCOME_LATER);
	}
	assert_int_equal(bench_number(bench, "ratelimit_keys"), 10);
	assert_int_equal(asked(bench, "n1")->code, XF_OUTCOME_PASS); /* it was forgotten, as the one that came longest ago */
	assert_int_equal(asked(bench, "n10")->code, XF_OUTCOME_LATER);
	bench_clock_advance(1100);
	assert_int_equal(asked(bench, "new")->code, XF_OUTCOME_PASS);
	assert_int_equal(bench_number(bench, "ratelimit_keys"), 1); /* what is out of its window leaves by itself */
	bench_close(&bench);
}

static void
test_without_the_field(void **state)
{
	struct bench *bench = LIMIT("key={json./requester_name}", "rate=1");
	size_t number = bench_text(bench, "{}");

	(void)state;
	bench_wait_finished(bench, 1);
	assert_int_equal(bench_result(bench, number)->code, XF_OUTCOME_REFUSE);
	assert_string_equal(bench_result(bench, number)->reason, "the message has no value for {json./requester_name}");
	bench_close(&bench);
	assert_non_null(strstr(bench_check("ratelimit", (const char *const[]){"key={nonsense}", "rate=1", NULL}),
	                       "key: unknown field 'nonsense'"));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of_a_key_so_many_pass),
		cmocka_unit_test(test_over_the_limit),
		cmocka_unit_test(test_window_slides),
		cmocka_unit_test(test_keys_are_bounded),
		cmocka_unit_test(test_without_the_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
