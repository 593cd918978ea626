/*
 * The consuming side. What a source was handed stands in its ring until it is settled, in the order of handing out, so a
 * handle is a position.
 *
 * With ack_wait each of those has a deadline beside it. The queue knows the earliest of all its members'; when that has
 * passed, whichever member asks for messages next takes back what is overdue, also from one whose thread is stuck.
 */
#include "broker.h"

#include <stdlib.h>

/* ---- Life ------------------------------------------------------------------------------ */

bool
member_init(struct member *member, struct broker *broker, struct xf_endpoint *endpoint, struct xf_str group,
            struct xf_str pattern, bool durable)
{
	member->broker = broker;
	member->endpoint = endpoint;
	pthread_mutex_lock(&broker->lock);
	member->queue = broker_queue_locked(broker, group, pattern, durable);
	if (member->queue != NULL) {
		member->queue->member_count++;
		member->next = member->queue->members;
		member->queue->members = member;
	}
	pthread_mutex_unlock(&broker->lock);
	return member->queue != NULL;
}

void
member_fini(struct member *member)
{
	struct broker *broker = member->broker;
	struct member **at = &member->queue->members;

	pthread_mutex_lock(&broker->lock);
	while (*at != member)
		at = &(*at)->next;
	*at = member->next;
	member->queue->member_count--;
	if (broker_queue_is_over_locked(broker, member->queue))
		broker_queue_remove_locked(broker, member->queue);
	pthread_mutex_unlock(&broker->lock);
	free(member->out.entries);
	free(member->deadlines);
}

void
member_start(struct member *member)
{
	pthread_mutex_lock(&member->broker->lock);
	member->running = true;
	member->queue->used = true;
	pthread_mutex_unlock(&member->broker->lock);
}

/* One that is out comes back; room was reserved when it was handed out. */
static void
member_return_locked(struct member *member, struct entry *entry, uint64_t due_ms)
{
	member->queue->unsettled--;
	queue_return(member->queue, *entry, due_ms);
	entry->record = NULL;
}

/* What is settled at the front of the ring goes out of it. */
static void
member_advance_locked(struct member *member)
{
	struct ring *out = &member->out;

	while (out->head != out->tail && ring_at(out, out->head)->record == NULL)
		out->head++;
}

void
member_stop(struct member *member)
{
	struct broker *broker = member->broker;
	struct ring *out = &member->out;

	pthread_mutex_lock(&broker->lock);
	member->running = false;
	member->waiting = false;
	for (uint64_t at = out->head; at != out->tail; at++)
		if (ring_at(out, at)->record != NULL)
			member_return_locked(member, ring_at(out, at), 0);
	member_advance_locked(member);
	broker_wake_members_locked(broker, member->queue);
	pthread_mutex_unlock(&broker->lock);
}

/* ---- Deadlines ------------------------------------------------------------------------- */

/* Room for COUNT more in the ring, and beside it. */
static bool
member_reserve_locked(struct member *member, uint32_t count)
{
	struct ring *out = &member->out;
	uint64_t old = member->deadline_count, *deadlines;

	if (!ring_reserve(out, count))
		return false;
	if (member->ack_wait_ms == 0 || old == out->size)
		return true;
	deadlines = malloc(out->size * sizeof(*deadlines));
	if (deadlines == NULL)
		return false;
	for (uint64_t at = out->head; at != out->tail; at++)
		deadlines[at & (out->size - 1)] = member->deadlines[at & (old - 1)];
	free(member->deadlines);
	member->deadlines = deadlines;
	member->deadline_count = out->size;
	return true;
}

static void
member_deadline_locked(struct member *member, uint64_t at, uint64_t now_ms)
{
	uint64_t deadline = now_ms + member->ack_wait_ms;

	member->deadlines[at & (member->deadline_count - 1)] = deadline;
	if (deadline < member->queue->overdue_ms)
		member->queue->overdue_ms = deadline;
}

