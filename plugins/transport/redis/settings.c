/*
 * The URL is redis://[user[:password]@]host[:port][/db], percent-encoded in its user info. User and password may
 * stand beside it instead; both at once would leave open which holds, so that is refused.
 */
#include "settings.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	ROW_URL,
	ROW_USER,
	ROW_PASSWORD,
	ROW_CONNECT_TIMEOUT,
	ROW_TIMEOUT,
	ROW_HEARTBEAT,
};


static const struct xf_option option_url = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_URL,
	.flags = XF_OPTION_REQUIRED,
	.key = "url",
	.help = "The server, redis://[user:password@]host[:port][/db]",
};
static const struct xf_option option_user = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_STRING,
	.key = "user",
	.help = "ACL user; without one the password is the default user's",
};
static const struct xf_option option_password = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_STRING,
	.flags = XF_OPTION_SECRET,
	.key = "password",
	.help = "Password of the user",
};
static const struct xf_option option_connect_timeout = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_DURATION,
	.key = "connect_timeout",
	.def = "2s",
	.min = 10,
	.max = 60000,
	.help = "How long one attempt to connect, authentication included, may take",
};
static const struct xf_option option_timeout = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_DURATION,
	.key = "timeout",
	.def = "5s",
	.min = 10,
	.max = 600000,
	.help = "How long the server may go without a reply before the connection is given up",
};
static const struct xf_option option_heartbeat = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_DURATION,
	.key = "heartbeat",
	.def = "5s",
	.min = 10,
	.max = 600000,
	.help = "A PING is sent after this much silence; a dead line is found within twice this time",
};

const struct xf_option *const settings_options[] = {
	&option_url, &option_user, &option_password, &option_connect_timeout, &option_timeout, &option_heartbeat, NULL,
};

