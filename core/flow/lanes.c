/*
 * What must stay true, for every lane and sink, where an order is kept:
 *
 * - The held list is sorted by acceptance, and no leg later than its head is sent while it is not empty.
 * - A stopped lane sends nothing to that sink until its legs under way are back, so what is sent again keeps its place.
 * - While a lane moves, no delivery of it is dispatched; the waiting list keeps their order.
 * - A delivery has one authority leg until that leg is done, on the lane's sink or on its way off it.
 *
 * All legs use the same held lists, so they are in order at each sink; one that nobody waits for is dropped, and counted,
 * where it would have to be held because its sink does not take it. (In `strict` order such a one may be held while it only
 * waits for its turn.)
 *
 * Where any one of several sinks is enough, the first confirmation settles; what is held for the others is dropped then, and
 * what is under way goes on as legs that nobody waits for. A sink that has too many of those lags: what it would get next
 * is held for a moment, and sent only if no other sink has confirmed it by then.
 */
#include "flow/lanes.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/memory.h"
#include "flow/retry.h"
#include "flow/spooled.h"

#define RETRY_FIRST_MS 100    /* where no policy is set */
#define RETRY_LONGEST_MS 5000
#define SPOOL_AFTER_MS 500 /* of outage: most are shorter */
#define SPOOL_LOOK_MS 10   /* while something waits for a spool to be empty */
#define SPOOL_NO_ROOM_MS 200
#define SPOOL_NEARLY_EMPTY 1024 /* messages: so few are waited for in memory, or new ones might follow for ever */

struct leg_list {
	struct xf_leg *first, *last;
};

/* What it holds for one sink. */
struct held_legs {
	struct leg_list list;
	uint64_t retry_at;
	uint64_t aside_from; /* while the sink is set aside: the first delivery to be taken back; 0: none */
	uint32_t retries;
};

/* What a lane needs only while it is not simply flowing. */
struct xf_lane_held {
	struct xf_lane_held *previous, *next;
	struct xf_lane *lane;
	struct xf_delivery *waiting_first, *waiting_last;
	uint64_t moving_since;
	bool forced; /* it moves, and what it holds at the sink that it leaves does not go there again */
	struct held_legs at[];
};

static struct xf_leg *
leg_next(const struct xf_leg *leg)
{
	return (struct xf_leg *)leg->node.next;
}

void
xf_lanes_init(struct xf_lanes *lanes, const struct xf_lanes_ops *ops, void *context,
              const struct xf_destination *destination, enum xf_order order)
{
	*lanes = (struct xf_lanes){.ops = ops, .context = context, .destination = *destination, .order = order};
	lanes->lane_size = (uint32_t)(sizeof(struct xf_lane) + destination->sink_count * sizeof(struct xf_lane_sink));
	lanes->sinks = xf_alloc_array(destination->sink_count, sizeof(*lanes->sinks));
	lanes->handover_timeout_ms = 5000;
	lanes->retry = (struct xf_conf_retry){.jitter = true, .initial_ms = RETRY_FIRST_MS, .max_ms = RETRY_LONGEST_MS};
	lanes->loose_max = UINT32_MAX;
	lanes->loose_bytes_max = UINT64_MAX;
	lanes->random = (uint64_t)(uintptr_t)lanes | 1;
}

void
xf_lanes_add_sink(struct xf_lanes *lanes, unsigned pipes, bool drop_when_down)
{
	struct xf_lanes_sink *sink = &lanes->sinks[lanes->sink_count++];

	XF_ASSERT(lanes->sink_count <= lanes->destination.sink_count && lanes->pipe_count + pipes <= XF_PIPES_MAX);
	sink->pipe = lanes->pipe_count;
	sink->pipes = (uint8_t)pipes;
	sink->drop_when_down = drop_when_down;
	lanes->pipe_count = (uint8_t)(lanes->pipe_count + pipes);
	if (pipes == 0)
		lanes->standing |= (uint8_t)(1u << (lanes->sink_count - 1));
}

void
xf_lanes_add_spool(struct xf_lanes *lanes, bool drops, uint64_t now_ms)
{
	struct xf_lanes_sink *sink = &lanes->sinks[lanes->sink_count - 1];

	sink->spools = true;
	sink->spool_drops = drops;
	sink->down_at = now_ms;
}

/* ---- Lanes and what they hold ------------------------------------------------------ */

static void
map_set(_Atomic uint64_t *map, uint16_t bucket, bool on)
{
	uint64_t bit = (uint64_t)1 << (bucket % 64);
	uint64_t word = atomic_load_explicit(&map[bucket / 64], memory_order_relaxed);

	atomic_store_explicit(&map[bucket / 64], on ? word | bit : word & ~bit, memory_order_relaxed);
}

static void
moving_set(struct xf_lanes *lanes, const struct xf_lane *lane, bool on)
{
	bool was = atomic_load_explicit(&lanes->moving[lane->bucket / 64], memory_order_relaxed) >> (lane->bucket % 64) & 1;

	map_set(lanes->moving, lane->bucket, on);
	lanes->moving_count += (uint32_t)on - (uint32_t)was;
}

static bool
lane_spooled(const struct xf_lanes *lanes, const struct xf_lane *lane, unsigned sink)
{
	return lanes->sinks[sink].spools && lanes->ops->spooled(lanes->context, sink, lane->bucket, false) > 0;
}

/* Of these none is an authority: they say nothing of where the lane stands. */
static bool
lane_spooled_copies(const struct xf_lanes *lanes, const struct xf_lane *lane, unsigned sink)
{
	return lanes->sinks[sink].spools && lanes->ops->spooled(lanes->context, sink, lane->bucket, true) > 0;
}

/* Nothing may move elsewhere that a restart would find here behind it. */
static bool
lane_spool_stands(const struct xf_lanes *lanes, const struct xf_lane *lane, unsigned sink)
{
	return lanes->sinks[sink].spools && lanes->ops->spool_stands(lanes->context, sink, lane->bucket);
}

static struct xf_lane_held *held_get(struct xf_lanes *lanes, struct xf_lane *lane);

/* What of a migration's lane was left in the spool of the other side comes first: the lane is on its way from there. */
static void
lane_find_spooled(struct xf_lanes *lanes, struct xf_lane *lane)
{
	unsigned other = lane->sink ^ 1u;

	if (lanes->destination.to != XF_TO_MIGRATION || !lane_spool_stands(lanes, lane, other))
		return;
	lane->sink = (uint8_t)other;
	held_get(lanes, lane)->moving_since = lanes->now_ms;
	moving_set(lanes, lane, true);
}

