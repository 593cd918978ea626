/*
 * api.h - what the admin interface answers: a request in, a reply out, no HTTP library in sight.
 *
 * Threads: any; a PATCH blocks on the disk.
 */
#ifndef XF_ADMIN_API_H
#define XF_ADMIN_API_H

#include <stdatomic.h>

#include <cjson/cJSON.h>

#include "admin/admin.h"

struct xf_api {
	struct xf_admin_setup setup;
	_Atomic bool draining;
};

/* Of the query, decoded. */
struct xf_argument {
	const char *name;
	const char *value; /* NULL: none was given */
};

struct xf_request {
	const char *method;
	const char *path;         /* decoded, without the query */
	const struct xf_argument *arguments;
	size_t argument_count;
	const char *content_type; /* NULL: none was given */
	struct xf_str body;
	const char *who; /* for the log of changes */
};

struct xf_answer {
	unsigned status;
	const char *content_type; /* static */
	const char *allow;        /* of a 405: the methods that there are; static */
	struct xf_buffer body;
};

/* Bodies beyond this are refused before they are read. */
#define XF_API_BODY_MAX (64u * 1024u)

/* Fills *REPLY, which is empty before; the caller gives its body back. */
void xf_api_answer(struct xf_api *api, const struct xf_request *request, struct xf_answer *reply);

/* Paths that need no token: they say nothing but yes or no, or are a page that asks for the token. */
bool xf_api_is_open(const char *path);

/* Takes ROOT. */
void xf_reply_json(struct xf_answer *reply, unsigned status, cJSON *root);

/* A problem document in place of what *REPLY held. */
void xf_reply_problem(struct xf_answer *reply, unsigned status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
