/* The store of dead letters: what is kept and given back, its bound, what a sync vouches for, and what a crash leaves. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "broker.h"
#include "dead/letters.h"
#include "fake_disk.h"
#include "server.h"

#define MAX (4u << 20)
#define KILLS (XF_SCALE > 1 ? 5 : 20)
#define CUTS (XF_SCALE > 1 ? 50 : 300)

static sqlite3_vfs *real;

static int
setup(void **state)
{
	*state = xf_temp_create("dead");
	return 0;
}

static int
teardown(void **state)
{
	char *dir = *state;

	xf_temp_destroy(&dir);
	return 0;
}

/* The disk below is the one in memory, but for the folder. */
static int
fake_setup(void **state)
{
	fake_disk_reset(1);
	sqlite3_vfs_register(sqlite3_vfs_find(fake_disk.vfs), 1);
	return setup(state);
}

static int
fake_teardown(void **state)
{
	sqlite3_vfs_register(real, 1);
	return teardown(state);
}

static struct xf_letters *
opened(const char *dir)
{
	struct xf_error error = {{0}};
	struct xf_letters *letters = xf_letters_open(dir, MAX, &error);

	if (letters == NULL)
		fail_msg("%s", error.text);
	return letters;
}

static enum xf_status
append(struct xf_letters *letters, const char *route, const char *id, uint64_t size)
{
	char *payload = memset(xf_alloc(size + 1), 'x', size);
	const struct xf_letter letter = {
		.route = xf_str(route),
		.reason = xf_str("because"),
		.first_ms = 1000,
		.last_ms = 2000,
		.message = {.subject = xf_str("orders"), .id = xf_str(id), .payload = {payload, size}},
	};
	enum xf_status status = xf_letters_append(letters, &letter, NULL);

	free(payload);
	return status;
}

static void
id_note(void *out, const struct xf_letter *letter)
{
	xf_buffer_printf(out, "%.*s ", XF_STR_ARG(letter->message.id));
}

/* The ids, each with a space behind it. */
static void
assert_ids(struct xf_letters *letters, const char *route, uint64_t after, uint64_t limit, const char *expected)
{
	struct xf_buffer ids = {0};

	assert_int_equal(xf_letters_list(letters, route, after, limit, id_note, &ids, NULL), XF_OK);
	assert_string_equal(ids.data != NULL ? ids.data : "", expected);
	xf_buffer_fini(&ids);
}

static uint64_t
sum_count(struct xf_letters *letters)
{
	struct xf_letters_sum sum;

	xf_letters_sum(letters, &sum);
	return sum.count;
}

static const struct xf_header headers[] = {{{"tag", 3}, {"caf\xc3\xa9", 5}}, {{"tag", 3}, {"\xff\0", 2}}, {{"none", 4}, {NULL, 0}}};

static const struct xf_letter whole = {
	.route = {"r", 1},
	.sink = {"r/to", 4},
	.reason = {"too large", 9},
	.attempts = 3,
	.first_ms = 1700000000123,
	.last_ms = 1700000000456,
	.reply = {"answers.1", 9},
	.content_type = {"text/plain", 10},
	.message = {
		.subject = {"a\xff" "b", 3},
		.id = {"7", 1},
		.key = {"k", 1},
		.payload = {"\0\xff\xfe" "bytes", 8},
		.headers = headers,
		.header_count = 3,
	},
};

static void
assert_bytes(struct xf_str found, struct xf_str expected)
{
	assert_int_equal(found.len, expected.len);
	if (found.len > 0)
		assert_memory_equal(found.data, expected.data, found.len);
}

static void
assert_whole(void *seen, const struct xf_letter *letter)
{
	assert_int_equal(letter->number, 1);
	assert_bytes(letter->route, whole.route);
	assert_bytes(letter->sink, whole.sink);
	assert_bytes(letter->reason, whole.reason);
	assert_int_equal(letter->attempts, 3);
	assert_int_equal(letter->first_ms, whole.first_ms);
	assert_int_equal(letter->last_ms, whole.last_ms);
	assert_bytes(letter->reply, whole.reply);
	assert_bytes(letter->content_type, whole.content_type);
	assert_bytes(letter->message.subject, whole.message.subject);
	assert_bytes(letter->message.id, whole.message.id);
	assert_bytes(letter->message.key, whole.message.key);
	assert_int_equal(letter->message.payload.len, whole.message.payload.len);
	if (letter->message.payload.data != NULL) {
		assert_bytes(letter->message.payload, whole.message.payload);
		assert_int_equal(letter->message.header_count, 3);
		for (uint32_t i = 0; i < 3; i++) {
			assert_bytes(letter->message.headers[i].name, headers[i].name);
			assert_bytes(letter->message.headers[i].value, headers[i].value);
		}
	}
	++*(int *)seen;
}

