#include "admin/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "conf/options.h"

static void
add_text(cJSON *object, const char *key, const char *text)
{
	struct xf_buffer mended = {0};

	if (text == NULL) {
		cJSON_AddNullToObject(object, key);
		return;
	}
	xf_utf8_mend(text, &mended);
	cJSON_AddStringToObject(object, key, mended.len ? mended.data : "");
	xf_buffer_fini(&mended);
}

static void
add_item(cJSON *list, const char *text)
{
	struct xf_buffer mended = {0};

	xf_utf8_mend(text, &mended);
	cJSON_AddItemToArray(list, cJSON_CreateString(mended.len ? mended.data : ""));
	xf_buffer_fini(&mended);
}

/* cJSON keeps numbers as doubles, which would round above 2^53. */
static void
add_count(cJSON *object, const char *key, uint64_t count)
{
	char text[24];

	snprintf(text, sizeof text, "%" PRIu64, count);
	cJSON_AddRawToObject(object, key, text);
}

/* Hundredths of a percent as 25, 0.01, 33.33. */
static void
add_percent(cJSON *object, uint32_t percent)
{
	char text[16];

	xf_percent_format(percent, text);
	cJSON_AddRawToObject(object, "percent", text);
}

static void
add_seconds(cJSON *object, const char *key, uint64_t microseconds)
{
	char text[32];

	snprintf(text, sizeof text, "%" PRIu64 ".%06u", microseconds / 1000000,
		 (unsigned)(microseconds % 1000000));
	cJSON_AddRawToObject(object, key, text);
}

static void
add_mirror(cJSON *object, enum xf_mirror mirror)
{
	if (mirror == XF_MIRROR_REQUIRED)
		cJSON_AddStringToObject(object, "mirror", xf_mirror_name(mirror));
	else
		cJSON_AddBoolToObject(object, "mirror", mirror == XF_MIRROR_ON);
}

static void
add_latency(cJSON *object, const char *key, const struct xf_histogram_snapshot *histogram)
{
	cJSON *latency = cJSON_AddObjectToObject(object, key);

	add_count(latency, "count", histogram->count);
	add_seconds(latency, "mean_seconds", histogram->count ? histogram->sum_us / histogram->count : 0);
	add_seconds(latency, "p50_seconds", xf_histogram_quantile(histogram, 0.50));
	add_seconds(latency, "p99_seconds", xf_histogram_quantile(histogram, 0.99));
}

static void
add_known(cJSON *object, const char *key, const struct xf_sight *sight, uint32_t bit, uint64_t count)
{
	if (sight->known & bit)
		add_count(object, key, count);
	else
		cJSON_AddNullToObject(object, key);
}

/* Null before the plugin has told anything; a number that the broker does not tell is null. */
static void
add_sight(cJSON *object, const struct xf_endpoint_status *endpoint)
{
	const struct xf_sight *sight = &endpoint->sight;
	cJSON *part;

	if (sight->known == 0) {
		cJSON_AddNullToObject(object, "sight");
		return;
	}
	part = cJSON_AddObjectToObject(object, "sight");
	add_known(part, "depth", sight, XF_SIGHT_DEPTH, sight->depth);
	add_known(part, "lag", sight, XF_SIGHT_LAG, sight->lag);
	add_known(part, "consumers", sight, XF_SIGHT_CONSUMERS, sight->consumers);
	add_seconds(part, "age_seconds", endpoint->sight_age_ms * 1000);
}

static cJSON *
spool_json(const struct xf_endpoint_status *endpoint)
{
	cJSON *object = cJSON_CreateObject();

	add_count(object, "messages", endpoint->spool.messages);
	add_count(object, "bytes", endpoint->spool.bytes);
	add_count(object, "bytes_max", endpoint->spool.bytes_max);
	add_count(object, "refused", endpoint->spool.refused);
	cJSON_AddBoolToObject(object, "failed", endpoint->spool.failed);
	add_seconds(object, "oldest_seconds", endpoint->spool_age_ms * 1000);
	return object;
}

