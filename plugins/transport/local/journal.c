/*
 * A message's body is a row of numbers, little-endian, then its texts, headers and payload, one after the other; the checksum
 * is over all of it, with the sequence as the seed. Reading trusts no length.
 *
 * Sequences are never used again, for ids are made of them; the last one is noted with every commit.
 */
#include "journal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define SCHEMA_VERSION 1
#define CHECKPOINT_PAGES 4096 /* 16 MiB of WAL */
#define NUMBERS 12            /* before the texts of a body, 8 bytes each */

enum { BEGIN, COMMIT, ROLLBACK, SUBSCRIBE, UNSUBSCRIBE, UNSHARE, PUT, SHARE, DELETE, SEE, UNSEE, HEAD, STATEMENTS };

static const char *const statements[STATEMENTS] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[SUBSCRIBE] = "INSERT INTO subscription (id, grp, pattern, durable) VALUES (?1, ?2, ?3, ?4)",
	[UNSUBSCRIBE] = "DELETE FROM subscription WHERE id = ?1",
	[PUT] = "INSERT INTO message (sequence, queues, body, sum) VALUES (?1, ?2, ?3, ?4)",
	[SHARE] = "INSERT OR IGNORE INTO done (sequence, subscription) VALUES (?1, ?2)",
	[UNSHARE] = "DELETE FROM done WHERE sequence = ?1",
	[DELETE] = "DELETE FROM message WHERE sequence = ?1",
	[SEE] = "INSERT OR REPLACE INTO seen (first, keys) VALUES (?1, ?2)",
	[UNSEE] = "DELETE FROM seen WHERE first < ?1",
	[HEAD] = "UPDATE head SET sequence = ?1",
};

static const char schema[] =
	"CREATE TABLE head (born INTEGER NOT NULL, seed INTEGER NOT NULL, sequence INTEGER NOT NULL);"
	"CREATE TABLE subscription ("
	" id INTEGER PRIMARY KEY, grp TEXT NOT NULL, pattern TEXT NOT NULL, durable INTEGER NOT NULL);"
	"CREATE TABLE message ("
	" sequence INTEGER PRIMARY KEY, queues BLOB NOT NULL, body BLOB NOT NULL, sum INTEGER NOT NULL);"
	"CREATE TABLE done ("
	" sequence INTEGER NOT NULL, subscription INTEGER NOT NULL, PRIMARY KEY (sequence, subscription)"
	") WITHOUT ROWID;"
	"CREATE TABLE seen (first INTEGER PRIMARY KEY, keys BLOB NOT NULL);";

struct buffer {
	unsigned char *data;
	size_t len;
	size_t size;
};

struct journal {
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS];
	struct buffer body;
	struct buffer queues;
	char *file;
};

/* ---- Bytes ------------------------------------------------------------------------- */

static bool
buffer_reserve(struct buffer *buffer, size_t len)
{
	size_t size = buffer->size > 0 ? buffer->size : 1024;
	unsigned char *grown;

	while (size < len)
		size *= 2;
	if (size == buffer->size)
		return true;
	grown = realloc(buffer->data, size);
	if (grown == NULL)
		return false;
	buffer->data = grown;
	buffer->size = size;
	return true;
}

static void
put_number(struct buffer *buffer, uint64_t number)
{
	for (int i = 0; i < 8; i++)
		buffer->data[buffer->len++] = (unsigned char)(number >> (8 * i));
}

static void
put_bytes(struct buffer *buffer, const void *data, uint64_t len)
{
	if (len > 0)
		memcpy(buffer->data + buffer->len, data, len);
	buffer->len += len;
}

static uint64_t
number_at(const unsigned char *data)
{
	uint64_t number = 0;

	for (int i = 0; i < 8; i++)
		number |= (uint64_t)data[i] << (8 * i);
	return number;
}

/* The next LEN bytes of what is left; all is nothing once there were too few. */
static struct xf_str
take_bytes(struct xf_str *left, uint64_t len)
{
	struct xf_str bytes = {left->data, len};

	if (left->data == NULL || len > left->len) {
		*left = (struct xf_str){NULL, 0};
		return *left;
	}
	left->data += len;
	left->len -= len;
	return bytes;
}

static uint64_t
take_number(struct xf_str *left)
{
	struct xf_str bytes = take_bytes(left, 8);

	return bytes.data != NULL ? number_at((const unsigned char *)bytes.data) : 0;
}

/* ---- Bodies -------------------------------------------------------------------------- */

