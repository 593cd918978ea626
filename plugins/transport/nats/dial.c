/*
 * dial.c - how a connection begins; the opening half of link.h.
 *
 *   connect -> INFO from the server -> TLS, if it is wanted -> CONNECT and PING -> PONG
 *
 * This alone waits: connect_timeout is for all of it, per server. From the first PING on the link reads and writes as
 * it always does. What came before TLS in plain text behind the INFO would be somebody else's: it ends the attempt.
 */
#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "nkey.h"
#include "tls.h"

#define IN_SIZE LINK_IN_SIZE
#define OUT_SIZE LINK_OUT_SIZE
#define NONCE_SIZE 256u

bool
link_init(struct link *link, const struct settings *settings, const struct xf_config *transport,
          struct xf_str name, struct xf_error *error)
{
	const struct xf_value *tls = settings->host->option(transport, OPT_TLS);
	bool wanted = tls->present;
	uint32_t i;

	*link = (struct link){.settings = settings, .fd = -1};
	servers_init(&link->servers, settings);
	for (i = 0; i < link->servers.count; i++)
		wanted = wanted || link->servers.list[i].tls;
	if (wanted) {
		link->tls_context = tls_context_create(settings->host, tls->map, error);
		if (link->tls_context == NULL) {
			servers_fini(&link->servers);
			return false;
		}
	}
	if (settings->name != NULL)
		name = (struct xf_str){settings->name, strlen(settings->name)};
	link->name = copy_string(name);
	return true;
}

void
link_fini(struct link *link)
{
	link_close(link);
	servers_fini(&link->servers);
	tls_context_destroy(&link->tls_context);
	free(link->name);
	link->name = NULL;
}

/* ---- Waiting --------------------------------------------------------------------- */

/* Not the host's clock: this is about the time that passes in poll(). */
static int64_t
real_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Until FD has EVENTS, or an error to be found by whoever reads. False: too late, and said so. */
static bool
dial_wait(struct link *link, uint32_t events, int64_t deadline, const char *what)
{
	for (;;) {
		struct pollfd poller = {.fd = link->fd, .events = (short)events};
		int64_t left = deadline - real_ms();
		int n = left > 0 ? poll(&poller, 1, (int)left) : 0;

		if (n > 0)
			return true;
		if (n == 0) {
			link_fail(link, "%s: %s within %u ms", link->server, what,
			          link->settings->connect_timeout_ms);
			return false;
		}
		if (errno != EINTR) {
			link_fail(link, "%s: %s", link->server, strerror(errno));
			return false;
		}
	}
}

/* ---- The socket --------------------------------------------------------------------- */

/* One address of the server. False with errno, and no socket left. */
static bool
address_connect(struct link *link, const struct addrinfo *address, int64_t deadline)
{
	int one = 1, result = 0;
	socklen_t len = sizeof(result);

	link->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (link->fd < 0)
		return false;
	if (connect(link->fd, address->ai_addr, address->ai_addrlen) != 0) {
		struct pollfd poller = {.fd = link->fd, .events = POLLOUT};
		int64_t left = deadline - real_ms();

		result = errno;
		if (result == EINPROGRESS) {
			result = ETIMEDOUT;
			while (left > 0 && poll(&poller, 1, (int)left) < 0 && errno == EINTR)
				left = deadline - real_ms();
			if (poller.revents != 0)
				getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &result, &len);
		}
	}
	if (result != 0) {
		close(link->fd);
		link->fd = -1;
		errno = result;
		return false;
	}
	setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return true;
}

static bool
socket_connect(struct link *link, const struct server *server, int64_t deadline)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL, *at;
	int code = getaddrinfo(server->host, server->port, &hints, &list);
	int64_t now, until;

	if (code != 0) {
		link_fail(link, "%s: no such host: %s", link->server,
		          code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
		return false;
	}
	for (at = list; at != NULL; at = at->ai_next) {
		/* A silent address leaves half of what is left to the next. */
		now = real_ms();
		until = at->ai_next != NULL ? now + (deadline - now) / 2 : deadline;
		if (address_connect(link, at, until))
			break;
	}
	freeaddrinfo(list);
	if (at != NULL)
		return true;
	link_fail(link, "%s: %s", link->server,
	          errno == ETIMEDOUT      ? "no answer; is a firewall between?"
	          : errno == ECONNREFUSED ? "connection refused; is the server running there?"
	                                  : strerror(errno));
	return false;
}

