/*
 * Two batches: one gathers under the broker's lock, the other is being written without it.
 *
 * Which queues a message is for is decided when its batch is taken, under the lock; they are pinned until it stands
 * in them, and their rings have room for it before it is written: what is on disk is in its queues, come what may.
 *
 * A settlement's message is gone from memory by the time it is written, so it carries all that the journal needs.
 */
#include "keeper.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "journal.h"

#define RETRY_S 1

/* A message on its way to the disk. */
struct arrival {
	struct record *record;
	struct producer *producer;
	uint64_t token;
	struct dedup_key key;
	uint32_t code;
	uint32_t flags;
	size_t first; /* of its queues in `queues` */
	size_t count;
};

struct settled {
	uint64_t sequence;
	uint64_t queue;
	bool shared;
	bool last;
};

/* A subscription that came, or (without texts) went. */
struct change {
	uint64_t id;
	bool durable;
	char *group;
	char *pattern;
};

/* A growing array. */
struct list {
	void *items;
	size_t count;
	size_t size;
};

struct batch {
	struct list arrivals;
	struct list settled;
	struct list changes;
};

/* The keys of one commit, as they stand in the journal. */
struct seen {
	uint64_t first;
	uint64_t count;
};

struct keeper {
	struct broker *broker;
	struct journal *journal;
	pthread_t thread;
	pthread_cond_t work; /* for the thread */
	pthread_cond_t done; /* for who waits until his messages are through */
	/* guarded by the broker's lock */
	bool stop;
	struct batch gathering;
	char reason[512]; /* why it cannot be written; "": it can */
	uint64_t subscription; /* the last id */
	struct keeper_counts counts;
	/* the thread's own */
	struct batch writing;
	struct list queues;  /* struct queue *, of the arrivals being written */
	struct list ids;     /* their ids, of one message */
	struct list keys;    /* of those messages that have one */
	struct list seen;    /* struct seen, from seen_first on */
	size_t seen_first;
	uint64_t seen_count; /* keys of those */
};

/* ---- Lists --------------------------------------------------------------------------- */

/* Room for COUNT more; NULL: no memory. Else where the next goes. */
static void *
list_room(struct list *list, size_t count, size_t element)
{
	size_t size = list->size > 0 ? list->size : 64;
	void *grown;

	while (size < list->count + count)
		size *= 2;
	if (size != list->size) {
		grown = realloc(list->items, size * element);
		if (grown == NULL)
			return NULL;
		list->items = grown;
		list->size = size;
	}
	return (char *)list->items + list->count * element;
}

#define LIST_ADD(list, type, ...)                                                                  \
	({                                                                                         \
		type *list_place = list_room(list, 1, sizeof(type));                               \
		if (list_place != NULL) {                                                          \
			*list_place = (type)__VA_ARGS__;                                           \
			(list)->count++;                                                           \
		}                                                                                  \
		list_place != NULL;                                                                \
	})

/* Appends what FROM has; without memory for it all stays where it is. */
static void
list_move(struct list *list, struct list *from, size_t element)
{
	struct list empty = *list;
	void *place;

	if (list->count == 0) {
		*list = *from;
		*from = empty;
		return;
	}
	place = from->count > 0 ? list_room(list, from->count, element) : NULL;
	if (place == NULL)
		return;
	memcpy(place, from->items, from->count * element);
	list->count += from->count;
	from->count = 0;
}

/* ---- What the broker hands over ----------------------------------------------------------- */

bool
keeper_arrived_locked(struct keeper *keeper, struct producer *producer, struct record *record, uint64_t token,
                      struct dedup_key key)
{
	if (keeper->reason[0] != '\0' ||
	    !LIST_ADD(&keeper->gathering.arrivals, struct arrival, {record, producer, token, key, 0, 0, 0, 0}))
		return false;
	pthread_cond_signal(&keeper->work);
	return true;
}

