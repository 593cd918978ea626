/*
 * error.h - what went wrong, for a person.
 *
 * The status a function returns is for the program; struct xf_error (of the public
 * header) is its last parameter and is for a person. Each layer prefixes what it knows.
 */
#ifndef XF_BASE_ERROR_H
#define XF_BASE_ERROR_H

#include <crossfade/plugin.h>

enum xf_status {
	XF_OK = 0,
	XF_FAILED = -1,
};

/* Sets the text. Returns XF_FAILED, so that a caller can return it. ERROR may be NULL. */
enum xf_status xf_error_set(struct xf_error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Puts "PREFIX: " in front of the text that stands there. */
void xf_error_prefix(struct xf_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
