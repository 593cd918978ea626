/*
 * Publishing goes in two steps, so that the lock is held for a few nanoseconds per message: the sink copies as many
 * messages as fit into its own segment without the lock, then puts them into queues with it. What does
 * not find a place then is taken out of the segment again and was not taken.
 *
 * Whoever waits says so under the lock and is woken once; nobody else costs a wake().
 */
#include "broker.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_MAX 65536u
#define RING_KEPT 65536u /* entries that an empty ring may go on holding */

/* ---- Rings ------------------------------------------------------------------- */

static bool
ring_reserve(struct ring *ring, uint64_t count)
{
	uint64_t used = ring->tail - ring->head, size = ring->size ? ring->size : 256;
	struct entry *entries;

	if (used + count <= ring->size)
		return true;
	while (size < used + count)
		size *= 2;
	entries = malloc(size * sizeof(*entries));
	if (entries == NULL)
		return false;
	for (uint64_t at = ring->head; at != ring->tail; at++)
		entries[at & (size - 1)] = *ring_at(ring, at);
	free(ring->entries);
	ring->entries = entries;
	ring->size = size;
	return true;
}

static void
ring_push(struct ring *ring, struct entry entry)
{
	*ring_at(ring, ring->tail++) = entry;
}

/* A backlog that is gone gives its memory back. */
static void
ring_relax(struct ring *ring)
{
	if (ring->head != ring->tail || ring->size <= RING_KEPT)
		return;
	free(ring->entries);
	ring->entries = NULL;
	ring->size = 0;
}

/* ---- Queues ------------------------------------------------------------------- */