static void
all_of_it_is_kept(void **state)
{
	struct xf_letters *letters = opened(*state);
	uint64_t losses = xf_letters_losses(letters);
	struct stat there;
	int seen = 0;
	char *file = xf_format("%s/dead.db", (char *)*state);

	assert_int_equal(xf_letters_append(letters, &whole, NULL), XF_OK);
	assert_int_equal(xf_letters_sync(letters, losses, NULL), XF_OK);
	xf_letters_close(&letters);
	assert_null(letters);
	letters = opened(*state);
	assert_int_equal(xf_letters_get(letters, 1, assert_whole, &seen, NULL), XF_OK);
	assert_int_equal(xf_letters_get(letters, 2, assert_whole, &seen, NULL), XF_OK);
	assert_int_equal(seen, 1);
	assert_int_equal(xf_letters_list(letters, NULL, 0, 10, assert_whole, &seen, NULL), XF_OK);
	assert_int_equal(seen, 2);
	xf_letters_close(&letters);
	assert_int_equal(stat(file, &there), 0);
	assert_int_equal(there.st_mode & 07, 0); /* payloads are nobody's business */
	free(file);
}

static void
route_note(void *out, struct xf_str route, uint64_t count)
{
	xf_buffer_printf(out, "%.*s:%d ", XF_STR_ARG(route), (int)count);
}

static void
they_are_found_and_removed(void **state)
{
	struct xf_letters *letters = opened(*state);
	struct xf_buffer routes = {0};
	uint64_t count = 77;

	for (int i = 0; i < 6; i++) {
		char id[] = {(char)('a' + i), '\0'};

		assert_int_equal(append(letters, i % 2 ? "odd" : "even", id, 10), XF_OK);
	}
	assert_ids(letters, NULL, 0, 100, "a b c d e f ");
	assert_ids(letters, NULL, 2, 2, "c d ");
	assert_ids(letters, "odd", 0, 100, "b d f ");
	assert_ids(letters, "none", 0, 100, "");
	assert_int_equal(xf_letters_routes(letters, route_note, &routes, NULL), XF_OK);
	assert_string_equal(routes.data, "even:3 odd:3 ");
	xf_buffer_fini(&routes);
	assert_int_equal(xf_letters_remove(letters, 0, NULL, 2000, &count, NULL), XF_OK); /* none is so old */
	assert_int_equal(count, 0);
	assert_int_equal(xf_letters_remove(letters, 6, NULL, INT64_MAX, &count, NULL), XF_OK);
	assert_int_equal(count, 1);
	assert_int_equal(xf_letters_remove(letters, 0, "even", INT64_MAX, &count, NULL), XF_OK);
	assert_int_equal(count, 3);
	assert_ids(letters, NULL, 0, 100, "b d ");
	assert_int_equal(sum_count(letters), 2);
	xf_letters_close(&letters);
	letters = opened(*state);
	assert_int_equal(sum_count(letters), 2);
	assert_int_equal(append(letters, "odd", "g", 10), XF_OK);
	assert_ids(letters, NULL, 6, 100, "g "); /* no number twice */
	xf_letters_close(&letters);
}

static void
attempts_note(void *context, const struct xf_letter *letter)
{
	*(uint64_t *)context = letter->attempts;
}

static void
letter_check(void *context, const struct xf_letter *letter)
{
	assert_true(xf_str_is(letter->sink, "there"));
	assert_true(xf_str_is(letter->reason, "once more"));
	assert_true(xf_str_is(letter->message.id, "b"));
	assert_int_equal(letter->attempts, *(const uint64_t *)context);
	assert_int_equal(letter->last_ms, 5000);
	assert_int_equal(letter->message.payload.len, 10);
}

