/*
 * The webhook sink against a real HTTP server that answers as each test wants: what is posted, what each answer makes of
 * the message, the order, and what an outage leaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <microhttpd.h>
#include <pthread.h>

#include "broker.h"
#include "http_client.h"

/* ---- The server ------------------------------------------------------------------------- */

#define POSTS_MAX 20000

struct post {
	char *url, *body;
	size_t len;
	char *headers; /* lines */
	unsigned answered;
};

/* How the n-th post is answered; the last row holds for all later ones. */
struct script {
	unsigned status;
	const char *body;
	const char *header, *value;
	unsigned delay_ms;
	bool hang_up;
};

struct server {
	struct MHD_Daemon *daemon;
	unsigned port;
	pthread_mutex_t lock;
	/* lock */
	struct post posts[POSTS_MAX];
	size_t count;
	struct script script[16];
	size_t script_count, script_at;
	unsigned under_way, most_under_way, connections;
};

static enum MHD_Result
on_header(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct post *post = context;
	size_t old = post->headers != NULL ? strlen(post->headers) : 0;
	size_t more = strlen(name) + strlen(value != NULL ? value : "") + 8;

	(void)kind;
	post->headers = realloc(post->headers, old + more);
	sprintf(post->headers + old, "\n%s: %s\n", name, value != NULL ? value : "");
	return MHD_YES;
}

static struct script
script_next(struct server *server, struct post *post)
{
	struct script script = {.status = 200, .body = ""};

	pthread_mutex_lock(&server->lock);
	if (server->script_count > 0) {
		script = server->script[server->script_at];
		if (server->script_at + 1 < server->script_count)
			server->script_at++;
	}
	post->answered = script.status;
	if (server->count == POSTS_MAX)
		harness_fail("more posts than expected");
	server->posts[server->count++] = *post;
	pthread_mutex_unlock(&server->lock);
	return script;
}

static enum MHD_Result
on_post(void *context, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
        const char *data, size_t *size, void **state)
{
	struct server *server = context;
	struct post *post = *state;
	struct MHD_Response *response;
	struct script script;
	enum MHD_Result result;

	(void)version, (void)method;
	if (post == NULL) {
		*state = post = calloc(1, sizeof(*post));
		pthread_mutex_lock(&server->lock);
		if (++server->under_way > server->most_under_way)
			server->most_under_way = server->under_way;
		pthread_mutex_unlock(&server->lock);
		return MHD_YES;
	}
	if (*size > 0) {
		post->body = realloc(post->body, post->len + *size);
		memcpy(post->body + post->len, data, *size);
		post->len += *size;
		*size = 0;
		return MHD_YES;
	}
	post->url = strdup(url);
	MHD_get_connection_values(connection, MHD_HEADER_KIND, on_header, post);
	script = script_next(server, post);
	if (script.delay_ms > 0)
		harness_sleep_ms(script.delay_ms);
	if (script.hang_up)
		return MHD_NO;
	response = MHD_create_response_from_buffer(strlen(script.body != NULL ? script.body : ""),
	                                           (void *)(uintptr_t)(script.body != NULL ? script.body : ""),
	                                           MHD_RESPMEM_MUST_COPY);
	if (script.header != NULL)
		MHD_add_response_header(response, script.header, script.value);
	result = MHD_queue_response(connection, script.status, response);
	MHD_destroy_response(response);
	return result;
}

static void
on_connection(void *context, struct MHD_Connection *connection, void **state, enum MHD_ConnectionNotificationCode what)
{
	struct server *server = context;

	(void)connection, (void)state;
	pthread_mutex_lock(&server->lock);
	server->connections += what == MHD_CONNECTION_NOTIFY_STARTED;
	pthread_mutex_unlock(&server->lock);
}

static void
on_end(void *context, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why)
{
	struct server *server = context;

	(void)connection, (void)why;
	free(*state); /* its texts are the record's */
	pthread_mutex_lock(&server->lock);
	server->under_way--;
	pthread_mutex_unlock(&server->lock);
}

