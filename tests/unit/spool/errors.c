/*
 * Each call to the disk fails once, then from there on for a while, with each error: each write is called back once, what was called
 * durable is there (after a power cut too, with syncs that lost what they failed on), the spool says that it failed, and works again
 * once the disk does.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "server.h"
#include "fake_disk.h"
#include "ledger.h"

static uint64_t runs, failed_opens, failed_writes;

static void
failed_spool_says_why(struct ledger *l)
{
	struct xf_spool_numbers numbers;
	struct xf_error reason = {{0}};

	xf_spool_numbers(l->spool, &numbers);
	xf_spool_reason(l->spool, &reason);
	if (numbers.failures > 0 && reason.text[0] == '\0')
		snprintf(l->violation, sizeof(l->violation), "failed without a reason");
	if (numbers.failed && numbers.failures == 0)
		snprintf(l->violation, sizeof(l->violation), "failed and not counted");
}

/* Appends until one is durable again. */
static void
recover(struct ledger *l)
{
	uint64_t until = xf_now_ms() + XF_WAIT_MS;
	size_t durable = l->durable;

	while (l->durable == durable && xf_now_ms() < until) {
		ledger_append(l, 1, 100, xf_spool_generation(l->spool));
		ledger_wait(l);
		if (l->durable == durable)
			xf_sleep_ms(5);
	}
	if (l->durable == durable)
		snprintf(l->violation, sizeof(l->violation), "it does not work again");
}

static void
live(struct ledger *l)
{
	for (unsigned i = 0; i < 6; i++) {
		ledger_append(l, 12, 2500, xf_spool_generation(l->spool));
		ledger_done(l, 7, i % 2 == 0);
		ledger_wait(l);
		failed_spool_says_why(l);
	}
}

/* LENGTH calls from number AT on, counted from the second opening, fail. */
static void
run(struct ledger *l, uint64_t seed, uint64_t at, uint64_t length, int code)
{
	struct xf_error error = {{0}};
	size_t durable;

	fake_disk_reset(seed);
	if (!ledger_open(l, &error))
		fail_msg("%s", error.text);
	live(l);
	ledger_close(l);

	fake_disk_fail(fake_disk_calls() + at, fake_disk_calls() + at + length - 1, code);
	if (ledger_open(l, &error)) {
		live(l);
		durable = l->durable;
		failed_writes += l->count - durable;
		fake_disk_fail(UINT64_MAX, UINT64_MAX, 0);
		if (fake_disk_failures() > 0)
			recover(l);
	} else {
		failed_opens++;
		if (error.text[0] == '\0')
			snprintf(l->violation, sizeof(l->violation), "not opened, and no reason");
		fake_disk_fail(UINT64_MAX, UINT64_MAX, 0);
	}
	if (seed % 2 == 0) /* what the syncs that failed have lost shows now */
		fake_disk_cut_at(fake_disk_calls());
	ledger_close(l);
	fake_disk_restart();
	if (l->violation[0] != '\0')
		return;
	if (!ledger_open(l, &error)) {
		snprintf(l->violation, sizeof(l->violation), "not opened again: %.200s", error.text);
		return;
	}
	ledger_check(l);
	if (l->found.missing_count > 0)
		snprintf(l->violation, sizeof(l->violation), "something is missing");
	live(l);
	runs++;
}

static void
each(uint64_t length, int code)
{
	uint64_t step = getenv("XF_LONG") != NULL ? 1 : XF_SCALE > 1 ? 6 : 3;

	ledger_hush(true);
	/* Until no call is left that could fail. */
	for (uint64_t at = 0, failures = 1; failures > 0; at += 1 + fake_below(step)) {
		struct ledger l;

		ledger_init(&l, &fake_disk, "/data/spool", 1 << 20, 5);
		run(&l, at + length, at, length, code);
		failures = fake_disk_failures();
		if (code == ENOSPC && failures == 0 && fake_disk_calls() > at + 200)
			failures = at < 250; /* a call that wants no space */
		if (l.violation[0] != '\0') {
			ledger_hush(false);
			fail_msg("calls from %llu, %llu of them, fail: %s", (unsigned long long)at, (unsigned long long)length,
			         l.violation);
		}
		ledger_fini(&l);
	}
	ledger_hush(false);
	assert_true(runs > 20);
	print_message("%llu runs, %llu times not opened, %llu writes called back as failed\n", (unsigned long long)runs,
	              (unsigned long long)failed_opens, (unsigned long long)failed_writes);
	runs = failed_opens = failed_writes = 0;
}

static void
one_call_fails(void **state)
{
	(void)state;
	each(1, EIO);
}

static void
calls_fail_for_a_while(void **state)
{
	(void)state;
	each(25, EIO);
}

static void
disk_is_full_for_a_while(void **state)
{
	(void)state;
	each(25, ENOSPC);
}

