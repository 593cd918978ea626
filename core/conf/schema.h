/*
 * schema.h - the core's own part of the configuration: server, transports, migrations, routes.
 *
 * Reads one merged tree into settings, key by key. What can only be said with all of it in sight is
 * said afterwards, by check.h. Each section has its file: server.c, transports.c, migrations.c, routes.c;
 * endpoint.h and destination.h are what the last two are made of, read.h what all of them use.
 */
#ifndef XF_CONF_SCHEMA_H
#define XF_CONF_SCHEMA_H

#include "conf/names.h"
#include "conf/options.h"

/* What of a migration is still needed once it is read. */
struct xf_migration_notes {
	struct xf_conf_place key;       /* its key, or itself where it has none */
	struct xf_conf_place percent;   /* what says the share, or the migration */
	const struct xf_yaml *sides[2]; /* as they stand in the file; NULL: missing */
};

struct xf_route_notes {
	struct xf_conf_place to;   /* where its destination is named */
	struct xf_conf_place from; /* where its sources are */
	struct xf_conf_place key;  /* its key or its split's; the split where it has none */
	bool dedupe;               /* it says so */
};

/* A configuration while it is being read; all of it the arena's. */
struct xf_loading {
	struct xf_arena *arena;
	struct xf_report *report;
	const struct xf_conf_catalogue *catalogue;
	struct xf_conf *conf;
	struct xf_conf_transport *transports; /* those of conf, writable, as are the next two */
	struct xf_conf_migration *migrations;
	struct xf_conf_pool *pools;
	struct xf_names pool_names;
	struct xf_conf_route *routes;
	struct xf_migration_notes *migration_notes;
	struct xf_route_notes *route_notes;
	struct xf_names transport_names; /* numbers are indexes, here and in the next */
	struct xf_names migration_names;
	size_t source_count; /* of all routes */
};

void xf_schema_read(struct xf_loading *loading, const struct xf_yaml *root);

/* Its sections, in this order. */
void xf_server_read(struct xf_loading *loading, const struct xf_yaml *root);
void xf_transports_read(struct xf_loading *loading, const struct xf_yaml *root);
void xf_migrations_read(struct xf_loading *loading, const struct xf_yaml *root);
void xf_pools_read(struct xf_loading *loading, const struct xf_yaml *root);
/* After the route's handlers. NODE: what it says of a pool, or NULL. */
void xf_route_pool_read(struct xf_loading *loading, struct xf_conf_route *route, const struct xf_yaml *node, const char *scope);
void xf_routes_read(struct xf_loading *loading, const struct xf_yaml *root);

/* The routes that bring dead letters to where theirs says; once all is checked. */
void xf_dead_routes_add(struct xf_loading *loading);

#endif
