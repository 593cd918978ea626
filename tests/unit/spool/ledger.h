/*
 * ledger.h - what was given to a spool, what it said of it, and whether it has kept its word.
 *
 * An entry is a record with an id in its bytes, which tell it from every other. The ledger lives across closing, crashing and opening: what
 * was called durable and not done must be there each time, in order and as it was; what is there besides must be something that
 * was given to it.
 *
 * Threads: the test's, and the spool's writer in the callback.
 */
#ifndef XF_TESTS_LEDGER_H
#define XF_TESTS_LEDGER_H

#include <pthread.h>

#include "spool/spool.h"

enum fate {
	WAITING,
	DURABLE,
	REFUSED, /* full, too large */
	FAILED,  /* may be there all the same */
};

struct entry {
	struct xf_spool_write write;
	enum fate fate;
	bool done;
	bool there; /* seen by the last check */
};

struct ledger {
	struct xf_spool_settings settings;
	struct xf_spool *spool;
	struct xf_spool_found found;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct entry **entries; /* by id; allocated one by one, since the spool has them */
	size_t count, size;
	size_t waiting; /* guarded by lock, like each fate and write of what waits */
	size_t durable;
	size_t callbacks;
	uint32_t lanes;
	uint64_t missing; /* entries that were lost and reported */
	char violation[1024]; /* the first that was seen; empty: none */
};

void ledger_init(struct ledger *ledger, const struct xf_disk *disk, const char *path, uint64_t bytes_max, uint32_t lanes);
void ledger_fini(struct ledger *ledger);

/* False with a reason. */
bool ledger_open(struct ledger *ledger, struct xf_error *error);
void ledger_close(struct ledger *ledger);

/* Appends COUNT entries as one chain, of lanes by turns, with up to SIZE bytes each, under GENERATION. */
void ledger_append(struct ledger *ledger, size_t count, size_t size, uint32_t generation);
/* Waits until all were called back. */
void ledger_wait(struct ledger *ledger);

/* Says of each durable entry, from the first or mixed, that it is done, COUNT in all. */
void ledger_done(struct ledger *ledger, size_t count, bool mixed);

/* Reads all, and compares. Where the spool was opened with damage, what it reports as missing may be missing. */
void ledger_check(struct ledger *ledger);

/* Forgets all entries but the first COUNT; nothing waits. */
void ledger_forget(struct ledger *ledger, size_t count);

/* Whether the log is heard: what fails on purpose would fill it. With XF_LOUD in the environment it always is. */
void ledger_hush(bool hush);

/* Durable and not done. */
size_t ledger_open_count(const struct ledger *ledger);

#endif
