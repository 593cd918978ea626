#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "args.h"
#include "load.h"
#include "output.h"
#include "tool.h"

static const char *
mirror_word(enum xf_mirror mirror)
{
	return mirror == XF_MIRROR_OFF ? "off" : mirror == XF_MIRROR_ON ? "on" : "required";
}

static void
endpoint_print(const char *label, const struct xf_conf_endpoint *endpoint)
{
	printf("    %-5s %s (%s)  %s\n", label, endpoint->transport->name, endpoint->transport->plugin,
	       endpoint->shown);
}

static void
promises_print(const struct xf_conf_route *route, const struct xf_conf_endpoint *sink, const char *side)
{
	for (size_t i = 0; i < route->source_count; i++) {
		printf("    %spromise: ", side);
		if (route->source_count > 1)
			printf("from %s: ", route->sources[i].transport->name);
		printf("%s\n", xf_conf_promise(&route->sources[i], sink));
	}
}

static void
route_print(const struct xf_conf_route *route)
{
	char percent[16];

	printf("  %s%s%s\n", colour_on(BOLD), route->name, colour_off());
	for (size_t i = 0; i < route->source_count; i++)
		endpoint_print("from", &route->sources[i]);
	if (route->migration == NULL) {
		endpoint_print("to", &route->sinks[0]);
		promises_print(route, &route->sinks[0], "");
		return;
	}
	xf_percent_format(route->migration->percent, percent);
	printf("    to    migration %s: %s, %s %% new, mirror %s\n", route->migration->name,
	       xf_stage_name(route->migration->percent, route->migration->mirror), percent,
	       mirror_word(route->migration->mirror));
	endpoint_print("old", &route->migration->sides[0]);
	endpoint_print("new", &route->migration->sides[1]);
	promises_print(route, &route->migration->sides[0], "old ");
	promises_print(route, &route->migration->sides[1], "new ");
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
	return object;
}

/* A sink with what is promised from each source to it. */
static cJSON *
sink_json(const struct xf_conf_route *route, const struct xf_conf_endpoint *sink)
{
	cJSON *object = endpoint_json(sink), *list = cJSON_AddArrayToObject(object, "promises");

	for (size_t i = 0; i < route->source_count; i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(xf_conf_promise(&route->sources[i], sink)));
	return object;
}

static cJSON *
route_json(const struct xf_conf_route *route)
{
	cJSON *object = cJSON_CreateObject(), *list, *to;

	cJSON_AddStringToObject(object, "name", route->name);
	list = cJSON_AddArrayToObject(object, "from");
	for (size_t i = 0; i < route->source_count; i++)
		cJSON_AddItemToArray(list, endpoint_json(&route->sources[i]));
	if (route->migration == NULL) {
		cJSON_AddItemToObject(object, "to", sink_json(route, &route->sinks[0]));
		return object;
	}
	to = cJSON_AddObjectToObject(object, "to");
	cJSON_AddStringToObject(to, "migration", route->migration->name);
	cJSON_AddNumberToObject(to, "percent", route->migration->percent / 100.0);
	cJSON_AddStringToObject(to, "mirror", mirror_word(route->migration->mirror));
	cJSON_AddStringToObject(to, "stage",
		                xf_stage_name(route->migration->percent, route->migration->mirror));
	cJSON_AddItemToObject(to, "old", sink_json(route, &route->migration->sides[0]));
	cJSON_AddItemToObject(to, "new", sink_json(route, &route->migration->sides[1]));
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

static void
result_json(const char *file, struct loaded *loaded)
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
		{"live", 0, NULL, "also connect to the brokers (not built yet)", &live, NULL},
	};
	const struct usage usage = {
		.line = "validate [-c FILE] [--json]",
		.about = "Checks a configuration file as the server would, without starting anything: every "
		         "mistake with\n"
			 "its place, all at once. Shows what the file says: routes, migrations, and what is "
		         "promised.",
		.examples = "  crossfade validate -c crossfade.yaml\n  crossfade validate -c crossfade.yaml "
		            "--json\n",
		.args = args,
		.arg_count = sizeof args / sizeof args[0],
	};
	struct loaded loaded;
	int status;

	if (!args_parse(&usage, argc, argv, NULL, &status))
		return status;
	if (strcmp(file, DEFAULT_FILE) == 0 && access(file, F_OK) != 0 && errno == ENOENT)
		return complain(EXIT_CONFIG, "which file? There is no " DEFAULT_FILE "; give -c FILE");
	if (live)
		return complain(
			EXIT_USAGE,
			"validate --live is not built yet; start crossfaded and look at crossfade status");
	status = loaded_init(&loaded, file) ? EXIT_DONE : EXIT_CONFIG;
	if (json)
		result_json(file, &loaded);
	else if (status == EXIT_DONE)
		summary_print(loaded.conf);
	else
		errors_print(&loaded);
	loaded_fini(&loaded);
	return status;
}
