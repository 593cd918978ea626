/*
 * The admin interface over its socket and over TCP, on a real flow between embedded brokers: what a client
 * may, what it may not, and that no client can keep the server from answering others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "admin/admin.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "broker.h"

struct server {
	char *dir;
	struct xf_catalogue *catalogue;
	const struct xf_conf *conf;
	struct xf_state *state;
	struct xf_flow *flow;
	struct xf_admin *admin;
	struct xf_control control;
	unsigned port;
	/* what the control was asked, and what it answers */
	_Atomic unsigned reloads, drains;
	bool file_is_bad;
};

/* ---- the control: as the daemon's, without a file or a process to end ------------------------------------------- */

static enum xf_status
on_reload(void *context, const char *who, struct xf_buffer *report, struct xf_buffer *errors)
{
	struct server *server = context;

	if (who[0] == '\0')
		return XF_FAILED;
	server->reloads++;
	if (server->file_is_bad) {
		xf_buffer_puts(errors, "c.yaml:3:1: unknown key 'rotes'; did you mean 'routes'?\nc.yaml:4:1: more\n");
		return XF_FAILED;
	}
	xf_buffer_puts(report, "{\"generation\":2,\"added\":[\"route 'new'\"],\"changed\":[],\"removed\":[],\"kept\":[]}");
	return XF_OK;
}

static void
on_drain(void *context, const char *who)
{
	struct server *server = context;

	server->drains += who[0] != '\0';
}

static void
on_status(void *context, struct xf_reload_status *status)
{
	struct server *server = context;

	status->generation = 1 + (server->reloads > 0 && !server->file_is_bad);
	status->time_ms = server->reloads > 0 ? 1700000000123 : 0;
	status->ok = !server->file_is_bad;
	if (server->file_is_bad)
		xf_buffer_puts(&status->errors, "c.yaml:3:1: unknown key\n");
}

/* A port that nobody listens on, a moment ago. */
static unsigned
port_free(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	close(fd);
	return ntohs(address.sin_port);
}

static void
conf_write(struct server *server, const char *token)
{
	char *path = xf_format("%s/c.yaml", server->dir);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	server->port = port_free();
	fprintf(file,
		"server:\n  name: test\n  data_dir: .\n  admin:\n    listen: 127.0.0.1:%u\n%s%s\n"
		"transports:\n  in: {plugin: local}\n  left: {plugin: local}\n  right: {plugin: local}\n"
		"  gone: {plugin: redis, url: \"redis://127.0.0.1:%u\"}\n"
		"migrations:\n  orders: {old: {transport: left}, new: {transport: right}}\n"
		"  lost: {old: {transport: left, subject: \"lost.{subject}\"}, new: {transport: gone, mode: "
		"stream}}\n"
		"routes:\n  - {name: orders, from: {transport: in, subject: \"orders.>\"}, to: {migration: "
		"orders}}\n"
		"  - {name: lost, from: {transport: in, subject: \"lost.>\"}, to: {migration: lost}}\n",
		server->port, token ? "    token: " : "", token ? token : "", port_free());
	fclose(file);
	free(path);
}

static struct server *
server_start(const char *token)
{
	struct server *server = xf_alloc(sizeof *server);
	struct xf_conf_catalogue classes;
	struct xf_buffer errors = {0};
	struct xf_error error = {{0}};
	char *path;

	signal(SIGPIPE, SIG_IGN);
	xf_log_setup(XF_LOG_ERROR, false);
	server->dir = xf_temp_create("admin");
	conf_write(server, token);
	path = xf_format("%s/c.yaml", server->dir);
	server->catalogue = xf_catalogue_create();
	classes = xf_catalogue_for_conf(server->catalogue);
	server->conf = xf_conf_load(path, &classes, &errors);
	free(path);
	if (server->conf == NULL)
		fail_msg("%s", errors.data);
	server->state = xf_state_open(server->conf->server.data_dir, &error);
	server->flow = server->state != NULL ? xf_flow_create(server->conf, server->state, &error) : NULL;
	if (server->flow == NULL)
		fail_msg("%s", error.text);
	server->control = (struct xf_control){on_reload, on_drain, on_status, server};
	server->admin = xf_admin_start(
		&(struct xf_admin_setup){server->conf, server->flow, server->catalogue, &server->control}, &error);
	if (server->admin == NULL)
		fail_msg("%s", error.text);
	assert_int_equal(xf_admin_port(server->admin), server->port);
	xf_flow_start(server->flow);
	return server;
}

