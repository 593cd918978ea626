#include "spool/salvage.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

#define COMMIT_RECORDS 1024
#define CHECKPOINT_PAGES 1024
#define PROBE 100000 /* numbers in a row that are not there, behind the last one that is known of, where the end cannot be read */

char *
xf_spool_records_path(const char *path)
{
	return xf_format("%s/records.db", path);
}

char *
xf_spool_mark_path(const char *path)
{
	return xf_format("%s/mark", path);
}

/* ---- Folders --------------------------------------------------------------------------- */

static enum xf_status
folder_fail(const char *path, const char *what, int code, struct xf_error *error)
{
	return xf_error_set(error, "%s %s: %s", path, what, strerror(code));
}

/* Not synced: whichever of the moves the power lets come onto the disk, the next one who settles makes the same of it. */
static enum xf_status
move(const struct xf_disk *disk, const char *from, const char *to, struct xf_error *error)
{
	int code = disk->move(from, to);

	if (code != 0)
		return xf_error_set(error, "%s cannot be moved to %s: %s", from, to, strerror(code));
	return XF_OK;
}

/* PATH.damaged-20260131T120000Z, and a number where that is taken. */
static enum xf_status
set_aside(const struct xf_disk *disk, const char *path, struct xf_error *error)
{
	char when[32], *aside, *at = when;
	enum xf_status status;

	xf_wall_format(xf_wall_ms(), when);
	for (const char *c = when; *c != '\0' && *c != '.'; c++)
		if (*c != '-' && *c != ':')
			*at++ = *c;
	*at = '\0';
	aside = xf_format("%s.damaged-%sZ", path, when);
	for (unsigned i = 2; xf_disk_exists(disk, aside); i++) {
		free(aside);
		aside = xf_format("%s.damaged-%sZ-%u", path, when, i);
	}
	status = move(disk, path, aside, error);
	free(aside);
	return status;
}

/* What an earlier attempt left goes: it was never complete. It must not come back beside what is made now, hence the sync. */
static enum xf_status
folder_make(const struct xf_disk *disk, const char *folder, struct xf_error *error)
{
	static const char *const files[] = {"mark", "records.db", "records.db-wal", "records.db-shm", "records.db-journal"};
	sqlite3_vfs *vfs = sqlite3_vfs_find(disk->vfs);
	int code = disk->make(folder);

	if (code != 0)
		return folder_fail(folder, "cannot be made", code, error);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		char *file = xf_format("%s/%s", folder, files[i]);
		int result = vfs->xDelete(vfs, file, 0);

		if (result != SQLITE_OK && result != SQLITE_IOERR_DELETE_NOENT)
			code = xf_error_set(error, "%s cannot be removed: %s", file, xf_disk_reason(vfs, result));
		free(file);
		if (code != 0)
			return XF_FAILED;
	}
	code = disk->sync(folder);
	return code != 0 ? folder_fail(folder, "cannot be synced", code, error) : XF_OK;
}

/* The mark of a folder whose records are complete and synced. */
static enum xf_status
folder_complete(const struct xf_disk *disk, const char *folder, uint64_t low, uint64_t high, struct xf_error *error)
{
	char *path = xf_spool_mark_path(folder);
	struct xf_mark mark;
	enum xf_status status;
	int code = disk->sync(folder);

	status = code != 0 ? folder_fail(folder, "cannot be synced", code, error)
	                   : xf_mark_open(&mark, disk, path, true, error);
	if (status == XF_OK) {
		status = xf_mark_write(&mark, XF_RECORDS_VERSION, low, high, error);
		xf_mark_close(&mark);
	}
	if (status == XF_OK) {
		code = disk->sync(folder);
		status = code != 0 ? folder_fail(folder, "cannot be synced", code, error) : XF_OK;
	}
	if (status == XF_OK) {
		code = xf_disk_sync_parent(disk, folder);
		status = code != 0 ? folder_fail(folder, "cannot be synced", code, error) : XF_OK;
	}
	free(path);
	return status;
}

