/*
 * One connection. The transaction that is open holds what was appended since the last sync; an error ends it, and then all of that is
 * lost, so `losses` goes up, and whoever appended any of it hears so at his sync. A commit that fails may stand on the disk all the
 * same: then a letter is there whose message comes again.
 */
#include "dead/letters.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/counter.h"
#include "base/database.h"
#include "base/log.h"
#include "base/memory.h"
#include "dead/import.h"
#include "spool/disk.h"

/* Of a letter, with its payload. SQLite takes no more than 10^9 bytes a row. */
#define LETTER_BYTES_MAX (900u << 20)

enum { INSERT, INSERT_HEADER, AGAIN, SPACE, NOTE_IMPORT, COUNT, ROUTES, LIST, LIST_ROUTE, GET, HEADERS,
       CHOOSE, CHOOSE_ROUTE, CHOOSE_ONE, REMOVE, REMOVE_ONE, STATEMENTS };

#define COLUMNS "number, route, sink, reason, attempts, first_ms, last_ms, subject, id, key, content_type, reply"
#define PAYLOAD 12 /* the column behind those */
#define CHOICE " WHERE (?2 IS NULL OR route = ?2) AND last_ms < ?3"

static const char *const statements[STATEMENTS] = {
	[INSERT] = "INSERT INTO letter (route, sink, reason, attempts, first_ms, last_ms, subject, id, key, content_type, reply, payload)"
	           " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
	[INSERT_HEADER] = "INSERT INTO header (letter, position, name, value) VALUES (?1, ?2, ?3, ?4)",
	[AGAIN] = "UPDATE letter SET sink = ?2, reason = ?3, attempts = attempts + ?4, last_ms = ?5 WHERE number = ?1",
	[SPACE] = "SELECT (page_count - freelist_count) * page_size"
	          " FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
	[NOTE_IMPORT] = "INSERT OR IGNORE INTO imported (digest) VALUES (?1)",
	[COUNT] = "SELECT count(*) FROM letter",
	[ROUTES] = "SELECT route, count(*) FROM letter GROUP BY route ORDER BY route",
	[LIST] = "SELECT " COLUMNS ", length(payload) FROM letter"
	         " WHERE number > ?1 AND ?2 IS NULL ORDER BY number LIMIT ?3",
	[LIST_ROUTE] = "SELECT " COLUMNS ", length(payload) FROM letter"
	               " WHERE number > ?1 AND route = ?2 ORDER BY number LIMIT ?3", /* by letter_route */
	[GET] = "SELECT " COLUMNS ", payload FROM letter WHERE number = ?1",
	[HEADERS] = "SELECT name, value FROM header WHERE letter = ?1 ORDER BY position",
	[CHOOSE] = "SELECT number FROM letter" CHOICE " ORDER BY number",
	[CHOOSE_ROUTE] = "SELECT number FROM letter WHERE route = ?2 AND last_ms < ?3 ORDER BY number",
	[CHOOSE_ONE] = "SELECT number FROM letter WHERE number = ?1 AND (?2 IS NULL OR route = ?2)",
	[REMOVE] = "DELETE FROM letter" CHOICE,
	[REMOVE_ONE] = "DELETE FROM letter WHERE number = ?1",
};