/* One that was refused again is the same letter, while it is there. */
static void
they_go_out_and_come_again(void **state)
{
	struct xf_letters *letters = opened(*state);
	struct xf_letter again = {.number = 2, .sink = xf_str("there"), .reason = xf_str("once more"), .attempts = 3, .last_ms = 5000,
	                          .message = {.subject = xf_str("s")}};
	uint64_t *numbers, attempts = 0;
	size_t count;

	for (int i = 0; i < 6; i++) {
		char id[] = {(char)('a' + i), '\0'};

		assert_int_equal(append(letters, i % 2 ? "odd" : "even", id, 10), XF_OK);
	}
	assert_int_equal(xf_letters_choose(letters, 0, "odd", INT64_MAX, &numbers, &count, NULL), XF_OK);
	assert_int_equal(count, 3);
	assert_true(numbers[0] == 2 && numbers[1] == 4 && numbers[2] == 6);
	assert_int_equal(xf_letters_append(letters, &again, NULL), XF_OK);
	assert_int_equal(xf_letters_remove_all(letters, numbers + 1, 2, NULL), XF_OK);
	free(numbers);
	assert_ids(letters, NULL, 0, 100, "a b c e ");
	assert_int_equal(sum_count(letters), 4);
	xf_letters_close(&letters);
	letters = opened(*state);
	assert_int_equal(xf_letters_list(letters, "odd", 0, 1, attempts_note, &attempts, NULL), XF_OK);
	assert_true(attempts >= 3);
	assert_int_equal(xf_letters_get(letters, 2, letter_check, &attempts, NULL), XF_OK);
	/* Removed meanwhile: it is kept as a new one. */
	again.number = 4;
	assert_int_equal(xf_letters_append(letters, &again, NULL), XF_OK);
	assert_int_equal(xf_letters_sync(letters, xf_letters_losses(letters), NULL), XF_OK);
	assert_int_equal(sum_count(letters), 5);
	assert_int_equal(xf_letters_choose(letters, 7, NULL, INT64_MAX, &numbers, &count, NULL), XF_OK);
	assert_int_equal(count, 1);
	free(numbers);
	xf_letters_close(&letters);
}

static void
a_full_store_takes_no_more_until_it_is_purged(void **state)
{
	struct xf_letters *letters = opened(*state);
	struct xf_letters_sum sum;
	uint64_t count;

	assert_int_equal(append(letters, "r", "small", 10), XF_OK);
	assert_false(xf_letters_full(letters));
	assert_int_equal(append(letters, "r", "large", MAX - MAX / 4), XF_OK);
	assert_true(xf_letters_full(letters));
	assert_int_equal(append(letters, "r", "more", MAX / 4), XF_FAILED);
	assert_int_equal(append(letters, "r", "little", 10), XF_OK);
	assert_int_equal(xf_letters_sync(letters, 0, NULL), XF_OK); /* what was not taken lost nothing */
	xf_letters_sum(letters, &sum);
	assert_int_equal(sum.count, 3);
	assert_true(sum.bytes > MAX - MAX / 4 && sum.bytes < MAX && sum.bytes_max == MAX);
	assert_int_equal(xf_letters_remove(letters, 2, NULL, INT64_MAX, &count, NULL), XF_OK);
	assert_false(xf_letters_full(letters));
	assert_int_equal(append(letters, "r", "more", MAX / 4), XF_OK);
	xf_letters_close(&letters);
}

static void
an_empty_store_takes_any_letter(void **state)
{
	struct xf_letters *letters = opened(*state);

	assert_int_equal(append(letters, "r", "huge", 2 * MAX), XF_OK);
	assert_true(xf_letters_full(letters));
	xf_letters_close(&letters);
}

/* What cannot be committed is vouched for to nobody who appended before, also where the next sync goes well. */
static void
a_lost_letter_is_told_to_everybody(void **state)
{
	struct xf_letters *letters = opened(*state);
	uint64_t one = xf_letters_losses(letters), other = one;
	struct xf_error error;

	assert_int_equal(append(letters, "r", "one", 10), XF_OK);
	assert_int_equal(append(letters, "s", "other", 10), XF_OK);
	fake_disk_fail(fake_disk_calls() + 1, UINT64_MAX, EIO);
	assert_int_equal(xf_letters_sync(letters, one, &error), XF_FAILED);
	assert_non_null(strstr(error.text, "cannot be written"));
	assert_int_equal(append(letters, "r", "third", 10), XF_FAILED);
	fake_disk_fail(UINT64_MAX, UINT64_MAX, EIO);
	assert_int_equal(append(letters, "r", "fourth", 10), XF_OK);
	assert_int_equal(xf_letters_sync(letters, other, &error), XF_FAILED);
	assert_non_null(strstr(error.text, "may be lost"));
	assert_int_equal(xf_letters_sync(letters, xf_letters_losses(letters), &error), XF_OK);
	assert_ids(letters, NULL, 0, 10, "fourth ");
	xf_letters_close(&letters);
}

