/*
 * The keys of the core come first, then those of the plugin, then those of the contract that are not built yet:
 * whoever comes first owns a key. What the plugin is asked, it is asked only about an endpoint without a mistake.
 */
#include "conf/endpoint.h"

#include <inttypes.h>
#include <stdlib.h>

#include "conf/class.h"

enum {
	CONNECTIONS_MAX = 16,
	SPOOL_SPARE = 1 << 20, /* for what a message has beside its payload */
};

enum {
	ENDPOINT_TRANSPORT,
	ENDPOINT_SUBJECT,
	ENDPOINT_ENVELOPE,
	ENDPOINT_ESCAPE,
	ENDPOINT_CONNECTIONS,
	SOURCE_MESSAGE_ID,
	SOURCE_ACCEPT,
	SOURCE_SPOOL,
};

enum { SINK_WHEN_DOWN = ENDPOINT_CONNECTIONS + 1, SINK_IN_PLACE, SINK_WEIGHT, SINK_SPOOL };

static const char *const envelope_words[] = {"none", "json", NULL};          /* as in enum xf_envelope */
static const char *const when_down_words[] = {"wait", "drop", "spool", NULL}; /* as in enum xf_when_down */
static const char *const accept_words[] = {"confirmed", "spooled", NULL};
static const char *const when_full_words[] = {"wait", "drop", NULL};

#define TRANSPORT_ROW                                                                                          \
	XF_ROW(.type = XF_OPTION_STRING, .flags = XF_OPTION_REQUIRED, .key = "transport",                      \
	       .help = "the name of one of 'transports'")
#define ENVELOPE_ROW XF_ROW(.type = XF_OPTION_ENUM, .key = "envelope", .def = "none", .values = envelope_words)
#define ESCAPE_ROW XF_ROW(.type = XF_OPTION_BOOL, .key = "subject_escape", .def = "false")
#define CONNECTIONS_ROW                                                                                        \
	XF_ROW(.type = XF_OPTION_I64, .key = "connections", .def = "1", .min = 1, .max = CONNECTIONS_MAX)

static const struct xf_option *const source_rows[] = {
	TRANSPORT_ROW,
	XF_ROW(.type = XF_OPTION_SUBJECT, .key = "subject", .def = "'>'"),
	ENVELOPE_ROW,
	ESCAPE_ROW,
	CONNECTIONS_ROW,
	XF_ROW(.type = XF_OPTION_STRING, .key = "message_id"),
	XF_ROW(.type = XF_OPTION_ENUM, .key = "accept", .def = "confirmed", .values = accept_words),
	XF_ROW(.type = XF_OPTION_NODE, .key = "spool"),
	NULL,
};

static const struct xf_option *const source_later_rows[] = {
	XF_ELSEWHERE("dedupe", "at the route"),
	XF_ELSEWHERE("max_deliver", "at the route"),
	XF_ELSEWHERE("drain_first", "beside 'migration' in 'from'"),
	XF_ELSEWHERE("order", "at the route"),
	XF_ELSEWHERE("in_place", "at the 'old' of a migration"),
	NULL,
};

static const struct xf_option *const sink_rows[] = {
	TRANSPORT_ROW,
	XF_ROW(.type = XF_OPTION_STRING, .key = "subject", .def = "{subject}"),
	ENVELOPE_ROW,
	ESCAPE_ROW,
	CONNECTIONS_ROW,
	XF_ROW(.type = XF_OPTION_ENUM, .key = "when_down", .def = "wait", .values = when_down_words),
	XF_ROW(.type = XF_OPTION_BOOL, .key = "in_place", .def = "false"),
	XF_ROW(.type = XF_OPTION_PERCENT, .key = "weight"),
	XF_ROW(.type = XF_OPTION_NODE, .key = "spool"),
	NULL,
};

enum { SPOOL_MAX_SIZE, SPOOL_WHEN_FULL };

static const struct xf_option *const spool_rows[] = {
	XF_ROW(.type = XF_OPTION_BYTES, .key = "max_size", .def = "1GiB", .min = 1 << 16,
	       .max = INT64_C(1) << 40),
	XF_ROW(.type = XF_OPTION_ENUM, .key = "when_full", .def = "wait", .values = when_full_words),
	NULL,
};

