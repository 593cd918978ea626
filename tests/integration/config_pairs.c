/*
 * config_pairs.c - the deployments that move one kind of broker to another, each as it stands: its producers publish to
 * the entry while the share goes 0, 50, 100 and back, then copies are turned on. What consumers see on both sides is
 * everything, once, in the order of each key, and every copy says that it is one where the broker can carry that.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "deploy.h"

#define STEP 200
#define STEPS 6 /* at 0 %, towards 50 %, towards 100 %, at 100 %, rolled back, mirrored */
#define MESSAGES (STEPS * STEP)
#define KEYS 20

struct pair {
	const char *folder;
	struct place entry, old, new;
};

#define CHANNEL {PLACE_CHANNEL, "events.made", NULL}
#define STREAM {PLACE_STREAM, "orders", NULL}
#define LIST {PLACE_LIST, "orders", NULL}
#define QUEUE {PLACE_QUEUE, "orders", NULL}
#define EXCHANGE {PLACE_EXCHANGE, "events", NULL}
#define SUBJECT {PLACE_SUBJECT, "orders.placed", "ORDERS"}
#define EVENTS {PLACE_SUBJECT, "events.made", "EVENTS"}
#define CHANNEL_IN {PLACE_CHANNEL, "in.events.made", NULL}
#define STREAM_IN {PLACE_STREAM, "orders.in", NULL}
#define LIST_IN {PLACE_LIST, "orders.in", NULL}
#define QUEUE_IN {PLACE_QUEUE, "orders.in", NULL}
#define EXCHANGE_IN {PLACE_EXCHANGE, "events.in", NULL}
#define SUBJECT_IN {PLACE_SUBJECT, "in.orders.placed", "ORDERS_IN"}
#define EVENTS_IN {PLACE_SUBJECT, "in.events.made", "EVENTS_IN"}

static const struct pair pairs[] = {
	{"redis-pubsub-to-jetstream", CHANNEL_IN, CHANNEL, EVENTS},
	{"redis-pubsub-to-amqp", CHANNEL_IN, CHANNEL, EXCHANGE},
	{"redis-pubsub-to-redis-stream", CHANNEL_IN, CHANNEL, {PLACE_STREAM, "events", NULL}},
	{"redis-pubsub-to-redis-list", CHANNEL_IN, CHANNEL, {PLACE_LIST, "events", NULL}},
	{"redis-stream-to-jetstream", STREAM_IN, STREAM, SUBJECT},
	{"redis-stream-to-amqp", STREAM_IN, STREAM, QUEUE},
	{"redis-list-to-jetstream", LIST_IN, LIST, SUBJECT},
	{"redis-list-to-amqp", LIST_IN, LIST, QUEUE},
	{"redis-list-to-redis-stream", LIST_IN, LIST, {PLACE_STREAM, "orders.log", NULL}},
	{"amqp-to-jetstream", QUEUE_IN, QUEUE, SUBJECT},
	{"amqp-to-redis-stream", QUEUE_IN, QUEUE, STREAM},
	{"amqp-to-redis-list", QUEUE_IN, QUEUE, LIST},
	{"amqp-to-redis-pubsub", EXCHANGE_IN, EXCHANGE, CHANNEL},
	{"jetstream-to-amqp", SUBJECT_IN, SUBJECT, QUEUE},
	{"jetstream-to-redis-stream", SUBJECT_IN, SUBJECT, STREAM},
	{"jetstream-to-redis-list", SUBJECT_IN, SUBJECT, LIST},
	{"jetstream-to-redis-pubsub", EVENTS_IN, EVENTS, CHANNEL},
};
#define PAIRS (sizeof(pairs) / sizeof(pairs[0]))

struct run {
	struct world *w;
	const struct pair *pair;
	struct ledger *ledger;
	struct cache *attached[2];
	const char *migration; /* and the route */
	uint32_t fed;
};

static void
step_feed(struct run *run)
{
	place_feed(run->w, &run->pair->entry, run->ledger, run->fed, run->fed + STEP);
	run->fed += STEP;
}

