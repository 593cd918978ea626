#include "spool/mark.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/assert.h"
#include "base/memory.h"

#define MAGIC 0x6b72616d6c6f6f73u /* "soolmark" */
#define SLOT_DISTANCE 4096 /* a block of their own each */
#define SLOTS_END ((sqlite3_int64)2 * SLOT_DISTANCE)
#define ZEROS (64 << 10)

struct slot {
	uint64_t magic;
	uint64_t version;
	uint64_t turn;
	uint64_t low;
	uint64_t high;
	uint64_t sum; /* of those before it */
};

static enum xf_status
mark_fail(const struct xf_mark *mark, const char *what, int result, struct xf_error *error)
{
	return xf_error_set(error, "%s %s: %s", mark->path, what, xf_disk_reason(mark->vfs, result));
}

static uint64_t
slot_sum(const struct slot *slot)
{
	return XXH3_64bits(slot, offsetof(struct slot, sum));
}

/* False: nothing that was written there once. What cannot be read at the second try either is no more than that: the other slot
 * is there, and without either the spool is looked through as far as it goes. */
static bool
slot_read(struct xf_mark *mark, unsigned i, struct slot *slot)
{
	int result = SQLITE_IOERR;

	for (int attempt = 0; attempt < 2 && result != SQLITE_OK; attempt++) {
		result = mark->file->pMethods->xRead(mark->file, slot, sizeof(*slot), (sqlite3_int64)i * SLOT_DISTANCE);
		if (result == SQLITE_IOERR_SHORT_READ)
			result = SQLITE_OK; /* the rest is zeros */
	}
	mark->unreadable |= result != SQLITE_OK;
	return result == SQLITE_OK && le64toh(slot->magic) == MAGIC && le64toh(slot->sum) == slot_sum(slot);
}

static enum xf_status
mark_read(struct xf_mark *mark, struct xf_error *error)
{
	sqlite3_int64 size = 0;
	int result;

	for (unsigned i = 0; i < 2; i++) {
		struct slot slot;

		if (!slot_read(mark, i, &slot) || (mark->version != 0 && le64toh(slot.turn) < mark->turn))
			continue;
		mark->version = (uint32_t)le64toh(slot.version);
		mark->turn = le64toh(slot.turn);
		mark->low = le64toh(slot.low);
		mark->high = le64toh(slot.high);
	}
	result = mark->file->pMethods->xFileSize(mark->file, &size);
	if (result != SQLITE_OK)
		return mark_fail(mark, "cannot be read", result, error);
	mark->reserved = size > SLOTS_END;
	return XF_OK;
}

static enum xf_status
mark_lock(struct xf_mark *mark, struct xf_error *error)
{
	const sqlite3_io_methods *methods = mark->file->pMethods;
	int result = methods->xLock(mark->file, SQLITE_LOCK_SHARED);

	if (result == SQLITE_OK)
		result = methods->xLock(mark->file, SQLITE_LOCK_EXCLUSIVE);
	if (result == SQLITE_OK)
		return XF_OK;
	if (result == SQLITE_BUSY)
		return xf_error_set(error, "%s is held by another process: another crossfaded uses this data_dir; stop it, "
		                           "or give this one a data_dir of its own",
		                    mark->path);
	return mark_fail(mark, "cannot be locked", result, error);
}

enum xf_status
xf_mark_open(struct xf_mark *mark, const struct xf_disk *disk, const char *path, bool create, struct xf_error *error)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_MAIN_DB | (create ? SQLITE_OPEN_CREATE : 0), result;

	*mark = (struct xf_mark){.vfs = sqlite3_vfs_find(disk->vfs), .reserve = disk->reserve};
	XF_ASSERT(mark->vfs != NULL);
	mark->path = xf_format("%s%c", path, '\0'); /* SQLite's layer wants a second end behind a database's name */
	mark->file = xf_alloc((size_t)mark->vfs->szOsFile);
	result = mark->vfs->xOpen(mark->vfs, mark->path, mark->file, flags, &flags);
	if (result != SQLITE_OK)
		mark_fail(mark, "cannot be opened", result, error);
	else if ((flags & SQLITE_OPEN_READONLY) != 0)
		xf_error_set(error, "%s cannot be written: its permissions say so", mark->path);
	else if (mark_lock(mark, error) == XF_OK && mark_read(mark, error) == XF_OK)
		return XF_OK;
	xf_mark_close(mark);
	return XF_FAILED;
}

