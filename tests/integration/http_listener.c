/*
 * The HTTP listener against real clients: what each request is answered, and what becomes of those who are slow, many,
 * too large or wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "http_fixture.h"

/* ---- One message ------------------------------------------------------------------------- */

static void
test_accepted_means_settled(void **state)
{
	struct fixture f = {0};
	const struct harness_message *m;

	(void)state;
	fixture_open(&f, "orders.>", NULL);
	fixture_post(&f, "/publish/orders.eu%2E%C3%A9", "Message-Id: m-1\r\nmessage-key: k\r\nReply-To: back.1\r\n"
	     "Content-Type: text/plain\r\nX-One: 1\r\nx-Two: a\r\nx-two: b\r\nEmpty:\r\nUser-Agent: test\r\nAccept: */*\r\n"
	     "Cookie: c=1\r\nX-Forwarded-For: 10.0.0.1\r\ntraceparent: 00-aa\r\nce-type: t\r\ncrossfade-hops: 2\r\n"
	     "Content-Encoding: identity\r\n", "body");
	assert_true(harness_wait_received(f.source, 1, HTTP_SOON));
	m = harness_message(f.source, 0);
	assert_string_equal(m->in.subject.data, "orders.eu.\xc3\xa9");
	assert_string_equal(m->in.id.data, "m-1");
	assert_string_equal(m->in.key.data, "k");
	assert_string_equal(m->in.reply.data, "back.1");
	assert_string_equal(m->in.content_type.data, "text/plain");
	assert_int_equal(m->in.payload_size, 4);
	assert_memory_equal(m->in.payload, "body", 4);
	assert_int_equal(m->in.header_count, 8);
	assert_string_equal(harness_header(m, "X-One"), "1");
	assert_string_equal(harness_header(m, "x-Two"), "a");
	assert_string_equal(harness_header(m, "x-two"), "b");
	assert_string_equal(harness_header(m, "Empty"), "");
	assert_string_equal(harness_header(m, "traceparent"), "00-aa");
	assert_string_equal(harness_header(m, "ce-type"), "t");
	assert_string_equal(harness_header(m, "Crossfade-Hops"), "2");
	assert_string_equal(harness_header(m, "Content-Encoding"), "identity");
	assert_true(m->in.time_ms > 0);
	assert_false(http_readable(f.fd, 200));
	harness_settle(f.source, 0, XF_SETTLE_ACK, 0);
	http_expect(f.fd, 202, "{\"id\":\"m-1\"}");
	fixture_close(&f);
}

static void
test_an_id_is_made_and_answered(void **state)
{
	struct fixture f = {0};
	struct http_answer answer;

	(void)state;
	fixture_open(&f, ">", NULL);
	harness_settle_auto(f.source, XF_SETTLE_ACK, true);
	fixture_post(&f, "/publish/a", "", "");
	answer = http_read(f.fd);
	assert_int_equal(answer.status, 202);
	assert_string_equal(http_header(&answer, "Content-Type"), "application/json");
	assert_int_equal(harness_message(f.source, 0)->in.id.len, 32);
	assert_non_null(strstr(answer.body, harness_message(f.source, 0)->in.id.data));
	http_forget(&answer);
	/* One that another crossfade gave stays. */
	fixture_post(&f, "/publish/a", "CROSSFADE-ID: first\r\n", "");
	http_expect(f.fd, 202, "\"first\"");
	assert_string_equal(harness_message(f.source, 1)->in.id.data, "first");
	fixture_post(&f, "/publish/a", "Message-Id: quote\"\\\xff\r\n", "");
	http_expect(f.fd, 202, "{\"id\":\"quote\\\"\\\\\\ufffd\"}");
	fixture_close(&f);
}

