/*
 * amqp_topology.c - what endpoints make, check and see at a real RabbitMQ: exchanges, queues of both types, bindings,
 * private queues; and which message it was that came back.
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
#include "harness.h"
#include "wait.h"

#define WAIT_MS XF_WAIT_MS

static struct xf_broker *broker;
static char url[160];

static int
broker_up(void **state)
{
	(void)state;
	broker = xf_broker_start("amqp", NULL);
	snprintf(url, sizeof(url), "url=%s", xf_broker_url(broker));
	return 0;
}

static int
broker_down(void **state)
{
	(void)state;
	xf_broker_destroy(&broker);
	return 0;
}

static struct harness *
transport(void)
{
	return harness_open("amqp", OPTIONS(url));
}

static struct xf_str
str(const char *text)
{
	return (struct xf_str){text, strlen(text)};
}

static void
eval(const char *expression)
{
	free(xf_broker_ctl(broker, (const char *const[]){"eval", expression, NULL}));
}

/* Whether the broker lists queue NAME, with TEXT in the same line. */
static bool
queue_listed(const char *name, const char *text)
{
	char *list = xf_broker_ctl(
		broker, (const char *const[]){"list_queues", "name", "type", "durable", "auto_delete", "arguments", "-q", NULL});
	char *line, *rest = list;
	bool found = false;

	while ((line = strsep(&rest, "\n")) != NULL)
		if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == '\t' && strstr(line, text) != NULL)
			found = true;
	free(list);
	return found;
}

static bool
queue_gone_within(const char *name, unsigned deadline_ms)
{
	uint64_t until = harness_now_ms() + deadline_ms;

	while (queue_listed(name, ""))
		if (harness_now_ms() >= until)
			return false;
	return true;
}

static void
stored(struct harness_endpoint *sink, const char *subject, const char *payload)
{
	size_t token = harness_publish_text(sink, subject, payload);

	assert_true(harness_wait_completed(sink, token + 1, WAIT_MS));
	assert_int_equal(harness_result(sink, token).code, XF_RESULT_STORED);
}

static void
wait_blocked(struct harness_endpoint *endpoint, const char *reason)
{
	uint64_t until = harness_now_ms() + WAIT_MS;

	while (strstr(harness_state_reason(endpoint), reason) == NULL && harness_now_ms() < until)
		harness_sleep_ms(20);
	assert_int_equal(harness_state(endpoint), XF_STATE_BLOCKED);
	if (strstr(harness_state_reason(endpoint), reason) == NULL)
		fail_msg("expected '%s' in '%s'", reason, harness_state_reason(endpoint));
}

/* ---- Created ------------------------------------------------------------------------ */

/* An exchange, a queue bound by two keys, and every argument that has an effect to be seen from here. */
static void
test_creates_all(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *source, *sink;

	(void)state;
	source = harness_source(h, "source", ">",
	                        OPTIONS("declare=true", "exchange=made", "exchange_type=direct", "queue=made.q",
	                                "routing_key=one", "routing_key=two", "arguments.x-max-length=7",
	                                "arguments.x-overflow=reject-publish", "arguments.x-max-priority=9",
	                                "arguments.x-message-ttl=3600000", "arguments.x-dead-letter-exchange=grave",
	                                "arguments.x-single-active-consumer=true"));
	assert_true(harness_wait_state(source, XF_STATE_UP, WAIT_MS));
	assert_true(queue_listed("made.q", "classic\ttrue\tfalse"));
	assert_true(queue_listed("made.q", "{\"x-max-length\",7}"));
	assert_true(queue_listed("made.q", "{\"x-overflow\",\"reject-publish\"}"));
	assert_true(queue_listed("made.q", "{\"x-dead-letter-exchange\",\"grave\"}"));
	assert_true(queue_listed("made.q", "{\"x-single-active-consumer\",true}"));

	sink = harness_sink(h, "sink", NULL, OPTIONS("exchange=made"));
	stored(sink, "one", "1");
	stored(sink, "two", "2");
	harness_publish_text(sink, "three", "3");
	assert_true(harness_wait_completed(sink, 3, WAIT_MS));
	assert_int_equal(harness_result(sink, 2).code, XF_RESULT_NOT_SENT);
	assert_true(harness_wait_received(source, 2, WAIT_MS));
	assert_string_equal(harness_message(source, 1)->in.subject.data, "two");
	harness_destroy(&sink);
	harness_destroy(&source);
	harness_close(&h);
}

