/*
 * expand.h - ${ENV}, ${ENV:-default}, ${file:PATH} and $$ in the scalars of a tree.
 *
 * What comes out is text; it is typed afterwards by whoever reads it and never parsed as YAML again.
 *
 * Bounds: 16 levels of nesting, 64 KiB a file, 1 MiB a scalar, 16 MiB in all.
 */
#ifndef XF_CONF_EXPAND_H
#define XF_CONF_EXPAND_H

#include "conf/yaml.h"

/* TOTAL counts bytes over all trees of one configuration; starts at 0. */
void xf_expand(struct xf_arena *arena, struct xf_report *report, struct xf_yaml *root, size_t *total);

#endif
