/*
 * store.h - the memory that messages lie in while the broker has them.
 *
 * Messages are copied into segments, large blocks that are filled from the front and given back whole when none of
 * their messages is wanted any more. So a message costs no allocation and nothing to free. A message that
 * no segment can hold has one of its own.
 *
 * A sink fills its segment without a lock, since nobody else knows of what is in it until
 * it was put into a queue. Everything else here needs the broker's lock.
 */
#ifndef LOCAL_STORE_H
#define LOCAL_STORE_H

#include <stdbool.h>

#include <crossfade/transport.h>

/* A message. Behind it lie its headers, then subject, id, key, reply, content type, the
 * headers' texts, and the payload. */
struct record {
	uint64_t sequence; /* in the order of acceptance; set under the lock */
	int64_t time_ms;
	uint64_t expires_ms; /* monotonic, by its time to live; 0: never */
	uint64_t dies_ms;    /* likewise, by that or the broker's max_age */
	uint32_t subject_len;
	uint32_t id_len;
	uint32_t key_len;
	uint32_t reply_len;
	uint32_t type_len;
	uint32_t header_count;
	uint32_t payload_size;
	uint32_t priority;
	uint32_t places; /* queues that it is in yet, or handed out of; under the lock, and kept only with a journal */
	uint32_t placed; /* how many those were at first; likewise */
};

struct segment {
	struct segment *next; /* in the list of free ones */
	uint64_t size;        /* with this head */
	uint64_t used;
	uint64_t wanted; /* places in queues that hold one of its messages; under the lock */
	bool open;       /* some sink still fills it; under the lock */
	bool single;     /* made for one message, which may be longer than a plain segment */
};

struct store {
	uint64_t segment_size; /* a power of two; segments are aligned to it */
	uint64_t bytes_max;
	uint64_t bytes; /* of the segments that are wanted */
	struct segment *free;
	unsigned free_count;
};

void store_init(struct store *store, uint64_t bytes_max);
void store_fini(struct store *store);

/* [lock] A segment to fill, open, for messages of up to SIZE bytes. NULL: no memory. */
struct segment *store_open(struct store *store, uint64_t size);

/* [lock] Nothing more will be put into it. */
void store_seal(struct store *store, struct segment *segment);

/* [lock] Whether SIZE more bytes may be used. */
bool store_has_room(const struct store *store, uint64_t size);

/* [lock] Another place, or COUNT places fewer, want a message of the segment. True: its memory is free again. */
void store_want(struct store *store, struct segment *segment, uint64_t count);
bool store_unwant(struct store *store, struct segment *segment, uint64_t count);

/* What a message needs; the most that a plain segment can hold. */
uint64_t record_size(const struct xf_outgoing *message);
uint64_t store_largest(const struct store *store);

/* Copies a message of SIZE = record_size() to the end of a segment that the caller fills. NULL: it does not fit. */
struct record *record_write(struct segment *segment, const struct xf_outgoing *message, uint64_t size);

/* Takes RECORD and what was written after it out of the segment again. */
void record_unwrite(struct segment *segment, struct record *record);

/* Fills all but handle, flags, attempt and ttl_ms. Points into the record. */
void record_read(const struct record *record, struct xf_incoming *incoming);

const char *record_subject(const struct record *record);

/* The segment that a record lies in. */
static inline struct segment *
record_segment(const struct store *store, const struct record *record)
{
	return (struct segment *)((uintptr_t)record & ~(uintptr_t)(store->segment_size - 1));
}

#endif
