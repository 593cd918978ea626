#include <stdio.h>
#include <stdlib.h>

#include "args.h"
#include "base/memory.h"
#include "client.h"
#include "output.h"
#include "tool.h"

static int
list_run(int argc, char **argv)
{
	static const char *const titles[] = {"TRANSPORT", "PLUGIN", "STATE", ">ENDPOINTS", "REASON"};
	struct where where = {0};
	bool json = false;
	const struct arg args[] = {{"json", 0, NULL, "print the server's answer", &json, NULL},
		                   ARGS_WHERE(where)};
	const struct usage usage = {
		.line = "transport list [--json] [-c FILE | --socket PATH]",
		.about = "The brokers of the running server; the state is the worst of the endpoints on it.",
		.examples = "  crossfade transport list\n",
		.args = args,
		.arg_count = sizeof args / sizeof args[0],
	};
	struct client *client;
	const cJSON *transport;
	struct table table;
	cJSON *root;
	int status;

	if (!args_parse(&usage, argc, argv, NULL, &status))
		return status;
	client = client_open(&where, &status);
	if (client == NULL)
		return status;
	root = client_ask(client, "GET", "/api/v1/transports", NULL, NULL, &status);
	if (root != NULL && json) {
		json_print(root);
	} else if (root != NULL) {
		table_begin(&table, titles, sizeof titles / sizeof titles[0]);
		cJSON_ArrayForEach(transport, cJSON_GetObjectItemCaseSensitive(root, "transports")) {
			const char *state = json_text(transport, "state");

			table_cell(&table, PLAIN, "%s", json_text(transport, "name"));
			table_cell(&table, PLAIN, "%s", json_text(transport, "plugin"));
			table_cell(&table, state_colour(state), "%s", state);
			table_number(&table, (uint64_t)cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(
						     transport, "endpoints")));
			table_cell(&table, PLAIN, "%s", json_text(transport, "reason"));
		}
		table_print(&table);
	}
	cJSON_Delete(root);
	client_close(&client);
	return status;
}

/* "a.b[0].c: value" for every value in VALUE. */
static void
flat_print(const cJSON *value, const char *path)
{
	const cJSON *item;
	char *text;
	size_t i = 0;

	if (cJSON_IsObject(value)) {
		cJSON_ArrayForEach(item, value) {
			text = xf_format("%s%s%s", path, path[0] != '\0' ? "." : "", item->string);
			flat_print(item, text);
			free(text);
		}
	} else if (cJSON_IsArray(value)) {
		cJSON_ArrayForEach(item, value) {
			text = xf_format("%s[%zu]", path, i++);
			flat_print(item, text);
			free(text);
		}
	} else if (cJSON_IsString(value)) {
		printf("%s: %s\n", path, value->valuestring);
	} else if (value != NULL) {
		text = cJSON_PrintUnformatted(value);
		printf("%s: %s\n", path, text != NULL ? text : "");
		cJSON_free(text);
	}
}

static void
endpoints_print(const cJSON *transport)
{
	static const char *const titles[] = {"ENDPOINT", "STATE", "SUBJECT", ">RECONNECTS", "REASON"};
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(transport, "endpoints"), *endpoint;
	struct table table;

	if (cJSON_GetArraySize(list) == 0)
		return;
	table_begin(&table, titles, sizeof titles / sizeof titles[0]);
	cJSON_ArrayForEach(endpoint, list) {
		const char *state = json_text(endpoint, "state");

		table_cell(&table, PLAIN, "%s", json_text(endpoint, "name"));
		table_cell(&table, state_colour(state), "%s", state);
		table_cell(&table, PLAIN, "%s", json_text(endpoint, "subject"));
		table_number(&table, json_count(endpoint, "reconnects"));
		table_cell(&table, PLAIN, "%s", json_text(endpoint, "reason"));
	}
	printf("\n");
	table_print(&table);
}

static int
show_run(int argc, char **argv)
{
	struct where where = {0};
	bool json = false;
	const struct arg args[] = {{"json", 0, NULL, "print the server's answer", &json, NULL},
		                   ARGS_WHERE(where)};
	const struct usage usage = {
		.line = "transport show NAME [--json] [-c FILE | --socket PATH]",
		.about = "A transport, its endpoints, and what its plugin reports, as `name: value` lines.",
		.examples = "  crossfade transport show nats-new\n"
			    "  crossfade transport show probe | grep '^lost:'\n",
		.args = args,
		.arg_count = sizeof args / sizeof args[0],
		.words_min = 1,
		.words_max = 1,
	};
	struct client *client;
	const char *name;
	cJSON *root;
	int status;

	if (!args_parse(&usage, argc, argv, &name, &status))
		return status;
	client = client_open(&where, &status);
	if (client == NULL)
		return status;
	root = client_ask(client, "GET", "/api/v1/transports/%s", name, NULL, &status);
	if (root != NULL && json) {
		json_print(root);
	} else if (root != NULL) {
		printf("transport: %s\nplugin: %s\nstate: %s\n", json_text(root, "name"),
		       json_text(root, "plugin"), json_text(root, "state"));
		flat_print(cJSON_GetObjectItemCaseSensitive(root, "report"), "");
		endpoints_print(root);
	}
	cJSON_Delete(root);
	client_close(&client);
	return status;
}

int
verb_transport(int argc, char **argv)
{
	static const struct verb subverbs[] = {
		{"list", "the brokers and how they are", list_run},
		{"show", "one of them, with its plugin's report", show_run},
	};

	return subverb_run("transport", "The brokers, as the running server sees them.", subverbs,
		           sizeof subverbs / sizeof subverbs[0], argc, argv);
}
