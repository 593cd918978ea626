/*
 * One table of paths. `*` in a path is one segment, handed on as the name. A path that is there with another
 * method answers 405; whatever fails answers with a problem document.
 */
#include "admin/api.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/change.h"
#include "admin/dead.h"
#include "admin/json.h"
#include "admin/metrics.h"
#include "admin/page.h"
#include "base/memory.h"

static const char *
status_title(unsigned status)
{
	switch (status) {
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 408:
		return "Request Timeout";
	case 409:
		return "Conflict";
	case 413:
		return "Content Too Large";
	case 415:
		return "Unsupported Media Type";
	case 422:
		return "Unprocessable Content";
	case 501:
		return "Not Implemented";
	default:
		return "Internal Server Error";
	}
}

void
xf_reply_json(struct xf_answer *reply, unsigned status, cJSON *root)
{
	char *text = cJSON_PrintUnformatted(root);

	cJSON_Delete(root);
	xf_buffer_fini(&reply->body);
	reply->status = text != NULL ? status : 500;
	reply->content_type = "application/json";
	if (text != NULL) {
		xf_buffer_puts(&reply->body, text);
		xf_buffer_puts(&reply->body, "\n");
	}
	cJSON_free(text);
}

void
xf_reply_problem(struct xf_answer *reply, unsigned status, const char *format, ...)
{
	struct xf_error text;
	va_list args;

	va_start(args, format);
	vsnprintf(text.text, sizeof text.text, format, args);
	va_end(args);
	xf_reply_json(reply, status, xf_json_problem(status, status_title(status), text.text));
	reply->content_type = "application/problem+json";
}

static void
snapshot_take(struct xf_api *api, struct xf_snapshot *snapshot)
{
	xf_snapshot_take(snapshot, xf_flow_conf(api->setup.flow), api->setup.flow, api->setup.control, atomic_load(&api->draining));
}

/* Adds `did you mean`, where a name is near enough. */
static void
reply_unknown(struct xf_answer *reply, const char *kind, const char *name, const char *const *names,
	      size_t count)
{
	const char *nearest = xf_str_nearest(xf_str(name), names, count);

	if (nearest != NULL)
		xf_reply_problem(reply, 404, "no %s '%.100s'; did you mean '%s'?", kind, name, nearest);
	else
		xf_reply_problem(reply, 404, "no %s '%.100s'", kind, name);
}

static void
route_unknown(struct xf_api *api, const char *name, struct xf_answer *reply)
{
	struct xf_snapshot snapshot;
	const char **names;

	snapshot_take(api, &snapshot);
	names = xf_alloc_array(snapshot.route_count, sizeof *names);
	for (size_t i = 0; i < snapshot.route_count; i++)
		names[i] = snapshot.routes[i].name;
	reply_unknown(reply, "route", name, names, snapshot.route_count);
	free(names);
	xf_snapshot_fini(&snapshot);
}

static void
migration_unknown(struct xf_api *api, const char *name, struct xf_answer *reply)
{
	struct xf_snapshot snapshot;
	const char **names;

	snapshot_take(api, &snapshot);
	names = xf_alloc_array(snapshot.migration_count, sizeof *names);
	for (size_t i = 0; i < snapshot.migration_count; i++)
		names[i] = snapshot.migrations[i].name;
	reply_unknown(reply, "migration", name, names, snapshot.migration_count);
	free(names);
	xf_snapshot_fini(&snapshot);
}

/* ---- health ----------------------------------------------------------------------------------- */

static void
answer_livez(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply)
{
	cJSON *root = cJSON_CreateObject();

	(void)api, (void)request, (void)name;
	cJSON_AddStringToObject(root, "status", "ok");
	xf_reply_json(reply, 200, root);
}

static void
answer_readyz(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply)
{
	bool draining = atomic_load(&api->draining);
	bool ready = !draining && xf_flow_ready(api->setup.flow);
	cJSON *root = cJSON_CreateObject();

	(void)request, (void)name;
	cJSON_AddStringToObject(root, "status", ready ? "ready" : draining ? "draining" : "starting");
	xf_reply_json(reply, ready ? 200 : 503, root);
}

