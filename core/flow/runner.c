#include "flow/runner.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/resource.h"

static const char *const state_words[] = {"down", "up", "blocked"};

/* Waits for the plugin's descriptor, the bell or the time; returns the events of the descriptor. */
static uint32_t
runner_wait(struct xf_runner *runner, const struct xf_work *work, bool busy)
{
	struct pollfd fds[2] = {
		{.fd = work->fd, .events = (short)work->events},
		{.fd = runner->inbox.bell, .events = POLLIN},
	};

	if (busy || work->timeout_ms == 0 || !xf_inbox_sleep(&runner->inbox)) {
		if (work->fd >= 0)
			poll(fds, 1, 0);
	} else {
		poll(fds, 2, work->timeout_ms > 60000 ? 60000 : (int)work->timeout_ms);
		xf_inbox_awake(&runner->inbox);
	}
	return work->fd >= 0 ? (uint32_t)(unsigned short)fds[0].revents : 0;
}

/* Waits until there is something to do, or nothing any more: then false. */
static bool
runner_begins(struct xf_runner *runner)
{
	struct pollfd bell = {.fd = runner->inbox.bell, .events = POLLIN};

	while (!atomic_load(&runner->started) && !atomic_load(&runner->stopping)) {
		if (!xf_inbox_sleep(&runner->inbox))
			continue;
		poll(&bell, 1, -1);
		xf_inbox_awake(&runner->inbox);
	}
	return atomic_load(&runner->started);
}

static void *
runner_main(void *argument)
{
	struct xf_runner *runner = argument;
	uint32_t ready = 0;

	if (!runner_begins(runner))
		return NULL;
	atomic_store_explicit(&runner->turn_ms, xf_now_ms(), memory_order_relaxed);
	runner->ops->start(runner);
	while (!atomic_load_explicit(&runner->stopping, memory_order_relaxed)) {
		struct xf_work work = {.struct_size = sizeof(work), .ready = ready, .fd = -1, .timeout_ms = 1000};
		bool busy;

		if (atomic_load_explicit(&runner->called, memory_order_relaxed))
			atomic_store(&runner->called, false);
		atomic_store_explicit(&runner->turn_ms, xf_now_ms(), memory_order_relaxed);
		busy = runner->ops->turn(runner, &work);
		atomic_store_explicit(&runner->turn_ms, 0, memory_order_relaxed);
		ready = runner_wait(runner, &work, busy);
	}
	runner->ops->stop(runner);
	atomic_store(&runner->ended, true);
	return NULL;
}

static enum xf_status
thread_make(struct xf_runner *runner, struct xf_error *error)
{
	size_t len = strlen(runner->name);
	char shown[16];

	if (xf_thread_create(&runner->thread, runner_main, runner, error) != XF_OK)
		return XF_FAILED;
	runner->has_thread = true;
	snprintf(shown, sizeof(shown), "%s", len < sizeof(shown) ? runner->name : runner->name + len - sizeof(shown) + 1);
	pthread_setname_np(runner->thread, shown);
	return XF_OK;
}

enum xf_status
xf_runner_init(struct xf_runner *runner, const struct xf_runner_ops *ops, const struct xf_endpoint_calls *calls,
               char *name, const struct xf_conf_endpoint *conf, bool late, struct xf_error *error)
{
	runner->endpoint = (struct xf_endpoint){calls, name};
	runner->ops = ops;
	runner->name = name;
	runner->conf = conf;
	snprintf(runner->reason, sizeof(runner->reason), "not connected yet");
	if (xf_inbox_init(&runner->inbox, error) != XF_OK)
		goto free_name;
	pthread_mutex_init(&runner->reason_lock, NULL);
	if (!late && thread_make(runner, error) != XF_OK)
		goto close_inbox;
	return XF_OK;

close_inbox:
	pthread_mutex_destroy(&runner->reason_lock);
	xf_inbox_fini(&runner->inbox);
free_name:
	xf_error_prefix(error, "'%s'", name);
	free(name);
	return XF_FAILED;
}

void
xf_runner_fini(struct xf_runner *runner)
{
	XF_ASSERT(!runner->running);
	if (!atomic_load(&runner->started)) {
		xf_runner_end(runner);
		if (runner->has_thread)
			pthread_join(runner->thread, NULL);
	}
	xf_inbox_fini(&runner->inbox);
	pthread_mutex_destroy(&runner->reason_lock);
	free(runner->name);
}

void
xf_runner_start(struct xf_runner *runner)
{
	runner->running = true;
	atomic_store(&runner->started, true);
	xf_inbox_ring(&runner->inbox);
}

enum xf_status
xf_runner_start_late(struct xf_runner *runner, struct xf_error *error)
{
	if (!runner->has_thread && thread_make(runner, error) != XF_OK) {
		xf_error_prefix(error, "'%s'", runner->name);
		return XF_FAILED;
	}
	xf_runner_start(runner);
	return XF_OK;
}

bool
xf_runner_has_started(const struct xf_runner *runner)
{
	return atomic_load(&runner->started);
}