/* PORT 0: any. CERT and KEY are PEM, or NULL. */
static void
server_listen(struct server *server, unsigned port, const char *cert, const char *key)
{
	int fd = http_bind(port, &server->port);
	struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)cert},
	                               {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key}, {MHD_OPTION_END, 0, NULL}};

	if (cert == NULL)
		tls[0] = tls[2];
	assert_int_equal(listen(fd, 64), 0);
	server->daemon = MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_THREAD_PER_CONNECTION |
	                                          (cert != NULL ? MHD_USE_TLS : 0u),
	                                  0, NULL, NULL, on_post, server, MHD_OPTION_LISTEN_SOCKET, fd,
	                                  MHD_OPTION_NOTIFY_COMPLETED, on_end, server, MHD_OPTION_NOTIFY_CONNECTION,
	                                  on_connection, server, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
	assert_non_null(server->daemon);
}

static void
server_away(struct server *server)
{
	if (server->daemon != NULL)
		MHD_stop_daemon(server->daemon);
	server->daemon = NULL;
}

static void
server_script(struct server *server, const struct script *script, size_t count)
{
	pthread_mutex_lock(&server->lock);
	memcpy(server->script, script, count * sizeof(*script));
	server->script_count = count;
	server->script_at = 0;
	pthread_mutex_unlock(&server->lock);
}
#define SCRIPT(server, ...)                                                                                        \
	server_script(server, (const struct script[]){__VA_ARGS__},                                                \
	              sizeof((const struct script[]){__VA_ARGS__}) / sizeof(struct script))

static size_t
server_count(struct server *server)
{
	size_t count;

	pthread_mutex_lock(&server->lock);
	count = server->count;
	pthread_mutex_unlock(&server->lock);
	return count;
}

static unsigned
server_connections(struct server *server)
{
	unsigned connections;

	pthread_mutex_lock(&server->lock);
	connections = server->connections;
	pthread_mutex_unlock(&server->lock);
	return connections;
}

static void
server_forget(struct server *server)
{
	pthread_mutex_lock(&server->lock);
	for (size_t i = 0; i < server->count; i++) {
		free(server->posts[i].url);
		free(server->posts[i].body);
		free(server->posts[i].headers);
	}
	server->count = server->script_count = server->script_at = 0;
	pthread_mutex_unlock(&server->lock);
}

static bool
post_has(const struct post *post, const char *line)
{
	char text[512];

	snprintf(text, sizeof(text), "\n%s\n", line);
	return strstr(post->headers, text) != NULL;
}

/* ---- The sink ------------------------------------------------------------------------------- */

struct fixture {
	struct server server;
	struct harness *harness;
	struct harness_endpoint *sink;
	char url[128];
};

static void
sink_open(struct fixture *f, const char *path, const char *const *transport, const char *const *sink)
{
	const char *all[16] = {f->url};

	snprintf(f->url, sizeof(f->url), "url=http://127.0.0.1:%u%s", f->server.port, path);
	for (size_t n = 1; transport != NULL && *transport != NULL; n++)
		all[n] = *transport++;
	f->harness = harness_open("http", all);
	f->sink = harness_sink(f->harness, "r/to", NULL, sink);
}

static struct fixture *
fixture_open(const char *path, const char *const *transport, const char *const *sink)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	pthread_mutex_init(&f->server.lock, NULL);
	server_listen(&f->server, 0, NULL, NULL);
	sink_open(f, path, transport, sink);
	assert_true(harness_wait_state(f->sink, XF_STATE_UP, HTTP_SOON));
	return f;
}

static void
fixture_close(struct fixture *f)
{
	harness_destroy(&f->sink);
	harness_close(&f->harness);
	server_away(&f->server);
	server_forget(&f->server);
	pthread_mutex_destroy(&f->server.lock);
	free(f);
}

