/*
 * entry.h - an entry of a stream as Redis sends it, and as a message.
 *
 * Threads: pure; everything points into the bytes that it was read from.
 */
#ifndef REDIS_ENTRY_H
#define REDIS_ENTRY_H

#include <stdbool.h>

#include "fields.h"
#include "resp.h"

#define ENTRY_ID_MAX 48u

struct entry_id {
	uint64_t ms;
	uint64_t seq;
};

/* Writes "ms-seq" into OUT, which has room for ENTRY_ID_MAX; its length. */
size_t entry_id_write(char *out, struct entry_id id);

struct entry {
	struct entry_id id;
	struct xf_str id_text; /* empty: not even that is left */
	bool deleted;          /* it has no fields any more */
	uint32_t fields;       /* how many headers it can have at most */
	const char *data;      /* of the fields */
	size_t size;
};

/* One whole reply: [id, [name, value, ...]], or with nil where it was deleted. False: malformed. */
bool entry_open(struct entry *entry, const char *data, size_t size);

/* Fills in what the entry says of a message; NAMES are those of its fields, HEADERS has room for entry->fields.
 * False: malformed. */
bool entry_read(const struct entry *entry, const struct xf_str names[FIELDS], struct xf_header *headers,
                struct xf_incoming *m);

#endif