/* Fails where that cannot be found out: then nothing is moved. */
static enum xf_status
folder_is_complete(const struct xf_disk *disk, const char *folder, bool *complete, struct xf_error *error)
{
	char *path = xf_spool_mark_path(folder);
	struct xf_mark mark;
	enum xf_status status = XF_OK;

	*complete = false;
	if (xf_disk_exists(disk, path)) {
		status = xf_mark_open(&mark, disk, path, false, error);
		if (status == XF_OK) {
			*complete = mark.version != 0;
			if (!*complete && mark.unreadable)
				status = xf_error_set(error, "%s cannot be read", path);
			xf_mark_close(&mark);
		}
	}
	free(path);
	return status;
}

static enum xf_status
settle(const struct xf_disk *disk, const char *path, const char *new, struct xf_error *error)
{
	bool complete = false;

	if (xf_disk_exists(disk, new) && folder_is_complete(disk, new, &complete, error) != XF_OK)
		return XF_FAILED;
	if (!complete) {
		if (xf_disk_exists(disk, path))
			return XF_OK;
		if (xf_salvage(disk, path, NULL, NULL, NULL, error) != XF_OK)
			return XF_FAILED;
	}
	if (xf_disk_exists(disk, path) && set_aside(disk, path, error) != XF_OK)
		return XF_FAILED;
	return move(disk, new, path, error);
}

enum xf_status
xf_salvage_settle(const struct xf_disk *disk, const char *path, struct xf_error *error)
{
	char *new = xf_format("%s.new", path);
	enum xf_status status = settle(disk, path, new, error);

	free(new);
	return status;
}

/* ---- Records --------------------------------------------------------------------------- */

/* The work of one salvage. */
struct carrier {
	sqlite3_stmt *record, *last, *hole; /* of what is damaged; NULL where nothing of it can be read */
	struct xf_records to;
	struct xf_salvage *salvage;
	uint64_t seen;   /* the last number whose fate is known */
	uint64_t filled; /* the last that is a record or in a hole of the new file */
	unsigned uncommitted;
};

/* SQLITE_ROW, SQLITE_DONE, or what went wrong twice. */
static int
row_find(sqlite3_stmt *statement, uint64_t seq)
{
	int result = SQLITE_ERROR;

	for (int attempt = 0; attempt < 2 && result != SQLITE_ROW && result != SQLITE_DONE; attempt++) {
		sqlite3_reset(statement);
		sqlite3_bind_int64(statement, 1, (sqlite3_int64)seq);
		result = sqlite3_step(statement);
	}
	return result;
}

/* All behind what was seen, up to LAST, is lost. */
static void
missing_to(struct carrier *c, uint64_t last)
{
	struct xf_salvage *salvage = c->salvage;
	size_t count = salvage->missing_count;

	if (c->seen >= last)
		return;
	salvage->missing = xf_grow_array(salvage->missing, count, count + 1, sizeof(*salvage->missing));
	salvage->missing[salvage->missing_count++] = (struct xf_spool_range){c->seen + 1, last};
	c->seen = last;
}

static enum xf_status
hole_before(struct carrier *c, uint64_t next, struct xf_error *error)
{
	if (c->filled + 1 >= next)
		return XF_OK;
	return xf_records_done(&c->to, c->filled + 1, next - 1, error);
}

static enum xf_status
record_keep(struct carrier *c, const struct xf_record *record, struct xf_error *error)
{
	if (hole_before(c, record->seq, error) != XF_OK || xf_records_insert(&c->to, record, error) != XF_OK)
		return XF_FAILED;
	c->filled = record->seq;
	c->salvage->kept++;
	if (++c->uncommitted < COMMIT_RECORDS)
		return XF_OK;
	c->uncommitted = 0;
	if (xf_records_commit(&c->to, error) != XF_OK ||
	    (c->to.wal_pages > CHECKPOINT_PAGES && xf_records_checkpoint(&c->to, false, error) != XF_OK))
		return XF_FAILED;
	return xf_records_begin(&c->to, error);
}

/* The last number of all; false where that cannot be read. */
static bool
end_find(struct carrier *c, uint64_t *end)
{
	struct xf_record record = {0};
	uint64_t first, last = 0;
	int row = row_find(c->last, INT64_MAX), hole = row_find(c->hole, INT64_MAX);

	if (row == SQLITE_ROW ? !xf_record_read(c->last, &record) : row != SQLITE_DONE)
		return false;
	if (hole == SQLITE_ROW ? !xf_hole_read(c->hole, &first, &last) : hole != SQLITE_DONE)
		return false;
	*end = record.seq > last ? record.seq : last;
	return true;
}