static void
answer_health(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply)
{
	struct xf_snapshot snapshot;

	(void)request, (void)name;
	snapshot_take(api, &snapshot);
	xf_reply_json(reply, xf_snapshot_healthy(&snapshot) ? 200 : 503, xf_json_health(&snapshot));
	xf_snapshot_fini(&snapshot);
}

/* Always 200: it was asked for what there is, and says in itself whether that is well. */
static void
answer_detailed(struct xf_api *api, const struct xf_request *request, const char *name,
	        struct xf_answer *reply)
{
	struct xf_snapshot snapshot;

	(void)request, (void)name;
	snapshot_take(api, &snapshot);
	xf_reply_json(reply, 200, xf_json_detailed(&snapshot));
	xf_snapshot_fini(&snapshot);
}

static void
answer_system(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply)
{
	struct xf_snapshot snapshot;

	(void)request, (void)name;
	snapshot_take(api, &snapshot);
	xf_reply_json(reply, 200, xf_json_system(&snapshot));
	xf_snapshot_fini(&snapshot);
}

static void
answer_metrics(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply)
{
	struct xf_snapshot snapshot;

	(void)request, (void)name;
	snapshot_take(api, &snapshot);
	xf_metrics_render(&snapshot, &reply->body);
	reply->status = 200;
	reply->content_type = XF_METRICS_TYPE;
	xf_snapshot_fini(&snapshot);
}

/* ---- routes ------------------------------------------------------------------------------------ */

static cJSON *
route_json(struct xf_api *api, size_t index)
{
	struct xf_route_status status;
	cJSON *root;

	xf_flow_route_status(api->setup.flow, index, &status);
	root = xf_json_route(&status);
	xf_route_status_fini(&status);
	return root;
}

static void
answer_routes(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply)
{
	cJSON *root = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(root, "routes");

	(void)request, (void)name;
	for (size_t i = 0; i < xf_flow_route_count(api->setup.flow); i++)
		cJSON_AddItemToArray(list, route_json(api, i));
	xf_reply_json(reply, 200, root);
}

static void
answer_route(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply)
{
	size_t index = xf_flow_route_find(api->setup.flow, xf_str(name));

	(void)request;
	if (index == SIZE_MAX)
		route_unknown(api, name, reply);
	else
		xf_reply_json(reply, 200, route_json(api, index));
}

static void
route_pause(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply,
	    bool paused)
{
	size_t index = xf_flow_route_find(api->setup.flow, xf_str(name));

	if (index == SIZE_MAX) {
		route_unknown(api, name, reply);
		return;
	}
	xf_flow_route_pause(api->setup.flow, index, paused, request->who);
	xf_reply_json(reply, 200, route_json(api, index));
}

static void
answer_pause(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply)
{
	route_pause(api, request, name, reply, true);
}

static void
answer_resume(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply)
{
	route_pause(api, request, name, reply, false);
}

/* A handler answers for itself, in JSON. */
static void
body_write(void *context, const char *data, uint64_t size)
{
	xf_buffer_append(&((struct xf_answer *)context)->body, data, size);
}

static void
handler_answer(struct xf_api *api, size_t index, const struct xf_request *request, struct xf_str name, const char *path,
               struct xf_answer *reply)
{
	struct xf_header *arguments = xf_alloc_array(request->argument_count, sizeof *arguments);
	struct xf_operator_response response = {sizeof response, 200, body_write, reply};
	struct xf_error error = {{0}};

