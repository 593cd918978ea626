/*
 * A list of urls is one place with several servers: whatever else a url may say (TLS, database, user, master) has
 * to be the same in all, or only in the first.
 */
#include "url.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "settings.h"

#define EXPECTED "expected redis://[user:password@]host[:port][/db], or the same with rediss://, unix:///path, or " \
	"redis+sentinel://host[:port][,host...]/MASTER[/db]"

static const struct scheme {
	const char *text;
	bool tls;
	bool sentinel;
	bool local;
} schemes[] = {
	{"redis://", false, false, false},
	{"rediss://", true, false, false},
	{"unix://", false, false, true},
	{"redis+sentinel://", false, true, false},
	{"rediss+sentinel://", true, true, false},
};

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
user_info_read(struct xf_str info, struct place *place, struct xf_error *error)
{
	const char *colon = memchr(info.data, ':', info.len);
	const char *end = info.data + info.len;

	if (text_decode(str_between(info.data, colon != NULL ? colon : end), place->user, sizeof(place->user), "user",
	                error) < 0)
		return -1;
	if (colon == NULL)
		return 0;
	return text_decode(str_between(colon + 1, end), place->password, sizeof(place->password), "password", error);
}

/* host[:port], [v6]:port. */
static int
server_read(struct xf_str text, const char *default_port, struct place *place, struct xf_error *error)
{
	const char *end = text.data + text.len, *host_end, *port = NULL;
	struct server *server = &place->servers[place->server_count];
	struct xf_str name, digits;

	if (place->server_count == SERVERS_MAX)
		return settings_fail(error, "url: more than %d servers", SERVERS_MAX);
	if (text.len > 0 && text.data[0] == '[') {
		host_end = memchr(text.data, ']', text.len);
		if (host_end == NULL)
			return settings_fail(error, "url: '[' of an IPv6 address without ']'");
		name = str_between(text.data + 1, host_end);
		if (host_end + 1 < end && host_end[1] == ':')
			port = host_end + 2;
		else if (host_end + 1 < end)
			return settings_fail(error, "url: expected ':port' behind the IPv6 address");
	} else {
		host_end = text.len > 0 ? memchr(text.data, ':', text.len) : NULL;
		name = str_between(text.data, host_end != NULL ? host_end : end);
		port = host_end != NULL ? host_end + 1 : NULL;
	}
	if (name.len == 0)
		return settings_fail(error, "url: no host in it");
	if (memchr(name.data, ',', name.len) != NULL)
		return settings_fail(error, "url: a host with a comma; several servers are a list of urls");
	digits = port != NULL ? str_between(port, end) : (struct xf_str){default_port, strlen(default_port)};
	if (digits_value(digits, 65535) <= 0)
		return settings_fail(error, "url: the port is no number from 1 to 65535");
	if (settings_text(name, server->host, sizeof(server->host), "url: the host", error) < 0 ||
	    settings_text(digits, server->port, sizeof(server->port), "url: the port", error) < 0)
		return -1;
	place->server_count++;
	return 0;
}

static int
servers_read(struct xf_str text, bool sentinel, struct place *place, struct xf_error *error)
{
	const char *at = text.data, *end = text.data + text.len, *comma;

	do {
		comma = sentinel && at < end ? memchr(at, ',', (size_t)(end - at)) : NULL;
		if (server_read(str_between(at, comma != NULL ? comma : end), sentinel ? "26379" : "6379", place,
		                error) < 0)
			return -1;
		at = comma != NULL ? comma + 1 : end;
	} while (comma != NULL);
	return 0;
}

static int
db_read(struct xf_str text, struct place *place, struct xf_error *error)
{
	int64_t db = digits_value(text, 1000000);

	if (db < 0)
		return settings_fail(error, "url: the database is no number");
	place->db = (uint32_t)db;
	return 0;
}

