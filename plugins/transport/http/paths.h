/*
 * paths.h - paths of the listener that an operator has named: which subject a request to one is for, and whether its client waits for
 * the reply.
 *
 *   paths: [{path: /api/v1/tasks/{id}, method: GET, subject: "task.{id}"}]
 *
 * `{NAME}` stands for one segment of letters, digits and _ ~ : -, which are a token of a subject as well.
 *
 * Threads: any; nothing here changes.
 */
#ifndef HTTP_PATHS_H
#define HTTP_PATHS_H

#include <stdbool.h>

#include <crossfade/plugin.h>

#define PATHS_SUBJECT_SIZE 1024u

extern const struct xf_option *const paths_fields[];

/* What a request to one of them is. */
struct path_target {
	char subject[PATHS_SUBJECT_SIZE];
	bool waits;            /* for the reply; else for the message to be accepted */
	struct xf_str location; /* where to look for what becomes of it, with {id} for the message's id; empty: nowhere */
};

enum path_found {
	PATH_NONE,
	PATH_FOUND,
	PATH_METHOD, /* it is there, with the method in *ALLOWED */
};

/* URL as it came, without the query. PREFERS: the client asked not to wait, which matters where there is an `async`. */
enum path_found paths_find(const struct xf_host *host, const struct xf_value *paths, const char *url, const char *method,
                           bool prefers_async, struct path_target *target, const char **allowed);

/* 0, or -1 with a reason: each names what its subjects need. */
int paths_check(const struct xf_host *host, const struct xf_value *paths, struct xf_error *error);

#endif
