/*
 * A master, two replicas and three sentinels, all real: the master is found through the sentinels, and the new one after it
 * has died or was moved, under load.
 *
 * Redis replicates after it has confirmed, so a master that dies takes with it what it confirmed in its last
 * moments: nobody can give that back, and the test prints how much it was. All else that was confirmed must stand at
 * the new master.
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

#define SOON XF_WAIT_MS
#define LATE 90000 /* sentinels take their time, more so on a slow machine */
#define SERVERS 3

struct fixture {
	struct xf_broker *servers[SERVERS];
	struct xf_broker *sentinels[SERVERS];
	struct harness *harness;
	struct harness_endpoint *sink;
	struct harness_endpoint *source;
};

static const char *
port_of(struct xf_broker *broker)
{
	return strrchr(xf_broker_url(broker), ':') + 1;
}

static bool
says(struct xf_broker *broker, const char *const *args, const char *words)
{
	char *out = xf_broker_ctl(broker, args);
	bool found = strstr(out, words) != NULL;

	free(out);
	return found;
}

static bool
wait_says(struct xf_broker *broker, const char *const *args, const char *words)
{
	for (unsigned waited = 0; waited < LATE; waited += 100) {
		if (says(broker, args, words))
			return true;
		harness_sleep_ms(100);
	}
	return false;
}

static void
fixture_open(struct fixture *f)
{
	char monitor[96], url[256];

	memset(f, 0, sizeof(*f));
	for (unsigned i = 0; i < SERVERS; i++)
		f->servers[i] = xf_broker_start("redis", OPTIONS("--repl-diskless-sync-delay", "0"));
	for (unsigned i = 1; i < SERVERS; i++)
		free(xf_broker_ctl(f->servers[i], OPTIONS("REPLICAOF", "127.0.0.1", port_of(f->servers[0]))));
	snprintf(monitor, sizeof(monitor), "sentinel monitor my-master 127.0.0.1 %s 2", port_of(f->servers[0]));
	for (unsigned i = 0; i < SERVERS; i++)
		f->sentinels[i] = xf_broker_start(
			"sentinel", OPTIONS(monitor, "sentinel down-after-milliseconds my-master 1500",
		                            "sentinel failover-timeout my-master 6000"));
	assert_true(wait_says(f->servers[0], OPTIONS("INFO", "replication"), "connected_slaves:2"));
	for (unsigned i = 0; i < SERVERS; i++) {
		assert_true(wait_says(f->sentinels[i], OPTIONS("INFO", "sentinel"), "slaves=2,sentinels=3"));
	}
	snprintf(url, sizeof(url), "url=redis+sentinel://127.0.0.1:%s,127.0.0.1:%s,127.0.0.1:%s/my-master",
	         port_of(f->sentinels[0]), port_of(f->sentinels[1]), port_of(f->sentinels[2]));
	f->harness = harness_open("redis", OPTIONS(url));
	f->sink = harness_sink(f->harness, "sink", NULL, OPTIONS("mode=stream"));
	f->source = harness_source(f->harness, "source", "s", OPTIONS("mode=stream"));
	harness_settle_auto(f->source, XF_SETTLE_ACK, true);
	assert_true(harness_wait_state(f->sink, XF_STATE_UP, SOON));
	assert_true(harness_wait_state(f->source, XF_STATE_UP, SOON));
}

static void
fixture_close(struct fixture *f)
{
	harness_destroy(&f->source);
	harness_destroy(&f->sink);
	harness_close(&f->harness);
	for (unsigned i = 0; i < SERVERS; i++) {
		xf_broker_destroy(&f->sentinels[i]);
		xf_broker_destroy(&f->servers[i]);
	}
}

static void
publish_many(struct fixture *f, unsigned count)
{
	char payload[32];

	for (unsigned i = 0; i < count; i++) {
		snprintf(payload, sizeof(payload), "n%zu.", harness_published(f->sink));
		harness_publish_text(f->sink, "s", payload);
	}
}

/* Offers all that was not stored again until everything is. From FROM on in the order of tokens. */
static void
store_the_rest(struct fixture *f, size_t from)
{
	for (size_t token = from; token < harness_published(f->sink); token++) {
		assert_true(harness_wait_completed(f->sink, token + 1, LATE));
		assert_int_not_equal(harness_result(f->sink, token).code, XF_RESULT_REJECTED);
		if (harness_result(f->sink, token).code != XF_RESULT_STORED)
			harness_republish(f->sink, token);
	}
}

