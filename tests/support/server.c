#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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
#include <sqlite3.h>

#include "base/clock.h"
#include "base/memory.h"
#include "broker.h"

#define LOG_TAIL 6000

extern char **environ;

struct xf_server {
	struct xf_server *next; /* of those to be killed at exit */
	char *dir;
	char *config;
	char *data;
	char *log;
	char **variables; /* of the process's environment, beside ours */
	size_t variable_count;
	pid_t pid; /* 0: not running */
	size_t log_start; /* where the log of the process that runs begins */
};

static struct xf_server *servers;

static void
servers_kill(void)
{
	for (struct xf_server *server = servers; server != NULL; server = server->next)
		if (server->pid > 0) {
			kill(server->pid, SIGKILL);
			waitpid(server->pid, NULL, 0);
		}
}

struct xf_server *
xf_server_create(const char *name)
{
	static bool registered;
	struct xf_server *server = xf_alloc(sizeof(*server));

	server->dir = xf_temp_create(name);
	if (!registered) /* after the folders' own, so before it when the program ends */
		atexit(servers_kill);
	registered = true;
	server->config = xf_format("%s/crossfade.yaml", server->dir);
	server->data = xf_format("%s/data", server->dir);
	server->log = xf_format("%s/log", server->dir);
	server->next = servers;
	servers = server;
	return server;
}

void
xf_server_destroy(struct xf_server **server)
{
	struct xf_server *gone = *server;

	if (gone == NULL)
		return;
	*server = NULL;
	if (gone->pid > 0)
		xf_server_kill(gone);
	for (struct xf_server **at = &servers; *at != NULL; at = &(*at)->next)
		if (*at == gone) {
			*at = gone->next;
			break;
		}
	xf_server_environ(gone, NULL);
	xf_temp_destroy(&gone->dir);
	free(gone->config);
	free(gone->data);
	free(gone->log);
	free(gone);
}

const char *
xf_server_dir(const struct xf_server *server)
{
	return server->dir;
}

pid_t
xf_server_pid(const struct xf_server *server)
{
	return server->pid;
}

void
xf_server_configure(struct xf_server *server, const char *extra, const char *format, ...)
{
	FILE *file = fopen(server->config, "w");
	va_list args;

	if (file == NULL)
		fail_msg("%s: %s", server->config, strerror(errno));
	fprintf(file, "server:\n  name: test\n  data_dir: %s\n%s", server->data, extra);
	va_start(args, format);
	vfprintf(file, format, args);
	va_end(args);
	if (fclose(file) != 0)
		fail_msg("%s: %s", server->config, strerror(errno));
}

void
xf_server_adopt(struct xf_server *server, const char *config, const char *data)
{
	free(server->config);
	free(server->data);
	server->config = xf_strdup(config);
	server->data = xf_strdup(data);
}

/* ---- its output ------------------------------------------------------------------------------------ */

static char *
file_read(const char *path, size_t from)
{
	struct xf_buffer text = {0};
	char bytes[8192];
	size_t got;
	FILE *file = fopen(path, "r");

	xf_buffer_puts(&text, "");
	if (file != NULL) {
		fseek(file, (long)from, SEEK_SET);
		while ((got = fread(bytes, 1, sizeof(bytes), file)) > 0)
			xf_buffer_append(&text, bytes, got);
		fclose(file);
	}
	return text.data;
}

static void
log_print(struct xf_server *server)
{
	char *text = file_read(server->log, server->log_start);
	size_t len = strlen(text);

	print_error("---- the server's log\n%s----\n", len > LOG_TAIL ? text + len - LOG_TAIL : text);
	free(text);
}

bool
xf_server_logged(struct xf_server *server, const char *part)
{
	char *text = file_read(server->log, server->log_start);
	bool found = strstr(text, part) != NULL;

	free(text);
	return found;
}

static bool
server_ended(struct xf_server *server)
{
	siginfo_t info = {0};

	return server->pid == 0 ||
	       (waitid(P_PID, (id_t)server->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == server->pid);
}

void
xf_server_wait_logged(struct xf_server *server, const char *part)
{
	uint64_t until = xf_now_ms() + XF_WAIT_MS;

	while (!xf_server_logged(server, part)) {
		if (xf_now_ms() > until || server_ended(server)) {
			log_print(server);
			fail_msg("the server did not log '%s'", part);
		}
		usleep(10000);
	}
}

char *
xf_server_rejected(struct xf_server *server)
{
	static const char query[] = "SELECT json_object('route', route, 'sink', sink, 'reason', reason, 'subject', "
	                            "CAST(subject AS TEXT), 'id', CAST(id AS TEXT), 'payload', CAST(payload AS TEXT)) "
	                            "FROM letter ORDER BY number";
	char *path = xf_format("%s/dead.db", server->data);
	struct xf_buffer text = {0};
	sqlite3_stmt *rows = NULL;
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, query, -1, &rows, NULL), SQLITE_OK);
	while (sqlite3_step(rows) == SQLITE_ROW)
		xf_buffer_printf(&text, "%s\n", (const char *)sqlite3_column_text(rows, 0));
	sqlite3_finalize(rows);
	sqlite3_close(db);
	free(path);
	return text.data != NULL ? text.data : xf_strdup("");
}

