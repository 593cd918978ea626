#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "args.h"
#include "conf/scalar.h"
#include "live.h"
#include "load.h"
#include "output.h"
#include "tool.h"

static const char *
mirror_word(enum xf_mirror mirror)
{
	return mirror == XF_MIRROR_OFF ? "off" : mirror == XF_MIRROR_ON ? "on" : "required";
}

/* What the core does at an endpoint beside what its plugin does: ", envelope json, 4 connections". */
static void
manner_print(const struct xf_conf_endpoint *endpoint)
{
	if (endpoint->in_place)
		printf(", in place");
	if (endpoint->envelope == XF_ENVELOPE_JSON)
		printf(", envelope json");
	if (endpoint->subject_escape)
		printf(", subjects escaped");
	if (endpoint->connections > 1)
		printf(", %u connections", endpoint->connections);
	if (endpoint->message_id != NULL)
		printf(", id %.*s", XF_STR_ARG(xf_template_text(endpoint->message_id)));
	if (endpoint->when_down == XF_WHEN_DOWN_DROP)
		printf(", dropped while down");
}

static void
endpoint_print(const char *label, const struct xf_conf_endpoint *endpoint)
{
	static const char *const sides[] = {"old", "new"};

	printf("    %-5s %s (%s)  %s", label, endpoint->transport->name, endpoint->transport->plugin, endpoint->shown);
	if (endpoint->migration != NULL)
		printf(", the %s side of migration %s", sides[endpoint->side], endpoint->migration->name);
	manner_print(endpoint);
	printf("\n");
}

/* What is promised from each source to sink number SINK. */
static void
promises_print(const struct xf_conf_route *route, size_t sink, const char *label)
{
	for (size_t i = 0; i < route->source_count; i++) {
		printf("    %spromise: ", label);
		if (route->source_count > 1)
			printf("from %s: ", route->sources[i].transport->name);
		printf("%s\n", xf_conf_way_promise(route, i, sink));
	}
}

static void
migration_print(const struct xf_conf_route *route)
{
	const struct xf_conf_migration *m = route->migration;
	char percent[16];

	xf_percent_format(m->percent, percent);
	printf("    to    migration %s: %s, %s %% new, mirror %s\n", m->name, xf_stage_name(m->percent, m->mirror), percent,
	       mirror_word(m->mirror));
	endpoint_print("old", &m->sides[0]);
	endpoint_print("new", &m->sides[1]);
	promises_print(route, 0, "old ");
	promises_print(route, 1, "new ");
}

/* Each sink of `all` or `split`, and under it what it promises. */
static void
sinks_print(const struct xf_conf_route *route)
{
	if (route->to == XF_TO_ALL)
		printf("    to    all of these, settled by %s\n", route->require == XF_REQUIRE_ALL   ? "all"
		                                                  : route->require == XF_REQUIRE_ANY ? "any one"
		                                                                                     : "the first");
	else
		printf("    to    one of these, by key %.*s\n", XF_STR_ARG(xf_template_text(route->key)));
	for (size_t i = 0; i < route->sink_count; i++) {
		char label[24];

		snprintf(label, sizeof(label), "%zu", i + 1);
		if (route->to == XF_TO_SPLIT) {
			xf_percent_format(route->weights[i], label);
			strcat(label, "%");
		}
		endpoint_print(label, &route->sinks[i]);
		promises_print(route, i, "  ");
	}
}

/* How the route works, where it is told to work otherwise than by itself. */
static void
order_print(const struct xf_conf_route *route)
{
	if (route->order == XF_ORDER_STRICT)
		printf("    order strict: one message of a key under way\n");
	else if (route->order == XF_ORDER_NONE)
		printf("    order none\n");
	if (route->concurrency > 0)
		printf("    at most %u messages worked on at once\n", route->concurrency);
	if (route->drain_first)
		printf("    keys that moved wait until the side they left is read to its end\n");
}

