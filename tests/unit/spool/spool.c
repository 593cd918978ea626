#include "spool/spool.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "broker.h"
#include "fake_disk.h"
#include "ledger.h"
#include "server.h"

struct place {
	char *dir;
	char *path;
	struct ledger ledger;
};

static int
setup(void **state)
{
	struct place *place = xf_alloc(sizeof(*place));

	fake_disk_reset(7); /* chance alone is used of it */
	place->dir = xf_temp_create("spool");
	place->path = xf_format("%s/spool", place->dir);
	ledger_init(&place->ledger, NULL, place->path, 64 << 20, 50);
	*state = place;
	return 0;
}

static int
teardown(void **state)
{
	struct place *place = *state;

	ledger_fini(&place->ledger);
	free(place->path);
	xf_temp_destroy(&place->dir);
	free(place);
	return 0;
}

static struct xf_spool *
opened(struct ledger *l)
{
	struct xf_error error;

	if (!ledger_open(l, &error))
		fail_msg("%s", error.text);
	return l->spool;
}

static void
append(struct ledger *l, size_t count, size_t size)
{
	ledger_append(l, count, size, xf_spool_generation(l->spool));
	ledger_wait(l);
}

static void
checked(struct ledger *l)
{
	ledger_check(l);
	assert_string_equal(l->violation, "");
}

static struct xf_spool_numbers
numbers_of(const struct ledger *l)
{
	struct xf_spool_numbers numbers;

	xf_spool_numbers(l->spool, &numbers);
	return numbers;
}

/* Until that many are left on disk. */
static void
messages_await(const struct ledger *l, uint64_t messages)
{
	uint64_t until = xf_now_ms() + XF_WAIT_MS;

	while (numbers_of(l).messages != messages && xf_now_ms() < until)
		xf_sleep_ms(1);
	assert_int_equal(numbers_of(l).messages, messages);
}

static void
records_come_back_in_order(void **state)
{
	struct ledger *l = &((struct place *)*state)->ledger;
	struct xf_spool_numbers numbers;

	opened(l);
	assert_false(l->found.damaged);
	assert_int_equal(l->found.messages, 0);
	checked(l);
	for (int i = 0; i < 20; i++)
		append(l, 1 + (size_t)i * 10, 3000);
	append(l, 3, 0); /* next to no bytes */
	append(l, 1, 3 << 20);
	assert_int_equal(l->durable, l->count);
	checked(l);
	numbers = numbers_of(l);
	assert_int_equal(numbers.messages, l->count);
	assert_int_equal(numbers.oldest_ms, 1000);
	assert_true(numbers.commits >= 22 && numbers.commit_us_max >= numbers.commit_us);

	/* Done in a mixed order: what is left comes in its order. */
	ledger_done(l, 500, true);
	checked(l);
	messages_await(l, ledger_open_count(l));
	ledger_done(l, 300, true);
	append(l, 100, 500);
	ledger_done(l, 300, false);
	checked(l);
	messages_await(l, ledger_open_count(l));
	numbers = numbers_of(l);
	ledger_close(l);

	opened(l);
	assert_false(l->found.damaged);
	assert_int_equal(l->found.messages, ledger_open_count(l));
	assert_int_equal(l->found.bytes, numbers.bytes);
	assert_int_equal(l->found.oldest_ms, numbers.oldest_ms);
	checked(l);
	ledger_done(l, SIZE_MAX, false);
	messages_await(l, 0);
	assert_int_equal(numbers_of(l).bytes, 0);
	assert_int_equal(numbers_of(l).oldest_ms, 0);
	append(l, 10, 10); /* numbers go on */
	checked(l);
	ledger_close(l);
	opened(l);
	checked(l);
	assert_int_equal(l->found.messages, 10);
}

static void
reading_keeps_its_bounds(void **state)
{
	struct ledger *l = &((struct place *)*state)->ledger;
	struct xf_spool_batch batch = {0};
	struct xf_error error;

	opened(l);
	append(l, 100, 1000);
	assert_int_equal(xf_spool_read(l->spool, 0, 10, SIZE_MAX, &batch, &error), XF_OK);
	assert_int_equal(batch.count, 10);
	assert_int_equal(batch.next, 10);
	assert_int_equal(xf_spool_read(l->spool, batch.next, 100, 1, &batch, &error), XF_OK); /* one is always read */
	assert_int_equal(batch.count, 1);
	assert_int_equal(batch.records[0].place.seq, 11);
	assert_int_equal(xf_spool_read(l->spool, 0, 100, 5000, &batch, &error), XF_OK);
	assert_in_range(batch.count, 1, 99);
	assert_in_range(batch.bytes.len, 1, 5000);
	assert_int_equal(xf_spool_read(l->spool, 100, 100, 5000, &batch, &error), XF_OK);
	assert_int_equal(batch.count, 0);
	assert_int_equal(batch.next, 100);
	assert_int_equal(xf_spool_read(l->spool, 0, 0, 5000, &batch, &error), XF_OK);
	assert_int_equal(batch.count, 0);
	xf_spool_batch_fini(&batch);
}

