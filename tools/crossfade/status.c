/*
 * One answer of the server, /api/v1/status, holds all that is shown; rates come from two of them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "base/clock.h"
#include "client.h"
#include "output.h"
#include "tool.h"

/* The member of the list KEY of ROOT that is named as ITEM is; NULL where ROOT is or there is none. */
static const cJSON *
same_name(const cJSON *root, const char *key, const cJSON *item)
{
	const cJSON *other;

	cJSON_ArrayForEach(other, cJSON_GetObjectItemCaseSensitive(root, key))
		if (strcmp(json_text(other, "name"), json_text(item, "name")) == 0)
			return other;
	return NULL;
}

static uint64_t
rate(const cJSON *now, const cJSON *before, const char *key, double seconds)
{
	uint64_t a = json_count(now, key), b = json_count(before, key);

	return before != NULL && a > b && seconds > 0 ? (uint64_t)((double)(a - b) / seconds + 0.5) : 0;
}

static void
head_print(const cJSON *root)
{
	const cJSON *server = cJSON_GetObjectItemCaseSensitive(root, "server");
	const char *health = json_text(root, "status");
	const char *stage = json_true(root, "draining") ? "draining"
		            : json_true(root, "ready")  ? "ready"
		                                        : "starting";
	const cJSON *last = cJSON_GetObjectItemCaseSensitive(server, "last_reload"), *error;
	char age[32];

	printf("%s%s%s  crossfade %s  up %s  %s  %s%s%s\n\n", colour_on(BOLD), json_text(server, "name"),
	       colour_off(), json_text(server, "version"),
	       age_format(json_count(server, "uptime_seconds"), age), stage, colour_on(state_colour(health)),
	       health, colour_off());
	if (cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(last, "ok"))) {
		printf("%sthe last reload (%s) was refused, generation %" PRIu64 " goes on:%s\n", colour_on(RED),
		       json_text(last, "time"), json_count(server, "generation"), colour_off());
		cJSON_ArrayForEach(error, cJSON_GetObjectItemCaseSensitive(last, "errors"))
			printf("  %s\n", error->valuestring);
		printf("\n");
	}
}

static void
routes_print(const cJSON *root, const cJSON *before, double seconds)
{
	static const char *const titles[] = {"ROUTE",     "STATE",     ">IN",   ">ACKED",   ">IN FLIGHT",
		                             ">REJECTED", ">OVERFLOW", ">IN/S", ">ACKED/S", "PROMISE"};
	static const char *const still[] = {"ROUTE",      "STATE",     ">IN",       ">ACKED",
		                            ">IN FLIGHT", ">REJECTED", ">OVERFLOW", "PROMISE"};
	const cJSON *route;
	struct table table;

	if (before != NULL)
		table_begin(&table, titles, sizeof titles / sizeof titles[0]);
	else
		table_begin(&table, still, sizeof still / sizeof still[0]);
	cJSON_ArrayForEach(route, cJSON_GetObjectItemCaseSensitive(root, "routes")) {
		const char *state = json_text(route, "state");

		table_cell(&table, PLAIN, "%s", json_text(route, "name"));
		table_cell(&table, state_colour(state), "%s", state);
		table_number(&table, json_count(route, "accepted"));
		table_number(&table, json_count(route, "acked"));
		table_number(&table, json_count(route, "in_flight"));
		table_number(&table, json_count(route, "rejected"));
		table_number(&table, json_count(route, "overflow"));
		if (before != NULL) {
			const cJSON *then = same_name(before, "routes", route);

			table_number(&table, rate(route, then, "accepted", seconds));
			table_number(&table, rate(route, then, "acked", seconds));
		}
		table_cell(&table, DIM, "%s", json_text(route, "promise"));
	}
	table_print(&table);
}