static struct xf_lane *
lane_get(struct xf_lanes *lanes, uint16_t bucket)
{
	char **page = &lanes->pages[bucket / XF_LANE_PAGE];
	struct xf_lane *lane;

	if (*page == NULL)
		*page = xf_alloc_array(XF_LANE_PAGE, lanes->lane_size);
	lane = (struct xf_lane *)(*page + (size_t)(bucket % XF_LANE_PAGE) * lanes->lane_size);
	if (!lane->made) {
		lane->made = true;
		lane->bucket = bucket;
		lane->sink = lane->target = xf_destination_authority(&lanes->destination, bucket);
		for (unsigned i = 0; i < lanes->sink_count; i++) {
			const struct xf_lanes_sink *sink = &lanes->sinks[i];

			lane->at[i].pipe = (uint8_t)(sink->pipe + (sink->pipes > 1 ? bucket % sink->pipes : 0));
		}
		map_set(lanes->used_map, bucket, true);
		atomic_fetch_add_explicit(&lanes->used, 1, memory_order_relaxed);
		lane_find_spooled(lanes, lane);
	}
	return lane;
}

static bool
lane_moves(const struct xf_lane *lane)
{
	return lane->sink != lane->target;
}

static struct xf_lane_held *
held_get(struct xf_lanes *lanes, struct xf_lane *lane)
{
	struct xf_lane_held *held = lane->held;

	if (held == NULL) {
		held = lane->held = xf_alloc(sizeof(*held) + lanes->sink_count * sizeof(held->at[0]));
		held->lane = lane;
		held->next = lanes->holders;
		if (held->next != NULL)
			held->next->previous = held;
		lanes->holders = held;
	}
	return held;
}

/* Lets go of the structure once the lane simply flows again. */
static void
held_tidy(struct xf_lanes *lanes, struct xf_lane *lane)
{
	struct xf_lane_held *held = lane->held;

	if (held == NULL || lane_moves(lane) || held->waiting_first != NULL)
		return;
	for (unsigned sink = 0; sink < lanes->sink_count; sink++) {
		/* What was refused is on its way again: the count of its retries is needed still. */
		bool retries = held->at[sink].retries > 0 && lane->at[sink].under_way > 0;

		if (held->at[sink].list.first != NULL || lane->at[sink].stopped || retries)
			return;
	}
	if (held->previous != NULL)
		held->previous->next = held->next;
	else
		lanes->holders = held->next;
	if (held->next != NULL)
		held->next->previous = held->previous;
	free(held);
	lane->held = NULL;
}

static bool
lane_holds(const struct xf_lane *lane, unsigned sink)
{
	return lane->held != NULL && lane->held->at[sink].list.first != NULL;
}

unsigned
xf_lanes_pipe_sink(const struct xf_lanes *lanes, unsigned pipe)
{
	unsigned sink = 0;

	while (pipe - lanes->sinks[sink].pipe >= lanes->sinks[sink].pipes)
		sink++;
	return sink;
}

static bool
lane_is_up(const struct xf_lanes *lanes, const struct xf_lane *lane, unsigned sink)
{
	return lanes->up >> lane->at[sink].pipe & 1;
}

/* Sorted by acceptance; what comes is nearly always the newest. */
static void
leg_hold(struct xf_lanes *lanes, struct xf_lane *lane, struct xf_leg *leg)
{
	struct leg_list *list = &held_get(lanes, lane)->at[leg->sink].list;
	struct xf_leg *before = list->last;

	leg->held = true;
	xf_count(&lanes->sinks[leg->sink].counters.held, 1);
	if (before != NULL && before->delivery->sequence > leg->delivery->sequence) {
		before = NULL;
		for (struct xf_leg *at = list->first; at->delivery->sequence < leg->delivery->sequence; at = leg_next(at))
			before = at;
	}
	leg->node.next = before != NULL ? before->node.next : (struct xf_node *)list->first;
	if (before != NULL)
		before->node.next = &leg->node;
	else
		list->first = leg;
	if (before == list->last)
		list->last = leg;
}

static void
leg_unhold(struct xf_lanes *lanes, struct xf_leg *leg)
{
	leg->node.next = NULL;
	leg->held = false;
	xf_count(&lanes->sinks[leg->sink].counters.held, (uint64_t)-1);
}

static struct xf_leg *
held_pop(struct xf_lanes *lanes, struct xf_lane *lane, unsigned sink)
{
	struct leg_list *list = &lane->held->at[sink].list;
	struct xf_leg *leg = list->first;

	if (leg != NULL) {
		list->first = leg_next(leg);
		if (list->first == NULL)
			list->last = NULL;
		leg_unhold(lanes, leg);
	}
	return leg;
}

/* All that is held, as a chain of its own, still marked as held. */
static struct xf_leg *
held_take(struct xf_lane *lane, unsigned sink)
{
	struct xf_leg *first = lane->held->at[sink].list.first;

	lane->held->at[sink].list = (struct leg_list){NULL, NULL};
	return first;
}

static void
held_remove(struct xf_lanes *lanes, struct xf_lane *lane, struct xf_leg *leg)
{
	struct leg_list *list = &lane->held->at[leg->sink].list;
	struct xf_leg *before = NULL;

	for (struct xf_leg *at = list->first; at != leg; at = leg_next(at))
		before = at;
	if (before != NULL)
		before->node.next = leg->node.next;
	else
		list->first = leg_next(leg);
	if (list->last == leg)
		list->last = before;
	leg_unhold(lanes, leg);
}

/* ---- Deliveries and legs ------------------------------------------------------------- */

static bool
leg_is_needed(const struct xf_leg *leg)
{
	return leg->need != XF_NEED_NOT && !(leg->copy && leg->delivery->waived);
}

/* Whether LEG is given up where it would have to be held. */
static bool
leg_is_loose(const struct xf_lanes *lanes, const struct xf_lane *lane, const struct xf_leg *leg)
{
	if (lanes->sinks[leg->sink].spools)
		return false;
	return !leg_is_needed(leg) || (!lane_is_up(lanes, lane, leg->sink) && lanes->sinks[leg->sink].drop_when_down);
}

