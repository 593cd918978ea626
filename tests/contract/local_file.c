/*
 * The embedded broker with a file: what it confirmed and what was not acknowledged is there again after the end of the
 * process, however that came.
 *
 * Processes that are to die are this program, run again with a first argument; each is killed by its own pid.
 */
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/str.h"
#include "broker.h"
#include "harness.h"
#include "wait.h"

#define SOON XF_WAIT_MS

extern char **environ;

static const char *self;
static char *folder;
static char path[300];
static char file_option[320];

static int
begin(void **state)
{
	(void)state;
	folder = xf_temp_create("local-file");
	snprintf(path, sizeof(path), "%s/inside.db", folder);
	snprintf(file_option, sizeof(file_option), "file=%s", path);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	xf_temp_destroy(&folder);
	return 0;
}

static uint64_t
report_number(struct harness *h, const char *name)
{
	char key[64];
	const char *at;

	snprintf(key, sizeof(key), "\"%s\":", name);
	at = strstr(harness_report(h), key);
	assert_non_null(at);
	return strtoull(at + strlen(key), NULL, 10);
}

static void
publish_numbers(struct harness_endpoint *sink, const char *subject, size_t first, size_t count)
{
	char text[32], id[48];
	struct xf_outgoing message = {.subject = xf_str(subject), .payload = text};

	harness_hold(sink, true);
	for (size_t i = first; i < first + count; i++) {
		message.payload_size = (uint64_t)snprintf(text, sizeof(text), "%zu", i);
		snprintf(id, sizeof(id), "%s-%zu", subject, i);
		message.id = message.dedup_id = xf_str(id);
		harness_publish(sink, &message);
	}
	harness_hold(sink, false);
}

static size_t
number_of(struct harness_endpoint *source, size_t index)
{
	const struct harness_message *m = harness_message(source, index);

	assert_non_null(m);
	return strtoull(m->in.payload, NULL, 10);
}

static void
assert_stored(struct harness_endpoint *sink, size_t count)
{
	assert_true(harness_wait_completed(sink, count, SOON));
	assert_int_equal(harness_completed_as(sink, XF_RESULT_STORED), count);
}

/* ---- Restarts --------------------------------------------------------------------------- */

static void
what_was_not_acked_is_there_after_a_restart(void **state)
{
	struct xf_header headers[] = {{{"A", 1}, {"1", 1}}, {{"a", 1}, {"", 0}}, {{"A", 1}, {"2", 1}}};
	const struct xf_outgoing rich = {
		.subject = {"x", 1}, .id = {"rich", 4}, .key = {"k", 1}, .reply = {"inbox.1", 7},
		.content_type = {"text/plain", 10}, .payload = "a\0b", .payload_size = 3, .headers = headers,
		.header_count = 3, .time_ms = 123456, .priority = 7, .ttl_ms = 100000,
	};
	struct harness *h = harness_open("local", OPTIONS(file_option));
	struct harness_endpoint *source = harness_source(h, "from", "x", OPTIONS("group=g"));
	struct harness_endpoint *sink = harness_sink(h, "to", NULL, NULL);
	const struct harness_message *m;

	(void)state;
	publish_numbers(sink, "x", 0, 1000);
	harness_publish(sink, &rich);
	assert_stored(sink, 1001);
	assert_true(harness_wait_received(source, 1001, SOON));
	for (size_t i = 0; i < 1000; i += 2)
		harness_settle(source, i, i % 4 ? XF_SETTLE_ACK : XF_SETTLE_REJECT, 0);
	assert_true(harness_wait_settled(source, SOON));
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);

	h = harness_open("local", OPTIONS(file_option));
	assert_int_equal(report_number(h, "recovered"), 501);
	source = harness_source(h, "from", "x", OPTIONS("group=g"));
	assert_true(harness_wait_received(source, 501, SOON));
	for (size_t i = 0; i < 500; i++) {
		assert_int_equal(number_of(source, i), 2 * i + 1);
		assert_true(harness_message(source, i)->in.flags & XF_MESSAGE_REDELIVERED);
	}
	m = harness_message(source, 500);
	assert_string_equal(m->in.id.data, "rich");
	assert_string_equal(m->in.key.data, "k");
	assert_string_equal(m->in.reply.data, "inbox.1");
	assert_string_equal(m->in.content_type.data, "text/plain");
	assert_int_equal(m->in.payload_size, 3);
	assert_memory_equal(m->in.payload, "a\0b", 3);
	assert_int_equal(m->in.header_count, 3);
	for (int i = 0; i < 3; i++) {
		assert_string_equal(m->in.headers[i].name.data, headers[i].name.data);
		assert_string_equal(m->in.headers[i].value.data, headers[i].value.data);
	}
	assert_int_equal(m->in.time_ms, 123456);
	assert_int_equal(m->in.priority, 7);
	assert_in_range(m->in.ttl_ms, 1, 100000);
	harness_settle_range(source, 0, 501, XF_SETTLE_ACK);
	assert_true(harness_wait_settled(source, SOON));
	harness_destroy(&source);
	harness_close(&h);

	h = harness_open("local", OPTIONS(file_option));
	assert_int_equal(report_number(h, "recovered"), 0);
	harness_close(&h);
}

