#include "worker.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "line.h"

#define UNWRITTEN_MAX (1u << 20) /* of a worker with more than this nothing further is expected */
#define PROVEN_MS 1000           /* one that failed before gets tasks when it has run for so long */
#define LIVED_MS 10000
#define SILENT_MS 1000 /* it has closed its output: it should end */
#define EX_REFUSE 65   /* EX_DATAERR */

static void __attribute__((format(printf, 2, 3)))
reason_set(struct exec *exec, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(exec->reason, sizeof(exec->reason), format, args);
	va_end(args);
}

/* ---- Tasks of a worker -------------------------------------------------------------------- */

static void
finish(struct exec *exec, uint64_t token, uint32_t code, const char *reason)
{
	struct xf_outcome outcome = {.token = token, .code = code};

	if (reason != NULL)
		outcome.reason = str_of(reason);
	exec->host->finish(exec->endpoint, &outcome, sizeof(outcome), 1);
}

static void
held_add(struct exec *exec, struct worker *worker, const struct xf_task *task, uint64_t begin)
{
	if (worker->first + worker->count == 2 * exec->options.pipeline) {
		memmove(worker->held, worker->held + worker->first, worker->count * sizeof(*worker->held));
		worker->first = 0;
	}
	worker->held[worker->first + worker->count++] = (struct held){task->token, task->message, begin};
}

static void
held_remove(struct worker *worker, uint32_t index)
{
	struct held *held = worker->held + worker->first;

	worker->count--;
	if (index == 0)
		worker->first++;
	else
		memmove(held + index, held + index + 1, (worker->count - index) * sizeof(*held));
	if (worker->count == 0)
		worker->first = 0;
}

/* All are given back; the oldest with REASON, if BLAME. */
static void
held_return(struct exec *exec, struct worker *worker, bool blame, const char *reason)
{
	const struct held *held = worker->held + worker->first;
	uint32_t count = worker->count;

	worker->first = worker->count = 0;
	for (uint32_t i = 0; i < count; i++)
		finish(exec, held[i].token, i == 0 && blame ? XF_OUTCOME_FAIL : XF_OUTCOME_LATER, reason);
}

/* So it may be the cause of what happens to its process. */
static bool
oldest_was_read(const struct exec *exec, const struct worker *worker)
{
	return worker->count > 0 &&
	       (exec->options.once || child_consumed(&worker->child) > worker->held[worker->first].begin);
}

/* ---- The life of a worker ------------------------------------------------------------------- */

static void
start_later(struct exec *exec, struct worker *worker, bool failed)
{
	uint64_t delay = exec->options.restart_delay_ms;

	worker->failures = failed ? worker->failures + 1 : 0;
	for (uint32_t i = 1; i < worker->failures && delay < exec->options.restart_delay_max_ms; i++)
		delay *= 2;
	if (delay > exec->options.restart_delay_max_ms)
		delay = exec->options.restart_delay_max_ms;
	worker->start_at = exec->now + delay;
}

static bool
worker_start(struct exec *exec, struct worker *worker, char *const *env)
{
	const char *what;
	int error = child_start(&worker->child, &exec->options, env, exec->now, &what);

	if (error != 0) {
		reason_set(exec, "cannot %s '%s': %s", what, exec->options.argv[0], strerror(error));
		start_later(exec, worker, true);
		return false;
	}
	worker->answered = false;
	worker->queued = 0;
	worker->scanned = 0;
	worker->silent_at = 0;
	return true;
}

/* It has said something that cannot be, or must be stopped. What it has is given back now, it is waited for as others are. */
static void
worker_give_up(struct exec *exec, struct worker *worker, bool blame)
{
	blame = blame && oldest_was_read(exec, worker);
	if (!exec->options.once)
		exec->host->log(exec->endpoint, XF_LOG_WARN, exec->reason);
	child_signal(&worker->child, SIGKILL);
	child_close_in(&worker->child);
	child_close_out(&worker->child);
	worker->child.given_up = true;
	worker->silent_at = 0;
	held_return(exec, worker, blame, exec->reason);
}

