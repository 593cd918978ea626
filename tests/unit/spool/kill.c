/*
 * A process that appends is killed at a random moment, many times over the same spool: what it was told is durable is there, whole and
 * in order.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "broker.h"
#include "fake_disk.h"
#include "server.h"
#include "spool/spool.h"

#define KILLS (XF_SCALE > 1 ? 10 : 100)
#define KILLS_LONG 500
#define LANES 10
#define PAYLOAD 700

/* What the child says of a record. */
struct report {
	uint64_t id;
	uint64_t done; /* 1: it said so, else that it is durable */
};

struct append {
	struct xf_spool_write write;
	uint64_t id;
	char bytes[PAYLOAD];
};

static int pipe_end;

static size_t
payload_make(char *bytes, uint64_t id)
{
	size_t len = 16 + (size_t)(id * 2654435761u % (PAYLOAD - 16));

	memset(bytes, (int)(id % 251), len);
	memcpy(bytes, &id, sizeof(id));
	return len;
}

static void
tell(uint64_t id, bool done)
{
	struct report report = {id, done};

	if (write(pipe_end, &report, sizeof(report)) != sizeof(report))
		_exit(3);
}

static void
written(void *context, struct xf_spool_write *first)
{
	(void)context;
	for (struct xf_spool_write *w = first, *next; w != NULL; w = next) {
		next = (struct xf_spool_write *)w->node.next;
		if (w->result == XF_SPOOL_DURABLE)
			tell(((struct append *)w)->id, false);
		free(w);
	}
}

static struct xf_spool *
opened(const char *path, struct xf_spool_found *found)
{
	struct xf_spool_settings settings = {.path = path, .name = "test", .bytes_max = 64 << 20, .written = written};
	struct xf_error error;
	struct xf_spool *spool = xf_spool_open(&settings, found, &error);

	if (spool == NULL)
		fprintf(stderr, "%s\n", error.text);
	return spool;
}

/* Appends for ever; reads now and then, and says done of some. */
static _Noreturn void
child(const char *path, uint64_t id)
{
	struct xf_spool_batch batch = {0};
	struct xf_spool_found found;
	struct xf_spool *spool = opened(path, &found);
	struct xf_error error;
	uint64_t after = 0;

	if (spool == NULL || found.damaged)
		_exit(2);
	for (;;) {
		struct append *first = NULL, *last = NULL;

		for (uint64_t count = 1 + fake_below(30); count > 0; count--, id++) {
			struct append *a = xf_alloc(sizeof(*a));

			a->id = id;
			a->write = (struct xf_spool_write){.lane = (uint32_t)(id % LANES), .time_ms = id, .generation = xf_spool_generation(spool)};
			a->write.bytes = (struct xf_str){a->bytes, payload_make(a->bytes, id)};
			if (last != NULL)
				last->write.node.next = &a->write.node;
			else
				first = a;
			last = a;
		}
		xf_spool_append(spool, &first->write, &last->write);
		if (xf_spool_read(spool, after, 25, SIZE_MAX, &batch, &error) != XF_OK)
			_exit(2);
		for (size_t i = 0; i < batch.count; i++)
			if (fake_below(20) != 0) {
				tell(batch.records[i].time_ms, true); /* before: it may be gone from here on */
				xf_spool_done(spool, &batch.records[i].place, 1);
			}
		after = batch.next;
		if (fake_below(4) == 0)
			xf_sleep_ms((unsigned)fake_below(4));
	}
}

/* What is known of the ids so far. */
struct known {
	uint8_t *fates; /* by id: bits */
	size_t size;
	uint64_t next; /* no id is higher */
	uint64_t durable;
};

enum { TOLD = 1, DONE = 2, THERE = 4 };

static void
known_add(struct known *known, uint64_t id, uint8_t fate)
{
	if (id >= known->size) {
		size_t size = (size_t)(id + 1) * 2;

		known->fates = xf_grow_array(known->fates, known->size, size, 1);
		known->size = size;
	}
	known->durable += fate == TOLD;
	known->fates[id] |= fate;
	known->next = id >= known->next ? id + 1 : known->next;
}

static void
known_check(struct known *known, struct xf_spool *spool)
{
	struct xf_spool_batch batch = {0};
	uint64_t after = 0, last[LANES] = {0};
	struct xf_error error;
	char bytes[PAYLOAD];

	for (uint64_t id = 0; id < known->next; id++)
		known->fates[id] &= (uint8_t)~THERE;
	do {
		assert_int_equal(xf_spool_read(spool, after, 1000, SIZE_MAX, &batch, &error), XF_OK);
		for (size_t i = 0; i < batch.count; i++) {
			const struct xf_spool_record *r = &batch.records[i];
			uint64_t id = r->time_ms;

			assert_int_equal(r->bytes.len, payload_make(bytes, id));
			assert_memory_equal(r->bytes.data, bytes, r->bytes.len);
			assert_int_equal(r->place.lane, id % LANES);
			assert_true(id == 0 || id > last[r->place.lane]);
			last[r->place.lane] = id;
			known_add(known, id, THERE);
		}
		assert_int_equal(batch.damaged, 0);
		after = batch.next;
	} while (batch.count > 0);
	for (uint64_t id = 0; id < known->next; id++)
		if ((known->fates[id] & TOLD) != 0 && (known->fates[id] & (DONE | THERE)) == 0)
			fail_msg("record %llu is lost", (unsigned long long)id);
	/* What was not told but is there is durable from here on; what is gone stays so. */
	for (uint64_t id = 0; id < known->next; id++)
		known->fates[id] = (known->fates[id] & THERE) != 0 ? TOLD : DONE;
	xf_spool_batch_fini(&batch);
}

static void
killed_processes_lose_nothing(void **state)
{
	unsigned kills = getenv("XF_LONG") != NULL ? KILLS_LONG : KILLS;
	char *dir = xf_temp_create("spool-kill"), *path = xf_format("%s/spool", dir);
	struct known known = {0};

	(void)state;
	for (unsigned i = 0; i < kills; i++) {
		struct xf_spool_found found;
		struct report report;
		struct xf_spool *spool;
		uint64_t until = 0;
		int ends[2], status;
		pid_t pid;

		assert_int_equal(pipe(ends), 0);
		fake_disk_reset(i + 1);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			close(ends[0]);
			pipe_end = ends[1];
			child(path, known.next);
		}
		close(ends[1]);
		/* It is read all the time, or the child would wait for that. */
		while (read(ends[0], &report, sizeof(report)) == sizeof(report)) {
			until = until == 0 ? xf_now_ms() + fake_below(60) : until; /* from the first on: starting may take long */
			known_add(&known, report.id, report.done ? DONE : TOLD);
			if (xf_now_ms() >= until) {
				kill(pid, SIGKILL);
				until = UINT64_MAX;
			}
		}
		close(ends[0]);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		spool = opened(path, &found);
		assert_non_null(spool);
		assert_false(found.damaged);
		known_check(&known, spool);
		xf_spool_close(&spool);
	}
	print_message("%u kills, %llu records called durable, none lost\n", kills, (unsigned long long)known.durable);
	assert_true(known.durable > kills);
	free(known.fates);
	free(path);
	xf_temp_destroy(&dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_processes_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
