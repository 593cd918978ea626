/*
 * Each place of the configuration has a table of core rows, read by the same reader as the tables of
 * plugins. Where a plugin's keys stand in the same map, its table follows the core's; keys of the contract
 * that are not built yet come last, so that a plugin can own them.
 *
 * Whatever is wrong is reported and read over: names stay known, so that one mistake is one line.
 */
#include "conf/schema.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/subject.h"
#include "conf/class.h"
#include "conf/file.h"
#include "conf/scalar.h"

enum {
	TRANSPORTS_MAX = 1000,
	MIGRATIONS_MAX = 1000,
	ROUTES_MAX = 1000,
	SOURCES_MAX = 64, /* of one route */
	SOURCES_ALL_MAX = 4096,
};

#define LATER(word) XF_ROW(.type = XF_OPTION_LATER, .key = word)

/* ---- Tools ------------------------------------------------------------------ */

static const char *
scope_text(struct xf_loading *l, const char *what, const char *name)
{
	return xf_arena_format(l->arena, "%s '%s': ", what, name);
}

static const char *
shown(struct xf_loading *l, const struct xf_yaml *node)
{
	return xf_yaml_show(l->report, l->arena, node);
}

static struct xf_yaml *
empty_map(struct xf_loading *l, struct xf_conf_place place)
{
	struct xf_yaml *map = xf_arena_alloc(l->arena, sizeof(*map));

	map->kind = XF_YAML_MAP;
	map->place = place;
	return map;
}