void
keeper_settled_locked(struct keeper *keeper, const struct queue *queue, struct record *record)
{
	bool shared = record->placed > 1, last = --record->places == 0;

	/* without memory it stays on disk, and comes again after a restart */
	if (LIST_ADD(&keeper->gathering.settled, struct settled, {record->sequence, queue->id, shared, last}))
		pthread_cond_signal(&keeper->work);
}

bool
keeper_subscribed_locked(struct keeper *keeper, struct queue *queue)
{
	struct change change = {
		keeper->subscription + 1,
		queue->durable,
		strdup(queue->group),
		strdup(queue->pattern.data),
	};

	if (change.group == NULL || change.pattern == NULL ||
	    !LIST_ADD(&keeper->gathering.changes, struct change, change)) {
		free(change.group);
		free(change.pattern);
		return false;
	}
	queue->id = ++keeper->subscription;
	pthread_cond_signal(&keeper->work);
	return true;
}

void
keeper_unsubscribed_locked(struct keeper *keeper, const struct queue *queue)
{
	/* without memory it is found again, and goes then */
	if (LIST_ADD(&keeper->gathering.changes, struct change, {queue->id, false, NULL, NULL}))
		pthread_cond_signal(&keeper->work);
}

void
keeper_wait_locked(struct keeper *keeper, const struct producer *producer)
{
	while (producer->out > 0)
		pthread_cond_wait(&keeper->done, &keeper->broker->lock);
}

bool
keeper_failed_locked(const struct keeper *keeper)
{
	return keeper->reason[0] != '\0';
}

bool
keeper_failed(struct keeper *keeper, char *text, size_t size)
{
	bool failed;

	pthread_mutex_lock(&keeper->broker->lock);
	failed = keeper_failed_locked(keeper);
	snprintf(text, size, "%s", keeper->reason);
	pthread_mutex_unlock(&keeper->broker->lock);
	return failed;
}

struct keeper_counts
keeper_counts_locked(const struct keeper *keeper)
{
	return keeper->counts;
}

/* ---- Before writing -------------------------------------------------------------------------- */

static struct arrival *
arrival_at(struct keeper *k, size_t index)
{
	return (struct arrival *)k->writing.arrivals.items + index;
}

static struct queue **
arrival_queues(struct keeper *k, const struct arrival *a)
{
	return (struct queue **)k->queues.items + a->first;
}

/* Whether the queues from FIRST on can take one more each; they are pinned then. */
static bool
queues_pin_locked(struct keeper *k, size_t first, size_t count)
{
	struct queue **queues = (struct queue **)k->queues.items + first;

	for (size_t i = 0; i < count; i++) {
		queues[i]->pins++;
		if (ring_reserve(&queues[i]->fresh, queues[i]->pins))
			continue;
		for (size_t b = 0; b <= i; b++)
			queues[b]->pins--;
		return false;
	}
	return true;
}

static void
queues_unpin_locked(struct keeper *k, const struct arrival *a)
{
	for (size_t i = 0; i < a->count; i++)
		arrival_queues(k, a)[i]->pins--;
}

/* Decides what becomes of an arrival: who gets it, if anybody, and if it was not there before. */
static void
arrival_admit_locked(struct keeper *k, struct arrival *a, size_t matches)
{
	struct broker *broker = k->broker;

	a->code = XF_RESULT_STORED;
	a->first = k->queues.count;
	a->count = 0;
	if (matches == 0) {
		a->flags = XF_RESULT_NO_RECEIVER;
		broker->no_receiver++;
		return;
	}
	if (list_room(&k->queues, matches, sizeof(struct queue *)) == NULL ||
	    list_room(&k->keys, 1, sizeof(struct dedup_key)) == NULL) {
		a->code = XF_RESULT_NOT_SENT;
		return;
	}
	memcpy((struct queue **)k->queues.items + k->queues.count, broker->matches, matches * sizeof(struct queue *));
	if (!queues_pin_locked(k, a->first, matches)) {
		a->code = XF_RESULT_NOT_SENT;
		return;
	}
	if (dedup_seen(&broker->dedup, a->key)) {
		a->flags = XF_RESULT_DUPLICATE;
		broker->duplicates++;
		a->count = matches;
		queues_unpin_locked(k, a);
		a->count = 0;
		return;
	}
	if (a->key.mark != 0)
		LIST_ADD(&k->keys, struct dedup_key, a->key);
	a->count = matches;
	k->queues.count += matches;
	a->record->sequence = ++broker->sequence;
	a->record->places = a->record->placed = (uint32_t)matches;
	broker->mortal |= a->record->dies_ms > 0;
}