/* ---- its life ---------------------------------------------------------------------------------------- */

void
xf_server_environ(struct xf_server *server, const char *variable)
{
	size_t count = server->variable_count;

	if (variable != NULL) {
		server->variables = xf_grow_array(server->variables, count, count + 1, sizeof(char *));
		server->variables[count] = xf_strdup(variable);
		server->variable_count++;
		return;
	}
	for (size_t i = 0; i < count; i++)
		free(server->variables[i]);
	free(server->variables);
	server->variables = NULL;
	server->variable_count = 0;
}

/* Our environment and what it has beside; the list is to be freed, the texts are not. */
static char **
server_environment(struct xf_server *server)
{
	size_t ours = 0;
	char **all;

	while (environ[ours] != NULL)
		ours++;
	all = xf_alloc_array(ours + server->variable_count + 1, sizeof(char *));
	for (size_t i = 0; i < server->variable_count; i++)
		all[i] = server->variables[i];
	for (size_t i = 0; i < ours; i++)
		all[server->variable_count + i] = environ[i];
	return all;
}

void
xf_server_start(struct xf_server *server)
{
	char *argv[] = {(char *)(uintptr_t)XF_BINARY_DIR "/bin/crossfaded", (char *)(uintptr_t) "-c", server->config,
	                NULL};
	posix_spawn_file_actions_t actions;
	char *before = file_read(server->log, 0), **environment = server_environment(server);
	int error;

	server->log_start = strlen(before);
	free(before);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, server->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
	error = posix_spawn(&server->pid, argv[0], &actions, NULL, argv, environment);
	posix_spawn_file_actions_destroy(&actions);
	free(environment);
	if (error != 0)
		fail_msg("%s: %s", argv[0], strerror(error));
	xf_server_wait_logged(server, "started");
}

void
xf_server_wait_ready(struct xf_server *server)
{
	uint64_t until = xf_now_ms() + XF_WAIT_MS;

	while (xf_server_request(server, "GET", "/readyz", NULL, NULL) != 200) {
		if (xf_now_ms() > until || server_ended(server)) {
			log_print(server);
			fail_msg("the server did not become ready");
		}
		usleep(10000);
	}
}

int
xf_server_stop(struct xf_server *server)
{
	uint64_t until = xf_now_ms() + XF_WAIT_MS;
	int status = 0;

	kill(server->pid, SIGTERM);
	while (waitpid(server->pid, &status, WNOHANG) == 0) {
		if (xf_now_ms() > until) {
			log_print(server);
			xf_server_kill(server);
			return -1;
		}
		usleep(5000);
	}
	server->pid = 0;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		log_print(server);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void
xf_server_cli_done(struct xf_server *server, const char *const *args)
{
	struct xf_buffer said = {0};
	int status = xf_server_cli(server, &said, args);

	if (status != 0)
		fail_msg("crossfade %s %s ended with %d: %.*s", args[0], args[1] != NULL ? args[1] : "", status, (int)said.len,
		         said.data);
	xf_buffer_fini(&said);
}

void
xf_server_kill(struct xf_server *server)
{
	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
	server->pid = 0;
}

/* ---- its admin socket --------------------------------------------------------------------------------- */

static int
socket_open(struct xf_server *server)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/admin.sock", server->data);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Everything until the server closes; the body begins at the returned place, NULL without one. */
static char *
talk(struct xf_server *server, const char *method, const char *path, const char *body, struct xf_buffer *all)
{
	int fd = socket_open(server);
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	char room[8192], *text, *at;
	ssize_t len;

	if (fd < 0)
		return NULL;
	text = xf_format("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", method,
	                 path, body != NULL ? strlen(body) : 0, body != NULL ? body : "");
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) >= 0)
		while (poll(&wait, 1, XF_WAIT_MS) == 1 && (len = read(fd, room, sizeof(room))) > 0)
			xf_buffer_append(all, room, (size_t)len);
	free(text);
	close(fd);
	at = all->len > 0 ? strstr(all->data, "\r\n\r\n") : NULL;
	return at != NULL ? at + 4 : NULL;
}

int
xf_server_request(struct xf_server *server, const char *method, const char *path, const char *body, cJSON **json)
{
	struct xf_buffer all = {0};
	char *answer = talk(server, method, path, body, &all);
	int status = 0;

	if (answer != NULL && sscanf(all.data, "HTTP/1.1 %d", &status) != 1)
		status = 0;
	if (json != NULL)
		*json = answer != NULL ? cJSON_Parse(answer) : NULL;
	xf_buffer_fini(&all);
	return status;
}

