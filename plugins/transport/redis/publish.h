/*
 * publish.h - the sink: PUBLISH, or XADD.
 */
#ifndef REDIS_PUBLISH_H
#define REDIS_PUBLISH_H

#include <crossfade/transport.h>

extern const struct xf_option *const publish_options[];
extern const struct xf_sink_ops publish_ops;

#endif
