/*
 * settings.c - option tables, and what they come to; see settings.h.
 */
#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "nkey.h"
#include "servers.h"
#include "tls.h"

#define ROW(...) (&(const struct xf_option){.struct_size = sizeof(struct xf_option), __VA_ARGS__})

static const char *const storage_words[] = {"file", "memory", NULL};
static const char *const retention_words[] = {"limits", "interest", "workqueue", NULL};
static const char *const mode_words[] = {"jetstream", "core", NULL};
static const char *const discard_words[] = {"old", "new", NULL};
static const char *const deliver_words[] = {"all", "new", "last", NULL};
static const char *const not_with_user[] = {"token", "nkey_seed", "credentials", NULL};
static const char *const not_with_token[] = {"user", "nkey_seed", "credentials", NULL};
static const char *const not_with_nkey[] = {"user", "token", "credentials", NULL};
static const char *const not_with_credentials[] = {"user", "token", "nkey_seed", NULL};
static const char *const not_with_deliver[] = {"deliver_since", "deliver_sequence", NULL};
static const char *const not_with_since[] = {"deliver", "deliver_sequence", NULL};
static const char *const not_with_sequence[] = {"deliver", "deliver_since", NULL};
static const char *const needs_user[] = {"user", NULL};

enum {
	STREAM_NAME,
	STREAM_SUBJECTS,
	STREAM_STORAGE,
	STREAM_RETENTION,
	STREAM_DISCARD,
	STREAM_MAX_AGE,
	STREAM_MAX_BYTES,
	STREAM_MAX_MESSAGES,
	STREAM_DUPLICATE_WINDOW,
	STREAM_REPLICAS,
};

static const struct xf_option *const stream_options[] = {
	[STREAM_NAME] = ROW(.type = XF_OPTION_STRING, .key = "name", .flags = XF_OPTION_REQUIRED,
	                    .help = "Name of the stream"),
	[STREAM_SUBJECTS] = ROW(.type = XF_OPTION_SUBJECT, .key = "subjects",
	                        .flags = XF_OPTION_REQUIRED | XF_OPTION_LIST,
	                        .help = "Subjects that the stream stores, wildcards allowed"),
	[STREAM_STORAGE] = ROW(.type = XF_OPTION_ENUM, .key = "storage", .def = "file",
	                       .values = storage_words,
	                       .help = "Where the server keeps the messages"),
	[STREAM_RETENTION] = ROW(.type = XF_OPTION_ENUM, .key = "retention", .def = "limits",
	                         .values = retention_words,
	                         .help = "When the server forgets a message"),
	[STREAM_DISCARD] = ROW(.type = XF_OPTION_ENUM, .key = "discard", .def = "old", .values = discard_words,
	                       .help = "What a full stream does: remove its oldest messages, or refuse new ones"),
	[STREAM_MAX_AGE] = ROW(.type = XF_OPTION_DURATION, .key = "max_age", .max = INT64_MAX / 1000000,
	                       .help = "Messages older than this are removed; without it they stay"),
	[STREAM_MAX_BYTES] = ROW(.type = XF_OPTION_BYTES, .key = "max_bytes", .min = 1, .max = INT64_MAX,
	                         .help = "Bound of the stream in bytes"),
	[STREAM_MAX_MESSAGES] = ROW(.type = XF_OPTION_I64, .key = "max_messages", .min = 1, .max = INT64_MAX,
	                            .unit = "messages", .help = "Bound of the stream in messages"),
	[STREAM_DUPLICATE_WINDOW] = ROW(.type = XF_OPTION_DURATION, .key = "duplicate_window", .def = "2m",
	                                .min = 100,
	                                .max = INT64_MAX / 1000000,
	                                .help = "How long the server remembers message ids to store each once"),
	[STREAM_REPLICAS] = ROW(.type = XF_OPTION_I64, .key = "replicas", .def = "1", .min = 1, .max = 5,
	                        .unit = "servers",
	                        .help = "On how many servers of a cluster each message is kept"),
	NULL,
};

