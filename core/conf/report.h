/*
 * report.h - what is wrong with a configuration, all of it, each finding with its place.
 *
 * Readers add findings as they come upon them and go on; at the end they are printed in the
 * order of files, lines and columns. Secrets that the report was told of never appear in it.
 *
 * Bound: it keeps the first few hundred findings and counts the rest.
 */
#ifndef XF_CONF_REPORT_H
#define XF_CONF_REPORT_H

#include <stdbool.h>

#include "base/str.h"
#include "conf/arena.h"
#include "conf/conf.h"

struct xf_report;

/* Borrows ARENA, which outlives it. Destroyed with it. */
struct xf_report *xf_report_create(struct xf_arena *arena);

/* Findings are printed in the order in which their files were told. */
void xf_report_file(struct xf_report *report, const char *file);

/* "FILE:LINE:COLUMN", or "FILE" where there is no line. */
const char *xf_place_text(struct xf_arena *arena, struct xf_conf_place place);

void xf_report_error(struct xf_report *report, struct xf_conf_place place, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void xf_report_warning(struct xf_report *report, struct xf_conf_place place, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* "; did you mean 'x'?" for the nearest of WORDS, else OTHERWISE. Costs nothing once the report is full. */
const char *xf_report_nearest(struct xf_report *report, struct xf_str word, const char *const *words,
                              size_t count, const char *otherwise);

/* "a, b or c". */
const char *xf_report_words(struct xf_report *report, const char *const *words, size_t count);

/* Text that foreign words (a plugin's reason) may repeat and nobody may read. */
void xf_report_secret(struct xf_report *report, struct xf_str secret);

/* TEXT without any of those secrets, and without the user part of URLs. */
const char *xf_report_redact(struct xf_report *report, const char *text);

size_t xf_report_errors(const struct xf_report *report);

/* One line per error, sorted, capped, with a last line that says how many more. */
void xf_report_print(struct xf_report *report, struct xf_buffer *out);

/* The warnings as lines, sorted; the arena's. */
const char *const *xf_report_warnings(struct xf_report *report, size_t *count);

#endif
