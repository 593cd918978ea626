/*
 * `pools`: slots that several routes share.
 */
#include "conf/read.h"

enum { POOLS_MAX = 1000 };

enum { POOL_CONCURRENCY, POOL_SHARE };

static const struct xf_option *const pool_rows[] = {
	XF_ROW(.type = XF_OPTION_I64, .flags = XF_OPTION_REQUIRED, .key = "concurrency", .min = 1, .max = 1000000, .unit = "messages",
	       .help = "how many messages the routes' handlers work on at once"),
	XF_ROW(.type = XF_OPTION_PERCENT, .key = "share", .def = "5"),
	NULL,
};

static void
pool_read(struct xf_loading *l, const struct xf_yaml_entry *entry)
{
	struct xf_conf_pool *pool = &l->pools[l->conf->pool_count++];
	const char *scope = xf_read_scope(l, "pool", entry->key);
	const struct xf_config *config;

	pool->name = entry->key;
	pool->place = entry->place;
	if (entry->value->kind != XF_YAML_MAP) {
		if (!entry->value->bad)
			xf_report_error(l->report, entry->value->place, "%s%s; expected a map like {concurrency: 8}", scope,
			                xf_yaml_kind_name(entry->value));
		return;
	}
	config = xf_read_rows(l, entry->value, scope, pool_rows);
	pool->concurrency = (uint32_t)xf_config_option(config, POOL_CONCURRENCY)->i64;
	pool->share = (uint32_t)xf_config_option(config, POOL_SHARE)->i64;
}

void
xf_pools_read(struct xf_loading *l, const struct xf_yaml *root)
{
	const struct xf_yaml *map = xf_read_section(l, root, "pools", XF_YAML_MAP, "a map from names to pools");

	if (map == NULL)
		return;
	l->pools = xf_arena_array(l->arena, map->count, sizeof(*l->pools));
	l->conf->pools = l->pools;
	for (size_t i = 0; i < map->count; i++) {
		if (i == POOLS_MAX) {
			xf_report_error(l->report, map->entries[i].place, "more than %d pools", POOLS_MAX);
			break;
		}
		if (!xf_read_name(l, map->entries[i].place, "pool", map->entries[i].key))
			continue;
		xf_names_add(&l->pool_names, map->entries[i].key);
		pool_read(l, &map->entries[i]);
	}
}

/* ---- A route's ------------------------------------------------------------------------------- */

enum { MEMBER_NAME, MEMBER_PRIORITY };

static const struct xf_option *const member_rows[] = {
	XF_ROW(.type = XF_OPTION_STRING, .flags = XF_OPTION_REQUIRED, .key = "name"),
	XF_ROW(.type = XF_OPTION_I64, .key = "priority", .def = "0", .min = 0, .max = 1000),
	NULL,
};

void
xf_route_pool_read(struct xf_loading *l, struct xf_conf_route *route, const struct xf_yaml *node, const char *scope)
{
	const struct xf_yaml *named = node;
	const char *name;
	size_t number;

	if (node == NULL || node->bad)
		return;
	if (node->kind == XF_YAML_MAP) {
		const struct xf_config *config = xf_read_rows(l, node, xf_arena_format(l->arena, "%spool: ", scope), member_rows);

		if (!xf_config_sound(config))
			return;
		named = xf_config_node(config, MEMBER_NAME);
		name = xf_read_text(config, MEMBER_NAME);
		route->pool_priority = (uint32_t)xf_config_option(config, MEMBER_PRIORITY)->i64;
	} else if (node->kind == XF_YAML_SCALAR && !node->null) {
		name = node->text.data;
	} else {
		xf_report_error(l->report, node->place, "%s'pool' is %s; expected the name of one of 'pools', or {name: NAME, priority: 5}",
		                scope, xf_yaml_kind_name(node));
		return;
	}
	number = xf_names_find(&l->pool_names, xf_str(name));
	if (number == XF_NAMES_NONE)
		xf_read_name_refuse(l, named, scope, "pool", &l->pool_names);
	else if (route->handler_count == 0)
		xf_report_error(l->report, node->place, "%s'pool' without 'handlers', which are what a pool is for; expected both", scope);
	else
		route->pool = &l->pools[number];
}
