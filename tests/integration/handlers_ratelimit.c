/*
 * handlers_ratelimit.c - limits that servers share, in a real Redis.
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

#define LIMIT(...)                                                                                                               \
	bench_open("ratelimit-redis", (const char *const[]){url, "key={json./requester_name}", __VA_ARGS__, NULL})

static size_t
ask(struct bench *bench, const char *name)
{
	char payload[64];

	snprintf(payload, sizeof(payload), "{\"requester_name\":\"%s\"}", name);
	return bench_text(bench, payload);
}

/* How many of those from number FROM on ended as CODE. */
static size_t
ended(struct bench *bench, size_t from, size_t count, uint32_t code)
{
	size_t found = 0;

	for (size_t i = from; i < from + count; i++)
		found += bench_result(bench, i)->code == code;
	return found;
}

static long
redis_stat(const char *name)
{
	char *text = xf_broker_ctl(redis, (const char *const[]){"INFO", "stats", NULL}), *at = strstr(text, name);
	long number = at != NULL ? atol(at + strlen(name) + 1) : -1;

	free(text);
	return number;
}

/* Two servers, one limit; a batch is one write, and goes through the script once each. */
static void
test_limit_is_shared(void **state)
{
	struct bench *one = LIMIT("rate=120", "prefix=shared:"), *two = LIMIT("rate=120", "prefix=shared:", "over=reject");

	(void)state;
	for (int i = 0; i < 100; i++)
		ask(one, "ann");
	bench_wait_finished(one, 100);
	assert_int_equal(ended(one, 0, 100, XF_OUTCOME_PASS), 100);
	for (int i = 0; i < 100; i++)
		ask(two, "ann");
	ask(two, "bob");
	bench_wait_finished(two, 101);
	assert_int_equal(ended(two, 0, 20, XF_OUTCOME_PASS), 20);
	assert_int_equal(ended(two, 20, 80, XF_OUTCOME_REFUSE), 80);
	assert_int_equal(bench_result(two, 50)->status, 429);
	assert_in_range(bench_result(two, 50)->delay_ms, 1, 61000);
	assert_int_equal(bench_result(two, 100)->code, XF_OUTCOME_PASS);
	assert_int_equal(bench_number(two, "ratelimit_limited"), 80);
	bench_close(&one);
	bench_close(&two);
}

static void
test_window_slides(void **state)
{
	struct bench *bench = LIMIT("rate=5", "per=500ms", "prefix=slides:");
	size_t number = 5;

	(void)state;
	for (int i = 0; i < 6; i++)
		ask(bench, "ann");
	bench_wait_finished(bench, 6);
	assert_int_equal(ended(bench, 0, 5, XF_OUTCOME_PASS), 5);
	assert_int_equal(bench_result(bench, 5)->code, XF_OUTCOME_LATER);
	assert_in_range(bench_result(bench, 5)->delay_ms, 1, 510);
	do {
		usleep(bench_result(bench, number)->delay_ms * 1000);
		number = ask(bench, "ann");
		bench_wait_finished(bench, number + 1);
		assert_true(number < XF_WAIT_MS / 500);
	} while (bench_result(bench, number)->code != XF_OUTCOME_PASS);
	/* What is older than the window has left, though the key was used since. */
	for (int i = 0; i < 3; i++) {
		for (int k = 0; k < 3; k++)
			number = ask(bench, "bob");
		bench_wait_finished(bench, number + 1);
		assert_int_equal(ended(bench, number - 2, 2, XF_OUTCOME_PASS), 2);
		usleep(300000);
	}
	bench_close(&bench);
}

