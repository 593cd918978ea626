/*
 * reloader.h - another configuration for the running server: on SIGHUP, or because the API asks.
 *
 * Threads: create and destroy on the main thread; SIGHUP is worked on by a thread of its own, so that the main one goes on
 * listening; the control's functions are for any thread. One reload at a time; those that come meanwhile wait.
 */
#ifndef XF_DAEMON_RELOADER_H
#define XF_DAEMON_RELOADER_H

#include "admin/control.h"
#include "flow/flow.h"
#include "host/catalogue.h"

struct xf_reloader;

/* All borrowed. NULL with a reason. */
struct xf_reloader *xf_reloader_create(const char *file, struct xf_catalogue *catalogue, struct xf_flow *flow,
                                       struct xf_error *error);
/* Waits for a reload that is under way. */
void xf_reloader_destroy(struct xf_reloader **reloader);

/* Returns at once. */
void xf_reloader_ask(struct xf_reloader *reloader);

const struct xf_control *xf_reloader_control(const struct xf_reloader *reloader);

#endif
