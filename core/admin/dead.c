#include "admin/dead.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "admin/json.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/utf8.h"

enum { LIMIT = 100, LIMIT_MAX = 1000 };

/* What stands behind the `?`. */
struct query {
	const char *route; /* NULL: all */
	uint64_t limit;
	uint64_t after;
	int64_t before_ms;
	bool all;
};

static bool
count_read(const char *text, uint64_t min, uint64_t max, uint64_t *count)
{
	unsigned long long number;
	char *end;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number < min || number > max)
		return false;
	*count = number;
	return true;
}

/* NULL, or what the argument must be. */
static const char *
argument_read(const struct xf_argument *argument, struct query *query)
{
	const char *name = argument->name, *value = argument->value != NULL ? argument->value : "";

	if (strcmp(name, "route") == 0) {
		query->route = value;
		return NULL;
	}
	if (strcmp(name, "limit") == 0)
		return count_read(value, 1, LIMIT_MAX, &query->limit) ? NULL : "1 to 1000";
	if (strcmp(name, "after") == 0)
		return count_read(value, 0, INT64_MAX, &query->after) ? NULL : "a number";
	if (strcmp(name, "before") == 0) {
		query->before_ms = xf_wall_parse(value);
		return query->before_ms >= 0 ? NULL : "a time like 2026-01-31T12:00:00Z";
	}
	query->all = strcmp(value, "true") == 0;
	return query->all ? NULL : "true";
}

/* KNOWN: the names that there are, which ends with NULL. False: refused. */
static bool
query_read(const struct xf_request *request, const char *const *known, struct query *query, struct xf_answer *reply)
{
	*query = (struct query){.limit = LIMIT, .before_ms = INT64_MAX};
	for (size_t i = 0; i < request->argument_count; i++) {
		const struct xf_argument *argument = &request->arguments[i];
		const char *nearest, *wrong;
		size_t count = 0;

		while (known[count] != NULL && strcmp(known[count], argument->name) != 0)
			count++;
		if (known[count] == NULL) {
			nearest = xf_str_nearest(xf_str(argument->name), known, count);
			xf_reply_problem(reply, 400, "no argument '%.100s'%s%s%s", argument->name,
			                 nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "",
			                 nearest != NULL ? "'?" : "");
			return false;
		}
		wrong = argument_read(argument, query);
		if (wrong != NULL) {
			xf_reply_problem(reply, 400, "%s is '%.100s'; it must be %s", argument->name,
			                 argument->value != NULL ? argument->value : "", wrong);
			return false;
		}
	}
	return true;
}

/* As text where it is text, else as NAME_base64. */
static void
bytes_add(cJSON *object, const char *name, struct xf_str bytes)
{
	if (xf_utf8_valid(bytes) && (bytes.len == 0 || memchr(bytes.data, '\0', bytes.len) == NULL)) {
		char *text = xf_strndup(bytes.len > 0 ? bytes.data : "", bytes.len);

		cJSON_AddStringToObject(object, name, text);
		free(text);
	} else {
		struct xf_buffer text = {0};
		char *key = xf_format("%s_base64", name);

		xf_base64_encode(bytes, &text);
		cJSON_AddStringToObject(object, key, text.data);
		xf_buffer_fini(&text);
		free(key);
	}
}

static void
time_add(cJSON *object, const char *name, int64_t wall_ms)
{
	char text[32];

	xf_wall_format(wall_ms, text);
	cJSON_AddStringToObject(object, name, text);
}

/* All but headers and payload. */
static cJSON *
letter_json(const struct xf_letter *letter)
{
	cJSON *object = cJSON_CreateObject();

	cJSON_AddNumberToObject(object, "number", (double)letter->number);
	bytes_add(object, "route", letter->route);
	bytes_add(object, "sink", letter->sink);
	bytes_add(object, "reason", letter->reason);
	cJSON_AddNumberToObject(object, "attempts", (double)letter->attempts);
	time_add(object, "first", letter->first_ms);
	time_add(object, "last", letter->last_ms);
	bytes_add(object, "subject", letter->message.subject);
	bytes_add(object, "id", letter->message.id);
	bytes_add(object, "key", letter->message.key);
	bytes_add(object, "content_type", letter->content_type);
	bytes_add(object, "reply", letter->reply);
	cJSON_AddNumberToObject(object, "payload_bytes", (double)letter->message.payload.len);
	return object;
}

static void
letter_list(void *list, const struct xf_letter *letter)
{
	cJSON_AddItemToArray(list, letter_json(letter));
}

static void
route_list(void *list, struct xf_str route, uint64_t count)
{
	cJSON *object = cJSON_CreateObject();

	bytes_add(object, "route", route);
	cJSON_AddNumberToObject(object, "count", (double)count);
	cJSON_AddItemToArray(list, object);
}

void
xf_dead_list(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply)
{
	static const char *const known[] = {"route", "limit", "after", NULL};
	struct xf_letters *letters = xf_flow_letters(api->setup.flow);
	struct xf_letters_sum sum;
	struct xf_error error;
	struct query query;
	cJSON *root, *routes, *list;

	(void)name;
	if (!query_read(request, known, &query, reply))
		return;
	root = cJSON_CreateObject();
	xf_letters_sum(letters, &sum);
	cJSON_AddNumberToObject(root, "count", (double)sum.count);
	cJSON_AddNumberToObject(root, "bytes", (double)sum.bytes);
	cJSON_AddNumberToObject(root, "bytes_max", (double)sum.bytes_max);
	routes = cJSON_AddArrayToObject(root, "routes");
	list = cJSON_AddArrayToObject(root, "letters");
	if (xf_letters_routes(letters, route_list, routes, &error) == XF_OK &&
	    xf_letters_list(letters, query.route, query.after, query.limit, letter_list, list, &error) == XF_OK) {
		xf_reply_json(reply, 200, root);
		return;
	}
	cJSON_Delete(root);
	xf_reply_problem(reply, 500, "%s", error.text);
}

