/*
 * Publishing goes in two steps, so that the lock is held for a few nanoseconds per message: the sink copies as many
 * messages as fit into its own segment without the lock, then puts them into queues with it (or, with a file, before the
 * keeper). What does not find a place then is taken out of the segment again and was not taken.
 *
 * Whoever waits says so under the lock and is woken once; nobody else costs a wake().
 */
#include "broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keeper.h"
#include "pattern.h"

#define ROOM_MAX 65536u
#define SWEEP_MS 1000u /* how often dead messages are looked for at most */
#define ENDLESS_MS (UINT64_C(1) << 60) /* a time to live that is longer is none */

/* ---- The broker ------------------------------------------------------------------- */

static void
broker_fini(struct broker *broker)
{
	while (broker->queues != NULL) {
		struct queue *next = broker->queues->next;

		/* the messages lie in segments, which go with them */
		queue_destroy(broker->queues);
		broker->queues = next;
	}
	subjects_destroy(&broker->index);
	store_fini(&broker->store);
	dedup_fini(&broker->dedup);
	pthread_mutex_destroy(&broker->lock);
	free(broker->matches);
	free(broker);
}

struct broker *
broker_create(const struct xf_host *host, const struct broker_settings *settings, struct xf_error *error)
{
	struct broker *broker = calloc(1, sizeof(*broker));
	pthread_mutexattr_t attr;

	snprintf(error->text, sizeof(error->text), "no memory for the broker");
	if (broker == NULL)
		return NULL;
	broker->host = host;
	broker->settings = *settings;
	broker->born = (uint64_t)host->wall_ms();
	broker->mortal = settings->max_age_ms > 0;
	store_init(&broker->store, settings->bytes_max);
	/* it is held for microseconds, so waiting a moment is cheaper than sleeping */
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&broker->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	broker->index = subjects_create();
	if (broker->index == NULL || !dedup_init(&broker->dedup, settings->dedup_window))
		goto fini;
	if (settings->file.len > 0 && !keeper_open(broker, error))
		goto fini;
	return broker;

fini:
	broker_fini(broker);
	return NULL;
}

void
broker_destroy(struct broker **broker)
{
	struct broker *b = *broker;

	*broker = NULL;
	if (b == NULL)
		return;
	keeper_close(&b->keeper);
	for (struct queue *queue = b->queues; queue != NULL; queue = queue->next) {
		struct entry *entry;

		while ((entry = queue_peek(queue, UINT64_MAX)) != NULL) {
			store_unwant(&b->store, record_segment(&b->store, entry->record), 1);
			queue_shift(queue, UINT64_MAX);
		}
	}
	broker_fini(b);
}

bool
broker_blocked(struct broker *broker, char *text, size_t size)
{
	return broker->keeper != NULL && keeper_failed(broker->keeper, text, size);
}

/* ---- Subscriptions ---------------------------------------------------------------- */

static bool
same(struct xf_str a, const char *b)
{
	return strlen(b) == a.len && memcmp(a.data, b, a.len) == 0;
}

static struct queue *
queue_add_locked(struct broker *broker, struct xf_str group, struct xf_str pattern, bool durable)
{
	size_t count = subjects_count(broker->index) + 1;
	struct queue *queue = queue_create(group, pattern);
	void **matches = realloc(broker->matches, count * sizeof(*matches));

	if (matches != NULL)
		broker->matches = matches;
	if (queue == NULL || matches == NULL || !subjects_add(broker->index, queue->pattern, queue))
		goto destroy;
	queue->durable = durable;
	if (broker->keeper != NULL && !keeper_subscribed_locked(broker->keeper, queue))
		goto remove;
	queue->next = broker->queues;
	if (queue->next != NULL)
		queue->next->previous = queue;
	broker->queues = queue;
	return queue;

remove:
	subjects_remove(broker->index, queue->pattern, queue);
destroy:
	if (queue != NULL)
		queue_destroy(queue);
	return NULL;
}

