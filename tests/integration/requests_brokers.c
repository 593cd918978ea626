/*
 * requests_brokers.c - one request that travels over NATS, RabbitMQ and Redis to a worker behind all of them, and its reply by the same road.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker.h"
#include "http_client.h"
#include "server.h"
#include "wait.h"

#define REQUESTS 50

static void
test_over_all_brokers(void **state)
{
	struct xf_broker *nats = xf_broker_start("nats", NULL);
	struct xf_broker *amqp = xf_broker_start("amqp", NULL);
	struct xf_broker *redis = xf_broker_start("redis", NULL);
	struct xf_server *server = xf_server_create("road");
	unsigned port = http_port_free();

	(void)state;
	xf_server_configure(server, "",
		"transports:\n"
		"  api: {plugin: http, listen: '127.0.0.1:%u', request_timeout: 2m}\n"
		"  nats: {plugin: nats, url: '%s'}\n"
		"  amqp: {plugin: amqp, url: '%s'}\n"
		"  redis: {plugin: redis, url: '%s'}\n"
		"routes:\n"
		"  - {name: first, from: {transport: api, subject: work}, request: {timeout: 2m}, to: {transport: nats, mode: core}}\n"
		"  - name: second\n"
		"    from: {transport: nats, mode: core, subject: work}\n"
		"    request: {timeout: 2m}\n"
		"    to: {transport: amqp, declare: true, when_down: wait}\n"
		"  - name: third\n"
		"    from: {transport: amqp, subject: work, declare: true}\n"
		"    request: {timeout: 2m}\n"
		"    to: {transport: redis, mode: stream}\n"
		"  - name: fourth\n"
		"    from: {transport: redis, mode: stream, subject: work}\n"
		"    handlers:\n"
		"      - {plugin: validate, schema: '{\"type\": \"object\", \"required\": [\"n\"]}'}\n"
		"      - {plugin: transform, json: {set: [{field: /by, value: work}]}}\n"
		"    to: reply\n",
		port, xf_broker_url(nats), xf_broker_url(amqp), xf_broker_url(redis));
	xf_server_start(server);
	xf_server_wait_ready(server);
	for (int i = 0; i < REQUESTS; i++) {
		char body[32], part[64];
		struct http_answer answer;
		int fd = http_connect(port);

		snprintf(body, sizeof(body), "{\"n\":%d}", i);
		snprintf(part, sizeof(part), "{\"n\":%d,\"by\":\"work\"}", i);
		http_post(fd, "/request/work", "Content-Type: application/json\r\n", body, strlen(body));
		answer = http_read(fd);
		close(fd);
		if (answer.status != 200 || strstr(answer.body, part) == NULL)
			fail_msg("%s: status %d: %s", body, answer.status, answer.body != NULL ? answer.body : "closed");
		http_forget(&answer);
	}
	xf_server_wait_number(server, "/api/v1/routes/fourth", "acked", REQUESTS);
	xf_server_wait_number(server, "/api/v1/routes/third", "acked", REQUESTS);
	xf_server_destroy(&server);
	xf_broker_destroy(&redis);
	xf_broker_destroy(&amqp);
	xf_broker_destroy(&nats);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_over_all_brokers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