static bool
worker_is_proven(const struct exec *exec, const struct worker *worker)
{
	return worker->failures == 0 || worker->answered || exec->now - worker->child.started_ms >= PROVEN_MS;
}

bool
worker_works(const struct exec *exec, const struct worker *worker)
{
	return worker->child.pid > 0 && !worker->child.given_up && worker->silent_at == 0 && worker_is_proven(exec, worker);
}

uint32_t
worker_room(const struct exec *exec, const struct worker *worker)
{
	if (exec->options.once)
		return worker->child.pid == 0 && exec->now >= worker->start_at;
	if (!worker_works(exec, worker) || child_unwritten(&worker->child) > UNWRITTEN_MAX)
		return 0;
	return exec->options.pipeline - worker->count;
}

/* ---- Answers ----------------------------------------------------------------------------------- */

/* Of which task it is; false: of none that is out. */
static bool
answer_find(const struct worker *worker, const struct answer *answer, uint32_t *index)
{
	*index = 0;
	if (answer->token.data == NULL)
		return worker->count > 0;
	while (*index < worker->count && worker->held[worker->first + *index].token != answer->number)
		++*index;
	return *index < worker->count;
}

static void
line_blame(struct exec *exec, struct worker *worker, const char *what, struct xf_str line)
{
	struct shown shown = {.len = 0};

	shown_add(&shown, line.data, line.len < 80 ? line.len : 80);
	reason_set(exec, "worker printed %s: %s%s", what, shown.text, line.len > 80 ? "..." : "");
	worker_give_up(exec, worker, true);
}

/* False: the process was given up. */
static bool
line_take(struct exec *exec, struct worker *worker, struct xf_str line)
{
	struct xf_outcome outcome = {.code = 0};
	struct arena arena = {.blocks = NULL};
	struct answer answer;
	uint32_t index;
	char why[256];

	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	if (!answer_split(&answer, line)) {
		snprintf(why, sizeof(why), "no JSON object (%s)", answer.wrong);
		line_blame(exec, worker, why, line);
		return false;
	}
	if (!answer_find(worker, &answer, &index)) {
		line_blame(exec, worker, "an answer to a message that it does not have", line);
		return false;
	}
	outcome.token = worker->held[worker->first + index].token;
	if (!answer_read(&answer, worker->held[worker->first + index].message, exec->options.json, &arena, &outcome)) {
		snprintf(why, sizeof(why), "worker's answer cannot be used: %s", answer.wrong);
		outcome = (struct xf_outcome){.token = outcome.token, .code = XF_OUTCOME_FAIL, .reason = str_of(why)};
	}
	held_remove(worker, index);
	worker->answered = true;
	exec->host->finish(exec->endpoint, &outcome, sizeof(outcome), 1);
	arena_fini(&arena);
	return true;
}

/* False: the process was given up. */
static bool
lines_take(struct exec *exec, struct worker *worker)
{
	struct child *child = &worker->child;
	size_t at = 0;
	const char *feed;

	while ((feed = memchr(child->input + worker->scanned, '\n', child->input_len - worker->scanned)) != NULL) {
		struct xf_str line = {child->input + at, (uint64_t)(feed - child->input) - at};

		at += line.len + 1;
		worker->scanned = at;
		if (!line_take(exec, worker, line))
			return false;
	}
	child->input_len -= at;
	memmove(child->input, child->input + at, child->input_len);
	worker->scanned = child->input_len;
	if (child->input_len <= exec->options.max_answer)
		return true;
	reason_set(exec, "worker printed a line longer than %zu bytes (max_answer)", exec->options.max_answer);
	worker_give_up(exec, worker, true);
	return false;
}

static bool
output_bounded(struct exec *exec, struct worker *worker)
{
	if (worker->child.input_len <= exec->options.max_answer)
		return true;
	reason_set(exec, "the process printed more than %zu bytes (max_answer)", exec->options.max_answer);
	worker_give_up(exec, worker, true);
	return false;
}

