#include "spool/records.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/memory.h"

#define BUSY_TIMEOUT_MS 5000

static const char *const statements[XF_RECORDS_STATEMENTS] = {
	[XF_RECORDS_BEGIN] = "BEGIN IMMEDIATE",
	[XF_RECORDS_COMMIT] = "COMMIT",
	[XF_RECORDS_ROLLBACK] = "ROLLBACK",
	[XF_RECORDS_INSERT] = "INSERT INTO record (seq, lane, time, sum, bytes) VALUES (?1, ?2, ?3, ?4, ?5)",
	[XF_RECORDS_DELETE] = "DELETE FROM record WHERE seq BETWEEN ?1 AND ?2",
	[XF_RECORDS_OLDEST] = "SELECT seq, time FROM record ORDER BY seq LIMIT 1",
	[XF_RECORDS_FROM] = "SELECT seq, lane, time, sum, bytes FROM record WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq",
	[XF_RECORDS_HOLE_BELOW] = "SELECT first, last, sum FROM hole WHERE first <= ?1 ORDER BY first DESC LIMIT 1",
	[XF_RECORDS_HOLE_PUT] = "INSERT OR REPLACE INTO hole (first, last, sum) VALUES (?1, ?2, ?3)",
	[XF_RECORDS_HOLE_DELETE] = "DELETE FROM hole WHERE first BETWEEN ?1 AND ?2",
};

/* No secure_delete: what is free need not be written again. */
static const char settings[] =
	"PRAGMA synchronous=FULL;"
	"PRAGMA temp_store=MEMORY;"
	"PRAGMA secure_delete=OFF;"
	"PRAGMA cache_size=-4096;";

static const char schema[] =
	"BEGIN IMMEDIATE;"
	"CREATE TABLE record ("
	" seq INTEGER PRIMARY KEY, lane INTEGER NOT NULL, time INTEGER NOT NULL, sum INTEGER NOT NULL, bytes BLOB NOT NULL);"
	"CREATE TABLE hole (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, sum INTEGER NOT NULL);"
	"PRAGMA application_id=%d;"
	"PRAGMA user_version=%d;"
	"COMMIT";

enum xf_status
xf_records_fail(struct xf_records *records, const char *what, struct xf_error *error)
{
	records->full = sqlite3_errcode(records->db) == SQLITE_FULL;
	return xf_error_set(error, "%s %s: %s", records->path, what, sqlite3_errmsg(records->db));
}

static enum xf_status
run(struct xf_records *records, const char *sql, const char *what, struct xf_error *error)
{
	if (sqlite3_exec(records->db, sql, NULL, NULL, NULL) == SQLITE_OK)
		return XF_OK;
	return xf_records_fail(records, what, error);
}

static int
wal_grew(void *context, sqlite3 *db, const char *name, int pages)
{
	struct xf_records *records = context;

	(void)db;
	(void)name;
	records->wal_pages = pages;
	return SQLITE_OK;
}

static enum xf_status
records_create(struct xf_records *records, struct xf_error *error)
{
	char *sql = xf_format(schema, XF_RECORDS_APPLICATION, XF_RECORDS_VERSION);
	enum xf_status status;

	status = run(records, "PRAGMA journal_mode=WAL", "cannot be made", error);
	if (status == XF_OK)
		status = run(records, sql, "cannot be made", error);
	free(sql);
	return status;
}

enum xf_status
xf_records_open(struct xf_records *records, const struct xf_disk *disk, const char *path, bool create,
                struct xf_error *error)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (create ? SQLITE_OPEN_CREATE : 0);

	*records = (struct xf_records){.path = xf_strdup(path)};
	if (sqlite3_open_v2(path, &records->db, flags, disk->vfs) != SQLITE_OK) {
		xf_records_fail(records, "cannot be opened", error);
		goto close;
	}
	sqlite3_extended_result_codes(records->db, 1);
	sqlite3_busy_timeout(records->db, BUSY_TIMEOUT_MS);
	sqlite3_db_config(records->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_wal_hook(records->db, wal_grew, records); /* in place of SQLite's own checkpoints */
	if (create && records_create(records, error) != XF_OK)
		goto close;
	return XF_OK;

close:
	xf_records_close(records);
	return XF_FAILED;
}

enum xf_status
xf_records_prepare(struct xf_records *records, struct xf_error *error)
{
	if (run(records, settings, "cannot be used", error) != XF_OK)
		return XF_FAILED;
	for (int i = 0; i < XF_RECORDS_STATEMENTS; i++)
		if (sqlite3_prepare_v3(records->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &records->statements[i],
		                       NULL) != SQLITE_OK)
			return xf_records_fail(records, "cannot be used", error);
	return XF_OK;
}

