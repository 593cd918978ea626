/*
 * A turn of the writer is one transaction: what was appended goes in, what is done goes out; COMMIT syncs the WAL; then the mark says
 * how far the numbers go, and is synced; only then are the writes called back and shown to readers. The order matters: a mark
 * before its records would report a loss that was none, a callback before the mark could not report one that was.
 *
 * When something fails, the transaction is rolled back, everything in it is called back as failed, and the spool is FAILED: it takes nothing
 * more, and tries again by itself, with a transaction of removals or of nothing; where that finds no room either, the reserve is
 * given up. It is well again once that is on disk, with all of the WAL, and there is room again: a reserve and as much again, or free
 * space within the file.
 *
 * A failed sync says nothing about what is on disk, and a later one that succeeds nothing about what was written before the
 * failure. So nothing is trusted that was not written again: SQLite writes the same frames of its WAL anew, a checkpoint copies anew what
 * it could not sync, the mark writes the same slot anew; and the connection is not opened anew, since that would take for
 * committed what may only be in memory. Opening a spool ends with a full checkpoint for the same reason.
 *
 * Rows that were committed while their mark failed are in nobody's sight, as they are above `high`; the next transaction deletes
 * them. If the process ends before, they are found when it starts again, as what was called failed may be.
 */
#include "spool/spool.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/resource.h"
#include "spool/mark.h"
#include "spool/records.h"
#include "spool/runs.h"
#include "spool/survey.h"

#define COMMIT_RECORDS 4096
#define COMMIT_BYTES (2u << 20)
#define RECORD_BYTES (512u << 20) /* SQLite takes no more than twice that */
#define REMOVE_RECORDS 4096 /* to a transaction, and a run more */
#define REMOVE_DELAY_MS 20
#define RETRY_MS 10 /* failed: after that, then twice as long each time */
#define RETRY_MS_MAX 1000
#define RESERVE_MS 200 /* between tries for a reserve while there is free space within the file */
#define CHECKPOINT_PAGES 1024      /* 4 MiB: with a commit, well below the reserve */
#define CHECKPOINT_PAGES_MAX 16384 /* then readers are waited for */
#define SHRINK_BYTES (16u << 20)   /* files smaller than that stay as they are */
#define RANGES_LOGGED 8

struct xf_spool {
	char *path;
	char *name;
	_Atomic uint64_t bytes_max;
	void (*written)(void *context, struct xf_spool_write *first);
	void *context;
	enum xf_status (*begun)(void *context, struct xf_error *error);
	const struct xf_disk *disk;

	pthread_mutex_t begin_lock; /* guards the thread's making */
	pthread_t thread;
	_Atomic bool running; /* there is a thread */
	_Atomic bool open;    /* there are files, and what is the reader's is ready */
	struct xf_inbox inbox;
	_Atomic bool stopping;
	_Atomic uint32_t generation;
	_Atomic uint32_t lanes[XF_SPOOL_LANES];
	_Atomic uint64_t lane_last[XF_SPOOL_LANES]; /* the highest number that was done */
	_Atomic uint64_t done_low; /* of those done and not removed, the lowest; UINT64_MAX: there are none */

	/* the writer's */
	struct xf_records records;
	struct xf_mark mark;
	struct xf_spool_write *waiting, *waiting_last;
	enum xf_spool_result refusal; /* of writes with an old generation */
	uint64_t next;                /* number */
	uint64_t low;
	bool stray; /* there may be rows from NEXT on */
	uint64_t retry_ms;   /* monotonic: when to try again, failed */
	uint64_t retry_delay_ms;
	uint64_t reserve_ms; /* when to try for a reserve again */

	pthread_mutex_t done_lock;
	struct xf_runs done;      /* guarded by it: not in a transaction yet */
	struct xf_runs removing;  /* likewise: in the present one; only the writer changes it */
	uint64_t done_ms;      /* likewise: since when there is something in done */
	struct xf_error reason; /* likewise */

	/* the reader's */
	struct xf_records reader;
	struct xf_runs passed; /* a copy of what is done, sorted */

	/* the writer's, for all to read; but damaged is the reader's */
	_Atomic uint64_t high; /* what readers may see */
	_Atomic uint64_t messages, bytes, oldest_ms, commits, commit_us, commit_us_max, refused, failures, damaged;
	_Atomic bool failed;
};

/* ---- What is done ---------------------------------------------------------------------- */

