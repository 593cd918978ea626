/*
 * letters.h - the dead letters: what was refused for good, with the reason, kept where people can look: data_dir/dead.db.
 *
 * One SQLite file. What is appended is in a transaction that a sync commits, with all that other routes have appended by then; a
 * message is acked only after a sync that went well. When so many bytes are in use as it may have, it takes no more, and the routes
 * pause until something was taken out. The space of what was taken out is used again; the file stays as large.
 *
 * Threads: any; a mutex inside. What is not said not to blocks on the disk.
 */
#ifndef XF_DEAD_LETTERS_H
#define XF_DEAD_LETTERS_H

#include <stdbool.h>

#include "base/error.h"
#include "conf/template.h"

struct xf_letters;

struct xf_letter {
	uint64_t number; /* given by the store, rising, never again to another; of one to be appended 0, or what it was before */
	struct xf_str route;
	struct xf_str sink; /* that refused it; empty: the core did, or a handler, before any */
	struct xf_str reason;
	uint64_t attempts; /* to deliver it there */
	int64_t first_ms;  /* when it came, wall clock */
	int64_t last_ms;   /* when it was refused */
	struct xf_str reply;
	struct xf_str content_type;
	struct xf_fields message; /* as the source gave it */
};

/* Creates the store where there is none, and takes over what stands in data_dir/rejected.ndjson (import.h). One that is damaged or of
 * a newer version is refused, with what to do. */
struct xf_letters *xf_letters_open(const char *data_dir, uint64_t bytes_max, struct xf_error *error);
/* What was not synced may be gone. */
void xf_letters_close(struct xf_letters **letters);

/* One that was here before, and is still, gets the sink, the reason and the time, and its attempts are added. Fails where the store is
 * full or cannot be written; then nothing of the letter is kept. What was appended before it, and not synced, may be lost with it: a
 * sync says so. */
enum xf_status xf_letters_append(struct xf_letters *letters, const struct xf_letter *letter, struct xf_error *error);

/*
 * Everything appended since xf_letters_losses() said LOSSES is on disk. After a failure it may not be, whatever a later
 * call says.
 */
uint64_t xf_letters_losses(struct xf_letters *letters);
enum xf_status xf_letters_sync(struct xf_letters *letters, uint64_t losses, struct xf_error *error);

/* What is on disk. */
struct xf_letters_sum {
	uint64_t count;
	uint64_t bytes; /* in use in the file */
	uint64_t bytes_max;
};

/* Does not wait for the disk. */
void xf_letters_sum(struct xf_letters *letters, struct xf_letters_sum *sum);

/* What is read is on disk: it is synced first. EACH must call nothing of the store; what it gets is borrowed for the call. */
enum xf_status xf_letters_routes(struct xf_letters *letters, void (*each)(void *context, struct xf_str route, uint64_t count),
                                 void *context, struct xf_error *error);
/* Up to LIMIT with numbers above AFTER, in order, of ROUTE or, with NULL, of all; without headers, and of the payload the length only. */
enum xf_status xf_letters_list(struct xf_letters *letters, const char *route, uint64_t after, uint64_t limit,
                               void (*each)(void *context, const struct xf_letter *letter), void *context,
                               struct xf_error *error);
/* All of one; EACH is not called where there is none. */
enum xf_status xf_letters_get(struct xf_letters *letters, uint64_t number,
                              void (*each)(void *context, const struct xf_letter *letter), void *context,
                              struct xf_error *error);

/* For ever; *COUNT is how many it were. NUMBER 0: any; ROUTE NULL: any; refused last before BEFORE_MS. */
enum xf_status xf_letters_remove(struct xf_letters *letters, uint64_t number, const char *route, int64_t before_ms,
                                 uint64_t *count, struct xf_error *error);

/* The numbers of those, in order; *NUMBERS is to be freed. */
enum xf_status xf_letters_choose(struct xf_letters *letters, uint64_t number, const char *route, int64_t before_ms,
                                 uint64_t **numbers, size_t *count, struct xf_error *error);
/* Those that are still there, for ever. */
enum xf_status xf_letters_remove_all(struct xf_letters *letters, const uint64_t *numbers, size_t count, struct xf_error *error);

/* Less than a quarter is free, or it cannot be read. An empty one is never full. */
bool xf_letters_full(struct xf_letters *letters);

#endif
