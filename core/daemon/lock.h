/*
 * lock.h - one server per data_dir.
 *
 * The lock is the kernel's: it is gone with the process that holds it, however that ended. The file
 * stays and says who had it last.
 */
#ifndef XF_DAEMON_LOCK_H
#define XF_DAEMON_LOCK_H

#include "base/error.h"

/* Makes data_dir (mode 0750) and the folders above it where they are missing, and locks it. The lock as a
 * descriptor, or -1 with a reason; when another process has it, its id stands there. */
int xf_lock_take(const char *data_dir, struct xf_error *error);
void xf_lock_release(int *lock);

#endif
