/*
 * The thread waits for two descriptors, the library's epoll and the exchange's bell, and for the next time that
 * something ends. It resumes the connections whose calls are done; the library then asks for their answers.
 *
 * The library's own time-out is about silence. A client that sends a byte now and then is never silent, so each
 * connection has a time by which its request must be whole: that long for a head, and for a body longer as more
 * of it comes. Past it the socket is shut down and the library finds the connection ended.
 */
#include "listener.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "socket.h"
#include "visit.h"

#define STOP_MS 2000u
#define STOP_UNREAD_MS 500u /* for a connection whose first request is not read yet */
#define RETRY_FIRST_MS 100u
#define RETRY_MAX_MS 5000u
#define BODY_BYTES_PER_S (64u << 10) /* a client that is slower than this may be cut off */
#define SWEEP_MS 500u
#define FILE_MAX (1u << 20)

/* A connection. */
struct client {
	struct client *prev, *next;
	int fd;
	uint64_t until_ms; /* the request must be whole by then; UINT64_MAX: it is */
	bool verified;     /* its certificate */
	bool served;       /* a request of it was seen */
};

struct listener {
	struct exchange *exchange;
	struct xf_str transport;
	pthread_mutex_t life; /* of what is up to the thread */
	unsigned users;
	bool running;
	unsigned retry_ms;
	uint64_t retry_at_ms;
	char reason[sizeof(((struct xf_error *)0)->text)];
	struct shared_socket *socket;
	struct shared_socket *reserved; /* of the transport that this one succeeds, until it has its own */
	pthread_t thread;
	char *files[3]; /* PEM: certificate, key, clients' CA */
	_Atomic bool stopping;
	_Atomic uint64_t connections, cut_off;
	_Atomic unsigned port;
	/* the thread's */
	struct MHD_Daemon *daemon;
	struct client *clients;
	uint64_t sweep_at_ms;
	unsigned visits;
	unsigned unread; /* clients of which no request was seen */
	bool quiet; /* accepts no more */
};

/* ---- Connections --------------------------------------------------------------------------- */

static uint64_t
now_of(const struct listener *listener)
{
	return listener->exchange->host->now_ms();
}

/* Idle, then half through a head: each may take as long as the time-out. */
static void
client_await_head(const struct listener *listener, struct client *client)
{
	client->until_ms = now_of(listener) + 2 * listener->exchange->settings->idle_timeout_ms;
}

static void
client_add(struct listener *listener, struct MHD_Connection *connection, void **context)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct client *client = calloc(1, sizeof(*client));

	*context = client;
	if (client == NULL)
		return; /* its requests are refused */
	client->fd = info != NULL ? info->connect_fd : -1;
	client->next = listener->clients;
	if (client->next != NULL)
		client->next->prev = client;
	listener->clients = client;
	client_await_head(listener, client);
	listener->unread++;
	atomic_fetch_add(&listener->connections, 1);
}

static void
client_remove(struct listener *listener, void **context)
{
	struct client *client = *context;

	*context = NULL;
	if (client == NULL)
		return;
	if (client->prev != NULL)
		client->prev->next = client->next;
	else
		listener->clients = client->next;
	if (client->next != NULL)
		client->next->prev = client->prev;
	if (!client->served)
		listener->unread--;
	free(client);
	atomic_fetch_sub(&listener->connections, 1);
}

static void
on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
              enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		client_add(context, connection, socket_context);
	else
		client_remove(context, socket_context);
}

static void
clients_sweep(struct listener *listener, uint64_t now)
{
	if (now < listener->sweep_at_ms)
		return;
	listener->sweep_at_ms = now + SWEEP_MS;
	for (struct client *client = listener->clients; client != NULL; client = client->next) {
		if (now < client->until_ms || client->fd < 0)
			continue;
		shutdown(client->fd, SHUT_RDWR);
		client->until_ms = UINT64_MAX;
		atomic_fetch_add(&listener->cut_off, 1);
	}
}

/* ---- Requests ---------------------------------------------------------------------------------- */

