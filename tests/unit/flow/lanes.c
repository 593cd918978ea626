/*
 * Explores the lane state machine. A small world (a few messages in one or two lanes, up to three sinks that behave as
 * flow/sink.c does, brokers that store, refuse, lose and forget to answer) is taken through every order of events that
 * a budget of faults and commands allows: all states that can be reached, each once, with the invariants of DESIGN
 * section 3 checked after every event. From every state the world is also brought to rest (all must be
 * settled, counted and given back), and rolled back with the new side silent (all must be settled by the old one
 * alone). Random walks then go where the budgets do not: more messages, more faults, and the heap's own memory, so
 * that sanitizers see what is used late or leaked.
 *
 * A state must be cheap to copy, so lanes.c is included here, with its memory taken from the world itself.
 *
 * Seen to fail, each with one line of lanes.c broken: held messages overtaken or out of order; a hand-over, or an
 * acceptance, that does not wait; a working side robbed of what it holds; a dead one waited for; a force that forgets
 * what is under way, leaves it in the queue, or takes what may be stored for unsent; a required copy not waited for,
 * not made or made twice, one that is not required waited for; a settlement before the confirmation, after an unknown
 * outcome, or none after a refusal; a release too early or never; crossings counted on the wrong side or not at all;
 * delays that do not pass, grow or start anew, ticks asked for too late or never; bits, lists and bounds forgotten.
 * Of several sinks: one of `any` that settles too late, or leaves what others hold or have under way; a refusal told too
 * early, not at all, or without its reason; one of `all` not waited for, forgotten or marked as a copy; a bound of
 * `first` forgotten; a bucket that goes to another part or connection. Of the orders: more than one under way in `strict`,
 * a lane of `none` that stops. In place: what is published all the same, or counted as standing on one side only.
 *
 * XF_TEST_SEED=N repeats a random run, XF_TEST_SCALE=PERCENT its length; under sanitizers all is smaller.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/memory.h"
#include "flow/lanes.h"

static void *world_alloc(size_t size);
static void *world_alloc_array(size_t count, size_t size);
static void world_free(void *memory);
static _Noreturn void violation(const char *format, ...) __attribute__((format(printf, 1, 2)));

#undef XF_ASSERT
#define XF_ASSERT(condition) ((condition) ? (void)0 : violation("assertion: %s (lanes.c:%d)", #condition, __LINE__))
#define xf_alloc(size) world_alloc(size)
#define xf_alloc_array(count, size) world_alloc_array(count, size)
#define free(memory) world_free(memory)
#include "flow/lanes.c"
#undef free

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define SINKS 3 /* at most, and as many pipes */
#define MESSAGES_MAX 12
#define LEGS_MAX 64 /* on their way to or from one sink */
#define PATH_MAX_EVENTS 4096
#define CELLS 20
#define CELL_SIZE 656
#define PAGE_SIZE_MAX (XF_LANE_PAGE * (sizeof(struct xf_lane) + SINKS * sizeof(struct xf_lane_sink)))
#define TICK_MS 5001 /* past every retry delay and the hand-over time-out */

#define CHECK(condition) ((condition) ? (void)0 : violation("%s (line %d)", #condition, __LINE__))

/* ---- The world --------------------------------------------------------------------------- */

/* What a broker made of a leg that it was sent. */
enum verdict {
	PENDING,     /* nothing yet */
	STORED,      /* and says so */
	STORED_MUTE, /* and the answer is lost */
	LOST,        /* on its way; later ones may have got through */
	BROKEN,      /* with the connection, and so were all later ones */
	REFUSED,     /* for the moment */
	REJECTED,    /* for good */
	UNSENT,      /* given back by the sink */
	FAILED,      /* taken and worked on in vain; by hand only */
	VERDICTS,
};

struct transit {
	struct xf_leg *leg;
	enum verdict verdict;
};

struct transits {
	struct transit at[LEGS_MAX];
	unsigned count;
};

/* A pipe: a connection of a sink. */
struct side {
	struct transits queue, taken, inbox;
	uint32_t generation, known; /* the sink's; what the inlet has seen */
	bool up;
};

struct sink {
	uint64_t confirmed, refused; /* as returned */
	uint64_t crossed_max;        /* crossings of what was once taken here */
};

struct message {
	struct xf_delivery *delivery;
	uint8_t lane;
	bool accepted, dispatched, settled, released;
	bool authority_done;   /* its leg came back stored or rejected */
	bool both;             /* the mirror is required, and was since it was dispatched */
	bool unknown;          /* once completed so */
	bool crossed;          /* to the other side, once at least */
	bool loose;            /* has a copy that nobody waits for */
	bool told;             /* that it was refused */
	uint8_t heard, denied; /* sinks, as bits, that came back stored; rejected */
	bool taken[SINKS];     /* once, as authority */
	bool rejected[SINKS];
	uint8_t stands[SINKS]; /* times stored, as itself */
	uint8_t copies[SINKS]; /* and as copy */
	uint16_t excused;      /* later ones that may stand before it, over all sinks */
	uint16_t excused_at[SINKS];
};

struct setting {
	uint32_t percent;
	enum xf_mirror mirror;
};

struct scenario {
	const char *name;
	unsigned sides; /* pipes */
	unsigned messages;
	enum xf_to to;
	unsigned sinks; /* 0: a migration has two, else as many as pipes */
	enum xf_require require;
	enum xf_order order;
	bool in_place;
	const char *lanes; /* of each message, '0' or '1' */
	struct setting start;
	struct setting settings[4];
	unsigned setting_count;
	unsigned sets, forces, faults, downs; /* how many of them */
	unsigned window;                      /* what a plugin takes at once */
	bool any_order;                       /* in which it completes */
	bool drop_when_down;
	bool new_down; /* at first */
	uint32_t loose_max;                   /* 0: any */
	uint64_t loose_bytes_max;
};

static struct world {
	struct xf_lanes lanes;
	struct side sides[SINKS];
	struct sink sinks[SINKS];
	struct message messages[MESSAGES_MAX];
	unsigned accepted, sets, forces, faults, downs;
	uint64_t now;
	uint64_t dropped_before; /* this event */
	bool alive[CELLS];
	bool page_alive, sinks_alive;
	unsigned cells; /* used so far; those after them need not be copied */
	_Alignas(16) unsigned char page[PAGE_SIZE_MAX];
	_Alignas(16) unsigned char sinks_memory[SINKS * sizeof(struct xf_lanes_sink)];
	_Alignas(16) unsigned char cells_memory[CELLS][CELL_SIZE];
} world;

static const struct scenario *scenario;
static bool on_heap; /* random walks: memory is the heap's */
static long heap_blocks;

static bool
is_migration(void)
{
	return scenario->to == XF_TO_MIGRATION;
}

static bool
is_any(void)
{
	return scenario->to == XF_TO_ALL && scenario->require == XF_REQUIRE_ANY;
}

static unsigned
sink_count(void)
{
	return scenario->sinks > 0 ? scenario->sinks : is_migration() ? 2 : scenario->sides;
}

/* ---- What went wrong, and how it came to it --------------------------------------------------- */

enum kind { ACCEPT, OFFER, PROCESS, COMPLETE, DELIVER, DOWN, UP, NOTICE, SET, FORCE, ROLLBACK, TICK };

struct event {
	uint8_t kind, side, what;
};

static struct event path[PATH_MAX_EVENTS];
static unsigned path_length;
static uint64_t seed;

static _Noreturn void
violation(const char *format, ...)
{
	static const char *const kinds[] = {"accept", "offer",  "process", "complete", "deliver",  "down",
	                                    "up",     "notice", "set",     "force",    "rollback", "tick"};
	static const char *const verdicts[] = {"", "stored", "stored-mute", "lost", "broken", "refused", "rejected", ""};
	char text[300];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	print_error("%s: %s\nseed %llu, after:", scenario != NULL ? scenario->name : "", text, (unsigned long long)seed);
	for (unsigned i = 0; i < path_length; i++) {
		const struct event *event = &path[i];

		print_error(" %s", kinds[event->kind]);
		if (event->kind == SET)
			print_error("(%u,%s)", scenario->settings[event->what].percent / 100,
			            (const char *const[]){"off", "on", "required"}[scenario->settings[event->what].mirror]);
		else if (event->kind == PROCESS)
			print_error("(%u,%s)", event->side, verdicts[event->what]);
		else if (event->kind >= OFFER && event->kind <= NOTICE)
			print_error("(%u,%u)", event->side, event->what);
	}
	print_error("\n");
	fail();
	abort();
}

/* ---- Memory ------------------------------------------------------------------------------------ */

static void *
world_alloc(size_t size)
{
	if (on_heap) {
		heap_blocks++;
		return (xf_alloc)(size);
	}
	CHECK(size <= CELL_SIZE);
	for (unsigned i = 0; i < CELLS; i++) {
		if (world.alive[i])
			continue;
		world.alive[i] = true;
		if (world.cells < i + 1)
			world.cells = i + 1;
		return memset(world.cells_memory[i], 0, CELL_SIZE);
	}
	violation("out of cells: a leak");
}

/* The page of the lanes, and the sinks. */
static void *
world_alloc_array(size_t count, size_t size)
{
	bool *alive = size == sizeof(struct xf_lanes_sink) ? &world.sinks_alive : &world.page_alive;
	unsigned char *memory = size == sizeof(struct xf_lanes_sink) ? world.sinks_memory : world.page;

	if (on_heap) {
		heap_blocks++;
		return (xf_alloc_array)(count, size);
	}
	CHECK(!*alive && count * size <= (memory == world.page ? sizeof(world.page) : sizeof(world.sinks_memory)));
	*alive = true;
	return memset(memory, 0, count * size);
}

/* What is used afterwards shows as nonsense. */
static void
world_free(void *memory)
{
	size_t at = (size_t)((unsigned char *)memory - world.cells_memory[0]);

	if (memory == NULL)
		return;
	if (on_heap) {
		heap_blocks--;
		free(memory);
		return;
	}
	if (memory == world.page || memory == world.sinks_memory) {
		bool *alive = memory == world.page ? &world.page_alive : &world.sinks_alive;

		CHECK(*alive);
		*alive = false;
		return;
	}
	CHECK((unsigned char *)memory >= world.cells_memory[0] && at < sizeof(world.cells_memory) && at % CELL_SIZE == 0);
	CHECK(world.alive[at / CELL_SIZE]);
	world.alive[at / CELL_SIZE] = false;
	memset(memory, 0xDD, CELL_SIZE);
}

static long
blocks_alive(void)
{
	long count = world.page_alive + world.sinks_alive;

	for (unsigned i = 0; i < CELLS; i++)
		count += world.alive[i];
	return on_heap ? heap_blocks : count;
}

/* ---- Legs on their way ---------------------------------------------------------------------------- */

static void
transits_push(struct transits *list, struct xf_leg *leg, enum verdict verdict)
{
	CHECK(list->count < LEGS_MAX);
	list->at[list->count++] = (struct transit){leg, verdict};
}

static struct transit
transits_take(struct transits *list, unsigned index)
{
	struct transit transit = list->at[index];

	list->count--;
	memmove(&list->at[index], &list->at[index + 1], (list->count - index) * sizeof(list->at[0]));
	return transit;
}

static unsigned
index_of(const struct xf_delivery *delivery)
{
	return (unsigned)delivery->handle;
}

typedef bool transit_test(const struct transit *transit, const void *context);

/* How many legs between inlet and sink, both ways, pass the test. */
static unsigned
transits_count(unsigned side, transit_test *test, const void *context)
{
	const struct side *s = &world.sides[side];
	const struct transits *lists[] = {&s->queue, &s->taken, &s->inbox};
	unsigned count = 0;

	for (unsigned l = 0; l < 3; l++)
		for (unsigned i = 0; i < lists[l]->count; i++)
			count += test(&lists[l]->at[i], context);
	return count;
}

