/*
 * watch.h - a second connection, to a sentinel, that is asked now and then whether the master is still the master.
 *
 * A master that sentinels have replaced goes on taking writes until they get to demoting it, ten seconds perhaps: all of
 * that is lost. So it is left as soon as a sentinel is known to have changed its mind.
 *
 * Threads: as connection.h, which alone uses this. It has no place in the loop's poll(): it moves on whenever the
 * endpoint works, which is twice a second at least.
 */
#ifndef REDIS_WATCH_H
#define REDIS_WATCH_H

#include "connection.h"

#define WATCH_MS 500u

struct watch;

/* With the settings of OF, which names sentinels. NULL with a reason. */
struct watch *watch_create(const struct conn *of, const struct xf_endpoint_info *info, struct xf_error *error);
void watch_destroy(struct watch **watch);
void watch_close(struct watch *watch);

/* CURRENT is the master that is connected to. Another, once it has taken its place, else NULL; borrowed. */
const struct server *watch_work(struct watch *watch, const struct server *current, uint64_t now);

#endif