void
xf_spool_done(struct xf_spool *s, const struct xf_spool_place *places, size_t count)
{
	uint64_t before;
	bool ring;

	pthread_mutex_lock(&s->done_lock);
	before = s->done.records;
	for (size_t i = 0; i < count; i++) {
		uint32_t lane = places[i].lane % XF_SPOOL_LANES;

		/* In this order: whoever sees the lane empty sees what stands of it. */
		if (places[i].seq < atomic_load(&s->done_low))
			atomic_store(&s->done_low, places[i].seq);
		if (places[i].seq > atomic_load(&s->lane_last[lane]))
			atomic_store(&s->lane_last[lane], places[i].seq);
		XF_ASSERT(atomic_fetch_sub(&s->lanes[lane], 1) > 0);
		xf_runs_add(&s->done, (struct xf_run){places[i].seq, places[i].seq, places[i].len + XF_SPOOL_RECORD_COST});
	}
	if (before == 0)
		s->done_ms = xf_now_ms();
	ring = before == 0 || (before < REMOVE_RECORDS && s->done.records >= REMOVE_RECORDS);
	pthread_mutex_unlock(&s->done_lock);
	if (ring)
		xf_inbox_ring(&s->inbox);
}

/* Takes the lowest of what is done for a transaction. */
static void
removing_take(struct xf_spool *s)
{
	pthread_mutex_lock(&s->done_lock);
	XF_ASSERT(s->removing.count == 0);
	xf_runs_take(&s->done, REMOVE_RECORDS, &s->removing);
	pthread_mutex_unlock(&s->done_lock);
}

/* They are removed, or to be tried again. */
static void
removing_end(struct xf_spool *s, bool removed)
{
	pthread_mutex_lock(&s->done_lock);
	if (!removed)
		xf_runs_add_all(&s->done, &s->removing);
	xf_runs_clear(&s->removing);
	atomic_store(&s->done_low, xf_runs_low(&s->done));
	pthread_mutex_unlock(&s->done_lock);
}

/* When a transaction for the sake of removals is due, monotonic; UINT64_MAX: there is nothing to remove. */
static uint64_t
removal_due(struct xf_spool *s)
{
	uint64_t due = UINT64_MAX;

	pthread_mutex_lock(&s->done_lock);
	if (s->done.records >= REMOVE_RECORDS)
		due = 0;
	else if (s->done.records > 0)
		due = s->done_ms + REMOVE_DELAY_MS;
	pthread_mutex_unlock(&s->done_lock);
	return due;
}

/* ---- Failing and healing --------------------------------------------------------------- */

static void
fail(struct xf_spool *s, const struct xf_error *reason)
{
	if (!s->failed)
		xf_log(XF_LOG_ERROR, s->name, "the spool cannot be written: %s; nothing more is spooled until that is mended",
		       reason->text);
	pthread_mutex_lock(&s->done_lock);
	s->reason = *reason;
	pthread_mutex_unlock(&s->done_lock);
	xf_count(&s->failures, 1);
	s->retry_delay_ms = !s->failed ? RETRY_MS : s->retry_delay_ms < RETRY_MS_MAX / 2 ? 2 * s->retry_delay_ms : RETRY_MS_MAX;
	s->retry_ms = xf_now_ms() + s->retry_delay_ms;
	if (s->failed && s->records.full && s->mark.reserved && xf_mark_release(&s->mark, NULL) == XF_OK)
		s->retry_ms = s->reserve_ms = 0; /* not even removals have found room: now they do, and leave room for it again */
	atomic_store(&s->failed, true);
}

static void
heal(struct xf_spool *s)
{
	atomic_store(&s->failed, false);
	xf_log(XF_LOG_INFO, s->name, "the spool can be written again");
}

/* Whether appending leaves removals the room that they need: a reserve, or free space in the file. After a failure there must
 * be more than the reserve, or each append would fail again. */
static enum xf_status
room_find(struct xf_spool *s, struct xf_error *error)
{
	uint64_t now = xf_now_ms(), size, unused;
	enum xf_status status = XF_OK;
	struct xf_error ignored;

	if (s->mark.reserved && !s->failed)
		return XF_OK;
	if (!s->mark.reserved && now < s->reserve_ms) {
		status = xf_error_set(error, "%s finds no room for its reserve", s->mark.path);
	} else {
		s->reserve_ms = now + RESERVE_MS;
		if (!s->mark.reserved)
			status = xf_mark_reserve(&s->mark, error);
		if (status == XF_OK && s->failed)
			status = xf_mark_probe(&s->mark, error);
	}
	if (status != XF_OK && xf_records_space(&s->records, &size, &unused, &ignored) == XF_OK &&
	    unused >= s->disk->reserve)
		return XF_OK;
	return status;
}

/* ---- A turn ---------------------------------------------------------------------------- */

/* The writes of a turn, those refused too. */
struct batch {
	struct xf_spool_write *first, *last;
	uint64_t count; /* to be written */
	uint64_t bytes;
};

static void
refuse(struct xf_spool *s, enum xf_spool_result result)
{
	s->refusal = result;
	atomic_store(&s->generation, atomic_load(&s->generation) + 1);
}

