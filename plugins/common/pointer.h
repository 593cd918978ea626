/*
 * pointer.h - JSON pointers (RFC 6901) as they are written: tokens behind slashes, in which ~0 stands for ~ and ~1 for /.
 */
#ifndef PLUGINS_POINTER_H
#define PLUGINS_POINTER_H

#include <stdbool.h>

#include <crossfade/plugin.h>

struct bytes;

/* What is wrong with POINTER, or NULL. The others take only what was checked. */
const char *pointer_check(struct xf_str pointer);

/* Whether a token of it is "*". */
bool pointer_is_pattern(struct xf_str pointer);

/* The first token of *POINTER, which is not empty and moves behind it. */
struct xf_str pointer_next(struct xf_str *pointer);

bool token_is_star(struct xf_str token);

/* Whether NAME is what TOKEN says. */
bool token_is(struct xf_str token, struct xf_str name);

/* The place in an array that TOKEN says; false: none. */
bool token_index(struct xf_str token, uint32_t *index);

/* Appends the name that TOKEN says. */
void token_name(struct xf_str token, struct bytes *out);

#endif