static void
endpoints_print(const cJSON *root)
{
	static const char *const titles[] = {"ENDPOINT",   "STATE",      "TRANSPORT",   "SUBJECT",
		                             ">CONFIRMED", ">IN FLIGHT", ">RECONNECTS", "REASON"};
	static const char *const lists[] = {"sources", "sinks"};
	const cJSON *route, *endpoint;
	struct table table;

	table_begin(&table, titles, sizeof titles / sizeof titles[0]);
	cJSON_ArrayForEach(route, cJSON_GetObjectItemCaseSensitive(root, "routes"))
		for (size_t i = 0; i < 2; i++)
			cJSON_ArrayForEach(endpoint, cJSON_GetObjectItemCaseSensitive(route, lists[i])) {
				const char *state = json_text(endpoint, "state");

				table_cell(&table, PLAIN, "%s", json_text(endpoint, "name"));
				table_cell(&table, state_colour(state), "%s", state);
				table_cell(&table, PLAIN, "%s (%s)", json_text(endpoint, "transport"),
					   json_text(endpoint, "plugin"));
				table_cell(&table, PLAIN, "%s", json_text(endpoint, "subject"));
				if (i == 0) {
					table_cell(&table, PLAIN, "-");
					table_cell(&table, PLAIN, "-");
				} else {
					table_number(&table, json_count(endpoint, "confirmed"));
					table_number(&table, json_count(endpoint, "in_flight"));
				}
				table_number(&table, json_count(endpoint, "reconnects"));
				table_cell(&table, state_colour(state), "%s", json_text(endpoint, "reason"));
			}
	printf("\n");
	table_print(&table);
}

static void
handlers_print(const cJSON *root)
{
	struct table table = {.cells = 0};
	const cJSON *route;

	cJSON_ArrayForEach(route, cJSON_GetObjectItemCaseSensitive(root, "routes"))
		table_handlers(&table, route);
	if (table.cells == 0)
		return;
	printf("\n");
	table_print(&table);
}

static void
spool_cells(struct table *table, const cJSON *endpoint)
{
	const cJSON *spool = cJSON_GetObjectItemCaseSensitive(endpoint, "spool");
	uint64_t messages = json_count(spool, "messages"), refused = json_count(spool, "refused");
	char text[32];

	if (spool == NULL)
		return;
	table_cell(table, json_true(spool, "failed") ? RED : PLAIN, "%s", json_text(endpoint, "name"));
	table_number(table, messages);
	table_cell(table, PLAIN, "%s", size_format(json_count(spool, "bytes"), text));
	table_cell(table, PLAIN, "%s", size_format(json_count(spool, "bytes_max"), text));
	table_cell(table, PLAIN, "%s",
		   messages > 0 ? age_format((uint64_t)json_number(spool, "oldest_seconds"), text) : "-");
	table_cell(table, refused > 0 ? YELLOW : PLAIN, "%" PRIu64, refused);
}

/* What was accepted and waits for its turn, or for sinks that are, or were, down; nothing where there is no spool. */
static void
spools_print(const cJSON *root)
{
	static const char *const titles[] = {"SPOOL OF", ">MESSAGES", ">BYTES", ">OF", ">OLDEST", ">REFUSED"};
	static const char *const kinds[] = {"sources", "sinks"};
	const cJSON *route, *endpoint;
	struct table table;

	table_begin(&table, titles, sizeof titles / sizeof titles[0]);
	cJSON_ArrayForEach(route, cJSON_GetObjectItemCaseSensitive(root, "routes"))
		for (int kind = 0; kind < 2; kind++)
			cJSON_ArrayForEach(endpoint, cJSON_GetObjectItemCaseSensitive(route, kinds[kind]))
				spool_cells(&table, endpoint);
	if (table.cells == 0)
		return;
	printf("\n");
	table_print(&table);
}

static void
dead_print(const cJSON *root)
{
	const cJSON *dead = cJSON_GetObjectItemCaseSensitive(root, "dead");
	char count[32], used[32], max[32];

	if (json_count(dead, "count") > 0)
		printf("\n%s%s dead letters%s, %s of %s: crossfade dead list\n", colour_on(YELLOW),
		       number_format(json_count(dead, "count"), count), colour_off(),
		       size_format(json_count(dead, "bytes"), used), size_format(json_count(dead, "bytes_max"), max));
}