/* The library asks for clients' certificates and leaves judging them to us. */
static bool
client_is_trusted(struct listener *listener, struct MHD_Connection *connection, struct client *client)
{
	const union MHD_ConnectionInfo *info;
	unsigned status = 0;

	if (listener->files[2] == NULL || client->verified)
		return true;
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	client->verified = info != NULL && info->tls_session != NULL &&
	                   gnutls_certificate_verify_peers2(info->tls_session, &status) == GNUTLS_E_SUCCESS && status == 0;
	return client->verified;
}

/* Whoever does not take the answer holds its memory, so that has its time as well. */
static enum MHD_Result
visit_answer(struct visit *visit)
{
	const struct exchange *exchange = visit->exchange;
	enum MHD_Result result = answer_send(visit);

	visit->client->until_ms = exchange->host->now_ms() + exchange->settings->idle_timeout_ms +
	                          visit->answer_len * 1000 / BODY_BYTES_PER_S;
	return result;
}

static enum MHD_Result
visit_begin(struct listener *listener, struct MHD_Connection *connection, const char *url, const char *method,
            const char *version, void **context)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct visit *visit = calloc(1, sizeof(*visit));

	*context = visit;
	if (visit == NULL || info == NULL || info->socket_context == NULL)
		return MHD_NO;
	listener->visits++;
	visit->exchange = listener->exchange;
	visit->connection = connection;
	visit->client = info->socket_context;
	if (!visit->client->served)
		listener->unread--;
	visit->client->served = true;
	visit->client->until_ms = now_of(listener) + listener->exchange->settings->idle_timeout_ms;
	if (!client_is_trusted(listener, connection, visit->client))
		visit_refuse(visit, 403, "a client certificate is needed that the listener's client_ca signed");
	if (request_begin(visit, url, method, version))
		return MHD_YES;
	return visit_answer(visit);
}

/* The routes have it now, or never will. */
static enum MHD_Result
visit_submit(struct visit *visit)
{
	visit->client->until_ms = UINT64_MAX;
	if (visit->refusal.status == 0)
		request_end(visit);
	if (visit->refusal.status != 0)
		return visit_answer(visit);
	visit->call->owner = visit;
	switch (exchange_submit(visit->exchange, visit->call)) {
	case SUBMIT_WAITS:
		/* Done it may be already, but it is this thread that finds out, later. */
		visit->phase = VISIT_WAITING;
		MHD_suspend_connection(visit->connection);
		return MHD_YES;
	case SUBMIT_NO_REPLIES:
		visit_refuse(visit, 503, "no route replies to requests: one needs 'to: reply', 'request', or 'to: {transport: THIS, mode: reply}'");
		break;
	case SUBMIT_DONE:
		break;
	}
	return visit_answer(visit);
}

static enum MHD_Result
on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
           const char *data, size_t *size, void **state)
{
	struct listener *listener = context;
	struct visit *visit = *state;

	if (visit == NULL)
		return visit_begin(listener, connection, url, method, version, state);
	if (*size > 0) {
		if (!request_body(visit, data, *size))
			return MHD_NO;
		visit->client->until_ms += *size * 1000 / BODY_BYTES_PER_S;
		*size = 0;
		return MHD_YES;
	}
	visit->closes = visit->closes || listener->quiet;
	if (visit->phase == VISIT_BODY)
		return visit_submit(visit);
	if (visit->phase == VISIT_DONE)
		return visit_answer(visit);
	return MHD_YES;
}

static void
on_completed(void *context, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why)
{
	struct listener *listener = context;
	struct visit *visit = *state;

	(void)connection, (void)why;
	*state = NULL;
	if (visit == NULL)
		return;
	if (visit->client != NULL) {
		client_await_head(listener, visit->client);
		listener->visits--;
	}
	call_drop(&visit->call);
	free(visit);
}

static void __attribute__((format(printf, 2, 0)))
on_log(void *context, const char *format, va_list args)
{
	struct listener *listener = context;
	char text[512];
	size_t len;

	vsnprintf(text, sizeof(text), format, args);
	for (len = strlen(text); len > 0 && text[len - 1] == '\n';)
		text[--len] = '\0';
	listener->exchange->host->log(NULL, XF_LOG_DEBUG, text);
}

