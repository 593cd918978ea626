/*
 * start.c - how long a server takes to start and to stop.
 *
 *   bench-start SOCKET PATH SECONDS PROGRAM ARG...
 *
 * Runs PROGRAM and asks for PATH (/readyz) on its SOCKET every few milliseconds. Prints seconds until that was 200, its CPU
 * seconds until then, its resident bytes, its threads, and the seconds from SIGTERM to its end. Status 1: it was not ready in SECONDS.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static _Noreturn void
fail(const char *what)
{
	perror(what);
	exit(2);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool
is_ready(const char *at, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char request[160], answer[16] = "";
	bool ready = false;
	int len = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);

	if (fd < 0)
		fail("socket");
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", at);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	    write(fd, request, (size_t)len) == len &&
	    read(fd, answer, sizeof(answer) - 1) > 0)
		ready = strncmp(answer, "HTTP/1.1 200", 12) == 0;
	close(fd);
	return ready;
}

static double
cpu_seconds(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
		return 0;
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A number of /proc/PID/status. */
static unsigned long
status_read(pid_t pid, const char *name)
{
	char path[64], line[256];
	unsigned long value = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
			value = strtoul(line + strlen(name) + 1, NULL, 10);
	if (file != NULL)
		fclose(file);
	return value;
}

int
main(int argc, char **argv)
{
	double begin = now(), limit, ready, cpu, stop;
	unsigned long resident, threads;
	int status;
	pid_t pid;

	if (argc < 5) {
		fprintf(stderr, "usage: bench-start SOCKET PATH SECONDS PROGRAM ARG...\n");
		return 2;
	}
	limit = begin + atof(argv[3]);
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (pid == 0) {
		execv(argv[4], argv + 4);
		fail(argv[4]);
	}
	while (!is_ready(argv[1], argv[2])) {
		if (waitpid(pid, &status, WNOHANG) == pid) {
			fprintf(stderr, "bench-start: %s ended\n", argv[4]);
			return 1;
		}
		if (now() > limit) {
			fprintf(stderr, "bench-start: not ready in %s seconds\n", argv[3]);
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return 1;
		}
		nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
	}
	ready = now() - begin;
	cpu = cpu_seconds(pid);
	resident = status_read(pid, "VmRSS") * 1024;
	threads = status_read(pid, "Threads");
	stop = now();
	kill(pid, SIGTERM);
	if (waitpid(pid, &status, 0) != pid)
		fail("waitpid");
	printf("%.3f %.3f %lu %lu %.3f\n", ready, cpu, resident, threads, now() - stop);
	return 0;
}