static cJSON *
endpoint_json(const struct xf_endpoint_status *endpoint)
{
	cJSON *object = cJSON_CreateObject();

	add_text(object, "name", endpoint->name);
	add_text(object, "transport", endpoint->transport);
	add_text(object, "plugin", endpoint->plugin);
	add_text(object, "subject", endpoint->subject);
	add_text(object, "state", xf_state_word(endpoint->state));
	add_text(object, "reason", endpoint->reason);
	cJSON_AddBoolToObject(object, "was_up", endpoint->was_up);
	add_count(object, "reconnects", endpoint->reconnects);
	add_count(object, "violations", endpoint->violations);
	add_sight(object, endpoint);
	if (endpoint->spools)
		cJSON_AddItemToObject(object, "spool", spool_json(endpoint));
	return object;
}

static cJSON *
leg_json(const struct xf_leg_status *leg, const char *side)
{
	cJSON *object = endpoint_json(&leg->sink);

	if (side[0] != '\0')
		add_text(object, "side", side);
	add_count(object, "accepted", leg->accepted);
	add_count(object, "confirmed", leg->confirmed);
	add_count(object, "refused", leg->refused);
	add_count(object, "dropped", leg->dropped);
	add_count(object, "crossed", leg->crossed);
	add_count(object, "moved", leg->moved);
	add_count(object, "spooled", leg->spooled);
	add_count(object, "in_flight", leg->in_flight);
	add_count(object, "retried", leg->retried);
	add_count(object, "copies", leg->copies);
	add_count(object, "no_receiver", leg->no_receiver);
	add_count(object, "only", leg->only);
	add_count(object, "late_replies", leg->sink.late);
	add_seconds(object, "oldest_unconfirmed_seconds", leg->oldest_ms * 1000);
	add_latency(object, "publish_latency", &leg->publish);
	return object;
}

static const char *
route_state(const struct xf_route_status *route)
{
	if (!route->ok)
		return "failing";
	return route->paused ? "paused" : "ok";
}

static cJSON *
handler_json(const struct xf_handler_status *handler)
{
	uint64_t ended = handler->passed + handler->dropped + handler->failed + handler->delayed + handler->refused +
	                 handler->cancelled;
	cJSON *object = cJSON_CreateObject(), *numbers;

	add_text(object, "name", handler->name);
	add_text(object, "plugin", handler->plugin);
	add_text(object, "state", handler->threaded ? xf_state_word(handler->state) : "up");
	add_text(object, "reason", handler->threaded ? handler->reason : "");
	add_count(object, "taken", handler->taken);
	add_count(object, "held", handler->taken > ended ? handler->taken - ended : 0);
	add_count(object, "passed", handler->passed);
	add_count(object, "dropped", handler->dropped);
	add_count(object, "failed", handler->failed);
	add_count(object, "delayed", handler->delayed);
	add_count(object, "refused", handler->refused);
	add_count(object, "cancelled", handler->cancelled);
	add_count(object, "violations", handler->violations);
	numbers = cJSON_AddObjectToObject(object, "numbers");
	for (uint32_t i = 0; i < handler->number_count; i++)
		add_count(numbers, handler->numbers[i].name, handler->numbers[i].value);
	return object;
}

cJSON *
xf_json_route(const struct xf_route_status *route)
{
	cJSON *object = cJSON_CreateObject(), *list;

	add_text(object, "name", route->name);
	add_text(object, "state", route_state(route));
	cJSON_AddBoolToObject(object, "ok", route->ok);
	cJSON_AddBoolToObject(object, "paused", route->paused);
	add_text(object, "reason", route->reason);
	add_text(object, "promise", route->promise);
	add_text(object, "migration", route->migration);
	add_count(object, "accepted", route->accepted);
	add_count(object, "acked", route->acked);
	add_count(object, "rejected", route->rejected);
	add_count(object, "overflow", route->overflow);
	add_count(object, "filtered", route->filtered);
	add_count(object, "copies", route->copies);
	add_count(object, "duplicates", route->duplicates);
	add_count(object, "in_flight", route->in_flight);
	add_count(object, "in_flight_bytes", route->in_flight_bytes);
	add_count(object, "redelivered", route->redelivered);
	if (route->pool != NULL) {
		list = cJSON_AddObjectToObject(object, "pool");
		add_text(list, "name", route->pool);
		add_count(list, "priority", route->pool_priority);
		add_count(list, "waiting", route->pool_waiting);
		add_count(list, "busy", route->pool_busy);
	}
	list = cJSON_AddObjectToObject(object, "replies");
	add_count(list, "sent", route->replies.sent);
	add_count(list, "failed", route->replies.failed);
	add_count(list, "timed_out", route->replies.timed_out);
	add_count(list, "unasked", route->replies.unasked);
	add_count(list, "awaited", route->replies.awaited);
	add_latency(object, "handover", &route->handover);
	list = cJSON_AddArrayToObject(object, "sources");
	for (size_t i = 0; i < route->source_count; i++)
		cJSON_AddItemToArray(list, endpoint_json(&route->sources[i]));
	list = cJSON_AddArrayToObject(object, "handlers");
	for (size_t i = 0; i < route->handler_count; i++)
		cJSON_AddItemToArray(list, handler_json(&route->handlers[i]));
	list = cJSON_AddArrayToObject(object, "sinks");
	for (size_t i = 0; i < route->leg_count; i++)
		cJSON_AddItemToArray(list, leg_json(&route->legs[i], xf_side_word(route, i)));
	return object;
}

