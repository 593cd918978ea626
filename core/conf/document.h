/*
 * document.h - a configuration file and all that it includes, as one tree.
 *
 * `include:` takes globs relative to the file that holds them. Maps are merged and routes appended, in the
 * order main file first, then its includes; a name given twice is reported at the second, naming the first.
 *
 * Bounds: 8 levels, 256 files, 16 MiB in all.
 */
#ifndef XF_CONF_DOCUMENT_H
#define XF_CONF_DOCUMENT_H

#include "conf/yaml.h"

/* Expanded and merged: a map. NULL with findings in REPORT. */
struct xf_yaml *xf_document_load(struct xf_arena *arena, struct xf_report *report, const char *file);

/* The same of TEXT, as if it stood in FILE, which need not exist. */
struct xf_yaml *xf_document_read(struct xf_arena *arena, struct xf_report *report, const char *file,
                                 struct xf_str text);

#endif