static void
server_stop(struct server *server)
{
	xf_admin_draining(server->admin);
	xf_flow_drain(server->flow, 1000);
	xf_admin_stop(&server->admin);
	assert_int_equal(access(server->conf->server.admin_socket, F_OK), -1);
	xf_flow_destroy(&server->flow);
	xf_state_close(&server->state);
	xf_conf_destroy(&server->conf);
	xf_catalogue_destroy(&server->catalogue);
	xf_temp_destroy(&server->dir);
	free(server);
}

/* ---- a client -------------------------------------------------------------------------------------- */

static int
tcp_open(const struct server *server)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		                      .sin_port = htons((uint16_t)server->port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static int
socket_open(const struct server *server)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(address.sun_path, server->conf->server.admin_socket);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

struct answer {
	int status; /* 0: closed without one */
	struct xf_buffer all;
	cJSON *json; /* of the body; NULL: none */
};

static void
answer_fini(struct answer *answer)
{
	cJSON_Delete(answer->json);
	xf_buffer_fini(&answer->all);
}

/* Until the server closes, ten seconds at most. Takes FD. */
static void
answer_read(int fd, struct answer *answer)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	char room[8192], *body;
	ssize_t len;

	*answer = (struct answer){0};
	while (poll(&wait, 1, 10000) == 1 && (len = read(fd, room, sizeof room)) > 0)
		xf_buffer_append(&answer->all, room, (size_t)len);
	close(fd);
	if (answer->all.len == 0)
		return;
	assert_int_equal(sscanf(answer->all.data, "HTTP/1.1 %d", &answer->status), 1);
	body = strstr(answer->all.data, "\r\n\r\n");
	answer->json = body != NULL ? cJSON_Parse(body + 4) : NULL;
}

/* HEADERS are whole lines. */
static void
ask(int fd, const char *method, const char *path, const char *headers, const char *body,
    struct answer *answer)
{
	char *text = xf_format(
		"%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n%s",
		method, path, strlen(body), headers, body);

	assert_true(write(fd, text, strlen(text)) >= 0);
	free(text);
	answer_read(fd, answer);
}

static void
expect(int fd, const char *method, const char *path, const char *headers, const char *body, int status,
       const char *says)
{
	struct answer answer;

	ask(fd, method, path, headers, body, &answer);
	if (answer.status != status)
		fail_msg("%s %s: %d, expected %d: %s", method, path, answer.status, status,
			 answer.all.data != NULL ? answer.all.data : "(closed)");
	if (strstr(answer.all.data, says) == NULL)
		fail_msg("%s %s: '%s' does not say '%s'", method, path, answer.all.data, says);
	if (status >= 400 && status != 503)
		assert_non_null(strstr(answer.all.data, "Content-Type: application/problem+json"));
	answer_fini(&answer);
}

#define JSON "Content-Type: application/json\r\n"

static void
ready_wait(const struct server *server, const char *path, int status)
{
	struct answer answer;
	int got = 0;

	for (int i = 0; i < 500 && got != status; i++, usleep(10000)) {
		ask(socket_open(server), "GET", path, "", "", &answer);
		got = answer.status;
		answer_fini(&answer);
	}
	assert_int_equal(got, status);
}

/* ---- what is answered --------------------------------------------------------------------------------- */

