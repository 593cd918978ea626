/*
 * edits.h - what is done to a JSON payload: renamed, set, hashed, redacted, removed, in this order.
 */
#ifndef PLUGINS_EDITS_H
#define PLUGINS_EDITS_H

#include <stdbool.h>

#include "tasks.h"
#include "template.h"

/* The fields of a map that says so. */
extern const struct xf_option *const edits_fields[];

/* A template with a place for what it gives. */
struct setting {
	struct xf_str target; /* borrowed: a pointer, or a header's name */
	struct template *template; /* NULL: there is none */
	bool json;            /* what it gives is JSON, not a string */
	struct bytes scratch;
	struct xf_str value;
};

void setting_fini(struct setting *setting);

/* False: a field has no value. */
bool setting_eval(struct setting *setting, struct view *view, struct xf_error *error);

struct edits;

/* From MAP; NULL with a reason. Borrows its strings. */
struct edits *edits_create(const struct xf_host *host, const struct xf_config *map, struct xf_error *error);
void edits_destroy(struct edits **edits);

/* Reads from VIEW what is to be set; before anything is changed. */
bool edits_eval(struct edits *edits, struct view *view, struct xf_error *error);

/* Changes what was parsed of VIEW. False: that is no JSON, or cannot be changed so. */
bool edits_apply(struct edits *edits, struct view *view, struct xf_error *error);

#endif
