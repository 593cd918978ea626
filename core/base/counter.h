/*
 * counter.h - numbers that one thread writes and any thread reads, without a locked instruction.
 */
#ifndef XF_BASE_COUNTER_H
#define XF_BASE_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

static inline void
xf_count(_Atomic uint64_t *counter, uint64_t by)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
	                      memory_order_relaxed);
}

static inline uint64_t
xf_read(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

#endif