static void
dedupe_print(const struct xf_conf_route *route)
{
	char window[32];

	if (route->dedupe_count == 0)
		return;
	if (route->dedupe_window_ms == 0) {
		printf("    no id twice, of the last %u\n", route->dedupe_count);
		return;
	}
	xf_scalar_duration_format((int64_t)route->dedupe_window_ms, window);
	printf("    no id twice within %s, of the last %u\n", window, route->dedupe_count);
}

static void
route_print(const struct xf_conf_route *route)
{
	printf("  %s%s%s\n", colour_on(BOLD), route->name, colour_off());
	for (size_t i = 0; i < route->source_count; i++)
		endpoint_print("from", &route->sources[i]);
	switch (route->to) {
	case XF_TO_SINK:
		endpoint_print("to", &route->sinks[0]);
		promises_print(route, 0, "");
		break;
	case XF_TO_ALL:
	case XF_TO_SPLIT:
		sinks_print(route);
		break;
	case XF_TO_MIGRATION:
		migration_print(route);
		break;
	case XF_TO_REPLY:
		printf("    to      whoever asked\n");
		break;
	}
	order_print(route);
	dedupe_print(route);
}

static void
summary_print(const struct xf_conf *conf)
{
	printf("%s%s: good%s\n", colour_on(GREEN), conf->file, colour_off());
	printf("  server %s, data in %s, socket %s%s%s\n", conf->server.name, conf->server.data_dir,
	       conf->server.admin_socket, conf->server.admin_listen ? ", HTTP at " : "",
	       conf->server.admin_listen ? conf->server.admin_listen : "");
	printf("\nroutes:\n");
	for (size_t i = 0; i < conf->route_count; i++)
		route_print(&conf->routes[i]);
	if (conf->warning_count > 0)
		printf("\n%swarnings:%s\n", colour_on(YELLOW), colour_off());
	for (size_t i = 0; i < conf->warning_count; i++)
		printf("  %s\n", conf->warnings[i]);
}

static cJSON *
endpoint_json(const struct xf_conf_endpoint *endpoint)
{
	cJSON *object = cJSON_CreateObject();

	cJSON_AddStringToObject(object, "transport", endpoint->transport->name);
	cJSON_AddStringToObject(object, "plugin", endpoint->transport->plugin);
	cJSON_AddStringToObject(object, "subject", endpoint->shown);
	if (endpoint->envelope == XF_ENVELOPE_JSON)
		cJSON_AddStringToObject(object, "envelope", "json");
	if (endpoint->subject_escape)
		cJSON_AddTrueToObject(object, "subject_escape");
	return object;
}

static cJSON *
source_json(const struct xf_conf_endpoint *source)
{
	cJSON *object = endpoint_json(source);

	if (source->migration != NULL) {
		cJSON_AddStringToObject(object, "migration", source->migration->name);
		cJSON_AddStringToObject(object, "side", source->side == 0 ? "old" : "new");
	}
	return object;
}

/* Sink number SINK with what is promised from each source to it. */
static cJSON *
sink_json(const struct xf_conf_route *route, const struct xf_conf_endpoint *conf, size_t sink)
{
	cJSON *object = endpoint_json(conf), *list;

	if (conf->connections > 1)
		cJSON_AddNumberToObject(object, "connections", conf->connections);
	if (conf->in_place)
		cJSON_AddTrueToObject(object, "in_place");
	if (route->to == XF_TO_SPLIT)
		cJSON_AddNumberToObject(object, "weight", route->weights[sink] / 100.0);
	list = cJSON_AddArrayToObject(object, "promises");
	for (size_t i = 0; i < route->source_count; i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(xf_conf_way_promise(route, i, sink)));
	return object;
}

static cJSON *
migration_json(const struct xf_conf_route *route)
{
	const struct xf_conf_migration *m = route->migration;
	cJSON *to = cJSON_CreateObject();

	cJSON_AddStringToObject(to, "migration", m->name);
	cJSON_AddNumberToObject(to, "percent", m->percent / 100.0);
	cJSON_AddStringToObject(to, "mirror", mirror_word(m->mirror));
	cJSON_AddStringToObject(to, "stage", xf_stage_name(m->percent, m->mirror));
	cJSON_AddItemToObject(to, "old", sink_json(route, &m->sides[0], 0));
	cJSON_AddItemToObject(to, "new", sink_json(route, &m->sides[1], 1));
	return to;
}

