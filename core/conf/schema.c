/*
 * Each place of the configuration has a table of core rows, read by the same reader as the tables of
 * plugins. Where a plugin's keys stand in the same map, its table follows the core's; keys of the contract
 * that are not built yet come last, so that a plugin can own them.
 *
 * Whatever is wrong is reported and read over: names stay known, so that one mistake is one line.
 */
#include "conf/schema.h"

#include "conf/read.h"

static const struct xf_option *const root_rows[] = {
	XF_ROW(.type = XF_OPTION_NODE, .key = "include"),    XF_ROW(.type = XF_OPTION_NODE, .key = "server"),
	XF_ROW(.type = XF_OPTION_NODE, .key = "transports"), XF_ROW(.type = XF_OPTION_NODE, .key = "migrations"),
	XF_ROW(.type = XF_OPTION_NODE, .key = "pools"),      XF_ROW(.type = XF_OPTION_NODE, .key = "routes"),
	NULL,
};

void
xf_schema_read(struct xf_loading *l, const struct xf_yaml *root)
{
	xf_read_rows(l, root, "", root_rows);
	xf_server_read(l, root);
	if (l->catalogue->search != NULL)
		l->catalogue->search(l->catalogue->context, l->conf->server.plugin_dirs,
		                     l->conf->server.plugin_dir_count);
	xf_transports_read(l, root);
	xf_migrations_read(l, root);
	xf_pools_read(l, root);
	xf_routes_read(l, root);
}
