/*
 * json.h - status values as JSON, and problem documents.
 *
 * Counters are exact to 64 bits. Text that is not UTF-8 (a reason cut short in the middle of a character)
 * is mended, so that a document always parses.
 *
 * The caller owns what is returned: cJSON_Delete(), or adding it to something that is deleted.
 */
#ifndef XF_ADMIN_JSON_H
#define XF_ADMIN_JSON_H

#include <cjson/cJSON.h>

#include "admin/snapshot.h"
#include "host/catalogue.h"

cJSON *xf_json_route(const struct xf_route_status *route);
cJSON *xf_json_migration(const struct xf_migration_status *migration);

/* What a change did or would do, and what to think of before: MIGRATION is as it stands now. */
cJSON *xf_json_effect(const struct xf_migration_effect *effect, const struct xf_migration_status *migration,
                      bool dry_run);

/* A transport and the endpoints on it, the worst of whose states is its own. */
cJSON *xf_json_transport(const struct xf_conf_transport *transport, const struct xf_snapshot *snapshot);

cJSON *xf_json_plugin(const struct xf_plugin_info *plugin);

/* An option table; an empty list where there is none. */
cJSON *xf_json_options(const struct xf_option *const *rows);

/* "ok", or "failing" with the reasons. */
cJSON *xf_json_health(const struct xf_snapshot *snapshot);

/* The same, with server, routes and migrations in full. */
cJSON *xf_json_detailed(const struct xf_snapshot *snapshot);

/* Version, uptime, memory, generation of the configuration and how its last reload ended. */
cJSON *xf_json_system(const struct xf_snapshot *snapshot);

/* {"time", "ok", "errors": [...]} of the last reload; null where there was none. */
cJSON *xf_json_reload(const struct xf_reload_status *reload);

/* The lines of TEXT as a list. */
cJSON *xf_json_lines(struct xf_str text);

/* RFC 9457. DETAIL may be NULL. */
cJSON *xf_json_problem(unsigned status, const char *title, const char *detail);

#endif
