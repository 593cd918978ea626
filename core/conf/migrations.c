/*
 * `migrations`: an old and a new sink under a name, and the first position of their two knobs.
 */
#include "conf/endpoint.h"

enum { MIGRATIONS_MAX = 1000 };

enum { MIGRATION_OLD, MIGRATION_NEW, MIGRATION_PERCENT, MIGRATION_MIRROR, MIGRATION_STAGE, MIGRATION_KEY,
       MIGRATION_HANDOVER };

static const char *const mirror_words[] = {"false", "true", "required", NULL}; /* as in enum xf_mirror */
static const char *const stage_words[] = {"off", "dualwrite", "live", "rampdown", "complete", NULL};

static const struct xf_option *const migration_rows[] = {
	XF_ROW(.type = XF_OPTION_NODE, .flags = XF_OPTION_REQUIRED, .key = "old", .help = "the sink that is left"),
	XF_ROW(.type = XF_OPTION_NODE, .flags = XF_OPTION_REQUIRED, .key = "new", .help = "the sink that is moved to"),
	XF_ROW(.type = XF_OPTION_PERCENT, .key = "percent", .def = "0"),
	XF_ROW(.type = XF_OPTION_ENUM, .key = "mirror", .def = "false", .values = mirror_words),
	XF_ROW(.type = XF_OPTION_ENUM, .key = "stage", .values = stage_words),
	XF_ROW(.type = XF_OPTION_STRING, .key = "key", .def = "{key|id}"),
	XF_ROW(.type = XF_OPTION_DURATION, .key = "handover_timeout", .def = "5s", .min = 1, .max = 86400000),
	XF_ELSEWHERE("drain_first", "beside 'migration' in a route's 'from'"),
	XF_ELSEWHERE("group", "beside 'migration' in a route's 'from'"),
	XF_ELSEWHERE("order", "at the route"),
	NULL,
};

/* What a stage says about the two knobs. */
struct stage {
	int64_t percent; /* -1: between 0 and 100 */
	int mirror;      /* 0, 1; -1: either */
};

static const struct stage stages[] = {{0, 0}, {0, 1}, {-1, -1}, {10000, 1}, {10000, 0}};

static void
stage_apply(struct xf_loading *l, struct xf_conf_migration *m, const struct xf_config *config, const char *scope)
{
	const struct xf_value *word = xf_config_option(config, MIGRATION_STAGE);
	const struct xf_yaml *percent = xf_config_node(config, MIGRATION_PERCENT);
	const struct xf_yaml *mirror = xf_config_node(config, MIGRATION_MIRROR);
	const struct xf_yaml *node = xf_config_node(config, MIGRATION_STAGE);
	const struct stage *stage;
	char text[16];

	if (node == NULL || !xf_config_sound(config))
		return;
	stage = &stages[word->i64];
	if (stage->percent < 0 && percent == NULL) {
		xf_report_error(l->report, node->place, "%sstage 'live' without 'percent'; expected one between 0 and 100",
		                scope);
	} else if (stage->percent < 0 && (m->percent == 0 || m->percent == 10000)) {
		xf_report_error(l->report, percent->place,
		                "%s'percent' is %s, which stage 'live' is not; expected one between 0 and 100; did you "
		                "mean stage '%s'?",
		                scope, xf_read_shown(l, percent), xf_stage_name(m->percent, m->mirror));
	} else if (stage->percent >= 0 && percent != NULL && m->percent != stage->percent) {
		xf_percent_format((uint32_t)stage->percent, text);
		xf_report_error(l->report, percent->place,
		                "%s'percent' is %s, but stage '%s' is %s; expected only one of them", scope,
		                xf_read_shown(l, percent), word->str.data, text);
	}
	if (stage->mirror >= 0 && mirror != NULL && (m->mirror != XF_MIRROR_OFF) != stage->mirror)
		xf_report_error(l->report, mirror->place, "%s'mirror' is %s, but stage '%s' %s; expected only one of them",
		                scope, xf_read_shown(l, mirror), word->str.data, stage->mirror ? "mirrors" : "does not mirror");
	if (stage->percent >= 0)
		m->percent = (uint32_t)stage->percent;
	if (stage->mirror == 0)
		m->mirror = XF_MIRROR_OFF;
	else if (stage->mirror == 1 && m->mirror == XF_MIRROR_OFF)
		m->mirror = XF_MIRROR_ON;
}

/* What came from such an old side stands there already, so it must stay authoritative, and the copy is all there is to
 * do. */