/* KEY of ROOT, a KIND; NULL where it is absent, empty, or (reported) of another kind. */
static const struct xf_yaml *
section(struct xf_loading *l, const struct xf_yaml *root, const char *key, enum xf_yaml_kind kind,
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

/* Reads MAP by one table of core rows. */
static const struct xf_config *
core_read(struct xf_loading *l, const struct xf_yaml *map, const char *scope, const struct xf_option *const *rows)
{
	struct xf_options_reader reader = {l->arena, l->report, scope, false};
	struct xf_table table = {.rows = rows};

	xf_options_read(&reader, map, &table, 1);
	return table.config;
}

static const char *
text_of(const struct xf_config *config, uint32_t row)
{
	const struct xf_value *value = xf_config_option(config, row);

	return value->count > 0 ? value->str.data : NULL;
}

static bool
name_check(struct xf_loading *l, struct xf_conf_place place, const char *what, const char *name)
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

/* The template of ROW (given or default) at PLACE, or NULL with a finding. */
static struct xf_template *
template_read(struct xf_loading *l, const struct xf_config *config, uint32_t row, const char *scope,
              const char *key)
{
	const struct xf_yaml *node = xf_config_node(config, row);
	const char *text = text_of(config, row);
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

/* A key that is the same for every message was hardly meant. */
static void
key_warn(struct xf_loading *l, const struct xf_template *template, const struct xf_yaml *node, const char *scope)
{
	struct xf_str constant;

	if (template != NULL && node != NULL && xf_template_constant(template, &constant))
		xf_report_warning(l->report, node->place,
		                  "%s'key' is %s for every message, so all of them are one ordered stream; did you "
		                  "mean a field like {header.NAME}?",
		                  scope, shown(l, node));
}

/* ---- Server ----------------------------------------------------------------- */

enum { ADMIN_SOCKET, ADMIN_LISTEN, ADMIN_TOKEN };

static const struct xf_option *const admin_rows[] = {
	XF_ROW(.type = XF_OPTION_PATH, .key = "socket"),
	XF_ROW(.type = XF_OPTION_STRING, .key = "listen"),
	XF_ROW(.type = XF_OPTION_STRING, .flags = XF_OPTION_SECRET, .key = "token"),
	LATER("tls"),
	NULL,
};

enum { LOG_LEVEL, LOG_FORMAT };

/* in the order of XF_LOG_* */
static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const log_formats[] = {"text", "json", NULL};

static const struct xf_option *const log_rows[] = {
	XF_ROW(.type = XF_OPTION_ENUM, .key = "level", .def = "info", .values = log_levels),
	XF_ROW(.type = XF_OPTION_ENUM, .key = "format", .def = "text", .values = log_formats),
	NULL,
};

enum { LIMITS_SUBJECT, LIMITS_HEADER_VALUE, LIMITS_HEADERS, LIMITS_PAYLOAD };

static const struct xf_option *const limits_rows[] = {
	XF_ROW(.type = XF_OPTION_BYTES, .key = "subject", .def = "1024", .min = 1, .max = 65535),
	XF_ROW(.type = XF_OPTION_BYTES, .key = "header_value", .def = "4KiB", .min = 1, .max = 1 << 20),
	XF_ROW(.type = XF_OPTION_I64, .key = "headers", .def = "64", .min = 0, .max = 1024),
	XF_ROW(.type = XF_OPTION_BYTES, .key = "payload", .def = "8MiB", .min = 1, .max = 1 << 30),
	NULL,
};

enum { SERVER_NAME, SERVER_DATA_DIR, SERVER_ADMIN, SERVER_LOG, SERVER_PLUGIN_DIRS, SERVER_DRAIN, SERVER_LIMITS };

static const struct xf_option *const server_rows[] = {
	XF_ROW(.type = XF_OPTION_STRING, .key = "name"),
	XF_ROW(.type = XF_OPTION_PATH, .key = "data_dir", .def = "/var/lib/crossfade"),
	XF_ROW(.type = XF_OPTION_MAP, .key = "admin", .def = "{}", .fields = admin_rows),
	XF_ROW(.type = XF_OPTION_MAP, .key = "log", .def = "{}", .fields = log_rows),
	XF_ROW(.type = XF_OPTION_PATH, .flags = XF_OPTION_LIST, .key = "plugin_dirs"),
	XF_ROW(.type = XF_OPTION_DURATION, .key = "drain_timeout", .def = "30s", .min = 0, .max = 86400000),
	XF_ROW(.type = XF_OPTION_MAP, .key = "limits", .def = "{}", .fields = limits_rows),
	NULL,
};

/* The host's name where it can be a name, cut down to one where it cannot. */
static const char *
host_name(struct xf_loading *l)
{
	char name[65] = {0};
	struct xf_error error;

	if (gethostname(name, sizeof(name) - 1) != 0 || xf_scalar_name(xf_str(name), &error) != XF_OK)
		return "crossfade";
	return xf_arena_copy(l->arena, name, strlen(name));
}

static void
admin_read(struct xf_loading *l, const struct xf_config *server, const struct xf_config *admin)
{
	struct xf_conf_server *s = &l->conf->server;
	const struct xf_yaml *at = xf_config_node(server, SERVER_ADMIN);
	const struct xf_yaml *token = xf_config_node(admin, ADMIN_TOKEN);
	const struct xf_yaml *listen = xf_config_node(admin, ADMIN_LISTEN);
	const struct xf_yaml *socket = xf_config_node(admin, ADMIN_SOCKET);
	struct xf_error error = {{0}};
	bool loopback = true;

	s->admin_socket = text_of(admin, ADMIN_SOCKET);
	s->admin_listen = text_of(admin, ADMIN_LISTEN);
	s->admin_token = text_of(admin, ADMIN_TOKEN);
	if (s->admin_socket == NULL && s->data_dir != NULL)
		s->admin_socket = xf_arena_format(l->arena, "%s/admin.sock", s->data_dir);
	if (s->admin_socket != NULL && strlen(s->admin_socket) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		xf_report_error(l->report, socket != NULL ? socket->place : xf_config_node(server, SERVER_DATA_DIR)->place,
		                "server: the path of 'admin.socket' has %zu bytes; expected at most %zu%s",
		                strlen(s->admin_socket), sizeof(((struct sockaddr_un *)0)->sun_path) - 1,
		                socket != NULL ? "" : ", or a shorter admin.socket than the one in data_dir");
	if (s->admin_listen != NULL && listen != NULL && !listen->bad &&
	    xf_scalar_listen(listen->text, &loopback, &error) != XF_OK) {
		xf_report_error(l->report, listen->place, "server: 'admin.listen' is %s; %s", shown(l, listen), error.text);
		loopback = true;
	}
	if (!loopback && token == NULL && at != NULL)
		xf_report_error(l->report, at->place,
		                "server: 'admin.token' is missing; expected one, since 'admin.listen' %s is not loopback",
		                shown(l, listen));
	if (token == NULL || token->bad || s->admin_token == NULL)
		return;
	if (token->text.len == 0)
		xf_report_error(l->report, token->place, "server: 'admin.token' is empty; expected a secret");
	for (size_t i = 0; i < token->text.len; i++)
		if (token->text.data[i] <= ' ' || token->text.data[i] >= 0x7f) {
			xf_report_error(l->report, token->place,
			                "server: 'admin.token' is ***; expected printable characters without spaces");
			break;
		}
}

static void
server_read(struct xf_loading *l, const struct xf_yaml *root)
{
	const struct xf_yaml *node = section(l, root, "server", XF_YAML_MAP, "a map");
	struct xf_conf_server *s = &l->conf->server;
	const struct xf_config *config, *part;
	const struct xf_value *dirs;
	const char **list;

	config = core_read(l, node != NULL ? node : empty_map(l, root->place), "server: ", server_rows);
	s->name = text_of(config, SERVER_NAME);
	if (s->name == NULL)
		s->name = host_name(l);
	else
		name_check(l, xf_config_node(config, SERVER_NAME)->place, "server: name", s->name);
	s->data_dir = text_of(config, SERVER_DATA_DIR);
	s->drain_timeout_ms = (uint64_t)xf_config_option(config, SERVER_DRAIN)->i64;

	dirs = xf_config_option(config, SERVER_PLUGIN_DIRS);
	list = xf_arena_array(l->arena, dirs->count, sizeof(*list));
	for (uint32_t i = 0; i < dirs->count; i++)
		if (dirs->items[i]->str.data != NULL)
			list[s->plugin_dir_count++] = dirs->items[i]->str.data;
	s->plugin_dirs = list;

	part = xf_config_option(config, SERVER_ADMIN)->map;
	if (part != NULL)
		admin_read(l, config, part);
	part = xf_config_option(config, SERVER_LOG)->map;
	s->log_level = (uint32_t)xf_config_option(part, LOG_LEVEL)->i64;
	s->log_json = xf_config_option(part, LOG_FORMAT)->i64 == 1;
	part = xf_config_option(config, SERVER_LIMITS)->map;
	s->max_subject = (uint64_t)xf_config_option(part, LIMITS_SUBJECT)->i64;
	s->max_header_value = (uint64_t)xf_config_option(part, LIMITS_HEADER_VALUE)->i64;
	s->max_headers = (uint64_t)xf_config_option(part, LIMITS_HEADERS)->i64;
	s->max_payload = (uint64_t)xf_config_option(part, LIMITS_PAYLOAD)->i64;
}

/* ---- Transports ------------------------------------------------------------- */

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
	const struct xf_yaml_entry *entry = xf_yaml_entry(map, "plugin");
	const struct xf_transport_class *class;
	struct xf_error error = {{0}};

	*plugin = NULL;
	if (entry == NULL || entry->value->kind != XF_YAML_SCALAR || entry->value->null || entry->value->bad)
		return NULL;
	*plugin = entry->value->text.data;
	if (strchr(*plugin, '/') != NULL) {
		char *path = xf_file_resolve(entry->value->place.file, *plugin);

		*plugin = xf_arena_copy(l->arena, path, strlen(path));
		free(path);
	}
	if (**plugin == '\0') {
		xf_report_error(l->report, entry->value->place, "%s'plugin' is ''; expected %s", scope,
		                transport_rows[TRANSPORT_PLUGIN]->help);
		return NULL;
	}
	class = l->catalogue->transport(l->catalogue->context, *plugin, &error);
	if (class == NULL)
		xf_report_error(l->report, entry->value->place, "%s%s", scope,
		                entry->value->secret ? "no plugin '***'" : xf_report_redact(l->report, error.text));
	return class;
}

static void
transport_read(struct xf_loading *l, const struct xf_yaml_entry *entry)
{
	struct xf_conf_transport *t = &l->transports[l->conf->transport_count++];
	const char *scope = scope_text(l, "transport", entry->key);
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

static void
transports_read(struct xf_loading *l, const struct xf_yaml *root)
{
	const struct xf_yaml *map = section(l, root, "transports", XF_YAML_MAP, "a map from names to transports");

	if (map == NULL)
		return;
	l->transports = xf_arena_array(l->arena, map->count, sizeof(*l->transports));
	l->conf->transports = l->transports;
	for (size_t i = 0; i < map->count; i++) {
		if (i == TRANSPORTS_MAX) {
			xf_report_error(l->report, map->entries[i].place, "more than %d transports", TRANSPORTS_MAX);
			break;
		}
		if (name_check(l, map->entries[i].place, "transport", map->entries[i].key))
			transport_read(l, &map->entries[i]);
	}
}

/* "no transport 'reids-a'; did you mean 'redis-a'?" */
static void
name_refuse(struct xf_loading *l, const struct xf_yaml *node, const char *scope, const char *what,
            const char *const *names, size_t count)
{
	const char *otherwise = count == 0 ? xf_arena_format(l->arena, "; there are no '%ss'", what)
	                                   : xf_arena_format(l->arena, "; expected %s",
	                                                     xf_report_words(l->report, names, count));

	xf_report_error(l->report, node->place, "%sno %s %s%s", scope, what, shown(l, node),
	                node->secret ? otherwise : xf_report_nearest(l->report, node->text, names, count, otherwise));
}

static const struct xf_conf_transport *
transport_find(struct xf_loading *l, const struct xf_yaml *node, const char *scope)
{
	const char **names = xf_alloc_array(l->conf->transport_count, sizeof(*names));
	const struct xf_conf_transport *found = NULL;

	for (size_t i = 0; i < l->conf->transport_count; i++) {
		names[i] = l->transports[i].name;
		if (xf_str_is(node->text, names[i]))
			found = &l->transports[i];
	}
	if (found == NULL)
		name_refuse(l, node, scope, "transport", names, l->conf->transport_count);
	free(names);
	return found;
}

/* ---- Endpoints -------------------------------------------------------------- */

enum { ENDPOINT_TRANSPORT, ENDPOINT_SUBJECT, SINK_WHEN_DOWN };

#define TRANSPORT_ROW                                                                                          \
	XF_ROW(.type = XF_OPTION_STRING, .flags = XF_OPTION_REQUIRED, .key = "transport",                      \
	       .help = "the name of one of 'transports'")

static const struct xf_option *const source_rows[] = {
	TRANSPORT_ROW,
	XF_ROW(.type = XF_OPTION_SUBJECT, .key = "subject", .def = "'>'"),
	NULL,
};

static const struct xf_option *const source_later_rows[] = {
	LATER("connections"), LATER("group"),      LATER("drain_first"),    LATER("envelope"),  LATER("message_id"),
	LATER("accept"),      LATER("dedupe"),     LATER("max_deliver"),    LATER("separator"), LATER("subject_escape"),
	LATER("order"),       LATER("spool"),      LATER("fields"),         NULL,
};

static const char *const when_down_words[] = {"wait", "drop", "spool", NULL}; /* the first two as in enum xf_when_down */

static const struct xf_option *const sink_rows[] = {
	TRANSPORT_ROW,
	XF_ROW(.type = XF_OPTION_STRING, .key = "subject", .def = "{subject}"),
	XF_ROW(.type = XF_OPTION_ENUM, .key = "when_down", .def = "wait", .values = when_down_words),
	NULL,
};

static const struct xf_option *const sink_later_rows[] = {
	LATER("connections"), LATER("in_place"),  LATER("envelope"), LATER("message_id"),
	LATER("separator"),   LATER("spool"),     LATER("subject_escape"), LATER("dedupe"),
	LATER("fields"),      LATER("require"),   LATER("weight"), NULL,
};

/* Keys that make a map another kind of place than an endpoint. */
static const char *const from_later[] = {"migration", NULL};
static const char *const to_later[] = {"all", "split", NULL};

/* True (reported) where MAP is of a kind that is not built yet. */
static bool
place_is_later(struct xf_loading *l, const struct xf_yaml *map, const char *scope, const char *const *words,
               const char *where)
{
	for (size_t i = 0; words[i] != NULL; i++) {
		const struct xf_yaml_entry *entry = xf_yaml_entry(map, words[i]);

		if (entry == NULL)
			continue;
		xf_report_error(l->report, entry->place, "%s'%s' in '%s' is not built yet in this version", scope,
		                words[i], where);
		return true;
	}
	return false;
}

bool
xf_endpoint_sound(const struct xf_conf_endpoint *endpoint)
{
	return endpoint->transport != NULL && endpoint->transport->class != NULL &&
	       xf_config_sound(endpoint->transport->options) && endpoint->options != NULL &&
	       xf_config_sound(endpoint->options) && endpoint->subject != NULL;
}

/* Asks the plugin what the endpoint is like, and whether it agrees. */
static void
plugin_ask(struct xf_loading *l, struct xf_conf_endpoint *ep, const struct xf_class_side *side, const char *scope,
           const struct xf_endpoint_info *info)
{
	const struct xf_config *transport = ep->transport->options;
	struct xf_error error = {{0}};
	char address[1024], *shown;

	if (side->check != NULL &&
	    side->check(l->catalogue->host, transport, ep->options, info, &error) != 0) {
		error.text[sizeof(error.text) - 1] = '\0';
		xf_report_error(l->report, ep->place, "%s%s", scope,
		                error.text[0] != '\0' ? xf_report_redact(l->report, error.text)
		                                      : "refused by its plugin without a reason");
		ep->subject = NULL;
		return;
	}
	if (side->traits != NULL)
		ep->traits = side->traits(l->catalogue->host, transport, ep->options);
	if (xf_class_address(side, l->catalogue->host, ep, address, sizeof(address)) &&
	    (shown = strchr(address, '\n')) != NULL)
		ep->shown = xf_arena_format(l->arena, "%s", shown + 1);
}

static void
sink_subject_read(struct xf_loading *l, struct xf_conf_endpoint *ep, const struct xf_config *core, const char *scope)
{
	const struct xf_yaml *node = xf_config_node(core, ENDPOINT_SUBJECT);
	const char *wrong;

	ep->template = template_read(l, core, ENDPOINT_SUBJECT, scope, "subject");
	if (ep->template == NULL)
		return;
	wrong = xf_template_subject_check(ep->template);
	if (wrong == NULL)
		ep->subject = text_of(core, ENDPOINT_SUBJECT);
	else
		xf_report_error(l->report, node->place, "%s'subject' is %s; it %s; expected a subject like orders.{subject}",
		                scope, shown(l, node), wrong);
}

struct endpoint_names {
	const char *scope; /* "route 'orders': from: " */
	const char *name;  /* "orders/from" */
	const char *route; /* NULL: of a migration */
	uint32_t max_in_flight;
};

static void
endpoint_read(struct xf_loading *l, const struct xf_yaml *map, bool sink, const struct endpoint_names *names,
              struct xf_conf_endpoint *ep)
{
	struct xf_options_reader reader = {l->arena, l->report, names->scope, false};
	struct xf_table tables[3] = {{.rows = sink ? sink_rows : source_rows},
	                             {.rows = NULL},
	                             {.rows = sink ? sink_later_rows : source_later_rows}};
	const struct xf_yaml_entry *transport = xf_yaml_entry(map, "transport");
	struct xf_class_side side = {.exists = false};
	struct xf_endpoint_info info = {.struct_size = sizeof(info)};

	ep->place = map->place;
	if (transport != NULL && transport->value->kind == XF_YAML_SCALAR && !transport->value->null &&
	    !transport->value->bad)
		ep->transport = transport_find(l, transport->value, names->scope);
	if (ep->transport != NULL && ep->transport->class != NULL) {
		side = sink ? xf_class_sink(ep->transport->class) : xf_class_source(ep->transport->class);
		if (!side.exists) {
			xf_report_error(l->report, transport->value->place,
			                "%stransport '%s' cannot be %s; expected one whose plugin has %s, which '%s' "
			                "has not",
			                names->scope, ep->transport->name, sink ? "published to" : "consumed from",
			                sink ? "sinks" : "sources", ep->transport->plugin);
			ep->transport = NULL;
		}
	}
	tables[1].rows = side.options;
	reader.open = !side.exists;
	xf_options_read(&reader, map, tables, 3);
	ep->options = tables[1].config;
	if (sink) {
		ep->when_down = (enum xf_when_down)xf_config_option(tables[0].config, SINK_WHEN_DOWN)->i64;
		if (xf_config_option(tables[0].config, SINK_WHEN_DOWN)->i64 == 2)
			xf_report_error(l->report, xf_config_node(tables[0].config, SINK_WHEN_DOWN)->place,
			                "%s'when_down: spool' is not built yet in this version; expected wait or drop",
			                names->scope);
		sink_subject_read(l, ep, tables[0].config, names->scope);
	} else {
		ep->subject = text_of(tables[0].config, ENDPOINT_SUBJECT);
	}
	if (!xf_config_sound(tables[0].config) || !xf_config_sound(tables[2].config))
		ep->options = NULL;
	if (!xf_endpoint_sound(ep))
		return;
	info.name = xf_str(names->name);
	info.route = xf_str(names->route);
	info.transport = xf_str(ep->transport->name);
	info.server = xf_str(l->conf->server.name);
	info.subject = xf_str(ep->subject);
	info.max_in_flight = names->max_in_flight;
	ep->shown = ep->subject;
	plugin_ask(l, ep, &side, names->scope, &info);
}

/* A sink: a map, or the bare name of a transport. */
static void
sink_read(struct xf_loading *l, const struct xf_yaml *node, const struct endpoint_names *names,
          struct xf_conf_endpoint *ep)
{
	struct xf_yaml map = *node;
	struct xf_yaml_entry entry = {"transport", node->place, (struct xf_yaml *)node};

	ep->place = node->place;
	if (node->kind == XF_YAML_SCALAR && !node->null && !node->bad) {
		map.kind = XF_YAML_MAP;
		map.entries = xf_arena_alloc(l->arena, sizeof(entry));
		map.entries[0] = entry;
		map.count = 1;
	}
	if (map.kind == XF_YAML_MAP)
		endpoint_read(l, &map, true, names, ep);
	else if (!node->bad)
		xf_report_error(l->report, node->place,
		                "%s%s; expected a transport's name, or a map like {transport: NAME, subject: TEMPLATE}",
		                names->scope, xf_yaml_kind_name(node));
}

/* ---- Migrations ------------------------------------------------------------- */

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
	LATER("drain_first"),
	LATER("order"),
	LATER("group"),
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
		                scope, shown(l, percent), xf_stage_name(m->percent, m->mirror));
	} else if (stage->percent >= 0 && percent != NULL && m->percent != stage->percent) {
		xf_percent_format((uint32_t)stage->percent, text);
		xf_report_error(l->report, percent->place,
		                "%s'percent' is %s, but stage '%s' is %s; expected only one of them", scope,
		                shown(l, percent), word->str.data, text);
	}
	if (stage->mirror >= 0 && mirror != NULL && (m->mirror != XF_MIRROR_OFF) != stage->mirror)
		xf_report_error(l->report, mirror->place, "%s'mirror' is %s, but stage '%s' %s; expected only one of them",
		                scope, shown(l, mirror), word->str.data, stage->mirror ? "mirrors" : "does not mirror");
	if (stage->percent >= 0)
		m->percent = (uint32_t)stage->percent;
	if (stage->mirror == 0)
		m->mirror = XF_MIRROR_OFF;
	else if (stage->mirror == 1 && m->mirror == XF_MIRROR_OFF)
		m->mirror = XF_MIRROR_ON;
}

