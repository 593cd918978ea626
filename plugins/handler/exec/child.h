/*
 * child.h - one process: its start, its three pipes, its end.
 *
 * It leads a process group of its own, and whatever ends it ends the group. Nothing here blocks: what it does not read yet waits in
 * `output`, and what it has printed gathers in `input`.
 *
 * Threads: that of the handler.
 */
#ifndef EXEC_CHILD_H
#define EXEC_CHILD_H

#include <sys/types.h>

#include "options.h"
#include "text.h"

#define CHILD_LINE_MAX 400

/* Lines of standard error on their way to the log, of all children of an instance. */
struct complaints {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	uint64_t since_ms; /* of the second that is counted */
	uint32_t count;
	uint64_t muted;
};

/* A line of what a process printed, as a log or a reason may show it. */
struct shown {
	char text[CHILD_LINE_MAX + 1];
	size_t len;
	bool cut;
};

struct child {
	uint32_t index;
	pid_t pid; /* 0: none */
	int pidfd, in, out, err; /* -1: closed; as the child calls them */
	int epoll;
	bool given_up; /* killed, and only to be waited for */
	uint64_t started_ms;

	struct text output;
	size_t output_at;  /* of it so much is written */
	uint64_t written;  /* since it started */
	char *input;
	size_t input_len, input_size;

	struct shown complaint, last; /* the line that it is writing to standard error, and the last whole one */
};

/* Which of its descriptors an event is about; `child->index * CHILD_FDS + which` is what epoll is told. */
enum { CHILD_IN, CHILD_OUT, CHILD_ERR, CHILD_PID, CHILD_FDS };

void child_init(struct child *child, uint32_t index, int epoll);
void child_fini(struct child *child);

/* 0, or an errno. Then it runs, and WHAT says what could not be done. */
int child_start(struct child *child, const struct options *options, char *const *env, uint64_t now_ms, const char **what);

/* Writes of `output` what it takes. */
void child_write(struct child *child);
static inline size_t
child_unwritten(const struct child *child)
{
	return child->output.len - child->output_at;
}
void child_close_in(struct child *child);
void child_close_out(struct child *child);

/* How many bytes it has read since it started. */
uint64_t child_consumed(const struct child *child);

enum child_read { CHILD_READ_SOME, CHILD_READ_NOTHING, CHILD_READ_END };
/* Once, behind what is in `input`, which may grow to about MAX. */
enum child_read child_read(struct child *child, size_t max);
/* Once; lines go to the log. False: there was nothing. */
bool child_read_errors(struct child *child, struct complaints *complaints);

void child_signal(struct child *child, int number);

/* False: it runs. Else it is gone, and with it its group, STATUS is waitpid's; its output can still be read. */
bool child_reap(struct child *child, int *status);
/* After that: closes everything. */
void child_end(struct child *child, struct complaints *complaints);

/* BYTES without what a terminal or a log would stumble over. */
void shown_add(struct shown *shown, const char *bytes, size_t len);

#endif
