/*
 * Batches of lines, requests and their replies, and the listener's TLS and socket.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <curl/curl.h>

#include "broker.h"
#include "http_fixture.h"

/* ---- Batches ------------------------------------------------------------------------------ */

static cJSON *
batch(struct fixture *f, const char *lines, size_t len, int status)
{
	struct http_answer answer;
	cJSON *json;

	http_post(f->fd, "/publish", "Content-Type: application/x-ndjson; charset=utf-8\r\n", lines, len);
	answer = http_read(f->fd);
	if (answer.status != status)
		fail_msg("status %d: %s", answer.status, answer.body);
	json = cJSON_Parse(answer.body);
	assert_non_null(json);
	http_forget(&answer);
	return json;
}

static int
number(const cJSON *json, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);

	assert_true(cJSON_IsNumber(item));
	return item->valueint;
}

static void
assert_error(const cJSON *json, int index, int line, int status, const char *part)
{
	const cJSON *error = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(json, "errors"), index);
	const char *detail;

	assert_non_null(error);
	detail = cJSON_GetObjectItemCaseSensitive(error, "detail")->valuestring;
	if (number(error, "line") != line || number(error, "status") != status || strstr(detail, part) == NULL)
		fail_msg("error %d is line %d, status %d: %s", index, number(error, "line"), number(error, "status"), detail);
}

static void
assert_payload(const struct harness_message *m, const char *payload)
{
	assert_int_equal(m->in.payload_size, strlen(payload));
	assert_memory_equal(m->in.payload, payload, strlen(payload));
}

static void
test_a_line_is_a_message(void **state)
{
	static const char lines[] =
		"{\"subject\":\"a.1\",\"id\":\"i\",\"key\":\"k\",\"reply\":\"r\",\"content_type\":\"t/x\",\"payload\":\"text\\n\\u00e9\","
		"\"headers\":{\"X-A\":\"1\",\"x-b\":\"\\ud83d\\ude00\",\"crossfade-hops\":\"3\"}}\r\n"
		"\n"
		"  {\"payload\" : { \"n\": 12345678901234567890.10, \"a\":[ 1,2 ]} , \"subject\" : \"a.2\"}\n"
		"{\"subject\":\"a.3\",\"payload_base64\":\"AAH/\"}\n"
		"{\"subject\":\"a.4\",\"id\":null}\n"
		"{\"subject\":\"a.5\",\"payload\":null}"; /* without an end */
	struct fixture f = {0};
	const struct harness_message *m;
	cJSON *json;

	(void)state;
	fixture_open(&f, ">", NULL);
	harness_settle_auto(f.source, XF_SETTLE_ACK, true);
	json = batch(&f, lines, sizeof(lines) - 1, 202);
	assert_int_equal(number(json, "accepted"), 5);
	assert_int_equal(number(json, "failed"), 0);
	cJSON_Delete(json);
	m = harness_message(f.source, 0);
	assert_string_equal(m->in.subject.data, "a.1");
	assert_string_equal(m->in.id.data, "i");
	assert_string_equal(m->in.key.data, "k");
	assert_string_equal(m->in.reply.data, "r");
	assert_string_equal(m->in.content_type.data, "t/x");
	assert_payload(m, "text\n\xc3\xa9");
	assert_string_equal(harness_header(m, "X-A"), "1");
	assert_string_equal(harness_header(m, "x-b"), "\xf0\x9f\x98\x80");
	assert_string_equal(harness_header(m, "Crossfade-Hops"), "3");
	m = harness_message(f.source, 1);
	assert_payload(m, "{ \"n\": 12345678901234567890.10, \"a\":[ 1,2 ]}");
	assert_string_equal(m->in.content_type.data, "application/json");
	assert_int_equal(m->in.id.len, 32);
	m = harness_message(f.source, 2);
	assert_int_equal(m->in.payload_size, 3);
	assert_memory_equal(m->in.payload, "\x00\x01\xff", 3);
	assert_int_equal(harness_message(f.source, 3)->in.payload_size, 0);
	assert_int_equal(harness_message(f.source, 3)->in.id.len, 32);
	assert_payload(harness_message(f.source, 4), "null");
	fixture_close(&f);
}

