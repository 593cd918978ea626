/*
 * sources.h - a route's `from`: a source, a list of them, or both sides of a migration.
 */
#ifndef XF_CONF_SOURCES_H
#define XF_CONF_SOURCES_H

#include "conf/endpoint.h"

/* Fills ROUTE's sources; its bounds are read before. SCOPE is the route's. */
void xf_sources_read(struct xf_loading *l, struct xf_conf_route *route, const struct xf_yaml *node, const char *scope);

#endif
