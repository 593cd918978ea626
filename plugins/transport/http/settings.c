#include "settings.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "paths.h"
#include "words.h"

enum {
	ROW_LISTEN,
	ROW_URL,
	ROW_TOKEN,
	ROW_USER,
	ROW_PASSWORD,
	ROW_TLS,
	ROW_TIMEOUT,
	ROW_REQUEST_TIMEOUT,
	ROW_IDLE_TIMEOUT,
	ROW_MAX_BODY,
	ROW_MAX_HEAD,
	ROW_MAX_SUBJECT,
	ROW_MAX_HEADERS,
	ROW_MAX_HEADER_VALUE,
	ROW_MAX_CONNECTIONS,
	ROW_MAX_BYTES,
	ROW_REPLY_SUBJECT,
	ROW_PATHS,
};

enum { TLS_CERT, TLS_KEY, TLS_CLIENT_CA, TLS_CA, TLS_VERIFY };

enum { SINK_ROW_MODE, SINK_ROW_PATH, SINK_ROW_PARALLEL, SINK_ROW_TIMEOUT, SINK_ROW_CONNECT_TIMEOUT, SINK_ROW_PROXY };

#define OPTION(kind, name, ...)                                                                                    \
	{.struct_size = sizeof(struct xf_option), .type = XF_OPTION_##kind, .key = name, __VA_ARGS__}

static const struct xf_option tls_cert = OPTION(PATH, "cert",
	.help = "Certificate in PEM, with the chain behind it: the listener's, or a webhook's client certificate");
static const struct xf_option tls_key = OPTION(PATH, "key", .help = "Its private key in PEM");
static const struct xf_option tls_client_ca = OPTION(PATH, "client_ca",
	.help = "Certificates in PEM; a client of the listener must present one that they signed");
static const struct xf_option tls_ca = OPTION(PATH, "ca",
	.help = "Certificates in PEM that a webhook's server must be signed by; without it the system's");
static const struct xf_option tls_verify = OPTION(BOOL, "verify", .def = "true",
	.help = "Whether the certificate of a webhook's server is checked; false is for tests only");
static const struct xf_option *const tls_fields[] = {&tls_cert, &tls_key, &tls_client_ca, &tls_ca, &tls_verify, NULL};

static const struct xf_option option_listen = OPTION(STRING, "listen",
	.help = "Where applications publish: HOST:PORT, [IPv6]:PORT, or :PORT for every address; sources need it");
static const struct xf_option option_url = OPTION(URL, "url",
	.help = "Where webhook sinks post: http[s]://host[:port][/path]");
static const struct xf_option option_token = OPTION(STRING, "token", .flags = XF_OPTION_SECRET,
	.help = "Bearer token: who publishes must present it, and a webhook is sent it");
static const struct xf_option option_user = OPTION(STRING, "user", .help = "User that a webhook is sent (Basic)");
static const struct xf_option option_password = OPTION(STRING, "password", .flags = XF_OPTION_SECRET,
	.help = "Password of the user");
static const struct xf_option option_tls = OPTION(MAP, "tls", .fields = tls_fields,
	.help = "With cert and key the listener speaks HTTPS; ca and verify are for webhooks");
static const struct xf_option option_timeout = OPTION(DURATION, "timeout", .def = "30s", .min = 100, .max = 600000,
	.help = "How long a publisher waits until its message is accepted, then it is told 503");
static const struct xf_option option_request_timeout = OPTION(DURATION, "request_timeout", .def = "5s", .min = 1,
	.max = 600000, .help = "How long a request waits for its reply where it does not say itself");
static const struct xf_option option_idle_timeout = OPTION(DURATION, "idle_timeout", .def = "30s", .min = 1000,
	.max = 3600000, .help = "A client that is silent for so long, or half through its request, is cut off");
static const struct xf_option option_max_body = OPTION(BYTES, "max_body", .def = "8MiB", .min = 1, .max = 1 << 30,
	.help = "The longest body that is taken, of one message or of a batch");
static const struct xf_option option_max_head = OPTION(BYTES, "max_head", .def = "64KiB", .min = 4096,
	.max = 4 << 20, .help = "The most that request line and headers may take; each connection may use so much");
static const struct xf_option option_max_subject = OPTION(BYTES, "max_subject", .def = "1KiB", .min = 1,
	.max = 64 << 10, .help = "The longest subject; like max_headers and max_header_value it follows the server's limit");
static const struct xf_option option_max_headers = OPTION(I64, "max_headers", .def = "64", .min = 1, .max = 1024,
	.unit = "headers", .help = "How many headers a message may bring");
static const struct xf_option option_max_header_value = OPTION(BYTES, "max_header_value", .def = "4KiB", .min = 64,
	.max = 1 << 20, .help = "The longest value of a header, an id or a key");
static const struct xf_option option_max_connections = OPTION(I64, "max_connections", .def = "4096", .min = 1,
	.max = 60000, .unit = "connections", .help = "How many clients are served at once; others wait to be let in");
static const struct xf_option option_max_bytes = OPTION(BYTES, "max_bytes", .def = "64MiB", .min = 1 << 16,
	.max = 1ll << 36, .help = "The most memory that bodies not yet accepted may take; past it new ones are told 503");
static const struct xf_option option_reply_subject = OPTION(SUBJECT, "reply_subject",
	.help = "What the reply subjects of requests begin with; default crossfade.reply.SERVER");

static const struct xf_option option_paths = OPTION(MAP, "paths", .flags = XF_OPTION_LIST, .fields = paths_fields,
	.help = "Paths of the listener beside /publish and /request, and the subjects that they are for");

const struct xf_option *const settings_transport_options[] = {
	[ROW_LISTEN] = &option_listen,
	[ROW_URL] = &option_url,
	[ROW_TOKEN] = &option_token,
	[ROW_USER] = &option_user,
	[ROW_PASSWORD] = &option_password,
	[ROW_TLS] = &option_tls,
	[ROW_TIMEOUT] = &option_timeout,
	[ROW_REQUEST_TIMEOUT] = &option_request_timeout,
	[ROW_IDLE_TIMEOUT] = &option_idle_timeout,
	[ROW_MAX_BODY] = &option_max_body,
	[ROW_MAX_HEAD] = &option_max_head,
	[ROW_MAX_SUBJECT] = &option_max_subject,
	[ROW_MAX_HEADERS] = &option_max_headers,
	[ROW_MAX_HEADER_VALUE] = &option_max_header_value,
	[ROW_MAX_CONNECTIONS] = &option_max_connections,
	[ROW_MAX_BYTES] = &option_max_bytes,
	[ROW_REPLY_SUBJECT] = &option_reply_subject,
	[ROW_PATHS] = &option_paths,
	NULL,
};

static const char *const modes[] = {[SINK_WEBHOOK] = "webhook", [SINK_REPLY] = "reply", NULL};
static const struct xf_option sink_mode = OPTION(ENUM, "mode", .def = "webhook", .values = modes,
	.help = "webhook: messages are posted to the url; reply: they answer requests of this transport's listener");
static const struct xf_option sink_path = OPTION(STRING, "path",
	.help = "Stands behind the url's path; {subject} in it is the message's subject, percent-encoded");
static const struct xf_option sink_parallel = OPTION(I64, "parallel", .def = "1", .min = 1, .max = 256,
	.unit = "requests", .help = "How many requests are under way at once; above 1 only messages of one key keep their order");
static const struct xf_option sink_timeout = OPTION(DURATION, "timeout", .def = "30s", .min = 10, .max = 600000,
	.help = "How long the server may take to answer a request");
static const struct xf_option sink_connect_timeout = OPTION(DURATION, "connect_timeout", .def = "5s", .min = 10,
	.max = 60000, .help = "How long connecting may take, the TLS handshake included");
static const struct xf_option sink_proxy = OPTION(URL, "proxy",
	.help = "Proxy that requests go through, http://host:port or socks5h://host:port; the environment's is not asked");

const struct xf_option *const settings_sink_options[] = {
	[SINK_ROW_MODE] = &sink_mode,
	[SINK_ROW_PATH] = &sink_path,
	[SINK_ROW_PARALLEL] = &sink_parallel,
	[SINK_ROW_TIMEOUT] = &sink_timeout,
	[SINK_ROW_CONNECT_TIMEOUT] = &sink_connect_timeout,
	[SINK_ROW_PROXY] = &sink_proxy,
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

/* ---- Reading ------------------------------------------------------------------------- */

static int
listen_read(struct settings *settings, struct xf_error *error)
{
	struct xf_str text = settings->listen;
	const char *colon = memrchr(text.data, ':', text.len), *host = text.data;
	size_t host_len, port_len;

	if (colon == NULL)
		return settings_fail(error, "listen: expected HOST:PORT, as 127.0.0.1:8080, [::1]:8080 or :8080");
	host_len = (size_t)(colon - text.data);
	port_len = text.len - host_len - 1;
	if (host_len > 0 && host[0] == '[') {
		if (host[host_len - 1] != ']')
			return settings_fail(error, "listen: '[' of an IPv6 address without ']'");
		host++;
		host_len -= 2;
	} else if (memchr(host, ':', host_len) != NULL) {
		return settings_fail(error, "listen: an IPv6 address stands in brackets, as [::1]:8080");
	}
	if (host_len >= sizeof(settings->host) || memchr(host, '\0', host_len) != NULL)
		return settings_fail(error, "listen: the host is too long");
	if (port_len == 0 || port_len > 5 || strspn(colon + 1, "0123456789") != port_len || strtol(colon + 1, NULL, 10) > 65535)
		return settings_fail(error, "listen: the port is no number up to 65535");
	memcpy(settings->host, host, host_len);
	settings->host[host_len] = '\0';
	memcpy(settings->port, colon + 1, port_len + 1);
	return 0;
}

static int
url_check(struct xf_str url, struct xf_error *error)
{
	const char *at, *end = url.data + url.len;

	if (url.len > 7 && strncasecmp(url.data, "http://", 7) == 0)
		at = url.data + 7;
	else if (url.len > 8 && strncasecmp(url.data, "https://", 8) == 0)
		at = url.data + 8;
	else
		return settings_fail(error, "url: expected http://host[:port][/path] or https://...");
	if (*at == '/' || *at == ':')
		return settings_fail(error, "url: it names no host");
	for (; at < end; at++) {
		if ((unsigned char)*at <= ' ' || *at == 0x7f)
			return settings_fail(error, "url: a space or control character; write %%20");
		if (*at == '#')
			return settings_fail(error, "url: '#' means nothing to a server (write %%23)");
	}
	return 0;
}

static void
tls_read(const struct xf_host *host, const struct xf_config *map, struct settings *settings)
{
	settings->tls_verify = true;
	if (map == NULL)
		return;
	settings->tls_cert = host->option(map, TLS_CERT)->str;
	settings->tls_key = host->option(map, TLS_KEY)->str;
	settings->tls_client_ca = host->option(map, TLS_CLIENT_CA)->str;
	settings->tls_ca = host->option(map, TLS_CA)->str;
	settings->tls_verify = host->option(map, TLS_VERIFY)->i64 != 0;
}

int
settings_read(const struct xf_host *host, const struct xf_config *config, struct settings *settings,
              struct xf_error *error)
{
	*settings = (struct settings){
		.listen = host->option(config, ROW_LISTEN)->str,
		.timeout_ms = (uint64_t)host->option(config, ROW_TIMEOUT)->i64,
		.request_timeout_ms = (uint64_t)host->option(config, ROW_REQUEST_TIMEOUT)->i64,
		.idle_timeout_ms = (uint64_t)host->option(config, ROW_IDLE_TIMEOUT)->i64,
		.max_body = (uint64_t)host->option(config, ROW_MAX_BODY)->i64,
		.max_head = (uint64_t)host->option(config, ROW_MAX_HEAD)->i64,
		.max_subject = (uint64_t)host->option(config, ROW_MAX_SUBJECT)->i64,
		.max_header_value = (uint64_t)host->option(config, ROW_MAX_HEADER_VALUE)->i64,
		.max_headers = (uint32_t)host->option(config, ROW_MAX_HEADERS)->i64,
		.max_connections = (uint32_t)host->option(config, ROW_MAX_CONNECTIONS)->i64,
		.max_bytes = (uint64_t)host->option(config, ROW_MAX_BYTES)->i64,
		.reply_subject = host->option(config, ROW_REPLY_SUBJECT)->str,
		.paths = host->option(config, ROW_PATHS),
		.url = host->option(config, ROW_URL)->str,
		.user = host->option(config, ROW_USER)->str,
		.password = host->option(config, ROW_PASSWORD)->str,
		.token = host->option(config, ROW_TOKEN)->str,
	};
	tls_read(host, host->option(config, ROW_TLS)->map, settings);
	if (settings->listen.len == 0 && settings->url.len == 0)
		return settings_fail(error, "one of listen (for sources) and url (for webhook sinks) is needed");
	if (settings->listen.len > 0 && listen_read(settings, error) < 0)
		return -1;
	if (settings->url.len > 0 && url_check(settings->url, error) < 0)
		return -1;
	if ((settings->tls_cert.len > 0) != (settings->tls_key.len > 0))
		return settings_fail(error, "tls: cert and key belong together; one is missing");
	if (settings->tls_client_ca.len > 0 && settings->tls_cert.len == 0)
		return settings_fail(error, "tls: client_ca needs cert and key: without them the listener speaks plain HTTP");
	if (settings->user.len == 0 && settings->password.len > 0)
		return settings_fail(error, "password: it needs a user");
	if (settings->user.len > 0 && settings->token.len > 0 && settings->listen.len == 0)
		return settings_fail(error, "token: a webhook is sent either a token or user and password");
	if (memchr(settings->token.len > 0 ? settings->token.data : "", '\n', settings->token.len) != NULL)
		return settings_fail(error, "token: it has a line break");
	if (settings->reply_subject.len > 200 ||
	    (settings->reply_subject.len > 0 && subject_wrong(settings->reply_subject) != NULL))
		return settings_fail(error, "reply_subject: expected a subject without wildcards, as crossfade.reply.edge-1");
	if (settings->paths->count > 0 && settings->listen.len == 0)
		return settings_fail(error, "paths: they are the listener's; set listen");
	return paths_check(host, settings->paths, error);
}

void
sink_settings_read(const struct xf_host *host, const struct xf_config *config, struct sink_settings *settings)
{
	*settings = (struct sink_settings){
		.mode = (int)host->option(config, SINK_ROW_MODE)->i64,
		.path = host->option(config, SINK_ROW_PATH)->str,
		.parallel = (uint32_t)host->option(config, SINK_ROW_PARALLEL)->i64,
		.timeout_ms = (uint64_t)host->option(config, SINK_ROW_TIMEOUT)->i64,
		.connect_timeout_ms = (uint64_t)host->option(config, SINK_ROW_CONNECT_TIMEOUT)->i64,
		.proxy = host->option(config, SINK_ROW_PROXY)->str,
	};
}

int
settings_check_source(const struct settings *settings, struct xf_error *error)
{
	if (settings->listen.len == 0)
		return settings_fail(error, "the transport has no listen; a source needs one, as listen: 127.0.0.1:8080");
	return 0;
}

/* What stands in braces must be {subject}: anything else would be posted as it is, unnoticed. */
static int
path_check(struct xf_str path, struct xf_error *error)
{
	for (uint64_t i = 0; i < path.len; i++) {
		unsigned char c = (unsigned char)path.data[i];

		if (c <= ' ' || c == 0x7f || c == '#')
			return settings_fail(error, "path: a space, '#' or control character; write %%20, %%23");
		if (c == '}')
			return settings_fail(error, "path: a '}' without '{'");
		if (c != '{')
			continue;
		if (path.len - i < 9 || memcmp(path.data + i, "{subject}", 9) != 0)
			return settings_fail(error, "path: only {subject} can stand in it; give the sink a subject to "
			                            "take other parts of a message");
		i += 8;
	}
	return 0;
}

int
settings_check_sink(const struct settings *settings, const struct sink_settings *sink, struct xf_error *error)
{
	if (sink->mode == SINK_REPLY) {
		if (settings->listen.len == 0)
			return settings_fail(error, "mode: reply needs a transport with listen: replies go to its requests");
		if (sink->path.len > 0)
			return settings_fail(error, "path: only with mode: webhook");
		return 0;
	}
	if (settings->url.len == 0)
		return settings_fail(error, "the transport has no url to post to; set one, or mode: reply");
	if (sink->path.len > 0 && memchr(settings->url.data, '?', settings->url.len) != NULL)
		return settings_fail(error, "path: the url has a query already; write the query into path");
	return path_check(sink->path, error);
}

/* ---- Addresses -------------------------------------------------------------------------- */

#define ADDRESS_SIZE 1024

static uint32_t
address_put(const char *text, char *out, uint32_t size)
{
	size_t len = strlen(text);

	if (len < size)
		size = (uint32_t)len;
	memcpy(out, text, size);
	return size;
}

/* Names of this machine look alike. */
static const char *
host_compared(char *host)
{
	for (char *at = host; *at != '\0'; at++)
		*at = (char)tolower((unsigned char)*at);
	if (host[0] == '\0' || strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 || strcmp(host, "0.0.0.0") == 0 ||
	    strcmp(host, "::") == 0)
		return "127.0.0.1";
	return host;
}

uint32_t
settings_address_listen(const struct settings *settings, char *out, uint32_t size)
{
	char text[ADDRESS_SIZE], host[256];

	snprintf(host, sizeof(host), "%s", settings->host);
	snprintf(text, sizeof(text), "http://%s:%s", host_compared(host), settings->port);
	return address_put(text, out, size);
}

uint32_t
settings_address_reply(const struct settings *settings, char *out, uint32_t size)
{
	char text[ADDRESS_SIZE], host[256];

	snprintf(host, sizeof(host), "%s", settings->host);
	snprintf(text, sizeof(text), "http-reply://%s:%s", host_compared(host), settings->port);
	return address_put(text, out, size);
}

/* A listener of this plugin has its subjects in the path, so only another path is another place. */
uint32_t
settings_address_url(const struct settings *settings, const struct sink_settings *sink, char *out, uint32_t size)
{
	bool secure = settings->url.len > 5 && tolower((unsigned char)settings->url.data[4]) == 's';
	const char *at = settings->url.data + (secure ? 8 : 7), *end = settings->url.data + settings->url.len;
	const char *path = at + strcspn(at, "/?"), *user = memrchr(at, '@', (size_t)(path - at));
	const char *host = user != NULL ? user + 1 : at, *port = secure ? "443" : "80", *host_end = path;
	char text[ADDRESS_SIZE], name[256];
	bool ours;

	if (*host == '[') {
		host++;
		host_end = memchr(host, ']', (size_t)(path - host));
		if (host_end == NULL)
			return 0;
		if (host_end[1] == ':')
			port = host_end + 2;
	} else if (memchr(host, ':', (size_t)(path - host)) != NULL) {
		host_end = memchr(host, ':', (size_t)(path - host));
		port = host_end + 1;
	}
	snprintf(name, sizeof(name), "%.*s", (int)(host_end - host), host);
	ours = strncmp(path, "/publish", 8) == 0 || strncmp(path, "/request", 8) == 0 ||
	       (sink->path.len >= 8 && strlen(path) < 2 &&
	        (strncmp(sink->path.data, "/publish", 8) == 0 || strncmp(sink->path.data, "/request", 8) == 0));
	snprintf(text, sizeof(text), "http://%s:%.*s%s%.*s%.*s", host_compared(name), (int)strspn(port, "0123456789"), port,
	         ours ? "" : " ", ours ? 0 : (int)(end - path), path, ours ? 0 : (int)sink->path.len,
	         sink->path.len > 0 ? sink->path.data : "");
	return address_put(text, out, size);
}