static bool
body_write(struct buffer *body, const struct record *record, int64_t expires_wall_ms, int64_t accepted_wall_ms)
{
	struct xf_incoming m = {0};
	uint64_t len = NUMBERS * 8;

	record_read(record, &m);
	len += m.subject.len + m.id.len + m.key.len + m.reply.len + m.content_type.len + m.payload_size;
	for (uint32_t i = 0; i < m.header_count; i++)
		len += 16 + m.headers[i].name.len + m.headers[i].value.len;
	body->len = 0;
	if (!buffer_reserve(body, len))
		return false;
	put_number(body, m.subject.len);
	put_number(body, m.id.len);
	put_number(body, m.key.len);
	put_number(body, m.reply.len);
	put_number(body, m.content_type.len);
	put_number(body, m.header_count);
	put_number(body, m.priority);
	put_number(body, m.payload_size);
	put_number(body, (uint64_t)m.time_ms);
	put_number(body, (uint64_t)expires_wall_ms);
	put_number(body, (uint64_t)accepted_wall_ms);
	put_number(body, 0);
	put_bytes(body, m.subject.data, m.subject.len);
	put_bytes(body, m.id.data, m.id.len);
	put_bytes(body, m.key.data, m.key.len);
	put_bytes(body, m.reply.data, m.reply.len);
	put_bytes(body, m.content_type.data, m.content_type.len);
	for (uint32_t i = 0; i < m.header_count; i++) {
		put_number(body, m.headers[i].name.len);
		put_number(body, m.headers[i].value.len);
		put_bytes(body, m.headers[i].name.data, m.headers[i].name.len);
		put_bytes(body, m.headers[i].value.data, m.headers[i].value.len);
	}
	put_bytes(body, m.payload, m.payload_size);
	return true;
}

/* Points into BODY; *HEADERS is to be freed. False: it is not what body_write() made. */
static bool
body_read(struct xf_str body, struct journal_message *into, struct xf_header **headers)
{
	struct xf_outgoing *m = &into->message;
	uint64_t numbers[NUMBERS];

	*headers = NULL;
	for (int i = 0; i < NUMBERS; i++)
		numbers[i] = take_number(&body);
	*m = (struct xf_outgoing){.header_count = (uint32_t)numbers[5], .priority = (uint32_t)numbers[6]};
	m->payload_size = numbers[7];
	m->time_ms = (int64_t)numbers[8];
	into->expires_wall_ms = (int64_t)numbers[9];
	into->accepted_wall_ms = (int64_t)numbers[10];
	m->subject = take_bytes(&body, numbers[0]);
	m->id = take_bytes(&body, numbers[1]);
	m->key = take_bytes(&body, numbers[2]);
	m->reply = take_bytes(&body, numbers[3]);
	m->content_type = take_bytes(&body, numbers[4]);
	if (body.data == NULL || m->subject.len == 0 || numbers[5] > body.len / 16)
		return false;
	*headers = calloc(m->header_count + 1, sizeof(**headers));
	if (*headers == NULL)
		return false;
	for (uint32_t i = 0; i < m->header_count; i++) {
		uint64_t name = take_number(&body), value = take_number(&body);

		(*headers)[i].name = take_bytes(&body, name);
		(*headers)[i].value = take_bytes(&body, value);
	}
	m->headers = *headers;
	m->payload = body.data;
	return body.data != NULL && body.len == m->payload_size;
}

static int64_t
body_sum(const void *body, size_t len, uint64_t sequence)
{
	return (int64_t)XXH3_64bits_withSeed(body, len, sequence);
}

/* ---- Opening ----------------------------------------------------------------------------- */

static bool
journal_fail(const struct journal *j, const char *what, struct xf_error *error)
{
	int code = sqlite3_errcode(j->db) & 0xff;
	const char *hint = "";

	if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
		hint = "; another transport or server has it open: give each a file of its own";
	else if (code == SQLITE_FULL)
		hint = "; free space on its disk";
	else if (code == SQLITE_IOERR)
		hint = "; look after its disk, and limits on the size of files";
	else if (code == SQLITE_CANTOPEN)
		hint = "; its folder must exist and be writable";
	else if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT)
		hint = "; move it away to begin with an empty one";
	snprintf(error->text, sizeof(error->text), "file %s: %s: %s%s", j->file, what, sqlite3_errmsg(j->db), hint);
	return false;
}

static bool
run(struct journal *j, const char *sql, const char *what, struct xf_error *error)
{
	return sqlite3_exec(j->db, sql, NULL, NULL, NULL) == SQLITE_OK || journal_fail(j, what, error);
}