static void
everything_answers_over_the_socket(void **state)
{
	static const char *const paths[] = {
		"/",
		"/livez",
		"/metrics",
		"/system/status",
		"/api/v1/health/detailed",
		"/api/v1/health/system",
		"/api/v1/openapi.json",
		"/api/v1/routes",
		"/api/v1/routes/orders",
		"/api/v1/transports",
		"/api/v1/transports/left",
		"/api/v1/plugins",
		"/api/v1/plugins/local",
		"/api/v1/migrations",
		"/api/v1/migrations/orders",
		"/api/v1/dead",
	};
	struct server *server = server_start(NULL);

	(void)state;
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		expect(socket_open(server), "GET", paths[i], "", "", 200, "\r\n\r\n");
		expect(socket_open(server), "HEAD", paths[i], "", "", 200, "Content-Length");
	}
	ready_wait(server, "/readyz", 200);
	ready_wait(server, "/healthz", 200); /* nobody needs the side that is gone */
	xf_admin_draining(server->admin);
	expect(socket_open(server), "GET", "/readyz", "", "", 503, "draining");
	expect(socket_open(server), "GET", "/livez", "", "", 200, "ok");
	server_stop(server);
}

static void
letter_keep(const struct server *server, const char *route, struct xf_str payload, int64_t at_ms)
{
	static const struct xf_header headers[] = {{{"tag", 3}, {"x", 1}}, {{"raw", 3}, {"\xff", 1}}};
	struct xf_letters *letters = xf_flow_letters(server->flow);
	const struct xf_letter letter = {
		.route = xf_str(route),
		.sink = xf_str("orders/to"),
		.reason = xf_str("too large"),
		.attempts = 3,
		.first_ms = at_ms,
		.last_ms = at_ms,
		.content_type = xf_str("text/plain"),
		.message = {.subject = xf_str("a.b"), .id = xf_str("7"), .payload = payload, .headers = headers, .header_count = 2},
	};

	assert_int_equal(xf_letters_append(letters, &letter, NULL), XF_OK);
	assert_int_equal(xf_letters_sync(letters, xf_letters_losses(letters), NULL), XF_OK);
}

