/*
 * What is installed, without a running server: each plugin that a search by name would find is
 * loaded by the same catalogue that the server uses, so what is refused here is refused there.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/json.h"
#include "args.h"
#include "base/memory.h"
#include "client.h"
#include "conf/options.h"
#include "load.h"
#include "output.h"
#include "tool.h"

static const struct xf_plugin_info *
info_find(const struct xf_catalogue *catalogue, uint32_t kind, const char *class_name)
{
	size_t count;
	const struct xf_plugin_info *infos = xf_catalogue_loaded(catalogue, &count);

	for (size_t i = 0; i < count; i++)
		if (infos[i].kind == kind && strcmp(infos[i].class_name, class_name) == 0)
			return &infos[i];
	return NULL;
}

/* A catalogue that searches as FILE says, if one is given; exit status in *STATUS where it cannot be read. */
static bool
catalogue_open(struct loaded *loaded, const char *file, int *status)
{
	*status = EXIT_DONE;
	if (file == NULL) {
		*loaded = (struct loaded){.catalogue = xf_catalogue_create()};
		return true;
	}
	if (loaded_init(loaded, file))
		return true;
	fputs(loaded->errors.data != NULL ? loaded->errors.data : "", stderr);
	loaded_fini(loaded);
	*status = EXIT_CONFIG;
	return false;
}

/* ---- list --------------------------------------------------------------------------------------------- */

/* A class of either kind. */
struct found {
	const struct xf_transport_class *transport; /* NULL: a handler */
	const struct xf_handler_class *handler;
	const struct xf_plugin_info *info;
};

/* Class NAME, or the one in the file of that path; false with a reason. */
static bool
class_find(const struct loaded *loaded, uint32_t kind, const char *name, struct found *found, struct xf_error *error)
{
	const struct xf_class *head = NULL;

	*found = (struct found){NULL, NULL, NULL};
	if (kind == XF_KIND_TRANSPORT)
		found->transport = xf_catalogue_transport(loaded->catalogue, name, error);
	else
		found->handler = xf_catalogue_handler(loaded->catalogue, name, error);
	if (found->transport != NULL)
		head = &found->transport->head;
	else if (found->handler != NULL)
		head = &found->handler->head;
	if (head != NULL)
		found->info = info_find(loaded->catalogue, kind, head->name);
	return found->info != NULL;
}

static void
row_print(struct table *table, const struct found *found)
{
	const struct xf_transport_class *transport = found->transport;
	const struct xf_plugin_info *info = found->info;

	table_cell(table, PLAIN, "%s", info->class_name);
	table_cell(table, PLAIN, "%s", transport != NULL ? "transport" : "handler");
	table_cell(table, PLAIN, "%s", info->version);
	table_cell(table, PLAIN, "%" PRIu32 ".%" PRIu32, info->abi_major, info->abi_minor);
	table_cell(table, PLAIN, "%s", transport == NULL ? "-" : transport->source != NULL ? "yes" : "no");
	table_cell(table, PLAIN, "%s", transport == NULL ? "-" : transport->sink != NULL ? "yes" : "no");
	table_cell(table, PLAIN, "%s", info->summary);
}

static cJSON *
class_json(const struct found *found)
{
	cJSON *object = xf_json_plugin(found->info);

	if (found->transport != NULL) {
		cJSON_AddBoolToObject(object, "consumes", found->transport->source != NULL);
		cJSON_AddBoolToObject(object, "publishes", found->transport->sink != NULL);
	}
	return object;
}

/* All of KIND, to TABLE or to LIST. Returns how many there are. */
static size_t
kind_list(const struct loaded *loaded, uint32_t kind, struct table *table, cJSON *list, int *status)
{
	size_t count;
	char **names = xf_catalogue_names(loaded->catalogue, kind, &count);

	for (size_t i = 0; i < count; i++) {
		struct xf_error error = {{0}};
		struct found found;

		if (!class_find(loaded, kind, names[i], &found, &error))
			*status = complain(EXIT_FAILED, "refused: %s", error.text);
		else if (list != NULL)
			cJSON_AddItemToArray(list, class_json(&found));
		else
			row_print(table, &found);
		free(names[i]);
	}
	free(names);
	return count;
}

