/*
 * handlers_cache.c - answers that servers share, in a real Redis.
 */
#include "cache_ask.h"

#include <pthread.h>
#include <stdatomic.h>

#include "broker.h"
#include "http_client.h"
#include "server.h"

#define MANY 3000

static struct xf_broker *redis;
static char url[128];

#define PATCH "patch.set[0].field=/request_id", "patch.set[0].value={json./id}"
#define CACHE(...) bench_open("cache-redis", (const char *const[]){url, "key={json./text}", __VA_ARGS__, NULL})

static char *
ctl(const char *const *args)
{
	return xf_broker_ctl(redis, args);
}
#define CTL(...) ctl((const char *const[]){__VA_ARGS__, NULL})

/* Until what BENCH asked last is with the server: its answers come in order. */
static void
wait_kept(struct bench *bench, const char *text)
{
	const struct bench_result *result;

	do
		result = asked(bench, "waits", text);
	while (result->code != XF_OUTCOME_DONE);
}

static void
test_servers_share(void **state)
{
	struct bench *one = CACHE(PATCH, "store=shared", "ttl=1h"), *two = CACHE(PATCH, "store=shared"),
	             *other = CACHE(PATCH, "store=other");
	const struct bench_result *result;

	(void)state;
	assert_followed(asked(one, "one", "x"));
	answer(one, 0, "one", "42");
	wait_kept(one, "x");
	result = asked(two, "two", "x");
	assert_answer(result, "{\"request_id\":\"two\",\"answer\":\"42\"}");
	assert_str(result->messages[0]->headers[0].value, "two");
	assert_str(result->messages[0]->subject, "result.a");
	assert_followed(asked(other, "two", "x"));
	assert_int_equal(bench_number(two, "cache_hits"), 1);
	assert_int_equal(bench_number(one, "cache_kept"), 1);
	free(CTL("DEL", "crossfade:cache:shared:x"));
	assert_followed(asked(two, "two", "x"));
	bench_close(&one);
	bench_close(&two);
	bench_close(&other);
}

static void
test_time_to_live(void **state)
{
	struct bench *bench = CACHE("mode=store", "store=ttl", "ttl=100s", "kinds[0].field={json./text}", "kinds[0].equals=short",
	                            "kinds[0].ttl=10s"),
	             *looks = CACHE("mode=lookup", "miss=refuse", "store=ttl");
	char *ttl;

	(void)state;
	assert_passed(asked(bench, "one", "x"));
	assert_passed(asked(bench, "one", "short"));
	while (asked(looks, "two", "short")->code != XF_OUTCOME_DONE) /* as that was the second, both are there */
		bench_turn(bench);
	ttl = CTL("TTL", "crossfade:cache:ttl:x");
	assert_in_range(atol(ttl), 50, 100);
	free(ttl);
	ttl = CTL("TTL", "crossfade:cache:ttl:short");
	assert_in_range(atol(ttl), 1, 10);
	free(ttl);
	assert_int_equal(asked(looks, "two", "nothing")->status, 404);
	bench_close(&bench);
	bench_close(&looks);
}

static void
test_single_flight(void **state)
{
	struct bench *bench = CACHE(PATCH, "store=flight");
	char id[16];

	(void)state;
	for (int i = 0; i < 20; i++) {
		snprintf(id, sizeof(id), "n%d", i);
		ask(bench, id, "x");
	}
	bench_wait_finished(bench, 1);
	assert_followed(bench_result(bench, 0));
	bench_wait_taken(bench, 20);
	bench_cancel(bench, 5);
	answer(bench, 0, "n0", "42");
	assert_answer(bench_result(bench, 19), "{\"request_id\":\"n19\",\"answer\":\"42\"}");
	assert_int_equal(bench_number(bench, "cache_misses"), 1);
	assert_int_equal(bench_number(bench, "cache_waited"), 19);
	bench_close(&bench);
}

/* Something that nobody kept there. */
static void
test_foreign_value(void **state)
{
	struct bench *bench = CACHE("store=foreign");

	(void)state;
	free(CTL("SET", "crossfade:cache:foreign:x", "XFC1nonsense"));
	free(CTL("LPUSH", "crossfade:cache:foreign:y", "z"));
	assert_followed(asked(bench, "one", "x"));
	assert_passed(asked(bench, "one", "y"));
	bench_wait_state(bench, XF_STATE_BLOCKED);
	assert_non_null(strstr(bench_reason(bench), "WRONGTYPE"));
	assert_int_equal(bench_number(bench, "cache_away"), 1);
	bench_close(&bench);
}