static bool
is_leg(const struct transit *transit, const void *leg)
{
	return transit->leg == leg;
}

static bool
is_of_delivery(const struct transit *transit, const void *delivery)
{
	return transit->leg->delivery == delivery;
}

struct lane_at {
	const struct xf_lane *lane;
	unsigned sink;
};

static bool
is_under_way(const struct transit *transit, const void *context)
{
	const struct lane_at *at = context;

	return !transit->leg->abandoned && transit->leg->delivery->lane == at->lane && transit->leg->sink == at->sink;
}

static bool
is_authority_of(const struct transit *transit, const void *delivery)
{
	return !transit->leg->abandoned && !transit->leg->copy && transit->leg->delivery == delivery;
}

static bool
is_loose_to(const struct transit *transit, const void *sink)
{
	return transit->leg->need == XF_NEED_NOT && !transit->leg->abandoned && transit->leg->sink == *(const unsigned *)sink;
}

/* Over all pipes. */
static unsigned
transits_sum(transit_test *test, const void *context)
{
	unsigned count = 0;

	for (unsigned pipe = 0; pipe < SINKS; pipe++)
		count += transits_count(pipe, test, context);
	return count;
}

/* To be stored in this order, whatever fails. */
static bool
is_strict(void)
{
	return scenario->order == XF_ORDER_STRICT;
}

static bool
stands_at(const struct message *message, unsigned side)
{
	return message->stands[side] + message->copies[side] > 0;
}

static bool
has_failed(const struct transit *transit)
{
	return transit->verdict == LOST || transit->verdict == REFUSED || transit->verdict == REJECTED;
}

static void
excuse(const struct xf_leg *leg, unsigned later)
{
	struct message *message = &world.messages[index_of(leg->delivery)];

	if (is_strict())
		return;
	if (!leg->copy)
		message->excused |= (uint16_t)(1u << later);
	message->excused_at[leg->sink] |= (uint16_t)(1u << later);
}

/*
 * The exception of invariant 2: LEG was tried and its message does not stand there, and what of its lane is
 * out or stands there by then may come before it; so may what is sent until the inlet hears of it, and nothing else.
 */
static void
excuse_what_is_out(const struct xf_leg *leg)
{
	unsigned i = index_of(leg->delivery);

	for (unsigned j = i + 1; j < world.accepted; j++) {
		const struct message *other = &world.messages[j];

		if (other->lane == world.messages[i].lane &&
		    (stands_at(other, leg->sink) ||
		     (!other->released && transits_count(leg->pipe, is_of_delivery, other->delivery) > 0)))
			excuse(leg, j);
	}
}

static void
excuse_what_is_sent(const struct xf_leg *leg)
{
	const struct side *s = &world.sides[leg->pipe];
	const struct transits *lists[] = {&s->taken, &s->inbox};

	for (unsigned l = 0; l < 2; l++)
		for (unsigned i = 0; i < lists[l]->count; i++) {
			const struct xf_leg *other = lists[l]->at[i].leg;

			if (has_failed(&lists[l]->at[i]) && other->delivery->lane == leg->delivery->lane &&
			    other->delivery->sequence < leg->delivery->sequence)
				excuse(other, index_of(leg->delivery));
		}
}

static uint64_t
dropped_total(void)
{
	uint64_t sum = 0;

	for (unsigned sink = 0; sink < sink_count(); sink++)
		sum += xf_read(&world.lanes.sinks[sink].counters.dropped);
	return sum;
}

/* ---- What lanes.c calls --------------------------------------------------------------------------- */

static bool
lane_holds_earlier(const struct xf_lane *lane, unsigned sink, uint64_t sequence)
{
	return lane_holds(lane, sink) && lane->held->at[sink].list.first->delivery->sequence < sequence;
}

/* Where a leg of LANE to SINK has to go. */
static unsigned
pipe_of(unsigned lane, unsigned sink)
{
	if (sink_count() < scenario->sides) /* the connections of one sink */
		return (lane == 0 ? 0 : 99) % scenario->sides;
	return sink - scenario->in_place;
}

static void
world_send(void *context, struct xf_leg *leg)
{
	unsigned sink = leg->sink, i = index_of(leg->delivery);
	const struct message *message = &world.messages[i];
	const struct xf_lane *lane = leg->delivery->lane;

	CHECK(context == &world);
	CHECK(message->accepted && !message->released && leg->delivery == message->delivery);
	CHECK(sink < sink_count() && !(scenario->in_place && sink == 0));
	CHECK(leg->pipe == pipe_of(message->lane, sink));
	CHECK(scenario->to != XF_TO_SPLIT || sink == message->lane);
	CHECK(world.lanes.up >> leg->pipe & 1);
	CHECK(atomic_load(&leg->state) == XF_LEG_QUEUED && !leg->abandoned && !leg->held);
	CHECK(transits_sum(is_leg, leg) == 0);
	CHECK(scenario->order == XF_ORDER_NONE || !lane_holds_earlier(lane, sink, leg->delivery->sequence));
	CHECK(!is_strict() || transits_sum(is_under_way, &(struct lane_at){lane, sink}) == 0);
	CHECK(!leg->copy || is_migration());
	/* Nobody tries again for one that nobody waits for. */
	CHECK(leg->need != XF_NEED_NOT || leg->attempts == 0);
	if (!leg->copy && scenario->to != XF_TO_ALL) {
		CHECK(leg->delivery->authority == leg);
		CHECK(transits_sum(is_authority_of, leg->delivery) == 0);
		/* Nothing of the lane goes to this side while an earlier one is open on the other. */
		for (unsigned j = 0; is_migration() && !scenario->in_place && j < i; j++) {
			const struct message *other = &world.messages[j];

			if (other->lane == message->lane && !other->released)
				CHECK(transits_count(!sink, is_authority_of, other->delivery) == 0);
		}
	}
	excuse_what_is_sent(leg);
	leg->generation = world.sides[leg->pipe].known;
	transits_push(&world.sides[leg->pipe].queue, leg, PENDING);
}

/* Whether MESSAGE, of a destination with several sinks, has what it needs to be settled. */
static bool
all_is_done(const struct message *message)
{
	uint8_t over = message->heard | message->denied, every = (uint8_t)((1u << sink_count()) - 1);

	if (scenario->require == XF_REQUIRE_FIRST)
		return over & 1;
	return over == every || (scenario->require == XF_REQUIRE_ANY && message->heard != 0);
}

/* Whether the source has to hear that it was refused. */
static bool
all_is_refused(const struct message *message)
{
	if (scenario->require == XF_REQUIRE_FIRST)
		return message->denied & 1;
	return message->denied != 0 && (scenario->require == XF_REQUIRE_ALL || message->heard == 0);
}

static void
world_settle(void *context, struct xf_delivery *delivery)
{
	unsigned i = index_of(delivery);
	struct message *message = &world.messages[i];
	bool dropped = scenario->drop_when_down && dropped_total() > world.dropped_before;
	bool both = message->dispatched ? message->both : world.lanes.destination.mirror == XF_MIRROR_REQUIRED;

	CHECK(context == &world);
	CHECK(message->accepted && !message->settled && !message->released);
	CHECK(!delivery->open);
	message->settled = true;
	if (scenario->to == XF_TO_ALL) {
		CHECK(all_is_done(message) || (scenario->drop_when_down && dropped_total() > 0));
		CHECK(message->told == all_is_refused(message));
		return;
	}
	CHECK(message->authority_done || scenario->drop_when_down || scenario->in_place);
	CHECK(message->stands[0] + message->stands[1] > 0 || message->rejected[0] || message->rejected[1] || dropped ||
	      (scenario->drop_when_down && both));
	for (unsigned sink = 0; sink < XF_SIDES && both && !scenario->drop_when_down; sink++)
		CHECK(stands_at(message, sink) || message->rejected[sink]);
}

static void
world_refused(void *context, struct xf_delivery *delivery, const struct xf_leg *leg)
{
	CHECK(context == &world);
	CHECK(delivery->open && world.messages[index_of(delivery)].delivery == delivery);
	CHECK(leg->delivery == delivery || (leg->delivery == NULL && is_any()));
	CHECK(leg_was_refused(&world.lanes, leg) && !leg->abandoned);
	CHECK(!on_heap || leg->reason != NULL);
	CHECK(!is_any() || !world.messages[index_of(delivery)].told);
	world.messages[index_of(delivery)].told = true;
}

static bool
lane_holds_delivery(const struct xf_lane *lane, const struct xf_delivery *delivery)
{
	for (unsigned sink = 0; sink < sink_count() && lane->held != NULL; sink++)
		for (const struct xf_leg *leg = lane->held->at[sink].list.first; leg != NULL; leg = leg_next(leg))
			if (leg->delivery == delivery)
				return true;
	return false;
}

static size_t
legs_size(void)
{
	return (xf_destination_legs_max(&world.lanes.destination) - 1) * sizeof(struct xf_leg);
}

static void
world_release(void *context, struct xf_delivery *delivery)
{
	struct message *message = &world.messages[index_of(delivery)];

	CHECK(context == &world);
	CHECK(message->settled && !message->released);
	CHECK(transits_sum(is_of_delivery, delivery) == 0);
	CHECK(!lane_holds_delivery(delivery->lane, delivery));
	message->released = true;
	message->delivery = NULL;
	world_free((char *)delivery - legs_size());
}

static const struct xf_lanes_ops world_ops = {
	.send = world_send, .settle = world_settle, .refused = world_refused, .release = world_release};

/* ---- Brokers --------------------------------------------------------------------------------------- */

static bool
given_up(const struct message *message)
{
	return message->rejected[0] || message->rejected[1] || scenario->drop_when_down;
}

/* The message stands there from now on: was it to be before all that stand there already? */
static void
broker_store(unsigned sink, const struct xf_leg *leg)
{
	unsigned i = index_of(leg->delivery);
	struct message *message = &world.messages[i];
	bool first = message->stands[0] + message->stands[1] == 0 && is_migration();
	bool first_here = !stands_at(message, sink);

	for (unsigned j = i + 1; j < world.accepted && scenario->order != XF_ORDER_NONE; j++) {
		const struct message *other = &world.messages[j];

		if (other->lane != message->lane)
			continue;
		/* Order, over both sides; what was forced away and then refused for good or dropped has no place in it. */
		if (!leg->copy && first && other->stands[0] + other->stands[1] > 0 && !(leg->abandoned && given_up(message)))
			CHECK(message->excused >> j & 1);
		if (first_here && !message->crossed && !other->crossed && stands_at(other, sink))
			CHECK(message->excused_at[sink] >> j & 1); /* order at this sink, copies too */
	}
	if (leg->copy) {
		CHECK(message->copies[sink] == 0 || message->unknown || message->loose);
		message->copies[sink]++;
	} else {
		CHECK(message->stands[sink] == 0 || message->unknown || message->crossed);
		message->stands[sink]++;
	}
}

static bool
is_processed(enum verdict verdict)
{
	return verdict != PENDING;
}

static unsigned
first_pending(const struct transits *taken)
{
	unsigned i = 0;

	while (i < taken->count && is_processed(taken->at[i].verdict))
		i++;
	return i;
}

static void
leg_complete(unsigned side, struct transit transit)
{
	static const uint32_t results[] = {
		[STORED] = XF_RESULT_STORED,    [STORED_MUTE] = XF_RESULT_UNKNOWN, [LOST] = XF_RESULT_UNKNOWN,
		[BROKEN] = XF_RESULT_UNKNOWN,   [REFUSED] = XF_RESULT_NOT_SENT,    [REJECTED] = XF_RESULT_REJECTED,
		[UNSENT] = XF_RESULT_NOT_SENT,  [FAILED] = XF_RESULT_FAILED,
	};
	struct xf_leg *leg = transit.leg;

	leg->result = results[transit.verdict];
	leg->result_flags = 0;
	leg->bounced = leg->down = transit.verdict == UNSENT;
	if (on_heap && leg->result != XF_RESULT_STORED && !leg->bounced) {
		world_free(leg->reason);
		leg->reason = world_alloc(16);
	}
	transits_push(&world.sides[side].inbox, leg, transit.verdict);
}

