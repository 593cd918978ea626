/*
 * destinations.c - what a route may end in, at real brokers: all of three while one dies, any and the first while one is
 * dead, a split by weight, several connections, strict order, none, no id twice, and an old broker that stays where it is.
 *
 * What each broker holds is read by its own client and compared with what was sent.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "world.h"

#define MESSAGES (20000 / XF_SCALE)
#define KEYS 200
#define RATE (4000 / XF_SCALE)

/* From the queue NAME.in by a route with TO, in which NAME is the test's, and ROUTE are more of its settings. */
static void
configure(struct world *w, const char *to, const char *route)
{
	struct xf_buffer text = {0};

	for (const char *at = to; *at != '\0';) {
		const char *name = strstr(at, "NAME");

		xf_buffer_append(&text, at, name != NULL ? (size_t)(name - at) : strlen(at));
		if (name == NULL)
			break;
		xf_buffer_puts(&text, w->name);
		at = name + 4;
	}
	xf_server_configure(w->server, "",
	                    "transports:\n"
	                    "  rabbit: {plugin: amqp, url: \"%s\"}\n"
	                    "  redis: {plugin: redis, url: \"%s\", timeout: 2s, heartbeat: 1s}\n"
	                    "  nats:\n"
	                    "    plugin: nats\n"
	                    "    url: \"%s\"\n"
	                    "    ping_interval: 1s\n"
	                    "    publish_timeout: 2s\n"
	                    "    streams: [{name: %s, subjects: [%s.moved]}]\n"
	                    "routes:\n"
	                    "  - {name: %s, from: {transport: rabbit, queue: %s}, to: %s%s}\n",
	                    xf_broker_url(w->rabbit), xf_broker_url(w->redis), xf_broker_url(w->nats), w->name, w->name, w->name,
	                    w->in, text.data, route);
	xf_buffer_fini(&text);
}

#define KEY ", key: \"{header.key}\""
#define TO_REDIS "{transport: redis, mode: stream, subject: NAME}"
#define TO_NATS "{transport: nats, subject: NAME.moved}"
#define TO_RABBIT "{transport: rabbit, subject: NAME.out}"

/* What is read from one broker, against all that was sent. */
static struct ledger_sum
sum_of(struct world *w, struct ledger *ledger, const char *broker)
{
	struct side side = {ledger, OLD};
	struct ledger_sum sum;
	char *queue = xf_format("%s.out", w->name), *title = xf_format("%s at %s", w->name, broker);

	ledger_reset(ledger);
	if (strcmp(broker, "redis") == 0)
		cache_read(w->old, w->name, side_arrived, &side);
	else if (strcmp(broker, "nats") == 0)
		jet_read(w->new, w->name, side_arrived, &side);
	else
		rabbit_read(w->queue, queue, side_arrived, &side);
	sum = ledger_sum(ledger);
	ledger_print(title, &sum);
	assert_int_equal(sum.corrupted + sum.unexpected, 0);
	assert_int_equal(sum.copies[OLD], 0); /* legs of `all` are not copies */
	free(queue);
	free(title);
	return sum;
}

static void
out_declare(struct world *w)
{
	char *queue = xf_format("%s.out", w->name);

	rabbit_declare(w->queue, queue);
	free(queue);
}

static double
sink_number(struct world *w, unsigned sink, const char *field)
{
	char *path = xf_format("sinks.%u.%s", sink, field);
	double number = world_route_number(w, path);

	free(path);
	return number;
}

/* At rest: each sink's legs are all accounted for. */
static void
check_accounts(struct world *w, unsigned sinks)
{
	static const char *const ends[] = {"confirmed", "refused", "dropped", "crossed", "moved", "in_flight"};

	for (unsigned sink = 0; sink < sinks; sink++) {
		double sum = 0;

		for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
			sum += sink_number(w, sink, ends[i]);
		assert_true(sink_number(w, sink, "accepted") == sum);
	}
}

