/*
 * schema.h - the core's own part of the configuration: server, transports, migrations, routes.
 *
 * Reads one merged tree into settings, key by key. What can only be said with all of it in sight is
 * said afterwards, by check.h.
 */
#ifndef XF_CONF_SCHEMA_H
#define XF_CONF_SCHEMA_H

#include "conf/options.h"

/* A configuration while it is being read; all of it the arena's. */
struct xf_loading {
	struct xf_arena *arena;
	struct xf_report *report;
	const struct xf_conf_catalogue *catalogue;
	struct xf_conf *conf;
	struct xf_conf_transport *transports; /* those of conf, writable, as are the next two */
	struct xf_conf_migration *migrations;
	struct xf_conf_route *routes;
	struct xf_conf_place *to;            /* of each route: where its destination is named */
	struct xf_conf_place *migration_key; /* of each migration: its key, or itself where it has none */
	size_t source_count;                 /* of all routes */
};

void xf_schema_read(struct xf_loading *loading, const struct xf_yaml *root);

/* False where something about the endpoint was reported, so its plugin may not be asked about it. */
bool xf_endpoint_sound(const struct xf_conf_endpoint *endpoint);

#endif