static void
full_spool_refuses_in_order(void **state)
{
	struct ledger *l = &((struct place *)*state)->ledger;
	uint32_t old;
	size_t durable;

	l->settings.bytes_max = 1 << 20;
	opened(l);
	old = xf_spool_generation(l->spool);
	ledger_append(l, 2000, 2000, old);
	ledger_wait(l);
	assert_in_range(l->durable, 500, 1999);
	assert_int_equal(numbers_of(l).refused, l->count - l->durable);
	assert_true(numbers_of(l).bytes <= 1 << 20);
	assert_true(numbers_of(l).bytes > (1 << 20) - 2100);
	assert_false(numbers_of(l).failed);
	for (size_t i = 0; i < l->count; i++) /* nothing passes the first that was refused */
		assert_int_equal(l->entries[i]->fate, i < l->durable ? DURABLE : REFUSED);

	/* There is room again, but what the caller sent before it heard is refused all the same. */
	assert_true(xf_spool_generation(l->spool) != old);
	ledger_done(l, 100, false);
	messages_await(l, l->durable - 100);
	durable = l->durable;
	ledger_append(l, 5, 10, old);
	ledger_wait(l);
	assert_int_equal(l->durable, durable);
	append(l, 5, 10);
	assert_int_equal(l->durable, durable + 5);
	checked(l);

	/* What can never be had is told apart, and holds up nothing. */
	append(l, 1, 100 << 20);
	assert_int_equal(l->entries[l->count - 1]->write.result, XF_SPOOL_TOO_LARGE);
	append(l, 5, 10);
	assert_int_equal(l->durable, durable + 10);
	checked(l);

	/* Another bound holds from the next write on. */
	xf_spool_limit(l->spool, 2 << 20);
	append(l, 200, 2000);
	assert_int_equal(l->durable, durable + 210);
	xf_spool_limit(l->spool, 64 << 10);
	append(l, 1, 10);
	assert_int_equal(l->entries[l->count - 1]->write.result, XF_SPOOL_FULL);
	assert_int_equal(numbers_of(l).bytes_max, 64 << 10);
	checked(l);
	ledger_close(l);
	opened(l);
	checked(l);
}

/* Many times its size goes through. */
static void
space_is_used_again(void **state)
{
	struct place *place = *state;
	struct ledger *l = &place->ledger;
	char *db = xf_format("%s/records.db", place->path), *wal = xf_format("%s-wal", db);
	struct stat stat_;

	l->settings.bytes_max = 4 << 20;
	opened(l);
	for (int i = 0; i < (XF_SCALE > 1 ? 30 : 80); i++) {
		append(l, 250, 4000);
		ledger_done(l, 250, i % 2 == 0);
		ledger_done(l, SIZE_MAX, false);
		messages_await(l, 0);
	}
	assert_int_equal(l->durable, l->count);
	assert_int_equal(stat(db, &stat_), 0);
	assert_true(stat_.st_size < 8 << 20);
	assert_int_equal(stat(wal, &stat_), 0);
	assert_true(stat_.st_size < 16 << 20);
	free(wal);
	free(db);
}

static void
empty_file_gives_its_space_back(void **state)
{
	struct place *place = *state;
	struct ledger *l = &place->ledger;
	char *db = xf_format("%s/records.db", place->path);
	struct stat stat_;

	opened(l);
	for (int i = 0; i < 30; i++)
		append(l, 1000, 2000);
	ledger_close(l);
	assert_int_equal(stat(db, &stat_), 0);
	assert_true(stat_.st_size > 24 << 20);
	opened(l);
	ledger_done(l, SIZE_MAX, false);
	messages_await(l, 0);
	ledger_close(l);
	assert_int_equal(stat(db, &stat_), 0);
	assert_true(stat_.st_size < 1 << 20);
	opened(l);
	checked(l);
	free(db);
}

static void
spool_has_one_owner(void **state)
{
	struct ledger *l = &((struct place *)*state)->ledger;
	struct xf_spool_settings settings = l->settings;
	struct xf_spool_found found;
	struct xf_error error = {{0}};

	opened(l);
	append(l, 10, 10);
	assert_null(xf_spool_open(&settings, &found, &error));
	assert_non_null(strstr(error.text, "held by another process"));
	append(l, 10, 10);
	checked(l);
	ledger_close(l);
	opened(l);
	checked(l);
	assert_int_equal(l->found.messages, 20);
}

