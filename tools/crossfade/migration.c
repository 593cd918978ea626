#include "migration.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "args.h"
#include "ask.h"
#include "base/clock.h"
#include "client.h"
#include "output.h"

const cJSON *
migration_side(const cJSON *migration, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(migration, "sides"), name);
}

uint64_t
migration_buckets(const cJSON *migration, const char *name)
{
	return json_count(cJSON_GetObjectItemCaseSensitive(migration, "buckets"), name);
}

/* ---- list ----------------------------------------------------------------------------------------- */

static void
list_print(const cJSON *root)
{
	static const char *const titles[] = {"MIGRATION", "STAGE",    ">NEW SIDE", "MIRROR", ">MOVING",
		                             ">STUCK",    ">CROSSED", "OLD",       "NEW"};
	const cJSON *migration;
	struct table table;

	table_begin(&table, titles, sizeof titles / sizeof titles[0]);
	cJSON_ArrayForEach(migration, cJSON_GetObjectItemCaseSensitive(root, "migrations")) {
		const char *old = json_text(migration_side(migration, "old"), "state"),
			   *new = json_text(migration_side(migration, "new"), "state");

		table_cell(&table, PLAIN, "%s", json_text(migration, "name"));
		table_cell(&table, PLAIN, "%s", json_text(migration, "stage"));
		table_cell(&table, PLAIN, "%.6g %%", json_number(migration, "percent"));
		table_cell(&table, PLAIN, "%s", json_mirror(migration));
		table_number(&table, migration_buckets(migration, "moving"));
		table_cell(&table, migration_buckets(migration, "stuck") ? RED : PLAIN, "%" PRIu64,
			   migration_buckets(migration, "stuck"));
		table_number(&table, json_count(migration, "crossed"));
		table_cell(&table, state_colour(old), "%s %s", json_text(migration_side(migration, "old"), "transport"),
			   old);
		table_cell(&table, state_colour(new), "%s %s", json_text(migration_side(migration, "new"), "transport"),
			   new);
	}
	table_print(&table);
}

static const struct ask list_ask = {
	.line = "migration list",
	.about = "The migrations of the running server.",
	.examples = "  crossfade migration list\n",
	.method = "GET",
	.path = "/api/v1/migrations",
	.print = list_print,
};

/* ---- show ----------------------------------------------------------------------------------------- */

static void
sides_print(const cJSON *migration)
{
	static const char *const titles[] = {"SIDE",       "TRANSPORT",    "STATE",    ">CONFIRMED",
		                             ">IN FLIGHT", ">COPIES",      ">DROPPED", ">REFUSED",
		                             ">RETRIED",   ">NO RECEIVER", ">OLDEST",  ">P99",
		                             ">DEPTH",     ">LAG",         ">CONSUMERS"};
	static const char *const names[] = {"old", "new"};
	struct table table;

	table_begin(&table, titles, sizeof titles / sizeof titles[0]);
	for (size_t i = 0; i < 2; i++) {
		const cJSON *leg = migration_side(migration, names[i]);
		const char *state = json_text(leg, "state");

		table_cell(&table, PLAIN, "%s", names[i]);
		table_cell(&table, PLAIN, "%s (%s)", json_text(leg, "transport"), json_text(leg, "plugin"));
		table_cell(&table, state_colour(state), "%s", state);
		table_number(&table, json_count(leg, "confirmed"));
		table_number(&table, json_count(leg, "in_flight"));
		table_number(&table, json_count(leg, "copies"));
		table_number(&table, json_count(leg, "dropped"));
		table_number(&table, json_count(leg, "refused"));
		table_number(&table, json_count(leg, "retried"));
		table_number(&table, json_count(leg, "no_receiver"));
		table_cell(&table, PLAIN, "%.1f s", json_number(leg, "oldest_unconfirmed_seconds"));
		table_cell(
			&table, PLAIN, "%.1f ms",
			json_number(cJSON_GetObjectItemCaseSensitive(leg, "publish_latency"), "p99_seconds") *
				1000);
		table_sight(&table, leg);
	}
	table_print(&table);
	for (size_t i = 0; i < 2; i++) {
		const char *reason = json_text(migration_side(migration, names[i]), "reason");

		if (reason[0] != '\0')
			printf("%s%s: %s%s\n", colour_on(RED), names[i], reason, colour_off());
	}
}

/* Which side holds the messages that stuck buckets wait for is not known here; the states tell. */
void
migration_stuck_explain(FILE *to, const cJSON *migration, const char *where)
{
	static const char *const names[] = {"old", "new"};
	const char *name = json_text(migration, "name");

	fprintf(to,
		"%" PRIu64 " of %d buckets are stuck: their first side has not confirmed everything within "
		"handover_timeout.\n",
		migration_buckets(migration, "stuck"), BUCKETS);
	for (size_t i = 0; i < 2; i++) {
		const cJSON *leg = migration_side(migration, names[i]);

		fprintf(to, "  %s (%s) is %s, %" PRIu64 " in flight, the oldest for %.1f s\n", names[i],
		        json_text(leg, "transport"), json_text(leg, "state"), json_count(leg, "in_flight"),
		        json_number(leg, "oldest_unconfirmed_seconds"));
	}
	fprintf(to, "  they move on by themselves once that broker answers; not to wait for it:\n"
		"    crossfade migration set %s --percent %.6g --force%s\n"
		"  or, to turn back to the old side:\n    crossfade migration rollback %s%s\n",
		name, json_number(migration, "percent"), where, name, where);
}