/* Until nobody's legs are under way either. */
static void
wait_for_rest(struct world *w, unsigned sinks)
{
	xf_server_wait_settled(w->server, w->name, MESSAGES);
	for (unsigned sink = 0; sink < sinks; sink++) {
		uint64_t until = xf_now_ms() + XF_WAIT_MS;

		while (sink_number(w, sink, "in_flight") > 0 && xf_now_ms() < until)
			usleep(20000);
		assert_true(sink_number(w, sink, "in_flight") == 0);
	}
	check_accounts(w, sinks);
}

/* One of three dies for a while: the source waits for it, and in the end every broker has everything in order. */
static void
test_all_have_everything(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = ledger_create(40, MESSAGES, KEYS);
	struct ledger_sum sum;
	struct feeder *feeder;
	double redis, nats;

	world_begin(w, "all");
	out_declare(w);
	configure(w, "{all: [" TO_REDIS ", " TO_NATS ", " TO_RABBIT "]}", KEY ", max_in_flight: 1000");
	xf_server_start(w->server);
	xf_server_wait_ready(w->server);
	feeder = feeder_start(xf_broker_url(w->rabbit), w->in, ledger, 0, MESSAGES, RATE);
	xf_server_wait_number(w->server, w->route, "acked", RATE / 2.0);

	xf_broker_kill(w->redis);
	xf_server_wait_string(w->server, w->route, "sinks.0.state", "down");
	/* The bound fills up, and all of it reaches the others. */
	xf_server_wait_number(w->server, w->route, "in_flight", 1000);
	redis = sink_number(w, 0, "confirmed");
	xf_server_wait_number(w->server, w->route, "sinks.1.confirmed", redis + 900);
	xf_server_wait_number(w->server, w->route, "sinks.2.confirmed", redis + 900);
	nats = sink_number(w, 1, "confirmed");
	printf("redis killed: it has %.0f, nats has %.0f\n", redis, nats);
	xf_broker_restart(w->redis);

	feeder_join(&feeder);
	wait_for_rest(w, 3);
	world_reopen(w);
	sum = sum_of(w, ledger, "redis");
	assert_int_equal(sum.lost + sum.reordered[OLD], 0);
	sum = sum_of(w, ledger, "nats");
	assert_int_equal(sum.lost + sum.reordered[OLD] + sum.duplicates[OLD], 0);
	sum = sum_of(w, ledger, "rabbit");
	assert_int_equal(sum.lost + sum.reordered[OLD] + sum.duplicates[OLD], 0);
	assert_int_equal(rabbit_count(w->queue, w->in), 0);
	assert_int_equal(xf_server_stop(w->server), 0);
	ledger_destroy(&ledger);
}

/* Any is enough: with one dead everything is settled, and what it did not get is counted. */
static void
test_any_is_enough(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = ledger_create(41, MESSAGES, KEYS);
	struct ledger_sum redis, nats;
	struct feeder *feeder;

	world_begin(w, "any");
	configure(w, "{all: [" TO_REDIS ", " TO_NATS "], require: any}", KEY);
	xf_server_start(w->server);
	xf_server_wait_ready(w->server);
	feeder = feeder_start(xf_broker_url(w->rabbit), w->in, ledger, 0, MESSAGES, RATE);
	xf_server_wait_number(w->server, w->route, "acked", RATE / 2.0);
	xf_broker_kill(w->redis);
	xf_server_wait_string(w->server, w->route, "sinks.0.state", "down");
	feeder_join(&feeder);
	wait_for_rest(w, 2);
	assert_true(sink_number(w, 0, "dropped") > 0);
	xf_broker_restart(w->redis);
	world_reopen(w);
	redis = sum_of(w, ledger, "redis");
	nats = sum_of(w, ledger, "nats");
	/* What redis alone was enough for may stand there alone: between them they have all. */
	assert_true((double)redis.here[OLD] >= sink_number(w, 0, "confirmed"));
	assert_true(nats.lost <= redis.here[OLD]);
	assert_int_equal(redis.reordered[OLD] + nats.reordered[OLD], 0);
	assert_int_equal(rabbit_count(w->queue, w->in), 0);
	assert_int_equal(xf_server_stop(w->server), 0);
	ledger_destroy(&ledger);
}

