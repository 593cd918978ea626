/*
 * spool.h - messages that wait on disk, in order, for as long as their broker is away.
 *
 * Records are appended by any thread, written by one of the spool's own, many to a commit, and called back once they are on
 * disk; read in the order of their numbers; removed in any order once the broker has them. What was called durable is there after
 * a crash or a power cut, or is reported as missing. A removal may be lost by those: the record is read once more.
 *
 * What a record's bytes mean is the caller's affair. Its lane is a number; the spool counts what it has of each.
 *
 * Bound: bytes_max, of bytes and XF_SPOOL_RECORD_COST for each record. What waits to be written is bounded by whoever appends.
 * The files may be a few MiB larger than that, and a reserve of 8 MiB lies beside them while there are records, so
 * that removals have room when the disk is full.
 *
 * The folder: records.db (SQLite, records.h), mark (mark.h). A spool found damaged is set aside whole, and what can be read of it
 * carried over (salvage.h).
 */
#ifndef XF_SPOOL_SPOOL_H
#define XF_SPOOL_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/inbox.h"
#include "base/str.h"
#include "spool/disk.h"
#include "spool/salvage.h"

#define XF_SPOOL_LANES 32768 /* lanes alike modulo this are counted as one */

struct xf_spool;

enum xf_spool_result {
	XF_SPOOL_DURABLE,
	XF_SPOOL_FULL,      /* there is no room now; it was not written */
	XF_SPOOL_TOO_LARGE, /* there never will be */
	XF_SPOOL_FAILED,    /* the disk refuses; after a crash it may be there all the same */
};

/* A record to be written. The caller's, but from xf_spool_append() until it is called back the spool's. */
struct xf_spool_write {
	struct xf_node node; /* first */
	struct xf_str bytes;
	uint64_t time_ms; /* xf_steady_wall_ms() */
	uint32_t lane;
	uint32_t generation;
	enum xf_spool_result result; /* set when it is called back */
	uint64_t seq;                /* likewise, where it is durable */
};

struct xf_spool_found {
	uint64_t messages;
	uint64_t bytes;
	uint64_t oldest_ms;                /* wall clock; 0: there is none */
	bool damaged;                      /* and set aside; the log says where and what to do */
	struct xf_spool_range *missing;    /* on the heap, the caller's */
	size_t missing_count;
};

struct xf_spool_settings {
	const char *path; /* a folder, made where it is missing; the one that it lies in is there */
	const char *name; /* in the log */
	uint64_t bytes_max;
	/* [writer] A chain of writes, in the order in which they were appended, each with its result. Must not block for long: nothing is
	 * written meanwhile. */
	void (*written)(void *context, struct xf_spool_write *first);
	/* [writer] Not NULL: where there is nothing at PATH yet, neither files nor the thread are made before the first append. Then this is called
	 * when they are there, before anything is written; where it fails nothing is, and it is called again for a later try. */
	enum xf_status (*begun)(void *context, struct xf_error *error);
	void *context;
	const struct xf_disk *disk; /* NULL: the disk */
};

/*
 * Looks through all that is there, at some hundred MiB a second. NULL with a reason where the spool is in use, of a newer version, or the
 * disk fails; nothing was changed then. *FOUND is filled on success.
 */
struct xf_spool *xf_spool_open(const struct xf_spool_settings *settings, struct xf_spool_found *found,
                               struct xf_error *error);

/* Whoever calls it has stopped appending and reading. Writes what waits and calls it back, then frees. */
void xf_spool_close(struct xf_spool **spool);

/* [any] Another bound; what is in the spool already stays. */
void xf_spool_limit(struct xf_spool *spool, uint64_t bytes_max);

/*
 * [any] Appends the chain FIRST to LAST, linked by node.next. Never blocks. Each is called back once.
 *
 * So that nothing passes what was refused: a refusal (FULL, FAILED) raises the generation, and what carries an older one is refused
 * likewise. A caller reads the generation anew only when all that it appended under the old one was called back.
 */
void xf_spool_append(struct xf_spool *spool, struct xf_spool_write *first, struct xf_spool_write *last);
uint32_t xf_spool_generation(const struct xf_spool *spool);

/* [any] How many records of the lane are in the spool or on their way into it, those refused or done apart. */
uint32_t xf_spool_lane(const struct xf_spool *spool, uint32_t lane);

/* [any] Whether a crash now might leave records of the lane to be found: they count until their removal is on disk. */
bool xf_spool_lane_stands(const struct xf_spool *spool, uint32_t lane);

/* [any] Not before the first append, where that was asked for. */
bool xf_spool_has_begun(const struct xf_spool *spool);

/* Where a record stands, what its removal needs. */
struct xf_spool_place {
	uint64_t seq;
	uint32_t lane;
	uint32_t len; /* of its bytes */
};

struct xf_spool_record {
	struct xf_spool_place place;
	uint64_t time_ms;
	struct xf_str bytes; /* in the batch */
};

/* Zero is empty. To be read into again and again. */
struct xf_spool_batch {
	struct xf_spool_record *records;
	size_t count;
	uint64_t next;    /* what AFTER is next */
	uint64_t damaged; /* records passed over, since they are not what was written; they stay, and are missing at the next start */
	size_t size;
	struct xf_buffer bytes;
};

void xf_spool_batch_fini(struct xf_spool_batch *batch);

/*
 * [one thread] Reads durable records behind number AFTER (0: from the first), at most COUNT_MAX of them and no more than BYTES_MAX
 * but always one. None: there are no more for now. What was given to xf_spool_done() is not among them.
 */
enum xf_status xf_spool_read(struct xf_spool *spool, uint64_t after, size_t count_max, size_t bytes_max,
                             struct xf_spool_batch *batch, struct xf_error *error);

/* [any] These records are not needed any more, each told once. Never blocks on the disk: they are removed with the next commit. */
void xf_spool_done(struct xf_spool *spool, const struct xf_spool_place *places, size_t count);

struct xf_spool_numbers {
	uint64_t messages; /* on disk; those done count until they are removed */
	uint64_t bytes;
	uint64_t bytes_max;
	uint64_t oldest_ms; /* wall clock; 0: there is none */
	uint64_t commits;
	uint64_t commit_us; /* the last one's */
	uint64_t commit_us_max;
	uint64_t refused;  /* writes, for want of room here or on the disk, or since it fails */
	uint64_t failures; /* of the disk */
	uint64_t damaged;  /* records that reading passed over */
	bool failed;       /* nothing can be appended */
};

/* [any] Takes no lock. */
void xf_spool_numbers(const struct xf_spool *spool, struct xf_spool_numbers *numbers);

/* [any] It takes nothing at the moment. */
bool xf_spool_fails(const struct xf_spool *spool);
/* [any] Why it failed last. */
void xf_spool_reason(struct xf_spool *spool, struct xf_error *reason);

#endif