void
xf_mark_close(struct xf_mark *mark)
{
	if (mark->file != NULL && mark->file->pMethods != NULL) {
		mark->file->pMethods->xUnlock(mark->file, SQLITE_LOCK_NONE);
		mark->file->pMethods->xClose(mark->file);
	}
	free(mark->file);
	free(mark->path);
	*mark = (struct xf_mark){0};
}

static int
mark_sync(struct xf_mark *mark)
{
	return mark->file->pMethods->xSync(mark->file, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
}

enum xf_status
xf_mark_write(struct xf_mark *mark, uint32_t version, uint64_t low, uint64_t high, struct xf_error *error)
{
	struct slot slot = {.magic = htole64(MAGIC),
	                    .version = htole64(version),
	                    .turn = htole64(mark->turn + 1),
	                    .low = htole64(low),
	                    .high = htole64(high)};
	sqlite3_int64 at = (sqlite3_int64)((mark->turn + 1) % 2) * SLOT_DISTANCE;
	int result;

	slot.sum = htole64(slot_sum(&slot));
	result = mark->file->pMethods->xWrite(mark->file, &slot, sizeof(slot), at);
	if (result == SQLITE_OK)
		result = mark_sync(mark);
	if (result != SQLITE_OK)
		return mark_fail(mark, "cannot be written", result, error);
	mark->turn++;
	mark->version = version;
	mark->low = low;
	mark->high = high;
	return XF_OK;
}

static int
zeros_write(struct xf_mark *mark, sqlite3_int64 from, sqlite3_int64 to)
{
	char *zeros = xf_alloc(ZEROS);
	int result = SQLITE_OK;

	for (sqlite3_int64 at = from; result == SQLITE_OK && at < to; at += ZEROS)
		result = mark->file->pMethods->xWrite(mark->file, zeros, (int)(to - at < ZEROS ? to - at : ZEROS), at);
	free(zeros);
	return result == SQLITE_OK ? mark_sync(mark) : result;
}

static enum xf_status
mark_cut(struct xf_mark *mark, sqlite3_int64 size, struct xf_error *error)
{
	int result = mark->file->pMethods->xTruncate(mark->file, size);

	return result == SQLITE_OK ? XF_OK : mark_fail(mark, "cannot be cut", result, error);
}

enum xf_status
xf_mark_reserve(struct xf_mark *mark, struct xf_error *error)
{
	int result = zeros_write(mark, SLOTS_END, SLOTS_END + (sqlite3_int64)mark->reserve);

	if (result == SQLITE_OK) {
		mark->reserved = true;
		return XF_OK;
	}
	mark_fail(mark, "finds no room for its reserve", result, error);
	mark_cut(mark, SLOTS_END, NULL);
	return XF_FAILED;
}

enum xf_status
xf_mark_probe(struct xf_mark *mark, struct xf_error *error)
{
	sqlite3_int64 end = SLOTS_END + (sqlite3_int64)mark->reserve;
	int result = zeros_write(mark, end, end + (sqlite3_int64)mark->reserve);
	enum xf_status status = result == SQLITE_OK ? XF_OK : mark_fail(mark, "finds no room behind it", result, error);

	return mark_cut(mark, end, status == XF_OK ? error : NULL) == XF_OK ? status : XF_FAILED;
}

enum xf_status
xf_mark_release(struct xf_mark *mark, struct xf_error *error)
{
	mark->reserved = false;
	return mark_cut(mark, SLOTS_END, error);
}
