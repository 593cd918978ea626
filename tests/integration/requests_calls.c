/*
 * Requests that are replied to with the help of others, through the whole server: a service that is called, a model that is asked, and the
 * rules that decide where it does not answer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http_client.h"
#include "server.h"
#include "web.h"

static struct xf_server *server;
static struct web *web;
static unsigned port;

static void
assert_ask(const char *path, const char *body, int status, const char *part)
{
	int fd = http_connect(port);
	struct http_answer answer;

	http_post(fd, path, "Content-Type: application/json\r\n", body, strlen(body));
	answer = http_read(fd);
	close(fd);
	if (answer.status != status || strstr(answer.body, part) == NULL)
		fail_msg("%s %s: status %d: %s", path, body, answer.status, answer.body != NULL ? answer.body : "closed");
	http_forget(&answer);
}

static double
number(const char *route, const char *field)
{
	char path[128];

	snprintf(path, sizeof(path), "/api/v1/routes/%s", route);
	return xf_server_number(server, path, field);
}

static int
setup(void **state)
{
	(void)state;
	web = web_create();
	server = xf_server_create("calls");
	port = http_port_free();
	xf_server_configure(server, "",
		"transports:\n"
		"  api: {plugin: http, listen: '127.0.0.1:%u', request_timeout: 5m}\n"
		"routes:\n"
		"  - name: triage\n"
		"    from: {transport: api, subject: 'triage.>'}\n"
		"    order: none\n"
		"    handlers:\n"
		"      - plugin: llm\n"
		"        base_url: 'http://127.0.0.1:%u/v1'\n"
		"        key: sk-1\n"
		"        model: m\n"
		"        schema: '{\"required\": [\"priority_score\"]}'\n"
		"        into: /judgement\n"
		"        on_failure: pass\n"
		"        request_timeout: 5m\n"
		"      - {plugin: prioritize, judgement: /judgement, required: [id, title]}\n"
		"    to: reply\n"
		"  - name: prices\n"
		"    from: {transport: api, subject: prices}\n"
		"    order: none\n"
		"    handlers: [{plugin: http, url: 'http://127.0.0.1:%u/{json./id}', request_timeout: 5m}]\n"
		"    retry: {attempts: 2, initial: 1ms}\n"
		"    to: reply\n",
		port, web_port(web), web_port(web));
	xf_server_start(server);
	xf_server_wait_ready(server);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	xf_server_destroy(&server);
	web_destroy(&web);
	return 0;
}

static void
test_a_model_judges_and_rules_decide_without_it(void **state)
{
	static const char request[] = "{\"id\":\"r-1\",\"title\":\"outage\",\"judgement\":{\"priority_score\":0}}";

	(void)state;
	web_chat(web, "{\"priority_score\":9.25,\"reasons\":[\"all of Europe waits\"]}", 12);
	assert_ask("/request/triage.it", request, 200,
	           "\"urgency_level\":\"CRITICAL\",\"priority_score\":9.3,\"reasons\":[\"all of Europe waits\"]");
	web_say(web, 500, "", "");
	assert_ask("/request/triage.it", request, 200,
	           "\"urgency_level\":\"MEDIUM\",\"priority_score\":4.0,\"reasons\":[\"every request: +1.0\",\"'outage' in the title: +3.0\"]");
	web_chat(web, "I cannot say", 3);
	assert_ask("/request/triage.it", request, 200, "\"priority_score\":4.0");
	web_say(web, 429, "Retry-After: 3600\n", "");
	assert_ask("/request/triage.it", request, 200, "\"priority_score\":4.0");
	assert_ask("/request/triage.it", request, 200, "\"priority_score\":4.0");
	assert_int_equal(web_count(web), 4);
	assert_ask("/request/triage.it", "{\"id\":\"r-1\"}", 400, "{\"error\":\"title: is missing\"}");
	assert_ask("/request/triage.it", "{\"id\":", 400, "{\"error\":\"the request is no JSON: ");
	assert_int_equal(number("triage", "handlers.0.numbers.llm_tokens"), 15);
	assert_int_equal(number("triage", "handlers.0.numbers.llm_passed"), 6);
	assert_int_equal(number("triage", "handlers.1.numbers.prioritize_judged"), 1);
	assert_int_equal(number("triage", "rejected"), 0);
	assert_int_equal(xf_server_stop(server), 0);
}

static void
test_a_service_is_called(void **state)
{
	(void)state;
	web_say(web, 200, "", "{\"price\":7}");
	assert_ask("/request/prices", "{\"id\":\"a/b\"}", 200, "{\"price\":7}");
	assert_string_equal(web_request(web, 0).path, "/a%2Fb");
	/* what it refuses is told, what fails is tried again, and what fails for the last time is told and kept */
	web_say(web, 404, "", "none such");
	assert_ask("/request/prices", "{\"id\":1}", 404, "none such");
	assert_int_equal(number("prices", "rejected"), 0);
	web_say(web, 500, "", "");
	assert_ask("/request/prices", "{\"id\":1}", 200, "{\"id\":1}");
	web_say(web, 500, "", "");
	web_say(web, 500, "", "oops");
	assert_ask("/request/prices", "{\"id\":1}", 502, "oops");
	assert_int_equal(number("prices", "rejected"), 1);
	/* a pause uses up no attempt */
	for (int i = 0; i < 3; i++)
		web_say(web, 401, "", "");
	assert_ask("/request/prices", "{\"id\":2}", 200, "{\"id\":2}");
	assert_int_equal(number("prices", "handlers.0.numbers.calls_later"), 3);
	assert_int_equal(number("prices", "handlers.0.numbers.calls_failed"), 3);
	assert_int_equal(xf_server_stop(server), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_model_judges_and_rules_decide_without_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_service_is_called, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
