#include "admin/process.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

static uint64_t
fds_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	uint64_t count = 0;

	if (dir == NULL)
		return 0;
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count - 1; /* the one that looks */
}

static uint64_t
resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long size, resident = 0;

	if (file == NULL)
		return 0;
	if (fscanf(file, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	fclose(file);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Threads and start time stand in /proc/self/stat, behind the program's name, which may hold anything
 * and ends at the last parenthesis. */
static void
stat_read(struct xf_process *process)
{
	FILE *file = fopen("/proc/self/stat", "re");
	char text[1024], *rest;
	unsigned long threads;
	unsigned long long start;
	struct timespec boot;
	size_t len;

	if (file == NULL)
		return;
	len = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	text[len] = '\0';
	rest = strrchr(text, ')');
	if (rest == NULL ||
	    sscanf(rest + 1,
		   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %lu %*d %llu",
		   &threads, &start) != 2)
		return;
	process->threads = threads;
	clock_gettime(CLOCK_BOOTTIME, &boot);
	process->start_ms = xf_wall_ms() - ((int64_t)boot.tv_sec * 1000 + boot.tv_nsec / 1000000) +
		            (int64_t)(start * 1000 / (unsigned long long)sysconf(_SC_CLK_TCK));
}

void
xf_process_read(struct xf_process *process)
{
	struct rusage usage;
	struct rlimit limit;

	*process = (struct xf_process){0};
	stat_read(process);
	process->resident_bytes = resident_bytes();
	process->open_fds = fds_open();
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		process->max_fds = limit.rlim_cur;
	if (getrusage(RUSAGE_SELF, &usage) == 0)
		process->cpu_seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
			               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}
