/*
 * cache - answers from memory what was answered before.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cache.h"
#include "operator.h"
#include "store.h"

enum { BYTES_MAX = CACHE_ROWS };

static const struct xf_option *const options[] = {
	CACHE_OPTIONS,
	[BYTES_MAX] = ROW(.type = XF_OPTION_BYTES, .key = "max_bytes", .def = "64MiB", .min = 1024, .max = INT64_C(1) << 40,
	                  .help = "So much is kept; past that what was not used for longest leaves"),
	NULL,
};

struct memory {
	struct cache cache; /* first */
	struct store *store;
};

static bool
memory_keep(struct cache *cache, struct xf_str key, struct xf_str data, uint64_t ttl_ms)
{
	store_put(((struct memory *)cache)->store, key, data, ttl_ms, cache->host->now_ms());
	return true;
}

static void
memory_take(struct memory *m, const struct xf_task *task)
{
	struct store_entry *entry;
	struct xf_str key;
	uint64_t ttl_ms;
	bool answered;

	if (!cache_begin(&m->cache, task, &key, &ttl_ms))
		return;
	entry = store_find(m->store, key, m->cache.host->now_ms());
	if (entry != NULL) {
		answered = cache_hit(&m->cache, task->token, task->message, (struct xf_str){entry->data, entry->len});
		store_drop(m->store, &entry);
		if (answered)
			return;
	}
	cache_missed(&m->cache, task, key, ttl_ms);
}

static uint32_t
memory_process(void *instance, const struct xf_task *tasks, uint32_t stride, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		memory_take(instance, task_at(tasks, stride, i));
	return count;
}

static void
memory_cancel(void *instance, uint64_t token)
{
	cache_cancel(&((struct memory *)instance)->cache, token);
}

static void
memory_destroy(void *instance)
{
	struct memory *m = instance;

	cache_fini(&m->cache);
	store_close(&m->store);
	free(m);
}

static int32_t
memory_create(const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *config,
              const struct xf_handler_info *info, void **instance, struct xf_error *error)
{
	struct memory *m = need(calloc(1, sizeof(*m)));

	m->cache.keep = memory_keep;
	if (cache_init(&m->cache, host, endpoint, config, error) != 0) {
		memory_destroy(m);
		return -1;
	}
	m->store = store_open(cache_store_name(host, config, info), (uint64_t)host->option(config, BYTES_MAX)->i64);
	*instance = m;
	return 0;
}

static int32_t
memory_check(const struct xf_host *host, const struct xf_config *config, const struct xf_handler_info *info,
             struct xf_error *error)
{
	struct cache cache = {.host = host};
	int32_t result = cache_init(&cache, host, NULL, config, error);

	(void)info;
	cache_fini(&cache);
	return result;
}

static uint32_t
memory_numbers(void *instance, struct xf_number *numbers, uint32_t count)
{
	struct memory *m = instance;
	struct store_sum sum = store_sum(m->store);
	const struct xf_number more[] = {
		{"cache_evicted", "Answers that left before their time, for others.", sum.evicted, 0, 0},
		{"cache_entries", "Answers that are kept.", sum.entries, 1, 0},
		{"cache_bytes", "Bytes of memory that they take.", sum.bytes, 1, 0},
	};

	return cache_numbers(&m->cache, more, sizeof(more) / sizeof(*more), numbers, count);
}

/* ---- Operators ---------------------------------------------------------------------------- */

struct listing {
	struct bytes keys;
	uint32_t left;
	uint64_t now_ms;
};

static bool
entry_show(const struct store_entry *entry, void *context)
{
	struct listing *listing = context;
	char members[128];

	if (listing->left == 0)
		return false;
	listing->left--;
	snprintf(members, sizeof(members), ", \"bytes\": %zu, \"age_ms\": %llu, \"ttl_ms\": %llu, \"hits\": %llu", entry->len,
	         (unsigned long long)(listing->now_ms - entry->kept_ms),
	         (unsigned long long)(entry->expires_ms - listing->now_ms), (unsigned long long)entry->hits);
	key_write(&listing->keys, entry->entry.key, members);
	return true;
}

static int32_t
memory_serve(void *instance, const struct xf_operator_request *request, struct xf_operator_response *response,
             struct xf_error *error)
{
	struct memory *m = instance;
	struct listing listing = {.now_ms = m->cache.host->now_ms()};
	struct xf_number numbers[16];
	struct wish wish;

	if (wish_read(request, &wish, response, error) != 0)
		return -1;
	switch (wish.kind) {
	case WISH_NUMBERS:
		numbers_write(numbers, memory_numbers(m, numbers, 16), response);
		break;
	case WISH_LIST:
		listing.left = wish.limit;
		store_each(m->store, wish.match, listing.now_ms, entry_show, &listing);
		list_write(&listing.keys, listing.left > 0, response);
		break;
	case WISH_REMOVE:
		removed_write(store_remove(m->store, wish.match), true, response);
		break;
	}
	bytes_fini(&listing.keys);
	return 0;
}

static const struct xf_handler_ops ops = {
	.struct_size = sizeof(ops),
	.traits = cache_traits,
	.check = memory_check,
	.create = memory_create,
	.process = memory_process,
	.cancel = memory_cancel,
	.destroy = memory_destroy,
	.settled = cache_settled,
	.numbers = memory_numbers,
	.serve = memory_serve,
};

static const struct xf_handler_class memory_class = {
	.head = {
		.struct_size = sizeof(memory_class),
		.kind = XF_KIND_HANDLER,
		.name = "cache",
		.summary = "Answers from memory what was answered before",
	},
	.options = options,
	.ops = &ops,
};

const struct xf_entry *
xf_plugin_entry_v1(void)
{
	static const struct xf_class *const classes[] = {&memory_class.head, NULL};
	static const struct xf_entry entry = {
		XF_ENTRY_HEAD,
		.id = "org.crossfade.cache",
		.version = XF_VERSION,
		.licence = "Apache-2.0",
		.url = "",
		.classes = classes,
	};

	return &entry;
}