	for (size_t i = 0; i < request->argument_count; i++)
		arguments[i] = (struct xf_header){xf_str(request->arguments[i].name),
			                          xf_str(request->arguments[i].value != NULL ? request->arguments[i].value : "")};
	if (xf_flow_handler_serve(api->setup.flow, index, name,
		                  &(struct xf_operator_request){
			                  .struct_size = sizeof(struct xf_operator_request),
			                  .argument_count = (uint32_t)request->argument_count,
			                  .method = xf_str(request->method),
			                  .path = xf_str(path),
			                  .arguments = arguments,
			                  .body = request->body,
		                  },
		                  &response, &error) == XF_OK) {
		reply->status = response.status;
		reply->content_type = "application/json";
	} else {
		xf_reply_problem(reply, response.status, "%s", error.text);
	}
	free(arguments);
}

static void
answer_handler(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply)
{
	size_t index = xf_flow_route_find(api->setup.flow, xf_str(name));
	const char *rest = strstr(request->path, "/handlers/") + strlen("/handlers/");
	size_t len = strcspn(rest, "/");

	if (index == SIZE_MAX)
		route_unknown(api, name, reply);
	else
		handler_answer(api, index, request, (struct xf_str){rest, len}, rest[len] == '/' ? rest + len + 1 : "", reply);
}

/* ---- transports ----------------------------------------------------------------------------------- */

static void
answer_transports(struct xf_api *api, const struct xf_request *request, const char *name,
	          struct xf_answer *reply)
{
	const struct xf_conf *conf = xf_flow_conf(api->setup.flow);
	cJSON *root = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(root, "transports");
	struct xf_snapshot snapshot;

	(void)request, (void)name;
	snapshot_take(api, &snapshot);
	for (size_t i = 0; i < conf->transport_count; i++)
		cJSON_AddItemToArray(list, xf_json_transport(&conf->transports[i], &snapshot));
	xf_snapshot_fini(&snapshot);
	xf_reply_json(reply, 200, root);
}

static void
transport_unknown(const struct xf_conf *conf, const char *name, struct xf_answer *reply)
{
	const char **names = xf_alloc_array(conf->transport_count, sizeof *names);

	for (size_t i = 0; i < conf->transport_count; i++)
		names[i] = conf->transports[i].name;
	reply_unknown(reply, "transport", name, names, conf->transport_count);
	free(names);
}

/* The plugin's own report goes in as `report`, if it is the JSON object that it should be. */
static void
report_add(struct xf_api *api, const struct xf_conf_transport *transport, cJSON *root)
{
	struct xf_buffer text = {0};
	cJSON *report;

	xf_flow_transport_report(api->setup.flow, transport, &text);
	report = text.len > 0 ? cJSON_ParseWithLength(text.data, text.len) : NULL;
	if (cJSON_IsObject(report))
		cJSON_AddItemToObject(root, "report", report);
	else
		cJSON_Delete(report);
	xf_buffer_fini(&text);
}

static void
answer_transport(struct xf_api *api, const struct xf_request *request, const char *name,
	         struct xf_answer *reply)
{
	const struct xf_conf *conf = xf_flow_conf(api->setup.flow);
	struct xf_snapshot snapshot;
	cJSON *root;
	size_t i = 0;

	(void)request;
	while (i < conf->transport_count && strcmp(conf->transports[i].name, name) != 0)
		i++;
	if (i == conf->transport_count) {
		transport_unknown(conf, name, reply);
		return;
	}
	snapshot_take(api, &snapshot);
	root = xf_json_transport(&conf->transports[i], &snapshot);
	xf_snapshot_fini(&snapshot);
	report_add(api, &conf->transports[i], root);
	xf_reply_json(reply, 200, root);
}

/* ---- plugins: those loaded; the running server loads no others ---------------------------------------- */

static void
answer_plugins(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply)
{
	cJSON *root = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(root, "plugins");
	const struct xf_plugin_info *plugins;
	size_t count;

	(void)request, (void)name;
	plugins = xf_catalogue_loaded(api->setup.catalogue, &count);
	for (size_t i = 0; i < count; i++)
		cJSON_AddItemToArray(list, xf_json_plugin(&plugins[i]));
	xf_reply_json(reply, 200, root);
}

