#include <inttypes.h>
#include <stdio.h>

#include "ask.h"
#include "client.h"
#include "output.h"
#include "tool.h"

/* ---- list ------------------------------------------------------------------------------------------- */

static void
list_print(const cJSON *root)
{
	static const char *const titles[] = {"ROUTE",      "STATE",     ">IN",    ">ACKED",
		                             ">IN FLIGHT", "MIGRATION", "PROMISE"};
	const cJSON *route;
	struct table table;

	table_begin(&table, titles, sizeof titles / sizeof titles[0]);
	cJSON_ArrayForEach(route, cJSON_GetObjectItemCaseSensitive(root, "routes")) {
		const char *state = json_text(route, "state"), *migration = json_text(route, "migration");

		table_cell(&table, PLAIN, "%s", json_text(route, "name"));
		table_cell(&table, state_colour(state), "%s", state);
		table_number(&table, json_count(route, "accepted"));
		table_number(&table, json_count(route, "acked"));
		table_number(&table, json_count(route, "in_flight"));
		table_cell(&table, PLAIN, "%s", migration[0] != '\0' ? migration : "-");
		table_cell(&table, DIM, "%s", json_text(route, "promise"));
	}
	table_print(&table);
}

static const struct ask list_ask = {
	.line = "route list",
	.about = "The routes of the running server.",
	.examples = "  crossfade route list\n",
	.method = "GET",
	.path = "/api/v1/routes",
	.print = list_print,
};

/* ---- show ------------------------------------------------------------------------------------------- */

static void
sources_print(const cJSON *route)
{
	static const char *const titles[] = {"FROM", "STATE", "TRANSPORT", "SUBJECT", ">DEPTH", ">LAG",
		                             ">CONSUMERS", ">RECONNECTS", "REASON"};
	const cJSON *source;
	struct table table;

	table_begin(&table, titles, sizeof titles / sizeof titles[0]);
	cJSON_ArrayForEach(source, cJSON_GetObjectItemCaseSensitive(route, "sources")) {
		const char *state = json_text(source, "state");

		table_cell(&table, PLAIN, "%s", json_text(source, "name"));
		table_cell(&table, state_colour(state), "%s", state);
		table_cell(&table, PLAIN, "%s (%s)", json_text(source, "transport"), json_text(source, "plugin"));
		table_cell(&table, PLAIN, "%s", json_text(source, "subject"));
		table_sight(&table, source);
		table_number(&table, json_count(source, "reconnects"));
		table_cell(&table, PLAIN, "%s", json_text(source, "reason"));
	}
	table_print(&table);
}

static void
sinks_print(const cJSON *route)
{
	static const char *const titles[] = {"TO", "STATE", "TRANSPORT", ">CONFIRMED", ">IN FLIGHT", ">DROPPED",
		                             ">REFUSED", ">RETRIED", ">DEPTH", ">LAG", ">CONSUMERS", "REASON"};
	const cJSON *sink;
	struct table table;

	table_begin(&table, titles, sizeof titles / sizeof titles[0]);
	cJSON_ArrayForEach(sink, cJSON_GetObjectItemCaseSensitive(route, "sinks")) {
		const char *state = json_text(sink, "state");

		table_cell(&table, PLAIN, "%s", json_text(sink, "name"));
		table_cell(&table, state_colour(state), "%s", state);
		table_cell(&table, PLAIN, "%s (%s)", json_text(sink, "transport"), json_text(sink, "plugin"));
		table_number(&table, json_count(sink, "confirmed"));
		table_number(&table, json_count(sink, "in_flight"));
		table_number(&table, json_count(sink, "dropped"));
		table_number(&table, json_count(sink, "refused"));
		table_number(&table, json_count(sink, "retried"));
		table_sight(&table, sink);
		table_cell(&table, PLAIN, "%s", json_text(sink, "reason"));
	}
	table_print(&table);
}

