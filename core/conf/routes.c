/*
 * `routes`: where messages come from, where they go, and how they are worked on in between.
 */
#include "conf/destination.h"
#include "conf/handlers.h"
#include "conf/sources.h"

enum { ROUTES_MAX = 10000 };

enum {
	ROUTE_NAME,
	ROUTE_FROM,
	ROUTE_TO,
	ROUTE_KEY,
	ROUTE_IN_FLIGHT,
	ROUTE_IN_FLIGHT_BYTES,
	ROUTE_ORDER,
	ROUTE_CONCURRENCY,
	ROUTE_DEDUPE,
	ROUTE_DEDUPE_WINDOW,
	ROUTE_DEDUPE_COUNT,
	ROUTE_RETRY,
	ROUTE_MAX_DELIVER,
	ROUTE_DEAD_LETTER,
	ROUTE_HANDLERS,
	ROUTE_REQUEST,
	ROUTE_POOL,
};

enum { ATTEMPTS_MAX = 1000000 };

/* Order by lane is what no word says. */
static const char *const order_words[] = {"strict", "none", NULL};

static const char *const dedupe_forms[] = {"dedupe_window", "dedupe_count", NULL};

static const struct xf_option *const route_rows[] = {
	XF_ROW(.type = XF_OPTION_STRING, .flags = XF_OPTION_REQUIRED, .key = "name",
	       .help = "a name that no other route has"),
	XF_ROW(.type = XF_OPTION_NODE, .flags = XF_OPTION_REQUIRED, .key = "from",
	       .help = "a source like {transport: NAME, subject: PATTERN}, a list of them, or {migration: NAME}"),
	XF_ROW(.type = XF_OPTION_NODE, .flags = XF_OPTION_REQUIRED, .key = "to",
	       .help = "a transport's name, {transport: NAME}, {all: [...]}, {split: [...]}, {migration: NAME} or reply"),
	XF_ROW(.type = XF_OPTION_STRING, .key = "key"),
	XF_ROW(.type = XF_OPTION_I64, .key = "max_in_flight", .def = "4096", .min = 1, .max = 1000000,
	       .unit = "messages"),
	XF_ROW(.type = XF_OPTION_BYTES, .key = "max_in_flight_bytes", .def = "64MiB", .min = 1024,
	       .max = (int64_t)64 << 30),
	XF_ROW(.type = XF_OPTION_ENUM, .key = "order", .values = order_words),
	XF_ROW(.type = XF_OPTION_I64, .key = "concurrency", .min = 1, .max = 1000000, .unit = "messages"),
	XF_ROW(.type = XF_OPTION_BOOL, .key = "dedupe", .def = "false", .conflicts = dedupe_forms),
	XF_ROW(.type = XF_OPTION_DURATION, .key = "dedupe_window", .def = "10m", .min = 1000, .max = INT64_C(7) * 86400000),
	XF_ROW(.type = XF_OPTION_I64, .key = "dedupe_count", .def = "100000", .min = 1000, .max = 10000000, .unit = "ids"),
	XF_ROW(.type = XF_OPTION_NODE, .key = "retry"),
	XF_ROW(.type = XF_OPTION_I64, .key = "max_deliver", .min = 1, .max = ATTEMPTS_MAX, .unit = "attempts"),
	XF_ROW(.type = XF_OPTION_NODE, .key = "dead_letter"),
	XF_ROW(.type = XF_OPTION_NODE, .key = "handlers"),
	XF_ROW(.type = XF_OPTION_NODE, .key = "request"),
	XF_ROW(.type = XF_OPTION_NODE, .key = "pool"),
	XF_ELSEWHERE("accept", "at a source in 'from'"),
	XF_ELSEWHERE("spool", "at a sink, or at a source"),
	XF_ELSEWHERE("message_id", "at a source in 'from'"),
	XF_ELSEWHERE("require", "beside 'all' in 'to'"),
	XF_ELSEWHERE("drain_first", "beside 'migration' in 'from'"),
	NULL,
};

/* ---- Order ------------------------------------------------------------------ */

