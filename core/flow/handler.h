/*
 * handler.h - an instance of a handler plugin, and its thread where it has one.
 *
 * Takes jobs, hands them to the plugin in batches, and gives each back to its chain with what the plugin said.
 *
 * Threads: give from any source's thread of the route; the plugin finishes from any. A plugin without work() is called on the thread that
 * gives, under a lock of the instance.
 */
#ifndef XF_FLOW_HANDLER_H
#define XF_FLOW_HANDLER_H

#include "flow/job.h"
#include "flow/runner.h"

struct xf_handler;

/* NULL with a reason. [control] */
struct xf_handler *xf_handler_create(const struct xf_conf_handler *conf, const char *route, const char *server,
                                     struct xf_error *error);
/* [control] */
void xf_handler_start(struct xf_handler *handler);
/* [control] The sources of the route, or of the one that takes over from it, give it nothing any more; its thread has ended. What it has goes
 * back, to chains that are still there; its plugin calls nothing any more when this returns. */
void xf_handler_stop(struct xf_handler *handler);
void xf_handler_destroy(struct xf_handler **handler);

/* Its thread, or NULL. */
struct xf_runner *xf_handler_runner(struct xf_handler *handler);

/* Whether it may keep a job when give returns. */
bool xf_handler_holds(const struct xf_handler *handler);
const struct xf_conf_handler *xf_handler_conf(const struct xf_handler *handler);

/* JOB comes back to its chain, by xf_chain_back(), exactly once; perhaps before this returns. */
void xf_handler_give(struct xf_handler *handler, struct xf_job *job);

/* Asks for a job that it has; it comes back soon, cancelled or finished. */
void xf_handler_cancel(struct xf_handler *handler, struct xf_job *job);

/* What became of a message that it passed on as TOKEN, and wanted to know of: XF_SETTLED_*. MESSAGE, which may be NULL, is borrowed for the call. */
void xf_handler_settled(struct xf_handler *handler, uint64_t token, uint32_t code, const struct xf_incoming *message);

/* [any] Whether it is called NAME in the API of ROUTE. */
bool xf_handler_is(const struct xf_handler *handler, const char *route, struct xf_str name);
/* [any] Answers an operator; XF_FAILED with a reason, and a status in RESPONSE. */
enum xf_status xf_handler_serve(struct xf_handler *handler, const struct xf_operator_request *request,
                                struct xf_operator_response *response, struct xf_error *error);

/* [any] */
void xf_handler_status(struct xf_handler *handler, struct xf_handler_status *status);

#endif