static const struct xf_transport_class *
class_find(const struct xf_conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->transport_count; i++)
		if (strcmp(conf->transports[i].class->head.name, name) == 0)
			return conf->transports[i].class;
	return NULL;
}

static void
answer_plugin(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply)
{
	const struct xf_transport_class *class = class_find(xf_flow_conf(api->setup.flow), name);
	const struct xf_plugin_info *plugins;
	size_t count, i = 0;
	cJSON *root, *options;

	(void)request;
	plugins = xf_catalogue_loaded(api->setup.catalogue, &count);
	while (i < count && strcmp(plugins[i].class_name, name) != 0)
		i++;
	if (i == count) {
		xf_reply_problem(reply, 404, "no plugin '%.100s' is loaded", name);
		return;
	}
	root = xf_json_plugin(&plugins[i]);
	if (class != NULL) {
		options = cJSON_AddObjectToObject(root, "options");
		cJSON_AddItemToObject(options, "transport", xf_json_options(class->options));
		cJSON_AddItemToObject(options, "source", xf_json_options(class->source_options));
		cJSON_AddItemToObject(options, "sink", xf_json_options(class->sink_options));
	}
	xf_reply_json(reply, 200, root);
}

/* ---- migrations -------------------------------------------------------------------------------------- */

static cJSON *
migration_json(struct xf_api *api, size_t index)
{
	struct xf_migration_status status;

	xf_flow_migration_status(api->setup.flow, index, &status);
	return xf_json_migration(&status);
}

static void
answer_migrations(struct xf_api *api, const struct xf_request *request, const char *name,
	          struct xf_answer *reply)
{
	cJSON *root = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(root, "migrations");

	(void)request, (void)name;
	for (size_t i = 0; i < xf_flow_migration_count(api->setup.flow); i++)
		cJSON_AddItemToArray(list, migration_json(api, i));
	xf_reply_json(reply, 200, root);
}

static void
answer_migration(struct xf_api *api, const struct xf_request *request, const char *name,
	         struct xf_answer *reply)
{
	size_t index = xf_flow_migration_find(api->setup.flow, xf_str(name));

	(void)request;
	if (index == SIZE_MAX)
		migration_unknown(api, name, reply);
	else
		xf_reply_json(reply, 200, migration_json(api, index));
}

static void
migration_set(struct xf_api *api, size_t index, const struct xf_request *request,
	      const struct xf_migration_change *change, struct xf_answer *reply)
{
	struct xf_migration_effect effect = {0};
	struct xf_migration_status status;
	struct xf_error error = {{0}};
	cJSON *root;

	if (xf_flow_migration_set(api->setup.flow, index, change, request->who, &effect, &error) != XF_OK) {
		xf_reply_problem(reply, 409, "%s", error.text);
		return;
	}
	xf_flow_migration_status(api->setup.flow, index, &status);
	root = xf_json_migration(&status);
	cJSON_AddItemToObject(root, "change", xf_json_effect(&effect, &status, change->dry_run));
	xf_reply_json(reply, 200, root);
}

static bool
type_is_json(const char *content_type)
{
	static const char *const types[] = {"application/json", "application/merge-patch+json"};

	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		struct xf_str head = {content_type, strcspn(content_type, "; \t")};

		if (xf_str_equal_nocase(head, xf_str(types[i])))
			return true;
	}
	return false;
}

static bool
body_is_json(const struct xf_request *request, struct xf_answer *reply)
{
	if (request->content_type == NULL || type_is_json(request->content_type))
		return true;
	xf_reply_problem(reply, 415, "the body must be application/json, not %.100s", request->content_type);
	return false;
}

