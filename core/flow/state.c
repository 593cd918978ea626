/*
 * One connection to data_dir/state.db, under a mutex. A position and its line of history are one transaction, in WAL
 * with full sync, so after a crash both are there or neither.
 *
 * The schema's version stands in user_version: 0 is a new file, a higher one than ours was written by a newer
 * crossfade and is left alone. A later version adds a step to schema_upgrade().
 */
#include "flow/state.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#define SCHEMA_VERSION 1
#define BUSY_TIMEOUT_MS 5000

struct xf_state {
	char *file;
	pthread_mutex_t lock; /* guards all below */
	sqlite3 *db;
	sqlite3_stmt *load;
	sqlite3_stmt *store;
	sqlite3_stmt *note;
};

static const char schema[] =
	"CREATE TABLE migration ("
	" name TEXT PRIMARY KEY NOT NULL,"
	" percent INTEGER NOT NULL," /* hundredths */
	" mirror TEXT NOT NULL,"
	" changed_ms INTEGER NOT NULL"
	") WITHOUT ROWID;"
	"CREATE TABLE history ("
	" id INTEGER PRIMARY KEY,"
	" at_ms INTEGER NOT NULL,"
	" migration TEXT NOT NULL,"
	" who TEXT NOT NULL,"
	" from_percent INTEGER NOT NULL,"
	" from_mirror TEXT NOT NULL,"
	" to_percent INTEGER NOT NULL,"
	" to_mirror TEXT NOT NULL"
	");"
	"CREATE INDEX history_migration ON history (migration, id);";

/* "FILE: what: why" */
static enum xf_status
sqlite_fail(const struct xf_state *state, const char *what, struct xf_error *error)
{
	return xf_error_set(error, "%s: %s: %s", state->file, what, sqlite3_errmsg(state->db));
}

static enum xf_status
run(struct xf_state *state, const char *sql, const char *what, struct xf_error *error)
{
	if (sqlite3_exec(state->db, sql, NULL, NULL, NULL) == SQLITE_OK)
		return XF_OK;
	return sqlite_fail(state, what, error);
}

/* The first column of the first row of SQL as text, in OUT. */
static enum xf_status
ask(struct xf_state *state, const char *sql, const char *what, char *out, size_t size, struct xf_error *error)
{
	sqlite3_stmt *statement = NULL;
	enum xf_status status = XF_OK;

	if (sqlite3_prepare_v2(state->db, sql, -1, &statement, NULL) != SQLITE_OK ||
	    sqlite3_step(statement) != SQLITE_ROW)
		status = sqlite_fail(state, what, error);
	else
		snprintf(out, size, "%s", (const char *)sqlite3_column_text(statement, 0));
	sqlite3_finalize(statement);
	return status;
}

static enum xf_status
schema_upgrade(struct xf_state *state, struct xf_error *error)
{
	char text[32];
	long version;

	/* The version is read under the write lock, so two processes cannot both make the tables. */
	if (run(state, "BEGIN IMMEDIATE", "cannot be written", error) != XF_OK)
		return XF_FAILED;
	if (ask(state, "PRAGMA user_version", "cannot be read", text, sizeof(text), error) != XF_OK)
		goto rollback;
	version = strtol(text, NULL, 10);
	if (version < 0 || version > SCHEMA_VERSION) {
		xf_error_set(error,
		             "%s: was written by a newer crossfade (store version %ld; this one knows up to %d); start "
		             "that one, or move the file away to begin with the positions in the YAML",
		             state->file, version, SCHEMA_VERSION);
		goto rollback;
	}
	if (version == 0) {
		if (run(state, schema, "cannot make its tables", error) != XF_OK)
			goto rollback;
		snprintf(text, sizeof(text), "PRAGMA user_version=%d", SCHEMA_VERSION);
		if (run(state, text, "cannot note its version", error) != XF_OK)
			goto rollback;
	}
	if (run(state, "COMMIT", "cannot be written", error) != XF_OK)
		goto rollback;
	return XF_OK;

rollback:
	sqlite3_exec(state->db, "ROLLBACK", NULL, NULL, NULL);
	return XF_FAILED;
}

static enum xf_status
prepare(struct xf_state *state, const char *sql, sqlite3_stmt **statement, struct xf_error *error)
{
	if (sqlite3_prepare_v3(state->db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) == SQLITE_OK)
		return XF_OK;
	return sqlite_fail(state, "is not what it should be", error);
}

