/*
 * where.h - conditions on what a message says.
 */
#ifndef FILTER_WHERE_H
#define FILTER_WHERE_H

#include <stdbool.h>

#include "tasks.h"
#include "template.h"

/* The fields of `where`. */
extern const struct xf_option *const where_fields[];

struct where;

/* From LIST, a list of maps; NULL with a reason. Borrows its strings. */
struct where *where_create(const struct xf_host *host, const struct xf_value *list, bool any, struct xf_error *error);
void where_destroy(struct where **where);

/* Whether all conditions hold, or any of them; *FAILED is then the number of the last that did not, from 1. */
bool where_holds(const struct where *where, struct view *view, struct bytes *scratch, uint32_t *failed);

/* `*` stands for any bytes, `?` for one. */
bool glob_matches(struct xf_str glob, struct xf_str text);

#endif
