/*
 * reload.c - another configuration while messages flow: nothing lost, nothing reordered, a bad file changes nothing.
 *
 * Two chains run beside each other, each with the probe at both ends: one through a Redis stream, whose source is exchanged
 * too, one through Redis pub/sub, which cannot be held back and goes on. What is reloaded is the route in the middle.
 */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "broker.h"
#include "clients.h"
#include "server.h"

#define RELOADS (200 / (XF_SCALE > 1 ? 5 : 1))
#define RATE (XF_SCALE > 1 ? 500 : 4000)
#define COUNT (RATE * 15)
#define NEVER_FULL "    max_in_flight: 100000\n" /* where the machine stands still, what cannot be held back piles up */
#define PACE_MS (10000 / RELOADS)

struct world {
	struct xf_broker *redis, *nats;
	struct xf_server *server;
};

static int
setup(void **state)
{
	struct world *w = xf_alloc(sizeof(*w));

	w->redis = xf_broker_start("redis", NULL);
	w->nats = xf_broker_start("nats", NULL);
	w->server = xf_server_create("reload");
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	xf_server_destroy(&w->server);
	xf_broker_destroy(&w->redis);
	xf_broker_destroy(&w->nats);
	free(w);
	return 0;
}

/* MIDDLE and PUBSUB: more keys of the two routes in the middle, each line indented by four. */
static void
configure(struct world *w, const char *middle, const char *pubsub, const char *end)
{
	xf_server_configure(w->server, "",
	                    "transports:\n"
	                    "  load: {plugin: probe}\n"
	                    "  inside: {plugin: local}\n"
	                    "  redis: {plugin: redis, url: '%s'}\n"
	                    "  nats:\n"
	                    "    plugin: nats\n"
	                    "    url: '%s'\n"
	                    "    streams:\n"
	                    "      - {name: A, subjects: ['a.>']}\n"
	                    "      - {name: B, subjects: ['b.>']}\n"
	                    "routes:\n"
	                    "  - name: middle\n"
	                    "    from: {transport: redis, mode: stream, subject: probe.a}\n"
	                    "    to: {transport: nats, subject: 'a.{subject}'}\n"
	                    "%s"
	                    "  - name: pubsub\n"
	                    "    from: {transport: redis, subject: probe.b}\n"
	                    "    to: {transport: nats, subject: 'b.{subject}'}\n"
	                    "%s"
	                    "  - name: check\n"
	                    "    from: {transport: nats, subject: 'a.>'}\n"
	                    "    to: {transport: load, side: a}\n"
	                    "  - name: check-pubsub\n"
	                    "    from: {transport: nats, subject: 'b.>'}\n"
	                    "    to: {transport: load, side: b}\n"
	                    "%s",
	                    xf_broker_url(w->redis), xf_broker_url(w->nats), middle, pubsub, end);
}

static double
report(struct world *w, const char *field)
{
	char path[64];

	snprintf(path, sizeof(path), "report.%s", field);
	return xf_server_number(w->server, "/api/v1/transports/load", path);
}

static double
generation(struct world *w)
{
	return xf_server_number(w->server, "/system/status", "generation");
}

/* Not there at the start: what is published before anybody has subscribed is gone. */
static char *
generators(const char *end)
{
	return xf_format("  - name: generate\n"
	                 "    from: {transport: load, rate: %d, count: %d, to: 'probe.a'}\n"
	                 "    to: {transport: redis, mode: stream}\n"
	                 "  - name: generate-pubsub\n"
	                 "    from: {transport: load, rate: %d, count: %d, to: 'probe.b', producer: 1}\n"
	                 "    to: {transport: redis}\n"
	                 "%s",
	                 RATE, COUNT, RATE, COUNT, end);
}

/* Every third file is bad; of the others each differs from the one before. */
static bool
configure_turn(struct world *w, unsigned turn)
{
	static const char *const ends[] = {
		"",
		("  - name: another\n"
		 "    from: {transport: redis, subject: other}\n"
		 "    to: {transport: inside, subject: 'other.{subject}'}\n"),
		("  - name: wrong\n"
		 "    form: {transport: inside}\n"),
	};
	char middle[64], pubsub[96], *end = generators(turn % 6 == 5 ? "  - [\n" : ends[turn % 3]);

	snprintf(middle, sizeof(middle), "    max_in_flight: %u\n", 1000 + turn);
	snprintf(pubsub, sizeof(pubsub), "    max_in_flight_bytes: %uMiB\n" NEVER_FULL, 32 + turn / 2);
	configure(w, middle, pubsub, end);
	free(end);
	return turn % 3 != 2;
}

