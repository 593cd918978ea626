/* Which messages wait for the other side, that they go in order, and that those which do not come along are let go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "flow/parking.h"

#define MESSAGES 100

static struct world {
	struct xf_conf_migration conf;
	struct xf_conf_endpoint source; /* of the new side */
	struct xf_migration migration;
	struct xf_backlog *backlog;
	struct xf_parking parking;
	struct xf_delivery deliveries[MESSAGES];
	unsigned gone[MESSAGES], gone_count;
} world;

static void
share_set(uint32_t percent)
{
	struct xf_knobs knobs = xf_migration_knobs(&world.migration);

	knobs.version++;
	knobs.position.percent = percent;
	atomic_store(&world.migration.knobs, xf_knobs_pack(knobs));
}

static void
go(void *context, struct xf_delivery *delivery)
{
	assert_ptr_equal(context, &world);
	world.gone[world.gone_count++] = (unsigned)(delivery - world.deliveries);
}

static void
follow(uint64_t now_ms)
{
	xf_parking_follow(&world.parking, world.parking.count, MESSAGES, now_ms, "r/from/2", go, &world);
}

static int
world_make(void **state)
{
	struct xf_error error;
	size_t column;

	(void)state;
	memset(&world, 0, sizeof(world));
	world.conf = (struct xf_conf_migration){
		.name = "m", .key = xf_template_create(xf_str("{key|subject}"), &column, &error)};
	world.source = (struct xf_conf_endpoint){.migration = &world.conf, .side = 1};
	world.migration.conf = &world.conf;
	share_set(0);
	world.backlog = xf_backlog_create(&world.migration);
	xf_parking_init(&world.parking, &world.source, world.backlog);
	follow(1000);
	return 0;
}

static struct xf_delivery *
let_go(void *context, struct xf_delivery *delivery)
{
	(void)context, (void)delivery;
	return NULL;
}

static int
world_clear(void **state)
{
	(void)state;
	xf_parking_remake(&world.parking, let_go, NULL);
	assert_int_equal(world.parking.count, 0);
	xf_parking_fini(&world.parking);
	xf_backlog_destroy(&world.backlog);
	xf_template_destroy(&world.conf.key);
	return 0;
}

/* Parks message NUMBER if it has to wait. */
static bool
arrive(unsigned number)
{
	struct xf_incoming message = {.subject = xf_str("orders")};
	char key[16];
	uint16_t bucket;

	snprintf(key, sizeof(key), "k-%u", number);
	message.key = xf_str(key);
	if (!xf_parking_waits(&world.parking, &message, &bucket))
		return false;
	xf_parking_add(&world.parking, &world.deliveries[number], bucket);
	return true;
}

static unsigned
arrive_all(void)
{
	unsigned waiting = 0;

	for (unsigned i = 0; i < MESSAGES; i++)
		waiting += arrive(i);
	return waiting;
}

static void
only_what_moved_waits(void **state)
{
	(void)state;
	assert_int_equal(arrive_all(), 0);
	share_set(5000);
	follow(2000);
	assert_in_range(arrive_all(), 25, 75);
}

static void
the_header_names_the_key(void **state)
{
	const struct xf_header header = {xf_str("crossfade-key"), xf_str("k-1")};
	const struct xf_incoming by_key = {.subject = xf_str("orders"), .key = xf_str("k-1")};
	const struct xf_incoming by_header = {
		.subject = xf_str("orders"), .key = xf_str("other"), .headers = &header, .header_count = 1};
	uint16_t one, other;

	(void)state;
	share_set(10000);
	follow(2000);
	assert_true(xf_parking_waits(&world.parking, &by_key, &one));
	assert_true(xf_parking_waits(&world.parking, &by_header, &other));
	assert_int_equal(one, other);
}

/* The other side is at its end a second after the move. */
static void
they_go_in_order(void **state)
{
	(void)state;
	share_set(10000);
	follow(2000);
	assert_int_equal(arrive_all(), MESSAGES);
	follow(3000);
	assert_int_equal(world.gone_count, 0);
	xf_backlog_ended(world.backlog, 0, 100000);
	follow(100001);
	assert_int_equal(world.gone_count, MESSAGES);
	for (unsigned i = 0; i < MESSAGES; i++)
		assert_int_equal(world.gone[i], i);
	assert_int_equal(world.parking.count, 0);
	assert_false(arrive(0));
}

static struct xf_delivery *
keep_even(void *context, struct xf_delivery *delivery)
{
	(void)context;
	return (delivery - world.deliveries) % 2 == 0 ? delivery : NULL;
}

/* The last of them among those that are gone: what comes after stands behind the others. */
static void
what_is_not_made_again_is_gone(void **state)
{
	(void)state;
	share_set(10000);
	follow(2000);
	for (unsigned i = 0; i < 10; i++)
		assert_true(arrive(i));
	xf_parking_remake(&world.parking, keep_even, NULL);
	assert_int_equal(world.parking.count, 5);
	assert_true(arrive(10));
	xf_backlog_ended(world.backlog, 0, 100000);
	follow(100001);
	assert_int_equal(world.gone_count, 6);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(world.gone[i], 2 * i);
}

/* This side is at its end only where all that its broker has is what waits here. */
static void
what_waits_here_is_no_lag(void **state)
{
	(void)state;
	share_set(10000);
	follow(2000);
	for (unsigned i = 0; i < 10; i++)
		assert_true(arrive(i));
	xf_parking_lag(&world.parking, 11);
	assert_int_equal(world.parking.at_end_ms, 0);
	world.parking.told_ms = 2100; /* so it was asked after that, whenever the answer comes */
	xf_parking_lag(&world.parking, 10);
	assert_int_equal(world.parking.at_end_ms, 2100);
	follow(3000);
	assert_int_equal(world.parking.at_end_ms, 0); /* told */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(only_what_moved_waits, world_make, world_clear),
		cmocka_unit_test_setup_teardown(the_header_names_the_key, world_make, world_clear),
		cmocka_unit_test_setup_teardown(they_go_in_order, world_make, world_clear),
		cmocka_unit_test_setup_teardown(what_is_not_made_again_is_gone, world_make, world_clear),
		cmocka_unit_test_setup_teardown(what_waits_here_is_no_lag, world_make, world_clear),
	};

	xf_log_setup(XF_LOG_ERROR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