/* "path" or "path?db=3", behind "unix://". */
static int
path_read(struct xf_str text, struct place *place, struct xf_error *error)
{
	struct server *server = &place->servers[place->server_count];
	const char *end = text.data + text.len, *query = text.len > 0 ? memchr(text.data, '?', text.len) : NULL;

	if (place->server_count == SERVERS_MAX)
		return settings_fail(error, "url: more than %d servers", SERVERS_MAX);
	if (text.len == 0 || text.data[0] != '/')
		return settings_fail(error, "url: unix:// is followed by an absolute path, unix:///run/redis.sock");
	if (query != NULL && (end - query < 4 || memcmp(query, "?db=", 4) != 0))
		return settings_fail(error, "url: behind the path of a socket only ?db=NUMBER can stand");
	if (query != NULL && db_read(str_between(query + 4, end), place, error) < 0)
		return -1;
	if (text_decode(str_between(text.data, query != NULL ? query : end), server->host, sizeof(server->host), "path",
	                error) < 0)
		return -1;
	if (strlen(server->host) > 107)
		return settings_fail(error, "url: the path of a socket has at most 107 bytes");
	server->port[0] = '\0';
	place->server_count++;
	return 0;
}

/* "/MASTER/db" or "/db". */
static int
rest_read(struct xf_str rest, bool sentinel, struct place *place, struct xf_error *error)
{
	const char *at = rest.data, *end = rest.data + rest.len, *slash;

	if (sentinel) {
		slash = at < end ? memchr(at + 1, '/', (size_t)(end - at - 1)) : NULL;
		if (at == end || at + 1 == (slash != NULL ? slash : end))
			return settings_fail(error, "url: a sentinel's ends with the name that it knows the master by: "
			                            "redis+sentinel://host:26379/mymaster");
		if (text_decode(str_between(at + 1, slash != NULL ? slash : end), place->master, sizeof(place->master),
		                "master's name", error) < 0)
			return -1;
		at = slash != NULL ? slash : end;
	}
	return at + 1 < end ? db_read(str_between(at + 1, end), place, error) : 0;
}

static int
one_read(struct xf_str url, struct place *place, struct xf_error *error)
{
	const struct scheme *scheme = NULL;
	const char *at, *end = url.data + url.len, *slash, *info_end;

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]) && scheme == NULL; i++)
		if (url.len >= strlen(schemes[i].text) &&
		    strncasecmp(url.data, schemes[i].text, strlen(schemes[i].text)) == 0)
			scheme = &schemes[i];
	if (scheme == NULL)
		return settings_fail(error, "url: " EXPECTED);
	at = url.data + strlen(scheme->text);
	place->tls = scheme->tls;

	/* A password may hold an unescaped '@' or '/': the last '@' parts it from the host. */
	info_end = at < end ? memrchr(at, '@', (size_t)(end - at)) : NULL;
	if (info_end != NULL) {
		if (user_info_read(str_between(at, info_end), place, error) < 0)
			return -1;
		at = info_end + 1;
	}
	if (scheme->local)
		return path_read(str_between(at, end), place, error);
	if (memchr(at, '?', (size_t)(end - at)) != NULL || memchr(at, '#', (size_t)(end - at)) != NULL)
		return settings_fail(error, "url: '?' and '#' mean nothing here (write %%3F, %%23 in a password)");
	slash = at < end ? memchr(at, '/', (size_t)(end - at)) : NULL;
	if (servers_read(str_between(at, slash != NULL ? slash : end), scheme->sentinel, place, error) < 0)
		return -1;
	return rest_read(slash != NULL ? str_between(slash, end) : (struct xf_str){end, 0}, scheme->sentinel, place,
	                 error);
}

int
url_read(struct xf_str url, struct place *place, struct xf_error *error)
{
	struct place one = {.server_count = 0};
	const char *differs = NULL;

	if (one_read(url, &one, error) < 0)
		return -1;
	if (place->server_count == 0) {
		*place = one;
		explicit_bzero(&one, sizeof(one));
		return 0;
	}
	if (strcmp(one.master, place->master) != 0)
		differs = "the master of the sentinels";
	else if (one.tls != place->tls)
		differs = "whether there is TLS";
	else if (one.db != 0 && one.db != place->db)
		differs = "the database";
	else if ((one.user[0] != '\0' && strcmp(one.user, place->user) != 0) ||
	         (one.password[0] != '\0' && strcmp(one.password, place->password) != 0))
		differs = "user and password";
	explicit_bzero(one.password, sizeof(one.password));
	if (differs != NULL)
		return settings_fail(error, "url: %s must be the same in all of them", differs);
	if (place->server_count + one.server_count > SERVERS_MAX)
		return settings_fail(error, "url: more than %d servers", SERVERS_MAX);
	memcpy(place->servers + place->server_count, one.servers, one.server_count * sizeof(one.servers[0]));
	place->server_count += one.server_count;
	return 0;
}
