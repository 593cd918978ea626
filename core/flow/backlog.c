#include "flow/backlog.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define ARRIVAL_MS 1000 /* what was on its way when the lane moved has come by then */
#define BUCKETS 10000

struct xf_backlog {
	const struct xf_migration *migration;
	pthread_mutex_t lock;
	uint32_t version; /* one more whenever a bucket begins or ends to wait */
	uint32_t knobs_version;
	uint32_t percent;
	uint64_t moved_ms[BUCKETS]; /* when a bucket left the side `left`; 0: nothing of it waits */
	uint8_t left[BUCKETS];
	bool full[2];
};

struct xf_backlog *
xf_backlog_create(const struct xf_migration *migration)
{
	struct xf_backlog *backlog = xf_alloc(sizeof(*backlog));
	struct xf_knobs knobs = xf_migration_knobs(migration);

	backlog->migration = migration;
	backlog->version = 1;
	backlog->knobs_version = knobs.version;
	backlog->percent = knobs.position.percent;
	pthread_mutex_init(&backlog->lock, NULL);
	return backlog;
}

void
xf_backlog_destroy(struct xf_backlog **backlog)
{
	if (*backlog == NULL)
		return;
	pthread_mutex_destroy(&(*backlog)->lock);
	free(*backlog);
	*backlog = NULL;
}

static void
knobs_follow(struct xf_backlog *backlog, uint64_t now_ms)
{
	struct xf_knobs knobs = xf_migration_knobs(backlog->migration);
	uint32_t percent = knobs.position.percent, before = backlog->percent;

	if (knobs.version == backlog->knobs_version)
		return;
	backlog->knobs_version = knobs.version;
	backlog->percent = percent;
	for (uint32_t bucket = percent < before ? percent : before; bucket < percent || bucket < before; bucket++) {
		backlog->left[bucket] = percent < before;
		backlog->moved_ms[bucket] = now_ms;
		backlog->version++;
	}
}

bool
xf_backlog_look(struct xf_backlog *backlog, unsigned side, uint64_t now_ms, struct xf_backlog_view *view)
{
	bool changed;

	pthread_mutex_lock(&backlog->lock);
	knobs_follow(backlog, now_ms);
	changed = view->version != backlog->version;
	if (changed) {
		memset(view, 0, sizeof(*view));
		view->version = backlog->version;
		for (uint32_t bucket = 0; bucket < BUCKETS; bucket++) {
			if (backlog->moved_ms[bucket] == 0 || backlog->left[bucket] == side)
				continue;
			view->any = true;
			view->waits[bucket / 64] |= UINT64_C(1) << (bucket % 64);
		}
	}
	pthread_mutex_unlock(&backlog->lock);
	return changed;
}

void
xf_backlog_ended(struct xf_backlog *backlog, unsigned side, uint64_t at_ms)
{
	/* What is under way to the side that is left is not there yet. */
	if (atomic_load(&backlog->migration->moving) > 0 ||
	    at_ms < atomic_load(&backlog->migration->moved_ms) + ARRIVAL_MS)
		return;
	pthread_mutex_lock(&backlog->lock);
	for (uint32_t bucket = 0; bucket < BUCKETS; bucket++) {
		if (backlog->moved_ms[bucket] == 0 || backlog->left[bucket] != side ||
		    at_ms < backlog->moved_ms[bucket] + ARRIVAL_MS)
			continue;
		backlog->moved_ms[bucket] = 0;
		backlog->version++;
	}
	pthread_mutex_unlock(&backlog->lock);
}

bool
xf_backlog_full(struct xf_backlog *backlog, unsigned side, bool full)
{
	bool both;

	pthread_mutex_lock(&backlog->lock);
	backlog->full[side] = full;
	both = backlog->full[0] && backlog->full[1];
	if (both) {
		memset(backlog->moved_ms, 0, sizeof(backlog->moved_ms));
		memset(backlog->full, 0, sizeof(backlog->full));
		backlog->version++;
	}
	pthread_mutex_unlock(&backlog->lock);
	return both;
}

bool
xf_backlog_turns(struct xf_backlog *backlog, const struct xf_migration *migration, uint32_t percent)
{
	bool turns = false;

	if (backlog->migration != migration)
		return false;
	pthread_mutex_lock(&backlog->lock);
	for (uint32_t bucket = 0; bucket < BUCKETS && !turns; bucket++)
		turns = backlog->moved_ms[bucket] != 0 && backlog->left[bucket] == (bucket < percent);
	pthread_mutex_unlock(&backlog->lock);
	return turns;
}
