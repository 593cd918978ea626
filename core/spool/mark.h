/*
 * mark.h - a small file beside a spool's records that says which numbers must be among them.
 *
 * HIGH is the last record that was called durable, and is on disk before it is called so: what SQLite
 * forgets behind its back (one bad bit in a WAL ends it there, and all is well for integrity_check) is missed when the spool is
 * opened. LOW is a number below which all was done once.
 *
 * Two slots are written in turn, each with a checksum, so a write that is torn leaves the other. A slot is left for the other only
 * after it is synced. Behind the slots may stand the reserve: zeros that are given up when the disk is full, so that removals can
 * be committed and what is in the WAL finds its place.
 *
 * Whoever has the mark open has the spool: the file is locked, against other processes and others in this one.
 *
 * Threads: one at a time.
 */
#ifndef XF_SPOOL_MARK_H
#define XF_SPOOL_MARK_H

#include <stdint.h>

#include "base/error.h"
#include "spool/disk.h"

struct xf_mark {
	sqlite3_vfs *vfs;
	sqlite3_file *file;
	char *path;
	uint64_t reserve; /* the size that it has or would have */
	uint64_t turn;  /* of the last write; its parity tells the slot */
	uint64_t low, high;
	uint32_t version; /* of the spool that it was written by; 0: no slot can be read */
	bool unreadable;  /* the disk gave an error where a slot is */
	bool reserved;
};

/* Reads it. A file without a slot that can be read is no failure: version is 0 then. */
enum xf_status xf_mark_open(struct xf_mark *mark, const struct xf_disk *disk, const char *path, bool create,
                            struct xf_error *error);
void xf_mark_close(struct xf_mark *mark); /* fine on one that is zero or was not opened */

/* On disk when it returns XF_OK. After a failure the same slot is tried again. */
enum xf_status xf_mark_write(struct xf_mark *mark, uint32_t version, uint64_t low, uint64_t high, struct xf_error *error);

/* Makes the reserve, or gives it up. */
enum xf_status xf_mark_reserve(struct xf_mark *mark, struct xf_error *error);
/* Whether there is room for another one. */
enum xf_status xf_mark_probe(struct xf_mark *mark, struct xf_error *error);
enum xf_status xf_mark_release(struct xf_mark *mark, struct xf_error *error);

#endif
