/*
 * A token is found in the slots by its remainder, as in a sink (sink.c): whoever empties the slot with a compare-and-swap has the
 * job. So a plugin that finishes what was cancelled, or finishes twice, finds another token there.
 *
 * What an instance with a thread is given waits in its inbox, then in a list, until its plugin has room.
 */
#include "flow/handler.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/str.h"
#include "flow/chain.h"
#include "flow/message.h"

#define SLOTS 16384 /* twice what is ever out, so a free one is near */
#define OUT_MAX (SLOTS / 2)
#define BATCH 256
#define MADE_MAX 4096 /* of one message */
#define FULL_RETRY_MS 10

struct slot {
	_Atomic uint64_t token; /* 0: free */
	_Atomic(struct xf_job *) job;
};

/* What became of a message that it passed on. */
struct told {
	struct told *next;
	uint64_t token;
	struct xf_incoming *message; /* NULL: none */
	uint32_t code;
};

struct xf_handler {
	struct xf_runner runner; /* first; where there is no work() its endpoint alone is used */
	const struct xf_conf_handler *conf;
	const struct xf_handler_ops *ops;
	struct xf_handler_info info;
	struct xf_conf_transport shown; /* what a runner says of itself */
	struct xf_conf_endpoint endpoint_conf;
	pthread_mutex_t call_lock; /* without a thread: one call to the plugin at a time */
	void *instance;
	bool started;

	uint64_t token;
	struct slot *slots;
	_Atomic uint32_t out;
	_Atomic bool stopped; /* its thread looks into the inbox no more: whoever gives takes it back */
	struct xf_job *queue_first, *queue_last; /* those the plugin has no room for; the thread's */
	struct xf_task tasks[BATCH];
	_Atomic(struct told *) told; /* what became of what it passed on, the newest first; for its thread */

	pthread_mutex_t cancel_lock; /* guards the next */
	uint64_t *cancels;
	size_t cancel_count, cancel_size;
	_Atomic bool cancel_any; /* there are some, or jobs of the queue want to go back */

	/* for others to read; several threads write them */
	_Atomic uint64_t taken, codes[XF_OUTCOME_DONE + 1], cancelled, violations;
};

/* ---- Slots ----------------------------------------------------------------------------------- */

static uint64_t
slot_fill(struct xf_handler *handler, struct xf_job *job)
{
	struct slot *slot;

	do {
		handler->token++;
		slot = &handler->slots[handler->token % SLOTS];
	} while (handler->token == 0 || atomic_load_explicit(&slot->token, memory_order_acquire) != 0);
	atomic_store_explicit(&slot->job, job, memory_order_relaxed);
	atomic_store(&job->token, handler->token);
	atomic_fetch_add(&handler->out, 1);
	atomic_store_explicit(&slot->token, handler->token, memory_order_release);
	return handler->token;
}

/* NULL: it is not out. */
static struct xf_job *
slot_empty(struct xf_handler *handler, uint64_t token)
{
	struct slot *slot = &handler->slots[token % SLOTS];
	struct xf_job *job = atomic_load_explicit(&slot->job, memory_order_relaxed);
	uint64_t expected = token;

	if (token == 0 || atomic_load_explicit(&slot->token, memory_order_acquire) != token)
		return NULL;
	job = atomic_load_explicit(&slot->job, memory_order_relaxed);
	if (!atomic_compare_exchange_strong(&slot->token, &expected, 0))
		return NULL;
	atomic_fetch_sub(&handler->out, 1);
	return job;
}

/* ---- What the plugin says ----------------------------------------------------------------------- */

static void
violation(struct xf_handler *handler, const char *what)
{
	if (atomic_fetch_add(&handler->violations, 1) == 0)
		xf_log(XF_LOG_ERROR, handler->conf->name, "plugin '%s' %s; ignored, and counted from now on",
		       handler->conf->plugin, what);
}

