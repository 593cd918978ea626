/*
 * handler_bench.h - an instance of a handler plugin, turned by hand as handler.h describes, on the thread of the test. It is loaded
 * from where it was built.
 *
 * A task's bytes are freed when it is finished or cancelled, so that a sanitizer finds whoever reads them later. What the header forbids ends
 * the test.
 */
#ifndef XF_TESTS_HANDLER_BENCH_H
#define XF_TESTS_HANDLER_BENCH_H

#include <stdbool.h>
#include <stddef.h>

#include <crossfade/handler.h>

#include "wait.h"

struct bench;

/* What became of a task. */
struct bench_result {
	uint32_t code; /* 0: not finished */
	uint32_t delay_ms, status, flags, count;
	bool cancelled;
	char reason[600];
	struct xf_incoming **messages; /* count of them */
};

/* What check() says of such settings, which are "key=value" texts (settings.h); "" where it takes them. Static. */
const char *bench_check(const char *plugin, const char *const *options);

struct bench *bench_open(const char *plugin, const char *const *options);
/* Cancels what is out, as the core does, and stops. */
void bench_close(struct bench **bench);

/* Queues a copy, and returns its number, from 0. */
size_t bench_give(struct bench *bench, const struct xf_incoming *message);
size_t bench_text(struct bench *bench, const char *payload);
void bench_cancel(struct bench *bench, size_t number);

/* Tells what became of a message that was passed on FOLLOWED: XF_SETTLED_*. MESSAGE may be NULL. */
void bench_settle(struct bench *bench, size_t number, uint32_t code, const struct xf_incoming *message);

/* One of its numbers(). */
uint64_t bench_number(struct bench *bench, const char *name);

/* What it answers to an operator, on the heap; *STATUS by HTTP's numbers. */
char *bench_serve(struct bench *bench, const char *method, const char *path, const char *query, uint32_t *status);

/* [any] Ends the wait of a turn, as the plugin may. */
void bench_wake(struct bench *bench);

/* One turn of the loop, with its wait. */
void bench_turn(struct bench *bench);
/* Turns until it is so; else the test ends. */
void bench_wait_finished(struct bench *bench, size_t count);
void bench_wait_taken(struct bench *bench, size_t count);
void bench_wait_state(struct bench *bench, uint32_t state);
void bench_wait_log(struct bench *bench, const char *text);

const struct bench_result *bench_result(struct bench *bench, size_t number);
const char *bench_reason(const struct bench *bench); /* of the state */
size_t bench_state_count(const struct bench *bench, uint32_t state);
uint32_t bench_room(const struct bench *bench); /* as work() said last */
size_t bench_log_count(const struct bench *bench);
/* The newest line of the log that has TEXT; NULL: none. */
const char *bench_log_find(const struct bench *bench, const char *text);

/* Time goes by for the plugin; from bench_clock_stop() on only so. */
void bench_clock_advance(uint64_t milliseconds);
void bench_clock_stop(void);

#endif
