#include <stdio.h>

#include "args.h"
#include "client.h"
#include "output.h"
#include "tool.h"

static int
list_run(int argc, char **argv)
{
	static const char *const titles[] = {"ROUTE",      "STATE",     ">IN",    ">ACKED",
		                             ">IN FLIGHT", "MIGRATION", "PROMISE"};
	struct where where = {0};
	bool json = false;
	const struct arg args[] = {{"json", 0, NULL, "print the server's answer", &json, NULL},
		                   ARGS_WHERE(where)};
	const struct usage usage = {
		.line = "route list [--json] [-c FILE | --socket PATH]",
		.about = "The routes of the running server.",
		.examples = "  crossfade route list\n",
		.args = args,
		.arg_count = sizeof args / sizeof args[0],
	};
	struct client *client;
	const cJSON *route;
	struct table table;
	cJSON *root;
	int status;

	if (!args_parse(&usage, argc, argv, NULL, &status))
		return status;
	client = client_open(&where, &status);
	if (client == NULL)
		return status;
	root = client_ask(client, "GET", "/api/v1/routes", NULL, NULL, &status);
	if (root != NULL && json) {
		json_print(root);
	} else if (root != NULL) {
		table_begin(&table, titles, sizeof titles / sizeof titles[0]);
		cJSON_ArrayForEach(route, cJSON_GetObjectItemCaseSensitive(root, "routes")) {
			const char *state = json_text(route, "state"),
				   *migration = json_text(route, "migration");

			table_cell(&table, PLAIN, "%s", json_text(route, "name"));
			table_cell(&table, state_colour(state), "%s", state);
			table_number(&table, json_count(route, "accepted"));
			table_number(&table, json_count(route, "acked"));
			table_number(&table, json_count(route, "in_flight"));
			table_cell(&table, PLAIN, "%s", migration[0] != '\0' ? migration : "-");
			table_cell(&table, DIM, "%s", json_text(route, "promise"));
		}
		table_print(&table);
	}
	cJSON_Delete(root);
	client_close(&client);
	return status;
}

/* pause and resume differ in a word. */
static int
switch_run(int argc, char **argv, const char *path, const struct usage *usage, struct where *where,
	   bool *json)
{
	struct client *client;
	const char *name;
	cJSON *root;
	int status;

	if (!args_parse(usage, argc, argv, &name, &status))
		return status;
	client = client_open(where, &status);
	if (client == NULL)
		return status;
	root = client_ask(client, "POST", path, name, NULL, &status);
	if (root != NULL && *json)
		json_print(root);
	else if (root != NULL)
		printf("%s: %s%s\n", json_text(root, "name"), json_text(root, "state"),
		       json_true(root, "paused") ? "; takes nothing in, what is in flight goes on" : "");
	cJSON_Delete(root);
	client_close(&client);
	return status;
}

static int
pause_run(int argc, char **argv)
{
	struct where where = {0};
	bool json = false;
	const struct arg args[] = {{"json", 0, NULL, "print the server's answer", &json, NULL},
		                   ARGS_WHERE(where)};
	const struct usage usage = {
		.line = "route pause NAME [--json] [-c FILE | --socket PATH]",
		.about = "The route takes nothing in until it is resumed or the server starts again; what is "
		         "in\n"
			 "flight goes on, and what is not taken stays at its broker.",
		.examples = "  crossfade route pause orders\n",
		.args = args,
		.arg_count = sizeof args / sizeof args[0],
		.words_min = 1,
		.words_max = 1,
	};

	return switch_run(argc, argv, "/api/v1/routes/%s/pause", &usage, &where, &json);
}

static int
resume_run(int argc, char **argv)
{
	struct where where = {0};
	bool json = false;
	const struct arg args[] = {{"json", 0, NULL, "print the server's answer", &json, NULL},
		                   ARGS_WHERE(where)};
	const struct usage usage = {
		.line = "route resume NAME [--json] [-c FILE | --socket PATH]",
		.about = "A paused route takes messages in again.",
		.examples = "  crossfade route resume orders\n",
		.args = args,
		.arg_count = sizeof args / sizeof args[0],
		.words_min = 1,
		.words_max = 1,
	};

	return switch_run(argc, argv, "/api/v1/routes/%s/resume", &usage, &where, &json);
}

int
verb_route(int argc, char **argv)
{
	static const struct verb subverbs[] = {
		{"list", "the routes and how they are", list_run},
		{"pause", "take nothing in", pause_run},
		{"resume", "take messages in again", resume_run},
	};

	return subverb_run("route", "The ways of messages through the running server.", subverbs,
		           sizeof subverbs / sizeof subverbs[0], argc, argv);
}
