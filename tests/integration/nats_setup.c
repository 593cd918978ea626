/*
 * nats_setup.c - what the nats plugin makes of streams and consumers that are there, missing or different, and what
 * it tells of them.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker.h"
#include "harness.h"
#include "wait.h"

#define WAIT_MS XF_WAIT_MS

struct bench {
	struct xf_broker *broker;
	char url[128];
};

static int
setup(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	bench->broker = xf_broker_start("nats", NULL);
	snprintf(bench->url, sizeof(bench->url), "url=%s", xf_broker_url(bench->broker));
	*state = bench;
	return 0;
}

static int
teardown(void **state)
{
	struct bench *bench = *state;

	xf_broker_destroy(&bench->broker);
	free(bench);
	return 0;
}

static struct harness_endpoint *
sink_up(struct harness *harness)
{
	struct harness_endpoint *sink = harness_sink(harness, "r/to", NULL, NULL);

	if (!harness_wait_state(sink, XF_STATE_UP, WAIT_MS))
		fail_msg("not UP: %s", harness_state_reason(sink));
	return sink;
}

static void
publish_numbers(struct harness_endpoint *sink, const char *subject, unsigned first, unsigned count)
{
	char text[32];

	for (unsigned i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "%u", first + i);
		harness_publish_text(sink, subject, text);
	}
	assert_true(harness_wait_completed(sink, harness_published(sink), WAIT_MS));
}

static void
expect_reason(struct harness_endpoint *endpoint, const char *reason)
{
	assert_true(harness_wait_state(endpoint, XF_STATE_BLOCKED, WAIT_MS));
	if (strstr(harness_state_reason(endpoint), reason) == NULL)
		fail_msg("'%s' lacks '%s'", harness_state_reason(endpoint), reason);
}

static void
expect_blocked(const char *const *options, const char *reason)
{
	struct harness *harness = harness_open("nats", options);
	struct harness_endpoint *sink = harness_sink(harness, "r/to", NULL, NULL);

	expect_reason(sink, reason);
	harness_destroy(&sink);
	harness_close(&harness);
}

/* ---- Streams ---------------------------------------------------------------------- */

/* A stream is made as the settings say, and whatever is said otherwise later is named and changes nothing. */
static void
test_stream_settings(void **state)
{
	static const char *const made[] = {"storage=memory",  "retention=workqueue", "discard=new",         "max_age=1h",
	                                   "max_bytes=10MiB", "max_messages=500",    "duplicate_window=30s"};
	static const struct {
		const char *option, *reason;
	} others[] = {
		{"storage=file", "storage memory, not file"},
		{"retention=interest", "retention workqueue, not interest"},
		{"discard=old", "discard new, not old"},
		{"max_age=2h", "max_age 3600000ms, not 7200000ms"},
		{"max_bytes=20MiB", "max_bytes 10485760, not 20971520"},
		{"max_messages=501", "max_messages 500, not 501"},
		{"duplicate_window=31s", "duplicate_window 30000ms, not 31000ms"},
		{"replicas=3", "replicas 1, not 3"},
	};
	enum { MADE = sizeof(made) / sizeof(made[0]) };
	struct bench *bench = *state;
	char texts[MADE][80], other[80];
	const char *options[MADE + 4] = {bench->url, "streams[0].name=S", "streams[0].subjects=s.>"};
	struct harness_endpoint *sink;
	struct harness *harness;

	for (size_t i = 0; i < MADE; i++) {
		snprintf(texts[i], sizeof(texts[i]), "streams[0].%s", made[i]);
		options[3 + i] = texts[i];
	}
	for (int i = 0; i < 2; i++) {
		harness = harness_open("nats", options);
		sink = sink_up(harness);
		publish_numbers(sink, "s.a", 0, 10);
		assert_int_equal(harness_completed_as(sink, XF_RESULT_STORED), 10);
		harness_destroy(&sink);
		harness_close(&harness);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		snprintf(other, sizeof(other), "streams[0].%s", others[i].option);
		expect_blocked(OPTIONS(bench->url, "streams[0].name=S", "streams[0].subjects=s.>", other), others[i].reason);
	}
	expect_blocked(OPTIONS(bench->url, "streams[0].name=OTHER", "streams[0].subjects=s.x"), "change one of the two");
	expect_blocked(OPTIONS(bench->url, "streams[0].name=WIDE", "streams[0].subjects=w.x", "streams[0].replicas=3"),
	               "set replicas to 1");
	/* It is what it was. */
	harness = harness_open("nats", options);
	sink = sink_up(harness);
	harness_destroy(&sink);
	harness_close(&harness);
}

