/*
 * Requests and replies through the whole server, by its HTTP listener and its embedded broker: replied to by handlers, by a worker behind a
 * broker, through a migration that moves, over reloads; what is told where nobody replies, and what is counted.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http_client.h"
#include "server.h"

#define CLIENTS 4
#define EACH 60

static struct http_answer
ask(unsigned port, const char *path, const char *body)
{
	int fd = http_connect(port);
	struct http_answer answer;

	http_post(fd, path, "Content-Type: application/json\r\n", body, strlen(body));
	answer = http_read(fd);
	close(fd);
	return answer;
}

static void
assert_ask(unsigned port, const char *path, const char *body, int status, const char *part)
{
	struct http_answer answer = ask(port, path, body);

	if (answer.status != status || strstr(answer.body, part) == NULL)
		fail_msg("%s %s: status %d: %s", path, body, answer.status, answer.body != NULL ? answer.body : "closed");
	http_forget(&answer);
}

static double
count(struct xf_server *server, const char *route, const char *field)
{
	char path[128];

	snprintf(path, sizeof(path), "/api/v1/routes/%s", route);
	return xf_server_number(server, path, field);
}

/* What a handler makes goes back; what it refuses is told to whoever asked, and is no dead letter; what fails for the last time is both. */
static void
test_handlers_reply(void **state)
{
	struct xf_server *server = xf_server_create("replies");
	unsigned port = http_port_free();
	char *rejected;

	(void)state;
	xf_server_configure(server, "",
		"transports:\n"
		"  api: {plugin: http, listen: '127.0.0.1:%u', request_timeout: 5m}\n"
		"  end: {plugin: local}\n"
		"routes:\n"
		"  - name: work\n"
		"    from: {transport: api, subject: work}\n"
		"    handlers:\n"
		"      - {plugin: validate, schema: '{\"type\": \"object\", \"required\": [\"n\"]}'}\n"
		"      - {plugin: transform, json: {set: [{field: /by, value: work}]}}\n"
		"    to: reply\n"
		"  - {name: drop, from: {transport: api, subject: drop}, handlers: [{plugin: filter, subject: none}], to: reply, dedupe: true}\n"
		"  - name: poison\n"
		"    from: {transport: api, subject: poison}\n"
		"    handlers: [{plugin: exec, command: [/bin/sh, -c, 'while read -r l; do echo \"{\\\"fail\\\":\\\"no luck\\\"}\"; done']}]\n"
		"    retry: {attempts: 2, initial: 1ms}\n"
		"    to: reply\n"
		"  - {name: plain, from: {transport: api, subject: plain}, to: {transport: end}}\n"
		"  - name: deaf\n"
		"    from: {transport: end}\n"
		"    handlers: [{plugin: validate, schema: '{\"type\": \"object\", \"required\": [\"n\"]}'}]\n"
		"    to: reply\n",
		port);
	xf_server_start(server);
	xf_server_wait_ready(server);
	assert_ask(port, "/request/work", "{\"n\":1}", 200, "{\"n\":1,\"by\":\"work\"}");
	assert_ask(port, "/request/work", "{\"m\":1}", 422, "{\"error\":\"");
	assert_ask(port, "/request/work", "{", 422, "{\"error\":\"");
	/* Who does not wait for a reply is told that it is done, and the reply is dropped. */
	assert_ask(port, "/publish/work", "{\"n\":2}", 202, "id");
	assert_int_equal(count(server, "work", "replies.sent"), 3);
	assert_int_equal(count(server, "work", "replies.failed"), 2);
	assert_int_equal(count(server, "work", "replies.unasked"), 1);
	assert_int_equal(count(server, "work", "rejected"), 0);
	assert_int_equal(count(server, "work", "acked"), 4);
	/* Nor for one that fails, but that is told. */
	assert_ask(port, "/publish/work", "{\"m\":1}", 422, "has no 'n'");
	assert_int_equal(count(server, "work", "rejected"), 0);
	assert_int_equal(count(server, "work", "replies.failed"), 3);
	/* Nobody can be told: then it is a dead letter. */
	assert_ask(port, "/publish/plain", "{\"m\":1}", 202, "id");
	xf_server_wait_number(server, "/api/v1/routes/deaf", "rejected", 1);
	/* Whoever asks is told that it was dropped; who asks again, is told again. */
	assert_ask(port, "/request/drop", "{}", 422, "dropped");
	assert_ask(port, "/request/poison", "{}", 500, "{\"error\":\"no luck\"}");
	assert_int_equal(count(server, "poison", "rejected"), 1);
	rejected = xf_server_rejected(server);
	if (strstr(rejected, "no luck") == NULL)
		fail_msg("%s", rejected);
	free(rejected);
	assert_int_equal(xf_server_stop(server), 0);
	xf_server_destroy(&server);
}