static struct xf_str
str(const char *text)
{
	return (struct xf_str){text, strlen(text)};
}

/* Publishes one message and returns what became of it. */
static struct harness_result
publish(struct fixture *f, const char *subject)
{
	size_t token;

	/* A pause over an earlier refusal is waited for. */
	token = harness_publish_text(f->sink, subject, "x");
	assert_true(harness_wait_completed(f->sink, token + 1, HTTP_SOON));
	return harness_result(f->sink, token);
}

/* ---- What is posted ---------------------------------------------------------------------------- */

static void
test_a_message_is_posted_whole(void **state)
{
	static const struct xf_header headers[] = {
		{{"X-A", 3}, {"1", 1}}, {{"x-a", 3}, {"2", 1}}, {{"Empty", 5}, {"", 0}}, {{"Crossfade-Id", 12}, {"id-1", 4}},
		/* not the message's to say, here */
		{{"Host", 4}, {"evil", 4}}, {{"Content-Length", 14}, {"99", 2}}, {{"transfer-encoding", 17}, {"chunked", 7}},
		{{"Message-Id", 10}, {"forged", 6}}, {{"Authorization", 13}, {"Basic eA==", 10}},
	};
	struct fixture *f = fixture_open("/base/", OPTIONS("token=secret"), OPTIONS("path=/hook/{subject}?s={subject}"));
	struct xf_outgoing m = {
		.subject = str("a.b/c d"), .id = str("id-1"), .dedup_id = str("id-1/copy"), .key = str("k"), .reply = str("r.1"),
		.content_type = str("text/plain"), .payload = "body", .payload_size = 4, .headers = headers, .header_count = 9,
	};
	const struct post *post = f->server.posts;

	(void)state;
	harness_publish(f->sink, &m);
	m = (struct xf_outgoing){.subject = str("bare")};
	harness_publish(f->sink, &m);
	assert_true(harness_wait_completed(f->sink, 2, HTTP_SOON));
	assert_int_equal(harness_completed_as(f->sink, XF_RESULT_STORED), 2);
	assert_string_equal(post->url, "/base/hook/a.b/c d"); /* as the server decodes it */
	assert_int_equal(post->len, 4);
	assert_memory_equal(post->body, "body", 4);
	assert_true(post_has(post, "Message-Id: id-1/copy"));
	assert_true(post_has(post, "Message-Key: k"));
	assert_true(post_has(post, "Reply-To: r.1"));
	assert_true(post_has(post, "Content-Type: text/plain"));
	assert_true(post_has(post, "Crossfade-Subject: a.b/c d"));
	assert_true(post_has(post, "Crossfade-Id: id-1"));
	assert_true(post_has(post, "X-A: 1"));
	assert_true(post_has(post, "x-a: 2"));
	assert_true(post_has(post, "Empty: "));
	assert_true(post_has(post, "Content-Length: 4"));
	assert_true(post_has(post, "Authorization: Bearer secret"));
	assert_null(strstr(post->headers, "evil"));
	assert_null(strstr(post->headers, "forged"));
	assert_null(strcasestr(post->headers, "transfer-encoding"));
	post++;
	assert_string_equal(post->url, "/base/hook/bare");
	assert_int_equal(post->len, 0);
	assert_null(strstr(post->headers, "Content-Type"));
	assert_null(strstr(post->headers, "Expect"));
	fixture_close(f);
}

