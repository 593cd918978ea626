/*
 * migration.h - the two knobs, shared by all routes that use the migration.
 *
 * Threads: the knobs are one atomic word, read by every inlet at each turn. Changes are made one at a
 * time, under the flow's lock.
 */
#ifndef XF_FLOW_MIGRATION_H
#define XF_FLOW_MIGRATION_H

#include <stdatomic.h>

#include "conf/conf.h"
#include "flow/state.h"

struct xf_migration {
	const struct xf_conf_migration *conf;
	_Atomic uint64_t knobs;
	/* Lanes of all ways that still have something under way at the side that they are to leave, and when the last one had
	 * not any more. Kept by the ways. */
	_Atomic uint32_t moving;
	_Atomic uint64_t moved_ms;
};

/* What the word says. version differs after each change, forces after each forced one. */
struct xf_knobs {
	uint32_t version;
	uint16_t forces;
	struct xf_position position;
};

static inline uint64_t
xf_knobs_pack(struct xf_knobs knobs)
{
	return (uint64_t)knobs.version << 40 | (uint64_t)knobs.forces << 24 | (uint64_t)knobs.position.mirror << 16 |
	       knobs.position.percent;
}

static inline struct xf_knobs
xf_knobs_unpack(uint64_t word)
{
	return (struct xf_knobs){
		.version = (uint32_t)(word >> 40),
		.forces = (uint16_t)(word >> 24),
		.position = {.percent = word & 0xffff, .mirror = (enum xf_mirror)(word >> 16 & 0xff)},
	};
}

static inline struct xf_knobs
xf_migration_knobs(const struct xf_migration *migration)
{
	return xf_knobs_unpack(atomic_load_explicit(&migration->knobs, memory_order_acquire));
}

/* A way tells how many of its lanes move; BEFORE is what it told last. */
static inline void
xf_migration_moving(struct xf_migration *migration, uint32_t before, uint32_t now, uint64_t now_ms)
{
	if (now < before)
		atomic_store(&migration->moved_ms, now_ms);
	atomic_fetch_add(&migration->moving, now - before);
}

#endif
