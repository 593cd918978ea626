/*
 * ends.c - workers that end, hang, babble or cannot be started: which message is to blame, and that the others come again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench.h"
#include "harness.h"

static char folder[] = "/tmp/xf-exec-XXXXXX";

static void
assert_has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", part, text);
}

/* The first COUNT of three are as EXPECTED says: P, F (with REASON), L. */
static void
assert_three(struct bench *bench, const char *expected, const char *reason)
{
	bench_wait_finished(bench, 3);
	for (size_t i = 0; i < 3; i++) {
		const struct bench_result *result = bench_result(bench, i);

		assert_int_equal(result->code, expected[i] == 'P'   ? XF_OUTCOME_PASS
		                               : expected[i] == 'F' ? XF_OUTCOME_FAIL
		                                                    : XF_OUTCOME_LATER);
		if (expected[i] == 'F')
			assert_has(result->reason, reason);
	}
}

static struct bench *
three(const char *command)
{
	char text[600];
	struct bench *bench;

	snprintf(text, sizeof(text), "command=%s", command);
	bench = BENCH(text, "restart_delay=1ms", "max_answer=64KiB", "stop_timeout=20ms");
	for (size_t i = 0; i < 3; i++)
		bench_text(bench, "x");
	return bench;
}

/* It gets another chance, and is as good as new. */
static void
assert_goes_on(struct bench **bench)
{
	size_t number = bench_text(*bench, "y");

	bench_wait_finished(*bench, number + 1);
	bench_wait_state(*bench, XF_STATE_UP);
	bench_close(bench);
}

static void
test_ends(void **state)
{
	struct bench *bench = three("read l; echo '{\"pass\":true}'; read l; echo oh no >&2; exit 3");

	(void)state;
	assert_three(bench, "PFL", "worker ended with status 3: oh no");
	assert_goes_on(&bench);
	bench = three("read l; echo '{\"pass\":true}'; read l; kill -SEGV $$");
	assert_three(bench, "PFL", "killed by signal 11");
	assert_goes_on(&bench);
	/* what is answered is answered, whatever follows */
	bench = three("read l; read l; read l; echo '{\"token\":\"2\",\"pass\":true}'; exit 0");
	assert_three(bench, "FPL", "status 0");
	bench_close(&bench);
}

static void
test_babbles(void **state)
{
	struct bench *bench = three("read l; echo '{\"pass\":true}'; read l; echo hello; sleep 1000");

	(void)state;
	assert_three(bench, "PFL", "no JSON object");
	assert_has(bench_result(bench, 1)->reason, ": hello");
	assert_goes_on(&bench);
	bench = three("read l; echo '{\"pass\":true}'; read l; echo '{\"token\":\"77\",\"pass\":true}'; sleep 1000");
	assert_three(bench, "PFL", "that it does not have");
	assert_goes_on(&bench);
	bench = three("read l; echo '{\"pass\":true}'; read l; head -c 70000 /dev/zero; sleep 1000");
	assert_three(bench, "PFL", "longer than 65536");
	assert_goes_on(&bench);
	bench = three("read l; echo '{\"pass\":true}'; read l; exec >&-; sleep 1000");
	assert_three(bench, "PFL", "closed its output");
	assert_goes_on(&bench);
}

/* One that cannot begin has looked at no message, and gets none until it can. */
static void
test_reads_nothing(void **state)
{
	char script[64], command[80], text[100];
	struct bench *bench;
	FILE *file;

	(void)state;
	snprintf(script, sizeof(script), "%s/worker", folder);
	snprintf(command, sizeof(command), ". %s", script);
	snprintf(text, sizeof(text), "command=%s", command);
	file = fopen(script, "w");
	fprintf(file, "sleep 0.01; echo no module >&2; exit 7\n");
	fclose(file);
	bench_clock_stop();
	bench = BENCH(text);
	bench_text(bench, "x");
	bench_wait_finished(bench, 1);
	assert_int_equal(bench_result(bench, 0)->code, XF_OUTCOME_LATER);
	bench_wait_state(bench, XF_STATE_DOWN);
	assert_has(bench_reason(bench), "ended with status 7: no module");
	assert_int_equal(bench_room(bench), 0);
	bench_text(bench, "y");
	for (unsigned pause = 100, ends = 1; pause <= 12800; pause *= 2, ends++) {
		size_t count = bench_log_count(bench);

		bench_clock_advance((pause < 10000 ? pause : 10000) - 1);
		for (int i = 0; i < 3; i++)
			bench_turn(bench);
		assert_int_equal(bench_log_count(bench), count); /* not yet */
		bench_clock_advance(1);
		while (bench_log_count(bench) < count + 2)
			bench_turn(bench);
	}
	assert_int_equal(bench_result(bench, 1)->code, 0);
	file = fopen(script, "w");
	fprintf(file, "exec cat\n");
	fclose(file);
	bench_clock_advance(10000);
	bench_turn(bench);
	bench_turn(bench);
	assert_int_equal(bench_room(bench), 0); /* it is to show that it stays */
	bench_clock_advance(1000);
	bench_wait_finished(bench, 2);
	assert_int_equal(bench_result(bench, 1)->code, XF_OUTCOME_PASS);
	bench_wait_state(bench, XF_STATE_UP);
	bench_close(&bench);
}