static void
in_place_check(struct xf_loading *l, const struct xf_conf_migration *m, const char *scope)
{
	const struct xf_migration_notes *notes = &l->migration_notes[m - l->migrations];

	if (m->percent != 0)
		xf_report_error(l->report, notes->percent,
		                "%s'old' is in place, but not authoritative for every message; expected percent 0 until "
		                "producers publish to an entry name or over HTTP, and 'in_place' is taken out",
		                scope);
	if (m->mirror == XF_MIRROR_OFF)
		xf_report_error(l->report, m->sides[0].place,
		                "%sold: 'in_place' without 'mirror', which would publish nothing at all; expected 'mirror: "
		                "true' or 'required' at the migration",
		                scope);
}

static void
knobs_read(struct xf_loading *l, struct xf_conf_migration *m, const struct xf_config *config, const char *scope)
{
	struct xf_migration_notes *notes = &l->migration_notes[m - l->migrations];
	const struct xf_yaml *node;

	m->percent = (uint32_t)xf_config_option(config, MIGRATION_PERCENT)->i64;
	m->mirror = (enum xf_mirror)xf_config_option(config, MIGRATION_MIRROR)->i64;
	m->handover_timeout_ms = (uint64_t)xf_config_option(config, MIGRATION_HANDOVER)->i64;
	stage_apply(l, m, config, scope);
	if ((node = xf_config_node(config, MIGRATION_STAGE)) != NULL ||
	    (node = xf_config_node(config, MIGRATION_PERCENT)) != NULL)
		notes->percent = node->place;
	m->key = xf_read_template(l, config, MIGRATION_KEY, scope, "key");
	node = xf_config_node(config, MIGRATION_KEY);
	xf_read_key_warn(l, m->key, node, scope);
	if (node != NULL)
		notes->key = node->place;
}

static void
migration_read(struct xf_loading *l, const struct xf_yaml_entry *entry)
{
	static const char *const sides[] = {"old", "new"};
	struct xf_conf_migration *m = &l->migrations[l->conf->migration_count];
	struct xf_migration_notes *notes = &l->migration_notes[l->conf->migration_count++];
	const char *scope = xf_read_scope(l, "migration", entry->key);
	const struct xf_config *config;

	m->name = entry->key;
	m->place = notes->key = notes->percent = entry->place;
	if (entry->value->kind != XF_YAML_MAP) {
		if (!entry->value->bad)
			xf_report_error(l->report, entry->value->place, "%s%s; expected a map with 'old' and 'new'", scope,
			                xf_yaml_kind_name(entry->value));
		return;
	}
	config = xf_read_rows(l, entry->value, scope, migration_rows);
	knobs_read(l, m, config, scope);
	for (uint32_t i = 0; i < 2; i++) {
		const struct xf_endpoint_setting setting = {
			.kind = i == 0 ? XF_ENDPOINT_OLD : XF_ENDPOINT_NEW,
			.scope = xf_arena_format(l->arena, "%s%s: ", scope, sides[i]),
			.name = xf_arena_format(l->arena, "%s/%s", m->name, sides[i]),
		};

		m->sides[i].place = entry->place;
		notes->sides[i] = xf_config_node(config, i == 0 ? MIGRATION_OLD : MIGRATION_NEW);
		if (notes->sides[i] != NULL)
			xf_sink_read(l, notes->sides[i], &setting, &m->sides[i], NULL);
	}
	if (m->sides[0].in_place)
		in_place_check(l, m, scope);
}

void
xf_migrations_read(struct xf_loading *l, const struct xf_yaml *root)
{
	const struct xf_yaml *map = xf_read_section(l, root, "migrations", XF_YAML_MAP, "a map from names to migrations");

	if (map == NULL)
		return;
	l->migrations = xf_arena_array(l->arena, map->count, sizeof(*l->migrations));
	l->migration_notes = xf_arena_array(l->arena, map->count, sizeof(*l->migration_notes));
	l->conf->migrations = l->migrations;
	for (size_t i = 0; i < map->count; i++) {
		if (i == MIGRATIONS_MAX) {
			xf_report_error(l->report, map->entries[i].place, "more than %d migrations", MIGRATIONS_MAX);
			break;
		}
		if (!xf_read_name(l, map->entries[i].place, "migration", map->entries[i].key))
			continue;
		xf_names_add(&l->migration_names, map->entries[i].key);
		migration_read(l, &map->entries[i]);
	}
}