static void
job_return(struct xf_handler *handler, struct xf_job *job, uint32_t code, const char *reason)
{
	job->code = code;
	if (reason != NULL)
		job->reason = xf_strdup(reason);
	if (code == XF_OUTCOME_CANCELLED)
		atomic_fetch_add_explicit(&handler->cancelled, 1, memory_order_relaxed);
	else
		atomic_fetch_add_explicit(&handler->codes[code], 1, memory_order_relaxed);
	xf_chain_back(job);
}

/* Of an older plugin: what it does not know is zero. */
static void
outcome_read(const struct xf_outcome *outcome, uint32_t stride, struct xf_outcome *whole)
{
	memset(whole, 0, sizeof(*whole));
	memcpy(whole, outcome, stride < sizeof(*whole) ? stride : sizeof(*whole));
}

static bool
header_is(const struct xf_header *header, const char *name)
{
	return xf_str_equal_nocase(header->name, xf_str(name));
}

/* Those of MESSAGE that it may say by itself: its id and key are told by their fields; how often it has passed a server is known here. */
static uint32_t
headers_fill(const struct xf_incoming *message, const struct xf_incoming *from, struct xf_header *headers)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < message->header_count; i++)
		if (!header_is(&message->headers[i], "Crossfade-Id") && !header_is(&message->headers[i], "Crossfade-Key") &&
		    !header_is(&message->headers[i], "Crossfade-Hops"))
			headers[count++] = message->headers[i];
	for (uint32_t i = 0; i < from->header_count; i++)
		if (header_is(&from->headers[i], "Crossfade-Hops"))
			headers[count++] = from->headers[i];
	return count;
}

/* Number INDEX of COUNT messages that JOB became. One that came without an id gets the task's; of several each one of its own, the same
 * whenever they are made again. */
static struct xf_incoming *
made_copy(const struct xf_job *job, const struct xf_outcome *outcome, uint32_t index, uint32_t count)
{
	const struct xf_incoming *from = &job->message;
	struct xf_incoming message = {.handle = 0}, *copy;
	struct xf_header *headers;
	char *id = NULL;

	memcpy(&message, (const char *)outcome->messages + (size_t)index * outcome->stride,
	       outcome->stride < sizeof(message) ? outcome->stride : sizeof(message));
	if (message.id.len == 0 && count > 1) {
		id = xf_format("%.*s/%u", (int)from->id.len, from->id.data, index + 1);
		message.id = xf_str(id);
	} else if (message.id.len == 0)
		message.id = from->id;
	headers = xf_alloc_array(message.header_count + from->header_count, sizeof(*headers));
	message.header_count = headers_fill(&message, from, headers);
	message.headers = headers;
	copy = xf_message_copy(&message);
	free(headers);
	free(id);
	return copy;
}

static void
made_take(struct xf_handler *handler, struct xf_job *job, const struct xf_outcome *outcome)
{
	uint32_t count = outcome->count;

	if (count > MADE_MAX) {
		violation(handler, "made more than 4096 messages of one");
		count = MADE_MAX;
	}
	job->made = xf_alloc_array(count, sizeof(*job->made));
	job->made_count = count;
	for (uint32_t i = 0; i < count; i++)
		job->made[i] = made_copy(job, outcome, i, count);
}

