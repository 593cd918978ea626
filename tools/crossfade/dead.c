/*
 * The dead letters of the running server. What a message brought may be anything, and was refused perhaps for that: control characters
 * are shown as such, never sent to the terminal.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "ask.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/str.h"
#include "client.h"
#include "output.h"
#include "tool.h"

#define DEAD_PATH "/api/v1/dead"

/* KEY as it may be shown, or KEY_base64 with a word before it. LINES: it may have some. */
static char *
shown(const cJSON *object, const char *key, bool lines)
{
	const cJSON *text = cJSON_GetObjectItemCaseSensitive(object, key);
	struct xf_buffer out = {0};

	if (!cJSON_IsString(text)) {
		char *name = xf_format("%s_base64", key);
		char *bytes = xf_format("base64:%s", json_text(object, name));

		free(name);
		return bytes;
	}
	xf_buffer_puts(&out, "");
	for (const char *at = text->valuestring; *at != '\0'; at++)
		if (((unsigned char)*at < ' ' && !(lines && (*at == '\n' || *at == '\t'))) || *at == 0x7f)
			xf_buffer_printf(&out, "\\x%02x", *at);
		else
			xf_buffer_append(&out, at, 1);
	return out.data;
}

static void
cell_shown(struct table *table, const cJSON *object, const char *key)
{
	char *text = shown(object, key, false);

	table_cell(table, PLAIN, "%s", text[0] != '\0' ? text : "-");
	free(text);
}

/* ---- list ------------------------------------------------------------------------------------------- */

static void
list_print(const cJSON *root, uint64_t limit)
{
	static const char *const titles[] = {">NUMBER", "LAST", "ROUTE", "SUBJECT", "ID", ">ATTEMPTS", ">BYTES", "REASON"};
	const cJSON *letter, *letters = cJSON_GetObjectItemCaseSensitive(root, "letters"), *route;
	char used[32], max[32];
	uint64_t last = 0;
	struct table table;

	table_begin(&table, titles, sizeof titles / sizeof titles[0]);
	cJSON_ArrayForEach(letter, letters) {
		last = json_count(letter, "number");
		table_cell(&table, PLAIN, "%" PRIu64, last);
		table_cell(&table, PLAIN, "%s", json_text(letter, "last"));
		cell_shown(&table, letter, "route");
		cell_shown(&table, letter, "subject");
		cell_shown(&table, letter, "id");
		table_number(&table, json_count(letter, "attempts"));
		table_number(&table, json_count(letter, "payload_bytes"));
		cell_shown(&table, letter, "reason");
	}
	table_print(&table);
	printf("\n%" PRIu64 " in all, %s of %s bytes in use:", json_count(root, "count"),
	       number_format(json_count(root, "bytes"), used), number_format(json_count(root, "bytes_max"), max));
	cJSON_ArrayForEach(route, cJSON_GetObjectItemCaseSensitive(root, "routes")) {
		char *name = shown(route, "route", false);

		printf(" %s %" PRIu64, name, json_count(route, "count"));
		free(name);
	}
	printf("\n");
	if ((uint64_t)cJSON_GetArraySize(letters) == limit)
		printf("perhaps more: --after %" PRIu64 "\n", last);
}

static int
list_run(int argc, char **argv)
{
	const char *route = NULL, *limit_text = NULL, *after_text = NULL;
	uint64_t limit = 100, after = 0;
	struct where where = {0};
	bool json = false;
	const struct arg args[] = {
		{"route", 'r', "NAME", "of this route only", NULL, &route},
		{"after", 'a', "N", "those with higher numbers", NULL, &after_text},
		{"limit", 'n', "N", "so many at most (100)", NULL, &limit_text},
		{"json", 0, NULL, "print the server's answer", &json, NULL},
		ARGS_WHERE(where),
	};
	const struct usage usage = {
		.line = "dead list [--route NAME] [--after N] [--limit N] [--json]",
		.about = "What was refused for good, oldest first, and how much room it takes.",
		.examples = "  crossfade dead list\n  crossfade dead list --route orders --limit 1000 --json | jq '.letters[].id'\n",
		.args = args,
		.arg_count = sizeof args / sizeof args[0],
	};
	struct client *client;
	cJSON *answer;
	char *path;
	int status;

	if (!args_parse(&usage, argc, argv, NULL, &status))
		return status;
	if (!args_count("limit", limit_text, 1, 1000, &limit) || !args_count("after", after_text, 0, INT64_MAX, &after))
		return EXIT_USAGE;
	client = client_open(&where, &status);
	if (client == NULL)
		return status;
	path = xf_format(DEAD_PATH "?limit=%" PRIu64 "&after=%" PRIu64 "%s", limit, after, route != NULL ? "&route=%s" : "");
	answer = client_ask(client, "GET", path, route, NULL, &status);
	free(path);
	if (answer != NULL && json)
		json_print(answer);
	else if (answer != NULL)
		list_print(answer, limit);
	cJSON_Delete(answer);
	client_close(&client);
	return status;
}

/* ---- show ------------------------------------------------------------------------------------------- */

static void
line_print(const cJSON *letter, const char *name, const char *key)
{
	char *text = shown(letter, key, false);

	if (text[0] != '\0')
		printf("%-14s%s\n", name, text);
	free(text);
}