/* As it is written in the file: a sink, {all, require}, {split, key} or {migration}. */
static cJSON *
destination_json(const struct xf_conf_route *route)
{
	cJSON *to, *list;

	if (route->to == XF_TO_MIGRATION)
		return migration_json(route);
	if (route->to == XF_TO_REPLY)
		return cJSON_CreateString("reply");
	if (route->to == XF_TO_SINK)
		return sink_json(route, &route->sinks[0], 0);
	to = cJSON_CreateObject();
	list = cJSON_AddArrayToObject(to, route->to == XF_TO_ALL ? "all" : "split");
	for (size_t i = 0; i < route->sink_count; i++)
		cJSON_AddItemToArray(list, sink_json(route, &route->sinks[i], i));
	if (route->to == XF_TO_ALL)
		cJSON_AddStringToObject(to, "require", xf_require_name(route->require));
	else
		cJSON_AddStringToObject(to, "key", xf_template_text(route->key).data);
	return to;
}

static cJSON *
route_json(const struct xf_conf_route *route)
{
	static const char *const orders[] = {"lane", "strict", "none"}; /* as in enum xf_order */
	cJSON *object = cJSON_CreateObject(), *list;

	cJSON_AddStringToObject(object, "name", route->name);
	list = cJSON_AddArrayToObject(object, "from");
	for (size_t i = 0; i < route->source_count; i++)
		cJSON_AddItemToArray(list, source_json(&route->sources[i]));
	cJSON_AddItemToObject(object, "to", destination_json(route));
	cJSON_AddStringToObject(object, "order", orders[route->order]);
	if (route->concurrency > 0)
		cJSON_AddNumberToObject(object, "concurrency", route->concurrency);
	if (route->drain_first)
		cJSON_AddTrueToObject(object, "drain_first");
	if (route->dedupe_count > 0) {
		cJSON *dedupe = cJSON_AddObjectToObject(object, "dedupe");

		cJSON_AddNumberToObject(dedupe, "count", route->dedupe_count);
		if (route->dedupe_window_ms > 0)
			cJSON_AddNumberToObject(dedupe, "window_ms", (double)route->dedupe_window_ms);
	}
	return object;
}

static void
lines_add(cJSON *list, char *lines)
{
	char *rest = lines;

	for (char *line; (line = strsep(&rest, "\n")) != NULL;)
		if (line[0] != '\0')
			cJSON_AddItemToArray(list, cJSON_CreateString(line));
}

/* What --live found. */
struct found {
	struct live *lives; /* NULL: not asked for */
	size_t count;
};

static const char *
live_word(const struct live *live)
{
	return live->sink == NULL                  ? "not tried"
	       : live->state == XF_STATE_UP        ? "up"
	       : live->state == XF_STATE_BLOCKED ? "blocked"
	                                           : "down";
}

static bool
all_up(const struct found *found)
{
	for (size_t i = 0; i < found->count; i++)
		if (found->lives[i].sink != NULL && found->lives[i].state != XF_STATE_UP)
			return false;
	return true;
}

static void
found_print(const struct found *found)
{
	printf("\nbrokers:\n");
	for (size_t i = 0; i < found->count; i++) {
		const struct live *live = &found->lives[i];
		const char *word = live_word(live);

		printf("  %s (%s)  ", live->transport->name, live->transport->plugin);
		if (live->sink == NULL)
			printf("not tried: nothing is published to it, and to read would be to take\n");
		else
			printf("%s%s%s%s%s\n", colour_on(state_colour(word)), word, colour_off(),
			       live->state == XF_STATE_UP ? "" : ": ", live->state == XF_STATE_UP ? "" : live->reason);
	}
}

