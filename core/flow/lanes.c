/*
 * What must stay true, for every lane and side:
 *
 * - The held list is sorted by acceptance, and no leg later than its head is sent while it is not empty.
 * - A stopped side sends nothing until its legs under way are back, so what is sent again keeps its place.
 * - While a lane moves, no delivery of it is dispatched; the waiting list keeps their order.
 * - A delivery has one authority leg until that leg is done, on the lane's side or on its way off it.
 *
 * Copies use the same held lists, so they are in order on their side too; one that is not required is dropped,
 * and counted, where it would have to be held.
 */
#include "flow/lanes.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/memory.h"

#define RETRY_FIRST_MS 100
#define RETRY_LONGEST_MS 5000

struct leg_list {
	struct xf_leg *first, *last;
};

/* What a lane needs only while it is not simply flowing. */
struct xf_lane_held {
	struct xf_lane_held *previous, *next;
	struct xf_lane *lane;
	struct leg_list legs[XF_SIDES];
	uint64_t retry_at[XF_SIDES];
	uint32_t retries[XF_SIDES];
	struct xf_delivery *waiting_first, *waiting_last;
	uint64_t moving_since;
};

static struct xf_leg *
leg_next(const struct xf_leg *leg)
{
	return (struct xf_leg *)leg->node.next;
}

void
xf_lanes_init(struct xf_lanes *lanes, const struct xf_lanes_ops *ops, void *context)
{
	*lanes = (struct xf_lanes){.ops = ops, .context = context};
	lanes->handover_timeout_ms = 5000;
	lanes->copies_max = UINT32_MAX;
	lanes->copy_bytes_max = UINT64_MAX;
	lanes->random = (uint64_t)(uintptr_t)lanes | 1;
}

/* ---- Lanes and what they hold ------------------------------------------------------ */

static void
map_set(_Atomic uint64_t *map, uint16_t bucket, bool on)
{
	uint64_t bit = (uint64_t)1 << (bucket % 64);
	uint64_t word = atomic_load_explicit(&map[bucket / 64], memory_order_relaxed);

	atomic_store_explicit(&map[bucket / 64], on ? word | bit : word & ~bit, memory_order_relaxed);
}

static uint8_t
side_of(const struct xf_lanes *lanes, uint16_t bucket)
{
	return bucket < lanes->percent;
}

static struct xf_lane *
lane_get(struct xf_lanes *lanes, uint16_t bucket)
{
	struct xf_lane **page = &lanes->pages[bucket / XF_LANE_PAGE];
	struct xf_lane *lane;

	if (*page == NULL)
		*page = xf_alloc_array(XF_LANE_PAGE, sizeof(**page));
	lane = &(*page)[bucket % XF_LANE_PAGE];
	if (!lane->made) {
		lane->made = true;
		lane->bucket = bucket;
		lane->side = lane->target = side_of(lanes, bucket);
		map_set(lanes->used_map, bucket, true);
		atomic_fetch_add_explicit(&lanes->used, 1, memory_order_relaxed);
	}
	return lane;
}

static bool
lane_moves(const struct xf_lane *lane)
{
	return lane->side != lane->target;
}

