/*
 * servers.c - one list, the settings' servers first; see servers.h.
 */
#include "servers.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "json.h"
#include "link.h"
#include "settings.h"

#define SERVERS_MAX 64u
#define HOST_MAX 255u

/* ---- One server ------------------------------------------------------------ */

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* With %XX as what it stands for. */
static char *
decoded_copy(const char *text, size_t len)
{
	char *copy = need(malloc(len + 1));
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '%' && i + 2 < len && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0) {
			copy[n++] = (char)(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
			i += 2;
		} else {
			copy[n++] = text[i];
		}
	}
	copy[n] = '\0';
	return copy;
}

static bool
port_parse(const char *text, size_t len, char port[6])
{
	size_t digits = 0;

	while (digits < len && isdigit((unsigned char)text[digits]))
		digits++;
	if (len == 0 || len > 5 || digits != len)
		return false;
	memcpy(port, text, len);
	port[len] = '\0';
	return atoi(port) >= 1 && atoi(port) <= 65535;
}

/* host[:port], [::1][:port]; what is wrong with it, or NULL. */
static const char *
place_parse(const char *text, size_t len, struct server *server)
{
	const char *end = text + len, *host = text, *port = NULL, *stop;

	if (len > 0 && *text == '[') {
		host++;
		stop = memchr(text, ']', len);
		if (stop == NULL)
			return "'[' without ']'";
		if (stop + 1 < end)
			port = stop + 1;
	} else {
		stop = memchr(text, ':', len);
		if (stop == NULL)
			stop = end;
		else
			port = stop;
	}
	if (stop == host || (size_t)(stop - host) > HOST_MAX || (port != NULL && *port != ':'))
		return "expected nats://host:port or tls://host:port";
	strcpy(server->port, "4222");
	if (port != NULL && !port_parse(port + 1, (size_t)(end - port) - 1, server->port))
		return "the port is a number from 1 to 65535";
	server->host = copy_string((struct xf_str){host, (uint64_t)(stop - host)});
	return NULL;
}

bool
server_parse(struct xf_str url, struct server *server, struct xf_error *error)
{
	const char *at = url.data, *end = url.data + url.len, *stop, *user_end, *colon, *wrong;

	*server = (struct server){0};
	if (url.len >= 7 && strncasecmp(at, "nats://", 7) == 0) {
		at += 7;
	} else if (url.len >= 6 && strncasecmp(at, "tls://", 6) == 0) {
		at += 6;
		server->tls = true;
	} else {
		snprintf(error->text, sizeof(error->text), "url: expected nats://host:port or tls://host:port");
		return false;
	}
	for (stop = at; stop < end && strchr("/?#", *stop) == NULL; stop++)
		;
	if (stop < end && (*stop != '/' || stop + 1 < end)) {
		snprintf(error->text, sizeof(error->text), "url: expected host:port and nothing after");
		return false;
	}
	user_end = memrchr(at, '@', (size_t)(stop - at));
	if (user_end != NULL) {
		colon = memchr(at, ':', (size_t)(user_end - at));
		server->user = decoded_copy(at, (size_t)((colon != NULL ? colon : user_end) - at));
		if (colon != NULL)
			server->password = decoded_copy(colon + 1, (size_t)(user_end - colon) - 1);
		at = user_end + 1;
	}
	wrong = place_parse(at, (size_t)(stop - at), server);
	if (wrong != NULL) {
		snprintf(error->text, sizeof(error->text), "url: %s", wrong);
		server_fini(server);
		return false;
	}
	return true;
}

void
server_fini(struct server *server)
{
	free(server->host);
	free(server->user);
	free(server->password);
	free(server->tls_name);
	*server = (struct server){0};
}

static const char *
plain_host(const struct server *server)
{
	return strcasecmp(server->host, "localhost") == 0 ? "127.0.0.1" : server->host;
}

void
server_address(const struct server *server, char *out, size_t size)
{
	const char *host = plain_host(server);
	bool brackets = strchr(host, ':') != NULL;

	snprintf(out, size, "%s%s%s:%s", brackets ? "[" : "", host, brackets ? "]" : "", server->port);
	for (size_t i = 0; out[i] != '\0'; i++)
		out[i] = (char)tolower((unsigned char)out[i]);
}

static bool
same_place(const struct server *a, const struct server *b)
{
	return strcasecmp(plain_host(a), plain_host(b)) == 0 && strcmp(a->port, b->port) == 0;
}