cJSON *
xf_json_migration(const struct xf_migration_status *migration)
{
	cJSON *object = cJSON_CreateObject(), *part;

	add_text(object, "name", migration->name);
	add_percent(object, migration->percent);
	add_mirror(object, migration->mirror);
	add_text(object, "stage", xf_stage_name(migration->percent, migration->mirror));
	part = cJSON_AddObjectToObject(object, "buckets");
	add_count(part, "new", migration->lanes_new);
	add_count(part, "moving", migration->lanes_moving);
	add_count(part, "stuck", migration->lanes_stuck);
	add_count(object, "crossed", migration->crossed);
	add_count(object, "only_on_new", migration->sides[1].only);
	part = cJSON_AddObjectToObject(object, "sides");
	cJSON_AddItemToObject(part, "old", leg_json(&migration->sides[0], "old"));
	cJSON_AddItemToObject(part, "new", leg_json(&migration->sides[1], "new"));
	return object;
}

static cJSON *
position_json(struct xf_position position)
{
	cJSON *object = cJSON_CreateObject();

	add_percent(object, position.percent);
	add_mirror(object, position.mirror);
	add_text(object, "stage", xf_stage_name(position.percent, position.mirror));
	return object;
}

/* What an operator would want to have known before. */
static void
add_warnings(cJSON *list, const struct xf_migration_effect *effect, const struct xf_migration_status *migration)
{
	bool rises = effect->to.percent > effect->from.percent;
	const struct xf_endpoint_status *entered = &migration->sides[rises].sink;
	struct xf_buffer text = {0};

	if (effect->lanes_moving == 0)
		return;
	if ((entered->sight.known & XF_SIGHT_CONSUMERS) != 0 && entered->sight.consumers == 0) {
		xf_buffer_printf(&text,
			         "nobody consumes on the %s side (%s): what moves there is read only once somebody "
			         "does; attach its consumers first",
			         rises ? "new" : "old", entered->transport);
		add_item(list, text.data);
	}
	text.len = 0;
	if (!rises && migration->sides[1].only > 0) {
		xf_buffer_printf(&text,
			         "%" PRIu64 " messages stand on the new side (%s) only: the old side's consumers never "
			         "see them; leave the new side's consumers there until they have read them",
			         migration->sides[1].only, migration->sides[1].sink.transport);
		add_item(list, text.data);
	}
	xf_buffer_fini(&text);
}

cJSON *
xf_json_effect(const struct xf_migration_effect *effect, const struct xf_migration_status *migration, bool dry_run)
{
	cJSON *object = cJSON_CreateObject();

	cJSON_AddItemToObject(object, "from", position_json(effect->from));
	cJSON_AddItemToObject(object, "to", position_json(effect->to));
	add_count(object, "lanes_moving", effect->lanes_moving);
	add_count(object, "lanes_in_use", effect->lanes_in_use);
	add_warnings(cJSON_AddArrayToObject(object, "warnings"), effect, migration);
	cJSON_AddBoolToObject(object, "dry_run", dry_run);
	return object;
}

static unsigned
badness(uint32_t state)
{
	return state == XF_STATE_UP ? 0 : state == XF_STATE_BLOCKED ? 1 : 2;
}

static void
transport_endpoint(cJSON *list, const struct xf_endpoint_status *endpoint, const char *transport,
	           const struct xf_endpoint_status **worst)
{
	if (strcmp(endpoint->transport, transport) != 0)
		return;
	cJSON_AddItemToArray(list, endpoint_json(endpoint));
	if (*worst == NULL || badness(endpoint->state) > badness((*worst)->state))
		*worst = endpoint;
}

