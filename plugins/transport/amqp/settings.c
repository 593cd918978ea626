/*
 * settings.c - options, and the URL amqp://USER:PASSWORD@HOST:PORT/VHOST.
 *
 * Parts of the URL may be percent-encoded ("%2f" is the vhost "/", as is nothing at all). The options user,
 * password and vhost win over the URL's.
 */
#include "settings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define OPTION .struct_size = sizeof(struct xf_option)

static const struct xf_option option_url = {
	OPTION, .type = XF_OPTION_URL, .flags = XF_OPTION_REQUIRED, .key = "url",
	.help = "where the broker is: amqp://USER:PASSWORD@HOST:PORT/VHOST, percent-encoded where needed",
};
static const struct xf_option option_user = {
	OPTION, .type = XF_OPTION_STRING, .key = "user",
	.help = "user to log in as; default: the URL's, else guest",
};
static const struct xf_option option_password = {
	OPTION, .type = XF_OPTION_STRING, .flags = XF_OPTION_SECRET, .key = "password",
	.help = "the user's password; default: the URL's, else guest",
};
static const struct xf_option option_vhost = {
	OPTION, .type = XF_OPTION_STRING, .key = "vhost",
	.help = "virtual host; default: the URL's path, else /",
};
static const struct xf_option option_heartbeat = {
	OPTION, .type = XF_OPTION_DURATION, .key = "heartbeat", .def = "10s", .min = 2000, .max = 600000,
	.help = "a broker that says nothing for twice as long is given up and connected to anew",
};
static const struct xf_option option_connect_timeout = {
	OPTION, .type = XF_OPTION_DURATION, .key = "connect_timeout", .def = "4s", .min = 100, .max = 5000,
	.help = "how long connecting and logging in may take together",
};
static const struct xf_option option_confirm_timeout = {
	OPTION, .type = XF_OPTION_DURATION, .key = "confirm_timeout", .def = "30s", .min = 1000, .max = 3600000,
	.help = "how long a publisher confirm or another answer of the broker may take before the connection "
	        "is given up; a memory or disk alarm stops the clock",
};

const struct xf_option *const settings_transport_options[] = {
	[TRANSPORT_URL] = &option_url,
	[TRANSPORT_USER] = &option_user,
	[TRANSPORT_PASSWORD] = &option_password,
	[TRANSPORT_VHOST] = &option_vhost,
	[TRANSPORT_HEARTBEAT] = &option_heartbeat,
	[TRANSPORT_CONNECT_TIMEOUT] = &option_connect_timeout,
	[TRANSPORT_CONFIRM_TIMEOUT] = &option_confirm_timeout,
	NULL,
};

static const char *const exchange_types[] = {"topic", "direct", "fanout", "headers", NULL};

static const struct xf_option source_queue = {
	OPTION, .type = XF_OPTION_STRING, .key = "queue",
	.help = "the queue to consume; default: the subject, where that is no pattern",
};
static const struct xf_option source_prefetch = {
	OPTION, .type = XF_OPTION_I64, .key = "prefetch", .min = 1, .max = 65535, .unit = "messages",
	.help = "how many unacknowledged messages the broker may have out here; default: the route's "
	        "max_in_flight, at most 4096",
};
static const struct xf_option source_declare = {
	OPTION, .type = XF_OPTION_BOOL, .key = "declare", .def = "false",
	.help = "create what is missing: the queue (durable), and where an exchange is named that and the binding",
};
static const struct xf_option source_exchange = {
	OPTION, .type = XF_OPTION_STRING, .key = "exchange", .def = "",
	.help = "with declare: the exchange that the queue is bound to, by the subject pattern",
};
static const struct xf_option source_exchange_type = {
	OPTION, .type = XF_OPTION_ENUM, .key = "exchange_type", .def = "topic", .values = exchange_types,
	.help = "with declare: what a new exchange is",
};

const struct xf_option *const settings_source_options[] = {
	[SOURCE_QUEUE] = &source_queue,
	[SOURCE_PREFETCH] = &source_prefetch,
	[SOURCE_DECLARE] = &source_declare,
	[SOURCE_EXCHANGE] = &source_exchange,
	[SOURCE_EXCHANGE_TYPE] = &source_exchange_type,
	NULL,
};