/* What a message brings is bytes: a name need not be UTF-8. */
static const struct xf_database_tables tables = {
	.version = 1,
	.schema =
		"CREATE TABLE letter ("
		" number INTEGER PRIMARY KEY AUTOINCREMENT,"
		" route TEXT NOT NULL,"
		" sink TEXT NOT NULL,"
		" reason TEXT NOT NULL,"
		" attempts INTEGER NOT NULL,"
		" first_ms INTEGER NOT NULL,"
		" last_ms INTEGER NOT NULL,"
		" subject BLOB NOT NULL,"
		" id BLOB NOT NULL,"
		" key BLOB NOT NULL,"
		" content_type BLOB NOT NULL,"
		" reply BLOB NOT NULL,"
		" payload BLOB NOT NULL"
		");"
		"CREATE INDEX letter_route ON letter (route, number);"
		"CREATE TABLE header ("
		" letter INTEGER NOT NULL,"
		" position INTEGER NOT NULL,"
		" name BLOB NOT NULL,"
		" value BLOB NOT NULL,"
		" PRIMARY KEY (letter, position)"
		") WITHOUT ROWID;"
		"CREATE TRIGGER letter_gone AFTER DELETE ON letter BEGIN DELETE FROM header WHERE letter = old.number; END;"
		"CREATE TABLE imported (digest BLOB PRIMARY KEY NOT NULL) WITHOUT ROWID;",
	.instead = "begin with an empty one",
};

struct xf_letters {
	uint64_t bytes_max;
	pthread_mutex_t lock; /* guards all below */
	struct xf_database database;
	sqlite3_stmt *statements[STATEMENTS];
	bool begun;    /* there is a transaction */
	uint64_t open; /* letters that it adds */
	uint64_t losses;
	_Atomic uint64_t count, bytes; /* on disk; read without the lock */
};

/* ---- Writing --------------------------------------------------------------------------- */

static void
bind_bytes(sqlite3_stmt *statement, int column, struct xf_str bytes)
{
	/* No bytes are no NULL. */
	sqlite3_bind_blob64(statement, column, bytes.len > 0 ? bytes.data : "", bytes.len, SQLITE_STATIC);
}

static void
bind_text(sqlite3_stmt *statement, int column, struct xf_str text)
{
	sqlite3_bind_text64(statement, column, text.len > 0 ? text.data : "", text.len, SQLITE_STATIC, SQLITE_UTF8);
}

static enum xf_status
letter_insert(void *context, const struct xf_letter *letter, struct xf_error *error)
{
	struct xf_letters *letters = context;
	sqlite3_stmt *insert = letters->statements[INSERT], *insert_header = letters->statements[INSERT_HEADER];
	const struct xf_fields *message = &letter->message;

	bind_text(insert, 1, letter->route);
	bind_text(insert, 2, letter->sink);
	bind_text(insert, 3, letter->reason);
	sqlite3_bind_int64(insert, 4, (sqlite3_int64)letter->attempts);
	sqlite3_bind_int64(insert, 5, letter->first_ms);
	sqlite3_bind_int64(insert, 6, letter->last_ms);
	bind_bytes(insert, 7, message->subject);
	bind_bytes(insert, 8, message->id);
	bind_bytes(insert, 9, message->key);
	bind_bytes(insert, 10, letter->content_type);
	bind_bytes(insert, 11, letter->reply);
	bind_bytes(insert, 12, message->payload);
	if (xf_database_step(&letters->database, insert, error) != XF_OK)
		return XF_FAILED;
	sqlite3_bind_int64(insert_header, 1, sqlite3_last_insert_rowid(letters->database.db));
	for (uint32_t i = 0; i < message->header_count; i++) {
		sqlite3_bind_int64(insert_header, 2, i);
		bind_bytes(insert_header, 3, message->headers[i].name);
		bind_bytes(insert_header, 4, message->headers[i].value);
		if (xf_database_step(&letters->database, insert_header, error) != XF_OK)
			return XF_FAILED;
	}
	return XF_OK;
}

static uint64_t
letter_bytes(const struct xf_letter *letter)
{
	const struct xf_fields *message = &letter->message;
	uint64_t bytes = letter->route.len + letter->sink.len + letter->reason.len + letter->reply.len + letter->content_type.len +
	                 message->subject.len + message->id.len + message->key.len + message->payload.len;

	for (uint32_t i = 0; i < message->header_count; i++)
		bytes += message->headers[i].name.len + message->headers[i].value.len;
	return bytes;
}