/* What finds the spool of a source full waits in its broker. */
static const struct xf_option *const source_spool_rows[] = {
	XF_ROW(.type = XF_OPTION_BYTES, .key = "max_size", .def = "1GiB", .min = 1 << 16,
	       .max = INT64_C(1) << 40),
	XF_ELSEWHERE("when_full", "at a sink; a source waits"),
	NULL,
};

static const struct xf_option *const sink_later_rows[] = {
	XF_ELSEWHERE("dedupe", "at the route"),
	XF_ELSEWHERE("message_id", "at a source"),
	XF_ELSEWHERE("require", "beside 'all' in 'to'"),
	NULL,
};

bool
xf_endpoint_sound(const struct xf_conf_endpoint *endpoint)
{
	return endpoint->transport != NULL && endpoint->transport->class != NULL &&
	       xf_config_sound(endpoint->transport->options) && endpoint->options != NULL &&
	       xf_config_sound(endpoint->options) && endpoint->subject != NULL;
}

/* ---- The plugin ------------------------------------------------------------- */

/* Asks the plugin what the endpoint is like, and whether it agrees. */
static void
plugin_ask(struct xf_loading *l, struct xf_conf_endpoint *ep, const struct xf_class_side *side,
           const struct xf_endpoint_setting *setting)
{
	const struct xf_config *transport = ep->transport->options;
	const struct xf_endpoint_info info = {
		.struct_size = sizeof(info),
		.max_in_flight = setting->max_in_flight,
		.name = xf_str(setting->name),
		.route = xf_str(setting->route),
		.transport = xf_str(ep->transport->name),
		.server = xf_str(l->conf->server.name),
		.subject = xf_str(ep->subject),
	};
	struct xf_error error = {{0}};
	char address[1024], *shown;

	if (side->check != NULL && side->check(l->catalogue->host, transport, ep->options, &info, &error) != 0) {
		error.text[sizeof(error.text) - 1] = '\0';
		xf_report_error(l->report, ep->place, "%s%s", setting->scope,
		                error.text[0] != '\0' ? xf_report_redact(l->report, error.text)
		                                      : "refused by its plugin without a reason");
		ep->subject = NULL;
		return;
	}
	if (side->traits != NULL)
		ep->traits = side->traits(l->catalogue->host, transport, ep->options) & ~side->lacks;
	if (xf_class_address(side, l->catalogue->host, ep, address, sizeof(address)) &&
	    (shown = strchr(address, '\n')) != NULL)
		ep->shown = xf_arena_format(l->arena, "%s", shown + 1);
}

/* What can be said only once its traits are known. */
static void
traits_check(struct xf_loading *l, const struct xf_conf_endpoint *ep, const struct xf_config *core,
             const struct xf_endpoint_setting *setting)
{
	const struct xf_yaml *node = xf_config_node(core, ENDPOINT_ENVELOPE);

	if (ep->envelope != XF_ENVELOPE_NONE && ep->traits & XF_TRAIT_HEADERS)
		xf_report_error(l->report, node->place,
		                "%s'envelope' is %s, but '%s' carries headers here; expected it only where there are "
		                "none, as in pub/sub without them and lists",
		                setting->scope, xf_read_shown(l, node), ep->transport->name);
	if (ep->message_id != NULL && ep->traits & XF_TRAIT_IDS)
		xf_report_warning(l->report, xf_config_node(core, SOURCE_MESSAGE_ID)->place,
		                  "%s'message_id' is never looked at: every message from '%s' has an id of its own",
		                  setting->scope, ep->transport->name);
}

/* ---- The core's keys -------------------------------------------------------- */

static const struct xf_conf_transport *
transport_find(struct xf_loading *l, const struct xf_yaml *node, const char *scope)
{
	size_t number = xf_names_find(&l->transport_names, node->text);

	if (number == XF_NAMES_NONE) {
		xf_read_name_refuse(l, node, scope, "transport", &l->transport_names);
		return NULL;
	}
	return &l->transports[number];
}