static const struct xf_conf_migration *
migration_read_by(const struct xf_conf_route *route)
{
	for (size_t i = 0; i < route->source_count; i++)
		if (route->sources[i].migration != NULL)
			return route->sources[i].migration;
	return NULL;
}

/* A migration hands its lanes over in order, and a source that waits for one side to be read to its end does so for the
 * sake of order: without any, neither says what it does. */
static void
order_none_check(struct xf_loading *l, const struct xf_conf_route *route, const struct xf_config *config,
                 const char *scope)
{
	const struct xf_yaml *node = xf_config_node(config, ROUTE_ORDER);

	if (route->to == XF_TO_MIGRATION)
		xf_report_error(l->report, node->place,
		                "%s'order: none' with a migration, which moves a key only once nothing of it is under "
		                "way; expected 'strict', or no 'order'",
		                scope);
	if (route->drain_first)
		xf_report_error(l->report, node->place,
		                "%s'order: none' with 'drain_first', which waits for the sake of order; expected one of "
		                "them",
		                scope);
	if (xf_config_node(config, ROUTE_KEY) != NULL && route->to != XF_TO_SPLIT)
		xf_report_warning(l->report, xf_config_key_place(config, ROUTE_KEY),
		                  "%s'key' beside 'order: none' keeps nothing together; it goes along as a header only",
		                  scope);
}

static void
order_read(struct xf_loading *l, struct xf_conf_route *route, const struct xf_config *config, const char *scope)
{
	static const enum xf_order orders[] = {XF_ORDER_STRICT, XF_ORDER_NONE};
	const struct xf_yaml *concurrency = xf_config_node(config, ROUTE_CONCURRENCY);

	route->concurrency = (uint32_t)xf_config_option(config, ROUTE_CONCURRENCY)->i64;
	if (xf_config_node(config, ROUTE_ORDER) != NULL)
		route->order = orders[xf_config_option(config, ROUTE_ORDER)->i64];
	if (!xf_config_sound(config))
		return;
	if (route->order == XF_ORDER_NONE)
		order_none_check(l, route, config, scope);
	if (concurrency == NULL)
		return;
	if (route->concurrency > route->max_in_flight)
		xf_report_error(l->report, concurrency->place,
		                "%s'concurrency' is %s; expected at most 'max_in_flight', which is %u", scope,
		                xf_read_shown(l, concurrency), route->max_in_flight);
	else if (route->order == XF_ORDER_STRICT && route->concurrency > 1 && route->key == NULL &&
	         route->to != XF_TO_MIGRATION)
		xf_report_warning(l->report, concurrency->place,
		                  "%s'concurrency' is %s, but without 'key' all messages are one ordered stream, of "
		                  "which 'order: strict' has one under way",
		                  scope, xf_read_shown(l, concurrency));
}

/* ---- Retry ------------------------------------------------------------------ */

enum { RETRY_ATTEMPTS, RETRY_BACKOFF, RETRY_INITIAL, RETRY_MAX, RETRY_JITTER };

static const char *const backoff_words[] = {"exponential", "constant", NULL};

static const struct xf_option *const retry_rows[] = {
	XF_ROW(.type = XF_OPTION_I64, .key = "attempts", .min = 1, .max = ATTEMPTS_MAX),
	XF_ROW(.type = XF_OPTION_ENUM, .key = "backoff", .def = "exponential", .values = backoff_words),
	XF_ROW(.type = XF_OPTION_DURATION, .key = "initial", .def = "100ms", .min = 1, .max = 3600000),
	XF_ROW(.type = XF_OPTION_DURATION, .key = "max", .def = "5s", .min = 1, .max = 24 * 3600000),
	XF_ROW(.type = XF_OPTION_BOOL, .key = "jitter", .def = "true"),
	NULL,
};

static void
retry_check(struct xf_loading *l, struct xf_conf_retry *retry, const struct xf_config *config, const char *scope)
{
	const struct xf_yaml *max = xf_config_node(config, RETRY_MAX);

	if (retry->max_ms >= retry->initial_ms)
		return;
	if (max != NULL && !retry->constant)
		xf_report_error(l->report, max->place, "%s'max' is %s; expected no less than 'initial'", scope,
		                xf_read_shown(l, max));
	retry->max_ms = retry->initial_ms;
}