static void
test_bad_lines_are_named_and_the_rest_accepted(void **state)
{
	static const struct {
		const char *line, *part;
		int status;
	} bad[] = {
		{"no json", "at byte 1", 400},
		{"{\"subject\":\"a\"} x", "behind the object", 400},
		{"{\"subject\":\"a\"", "does not end", 400},
		{"{\"subject\":\"a\",}", "string was expected", 400},
		{"[\"subject\"]", "no JSON object", 400},
		{"{\"payload\":1}", "no \"subject\"", 400},
		{"{\"subject\":5}", "\"subject\" is no string", 400},
		{"{\"subject\":\"a b\"}", "space", 400},
		{"{\"subject\":\"a\",\"subject\":\"b\"}", "twice", 400},
		{"{\"subject\":\"a\",\"sbject\":\"b\"}", "\"sbject\" is not known", 400},
		{"{\"subject\":\"a\",\"payload\":1,\"payload_base64\":\"\"}", "cannot stand together", 400},
		{"{\"subject\":\"a\",\"payload_base64\":\"a\"}", "no base64", 400},
		{"{\"subject\":\"a\",\"payload\":01}", "does not end", 400},
		{"{\"subject\":\"a\",\"payload\":\"\\ud800\"}", "surrogate", 400},
		{"{\"subject\":\"a\",\"headers\":[]}", "no object", 400},
		{"{\"subject\":\"a\",\"headers\":{\"a b\":\"c\"}}", "no token", 400},
		{"{\"subject\":\"a\",\"headers\":{\"a\":\"c\\r\\nd\"}}", "control character", 400},
		{"{\"subject\":\"a\",\"id\":\"\\u0000\"}", "control character", 400},
		{"{\"subject\":\"elsewhere.x\"}", "no route takes", 404},
	};
	enum { BAD = sizeof(bad) / sizeof(bad[0]) };
	struct fixture f = {0};
	char lines[8192];
	size_t len = 0;
	cJSON *json;

	(void)state;
	fixture_open(&f, "a", NULL);
	harness_settle_auto(f.source, XF_SETTLE_ACK, true);
	for (int i = 0; i < BAD; i++)
		len += (size_t)snprintf(lines + len, sizeof(lines) - len, "{\"subject\":\"a\"}\n%s\n", bad[i].line);
	json = batch(&f, lines, len, 207);
	assert_int_equal(number(json, "accepted"), BAD);
	assert_int_equal(number(json, "failed"), BAD);
	for (int i = 0; i < BAD; i++)
		assert_error(json, i, 2 * i + 2, bad[i].status, bad[i].part);
	cJSON_Delete(json);
	assert_int_equal(harness_received(f.source), BAD);
	json = batch(&f, "x\ny", 3, 400);
	assert_int_equal(number(json, "accepted"), 0);
	cJSON_Delete(json);
	http_post(f.fd, "/publish", "Content-Type: application/x-ndjson\r\n", "\n\n", 2);
	http_expect(f.fd, 400, "no line");
	fixture_close(&f);
}

static void
test_ten_thousand_lines(void **state)
{
	enum { COUNT = 10000 };
	struct fixture f = {0};
	char *lines = malloc(COUNT * 64);
	size_t len = 0;
	cJSON *json;

	(void)state;
	fixture_open(&f, ">", NULL);
	harness_settle_auto(f.source, XF_SETTLE_ACK, true);
	for (int i = 1; i <= COUNT; i++)
		len += (size_t)sprintf(lines + len, i % 1000 == 0 ? "bad line %d\n" : "{\"subject\":\"a.b\",\"payload\":%d}\n", i);
	json = batch(&f, lines, len, 207);
	assert_int_equal(number(json, "accepted"), COUNT - 10);
	assert_int_equal(number(json, "failed"), 10);
	for (int i = 0; i < 10; i++)
		assert_error(json, i, (i + 1) * 1000, 400, "no JSON object");
	cJSON_Delete(json);
	assert_int_equal(harness_received(f.source), COUNT - 10);
	for (size_t i = 0, line = 1; i < COUNT - 10; i++, line++) {
		char payload[16];

		line += line % 1000 == 0;
		snprintf(payload, sizeof(payload), "%zu", line);
		assert_payload(harness_message(f.source, i), payload);
	}
	/* More mistakes than are listed. */
	len = 0;
	for (int i = 1; i <= COUNT; i++)
		len += (size_t)sprintf(lines + len, "bad\n");
	json = batch(&f, lines, len, 400);
	assert_int_equal(number(json, "failed"), COUNT);
	assert_int_equal(number(json, "unlisted"), COUNT - cJSON_GetArraySize(cJSON_GetObjectItem(json, "errors")));
	cJSON_Delete(json);
	http_wait_report(f.harness, "bytes", 0);
	free(lines);
	fixture_close(&f);
}