/* Says whether a write has its place, given what the batch has already. */
static enum xf_spool_result
judge(struct xf_spool *s, const struct xf_spool_write *write, const struct batch *batch)
{
	uint64_t cost = write->bytes.len + XF_SPOOL_RECORD_COST, bytes_max = atomic_load(&s->bytes_max);

	if (write->generation != atomic_load(&s->generation))
		return s->refusal;
	if (cost > bytes_max || write->bytes.len > RECORD_BYTES)
		return XF_SPOOL_TOO_LARGE;
	if (xf_read(&s->bytes) + batch->bytes + cost <= bytes_max)
		return XF_SPOOL_DURABLE;
	refuse(s, XF_SPOOL_FULL);
	return XF_SPOOL_FULL;
}

static void
batch_take(struct xf_spool *s, struct batch *batch)
{
	*batch = (struct batch){.first = s->waiting};
	while (s->waiting != NULL && batch->count < COMMIT_RECORDS && batch->bytes < COMMIT_BYTES) {
		struct xf_spool_write *write = s->waiting;

		write->result = judge(s, write, batch);
		if (write->result == XF_SPOOL_DURABLE) {
			write->seq = s->next + batch->count++;
			batch->bytes += write->bytes.len + XF_SPOOL_RECORD_COST;
		}
		batch->last = write;
		s->waiting = (struct xf_spool_write *)write->node.next;
	}
	if (batch->last != NULL)
		batch->last->node.next = NULL;
}

static void
batch_fail(struct xf_spool *s, struct batch *batch)
{
	if (batch->count == 0)
		return;
	refuse(s, XF_SPOOL_FAILED);
	for (struct xf_spool_write *w = batch->first; w != NULL; w = (struct xf_spool_write *)w->node.next)
		if (w->result == XF_SPOOL_DURABLE)
			w->result = XF_SPOOL_FAILED;
	batch->count = 0;
}

static void
batch_tell(struct xf_spool *s, struct batch *batch)
{
	if (batch->first == NULL)
		return;
	for (struct xf_spool_write *w = batch->first; w != NULL; w = (struct xf_spool_write *)w->node.next)
		if (w->result != XF_SPOOL_DURABLE) {
			atomic_fetch_sub(&s->lanes[w->lane % XF_SPOOL_LANES], 1);
			xf_count(&s->refused, w->result != XF_SPOOL_TOO_LARGE);
		}
	s->written(s->context, batch->first);
}

/* What stands in the file after a transaction. */
struct outcome {
	uint64_t low;
	uint64_t oldest_ms;
	uint64_t removed; /* bytes */
};

static enum xf_status
insert(struct xf_spool *s, const struct batch *batch, struct xf_error *error)
{
	for (const struct xf_spool_write *w = batch->first; w != NULL; w = (const struct xf_spool_write *)w->node.next) {
		struct xf_record record = {w->seq, w->time_ms, w->lane, w->bytes};

		if (w->result == XF_SPOOL_DURABLE && xf_records_insert(&s->records, &record, error) != XF_OK)
			return XF_FAILED;
	}
	return XF_OK;
}

/* Runs that touch are one range. */
static enum xf_status
removing_write(struct xf_spool *s, struct outcome *outcome, struct xf_error *error)
{
	const struct xf_runs *runs = &s->removing;

	for (size_t i = 0; i < runs->count;) {
		uint64_t first = runs->items[i].first, last = 0;

		do {
			last = runs->items[i].last;
			outcome->removed += runs->items[i].bytes;
		} while (++i < runs->count && runs->items[i].first == last + 1);
		if (xf_records_done(&s->records, first, last, error) != XF_OK)
			return XF_FAILED;
	}
	return XF_OK;
}

/* All between BEGIN and COMMIT. */
static enum xf_status
change(struct xf_spool *s, const struct batch *batch, struct outcome *outcome, struct xf_error *error)
{
	if (s->stray && xf_records_delete(&s->records, s->next, INT64_MAX, error) != XF_OK)
		return XF_FAILED;
	if (s->failed && xf_records_touch(&s->records, error) != XF_OK)
		return XF_FAILED;
	if (insert(s, batch, error) != XF_OK || removing_write(s, outcome, error) != XF_OK ||
	    xf_records_oldest(&s->records, &outcome->low, &outcome->oldest_ms, error) != XF_OK)
		return XF_FAILED;
	if (outcome->low == 0)
		outcome->low = s->next + batch->count;
	return XF_OK;
}