static bool
is_bare_address(const char *host)
{
	unsigned char ignored[16];

	return inet_pton(AF_INET, host, ignored) == 1 || inet_pton(AF_INET6, host, ignored) == 1;
}

/* ---- The list -------------------------------------------------------------------- */

static void
shuffle(struct server *list, uint32_t count)
{
	for (uint32_t i = count; i > 1; i--) {
		uint32_t j = random_below(i);
		struct server kept = list[i - 1];

		list[i - 1] = list[j];
		list[j] = kept;
	}
}

void
servers_init(struct servers *servers, const struct settings *settings)
{
	struct xf_error error;

	*servers = (struct servers){.list = need(calloc(SERVERS_MAX + settings->url_count, sizeof(servers->list[0])))};
	for (uint32_t i = 0; i < settings->url_count; i++) {
		struct xf_str url = {settings->urls[i], strlen(settings->urls[i])};

		if (server_parse(url, &servers->list[servers->count], &error))
			servers->count++;
	}
	shuffle(servers->list, servers->count);
	servers->at = servers->count - 1;
}

void
servers_fini(struct servers *servers)
{
	for (uint32_t i = 0; i < servers->count; i++)
		server_fini(&servers->list[i]);
	free(servers->list);
	*servers = (struct servers){0};
}

const struct server *
servers_next(struct servers *servers)
{
	servers->at = (servers->at + 1) % servers->count;
	servers->tried++;
	return &servers->list[servers->at];
}

bool
servers_round_over(struct servers *servers)
{
	if (servers->tried < servers->count)
		return false;
	servers->tried = 0;
	return true;
}

void
servers_reached(struct servers *servers)
{
	servers->tried = 0;
}

/* Removes what was learnt and is not among URLS, except the one in use. */
static void
forget_missing(struct servers *servers, const struct server *named, uint32_t named_count)
{
	uint32_t kept = 0, at = servers->at;

	for (uint32_t i = 0; i < servers->count; i++) {
		struct server *server = &servers->list[i];
		bool keep = !server->learnt || i == servers->at;

		for (uint32_t j = 0; j < named_count && !keep; j++)
			keep = same_place(server, &named[j]);
		if (!keep) {
			server_fini(server);
			continue;
		}
		if (i == servers->at)
			at = kept;
		servers->list[kept++] = *server;
	}
	servers->count = kept;
	servers->at = at;
}

/* Takes what is in NAMED. */
static void
learn(struct servers *servers, struct server *named)
{
	const struct server *from = &servers->list[servers->at];
	uint32_t configured = 0;
	bool known = servers->count >= SERVERS_MAX;

	for (uint32_t i = 0; i < servers->count; i++) {
		known = known || same_place(&servers->list[i], named);
		configured += !servers->list[i].learnt;
	}
	if (known) {
		server_fini(named);
		return;
	}
	named->learnt = true;
	named->tls = from->tls;
	if (from->user != NULL)
		named->user = copy_string((struct xf_str){from->user, strlen(from->user)});
	if (from->password != NULL)
		named->password = copy_string((struct xf_str){from->password, strlen(from->password)});
	if (is_bare_address(named->host)) {
		const char *name = from->tls_name != NULL ? from->tls_name : from->host;

		/* A certificate seldom names addresses; the name that the settings trust is the cluster's. */
		if (!is_bare_address(name))
			named->tls_name = copy_string((struct xf_str){name, strlen(name)});
	}
	servers->list[servers->count++] = *named;
	/* Somewhere among those learnt, but the one in use stays where it is. */
	if (servers->count - configured > 1) {
		uint32_t other = configured + random_below(servers->count - configured);

		if (other != servers->at) {
			struct server kept = servers->list[other];

			servers->list[other] = servers->list[servers->count - 1];
			servers->list[servers->count - 1] = kept;
		}
	}
}

void
servers_learn(struct servers *servers, struct xf_str urls)
{
	struct server named[SERVERS_MAX];
	struct xf_str cursor = urls, element;
	uint32_t count = 0;

	while (count < SERVERS_MAX && json_each(&cursor, &element)) {
		char place[HOST_MAX + 16];

		named[count] = (struct server){0};
		if (json_string(element, place, sizeof(place)) &&
		    place_parse(place, strlen(place), &named[count]) == NULL)
			count++;
	}
	forget_missing(servers, named, count);
	for (uint32_t i = 0; i < count; i++)
		learn(servers, &named[i]);
}