static void
outcome_take(struct xf_handler *handler, const struct xf_outcome *outcome)
{
	bool full = atomic_load(&handler->out) >= OUT_MAX;
	struct xf_job *job = slot_empty(handler, outcome->token);
	uint32_t code = outcome->code;

	if (job == NULL) {
		/* What was cancelled may be finished all the same: it did not know. */
		if (atomic_load_explicit(&handler->cancelled, memory_order_relaxed) == 0)
			violation(handler, "finished a task that it does not have");
		return;
	}
	if (code < XF_OUTCOME_PASS || code > XF_OUTCOME_DONE) {
		violation(handler, "finished a task with an outcome that is none");
		code = XF_OUTCOME_FAIL;
	}
	if (outcome->count > 0 && (code == XF_OUTCOME_PASS || code == XF_OUTCOME_DONE))
		made_take(handler, job, outcome);
	job->delay_ms = outcome->delay_ms;
	job->status = outcome->status >= 400 && outcome->status <= 599 ? outcome->status : 0;
	job->followed = (outcome->flags & XF_OUTCOME_FOLLOWED) && handler->ops->settled != NULL;
	job->said_by = outcome->token;
	if (outcome->reason.len > 0)
		job->reason = xf_strndup(outcome->reason.data, outcome->reason.len);
	job_return(handler, job, code, NULL);
	if (full && handler->ops->work != NULL)
		xf_inbox_ring(&handler->runner.inbox);
}

static void
handler_finish(struct xf_endpoint *endpoint, const struct xf_outcome *outcomes, uint32_t stride, uint32_t count)
{
	struct xf_handler *handler = (struct xf_handler *)endpoint;

	for (uint32_t i = 0; i < count; i++) {
		struct xf_outcome outcome;

		outcome_read((const void *)((const char *)outcomes + (size_t)i * stride), stride, &outcome);
		outcome_take(handler, &outcome);
	}
}

static void
handler_wake(struct xf_endpoint *endpoint)
{
	struct xf_handler *handler = (struct xf_handler *)endpoint;

	if (handler->ops->work != NULL)
		xf_runner_wake(endpoint);
}

static void
handler_state(struct xf_endpoint *endpoint, uint32_t state, const char *reason)
{
	struct xf_handler *handler = (struct xf_handler *)endpoint;

	if (handler->ops->work != NULL)
		xf_runner_state(&handler->runner, state, reason);
}

static uint32_t
handler_emit(struct xf_endpoint *endpoint, const struct xf_incoming *messages, uint32_t stride, uint32_t count)
{
	(void)messages, (void)stride, (void)count;
	violation((struct xf_handler *)endpoint, "emitted from a handler");
	return 0;
}

static void
handler_complete(struct xf_endpoint *endpoint, const struct xf_result *results, uint32_t count)
{
	(void)results, (void)count;
	violation((struct xf_handler *)endpoint, "completed from a handler");
}

static void
handler_settle_within(struct xf_endpoint *endpoint, uint32_t milliseconds)
{
	(void)milliseconds;
	violation((struct xf_handler *)endpoint, "set a time to settle from a handler");
}

static void
handler_sight(struct xf_endpoint *endpoint, const struct xf_sight *sight)
{
	(void)sight;
	violation((struct xf_handler *)endpoint, "reported a sight from a handler");
}

static const struct xf_endpoint_calls handler_calls = {
	.wake = handler_wake,
	.state = handler_state,
	.emit = handler_emit,
	.complete = handler_complete,
	.settle_within = handler_settle_within,
	.sight = handler_sight,
	.finish = handler_finish,
};

/* ---- Without a thread ----------------------------------------------------------------------------- */

static struct xf_task
task_of(const struct xf_job *job)
{
	return (struct xf_task){
		.message = &job->message,
		.message_size = sizeof(job->message),
		.flags = job->asked && !job->replied ? XF_TASK_ASKED : 0,
	};
}

static void
give_here(struct xf_handler *handler, struct xf_job *job)
{
	struct xf_task task = task_of(job);
	bool took;

	if (atomic_load(&handler->out) >= OUT_MAX) {
		job->delay_ms = FULL_RETRY_MS;
		job_return(handler, job, XF_OUTCOME_LATER, "it has as many messages as it can have");
		return;
	}
	pthread_mutex_lock(&handler->call_lock);
	task.token = slot_fill(handler, job);
	took = handler->ops->process(handler->instance, &task, sizeof(task), 1) == 1;
	pthread_mutex_unlock(&handler->call_lock);
	if ((took && handler->conf->holds) || slot_empty(handler, task.token) == NULL)
		return;
	violation(handler, took ? "did not finish a task" : "did not take a task");
	job_return(handler, job, XF_OUTCOME_FAIL, "it did not say what became of the message");
}

