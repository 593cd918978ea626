/*
 * import.h - reads what earlier versions kept: data_dir/rejected.ndjson, a JSON object per line: time, route, reason, subject, id, key,
 * headers, payload; those of a message as NAME_base64 where they are no text.
 *
 * Threads: any. Blocks on the disk.
 */
#ifndef XF_DEAD_IMPORT_H
#define XF_DEAD_IMPORT_H

#include <stdio.h>

#include "dead/letters.h"

struct xf_import {
	uint64_t letters;
	uint64_t unreadable;      /* lines that are none */
	unsigned char digest[16]; /* of the whole file */
};

/* Hands each line to ADD, whose letter is borrowed for the call. Stops where that fails. */
enum xf_status xf_import_read(FILE *file, enum xf_status (*add)(void *context, const struct xf_letter *letter, struct xf_error *error),
                              void *context, struct xf_import *import, struct xf_error *error);

#endif