static void
loose_count(struct xf_lanes *lanes, const struct xf_leg *leg, int by)
{
	struct xf_lanes_sink *sink = &lanes->sinks[leg->sink];

	sink->loose_out += (uint32_t)by;
	sink->loose_bytes_out += (uint64_t)by * leg->delivery->payload_size;
}

static void
delivery_release(struct xf_lanes *lanes, struct xf_delivery *delivery)
{
	uint8_t stored = delivery->stored | lanes->standing;

	if (lanes->destination.to == XF_TO_MIGRATION && (stored == 1 || stored == 2))
		xf_count(&lanes->sinks[stored >> 1].counters.only, 1);
	lanes->ops->release(lanes->context, delivery);
}

/* For good, or as often as it is to be tried. */
static bool
leg_was_refused(const struct xf_lanes *lanes, const struct xf_leg *leg)
{
	return leg->result == XF_RESULT_REJECTED ||
	       (leg->result == XF_RESULT_FAILED && leg->failures == lanes->retry.attempts);
}

/* One that is not gone may be its sink's: what it says of a result is looked at only once it is back. */
static bool
leg_is_gone(const struct xf_leg *leg)
{
	return leg->delivery == NULL;
}

static void
leg_free(struct xf_lanes *lanes, struct xf_leg *leg)
{
	struct xf_delivery *delivery = leg->delivery;

	if (leg->need == XF_NEED_NOT && !leg->abandoned)
		loose_count(lanes, leg, -1);
	/* Where another one may do, a refusal keeps its reason for as long as it may be asked for. */
	if (leg->need != XF_NEED_ANY || !leg_was_refused(lanes, leg) || !delivery->open) {
		free(leg->reason);
		leg->reason = NULL;
	}
	free(leg->wrapped);
	free(leg->reply_to);
	free(leg->dedup_id);
	leg->wrapped = NULL;
	leg->reply_to = leg->dedup_id = NULL;
	leg->delivery = NULL;
	if (leg->extra)
		free(leg);
	XF_ASSERT(delivery->out > 0);
	if (--delivery->out == 0 && !delivery->open)
		delivery_release(lanes, delivery);
}

static void
delivery_confirmed(struct xf_lanes *lanes, struct xf_delivery *delivery)
{
	XF_ASSERT(delivery->unconfirmed > 0);
	if (--delivery->unconfirmed > 0)
		return;
	if (delivery->older != NULL)
		delivery->older->newer = delivery->newer;
	else
		lanes->oldest = delivery->newer;
	if (delivery->newer != NULL)
		delivery->newer->older = delivery->older;
	else
		lanes->newest = delivery->older;
	delivery->open = false;
	lanes->open--;
	lanes->ops->settle(lanes->context, delivery);
}

/* Nobody asks any more why one of several sinks refused DELIVERY. */
static void
reasons_free(const struct xf_lanes *lanes, struct xf_delivery *delivery)
{
	bool any = lanes->destination.to == XF_TO_ALL && lanes->destination.require == XF_REQUIRE_ANY;

	for (unsigned i = 0; any && i < lanes->destination.sink_count; i++) {
		struct xf_leg *leg = xf_delivery_leg(delivery, i);

		if (!leg_is_gone(leg))
			continue;
		free(leg->reason);
		leg->reason = NULL;
	}
}

static void leg_drop(struct xf_lanes *lanes, struct xf_leg *leg);

/* One of several was enough, or none was left: nobody waits for the other legs of DELIVERY. */
static void
others_let_go(struct xf_lanes *lanes, struct xf_delivery *delivery, const struct xf_leg *but)
{
	reasons_free(lanes, delivery);
	for (unsigned i = 0; i < lanes->destination.sink_count; i++) {
		struct xf_leg *leg = xf_delivery_leg(delivery, i);

		if (leg == but || leg_is_gone(leg))
			continue;
		leg->need = XF_NEED_NOT;
		loose_count(lanes, leg, 1);
		if (leg->held) {
			held_remove(lanes, delivery->lane, leg);
			leg_drop(lanes, leg);
		}
	}
}

/* The leg will not be offered again; whatever waited for it need not any more. Counted by the caller. */
static void
leg_done(struct xf_lanes *lanes, struct xf_leg *leg)
{
	struct xf_delivery *delivery = leg->delivery;

	if (delivery->authority == leg)
		delivery->authority = NULL;
	if (leg_is_needed(leg)) {
		delivery->copies_due = (uint16_t)(delivery->copies_due - leg->copy);
		delivery_confirmed(lanes, delivery);
		if (leg->need == XF_NEED_ANY && !delivery->open)
			others_let_go(lanes, delivery, leg);
	}
	leg_free(lanes, leg);
}

static void
leg_stored(struct xf_lanes *lanes, struct xf_leg *leg)
{
	struct xf_delivery *delivery = leg->delivery;

	if (leg->to_spool)
		xf_count(&lanes->sinks[leg->sink].counters.spooled, 1);
	else {
		xf_count(&lanes->sinks[leg->sink].counters.confirmed, 1);
		delivery->stored |= (uint8_t)(1u << leg->sink);
	}
	if (leg->need == XF_NEED_ANY)
		delivery->unconfirmed = 1; /* this one */
	leg_done(lanes, leg);
}

/* Says that the message was refused, if LEG, which was refused or is dropped, was the last hope. */
static void
leg_given_up(struct xf_lanes *lanes, struct xf_leg *leg)
{
	struct xf_delivery *delivery = leg->delivery;
	struct xf_leg *refused = leg_was_refused(lanes, leg) ? leg : NULL, *other;

	if (!leg_is_needed(leg) || (leg->need == XF_NEED_ANY && delivery->unconfirmed > 1))
		return;
	for (unsigned i = 0; leg->need == XF_NEED_ANY && refused == NULL && i < lanes->destination.sink_count; i++) {
		other = xf_delivery_leg(delivery, i);
		if (leg_is_gone(other) && leg_was_refused(lanes, other))
			refused = other;
	}
	if (refused != NULL)
		lanes->ops->refused(lanes->context, delivery, refused);
}

static void
leg_drop(struct xf_lanes *lanes, struct xf_leg *leg)
{
	xf_count(&lanes->sinks[leg->sink].counters.dropped, 1);
	leg_given_up(lanes, leg);
	leg_done(lanes, leg);
}

/* The delays of the next one begin anew. */
static void
leg_refused(struct xf_lanes *lanes, struct xf_leg *leg)
{
	if (leg->delivery->lane->held != NULL)
		leg->delivery->lane->held->at[leg->sink].retries = 0;
	xf_count(&lanes->sinks[leg->sink].counters.refused, 1);
	leg_given_up(lanes, leg);
	leg_done(lanes, leg);
}