static void
test_two_hundred_under_load(void **state)
{
	struct world *w = *state;
	double good = 1;

	configure(w, "", NEVER_FULL, "");
	xf_server_start(w->server);
	xf_server_wait_ready(w->server);
	for (unsigned turn = 0; turn < RELOADS; turn++) {
		bool is_good = configure_turn(w, turn);
		cJSON *json;
		int status = xf_server_request(w->server, "POST", "/api/v1/reload", "", &json);

		good += is_good;
		assert_int_equal(status, is_good ? 200 : 422);
		assert_int_equal(generation(w), good);
		if (is_good) {
			cJSON *changed = cJSON_GetObjectItem(json, "changed");

			assert_true(cJSON_GetArraySize(changed) >= 1);
			assert_true(cJSON_GetArraySize(cJSON_GetObjectItem(json, "kept")) >= 2);
		}
		cJSON_Delete(json);
		usleep(PACE_MS * 1000);
	}
	printf("%u reloads while %.0f of %d messages were sent\n", RELOADS, report(w, "sent"), 2 * COUNT);
	xf_server_wait_number(w->server, "/api/v1/transports/load", "report.sent", 2 * COUNT);
	assert_int_equal(xf_server_number(w->server, "/api/v1/routes/pubsub", "overflow"), 0);
	xf_server_wait_number(w->server, "/api/v1/transports/load", "report.acked", 2 * COUNT);
	xf_server_wait_number(w->server, "/api/v1/transports/load", "report.received", 2 * COUNT);
	assert_int_equal(report(w, "lost"), 0);
	assert_int_equal(report(w, "reordered"), 0);
	assert_int_equal(report(w, "corrupted"), 0);
	assert_int_equal(report(w, "duplicates"), 0);
	assert_int_equal(report(w, "received"), 2 * COUNT);
	assert_int_equal(xf_server_stop(w->server), 0);
}

/* A route whose sink is dead is pointed elsewhere: what it had accepted goes there, in order. */
static void
test_a_dead_sink_is_replaced(void **state)
{
	struct world *w = *state;
	const char *file =
		"transports:\n"
		"  load: {plugin: probe}\n"
		"  redis: {plugin: redis, url: '%s'}\n"
		"routes:\n"
		"  - name: orders\n"
		"    from: {transport: load, rate: 2000, count: 5000, to: 'probe.c'}\n"
		"    to: {transport: %s, %s}\n";

	xf_server_destroy(&w->server);
	w->server = xf_server_create("reload");
	xf_server_configure(w->server, "", file, xf_broker_url(w->redis), "redis", "mode: stream");
	xf_server_start(w->server);
	xf_server_wait_ready(w->server);
	xf_server_wait_number(w->server, "/api/v1/routes/orders", "acked", 500);
	xf_broker_kill(w->redis);
	xf_server_wait_string(w->server, "/api/v1/routes/orders", "sinks.0.state", "down");
	xf_server_configure(w->server, "", file, xf_broker_url(w->redis), "load", "side: new");
	assert_int_equal(xf_server_request(w->server, "POST", "/api/v1/reload", "", NULL), 200);
	xf_server_wait_number(w->server, "/api/v1/transports/load", "report.acked", 5000);
	assert_int_equal(report(w, "reordered"), 0);
	assert_int_equal(report(w, "duplicates"), 0);
	/* What Redis had confirmed before is not here. */
	assert_true(report(w, "received") < 5000);
	assert_true(report(w, "received") + 5000 - report(w, "lost") >= 5000);
	assert_int_equal(xf_server_stop(w->server), 0);
	xf_broker_restart(w->redis);
}