static void
groups_are_remembered_and_forgotten(void **state)
{
	struct harness *h = harness_open("local", OPTIONS(file_option));
	struct harness_endpoint *a = harness_source(h, "a", "x.>", OPTIONS("group=first"));
	struct harness_endpoint *b = harness_source(h, "b", "x.y", OPTIONS("group=second"));
	struct harness_endpoint *unnamed = harness_source(h, "c", "x.y", NULL), *sink;

	(void)state;
	harness_destroy(&a);
	harness_destroy(&b);
	harness_destroy(&unnamed);
	harness_close(&h);

	/* published while nobody is there */
	h = harness_open("local", OPTIONS(file_option));
	assert_int_equal(report_number(h, "subscription_count"), 2);
	sink = harness_sink(h, "to", NULL, NULL);
	publish_numbers(sink, "x.y", 0, 3);
	assert_stored(sink, 3);
	assert_int_equal(report_number(h, "messages"), 6);
	b = harness_source(h, "b", "x.y", OPTIONS("group=second"));
	assert_true(harness_wait_received(b, 3, SOON));
	harness_settle_range(b, 0, 2, XF_SETTLE_ACK); /* shared with the other group */
	assert_true(harness_wait_settled(b, SOON));
	harness_destroy(&b);
	harness_destroy(&sink);
	harness_close(&h);

	h = harness_open("local", OPTIONS(file_option));
	assert_int_equal(report_number(h, "recovered"), 3);
	assert_int_equal(report_number(h, "messages"), 4);
	b = harness_source(h, "b", "x.y", OPTIONS("group=second"));
	assert_true(harness_wait_received(b, 1, SOON));
	assert_int_equal(number_of(b, 0), 2);
	harness_settle(b, 0, XF_SETTLE_ACK, 0);
	assert_true(harness_wait_settled(b, SOON));
	harness_destroy(&b);
	harness_close(&h);

	h = harness_open("local", OPTIONS(file_option, "forget=first", "forget=never-was"));
	assert_int_equal(report_number(h, "subscription_count"), 1);
	assert_int_equal(report_number(h, "messages"), 0);
	harness_close(&h);
	h = harness_open("local", OPTIONS(file_option));
	assert_int_equal(report_number(h, "subscription_count"), 1);
	assert_int_equal(report_number(h, "recovered"), 0);
	harness_close(&h);
}

