/*
 * arena.h - memory that lives exactly as long as one configuration.
 *
 * Everything a configuration consists of is allocated here and given back in one go, so no reader
 * has to know who else points to what.
 *
 * Threads: one at a time.
 */
#ifndef XF_CONF_ARENA_H
#define XF_CONF_ARENA_H

#include <stddef.h>

#include "base/str.h"

struct xf_arena;

struct xf_arena *xf_arena_create(void);
void xf_arena_destroy(struct xf_arena **arena);

/* Zeroed. */
void *xf_arena_alloc(struct xf_arena *arena, size_t size);
void *xf_arena_array(struct xf_arena *arena, size_t count, size_t size);

/* A terminated copy. */
char *xf_arena_copy(struct xf_arena *arena, const char *text, size_t len);
char *xf_arena_format(struct xf_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Calls RELEASE(POINTER) when the arena goes, last one first. */
void xf_arena_defer(struct xf_arena *arena, void (*release)(void *pointer), void *pointer);

#endif