void
xf_records_close(struct xf_records *records)
{
	for (int i = 0; i < XF_RECORDS_STATEMENTS; i++)
		sqlite3_finalize(records->statements[i]);
	sqlite3_close(records->db);
	free(records->path);
	*records = (struct xf_records){0};
}

/* ---- Checksums ------------------------------------------------------------------------- */

/* What a checksum is over: the numbers, and the hash of the bytes. The same on every machine that SQLite's files are read on. */
static uint64_t
record_sum(const struct xf_record *record)
{
	uint64_t parts[] = {record->seq, record->lane, record->time_ms, record->bytes.len,
	                    XXH3_64bits(record->bytes.data, record->bytes.len)};

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		parts[i] = htole64(parts[i]);
	return XXH3_64bits(parts, sizeof(parts));
}

static uint64_t
hole_sum(uint64_t first, uint64_t last)
{
	uint64_t parts[] = {htole64(first), htole64(last)};

	return XXH3_64bits(parts, sizeof(parts));
}

bool
xf_record_read(sqlite3_stmt *row, struct xf_record *record)
{
	sqlite3_int64 lane = sqlite3_column_int64(row, 1);

	record->seq = (uint64_t)sqlite3_column_int64(row, 0);
	record->lane = (uint32_t)lane;
	record->time_ms = (uint64_t)sqlite3_column_int64(row, 2);
	record->bytes.data = sqlite3_column_blob(row, 4);
	record->bytes.len = (uint64_t)sqlite3_column_bytes(row, 4);
	return lane == record->lane && record_sum(record) == (uint64_t)sqlite3_column_int64(row, 3);
}

bool
xf_hole_read(sqlite3_stmt *row, uint64_t *first, uint64_t *last)
{
	*first = (uint64_t)sqlite3_column_int64(row, 0);
	*last = (uint64_t)sqlite3_column_int64(row, 1);
	return *first <= *last && hole_sum(*first, *last) == (uint64_t)sqlite3_column_int64(row, 2);
}

/* ---- Steps ----------------------------------------------------------------------------- */

/* Runs a statement that gives no rows. */
static enum xf_status
step(struct xf_records *records, int which, struct xf_error *error)
{
	sqlite3_stmt *statement = records->statements[which];
	enum xf_status status = XF_OK;

	if (sqlite3_step(statement) != SQLITE_DONE)
		status = xf_records_fail(records, "cannot be written", error);
	sqlite3_reset(statement);
	return status;
}

static void
bind(struct xf_records *records, int which, uint64_t first, uint64_t second)
{
	sqlite3_bind_int64(records->statements[which], 1, (sqlite3_int64)first);
	sqlite3_bind_int64(records->statements[which], 2, (sqlite3_int64)second);
}

enum xf_status
xf_records_begin(struct xf_records *records, struct xf_error *error)
{
	return step(records, XF_RECORDS_BEGIN, error);
}

enum xf_status
xf_records_commit(struct xf_records *records, struct xf_error *error)
{
	return step(records, XF_RECORDS_COMMIT, error);
}

void
xf_records_rollback(struct xf_records *records)
{
	if (!sqlite3_get_autocommit(records->db)) /* else the error has rolled back already */
		sqlite3_step(records->statements[XF_RECORDS_ROLLBACK]);
	sqlite3_reset(records->statements[XF_RECORDS_ROLLBACK]);
}

enum xf_status
xf_records_insert(struct xf_records *records, const struct xf_record *record, struct xf_error *error)
{
	sqlite3_stmt *insert = records->statements[XF_RECORDS_INSERT];

	bind(records, XF_RECORDS_INSERT, record->seq, record->lane);
	sqlite3_bind_int64(insert, 3, (sqlite3_int64)record->time_ms);
	sqlite3_bind_int64(insert, 4, (sqlite3_int64)record_sum(record));
	/* No bytes are no NULL. */
	sqlite3_bind_blob64(insert, 5, record->bytes.len > 0 ? record->bytes.data : "", record->bytes.len, SQLITE_STATIC);
	return step(records, XF_RECORDS_INSERT, error);
}

enum xf_status
xf_records_delete(struct xf_records *records, uint64_t first, uint64_t last, struct xf_error *error)
{
	bind(records, XF_RECORDS_DELETE, first, last);
	return step(records, XF_RECORDS_DELETE, error);
}

