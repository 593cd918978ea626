/*
 * Each listener is one libmicrohttpd daemon with a thread per connection: a change of a migration waits
 * for the disk, and nothing else should wait with it. What strangers can do is bounded: connections (also
 * per address), headers, body, idle time, and the time a body takes to come in.
 *
 * The library calls on_request() three ways for a request: once with the headers, where everything
 * that can be refused without the body is; then with pieces of the body; then once without, where it is
 * answered.
 */
#include "admin/admin.h"

#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/api.h"
#include "admin/listen.h"
#include "admin/page.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

enum {
	CONNECTIONS_MAX = 64,
	CONNECTIONS_PER_ADDRESS_MAX = 32,
	HEADERS_BYTES_MAX = 32 * 1024, /* what a connection may take for all of its head */
	IDLE_SECONDS_MAX = 15,
	BODY_MS_MAX = 15000,
	ARGUMENTS_MAX = 16,
	STACK_BYTES = 512 * 1024,
};

struct listener {
	struct xf_admin *admin;
	struct MHD_Daemon *daemon;
	bool tcp;
};

struct xf_admin {
	struct xf_api api;
	struct listener socket;
	struct listener tcp;
	struct stat socket_made;
	unsigned port;
};

/* One request, from its first line to its answer. */
struct call {
	struct xf_buffer body;
	uint64_t body_until_ms;
	bool too_large;
	bool answered;
};

static const char *
header(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static enum MHD_Result
reply_send(struct MHD_Connection *connection, struct xf_answer *reply)
{
	struct MHD_Response *response;
	enum MHD_Result result;

	response = MHD_create_response_from_buffer(reply->body.len, reply->body.data, MHD_RESPMEM_MUST_COPY);
	xf_buffer_fini(&reply->body);
	if (response == NULL)
		return MHD_NO; /* closes the connection */
	MHD_add_response_header(response, "Content-Type", reply->content_type);
	MHD_add_response_header(response, "Cache-Control", "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (reply->allow != NULL)
		MHD_add_response_header(response, "Allow", reply->allow);
	if (reply->status == 401)
		MHD_add_response_header(response, "WWW-Authenticate", "Bearer realm=\"crossfade\"");
	if (strncmp(reply->content_type, "text/html", 9) == 0)
		MHD_add_response_header(response, "Content-Security-Policy", xf_page_policy);
	result = MHD_queue_response(connection, reply->status, response);
	MHD_destroy_response(response);
	return result;
}

/* Takes as long for every wrong guess of the same length. */
static bool
token_equal(const char *given, const char *token)
{
	size_t given_len = strlen(given), len = strlen(token);
	volatile unsigned char difference = given_len != len;

	for (size_t i = 0; i < given_len; i++)
		difference |= (unsigned char)given[i] ^ (unsigned char)token[len > 0 ? i % len : 0];
	return difference == 0;
}

static bool
token_given(struct MHD_Connection *connection, const char *token)
{
	const char *value = header(connection, "Authorization");

	if (value == NULL || strncasecmp(value, "Bearer ", 7) != 0)
		return false;
	value += 7;
	while (*value == ' ')
		value++;
	return token_equal(value, token);
}

/*
 * A browser on this machine can be made to send requests here by any page. A page of another origin
 * says so in Origin; one whose host name was pointed at this machine says that name in Host. NULL: neither.
 */
static const char *
foreign_page(struct MHD_Connection *connection, bool changes, bool has_token)
{
	const char *origin = header(connection, "Origin"), *host = header(connection, "Host");
	const char *authority = origin != NULL ? strstr(origin, "://") : NULL;
	size_t name_len;

	if (changes && origin != NULL &&
	    (authority == NULL || host == NULL || strcasecmp(authority + 3, host) != 0))
		return "the request comes from a page of another site";
	if (has_token || host == NULL || host[0] == '[' || strspn(host, "0123456789.:") == strlen(host))
		return NULL;
	name_len = strcspn(host, ":");
	if (name_len == strlen("localhost") && strncasecmp(host, "localhost", name_len) == 0)
		return NULL;
	return "without server.admin.token only localhost and numeric addresses may stand in Host";
}

/* False: refused, and *REPLY says why. */
static bool
may_enter(const struct listener *listener, struct MHD_Connection *connection, const char *url,
	  const char *method, struct xf_answer *reply)
{
	const char *token = listener->admin->api.setup.conf->server.admin_token;
	bool changes = strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0;
	const char *foreign;

	if (!listener->tcp)
		return true; /* the mode of the socket file decides */
	foreign = foreign_page(connection, changes, token != NULL);
	if (foreign != NULL) {
		xf_reply_problem(reply, 403, "%s", foreign);
		return false;
	}
	if (token == NULL || (!changes && xf_api_is_open(url)) || token_given(connection, token))
		return true;
	xf_reply_problem(reply, 401, "a token is needed: Authorization: Bearer TOKEN (server.admin.token)");
	return false;
}

static bool
announces_too_much(struct MHD_Connection *connection)
{
	const char *length = header(connection, "Content-Length");

	return length != NULL && strtoull(length, NULL, 10) > XF_API_BODY_MAX;
}

/* The first of the three: everything that needs no body. */
static enum MHD_Result
call_begin(const struct listener *listener, struct MHD_Connection *connection, const char *url,
	   const char *method, struct call *call)
{
	struct xf_answer reply = {0};

	call->body_until_ms = xf_now_ms() + BODY_MS_MAX;
	if (!may_enter(listener, connection, url, method, &reply)) {
		call->answered = true;
		return reply_send(connection, &reply);
	}
	if (announces_too_much(connection)) {
		call->answered = true;
		xf_reply_problem(&reply, 413, "a body may have %u bytes", XF_API_BODY_MAX);
		return reply_send(connection, &reply);
	}
	return MHD_YES;
}

static enum MHD_Result
call_body(struct call *call, const char *data, size_t *size)
{
	if (xf_now_ms() > call->body_until_ms)
		return MHD_NO;
	if (call->body.len + *size > XF_API_BODY_MAX)
		call->too_large = true;
	else
		xf_buffer_append(&call->body, data, *size);
	*size = 0;
	return MHD_YES;
}

static void
who_name(const struct listener *listener, struct MHD_Connection *connection, char *out, size_t size)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection,
		                                                       MHD_CONNECTION_INFO_CONNECTION_FD);
	char peer[128] = "unknown";

	if (info != NULL)
		xf_peer_name(info->connect_fd, peer, sizeof peer);
	if (listener->tcp && listener->admin->api.setup.conf->server.admin_token != NULL)
		snprintf(out, size, "admin token (%s)", peer);
	else
		snprintf(out, size, "%s", peer);
}

