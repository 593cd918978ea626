/*
 * `transports`: the settings of brokers, under names.
 */
#include "conf/class.h"
#include "conf/read.h"

enum { TRANSPORTS_MAX = 1000 };

enum { TRANSPORT_PLUGIN };

static const struct xf_option *const transport_rows[] = {
	XF_ROW(.type = XF_OPTION_STRING, .flags = XF_OPTION_REQUIRED, .key = "plugin",
	       .help = "the name of a transport plugin, like nats, redis, amqp or local"),
	NULL,
};

/* The class that the transport names, or NULL with a finding. */
static const struct xf_transport_class *
class_find(struct xf_loading *l, const struct xf_yaml *map, const char *scope, const char **plugin)
{
	const struct xf_yaml *node = xf_read_plugin(l, map, scope, transport_rows[TRANSPORT_PLUGIN]->help, plugin);
	const struct xf_transport_class *class;
	struct xf_error error = {{0}};

	if (node == NULL)
		return NULL;
	class = l->catalogue->transport(l->catalogue->context, *plugin, &error);
	if (class == NULL)
		xf_read_plugin_refuse(l, node, scope, &error);
	return class;
}

static void
transport_read(struct xf_loading *l, const struct xf_yaml_entry *entry)
{
	struct xf_conf_transport *t = &l->transports[l->conf->transport_count++];
	const char *scope = xf_read_scope(l, "transport", entry->key);
	struct xf_options_reader reader = {l->arena, l->report, scope, false};
	struct xf_table tables[2] = {{.rows = transport_rows}, {.rows = NULL}};

	t->name = entry->key;
	t->place = entry->place;
	if (entry->value->kind != XF_YAML_MAP) {
		if (!entry->value->bad)
			xf_report_error(l->report, entry->value->place, "%s%s; expected a map like {plugin: nats, url: ...}",
			                scope, xf_yaml_kind_name(entry->value));
		return;
	}
	t->class = class_find(l, entry->value, scope, &t->plugin);
	if (t->class != NULL)
		tables[1].rows = xf_class_options(t->class);
	reader.open = t->class == NULL;
	xf_options_read(&reader, entry->value, tables, 2);
	t->options = tables[1].config;
}

void
xf_transports_read(struct xf_loading *l, const struct xf_yaml *root)
{
	const struct xf_yaml *map = xf_read_section(l, root, "transports", XF_YAML_MAP, "a map from names to transports");

	if (map == NULL)
		return;
	l->transports = xf_arena_array(l->arena, map->count, sizeof(*l->transports));
	l->conf->transports = l->transports;
	for (size_t i = 0; i < map->count; i++) {
		if (i == TRANSPORTS_MAX) {
			xf_report_error(l->report, map->entries[i].place, "more than %d transports", TRANSPORTS_MAX);
			break;
		}
		if (!xf_read_name(l, map->entries[i].place, "transport", map->entries[i].key))
			continue;
		xf_names_add(&l->transport_names, map->entries[i].key);
		transport_read(l, &map->entries[i]);
	}
}
