/*
 * Lanes with spools, killed and started again at random: the lanes of an inlet and of each spool's reader work on two brokers and two
 * spools that remember what was committed. Nothing that was accepted is lost, nothing is acked before it stands somewhere, and each lane's messages
 * first appear in their order, over both brokers.
 *
 * Brokers store what they are given in its order; a connection that breaks, and a kill, take the end of that along. A record is there once it is
 * committed; its removal is another commit, and a kill in between brings it back. What is read for a side that is down is passed over, and read
 * again when something has changed. Copies of a mirror that stays as it is come to each side in their order, as long as nothing is killed, forced or set
 * aside.
 *
 * Seen to fail: a lane that moves when its records are done and not removed; one that follows what is spooled on the side that it leaves though the other
 * has some of it, too; one that goes to its sink past its spool, or to the spool past what is under way; one that asks for no copies there; a reader
 * that does not go back.
 *
 * XF_TEST_SEED=N repeats a run.
 */
#include "flow/lanes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "flow/spooled.h"

#define SIDES 2
#define MESSAGES 80
#define LEGS_MAX 4096
#define ROWS_MAX 4096
#define STEPS 1500
#define WALKS 1000

enum { INLET = SIDES, WAYS }; /* the readers of the spools, then the inlet */

/* Whether a record is there, for whom. */
enum row_state { WRITTEN, DURABLE, DONE, REMOVED };

struct row {
	enum row_state state;
	unsigned message, bucket;
	uint8_t role, sink;
	struct xf_leg *leg; /* until it is called back */
	bool read;
};

struct legs {
	struct xf_leg *at[LEGS_MAX];
	unsigned count;
};

struct side {
	struct legs queue, taken; /* what the sink has, of all ways */
	struct row rows[ROWS_MAX];
	unsigned row_count;
	uint32_t generation;
	bool up, blocked;
	unsigned cursor, turns; /* of the spool's reader */
	unsigned copies[2]; /* of each lane, the next that may come */
};

struct way {
	struct xf_lanes lanes;
	struct legs back; /* on their way home */
	unsigned out[SIDES];
	uint32_t known[SIDES];
	bool aside[SIDES];
	unsigned turns;
};

static struct world {
	struct side sides[SIDES];
	struct way ways[WAYS];
	uint32_t percent;
	enum xf_mirror mirror;
	bool calm; /* nothing is killed, forced or set aside, and the mirror stays as it is */
	uint64_t now;
	unsigned next; /* of the source */
	bool under_way[MESSAGES], acked[MESSAGES], stored[MESSAGES], copied[SIDES][MESSAGES];
	unsigned kills;
} world;

static uint64_t seed, random_state;

#define CHECK(condition)                                                                                               \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			fail_msg("%s (line %d), XF_TEST_SEED=%llu", #condition, __LINE__, (unsigned long long)seed);  \
	} while (0)

static unsigned
random_below(unsigned bound)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)((random_state >> 11) % bound);
}

/* Both of one lane, but for the last of each four: a percent of 50 moves only the first. */
static uint16_t
bucket_of(unsigned message)
{
	return message % 4 == 3 ? 5000 : 0;
}

static void
legs_push(struct legs *legs, struct xf_leg *leg)
{
	CHECK(legs->count < LEGS_MAX);
	legs->at[legs->count++] = leg;
}

static struct xf_leg *
legs_pop(struct legs *legs)
{
	struct xf_leg *leg = legs->at[0];

	memmove(legs->at, legs->at + 1, --legs->count * sizeof(legs->at[0]));
	return leg;
}

/* ---- Deliveries --------------------------------------------------------------------------------------- */

/* Of the inlet the handle is a message, of a reader a row. */
static unsigned
message_of(const struct xf_delivery *delivery)
{
	return (unsigned)delivery->handle;
}

static struct way *
way_of(const struct xf_leg *leg)
{
	return (struct way *)leg->delivery->home;
}