static void
steps_settle(struct run *run)
{
	xf_server_wait_settled(run->w->server, run->migration, run->fed);
	deploy_rest(run->w, run->migration, "old");
	deploy_rest(run->w, run->migration, "new");
}

static double
number(const struct run *run, const char *field)
{
	char *path = xf_format("/api/v1/migrations/%s", run->migration);
	double value = xf_server_number(run->w->server, path, field);

	free(path);
	return value;
}

#define STEER(run, ...) XF_CLI_DONE((run)->w->server, "migration", __VA_ARGS__)

/* The share is turned while messages are under way. */
static void
steps_run(struct run *run)
{
	step_feed(run);
	steps_settle(run);
	assert_int_equal((int)number(run, "sides.old.confirmed"), STEP);
	assert_int_equal((int)number(run, "sides.new.accepted"), 0);
	step_feed(run);
	STEER(run, "set", run->migration, "--percent", "50", "--wait", "--timeout", "1m");
	step_feed(run);
	STEER(run, "set", run->migration, "--percent", "100", "--wait", "--timeout", "1m");
	step_feed(run);
	steps_settle(run);
	assert_true(number(run, "sides.new.confirmed") >= STEP);
	STEER(run, "rollback", run->migration);
	step_feed(run);
	steps_settle(run);
	STEER(run, "set", run->migration, "--mirror", "required");
	step_feed(run);
	steps_settle(run);
	assert_int_equal((int)number(run, "crossed"), 0);
}

static void
sides_check(struct run *run)
{
	bool marked = place_marks(&run->pair->new);
	struct ledger_sum sum;

	place_read(run->w, &run->pair->old, &run->attached[OLD], side_arrived, &(struct side){run->ledger, OLD});
	place_read(run->w, &run->pair->new, &run->attached[NEW], side_arrived, &(struct side){run->ledger, NEW});
	sum = ledger_sum(run->ledger);
	ledger_print(run->pair->folder, &sum);
	assert_int_equal(sum.lost + sum.corrupted + sum.unexpected, 0);
	assert_int_equal(sum.reordered[OLD] + sum.reordered[NEW], 0);
	assert_int_equal(sum.duplicates[OLD] + sum.duplicates[NEW], 0);
	assert_int_equal(sum.copies[OLD], 0);
	assert_int_equal(sum.copies[NEW], marked ? STEP : 0);
	assert_int_equal(sum.copies_again[NEW], 0);
	assert_int_equal(sum.both, marked ? 0 : STEP);
	assert_true(sum.here[OLD] >= 3 * STEP);
	assert_true(sum.here[NEW] >= (marked ? STEP : 2 * STEP));
	/* Keys that moved left the old side and came back, whole. */
	assert_true(sum.turns_max <= 2);
}

static void *world;

static int
setup(void **state)
{
	(void)state;
	return deploy_setup(&world);
}

static int
teardown(void **state)
{
	(void)state;
	return world_teardown(&world);
}

/* Its state is the pair. */
static void
test_pair(void **state)
{
	struct world *w = world;
	const struct pair *pair = *state;
	uint32_t producer = 100 + (uint32_t)(pair - pairs);
	struct run run = {.w = w, .pair = pair, .ledger = ledger_create(producer, MESSAGES, KEYS)};
	char *file = xf_format("%s/crossfade.yaml", pair->folder);

	ledger_json(run.ledger);
	run.migration = pair->old.kind == PLACE_CHANNEL || pair->new.kind == PLACE_CHANNEL ? "events" : "orders";
	deploy_clear(w);
	run.attached[OLD] = place_attach(w, &pair->old);
	run.attached[NEW] = place_attach(w, &pair->new);
	deploy(w, file);
	steps_run(&run);
	sides_check(&run);
	assert_int_equal(xf_server_stop(w->server), 0);
	ledger_destroy(&run.ledger);
	free(file);
}

int
main(void)
{
	struct CMUnitTest tests[PAIRS];

	for (size_t i = 0; i < PAIRS; i++)
		tests[i] = (struct CMUnitTest){
			.name = pairs[i].folder, .test_func = test_pair, .initial_state = (void *)(uintptr_t)&pairs[i]};
	return cmocka_run_group_tests(tests, setup, teardown);
}
