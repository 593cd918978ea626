/*
 * reach.c - when somebody listens on a port again.
 *
 *   bench-reach PORT SECONDS
 *
 * Tries to connect every two milliseconds; prints the time of the first success, on the same clock as bench-sample.
 * Status 1: nobody did in SECONDS.
 */
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	double end;

	if (argc != 3) {
		fprintf(stderr, "usage: bench-reach PORT SECONDS\n");
		return 2;
	}
	address.sin_port = htons((uint16_t)atoi(argv[1]));
	end = now() + atof(argv[2]);
	while (now() < end) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0) {
			perror("bench-reach");
			return 2;
		}
		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
			printf("%.6f\n", now());
			return 0;
		}
		close(fd);
		nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
	}
	return 1;
}