static void
show_print(const cJSON *letter)
{
	const cJSON *header;
	char *text;

	printf("%s%" PRIu64 "%s: ", colour_on(BOLD), json_count(letter, "number"), colour_off());
	text = shown(letter, "reason", false);
	printf("%s%s%s\n", colour_on(RED), text, colour_off());
	free(text);
	line_print(letter, "route:", "route");
	line_print(letter, "sink:", "sink");
	printf("%-14s%" PRIu64 "\n", "attempts:", json_count(letter, "attempts"));
	line_print(letter, "first:", "first");
	line_print(letter, "last:", "last");
	line_print(letter, "subject:", "subject");
	line_print(letter, "id:", "id");
	line_print(letter, "key:", "key");
	line_print(letter, "content type:", "content_type");
	line_print(letter, "reply:", "reply");
	cJSON_ArrayForEach(header, cJSON_GetObjectItemCaseSensitive(letter, "headers")) {
		char *name = shown(header, "name", false), *value = shown(header, "value", false);

		printf("%-14s%s: %s\n", "header:", name, value);
		free(name);
		free(value);
	}
	text = shown(letter, "payload", true);
	printf("%" PRIu64 " bytes:\n%s\n", json_count(letter, "payload_bytes"), text);
	free(text);
}

static const struct ask show_ask = {
	.line = "dead show NUMBER",
	.about = "One dead letter in full: why and where it was refused, its headers and its payload.",
	.examples = "  crossfade dead show 17\n  crossfade dead show 17 --json | jq -r .payload\n",
	.named = true,
	.method = "GET",
	.path = DEAD_PATH "/%s",
	.print = show_print,
};

/* ---- purge, replay -------------------------------------------------------------------------------------- */

/* Which ones are meant, as a path in which %s stands for *NAME; VERB stands behind it: "", or "/replay". NULL: it was said what is
 * wrong. */
static char *
choice_path(const char *verb, const char *number, const char *route, const char *older, bool all, const char **name)
{
	uint64_t age_ms;
	char before[32];

	*name = number != NULL ? number : route;
	if ((number != NULL) + all + (route != NULL || older != NULL) != 1) {
		complain(EXIT_USAGE, "say which: a NUMBER, or --route and --older, or --all");
		return NULL;
	}
	if (number != NULL)
		return xf_format(DEAD_PATH "/%%s%s", verb);
	if (all)
		return xf_format(DEAD_PATH "%s?all=true", verb);
	if (older == NULL)
		return xf_format(DEAD_PATH "%s?route=%%s", verb);
	if (!args_duration("older", older, &age_ms))
		return NULL;
	xf_wall_format(xf_wall_ms() - (int64_t)age_ms, before);
	return xf_format(DEAD_PATH "%s?before=%s%s", verb, before, route != NULL ? "&route=%s" : "");
}

/* What is done with those that are chosen. */
struct action {
	const char *method;
	const char *verb; /* behind the path */
	const char *line, *about, *examples;
	const char *counted; /* in the answer */
	const char *done;    /* to be said behind that count */
};

static int
action_run(const struct action *action, int argc, char **argv)
{
	const char *number = NULL, *route = NULL, *older = NULL, *name;
	bool json = false, all = false;
	struct where where = {0};
	const struct arg args[] = {
		{"route", 'r', "NAME", "those of this route", NULL, &route},
		{"older", 'o', "TIME", "those refused longer ago than this", NULL, &older},
		{"all", 0, NULL, "all of them", &all, NULL},
		{"json", 0, NULL, "print the server's answer", &json, NULL},
		ARGS_WHERE(where),
	};
	const struct usage usage = {
		.line = action->line,
		.about = action->about,
		.examples = action->examples,
		.args = args,
		.arg_count = sizeof args / sizeof args[0],
		.words_max = 1,
	};
	struct client *client;
	cJSON *answer;
	char *path;
	int status;

	if (!args_parse(&usage, argc, argv, &number, &status))
		return status;
	path = choice_path(action->verb, number, route, older, all, &name);
	if (path == NULL)
		return EXIT_USAGE;
	client = client_open(&where, &status);
	answer = client != NULL ? client_ask(client, action->method, path, name, NULL, &status) : NULL;
	free(path);
	if (answer != NULL && json)
		json_print(answer);
	else if (answer != NULL)
		printf("%" PRIu64 " %s\n", json_count(answer, action->counted), action->done);
	cJSON_Delete(answer);
	if (client != NULL)
		client_close(&client);
	return status;
}

static int
purge_run(int argc, char **argv)
{
	static const struct action purge = {
		.method = "DELETE",
		.verb = "",
		.line = "dead purge [NUMBER] [--route NAME] [--older TIME] [--all] [--json]",
		.about = "Removes dead letters for ever: one, those of a route, old ones, or all.",
		.examples = "  crossfade dead purge 17\n  crossfade dead purge --route orders --older 7d\n",
		.counted = "removed",
		.done = "removed",
	};

	return action_run(&purge, argc, argv);
}

static int
replay_run(int argc, char **argv)
{
	static const struct action replay = {
		.method = "POST",
		.verb = "/replay",
		.line = "dead replay [NUMBER] [--route NAME] [--older TIME] [--all] [--json]",
		.about = "Sends dead letters through their routes again, with the ids they had. Each leaves the store once\n"
		         "it is confirmed; one that is refused again stays, with the new reason.",
		.examples = "  crossfade dead replay 17\n  crossfade dead replay --route orders\n",
		.counted = "replaying",
		.done = "on their way; what is left shows in: crossfade dead list",
	};

	return action_run(&replay, argc, argv);
}

static const struct verb subverbs[] = {
	{"list", "what was refused for good", .run = list_run},
	{"show", "one of them in full", .ask = &show_ask},
	{"replay", "send some through their routes again", .run = replay_run},
	{"purge", "remove some for ever", .run = purge_run},
	{0},
};

const struct verb verb_dead = {"dead", "list, show, replay, purge: messages that were refused for good", .subverbs = subverbs};
