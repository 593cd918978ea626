/*
 * change.h - what a body of PATCH /api/v1/migrations/NAME asks for.
 *
 *   {"percent": 25 | "25%", "mirror": true | false | "required", "stage": "live", "force": true, "dry_run":
 * true}
 */
#ifndef XF_ADMIN_CHANGE_H
#define XF_ADMIN_CHANGE_H

#include "flow/flow.h"

/* Words of `stage`, in order; COUNT of them. */
extern const char *const xf_stage_words[];
#define XF_STAGE_WORDS 5

/* NOW is the position that a stage keeps `required` and `live` its percent from. */
enum xf_status xf_change_parse(struct xf_str body, struct xf_position now, struct xf_migration_change *change,
	                       struct xf_error *error);

/* The body of a rollback: empty, or {"dry_run": true}. */
enum xf_status xf_change_parse_rollback(struct xf_str body, struct xf_migration_change *change,
	                                struct xf_error *error);

#endif