/* A sink makes the exchange and a queue behind it, so that nothing comes back before a consumer is there. */
static void
test_sink_creates_behind_exchange(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *sink, *source;
	struct xf_sight sight;

	(void)state;
	sink = harness_sink(h, "sink", NULL,
	                    OPTIONS("declare=true", "exchange=front", "queue=behind", "routing_key=orders.>"));
	stored(sink, "orders.eu.paid", "1");
	stored(sink, "orders", "2");
	harness_publish_text(sink, "other", "3");
	assert_true(harness_wait_completed(sink, 3, WAIT_MS));
	assert_int_equal(harness_result(sink, 2).code, XF_RESULT_NOT_SENT);
	sight = harness_wait_sight(sink, XF_SIGHT_DEPTH | XF_SIGHT_CONSUMERS, WAIT_MS);
	assert_int_equal(sight.depth, 2);
	assert_int_equal(sight.consumers, 0);
	source = harness_source(h, "source", ">", OPTIONS("queue=behind"));
	assert_true(harness_wait_received(source, 2, WAIT_MS));
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);
}

/* Priority, and expiry into a dead-letter exchange, as the broker itself understands them. */
static void
test_priority_and_expiry(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *sink, *source, *grave;
	struct xf_outgoing message = {.subject = str("ranked"), .id = str("low"), .dedup_id = str("low")};

	(void)state;
	grave = harness_source(h, "grave", ">",
	                       OPTIONS("declare=true", "exchange=dead", "exchange_type=fanout", "queue=dead.q"));
	assert_true(harness_wait_state(grave, XF_STATE_UP, WAIT_MS));
	sink = harness_sink(h, "sink", NULL,
	                    OPTIONS("declare=true", "arguments.x-max-priority=5", "arguments.x-dead-letter-exchange=dead"));
	message.priority = 1 + 1;
	harness_publish(sink, &message);
	message.priority = 1 + 5;
	message.id = message.dedup_id = str("high");
	harness_publish(sink, &message);
	message.subject = str("short");
	message.id = message.dedup_id = str("gone");
	message.ttl_ms = 50;
	harness_publish(sink, &message);
	assert_true(harness_wait_completed(sink, 3, WAIT_MS));
	assert_int_equal(harness_completed_as(sink, XF_RESULT_STORED), 3);

	source = harness_source(h, "source", "ranked", NULL);
	assert_true(harness_wait_received(source, 2, WAIT_MS));
	assert_string_equal(harness_message(source, 0)->in.id.data, "high");
	assert_int_equal(harness_message(source, 0)->in.priority, 1 + 5);
	assert_string_equal(harness_message(source, 1)->in.id.data, "low");
	assert_true(harness_wait_received(grave, 1, WAIT_MS));
	assert_string_equal(harness_message(grave, 0)->in.id.data, "gone");
	assert_int_equal(harness_message(grave, 0)->in.ttl_ms, 0); /* its time is over; the broker took it away */
	harness_destroy(&source);
	harness_destroy(&grave);
	harness_destroy(&sink);
	harness_close(&h);
}

/* A queue whose name is the sink's only subject is there before the first message. */
static void
test_declares_before_first_message(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *sink = harness_sink(h, "sink", "early", OPTIONS("declare=true"));
	struct harness_endpoint *source = harness_source(h, "source", "early", NULL);

	(void)state;
	assert_true(harness_wait_state(source, XF_STATE_UP, WAIT_MS));
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);
}

/* ---- Private queues ---------------------------------------------------------------------- */