/* Questions about streams that walks of set-up asked, not looks at their depth: the reply's last token tells. */
static size_t
setups_heard(struct harness_endpoint *asked)
{
	size_t count = 0;

	for (size_t i = 0; i < harness_received(asked); i++) {
		const char *token = strrchr(harness_message(asked, i)->in.reply.data, '.');

		count += token != NULL && token[1] == 'r';
	}
	return count;
}

static void
wait_setups(struct harness_endpoint *asked, size_t count)
{
	for (unsigned waited = 0; setups_heard(asked) < count && waited < WAIT_MS; waited += 10)
		harness_sleep_ms(10);
	assert_int_equal(setups_heard(asked), count);
}

/* One endpoint of a transport asks for its streams, and the others believe it; at a server started anew one asks again. */
static void
test_streams_are_asked_for_once(void **state)
{
	struct bench *bench = *state;
	struct harness *many = harness_open("nats", OPTIONS(bench->url, "streams[0].name=S", "streams[0].subjects=s.>"));
	struct harness *other = harness_open("nats", OPTIONS(bench->url, "streams[0].name=O", "streams[0].subjects=o.>"));
	struct harness_endpoint *asked = harness_source(other, "r/asked", "$JS.API.STREAM.INFO.>", OPTIONS("mode=core"));
	struct harness_endpoint *sinks[5], *last;
	size_t before;

	assert_true(harness_wait_state(asked, XF_STATE_UP, WAIT_MS));
	before = setups_heard(asked);
	for (size_t i = 0; i < 5; i++)
		sinks[i] = sink_up(many);
	wait_setups(asked, before + 1);
	/* Who asks now is heard after all before. */
	expect_blocked(OPTIONS(bench->url, "streams[0].name=T", "streams[0].subjects=s.x"), "change one of the two");
	wait_setups(asked, before + 2);

	xf_broker_stop(bench->broker);
	xf_broker_wipe(bench->broker);
	xf_broker_restart(bench->broker);
	last = sink_up(many);
	for (size_t i = 0; i < 5; i++)
		assert_true(harness_wait_state_count(sinks[i], XF_STATE_UP, 2, WAIT_MS));
	for (size_t i = 0; i < 5; i++) {
		publish_numbers(sinks[i], "s.a", 0, 10);
		assert_int_equal(harness_completed_as(sinks[i], XF_RESULT_STORED), 10);
		harness_destroy(&sinks[i]);
	}
	harness_destroy(&last);
	harness_destroy(&asked);
	harness_close(&many);
	harness_close(&other);
}

/* A full stream that refuses is waited for; what is consumed makes room. */
static void
test_full_stream(void **state)
{
	struct bench *bench = *state;
	struct harness *harness = harness_open("nats", OPTIONS(bench->url, "streams[0].name=W", "streams[0].subjects=w.>",
	                                                       "streams[0].retention=workqueue", "streams[0].discard=new",
	                                                       "streams[0].max_messages=10"));
	struct harness_endpoint *sink = sink_up(harness), *source;

	publish_numbers(sink, "w.a", 0, 20);
	assert_int_equal(harness_completed_as(sink, XF_RESULT_STORED), 10);
	assert_int_equal(harness_completed_as(sink, XF_RESULT_NOT_SENT), 10);
	expect_reason(sink, "maximum messages exceeded");
	expect_reason(sink, "raise them");
	source = harness_source(harness, "r/from", ">", OPTIONS("stream=W"));
	harness_settle_auto(source, XF_SETTLE_ACK, true);
	assert_true(harness_wait_received(source, 10, WAIT_MS));
	for (uint64_t until = harness_now_ms() + WAIT_MS; harness_completed_as(sink, XF_RESULT_STORED) < 20;) {
		assert_true(harness_now_ms() < until);
		harness_republish(sink, harness_published(sink) - 1);
		assert_true(harness_wait_completed(sink, harness_published(sink), WAIT_MS));
	}
	assert_true(harness_wait_received(source, 11, WAIT_MS));
	assert_true(harness_wait_state(sink, XF_STATE_UP, WAIT_MS));
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&harness);
}