struct query {
	struct xf_argument arguments[ARGUMENTS_MAX];
	size_t count; /* of all that were given */
};

static enum MHD_Result
on_argument(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct query *query = context;

	(void)kind;
	if (query->count < ARGUMENTS_MAX)
		query->arguments[query->count] = (struct xf_argument){name, value};
	query->count++;
	return MHD_YES;
}

static enum MHD_Result
call_answer(struct listener *listener, struct MHD_Connection *connection, const char *url, const char *method,
	    struct call *call)
{
	struct xf_answer reply = {0};
	struct query query = {.count = 0};
	char who[192];

	call->answered = true;
	if (call->too_large) {
		xf_reply_problem(&reply, 413, "a body may have %u bytes", XF_API_BODY_MAX);
		return reply_send(connection, &reply);
	}
	who_name(listener, connection, who, sizeof who);
	MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, on_argument, &query);
	if (query.count > ARGUMENTS_MAX) {
		xf_reply_problem(&reply, 400, "a request may have %d arguments", ARGUMENTS_MAX);
		return reply_send(connection, &reply);
	}
	xf_api_answer(&listener->admin->api,
		      &(struct xf_request){
			      .method = method,
			      .path = url,
			      .arguments = query.arguments,
			      .argument_count = query.count,
			      .content_type = header(connection, "Content-Type"),
			      .body = {call->body.data, call->body.len},
			      .who = who,
		      },
		      &reply);
	return reply_send(connection, &reply);
}

static enum MHD_Result
on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
	   const char *version, const char *data, size_t *size, void **state)
{
	struct listener *listener = context;
	struct call *call = *state;

	(void)version;
	if (call == NULL) {
		*state = call = xf_alloc(sizeof *call);
		return call_begin(listener, connection, url, method, call);
	}
	if (*size > 0)
		return call_body(call, data, size);
	if (call->answered)
		return MHD_YES;
	return call_answer(listener, connection, url, method, call);
}

static void
on_completed(void *context, struct MHD_Connection *connection, void **state,
	     enum MHD_RequestTerminationCode why)
{
	struct call *call = *state;

	(void)context, (void)connection, (void)why;
	if (call != NULL)
		xf_buffer_fini(&call->body);
	free(call);
	*state = NULL;
}

