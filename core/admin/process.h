/*
 * process.h - what the kernel knows about this process.
 *
 * Threads: any. Reads /proc; what cannot be read is zero.
 */
#ifndef XF_ADMIN_PROCESS_H
#define XF_ADMIN_PROCESS_H

#include <stdint.h>

struct xf_process {
	int64_t start_ms; /* wall clock */
	uint64_t resident_bytes;
	uint64_t open_fds;
	uint64_t max_fds;
	uint64_t threads;
	double cpu_seconds;
};

void xf_process_read(struct xf_process *process);

#endif