static void
test_large_payloads_pass_unchanged(void **state)
{
	const size_t size = 8u << 20;
	unsigned char *bytes = malloc(size);
	struct fixture *f = fixture_open("", OPTIONS("user=u", "password=p"), NULL);
	struct xf_outgoing m = {.subject = str("a"), .payload = bytes, .payload_size = size};

	(void)state;
	for (size_t i = 0; i < size; i++)
		bytes[i] = (unsigned char)(i * 7 + i / 253);
	harness_publish(f->sink, &m);
	assert_true(harness_wait_completed(f->sink, 1, HTTP_SOON));
	assert_int_equal(harness_result(f->sink, 0).code, XF_RESULT_STORED);
	assert_int_equal(f->server.posts[0].len, size);
	assert_memory_equal(f->server.posts[0].body, bytes, size);
	assert_true(post_has(f->server.posts, "Authorization: Basic dTpw"));
	free(bytes);
	fixture_close(f);
}

/* ---- What answers mean ---------------------------------------------------------------------------- */

static void
test_what_each_status_makes_of_a_message(void **state)
{
	static const struct {
		unsigned status, code, told;
		const char *reason;
	} rows[] = {
		{200, XF_RESULT_STORED, XF_STATE_UP, ""}, {204, XF_RESULT_STORED, XF_STATE_UP, ""},
		{400, XF_RESULT_REJECTED, XF_STATE_UP, "HTTP status 400: why not"},
		{413, XF_RESULT_REJECTED, XF_STATE_UP, "413"}, {422, XF_RESULT_REJECTED, XF_STATE_UP, "422"},
		{409, XF_RESULT_REJECTED, XF_STATE_UP, "409"},
		{401, XF_RESULT_NOT_SENT, XF_STATE_BLOCKED, "set token"}, {403, XF_RESULT_NOT_SENT, XF_STATE_BLOCKED, "let us in"},
		{404, XF_RESULT_NOT_SENT, XF_STATE_BLOCKED, "look at url"}, {302, XF_RESULT_NOT_SENT, XF_STATE_BLOCKED, "not followed"},
		{408, XF_RESULT_NOT_SENT, XF_STATE_BLOCKED, "408"}, {425, XF_RESULT_NOT_SENT, XF_STATE_BLOCKED, "425"},
		{429, XF_RESULT_NOT_SENT, XF_STATE_BLOCKED, "429"}, {503, XF_RESULT_NOT_SENT, XF_STATE_BLOCKED, "503"},
		{500, XF_RESULT_FAILED, XF_STATE_BLOCKED, "500"}, {502, XF_RESULT_UNKNOWN, XF_STATE_BLOCKED, "502"},
		{501, XF_RESULT_NOT_SENT, XF_STATE_BLOCKED, "501"}, {524, XF_RESULT_UNKNOWN, XF_STATE_BLOCKED, "524"},
	};
	struct fixture *f = fixture_open("", NULL, NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct harness_result result;

		SCRIPT(&f->server, {.status = rows[i].status, .body = "why\nnot"}, {.status = 200});
		result = publish(f, "a");
		if (result.code != rows[i].code || strstr(result.reason, rows[i].reason) == NULL)
			fail_msg("%u: code %u, %s", rows[i].status, result.code, result.reason);
		assert_true(harness_wait_state(f->sink, rows[i].told, HTTP_SOON));
		/* and the next one gets through, which ends what was told */
		assert_int_equal(publish(f, "a").code, XF_RESULT_STORED);
		assert_true(harness_wait_state(f->sink, XF_STATE_UP, HTTP_SOON));
	}
	fixture_close(f);
}

static void
test_retry_after_is_honoured(void **state)
{
	struct fixture *f = fixture_open("", NULL, NULL);
	uint64_t began = harness_now_ms();

	(void)state;
	SCRIPT(&f->server, {.status = 429, .header = "Retry-After", .value = "2"}, {.status = 200});
	assert_int_equal(publish(f, "a").code, XF_RESULT_NOT_SENT);
	assert_int_equal(publish(f, "a").code, XF_RESULT_STORED);
	assert_true(harness_now_ms() - began >= 2000);
	SCRIPT(&f->server, {.status = 409, .header = "Retry-After", .value = "1"}, {.status = 200});
	assert_int_equal(publish(f, "a").code, XF_RESULT_NOT_SENT);
	fixture_close(f);
}