cJSON *
xf_json_transport(const struct xf_conf_transport *transport, const struct xf_snapshot *snapshot)
{
	const struct xf_endpoint_status *worst = NULL;
	cJSON *object = cJSON_CreateObject(), *list = cJSON_CreateArray();

	for (size_t i = 0; i < snapshot->route_count; i++) {
		const struct xf_route_status *route = &snapshot->routes[i];

		for (size_t j = 0; j < route->source_count; j++)
			transport_endpoint(list, &route->sources[j], transport->name, &worst);
		for (size_t j = 0; j < route->leg_count; j++)
			transport_endpoint(list, &route->legs[j].sink, transport->name, &worst);
	}
	add_text(object, "name", transport->name);
	add_text(object, "plugin", transport->plugin);
	add_text(object, "state", worst != NULL ? xf_state_word(worst->state) : "unused");
	add_text(object, "reason", worst != NULL ? worst->reason : "");
	cJSON_AddItemToObject(object, "endpoints", list);
	return object;
}

cJSON *
xf_json_plugin(const struct xf_plugin_info *plugin)
{
	cJSON *object = cJSON_CreateObject();
	char abi[24];

	snprintf(abi, sizeof abi, "%u.%u", plugin->abi_major, plugin->abi_minor);
	add_text(object, "name", plugin->class_name);
	add_text(object, "kind", plugin->kind == XF_KIND_HANDLER ? "handler" : "transport");
	add_text(object, "version", plugin->version);
	add_text(object, "abi", abi);
	add_text(object, "id", plugin->id);
	add_text(object, "file", plugin->file);
	add_text(object, "summary", plugin->summary);
	return object;
}

static const char *
option_type(uint32_t type)
{
	static const char *const words[] = {
		[XF_OPTION_BOOL] = "boolean",    [XF_OPTION_I64] = "integer",
		[XF_OPTION_F64] = "number",      [XF_OPTION_STRING] = "string",
		[XF_OPTION_ENUM] = "word",       [XF_OPTION_DURATION] = "duration",
		[XF_OPTION_BYTES] = "size",      [XF_OPTION_PERCENT] = "percentage",
		[XF_OPTION_URL] = "url",         [XF_OPTION_PATH] = "path",
		[XF_OPTION_SUBJECT] = "subject", [XF_OPTION_MAP] = "mapping",
	};

	return type < sizeof words / sizeof words[0] && words[type] != NULL ? words[type] : "value";
}

static cJSON *
option_json(const struct xf_option *const *rows, const struct xf_option *row)
{
	cJSON *object = cJSON_CreateObject();
	const struct xf_option *whole;

	add_text(object, "key", row->key);
	if (xf_option_member(rows, row, &whole) != NULL)
		add_text(object, "form_of", whole->key);
	add_text(object, "type", option_type(row->type));
	cJSON_AddBoolToObject(object, "list", (row->flags & XF_OPTION_LIST) != 0);
	cJSON_AddBoolToObject(object, "required", (row->flags & XF_OPTION_REQUIRED) != 0);
	cJSON_AddBoolToObject(object, "secret", (row->flags & XF_OPTION_SECRET) != 0);
	cJSON_AddBoolToObject(object, "deprecated", (row->flags & XF_OPTION_DEPRECATED) != 0);
	add_text(object, "default", row->def);
	if (row->min != row->max) {
		char text[24];

		snprintf(text, sizeof text, "%" PRId64, row->min);
		cJSON_AddRawToObject(object, "minimum", text);
		snprintf(text, sizeof text, "%" PRId64, row->max);
		cJSON_AddRawToObject(object, "maximum", text);
	}
	if (row->values != NULL) {
		cJSON *list = cJSON_AddArrayToObject(object, "values");

		for (size_t i = 0; row->values[i] != NULL; i++)
			cJSON_AddItemToArray(list, cJSON_CreateString(row->values[i]));
	}
	if (row->unit != NULL)
		add_text(object, "unit", row->unit);
	add_text(object, "help", row->help);
	if (row->fields != NULL)
		cJSON_AddItemToObject(object, "fields", xf_json_options(row->fields));
	return object;
}

