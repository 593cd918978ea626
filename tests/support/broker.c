#include "broker.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/str.h"

extern char **environ;

/* Everything that has to go at exit, newest first. */
struct temp {
	struct temp *next;
	char *dir;
	bool broker; /* of a broker: it is killed first */
};

struct xf_broker {
	char *dir;
	char *url;
};

static struct temp *temps;

static int
entry_remove(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
	(void)stat;
	(void)type;
	(void)walk;
	remove(path);
	return 0;
}

static void
folder_remove(const char *dir)
{
	if (getenv("XF_KEEP") != NULL)
		fprintf(stderr, "kept: %s\n", dir);
	else
		nftw(dir, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* Runs tools/broker VERB and the ARGS; what it writes to standard output is appended to OUT. False where it
 * fails; standard error is the test's own. */
static bool
script_run(struct xf_buffer *out, const char *verb, const char *first, const char *second, const char *const *args)
{
	const char *script = XF_SOURCE_DIR "/tools/broker";
	posix_spawn_file_actions_t actions;
	size_t argc = 0, count = 0;
	const char **argv;
	int pipes[2], status, error;
	pid_t pid;

	while (args != NULL && args[count] != NULL)
		count++;
	argv = xf_alloc_array(count + 5, sizeof(*argv));
	argv[argc++] = script;
	argv[argc++] = verb;
	argv[argc++] = first;
	if (second != NULL)
		argv[argc++] = second;
	for (size_t i = 0; i < count; i++)
		argv[argc++] = args[i];

	if (pipe2(pipes, O_CLOEXEC) != 0)
		fail_msg("pipe: %s", strerror(errno));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO);
	error = posix_spawn(&pid, script, &actions, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	free(argv);
	close(pipes[1]);
	if (error != 0) {
		close(pipes[0]);
		fail_msg("%s: %s", script, strerror(error));
	}

	for (;;) {
		char bytes[4096];
		ssize_t got = read(pipes[0], bytes, sizeof(bytes));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		xf_buffer_append(out, bytes, (size_t)got);
	}
	close(pipes[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
broker_do(struct xf_broker *broker, const char *verb)
{
	struct xf_buffer out = {0};
	bool done = script_run(&out, verb, broker->dir, NULL, NULL);

	xf_buffer_fini(&out);
	if (!done)
		fail_msg("tools/broker %s %s failed", verb, broker->dir);
}

static void
temps_clear(void)
{
	while (temps != NULL) {
		struct temp *temp = temps;
		struct xf_buffer out = {0};

		if (temp->broker)
			script_run(&out, "kill", temp->dir, NULL, NULL);
		xf_buffer_fini(&out);
		folder_remove(temp->dir);
		temps = temp->next;
		free(temp->dir);
		free(temp);
	}
}

static struct temp *
temp_add(const char *name, bool broker)
{
	static bool registered;
	const char *root = getenv("TMPDIR");
	struct temp *temp = xf_alloc(sizeof(*temp));

	if (!registered) {
		atexit(temps_clear);
		registered = true;
	}
	temp->dir = xf_format("%s/crossfade-%s-XXXXXX", root != NULL ? root : "/tmp", name);
	temp->broker = broker;
	if (mkdtemp(temp->dir) == NULL)
		fail_msg("%s: %s", temp->dir, strerror(errno));
	temp->next = temps;
	temps = temp;
	return temp;
}

static void
temp_drop(const char *dir)
{
	for (struct temp **at = &temps; *at != NULL; at = &(*at)->next) {
		struct temp *temp = *at;

		if (strcmp(temp->dir, dir) != 0)
			continue;
		*at = temp->next;
		folder_remove(temp->dir);
		free(temp->dir);
		free(temp);
		return;
	}
}

struct xf_broker *
xf_broker_start(const char *kind, const char *const *args)
{
	struct temp *temp = temp_add(kind, true);
	struct xf_buffer out = {0};
	struct xf_broker *broker;

	if (!script_run(&out, "start", kind, temp->dir, args)) {
		xf_buffer_fini(&out);
		fail_msg("no %s broker could be started", kind);
	}
	while (out.len > 0 && out.data[out.len - 1] == '\n')
		out.data[--out.len] = '\0';
	broker = xf_alloc(sizeof(*broker));
	broker->dir = xf_strdup(temp->dir);
	broker->url = xf_strdup(out.data != NULL ? out.data : "");
	xf_buffer_fini(&out);
	return broker;
}

struct xf_broker *
xf_broker_start_tls(const char *kind, bool client_required)
{
	const char *const args[] = {client_required ? "--tls=client" : "--tls", NULL};

	return xf_broker_start(kind, args);
}

void
xf_certificates_make(const char *dir)
{
	struct xf_buffer out = {0};
	bool done = script_run(&out, "certs", dir, NULL, NULL);

	xf_buffer_fini(&out);
	if (!done)
		fail_msg("tools/broker certs %s failed", dir);
}

void
xf_broker_destroy(struct xf_broker **broker)
{
	struct xf_broker *gone = *broker;

	if (gone == NULL)
		return;
	*broker = NULL;
	broker_do(gone, "kill");
	temp_drop(gone->dir);
	free(gone->dir);
	free(gone->url);
	free(gone);
}

const char *
xf_broker_url(const struct xf_broker *broker)
{
	return broker->url;
}

const char *
xf_broker_dir(const struct xf_broker *broker)
{
	return broker->dir;
}

void
xf_broker_stop(struct xf_broker *broker)
{
	broker_do(broker, "stop");
}

void
xf_broker_ripen(const struct xf_broker *broker)
{
	if (strncmp(broker->url, "amqp", 4) == 0)
		sleep(4);
}

void
xf_broker_kill(struct xf_broker *broker)
{
	broker_do(broker, "kill");
}

void
xf_broker_pause(struct xf_broker *broker)
{
	broker_do(broker, "pause");
}

void
xf_broker_resume(struct xf_broker *broker)
{
	broker_do(broker, "resume");
}

void
xf_broker_reload(struct xf_broker *broker)
{
	broker_do(broker, "reload");
}

void
xf_broker_restart(struct xf_broker *broker)
{
	broker_do(broker, "restart");
}

void
xf_broker_wipe(struct xf_broker *broker)
{
	broker_do(broker, "wipe");
}

char *
xf_broker_ctl(struct xf_broker *broker, const char *const *args)
{
	struct xf_buffer out = {0};

	if (!script_run(&out, "ctl", broker->dir, NULL, args)) {
		xf_buffer_fini(&out);
		fail_msg("tools/broker ctl %s failed", broker->dir);
	}
	return out.data != NULL ? out.data : xf_strdup("");
}

char *
xf_temp_create(const char *name)
{
	return xf_strdup(temp_add(name, false)->dir);
}

void
xf_temp_destroy(char **dir)
{
	if (*dir == NULL)
		return;
	temp_drop(*dir);
	free(*dir);
	*dir = NULL;
}