static void
dead_letters_are_listed_and_removed(void **state)
{
	static const char one[] = "{\"number\":1,\"route\":\"r&d\",\"sink\":\"orders/to\",\"reason\":\"too large\",\"attempts\":3,"
	                          "\"first\":\"1970-01-01T00:00:01.000Z\",\"last\":\"1970-01-01T00:00:01.000Z\",\"subject\":\"a.b\","
	                          "\"id\":\"7\",\"key\":\"\",\"content_type\":\"text/plain\",\"reply\":\"\",\"payload_bytes\":4";
	struct server *server = server_start(NULL);

	(void)state;
	letter_keep(server, "r&d", xf_str("text"), 1000);
	letter_keep(server, "orders", (struct xf_str){"\0\1", 2}, 2000);
	letter_keep(server, "orders", xf_str(""), 3000);
	expect(socket_open(server), "GET", "/api/v1/dead", "", "", 200, one);
	expect(socket_open(server), "GET", "/api/v1/dead", "", "", 200, "{\"count\":3,\"bytes\":");
	expect(socket_open(server), "GET", "/api/v1/dead", "", "", 200,
	       "\"routes\":[{\"route\":\"orders\",\"count\":2},{\"route\":\"r&d\",\"count\":1}]");
	expect(socket_open(server), "GET", "/api/v1/dead?route=r%26d", "", "", 200, "\"payload_bytes\":4}]}");
	expect(socket_open(server), "GET", "/api/v1/dead?after=1&limit=1", "", "", 200, "\"payload_bytes\":2}]}");
	expect(socket_open(server), "GET", "/api/v1/dead/1", "", "", 200, one);
	expect(socket_open(server), "GET", "/api/v1/dead/1", "", "", 200,
	       "\"headers\":[{\"name\":\"tag\",\"value\":\"x\"},{\"name\":\"raw\",\"value_base64\":\"/w==\"}],\"payload\":\"text\"}");
	expect(socket_open(server), "GET", "/api/v1/dead/2", "", "", 200, "\"payload_base64\":\"AAE=\"}");
	expect(socket_open(server), "GET", "/metrics", "", "", 200, "\ncrossfade_dead_letters 3\n");
	expect(socket_open(server), "GET", "/api/v1/dead/9", "", "", 404, "no dead letter '9'");
	expect(socket_open(server), "GET", "/api/v1/dead/1x", "", "", 404, "no dead letter '1x'");
	expect(socket_open(server), "DELETE", "/api/v1/dead/9", "", "", 404, "no dead letter '9'");
	expect(socket_open(server), "DELETE", "/api/v1/dead/x", "", "", 404, "no dead letter 'x'");
	expect(socket_open(server), "GET", "/api/v1/dead?rout=x", "", "", 400, "did you mean 'route'?");
	expect(socket_open(server), "GET", "/api/v1/dead?limit=0", "", "", 400, "limit is '0'; it must be 1 to 1000");
	expect(socket_open(server), "DELETE", "/api/v1/dead?limit=1", "", "", 400, "no argument 'limit'");
	expect(socket_open(server), "DELETE", "/api/v1/dead?before=now", "", "", 400, "a time like");
	expect(socket_open(server), "DELETE", "/api/v1/dead", "", "", 400, "all=true");
	expect(socket_open(server), "DELETE", "/api/v1/dead?all=true&a=&a=&a=&a=&a=&a=&a=&a=&a=&a=&a=&a=&a=&a=&a=&a=", "", "", 400,
	       "may have 16");
	expect(socket_open(server), "POST", "/api/v1/dead/1/replay", "", "", 404, "of a route that there is");
	expect(socket_open(server), "POST", "/api/v1/dead/replay", "", "", 400, "say which");
	expect(socket_open(server), "POST", "/api/v1/dead/replay?route=x", "", "", 404, "no route 'x'");
	expect(socket_open(server), "POST", "/api/v1/dead/replay?before=1970-01-01T00:00:00Z", "", "", 202, "{\"replaying\":0}");
	expect(socket_open(server), "PATCH", "/api/v1/dead/1", JSON, "{}", 405, "Allow: GET, HEAD, DELETE");
	expect(socket_open(server), "DELETE", "/api/v1/dead?route=orders&before=1970-01-01T00:00:03Z", "", "", 200, "{\"removed\":1}");
	expect(socket_open(server), "DELETE", "/api/v1/dead/1", "", "", 200, "{\"removed\":1}");
	expect(socket_open(server), "GET", "/api/v1/dead?after=0", "", "", 200, "\"letters\":[{\"number\":3,");
	expect(socket_open(server), "DELETE", "/api/v1/dead?all=true", "", "", 200, "{\"removed\":1}");
	expect(socket_open(server), "GET", "/api/v1/dead", "", "", 200, "\"letters\":[]}");
	server_stop(server);
}

static void
mistakes_are_problem_documents(void **state)
{
	struct server *server = server_start(NULL);

	(void)state;
	expect(socket_open(server), "GET", "/api/v1/nothing", "", "", 404, "nothing is at");
	expect(socket_open(server), "GET", "/api/v1/routes/ordrs", "", "", 404, "did you mean 'orders'?");
	expect(socket_open(server), "GET", "/api/v1/transports/lft", "", "", 404, "did you mean 'left'?");
	expect(socket_open(server), "GET", "/api/v1/plugins/nope", "", "", 404, "no plugin 'nope'");
	expect(socket_open(server), "POST", "/api/v1/routes/nope/pause", "", "", 404, "no route 'nope'");
	expect(socket_open(server), "DELETE", "/api/v1/routes/orders", "", "", 405, "Allow: GET, HEAD");
	expect(socket_open(server), "GET", "/api/v1/routes/orders/pause", "", "", 405, "Allow: POST");
	expect(socket_open(server), "PATCH", "/api/v1/migrations/orders", JSON, "{", 400, "not JSON");
	expect(socket_open(server), "PATCH", "/api/v1/migrations/orders", JSON, "{\"percnt\":1}", 400,
	       "'percent'?");
	expect(socket_open(server), "PATCH", "/api/v1/migrations/orders", "Content-Type: text/plain\r\n",
	       "{}", 415, "json");
	expect(socket_open(server), "PATCH", "/api/v1/migrations/ordrs", JSON, "{\"percent\":1}", 404,
	       "'orders'?");
	expect(socket_open(server), "PATCH", "/api/v1/migrations/lost", JSON, "{\"percent\":1}", 409,
	       "new side");
	server_stop(server);
}

