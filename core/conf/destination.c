#include "conf/destination.h"

#define ALONE "alone in 'to': a destination is one sink, 'all', 'split' or a migration"

/* The names under which the route's sinks are known; as flow/flow.c gives them. */
static const char *
sink_name(struct xf_loading *l, const struct xf_conf_route *route, size_t i)
{
	return route->sink_count == 1 ? xf_arena_format(l->arena, "%s/to", route->name)
	                              : xf_arena_format(l->arena, "%s/to/%zu", route->name, i + 1);
}

/* ---- A migration ------------------------------------------------------------ */

enum { TO_MIGRATION };

static const struct xf_option *const migration_rows[] = {
	XF_ROW(.type = XF_OPTION_STRING, .flags = XF_OPTION_REQUIRED, .key = "migration"),
	XF_ELSEWHERE("all", ALONE),
	XF_ELSEWHERE("split", ALONE),
	XF_ELSEWHERE("key", "at the migration, whose key it is"),
	XF_ELSEWHERE("require", "beside 'all'"),
	NULL,
};

struct xf_conf_migration *
xf_migration_find(struct xf_loading *l, const struct xf_yaml *node, const char *name, const char *scope)
{
	size_t number = xf_names_find(&l->migration_names, xf_str(name));

	if (number != XF_NAMES_NONE)
		return &l->migrations[number];
	xf_read_name_refuse(l, node, scope, "migration", &l->migration_names);
	return NULL;
}

static void
migration_read(struct xf_loading *l, struct xf_conf_route *route, const struct xf_yaml *map, const char *scope)
{
	const struct xf_config *config = xf_read_rows(l, map, scope, migration_rows);
	const char *name = xf_read_text(config, TO_MIGRATION);

	route->to = XF_TO_MIGRATION;
	if (name != NULL)
		route->migration = xf_migration_find(l, xf_config_node(config, TO_MIGRATION), name, scope);
}

/* ---- Several sinks ---------------------------------------------------------- */

/* Which of them are up is one word where messages pass. */
static void
connections_check(struct xf_loading *l, const struct xf_conf_route *route, const struct xf_yaml *list, const char *word,
                  const char *scope)
{
	uint32_t sum = 0, before;

	for (size_t i = 0; i < route->sink_count; i++) {
		const struct xf_yaml_entry *given = xf_yaml_entry(list->items[i], "connections");

		before = sum;
		sum += route->sinks[i].connections;
		if (before <= XF_CONF_CONNECTIONS_MAX && sum > XF_CONF_CONNECTIONS_MAX)
			xf_report_error(l->report, given != NULL ? given->value->place : route->sinks[i].place,
			                "%s%s[%zu]: 'connections' come to %u with those of the sinks before it; expected at "
			                "most %d at all sinks of a route",
			                scope, word, i, sum, XF_CONF_CONNECTIONS_MAX);
	}
}

/* The items of LIST as the route's sinks. False (reported) where it is no list of them. */
static bool
sinks_read(struct xf_loading *l, struct xf_conf_route *route, const struct xf_yaml *list, enum xf_endpoint_kind kind,
           const char *word, const char *scope, uint32_t *weights)
{
	struct xf_conf_endpoint *sinks;

	if (list->bad)
		return false;
	if (list->kind != XF_YAML_LIST || list->count < 2 || list->count > XF_CONF_SINKS_MAX) {
		xf_report_error(l->report, list->place, "%s'%s' is %s; expected a list of 2 to %d sinks", scope, word,
		                list->kind != XF_YAML_LIST ? xf_yaml_kind_name(list)
		                                           : xf_arena_format(l->arena, "a list of %zu", list->count),
		                XF_CONF_SINKS_MAX);
		return false;
	}
	sinks = xf_arena_array(l->arena, list->count, sizeof(*sinks));
	route->sinks = sinks;
	route->sink_count = list->count;
	for (size_t i = 0; i < list->count; i++) {
		const struct xf_endpoint_setting setting = {
			.kind = kind,
			.scope = xf_arena_format(l->arena, "%s%s[%zu]: ", scope, word, i),
			.name = sink_name(l, route, i),
			.route = route->name,
		};

		xf_sink_read(l, list->items[i], &setting, &sinks[i], weights != NULL ? &weights[i] : NULL);
	}
	connections_check(l, route, list, word, scope);
	return true;
}

enum { ALL_SINKS, ALL_REQUIRE };

static const char *const require_words[] = {"all", "any", "first", NULL}; /* as in enum xf_require */

static const struct xf_option *const all_rows[] = {
	XF_ROW(.type = XF_OPTION_NODE, .flags = XF_OPTION_REQUIRED, .key = "all"),
	XF_ROW(.type = XF_OPTION_ENUM, .key = "require", .def = "all", .values = require_words),
	XF_ELSEWHERE("split", ALONE),
	XF_ELSEWHERE("key", "at the route"),
	NULL,
};