static void
test_what_a_batch_is_told_of_each_line(void **state)
{
	static const char lines[] = "{\"subject\":\"a\",\"payload\":\"1\"}\n{\"subject\":\"a\",\"payload\":\"2\"}\n"
				    "{\"subject\":\"a\",\"payload\":\"3\"}\n";
	struct fixture f = {0};
	struct http_answer answer;
	cJSON *json;

	(void)state;
	fixture_open(&f, ">", NULL);
	harness_window(f.source, 2, 1 << 20);
	http_post(f.fd, "/publish", "Content-Type: application/x-ndjson\r\n", lines, sizeof(lines) - 1);
	assert_true(harness_wait_received(f.source, 2, HTTP_SOON));
	harness_window(f.source, 0, 0);
	harness_settle(f.source, 0, XF_SETTLE_ACK, 0);
	harness_settle(f.source, 1, XF_SETTLE_REJECT, 0);
	assert_true(harness_wait_settled(f.source, HTTP_SOON));
	fixture_time_out(&f);
	answer = http_read(f.fd);
	assert_int_equal(answer.status, 207);
	assert_string_equal(http_header(&answer, "Retry-After"), "1");
	json = cJSON_Parse(answer.body);
	assert_int_equal(number(json, "accepted"), 1);
	assert_error(json, 0, 2, 422, "refused");
	assert_error(json, 1, 3, 503, "cannot be accepted now");
	cJSON_Delete(json);
	http_forget(&answer);
	fixture_close(&f);
}

/* What a line's headers take is what it brings, not what it may bring. */
static void
test_headers_take_what_they_need(void **state)
{
	enum { COUNT = 50000 / XF_SCALE };
	struct fixture f = {0};
	char *lines = malloc(COUNT * 64);
	size_t len = 0;
	cJSON *json;

	(void)state;
	fixture_open(&f, ">", OPTIONS(XF_SCALE > 1 ? "max_bytes=5MiB" : "max_bytes=50MiB"));
	harness_settle_auto(f.source, XF_SETTLE_ACK, false);
	for (int i = 0; i < COUNT; i++)
		len += (size_t)sprintf(lines + len, "{\"subject\":\"a\",\"headers\":{\"A\":\"%d\"}}\n", i);
	json = batch(&f, lines, len, 202);
	assert_int_equal(number(json, "accepted"), COUNT);
	cJSON_Delete(json);
	free(lines);
	fixture_close(&f);
}

/* ---- Requests ------------------------------------------------------------------------------- */