/* Where nobody has asked anything there is nothing to say. */
static void
replies_print(const cJSON *route)
{
	const cJSON *replies = cJSON_GetObjectItemCaseSensitive(route, "replies"), *sink;
	uint64_t late = 0;

	cJSON_ArrayForEach(sink, cJSON_GetObjectItemCaseSensitive(route, "sinks"))
		late += json_count(sink, "late_replies");
	if (json_count(replies, "sent") + json_count(replies, "unasked") + json_count(replies, "awaited") + late > 0)
		printf("%" PRIu64 " replies sent, %" PRIu64 " of them failures, %" PRIu64 " for want of a reply in time; %" PRIu64
		       " awaited, %" PRIu64 " came late, %" PRIu64 " that nobody asked for\n",
		       json_count(replies, "sent"), json_count(replies, "failed"), json_count(replies, "timed_out"),
		       json_count(replies, "awaited"), late, json_count(replies, "unasked"));
	printf("\n");
}

static void
pool_print(const cJSON *route)
{
	const cJSON *pool = cJSON_GetObjectItemCaseSensitive(route, "pool");

	if (pool != NULL)
		printf("pool %s, priority %" PRIu64 ": %" PRIu64 " worked on, %" PRIu64 " wait\n", json_text(pool, "name"),
		       json_count(pool, "priority"), json_count(pool, "busy"), json_count(pool, "waiting"));
}

static void
show_print(const cJSON *route)
{
	const char *state = json_text(route, "state"), *migration = json_text(route, "migration"),
	           *reason = json_text(route, "reason");
	struct table handlers = {.cells = 0};

	printf("%s%s%s: %s%s%s%s%s\n", colour_on(BOLD), json_text(route, "name"), colour_off(),
	       colour_on(state_colour(state)), state, colour_off(), migration[0] != '\0' ? ", migration " : "",
	       migration);
	if (reason[0] != '\0')
		printf("%s%s%s\n", colour_on(RED), reason, colour_off());
	printf("promise: %s\n", json_text(route, "promise"));
	printf("%" PRIu64 " in, %" PRIu64 " acked, %" PRIu64 " in flight (%" PRIu64 " bytes), %" PRIu64
	       " rejected, %" PRIu64 " overflow, %" PRIu64 " filtered, %" PRIu64 " copies, %" PRIu64 " duplicates, %" PRIu64
	       " redelivered\n",
	       json_count(route, "accepted"), json_count(route, "acked"), json_count(route, "in_flight"),
	       json_count(route, "in_flight_bytes"), json_count(route, "rejected"), json_count(route, "overflow"),
	       json_count(route, "filtered"), json_count(route, "copies"), json_count(route, "duplicates"),
	       json_count(route, "redelivered"));
	pool_print(route);
	replies_print(route);
	sources_print(route);
	printf("\n");
	table_handlers(&handlers, route);
	if (handlers.cells > 0) {
		table_print(&handlers);
		printf("\n");
	}
	sinks_print(route);
}

static const struct ask show_ask = {
	.line = "route show NAME",
	.about = "One route in full: its counters, its sources, handlers and sinks, and what stands at their brokers.",
	.examples = "  crossfade route show orders\n  crossfade route show orders --json | jq .in_flight\n",
	.named = true,
	.method = "GET",
	.path = "/api/v1/routes/%s",
	.print = show_print,
};

/* ---- pause, resume -------------------------------------------------------------------------------------- */

static void
switched_print(const cJSON *route)
{
	printf("%s: %s%s\n", json_text(route, "name"), json_text(route, "state"),
	       json_true(route, "paused") ? "; takes nothing in, what is in flight goes on" : "");
}

static const struct ask pause_ask = {
	.line = "route pause NAME",
	.about = "The route takes nothing in until it is resumed or the server starts again; what is in\n"
	         "flight goes on, and what is not taken stays at its broker.",
	.examples = "  crossfade route pause orders\n",
	.named = true,
	.method = "POST",
	.path = "/api/v1/routes/%s/pause",
	.print = switched_print,
};

static const struct ask resume_ask = {
	.line = "route resume NAME",
	.about = "A paused route takes messages in again.",
	.examples = "  crossfade route resume orders\n",
	.named = true,
	.method = "POST",
	.path = "/api/v1/routes/%s/resume",
	.print = switched_print,
};

static const struct verb subverbs[] = {
	{"list", "the routes and how they are", .ask = &list_ask},
	{"show", "one of them in full", .ask = &show_ask},
	{"pause", "take nothing in", .ask = &pause_ask},
	{"resume", "take messages in again", .ask = &resume_ask},
	{0},
};

const struct verb verb_route = {"route", "list, show, pause, resume: the ways of messages", .subverbs = subverbs};
