#include "dedup.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

bool
dedup_init(struct dedup *dedup, uint32_t window)
{
	uint64_t places = 64;

	memset(dedup, 0, sizeof(*dedup));
	dedup->window = window;
	if (window == 0)
		return true;
	if (getrandom(&dedup->seed, sizeof(dedup->seed), GRND_NONBLOCK) != (ssize_t)sizeof(dedup->seed))
		dedup->seed = (uint64_t)(uintptr_t)dedup; /* guards against chosen ids only */
	while (places < 2ull * window)
		places *= 2;
	dedup->mask = places - 1;
	for (int i = 0; i < 2; i++) {
		dedup->tables[i] = dedup->both[i] = calloc(places, sizeof(uint64_t));
		if (dedup->tables[i] == NULL) {
			dedup_fini(dedup);
			return false;
		}
	}
	return true;
}

void
dedup_fini(struct dedup *dedup)
{
	free(dedup->tables[0]);
	free(dedup->tables[1]);
	memset(dedup->tables, 0, sizeof(dedup->tables));
}

struct dedup_key
dedup_key(const struct dedup *dedup, struct xf_str subject, struct xf_str id)
{
	XXH128_hash_t hash;

	if (dedup->window == 0 || id.len == 0)
		return (struct dedup_key){0, 0};
	hash = XXH3_128bits_withSeed(id.data, id.len,
	                             XXH3_64bits_withSeed(subject.data, subject.len, dedup->seed));
	return (struct dedup_key){hash.low64 | 1, hash.high64};
}

void
dedup_prefetch(const struct dedup *dedup, struct dedup_key key)
{
	if (key.mark == 0)
		return;
	__builtin_prefetch(&dedup->both[0][key.place & dedup->mask], 1);
	__builtin_prefetch(&dedup->both[1][key.place & dedup->mask], 1);
}

/* Where KEY stands in TABLE, or the empty place where it would. */
static uint64_t *
place_find(uint64_t *table, uint64_t mask, struct dedup_key key)
{
	uint64_t at = key.place & mask;

	while (table[at] != 0 && table[at] != key.mark)
		at = (at + 1) & mask;
	return &table[at];
}

bool
dedup_seen(struct dedup *dedup, struct dedup_key key)
{
	uint64_t *place, *full;

	if (key.mark == 0)
		return false;
	place = place_find(dedup->tables[0], dedup->mask, key);
	if (*place != 0 || *place_find(dedup->tables[1], dedup->mask, key) != 0)
		return true;
	*place = key.mark;
	if (++dedup->used == dedup->window) {
		full = dedup->tables[0];
		dedup->tables[0] = dedup->tables[1];
		dedup->tables[1] = full;
		memset(dedup->tables[0], 0, (dedup->mask + 1) * sizeof(*full));
		dedup->used = 0;
	}
	return false;
}

/* A mark is odd, so this one is nobody's, and the search goes on behind it. */
#define GONE 2u

void
dedup_forget(struct dedup *dedup, struct dedup_key key)
{
	uint64_t *place;

	if (key.mark == 0)
		return;
	for (int i = 0; i < 2; i++) {
		place = place_find(dedup->tables[i], dedup->mask, key);
		if (*place != 0)
			*place = GONE;
	}
}
