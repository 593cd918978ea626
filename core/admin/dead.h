/*
 * dead.h - the part of the API that looks after the dead letters: listed, shown, sent on their way again, removed.
 *
 * Threads: any; all of it blocks on the disk.
 */
#ifndef XF_ADMIN_DEAD_H
#define XF_ADMIN_DEAD_H

#include "admin/api.h"

/* NAME is a letter's number, where the path has one. */
void xf_dead_list(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply);
void xf_dead_show(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply);
void xf_dead_remove(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply);
void xf_dead_purge(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply);
void xf_dead_replay_one(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply);
void xf_dead_replay(struct xf_api *api, const struct xf_request *request, const char *name, struct xf_answer *reply);

#endif