static void
test_private_queues(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *named, *other, *nameless, *sink;

	(void)state;
	/* For replies: a given name, this connection's alone. */
	named = harness_source(h, "named", "replies.1", OPTIONS("declare=true", "exclusive=true", "auto_delete=true"));
	assert_true(harness_wait_state(named, XF_STATE_UP, WAIT_MS));
	assert_true(queue_listed("replies.1", "classic\tfalse\ttrue"));
	other = harness_source(h, "other", "replies.1", NULL);
	wait_blocked(other, "another connection");
	sink = harness_sink(h, "sink", NULL, NULL);
	stored(sink, "replies.1", "42");
	assert_true(harness_wait_received(named, 1, WAIT_MS));
	harness_destroy(&other);
	harness_destroy(&named);
	assert_true(queue_gone_within("replies.1", WAIT_MS));
	harness_destroy(&sink);

	/* To listen in: the broker names it, and names it anew after a restart. */
	nameless = harness_source(h, "nameless", "news.>", OPTIONS("declare=true", "queue=", "exchange=amq.topic"));
	assert_true(harness_wait_state(nameless, XF_STATE_UP, WAIT_MS));
	sink = harness_sink(h, "sink", NULL, OPTIONS("exchange=amq.topic"));
	stored(sink, "news.today", "1");
	assert_true(harness_wait_received(nameless, 1, WAIT_MS));
	assert_string_equal(harness_message(nameless, 0)->in.subject.data, "news.today");
	harness_settle(nameless, 0, XF_SETTLE_ACK, 0);
	xf_broker_restart(broker);
	assert_true(harness_wait_state_count(nameless, XF_STATE_UP, 2, 3 * WAIT_MS));
	assert_true(harness_wait_state_count(sink, XF_STATE_UP, 2, 3 * WAIT_MS));
	stored(sink, "news.tomorrow", "2");
	assert_true(harness_wait_received(nameless, 2, WAIT_MS));
	harness_destroy(&sink);
	harness_destroy(&nameless);

	/* Gone with its last consumer, for anybody to publish to until then. */
	named = harness_source(h, "named", "passing", OPTIONS("declare=true", "auto_delete=true"));
	assert_true(harness_wait_state(named, XF_STATE_UP, WAIT_MS));
	assert_true(queue_listed("passing", "classic\ttrue\ttrue"));
	harness_destroy(&named);
	assert_true(queue_gone_within("passing", WAIT_MS));
	harness_close(&h);
}

/* ---- Quorum queues -------------------------------------------------------------------------- */

static void
test_quorum(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *sink, *source;
	unsigned attempt, i;

	(void)state;
	sink = harness_sink(h, "sink", NULL, OPTIONS("declare=true", "queue_type=quorum"));
	harness_hold(sink, true);
	for (i = 0; i < 1000; i++) {
		char text[16];

		snprintf(text, sizeof(text), "%u", i);
		harness_publish_text(sink, "many.hands", text);
	}
	harness_hold(sink, false);
	assert_true(harness_wait_completed(sink, 1000, 2 * WAIT_MS));
	assert_int_equal(harness_completed_as(sink, XF_RESULT_STORED), 1000);
	assert_true(queue_listed("many.hands", "quorum\ttrue\tfalse"));

	source = harness_source(h, "source", "many.hands", OPTIONS("prefetch=200"));
	assert_true(harness_wait_received(source, 200, WAIT_MS));
	harness_settle_range(source, 1, 199, XF_SETTLE_ACK);
	harness_settle_auto(source, XF_SETTLE_ACK, true);
	assert_true(harness_wait_received(source, 1000, 2 * WAIT_MS));
	for (i = 0; i < 1000; i++)
		assert_int_equal(strtoul(harness_message(source, i)->in.payload, NULL, 10), i);

	/* The broker counts how often it offered the first one, whose count is no header. */
	harness_settle_auto(source, 0, true);
	assert_int_equal(harness_message(source, 0)->in.attempt, 1);
	for (attempt = 2; attempt <= 4; attempt++) {
		size_t last = attempt == 2 ? 0 : 1000 + attempt - 3;

		harness_settle(source, last, XF_SETTLE_RETRY, 0);
		assert_true(harness_wait_received(source, 1000 + attempt - 1, WAIT_MS));
		assert_int_equal(harness_message(source, 1000 + attempt - 2)->in.attempt, attempt);
		assert_null(harness_header(harness_message(source, 1000 + attempt - 2), "x-delivery-count"));
	}
	harness_settle(source, 1002, XF_SETTLE_ACK, 0);
	assert_true(harness_wait_settled(source, WAIT_MS));
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);
}

