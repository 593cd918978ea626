/*
 * spool - how fast a spool takes records, and gives them back.
 *
 *   bench-spool DIR [RECORDS [BYTES]]
 *
 * In a new folder below DIR. Prints a line each: records appended with up to 8192 under way (group commit), appended one at a time
 * (each waits for its sync), the spool opened with all of them, and all read and removed.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "spool/spool.h"

#define WINDOW 8192
#define CHAIN 64
#define SINGLE 2000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uint64_t told;

static void
written(void *context, struct xf_spool_write *first)
{
	uint64_t count = 0;

	(void)context;
	for (struct xf_spool_write *w = first; w != NULL; w = (struct xf_spool_write *)w->node.next, count++)
		if (w->result != XF_SPOOL_DURABLE) {
			fprintf(stderr, "bench-spool: a record was refused (%d)\n", (int)w->result);
			exit(1);
		}
	pthread_mutex_lock(&lock);
	told += count;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
}

static void
told_await(uint64_t count)
{
	pthread_mutex_lock(&lock);
	while (told < count)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static struct xf_spool *
opened(const char *path)
{
	struct xf_spool_settings settings = {.path = path, .name = "bench", .bytes_max = UINT64_MAX / 2, .written = written};
	struct xf_spool_found found;
	struct xf_error error;
	struct xf_spool *spool = xf_spool_open(&settings, &found, &error);

	if (spool == NULL) {
		fprintf(stderr, "bench-spool: %s\n", error.text);
		exit(1);
	}
	return spool;
}

static void
append(struct xf_spool *spool, struct xf_spool_write *writes, uint64_t records, uint64_t window, uint64_t chain,
       struct xf_str bytes)
{
	uint64_t base = told;

	for (uint64_t i = 0; i < records; i += chain) {
		if (i + chain > window)
			told_await(base + i + chain - window);
		for (uint64_t j = i; j < i + chain; j++) {
			struct xf_spool_write *w = &writes[j % WINDOW];

			*w = (struct xf_spool_write){.lane = (uint32_t)(j % 10000), .time_ms = j, .bytes = bytes};
			if (j > i)
				writes[(j - 1) % WINDOW].node.next = &w->node;
		}
		xf_spool_append(spool, &writes[i % WINDOW], &writes[(i + chain - 1) % WINDOW]);
	}
	told_await(base + records);
}

static void
replay(struct xf_spool *spool)
{
	struct xf_spool_place *places = xf_alloc_array(1024, sizeof(*places));
	struct xf_spool_batch batch = {0};
	struct xf_spool_numbers numbers;
	struct xf_error error;
	uint64_t after = 0;

	do {
		if (xf_spool_read(spool, after, 1024, 1 << 20, &batch, &error) != XF_OK) {
			fprintf(stderr, "bench-spool: %s\n", error.text);
			exit(1);
		}
		for (size_t i = 0; i < batch.count; i++)
			places[i] = batch.records[i].place;
		xf_spool_done(spool, places, batch.count);
		after = batch.next;
	} while (batch.count > 0);
	do {
		xf_sleep_ms(1);
		xf_spool_numbers(spool, &numbers);
	} while (numbers.messages > 0);
	xf_spool_batch_fini(&batch);
	free(places);
}

static void
line(const char *what, uint64_t records, uint64_t start_ns, uint64_t commits)
{
	double seconds = (double)(xf_now_ns() - start_ns) / 1e9;

	printf("%-14s %10.0f records/s  %8.1f ms", what, (double)records / seconds, seconds * 1000);
	if (commits > 0)
		printf("  %llu commits", (unsigned long long)commits);
	putchar('\n');
}

int
main(int argc, char **argv)
{
	uint64_t records = argc > 2 ? strtoull(argv[2], NULL, 10) / CHAIN * CHAIN : 0;
	size_t size = argc > 3 ? strtoul(argv[3], NULL, 10) : 1024;
	struct xf_spool_write *writes = xf_alloc_array(WINDOW, sizeof(*writes));
	struct xf_spool_numbers numbers, later;
	struct xf_str bytes = {xf_alloc(size), size};
	struct xf_spool *spool;
	uint64_t start;
	char *path;

	if (argc < 2 || argc > 4) {
		fprintf(stderr, "usage: bench-spool DIR [RECORDS [BYTES]]\n");
		return 2;
	}
	records = records > 0 ? records : 262144;
	path = xf_format("%s/bench-spool-%ld", argv[1], (long)getpid());
	spool = opened(path);
	start = xf_now_ns();
	append(spool, writes, records, WINDOW, CHAIN, bytes);
	xf_spool_numbers(spool, &numbers);
	line("append", records, start, numbers.commits);
	start = xf_now_ns();
	append(spool, writes, SINGLE, 1, 1, bytes);
	xf_spool_numbers(spool, &later);
	line("one at a time", SINGLE, start, later.commits - numbers.commits);
	xf_spool_close(&spool);
	start = xf_now_ns();
	spool = opened(path);
	line("open", records + SINGLE, start, 0);
	start = xf_now_ns();
	replay(spool);
	xf_spool_numbers(spool, &later);
	line("replay", records + SINGLE, start, later.commits);
	xf_spool_close(&spool);
	for (int i = 0; i < 4; i++) {
		static const char *const files[] = {"records.db", "records.db-wal", "records.db-shm", "mark"};
		char *file = xf_format("%s/%s", path, files[i]);

		unlink(file);
		free(file);
	}
	rmdir(path);
	free(path);
	free((char *)bytes.data);
	free(writes);
	return 0;
}