static int
list_print(const struct loaded *loaded, bool json)
{
	static const char *const titles[] = {"PLUGIN", "KIND", "VERSION", "ABI", "CONSUMES", "PUBLISHES", "SUMMARY"};
	cJSON *root = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(root, "plugins");
	int status = EXIT_DONE;
	struct table table;
	size_t count;

	table_begin(&table, titles, sizeof titles / sizeof titles[0]);
	count = kind_list(loaded, XF_KIND_TRANSPORT, &table, json ? list : NULL, &status);
	count += kind_list(loaded, XF_KIND_HANDLER, &table, json ? list : NULL, &status);
	if (count == 0)
		status = complain(EXIT_FAILED, "no plugin is found beside this program, nor in CROSSFADE_PLUGIN_DIR");
	if (json)
		json_print(root);
	else
		table_print(&table);
	cJSON_Delete(root);
	return status;
}

static int
list_run(int argc, char **argv)
{
	const char *file = NULL;
	bool json = false;
	const struct arg args[] = {
		{"config", 'c', "FILE", "also search the plugin_dirs of this file", NULL, &file},
		{"json", 0, NULL, "print the list as JSON", &json, NULL},
	};
	const struct usage usage = {
		.line = "plugin list [-c FILE] [--json]",
		.about = "The transports and handlers that `plugin: NAME` can name. One that would be refused is named "
		         "with the reason.",
		.examples = "  crossfade plugin list\n",
		.args = args,
		.arg_count = sizeof args / sizeof args[0],
	};
	struct loaded loaded;
	int status;

	if (!args_parse(&usage, argc, argv, NULL, &status) || !catalogue_open(&loaded, file, &status))
		return status;
	status = list_print(&loaded, json);
	loaded_fini(&loaded);
	return status;
}

/* ---- show --------------------------------------------------------------------------------------------- */

/* A bound as one would write it: 1500 as "1500ms" where it is a duration, 65536 as "64KiB" where it is a
 * size. */
static void
bound_format(uint32_t type, int64_t bound, char *out, size_t size)
{
	static const struct {
		int64_t of;
		const char *unit;
	} durations[] = {{3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}},
	  sizes[] = {{1LL << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}, {1, "B"}};
	size_t i = 0;

	/* Nanoseconds in 64 bits give a duration's last bound: 292 years. */
	if (bound == INT64_MAX || (type == XF_OPTION_DURATION && bound == INT64_MAX / 1000000)) {
		snprintf(out, size, "any");
	} else if (type == XF_OPTION_PERCENT) {
		snprintf(out, size, "%.6g%%", (double)bound / 100);
	} else if (bound == 0 || (type != XF_OPTION_DURATION && type != XF_OPTION_BYTES)) {
		snprintf(out, size, "%" PRId64, bound);
	} else if (type == XF_OPTION_DURATION) {
		while (bound % durations[i].of != 0)
			i++;
		snprintf(out, size, "%" PRId64 "%s", bound / durations[i].of, durations[i].unit);
	} else {
		while (bound % sizes[i].of != 0)
			i++;
		snprintf(out, size, "%" PRId64 "%s", bound / sizes[i].of, sizes[i].unit);
	}
}

/* "one of a, b", "1s to 10m messages". */
static void
bounds_format(const struct xf_option *row, struct xf_buffer *out)
{
	char min[32], max[32];

	if (row->values != NULL) {
		for (size_t i = 0; row->values[i] != NULL; i++)
			xf_buffer_printf(out, "%s%s", i ? " | " : "", row->values[i]);
	} else if (row->min != row->max) {
		bound_format(row->type, row->min, min, sizeof min);
		bound_format(row->type, row->max, max, sizeof max);
		xf_buffer_printf(out, "%s to %s", min, max);
	}
	if (row->unit != NULL)
		xf_buffer_printf(out, "%s%s", out->len ? " " : "", row->unit);
}

/* The rows of a table, those of a mapping behind it as "streams.name". JSON is the same table as JSON. */
static void
rows_add(struct table *table, const struct xf_option *const *rows, const cJSON *json, const char *prefix)
{
	for (int i = 0; rows != NULL && rows[i] != NULL; i++) {
		const struct xf_option *row = rows[i];
		cJSON *item = cJSON_GetArrayItem(json, i);
		struct xf_buffer bounds = {0};
		const struct xf_option *whole;
		const char *member = xf_option_member(rows, row, &whole);

		bounds_format(row, &bounds);
		if (member != NULL)
			table_cell(table, BOLD, "%s%s.%s", prefix, whole->key, member);
		else
			table_cell(table, BOLD, "%s%s%s", prefix, row->key,
			           row->flags & XF_OPTION_REQUIRED ? " (required)" : "");
		table_cell(table, PLAIN, "%s%s%s", row->flags & XF_OPTION_LIST ? "list of " : "",
			   json_text(item, "type"), row->flags & XF_OPTION_SECRET ? ", secret" : "");
		table_cell(table, PLAIN, "%s", row->def != NULL ? row->def : "-");
		table_cell(table, PLAIN, "%s", bounds.len ? bounds.data : "");
		table_cell(table, PLAIN, "%s%s", row->help != NULL ? row->help : "",
			   row->flags & XF_OPTION_DEPRECATED ? " (deprecated)" : "");
		xf_buffer_fini(&bounds);
		if (row->fields != NULL) {
			char *inner = xf_format("%s%s%s.", prefix, row->key,
				                row->flags & XF_OPTION_LIST ? "[]" : "");

			rows_add(table, row->fields, cJSON_GetObjectItemCaseSensitive(item, "fields"), inner);
			free(inner);
		}
	}
}