static void
duplicates_and_ids_are_known_across_restarts(void **state)
{
	struct harness *h = harness_open("local", OPTIONS(file_option, "dedup_window=100"));
	struct harness_endpoint *source = harness_source(h, "from", "x", OPTIONS("group=g"));
	struct harness_endpoint *sink = harness_sink(h, "to", NULL, NULL);
	struct xf_outgoing bare = {.subject = {"x", 1}};
	char id[64];

	(void)state;
	publish_numbers(sink, "x", 0, 150);
	harness_publish(sink, &bare);
	assert_stored(sink, 151);
	assert_true(harness_wait_received(source, 151, SOON));
	snprintf(id, sizeof(id), "%s", harness_message(source, 150)->in.id.data);
	assert_true(strlen(id) > 0);
	harness_settle_range(source, 0, 150, XF_SETTLE_ACK);
	assert_true(harness_wait_settled(source, SOON));
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);

	h = harness_open("local", OPTIONS(file_option, "dedup_window=100"));
	source = harness_source(h, "from", "x", OPTIONS("group=g"));
	assert_true(harness_wait_received(source, 1, SOON));
	assert_string_equal(harness_message(source, 0)->in.id.data, id);
	sink = harness_sink(h, "to", NULL, NULL);
	publish_numbers(sink, "x", 100, 51);
	harness_publish(sink, &bare);
	assert_stored(sink, 52);
	for (size_t i = 0; i < 50; i++)
		assert_int_equal(harness_result(sink, i).flags, XF_RESULT_DUPLICATE);
	assert_int_equal(harness_result(sink, 50).flags, 0);
	assert_true(harness_wait_received(source, 3, SOON));
	assert_int_equal(number_of(source, 1), 150);
	assert_string_not_equal(harness_message(source, 2)->in.id.data, id);
	/* the window moves on, and what is past goes from the file */
	publish_numbers(sink, "x", 1000, 1000);
	assert_stored(sink, 1052);
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);
}

static void
time_passes_while_nobody_runs(void **state)
{
	struct harness *h = harness_open("local", OPTIONS(file_option, "max_age=1h"));
	struct harness_endpoint *source = harness_source(h, "from", "x", OPTIONS("group=g"));
	struct harness_endpoint *sink = harness_sink(h, "to", NULL, NULL);
	struct xf_outgoing message = {.subject = {"x", 1}, .payload = "1", .payload_size = 1, .ttl_ms = 60000};

	(void)state;
	harness_destroy(&source);
	harness_publish(sink, &message);
	publish_numbers(sink, "x", 2, 1);
	assert_stored(sink, 2);
	harness_destroy(&sink);
	harness_close(&h);
	harness_clock_advance(61000);

	h = harness_open("local", OPTIONS(file_option, "max_age=1h"));
	source = harness_source(h, "from", "x", OPTIONS("group=g"));
	assert_true(harness_wait_received(source, 1, SOON));
	assert_int_equal(number_of(source, 0), 2);
	assert_int_equal(report_number(h, "expired"), 1);
	harness_destroy(&source);
	harness_close(&h);
	harness_clock_advance(3600000);

	h = harness_open("local", OPTIONS(file_option, "max_age=1h"));
	source = harness_source(h, "from", "x", OPTIONS("group=g"));
	sink = harness_sink(h, "to", NULL, NULL);
	publish_numbers(sink, "x", 3, 1);
	assert_true(harness_wait_received(source, 1, SOON));
	assert_int_equal(number_of(source, 0), 3);
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);
}

/* ---- Sudden death ------------------------------------------------------------------------------ */

/* The child: publishes "x.1" with numbers from FIRST on, a batch after the other; acks what group `g` gets; and tells each
 * number that was confirmed as "+N", each whose ack is about to be handed over as "-N". */