/* The worker is another route, behind the broker. Where none is there the asker is told in time; what comes later is counted. */
static void
test_a_worker_behind_a_broker_replies(void **state)
{
	struct xf_server *server = xf_server_create("requests");
	unsigned port = http_port_free();

	(void)state;
	xf_server_configure(server, "",
		"transports:\n"
		"  api: {plugin: http, listen: '127.0.0.1:%u', request_timeout: 5m}\n"
		"  bus: {plugin: local}\n"
		"routes:\n"
		"  - {name: long, from: {transport: api, subject: 'ask.>'}, to: {transport: bus}, request: {timeout: 5m}}\n"
		"  - {name: short, from: {transport: api, subject: 'hasty.>'}, to: {transport: bus}, request: {timeout: 50ms}}\n"
		"  - name: worker\n"
		"    from: {transport: bus, subject: ask.me}\n"
		"    handlers:\n"
		"      - {plugin: validate, schema: '{\"type\": \"object\", \"required\": [\"n\"]}'}\n"
		"      - {plugin: transform, json: {set: [{field: /by, value: worker}]}}\n"
		"    to: reply\n"
		"  - name: slow\n"
		"    from: {transport: bus, subject: hasty.slow}\n"
		"    handlers: [{plugin: exec, command: [/bin/sh, -c, 'while read -r l; do sleep 2; echo \"{\\\"pass\\\":true}\"; done']}]\n"
		"    to: reply\n",
		port);
	xf_server_start(server);
	xf_server_wait_ready(server);
	assert_ask(port, "/request/ask.me", "{\"n\":1}", 200, "{\"n\":1,\"by\":\"worker\"}");
	/* A failure comes by the same road, with its status. */
	assert_ask(port, "/request/ask.me", "{}", 422, "{\"error\":\"");
	assert_ask(port, "/request/hasty.nobody", "{}", 504, "{\"error\":\"no reply came in time\"}");
	assert_int_equal(count(server, "short", "replies.timed_out"), 1);
	assert_ask(port, "/request/hasty.slow", "{}", 504, "no reply");
	xf_server_wait_number(server, "/api/v1/routes/short", "sinks.0.late_replies", 1);
	assert_int_equal(count(server, "short", "replies.sent"), 2);
	assert_int_equal(count(server, "long", "replies.sent"), 2);
	xf_server_wait_settled(server, "long", 2);
	xf_server_wait_settled(server, "short", 2);
	assert_int_equal(xf_server_stop(server), 0);
	xf_server_destroy(&server);
}

/* A method, a path of the operator's own, and headers; the whole answer. */
static struct http_answer
call(unsigned port, const char *method, const char *path, const char *headers)
{
	int fd = http_connect(port);
	struct http_answer answer;

	http_begin(fd, method, path, headers, 0);
	answer = http_read(fd);
	close(fd);
	return answer;
}

static void
assert_call(unsigned port, const char *method, const char *path, const char *headers, int status, const char *head, const char *body)
{
	struct http_answer answer = call(port, method, path, headers);

	if (answer.status != status || strstr(answer.head, head) == NULL || strstr(answer.body, body) == NULL)
		fail_msg("%s %s: status %d: %s%s", method, path, answer.status, answer.head, answer.body != NULL ? answer.body : "");
	http_forget(&answer);
}