static enum xf_status
commit(struct xf_spool *s, const struct batch *batch, struct outcome *outcome, struct xf_error *error)
{
	if (batch->count > 0 && room_find(s, error) != XF_OK)
		return XF_FAILED;
	if (xf_records_begin(&s->records, error) != XF_OK)
		return XF_FAILED;
	if (change(s, batch, outcome, error) != XF_OK || xf_records_commit(&s->records, error) != XF_OK) {
		xf_records_rollback(&s->records);
		return XF_FAILED;
	}
	s->stray = batch->count > 0;
	if ((batch->count > 0 || s->failed) &&
	    xf_mark_write(&s->mark, XF_RECORDS_VERSION, outcome->low, s->next + batch->count - 1, error) != XF_OK)
		return XF_FAILED;
	s->stray = false;
	return XF_OK;
}

static void
publish(struct xf_spool *s, const struct batch *batch, const struct outcome *outcome, uint64_t started_ns)
{
	uint64_t us = (xf_now_ns() - started_ns) / 1000, removed = s->removing.records;

	s->next += batch->count;
	s->low = outcome->low;
	atomic_store(&s->high, s->next - 1);
	/* A file that was damaged while it was open may have held less than was removed. */
	removed = removed < xf_read(&s->messages) + batch->count ? removed : xf_read(&s->messages) + batch->count;
	atomic_store(&s->messages, xf_read(&s->messages) + batch->count - removed);
	atomic_store(&s->bytes, xf_read(&s->bytes) + batch->bytes - outcome->removed);
	atomic_store(&s->oldest_ms, outcome->oldest_ms);
	atomic_store(&s->commit_us, us);
	if (us > xf_read(&s->commit_us_max))
		atomic_store(&s->commit_us_max, us);
	xf_count(&s->commits, 1);
}

/* Space goes back to the disk once next to nothing of the file is in use. */
static enum xf_status
shrink(struct xf_spool *s, struct xf_error *error)
{
	uint64_t size, unused;

	if (xf_records_space(&s->records, &size, &unused, error) != XF_OK)
		return XF_FAILED;
	if (size < SHRINK_BYTES || size - unused > size / 16 || size - unused > SHRINK_BYTES / 16)
		return XF_OK;
	if (xf_records_shrink(&s->records, error) != XF_OK)
		return XF_FAILED;
	return xf_records_checkpoint(&s->records, true, error);
}

/* What a commit leaves to be done, when those who wait for it have heard. */
static enum xf_status
tidy(struct xf_spool *s, bool idle, struct xf_error *error)
{
	int pages = s->records.wal_pages;

	if ((pages > CHECKPOINT_PAGES || s->failed) &&
	    xf_records_checkpoint(&s->records, pages > CHECKPOINT_PAGES_MAX || s->failed, error) != XF_OK)
		return XF_FAILED;
	if (idle && shrink(s, error) != XF_OK)
		return XF_FAILED;
	if (s->failed) {
		if (room_find(s, error) != XF_OK)
			return XF_FAILED;
		heal(s);
	}
	return XF_OK;
}

static void
turn(struct xf_spool *s)
{
	uint64_t started_ns = xf_now_ns();
	struct outcome outcome = {0};
	struct xf_error error;
	struct batch batch;
	enum xf_status status;
	bool idle;

	s->records.full = false;
	batch_take(s, &batch);
	removing_take(s);
	idle = batch.first == NULL && s->removing.count > 0;
	if (batch.count == 0 && s->removing.count == 0 && !s->failed) {
		batch_tell(s, &batch); /* all were refused */
		return;
	}
	status = commit(s, &batch, &outcome, &error);
	if (status == XF_OK)
		publish(s, &batch, &outcome, started_ns);
	else
		batch_fail(s, &batch);
	removing_end(s, status == XF_OK);
	if (status != XF_OK)
		fail(s, &error);
	batch_tell(s, &batch);
	if (status == XF_OK && tidy(s, idle, &error) != XF_OK)
		fail(s, &error);
}

/* ---- The writer ------------------------------------------------------------------------ */

static enum xf_status open_all(struct xf_spool *s, struct xf_spool_found *found, struct xf_error *error);
static void close_files(struct xf_spool *s);

/* There was nothing to be opened until now. */
static void
open_late(struct xf_spool *s)
{
	struct xf_spool_found found = {0};
	struct xf_error error;

	if (open_all(s, &found, &error) == XF_OK && s->begun(s->context, &error) == XF_OK) {
		atomic_store(&s->open, true);
		s->retry_ms = 0; /* where it failed: the next turn finds out whether it is well */
	} else {
		close_files(s);
		fail(s, &error);
	}
	free(found.missing);
}

static void
waiting_add(struct xf_spool *s, struct xf_node *chain)
{
	struct xf_spool_write *first = (struct xf_spool_write *)chain;

	if (chain == NULL)
		return;
	if (s->waiting == NULL)
		s->waiting = first;
	else
		s->waiting_last->node.next = chain;
	s->waiting_last = (struct xf_spool_write *)chain->last;
}

