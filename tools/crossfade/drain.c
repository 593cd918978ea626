/*
 * The server says 202 and goes on for a while; its end is seen in that nobody answers any more.
 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "args.h"
#include "base/clock.h"
#include "client.h"
#include "output.h"
#include "tool.h"

#define POLL_US (200 * 1000)

static uint64_t
in_flight(const cJSON *status)
{
	const cJSON *route;
	uint64_t sum = 0;

	cJSON_ArrayForEach(route, cJSON_GetObjectItemCaseSensitive(status, "routes"))
		sum += json_count(route, "in_flight");
	return sum;
}

/* Until the server is gone; each change of what is in flight is a line. */
static void
end_wait(struct client *client, bool json)
{
	uint64_t begun = xf_now_ms(), before = UINT64_MAX;
	cJSON *status;

	while ((status = client_try(client, "/api/v1/status")) != NULL) {
		uint64_t now = in_flight(status);

		if (now != before && json)
			printf("{\"status\":\"draining\",\"in_flight\":%" PRIu64 "}\n", now);
		else if (now != before)
			printf("%" PRIu64 " in flight\n", now);
		fflush(stdout);
		before = now;
		cJSON_Delete(status);
		usleep(POLL_US);
	}
	if (json)
		printf("{\"status\":\"stopped\",\"seconds\":%.1f}\n", (double)(xf_now_ms() - begun) / 1000);
	else
		printf("%sstopped%s after %.1f s\n", colour_on(GREEN), colour_off(),
		       (double)(xf_now_ms() - begun) / 1000);
}

static int
drain_run(int argc, char **argv)
{
	struct where where = {0};
	bool json = false, leave = false;
	const struct arg args[] = {
		{"no-wait", 0, NULL, "return at once, while it drains", &leave, NULL},
		{"json", 0, NULL, "print progress as JSON, one a line", &json, NULL},
		ARGS_WHERE(where),
	};
	const struct usage usage = {
		.line = "drain [--no-wait] [--json] [-c FILE | --socket PATH]",
		.about = "Ends the running server as SIGTERM does: /readyz answers 503, nothing new is taken in, what is in\n"
		         "flight is settled within server.drain_timeout, the process ends. Waits for that.",
		.examples = "  crossfade drain\n",
		.args = args,
		.arg_count = sizeof args / sizeof args[0],
	};
	struct client *client;
	cJSON *answer;
	int status;

	if (!args_parse(&usage, argc, argv, NULL, &status))
		return status;
	client = client_open(&where, &status);
	if (client == NULL)
		return status;
	answer = client_ask(client, "POST", "/api/v1/drain", NULL, NULL, &status);
	if (answer != NULL && leave && json)
		json_print_line(answer);
	else if (answer != NULL && leave)
		printf("draining\n");
	else if (answer != NULL)
		end_wait(client, json);
	cJSON_Delete(answer);
	client_close(&client);
	return status;
}

const struct verb verb_drain = {"drain", "end the running server once all is settled", .run = drain_run};
