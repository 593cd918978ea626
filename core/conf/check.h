/*
 * check.h - what can only be seen with the whole configuration in sight.
 *
 * Two sides of a migration that are one place, routes that feed themselves, migrations that nobody uses,
 * keys that fall back on ids which change with every delivery.
 */
#ifndef XF_CONF_CHECK_H
#define XF_CONF_CHECK_H

#include "conf/schema.h"

void xf_conf_check(struct xf_loading *loading);

#endif