/* Number by number, so that a page that cannot be read costs what is on it and no more. */
static enum xf_status
carry(struct carrier *c, uint64_t high, struct xf_error *error)
{
	uint64_t end = 0;
	unsigned absent = 0, probe = end_find(c, &end) ? 0 : PROBE;

	for (uint64_t seq = c->seen + 1, first, last; seq <= high || seq <= end || absent < probe; seq++) {
		struct xf_record record;

		if (row_find(c->record, seq) == SQLITE_ROW && xf_record_read(c->record, &record) && record.seq == seq)
			last = seq;
		else if (row_find(c->hole, seq) == SQLITE_ROW && xf_hole_read(c->hole, &first, &last) && seq <= last)
			record.seq = 0;
		else {
			absent++;
			continue;
		}
		absent = 0;
		missing_to(c, seq - 1);
		c->seen = last;
		if (record.seq > 0 && record_keep(c, &record, error) != XF_OK)
			return XF_FAILED;
		seq = last;
	}
	return XF_OK;
}

/* All that is between BEGIN and COMMIT. */
static enum xf_status
fill(struct carrier *c, const struct xf_mark *mark, uint64_t *end, struct xf_error *error)
{
	c->seen = mark->version != 0 ? mark->low - 1 : 0;
	if (c->record != NULL && c->last != NULL && c->hole != NULL && carry(c, mark->high, error) != XF_OK)
		return XF_FAILED;
	missing_to(c, mark->high);
	*end = c->seen;
	if (mark->version == 0)
		missing_to(c, UINT64_MAX);
	return hole_before(c, *end + 1, error);
}

static enum xf_status
build(struct carrier *c, const struct xf_disk *disk, const char *records, const struct xf_mark *mark, uint64_t *end,
      struct xf_error *error)
{
	enum xf_status status;

	if (xf_records_open(&c->to, disk, records, true, error) != XF_OK)
		return XF_FAILED;
	status = xf_records_prepare(&c->to, error);
	if (status == XF_OK && mark != NULL) {
		status = xf_records_begin(&c->to, error);
		if (status == XF_OK)
			status = fill(c, mark, end, error);
		if (status == XF_OK)
			status = xf_records_commit(&c->to, error);
	}
	if (status == XF_OK)
		status = xf_records_checkpoint(&c->to, true, error);
	xf_records_close(&c->to);
	return status;
}

static void
prepare(struct xf_records *from, const char *sql, sqlite3_stmt **statement)
{
	if (from == NULL || sqlite3_prepare_v2(from->db, sql, -1, statement, NULL) != SQLITE_OK)
		*statement = NULL;
}

enum xf_status
xf_salvage(const struct xf_disk *disk, const char *path, struct xf_records *from, const struct xf_mark *mark,
           struct xf_salvage *salvage, struct xf_error *error)
{
	char *new = xf_format("%s.new", path), *records = xf_spool_records_path(new);
	struct carrier c = {.salvage = salvage};
	uint64_t end = 0;
	enum xf_status status;

	prepare(from, "SELECT seq, lane, time, sum, bytes FROM record WHERE seq = ?1", &c.record);
	prepare(from, "SELECT seq, lane, time, sum, bytes FROM record WHERE seq <= ?1 ORDER BY seq DESC LIMIT 1", &c.last);
	prepare(from, "SELECT first, last, sum FROM hole WHERE first <= ?1 ORDER BY first DESC LIMIT 1", &c.hole);
	if (from != NULL)
		sqlite3_exec(from->db, "BEGIN", NULL, NULL, NULL); /* looking up costs less within a transaction, that is all */
	status = folder_make(disk, new, error);
	if (status == XF_OK)
		status = build(&c, disk, records, mark, &end, error);
	if (status == XF_OK)
		status = folder_complete(disk, new, mark != NULL && mark->version != 0 ? mark->low : 1, end, error);
	sqlite3_finalize(c.record);
	sqlite3_finalize(c.last);
	sqlite3_finalize(c.hole);
	free(records);
	free(new);
	return status;
}