static void
sink_subject_read(struct xf_loading *l, struct xf_conf_endpoint *ep, const struct xf_config *core, const char *scope)
{
	const struct xf_yaml *node = xf_config_node(core, ENDPOINT_SUBJECT);
	const char *wrong;

	ep->template = xf_read_template(l, core, ENDPOINT_SUBJECT, scope, "subject");
	if (ep->template == NULL)
		return;
	wrong = xf_template_subject_check(ep->template);
	if (wrong == NULL)
		ep->subject = xf_read_text(core, ENDPOINT_SUBJECT);
	else
		xf_report_error(l->report, node->place, "%s'subject' is %s; it %s; expected a subject like orders.{subject}",
		                scope, xf_read_shown(l, node), wrong);
}

/* What `in_place` does not go with: nothing is ever published there. */
static void
in_place_check(struct xf_loading *l, struct xf_conf_endpoint *ep, const struct xf_config *core,
               const struct xf_endpoint_setting *setting)
{
	static const uint32_t unused[] = {ENDPOINT_SUBJECT, ENDPOINT_CONNECTIONS, SINK_WHEN_DOWN, SINK_SPOOL};
	const struct xf_yaml *node = xf_config_node(core, SINK_IN_PLACE);

	if (setting->kind != XF_ENDPOINT_OLD) {
		xf_report_error(l->report, xf_config_key_place(core, SINK_IN_PLACE),
		                "%s'in_place' stands only at the 'old' of a migration, whose producers stay as they are",
		                setting->scope);
		return;
	}
	ep->in_place = xf_config_option(core, SINK_IN_PLACE)->i64 == 1;
	for (size_t i = 0; ep->in_place && i < sizeof(unused) / sizeof(*unused); i++)
		if ((node = xf_config_node(core, unused[i])) != NULL)
			xf_report_error(l->report, xf_config_key_place(core, unused[i]),
			                "%s'%s' beside 'in_place'; expected none, since nothing is published there",
			                setting->scope, sink_rows[unused[i]]->key);
}

static void
weight_read(struct xf_loading *l, const struct xf_conf_endpoint *ep, const struct xf_config *core,
            const struct xf_endpoint_setting *setting, uint32_t *weight)
{
	bool given = xf_config_node(core, SINK_WEIGHT) != NULL;

	if (setting->kind == XF_ENDPOINT_SHARE && !given)
		xf_report_error(l->report, ep->place, "%s'weight' is missing; expected its share in percent, like weight: 90",
		                setting->scope);
	else if (setting->kind != XF_ENDPOINT_SHARE && given)
		xf_report_error(l->report, xf_config_key_place(core, SINK_WEIGHT),
		                "%s'weight' stands only at the sinks of 'split', which choose one by it", setting->scope);
	else if (given && weight != NULL && xf_config_sound(core))
		*weight = (uint32_t)xf_config_option(core, SINK_WEIGHT)->i64;
}

/* NODE is what stands at 'spool', or NULL. NULL: something in it is wrong. */
static const struct xf_config *
spool_read(struct xf_loading *l, const struct xf_conf_endpoint *ep, const struct xf_yaml *node,
           const struct xf_option *const *rows, const char *scope)
{
	const struct xf_config *config;

	if (node != NULL && node->kind != XF_YAML_MAP && !node->bad)
		xf_report_error(l->report, node->place, "%s'spool' is %s; expected a map like {max_size: 1GiB}", scope,
		                xf_yaml_kind_name(node));
	if (node == NULL || node->kind != XF_YAML_MAP)
		node = xf_read_empty_map(l, ep->place);
	config = xf_read_rows(l, node, xf_arena_format(l->arena, "%sspool: ", scope), rows);
	return xf_config_sound(config) ? config : NULL;
}

static void
sink_spool_read(struct xf_loading *l, struct xf_conf_endpoint *ep, const struct xf_config *core, const char *scope)
{
	const struct xf_yaml *node = xf_config_node(core, SINK_SPOOL);
	const struct xf_config *config;

	if (node != NULL && xf_config_node(core, SINK_IN_PLACE) == NULL)
		ep->spool_place = xf_config_key_place(core, SINK_SPOOL);
	config = spool_read(l, ep, node, spool_rows, scope);
	if (config == NULL)
		return;
	ep->spool_max_size = (uint64_t)xf_config_option(config, SPOOL_MAX_SIZE)->i64;
	ep->spool_drops = xf_config_option(config, SPOOL_WHEN_FULL)->i64 == 1;
}