const struct xf_option *const transport_options[] = {
	[OPT_URL] = ROW(.type = XF_OPTION_URL, .key = "url", .flags = XF_OPTION_REQUIRED | XF_OPTION_LIST,
	                .help = "Servers, nats:// or tls://[user:password@]host[:4222]; several of one cluster are tried in turn"),
	[OPT_USER] = ROW(.type = XF_OPTION_STRING, .key = "user", .conflicts = not_with_user,
	                 .help = "User, where it does not stand in the URL"),
	[OPT_PASSWORD] = ROW(.type = XF_OPTION_STRING, .key = "password", .flags = XF_OPTION_SECRET,
	                     .requires_ = needs_user, .help = "Password of the user"),
	[OPT_TOKEN] = ROW(.type = XF_OPTION_STRING, .key = "token", .flags = XF_OPTION_SECRET,
	                  .conflicts = not_with_token, .help = "Token, instead of user and password"),
	[OPT_NKEY_SEED] = ROW(.type = XF_OPTION_STRING, .key = "nkey_seed", .flags = XF_OPTION_SECRET,
	                      .conflicts = not_with_nkey,
	                      .help = "Private key of a user, SU...: the server's challenge is signed with it"),
	[OPT_CREDENTIALS] = ROW(.type = XF_OPTION_PATH, .key = "credentials", .conflicts = not_with_credentials,
	                        .help = "File with a user's JWT and nkey seed, read at every connect"),
	[OPT_TLS] = &xf_tls_option,
	[OPT_DOMAIN] = ROW(.type = XF_OPTION_STRING, .key = "domain",
	                   .help = "JetStream domain that the streams are in; default: that of the server"),
	[OPT_NAME] = ROW(.type = XF_OPTION_STRING, .key = "name",
	                 .help = "Name of the connections in the server's reports; default: that of the endpoint"),
	[OPT_PING_INTERVAL] = ROW(.type = XF_OPTION_DURATION, .key = "ping_interval", .def = "5s", .min = 100,
	                          .max = 600000,
	                          .help = "A server silent for so long is asked; silent for twice as long, it is given up"),
	[OPT_CONNECT_TIMEOUT] = ROW(.type = XF_OPTION_DURATION, .key = "connect_timeout", .def = "2s",
	                            .min = 100, .max = 4500,
	                            .help = "How long one server may take to answer while connecting"),
	[OPT_PUBLISH_TIMEOUT] = ROW(.type = XF_OPTION_DURATION, .key = "publish_timeout", .def = "5s",
	                            .min = 100, .max = 600000,
	                            .help = "Without a confirmation for so long, of the oldest message, its connection is given up"),
	[OPT_STREAMS] = ROW(.type = XF_OPTION_MAP, .key = "streams", .flags = XF_OPTION_LIST,
	                    .fields = stream_options,
	                    .help = "Streams that are created where missing and checked at every connect, never changed"),
	NULL,
};

