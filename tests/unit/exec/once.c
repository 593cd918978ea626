/*
 * once.c - a process a message, and what processes of either mode find around them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench.h"

static void
assert_payload(const struct bench_result *result, const char *expected)
{
	assert_int_equal(result->code, XF_OUTCOME_PASS);
	assert_int_equal(result->count, 1);
	assert_int_equal(result->messages[0]->payload_size, strlen(expected));
	assert_memory_equal(result->messages[0]->payload, expected, strlen(expected));
}

static void
test_filter(void **state)
{
	struct bench *bench = BENCH("command=tr", "command=a-z", "command=A-Z", "mode=once", "workers=4");

	(void)state;
	for (size_t i = 0; i < 20; i++)
		bench_text(bench, "some text");
	bench_text(bench, "");
	bench_wait_finished(bench, 21);
	for (size_t i = 0; i < 20; i++)
		assert_payload(bench_result(bench, i), "SOME TEXT");
	assert_payload(bench_result(bench, 20), "");
	assert_memory_equal(bench_result(bench, 7)->messages[0]->id.data, "id-7", 4);
	assert_int_equal(bench_state_count(bench, XF_STATE_DOWN), 0);
	bench_close(&bench);
}

static void
test_status(void **state)
{
	struct bench *bench = BENCH("command=read s; echo first >&2; echo because of $s >&2; echo out; exit $s", "mode=once", "restart_delay=1ms");
	static const uint32_t codes[] = {XF_OUTCOME_PASS, XF_OUTCOME_FAIL, XF_OUTCOME_FAIL, XF_OUTCOME_REFUSE, XF_OUTCOME_LATER};

	(void)state;
	bench_text(bench, "0\n");
	bench_text(bench, "75\n");
	bench_text(bench, "1\n");
	bench_text(bench, "65\n");
	bench_text(bench, "127\n");
	bench_wait_finished(bench, 5);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(bench_result(bench, i)->code, codes[i]);
	assert_payload(bench_result(bench, 0), "out\n");
	assert_string_equal(bench_result(bench, 2)->reason, "the process ended with status 1: because of 1");
	assert_string_equal(bench_result(bench, 3)->reason, "the process ended with status 65: because of 65");
	bench_text(bench, "0\n");
	bench_wait_finished(bench, 6);
	bench_wait_state(bench, XF_STATE_UP);
	bench_close(&bench);
}

static void
test_no_program(void **state)
{
	struct bench *bench = BENCH("command=/nowhere/at/all", "command=x", "mode=once");

	(void)state;
	bench_text(bench, "x");
	bench_wait_state(bench, XF_STATE_DOWN);
	assert_non_null(strstr(bench_reason(bench), "cannot start '/nowhere/at/all': No such file"));
	assert_int_equal(bench_result(bench, 0)->code, 0);
	bench_close(&bench);
}

/* What it does not read is not missed, and what it prints is bounded. */
static void
test_pipes(void **state)
{
	struct bench *bench = BENCH("command=case $CROSSFADE_ATTEMPT in 1) echo enough;; 2) cat;; *) cat; cat /dev/zero;; esac",
	                            "mode=once", "max_answer=2MiB");
	struct xf_incoming message = {.subject = {"a", 1}, .id = {"i", 1}, .payload_size = 1 << 20, .attempt = 1};
	char *payload = malloc(message.payload_size);

	(void)state;
	memset(payload, 'x', message.payload_size);
	message.payload = payload;
	for (; message.attempt <= 3; message.attempt++)
		bench_give(bench, &message);
	bench_wait_finished(bench, 3);
	assert_payload(bench_result(bench, 0), "enough\n");
	assert_int_equal(bench_result(bench, 1)->messages[0]->payload_size, message.payload_size);
	assert_memory_equal(bench_result(bench, 1)->messages[0]->payload, payload, message.payload_size);
	assert_int_equal(bench_result(bench, 2)->code, XF_OUTCOME_FAIL);
	assert_non_null(strstr(bench_result(bench, 2)->reason, "max_answer"));
	free(payload);
	bench_close(&bench);
}

static void
test_cancel(void **state)
{
	struct bench *bench = BENCH("command=case $CROSSFADE_ATTEMPT in 1) sleep 1000;; *) cat;; esac", "mode=once");
	struct xf_incoming message = {.subject = {"a", 1}, .id = {"i", 1}, .payload = "x", .payload_size = 1, .attempt = 1};

	(void)state;
	bench_give(bench, &message);
	bench_wait_taken(bench, 1);
	bench_cancel(bench, 0);
	message.attempt++;
	bench_give(bench, &message);
	bench_wait_finished(bench, 1);
	assert_payload(bench_result(bench, 1), "x");
	bench_close(&bench);
}

static void
test_surroundings(void **state)
{
	struct bench *bench = BENCH("command=cat; echo \"$CROSSFADE_SUBJECT $CROSSFADE_ID $CROSSFADE_KEY $CROSSFADE_REPLY $CROSSFADE_CONTENT_TYPE "
	                            "$CROSSFADE_ATTEMPT $CROSSFADE_ROUTE $CROSSFADE_HANDLER $OWN $HOME $PWD $(ulimit -n) $(ulimit -v)\"",
	                            "mode=once", "directory=/usr", "env=OWN=mine=1", "env=HOME=/elsewhere", "max_files=77", "max_memory=1GiB");
	struct bench *stays = BENCH("command=read -r l; echo \"{\\\"fail\\\":\\\"$OWN $PWD $CROSSFADE_ROUTE $(ulimit -n)\\\"}\"; cat",
	                            "directory=/usr", "env=OWN=mine", "max_files=77");
	const struct xf_incoming message = {.subject = {"a.b", 3}, .id = {"i d", 3}, .key = {"k", 1}, .reply = {"r", 1},
	                                    .content_type = {"t/p", 3}, .attempt = 4};

	(void)state;
	bench_give(bench, &message);
	bench_give(stays, &message);
	bench_wait_finished(bench, 1);
	bench_wait_finished(stays, 1);
	assert_payload(bench_result(bench, 0), "a.b i d k r t/p 4 orders orders/exec mine=1 /elsewhere /usr 77 1048576\n");
	assert_string_equal(bench_result(stays, 0)->reason, "mine /usr orders 77");
	bench_close(&bench);
	bench_close(&stays);
}

static void
test_settings(void **state)
{
	(void)state;
	assert_string_equal(bench_check("exec", (const char *const[]){"command=cat", NULL}), "");
	assert_non_null(strstr(bench_check("exec", (const char *const[]){"command=", NULL}), "'command' is empty"));
	assert_non_null(strstr(bench_check("exec", (const char *const[]){"command=cat", "env=X", NULL}), "NAME=VALUE"));
	assert_non_null(strstr(bench_check("exec", (const char *const[]){"command=cat", "mode=once", "pipeline=2", NULL}), "'pipeline'"));
	assert_non_null(strstr(bench_check("exec", (const char *const[]){"command=cat", "mode=once", "payload=json", NULL}), "'payload'"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filter),   cmocka_unit_test(test_status),       cmocka_unit_test(test_no_program),
		cmocka_unit_test(test_pipes),    cmocka_unit_test(test_cancel),       cmocka_unit_test(test_surroundings),
		cmocka_unit_test(test_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