/* The hole that begins at SEQ or before, the nearest; both are 0 where there is none. */
static enum xf_status
hole_below(struct xf_records *records, uint64_t seq, uint64_t *first, uint64_t *last, struct xf_error *error)
{
	sqlite3_stmt *below = records->statements[XF_RECORDS_HOLE_BELOW];
	enum xf_status status = XF_OK;
	int result;

	*first = *last = 0;
	sqlite3_bind_int64(below, 1, (sqlite3_int64)seq);
	result = sqlite3_step(below);
	if (result == SQLITE_ROW && !xf_hole_read(below, first, last))
		status = xf_error_set(error, "%s is damaged: a hole is not what was written", records->path);
	else if (result != SQLITE_ROW && result != SQLITE_DONE)
		status = xf_records_fail(records, "cannot be read", error);
	sqlite3_reset(below);
	return status;
}

/* What touches FIRST to LAST on either side is within one hole each; those are joined. */
enum xf_status
xf_records_done(struct xf_records *records, uint64_t first, uint64_t last, struct xf_error *error)
{
	uint64_t before_first, before_last, after_first, after_last;

	if (xf_records_delete(records, first, last, error) != XF_OK ||
	    hole_below(records, first, &before_first, &before_last, error) != XF_OK ||
	    hole_below(records, last + 1, &after_first, &after_last, error) != XF_OK)
		return XF_FAILED;
	if (before_first > 0 && before_last + 1 >= first)
		first = before_first;
	if (after_first > 0 && after_last > last)
		last = after_last;
	bind(records, XF_RECORDS_HOLE_DELETE, first + 1, last);
	if (step(records, XF_RECORDS_HOLE_DELETE, error) != XF_OK)
		return XF_FAILED;
	bind(records, XF_RECORDS_HOLE_PUT, first, last);
	sqlite3_bind_int64(records->statements[XF_RECORDS_HOLE_PUT], 3, (sqlite3_int64)hole_sum(first, last));
	return step(records, XF_RECORDS_HOLE_PUT, error);
}

enum xf_status
xf_records_touch(struct xf_records *records, struct xf_error *error)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "PRAGMA user_version=%d", XF_RECORDS_VERSION);
	return run(records, sql, "cannot be written", error);
}

enum xf_status
xf_records_oldest(struct xf_records *records, uint64_t *seq, uint64_t *time_ms, struct xf_error *error)
{
	sqlite3_stmt *oldest = records->statements[XF_RECORDS_OLDEST];
	int result = sqlite3_step(oldest);
	enum xf_status status = XF_OK;

	if (result == SQLITE_ROW || result == SQLITE_DONE) {
		*seq = result == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(oldest, 0) : 0;
		*time_ms = result == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(oldest, 1) : 0;
	} else {
		status = xf_records_fail(records, "cannot be read", error);
	}
	sqlite3_reset(oldest);
	return status;
}

/* ---- Space ----------------------------------------------------------------------------- */

enum xf_status
xf_records_checkpoint(struct xf_records *records, bool all, struct xf_error *error)
{
	int mode = all ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;

	if (sqlite3_wal_checkpoint_v2(records->db, NULL, mode, NULL, NULL) != SQLITE_OK)
		return xf_records_fail(records, "cannot be written", error);
	return XF_OK;
}

static enum xf_status
ask(struct xf_records *records, const char *sql, uint64_t *number, struct xf_error *error)
{
	sqlite3_stmt *statement = NULL;
	enum xf_status status = XF_OK;

	*number = 0;
	if (sqlite3_prepare_v2(records->db, sql, -1, &statement, NULL) == SQLITE_OK &&
	    sqlite3_step(statement) == SQLITE_ROW)
		*number = (uint64_t)sqlite3_column_int64(statement, 0);
	else
		status = xf_records_fail(records, "cannot be read", error);
	sqlite3_finalize(statement);
	return status;
}

enum xf_status
xf_records_space(struct xf_records *records, uint64_t *size, uint64_t *unused, struct xf_error *error)
{
	uint64_t page, all, none;

	if (ask(records, "PRAGMA page_size", &page, error) != XF_OK ||
	    ask(records, "PRAGMA page_count", &all, error) != XF_OK ||
	    ask(records, "PRAGMA freelist_count", &none, error) != XF_OK)
		return XF_FAILED;
	*size = all * page;
	*unused = none * page;
	return XF_OK;
}

enum xf_status
xf_records_shrink(struct xf_records *records, struct xf_error *error)
{
	return run(records, "VACUUM", "cannot be made smaller", error);
}
