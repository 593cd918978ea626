/*
 * ratelimit - lets through so many messages of a key in a while; the windows are this instance's own.
 */
#include <stdio.h>
#include <stdlib.h>

#include "limit.h"
#include "windows.h"

enum { KEYS_MAX = LIMIT_ROWS };

static const struct xf_option *const options[] = {
	[LIMIT_KEY] = &limit_key,
	[LIMIT_RATE] = &limit_rate,
	[LIMIT_PER] = &limit_per,
	[LIMIT_OVER] = &limit_over,
	[KEYS_MAX] = ROW(.type = XF_OPTION_I64, .key = "max_keys", .def = "100000", .min = 1, .max = 10000000, .unit = "keys",
	                 .help = "So many keys are remembered; past that the ones that came longest ago are forgotten"),
	NULL,
};

struct ratelimit {
	struct limit limit;
	struct windows windows;
	_Atomic uint64_t keys;
};

static void
ratelimit_destroy(void *instance)
{
	struct ratelimit *r = instance;

	limit_fini(&r->limit);
	windows_fini(&r->windows);
	free(r);
}

static int32_t
ratelimit_create(const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *config,
                 const struct xf_handler_info *info, void **instance, struct xf_error *error)
{
	struct ratelimit *r = need(calloc(1, sizeof(*r)));

	(void)info;
	if (limit_init(&r->limit, host, endpoint, config, error) != 0) {
		ratelimit_destroy(r);
		return -1;
	}
	r->windows = (struct windows){
		.rate = r->limit.rate,
		.per_ms = r->limit.per_ms,
		.keys_max = (size_t)host->option(config, KEYS_MAX)->i64,
	};
	*instance = r;
	return 0;
}

static int32_t
ratelimit_check(const struct xf_host *host, const struct xf_config *config, const struct xf_handler_info *info,
                struct xf_error *error)
{
	void *instance;

	if (ratelimit_create(host, NULL, config, info, &instance, error) != 0)
		return -1;
	ratelimit_destroy(instance);
	return 0;
}

static uint32_t
ratelimit_process(void *instance, const struct xf_task *tasks, uint32_t stride, uint32_t count)
{
	struct ratelimit *r = instance;
	uint64_t now = r->limit.host->now_ms();

	for (uint32_t i = 0; i < count; i++) {
		const struct xf_task *task = task_at(tasks, stride, i);
		struct xf_error error = {{0}};
		struct xf_str key;

		if (limit_key_of(&r->limit, task->message, &key, &error))
			limit_finish(&r->limit, task->token, windows_take(&r->windows, key, now));
		else
			task_finish(r->limit.host, r->limit.endpoint, task->token, XF_OUTCOME_REFUSE, error.text);
	}
	atomic_store_explicit(&r->keys, r->windows.keys.count, memory_order_relaxed);
	return count;
}

static uint32_t
ratelimit_numbers(void *instance, struct xf_number *numbers, uint32_t count)
{
	struct ratelimit *r = instance;
	const struct xf_number all[] = {
		{"ratelimit_limited", "Messages that were over the limit, each time they came.", atomic_load(&r->limit.limited), 0, 0},
		{"ratelimit_keys", "Keys that are remembered.", atomic_load(&r->keys), 1, 0},
	};

	return numbers_copy(numbers, count, all, sizeof(all) / sizeof(*all));
}

static const struct xf_handler_ops ops = {
	.struct_size = sizeof(ops),
	.check = ratelimit_check,
	.create = ratelimit_create,
	.process = ratelimit_process,
	.destroy = ratelimit_destroy,
	.numbers = ratelimit_numbers,
};

static const struct xf_handler_class ratelimit_class = {
	.head = {
		.struct_size = sizeof(ratelimit_class),
		.kind = XF_KIND_HANDLER,
		.name = "ratelimit",
		.summary = "Lets through so many messages of a key within a sliding window, in memory",
	},
	.options = options,
	.ops = &ops,
};

const struct xf_entry *
xf_plugin_entry_v1(void)
{
	static const struct xf_class *const classes[] = {&ratelimit_class.head, NULL};
	static const struct xf_entry entry = {
		XF_ENTRY_HEAD,
		.id = "org.crossfade.ratelimit",
		.version = XF_VERSION,
		.licence = "Apache-2.0",
		.url = "",
		.classes = classes,
	};

	return &entry;
}