/* The server forgets scripts; nobody notices. */
static void
test_script_is_loaded_again(void **state)
{
	struct bench *bench = LIMIT("rate=1", "prefix=script:");

	(void)state;
	ask(bench, "ann");
	bench_wait_finished(bench, 1);
	free(xf_broker_ctl(redis, (const char *const[]){"SCRIPT", "FLUSH", NULL}));
	for (int i = 0; i < 50; i++)
		ask(bench, i == 0 ? "ann" : "bob");
	bench_wait_finished(bench, 51);
	assert_int_equal(bench_result(bench, 1)->code, XF_OUTCOME_LATER);
	assert_int_equal(ended(bench, 2, 49, XF_OUTCOME_PASS), 1);
	assert_int_equal(bench_number(bench, "ratelimit_unchecked"), 0);
	bench_close(&bench);
}

/* A batch needs as many writes of the server's as there are answers in it, if those go one by one. */
static void
test_batch_is_one_round_trip(void **state)
{
	struct bench *bench = LIMIT("rate=1000", "prefix=batch:");
	long before, after;

	(void)state;
	ask(bench, "ann");
	bench_wait_finished(bench, 1);
	before = redis_stat("total_reads_processed");
	for (int i = 0; i < 200; i++)
		ask(bench, "ann");
	bench_wait_finished(bench, 201);
	after = redis_stat("total_reads_processed");
	assert_in_range(after - before, 1, 6); /* the second question among them */
	bench_close(&bench);
}

static void
test_redis_is_away(void **state)
{
	struct bench *allows = LIMIT("rate=1", "prefix=away:", "redis.connect_timeout=1s"),
	             *delays = LIMIT("rate=1", "prefix=away:", "when_down=delay");

	(void)state;
	ask(allows, "ann");
	bench_wait_finished(allows, 1);
	bench_wait_state(delays, XF_STATE_UP);
	/* What is under way on a connection that is lost ends like what comes later. */
	xf_broker_pause(redis);
	for (int i = 0; i < 10; i++) {
		ask(allows, "ann");
		ask(delays, "ann");
	}
	bench_wait_taken(allows, 11);
	bench_wait_taken(delays, 10);
	xf_broker_kill(redis);
	bench_wait_finished(allows, 11);
	bench_wait_finished(delays, 10);
	assert_int_equal(ended(allows, 0, 11, XF_OUTCOME_PASS), 11);
	assert_int_equal(ended(delays, 0, 10, XF_OUTCOME_LATER), 10);
	assert_int_equal(bench_number(allows, "ratelimit_unchecked"), 10);
	bench_wait_state(allows, XF_STATE_DOWN);
	for (int i = 0; i < 10; i++)
		ask(allows, "ann");
	bench_wait_finished(allows, 21);
	assert_int_equal(ended(allows, 11, 10, XF_OUTCOME_PASS), 10);
	xf_broker_restart(redis);
	bench_wait_state(allows, XF_STATE_UP);
	for (int i = 0; i < 2; i++)
		ask(allows, "ann");
	bench_wait_finished(allows, 23);
	assert_int_equal(ended(allows, 21, 2, XF_OUTCOME_PASS), 1);
	bench_close(&allows);
	bench_close(&delays);
}

static void
test_cancelled_is_not_answered(void **state)
{
	struct bench *bench = LIMIT("rate=100", "prefix=cancel:");

	(void)state;
	bench_wait_state(bench, XF_STATE_UP);
	xf_broker_pause(redis);
	for (int i = 0; i < 4; i++)
		ask(bench, "ann");
	bench_wait_taken(bench, 4);
	bench_cancel(bench, 1);
	bench_cancel(bench, 3);
	xf_broker_resume(redis);
	bench_wait_finished(bench, 2);
	ask(bench, "ann");
	bench_wait_finished(bench, 3);
	assert_int_equal(bench_result(bench, 4)->code, XF_OUTCOME_PASS);
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
		cmocka_unit_test(test_limit_is_shared),
		cmocka_unit_test(test_window_slides),
		cmocka_unit_test(test_script_is_loaded_again),
		cmocka_unit_test(test_batch_is_one_round_trip),
		cmocka_unit_test(test_cancelled_is_not_answered),
		cmocka_unit_test(test_redis_is_away),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