static void
a_migration_is_steered(void **state)
{
	struct server *server = server_start(NULL);
	const char *path = "/api/v1/migrations/orders";

	(void)state;
	ready_wait(server, "/readyz", 200);
	expect(socket_open(server), "PATCH", path, JSON, "{\"percent\":30,\"mirror\":true,\"dry_run\":true}",
	       200, "\"lanes_moving\":3000");
	expect(socket_open(server), "GET", path, "", "", 200,
	       "\"percent\":0,\"mirror\":false,\"stage\":\"off\"");
	expect(socket_open(server), "PATCH", path, JSON, "{\"percent\":\"30%\",\"mirror\":true}", 200,
	       "{\"name\":\"orders\",\"percent\":30,\"mirror\":true,\"stage\":\"live\",\"buckets\":{\"new\":"
	       "3000,\"moving\":0,"
	       "\"stuck\":0},\"crossed\":0");
	expect(socket_open(server), "PATCH", path, JSON, "{\"stage\":\"rampdown\"}", 200,
	       "\"percent\":100,\"mirror\":true");
	expect(socket_open(server), "POST", "/api/v1/migrations/orders/rollback", "", "", 200,
	       "\"percent\":0,\"mirror\":true,\"stage\":\"dualwrite\"");
	expect(socket_open(server), "PATCH", "/api/v1/migrations/lost", JSON,
	       "{\"percent\":1,\"force\":true}", 200, "\"percent\":1,");
	ready_wait(server, "/healthz", 503);
	expect(socket_open(server), "GET", "/api/v1/health", "", "", 503,
	       "\"route\":\"lost\",\"reason\":\"lost/to/new");
	expect(socket_open(server), "GET", "/api/v1/transports/gone", "", "", 200, "\"state\":\"down\"");
	expect(socket_open(server), "POST", "/api/v1/migrations/lost/rollback", "", "", 200,
	       "\"percent\":0,");
	ready_wait(server, "/healthz", 200);
	expect(socket_open(server), "POST", "/api/v1/routes/orders/pause", "", "", 200, "\"paused\":true");
	expect(socket_open(server), "POST", "/api/v1/routes/orders/resume", "", "", 200, "\"paused\":false");
	server_stop(server);
}

/* ---- who may ------------------------------------------------------------------------------------------- */

static void
tcp_asks_for_the_token(void **state)
{
	struct server *server = server_start("s3cret");
	const char *path = "/api/v1/routes";

	(void)state;
	expect(tcp_open(server), "GET", "/livez", "", "", 200, "ok");
	ready_wait(server, "/readyz", 200);
	expect(tcp_open(server), "GET", "/readyz", "", "", 200, "ready");
	expect(tcp_open(server), "GET", path, "", "", 401, "WWW-Authenticate: Bearer");
	expect(tcp_open(server), "GET", "/metrics", "", "", 401, "token");
	expect(tcp_open(server), "GET", "/healthz", "", "", 401, "token");
	expect(tcp_open(server), "GET", path, "Authorization: Bearer s3cre\r\n", "", 401, "token");
	expect(tcp_open(server), "GET", path, "Authorization: Bearer s3cret1\r\n", "", 401, "token");
	expect(tcp_open(server), "GET", path, "Authorization: Bearer s3creT\r\n", "", 401, "token");
	expect(tcp_open(server), "GET", path, "Authorization: Bearer \r\n", "", 401, "token");
	expect(tcp_open(server), "GET", path, "Authorization: Basic s3cret\r\n", "", 401, "token");
	expect(tcp_open(server), "GET", path, "Authorization: Bearer s3cret\r\n", "", 200, "\"routes\"");
	expect(tcp_open(server), "GET", path, "Authorization: bearer s3cret\r\n", "", 200, "\"routes\"");
	expect(tcp_open(server), "POST", "/api/v1/migrations/orders/rollback", "", "", 401, "token");
	expect(socket_open(server), "GET", path, "", "", 200, "\"routes\""); /* its file's mode decides */
	server_stop(server);
}