/* ---- Mismatches ---------------------------------------------------------------------------------- */

/* One queue in another form holds up its own messages only; once it is gone, they go through. */
static void
test_mismatch(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *maker, *sink, *source;
	size_t token;

	(void)state;
	maker = harness_sink(h, "maker", NULL, OPTIONS("declare=true", "queue_type=quorum"));
	stored(maker, "mis.match", "0");
	harness_destroy(&maker);

	source = harness_source(h, "source", "mis.match", OPTIONS("declare=true"));
	wait_blocked(source, "'mis.match' exists in another form");
	harness_destroy(&source);
	source = harness_source(h, "source", "mis.match", OPTIONS("declare=true", "queue_type=quorum"));
	assert_true(harness_wait_state(source, XF_STATE_UP, WAIT_MS));
	harness_destroy(&source);
	source = harness_source(h, "source", "odd",
	                        OPTIONS("declare=true", "queue_type=quorum", "arguments.x-max-priority=3"));
	wait_blocked(source, "change its queue_type or arguments");
	harness_destroy(&source);

	sink = harness_sink(h, "sink", NULL, OPTIONS("declare=true"));
	token = harness_publish_text(sink, "mis.match", "1");
	assert_true(harness_wait_completed(sink, 1, WAIT_MS));
	assert_int_equal(harness_result(sink, token).code, XF_RESULT_NOT_SENT);
	assert_non_null(strstr(harness_result(sink, token).reason, "exists in another form"));
	wait_blocked(sink, "exists in another form");
	stored(sink, "matching", "2");

	free(xf_broker_ctl(broker, (const char *const[]){"delete_queue", "mis.match", NULL}));
	for (unsigned tries = 0; harness_result(sink, token).code != XF_RESULT_STORED; tries++) {
		assert_true(tries < 40);
		harness_sleep_ms(500);
		token = harness_republish(sink, token);
		assert_true(harness_wait_completed(sink, token + 1, WAIT_MS));
	}
	assert_true(harness_wait_state(sink, XF_STATE_UP, WAIT_MS));
	harness_destroy(&sink);
	harness_close(&h);
}

static void
test_options_that_do_not_fit(void **state)
{
	const struct {
		const char *subject;
		const char *const *options;
		const char *reason;
	} sources[] = {
		{"orders.>", NULL, "say which with 'queue'"},
		{"orders", OPTIONS("exchange=e"), "declare: true"},
		{"orders", OPTIONS("queue="), "declare: true"},
		{"orders", OPTIONS("exclusive=true"), "declare: true"},
		{"orders", OPTIONS("queue_type=quorum"), "declare: true"},
		{"orders", OPTIONS("arguments.x-max-length=3"), "declare: true"},
		{"orders", OPTIONS("declare=true", "routing_key=a"), "exchange"},
		{"orders", OPTIONS("declare=true", "queue_type=quorum", "exclusive=true"), "quorum"},
		{"orders", OPTIONS("declare=true", "queue_type=quorum", "queue="), "quorum"},
	};
	struct harness *h = transport();
	struct xf_error error;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		assert_null(harness_source_create(h, "source", sources[i].subject, sources[i].options, &error));
		if (strstr(error.text, sources[i].reason) == NULL)
			fail_msg("expected '%s' in '%s'", sources[i].reason, error.text);
	}
	assert_null(harness_sink_create(h, "sink", NULL, OPTIONS("queue=q"), &error));
	assert_non_null(strstr(error.text, "the subject names the queue"));
	harness_close(&h);
}

/* ---- Sight ------------------------------------------------------------------------------------------ */

