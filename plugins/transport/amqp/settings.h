/*
 * settings.h - the option tables of the amqp transport, and what they say about where to connect.
 *
 * Threads: pure functions; a struct settings belongs to its instance.
 */
#ifndef CROSSFADE_AMQP_SETTINGS_H
#define CROSSFADE_AMQP_SETTINGS_H

#include <stdbool.h>

#include <crossfade/transport.h>

/* Rows of the tables. */
enum {
	TRANSPORT_URL,
	TRANSPORT_USER,
	TRANSPORT_PASSWORD,
	TRANSPORT_VHOST,
	TRANSPORT_HEARTBEAT,
	TRANSPORT_CONNECT_TIMEOUT,
	TRANSPORT_CONFIRM_TIMEOUT,
};
enum {
	SOURCE_QUEUE,
	SOURCE_PREFETCH,
	SOURCE_DECLARE,
	SOURCE_EXCHANGE,
	SOURCE_EXCHANGE_TYPE,
};
enum {
	SINK_EXCHANGE,
	SINK_DECLARE,
	SINK_EXCHANGE_TYPE,
	SINK_PERSISTENT,
	SINK_WINDOW,
};

extern const struct xf_option *const settings_transport_options[];
extern const struct xf_option *const settings_source_options[];
extern const struct xf_option *const settings_sink_options[];

/* Longest host, vhost, user or password, with its terminator. */
#define SETTINGS_TEXT_MAX 256

struct settings {
	char host[SETTINGS_TEXT_MAX];
	char vhost[SETTINGS_TEXT_MAX];
	char user[SETTINGS_TEXT_MAX];
	char password[SETTINGS_TEXT_MAX];
	uint16_t port;
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

/* For "%.*s". */
#define SETTINGS_STR(s) (int)(s).len, (s).len > 0 ? (s).data : ""

/* A terminated copy on the heap, or NULL. */
char *settings_copy(struct xf_str text);

#endif