/* The number that a statement gives, 0 where it gives none. */
static enum xf_status
number_locked(struct xf_letters *letters, int which, uint64_t *number, struct xf_error *error)
{
	sqlite3_stmt *statement = letters->statements[which];
	int result = sqlite3_step(statement);
	enum xf_status status = XF_OK;

	if (result == SQLITE_ROW || result == SQLITE_DONE)
		*number = result == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
	else
		status = xf_database_fail(&letters->database, "cannot be read", error);
	sqlite3_reset(statement);
	return status;
}

/* An empty store takes any letter: a large message must not come back for ever. */
static enum xf_status
room_check_locked(struct xf_letters *letters, const struct xf_letter *letter, struct xf_error *error)
{
	uint64_t bytes = letter_bytes(letter), used = 0;

	if (bytes > LETTER_BYTES_MAX)
		return xf_error_set(error, "a message of %" PRIu64 " bytes is too large for '%s'", bytes, letters->database.file);
	if (number_locked(letters, SPACE, &used, error) != XF_OK)
		return XF_FAILED;
	if (xf_read(&letters->count) + letters->open > 0 && used + bytes > letters->bytes_max)
		return xf_error_set(error, "'%s' is full (%" PRIu64 " of %" PRIu64 " bytes); look at it, then purge (crossfade dead)",
		                    letters->database.file, used, letters->bytes_max);
	return XF_OK;
}

/* After a commit. */
static void
count_add_locked(struct xf_letters *letters, int64_t more)
{
	uint64_t bytes;

	atomic_store(&letters->count, xf_read(&letters->count) + (uint64_t)more);
	if (number_locked(letters, SPACE, &bytes, NULL) == XF_OK)
		atomic_store(&letters->bytes, bytes);
}

/* What the transaction had is lost. */
static void
lose_locked(struct xf_letters *letters)
{
	xf_database_rollback(&letters->database);
	letters->losses += letters->begun;
	letters->begun = false;
	letters->open = 0;
}

/* ---- Life ------------------------------------------------------------------------------ */

/* What was imported is told from a new file by its digest, so that a crash before it is renamed imports nothing twice. */
static enum xf_status
import_once(struct xf_letters *letters, FILE *file, struct xf_import *import, struct xf_error *error)
{
	struct xf_str digest = {(const char *)import->digest, sizeof(import->digest)};
	sqlite3_stmt *note = letters->statements[NOTE_IMPORT];

	if (xf_database_begin(&letters->database, error) != XF_OK)
		return XF_FAILED;
	if (xf_import_read(file, letter_insert, letters, import, error) != XF_OK)
		goto rollback;
	bind_bytes(note, 1, digest);
	if (xf_database_step(&letters->database, note, error) != XF_OK)
		goto rollback;
	if (sqlite3_changes(letters->database.db) > 0)
		return xf_database_commit(&letters->database, error);
	*import = (struct xf_import){0};
	xf_database_rollback(&letters->database);
	return XF_OK;

rollback:
	xf_database_rollback(&letters->database);
	return XF_FAILED;
}

/* To a name that nobody has: nothing that people may have put there is lost. */
static enum xf_status
imported_rename(const char *path, struct xf_error *error)
{
	char *to = xf_format("%s.imported", path);
	enum xf_status status = XF_OK;

	for (int i = 2; access(to, F_OK) == 0; i++) {
		free(to);
		to = xf_format("%s.imported.%d", path, i);
	}
	if (rename(path, to) != 0 || xf_disk_sync_parent(&xf_disk_real, to) != 0)
		status = xf_error_set(error, "cannot rename '%s' to '%s': %s", path, to, strerror(errno));
	free(to);
	return status;
}

