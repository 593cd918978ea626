/*
 * settings.h - what a transport's options say, checked and ready for use.
 *
 * Threads: pure, on any.
 */
#ifndef REDIS_SETTINGS_H
#define REDIS_SETTINGS_H

#include <stddef.h>

#include <crossfade/transport.h>

#include "url.h"

struct settings {
	struct place at;
	char sentinel_user[256]; /* empty: none */
	char sentinel_password[512];
	const struct xf_config *tls; /* the map of that name, or NULL; lives as long as the configuration */
	uint32_t connect_timeout_ms;
	uint32_t timeout_ms;
	uint32_t heartbeat_ms;
};

/* The transport's own rows. */
extern const struct xf_option *const settings_options[];

/* 0, or -1 with a reason that holds no secret. */
int settings_read(const struct xf_host *host, const struct xf_config *config, struct settings *settings,
                  struct xf_error *error);

/* What was read holds passwords. */
void settings_clear(struct settings *settings);

/* "redis://host:port", with "/db" where WITH_DB, and " KIND"; the length written to OUT, at most SIZE. */
uint32_t settings_address(const struct settings *settings, bool with_db, const char *kind, char *out, uint32_t size);

/* Copies TEXT with a NUL behind it; -1 where it does not fit, or holds one, with WHAT in ERROR. */
int settings_text(struct xf_str text, char *out, size_t size, const char *what, struct xf_error *error);

/* Puts a terminated text into ERROR and returns -1. */
int settings_fail(struct xf_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
