/*
 * HTTP through the whole server: what publishers are told when routes accept, refuse, or cannot; requests whose replies
 * come back by a route; and a reload of the listener under load.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker.h"
#include "http_client.h"
#include "server.h"

static struct http_answer
post(unsigned port, const char *path, const char *headers, const char *body)
{
	int fd = http_connect(port);
	struct http_answer answer;

	http_post(fd, path, headers, body, strlen(body));
	answer = http_read(fd);
	close(fd);
	return answer;
}

static void
assert_post(unsigned port, const char *path, const char *headers, int status, const char *part)
{
	struct http_answer answer = post(port, path, headers, "{\"n\": 1}");

	if (answer.status != status || strstr(answer.body, part) == NULL)
		fail_msg("%s: status %d: %s", path, answer.status, answer.body != NULL ? answer.body : "closed");
	http_forget(&answer);
}

/* The same where what is to be told may take a while to be true. */
static void
assert_post_soon(unsigned port, const char *path, int status, const char *part)
{
	uint64_t until = harness_now_ms() + HTTP_SOON;
	struct http_answer answer = post(port, path, "", "x");

	while (answer.status != status && harness_now_ms() < until) {
		http_forget(&answer);
		answer = post(port, path, "", "x");
	}
	if (answer.status != status || strstr(answer.body, part) == NULL)
		fail_msg("%s: status %d: %s", path, answer.status, answer.body != NULL ? answer.body : "closed");
	http_forget(&answer);
}

/* In by one listener, through the embedded broker, out to a second listener and so to a second broker. */
static void
test_from_publisher_to_webhook(void **state)
{
	struct xf_server *server = xf_server_create("http");
	unsigned api = http_port_free(), hasty = http_port_free(), second = http_port_free();
	char *rejected;

	(void)state;
	xf_server_configure(server, "  drain_timeout: 1s\n",
		"transports:\n"
		"  api: {plugin: http, listen: '127.0.0.1:%u', timeout: 5m}\n"
		"  hasty: {plugin: http, listen: '127.0.0.1:%u', timeout: 1s}\n"
		"  api2: {plugin: http, listen: '127.0.0.1:%u', token: secret}\n"
		"  hook: {plugin: http, url: 'http://127.0.0.1:%u/', token: secret}\n"
		"  nowhere: {plugin: http, url: 'http://127.0.0.1:1/'}\n"
		"  inside: {plugin: local}\n"
		"  end: {plugin: local}\n"
		"routes:\n"
		"  - {name: in, from: {transport: api, subject: 'orders.>'}, to: {transport: inside}}\n"
		"  - {name: out, from: {transport: inside}, to: {transport: hook, path: '/publish/{subject}', subject: 'copy.{subject}'}}\n"
		"  - {name: second, from: {transport: api2, subject: 'copy.>'}, to: {transport: end}}\n"
		"  - {name: both, from: {transport: api, subject: 'orders.both'}, to: {transport: end}}\n"
		"  - {name: picky, from: {transport: api, subject: 'picky'}, to: {transport: end, subject: '{header.to}'}}\n"
		"  - {name: stuck, from: {transport: hasty, subject: 'stuck'}, to: {transport: nowhere}}\n"
		"  - {name: held, from: {transport: hasty, subject: 'held'}, to: {transport: end}}\n",
		api, hasty, second, second);
	xf_server_start(server);
	xf_server_wait_string(server, "/api/v1/routes/out", "sinks.0.state", "up");
	for (int i = 0; i < 50; i++)
		assert_post(api, "/publish/orders.eu", "Content-Type: application/json\r\n", 202, "\"id\"");
	xf_server_wait_settled(server, "second", 50);
	/* Two routes want it: each gets it. */
	assert_post(api, "/publish/orders.both", "Message-Id: twice\r\n", 202, "\"twice\"");
	xf_server_wait_settled(server, "both", 1);
	xf_server_wait_settled(server, "second", 51);
	assert_int_equal(xf_server_number(server, "/api/v1/routes/in", "acked"), 51);
	/* A route refuses it for good, and keeps it. */
	assert_post(api, "/publish/picky", "Message-Id: kept\r\n", 422, "refused");
	rejected = xf_server_rejected(server);
	assert_non_null(strstr(rejected, "\"kept\""));
	free(rejected);
	assert_post(api, "/publish/picky", "to: a.b\r\n", 202, "id");
	/* A broker that is away: not lost, not accepted either. */
	assert_post(hasty, "/publish/stuck", "", 503, "\"status\":503");
	assert_post(api, "/publish/nobody", "", 404, "no route");
	/* Paused: what is not let in is told so. */
	assert_int_equal(XF_CLI(server, NULL, "route", "pause", "held", NULL), 0);
	assert_post(hasty, "/publish/held", "", 503, "cannot be accepted now");
	assert_int_equal(XF_CLI(server, NULL, "route", "resume", "held", NULL), 0);
	assert_post_soon(hasty, "/publish/held", 202, "id");
	assert_int_equal(xf_server_stop(server), 0);
	xf_server_destroy(&server);
}

