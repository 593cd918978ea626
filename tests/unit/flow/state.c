#include "flow/state.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/memory.h"
#include "broker.h"

static int
setup(void **state)
{
	*state = xf_temp_create("state");
	return 0;
}

static int
teardown(void **state)
{
	char *dir = *state;

	xf_temp_destroy(&dir);
	return 0;
}

static struct xf_state *
opened(const char *dir)
{
	struct xf_error error = {{0}};
	struct xf_state *state = xf_state_open(dir, &error);

	if (state == NULL)
		fail_msg("%s", error.text);
	return state;
}

/* Whether there is a position; the store is sound. */
static bool
loaded(struct xf_state *state, const char *migration, struct xf_position *at)
{
	struct xf_error error;
	bool found;

	if (xf_state_load(state, migration, at, &found, &error) != XF_OK)
		fail_msg("%s", error.text);
	return found;
}

static sqlite3 *
raw(const char *dir)
{
	char *file = xf_format("%s/state.db", dir);
	sqlite3 *db;

	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	free(file);
	return db;
}

static void
raw_run(const char *dir, const char *sql)
{
	sqlite3 *db = raw(dir);

	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void
position_survives(void **state)
{
	struct xf_position at = {77, XF_MIRROR_ON};
	struct xf_state *store = opened(*state);
	struct xf_error error;

	assert_false(loaded(store, "orders", &at));
	assert_int_equal(at.percent, 77); /* changes on success only */
	assert_int_equal(xf_state_commit(store, "orders", "ann", (struct xf_position){0, XF_MIRROR_OFF},
	                                 (struct xf_position){2500, XF_MIRROR_REQUIRED}, &error),
	                 XF_OK);
	assert_int_equal(xf_state_commit(store, "other", "bob", (struct xf_position){0, XF_MIRROR_OFF},
	                                 (struct xf_position){1, XF_MIRROR_ON}, &error),
	                 XF_OK);
	xf_state_close(&store);
	assert_null(store);

	store = opened(*state);
	assert_true(loaded(store, "orders", &at));
	assert_int_equal(at.percent, 2500);
	assert_int_equal(at.mirror, XF_MIRROR_REQUIRED);
	assert_true(loaded(store, "other", &at));
	assert_int_equal(at.percent, 1);
	assert_int_equal(at.mirror, XF_MIRROR_ON);
	xf_state_close(&store);
}

static void
history_has_every_step(void **state)
{
	static const char query[] = "SELECT group_concat(line, ' ') FROM (SELECT who || ':' || from_percent || from_mirror "
	                            "|| '>' || to_percent || to_mirror AS line FROM history ORDER BY id)";
	struct xf_state *store = opened(*state);
	struct xf_error error;
	sqlite3_stmt *statement;
	sqlite3 *db;

	assert_int_equal(xf_state_commit(store, "m", "ann", (struct xf_position){0, XF_MIRROR_OFF},
	                                 (struct xf_position){2500, XF_MIRROR_ON}, &error),
	                 XF_OK);
	assert_int_equal(xf_state_commit(store, "m", "bob", (struct xf_position){2500, XF_MIRROR_ON},
	                                 (struct xf_position){0, XF_MIRROR_ON}, &error),
	                 XF_OK);
	xf_state_close(&store);
	db = raw(*state);
	assert_int_equal(sqlite3_prepare_v2(db, query, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	assert_string_equal(sqlite3_column_text(statement, 0), "ann:0false>2500true bob:2500true>0true");
	sqlite3_finalize(statement);
	sqlite3_close(db);
}

static void
newer_store_is_refused(void **state)
{
	struct xf_state *store = opened(*state);
	struct xf_error error = {{0}};

	xf_state_close(&store);
	raw_run(*state, "PRAGMA user_version=9");
	assert_null(xf_state_open(*state, &error));
	assert_non_null(strstr(error.text, "state.db: was written by a newer crossfade (store version 9"));
	raw_run(*state, "PRAGMA user_version=1");
	store = opened(*state);
	xf_state_close(&store);
}

static void
foreign_file_is_refused(void **state)
{
	char *file = xf_format("%s/state.db", (char *)*state);
	FILE *stream = fopen(file, "w");
	struct xf_error error = {{0}};

	assert_non_null(stream);
	for (int i = 0; i < 200; i++)
		fputs("this is no database ", stream);
	fclose(stream);
	assert_null(xf_state_open(*state, &error));
	assert_non_null(strstr(error.text, file));
	assert_null(xf_state_open("/no/such/folder", &error));
	assert_non_null(strstr(error.text, "/no/such/folder/state.db"));
	free(file);
}

static void
damaged_position_is_refused(void **state)
{
	struct xf_position at = {0, XF_MIRROR_OFF};
	struct xf_error error;
	bool found;
	struct xf_state *store = opened(*state);

	raw_run(*state, "INSERT INTO migration VALUES ('m', 12345678, 'false', 0), ('n', 1, 'perhaps', 0)");
	assert_int_equal(xf_state_load(store, "m", &at, &found, &error), XF_FAILED);
	assert_non_null(strstr(error.text, "'m'"));
	assert_int_equal(xf_state_load(store, "n", &at, &found, &error), XF_FAILED);
	xf_state_close(&store);
}

/* What a commit cannot write it says, and the position stays what it was. */
static void
failed_commit_changes_nothing(void **state)
{
	struct xf_state *store = opened(*state);
	struct xf_position at;
	struct xf_error error = {{0}};

	assert_int_equal(xf_state_commit(store, "m", "ann", (struct xf_position){0, XF_MIRROR_OFF},
	                                 (struct xf_position){2500, XF_MIRROR_ON}, &error),
	                 XF_OK);
	raw_run(*state, "CREATE TRIGGER t BEFORE INSERT ON history BEGIN SELECT RAISE(ABORT, 'the disk is full'); END");
	assert_int_equal(xf_state_commit(store, "m", "bob", (struct xf_position){2500, XF_MIRROR_ON},
	                                 (struct xf_position){9900, XF_MIRROR_OFF}, &error),
	                 XF_FAILED);
	assert_non_null(strstr(error.text, "the disk is full"));
	assert_true(loaded(store, "m", &at));
	assert_int_equal(at.percent, 2500);
	raw_run(*state, "DROP TRIGGER t");
	assert_int_equal(xf_state_commit(store, "m", "bob", (struct xf_position){2500, XF_MIRROR_ON},
	                                 (struct xf_position){9900, XF_MIRROR_OFF}, &error),
	                 XF_OK);
	assert_true(loaded(store, "m", &at));
	assert_int_equal(at.percent, 9900);
	xf_state_close(&store);
}

/* A process that ends without closing, right after a commit returned. */
static void
commit_outlives_a_crash(void **state)
{
	struct xf_position at;
	struct xf_state *store;
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		struct xf_error error;

		store = xf_state_open(*state, &error);
		for (uint32_t i = 1; store != NULL && i <= 20; i++)
			if (xf_state_commit(store, "m", "ann", (struct xf_position){i - 1, XF_MIRROR_OFF},
			                    (struct xf_position){i, XF_MIRROR_OFF}, &error) != XF_OK)
				_exit(1);
		_exit(store == NULL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	store = opened(*state);
	assert_true(loaded(store, "m", &at));
	assert_int_equal(at.percent, 20);
	xf_state_close(&store);
}

static void *
commit_many(void *store)
{
	struct xf_position at = {0, XF_MIRROR_OFF};
	struct xf_error error;

	for (int i = 0; i < 20; i++) {
		if (xf_state_commit(store, "m", "thread", at, (struct xf_position){5000, XF_MIRROR_ON}, &error) != XF_OK)
			return store;
		loaded(store, "m", &at);
	}
	return NULL;
}

static void
threads_share_it(void **state)
{
	struct xf_state *store = opened(*state);
	pthread_t threads[3];

	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, commit_many, store), 0);
	for (size_t i = 0; i < 3; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	xf_state_close(&store);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(position_survives),
		TEST(history_has_every_step),
		TEST(newer_store_is_refused),
		TEST(foreign_file_is_refused),
		TEST(damaged_position_is_refused),
		TEST(failed_commit_changes_nothing),
		TEST(commit_outlives_a_crash),
		TEST(threads_share_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