/* Takes back what MEMBER should have settled by now; returns the earliest deadline of the rest. */
static uint64_t
member_overdue_locked(struct member *member, uint64_t now_ms)
{
	struct ring *out = &member->out;
	uint64_t first = UINT64_MAX;

	if (member->ack_wait_ms == 0)
		return first;
	for (uint64_t at = out->head; at != out->tail; at++) {
		uint64_t deadline = member->deadlines[at & (member->deadline_count - 1)];

		if (ring_at(out, at)->record == NULL)
			continue;
		if (deadline > now_ms) {
			first = deadline < first ? deadline : first;
			continue;
		}
		member_return_locked(member, ring_at(out, at), 0);
		member->broker->overdue++;
	}
	member_advance_locked(member);
	return first;
}

static void
queue_overdue_locked(struct queue *queue, uint64_t now_ms)
{
	uint64_t first = UINT64_MAX;

	if (queue->overdue_ms > now_ms)
		return;
	for (struct member *m = queue->members; m != NULL; m = m->next) {
		uint64_t its = member_overdue_locked(m, now_ms);

		first = its < first ? its : first;
	}
	queue->overdue_ms = first;
}

/* ---- Taking ------------------------------------------------------------------------------ */

/* How many of COUNT this one may have, so that the others of its group get their share. */
static uint32_t
member_share_locked(const struct member *member, uint32_t count)
{
	const struct queue *queue = member->queue;
	uint64_t share = queue_pending(queue) / (queue->member_count > 0 ? queue->member_count : 1) + 1;

	return share < count ? (uint32_t)share : count;
}

/* What the queue asks the clock for: retries, deadlines, and messages that may have died. */
static uint64_t
queue_clock_locked(const struct broker *broker, const struct queue *queue, const struct member *member)
{
	if (queue->returned_count > queue->returned_first || queue->overdue_ms != UINT64_MAX || broker->mortal ||
	    member->ack_wait_ms > 0)
		return broker->host->now_ms();
	return 0;
}

/* Hands out one, of at most BYTES. */
static bool
member_take_one_locked(struct member *member, uint64_t now_ms, uint64_t *bytes, bool alone)
{
	struct queue *queue = member->queue;
	struct entry *entry;

	if (member->broker->mortal)
		broker_bury_locked(member->broker, queue, now_ms);
	entry = queue_peek(queue, now_ms);
	if (entry == NULL || (entry->size > *bytes && !alone))
		return false;
	*bytes -= entry->size < *bytes ? entry->size : *bytes;
	entry->attempts++;
	if (member->ack_wait_ms > 0)
		member_deadline_locked(member, member->out.tail, now_ms);
	ring_push(&member->out, *entry);
	queue_shift(queue, now_ms);
	return true;
}

/* When to look again: for a retry that is due, or for what somebody is late with. */
static uint32_t
member_due_in_locked(struct member *member, uint64_t now_ms)
{
	struct queue *queue = member->queue;
	uint32_t due_in = queue_due_in(queue, now_ms);
	uint64_t overdue_in = queue->overdue_ms > now_ms ? queue->overdue_ms - now_ms : 1;

	return queue->overdue_ms != UINT64_MAX && overdue_in < due_in ? (uint32_t)overdue_in : due_in;
}

