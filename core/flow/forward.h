/*
 * forward.h - the dead letters of one route, read from their store as a source: for the route that brings them to where its
 * `dead_letter` says. A letter leaves the store once it is confirmed there, so nothing is lost while that broker is away.
 *
 * Beside its own headers a message has Crossfade-Dead-Route, -Sink, -Reason, -Attempts, -First and -Last.
 */
#ifndef XF_FLOW_FORWARD_H
#define XF_FLOW_FORWARD_H

#include "conf/conf.h"
#include "dead/letters.h"

/* What stands at `shared` in its create(), which copies it. */
struct xf_forward_setup {
	struct xf_letters *letters;
	const char *route; /* whose they are */
};

extern const struct xf_transport_class xf_forward_class;

#endif