static void
migration_print(const cJSON *migration, const char *where)
{
	printf("%s%s%s: %s, %.6g %% new, mirror %s\n", colour_on(BOLD), json_text(migration, "name"),
	       colour_off(), json_text(migration, "stage"), json_number(migration, "percent"),
	       json_mirror(migration));
	printf("buckets of %d: %" PRIu64 " new, %" PRIu64 " moving, %" PRIu64 " stuck; %" PRIu64
	       " messages crossed, %" PRIu64 " only on new\n\n",
	       BUCKETS, migration_buckets(migration, "new"), migration_buckets(migration, "moving"), migration_buckets(migration, "stuck"),
	       json_count(migration, "crossed"), json_count(migration, "only_on_new"));
	sides_print(migration);
	if (migration_buckets(migration, "stuck") > 0) {
		printf("\n");
		migration_stuck_explain(stdout, migration, where);
	}
}

static uint64_t
grown(const cJSON *now, const cJSON *before, const char *name, const char *key)
{
	uint64_t a = json_count(migration_side(now, name), key), b = json_count(migration_side(before, name), key);

	return a > b ? a - b : 0;
}

static void
watch_line(const cJSON *now, const cJSON *before, double seconds)
{
	static const char *const names[] = {"old", "new"};
	char clock[16], total[32], old[32], new[32];
	double messages = 0;
	time_t wall = time(NULL);
	struct tm tm;

	for (size_t i = 0; i < 2; i++)
		messages += (double)grown(now, before, names[i], "accepted") -
			    (double)grown(now, before, names[i], "copies");
	localtime_r(&wall, &tm);
	strftime(clock, sizeof clock, "%H:%M:%S", &tm);
	number_format(messages > 0 ? (uint64_t)(messages / seconds + 0.5) : 0, total);
	number_format((uint64_t)((double)grown(now, before, "old", "confirmed") / seconds + 0.5), old);
	number_format((uint64_t)((double)grown(now, before, "new", "confirmed") / seconds + 0.5), new);
	printf("%s  %s %5.6g %% new  mirror %-8s  %9s/s  old %9s/s  new %9s/s  moving %5" PRIu64
	       "  %sstuck %" PRIu64 "%s\n",
	       clock, json_text(now, "name"), json_number(now, "percent"), json_mirror(now), total, old, new,
	       migration_buckets(now, "moving"), migration_buckets(now, "stuck") ? colour_on(RED) : "", migration_buckets(now, "stuck"),
	       migration_buckets(now, "stuck") ? colour_off() : "");
}

/* LINES is 0 for as long as somebody reads. */
static int
watch(struct client *client, const char *name, bool json, uint64_t lines)
{
	cJSON *before = NULL;
	uint64_t before_ns = 0;
	int status = EXIT_DONE;

	for (uint64_t line = 0;; line++) {
		cJSON *now = client_ask(client, "GET", MIGRATION_PATH, name, NULL, &status);
		uint64_t now_ns = xf_now_ns();

		if (now == NULL)
			break;
		if (before != NULL && json)
			json_print_line(now);
		else if (before != NULL)
			watch_line(now, before, (double)(now_ns - before_ns) / 1e9);
		cJSON_Delete(before);
		before = now;
		before_ns = now_ns;
		if (fflush(stdout) != 0 || (lines > 0 && line == lines))
			break;
		sleep(1);
	}
	cJSON_Delete(before);
	return status;
}

static int
show_run(int argc, char **argv)
{
	struct where where = {0};
	const char *count = NULL, *name;
	bool json = false, again = false;
	const struct arg args[] = {
		{"watch", 'w', NULL, "one line a second: share, rates, what moves", &again, NULL},
		{"count", 'n', "N", "with --watch: end after N lines", NULL, &count},
		{"json", 0, NULL, "print the server's answer, with --watch one a line", &json, NULL},
		ARGS_WHERE(where),
	};
	const struct usage usage = {
		.line = "migration show NAME [--watch [--count N]] [--json] [-c FILE | --socket PATH]",
		.about = "Where a migration stands: knobs, stage, buckets, and the counters of both sides.",
		.examples = "  crossfade migration show orders\n  crossfade migration show orders --watch "
		            "--count 10\n",
		.args = args,
		.arg_count = sizeof args / sizeof args[0],
		.words_min = 1,
		.words_max = 1,
	};
	struct client *client;
	uint64_t lines = 0;
	cJSON *root;
	int status;

	if (!args_parse(&usage, argc, argv, &name, &status))
		return status;
	if (!args_count("count", count, 1, INT64_MAX, &lines))
		return EXIT_USAGE;
	if (count != NULL && !again)
		return complain(EXIT_USAGE, "--count goes with --watch");
	client = client_open(&where, &status);
	if (client == NULL)
		return status;
	if (again) {
		status = watch(client, name, json, lines);
	} else {
		root = client_ask(client, "GET", MIGRATION_PATH, name, NULL, &status);
		if (root != NULL && json)
			json_print(root);
		else if (root != NULL)
			migration_print(root, client_where(client));
		cJSON_Delete(root);
	}
	client_close(&client);
	return status;
}

static const struct verb subverbs[] = {
	{"list", "the migrations and where they stand", .ask = &list_ask},
	{"show", "one of them, in full or line by line", .run = show_run},
	{"set", "turn the knobs: percent, mirror, stage", .run = migration_set_run},
	{"rollback", "back to the old side, now", .run = migration_rollback_run},
	{0},
};

const struct verb verb_migration = {"migration", "list, show, set, rollback: steer the way from old to new",
                                    .subverbs = subverbs};