static void
test_a_reply_answers_its_request(void **state)
{
	static const struct xf_header headers[] = {
		{{"X-Kind", 6}, {"answer", 6}}, {{"Connection", 10}, {"close", 5}}, {{"Crossfade-Hops", 14}, {"1", 1}}};
	struct fixture f = {0};
	struct harness_endpoint *sink;
	struct http_answer answer;
	struct xf_outgoing reply = {.payload = "pong", .payload_size = 4, .headers = headers, .header_count = 3,
				    .content_type = {"text/plain", 10}, .id = {"r-1", 3}};
	char subject[256];

	(void)state;
	fixture_open(&f, ">", OPTIONS("reply_subject=my.replies"));
	http_post(f.fd, "/request/ask", "", "ping", 4);
	http_expect(f.fd, 503, "mode: reply");
	sink = harness_sink(f.harness, "back/to", NULL, OPTIONS("mode=reply"));
	assert_true(harness_wait_state(sink, XF_STATE_UP, HTTP_SOON));
	harness_settle_auto(f.source, XF_SETTLE_ACK, true);
	http_post(f.fd, "/request/ask", "", "ping", 4);
	assert_true(harness_wait_received(f.source, 1, HTTP_SOON));
	snprintf(subject, sizeof(subject), "%s", harness_message(f.source, 0)->in.reply.data);
	assert_memory_equal(subject, "my.replies.", 11);
	assert_int_equal(strlen(subject), 11 + 32);
	assert_false(http_readable(f.fd, 100)); /* accepted it was; an answer it is not yet */
	reply.subject = (struct xf_str){subject, strlen(subject)};
	harness_publish(sink, &reply);
	answer = http_read(f.fd);
	assert_int_equal(answer.status, 200);
	assert_string_equal(answer.body, "pong");
	assert_string_equal(http_header(&answer, "Content-Type"), "text/plain");
	assert_string_equal(http_header(&answer, "X-Kind"), "answer");
	assert_string_equal(http_header(&answer, "Crossfade-Hops"), "1");
	assert_string_equal(http_header(&answer, "Message-Id"), "r-1");
	assert_string_not_equal(http_header(&answer, "Connection"), "close");
	http_forget(&answer);
	/* A second reply, one to nobody, and one of another kind of subject: received by nobody. */
	harness_publish(sink, &reply);
	reply.subject = (struct xf_str){"my.replies.00000000000000000000000000000000", 43};
	harness_publish(sink, &reply);
	reply.subject = (struct xf_str){"x", 1};
	harness_publish(sink, &reply);
	assert_true(harness_wait_completed(sink, 4, HTTP_SOON));
	assert_int_equal(harness_result(sink, 0).flags, 0);
	for (size_t i = 1; i < 4; i++) {
		assert_int_equal(harness_result(sink, i).code, XF_RESULT_STORED);
		assert_int_equal(harness_result(sink, i).flags, XF_RESULT_NO_RECEIVER);
	}
	assert_int_equal(http_report(f.harness, "late_replies"), 3);
	harness_destroy(&sink);
	fixture_close(&f);
}

static void
test_a_request_without_a_reply(void **state)
{
	struct fixture f = {0};
	struct harness_endpoint *sink;

	(void)state;
	fixture_open(&f, "ask", NULL);
	sink = harness_sink(f.harness, "back/to", NULL, OPTIONS("mode=reply"));
	http_post(f.fd, "/request/ask?timeout=5m", "", "ping", 4);
	assert_true(harness_wait_received(f.source, 1, HTTP_SOON));
	harness_settle(f.source, 0, XF_SETTLE_ACK, 0);
	assert_true(harness_wait_settled(f.source, HTTP_SOON));
	fixture_time_out(&f);
	http_expect(f.fd, 504, "no reply");
	http_post(f.fd, "/request/nobody", "", "ping", 4);
	http_expect(f.fd, 404, "no route");
	harness_publish_text(sink, harness_message(f.source, 0)->in.reply.data, "late");
	assert_true(harness_wait_completed(sink, 1, HTTP_SOON));
	assert_int_equal(harness_result(sink, 0).flags, XF_RESULT_NO_RECEIVER);
	harness_settle_auto(f.source, XF_SETTLE_REJECT, true);
	http_post(f.fd, "/request/ask", "", "ping", 4);
	http_expect(f.fd, 422, "refused");
	harness_window(f.source, 0, 0);
	http_post(f.fd, "/request/ask", "", "ping", 4);
	http_wait_report(f.harness, "waiting", 1);
	fixture_time_out(&f);
	http_expect(f.fd, 503, "cannot be accepted now");
	harness_destroy(&sink);
	fixture_close(&f);
}

