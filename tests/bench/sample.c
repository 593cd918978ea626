/*
 * sample.c - reads a running server's counters at even times.
 *
 *   bench-sample SOCKET EVERY_MS SECONDS UNTIL SERIES...
 *
 * One line per reading of /metrics: the time in seconds, the server's CPU seconds and resident bytes, and for each
 * SERIES the sum of all samples whose line begins so. The CPU is that of all threads but those that answer HTTP, since
 * what they do is this program's doing: where messages are few, reading would cost more than they do. It ends once the first SERIES has reached UNTIL, or after SECONDS:
 * then with status 1, unless UNTIL is 0. The file that BENCH_PROGRESS in the environment names, if any, holds the first
 * series as eight bytes all the while, for who paces a source (publish_redis.c).
 *
 * Rate and CPU of a span come from the same readings, so no part of a measurement depends on when it was started or
 * when its end was noticed. The time of a reading is the middle of its request; where the machine was
 * too busy to answer within SLOW_NS the reading is not to be trusted to fractions of a window, and is left out.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SLOW_NS 20000000

struct answer {
	char *data;
	size_t len, size;
};

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void
fail(const char *what)
{
	fprintf(stderr, "bench-sample: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* The whole answer, head included, as a string. Returns the server's process id. */
static int
metrics_get(const char *path, struct answer *answer)
{
	static const char request[] = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct ucred peer = {0};
	socklen_t peer_size = sizeof(peer);
	ssize_t n;

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		fail(path);
	}
	strcpy(address.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		fail(path);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_size) != 0)
		fail(path);
	if (write(fd, request, sizeof(request) - 1) != (ssize_t)sizeof(request) - 1)
		fail("request");
	answer->len = 0;
	do {
		if (answer->size - answer->len < 65536) {
			answer->size = answer->size * 2 + 131072;
			answer->data = realloc(answer->data, answer->size);
			if (answer->data == NULL)
				fail("answer");
		}
		n = read(fd, answer->data + answer->len, answer->size - answer->len - 1);
		if (n < 0)
			fail("answer");
		answer->len += (size_t)n;
	} while (n > 0);
	answer->data[answer->len] = '\0';
	close(fd);
	if (strncmp(answer->data, "HTTP/1.1 200", 12) != 0) {
		errno = EPROTO;
		fail("answer");
	}
	return peer.pid;
}

/* Of one thread; 0 where it has just ended, or answers HTTP. */
static uint64_t
thread_cpu_ns(int pid, const char *thread)
{
	char path[96], name[32] = "";
	unsigned long long ns = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/comm", pid, thread);
	file = fopen(path, "re");
	if (file == NULL || fgets(name, sizeof(name), file) == NULL)
		name[0] = '\0';
	if (file != NULL)
		fclose(file);
	if (name[0] == '\0' || strncmp(name, "MHD-", 4) == 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/schedstat", pid, thread);
	file = fopen(path, "re");
	if (file == NULL)
		return 0;
	if (fscanf(file, "%llu", &ns) != 1)
		ns = 0;
	fclose(file);
	return ns;
}

static double
cpu_seconds(int pid)
{
	struct dirent *entry;
	uint64_t ns = 0;
	char path[32];
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	if (tasks == NULL)
		fail(path);
	while ((entry = readdir(tasks)) != NULL)
		if (entry->d_name[0] != '.')
			ns += thread_cpu_ns(pid, entry->d_name);
	closedir(tasks);
	return (double)ns / 1e9;
}

static double
series_sum(const struct answer *answer, const char *series)
{
	size_t len = strlen(series);
	double sum = 0;

	for (const char *line = answer->data; line != NULL; line = strchr(line, '\n')) {
		const char *value;

		line += *line == '\n';
		if (strncmp(line, series, len) != 0)
			continue;
		value = strchr(line, '}');
		value = value != NULL && value < line + strcspn(line, "\n") ? value : line;
		value = strchr(value, ' ');
		sum += value != NULL ? strtod(value, NULL) : 0;
	}
	return sum;
}

/* Where the first series is kept for others, or NULL. */
static _Atomic uint64_t *
progress_map(void)
{
	const char *path = getenv("BENCH_PROGRESS");
	void *map;
	int fd;

	if (path == NULL)
		return NULL;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		fail(path);
	map = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		fail(path);
	close(fd);
	return map;
}

int
main(int argc, char **argv)
{
	struct answer answer = {NULL, 0, 0};
	_Atomic uint64_t *progress = progress_map();
	uint64_t every, begin, end, next;
	double until, first = 0;
	int pid;

	if (argc < 6) {
		fprintf(stderr, "usage: bench-sample SOCKET EVERY_MS SECONDS UNTIL SERIES...\n");
		return 2;
	}
	every = strtoull(argv[2], NULL, 10) * 1000000;
	until = strtod(argv[4], NULL);
	next = now_ns();
	end = next + strtoull(argv[3], NULL, 10) * 1000000000;
	do {
		struct timespec wait;

		begin = now_ns();
		pid = metrics_get(argv[1], &answer);
		first = series_sum(&answer, argv[5]);
		if (progress != NULL)
			atomic_store(progress, (uint64_t)first);
		if (now_ns() - begin < SLOW_NS || (until > 0 && first >= until)) {
			printf("%.6f %.6f %.0f", (double)(begin + (now_ns() - begin) / 2) / 1e9,
			       cpu_seconds(pid),
			       series_sum(&answer, "crossfade_process_resident_memory_bytes"));
			for (int i = 5; i < argc; i++)
				printf(" %.0f", series_sum(&answer, argv[i]));
			printf("\n");
			fflush(stdout);
		}
		next += every;
		if (next < now_ns())
			next = now_ns();
		wait.tv_sec = (time_t)(next / 1000000000);
		wait.tv_nsec = (long)(next % 1000000000);
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wait, NULL);
	} while ((until == 0 || first < until) && next < end);
	free(answer.data);
	return until > 0 && first < until;
}