static void
migration_read(struct xf_loading *l, const struct xf_yaml_entry *entry)
{
	static const char *const sides[] = {"old", "new"};
	struct xf_conf_migration *m = &l->migrations[l->conf->migration_count];
	const char *scope = scope_text(l, "migration", entry->key);
	const struct xf_config *config;
	const struct xf_yaml *node;

	m->name = entry->key;
	m->place = entry->place;
	l->migration_key[l->conf->migration_count++] = entry->place;
	if (entry->value->kind != XF_YAML_MAP) {
		if (!entry->value->bad)
			xf_report_error(l->report, entry->value->place, "%s%s; expected a map with 'old' and 'new'", scope,
			                xf_yaml_kind_name(entry->value));
		return;
	}
	config = core_read(l, entry->value, scope, migration_rows);
	m->percent = (uint32_t)xf_config_option(config, MIGRATION_PERCENT)->i64;
	m->mirror = (enum xf_mirror)xf_config_option(config, MIGRATION_MIRROR)->i64;
	m->handover_timeout_ms = (uint64_t)xf_config_option(config, MIGRATION_HANDOVER)->i64;
	stage_apply(l, m, config, scope);
	m->key = template_read(l, config, MIGRATION_KEY, scope, "key");
	node = xf_config_node(config, MIGRATION_KEY);
	key_warn(l, m->key, node, scope);
	if (node != NULL)
		l->migration_key[l->conf->migration_count - 1] = node->place;
	for (uint32_t i = 0; i < 2; i++) {
		const struct endpoint_names names = {
			.scope = xf_arena_format(l->arena, "%s%s: ", scope, sides[i]),
			.name = xf_arena_format(l->arena, "%s/%s", m->name, sides[i]),
		};

		node = xf_config_node(config, i == 0 ? MIGRATION_OLD : MIGRATION_NEW);
		m->sides[i].place = entry->place;
		if (node != NULL && !place_is_later(l, node, names.scope, to_later, sides[i]))
			sink_read(l, node, &names, &m->sides[i]);
	}
}

