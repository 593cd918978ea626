/*
 * cache.h - what both classes of caches have in common: which messages are looked up or kept, under what, for how long, and what becomes of
 * those that wait.
 *
 * A class looks up; it says what it found by cache_hit(), or cache_found() for a flight, and is told what to keep.
 *
 * Threads: the handler's; its numbers are read from any.
 */
#ifndef CACHE_CACHE_H
#define CACHE_CACHE_H

#include <stdatomic.h>

#include "edits.h"
#include "flights.h"
#include "stored.h"
#include "subjects.h"

enum {
	CACHE_KEY,
	CACHE_MODE,
	CACHE_MISS,
	CACHE_TTL,
	CACHE_KINDS,
	CACHE_PRIVATE,
	CACHE_PATCH,
	CACHE_SINGLE_FLIGHT,
	CACHE_MAX_ENTRY,
	CACHE_STORE,
	CACHE_ROWS
};

/* The first rows of a class's table. */
extern const struct xf_option cache_key, cache_mode, cache_miss, cache_ttl, cache_kinds, cache_private, cache_patch,
	cache_single_flight, cache_max_entry, cache_store;
#define CACHE_OPTIONS                                                                                                            \
	[CACHE_KEY] = &cache_key, [CACHE_MODE] = &cache_mode, [CACHE_MISS] = &cache_miss, [CACHE_TTL] = &cache_ttl,             \
	[CACHE_KINDS] = &cache_kinds, [CACHE_PRIVATE] = &cache_private, [CACHE_PATCH] = &cache_patch,                           \
	[CACHE_SINGLE_FLIGHT] = &cache_single_flight, [CACHE_MAX_ENTRY] = &cache_max_entry, [CACHE_STORE] = &cache_store

enum { MODE_THROUGH, MODE_LOOKUP, MODE_STORE };

struct kind;

struct cache {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	/* DATA is to be kept under KEY; both are borrowed for the call. False: it cannot be. */
	bool (*keep)(struct cache *cache, struct xf_str key, struct xf_str data, uint64_t ttl_ms);

	struct template *key;
	int64_t mode;
	bool refuses; /* what is missed */
	bool single_flight;
	uint64_t ttl_ms;
	uint64_t entry_max;
	struct kind *kinds;
	uint32_t kind_count;
	struct subjects *subjects; /* of kinds */
	void **found;              /* room for what a look-up of them writes */
	struct template **private;
	uint32_t private_count;
	struct edits *patch; /* NULL: none */

	struct flights flights;
	struct stored stored;
	struct view view;         /* of the task at hand */
	uint64_t viewed;          /* its token */
	struct view answer;
	struct bytes scratch, key_text, data, payload;

	_Atomic uint64_t hits, misses, waited, kept, private_seen;
};

/* -1 with a reason; cache_fini() in any case. */
int32_t cache_init(struct cache *cache, const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *config,
                   struct xf_error *error);
void cache_fini(struct cache *cache);

/* [pure] XF_HANDLER_*. */
uint64_t cache_traits(const struct xf_host *host, const struct xf_config *config);

/* What is shared with caches of the same name: option `store`, or INFO's name. */
struct xf_str cache_store_name(const struct xf_host *host, const struct xf_config *config, const struct xf_handler_info *info);

/* Begins with TASK. True: it is to be looked up under *KEY, valid until the next task, for *TTL_MS; false: it is finished. */
bool cache_begin(struct cache *cache, const struct xf_task *task, struct xf_str *key, uint64_t *ttl_ms);

/* Finishes a task with what was found. False: that is no answer; the task is still there. */
bool cache_hit(struct cache *cache, uint64_t token, const struct xf_incoming *message, struct xf_str data);

/* Finishes a task that was looked up in vain; with `mode: through` it, or another, is at work. */
void cache_missed(struct cache *cache, const struct xf_task *task, struct xf_str key, uint64_t ttl_ms);

/* What was looked up for FLIGHT, which is its owner's no more: DATA, or with NULL in it nothing. */
void cache_found(struct cache *cache, struct flight *flight, struct xf_str data);

/* As the class's own. */
void cache_cancel(struct cache *cache, uint64_t token);
void cache_settled(void *cache, const struct xf_settled *settled, uint32_t stride, uint32_t count);

/* The numbers of struct cache, then MORE of the class's own. */
uint32_t cache_numbers(struct cache *cache, const struct xf_number *more, uint32_t more_count, struct xf_number *numbers,
                       uint32_t count);

#endif
