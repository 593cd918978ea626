#include "flow/pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

#define WHOLE 10000 /* hundredths of a percent */

struct xf_pool {
	struct xf_pool *next; /* [control] */
	unsigned users;       /* [control] */
	char *name;
	pthread_mutex_t lock; /* guards the rest */
	uint32_t slots;
	uint32_t share;  /* hundredths of a percent of the grants that go by time alone */
	uint32_t credit; /* of that share; at WHOLE one is due */
	uint32_t busy;
	uint64_t count;  /* of all that happened */
	struct xf_pool_member *members;
};

/* ---- Whose turn it is -------------------------------------------------------------------------- */

static bool
waits(const struct xf_pool_member *member)
{
	return atomic_load_explicit(&member->waiting, memory_order_relaxed) > 0;
}

/* With the lock. Of those that wait the one of the highest priority; of equal ones, that which was given none for longest. */
static struct xf_pool_member *
member_highest(const struct xf_pool *pool)
{
	struct xf_pool_member *best = NULL;

	for (struct xf_pool_member *m = pool->members; m != NULL; m = m->next)
		if (waits(m) && (best == NULL || m->priority > best->priority ||
		                 (m->priority == best->priority &&
		                  (m->turn < best->turn || (m->turn == best->turn && m->since < best->since)))))
			best = m;
	return best;
}

/* With the lock. Of those that wait with less than PRIORITY the one that has waited longest. */
static struct xf_pool_member *
member_passed_over(const struct xf_pool *pool, uint32_t priority)
{
	struct xf_pool_member *best = NULL;

	for (struct xf_pool_member *m = pool->members; m != NULL; m = m->next)
		if (waits(m) && m->priority < priority && (best == NULL || m->since < best->since))
			best = m;
	return best;
}

/* With the lock: the one that is to get a slot. For each time that somebody is passed over the share grows, until a turn is due. */
static struct xf_pool_member *
member_choose(struct xf_pool *pool)
{
	struct xf_pool_member *first = member_highest(pool);
	struct xf_pool_member *other = first != NULL ? member_passed_over(pool, first->priority) : NULL;

	if (other == NULL)
		return first;
	pool->credit += pool->share;
	if (pool->credit < WHOLE)
		return first;
	pool->credit -= WHOLE;
	return other;
}

/* With the lock: free slots go to those that wait. */
static void
slots_grant(struct xf_pool *pool)
{
	struct xf_pool_member *member;

	while (pool->busy < pool->slots && (member = member_choose(pool)) != NULL) {
		pool->busy++;
		pool->count++;
		member->turn = member->since = pool->count;
		atomic_fetch_sub(&member->waiting, 1);
		atomic_fetch_add(&member->busy, 1);
		atomic_fetch_add(&member->granted, 1);
		xf_inbox_ring(member->bell);
	}
}

/* ---- Pools ----------------------------------------------------------------------------------- */

struct xf_pool *
xf_pool_use(struct xf_pools *pools, const struct xf_conf_pool *conf)
{
	struct xf_pool *pool = pools->first;

	while (pool != NULL && strcmp(pool->name, conf->name) != 0)
		pool = pool->next;
	if (pool == NULL) {
		pool = xf_alloc(sizeof(*pool));
		pool->name = xf_strdup(conf->name);
		pthread_mutex_init(&pool->lock, NULL);
		pool->next = pools->first;
		pools->first = pool;
	}
	pool->users++;
	pthread_mutex_lock(&pool->lock);
	pool->slots = conf->concurrency;
	pool->share = conf->share;
	slots_grant(pool);
	pthread_mutex_unlock(&pool->lock);
	return pool;
}

void
xf_pool_release(struct xf_pools *pools, struct xf_pool *pool)
{
	struct xf_pool **at = &pools->first;

	if (pool == NULL || --pool->users > 0)
		return;
	while (*at != pool)
		at = &(*at)->next;
	*at = pool->next;
	pthread_mutex_destroy(&pool->lock);
	free(pool->name);
	free(pool);
}

/* ---- Members ------------------------------------------------------------------------------------- */

void
xf_pool_join(struct xf_pool *pool, struct xf_pool_member *member, uint32_t priority, struct xf_inbox *bell)
{
	*member = (struct xf_pool_member){.pool = pool, .bell = bell, .priority = priority};
	pthread_mutex_lock(&pool->lock);
	member->next = pool->members;
	pool->members = member;
	pthread_mutex_unlock(&pool->lock);
}

void
xf_pool_leave(struct xf_pool_member *member)
{
	struct xf_pool *pool = member->pool;
	struct xf_pool_member **at;

	if (pool == NULL)
		return;
	pthread_mutex_lock(&pool->lock);
	for (at = &pool->members; *at != member;)
		at = &(*at)->next;
	*at = member->next;
	pool->busy -= atomic_load(&member->busy);
	slots_grant(pool);
	pthread_mutex_unlock(&pool->lock);
	*member = (struct xf_pool_member){.pool = NULL};
}

bool
xf_pool_enter(struct xf_pool_member *member)
{
	struct xf_pool *pool = member->pool;
	bool entered;

	pthread_mutex_lock(&pool->lock);
	pool->count++;
	/* Where others wait there is none, and who waits already does not pass himself. */
	entered = pool->busy < pool->slots;
	if (entered) {
		pool->busy++;
		member->turn = pool->count;
		atomic_fetch_add(&member->busy, 1);
	} else {
		if (atomic_load_explicit(&member->waiting, memory_order_relaxed) == 0)
			member->since = pool->count;
		atomic_fetch_add(&member->waiting, 1);
	}
	pthread_mutex_unlock(&pool->lock);
	return entered;
}

uint32_t
xf_pool_take(struct xf_pool_member *member)
{
	return atomic_load_explicit(&member->granted, memory_order_relaxed) > 0 ? atomic_exchange(&member->granted, 0) : 0;
}

void
xf_pool_exit(struct xf_pool_member *member)
{
	struct xf_pool *pool = member->pool;

	pthread_mutex_lock(&pool->lock);
	XF_ASSERT(atomic_load(&member->busy) > 0);
	atomic_fetch_sub(&member->busy, 1);
	pool->busy--;
	slots_grant(pool);
	pthread_mutex_unlock(&pool->lock);
}