/* The first has to have it, the other gets what it can; a dead other delays nothing. */
static void
test_first_is_needed(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = ledger_create(42, MESSAGES, KEYS);
	struct ledger_sum sum;
	struct feeder *feeder;

	world_begin(w, "first");
	configure(w, "{all: [" TO_NATS ", " TO_REDIS "], require: first}", KEY);
	xf_server_start(w->server);
	xf_server_wait_ready(w->server);
	feeder = feeder_start(xf_broker_url(w->rabbit), w->in, ledger, 0, MESSAGES, RATE);
	xf_server_wait_number(w->server, w->route, "acked", RATE / 2.0);
	xf_broker_kill(w->redis);
	xf_server_wait_string(w->server, w->route, "sinks.1.state", "down");
	feeder_join(&feeder);
	wait_for_rest(w, 2);
	assert_true(sink_number(w, 1, "dropped") > 0);
	assert_true(sink_number(w, 1, "copies") == 0);
	sum = sum_of(w, ledger, "nats");
	assert_int_equal(sum.lost + sum.reordered[OLD] + sum.duplicates[OLD], 0);
	xf_broker_restart(w->redis);
	world_reopen(w);
	sum = sum_of(w, ledger, "redis");
	assert_int_equal(sum.reordered[OLD], 0);
	assert_true(sum.here[OLD] > 0 && sum.lost > 0);
	assert_int_equal(xf_server_stop(w->server), 0);
	ledger_destroy(&ledger);
}

/* A quarter of the keys, whole ones, goes to the one, the rest to the other. */
static void
test_split_by_weight(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = ledger_create(43, MESSAGES, 2000 / XF_SCALE);
	struct ledger_sum sum;

	world_begin(w, "split");
	configure(w, "{split: [{weight: 75, transport: redis, mode: stream, subject: NAME}, {weight: 25, transport: nats, "
	             "subject: NAME.moved}]}", KEY);
	rabbit_feed(w->queue, w->in, ledger, 0, MESSAGES);
	xf_server_start(w->server);
	wait_for_rest(w, 2);
	world_read(w, ledger);
	sum = ledger_sum(ledger);
	ledger_print("split 75 : 25", &sum);
	assert_int_equal(sum.lost + sum.both + sum.corrupted + sum.unexpected, 0);
	assert_int_equal(sum.reordered[OLD] + sum.reordered[NEW] + sum.duplicates[OLD] + sum.duplicates[NEW], 0);
	assert_int_equal(sum.turns_max, 0); /* keys stay together */
	assert_int_equal(sum.here[OLD] + sum.here[NEW], MESSAGES);
	assert_true(sum.here[NEW] > MESSAGES * 15 / 100 && sum.here[NEW] < MESSAGES * 35 / 100);
	assert_true(sink_number(w, 0, "confirmed") == (double)sum.here[OLD]);
	assert_true(sink_number(w, 1, "confirmed") == (double)sum.here[NEW]);
	assert_int_equal(xf_server_stop(w->server), 0);
	ledger_destroy(&ledger);
}

/* Without an order and a key there are still weights, and connections. */
static void
test_split_without_order(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = ledger_create(44, MESSAGES, KEYS);
	struct ledger_sum sum;

	world_begin(w, "loose");
	configure(w, "{split: [{weight: 90, transport: redis, mode: stream, subject: NAME, connections: 2}, {weight: 10, "
	             "transport: nats, subject: NAME.moved}]}", ", order: none, concurrency: 500");
	rabbit_feed(w->queue, w->in, ledger, 0, MESSAGES);
	xf_server_start(w->server);
	wait_for_rest(w, 2);
	world_read(w, ledger);
	sum = ledger_sum(ledger);
	ledger_print("split 90 : 10, no order", &sum);
	assert_int_equal(sum.lost + sum.both + sum.corrupted + sum.unexpected, 0);
	assert_int_equal(sum.here[OLD] + sum.here[NEW], MESSAGES);
	assert_true(sum.here[NEW] > MESSAGES * 5 / 100 && sum.here[NEW] < MESSAGES * 15 / 100);
	assert_true(sum.turns_max > 0);
	assert_int_equal(xf_server_stop(w->server), 0);
	ledger_destroy(&ledger);
}