/* The path stays as it came: a %00 or %2F is for us to judge. */
static size_t
on_unescape(void *context, struct MHD_Connection *connection, char *text)
{
	(void)context, (void)connection;
	return strlen(text);
}

/* ---- The thread ------------------------------------------------------------------------------------ */

static void
done_resume(struct listener *listener)
{
	struct call *call = exchange_done_take(listener->exchange);

	while (call != NULL) {
		struct visit *visit = call->owner;

		call = call->next;
		visit->phase = VISIT_DONE;
		MHD_resume_connection(visit->connection);
	}
}

/* A successor has the socket, or will: what comes from now on is its, and waits in the kernel meanwhile. */
static void
quiet_if_succeeded(struct listener *listener)
{
	MHD_socket fd;

	if (listener->quiet || exchange_is_open(listener->exchange) || !socket_has_successor(listener->socket))
		return;
	fd = MHD_quiesce_daemon(listener->daemon);
	if (fd != MHD_INVALID_SOCKET)
		close(fd);
	listener->quiet = true;
	listener->port = 0; /* the successor's from now on */
}

static void
turn(struct listener *listener, int epoll_fd)
{
	struct pollfd fds[2] = {{.fd = epoll_fd, .events = POLLIN}, {.fd = listener->exchange->bell, .events = POLLIN}};
	uint64_t now = now_of(listener), ring;
	uint32_t wait = exchange_expire(listener->exchange, now);
	MHD_UNSIGNED_LONG_LONG library;

	done_resume(listener);
	MHD_run(listener->daemon);
	clients_sweep(listener, now);
	if (wait > SWEEP_MS)
		wait = SWEEP_MS;
	if (MHD_get_timeout(listener->daemon, &library) == MHD_YES && library < wait)
		wait = (uint32_t)library;
	if (poll(fds, 2, (int)wait) > 0 && (fds[1].revents & POLLIN) != 0)
		while (read(listener->exchange->bell, &ring, sizeof(ring)) < 0 && errno == EINTR)
			;
}

static void *
listener_thread(void *context)
{
	struct listener *listener = context;
	int epoll_fd = MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	uint64_t look_at = 0, begun;

	while (!listener->stopping) {
		turn(listener, epoll_fd);
		if (now_of(listener) >= look_at) {
			quiet_if_succeeded(listener);
			look_at = now_of(listener) + SWEEP_MS;
		}
	}
	if (!listener->quiet) {
		MHD_socket fd = MHD_quiesce_daemon(listener->daemon);

		if (fd != MHD_INVALID_SOCKET)
			close(fd);
		listener->quiet = true;
	}
	exchange_abandon(listener->exchange);
	/* Who has connected already gets an answer, too. */
	begun = now_of(listener);
	do
		turn(listener, epoll_fd);
	while (now_of(listener) - begun < (listener->visits > 0 ? STOP_MS : listener->unread > 0 ? STOP_UNREAD_MS : 0));
	exchange_abandon(listener->exchange);
	done_resume(listener);
	MHD_stop_daemon(listener->daemon);
	listener->daemon = NULL;
	return NULL;
}

/* ---- Starting ----------------------------------------------------------------------------------------- */

static int
file_read(struct xf_str path, const char *what, char **out, struct xf_error *error)
{
	FILE *file = fopen(path.data, "re");
	char *text = malloc(FILE_MAX);
	size_t len;

	if (file == NULL || text == NULL) {
		settings_fail(error, "tls: %s %s: %s", what, path.data, strerror(errno));
		goto fail;
	}
	len = fread(text, 1, FILE_MAX - 1, file);
	if (ferror(file) || len == FILE_MAX - 1) {
		settings_fail(error, "tls: %s %s cannot be read, or is too large", what, path.data);
		goto fail;
	}
	text[len] = '\0';
	fclose(file);
	*out = text; /* pages that were not written to cost nothing */
	return 0;
fail:
	if (file != NULL)
		fclose(file);
	free(text);
	return -1;
}

