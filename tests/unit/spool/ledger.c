#include "ledger.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/memory.h"
#include "fake_disk.h"
#include "server.h"

static void __attribute__((format(printf, 2, 3)))
violated(struct ledger *l, const char *format, ...)
{
	va_list args;

	if (l->violation[0] != '\0')
		return;
	va_start(args, format);
	vsnprintf(l->violation, sizeof(l->violation), format, args);
	va_end(args);
}

/* The bytes of an entry follow from its id and their length. */
static void
bytes_make(char *bytes, size_t len, uint64_t id)
{
	uint64_t x = id * 0x9e3779b97f4a7c15 + len;

	memcpy(bytes, &id, sizeof(id));
	for (size_t i = sizeof(id); i < len; i++) {
		x = x * 6364136223846793005 + 1442695040888963407;
		bytes[i] = (char)(x >> 56);
	}
}

static void
written(void *context, struct xf_spool_write *first)
{
	struct ledger *l = context;

	pthread_mutex_lock(&l->lock);
	for (struct xf_spool_write *w = first; w != NULL; w = (struct xf_spool_write *)w->node.next) {
		struct entry *entry = (struct entry *)w;

		if (entry->fate != WAITING || l->waiting == 0)
			violated(l, "an entry was called back twice");
		entry->fate = w->result == XF_SPOOL_DURABLE ? DURABLE : w->result == XF_SPOOL_FAILED ? FAILED : REFUSED;
		l->durable += entry->fate == DURABLE;
		l->waiting--;
		l->callbacks++;
	}
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
}

void
ledger_init(struct ledger *l, const struct xf_disk *disk, const char *path, uint64_t bytes_max, uint32_t lanes)
{
	*l = (struct ledger){
		.settings = {.path = path, .name = "test", .bytes_max = bytes_max, .written = written, .context = l, .disk = disk},
		.lanes = lanes,
	};
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->changed, NULL);
}

void
ledger_forget(struct ledger *l, size_t count)
{
	while (l->count > count) {
		struct entry *entry = l->entries[--l->count];

		free((char *)entry->write.bytes.data);
		free(entry);
	}
}

void
ledger_fini(struct ledger *l)
{
	ledger_close(l);
	ledger_forget(l, 0);
	free(l->entries);
	free(l->found.missing);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->changed);
}

bool
ledger_open(struct ledger *l, struct xf_error *error)
{
	struct xf_spool_found found;

	XF_ASSERT(l->spool == NULL);
	l->spool = xf_spool_open(&l->settings, &found, error);
	if (l->spool == NULL)
		return false;
	free(l->found.missing);
	l->found = found;
	return true;
}

void
ledger_close(struct ledger *l)
{
	if (l->spool == NULL)
		return;
	xf_spool_close(&l->spool);
	if (l->waiting > 0)
		violated(l, "%zu entries were never called back", l->waiting);
}

static struct entry *
entry_add(struct ledger *l, size_t size)
{
	struct entry *entry = xf_alloc(sizeof(*entry));
	size_t len = sizeof(uint64_t) + (size > sizeof(uint64_t) ? (size_t)fake_below(size - sizeof(uint64_t) + 1) : 0);
	char *bytes = xf_alloc(len);

	if (l->count == l->size) {
		l->entries = xf_grow_array(l->entries, l->size, l->size > 0 ? 2 * l->size : 64, sizeof(struct entry *));
		l->size = l->size > 0 ? 2 * l->size : 64;
	}
	bytes_make(bytes, len, l->count);
	entry->write = (struct xf_spool_write){
		.bytes = {bytes, len}, .lane = (uint32_t)(l->count % l->lanes), .time_ms = 1000 + l->count};
	l->entries[l->count++] = entry;
	return entry;
}

void
ledger_append(struct ledger *l, size_t count, size_t size, uint32_t generation)
{
	struct xf_spool_write *first = NULL, *last = NULL;

	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < count; i++) {
		struct xf_spool_write *write = &entry_add(l, size)->write;

		write->generation = generation;
		if (last != NULL)
			last->node.next = &write->node;
		else
			first = write;
		last = write;
	}
	l->waiting += count;
	pthread_mutex_unlock(&l->lock);
	xf_spool_append(l->spool, first, last);
}

void
ledger_wait(struct ledger *l)
{
	pthread_mutex_lock(&l->lock);
	while (l->waiting > 0)
		pthread_cond_wait(&l->changed, &l->lock);
	pthread_mutex_unlock(&l->lock);
}

void
ledger_done(struct ledger *l, size_t count, bool mixed)
{
	struct xf_spool_place place;

	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < l->count && count > 0; i++) {
		struct entry *entry = l->entries[i];

		if (entry->fate != DURABLE || entry->done || (mixed && fake_below(3) != 0))
			continue;
		place = (struct xf_spool_place){entry->write.seq, entry->write.lane, (uint32_t)entry->write.bytes.len};
		entry->done = true;
		xf_spool_done(l->spool, &place, 1);
		count--;
	}
	pthread_mutex_unlock(&l->lock);
}