/* The server that the sentinels name. */
static struct xf_broker *
master_of(struct fixture *f)
{
	char *out = xf_broker_ctl(f->sentinels[0], OPTIONS("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "my-master"));
	struct xf_broker *master = NULL;

	for (unsigned i = 0; i < SERVERS; i++)
		if (strstr(out, port_of(f->servers[i])) != NULL)
			master = f->servers[i];
	free(out);
	assert_non_null(master);
	return master;
}

/*
 * Tokens below SAFE were confirmed and had the time to be replicated; those below BEFORE were answered by the old
 * master; all later ones by the new.
 */
static void
check(struct fixture *f, size_t safe, size_t before, const char *what)
{
	char *held = xf_broker_ctl(master_of(f), OPTIONS("XRANGE", "s", "-", "+"));
	size_t lost = 0, confirmed = 0, first = 0;
	char payload[32];

	for (size_t token = 0; token < before; token++) {
		if (harness_result(f->sink, token).code != XF_RESULT_STORED)
			continue;
		confirmed++;
		snprintf(payload, sizeof(payload), "\nn%zu.\n", token);
		if (strstr(held, payload) != NULL)
			continue;
		assert_true(token >= safe);
		if (lost++ == 0)
			first = token;
	}
	free(held);
	print_message("%s: %zu confirmed by the old master, of these %zu lost to replication (from %zu on)\n", what,
	              confirmed, lost, first);
}

/* The source gets what the new master holds and had not given out before. */
static void
check_source(struct fixture *f)
{
	free(xf_broker_ctl(master_of(f), OPTIONS("XADD", "s", "*", "payload", "the end")));
	for (unsigned waited = 0;; waited += 50) {
		size_t n = harness_received(f->source);

		if (n > 0 && strcmp(harness_message(f->source, n - 1)->in.payload, "the end") == 0)
			break;
		assert_in_range(waited, 0, LATE);
		harness_sleep_ms(50);
	}
}

static void
test_a_master_that_dies_under_load(void **state)
{
	struct fixture f;
	size_t before;

	(void)state;
	fixture_open(&f);
	publish_many(&f, 2000);
	assert_true(harness_wait_completed(f.sink, 2000, SOON));
	harness_sleep_ms(1500); /* replicas are that far soon */
	publish_many(&f, 10000);
	harness_sleep_ms(30);
	xf_broker_kill(f.servers[0]);
	assert_true(harness_wait_state(f.sink, XF_STATE_DOWN, SOON));
	before = harness_completed(f.sink);
	assert_true(harness_wait_state_count(f.sink, XF_STATE_UP, 2, LATE));
	store_the_rest(&f, 0);
	assert_true(master_of(&f) != f.servers[0]);
	check(&f, 2000, before, "killed");
	check_source(&f);

	/* What comes back is a replica, and stays one. */
	xf_broker_restart(f.servers[0]);
	assert_true(wait_says(f.servers[0], OPTIONS("ROLE"), "slave"));
	publish_many(&f, 1000);
	assert_true(harness_wait_completed(f.sink, harness_published(f.sink), SOON));
	assert_int_equal(harness_result(f.sink, harness_published(f.sink) - 1).code, XF_RESULT_STORED);
	fixture_close(&f);
}

static void
test_a_master_that_is_moved_under_load(void **state)
{
	struct fixture f;
	size_t before;

	(void)state;
	fixture_open(&f);
	publish_many(&f, 2000);
	assert_true(harness_wait_completed(f.sink, 2000, SOON));
	harness_sleep_ms(1500);
	/* one of the sentinels is of no help */
	xf_broker_stop(f.sentinels[1]);
	harness_sleep_ms(3000);
	free(xf_broker_ctl(f.sentinels[0], OPTIONS("SENTINEL", "FAILOVER", "my-master")));
	for (unsigned i = 0; i < 600 && harness_state_count(f.sink, XF_STATE_UP) < 2; i++) {
		publish_many(&f, 100);
		harness_sleep_ms(50);
	}
	assert_true(harness_wait_state_count(f.sink, XF_STATE_UP, 2, LATE));
	before = harness_published(f.sink);
	assert_true(master_of(&f) != f.servers[0]);
	/* It was left before the sentinels came to demote it, which is ten seconds later: so little is lost. */
	assert_true(says(f.servers[0], OPTIONS("ROLE"), "master"));
	publish_many(&f, 100);
	store_the_rest(&f, 0);
	check(&f, 2000, before, "moved");
	check_source(&f);
	fixture_close(&f);
}

static void
test_what_sentinels_do_not_know(void **state)
{
	struct xf_broker *sentinel = xf_broker_start("sentinel", NULL);
	char url[128];
	struct harness *h;
	struct harness_endpoint *sink;

	(void)state;
	snprintf(url, sizeof(url), "url=%s/nobody", xf_broker_url(sentinel));
	h = harness_open("redis", OPTIONS(url));
	sink = harness_sink(h, "sink", NULL, NULL);
	assert_true(harness_wait_state_count(sink, XF_STATE_DOWN, 1, SOON));
	assert_non_null(strstr(harness_state_reason(sink), "knows no master 'nobody'"));
	harness_sleep_ms(1000);
	assert_int_equal(harness_state_count(sink, XF_STATE_DOWN), 1);
	harness_destroy(&sink);
	harness_close(&h);
	xf_broker_destroy(&sentinel);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_sentinels_do_not_know),
		cmocka_unit_test(test_a_master_that_dies_under_load),
		cmocka_unit_test(test_a_master_that_is_moved_under_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