/* Where the next leg of a lane may go. */
enum course {
	COURSE_WAIT,
	COURSE_SINK,
	COURSE_SPOOL,
};

static enum course
lane_course(const struct xf_lanes *lanes, const struct xf_lane *lane, unsigned sink)
{
	const struct xf_lanes_sink *at = &lanes->sinks[sink];
	bool aside = lanes->aside >> lane->at[sink].pipe & 1, up = lane_is_up(lanes, lane, sink) && !aside;

	if (lanes->shut)
		return COURSE_WAIT;
	if (!at->spools)
		return up ? COURSE_SINK : COURSE_WAIT;
	if (lanes->order != XF_ORDER_NONE && (lane_spooled(lanes, lane, sink) || lane_spooled_copies(lanes, lane, sink)))
		return up && lanes->ops->spooled_all(lanes->context, sink) <= SPOOL_NEARLY_EMPTY ? COURSE_WAIT : COURSE_SPOOL;
	if (up)
		return COURSE_SINK;
	return aside || lanes->now_ms - at->down_at >= SPOOL_AFTER_MS ? COURSE_SPOOL : COURSE_WAIT;
}

static void
leg_send(struct xf_lanes *lanes, struct xf_lane *lane, struct xf_leg *leg, enum course course)
{
	leg->to_spool = course == COURSE_SPOOL;
	lane->at[leg->sink].spooling = leg->to_spool;
	lane->at[leg->sink].under_way++;
	leg->pipe = lane->at[leg->sink].pipe;
	atomic_store_explicit(&leg->state, XF_LEG_QUEUED, memory_order_relaxed);
	lanes->ops->send(lanes->context, leg);
}

/* Where the next leg may be sent at once. What is under way to the sink is back before anything goes to its spool, and the other
 * way round. */
static enum course
lane_flows(const struct xf_lanes *lanes, const struct xf_lane *lane, unsigned sink)
{
	const struct xf_lane_sink *at = &lane->at[sink];
	enum course course = lane_course(lanes, lane, sink);

	if (lanes->order == XF_ORDER_NONE || course == COURSE_WAIT)
		return course;
	if (at->stopped || lane_holds(lane, sink))
		return COURSE_WAIT;
	if (at->under_way > 0 && (lanes->order == XF_ORDER_STRICT || at->spooling != (course == COURSE_SPOOL)))
		return COURSE_WAIT;
	return course;
}

/* Whether what is held only waits for its turn. */
static bool
lane_paces(const struct xf_lanes *lanes, const struct xf_lane *lane, unsigned sink)
{
	return lanes->order == XF_ORDER_STRICT && lane_is_up(lanes, lane, sink) && !lane->at[sink].stopped;
}

/* To its sink, or behind what is held for it. */
static void
leg_submit(struct xf_lanes *lanes, struct xf_lane *lane, struct xf_leg *leg)
{
	enum course course;

	if (lanes->sinks[leg->sink].pipes == 0)
		leg_stored(lanes, leg);
	else if ((course = lane_flows(lanes, lane, leg->sink)) != COURSE_WAIT)
		leg_send(lanes, lane, leg, course);
	else if (leg_is_loose(lanes, lane, leg) && !lane_paces(lanes, lane, leg->sink))
		leg_drop(lanes, leg);
	else
		leg_hold(lanes, lane, leg);
}

static void
leg_make(struct xf_lanes *lanes, struct xf_leg *leg, struct xf_delivery *delivery, unsigned sink, uint8_t need, bool copy)
{
	leg->delivery = delivery;
	leg->sink = (uint8_t)sink;
	leg->need = need;
	leg->copy = copy;
	leg->role = copy ? XF_SPOOLED_COPY : lanes->destination.to == XF_TO_ALL ? XF_SPOOLED_SINK : XF_SPOOLED_AUTHORITY;
	delivery->out++;
	delivery->unconfirmed = (uint16_t)(delivery->unconfirmed + (need != XF_NEED_NOT));
	xf_count(&lanes->sinks[sink].counters.accepted, 1);
	if (need == XF_NEED_NOT)
		loose_count(lanes, leg, 1);
	if (copy) {
		xf_count(&lanes->sinks[sink].counters.copies, 1);
		if (need != XF_NEED_NOT) {
			delivery->copied |= (uint8_t)(1u << sink);
			delivery->copies_due++;
		}
	}
}

/* Held for a moment although it could be sent. */
static void
leg_defer(struct xf_lanes *lanes, struct xf_lane *lane, struct xf_leg *leg, uint64_t now_ms)
{
	held_get(lanes, lane)->at[leg->sink].retry_at = leg->retry_at = now_ms + RETRY_FIRST_MS;
	lane->at[leg->sink].stopped = lanes->order != XF_ORDER_NONE;
	leg_hold(lanes, lane, leg);
}

/* The first way of LEG: not to a sink that has too many which nobody waits for. */
static void
leg_start(struct xf_lanes *lanes, struct xf_lane *lane, struct xf_leg *leg, uint64_t now_ms)
{
	const struct xf_lanes_sink *sink = &lanes->sinks[leg->sink];
	bool lags = sink->loose_out > lanes->loose_max || sink->loose_bytes_out > lanes->loose_bytes_max;

	if (lags && leg->need == XF_NEED_NOT)
		leg_drop(lanes, leg);
	else if (lags && leg->need == XF_NEED_ANY && lane_flows(lanes, lane, leg->sink) != COURSE_WAIT)
		leg_defer(lanes, lane, leg, now_ms);
	else
		leg_submit(lanes, lane, leg);
}

static void
delivery_dispatch(struct xf_lanes *lanes, struct xf_lane *lane, struct xf_delivery *delivery, uint64_t now_ms)
{
	struct xf_legs_plan plan = xf_destination_legs(&lanes->destination, lane->sink);
	unsigned count = 1;

	delivery->legs = 1;
	if (delivery->replayed > 1 + XF_SPOOLED_AUTHORITY) {
		leg_make(lanes, &delivery->leg, delivery, delivery->replayed_to, XF_NEED_IT,
		         delivery->replayed == 1 + XF_SPOOLED_COPY);
		leg_start(lanes, lane, &delivery->leg, now_ms);
		return;
	}
	delivery->authority = &delivery->leg;
	leg_make(lanes, &delivery->leg, delivery, lane->sink, plan.authority_need, false);
	for (unsigned sink = 0; plan.further >> sink != 0; sink++) {
		struct xf_leg *leg;

		if (!(plan.further >> sink & 1))
			continue;
		leg = xf_delivery_leg(delivery, count++);
		*leg = (struct xf_leg){.sink = 0};
		leg_make(lanes, leg, delivery, sink, plan.further_need, plan.copies);
	}
	delivery->legs = (uint8_t)count;
	/* The delivery cannot go while one of them is not yet started: that is counted in out. */
	for (unsigned i = 0; i < count; i++)
		leg_start(lanes, lane, xf_delivery_leg(delivery, i), now_ms);
}