static void
deliver(struct way *way, unsigned message, uint64_t row)
{
	struct xf_leg *legs = xf_alloc(sizeof(struct xf_leg) + sizeof(struct xf_delivery));
	struct xf_delivery *delivery = (struct xf_delivery *)(legs + 1);

	delivery->handle = message;
	delivery->letter = row;
	delivery->bucket = bucket_of(message);
	delivery->home = (struct xf_inbox *)way;
	if (way != &world.ways[INLET]) {
		struct row *from = &world.sides[way - world.ways].rows[row];

		delivery->replayed = (uint8_t)(1 + from->role);
		delivery->replayed_to = from->sink;
	}
	xf_lanes_accept(&way->lanes, delivery, world.now);
}

/* ---- What the lanes call -------------------------------------------------------------------------------- */

static void
way_send(void *context, struct xf_leg *leg)
{
	struct way *way = context;
	struct side *side = &world.sides[leg->sink];

	if (!leg->to_spool) {
		leg->generation = way->known[leg->sink];
		way->out[leg->sink]++;
		legs_push(&side->queue, leg);
		return;
	}
	CHECK(way == &world.ways[INLET] && side->row_count < ROWS_MAX);
	side->rows[side->row_count++] = (struct row){
		.message = message_of(leg->delivery),
		.bucket = leg->delivery->bucket,
		.role = leg->role,
		.sink = leg->sink,
		.leg = leg,
	};
}

static uint32_t
rows_count(unsigned sink, unsigned bucket, enum row_state upto, bool copies)
{
	uint32_t count = 0;

	for (unsigned i = 0; i < world.sides[sink].row_count; i++) {
		const struct row *row = &world.sides[sink].rows[i];

		count += row->state <= upto && row->bucket == bucket && (row->role == XF_SPOOLED_COPY) == copies;
	}
	return count;
}

static uint32_t
way_spooled(void *context, unsigned sink, uint16_t bucket, bool copies)
{
	(void)context;
	return rows_count(sink, bucket, DURABLE, copies);
}

static bool
way_spool_stands(void *context, unsigned sink, uint16_t bucket)
{
	(void)context;
	return rows_count(sink, bucket, DONE, false) > 0;
}

/* Neither so few nor so many that it would always be the same. */
static uint64_t
way_spooled_all(void *context, unsigned sink)
{
	(void)context, (void)sink;
	return random_below(2) * 100000;
}

static void
way_settle(void *context, struct xf_delivery *delivery)
{
	struct way *way = context;
	struct row *row;

	if (way == &world.ways[INLET]) {
		unsigned message = message_of(delivery);
		bool spooled = false;

		for (unsigned s = 0; s < SIDES; s++)
			for (unsigned i = 0; i < world.sides[s].row_count; i++)
				spooled = spooled || (world.sides[s].rows[i].message == message && world.sides[s].rows[i].state >= DURABLE &&
				                      world.sides[s].rows[i].role != XF_SPOOLED_COPY);
		CHECK(world.stored[message] || spooled);
		world.acked[message] = true;
		return;
	}
	row = &world.sides[way - world.ways].rows[delivery->letter];
	CHECK(row->state == DURABLE);
	row->state = DONE;
}

static void
way_refused(void *context, struct xf_delivery *delivery, const struct xf_leg *leg)
{
	(void)context, (void)delivery, (void)leg;
	CHECK(false);
}

static void
way_release(void *context, struct xf_delivery *delivery)
{
	(void)context;
	free((struct xf_leg *)delivery - 1);
}

static const struct xf_lanes_ops ops = {
	.send = way_send,
	.spooled = way_spooled,
	.spool_stands = way_spool_stands,
	.spooled_all = way_spooled_all,
	.settle = way_settle,
	.refused = way_refused,
	.release = way_release,
};

/* ---- Events ----------------------------------------------------------------------------------------------- */

static void
leg_back(struct xf_leg *leg, uint8_t result, bool down)
{
	leg->result = result;
	leg->bounced = result == XF_RESULT_NOT_SENT;
	leg->down = down;
	legs_push(&way_of(leg)->back, leg);
}