/* Paths of the listener that the operator has named. */
static void
test_paths_are_subjects(void **state)
{
	struct xf_server *server = xf_server_create("paths");
	unsigned port = http_port_free();

	(void)state;
	xf_server_configure(server, "",
		"transports:\n"
		"  api:\n"
		"    plugin: http\n"
		"    listen: '127.0.0.1:%u'\n"
		"    request_timeout: 5m\n"
		"    paths:\n"
		"      - {path: /api/tasks, subject: tasks.new, async: tasks.later, location: '/api/tasks/{id}'}\n"
		"      - {path: '/api/tasks/{id}', method: GET, subject: 'tasks.get.{id}'}\n"
		"  end: {plugin: local}\n"
		"routes:\n"
		"  - name: get\n"
		"    from: {transport: api, subject: 'tasks.get.*'}\n"
		"    handlers: [{plugin: exec, mode: once, command: [/bin/sh, -c, 'echo $CROSSFADE_SUBJECT']}]\n"
		"    to: reply\n"
		"  - name: new\n"
		"    from: {transport: api, subject: tasks.new}\n"
		"    handlers: [{plugin: log}]\n"
		"    to: reply\n"
		"  - {name: later, from: {transport: api, subject: tasks.later}, to: {transport: end}}\n",
		port);
	xf_server_start(server);
	xf_server_wait_ready(server);
	assert_call(port, "POST", "/api/tasks", "Content-Type: text/x-odd\r\n", 200, "text/x-odd", "");
	assert_call(port, "POST", "/api/tasks", "Message-Id: t 7\r\nPrefer: wait=1, respond-async\r\n", 202,
	            "Location: /api/tasks/t%207\r\n", "{\"id\":\"t 7\"}");
	xf_server_wait_settled(server, "later", 1);
	assert_call(port, "GET", "/api/tasks/t7", "", 200, "", "tasks.get.t7");
	assert_call(port, "DELETE", "/api/tasks/t7", "", 405, "Allow: GET\r\n", "");
	/* A segment is one token of a subject, or nothing is there. */
	assert_call(port, "GET", "/api/tasks/a.b", "", 404, "", "");
	assert_call(port, "GET", "/api/tasks/%2e", "", 404, "", "");
	assert_call(port, "GET", "/api/tasks/", "", 404, "", "");
	assert_call(port, "GET", "/api/tasks/a/b", "", 404, "", "");
	assert_int_equal(count(server, "get", "accepted"), 1);
	assert_int_equal(xf_server_stop(server), 0);
	xf_server_destroy(&server);
}

/* ---- From one configuration to another ------------------------------------------------------------------------- */

struct asking {
	unsigned port;
	struct http_answer answer;
};

static void *
asking_run(void *context)
{
	struct asking *asking = context;

	asking->answer = ask(asking->port, "/request/ask", "{}");
	return NULL;
}

static void
reload_configure(struct xf_server *server, unsigned port, unsigned hook, unsigned n, const char *to)
{
	xf_server_configure(server, "",
		"transports:\n"
		"  api: {plugin: http, listen: '127.0.0.1:%u', request_timeout: 5m, timeout: 5m}\n"
		"  hook: {plugin: http, url: 'http://127.0.0.1:%u/'}\n"
		"  bus: {plugin: local}\n"
		"routes:\n"
		"  - {name: front, from: {transport: api, subject: ask}, to: {transport: bus}, request: {timeout: 5m}, retry: {initial: %ums}}\n"
		"  - name: worker\n"
		"    from: {transport: bus, subject: ask}\n"
		"    handlers: [{plugin: exec, command: [/bin/sh, -c, 'while read -r l; do sleep 1; echo \"{\\\"pass\\\":true}\"; done']}]\n"
		"    to: reply\n"
		"  - name: turned\n"
		"    from: {transport: api, subject: turned}\n"
		"    handlers: [{plugin: validate, schema: '{\"type\": \"object\"}'}]\n"
		"    to: %s\n",
		port, hook, 100 + n, to);
}

/* A reply that is awaited comes over a reload that keeps the source; and what is open where a sink was, and nobody is now, is not taken for
 * delivered. */
static void
test_what_is_open_is_kept_over_a_reload(void **state)
{
	struct xf_server *server = xf_server_create("requests-reload");
	struct asking asking = {.port = http_port_free()};
	unsigned hook = http_port_free();
	pthread_t thread;
	char *rejected;
	int fd;

	(void)state;
	reload_configure(server, asking.port, hook, 0, "{transport: hook, when_down: wait}");
	xf_server_start(server);
	assert_int_equal(pthread_create(&thread, NULL, asking_run, &asking), 0);
	xf_server_wait_number(server, "/api/v1/routes/front", "replies.awaited", 1);
	reload_configure(server, asking.port, hook, 1, "{transport: hook, when_down: wait}");
	XF_CLI_DONE(server, "reload");
	pthread_join(thread, NULL);
	if (asking.answer.status != 200)
		fail_msg("status %d: %s", asking.answer.status, asking.answer.body);
	http_forget(&asking.answer);
	/* The hook is not there. */
	fd = http_connect(asking.port);
	http_post(fd, "/publish/turned", "Message-Id: open\r\n", "{}", 2);
	xf_server_wait_number(server, "/api/v1/routes/turned", "in_flight", 1);
	reload_configure(server, asking.port, hook, 1, "reply");
	XF_CLI_DONE(server, "reload");
	http_expect(fd, 500, "no destination any more");
	close(fd);
	rejected = xf_server_rejected(server);
	if (strstr(rejected, "\"open\"") == NULL)
		fail_msg("%s", rejected);
	free(rejected);
	/* Sent again it goes through the handlers. */
	assert_int_equal(XF_CLI(server, NULL, "dead", "replay", "--all", NULL), 0);
	xf_server_wait_number(server, "/api/v1/routes/turned", "handlers.0.taken", 1);
	assert_int_equal(xf_server_stop(server), 0);
	xf_server_destroy(&server);
}