cJSON *
xf_json_options(const struct xf_option *const *rows)
{
	cJSON *list = cJSON_CreateArray();

	for (size_t i = 0; rows != NULL && rows[i] != NULL; i++)
		cJSON_AddItemToArray(list, option_json(rows, rows[i]));
	return list;
}

cJSON *
xf_json_health(const struct xf_snapshot *snapshot)
{
	cJSON *object = cJSON_CreateObject(), *reasons;

	add_text(object, "status", xf_snapshot_healthy(snapshot) ? "ok" : "failing");
	cJSON_AddBoolToObject(object, "ready", snapshot->ready);
	cJSON_AddBoolToObject(object, "draining", snapshot->draining);
	reasons = cJSON_AddArrayToObject(object, "reasons");
	for (size_t i = 0; i < snapshot->route_count; i++)
		if (!snapshot->routes[i].ok) {
			cJSON *reason = cJSON_CreateObject();

			add_text(reason, "route", snapshot->routes[i].name);
			add_text(reason, "reason", snapshot->routes[i].reason);
			cJSON_AddItemToArray(reasons, reason);
		}
	return object;
}

cJSON *
xf_json_detailed(const struct xf_snapshot *snapshot)
{
	cJSON *object = xf_json_health(snapshot), *dead, *list;

	cJSON_AddItemToObject(object, "server", xf_json_system(snapshot));
	dead = cJSON_AddObjectToObject(object, "dead");
	add_count(dead, "count", snapshot->dead.count);
	add_count(dead, "bytes", snapshot->dead.bytes);
	add_count(dead, "bytes_max", snapshot->dead.bytes_max);
	list = cJSON_AddArrayToObject(object, "routes");
	for (size_t i = 0; i < snapshot->route_count; i++)
		cJSON_AddItemToArray(list, xf_json_route(&snapshot->routes[i]));
	list = cJSON_AddArrayToObject(object, "migrations");
	for (size_t i = 0; i < snapshot->migration_count; i++)
		cJSON_AddItemToArray(list, xf_json_migration(&snapshot->migrations[i]));
	return object;
}

cJSON *
xf_json_system(const struct xf_snapshot *snapshot)
{
	const struct xf_process *process = &snapshot->process;
	cJSON *object = cJSON_CreateObject();
	int64_t age_ms = xf_wall_ms() - process->start_ms;
	char started[32];

	xf_wall_format(process->start_ms, started);
	add_text(object, "name", snapshot->server);
	add_text(object, "version", XF_VERSION);
	add_text(object, "started", started);
	add_count(object, "uptime_seconds", age_ms > 0 ? (uint64_t)age_ms / 1000 : 0);
	add_count(object, "resident_bytes", process->resident_bytes);
	add_count(object, "open_fds", process->open_fds);
	add_count(object, "max_fds", process->max_fds);
	add_count(object, "threads", process->threads);
	cJSON_AddNumberToObject(object, "cpu_seconds", process->cpu_seconds);
	add_count(object, "routes", snapshot->route_count);
	add_count(object, "migrations", snapshot->migration_count);
	add_count(object, "generation", snapshot->reload.generation);
	cJSON_AddItemToObject(object, "last_reload", xf_json_reload(&snapshot->reload));
	return object;
}

cJSON *
xf_json_lines(struct xf_str text)
{
	cJSON *list = cJSON_CreateArray();
	char *copy = xf_strndup(text.data, text.len), *rest = copy, *line;

	while ((line = strsep(&rest, "\n")) != NULL)
		if (line[0] != '\0')
			add_item(list, line);
	free(copy);
	return list;
}

cJSON *
xf_json_reload(const struct xf_reload_status *reload)
{
	cJSON *object;
	char when[32];

	if (reload->time_ms == 0)
		return cJSON_CreateNull();
	object = cJSON_CreateObject();
	xf_wall_format(reload->time_ms, when);
	add_text(object, "time", when);
	cJSON_AddBoolToObject(object, "ok", reload->ok);
	cJSON_AddItemToObject(object, "errors",
	                      xf_json_lines((struct xf_str){reload->errors.data, reload->errors.len}));
	return object;
}

cJSON *
xf_json_problem(unsigned status, const char *title, const char *detail)
{
	cJSON *object = cJSON_CreateObject();

	add_text(object, "type", "about:blank");
	add_text(object, "title", title);
	add_count(object, "status", status);
	if (detail != NULL)
		add_text(object, "detail", detail);
	return object;
}