/* Takes all that has gathered. */
static void
batch_take_locked(struct keeper *k)
{
	size_t matches = 0;

	list_move(&k->writing.arrivals, &k->gathering.arrivals, sizeof(struct arrival));
	list_move(&k->writing.settled, &k->gathering.settled, sizeof(struct settled));
	list_move(&k->writing.changes, &k->gathering.changes, sizeof(struct change));
	k->queues.count = k->keys.count = 0;
	for (size_t i = 0; i < k->writing.arrivals.count; i++) {
		struct arrival *a = arrival_at(k, i);

		matches = broker_match_locked(k->broker, a->record, i > 0 ? arrival_at(k, i - 1)->record : NULL, matches);
		arrival_admit_locked(k, a, matches);
	}
}

/* ---- Writing ----------------------------------------------------------------------------------- */

static bool
changes_write(struct keeper *k, struct xf_error *error)
{
	for (size_t i = 0; i < k->writing.changes.count; i++) {
		const struct change *c = (struct change *)k->writing.changes.items + i;

		if (!(c->group != NULL
		              ? journal_subscribe(k->journal, c->id, c->group, c->pattern, c->durable, error)
		              : journal_unsubscribe(k->journal, c->id, error)))
			return false;
	}
	return true;
}

static bool
arrival_write(struct keeper *k, const struct arrival *a, uint64_t now, int64_t wall, struct xf_error *error)
{
	const struct record *r = a->record;
	int64_t expires = r->expires_ms > 0 ? wall + (int64_t)(r->expires_ms - now) : 0;

	k->ids.count = 0;
	for (size_t i = 0; i < a->count; i++)
		if (!LIST_ADD(&k->ids, uint64_t, arrival_queues(k, a)[i]->id)) {
			snprintf(error->text, sizeof(error->text), "no memory for writing to the file");
			return false;
		}
	return journal_put(k->journal, r, expires, wall, k->ids.items, a->count, error);
}

static bool
arrivals_write(struct keeper *k, struct xf_error *error)
{
	uint64_t now = k->broker->host->now_ms();
	int64_t wall = k->broker->host->wall_ms();

	for (size_t i = 0; i < k->writing.arrivals.count; i++)
		if (arrival_at(k, i)->count > 0 && !arrival_write(k, arrival_at(k, i), now, wall, error))
			return false;
	return true;
}

static bool
settled_write(struct keeper *k, struct xf_error *error)
{
	for (size_t i = 0; i < k->writing.settled.count; i++) {
		const struct settled *s = (struct settled *)k->writing.settled.items + i;

		if (!journal_settle(k->journal, s->sequence, s->queue, s->shared, s->last, error))
			return false;
	}
	return true;
}

/* The keys of this commit, by its first message; as many older ones are kept as the window needs. */
static bool
keys_write(struct keeper *k, uint64_t first, struct xf_error *error)
{
	struct seen *seen = k->seen.items;
	uint64_t window = k->broker->settings.dedup_window;
	bool drop = false;

	if (k->keys.count == 0 || window == 0)
		return true;
	while (k->seen_first < k->seen.count && k->seen_count - seen[k->seen_first].count >= window) {
		k->seen_count -= seen[k->seen_first++].count;
		drop = true;
	}
	return journal_see(k->journal, first, k->keys.items, k->keys.count,
	                   !drop ? 0 : k->seen_first < k->seen.count ? seen[k->seen_first].first : first, error);
}