static enum xf_status
letters_import(struct xf_letters *letters, const char *data_dir, struct xf_error *error)
{
	char *path = xf_format("%s/rejected.ndjson", data_dir);
	FILE *file = fopen(path, "re");
	struct xf_import import;
	enum xf_status status = XF_OK;

	if (file == NULL && errno != ENOENT)
		status = xf_error_set(error, "'%s' cannot be opened, to be imported: %s", path, strerror(errno));
	if (file != NULL) {
		status = import_once(letters, file, &import, error);
		fclose(file);
		if (status != XF_OK)
			xf_error_prefix(error, "'%s' cannot be imported", path);
		else
			status = imported_rename(path, error);
	}
	if (file != NULL && status == XF_OK && import.letters + import.unreadable > 0)
		xf_log(import.unreadable > 0 ? XF_LOG_WARN : XF_LOG_INFO, NULL,
		       "dead letters: '%s' was imported and renamed, letters=%" PRIu64 " unreadable_lines=%" PRIu64, path,
		       import.letters, import.unreadable);
	free(path);
	return status;
}

static enum xf_status
letters_ready(struct xf_letters *letters, const char *data_dir, struct xf_error *error)
{
	char *file = xf_format("%s/dead.db", data_dir);
	int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0640); /* there are payloads in it; SQLite's own files get the same mode */
	enum xf_status status;
	uint64_t count = 0;

	if (fd >= 0)
		close(fd);
	status = xf_database_open(&letters->database, file, &tables, error);
	if (status == XF_OK && xf_disk_sync_parent(&xf_disk_real, file) != 0) /* the name of a new file, too */
		status = xf_error_set(error, "'%s' cannot be synced: %s", data_dir, strerror(errno));
	free(file);
	if (status == XF_OK)
		status = xf_database_check(&letters->database, error);
	/* A large purge makes a large log, which need not stay so. */
	if (status == XF_OK)
		status = xf_database_run(&letters->database, "PRAGMA journal_size_limit=4194304", "cannot be used", error);
	for (int i = 0; i < STATEMENTS && status == XF_OK; i++)
		status = xf_database_prepare(&letters->database, statements[i], &letters->statements[i], error);
	if (status == XF_OK)
		status = letters_import(letters, data_dir, error);
	if (status == XF_OK)
		status = number_locked(letters, COUNT, &count, error);
	if (status == XF_OK)
		count_add_locked(letters, (int64_t)count);
	return status;
}

struct xf_letters *
xf_letters_open(const char *data_dir, uint64_t bytes_max, struct xf_error *error)
{
	struct xf_letters *letters = xf_alloc(sizeof(*letters));

	XF_ASSERT(pthread_mutex_init(&letters->lock, NULL) == 0);
	letters->bytes_max = bytes_max;
	if (letters_ready(letters, data_dir, error) != XF_OK)
		xf_letters_close(&letters);
	return letters;
}