static void
answer_patch(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply)
{
	size_t index = xf_flow_migration_find(api->setup.flow, xf_str(name));
	struct xf_migration_change change = {0};
	struct xf_migration_status status;
	struct xf_error error = {{0}};

	if (index == SIZE_MAX) {
		migration_unknown(api, name, reply);
		return;
	}
	if (!body_is_json(request, reply))
		return;
	xf_flow_migration_status(api->setup.flow, index, &status);
	if (xf_change_parse(request->body, (struct xf_position){status.percent, status.mirror}, &change,
		            &error) != XF_OK)
		xf_reply_problem(reply, 400, "%s", error.text);
	else
		migration_set(api, index, request, &change, reply);
}

static void
answer_rollback(struct xf_api *api, const struct xf_request *request, const char *name,
	        struct xf_answer *reply)
{
	size_t index = xf_flow_migration_find(api->setup.flow, xf_str(name));
	struct xf_migration_change change = {0};
	struct xf_error error = {{0}};

	if (index == SIZE_MAX) {
		migration_unknown(api, name, reply);
		return;
	}
	if (request->body.len > 0 && !body_is_json(request, reply))
		return;
	if (xf_change_parse_rollback(request->body, &change, &error) != XF_OK)
		xf_reply_problem(reply, 400, "%s", error.text);
	else
		migration_set(api, index, request, &change, reply);
}

/* ---- the whole server ---------------------------------------------------------------------------------- */

static void
answer_reload(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply)
{
	const struct xf_control *control = api->setup.control;
	struct xf_buffer report = {0}, errors = {0};
	cJSON *root;

	(void)name;
	if (control == NULL) {
		xf_reply_problem(reply, 501, "this server has no file to read again");
	} else if (atomic_load(&api->draining)) {
		xf_reply_problem(reply, 409, "the server is stopping");
	} else if (control->reload(control->context, request->who, &report, &errors) == XF_OK) {
		root = cJSON_ParseWithLength(report.data, report.len);
		xf_reply_json(reply, 200, root != NULL ? root : cJSON_CreateObject());
	} else {
		root = xf_json_problem(422, status_title(422),
			               "the reload was refused; nothing was changed");
		cJSON_AddItemToObject(root, "errors", xf_json_lines((struct xf_str){errors.data, errors.len}));
		xf_reply_json(reply, 422, root);
		reply->content_type = "application/problem+json";
	}
	xf_buffer_fini(&report);
	xf_buffer_fini(&errors);
}

static void
answer_drain(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply)
{
	const struct xf_control *control = api->setup.control;
	cJSON *root;

	(void)name;
	if (control == NULL) {
		xf_reply_problem(reply, 501, "this server is not ended from here");
		return;
	}
	/* At once, not when the one who drains gets to it: who asked may look at /readyz next. */
	atomic_store(&api->draining, true);
	control->drain(control->context, request->who);
	root = cJSON_CreateObject();
	cJSON_AddStringToObject(root, "status", "draining");
	xf_reply_json(reply, 202, root);
}

/* ---- pages ------------------------------------------------------------------------------------------ */

static void
answer_page(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply)
{
	(void)api, (void)request, (void)name;
	xf_buffer_puts(&reply->body, xf_page_html);
	reply->status = 200;
	reply->content_type = "text/html; charset=utf-8";
}

static void
answer_openapi(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply)
{
	(void)api, (void)request, (void)name;
	xf_buffer_puts(&reply->body, xf_page_openapi);
	reply->status = 200;
	reply->content_type = "application/json";
}

/* ---- the table ----------------------------------------------------------------------------------------- */

typedef void answer_function(struct xf_api *api, const struct xf_request *request, const char *name,
	                     struct xf_answer *reply);