int
settings_fail(struct xf_error *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return -1;
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes into OUT. What may not stand there is named, its content never. */
static int
text_decode(struct xf_str text, char *out, size_t size, const char *what, struct xf_error *error)
{
	size_t n = 0;

	for (uint64_t i = 0; i < text.len; i++) {
		char c = text.data[i];

		if (c == '%') {
			int high = i + 2 < text.len ? hex_value(text.data[i + 1]) : -1;
			int low = i + 2 < text.len ? hex_value(text.data[i + 2]) : -1;

			if (high < 0 || low < 0)
				return settings_fail(error, "url: the %s has a '%%' that no two hexadecimal digits follow",
				                     what);
			c = (char)(high * 16 + low);
			i += 2;
		}
		if (c == '\0' || n + 1 >= size)
			return settings_fail(error, "url: the %s is too long or has a NUL in it", what);
		out[n++] = c;
	}
	out[n] = '\0';
	return 0;
}

static int
text_copy(struct xf_str text, char *out, size_t size, const char *what, struct xf_error *error)
{
	if (text.len >= size || (text.len > 0 && memchr(text.data, '\0', text.len) != NULL))
		return settings_fail(error, "%s is too long or has a NUL in it", what);
	if (text.len > 0)
		memcpy(out, text.data, text.len);
	out[text.len] = '\0';
	return 0;
}

static struct xf_str
str_between(const char *from, const char *to)
{
	return (struct xf_str){from, (uint64_t)(to - from)};
}

/* A number of digits only, at most MAX; -1 otherwise. */
static int64_t
digits_value(struct xf_str text, int64_t max)
{
	int64_t value = 0;

	if (text.len == 0 || text.len > 9)
		return -1;
	for (uint64_t i = 0; i < text.len; i++) {
		if (!isdigit((unsigned char)text.data[i]))
			return -1;
		value = value * 10 + (text.data[i] - '0');
	}
	return value <= max ? value : -1;
}

static int
user_info_read(struct xf_str info, struct settings *settings, struct xf_error *error)
{
	const char *colon = memchr(info.data, ':', info.len);
	const char *end = info.data + info.len;

	if (text_decode(str_between(info.data, colon != NULL ? colon : end), settings->user, sizeof(settings->user),
	                "user", error) < 0)
		return -1;
	if (colon == NULL)
		return 0;
	return text_decode(str_between(colon + 1, end), settings->password, sizeof(settings->password), "password",
	                   error);
}

static int
host_read(struct xf_str place, struct settings *settings, struct xf_error *error)
{
	const char *end = place.data + place.len, *host_end, *port = NULL;
	struct xf_str name;

	if (place.len > 0 && place.data[0] == '[') {
		host_end = memchr(place.data, ']', place.len);
		if (host_end == NULL)
			return settings_fail(error, "url: '[' of an IPv6 address without ']'");
		name = str_between(place.data + 1, host_end);
		if (host_end + 1 < end && host_end[1] == ':')
			port = host_end + 2;
		else if (host_end + 1 < end)
			return settings_fail(error, "url: expected ':port' behind the IPv6 address");
	} else {
		host_end = place.len > 0 ? memchr(place.data, ':', place.len) : NULL;
		name = str_between(place.data, host_end != NULL ? host_end : end);
		if (host_end != NULL)
			port = host_end + 1;
	}
	if (name.len == 0)
		return settings_fail(error, "url: no host; expected redis://host:port");
	if (text_copy(name, settings->host, sizeof(settings->host), "url: the host", error) < 0)
		return -1;
	if (port == NULL)
		port = "6379", end = port + 4;
	if (digits_value(str_between(port, end), 65535) < 1)
		return settings_fail(error, "url: the port is no number from 1 to 65535");
	return text_copy(str_between(port, end), settings->port, sizeof(settings->port), "url: the port", error);
}

static int
url_read(struct xf_str url, struct settings *settings, struct xf_error *error)
{
	static const char scheme[] = "redis://";
	const char *at, *end = url.data + url.len, *slash, *info_end = NULL;

	if (url.len >= 9 && strncasecmp(url.data, "rediss://", 9) == 0)
		return settings_fail(error, "url: rediss:// (TLS) is not built yet; redis:// is");
	if (url.len >= 7 && strncasecmp(url.data, "unix://", 7) == 0)
		return settings_fail(error, "url: unix:// is not built yet; redis:// is");
	if (url.len < sizeof(scheme) - 1 || strncasecmp(url.data, scheme, sizeof(scheme) - 1) != 0)
		return settings_fail(error, "url: expected redis://[user:password@]host[:port][/db]");
	at = url.data + sizeof(scheme) - 1;
	if (memchr(at, '?', (size_t)(end - at)) != NULL || memchr(at, '#', (size_t)(end - at)) != NULL)
		return settings_fail(error, "url: '?' and '#' mean nothing here (write %%3F, %%23 in a password)");

	/* A password may hold an unescaped '@' or '/': the last '@' parts it from the host. */
	info_end = memrchr(at, '@', (size_t)(end - at));
	if (info_end != NULL) {
		if (user_info_read(str_between(at, info_end), settings, error) < 0)
			return -1;
		at = info_end + 1;
	}
	slash = at < end ? memchr(at, '/', (size_t)(end - at)) : NULL;
	if (slash != NULL && slash + 1 < end) {
		int64_t db = digits_value(str_between(slash + 1, end), 1000000);

		if (db < 0)
			return settings_fail(error, "url: the database behind '/' is no number");
		settings->db = (uint32_t)db;
	}
	return host_read(str_between(at, slash != NULL ? slash : end), settings, error);
}

int
settings_read(const struct xf_host *host, const struct xf_config *config, struct settings *settings,
              struct xf_error *error)
{
	const struct xf_value *user = host->option(config, ROW_USER);
	const struct xf_value *password = host->option(config, ROW_PASSWORD);

	memset(settings, 0, sizeof(*settings));
	if (url_read(host->option(config, ROW_URL)->str, settings, error) < 0)
		return -1;
	if (user->str.len > 0) {
		if (settings->user[0] != '\0')
			return settings_fail(error, "user: the url names one already");
		if (text_copy(user->str, settings->user, sizeof(settings->user), "user", error) < 0)
			return -1;
	}
	if (password->str.len > 0) {
		if (settings->password[0] != '\0')
			return settings_fail(error, "password: the url holds one already");
		if (text_copy(password->str, settings->password, sizeof(settings->password), "password", error) < 0)
			return -1;
	}
	if (settings->user[0] != '\0' && settings->password[0] == '\0')
		return settings_fail(error, "user: needs a password, beside it or in the url");
	settings->connect_timeout_ms = (uint32_t)host->option(config, ROW_CONNECT_TIMEOUT)->i64;
	settings->timeout_ms = (uint32_t)host->option(config, ROW_TIMEOUT)->i64;
	settings->heartbeat_ms = (uint32_t)host->option(config, ROW_HEARTBEAT)->i64;
	return 0;
}

uint32_t
settings_address(const struct settings *settings, int with_db, const char *kind, char *out, uint32_t size)
{
	char text[384], host[256];
	const char *name = host;
	int n;

	for (size_t i = 0; (host[i] = (char)tolower((unsigned char)settings->host[i])) != '\0'; i++)
		;
	if (strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0)
		name = "127.0.0.1";
	if (with_db)
		n = snprintf(text, sizeof(text), "redis://%s:%s/%u %s", name, settings->port, settings->db, kind);
	else
		n = snprintf(text, sizeof(text), "redis://%s:%s %s", name, settings->port, kind);
	if (n < 0)
		return 0;
	if ((uint32_t)n < size)
		size = (uint32_t)n;
	memcpy(out, text, size);
	return size;
}

int
settings_separator(const struct xf_host *host, const struct xf_config *config, uint32_t row, struct xf_error *error)
{
	const struct xf_value *value = host->option(config, row);
	unsigned char c;

	if (value->str.len == 0)
		return 0;
	c = (unsigned char)value->str.data[0];
	if (value->str.len != 1 || c <= ' ' || c >= 0x7f || isalnum(c) || c == '*' || c == '>')
		return settings_fail(error, "separator: expected one character such as ':' or '/'");
	return c == '.' ? 0 : c;
}
