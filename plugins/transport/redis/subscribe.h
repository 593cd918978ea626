/*
 * subscribe.h - the source: SUBSCRIBE, or PSUBSCRIBE where the subject is a pattern.
 */
#ifndef REDIS_SUBSCRIBE_H
#define REDIS_SUBSCRIBE_H

#include <crossfade/transport.h>

extern const struct xf_option *const subscribe_options[];
extern const struct xf_source_ops subscribe_ops;

#endif
