#include "conf/read.h"

#include <stdlib.h>

#include "base/assert.h"
#include "conf/file.h"
#include "conf/scalar.h"

const char *
xf_read_scope(struct xf_loading *l, const char *what, const char *name)
{
	return xf_arena_format(l->arena, "%s '%s': ", what, name);
}

const char *
xf_read_shown(struct xf_loading *l, const struct xf_yaml *node)
{
	return xf_yaml_show(l->report, l->arena, node);
}

struct xf_yaml *
xf_read_empty_map(struct xf_loading *l, struct xf_conf_place place)
{
	struct xf_yaml *map = xf_arena_alloc(l->arena, sizeof(*map));

	map->kind = XF_YAML_MAP;
	map->place = place;
	return map;
}

const struct xf_yaml *
xf_read_section(struct xf_loading *l, const struct xf_yaml *root, const char *key, enum xf_yaml_kind kind,
                const char *expected)
{
	const struct xf_yaml_entry *entry = xf_yaml_entry(root, key);

	if (entry == NULL || entry->value->null || entry->value->bad)
		return NULL;
	if (entry->value->kind == kind)
		return entry->value;
	xf_report_error(l->report, entry->value->place, "'%s' is %s; expected %s", key,
	                xf_yaml_kind_name(entry->value), expected);
	return NULL;
}

const struct xf_config *
xf_read_rows(struct xf_loading *l, const struct xf_yaml *map, const char *scope, const struct xf_option *const *rows)
{
	struct xf_options_reader reader = {l->arena, l->report, scope, false};
	struct xf_table table = {.rows = rows};

	xf_options_read(&reader, map, &table, 1);
	return table.config;
}

const char *
xf_read_text(const struct xf_config *config, uint32_t row)
{
	const struct xf_value *value = xf_config_option(config, row);

	return value->count > 0 ? value->str.data : NULL;
}

bool
xf_read_name(struct xf_loading *l, struct xf_conf_place place, const char *what, const char *name)
{
	struct xf_error error = {{0}};

	if (xf_scalar_name(xf_str(name), &error) == XF_OK)
		return true;
	xf_report_error(l->report, place, "%s '%s': %s", what, xf_report_redact(l->report, name), error.text);
	return false;
}

static void
template_release(void *template)
{
	struct xf_template *t = template;

	xf_template_destroy(&t);
}

struct xf_template *
xf_read_template(struct xf_loading *l, const struct xf_config *config, uint32_t row, const char *scope,
                 const char *key)
{
	const struct xf_yaml *node = xf_config_node(config, row);
	const char *text = xf_read_text(config, row);
	struct xf_error error = {{0}};
	struct xf_template *template;
	size_t column = 0;

	if (text == NULL || (node != NULL && node->bad))
		return NULL;
	if (node != NULL && node->text.len == 0) {
		xf_report_error(l->report, node->place, "%s'%s' is ''; expected a template like {header.order-id|subject}",
		                scope, key);
		return NULL;
	}
	template = xf_template_create(xf_str(text), &column, &error);
	if (template != NULL)
		xf_arena_defer(l->arena, template_release, template);
	else if (node != NULL && node->secret)
		xf_report_error(l->report, node->place, "%s'%s' is ***; expected a template", scope, key);
	else if (node != NULL)
		xf_report_error(l->report, node->place, "%s'%s': %s", scope, key,
		                xf_report_redact(l->report, error.text));
	return template;
}

struct xf_template *
xf_read_constant(struct xf_loading *l, const char *text)
{
	struct xf_error error = {{0}};
	size_t column = 0;
	struct xf_template *template = xf_template_create(xf_str(text), &column, &error);

	XF_ASSERT(template != NULL);
	xf_arena_defer(l->arena, template_release, template);
	return template;
}

void
xf_read_key_warn(struct xf_loading *l, const struct xf_template *template, const struct xf_yaml *node,
                 const char *scope)
{
	struct xf_str constant;

	if (template != NULL && node != NULL && xf_template_constant(template, &constant))
		xf_report_warning(l->report, node->place,
		                  "%s'key' is %s for every message, so all of them are one ordered stream; did you "
		                  "mean a field like {header.NAME}?",
		                  scope, xf_read_shown(l, node));
}

const struct xf_yaml *
xf_read_plugin(struct xf_loading *l, const struct xf_yaml *map, const char *scope, const char *expected, const char **plugin)
{
	const struct xf_yaml_entry *entry = xf_yaml_entry(map, "plugin");

	*plugin = NULL;
	if (entry == NULL || entry->value->kind != XF_YAML_SCALAR || entry->value->null || entry->value->bad)
		return NULL;
	*plugin = entry->value->text.data;
	if (strchr(*plugin, '/') != NULL) {
		char *path = xf_file_resolve(entry->value->place.file, *plugin);

		*plugin = xf_arena_copy(l->arena, path, strlen(path));
		free(path);
	}
	if (**plugin != '\0')
		return entry->value;
	xf_report_error(l->report, entry->value->place, "%s'plugin' is ''; expected %s", scope, expected);
	return NULL;
}

void
xf_read_plugin_refuse(struct xf_loading *l, const struct xf_yaml *node, const char *scope, const struct xf_error *error)
{
	xf_report_error(l->report, node->place, "%s%s", scope,
	                node->secret ? "no plugin '***'" : xf_report_redact(l->report, error->text));
}

void
xf_read_name_refuse(struct xf_loading *l, const struct xf_yaml *node, const char *scope, const char *what,
                    const struct xf_names *names)
{
	enum { WORDS_MAX = 12 };
	const char *otherwise;

	if (names->count == 0)
		otherwise = xf_arena_format(l->arena, "; there are no '%ss'", what);
	else if (names->count <= WORDS_MAX)
		otherwise = xf_arena_format(l->arena, "; expected %s",
		                            xf_report_words(l->report, names->list, names->count));
	else
		otherwise = xf_arena_format(l->arena, "; expected one of the %zu of '%ss'", names->count, what);

	xf_report_error(l->report, node->place, "%sno %s %s%s", scope, what, xf_read_shown(l, node),
	                node->secret ? otherwise
	                             : xf_report_nearest(l->report, node->text, names->list, names->count, otherwise));
}