/* ---- The greeting ---------------------------------------------------------------------- */

/* What the server says of itself first. INFO borrows the link's buffer. */
static bool
greeting_read(struct link *link, int64_t deadline, struct xf_str *info)
{
	const char *eol = NULL;

	while (eol == NULL) {
		if (!dial_wait(link, POLLIN, deadline, "no greeting"))
			return false;
		link_read(link);
		if (link->failed)
			return false;
		eol = memchr(link->in, '\n', link->in_end);
		if (eol == NULL && link->in_end == IN_SIZE)
			break;
	}
	if (eol == NULL || link->in_end < 5 || memcmp(link->in, "INFO ", 5) != 0) {
		link_fail(link, "%s: whoever answers there is no NATS server", link->server);
		return false;
	}
	*info = (struct xf_str){link->in + 5, (uint64_t)(eol - link->in) - 5};
	link->in_at = (size_t)(eol + 1 - link->in);
	return true;
}

static bool
tls_begin(struct link *link, const struct server *server, struct xf_str info, int64_t deadline)
{
	bool wanted = server->tls || link->tls_context != NULL, required = json_get_true(info, "tls_required");

	if (!wanted && !required)
		return true;
	if (!wanted) {
		link_fail(link, "%s: the server wants TLS; write tls://, or set 'tls'", link->server);
		return false;
	}
	if (!required && !json_get_true(info, "tls_available")) {
		link_fail(link, "%s: the server offers no TLS; write nats:// and no 'tls' to go without", link->server);
		return false;
	}
	if (link->in_at < link->in_end) {
		link_fail(link, "%s: plain text where TLS was to begin", link->server);
		return false;
	}
	link->tls = need(tls_create(link->tls_context, link->fd,
	                            server->tls_name != NULL ? server->tls_name : server->host));
	for (;;) {
		switch (tls_handshake(link->tls)) {
		case TLS_DONE:
			return true;
		case TLS_AGAIN:
			if (!dial_wait(link, tls_events(link->tls, POLLIN), deadline, "no TLS handshake"))
				return false;
			break;
		default:
			link_fail(link, "%s: %s", link->server, tls_reason(link->tls));
			return false;
		}
	}
}

/* ---- Who we are --------------------------------------------------------------------------- */

static void
field(struct text *body, const char *name, const char *value)
{
	text_printf(body, ",\"%s\":", name);
	text_quote(body, value);
}

static bool
signature_add(struct link *link, struct text *body, struct xf_str info)
{
	const struct settings *settings = link->settings;
	char nonce[NONCE_SIZE], public[NKEY_PUBLIC_SIZE], signature[NKEY_SIGNATURE_SIZE];
	char *jwt = NULL, *seed = NULL;
	struct xf_error error;
	bool done = true;

	if (settings->credentials != NULL && !nkey_credentials_read(settings->credentials, &jwt, &seed, &error)) {
		link_fail(link, "%s: %s", link->server, error.text);
		return false;
	}
	if (!json_get_string(info, "nonce", nonce, sizeof(nonce))) {
		link_fail(link, "%s: the server takes no nkeys: it sends nothing to sign", link->server);
		done = false;
	} else if (!nkey_sign(seed != NULL ? seed : settings->nkey_seed, nonce, public, signature, &error)) {
		link_fail(link, "%s: %s", link->server, error.text);
		done = false;
	} else {
		if (jwt != NULL)
			field(body, "jwt", jwt);
		else
			field(body, "nkey", public);
		field(body, "sig", signature);
	}
	nkey_forget(&jwt);
	nkey_forget(&seed);
	return done;
}

/* The settings' own word goes before that of the URL. */
static bool
identity_add(struct link *link, struct text *body, const struct server *server, struct xf_str info)
{
	const struct settings *settings = link->settings;

	if (settings->credentials != NULL || settings->nkey_seed != NULL)
		return signature_add(link, body, info);
	if (settings->token != NULL) {
		field(body, "auth_token", settings->token);
	} else if (settings->user != NULL) {
		field(body, "user", settings->user);
		field(body, "pass", settings->password != NULL ? settings->password : "");
	} else if (server->user != NULL && server->password == NULL) {
		field(body, "auth_token", server->user);
	} else if (server->user != NULL) {
		field(body, "user", server->user);
		field(body, "pass", server->password);
	}
	return true;
}

