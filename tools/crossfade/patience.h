/*
 * patience.h - how long a verb that talks to a broker waits for it.
 *
 * A broker that says clearly what is wrong (a wrong password, no such stream) is given a second, in which a cluster's
 * other server may be found or a restart end; with --timeout the user says how long instead. Threads: main.
 */
#ifndef CROSSFADE_PATIENCE_H
#define CROSSFADE_PATIENCE_H

#include "small.h"

struct patience {
	uint64_t timeout_ms; /* without any progress */
	bool given;          /* by --timeout: nothing is given up before */
	uint64_t begun_ms, moved_ms, trouble_ms, progress;
	char reason[256];
	bool certain; /* nothing was stored that was not confirmed: the broker was never reached, or says no */
};

#define PATIENCE_MS 1000
#define PATIENCE_TIMEOUT_MS 10000

void patience_begin(struct patience *patience, const char *timeout, uint64_t timeout_ms);

/* PROGRESS is a number that grows. True: it was waited long enough, and the reason stands in `reason`. */
bool patience_ends(struct patience *patience, struct small *small, uint64_t progress);

#endif
