/*
 * endpoints.h - the two kinds of endpoint, as plugin.c puts them into the class.
 */
#ifndef CROSSFADE_AMQP_ENDPOINTS_H
#define CROSSFADE_AMQP_ENDPOINTS_H

#include <crossfade/transport.h>

extern const struct xf_source_ops source_ops; /* source.c */
extern const struct xf_sink_ops sink_ops;     /* sink.c */

#endif
