/*
 * One connection to data_dir/state.db, under a mutex. A position and its line of history are one transaction, in WAL
 * with full sync, so after a crash both are there or neither.
 *
 * A later version of its tables adds a step to tables_make() of base/database.c.
 */
#include "flow/state.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/database.h"
#include "base/log.h"
#include "base/memory.h"

struct xf_state {
	pthread_mutex_t lock; /* guards all below */
	struct xf_database database;
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

static const struct xf_database_tables tables = {
	.version = 1,
	.schema = schema,
	.instead = "begin with the positions in the YAML",
};

static enum xf_status
state_prepare(struct xf_state *state, struct xf_error *error)
{
	if (xf_database_prepare(&state->database, "SELECT percent, mirror FROM migration WHERE name = ?1", &state->load,
	                        error) != XF_OK ||
	    xf_database_prepare(&state->database,
	                        "INSERT INTO migration (name, percent, mirror, changed_ms) VALUES (?1, ?2, ?3, ?4)"
	                        " ON CONFLICT (name) DO UPDATE SET percent = ?2, mirror = ?3, changed_ms = ?4",
	                        &state->store, error) != XF_OK ||
	    xf_database_prepare(&state->database,
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
	char *file = xf_format("%s/state.db", data_dir);

	XF_ASSERT(pthread_mutex_init(&state->lock, NULL) == 0);
	if (xf_database_open(&state->database, file, &tables, error) != XF_OK || state_prepare(state, error) != XF_OK)
		xf_state_close(&state);
	free(file);
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
	xf_database_close(&gone->database);
	pthread_mutex_destroy(&gone->lock);
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
			                      migration, state->database.file);
	} else if (result != SQLITE_DONE) {
		status = xf_error_set(error, "the position of migration '%s' cannot be read from '%s': %s", migration,
		                      state->database.file, sqlite3_errmsg(state->database.db));
	}
	sqlite3_reset(state->load);
	pthread_mutex_unlock(&state->lock);
	if (status == XF_OK && *found)
		*position = there;
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

	if (xf_database_begin(&state->database, error) != XF_OK)
		return XF_FAILED;
	bind(state->store, migration, to, now);
	bind(state->note, migration, to, now);
	sqlite3_bind_text(state->note, 5, who, -1, SQLITE_STATIC);
	sqlite3_bind_int64(state->note, 6, from.percent);
	sqlite3_bind_text(state->note, 7, xf_mirror_name(from.mirror), -1, SQLITE_STATIC);
	if (xf_database_step(&state->database, state->store, error) == XF_OK &&
	    xf_database_step(&state->database, state->note, error) == XF_OK)
		return xf_database_commit(&state->database, error);
	xf_database_rollback(&state->database);
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
