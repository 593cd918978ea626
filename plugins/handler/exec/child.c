/*
 * posix_spawn() is the only way here by which a process begins: of the server nothing runs in it between fork and exec. All descriptors
 * are closed on exec but its three.
 *
 * A process has ended when its pidfd says so, whatever its pipes say. Until it is waited for its number is its own, so the group
 * is killed before.
 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define READ_MIN (64u << 10)
#define KEEP_MAX (1u << 20) /* a larger buffer is given back when it is empty */
#define COMPLAINTS_PER_S 20

void
child_init(struct child *child, uint32_t index, int epoll)
{
	*child = (struct child){.index = index, .epoll = epoll, .pidfd = -1, .in = -1, .out = -1, .err = -1};
}

static void
fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void
input_free(struct child *child)
{
	free(child->input);
	child->input = NULL;
	child->input_len = child->input_size = 0;
}

void
child_fini(struct child *child)
{
	text_fini(&child->output);
	input_free(child);
}

/* ---- Start ------------------------------------------------------------------------------------- */

/* OURS is the end that does not block. */
static int
pipe_open(int *ours, int *theirs, bool we_write)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) != 0)
		return errno;
	*ours = fds[we_write];
	*theirs = fds[!we_write];
	fcntl(*ours, F_SETFL, fcntl(*ours, F_GETFL) | O_NONBLOCK);
	return 0;
}

static int
spawn(struct child *child, const struct options *options, char *const *env, const int theirs[3])
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t all, none;
	int error;

	sigfillset(&all);
	sigemptyset(&none);
	error = posix_spawn_file_actions_init(&actions);
	if (error != 0)
		return error;
	error = posix_spawnattr_init(&attr);
	if (error != 0)
		goto destroy_actions;
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setsigmask(&attr, &none);
	for (int i = 0; i < 3 && error == 0; i++)
		error = posix_spawn_file_actions_adddup2(&actions, theirs[i], i);
	if (error == 0 && options->directory != NULL)
		error = posix_spawn_file_actions_addchdir_np(&actions, options->directory);
	if (error == 0)
		error = posix_spawnp(&child->pid, options->argv[0], &actions, &attr, options->argv, env);
	if (error != 0)
		child->pid = 0;
	posix_spawnattr_destroy(&attr);
destroy_actions:
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

static void
limit(const struct child *child, int resource, uint64_t value)
{
	const struct rlimit bound = {value, value};

	if (value > 0)
		prlimit(child->pid, (enum __rlimit_resource)resource, &bound, NULL);
}