/* The next sights, until one tells of so much. */
static void
assert_sight(struct harness_endpoint *endpoint, uint32_t known, uint64_t depth, uint64_t consumers)
{
	uint64_t until = harness_now_ms() + WAIT_MS;
	struct xf_sight sight;

	do {
		sight = harness_wait_sight(endpoint, known, WAIT_MS);
		if (sight.depth == depth && sight.consumers == consumers &&
		    ((known & XF_SIGHT_LAG) == 0 || sight.lag == depth))
			return;
	} while (harness_now_ms() < until);
	fail_msg("depth %llu, lag %llu and %llu consumers instead of %llu and %llu", (unsigned long long)sight.depth,
	         (unsigned long long)sight.lag, (unsigned long long)sight.consumers, (unsigned long long)depth,
	         (unsigned long long)consumers);
}

static void
test_sight(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *sink = harness_sink(h, "sink", "seen", OPTIONS("declare=true")), *source;
	uint32_t all = XF_SIGHT_DEPTH | XF_SIGHT_LAG | XF_SIGHT_CONSUMERS, of_sink = XF_SIGHT_DEPTH | XF_SIGHT_CONSUMERS;
	unsigned i;

	(void)state;
	for (i = 0; i < 30; i++)
		harness_publish_text(sink, "seen", "x");
	assert_true(harness_wait_completed(sink, 30, WAIT_MS));
	assert_sight(sink, of_sink, 30, 0);

	source = harness_source(h, "source", "seen", OPTIONS("prefetch=10"));
	assert_true(harness_wait_received(source, 10, WAIT_MS));
	assert_sight(source, all, 30, 1);
	assert_sight(sink, of_sink, 20, 1); /* what is out it cannot know */
	harness_settle_range(source, 0, 10, XF_SETTLE_ACK);
	assert_sight(source, all, 20, 1);
	assert_true(harness_wait_received(source, 20, WAIT_MS));
	harness_settle_range(source, 10, 10, XF_SETTLE_ACK);
	assert_true(harness_wait_received(source, 30, WAIT_MS));
	harness_settle_range(source, 20, 10, XF_SETTLE_ACK);
	assert_sight(source, all, 0, 1);
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);
}

/* What waits here for credit counts as well, and is no reason not to look. */
static void
test_sight_held_back(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *sink = harness_sink(h, "sink", "held", OPTIONS("declare=true")), *source;
	uint32_t all = XF_SIGHT_DEPTH | XF_SIGHT_LAG | XF_SIGHT_CONSUMERS;
	unsigned i;

	(void)state;
	for (i = 0; i < 30; i++)
		harness_publish_text(sink, "held", "x");
	assert_true(harness_wait_completed(sink, 30, WAIT_MS));
	source = harness_source(h, "source", "held", OPTIONS("prefetch=20"));
	harness_window(source, 3, 1 << 20);
	assert_true(harness_wait_received(source, 3, WAIT_MS));
	assert_sight(source, all, 30, 1);
	assert_sight(source, all, 30, 1);
	harness_settle_auto(source, XF_SETTLE_ACK, true);
	harness_settle_range(source, 0, 3, XF_SETTLE_ACK);
	assert_true(harness_wait_received(source, 30, WAIT_MS));
	harness_settle_range(source, 0, harness_received(source), XF_SETTLE_ACK); /* those from before auto */
	assert_sight(source, all, 0, 1);
	harness_destroy(&source);
	harness_destroy(&sink);
	harness_close(&h);
}

