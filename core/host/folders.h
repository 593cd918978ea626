/*
 * folders.h - from a plugin's name to its file: which folders hold which names.
 *
 * Looks at names only; whether a file may be trusted is for catalogue.c.
 */
#ifndef XF_HOST_FOLDERS_H
#define XF_HOST_FOLDERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* "transport" or "handler", as files are called by it; of XF_KIND_*. Static. */
const char *xf_plugin_kind_name(uint32_t kind);

/* NAME in "crossfade-transport-NAME.so", on the heap; NULL where the file is called otherwise. */
char *xf_plugin_file_name(uint32_t kind, const char *file);

/* The first file of NAME in COUNT folders, on the heap, whatever it is; or NULL with a reason that says what is there. */
char *xf_folders_find(char *const *folders, size_t count, uint32_t kind, const char *name, struct xf_error *error);

/* All names in the folders, each once, in order; the caller frees them with xf_folders_free(). */
char **xf_folders_names(char *const *folders, size_t folder_count, uint32_t kind, size_t *count);

/* Each of COUNT strings, and the array, which may be NULL. */
void xf_folders_free(char **strings, size_t count);

#endif