static void
migrations_read(struct xf_loading *l, const struct xf_yaml *root)
{
	const struct xf_yaml *map = section(l, root, "migrations", XF_YAML_MAP, "a map from names to migrations");

	if (map == NULL)
		return;
	l->migrations = xf_arena_array(l->arena, map->count, sizeof(*l->migrations));
	l->migration_key = xf_arena_array(l->arena, map->count, sizeof(*l->migration_key));
	l->conf->migrations = l->migrations;
	for (size_t i = 0; i < map->count; i++) {
		if (i == MIGRATIONS_MAX) {
			xf_report_error(l->report, map->entries[i].place, "more than %d migrations", MIGRATIONS_MAX);
			break;
		}
		if (name_check(l, map->entries[i].place, "migration", map->entries[i].key))
			migration_read(l, &map->entries[i]);
	}
}

/* ---- Routes ----------------------------------------------------------------- */

enum { ROUTE_NAME, ROUTE_FROM, ROUTE_TO, ROUTE_KEY, ROUTE_IN_FLIGHT, ROUTE_IN_FLIGHT_BYTES };

static const struct xf_option *const route_rows[] = {
	XF_ROW(.type = XF_OPTION_STRING, .flags = XF_OPTION_REQUIRED, .key = "name",
	       .help = "a name that no other route has"),
	XF_ROW(.type = XF_OPTION_NODE, .flags = XF_OPTION_REQUIRED, .key = "from",
	       .help = "a source like {transport: NAME, subject: PATTERN}, or a list of them"),
	XF_ROW(.type = XF_OPTION_NODE, .flags = XF_OPTION_REQUIRED, .key = "to",
	       .help = "a transport's name, {transport: NAME} or {migration: NAME}"),
	XF_ROW(.type = XF_OPTION_STRING, .key = "key"),
	XF_ROW(.type = XF_OPTION_I64, .key = "max_in_flight", .def = "4096", .min = 1, .max = 1000000,
	       .unit = "messages"),
	XF_ROW(.type = XF_OPTION_BYTES, .key = "max_in_flight_bytes", .def = "64MiB", .min = 1024,
	       .max = (int64_t)64 << 30),
	LATER("handlers"),
	LATER("concurrency"),
	LATER("retry"),
	LATER("dead_letter"),
	LATER("order"),
	LATER("accept"),
	LATER("dedupe"),
	LATER("max_deliver"),
	LATER("message_id"),
	LATER("spool"),
	LATER("require"),
	NULL,
};