static void
cancel_here(struct xf_handler *handler, uint64_t token)
{
	struct xf_job *job = slot_empty(handler, token);

	if (job == NULL)
		return;
	if (handler->ops->cancel != NULL) {
		pthread_mutex_lock(&handler->call_lock);
		handler->ops->cancel(handler->instance, token);
		pthread_mutex_unlock(&handler->call_lock);
	}
	job_return(handler, job, XF_OUTCOME_CANCELLED, NULL);
}

/* ---- The thread -------------------------------------------------------------------------------------- */

static void
queue_take_inbox(struct xf_handler *handler)
{
	struct xf_node *first = xf_inbox_take(&handler->runner.inbox);

	if (first == NULL)
		return;
	if (handler->queue_last != NULL)
		handler->queue_last->node.next = first;
	else
		handler->queue_first = (struct xf_job *)first;
	handler->queue_last = (struct xf_job *)first->last;
}

static void
token_cancel(struct xf_handler *handler, uint64_t token)
{
	struct xf_job *job = slot_empty(handler, token);

	if (job == NULL)
		return;
	if (handler->ops->cancel != NULL)
		handler->ops->cancel(handler->instance, token);
	job_return(handler, job, XF_OUTCOME_CANCELLED, NULL);
}

/* Those of the queue that are to go back, or all of them. */
static void
queue_cancel(struct xf_handler *handler, bool all)
{
	struct xf_job *job = handler->queue_first, *next;

	handler->queue_first = handler->queue_last = NULL;
	for (; job != NULL; job = next) {
		next = (struct xf_job *)job->node.next;
		if (all || atomic_load(&job->cancel)) {
			job_return(handler, job, XF_OUTCOME_CANCELLED, NULL);
			continue;
		}
		job->node.next = NULL;
		if (handler->queue_last != NULL)
			handler->queue_last->node.next = &job->node;
		else
			handler->queue_first = job;
		handler->queue_last = job;
	}
}

static void
cancels_follow(struct xf_handler *handler)
{
	uint64_t *tokens;
	size_t count;

	if (!atomic_load_explicit(&handler->cancel_any, memory_order_relaxed))
		return;
	atomic_store(&handler->cancel_any, false);
	queue_cancel(handler, false);
	pthread_mutex_lock(&handler->cancel_lock);
	tokens = handler->cancels;
	count = handler->cancel_count;
	handler->cancels = NULL;
	handler->cancel_count = handler->cancel_size = 0;
	pthread_mutex_unlock(&handler->cancel_lock);
	for (size_t i = 0; i < count; i++)
		token_cancel(handler, tokens[i]);
	free(tokens);
}

/* The plugin gets up to ROOM of what waits, and this says how many it took. What it did not take has had its token for a moment, and
 * loses it. */
static uint32_t
queue_offer(struct xf_handler *handler, uint32_t room)
{
	uint32_t count = 0, taken, free_slots = OUT_MAX - atomic_load(&handler->out);

	if (room > free_slots)
		room = free_slots;
	while (handler->queue_first != NULL && count < room && count < BATCH) {
		struct xf_job *job = handler->queue_first; /* it may be gone when the call returns */
		struct xf_task task = task_of(job);

		handler->queue_first = (struct xf_job *)job->node.next;
		if (handler->queue_first == NULL)
			handler->queue_last = NULL;
		task.token = slot_fill(handler, job);
		if (!atomic_load(&job->cancel))
			handler->tasks[count++] = task;
		else if (slot_empty(handler, task.token) != NULL)
			job_return(handler, job, XF_OUTCOME_CANCELLED, NULL);
	}
	if (count == 0)
		return 0;
	taken = handler->ops->process(handler->instance, handler->tasks, sizeof(handler->tasks[0]), count);
	if (taken > count)
		taken = count;
	for (uint32_t i = count; i > taken; i--) {
		struct xf_job *back = slot_empty(handler, handler->tasks[i - 1].token);

		if (back == NULL) {
			violation(handler, "finished a task that it did not take");
			continue;
		}
		atomic_store(&back->token, 0);
		back->node.next = handler->queue_first != NULL ? &handler->queue_first->node : NULL;
		handler->queue_first = back;
		if (handler->queue_last == NULL)
			handler->queue_last = back;
	}
	return taken;
}