static void
pages_of_other_sites_may_not(void **state)
{
	struct server *server = server_start(NULL);
	struct answer answer;
	const char *rebound =
		"GET /api/v1/routes HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
	int fd;

	(void)state;
	expect(tcp_open(server), "POST", "/api/v1/migrations/orders/rollback",
	       "Origin: http://evil.example\r\n", "", 403, "another site");
	expect(tcp_open(server), "POST", "/api/v1/migrations/orders/rollback", "Origin: null\r\n", "", 403,
	       "another site");
	expect(tcp_open(server), "POST", "/api/v1/migrations/orders/rollback", "Origin: http://localhost\r\n",
	       "", 200, "\"percent\":0");
	fd = tcp_open(server);
	assert_true(write(fd, rebound, strlen(rebound)) > 0);
	answer_read(fd, &answer);
	assert_int_equal(answer.status, 403);
	answer_fini(&answer);
	server_stop(server);
}

/* ---- what cannot be done to it
 * ------------------------------------------------------------------------------ */

static void
bodies_and_heads_are_bounded(void **state)
{
	struct server *server = server_start(NULL);
	struct answer answer;
	struct xf_buffer text = {0};
	int fd;

	(void)state;
	/* announced: refused before it is read */
	fd = socket_open(server);
	xf_buffer_puts(
		&text,
		"PATCH /api/v1/migrations/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n");
	assert_true(write(fd, text.data, text.len) > 0);
	answer_read(fd, &answer);
	assert_int_equal(answer.status, 413);
	answer_fini(&answer);
	/* in pieces: read, not kept */
	text.len = 0;
	xf_buffer_puts(&text, "PATCH /api/v1/migrations/orders HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
		              "Transfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 20; i++) {
		xf_buffer_puts(&text, "1000\r\n");
		for (int j = 0; j < 0x1000; j++)
			xf_buffer_puts(&text, " ");
		xf_buffer_puts(&text, "\r\n");
	}
	xf_buffer_puts(&text, "0\r\n\r\n");
	fd = socket_open(server);
	assert_true(write(fd, text.data, text.len) > 0);
	answer_read(fd, &answer);
	assert_int_equal(answer.status, 413);
	answer_fini(&answer);
	/* a head without an end */
	text.len = 0;
	xf_buffer_puts(&text, "GET / HTTP/1.1\r\nX: ");
	for (int i = 0; i < 100000; i++)
		xf_buffer_puts(&text, "a");
	fd = socket_open(server);
	assert_true(send(fd, text.data, text.len, MSG_NOSIGNAL) != 0);
	answer_read(fd, &answer);
	assert_true(answer.status == 431 || answer.status == 413 || answer.status == 0);
	answer_fini(&answer);
	xf_buffer_fini(&text);
	expect(socket_open(server), "GET", "/livez", "", "", 200, "ok");
	server_stop(server);
}

static void
garbage_is_survived(void **state)
{
	static const char *const texts[] = {
		"\r\n\r\n\r\n",
		"GET\r\n\r\n",
		"\x16\x03\x01\x02",
		"GET / HTTP/9.9\r\n\r\n",
		"A B C D E\r\n\r\n",
		"PATCH /api/v1/migrations/orders HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
		("PATCH /api/v1/migrations/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
		"chunked\r\n\r\nzz\r\n"),
		"GET /x%00%ff/../.. HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
	};
	struct server *server = server_start(NULL);
	struct answer answer;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		int fd = socket_open(server);

		assert_true(write(fd, texts[i], strlen(texts[i])) > 0);
		shutdown(fd, SHUT_WR);
		answer_read(fd, &answer);
		if (answer.status != 0 && answer.status < 400)
			fail_msg("case %zu: %s", i, answer.all.data);
		answer_fini(&answer);
	}
	expect(socket_open(server), "GET", "/livez", "", "", 200, "ok");
	server_stop(server);
}

/* A flood of idle connections to the TCP port leaves the socket alone, and stopping does not wait for them.
 */