static void
sources_read(struct xf_loading *l, struct xf_conf_route *route, const struct xf_yaml *node, const char *scope)
{
	bool list = node->kind == XF_YAML_LIST;
	size_t count = list ? node->count : 1;
	struct xf_conf_endpoint *sources;

	if (count == 0 || count > SOURCES_MAX) {
		xf_report_error(l->report, node->place, "%s'from' is a list of %zu; expected 1 to %d sources", scope, count,
		                SOURCES_MAX);
		return;
	}
	l->source_count += count;
	if (l->source_count > SOURCES_ALL_MAX) {
		if (l->source_count - count <= SOURCES_ALL_MAX)
			xf_report_error(l->report, node->place, "%sfrom: more than %d sources in all", scope,
			                SOURCES_ALL_MAX);
		return;
	}
	sources = xf_arena_array(l->arena, count, sizeof(*sources));
	route->sources = sources;
	route->source_count = count;
	for (size_t i = 0; i < count; i++) {
		const struct xf_yaml *item = list ? node->items[i] : node;
		const struct endpoint_names names = {
			.scope = list ? xf_arena_format(l->arena, "%sfrom[%zu]: ", scope, i)
			              : xf_arena_format(l->arena, "%sfrom: ", scope),
			.name = i == 0 ? xf_arena_format(l->arena, "%s/from", route->name)
			               : xf_arena_format(l->arena, "%s/from/%zu", route->name, i + 1),
			.route = route->name,
			.max_in_flight = route->max_in_flight,
		};

		sources[i].place = item->place;
		if (item->bad)
			continue;
		if (item->kind != XF_YAML_MAP)
			xf_report_error(l->report, item->place, "%s%s; expected a map like {transport: NAME, subject: PATTERN}",
			                names.scope, xf_yaml_kind_name(item));
		else if (!place_is_later(l, item, names.scope, from_later, "from"))
			endpoint_read(l, item, false, &names, &sources[i]);
	}
}