static void
sink_offer(unsigned side)
{
	struct side *s = &world.sides[side];
	struct transit transit = transits_take(&s->queue, 0);
	uint32_t state = XF_LEG_QUEUED;

	if (!s->up || transit.leg->generation != s->generation ||
	    !atomic_compare_exchange_strong(&transit.leg->state, &state, XF_LEG_TAKEN)) {
		leg_complete(side, (struct transit){transit.leg, UNSENT});
		return;
	}
	if (!transit.leg->copy)
		world.messages[index_of(transit.leg->delivery)].taken[transit.leg->sink] = true;
	transits_push(&s->taken, transit.leg, PENDING);
}

static void
sink_process(unsigned side, unsigned index, enum verdict verdict)
{
	struct transit *transit = &world.sides[side].taken.at[index];
	unsigned i = index_of(transit->leg->delivery);

	transit->verdict = verdict;
	if (verdict == STORED || verdict == STORED_MUTE)
		broker_store(transit->leg->sink, transit->leg);
	else
		excuse_what_is_out(transit->leg);
	if (verdict == REJECTED)
		world.messages[i].rejected[transit->leg->sink] = true;
	if (verdict == STORED_MUTE || verdict == LOST)
		world.messages[i].unknown = true;
}

/*
 * The connection breaks. The broker got the first KEPT of those that it had not answered, and the plugin heard of that
 * if HEARD. What it got came in order, so nothing is excused.
 */
static void
sink_down(unsigned side, unsigned kept, bool heard)
{
	struct side *s = &world.sides[side];

	for (unsigned i = first_pending(&s->taken); i < s->taken.count; i++) {
		struct transit *transit = &s->taken.at[i];

		if (is_processed(transit->verdict))
			continue;
		if (kept > 0) {
			kept--;
			sink_process(side, i, heard ? STORED : STORED_MUTE);
		} else {
			transit->verdict = BROKEN;
			world.messages[index_of(transit->leg->delivery)].unknown = true;
		}
	}
	while (s->taken.count > 0)
		leg_complete(side, transits_take(&s->taken, 0));
	while (s->queue.count > 0)
		leg_complete(side, (struct transit){transits_take(&s->queue, 0).leg, UNSENT});
	s->generation++;
	s->up = false;
}

/* ---- The inlet ------------------------------------------------------------------------------------------ */

static void
inlet_accept(void)
{
	struct xf_delivery *delivery = (struct xf_delivery *)((char *)world_alloc(legs_size() + sizeof(*delivery)) + legs_size());
	struct message *message = &world.messages[world.accepted];

	delivery->handle = world.accepted++;
	message->delivery = delivery;
	message->accepted = true;
	message->lane = (uint8_t)(scenario->lanes[delivery->handle] - '0');
	message->stands[0] = scenario->in_place;
	delivery->bucket = message->lane == 0 ? 0 : 99; /* on one page; a percent of 50 hundredths moves the first only */
	delivery->payload_size = 10;
	xf_lanes_accept(&world.lanes, delivery, world.now);
}

static void
inlet_deliver(unsigned side)
{
	struct transit transit = transits_take(&world.sides[side].inbox, 0);
	struct xf_leg *leg = transit.leg;
	struct message *message = &world.messages[index_of(leg->delivery)];
	bool last = leg->result == XF_RESULT_FAILED && leg->failures + 1 == world.lanes.retry.attempts;

	message->rejected[leg->sink] = message->rejected[leg->sink] || last;
	if (!leg->abandoned && (leg->result == XF_RESULT_STORED || leg->result == XF_RESULT_REJECTED || last)) {
		if (!leg->copy)
			message->authority_done = true;
		if (leg->result == XF_RESULT_STORED)
			world.sinks[leg->sink].confirmed++;
		else
			world.sinks[leg->sink].refused++;
		*(leg->result == XF_RESULT_STORED ? &message->heard : &message->denied) |= (uint8_t)(1u << leg->sink);
	}
	xf_lanes_returned(&world.lanes, leg, world.now);
}

/* Whether the gate of the sink says something new that may be told. */
static bool
inlet_has_notice(unsigned side)
{
	const struct side *s = &world.sides[side];

	if (world.lanes.up >> side & 1)
		return !s->up || s->generation != s->known;
	return s->up && s->queue.count + s->taken.count + s->inbox.count == 0;
}

static void
inlet_notice(unsigned side)
{
	bool up = !(world.lanes.up >> side & 1);

	if (up)
		world.sides[side].known = world.sides[side].generation;
	xf_lanes_pipe(&world.lanes, side, up, world.now);
}

static void
inlet_set(struct setting setting)
{
	if (setting.mirror != XF_MIRROR_REQUIRED)
		for (unsigned i = 0; i < world.accepted; i++)
			world.messages[i].both = false;
	xf_lanes_set(&world.lanes, setting.percent, setting.mirror, world.now);
}

/* ---- Invariants ------------------------------------------------------------------------------------------- */

static bool
map_has(const _Atomic uint64_t *map, unsigned bucket)
{
	return atomic_load(&map[bucket / 64]) >> (bucket % 64) & 1;
}

static struct xf_lane *
lane_find(unsigned lane)
{
	struct xf_lane *found = (struct xf_lane *)world.lanes.pages[0];

	if (found != NULL && lane == 1)
		found = (struct xf_lane *)(world.lanes.pages[0] + 99 * world.lanes.lane_size);

	return found != NULL && found->made ? found : NULL;
}

/* Returns how many legs LANE holds for SINK; they are in order, and say that they are held. */
static uint64_t
check_held(const struct xf_lane *lane, unsigned sink, unsigned *loose)
{
	const struct leg_list *list = &lane->held->at[sink].list;
	const struct xf_leg *last = NULL;
	uint64_t count = 0;

	for (const struct xf_leg *leg = list->first; leg != NULL; last = leg, leg = leg_next(leg)) {
		CHECK(leg->held && leg->sink == sink && (leg->need != XF_NEED_NOT || is_strict()));
		CHECK(last == NULL || last->delivery->sequence <= leg->delivery->sequence);
		CHECK(transits_sum(is_leg, leg) == 0);
		CHECK(!world.messages[index_of(leg->delivery)].released);
		/* Where no order is kept, only what has failed waits. */
		CHECK(scenario->order != XF_ORDER_NONE || !lane_is_up(&world.lanes, lane, sink) || leg->attempts > 0 ||
		      leg->bounced || scenario->loose_max > 0);
		*loose += leg->need == XF_NEED_NOT;
		count++;
	}
	CHECK(list->last == last);
	return count;
}

static void
check_lane(struct xf_lane *lane, uint64_t *in_flight, uint64_t *held, unsigned *loose)
{
	bool listed = false, any = false, out = false;

	for (const struct xf_lane_held *at = world.lanes.holders; at != NULL; at = at->next)
		listed = listed || at == lane->held;
	CHECK(listed == (lane->held != NULL));
	CHECK(!lane_moves(lane) || lane->held != NULL);
	CHECK(map_has(world.lanes.moving, lane->bucket) == lane_moves(lane));
	CHECK(map_has(world.lanes.stuck, lane->bucket) == lane->stuck);
	CHECK(!lane->stuck || lane_moves(lane));
	/* A lane does not wait for a side that is down and has given back all it had, nor for one where nothing is. */
	CHECK(!lane_moves(lane) || lane->at[lane->sink].under_way > 0 || lane_is_up(&world.lanes, lane, lane->sink));
	CHECK(!lane_moves(lane) || lane->at[lane->sink].under_way > 0 || lane_holds(lane, lane->sink));
	CHECK(map_has(world.lanes.used_map, lane->bucket));
	CHECK(!is_migration() || lane->target == (lane->bucket < world.lanes.destination.percent));
	for (unsigned sink = 0; sink < sink_count(); sink++) {
		uint64_t n = lane->held != NULL ? check_held(lane, sink, &loose[sink]) : 0;
		const struct xf_lane_sink *at = &lane->at[sink];

		CHECK(at->under_way == transits_sum(is_under_way, &(struct lane_at){lane, sink}));
		CHECK(!at->stopped || lane->held != NULL);
		CHECK(!is_strict() || at->under_way <= 1);
		held[sink] += n;
		in_flight[sink] += at->under_way + n;
		any = any || n > 0;
		out = out || at->under_way > 0;
		/* What is held goes on by itself: something is out that comes back, a time, or the pipe that comes up. */
		CHECK(n == 0 || at->under_way > 0 || at->stopped || !lane_is_up(&world.lanes, lane, sink) ||
		      scenario->order == XF_ORDER_NONE);
	}
	if (lane->held != NULL && !lane_moves(lane))
		CHECK(lane->held->waiting_first == NULL);
	/* A structure that has nothing to say is given back. */
	if (lane->held != NULL && !lane_moves(lane) && !out)
		CHECK(any);
}

static void
check(void)
{
	uint64_t in_flight[SINKS] = {0}, held[SINKS] = {0}, on_both = 0, crossed = 0, crossed_max = 0;
	unsigned open = 0, loose[SINKS] = {0};

	for (unsigned l = 0; l < 2; l++)
		if (lane_find(l) != NULL)
			check_lane(lane_find(l), in_flight, held, loose);
	for (unsigned sink = 0; sink < sink_count(); sink++) {
		const struct xf_lanes_sink *at = &world.lanes.sinks[sink];
		const struct xf_leg_counters *c = &at->counters;
		const struct sink *s = &world.sinks[sink];

		CHECK(xf_read(&c->accepted) == xf_read(&c->confirmed) + xf_read(&c->refused) + xf_read(&c->dropped) +
		                                       xf_read(&c->crossed) + xf_read(&c->moved) + in_flight[sink]);
		CHECK(xf_read(&c->held) == held[sink]);
		CHECK(xf_read(&c->confirmed) == s->confirmed || at->pipes == 0);
		CHECK(xf_read(&c->refused) == s->refused);
		crossed += xf_read(&c->crossed);
		crossed_max += s->crossed_max;
		loose[sink] += transits_sum(is_loose_to, &sink);
		CHECK(at->loose_out == loose[sink] && at->loose_bytes_out == loose[sink] * 10);
		CHECK(is_any() || (loose[sink] <= world.lanes.loose_max && loose[sink] * 10 <= world.lanes.loose_bytes_max));
	}
	for (unsigned i = 0; i < world.accepted; i++) {
		const struct message *message = &world.messages[i];

		open += !message->settled;
		on_both += message->stands[0] > 0 && message->stands[1] > 0;
		CHECK(scenario->to != XF_TO_ALL || message->settled == all_is_done(message) || scenario->drop_when_down);
	}
	CHECK(world.lanes.open == open);
	CHECK(!is_migration() || scenario->in_place || on_both <= crossed);
	CHECK(scenario->drop_when_down || scenario->in_place || crossed <= crossed_max);
}

/* What a side alone holds, at rest: what stands there, and nowhere as a copy. */
static void
check_only(void)
{
	uint64_t only[XF_SIDES] = {0, 0};

	for (unsigned i = 0; i < world.accepted; i++) {
		const struct message *message = &world.messages[i];

		if (message->unknown || message->crossed)
			return; /* it may stand where nobody knows of it */
		if (stands_at(message, 0) != stands_at(message, 1))
			only[stands_at(message, 1)]++;
	}
	CHECK(xf_read(&world.lanes.sinks[0].counters.only) == only[0]);
	CHECK(xf_read(&world.lanes.sinks[1].counters.only) == only[1]);
}