static void
test_refused_and_retried(void **state)
{
	struct fixture f = {0};

	(void)state;
	fixture_open(&f, ">", NULL);
	fixture_post(&f, "/publish/a", "", "no");
	assert_true(harness_wait_received(f.source, 1, HTTP_SOON));
	harness_settle(f.source, 0, XF_SETTLE_REJECT, 0);
	http_expect(f.fd, 422, "\"status\":422");
	fixture_post(&f, "/publish/a", "", "later");
	assert_true(harness_wait_received(f.source, 2, HTTP_SOON));
	harness_settle(f.source, 1, XF_SETTLE_RETRY, 50);
	assert_true(harness_wait_received(f.source, 3, HTTP_SOON));
	assert_int_equal(harness_message(f.source, 2)->in.attempt, 2);
	assert_true(harness_message(f.source, 2)->in.flags & XF_MESSAGE_REDELIVERED);
	assert_false(http_readable(f.fd, 50));
	/* Handles of another time, and of none. */
	harness_settle_handle(f.source, harness_message(f.source, 1)->in.handle, XF_SETTLE_REJECT);
	harness_settle_handle(f.source, 0x1234567890abcdefu, XF_SETTLE_ACK);
	harness_settle(f.source, 2, XF_SETTLE_ACK, 0);
	http_expect(f.fd, 202, "id");
	fixture_close(&f);
}

static void
test_a_connection_is_used_again_in_order(void **state)
{
	enum { COUNT = 200 };
	struct fixture f = {0};
	char id[64];

	(void)state;
	fixture_open(&f, ">", NULL);
	harness_settle_auto(f.source, XF_SETTLE_ACK, true);
	for (int i = 0; i < COUNT; i++) { /* all of them before the first answer */
		snprintf(id, sizeof(id), "Message-Id: m-%d\r\n", i);
		fixture_post(&f, "/publish/a.b", id, "x");
	}
	for (int i = 0; i < COUNT; i++) {
		snprintf(id, sizeof(id), "\"m-%d\"", i);
		http_expect(f.fd, 202, id);
	}
	for (size_t i = 0; i < COUNT; i++) {
		snprintf(id, sizeof(id), "m-%zu", i);
		assert_string_equal(harness_message(f.source, i)->in.id.data, id);
	}
	assert_int_equal(http_report(f.harness, "connections"), 1);
	fixture_close(&f);
}

/* ---- What is refused ------------------------------------------------------------------------ */

static void
test_each_mistake_has_its_status(void **state)
{
	char *long_path = malloc(8000), *many = malloc(8000), *large = malloc(8000);
	struct fixture f = {0};
	struct http_answer answer;
	size_t n = 0;

	(void)state;
	fixture_open(&f, "a.>", OPTIONS("max_body=1000"));
	fixture_post(&f, "/elsewhere", "", "x");
	http_expect(f.fd, 404, "/publish/SUBJECT");
	fixture_post(&f, "/publish/nobody.wants.it", "", "x");
	http_expect(f.fd, 404, "no route takes the subject 'nobody.wants.it'");
	http_begin(f.fd, "PUT", "/publish/a.b", "", 0);
	answer = http_read(f.fd);
	assert_int_equal(answer.status, 405);
	assert_string_equal(http_header(&answer, "Allow"), "POST");
	assert_string_equal(http_header(&answer, "Content-Type"), "application/problem+json");
	http_forget(&answer);
	fixture_post(&f, "/publish/a..b", "", "x");
	http_expect(f.fd, 400, "empty token");
	fixture_post(&f, "/publish/a.%2A", "", "x");
	http_expect(f.fd, 400, "wildcard");
	fixture_post(&f, "/publish/a.%20", "", "x");
	http_expect(f.fd, 400, "space");
	fixture_post(&f, "/publish/a.%zz", "", "x");
	http_expect(f.fd, 400, "hexadecimal");
	fixture_post(&f, "/publish/a.%00b", "", "x");
	http_expect(f.fd, 400, "NUL");
	fixture_post(&f, "/publish/", "", "x");
	http_expect(f.fd, 400, "empty");
	fixture_post(&f, "/publish/a.b", "Message-Id: 1\r\nMessage-Id: 2\r\n", "x");
	http_expect(f.fd, 400, "twice");
	fixture_post(&f, "/publish/a.b", "Reply-To: a b\r\n", "x");
	http_expect(f.fd, 400, "reply");
	fixture_post(&f, "/publish", "Content-Type: text/plain\r\n", "x");
	http_expect(f.fd, 415, "application/x-ndjson");
	fixture_post(&f, "/request/a.b?timeout=soon", "", "x");
	http_expect(f.fd, 400, "duration");
	fixture_post(&f, "/publish/a.b", "Origin: http://evil.example\r\n", "x");
	http_expect(f.fd, 403, "another site");

	memset(large, 'x', 7999);
	large[7999] = '\0';
	memcpy(large, "X-Large: ", 9);
	strcpy(large + 5000, "\r\n");
	fixture_post(&f, "/publish/a.b", large, "x");
	http_expect(f.fd, 431, "4096 bytes");
	for (int i = 0; i < 65; i++)
		n += (size_t)sprintf(many + n, "X-H-%d: v\r\n", i);
	fixture_post(&f, "/publish/a.b", many, "x");
	http_expect(f.fd, 431, "65 headers");
	memset(long_path, 'x', 7999);
	memcpy(long_path, "/publish/a.", 11);
	long_path[2000] = '\0';
	fixture_post(&f, long_path, "", "x");
	http_expect(f.fd, 414, "1024 bytes");

	/* All on one connection so far: an error costs nobody else's place. */
	assert_int_equal(http_report(f.harness, "connections"), 1);
	http_begin(f.fd, "POST", "/publish/a.b", "", 1001);
	memset(large, 'y', 1001);
	http_send(f.fd, large, 1001);
	http_expect(f.fd, 413, "1000 bytes");
	assert_int_equal(harness_received(f.source), 0);
	free(large);
	free(many);
	free(long_path);
	fixture_close(&f);
}