enum { TO_MIGRATION };

static const struct xf_option *const to_migration_rows[] = {
	XF_ROW(.type = XF_OPTION_STRING, .flags = XF_OPTION_REQUIRED, .key = "migration"),
	NULL,
};

static void
to_migration_read(struct xf_loading *l, struct xf_conf_route *route, const struct xf_yaml *map, const char *scope)
{
	const struct xf_config *config = core_read(l, map, scope, to_migration_rows);
	const struct xf_yaml *node = xf_config_node(config, TO_MIGRATION);
	const char *name = text_of(config, TO_MIGRATION);
	const char **names;

	if (name == NULL)
		return;
	names = xf_alloc_array(l->conf->migration_count, sizeof(*names));
	for (size_t i = 0; i < l->conf->migration_count; i++) {
		names[i] = l->migrations[i].name;
		if (strcmp(name, names[i]) != 0)
			continue;
		route->migration = &l->migrations[i];
		route->to = XF_TO_MIGRATION;
	}
	if (route->migration == NULL)
		name_refuse(l, node, scope, "migration", names, l->conf->migration_count);
	free(names);
}

static void
destination_read(struct xf_loading *l, struct xf_conf_route *route, const struct xf_yaml *node, const char *scope)
{
	struct xf_conf_endpoint *sink;
	const struct endpoint_names names = {
		.scope = xf_arena_format(l->arena, "%sto: ", scope),
		.name = xf_arena_format(l->arena, "%s/to", route->name),
		.route = route->name,
	};

	if (place_is_later(l, node, names.scope, to_later, "to"))
		return;
	if (xf_yaml_entry(node, "migration") != NULL) {
		to_migration_read(l, route, node, names.scope);
		return;
	}
	sink = xf_arena_alloc(l->arena, sizeof(*sink));
	sink_read(l, node, &names, sink);
	route->sinks = sink;
	route->sink_count = 1;
}