struct queue *
broker_queue_locked(struct broker *broker, struct xf_str group, struct xf_str pattern, bool durable)
{
	size_t count;
	void *const *under = subjects_under(broker->index, pattern, &count);

	for (size_t i = 0; i < count; i++)
		if (same(group, ((struct queue *)under[i])->group))
			return under[i];
	return queue_add_locked(broker, group, pattern, durable);
}

void
broker_queue_remove_locked(struct broker *broker, struct queue *queue)
{
	struct entry *entry;

	while ((entry = queue_peek(queue, UINT64_MAX)) != NULL) {
		broker_place_drop_locked(broker, queue, entry->record);
		queue_shift(queue, UINT64_MAX);
	}
	if (broker->keeper != NULL)
		keeper_unsubscribed_locked(broker->keeper, queue);
	subjects_remove(broker->index, queue->pattern, queue);
	if (queue->next != NULL)
		queue->next->previous = queue->previous;
	if (queue->previous != NULL)
		queue->previous->next = queue->next;
	else
		broker->queues = queue->next;
	queue_destroy(queue);
	broker_wake_producers_locked(broker);
}

void
broker_place_drop_locked(struct broker *broker, const struct queue *queue, struct record *record)
{
	if (broker->keeper != NULL)
		keeper_settled_locked(broker->keeper, queue, record);
	store_unwant(&broker->store, record_segment(&broker->store, record), 1);
	broker->messages--;
}

void
broker_bury_locked(struct broker *broker, struct queue *queue, uint64_t now_ms)
{
	struct entry *entry;

	while ((entry = queue_peek(queue, now_ms)) != NULL && entry->mortal && entry->record->dies_ms <= now_ms) {
		broker->expired++;
		broker_place_drop_locked(broker, queue, entry->record);
		queue_shift(queue, now_ms);
	}
}

/* What is left waits for the next source of this group; a subscription that nobody ever used is nobody's. */
bool
broker_queue_is_over_locked(const struct broker *broker, const struct queue *queue)
{
	if (queue->member_count > 0 || queue->pins > 0)
		return false;
	if (!queue->used)
		return true;
	return queue_pending(queue) == 0 && !(queue->durable && broker->keeper != NULL);
}

/* Nobody may be there to take what has died, and to find it out; nor for a subscription that was left with messages, which
 * would go on gathering them. */
static void
broker_sweep_locked(struct broker *broker)
{
	uint64_t now = broker->host->now_ms();
	struct queue *next;

	if (now - broker->swept_ms < SWEEP_MS)
		return;
	broker->swept_ms = now;
	for (struct queue *queue = broker->queues; queue != NULL; queue = next) {
		next = queue->next;
		if (broker->mortal)
			broker_bury_locked(broker, queue, now);
		if (broker_queue_is_over_locked(broker, queue))
			broker_queue_remove_locked(broker, queue);
	}
}

/* ---- Waking --------------------------------------------------------------------- */

void
broker_wake_members_locked(struct broker *broker, const struct queue *queue)
{
	for (struct member *m = queue->members; m != NULL; m = m->next) {
		if (!m->waiting)
			continue;
		m->waiting = false;
		broker->host->wake(m->endpoint);
	}
}

void
broker_wake_producers_locked(struct broker *broker)
{
	if (broker->producers_waiting == 0)
		return;
	for (struct producer *p = broker->producers; p != NULL; p = p->next) {
		if (!p->waiting)
			continue;
		p->waiting = false;
		broker->host->wake(p->endpoint);
	}
	broker->producers_waiting = 0;
}

static void
producer_wait_locked(struct producer *producer, bool waiting)
{
	waiting = waiting && producer->running;
	producer->broker->producers_waiting += waiting;
	producer->broker->producers_waiting -= producer->waiting;
	producer->waiting = waiting;
}

/* ---- Publishing --------------------------------------------------------------------- */

void
producer_init(struct producer *producer, struct broker *broker, struct xf_endpoint *endpoint)
{
	producer->broker = broker;
	producer->endpoint = endpoint;
	pthread_mutex_lock(&broker->lock);
	producer->next = broker->producers;
	broker->producers = producer;
	pthread_mutex_unlock(&broker->lock);
}

