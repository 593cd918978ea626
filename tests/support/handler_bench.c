#include "handler_bench.h"

#include <dlfcn.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/str.h"
#include "flow/message.h"
#include "settings.h"

#define LOG_MAX 1000

struct task {
	struct xf_incoming *message; /* NULL: it is not the plugin's any more */
	bool taken, settled;
	struct bench_result result;
};

struct bench {
	const struct xf_handler_class *class;
	struct xf_config *config;
	void *instance;
	struct task *tasks;
	size_t count, given, finished;
	struct xf_work work; /* of the last turn */
	bool begun, woken, stopped;
	int bell; /* an eventfd: any thread may wake it */
	uint32_t state;
	size_t states[3];
	char reason[1000];
	char *log[LOG_MAX];
	size_t log_count;
};

static uint64_t clock_ahead, clock_stopped;

static uint64_t
host_now_ms(void)
{
	return (clock_stopped != 0 ? clock_stopped : xf_now_ms()) + clock_ahead;
}

static void
host_log(struct xf_endpoint *endpoint, uint32_t level, const char *text)
{
	struct bench *bench = (struct bench *)endpoint;

	(void)level;
	assert_null(strchr(text, '\n'));
	if (bench->log_count < LOG_MAX)
		bench->log[bench->log_count] = xf_strdup(text);
	bench->log_count++;
}

void
bench_wake(struct bench *bench)
{
	eventfd_write(bench->bell, 1);
}

static void
host_wake(struct xf_endpoint *endpoint)
{
	bench_wake((struct bench *)endpoint);
}

static void
host_state(struct xf_endpoint *endpoint, uint32_t state, const char *reason)
{
	struct bench *bench = (struct bench *)endpoint;

	bench->state = state;
	bench->states[state]++;
	snprintf(bench->reason, sizeof(bench->reason), "%s", reason != NULL ? reason : "");
}

static void
host_finish(struct xf_endpoint *endpoint, const struct xf_outcome *outcomes, uint32_t stride, uint32_t count)
{
	struct bench *bench = (struct bench *)endpoint;

	assert_false(bench->stopped);
	for (uint32_t i = 0; i < count; i++) {
		const struct xf_outcome *outcome = (const void *)((const char *)outcomes + (size_t)i * stride);
		struct task *task = &bench->tasks[outcome->token - 1];
		struct bench_result *result = &task->result;

		assert_in_range(outcome->token, 1, bench->count);
		assert_false(result->cancelled);
		assert_non_null(task->message);
		assert_int_equal(result->code, 0);
		result->code = outcome->code;
		result->delay_ms = outcome->delay_ms;
		result->status = outcome->status;
		result->flags = outcome->flags;
		snprintf(result->reason, sizeof(result->reason), "%.*s", (int)outcome->reason.len, outcome->reason.data);
		result->count = outcome->count;
		result->messages = xf_alloc_array(outcome->count, sizeof(*result->messages));
		for (uint32_t k = 0; k < outcome->count; k++)
			result->messages[k] = xf_message_copy((const void *)((const char *)outcome->messages + (size_t)k * outcome->stride));
		free(task->message);
		task->message = NULL;
		bench->finished++;
	}
}

static int64_t
host_wall_ms(void)
{
	return (int64_t)host_now_ms();
}

static const struct xf_host bench_host = {
	.struct_size = sizeof(bench_host),
	.option = settings_option,
	.now_ms = host_now_ms,
	.wall_ms = host_wall_ms,
	.log = host_log,
	.wake = host_wake,
	.state = host_state,
	.finish = host_finish,
};

static const struct xf_handler_class *
class_load(const char *plugin)
{
	const struct xf_entry *(*entry)(void);
	char path[512];
	void *file;

	snprintf(path, sizeof(path), "%s/lib/crossfade/plugins/crossfade-handler-%s.so", XF_BINARY_DIR, plugin);
	file = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (file == NULL)
		fail_msg("%s", dlerror());
	*(void **)&entry = dlsym(file, "xf_plugin_entry_v1");
	assert_non_null(entry);
	assert_string_equal(entry()->classes[0]->name, plugin);
	return (const struct xf_handler_class *)entry()->classes[0];
}

/* As route orders has it. */
static const struct xf_handler_info *
info_of(const char *plugin)
{
	static char name[64];
	static struct xf_handler_info info = {.struct_size = sizeof(info), .route = {"orders", 6}, .server = {"test", 4}};

	info.name = (struct xf_str){name, (uint64_t)snprintf(name, sizeof(name), "orders/%s", plugin)};
	return &info;
}