static void
broker_store(const struct xf_leg *leg)
{
	unsigned message = message_of(leg->delivery), lane = leg->delivery->bucket > 0;
	unsigned *copies = &world.sides[leg->sink].copies[lane];

	if (leg->copy) {
		CHECK(!world.calm || message + 1 >= *copies || world.copied[leg->sink][message]);
		*copies = message + 1 > *copies ? message + 1 : *copies;
		world.copied[leg->sink][message] = true;
		return;
	}
	for (unsigned i = 0; !world.stored[message] && i < message; i++)
		if (bucket_of(i) == leg->delivery->bucket)
			CHECK(world.stored[i]);
	world.stored[message] = true;
}

static void
sink_offer(struct side *side)
{
	struct xf_leg *leg = legs_pop(&side->queue);
	uint32_t state = XF_LEG_QUEUED;

	if (!side->up || leg->generation != side->generation ||
	    !atomic_compare_exchange_strong(&leg->state, &state, XF_LEG_TAKEN))
		leg_back(leg, XF_RESULT_NOT_SENT, leg->generation != side->generation);
	else
		legs_push(&side->taken, leg);
}

/* Some of what was taken was stored, from the first on. */
static void
sink_break(struct side *side)
{
	unsigned kept = random_below(side->taken.count + 1);

	while (side->taken.count > 0) {
		struct xf_leg *leg = legs_pop(&side->taken);

		if (kept > 0) {
			broker_store(leg);
			kept--;
		}
		leg_back(leg, XF_RESULT_UNKNOWN, false);
	}
	while (side->queue.count > 0)
		leg_back(legs_pop(&side->queue), XF_RESULT_NOT_SENT, true);
	side->generation++;
	side->up = side->blocked = false;
}

/* What waits, and perhaps what is done. */
static void
spool_commit(struct side *side)
{
	bool removes = random_below(8) == 0; /* rarely: what matters is what happens in between */

	for (unsigned i = 0; i < side->row_count; i++) {
		struct row *row = &side->rows[i];

		if (row->state == DONE && removes)
			row->state = REMOVED;
		if (row->state != WRITTEN)
			continue;
		row->state = DURABLE;
		leg_back(row->leg, XF_RESULT_STORED, false);
		row->leg = NULL;
	}
}

static void
spool_read(unsigned s)
{
	struct side *side = &world.sides[s];
	struct way *way = &world.ways[s];
	unsigned i, sink;

	if (way->turns != side->turns)
		side->cursor = 0;
	side->turns = way->turns;
	i = side->cursor;
	while (i < side->row_count && side->rows[i].state != WRITTEN && (side->rows[i].state != DURABLE || side->rows[i].read))
		i++;
	if (i == side->row_count || side->rows[i].state == WRITTEN || way->lanes.up == 0)
		return;
	side->cursor = i + 1;
	sink = side->rows[i].role == XF_SPOOLED_AUTHORITY ? xf_lanes_target(&way->lanes, (uint16_t)side->rows[i].bucket) : s;
	if (!xf_lanes_sink_is_up(&way->lanes, (uint16_t)side->rows[i].bucket, sink))
		return;
	side->rows[i].read = true;
	deliver(way, side->rows[i].message, i);
}

static void
way_return(struct way *way)
{
	struct xf_leg *leg = legs_pop(&way->back);

	if (!leg->to_spool)
		way->out[leg->sink]--;
	xf_lanes_returned(&way->lanes, leg, world.now);
}

static void
way_follow(struct way *way, unsigned s)
{
	struct side *side = &world.sides[s];
	bool was_up = way->lanes.up >> s & 1, aside = side->blocked && !world.calm && random_below(2) == 0;

	if (was_up && (!side->up || way->known[s] != side->generation))
		xf_lanes_pipe(&way->lanes, s, false, world.now);
	else if (!was_up && side->up && way->out[s] == 0) {
		way->known[s] = side->generation;
		way->turns++;
		xf_lanes_pipe(&way->lanes, s, true, world.now);
	}
	if (way != &world.ways[INLET] || aside == way->aside[s])
		return;
	way->aside[s] = aside;
	xf_lanes_aside(&way->lanes, s, !aside ? XF_ASIDE_NOTHING : random_below(2) == 0 ? XF_ASIDE_QUEUED : XF_ASIDE_ALL, world.now);
}