/* Four connections, each key on one of them; the broker goes and comes back. */
static void
test_connections_keep_keys_in_order(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = ledger_create(45, MESSAGES, KEYS);
	struct ledger_sum sum;
	struct feeder *feeder;
	char *name;

	world_begin(w, "four");
	configure(w, "{transport: redis, mode: stream, subject: NAME, connections: 4}", KEY);
	xf_server_start(w->server);
	xf_server_wait_ready(w->server);
	feeder = feeder_start(xf_broker_url(w->rabbit), w->in, ledger, 0, MESSAGES, RATE);
	xf_server_wait_number(w->server, w->route, "acked", RATE / 2.0);
	xf_broker_kill(w->redis);
	xf_server_wait_string(w->server, w->route, "sinks.0.state", "down");
	xf_broker_restart(w->redis);
	feeder_join(&feeder);
	wait_for_rest(w, 1);
	name = xf_server_string(w->server, w->route, "sinks.0.name");
	assert_string_equal(name, "four/to");
	free(name);
	world_reopen(w);
	sum = sum_of(w, ledger, "redis");
	assert_int_equal(sum.lost + sum.reordered[OLD], 0);
	assert_true(sink_number(w, 0, "reconnects") >= 4);
	assert_int_equal(xf_server_stop(w->server), 0);
	ledger_destroy(&ledger);
}

/* One of a key at a time, and not more than asked for in all. */
static void
test_strict_order(void **state)
{
	struct world *w = *state;
	struct ledger *ledger = ledger_create(46, MESSAGES / 4, KEYS);
	struct ledger_sum sum;
	struct feeder *feeder;

	world_begin(w, "strict");
	configure(w, TO_NATS, KEY ", order: strict, concurrency: 64");
	xf_server_start(w->server);
	xf_server_wait_ready(w->server);
	feeder = feeder_start(xf_broker_url(w->rabbit), w->in, ledger, 0, MESSAGES / 4, RATE);
	xf_server_wait_number(w->server, w->route, "acked", RATE / 8.0);
	xf_broker_kill(w->nats);
	xf_server_wait_string(w->server, w->route, "sinks.0.state", "down");
	assert_true(world_route_number(w, "in_flight") <= 64);
	xf_broker_restart(w->nats);
	feeder_join(&feeder);
	xf_server_wait_settled(w->server, w->name, MESSAGES / 4.0);
	check_accounts(w, 1);
	world_reopen(w);
	sum = sum_of(w, ledger, "nats");
	assert_int_equal(sum.lost + sum.reordered[OLD] + sum.duplicates[OLD], 0);
	assert_int_equal(xf_server_stop(w->server), 0);
	ledger_destroy(&ledger);
}

/* What its producers send twice is published once, also what came again while the first was under way: no ack before that stands. */
static void
test_what_came_twice(void **state)
{
	struct world *w = *state;
	const uint32_t early = MESSAGES / 40, all = MESSAGES / 4;
	struct ledger *ledger = ledger_create(47, all, KEYS);
	struct ledger_sum sum;

	world_begin(w, "twice");
	configure(w, TO_REDIS, KEY ", dedupe: true");
	rabbit_feed(w->queue, w->in, ledger, 0, early);
	rabbit_feed(w->queue, w->in, ledger, 0, early);
	xf_broker_kill(w->redis);
	xf_server_start(w->server);
	xf_server_wait_number(w->server, w->route, "in_flight", early);
	xf_server_wait_number(w->server, w->route, "redelivered", early); /* given back, and come again */
	assert_true(world_route_number(w, "acked") == 0 && world_route_number(w, "duplicates") == 0);
	xf_broker_restart(w->redis);
	rabbit_feed(w->queue, w->in, ledger, early, all);
	xf_server_wait_settled(w->server, w->name, all);
	rabbit_feed(w->queue, w->in, ledger, all - early, all);
	xf_server_wait_number(w->server, w->route, "duplicates", 2 * early);
	check_accounts(w, 1);
	assert_true(world_route_number(w, "acked") == all);
	world_reopen(w);
	sum = sum_of(w, ledger, "redis");
	assert_int_equal(sum.lost + sum.duplicates[OLD] + sum.reordered[OLD], 0);
	assert_int_equal(rabbit_count(w->queue, w->in), 0);
	assert_int_equal(xf_server_stop(w->server), 0);
	ledger_destroy(&ledger);
}

