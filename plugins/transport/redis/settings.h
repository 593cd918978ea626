/*
 * settings.h - what a transport's options say, checked and ready for use.
 *
 * Threads: pure, on any.
 */
#ifndef REDIS_SETTINGS_H
#define REDIS_SETTINGS_H

#include <crossfade/transport.h>

struct settings {
	char host[256];
	char port[8];
	uint32_t db;
	char user[256]; /* empty: none */
	char password[512];
	uint32_t connect_timeout_ms;
	uint32_t timeout_ms;
	uint32_t heartbeat_ms;
};

/* The transport's own rows. */
extern const struct xf_option *const settings_options[];

/* 0, or -1 with a reason that holds no secret. */
int settings_read(const struct xf_host *host, const struct xf_config *config, struct settings *settings,
                  struct xf_error *error);

/* "redis://host:port", with "/db" where WITH_DB, and " KIND"; the length written to OUT, at most SIZE. */
uint32_t settings_address(const struct settings *settings, int with_db, const char *kind, char *out, uint32_t size);

/* The one character of option ROW that stands for the dot in names, or 0. -1 where it cannot be one. */
int settings_separator(const struct xf_host *host, const struct xf_config *config, uint32_t row,
                       struct xf_error *error);

/* Puts a terminated text into ERROR and returns -1. */
int settings_fail(struct xf_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