static void
check_rest(void)
{
	check();
	for (unsigned i = 0; i < world.accepted; i++)
		CHECK(world.messages[i].settled && world.messages[i].released);
	for (unsigned l = 0; l < 2; l++) {
		const struct xf_lane *lane = lane_find(l);

		CHECK(lane == NULL || (!lane_moves(lane) && (!is_migration() || lane->sink == (lane->bucket < world.lanes.destination.percent))));
		for (unsigned sink = 0; lane != NULL && sink < sink_count(); sink++)
			CHECK(!lane->at[sink].stopped);
	}
	for (unsigned i = 0; i < (XF_BUCKETS + 63) / 64; i++)
		CHECK(world.lanes.moving[i] == 0 && world.lanes.stuck[i] == 0);
	CHECK(world.lanes.holders == NULL && world.lanes.oldest == NULL && world.lanes.newest == NULL);
	for (unsigned sink = 0; sink < sink_count(); sink++)
		CHECK(world.lanes.sinks[sink].loose_out == 0 && world.lanes.sinks[sink].counters.held == 0);
	if (is_migration())
		check_only();
	CHECK(blocks_alive() == 1 + (world.lanes.pages[0] != NULL));
}

/* ---- Events ------------------------------------------------------------------------------------------------ */

/* For each open message the side of its authority leg, for what an event does to it. */
static void
sides_note(int8_t *sides)
{
	for (unsigned i = 0; i < world.accepted; i++) {
		const struct message *message = &world.messages[i];

		sides[i] = message->delivery != NULL && message->delivery->authority != NULL
		                   ? (int8_t)message->delivery->authority->sink
		                   : -1;
	}
}

static void
note_changes(const int8_t *before, unsigned accepted_before, bool forced)
{
	int8_t after[MESSAGES_MAX];

	sides_note(after);
	for (unsigned i = 0; i < world.accepted; i++) {
		struct message *message = &world.messages[i];

		if (i < accepted_before && before[i] >= 0 && after[i] >= 0 && before[i] != after[i]) {
			/* A side that works keeps what it has, unless it is forced. */
			CHECK(forced || !(world.lanes.up >> (before[i] - scenario->in_place) & 1));
			message->crossed = true;
			world.sinks[before[i]].crossed_max += message->taken[before[i]];
		}
		if (!message->dispatched && (message->settled || message->delivery->out > 0)) {
			message->dispatched = true;
			message->both = world.lanes.destination.mirror == XF_MIRROR_REQUIRED;
			message->loose = world.lanes.destination.mirror == XF_MIRROR_ON;
		}
	}
}

static void
apply(struct event event)
{
	struct side *s = &world.sides[event.side];
	int8_t before[MESSAGES_MAX];
	unsigned accepted = world.accepted, pending;

	if (path_length < PATH_MAX_EVENTS)
		path[path_length++] = event;
	sides_note(before);
	world.dropped_before = dropped_total();
	switch (event.kind) {
	case ACCEPT:
		inlet_accept();
		break;
	case OFFER:
		sink_offer(event.side);
		break;
	case PROCESS:
		pending = first_pending(&s->taken);
		sink_process(event.side, pending, event.what);
		if (!scenario->any_order)
			leg_complete(event.side, transits_take(&s->taken, pending));
		break;
	case COMPLETE:
		leg_complete(event.side, transits_take(&s->taken, event.what));
		break;
	case DELIVER:
		inlet_deliver(event.side);
		break;
	case DOWN:
		sink_down(event.side, event.what & 0x7f, event.what & 0x80);
		break;
	case UP:
		s->up = true;
		break;
	case NOTICE:
		inlet_notice(event.side);
		break;
	case SET:
		inlet_set(scenario->settings[event.what]);
		break;
	case FORCE:
		xf_lanes_force(&world.lanes, world.now);
		break;
	case ROLLBACK:
		inlet_set((struct setting){0, world.lanes.destination.mirror});
		xf_lanes_force(&world.lanes, world.now);
		break;
	case TICK:
		world.now += TICK_MS;
		xf_lanes_tick(&world.lanes, world.now);
		break;
	}
	note_changes(before, accepted, event.kind == FORCE || event.kind == ROLLBACK);
	check();
}

/* Applies it if the budget allows, and takes it from there. */
static void
spend(struct event event)
{
	switch (event.kind) {
	case PROCESS:
		world.faults -= event.what != STORED;
		break;
	case DOWN:
		world.downs--;
		break;
	case SET:
		world.sets--;
		break;
	case FORCE:
		world.forces--;
		break;
	}
	apply(event);
}

static bool
tick_matters(void)
{
	for (unsigned l = 0; l < 2; l++) {
		const struct xf_lane *lane = lane_find(l);

		if (lane != NULL && lane_moves(lane) && !lane->stuck)
			return true;
		for (unsigned sink = 0; lane != NULL && sink < sink_count(); sink++)
			if (lane->at[sink].stopped || (scenario->order == XF_ORDER_NONE && lane_holds(lane, sink)))
				return true;
	}
	return false;
}

static bool
moves_any(void)
{
	return (lane_find(0) != NULL && lane_moves(lane_find(0))) || (lane_find(1) != NULL && lane_moves(lane_find(1)));
}

/* Each change may send every message to each side once more, while what it left is still on its way. */
static bool
legs_have_room(void)
{
	for (unsigned i = 0; i < scenario->sides; i++) {
		const struct side *side = &world.sides[i];

		if (side->queue.count + side->taken.count + side->inbox.count + 2 * MESSAGES_MAX > LEGS_MAX)
			return false;
	}
	return true;
}

/* All that can happen now. */
static unsigned
events(struct event *out)
{
	unsigned n = 0;

	if (world.accepted < scenario->messages)
		out[n++] = (struct event){ACCEPT, 0, 0};
	for (uint8_t side = 0; side < scenario->sides; side++) {
		const struct side *s = &world.sides[side];
		unsigned pending = first_pending(&s->taken), unanswered = 0;

		if (s->inbox.count > 0)
			out[n++] = (struct event){DELIVER, side, 0};
		if (s->queue.count > 0 && s->taken.count < scenario->window)
			out[n++] = (struct event){OFFER, side, 0};
		if (pending < s->taken.count)
			for (uint8_t verdict = STORED; verdict <= (world.faults > 0 ? REJECTED : STORED); verdict++)
				if (verdict != BROKEN)
					out[n++] = (struct event){PROCESS, side, verdict};
		for (unsigned i = 0; i < s->taken.count; i++) {
			if (is_processed(s->taken.at[i].verdict))
				out[n++] = (struct event){COMPLETE, side, (uint8_t)i};
			else
				unanswered++;
		}
		if (s->up && world.downs > 0) {
			for (unsigned kept = 0; kept <= unanswered; kept++)
				out[n++] = (struct event){DOWN, side, (uint8_t)kept};
			if (unanswered > 0)
				out[n++] = (struct event){DOWN, side, (uint8_t)(unanswered | 0x80)};
		}
		if (!s->up)
			out[n++] = (struct event){UP, side, 0};
		if (inlet_has_notice(side))
			out[n++] = (struct event){NOTICE, side, 0};
	}
	for (unsigned i = 0; i < scenario->setting_count && world.sets > 0 && legs_have_room(); i++)
		if (scenario->settings[i].percent != world.lanes.destination.percent ||
		    scenario->settings[i].mirror != world.lanes.destination.mirror)
			out[n++] = (struct event){SET, 0, (uint8_t)i};
	if (world.forces > 0 && moves_any())
		out[n++] = (struct event){FORCE, 0, 0};
	if (tick_matters())
		out[n++] = (struct event){TICK, 0, 0};
	return n;
}

static void
world_start(const struct scenario *of)
{
	scenario = of;
	path_length = 0;
	memset(&world, 0, sizeof(world));
	heap_blocks = 0;
	world.sets = of->sets;
	world.forces = of->forces;
	world.faults = of->faults;
	world.downs = of->downs;
	world.now = 1000;
	xf_lanes_init(&world.lanes, &world_ops, &world, &(struct xf_destination){
		.to = of->to,
		.sink_count = (uint8_t)sink_count(),
		.require = of->require,
		.below = {50, 10000},
		.percent = of->start.percent,
		.mirror = of->start.mirror,
	}, of->order);
	for (unsigned sink = 0; sink < sink_count(); sink++)
		xf_lanes_add_sink(&world.lanes, sink == 0 && of->in_place ? 0 : sink_count() < of->sides ? of->sides : 1,
		                  of->drop_when_down);
	if (of->loose_max > 0)
		world.lanes.loose_max = of->loose_max;
	if (of->loose_bytes_max > 0)
		world.lanes.loose_bytes_max = of->loose_bytes_max;
	for (unsigned side = 0; side < of->sides; side++) {
		world.sides[side].generation = 1;
		if (side == 1 && of->new_down)
			continue;
		world.sides[side].up = true;
		inlet_notice(side);
	}
}

/* ---- To rest ----------------------------------------------------------------------------------------------- */

/* One round of SIDE with all going well. Returns whether anything happened. */
static bool
side_flow(uint8_t side)
{
	struct side *s = &world.sides[side];
	bool any = false;

	for (; s->taken.count > 0; any = true) {
		if (first_pending(&s->taken) < s->taken.count)
			apply((struct event){PROCESS, side, STORED});
		else
			apply((struct event){COMPLETE, side, 0});
	}
	if (s->queue.count > 0) {
		apply((struct event){OFFER, side, 0});
		any = true;
	}
	while (s->inbox.count > 0) {
		apply((struct event){DELIVER, side, 0});
		any = true;
	}
	if (!s->up) {
		apply((struct event){UP, side, 0});
		any = true;
	}
	while (inlet_has_notice(side)) {
		apply((struct event){NOTICE, side, 0});
		any = true;
	}
	return any;
}

static bool
any_queued(unsigned mask)
{
	bool any = false;

	for (unsigned side = 0; side < SINKS; side++)
		any = any || (mask >> side & 1 && world.sides[side].queue.count > 0);
	return any;
}

/* The sides of the mask work; time goes on as far as the lanes ask for. */
static void
world_rest(unsigned mask)
{
	for (unsigned round = 0;; round++) {
		bool any = false;
		uint32_t wait;

		if (round > 400)
			violation("does not come to rest");
		for (uint8_t side = 0; side < scenario->sides; side++)
			any = (mask >> side & 1 && side_flow(side)) || any;
		if (any)
			continue;
		wait = xf_lanes_tick(&world.lanes, world.now);
		check();
		if (wait == UINT32_MAX && !any_queued(mask))
			return;
		if (wait != UINT32_MAX)
			world.now += wait;
	}
}

static void
check_comes_to_rest(void)
{
	world_rest(7);
	check_rest();
	xf_lanes_fini(&world.lanes);
	CHECK(blocks_alive() == 0);
}

/* Percent 0 with force, and from then on not a word from the new side. */
static void
check_rolls_back(void)
{
	apply((struct event){ROLLBACK, 0, 0});
	world_rest(scenario->in_place ? 0 : 1);
	for (unsigned i = 0; i < world.accepted; i++)
		CHECK(world.messages[i].settled);
	for (unsigned l = 0; l < 2; l++)
		CHECK(lane_find(l) == NULL || (lane_find(l)->sink == 0 && !lane_moves(lane_find(l))));
	check_comes_to_rest();
}

/* Of several sinks only ONE works, and from the others there is not a word. */
static void
check_is_isolated(unsigned one)
{
	world_rest(1u << one);
	for (unsigned i = 0; i < world.accepted; i++) {
		const struct message *message = &world.messages[i];

		if (scenario->require == XF_REQUIRE_ALL) /* all that it is to have reaches it */
			CHECK(stands_at(message, one) || message->rejected[one] || scenario->drop_when_down);
		else if (scenario->require == XF_REQUIRE_ANY || one == 0) /* and nothing else is needed */
			CHECK(message->settled || message->rejected[one] || scenario->drop_when_down);
	}
	check_comes_to_rest();
}

