/* What earlier versions kept is taken over: once, whatever happens in between, and without losing the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/memory.h"
#include "broker.h"
#include "dead/letters.h"

static const char lines[] =
	"{\"time\":\"2026-01-31T12:00:00.123Z\",\"route\":\"r\",\"reason\":\"too large\",\"subject\":\"a.b\",\"id\":\"7\",\"key\":\"k\","
	"\"headers\":[{\"name\":\"tag\",\"value\":\"x\"},{\"name\":\"raw\",\"value_base64\":\"/w==\"}],\"payload\":\"caf\xc3\xa9\"}\n"
	"{\"time\":\"2026-01-31T12:00:01.000Z\",\"route\":\"s\",\"reason\":\"no\",\"subject_base64\":\"/w==\",\"id\":\"8\",\"headers\":[],"
	"\"payload_base64\":\"//4A\"}\n"
	"{\"time\":\"2026-01-31T12:0"; /* the power went */

static int
setup(void **state)
{
	*state = xf_temp_create("import");
	return 0;
}

static int
teardown(void **state)
{
	char *dir = *state;

	xf_temp_destroy(&dir);
	return 0;
}

static void
file_write(const char *dir, const char *name, const char *text)
{
	char *path = xf_format("%s/%s", dir, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	free(path);
}

static bool
file_is(const char *dir, const char *name, const char *text)
{
	char *path = xf_format("%s/%s", dir, name), found[2048] = "";
	FILE *file = fopen(path, "r");
	bool is = file != NULL && fread(found, 1, sizeof(found) - 1, file) == strlen(text) && strcmp(found, text) == 0;

	if (file != NULL)
		fclose(file);
	free(path);
	return is;
}

static void
file_rename(const char *dir, const char *from, const char *to)
{
	char *path = xf_format("%s/%s", dir, from), *other = xf_format("%s/%s", dir, to);

	assert_int_equal(rename(path, other), 0);
	free(path);
	free(other);
}

static bool
file_exists(const char *dir, const char *name)
{
	char *path = xf_format("%s/%s", dir, name);
	bool exists = access(path, F_OK) == 0;

	free(path);
	return exists;
}

static struct xf_letters *
opened(const char *dir)
{
	struct xf_error error = {{0}};
	struct xf_letters *letters = xf_letters_open(dir, 1 << 20, &error);

	if (letters == NULL)
		fail_msg("%s", error.text);
	return letters;
}

static uint64_t
count_of(const char *dir)
{
	struct xf_letters *letters = opened(dir);
	struct xf_letters_sum sum;

	xf_letters_sum(letters, &sum);
	xf_letters_close(&letters);
	return sum.count;
}

static void
first_check(void *seen, const struct xf_letter *letter)
{
	assert_true(xf_str_is(letter->route, "r") && xf_str_is(letter->reason, "too large"));
	assert_int_equal(letter->first_ms, 1769860800123);
	assert_int_equal(letter->last_ms, 1769860800123);
	assert_true(xf_str_is(letter->message.subject, "a.b") && xf_str_is(letter->message.id, "7"));
	assert_true(xf_str_is(letter->message.key, "k") && xf_str_is(letter->message.payload, "caf\xc3\xa9"));
	assert_int_equal(letter->message.header_count, 2);
	assert_true(xf_str_is(letter->message.headers[0].value, "x") && xf_str_is(letter->message.headers[1].value, "\xff"));
	++*(int *)seen;
}

static void
second_check(void *seen, const struct xf_letter *letter)
{
	assert_true(xf_str_is(letter->message.subject, "\xff"));
	assert_int_equal(letter->message.payload.len, 3);
	assert_memory_equal(letter->message.payload.data, "\xff\xfe", 3);
	++*(int *)seen;
}

static void
it_is_taken_over_once(void **state)
{
	struct xf_letters *letters;
	int seen = 0;

	file_write(*state, "rejected.ndjson", lines);
	letters = opened(*state);
	assert_int_equal(xf_letters_get(letters, 1, first_check, &seen, NULL), XF_OK);
	assert_int_equal(xf_letters_get(letters, 2, second_check, &seen, NULL), XF_OK);
	assert_int_equal(seen, 2);
	xf_letters_close(&letters);
	assert_int_equal(count_of(*state), 2);
	assert_false(file_exists(*state, "rejected.ndjson"));
	assert_true(file_is(*state, "rejected.ndjson.imported", lines));
}

/* Committed, and not renamed: as a crash between the two leaves it. */
static void
a_crash_before_the_name_imports_nothing_twice(void **state)
{
	file_write(*state, "rejected.ndjson", lines);
	assert_int_equal(count_of(*state), 2);
	file_rename(*state, "rejected.ndjson.imported", "rejected.ndjson");
	assert_int_equal(count_of(*state), 2);
	assert_false(file_exists(*state, "rejected.ndjson"));
	assert_true(file_is(*state, "rejected.ndjson.imported", lines));
}

/* An older version ran once more. */
static void
a_second_file_is_imported_beside_the_first(void **state)
{
	static const char other[] = "{\"time\":\"2026-02-01T00:00:00.000Z\",\"route\":\"r\",\"reason\":\"no\",\"id\":\"9\"}\n";

	file_write(*state, "rejected.ndjson", lines);
	assert_int_equal(count_of(*state), 2);
	file_write(*state, "rejected.ndjson", other);
	assert_int_equal(count_of(*state), 3);
	assert_true(file_is(*state, "rejected.ndjson.imported", lines));
	assert_true(file_is(*state, "rejected.ndjson.imported.2", other));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(it_is_taken_over_once),
		TEST(a_crash_before_the_name_imports_nothing_twice),
		TEST(a_second_file_is_imported_beside_the_first),
	};

	xf_log_setup(XF_LOG_ERROR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
