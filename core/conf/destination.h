/*
 * destination.h - a route's `to`: one sink, several (`all`), a weighted choice (`split`), or a migration.
 */
#ifndef XF_CONF_DESTINATION_H
#define XF_CONF_DESTINATION_H

#include "conf/endpoint.h"

/* The name that stands at 'migration', or NULL with a finding. */
struct xf_conf_migration *xf_migration_find(struct xf_loading *l, const struct xf_yaml *node, const char *name,
                                            const char *scope);

/* Fills ROUTE's destination, and its key where a split brings one; the route's own key, at KEY, is read before
 * (NULL: none). SCOPE is the route's. */
void xf_destination_read(struct xf_loading *l, struct xf_conf_route *route, const struct xf_yaml *node,
                         const struct xf_yaml *key, const char *scope);

#endif