/* Failed: nothing is tried with what is appended. */
static void
waiting_refuse(struct xf_spool *s)
{
	struct batch batch = {.first = s->waiting};

	if (s->waiting == NULL)
		return;
	refuse(s, XF_SPOOL_FAILED);
	for (struct xf_spool_write *w = s->waiting; w != NULL; w = (struct xf_spool_write *)w->node.next)
		w->result = XF_SPOOL_FAILED;
	s->waiting = NULL;
	batch_tell(s, &batch);
}

static void
nap(struct xf_spool *s, uint64_t until_ms)
{
	struct pollfd bell = {.fd = s->inbox.bell, .events = POLLIN};
	uint64_t now = xf_now_ms();
	int timeout = until_ms == UINT64_MAX ? -1 : until_ms <= now ? 0 : (int)(until_ms - now);

	if (timeout == 0 || !xf_inbox_sleep(&s->inbox))
		return;
	poll(&bell, 1, timeout);
	xf_inbox_awake(&s->inbox);
}

static void *
writer(void *argument)
{
	struct xf_spool *s = argument;

	for (;;) {
		bool stopping = atomic_load(&s->stopping);
		uint64_t due;

		waiting_add(s, xf_inbox_take(&s->inbox));
		if (!s->open && (!s->failed || s->retry_ms <= xf_now_ms()))
			open_late(s);
		if (s->failed)
			waiting_refuse(s);
		due = s->failed ? s->retry_ms : removal_due(s);
		if (s->open && (s->waiting != NULL || due <= xf_now_ms())) {
			turn(s);
			continue;
		}
		if (stopping)
			break;
		nap(s, due);
	}
	/* One more try with what is done; where it fails that is read again. If it gave up the reserve, another takes that back: without it a disk
	 * that is full by the next start could never be written. */
	if (s->open && (s->failed || removal_due(s) != UINT64_MAX))
		turn(s);
	if (s->open && s->failed && !s->mark.reserved)
		turn(s);
	while (s->open && !s->failed && removal_due(s) != UINT64_MAX)
		turn(s);
	return NULL;
}

/* With the first append. Where there is no thread to be had, that is refused. */
static void
writer_begin(struct xf_spool *s)
{
	struct xf_error error;

	pthread_mutex_lock(&s->begin_lock);
	if (!s->running && xf_thread_create(&s->thread, writer, s, &error) == XF_OK)
		atomic_store(&s->running, true);
	if (!s->running) {
		fail(s, &error);
		waiting_add(s, xf_inbox_take(&s->inbox));
		waiting_refuse(s);
	}
	pthread_mutex_unlock(&s->begin_lock);
}

/* ---- Appending ------------------------------------------------------------------------- */

void
xf_spool_limit(struct xf_spool *s, uint64_t bytes_max)
{
	atomic_store(&s->bytes_max, bytes_max);
}

void
xf_spool_append(struct xf_spool *s, struct xf_spool_write *first, struct xf_spool_write *last)
{
	for (const struct xf_spool_write *w = first;; w = (const struct xf_spool_write *)w->node.next) {
		atomic_fetch_add(&s->lanes[w->lane % XF_SPOOL_LANES], 1);
		if (w == last)
			break;
	}
	xf_inbox_push(&s->inbox, &first->node, &last->node);
	if (!atomic_load_explicit(&s->running, memory_order_relaxed))
		writer_begin(s);
}

uint32_t
xf_spool_generation(const struct xf_spool *s)
{
	return atomic_load(&s->generation);
}

uint32_t
xf_spool_lane(const struct xf_spool *s, uint32_t lane)
{
	return atomic_load(&s->lanes[lane % XF_SPOOL_LANES]);
}

bool
xf_spool_lane_stands(const struct xf_spool *s, uint32_t lane)
{
	return xf_spool_lane(s, lane) > 0 || atomic_load(&s->lane_last[lane % XF_SPOOL_LANES]) >= atomic_load(&s->done_low);
}

bool
xf_spool_has_begun(const struct xf_spool *s)
{
	return atomic_load(&s->open);
}

/* ---- Reading --------------------------------------------------------------------------- */

void
xf_spool_batch_fini(struct xf_spool_batch *batch)
{
	free(batch->records);
	xf_buffer_fini(&batch->bytes);
	*batch = (struct xf_spool_batch){0};
}