void
producer_fini(struct producer *producer)
{
	struct broker *broker = producer->broker;
	struct producer **at = &broker->producers;

	pthread_mutex_lock(&broker->lock);
	while (*at != producer)
		at = &(*at)->next;
	*at = producer->next;
	if (producer->open != NULL)
		store_seal(&broker->store, producer->open);
	producer->open = NULL;
	pthread_mutex_unlock(&broker->lock);
}

void
producer_start(struct producer *producer)
{
	pthread_mutex_lock(&producer->broker->lock);
	producer->running = true;
	pthread_mutex_unlock(&producer->broker->lock);
}

void
producer_stop(struct producer *producer)
{
	pthread_mutex_lock(&producer->broker->lock);
	if (producer->broker->keeper != NULL)
		keeper_wait_locked(producer->broker->keeper, producer);
	producer_wait_locked(producer, false);
	producer->running = false;
	pthread_mutex_unlock(&producer->broker->lock);
}

/* Whether the sink may have SIZE bytes of a new segment. The first one it may have always: a sink that holds
 * nothing unsettled must not wait for others. */
static bool
producer_may_open_locked(const struct producer *producer, uint64_t size)
{
	const struct store *store = &producer->broker->store;

	if (size <= store_largest(store))
		return producer->open == NULL || producer->open->wanted == 0 ||
		       store_has_room(store, store->segment_size);
	return store_has_room(store, size);
}

static uint64_t
producer_room_locked(const struct producer *producer)
{
	const struct broker *broker = producer->broker;

	if (broker->keeper != NULL && keeper_failed_locked(broker->keeper))
		return 0;
	if (producer->needs > 0 && !producer_may_open_locked(producer, producer->needs))
		return 0;
	return broker->messages < broker->settings.messages_max ? broker->settings.messages_max - broker->messages : 0;
}

uint32_t
producer_room(struct producer *producer)
{
	struct broker *broker = producer->broker;
	uint64_t room;

	pthread_mutex_lock(&broker->lock);
	room = producer_room_locked(producer);
	if (room == 0) {
		broker_sweep_locked(broker);
		room = producer_room_locked(producer);
	}
	producer_wait_locked(producer, room == 0);
	pthread_mutex_unlock(&broker->lock);
	producer->room = room < ROOM_MAX ? (uint32_t)room : ROOM_MAX;
	return producer->room;
}

/* The message before, on the same subject, had the same. */
size_t
broker_match_locked(struct broker *broker, const struct record *record, const struct record *before, size_t matches)
{
	const char *subject = record_subject(record);

	if (before != NULL && before->subject_len == record->subject_len &&
	    memcmp(record_subject(before), subject, record->subject_len) == 0)
		return matches;
	return subjects_match(broker->index, (struct xf_str){subject, record->subject_len}, broker->matches);
}

/* Puts a message into the queues that matched. False: there is no room. */
static bool
broker_admit_locked(struct broker *broker, struct record *record, struct dedup_key key, size_t matches,
                    struct queue **touched, uint32_t *flags)
{
	*flags = 0;
	if (matches == 0) {
		*flags = XF_RESULT_NO_RECEIVER;
		broker->no_receiver++;
		return true;
	}
	if (broker->messages + matches > broker->settings.messages_max && broker->messages > 0)
		return false;
	for (size_t i = 0; i < matches; i++)
		if (!ring_reserve(&((struct queue *)broker->matches[i])->fresh, 1))
			return false;
	if (dedup_seen(&broker->dedup, key)) {
		*flags = XF_RESULT_DUPLICATE;
		broker->duplicates++;
		return true;
	}
	record->sequence = ++broker->sequence;
	broker->mortal |= record->dies_ms > 0;
	for (size_t i = 0; i < matches; i++) {
		struct queue *queue = broker->matches[i];

		ring_push(&queue->fresh, entry_of(record));
		if (!queue->touched) {
			queue->touched = true;
			queue->next_touched = *touched;
			*touched = queue;
		}
	}
	store_want(&broker->store, record_segment(&broker->store, record), matches);
	broker->messages += matches;
	return true;
}

