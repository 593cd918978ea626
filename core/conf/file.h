/*
 * file.h - small files and their paths.
 */
#ifndef XF_CONF_FILE_H
#define XF_CONF_FILE_H

#include <sys/types.h>

#include "base/error.h"
#include "base/str.h"

struct xf_file_identity {
	dev_t device;
	ino_t inode;
};

/* Reads a regular file of at most MAX bytes into OUT. Says in ERROR what is wrong, without the path. */
enum xf_status xf_file_read(const char *path, size_t max, struct xf_buffer *out,
                            struct xf_file_identity *identity, struct xf_error *error);

/* PATH as seen from the folder of FILE, as it is written: for messages and opening. Heap. */
char *xf_file_beside(const char *file, const char *path);

/* The same, absolute. Heap. */
char *xf_file_resolve(const char *file, const char *path);

#endif
