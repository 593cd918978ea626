#include "figures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"

void
samples_add(struct samples *samples, double value)
{
	if (samples->count == samples->room) {
		size_t room = samples->room > 0 ? 2 * samples->room : 64;
		double *values = xf_alloc_array(room, sizeof(*values));

		for (size_t i = 0; i < samples->count; i++)
			values[i] = samples->values[i];
		free(samples->values);
		samples->values = values;
		samples->room = room;
	}
	samples->values[samples->count++] = value;
}

void
samples_fini(struct samples *samples)
{
	free(samples->values);
	*samples = (struct samples){0};
}

static int
values_compare(const void *left, const void *right)
{
	const double *a = left, *b = right;

	return *a < *b ? -1 : *a > *b;
}

double
samples_at(struct samples *samples, double share)
{
	size_t rank = (size_t)(share * (double)samples->count);

	if (samples->count == 0)
		return -1;
	if ((double)rank == share * (double)samples->count && rank > 0)
		rank--;
	qsort(samples->values, samples->count, sizeof(double), values_compare);
	return samples->values[rank];
}

static void
seconds_write(FILE *file, const char *name, struct samples *samples)
{
	if (samples == NULL || samples->count == 0)
		fprintf(file, ", \"%s_p50\": null, \"%s_p99\": null", name, name);
	else
		fprintf(file, ", \"%s_p50\": %.3f, \"%s_p99\": %.3f", name, samples_at(samples, 0.5), name,
		        samples_at(samples, 0.99));
}

void
figures_write(const struct figures *figures)
{
	const char *path = getenv("XF_FAULT_FIGURES");
	FILE *file;

	if (path == NULL)
		return;
	file = fopen(path, "a");
	if (file == NULL)
		fail_msg("%s cannot be written", path);
	fprintf(file, "{\"fault\": \"%s\", \"broker\": \"%s\", \"acked\": %.0f, \"faults\": %.0f", figures->fault,
	        figures->broker, figures->acked, figures->faults);
	fprintf(file, ", \"lost\": %.0f, \"reordered\": %.0f, \"duplicates\": %.0f", figures->lost, figures->reordered,
	        figures->duplicates);
	seconds_write(file, "notice", figures->notice);
	seconds_write(file, "recover", figures->recover);
	fprintf(file, ", \"note\": \"%s\"}\n", figures->note != NULL ? figures->note : "");
	fclose(file);
}