/* ---- Every state --------------------------------------------------------------------------------------------- */

/* What of the world can matter for what is still to come, without addresses and absolute times. */
struct picture {
	uint8_t bytes[1500];
	size_t length;
};

static void
put(struct picture *picture, uint64_t value, unsigned bytes)
{
	CHECK(picture->length + bytes <= sizeof(picture->bytes));
	for (unsigned i = 0; i < bytes; i++)
		picture->bytes[picture->length++] = (uint8_t)(value >> 8 * i);
}

static void
put_leg(struct picture *picture, const struct xf_leg *leg)
{
	put(picture, index_of(leg->delivery) << 4 | (uint64_t)leg->copy << 3 | (uint64_t)leg->need << 1 | leg->abandoned, 1);
	put(picture, (uint64_t)(leg->generation == world.sides[leg->pipe].generation) << 4 | atomic_load(&leg->state) << 2 |
	                     (uint64_t)(leg->delivery->authority == leg) << 1 | leg->extra |
	                     (uint64_t)leg->delivery->waived << 5 | (uint64_t)(leg->attempts > 0) << 6, 1);
	put(picture, leg->maybe | (uint64_t)(leg->held && leg->retry_at > world.now) << 4, 1);
}

static void
put_transits(struct picture *picture, const struct transits *list)
{
	put(picture, list->count, 1);
	for (unsigned i = 0; i < list->count; i++) {
		put_leg(picture, list->at[i].leg);
		put(picture, list->at[i].verdict, 1);
	}
}

static void
put_lane(struct picture *picture, const struct xf_lane *lane)
{
	const struct xf_lane_held *held = lane != NULL ? lane->held : NULL;

	if (lane == NULL) {
		put(picture, 0xff, 1);
		return;
	}
	put(picture, lane->sink | lane->target << 1 | (uint64_t)lane->stuck << 2 | (uint64_t)(held != NULL) << 3, 1);
	if (held == NULL)
		return;
	put(picture, world.now - held->moving_since >= world.lanes.handover_timeout_ms, 1);
	for (unsigned sink = 0; sink < sink_count(); sink++) {
		const struct held_legs *at = &held->at[sink];

		put(picture, (uint64_t)(at->retry_at > world.now) | (uint64_t)(at->retries > 0) << 1 |
		                     (uint64_t)lane->at[sink].stopped << 2, 1);
		for (const struct xf_leg *leg = at->list.first; leg != NULL; leg = leg_next(leg))
			put_leg(picture, leg);
		put(picture, 0xff, 1);
	}
	for (const struct xf_delivery *at = held->waiting_first; at != NULL; at = at->waiting_next)
		put(picture, index_of(at), 1);
	put(picture, 0xff, 1);
}

static void
put_message(struct picture *picture, unsigned i)
{
	const struct message *message = &world.messages[i];
	bool over = message->released;
	bool stands = message->stands[0] + message->stands[1] > 0;

	for (unsigned j = 0; j < i; j++)
		over = over && (world.messages[j].released || world.messages[j].lane != message->lane);
	if (over) {
		put(picture, 0xff, 1);
		return;
	}
	put(picture, message->settled | message->released << 1 | message->dispatched << 2 | message->authority_done << 3 |
	                     message->both << 4 | message->unknown << 5 | message->crossed << 6 | message->loose << 7, 1);
	for (unsigned sink = 0; sink < sink_count(); sink++)
		put(picture, message->taken[sink] | message->rejected[sink] << 1 | (message->stands[sink] > 0) << 2 |
		                     (message->copies[sink] > 0) << 3 | (message->heard >> sink & 1) << 4 |
		                     (message->denied >> sink & 1) << 5, 1);
	put(picture, message->told, 1);
	if (message->released)
		return;
	put(picture, stands ? 0 : message->excused, 1);
	for (unsigned sink = 0; sink < sink_count(); sink++)
		put(picture, stands_at(message, sink) ? 0 : message->excused_at[sink], 1);
	put(picture, message->delivery->unconfirmed << 4 | message->delivery->out, 1);
	put(picture, message->delivery->stored, 1);
}

static uint64_t
world_hash(void)
{
	struct picture picture = {.length = 0};
	uint64_t crossed = 0, crossed_max = 0, on_both = 0, hash = 0x9e3779b97f4a7c15u;

	put(&picture, world.accepted << 5 | world.lanes.destination.mirror << 3 | world.lanes.up, 1);
	put(&picture, world.lanes.destination.percent, 2);
	put(&picture, world.sets | world.forces << 4, 1);
	put(&picture, world.faults | world.downs << 4, 1);
	for (unsigned l = 0; l < 2; l++)
		put_lane(&picture, lane_find(l));
	for (unsigned i = 0; i < world.accepted; i++) {
		put_message(&picture, i);
		on_both += world.messages[i].stands[0] > 0 && world.messages[i].stands[1] > 0;
	}
	for (unsigned side = 0; side < scenario->sides; side++) {
		const struct side *s = &world.sides[side];

		put(&picture, s->up | (s->generation == s->known) << 1, 1);
		put_transits(&picture, &s->queue);
		put_transits(&picture, &s->taken);
		put_transits(&picture, &s->inbox);
	}
	for (unsigned sink = 0; sink < sink_count(); sink++) {
		crossed += xf_read(&world.lanes.sinks[sink].counters.crossed);
		crossed_max += world.sinks[sink].crossed_max;
	}
	put(&picture, crossed - on_both, 1);
	put(&picture, crossed_max - crossed, 1);
	while (picture.length % 8 != 0)
		put(&picture, 0, 1);
	for (size_t i = 0; i < picture.length; i += 8) {
		uint64_t word;

		memcpy(&word, picture.bytes + i, 8);
		hash = (hash ^ word) * 0xff51afd7ed558ccdu;
		hash ^= hash >> 32;
	}
	return hash | 1;
}

/* Open addressing; 0 is empty. */
struct seen {
	uint64_t *slots;
	size_t mask, count;
};

static bool
seen_add(struct seen *seen, uint64_t hash)
{
	size_t i = hash >> 1 & seen->mask;

	if (seen->count * 2 > seen->mask) {
		struct seen larger = {xf_grow_array(NULL, 0, 2 * (seen->mask + 1), 8), 2 * seen->mask + 1, 0};

		for (size_t j = 0; j <= seen->mask; j++)
			if (seen->slots[j] != 0)
				seen_add(&larger, seen->slots[j]);
		free(seen->slots);
		*seen = larger;
		return seen_add(seen, hash);
	}
	for (; seen->slots[i] != 0; i = (i + 1) & seen->mask)
		if (seen->slots[i] == hash)
			return false;
	seen->slots[i] = hash;
	seen->count++;
	return true;
}

static bool
requires_both(void)
{
	bool requires = scenario->start.mirror == XF_MIRROR_REQUIRED;

	for (unsigned i = 0; i < scenario->setting_count; i++)
		requires = requires || scenario->settings[i].mirror == XF_MIRROR_REQUIRED;
	return requires;
}

struct exploration {
	struct seen seen;
	struct world *stack; /* a copy for each event of the path */
	size_t stack_size;
	uint64_t steps;
};

static void
world_copy(struct world *to, const struct world *from)
{
	memcpy(to, from, offsetof(struct world, cells_memory) + from->cells * CELL_SIZE);
}

static void
explore(struct exploration *exploration, size_t depth)
{
	struct event next[64];
	unsigned count = events(next), length = path_length;

	if (depth == exploration->stack_size) {
		exploration->stack = xf_grow_array(exploration->stack, depth, depth * 2 + 16, sizeof(world));
		exploration->stack_size = depth * 2 + 16;
	}
	world_copy(&exploration->stack[depth], &world);
	check_comes_to_rest();
	if (is_migration() && !requires_both()) {
		world_copy(&world, &exploration->stack[depth]);
		path_length = length;
		check_rolls_back();
	}
	for (unsigned one = 0; scenario->to == XF_TO_ALL && one < scenario->sides; one++) {
		world_copy(&world, &exploration->stack[depth]);
		path_length = length;
		check_is_isolated(one);
	}
	for (unsigned i = 0; i < count; i++) {
		world_copy(&world, &exploration->stack[depth]);
		path_length = length;
		spend(next[i]);
		exploration->steps++;
		if (seen_add(&exploration->seen, world_hash()))
			explore(exploration, depth + 1);
	}
}

static void
explore_all(const struct scenario *of)
{
	struct exploration exploration = {.seen = {xf_grow_array(NULL, 0, 1024, 8), 1023, 0}};
	struct scenario reduced = *of;
	uint64_t begun = xf_now_ms();

	if (SANITIZED) {
		reduced.faults = reduced.messages > 2 && reduced.faults > 0;
		reduced.messages -= reduced.messages > 2;
		reduced.sets = reduced.sets > 0;
		reduced.forces = reduced.downs == 0 && reduced.forces > 0;
	}
	on_heap = false;
	world_start(&reduced);
	explore(&exploration, 0);
	print_message("%-40s %8zu states, %9llu steps, %5llu ms\n", of->name, exploration.seen.count,
	              (unsigned long long)exploration.steps, (unsigned long long)(xf_now_ms() - begun));
	free(exploration.seen.slots);
	free(exploration.stack);
}

static const struct scenario plain[] = {
	{.name = "plain sink", .sides = 1, .messages = 4, .lanes = "0010", .faults = 1, .downs = 1, .window = 2},
	{.name = "plain sink, many faults", .sides = 1, .messages = 3, .lanes = "000", .faults = 3, .downs = 1, .window = 2},
	{.name = "plain sink, answers in any order", .sides = 1, .messages = 3, .lanes = "000", .faults = 2, .downs = 1,
	 .window = 3, .any_order = true},
	{.name = "plain sink, dropped when down", .sides = 1, .messages = 3, .lanes = "001", .faults = 1, .downs = 2,
	 .window = 2, .drop_when_down = true},
};

#define OFF(percent) {(percent) * 100, XF_MIRROR_OFF}
#define ON(percent) {(percent) * 100, XF_MIRROR_ON}
#define REQUIRED(percent) {(percent) * 100, XF_MIRROR_REQUIRED}

static const struct scenario migrations[] = {
	{.name = "migration", .to = XF_TO_MIGRATION, .sides = 2, .messages = 3, .lanes = "000", .setting_count = 2,
	 .settings = {OFF(0), OFF(100)}, .sets = 2, .forces = 1, .faults = 1, .window = 2},
	{.name = "migration, answers in any order", .to = XF_TO_MIGRATION, .sides = 2, .messages = 3, .lanes = "000", .setting_count = 1,
	 .settings = {OFF(100)}, .sets = 1, .faults = 1, .window = 2, .any_order = true},
	{.name = "migration, a side breaks", .to = XF_TO_MIGRATION, .sides = 2, .messages = 3, .lanes = "000", .setting_count = 2,
	 .settings = {OFF(0), OFF(100)}, .sets = 1, .faults = 1, .downs = 1, .window = 2},
	{.name = "migration, sides break, forced", .to = XF_TO_MIGRATION, .sides = 2, .messages = 2, .lanes = "00", .setting_count = 2,
	 .settings = {OFF(0), OFF(100)}, .sets = 2, .forces = 1, .downs = 1, .window = 2},
	{.name = "migration, two lanes, one moves", .to = XF_TO_MIGRATION, .sides = 2, .messages = 3, .lanes = "010", .setting_count = 3,
	 .settings = {OFF(0), {50, XF_MIRROR_OFF}, OFF(100)}, .sets = 2, .forces = 1, .window = 1},
	{.name = "migration, dropped when down", .to = XF_TO_MIGRATION, .sides = 2, .messages = 2, .lanes = "00", .setting_count = 2,
	 .settings = {OFF(0), OFF(100)}, .sets = 1, .forces = 1, .faults = 1, .downs = 1, .window = 2,
	 .drop_when_down = true},
};