/* ---- A pool ----------------------------------------------------------------------------------------------- */

/* The workers of both routes write down what they work on; the first message waits until it is let go. */
#define POOL_WORKER "while read -r l; do echo $CROSSFADE_ROUTE >>%s/order; while [ ! -e %s/go ]; do sleep 0.02; done; echo \"{\\\"pass\\\":true}\"; done"

static void
pool_configure(struct xf_server *server, unsigned port, unsigned slots)
{
	const char *dir = xf_server_dir(server);
	char worker[1024];

	snprintf(worker, sizeof(worker), POOL_WORKER, dir, dir);
	xf_server_configure(server, "",
		"transports:\n"
		"  api: {plugin: http, listen: '127.0.0.1:%u', timeout: 5m}\n"
		"  bus: {plugin: local}\n"
		"  end: {plugin: local}\n"
		"pools:\n"
		"  desk: {concurrency: %u, share: 0}\n"
		"routes:\n"
		"  - {name: in, from: {transport: api}, to: {transport: bus}}\n"
		"  - {name: low, from: {transport: bus, subject: low}, to: {transport: end}, order: none, pool: desk,\n"
		"     handlers: [{plugin: exec, command: [/bin/sh, -c, '%s']}]}\n"
		"  - {name: high, from: {transport: bus, subject: high}, to: {transport: end}, order: none, pool: {name: desk, priority: 5},\n"
		"     handlers: [{plugin: exec, command: [/bin/sh, -c, '%s']}]}\n",
		port, slots, worker, worker);
}

/* Routes that share a pool: the one of the higher priority goes first, and a reload gives nothing away. */
static void
test_a_pool_is_shared(void **state)
{
	struct xf_server *server = xf_server_create("pool");
	unsigned port = http_port_free();
	char path[512], line[64], first[8] = "";
	FILE *file;

	(void)state;
	pool_configure(server, port, 1);
	xf_server_start(server);
	xf_server_wait_ready(server);
	for (size_t i = 0; i < 3; i++)
		assert_ask(port, "/publish/low", "{}", 202, "id");
	xf_server_wait_number(server, "/api/v1/routes/low", "pool.busy", 1);
	xf_server_wait_number(server, "/api/v1/routes/low", "pool.waiting", 2);
	for (size_t i = 0; i < 3; i++)
		assert_ask(port, "/publish/high", "{}", 202, "id");
	xf_server_wait_number(server, "/api/v1/routes/high", "pool.waiting", 3);
	assert_int_equal(count(server, "high", "pool.busy"), 0);
	snprintf(path, sizeof(path), "%s/go", xf_server_dir(server));
	file = fopen(path, "w");
	assert_non_null(file);
	fclose(file);
	xf_server_wait_settled(server, "low", 3);
	xf_server_wait_settled(server, "high", 3);
	snprintf(path, sizeof(path), "%s/order", xf_server_dir(server));
	file = fopen(path, "r");
	assert_non_null(file);
	for (size_t i = 0; i < 6; i++) {
		assert_non_null(fgets(line, sizeof(line), file));
		first[i] = line[0];
	}
	fclose(file);
	assert_string_equal(first, "lhhhll");
	/* A reload changes the pool, and what waits goes on. */
	pool_configure(server, port, 2);
	XF_CLI_DONE(server, "reload");
	for (size_t i = 0; i < 20; i++)
		assert_ask(port, i % 2 ? "/publish/low" : "/publish/high", "{}", 202, "id");
	xf_server_wait_settled(server, "low", 10);
	xf_server_wait_settled(server, "high", 10);
	assert_int_equal(count(server, "low", "pool.busy") + count(server, "high", "pool.busy"), 0);
	assert_int_equal(xf_server_stop(server), 0);
	xf_server_destroy(&server);
}

