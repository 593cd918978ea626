/*
 * exec - workers in any language: processes that get messages and say what becomes of them.
 *
 * An instance has a slot for each process (worker.h), and all their descriptors are in one epoll. A task goes to the one with the
 * fewest.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "worker.h"

#define EVENTS 64
#define KILLED_MS 1000 /* what the kernel may need to end what was killed */

/* ---- The loop -------------------------------------------------------------------------------------------------- */

static void
event_take(struct exec *exec, const struct epoll_event *event)
{
	struct worker *worker = &exec->workers[event->data.u64 / CHILD_FDS];
	int status = 0;

	switch (event->data.u64 % CHILD_FDS) {
	case CHILD_IN:
		worker_write(exec, worker);
		break;
	case CHILD_OUT:
		worker_read(exec, worker);
		break;
	case CHILD_ERR:
		child_read_errors(&worker->child, &exec->complaints);
		break;
	default:
		if (child_reap(&worker->child, &status))
			worker_ended(exec, worker, status);
	}
}

static void
state_tell(struct exec *exec)
{
	bool up = false;

	for (uint32_t i = 0; i < exec->options.workers && !up; i++)
		up = exec->options.once ? exec->workers[i].failures == 0 : worker_works(exec, &exec->workers[i]);
	if (exec->told && exec->up == up)
		return;
	if (!up && exec->reason[0] == '\0')
		return; /* it has only begun */
	exec->told = true;
	exec->up = up;
	exec->host->state(exec->endpoint, up ? XF_STATE_UP : XF_STATE_DOWN, up ? NULL : exec->reason);
}

static void
exec_work(void *instance, struct xf_work *work)
{
	struct exec *exec = instance;
	struct epoll_event events[EVENTS];
	int count = epoll_wait(exec->epoll, events, EVENTS, 0);

	exec->now = exec->host->now_ms();
	for (int i = 0; i < count; i++)
		event_take(exec, &events[i]);
	work->fd = exec->epoll;
	work->events = POLLIN;
	for (uint32_t i = 0; i < exec->options.workers; i++) {
		struct worker *worker = &exec->workers[i];

		worker_follow(exec, worker);
		worker_due(exec, worker, &work->timeout_ms);
		work->room += worker_room(exec, worker);
	}
	state_tell(exec);
}

/* The one with the most room; NULL: none has any. */
static struct worker *
worker_choose(struct exec *exec)
{
	struct worker *best = NULL;
	uint32_t most = 0;

	for (uint32_t i = 0; i < exec->options.workers; i++) {
		uint32_t room = worker_room(exec, &exec->workers[i]);

		if (room > most) {
			best = &exec->workers[i];
			most = room;
		}
	}
	return best;
}

static uint32_t
exec_process(void *instance, const struct xf_task *tasks, uint32_t stride, uint32_t count)
{
	struct exec *exec = instance;
	uint32_t taken;

	for (taken = 0; taken < count; taken++) {
		const struct xf_task *task = (const void *)((const char *)tasks + (size_t)taken * stride);
		struct worker *worker = worker_choose(exec);

		if (worker == NULL || !worker_give(exec, worker, task))
			break;
	}
	for (uint32_t i = 0; i < exec->options.workers; i++)
		worker_write(exec, &exec->workers[i]);
	if (taken < count)
		exec->host->wake(exec->endpoint); /* it may be that none could be started */
	return taken;
}

static void
exec_cancel(void *instance, uint64_t token)
{
	struct exec *exec = instance;

	for (uint32_t i = 0; i < exec->options.workers; i++)
		if (worker_cancel(exec, &exec->workers[i], token))
			return;
}

/* ---- Life ---------------------------------------------------------------------------------------------------------- */

/* Until all have ended, or the time is over. */
static bool
stop_wait(struct exec *exec, uint64_t milliseconds)
{
	uint64_t now = exec->host->now_ms(), until = now + milliseconds;
	struct epoll_event events[EVENTS];
	uint32_t left;

	for (;; now = exec->host->now_ms()) {
		left = 0;
		for (uint32_t i = 0; i < exec->options.workers; i++) {
			struct child *child = &exec->workers[i].child;
			int status;

			child_read_errors(child, &exec->complaints);
			if (child_reap(child, &status))
				child_end(child, &exec->complaints);
			left += child->pid > 0;
		}
		if (left == 0 || now >= until)
			return left == 0;
		epoll_wait(exec->epoll, events, EVENTS, (int)(until - now));
	}
}

