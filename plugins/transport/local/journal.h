/*
 * journal.h - the file of a broker that keeps its messages.
 *
 * SQLite in WAL mode with full sync: what was committed survives the process and the machine. A message is one row with
 * all that must come out again, a checksum, and the subscriptions it is for; the row goes when the last of those is
 * done with it. Beside it stand the subscriptions, who is done with a message that others still wait for, and the keys
 * by which duplicates are known.
 *
 * The file is locked for as long as it is open: one broker, in one process, has it.
 *
 * Threads: one at a time.
 */
#ifndef LOCAL_JOURNAL_H
#define LOCAL_JOURNAL_H

#include <stddef.h>

#include "dedup.h"
#include "store.h"

struct journal;

/* Of the file as a whole. */
struct journal_head {
	uint64_t born;     /* when it was made, wall clock */
	uint64_t seed;     /* of the keys of duplicates */
	uint64_t sequence; /* of the last message */
	uint64_t subscription; /* the highest id */
};

/* What is read of a message. The strings live for the call. */
struct journal_message {
	uint64_t sequence;
	struct xf_outgoing message; /* what record_write() takes */
	int64_t expires_wall_ms;    /* 0: never */
	int64_t accepted_wall_ms;
	const uint64_t *queues; /* that are not done with it */
	size_t queue_count;
};

/* Called while loading, in this order; false, which is no memory, ends it. */
struct journal_reader {
	void *context;
	bool (*subscription)(void *context, uint64_t id, struct xf_str group, struct xf_str pattern, bool durable);
	bool (*seen)(void *context, uint64_t first, struct dedup_key key); /* as journal_see() had them, the oldest first */
	bool (*message)(void *context, const struct journal_message *message); /* by sequence */
};

/* Makes the file where there is none. SEED is for a new one. NULL with a reason. */
struct journal *journal_open(const char *file, uint64_t born, uint64_t seed, struct journal_head *head,
                             struct xf_error *error);
void journal_close(struct journal **journal);

/* *DAMAGED: messages that are not what was written; they stay where they are. */
bool journal_load(struct journal *journal, const struct journal_reader *reader, uint64_t *damaged,
                  struct xf_error *error);

/* A transaction. Each of the steps is false with a reason; then journal_rollback() is next. After a failed commit it is not
 * known whether it is on disk. */
bool journal_begin(struct journal *journal, struct xf_error *error);
bool journal_subscribe(struct journal *journal, uint64_t id, const char *group, const char *pattern, bool durable,
                       struct xf_error *error);
bool journal_unsubscribe(struct journal *journal, uint64_t id, struct xf_error *error);
bool journal_put(struct journal *journal, const struct record *record, int64_t expires_wall_ms,
                 int64_t accepted_wall_ms, const uint64_t *queues, size_t count, struct xf_error *error);

/* A subscription is done with a message: the LAST of them, or one of those it is SHARED by. */
bool journal_settle(struct journal *journal, uint64_t sequence, uint64_t queue, bool shared, bool last,
                    struct xf_error *error);

/* Keys of the messages from FIRST on; those before OLDEST are not asked for any more. */
bool journal_see(struct journal *journal, uint64_t first, const struct dedup_key *keys, size_t count,
                 uint64_t oldest, struct xf_error *error);
bool journal_commit(struct journal *journal, uint64_t sequence, struct xf_error *error);
void journal_rollback(struct journal *journal);

#endif
