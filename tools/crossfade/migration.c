/*
 * Steering. `set` asks the server twice: first what would move, which it prints, then for the change
 * itself; what is shown is always what the server answered, never what was asked for.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "args.h"
#include "base/clock.h"
#include "base/str.h"
#include "client.h"
#include "conf/conf.h"
#include "output.h"
#include "tool.h"

#define ONE "/api/v1/migrations/%s"

enum {
	BUCKETS = 10000,
	POLL_US = 200 * 1000,
	STUCK_MS = 2000, /* how long --wait lets buckets be stuck before it gives up: a stall may end by
		            itself */
};

static const cJSON *
side(const cJSON *migration, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(migration, "sides"), name);
}

static uint64_t
buckets(const cJSON *migration, const char *name)
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
		const char *old = json_text(side(migration, "old"), "state"),
			   *new = json_text(side(migration, "new"), "state");

		table_cell(&table, PLAIN, "%s", json_text(migration, "name"));
		table_cell(&table, PLAIN, "%s", json_text(migration, "stage"));
		table_cell(&table, PLAIN, "%.6g %%", json_number(migration, "percent"));
		table_cell(&table, PLAIN, "%s", json_mirror(migration));
		table_number(&table, buckets(migration, "moving"));
		table_cell(&table, buckets(migration, "stuck") ? RED : PLAIN, "%" PRIu64,
			   buckets(migration, "stuck"));
		table_number(&table, json_count(migration, "crossed"));
		table_cell(&table, state_colour(old), "%s %s", json_text(side(migration, "old"), "transport"),
			   old);
		table_cell(&table, state_colour(new), "%s %s", json_text(side(migration, "new"), "transport"),
			   new);
	}
	table_print(&table);
}

static int
list_run(int argc, char **argv)
{
	struct where where = {0};
	bool json = false;
	const struct arg args[] = {{"json", 0, NULL, "print the server's answer", &json, NULL},
		                   ARGS_WHERE(where)};
	const struct usage usage = {
		.line = "migration list [--json] [-c FILE | --socket PATH]",
		.about = "The migrations of the running server.",
		.examples = "  crossfade migration list\n",
		.args = args,
		.arg_count = sizeof args / sizeof args[0],
	};
	struct client *client;
	cJSON *root;
	int status;

	if (!args_parse(&usage, argc, argv, NULL, &status))
		return status;
	client = client_open(&where, &status);
	if (client == NULL)
		return status;
	root = client_ask(client, "GET", "/api/v1/migrations", NULL, NULL, &status);
	if (root != NULL && json)
		json_print(root);
	else if (root != NULL)
		list_print(root);
	cJSON_Delete(root);
	client_close(&client);
	return status;
}

/* ---- show ----------------------------------------------------------------------------------------- */

static void
sides_print(const cJSON *migration)
{
	static const char *const titles[] = {"SIDE",       "TRANSPORT",    "STATE",    ">CONFIRMED",
		                             ">IN FLIGHT", ">COPIES",      ">DROPPED", ">REFUSED",
		                             ">RETRIED",   ">NO RECEIVER", ">OLDEST",  ">P99"};
	static const char *const names[] = {"old", "new"};
	struct table table;

	table_begin(&table, titles, sizeof titles / sizeof titles[0]);
	for (size_t i = 0; i < 2; i++) {
		const cJSON *leg = side(migration, names[i]);
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
	}
	table_print(&table);
	for (size_t i = 0; i < 2; i++) {
		const char *reason = json_text(side(migration, names[i]), "reason");

		if (reason[0] != '\0')
			printf("%s%s: %s%s\n", colour_on(RED), names[i], reason, colour_off());
	}
}

/* Which side holds the messages that stuck buckets wait for is not known here; the states tell. */
static void
stuck_explain(FILE *to, const cJSON *migration, const char *where)
{
	static const char *const names[] = {"old", "new"};
	const char *name = json_text(migration, "name");

	fprintf(to,
		"%" PRIu64 " of %d buckets are stuck: their first side has not confirmed everything within "
		"handover_timeout.\n",
		buckets(migration, "stuck"), BUCKETS);
	for (size_t i = 0; i < 2; i++) {
		const cJSON *leg = side(migration, names[i]);

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
	       " messages crossed\n\n",
	       BUCKETS, buckets(migration, "new"), buckets(migration, "moving"), buckets(migration, "stuck"),
	       json_count(migration, "crossed"));
	sides_print(migration);
	if (buckets(migration, "stuck") > 0) {
		printf("\n");
		stuck_explain(stdout, migration, where);
	}
}

