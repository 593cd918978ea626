/*
 * run.h - one instance of a handler plugin without a thread, and what became of the messages that it was given.
 *
 * The plugin is loaded from where it was built. Each message is given as a task of its own, from memory that is exactly as long as its
 * bytes; one that is finished not at all or twice ends the test.
 */
#ifndef XF_TESTS_HANDLERS_RUN_H
#define XF_TESTS_HANDLERS_RUN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <dlfcn.h>

#include <crossfade/handler.h>

#include "base/str.h"
#include "harness.h"
#include "settings.h"

struct run {
	void *module;
	const struct xf_handler_class *class;
	struct xf_config *config;
	void *instance;

	/* of the last message */
	uint64_t token;
	unsigned finished;
	uint32_t code, status;
	bool made; /* another message goes on in its place */
	char reason[600];
	char subject[256], key[256], headers[1024];
	char payload[4096];

	uint64_t now_ms;
	int64_t wall_ms;
	char lines[4096]; /* logged, "LEVEL TEXT\n" each */
};

static struct run run; /* there is one at a time */

static void
text_keep(char *out, size_t size, const void *data, uint64_t len)
{
	assert_true(len < size);
	if (len > 0)
		memcpy(out, data, len);
	out[len] = '\0';
}

static void
run_finish(struct xf_endpoint *endpoint, const struct xf_outcome *outcome, uint32_t stride, uint32_t count)
{
	assert_ptr_equal(endpoint, &run);
	assert_int_equal(count, 1);
	assert_true(stride >= sizeof(*outcome));
	assert_true(outcome->token == run.token);
	run.finished++;
	run.code = outcome->code;
	run.status = outcome->status;
	run.made = outcome->count > 0;
	run.headers[0] = '\0';
	text_keep(run.reason, sizeof(run.reason), outcome->reason.data, outcome->reason.len);
	if (!run.made)
		return;
	assert_int_equal(outcome->count, 1);
	text_keep(run.subject, sizeof(run.subject), outcome->messages->subject.data, outcome->messages->subject.len);
	text_keep(run.key, sizeof(run.key), outcome->messages->key.data, outcome->messages->key.len);
	text_keep(run.payload, sizeof(run.payload), outcome->messages->payload, outcome->messages->payload_size);
	for (uint32_t i = 0; i < outcome->messages->header_count; i++) {
		const struct xf_header *h = &outcome->messages->headers[i];
		size_t len = strlen(run.headers);

		snprintf(run.headers + len, sizeof(run.headers) - len, "%.*s=%.*s\n", XF_STR_ARG(h->name), XF_STR_ARG(h->value));
	}
}

static uint64_t
run_now(void)
{
	return run.now_ms;
}

static int64_t
run_wall(void)
{
	return run.wall_ms;
}

static void
run_log(struct xf_endpoint *endpoint, uint32_t level, const char *text)
{
	size_t len = strlen(run.lines);

	assert_ptr_equal(endpoint, &run);
	assert_null(strpbrk(text, "\n\r"));
	snprintf(run.lines + len, sizeof(run.lines) - len, "%u %s\n", level, text);
}

static const struct xf_host run_host = {
	.struct_size = sizeof(run_host),
	.option = settings_option,
	.now_ms = run_now,
	.wall_ms = run_wall,
	.log = run_log,
	.finish = run_finish,
};