/* A reply counts against max_bytes until its client has it, and who does not take it is cut off. */
static void
test_replies_are_bounded(void **state)
{
	const size_t size = 8u << 20;
	struct fixture f = {0};
	struct harness_endpoint *sink;
	struct xf_outgoing reply = {.payload = calloc(1, size), .payload_size = size};
	int small = 4096, slow;

	(void)state;
	fixture_open(&f, "ask", OPTIONS("max_bytes=12MiB"));
	sink = harness_sink(f.harness, "back/to", NULL, OPTIONS("mode=reply"));
	harness_settle_auto(f.source, XF_SETTLE_ACK, true);
	slow = http_connect(f.port);
	setsockopt(slow, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	http_post(slow, "/request/ask", "", "", 0);
	assert_true(harness_wait_received(f.source, 1, HTTP_SOON));
	reply.subject = harness_message(f.source, 0)->in.reply;
	harness_publish(sink, &reply);
	assert_true(http_readable(slow, HTTP_SOON));
	assert_true(http_report(f.harness, "bytes") >= size);
	/* It does not read on, so there is no room for another. */
	http_post(f.fd, "/request/ask", "", "", 0);
	assert_true(harness_wait_received(f.source, 2, HTTP_SOON));
	reply.subject = harness_message(f.source, 1)->in.reply;
	harness_publish(sink, &reply);
	http_expect(f.fd, 503, "no room for it");
	close(f.fd);
	http_wait_report(f.harness, "connections", 1);
	harness_clock_advance(200000);
	http_wait_report(f.harness, "cut_off", 1);
	http_wait_report(f.harness, "bytes", 0);
	close(slow);
	f.fd = http_connect(f.port);
	http_post(f.fd, "/request/ask", "", "", 0);
	assert_true(harness_wait_received(f.source, 3, HTTP_SOON));
	reply = (struct xf_outgoing){.subject = harness_message(f.source, 2)->in.reply, .payload = reply.payload};
	harness_publish(sink, &reply);
	http_expect(f.fd, 200, "");
	free((void *)(uintptr_t)reply.payload);
	harness_destroy(&sink);
	fixture_close(&f);
}

static void
test_many_requests_at_once(void **state)
{
	enum { COUNT = 200 };
	struct fixture f = {0};
	struct harness_endpoint *sink;
	int fds[COUNT];

	(void)state;
	fixture_open(&f, "ask", NULL);
	sink = harness_sink(f.harness, "back/to", NULL, OPTIONS("mode=reply"));
	harness_settle_auto(f.source, XF_SETTLE_ACK, true);
	for (int i = 0; i < COUNT; i++) {
		char body[16];

		fds[i] = http_connect(f.port);
		http_post(fds[i], "/request/ask", "", body, (size_t)sprintf(body, "<%d>", i));
	}
	assert_true(harness_wait_received(f.source, COUNT, HTTP_SOON));
	for (size_t i = COUNT; i-- > 0;) { /* the last first */
		const struct harness_message *m = harness_message(f.source, i);
		struct xf_outgoing reply = {.subject = m->in.reply, .payload = m->in.payload, .payload_size = m->in.payload_size};

		harness_publish(sink, &reply);
	}
	for (int i = 0; i < COUNT; i++) {
		char body[16];

		snprintf(body, sizeof(body), "<%d>", i);
		http_expect(fds[i], 200, body);
		close(fds[i]);
	}
	harness_destroy(&sink);
	fixture_close(&f);
}

/* ---- TLS ---------------------------------------------------------------------------------------- */

static char curl_wrong[CURL_ERROR_SIZE];

/* The status of a POST, or minus libcurl's own. */
static long
https_post(unsigned port, const char *dir, const char *ca, const char *cert)
{
	CURL *curl = curl_easy_init();
	char url[64], text[3][512];
	long status = 0;
	CURLcode code;

	assert_non_null(curl);
	snprintf(url, sizeof(url), "https://localhost:%u/publish/a", port);
	snprintf(text[0], sizeof(text[0]), "%s/%s", dir, ca);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CAINFO, text[0]);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "x");
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, curl_wrong);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)HTTP_SOON);
	if (cert != NULL) {
		snprintf(text[1], sizeof(text[1]), "%s/%s.pem", dir, cert);
		snprintf(text[2], sizeof(text[2]), "%s/%s.key", dir, cert);
		curl_easy_setopt(curl, CURLOPT_SSLCERT, text[1]);
		curl_easy_setopt(curl, CURLOPT_SSLKEY, text[2]);
	}
	code = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(curl);
	return code == CURLE_OK ? status : -(long)code;
}