/* Interest keeps a message while a consumer wants it, and a workqueue has one consumer for each subject. */
static void
test_retention(void **state)
{
	struct bench *bench = *state;
	struct harness *harness = harness_open("nats", OPTIONS(bench->url, "streams[0].name=I", "streams[0].subjects=i.>",
	                                                       "streams[0].retention=interest", "streams[1].name=W",
	                                                       "streams[1].subjects=w.>", "streams[1].retention=workqueue"));
	struct harness_endpoint *sink = sink_up(harness), *one, *two;

	publish_numbers(sink, "i.a", 0, 5); /* nobody wants these */
	one = harness_source(harness, "r/one", "i.>", OPTIONS("durable=one"));
	assert_true(harness_wait_state(one, XF_STATE_UP, WAIT_MS));
	publish_numbers(sink, "i.a", 5, 5);
	assert_true(harness_wait_received(one, 5, WAIT_MS));
	assert_int_equal(atoi(harness_message(one, 0)->in.payload), 5);
	harness_destroy(&one);

	one = harness_source(harness, "r/one", "w.>", OPTIONS("durable=one"));
	assert_true(harness_wait_state(one, XF_STATE_UP, WAIT_MS));
	two = harness_source(harness, "r/two", "w.>", OPTIONS("durable=two"));
	expect_reason(two, "one consumer for each subject");
	harness_destroy(&two);
	harness_destroy(&one);
	one = harness_source(harness, "r/new", "w.a", OPTIONS("durable=new", "deliver=new"));
	expect_reason(one, "workqueue");
	harness_destroy(&one);
	harness_destroy(&sink);
	harness_close(&harness);
}

/* ---- Where a consumer begins ---------------------------------------------------------- */

/* The number of the first message that a new consumer with OPTIONS gets. */
static int
first_number(struct harness *harness, const char *const *options)
{
	struct harness_endpoint *source = harness_source(harness, "r/from", "d.>", options);
	int number;

	if (!harness_wait_received(source, 1, WAIT_MS))
		fail_msg("nothing came: %s", harness_state_reason(source));
	number = atoi(harness_message(source, 0)->in.payload);
	harness_destroy(&source);
	return number;
}

