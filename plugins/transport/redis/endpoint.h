/*
 * endpoint.h - what sources and sinks have in common: the modes, the options of both, and how they are checked.
 *
 * The option tables of both begin with the shared rows, so that one function reads either.
 *
 * Threads: pure.
 */
#ifndef REDIS_ENDPOINT_H
#define REDIS_ENDPOINT_H

#include "settings.h"

enum {
	MODE_PUBSUB,
	MODE_STREAM,
	MODE_LIST,
};

/* The shared rows, as ENDPOINT_OPTIONS lists them. */
enum {
	ROW_MODE,
	ROW_SEPARATOR,
	ROW_PUSH,
	ROW_FIELDS,
	ROWS_SHARED,
};

#define ENDPOINT_OPTIONS &mode_option, &separator_option, &push_option, &fields_option

extern const struct xf_option mode_option;
extern const struct xf_option separator_option;
extern const struct xf_option push_option;

/* A row that only some modes have; the table ends with a NULL key. */
struct mode_row {
	const char *key;
	unsigned row;
	unsigned modes; /* bits 1 << MODE_* */
	const char *words;
};

int endpoint_mode(const struct xf_host *host, const struct xf_config *endpoint);

/* The one character that stands for the dot in names, or 0. Checked before. */
char endpoint_separator(const struct xf_host *host, const struct xf_config *endpoint);

/* Whether producers push at a list's left end. */
bool endpoint_pushes_left(const struct xf_host *host, const struct xf_config *endpoint);

/* As in the tables of operations. */
uint32_t endpoint_address(const struct xf_host *host, const struct xf_config *transport,
                          const struct xf_config *endpoint, char *out, uint32_t size);

/* Everything that can be wrong with both, and OWN rows in a mode that has them not. SETTINGS is filled in, and the
 * caller's to clear in any case. 0, or -1 with a reason. */
int endpoint_check(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
                   const struct mode_row *own, struct settings *settings, struct xf_error *error);

/* SUBJECT as a key at Redis, not terminated, on the heap; NULL: no memory. */
char *endpoint_key(struct xf_str subject, char separator);

#endif