static void
all_read(struct xf_loading *l, struct xf_conf_route *route, const struct xf_yaml *map, const char *scope)
{
	const struct xf_config *config = xf_read_rows(l, map, scope, all_rows);

	route->to = XF_TO_ALL;
	route->require = (enum xf_require)xf_config_option(config, ALL_REQUIRE)->i64;
	sinks_read(l, route, xf_config_node(config, ALL_SINKS), XF_ENDPOINT_SINK, "all", scope, NULL);
	for (size_t i = 0; route->require == XF_REQUIRE_ANY && i < route->sink_count; i++)
		if (route->sinks[i].when_down == XF_WHEN_DOWN_SPOOL)
			xf_report_error(l->report, route->sinks[i].place,
			                "%sall[%zu]: 'when_down: spool' with 'require: any', where what one sink cannot take another "
			                "does; expected wait or drop", scope, i);
}

enum { SPLIT_SINKS, SPLIT_KEY };

static const struct xf_option *const split_rows[] = {
	XF_ROW(.type = XF_OPTION_NODE, .flags = XF_OPTION_REQUIRED, .key = "split"),
	XF_ROW(.type = XF_OPTION_STRING, .key = "key"),
	XF_ELSEWHERE("require", "beside 'all'"),
	NULL,
};

/* Which sink a message goes to is its key's: the route's, or the split's own. */
static void
split_key_read(struct xf_loading *l, struct xf_conf_route *route, const struct xf_config *config,
               const struct xf_yaml *route_key, const char *scope)
{
	const struct xf_yaml *node = xf_config_node(config, SPLIT_KEY);

	if (node != NULL && route_key != NULL) {
		xf_report_error(l->report, xf_config_key_place(config, SPLIT_KEY),
		                "%s'key' beside the route's own at %s; expected one of them", scope,
		                xf_place_text(l->arena, route_key->place));
	} else if (node != NULL) {
		route->key = xf_read_template(l, config, SPLIT_KEY, scope, "key");
		xf_read_key_warn(l, route->key, node, scope);
		l->route_notes[route - l->routes].key = node->place;
	} else if (route_key == NULL) {
		route->key = xf_read_constant(l, "{key|id}");
	}
}

static void
weights_check(struct xf_loading *l, const struct xf_conf_route *route, const struct xf_yaml *list, const char *scope)
{
	uint32_t sum = 0;
	char text[16];

	for (size_t i = 0; i < route->sink_count; i++) {
		if (route->weights[i] == UINT32_MAX)
			return; /* missing or wrong, and reported */
		sum += route->weights[i];
	}
	xf_percent_format(sum, text);
	if (sum != 10000)
		xf_report_error(l->report, list->place, "%s'split': the weights make %s; expected 100 in all", scope, text);
}

static void
split_read(struct xf_loading *l, struct xf_conf_route *route, const struct xf_yaml *map,
           const struct xf_yaml *route_key, const char *scope)
{
	const struct xf_config *config = xf_read_rows(l, map, scope, split_rows);
	const struct xf_yaml *list = xf_config_node(config, SPLIT_SINKS);
	uint32_t *weights = xf_arena_array(l->arena, list->count, sizeof(*weights));

	for (size_t i = 0; i < list->count; i++)
		weights[i] = UINT32_MAX;
	route->to = XF_TO_SPLIT;
	route->weights = weights;
	split_key_read(l, route, config, route_key, scope);
	if (sinks_read(l, route, list, XF_ENDPOINT_SHARE, "split", scope, weights))
		weights_check(l, route, list, scope);
}

/* ---- The kinds -------------------------------------------------------------- */

static void
destination_read(struct xf_loading *l, struct xf_conf_route *route, const struct xf_yaml *node,
                 const struct xf_yaml *key, const char *route_scope)
{
	const char *scope = xf_arena_format(l->arena, "%sto: ", route_scope);
	struct xf_endpoint_setting setting = {.kind = XF_ENDPOINT_SINK, .scope = scope, .route = route->name};
	struct xf_conf_endpoint *sink;

	if (node->kind == XF_YAML_SCALAR && !node->null && !node->bad && strcmp(node->text.data, "reply") == 0) {
		route->to = XF_TO_REPLY;
	} else if (xf_yaml_entry(node, "migration") != NULL) {
		migration_read(l, route, node, scope);
	} else if (xf_yaml_entry(node, "all") != NULL) {
		all_read(l, route, node, scope);
	} else if (xf_yaml_entry(node, "split") != NULL) {
		split_read(l, route, node, key, scope);
	} else if (node->kind == XF_YAML_LIST && !node->bad) {
		xf_report_error(l->report, node->place,
		                "%sa list; expected {all: [...]} to publish to each of them, or {split: [...]} to choose one",
		                scope);
	} else {
		sink = xf_arena_alloc(l->arena, sizeof(*sink));
		route->sinks = sink;
		route->sink_count = 1;
		setting.name = sink_name(l, route, 0);
		xf_sink_read(l, node, &setting, sink, NULL);
	}
}

void
xf_destination_read(struct xf_loading *l, struct xf_conf_route *route, const struct xf_yaml *node,
                    const struct xf_yaml *key, const char *scope)
{
	struct xf_conf_endpoint *sinks;

	destination_read(l, route, node, key, scope);
	sinks = (struct xf_conf_endpoint *)route->sinks;
	for (size_t i = 0; i < route->sink_count; i++)
		sinks[i].when_down = xf_conf_when_down(route, &sinks[i]);
}
