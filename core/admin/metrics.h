/*
 * metrics.h - a snapshot as Prometheus text exposition, format 0.0.4.
 *
 * Labels come from the configuration only, never from messages, so the number of series is fixed
 * once the server runs.
 */
#ifndef XF_ADMIN_METRICS_H
#define XF_ADMIN_METRICS_H

#include "admin/snapshot.h"

#define XF_METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Appends to OUT. */
void xf_metrics_render(const struct xf_snapshot *snapshot, struct xf_buffer *out);

#endif