static void
keys_written(struct keeper *k, uint64_t first)
{
	struct seen *seen = k->seen.items;

	if (k->keys.count == 0 || k->broker->settings.dedup_window == 0)
		return;
	if (k->seen_first > 1024) {
		k->seen.count -= k->seen_first;
		memmove(seen, seen + k->seen_first, k->seen.count * sizeof(*seen));
		k->seen_first = 0;
	}
	/* without memory for it, it stays in the file until it is next opened */
	if (LIST_ADD(&k->seen, struct seen, {first, k->keys.count}))
		k->seen_count += k->keys.count;
}

/* The sequence of the first message that is written, or 0. */
static uint64_t
batch_first(struct keeper *k)
{
	for (size_t i = 0; i < k->writing.arrivals.count; i++)
		if (arrival_at(k, i)->count > 0)
			return arrival_at(k, i)->record->sequence;
	return 0;
}

/* XF_RESULT_STORED; else the code for those that are not, with a reason. */
static uint32_t
batch_write(struct keeper *k, uint64_t sequence, struct xf_error *error)
{
	uint64_t first = batch_first(k);

	if (!journal_begin(k->journal, error) || !changes_write(k, error) || !arrivals_write(k, error) ||
	    !settled_write(k, error) || !keys_write(k, first, error)) {
		journal_rollback(k->journal);
		return XF_RESULT_NOT_SENT;
	}
	if (!journal_commit(k->journal, sequence, error)) {
		journal_rollback(k->journal);
		return XF_RESULT_UNKNOWN;
	}
	keys_written(k, first);
	return XF_RESULT_STORED;
}

/* ---- After writing ------------------------------------------------------------------------------- */

/* Puts a message that is on disk into its queues, or lets go of one that is not, or is for nobody. */
static void
arrival_finish_locked(struct keeper *k, struct arrival *a, struct queue **touched)
{
	struct broker *broker = k->broker;
	struct segment *segment = record_segment(&broker->store, a->record);

	if (a->code == XF_RESULT_STORED) {
		for (size_t i = 0; i < a->count; i++) {
			struct queue *queue = arrival_queues(k, a)[i];

			ring_push(&queue->fresh, entry_of(a->record));
			if (!queue->touched) {
				queue->touched = true;
				queue->next_touched = *touched;
				*touched = queue;
			}
		}
		if (a->count > 0)
			store_want(&broker->store, segment, a->count);
		broker->messages += a->count;
		broker->published++;
	} else {
		dedup_forget(&broker->dedup, a->count > 0 ? a->key : (struct dedup_key){0, 0});
	}
	queues_unpin_locked(k, a);
	store_unwant(&broker->store, segment, 1);
	broker->messages--;
}

static void
changes_clear(struct list *changes)
{
	for (size_t i = 0; i < changes->count; i++) {
		free(((struct change *)changes->items)[i].group);
		free(((struct change *)changes->items)[i].pattern);
	}
	changes->count = 0;
}

static void
batch_finish_locked(struct keeper *k, uint32_t code, const struct xf_error *error)
{
	struct queue *touched = NULL;
	bool failed = code != XF_RESULT_STORED, failed_before = keeper_failed_locked(k);

	for (size_t i = 0; i < k->writing.arrivals.count; i++) {
		struct arrival *a = arrival_at(k, i);

		/* What is a duplicate of one that is not on disk was confirmed by nothing. */
		if (failed && (a->count > 0 || (a->flags & XF_RESULT_DUPLICATE) != 0)) {
			a->code = code;
			a->flags = 0;
		}
		arrival_finish_locked(k, a, &touched);
	}
	for (; touched != NULL; touched = touched->next_touched) {
		touched->touched = false;
		broker_wake_members_locked(k->broker, touched);
	}
	snprintf(k->reason, sizeof(k->reason), "%s", failed ? error->text : "");
	k->counts.commits += !failed;
	if (failed != failed_before) /* they tell it */
		for (struct producer *p = k->broker->producers; p != NULL; p = p->next)
			if (p->running)
				k->broker->host->wake(p->endpoint);
	if (failed)
		return; /* settlements and changes stay for the next time */
	k->writing.settled.count = 0;
	changes_clear(&k->writing.changes);
	broker_wake_producers_locked(k->broker);
}