/* Whether what comes for a lane that moves goes behind what the side that it leaves has spooled: there may be much of that. Not
 * where the other side has spooled something of the lane, too, which nobody there would wait for. */
static bool
lane_follows_spooled(const struct xf_lanes *lanes, const struct xf_lane *lane)
{
	return lane->held->waiting_first == NULL && lane_spooled(lanes, lane, lane->sink) &&
	       !lane_spooled(lanes, lane, lane->target) &&
	       lane_flows(lanes, lane, lane->sink) == COURSE_SPOOL;
}

void
xf_lanes_accept(struct xf_lanes *lanes, struct xf_delivery *delivery, uint64_t now_ms)
{
	struct xf_lane *lane;

	lanes->now_ms = now_ms;
	lane = lane_get(lanes, delivery->bucket);
	delivery->accepted_ms = now_ms;
	delivery->lane = lane;
	delivery->sequence = ++lanes->sequence;
	delivery->open = true;
	delivery->authority = NULL;
	delivery->older = lanes->newest;
	delivery->newer = NULL;
	if (lanes->newest != NULL)
		lanes->newest->newer = delivery;
	else
		lanes->oldest = delivery;
	lanes->newest = delivery;
	lanes->open++;

	if (lane_moves(lane) && !lane_follows_spooled(lanes, lane)) {
		struct xf_lane_held *held = held_get(lanes, lane);

		delivery->waiting_next = NULL;
		if (held->waiting_last != NULL)
			held->waiting_last->waiting_next = delivery;
		else
			held->waiting_first = delivery;
		held->waiting_last = delivery;
		return;
	}
	delivery_dispatch(lanes, lane, delivery, now_ms);
}

/* Where no order is kept: sends what has waited long enough. */
static void
held_send_due(struct xf_lanes *lanes, struct xf_lane *lane, unsigned sink, enum course course, uint64_t now_ms)
{
	struct xf_leg *leg = held_take(lane, sink);

	while (leg != NULL) {
		struct xf_leg *next = leg_next(leg);

		leg_unhold(lanes, leg);
		if (leg->retry_at > now_ms)
			leg_hold(lanes, lane, leg);
		else {
			if (leg->attempts > 0)
				xf_count(&lanes->sinks[sink].counters.retried, 1);
			leg_send(lanes, lane, leg, course);
		}
		leg = next;
	}
}

/* Sends what is held, in order, once it may. */
static void
lane_resume(struct xf_lanes *lanes, struct xf_lane *lane, unsigned sink, uint64_t now_ms)
{
	enum course course = COURSE_SINK;
	struct xf_leg *leg;

	if (lane->held == NULL)
		return;
	if (lane_holds(lane, sink)) {
		course = lane_course(lanes, lane, sink);
		if (course == COURSE_WAIT || (course == COURSE_SINK && lane->held->forced && sink == lane->sink))
			return;
	}
	if (lanes->order == XF_ORDER_NONE) {
		held_send_due(lanes, lane, sink, course, now_ms);
		return;
	}
	if (lane->at[sink].under_way > 0 ||
	    (lane_holds(lane, sink) && lane->at[sink].stopped && now_ms < lane->held->at[sink].retry_at))
		return;
	lane->at[sink].stopped = false;
	while ((leg = held_pop(lanes, lane, sink)) != NULL) {
		if (leg->attempts > 0)
			xf_count(&lanes->sinks[sink].counters.retried, 1);
		leg_send(lanes, lane, leg, course);
		if (lanes->order == XF_ORDER_STRICT)
			return;
	}
}

/* ---- Moving ------------------------------------------------------------------------------- */

static void
waiting_dispatch(struct xf_lanes *lanes, struct xf_lane *lane, uint64_t now_ms)
{
	struct xf_delivery *delivery = lane->held != NULL ? lane->held->waiting_first : NULL;

	if (delivery != NULL)
		lane->held->waiting_first = lane->held->waiting_last = NULL;
	while (delivery != NULL) {
		struct xf_delivery *next = delivery->waiting_next;

		delivery_dispatch(lanes, lane, delivery, now_ms);
		delivery = next;
	}
}

/* The lane stands where it is to be. */
static void
lane_settle(struct xf_lanes *lanes, struct xf_lane *lane, uint64_t now_ms)
{
	lane->sink = lane->target;
	lane->stuck = false;
	lane->held->forced = false;
	for (unsigned sink = 0; sink < lanes->sink_count; sink++)
		lane->held->at[sink].retries = 0;
	moving_set(lanes, lane, false);
	map_set(lanes->stuck, lane->bucket, false);
	waiting_dispatch(lanes, lane, now_ms);
	held_tidy(lanes, lane);
}

/* Nothing is under way any more at the sink FROM, which the lane leaves: what it still holds there waits. */
static void
lane_open(struct xf_lanes *lanes, struct xf_lane *lane, uint64_t now_ms)
{
	unsigned from = lane->sink;

	if (lane->at[from].under_way == 0)
		lane->at[from].stopped = lane_holds(lane, from) && lanes->order != XF_ORDER_NONE;
	xf_histogram_record(&lanes->handover, (now_ms - lane->held->moving_since) * 1000, 1);
	lane_settle(lanes, lane, now_ms);
}

/*
 * Gives LEG, an authority leg that is not out, a place at the other side, and where both sides must confirm,
 * leaves a copy to do at this one.
 */