static void
letter_show(void *root, const struct xf_letter *letter)
{
	cJSON *object = letter_json(letter), *headers = cJSON_AddArrayToObject(object, "headers");

	for (uint32_t i = 0; i < letter->message.header_count; i++) {
		cJSON *header = cJSON_CreateObject();

		bytes_add(header, "name", letter->message.headers[i].name);
		bytes_add(header, "value", letter->message.headers[i].value);
		cJSON_AddItemToArray(headers, header);
	}
	bytes_add(object, "payload", letter->message.payload);
	*(cJSON **)root = object;
}

/* 0 where NAME is none; no letter has that number. */
static uint64_t
number_of(const char *name)
{
	uint64_t number = 0;

	return count_read(name, 1, INT64_MAX, &number) ? number : 0;
}

void
xf_dead_show(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply)
{
	struct xf_error error;
	cJSON *root = NULL;

	(void)request;
	if (xf_letters_get(xf_flow_letters(api->setup.flow), number_of(name), letter_show, &root, &error) != XF_OK)
		xf_reply_problem(reply, 500, "%s", error.text);
	else if (root == NULL)
		xf_reply_problem(reply, 404, "no dead letter '%.100s'", name);
	else
		xf_reply_json(reply, 200, root);
}

/* How many were removed, or SIZE_MAX: refused. */
static uint64_t
letters_remove(struct xf_api *api, const struct xf_request *request, uint64_t number, const struct query *query,
               struct xf_answer *reply)
{
	struct xf_error error;
	uint64_t count;

	if (xf_letters_remove(xf_flow_letters(api->setup.flow), number, query->route, query->before_ms, &count, &error) != XF_OK) {
		xf_reply_problem(reply, 500, "%s", error.text);
		return SIZE_MAX;
	}
	if (count > 0)
		xf_log(XF_LOG_INFO, NULL, "dead letters removed by=%s count=%" PRIu64 "%s%s", request->who, count,
		       query->route != NULL ? " route=" : "", query->route != NULL ? query->route : "");
	return count;
}

/* SIZE_MAX: replied already. */
static uint64_t
letters_replay(struct xf_api *api, const struct xf_request *request, uint64_t number, const struct query *query,
               struct xf_answer *reply)
{
	struct xf_error error;
	uint64_t count = 0;

	if (xf_flow_redeliver(api->setup.flow, number, query->route, query->before_ms, &count, &error) != XF_OK) {
		xf_reply_problem(reply, 500, "%s", error.text);
		return SIZE_MAX;
	}
	if (count > 0)
		xf_log(XF_LOG_INFO, NULL, "dead letters: %" PRIu64 " go through their routes again, by %s", count, request->who);
	return count;
}

/* What is done with those that are chosen, and how it is answered. */
struct action {
	uint64_t (*run)(struct xf_api *api, const struct xf_request *request, uint64_t number, const struct query *query,
	                struct xf_answer *reply);
	const char *counted; /* in the answer */
	unsigned status;
	const char *missing; /* behind "no dead letter 'N'" */
};

static const struct action removal = {letters_remove, "removed", 200, ""};
static const struct action replay = {letters_replay, "replaying", 202, " of a route that there is"};

static void
reply_count(const struct action *action, uint64_t count, struct xf_answer *reply)
{
	cJSON *root;

	if (count == SIZE_MAX)
		return;
	root = cJSON_CreateObject();
	cJSON_AddNumberToObject(root, action->counted, (double)count);
	xf_reply_json(reply, action->status, root);
}

static void
action_one(const struct action *action, struct xf_api *api, const struct xf_request *request, const char *name,
           struct xf_answer *reply)
{
	const struct query query = {.before_ms = INT64_MAX};
	uint64_t number = number_of(name), count = 0;

	if (number != 0)
		count = action->run(api, request, number, &query, reply);
	if (count == 0)
		xf_reply_problem(reply, 404, "no dead letter '%.100s'%s", name, action->missing);
	else
		reply_count(action, count, reply);
}

/* Of several. All of them only where that is said. False: refused. */
static bool
choice_read(const struct xf_request *request, struct query *query, struct xf_answer *reply)
{
	static const char *const known[] = {"route", "before", "all", NULL};

	if (!query_read(request, known, query, reply))
		return false;
	if (query->route == NULL && query->before_ms == INT64_MAX && !query->all) {
		xf_reply_problem(reply, 400, "say which: give route or before, or all=true");
		return false;
	}
	return true;
}

void
xf_dead_remove(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply)
{
	action_one(&removal, api, request, name, reply);
}

void
xf_dead_purge(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply)
{
	struct query query;

	(void)name;
	if (choice_read(request, &query, reply))
		reply_count(&removal, letters_remove(api, request, 0, &query, reply), reply);
}

void
xf_dead_replay_one(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply)
{
	action_one(&replay, api, request, name, reply);
}

void
xf_dead_replay(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply)
{
	struct query query;

	(void)name;
	if (!choice_read(request, &query, reply))
		return;
	if (query.route != NULL && xf_flow_route_find(api->setup.flow, xf_str(query.route)) == SIZE_MAX)
		xf_reply_problem(reply, 404, "no route '%.100s', so they can go nowhere", query.route);
	else
		reply_count(&replay, letters_replay(api, request, 0, &query, reply), reply);
}
