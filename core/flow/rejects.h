/*
 * rejects.h - what was refused for good, kept where a human can look: data_dir/rejected.ndjson.
 *
 * One JSON object per line: time, route, reason, subject, id, key, headers, payload (payload_base64 where it is no
 * UTF-8). A message is acked only after its line was fsynced. At 64 MiB the file takes no more and its routes
 * pause, until somebody moves it away.
 *
 * Threads: any; a mutex inside. append and sync block on the disk.
 */
#ifndef XF_FLOW_REJECTS_H
#define XF_FLOW_REJECTS_H

#include <stdbool.h>

#include "base/error.h"
#include "conf/template.h"

#define XF_REJECTS_MAX (64u << 20)

struct xf_rejects;

/* Borrows DATA_DIR. */
struct xf_rejects *xf_rejects_open(const char *data_dir, struct xf_error *error);
void xf_rejects_close(struct xf_rejects **rejects);

/* Written, not yet on disk. Fails where the file is full or cannot be written; then nothing of it was written. */
enum xf_status xf_rejects_append(struct xf_rejects *rejects, const char *route, const char *reason,
                                 const struct xf_fields *message, struct xf_error *error);

/*
 * Everything appended since xf_rejects_losses() said LOSSES is on disk. After a failure it may not be, whatever a later
 * call says.
 */
uint64_t xf_rejects_losses(struct xf_rejects *rejects);
enum xf_status xf_rejects_sync(struct xf_rejects *rejects, uint64_t losses, struct xf_error *error);

/* Looks whether the file was moved away. */
bool xf_rejects_full(struct xf_rejects *rejects);

#endif
