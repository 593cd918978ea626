/*
 * plugin.h - the parts of the plugin, as its entry (http.c) joins them.
 */
#ifndef HTTP_PLUGIN_H
#define HTTP_PLUGIN_H

#include <crossfade/transport.h>

#include "listener.h"

/* What the endpoints of a transport share. */
struct transport {
	struct settings settings;
	struct exchange exchange;
	struct listener *listener;
};

extern const struct xf_source_ops http_source;

/* The sinks that the class offers are one of two, as their mode says. */
extern const struct xf_sink_ops webhook_sink;
extern const struct xf_sink_ops reply_sink;

/* Every instance of a sink begins with it. */
struct sink_head {
	const struct xf_sink_ops *ops;
};

#endif