/* In the order in which they were told. */
static void
told_take(struct xf_handler *handler)
{
	struct told *told = atomic_exchange(&handler->told, NULL), *first = NULL, *next;

	for (; told != NULL; told = next) {
		next = told->next;
		told->next = first;
		first = told;
	}
	while (first != NULL) {
		struct xf_settled batch[BATCH];
		struct told *at = first;
		uint32_t count = 0;

		for (; at != NULL && count < BATCH; at = at->next)
			batch[count++] = (struct xf_settled){at->token, at->code, sizeof(*at->message), at->message};
		handler->ops->settled(handler->instance, batch, sizeof(batch[0]), count);
		while (first != at) {
			next = first->next;
			free(first->message);
			free(first);
			first = next;
		}
	}
}

static void
thread_start(struct xf_runner *runner)
{
	struct xf_handler *handler = (struct xf_handler *)runner;

	if (handler->ops->start != NULL)
		handler->ops->start(handler->instance);
}

static bool
thread_turn(struct xf_runner *runner, struct xf_work *work)
{
	struct xf_handler *handler = (struct xf_handler *)runner;
	uint32_t taken;

	queue_take_inbox(handler);
	cancels_follow(handler);
	told_take(handler);
	handler->ops->work(handler->instance, work);
	taken = queue_offer(handler, work->room);
	return taken > 0; /* it may have something to write now, and room again */
}

static void
thread_stop(struct xf_runner *runner)
{
	struct xf_handler *handler = (struct xf_handler *)runner;

	atomic_store(&handler->stopped, true);
	queue_take_inbox(handler);
	queue_cancel(handler, true);
	for (size_t i = 0; i < SLOTS; i++)
		token_cancel(handler, atomic_load(&handler->slots[i].token));
	told_take(handler);
	if (handler->ops->stop != NULL)
		handler->ops->stop(handler->instance);
}

static const struct xf_runner_ops thread_ops = {
	.start = thread_start,
	.turn = thread_turn,
	.stop = thread_stop,
};

/* What has come since the thread ended. On any thread that gives. */
static void
inbox_return(struct xf_handler *handler)
{
	struct xf_job *job = (struct xf_job *)xf_inbox_take(&handler->runner.inbox), *next;

	for (; job != NULL; job = next) {
		next = (struct xf_job *)job->node.next;
		job_return(handler, job, XF_OUTCOME_CANCELLED, NULL);
	}
}

/* ---- For the chains ---------------------------------------------------------------------------------- */

void
xf_handler_give(struct xf_handler *handler, struct xf_job *job)
{
	atomic_fetch_add_explicit(&handler->taken, 1, memory_order_relaxed);
	atomic_store_explicit(&job->token, 0, memory_order_relaxed);
	atomic_store_explicit(&job->cancel, false, memory_order_relaxed);
	if (handler->ops->work == NULL) {
		give_here(handler, job);
		return;
	}
	job->node.next = NULL;
	xf_inbox_push(&handler->runner.inbox, &job->node, &job->node);
	if (atomic_load(&handler->stopped))
		inbox_return(handler);
}