uint32_t
member_take(struct member *member, uint32_t count, uint64_t bytes, bool alone, uint64_t *at, uint32_t *due_in_ms)
{
	struct broker *broker = member->broker;
	struct queue *queue = member->queue;
	uint64_t now, before;
	uint32_t taken = 0;

	*at = member->out.tail;
	*due_in_ms = UINT32_MAX;
	pthread_mutex_lock(&broker->lock);
	now = queue_clock_locked(broker, queue, member);
	before = broker->messages;
	queue_overdue_locked(queue, now);
	count = member_share_locked(member, count);
	/* whatever is out must be able to come back */
	if (!member_reserve_locked(member, count) || !queue_return_reserve(queue, queue->unsettled + count)) {
		*due_in_ms = 100;
		count = 0;
	}
	while (taken < count && member_take_one_locked(member, now, &bytes, alone && taken == 0))
		taken++;
	queue->unsettled += taken;
	broker->delivered += taken;
	if (taken == 0 && count > 0) {
		*due_in_ms = member_due_in_locked(member, now);
		member->waiting = member->running;
		if (queue->pins == 0)
			ring_relax(&queue->fresh);
	}
	if (broker->messages < before) /* the dead made room */
		broker_wake_producers_locked(broker);
	pthread_mutex_unlock(&broker->lock);
	return taken;
}

void
member_untake(struct member *member, uint32_t count)
{
	struct broker *broker = member->broker;

	pthread_mutex_lock(&broker->lock);
	for (uint32_t i = 0; i < count; i++) {
		struct entry *entry = ring_at(&member->out, --member->out.tail);

		if (entry->record == NULL) /* overdue already */
			continue;
		entry->attempts--;
		broker->delivered--;
		member_return_locked(member, entry, 0);
	}
	broker_wake_members_locked(broker, member->queue);
	pthread_mutex_unlock(&broker->lock);
}

/* ---- Settling ------------------------------------------------------------------------------ */

/* Neighbours mostly lie in one segment: their places are given up together. */
struct giving_up {
	struct segment *segment;
	uint64_t count;
};

static void
give_up_locked(struct broker *broker, struct giving_up *g)
{
	broker->messages -= g->count;
	if (g->count > 0)
		store_unwant(&broker->store, g->segment, g->count);
	g->count = 0;
}

static void
settled_locked(struct member *member, struct giving_up *g, struct entry *entry)
{
	struct broker *broker = member->broker;
	struct segment *segment = record_segment(&broker->store, entry->record);

	if (broker->keeper != NULL) {
		broker_place_drop_locked(broker, member->queue, entry->record);
		return;
	}
	if (segment != g->segment)
		give_up_locked(broker, g);
	g->segment = segment;
	g->count++;
}

bool
member_settle(struct member *member, const struct xf_settlement *settlements, uint32_t count)
{
	struct broker *broker = member->broker;
	struct ring *out = &member->out;
	struct giving_up g = {NULL, 0};
	uint64_t now = 0;
	bool returned = false, empty;

	pthread_mutex_lock(&broker->lock);
	for (uint32_t i = 0; i < count; i++) {
		const struct xf_settlement *s = &settlements[i];
		struct entry *entry;

		if (s->handle < out->head || s->handle >= out->tail)
			continue;
		entry = ring_at(out, s->handle);
		if (entry->record == NULL)
			continue;
		if (s->outcome == XF_SETTLE_EXTEND || s->outcome == XF_SETTLE_RETRY)
			now = now == 0 ? broker->host->now_ms() : now;
		if (s->outcome == XF_SETTLE_EXTEND) {
			if (member->ack_wait_ms > 0)
				member_deadline_locked(member, s->handle, now);
			continue;
		}
		if (s->outcome == XF_SETTLE_RETRY) {
			member_return_locked(member, entry, s->delay_ms > 0 ? now + s->delay_ms : 0);
			broker->retried++;
			returned = true;
			continue;
		}
		member->queue->unsettled--;
		settled_locked(member, &g, entry);
		entry->record = NULL;
		broker->settled++;
		broker->rejected += s->outcome == XF_SETTLE_REJECT;
	}
	give_up_locked(broker, &g);
	member_advance_locked(member);
	broker_wake_producers_locked(broker);
	if (returned)
		broker_wake_members_locked(broker, member->queue);
	empty = member->queue->unsettled == 0 && queue_pending(member->queue) == 0;
	pthread_mutex_unlock(&broker->lock);
	return empty;
}