static void
options_print(const char *title, const struct xf_option *const *rows)
{
	static const char *const titles[] = {"OPTION", "TYPE", "DEFAULT", "BOUNDS", "HELP"};
	cJSON *json = xf_json_options(rows);
	struct table table;

	printf("\n%s%s%s\n", colour_on(BOLD), title, colour_off());
	if (rows == NULL || rows[0] == NULL) {
		printf("none\n");
	} else {
		table_begin(&table, titles, sizeof titles / sizeof titles[0]);
		rows_add(&table, rows, json, "");
		table_print(&table);
	}
	cJSON_Delete(json);
}

static void
class_print(const struct found *found)
{
	const struct xf_transport_class *class = found->transport;
	const struct xf_plugin_info *info = found->info;

	printf("%s%s%s: %s\n", colour_on(BOLD), info->class_name, colour_off(), info->summary);
	printf("  version %s, built for plugin interface %" PRIu32 ".%" PRIu32 "\n  %s\n  %s\n",
	       info->version, info->abi_major, info->abi_minor, info->id, info->file);
	if (class == NULL) {
		options_print("handler (in handlers:)", found->handler->options);
		return;
	}
	options_print("transport (under transports:)", class->options);
	if (class->source != NULL)
		options_print("source (in from:)", class->source_options);
	else
		printf("\ncannot be consumed from\n");
	if (class->sink != NULL)
		options_print("sink (in to:, old:, new:)", class->sink_options);
	else
		printf("\ncannot be published to\n");
}

static void
show_json(const struct found *found)
{
	cJSON *root = class_json(found), *options = cJSON_AddObjectToObject(root, "options");

	if (found->transport != NULL) {
		cJSON_AddItemToObject(options, "transport", xf_json_options(found->transport->options));
		cJSON_AddItemToObject(options, "source", xf_json_options(found->transport->source_options));
		cJSON_AddItemToObject(options, "sink", xf_json_options(found->transport->sink_options));
	} else
		cJSON_AddItemToObject(options, "handler", xf_json_options(found->handler->options));
	json_print(root);
	cJSON_Delete(root);
}

static int
show_run(int argc, char **argv)
{
	const char *file = NULL, *name;
	bool json = false, handler = false;
	const struct arg args[] = {
		{"config", 'c', "FILE", "also search the plugin_dirs of this file", NULL, &file},
		{"handler", 0, NULL, "the handler of that name, where a transport has it too", &handler, NULL},
		{"json", 0, NULL, "print it as JSON", &json, NULL},
	};
	const struct usage usage = {
		.line = "plugin show NAME [--handler] [-c FILE] [--json]",
		.about = "A transport or handler plugin (by name, or a path with a slash) and every option that it "
		         "takes.",
		.examples = "  crossfade plugin show nats\n  crossfade plugin show exec\n  crossfade plugin show "
		            "./crossfade-transport-mine.so\n",
		.args = args,
		.arg_count = sizeof args / sizeof args[0],
		.words_min = 1,
		.words_max = 1,
	};
	struct xf_error error = {{0}}, other;
	struct loaded loaded;
	struct found found;
	int status;

	if (!args_parse(&usage, argc, argv, &name, &status) || !catalogue_open(&loaded, file, &status))
		return status;
	if (!class_find(&loaded, handler ? XF_KIND_HANDLER : XF_KIND_TRANSPORT, name, &found, &error) &&
	    (handler || !class_find(&loaded, XF_KIND_HANDLER, name, &found, &other)))
		status = complain(EXIT_FAILED, "%s",
		                  !handler && strncmp(other.text, "no handler", 10) != 0 ? other.text : error.text);
	else if (json)
		show_json(&found);
	else
		class_print(&found);
	loaded_fini(&loaded);
	return status;
}

static const struct verb subverbs[] = {
	{"list", "what is installed", .run = list_run},
	{"show", "one plugin and all its options", .run = show_run},
	{0},
};

const struct verb verb_plugin = {"plugin", "list, show: what is installed, and its options", .subverbs = subverbs};