static int
watch(struct child *child, int fd, int which, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.u64 = (uint64_t)child->index * CHILD_FDS + (unsigned)which};

	return epoll_ctl(child->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

static int
watch_all(struct child *child)
{
	int error = 0;

	child->pidfd = pidfd_open(child->pid, 0); /* it is closed on exec */
	if (child->pidfd < 0)
		return errno;
	error = watch(child, child->pidfd, CHILD_PID, EPOLLIN);
	if (error == 0)
		error = watch(child, child->in, CHILD_IN, EPOLLOUT | EPOLLET);
	if (error == 0)
		error = watch(child, child->out, CHILD_OUT, EPOLLIN);
	if (error == 0)
		error = watch(child, child->err, CHILD_ERR, EPOLLIN);
	return error;
}

static void
kill_and_wait(struct child *child)
{
	int status;

	kill(-child->pid, SIGKILL);
	while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
		;
	child->pid = 0;
}

int
child_start(struct child *child, const struct options *options, char *const *env, uint64_t now_ms, const char **what)
{
	int theirs[3] = {-1, -1, -1}, error;

	*what = "make pipes for";
	error = pipe_open(&child->in, &theirs[0], true);
	if (error == 0)
		error = pipe_open(&child->out, &theirs[1], false);
	if (error == 0)
		error = pipe_open(&child->err, &theirs[2], false);
	if (error == 0) {
		*what = "start";
		error = spawn(child, options, env, theirs);
	}
	if (error == 0) {
		*what = "watch";
		error = watch_all(child);
		if (error != 0)
			kill_and_wait(child);
	}
	for (int i = 0; i < 3; i++)
		fd_close(&theirs[i]);
	if (error != 0) {
		fd_close(&child->pidfd);
		fd_close(&child->in);
		fd_close(&child->out);
		fd_close(&child->err);
		return error;
	}
	limit(child, RLIMIT_AS, options->max_memory);
	limit(child, RLIMIT_CPU, (options->max_cpu_ms + 999) / 1000);
	limit(child, RLIMIT_NOFILE, options->max_files);
	child->started_ms = now_ms;
	child->given_up = false;
	child->written = 0;
	child->output.len = child->output_at = 0;
	child->input_len = 0;
	child->complaint = child->last = (struct shown){.len = 0};
	return 0;
}

/* ---- Its pipes ------------------------------------------------------------------------------------ */

void
child_close_in(struct child *child)
{
	fd_close(&child->in);
}

void
child_close_out(struct child *child)
{
	fd_close(&child->out);
}

static void
output_tidy(struct child *child)
{
	struct text *output = &child->output;

	if (child->output_at == output->len) {
		output->len = child->output_at = 0;
		if (output->size > KEEP_MAX)
			text_fini(output);
	} else if (child->output_at > output->len / 2) {
		output->len -= child->output_at;
		memmove(output->data, output->data + child->output_at, output->len);
		child->output_at = 0;
	}
}

void
child_write(struct child *child)
{
	while (child->in >= 0 && child_unwritten(child) > 0) {
		ssize_t n = write(child->in, child->output.data + child->output_at, child_unwritten(child));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break; /* it is full, or nobody reads any more: then its end will be told otherwise */
		child->written += (uint64_t)n;
		child->output_at += (size_t)n;
	}
	output_tidy(child);
}

uint64_t
child_consumed(const struct child *child)
{
	int left = 0;

	if (child->in < 0 || ioctl(child->in, FIONREAD, &left) != 0 || left < 0)
		return child->written;
	return child->written - (uint64_t)left;
}

static bool
input_grow(struct child *child, size_t max)
{
	size_t size = child->input_size * 2 > READ_MIN ? child->input_size * 2 : READ_MIN;
	char *grown;

	if (child->input_size - child->input_len >= READ_MIN / 2)
		return true;
	if (size > max + READ_MIN)
		size = max + READ_MIN;
	if (size <= child->input_size)
		return child->input_len < child->input_size;
	grown = realloc(child->input, size);
	if (grown == NULL)
		return false;
	child->input = grown;
	child->input_size = size;
	return true;
}

enum child_read
child_read(struct child *child, size_t max)
{
	ssize_t n;

	if (child->out < 0)
		return CHILD_READ_END;
	if (child->input_len == 0 && child->input_size > KEEP_MAX)
		input_free(child);
	if (!input_grow(child, max))
		return CHILD_READ_END;
	do
		n = read(child->out, child->input + child->input_len, child->input_size - child->input_len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? CHILD_READ_NOTHING : CHILD_READ_END;
	child->input_len += (size_t)n;
	return n > 0 ? CHILD_READ_SOME : CHILD_READ_END;
}

/* ---- What it complains about ------------------------------------------------------------------------- */

void
shown_add(struct shown *shown, const char *bytes, size_t len)
{
	bool text = utf8_is_valid((struct xf_str){bytes, len});

	for (size_t i = 0; i < len && !shown->cut; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (shown->len == CHILD_LINE_MAX) {
			shown->cut = true;
			break;
		}
		shown->text[shown->len++] = (c < ' ' && c != '\t') || c == 0x7f || (c >= 0x80 && !text) ? '?' : (char)c;
	}
	while (shown->cut && shown->len > 0 && !utf8_is_valid((struct xf_str){shown->text, shown->len}))
		shown->len--; /* half a character */
	shown->text[shown->len] = '\0';
}

static void
complaint_log(struct complaints *complaints, const struct shown *shown)
{
	uint64_t now = complaints->host->now_ms();
	char line[CHILD_LINE_MAX + 32];

	if (now - complaints->since_ms >= 1000) {
		if (complaints->muted > 0) {
			snprintf(line, sizeof(line), "stderr: %llu lines were left out", (unsigned long long)complaints->muted);
			complaints->host->log(complaints->endpoint, XF_LOG_INFO, line);
		}
		complaints->since_ms = now;
		complaints->count = 0;
		complaints->muted = 0;
	}
	if (complaints->count == COMPLAINTS_PER_S) {
		complaints->muted++;
		return;
	}
	complaints->count++;
	snprintf(line, sizeof(line), "stderr: %s%s", shown->text, shown->cut ? "..." : "");
	complaints->host->log(complaints->endpoint, XF_LOG_INFO, line);
}

static void
complaint_end(struct child *child, struct complaints *complaints)
{
	if (child->complaint.len == 0)
		return;
	complaint_log(complaints, &child->complaint);
	child->last = child->complaint;
	child->complaint = (struct shown){.len = 0};
}

bool
child_read_errors(struct child *child, struct complaints *complaints)
{
	char bytes[16384];
	ssize_t n = child->err >= 0 ? read(child->err, bytes, sizeof(bytes)) : 0;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return false;
	if (n <= 0) {
		fd_close(&child->err);
		complaint_end(child, complaints);
		return false;
	}
	for (const char *at = bytes, *end = bytes + n; at < end;) {
		const char *feed = memchr(at, '\n', (size_t)(end - at));

		shown_add(&child->complaint, at, (size_t)((feed != NULL ? feed : end) - at));
		if (feed == NULL)
			break;
		complaint_end(child, complaints);
		at = feed + 1;
	}
	return true;
}

/* ---- End ------------------------------------------------------------------------------------------------ */

void
child_signal(struct child *child, int number)
{
	if (child->pid > 0)
		kill(-child->pid, number);
}

bool
child_reap(struct child *child, int *status)
{
	siginfo_t info = {.si_pid = 0};
	pid_t pid;

	if (child->pid == 0 || waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
		return false;
	kill(-child->pid, SIGKILL); /* what it left behind */
	do
		pid = waitpid(child->pid, status, 0);
	while (pid < 0 && errno == EINTR);
	child->pid = 0;
	return true;
}

void
child_end(struct child *child, struct complaints *complaints)
{
	for (int i = 0; i < 64 && child_read_errors(child, complaints); i++)
		;
	complaint_end(child, complaints);
	fd_close(&child->pidfd);
	fd_close(&child->in);
	fd_close(&child->out);
	fd_close(&child->err);
}