static void
files_forget(struct listener *listener)
{
	for (size_t i = 0; i < 3; i++) {
		if (listener->files[i] != NULL)
			explicit_bzero(listener->files[i], strlen(listener->files[i]));
		free(listener->files[i]);
		listener->files[i] = NULL;
	}
}

static int
files_read(struct listener *listener, struct xf_error *error)
{
	const struct settings *settings = listener->exchange->settings;

	if (settings->tls_cert.len == 0)
		return 0;
	if (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)
		return settings_fail(error, "tls: this libmicrohttpd was built without TLS");
	if (file_read(settings->tls_cert, "cert", &listener->files[0], error) < 0 ||
	    file_read(settings->tls_key, "key", &listener->files[1], error) < 0 ||
	    (settings->tls_client_ca.len > 0 && file_read(settings->tls_client_ca, "client_ca", &listener->files[2], error) < 0))
		return -1;
	return 0;
}

static int
daemon_start(struct listener *listener, int fd, struct xf_error *error)
{
	const struct settings *settings = listener->exchange->settings;
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	struct MHD_OptionItem tls[4] = {{MHD_OPTION_END, 0, NULL}};

	if (listener->files[0] != NULL) {
		flags |= MHD_USE_TLS;
		tls[0] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, listener->files[0]};
		tls[1] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, listener->files[1]};
		tls[2] = (struct MHD_OptionItem){
			listener->files[2] != NULL ? MHD_OPTION_HTTPS_MEM_TRUST : MHD_OPTION_END, 0, listener->files[2]};
	}
	listener->daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, on_request, listener, MHD_OPTION_EXTERNAL_LOGGER, on_log, listener,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, listener,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, listener, MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, NULL,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)settings->max_connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)settings->max_head, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)((settings->idle_timeout_ms + 999) / 1000), MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
	if (listener->daemon == NULL)
		return settings_fail(error, "the HTTP server does not start: %s",
		                     listener->files[0] != NULL ? "cert and key do not belong together or are no PEM, or "
		                                                  "memory ran out"
		                                                : "out of memory or descriptors");
	return 0;
}

static int
listener_start(struct listener *listener, struct xf_error *error)
{
	int fd = -1, failure;

	if (files_read(listener, error) < 0)
		goto forget_files;
	listener->socket = socket_open(listener->transport, listener->exchange->settings, &fd, error);
	if (listener->socket == NULL)
		goto forget_files;
	listener->quiet = false;
	listener->stopping = false;
	if (daemon_start(listener, fd, error) < 0)
		goto close_socket; /* the library closes a socket that it was given */
	failure = pthread_create(&listener->thread, NULL, listener_thread, listener);
	if (failure != 0) {
		settings_fail(error, "no thread for the HTTP server: %s", strerror(failure));
		MHD_stop_daemon(listener->daemon);
		listener->daemon = NULL;
		goto close_socket;
	}
	listener->port = socket_port(listener->socket);
	socket_close(&listener->reserved);
	return 0;
close_socket:
	socket_close(&listener->socket);
forget_files:
	files_forget(listener);
	return -1;
}

static void
listening_tell(struct listener *listener)
{
	const struct settings *settings = listener->exchange->settings;
	char text[400];

	snprintf(text, sizeof(text), "transport '%s' is listening address=%s port=%u tls=%s token=%s",
	         listener->transport.data, settings->listen.data, listener->port, settings->tls_cert.len > 0 ? "yes" : "no", settings->token.len > 0 ? "yes" : "no");
	listener->exchange->host->log(NULL, XF_LOG_INFO, text);
	if (socket_is_loopback(listener->socket) || settings->token.len > 0 || settings->tls_client_ca.len > 0)
		return;
	snprintf(text, sizeof(text), "whoever reaches %s may publish: set token, or tls with client_ca",
	         settings->listen.data);
	listener->exchange->host->log(NULL, XF_LOG_WARN, text);
}

/* ---- For the endpoints ------------------------------------------------------------------------------------ */

