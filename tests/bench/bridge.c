#include "bridge.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define RING_EVERY 256

void
bridge_fail(const char *what, const char *why)
{
	fprintf(stderr, "bridge: %s: %s\n", what, why);
	exit(1);
}

static void
need(natsStatus status, const char *what)
{
	if (status != NATS_OK)
		bridge_fail(what, natsStatus_GetText(status));
}

static uint64_t
clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* [library] */
static void
confirm(jsCtx *js, natsMsg *message, jsPubAck *ack, jsPubAckErr *error, void *context)
{
	struct bridge *bridge = context;
	uint64_t confirmed = atomic_load_explicit(&bridge->confirmed, memory_order_relaxed) + 1, one = 1;

	(void)js;
	(void)ack;
	if (error != NULL)
		bridge_fail("publish", error->ErrText);
	natsMsg_Destroy(message);
	atomic_store_explicit(&bridge->confirmed, confirmed, memory_order_release);
	if (bridge->progress != NULL)
		atomic_store_explicit(bridge->progress, confirmed, memory_order_relaxed);
	if (confirmed % RING_EVERY == 0 || confirmed == atomic_load_explicit(&bridge->wanted, memory_order_relaxed))
		if (write(bridge->bell, &one, sizeof(one)) != (ssize_t)sizeof(one))
			bridge_fail("bell", "write failed");
}

void
bridge_open(struct bridge *bridge, const char *url, const char *progress)
{
	static const char *subjects[] = {"bench.out"};
	jsStreamConfig stream;
	jsErrCode code = 0;
	jsOptions options;
	int fd;

	*bridge = (struct bridge){.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	if (progress != NULL) {
		fd = open(progress, O_RDWR | O_CLOEXEC);
		bridge->progress = mmap(NULL, sizeof(*bridge->progress), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (fd < 0 || bridge->progress == MAP_FAILED)
			bridge_fail(progress, "cannot be mapped");
		close(fd);
	}
	need(natsConnection_ConnectTo(&bridge->connection, url), "connect");
	jsOptions_Init(&options);
	options.PublishAsync.MaxPending = BRIDGE_WINDOW;
	options.PublishAsync.StallWait = 60000;
	options.PublishAsync.AckHandler = confirm;
	options.PublishAsync.AckHandlerClosure = bridge;
	need(natsConnection_JetStream(&bridge->js, bridge->connection, &options), "JetStream");
	jsStreamConfig_Init(&stream);
	stream.Name = "BENCH";
	stream.Subjects = subjects;
	stream.SubjectsLen = 1;
	stream.Storage = js_FileStorage;
	need(js_AddStream(NULL, bridge->js, &stream, NULL, &code), "stream");
}

void
bridge_begin(struct bridge *bridge)
{
	bridge->begin_ns = clock_ns(CLOCK_MONOTONIC);
	bridge->begin_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void
bridge_publish(struct bridge *bridge, const void *data, size_t size, const char *id)
{
	jsPubOptions options;

	jsPubOptions_Init(&options);
	options.MsgId = *id != '\0' ? id : NULL;
	need(js_PublishAsync(bridge->js, "bench.out", data, (int)size, &options), "publish");
	bridge->published++;
}

void
bridge_end(struct bridge *bridge)
{
	unsigned long size, resident = 0;
	uint64_t ns, cpu_ns;
	jsPubOptions wait;
	FILE *file;

	jsPubOptions_Init(&wait);
	wait.MaxWait = 60000;
	need(js_PublishAsyncComplete(bridge->js, &wait), "last confirmations");
	ns = clock_ns(CLOCK_MONOTONIC) - bridge->begin_ns;
	cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - bridge->begin_cpu_ns;
	file = fopen("/proc/self/statm", "re");
	if (file == NULL || fscanf(file, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	if (file != NULL)
		fclose(file);
	printf("%llu %.6f %.6f %lu\n", (unsigned long long)bridge->published, (double)ns / 1e9, (double)cpu_ns / 1e9,
	       resident * (unsigned long)sysconf(_SC_PAGESIZE));
	jsCtx_Destroy(bridge->js);
	natsConnection_Destroy(bridge->connection);
	nats_Close();
}
