#include "recent.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define BUCKETS_FIRST 64

static uint64_t
hash_of(struct xf_str key)
{
	return XXH3_64bits(key.len > 0 ? key.data : "", key.len);
}

void
recent_fini(struct recent *recent)
{
	free(recent->buckets);
	*recent = (struct recent){.buckets = NULL};
}

struct recent_entry *
recent_find(const struct recent *recent, struct xf_str key)
{
	uint64_t hash = hash_of(key);
	struct recent_entry *entry = recent->count > 0 ? recent->buckets[hash & (recent->bucket_count - 1)] : NULL;

	while (entry != NULL && (entry->hash != hash || !str_equal(entry->key, key)))
		entry = entry->next;
	return entry;
}

static void
grow(struct recent *recent)
{
	size_t count = recent->bucket_count > 0 ? recent->bucket_count * 2 : BUCKETS_FIRST;

	free(recent->buckets);
	recent->buckets = need(calloc(count, sizeof(struct recent_entry *)));
	recent->bucket_count = count;
	for (struct recent_entry *entry = recent->newest; entry != NULL; entry = entry->older) {
		entry->next = recent->buckets[entry->hash & (count - 1)];
		recent->buckets[entry->hash & (count - 1)] = entry;
	}
}

static void
link_newest(struct recent *recent, struct recent_entry *entry)
{
	entry->newer = NULL;
	entry->older = recent->newest;
	if (recent->newest != NULL)
		recent->newest->newer = entry;
	else
		recent->oldest = entry;
	recent->newest = entry;
}

static void
unlink_entry(struct recent *recent, struct recent_entry *entry)
{
	if (entry->newer != NULL)
		entry->newer->older = entry->older;
	else
		recent->newest = entry->older;
	if (entry->older != NULL)
		entry->older->newer = entry->newer;
	else
		recent->oldest = entry->newer;
}

void
recent_add(struct recent *recent, struct recent_entry *entry, struct xf_str key)
{
	struct recent_entry **bucket;

	if (recent->count == recent->bucket_count)
		grow(recent);
	entry->hash = hash_of(key);
	entry->key = str_copy(key);
	bucket = &recent->buckets[entry->hash & (recent->bucket_count - 1)];
	entry->next = *bucket;
	*bucket = entry;
	link_newest(recent, entry);
	recent->count++;
}

void
recent_use(struct recent *recent, struct recent_entry *entry)
{
	if (recent->newest == entry)
		return;
	unlink_entry(recent, entry);
	link_newest(recent, entry);
}

void
recent_remove(struct recent *recent, struct recent_entry *entry)
{
	struct recent_entry **at = &recent->buckets[entry->hash & (recent->bucket_count - 1)];

	while (*at != entry)
		at = &(*at)->next;
	*at = entry->next;
	unlink_entry(recent, entry);
	free((char *)entry->key.data);
	recent->count--;
}
