/*
 * handlers_dedupe.c - a memory of ids that servers share, in a real Redis.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker.h"
#include "handler_bench.h"

static struct xf_broker *redis;
static char url[128];

#define DEDUPE(...) bench_open("dedupe-redis", (const char *const[]){url, "id={json./order}", __VA_ARGS__, NULL})

static size_t
give(struct bench *bench, const char *order)
{
	char payload[64];

	snprintf(payload, sizeof(payload), "{\"order\":\"%s\"}", order);
	return bench_text(bench, payload);
}

/* What becomes of a message about ORDER that comes now, and again when it is told to come later, which is not what is expected. */
static size_t
comes(struct bench *bench, const char *order, uint32_t expected)
{
	size_t number;

	for (;;) {
		number = give(bench, order);
		bench_wait_finished(bench, number + 1);
		if (bench_result(bench, number)->code != XF_OUTCOME_LATER || expected == XF_OUTCOME_LATER)
			break;
		usleep(bench_result(bench, number)->delay_ms * 100);
	}
	assert_int_equal(bench_result(bench, number)->code, expected);
	return number;
}

static void
test_servers_share(void **state)
{
	struct bench *one = DEDUPE("prefix=shared:"), *two = DEDUPE("prefix=shared:"), *other = DEDUPE("prefix=other:");
	size_t first = comes(one, "a", XF_OUTCOME_PASS);

	(void)state;
	assert_int_equal(bench_result(one, first)->flags, XF_OUTCOME_FOLLOWED);
	comes(two, "a", XF_OUTCOME_LATER);
	comes(one, "a", XF_OUTCOME_LATER);
	bench_settle(one, first, XF_SETTLED_REFUSED, NULL);
	first = comes(two, "a", XF_OUTCOME_PASS);
	bench_settle(two, first, XF_SETTLED_STOOD, NULL);
	comes(one, "a", XF_OUTCOME_DROP);
	comes(two, "a", XF_OUTCOME_DROP);
	comes(other, "a", XF_OUTCOME_PASS);
	assert_int_equal(bench_number(one, "dedupe_dropped"), 1);
	bench_close(&one);
	bench_close(&two);
	bench_close(&other);
}

/* Of a batch with the same id one passes, whichever server it came to. */
static void
test_one_of_many(void **state)
{
	struct bench *benches[2] = {DEDUPE("prefix=many:"), DEDUPE("prefix=many:")};
	size_t passed = 0;

	(void)state;
	for (int i = 0; i < 200; i++)
		give(benches[i % 2], "a");
	for (int i = 0; i < 2; i++)
		bench_wait_finished(benches[i], 100);
	for (size_t i = 0; i < 200; i++)
		passed += bench_result(benches[i % 2], i / 2)->code == XF_OUTCOME_PASS;
	assert_int_equal(passed, 1);
	assert_int_equal(bench_number(benches[0], "dedupe_waited") + bench_number(benches[1], "dedupe_waited"), 199);
	bench_close(&benches[0]);
	bench_close(&benches[1]);
}

/* Of a server that has died the mark stays for its lease, of what stood for the window. */
static void
test_time(void **state)
{
	struct bench *bench = DEDUPE("prefix=time:", "lease=200ms", "within=300ms");
	size_t number = comes(bench, "a", XF_OUTCOME_PASS);

	(void)state;
	bench_close(&bench);
	bench = DEDUPE("prefix=time:", "lease=200ms", "within=300ms");
	number = comes(bench, "a", XF_OUTCOME_PASS);
	bench_settle(bench, number, XF_SETTLED_STOOD, NULL);
	while (number = give(bench, "a"), bench_wait_finished(bench, number + 1),
	       bench_result(bench, number)->code != XF_OUTCOME_PASS)
		usleep(20000);
	assert_true(bench_number(bench, "dedupe_dropped") + bench_number(bench, "dedupe_waited") > 0);
	bench_close(&bench);
}

static void
test_redis_is_away(void **state)
{
	struct bench *delays = DEDUPE("prefix=away:"), *passes = DEDUPE("prefix=away:", "when_down=pass");
	size_t number;

	(void)state;
	bench_wait_state(delays, XF_STATE_UP);
	bench_wait_state(passes, XF_STATE_UP);
	xf_broker_pause(redis);
	give(delays, "a");
	give(passes, "a");
	bench_wait_taken(delays, 1);
	bench_wait_taken(passes, 1);
	xf_broker_kill(redis);
	bench_wait_finished(delays, 1);
	bench_wait_finished(passes, 1);
	assert_int_equal(bench_result(delays, 0)->code, XF_OUTCOME_LATER);
	assert_int_equal(bench_result(passes, 0)->code, XF_OUTCOME_PASS);
	assert_int_equal(bench_result(passes, 0)->flags, 0);
	assert_int_equal(bench_number(passes, "dedupe_unchecked"), 1);
	xf_broker_restart(redis);
	bench_wait_state(delays, XF_STATE_UP);
	number = comes(delays, "b", XF_OUTCOME_PASS);
	bench_settle(delays, number, XF_SETTLED_STOOD, NULL);
	comes(delays, "b", XF_OUTCOME_DROP);
	bench_close(&delays);
	bench_close(&passes);
}

static void
test_cancelled_is_not_answered(void **state)
{
	struct bench *bench = DEDUPE("prefix=cancel:");

	(void)state;
	bench_wait_state(bench, XF_STATE_UP);
	xf_broker_pause(redis);
	give(bench, "a");
	give(bench, "b");
	bench_wait_taken(bench, 2);
	bench_cancel(bench, 0);
	xf_broker_resume(redis);
	bench_wait_finished(bench, 1);
	assert_int_equal(bench_result(bench, 1)->code, XF_OUTCOME_PASS);
	bench_close(&bench);
}

static int
setup(void **state)
{
	(void)state;
	redis = xf_broker_start("redis", NULL);
	snprintf(url, sizeof(url), "redis.url=%s", xf_broker_url(redis));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	xf_broker_destroy(&redis);
	return 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_servers_share),
		cmocka_unit_test(test_one_of_many),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_redis_is_away),
		cmocka_unit_test(test_cancelled_is_not_answered),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