/* Several producers, a reader and removals at once. */
struct producer {
	struct xf_spool *spool;
	uint32_t lane;
	struct xf_spool_write *writes;
	pthread_t thread;
};

#define PRODUCERS 3
#define PRODUCED (XF_SCALE > 1 ? 2000 : 20000)

static _Atomic size_t told;

static void
producer_told(void *context, struct xf_spool_write *first)
{
	(void)context;
	for (struct xf_spool_write *w = first, *next; w != NULL; w = next) {
		next = (struct xf_spool_write *)w->node.next; /* once told, it is used again */
		assert_int_equal(w->result, XF_SPOOL_DURABLE);
		told++;
	}
}

static void *
produce(void *argument)
{
	struct producer *p = argument;

	for (uint32_t i = 0; i < PRODUCED;) {
		uint32_t first = i;

		for (; i < PRODUCED && i < first + 17; i++) {
			p->writes[i] = (struct xf_spool_write){.lane = p->lane, .time_ms = i, .bytes = xf_str("some bytes")};
			if (i > first)
				p->writes[i - 1].node.next = &p->writes[i].node;
		}
		xf_spool_append(p->spool, &p->writes[first], &p->writes[i - 1]);
	}
	return NULL;
}

static void
threads_work_side_by_side(void **state)
{
	struct ledger *l = &((struct place *)*state)->ledger;
	struct producer producers[PRODUCERS];
	struct xf_spool_batch batch = {0};
	uint64_t expected[PRODUCERS] = {0}, after = 0, seen = 0, until = xf_now_ms() + XF_WAIT_MS;
	struct xf_error error;

	l->settings.written = producer_told;
	opened(l);
	for (uint32_t i = 0; i < PRODUCERS; i++) {
		producers[i] = (struct producer){l->spool, i, xf_alloc_array(PRODUCED, sizeof(struct xf_spool_write)), 0};
		assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
	}
	while (seen < PRODUCERS * PRODUCED && xf_now_ms() < until) {
		if (xf_spool_read(l->spool, after, 1000, SIZE_MAX, &batch, &error) != XF_OK)
			fail_msg("%s", error.text);
		for (size_t i = 0; i < batch.count; i++) {
			const struct xf_spool_record *record = &batch.records[i];

			assert_int_equal(record->place.seq, after + 1 + i);
			assert_int_equal(record->time_ms, expected[record->place.lane]++);
			xf_spool_done(l->spool, &record->place, 1);
		}
		seen += batch.count;
		after = batch.next;
	}
	assert_int_equal(seen, PRODUCERS * PRODUCED);
	for (uint32_t i = 0; i < PRODUCERS; i++)
		pthread_join(producers[i].thread, NULL);
	ledger_close(l);
	assert_int_equal(told, PRODUCERS * PRODUCED);
	for (uint32_t i = 0; i < PRODUCERS; i++)
		free(producers[i].writes);
	xf_spool_batch_fini(&batch);
	opened(l);
	assert_int_equal(l->found.messages, 0);
}