static void
retry_read(struct xf_loading *l, struct xf_conf_route *route, const struct xf_config *route_config, const char *scope)
{
	const struct xf_yaml *node = xf_config_node(route_config, ROUTE_RETRY);
	const struct xf_yaml *max_deliver = xf_config_node(route_config, ROUTE_MAX_DELIVER);
	const char *inner = xf_arena_format(l->arena, "%sretry: ", scope);
	const struct xf_config *config;

	if (node != NULL && node->kind != XF_YAML_MAP && !node->bad)
		xf_report_error(l->report, node->place, "%s'retry' is %s; expected a map like {attempts: 5, initial: 1s}", scope,
		                xf_yaml_kind_name(node));
	if (node == NULL || node->kind != XF_YAML_MAP)
		node = xf_read_empty_map(l, route->place);
	config = xf_read_rows(l, node, inner, retry_rows);
	if (max_deliver != NULL && xf_config_node(config, RETRY_ATTEMPTS) != NULL)
		xf_report_error(l->report, max_deliver->place, "%s'max_deliver' beside 'retry: {attempts: ...}'; expected one of them",
		                scope);
	if (!xf_config_sound(config) || !xf_config_sound(route_config))
		return;
	route->retry = (struct xf_conf_retry){
		.attempts = (uint32_t)xf_config_option(max_deliver != NULL ? route_config : config,
		                                       max_deliver != NULL ? ROUTE_MAX_DELIVER : RETRY_ATTEMPTS)->i64,
		.constant = xf_config_option(config, RETRY_BACKOFF)->i64 == 1,
		.jitter = xf_config_option(config, RETRY_JITTER)->i64 == 1,
		.initial_ms = (uint64_t)xf_config_option(config, RETRY_INITIAL)->i64,
		.max_ms = (uint64_t)xf_config_option(config, RETRY_MAX)->i64,
	};
	retry_check(l, &route->retry, config, inner);
}

/* ---- Dead letters ----------------------------------------------------------- */

static void
dead_letter_read(struct xf_loading *l, struct xf_conf_route *route, const struct xf_config *config, const char *scope)
{
	const struct xf_yaml *node = xf_config_node(config, ROUTE_DEAD_LETTER);
	const struct xf_endpoint_setting setting = {
		.kind = XF_ENDPOINT_SINK,
		.scope = xf_arena_format(l->arena, "%sdead_letter: ", scope),
		.name = xf_arena_format(l->arena, "%s/dead/to", route->name),
		.route = route->name,
	};
	struct xf_conf_endpoint *sink;

	if (node == NULL)
		return;
	sink = xf_arena_alloc(l->arena, sizeof(*sink));
	xf_sink_read(l, node, &setting, sink, NULL);
	if (sink->when_down == XF_WHEN_DOWN_UNSAID)
		sink->when_down = XF_WHEN_DOWN_WAIT;
	route->dead_letter = sink;
}

void
xf_dead_routes_add(struct xf_loading *l)
{
	enum { IN_FLIGHT = 256 };
	static const struct xf_option *const no_rows[] = {NULL};
	struct xf_conf_transport *store = NULL;
	size_t count = l->conf->route_count;

	for (size_t i = 0; i < count; i++) {
		const struct xf_conf_route *route = &l->routes[i];
		struct xf_conf_endpoint *source;

		if (route->dead_letter == NULL)
			continue;
		if (store == NULL) {
			store = xf_arena_alloc(l->arena, sizeof(*store));
			store->name = store->plugin = "dead letters";
			store->options = xf_read_rows(l, xf_read_empty_map(l, route->place), "", no_rows);
		}
		source = xf_arena_alloc(l->arena, sizeof(*source));
		*source = (struct xf_conf_endpoint){
			.transport = store,
			.options = store->options,
			.subject = ">",
			.shown = route->name,
			.connections = 1,
			.traits = XF_TRAIT_IDS | XF_TRAIT_HEADERS,
			.place = route->place,
		};
		l->routes[l->conf->route_count++] = (struct xf_conf_route){
			.name = xf_arena_format(l->arena, "%s/dead", route->name),
			.dead_of = route->name,
			.sources = source,
			.source_count = 1,
			.sinks = route->dead_letter,
			.sink_count = 1,
			.order = XF_ORDER_NONE,
			.retry = {.jitter = true, .initial_ms = 100, .max_ms = 5000},
			.max_in_flight = IN_FLIGHT,
			.max_in_flight_bytes = 64 << 20,
			.place = route->place,
		};
	}
}