const struct xf_option *const source_options[] = {
	[SOURCE_MODE] = ROW(.type = XF_OPTION_ENUM, .key = "mode", .def = "jetstream", .values = mode_words,
	                    .help = "jetstream reads a stream and acknowledges; core subscribes and gets what passes"),
	[SOURCE_STREAM] = ROW(.type = XF_OPTION_STRING, .key = "stream",
	                      .help = "Stream to read; default: the one that stores the subject"),
	[SOURCE_DURABLE] = ROW(.type = XF_OPTION_STRING, .key = "durable",
	                       .help = "Name of the durable consumer, created where missing; default: crossfade-ROUTE"),
	[SOURCE_ACK_WAIT] = ROW(.type = XF_OPTION_DURATION, .key = "ack_wait", .def = "30s", .min = 1000,
	                        .max = 86400000,
	                        .help = "The server offers a message again when it hears nothing of it for so long"),
	[SOURCE_MAX_ACK_PENDING] = ROW(.type = XF_OPTION_I64, .key = "max_ack_pending", .min = 1,
	                               .max = 10000000,
	                               .unit = "messages",
	                               .help = "Bound of unacknowledged messages at the server; default: what the route may "
	                                       "have in flight"),
	[SOURCE_DELIVER] = ROW(.type = XF_OPTION_ENUM, .key = "deliver", .def = "all",
	                       .values = deliver_words,
	                       .conflicts = not_with_deliver,
	                       .help = "Where a consumer begins when it is created: at all there is, behind it, at the last"),
	[SOURCE_DELIVER_SINCE] = ROW(.type = XF_OPTION_DURATION, .key = "deliver_since", .min = 1,
	                             .max = 100ll * 365 * 86400 * 1000, .conflicts = not_with_since,
	                             .help = "Where it begins: with what is not older than this"),
	[SOURCE_DELIVER_SEQUENCE] = ROW(.type = XF_OPTION_I64, .key = "deliver_sequence", .min = 1, .max = INT64_MAX,
	                                .conflicts = not_with_sequence,
	                                .help = "Where it begins: with this sequence of the stream"),
	[SOURCE_GROUP] = ROW(.type = XF_OPTION_STRING, .key = "group",
	                     .help = "Queue group of a core subscription: its members share the messages"),
	[SOURCE_EPHEMERAL] = ROW(.type = XF_OPTION_BOOL, .key = "ephemeral", .def = "false",
	                         .help = "The consumer goes when the source ends, or is not heard of for a minute"),
	NULL,
};

const struct xf_option *const sink_options[] = {
	[SINK_MODE] = ROW(.type = XF_OPTION_ENUM, .key = "mode", .def = "jetstream", .values = mode_words,
	                  .help = "jetstream is confirmed by the stream that stores it; core by the server that passed it on"),
	[SINK_WINDOW] = ROW(.type = XF_OPTION_I64, .key = "window", .def = "4096", .min = 1, .max = 65536,
	                    .unit = "messages",
	                    .help = "How many messages may await their confirmation"),
	[SINK_NO_RECEIVER] = ROW(.type = XF_OPTION_BOOL, .key = "no_receiver", .def = "false",
	                         .help = "With 'mode: core': count what nobody was subscribed to; messages without a "
	                                 "reply subject then carry one of crossfade's own"),
	NULL,
};

char *
copy_string(struct xf_str string)
{
	char *copy = need(malloc(string.len + 1));

	if (string.len > 0)
		memcpy(copy, string.data, string.len);
	copy[string.len] = '\0';
	return copy;
}

bool
stream_name_valid(struct xf_str name)
{
	uint64_t i;

	if (name.len == 0 || name.len > 200)
		return false;
	for (i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.data[i];

		if (c <= ' ' || c == 0x7f || strchr(".*>/\\\"", c) != NULL)
			return false;
	}
	return true;
}

static const struct xf_value *
item(const struct xf_value *value, uint32_t index)
{
	return value->items != NULL ? value->items[index] : value;
}

static int32_t
stream_check(const struct xf_host *host, const struct xf_config *stream, struct xf_error *error)
{
	struct xf_str name = host->option(stream, STREAM_NAME)->str;

	if (!stream_name_valid(name)) {
		snprintf(error->text, sizeof(error->text),
		         "streams: a name may not be empty nor hold spaces, dots, '*', '>' or slashes");
		return -1;
	}
	if (host->option(stream, STREAM_SUBJECTS)->count == 0) {
		snprintf(error->text, sizeof(error->text), "stream %.*s: subjects is empty", (int)name.len,
		         name.data);
		return -1;
	}
	return 0;
}

