#include "store.h"

#include <fnmatch.h>
#include <pthread.h>
#include <stdlib.h>

struct store {
	struct store *next; /* of all there are */
	char *name;
	uint32_t users;

	pthread_mutex_t lock; /* guards the rest, and all of the entries but their data */
	uint64_t bytes_max;
	struct recent entries;
	struct store_sum sum;
};

static pthread_mutex_t stores_lock = PTHREAD_MUTEX_INITIALIZER;
static struct store *stores;

static size_t
entry_bytes(const struct store_entry *entry)
{
	return sizeof(*entry) + entry->entry.key.len + entry->len;
}

/* Without a hold that a reader has of it, it is freed. */
static void
entry_drop_locked(struct store_entry *entry)
{
	if (--entry->holds == 0)
		free(entry);
}

static void
entry_remove_locked(struct store *store, struct store_entry *entry)
{
	store->sum.entries--;
	store->sum.bytes -= entry_bytes(entry);
	recent_remove(&store->entries, &entry->entry);
	entry_drop_locked(entry);
}

struct store *
store_open(struct xf_str name, uint64_t bytes_max)
{
	struct store *store;

	pthread_mutex_lock(&stores_lock);
	for (store = stores; store != NULL; store = store->next)
		if (str_equal(str_of(store->name), name))
			break;
	if (store == NULL) {
		store = need(calloc(1, sizeof(*store)));
		store->name = (char *)str_copy(name).data;
		pthread_mutex_init(&store->lock, NULL);
		store->next = stores;
		stores = store;
	}
	store->users++;
	pthread_mutex_unlock(&stores_lock);
	pthread_mutex_lock(&store->lock);
	store->bytes_max = bytes_max;
	pthread_mutex_unlock(&store->lock);
	return store;
}

void
store_close(struct store **pointer)
{
	struct store *store = *pointer, **at = &stores;
	bool last;

	*pointer = NULL;
	if (store == NULL)
		return;
	pthread_mutex_lock(&stores_lock);
	last = --store->users == 0;
	while (last && *at != store)
		at = &(*at)->next;
	if (last)
		*at = store->next;
	pthread_mutex_unlock(&stores_lock);
	if (!last)
		return;
	while (store->entries.oldest != NULL)
		entry_remove_locked(store, (struct store_entry *)store->entries.oldest);
	recent_fini(&store->entries);
	pthread_mutex_destroy(&store->lock);
	free(store->name);
	free(store);
}

struct store_entry *
store_find(struct store *store, struct xf_str key, uint64_t now_ms)
{
	struct store_entry *entry;

	pthread_mutex_lock(&store->lock);
	entry = (struct store_entry *)recent_find(&store->entries, key);
	if (entry != NULL && entry->expires_ms <= now_ms) {
		entry_remove_locked(store, entry);
		entry = NULL;
	}
	if (entry != NULL) {
		recent_use(&store->entries, &entry->entry);
		entry->hits++;
		entry->holds++;
	}
	pthread_mutex_unlock(&store->lock);
	return entry;
}

void
store_drop(struct store *store, struct store_entry **entry)
{
	pthread_mutex_lock(&store->lock);
	entry_drop_locked(*entry);
	pthread_mutex_unlock(&store->lock);
	*entry = NULL;
}

/* The oldest, as long as they are over the bound, or their time is over anyway. */
static void
oldest_leave_locked(struct store *store, uint64_t now_ms)
{
	struct store_entry *oldest;

	while ((oldest = (struct store_entry *)store->entries.oldest) != NULL &&
	       (store->sum.bytes > store->bytes_max || oldest->expires_ms <= now_ms)) {
		store->sum.evicted += oldest->expires_ms > now_ms;
		entry_remove_locked(store, oldest);
	}
}

void
store_put(struct store *store, struct xf_str key, struct xf_str data, uint64_t ttl_ms, uint64_t now_ms)
{
	struct store_entry *entry = need(calloc(1, sizeof(*entry) + data.len)), *old;

	memcpy(entry->data, data.data, data.len);
	entry->len = data.len;
	entry->kept_ms = now_ms;
	entry->expires_ms = now_ms + ttl_ms;
	entry->holds = 1;
	pthread_mutex_lock(&store->lock);
	old = (struct store_entry *)recent_find(&store->entries, key);
	if (old != NULL)
		entry_remove_locked(store, old);
	recent_add(&store->entries, &entry->entry, key);
	store->sum.entries++;
	store->sum.bytes += entry_bytes(entry);
	oldest_leave_locked(store, now_ms);
	pthread_mutex_unlock(&store->lock);
}

void
store_each(struct store *store, const char *pattern, uint64_t now_ms,
           bool (*show)(const struct store_entry *entry, void *context), void *context)
{
	struct recent_entry *at;
	bool more = true;

	pthread_mutex_lock(&store->lock);
	for (at = store->entries.newest; at != NULL && more; at = at->older) {
		const struct store_entry *entry = (const struct store_entry *)at;

		if (entry->expires_ms > now_ms && fnmatch(pattern, at->key.data, 0) == 0)
			more = show(entry, context);
	}
	pthread_mutex_unlock(&store->lock);
}

uint64_t
store_remove(struct store *store, const char *pattern)
{
	struct recent_entry *at, *older;
	uint64_t count = 0;

	pthread_mutex_lock(&store->lock);
	for (at = store->entries.newest; at != NULL; at = older) {
		older = at->older;
		if (fnmatch(pattern, at->key.data, 0) != 0)
			continue;
		entry_remove_locked(store, (struct store_entry *)at);
		count++;
	}
	pthread_mutex_unlock(&store->lock);
	return count;
}

struct store_sum
store_sum(struct store *store)
{
	struct store_sum sum;

	pthread_mutex_lock(&store->lock);
	sum = store->sum;
	pthread_mutex_unlock(&store->lock);
	return sum;
}