/* Producers stay at Redis, whose channel is copied; nothing is published there, and a rise is refused with the way out. */
static void
test_in_place(void **state)
{
	struct world *w = *state;
	struct xf_buffer text = {0};
	char payload[64] = "in place";
	uint64_t until;

	world_begin(w, "place");
	xf_server_configure(w->server, "",
	                    "transports:\n"
	                    "  redis: {plugin: redis, url: \"%s\"}\n"
	                    "  nats: {plugin: nats, url: \"%s\", streams: [{name: place, subjects: [place.moved]}]}\n"
	                    "migrations:\n"
	                    "  place:\n"
	                    "    old: {transport: redis, in_place: true}\n"
	                    "    new: {transport: nats, subject: place.moved}\n"
	                    "    mirror: required\n"
	                    "routes:\n"
	                    "  - {name: place, from: {transport: redis, subject: place.news}, to: {migration: place}}\n",
	                    xf_broker_url(w->redis), xf_broker_url(w->nats));
	xf_server_start(w->server);
	xf_server_wait_ready(w->server);
	/* crossfade alone listens: nothing that it takes comes back. */
	assert_int_equal(cache_publish(w->old, "place.news", payload, sizeof(payload), 500), 500);
	xf_server_wait_settled(w->server, "place", 500);
	assert_int_equal(jet_count(w->new, "place"), 500);
	assert_int_equal((int)world_number(w, "sides.old.confirmed"), 500);
	assert_int_equal((int)world_number(w, "sides.new.copies"), 500);
	assert_int_equal((int)world_number(w, "sides.new.confirmed"), 500);
	world_check_accounts(w);

	/* With the new side dead what came is held, and none of it is lost. */
	xf_broker_kill(w->nats);
	xf_server_wait_string(w->server, w->migration, "sides.new.state", "down");
	assert_int_equal(cache_publish(w->old, "place.news", payload, sizeof(payload), 500), 500);
	xf_server_wait_number(w->server, w->route, "in_flight", 500);
	xf_broker_restart(w->nats);
	xf_server_wait_settled(w->server, "place", 1000);
	world_reopen(w);
	for (until = xf_now_ms() + XF_WAIT_MS; jet_count(w->new, "place") < 1000 && xf_now_ms() < until;)
		usleep(20000);
	assert_int_equal(jet_count(w->new, "place"), 1000);

	assert_int_equal(XF_CLI(w->server, NULL, "migration", "set", w->name, "--percent", "10"), 1);
	assert_int_equal(XF_CLI(w->server, &text, "migration", "set", "place", "--percent", "10", "--force"), 1);
	if (strstr(text.data, "in place") == NULL)
		fail_msg("refused without a reason: %s", text.data);
	xf_buffer_fini(&text);
	assert_int_equal((int)world_number(w, "percent"), 0);
	assert_int_equal(xf_server_stop(w->server), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_by_weight),
		cmocka_unit_test(test_split_without_order),
		cmocka_unit_test(test_all_have_everything),
		cmocka_unit_test(test_any_is_enough),
		cmocka_unit_test(test_first_is_needed),
		cmocka_unit_test(test_connections_keep_keys_in_order),
		cmocka_unit_test(test_strict_order),
		cmocka_unit_test(test_what_came_twice),
		cmocka_unit_test(test_in_place),
	};

	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
