/*
 * retry.h - how long to wait before another attempt, by a route's policy: for legs that a sink did not take, and for jobs that a
 * handler failed.
 */
#ifndef XF_FLOW_RETRY_H
#define XF_FLOW_RETRY_H

#include "conf/conf.h"

/* Milliseconds, after so many RETRIES, none at first. RANDOM is the state of the jitter, which is not 0 (xorshift64, Marsaglia 2003). */
static inline uint64_t
xf_retry_delay(const struct xf_conf_retry *retry, uint32_t retries, uint64_t *random)
{
	uint64_t delay = retry->initial_ms;

	while (!retry->constant && retries-- > 0 && delay < retry->max_ms)
		delay *= 2;
	if (delay > retry->max_ms)
		delay = retry->max_ms;
	if (!retry->jitter)
		return delay;
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return delay / 2 + *random % (delay / 2 + 1);
}

#endif
