#include <stdio.h>
#include <stdlib.h>

#include "ask.h"
#include "base/memory.h"
#include "client.h"
#include "output.h"
#include "tool.h"

static void
list_print(const cJSON *root)
{
	static const char *const titles[] = {"TRANSPORT", "PLUGIN", "STATE", ">ENDPOINTS", "REASON"};
	const cJSON *transport;
	struct table table;

	table_begin(&table, titles, sizeof titles / sizeof titles[0]);
	cJSON_ArrayForEach(transport, cJSON_GetObjectItemCaseSensitive(root, "transports")) {
		const cJSON *endpoints = cJSON_GetObjectItemCaseSensitive(transport, "endpoints");
		const char *state = json_text(transport, "state");

		table_cell(&table, PLAIN, "%s", json_text(transport, "name"));
		table_cell(&table, PLAIN, "%s", json_text(transport, "plugin"));
		table_cell(&table, state_colour(state), "%s", state);
		table_number(&table, (uint64_t)cJSON_GetArraySize(endpoints));
		table_cell(&table, PLAIN, "%s", json_text(transport, "reason"));
	}
	table_print(&table);
}

static const struct ask list_ask = {
	.line = "transport list",
	.about = "The brokers of the running server; the state is the worst of the endpoints on it.",
	.examples = "  crossfade transport list\n",
	.method = "GET",
	.path = "/api/v1/transports",
	.print = list_print,
};

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

static void
show_print(const cJSON *transport)
{
	printf("transport: %s\nplugin: %s\nstate: %s\n", json_text(transport, "name"), json_text(transport, "plugin"),
	       json_text(transport, "state"));
	flat_print(cJSON_GetObjectItemCaseSensitive(transport, "report"), "");
	endpoints_print(transport);
}

static const struct ask show_ask = {
	.line = "transport show NAME",
	.about = "A transport, its endpoints, and what its plugin reports, as `name: value` lines.",
	.examples = "  crossfade transport show nats-new\n"
	            "  crossfade transport show probe | grep '^lost:'\n",
	.named = true,
	.method = "GET",
	.path = "/api/v1/transports/%s",
	.print = show_print,
};

static const struct verb subverbs[] = {
	{"list", "the brokers and how they are", .ask = &list_ask},
	{"show", "one of them, with its plugin's report", .ask = &show_ask},
	{0},
};

const struct verb verb_transport = {"transport", "list, show: the brokers as the server sees them",
                                    .subverbs = subverbs};
