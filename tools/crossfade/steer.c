/*
 * Steering. `set` asks the server twice: first what would move and what to think of before, which it prints, then
 * for the change itself; what is shown is always what the server answered, never what was asked for.
 */
#include "migration.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "base/clock.h"
#include "base/str.h"
#include "client.h"
#include "conf/conf.h"
#include "output.h"

enum {
	POLL_US = 200 * 1000,
	STUCK_MS = 10000, /* how long --wait lets buckets be stuck, since a stall may end by itself */
};

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

/* "new (nats-new): 12 messages, 3 not consumed yet, 1 consumer (as of 0.8 s ago)". */
static void
sight_print(const cJSON *answer, const char *name)
{
	const cJSON *leg = migration_side(answer, name), *sight = cJSON_GetObjectItemCaseSensitive(leg, "sight");
	static const struct {
		const char *key, *words;
	} parts[] = {{"depth", "messages there"}, {"lag", "not consumed yet"}, {"consumers", "consumers"}};

	printf("  %s (%s):", name, json_text(leg, "transport"));
	if (!cJSON_IsObject(sight)) {
		printf(" what stands there, and who reads it, is not known\n");
		return;
	}
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		if (cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(sight, parts[i].key)))
			printf(" %" PRIu64 " %s,", json_count(sight, parts[i].key), parts[i].words);
	printf(" as of %.1f s ago\n", json_number(sight, "age_seconds"));
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
	const cJSON *warning;
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
		       json_text(migration_side(answer, left), "transport"), entered,
		       json_text(migration_side(answer, entered), "transport"), json_count(change, "lanes_in_use"));
	sight_print(answer, "old");
	sight_print(answer, "new");
	printf("  only on new: %" PRIu64 "; crossed: %" PRIu64 "; stuck: %" PRIu64 "\n", json_count(answer, "only_on_new"),
	       json_count(answer, "crossed"), migration_buckets(answer, "stuck"));
	cJSON_ArrayForEach(warning, cJSON_GetObjectItemCaseSensitive(change, "warnings"))
		printf("  %swarning: %s%s\n", colour_on(YELLOW), warning->valuestring, colour_off());
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
		printf("\r  moving %" PRIu64 ", stuck %" PRIu64 "\033[K", migration_buckets(migration, "moving"),
		       migration_buckets(migration, "stuck"));
	fflush(stdout);
}

struct steering {
	struct where where;
	bool json, wait, dry_run;
	const char *timeout;
	uint64_t stuck_ms;
};

/* Until nothing moves. Takes ANSWER, returns the last one; *STATUS is 1 where buckets stay stuck. */
static cJSON *
wait_still(struct client *client, const char *name, cJSON *answer, const struct steering *how, int *status)
{
	uint64_t stuck_since = 0, begun = xf_now_ms();

	while (answer != NULL && migration_buckets(answer, "moving") + migration_buckets(answer, "stuck") > 0) {
		progress(answer, how->json);
		if (migration_buckets(answer, "stuck") == 0)
			stuck_since = 0;
		else if (stuck_since == 0)
			stuck_since = xf_now_ms();
		else if (xf_now_ms() - stuck_since >= how->stuck_ms)
			break;
		usleep(POLL_US);
		cJSON_Delete(answer);
		answer = client_ask(client, "GET", MIGRATION_PATH, name, NULL, status);
	}
	if (!how->json && output_is_terminal())
		printf("\r\033[K");
	if (answer == NULL)
		return NULL;
	if (migration_buckets(answer, "stuck") > 0) {
		fflush(stdout);
		migration_stuck_explain(stderr, answer, client_where(client));
		*status = EXIT_FAILED;
	} else if (!how->json) {
		printf("  nothing moves any more (after %.1f s)\n", (double)(xf_now_ms() - begun) / 1000);
	}
	return answer;
}

static void
done_print(const cJSON *answer, bool waits, const char *where)
{
	uint64_t on_their_way = migration_buckets(answer, "moving") + migration_buckets(answer, "stuck");

	printf("%sdone%s: %s is at %.6g %% new, mirror %s (%s)\n", colour_on(GREEN), colour_off(),
	       json_text(answer, "name"), json_number(answer, "percent"), json_mirror(answer),
	       json_text(answer, "stage"));
	if (on_their_way > 0 && !waits)
		printf("  %" PRIu64 " buckets are still on their way; crossfade migration show %s --watch%s\n",
		       on_their_way, json_text(answer, "name"), where);
}

static int
change_run(const char *name, const struct request *request, struct steering *how)
{
	int status = EXIT_DONE;
	struct client *client;
	cJSON *answer;

	how->stuck_ms = STUCK_MS;
	if (!args_duration("timeout", how->timeout, &how->stuck_ms))
		return EXIT_USAGE;
	client = client_open(&how->where, &status);
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
			answer = wait_still(client, name, answer, how, &status);
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

int
migration_set_run(int argc, char **argv)
{
	const char *percent = NULL, *mirror = NULL, *stage = NULL, *name;
	struct steering how = {0};
	bool force = false;
	const struct arg args[] = {
		{"percent", 'p', "P", "share of keys that the new side gets: 25, 25%, 0.01%", NULL, &percent},
		{"mirror", 'm', "WORD", "on, off or required: a copy to the other side too", NULL, &mirror},
		{"stage", 's', "WORD", "off, dualwrite, live, rampdown, complete", NULL, &stage},
		{"wait", 'w', NULL, "return once nothing moves any more", &how.wait, NULL},
		{"timeout", 't', "TIME", "how long --wait lets buckets be stuck before it gives up (10s)", NULL,
		 &how.timeout},
		{"force", 'f', NULL, "allow a side that is down; do not wait for the side that is left",
		 &force, NULL},
		{"dry-run", 0, NULL, "only say what would move", &how.dry_run, NULL},
		{"json", 0, NULL, "print the server's last answer only", &how.json, NULL},
		ARGS_WHERE(how.where),
	};
	const struct usage usage = {
		.line = "migration set NAME [--percent P] [--mirror on|off|required] [--stage S] [--wait] "
		        "[--timeout TIME] [--force] [--dry-run] [--json]",
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
	struct request request = {"PATCH", MIGRATION_PATH, NULL};
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

int
migration_rollback_run(int argc, char **argv)
{
	struct steering how = {0};
	const struct arg args[] = {
		{"wait", 'w', NULL, "return once nothing moves any more", &how.wait, NULL},
		{"timeout", 't', "TIME", "how long --wait lets buckets be stuck before it gives up (10s)", NULL,
		 &how.timeout},
		{"dry-run", 0, NULL, "only say what would move", &how.dry_run, NULL},
		{"json", 0, NULL, "print the server's last answer only", &how.json, NULL},
		ARGS_WHERE(how.where),
	};
	const struct usage usage = {
		.line = "migration rollback NAME [--wait] [--timeout TIME] [--dry-run] [--json]",
		.about = "Turns everything back to the old side at once, without needing anything from the "
		         "new one:\n"
			 "percent 0 with force; mirror stays as it is.",
		.examples = "  crossfade migration rollback orders --wait\n",
		.args = args,
		.arg_count = sizeof args / sizeof args[0],
		.words_min = 1,
		.words_max = 1,
	};
	struct request request = {"POST", MIGRATION_PATH "/rollback", NULL};
	const char *name;
	int status;

	if (!args_parse(&usage, argc, argv, &name, &status))
		return status;
	request.body = cJSON_CreateObject();
	status = change_run(name, &request, &how);
	cJSON_Delete(request.body);
	return status;
}
