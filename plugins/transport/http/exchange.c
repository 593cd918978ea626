/*
 * A call is in at most one of two lists, waiting and done, and leaves the first for the second exactly once, in
 * call_finish_locked(). Deliveries that are out then keep the call alive by their reference; what they
 * settle afterwards is counted and changes nothing.
 */
#include "exchange.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOOK_AGAIN_MS 1000u

bool
exchange_init(struct exchange *exchange, const struct xf_host *host, const struct settings *settings)
{
	*exchange = (struct exchange){.host = host, .settings = settings, .next_deadline_ms = UINT64_MAX};
	exchange->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	exchange->index = subjects_create();
	if (exchange->bell < 0 || exchange->index == NULL) {
		if (exchange->bell >= 0)
			close(exchange->bell);
		subjects_destroy(&exchange->index);
		return false;
	}
	if (settings->reply_subject.len > 0)
		snprintf(exchange->reply_prefix, sizeof(exchange->reply_prefix), "%s", settings->reply_subject.data);
	pthread_mutex_init(&exchange->lock, NULL);
	return true;
}

void
exchange_fini(struct exchange *exchange)
{
	close(exchange->bell);
	subjects_destroy(&exchange->index);
	free(exchange->matches);
	pthread_mutex_destroy(&exchange->lock);
}

