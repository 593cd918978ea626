/*
 * crossfaded as its operator and systemd see it: exit statuses, the lock, signals, draining, readiness.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/str.h"
#include "broker.h"

#define DEADLINE_MS 30000

extern char **environ;

struct fixture {
	char *dir;
	char *config;
	char *log; /* of the server started last */
	pid_t pid;
};

static int
setup(void **state)
{
	struct fixture *f = xf_alloc(sizeof(*f));

	f->dir = xf_temp_create("daemon");
	f->config = xf_format("%s/crossfade.yaml", f->dir);
	f->log = xf_format("%s/log", f->dir);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	if (f->pid > 0) {
		kill(f->pid, SIGKILL);
		waitpid(f->pid, NULL, 0);
	}
	xf_temp_destroy(&f->dir);
	free(f->config);
	free(f->log);
	free(f);
	return 0;
}

static void
config_write(const struct fixture *f, const char *format, ...)
{
	FILE *file = fopen(f->config, "w");
	va_list args;

	assert_non_null(file);
	va_start(args, format);
	vfprintf(file, format, args);
	va_end(args);
	assert_int_equal(fclose(file), 0);
}

/* From the embedded broker to itself. */
static void
config_local(const struct fixture *f)
{
	config_write(f,
	             "server: {name: test, data_dir: %s/data}\n"
	             "transports: {inside: {plugin: local}, outside: {plugin: local}}\n"
	             "routes: [{name: r, from: {transport: inside}, to: {transport: outside}}]\n",
	             f->dir);
}