static void
test_deliver(void **state)
{
	struct bench *bench = *state;
	const char *const options[] = {bench->url, "streams[0].name=D", "streams[0].subjects=d.>", NULL};
	struct harness *harness = harness_open("nats", options);
	struct harness_endpoint *sink = sink_up(harness), *fresh, *source;
	int64_t middle_ms;
	char since[64];

	publish_numbers(sink, "d.a", 1, 10);
	fresh = harness_source(harness, "r/from", "d.>", OPTIONS("durable=fresh", "deliver=new"));
	assert_true(harness_wait_state(fresh, XF_STATE_UP, WAIT_MS));
	harness_sleep_ms(2000);
	middle_ms = (int64_t)harness_now_ms();
	harness_sleep_ms(6000);
	publish_numbers(sink, "d.a", 11, 10);
	assert_true(harness_wait_received(fresh, 1, WAIT_MS));
	assert_int_equal(atoi(harness_message(fresh, 0)->in.payload), 11);
	assert_int_equal(first_number(harness, OPTIONS("durable=all", "deliver=all")), 1);
	assert_int_equal(first_number(harness, OPTIONS("durable=default")), 1);
	assert_int_equal(first_number(harness, OPTIONS("durable=last", "deliver=last")), 20);
	assert_int_equal(first_number(harness, OPTIONS("durable=seq", "deliver_sequence=7")), 7);
	assert_int_equal(first_number(harness, OPTIONS("durable=old", "deliver_since=100h")), 1);
	/* A time between the two: there are seconds of room on its either side. */
	snprintf(since, sizeof(since), "deliver_since=%lldms", (long long)((int64_t)harness_now_ms() - middle_ms));
	assert_int_equal(first_number(harness, OPTIONS("durable=since", since)), 11);

	/* One that is ephemeral is gone with its source: its name begins anew, elsewhere. */
	assert_int_equal(first_number(harness, OPTIONS("durable=brief", "ephemeral=true", "deliver_sequence=3")), 3);
	assert_int_equal(first_number(harness, OPTIONS("durable=brief", "ephemeral=true", "deliver_sequence=4")), 4);

	/* A consumer that is there began where it began. */
	source = harness_source(harness, "r/from", "d.>", OPTIONS("durable=fresh", "deliver=all"));
	expect_reason(source, "was created to deliver new");
	harness_destroy(&source);
	source = harness_source(harness, "r/from", "d.>", OPTIONS("durable=seq", "deliver_sequence=8"));
	expect_reason(source, "was created to deliver by_start_sequence");
	harness_destroy(&source);
	source = harness_source(harness, "r/from", "d.>", OPTIONS("durable=seq", "deliver_sequence=7"));
	assert_true(harness_wait_state(source, XF_STATE_UP, WAIT_MS));
	harness_destroy(&source);
	source = harness_source(harness, "r/from", "d.>", OPTIONS("durable=seq"));
	assert_true(harness_wait_state(source, XF_STATE_UP, WAIT_MS));
	harness_destroy(&source);
	harness_destroy(&fresh);
	harness_destroy(&sink);
	harness_close(&harness);
}

/* ---- Domains and accounts ---------------------------------------------------------------- */

static struct xf_broker *
broker_with(const char *dir, const char *text)
{
	char path[400];
	const char *arguments[] = {"-c", path, NULL};
	FILE *file;

	snprintf(path, sizeof(path), "%s/nats.conf", dir);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	return xf_broker_start("nats", arguments);
}

static void
test_domain(void **state)
{
	char *dir = xf_temp_create("nats-domain"), url[128];
	struct xf_broker *broker = broker_with(dir, "jetstream: {domain: hub}\n");
	struct harness_endpoint *sink, *source;
	struct harness *harness;

	(void)state;
	snprintf(url, sizeof(url), "url=%s", xf_broker_url(broker));
	harness = harness_open("nats", OPTIONS(url, "domain=hub", "streams[0].name=H", "streams[0].subjects=h.>"));
	sink = sink_up(harness);
	source = harness_source(harness, "r/from", "h.>", NULL);
	harness_settle_auto(source, XF_SETTLE_ACK, true);
	publish_numbers(sink, "h.a", 0, 100);
	assert_true(harness_wait_received(source, 100, WAIT_MS));
	assert_true(harness_wait_settled(source, WAIT_MS));
	harness_destroy(&source);
	/* All is acked: a second life of the consumer gets the next one. */
	publish_numbers(sink, "h.a", 100, 1);
	source = harness_source(harness, "r/from", "h.>", NULL);
	assert_true(harness_wait_received(source, 1, WAIT_MS));
	assert_int_equal(atoi(harness_message(source, 0)->in.payload), 100);
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&harness);
	expect_blocked(OPTIONS(url, "domain=elsewhere", "streams[0].name=H", "streams[0].subjects=h.>"),
	               "no JetStream answers for domain elsewhere");
	xf_broker_destroy(&broker);
	xf_temp_destroy(&dir);
}

