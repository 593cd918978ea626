/*
 * drain.h - the end of the flow: nothing new comes in, what is under way ends.
 */
#ifndef XF_DAEMON_DRAIN_H
#define XF_DAEMON_DRAIN_H

#include "flow/flow.h"

/*
 * Drains within TIMEOUT_MS. While it does, each second brings a line in the log and a sign of life, and another
 * SIGTERM or SIGINT on SIGNALS (a signalfd) cuts it short. Returns how many messages were left unsettled.
 * Blocks; on the thread that made the flow.
 */
uint64_t xf_drain(struct xf_flow *flow, int signals, uint64_t timeout_ms);

#endif