static struct xf_lane_held *
held_get(struct xf_lanes *lanes, struct xf_lane *lane)
{
	struct xf_lane_held *held = lane->held;

	if (held == NULL) {
		held = lane->held = xf_alloc(sizeof(*held));
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
	for (unsigned side = 0; side < XF_SIDES; side++) {
		/* What was refused is on its way again: the count of its retries is needed still. */
		bool retries = held->retries[side] > 0 && lane->under_way[side] > 0;

		if (held->legs[side].first != NULL || lane->stopped[side] || retries)
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
side_holds(const struct xf_lane *lane, unsigned side)
{
	return lane->held != NULL && lane->held->legs[side].first != NULL;
}

/* Sorted by acceptance; what comes is nearly always the newest. */
static void
leg_hold(struct xf_lanes *lanes, struct xf_lane *lane, struct xf_leg *leg)
{
	struct leg_list *list = &held_get(lanes, lane)->legs[leg->side];
	struct xf_leg *before = list->last;

	leg->held = true;
	xf_count(&lanes->counters[leg->side].held, 1);
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

static struct xf_leg *
held_pop(struct xf_lanes *lanes, struct xf_lane *lane, unsigned side)
{
	struct leg_list *list = &lane->held->legs[side];
	struct xf_leg *leg = list->first;

	if (leg != NULL) {
		list->first = leg_next(leg);
		if (list->first == NULL)
			list->last = NULL;
		leg->node.next = NULL;
		leg->held = false;
		xf_count(&lanes->counters[side].held, (uint64_t)-1);
	}
	return leg;
}

/* ---- Deliveries and legs ------------------------------------------------------------- */

static bool
leg_is_needed(const struct xf_leg *leg)
{
	return leg->required && !(leg->copy && leg->delivery->waived);
}

/* Whether LEG is given up where it would have to be held. */
static bool
leg_is_loose(const struct xf_lanes *lanes, const struct xf_leg *leg)
{
	return !leg_is_needed(leg) || (!lanes->up[leg->side] && lanes->drop_when_down[leg->side]);
}

static void
leg_free(struct xf_lanes *lanes, struct xf_leg *leg)
{
	struct xf_delivery *delivery = leg->delivery;

	if (leg->copy && !leg->required && leg != delivery->authority) {
		lanes->copies_out--;
		lanes->copy_bytes_out -= delivery->payload_size;
	}
	free(leg->reason);
	leg->reason = NULL;
	if (leg->extra)
		free(leg);
	XF_ASSERT(delivery->out > 0);
	if (--delivery->out == 0 && !delivery->open)
		lanes->ops->release(lanes->context, delivery);
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
	}
	leg_free(lanes, leg);
}

static void
leg_drop(struct xf_lanes *lanes, struct xf_leg *leg)
{
	xf_count(&lanes->counters[leg->side].dropped, 1);
	leg_done(lanes, leg);
}

static void
leg_send(struct xf_lanes *lanes, struct xf_lane *lane, struct xf_leg *leg)
{
	lane->under_way[leg->side]++;
	atomic_store_explicit(&leg->state, XF_LEG_QUEUED, memory_order_relaxed);
	lanes->ops->send(lanes->context, leg);
}

/* To its sink, or behind what is held for it. */
static void
leg_submit(struct xf_lanes *lanes, struct xf_lane *lane, struct xf_leg *leg)
{
	unsigned side = leg->side;

	if (lanes->up[side] && !lane->stopped[side] && !side_holds(lane, side))
		leg_send(lanes, lane, leg);
	else if (leg_is_loose(lanes, leg))
		leg_drop(lanes, leg);
	else
		leg_hold(lanes, lane, leg);
}

static void
leg_make(struct xf_lanes *lanes, struct xf_leg *leg, struct xf_delivery *delivery, unsigned side, bool copy,
         bool required)
{
	leg->delivery = delivery;
	leg->side = (uint8_t)side;
	leg->copy = copy;
	leg->required = required;
	delivery->out++;
	delivery->unconfirmed = (uint16_t)(delivery->unconfirmed + required);
	xf_count(&lanes->counters[side].accepted, 1);
	if (copy) {
		xf_count(&lanes->counters[side].copies, 1);
		if (required) {
			delivery->copied |= (uint8_t)(1u << side);
			delivery->copies_due++;
		} else {
			lanes->copies_out++;
			lanes->copy_bytes_out += delivery->payload_size;
		}
	}
}

static void
delivery_dispatch(struct xf_lanes *lanes, struct xf_lane *lane, struct xf_delivery *delivery)
{
	struct xf_leg *copy = NULL;

	delivery->authority = &delivery->legs[0];
	leg_make(lanes, &delivery->legs[0], delivery, lane->side, false, true);
	if (lanes->mirror != XF_MIRROR_OFF) {
		copy = &delivery->legs[1];
		*copy = (struct xf_leg){.side = 0};
		leg_make(lanes, copy, delivery, !lane->side, true, lanes->mirror == XF_MIRROR_REQUIRED);
	}
	/* The delivery cannot go while its copy is not yet submitted: that is counted in out. */
	leg_submit(lanes, lane, delivery->authority);
	if (copy == NULL)
		return;
	if (!copy->required &&
	    (lanes->copies_out > lanes->copies_max || lanes->copy_bytes_out > lanes->copy_bytes_max))
		leg_drop(lanes, copy);
	else
		leg_submit(lanes, lane, copy);
}

void
xf_lanes_accept(struct xf_lanes *lanes, struct xf_delivery *delivery, uint64_t now_ms)
{
	struct xf_lane *lane = lane_get(lanes, delivery->bucket);

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

	if (lane_moves(lane)) {
		struct xf_lane_held *held = held_get(lanes, lane);

		delivery->waiting_next = NULL;
		if (held->waiting_last != NULL)
			held->waiting_last->waiting_next = delivery;
		else
			held->waiting_first = delivery;
		held->waiting_last = delivery;
		return;
	}
	delivery_dispatch(lanes, lane, delivery);
}

/* Sends what is held, in order, once it may. */
static void
side_resume(struct xf_lanes *lanes, struct xf_lane *lane, unsigned side, uint64_t now_ms)
{
	struct xf_leg *leg;

	if (lane->held == NULL || lane->under_way[side] > 0 ||
	    (side_holds(lane, side) && (!lanes->up[side] || now_ms < lane->held->retry_at[side])))
		return;
	lane->stopped[side] = false;
	while ((leg = held_pop(lanes, lane, side)) != NULL) {
		if (leg->attempts > 0)
			xf_count(&lanes->counters[side].retried, 1);
		leg_send(lanes, lane, leg);
	}
}

/* ---- Moving ------------------------------------------------------------------------------- */

static void
waiting_dispatch(struct xf_lanes *lanes, struct xf_lane *lane)
{
	struct xf_delivery *delivery = lane->held != NULL ? lane->held->waiting_first : NULL;

	if (delivery != NULL)
		lane->held->waiting_first = lane->held->waiting_last = NULL;
	while (delivery != NULL) {
		struct xf_delivery *next = delivery->waiting_next;

		delivery_dispatch(lanes, lane, delivery);
		delivery = next;
	}
}

/* The lane stands where it is to be. */
static void
lane_settle(struct xf_lanes *lanes, struct xf_lane *lane)
{
	lane->side = lane->target;
	lane->stuck = false;
	lane->held->retries[0] = lane->held->retries[1] = 0;
	map_set(lanes->moving, lane->bucket, false);
	map_set(lanes->stuck, lane->bucket, false);
	waiting_dispatch(lanes, lane);
	held_tidy(lanes, lane);
}

static void
lane_open(struct xf_lanes *lanes, struct xf_lane *lane, uint64_t now_ms)
{
	xf_histogram_record(&lanes->handover, (now_ms - lane->held->moving_since) * 1000, 1);
	lane_settle(lanes, lane);
}

/*
 * Gives LEG, an authority leg that is not out, a place on the other side, and where both sides must confirm,
 * leaves a copy to do on this one.
 */
static void
leg_cross(struct xf_lanes *lanes, struct xf_lane *lane, struct xf_leg *leg, unsigned to)
{
	unsigned from = leg->side;

	xf_count(leg->maybe >> from & 1 ? &lanes->counters[from].crossed : &lanes->counters[from].moved, 1);
	xf_count(&lanes->counters[to].accepted, 1);
	if (lanes->mirror == XF_MIRROR_REQUIRED && !leg->delivery->waived && !(leg->delivery->copied >> from & 1)) {
		struct xf_leg *copy = xf_alloc(sizeof(*copy));

		copy->extra = true;
		leg_make(lanes, copy, leg->delivery, from, true, true);
		leg_submit(lanes, lane, copy);
	}
	leg->side = (uint8_t)to;
	leg_submit(lanes, lane, leg);
}

/* What is held on the side that is left goes over, in order; nothing is under way there. */
static void
lane_cross_held(struct xf_lanes *lanes, struct xf_lane *lane)
{
	unsigned from = lane->side, to = lane->target;
	struct leg_list all = lane->held->legs[from];
	struct xf_leg *leg = all.first;

	lane->held->legs[from] = (struct leg_list){NULL, NULL};
	while (leg != NULL) {
		struct xf_leg *next = leg_next(leg);

		leg->held = false;
		xf_count(&lanes->counters[from].held, (uint64_t)-1);
		if (leg->delivery->authority == leg)
			leg_cross(lanes, lane, leg, to);
		else
			leg_hold(lanes, lane, leg);
		leg = next;
	}
}

/* Moves the lane if nothing hinders it; called whenever something of it has changed. */
static void
lane_try(struct xf_lanes *lanes, struct xf_lane *lane, uint64_t now_ms)
{
	unsigned side = lane->side;

	if (!lane_moves(lane) || lane->under_way[side] > 0)
		return;
	if (side_holds(lane, side)) {
		if (lanes->up[side])
			return; /* it goes again here first */
		lane_cross_held(lanes, lane);
	}
	lane->stopped[side] = side_holds(lane, side);
	lane_open(lanes, lane, now_ms);
}

static void
lane_aim(struct xf_lanes *lanes, struct xf_lane *lane, uint8_t target, uint64_t now_ms)
{
	if (lane->target == target)
		return;
	lane->target = target;
	if (!lane_moves(lane)) { /* turned back before it had left */
		lane_settle(lanes, lane);
		return;
	}
	if (lane->under_way[lane->side] == 0 && !side_holds(lane, lane->side)) {
		lane->side = target;
		return;
	}
	held_get(lanes, lane)->moving_since = now_ms;
	map_set(lanes->moving, lane->bucket, true);
	lane_try(lanes, lane, now_ms);
}

/* Drops what need not be held on SIDE any more; the others keep their places. */
static void
held_drop_loose(struct xf_lanes *lanes, struct xf_lane *lane, unsigned side)
{
	struct xf_leg *leg = lane->held->legs[side].first;

	lane->held->legs[side] = (struct leg_list){NULL, NULL};
	while (leg != NULL) {
		struct xf_leg *next = leg_next(leg);

		leg->held = false;
		xf_count(&lanes->counters[side].held, (uint64_t)-1);
		if (leg_is_loose(lanes, leg))
			leg_drop(lanes, leg);
		else
			leg_hold(lanes, lane, leg);
		leg = next;
	}
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
		for (unsigned side = 0; side < XF_SIDES; side++) {
			held_drop_loose(lanes, lane, side);
			side_resume(lanes, lane, side, now_ms);
		}
		lane_try(lanes, lane, now_ms);
		held_tidy(lanes, lane);
	}
}

void
xf_lanes_set(struct xf_lanes *lanes, uint32_t percent, enum xf_mirror mirror, uint64_t now_ms)
{
	if (lanes->mirror == XF_MIRROR_REQUIRED && mirror != XF_MIRROR_REQUIRED)
		copies_waive(lanes, now_ms);
	lanes->percent = percent;
	lanes->mirror = mirror;
	for (size_t p = 0; p < XF_BUCKETS / XF_LANE_PAGE; p++) {
		for (size_t i = 0; lanes->pages[p] != NULL && i < XF_LANE_PAGE; i++) {
			struct xf_lane *lane = &lanes->pages[p][i];

			if (lane->made)
				lane_aim(lanes, lane, side_of(lanes, lane->bucket), now_ms);
		}
	}
}

/*
 * Takes an authority leg back from the side it is under way to. What the plugin may have of it is given up: it
 * returns later, and is only freed then. Another leg stands in for it among the held ones.
 */
static void
leg_recall(struct xf_lanes *lanes, struct xf_lane *lane, struct xf_leg *leg)
{
	struct xf_delivery *delivery = leg->delivery;
	struct xf_leg *stand_in = xf_alloc(sizeof(*stand_in));

	stand_in->extra = true;
	stand_in->delivery = delivery;
	stand_in->side = leg->side;
	stand_in->required = true;
	stand_in->attempts = leg->attempts;
	stand_in->maybe = leg->maybe;
	if (atomic_exchange(&leg->state, XF_LEG_RECALLED) != XF_LEG_QUEUED)
		stand_in->maybe |= (uint8_t)(1u << leg->side);
	leg->abandoned = true;
	leg->required = false;
	lane->under_way[leg->side]--;
	delivery->authority = stand_in;
	delivery->out++;
	leg_hold(lanes, lane, stand_in);
}

void
xf_lanes_force(struct xf_lanes *lanes, uint64_t now_ms)
{
	for (struct xf_delivery *delivery = lanes->oldest; delivery != NULL; delivery = delivery->newer) {
		struct xf_lane *lane = delivery->lane;
		struct xf_leg *leg = delivery->authority;

		if (lane_moves(lane) && leg != NULL && leg->side == lane->side && !leg->held)
			leg_recall(lanes, lane, leg);
	}
	for (struct xf_lane_held *held = lanes->holders, *next; held != NULL; held = next) {
		struct xf_lane *lane = held->lane;
		unsigned left = lane->side;

		next = held->next;
		if (!lane_moves(lane))
			continue;
		lane_cross_held(lanes, lane);
		if (lane->under_way[left] == 0)
			lane->stopped[left] = side_holds(lane, left);
		lane_open(lanes, lane, now_ms);
	}
}

/* ---- Coming back ------------------------------------------------------------------------------ */

/* Doubles from RETRY_FIRST_MS, half of it jitter. */
static uint64_t
retry_delay(struct xf_lanes *lanes, uint32_t retries)
{
	uint64_t delay = (uint64_t)RETRY_FIRST_MS << (retries < 6 ? retries : 6);

	if (delay > RETRY_LONGEST_MS)
		delay = RETRY_LONGEST_MS;
	lanes->random ^= lanes->random << 13;
	lanes->random ^= lanes->random >> 7;
	lanes->random ^= lanes->random << 17;
	return delay / 2 + lanes->random % (delay / 2 + 1);
}

static void
leg_failed(struct xf_lanes *lanes, struct xf_lane *lane, struct xf_leg *leg, uint64_t now_ms)
{
	unsigned side = leg->side;
	struct xf_lane_held *held;

	if (leg->result == XF_RESULT_UNKNOWN)
		leg->maybe |= (uint8_t)(1u << side);
	if (leg_is_loose(lanes, leg) || (leg->bounced && lanes->drop_when_down[side])) {
		leg_drop(lanes, leg);
		return;
	}
	held = held_get(lanes, lane);
	if (!leg->bounced)
		leg->attempts++;
	if (!leg->bounced && !lane->stopped[side])
		held->retry_at[side] = now_ms + retry_delay(lanes, held->retries[side]++);
	lane->stopped[side] = true;
	leg_hold(lanes, lane, leg);
}

void
xf_lanes_returned(struct xf_lanes *lanes, struct xf_leg *leg, uint64_t now_ms)
{
	struct xf_lane *lane = leg->delivery->lane;
	struct xf_leg_counters *counters = &lanes->counters[leg->side];
	unsigned side = leg->side;

	if (leg->abandoned) {
		leg_free(lanes, leg);
		return;
	}
	XF_ASSERT(lane->under_way[side] > 0);
	lane->under_way[side]--;
	switch (leg->result) {
	case XF_RESULT_STORED:
		xf_count(&counters->confirmed, 1);
		if (leg->result_flags & XF_RESULT_NO_RECEIVER)
			xf_count(&counters->no_receiver, 1);
		if (lane->held != NULL)
			lane->held->retries[side] = 0;
		leg_done(lanes, leg);
		break;
	case XF_RESULT_REJECTED:
		xf_count(&counters->refused, 1);
		if (leg_is_needed(leg))
			lanes->ops->refused(lanes->context, leg);
		leg_done(lanes, leg);
		break;
	default:
		leg_failed(lanes, lane, leg, now_ms);
	}
	if (lane->under_way[side] == 0 && atomic_load_explicit(&lane->refused[side], memory_order_relaxed))
		atomic_store_explicit(&lane->refused[side], false, memory_order_relaxed);
	if (lane->held != NULL && lane->under_way[side] == 0) {
		side_resume(lanes, lane, side, now_ms);
		lane_try(lanes, lane, now_ms);
		held_tidy(lanes, lane);
	}
}

void
xf_lanes_side(struct xf_lanes *lanes, unsigned side, bool up, uint64_t now_ms)
{
	lanes->up[side] = up;
	for (struct xf_lane_held *held = lanes->holders, *next; held != NULL; held = next) {
		struct xf_lane *lane = held->lane;

		next = held->next;
		if (up) {
			held->retry_at[side] = 0;
			held->retries[side] = 0;
		} else
			held_drop_loose(lanes, lane, side);
		side_resume(lanes, lane, side, now_ms);
		lane_try(lanes, lane, now_ms);
		held_tidy(lanes, lane);
	}
}

uint32_t
xf_lanes_tick(struct xf_lanes *lanes, uint64_t now_ms)
{
	uint64_t soonest = UINT64_MAX;

	for (struct xf_lane_held *held = lanes->holders, *next; held != NULL; held = next) {
		struct xf_lane *lane = held->lane;
		uint64_t stuck_at = held->moving_since + lanes->handover_timeout_ms;

		next = held->next;
		for (unsigned side = 0; side < XF_SIDES; side++) {
			if (!lane->stopped[side] || !lanes->up[side] || lane->under_way[side] > 0)
				continue;
			side_resume(lanes, lane, side, now_ms);
			if (lane->stopped[side] && held->retry_at[side] < soonest)
				soonest = held->retry_at[side];
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

		for (unsigned side = 0; side < XF_SIDES; side++) {
			while ((leg = held_pop(lanes, held->lane, side)) != NULL)
				leg_free(lanes, leg);
		}
		lanes->holders = held->next;
		free(held);
	}
	while (lanes->oldest != NULL) {
		struct xf_delivery *delivery = lanes->oldest;

		XF_ASSERT(delivery->out == 0);
		lanes->oldest = delivery->newer;
		lanes->ops->release(lanes->context, delivery);
	}
	for (size_t i = 0; i < XF_BUCKETS / XF_LANE_PAGE; i++)
		free(lanes->pages[i]);
}