static void
leg_cross(struct xf_lanes *lanes, struct xf_lane *lane, struct xf_leg *leg, unsigned to)
{
	unsigned from = leg->sink;
	struct xf_leg_counters *left = &lanes->sinks[from].counters;

	xf_count(leg->maybe >> from & 1 ? &left->crossed : &left->moved, 1);
	xf_count(&lanes->sinks[to].counters.accepted, 1);
	if (lanes->destination.mirror == XF_MIRROR_REQUIRED && !leg->delivery->waived &&
	    !(leg->delivery->copied >> from & 1)) {
		struct xf_leg *copy = xf_alloc(sizeof(*copy));

		copy->extra = true;
		leg_make(lanes, copy, leg->delivery, from, XF_NEED_IT, true);
		leg_submit(lanes, lane, copy);
	}
	leg->sink = (uint8_t)to;
	leg_submit(lanes, lane, leg);
}

/* What is held at the sink that is left goes over, in order; nothing is under way there. */
static void
lane_cross_held(struct xf_lanes *lanes, struct xf_lane *lane)
{
	struct xf_leg *leg = held_take(lane, lane->sink);

	while (leg != NULL) {
		struct xf_leg *next = leg_next(leg);

		leg_unhold(lanes, leg);
		if (leg->delivery->authority == leg)
			leg_cross(lanes, lane, leg, lane->target);
		else
			leg_hold(lanes, lane, leg);
		leg = next;
	}
}

/* Moves the lane if nothing hinders it; called whenever something of it has changed. */
static void
lane_try(struct xf_lanes *lanes, struct xf_lane *lane, uint64_t now_ms)
{
	if (!lane_moves(lane) || lane->at[lane->sink].under_way > 0 || lane_spool_stands(lanes, lane, lane->sink))
		return;
	if (lane_holds(lane, lane->sink)) {
		if (lane_is_up(lanes, lane, lane->sink) && !lane->held->forced)
			return; /* it goes again here first */
		lane_cross_held(lanes, lane);
	}
	lane_open(lanes, lane, now_ms);
}

static void
lane_aim(struct xf_lanes *lanes, struct xf_lane *lane, uint8_t target, uint64_t now_ms)
{
	if (lane->target == target)
		return;
	lane->target = target;
	if (!lane_moves(lane)) { /* turned back before it had left */
		lane_settle(lanes, lane, now_ms);
		return;
	}
	if (lane->at[lane->sink].under_way == 0 && !lane_holds(lane, lane->sink) &&
	    !lane_spool_stands(lanes, lane, lane->sink)) {
		lane->sink = target;
		return;
	}
	held_get(lanes, lane)->moving_since = now_ms;
	moving_set(lanes, lane, true);
	lane_try(lanes, lane, now_ms);
}

/* Drops what need not be held for SINK any more; the others keep their places. */
static void
held_drop_loose(struct xf_lanes *lanes, struct xf_lane *lane, unsigned sink)
{
	struct xf_leg *leg = held_take(lane, sink);

	while (leg != NULL) {
		struct xf_leg *next = leg_next(leg);

		leg_unhold(lanes, leg);
		if (leg_is_loose(lanes, lane, leg))
			leg_drop(lanes, leg);
		else
			leg_hold(lanes, lane, leg);
		leg = next;
	}
}

/* Something that may concern every sink has changed. */
static void
lane_review(struct xf_lanes *lanes, struct xf_lane *lane, uint64_t now_ms)
{
	for (unsigned sink = 0; sink < lanes->sink_count; sink++)
		lane_resume(lanes, lane, sink, now_ms);
	lane_try(lanes, lane, now_ms);
	held_tidy(lanes, lane);
}

/*
 * The mirror is not required any more: no delivery waits for its copies, or a dead side would hold the source for
 * as long as it is dead. Copies under way go on; held ones are dropped.
 */
static void
copies_waive(struct xf_lanes *lanes, uint64_t now_ms)
{
	for (struct xf_delivery *delivery = lanes->oldest, *next; delivery != NULL; delivery = next) {
		next = delivery->newer;
		if (delivery->copies_due == 0)
			continue;
		delivery->waived = true;
		delivery->unconfirmed = (uint16_t)(delivery->unconfirmed - delivery->copies_due + 1);
		delivery->copies_due = 0;
		/* The one that is left over stands for all of them. */
		delivery_confirmed(lanes, delivery);
	}
	for (struct xf_lane_held *held = lanes->holders, *next; held != NULL; held = next) {
		struct xf_lane *lane = held->lane;

		next = held->next;
		for (unsigned sink = 0; sink < lanes->sink_count; sink++)
			held_drop_loose(lanes, lane, sink);
		lane_review(lanes, lane, now_ms);
	}
}

void
xf_lanes_set(struct xf_lanes *lanes, uint32_t percent, enum xf_mirror mirror, uint64_t now_ms)
{
	lanes->now_ms = now_ms;
	if (lanes->destination.mirror == XF_MIRROR_REQUIRED && mirror != XF_MIRROR_REQUIRED)
		copies_waive(lanes, now_ms);
	lanes->destination.percent = percent;
	lanes->destination.mirror = mirror;
	for (size_t p = 0; p < XF_BUCKETS / XF_LANE_PAGE; p++) {
		for (size_t i = 0; lanes->pages[p] != NULL && i < XF_LANE_PAGE; i++) {
			struct xf_lane *lane = (struct xf_lane *)(lanes->pages[p] + i * lanes->lane_size);

			if (lane->made)
				lane_aim(lanes, lane, xf_destination_authority(&lanes->destination, lane->bucket), now_ms);
		}
	}
}

/*
 * Takes a leg back from the sink it is under way to. What the plugin may have of it is given up: it
 * returns later, and is only freed then. Another leg stands in for it among the held ones.
 */
static void
leg_recall(struct xf_lanes *lanes, struct xf_lane *lane, struct xf_leg *leg)
{
	struct xf_delivery *delivery = leg->delivery;
	struct xf_leg *stand_in = xf_alloc(sizeof(*stand_in));

	stand_in->extra = true;
	stand_in->delivery = delivery;
	stand_in->sink = leg->sink;
	stand_in->need = leg->need;
	stand_in->copy = leg->copy;
	stand_in->role = leg->role;
	stand_in->attempts = leg->attempts;
	stand_in->failures = leg->failures;
	stand_in->maybe = leg->maybe;
	if (atomic_exchange(&leg->state, XF_LEG_RECALLED) != XF_LEG_QUEUED)
		stand_in->maybe |= (uint8_t)(1u << leg->sink);
	leg->abandoned = true;
	leg->need = XF_NEED_NOT;
	lane->at[leg->sink].under_way--;
	if (delivery->authority == leg)
		delivery->authority = stand_in;
	delivery->out++;
	leg_hold(lanes, lane, stand_in);
}