void
xf_runner_call(struct xf_runner *runner)
{
	atomic_store(&runner->called, atomic_load(&runner->running));
	xf_inbox_ring(&runner->inbox);
}

bool
xf_runner_answered(const struct xf_runner *runner)
{
	return !atomic_load(&runner->called);
}

void
xf_runner_end(struct xf_runner *runner)
{
	atomic_store(&runner->stopping, true);
	xf_inbox_ring(&runner->inbox);
}

bool
xf_runner_ended(struct xf_runner *runner)
{
	if (!runner->running || !atomic_load(&runner->stopping))
		return true;
	if (!atomic_load(&runner->ended))
		return false;
	xf_runner_stop(runner);
	return true;
}

void
xf_runner_stop(struct xf_runner *runner)
{
	if (!runner->running)
		return;
	xf_runner_end(runner);
	pthread_join(runner->thread, NULL);
	runner->running = false;
}

bool
xf_runner_state(struct xf_runner *runner, uint32_t state, const char *reason)
{
	uint32_t before = atomic_load_explicit(&runner->state, memory_order_relaxed);
	bool first = !atomic_load_explicit(&runner->was_up, memory_order_relaxed);
	bool news;

	if (state > XF_STATE_BLOCKED) {
		xf_runner_violation(runner, "reported an unknown state");
		return false;
	}
	if (reason == NULL)
		reason = "";
	pthread_mutex_lock(&runner->reason_lock);
	news = strncmp(runner->reason, reason, sizeof(runner->reason) - 1) != 0;
	snprintf(runner->reason, sizeof(runner->reason), "%s", reason);
	pthread_mutex_unlock(&runner->reason_lock);
	if (state == before && !news)
		return false;
	if (state != XF_STATE_DOWN && before == XF_STATE_DOWN) {
		atomic_store(&runner->was_up, true);
		if (!first)
			xf_count(&runner->reconnects, 1);
	}
	atomic_store(&runner->state, state);
	xf_log(state == XF_STATE_UP ? XF_LOG_INFO : XF_LOG_WARN, runner->name, "%s%s%s", state_words[state],
	       *reason ? ": " : "", reason);
	return state != before;
}

void
xf_runner_watch(struct xf_runner *runner)
{
	uint64_t since = atomic_load_explicit(&runner->turn_ms, memory_order_relaxed);
	bool hangs = since != 0 && since + XF_HANGS_MS <= xf_now_ms() && atomic_load(&runner->state) == XF_STATE_UP;

	if (hangs == atomic_load_explicit(&runner->hangs, memory_order_relaxed))
		return;
	atomic_store_explicit(&runner->hangs, hangs, memory_order_relaxed);
	if (hangs)
		xf_log(XF_LOG_ERROR, runner->name, "plugin '%s' does not come back from a call; it has the thread for %d s now",
		       runner->conf->transport->plugin, XF_HANGS_MS / 1000);
	else
		xf_log(XF_LOG_WARN, runner->name, "plugin '%s' has come back", runner->conf->transport->plugin);
}

void
xf_runner_sight(struct xf_endpoint *endpoint, const struct xf_sight *sight)
{
	struct xf_runner *runner = (struct xf_runner *)endpoint;

	pthread_mutex_lock(&runner->reason_lock);
	runner->sight = *sight;
	runner->sight_ms = xf_now_ms();
	pthread_mutex_unlock(&runner->reason_lock);
}

void
xf_runner_wake(struct xf_endpoint *endpoint)
{
	xf_inbox_ring(&((struct xf_runner *)endpoint)->inbox);
}

void
xf_runner_violation(struct xf_runner *runner, const char *what)
{
	if (atomic_fetch_add(&runner->violations, 1) == 0)
		xf_log(XF_LOG_ERROR, runner->name, "plugin '%s' %s; ignored, and counted from now on",
		       runner->conf->transport->plugin, what);
}

void
xf_runner_status(struct xf_runner *runner, struct xf_endpoint_status *status)
{
	status->name = runner->name;
	status->transport = runner->conf->transport->name;
	status->plugin = runner->conf->transport->plugin;
	status->subject = runner->conf->shown != NULL ? runner->conf->shown : runner->conf->subject;
	status->state = atomic_load(&runner->state);
	status->was_up = atomic_load(&runner->was_up);
	status->reconnects = atomic_load(&runner->reconnects);
	status->violations = atomic_load(&runner->violations);
	pthread_mutex_lock(&runner->reason_lock);
	memcpy(status->reason, runner->reason, sizeof(status->reason));
	status->sight = runner->sight;
	status->sight_age_ms = runner->sight_ms != 0 ? xf_now_ms() - runner->sight_ms : 0;
	pthread_mutex_unlock(&runner->reason_lock);
	if (status->state == XF_STATE_UP && atomic_load_explicit(&runner->hangs, memory_order_relaxed)) {
		status->state = XF_STATE_BLOCKED;
		snprintf(status->reason, sizeof(status->reason), "the plugin does not come back from a call");
	}
}