/* Lanes are spread over connections; one lane needs one. */
static void
connections_check(struct xf_loading *l, const struct xf_conf_route *route, const char *scope)
{
	if (route->key != NULL || route->order == XF_ORDER_NONE)
		return;
	for (size_t i = 0; i < route->sink_count; i++)
		if (route->sinks[i].connections > 1)
			xf_report_warning(l->report, route->sinks[i].place,
			                  "%s'connections' is %u, but without 'key' all messages are one ordered stream "
			                  "on one of them; did you mean to give the route a 'key', or 'order: none'?",
			                  scope, route->sinks[i].connections);
}

/* ---- Duplicates --------------------------------------------------------------- */

/* Both sides of a migration are read each at its own pace, so what is had twice may be any time apart. */
static void
dedupe_read(struct xf_loading *l, struct xf_conf_route *route, const struct xf_config *config, const char *scope)
{
	const struct xf_yaml *window = xf_config_node(config, ROUTE_DEDUPE_WINDOW), *word = xf_config_node(config, ROUTE_DEDUPE);
	bool given = window != NULL || xf_config_node(config, ROUTE_DEDUPE_COUNT) != NULL ||
	             xf_config_option(config, ROUTE_DEDUPE)->i64 == 1;
	const struct xf_conf_migration *read = migration_read_by(route);

	if (!xf_config_sound(config) || (!given && read == NULL))
		return;
	if (!given && word != NULL)
		xf_report_error(l->report, word->place,
		                "%s'dedupe' is false, but the route reads migration '%s', of which each message may come "
		                "from both sides; expected a window, or no 'dedupe'",
		                scope, read->name);
	route->dedupe_count = (uint32_t)xf_config_option(config, ROUTE_DEDUPE_COUNT)->i64;
	if (read == NULL || window != NULL)
		route->dedupe_window_ms = (uint64_t)xf_config_option(config, ROUTE_DEDUPE_WINDOW)->i64;
	l->route_notes[route - l->routes].dedupe = given;
}

/* ---- Requests ----------------------------------------------------------------- */

enum { REQUEST_TIMEOUT };

static const struct xf_option *const request_rows[] = {
	XF_ROW(.type = XF_OPTION_DURATION, .key = "timeout", .def = "5s", .min = 1, .max = 24 * 3600000),
	NULL,
};

/* Somebody waits for a reply by SOURCE, and what came is settled only when he has it. */
static void
asking_source_check(struct xf_loading *l, const struct xf_conf_endpoint *source, const char *what, const char *scope)
{
	if (source->accept_spooled)
		xf_report_error(l->report, source->place,
		                "%sa source with 'accept: spooled', which answers for what comes before it is worked on, beside '%s', which "
		                "replies afterwards; expected 'accept: confirmed'",
		                scope, what);
}

/* One source at least must know the way back; what comes by the others is worked on, and nobody waits. */
static void
sources_reply_check(struct xf_loading *l, const struct xf_conf_route *route, const struct xf_yaml *node, const char *what,
                    const char *scope)
{
	bool any = false;

	for (size_t i = 0; i < route->source_count; i++) {
		if (route->sources[i].transport == NULL)
			return; /* reported */
		any = any || (route->sources[i].traits & XF_TRAIT_REPLIES);
		asking_source_check(l, &route->sources[i], what, scope);
	}
	if (!any && route->source_count > 0)
		xf_report_error(l->report, node->place,
		                "%s'%s' needs a source that can reply, and %s: expected requests by http, core NATS, AMQP, Redis or "
		                "the embedded broker",
		                scope, what, route->source_count == 1 ? "that of 'from' cannot" : "none of 'from' can");
}