static void
batch_add(struct xf_spool_batch *batch, const struct xf_record *record)
{
	if (batch->count == batch->size) {
		size_t size = batch->size > 0 ? 2 * batch->size : 64;

		batch->records = xf_grow_array(batch->records, batch->size, size, sizeof(*batch->records));
		batch->size = size;
	}
	batch->records[batch->count++] = (struct xf_spool_record){
		.place = {record->seq, record->lane, (uint32_t)record->bytes.len},
		.time_ms = record->time_ms,
		.bytes = {NULL, record->bytes.len}, /* where it is, is known once the buffer grows no more */
	};
	xf_buffer_append(&batch->bytes, record->bytes.data, record->bytes.len);
}

/* What is done at this moment, whether its removal was committed or not: read before the rows are. */
static void
passed_note(struct xf_spool *s)
{
	xf_runs_clear(&s->passed);
	pthread_mutex_lock(&s->done_lock);
	xf_runs_add_all(&s->passed, &s->done);
	xf_runs_add_all(&s->passed, &s->removing);
	pthread_mutex_unlock(&s->done_lock);
	xf_runs_sort(&s->passed);
}

enum xf_status
xf_spool_read(struct xf_spool *s, uint64_t after, size_t count_max, size_t bytes_max, struct xf_spool_batch *batch,
              struct xf_error *error)
{
	enum xf_status status = XF_OK;
	sqlite3_stmt *rows;
	size_t at = 0;
	int result = SQLITE_DONE;

	batch->count = 0;
	batch->damaged = 0;
	batch->bytes.len = 0;
	batch->next = after;
	if (!atomic_load(&s->open))
		return XF_OK;
	rows = s->reader.statements[XF_RECORDS_FROM];
	passed_note(s);
	sqlite3_bind_int64(rows, 1, (sqlite3_int64)after + 1);
	sqlite3_bind_int64(rows, 2, (sqlite3_int64)atomic_load(&s->high));
	while (batch->count < count_max && (result = sqlite3_step(rows)) == SQLITE_ROW) {
		struct xf_record record;
		bool sound = xf_record_read(rows, &record);

		if (sound && batch->count > 0 && batch->bytes.len + record.bytes.len > bytes_max)
			break;
		batch->next = record.seq;
		if (xf_runs_have(&s->passed, record.seq))
			continue;
		if (sound)
			batch_add(batch, &record);
		else
			batch->damaged++;
	}
	if (result != SQLITE_ROW && result != SQLITE_DONE && batch->count == 0) {
		status = xf_records_fail(&s->reader, "cannot be read", error);
		if (xf_survey_is_damage(&s->reader))
			xf_error_prefix(error, "the spool is damaged; restart: what can be read is carried over then");
	}
	sqlite3_reset(rows);
	for (size_t i = 0; i < batch->count; at += batch->records[i++].bytes.len)
		batch->records[i].bytes.data = batch->bytes.data != NULL ? batch->bytes.data + at : NULL;
	xf_count(&s->damaged, batch->damaged);
	return status;
}

/* ---- Numbers --------------------------------------------------------------------------- */

bool
xf_spool_fails(const struct xf_spool *s)
{
	return atomic_load_explicit(&s->failed, memory_order_relaxed);
}

void
xf_spool_numbers(const struct xf_spool *s, struct xf_spool_numbers *numbers)
{
	*numbers = (struct xf_spool_numbers){
		.messages = xf_read(&s->messages),
		.bytes = xf_read(&s->bytes),
		.bytes_max = atomic_load(&s->bytes_max),
		.oldest_ms = xf_read(&s->oldest_ms),
		.commits = xf_read(&s->commits),
		.commit_us = xf_read(&s->commit_us),
		.commit_us_max = xf_read(&s->commit_us_max),
		.refused = xf_read(&s->refused),
		.failures = xf_read(&s->failures),
		.damaged = xf_read(&s->damaged),
		.failed = atomic_load(&s->failed),
	};
}

void
xf_spool_reason(struct xf_spool *s, struct xf_error *reason)
{
	pthread_mutex_lock(&s->done_lock);
	*reason = s->reason;
	pthread_mutex_unlock(&s->done_lock);
}

/* ---- Opening and closing --------------------------------------------------------------- */

static enum xf_status
open_mark(struct xf_spool *s, struct xf_error *error)
{
	char *path = xf_spool_mark_path(s->path);
	enum xf_status status = xf_mark_open(&s->mark, s->disk, path, !xf_disk_exists(s->disk, path), error);

	free(path);
	if (status != XF_OK)
		return XF_FAILED;
	if (s->mark.version > XF_RECORDS_VERSION)
		return xf_error_set(error,
		                    "%s was written by a newer crossfade (spool version %u; this one knows up to %d); start "
		                    "that one until it is empty, or move the folder away to go on without what is in it",
		                    s->path, s->mark.version, XF_RECORDS_VERSION);
	return XF_OK;
}