static void
test_a_missing_subject_holds_up_no_other(void **state)
{
	struct fixture *f = fixture_open("", NULL, OPTIONS("path=/{subject}"));

	(void)state;
	SCRIPT(&f->server, {.status = 404}, {.status = 200});
	assert_int_equal(publish(f, "missing").code, XF_RESULT_NOT_SENT);
	assert_true(harness_wait_state(f->sink, XF_STATE_BLOCKED, HTTP_SOON));
	for (int i = 0; i < 20; i++)
		assert_int_equal(publish(f, "there").code, XF_RESULT_STORED);
	harness_clock_advance(6000); /* none was missing for a while */
	assert_true(harness_wait_state(f->sink, XF_STATE_UP, HTTP_SOON));
	fixture_close(f);
}

static void
test_an_answer_that_does_not_come(void **state)
{
	struct fixture *f = fixture_open("", NULL, OPTIONS("timeout=1s"));

	(void)state;
	SCRIPT(&f->server, {.status = 200, .delay_ms = 4000}, {.status = 200});
	harness_hold(f->sink, true);
	for (int i = 0; i < 3; i++)
		harness_publish_text(f->sink, "a", "x");
	harness_hold(f->sink, false);
	assert_true(harness_wait_completed(f->sink, 3, HTTP_SOON));
	assert_int_equal(harness_result(f->sink, 0).code, XF_RESULT_UNKNOWN);
	/* Those behind it have not passed it. */
	assert_int_equal(harness_result(f->sink, 1).code, XF_RESULT_NOT_SENT);
	assert_int_equal(harness_result(f->sink, 2).code, XF_RESULT_NOT_SENT);
	assert_int_equal(server_count(&f->server), 1);
	assert_true(harness_wait_state(f->sink, XF_STATE_BLOCKED, HTTP_SOON));
	while (publish(f, "a").code != XF_RESULT_STORED) /* which may take longer than a second here */
		assert_in_range(harness_published(f->sink), 0, 100);
	assert_true(harness_wait_state(f->sink, XF_STATE_UP, HTTP_SOON));
	fixture_close(f);
}

/* ---- Order -------------------------------------------------------------------------------------------- */

static void
test_strictly_in_order(void **state)
{
	enum { COUNT = 2000 };
	struct fixture *f = fixture_open("", NULL, NULL);
	char payload[16];

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		snprintf(payload, sizeof(payload), "%d", i);
		harness_publish_text(f->sink, "a", payload);
	}
	assert_true(harness_wait_completed(f->sink, COUNT, 3 * HTTP_SOON));
	assert_int_equal(harness_completed_as(f->sink, XF_RESULT_STORED), COUNT);
	assert_int_equal(f->server.most_under_way, 1);
	assert_in_range(server_connections(&f->server), 1, 2); /* one that looked whether there is a server, and this */
	for (int i = 0; i < COUNT; i++) {
		snprintf(payload, sizeof(payload), "%d", i);
		assert_int_equal(f->server.posts[i].len, strlen(payload));
		assert_memory_equal(f->server.posts[i].body, payload, strlen(payload));
	}
	fixture_close(f);
}

static void
test_parallel_keeps_the_order_of_a_key(void **state)
{
	enum { COUNT = 1000, KEYS = 40 };
	struct fixture *f = fixture_open("", NULL, OPTIONS("parallel=8"));
	int next[KEYS] = {0};
	char payload[32], key[16];

	(void)state;
	SCRIPT(&f->server, {.status = 200, .delay_ms = 1});
	for (int i = 0; i < COUNT; i++) {
		struct xf_outgoing m = {.subject = str("a"), .payload = payload};

		snprintf(key, sizeof(key), "k%d", i % KEYS);
		m.payload_size = (uint64_t)snprintf(payload, sizeof(payload), "%d %d", i % KEYS, i / KEYS);
		m.key = str(key);
		harness_publish(f->sink, &m);
	}
	assert_true(harness_wait_completed(f->sink, COUNT, 3 * HTTP_SOON));
	assert_int_equal(harness_completed_as(f->sink, XF_RESULT_STORED), COUNT);
	assert_in_range(f->server.most_under_way, 2, 8);
	for (int i = 0; i < COUNT; i++) {
		int which, number;

		snprintf(payload, sizeof(payload), "%.*s", (int)f->server.posts[i].len, f->server.posts[i].body);
		assert_int_equal(sscanf(payload, "%d %d", &which, &number), 2);
		assert_int_equal(number, next[which]++);
	}
	fixture_close(f);
}

