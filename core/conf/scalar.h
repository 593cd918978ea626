/*
 * scalar.h - text to values: durations, sizes, numbers, words, addresses.
 *
 * Each takes text and either fills its output and returns XF_OK, or leaves it and says in ERROR
 * what was expected ("expected 250ms, 30s, 10m or 24h"), never what was found: that may be a secret.
 */
#ifndef XF_CONF_SCALAR_H
#define XF_CONF_SCALAR_H

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

enum xf_status xf_scalar_bool(struct xf_str text, int64_t *value, struct xf_error *error);
enum xf_status xf_scalar_i64(struct xf_str text, int64_t *value, struct xf_error *error);
enum xf_status xf_scalar_f64(struct xf_str text, double *value, struct xf_error *error);

/* Milliseconds. */
enum xf_status xf_scalar_duration(struct xf_str text, int64_t *ms, struct xf_error *error);
enum xf_status xf_scalar_size(struct xf_str text, int64_t *bytes, struct xf_error *error);

/* Has a scheme and something behind it; a port, where there is one, is a port. */
enum xf_status xf_scalar_url(struct xf_str text, struct xf_error *error);

/* HOST:PORT or [V6]:PORT. *LOOPBACK: only this machine can reach it. */
enum xf_status xf_scalar_listen(struct xf_str text, bool *loopback, struct xf_error *error);

/* What names in the configuration consist of: letters, digits, '-', '_' and '.', at most 64. */
enum xf_status xf_scalar_name(struct xf_str text, struct xf_error *error);

/* Values as text, for messages: "30s", "64KiB". OUT has room for 32 bytes. */
void xf_scalar_duration_format(int64_t ms, char *out);
void xf_scalar_size_format(int64_t bytes, char *out);

#endif