static void
ways_set(bool force)
{
	for (unsigned w = 0; w < WAYS; w++) {
		xf_lanes_set(&world.ways[w].lanes, world.percent, w == INLET ? world.mirror : XF_MIRROR_OFF, world.now);
		world.ways[w].turns++;
		if (force)
			xf_lanes_force(&world.ways[w].lanes, world.now);
	}
}

static void
source_emit(void)
{
	for (unsigned i = 0; i <= world.next && i < MESSAGES; i++) {
		if (world.acked[i] || world.under_way[i])
			continue;
		world.under_way[i] = true;
		if (i == world.next)
			world.next++;
		deliver(&world.ways[INLET], i, 0);
		return;
	}
}

static void
ways_start(void)
{
	for (unsigned w = 0; w < WAYS; w++) {
		struct way *way = &world.ways[w];

		*way = (struct way){.back = {.count = 0}};
		xf_lanes_init(&way->lanes, &ops, way,
		              &(struct xf_destination){.to = XF_TO_MIGRATION, .sink_count = SIDES, .percent = world.percent,
		                                       .mirror = w == INLET ? world.mirror : XF_MIRROR_OFF}, XF_ORDER_LANE);
		for (unsigned s = 0; s < SIDES; s++) {
			xf_lanes_add_sink(&way->lanes, 1, false);
			if (w == INLET)
				xf_lanes_add_spool(&way->lanes, false, world.now);
		}
	}
}

/* What was being written may be there or not, and what was done is there again where its removal was not committed. */
static void
ways_end(void)
{
	for (unsigned w = 0; w < WAYS; w++)
		world.ways[w].lanes.shut = true;
	for (unsigned s = 0; s < SIDES; s++) {
		struct side *side = &world.sides[s];
		bool up = side->up, lost = random_below(2) == 0;

		sink_break(side);
		side->up = up;
		for (unsigned i = 0; i < side->row_count; i++) {
			struct row *row = &side->rows[i];

			if (row->leg != NULL)
				leg_back(row->leg, XF_RESULT_NOT_SENT, false);
			row->state = row->state == WRITTEN && lost ? REMOVED : row->state == REMOVED ? REMOVED : DURABLE;
			row->leg = NULL;
		}
	}
	for (unsigned w = 0; w < WAYS; w++) {
		while (world.ways[w].back.count > 0)
			way_return(&world.ways[w]);
		xf_lanes_fini(&world.ways[w].lanes);
	}
}

static void
kill_and_start(void)
{
	ways_end();
	world.kills++;
	memset(world.under_way, 0, sizeof(world.under_way));
	for (unsigned s = 0; s < SIDES; s++) {
		struct side *side = &world.sides[s];
		unsigned kept = 0;

		for (unsigned i = 0; i < side->row_count; i++)
			if (side->rows[i].state == DURABLE)
				side->rows[kept++] = side->rows[i];
		side->row_count = kept;
		for (unsigned i = 0; i < kept; i++)
			side->rows[i].read = false;
		side->cursor = 0;
	}
	ways_start();
}