/* ---- While it moves ------------------------------------------------------------------------------------ */

struct clients {
	unsigned port;
	_Atomic unsigned number, right, wrong;
	_Atomic bool stop;
};

static void *
client_run(void *context)
{
	struct clients *clients = context;

	while (!clients->stop) {
		char body[64], path[64], reply[64];
		unsigned number = clients->number++;
		struct http_answer answer;

		snprintf(body, sizeof(body), "{\"n\":%u}", number);
		snprintf(reply, sizeof(reply), "{\"n\":%u,\"by\":\"", number);
		snprintf(path, sizeof(path), "/request/ask.%u", number % 7);
		answer = ask(clients->port, path, body);
		if (answer.status == 200 && strncmp(answer.body, reply, strlen(reply)) == 0)
			clients->right++;
		else if (clients->wrong++ == 0)
			print_message("%s: status %d: %s\n", body, answer.status, answer.body != NULL ? answer.body : "closed");
		http_forget(&answer);
	}
	return NULL;
}

static void
wait_right(struct clients *clients, unsigned more)
{
	unsigned until = clients->right + more;
	uint64_t end = harness_now_ms() + XF_WAIT_MS;

	while (clients->right < until && clients->wrong == 0 && harness_now_ms() < end)
		usleep(2000);
	assert_int_equal(clients->wrong, 0);
	assert_true(clients->right >= until);
}

static void
configure(struct xf_server *server, unsigned port, unsigned n)
{
	xf_server_configure(server, "",
		"transports:\n"
		"  api: {plugin: http, listen: '127.0.0.1:%u', request_timeout: 5m}\n"
		"  a: {plugin: local}\n"
		"  b: {plugin: local}\n"
		"migrations:\n"
		"  move: {old: {transport: a}, new: {transport: b}, mirror: true, key: '{json./n}'}\n"
		"routes:\n"
		"  - {name: front, from: {transport: api, subject: 'ask.>'}, to: {migration: move}, request: {timeout: 5m}, max_in_flight: %u}\n"
		"  - name: old\n"
		"    from: {transport: a, subject: 'ask.>'}\n"
		"    handlers: [{plugin: transform, json: {set: [{field: /by, value: old-%u}]}}]\n"
		"    to: reply\n"
		"  - name: new\n"
		"    from: {transport: b, subject: 'ask.>'}\n"
		"    handlers: [{plugin: transform, json: {set: [{field: /by, value: new-%u}]}}]\n"
		"    to: reply\n",
		port, 1000 + n, n / 2, n);
}

/* Each asker gets the reply to what he asked, from whichever side, while the share turns and parts are exchanged. */
static void
test_replies_come_while_all_moves(void **state)
{
	static const char *const shares[] = {"30", "100", "0", "60", "100"};
	struct xf_server *server = xf_server_create("requests-move");
	struct clients clients = {.port = http_port_free()};
	pthread_t threads[CLIENTS];

	(void)state;
	configure(server, clients.port, 0);
	xf_server_start(server);
	xf_server_wait_ready(server);
	for (size_t i = 0; i < CLIENTS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, client_run, &clients), 0);
	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		wait_right(&clients, EACH);
		XF_CLI_DONE(server, "migration", "set", "move", "--percent", shares[i]);
	}
	for (unsigned n = 1; n <= 6; n++) {
		wait_right(&clients, EACH);
		configure(server, clients.port, n);
		XF_CLI_DONE(server, "reload");
	}
	wait_right(&clients, EACH);
	clients.stop = true;
	for (size_t i = 0; i < CLIENTS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(clients.wrong, 0);
	/* Copies are worked on, and nobody waits for what becomes of them. */
	assert_int_equal(count(server, "front", "replies.failed"), 0);
	assert_int_equal(count(server, "front", "replies.timed_out"), 0);
	assert_true(count(server, "new", "replies.unasked") > 0);
	assert_int_equal(xf_server_stop(server), 0);
	xf_server_destroy(&server);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handlers_reply),
		cmocka_unit_test(test_a_worker_behind_a_broker_replies),
		cmocka_unit_test(test_paths_are_subjects),
		cmocka_unit_test(test_what_is_open_is_kept_over_a_reload),
		cmocka_unit_test(test_a_pool_is_shared),
		cmocka_unit_test(test_replies_come_while_all_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
