/*
 * The services in config/ with real brokers, asked by the brokers' own client libraries: requests flow while their results move from one broker
 * to the other and back, and a worker's server is killed with work under way.
 */
#include <hiredis/hiredis.h>
#include <nats/nats.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "broker.h"
#include "clients.h"
#include "http_client.h"
#include "server.h"

#define EVENTS 400
#define REPORTS 400

/* What the deployment takes from the environment is in that of the test, for the server and for those who steer it. */
static void
deployment_adopt(struct xf_server *server, const char *name, const char *data)
{
	char config[1024], admin[64];

	snprintf(admin, sizeof(admin), "127.0.0.1:%u", http_port_free());
	snprintf(config, sizeof(config), "%s/config/%s/crossfade.yaml", XF_SOURCE_DIR, name);
	setenv("CROSSFADE_DATA", data, 1);
	setenv("CROSSFADE_ADMIN", admin, 1);
	xf_server_adopt(server, config, data);
}

/* ---- Prioritisation --------------------------------------------------------------------------------- */

struct asker {
	const char *url;
	_Atomic bool stop;
	_Atomic unsigned right, wrong;
};

static void
request_write(char *out, size_t size, const char *id, unsigned number)
{
	snprintf(out, size,
	         "{\"id\":\"%s%u\",\"title\":\"matter %s%u\",\"description\":\"it is blocked\",\"category\":\"bug\",\"requester_role\":\"manager\","
	         "\"requester_name\":\"%s%u\",\"timestamp\":\"2026-01-31T08:00:00Z\",\"correlation_id\":\"c%u\"}",
	         id, number, id, number, id, number, number);
}

/* Asks one after the other over core NATS, as any application would. */
static void *
asker_run(void *context)
{
	struct asker *asker = context;
	natsConnection *connection = NULL;

	if (natsConnection_ConnectTo(&connection, asker->url) != NATS_OK)
		asker->wrong++;
	for (unsigned i = 0; connection != NULL && !asker->stop; i++) {
		char body[1024], part[64];
		natsMsg *reply = NULL;

		request_write(body, sizeof(body), "s", i);
		snprintf(part, sizeof(part), "\"request_id\":\"s%u\",\"correlation_id\":\"c%u\"", i, i);
		if (natsConnection_RequestString(&reply, connection, "prioritization.sync", body, XF_WAIT_MS) == NATS_OK &&
		    memmem(natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply), part, strlen(part)) != NULL)
			asker->right++;
		else
			asker->wrong++;
		natsMsg_Destroy(reply);
	}
	natsConnection_Destroy(connection);
	return NULL;
}

/* Marks which events TEXT is a result of. */
static void
result_mark(const char *text, size_t len, unsigned char *seen)
{
	const char *at = memmem(text, len, "\"request_id\":\"e", 15);
	unsigned number = at != NULL ? (unsigned)strtoul(at + 15, NULL, 10) : EVENTS;

	if (at == NULL || number >= EVENTS)
		fail_msg("no result: %.*s", (int)len, text);
	seen[number]++;
}

static void
old_read(redisContext *old, unsigned char *seen)
{
	redisReply *reply = NULL;

	/* The socket has a time limit, at which there is nothing more. */
	while (redisGetReply(old, (void **)&reply) == REDIS_OK) {
		if (reply->elements == 4)
			result_mark(reply->element[3]->str, reply->element[3]->len, seen);
		freeReplyObject(reply);
	}
}

static unsigned
new_read(natsConnection *connection, unsigned char *seen)
{
	natsSubscription *subscription = NULL;
	jsSubOptions options;
	jsCtx *js = NULL;
	natsMsg *message = NULL;
	unsigned count = 0;

	assert_int_equal(natsConnection_JetStream(&js, connection, NULL), NATS_OK);
	jsSubOptions_Init(&options);
	options.Ordered = true;
	options.Stream = "PRIORITIZATION_RESULTS";
	assert_int_equal(js_SubscribeSync(&subscription, js, "prioritization.result.>", NULL, &options, NULL), NATS_OK);
	while (natsSubscription_NextMsg(&message, subscription, 1000) == NATS_OK) {
		result_mark(natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message), seen);
		natsMsg_Destroy(message);
		count++;
	}
	natsSubscription_Destroy(subscription);
	jsCtx_Destroy(js);
	return count;
}