static int
returned_compare(const void *a, const void *b)
{
	const struct returned *x = a, *y = b;

	if (x->due_ms != y->due_ms)
		return x->due_ms < y->due_ms ? -1 : 1;
	return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

static bool
queue_return_reserve_locked(struct queue *queue, size_t count)
{
	size_t used = queue->returned_count - queue->returned_first;
	struct returned *grown;

	if (queue->returned_count + count <= queue->returned_size)
		return true;
	if (queue->returned_first > 0) {
		memmove(queue->returned, queue->returned + queue->returned_first, used * sizeof(*grown));
		queue->returned_first = 0;
		queue->returned_count = used;
	}
	if (used + count <= queue->returned_size)
		return true;
	grown = realloc(queue->returned, (used + count) * 2 * sizeof(*grown));
	if (grown == NULL)
		return false;
	queue->returned = grown;
	queue->returned_size = (used + count) * 2;
	return true;
}

/* Room was reserved. */
static void
queue_return_locked(struct queue *queue, struct entry entry, uint64_t due_ms)
{
	struct returned *last = queue->returned_count > queue->returned_first
	                                ? &queue->returned[queue->returned_count - 1]
	                                : NULL;
	struct returned r = {entry, due_ms, entry.record->sequence};

	if (last == NULL)
		queue->returned_sorted = true;
	else if (returned_compare(last, &r) > 0)
		queue->returned_sorted = false;
	queue->returned[queue->returned_count++] = r;
}

/* The first that came back, or NULL. */
static struct returned *
queue_returned_first_locked(struct queue *queue)
{
	if (queue->returned_first == queue->returned_count) {
		queue->returned_first = queue->returned_count = 0;
		return NULL;
	}
	if (!queue->returned_sorted)
		qsort(queue->returned + queue->returned_first, queue->returned_count - queue->returned_first,
		      sizeof(*queue->returned), returned_compare);
	queue->returned_sorted = true;
	return &queue->returned[queue->returned_first];
}

static uint64_t
queue_pending_locked(const struct queue *queue)
{
	return queue->fresh.tail - queue->fresh.head + queue->returned_count - queue->returned_first;
}

static void
broker_drop_locked(struct broker *broker, const struct record *record, uint64_t count)
{
	store_unwant(&broker->store, record_segment(&broker->store, record), count);
	broker->messages -= count;
}

static void
queue_free_locked(struct broker *broker, struct queue *queue)
{
	struct returned *r;

	for (; queue->fresh.head != queue->fresh.tail; queue->fresh.head++)
		broker_drop_locked(broker, ring_at(&queue->fresh, queue->fresh.head)->record, 1);
	for (; (r = queue_returned_first_locked(queue)) != NULL; queue->returned_first++)
		broker_drop_locked(broker, r->entry.record, 1);
	free(queue->fresh.entries);
	free(queue->returned);
	free(queue->group);
	free((char *)queue->pattern.text.data);
	free(queue);
}

static char *
text_copy(struct xf_str text)
{
	char *copy = malloc(text.len + 1);

	if (copy != NULL) {
		memcpy(copy, text.len ? text.data : "", text.len);
		copy[text.len] = '\0';
	}
	return copy;
}

static struct queue *
queue_add_locked(struct broker *broker, struct xf_str group, struct xf_str pattern)
{
	struct queue *queue = calloc(1, sizeof(*queue)), **last = &broker->queues;
	struct queue **matches = realloc(broker->matches, (broker->queue_count + 1) * sizeof(*matches));
	char *text = text_copy(pattern);

	if (matches != NULL)
		broker->matches = matches;
	if (queue != NULL)
		queue->group = text_copy(group);
	if (queue == NULL || queue->group == NULL || matches == NULL || text == NULL) {
		if (queue != NULL)
			free(queue->group);
		free(queue);
		free(text);
		return NULL;
	}
	queue->pattern = pattern_make((struct xf_str){text, pattern.len});
	while (*last != NULL)
		last = &(*last)->next;
	*last = queue;
	broker->queue_count++;
	return queue;
}

static bool
same(struct xf_str a, const char *b)
{
	return strlen(b) == a.len && memcmp(a.data, b, a.len) == 0;
}

static struct queue *
queue_find_locked(struct broker *broker, struct xf_str group, struct xf_str pattern)
{
	struct queue *queue = broker->queues;

	while (queue != NULL && !(same(group, queue->group) && same(pattern, queue->pattern.text.data)))
		queue = queue->next;
	return queue != NULL ? queue : queue_add_locked(broker, group, pattern);
}

/* ---- Waking --------------------------------------------------------------------- */

static void
members_wake_locked(struct broker *broker, const struct queue *queue)
{
	for (struct member *m = broker->members; m != NULL; m = m->next) {
		if (m->queue != queue || !m->waiting)
			continue;
		m->waiting = false;
		broker->host->wake(m->endpoint);
	}
}

static void
producers_wake_locked(struct broker *broker)
{
	for (struct producer *p = broker->producers; p != NULL; p = p->next) {
		if (!p->waiting)
			continue;
		p->waiting = false;
		broker->host->wake(p->endpoint);
	}
}

/* ---- The broker ------------------------------------------------------------------- */

struct broker *
broker_create(const struct xf_host *host, uint64_t messages_max, uint64_t bytes_max, uint32_t dedup_window)
{
	struct broker *broker = calloc(1, sizeof(*broker));
	pthread_mutexattr_t attr;

	if (broker == NULL)
		return NULL;
	if (!dedup_init(&broker->dedup, dedup_window)) {
		free(broker);
		return NULL;
	}
	broker->host = host;
	broker->born = (uint64_t)host->wall_ms();
	broker->messages_max = messages_max;
	store_init(&broker->store, bytes_max);
	/* it is held for microseconds, so waiting a moment is cheaper than sleeping */
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&broker->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	return broker;
}

void
broker_destroy(struct broker **broker)
{
	struct broker *b = *broker;

	*broker = NULL;
	if (b == NULL)
		return;
	while (b->queues != NULL) {
		struct queue *next = b->queues->next;

		queue_free_locked(b, b->queues);
		b->queues = next;
	}
	store_fini(&b->store);
	dedup_fini(&b->dedup);
	pthread_mutex_destroy(&b->lock);
	free(b->matches);
	free(b);
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
	producer->running = false;
	producer->waiting = false;
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

uint32_t
producer_room(struct producer *producer)
{
	struct broker *broker = producer->broker;
	uint64_t room;

	pthread_mutex_lock(&broker->lock);
	room = broker->messages < broker->messages_max ? broker->messages_max - broker->messages : 0;
	if (producer->needs > 0 && !producer_may_open_locked(producer, producer->needs))
		room = 0;
	producer->waiting = room == 0 && producer->running;
	pthread_mutex_unlock(&broker->lock);
	producer->room = room < ROOM_MAX ? (uint32_t)room : ROOM_MAX;
	return producer->room;
}

/* The queues that want a message. The message before, on the same subject, had the same. */
static unsigned
broker_match_locked(struct broker *broker, const struct record *record, const struct record *before, unsigned matches)
{
	const char *subject = record_subject(record);

	if (before != NULL && before->subject_len == record->subject_len &&
	    memcmp(record_subject(before), subject, record->subject_len) == 0)
		return matches;
	matches = 0;
	for (struct queue *queue = broker->queues; queue != NULL; queue = queue->next)
		if (pattern_matches(&queue->pattern, subject, record->subject_len))
			broker->matches[matches++] = queue;
	return matches;
}

/* Puts a message into the queues that matched. False: there is no room. */
static bool
broker_admit_locked(struct broker *broker, struct record *record, struct dedup_key key, unsigned matches,
                    uint32_t *flags)
{
	*flags = 0;
	if (matches == 0) {
		*flags = XF_RESULT_NO_RECEIVER;
		broker->no_receiver++;
		return true;
	}
	if (broker->messages + matches > broker->messages_max && broker->messages > 0)
		return false;
	for (unsigned i = 0; i < matches; i++)
		if (!ring_reserve(&broker->matches[i]->fresh, 1))
			return false;
	if (dedup_seen(&broker->dedup, key)) {
		*flags = XF_RESULT_DUPLICATE;
		broker->duplicates++;
		return true;
	}
	record->sequence = ++broker->sequence;
	for (unsigned i = 0; i < matches; i++)
		ring_push(&broker->matches[i]->fresh, (struct entry){record, record->payload_size, 0});
	store_want(&broker->store, record_segment(&broker->store, record), matches);
	broker->messages += matches;
	return true;
}

/* Puts the first COUNT of producer->records into queues; returns how many found a place. */
static uint32_t
producer_admit_locked(struct producer *producer, uint32_t count)
{
	struct broker *broker = producer->broker;
	uint64_t waking = broker->sequence;
	unsigned matches = 0;
	uint32_t i;

	for (i = 0; i < count; i++) {
		struct record *record = producer->records[i];

		matches = broker_match_locked(broker, record, i > 0 ? producer->records[i - 1] : NULL, matches);
		if (!broker_admit_locked(broker, record, producer->keys[i], matches, &producer->results[i].flags))
			break;
	}
	broker->published += i;
	if (broker->sequence != waking)
		for (struct queue *queue = broker->queues; queue != NULL; queue = queue->next)
			if (queue->fresh.head != queue->fresh.tail)
				members_wake_locked(broker, queue);
	return i;
}

static const struct xf_outgoing *
message_at(const struct xf_outgoing *messages, uint32_t stride, uint32_t index)
{
	return (const struct xf_outgoing *)((const char *)messages + (size_t)index * stride);
}

/* Copies messages into the sink's segment, without the lock; returns how many fitted. */
static uint32_t
producer_copy(struct producer *producer, const struct xf_outgoing *messages, uint32_t stride, uint32_t count)
{
	struct broker *broker = producer->broker;
	uint64_t now = 0;
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
		if (m->ttl_ms > 0) {
			now = now > 0 ? now : broker->host->now_ms();
			r->expires_ms = now + m->ttl_ms;
		}
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

static void
producer_reject(struct producer *producer, const struct xf_outgoing *message)
{
	static const char reason[] = "larger than the transport's max_bytes";

	producer->broker->host->complete(producer->endpoint,
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
	bool full = false;

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
		admitted = producer_admit_locked(producer, copied);
		if (admitted < copied) {
			record_unwrite(producer->open, producer->records[admitted]);
			producer->needs = 0;
			full = true;
		} else if (producer->needs > 0 && !producer_never_fits(producer)) {
			full = !producer_open_locked(producer);
		}
		producer->waiting = full && producer->running;
		pthread_mutex_unlock(&broker->lock);
		taken += admitted;
		if (admitted > 0)
			broker->host->complete(producer->endpoint, producer->results, admitted);
	}
	producer->room -= taken < producer->room ? taken : producer->room;
	if (producer->room == 0 && !full)
		broker->host->wake(producer->endpoint); /* to be asked for room again */
	return taken;
}

/* ---- Consuming ------------------------------------------------------------------------ */

bool
member_init(struct member *member, struct broker *broker, struct xf_endpoint *endpoint, struct xf_str group,
            struct xf_str pattern)
{
	member->broker = broker;
	member->endpoint = endpoint;
	pthread_mutex_lock(&broker->lock);
	member->queue = queue_find_locked(broker, group, pattern);
	if (member->queue != NULL) {
		member->queue->members++;
		member->next = broker->members;
		broker->members = member;
	}
	pthread_mutex_unlock(&broker->lock);
	return member->queue != NULL;
}

void
member_fini(struct member *member)
{
	struct broker *broker = member->broker;
	struct queue *queue = member->queue, **link = &broker->queues;
	struct member **at = &broker->members;

	pthread_mutex_lock(&broker->lock);
	while (*at != member)
		at = &(*at)->next;
	*at = member->next;
	/* what is left waits for the next source of this group; a subscription that nobody ever used is nobody's */
	if (--queue->members == 0 && (!queue->used || queue_pending_locked(queue) == 0)) {
		while (*link != queue)
			link = &(*link)->next;
		*link = queue->next;
		broker->queue_count--;
		queue_free_locked(broker, queue);
		producers_wake_locked(broker);
	}
	pthread_mutex_unlock(&broker->lock);
	free(member->out.entries);
}

void
member_start(struct member *member)
{
	pthread_mutex_lock(&member->broker->lock);
	member->running = true;
	member->queue->used = true;
	pthread_mutex_unlock(&member->broker->lock);
}

void
member_stop(struct member *member)
{
	struct broker *broker = member->broker;
	struct queue *queue = member->queue;
	struct ring *out = &member->out;

	pthread_mutex_lock(&broker->lock);
	member->running = false;
	member->waiting = false;
	for (; out->head != out->tail; out->head++) {
		struct entry *entry = ring_at(out, out->head);

		if (entry->record == NULL)
			continue;
		queue->unsettled--;
		/* reserved when it was handed out */
		queue_return_locked(queue, *entry, 0);
	}
	members_wake_locked(broker, queue);
	pthread_mutex_unlock(&broker->lock);
}

/* How many of COUNT this one may have, so that the others of its group get their share. */
static uint32_t
member_share_locked(const struct member *member, uint32_t count)
{
	uint64_t share = queue_pending_locked(member->queue) / (member->queue->members > 0 ? member->queue->members : 1) + 1;

	return share < count ? (uint32_t)share : count;
}

/* The next entry that may be handed out, of at most BYTES; it is out of the queue then. */
static bool
queue_next_locked(struct queue *queue, uint64_t now, uint64_t bytes, bool alone, struct entry *entry)
{
	struct returned *r = queue_returned_first_locked(queue);

	if (r != NULL && r->due_ms <= now) {
		if (r->entry.size > bytes && !alone)
			return false;
		*entry = r->entry;
		queue->returned_first++;
		return true;
	}
	if (queue->fresh.head == queue->fresh.tail)
		return false;
	*entry = *ring_at(&queue->fresh, queue->fresh.head);
	if (entry->size > bytes && !alone)
		return false;
	queue->fresh.head++;
	return true;
}

static uint32_t
queue_due_in_locked(struct queue *queue, uint64_t now)
{
	const struct returned *r = queue_returned_first_locked(queue);

	if (r == NULL)
		return UINT32_MAX;
	if (r->due_ms <= now)
		return 0;
	return r->due_ms - now < UINT32_MAX ? (uint32_t)(r->due_ms - now) : UINT32_MAX - 1;
}

uint32_t
member_take(struct member *member, uint32_t count, uint64_t bytes, bool alone, uint64_t *at, uint32_t *due_in_ms)
{
	struct broker *broker = member->broker;
	struct queue *queue = member->queue;
	struct entry entry;
	uint64_t now = 0;
	uint32_t taken = 0;

	*at = member->out.tail;
	*due_in_ms = UINT32_MAX;
	pthread_mutex_lock(&broker->lock);
	count = member_share_locked(member, count);
	/* whatever is out must be able to come back */
	if (!ring_reserve(&member->out, count) || !queue_return_reserve_locked(queue, queue->unsettled + count)) {
		*due_in_ms = 100;
		count = 0;
	}
	if (queue->returned_count > queue->returned_first)
		now = broker->host->now_ms();
	while (taken < count && queue_next_locked(queue, now, bytes, alone && taken == 0, &entry)) {
		bytes -= entry.size < bytes ? entry.size : bytes;
		entry.attempts++;
		ring_push(&member->out, entry);
		taken++;
	}
	queue->unsettled += taken;
	broker->delivered += taken;
	if (taken == 0 && count > 0) {
		*due_in_ms = queue_due_in_locked(queue, now);
		member->waiting = member->running;
		ring_relax(&queue->fresh);
	}
	pthread_mutex_unlock(&broker->lock);
	return taken;
}

void
member_untake(struct member *member, uint32_t count)
{
	struct broker *broker = member->broker;
	struct queue *queue = member->queue;

	pthread_mutex_lock(&broker->lock);
	for (uint32_t i = 0; i < count; i++) {
		struct entry *entry = ring_at(&member->out, --member->out.tail);

		entry->attempts--;
		queue_return_locked(queue, *entry, 0);
	}
	queue->unsettled -= count;
	broker->delivered -= count;
	members_wake_locked(broker, queue);
	pthread_mutex_unlock(&broker->lock);
}

/* Gives up COUNT places in one segment. */
static bool
broker_unwant_locked(struct broker *broker, struct segment *segment, uint64_t count)
{
	broker->messages -= count;
	return count > 0 && store_unwant(&broker->store, segment, count);
}

void
member_settle(struct member *member, const struct xf_settlement *settlements, uint32_t count)
{
	struct broker *broker = member->broker;
	struct queue *queue = member->queue;
	struct ring *out = &member->out;
	struct segment *segment = NULL; /* the one that neighbours lie in, and how many of them were dropped */
	uint64_t dropped = 0, now = 0;
	bool returned = false;

	pthread_mutex_lock(&broker->lock);
	for (uint32_t i = 0; i < count; i++) {
		const struct xf_settlement *s = &settlements[i];
		struct entry *entry;

		if (s->outcome == XF_SETTLE_EXTEND || s->handle < out->head || s->handle >= out->tail)
			continue;
		entry = ring_at(out, s->handle);
		if (entry->record == NULL)
			continue;
		queue->unsettled--;
		if (s->outcome == XF_SETTLE_RETRY) {
			now = s->delay_ms > 0 && now == 0 ? broker->host->now_ms() : now;
			queue_return_locked(queue, *entry, s->delay_ms > 0 ? now + s->delay_ms : 0);
			broker->retried++;
			returned = true;
		} else {
			struct segment *its = record_segment(&broker->store, entry->record);

			if (its != segment) {
				broker_unwant_locked(broker, segment, dropped);
				segment = its;
				dropped = 0;
			}
			dropped++;
			broker->settled++;
			broker->rejected += s->outcome == XF_SETTLE_REJECT;
		}
		entry->record = NULL;
	}
	broker_unwant_locked(broker, segment, dropped);
	while (out->head != out->tail && ring_at(out, out->head)->record == NULL)
		out->head++;
	producers_wake_locked(broker);
	if (returned)
		members_wake_locked(broker, queue);
	pthread_mutex_unlock(&broker->lock);
}

/* ---- Report ------------------------------------------------------------------------------- */

/* Text that knows its bound; what does not fit is missing and seen by its length. */
struct report {
	char *out;
	uint32_t size;
	uint32_t len;
};

static void __attribute__((format(printf, 2, 3)))
report_printf(struct report *report, const char *format, ...)
{
	va_list args;
	int n;

	if (report->len >= report->size)
		return;
	va_start(args, format);
	n = vsnprintf(report->out + report->len, report->size - report->len, format, args);
	va_end(args);
	report->len += n > 0 ? (uint32_t)n : 0;
}

static void
report_text(struct report *report, const char *text)
{
	report_printf(report, "\"");
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			report_printf(report, "\\%c", c);
		else if (c < ' ')
			report_printf(report, "\\u%04x", c);
		else
			report_printf(report, "%c", c);
	}
	report_printf(report, "\"");
}

static void
report_queue_locked(struct report *report, const struct queue *queue)
{
	report_printf(report, "{\"group\":");
	report_text(report, queue->group);
	report_printf(report, ",\"pattern\":");
	report_text(report, queue->pattern.text.data);
	report_printf(report, ",\"sources\":%u,\"pending\":%llu,\"unacked\":%llu}", queue->members,
	              (unsigned long long)queue_pending_locked(queue), (unsigned long long)queue->unsettled);
}

uint32_t
broker_report(struct broker *broker, char *out, uint32_t size)
{
	struct report report = {out, size, 0}, before;
	bool first = true;

	pthread_mutex_lock(&broker->lock);
	report_printf(&report,
	              "{\"messages\":%llu,\"max_messages\":%llu,\"bytes\":%llu,\"max_bytes\":%llu,\"published\":%llu,"
	              "\"delivered\":%llu,\"settled\":%llu,\"retried\":%llu,\"rejected\":%llu,\"duplicates\":%llu,"
	              "\"no_receiver\":%llu,\"subscriptions\":[",
	              (unsigned long long)broker->messages, (unsigned long long)broker->messages_max,
	              (unsigned long long)broker->store.bytes, (unsigned long long)broker->store.bytes_max,
	              (unsigned long long)broker->published, (unsigned long long)broker->delivered,
	              (unsigned long long)broker->settled, (unsigned long long)broker->retried,
	              (unsigned long long)broker->rejected, (unsigned long long)broker->duplicates,
	              (unsigned long long)broker->no_receiver);
	for (const struct queue *queue = broker->queues; queue != NULL; queue = queue->next) {
		before = report;
		report_printf(&report, "%s", first ? "" : ",");
		report_queue_locked(&report, queue);
		if (report.len + 8 >= report.size) {
			report = before; /* no room for this one and an end */
			break;
		}
		first = false;
	}
	report_printf(&report, "]}");
	pthread_mutex_unlock(&broker->lock);
	return report.len < report.size ? report.len : 0;
}