void
xf_handler_cancel(struct xf_handler *handler, struct xf_job *job)
{
	uint64_t token;

	if (handler->ops->work == NULL) {
		cancel_here(handler, atomic_load(&job->token));
		return;
	}
	if (atomic_exchange(&job->cancel, true))
		return; /* it is asked for already */
	token = atomic_load(&job->token); /* after that: whoever fills a slot looks for it */
	if (token != 0) {
		pthread_mutex_lock(&handler->cancel_lock);
		if (handler->cancel_count == handler->cancel_size) {
			size_t size = handler->cancel_size * 2 + 16;

			handler->cancels = xf_grow_array(handler->cancels, handler->cancel_size, size, sizeof(*handler->cancels));
			handler->cancel_size = size;
		}
		handler->cancels[handler->cancel_count++] = token;
		pthread_mutex_unlock(&handler->cancel_lock);
	}
	atomic_store(&handler->cancel_any, true);
	xf_inbox_ring(&handler->runner.inbox);
}

void
xf_handler_settled(struct xf_handler *handler, uint64_t token, uint32_t code, const struct xf_incoming *message)
{
	struct told *told;

	if (handler->ops->work == NULL) {
		const struct xf_settled settled = {token, code, sizeof(*message), message};

		pthread_mutex_lock(&handler->call_lock);
		if (handler->started)
			handler->ops->settled(handler->instance, &settled, sizeof(settled), 1);
		pthread_mutex_unlock(&handler->call_lock);
		return;
	}
	told = xf_alloc(sizeof(*told));
	*told = (struct told){atomic_load(&handler->told), token, message != NULL ? xf_message_copy(message) : NULL, code};
	while (!atomic_compare_exchange_weak(&handler->told, &told->next, told))
		continue;
	xf_inbox_ring(&handler->runner.inbox);
}

/* ---- Life ---------------------------------------------------------------------------------------------- */

struct xf_handler *
xf_handler_create(const struct xf_conf_handler *conf, const char *route, const char *server, struct xf_error *error)
{
	struct xf_handler *handler = xf_alloc(sizeof(*handler));

	handler->conf = conf;
	handler->ops = conf->class->ops;
	handler->shown = (struct xf_conf_transport){.name = conf->plugin, .plugin = conf->plugin};
	handler->endpoint_conf = (struct xf_conf_endpoint){.transport = &handler->shown, .subject = "", .connections = 1};
	if (handler->ops->work == NULL)
		handler->runner.endpoint = (struct xf_endpoint){&handler_calls, conf->name};
	else if (xf_runner_init(&handler->runner, &thread_ops, &handler_calls, xf_strdup(conf->name), &handler->endpoint_conf, false,
	                        error) != XF_OK) {
		free(handler);
		return NULL;
	}
	handler->slots = xf_alloc_array(SLOTS, sizeof(*handler->slots));
	pthread_mutex_init(&handler->call_lock, NULL);
	pthread_mutex_init(&handler->cancel_lock, NULL);
	handler->info = (struct xf_handler_info){
		.struct_size = sizeof(handler->info),
		.name = xf_str(conf->name),
		.route = xf_str(route),
		.server = xf_str(server),
	};
	if (handler->ops->create(xf_host(), &handler->runner.endpoint, conf->options, &handler->info, &handler->instance, error) != 0) {
		xf_error_prefix(error, "handler '%s'", conf->name);
		handler->instance = NULL;
		xf_handler_destroy(&handler);
	}
	return handler;
}

void
xf_handler_start(struct xf_handler *handler)
{
	if (handler->started)
		return;
	handler->started = true;
	if (handler->ops->work != NULL)
		xf_runner_start(&handler->runner);
	else if (handler->ops->start != NULL)
		handler->ops->start(handler->instance);
}

void
xf_handler_stop(struct xf_handler *handler)
{
	if (handler->ops->work != NULL || !handler->started)
		return; /* its thread has done so */
	handler->started = false;
	for (size_t i = 0; i < SLOTS; i++)
		cancel_here(handler, atomic_load(&handler->slots[i].token));
	if (handler->ops->stop != NULL)
		handler->ops->stop(handler->instance);
}