static const struct scenario mirrors[] = {
	{.name = "mirror on", .to = XF_TO_MIGRATION, .sides = 2, .messages = 2, .lanes = "00", .start = ON(0), .setting_count = 3,
	 .settings = {ON(0), ON(100), OFF(100)}, .sets = 2, .forces = 1, .faults = 1, .window = 1},
	{.name = "mirror on, a side breaks", .to = XF_TO_MIGRATION, .sides = 2, .messages = 2, .lanes = "00", .start = ON(0), .setting_count = 1,
	 .settings = {ON(100)}, .sets = 1, .faults = 1, .downs = 1, .window = 1},
	{.name = "mirror on, bytes for two copies", .to = XF_TO_MIGRATION, .sides = 2, .messages = 3, .lanes = "000", .start = ON(100),
	 .setting_count = 1, .settings = {ON(0)}, .sets = 1, .window = 1, .loose_bytes_max = 29},
	{.name = "mirror on, one copy at a time, new down", .to = XF_TO_MIGRATION, .sides = 2, .messages = 3, .lanes = "000", .start = ON(0),
	 .setting_count = 1, .settings = {ON(100)}, .sets = 1, .faults = 1, .window = 2, .new_down = true,
	 .loose_max = 1},
};

static const struct scenario required_mirrors[] = {
	{.name = "mirror required", .to = XF_TO_MIGRATION, .sides = 2, .messages = 2, .lanes = "00", .start = REQUIRED(0), .setting_count = 2,
	 .settings = {REQUIRED(0), REQUIRED(100)}, .sets = 2, .forces = 2, .window = 1},
	{.name = "mirror required, faults", .to = XF_TO_MIGRATION, .sides = 2, .messages = 2, .lanes = "00", .start = REQUIRED(0),
	 .setting_count = 1, .settings = {REQUIRED(100)}, .sets = 1, .forces = 1, .faults = 1, .window = 1},
	{.name = "mirror required, a side breaks", .to = XF_TO_MIGRATION, .sides = 2, .messages = 2, .lanes = "00", .start = REQUIRED(0),
	 .setting_count = 1, .settings = {REQUIRED(100)}, .sets = 1, .downs = 1, .window = 1},
	{.name = "mirror required at times", .to = XF_TO_MIGRATION, .sides = 2, .messages = 2, .lanes = "00", .setting_count = 3,
	 .settings = {REQUIRED(0), REQUIRED(100), OFF(100)}, .sets = 2, .forces = 1, .window = 2},
};

#define ALL(want) .to = XF_TO_ALL, .require = XF_REQUIRE_##want

static const struct scenario alls[] = {
	{.name = "all of three", ALL(ALL), .sides = 3, .messages = 2, .lanes = "00", .window = 1},
	{.name = "all of three, one breaks", ALL(ALL), .sides = 3, .messages = 1, .lanes = "0", .faults = 1, .downs = 1,
	 .window = 1},
	{.name = "all of two", ALL(ALL), .sides = 2, .messages = 2, .lanes = "00", .faults = 1, .downs = 1, .window = 2},
	{.name = "all of two, two lanes, one down", ALL(ALL), .sides = 2, .messages = 3, .lanes = "010", .downs = 1,
	 .window = 1, .new_down = true},
	{.name = "all of two, dropped when down", ALL(ALL), .sides = 2, .messages = 2, .lanes = "00", .faults = 1,
	 .downs = 1, .window = 1, .drop_when_down = true},
};

static const struct scenario anys[] = {
	{.name = "any of three", ALL(ANY), .sides = 3, .messages = 2, .lanes = "00", .window = 1},
	{.name = "any of three, faults", ALL(ANY), .sides = 3, .messages = 1, .lanes = "0", .faults = 3, .window = 1},
	{.name = "any of two", ALL(ANY), .sides = 2, .messages = 2, .lanes = "00", .faults = 1, .downs = 1, .window = 1},
	{.name = "any of two, two lanes, one down", ALL(ANY), .sides = 2, .messages = 3, .lanes = "010", .window = 1,
	 .new_down = true},
	{.name = "any of two, one lags", ALL(ANY), .sides = 2, .messages = 4, .lanes = "0000", .window = 1, .loose_max = 1},
	{.name = "any of two, dropped when down", ALL(ANY), .sides = 2, .messages = 2, .lanes = "00", .faults = 1, .downs = 1,
	 .window = 1, .drop_when_down = true},
};

static const struct scenario firsts[] = {
	{.name = "first of three", ALL(FIRST), .sides = 3, .messages = 2, .lanes = "00", .window = 1, .loose_max = 1},
	{.name = "first of two", ALL(FIRST), .sides = 2, .messages = 2, .lanes = "00", .faults = 1, .downs = 1, .window = 1},
	{.name = "first of two, the other down", ALL(FIRST), .sides = 2, .messages = 3, .lanes = "000", .faults = 1, .window = 1,
	 .new_down = true},
};

static const struct scenario splits[] = {
	{.name = "split", .to = XF_TO_SPLIT, .sides = 2, .messages = 4, .lanes = "0101", .faults = 1, .downs = 1, .window = 1},
	{.name = "two connections", .sides = 2, .sinks = 1, .messages = 4, .lanes = "0110", .faults = 1, .downs = 1, .window = 1},
};

static const struct scenario strict_ones[] = {
	{.name = "strict", .order = XF_ORDER_STRICT, .sides = 1, .messages = 4, .lanes = "0010", .faults = 2, .downs = 1,
	 .window = 2},
	{.name = "strict, answers in any order", .order = XF_ORDER_STRICT, .sides = 1, .messages = 4, .lanes = "0000",
	 .faults = 3, .downs = 1, .window = 3, .any_order = true},
	{.name = "strict migration", .order = XF_ORDER_STRICT, .to = XF_TO_MIGRATION, .sides = 2, .messages = 3, .lanes = "000",
	 .setting_count = 2, .settings = {OFF(0), OFF(100)}, .sets = 1, .forces = 1, .faults = 1, .downs = 1, .window = 2},
	{.name = "strict mirror on", .order = XF_ORDER_STRICT, .to = XF_TO_MIGRATION, .sides = 2, .messages = 3, .lanes = "000",
	 .start = ON(0), .setting_count = 1, .settings = {ON(100)}, .sets = 1, .faults = 1, .window = 2},
	{.name = "strict mirror on, a side breaks", .order = XF_ORDER_STRICT, .to = XF_TO_MIGRATION, .sides = 2, .messages = 2,
	 .lanes = "00", .start = ON(0), .setting_count = 2, .settings = {ON(100), OFF(100)}, .sets = 1, .faults = 1, .downs = 1,
	 .window = 1},
	{.name = "strict any", .order = XF_ORDER_STRICT, ALL(ANY), .sides = 2, .messages = 2, .lanes = "00", .faults = 1,
	 .downs = 1, .window = 1},
	{.name = "strict all", .order = XF_ORDER_STRICT, ALL(ALL), .sides = 2, .messages = 2, .lanes = "00", .faults = 1,
	 .downs = 1, .window = 1},
};

static const struct scenario orderless[] = {
	{.name = "no order", .order = XF_ORDER_NONE, .sides = 1, .messages = 3, .lanes = "000", .faults = 2, .downs = 1,
	 .window = 2},
	{.name = "no order, any order of answers", .order = XF_ORDER_NONE, .sides = 1, .messages = 3, .lanes = "000", .faults = 2,
	 .window = 3, .any_order = true},
	{.name = "no order, migration", .order = XF_ORDER_NONE, .to = XF_TO_MIGRATION, .sides = 2, .messages = 2, .lanes = "00",
	 .setting_count = 1, .settings = {OFF(100)}, .sets = 1, .forces = 1, .faults = 1, .downs = 1, .window = 2},
	{.name = "no order, mirror required", .order = XF_ORDER_NONE, .to = XF_TO_MIGRATION, .sides = 2, .messages = 2,
	 .lanes = "00", .start = REQUIRED(0), .setting_count = 1, .settings = {REQUIRED(100)}, .sets = 1, .faults = 1, .window = 1},
	{.name = "no order, any", .order = XF_ORDER_NONE, ALL(ANY), .sides = 2, .messages = 2, .lanes = "00", .faults = 1,
	 .downs = 1, .window = 1, .loose_max = 1},
	{.name = "no order, all", .order = XF_ORDER_NONE, ALL(ALL), .sides = 2, .messages = 2, .lanes = "00", .faults = 1,
	 .downs = 1, .window = 1},
};

static const struct scenario in_places[] = {
	{.name = "in place", .in_place = true, .to = XF_TO_MIGRATION, .sinks = 2, .sides = 1, .messages = 3, .lanes = "000",
	 .start = ON(0), .setting_count = 3, .settings = {ON(0), OFF(0), REQUIRED(0)}, .sets = 2, .faults = 1, .downs = 1,
	 .window = 2},
	{.name = "in place, left and taken back", .in_place = true, .to = XF_TO_MIGRATION, .sinks = 2, .sides = 1, .messages = 3,
	 .lanes = "010", .start = ON(0), .setting_count = 3, .settings = {ON(0), OFF(100), ON(100)}, .sets = 2, .forces = 1,
	 .faults = 1, .downs = 1, .window = 1},
	{.name = "in place, required", .in_place = true, .to = XF_TO_MIGRATION, .sinks = 2, .sides = 1, .messages = 3,
	 .lanes = "000", .start = REQUIRED(0), .setting_count = 1, .settings = {REQUIRED(100)}, .sets = 1,
	 .forces = 1, .faults = 1, .downs = 1, .window = 1},
};

#define EXPLORE(scenarios)                                                                         \
	for (size_t i_ = 0; i_ < sizeof(scenarios) / sizeof((scenarios)[0]); i_++)                 \
	explore_all(&(scenarios)[i_])

static void
all_states_of_a_plain_sink(void **state)
{
	(void)state;
	EXPLORE(plain);
}

static void
all_states_of_a_migration(void **state)
{
	(void)state;
	EXPLORE(migrations);
}

static void
all_states_of_a_mirror(void **state)
{
	(void)state;
	EXPLORE(mirrors);
}

static void
all_states_of_a_required_mirror(void **state)
{
	(void)state;
	EXPLORE(required_mirrors);
}

static void
all_states_of_all(void **state)
{
	(void)state;
	EXPLORE(alls);
}

static void
all_states_of_any(void **state)
{
	(void)state;
	EXPLORE(anys);
}

static void
all_states_of_first(void **state)
{
	(void)state;
	EXPLORE(firsts);
}

static void
all_states_of_split_and_connections(void **state)
{
	(void)state;
	EXPLORE(splits);
}

static void
all_states_of_strict_order(void **state)
{
	(void)state;
	EXPLORE(strict_ones);
}

static void
all_states_of_no_order(void **state)
{
	(void)state;
	EXPLORE(orderless);
}

static void
all_states_in_place(void **state)
{
	(void)state;
	EXPLORE(in_places);
}

/* ---- Far from home ------------------------------------------------------------------------------------------- */

static uint64_t random_state;

static uint64_t
random_below(uint64_t bound)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 11) % bound;
}

