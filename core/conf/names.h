/*
 * names.h - names in the order of their appearance, each found in the same short time however many there are.
 *
 * Names are borrowed and outlive the set.
 */
#ifndef XF_CONF_NAMES_H
#define XF_CONF_NAMES_H

#include <stddef.h>

#include "base/str.h"

#define XF_NAMES_NONE ((size_t)-1)

/* Zero is empty. */
struct xf_names {
	const char **list;
	size_t count;
	size_t size;
	struct xf_name *table;
};

void xf_names_fini(struct xf_names *names);

/* Its number, from 0: a new one, or the one that NAME has already. */
size_t xf_names_add(struct xf_names *names, const char *name);

/* Its number, or XF_NAMES_NONE. */
size_t xf_names_find(const struct xf_names *names, struct xf_str name);

#endif
