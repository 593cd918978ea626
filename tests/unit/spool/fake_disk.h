/*
 * fake_disk.h - a disk in memory that fails as disks do: power goes, calls fail, space ends, bits turn.
 *
 * It is a VFS of SQLite with the three calls on folders beside it, so everything that a spool does passes here. What was written is seen
 * at once by whoever reads; on the disk it is only once it was synced: a file by xSync, names by a sync of their folder. (As SQLite's
 * own VFS does, the first sync of a new WAL syncs its name too.) When the power goes, each sector written since then may have arrived
 * or not, the last one in part, and names made or changed since then up to some point in time, files even after that.
 *
 * There is one disk. Threads: any; a mutex inside. What turns or counts it is called while nobody else uses it.
 */
#ifndef XF_TESTS_FAKE_DISK_H
#define XF_TESTS_FAKE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spool/disk.h"

extern const struct xf_disk fake_disk;

/* Empty, whole, and without a bound. SEED drives all that is left to chance. */
void fake_disk_reset(uint64_t seed);

uint64_t fake_random(void);
/* 0 to N - 1 */
uint64_t fake_below(uint64_t n);

/* Calls that can fail, since the reset. */
uint64_t fake_disk_calls(void);

/* The calls with the numbers FIRST to LAST, counted from the reset, fail. ENOSPC fails those alone that want space. A sync that fails loses some of
 * what it was to sync, for ever, though it can be read until the power goes. */
void fake_disk_fail(uint64_t first, uint64_t last, int code);
uint64_t fake_disk_failures(void); /* that came of it */

/* All from call NUMBER on fail. */
void fake_disk_cut_at(uint64_t number);
/* The power comes back. Nothing is open. */
void fake_disk_restart(void);

/* Bytes that all files together may have; 0: no bound. */
void fake_disk_capacity(uint64_t bytes);
uint64_t fake_disk_used(void);

/* Turns a bit of a file; turns a part of it into zeros; cuts it; removes it. All was synced. */
void fake_disk_flip(const char *path, uint64_t bit);
void fake_disk_zero(const char *path, uint64_t at, uint64_t len);
void fake_disk_cut(const char *path, uint64_t len);
void fake_disk_remove(const char *path);
uint64_t fake_disk_size(const char *path); /* 0: it is not there */
/* What the file holds, as one number; 0: it is not there. */
uint64_t fake_disk_sum(const char *path);
/* A name that begins and ends so, or NULL. */
const char *fake_disk_find(const char *prefix, const char *suffix);

/* Notes what is there, and puts it back. Nothing is open. */
void fake_disk_save(void);
void fake_disk_load(void);

/* Syncs do nothing, but say that they did. */
void fake_disk_lie(bool files, bool folders);

#endif