/* What is damaged only at a first look is not. */
static enum xf_status
look(struct xf_spool *s, _Atomic uint32_t *lanes, struct xf_survey *survey, struct xf_error *error)
{
	char *path = xf_spool_records_path(s->path);
	bool there = xf_disk_exists(s->disk, path);
	enum xf_status status = XF_OK;

	if (there) {
		status = xf_records_open(&s->records, s->disk, path, false, error);
		for (int i = 0; i < 2 && status == XF_OK && (i == 0 || survey->damaged); i++)
			status = xf_survey(&s->records, s->disk, &s->mark, lanes, XF_SPOOL_LANES, survey, error);
	} else {
		*survey = (struct xf_survey){.damaged = true, .damage = "records.db is missing"};
	}
	free(path);
	return status;
}

static void
damage_log(const struct xf_spool *s, const struct xf_survey *survey, const struct xf_salvage *salvage)
{
	struct xf_buffer ranges = {0};

	for (size_t i = 0; i < salvage->missing_count && i < RANGES_LOGGED; i++) {
		const struct xf_spool_range *r = &salvage->missing[i];

		xf_buffer_printf(&ranges, "%s%llu", i > 0 ? ", " : "", (unsigned long long)r->first);
		if (r->last == UINT64_MAX)
			xf_buffer_puts(&ranges, " and what may have come after");
		else if (r->last > r->first)
			xf_buffer_printf(&ranges, "-%llu", (unsigned long long)r->last);
	}
	if (salvage->missing_count > RANGES_LOGGED)
		xf_buffer_printf(&ranges, " and %zu ranges more", salvage->missing_count - RANGES_LOGGED);
	xf_log(XF_LOG_ERROR, s->name,
	       "the spool %s is damaged: %s; it is set aside whole as %s.damaged-TIME, and what can be read of it is "
	       "delivered: kept=%llu missing=%s; look at the disk, keep that folder until you know what was lost, and publish "
	       "that again",
	       s->path, survey->damage, s->path, (unsigned long long)salvage->kept,
	       ranges.data != NULL ? ranges.data : "none");
	xf_buffer_fini(&ranges);
}

static void
close_files(struct xf_spool *s)
{
	xf_records_close(&s->reader);
	xf_records_close(&s->records);
	xf_mark_close(&s->mark);
}

/* Builds what is to stand in the place of the damaged one. The log comes first: whoever is killed in between has told. */
static enum xf_status
replace(struct xf_spool *s, const struct xf_survey *survey, struct xf_spool_found *found, struct xf_error *error)
{
	struct xf_salvage salvage = {0};

	if (xf_salvage(s->disk, s->path, s->records.db != NULL ? &s->records : NULL, &s->mark, &salvage, error) != XF_OK) {
		free(salvage.missing);
		xf_error_prefix(error, "the spool %s is damaged (%s), and what can be read of it cannot be saved", s->path,
		                survey->damage);
		return XF_FAILED;
	}
	damage_log(s, survey, &salvage);
	found->damaged = true;
	found->missing = salvage.missing;
	found->missing_count = salvage.missing_count;
	return XF_OK;
}

/* Mark and records are open when it returns XF_OK, and sound. */
static enum xf_status
open_files(struct xf_spool *s, _Atomic uint32_t *lanes, struct xf_survey *survey, struct xf_spool_found *found,
           struct xf_error *error)
{
	for (;;) {
		if (xf_salvage_settle(s->disk, s->path, error) != XF_OK || open_mark(s, error) != XF_OK ||
		    look(s, lanes, survey, error) != XF_OK)
			return XF_FAILED;
		if (!survey->damaged)
			return XF_OK;
		if (found->damaged)
			return xf_error_set(error, "the spool %s is damaged again (%s) as soon as it was made anew; look at "
			                           "the disk",
			                    s->path, survey->damage);
		if (replace(s, survey, found, error) != XF_OK)
			return XF_FAILED;
		close_files(s);
	}
}

/* From here on what was found is on disk, whatever a disk said to the one who wrote it. On a full disk it begins as failed: what is
 * there can be read, and nothing is appended before a checkpoint was possible. */
static enum xf_status
checkpoint_first(struct xf_spool *s, struct xf_error *error)
{
	enum xf_status status = xf_records_checkpoint(&s->records, true, error);

	if (status != XF_OK && s->records.full && s->mark.reserved && xf_mark_release(&s->mark, NULL) == XF_OK) {
		status = xf_records_checkpoint(&s->records, true, error);
		if (status == XF_OK)
			xf_mark_reserve(&s->mark, NULL); /* best effort: others may have been quicker */
	}
	if (status != XF_OK && s->records.full) {
		fail(s, error);
		status = XF_OK;
	}
	return status;
}