static const struct scenario walks[] = {
	{.name = "walk, plain", .sides = 1, .messages = 12, .lanes = "000101000110", .faults = 8, .downs = 4, .window = 4},
	{.name = "walk, plain, any order, dropped when down", .sides = 1, .messages = 12, .lanes = "000101000110",
	 .faults = 8, .downs = 4, .window = 4, .any_order = true, .drop_when_down = true},
	{.name = "walk, migration", .to = XF_TO_MIGRATION, .sides = 2, .messages = 12, .lanes = "000101000110", .setting_count = 3,
	 .settings = {OFF(0), {50, XF_MIRROR_OFF}, OFF(100)}, .sets = 6, .forces = 3, .faults = 6, .downs = 3, .window = 4},
	{.name = "walk, mirror", .to = XF_TO_MIGRATION, .sides = 2, .messages = 12, .lanes = "000101000110", .start = ON(0), .setting_count = 3,
	 .settings = {ON(0), {50, XF_MIRROR_ON}, OFF(100)}, .sets = 6, .forces = 3, .faults = 6, .downs = 3, .window = 3,
	 .any_order = true},
	{.name = "walk, mirror required", .to = XF_TO_MIGRATION, .sides = 2, .messages = 12, .lanes = "000101000110", .start = REQUIRED(100),
	 .setting_count = 3, .settings = {REQUIRED(0), {50, XF_MIRROR_REQUIRED}, REQUIRED(100)}, .sets = 6, .forces = 3,
	 .faults = 6, .downs = 3, .window = 4},
	{.name = "walk, all there is", .to = XF_TO_MIGRATION, .sides = 2, .messages = 12, .lanes = "000101000110", .start = OFF(100),
	 .setting_count = 4, .settings = {REQUIRED(0), {50, XF_MIRROR_ON}, OFF(100), REQUIRED(100)}, .sets = 8, .forces = 3,
	 .faults = 6, .downs = 3, .window = 4, .any_order = true},
	{.name = "walk, all", ALL(ALL), .sides = 3, .messages = 12, .lanes = "000101000110", .faults = 6, .downs = 4, .window = 3},
	{.name = "walk, any", ALL(ANY), .sides = 3, .messages = 12, .lanes = "000101000110", .faults = 8, .downs = 4, .window = 3,
	 .loose_max = 2},
	{.name = "walk, first", ALL(FIRST), .sides = 3, .messages = 12, .lanes = "000101000110", .faults = 6, .downs = 4,
	 .window = 3, .loose_max = 3},
	{.name = "walk, any, strict", .order = XF_ORDER_STRICT, ALL(ANY), .sides = 3, .messages = 12, .lanes = "000101000110",
	 .faults = 8, .downs = 4, .window = 3, .drop_when_down = true},
	{.name = "walk, all, no order", .order = XF_ORDER_NONE, ALL(ALL), .sides = 3, .messages = 12, .lanes = "000101000110",
	 .faults = 8, .downs = 4, .window = 3, .any_order = true},
	{.name = "walk, strict, all there is", .order = XF_ORDER_STRICT, .to = XF_TO_MIGRATION, .sides = 2, .messages = 12,
	 .lanes = "000101000110", .start = OFF(100), .setting_count = 4,
	 .settings = {REQUIRED(0), {50, XF_MIRROR_ON}, OFF(100), REQUIRED(100)}, .sets = 8, .forces = 3, .faults = 6, .downs = 3,
	 .window = 4},
	{.name = "walk, no order, all there is", .order = XF_ORDER_NONE, .to = XF_TO_MIGRATION, .sides = 2, .messages = 12,
	 .lanes = "000101000110", .start = OFF(100), .setting_count = 4,
	 .settings = {REQUIRED(0), {50, XF_MIRROR_ON}, OFF(100), REQUIRED(100)}, .sets = 8, .forces = 3, .faults = 6, .downs = 3,
	 .window = 4, .any_order = true},
	{.name = "walk, in place", .in_place = true, .to = XF_TO_MIGRATION, .sinks = 2, .sides = 1, .messages = 12,
	 .lanes = "000101000110", .start = ON(0), .setting_count = 4,
	 .settings = {REQUIRED(0), {50, XF_MIRROR_ON}, OFF(100), ON(0)}, .sets = 8, .forces = 3, .faults = 6, .downs = 3,
	 .window = 4},
	{.name = "walk, split", .to = XF_TO_SPLIT, .sides = 2, .messages = 12, .lanes = "000101000110", .faults = 8, .downs = 4,
	 .window = 4},
	{.name = "walk, connections", .sides = 3, .sinks = 1, .messages = 12, .lanes = "000101000110", .faults = 8, .downs = 4,
	 .window = 4},
};

/* What happens rarely is rare here too, else nothing would ever be under way. */
static bool
is_rare(const struct event *event)
{
	return event->kind == DOWN || event->kind == SET || event->kind == FORCE || event->kind == TICK ||
	       (event->kind == PROCESS && event->what != STORED);
}

static void
walk(const struct scenario *of)
{
	struct event next[64];
	unsigned count;

	world_start(of);
	for (unsigned step = 0; step < 150 && (count = events(next)) > 0; step++) {
		struct event event = next[random_below(count)];

		if (!is_rare(&event) || random_below(3) == 0)
			spend(event);
	}
	if (is_migration() && !requires_both() && random_below(2) == 0)
		check_rolls_back();
	else if (of->to == XF_TO_ALL && random_below(2) == 0)
		check_is_isolated((unsigned)random_below(of->sides));
	else
		check_comes_to_rest();
}

static void
random_walks(void **state)
{
	const char *given = getenv("XF_TEST_SEED"), *scale = getenv("XF_TEST_SCALE");
	uint64_t count = (SANITIZED ? 4000 : 20000) * (scale != NULL ? strtoull(scale, NULL, 10) : 100) / 100;
	uint64_t first = given != NULL ? strtoull(given, NULL, 10) : xf_now_ns() % 1000000000;

	(void)state;
	print_message("XF_TEST_SEED=%llu\n", (unsigned long long)first);
	on_heap = true;
	for (seed = first; seed < first + count; seed++) {
		random_state = seed * 0x9e3779b97f4a7c15u | 1;
		walk(&walks[seed % (sizeof(walks) / sizeof(walks[0]))]);
	}
	on_heap = false;
}

/* ---- By hand: time, and what an operator asks for --------------------------------------------------------------- */

static const struct scenario by_hand_plain = {.name = "by hand", .sides = 1, .messages = 4, .lanes = "0000", .window = 4};
static const struct scenario by_hand = {.name = "by hand", .to = XF_TO_MIGRATION, .sides = 2, .messages = 6, .lanes = "000000", .window = 2,
	                                .setting_count = 2, .settings = {OFF(0), OFF(100)}, .start = OFF(0)};

static void
happen(enum kind kind, uint8_t side, uint8_t what)
{
	apply((struct event){(uint8_t)kind, side, what});
}

/* The next of SIDE's queue goes out and comes back. */
static void
answer(uint8_t side, enum verdict verdict)
{
	happen(OFFER, side, 0);
	happen(PROCESS, side, (uint8_t)verdict);
	happen(DELIVER, side, 0);
}

/* Refuses all of what is queued once, as VERDICT says of the first, and lets the wait pass. */
static void
refuse_by(enum verdict verdict)
{
	unsigned count = world.sides[0].queue.count;

	answer(0, verdict);
	for (unsigned i = 1; i < count; i++)
		answer(0, REFUSED);
	world.now += xf_lanes_tick(&world.lanes, world.now);
	xf_lanes_tick(&world.lanes, world.now);
}

/* Refuses the only message once, looks how long it is held, and lets that pass. */
static uint32_t
refuse_and_wait(void)
{
	uint32_t wait;

	answer(0, REFUSED);
	wait = xf_lanes_tick(&world.lanes, world.now);
	CHECK(wait > 0 && world.sides[0].queue.count == 0);
	world.now += wait - 1;
	CHECK(xf_lanes_tick(&world.lanes, world.now) == 1 && world.sides[0].queue.count == 0);
	world.now++;
	CHECK(xf_lanes_tick(&world.lanes, world.now) == UINT32_MAX && world.sides[0].queue.count == 1);
	return wait;
}

static void
a_retry_waits_longer_each_time(void **state)
{
	uint32_t full = RETRY_FIRST_MS;

	(void)state;
	world_start(&by_hand_plain);
	happen(ACCEPT, 0, 0);
	for (unsigned i = 0; i < 12; i++) {
		uint32_t wait = refuse_and_wait();

		CHECK(wait >= full / 2 && wait <= full);
		full = full * 2 > RETRY_LONGEST_MS ? RETRY_LONGEST_MS : full * 2;
	}
	CHECK(xf_read(&world.lanes.sinks[0].counters.retried) == 12);
	/* A success ends it ... */
	happen(ACCEPT, 0, 0);
	answer(0, STORED);
	CHECK(refuse_and_wait() <= RETRY_FIRST_MS);
	CHECK(refuse_and_wait() <= 2 * RETRY_FIRST_MS);
	CHECK(refuse_and_wait() <= 4 * RETRY_FIRST_MS);
	/* ... and so does a new connection, which also ends the wait itself. */
	answer(0, REFUSED);
	happen(DOWN, 0, 0);
	happen(UP, 0, 0);
	happen(NOTICE, 0, 0);
	CHECK(world.sides[0].queue.count == 0 && xf_lanes_tick(&world.lanes, world.now) == UINT32_MAX);
	happen(NOTICE, 0, 0);
	CHECK(world.sides[0].queue.count == 1);
	CHECK(refuse_and_wait() <= RETRY_FIRST_MS);
	check_comes_to_rest();
}

/* An outage and what was not sent use up no attempt; what fails for the last time is refused, and the next one goes. */
static void
an_attempt_is_used_up_by_a_failure_only(void **state)
{
	(void)state;
	world_start(&by_hand_plain);
	world.lanes.retry = (struct xf_conf_retry){.attempts = 3, .constant = true, .initial_ms = 40, .max_ms = 40};
	happen(ACCEPT, 0, 0);
	happen(ACCEPT, 0, 0);
	for (unsigned i = 0; i < 5; i++)
		refuse_by(i < 2 ? FAILED : REFUSED);
	CHECK(!world.messages[0].told && world.sides[0].queue.count == 2);
	happen(OFFER, 0, 0);
	happen(PROCESS, 0, FAILED);
	CHECK(!world.messages[0].told);
	happen(DELIVER, 0, 0);
	CHECK(world.messages[0].told && world.messages[0].settled && !world.messages[1].settled);
	CHECK(xf_read(&world.lanes.sinks[0].counters.refused) == 1);
	answer(0, STORED);
	CHECK(world.messages[1].settled && !world.messages[1].told);
}

static void
a_retry_waits_as_long_as_its_policy_says(void **state)
{
	static const uint32_t doubled[] = {20, 40, 80, 100, 100};

	(void)state;
	world_start(&by_hand_plain);
	world.lanes.retry = (struct xf_conf_retry){.initial_ms = 20, .max_ms = 100};
	happen(ACCEPT, 0, 0);
	for (size_t i = 0; i < sizeof(doubled) / sizeof(*doubled); i++)
		CHECK(refuse_and_wait() == doubled[i]);
	world.lanes.retry.constant = true;
	CHECK(refuse_and_wait() == 20);
	check_comes_to_rest();
}

static void
a_slow_hand_over_shows_as_stuck(void **state)
{
	(void)state;
	world_start(&by_hand);
	happen(ACCEPT, 0, 0);
	happen(OFFER, 0, 0);
	happen(SET, 0, 1);
	happen(ACCEPT, 0, 0);
	CHECK(map_has(world.lanes.moving, 0) && world.sides[1].queue.count == 0);
	CHECK(xf_lanes_tick(&world.lanes, world.now) == world.lanes.handover_timeout_ms);
	world.now += world.lanes.handover_timeout_ms - 1;
	CHECK(xf_lanes_tick(&world.lanes, world.now) == 1 && !map_has(world.lanes.stuck, 0));
	world.now++;
	CHECK(xf_lanes_tick(&world.lanes, world.now) == UINT32_MAX && map_has(world.lanes.stuck, 0));
	/* Turned back, and out again: the time is taken anew. */
	happen(SET, 0, 0);
	CHECK(!map_has(world.lanes.stuck, 0) && !map_has(world.lanes.moving, 0) && world.sides[0].queue.count == 1);
	happen(SET, 0, 1);
	happen(TICK, 0, 0);
	CHECK(map_has(world.lanes.stuck, 0));
	happen(PROCESS, 0, STORED);
	happen(OFFER, 0, 0);
	happen(PROCESS, 0, STORED);
	happen(DELIVER, 0, 0);
	happen(DELIVER, 0, 0);
	CHECK(!map_has(world.lanes.stuck, 0) && lane_find(0)->sink == 1);
	check_comes_to_rest();
}