static uint64_t
grown(const cJSON *now, const cJSON *before, const char *name, const char *key)
{
	uint64_t a = json_count(side(now, name), key), b = json_count(side(before, name), key);

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
	       buckets(now, "moving"), buckets(now, "stuck") ? colour_on(RED) : "", buckets(now, "stuck"),
	       buckets(now, "stuck") ? colour_off() : "");
}

static void
json_line(const cJSON *root)
{
	char *text = cJSON_PrintUnformatted(root);

	puts(text != NULL ? text : "{}");
	cJSON_free(text);
}

/* LINES is 0 for as long as somebody reads. */
static int
watch(struct client *client, const char *name, bool json, unsigned long lines)
{
	cJSON *before = NULL;
	uint64_t before_ns = 0;
	int status = EXIT_DONE;

	for (unsigned long line = 0;; line++) {
		cJSON *now = client_ask(client, "GET", ONE, name, NULL, &status);
		uint64_t now_ns = xf_now_ns();

		if (now == NULL)
			break;
		if (before != NULL && json)
			json_line(now);
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
	unsigned long lines = 0;
	struct client *client;
	cJSON *root;
	char *end;
	int status;

	if (!args_parse(&usage, argc, argv, &name, &status))
		return status;
	if (count != NULL) {
		lines = strtoul(count, &end, 10);
		if (count[0] < '1' || count[0] > '9' || *end != '\0' || !again)
			return complain(EXIT_USAGE, "--count takes a number from 1, and goes with --watch");
	}
	client = client_open(&where, &status);
	if (client == NULL)
		return status;
	if (again) {
		status = watch(client, name, json, lines);
	} else {
		root = client_ask(client, "GET", ONE, name, NULL, &status);
		if (root != NULL && json)
			json_print(root);
		else if (root != NULL)
			migration_print(root, client_where(client));
		cJSON_Delete(root);
	}
	client_close(&client);
	return status;
}

/* ---- set, rollback ---------------------------------------------------------------------------------- */

/* What `set` and `rollback` differ in is how they ask. */
struct request {
	const char *method;
	const char *path;
	cJSON *body;
};

static void
position_format(const cJSON *position, char *out, size_t size)
{
	snprintf(out, size, "%.6g %% new, mirror %s (%s)", json_number(position, "percent"),
		 json_mirror(position), json_text(position, "stage"));
}

static void
plan_print(const cJSON *answer)
{
	const cJSON *change = cJSON_GetObjectItemCaseSensitive(answer, "change");
	const cJSON *from = cJSON_GetObjectItemCaseSensitive(change, "from");
	const cJSON *to = cJSON_GetObjectItemCaseSensitive(change, "to");
	bool rises = json_number(to, "percent") > json_number(from, "percent");
	const char *left = rises ? "old" : "new", *entered = rises ? "new" : "old";
	uint64_t lanes = json_count(change, "lanes_moving");
	char from_text[96], to_text[96];

	position_format(from, from_text, sizeof from_text);
	position_format(to, to_text, sizeof to_text);
	printf("%s: %s -> %s\n", json_text(answer, "name"), from_text, to_text);
	if (lanes == 0)
		printf("  no lane changes sides\n");
	else
		printf("  %" PRIu64
		       " of %d lanes (%.6g %% of keys) move from %s (%s) to %s (%s); in use so far: %" PRIu64
		       "\n",
		       lanes, BUCKETS, (double)lanes * 100 / BUCKETS, left,
		       json_text(side(answer, left), "transport"), entered,
		       json_text(side(answer, entered), "transport"), json_count(change, "lanes_in_use"));
}

static cJSON *
request_send(struct client *client, const char *name, const struct request *request, bool dry_run,
	     int *status)
{
	cJSON *body = cJSON_Duplicate(request->body, true), *answer;
	char *text;

	if (dry_run)
		cJSON_AddTrueToObject(body, "dry_run");
	text = cJSON_PrintUnformatted(body);
	answer = client_ask(client, request->method, request->path, name, text, status);
	cJSON_free(text);
	cJSON_Delete(body);
	return answer;
}

static void
progress(const cJSON *migration, bool quiet)
{
	if (!quiet && output_is_terminal())
		printf("\r  moving %" PRIu64 ", stuck %" PRIu64 "\033[K", buckets(migration, "moving"),
		       buckets(migration, "stuck"));
	fflush(stdout);
}

/* Until nothing moves. Takes ANSWER, returns the last one; *STATUS is 1 where buckets stay stuck. */
static cJSON *
wait_still(struct client *client, const char *name, cJSON *answer, bool quiet, int *status)
{
	uint64_t stuck_since = 0, begun = xf_now_ms();

	while (answer != NULL && buckets(answer, "moving") + buckets(answer, "stuck") > 0) {
		progress(answer, quiet);
		if (buckets(answer, "stuck") == 0)
			stuck_since = 0;
		else if (stuck_since == 0)
			stuck_since = xf_now_ms();
		else if (xf_now_ms() - stuck_since >= STUCK_MS)
			break;
		usleep(POLL_US);
		cJSON_Delete(answer);
		answer = client_ask(client, "GET", ONE, name, NULL, status);
	}
	if (!quiet && output_is_terminal())
		printf("\r\033[K");
	if (answer == NULL)
		return NULL;
	if (buckets(answer, "stuck") > 0) {
		fflush(stdout);
		stuck_explain(stderr, answer, client_where(client));
		*status = EXIT_FAILED;
	} else if (!quiet) {
		printf("  nothing moves any more (after %.1f s)\n", (double)(xf_now_ms() - begun) / 1000);
	}
	return answer;
}

static void
done_print(const cJSON *answer, bool waits, const char *where)
{
	uint64_t on_their_way = buckets(answer, "moving") + buckets(answer, "stuck");

	printf("%sdone%s: %s is at %.6g %% new, mirror %s (%s)\n", colour_on(GREEN), colour_off(),
	       json_text(answer, "name"), json_number(answer, "percent"), json_mirror(answer),
	       json_text(answer, "stage"));
	if (on_their_way > 0 && !waits)
		printf("  %" PRIu64 " buckets are still on their way; crossfade migration show %s --watch%s\n",
		       on_their_way, json_text(answer, "name"), where);
}

struct steering {
	struct where where;
	bool json, wait, dry_run;
};

static int
change_run(const char *name, const struct request *request, const struct steering *how)
{
	int status = EXIT_DONE;
	struct client *client = client_open(&how->where, &status);
	cJSON *answer;

	if (client == NULL)
		return status;
	answer = request_send(client, name, request, true, &status);
	if (answer != NULL && !how->json)
		plan_print(answer);
	if (answer != NULL && !how->dry_run) {
		cJSON_Delete(answer);
		fflush(stdout);
		answer = request_send(client, name, request, false, &status);
		if (answer != NULL && !how->json)
			done_print(answer, how->wait, client_where(client));
		if (how->wait)
			answer = wait_still(client, name, answer, how->json, &status);
	} else if (answer != NULL && !how->json) {
		printf("  nothing was changed (--dry-run)\n");
	}
	if (answer != NULL && how->json)
		json_print(answer);
	cJSON_Delete(answer);
	client_close(&client);
	return status;
}

static bool
mirror_add(cJSON *body, const char *word)
{
	if (strcmp(word, "required") == 0)
		cJSON_AddStringToObject(body, "mirror", word);
	else if (strcmp(word, "on") == 0 || strcmp(word, "true") == 0)
		cJSON_AddTrueToObject(body, "mirror");
	else if (strcmp(word, "off") == 0 || strcmp(word, "false") == 0)
		cJSON_AddFalseToObject(body, "mirror");
	else
		return false;
	return true;
}

/* What the options ask for as a body, or NULL having said what is wrong. */
static cJSON *
set_body(const char *percent, const char *mirror, const char *stage, bool force)
{
	static const char *const stages[] = {"off", "dualwrite", "live", "rampdown", "complete"};
	cJSON *body = cJSON_CreateObject();
	struct xf_error error = {{0}};
	uint32_t hundredths;

	if (percent == NULL && mirror == NULL && stage == NULL) {
		complain(EXIT_USAGE, "nothing to set; give --percent, --mirror or --stage");
		goto wrong;
	}
	if (percent != NULL && xf_percent_parse(xf_str(percent), &hundredths, &error) != XF_OK) {
		complain(EXIT_USAGE, "--percent: %s", error.text);
		goto wrong;
	}
	if (mirror != NULL && !mirror_add(body, mirror)) {
		complain(EXIT_USAGE, "--mirror is on, off or required, not '%s'", mirror);
		goto wrong;
	}
	if (stage != NULL) {
		const char *nearest = xf_str_nearest(xf_str(stage), stages, sizeof stages / sizeof stages[0]);

		if (nearest == NULL || strcmp(nearest, stage) != 0) {
			complain(EXIT_USAGE,
				 "--stage is off, dualwrite, live, rampdown or complete, not '%s'%s%s%s",
				 stage, nearest ? "; did you mean '" : "", nearest ? nearest : "",
				 nearest ? "'?" : "");
			goto wrong;
		}
		cJSON_AddStringToObject(body, "stage", stage);
	}
	if (percent != NULL)
		cJSON_AddStringToObject(body, "percent", percent);
	if (force)
		cJSON_AddTrueToObject(body, "force");
	return body;
wrong:
	cJSON_Delete(body);
	return NULL;
}

static int
set_run(int argc, char **argv)
{
	const char *percent = NULL, *mirror = NULL, *stage = NULL, *name;
	struct steering how = {0};
	bool force = false;
	const struct arg args[] = {
		{"percent", 'p', "P", "share of keys that the new side gets: 25, 25%, 0.01%", NULL, &percent},
		{"mirror", 'm', "WORD", "on, off or required: a copy to the other side too", NULL, &mirror},
		{"stage", 's', "WORD", "off, dualwrite, live, rampdown, complete", NULL, &stage},
		{"wait", 'w', NULL, "return once nothing moves any more", &how.wait, NULL},
		{"force", 'f', NULL, "allow a side that is down; do not wait for the side that is left",
		 &force, NULL},
		{"dry-run", 0, NULL, "only say what would move", &how.dry_run, NULL},
		{"json", 0, NULL, "print the server's last answer only", &how.json, NULL},
		ARGS_WHERE(how.where),
	};
	const struct usage usage = {
		.line = "migration set NAME [--percent P] [--mirror on|off|required] [--stage S] [--wait] "
		        "[--force] "
			"[--dry-run] [--json]",
		.about = "Turns the knobs of a migration while traffic flows. Says first what will move, "
		         "then what was\n"
			 "done. With --wait, 1 is returned where buckets stay stuck, and what to do is said.",
		.examples = "  crossfade migration set orders --stage dualwrite\n"
			    "  crossfade migration set orders --percent 25 --wait\n"
			    "  crossfade migration set orders --percent 100 --mirror required --dry-run\n",
		.args = args,
		.arg_count = sizeof args / sizeof args[0],
		.words_min = 1,
		.words_max = 1,
	};
	struct request request = {"PATCH", ONE, NULL};
	int status;

	if (!args_parse(&usage, argc, argv, &name, &status))
		return status;
	request.body = set_body(percent, mirror, stage, force);
	if (request.body == NULL)
		return EXIT_USAGE;
	status = change_run(name, &request, &how);
	cJSON_Delete(request.body);
	return status;
}

static int
rollback_run(int argc, char **argv)
{
	struct steering how = {0};
	const struct arg args[] = {
		{"wait", 'w', NULL, "return once nothing moves any more", &how.wait, NULL},
		{"dry-run", 0, NULL, "only say what would move", &how.dry_run, NULL},
		{"json", 0, NULL, "print the server's last answer only", &how.json, NULL},
		ARGS_WHERE(how.where),
	};
	const struct usage usage = {
		.line = "migration rollback NAME [--wait] [--dry-run] [--json]",
		.about = "Turns everything back to the old side at once, without needing anything from the "
		         "new one:\n"
			 "percent 0 with force; mirror stays as it is.",
		.examples = "  crossfade migration rollback orders --wait\n",
		.args = args,
		.arg_count = sizeof args / sizeof args[0],
		.words_min = 1,
		.words_max = 1,
	};
	struct request request = {"POST", ONE "/rollback", NULL};
	const char *name;
	int status;

	if (!args_parse(&usage, argc, argv, &name, &status))
		return status;
	request.body = cJSON_CreateObject();
	status = change_run(name, &request, &how);
	cJSON_Delete(request.body);
	return status;
}

int
verb_migration(int argc, char **argv)
{
	static const struct verb subverbs[] = {
		{"list", "the migrations and where they stand", list_run},
		{"show", "one of them, in full or line by line", show_run},
		{"set", "turn the knobs: percent, mirror, stage", set_run},
		{"rollback", "back to the old side, now", rollback_run},
	};

	return subverb_run("migration", "Moves traffic from an old broker to a new one, and back.", subverbs,
		           sizeof subverbs / sizeof subverbs[0], argc, argv);
}