const char *
bench_check(const char *plugin, const char *const *options)
{
	static struct xf_error error;
	const struct xf_handler_class *class = class_load(plugin);
	struct xf_config *config = settings_create(class->options, options, &error);
	bool fine;

	if (config == NULL)
		fail_msg("%s", error.text);
	error.text[0] = '\0';
	fine = class->ops->check(&bench_host, config, info_of(plugin), &error) == 0;
	assert_int_equal(fine, error.text[0] == '\0');
	settings_destroy(&config);
	return error.text;
}

struct bench *
bench_open(const char *plugin, const char *const *options)
{
	struct bench *bench = xf_alloc(sizeof(*bench));
	struct xf_error error = {""};

	signal(SIGPIPE, SIG_IGN);
	bench->work.fd = -1;
	bench->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	bench->class = class_load(plugin);
	bench->config = settings_create(bench->class->options, options, &error);
	if (bench->config == NULL || bench->class->ops->check(&bench_host, bench->config, info_of(plugin), &error) != 0 ||
	    bench->class->ops->create(&bench_host, (struct xf_endpoint *)bench, bench->config, info_of(plugin), &bench->instance, &error) != 0)
		fail_msg("%s", error.text);
	if (bench->class->ops->start != NULL)
		bench->class->ops->start(bench->instance);
	return bench;
}

void
bench_close(struct bench **pointer)
{
	struct bench *bench = *pointer;

	*pointer = NULL;
	for (size_t i = 0; i < bench->given; i++)
		if (bench->tasks[i].message != NULL && bench->tasks[i].taken)
			bench_cancel(bench, i);
	if (bench->class->ops->stop != NULL)
		bench->class->ops->stop(bench->instance);
	bench->stopped = true;
	bench->class->ops->destroy(bench->instance);
	for (size_t i = 0; i < bench->count; i++) {
		struct bench_result *result = &bench->tasks[i].result;

		for (uint32_t k = 0; k < result->count; k++)
			free(result->messages[k]);
		free(result->messages);
		free(bench->tasks[i].message);
	}
	for (size_t i = 0; i < bench->log_count && i < LOG_MAX; i++)
		free(bench->log[i]);
	settings_destroy(&bench->config);
	close(bench->bell);
	free(bench->tasks);
	free(bench);
	clock_ahead = clock_stopped = 0;
}

size_t
bench_give(struct bench *bench, const struct xf_incoming *message)
{
	bench->tasks = xf_grow_array(bench->tasks, bench->count, bench->count + 1, sizeof(*bench->tasks));
	bench->tasks[bench->count].message = xf_message_copy(message);
	bench->woken = true;
	return bench->count++;
}

size_t
bench_text(struct bench *bench, const char *payload)
{
	char id[32];
	const struct xf_incoming message = {
		.subject = {"orders.eu", 9},
		.id = {id, (uint64_t)snprintf(id, sizeof(id), "id-%zu", bench->count)},
		.payload = payload,
		.payload_size = strlen(payload),
		.attempt = 1,
	};

	return bench_give(bench, &message);
}

void
bench_cancel(struct bench *bench, size_t number)
{
	struct task *task = &bench->tasks[number];

	assert_non_null(task->message);
	task->result.cancelled = true;
	bench->class->ops->cancel(bench->instance, number + 1);
	free(task->message);
	task->message = NULL;
}

void
bench_settle(struct bench *bench, size_t number, uint32_t code, const struct xf_incoming *message)
{
	const struct xf_settled settled = {
		.token = number + 1, .code = code, .message_size = sizeof(*message), .message = message};
	struct task *task = &bench->tasks[number];

	assert_true(task->result.flags & XF_OUTCOME_FOLLOWED);
	assert_true(task->result.code == XF_OUTCOME_PASS || task->result.code == XF_OUTCOME_DONE);
	assert_false(task->settled);
	task->settled = true;
	bench->class->ops->settled(bench->instance, &settled, sizeof(settled), 1);
}

uint64_t
bench_number(struct bench *bench, const char *name)
{
	struct xf_number numbers[16];
	uint32_t count = bench->class->ops->numbers(bench->instance, numbers, 16);

	assert_in_range(count, 1, 16);
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(numbers[i].name, name) == 0)
			return numbers[i].value;
	fail_msg("no number '%s'", name);
	return 0;
}

static void
body_write(void *context, const char *data, uint64_t size)
{
	xf_buffer_append(context, data, size);
}

/* "a=1&b=2"; at most COUNT of them, with nothing to be decoded. */
static uint32_t
arguments_read(const char *query, struct xf_header *arguments, uint32_t count)
{
	uint32_t n = 0;

	while (*query != '\0' && n < count) {
		size_t len = strcspn(query, "&"), name = strcspn(query, "=&");

		arguments[n++] = (struct xf_header){{query, name}, {query + name + (name < len), len - name - (name < len)}};
		query += len + (query[len] == '&');
	}
	return n;
}