/* A request goes to NATS; who answers there knows nothing of HTTP; a route brings the reply back. */
static void
test_requests_through_nats(void **state)
{
	struct xf_broker *nats = xf_broker_start("nats", NULL);
	struct xf_server *server = xf_server_create("http-nats");
	struct harness *harness;
	struct harness_endpoint *asked, *answers;
	unsigned api = http_port_free();
	char url[128];

	(void)state;
	xf_server_configure(server, "",
		"transports:\n"
		"  api: {plugin: http, listen: '127.0.0.1:%u'}\n"
		"  nats: {plugin: nats, url: '%s'}\n"
		"routes:\n"
		"  - {name: ask, from: {transport: api, subject: 'ask.>'}, to: {transport: nats, mode: core}}\n"
		"  - name: back\n"
		"    from: {transport: nats, mode: core, subject: 'crossfade.reply.test.>'}\n"
		"    to: {transport: api, mode: reply}\n",
		api, xf_broker_url(nats));
	xf_server_start(server);
	xf_server_wait_ready(server);
	snprintf(url, sizeof(url), "url=%s", xf_broker_url(nats));
	harness = harness_open("nats", OPTIONS(url));
	asked = harness_source(harness, "x/from", "ask.>", OPTIONS("mode=core"));
	answers = harness_sink(harness, "x/to", NULL, OPTIONS("mode=core"));
	assert_true(harness_wait_state(asked, XF_STATE_UP, HTTP_SOON));
	assert_true(harness_wait_state(answers, XF_STATE_UP, HTTP_SOON));
	xf_server_wait_string(server, "/api/v1/routes/ask", "sinks.0.state", "up");
	for (size_t i = 0; i < 20; i++) {
		int fd = http_connect(api);
		const struct harness_message *m;
		struct xf_outgoing reply = {.content_type = {"text/plain", 10}};
		char payload[32];

		http_post(fd, "/request/ask.me?timeout=10m", "", "?", 1);
		assert_true(harness_wait_received(asked, i + 1, HTTP_SOON));
		m = harness_message(asked, i);
		reply.subject = m->in.reply;
		reply.payload = payload;
		reply.payload_size = (uint64_t)snprintf(payload, sizeof(payload), "answer %zu", i);
		harness_publish(answers, &reply);
		http_expect(fd, 200, payload);
		close(fd);
	}
	assert_post_soon(api, "/request/ask.me?timeout=1s", 504, "no reply");
	harness_destroy(&asked);
	harness_destroy(&answers);
	harness_close(&harness);
	assert_int_equal(xf_server_stop(server), 0);
	xf_server_destroy(&server);
	xf_broker_destroy(&nats);
}

/* ---- Reload ---------------------------------------------------------------------------------- */

struct load {
	unsigned port;
	_Atomic bool stop;
	_Atomic unsigned accepted, turned_away, lost;
};

/* New connections all the time; a failure is counted, for the test's thread to judge. */
static void *
load_run(void *context)
{
	struct load *load = context;
	static const char request[] = "POST /publish/a HTTP/1.1\r\nHost: here\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx";

	while (!load->stop) {
		struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)load->port)};
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), status = 0;
		char answer[2048] = "";
		size_t len = 0;
		ssize_t n;

		address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
		    http_send(fd, request, sizeof(request) - 1))
			while (len + 1 < sizeof(answer) && (n = recv(fd, answer + len, sizeof(answer) - 1 - len, 0)) > 0)
				len += (size_t)n;
		sscanf(answer, "HTTP/1.1 %d", &status);
		if (status == 202)
			load->accepted++;
		else if (status == 503)
			load->turned_away++;
		else
			load->lost++;
		close(fd);
		usleep(2000);
	}
	return NULL;
}

static void
configure(struct xf_server *server, unsigned port, unsigned n)
{
	/* By turns the listener's own settings change, and the route's alone. */
	xf_server_configure(server, "",
		"transports:\n"
		"  api: {plugin: http, listen: '127.0.0.1:%u', max_body: %uKiB}\n"
		"  inside: {plugin: local}\n"
		"routes:\n"
		"  - {name: in, max_in_flight: %u, from: {transport: api}, to: {transport: inside}}\n",
		port, 100 + n / 2, 1000 + n);
}

static void
test_reloads_lose_no_connection(void **state)
{
	struct xf_server *server = xf_server_create("http-reload");
	struct load load = {.port = http_port_free()};
	pthread_t thread;
	unsigned accepted;

	(void)state;
	configure(server, load.port, 0);
	xf_server_start(server);
	xf_server_wait_ready(server);
	assert_int_equal(pthread_create(&thread, NULL, load_run, &load), 0);
	for (unsigned i = 1; i <= 10; i++) {
		accepted = load.accepted;
		for (unsigned k = 0; k < XF_WAIT_MS / 10 && load.accepted < accepted + 20; k++)
			usleep(10000);
		configure(server, load.port, i);
		assert_int_equal(XF_CLI(server, NULL, "reload", NULL), 0);
	}
	accepted = load.accepted;
	for (unsigned k = 0; k < XF_WAIT_MS / 10 && load.accepted < accepted + 20; k++)
		usleep(10000);
	load.stop = true;
	pthread_join(thread, NULL);
	print_message("%u accepted, %u turned away, %u lost\n", load.accepted, load.turned_away, load.lost);
	assert_true(load.accepted >= accepted + 20);
	assert_int_equal(load.lost, 0);
	assert_int_equal(xf_server_stop(server), 0);
	xf_server_destroy(&server);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_from_publisher_to_webhook),
		cmocka_unit_test(test_requests_through_nats),
		cmocka_unit_test(test_reloads_lose_no_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