int32_t
settings_check(const struct xf_host *host, const struct xf_config *transport, struct xf_error *error)
{
	const struct xf_value *urls = host->option(transport, OPT_URL);
	const struct xf_value *streams = host->option(transport, OPT_STREAMS);
	const struct xf_value *domain = host->option(transport, OPT_DOMAIN);
	struct xf_str seed = host->option(transport, OPT_NKEY_SEED)->str;
	uint32_t i, j;

	if (urls->count == 0) {
		snprintf(error->text, sizeof(error->text), "url: at least one server is needed");
		return -1;
	}
	for (i = 0; i < urls->count; i++) {
		struct server server;

		if (!server_parse(item(urls, i)->str, &server, error))
			return -1;
		server_fini(&server);
	}
	if (seed.len > 0) {
		char *text = copy_string(seed);
		bool valid = nkey_seed_check(text, error);

		nkey_forget(&text);
		if (!valid)
			return -1;
	}
	if (domain->present && !stream_name_valid(domain->str)) {
		snprintf(error->text, sizeof(error->text),
		         "domain may not be empty nor hold spaces, dots, '*', '>' or slashes");
		return -1;
	}
	for (i = 0; i < streams->count; i++) {
		struct xf_str name;

		if (stream_check(host, item(streams, i)->map, error) != 0)
			return -1;
		name = host->option(item(streams, i)->map, STREAM_NAME)->str;
		for (j = 0; j < i; j++) {
			struct xf_str other = host->option(item(streams, j)->map, STREAM_NAME)->str;

			if (other.len == name.len && memcmp(other.data, name.data, name.len) == 0) {
				snprintf(error->text, sizeof(error->text), "stream %.*s is named twice",
				         (int)name.len,
				         name.data);
				return -1;
			}
		}
	}
	return 0;
}

static char *
optional_string(const struct xf_host *host, const struct xf_config *config, uint32_t row)
{
	struct xf_str value = host->option(config, row)->str;

	return value.len > 0 ? copy_string(value) : NULL;
}

static void
stream_read(struct stream_settings *stream, const struct xf_host *host, const struct xf_config *config)
{
	const struct xf_value *subjects = host->option(config, STREAM_SUBJECTS);
	const struct xf_value *value;
	uint32_t i;

	stream->name = copy_string(host->option(config, STREAM_NAME)->str);
	stream->subject_count = subjects->count;
	stream->subjects = need(calloc(subjects->count, sizeof(stream->subjects[0])));
	for (i = 0; i < subjects->count; i++)
		stream->subjects[i] = copy_string(item(subjects, i)->str);
	value = host->option(config, STREAM_STORAGE);
	stream->storage = storage_words[value->i64];
	stream->storage_given = value->present;
	value = host->option(config, STREAM_RETENTION);
	stream->retention = retention_words[value->i64];
	stream->retention_given = value->present;
	value = host->option(config, STREAM_DISCARD);
	stream->discard = discard_words[value->i64];
	stream->discard_given = value->present;
	value = host->option(config, STREAM_MAX_AGE);
	stream->max_age_ms = value->i64;
	stream->max_age_given = value->present;
	value = host->option(config, STREAM_MAX_BYTES);
	stream->max_bytes = value->present ? value->i64 : -1;
	stream->max_bytes_given = value->present;
	value = host->option(config, STREAM_MAX_MESSAGES);
	stream->max_messages = value->present ? value->i64 : -1;
	stream->max_messages_given = value->present;
	value = host->option(config, STREAM_DUPLICATE_WINDOW);
	stream->duplicate_window_ms = value->i64;
	stream->window_given = value->present;
	/* The server refuses to remember ids for longer than messages. */
	if (stream->max_age_ms > 0 && stream->duplicate_window_ms > stream->max_age_ms)
		stream->duplicate_window_ms = stream->max_age_ms;
	value = host->option(config, STREAM_REPLICAS);
	stream->replicas = value->i64;
	stream->replicas_given = value->present;
}

