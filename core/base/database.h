/*
 * database.h - one connection to an SQLite file of ours: WAL, full sync, and a version of its tables.
 *
 * Threads: one at a time. Blocks on the disk.
 */
#ifndef XF_BASE_DATABASE_H
#define XF_BASE_DATABASE_H

#include <stddef.h>

#include <sqlite3.h>

#include "base/error.h"

/* What the tables are. The version stands in user_version: 0 is a new file, a higher one than ours was written by a newer
 * crossfade and is left alone. */
struct xf_database_tables {
	int version;
	const char *schema;
	const char *instead; /* "begin with an empty one": what follows when the file is moved away */
};

struct xf_database {
	const struct xf_database_tables *tables;
	char *file;
	sqlite3 *db;
};

/* Creates the file where it is missing. A file of a newer version, of somebody else or on a disk that cannot keep it is refused, with
 * what to do, and left as it is. Then it is closed again. TABLES outlives it. */
enum xf_status xf_database_open(struct xf_database *database, const char *file, const struct xf_database_tables *tables,
                                struct xf_error *error);
/* Statements are finalized before. */
void xf_database_close(struct xf_database *database);

/* Looks whether the pages are what they were; takes as long as reading all of them. */
enum xf_status xf_database_check(struct xf_database *database, struct xf_error *error);

/* "FILE: WHAT: why", of the last call. */
enum xf_status xf_database_fail(const struct xf_database *database, const char *what, struct xf_error *error);

enum xf_status xf_database_run(struct xf_database *database, const char *sql, const char *what, struct xf_error *error);

/* The first column of the first row of SQL as text, in OUT. */
enum xf_status xf_database_ask(struct xf_database *database, const char *sql, const char *what, char *out, size_t size,
                               struct xf_error *error);

enum xf_status xf_database_prepare(struct xf_database *database, const char *sql, sqlite3_stmt **statement,
                                   struct xf_error *error);

/* Runs a statement that gives no rows, and makes it ready for the next time. */
enum xf_status xf_database_step(struct xf_database *database, sqlite3_stmt *statement, struct xf_error *error);

enum xf_status xf_database_begin(struct xf_database *database, struct xf_error *error);
/* A commit that fails has rolled back. */
enum xf_status xf_database_commit(struct xf_database *database, struct xf_error *error);
void xf_database_rollback(struct xf_database *database);

#endif