static void
step(bool troubled)
{
	struct side *side = &world.sides[random_below(SIDES)];
	struct way *way = &world.ways[random_below(WAYS)];
	unsigned s = (unsigned)(side - world.sides);

	switch (random_below(troubled ? 26 : 20)) {
	case 0:
	case 1:
	case 2:
		source_emit();
		break;
	case 3:
	case 4:
	case 5:
		if (side->queue.count > 0 && !side->blocked)
			sink_offer(side);
		break;
	case 6:
	case 7:
	case 8:
		if (side->taken.count > 0 && !side->blocked) {
			struct xf_leg *leg = legs_pop(&side->taken);

			broker_store(leg);
			leg_back(leg, XF_RESULT_STORED, false);
		}
		break;
	case 9:
	case 10:
	case 11:
	case 12:
		if (way->back.count > 0)
			way_return(way);
		break;
	case 13:
	case 14:
		spool_commit(side);
		break;
	case 15:
	case 16:
		spool_read(s);
		break;
	case 17:
		way_follow(way, s);
		break;
	case 18:
		world.now += 1 + random_below(600);
		xf_lanes_tick(&way->lanes, world.now);
		break;
	case 19:
		if (side->up)
			side->blocked = troubled && random_below(3) == 0;
		else
			side->up = !troubled || random_below(3) == 0;
		break;
	case 20:
	case 21:
		if (side->up && random_below(3) == 0)
			sink_break(side);
		break;
	case 22:
	case 23:
		world.percent = 50 * random_below(3);
		world.percent = world.percent == 100 ? 10000 : world.percent;
		world.mirror = world.calm ? world.mirror : random_below(3);
		ways_set(!world.calm && random_below(3) == 0);
		break;
	case 24:
		if (!world.calm && random_below(4) == 0)
			kill_and_start();
		break;
	}
}

static bool
is_at_rest(void)
{
	bool rest = world.next == MESSAGES;

	for (unsigned i = 0; i < MESSAGES; i++)
		rest = rest && world.acked[i];
	for (unsigned s = 0; s < SIDES; s++)
		for (unsigned i = 0; i < world.sides[s].row_count; i++)
			rest = rest && world.sides[s].rows[i].state == REMOVED;
	return rest;
}

static void
walk(void)
{
	memset(&world, 0, sizeof(world));
	world.now = 1000;
	world.calm = random_below(2) == 0;
	world.mirror = random_below(3);
	ways_start();
	for (unsigned i = 0; i < STEPS; i++)
		step(true);
	for (unsigned i = 0; !is_at_rest(); i++) {
		CHECK(i < 1000000);
		step(false);
	}
	for (unsigned i = 0; i < MESSAGES; i++)
		CHECK(world.stored[i]);
	for (unsigned w = 0; w < WAYS; w++)
		CHECK(world.ways[w].lanes.open == 0);
	ways_end();
}

static void
nothing_is_lost_or_passed(void **state)
{
	const char *given = getenv("XF_TEST_SEED");
	uint64_t first = given != NULL ? strtoull(given, NULL, 10) : xf_now_ns() % 1000000000;
	unsigned kills = 0;

	(void)state;
	print_message("XF_TEST_SEED=%llu\n", (unsigned long long)first);
	for (seed = first; seed < first + (given != NULL ? 1 : WALKS); seed++) {
		random_state = seed * 0x9e3779b97f4a7c15u | 1;
		walk();
		kills += world.kills;
	}
	print_message("%u messages, %u kills\n", WALKS * MESSAGES, kills);
}

/* ---- By hand ------------------------------------------------------------------------------------------------ */

static void
begin(uint32_t percent)
{
	memset(&world, 0, sizeof(world));
	world.now = 1000;
	world.percent = percent;
}

/* A durable record of MESSAGE, which its source was answered for. */
static struct row *
spooled_put(unsigned side, unsigned message)
{
	struct row *row = &world.sides[side].rows[world.sides[side].row_count++];

	*row = (struct row){.state = DURABLE, .message = message};
	world.acked[message] = true;
	world.next = message + 1;
	return row;
}

static void
side_up(unsigned side)
{
	world.sides[side].up = true;
	way_follow(&world.ways[INLET], side);
}

/* All that it holds has been delivered, but a crash would find it again: behind that, not on the other side, is the place of what comes. */
static void
a_lane_leaves_a_spool_when_it_is_off_the_disk(void **state)
{
	struct xf_lanes *lanes = &world.ways[INLET].lanes;
	struct row *row;

	(void)state;
	begin(10000);
	row = spooled_put(0, 0);
	ways_start();
	row->state = DONE;
	world.stored[0] = true;
	side_up(1);
	source_emit();
	xf_lanes_tick(lanes, world.now);
	assert_int_equal(world.sides[1].queue.count, 0);
	assert_int_equal(lanes->moving_count, 1);
	row->state = REMOVED;
	xf_lanes_tick(lanes, world.now);
	assert_int_equal(world.sides[1].queue.count, 1);
	assert_int_equal(lanes->moving_count, 0);
	ways_end();
}