struct listener *
listener_create(struct exchange *exchange, struct xf_str transport)
{
	struct listener *listener = calloc(1, sizeof(*listener));

	if (listener == NULL)
		return NULL;
	listener->exchange = exchange;
	listener->transport = (struct xf_str){strndup(transport.data, transport.len), transport.len};
	if (listener->transport.data == NULL) {
		free(listener);
		return NULL;
	}
	if (exchange->settings->listen.len > 0)
		listener->reserved = socket_reserve(transport, exchange->settings);
	pthread_mutex_init(&listener->life, NULL);
	return listener;
}

void
listener_destroy(struct listener **pointer)
{
	struct listener *listener = *pointer;

	*pointer = NULL;
	if (listener == NULL)
		return;
	pthread_mutex_destroy(&listener->life);
	socket_close(&listener->reserved);
	free((char *)listener->transport.data);
	free(listener);
}

void
listener_enter(struct listener *listener)
{
	pthread_mutex_lock(&listener->life);
	listener->users++;
	pthread_mutex_unlock(&listener->life);
}

void
listener_leave(struct listener *listener)
{
	uint64_t one = 1;

	pthread_mutex_lock(&listener->life);
	if (--listener->users == 0 && listener->running) {
		listener->stopping = true;
		while (write(listener->exchange->bell, &one, sizeof(one)) < 0 && errno == EINTR)
			;
		pthread_join(listener->thread, NULL);
		listener->running = false;
		listener->port = 0;
		socket_close(&listener->socket);
		files_forget(listener);
	}
	pthread_mutex_unlock(&listener->life);
}

bool
listener_ensure(struct listener *listener, struct xf_error *error, uint32_t *retry_ms)
{
	uint64_t now = now_of(listener);
	bool running;

	pthread_mutex_lock(&listener->life);
	if (!listener->running && now >= listener->retry_at_ms) {
		struct xf_error why;

		listener->running = listener_start(listener, &why) == 0;
		if (listener->running) {
			listener->retry_ms = 0;
			listening_tell(listener);
		} else {
			snprintf(listener->reason, sizeof(listener->reason), "%s", why.text);
			listener->retry_ms = listener->retry_ms == 0 ? RETRY_FIRST_MS : listener->retry_ms * 2;
			if (listener->retry_ms > RETRY_MAX_MS)
				listener->retry_ms = RETRY_MAX_MS;
			listener->retry_at_ms = now + listener->retry_ms - listener->retry_ms / 4 * (now & 3) / 3;
		}
	}
	running = listener->running;
	if (!running) {
		snprintf(error->text, sizeof(error->text), "%s", listener->reason);
		*retry_ms = listener->retry_at_ms > now ? (uint32_t)(listener->retry_at_ms - now) : 1;
	}
	pthread_mutex_unlock(&listener->life);
	return running;
}

uint32_t
listener_report(struct listener *listener, char *out, uint32_t size)
{
	struct exchange *exchange = listener->exchange;
	struct exchange_numbers n;
	uint64_t waiting;
	int len;

	pthread_mutex_lock(&exchange->lock);
	n = exchange->numbers;
	waiting = exchange->waiting_count;
	pthread_mutex_unlock(&exchange->lock);
	len = snprintf(out, size,
	               "{\"port\":%u,\"connections\":%llu,\"waiting\":%llu,\"bytes\":%llu,\"published\":%llu,\"accepted\":%llu,"
	               "\"refused\":%llu,\"unavailable\":%llu,\"requests\":%llu,\"replies\":%llu,\"late_replies\":%llu,"
	               "\"timeouts\":%llu,\"cut_off\":%llu}",
	               listener->port, (unsigned long long)listener->connections, (unsigned long long)waiting,
	               (unsigned long long)exchange->bytes, (unsigned long long)n.published,
	               (unsigned long long)n.accepted, (unsigned long long)n.refused, (unsigned long long)n.unavailable,
	               (unsigned long long)n.requests, (unsigned long long)n.replies, (unsigned long long)n.late_replies,
	               (unsigned long long)n.timeouts, (unsigned long long)listener->cut_off);
	return len > 0 && (uint32_t)len < size ? (uint32_t)len : 0;
}