static bool
introduce(struct link *link, const struct server *server, struct xf_str info)
{
	struct text body = {0};
	char *out;

	if (!json_get_true(info, "headers")) {
		link_fail(link, "%s: the server is too old, or its headers are switched off", link->server);
		return false;
	}
	text_printf(&body,
	            "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"crossfade\",\"version\":\"%s\","
	            "\"protocol\":1,\"headers\":true,\"no_responders\":true,\"tls_required\":%s",
	            XF_VERSION, link->tls != NULL ? "true" : "false");
	field(&body, "name", link->name);
	if (identity_add(link, &body, server, info)) {
		text_printf(&body, "}\r\n");
		out = link_room(link, body.len);
		memcpy(out, body.data, body.len);
		link_put(link, out + body.len);
	}
	text_fini(&body);
	return !link->failed;
}

/* Until the server has read our CONNECT and answers, or refuses us. */
static bool
welcome_wait(struct link *link, int64_t deadline)
{
	struct link_message message;
	uint64_t ping = link_ping(link);

	while (link->pongs < ping) {
		uint32_t events = link_flush(link) || link->failed ? POLLIN : POLLIN | POLLOUT;

		if (!link->failed && !link_buffered(link) &&
		    !dial_wait(link, link_events(link, events), deadline, "no welcome"))
			return false;
		/* Before it closes, it says why. */
		link_read(link);
		while (link_next(link, &message) != LINK_NOTHING)
			;
		if (link->failed)
			return false;
	}
	return true;
}

void
link_name(char out[LINK_NAME_SIZE])
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	unsigned char random[22];
	size_t i;

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		abort();
	memcpy(out, "_INBOX.", 7);
	for (i = 0; i < sizeof(random); i++)
		out[7 + i] = digits[random[i] % 62];
	out[29] = '.';
	out[30] = '\0';
}

/* Tries the next server. */
static bool
dial(struct link *link)
{
	const struct server *server = servers_next(&link->servers);
	int64_t deadline = real_ms() + link->settings->connect_timeout_ms;
	struct xf_str info;

	link_close(link);
	link->failed = false;
	link->reason[0] = '\0';
	link->server_id[0] = '\0';
	link->setups = 0;
	server_address(server, link->server, sizeof(link->server));
	if (!socket_connect(link, server, deadline))
		return false;
	link->in = need(malloc(IN_SIZE));
	link->out = need(malloc(OUT_SIZE));
	link->out_size = OUT_SIZE;
	link->heard_ms = link->wrote_ms = link->settings->host->now_ms();
	link->greeting = true;
	if (!greeting_read(link, deadline, &info) || !tls_begin(link, server, info, deadline) ||
	    !introduce(link, server, info))
		return false;
	link_info(link, info); /* SERVER may be another one after this */
	if (link->failed || !welcome_wait(link, deadline))
		return false;
	link->greeting = false;
	link_name(link->inbox);
	link->inbox_len = strlen(link->inbox);
	link_printf(link, "SUB %s* %u\r\n", link->inbox, LINK_SID_INBOX);
	return true;
}

/* Adds why one server failed to why the others did. */
static void
round_add(struct link *link)
{
	size_t len = strlen(link->round);

	if (len + 4 < sizeof(link->round))
		snprintf(link->round + len, sizeof(link->round) - len, "%s%s", len > 0 ? "; " : "", link->reason);
}

enum link_opened
link_open(struct link *link)
{
	if (link->servers.tried == 0) {
		link->round[0] = '\0';
		link->refusals = 0;
	}
	link->refused = false;
	if (dial(link)) {
		servers_reached(&link->servers);
		return LINK_OPENED;
	}
	round_add(link);
	if (!servers_round_over(&link->servers))
		return LINK_TRY_NEXT;
	link->refused = link->refusals == link->servers.count;
	return LINK_NONE_LEFT;
}

void
link_close(struct link *link)
{
	tls_destroy(&link->tls);
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
	free(link->in);
	free(link->out);
	free(link->large);
	free(link->lent);
	link->in = link->out = link->large = NULL;
	link->lent = NULL;
	link->in_at = link->in_end = 0;
	link->out_at = link->out_end = link->out_size = 0;
	link->out_base = 0;
	link->large_len = link->large_size = 0;
	link->pings = link->pongs = 0;
	link->greeting = false;
}