/* Every event has its result, on one side or the other, and every asker his answer, while the share goes up, back and to the end. */
static void
test_results_move_while_requests_flow(void **state)
{
	static const char *const shares[] = {"25", "75", "100", "0", "50", "100"};
	struct xf_broker *nats = xf_broker_start("nats", NULL), *redis = xf_broker_start("redis", NULL);
	struct xf_server *server = xf_server_create("prioritization");
	struct asker asker = {.url = xf_broker_url(nats)};
	unsigned char seen[EVENTS] = {0};
	natsConnection *connection = NULL;
	jsCtx *js = NULL;
	redisContext *old;
	char data[512];
	pthread_t thread;

	(void)state;
	snprintf(data, sizeof(data), "%s/data", xf_server_dir(server));
	setenv("NATS_URL", xf_broker_url(nats), 1);
	setenv("REDIS_URL", xf_broker_url(redis), 1);
	setenv("CROSSFADE_HTTP", "127.0.0.1:0", 1);
	setenv("PRIORITIZATION_STAGE", "off", 1);
	deployment_adopt(server, "prioritization", data);
	xf_server_start(server);
	xf_server_wait_ready(server);
	old = redisConnect("127.0.0.1", atoi(strrchr(xf_broker_url(redis), ':') + 1));
	assert_true(old != NULL && old->err == 0);
	freeReplyObject(redisCommand(old, "PSUBSCRIBE prioritization.result.*"));
	assert_int_equal(natsConnection_ConnectTo(&connection, xf_broker_url(nats)), NATS_OK);
	assert_int_equal(natsConnection_JetStream(&js, connection, NULL), NATS_OK);
	assert_int_equal(pthread_create(&thread, NULL, asker_run, &asker), 0);
	for (unsigned i = 0; i < EVENTS; i++) {
		char body[1024];

		request_write(body, sizeof(body), "e", i);
		assert_int_equal(js_Publish(NULL, js, "prioritization.request.bug", body, (int)strlen(body), NULL, NULL), NATS_OK);
		if (i % (EVENTS / 7) == EVENTS / 7 - 1 && i / (EVENTS / 7) < 6)
			XF_CLI_DONE(server, "migration", "set", "results", "--percent", shares[i / (EVENTS / 7)]);
	}
	xf_server_wait_settled(server, "requests", EVENTS);
	asker.stop = true;
	pthread_join(thread, NULL);
	assert_int_equal(asker.wrong, 0);
	assert_true(asker.right > 0);
	assert_int_equal(redisSetTimeout(old, (struct timeval){.tv_sec = 1}), REDIS_OK);
	old_read(old, seen);
	assert_true(new_read(connection, seen) > 0);
	for (unsigned i = 0; i < EVENTS; i++)
		if (seen[i] != 1)
			fail_msg("event %u has %u results", i, seen[i]);
	print_message("%u askers answered\n", asker.right);
	jsCtx_Destroy(js);
	natsConnection_Destroy(connection);
	redisFree(old);
	assert_int_equal(xf_server_stop(server), 0);
	xf_server_destroy(&server);
	xf_broker_destroy(&nats);
	xf_broker_destroy(&redis);
}

/* ---- Reports ------------------------------------------------------------------------------------------- */

struct reports {
	unsigned char seen[REPORTS];
	char ids[REPORTS][40];
	unsigned again;
};

/* A response that comes twice names the same report. */
static void
response_take(void *context, const struct arrival *arrival)
{
	struct reports *reports = context;
	const char *text = arrival->payload, *at = memmem(text, arrival->size, "\"request_id\"", 12);
	const char *id = memmem(text, arrival->size, "\"report_id\"", 11);
	unsigned number;

	at = at != NULL ? memchr(at + 12, 'q', arrival->size - (size_t)(at + 12 - text)) : NULL;
	number = at != NULL ? (unsigned)strtoul(at + 1, NULL, 10) : REPORTS;
	id = id != NULL ? memchr(id + 11, '"', arrival->size - (size_t)(id + 11 - text)) : NULL;
	if (number >= REPORTS || id == NULL || memmem(text, arrival->size, "\"success\"", 9) == NULL)
		fail_msg("%.*s", (int)arrival->size, text);
	if (reports->seen[number]++ > 0) {
		reports->again++;
		assert_memory_equal(reports->ids[number], id + 1, 36);
	}
	memcpy(reports->ids[number], id + 1, 36);
}

/* Each request has its report, under one id however often the server is killed. */
static void
test_reports_survive_kills(void **state)
{
	struct xf_broker *amqp = xf_broker_start("amqp", NULL), *redis = xf_broker_start("redis", NULL);
	struct xf_server *server = xf_server_create("reports");
	struct rabbit *rabbit = rabbit_open(xf_broker_url(amqp));
	struct reports reports = {.again = 0};
	uint64_t end;
	char data[512];

	(void)state;
	snprintf(data, sizeof(data), "%s/data", xf_server_dir(server));
	setenv("AMQP_URL", xf_broker_url(amqp), 1);
	setenv("REDIS_URL", xf_broker_url(redis), 1);
	setenv("RABBITMQ_PREFETCH_COUNT", "4", 1);
	deployment_adopt(server, "reports", data);
	/* Durable and classic, without arguments: what crossfade declares later is the same. */
	rabbit_declare(rabbit, "report_generation_requests");
	rabbit_declare(rabbit, "report_generation_responses");
	for (unsigned i = 0; i < REPORTS; i++) {
		char body[256];
		int len = snprintf(body, sizeof(body), "{\"request_id\": \"q%u\", \"user_id\": \"u%u\", \"values\": [%u, 2]}", i, i % 3, i);

		rabbit_publish(rabbit, "", xf_str("report_generation_requests"), body, (size_t)len, NULL, xf_str(""));
	}
	rabbit_confirm(rabbit);
	for (unsigned i = 0; i < 3; i++) {
		xf_server_start(server);
		xf_server_wait_number(server, "/api/v1/routes/reports", "acked", 5);
		xf_server_kill(server);
	}
	xf_server_start(server);
	xf_server_wait_ready(server);
	/* At rest; who reads while more comes may miss some. */
	end = xf_now_ms() + XF_WAIT_MS;
	while (rabbit_count(rabbit, "report_generation_responses") < REPORTS && xf_now_ms() < end)
		usleep(20000);
	while (xf_server_number(server, "/api/v1/routes/reports", "in_flight") > 0 && xf_now_ms() < end)
		usleep(20000);
	rabbit_read(rabbit, "report_generation_responses", response_take, &reports);
	for (unsigned i = 0; i < REPORTS; i++)
		if (reports.seen[i] == 0)
			fail_msg("request %u has no response", i);
	print_message("%u responses came twice\n", reports.again);
	rabbit_close(&rabbit);
	assert_int_equal(xf_server_stop(server), 0);
	xf_server_destroy(&server);
	xf_broker_destroy(&amqp);
	xf_broker_destroy(&redis);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_results_move_while_requests_flow),
		cmocka_unit_test(test_reports_survive_kills),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