/* False with the reason in run.reason, which check() and create() must agree on. */
static bool
run_try(const char *plugin, const char *const *texts)
{
	const struct xf_handler_info info = {.struct_size = sizeof(info), .name = {"r/h", 3}, .route = {"r", 1}};
	const struct xf_entry *(*entry)(void);
	struct xf_error error = {{0}}, again = {{0}};
	char path[512];

	memset(&run, 0, sizeof(run));
	snprintf(path, sizeof(path), "%s/lib/crossfade/plugins/crossfade-handler-%s.so", XF_BINARY_DIR, plugin);
	run.module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (run.module == NULL)
		fail_msg("%s", dlerror());
	*(void **)&entry = dlsym(run.module, "xf_plugin_entry_v1");
	run.class = (const struct xf_handler_class *)entry()->classes[0];
	assert_int_equal(run.class->head.kind, XF_KIND_HANDLER);
	assert_string_equal(run.class->head.name, plugin);
	assert_null(run.class->ops->work);
	assert_null(run.class->ops->traits);
	run.config = settings_create(run.class->options, texts, &error);
	if (run.config == NULL)
		fail_msg("%s", error.text);
	if (run.class->ops->check(&run_host, run.config, &info, &error) == 0) {
		assert_int_equal(run.class->ops->create(&run_host, (struct xf_endpoint *)&run, run.config, &info, &run.instance,
		                                        &again),
		                 0);
		return true;
	}
	assert_true(error.text[0] != '\0');
	snprintf(run.reason, sizeof(run.reason), "%s", error.text);
	settings_destroy(&run.config);
	dlclose(run.module);
	return false;
}

static void
run_open(const char *plugin, const char *const *texts)
{
	if (!run_try(plugin, texts))
		fail_msg("%s", run.reason);
}

static void
run_close(void)
{
	if (run.class->ops->stop != NULL)
		run.class->ops->stop(run.instance);
	run.class->ops->destroy(run.instance);
	settings_destroy(&run.config);
	dlclose(run.module);
}

/* What became of MESSAGE. */
static uint32_t
run_message(const struct xf_incoming *message)
{
	struct xf_incoming given = *message;
	struct xf_task task = {.token = ++run.token, .message = &given};
	char *exact = malloc(given.payload_size > 0 ? given.payload_size : 1);

	assert_non_null(exact);
	if (given.payload_size > 0)
		memcpy(exact, given.payload, given.payload_size);
	given.payload = exact;
	run.finished = 0;
	assert_int_equal(run.class->ops->process(run.instance, &task, sizeof(task), 1), 1);
	assert_int_equal(run.finished, 1);
	free(exact);
	return run.code;
}

static uint32_t
run_text(const char *subject, const char *payload)
{
	static const struct xf_header headers[] = {{{"Kind", 4}, {"new", 3}}, {{"X-Debug", 7}, {"1", 1}}};
	const struct xf_incoming message = {
		.subject = xf_str(subject),
		.id = {"id-1", 4},
		.key = {"k", 1},
		.payload = payload,
		.payload_size = strlen(payload),
		.headers = headers,
		.header_count = 2,
	};

	return run_message(&message);
}

/* Payloads whose bytes were changed and cut: both outcomes come, and no other; refusals have a reason. */
__attribute__((unused)) static void
run_anything(uint32_t good, uint32_t bad)
{
	static const char seed[] = "{\"a\":{\"b\":[1,-2.5e3,\"x\\u00e9\\\\\"]},\"c\":null,\"d\":[true,{\"e\":\"f\"}]}";
	uint64_t random = 1;
	unsigned goods = 0, bads = 0;

	for (int i = 0; i < 20000; i++) {
		char payload[sizeof(seed)];
		size_t len = sizeof(seed) - 1;
		struct xf_incoming message = {.subject = {"s", 1}, .payload = payload};

		memcpy(payload, seed, sizeof(seed));
		for (int change = 0; change < 3; change++) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			payload[(random >> 33) % len] = seed[(random >> 45) % len];
		}
		if (i % 4 == 0)
			len = (random >> 20) % len;
		message.payload_size = len;
		if (run_message(&message) == good) {
			goods++;
			continue;
		}
		bads++;
		assert_int_equal(run.code, bad);
		assert_true(run.reason[0] != '\0');
	}
	assert_true(goods > 10 && bads > 10);
}

/* The option texts are refused for REASON. */
__attribute__((unused)) static void
run_refused(const char *plugin, const char *const *texts, const char *reason)
{
	if (run_try(plugin, texts)) {
		run_close();
		fail_msg("accepted; expected: %s", reason);
	}
	assert_string_equal(run.reason, reason);
}

#endif
