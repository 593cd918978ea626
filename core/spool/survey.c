#include "spool/survey.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "spool/records.h"

bool
xf_survey_is_damage(struct xf_records *records)
{
	int code = sqlite3_extended_errcode(records->db);

	switch (code & 0xff) {
	case SQLITE_ERROR: /* the tables are not there */
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
	case SQLITE_SCHEMA:
		return true;
	case SQLITE_IOERR: /* the caller has tried again */
		return code == SQLITE_IOERR_READ || code == SQLITE_IOERR_SHORT_READ || code == SQLITE_IOERR_CORRUPTFS;
	default:
		return false;
	}
}

static void __attribute__((format(printf, 2, 3)))
damage(struct xf_survey *survey, const char *format, ...)
{
	va_list args;

	if (survey->damaged)
		return;
	survey->damaged = true;
	va_start(args, format);
	vsnprintf(survey->damage, sizeof(survey->damage), format, args);
	va_end(args);
}

/* A statement that failed: damage, or XF_FAILED. */
static enum xf_status
failure(struct xf_records *records, struct xf_survey *survey, struct xf_error *error)
{
	if (!xf_survey_is_damage(records))
		return xf_records_fail(records, "cannot be read", error);
	damage(survey, "%s", sqlite3_errmsg(records->db));
	return XF_OK;
}

/* The first column of the first row of SQL is WANTED; else WHAT is said. */
static enum xf_status
expect(struct xf_records *records, const char *sql, const char *wanted, const char *what, struct xf_survey *survey,
       struct xf_error *error)
{
	sqlite3_stmt *statement = NULL;
	enum xf_status status = XF_OK;
	const char *text;

	if (survey->damaged)
		return XF_OK;
	if (sqlite3_prepare_v2(records->db, sql, -1, &statement, NULL) != SQLITE_OK ||
	    sqlite3_step(statement) != SQLITE_ROW) {
		status = failure(records, survey, error);
	} else {
		text = (const char *)sqlite3_column_text(statement, 0);
		if (text == NULL || strcmp(text, wanted) != 0)
			damage(survey, "%s: %s", what, text != NULL ? text : "nothing");
	}
	sqlite3_finalize(statement);
	return status;
}

/* The next hole; FIRST is 0 behind the last one. */
static int
hole_next(sqlite3_stmt *holes, uint64_t *first, uint64_t *last, struct xf_survey *survey)
{
	int result = sqlite3_step(holes);

	*first = *last = 0;
	if (result == SQLITE_ROW && !xf_hole_read(holes, first, last))
		damage(survey, "a hole is not what was written");
	return result;
}

/* Records and holes side by side, by number. Gives SQLite's result. */
static int
count(sqlite3_stmt *rows, sqlite3_stmt *holes, const struct xf_mark *mark, _Atomic uint32_t *lanes, uint32_t lane_count,
      struct xf_survey *survey)
{
	uint64_t hole_first, hole_last, expected = mark->low;
	int row = SQLITE_ROW, hole = hole_next(holes, &hole_first, &hole_last, survey);

	while (row == SQLITE_ROW && !survey->damaged) {
		struct xf_record record;

		for (; hole == SQLITE_ROW && hole_first <= expected; hole = hole_next(holes, &hole_first, &hole_last, survey))
			expected = hole_last >= expected ? hole_last + 1 : expected;
		if (hole != SQLITE_ROW && hole != SQLITE_DONE)
			return hole;
		row = sqlite3_step(rows);
		if (row != SQLITE_ROW)
			break;
		if (!xf_record_read(rows, &record))
			damage(survey, "record %llu is not what was written", (unsigned long long)record.seq);
		else if (record.seq != expected)
			damage(survey, "record %llu is there and %llu should be", (unsigned long long)record.seq,
			       (unsigned long long)expected);
		if (survey->messages++ == 0) {
			survey->low = record.seq;
			survey->oldest_ms = record.time_ms;
		}
		survey->bytes += record.bytes.len + XF_SPOOL_RECORD_COST;
		atomic_fetch_add_explicit(&lanes[record.lane % lane_count], 1, memory_order_relaxed);
		expected++;
	}
	if (row != SQLITE_DONE)
		return row;
	if (hole == SQLITE_ROW)
		damage(survey, "record %llu is missing", (unsigned long long)expected);
	if (expected <= mark->high)
		damage(survey, "records %llu to %llu are missing", (unsigned long long)expected,
		       (unsigned long long)mark->high);
	survey->next = expected;
	if (survey->messages == 0)
		survey->low = expected;
	return SQLITE_DONE;
}

static enum xf_status
survey_count(struct xf_records *records, const struct xf_mark *mark, _Atomic uint32_t *lanes, uint32_t lane_count,
             struct xf_survey *survey, struct xf_error *error)
{
	sqlite3_stmt *rows = NULL, *holes = NULL;
	enum xf_status status = XF_OK;

	if (survey->damaged)
		return XF_OK;
	if (sqlite3_prepare_v2(records->db, "SELECT seq, lane, time, sum, bytes FROM record ORDER BY seq", -1, &rows,
	                       NULL) != SQLITE_OK ||
	    sqlite3_prepare_v2(records->db, "SELECT first, last, sum FROM hole ORDER BY first", -1, &holes, NULL) !=
	        SQLITE_OK)
		status = failure(records, survey, error);
	else if (count(rows, holes, mark, lanes, lane_count, survey) != SQLITE_DONE && !survey->damaged)
		status = failure(records, survey, error);
	sqlite3_finalize(rows);
	sqlite3_finalize(holes);
	return status;
}

enum xf_status
xf_survey(struct xf_records *records, const struct xf_disk *disk, const struct xf_mark *mark, _Atomic uint32_t *lanes,
          uint32_t lane_count, struct xf_survey *survey, struct xf_error *error)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(disk->vfs);
	char application[16], version[16];
	int writable = 0;

	*survey = (struct xf_survey){0};
	for (uint32_t i = 0; i < lane_count; i++)
		atomic_store_explicit(&lanes[i], 0, memory_order_relaxed);
	snprintf(application, sizeof(application), "%d", XF_RECORDS_APPLICATION);
	snprintf(version, sizeof(version), "%d", XF_RECORDS_VERSION);
	if (expect(records, "PRAGMA application_id", application, "it is no spool", survey, error) != XF_OK ||
	    expect(records, "PRAGMA user_version", version, "its version is not the mark's", survey, error) != XF_OK ||
	    expect(records, "PRAGMA journal_mode", "wal", "its journal mode is not what was set", survey, error) != XF_OK)
		return XF_FAILED;
	/* One bit of its head makes a file read-only for SQLite. */
	if (!survey->damaged && sqlite3_db_readonly(records->db, "main")) {
		if (vfs->xAccess(vfs, records->path, SQLITE_ACCESS_READWRITE, &writable) != SQLITE_OK || !writable)
			return xf_error_set(error, "%s cannot be written: its permissions say so", records->path);
		damage(survey, "its head says that nobody may write");
	}
	if (mark->version == 0)
		damage(survey, "its mark cannot be read");
	if (survey_count(records, mark, lanes, lane_count, survey, error) != XF_OK)
		return XF_FAILED;
	return expect(records, "PRAGMA quick_check(1)", "ok", "SQLite finds a fault", survey, error);
}