static void
source_spool_read(struct xf_loading *l, struct xf_conf_endpoint *ep, const struct xf_config *core, const char *scope)
{
	const struct xf_yaml *node = xf_config_node(core, SOURCE_SPOOL);
	const struct xf_config *config;

	ep->accept_spooled = xf_config_option(core, SOURCE_ACCEPT)->i64 == 1;
	if (node != NULL && !ep->accept_spooled)
		xf_report_error(l->report, xf_config_key_place(core, SOURCE_SPOOL),
		                "%s'spool' without 'accept: spooled', so nothing would ever be in it", scope);
	config = spool_read(l, ep, node, source_spool_rows, scope);
	if (config == NULL)
		return;
	ep->spool_max_size = (uint64_t)xf_config_option(config, SPOOL_MAX_SIZE)->i64;
	if (ep->accept_spooled && ep->spool_max_size < l->conf->server.max_payload + SPOOL_SPARE)
		xf_report_error(l->report, xf_config_node(config, SPOOL_MAX_SIZE)->place,
		                "%sspool: 'max_size' is %s; expected 1 MiB more than the largest message, which by 'server' is %" PRIu64
		                " bytes",
		                scope, xf_read_shown(l, xf_config_node(config, SPOOL_MAX_SIZE)), l->conf->server.max_payload);
}

static void
sink_core_read(struct xf_loading *l, struct xf_conf_endpoint *ep, const struct xf_config *core,
               const struct xf_endpoint_setting *setting, uint32_t *weight)
{
	ep->connections = (uint32_t)xf_config_option(core, ENDPOINT_CONNECTIONS)->i64;
	ep->when_down = XF_WHEN_DOWN_UNSAID;
	if (xf_config_node(core, SINK_WHEN_DOWN) != NULL)
		ep->when_down = (enum xf_when_down)xf_config_option(core, SINK_WHEN_DOWN)->i64;
	sink_spool_read(l, ep, core, setting->scope);
	sink_subject_read(l, ep, core, setting->scope);
	if (xf_config_node(core, SINK_IN_PLACE) != NULL)
		in_place_check(l, ep, core, setting);
	weight_read(l, ep, core, setting, weight);
}

static void
source_core_read(struct xf_loading *l, struct xf_conf_endpoint *ep, const struct xf_config *core, const char *scope)
{
	const struct xf_yaml *node = xf_config_node(core, SOURCE_MESSAGE_ID);
	struct xf_str constant;

	ep->connections = 1;
	source_spool_read(l, ep, core, scope);
	ep->subject = xf_read_text(core, ENDPOINT_SUBJECT);
	ep->message_id = xf_read_template(l, core, SOURCE_MESSAGE_ID, scope, "message_id");
	if (ep->message_id != NULL && xf_template_constant(ep->message_id, &constant))
		xf_report_error(l->report, node->place,
		                "%s'message_id' is %s for every message, which would make all but one of them "
		                "duplicates; expected a field like {json./id}",
		                scope, xf_read_shown(l, node));
	else if (ep->message_id != NULL && xf_template_uses_id(ep->message_id))
		xf_report_error(l->report, node->place,
		                "%s'message_id' is %s, but the id is what it is to find; expected a field like {json./id}",
		                scope, xf_read_shown(l, node));
	node = xf_config_node(core, ENDPOINT_CONNECTIONS);
	if (xf_config_option(core, ENDPOINT_CONNECTIONS)->i64 > 1)
		xf_report_error(l->report, node->place,
		                "%s'connections' is %s; expected 1: a source reads over one connection, in whose order "
		                "its messages are accepted; several readers are several sources in 'from'",
		                scope, xf_read_shown(l, node));
}

/* ---- All of it -------------------------------------------------------------- */

