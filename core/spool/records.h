/*
 * records.h - the SQLite file of a spool, as one connection sees it.
 *
 * A record is a row under its number. A number that is done is in a hole, a row that covers a range of them; holes that touch are
 * one. So every number from 1 to the last is a record or in a hole, whatever order records were done in, and what
 * is neither was lost. Both have a checksum. There are never more holes than records, and one.
 *
 * WAL, full sync, and checkpoints when xf_records_checkpoint() is called. One connection writes, another reads beside it.
 *
 * Threads: one at a time for each connection. Blocks on the disk.
 */
#ifndef XF_SPOOL_RECORDS_H
#define XF_SPOOL_RECORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "spool/disk.h"

#define XF_RECORDS_VERSION 1
#define XF_RECORDS_APPLICATION 0x78667370 /* "xfsp" */

enum {
	XF_RECORDS_BEGIN,
	XF_RECORDS_COMMIT,
	XF_RECORDS_ROLLBACK,
	XF_RECORDS_INSERT,
	XF_RECORDS_DELETE,
	XF_RECORDS_OLDEST,
	XF_RECORDS_FROM,
	XF_RECORDS_HOLE_BELOW,
	XF_RECORDS_HOLE_PUT,
	XF_RECORDS_HOLE_DELETE,
	XF_RECORDS_STATEMENTS
};

struct xf_records {
	sqlite3 *db;
	char *path;
	sqlite3_stmt *statements[XF_RECORDS_STATEMENTS];
	int wal_pages; /* as of the last commit */
	bool full;     /* the last failure was for want of space */
};

struct xf_record {
	uint64_t seq;
	uint64_t time_ms;
	uint32_t lane;
	struct xf_str bytes;
};

/* CREATE: with its tables, in place of whatever stands at PATH. Else only what is there is opened, and nothing of it is looked at yet. */
enum xf_status xf_records_open(struct xf_records *records, const struct xf_disk *disk, const char *path, bool create,
                               struct xf_error *error);

/* What reading and writing need. */
enum xf_status xf_records_prepare(struct xf_records *records, struct xf_error *error);

/* Leaves the WAL as it is. Fine on one that is zero or was not opened. */
void xf_records_close(struct xf_records *records);

/* "PATH WHAT: why"; takes note of FULL. */
enum xf_status xf_records_fail(struct xf_records *records, const char *what, struct xf_error *error);

/* A transaction. After a step has failed, roll back. */
enum xf_status xf_records_begin(struct xf_records *records, struct xf_error *error);
enum xf_status xf_records_commit(struct xf_records *records, struct xf_error *error);
void xf_records_rollback(struct xf_records *records);

enum xf_status xf_records_insert(struct xf_records *records, const struct xf_record *record, struct xf_error *error);
/* Of what is not there, nothing is said. */
enum xf_status xf_records_delete(struct xf_records *records, uint64_t first, uint64_t last, struct xf_error *error);
/* FIRST to LAST becomes a hole, or a part of one; records in it go. */
enum xf_status xf_records_done(struct xf_records *records, uint64_t first, uint64_t last, struct xf_error *error);
/* Writes something, so that a disk that fails is seen to. */
enum xf_status xf_records_touch(struct xf_records *records, struct xf_error *error);

/* The first record; both are 0 where there is none. */
enum xf_status xf_records_oldest(struct xf_records *records, uint64_t *seq, uint64_t *time_ms, struct xf_error *error);

/* Copies the WAL into the file. ALL: waits for readers, and leaves an empty WAL. */
enum xf_status xf_records_checkpoint(struct xf_records *records, bool all, struct xf_error *error);

/* Bytes that the file has, and those of them that are free. */
enum xf_status xf_records_space(struct xf_records *records, uint64_t *size, uint64_t *unused, struct xf_error *error);
/* Gives free space back. Costs as much as what is not free. */
enum xf_status xf_records_shrink(struct xf_records *records, struct xf_error *error);

/* The columns of a row (seq, lane, time, sum, bytes) as a record, whose bytes live until the statement goes on. False: they are not
 * what was written. */
bool xf_record_read(sqlite3_stmt *row, struct xf_record *record);
/* Likewise of a hole (first, last, sum). */
bool xf_hole_read(sqlite3_stmt *row, uint64_t *first, uint64_t *last);

#endif