static void
test_redis_is_away(void **state)
{
	struct bench *passes = CACHE("store=away"), *delays = CACHE("store=away", "when_down=delay"),
	             *refuses = CACHE("store=away", "mode=lookup", "miss=refuse");

	(void)state;
	bench_wait_state(passes, XF_STATE_UP);
	xf_broker_pause(redis);
	ask(passes, "one", "x");
	bench_wait_taken(passes, 1);
	xf_broker_kill(redis);
	bench_wait_finished(passes, 1);
	assert_passed(bench_result(passes, 0));
	assert_int_equal(asked(delays, "one", "x")->code, XF_OUTCOME_LATER);
	assert_int_equal(asked(refuses, "one", "x")->code, XF_OUTCOME_FAIL);
	assert_int_equal(bench_result(refuses, 0)->status, 503);
	xf_broker_restart(redis);
	bench_wait_state(passes, XF_STATE_UP);
	assert_followed(asked(passes, "one", "x"));
	bench_close(&passes);
	bench_close(&delays);
	bench_close(&refuses);
}

/* ---- Operators ------------------------------------------------------------------------------- */

struct call {
	struct bench *bench;
	const char *method, *query;
	char *body;
	uint32_t status;
	atomic_bool done;
};

static void *
call_run(void *context)
{
	struct call *call = context;

	call->body = bench_serve(call->bench, call->method, "keys", call->query, &call->status);
	atomic_store(&call->done, true);
	bench_wake(call->bench);
	return NULL;
}

/* On a thread of its own, while the handler's turns. */
static char *
served(struct bench *bench, const char *method, const char *query, uint32_t status)
{
	struct call call = {.bench = bench, .method = method, .query = query};
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, call_run, &call), 0);
	while (!atomic_load(&call.done))
		bench_turn(bench);
	pthread_join(thread, NULL);
	assert_int_equal(call.status, status);
	return call.body;
}

static void
test_operators(void **state)
{
	struct bench *bench = CACHE("store=a*b", "mode=store"), *other = CACHE("store=axb", "mode=store");
	char text[32], *body;

	(void)state;
	for (int i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "%s%d", i < 10 ? "few:" : "many:", i);
		ask(bench, "one", text);
	}
	bench_wait_finished(bench, MANY);
	asked(other, "one", "few:0");
	body = served(bench, "GET", "match=few:*", 200);
	for (int i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), "\"few:%d\"", i);
		assert_non_null(strstr(body, text));
	}
	assert_null(strstr(body, "many:"));
	assert_non_null(strstr(body, "\"complete\": true"));
	free(body);
	body = served(bench, "GET", "limit=5", 200);
	assert_non_null(strstr(body, "\"complete\": false"));
	free(body);
	body = served(bench, "DELETE", "match=many:*", 200);
	assert_string_equal(body, "{\"removed\": 2990, \"complete\": true}\n");
	free(body);
	body = served(bench, "DELETE", "match=*", 200);
	assert_string_equal(body, "{\"removed\": 10, \"complete\": true}\n");
	free(body);
	body = served(other, "DELETE", "match=*", 200); /* its prefix is no pattern, and neither is the other's */
	assert_string_equal(body, "{\"removed\": 1, \"complete\": true}\n");
	free(body);
	xf_broker_kill(redis);
	free(served(bench, "GET", "", 503));
	xf_broker_restart(redis);
	bench_close(&bench);
	bench_close(&other);
}

/* ---- A whole server --------------------------------------------------------------------------- */

/* POSTs BODY to PATH, and expects STATUS and PART of the answer. */
static void
assert_posted(unsigned port, const char *path, const char *body, int status, const char *part)
{
	int fd = http_connect(port);
	struct http_answer got;

	http_post(fd, path, "Content-Type: application/json\r\n", body, strlen(body));
	got = http_read(fd);
	close(fd);
	if (got.status != status || strstr(got.body, part) == NULL)
		fail_msg("%s %s: status %d: %s", path, body, got.status, got.body != NULL ? got.body : "closed");
	http_forget(&got);
}