/* A disk that is full takes what is in the transaction along. */
static void
a_failed_append_loses_what_was_not_synced(void **state)
{
	struct xf_letters *letters = opened(*state);
	uint64_t losses = xf_letters_losses(letters);

	assert_int_equal(append(letters, "r", "one", 10), XF_OK);
	fake_disk_fail(fake_disk_calls() + 1, UINT64_MAX, ENOSPC);
	assert_int_equal(append(letters, "r", "large", MAX / 2), XF_FAILED); /* more than its cache holds */
	assert_int_equal(xf_letters_sync(letters, losses, NULL), XF_FAILED);
	fake_disk_fail(UINT64_MAX, UINT64_MAX, EIO);
	assert_int_equal(sum_count(letters), 0);
	xf_letters_close(&letters);
}

static void
raw_run(const char *dir, const char *sql)
{
	char *file = xf_format("%s/dead.db", dir);
	sqlite3 *db;

	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	free(file);
}

static void
a_newer_store_is_refused(void **state)
{
	struct xf_letters *letters = opened(*state);
	struct xf_error error;

	assert_int_equal(append(letters, "r", "one", 10), XF_OK);
	assert_int_equal(xf_letters_sync(letters, 0, NULL), XF_OK);
	xf_letters_close(&letters);
	raw_run(*state, "PRAGMA user_version=9");
	assert_null(xf_letters_open(*state, MAX, &error));
	assert_non_null(strstr(error.text, "dead.db: was written by a newer crossfade (store version 9"));
	raw_run(*state, "PRAGMA user_version=1");
	letters = opened(*state);
	assert_int_equal(sum_count(letters), 1);
	xf_letters_close(&letters);
}

/* Zeros in the middle of the file, and a file that is none: told what to do, and left as it is. */
static void
a_damaged_store_is_refused(void **state)
{
	char *file = xf_format("%s/dead.db", (char *)*state), zeros[4096] = {0};
	struct xf_letters *letters = opened(*state);
	struct stat before, after;
	struct xf_error error;
	FILE *stream;

	for (int i = 0; i < 100; i++)
		assert_int_equal(append(letters, "r", "one", 1000), XF_OK);
	assert_int_equal(xf_letters_sync(letters, 0, NULL), XF_OK);
	xf_letters_close(&letters);
	for (int whole_file = 0; whole_file < 2; whole_file++) {
		assert_int_equal(stat(file, &before), 0);
		stream = fopen(file, "r+");
		assert_non_null(stream);
		assert_int_equal(fseek(stream, whole_file ? 0 : 4096, SEEK_SET), 0);
		for (int i = 0; i < 5; i++)
			assert_int_equal(fwrite(memset(zeros, whole_file ? 'x' : 0, sizeof(zeros)), 1, sizeof(zeros), stream), sizeof(zeros));
		fclose(stream);
		assert_null(xf_letters_open(*state, MAX, &error));
		assert_non_null(strstr(error.text, "move it away, together with its -wal, to begin with an empty one"));
		assert_int_equal(stat(file, &after), 0);
		assert_int_equal(after.st_size, before.st_size);
	}
	assert_null(xf_letters_open("/no/such/folder", MAX, &error));
	assert_non_null(strstr(error.text, "/no/such/folder/dead.db"));
	free(file);
}

/* ---- Crashes --------------------------------------------------------------------------- */

/* Appends for ever, and says how far it is on disk. */
static _Noreturn void
child(const char *dir, int out, uint64_t id)
{
	struct xf_letters *letters = xf_letters_open(dir, 1u << 30, NULL);
	uint64_t losses = letters != NULL ? xf_letters_losses(letters) : 0;

	for (;;) {
		for (uint64_t count = 1 + fake_below(20); count > 0; count--) {
			char text[24];

			snprintf(text, sizeof(text), "%llu", (unsigned long long)++id);
			if (letters == NULL || append(letters, "r", text, fake_below(3000)) != XF_OK)
				_exit(2);
		}
		if (xf_letters_sync(letters, losses, NULL) != XF_OK || write(out, &id, sizeof(id)) != sizeof(id))
			_exit(3);
	}
}

static void
id_follow(void *last, const struct xf_letter *letter)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)++*(uint64_t *)last);
	assert_bytes(letter->message.id, xf_str(text));
}

static void
killed_processes_lose_nothing(void **state)
{
	uint64_t there = 0;

	for (unsigned i = 0; i < KILLS; i++) {
		uint64_t synced = there, told, until = 0;
		struct xf_letters *letters;
		int ends[2], status;
		pid_t pid;

		fake_disk_reset(i + 1); /* for its numbers */
		assert_int_equal(pipe(ends), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			close(ends[0]);
			child(*state, ends[1], there);
		}
		close(ends[1]);
		while (read(ends[0], &told, sizeof(told)) == sizeof(told)) {
			synced = told;
			until = until == 0 ? xf_now_ms() + fake_below(40) : until;
			if (xf_now_ms() >= until) {
				kill(pid, SIGKILL);
				until = UINT64_MAX;
			}
		}
		close(ends[0]);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		letters = opened(*state);
		there = 0;
		assert_int_equal(xf_letters_list(letters, NULL, 0, INT64_MAX, id_follow, &there, NULL), XF_OK);
		assert_true(there >= synced);
		xf_letters_close(&letters);
	}
	assert_true(there > KILLS);
}