static void
test_account_limits(void **state)
{
	char *dir = xf_temp_create("nats-account"), url[128];
	struct xf_broker *broker =
	    broker_with(dir, "accounts: {\n"
	                     "A: {jetstream: {max_streams: 1, max_consumers: 1, max_store: 1MB}, users: [{user: a, password: a}]}\n"
	                     "B: {users: [{user: b, password: b}]}\n}\n");
	struct harness_endpoint *sink, *one, *two;
	struct harness *harness;

	(void)state;
	snprintf(url, sizeof(url), "url=%s", xf_broker_url(broker));
	expect_blocked(OPTIONS(url, "user=b", "password=b", "streams[0].name=L", "streams[0].subjects=l.>"), "JetStream");
	harness = harness_open("nats", OPTIONS(url, "user=a", "password=a", "streams[0].name=L", "streams[0].subjects=l.>"));
	sink = sink_up(harness);
	expect_blocked(OPTIONS(url, "user=a", "password=a", "streams[0].name=M", "streams[0].subjects=m.>"),
	               "may have no more streams");
	one = harness_source(harness, "r/one", "l.>", OPTIONS("durable=one"));
	assert_true(harness_wait_state(one, XF_STATE_UP, WAIT_MS));
	two = harness_source(harness, "r/two", "l.>", OPTIONS("durable=two"));
	expect_reason(two, "no more consumers");
	harness_destroy(&two);
	harness_destroy(&one);
	harness_destroy(&sink);
	harness_close(&harness);
	xf_broker_destroy(&broker);
	xf_temp_destroy(&dir);
}

/* ---- Sight ------------------------------------------------------------------------------------ */

/* The first sight that has the numbers, of those that KNOWN names. */
static void
expect_sight(struct harness_endpoint *endpoint, uint32_t known, uint64_t depth, uint64_t lag, uint64_t consumers)
{
	uint64_t until = harness_now_ms() + WAIT_MS;
	struct xf_sight sight;

	do {
		if (harness_now_ms() >= until)
			fail_msg("depth %llu, lag %llu, consumers %llu", (unsigned long long)sight.depth,
			         (unsigned long long)sight.lag, (unsigned long long)sight.consumers);
		sight = harness_wait_sight(endpoint, known, WAIT_MS);
	} while ((known & XF_SIGHT_DEPTH && sight.depth != depth) || (known & XF_SIGHT_LAG && sight.lag != lag) ||
	         (known & XF_SIGHT_CONSUMERS && sight.consumers != consumers));
}

#define ALL (XF_SIGHT_DEPTH | XF_SIGHT_LAG | XF_SIGHT_CONSUMERS)

/* Says LINES to the server as somebody else, and waits until it has read them. */
static void
raw_say(const struct xf_broker *broker, const char *lines)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char in[8192];
	size_t len = 0;
	ssize_t n;

	address.sin_port = htons((uint16_t)atoi(strrchr(xf_broker_url(broker), ':') + 1));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(send(fd, "CONNECT {\"verbose\":false}\r\n", 27, 0), 27);
	assert_int_equal(send(fd, lines, strlen(lines), 0), (ssize_t)strlen(lines));
	assert_int_equal(send(fd, "PING\r\n", 6, 0), 6);
	do {
		n = recv(fd, in + len, sizeof(in) - 1 - len, 0);
		assert_true(n > 0);
		len += (size_t)n;
		in[len] = '\0';
		assert_null(strstr(in, "-ERR"));
	} while (strstr(in, "PONG") == NULL);
	close(fd);
}