/* The first row of SQL, COUNT numbers. */
static bool
ask(struct journal *j, const char *sql, int64_t *out, int count, struct xf_error *error)
{
	sqlite3_stmt *statement = NULL;
	bool fine = sqlite3_prepare_v2(j->db, sql, -1, &statement, NULL) == SQLITE_OK &&
	            sqlite3_step(statement) == SQLITE_ROW;

	for (int i = 0; fine && i < count; i++)
		out[i] = sqlite3_column_int64(statement, i);
	if (!fine)
		journal_fail(j, "cannot be read", error);
	sqlite3_finalize(statement);
	return fine;
}

/* Under the write lock, which is not given back: nobody else can have the file then. */
static bool
schema_make(struct journal *j, uint64_t born, uint64_t seed, struct xf_error *error)
{
	char text[160];
	int64_t version;

	if (!ask(j, "PRAGMA user_version", &version, 1, error))
		return false;
	if (version == SCHEMA_VERSION)
		return true;
	if (version != 0) {
		snprintf(error->text, sizeof(error->text),
		         "file %s: was written by another version of crossfade (%lld; this one knows %d); start that one, or "
		         "move the file away",
		         j->file, (long long)version, SCHEMA_VERSION);
		return false;
	}
	snprintf(text, sizeof(text), "INSERT INTO head VALUES (%lld, %lld, 0); PRAGMA user_version=%d", (long long)born,
	         (long long)seed, SCHEMA_VERSION);
	return run(j, schema, "cannot make its tables", error) && run(j, text, "cannot note its version", error);
}

