/*
 * salvage.h - a spool's folder: made, and put in place of a damaged one.
 *
 * A spool is a folder with two files, so that it is moved, whole, in one step. A new folder is built beside it as PATH.new; its mark
 * is written last, so PATH.new with a mark that can be read is complete, and takes PATH's place the next time somebody
 * looks, whatever happened in between. What stood at PATH is moved to PATH.damaged-TIME and never touched again.
 *
 * Threads: one, which has the mark's lock, if there is a mark.
 */
#ifndef XF_SPOOL_SALVAGE_H
#define XF_SPOOL_SALVAGE_H

#include "spool/mark.h"
#include "spool/records.h"

/* Numbers of records. LAST is UINT64_MAX where nobody knows how many there were. */
struct xf_spool_range {
	uint64_t first;
	uint64_t last;
};

struct xf_salvage {
	uint64_t kept; /* records that were carried over */
	struct xf_spool_range *missing;
	size_t missing_count;
};

/* The files in the folder of a spool; on the heap. */
char *xf_spool_records_path(const char *path);
char *xf_spool_mark_path(const char *path);

/* An empty spool at PATH where there is none; a complete PATH.new comes to its place first. */
enum xf_status xf_salvage_settle(const struct xf_disk *disk, const char *path, struct xf_error *error);

/* Builds PATH.new with all records of FROM that can be read, under their numbers. FROM may be NULL. The caller then closes what it
 * has open at PATH, and settles. */
enum xf_status xf_salvage(const struct xf_disk *disk, const char *path, struct xf_records *from,
                          const struct xf_mark *mark, struct xf_salvage *salvage, struct xf_error *error);

#endif