static const struct xf_option sink_exchange = {
	OPTION, .type = XF_OPTION_STRING, .key = "exchange", .def = "",
	.help = "exchange to publish to, with the subject as routing key; default: the default exchange, "
	        "where the subject names a queue",
};
static const struct xf_option sink_declare = {
	OPTION, .type = XF_OPTION_BOOL, .key = "declare", .def = "false",
	.help = "create the exchange (durable), or without one the queue of each subject (durable), if missing",
};
static const struct xf_option sink_exchange_type = {
	OPTION, .type = XF_OPTION_ENUM, .key = "exchange_type", .def = "topic", .values = exchange_types,
	.help = "with declare: what a new exchange is",
};
static const struct xf_option sink_persistent = {
	OPTION, .type = XF_OPTION_BOOL, .key = "persistent", .def = "true",
	.help = "ask the broker to keep messages on disk, so that a confirmed one survives its restart",
};
static const struct xf_option sink_window = {
	OPTION, .type = XF_OPTION_I64, .key = "window", .def = "4096", .min = 1, .max = 65536, .unit = "messages",
	.help = "how many published messages may wait for their confirms",
};

const struct xf_option *const settings_sink_options[] = {
	[SINK_EXCHANGE] = &sink_exchange,
	[SINK_DECLARE] = &sink_declare,
	[SINK_EXCHANGE_TYPE] = &sink_exchange_type,
	[SINK_PERSISTENT] = &sink_persistent,
	[SINK_WINDOW] = &sink_window,
	NULL,
};

void
settings_fail(struct xf_error *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
}

