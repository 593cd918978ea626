/*
 * source.h - reads a stream through a durable pull consumer, or subscribes on the core.
 */
#ifndef NATS_SOURCE_H
#define NATS_SOURCE_H

#include <crossfade/transport.h>

extern const struct xf_source_ops nats_source_ops;

#endif