void
xf_lanes_force(struct xf_lanes *lanes, uint64_t now_ms)
{
	lanes->now_ms = now_ms;
	for (struct xf_delivery *delivery = lanes->oldest; delivery != NULL; delivery = delivery->newer) {
		struct xf_lane *lane = delivery->lane;
		struct xf_leg *leg = delivery->authority;

		if (lane_moves(lane) && leg != NULL && leg->sink == lane->sink && !leg->held && !leg->to_spool)
			leg_recall(lanes, lane, leg);
	}
	for (struct xf_lane_held *held = lanes->holders, *next; held != NULL; held = next) {
		struct xf_lane *lane = held->lane;

		next = held->next;
		if (!lane_moves(lane))
			continue;
		/* What is spooled is forced by those who read it back; it is soon gone, and comes first. */
		held->forced = lane_spool_stands(lanes, lane, lane->sink);
		if (held->forced)
			continue;
		lane_cross_held(lanes, lane);
		lane_open(lanes, lane, now_ms);
	}
}

static bool
leg_is_on(const struct xf_leg *leg, unsigned pipe)
{
	return !leg_is_gone(leg) && !leg->held && !leg->to_spool && !leg->abandoned && leg->pipe == pipe;
}

/* The leg of DELIVERY that is under way by PIPE, or NULL. (A copy that was taken back once is not found any more: it is waited for.) */
static struct xf_leg *
leg_by_pipe(struct xf_delivery *delivery, unsigned pipe)
{
	if (delivery->authority != NULL && leg_is_on(delivery->authority, pipe))
		return delivery->authority;
	for (unsigned i = 0; i < delivery->legs; i++)
		if (leg_is_on(xf_delivery_leg(delivery, i), pipe))
			return xf_delivery_leg(delivery, i);
	return NULL;
}

static bool
leg_goes_aside(const struct xf_leg *leg, enum xf_aside aside)
{
	return leg != NULL && (aside == XF_ASIDE_ALL || atomic_load(&leg->state) == XF_LEG_QUEUED);
}

/* Where an order is kept, all that follow the first of a lane go with it, whatever the sink does meanwhile: one that its plugin did not take is
 * queued again. */
static void
aside_recall(struct xf_lanes *lanes, unsigned pipe, enum xf_aside aside)
{
	unsigned sink = xf_lanes_pipe_sink(lanes, pipe);

	for (struct xf_delivery *delivery = lanes->oldest; delivery != NULL; delivery = delivery->newer) {
		struct xf_leg *leg = leg_by_pipe(delivery, pipe);
		struct held_legs *held;

		if (!leg_goes_aside(leg, aside))
			continue;
		held = &held_get(lanes, delivery->lane)->at[sink];
		if (held->aside_from == 0)
			held->aside_from = delivery->sequence;
	}
	/* From the newest on: each is held before the one that was taken back last. */
	for (struct xf_delivery *delivery = lanes->newest; delivery != NULL; delivery = delivery->older) {
		struct xf_leg *leg = leg_by_pipe(delivery, pipe);
		const struct xf_lane_held *held = delivery->lane->held;

		if (leg == NULL || held == NULL || held->at[sink].aside_from == 0 || delivery->sequence < held->at[sink].aside_from)
			continue;
		if (lanes->order != XF_ORDER_NONE || leg_goes_aside(leg, aside))
			leg_recall(lanes, delivery->lane, leg);
	}
}

void
xf_lanes_aside(struct xf_lanes *lanes, unsigned pipe, enum xf_aside aside, uint64_t now_ms)
{
	unsigned sink = xf_lanes_pipe_sink(lanes, pipe);

	lanes->now_ms = now_ms;
	lanes->aside = aside != XF_ASIDE_NOTHING ? lanes->aside | 1u << pipe : lanes->aside & ~(1u << pipe);
	if (aside != XF_ASIDE_NOTHING)
		aside_recall(lanes, pipe, aside);
	for (struct xf_lane_held *held = lanes->holders, *next; held != NULL; held = next) {
		struct xf_lane *lane = held->lane;

		next = held->next;
		if (lane->at[sink].pipe != pipe)
			continue;
		held->at[sink].aside_from = 0;
		lane_resume(lanes, lane, sink, UINT64_MAX);
		lane_try(lanes, lane, now_ms);
		held_tidy(lanes, lane);
	}
}

/* ---- Coming back ------------------------------------------------------------------------------ */

static void
leg_failed(struct xf_lanes *lanes, struct xf_lane *lane, struct xf_leg *leg, uint64_t now_ms)
{
	struct xf_lane_sink *at = &lane->at[leg->sink];
	struct held_legs *held;

	if (leg->result == XF_RESULT_UNKNOWN || leg->result == XF_RESULT_FAILED)
		leg->maybe |= (uint8_t)(1u << leg->sink);
	if (leg_is_loose(lanes, lane, leg) || (leg->bounced && leg->down && lanes->sinks[leg->sink].drop_when_down) ||
	    (leg->to_spool && (lanes->sinks[leg->sink].spool_drops || !leg_is_needed(leg)))) {
		leg_drop(lanes, leg);
		return;
	}
	held = &held_get(lanes, lane)->at[leg->sink];
	leg->retry_at = 0;
	if (leg->to_spool)
		held->retry_at = leg->retry_at = now_ms + SPOOL_NO_ROOM_MS;
	else if (!leg->bounced) {
		leg->attempts++;
		if (lanes->order == XF_ORDER_NONE)
			leg->retry_at = now_ms + xf_retry_delay(&lanes->retry, leg->attempts - 1, &lanes->random);
		else if (!at->stopped)
			held->retry_at = now_ms + xf_retry_delay(&lanes->retry, held->retries++, &lanes->random);
	}
	at->stopped = lanes->order != XF_ORDER_NONE;
	leg_hold(lanes, lane, leg);
}