char *
settings_copy(struct xf_str text)
{
	char *copy = malloc(text.len + 1);

	if (copy == NULL)
		return NULL;
	if (text.len > 0)
		memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	return copy;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool
text_copy(struct xf_str text, const char *what, char out[SETTINGS_TEXT_MAX], struct xf_error *error)
{
	if (text.len >= SETTINGS_TEXT_MAX) {
		settings_fail(error, "%s is longer than %d bytes", what, SETTINGS_TEXT_MAX - 1);
		return false;
	}
	if (text.len > 0 && memchr(text.data, 0, text.len) != NULL) {
		settings_fail(error, "%s contains a NUL byte", what);
		return false;
	}
	if (text.len > 0)
		memcpy(out, text.data, text.len);
	out[text.len] = '\0';
	return true;
}

static bool
text_decode(const char *at, const char *end, const char *what, char out[SETTINGS_TEXT_MAX],
            struct xf_error *error)
{
	size_t len = 0;

	for (; at < end; at++) {
		char c = *at;

		if (c == '%') {
			int high = end - at > 2 ? hex_digit(at[1]) : -1;
			int low = end - at > 2 ? hex_digit(at[2]) : -1;

			if (high < 0 || low < 0 || (high == 0 && low == 0)) {
				settings_fail(error, "url: %s: a '%%' needs two hexadecimal digits after it", what);
				return false;
			}
			c = (char)(high << 4 | low);
			at += 2;
		}
		if (len + 1 >= SETTINGS_TEXT_MAX) {
			settings_fail(error, "url: %s is longer than %d bytes", what, SETTINGS_TEXT_MAX - 1);
			return false;
		}
		out[len++] = c;
	}
	out[len] = '\0';
	return true;
}

static bool
port_parse(const char *at, const char *end, uint16_t *port, struct xf_error *error)
{
	unsigned value = 0;
	const char *digit;

	for (digit = at; digit < end && *digit >= '0' && *digit <= '9' && value <= 65535; digit++)
		value = value * 10 + (unsigned)(*digit - '0');
	if (digit != end || at == end || value == 0 || value > 65535) {
		settings_fail(error, "url: the port must be a number from 1 to 65535");
		return false;
	}
	*port = (uint16_t)value;
	return true;
}

static bool
url_parse(struct xf_str url, struct settings *out, struct xf_error *error)
{
	static const char scheme[] = "amqp://";
	const char *at, *end, *path, *user_end, *colon, *host_end;

	if (url.len >= 8 && strncasecmp(url.data, "amqps://", 8) == 0) {
		settings_fail(error, "url: TLS (amqps://) is not built yet; use amqp://");
		return false;
	}
	if (url.len < strlen(scheme) || strncasecmp(url.data, scheme, strlen(scheme)) != 0) {
		settings_fail(error, "url: expected amqp://USER:PASSWORD@HOST:PORT/VHOST");
		return false;
	}
	at = url.data + strlen(scheme);
	end = url.data + url.len;
	if (memchr(at, '?', (size_t)(end - at)) != NULL || memchr(at, '#', (size_t)(end - at)) != NULL) {
		settings_fail(error, "url: parameters after '?' or '#' are not read; use options of the transport");
		return false;
	}
	path = memchr(at, '/', (size_t)(end - at));
	if (path == NULL)
		path = end;

	user_end = memrchr(at, '@', (size_t)(path - at));
	if (user_end != NULL) {
		colon = memchr(at, ':', (size_t)(user_end - at));
		if (!text_decode(at, colon != NULL ? colon : user_end, "user", out->user, error))
			return false;
		if (colon != NULL && !text_decode(colon + 1, user_end, "password", out->password, error))
			return false;
		at = user_end + 1;
	}

	host_end = at < path && *at == '[' ? memchr(at, ']', (size_t)(path - at)) : NULL;
	if (host_end != NULL) { /* an IPv6 address */
		if (!text_decode(at + 1, host_end, "host", out->host, error))
			return false;
		colon = host_end + 1 < path ? host_end + 1 : NULL;
		if (colon != NULL && *colon != ':') {
			settings_fail(error, "url: unexpected text after ']'");
			return false;
		}
	} else {
		colon = memchr(at, ':', (size_t)(path - at));
		if (!text_decode(at, colon != NULL ? colon : path, "host", out->host, error))
			return false;
	}
	if (out->host[0] == '\0') {
		settings_fail(error, "url: no host; expected amqp://USER:PASSWORD@HOST:PORT/VHOST");
		return false;
	}
	if (colon != NULL && !port_parse(colon + 1, path, &out->port, error))
		return false;
	if (end - path > 1 && !text_decode(path + 1, end, "vhost", out->vhost, error))
		return false;
	return true;
}

static bool
text_override(const struct xf_value *value, const char *what, char out[SETTINGS_TEXT_MAX],
              struct xf_error *error)
{
	return value->count == 0 || text_copy(value->str, what, out, error);
}

bool
settings_read(const struct xf_host *host, const struct xf_config *transport, struct settings *out,
              struct xf_error *error)
{
	memset(out, 0, sizeof(*out));
	strcpy(out->vhost, "/");
	strcpy(out->user, "guest");
	strcpy(out->password, "guest");
	out->port = 5672;
	out->heartbeat_ms = (uint32_t)host->option(transport, TRANSPORT_HEARTBEAT)->i64;
	out->connect_timeout_ms = (uint32_t)host->option(transport, TRANSPORT_CONNECT_TIMEOUT)->i64;
	out->confirm_timeout_ms = (uint32_t)host->option(transport, TRANSPORT_CONFIRM_TIMEOUT)->i64;

	return url_parse(host->option(transport, TRANSPORT_URL)->str, out, error) &&
	       text_override(host->option(transport, TRANSPORT_USER), "user", out->user, error) &&
	       text_override(host->option(transport, TRANSPORT_PASSWORD), "password", out->password, error) &&
	       text_override(host->option(transport, TRANSPORT_VHOST), "vhost", out->vhost, error);
}

uint32_t
settings_address(const struct xf_host *host, const struct xf_config *transport, struct xf_str exchange,
                 char *out, uint32_t size)
{
	char text[4 * SETTINGS_TEXT_MAX];
	struct settings settings;
	struct xf_error error;
	char *c;
	int len;

	if (!settings_read(host, transport, &settings, &error))
		return 0;
	for (c = settings.host; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	if (strcmp(settings.host, "localhost") == 0)
		strcpy(settings.host, "127.0.0.1");
	if (exchange.len == 11 && memcmp(exchange.data, "amq.default", 11) == 0)
		exchange.len = 0;

	len = snprintf(text, sizeof(text), "amqp://%s:%u/%s exchange=%.*s", settings.host, settings.port,
	               settings.vhost, SETTINGS_STR(exchange));
	if (len < 0)
		return 0;
	if ((size_t)len >= sizeof(text))
		len = (int)sizeof(text) - 1;
	if ((uint32_t)len > size)
		len = (int)size;
	memcpy(out, text, (size_t)len);
	return (uint32_t)len;
}
