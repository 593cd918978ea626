/*
 * disk.h - the disk as the spool sees it, so that tests can put another in its place.
 *
 * Files, the mark's too, are read and written through SQLite's own layer (a sqlite3_vfs), so one shim stands below all of them.
 * What that layer has not, three calls on folders, stands here.
 *
 * Threads: any.
 */
#ifndef XF_SPOOL_DISK_H
#define XF_SPOOL_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

struct xf_disk {
	const char *vfs; /* its name; NULL: SQLite's own choice */
	/* Each gives 0 or an errno. */
	int (*make)(const char *folder); /* its parent exists; fine where it exists itself */
	int (*move)(const char *from, const char *to);
	int (*sync)(const char *folder); /* the names in it */
	uint64_t reserve;                /* bytes that a spool keeps back for its removals */
};

extern const struct xf_disk xf_disk_real;

/* A file that is there but empty counts as missing. */
bool xf_disk_exists(const struct xf_disk *disk, const char *path);

/* Of the folder that PATH lies in. 0 or an errno. */
int xf_disk_sync_parent(const struct xf_disk *disk, const char *path);

/* Why the last call of a file failed, for a person. */
const char *xf_disk_reason(sqlite3_vfs *vfs, int result);

#endif
