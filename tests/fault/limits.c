/*
 * limits.c - the system gives crossfade no more descriptors, or no more threads: a reload that wants them is refused with the reason and
 * changes nothing, a broker that is lost waits for its turn, and all is well again once there are some.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "broker.h"
#include "carry.h"
#include "proxy.h"

#define RATE (1000 / XF_SCALE)
#define MORE_ROUTES 40
#define SPARE 5
#define IDLE 24 /* connections that want descriptors, too */

struct world {
	struct xf_broker *broker;
	struct proxy *proxy;
	struct xf_server *server;
	struct samples recover;
	char *group; /* of processes, with a limit of its own; NULL: none */
};

/* With MORE routes between embedded brokers. */
static void
configure(struct world *w, unsigned more)
{
	struct xf_buffer routes = {0};
	char *broker = xf_format("plugin: redis, url: '%s', heartbeat: 1s", proxy_url(w->proxy));

	xf_buffer_puts(&routes, "");
	for (unsigned i = 0; i < more; i++)
		xf_buffer_printf(&routes, "  - {name: more-%u, from: {transport: inside, subject: a.%u}, to: {transport: inside, subject: b.%u}}\n",
		                 i, i, i);
	carry_configure(w->server,
	                &(struct carry){
				.name = "redis",
				.broker = broker,
				.place = "mode: stream, subject: limits",
				.sink = ", when_down: spool",
				.rate = RATE,
	                },
	                1, "  inside: {plugin: local}\n", routes.data);
	xf_buffer_fini(&routes);
	free(broker);
}

static int
setup(void **state)
{
	struct world *w = xf_alloc(sizeof(*w));

	w->broker = xf_broker_start("redis", NULL);
	w->proxy = proxy_create(xf_broker_url(w->broker));
	w->server = xf_server_create("limits");
	configure(w, 0);
	xf_server_start(w->server);
	xf_server_wait_ready(w->server);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	xf_server_destroy(&w->server);
	proxy_destroy(&w->proxy);
	xf_broker_destroy(&w->broker);
	if (w->group != NULL)
		rmdir(w->group);
	free(w->group);
	samples_fini(&w->recover);
	free(w);
	return 0;
}

/* What the server has of /proc/PID/WHAT. */
static unsigned
entries(struct world *w, const char *what)
{
	char *path = xf_format("/proc/%d/%s", (int)xf_server_pid(w->server), what);
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned count = 0;

	free(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

/* MORE routes cannot be had, for a reason that contains WHY, and what runs goes on. */
static void
reload_refused(struct world *w, unsigned more, const char *why)
{
	struct xf_buffer said = {0};

	configure(w, more);
	assert_int_equal(XF_CLI(w->server, &said, "reload"), 1);
	if (strstr(said.data, why) == NULL)
		fail_msg("the reload was refused for another reason: %s", said.data);
	assert_int_equal(xf_server_request(w->server, "GET", "/api/v1/routes/more-0", NULL, NULL), 404);
	xf_buffer_fini(&said);
	carry_delivers(w->server, "redis", RATE);
	assert_int_equal(carry_number(w->server, "redis", "sinks.0.reconnects"), 0);
}

static void
reload_done(struct world *w, unsigned more)
{
	configure(w, more);
	XF_CLI_DONE(w->server, "reload");
	carry_delivers(w->server, "redis", RATE);
}

/* ---- Threads -------------------------------------------------------------------------------------- */

static bool
file_write(const char *dir, const char *name, const char *text)
{
	char *path = xf_format("%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	free(path);
	return done;
}

/* A control group for the server alone; the old kind or the new one. */
static bool
group_enter(struct world *w)
{
	static const char *const places[] = {"/sys/fs/cgroup/pids", "/sys/fs/cgroup"};
	char pid[16];
	bool done = false;

	snprintf(pid, sizeof(pid), "%d", (int)xf_server_pid(w->server));
	for (size_t i = 0; i < 2 && !done; i++) {
		if (i == 1 && access("/sys/fs/cgroup/cgroup.subtree_control", F_OK) != 0)
			break;
		free(w->group);
		w->group = xf_format("%s/crossfade-test-%s", places[i], pid);
		if (mkdir(w->group, 0755) != 0)
			continue;
		done = file_write(w->group, "pids.max", "max") && file_write(w->group, "cgroup.procs", pid);
		if (!done)
			rmdir(w->group);
	}
	return done;
}

static void
test_no_threads(void **state)
{
	struct world *w = *state;
	char limit[16];

	if (!group_enter(w)) {
		printf("skipped: no control group to limit threads by\n");
		free(w->group);
		w->group = NULL;
		return;
	}
	carry_delivers(w->server, "redis", RATE);
	snprintf(limit, sizeof(limit), "%u", entries(w, "task") + SPARE);
	assert_true(file_write(w->group, "pids.max", limit));
	reload_refused(w, MORE_ROUTES, "no thread can be made");
	assert_true(file_write(w->group, "pids.max", "max"));
	reload_done(w, MORE_ROUTES);
	reload_done(w, 0);
}

/* ---- Descriptors ------------------------------------------------------------------------------------ */

static void
descriptors_limit(struct world *w, rlim_t count)
{
	struct rlimit limit;

	assert_int_equal(prlimit(xf_server_pid(w->server), RLIMIT_NOFILE, NULL, &limit), 0);
	limit.rlim_cur = count < limit.rlim_max ? count : limit.rlim_max;
	assert_int_equal(prlimit(xf_server_pid(w->server), RLIMIT_NOFILE, &limit, NULL), 0);
}

static void
idle_open(struct world *w, int fds[IDLE])
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/data/admin.sock", xf_server_dir(w->server));
	for (int i = 0; i < IDLE; i++) {
		fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_true(fds[i] >= 0);
		assert_int_equal(connect(fds[i], (struct sockaddr *)&address, sizeof(address)), 0);
	}
}

static void
test_no_descriptors(void **state)
{
	struct world *w = *state;
	double before = carry_number(w->server, "redis", "sinks.0.reconnects");
	uint64_t begun;
	int fds[IDLE];

	carry_delivers(w->server, "redis", RATE);
	descriptors_limit(w, entries(w, "fd") + SPARE);
	reload_refused(w, MORE_ROUTES, "no file descriptor can be had");
	configure(w, 0);

	/* whoever waits for one takes what a lost connection leaves */
	idle_open(w, fds);
	proxy_cut(w->proxy);
	xf_server_wait_logged(w->server, "Too many open files");
	xf_sleep_ms(1000);
	for (int i = 0; i < IDLE; i++)
		close(fds[i]);
	descriptors_limit(w, RLIM_INFINITY);
	begun = xf_now_ms();
	carry_wait_number(w->server, "redis", "sinks.0.reconnects", before + 1);
	carry_wait_string(w->server, "redis", "sinks.0.state", "up");
	samples_add(&w->recover, (double)(xf_now_ms() - begun) / 1000);
	carry_delivers(w->server, "redis", RATE);
	printf("delivers %.2f s after there are descriptors\n", (double)(xf_now_ms() - begun) / 1000);
	reload_done(w, MORE_ROUTES);
}

static void
test_nothing_is_lost(void **state)
{
	struct world *w = *state;

	carry_finish(w->server, "redis",
	             &(struct figures){.fault = "no threads, no descriptors", .broker = "redis", .faults = 2, .recover = &w->recover});
	assert_int_equal(xf_server_stop(w->server), 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_threads),
		cmocka_unit_test(test_no_descriptors),
		cmocka_unit_test(test_nothing_is_lost),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