void
ledger_hush(bool hush)
{
	static int heard = -1;
	int nowhere;

	if (XF_SCALE > 1 || getenv("XF_LOUD") != NULL) /* what a sanitizer says goes the same way */
		return;
	if (heard < 0)
		heard = dup(STDERR_FILENO);
	nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	XF_ASSERT(heard >= 0 && nowhere >= 0 && dup2(hush ? nowhere : heard, STDERR_FILENO) >= 0);
	close(nowhere);
}

size_t
ledger_open_count(const struct ledger *l)
{
	size_t count = 0;

	for (size_t i = 0; i < l->count; i++)
		count += l->entries[i]->fate == DURABLE && !l->entries[i]->done;
	return count;
}

static bool
reported(const struct ledger *l, uint64_t seq)
{
	for (size_t i = 0; i < l->found.missing_count; i++)
		if (l->found.missing[i].first <= seq && seq <= l->found.missing[i].last)
			return true;
	return false;
}

/* A record that was read. */
static void
record_check(struct ledger *l, const struct xf_spool_record *record, uint64_t *lane_last, uint64_t *last_seq)
{
	uint64_t id = UINT64_MAX, seq = record->place.seq;
	struct entry *entry;

	if (record->bytes.len >= sizeof(id))
		memcpy(&id, record->bytes.data, sizeof(id));
	if (id >= l->count) {
		violated(l, "record %llu was never appended", (unsigned long long)seq);
		return;
	}
	entry = l->entries[id];
	if (record->bytes.len != entry->write.bytes.len || record->place.lane != entry->write.lane ||
	    record->place.len != record->bytes.len || record->time_ms != entry->write.time_ms ||
	    memcmp(record->bytes.data, entry->write.bytes.data, record->bytes.len) != 0)
		violated(l, "record %llu is not what was appended", (unsigned long long)seq);
	if (entry->there)
		violated(l, "entry %llu is there twice", (unsigned long long)id);
	if (entry->fate == REFUSED || entry->fate == WAITING)
		violated(l, "entry %llu is there and was refused", (unsigned long long)id);
	if (entry->fate == DURABLE && entry->write.seq != seq)
		violated(l, "entry %llu has number %llu, and %llu was told", (unsigned long long)id, (unsigned long long)seq,
		         (unsigned long long)entry->write.seq);
	if (seq <= *last_seq || id < lane_last[record->place.lane])
		violated(l, "record %llu with entry %llu is out of order", (unsigned long long)seq, (unsigned long long)id);
	*last_seq = seq;
	lane_last[record->place.lane] = id;
	entry->there = true;
	entry->fate = DURABLE;
	entry->write.seq = seq;
}

void
ledger_check(struct ledger *l)
{
	uint64_t *lane_last = xf_alloc_array(l->lanes, sizeof(*lane_last)), last_seq = 0, after = 0;
	uint32_t *lane_count = xf_alloc_array(l->lanes, sizeof(*lane_count));
	struct xf_spool_batch batch = {0};
	struct xf_error error;

	for (size_t i = 0; i < l->count; i++)
		l->entries[i]->there = false;
	do {
		if (xf_spool_read(l->spool, after, 1 + (size_t)fake_below(64), 1 + (size_t)fake_below(65536), &batch, &error) !=
		    XF_OK) {
			violated(l, "reading: %s", error.text);
			break;
		}
		for (size_t i = 0; i < batch.count; i++) {
			record_check(l, &batch.records[i], lane_last, &last_seq);
			lane_count[batch.records[i].place.lane % l->lanes]++;
		}
		if (batch.damaged > 0)
			violated(l, "reading passed over %llu", (unsigned long long)batch.damaged);
		after = batch.next;
	} while (batch.count > 0);
	for (size_t i = 0; i < l->count; i++) {
		struct entry *entry = l->entries[i];

		if (entry->fate == DURABLE && !entry->there && !entry->done) {
			if (reported(l, entry->write.seq))
				l->missing++;
			else
				violated(l, "entry %zu, record %llu, is lost", i, (unsigned long long)entry->write.seq);
		}
		if (entry->fate == DURABLE)
			entry->done = !entry->there;
	}
	for (uint32_t i = 0; i < l->lanes; i++)
		if (xf_spool_lane(l->spool, i) != lane_count[i])
			violated(l, "lane %u has %u, and %u are counted", i, lane_count[i], xf_spool_lane(l->spool, i));
	xf_spool_batch_fini(&batch);
	free(lane_last);
	free(lane_count);
}