static void __attribute__((format(printf, 2, 0)))
on_log(void *context, const char *format, va_list args)
{
	char text[512];
	size_t len;

	(void)context;
	if (!xf_log_wants(XF_LOG_DEBUG))
		return;
	vsnprintf(text, sizeof text, format, args);
	for (len = strlen(text); len > 0 && text[len - 1] == '\n';)
		text[--len] = '\0';
	xf_log(XF_LOG_DEBUG, "admin", "%s", text);
}

/* Takes FD in success; after a failure nobody can tell whether the library closed it, and the process ends.
 */
static enum xf_status
listener_start(struct listener *listener, int fd, struct xf_error *error)
{
	unsigned flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_ERROR_LOG;
	struct MHD_OptionItem bounds[] = {
		{MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, NULL},
		{MHD_OPTION_CONNECTION_MEMORY_LIMIT, HEADERS_BYTES_MAX, NULL},
		{MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS_MAX, NULL},
		{MHD_OPTION_THREAD_STACK_SIZE, STACK_BYTES, NULL},
		{listener->tcp ? MHD_OPTION_PER_IP_CONNECTION_LIMIT : MHD_OPTION_END,
		 CONNECTIONS_PER_ADDRESS_MAX, NULL},
		{MHD_OPTION_END, 0, NULL},
	};

	listener->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, listener,
		                            MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
		                            MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED,
		                            on_completed, NULL, MHD_OPTION_ARRAY, bounds, MHD_OPTION_END);
	if (listener->daemon == NULL)
		return xf_error_set(error,
			            "admin: the HTTP server does not start (out of threads or memory)");
	return XF_OK;
}

static enum xf_status
socket_start(struct xf_admin *admin, struct xf_error *error)
{
	const char *path = admin->api.setup.conf->server.admin_socket;
	int fd = xf_listen_unix(path, &admin->socket_made, error);

	if (fd < 0)
		return XF_FAILED;
	if (listener_start(&admin->socket, fd, error) != XF_OK) {
		xf_listen_unix_remove(path, &admin->socket_made);
		return XF_FAILED;
	}
	xf_log(XF_LOG_INFO, "admin", "listening socket=%s", path);
	return XF_OK;
}

static enum xf_status
tcp_start(struct xf_admin *admin, struct xf_error *error)
{
	const struct xf_conf_server *server = &admin->api.setup.conf->server;
	bool loopback = false;
	int fd;

	if (server->admin_listen == NULL)
		return XF_OK;
	fd = xf_listen_tcp(server->admin_listen, &loopback, error);
	if (fd < 0)
		return XF_FAILED;
	if (!loopback && server->admin_token == NULL) {
		close(fd);
		return xf_error_set(
			error,
			"admin address '%s' can be reached from other machines: set server.admin.token",
			server->admin_listen);
	}
	admin->port = xf_listen_port(fd);
	if (listener_start(&admin->tcp, fd, error) != XF_OK)
		return XF_FAILED;
	xf_log(XF_LOG_INFO, "admin", "listening address=%s port=%u token=%s", server->admin_listen,
	       admin->port, server->admin_token != NULL ? "yes" : "no");
	return XF_OK;
}

struct xf_admin *
xf_admin_start(const struct xf_admin_setup *setup, struct xf_error *error)
{
	struct xf_admin *admin = xf_alloc(sizeof *admin);

	admin->api.setup = *setup;
	atomic_init(&admin->api.draining, false);
	admin->socket.admin = admin;
	admin->tcp = (struct listener){.admin = admin, .tcp = true};
	if (socket_start(admin, error) != XF_OK || tcp_start(admin, error) != XF_OK)
		xf_admin_stop(&admin);
	return admin;
}

unsigned
xf_admin_port(const struct xf_admin *admin)
{
	return admin->port;
}

void
xf_admin_draining(struct xf_admin *admin)
{
	atomic_store(&admin->api.draining, true);
}

void
xf_admin_stop(struct xf_admin **admin)
{
	struct xf_admin *old = *admin;

	if (old == NULL)
		return;
	*admin = NULL;
	if (old->tcp.daemon != NULL)
		MHD_stop_daemon(old->tcp.daemon);
	if (old->socket.daemon != NULL) {
		xf_listen_unix_remove(old->api.setup.conf->server.admin_socket, &old->socket_made);
		MHD_stop_daemon(old->socket.daemon);
	}
	free(old);
}
