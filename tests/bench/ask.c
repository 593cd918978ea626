/*
 * ask.c - many requests at once over NATS, and a worker that answers none of them before all have come.
 *
 *   bench-ask URL COUNT ROUNDS PID
 *
 * In each round COUNT requests go to `bench.ask`, the worker on `bench.work` gathers them, and then answers them all. Prints for each round
 * the seconds from the first request to the last reply, and what process PID held in memory, in MiB, while all were open. Status 1: replies
 * are missing, twice, or not of what was asked.
 */
#include <nats/nats.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WAIT_S 120

struct round {
	natsConnection *connection;
	int count;
	_Atomic int asked, answered, wrong;
	char (*replies)[128]; /* where the worker is to answer */
	char (*bodies)[16];
	unsigned char *seen;
};

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long
resident_mib(const char *pid)
{
	char path[64];
	long pages = 0, resident = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/statm", pid);
	file = fopen(path, "r");
	if (file == NULL || fscanf(file, "%ld %ld", &pages, &resident) != 2)
		resident = 0;
	if (file != NULL)
		fclose(file);
	return resident * sysconf(_SC_PAGESIZE) >> 20;
}

static void
on_work(natsConnection *connection, natsSubscription *subscription, natsMsg *message, void *context)
{
	struct round *round = context;
	int at = round->asked;

	(void)connection, (void)subscription;
	if (at < round->count && natsMsg_GetReply(message) != NULL) {
		snprintf(round->replies[at], sizeof(round->replies[at]), "%s", natsMsg_GetReply(message));
		snprintf(round->bodies[at], sizeof(round->bodies[at]), "%.*s", natsMsg_GetDataLength(message), natsMsg_GetData(message));
	}
	natsMsg_Destroy(message);
	round->asked++;
}

static void
on_reply(natsConnection *connection, natsSubscription *subscription, natsMsg *message, void *context)
{
	struct round *round = context;
	const char *number = strrchr(natsMsg_GetSubject(message), '.') + 1;
	int at = atoi(number);

	(void)connection, (void)subscription;
	/* The reply to request 17 says 17. */
	if (at < 0 || at >= round->count || round->seen[at]++ > 0 || natsMsg_GetDataLength(message) != (int)strlen(number) ||
	    memcmp(natsMsg_GetData(message), number, strlen(number)) != 0)
		round->wrong++;
	natsMsg_Destroy(message);
	round->answered++;
}

static int
wait_for(_Atomic int *what, int count)
{
	double until = now() + WAIT_S;

	while (*what < count && now() < until)
		usleep(1000);
	return *what >= count;
}

static int
round_run(struct round *round, const char *inbox, const char *pid)
{
	double begin = now();
	char reply[160], body[16];

	round->asked = round->answered = 0;
	memset(round->seen, 0, (size_t)round->count);
	for (int i = 0; i < round->count; i++) {
		snprintf(reply, sizeof(reply), "%s.%d", inbox, i);
		snprintf(body, sizeof(body), "%d", i);
		if (natsConnection_PublishRequest(round->connection, "bench.ask", reply, body, (int)strlen(body)) != NATS_OK)
			return 1;
	}
	natsConnection_Flush(round->connection);
	if (!wait_for(&round->asked, round->count)) {
		fprintf(stderr, "bench-ask: %d of %d came to the worker\n", round->asked, round->count);
		return 1;
	}
	printf("%ld ", resident_mib(pid));
	for (int i = 0; i < round->count; i++)
		natsConnection_PublishString(round->connection, round->replies[i], round->bodies[i]);
	natsConnection_Flush(round->connection);
	if (!wait_for(&round->answered, round->count) || round->wrong > 0) {
		fprintf(stderr, "bench-ask: %d of %d replies, %d wrong\n", round->answered, round->count, round->wrong);
		return 1;
	}
	printf("%.3f\n", now() - begin);
	return 0;
}

int
main(int argc, char **argv)
{
	struct round round = {.count = 0};
	natsSubscription *work = NULL, *replies = NULL;
	char inbox[64], pattern[80];
	int status = 0;

	if (argc != 5) {
		fprintf(stderr, "usage: bench-ask URL COUNT ROUNDS PID\n");
		return 2;
	}
	round.count = atoi(argv[2]);
	round.replies = calloc((size_t)round.count, sizeof(*round.replies));
	round.bodies = calloc((size_t)round.count, sizeof(*round.bodies));
	round.seen = calloc((size_t)round.count, 1);
	snprintf(inbox, sizeof(inbox), "bench.reply.%d", (int)getpid());
	snprintf(pattern, sizeof(pattern), "%s.*", inbox);
	if (natsConnection_ConnectTo(&round.connection, argv[1]) != NATS_OK ||
	    natsConnection_Subscribe(&work, round.connection, "bench.work", on_work, &round) != NATS_OK ||
	    natsConnection_Subscribe(&replies, round.connection, pattern, on_reply, &round) != NATS_OK) {
		fprintf(stderr, "bench-ask: %s: no connection\n", argv[1]);
		return 2;
	}
	natsSubscription_SetPendingLimits(work, -1, -1);
	natsSubscription_SetPendingLimits(replies, -1, -1);
	natsConnection_Flush(round.connection);
	for (int i = 0; i < atoi(argv[3]) && status == 0; i++)
		status = round_run(&round, inbox, argv[4]);
	natsSubscription_Destroy(work);
	natsSubscription_Destroy(replies);
	natsConnection_Destroy(round.connection);
	nats_Close();
	free(round.replies);
	free(round.bodies);
	free(round.seen);
	return status;
}