static void
test_sight(void **state)
{
	enum { CONSUMERS = 300 }; /* more than a page of the server's list */
	struct bench *bench = *state;
	struct harness *harness = harness_open("nats", OPTIONS(bench->url, "streams[0].name=ORDERS",
	                                                       "streams[0].subjects=orders.>", "streams[1].name=OTHER",
	                                                       "streams[1].subjects=other.>"));
	struct harness *bare = harness_open("nats", OPTIONS(bench->url));
	struct harness_endpoint *sink = sink_up(harness), *ahead, *source;
	char *lines = malloc(CONSUMERS * 400), *out = lines;

	/* Before anything was published, by what it could publish to. */
	ahead = harness_sink(bare, "r/ahead", "orders.{header.region}.x", NULL);
	expect_sight(ahead, XF_SIGHT_DEPTH | XF_SIGHT_CONSUMERS, 0, 0, 0);
	publish_numbers(sink, "orders.a", 0, 100);
	expect_sight(sink, XF_SIGHT_DEPTH | XF_SIGHT_CONSUMERS, 100, 0, 0);
	expect_sight(ahead, XF_SIGHT_DEPTH | XF_SIGHT_CONSUMERS, 100, 0, 0);

	source = harness_source_create(harness, "r/from", "orders.>", NULL, NULL);
	harness_window(source, 10, 1 << 20);
	harness_start(source);
	expect_sight(source, ALL, 100, 100, 1);
	expect_sight(sink, ALL, 100, 100, 1);
	assert_true(harness_wait_received(source, 10, WAIT_MS));
	harness_settle_range(source, 0, 10, XF_SETTLE_ACK);
	assert_true(harness_wait_received(source, 20, WAIT_MS));
	expect_sight(source, ALL, 100, 90, 1);
	harness_settle_auto(source, XF_SETTLE_ACK, true);
	harness_settle_range(source, 10, 10, XF_SETTLE_ACK);
	expect_sight(source, ALL, 100, 0, 1);
	expect_sight(sink, ALL, 100, 0, 1);

	/* The one that is furthest behind counts, on whatever page it stands. */
	for (int i = 0; i < CONSUMERS; i++) {
		char body[300];
		int len = snprintf(body, sizeof(body),
		                   "{\"stream_name\":\"ORDERS\",\"config\":{\"durable_name\":\"c%03d\",\"ack_policy\":\"explicit\","
		                   "\"deliver_policy\":\"%s\"}}",
		                   i, i == 290 ? "all" : "new");

		out += sprintf(out, "PUB $JS.API.CONSUMER.DURABLE.CREATE.ORDERS.c%03d %d\r\n%s\r\n", i, len, body);
	}
	raw_say(bench->broker, lines);
	expect_sight(sink, ALL, 100, 100, CONSUMERS + 1);
	free(lines);
	harness_destroy(&source);
	harness_destroy(&ahead);
	harness_destroy(&sink);
	harness_close(&bare);
	harness_close(&harness);
}

/* Who may not look is not disturbed by it. */
static void
test_sight_refused(void **state)
{
	char *dir = xf_temp_create("nats-sight"), url[128];
	struct xf_broker *broker = broker_with(
	    dir, "jetstream: {}\nauthorization: {users: [{user: u, password: p, permissions: {publish: {allow: [\">\"], deny: "
	         "[\"$JS.API.CONSUMER.LIST.>\"]}, subscribe: \">\"}}]}\n");
	struct harness_endpoint *sink;
	struct harness *harness;

	(void)state;
	snprintf(url, sizeof(url), "url=%s", xf_broker_url(broker));
	harness = harness_open("nats", OPTIONS(url, "user=u", "password=p", "streams[0].name=S", "streams[0].subjects=s.>"));
	sink = sink_up(harness);
	publish_numbers(sink, "s.a", 0, 5);
	expect_sight(sink, XF_SIGHT_DEPTH | XF_SIGHT_CONSUMERS, 5, 0, 0);
	assert_int_equal(harness_state_count(sink, XF_STATE_BLOCKED), 0);
	assert_int_equal(harness_state_count(sink, XF_STATE_DOWN), 0);
	harness_destroy(&sink);
	harness_close(&harness);
	xf_broker_destroy(&broker);
	xf_temp_destroy(&dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stream_settings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_streams_are_asked_for_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_stream, setup, teardown),
		cmocka_unit_test_setup_teardown(test_retention, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deliver, setup, teardown),
		cmocka_unit_test(test_domain),
		cmocka_unit_test(test_account_limits),
		cmocka_unit_test_setup_teardown(test_sight, setup, teardown),
		cmocka_unit_test(test_sight_refused),
	};

	if (getenv("ONLY") != NULL)
		cmocka_set_test_filter(getenv("ONLY"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
