/*
 * What stands behind an endpoint, as it is told to operators; and what a stream's source says of entries that it will never
 * see.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker.h"
#include "harness.h"
#include "wait.h"

#define DEADLINE XF_WAIT_MS
#define BLOCK_MS 1000 /* how long a source's reading waits at Redis at most */

struct fixture {
	struct xf_broker *broker;
	struct harness *harness;
	char url[128];
};

static void
fixture_open(struct fixture *f)
{
	f->broker = xf_broker_start("redis", NULL);
	snprintf(f->url, sizeof(f->url), "url=%s", xf_broker_url(f->broker));
	f->harness = harness_open("redis", OPTIONS(f->url));
}

static void
fixture_close(struct fixture *f)
{
	harness_close(&f->harness);
	xf_broker_destroy(&f->broker);
}

static void
redis_do(struct fixture *f, const char *const *args)
{
	free(xf_broker_ctl(f->broker, args));
}

static void
add_many(struct fixture *f, const char *verb, const char *key, unsigned count)
{
	char script[128], number[16];

	snprintf(script, sizeof(script), "for i=1,%u do redis.call('%s','%s',%s'payload',i) end", count, verb, key,
	         strcmp(verb, "XADD") == 0 ? "'*'," : "");
	snprintf(number, sizeof(number), "0");
	redis_do(f, OPTIONS("EVAL", script, number));
}

/* Until a sight tells exactly this. */
static void
wait_sight(struct harness_endpoint *e, uint32_t known, uint64_t depth, uint64_t lag, uint64_t consumers)
{
	struct xf_sight sight = {0};

	for (unsigned i = 0; i < 10; i++) {
		sight = harness_wait_sight(e, 0, DEADLINE);
		if (sight.known == known && (!(known & XF_SIGHT_DEPTH) || sight.depth == depth) &&
		    (!(known & XF_SIGHT_LAG) || sight.lag == lag) &&
		    (!(known & XF_SIGHT_CONSUMERS) || sight.consumers == consumers))
			return;
	}
	fail_msg("known %u, depth %llu, lag %llu, consumers %llu", sight.known, (unsigned long long)sight.depth,
	         (unsigned long long)sight.lag, (unsigned long long)sight.consumers);
}

static void
test_of_channels(void **state)
{
	struct harness_endpoint *literal, *varying, *one, *two;
	struct fixture f;

	(void)state;
	fixture_open(&f);
	literal = harness_sink(f.harness, "literal", "a.b", OPTIONS("separator=:"));
	wait_sight(literal, XF_SIGHT_CONSUMERS, 0, 0, 0);
	one = harness_source(f.harness, "one", "a.b", OPTIONS("separator=:"));
	two = harness_source(f.harness, "two", "a.>", OPTIONS("separator=:"));
	wait_sight(literal, XF_SIGHT_CONSUMERS, 0, 0, 2);
	/* where the template varies, what was published last counts */
	varying = harness_sink(f.harness, "varying", "{subject}", OPTIONS("separator=:"));
	harness_publish_text(varying, "other", "x");
	wait_sight(varying, XF_SIGHT_CONSUMERS, 0, 0, 1);
	harness_publish_text(varying, "a.b", "x");
	wait_sight(varying, XF_SIGHT_CONSUMERS, 0, 0, 2);
	harness_destroy(&literal);
	harness_destroy(&varying);
	harness_destroy(&one);
	harness_destroy(&two);
	fixture_close(&f);
}

static void
test_of_streams(void **state)
{
	const uint32_t all = XF_SIGHT_DEPTH | XF_SIGHT_LAG | XF_SIGHT_CONSUMERS;
	struct harness_endpoint *sink, *source;
	struct fixture f;

	(void)state;
	fixture_open(&f);
	sink = harness_sink(f.harness, "sink", "s", OPTIONS("mode=stream"));
	wait_sight(sink, XF_SIGHT_DEPTH | XF_SIGHT_CONSUMERS, 0, 0, 0);
	add_many(&f, "XADD", "s", 50);
	wait_sight(sink, XF_SIGHT_DEPTH | XF_SIGHT_CONSUMERS, 50, 0, 0); /* nobody is behind, as nobody reads */
	redis_do(&f, OPTIONS("XGROUP", "CREATE", "s", "idle", "$"));
	source = harness_source_create(f.harness, "source", "s", OPTIONS("mode=stream", "group=g"), NULL);
	harness_window(source, 20, 1 << 20);
	harness_start(source);
	assert_true(harness_wait_received(source, 20, DEADLINE));
	wait_sight(source, all, 50, 50, 1);
	wait_sight(sink, all, 50, 50, 1); /* the group that is furthest behind */
	harness_settle_range(source, 0, 10, XF_SETTLE_ACK);
	assert_true(harness_wait_received(source, 30, DEADLINE));
	wait_sight(source, all, 50, 40, 1);
	harness_settle_auto(source, XF_SETTLE_ACK, true);
	harness_settle_range(source, 10, 20, XF_SETTLE_ACK);
	assert_true(harness_wait_received(source, 50, DEADLINE));
	wait_sight(source, all, 50, 0, 1);
	wait_sight(sink, all, 50, 0, 1);
	/* that the last reading found nothing says nothing of what came while there was no credit */
	harness_window(source, 0, 0);
	harness_sleep_ms(BLOCK_MS + 500);
	add_many(&f, "XADD", "s", 5);
	wait_sight(source, all, 55, 5, 1);
	harness_window(source, 20, 1 << 20);
	assert_true(harness_wait_received(source, 55, DEADLINE));
	wait_sight(source, all, 55, 0, 1);
	/* Redis does not tell the lag behind a deleted entry; who has read all knows it */
	redis_do(&f, OPTIONS("EVAL", "local e=redis.call('XADD','s','*','payload','x') "
	                             "redis.call('XADD','s','*','payload','y') redis.call('XDEL','s',e)", "0"));
	assert_true(harness_wait_received(source, 56, DEADLINE));
	wait_sight(source, all, 56, 0, 1);
	harness_destroy(&source);
	harness_destroy(&sink);
	fixture_close(&f);
}

