/*
 * dedupe - drops messages that came before, and stood.
 *
 * The ids of those under way and of those that stood are in one memory, in the order in which they were used.
 */
#include <stdio.h>
#include <stdlib.h>

#include "ids.h"

#define TWIN_MS 50u /* where the first is under way */

enum { COUNT = IDS_ROWS };

static const struct xf_option *const options[] = {
	[IDS_ID] = &ids_id,
	[IDS_WITHIN] = &ids_within,
	[COUNT] = ROW(.type = XF_OPTION_I64, .key = "count", .def = "100000", .min = 1, .max = 100000000, .unit = "ids",
	              .help = "So many ids are remembered; past that the oldest are forgotten"),
	NULL,
};

struct seen {
	struct recent_entry entry; /* by id */
	bool stood;                /* else it is under way */
	uint64_t at_ms;            /* of that */
};

struct dedupe {
	struct ids ids;
	size_t count_max;
	struct recent seen;
	_Atomic uint64_t remembered;
};

static void
seen_drop(struct dedupe *d, struct seen *seen)
{
	recent_remove(&d->seen, &seen->entry);
	free(seen);
}

static bool
is_over(const struct dedupe *d, const struct seen *seen, uint64_t now)
{
	return seen->stood && now - seen->at_ms >= d->ids.within_ms;
}

/* Of those that stood. There are never more under way than the core lets in, and they stay. */
static void
oldest_leave(struct dedupe *d, uint64_t now)
{
	struct recent_entry *at, *newer;

	for (at = d->seen.oldest; at != NULL && d->seen.count >= d->count_max; at = newer) {
		newer = at->newer;
		if (((struct seen *)at)->stood)
			seen_drop(d, (struct seen *)at);
	}
	while (d->seen.oldest != NULL && is_over(d, (struct seen *)d->seen.oldest, now))
		seen_drop(d, (struct seen *)d->seen.oldest);
}

static void
task_take(struct dedupe *d, const struct xf_task *task, uint64_t now)
{
	struct seen *seen;
	struct xf_str id;

	if (!ids_of(&d->ids, task, &id))
		return;
	oldest_leave(d, now);
	seen = (struct seen *)recent_find(&d->seen, id);
	if (seen != NULL && is_over(d, seen, now)) {
		seen_drop(d, seen);
		seen = NULL;
	}
	if (seen != NULL && seen->stood) {
		ids_drop(&d->ids, task->token);
	} else if (seen != NULL) {
		ids_wait(&d->ids, task->token, "another of this id is under way", TWIN_MS);
	} else {
		seen = need(calloc(1, sizeof(*seen)));
		recent_add(&d->seen, &seen->entry, id);
		ids_pass(&d->ids, task->token, id);
	}
}

static uint32_t
dedupe_process(void *instance, const struct xf_task *tasks, uint32_t stride, uint32_t count)
{
	struct dedupe *d = instance;
	uint64_t now = d->ids.host->now_ms();

	for (uint32_t i = 0; i < count; i++)
		task_take(d, task_at(tasks, stride, i), now);
	atomic_store_explicit(&d->remembered, d->seen.count, memory_order_relaxed);
	return count;
}

static void
settle(struct dedupe *d, const struct xf_settled *settled)
{
	struct passed *passed = ids_settled(&d->ids, settled->token);
	struct seen *seen = passed != NULL ? (struct seen *)recent_find(&d->seen, passed->id) : NULL;

	if (passed != NULL)
		ids_forget(&passed);
	if (seen == NULL)
		return;
	if (settled->code != XF_SETTLED_STOOD) {
		seen_drop(d, seen);
		return;
	}
	seen->stood = true;
	seen->at_ms = d->ids.host->now_ms();
	recent_use(&d->seen, &seen->entry);
}

static void
dedupe_settled(void *instance, const struct xf_settled *settled, uint32_t stride, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		settle(instance, (const void *)((const char *)settled + (size_t)i * stride));
}

static void
dedupe_destroy(void *instance)
{
	struct dedupe *d = instance;

	while (d->seen.oldest != NULL)
		seen_drop(d, (struct seen *)d->seen.oldest);
	recent_fini(&d->seen);
	ids_fini(&d->ids);
	free(d);
}

static int32_t
dedupe_create(const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *config,
              const struct xf_handler_info *info, void **instance, struct xf_error *error)
{
	struct dedupe *d = need(calloc(1, sizeof(*d)));

	(void)info;
	d->count_max = (size_t)host->option(config, COUNT)->i64;
	if (ids_init(&d->ids, host, endpoint, config, error) != 0) {
		dedupe_destroy(d);
		return -1;
	}
	*instance = d;
	return 0;
}

static int32_t
dedupe_check(const struct xf_host *host, const struct xf_config *config, const struct xf_handler_info *info,
             struct xf_error *error)
{
	void *instance;

	if (dedupe_create(host, NULL, config, info, &instance, error) != 0)
		return -1;
	dedupe_destroy(instance);
	return 0;
}

static uint32_t
dedupe_numbers(void *instance, struct xf_number *numbers, uint32_t count)
{
	struct dedupe *d = instance;
	const struct xf_number all[] = {
		{"dedupe_dropped", "Messages that were dropped, since one of their id stood.", atomic_load(&d->ids.dropped), 0, 0},
		{"dedupe_waited", "Messages that came while one of their id was under way, each time.", atomic_load(&d->ids.waited), 0, 0},
		{"dedupe_ids", "Ids that are remembered.", atomic_load(&d->remembered), 1, 0},
	};

	return numbers_copy(numbers, count, all, sizeof(all) / sizeof(*all));
}

static const struct xf_handler_ops ops = {
	.struct_size = sizeof(ops),
	.check = dedupe_check,
	.create = dedupe_create,
	.process = dedupe_process,
	.destroy = dedupe_destroy,
	.settled = dedupe_settled,
	.numbers = dedupe_numbers,
};

static const struct xf_handler_class dedupe_class = {
	.head = {
		.struct_size = sizeof(dedupe_class),
		.kind = XF_KIND_HANDLER,
		.name = "dedupe",
		.summary = "Drops messages that came before, and stood",
	},
	.options = options,
	.ops = &ops,
};

const struct xf_entry *
xf_plugin_entry_v1(void)
{
	static const struct xf_class *const classes[] = {&dedupe_class.head, NULL};
	static const struct xf_entry entry = {
		XF_ENTRY_HEAD,
		.id = "org.crossfade.dedupe",
		.version = XF_VERSION,
		.licence = "Apache-2.0",
		.url = "",
		.classes = classes,
	};

	return &entry;
}
