/*
 * settings.h - a plugin's configuration from "key=value" texts, by its option table.
 *
 * Stands in for core/conf in the harness: struct xf_config is the harness's own here, and harness_host's
 * option() reads it.
 */
#ifndef XF_TESTS_SETTINGS_H
#define XF_TESTS_SETTINGS_H

#include <crossfade/plugin.h>

/* NULL with a reason. TABLE may be NULL (no options), TEXTS as OPTIONS() makes them or NULL. */
struct xf_config *settings_create(const struct xf_option *const *table, const char *const *texts,
                                  struct xf_error *error);
void settings_destroy(struct xf_config **settings);

/* What struct xf_host.option promises. */
const struct xf_value *settings_option(const struct xf_config *settings, uint32_t row);

#endif
