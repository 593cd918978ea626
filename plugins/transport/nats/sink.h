/*
 * sink.h - publishes, to a stream (confirmed by its PubAck) or on the core (confirmed by a PONG).
 */
#ifndef NATS_SINK_H
#define NATS_SINK_H

#include <crossfade/transport.h>

extern const struct xf_sink_ops nats_sink_ops;

#endif