void
xf_handler_destroy(struct xf_handler **pointer)
{
	struct xf_handler *handler = *pointer;

	if (handler == NULL)
		return;
	*pointer = NULL;
	for (struct told *told = atomic_load(&handler->told), *next; told != NULL; told = next) { /* its thread had ended */
		next = told->next;
		free(told->message);
		free(told);
	}
	if (handler->instance != NULL)
		handler->ops->destroy(handler->instance);
	if (handler->ops->work != NULL)
		xf_runner_fini(&handler->runner);
	pthread_mutex_destroy(&handler->call_lock);
	pthread_mutex_destroy(&handler->cancel_lock);
	free(handler->cancels);
	free(handler->slots);
	free(handler);
}

struct xf_runner *
xf_handler_runner(struct xf_handler *handler)
{
	return handler->ops->work != NULL ? &handler->runner : NULL;
}

bool
xf_handler_holds(const struct xf_handler *handler)
{
	return handler->conf->holds;
}

const struct xf_conf_handler *
xf_handler_conf(const struct xf_handler *handler)
{
	return handler->conf;
}

void
xf_handler_status(struct xf_handler *handler, struct xf_handler_status *status)
{
	*status = (struct xf_handler_status){
		.name = handler->conf->name,
		.plugin = handler->conf->class->head.name,
		.threaded = handler->ops->work != NULL,
		.passed = atomic_load(&handler->codes[XF_OUTCOME_PASS]) + atomic_load(&handler->codes[XF_OUTCOME_DONE]),
		.dropped = atomic_load(&handler->codes[XF_OUTCOME_DROP]),
		.failed = atomic_load(&handler->codes[XF_OUTCOME_FAIL]),
		.delayed = atomic_load(&handler->codes[XF_OUTCOME_LATER]),
		.refused = atomic_load(&handler->codes[XF_OUTCOME_REFUSE]),
		.cancelled = atomic_load(&handler->cancelled),
		.violations = atomic_load(&handler->violations),
	};
	if (handler->ops->numbers != NULL)
		status->number_count = handler->ops->numbers(handler->instance, status->numbers, XF_HANDLER_NUMBERS_MAX);
	if (status->number_count > XF_HANDLER_NUMBERS_MAX)
		status->number_count = XF_HANDLER_NUMBERS_MAX;
	status->taken = atomic_load(&handler->taken); /* last, so that never more came back than was taken */
	if (!status->threaded)
		return;
	status->state = atomic_load(&handler->runner.state);
	pthread_mutex_lock(&handler->runner.reason_lock);
	memcpy(status->reason, handler->runner.reason, sizeof(status->reason));
	pthread_mutex_unlock(&handler->runner.reason_lock);
}

/* "orders/filter/2" is asked for as "filter.2". */
bool
xf_handler_is(const struct xf_handler *handler, const char *route, struct xf_str name)
{
	const char *own = handler->conf->name + strlen(route) + 1;

	if (strlen(own) != name.len)
		return false;
	for (uint64_t i = 0; i < name.len; i++)
		if (own[i] != name.data[i] && !(own[i] == '/' && name.data[i] == '.'))
			return false;
	return true;
}

enum xf_status
xf_handler_serve(struct xf_handler *handler, const struct xf_operator_request *request, struct xf_operator_response *response,
                 struct xf_error *error)
{
	if (handler->ops->serve == NULL) {
		response->status = 404;
		return xf_error_set(error, "handler %s answers no calls", handler->conf->name);
	}
	if (handler->ops->serve(handler->instance, request, response, error) == 0)
		return XF_OK;
	error->text[sizeof(error->text) - 1] = '\0';
	if (response->status < 400 || response->status > 599)
		response->status = 500;
	return XF_FAILED;
}
