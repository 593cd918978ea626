/*
 * memory.h - allocation that does not fail.
 *
 * A server that cannot get a few bytes cannot keep its promises either; it ends with
 * a line that says so, and every unsettled message goes back to its broker. Whatever is large and
 * driven from outside is bounded before it is asked for.
 */
#ifndef XF_BASE_MEMORY_H
#define XF_BASE_MEMORY_H

#include <stdarg.h>
#include <stddef.h>

/* Zeroed. The caller frees with free(). */
void *xf_alloc(size_t size);
void *xf_alloc_array(size_t count, size_t size);

/* The first OLD elements stay, the others are zeroed. */
void *xf_grow_array(void *array, size_t old_count, size_t new_count, size_t size);

char *xf_strdup(const char *text);
char *xf_strndup(const char *text, size_t len);

/* A formatted copy on the heap. */
char *xf_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *xf_vformat(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

#endif
