/*
 * spooler.h - the spool in front of one sink of a route: legs that the sink cannot take go to disk, and are confirmed by it; what is
 * there a source of its own reads, in order, for as long as there is something (replay.h).
 *
 * One per sink that spools, in data_dir/spools/NAME. All sources of the route append to it. A reload leaves it open
 * for the route that takes over, so they are counted by their users.
 *
 * Threads: send, lane and numbers: any. use and release: one, which holds the flow's reload lock.
 */
#ifndef XF_FLOW_SPOOLER_H
#define XF_FLOW_SPOOLER_H

#include "conf/conf.h"
#include "flow/delivery.h"
#include "flow/spooled.h"
#include "spool/spool.h"

struct xf_runner;
struct xf_spooler;

/* Those that are open. Zero: none. */
struct xf_spoolers {
	struct xf_spooler *first;
};

/* That of the sink NAME ("orders/to/old"), opened if it is not, and if there is something to be opened: else its files and its thread are
 * made when the first leg is sent there. Blocks on the disk. NULL with a reason. */
struct xf_spooler *xf_spooler_use(struct xf_spoolers *spoolers, const char *data_dir, const char *name,
                                  const struct xf_conf_endpoint *sink, struct xf_error *error);
/* [any] What SINK says now. */
void xf_spooler_follow(struct xf_spooler *spooler, const struct xf_conf_endpoint *sink);
/* The last user closes it: nothing of it is out. */
void xf_spooler_release(struct xf_spoolers *spoolers, struct xf_spooler *spooler);

/* Says of each spool in DATA_DIR that is not open: nobody reads it, and what is in it waits. */
void xf_spoolers_warn(const struct xf_spoolers *spoolers, const char *data_dir);

/*
 * Legs FIRST .. LAST, chained by node.next, in order. Each comes back to its inlet's inbox: STORED once it is on disk, NOT_SENT
 * where there is no room or the disk fails. GENERATION as xf_spooler_generation() told it when nothing of the caller's was out.
 */
void xf_spooler_send(struct xf_spooler *spooler, struct xf_leg *first, struct xf_leg *last, uint32_t generation);
uint32_t xf_spooler_generation(const struct xf_spooler *spooler);

/* How many messages of BUCKET it has, on disk or on their way there: a migration's copies, or all else. (Copies that an older crossfade has
 * spooled are among all else.) */
uint32_t xf_spooler_lane(const struct xf_spooler *spooler, uint16_t bucket, bool copies);
/* Whether any but copies would be found after a crash: those delivered count until they are removed. */
bool xf_spooler_lane_stands(const struct xf_spooler *spooler, uint16_t bucket);
/* And of all. */
uint64_t xf_spooler_messages(const struct xf_spooler *spooler);

/* [any] It takes nothing at the moment: its disk is full, or fails. */
bool xf_spooler_fails(const struct xf_spooler *spooler);
void xf_spooler_numbers(struct xf_spooler *spooler, struct xf_spool_numbers *numbers, struct xf_error *reason);

/* Whether there is something that might be read. */
bool xf_spooler_has_begun(const struct xf_spooler *spooler);
/* RUNNER, which reads it, is started once there is; until serve_end(), after which it is not any more. */
void xf_spooler_serve(struct xf_spooler *spooler, struct xf_runner *runner);
void xf_spooler_serve_end(struct xf_spooler *spooler, const struct xf_runner *runner);

/* For replay.c: the store, and who is woken when there is more in it; NULL: nobody. */
const char *xf_spooler_name(const struct xf_spooler *spooler);
struct xf_spool *xf_spooler_store(struct xf_spooler *spooler);
void xf_spooler_reader(struct xf_spooler *spooler, struct xf_endpoint *reader);

#endif