static void
exec_stop(void *instance)
{
	struct exec *exec = instance;
	uint32_t half = exec->options.stop_timeout_ms / 2;

	for (uint32_t i = 0; i < exec->options.workers; i++) {
		child_close_in(&exec->workers[i].child);
		child_close_out(&exec->workers[i].child);
	}
	if (stop_wait(exec, half))
		return;
	for (uint32_t i = 0; i < exec->options.workers; i++)
		child_signal(&exec->workers[i].child, SIGTERM);
	if (stop_wait(exec, exec->options.stop_timeout_ms - half))
		return;
	for (uint32_t i = 0; i < exec->options.workers; i++)
		child_signal(&exec->workers[i].child, SIGKILL);
	stop_wait(exec, KILLED_MS);
	for (uint32_t i = 0; i < exec->options.workers; i++)
		child_end(&exec->workers[i].child, &exec->complaints);
}

static void
exec_destroy(void *instance)
{
	struct exec *exec = instance;

	for (uint32_t i = 0; exec->workers != NULL && i < exec->options.workers; i++) {
		child_fini(&exec->workers[i].child);
		free(exec->workers[i].held);
	}
	free(exec->workers);
	if (exec->epoll >= 0)
		close(exec->epoll);
	options_fini(&exec->options);
	free(exec);
}

static bool
workers_make(struct exec *exec)
{
	exec->workers = calloc(exec->options.workers, sizeof(*exec->workers));
	if (exec->workers == NULL)
		return false;
	for (uint32_t i = 0; i < exec->options.workers; i++) {
		child_init(&exec->workers[i].child, i, exec->epoll);
		exec->workers[i].held = calloc((size_t)exec->options.pipeline * 2, sizeof(*exec->workers[i].held));
		if (exec->workers[i].held == NULL)
			return false;
	}
	return true;
}

static int32_t
exec_create(const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *config,
            const struct xf_handler_info *info, void **instance, struct xf_error *error)
{
	struct exec *exec = calloc(1, sizeof(*exec));

	if (exec == NULL || !options_init(&exec->options, host, config, info)) {
		free(exec);
		snprintf(error->text, sizeof(error->text), "no memory");
		return -1;
	}
	exec->host = host;
	exec->endpoint = endpoint;
	exec->complaints = (struct complaints){.host = host, .endpoint = endpoint};
	exec->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (exec->epoll < 0 || !workers_make(exec)) {
		snprintf(error->text, sizeof(error->text), "%s", exec->epoll < 0 ? strerror(errno) : "no memory");
		exec_destroy(exec);
		return -1;
	}
	*instance = exec;
	return 0;
}

static int32_t
exec_check(const struct xf_host *host, const struct xf_config *config, const struct xf_handler_info *info,
           struct xf_error *error)
{
	(void)info;
	return options_check(host, config, error);
}

static const struct xf_handler_ops exec_ops = {
	.struct_size = sizeof(exec_ops),
	.check = exec_check,
	.create = exec_create,
	.work = exec_work,
	.process = exec_process,
	.cancel = exec_cancel,
	.stop = exec_stop,
	.destroy = exec_destroy,
};

static const struct xf_handler_class exec_class = {
	.head = {
		.struct_size = sizeof(exec_class),
		.kind = XF_KIND_HANDLER,
		.name = "exec",
		.summary = "Has processes of yours, in any language, work on messages",
	},
	.options = option_rows,
	.ops = &exec_ops,
};

const struct xf_entry *
xf_plugin_entry_v1(void)
{
	static const struct xf_class *const classes[] = {&exec_class.head, NULL};
	static const struct xf_entry entry = {
		XF_ENTRY_HEAD,
		.id = "org.crossfade.exec",
		.version = XF_VERSION,
		.licence = "Apache-2.0",
		.url = "",
		.classes = classes,
	};

	return &entry;
}
