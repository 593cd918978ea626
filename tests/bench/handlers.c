/*
 * handlers - what a message costs in a handler that answers at once: a hit and a miss of the cache, and a rate limit, by themselves.
 *
 *   bench-handlers PLUGINS [COUNT]
 *
 * Prints nanoseconds a message, what the core adds not among them.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <crossfade/handler.h>

#include "settings.h"

#define KEYS 1000

static uint32_t codes[XF_OUTCOME_DONE + 1];

static uint64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t
host_now_ms(void)
{
	return now_ns() / 1000000;
}

static void
host_finish(struct xf_endpoint *endpoint, const struct xf_outcome *outcome, uint32_t stride, uint32_t count)
{
	(void)endpoint, (void)stride, (void)count;
	codes[outcome->code]++;
}

static const struct xf_host host = {
	.struct_size = sizeof(host),
	.option = settings_option,
	.now_ms = host_now_ms,
	.finish = host_finish,
};

static const struct xf_handler_ops *
plugin_open(const char *dir, const char *name, const char *const *texts, void **instance)
{
	static const struct xf_handler_info info = {.struct_size = sizeof(info), .name = {"r/h", 3}, .route = {"r", 1}};
	const struct xf_entry *(*entry)(void);
	const struct xf_handler_class *class;
	struct xf_config *config;
	struct xf_error error;
	char path[4096];
	void *file;

	snprintf(path, sizeof(path), "%s/crossfade-handler-%s.so", dir, name);
	file = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (file == NULL) {
		fprintf(stderr, "%s\n", dlerror());
		exit(2);
	}
	*(void **)&entry = dlsym(file, "xf_plugin_entry_v1");
	class = (const struct xf_handler_class *)entry()->classes[0];
	config = settings_create(class->options, texts, &error);
	if (config == NULL || class->ops->create(&host, NULL, config, &info, instance, &error) != 0) {
		fprintf(stderr, "%s: %s\n", name, error.text);
		exit(2);
	}
	return class->ops;
}

/* COUNT messages of KEYS keys, with a JSON payload of some 200 bytes. */
static void
run(const char *what, const struct xf_handler_ops *ops, void *instance, uint32_t count, uint32_t code)
{
	static char payloads[KEYS][256], subjects[KEYS][32];
	uint64_t begun;

	for (uint32_t i = 0; i < KEYS; i++) {
		snprintf(subjects[i], sizeof(subjects[i]), "request.%u", i);
		snprintf(payloads[i], sizeof(payloads[i]),
		         "{\"id\":\"0b5e1f1c-%08u\",\"title\":\"The printer in the hall is out of paper\",\"category\":\"%u\","
		         "\"requester_name\":\"ann\",\"requester_role\":\"manager\",\"timestamp\":\"2024-01-01T00:00:00Z\"}",
		         i, i);
	}
	memset(codes, 0, sizeof(codes));
	begun = now_ns();
	for (uint32_t i = 0; i < count; i++) {
		const struct xf_incoming message = {
			.subject = {subjects[i % KEYS], strlen(subjects[i % KEYS])},
			.payload = payloads[i % KEYS],
			.payload_size = strlen(payloads[i % KEYS]),
		};
		const struct xf_task task = {.token = i + 1, .message = &message, .message_size = sizeof(message)};

		ops->process(instance, &task, sizeof(task), 1);
	}
	printf("%-44s %6.0f ns\n", what, (double)(now_ns() - begun) / count);
	if (codes[code] != count) {
		fprintf(stderr, "%s: not all as expected\n", what);
		exit(1);
	}
}

static void
cache_run(const char *what, const char *dir, const char *const *texts, uint32_t count)
{
	const char *filling[8] = {"store=bench", "mode=store", texts[0], NULL};
	void *store, *cache;
	const struct xf_handler_ops *ops = plugin_open(dir, "cache", filling, &store);

	run("  (kept)", ops, store, KEYS, XF_OUTCOME_PASS);
	ops = plugin_open(dir, "cache", texts, &cache);
	run(what, ops, cache, count, XF_OUTCOME_DONE);
	ops->destroy(cache);
	ops->destroy(store);
}

int
main(int argc, char **argv)
{
	const char *dir = argc > 1 ? argv[1] : "";
	uint32_t count = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1000000;
	const struct xf_handler_ops *ops;
	void *limit;

	if (argc < 2) {
		fprintf(stderr, "usage: bench-handlers PLUGINS [COUNT]\n");
		return 2;
	}
	cache_run("cache hit, key {subject}", dir, (const char *const[]){"key={subject}", "store=bench", NULL}, count);
	cache_run("cache hit, key {json./category}", dir, (const char *const[]){"key={json./category}", "store=bench", NULL}, count);
	cache_run("cache hit, key {json./category}, patched", dir,
	          (const char *const[]){"key={json./category}", "store=bench", "patch.set[0].field=/id",
	                                "patch.set[0].value={json./id}", NULL},
	          count);
	ops = plugin_open(dir, "ratelimit", (const char *const[]){"key={json./category}", "rate=100000000", NULL}, &limit);
	run("ratelimit, key {json./category}", ops, limit, count, XF_OUTCOME_PASS);
	ops->destroy(limit);
	return 0;
}
