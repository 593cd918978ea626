/*
 * A migration as a source is two sources, one for each side. A side says where it publishes; what it says is read
 * again as a source, as far as the plugin's sources know the words (transport, mode, stream, exchange, ...), with
 * the subject and group of `from`, and what `old:` and `new:` say beside them. Without a subject, what the side
 * publishes is what is read.
 */
#include "conf/sources.h"

#include "conf/class.h"
#include "conf/destination.h"

enum {
	SOURCES_MAX = 64, /* of one route */
	SOURCES_ALL_MAX = 20000,
};

/* Where the next source of a route goes. */
struct sources {
	struct xf_loading *l;
	struct xf_conf_route *route;
	struct xf_conf_endpoint *list;
	size_t count; /* there will be */
	size_t next;
};

/* The name under which the source is known; as flow/flow.c gives it. */
static struct xf_endpoint_setting
setting_make(const struct sources *s, const char *scope)
{
	return (struct xf_endpoint_setting){
		.kind = XF_ENDPOINT_SOURCE,
		.scope = scope,
		.name = s->count == 1 ? xf_arena_format(s->l->arena, "%s/from", s->route->name)
		                      : xf_arena_format(s->l->arena, "%s/from/%zu", s->route->name, s->next + 1),
		.route = s->route->name,
		.max_in_flight = s->route->max_in_flight,
	};
}

/* ---- A side as a source ----------------------------------------------------- */

enum { FROM_MIGRATION, FROM_SUBJECT, FROM_GROUP, FROM_DRAIN_FIRST, FROM_OLD, FROM_NEW };

static const struct xf_option *const migration_rows[] = {
	XF_ROW(.type = XF_OPTION_STRING, .flags = XF_OPTION_REQUIRED, .key = "migration"),
	XF_ROW(.type = XF_OPTION_SUBJECT, .key = "subject"),
	XF_ROW(.type = XF_OPTION_STRING, .key = "group"),
	XF_ROW(.type = XF_OPTION_BOOL, .key = "drain_first", .def = "false"),
	XF_ROW(.type = XF_OPTION_NODE, .key = "old"),
	XF_ROW(.type = XF_OPTION_NODE, .key = "new"),
	XF_ELSEWHERE("transport", "at the migration, which says where its sides are"),
	NULL,
};

static bool
rows_have(const struct xf_option *const *rows, const char *key)
{
	for (size_t i = 0; rows != NULL && rows[i] != NULL; i++)
		if (strcmp(rows[i]->key, key) == 0)
			return true;
	return false;
}

/* Whether what a sink says under KEY holds for its source, too. */
static bool
key_is_shared(const struct xf_option *const *rows, const char *key)
{
	static const char *const core[] = {"transport", "envelope", "subject_escape"};
	static const char *const own[] = {"subject", "connections", "when_down", "spool", "in_place"};

	for (size_t i = 0; i < sizeof(core) / sizeof(*core); i++)
		if (strcmp(core[i], key) == 0)
			return true;
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (strcmp(own[i], key) == 0)
			return false;
	return rows_have(rows, key);
}

/* One side of a migration, about to be read. */
struct side {
	const struct xf_yaml *sink; /* a map: as the migration has it */
	const struct xf_template *subject; /* of what it publishes */
	const struct xf_yaml *own;  /* what `from` says about this side alone; NULL: nothing */
	const struct xf_option *const *rows;
	const struct xf_config *from;
	struct xf_conf_place place;
};

static void
entry_add(struct xf_yaml *map, const char *key, struct xf_conf_place place, const struct xf_yaml *value)
{
	map->entries[map->count++] = (struct xf_yaml_entry){key, place, (struct xf_yaml *)value};
}

static struct xf_yaml *
subject_node(struct xf_loading *l, const struct side *side)
{
	struct xf_yaml *node = xf_arena_alloc(l->arena, sizeof(*node));
	struct xf_buffer pattern = {0};

	xf_template_pattern(side->subject, &pattern);
	node->kind = XF_YAML_SCALAR;
	node->place = side->place;
	node->text = (struct xf_str){xf_arena_copy(l->arena, pattern.data, pattern.len), pattern.len};
	xf_buffer_fini(&pattern);
	return node;
}

