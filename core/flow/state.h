/*
 * state.h - what must outlive the process: the position of each migration, and who moved it.
 *
 * One SQLite file, data_dir/state.db, WAL and full sync: what a call stored is on disk when it returns.
 *
 * Threads: any; a mutex inside. Blocks on the disk.
 */
#ifndef XF_FLOW_STATE_H
#define XF_FLOW_STATE_H

#include "base/error.h"
#include "conf/conf.h"

struct xf_state;

/* Creates the file where it is missing. A store of a newer version is refused, with what to do. */
struct xf_state *xf_state_open(const char *data_dir, struct xf_error *error);
void xf_state_close(struct xf_state **state);

struct xf_position {
	uint32_t percent; /* hundredths */
	enum xf_mirror mirror;
};

/*
 * The position committed last; *FOUND is false, and *POSITION as it was, where there is none. Fails where it cannot be read or
 * makes no sense: nobody may guess where the traffic was.
 */
enum xf_status xf_state_load(struct xf_state *state, const char *migration, struct xf_position *position, bool *found,
                             struct xf_error *error);

/* Commits the position, and a line of history: who, when, from, to. */
enum xf_status xf_state_commit(struct xf_state *state, const char *migration, const char *who,
                               struct xf_position from, struct xf_position to, struct xf_error *error);

#endif
