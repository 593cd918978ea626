/*
 * read.h - what every section of the configuration is read with.
 *
 * A SCOPE is how a finding begins: "route 'orders': from: ".
 */
#ifndef XF_CONF_READ_H
#define XF_CONF_READ_H

#include "conf/schema.h"

#define XF_LATER(word) XF_ROW(.type = XF_OPTION_LATER, .key = word)
#define XF_ELSEWHERE(word, where) XF_ROW(.type = XF_OPTION_ELSEWHERE, .key = word, .help = where)

/* "route 'orders': " */
const char *xf_read_scope(struct xf_loading *l, const char *what, const char *name);

/* How the value may be shown. */
const char *xf_read_shown(struct xf_loading *l, const struct xf_yaml *node);

/* KEY of ROOT, a KIND; NULL where it is absent, empty, or (reported) of another kind. */
const struct xf_yaml *xf_read_section(struct xf_loading *l, const struct xf_yaml *root, const char *key,
                                      enum xf_yaml_kind kind, const char *expected);

struct xf_yaml *xf_read_empty_map(struct xf_loading *l, struct xf_conf_place place);

/* Reads MAP by one table of core rows. */
const struct xf_config *xf_read_rows(struct xf_loading *l, const struct xf_yaml *map, const char *scope,
                                     const struct xf_option *const *rows);

/* NULL where there is none. */
const char *xf_read_text(const struct xf_config *config, uint32_t row);

/* Whether NAME can be one; else reported. */
bool xf_read_name(struct xf_loading *l, struct xf_conf_place place, const char *what, const char *name);

/* The template of ROW, given or default, or NULL with a finding. The arena's. */
struct xf_template *xf_read_template(struct xf_loading *l, const struct xf_config *config, uint32_t row,
                                     const char *scope, const char *key);

/* The template of a TEXT that is right. The arena's. */
struct xf_template *xf_read_constant(struct xf_loading *l, const char *text);

/* A key that is the same for every message was hardly meant. */
void xf_read_key_warn(struct xf_loading *l, const struct xf_template *template, const struct xf_yaml *node,
                      const char *scope);

/* What MAP says for `plugin`, in *PLUGIN with a path made absolute; NULL: nothing that can be looked up, which is reported where it is
 * not a missing key. EXPECTED: what it should be. The other one reports that there is no such plugin, for the reason in ERROR. */
const struct xf_yaml *xf_read_plugin(struct xf_loading *l, const struct xf_yaml *map, const char *scope, const char *expected,
                                     const char **plugin);
void xf_read_plugin_refuse(struct xf_loading *l, const struct xf_yaml *node, const char *scope, const struct xf_error *error);

/* "no transport 'reids-a'; did you mean 'redis-a'?" */
void xf_read_name_refuse(struct xf_loading *l, const struct xf_yaml *node, const char *scope, const char *what,
                         const struct xf_names *names);

#endif