/* Neighbours of one sink are completed together. */
static void
batch_complete(struct keeper *k, const struct xf_error *error)
{
	struct xf_result results[BROKER_BATCH];
	size_t count = k->writing.arrivals.count, run;
	const char *why = error->text[0] != '\0' ? error->text : "no memory for the message";

	for (size_t i = 0; i < count; i += run) {
		struct producer *p = arrival_at(k, i)->producer;

		for (run = 0; run < BROKER_BATCH && i + run < count && arrival_at(k, i + run)->producer == p; run++) {
			const struct arrival *a = arrival_at(k, i + run);

			results[run] = (struct xf_result){.token = a->token, .code = a->code, .flags = a->flags};
			if (a->code != XF_RESULT_STORED)
				results[run].reason = (struct xf_str){why, strlen(why)};
		}
		producer_complete(p, results, (uint32_t)run);
		pthread_mutex_lock(&k->broker->lock);
		p->out -= run;
		if (p->out == 0)
			pthread_cond_broadcast(&k->done);
		pthread_mutex_unlock(&k->broker->lock);
	}
	k->writing.arrivals.count = 0;
}

/* ---- The thread ------------------------------------------------------------------------------------ */

static bool
batch_waits_locked(const struct keeper *k)
{
	return k->gathering.arrivals.count + k->gathering.settled.count + k->gathering.changes.count +
	               k->writing.settled.count + k->writing.changes.count > 0;
}

/* Until there is something to do; after a failure at least for a while. False: it is to end. */
static bool
keeper_await_locked(struct keeper *k)
{
	struct timespec until;

	if (keeper_failed_locked(k) && !k->stop) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += RETRY_S;
		while (!k->stop && pthread_cond_timedwait(&k->work, &k->broker->lock, &until) != ETIMEDOUT)
			;
		return true;
	}
	while (!k->stop && !batch_waits_locked(k))
		pthread_cond_wait(&k->work, &k->broker->lock);
	return !k->stop || batch_waits_locked(k);
}

static void *
keeper_run(void *context)
{
	struct keeper *k = context;
	struct xf_error error = {""};
	uint32_t code = XF_RESULT_STORED;
	uint64_t sequence;

	pthread_mutex_lock(&k->broker->lock);
	while (keeper_await_locked(k)) {
		bool failed_before = code != XF_RESULT_STORED, last = k->stop;

		batch_take_locked(k);
		sequence = k->broker->sequence;
		pthread_mutex_unlock(&k->broker->lock);
		error.text[0] = '\0';
		code = batch_write(k, sequence, &error);
		if (code != XF_RESULT_STORED && !failed_before)
			k->broker->host->log(NULL, XF_LOG_ERROR, error.text);
		pthread_mutex_lock(&k->broker->lock);
		batch_finish_locked(k, code, &error);
		pthread_mutex_unlock(&k->broker->lock);
		batch_complete(k, &error);
		pthread_mutex_lock(&k->broker->lock);
		if (last && code != XF_RESULT_STORED)
			break; /* what could not be written comes again */
	}
	pthread_mutex_unlock(&k->broker->lock);
	return NULL;
}

/* ---- Opening ------------------------------------------------------------------------------------------ */

/* What is being read; the lock is not needed yet, since nobody else has the broker. */
struct recovery {
	struct keeper *keeper;
	struct segment *open;
	struct list queues; /* struct queue *, by id: rising */
	uint64_t now;
	int64_t wall;
};