/* The source's map; GROUP_KEY is what the plugin calls a group, or NULL. */
static struct xf_yaml *
side_map(struct xf_loading *l, const struct side *side, const char *group_key)
{
	struct xf_yaml *map = xf_read_empty_map(l, side->place);
	size_t own = side->own != NULL ? side->own->count : 0;

	map->entries = xf_arena_array(l->arena, side->sink->count + own + 2, sizeof(*map->entries));
	for (size_t i = 0; i < side->sink->count; i++) {
		const struct xf_yaml_entry *entry = &side->sink->entries[i];

		if (key_is_shared(side->rows, entry->key) &&
		    (side->own == NULL || xf_yaml_entry(side->own, entry->key) == NULL))
			entry_add(map, entry->key, entry->place, entry->value);
	}
	for (size_t i = 0; i < own; i++)
		entry_add(map, side->own->entries[i].key, side->own->entries[i].place, side->own->entries[i].value);
	if (xf_yaml_entry(map, "subject") == NULL && xf_config_node(side->from, FROM_SUBJECT) != NULL)
		entry_add(map, "subject", xf_config_key_place(side->from, FROM_SUBJECT),
		          xf_config_node(side->from, FROM_SUBJECT));
	else if (xf_yaml_entry(map, "subject") == NULL)
		entry_add(map, "subject", side->place, subject_node(l, side));
	if (group_key != NULL && xf_yaml_entry(map, group_key) == NULL)
		entry_add(map, group_key, xf_config_key_place(side->from, FROM_GROUP),
		          xf_config_node(side->from, FROM_GROUP));
	return map;
}

/* How many mistakes the source would have; none is reported. */
static size_t
side_try(struct xf_loading *l, const struct side *side, const struct xf_endpoint_setting *setting,
         const char *group_key)
{
	struct xf_report *report = l->report;
	struct xf_conf_endpoint scratch = {.connections = 1};
	size_t errors;

	l->report = xf_report_create(l->arena);
	xf_endpoint_read(l, side_map(l, side, group_key), setting, &scratch, NULL);
	errors = xf_report_errors(l->report);
	l->report = report;
	return errors;
}

/* What the plugin calls the group of consumers that share the messages: `group`, or where it refuses that here
 * `durable`; NULL where its sources know neither, since what they read is shared by nature. */
static const char *
group_key_find(struct xf_loading *l, const struct side *side, const struct xf_endpoint_setting *setting)
{
	bool group = rows_have(side->rows, "group"), durable = rows_have(side->rows, "durable");

	if (xf_config_node(side->from, FROM_GROUP) == NULL)
		return NULL;
	if (group && durable && side_try(l, side, setting, "group") > 0 && side_try(l, side, setting, "durable") == 0)
		return "durable";
	return group ? "group" : durable ? "durable" : NULL;
}

static void
side_read(struct sources *s, const struct xf_conf_migration *m, uint8_t number, const struct xf_config *from,
          struct xf_conf_place place, const char *outer_scope)
{
	static const char *const names[] = {"old", "new"};
	struct xf_loading *l = s->l;
	const char *scope = xf_arena_format(l->arena, "%s%s: ", outer_scope, names[number]);
	const struct xf_yaml *sink = l->migration_notes[m - l->migrations].sides[number];
	struct side side = {.own = xf_config_node(from, number == 0 ? FROM_OLD : FROM_NEW), .from = from, .place = place};
	struct xf_conf_endpoint *ep = &s->list[s->next];
	struct xf_endpoint_setting setting = setting_make(s, scope);
	const struct xf_yaml_entry *moved;

	s->next++;
	ep->place = place;
	ep->connections = 1;
	if (side.own != NULL && side.own->kind != XF_YAML_MAP) {
		if (!side.own->bad)
			xf_report_error(l->report, side.own->place, "%s%s; expected a map of options for reading this side",
			                scope, xf_yaml_kind_name(side.own));
		return;
	}
	moved = side.own != NULL ? xf_yaml_entry(side.own, "transport") : NULL;
	if (moved != NULL)
		xf_report_error(l->report, moved->place,
		                "%s'transport' does not stand here; expected it at the migration, which says where its "
		                "sides are",
		                scope);
	if (moved != NULL || sink == NULL || !xf_endpoint_sound(&m->sides[number]))
		return; /* said already */
	side.sink = xf_endpoint_map(l, sink);
	side.subject = m->sides[number].template;
	side.rows = xf_class_source(m->sides[number].transport->class).options;
	xf_endpoint_read(l, side_map(l, &side, group_key_find(l, &side, &setting)), &setting, ep, NULL);
	ep->place = place;
	ep->migration = m;
	ep->side = number;
}