bool
worker_read(struct exec *exec, struct worker *worker)
{
	switch (child_read(&worker->child, exec->options.max_answer)) {
	case CHILD_READ_SOME:
		return exec->options.once ? output_bounded(exec, worker) : lines_take(exec, worker);
	case CHILD_READ_NOTHING:
		return false;
	default:
		child_close_out(&worker->child);
		if (!exec->options.once && worker->silent_at == 0)
			worker->silent_at = exec->now;
		return false;
	}
}

/* ---- Its end --------------------------------------------------------------------------------------- */

/* "ended with status 3: ValueError: no such thing" */
static void
end_describe(struct exec *exec, const struct worker *worker, int status)
{
	const struct shown *last = &worker->child.last;
	char how[80];

	if (WIFSIGNALED(status))
		snprintf(how, sizeof(how), "was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(how, sizeof(how), "ended with status %d", WEXITSTATUS(status));
	reason_set(exec, "%s %s%s%s", exec->options.once ? "the process" : "worker", how, last->len > 0 ? ": " : "", last->text);
}

/* A shell says so of a program that is not there, or cannot be run. */
static bool
status_is_no_program(int status)
{
	return WIFEXITED(status) && (WEXITSTATUS(status) == 126 || WEXITSTATUS(status) == 127);
}

static void
once_ended(struct exec *exec, struct worker *worker, int status)
{
	const struct held *held = &worker->held[worker->first];
	struct xf_outcome outcome = {.token = held->token, .code = XF_OUTCOME_PASS, .stride = sizeof(struct xf_incoming)};
	struct xf_incoming message;

	worker->failures = 0;
	if (worker->count == 0)
		return;
	if (status_is_no_program(status)) {
		held_return(exec, worker, false, exec->reason);
		start_later(exec, worker, true);
		return;
	}
	message = *held->message;
	message.payload = worker->child.input;
	message.payload_size = worker->child.input_len;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		outcome.messages = &message;
		outcome.count = 1;
	} else {
		outcome.code = WIFEXITED(status) && WEXITSTATUS(status) == EX_REFUSE ? XF_OUTCOME_REFUSE : XF_OUTCOME_FAIL;
		outcome.reason = str_of(exec->reason);
	}
	worker->first = worker->count = 0;
	exec->host->finish(exec->endpoint, &outcome, sizeof(outcome), 1);
}

void
worker_ended(struct exec *exec, struct worker *worker, int status)
{
	bool blame;

	while (!worker->child.given_up && worker_read(exec, worker))
		;
	blame = oldest_was_read(exec, worker);
	child_end(&worker->child, &exec->complaints);
	worker->silent_at = 0;
	if (!worker->child.given_up)
		end_describe(exec, worker, status);
	if (exec->options.once) {
		once_ended(exec, worker, status);
		return;
	}
	if (!worker->child.given_up)
		exec->host->log(exec->endpoint, XF_LOG_WARN, exec->reason);
	held_return(exec, worker, blame, exec->reason);
	start_later(exec, worker, !worker->answered && exec->now - worker->child.started_ms < LIVED_MS);
}

/* The input of a process that has one message ends with that. */
void
worker_write(struct exec *exec, struct worker *worker)
{
	child_write(&worker->child);
	if (exec->options.once && child_unwritten(&worker->child) == 0)
		child_close_in(&worker->child);
}

/* ---- New tasks --------------------------------------------------------------------------------------- */

/* False: there was no memory for it. */
static bool
line_give(struct exec *exec, struct worker *worker, const struct xf_task *task)
{
	struct text *output = &worker->child.output;
	size_t before = output->len;
	bool fine = line_write(output, task, exec->options.json);

	if (output->failed) {
		output->failed = false;
		output->len = before;
		return false;
	}
	if (!fine) {
		finish(exec, task->token, XF_OUTCOME_REFUSE, "its payload is no JSON, and the worker was promised JSON");
		return true;
	}
	held_add(exec, worker, task, worker->queued);
	worker->queued += output->len - before;
	return true;
}

