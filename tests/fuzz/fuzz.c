/*
 * Under libFuzzer its main() calls LLVMFuzzerTestOneInput(). Without it (FUZZ_REPLAY) there is a main() here, which replays files,
 * and folders of them, and tells which took longest and how much memory was in use; past 64 MiB it fails, where no
 * sanitizer has a share in them.
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "base/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of the input under way. */
static void **copies;
static size_t copy_count;

struct xf_str
fuzz_tight(struct xf_str text)
{
	char *copy = malloc(text.len);

	XF_ASSERT(copy != NULL || text.len == 0);
	if (text.len > 0)
		memcpy(copy, text.data, text.len);
	if ((copy_count & (copy_count - 1)) == 0) /* room for twice as many */
		copies = xf_grow_array(copies, copy_count, copy_count > 0 ? 2 * copy_count : 1, sizeof(*copies));
	copies[copy_count++] = copy;
	return (struct xf_str){copy, text.len};
}

struct xf_str
fuzz_line(struct xf_str *rest)
{
	const char *feed = rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;
	struct xf_str line = {rest->data, feed != NULL ? (uint64_t)(feed - rest->data) : rest->len};
	uint64_t taken = line.len + (feed != NULL);

	*rest = (struct xf_str){rest->data + taken, rest->len - taken};
	return fuzz_tight(line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_one((struct xf_str){size > 0 ? (const char *)data : "", size});
	while (copy_count > 0)
		free(copies[--copy_count]);
	free(copies);
	copies = NULL;
	return 0;
}

#ifdef FUZZ_REPLAY
static struct {
	size_t inputs;
	double slowest_ms;
	char slowest[256];
} seen;

static double
cpu_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void
file_replay(const char *path, size_t size)
{
	uint8_t *data = malloc(size);
	FILE *file = fopen(path, "rb");
	double start;

	if (file == NULL || (data == NULL && size > 0) || fread(data, 1, size, file) != size) {
		perror(path);
		exit(2);
	}
	fclose(file);
	start = cpu_ms();
	LLVMFuzzerTestOneInput(data, size);
	seen.inputs++;
	if (cpu_ms() - start >= seen.slowest_ms) {
		seen.slowest_ms = cpu_ms() - start;
		snprintf(seen.slowest, sizeof(seen.slowest), "%s", path);
	}
	free(data);
}

static void
replay(const char *path)
{
	struct dirent **entries;
	struct stat info;
	int count;

	if (stat(path, &info) == 0 && !S_ISDIR(info.st_mode)) {
		fprintf(stderr, "%s\n", path); /* the last one is the one that it ended with */
		file_replay(path, (size_t)info.st_size);
		return;
	}
	count = scandir(path, &entries, NULL, alphasort);
	if (count < 0) {
		perror(path);
		exit(2);
	}
	for (int i = 0; i < count; i++) {
		char *inside = xf_format("%s/%s", path, entries[i]->d_name);

		if (entries[i]->d_name[0] != '.')
			replay(inside);
		free(inside);
		free(entries[i]);
	}
	free(entries);
}

int
main(int argc, char **argv)
{
	struct rusage usage;

	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	getrusage(RUSAGE_SELF, &usage);
	printf("%zu inputs, the slowest %.1f ms (%s), %ld MiB\n", seen.inputs, seen.slowest_ms, seen.slowest,
	       usage.ru_maxrss / 1024);
#ifndef FUZZ_SANITIZED
	XF_ASSERT(usage.ru_maxrss < 64 * 1024);
#endif
	return seen.inputs > 0 ? 0 : 2;
}
#endif