/* Where another may see another end of the request than we do, there may be a second one in it. */
static void
test_a_request_has_one_end(void **state)
{
	static const char second[] = "POST /publish/slipped.in HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n";
	static const struct {
		const char *head;
		int status;
	} rows[] = {
		{"POST /publish/a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"POST /publish/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400},
		{"POST /publish/a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 81\r\n\r\n", 400},
		{"POST /publish/a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", 400},
		{"POST /publish/a HTTP/1.1\r\nHost: h\r\nContent-Length: 0, 81\r\n\r\n", 400},
		{"POST /publish/a HTTP/1.1\r\nHost: h\r\nContent-Length: +0\r\n\r\n", 400},
		{"POST /publish/a HTTP/1.1\r\nHost: h\r\nContent-Length: \r\n\r\n", 400},
		{"POST /publish/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400},
		{"POST /publish/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501},
		{"POST /publish/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
		{"POST /publish/a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"POST /publish/a HTTP/1.1\r\nHost: h\r\nHost: g\r\nContent-Length: 0\r\n\r\n", 400},
		{"POST /publish/a HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400},
		{"POST /publish/a HTTP/1.1\r\nHost: h\r\nContent-Length 81\r\nContent-Length: 0\r\n\r\n", 400},
		{"POST /publish/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", 400},
		{"POST /publish/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n", 413},
	};
	struct fixture f = {0};

	(void)state;
	fixture_open(&f, ">", NULL);
	harness_settle_auto(f.source, XF_SETTLE_ACK, true);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_answer answer;
		int fd = http_connect(f.port);

		http_send(fd, rows[i].head, strlen(rows[i].head));
		http_send(fd, second, sizeof(second) - 1);
		answer = http_read(fd);
		if (answer.status != rows[i].status)
			fail_msg("status %d to %s", answer.status, rows[i].head);
		http_forget(&answer);
		assert_true(http_wait_closed(fd, HTTP_SOON));
		close(fd);
	}
	assert_int_equal(harness_received(f.source), 0);
	fixture_close(&f);
}

/* Who asks before it sends the body is told no instead of being let send it. */
static void
test_a_body_is_asked_for_or_not(void **state)
{
	struct fixture f = {0};
	struct http_answer answer;

	(void)state;
	fixture_open(&f, ">", OPTIONS("token=secret"));
	harness_settle_auto(f.source, XF_SETTLE_ACK, true);
	http_begin(f.fd, "POST", "/publish/a", "Expect: 100-continue\r\n", 1000);
	answer = http_read(f.fd);
	assert_int_equal(answer.status, 401);
	http_forget(&answer);
	assert_true(http_wait_closed(f.fd, HTTP_SOON));
	close(f.fd);
	f.fd = http_connect(f.port);
	http_begin(f.fd, "POST", "/publish/a", "Expect: 100-continue\r\nAuthorization: Bearer secret\r\n", 4);
	assert_true(http_readable(f.fd, HTTP_SOON)); /* 100 */
	http_send(f.fd, "body", 4);
	http_expect(f.fd, 202, "id");
	fixture_close(&f);
}

static void
test_a_head_without_end(void **state)
{
	char *head = malloc(200000);
	struct fixture f = {0};
	struct http_answer answer;

	(void)state;
	fixture_open(&f, ">", OPTIONS("max_head=16KiB"));
	memset(head, 'x', 200000);
	http_send(f.fd, "POST /publish/a HTTP/1.1\r\nHost: here\r\nX-Long: ", 47);
	http_send(f.fd, head, 200000);
	answer = http_read(f.fd);
	assert_true(answer.status == 431 || answer.status == 0); /* it may be cut before it read that */
	http_forget(&answer);
	close(f.fd);
	f.fd = http_connect(f.port);
	http_send(f.fd, "POST /publish/", 14);
	http_send(f.fd, head, 200000);
	answer = http_read(f.fd);
	assert_true(answer.status == 414 || answer.status == 0);
	http_forget(&answer);
	close(f.fd);
	f.fd = http_connect(f.port);
	http_send(f.fd, "NONSENSE\r\n\r\n", 12);
	assert_true(http_wait_closed(f.fd, HTTP_SOON));
	close(f.fd);
	f.fd = http_connect(f.port);
	harness_settle_auto(f.source, XF_SETTLE_ACK, true);
	fixture_post(&f, "/publish/a", "", "still here");
	http_expect(f.fd, 202, "id");
	free(head);
	fixture_close(&f);
}

static void
test_a_token_is_asked_for(void **state)
{
	struct fixture f = {0};
	struct http_answer answer;

	(void)state;
	fixture_open(&f, ">", OPTIONS("token=secret"));
	harness_settle_auto(f.source, XF_SETTLE_ACK, true);
	fixture_post(&f, "/publish/a", "", "x");
	answer = http_read(f.fd);
	assert_int_equal(answer.status, 401);
	assert_string_equal(http_header(&answer, "WWW-Authenticate"), "Bearer realm=\"crossfade\"");
	assert_null(strstr(answer.body, "secret"));
	http_forget(&answer);
	fixture_post(&f, "/publish/a", "Authorization: Bearer secreT\r\n", "x");
	http_expect(f.fd, 401, "token");
	fixture_post(&f, "/publish/a", "Authorization: Bearer secretsecret\r\n", "x");
	http_expect(f.fd, 401, "token");
	fixture_post(&f, "/publish/a", "Authorization: bearer secret\r\n", "x");
	http_expect(f.fd, 202, "id");
	assert_null(harness_header(harness_message(f.source, 0), "Authorization"));
	fixture_close(&f);
}

/* ---- Sizes ------------------------------------------------------------------------------------ */

static void
test_large_payloads_and_larger_ones(void **state)
{
	const size_t size = 8u << 20;
	unsigned char *bytes = malloc(size + 1);
	struct fixture f = {0};
	static const char chunked[] = "POST /publish/a HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n";
	struct http_answer answer;
	char chunk[32];

	(void)state;
	for (size_t i = 0; i <= size; i++)
		bytes[i] = (unsigned char)(i * 13 + i / 251);
	fixture_open(&f, ">", NULL);
	http_post(f.fd, "/publish/a", "", bytes, size);
	assert_true(harness_wait_received(f.source, 1, HTTP_SOON));
	assert_int_equal(harness_message(f.source, 0)->in.payload_size, size);
	assert_memory_equal(harness_message(f.source, 0)->in.payload, bytes, size);
	harness_settle(f.source, 0, XF_SETTLE_ACK, 0);
	http_expect(f.fd, 202, "id");
	http_wait_report(f.harness, "bytes", 0);

	/* Announced: refused before a byte of it. */
	http_begin(f.fd, "POST", "/publish/a", "", size + 1);
	http_expect(f.fd, 413, "8388608 bytes");
	close(f.fd);

	/* Not announced: found out on the way. */
	f.fd = http_connect(f.port);
	http_send(f.fd, chunked, strlen(chunked));
	http_send(f.fd, chunk, (size_t)sprintf(chunk, "%zx\r\n", size + 1));
	http_send(f.fd, bytes, size + 1);
	http_send(f.fd, "\r\n0\r\n\r\n", 7);
	answer = http_read(f.fd);
	assert_int_equal(answer.status, 413);
	http_forget(&answer);
	http_wait_report(f.harness, "bytes", 0);
	free(bytes);
	fixture_close(&f);
}

static void
test_chunks_are_put_together(void **state)
{
	struct fixture f = {0};
	static const char text[] = "POST /publish/a HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
				   "5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n";

	(void)state;
	fixture_open(&f, ">", NULL);
	harness_settle_auto(f.source, XF_SETTLE_ACK, true);
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		http_send(f.fd, text + i, 1);
	http_expect(f.fd, 202, "id");
	assert_int_equal(harness_message(f.source, 0)->in.payload_size, 11);
	assert_memory_equal(harness_message(f.source, 0)->in.payload, "hello world", 11);
	fixture_close(&f);
}

static void
test_memory_under_way_is_bounded(void **state)
{
	const size_t size = 100000;
	char *bytes = calloc(1, size);
	struct fixture f = {0};
	int fds[2];

	(void)state;
	fixture_open(&f, ">", OPTIONS("max_bytes=300000"));
	for (size_t i = 0; i < 2; i++) {
		fds[i] = http_connect(f.port);
		http_post(fds[i], "/publish/a", "", bytes, size);
		assert_true(harness_wait_received(f.source, i + 1, HTTP_SOON));
	}
	/* A third does not fit, and is told at once while those two wait. */
	http_post(f.fd, "/publish/a", "", bytes, size);
	http_expect(f.fd, 503, "max_bytes");
	harness_settle_range(f.source, 0, 2, XF_SETTLE_ACK);
	for (size_t i = 0; i < 2; i++) {
		http_expect(fds[i], 202, "id");
		close(fds[i]);
	}
	http_wait_report(f.harness, "bytes", 0);
	harness_settle_auto(f.source, XF_SETTLE_ACK, false);
	http_post(f.fd, "/publish/a", "", bytes, size);
	http_expect(f.fd, 202, "id");
	free(bytes);
	fixture_close(&f);
}

/* ---- Not now -------------------------------------------------------------------------------------- */

static void
test_what_cannot_be_accepted_in_time(void **state)
{
	struct fixture f = {0};
	struct http_answer answer;

	(void)state;
	fixture_open(&f, ">", NULL);
	harness_window(f.source, 0, 0); /* paused, or full */
	fixture_post(&f, "/publish/a", "", "1");
	http_wait_report(f.harness, "waiting", 1);
	fixture_time_out(&f);
	answer = http_read(f.fd);
	assert_int_equal(answer.status, 503);
	assert_string_equal(http_header(&answer, "Retry-After"), "1");
	assert_non_null(strstr(answer.body, "cannot be accepted now"));
	http_forget(&answer);
	harness_window(f.source, 10, 1 << 20);
	fixture_post(&f, "/publish/a", "", "2");
	assert_true(harness_wait_received(f.source, 1, HTTP_SOON));
	/* What was given up is not published after all. */
	assert_memory_equal(harness_message(f.source, 0)->in.payload, "2", 1);
	fixture_time_out(&f);
	http_expect(f.fd, 503, "it may still be");
	harness_settle(f.source, 0, XF_SETTLE_ACK, 0); /* late */
	assert_true(harness_wait_settled(f.source, HTTP_SOON));
	harness_settle_auto(f.source, XF_SETTLE_ACK, true);
	fixture_post(&f, "/publish/a", "", "3");
	http_expect(f.fd, 202, "id");
	http_wait_report(f.harness, "bytes", 0);
	assert_int_equal(http_report(f.harness, "timeouts"), 2);
	fixture_close(&f);
}

static void
test_draining_and_stopping_are_told(void **state)
{
	struct fixture f = {0};
	int waiting, idle;

	(void)state;
	fixture_open(&f, ">", NULL);
	waiting = http_connect(f.port);
	idle = http_connect(f.port);
	http_post(waiting, "/publish/a", "", "1", 1);
	assert_true(harness_wait_received(f.source, 1, HTTP_SOON));
	harness_drain(f.source);
	for (int i = 0; i < 100; i++) { /* until it has heard of it */
		struct http_answer answer;

		fixture_post(&f, "/publish/a", "", "2");
		if (!http_readable(f.fd, 100))
			break;
		answer = http_read(f.fd);
		http_forget(&answer);
		assert_int_equal(answer.status, 503);
		i = 1000;
	}
	/* What was under way is still confirmed, */
	assert_false(http_readable(waiting, 50));
	harness_settle(f.source, 0, XF_SETTLE_ACK, 0);
	http_expect(waiting, 202, "id");
	close(f.fd);
	f.fd = http_connect(f.port);
	harness_stop(f.source);
	fixture_post(&f, "/publish/a", "", "2");
	http_expect(f.fd, 503, "cannot be accepted now");
	harness_destroy(&f.source);
	assert_true(http_wait_closed(idle, HTTP_SOON));
	close(idle);
	close(waiting);
	fixture_close(&f);

	/* and what is not settled when it stops is told, before the connection ends. */
	fixture_open(&f, ">", NULL);
	fixture_post(&f, "/publish/a", "", "1");
	assert_true(harness_wait_received(f.source, 1, HTTP_SOON));
	harness_destroy(&f.source);
	http_expect(f.fd, 503, "");
	assert_true(http_wait_closed(f.fd, HTTP_SOON));
	fixture_close(&f);
}

/* ---- Many ------------------------------------------------------------------------------------------ */

static void
test_a_thousand_publishers(void **state)
{
	enum { COUNT = 1000 };
	struct rlimit limit = {8192, 8192};
	struct fixture f = {0};
	size_t threads;
	int *fds = calloc(COUNT, sizeof(*fds));
	char id[64];

	(void)state;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
		getrlimit(RLIMIT_NOFILE, &limit);
		limit.rlim_cur = limit.rlim_max;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	}
	if (limit.rlim_cur < 3 * COUNT)
		skip();
	fixture_open(&f, ">", NULL);
	threads = harness_count_threads();
	for (int i = 0; i < COUNT; i++) {
		fds[i] = http_connect(f.port);
		snprintf(id, sizeof(id), "Message-Id: p-%d\r\n", i);
		http_post(fds[i], "/publish/a", id, "x", 1);
	}
	/* All wait at once, and no thread was made for any. */
	assert_true(harness_wait_received(f.source, COUNT, 3 * HTTP_SOON));
	http_wait_report(f.harness, "waiting", COUNT);
	assert_in_range(harness_count_threads(), 1, threads); /* one that was joined may have been counted */
	harness_settle_range(f.source, 0, COUNT, XF_SETTLE_ACK);
	for (int i = 0; i < COUNT; i++) {
		snprintf(id, sizeof(id), "\"p-%d\"", i);
		http_expect(fds[i], 202, id);
		close(fds[i]);
	}
	http_wait_report(f.harness, "connections", 1);
	http_wait_report(f.harness, "bytes", 0);
	free(fds);
	fixture_close(&f);
}

/* ---- Slow ones --------------------------------------------------------------------------------------- */

static void
test_the_slow_are_cut_off(void **state)
{
	enum { SLOW = 60, ROUNDS = 4 };
	struct fixture f = {0};
	int heads[SLOW], bodies[SLOW], silent;

	(void)state;
	fixture_open(&f, ">", NULL);
	harness_settle_auto(f.source, XF_SETTLE_ACK, true);
	silent = http_connect(f.port);
	for (int i = 0; i < SLOW; i++) {
		heads[i] = http_connect(f.port);
		bodies[i] = http_connect(f.port);
		http_send(heads[i], "POST /publish/a HTTP/1.1\r\n", 26);
		http_begin(bodies[i], "POST", "/publish/a", "", 1000);
	}
	http_wait_report(f.harness, "connections", 2 * SLOW + 2);
	/* A byte now and then: none of them is ever silent for the time-out's half minute. Somebody else is served meanwhile. */
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < SLOW; i++) {
			http_send(heads[i], "x", 1);
			http_send(bodies[i], "x", 1);
		}
		harness_clock_advance(20000);
		close(f.fd);
		f.fd = http_connect(f.port);
		fixture_post(&f, "/publish/a", "", "x");
		http_expect(f.fd, 202, "id");
	}
	for (int i = 0; i < SLOW; i++) {
		assert_true(http_wait_closed(heads[i], HTTP_SOON));
		assert_true(http_wait_closed(bodies[i], HTTP_SOON));
		close(heads[i]);
		close(bodies[i]);
	}
	assert_true(http_wait_closed(silent, HTTP_SOON));
	close(silent);
	assert_true(http_report(f.harness, "cut_off") >= SLOW);
	/* Whoever waits for an answer is not slow. */
	harness_settle_auto(f.source, 0, true);
	close(f.fd);
	f.fd = http_connect(f.port);
	fixture_post(&f, "/publish/a", "", "patient");
	assert_true(harness_wait_received(f.source, ROUNDS + 1, HTTP_SOON));
	harness_clock_advance(100000);
	assert_false(http_readable(f.fd, 1500));
	harness_settle(f.source, ROUNDS, XF_SETTLE_ACK, 0);
	http_expect(f.fd, 202, "id");
	fixture_close(&f);
}

static void
test_no_more_connections_than_allowed(void **state)
{
	struct fixture f = {0};
	int fds[4];

	(void)state;
	fixture_open(&f, ">", OPTIONS("max_connections=3"));
	for (int i = 0; i < 4; i++) {
		fds[i] = http_connect(f.port);
		http_post(fds[i], "/publish/a", "", "x", 1);
	}
	/* The fixture's own and two of these are let in; the others wait outside. */
	assert_true(harness_wait_received(f.source, 2, HTTP_SOON));
	harness_sleep_ms(200);
	assert_int_equal(harness_received(f.source), 2);
	harness_settle_auto(f.source, XF_SETTLE_ACK, false);
	harness_settle_range(f.source, 0, 2, XF_SETTLE_ACK);
	for (int i = 0; i < 4; i++) {
		http_expect(fds[i], 202, "id");
		close(fds[i]);
	}
	fixture_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted_means_settled),
		cmocka_unit_test(test_an_id_is_made_and_answered),
		cmocka_unit_test(test_refused_and_retried),
		cmocka_unit_test(test_a_connection_is_used_again_in_order),
		cmocka_unit_test(test_each_mistake_has_its_status),
		cmocka_unit_test(test_a_request_has_one_end),
		cmocka_unit_test(test_a_body_is_asked_for_or_not),
		cmocka_unit_test(test_a_head_without_end),
		cmocka_unit_test(test_a_token_is_asked_for),
		cmocka_unit_test(test_large_payloads_and_larger_ones),
		cmocka_unit_test(test_chunks_are_put_together),
		cmocka_unit_test(test_memory_under_way_is_bounded),
		cmocka_unit_test(test_what_cannot_be_accepted_in_time),
		cmocka_unit_test(test_draining_and_stopping_are_told),
		cmocka_unit_test(test_a_thousand_publishers),
		cmocka_unit_test(test_the_slow_are_cut_off),
		cmocka_unit_test(test_no_more_connections_than_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
