#include "spool/runs.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define RUN_RECORDS 1024 /* longer ones are not joined, so that what is taken has a bound */

void
xf_runs_fini(struct xf_runs *runs)
{
	free(runs->items);
	*runs = (struct xf_runs){0};
}

void
xf_runs_add(struct xf_runs *runs, struct xf_run run)
{
	struct xf_run *last = runs->count > 0 ? &runs->items[runs->count - 1] : NULL;

	runs->records += run.last - run.first + 1;
	if (last != NULL && last->last + 1 == run.first && run.last - last->first < RUN_RECORDS) {
		last->last = run.last;
		last->bytes += run.bytes;
		return;
	}
	if (runs->count == runs->size) {
		size_t size = runs->size > 0 ? 2 * runs->size : 64;

		runs->items = xf_grow_array(runs->items, runs->size, size, sizeof(*runs->items));
		runs->size = size;
	}
	runs->items[runs->count++] = run;
}

static int
run_compare(const void *a, const void *b)
{
	uint64_t x = ((const struct xf_run *)a)->first, y = ((const struct xf_run *)b)->first;

	return x < y ? -1 : x > y;
}

void
xf_runs_sort(struct xf_runs *runs)
{
	if (runs->count > 1)
		qsort(runs->items, runs->count, sizeof(*runs->items), run_compare);
}

void
xf_runs_clear(struct xf_runs *runs)
{
	runs->count = 0;
	runs->records = 0;
}

void
xf_runs_add_all(struct xf_runs *runs, const struct xf_runs *more)
{
	for (size_t i = 0; i < more->count; i++)
		xf_runs_add(runs, more->items[i]);
}

uint64_t
xf_runs_low(const struct xf_runs *runs)
{
	uint64_t low = UINT64_MAX;

	for (size_t i = 0; i < runs->count; i++)
		if (runs->items[i].first < low)
			low = runs->items[i].first;
	return low;
}

bool
xf_runs_have(const struct xf_runs *runs, uint64_t seq)
{
	size_t low = 0, high = runs->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (runs->items[middle].last < seq)
			low = middle + 1;
		else
			high = middle;
	}
	return low < runs->count && runs->items[low].first <= seq;
}

void
xf_runs_take(struct xf_runs *runs, uint64_t records, struct xf_runs *into)
{
	size_t taken = 0;

	xf_runs_sort(runs);
	while (taken < runs->count && into->records < records) {
		runs->records -= runs->items[taken].last - runs->items[taken].first + 1;
		xf_runs_add(into, runs->items[taken++]);
	}
	if (taken > 0)
		memmove(runs->items, runs->items + taken, (runs->count - taken) * sizeof(*runs->items));
	runs->count -= taken;
}
