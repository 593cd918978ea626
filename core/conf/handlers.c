#include "conf/handlers.h"

enum { HANDLER_PLUGIN, HANDLER_TIMEOUT };

static const struct xf_option *const handler_rows[] = {
	XF_ROW(.type = XF_OPTION_STRING, .flags = XF_OPTION_REQUIRED, .key = "plugin",
	       .help = "the name of a handler plugin, like exec or filter"),
	XF_ROW(.type = XF_OPTION_DURATION, .key = "timeout", .min = 1, .max = INT64_C(24) * 3600000),
	NULL,
};

/* What the table cannot say; a refusal is reported. */
static void
plugin_ask(struct xf_loading *l, struct xf_conf_handler *handler, struct xf_conf_place timeout, const char *route, const char *scope)
{
	const struct xf_handler_ops *ops = handler->class->ops;
	const struct xf_handler_info info = {
		.struct_size = sizeof(info),
		.name = xf_str(handler->name),
		.route = xf_str(route),
		.server = xf_str(l->conf->server.name),
	};
	struct xf_error error = {{0}};

	handler->holds = ops->work != NULL ||
	                 (ops->traits != NULL && (ops->traits(l->catalogue->host, handler->options) & XF_HANDLER_HOLDS));
	if (handler->holds && ops->cancel == NULL)
		xf_report_error(l->report, handler->place, "%sits plugin may hold messages and has no cancel(); take another build of it",
		                scope);
	if (handler->timeout_ms > 0 && !handler->holds)
		xf_report_error(l->report, timeout, "%s'timeout' at a handler that answers at once; expected none", scope);
	if (ops->check == NULL || ops->check(l->catalogue->host, handler->options, &info, &error) == 0)
		return;
	error.text[sizeof(error.text) - 1] = '\0';
	xf_report_error(l->report, handler->place, "%s%s", scope,
	                error.text[0] != '\0' ? xf_report_redact(l->report, error.text)
	                                      : "refused by its plugin without a reason");
}

/* "orders/filter"; the second of its plugin "orders/filter/2". */
static const char *
name_make(struct xf_loading *l, const struct xf_conf_route *route, const struct xf_conf_handler *list, size_t index)
{
	const char *class = list[index].class->head.name;
	size_t number = 1;

	for (size_t i = 0; i < index; i++)
		number += list[i].class != NULL && strcmp(list[i].class->head.name, class) == 0;
	return number == 1 ? xf_arena_format(l->arena, "%s/%s", route->name, class)
	                   : xf_arena_format(l->arena, "%s/%s/%zu", route->name, class, number);
}

static void
handler_read(struct xf_loading *l, const struct xf_conf_route *route, const struct xf_yaml *node,
             struct xf_conf_handler *list, size_t index, const char *scope)
{
	struct xf_options_reader reader = {l->arena, l->report, scope, false};
	struct xf_table tables[2] = {{.rows = handler_rows}, {.rows = NULL}};
	struct xf_conf_handler *handler = &list[index];
	const struct xf_yaml *plugin;
	struct xf_error error = {{0}};

	handler->place = node->place;
	if (node->kind != XF_YAML_MAP) {
		if (!node->bad)
			xf_report_error(l->report, node->place, "%s%s; expected a map like {plugin: filter, ...}", scope,
			                xf_yaml_kind_name(node));
		return;
	}
	plugin = xf_read_plugin(l, node, scope, handler_rows[HANDLER_PLUGIN]->help, &handler->plugin);
	if (plugin != NULL) {
		handler->class = l->catalogue->handler(l->catalogue->context, handler->plugin, &error);
		if (handler->class == NULL)
			xf_read_plugin_refuse(l, plugin, scope, &error);
		else
			tables[1].rows = handler->class->options;
	}
	reader.open = handler->class == NULL;
	xf_options_read(&reader, node, tables, 2);
	handler->options = tables[1].config;
	handler->timeout_ms = (uint64_t)xf_config_option(tables[0].config, HANDLER_TIMEOUT)->i64;
	if (handler->class == NULL || !xf_config_sound(tables[0].config) || !xf_config_sound(handler->options))
		return;
	handler->name = name_make(l, route, list, index);
	plugin_ask(l, handler, handler->timeout_ms > 0 ? xf_config_node(tables[0].config, HANDLER_TIMEOUT)->place : handler->place,
	           route->name, scope);
}

/* Where a message would have to be what it was before they worked on it. */
static void
fit_check(struct xf_loading *l, const struct xf_conf_route *route, const struct xf_yaml *list, const char *scope)
{
	if (route->drain_first)
		xf_report_error(l->report, list->place,
		                "%s'handlers' beside 'drain_first', where messages wait as they came; expected one of them", scope);
	if (route->migration != NULL && route->migration->sides[0].in_place)
		xf_report_error(l->report, list->place,
		                "%s'handlers' in front of migration '%s', whose 'old' is in place: what comes stands there already, as it "
		                "came; expected them at a route without 'in_place'",
		                scope, route->migration->name);
}

void
xf_handlers_read(struct xf_loading *l, struct xf_conf_route *route, const struct xf_yaml *list, const char *scope)
{
	struct xf_conf_handler *handlers;

	if (list == NULL || list->bad)
		return;
	if (list->kind != XF_YAML_LIST) {
		xf_report_error(l->report, list->place, "%s'handlers' is %s; expected a list like [{plugin: filter, ...}]", scope,
		                xf_yaml_kind_name(list));
		return;
	}
	if (list->count > XF_CONF_HANDLERS_MAX) {
		xf_report_error(l->report, list->place, "%s%zu handlers; expected at most %d", scope, list->count,
		                XF_CONF_HANDLERS_MAX);
		return;
	}
	if (list->count > 0)
		fit_check(l, route, list, scope);
	handlers = xf_arena_array(l->arena, list->count, sizeof(*handlers));
	for (size_t i = 0; i < list->count; i++)
		handler_read(l, route, list->items[i], handlers, i,
		             xf_arena_format(l->arena, "%shandler %zu: ", scope, i + 1));
	route->handlers = handlers;
	route->handler_count = list->count;
}
