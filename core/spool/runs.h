/*
 * runs.h - records that are done, as ranges of their numbers.
 *
 * Told mostly in a row, they take a few bytes for a thousand records.
 */
#ifndef XF_SPOOL_RUNS_H
#define XF_SPOOL_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Records with numbers in a row. */
struct xf_run {
	uint64_t first, last;
	uint64_t bytes; /* with their cost */
};

/* Zero is empty. */
struct xf_runs {
	struct xf_run *items;
	size_t count, size;
	uint64_t records;
};

void xf_runs_fini(struct xf_runs *runs);

void xf_runs_add(struct xf_runs *runs, struct xf_run run);
void xf_runs_add_all(struct xf_runs *runs, const struct xf_runs *more);
void xf_runs_clear(struct xf_runs *runs);
void xf_runs_sort(struct xf_runs *runs);

/* The lowest number; UINT64_MAX where they are empty. */
uint64_t xf_runs_low(const struct xf_runs *runs);

/* Of sorted ones. */
bool xf_runs_have(const struct xf_runs *runs, uint64_t seq);

/* Sorts, and moves the lowest, until INTO has RECORDS, or a run more. */
void xf_runs_take(struct xf_runs *runs, uint64_t records, struct xf_runs *into);

#endif