static char *
variable_make(struct arena *arena, const char *name, struct xf_str value)
{
	size_t len = strlen(name);
	char *entry = arena_take(arena, len + value.len + 1);

	if (entry == NULL)
		return NULL;
	memcpy(entry, name, len);
	if (value.len > 0)
		memcpy(entry + len, value.data, value.len);
	entry[len + value.len] = '\0';
	return entry;
}

/* NULL: no memory. */
static char **
environment_make(const struct exec *exec, struct arena *arena, const struct xf_incoming *message)
{
	char attempt[16];
	const struct {
		const char *name;
		struct xf_str value;
	} variables[] = {
		{"CROSSFADE_SUBJECT=", message->subject},
		{"CROSSFADE_ID=", message->id},
		{"CROSSFADE_KEY=", message->key},
		{"CROSSFADE_REPLY=", message->reply},
		{"CROSSFADE_CONTENT_TYPE=", message->content_type},
		{"CROSSFADE_ATTEMPT=", {attempt, (uint64_t)snprintf(attempt, sizeof(attempt), "%u", message->attempt)}},
	};
	const size_t count = sizeof(variables) / sizeof(variables[0]);
	char **env = arena_take(arena, (exec->options.env_count + count + 1) * sizeof(*env));

	if (env == NULL)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		env[i] = variable_make(arena, variables[i].name, variables[i].value);
		if (env[i] == NULL)
			return NULL;
	}
	memcpy(env + count, exec->options.env, (exec->options.env_count + 1) * sizeof(*env));
	return env;
}

/* False: its process could not be started. */
static bool
process_give(struct exec *exec, struct worker *worker, const struct xf_task *task)
{
	const struct xf_incoming *message = task->message;
	struct arena arena = {.blocks = NULL};
	char **env = environment_make(exec, &arena, message);
	bool started = env != NULL && worker_start(exec, worker, env);

	arena_fini(&arena);
	if (!started)
		return false;
	text_add(&worker->child.output, message->payload, message->payload_size);
	held_add(exec, worker, task, 0);
	return true;
}

bool
worker_give(struct exec *exec, struct worker *worker, const struct xf_task *task)
{
	return exec->options.once ? process_give(exec, worker, task) : line_give(exec, worker, task);
}

bool
worker_cancel(struct exec *exec, struct worker *worker, uint64_t token)
{
	for (uint32_t i = 0; i < worker->count; i++) {
		if (worker->held[worker->first + i].token != token)
			continue;
		held_remove(worker, i);
		worker->answered = true; /* it could have; that it is stopped says nothing of how it starts */
		reason_set(exec, "worker was stopped, since a message was taken back from it");
		worker_give_up(exec, worker, false);
		return true;
	}
	return false;
}

/* ---- In time -------------------------------------------------------------------------------------------- */

void
worker_follow(struct exec *exec, struct worker *worker)
{
	if (worker->child.pid == 0 && exec->now >= worker->start_at && !exec->options.once)
		worker_start(exec, worker, exec->options.env);
	if (worker->silent_at != 0 && exec->now - worker->silent_at >= SILENT_MS) {
		reason_set(exec, "worker closed its output and did not end");
		worker_give_up(exec, worker, true);
	}
}

static void
due(const struct exec *exec, uint64_t at, uint32_t *timeout_ms)
{
	uint64_t left = at > exec->now ? at - exec->now : 0;

	if (left < *timeout_ms)
		*timeout_ms = (uint32_t)left;
}

void
worker_due(const struct exec *exec, const struct worker *worker, uint32_t *timeout_ms)
{
	if (worker->child.pid == 0) {
		if (!exec->options.once || worker->start_at > exec->now)
			due(exec, worker->start_at, timeout_ms);
	} else if (worker->silent_at != 0)
		due(exec, worker->silent_at + SILENT_MS, timeout_ms);
	else if (!worker_is_proven(exec, worker))
		due(exec, worker->child.started_ms + PROVEN_MS, timeout_ms);
}