/* Appends and syncs while calls fail, until the power goes. *THERE ids were on disk before; *LAST is the highest that was tried, and
 * those in SYNCED, which is by id, must be there. */
static void
live(struct xf_letters *letters, bool *synced, uint64_t *last)
{
	for (unsigned steps = 1 + (unsigned)fake_below(20); steps > 0; steps--) {
		uint64_t losses = xf_letters_losses(letters), ids[20], count = 0;

		if (fake_below(4) == 0) {
			uint64_t at = fake_disk_calls() + fake_below(40);

			fake_disk_fail(at, at + fake_below(10), fake_below(2) ? EIO : ENOSPC);
		}
		for (uint64_t n = 1 + fake_below(20); n > 0; n--) {
			char text[24];

			snprintf(text, sizeof(text), "%llu", (unsigned long long)++*last);
			if (append(letters, "r", text, fake_below(6000)) == XF_OK)
				ids[count++] = *last;
		}
		if (xf_letters_sync(letters, losses, NULL) == XF_OK)
			while (count > 0)
				synced[ids[--count]] = true;
	}
}

static void
id_cross(void *synced, const struct xf_letter *letter)
{
	((bool *)synced)[strtoull(letter->message.id.data, NULL, 10)] = false;
}

static void
power_cuts_lose_nothing(void **state)
{
	uint64_t vouched = 0;

	for (uint64_t seed = 1; seed <= CUTS; seed++) {
		bool synced[2000] = {false};
		uint64_t last = 0;

		fake_disk_reset(seed);
		for (int lives = 0; lives < 3; lives++) {
			struct xf_letters *letters = opened(*state);
			bool left[2000];

			assert_int_equal(fake_disk.sync(*state), 0); /* the name, as is done on the real disk */
			memcpy(left, synced, sizeof(left));
			assert_int_equal(xf_letters_list(letters, NULL, 0, INT64_MAX, id_cross, left, NULL), XF_OK);
			for (uint64_t id = 0; id < 2000; id++)
				if (left[id])
					fail_msg("seed %llu: letter %llu is lost", (unsigned long long)seed, (unsigned long long)id);
			fake_disk_cut_at(fake_disk_calls() + fake_below(300));
			live(letters, synced, &last);
			xf_letters_close(&letters);
			fake_disk_restart();
		}
		for (uint64_t id = 0; id < 2000; id++)
			vouched += synced[id];
	}
	print_message("%d seeds, %llu letters vouched for, none lost\n", CUTS, (unsigned long long)vouched);
	assert_true(vouched > CUTS);
}

/* ---- Together -------------------------------------------------------------------------- */

static void *
keep_many(void *letters)
{
	for (int i = 0; i < 20; i++) {
		uint64_t losses = xf_letters_losses(letters);

		if (append(letters, "r", "one", 100) != XF_OK || append(letters, "r", "two", 100) != XF_OK ||
		    xf_letters_sync(letters, losses, NULL) != XF_OK)
			return letters;
	}
	return NULL;
}

static void
threads_share_it(void **state)
{
	struct xf_letters *letters = opened(*state);
	pthread_t threads[4];

	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, keep_many, letters), 0);
	for (size_t i = 0; i < 4; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(sum_count(letters), 160);
	xf_letters_close(&letters);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define FAKE(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)
	static const struct CMUnitTest tests[] = {
		TEST(all_of_it_is_kept),
		TEST(they_are_found_and_removed),
		TEST(they_go_out_and_come_again),
		TEST(a_full_store_takes_no_more_until_it_is_purged),
		TEST(an_empty_store_takes_any_letter),
		FAKE(a_lost_letter_is_told_to_everybody),
		FAKE(a_failed_append_loses_what_was_not_synced),
		TEST(a_newer_store_is_refused),
		TEST(a_damaged_store_is_refused),
		TEST(killed_processes_lose_nothing),
		FAKE(power_cuts_lose_nothing),
		TEST(threads_share_it),
	};

	xf_log_setup(XF_LOG_ERROR, false);
	real = sqlite3_vfs_find(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