char *
bench_serve(struct bench *bench, const char *method, const char *path, const char *query, uint32_t *status)
{
	struct xf_buffer body = {0};
	struct xf_error error = {""};
	struct xf_header arguments[8];
	const struct xf_operator_request request = {
		.struct_size = sizeof(request),
		.argument_count = arguments_read(query, arguments, 8),
		.method = xf_str(method),
		.path = xf_str(path),
		.arguments = arguments,
	};
	struct xf_operator_response response = {
		.struct_size = sizeof(response), .status = 200, .write = body_write, .context = &body};

	if (bench->class->ops->serve(bench->instance, &request, &response, &error) != 0) {
		assert_true(response.status >= 400);
		xf_buffer_fini(&body);
		*status = response.status;
		return xf_strdup(error.text);
	}
	*status = response.status;
	xf_buffer_append(&body, "", 0);
	return body.data != NULL ? body.data : xf_strdup("");
}

static uint32_t
offer(struct bench *bench, uint32_t room)
{
	struct xf_task tasks[256];
	uint32_t count = 0, taken;

	for (; count < 256 && count < room && bench->given + count < bench->count; count++)
		tasks[count] = (struct xf_task){.token = bench->given + count + 1, .message = bench->tasks[bench->given + count].message};
	if (count == 0)
		return 0;
	taken = bench->class->ops->process(bench->instance, tasks, sizeof(tasks[0]), count);
	assert_true(taken <= count);
	for (uint32_t i = 0; i < taken; i++)
		bench->tasks[bench->given++].taken = true;
	return taken;
}

/* The wait that the last turn asked for, then what came. */
void
bench_turn(struct bench *bench)
{
	struct pollfd fds[] = {{.fd = bench->work.fd, .events = (short)bench->work.events}, {.fd = bench->bell, .events = POLLIN}};
	eventfd_t rings;
	int timeout_ms = (int)bench->work.timeout_ms;

	if (bench->begun)
		poll(fds, 2, bench->woken ? 0 : clock_stopped != 0 && timeout_ms > 10 ? 10 : timeout_ms);
	bench->begun = true;
	bench->woken = false;
	eventfd_read(bench->bell, &rings);
	bench->work = (struct xf_work){.struct_size = sizeof(bench->work), .fd = -1, .timeout_ms = 1000};
	if (bench->class->ops->work != NULL)
		bench->class->ops->work(bench->instance, &bench->work);
	else
		bench->work.room = 1; /* as the core does, one by one */
	if (offer(bench, bench->work.room) > 0)
		bench->woken = true; /* as the core does, which hopes for more room */
}

#define WAIT_FOR(bench, condition)                                                                                 \
	do {                                                                                                         \
		uint64_t until = xf_now_ms() + XF_WAIT_MS;                                                             \
		while (!(condition)) {                                                                                 \
			if (xf_now_ms() > until)                                                                       \
				fail_msg("%s did not come", #condition);                                               \
			bench_turn(bench);                                                                             \
		}                                                                                                      \
	} while (0)

void
bench_wait_finished(struct bench *bench, size_t count)
{
	WAIT_FOR(bench, bench->finished >= count);
}

void
bench_wait_taken(struct bench *bench, size_t count)
{
	WAIT_FOR(bench, bench->given >= count);
}

void
bench_wait_state(struct bench *bench, uint32_t state)
{
	WAIT_FOR(bench, bench->states[state] > 0 && bench->state == state);
}

void
bench_wait_log(struct bench *bench, const char *text)
{
	WAIT_FOR(bench, bench_log_find(bench, text) != NULL);
}

const struct bench_result *
bench_result(struct bench *bench, size_t number)
{
	return &bench->tasks[number].result;
}

const char *
bench_reason(const struct bench *bench)
{
	return bench->reason;
}

size_t
bench_state_count(const struct bench *bench, uint32_t state)
{
	return bench->states[state];
}

uint32_t
bench_room(const struct bench *bench)
{
	return bench->work.room;
}

size_t
bench_log_count(const struct bench *bench)
{
	return bench->log_count;
}

const char *
bench_log_find(const struct bench *bench, const char *text)
{
	for (size_t i = bench->log_count < LOG_MAX ? bench->log_count : LOG_MAX; i > 0; i--)
		if (strstr(bench->log[i - 1], text) != NULL)
			return bench->log[i - 1];
	return NULL;
}

void
bench_clock_advance(uint64_t milliseconds)
{
	clock_ahead += milliseconds;
}

void
bench_clock_stop(void)
{
	clock_stopped = xf_now_ms();
}