/* Whoever is asked to wait sends nothing more meanwhile, on none of its connections. */
static void
test_parallel_requests_wait_together(void **state)
{
	enum { COUNT = 64 };
	struct fixture *f = fixture_open("", NULL, OPTIONS("parallel=4"));
	size_t posted;

	(void)state;
	SCRIPT(&f->server, {.status = 503, .header = "Retry-After", .value = "60", .delay_ms = 50});
	harness_hold(f->sink, true);
	for (int i = 0; i < COUNT; i++)
		harness_publish_text(f->sink, "a", "x");
	harness_hold(f->sink, false);
	assert_true(harness_wait_state(f->sink, XF_STATE_BLOCKED, HTTP_SOON));
	harness_sleep_ms(500);
	posted = server_count(&f->server);
	assert_in_range(posted, 1, 4);
	server_forget(&f->server);
	assert_true(harness_wait_completed(f->sink, COUNT, 3 * HTTP_SOON));
	fixture_close(f);
}

/* An answer to what was sent before the server asked for a pause does not end it. */
static void
test_a_pause_outlives_what_was_under_way(void **state)
{
	struct fixture *f = fixture_open("", NULL, OPTIONS("parallel=2"));

	(void)state;
	SCRIPT(&f->server, {.status = 200, .delay_ms = 700}, {.status = 429, .header = "Retry-After", .value = "60"},
	       {.status = 200});
	harness_hold(f->sink, true);
	harness_publish_text(f->sink, "a", "x");
	harness_publish_text(f->sink, "a", "x");
	harness_hold(f->sink, false);
	assert_true(harness_wait_completed(f->sink, 2, HTTP_SOON));
	assert_int_equal(harness_completed_as(f->sink, XF_RESULT_STORED), 1);
	harness_publish_text(f->sink, "a", "x");
	harness_sleep_ms(500);
	assert_int_equal(server_count(&f->server), 2);
	assert_int_equal(harness_state(f->sink), XF_STATE_BLOCKED);
	harness_clock_advance(61000);
	assert_true(harness_wait_completed(f->sink, 3, HTTP_SOON));
	assert_int_equal(harness_completed_as(f->sink, XF_RESULT_STORED), 2);
	assert_true(harness_wait_state(f->sink, XF_STATE_UP, HTTP_SOON));
	fixture_close(f);
}

/* ---- Outages -------------------------------------------------------------------------------------------- */

static void
test_down_and_up_again(void **state)
{
	struct fixture *f = fixture_open("", NULL, NULL);
	unsigned port = f->server.port;
	struct harness_result result;

	(void)state;
	assert_int_equal(publish(f, "a").code, XF_RESULT_STORED);
	server_away(&f->server);
	result = publish(f, "a");
	assert_true(result.code == XF_RESULT_NOT_SENT || result.code == XF_RESULT_UNKNOWN);
	assert_true(harness_wait_state(f->sink, XF_STATE_DOWN, HTTP_SOON));
	assert_true(strlen(harness_state_reason(f->sink)) > 0);
	harness_publish_text(f->sink, "a", "waits");
	harness_sleep_ms(700);
	assert_true(harness_state_count(f->sink, XF_STATE_DOWN) <= 3); /* a reason is said once */
	server_listen(&f->server, port, NULL, NULL);
	assert_true(harness_wait_state(f->sink, XF_STATE_UP, HTTP_SOON));
	assert_true(harness_wait_completed(f->sink, 3, HTTP_SOON));
	assert_int_equal(harness_result(f->sink, 2).code, XF_RESULT_STORED);
	fixture_close(f);
}