static void
bell_ring(struct exchange *exchange)
{
	uint64_t one = 1;

	while (write(exchange->bell, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* ---- Calls -------------------------------------------------------------------------- */

struct call *
call_create(struct exchange *exchange, enum call_kind kind)
{
	struct call *call = calloc(1, sizeof(*call));

	if (call == NULL)
		return NULL;
	call->exchange = exchange;
	call->kind = kind;
	call->items_end = &call->items;
	atomic_init(&call->refs, 1);
	return call;
}

void
call_drop(struct call **pointer)
{
	struct call *call = *pointer;

	*pointer = NULL;
	if (call == NULL || atomic_fetch_sub(&call->refs, 1) > 1)
		return;
	for (struct item *item = call->items; item != NULL; item = item->next) {
		free(item->deliveries);
		free(item->why);
	}
	atomic_fetch_sub(&call->exchange->bytes, call->charged);
	arena_fini(&call->arena);
	arena_fini(&call->reply_arena);
	free(call->body);
	free(call);
}

bool
call_charge(struct call *call, uint64_t bytes)
{
	struct exchange *exchange = call->exchange;

	if (atomic_fetch_add(&exchange->bytes, bytes) + bytes > exchange->settings->max_bytes) {
		atomic_fetch_sub(&exchange->bytes, bytes);
		return false;
	}
	call->charged += bytes;
	return true;
}

struct item *
call_item(struct call *call)
{
	struct item *item = arena_take(&call->arena, sizeof(*item));

	if (item == NULL)
		return NULL;
	*item = (struct item){.call = call};
	*call->items_end = item;
	call->items_end = &item->next;
	call->item_count++;
	return item;
}

static struct call **
bucket_of(struct exchange *exchange, const char *reply_id)
{
	uint32_t hash = 2166136261u;

	for (; *reply_id != '\0'; reply_id++)
		hash = (hash ^ (unsigned char)*reply_id) * 16777619u;
	return &exchange->pending[hash % EXCHANGE_BUCKETS];
}

static void
pending_remove_locked(struct exchange *exchange, struct call *call)
{
	struct call **at = bucket_of(exchange, call->reply_id);

	if (!call->pending)
		return;
	while (*at != call)
		at = &(*at)->bucket_next;
	*at = call->bucket_next;
	call->pending = false;
}

static void
queue_remove_locked(struct source *source, struct delivery *delivery)
{
	if (delivery->prev != NULL)
		delivery->prev->next = delivery->next;
	else
		source->first = delivery->next;
	if (delivery->next != NULL)
		delivery->next->prev = delivery->prev;
	else
		source->last = delivery->prev;
	delivery->prev = delivery->next = NULL;
}

/* Takes back what of ITEM is queued: its publisher will have been told that it was not accepted. */
static void
item_give_up_locked(struct exchange *exchange, struct item *item, uint32_t *drops)
{
	for (uint32_t i = 0; i < item->delivery_count; i++) {
		struct delivery *delivery = &item->deliveries[i];

		if (delivery->source == NULL)
			continue;
		if (delivery->out) {
			item->under_way = true;
			continue;
		}
		queue_remove_locked(delivery->source, delivery);
		delivery->source = NULL;
		(*drops)++;
	}
	item->unavailable = true;
	exchange->numbers.unavailable++;
}

/* The call is done: settled, replied to, or else over. References that this frees are counted in *DROPS for the
 * caller to give back. */
static void
call_finish_locked(struct exchange *exchange, struct call *call, uint32_t *drops)
{
	if (call->prev != NULL)
		call->prev->next = call->next;
	else
		exchange->waiting = call->next;
	if (call->next != NULL)
		call->next->prev = call->prev;
	exchange->waiting_count--;
	pending_remove_locked(exchange, call);
	/* A reply may be faster than a second route, which gets the message all the same. */
	for (struct item *item = call->items; call->open > 0 && !call->replied && item != NULL; item = item->next)
		if (item->open > 0)
			item_give_up_locked(exchange, item, drops);
	call->done = true;
	call->prev = NULL;
	call->next = exchange->done;
	if (exchange->done == NULL)
		bell_ring(exchange);
	exchange->done = call;
}

static void
drops_do(struct call *call, uint32_t drops)
{
	for (; drops > 0; drops--) {
		struct call *dropped = call;

		call_drop(&dropped);
	}
}

/* ---- Submitting ------------------------------------------------------------------------ */

static bool
is_same(struct xf_str a, struct xf_str b)
{
	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/* Of two sources of a route, which gets a message that both want: one that is live, else one that is new; the newer. */
static struct source *
source_better(struct source *a, struct source *b)
{
	static const int rank[] = {[SOURCE_NEW] = 1, [SOURCE_LIVE] = 2, [SOURCE_ENDED] = 0};

	if (rank[a->stage] != rank[b->stage])
		return rank[a->stage] > rank[b->stage] ? a : b;
	return a->number > b->number ? a : b;
}

/* Another source of the route that takes messages on SUBJECT, or NULL. */
static struct source *
source_heir_locked(const struct source *source, struct xf_str subject)
{
	struct source *best = NULL;

	for (struct source *s = source->route->sources; s != NULL; s = s->route_next)
		if (s->stage != SOURCE_ENDED && subject_matches(s->pattern, subject))
			best = best != NULL ? source_better(best, s) : s;
	return best;
}

/* The routes that get the message, into exchange->matches, each with the source chosen; returns how many, 0 with
 * item->unavailable or item->unknown. */
static uint32_t
item_route_locked(struct exchange *exchange, struct item *item)
{
	size_t found = subjects_match(exchange->index, item->subject, exchange->matches);
	uint64_t number = ++exchange->submitted;
	uint32_t count = 0;

	for (size_t i = 0; i < found; i++) {
		struct source *source = exchange->matches[i];
		struct route *route = source->route;

		if (route->message == number) {
			route->chosen = source_better(route->chosen, source);
			continue;
		}
		route->message = number;
		route->chosen = source;
		exchange->matches[count++] = route;
	}
	for (uint32_t i = 0; i < count; i++)
		if (((struct route *)exchange->matches[i])->chosen->stage == SOURCE_ENDED)
			item->unavailable = true;
	item->unknown = count == 0;
	return item->unavailable ? 0 : count;
}

static void
delivery_queue_locked(struct delivery *delivery, struct source *source)
{
	delivery->source = source;
	delivery->prev = source->last;
	delivery->next = NULL;
	if (source->last != NULL)
		source->last->next = delivery;
	else
		source->first = delivery;
	source->last = delivery;
	if (source->waiting) {
		source->waiting = false;
		source->exchange->host->wake(source->endpoint);
	}
}

static void
item_submit_locked(struct exchange *exchange, struct call *call, struct item *item)
{
	uint32_t count = item_route_locked(exchange, item);

	exchange->numbers.published++;
	if (count > 0)
		item->deliveries = calloc(count, sizeof(*item->deliveries));
	if (count > 0 && item->deliveries == NULL)
		item->unavailable = true;
	if (item->deliveries == NULL) {
		exchange->numbers.unavailable += item->unavailable;
		return;
	}
	item->delivery_count = item->open = count;
	call->open++;
	atomic_fetch_add(&call->refs, count);
	for (uint32_t i = 0; i < count; i++) {
		item->deliveries[i].item = item;
		delivery_queue_locked(&item->deliveries[i], ((struct route *)exchange->matches[i])->chosen);
	}
}

enum submit
exchange_submit(struct exchange *exchange, struct call *call)
{
	enum submit submit = SUBMIT_DONE;

	pthread_mutex_lock(&exchange->lock);
	if (call->kind == CALL_REQUEST) {
		struct call **bucket = bucket_of(exchange, call->reply_id);
		struct xf_str reply;
		char text[300];

		if (exchange->repliers == 0 || exchange->reply_prefix[0] == '\0') {
			pthread_mutex_unlock(&exchange->lock);
			return SUBMIT_NO_REPLIES;
		}
		snprintf(text, sizeof(text), "%s.%s", exchange->reply_prefix, call->reply_id);
		reply = arena_copy(&call->arena, str_of(text));
		call->items->reply = reply;
		call->items->unavailable = reply.data == NULL;
		call->bucket_next = *bucket;
		*bucket = call;
		call->pending = true;
		exchange->numbers.requests++;
	}
	for (struct item *item = call->items; item != NULL; item = item->next)
		item_submit_locked(exchange, call, item);
	if (call->open > 0) {
		call->submitted = true;
		call->prev = NULL;
		call->next = exchange->waiting;
		if (call->next != NULL)
			call->next->prev = call;
		exchange->waiting = call;
		exchange->waiting_count++;
		if (call->deadline_ms < exchange->next_deadline_ms)
			exchange->next_deadline_ms = call->deadline_ms;
		submit = SUBMIT_WAITS;
	} else {
		pending_remove_locked(exchange, call);
		call->done = true;
	}
	pthread_mutex_unlock(&exchange->lock);
	return submit;
}

/* ---- Ends -------------------------------------------------------------------------------- */

/* Finishes those that are over at NOW; the list changes meanwhile, so the next is taken first. */
static void
calls_end_locked(struct exchange *exchange, uint64_t now)
{
	struct call *call = exchange->waiting, *next;

	exchange->next_deadline_ms = UINT64_MAX;
	for (; call != NULL; call = next) {
		uint32_t drops = 0;

		next = call->next;
		if (call->deadline_ms > now) {
			if (call->deadline_ms < exchange->next_deadline_ms)
				exchange->next_deadline_ms = call->deadline_ms;
			continue;
		}
		call_finish_locked(exchange, call, &drops);
		exchange->numbers.timeouts++;
		/* The listener's own reference is still there, so these are never the last. */
		drops_do(call, drops);
	}
}

uint32_t
exchange_expire(struct exchange *exchange, uint64_t now)
{
	uint64_t next;

	pthread_mutex_lock(&exchange->lock);
	if (now >= exchange->next_deadline_ms)
		calls_end_locked(exchange, now);
	next = exchange->next_deadline_ms;
	pthread_mutex_unlock(&exchange->lock);
	return next > now && next - now < LOOK_AGAIN_MS ? (uint32_t)(next - now) : LOOK_AGAIN_MS;
}

void
exchange_abandon(struct exchange *exchange)
{
	pthread_mutex_lock(&exchange->lock);
	calls_end_locked(exchange, UINT64_MAX);
	pthread_mutex_unlock(&exchange->lock);
}

struct call *
exchange_done_take(struct exchange *exchange)
{
	struct call *done;

	pthread_mutex_lock(&exchange->lock);
	done = exchange->done;
	exchange->done = NULL;
	pthread_mutex_unlock(&exchange->lock);
	return done;
}

bool
exchange_is_open(struct exchange *exchange)
{
	bool open = false;

	pthread_mutex_lock(&exchange->lock);
	for (const struct source *s = exchange->sources; s != NULL; s = s->next)
		open = open || s->stage != SOURCE_ENDED;
	pthread_mutex_unlock(&exchange->lock);
	return open;
}

/* ---- Sources ------------------------------------------------------------------------------- */

static struct route *
route_find_locked(const struct exchange *exchange, struct xf_str name)
{
	for (const struct source *s = exchange->sources; s != NULL; s = s->next)
		if (is_same(s->route_name, name))
			return s->route;
	return NULL;
}

bool
exchange_add(struct exchange *exchange, struct source *source)
{
	struct route *route, *made = NULL;
	void **matches;
	bool added = false;

	pthread_mutex_lock(&exchange->lock);
	route = route_find_locked(exchange, source->route_name);
	if (route == NULL)
		route = made = calloc(1, sizeof(*made));
	matches = realloc(exchange->matches, (subjects_count(exchange->index) + 1) * sizeof(*matches));
	if (matches != NULL)
		exchange->matches = matches;
	if (route == NULL || matches == NULL || !subjects_add(exchange->index, source->pattern, source)) {
		free(made);
		goto unlock;
	}
	source->number = ++exchange->source_count;
	source->route = route;
	source->route_next = route->sources;
	route->sources = source;
	source->next = exchange->sources;
	if (source->next != NULL)
		source->next->previous = source;
	exchange->sources = source;
	added = true;
unlock:
	pthread_mutex_unlock(&exchange->lock);
	return added;
}

void
exchange_remove(struct exchange *exchange, struct source *source)
{
	struct source **at = &source->route->sources;

	pthread_mutex_lock(&exchange->lock);
	subjects_remove(exchange->index, source->pattern, source);
	while (*at != source)
		at = &(*at)->route_next;
	*at = source->route_next;
	if (source->route->sources == NULL)
		free(source->route);
	if (source->next != NULL)
		source->next->previous = source->previous;
	if (source->previous != NULL)
		source->previous->next = source->next;
	else
		exchange->sources = source->next;
	pthread_mutex_unlock(&exchange->lock);
}

/* One delivery is settled, or never will be. */
static void
delivery_end_locked(struct exchange *exchange, struct delivery *delivery, uint32_t *drops)
{
	struct item *item = delivery->item;
	struct call *call = item->call;

	delivery->source = NULL;
	delivery->out = false;
	(*drops)++;
	if (call->done) {
		exchange->numbers.late_settlements++;
		return;
	}
	if (--item->open > 0)
		return;
	call->open--;
	if (item->refused)
		exchange->numbers.refused++;
	else if (item->unavailable)
		exchange->numbers.unavailable++;
	else
		exchange->numbers.accepted++;
	if (call->open > 0)
		return;
	if (call->kind != CALL_REQUEST || item->refused || item->unavailable)
		call_finish_locked(exchange, call, drops);
}

/* SOURCE will not emit what is queued: it goes to another of the same route, or back to its publishers. */
static void
queue_leave_locked(struct source *source)
{
	struct exchange *exchange = source->exchange;

	while (source->first != NULL) {
		struct delivery *delivery = source->first;
		struct call *call = delivery->item->call;
		struct source *heir = source_heir_locked(source, delivery->item->subject);
		uint32_t drops = 0;

		queue_remove_locked(source, delivery);
		if (heir != NULL) {
			delivery_queue_locked(delivery, heir);
			continue;
		}
		delivery->item->unavailable = true;
		delivery_end_locked(exchange, delivery, &drops);
		drops_do(call, drops);
	}
}

void
source_begin(struct source *source)
{
	pthread_mutex_lock(&source->exchange->lock);
	source->stage = SOURCE_LIVE;
	pthread_mutex_unlock(&source->exchange->lock);
}

void
source_end(struct source *source)
{
	pthread_mutex_lock(&source->exchange->lock);
	source->stage = SOURCE_ENDED;
	source->waiting = false;
	queue_leave_locked(source);
	pthread_mutex_unlock(&source->exchange->lock);
}

uint32_t
source_take(struct source *source, struct delivery **out, uint32_t count, uint64_t bytes, uint32_t *due_in_ms)
{
	uint64_t now = source->exchange->host->now_ms(), used = 0, due = UINT64_MAX;
	struct delivery *delivery, *next;
	uint32_t n = 0;

	pthread_mutex_lock(&source->exchange->lock);
	for (delivery = source->first; delivery != NULL && n < count; delivery = next) {
		uint64_t size = delivery->item->payload.len;

		next = delivery->next;
		if (delivery->due_ms > now) {
			due = delivery->due_ms < due ? delivery->due_ms : due;
			continue;
		}
		if (n > 0 && used + size > bytes)
			break;
		queue_remove_locked(source, delivery);
		delivery->out = true;
		delivery->attempt++;
		used += size;
		out[n++] = delivery;
	}
	source->waiting = n == 0 && source->stage == SOURCE_LIVE;
	pthread_mutex_unlock(&source->exchange->lock);
	*due_in_ms = due == UINT64_MAX ? 0 : (uint32_t)(due - now < UINT32_MAX ? due - now : UINT32_MAX);
	return n;
}

void
source_untake(struct source *source, struct delivery **out, uint32_t count)
{
	pthread_mutex_lock(&source->exchange->lock);
	for (uint32_t i = count; i-- > 0;) {
		struct delivery *delivery = out[i];
		struct call *call = delivery->item->call;
		uint32_t drops = 0;

		delivery->attempt--;
		if (call->done) {
			delivery_end_locked(source->exchange, delivery, &drops);
			drops_do(call, drops);
			continue;
		}
		delivery->out = false;
		delivery->next = source->first;
		delivery->prev = NULL;
		if (source->first != NULL)
			source->first->prev = delivery;
		else
			source->last = delivery;
		source->first = delivery;
	}
	if (source->stage == SOURCE_ENDED)
		queue_leave_locked(source);
	pthread_mutex_unlock(&source->exchange->lock);
}

/* Returns the call's references that are to be given back. */
static uint32_t
verdict_apply_locked(struct source *source, const struct verdict *verdict, uint64_t now)
{
	struct delivery *delivery = verdict->delivery;
	struct item *item = delivery->item;
	uint32_t drops = 0;

	if (verdict->outcome == XF_SETTLE_RETRY && !item->call->done && source->stage == SOURCE_LIVE) {
		delivery->out = false;
		delivery->due_ms = now + verdict->delay_ms;
		delivery_queue_locked(delivery, source);
		return 0;
	}
	if (verdict->outcome == XF_SETTLE_REJECT)
		item->refused = item->refused || !item->call->done;
	else if (verdict->outcome == XF_SETTLE_RETRY)
		item->unavailable = item->unavailable || !item->call->done;
	delivery_end_locked(source->exchange, delivery, &drops);
	return drops;
}

/* A dropped reference may be the last, since the answer may be gone already: what it frees is freed without the lock. */
void
source_settle(struct source *source, const struct verdict *verdicts, uint32_t count)
{
	struct call *calls[64];
	uint32_t drops[64];
	uint64_t now = source->exchange->host->now_ms();

	for (uint32_t first = 0; first < count; first += 64) {
		uint32_t some = count - first < 64 ? count - first : 64;

		pthread_mutex_lock(&source->exchange->lock);
		for (uint32_t i = 0; i < some; i++) {
			calls[i] = verdicts[first + i].delivery->item->call;
			drops[i] = verdict_apply_locked(source, &verdicts[first + i], now);
		}
		pthread_mutex_unlock(&source->exchange->lock);
		for (uint32_t i = 0; i < some; i++)
			drops_do(calls[i], drops[i]);
	}
}

void
source_give_up(struct source *source, struct delivery *const *out, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		source_settle(source, &(struct verdict){out[i], XF_SETTLE_RETRY, 0}, 1);
}

/* ---- Replies --------------------------------------------------------------------------------- */

void
exchange_repliers(struct exchange *exchange, int change)
{
	pthread_mutex_lock(&exchange->lock);
	exchange->repliers += (unsigned)change;
	pthread_mutex_unlock(&exchange->lock);
}

void
exchange_name(struct exchange *exchange, struct xf_str server)
{
	char name[128];
	size_t n = 0;

	for (; n < server.len && n + 1 < sizeof(name); n++) {
		unsigned char c = (unsigned char)server.data[n];

		/* One token, and of the bytes that every broker takes. */
		name[n] = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ? (char)c : '-';
	}
	name[n] = '\0';
	pthread_mutex_lock(&exchange->lock);
	if (exchange->reply_prefix[0] == '\0' && n > 0)
		snprintf(exchange->reply_prefix, sizeof(exchange->reply_prefix), "crossfade.reply.%s", name);
	pthread_mutex_unlock(&exchange->lock);
}

/* The call that waits for a reply on SUBJECT, with a reference, or NULL. */
static struct call *
pending_find(struct exchange *exchange, struct xf_str subject)
{
	char id[WORDS_ID_SIZE];
	struct call *call = NULL;
	size_t prefix;

	pthread_mutex_lock(&exchange->lock);
	prefix = strlen(exchange->reply_prefix);
	if (subject.len == prefix + 1 + sizeof(id) - 1 && memcmp(subject.data, exchange->reply_prefix, prefix) == 0 &&
	    subject.data[prefix] == '.') {
		memcpy(id, subject.data + prefix + 1, sizeof(id) - 1);
		id[sizeof(id) - 1] = '\0';
		for (call = *bucket_of(exchange, id); call != NULL && strcmp(call->reply_id, id) != 0;)
			call = call->bucket_next;
	}
	if (call != NULL) {
		pending_remove_locked(exchange, call);
		atomic_fetch_add(&call->refs, 1);
	} else {
		exchange->numbers.late_replies++;
	}
	pthread_mutex_unlock(&exchange->lock);
	return call;
}

/* Only who took the call out of the pending ones writes its reply, so no lock is needed. */
static bool
reply_copy(struct call *call, struct arena *arena, const struct xf_outgoing *message, struct xf_header **headers)
{
	bool whole;

	*headers = arena_take(arena, (message->header_count + 1) * sizeof(**headers));
	if (*headers == NULL)
		return false;
	call->reply = arena_copy(arena, (struct xf_str){message->payload, message->payload_size});
	call->reply_type = arena_copy(arena, message->content_type);
	call->reply_message_id = arena_copy(arena, message->id);
	whole = call->reply.data != NULL && call->reply_type.data != NULL && call->reply_message_id.data != NULL;
	for (uint32_t i = 0; i < message->header_count; i++) {
		(*headers)[i] = (struct xf_header){arena_copy(arena, message->headers[i].name),
		                                   arena_copy(arena, message->headers[i].value)};
		whole = whole && (*headers)[i].name.data != NULL && (*headers)[i].value.data != NULL;
	}
	return whole;
}

/* CALL is not pending any more; its reference is taken. */
static bool
call_reply(struct exchange *exchange, struct call *call, const struct xf_outgoing *message, uint32_t status, uint32_t delay_ms)
{
	struct xf_header *headers;
	bool taken = false, copied;
	uint32_t drops = 0;

	copied = reply_copy(call, &call->reply_arena, message, &headers) && call_charge(call, call->reply_arena.bytes);
	pthread_mutex_lock(&exchange->lock);
	if (!call->done && copied) {
		call->replied = true;
		call->reply_status = status;
		call->reply_delay_ms = delay_ms;
		call->reply_headers = headers;
		call->reply_header_count = message->header_count;
		exchange->numbers.replies++;
		call_finish_locked(exchange, call, &drops);
		taken = true;
	} else if (!call->done) {
		call->overfull = true;
		call_finish_locked(exchange, call, &drops);
	} else {
		exchange->numbers.late_replies++;
	}
	pthread_mutex_unlock(&exchange->lock);
	drops_do(call, drops + 1);
	return taken;
}

bool
exchange_reply(struct exchange *exchange, const struct xf_outgoing *message)
{
	struct call *call = pending_find(exchange, message->subject);

	return call != NULL && call_reply(exchange, call, message, 0, 0);
}

void
exchange_reply_to(struct exchange *exchange, const struct delivery *delivery, const struct xf_reply *reply)
{
	struct call *call = delivery->item->call;
	const struct xf_incoming *m = reply->message;
	const struct xf_outgoing message = {
		.id = m->id,
		.content_type = m->content_type,
		.payload = m->payload,
		.payload_size = m->payload_size,
		.headers = m->headers,
		.header_count = m->header_count,
	};
	bool pending;

	pthread_mutex_lock(&exchange->lock);
	pending = call->pending;
	if (pending) {
		pending_remove_locked(exchange, call);
		atomic_fetch_add(&call->refs, 1);
	} else if (call->kind == CALL_REQUEST)
		exchange->numbers.late_replies++;
	else if (reply->status != 0 && !call->done && !delivery->item->refused) {
		delivery->item->refused = true;
		delivery->item->status = reply->status;
		delivery->item->why = malloc(reply->reason.len + 1);
		if (delivery->item->why != NULL) {
			memcpy(delivery->item->why, reply->reason.data, reply->reason.len);
			delivery->item->why[reply->reason.len] = '\0';
		}
	}
	pthread_mutex_unlock(&exchange->lock);
	if (pending)
		call_reply(exchange, call, &message, reply->status, reply->delay_ms);
}