/* Each sink may have to bring a reply. */
static void
sinks_request_check(struct xf_loading *l, const struct xf_conf_route *route, const struct xf_yaml *node, const char *scope)
{
	size_t count = route->migration != NULL ? 2 : route->sink_count;

	for (size_t i = 0; i < count; i++) {
		const struct xf_conf_endpoint *sink = route->migration != NULL ? &route->migration->sides[i] : &route->sinks[i];

		if (sink->transport == NULL)
			continue; /* reported */
		if (!(sink->traits & XF_TRAIT_REQUESTS) || sink->in_place)
			xf_report_error(l->report, node->place,
			                "%s'request' with a sink on transport '%s' that cannot bring replies as it is set; expected core "
			                "NATS, AMQP, Redis pub/sub or lists, http or the embedded broker",
			                scope, sink->transport->name);
		else if (sink->when_down == XF_WHEN_DOWN_SPOOL)
			xf_report_error(l->report, sink->place,
			                "%s'when_down: spool' at a sink of a route with 'request', where somebody waits for the reply; "
			                "expected wait or drop",
			                scope);
	}
}

/* Before the ends, of which it says what is usual. */
static void
request_read(struct xf_loading *l, struct xf_conf_route *route, const struct xf_config *route_config, const char *scope)
{
	const struct xf_yaml *node = xf_config_node(route_config, ROUTE_REQUEST);
	const struct xf_config *config;

	if (node == NULL || node->bad)
		return;
	if (node->kind != XF_YAML_MAP) {
		xf_report_error(l->report, node->place, "%s'request' is %s; expected a map like {timeout: 5s}", scope,
		                xf_yaml_kind_name(node));
		return;
	}
	config = xf_read_rows(l, node, xf_arena_format(l->arena, "%srequest: ", scope), request_rows);
	if (xf_config_sound(config))
		route->request_ms = (uint64_t)xf_config_option(config, REQUEST_TIMEOUT)->i64;
}

static void
request_check(struct xf_loading *l, const struct xf_conf_route *route, const struct xf_config *route_config, const char *scope)
{
	const struct xf_yaml *node = xf_config_node(route_config, ROUTE_REQUEST);

	if (route->to == XF_TO_REPLY) {
		sources_reply_check(l, route, xf_config_node(route_config, ROUTE_TO), "to: reply", scope);
		if (route->handler_count == 0)
			xf_report_error(l->report, xf_config_node(route_config, ROUTE_TO)->place,
			                "%s'to: reply' without 'handlers', which would send everybody back what he said; expected handlers "
			                "that make the reply",
			                scope);
		if (node != NULL)
			xf_report_error(l->report, node->place,
			                "%s'request' beside 'to: reply': the handlers make the reply; expected one of them", scope);
		return;
	}
	if (route->request_ms == 0)
		return;
	sources_reply_check(l, route, node, "request", scope);
	if (route->to == XF_TO_ALL)
		xf_report_error(l->report, node->place,
		                "%s'request' beside 'all', whose sinks would all reply; expected one sink, 'split' or a migration", scope);
	else
		sinks_request_check(l, route, node, scope);
}

/* ---- A route ---------------------------------------------------------------- */

static void
key_read(struct xf_loading *l, struct xf_conf_route *route, const struct xf_config *config, const char *scope)
{
	const struct xf_yaml *node = xf_config_node(config, ROUTE_KEY);

	route->key = xf_read_template(l, config, ROUTE_KEY, scope, "key");
	xf_read_key_warn(l, route->key, node, scope);
	if (node != NULL)
		l->route_notes[route - l->routes].key = node->place;
}

static void
ends_read(struct xf_loading *l, struct xf_conf_route *route, const struct xf_config *config, const char *scope)
{
	struct xf_route_notes *notes = &l->route_notes[route - l->routes];
	const struct xf_yaml *from = xf_config_node(config, ROUTE_FROM), *to = xf_config_node(config, ROUTE_TO);
	const struct xf_conf_migration *read;

	if (from != NULL) {
		notes->from = from->place;
		xf_sources_read(l, route, from, scope);
	}
	if (to != NULL)
		notes->to = notes->key = to->place;
	key_read(l, route, config, scope);
	if (to != NULL)
		xf_destination_read(l, route, to, xf_config_node(config, ROUTE_KEY), scope);
	if (route->migration != NULL && xf_config_node(config, ROUTE_KEY) != NULL)
		xf_report_error(l->report, xf_config_key_place(config, ROUTE_KEY),
		                "%s'key' beside a migration; expected it in migration '%s', whose key it is", scope,
		                route->migration->name);
	read = migration_read_by(route);
	if (read != NULL && read == route->migration)
		xf_report_error(l->report, notes->to,
		                "%sto: migration '%s', which the route reads itself; expected another destination", scope,
		                read->name);
}