static void
test_a_connection_that_breaks_in_an_answer(void **state)
{
	struct fixture *f = fixture_open("", NULL, NULL);

	(void)state;
	SCRIPT(&f->server, {.hang_up = true}, {.hang_up = true}, {.status = 200});
	harness_hold(f->sink, true);
	for (int i = 0; i < 5; i++)
		harness_publish_text(f->sink, "a", "x");
	harness_hold(f->sink, false);
	assert_true(harness_wait_completed(f->sink, 5, HTTP_SOON));
	assert_int_equal(harness_result(f->sink, 0).code, XF_RESULT_UNKNOWN);
	assert_int_equal(harness_completed_as(f->sink, XF_RESULT_NOT_SENT), 4);
	assert_true(harness_wait_state_count(f->sink, XF_STATE_DOWN, 1, HTTP_SOON));
	assert_true(harness_wait_state_count(f->sink, XF_STATE_UP, 2, HTTP_SOON));
	fixture_close(f);
}

/* It connects each time, and breaks each time: that is tried again with pauses that grow, not as fast as it goes. */
static void
test_a_server_that_always_hangs_up(void **state)
{
	struct fixture *f = fixture_open("", NULL, NULL);
	uint64_t began = harness_now_ms();

	(void)state;
	SCRIPT(&f->server, {.hang_up = true});
	for (int i = 0; i < 4000; i++)
		harness_publish_text(f->sink, "a", "x");
	harness_sleep_ms(2000);
	assert_in_range(server_count(&f->server), 1, 4 + (harness_now_ms() - began) / 100);
	SCRIPT(&f->server, {.status = 200});
	assert_true(harness_wait_completed(f->sink, 4000, 3 * HTTP_SOON));
	assert_in_range(harness_completed_as(f->sink, XF_RESULT_STORED), 1, 4000);
	assert_true(harness_wait_state(f->sink, XF_STATE_UP, HTTP_SOON));
	fixture_close(f);
}

static void
test_nowhere(void **state)
{
	static const char *const urls[] = {"url=http://127.0.0.1:1/", "url=http://nowhere.invalid/"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct harness *harness = harness_open("http", OPTIONS(urls[i]));
		struct harness_endpoint *sink = harness_sink(harness, "r/to", NULL, OPTIONS("connect_timeout=2s"));

		assert_true(harness_wait_state_count(sink, XF_STATE_DOWN, 1, HTTP_SOON));
		assert_true(strlen(harness_state_reason(sink)) > 0);
		harness_destroy(&sink);
		harness_close(&harness);
	}
}

static void
test_stop_with_requests_under_way(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		struct fixture *f = fixture_open("", NULL, OPTIONS("parallel=4"));

		SCRIPT(&f->server, {.status = 200, .delay_ms = 50});
		for (int k = 0; k < 100; k++)
			harness_publish_text(f->sink, "a", "x");
		harness_sleep_ms(i * 20);
		fixture_close(f);
	}
}

/* ---- TLS -------------------------------------------------------------------------------------------------- */

static char *
file_read(const char *dir, const char *name)
{
	char path[512], *text = calloc(1, 65536);
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_true(fread(text, 1, 65535, file) > 0);
	fclose(file);
	return text;
}

