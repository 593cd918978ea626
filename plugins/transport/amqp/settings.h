/*
 * settings.h - where to connect and as whom: what the transport's options say.
 *
 * Threads: pure functions; a struct settings belongs to its instance.
 */
#ifndef CROSSFADE_AMQP_SETTINGS_H
#define CROSSFADE_AMQP_SETTINGS_H

#include <stdbool.h>

#include "options.h"

/* Longest host, vhost, user or password, with its terminator. */
#define SETTINGS_TEXT_MAX 256
#define SETTINGS_SERVERS_MAX 16

/* One element of the url list. */
struct settings_server {
	char host[SETTINGS_TEXT_MAX];
	char vhost[SETTINGS_TEXT_MAX];
	char user[SETTINGS_TEXT_MAX];
	char password[SETTINGS_TEXT_MAX];
	uint16_t port;
};

struct settings {
	struct settings_server servers[SETTINGS_SERVERS_MAX];
	uint32_t server_count;
	bool tls;
	bool external; /* the certificate says who we are */
	uint32_t heartbeat_ms;
	uint32_t connect_timeout_ms;
	uint32_t confirm_timeout_ms;
};

/* False with a reason, which never shows the password. */
bool settings_read(const struct xf_host *host, const struct xf_config *transport, struct settings *out,
                   struct xf_error *error);

/* The `address` of an endpoint on EXCHANGE. The length written; 0 where the settings are wrong. */
uint32_t settings_address(const struct xf_host *host, const struct xf_config *transport,
                          struct xf_str exchange, char *out, uint32_t size);

void settings_fail(struct xf_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- Texts -------------------------------------------------------------------- */

/* For "%.*s". */
#define SETTINGS_STR(s) (int)(s).len, (s).len > 0 ? (s).data : ""

struct xf_str settings_str(const char *text);
bool settings_is(struct xf_str text, const char *word);

/* A terminated copy on the heap, or NULL. */
char *settings_copy(struct xf_str text);

/* How RabbitMQ's tools call the default exchange is "" here. */
struct xf_str settings_exchange(struct xf_str name);

#endif