static void
route_read(struct xf_loading *l, const struct xf_yaml *node)
{
	struct xf_conf_route *route = &l->routes[l->conf->route_count];
	struct xf_route_notes *notes = &l->route_notes[l->conf->route_count++];
	const struct xf_yaml_entry *name = xf_yaml_entry(node, "name");
	const char *scope = xf_arena_format(l->arena, "route %zu: ", l->conf->route_count);
	const struct xf_config *config;

	route->place = notes->to = notes->from = notes->key = node->place;
	route->name = "?";
	if (node->kind != XF_YAML_MAP) {
		if (!node->bad)
			xf_report_error(l->report, node->place, "%s%s; expected a map with 'name', 'from' and 'to'", scope,
			                xf_yaml_kind_name(node));
		return;
	}
	if (name != NULL && name->value->kind == XF_YAML_SCALAR && !name->value->null && !name->value->bad &&
	    !name->value->secret && xf_read_name(l, name->value->place, "route", name->value->text.data)) {
		route->name = name->value->text.data;
		route->place = name->value->place;
		scope = xf_read_scope(l, "route", route->name);
	}
	config = xf_read_rows(l, node, scope, route_rows);
	route->max_in_flight = (uint32_t)xf_config_option(config, ROUTE_IN_FLIGHT)->i64;
	route->max_in_flight_bytes = (uint64_t)xf_config_option(config, ROUTE_IN_FLIGHT_BYTES)->i64;
	request_read(l, route, config, scope);
	ends_read(l, route, config, scope);
	order_read(l, route, config, scope);
	retry_read(l, route, config, scope);
	dead_letter_read(l, route, config, scope);
	xf_handlers_read(l, route, xf_config_node(config, ROUTE_HANDLERS), scope);
	xf_route_pool_read(l, route, xf_config_node(config, ROUTE_POOL), scope);
	request_check(l, route, config, scope);
	connections_check(l, route, scope);
	dedupe_read(l, route, config, scope);
}

/* ---- The list --------------------------------------------------------------- */

void
xf_routes_read(struct xf_loading *l, const struct xf_yaml *root)
{
	const struct xf_yaml *list = xf_read_section(l, root, "routes", XF_YAML_LIST, "a list of routes");
	struct xf_names names = {0};
	size_t *first; /* the route that has the name of that number */

	if (list == NULL || list->count == 0) {
		const struct xf_yaml_entry *entry = xf_yaml_entry(root, "routes");

		if (entry == NULL || entry->value->null || list != NULL)
			xf_report_warning(l->report, root->place, "no 'routes': nothing will be moved");
		return;
	}
	l->routes = xf_arena_array(l->arena, 2 * list->count, sizeof(*l->routes)); /* with one for the dead letters of each */
	l->route_notes = xf_arena_array(l->arena, list->count, sizeof(*l->route_notes));
	l->conf->routes = l->routes;
	first = xf_arena_array(l->arena, list->count, sizeof(*first));
	for (size_t i = 0; i < list->count; i++) {
		size_t known = names.count, number;

		if (i == ROUTES_MAX) {
			xf_report_error(l->report, list->items[i]->place, "more than %d routes", ROUTES_MAX);
			break;
		}
		route_read(l, list->items[i]);
		if (strcmp(l->routes[i].name, "?") == 0)
			continue;
		number = xf_names_add(&names, l->routes[i].name);
		if (number == known)
			first[number] = i;
		else
			xf_report_error(l->report, l->routes[i].place,
			                "route '%s' stands here again; it was first given at %s", l->routes[i].name,
			                xf_place_text(l->arena, l->routes[first[number]].place));
	}
	xf_names_fini(&names);
}