static int
child_run(const char *option, size_t first)
{
	struct harness *h = harness_open("local", OPTIONS(option));
	struct harness_endpoint *source = harness_source(h, "from", "x.*", OPTIONS("group=g"));
	struct harness_endpoint *sink = harness_sink(h, "to", NULL, NULL);
	size_t confirmed = 0, acked = 0, received;

	for (;;) {
		publish_numbers(sink, "x.1", first + confirmed, 50);
		if (!harness_wait_completed(sink, confirmed + 50, SOON))
			return 1;
		for (; confirmed < harness_completed(sink); confirmed++)
			printf("+%zu\n", first + confirmed);
		/* A third is never acked. The others are told before: who is killed in between has acked what nobody heard of. */
		received = harness_received(source);
		for (size_t i = acked; i + 100 < received; i++)
			if (number_of(source, i) % 3 != 0)
				printf("-%zu\n", number_of(source, i));
		fflush(stdout);
		for (; acked + 100 < received; acked++)
			if (number_of(source, acked) % 3 != 0)
				harness_settle(source, acked, XF_SETTLE_ACK, 0);
	}
}

#define NUMBERS_MAX 100000

struct numbers {
	bool confirmed[NUMBERS_MAX];
	bool acked[NUMBERS_MAX]; /* handed over: it may come again, or not */
	size_t count;            /* one more than the highest that was confirmed */
};