/* Looking at a queue that is missing costs the endpoint nothing; when it comes, it is seen. */
static void
test_sight_of_nothing(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *sink = harness_sink(h, "sink", "later", NULL), *many, *maker;

	(void)state;
	assert_true(harness_wait_state(sink, XF_STATE_UP, WAIT_MS));
	harness_sleep_ms(5000); /* some looks in vain */
	maker = harness_sink(h, "maker", NULL, OPTIONS("declare=true"));
	stored(maker, "later", "1");
	assert_sight(sink, XF_SIGHT_DEPTH, 1, 0);
	assert_int_equal(harness_state_count(sink, XF_STATE_DOWN), 0);
	stored(sink, "later", "2");

	/* Several queues, one of which goes: the others are still counted. */
	many = harness_sink(h, "many", NULL, OPTIONS("declare=true"));
	stored(many, "part.1", "1");
	stored(many, "part.2", "1");
	stored(many, "part.3", "1");
	assert_sight(many, XF_SIGHT_DEPTH, 3, 0);
	free(xf_broker_ctl(broker, (const char *const[]){"delete_queue", "part.2", NULL}));
	assert_sight(many, XF_SIGHT_DEPTH, 2, 0);
	stored(many, "part.1", "2");
	assert_sight(many, XF_SIGHT_DEPTH, 3, 0);
	assert_int_equal(harness_state_count(many, XF_STATE_DOWN), 0);
	harness_destroy(&many);
	harness_destroy(&maker);
	harness_destroy(&sink);
	harness_close(&h);
}

/* ---- What came back ------------------------------------------------------------------------------------------ */

/*
 * Two messages with the same id, subject and size are out at once, and one of them comes back: a headers exchange
 * takes the first of each pair only. Which it was is told by what came back.
 */
static void
test_returns_of_twins(void **state)
{
	struct harness *h = transport();
	struct harness_endpoint *source, *sink;
	unsigned i;

	(void)state;
	source = harness_source(h, "source", ">",
	                        OPTIONS("declare=true", "exchange=by.headers", "exchange_type=headers", "queue=twins",
	                                "routing_key=unused"));
	assert_true(harness_wait_state(source, XF_STATE_UP, WAIT_MS));
	/* A binding without arguments takes everything; this one only what has the header. */
	eval("E = {resource, <<\"/\">>, exchange, <<\"by.headers\">>}, Q = {resource, <<\"/\">>, queue, <<\"twins\">>}, "
	     "rabbit_binding:remove({binding, E, <<\"unused\">>, Q, []}, fun (_, _) -> ok end, <<\"test\">>), "
	     "rabbit_binding:add({binding, E, <<>>, Q, [{<<\"go\">>, longstr, <<\"yes\">>}]}, <<\"test\">>).");
	sink = harness_sink(h, "sink", NULL, OPTIONS("exchange=by.headers"));
	harness_hold(sink, true);
	for (i = 0; i < 40; i++) {
		struct xf_header headers[] = {{{"go", 2}, {"yes", 3}}, {{"tag", 3}, {"a", 1}}};
		struct xf_outgoing message = {
			.subject = str("twin"),
			.id = str("same"),
			.dedup_id = str("same"),
			.payload = i % 4 < 2 ? "left" : "rite",
			.payload_size = 4,
			.headers = headers,
			.header_count = 2,
		};

		if (i % 2 != 0)
			headers[0].value = (struct xf_str){"not", 3};
		harness_publish(sink, &message);
	}
	harness_hold(sink, false);
	assert_true(harness_wait_completed(sink, 40, WAIT_MS));
	for (i = 0; i < 40; i++)
		assert_int_equal(harness_result(sink, i).code, i % 2 == 0 ? XF_RESULT_STORED : XF_RESULT_NOT_SENT);
	assert_true(harness_wait_received(source, 20, WAIT_MS));
	assert_int_equal(harness_state_count(sink, XF_STATE_DOWN), 0);
	harness_destroy(&sink);
	harness_destroy(&source);
	harness_close(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options_that_do_not_fit),
		cmocka_unit_test(test_creates_all),
		cmocka_unit_test(test_sink_creates_behind_exchange),
		cmocka_unit_test(test_priority_and_expiry),
		cmocka_unit_test(test_declares_before_first_message),
		cmocka_unit_test(test_quorum),
		cmocka_unit_test(test_mismatch),
		cmocka_unit_test(test_returns_of_twins),
		cmocka_unit_test(test_sight),
		cmocka_unit_test(test_sight_held_back),
		cmocka_unit_test(test_sight_of_nothing),
		cmocka_unit_test(test_private_queues),
	};

	if (!harness_available("amqp")) {
		printf("the amqp plugin is not built\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, broker_up, broker_down);
}