static long
resident_kib(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long pages = 0, resident = 0;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%ld %ld", &pages, &resident), 2);
	fclose(file);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Many records: 1 KiB each, a million with XF_LONG. */
static void
many_records_cost_little(void **state)
{
	enum { CHAIN = 1000 };
	struct ledger *l = &((struct place *)*state)->ledger;
	uint64_t count = getenv("XF_LONG") != NULL && XF_SCALE == 1 ? 1000000 : 100000 / XF_SCALE;
	struct xf_spool_write *writes = xf_alloc_array(CHAIN, sizeof(*writes));
	struct xf_spool_batch batch = {0};
	uint64_t start, appended, open_ms, read = 0, read_ms, after = 0;
	struct xf_error error;
	char bytes[1024] = {0};
	long before, peak = 0;

	l->settings.written = producer_told;
	l->settings.bytes_max = UINT64_C(4) << 30;
	told = 0;
	opened(l);
	before = resident_kib();
	start = xf_now_ms();
	for (uint64_t i = 0; i < count; i += CHAIN) {
		uint64_t until = xf_now_ms() + XF_WAIT_MS;

		for (size_t j = 0; j < CHAIN; j++)
			writes[j] = (struct xf_spool_write){.node = {.next = j + 1 < CHAIN ? &writes[j + 1].node : NULL},
			                                    .lane = (uint32_t)((i + j) % 10000),
			                                    .bytes = {bytes, sizeof(bytes)}};
		xf_spool_append(l->spool, writes, &writes[CHAIN - 1]);
		while (told < i + CHAIN && xf_now_ms() < until)
			sched_yield();
		assert_int_equal(told, i + CHAIN);
	}
	appended = xf_now_ms() - start;
	ledger_close(l);

	start = xf_now_ms();
	opened(l);
	open_ms = xf_now_ms() - start;
	assert_int_equal(l->found.messages, count);
	for (uint32_t lane = 0; lane < 10000; lane++)
		assert_int_equal(xf_spool_lane(l->spool, lane), count / 10000 + (lane < count % 10000));
	start = xf_now_ms();
	do {
		if (xf_spool_read(l->spool, after, 1000, 1 << 20, &batch, &error) != XF_OK)
			fail_msg("%s", error.text);
		for (size_t i = 0; i < batch.count; i++)
			xf_spool_done(l->spool, &batch.records[i].place, 1);
		read += batch.count;
		after = batch.next;
		peak = resident_kib() > peak ? resident_kib() : peak;
	} while (batch.count > 0);
	messages_await(l, 0);
	read_ms = xf_now_ms() - start;
	assert_int_equal(read, count);
	print_message("%llu records of 1 KiB: appended in %llu ms (1000 at a time), opened in %llu ms, read and removed in %llu "
	              "ms; resident: %ld KiB before, %ld at most\n",
	              (unsigned long long)count, (unsigned long long)appended, (unsigned long long)open_ms,
	              (unsigned long long)read_ms, before, peak);
	free(writes);
	xf_spool_batch_fini(&batch);
}

/* What a crash would leave to be found counts until it is off the disk. */
static void
lane_stands_until_it_is_removed(void **state)
{
	struct ledger *l = &((struct place *)*state)->ledger;
	uint64_t until = xf_now_ms() + XF_WAIT_MS;

	l->lanes = 1;
	opened(l);
	assert_false(xf_spool_lane_stands(l->spool, 0));
	for (int round = 0; round < 20; round++) {
		append(l, 10, 100);
		assert_true(xf_spool_lane_stands(l->spool, 0));
		ledger_done(l, 10, false);
		assert_int_equal(xf_spool_lane(l->spool, 0), 0);
		while (xf_spool_lane_stands(l->spool, 0) && xf_now_ms() < until)
			sched_yield();
		assert_int_equal(numbers_of(l).messages, 0);
		assert_false(xf_spool_lane_stands(l->spool, 0));
		assert_false(xf_spool_lane_stands(l->spool, 1));
	}
}

static _Atomic bool begin_fails;
static unsigned begun_count;

static enum xf_status
begun(void *context, struct xf_error *error)
{
	(void)context;
	begun_count++;
	return begin_fails ? xf_error_set(error, "not yet") : XF_OK;
}

/* Nothing is made before it is needed; where it cannot be then, what is appended is refused, and that heals. */
static void
spool_begins_with_the_first_append(void **state)
{
	struct place *place = *state;
	struct ledger *l = &place->ledger;
	struct xf_spool_batch batch = {0};
	struct xf_error error;

	begun_count = 0;
	begin_fails = true;
	l->settings.begun = begun;
	opened(l);
	assert_false(xf_spool_has_begun(l->spool));
	assert_int_equal(xf_spool_read(l->spool, 0, 10, 1000, &batch, &error), XF_OK);
	assert_int_equal(batch.count, 0);
	ledger_close(l);
	assert_int_not_equal(access(place->path, F_OK), 0);

	opened(l);
	ledger_hush(true);
	append(l, 3, 10);
	assert_int_equal(l->durable, 0);
	assert_true(numbers_of(l).failed);
	assert_int_equal(numbers_of(l).refused, 3);
	assert_int_equal(xf_spool_lane(l->spool, 0), 0);
	begin_fails = false;
	for (uint64_t until = xf_now_ms() + XF_WAIT_MS; numbers_of(l).failed && xf_now_ms() < until;)
		xf_sleep_ms(1);
	ledger_hush(false);
	assert_true(xf_spool_has_begun(l->spool));
	append(l, 7, 10);
	assert_int_equal(l->durable, 7);
	assert_int_equal(xf_spool_lane(l->spool, 3), 1);
	checked(l);
	ledger_close(l);

	begun_count = 0;
	opened(l); /* there is something */
	assert_true(xf_spool_has_begun(l->spool));
	assert_int_equal(l->found.messages, 7);
	checked(l);
	assert_int_equal(begun_count, 0);
	xf_spool_batch_fini(&batch);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(records_come_back_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(reading_keeps_its_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(full_spool_refuses_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(space_is_used_again, setup, teardown),
		cmocka_unit_test_setup_teardown(empty_file_gives_its_space_back, setup, teardown),
		cmocka_unit_test_setup_teardown(spool_has_one_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(threads_work_side_by_side, setup, teardown),
		cmocka_unit_test_setup_teardown(many_records_cost_little, setup, teardown),
		cmocka_unit_test_setup_teardown(lane_stands_until_it_is_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(spool_begins_with_the_first_append, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