static bool
db_open(struct journal *j, uint64_t born, uint64_t seed, struct xf_error *error)
{
	/* nobody else reads it; one that is there is not opened here, since closing it would lose others' locks */
	int fd = open(j->file, O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	char text[64];

	if (fd >= 0)
		close(fd);
	if (sqlite3_open_v2(j->file, &j->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) !=
	    SQLITE_OK)
		return journal_fail(j, "cannot be opened", error);
	sqlite3_extended_result_codes(j->db, 1);
	snprintf(text, sizeof(text), "PRAGMA wal_autocheckpoint=%d", CHECKPOINT_PAGES);
	/* exclusive before WAL: then there is no shared memory beside it */
	if (!run(j, "PRAGMA locking_mode=EXCLUSIVE", "cannot be locked", error) ||
	    !run(j, "PRAGMA journal_mode=WAL", "cannot be opened", error) ||
	    !run(j, "PRAGMA synchronous=FULL", "cannot be opened", error) || !run(j, text, "cannot be opened", error) ||
	    !run(j, "BEGIN IMMEDIATE", "cannot be locked", error))
		return false;
	if (!schema_make(j, born, seed, error)) {
		sqlite3_exec(j->db, "ROLLBACK", NULL, NULL, NULL);
		return false;
	}
	return run(j, "COMMIT", "cannot be written", error);
}

static bool
statements_prepare(struct journal *j, struct xf_error *error)
{
	for (int i = 0; i < STATEMENTS; i++)
		if (sqlite3_prepare_v3(j->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &j->statements[i], NULL) !=
		    SQLITE_OK)
			return journal_fail(j, "is not what it should be", error);
	return true;
}

struct journal *
journal_open(const char *file, uint64_t born, uint64_t seed, struct journal_head *head, struct xf_error *error)
{
	struct journal *j = calloc(1, sizeof(*j));
	int64_t numbers[4];

	snprintf(error->text, sizeof(error->text), "no memory for the file");
	if (j == NULL)
		return NULL;
	j->file = strdup(file);
	if (j->file == NULL || !db_open(j, born, seed, error) || !statements_prepare(j, error) ||
	    !ask(j,
	         "SELECT born, seed, max(sequence, (SELECT ifnull(max(sequence), 0) FROM message)), "
	         "(SELECT ifnull(max(id), 0) FROM subscription) FROM head",
	         numbers, 4, error)) {
		journal_close(&j);
		return NULL;
	}
	*head = (struct journal_head){(uint64_t)numbers[0], (uint64_t)numbers[1], (uint64_t)numbers[2],
	                              (uint64_t)numbers[3]};
	return j;
}

void
journal_close(struct journal **journal)
{
	struct journal *j = *journal;

	*journal = NULL;
	if (j == NULL)
		return;
	for (int i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(j->statements[i]);
	sqlite3_close(j->db);
	free(j->body.data);
	free(j->queues.data);
	free(j->file);
	free(j);
}

/* ---- Loading ------------------------------------------------------------------------------- */

static struct xf_str
column_bytes(sqlite3_stmt *statement, int column)
{
	const char *data = sqlite3_column_blob(statement, column);

	return (struct xf_str){data != NULL ? data : "", (uint64_t)sqlite3_column_bytes(statement, column)};
}

/* Calls EACH for every row of SQL. */
static bool
each_row(struct journal *j, const char *sql, bool (*each)(struct journal *j, sqlite3_stmt *row, void *context),
         void *context, struct xf_error *error)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(j->db, sql, -1, &statement, NULL);
	bool fine = code == SQLITE_OK;

	while (fine && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		fine = each(j, statement, context);
		if (!fine)
			snprintf(error->text, sizeof(error->text), "file %s: no memory for what is in it", j->file);
	}
	if (code != SQLITE_DONE && code != SQLITE_ROW)
		fine = journal_fail(j, "cannot be read", error);
	sqlite3_finalize(statement);
	return fine;
}

struct loading {
	const struct journal_reader *reader;
	uint64_t *damaged;
	sqlite3_stmt *done;
};

static bool
subscription_load(struct journal *j, sqlite3_stmt *row, void *context)
{
	const struct journal_reader *reader = ((struct loading *)context)->reader;

	(void)j;
	return reader->subscription(reader->context, (uint64_t)sqlite3_column_int64(row, 0), column_bytes(row, 1),
	                            column_bytes(row, 2), sqlite3_column_int(row, 3) != 0);
}

static bool
seen_load(struct journal *j, sqlite3_stmt *row, void *context)
{
	const struct journal_reader *reader = ((struct loading *)context)->reader;
	struct xf_str keys = column_bytes(row, 1);

	(void)j;
	while (keys.len >= 16) {
		uint64_t mark = take_number(&keys), place = take_number(&keys);

		if (!reader->seen(reader->context, (uint64_t)sqlite3_column_int64(row, 0), (struct dedup_key){mark, place}))
			return false;
	}
	return true;
}

/* The queues of a message but for those that are done with it, in j->queues as numbers of the machine. */
static bool
queues_load(struct journal *j, struct loading *loading, uint64_t sequence, struct xf_str all, size_t *count)
{
	uint64_t *queues;

	*count = 0;
	if (!buffer_reserve(&j->queues, all.len))
		return false;
	queues = (uint64_t *)(void *)j->queues.data;
	while (all.len >= 8)
		queues[(*count)++] = take_number(&all);
	if (*count < 2)
		return true;
	sqlite3_reset(loading->done);
	sqlite3_bind_int64(loading->done, 1, (int64_t)sequence);
	while (sqlite3_step(loading->done) == SQLITE_ROW) {
		uint64_t done = (uint64_t)sqlite3_column_int64(loading->done, 0);

		for (size_t i = 0; i < *count; i++)
			if (queues[i] == done)
				queues[i--] = queues[--*count];
	}
	return true;
}

static bool
message_load(struct journal *j, sqlite3_stmt *row, void *context)
{
	struct loading *loading = context;
	struct journal_message m = {.sequence = (uint64_t)sqlite3_column_int64(row, 0)};
	struct xf_str body = column_bytes(row, 2);
	struct xf_header *headers = NULL;
	bool fine = true;

	if (body_sum(body.data, body.len, m.sequence) != sqlite3_column_int64(row, 3) || !body_read(body, &m, &headers)) {
		++*loading->damaged;
	} else {
		fine = queues_load(j, loading, m.sequence, column_bytes(row, 1), &m.queue_count);
		m.queues = (const uint64_t *)(void *)j->queues.data;
		fine = fine && loading->reader->message(loading->reader->context, &m);
	}
	free(headers);
	return fine;
}

bool
journal_load(struct journal *journal, const struct journal_reader *reader, uint64_t *damaged, struct xf_error *error)
{
	struct loading loading = {reader, damaged, NULL};
	bool fine;

	*damaged = 0;
	if (sqlite3_prepare_v2(journal->db, "SELECT subscription FROM done WHERE sequence = ?1", -1, &loading.done, NULL) !=
	    SQLITE_OK)
		return journal_fail(journal, "is not what it should be", error);
	fine = each_row(journal, "SELECT id, grp, pattern, durable FROM subscription ORDER BY id", subscription_load,
	                &loading, error) &&
	       each_row(journal, "SELECT first, keys FROM seen ORDER BY first", seen_load, &loading, error) &&
	       each_row(journal, "SELECT sequence, queues, body, sum FROM message ORDER BY sequence", message_load,
	                &loading, error);
	sqlite3_finalize(loading.done);
	return fine;
}

/* ---- Writing -------------------------------------------------------------------------------- */

static bool
step(struct journal *j, int which, struct xf_error *error)
{
	int code = sqlite3_step(j->statements[which]);

	/* after a failed step the reset only tells the failure again */
	sqlite3_reset(j->statements[which]);
	return code == SQLITE_DONE || journal_fail(j, "cannot be written", error);
}

static bool
step_numbers(struct journal *j, int which, uint64_t a, uint64_t b, struct xf_error *error)
{
	sqlite3_bind_int64(j->statements[which], 1, (int64_t)a);
	if (sqlite3_bind_parameter_count(j->statements[which]) > 1)
		sqlite3_bind_int64(j->statements[which], 2, (int64_t)b);
	return step(j, which, error);
}

bool
journal_begin(struct journal *journal, struct xf_error *error)
{
	return step(journal, BEGIN, error);
}

bool
journal_subscribe(struct journal *journal, uint64_t id, const char *group, const char *pattern, bool durable,
                  struct xf_error *error)
{
	sqlite3_stmt *statement = journal->statements[SUBSCRIBE];

	sqlite3_bind_int64(statement, 1, (int64_t)id);
	sqlite3_bind_text(statement, 2, group, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 3, pattern, -1, SQLITE_STATIC);
	sqlite3_bind_int(statement, 4, durable);
	return step(journal, SUBSCRIBE, error);
}

bool
journal_unsubscribe(struct journal *journal, uint64_t id, struct xf_error *error)
{
	return step_numbers(journal, UNSUBSCRIBE, id, 0, error);
}

static bool
no_memory(const struct journal *j, struct xf_error *error)
{
	snprintf(error->text, sizeof(error->text), "file %s: no memory for writing it", j->file);
	return false;
}

bool
journal_put(struct journal *journal, const struct record *record, int64_t expires_wall_ms, int64_t accepted_wall_ms,
            const uint64_t *queues, size_t count, struct xf_error *error)
{
	sqlite3_stmt *statement = journal->statements[PUT];
	struct buffer *body = &journal->body;
	bool fine;

	journal->queues.len = 0;
	if (!buffer_reserve(&journal->queues, count * 8) ||
	    !body_write(body, record, expires_wall_ms, accepted_wall_ms))
		return no_memory(journal, error);
	for (size_t i = 0; i < count; i++)
		put_number(&journal->queues, queues[i]);
	sqlite3_bind_int64(statement, 1, (int64_t)record->sequence);
	sqlite3_bind_blob(statement, 2, journal->queues.data, (int)journal->queues.len, SQLITE_STATIC);
	sqlite3_bind_blob64(statement, 3, body->data, body->len, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 4, body_sum(body->data, body->len, record->sequence));
	fine = step(journal, PUT, error);
	sqlite3_clear_bindings(statement);
	return fine;
}

bool
journal_settle(struct journal *journal, uint64_t sequence, uint64_t queue, bool shared, bool last,
               struct xf_error *error)
{
	if (!last)
		return step_numbers(journal, SHARE, sequence, queue, error);
	return step_numbers(journal, DELETE, sequence, 0, error) &&
	       (!shared || step_numbers(journal, UNSHARE, sequence, 0, error));
}

bool
journal_see(struct journal *journal, uint64_t first, const struct dedup_key *keys, size_t count, uint64_t oldest,
            struct xf_error *error)
{
	struct buffer *bytes = &journal->body;

	bytes->len = 0;
	if (!buffer_reserve(bytes, count * 16))
		return no_memory(journal, error);
	for (size_t i = 0; i < count; i++) {
		put_number(bytes, keys[i].mark);
		put_number(bytes, keys[i].place);
	}
	sqlite3_bind_int64(journal->statements[SEE], 1, (int64_t)first);
	sqlite3_bind_blob64(journal->statements[SEE], 2, bytes->data, bytes->len, SQLITE_STATIC);
	return step(journal, SEE, error) && (oldest == 0 || step_numbers(journal, UNSEE, oldest, 0, error));
}

bool
journal_commit(struct journal *journal, uint64_t sequence, struct xf_error *error)
{
	return step_numbers(journal, HEAD, sequence, 0, error) && step(journal, COMMIT, error);
}

void
journal_rollback(struct journal *journal)
{
	if (sqlite3_get_autocommit(journal->db) == 0) {
		sqlite3_step(journal->statements[ROLLBACK]);
		sqlite3_reset(journal->statements[ROLLBACK]);
	}
}