/* The side of the class that is asked for; reported where there is none. */
static struct xf_class_side
side_find(struct xf_loading *l, const struct xf_yaml *map, bool sink, const char *scope, struct xf_conf_endpoint *ep)
{
	const struct xf_yaml_entry *transport = xf_yaml_entry(map, "transport");
	struct xf_class_side side = {.exists = false};

	if (transport == NULL || transport->value->kind != XF_YAML_SCALAR || transport->value->null ||
	    transport->value->bad)
		return side;
	ep->transport = transport_find(l, transport->value, scope);
	if (ep->transport == NULL || ep->transport->class == NULL)
		return side;
	side = sink ? xf_class_sink(ep->transport->class) : xf_class_source(ep->transport->class);
	if (!side.exists) {
		xf_report_error(l->report, transport->value->place,
		                "%stransport '%s' cannot be %s; expected one whose plugin has %s, which '%s' has not",
		                scope, ep->transport->name, sink ? "published to" : "consumed from",
		                sink ? "sinks" : "sources", ep->transport->plugin);
		ep->transport = NULL;
	}
	return side;
}

void
xf_endpoint_read(struct xf_loading *l, const struct xf_yaml *map, const struct xf_endpoint_setting *setting,
                 struct xf_conf_endpoint *ep, uint32_t *weight)
{
	bool sink = setting->kind != XF_ENDPOINT_SOURCE;
	struct xf_options_reader reader = {l->arena, l->report, setting->scope, false};
	struct xf_table tables[3] = {{.rows = sink ? sink_rows : source_rows},
	                             {.rows = NULL},
	                             {.rows = sink ? sink_later_rows : source_later_rows}};
	const struct xf_config *core;
	struct xf_class_side side;

	ep->place = map->place;
	side = side_find(l, map, sink, setting->scope, ep);
	tables[1].rows = side.options;
	reader.open = !side.exists;
	xf_options_read(&reader, map, tables, 3);
	core = tables[0].config;
	ep->options = tables[1].config;
	ep->envelope = (enum xf_envelope)xf_config_option(core, ENDPOINT_ENVELOPE)->i64;
	ep->subject_escape = xf_config_option(core, ENDPOINT_ESCAPE)->i64 == 1;
	if (sink)
		sink_core_read(l, ep, core, setting, weight);
	else
		source_core_read(l, ep, core, setting->scope);
	if (!xf_config_sound(core) || !xf_config_sound(tables[2].config))
		ep->options = NULL;
	if (!xf_endpoint_sound(ep))
		return;
	ep->shown = ep->subject;
	plugin_ask(l, ep, &side, setting);
	traits_check(l, ep, core, setting);
}

const struct xf_yaml *
xf_endpoint_map(struct xf_loading *l, const struct xf_yaml *node)
{
	struct xf_yaml *map;

	if (node->kind == XF_YAML_MAP)
		return node;
	if (node->kind != XF_YAML_SCALAR || node->null || node->bad)
		return NULL;
	map = xf_arena_alloc(l->arena, sizeof(*map));
	map->kind = XF_YAML_MAP;
	map->place = node->place;
	map->count = 1;
	map->entries = xf_arena_alloc(l->arena, sizeof(*map->entries));
	map->entries[0] = (struct xf_yaml_entry){"transport", node->place, (struct xf_yaml *)node};
	return map;
}

/* True (reported) where NODE is a destination of its own, not one sink. */
static bool
is_nested(struct xf_loading *l, const struct xf_yaml *node, const char *scope)
{
	static const char *const kinds[] = {"migration", "all", "split"};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		const struct xf_yaml_entry *entry = xf_yaml_entry(node, kinds[i]);

		if (entry == NULL)
			continue;
		xf_report_error(l->report, entry->place,
		                "%s'%s' cannot stand inside another destination; expected a single sink, like "
		                "{transport: NAME}",
		                scope, kinds[i]);
		return true;
	}
	return false;
}

void
xf_sink_read(struct xf_loading *l, const struct xf_yaml *node, const struct xf_endpoint_setting *setting,
             struct xf_conf_endpoint *ep, uint32_t *weight)
{
	const struct xf_yaml *map = xf_endpoint_map(l, node);

	ep->place = node->place;
	ep->connections = 1;
	if (is_nested(l, node, setting->scope))
		return;
	if (map != NULL)
		xf_endpoint_read(l, map, setting, ep, weight);
	else if (!node->bad)
		xf_report_error(l->report, node->place,
		                "%s%s; expected a transport's name, or a map like {transport: NAME, subject: TEMPLATE}",
		                setting->scope, xf_yaml_kind_name(node));
}
