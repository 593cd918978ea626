/*
 * figures.h - what was measured under faults, kept for the table: one JSON object a line, appended to the file that XF_FAULT_FIGURES
 * names; nothing where it names none. `table` makes Markdown of it.
 *
 * Threads: whoever has it.
 */
#ifndef XF_TESTS_FIGURES_H
#define XF_TESTS_FIGURES_H

#include <stddef.h>

/* Seconds, mostly; begins as zeros. */
struct samples {
	double *values;
	size_t count, room;
};

void samples_add(struct samples *samples, double value);
void samples_fini(struct samples *samples);

/* The value that SHARE of them do not exceed: 0.5, 0.99, 1. -1 where there is none. Sorts them. */
double samples_at(struct samples *samples, double share);

struct figures {
	const char *fault, *broker;
	double acked, faults, lost, reordered, duplicates;
	struct samples *notice, *recover; /* seconds; NULL: not measured */
	const char *note;                 /* NULL: none */
};

void figures_write(const struct figures *figures);

#endif