static void
test_of_lists(void **state)
{
	const uint32_t both = XF_SIGHT_DEPTH | XF_SIGHT_LAG;
	struct harness_endpoint *sink, *source;
	struct fixture f;

	(void)state;
	fixture_open(&f);
	sink = harness_sink(f.harness, "sink", "q", OPTIONS("mode=list"));
	wait_sight(sink, both, 0, 0, 0);
	add_many(&f, "RPUSH", "q", 25); /* of two each */
	wait_sight(sink, both, 50, 50, 0);
	source = harness_source_create(f.harness, "source", "q", OPTIONS("mode=list"), NULL);
	harness_window(source, 20, 1 << 20);
	harness_start(source);
	assert_true(harness_wait_received(source, 20, DEADLINE));
	wait_sight(source, both, 50, 50, 0); /* what was taken and not settled counts */
	harness_settle_auto(source, XF_SETTLE_ACK, true);
	harness_settle_range(source, 0, 20, XF_SETTLE_ACK);
	assert_true(harness_wait_received(source, 50, DEADLINE));
	wait_sight(source, both, 0, 0, 0);
	wait_sight(sink, both, 0, 0, 0);
	harness_destroy(&source);
	harness_destroy(&sink);
	fixture_close(&f);
}

static bool
wait_logged(struct harness_endpoint *e, size_t count)
{
	for (unsigned i = 0; i < 400; i++) {
		if (harness_log_count(e, XF_LOG_WARN) >= count)
			return true;
		harness_sleep_ms(50);
	}
	return false;
}

static void
test_what_is_gone_is_said(void **state)
{
	struct harness_endpoint *source;
	struct fixture f;

	(void)state;
	fixture_open(&f);
	/* trimmed away unread */
	add_many(&f, "XADD", "s", 100);
	source = harness_source_create(f.harness, "source", "s", OPTIONS("mode=stream", "group=g"), NULL);
	harness_window(source, 10, 1 << 20);
	harness_start(source);
	assert_true(harness_wait_received(source, 10, DEADLINE));
	assert_int_equal(harness_log_count(source, XF_LOG_WARN), 0);
	redis_do(&f, OPTIONS("XTRIM", "s", "MAXLEN", "20"));
	assert_true(wait_logged(source, 1));
	wait_sight(source, XF_SIGHT_DEPTH | XF_SIGHT_LAG | XF_SIGHT_CONSUMERS, 20, 30, 1); /* ten are pending still */

	/* pending, and gone when they are read again */
	harness_destroy(&source);
	source = harness_source(f.harness, "source", "s", OPTIONS("mode=stream", "group=g"));
	assert_true(harness_wait_received(source, 20, DEADLINE));
	harness_settle_range(source, 0, 20, XF_SETTLE_ACK);
	assert_true(wait_logged(source, 1));
	wait_sight(source, XF_SIGHT_DEPTH | XF_SIGHT_LAG | XF_SIGHT_CONSUMERS, 20, 0, 1);
	assert_int_equal(harness_received(source), 20);

	/* the group itself */
	redis_do(&f, OPTIONS("XGROUP", "DESTROY", "s", "g"));
	assert_true(harness_wait_received(source, 40, DEADLINE));
	assert_true(wait_logged(source, 2));
	harness_destroy(&source);
	fixture_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of_channels),
		cmocka_unit_test(test_of_streams),
		cmocka_unit_test(test_of_lists),
		cmocka_unit_test(test_what_is_gone_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