static void
migrations_print(const cJSON *root, const cJSON *before, double seconds)
{
	static const char *const titles[] = {"MIGRATION", "STAGE", ">NEW SIDE", "MIRROR", ">MOVING", ">STUCK",
		                             ">OLD CONFIRMED", ">NEW CONFIRMED", ">OLD/S", ">NEW/S"};
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "migrations"), *migration;
	struct table table;

	if (cJSON_GetArraySize(list) == 0)
		return;
	table_begin(&table, titles, before != NULL ? 10 : 8);
	cJSON_ArrayForEach(migration, list) {
		const cJSON *buckets = cJSON_GetObjectItemCaseSensitive(migration, "buckets");
		const cJSON *sides = cJSON_GetObjectItemCaseSensitive(migration, "sides");
		const cJSON *old = cJSON_GetObjectItemCaseSensitive(sides, "old");
		const cJSON *new = cJSON_GetObjectItemCaseSensitive(sides, "new");

		table_cell(&table, PLAIN, "%s", json_text(migration, "name"));
		table_cell(&table, PLAIN, "%s", json_text(migration, "stage"));
		table_cell(&table, PLAIN, "%.6g %%", json_number(migration, "percent"));
		table_cell(&table, PLAIN, "%s", json_mirror(migration));
		table_number(&table, json_count(buckets, "moving"));
		table_cell(&table, json_count(buckets, "stuck") ? RED : PLAIN, "%" PRIu64,
			   json_count(buckets, "stuck"));
		table_number(&table, json_count(old, "confirmed"));
		table_number(&table, json_count(new, "confirmed"));
		if (before != NULL) {
			const cJSON *then = same_name(before, "migrations", migration);
			const cJSON *then_sides = cJSON_GetObjectItemCaseSensitive(then, "sides");

			table_number(&table, rate(old, cJSON_GetObjectItemCaseSensitive(then_sides, "old"),
				                  "confirmed", seconds));
			table_number(&table, rate(new, cJSON_GetObjectItemCaseSensitive(then_sides, "new"),
				                  "confirmed", seconds));
		}
	}
	printf("\n");
	table_print(&table);
}

static void
reasons_print(const cJSON *root)
{
	const cJSON *reason;

	cJSON_ArrayForEach(reason, cJSON_GetObjectItemCaseSensitive(root, "reasons"))
		printf("\n%s%s: %s%s", colour_on(RED), json_text(reason, "route"),
		       json_text(reason, "reason"), colour_off());
	if (cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(root, "reasons")) > 0)
		printf("\n");
}

static void
all_print(const cJSON *root, const cJSON *before, double seconds)
{
	head_print(root);
	routes_print(root, before, seconds);
	endpoints_print(root);
	handlers_print(root);
	spools_print(root);
	migrations_print(root, before, seconds);
	dead_print(root);
	reasons_print(root);
}

static int
watch(struct client *client, bool json, unsigned seconds)
{
	cJSON *before = NULL;
	uint64_t before_ns = 0;
	int status = EXIT_DONE;

	for (;;) {
		cJSON *root = client_ask(client, "GET", "/api/v1/status", NULL, NULL, &status);
		uint64_t now_ns = xf_now_ns();

		if (root == NULL)
			break;
		if (json) {
			json_print_line(root);
		} else if (before != NULL) {
			if (output_is_terminal())
				fputs("\033[H\033[J", stdout);
			all_print(root, before, (double)(now_ns - before_ns) / 1e9);
			if (!output_is_terminal())
				puts("");
		}
		cJSON_Delete(before);
		before = root;
		before_ns = now_ns;
		if (fflush(stdout) != 0)
			break;
		sleep(seconds);
	}
	cJSON_Delete(before);
	return status;
}

static int
status_run(int argc, char **argv)
{
	struct where where = {0};
	bool json = false, again = false;
	const char *every = NULL;
	uint64_t seconds = 1;
	const struct arg args[] = {
		{"watch", 'w', "[SECONDS]", "look again every second, or so many, with rates", &again, &every},
		{"json", 0, NULL, "print the server's answer, with --watch one a line", &json, NULL},
		ARGS_WHERE(where),
	};
	const struct usage usage = {
		.line = "status [--watch [SECONDS]] [--json] [-c FILE | --socket PATH]",
		.about = "The running server at a glance: routes, their sources, sinks and spools, migrations, dead letters.\n"
			 "The exit status is 0 also while a route fails; for probes there is /healthz.",
		.examples =
			"  crossfade status\n  crossfade status --watch 5 --socket /run/crossfade/admin.sock\n"
			"  crossfade status --json | jq '.routes[].in_flight'\n",
		.args = args,
		.arg_count = sizeof args / sizeof args[0],
	};
	struct client *client;
	cJSON *root;
	int status;

	if (!args_parse(&usage, argc, argv, NULL, &status))
		return status;
	if (!args_count("watch", every, 1, 86400, &seconds))
		return EXIT_USAGE;
	client = client_open(&where, &status);
	if (client == NULL)
		return status;
	if (again) {
		status = watch(client, json, (unsigned)seconds);
	} else {
		root = client_ask(client, "GET", "/api/v1/status", NULL, NULL, &status);
		if (root != NULL && json)
			json_print(root);
		else if (root != NULL)
			all_print(root, NULL, 0);
		cJSON_Delete(root);
	}
	client_close(&client);
	return status;
}

const struct verb verb_status = {"status", "the running server at a glance", .run = status_run};