/* The worker is in the route, or behind a broker; what it did is kept in memory, or in Redis. */
static void
configure(struct xf_server *server, unsigned port, const char *ttl)
{
	xf_server_configure(server, "",
		"transports:\n"
		"  api: {plugin: http, listen: '127.0.0.1:%u', request_timeout: 5m}\n"
		"  bus: {plugin: local}\n"
		"routes:\n"
		"  - name: here\n"
		"    from: {transport: api, subject: here}\n"
		"    handlers:\n"
		"      - {plugin: ratelimit, key: '{json./name}', rate: 3, per: 1h, over: reject}\n"
		"      - {plugin: cache, key: '{json./n}', patch: {set: [{field: /id, value: '{json./id}'}]}}\n"
		"      - {plugin: transform, json: {set: [{field: /first, value: '{json./id}'}]}}\n"
		"    to: reply\n"
		"  - name: there\n"
		"    from: {transport: api, subject: there}\n"
		"    handlers: [{plugin: cache, ttl: %s, key: '{json./n}', patch: {set: [{field: /id, value: '{json./id}'}]}}]\n"
		"    to: {transport: bus}\n"
		"    request: {timeout: 5m}\n"
		"  - name: redis\n"
		"    from: {transport: api, subject: redis}\n"
		"    handlers:\n"
		"      - {plugin: cache-redis, redis: {url: '%s'}, key: '{json./n}', patch: {set: [{field: /id, value: '{json./id}'}]}}\n"
		"      - {plugin: transform, json: {set: [{field: /first, value: '{json./id}'}]}}\n"
		"    to: reply\n"
		"  - name: worker\n"
		"    from: {transport: bus, subject: there}\n"
		"    handlers: [{plugin: transform, json: {set: [{field: /first, value: '{json./id}'}]}}]\n"
		"    to: reply\n",
		port, ttl, xf_broker_url(redis));
}

/* The second asker gets what the first got, with his own id. */
static void
test_whole_server(void **state)
{
	static const char *const routes[] = {"here", "there", "redis"};
	struct xf_server *server = xf_server_create("cache");
	char path[160], *text;
	unsigned port = http_port_free();

	(void)state;
	configure(server, port, "1h");
	xf_server_start(server);
	xf_server_wait_ready(server);
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "/request/%s", routes[i]);
		assert_posted(port, path, "{\"id\":\"a\",\"n\":1,\"name\":\"x\"}", 200, "{\"id\":\"a\",\"n\":1,\"name\":\"x\",\"first\":\"a\"}");
		/* What is told to the handler comes after the answer: until it is kept others may be worked on. */
		snprintf(path, sizeof(path), "/api/v1/routes/%s/handlers/%s", routes[i], i < 2 ? "cache" : "cache-redis");
		xf_server_wait_number(server, path, "kept", 1);
		snprintf(path, sizeof(path), "/request/%s", routes[i]);
		assert_posted(port, path, "{\"id\":\"b\",\"n\":1,\"name\":\"x\"}", 200, "{\"id\":\"b\",\"n\":1,\"name\":\"x\",\"first\":\"a\"}");
		snprintf(path, sizeof(path), "/api/v1/routes/%s/handlers/%s", routes[i], i < 2 ? "cache" : "cache-redis");
		assert_int_equal(xf_server_number(server, path, "hits"), 1);
		assert_int_equal(xf_server_number(server, path, "misses"), 1);
		strcat(path, "/keys?match=1");
		text = xf_server_string(server, path, "keys.0.key");
		assert_string_equal(text, "1");
		free(text);
		assert_int_equal(xf_server_request(server, "DELETE", path, "", NULL), 200);
		snprintf(path, sizeof(path), "/request/%s", routes[i]);
		assert_posted(port, path, "{\"id\":\"c\",\"n\":1,\"name\":\"x\"}", 200, "\"first\":\"c\"");
	}
	assert_posted(port, "/request/here", "{\"id\":\"d\",\"n\":1,\"name\":\"x\"}", 429, "more than 3 messages in 3600 s");
	assert_posted(port, "/request/here", "{\"n\":1}", 422, "{json./name}");
	/* Another handler has the same store. */
	xf_server_wait_number(server, "/api/v1/routes/there/handlers/cache", "kept", 2);
	configure(server, port, "2h");
	XF_CLI_DONE(server, "reload");
	assert_posted(port, "/request/there", "{\"id\":\"d\",\"n\":1}", 200, "\"first\":\"c\"");
	assert_int_equal(xf_server_number(server, "/api/v1/routes/there/handlers/cache", "hits"), 1);
	assert_int_equal(xf_server_stop(server), 0);
	xf_server_destroy(&server);
}

static int
setup(void **state)
{
	(void)state;
	redis = xf_broker_start("redis", NULL);
	snprintf(url, sizeof(url), "redis.url=%s", xf_broker_url(redis));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	xf_broker_destroy(&redis);
	return 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_servers_share),
		cmocka_unit_test(test_time_to_live),
		cmocka_unit_test(test_single_flight),
		cmocka_unit_test(test_foreign_value),
		cmocka_unit_test(test_redis_is_away),
		cmocka_unit_test(test_operators),
		cmocka_unit_test(test_whole_server),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