static enum xf_status
begin(struct xf_spool *s, const struct xf_survey *survey, struct xf_error *error)
{
	if (xf_records_prepare(&s->records, error) != XF_OK || checkpoint_first(s, error) != XF_OK ||
	    xf_mark_write(&s->mark, XF_RECORDS_VERSION, survey->low, survey->next - 1, error) != XF_OK ||
	    xf_records_open(&s->reader, s->disk, s->records.path, false, error) != XF_OK ||
	    xf_records_prepare(&s->reader, error) != XF_OK)
		return XF_FAILED;
	s->next = survey->next;
	s->low = survey->low;
	atomic_store(&s->high, survey->next - 1);
	atomic_store(&s->messages, survey->messages);
	atomic_store(&s->bytes, survey->bytes);
	atomic_store(&s->oldest_ms, survey->oldest_ms);
	return XF_OK;
}

/* There may be writes that wait, and are counted. */
static enum xf_status
open_all(struct xf_spool *s, struct xf_spool_found *found, struct xf_error *error)
{
	_Atomic uint32_t *lanes = xf_alloc_array(XF_SPOOL_LANES, sizeof(*lanes));
	struct xf_survey survey;
	enum xf_status status = open_files(s, lanes, &survey, found, error);

	if (status == XF_OK)
		status = begin(s, &survey, error);
	if (status == XF_OK) {
		for (uint32_t i = 0; i < XF_SPOOL_LANES; i++)
			atomic_fetch_add(&s->lanes[i], lanes[i]);
		found->messages = survey.messages;
		found->bytes = survey.bytes;
		found->oldest_ms = survey.oldest_ms;
	}
	free(lanes);
	return status;
}

/* Whether there is something to be opened: the spool, or what a broken-off replacement left of it. */
static bool
is_there(const struct xf_spool *s)
{
	char *new = xf_format("%s.new", s->path);
	bool there = xf_disk_exists(s->disk, s->path) || xf_disk_exists(s->disk, new);

	free(new);
	return there;
}

static enum xf_status
open_now(struct xf_spool *s, struct xf_spool_found *found, struct xf_error *error)
{
	if (s->begun != NULL && !is_there(s))
		return XF_OK;
	if (open_all(s, found, error) != XF_OK)
		return XF_FAILED;
	atomic_store(&s->open, true);
	if (xf_thread_create(&s->thread, writer, s, error) != XF_OK)
		return XF_FAILED;
	atomic_store(&s->running, true);
	return XF_OK;
}

static void
destroy(struct xf_spool *s)
{
	close_files(s);
	xf_runs_fini(&s->done);
	xf_runs_fini(&s->removing);
	xf_runs_fini(&s->passed);
	pthread_mutex_destroy(&s->done_lock);
	pthread_mutex_destroy(&s->begin_lock);
	xf_inbox_fini(&s->inbox);
	free(s->name);
	free(s->path);
	free(s);
}

struct xf_spool *
xf_spool_open(const struct xf_spool_settings *settings, struct xf_spool_found *found, struct xf_error *error)
{
	struct xf_spool *s = xf_alloc(sizeof(*s));
	struct xf_spool_found there = {0};

	s->path = xf_strdup(settings->path);
	s->name = xf_strdup(settings->name);
	atomic_init(&s->bytes_max, settings->bytes_max);
	s->written = settings->written;
	s->begun = settings->begun;
	s->context = settings->context;
	s->disk = settings->disk != NULL ? settings->disk : &xf_disk_real;
	s->refusal = XF_SPOOL_FULL;
	atomic_init(&s->done_low, UINT64_MAX);
	XF_ASSERT(pthread_mutex_init(&s->done_lock, NULL) == 0 && pthread_mutex_init(&s->begin_lock, NULL) == 0);
	if (xf_inbox_init(&s->inbox, error) != XF_OK || open_now(s, &there, error) != XF_OK) {
		free(there.missing);
		destroy(s);
		return NULL;
	}
	*found = there;
	return s;
}

/* Best effort: all of it is done again, or is not needed, when the spool is opened. */
static void
tidy_up(struct xf_spool *s)
{
	if (s->failed || !s->open)
		return;
	xf_records_checkpoint(&s->records, true, NULL);
	xf_mark_write(&s->mark, XF_RECORDS_VERSION, s->low, s->next - 1, NULL);
	if (s->mark.reserved && xf_read(&s->messages) == 0)
		xf_mark_release(&s->mark, NULL);
}

void
xf_spool_close(struct xf_spool **spool)
{
	struct xf_spool *s = *spool;

	if (s == NULL)
		return;
	*spool = NULL;
	atomic_store(&s->stopping, true);
	xf_inbox_ring(&s->inbox);
	XF_ASSERT(!s->running || pthread_join(s->thread, NULL) == 0);
	tidy_up(s);
	destroy(s);
}