static bool
recover_subscription(void *context, uint64_t id, struct xf_str group, struct xf_str pattern, bool durable)
{
	struct recovery *r = context;
	struct keeper *k = r->keeper;
	uint64_t last = k->subscription;
	struct queue *queue;

	/* it stands in the file already, under its own id */
	queue = broker_queue_locked(k->broker, group, pattern, durable);
	if (queue == NULL)
		return false;
	changes_clear(&k->gathering.changes);
	k->subscription = last;
	queue->id = id;
	queue->used = true;
	return LIST_ADD(&r->queues, struct queue *, queue);
}

static bool
recover_seen(void *context, uint64_t first, struct dedup_key key)
{
	struct keeper *k = ((struct recovery *)context)->keeper;
	struct seen *last = k->seen.count > 0 ? (struct seen *)k->seen.items + k->seen.count - 1 : NULL;

	if (k->broker->settings.dedup_window == 0)
		return true;
	dedup_seen(&k->broker->dedup, key);
	k->seen_count++;
	if (last == NULL || last->first != first)
		return LIST_ADD(&k->seen, struct seen, {first, 1});
	last->count++;
	return true;
}

static struct queue *
recovered_queue(const struct recovery *r, uint64_t id)
{
	struct queue **queues = r->queues.items;
	size_t low = 0, high = r->queues.count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (queues[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < r->queues.count && queues[low]->id == id ? queues[low] : NULL;
}

/* A place for a message of SIZE bytes. */
static struct record *
recover_record(struct recovery *r, const struct xf_outgoing *message)
{
	struct store *store = &r->keeper->broker->store;
	uint64_t size = record_size(message);
	struct record *record = r->open != NULL ? record_write(r->open, message, size) : NULL;

	if (record != NULL)
		return record;
	if (r->open != NULL)
		store_seal(store, r->open);
	r->open = store_open(store, size);
	return r->open != NULL ? record_write(r->open, message, size) : NULL;
}

static bool
recover_message(void *context, const struct journal_message *m)
{
	struct recovery *r = context;
	struct broker *broker = r->keeper->broker;
	struct record *record = recover_record(r, &m->message);
	int64_t age = r->wall - m->accepted_wall_ms, left = m->expires_wall_ms - r->wall;
	struct entry entry;

	if (record == NULL)
		return false;
	record->sequence = m->sequence;
	record->expires_ms = m->expires_wall_ms == 0 ? 0 : left > 0 ? r->now + (uint64_t)left : 1;
	broker_record_age(broker, record, r->now, age > 0 ? (uint64_t)age : 0);
	broker->mortal |= record->dies_ms > 0;
	entry = entry_of(record);
	entry.attempts = 1; /* it may have been handed out; nobody noted it */
	for (size_t i = 0; i < m->queue_count; i++) {
		struct queue *queue = recovered_queue(r, m->queues[i]);

		if (queue == NULL)
			continue;
		if (!ring_reserve(&queue->fresh, 1))
			return false;
		ring_push(&queue->fresh, entry);
		record->places++;
	}
	record->placed = UINT32_MAX; /* some may be done with it; it is looked up when the last is */
	store_want(&broker->store, record_segment(&broker->store, record), record->places + 1);
	broker->messages += record->places;
	r->keeper->counts.recovered++;
	if (record->places == 0) { /* of a subscription that is gone */
		record->places = 1;
		keeper_settled_locked(r->keeper, &(struct queue){.id = 0}, record);
	}
	store_unwant(&broker->store, record_segment(&broker->store, record), 1);
	return true;
}

/* Whether the settings say that a group is to be forgotten. */
static bool
is_forgotten(const struct broker *broker, const struct queue *queue)
{
	const struct xf_value *forget = broker->settings.forget;

	for (uint32_t i = 0; forget != NULL && i < forget->count; i++) {
		struct xf_str group = forget->items[i]->str;

		if (strlen(queue->group) == group.len && memcmp(queue->group, group.data, group.len) == 0)
			return true;
	}
	return false;
}

/* Subscriptions that are over go: those to be forgotten, and those that were remembered for their messages alone. */
static void
recovery_clean(struct recovery *r)
{
	struct broker *broker = r->keeper->broker;
	struct queue **queues = r->queues.items;

	for (size_t i = 0; i < r->queues.count; i++)
		if (is_forgotten(broker, queues[i]) || (!queues[i]->durable && queue_pending(queues[i]) == 0))
			broker_queue_remove_locked(broker, queues[i]);
}

static bool
keeper_recover(struct keeper *k, struct xf_error *error)
{
	struct recovery r = {.keeper = k, .now = k->broker->host->now_ms(), .wall = k->broker->host->wall_ms()};
	const struct journal_reader reader = {&r, recover_subscription, recover_seen, recover_message};
	bool fine = journal_load(k->journal, &reader, &k->counts.damaged, error);
	char text[sizeof(error->text)];

	if (r.open != NULL)
		store_seal(&k->broker->store, r.open);
	if (fine)
		recovery_clean(&r);
	free(r.queues.items);
	if (fine && k->counts.damaged > 0) {
		snprintf(text, sizeof(text), "file %.*s: %llu messages in it are damaged and are not delivered; they are left there",
		         (int)k->broker->settings.file.len, k->broker->settings.file.data,
		         (unsigned long long)k->counts.damaged);
		k->broker->host->log(NULL, XF_LOG_ERROR, text);
	}
	return fine;
}

static void
keeper_free(struct keeper *k)
{
	journal_close(&k->journal);
	changes_clear(&k->writing.changes);
	changes_clear(&k->gathering.changes);
	free(k->gathering.arrivals.items);
	free(k->gathering.settled.items);
	free(k->gathering.changes.items);
	free(k->writing.arrivals.items);
	free(k->writing.settled.items);
	free(k->writing.changes.items);
	free(k->queues.items);
	free(k->ids.items);
	free(k->keys.items);
	free(k->seen.items);
	pthread_cond_destroy(&k->work);
	pthread_cond_destroy(&k->done);
	free(k);
}

/* Signals are the server's business. */
static int
thread_start(struct keeper *k)
{
	sigset_t all, before;
	int code;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(&k->thread, NULL, keeper_run, k);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return code;
}

bool
keeper_open(struct broker *broker, struct xf_error *error)
{
	struct keeper *k = calloc(1, sizeof(*k));
	struct journal_head head;
	pthread_condattr_t attr;

	if (k == NULL)
		return false;
	k->broker = broker;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&k->work, &attr);
	pthread_cond_init(&k->done, &attr);
	pthread_condattr_destroy(&attr);
	k->journal = journal_open(broker->settings.file.data, broker->born, broker->dedup.seed, &head, error);
	if (k->journal == NULL)
		goto free_keeper;
	broker->keeper = k;
	broker->born = head.born;
	broker->dedup.seed = head.seed;
	broker->sequence = head.sequence;
	k->subscription = head.subscription;
	if (!keeper_recover(k, error))
		goto free_keeper;
	if (thread_start(k) != 0) {
		snprintf(error->text, sizeof(error->text), "file %s: no thread to write it", broker->settings.file.data);
		goto free_keeper;
	}
	return true;

free_keeper:
	broker->keeper = NULL;
	keeper_free(k);
	return false;
}

void
keeper_close(struct keeper **keeper)
{
	struct keeper *k = *keeper;

	if (k == NULL)
		return;
	pthread_mutex_lock(&k->broker->lock);
	k->stop = true;
	pthread_cond_signal(&k->work);
	pthread_mutex_unlock(&k->broker->lock);
	pthread_join(k->thread, NULL);
	*keeper = NULL;
	keeper_free(k);
}