static void
the_socket_is_open_while_tcp_is_flooded(void **state)
{
	struct server *server = server_start(NULL);
	int fds[100];
	uint64_t begun;

	(void)state;
	for (int i = 0; i < 100; i++) {
		fds[i] = tcp_open(server);
		assert_true(send(fds[i], "GET / HT", 8, MSG_NOSIGNAL) != 0);
	}
	for (int i = 0; i < 10; i++)
		expect(socket_open(server), "GET", "/livez", "", "", 200, "ok");
	begun = xf_now_ms();
	server_stop(server);
	assert_true(xf_now_ms() - begun < 5000);
	for (int i = 0; i < 100; i++)
		close(fds[i]);
}

static void *
change_often(void *context)
{
	struct server *server = context;

	for (int i = 0; i < 20; i++) {
		struct answer answer;
		char body[64];

		snprintf(body, sizeof body, "{\"percent\":%d}", i * 5);
		ask(socket_open(server), "PATCH", "/api/v1/migrations/orders", JSON, body, &answer);
		if (answer.status != 200)
			return NULL;
		answer_fini(&answer);
		ask(socket_open(server), "GET", "/metrics", "", "", &answer);
		answer_fini(&answer);
	}
	return server;
}

static void
many_clients_at_once(void **state)
{
	struct server *server = server_start(NULL);
	pthread_t threads[4];
	void *result;

	(void)state;
	ready_wait(server, "/readyz", 200);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, change_often, server), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &result);
		assert_non_null(result);
	}
	expect(socket_open(server), "GET", "/api/v1/migrations/orders", "", "", 200, "\"percent\":95,");
	server_stop(server);
}

static void
reload_answers_with_what_changed(void **state)
{
	struct server *server = server_start(NULL);

	(void)state;
	expect(socket_open(server), "GET", "/system/status", "", "", 200, "\"generation\":1,\"last_reload\":null");
	expect(socket_open(server), "POST", "/api/v1/reload", "", "", 200, "\"added\":[\"route 'new'\"]");
	expect(socket_open(server), "GET", "/api/v1/status", "", "", 200,
	       "\"last_reload\":{\"time\":\"2023-11-14T22:13:20.123Z\",\"ok\":true,\"errors\":[]}");
	expect(socket_open(server), "GET", "/metrics", "", "", 200, "\ncrossfade_config_generation 2\n");
	server->file_is_bad = true;
	expect(socket_open(server), "POST", "/api/v1/reload", "", "", 422,
	       "\"errors\":[\"c.yaml:3:1: unknown key 'rotes'; did you mean 'routes'?\",\"c.yaml:4:1: more\"]");
	expect(socket_open(server), "GET", "/metrics", "", "", 200, "\ncrossfade_config_last_reload_successful 0\n");
	expect(socket_open(server), "GET", "/api/v1/reload", "", "", 405, "allowed: POST");
	assert_int_equal(server->reloads, 2);
	server_stop(server);
}

static void
drain_shows_at_once(void **state)
{
	struct server *server = server_start(NULL);

	(void)state;
	ready_wait(server, "/readyz", 200);
	expect(socket_open(server), "POST", "/api/v1/drain", "", "", 202, "draining");
	expect(socket_open(server), "GET", "/readyz", "", "", 503, "draining");
	expect(socket_open(server), "POST", "/api/v1/reload", "", "", 409, "the server is stopping");
	assert_int_equal(server->drains, 1);
	assert_int_equal(server->reloads, 0);
	server_stop(server);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reload_answers_with_what_changed),
		cmocka_unit_test(drain_shows_at_once),
		cmocka_unit_test(everything_answers_over_the_socket),
		cmocka_unit_test(dead_letters_are_listed_and_removed),
		cmocka_unit_test(mistakes_are_problem_documents),
		cmocka_unit_test(a_migration_is_steered),
		cmocka_unit_test(tcp_asks_for_the_token),
		cmocka_unit_test(pages_of_other_sites_may_not),
		cmocka_unit_test(bodies_and_heads_are_bounded),
		cmocka_unit_test(garbage_is_survived),
		cmocka_unit_test(the_socket_is_open_while_tcp_is_flooded),
		cmocka_unit_test(many_clients_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
