/*
 * worker.h - a slot for a process, and the tasks that it has.
 *
 * With mode lines its process stays, and has up to `pipeline` tasks, oldest first. With mode once it gets a process when it gets a task.
 *
 * What ends with tasks out gives them back. Of those the oldest is taken for the cause, if the process has read any of it: it FAILs. The
 * others are as good as they were, LATER. What the process has printed before it ended counts first.
 *
 * A process that ends without ever having answered, soon after it began, cannot do its work: it is started again after pauses that double,
 * and gets nothing until it has run for a while.
 */
#ifndef EXEC_WORKER_H
#define EXEC_WORKER_H

#include "child.h"

struct held {
	uint64_t token;
	const struct xf_incoming *message;
	uint64_t begin; /* how much its process was to read before it */
};

struct worker {
	struct child child; /* first */
	struct held *held;  /* oldest first, from `first` on */
	uint32_t first, count;
	uint64_t queued; /* bytes since the process started */
	size_t scanned;  /* of the input: no line feed in it */
	bool answered;
	uint32_t failures; /* starts, one after the other, of which nothing came */
	uint64_t start_at;
	uint64_t silent_at; /* its output ended then; 0: it did not */
};

struct exec {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct options options;
	struct complaints complaints;
	int epoll;
	struct worker *workers;
	uint64_t now;
	bool told, up; /* the state as last told */
	char reason[CHILD_LINE_MAX + 160]; /* why the last process ended, or was not started */
};

/* Between two tasks: starts what is to be started, and stops what does not end. */
void worker_follow(struct exec *exec, struct worker *worker);
/* TIMEOUT_MS becomes less where it has to be followed earlier. */
void worker_due(const struct exec *exec, const struct worker *worker, uint32_t *timeout_ms);

/* It runs, and may have tasks. */
bool worker_works(const struct exec *exec, const struct worker *worker);
/* How many it would take. */
uint32_t worker_room(const struct exec *exec, const struct worker *worker);

/* TASK is its, or finished; worker_write() has it sent. False: it could not be taken. */
bool worker_give(struct exec *exec, struct worker *worker, const struct xf_task *task);
void worker_write(struct exec *exec, struct worker *worker);
/* What it has printed, once. False: for now there is no more. */
bool worker_read(struct exec *exec, struct worker *worker);
/* False: it does not have it. */
bool worker_cancel(struct exec *exec, struct worker *worker, uint64_t token);
/* Its process has ended. */
void worker_ended(struct exec *exec, struct worker *worker, int status);

#endif