/* A server with the arguments A, B (each may be NULL), its output in f->log. */
static pid_t
spawn(const struct fixture *f, const char *a, const char *b)
{
	char *argv[] = {(char *)(uintptr_t)XF_BINARY_DIR "/bin/crossfaded", (char *)(uintptr_t)a, (char *)(uintptr_t)b,
	                NULL};
	posix_spawn_file_actions_t actions;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, f->log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
	posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
	assert_int_equal(posix_spawn(&pid, argv[0], &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	return pid;
}

static int
status_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status))
		fail_msg("ended by signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

static char *
log_read(const struct fixture *f)
{
	struct xf_buffer text = {0};
	char bytes[4096];
	size_t got;
	FILE *file = fopen(f->log, "r");

	xf_buffer_puts(&text, "");
	while (file != NULL && (got = fread(bytes, 1, sizeof(bytes), file)) > 0)
		xf_buffer_append(&text, bytes, got);
	if (file != NULL)
		fclose(file);
	return text.data;
}

static void
assert_log(const struct fixture *f, const char *part)
{
	char *text = log_read(f);
	bool found = strstr(text, part) != NULL;

	if (!found)
		print_error("no '%s' in:\n%s", part, text);
	free(text);
	assert_true(found);
}

static bool
server_ended(const struct fixture *f)
{
	siginfo_t info = {0};

	return waitid(P_PID, (id_t)f->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == f->pid;
}

static void
log_wait(const struct fixture *f, const char *part)
{
	uint64_t until = xf_now_ms() + DEADLINE_MS;

	for (;;) {
		bool last = xf_now_ms() > until || server_ended(f);
		char *text = log_read(f);
		bool found = strstr(text, part) != NULL;

		free(text);
		if (found)
			return;
		if (last)
			assert_log(f, part);
		usleep(10000);
	}
}

static void
server_start(struct fixture *f)
{
	f->pid = spawn(f, "-c", f->config);
	log_wait(f, "started");
}

/* The status with which it ends. */
static int
server_wait(struct fixture *f)
{
	pid_t pid = f->pid;

	f->pid = 0;
	return status_of(pid);
}

static void
usage_and_version(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(status_of(spawn(f, "--version", NULL)), 0);
	assert_log(f, "crossfaded ");
	assert_int_equal(status_of(spawn(f, "--help", NULL)), 0);
	assert_log(f, "usage: crossfaded [-c FILE]");
	assert_int_equal(status_of(spawn(f, "--nonsense", NULL)), 2);
	assert_int_equal(status_of(spawn(f, "-c", NULL)), 2);
	assert_int_equal(status_of(spawn(f, "file", NULL)), 2);
	assert_log(f, "unexpected argument 'file'");
}

static void
bad_configuration_starts_nothing(void **state)
{
	struct fixture *f = *state;
	char *data = xf_format("%s/data", f->dir);

	config_write(f, "server: {data_dir: %s, nmae: x}\ntransports: {a: {plugin: lokal}}\n", data);
	assert_int_equal(status_of(spawn(f, "-c", f->config)), 78);
	assert_log(f, "crossfade.yaml:1:");
	assert_log(f, "did you mean 'name'?");
	assert_log(f, "crossfade.yaml:2:");
	assert_log(f, "did you mean 'local'?");
	assert_int_equal(access(data, F_OK), -1);
	free(data);
}

static void
data_dir_has_one_server(void **state)
{
	struct fixture *f = *state;
	char *first = f->log, *pid;

	config_local(f);
	server_start(f);
	f->log = xf_format("%s/second", f->dir);
	assert_int_equal(status_of(spawn(f, "-c", f->config)), 1);
	pid = xf_format("is held by process %d", (int)f->pid);
	assert_log(f, pid);
	free(pid);
	free(f->log);
	f->log = first;
	assert_int_equal(kill(f->pid, SIGTERM), 0);
	assert_int_equal(server_wait(f), 0);
}

static void
stale_socket_is_replaced(void **state)
{
	struct fixture *f = *state;
	char *sock = xf_format("%s/data/admin.sock", f->dir);

	config_local(f);
	server_start(f);
	assert_int_equal(access(sock, F_OK), 0);
	kill(f->pid, SIGKILL);
	waitpid(f->pid, NULL, 0);
	assert_int_equal(access(sock, F_OK), 0);
	server_start(f);
	kill(f->pid, SIGHUP);
	log_wait(f, "reloaded by=SIGHUP");
	kill(f->pid, SIGINT);
	assert_int_equal(server_wait(f), 0);
	assert_log(f, "stopped, all settled");
	assert_int_equal(access(sock, F_OK), -1);
	free(sock);
}

/* What comes by a channel waits in a route whose sink does not answer. */
static struct xf_broker *
held_up(struct fixture *f, const char *drain_timeout)
{
	static const char *const publish[] = {"publish", "orders.a", "x", NULL};
	struct xf_broker *broker = xf_broker_start("redis", NULL), *sink = xf_broker_start("redis", NULL);

	config_write(f,
	             "server: {name: test, data_dir: %s/data, drain_timeout: %s}\n"
	             "transports: {a: {plugin: redis, url: \"%s\"}, b: {plugin: redis, url: \"%s\"}}\n"
	             "routes: [{name: r, from: {transport: a, subject: \"orders.*\"}, to: {transport: b, mode: stream}}]\n",
	             f->dir, drain_timeout, xf_broker_url(broker), xf_broker_url(sink));
	server_start(f);
	log_wait(f, "r/from: up");
	log_wait(f, "r/to: up");
	xf_broker_pause(sink);
	for (int i = 0; i < 3; i++)
		free(xf_broker_ctl(broker, publish));
	usleep(200000); /* they have to come in; nothing outside tells when */
	xf_broker_destroy(&broker);
	return sink;
}

static void
drain_waits_for_the_broker(void **state)
{
	static const char *const length[] = {"xlen", "orders.a", NULL};
	struct fixture *f = *state;
	struct xf_broker *sink = held_up(f, "30s");
	char *stored;

	kill(f->pid, SIGTERM);
	log_wait(f, "draining in_flight=3 seconds=1");
	xf_broker_resume(sink);
	assert_int_equal(server_wait(f), 0);
	assert_log(f, "stopped, all settled");
	stored = xf_broker_ctl(sink, length);
	assert_string_equal(stored, "3\n");
	free(stored);
	xf_broker_destroy(&sink);
}

static void
second_signal_stops_now(void **state)
{
	struct fixture *f = *state;
	struct xf_broker *sink = held_up(f, "60s");
	uint64_t began;

	kill(f->pid, SIGTERM);
	log_wait(f, "draining in_flight=3");
	began = xf_now_ms();
	kill(f->pid, SIGTERM);
	assert_int_equal(server_wait(f), 0);
	assert_true(xf_now_ms() - began < 15000);
	assert_log(f, "stopping now");
	assert_log(f, "left=3");
	xf_broker_destroy(&sink);
}

static void
drain_ends_in_time(void **state)
{
	struct fixture *f = *state;
	struct xf_broker *sink = held_up(f, "1s");

	kill(f->pid, SIGTERM);
	assert_int_equal(server_wait(f), 0);
	assert_log(f, "left=3");
	xf_broker_destroy(&sink);
}

/* Reads datagrams until one holds PART. */
static void
notify_wait(int sock, const char *part)
{
	char text[1024];
	ssize_t len;

	do {
		len = recv(sock, text, sizeof(text) - 1, 0);
		if (len < 0) {
			fail_msg("no %s: %s", part, strerror(errno));
			return;
		}
		text[len] = '\0';
	} while (strstr(text, part) == NULL);
}

static void
systemd_is_told(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = DEADLINE_MS / 1000};
	int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(sock >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", f->dir);
	assert_int_equal(bind(sock, (struct sockaddr *)&address, sizeof(address)), 0);
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setenv("NOTIFY_SOCKET", address.sun_path, 1);
	setenv("WATCHDOG_USEC", "200000", 1);
	config_local(f);
	server_start(f);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");

	notify_wait(sock, "READY=1");
	notify_wait(sock, "WATCHDOG=1");
	notify_wait(sock, "WATCHDOG=1");
	kill(f->pid, SIGTERM);
	notify_wait(sock, "STOPPING=1");
	assert_int_equal(server_wait(f), 0);
	close(sock);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(usage_and_version),
		TEST(bad_configuration_starts_nothing),
		TEST(data_dir_has_one_server),
		TEST(stale_socket_is_replaced),
		TEST(drain_waits_for_the_broker),
		TEST(second_signal_stops_now),
		TEST(drain_ends_in_time),
		TEST(systemd_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