/* "tls.NAME=DIR/FILE", on the heap. */
static char *
tls_option(const char *name, const char *dir, const char *file)
{
	size_t size = strlen(dir) + 128;
	char *text = malloc(size);

	assert_non_null(text);
	snprintf(text, size, "tls.%s=%s/%s", name, dir, file);
	return text;
}

static void
test_tls_and_client_certificates(void **state)
{
	char *dir = xf_temp_create("http");
	char *cert = tls_option("cert", dir, "server.pem"), *key = tls_option("key", dir, "server.key");
	char *client_ca = tls_option("client_ca", dir, "ca.pem"), *other_ca = tls_option("client_ca", dir, "other-ca.pem");
	struct fixture f = {0};
	int plain;

	(void)state;
	xf_certificates_make(dir);
	fixture_open(&f, ">", OPTIONS(cert, key));
	harness_settle_auto(f.source, XF_SETTLE_ACK, true);
	if (https_post(f.port, dir, "ca.pem", NULL) != 202)
		fail_msg("%s", curl_wrong);
	assert_int_equal(https_post(f.port, dir, "other-ca.pem", NULL), -CURLE_PEER_FAILED_VERIFICATION);
	plain = http_connect(f.port);
	http_post(plain, "/publish/a", "", "x", 1);
	assert_true(http_wait_closed(plain, HTTP_SOON));
	close(plain);
	fixture_close(&f);

	fixture_open(&f, ">", OPTIONS(cert, key, client_ca));
	harness_settle_auto(f.source, XF_SETTLE_ACK, true);
	assert_int_equal(https_post(f.port, dir, "ca.pem", NULL), 403);
	assert_int_equal(https_post(f.port, dir, "ca.pem", "client"), 202);
	fixture_close(&f);

	fixture_open(&f, ">", OPTIONS(cert, key, other_ca));
	assert_true(https_post(f.port, dir, "ca.pem", "client") != 202);
	assert_int_equal(harness_received(f.source), 0);
	fixture_close(&f);
	free(cert);
	free(key);
	free(client_ca);
	free(other_ca);
	xf_temp_destroy(&dir);
}

static void
test_certificates_that_are_missing(void **state)
{
	struct harness *harness = harness_open("http", OPTIONS("listen=127.0.0.1:0", "tls.cert=/nowhere/c", "tls.key=/nowhere/k"));
	struct harness_endpoint *source = harness_source(harness, "r/from", ">", NULL);

	(void)state;
	assert_true(harness_wait_state_count(source, XF_STATE_DOWN, 1, HTTP_SOON));
	assert_non_null(strstr(harness_state_reason(source), "cert /nowhere/c: No such file"));
	harness_sleep_ms(500);
	assert_int_equal(harness_state_count(source, XF_STATE_DOWN), 1); /* said once */
	harness_destroy(&source);
	harness_close(&harness);
}

/* ---- The socket ------------------------------------------------------------------------------------- */

static void
test_a_port_that_is_taken(void **state)
{
	struct harness *harness;
	struct harness_endpoint *source;
	char listen_option[64];
	unsigned port;
	int fd = http_bind(0, &port);

	(void)state;
	assert_int_equal(listen(fd, 1), 0);
	snprintf(listen_option, sizeof(listen_option), "listen=127.0.0.1:%u", port);
	harness = harness_open("http", OPTIONS(listen_option));
	source = harness_source(harness, "r/from", ">", NULL);
	assert_true(harness_wait_state_count(source, XF_STATE_DOWN, 1, HTTP_SOON));
	assert_non_null(strstr(harness_state_reason(source), "already in use"));
	close(fd);
	assert_true(harness_wait_state(source, XF_STATE_UP, HTTP_SOON));
	harness_destroy(&source);
	harness_close(&harness);
}

