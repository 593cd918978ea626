/*
 * counter.h - numbers that one thread writes and any thread reads, without a locked instruction.
 *
 * Whoever reads a counter sees at least what was counted elsewhere before it: an end read before its beginning never
 * outnumbers it.
 */
#ifndef XF_BASE_COUNTER_H
#define XF_BASE_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

static inline void
xf_count(_Atomic uint64_t *counter, uint64_t by)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
	                      memory_order_release);
}

static inline uint64_t
xf_read(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_acquire);
}

#endif