static const struct path {
	const char *pattern;
	answer_function *get;
	answer_function *patch;
	answer_function *post;
	answer_function *delete;
	bool open;  /* without a token */
	bool apart; /* looks at no part of the flow, which a reload may exchange meanwhile */
} paths[] = {
	{"/", .get = answer_page, .open = true, .apart = true},
	{"/livez", .get = answer_livez, .open = true, .apart = true},
	{"/readyz", .get = answer_readyz, .open = true},
	{"/healthz", .get = answer_health},
	{"/metrics", .get = answer_metrics},
	{"/system/status", .get = answer_system},
	{"/api/v1/health", .get = answer_health},
	{"/api/v1/health/detailed", .get = answer_detailed},
	{"/api/v1/health/system", .get = answer_system},
	{"/api/v1/status", .get = answer_detailed},
	{"/api/v1/reload", .post = answer_reload, .apart = true},
	{"/api/v1/drain", .post = answer_drain, .apart = true},
	{"/api/v1/openapi.json", .get = answer_openapi, .open = true, .apart = true},
	{"/api/v1/routes", .get = answer_routes},
	{"/api/v1/routes/*", .get = answer_route},
	{"/api/v1/routes/*/pause", .post = answer_pause},
	{"/api/v1/routes/*/resume", .post = answer_resume},
	{"/api/v1/routes/*/handlers/>", .get = answer_handler, .post = answer_handler, .delete = answer_handler},
	{"/api/v1/transports", .get = answer_transports},
	{"/api/v1/transports/*", .get = answer_transport},
	{"/api/v1/plugins", .get = answer_plugins},
	{"/api/v1/plugins/*", .get = answer_plugin},
	{"/api/v1/migrations", .get = answer_migrations},
	{"/api/v1/migrations/*", .get = answer_migration, .patch = answer_patch},
	{"/api/v1/migrations/*/rollback", .post = answer_rollback},
	{"/api/v1/dead", .get = xf_dead_list, .delete = xf_dead_purge, .apart = true},
	{"/api/v1/dead/replay", .post = xf_dead_replay},
	{"/api/v1/dead/*", .get = xf_dead_show, .delete = xf_dead_remove, .apart = true},
	{"/api/v1/dead/*/replay", .post = xf_dead_replay_one},
};

/* NAME is what stood for `*`; `>` stands for all the rest. A name is at most as long as its room; longer ones exist nowhere. */
static bool
path_matches(const char *pattern, const char *path, char *name, size_t size)
{
	while (*pattern != '\0') {
		if (*pattern == '*') {
			size_t len = strcspn(path, "/");

			if (len == 0 || len >= size)
				return false;
			memcpy(name, path, len);
			name[len] = '\0';
			path += len;
			pattern++;
		} else if (*pattern == '>') {
			return *path != '\0';
		} else if (*pattern++ != *path++) {
			return false;
		}
	}
	return *path == '\0';
}

static const struct path *
path_find(const char *path, char *name, size_t size)
{
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
		if (path_matches(paths[i].pattern, path, name, size))
			return &paths[i];
	return NULL;
}

bool
xf_api_is_open(const char *path)
{
	char name[256];
	const struct path *found = path_find(path, name, sizeof name);

	return found != NULL && found->open;
}

void
xf_api_answer(struct xf_api *api, const struct xf_request *request, struct xf_answer *reply)
{
	char name[256] = "";
	const struct path *path = path_find(request->path, name, sizeof name);
	answer_function *answer = NULL;

	if (path == NULL) {
		xf_reply_problem(reply, 404, "nothing is at %.200s; see /api/v1/openapi.json", request->path);
		return;
	}
	if (strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0)
		answer = path->get;
	else if (strcmp(request->method, "PATCH") == 0)
		answer = path->patch;
	else if (strcmp(request->method, "POST") == 0)
		answer = path->post;
	else if (strcmp(request->method, "DELETE") == 0)
		answer = path->delete;
	if (answer == NULL) {
		reply->allow = path->patch != NULL    ? "GET, HEAD, PATCH"
			       : path->delete != NULL ? "GET, HEAD, DELETE"
			       : path->post != NULL   ? "POST"
			                              : "GET, HEAD";
		xf_reply_problem(reply, 405, "%.20s is not for %.200s; allowed: %s", request->method,
			         request->path, reply->allow);
		return;
	}
	if (!path->apart)
		xf_flow_enter(api->setup.flow);
	answer(api, request, name, reply);
	if (!path->apart)
		xf_flow_leave(api->setup.flow);
}