static void
hand_over_time_is_recorded(void **state)
{
	struct xf_histogram_snapshot snapshot;

	(void)state;
	world_start(&by_hand);
	happen(ACCEPT, 0, 0);
	happen(SET, 0, 1);
	world.now += 7;
	answer(0, STORED);
	xf_histogram_read(&world.lanes.handover, &snapshot);
	CHECK(snapshot.count == 1 && snapshot.sum_us == 7000);
	happen(SET, 0, 0); /* nothing to wait for, nothing to record */
	xf_histogram_read(&world.lanes.handover, &snapshot);
	CHECK(snapshot.count == 1 && lane_find(0)->sink == 0);
	check_comes_to_rest();
}

/* The new side took two messages, has two in its queue, and says nothing any more. */
static void
a_turn_back_needs_nothing_from_the_side_that_is_left(void **state)
{
	(void)state;
	world_start(&by_hand);
	happen(SET, 0, 1);
	for (unsigned i = 0; i < 4; i++)
		happen(ACCEPT, 0, 0);
	happen(OFFER, 1, 0);
	happen(OFFER, 1, 0);
	happen(SET, 0, 0);
	happen(ACCEPT, 0, 0);
	CHECK(world.sides[0].queue.count == 0 && lane_moves(lane_find(0)));
	happen(FORCE, 0, 0);
	CHECK(world.sides[0].queue.count == 5 && !lane_moves(lane_find(0)) && world.lanes.holders == NULL);
	CHECK(xf_read(&world.lanes.sinks[1].counters.crossed) == 2 && xf_read(&world.lanes.sinks[1].counters.moved) == 2);
	for (unsigned i = 0; i < 5; i++) {
		answer(0, STORED);
		CHECK(world.messages[i].settled && world.messages[i].released == (i == 4));
	}
	/* What it took it may store late, and what it did not take it never publishes. */
	check_comes_to_rest();
	CHECK(world.messages[0].stands[1] == 1 && world.messages[1].stands[1] == 1);
	CHECK(world.messages[2].stands[1] == 0 && world.messages[3].stands[1] == 0);
	CHECK(xf_read(&world.lanes.sinks[1].counters.confirmed) == 0);
}

/* A required copy is no reason to wait for one that is down if the YAML says drop. */
static void
what_is_dropped_is_counted(void **state)
{
	static const struct scenario drops = {.name = "drops", .to = XF_TO_MIGRATION, .sides = 2, .messages = 2, .lanes = "00", .window = 1,
	                                      .start = REQUIRED(0), .drop_when_down = true, .new_down = true};

	(void)state;
	world_start(&drops);
	happen(ACCEPT, 0, 0);
	CHECK(xf_read(&world.lanes.sinks[1].counters.dropped) == 1 && !world.messages[0].settled);
	happen(OFFER, 0, 0);
	happen(DOWN, 0, 0);
	happen(DELIVER, 0, 0);
	CHECK(!world.messages[0].settled); /* what was out would be tried again */
	happen(NOTICE, 0, 0);
	CHECK(world.messages[0].settled && world.messages[0].released); /* or a window of them would fill the bound */
	happen(ACCEPT, 0, 0);
	CHECK(world.messages[1].settled && world.messages[1].released);
	CHECK(xf_read(&world.lanes.sinks[0].counters.dropped) == 2 && xf_read(&world.lanes.sinks[1].counters.dropped) == 2);
	check_comes_to_rest();
}

/* A dead side holds the source while its copies are required; once they are not, it holds nothing. */
static void
a_mirror_that_is_not_required_any_more_frees_the_source(void **state)
{
	static const struct scenario waived = {.name = "waived", .to = XF_TO_MIGRATION, .sides = 2, .messages = 3, .lanes = "000", .window = 2,
	                                       .start = REQUIRED(0), .setting_count = 1, .settings = {OFF(0)}, .sets = 1,
	                                       .new_down = true};

	(void)state;
	world_start(&waived);
	happen(ACCEPT, 0, 0);
	happen(ACCEPT, 0, 0);
	happen(OFFER, 0, 0);
	answer(0, STORED);
	CHECK(!world.messages[0].settled && xf_read(&world.lanes.sinks[1].counters.held) == 2);
	happen(SET, 0, 0);
	CHECK(world.messages[0].settled && world.messages[0].released);
	CHECK(!world.messages[1].settled);
	CHECK(xf_read(&world.lanes.sinks[1].counters.held) == 0 && xf_read(&world.lanes.sinks[1].counters.dropped) == 2);
	check_comes_to_rest();
}

/* The second of two says nothing, and the first is enough: what piles up there for nobody has a bound. */
static void
a_sink_that_lags_gets_no_more_than_its_bound(void **state)
{
	static const struct scenario lags = {.name = "lags", ALL(ANY), .sides = 2, .messages = 8, .lanes = "00000000",
	                                     .window = 8, .loose_max = 2};

	(void)state;
	world_start(&lags);
	for (unsigned i = 0; i < 8; i++) {
		happen(ACCEPT, 0, 0);
		answer(0, STORED);
		CHECK(world.messages[i].settled);
	}
	CHECK(world.sides[1].queue.count == 3 && xf_read(&world.lanes.sinks[1].counters.dropped) == 5);
	/* It works again: it gets what comes, and the time that the others had to wait is over. */
	for (unsigned i = 0; i < 3; i++)
		answer(1, STORED);
	CHECK(world.lanes.sinks[1].loose_out == 0);
	check_comes_to_rest();
}

/* While the first does not answer either, the second gets what it was kept from for a moment. */
static void
what_a_sink_that_lags_is_kept_from_comes_in_time(void **state)
{
	static const struct scenario lags = {.name = "lags for a moment", ALL(ANY), .sides = 2, .messages = 4, .lanes = "0000",
	                                     .window = 8, .loose_max = 1};

	(void)state;
	world_start(&lags);
	for (unsigned i = 0; i < 2; i++) {
		happen(ACCEPT, 0, 0);
		answer(0, STORED);
	}
	happen(ACCEPT, 0, 0);
	CHECK(world.sides[1].queue.count == 2 && xf_read(&world.lanes.sinks[1].counters.held) == 1);
	answer(1, STORED);
	answer(1, STORED);
	CHECK(world.sides[1].queue.count == 0);
	CHECK(xf_lanes_tick(&world.lanes, world.now) == RETRY_FIRST_MS);
	world.now += RETRY_FIRST_MS;
	CHECK(xf_lanes_tick(&world.lanes, world.now) == UINT32_MAX && world.sides[1].queue.count == 1);
	answer(1, STORED);
	CHECK(world.messages[2].settled);
	check_comes_to_rest();
}

/* Copies that only wait for their turn are not given up. */
static void
strict_order_drops_no_copy_that_can_wait(void **state)
{
	static const struct scenario strict = {.name = "strict copies", .order = XF_ORDER_STRICT, .to = XF_TO_MIGRATION,
	                                       .sides = 2, .messages = 4, .lanes = "0000", .window = 4, .start = ON(0)};

	(void)state;
	world_start(&strict);
	for (unsigned i = 0; i < 4; i++)
		happen(ACCEPT, 0, 0);
	CHECK(world.sides[0].queue.count == 1 && world.sides[1].queue.count == 1);
	check_comes_to_rest();
	for (unsigned i = 0; i < 4; i++)
		CHECK(world.messages[i].copies[1] == 1);
}

/* Where no order is kept a failing message is tried again at its own time, and nothing else waits for it. */
static void
without_order_nothing_waits_for_what_failed(void **state)
{
	static const struct scenario loose = {.name = "no order", .order = XF_ORDER_NONE, .sides = 1, .messages = 4,
	                                      .lanes = "0000", .window = 4};
	uint32_t wait;

	(void)state;
	world_start(&loose);
	happen(ACCEPT, 0, 0);
	happen(ACCEPT, 0, 0);
	answer(0, REFUSED);
	CHECK(xf_read(&world.lanes.sinks[0].counters.held) == 1 && world.sides[0].queue.count == 1);
	happen(ACCEPT, 0, 0);
	CHECK(world.sides[0].queue.count == 2);
	wait = xf_lanes_tick(&world.lanes, world.now);
	CHECK(wait >= RETRY_FIRST_MS / 2 && wait <= RETRY_FIRST_MS);
	world.now += wait - 1;
	answer(0, REFUSED); /* another one, with a time of its own */
	CHECK(xf_lanes_tick(&world.lanes, world.now) == 1 && world.sides[0].queue.count == 1);
	world.now++;
	CHECK(xf_lanes_tick(&world.lanes, world.now) <= RETRY_FIRST_MS && world.sides[0].queue.count == 2);
	CHECK(xf_read(&world.lanes.sinks[0].counters.held) == 1);
	answer(0, STORED);
	answer(0, STORED);
	CHECK(world.messages[0].settled && !world.messages[1].settled && world.messages[2].settled);
	check_comes_to_rest();
}

/* The reason of the one that refused is told when the last hope is gone, however it went. */
static void
any_is_refused_when_all_have(void **state)
{
	static const struct scenario three = {.name = "refused by all", ALL(ANY), .sides = 3, .messages = 1, .lanes = "0",
	                                      .window = 1, .faults = 3};

	(void)state;
	world_start(&three);
	happen(ACCEPT, 0, 0);
	answer(1, REJECTED);
	answer(0, REJECTED);
	CHECK(!world.messages[0].told && !world.messages[0].settled);
	answer(2, REJECTED);
	CHECK(world.messages[0].told && world.messages[0].settled);
	check_comes_to_rest();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_retry_waits_longer_each_time),
		cmocka_unit_test(an_attempt_is_used_up_by_a_failure_only),
		cmocka_unit_test(a_retry_waits_as_long_as_its_policy_says),
		cmocka_unit_test(a_slow_hand_over_shows_as_stuck),
		cmocka_unit_test(hand_over_time_is_recorded),
		cmocka_unit_test(a_turn_back_needs_nothing_from_the_side_that_is_left),
		cmocka_unit_test(what_is_dropped_is_counted),
		cmocka_unit_test(a_mirror_that_is_not_required_any_more_frees_the_source),
		cmocka_unit_test(a_sink_that_lags_gets_no_more_than_its_bound),
		cmocka_unit_test(what_a_sink_that_lags_is_kept_from_comes_in_time),
		cmocka_unit_test(strict_order_drops_no_copy_that_can_wait),
		cmocka_unit_test(without_order_nothing_waits_for_what_failed),
		cmocka_unit_test(any_is_refused_when_all_have),
		cmocka_unit_test(random_walks),
		cmocka_unit_test(all_states_of_a_plain_sink),
		cmocka_unit_test(all_states_of_a_migration),
		cmocka_unit_test(all_states_of_a_mirror),
		cmocka_unit_test(all_states_of_a_required_mirror),
		cmocka_unit_test(all_states_of_all),
		cmocka_unit_test(all_states_of_any),
		cmocka_unit_test(all_states_of_first),
		cmocka_unit_test(all_states_of_split_and_connections),
		cmocka_unit_test(all_states_of_strict_order),
		cmocka_unit_test(all_states_of_no_order),
		cmocka_unit_test(all_states_in_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