static void
test_the_servers_certificate_is_checked(void **state)
{
	char *dir = xf_temp_create("http"), *cert, *key, ca[512], other_ca[512];
	static const struct {
		int ca; /* 0: the system's, 1: the right one, 2: another */
		bool verify, up;
	} rows[] = {{0, true, false}, {1, true, true}, {2, true, false}, {2, false, true}};
	struct fixture f = {.harness = NULL};

	(void)state;
	xf_certificates_make(dir);
	cert = file_read(dir, "server.pem");
	key = file_read(dir, "server.key");
	pthread_mutex_init(&f.server.lock, NULL);
	server_listen(&f.server, 0, cert, key);
	snprintf(f.url, sizeof(f.url), "url=https://127.0.0.1:%u/x", f.server.port);
	snprintf(ca, sizeof(ca), "tls.ca=%s/ca.pem", dir);
	snprintf(other_ca, sizeof(other_ca), "tls.ca=%s/other-ca.pem", dir);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *options[4] = {f.url, rows[i].verify ? "tls.verify=true" : "tls.verify=false"};

		if (rows[i].ca > 0)
			options[2] = rows[i].ca == 1 ? ca : other_ca;
		f.harness = harness_open("http", options);
		f.sink = harness_sink(f.harness, "r/to", NULL, NULL);
		if (rows[i].up) {
			assert_true(harness_wait_state(f.sink, XF_STATE_UP, HTTP_SOON));
			assert_int_equal(publish(&f, "a").code, XF_RESULT_STORED);
		} else {
			assert_true(harness_wait_state_count(f.sink, XF_STATE_DOWN, 1, HTTP_SOON));
			if (strstr(harness_state_reason(f.sink), "certificate") == NULL)
				fail_msg("%s", harness_state_reason(f.sink));
			harness_sleep_ms(500);
			assert_int_equal(harness_state_count(f.sink, XF_STATE_DOWN), 1);
		}
		harness_destroy(&f.sink);
		harness_close(&f.harness);
	}
	server_away(&f.server);
	server_forget(&f.server);
	free(cert);
	free(key);
	xf_temp_destroy(&dir);
}

static void
test_settings_are_checked(void **state)
{
	static const struct {
		const char *transport[3], *sink[4], *part;
	} wrong[] = {
		{{"listen=127.0.0.1:0"}, {NULL}, "no url"},
		{{"url=http://h"}, {"mode=reply"}, "needs a transport with listen"},
		{{"url=http://h"}, {"path=/{id}"}, "only {subject}"},
		{{"url=http://h"}, {"path=/a b"}, "space"},
		{{"url=http://h?q=1"}, {"path=/a"}, "query"},
		{{"listen=127.0.0.1:0"}, {"mode=reply", "path=/a"}, "only with mode: webhook"},
	};
	struct xf_error error;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct harness *harness = harness_open("http", wrong[i].transport);

		assert_null(harness_sink_create(harness, "r/to", NULL, wrong[i].sink, &error));
		if (strstr(error.text, wrong[i].part) == NULL)
			fail_msg("%zu: %s", i, error.text);
		harness_close(&harness);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_message_is_posted_whole),
		cmocka_unit_test(test_large_payloads_pass_unchanged),
		cmocka_unit_test(test_what_each_status_makes_of_a_message),
		cmocka_unit_test(test_retry_after_is_honoured),
		cmocka_unit_test(test_a_missing_subject_holds_up_no_other),
		cmocka_unit_test(test_an_answer_that_does_not_come),
		cmocka_unit_test(test_strictly_in_order),
		cmocka_unit_test(test_parallel_keeps_the_order_of_a_key),
		cmocka_unit_test(test_parallel_requests_wait_together),
		cmocka_unit_test(test_a_pause_outlives_what_was_under_way),
		cmocka_unit_test(test_down_and_up_again),
		cmocka_unit_test(test_a_connection_that_breaks_in_an_answer),
		cmocka_unit_test(test_a_server_that_always_hangs_up),
		cmocka_unit_test(test_nowhere),
		cmocka_unit_test(test_stop_with_requests_under_way),
		cmocka_unit_test(test_the_servers_certificate_is_checked),
		cmocka_unit_test(test_settings_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