static void
route_read(struct xf_loading *l, const struct xf_yaml *node)
{
	struct xf_conf_route *route = &l->routes[l->conf->route_count];
	const struct xf_yaml_entry *name = xf_yaml_entry(node, "name");
	const char *scope = xf_arena_format(l->arena, "route %zu: ", l->conf->route_count + 1);
	const struct xf_config *config;

	route->place = node->place;
	route->name = "?";
	l->to[l->conf->route_count++] = node->place;
	if (node->kind != XF_YAML_MAP) {
		if (!node->bad)
			xf_report_error(l->report, node->place, "%s%s; expected a map with 'name', 'from' and 'to'", scope,
			                xf_yaml_kind_name(node));
		return;
	}
	if (name != NULL && name->value->kind == XF_YAML_SCALAR && !name->value->null && !name->value->bad &&
	    !name->value->secret && name_check(l, name->value->place, "route", name->value->text.data)) {
		route->name = name->value->text.data;
		route->place = name->value->place;
		scope = scope_text(l, "route", route->name);
	}
	config = core_read(l, node, scope, route_rows);
	route->max_in_flight = (uint32_t)xf_config_option(config, ROUTE_IN_FLIGHT)->i64;
	route->max_in_flight_bytes = (uint64_t)xf_config_option(config, ROUTE_IN_FLIGHT_BYTES)->i64;
	if (xf_config_node(config, ROUTE_FROM) != NULL)
		sources_read(l, route, xf_config_node(config, ROUTE_FROM), scope);
	if (xf_config_node(config, ROUTE_TO) != NULL) {
		l->to[l->conf->route_count - 1] = xf_config_node(config, ROUTE_TO)->place;
		destination_read(l, route, xf_config_node(config, ROUTE_TO), scope);
	}
	route->key = template_read(l, config, ROUTE_KEY, scope, "key");
	key_warn(l, route->key, xf_config_node(config, ROUTE_KEY), scope);
	if (route->migration != NULL && xf_config_node(config, ROUTE_KEY) != NULL)
		xf_report_error(l->report, xf_config_key_place(config, ROUTE_KEY),
		                "%s'key' beside a migration; expected it in migration '%s', whose key it is", scope,
		                route->migration->name);
}

