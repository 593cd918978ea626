/*
 * settings.c - the URLs amqp://USER:PASSWORD@HOST:PORT/VHOST and amqps://, and what stands beside them.
 *
 * Parts of a URL may be percent-encoded ("%2f" is the vhost "/", as is nothing at all). The options user,
 * password and vhost win over the URLs'. The URLs of a list are one cluster: they share scheme and vhost.
 */
#include "settings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

struct xf_str
settings_str(const char *text)
{
	return (struct xf_str){text, strlen(text)};
}

bool
settings_is(struct xf_str text, const char *word)
{
	return text.len == strlen(word) && (text.len == 0 || memcmp(text.data, word, text.len) == 0);
}

struct xf_str
settings_exchange(struct xf_str name)
{
	return settings_is(name, "amq.default") ? (struct xf_str){"", 0} : name;
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
url_parse(struct xf_str url, struct settings_server *out, bool *tls, struct xf_error *error)
{
	static const char expected[] = "url: expected amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps:// for TLS";
	const char *at, *end, *path, *user_end, *colon, *host_end;
	size_t scheme;

	*tls = url.len >= 8 && strncasecmp(url.data, "amqps://", 8) == 0;
	scheme = *tls ? 8 : 7;
	if (!*tls && (url.len < scheme || strncasecmp(url.data, "amqp://", scheme) != 0)) {
		settings_fail(error, "%s", expected);
		return false;
	}
	out->port = *tls ? 5671 : 5672;
	at = url.data + scheme;
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
		settings_fail(error, "url: no host; %s", expected + strlen("url: "));
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

static bool
server_read(const struct xf_host *host, const struct xf_config *transport, struct xf_str url, struct settings *out,
            struct xf_error *error)
{
	struct settings_server *server = &out->servers[out->server_count];
	bool tls;

	strcpy(server->vhost, "/");
	strcpy(server->user, "guest");
	strcpy(server->password, "guest");
	if (!url_parse(url, server, &tls, error) ||
	    !text_override(host->option(transport, TRANSPORT_USER), "user", server->user, error) ||
	    !text_override(host->option(transport, TRANSPORT_PASSWORD), "password", server->password, error) ||
	    !text_override(host->option(transport, TRANSPORT_VHOST), "vhost", server->vhost, error))
		return false;
	if (out->server_count == 0)
		out->tls = tls;
	if (tls != out->tls || strcmp(server->vhost, out->servers[0].vhost) != 0) {
		settings_fail(error, "url: a list is one cluster; all its elements have the same scheme and vhost");
		return false;
	}
	out->server_count++;
	return true;
}

static bool
tls_check(const struct xf_host *host, const struct xf_config *transport, const struct settings *settings,
          struct xf_error *error)
{
	if (host->option(transport, TRANSPORT_TLS)->present != 0 && !settings->tls) {
		settings_fail(error, "tls: the url has to be amqps:// for this to mean anything");
		return false;
	}
	if (settings->external && host->option(transport, TRANSPORT_TLS)->present == 0) {
		settings_fail(error, "auth: external needs a client certificate: an amqps:// url, tls.cert and tls.key");
		return false;
	}
	return true;
}

bool
settings_read(const struct xf_host *host, const struct xf_config *transport, struct settings *out,
              struct xf_error *error)
{
	const struct xf_value *urls = host->option(transport, TRANSPORT_URL);
	uint32_t i;

	memset(out, 0, sizeof(*out));
	out->external = host->option(transport, TRANSPORT_AUTH)->i64 == AUTH_EXTERNAL;
	out->heartbeat_ms = (uint32_t)host->option(transport, TRANSPORT_HEARTBEAT)->i64;
	out->connect_timeout_ms = (uint32_t)host->option(transport, TRANSPORT_CONNECT_TIMEOUT)->i64;
	out->confirm_timeout_ms = (uint32_t)host->option(transport, TRANSPORT_CONFIRM_TIMEOUT)->i64;

	if (urls->count == 0 || urls->count > SETTINGS_SERVERS_MAX) {
		settings_fail(error, "url: expected 1 to %d of them", SETTINGS_SERVERS_MAX);
		return false;
	}
	for (i = 0; i < urls->count; i++)
		if (!server_read(host, transport, urls->items[i]->str, out, error))
			return false;
	return tls_check(host, transport, out, error);
}

/* A cluster is one place: its servers stand for each other, so the first by name stands for all. */
uint32_t
settings_address(const struct xf_host *host, const struct xf_config *transport, struct xf_str exchange,
                 char *out, uint32_t size)
{
	char text[4 * SETTINGS_TEXT_MAX];
	const struct settings_server *first;
	struct settings settings;
	struct xf_error error;
	uint32_t i;
	char *c;
	int len;

	if (!settings_read(host, transport, &settings, &error))
		return 0;
	first = &settings.servers[0];
	for (i = 0; i < settings.server_count; i++) {
		struct settings_server *server = &settings.servers[i];
		int order;

		for (c = server->host; *c != '\0'; c++)
			if (*c >= 'A' && *c <= 'Z')
				*c = (char)(*c - 'A' + 'a');
		if (strcmp(server->host, "localhost") == 0)
			strcpy(server->host, "127.0.0.1");
		order = strcmp(server->host, first->host);
		if (order < 0 || (order == 0 && server->port < first->port))
			first = server;
	}
	exchange = settings_exchange(exchange);
	len = snprintf(text, sizeof(text), "amqp://%s:%u/%s exchange=%.*s", first->host, first->port, first->vhost,
	               (int)(exchange.len < SETTINGS_TEXT_MAX ? exchange.len : SETTINGS_TEXT_MAX),
	               exchange.len > 0 ? exchange.data : "");
	if ((uint32_t)len > size)
		len = (int)size;
	memcpy(out, text, (size_t)len);
	return (uint32_t)len;
}
