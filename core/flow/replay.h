/*
 * replay.h - a spool read as a source: what waits in it comes in again, in order, and is removed once it was settled.
 *
 * It is a source like that of any plugin, with an inlet and a way of its own (inlet.h), so what is read back is sent, retried and
 * refused by the same rules as what comes new.
 */
#ifndef XF_FLOW_REPLAY_H
#define XF_FLOW_REPLAY_H

#include "conf/conf.h"
#include "flow/spooler.h"

/* The `shared` of its create() is the spooler. */
extern const struct xf_transport_class xf_replay_class;

/* In an incoming message's flags: where it is to go, as its record says. */
#define XF_REPLAY_ROLE(flags) ((flags) >> 28)
#define XF_REPLAY_SINK(flags) ((flags) >> 20 & 0xff)

#endif