/* Puts the first COUNT of producer->records into queues; returns how many found a place. */
static uint32_t
producer_admit_locked(struct producer *producer, uint32_t count)
{
	struct broker *broker = producer->broker;
	struct queue *touched = NULL;
	size_t matches = 0;
	uint32_t i;

	for (i = 0; i < count; i++) {
		struct record *record = producer->records[i];

		matches = broker_match_locked(broker, record, i > 0 ? producer->records[i - 1] : NULL, matches);
		if (!broker_admit_locked(broker, record, producer->keys[i], matches, &touched, &producer->results[i].flags))
			break;
	}
	broker->published += i;
	for (; touched != NULL; touched = touched->next_touched) {
		touched->touched = false;
		broker_wake_members_locked(broker, touched);
	}
	return i;
}

/* Likewise, but before the keeper, who completes them once they are on disk. */
static uint32_t
producer_keep_locked(struct producer *producer, uint32_t count)
{
	struct broker *broker = producer->broker;
	uint32_t i;

	for (i = 0; i < count && broker->messages < broker->settings.messages_max; i++) {
		struct record *record = producer->records[i];

		if (!keeper_arrived_locked(broker->keeper, producer, record, producer->results[i].token, producer->keys[i]))
			break;
		store_want(&broker->store, record_segment(&broker->store, record), 1);
		broker->messages++;
		producer->out++;
	}
	return i;
}

static const struct xf_outgoing *
message_at(const struct xf_outgoing *messages, uint32_t stride, uint32_t index)
{
	return (const struct xf_outgoing *)((const char *)messages + (size_t)index * stride);
}

void
broker_record_age(struct broker *broker, struct record *record, uint64_t now_ms, uint64_t age_ms)
{
	uint64_t max = broker->settings.max_age_ms, left = max > age_ms ? max - age_ms : 0;

	record->dies_ms = record->expires_ms;
	if (max > 0 && (record->dies_ms == 0 || now_ms + left < record->dies_ms))
		record->dies_ms = now_ms + left;
}

/* Copies messages into the sink's segment, without the lock; returns how many fitted. */
static uint32_t
producer_copy(struct producer *producer, const struct xf_outgoing *messages, uint32_t stride, uint32_t count)
{
	struct broker *broker = producer->broker;
	uint64_t now = broker->settings.max_age_ms > 0 ? broker->host->now_ms() : 0;
	uint32_t i;

	producer->needs = 0;
	for (i = 0; i < count && i < BROKER_BATCH; i++) {
		const struct xf_outgoing *m = message_at(messages, stride, i);
		uint64_t size = record_size(m);
		struct record *r = producer->open != NULL ? record_write(producer->open, m, size) : NULL;

		if (r == NULL) {
			producer->needs = size;
			break;
		}
		if (m->ttl_ms > 0 && m->ttl_ms < ENDLESS_MS) {
			now = now > 0 ? now : broker->host->now_ms();
			r->expires_ms = now + m->ttl_ms;
		}
		if (now > 0)
			broker_record_age(broker, r, now, 0);
		producer->records[i] = r;
		producer->results[i] = (struct xf_result){.token = m->token, .code = XF_RESULT_STORED};
		producer->keys[i] = dedup_key(&broker->dedup, m->subject, m->dedup_id);
		dedup_prefetch(&broker->dedup, producer->keys[i]);
	}
	return i;
}

/* Gets a segment for the message that did not fit, if that may be. */
static bool
producer_open_locked(struct producer *producer)
{
	struct store *store = &producer->broker->store;
	struct segment *segment;

	if (!producer_may_open_locked(producer, producer->needs))
		return false;
	segment = store_open(store, producer->needs);
	if (segment == NULL)
		return false;
	if (producer->open != NULL)
		store_seal(store, producer->open);
	producer->open = segment;
	producer->needs = 0;
	return true;
}