static cJSON *
found_json(const struct found *found)
{
	cJSON *list = cJSON_CreateArray();

	for (size_t i = 0; i < found->count; i++) {
		cJSON *object = cJSON_CreateObject();

		cJSON_AddStringToObject(object, "transport", found->lives[i].transport->name);
		cJSON_AddStringToObject(object, "plugin", found->lives[i].transport->plugin);
		cJSON_AddStringToObject(object, "state", live_word(&found->lives[i]));
		cJSON_AddStringToObject(object, "reason", found->lives[i].reason);
		cJSON_AddItemToArray(list, object);
	}
	return list;
}

static void
result_json(const char *file, struct loaded *loaded, const struct found *found)
{
	cJSON *root = cJSON_CreateObject(), *list;
	char *text;

	cJSON_AddStringToObject(root, "file", file);
	cJSON_AddBoolToObject(root, "valid", loaded->conf != NULL);
	list = cJSON_AddArrayToObject(root, "errors");
	if (loaded->conf == NULL && loaded->errors.data != NULL)
		lines_add(list, loaded->errors.data);
	list = cJSON_AddArrayToObject(root, "warnings");
	for (size_t i = 0; loaded->conf != NULL && i < loaded->conf->warning_count; i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(loaded->conf->warnings[i]));
	list = cJSON_AddArrayToObject(root, "routes");
	for (size_t i = 0; loaded->conf != NULL && i < loaded->conf->route_count; i++)
		cJSON_AddItemToArray(list, route_json(&loaded->conf->routes[i]));
	if (found->lives != NULL)
		cJSON_AddItemToObject(root, "brokers", found_json(found));
	text = cJSON_Print(root);
	puts(text != NULL ? text : "{}");
	cJSON_free(text);
	cJSON_Delete(root);
}

static void
errors_print(const struct loaded *loaded)
{
	size_t count = 0;

	for (size_t i = 0; i < loaded->errors.len; i++)
		count += loaded->errors.data[i] == '\n';
	fputs(loaded->errors.data != NULL ? loaded->errors.data : "", stderr);
	fprintf(stderr, "%zu mistake%s; nothing would start\n", count, count == 1 ? "" : "s");
}

int
verb_validate(int argc, char **argv)
{
	const char *file = DEFAULT_FILE;
	bool json = false, live = false;
	const struct arg args[] = {
		{"config", 'c', "FILE", "the file (default " DEFAULT_FILE ")", NULL, &file},
		{"json", 0, NULL, "print the result as JSON", &json, NULL},
		{"live", 0, NULL, "also connect to every broker that is published to", &live, NULL},
	};
	const struct usage usage = {
		.line = "validate [-c FILE] [--live] [--json]",
		.about = "Checks a configuration file as the server would, without starting anything: every "
		         "mistake with\n"
			 "its place, all at once. Shows what the file says: routes, migrations, and what is "
		         "promised.\n"
			 "--live connects as the server would to publish, and sends nothing; what the file declares\n"
			 "(streams, queues) is created by that. Nothing is read from anywhere.",
		.examples = "  crossfade validate -c crossfade.yaml\n  crossfade validate -c crossfade.yaml "
		            "--json\n",
		.args = args,
		.arg_count = sizeof args / sizeof args[0],
	};
	struct found found = {0};
	struct loaded loaded;
	int status;

	if (!args_parse(&usage, argc, argv, NULL, &status))
		return status;
	if (strcmp(file, DEFAULT_FILE) == 0 && access(file, F_OK) != 0 && errno == ENOENT)
		return complain(EXIT_CONFIG, "which file? There is no " DEFAULT_FILE "; give -c FILE");
	status = loaded_init(&loaded, file) ? EXIT_DONE : EXIT_CONFIG;
	if (live && status == EXIT_DONE)
		found.lives = live_try(loaded.conf, &found.count);
	if (json)
		result_json(file, &loaded, &found);
	else if (status == EXIT_DONE)
		summary_print(loaded.conf);
	else
		errors_print(&loaded);
	if (!json && found.lives != NULL)
		found_print(&found);
	if (status == EXIT_DONE && !all_up(&found))
		status = EXIT_FAILED;
	free(found.lives);
	loaded_fini(&loaded);
	return status;
}
