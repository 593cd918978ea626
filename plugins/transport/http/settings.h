/*
 * settings.h - the options of a transport and of its sinks, as the rest of the plugin reads them.
 *
 * Texts are the configuration's own, terminated, and live as long as it.
 */
#ifndef HTTP_SETTINGS_H
#define HTTP_SETTINGS_H

#include <stdbool.h>

#include <crossfade/transport.h>

#include "text.h"

extern const struct xf_option *const settings_transport_options[];
extern const struct xf_option *const settings_sink_options[];

/* Empty texts are none. */
struct settings {
	/* the listener */
	struct xf_str listen;
	char host[256]; /* "": every address */
	char port[8];
	struct xf_str tls_cert, tls_key, tls_client_ca;
	uint64_t timeout_ms;
	uint64_t request_timeout_ms;
	uint64_t idle_timeout_ms;
	uint64_t max_body;
	uint64_t max_head;
	uint64_t max_subject;
	uint64_t max_header_value;
	uint32_t max_headers;
	uint32_t max_connections;
	uint64_t max_bytes;
	struct xf_str reply_subject;
	const struct xf_value *paths; /* paths.h */
	/* the webhook */
	struct xf_str url;
	struct xf_str user, password;
	struct xf_str tls_ca;
	bool tls_verify;
	/* both */
	struct xf_str token;
};

enum { SINK_WEBHOOK, SINK_REPLY };

struct sink_settings {
	int mode;
	struct xf_str path;
	uint32_t parallel;
	uint64_t timeout_ms;
	uint64_t connect_timeout_ms;
	struct xf_str proxy;
};

/* 0, or -1 with a reason. */
int settings_read(const struct xf_host *host, const struct xf_config *config, struct settings *settings,
                  struct xf_error *error);
void sink_settings_read(const struct xf_host *host, const struct xf_config *config, struct sink_settings *settings);

/* What only the two together can be wrong in. */
int settings_check_source(const struct settings *settings, struct xf_error *error);
int settings_check_sink(const struct settings *settings, const struct sink_settings *sink, struct xf_error *error);

/* As xf_source_ops.address. */
uint32_t settings_address_listen(const struct settings *settings, char *out, uint32_t size);
uint32_t settings_address_url(const struct settings *settings, const struct sink_settings *sink, char *out,
                              uint32_t size);
uint32_t settings_address_reply(const struct settings *settings, char *out, uint32_t size);

int settings_fail(struct xf_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