/* Whether the message that lacked room could never have it. */
static bool
producer_never_fits(const struct producer *producer)
{
	return producer->needs > producer->broker->store.bytes_max || producer->needs > UINT32_MAX;
}

void
producer_complete(const struct producer *producer, const struct xf_result *results, uint32_t count)
{
	if (producer->endpoint != NULL)
		producer->broker->host->complete(producer->endpoint, results, count);
}

static void
producer_reject(struct producer *producer, const struct xf_outgoing *message)
{
	static const char reason[] = "larger than the transport's max_bytes";

	producer_complete(producer,
	                  &(struct xf_result){.token = message->token,
	                                      .code = XF_RESULT_REJECTED,
	                                      .reason = {reason, sizeof(reason) - 1}},
	                  1);
}

uint32_t
producer_publish(struct producer *producer, const struct xf_outgoing *messages, uint32_t stride, uint32_t count)
{
	struct broker *broker = producer->broker;
	uint32_t taken = 0, copied, admitted;
	bool full = false, kept = broker->keeper != NULL;

	while (taken < count && !full) {
		const struct xf_outgoing *rest = message_at(messages, stride, taken);

		copied = producer_copy(producer, rest, stride, count - taken);
		if (copied == 0 && producer_never_fits(producer)) {
			producer_reject(producer, rest);
			producer->needs = 0;
			taken++;
			continue;
		}
		pthread_mutex_lock(&broker->lock);
		admitted = kept ? producer_keep_locked(producer, copied) : producer_admit_locked(producer, copied);
		if (admitted < copied) {
			record_unwrite(producer->open, producer->records[admitted]);
			producer->needs = 0;
			full = true;
		} else if (producer->needs > 0 && !producer_never_fits(producer)) {
			full = !producer_open_locked(producer);
		}
		producer_wait_locked(producer, full);
		pthread_mutex_unlock(&broker->lock);
		taken += admitted;
		if (admitted > 0 && !kept)
			producer_complete(producer, producer->results, admitted);
	}
	producer->room -= taken < producer->room ? taken : producer->room;
	if (producer->room == 0 && !full && producer->endpoint != NULL)
		broker->host->wake(producer->endpoint); /* to be asked for room again */
	return taken;
}

/* ---- Sight ------------------------------------------------------------------------------ */

static uint64_t
queue_held(const struct queue *queue)
{
	return queue_pending(queue) + queue->unsettled;
}

struct xf_sight
member_sight(struct member *member)
{
	struct xf_sight sight = {
		.struct_size = sizeof(sight),
		.known = XF_SIGHT_DEPTH | XF_SIGHT_LAG | XF_SIGHT_CONSUMERS,
	};

	pthread_mutex_lock(&member->broker->lock);
	sight.depth = sight.lag = queue_held(member->queue);
	sight.consumers = member->queue->member_count;
	pthread_mutex_unlock(&member->broker->lock);
	return sight;
}

/* Several subscriptions hold copies of the same messages, of which nobody counts the different ones; then there is
 * no depth. */
struct xf_sight
broker_sight(struct broker *broker, struct xf_str pattern)
{
	struct xf_sight sight = {.struct_size = sizeof(sight), .known = XF_SIGHT_LAG | XF_SIGHT_CONSUMERS};
	unsigned queues = 0;

	pthread_mutex_lock(&broker->lock);
	broker_sweep_locked(broker);
	for (const struct queue *queue = broker->queues; queue != NULL; queue = queue->next) {
		if (!pattern_overlaps(pattern, queue->pattern))
			continue;
		queues++;
		sight.lag = queue_held(queue) > sight.lag ? queue_held(queue) : sight.lag;
		sight.consumers += queue->member_count;
	}
	pthread_mutex_unlock(&broker->lock);
	if (queues <= 1) {
		sight.known |= XF_SIGHT_DEPTH;
		sight.depth = sight.lag;
	}
	return sight;
}