/* What was appended before its owner heard of a failure does not pass what failed, though the disk works again. */
static void
nothing_passes_what_failed(void **state)
{
	uint64_t until = xf_now_ms() + XF_WAIT_MS;
	struct xf_spool_numbers numbers;
	struct xf_error error;
	struct ledger l;
	uint32_t old;

	(void)state;
	fake_disk_reset(1);
	ledger_hush(true);
	ledger_init(&l, &fake_disk, "/data/spool", 1 << 20, 5);
	if (!ledger_open(&l, &error))
		fail_msg("%s", error.text);
	ledger_append(&l, 5, 100, xf_spool_generation(l.spool));
	ledger_wait(&l);
	old = xf_spool_generation(l.spool);
	fake_disk_fail(fake_disk_calls(), fake_disk_calls(), EIO);
	ledger_append(&l, 5, 100, old);
	ledger_wait(&l);
	assert_int_equal(l.durable, 5);
	do {
		xf_sleep_ms(1);
		xf_spool_numbers(l.spool, &numbers);
	} while (numbers.failed && xf_now_ms() < until);
	assert_false(numbers.failed);
	ledger_append(&l, 5, 100, old);
	ledger_wait(&l);
	assert_int_equal(l.durable, 5);
	assert_int_equal(l.entries[l.count - 1]->fate, FAILED);
	ledger_append(&l, 5, 100, xf_spool_generation(l.spool));
	ledger_wait(&l);
	assert_int_equal(l.durable, 10);
	ledger_check(&l);
	ledger_hush(false);
	assert_string_equal(l.violation, "");
	ledger_fini(&l);
}

/* ---- A disk that is full ------------------------------------------------------------------ */

/* With a reserve like that of a real one. */
static void
small_disk(struct ledger *l, struct xf_disk *disk)
{
	struct xf_error error;

	*disk = fake_disk;
	disk->reserve = xf_disk_real.reserve;
	fake_disk_reset(1);
	ledger_hush(true);
	ledger_init(l, disk, "/data/spool", 1 << 30, 5);
	if (!ledger_open(l, &error))
		fail_msg("%s", error.text);
	fake_disk_capacity(32 << 20);
}

/* Others have taken what a spool that was closed has left free. */
static void
open_without_room(struct ledger *l)
{
	struct xf_error error;

	ledger_close(l);
	fake_disk_capacity(fake_disk_used());
	if (!ledger_open(l, &error))
		fail_msg("%s", error.text);
	ledger_check(l);
	assert_string_equal(l->violation, "");
}

/* Removals go on, and once they have made room within the file, so do appends, though the disk stays full. */
static void
drains(struct ledger *l)
{
	uint64_t until = xf_now_ms() + XF_WAIT_MS;
	struct xf_spool_numbers numbers;
	struct xf_error reason;

	ledger_append(l, 64, 4000, xf_spool_generation(l->spool));
	ledger_wait(l);
	ledger_done(l, ledger_open_count(l) - 10, false);
	do {
		xf_sleep_ms(2);
		xf_spool_numbers(l->spool, &numbers);
	} while ((numbers.messages > 100 || numbers.failed) && xf_now_ms() < until);
	if (numbers.messages > 100 || numbers.failed) {
		xf_spool_reason(l->spool, &reason);
		ledger_hush(false);
		fail_msg("it does not drain: %s; messages %llu, failures %llu, commits %llu, bytes on the disk %llu",
		         numbers.failed ? reason.text : "it works", (unsigned long long)numbers.messages,
		         (unsigned long long)numbers.failures, (unsigned long long)numbers.commits,
		         (unsigned long long)fake_disk_used());
	}
	recover(l);
	open_without_room(l);
	assert_false(l->found.damaged);
	ledger_fini(l);
	ledger_hush(false);
	fake_disk_capacity(0);
}

static void
full_disk_drains(void **state)
{
	struct xf_spool_numbers numbers;
	struct xf_disk disk;
	struct ledger l;

	(void)state;
	small_disk(&l, &disk);
	do {
		ledger_append(&l, 64, 4000, xf_spool_generation(l.spool));
		ledger_wait(&l);
		xf_spool_numbers(l.spool, &numbers);
	} while (!numbers.failed);
	assert_true(l.durable > 1000);
	ledger_check(&l);
	assert_string_equal(l.violation, "");
	open_without_room(&l);
	drains(&l);
}

/* What its last try gives up of the reserve it does not leave to others. */
static void
disk_full_at_the_end_drains(void **state)
{
	struct xf_disk disk;
	struct ledger l;

	(void)state;
	small_disk(&l, &disk);
	ledger_append(&l, 10000, 4000, xf_spool_generation(l.spool));
	open_without_room(&l);
	assert_true(l.durable > 1000 && l.durable < l.count);
	drains(&l);
}

/* Nor what its first does. */
static void
disk_full_at_the_start_drains(void **state)
{
	struct xf_disk disk;
	struct xf_error error;
	struct ledger l;

	(void)state;
	small_disk(&l, &disk);
	ledger_append(&l, 10000, 4000, xf_spool_generation(l.spool));
	ledger_wait(&l);
	fake_disk_cut_at(fake_disk_calls());
	ledger_close(&l);
	fake_disk_restart();
	if (!ledger_open(&l, &error))
		fail_msg("%s", error.text);
	open_without_room(&l);
	drains(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_call_fails),
		cmocka_unit_test(calls_fail_for_a_while),
		cmocka_unit_test(disk_is_full_for_a_while),
		cmocka_unit_test(nothing_passes_what_failed),
		cmocka_unit_test(full_disk_drains),
		cmocka_unit_test(disk_full_at_the_end_drains),
		cmocka_unit_test(disk_full_at_the_start_drains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