void
xf_lanes_returned(struct xf_lanes *lanes, struct xf_leg *leg, uint64_t now_ms)
{
	struct xf_lane *lane = leg->delivery->lane;
	struct xf_leg_counters *counters = &lanes->sinks[leg->sink].counters;
	unsigned sink = leg->sink;
	bool any = leg->need == XF_NEED_ANY;

	lanes->now_ms = now_ms;
	if (leg->abandoned) {
		if (leg->result == XF_RESULT_STORED)
			leg->delivery->stored |= (uint8_t)(1u << sink);
		leg_free(lanes, leg);
		return;
	}
	XF_ASSERT(lane->at[sink].under_way > 0);
	lane->at[sink].under_way--;
	switch (leg->result) {
	case XF_RESULT_STORED:
		if (leg->result_flags & XF_RESULT_NO_RECEIVER)
			xf_count(&counters->no_receiver, 1);
		if (lane->held != NULL)
			lane->held->at[sink].retries = 0;
		leg_stored(lanes, leg);
		break;
	case XF_RESULT_REJECTED:
		leg_refused(lanes, leg);
		break;
	case XF_RESULT_FAILED:
		if (++leg->failures == lanes->retry.attempts) {
			leg_refused(lanes, leg);
			break;
		}
		/* fall through */
	default:
		leg_failed(lanes, lane, leg, now_ms);
	}
	if (lane->at[sink].under_way == 0 && atomic_load_explicit(&lane->at[sink].refused, memory_order_relaxed))
		atomic_store_explicit(&lane->at[sink].refused, false, memory_order_relaxed);
	if (lane->held == NULL)
		return;
	if (any) /* what other sinks held may be gone */
		lane_review(lanes, lane, now_ms);
	else if (lane->at[sink].under_way == 0) {
		lane_resume(lanes, lane, sink, now_ms);
		lane_try(lanes, lane, now_ms);
		held_tidy(lanes, lane);
	}
}

void
xf_lanes_pipe(struct xf_lanes *lanes, unsigned pipe, bool up, uint64_t now_ms)
{
	unsigned sink = xf_lanes_pipe_sink(lanes, pipe);

	lanes->now_ms = now_ms;
	if (!up)
		lanes->sinks[sink].down_at = now_ms;
	lanes->up = up ? lanes->up | 1u << pipe : lanes->up & ~(1u << pipe);
	for (struct xf_lane_held *held = lanes->holders, *next; held != NULL; held = next) {
		struct xf_lane *lane = held->lane;

		next = held->next;
		if (lane->at[sink].pipe != pipe)
			continue;
		if (up)
			held->at[sink].retries = 0;
		else
			held_drop_loose(lanes, lane, sink);
		/* A new connection ends every wait. */
		lane_resume(lanes, lane, sink, up ? UINT64_MAX : now_ms);
		lane_try(lanes, lane, now_ms);
		held_tidy(lanes, lane);
	}
}

unsigned
xf_lanes_target(struct xf_lanes *lanes, uint16_t bucket)
{
	return lane_get(lanes, bucket)->target;
}

bool
xf_lanes_sink_is_up(struct xf_lanes *lanes, uint16_t bucket, unsigned sink)
{
	return lane_is_up(lanes, lane_get(lanes, bucket), sink);
}

/* Whether LANE waits for a time to go on at SINK. */
static bool
lane_waits(const struct xf_lanes *lanes, const struct xf_lane *lane, unsigned sink)
{
	if (lanes->sinks[sink].spools)
		return lane_holds(lane, sink) && lane->at[sink].under_way == 0;
	if (!lane_is_up(lanes, lane, sink))
		return false;
	if (lanes->order == XF_ORDER_NONE)
		return lane_holds(lane, sink);
	return lane->at[sink].stopped && lane->at[sink].under_way == 0;
}

/* When the first leg that LANE holds for SINK may go again. */
static uint64_t
held_due(const struct xf_lanes *lanes, const struct xf_lane *lane, unsigned sink)
{
	uint64_t due = lane->held->at[sink].retry_at;

	if (lanes->sinks[sink].spools)
		return due > lanes->now_ms + SPOOL_LOOK_MS ? due : lanes->now_ms + SPOOL_LOOK_MS;
	if (lanes->order != XF_ORDER_NONE)
		return due;
	due = UINT64_MAX;
	for (const struct xf_leg *leg = lane->held->at[sink].list.first; leg != NULL; leg = leg_next(leg))
		if (leg->retry_at < due)
			due = leg->retry_at;
	return due;
}

uint32_t
xf_lanes_tick(struct xf_lanes *lanes, uint64_t now_ms)
{
	uint64_t soonest = UINT64_MAX;

	lanes->now_ms = now_ms;
	for (struct xf_lane_held *held = lanes->holders, *next; held != NULL; held = next) {
		struct xf_lane *lane = held->lane;
		uint64_t stuck_at = held->moving_since + lanes->handover_timeout_ms;

		next = held->next;
		if (lane_moves(lane) && lanes->sinks[lane->sink].spools) {
			lane_try(lanes, lane, now_ms);
			if (lane_moves(lane) && now_ms + SPOOL_LOOK_MS < soonest)
				soonest = now_ms + SPOOL_LOOK_MS;
		}
		for (unsigned sink = 0; sink < lanes->sink_count; sink++) {
			if (!lane_waits(lanes, lane, sink))
				continue;
			lane_resume(lanes, lane, sink, now_ms);
			if (lane_waits(lanes, lane, sink) && held_due(lanes, lane, sink) < soonest)
				soonest = held_due(lanes, lane, sink);
		}
		if (lane_moves(lane) && !lane->stuck) {
			if (now_ms >= stuck_at) {
				lane->stuck = true;
				map_set(lanes->stuck, lane->bucket, true);
			} else if (stuck_at < soonest)
				soonest = stuck_at;
		}
		held_tidy(lanes, lane);
	}
	if (soonest == UINT64_MAX)
		return UINT32_MAX;
	return soonest > now_ms ? (uint32_t)(soonest - now_ms) : 0;
}

/* Whatever is still open is given up: its broker has it. */
void
xf_lanes_fini(struct xf_lanes *lanes)
{
	struct xf_leg *leg;

	while (lanes->holders != NULL) {
		struct xf_lane_held *held = lanes->holders;

		for (unsigned sink = 0; sink < lanes->sink_count; sink++) {
			while ((leg = held_pop(lanes, held->lane, sink)) != NULL)
				leg_free(lanes, leg);
		}
		lanes->holders = held->next;
		free(held);
	}
	while (lanes->oldest != NULL) {
		struct xf_delivery *delivery = lanes->oldest;

		XF_ASSERT(delivery->out == 0);
		lanes->oldest = delivery->newer;
		reasons_free(lanes, delivery);
		lanes->ops->release(lanes->context, delivery);
	}
	for (size_t i = 0; i < XF_BUCKETS / XF_LANE_PAGE; i++)
		free(lanes->pages[i]);
	free(lanes->sinks);
}