void
xf_letters_close(struct xf_letters **letters)
{
	struct xf_letters *gone = *letters;

	if (gone == NULL)
		return;
	*letters = NULL;
	for (int i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(gone->statements[i]);
	xf_database_close(&gone->database);
	pthread_mutex_destroy(&gone->lock);
	free(gone);
}

/* ---- What is appended ------------------------------------------------------------------ */

/* *AGAIN: it was still there. */
static enum xf_status
letter_update(struct xf_letters *letters, const struct xf_letter *letter, bool *again, struct xf_error *error)
{
	sqlite3_stmt *update = letters->statements[AGAIN];

	sqlite3_bind_int64(update, 1, (sqlite3_int64)letter->number);
	bind_text(update, 2, letter->sink);
	bind_text(update, 3, letter->reason);
	sqlite3_bind_int64(update, 4, (sqlite3_int64)letter->attempts);
	sqlite3_bind_int64(update, 5, letter->last_ms);
	if (xf_database_step(&letters->database, update, error) != XF_OK)
		return XF_FAILED;
	*again = sqlite3_changes(letters->database.db) > 0;
	return XF_OK;
}

static enum xf_status
append_locked(struct xf_letters *letters, const struct xf_letter *letter, struct xf_error *error)
{
	bool again = false, insert;

	if (letter->number == 0 && room_check_locked(letters, letter, error) != XF_OK)
		return XF_FAILED;
	if (!letters->begun && xf_database_begin(&letters->database, error) != XF_OK)
		return XF_FAILED;
	letters->begun = true;
	if (letter->number != 0 && letter_update(letters, letter, &again, error) != XF_OK) {
		lose_locked(letters);
		return XF_FAILED;
	}
	/* One that was removed meanwhile is new again, where its message is given. */
	insert = !again && (letter->number == 0 || letter->message.subject.len > 0);
	if (insert && letter_insert(letters, letter, error) != XF_OK) {
		lose_locked(letters);
		return XF_FAILED;
	}
	letters->open += insert;
	return XF_OK;
}

enum xf_status
xf_letters_append(struct xf_letters *letters, const struct xf_letter *letter, struct xf_error *error)
{
	enum xf_status status;

	pthread_mutex_lock(&letters->lock);
	status = append_locked(letters, letter, error);
	pthread_mutex_unlock(&letters->lock);
	return status;
}

uint64_t
xf_letters_losses(struct xf_letters *letters)
{
	uint64_t losses;

	pthread_mutex_lock(&letters->lock);
	losses = letters->losses;
	pthread_mutex_unlock(&letters->lock);
	return losses;
}

static enum xf_status
sync_locked(struct xf_letters *letters, struct xf_error *error)
{
	if (!letters->begun)
		return XF_OK;
	if (xf_database_commit(&letters->database, error) != XF_OK) {
		lose_locked(letters);
		return XF_FAILED;
	}
	count_add_locked(letters, (int64_t)letters->open);
	letters->begun = false;
	letters->open = 0;
	return XF_OK;
}

enum xf_status
xf_letters_sync(struct xf_letters *letters, uint64_t losses, struct xf_error *error)
{
	enum xf_status status;

	pthread_mutex_lock(&letters->lock);
	status = sync_locked(letters, error);
	if (status == XF_OK && letters->losses != losses)
		status = xf_error_set(error, "what was written to '%s' may be lost", letters->database.file);
	pthread_mutex_unlock(&letters->lock);
	return status;
}

/* ---- What is there --------------------------------------------------------------------- */

void
xf_letters_sum(struct xf_letters *letters, struct xf_letters_sum *sum)
{
	sum->count = xf_read(&letters->count);
	sum->bytes = xf_read(&letters->bytes);
	sum->bytes_max = letters->bytes_max;
}

static struct xf_str
column_bytes(sqlite3_stmt *row, int column)
{
	const char *data = sqlite3_column_blob(row, column);

	return (struct xf_str){data, (uint64_t)sqlite3_column_bytes(row, column)};
}

/* False after the last row, or where it cannot be read. */
static bool
row_next(struct xf_letters *letters, sqlite3_stmt *rows, enum xf_status *status, struct xf_error *error)
{
	int result = sqlite3_step(rows);

	if (result != SQLITE_ROW && result != SQLITE_DONE)
		*status = xf_database_fail(&letters->database, "cannot be read", error);
	return result == SQLITE_ROW;
}

enum xf_status
xf_letters_routes(struct xf_letters *letters, void (*each)(void *context, struct xf_str route, uint64_t count), void *context,
                  struct xf_error *error)
{
	sqlite3_stmt *rows = letters->statements[ROUTES];
	enum xf_status status;

	pthread_mutex_lock(&letters->lock);
	status = sync_locked(letters, error);
	while (status == XF_OK && row_next(letters, rows, &status, error))
		each(context, column_bytes(rows, 0), (uint64_t)sqlite3_column_int64(rows, 1));
	sqlite3_reset(rows);
	pthread_mutex_unlock(&letters->lock);
	return status;
}

/* All but payload and headers. */
static void
letter_read(sqlite3_stmt *row, struct xf_letter *letter)
{
	*letter = (struct xf_letter){
		.number = (uint64_t)sqlite3_column_int64(row, 0),
		.route = column_bytes(row, 1),
		.sink = column_bytes(row, 2),
		.reason = column_bytes(row, 3),
		.attempts = (uint64_t)sqlite3_column_int64(row, 4),
		.first_ms = sqlite3_column_int64(row, 5),
		.last_ms = sqlite3_column_int64(row, 6),
		.message = {.subject = column_bytes(row, 7), .id = column_bytes(row, 8), .key = column_bytes(row, 9)},
		.content_type = column_bytes(row, 10),
		.reply = column_bytes(row, 11),
	};
}

enum xf_status
xf_letters_list(struct xf_letters *letters, const char *route, uint64_t after, uint64_t limit,
                void (*each)(void *context, const struct xf_letter *letter), void *context, struct xf_error *error)
{
	sqlite3_stmt *rows = letters->statements[route != NULL ? LIST_ROUTE : LIST];
	enum xf_status status;

	pthread_mutex_lock(&letters->lock);
	status = sync_locked(letters, error);
	sqlite3_bind_int64(rows, 1, (sqlite3_int64)after);
	sqlite3_bind_text(rows, 2, route, -1, SQLITE_STATIC);
	sqlite3_bind_int64(rows, 3, (sqlite3_int64)limit);
	while (status == XF_OK && row_next(letters, rows, &status, error)) {
		struct xf_letter letter;

		letter_read(rows, &letter);
		letter.message.payload.len = (uint64_t)sqlite3_column_int64(rows, PAYLOAD);
		each(context, &letter);
	}
	sqlite3_reset(rows);
	pthread_mutex_unlock(&letters->lock);
	return status;
}

static char *
copy(struct xf_str bytes)
{
	return xf_strndup(bytes.len > 0 ? bytes.data : "", bytes.len);
}

static enum xf_status
headers_read_locked(struct xf_letters *letters, uint64_t number, struct xf_fields *message, struct xf_error *error)
{
	sqlite3_stmt *rows = letters->statements[HEADERS];
	enum xf_status status = XF_OK;
	struct xf_header *headers = NULL;
	uint32_t count = 0;

	sqlite3_bind_int64(rows, 1, (sqlite3_int64)number);
	while (row_next(letters, rows, &status, error)) {
		struct xf_str name = column_bytes(rows, 0), value = column_bytes(rows, 1);

		headers = xf_grow_array(headers, count, count + 1u, sizeof(*headers));
		headers[count++] = (struct xf_header){{copy(name), name.len}, {copy(value), value.len}};
	}
	sqlite3_reset(rows);
	message->headers = headers;
	message->header_count = count;
	return status;
}

static void
headers_free(struct xf_fields *message)
{
	for (uint32_t i = 0; i < message->header_count; i++) {
		free((char *)(uintptr_t)message->headers[i].name.data);
		free((char *)(uintptr_t)message->headers[i].value.data);
	}
	free((struct xf_header *)(uintptr_t)message->headers);
}

enum xf_status
xf_letters_get(struct xf_letters *letters, uint64_t number, void (*each)(void *context, const struct xf_letter *letter),
               void *context, struct xf_error *error)
{
	sqlite3_stmt *row = letters->statements[GET];
	enum xf_status status;

	pthread_mutex_lock(&letters->lock);
	status = sync_locked(letters, error);
	sqlite3_bind_int64(row, 1, (sqlite3_int64)number);
	if (status == XF_OK && row_next(letters, row, &status, error)) {
		struct xf_letter letter;

		letter_read(row, &letter);
		letter.message.payload = column_bytes(row, PAYLOAD);
		status = headers_read_locked(letters, number, &letter.message, error);
		if (status == XF_OK)
			each(context, &letter);
		headers_free(&letter.message);
	}
	sqlite3_reset(row);
	pthread_mutex_unlock(&letters->lock);
	return status;
}

static void
bind_choice(sqlite3_stmt *statement, uint64_t number, const char *route, int64_t before_ms)
{
	sqlite3_bind_int64(statement, 1, (sqlite3_int64)number);
	sqlite3_bind_text(statement, 2, route, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 3, before_ms);
}

enum xf_status
xf_letters_choose(struct xf_letters *letters, uint64_t number, const char *route, int64_t before_ms, uint64_t **numbers,
                  size_t *count, struct xf_error *error)
{
	sqlite3_stmt *rows = letters->statements[number != 0 ? CHOOSE_ONE : route != NULL ? CHOOSE_ROUTE : CHOOSE];
	enum xf_status status;
	size_t size = 0;

	*numbers = NULL;
	*count = 0;
	pthread_mutex_lock(&letters->lock);
	status = sync_locked(letters, error);
	bind_choice(rows, number, route, before_ms);
	while (status == XF_OK && row_next(letters, rows, &status, error)) {
		if (*count == size) {
			*numbers = xf_grow_array(*numbers, size, size * 2 + 16, sizeof(**numbers));
			size = size * 2 + 16;
		}
		(*numbers)[(*count)++] = (uint64_t)sqlite3_column_int64(rows, 0);
	}
	sqlite3_reset(rows);
	pthread_mutex_unlock(&letters->lock);
	return status;
}

/* In a transaction of its own, so that where it fails nothing that others have appended is lost. */
enum xf_status
xf_letters_remove(struct xf_letters *letters, uint64_t number, const char *route, int64_t before_ms, uint64_t *count,
                  struct xf_error *error)
{
	sqlite3_stmt *statement = letters->statements[number != 0 ? REMOVE_ONE : REMOVE];
	enum xf_status status;

	pthread_mutex_lock(&letters->lock);
	status = sync_locked(letters, error);
	bind_choice(statement, number, route, before_ms);
	if (status == XF_OK)
		status = xf_database_step(&letters->database, statement, error);
	if (status == XF_OK) {
		*count = (uint64_t)sqlite3_changes64(letters->database.db);
		count_add_locked(letters, -(int64_t)*count);
	}
	pthread_mutex_unlock(&letters->lock);
	return status;
}

static enum xf_status
remove_all_locked(struct xf_letters *letters, const uint64_t *numbers, size_t count, struct xf_error *error)
{
	sqlite3_stmt *statement = letters->statements[REMOVE_ONE];
	int64_t gone = 0;

	if (sync_locked(letters, error) != XF_OK || xf_database_begin(&letters->database, error) != XF_OK)
		return XF_FAILED;
	for (size_t i = 0; i < count; i++) {
		sqlite3_bind_int64(statement, 1, (sqlite3_int64)numbers[i]);
		if (xf_database_step(&letters->database, statement, error) != XF_OK) {
			xf_database_rollback(&letters->database);
			return XF_FAILED;
		}
		gone += sqlite3_changes(letters->database.db);
	}
	if (xf_database_commit(&letters->database, error) != XF_OK) {
		xf_database_rollback(&letters->database);
		return XF_FAILED;
	}
	count_add_locked(letters, -gone);
	return XF_OK;
}

enum xf_status
xf_letters_remove_all(struct xf_letters *letters, const uint64_t *numbers, size_t count, struct xf_error *error)
{
	enum xf_status status;

	pthread_mutex_lock(&letters->lock);
	status = remove_all_locked(letters, numbers, count, error);
	pthread_mutex_unlock(&letters->lock);
	return status;
}

bool
xf_letters_full(struct xf_letters *letters)
{
	uint64_t used = 0;
	bool full;

	pthread_mutex_lock(&letters->lock);
	full = number_locked(letters, SPACE, &used, NULL) != XF_OK ||
	       (xf_read(&letters->count) + letters->open > 0 && used >= letters->bytes_max - letters->bytes_max / 4);
	pthread_mutex_unlock(&letters->lock);
	return full;
}