/* SIGHUP does the same, and a file that is not there is said. */
static void
test_sighup(void **state)
{
	struct world *w = *state;
	char *file;

	xf_server_destroy(&w->server);
	w->server = xf_server_create("reload");
	configure(w, "", "", "");
	xf_server_start(w->server);
	xf_server_wait_ready(w->server);
	configure(w, "    max_in_flight: 17\n", "", "");
	kill(xf_server_pid(w->server), SIGHUP);
	xf_server_wait_logged(w->server, "reloaded by=SIGHUP generation=2 added=0 changed=1 removed=0 kept=3");
	configure(w, "", "", "  - name: middle\n");
	kill(xf_server_pid(w->server), SIGHUP);
	xf_server_wait_logged(w->server, "reload refused, nothing was changed by=SIGHUP");
	file = xf_format("%s/crossfade.yaml", xf_server_dir(w->server));
	unlink(file);
	free(file);
	kill(xf_server_pid(w->server), SIGHUP);
	xf_server_wait_logged(w->server, "No such file");
	assert_int_equal(generation(w), 2);
	assert_int_equal(xf_server_stop(w->server), 0);
}

/* COUNT routes within the process. */
static void
configure_many(struct world *w, unsigned count)
{
	struct xf_buffer routes = {0};

	for (unsigned i = 0; i < count; i++)
		xf_buffer_printf(&routes,
		                 "  - name: r%u\n"
		                 "    from: {transport: inside, subject: a.%u}\n"
		                 "    to: {transport: inside, subject: b.%u}\n",
		                 i, i, i);
	xf_server_configure(w->server, "", "transports:\n  inside: {plugin: local}\nroutes:\n%s", routes.data);
	xf_buffer_fini(&routes);
}

static unsigned
descriptors_of(pid_t pid)
{
	char *path = xf_format("/proc/%ld/fd", (long)pid);
	DIR *folder = opendir(path);
	unsigned count = 0;

	assert_non_null(folder);
	while (readdir(folder) != NULL)
		count++;
	closedir(folder);
	free(path);
	return count;
}

/* What runs goes on; and a start that cannot be is said, with status 1. */
static void
test_without_descriptors(void **state)
{
	struct world *w = *state;
	struct rlimit before, few;
	struct xf_buffer command = {0};
	const char *reason;
	cJSON *json;
	int status;

	xf_server_destroy(&w->server);
	w->server = xf_server_create("reload");
	configure_many(w, 1);
	xf_server_start(w->server);
	xf_server_wait_ready(w->server);
	/* Enough to be asked and to read the file. */
	few.rlim_cur = descriptors_of(xf_server_pid(w->server)) + 20;
	assert_int_equal(prlimit(xf_server_pid(w->server), RLIMIT_NOFILE, NULL, &before), 0);
	few.rlim_max = before.rlim_max;
	assert_int_equal(prlimit(xf_server_pid(w->server), RLIMIT_NOFILE, &few, NULL), 0);
	configure_many(w, 50);
	assert_int_equal(xf_server_request(w->server, "POST", "/api/v1/reload", "", &json), 422);
	reason = cJSON_GetStringValue(cJSON_GetArrayItem(cJSON_GetObjectItem(json, "errors"), 0));
	if (reason == NULL || strstr(reason, "LimitNOFILE") == NULL)
		fail_msg("said: %s", reason);
	cJSON_Delete(json);
	assert_int_equal(generation(w), 1);
	assert_int_equal(prlimit(xf_server_pid(w->server), RLIMIT_NOFILE, &before, NULL), 0);
	assert_int_equal(xf_server_request(w->server, "POST", "/api/v1/reload", "", NULL), 200);
	assert_int_equal(generation(w), 2);
	assert_int_equal(xf_server_stop(w->server), 0);

	xf_buffer_printf(&command,
	                 "ulimit -n 60; %s/bin/crossfaded -c %s/crossfade.yaml 2>%s/said; status=$?; "
	                 "grep -q 'cannot start.*LimitNOFILE' %s/said || exit 99; exit $status",
	                 XF_BINARY_DIR, xf_server_dir(w->server), xf_server_dir(w->server), xf_server_dir(w->server));
	status = system(command.data);
	xf_buffer_fini(&command);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_hundred_under_load),
		cmocka_unit_test(test_a_dead_sink_is_replaced),
		cmocka_unit_test(test_sighup),
		cmocka_unit_test(test_without_descriptors),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