/* What is new waits until one of them is empty of its lane: put behind the wrong one it would pass what is in the other. */
static void
a_lane_found_in_both_spools_waits(void **state)
{
	struct xf_lanes *lanes = &world.ways[INLET].lanes;
	struct row *other;

	(void)state;
	begin(0);
	spooled_put(0, 0);
	other = spooled_put(1, 1);
	ways_start();
	source_emit();
	world.now += 1000;
	xf_lanes_tick(lanes, world.now);
	assert_int_equal(world.sides[0].row_count, 1);
	assert_int_equal(world.sides[1].row_count, 1);
	other->state = REMOVED;
	world.now += 1000;
	xf_lanes_tick(lanes, world.now);
	assert_int_equal(world.sides[0].row_count, 2);
	assert_int_equal(world.sides[1].row_count, 1);
	ways_end();
}

/* What a mirror has put there is for that side alone: the lane stands where it is to be, and may be turned. */
static void
a_spooled_copy_is_no_authority(void **state)
{
	struct xf_lanes *lanes = &world.ways[INLET].lanes;
	struct row *copy;

	(void)state;
	begin(0);
	copy = spooled_put(1, 0);
	copy->role = XF_SPOOLED_COPY;
	copy->sink = 1;
	ways_start();
	side_up(0);
	xf_lanes_set(lanes, 0, XF_MIRROR_ON, world.now);
	world.now += 1000;
	source_emit();
	xf_lanes_tick(lanes, world.now);
	assert_int_equal(lanes->moving_count, 0);
	assert_int_equal(world.sides[0].queue.count, 1);
	assert_int_equal(world.sides[0].queue.at[0]->role, XF_SPOOLED_AUTHORITY);
	assert_int_equal(world.sides[1].row_count, 2);
	assert_int_equal(world.sides[1].rows[1].role, XF_SPOOLED_COPY);
	ways_end();
}

/* The sink was offered both and gave the first back, the second not yet: taken back alone that would come behind. */
static void
what_follows_is_set_aside_too(void **state)
{
	struct side *side = &world.sides[0];

	(void)state;
	begin(0);
	ways_start();
	side_up(0);
	source_emit();
	source_emit();
	assert_int_equal(side->queue.count, 2);
	side->queue.at[1]->state = XF_LEG_TAKEN;
	xf_lanes_aside(&world.ways[INLET].lanes, 0, XF_ASIDE_QUEUED, world.now);
	assert_int_equal(side->row_count, 2);
	assert_int_equal(side->rows[0].message, 0);
	assert_int_equal(side->rows[1].message, 1);
	ways_end();
}

/* A hand-over that is forced while something is not off the disk yet goes on as soon as it is, past a sink that is up and does not answer. */
static void
what_is_forced_stays_so(void **state)
{
	struct row *row;

	(void)state;
	begin(10000);
	row = spooled_put(1, 0);
	ways_start();
	row->state = DONE;
	world.stored[0] = true;
	side_up(0);
	side_up(1);
	source_emit();
	assert_int_equal(world.sides[1].queue.count, 1);
	world.percent = 0;
	ways_set(true);
	assert_int_equal(world.sides[0].queue.count, 0);
	row->state = REMOVED;
	xf_lanes_tick(&world.ways[INLET].lanes, world.now);
	assert_int_equal(world.sides[0].queue.count, 1);
	assert_int_equal(world.sides[1].queue.count, 1);
	assert_int_equal(world.ways[INLET].lanes.moving_count, 0);
	ways_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_spooled_copy_is_no_authority),
		cmocka_unit_test(a_lane_leaves_a_spool_when_it_is_off_the_disk),
		cmocka_unit_test(a_lane_found_in_both_spools_waits),
		cmocka_unit_test(what_follows_is_set_aside_too),
		cmocka_unit_test(what_is_forced_stays_so),
		cmocka_unit_test(nothing_is_lost_or_passed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