static void
test_no_program(void **state)
{
	char program[64], text[80];
	struct bench *bench;
	FILE *file;

	(void)state;
	snprintf(program, sizeof(program), "%s/program", folder);
	snprintf(text, sizeof(text), "command=%s", program);
	bench_clock_stop();
	bench = BENCH(text, "command=argument", "restart_delay=1ms", "restart_delay_max=10ms");
	bench_text(bench, "x");
	bench_wait_state(bench, XF_STATE_DOWN);
	assert_has(bench_reason(bench), "cannot start");
	assert_has(bench_reason(bench), "No such file");
	assert_int_equal(bench_room(bench), 0);
	file = fopen(program, "w");
	fprintf(file, "#!/bin/sh\ntest \"$1\" = argument && exec cat\n");
	fchmod(fileno(file), 0700);
	fclose(file);
	while (bench_room(bench) == 0) {
		bench_clock_advance(100);
		bench_turn(bench);
	}
	bench_wait_finished(bench, 1);
	assert_int_equal(bench_result(bench, 0)->code, XF_OUTCOME_PASS);
	bench_close(&bench);
}

static pid_t
logged_pid(struct bench *bench)
{
	int pid = 0;

	bench_wait_log(bench, "stderr: pid ");
	assert_int_equal(sscanf(bench_log_find(bench, "stderr: pid "), "stderr: pid %d", &pid), 1);
	return pid;
}

/* Dead, and perhaps not waited for by whoever inherited it. */
static bool
is_gone(pid_t pid)
{
	char path[64], status = 'Z';
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	if (file == NULL)
		return true;
	if (fscanf(file, "%*d (%*[^)]) %c", &status) != 1)
		status = 'Z'; /* it went just now */
	fclose(file);
	return status == 'Z' || status == 'X';
}

static void
wait_gone(pid_t pid)
{
	uint64_t until = harness_now_ms() + XF_WAIT_MS;

	while (!is_gone(pid) && harness_now_ms() < until)
		harness_sleep_ms(5);
	assert_true(is_gone(pid));
}

/* What it started goes with it. */
static void
test_cancel(void **state)
{
	struct bench *bench =
		BENCH("command=sleep 1000 & echo pid $! >&2; while read -r l; do case $l in *hang*) wait;; esac; echo '{\"pass\":true}'; done",
	              "restart_delay=1ms");
	pid_t pid = logged_pid(bench);

	(void)state;
	bench_text(bench, "fine");
	bench_text(bench, "hang");
	bench_text(bench, "behind");
	bench_wait_finished(bench, 1);
	bench_wait_taken(bench, 3);
	bench_cancel(bench, 1);
	bench_wait_finished(bench, 2);
	assert_int_equal(bench_result(bench, 0)->code, XF_OUTCOME_PASS);
	assert_int_equal(bench_result(bench, 1)->code, 0);
	assert_int_equal(bench_result(bench, 2)->code, XF_OUTCOME_LATER);
	wait_gone(pid);
	bench_text(bench, "fine");
	bench_wait_finished(bench, 3);
	assert_int_equal(bench_result(bench, 3)->code, XF_OUTCOME_PASS);
	bench_close(&bench);
}

/* It ends by itself; what it started would not. */
static void
test_leaves_nobody(void **state)
{
	struct bench *bench = three("sleep 1000 & echo pid $! >&2; read l; exit 3");
	pid_t pid = logged_pid(bench);

	(void)state;
	assert_three(bench, "FLL", "status 3");
	wait_gone(pid);
	bench_close(&bench);
}

static void
test_flood_of_complaints(void **state)
{
	struct bench *bench;

	(void)state;
	bench_clock_stop();
	bench = BENCH("command=(head -c 1000 /dev/zero | tr '\\0' x; printf '\\n\\033[1m\\377\\n'; yes complaint) >&2 & exec cat");
	for (size_t i = 0; i < 200; i++)
		bench_text(bench, "x");
	bench_wait_finished(bench, 200);
	bench_wait_log(bench, "stderr: complaint");
	assert_non_null(bench_log_find(bench, "stderr: ?[1m?"));
	assert_true(strlen(bench_log_find(bench, "stderr: xxx")) < 500);
	for (int i = 0; i < 100; i++)
		bench_turn(bench);
	assert_int_equal(bench_log_count(bench), 20);
	bench_clock_advance(1000);
	bench_wait_log(bench, "lines were left out");
	bench_close(&bench);
}

static void
test_stop(void **state)
{
	char mark[64], command[300];
	struct stat found;
	struct bench *bench;
	size_t fds = harness_count_fds();
	pid_t pid;

	(void)state;
	snprintf(mark, sizeof(mark), "%s/mark", folder);
	snprintf(command, sizeof(command), "command=cat; echo > %s", mark);
	bench = BENCH(command);
	bench_wait_state(bench, XF_STATE_UP);
	bench_close(&bench);
	assert_int_equal(stat(mark, &found), 0); /* it ended by itself, when its input did */

	snprintf(command, sizeof(command), "command=trap 'rm %s; exit' TERM; echo pid $$ >&2; while :; do sleep 0.01; done", mark);
	bench = BENCH(command, "stop_timeout=3s");
	logged_pid(bench);
	bench_close(&bench);
	assert_int_equal(stat(mark, &found), -1); /* it was told */

	bench = BENCH("command=trap '' TERM; echo pid $$ >&2; while :; do sleep 0.01; done", "stop_timeout=20ms");
	pid = logged_pid(bench);
	bench_close(&bench);
	wait_gone(pid);
	assert_int_equal(harness_count_fds(), fds);
}

static int
folder_make(void **state)
{
	(void)state;
	return mkdtemp(folder) != NULL ? 0 : -1;
}

static int
folder_remove(void **state)
{
	static const char *const files[] = {"worker", "program", "mark"};
	char path[64];

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
		unlink(path);
	}
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_babbles),
		cmocka_unit_test(test_reads_nothing),
		cmocka_unit_test(test_no_program),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_leaves_nobody),
		cmocka_unit_test(test_flood_of_complaints),
		cmocka_unit_test(test_stop),
	};

	return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