char *
xf_server_text(struct xf_server *server, const char *path)
{
	struct xf_buffer all = {0};
	char *answer = talk(server, "GET", path, NULL, &all), *text = xf_strdup(answer != NULL ? answer : "");

	xf_buffer_fini(&all);
	return text;
}

/* "a.0.b" in ROOT. */
static const cJSON *
json_at(const cJSON *root, const char *field)
{
	while (root != NULL && *field != '\0') {
		size_t len = strcspn(field, ".");
		char *name = xf_strndup(field, len);

		root = cJSON_IsArray(root) ? cJSON_GetArrayItem(root, atoi(name))
		                           : cJSON_GetObjectItemCaseSensitive(root, name);
		free(name);
		field += len + (field[len] == '.');
	}
	return root;
}

double
xf_server_number(struct xf_server *server, const char *path, const char *field)
{
	const cJSON *found;
	cJSON *json = NULL;
	double number;

	xf_server_request(server, "GET", path, NULL, &json);
	found = json_at(json, field);
	number = cJSON_IsNumber(found) ? found->valuedouble : cJSON_IsTrue(found) ? 1 : cJSON_IsFalse(found) ? 0 : -1;
	cJSON_Delete(json);
	return number;
}

char *
xf_server_string(struct xf_server *server, const char *path, const char *field)
{
	const cJSON *found;
	cJSON *json = NULL;
	char *text;

	xf_server_request(server, "GET", path, NULL, &json);
	found = json_at(json, field);
	text = xf_strdup(cJSON_IsString(found) ? found->valuestring : "");
	cJSON_Delete(json);
	return text;
}

/* Ends the test with all that GET PATH says. */
static void
wait_failed(struct xf_server *server, const char *path, const char *what)
{
	char *text = xf_server_text(server, path);

	log_print(server);
	print_error("%s: %s\n", path, text);
	free(text);
	fail_msg("%s", what);
}

void
xf_server_wait_number(struct xf_server *server, const char *path, const char *field, double least)
{
	uint64_t until = xf_now_ms() + XF_WAIT_MS;

	while (xf_server_number(server, path, field) < least) {
		if (xf_now_ms() > until || server_ended(server)) {
			char *what = xf_format("%s is not %.0f in time", field, least);

			wait_failed(server, path, what);
			free(what);
		}
		usleep(10000);
	}
}

void
xf_server_wait_string(struct xf_server *server, const char *path, const char *field, const char *part)
{
	uint64_t until = xf_now_ms() + XF_WAIT_MS;

	for (;;) {
		char *text = xf_server_string(server, path, field);
		bool found = strstr(text, part) != NULL;

		free(text);
		if (found)
			return;
		if (xf_now_ms() > until || server_ended(server)) {
			char *what = xf_format("%s does not say '%s' in time", field, part);

			wait_failed(server, path, what);
			free(what);
		}
		usleep(10000);
	}
}

void
xf_server_wait_settled(struct xf_server *server, const char *route, double least)
{
	char *path = xf_format("/api/v1/routes/%s", route);
	uint64_t until = xf_now_ms() + 2 * XF_WAIT_MS;

	for (;;) {
		cJSON *json = NULL;
		double settled = 0, in_flight = 1;

		if (xf_server_request(server, "GET", path, NULL, &json) == 200) {
			static const char *const names[] = {"acked", "rejected", "overflow", "filtered"};

			for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
				settled += cJSON_GetNumberValue(json_at(json, names[i]));
			in_flight = cJSON_GetNumberValue(json_at(json, "in_flight"));
		}
		cJSON_Delete(json);
		if (settled >= least && in_flight == 0)
			break;
		if (xf_now_ms() > until || server_ended(server)) {
			print_error("%.0f of %.0f settled, %.0f in flight\n", settled, least, in_flight);
			wait_failed(server, path, "not everything is settled in time");
		}
		usleep(20000);
	}
	free(path);
}

/* ---- the operator's tool ------------------------------------------------------------------------------- */

int
xf_server_cli(struct xf_server *server, struct xf_buffer *out, const char *const *args)
{
	const char *argv[24] = {XF_BINARY_DIR "/bin/crossfade"};
	posix_spawn_file_actions_t actions;
	size_t argc = 1;
	int pipes[2], status, error;
	char bytes[4096];
	ssize_t got;
	pid_t pid;

	while (*args != NULL && argc < 20)
		argv[argc++] = *args++;
	argv[argc++] = "-c";
	argv[argc++] = server->config;
	if (pipe2(pipes, O_CLOEXEC) != 0)
		fail_msg("pipe: %s", strerror(errno));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, pipes[1], STDERR_FILENO);
	error = posix_spawn(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(pipes[1]);
	if (error != 0) {
		close(pipes[0]);
		fail_msg("%s: %s", argv[0], strerror(error));
	}
	while ((got = read(pipes[0], bytes, sizeof(bytes))) > 0 || (got < 0 && errno == EINTR))
		if (got > 0 && out != NULL)
			xf_buffer_append(out, bytes, (size_t)got);
	close(pipes[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
