#include "bridge.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static uint64_t begin_ns, begin_cpu_ns;

void
bridge_fail(const char *what, const char *why)
{
	fprintf(stderr, "bridge: %s: %s\n", what, why);
	exit(1);
}

static uint64_t
clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void
bridge_begin(void)
{
	begin_ns = clock_ns(CLOCK_MONOTONIC);
	begin_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void
bridge_end(uint64_t messages)
{
	uint64_t ns = clock_ns(CLOCK_MONOTONIC) - begin_ns, cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - begin_cpu_ns;
	unsigned long size, resident = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (file == NULL || fscanf(file, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	if (file != NULL)
		fclose(file);
	printf("%llu %.6f %.6f %lu\n", (unsigned long long)messages, (double)ns / 1e9, (double)cpu_ns / 1e9,
	       resident * (unsigned long)sysconf(_SC_PAGESIZE));
}
