/*
 * bench.h - the plugin exec on a bench.
 */
#ifndef EXEC_BENCH_H
#define EXEC_BENCH_H

#include "handler_bench.h"

#define BENCH(...) bench_open("exec", (const char *const[]){__VA_ARGS__, NULL})

/* The path of tests/unit/exec/worker.c, built. */
#define BENCH_WORKER XF_BINARY_DIR "/bin/exec-worker"

#endif
