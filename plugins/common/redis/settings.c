/*
 * User and password may stand beside the url instead of in it; both at once would leave open which holds, so that
 * is refused.
 */
#include "settings.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tls.h"

enum {
	ROW_URL,
	ROW_USER,
	ROW_PASSWORD,
	ROW_SENTINEL_USER,
	ROW_SENTINEL_PASSWORD,
	ROW_TLS,
	ROW_CONNECT_TIMEOUT,
	ROW_TIMEOUT,
	ROW_HEARTBEAT,
};

static const struct xf_option option_url = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_URL,
	.flags = XF_OPTION_REQUIRED | XF_OPTION_LIST,
	.key = "url",
	.help = "The server, redis://[user:password@]host[:port][/db] or rediss:// with TLS, or several to try in "
	        "order; or sentinels, redis+sentinel://host[:port][,host...]/MASTER[/db]; or unix:///path",
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
static const char *const needs_sentinel_password[] = {"sentinel_password", NULL};
static const struct xf_option option_sentinel_user = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_STRING,
	.key = "sentinel_user",
	.help = "ACL user at the sentinels, where they ask for one",
	.requires_ = needs_sentinel_password,
};
static const struct xf_option option_sentinel_password = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_STRING,
	.flags = XF_OPTION_SECRET,
	.key = "sentinel_password",
	.help = "Password at the sentinels, where they ask for one",
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
	&option_url,
	&option_user,
	&option_password,
	&option_sentinel_user,
	&option_sentinel_password,
	&xf_tls_option,
	&option_connect_timeout,
	&option_timeout,
	&option_heartbeat,
	NULL,
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

int
settings_text(struct xf_str text, char *out, size_t size, const char *what, struct xf_error *error)
{
	if (text.len >= size || (text.len > 0 && memchr(text.data, '\0', text.len) != NULL))
		return settings_fail(error, "%s is too long or has a NUL in it", what);
	if (text.len > 0)
		memcpy(out, text.data, text.len);
	out[text.len] = '\0';
	return 0;
}

/* What stands beside the url instead of in it. */
static int
beside_read(struct xf_str text, char *out, size_t size, const char *key, struct xf_error *error)
{
	if (text.len == 0)
		return 0;
	if (out[0] != '\0')
		return settings_fail(error, "%s: the url names one already", key);
	return settings_text(text, out, size, key, error);
}

int
settings_read(const struct xf_host *host, const struct xf_config *config, struct settings *settings,
              struct xf_error *error)
{
	const struct xf_value *urls = host->option(config, ROW_URL);
	struct place *at = &settings->at;

	memset(settings, 0, sizeof(*settings));
	for (uint32_t i = 0; i < urls->count; i++)
		if (url_read(urls->items != NULL ? urls->items[i]->str : urls->str, at, error) < 0)
			return -1;
	if (at->server_count == 0)
		return settings_fail(error, "url: names no server");
	if (beside_read(host->option(config, ROW_USER)->str, at->user, sizeof(at->user), "user", error) < 0 ||
	    beside_read(host->option(config, ROW_PASSWORD)->str, at->password, sizeof(at->password), "password",
	                error) < 0)
		return -1;
	if (at->user[0] != '\0' && at->password[0] == '\0')
		return settings_fail(error, "user: needs a password, beside it or in the url");
	if (settings_text(host->option(config, ROW_SENTINEL_USER)->str, settings->sentinel_user,
	                  sizeof(settings->sentinel_user), "sentinel_user", error) < 0 ||
	    settings_text(host->option(config, ROW_SENTINEL_PASSWORD)->str, settings->sentinel_password,
	                  sizeof(settings->sentinel_password), "sentinel_password", error) < 0)
		return -1;
	if (settings->sentinel_password[0] != '\0' && at->master[0] == '\0')
		return settings_fail(error, "sentinel_password: only with a redis+sentinel:// url");
	settings->tls = host->option(config, ROW_TLS)->map;
	if (host->option(config, ROW_TLS)->present && !at->tls)
		return settings_fail(error, "tls: the url asks for none; write rediss:// (or rediss+sentinel://)");
	settings->connect_timeout_ms = (uint32_t)host->option(config, ROW_CONNECT_TIMEOUT)->i64;
	settings->timeout_ms = (uint32_t)host->option(config, ROW_TIMEOUT)->i64;
	settings->heartbeat_ms = (uint32_t)host->option(config, ROW_HEARTBEAT)->i64;
	return 0;
}

void
settings_clear(struct settings *settings)
{
	explicit_bzero(settings, sizeof(*settings));
}

/* One name for each server: the machine's own names are one, and case does not matter. */
static void
server_text(const struct server *server, char *out, size_t size)
{
	char host[sizeof(server->host)];
	const char *name = host;

	if (server->port[0] == '\0') {
		snprintf(out, size, "%s", server->host);
		return;
	}
	for (size_t i = 0; (host[i] = (char)tolower((unsigned char)server->host[i])) != '\0'; i++)
		;
	if (strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0)
		name = "127.0.0.1";
	snprintf(out, size, "%s:%s", name, server->port);
}

uint32_t
settings_address(const struct settings *settings, bool with_db, const char *kind, char *out, uint32_t size)
{
	const struct place *at = &settings->at;
	char text[768], first[288], other[288], db[16] = "";
	int n;

	/* Of several servers the first by name, so that their order does not matter. */
	server_text(&at->servers[0], first, sizeof(first));
	for (uint32_t i = 1; i < at->server_count; i++) {
		server_text(&at->servers[i], other, sizeof(other));
		if (strcmp(other, first) < 0)
			memcpy(first, other, sizeof(first));
	}
	if (with_db)
		snprintf(db, sizeof(db), "/%u", at->db);
	if (at->master[0] != '\0')
		n = snprintf(text, sizeof(text), "redis+sentinel://%s/%s%s %s", first, at->master, db, kind);
	else
		n = snprintf(text, sizeof(text), "redis://%s%s %s", first, db, kind);
	if (n < 0)
		return 0;
	if ((uint32_t)n < size)
		size = (uint32_t)n;
	memcpy(out, text, size);
	return size;
}