/* As over a reload that changes the transport: the new one opens, takes over, and the old one ends. */
static void
test_a_successor_takes_the_socket_over(void **state)
{
	struct harness *old, *new;
	struct harness_endpoint *from_old, *from_new;
	char listen_option[64];
	unsigned port;

	(void)state;
	old = harness_open("http", OPTIONS("listen=127.0.0.1:0"));
	from_old = harness_source(old, "r/from", ">", NULL);
	assert_true(harness_wait_state(from_old, XF_STATE_UP, HTTP_SOON));
	port = http_port(old); /* was free a moment ago */
	harness_destroy(&from_old);
	harness_close(&old);

	snprintf(listen_option, sizeof(listen_option), "listen=127.0.0.1:%u", port);
	old = harness_open("http", OPTIONS(listen_option));
	from_old = harness_source(old, "r/from", ">", NULL);
	if (!harness_wait_state(from_old, XF_STATE_UP, HTTP_SOON)) { /* somebody has it now */
		harness_destroy(&from_old);
		harness_close(&old);
		skip();
	}
	harness_settle_auto(from_old, XF_SETTLE_ACK, false);
	new = harness_open("http", OPTIONS(listen_option, "max_body=1MiB"));
	from_new = harness_source(new, "r/from", ">", NULL);
	assert_true(harness_wait_state(from_new, XF_STATE_UP, HTTP_SOON));
	harness_settle_auto(from_new, XF_SETTLE_ACK, false);
	for (int i = 0; i < 300; i++) {
		struct http_answer answer;
		int fd;

		if (i == 100)
			harness_drain(from_old);
		if (i == 150)
			http_wait_report(old, "port", 0); /* it has noticed that there is another, and left it the door */
		if (i == 200)
			harness_destroy(&from_old);
		fd = http_connect(port);
		http_post(fd, "/publish/a", "", "x", 1);
		answer = http_read(fd);
		/* While the old one is on its way out and has the door still, it sends its clients away: to come again. */
		if (answer.status != 202 && !(answer.status == 503 && i >= 100 && i < 150))
			fail_msg("publisher %d: status %d: %s", i, answer.status, answer.body != NULL ? answer.body : "closed");
		http_forget(&answer);
		close(fd);
	}
	harness_close(&old);
	harness_destroy(&from_new);
	harness_close(&new);
}

static void
test_settings_are_checked(void **state)
{
	static const struct {
		const char *options[4];
		const char *part;
	} wrong[] = {
		{{"token=x"}, "one of listen"},
		{{"listen=8080"}, "HOST:PORT"},
		{{"listen=::1:8080"}, "brackets"},
		{{"listen=127.0.0.1:99999"}, "65535"},
		{{"listen=:1", "tls.cert=/c"}, "belong together"},
		{{"listen=:1", "tls.client_ca=/c"}, "client_ca needs"},
		{{"url=ftp://x"}, "expected http://"},
		{{"url=http:///x"}, "no host"},
		{{"url=http://h/a#b"}, "'#'"},
		{{"url=http://h", "password=x"}, "needs a user"},
		{{"url=http://h", "user=x", "token=y"}, "either"},
	};
	struct xf_error error;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct harness *harness = harness_try_open("http", wrong[i].options, &error);

		assert_null(harness);
		if (strstr(error.text, wrong[i].part) == NULL)
			fail_msg("%s: %s", wrong[i].options[0], error.text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_line_is_a_message),
		cmocka_unit_test(test_bad_lines_are_named_and_the_rest_accepted),
		cmocka_unit_test(test_ten_thousand_lines),
		cmocka_unit_test(test_what_a_batch_is_told_of_each_line),
		cmocka_unit_test(test_headers_take_what_they_need),
		cmocka_unit_test(test_a_reply_answers_its_request),
		cmocka_unit_test(test_a_request_without_a_reply),
		cmocka_unit_test(test_replies_are_bounded),
		cmocka_unit_test(test_many_requests_at_once),
		cmocka_unit_test(test_tls_and_client_certificates),
		cmocka_unit_test(test_certificates_that_are_missing),
		cmocka_unit_test(test_a_port_that_is_taken),
		cmocka_unit_test(test_a_successor_takes_the_socket_over),
		cmocka_unit_test(test_settings_are_checked),
	};

	curl_global_init(CURL_GLOBAL_DEFAULT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