struct settings *
settings_create(const struct xf_host *host, const struct xf_config *transport, struct xf_error *error)
{
	const struct xf_value *urls = host->option(transport, OPT_URL);
	const struct xf_value *streams = host->option(transport, OPT_STREAMS);
	struct settings *settings;
	struct text api = {0};
	uint32_t i;

	if (settings_check(host, transport, error) != 0)
		return NULL;
	settings = need(calloc(1, sizeof(*settings)));
	settings->host = host;
	settings->url_count = urls->count;
	settings->urls = need(calloc(urls->count, sizeof(settings->urls[0])));
	for (i = 0; i < urls->count; i++)
		settings->urls[i] = copy_string(item(urls, i)->str);
	settings->user = optional_string(host, transport, OPT_USER);
	settings->password = optional_string(host, transport, OPT_PASSWORD);
	settings->token = optional_string(host, transport, OPT_TOKEN);
	settings->nkey_seed = optional_string(host, transport, OPT_NKEY_SEED);
	settings->credentials = optional_string(host, transport, OPT_CREDENTIALS);
	settings->domain = optional_string(host, transport, OPT_DOMAIN);
	if (settings->domain != NULL)
		text_printf(&api, "$JS.%s.API", settings->domain);
	else
		text_printf(&api, "$JS.API");
	settings->api = api.data;
	settings->name = optional_string(host, transport, OPT_NAME);
	settings->ping_interval_ms = (uint32_t)host->option(transport, OPT_PING_INTERVAL)->i64;
	settings->connect_timeout_ms = (uint32_t)host->option(transport, OPT_CONNECT_TIMEOUT)->i64;
	settings->publish_timeout_ms = (uint32_t)host->option(transport, OPT_PUBLISH_TIMEOUT)->i64;
	settings->stream_count = streams->count;
	if (streams->count > 0)
		settings->streams = need(calloc(streams->count, sizeof(settings->streams[0])));
	for (i = 0; i < streams->count; i++)
		stream_read(&settings->streams[i], host, item(streams, i)->map);
	settings->seen = need(calloc(1, sizeof(*settings->seen)));
	pthread_mutex_init(&settings->seen->lock, NULL);
	return settings;
}

void
settings_destroy(struct settings **settings)
{
	struct settings *s = *settings;
	uint32_t i, j;

	if (s == NULL)
		return;
	for (i = 0; i < s->url_count; i++)
		free(s->urls[i]);
	for (i = 0; i < s->stream_count; i++) {
		for (j = 0; j < s->streams[i].subject_count; j++)
			free(s->streams[i].subjects[j]);
		free(s->streams[i].subjects);
		free(s->streams[i].name);
	}
	pthread_mutex_destroy(&s->seen->lock);
	free(s->seen);
	free(s->urls);
	free(s->streams);
	free(s->user);
	nkey_forget(&s->password);
	nkey_forget(&s->token);
	nkey_forget(&s->nkey_seed);
	free(s->credentials);
	free(s->domain);
	free(s->api);
	free(s->name);
	free(s);
	*settings = NULL;
}

static int
string_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/*
 * The servers, in order, without users. The mode is no part of it: a core subscriber sees what is
 * published to a stream, and a stream stores what is published on the core; both are one place.
 */
uint32_t
settings_address(const struct xf_host *host, const struct xf_config *transport,
                 const struct xf_config *endpoint,
                 char *out, uint32_t size)
{
	const struct xf_value *urls = host->option(transport, OPT_URL);
	char **addresses = need(calloc(urls->count + 1u, sizeof(addresses[0])));
	struct text text = {0};
	struct xf_error error;
	uint32_t i, len;

	(void)endpoint;
	for (i = 0; i < urls->count; i++) {
		struct server server;
		char address[512] = "?";

		if (server_parse(item(urls, i)->str, &server, &error)) {
			server_address(&server, address, sizeof(address));
			server_fini(&server);
		}
		addresses[i] = copy_string((struct xf_str){address, strlen(address)});
	}
	qsort(addresses, urls->count, sizeof(addresses[0]), string_order);
	text_printf(&text, "nats://");
	for (i = 0; i < urls->count; i++)
		text_printf(&text, "%s%s", i > 0 ? "," : "", addresses[i]);
	for (i = 0; i < urls->count; i++)
		free(addresses[i]);
	free(addresses);
	len = text.len < size ? (uint32_t)text.len : size;
	memcpy(out, text.data, len);
	text_fini(&text);
	return len;
}
