#include "base/database.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define BUSY_TIMEOUT_MS 5000

enum xf_status
xf_database_fail(const struct xf_database *database, const char *what, struct xf_error *error)
{
	bool unopened = (sqlite3_errcode(database->db) & 0xff) == SQLITE_CANTOPEN; /* SQLite alone does not say why */
	int reason = unopened ? sqlite3_system_errno(database->db) : 0;

	return xf_error_set(error, "%s: %s: %s%s%s", database->file, what, sqlite3_errmsg(database->db), reason ? ": " : "",
	                    reason ? strerror(reason) : "");
}

enum xf_status
xf_database_run(struct xf_database *database, const char *sql, const char *what, struct xf_error *error)
{
	if (sqlite3_exec(database->db, sql, NULL, NULL, NULL) == SQLITE_OK)
		return XF_OK;
	return xf_database_fail(database, what, error);
}

enum xf_status
xf_database_ask(struct xf_database *database, const char *sql, const char *what, char *out, size_t size,
                struct xf_error *error)
{
	sqlite3_stmt *statement = NULL;
	enum xf_status status = XF_OK;

	if (sqlite3_prepare_v2(database->db, sql, -1, &statement, NULL) != SQLITE_OK ||
	    sqlite3_step(statement) != SQLITE_ROW)
		status = xf_database_fail(database, what, error);
	else
		snprintf(out, size, "%s", (const char *)sqlite3_column_text(statement, 0));
	sqlite3_finalize(statement);
	return status;
}

/* SQLite would delete a log that is left behind, and with it what stands there alone. */
static enum xf_status
damaged(const struct xf_database *database, const char *why, struct xf_error *error)
{
	return xf_error_set(error,
	                    "%s: is damaged (%s); put it back from a copy, or move it away, together with its -wal, to %s",
	                    database->file, why, database->tables->instead);
}

/* The version is read under the write lock, so two processes cannot both make the tables. */
static enum xf_status
tables_make(struct xf_database *database, struct xf_error *error)
{
	const struct xf_database_tables *tables = database->tables;
	char text[48];
	long version;

	if (xf_database_begin(database, error) != XF_OK)
		return XF_FAILED;
	if (xf_database_ask(database, "PRAGMA user_version", "cannot be read", text, sizeof(text), error) != XF_OK)
		goto rollback;
	version = strtol(text, NULL, 10);
	if (version < 0 || version > tables->version) {
		xf_error_set(error,
		             "%s: was written by a newer crossfade (store version %ld; this one knows up to %d); start "
		             "that one, or move the file away to %s",
		             database->file, version, tables->version, tables->instead);
		goto rollback;
	}
	if (version == 0) {
		if (xf_database_run(database, tables->schema, "cannot make its tables", error) != XF_OK)
			goto rollback;
		snprintf(text, sizeof(text), "PRAGMA user_version=%d", tables->version);
		if (xf_database_run(database, text, "cannot note its version", error) != XF_OK)
			goto rollback;
	}
	return xf_database_commit(database, error);

rollback:
	xf_database_rollback(database);
	return XF_FAILED;
}

static enum xf_status
database_ready(struct xf_database *database, struct xf_error *error)
{
	char mode[16] = "";

	if (sqlite3_open_v2(database->file, &database->db,
	                    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return database->db != NULL ? xf_database_fail(database, "cannot be opened", error)
		                            : xf_error_set(error, "%s: cannot be opened: out of memory", database->file);
	sqlite3_extended_result_codes(database->db, 1);
	sqlite3_busy_timeout(database->db, BUSY_TIMEOUT_MS);
	if (xf_database_ask(database, "PRAGMA journal_mode=WAL", "cannot be opened", mode, sizeof(mode), error) != XF_OK)
		return XF_FAILED;
	if (strcmp(mode, "wal") != 0)
		return xf_error_set(error, "%s: its file system gives no write-ahead log (journal mode '%s'); put "
		                           "data_dir on a local disk",
		                    database->file, mode);
	if (xf_database_run(database, "PRAGMA synchronous=FULL", "cannot be opened", error) != XF_OK)
		return XF_FAILED;
	return tables_make(database, error);
}

enum xf_status
xf_database_open(struct xf_database *database, const char *file, const struct xf_database_tables *tables,
                 struct xf_error *error)
{
	int code;

	*database = (struct xf_database){.tables = tables, .file = xf_strdup(file)};
	if (database_ready(database, error) == XF_OK)
		return XF_OK;
	code = sqlite3_errcode(database->db) & 0xff;
	if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
		damaged(database, sqlite3_errstr(code), error);
	xf_database_close(database);
	return XF_FAILED;
}

void
xf_database_close(struct xf_database *database)
{
	sqlite3_close(database->db);
	free(database->file);
	*database = (struct xf_database){0};
}

enum xf_status
xf_database_check(struct xf_database *database, struct xf_error *error)
{
	char found[200];

	if (xf_database_ask(database, "PRAGMA quick_check(1)", "cannot be read", found, sizeof(found), error) != XF_OK)
		return XF_FAILED;
	return strcmp(found, "ok") == 0 ? XF_OK : damaged(database, found, error);
}

enum xf_status
xf_database_prepare(struct xf_database *database, const char *sql, sqlite3_stmt **statement, struct xf_error *error)
{
	if (sqlite3_prepare_v3(database->db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) == SQLITE_OK)
		return XF_OK;
	return xf_database_fail(database, "is not what it should be", error);
}

enum xf_status
xf_database_step(struct xf_database *database, sqlite3_stmt *statement, struct xf_error *error)
{
	enum xf_status status = XF_OK;

	if (sqlite3_step(statement) != SQLITE_DONE)
		status = xf_database_fail(database, "cannot be written", error);
	sqlite3_reset(statement);
	return status;
}

enum xf_status
xf_database_begin(struct xf_database *database, struct xf_error *error)
{
	return xf_database_run(database, "BEGIN IMMEDIATE", "cannot be written", error);
}

enum xf_status
xf_database_commit(struct xf_database *database, struct xf_error *error)
{
	if (xf_database_run(database, "COMMIT", "cannot be written", error) == XF_OK)
		return XF_OK;
	xf_database_rollback(database);
	return XF_FAILED;
}

void
xf_database_rollback(struct xf_database *database)
{
	if (!sqlite3_get_autocommit(database->db)) /* else the error has rolled back already */
		sqlite3_exec(database->db, "ROLLBACK", NULL, NULL, NULL);
}