static enum xf_status
db_open(struct xf_state *state, struct xf_error *error)
{
	char mode[16] = "";

	if (sqlite3_open_v2(state->file, &state->db,
	                    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return state->db != NULL ? sqlite_fail(state, "cannot be opened", error)
		                         : xf_error_set(error, "%s: cannot be opened: out of memory", state->file);
	sqlite3_extended_result_codes(state->db, 1);
	sqlite3_busy_timeout(state->db, BUSY_TIMEOUT_MS);
	if (ask(state, "PRAGMA journal_mode=WAL", "cannot be opened", mode, sizeof(mode), error) != XF_OK)
		return XF_FAILED;
	if (strcmp(mode, "wal") != 0)
		return xf_error_set(error, "%s: its file system gives no write-ahead log (journal mode '%s'); put "
		                           "data_dir on a local disk",
		                    state->file, mode);
	if (run(state, "PRAGMA synchronous=FULL", "cannot be opened", error) != XF_OK ||
	    schema_upgrade(state, error) != XF_OK)
		return XF_FAILED;
	if (prepare(state, "SELECT percent, mirror FROM migration WHERE name = ?1", &state->load, error) != XF_OK ||
	    prepare(state,
	            "INSERT INTO migration (name, percent, mirror, changed_ms) VALUES (?1, ?2, ?3, ?4)"
	            " ON CONFLICT (name) DO UPDATE SET percent = ?2, mirror = ?3, changed_ms = ?4",
	            &state->store, error) != XF_OK ||
	    prepare(state,
	            "INSERT INTO history (migration, to_percent, to_mirror, at_ms, who, from_percent, from_mirror)"
	            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	            &state->note, error) != XF_OK)
		return XF_FAILED;
	return XF_OK;
}

struct xf_state *
xf_state_open(const char *data_dir, struct xf_error *error)
{
	struct xf_state *state = xf_alloc(sizeof(*state));

	XF_ASSERT(pthread_mutex_init(&state->lock, NULL) == 0);
	state->file = xf_format("%s/state.db", data_dir);
	if (db_open(state, error) != XF_OK)
		xf_state_close(&state);
	return state;
}

void
xf_state_close(struct xf_state **state)
{
	struct xf_state *gone = *state;

	if (gone == NULL)
		return;
	*state = NULL;
	sqlite3_finalize(gone->load);
	sqlite3_finalize(gone->store);
	sqlite3_finalize(gone->note);
	sqlite3_close(gone->db);
	pthread_mutex_destroy(&gone->lock);
	free(gone->file);
	free(gone);
}

/* The knob of a word that xf_mirror_name() wrote. */
static bool
mirror_read(const char *word, enum xf_mirror *mirror)
{
	for (int i = XF_MIRROR_OFF; word != NULL && i <= XF_MIRROR_REQUIRED; i++)
		if (strcmp(word, xf_mirror_name((enum xf_mirror)i)) == 0) {
			*mirror = (enum xf_mirror)i;
			return true;
		}
	return false;
}

enum xf_status
xf_state_load(struct xf_state *state, const char *migration, struct xf_position *position, bool *found,
              struct xf_error *error)
{
	enum xf_status status = XF_OK;
	struct xf_position there = {0};
	sqlite3_int64 percent;
	int result;

	pthread_mutex_lock(&state->lock);
	sqlite3_bind_text(state->load, 1, migration, -1, SQLITE_STATIC);
	result = sqlite3_step(state->load);
	*found = result == SQLITE_ROW;
	if (*found) {
		percent = sqlite3_column_int64(state->load, 0);
		there.percent = (uint32_t)percent;
		if (percent < 0 || percent > 10000 ||
		    !mirror_read((const char *)sqlite3_column_text(state->load, 1), &there.mirror))
			status = xf_error_set(error,
			                      "the position of migration '%s' in '%s' is damaged; put the file back from a "
			                      "copy, or move it away and set the position again",
			                      migration, state->file);
	} else if (result != SQLITE_DONE) {
		status = xf_error_set(error, "the position of migration '%s' cannot be read from '%s': %s", migration,
		                      state->file, sqlite3_errmsg(state->db));
	}
	sqlite3_reset(state->load);
	pthread_mutex_unlock(&state->lock);
	if (status == XF_OK && *found)
		*position = there;
	return status;
}

static enum xf_status
step(struct xf_state *state, sqlite3_stmt *statement, struct xf_error *error)
{
	enum xf_status status = XF_OK;

	if (sqlite3_step(statement) != SQLITE_DONE)
		status = sqlite_fail(state, "cannot be written", error);
	sqlite3_reset(statement);
	return status;
}

/* What both statements begin with. */
static void
bind(sqlite3_stmt *statement, const char *migration, struct xf_position to, int64_t now)
{
	sqlite3_bind_text(statement, 1, migration, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 2, to.percent);
	sqlite3_bind_text(statement, 3, xf_mirror_name(to.mirror), -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 4, now);
}

static enum xf_status
commit_locked(struct xf_state *state, const char *migration, const char *who, struct xf_position from,
              struct xf_position to, struct xf_error *error)
{
	int64_t now = xf_wall_ms();

	if (run(state, "BEGIN IMMEDIATE", "cannot be written", error) != XF_OK)
		return XF_FAILED;
	bind(state->store, migration, to, now);
	bind(state->note, migration, to, now);
	sqlite3_bind_text(state->note, 5, who, -1, SQLITE_STATIC);
	sqlite3_bind_int64(state->note, 6, from.percent);
	sqlite3_bind_text(state->note, 7, xf_mirror_name(from.mirror), -1, SQLITE_STATIC);
	if (step(state, state->store, error) == XF_OK && step(state, state->note, error) == XF_OK &&
	    run(state, "COMMIT", "cannot be written", error) == XF_OK)
		return XF_OK;
	sqlite3_exec(state->db, "ROLLBACK", NULL, NULL, NULL); /* fails where the error has rolled back already */
	return XF_FAILED;
}

enum xf_status
xf_state_commit(struct xf_state *state, const char *migration, const char *who, struct xf_position from,
                struct xf_position to, struct xf_error *error)
{
	enum xf_status status;

	XF_ASSERT(to.percent <= 10000);
	pthread_mutex_lock(&state->lock);
	status = commit_locked(state, migration, who, from, to, error);
	pthread_mutex_unlock(&state->lock);
	return status;
}