/* Runs the child for a while after its first word, kills it, and reads what it said. */
static void
child_kill(struct numbers *n, size_t first, unsigned for_ms)
{
	char text[32], from[32], line[64];
	char *argv[] = {(char *)(uintptr_t)self, (char *)(uintptr_t) "child", file_option, from, NULL};
	posix_spawn_file_actions_t actions;
	int pipes[2];
	FILE *out;
	pid_t pid;

	snprintf(from, sizeof(from), "%zu", first);
	assert_int_equal(pipe(pipes), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO);
	posix_spawn_file_actions_addclose(&actions, pipes[0]);
	assert_int_equal(posix_spawn(&pid, self, &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(pipes[1]);
	out = fdopen(pipes[0], "r");
	assert_non_null(fgets(line, sizeof(line), out));
	harness_sleep_ms(for_ms);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	do {
		size_t number = strtoull(line + 1, NULL, 10);

		if (strchr(line, '\n') == NULL)
			break; /* cut off */
		assert_true(number < NUMBERS_MAX);
		snprintf(text, sizeof(text), "%c%zu\n", line[0], number);
		assert_string_equal(line, text);
		n->confirmed[number] |= line[0] == '+';
		n->acked[number] |= line[0] == '-';
		n->count = number + 1 > n->count ? number + 1 : n->count;
	} while (fgets(line, sizeof(line), out) != NULL);
	fclose(out);
}

static void
a_killed_process_loses_nothing(void **state)
{
	struct numbers *n = calloc(1, sizeof(*n));
	struct harness *h;
	struct harness_endpoint *source;
	size_t before = 0, confirmed = 0, came = 0;
	bool *seen = calloc(NUMBERS_MAX, sizeof(*seen));

	(void)state;
	assert_non_null(n);
	assert_non_null(seen);
	for (unsigned i = 0; i < 5; i++)
		child_kill(n, n->count + 100 * i, 5 + 17 * i); /* not all that was under way was told */

	h = harness_open("local", OPTIONS(file_option));
	source = harness_source_create(h, "from", "x.*", OPTIONS("group=g"), NULL);
	harness_window(source, NUMBERS_MAX, 1 << 30);
	harness_start(source);
	assert_true(harness_wait_received(source, report_number(h, "recovered"), SOON));
	for (size_t i = 0; i < harness_received(source); i++) {
		size_t number = number_of(source, i);

		assert_true(number < NUMBERS_MAX);
		assert_false(seen[number]);
		assert_true(i == 0 || number > before); /* in the order of acceptance */
		seen[number] = true;
		before = number;
		came++;
	}
	for (size_t i = 0; i < NUMBERS_MAX; i++) {
		confirmed += n->confirmed[i];
		if (n->confirmed[i] && !n->acked[i] && !seen[i])
			fail_msg("%zu was confirmed, never acked, and is not there", i);
	}
	print_message("%zu confirmed, %zu there after five kills\n", confirmed, came);
	assert_true(confirmed > 0 && came > 0);
	harness_destroy(&source);
	harness_close(&h);
	free(n);
	free(seen);
}

/* ---- Trouble with the file --------------------------------------------------------------------- */

static void
one_file_is_for_one_broker(void **state)
{
	struct harness *h = harness_open("local", OPTIONS(file_option));
	struct xf_error error = {""};

	(void)state;
	assert_null(harness_try_open("local", OPTIONS(file_option), &error));
	assert_non_null(strstr(error.text, path));
	assert_non_null(strstr(error.text, "another transport or server has it open"));
	harness_close(&h);
	assert_null(harness_try_open("local", OPTIONS("file=/nowhere/at/all/x.db"), &error));
	assert_non_null(strstr(error.text, "its folder must exist"));
}

static void
foreign_files_are_refused(void **state)
{
	FILE *file = fopen(path, "w");
	struct xf_error error = {""};
	sqlite3 *db;

	(void)state;
	assert_non_null(file);
	for (int i = 0; i < 1000; i++)
		fputs("this is not a database at all\n", file);
	fclose(file);
	assert_null(harness_try_open("local", OPTIONS(file_option), &error));
	assert_non_null(strstr(error.text, "move it away"));
	unlink(path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=99", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_null(harness_try_open("local", OPTIONS(file_option), &error));
	assert_non_null(strstr(error.text, "another version of crossfade"));
}

static void
sql(const char *text)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", text, sqlite3_errmsg(db));
	sqlite3_close(db);
}

static void
damage_is_found_and_the_rest_delivered(void **state)
{
	struct harness *h = harness_open("local", OPTIONS(file_option));
	struct harness_endpoint *source = harness_source(h, "from", "x", OPTIONS("group=g"));
	struct harness_endpoint *sink = harness_sink(h, "to", NULL, NULL);

	(void)state;
	publish_numbers(sink, "x", 0, 10);
	assert_stored(sink, 10);
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);
	sql("UPDATE message SET body = substr(body, 1, 40) || x'ff' || substr(body, 42) WHERE sequence % 10 = 3");
	sql("UPDATE message SET body = substr(body, 1, length(body) - 1) WHERE sequence % 10 = 5");

	h = harness_open("local", OPTIONS(file_option));
	assert_int_equal(report_number(h, "damaged"), 2);
	assert_int_equal(report_number(h, "recovered"), 8);
	source = harness_source(h, "from", "x", OPTIONS("group=g"));
	assert_true(harness_wait_received(source, 8, SOON));
	harness_destroy(&source);
	harness_close(&h);
}

static void
limit_files(rlim_t bytes)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A file that cannot grow: what is not on disk is not confirmed, the sink is BLOCKED with the reason, and all goes on when
 * there is room again. */
static void
a_file_that_cannot_grow_confirms_nothing(void **state)
{
	enum { SIZE = 100000, MOST = 100 };
	struct harness *h = harness_open("local", OPTIONS(file_option));
	struct harness_endpoint *source = harness_source_create(h, "from", "x", OPTIONS("group=g"), NULL);
	struct harness_endpoint *sink = harness_sink(h, "to", NULL, NULL);
	char *payload = calloc(1, SIZE), id[16];
	struct xf_outgoing message = {.subject = {"x", 1}, .payload = payload, .payload_size = SIZE};
	size_t published = 0, stored;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	limit_files(2 << 20);
	for (; harness_state(sink) != XF_STATE_BLOCKED && published < MOST; published++) {
		snprintf(id, sizeof(id), "%zu", published);
		message.id = message.dedup_id = xf_str(id);
		harness_publish(sink, &message);
		harness_sleep_ms(2);
	}
	assert_true(harness_wait_state(sink, XF_STATE_BLOCKED, SOON));
	assert_non_null(strstr(harness_state_reason(sink), path));
	assert_non_null(strstr(harness_state_reason(sink), "cannot be written"));
	stored = harness_completed_as(sink, XF_RESULT_STORED);
	assert_true(stored > 0 && stored < published);
	limit_files(RLIM_INFINITY);
	assert_true(harness_wait_state_count(sink, XF_STATE_UP, 2, SOON));
	assert_true(harness_wait_completed(sink, published, SOON));
	stored = harness_completed_as(sink, XF_RESULT_STORED);
	for (size_t i = 0; i < published; i++)
		if (harness_result(sink, i).code != XF_RESULT_STORED)
			harness_republish(sink, i); /* with its id: it is no duplicate, since it was not stored */
	assert_true(harness_wait_completed(sink, harness_published(sink), SOON));
	assert_int_equal(harness_completed_as(sink, XF_RESULT_STORED), stored + harness_published(sink) - published);
	for (size_t i = published; i < harness_published(sink); i++)
		assert_int_equal(harness_result(sink, i).flags, 0);
	assert_int_equal(report_number(h, "messages"), published);
	harness_start(source);
	assert_true(harness_wait_received(source, published, SOON));
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);
	free(payload);
}