static void
migration_read(struct sources *s, const struct xf_yaml *map, const char *scope)
{
	struct xf_loading *l = s->l;
	const struct xf_config *config = xf_read_rows(l, map, scope, migration_rows);
	const char *name = xf_read_text(config, FROM_MIGRATION);
	const struct xf_conf_migration *m = NULL;

	if (name != NULL)
		m = xf_migration_find(l, xf_config_node(config, FROM_MIGRATION), name, scope);
	if (xf_config_option(config, FROM_DRAIN_FIRST)->i64 == 1)
		s->route->drain_first = true;
	if (m == NULL || !xf_config_sound(config)) {
		s->list[s->next++].place = map->place;
		s->list[s->next++].place = map->place;
		return;
	}
	side_read(s, m, 0, config, map->place, scope);
	side_read(s, m, 1, config, map->place, scope);
}

/* ---- The list --------------------------------------------------------------- */

static bool
is_migration(const struct xf_yaml *item)
{
	return xf_yaml_entry(item, "migration") != NULL;
}

static void
item_read(struct sources *s, const struct xf_yaml *item, const char *scope)
{
	struct xf_conf_endpoint *ep = &s->list[s->next];
	struct xf_endpoint_setting setting;

	if (is_migration(item)) {
		migration_read(s, item, scope);
		return;
	}
	setting = setting_make(s, scope);
	s->next++;
	ep->place = item->place;
	ep->connections = 1;
	if (item->bad)
		return;
	if (item->kind == XF_YAML_MAP)
		xf_endpoint_read(s->l, item, &setting, ep, NULL);
	else
		xf_report_error(s->l->report, item->place, "%s%s; expected a map like {transport: NAME, subject: PATTERN}",
		                scope, xf_yaml_kind_name(item));
}

/* How many sources NODE is; 0 (reported) where it is none that can be read. */
static size_t
sources_count(struct xf_loading *l, const struct xf_yaml *const *items, size_t count, const struct xf_yaml *node,
              const char *scope)
{
	size_t migrations = 0, before = l->source_count;

	for (size_t i = 0; i < count && i < SOURCES_MAX; i++)
		if (is_migration(items[i]) && ++migrations == 2)
			xf_report_error(l->report, items[i]->place,
			                "%sfrom[%zu]: a second migration; expected at most one among the sources of a route",
			                scope, i);
	if (migrations > 1)
		return 0;
	if (count == 0 || count + migrations > SOURCES_MAX) {
		xf_report_error(l->report, node->place, "%s'from' is a list of %zu; expected 1 to %d sources", scope, count,
		                SOURCES_MAX);
		return 0;
	}
	l->source_count += count + migrations;
	if (l->source_count <= SOURCES_ALL_MAX)
		return count + migrations;
	if (before <= SOURCES_ALL_MAX)
		xf_report_error(l->report, node->place, "%sfrom: more than %d sources in all", scope, SOURCES_ALL_MAX);
	return 0;
}

void
xf_sources_read(struct xf_loading *l, struct xf_conf_route *route, const struct xf_yaml *node, const char *scope)
{
	bool list = node->kind == XF_YAML_LIST;
	const struct xf_yaml *const *items = list ? (const struct xf_yaml *const *)node->items : &node;
	size_t count = list ? node->count : 1;
	struct sources s = {.l = l, .route = route};

	s.count = sources_count(l, items, count, node, scope);
	if (s.count == 0)
		return;
	s.list = xf_arena_array(l->arena, s.count, sizeof(*s.list));
	for (size_t i = 0; i < count; i++)
		item_read(&s, items[i], list ? xf_arena_format(l->arena, "%sfrom[%zu]: ", scope, i)
		                             : xf_arena_format(l->arena, "%sfrom: ", scope));
	route->sources = s.list;
	route->source_count = s.count;
}