static void
routes_read(struct xf_loading *l, const struct xf_yaml *root)
{
	const struct xf_yaml *list = section(l, root, "routes", XF_YAML_LIST, "a list of routes");

	if (list == NULL || list->count == 0) {
		const struct xf_yaml_entry *entry = xf_yaml_entry(root, "routes");

		if (entry == NULL || entry->value->null || list != NULL)
			xf_report_warning(l->report, root->place, "no 'routes': nothing will be moved");
		return;
	}
	l->routes = xf_arena_array(l->arena, list->count, sizeof(*l->routes));
	l->to = xf_arena_array(l->arena, list->count, sizeof(*l->to));
	l->conf->routes = l->routes;
	for (size_t i = 0; i < list->count; i++) {
		if (i == ROUTES_MAX) {
			xf_report_error(l->report, list->items[i]->place, "more than %d routes", ROUTES_MAX);
			break;
		}
		route_read(l, list->items[i]);
		for (size_t j = 0; j < i; j++)
			if (strcmp(l->routes[i].name, "?") != 0 && strcmp(l->routes[i].name, l->routes[j].name) == 0) {
				xf_report_error(l->report, l->routes[i].place,
				                "route '%s' stands here again; it was first given at %s", l->routes[i].name,
				                xf_place_text(l->arena, l->routes[j].place));
				break;
			}
	}
}

/* ---- All -------------------------------------------------------------------- */

static const struct xf_option *const root_rows[] = {
	XF_ROW(.type = XF_OPTION_NODE, .key = "include"),    XF_ROW(.type = XF_OPTION_NODE, .key = "server"),
	XF_ROW(.type = XF_OPTION_NODE, .key = "transports"), XF_ROW(.type = XF_OPTION_NODE, .key = "migrations"),
	XF_ROW(.type = XF_OPTION_NODE, .key = "routes"),     NULL,
};

void
xf_schema_read(struct xf_loading *l, const struct xf_yaml *root)
{
	core_read(l, root, "", root_rows);
	server_read(l, root);
	if (l->catalogue->search != NULL)
		l->catalogue->search(l->catalogue->context, l->conf->server.plugin_dirs,
		                     l->conf->server.plugin_dir_count);
	transports_read(l, root);
	migrations_read(l, root);
	routes_read(l, root);
}