/* The first of two with one id is not on disk; so the second is no duplicate of anything that is. */
static void
a_duplicate_of_what_is_not_stored_is_not_either(void **state)
{
	struct harness *h = harness_open("local", OPTIONS(file_option));
	struct harness_endpoint *source = harness_source_create(h, "from", "x", OPTIONS("group=g"), NULL);
	struct harness_endpoint *sink = harness_sink(h, "to", NULL, NULL);
	struct xf_outgoing message = {.subject = {"x", 1}, .id = {"one", 3}, .dedup_id = {"one", 3}, .payload = "x", .payload_size = 1};

	(void)state;
	assert_true(harness_wait_state(sink, XF_STATE_UP, SOON));
	publish_numbers(sink, "x", 0, 1);
	assert_stored(sink, 1);
	signal(SIGXFSZ, SIG_IGN);
	limit_files(1);
	harness_hold(sink, true);
	harness_publish(sink, &message);
	harness_publish(sink, &message);
	harness_hold(sink, false);
	assert_true(harness_wait_completed(sink, 3, SOON));
	limit_files(RLIM_INFINITY);
	assert_int_equal(harness_completed_as(sink, XF_RESULT_STORED), 1);
	harness_republish(sink, 1);
	harness_republish(sink, 2);
	assert_true(harness_wait_completed(sink, 5, SOON));
	assert_int_equal(harness_completed_as(sink, XF_RESULT_STORED), 3);
	assert_int_equal(harness_result(sink, 3).flags, 0);
	assert_int_equal(harness_result(sink, 4).flags, XF_RESULT_DUPLICATE);
	assert_int_equal(report_number(h, "messages"), 2);
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_not_acked_is_there_after_a_restart, begin, end),
		cmocka_unit_test_setup_teardown(groups_are_remembered_and_forgotten, begin, end),
		cmocka_unit_test_setup_teardown(duplicates_and_ids_are_known_across_restarts, begin, end),
		cmocka_unit_test_setup_teardown(time_passes_while_nobody_runs, begin, end),
		cmocka_unit_test_setup_teardown(a_killed_process_loses_nothing, begin, end),
		cmocka_unit_test_setup_teardown(one_file_is_for_one_broker, begin, end),
		cmocka_unit_test_setup_teardown(foreign_files_are_refused, begin, end),
		cmocka_unit_test_setup_teardown(damage_is_found_and_the_rest_delivered, begin, end),
		cmocka_unit_test_setup_teardown(a_file_that_cannot_grow_confirms_nothing, begin, end),
		cmocka_unit_test_setup_teardown(a_duplicate_of_what_is_not_stored_is_not_either, begin, end),
	};

	self = argv[0];
	if (argc == 4 && strcmp(argv[1], "child") == 0)
		return child_run(argv[2], strtoull(argv[3], NULL, 10));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
