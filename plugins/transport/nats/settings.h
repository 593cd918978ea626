/*
 * settings.h - the options of the plugin, and a transport's settings read from them.
 *
 * The settings are what the endpoints of a transport share; nobody changes them, so every thread
 * may read them.
 */
#ifndef NATS_SETTINGS_H
#define NATS_SETTINGS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include <crossfade/transport.h>

/* Rows of the transport's table. */
enum {
	OPT_URL,
	OPT_USER,
	OPT_PASSWORD,
	OPT_TOKEN,
	OPT_NKEY_SEED,
	OPT_CREDENTIALS,
	OPT_TLS,
	OPT_DOMAIN,
	OPT_NAME,
	OPT_PING_INTERVAL,
	OPT_CONNECT_TIMEOUT,
	OPT_PUBLISH_TIMEOUT,
	OPT_STREAMS,
};

/* Rows of a source's table. */
enum {
	SOURCE_MODE,
	SOURCE_STREAM,
	SOURCE_DURABLE,
	SOURCE_ACK_WAIT,
	SOURCE_MAX_ACK_PENDING,
	SOURCE_DELIVER,
	SOURCE_DELIVER_SINCE,
	SOURCE_DELIVER_SEQUENCE,
	SOURCE_GROUP,
	SOURCE_EPHEMERAL,
};

/* Rows of a sink's table. */
enum {
	SINK_MODE,
	SINK_WINDOW,
	SINK_NO_RECEIVER,
};

enum {
	MODE_JETSTREAM = 0,
	MODE_CORE = 1,
};

extern const struct xf_option *const transport_options[];
extern const struct xf_option *const source_options[];
extern const struct xf_option *const sink_options[];

/* What a stream is to be; of what is not given, an existing stream may have anything. */
struct stream_settings {
	char *name;
	char **subjects;
	uint32_t subject_count;
	const char *storage;
	const char *retention;
	const char *discard;
	int64_t max_age_ms; /* 0: none */
	int64_t max_bytes;  /* -1: no bound */
	int64_t max_messages;
	int64_t duplicate_window_ms;
	int64_t replicas;
	bool storage_given, retention_given, discard_given, max_age_given, max_bytes_given, max_messages_given,
	    window_given, replicas_given;
};

/*
 * The server at which the transport's streams were found to be right, by the id that it makes itself at each start: of a
 * thousand endpoints one need ask. Any thread.
 */
struct streams_seen {
	pthread_mutex_t lock;
	char server[80];
};

struct settings {
	const struct xf_host *host;
	char **urls; /* as the YAML has them */
	uint32_t url_count;
	char *user;
	char *password;
	char *token;
	char *nkey_seed;
	char *credentials; /* path */
	char *api;         /* "$JS.API", or "$JS.DOMAIN.API" */
	char *domain;      /* NULL: the server's own */
	char *name; /* NULL: the endpoint's */
	uint32_t ping_interval_ms;
	uint32_t connect_timeout_ms;
	uint32_t publish_timeout_ms;
	struct stream_settings *streams;
	uint32_t stream_count;
	struct streams_seen *seen;
};

/* NULL with a reason in ERROR. */
struct settings *settings_create(const struct xf_host *host, const struct xf_config *transport,
                                 struct xf_error *error);
void settings_destroy(struct settings **settings);

/* [pure] 0, or -1 with a reason. */
int32_t settings_check(const struct xf_host *host, const struct xf_config *transport, struct xf_error *error);

/* [pure] See xf_source_ops. */
uint32_t settings_address(const struct xf_host *host, const struct xf_config *transport,
                          const struct xf_config *endpoint,
                          char *out, uint32_t size);

/* A name that may stand as a token in JetStream's subjects. */
bool stream_name_valid(struct xf_str name);

char *copy_string(struct xf_str string);

#endif
