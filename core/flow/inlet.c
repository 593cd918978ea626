/*
 * A turn of the loop:
 *
 *   1. take back the legs that came in, see which sinks went down or came up, and whether the migration's knobs were
 *      turned; the way decides what goes again, or elsewhere (way.h)
 *   2. have the plugin work: it emits, each message is accepted, goes through the route's handlers (chain.h), and its legs are
 *      chained up per sink
 *   3. push the chains to the sinks, hand settlements to the plugin
 *
 * A reload gives the inlet another way: it is held first, which lets nothing new in, until nothing is open or the old sinks
 * were stopped and all legs are back. What is still open then goes the new way, in order of acceptance.
 */
#include "flow/inlet.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/subject.h"
#include "flow/accept.h"
#include "flow/arrival.h"
#include "flow/chain.h"
#include "flow/message.h"
#include "flow/parking.h"
#include "flow/redelivery.h"
#include "flow/replay.h"
#include "flow/replies.h"
#include "flow/settlements.h"

#define DUPLICATE_RETRY_MS 1000
#define LETTERS_TURN 64
#define WORKED_ON "to" /* in a letter in the place of a sink, where none has it: handlers have */
#define LOSSY_WAIT_MS 2000 /* what waits longer for room may cost the connection */
#define LOSSY_HUNG_MS 500  /* a sink that has confirmed nothing by then: better twice than never */

struct xf_inlet {
	struct xf_runner runner; /* first */
	struct xf_seen *seen; /* NULL: duplicates are not looked for */
	struct xf_parking parking;
	const struct xf_source_ops *ops;
	bool lossy;
	bool read_back; /* what comes was accepted before */
	bool counted;   /* and checked, and is in the route's numbers */
	bool all_subjects;
	struct xf_arrival arrival;

	struct xf_chain chain;
	struct xf_replies replies;
	struct xf_way *way;
	uint64_t now_ms;
	uint32_t credit; /* left for emit in this turn */
	uint64_t full_at; /* since when a source that cannot be held back has found no room; 0: it has */
	struct xf_delivery *late_first, *late_last; /* came while held, of a source that cannot be: not accepted yet */
	uint32_t late;

	struct xf_settlements settlements;
	struct xf_redelivery redelivery;
	uint32_t settle_within_ms;
	uint64_t extend_at;
	bool closed; /* paused, or what is refused finds no place: nothing is to come in */

	_Atomic bool paused;
	_Atomic bool hold;
	_Atomic bool held; /* the source had a turn in which it was held */
	_Atomic(struct xf_way *) next; /* to be taken in the place of way, which then stands here */
	_Atomic bool swapped;
	_Atomic bool quiet; /* held, and no leg of it is out or can be sent */
	pthread_mutex_t way_lock; /* guards the pointer way against those who read its numbers */
	_Atomic bool draining;
	_Atomic bool intake_ended; /* the source had a turn in which it was draining */
	/* for others to read */
	_Atomic uint64_t accepted, acked, overflow, filtered, redelivered, copies, duplicates;
	_Atomic uint64_t in_flight, to_settle, bytes, oldest_ms;
};

/* ---- Settling ---------------------------------------------------------------------------- */

static void
settlement_add(struct xf_inlet *inlet, uint64_t handle, uint32_t outcome, uint32_t delay_ms)
{
	xf_settlements_add(&inlet->settlements, handle, outcome, delay_ms);
}

static void
settlements_flush(struct xf_inlet *inlet)
{
	if (!xf_settlements_sync(&inlet->settlements)) {
		/* Those whose other leg is still out. */
		for (struct xf_delivery *at = inlet->way->lanes.oldest; at != NULL; at = at->newer)
			if (at->refused == XF_REFUSED_KEPT)
				at->refused = XF_REFUSED_UNSURE;
		for (struct xf_job *at = inlet->chain.first; at != NULL; at = at->newer)
			if (at->refused == XF_REFUSED_KEPT)
				at->refused = XF_REFUSED_UNSURE;
	}
	xf_replies_send(&inlet->replies, inlet->runner.instance); /* of a dead letter, too, only when it is on disk */
	xf_settlements_hand_over(&inlet->settlements, inlet->ops, inlet->runner.instance);
	xf_redelivery_flush(&inlet->redelivery);
}

/* LETTER: what is known of the message here. */
static bool
reject_keep(struct xf_inlet *inlet, struct xf_letter letter)
{
	letter.route = xf_str(inlet->way->setup.route->name);
	letter.last_ms = xf_wall_ms();
	if (letter.first_ms == 0)
		letter.first_ms = letter.last_ms;
	return xf_settlements_keep(&inlet->settlements, &letter, inlet->now_ms);
}

/* A message of a source that cannot be held back finds no place. */
static void
message_drop(struct xf_inlet *inlet, uint64_t handle)
{
	if (xf_read(&inlet->overflow) == 0)
		xf_log(XF_LOG_WARN, inlet->runner.name,
		       "messages are dropped: the source cannot be held back, and the route is paused or full");
	xf_count(&inlet->overflow, 1);
	settlement_add(inlet, handle, XF_SETTLE_ACK, 0);
}

/* The source keeps the message and offers it again; until then it counts as not accepted. */
static void
hand_back(struct xf_inlet *inlet, uint64_t handle)
{
	if (inlet->lossy) { /* it would not come again */
		message_drop(inlet, handle);
		return;
	}
	xf_count(&inlet->accepted, (uint64_t)-1);
	settlement_add(inlet, handle, XF_SETTLE_RETRY, XF_REJECT_RETRY_MS);
}

/* DONE: it stands. What was refused may be sent again, by its broker or by whoever mended it. */
static void
id_leave(struct xf_inlet *inlet, const struct xf_delivery *delivery, bool done)
{
	if (inlet->seen != NULL && !delivery->id_made && delivery->letter == 0)
		xf_seen_leave(inlet->seen, delivery->id, done, inlet->now_ms);
}

/* One that was refused again its store has still. */
static void
letter_settle(struct xf_inlet *inlet, uint64_t letter, uint8_t refused)
{
	if (refused == XF_REFUSED_NOT) {
		xf_count(&inlet->acked, 1);
		xf_redelivery_arrived(&inlet->redelivery, letter);
	} else if (refused == XF_REFUSED_NOT_KEPT)
		xf_count(&inlet->accepted, (uint64_t)-1);
}

static void
source_settle(struct xf_inlet *inlet, uint64_t handle, uint8_t refused)
{
	if (refused == XF_REFUSED_NOT_KEPT)
		hand_back(inlet, handle);
	else if (refused == XF_REFUSED_KEPT)
		settlement_add(inlet, handle, XF_SETTLE_REJECT, 0);
	else if (refused == XF_REFUSED_UNSURE)
		settlement_add(inlet, handle, XF_SETTLE_RETRY, XF_REJECT_RETRY_MS);
	else {
		xf_count(&inlet->acked, 1);
		settlement_add(inlet, handle, XF_SETTLE_ACK, 0);
	}
}

static void
way_settle(void *context, struct xf_delivery *delivery)
{
	struct xf_inlet *inlet = context;

	if (delivery->job != NULL) {
		xf_replies_alone(&inlet->replies, delivery->job);
		xf_chain_settled(&inlet->chain, delivery->job, delivery->refused);
		return;
	}
	if (delivery->letter != 0) {
		letter_settle(inlet, delivery->letter, delivery->refused);
		return;
	}
	id_leave(inlet, delivery, delivery->refused == XF_REFUSED_NOT);
	source_settle(inlet, delivery->handle, delivery->refused);
}

/* DELIVERY goes nowhere. What could not be kept comes again, and whoever asked waits for that. */
static void
asker_tell(struct xf_inlet *inlet, struct xf_delivery *delivery, uint32_t status, const char *reason)
{
	if (delivery->refused != XF_REFUSED_NOT_KEPT)
		xf_replies_fail(&inlet->replies, delivery->job, status, 0, reason);
	xf_replies_give_up(&inlet->replies, delivery->job);
}

static void
way_refused(void *context, struct xf_delivery *delivery, const struct xf_leg *leg, const char *sink)
{
	struct xf_inlet *inlet = context;
	char *reason = xf_format("%s%s %s: %s", sink, leg->copy ? " (the copy)" : "",
	                         leg->result == XF_RESULT_FAILED ? "failed as often as it is to be tried, the last time" : "refused it",
	                         leg->reason != NULL ? leg->reason : "no reason given");

	if (delivery->refused == XF_REFUSED_NOT) { /* once, where both sides refuse it */
		const struct xf_letter letter = {
			.number = delivery->letter,
			.sink = xf_str(sink),
			.reason = xf_str(reason),
			.attempts = leg->failures > 0 ? leg->failures : leg->attempts + 1u,
			.first_ms = xf_wall_ms() -
			            (int64_t)(inlet->now_ms -
			                      (delivery->job != NULL ? delivery->job->accepted_ms : delivery->accepted_ms)),
			.reply = delivery->reply,
			.content_type = delivery->content_type,
			.message = {
				.subject = delivery->subject,
				.id = delivery->id,
				.key = delivery->key_given,
				.payload = {delivery->payload, delivery->payload_size},
				.headers = delivery->headers_given,
				.header_count = delivery->headers_given_count,
			},
		};

		delivery->refused = reject_keep(inlet, letter) ? XF_REFUSED_KEPT : XF_REFUSED_NOT_KEPT;
	}
	if (delivery->job != NULL && !leg->copy)
		asker_tell(inlet, delivery, 502, reason);
	free(reason);
}

static const struct xf_way_ops way_ops = {
	.settle = way_settle,
	.refused = way_refused,
};

/* ---- Accepting ----------------------------------------------------------------------------- */

static void
message_reject(struct xf_inlet *inlet, const struct xf_incoming *message, const struct xf_fields *fields,
               const char *reason)
{
	const struct xf_letter letter = {
		.sink = xf_str(inlet->way->setup.replays ? WORKED_ON : ""),
		.reason = xf_str(reason),
		.reply = message->reply,
		.content_type = message->content_type,
		.message = *fields,
	};

	if (reject_keep(inlet, letter))
		settlement_add(inlet, message->handle, XF_SETTLE_REJECT, 0);
	else
		hand_back(inlet, message->handle);
}

static uint64_t
route_open(const struct xf_inlet *inlet)
{
	/* What handlers made of a message is open in the lanes, and what they have, not yet; a request is so when it has left them. */
	return inlet->way->lanes.open + inlet->late + inlet->parking.count + inlet->chain.inside + inlet->replies.alone;
}

static uint64_t
route_bytes(const struct xf_inlet *inlet)
{
	return xf_maker_bytes(&inlet->way->maker) + inlet->chain.bytes;
}

/* It came before, or the other side of a migration brought it. While that one is under way nobody knows whether it
 * will stand, so the broker keeps this one. */
static bool
message_is_duplicate(struct xf_inlet *inlet, struct xf_str id, bool id_made, uint64_t handle)
{
	enum xf_seen_verdict verdict = XF_SEEN_NEW;

	if (inlet->seen != NULL && !id_made)
		verdict = xf_seen_enter(inlet->seen, id, inlet->now_ms);
	if (verdict == XF_SEEN_NEW)
		return false;
	if (verdict == XF_SEEN_UNDER_WAY && !inlet->lossy) {
		xf_count(&inlet->accepted, (uint64_t)-1);
		settlement_add(inlet, handle, XF_SETTLE_RETRY, DUPLICATE_RETRY_MS);
		return true;
	}
	xf_count(&inlet->duplicates, 1);
	settlement_add(inlet, handle, XF_SETTLE_ACK, 0);
	return true;
}

/* To the handlers, and on from there. */
static void
message_work(struct xf_inlet *inlet, const struct xf_incoming *message)
{
	struct xf_incoming known = *message;
	struct xf_job *job;
	char id[28];
	bool made;

	known.id = xf_maker_id(&inlet->way->maker, message, id);
	/* Who asks again wants to be told again. */
	made = known.id.data == id || xf_replies_asks(&inlet->replies, message);
	if (message_is_duplicate(inlet, known.id, made, message->handle))
		return;
	job = xf_chain_make(&inlet->chain, &known, false, inlet->now_ms);
	xf_replies_look(&inlet->replies, job, message);
	if (inlet->seen != NULL && !made)
		job->id = xf_strndup(known.id.data, known.id.len);
	xf_chain_enter(&inlet->chain, job, inlet->now_ms);
}

/* On its way, or refused. Returns true where the payload was adopted. */
static bool
message_route(struct xf_inlet *inlet, const struct xf_incoming *message)
{
	struct xf_fields fields;
	struct xf_error error;
	struct xf_delivery *delivery = xf_way_make(inlet->way, message, &fields, &error);
	uint16_t bucket;
	bool adopted;

	if (delivery == NULL) {
		message_reject(inlet, message, &fields, error.text);
		return false;
	}
	adopted = delivery->release != NULL;
	if (inlet->way->setup.replays) {
		delivery->replayed = (uint8_t)(1 + XF_REPLAY_ROLE(message->flags));
		delivery->replayed_to = XF_REPLAY_SINK(message->flags);
	}
	if (message_is_duplicate(inlet, delivery->id, delivery->id_made, delivery->handle)) {
		xf_maker_release(&inlet->way->maker, delivery);
		return adopted;
	}
	if (xf_parking_waits(&inlet->parking, message, &bucket)) {
		xf_parking_add(&inlet->parking, delivery, bucket);
		return adopted;
	}
	if (!atomic_load_explicit(&inlet->hold, memory_order_relaxed)) {
		xf_way_accept(inlet->way, delivery);
		return adopted;
	}
	/* Of a source that cannot be held back: it goes the new way, behind what is open. */
	if (inlet->late_last != NULL)
		inlet->late_last->waiting_next = delivery;
	else
		inlet->late_first = delivery;
	inlet->late_last = delivery;
	inlet->late++;
	return adopted;
}

static bool
message_go(struct xf_inlet *inlet, const struct xf_incoming *message)
{
	if (!xf_chain_any(&inlet->chain) && inlet->way->setup.route->request_ms == 0)
		return message_route(inlet, message);
	message_work(inlet, message);
	return false;
}

/* Of the migration that is read: the message itself is on the other side. */
static bool
message_is_copy(const struct xf_inlet *inlet, const struct xf_incoming *message)
{
	const struct xf_conf_migration *migration = inlet->runner.conf->migration;

	for (uint32_t i = 0; migration != NULL && i < message->header_count; i++)
		if (xf_str_equal_nocase(message->headers[i].name, xf_str("Crossfade-Copy")) &&
		    xf_str_is(message->headers[i].value, migration->name))
			return true;
	return false;
}

static void legs_take(struct xf_inlet *inlet);

/*
 * A source that cannot be held back brings more than there is room for: that goes to the spools, which takes a commit or two. So long
 * it waits here, in what its broker and the network keep for it.
 */
static bool
lossy_has_room(struct xf_inlet *inlet)
{
	struct xf_way *way = inlet->way;
	uint64_t waited;

	if (!xf_way_is_full(way, route_open(inlet), route_bytes(inlet))) {
		inlet->full_at = 0;
		return true;
	}
	if (inlet->full_at == 0)
		inlet->full_at = xf_now_ms();
	while (xf_way_is_full(way, route_open(inlet), route_bytes(inlet))) {
		waited = xf_now_ms() - inlet->full_at;
		if (!xf_way_spools(way) || atomic_load_explicit(&inlet->hold, memory_order_relaxed) || waited >= LOSSY_WAIT_MS ||
		    atomic_load_explicit(&inlet->runner.stopping, memory_order_relaxed))
			return false;
		if (inlet->chain.inside < way->lanes.open) /* else the handlers have the room */
			xf_way_press(way, waited >= LOSSY_HUNG_MS ? XF_ASIDE_ALL : XF_ASIDE_QUEUED);
		if (xf_way_out(way) == 0 && inlet->chain.inside == 0)
			return false;
		xf_sleep_ms(1);
		xf_way_look(way);
		legs_take(inlet);
		xf_chain_follow(&inlet->chain, way->now_ms);
		xf_way_follow(way);
		xf_way_flush(way);
	}
	inlet->now_ms = way->now_ms;
	inlet->full_at = 0;
	return true;
}

/* What is done with it is said to the source later, by a settlement. Returns true where the payload was adopted. */
static bool
message_accept(struct xf_inlet *inlet, const struct xf_incoming *message)
{
	const char *wrong = NULL;
	struct xf_incoming read;
	struct xf_error error;

	xf_count(&inlet->accepted, 1);
	if (inlet->counted)
		return message_go(inlet, message);
	if (message->flags & XF_MESSAGE_REDELIVERED)
		xf_count(&inlet->redelivered, 1);
	if (!inlet->arrival.plain) {
		if (xf_arrival_read(&inlet->arrival, message, &read, &error) != XF_OK)
			wrong = error.text;
		message = &read;
	}
	if (wrong == NULL)
		wrong = xf_accept_check(message, inlet->way->setup.server);
	if (wrong == NULL && !inlet->all_subjects &&
	    !xf_subject_match(inlet->runner.info.subject, message->subject)) {
		xf_count(&inlet->filtered, 1);
		settlement_add(inlet, message->handle, XF_SETTLE_ACK, 0);
		return false;
	}
	if (inlet->lossy && (inlet->closed || !lossy_has_room(inlet))) {
		message_drop(inlet, message->handle);
		return false;
	}
	if (wrong != NULL) {
		message_reject(inlet, message, &(struct xf_fields){
			.subject = message->subject,
			.id = message->id,
			.key = message->key,
			.payload = {message->payload, message->payload_size},
			.headers = message->headers,
			.header_count = message->header_count,
		}, wrong);
		return false;
	}
	if (message_is_copy(inlet, message)) {
		xf_count(&inlet->copies, 1);
		settlement_add(inlet, message->handle, XF_SETTLE_ACK, 0);
		return false;
	}
	return message_go(inlet, message);
}

void
xf_inlet_refuse(struct xf_endpoint *endpoint, uint64_t handle, struct xf_str record, const char *reason)
{
	struct xf_inlet *inlet = (struct xf_inlet *)endpoint;

	xf_count(&inlet->accepted, 1);
	message_reject(inlet, &(struct xf_incoming){.handle = handle}, &(struct xf_fields){.payload = record}, reason);
}

struct xf_way *
xf_inlet_its_way(struct xf_endpoint *endpoint)
{
	return ((struct xf_inlet *)endpoint)->way;
}

static uint32_t
inlet_emit(struct xf_endpoint *endpoint, const struct xf_incoming *messages, uint32_t stride, uint32_t count)
{
	struct xf_inlet *inlet = (struct xf_inlet *)endpoint;

	if (!inlet->lossy && count > inlet->credit) {
		xf_runner_violation(&inlet->runner, "emitted more than its credit");
		count = inlet->credit;
	}
	for (uint32_t i = 0; i < count; i++) {
		const struct xf_incoming *message = (const void *)((const char *)messages + (size_t)i * stride);
		struct xf_incoming whole;

		if (stride < sizeof(whole)) { /* of an older plugin: what it does not know is zero */
			memset(&whole, 0, sizeof(whole));
			memcpy(&whole, message, stride);
			message = &whole;
		}
		if (!message_accept(inlet, message) && message->release != NULL)
			message->release(message->release_context);
	}
	inlet->credit -= count < inlet->credit ? count : inlet->credit;
	return count;
}

static void
inlet_complete(struct xf_endpoint *endpoint, const struct xf_result *results, uint32_t count)
{
	(void)results, (void)count;
	xf_runner_violation((struct xf_runner *)endpoint, "completed from a source");
}

static void
inlet_state(struct xf_endpoint *endpoint, uint32_t state, const char *reason)
{
	xf_runner_state((struct xf_runner *)endpoint, state, reason);
}

static void
inlet_settle_within(struct xf_endpoint *endpoint, uint32_t milliseconds)
{
	((struct xf_inlet *)endpoint)->settle_within_ms = milliseconds;
}

static void
inlet_sight(struct xf_endpoint *endpoint, const struct xf_sight *sight)
{
	struct xf_inlet *inlet = (struct xf_inlet *)endpoint;

	xf_runner_sight(endpoint, sight);
	if (sight->known & XF_SIGHT_LAG)
		xf_parking_lag(&inlet->parking, sight->lag);
}

static const struct xf_endpoint_calls inlet_calls = {
	.wake = xf_runner_wake,
	.state = inlet_state,
	.emit = inlet_emit,
	.complete = inlet_complete,
	.settle_within = inlet_settle_within,
	.sight = inlet_sight,
};

/* ---- What handlers made of it ------------------------------------------------------------------------ */

static void
job_id_leave(struct xf_inlet *inlet, const struct xf_job *job, bool done)
{
	if (job->id != NULL && inlet->seen != NULL)
		xf_seen_leave(inlet->seen, xf_str(job->id), done, inlet->now_ms);
}

static uint16_t
chain_bucket(void *context, const struct xf_incoming *message)
{
	return xf_maker_bucket(&((struct xf_inlet *)context)->way->maker, message);
}

/* Whoever asked is told; what he did wrong is his affair then. Else it becomes a dead letter, as it was given, and once, however many of what was
 * made of it are refused: whoever sends the letter again has it go through all handlers. */
static uint8_t
chain_refuse(void *context, struct xf_job *job, const char *reason)
{
	struct xf_inlet *inlet = context;
	const struct xf_letter letter = {
		.number = job->letter,
		.reason = xf_str(reason),
		.attempts = job->failures > 0 ? job->failures : 1,
		.first_ms = xf_wall_ms() - (int64_t)(inlet->now_ms - job->accepted_ms),
		.reply = job->given.reply,
		.content_type = job->given.content_type,
		.message = {
			.subject = job->given.subject,
			.id = job->given.id,
			.key = job->given.key,
			.payload = {job->given.payload, job->given.payload_size},
			.headers = job->given.headers,
			.header_count = job->given.header_count,
		},
	};

	const char *told = job->reason != NULL ? job->reason : reason;

	if (job->code == XF_OUTCOME_REFUSE && job->status < 500 &&
	    xf_replies_fail(&inlet->replies, job, job->status, job->delay_ms, told))
		return XF_REFUSED_NOT;
	if (!job->kept)
		job->kept = reject_keep(inlet, letter);
	if (job->kept) /* else it comes again */
		xf_replies_fail(&inlet->replies, job, job->status, job->delay_ms, told);
	return job->kept ? XF_REFUSED_KEPT : XF_REFUSED_NOT_KEPT;
}

/* Of what handlers made. A reply has no subject. */
static const char *
made_check(const struct xf_inlet *inlet, const struct xf_job *job, bool reply)
{
	struct xf_incoming message = job->message;

	if (job->message_block == NULL)
		return NULL;
	if (reply)
		message.subject = job->given.subject;
	return xf_accept_check(&message, inlet->way->setup.server);
}

static void
chain_deliver(void *context, struct xf_job *job)
{
	struct xf_inlet *inlet = context;
	const struct xf_conf_route *route = inlet->way->setup.route;
	bool reply = route->to == XF_TO_REPLY || (job->message.flags & XF_MESSAGE_REPLY);
	const char *wrong = made_check(inlet, job, reply);
	struct xf_delivery *delivery = NULL;
	struct xf_fields fields;
	struct xf_error error;

	if (job->follows != NULL && job->became == NULL)
		job->became = xf_message_copy(&job->message);
	if (wrong == NULL && reply) {
		xf_replies_add(&inlet->replies, job, &job->message);
		return;
	}
	if (wrong == NULL) {
		delivery = xf_way_make(inlet->way, &job->message, &fields, &error);
		wrong = error.text;
	}
	if (delivery == NULL) {
		uint8_t refused;

		job->code = XF_OUTCOME_FAIL;
		job->status = 500;
		job->failed = true;
		refused = chain_refuse(inlet, job, wrong);
		if (refused > job->refused)
			job->refused = refused;
		return;
	}
	delivery->job = job;
	/* Of several the letter stays until all of them have arrived, and what is refused of them is another. */
	delivery->letter = job->several ? 0 : job->letter;
	job->under_way++;
	if (route->request_ms > 0)
		delivery->request = xf_replies_await(&inlet->replies, job, route->request_ms, inlet->now_ms);
	xf_way_accept(inlet->way, delivery);
}

/* Handlers have dropped it, and whoever asked would wait for nothing. */
static void
chain_drop(void *context, struct xf_job *job)
{
	struct xf_inlet *inlet = context;

	if (job->asked)
		xf_replies_fail(&inlet->replies, job, 422, 0, "it was dropped");
}

static void
chain_settle(void *context, struct xf_job *job)
{
	struct xf_inlet *inlet = context;

	if (job->letter != 0) {
		letter_settle(inlet, job->letter, job->refused);
		return;
	}
	job_id_leave(inlet, job, job->refused == XF_REFUSED_NOT);
	source_settle(inlet, job->handle, job->refused);
}

static const struct xf_chain_ops chain_ops = {
	.bucket = chain_bucket,
	.deliver = chain_deliver,
	.refuse = chain_refuse,
	.drop = chain_drop,
	.settle = chain_settle,
};

/* ---- The loop ------------------------------------------------------------------------------------ */

static void
legs_take(struct xf_inlet *inlet)
{
	struct xf_leg *leg = (struct xf_leg *)xf_inbox_take(&inlet->runner.inbox);
	uint64_t now_ns = leg != NULL ? xf_now_ns() : 0;

	while (leg != NULL) {
		struct xf_leg *next = (struct xf_leg *)leg->node.next;

		__builtin_prefetch(next);
		xf_way_returned(inlet->way, leg, now_ns);
		leg = next;
	}
}

static void
delivery_go(void *inlet, struct xf_delivery *delivery)
{
	xf_way_accept(((struct xf_inlet *)inlet)->way, delivery);
}

/*
 * The message of DELIVERY, which OLD gives up, made by the way of now; NULL: that refuses it, and it is settled. One that a sink
 * has refused and that is kept was told as refused: it stays so, whatever the new sinks make of it.
 */
static struct xf_delivery *
delivery_remake(struct xf_inlet *inlet, struct xf_way *old, struct xf_delivery *delivery)
{
	struct xf_delivery *again;
	struct xf_incoming message;
	struct xf_fields fields;
	struct xf_error error;

	if (delivery->refused == XF_REFUSED_NOT_KEPT)
		delivery->refused = XF_REFUSED_NOT;
	xf_way_unmake(old, delivery, &message);
	again = xf_way_make(inlet->way, &message, &fields, &error);
	if (again != NULL) {
		again->refused = delivery->refused;
		again->id_made = delivery->id_made;
		again->replayed = delivery->replayed;
		again->replayed_to = delivery->replayed_to;
		again->letter = delivery->letter;
		again->job = delivery->job;
		again->request = delivery->request;
	} else {
		const struct xf_letter letter = {
			.number = delivery->letter,
			.sink = xf_str(delivery->job != NULL ? WORKED_ON : ""),
			.reason = xf_str(error.text),
			.reply = message.reply,
			.content_type = message.content_type,
			.message = fields,
		};

		if (delivery->refused == XF_REFUSED_NOT)
			delivery->refused = reject_keep(inlet, letter) ? XF_REFUSED_KEPT : XF_REFUSED_NOT_KEPT;
		if (delivery->job != NULL)
			asker_tell(inlet, delivery, 500, error.text);
		way_settle(inlet, delivery);
	}
	if ((again == NULL || again->release == NULL) && message.release != NULL)
		message.release(message.release_context);
	return again;
}

static void
delivery_reroute(struct xf_inlet *inlet, struct xf_way *old, struct xf_delivery *delivery)
{
	struct xf_delivery *again = delivery_remake(inlet, old, delivery);

	if (again != NULL)
		xf_way_accept(inlet->way, again);
}

/* For those parked, which stay so. */
struct remaking {
	struct xf_inlet *inlet;
	struct xf_way *old;
};

static struct xf_delivery *
parked_remake(void *context, struct xf_delivery *delivery)
{
	struct remaking *remaking = context;
	struct xf_delivery *again = delivery_remake(remaking->inlet, remaking->old, delivery);

	xf_maker_release(&remaking->old->maker, delivery);
	return again;
}

/* In a reload handlers give back what they have, in time for the new way. */
static void
chain_follow(struct xf_inlet *inlet)
{
	bool hold = atomic_load_explicit(&inlet->hold, memory_order_relaxed);

	xf_chain_hold(&inlet->chain, hold);
	if (hold && inlet->chain.given > 0 && atomic_load(&inlet->next) != NULL)
		xf_chain_cancel(&inlet->chain);
	xf_chain_follow(&inlet->chain, inlet->now_ms);
}

/* Those of the way of now. */
static void
handlers_set(struct xf_inlet *inlet)
{
	const struct xf_conf_route *route = inlet->way->setup.route;

	xf_chain_set(&inlet->chain, inlet->way->setup.handlers, route->order, &route->retry, inlet->now_ms);
}

/* No leg is out, and the source has had its turn. The old way is left in next. */
static void
way_swap(struct xf_inlet *inlet)
{
	struct xf_way *old = inlet->way, *next = atomic_load(&inlet->next);
	struct xf_delivery *late = inlet->late_first;

	if (next == NULL || xf_way_out(old) > 0 || !atomic_load(&inlet->held) || inlet->chain.given > 0)
		return;
	xf_way_inherit(next, old);
	pthread_mutex_lock(&inlet->way_lock);
	inlet->way = next;
	pthread_mutex_unlock(&inlet->way_lock);
	atomic_store(&inlet->hold, false);
	atomic_store(&inlet->held, false);
	inlet->late_first = inlet->late_last = NULL;
	inlet->late = 0;
	xf_way_look(next);
	xf_way_follow(next);
	for (struct xf_delivery *delivery = old->lanes.oldest; delivery != NULL; delivery = delivery->newer)
		delivery_reroute(inlet, old, delivery);
	while (late != NULL) {
		struct xf_delivery *after = late->waiting_next;

		delivery_reroute(inlet, old, late);
		xf_maker_release(&old->maker, late);
		late = after;
	}
	xf_parking_remake(&inlet->parking, parked_remake, &(struct remaking){inlet, old});
	handlers_set(inlet);
	chain_follow(inlet);
	atomic_store(&inlet->next, old);
	atomic_store(&inlet->swapped, true);
}

/* Tells the broker in good time that what is open is still being worked on. */
static void
open_extend(struct xf_inlet *inlet)
{
	if (inlet->settle_within_ms == 0 || route_open(inlet) == 0) {
		inlet->extend_at = 0;
		return;
	}
	if (inlet->extend_at == 0)
		inlet->extend_at = inlet->now_ms + inlet->settle_within_ms / 3;
	if (inlet->now_ms < inlet->extend_at)
		return;
	for (struct xf_delivery *at = inlet->way->lanes.oldest; at != NULL; at = at->newer)
		if (at->letter == 0 && at->job == NULL)
			settlement_add(inlet, at->handle, XF_SETTLE_EXTEND, 0);
	for (const struct xf_job *at = inlet->chain.first; at != NULL; at = at->newer)
		if (at->letter == 0)
			settlement_add(inlet, at->handle, XF_SETTLE_EXTEND, 0);
	for (const struct xf_parked *at = inlet->parking.first; at != NULL; at = at->next)
		settlement_add(inlet, at->delivery->handle, XF_SETTLE_EXTEND, 0);
	inlet->extend_at = inlet->now_ms + inlet->settle_within_ms / 3;
}

/* What is read back waits where it is for as long as it can go nowhere; to be dropped is somewhere. */
static bool
reader_waits(const struct xf_inlet *inlet)
{
	const struct xf_lanes *lanes = &inlet->way->lanes;

	if (!inlet->read_back || lanes->up != 0 || lanes->standing != 0)
		return false;
	for (unsigned i = 0; i < lanes->sink_count; i++)
		if (lanes->sinks[i].drop_when_down)
			return false;
	return true;
}

static void
credit_set(struct xf_inlet *inlet, struct xf_work *work)
{
	const struct xf_conf_route *route = inlet->way->setup.route;
	uint64_t bytes = route_bytes(inlet), bytes_max = route->max_in_flight_bytes;
	uint64_t open = route_open(inlet), open_max = xf_way_open_max(inlet->way);
	bool hold = atomic_load_explicit(&inlet->hold, memory_order_relaxed);

	hold = hold || reader_waits(inlet);
	inlet->closed = atomic_load_explicit(&inlet->paused, memory_order_relaxed) || inlet->settlements.full;
	work->draining = atomic_load_explicit(&inlet->draining, memory_order_relaxed);
	if (!inlet->closed && !hold && !work->draining && open < open_max && bytes < bytes_max) {
		work->credit_messages = (uint32_t)(open_max - open);
		work->credit_bytes = bytes_max - bytes;
	}
	inlet->credit = work->credit_messages;
}

/* A number that is asked for again while it is on its way. */
static bool
letter_is_open(const struct xf_inlet *inlet, uint64_t number)
{
	const struct xf_delivery *at = inlet->way->lanes.oldest;
	const struct xf_job *job = inlet->chain.first;

	while (at != NULL && at->letter != number)
		at = at->newer;
	while (job != NULL && job->letter != number)
		job = job->newer;
	return at != NULL || job != NULL;
}

static bool
letters_have_room(const struct xf_inlet *inlet)
{
	return !atomic_load_explicit(&inlet->paused, memory_order_relaxed) &&
	       !atomic_load_explicit(&inlet->draining, memory_order_relaxed) &&
	       !atomic_load_explicit(&inlet->hold, memory_order_relaxed) &&
	       route_open(inlet) < xf_way_open_max(inlet->way) &&
	       route_bytes(inlet) < inlet->way->setup.route->max_in_flight_bytes;
}

/* As far as there is room here: the store may be full, and has more of it then. Few, since each is read from the disk. */
static void
letters_take(struct xf_inlet *inlet)
{
	uint64_t number;

	for (int i = 0; i < LETTERS_TURN && letters_have_room(inlet) && xf_redelivery_next(&inlet->redelivery, &number); i++) {
		struct xf_letter letter = {.number = number, .attempts = 1};
		struct xf_redelivered again;

		if (letter_is_open(inlet, number))
			continue;
		again = xf_redelivery_make(&inlet->redelivery, number, inlet->way, &inlet->chain);
		letter.reason = xf_str(again.reason);
		letter.sink = xf_str(again.sink);
		if (again.job != NULL) {
			xf_count(&inlet->accepted, 1);
			xf_chain_enter(&inlet->chain, again.job, inlet->now_ms);
		} else if (again.delivery != NULL) {
			xf_count(&inlet->accepted, 1);
			xf_way_accept(inlet->way, again.delivery);
		} else if (again.reason != NULL && reject_keep(inlet, letter))
			xf_count(&inlet->accepted, 1);
		free(again.reason);
		free(again.sink);
	}
}

static void
numbers_publish(struct xf_inlet *inlet)
{
	const struct xf_lanes *lanes = &inlet->way->lanes;

	uint64_t oldest_ms = lanes->oldest != NULL ? lanes->oldest->accepted_ms : 0;

	if (inlet->chain.first != NULL && (oldest_ms == 0 || inlet->chain.first->accepted_ms < oldest_ms))
		oldest_ms = inlet->chain.first->accepted_ms;
	atomic_store_explicit(&inlet->bytes, route_bytes(inlet), memory_order_relaxed);
	atomic_store_explicit(&inlet->oldest_ms, oldest_ms, memory_order_relaxed);
	atomic_store_explicit(&inlet->in_flight, route_open(inlet), memory_order_relaxed);
	/* What is parked its broker has still, and the other side may not come to its end any more; what was read back and can
	 * go nowhere, its spool. */
	atomic_store_explicit(&inlet->to_settle,
	                      reader_waits(inlet) ? 0 : route_open(inlet) - (inlet->lossy ? 0 : inlet->parking.count),
	                      memory_order_release);
}

/* Not to sleep past what is to be done at a certain time. */
static void
wait_limit(const struct xf_inlet *inlet, struct xf_work *work)
{
	uint64_t until = inlet->now_ms + work->timeout_ms;

	if (xf_way_wants(inlet->way) < until)
		until = xf_way_wants(inlet->way);
	if (inlet->chain.tick_at < until)
		until = inlet->chain.tick_at;
	if (!inlet->chain.held && inlet->chain.ready_first != NULL)
		until = inlet->now_ms;
	if (inlet->extend_at != 0 && inlet->extend_at < until)
		until = inlet->extend_at;
	if (xf_replies_wants(&inlet->replies) < until)
		until = xf_replies_wants(&inlet->replies);
	if (inlet->settlements.full && inlet->settlements.look_at < until)
		until = inlet->settlements.look_at;
	work->timeout_ms = until > inlet->now_ms ? (uint32_t)(until - inlet->now_ms) : 0;
}

static bool
inlet_turn(struct xf_runner *runner, struct xf_work *work)
{
	struct xf_inlet *inlet = (struct xf_inlet *)runner;
	uint64_t before;
	bool draining, hold;

	xf_way_look(inlet->way);
	inlet->now_ms = inlet->way->now_ms;
	legs_take(inlet);
	xf_replies_follow(&inlet->replies, inlet->now_ms);
	chain_follow(inlet);
	way_swap(inlet);
	xf_parking_follow(&inlet->parking, route_open(inlet), xf_way_open_max(inlet->way), inlet->now_ms, inlet->runner.name,
	                  delivery_go, inlet);
	xf_way_follow(inlet->way);
	xf_settlements_look(&inlet->settlements, inlet->now_ms);
	xf_way_flush(inlet->way);
	open_extend(inlet);
	settlements_flush(inlet);

	hold = atomic_load(&inlet->hold);
	before = xf_read(&inlet->accepted);
	letters_take(inlet);
	credit_set(inlet, work);
	draining = work->draining;
	inlet->ops->work(runner->instance, work);
	xf_way_flush(inlet->way);
	settlements_flush(inlet);
	numbers_publish(inlet);
	if (draining)
		atomic_store(&inlet->intake_ended, true);
	if (hold)
		atomic_store(&inlet->held, true);
	/* What is open where no sink is up waits for nothing but the new way. */
	atomic_store(&inlet->quiet, hold && xf_way_out(inlet->way) == 0 && inlet->chain.given == 0 &&
	                                    xf_read(&inlet->replies.open) == 0 &&
	                                    (inlet->way->lanes.open == 0 || inlet->way->lanes.up == 0));
	wait_limit(inlet, work);
	/* Where something came there may be more. */
	return xf_read(&inlet->accepted) != before && route_open(inlet) < xf_way_open_max(inlet->way);
}

static void
inlet_thread_start(struct xf_runner *runner)
{
	((struct xf_inlet *)runner)->ops->start(runner->instance);
}

/* What is not settled now its broker offers again, perhaps to the source that comes after this one. */
static void
seen_forget(struct xf_inlet *inlet)
{
	for (const struct xf_delivery *at = inlet->way->lanes.oldest; at != NULL; at = at->newer)
		if (at->job == NULL)
			id_leave(inlet, at, false);
	for (const struct xf_delivery *at = inlet->late_first; at != NULL; at = at->waiting_next)
		id_leave(inlet, at, false);
	for (const struct xf_parked *at = inlet->parking.first; at != NULL; at = at->next)
		id_leave(inlet, at->delivery, false);
	for (const struct xf_job *at = inlet->chain.first; at != NULL; at = at->newer)
		job_id_leave(inlet, at, false);
}

/* Dead letters that are under way are wanted still: by whoever takes over. */
static void
letters_return(struct xf_inlet *inlet)
{
	size_t count = 0, most = inlet->way->lanes.open;
	uint64_t *numbers;

	for (const struct xf_job *at = inlet->chain.first; at != NULL; at = at->newer)
		most++;
	numbers = xf_alloc_array(most, sizeof(*numbers));
	for (const struct xf_delivery *at = inlet->way->lanes.oldest; at != NULL; at = at->newer)
		if (at->letter != 0)
			numbers[count++] = at->letter;
	for (const struct xf_job *at = inlet->chain.first; at != NULL; at = at->newer)
		if (at->letter != 0)
			numbers[count++] = at->letter;
	if (count > 0)
		xf_redelivery_add(&inlet->redelivery, numbers, count);
	free(numbers);
}

static void
inlet_thread_stop(struct xf_runner *runner)
{
	struct xf_inlet *inlet = (struct xf_inlet *)runner;

	legs_take(inlet);
	xf_way_flush(inlet->way);
	settlements_flush(inlet);
	letters_return(inlet);
	xf_chain_cancel(&inlet->chain); /* while its jobs are there; those with a thread do so when that ends */
	seen_forget(inlet);
	inlet->ops->stop(runner->instance);
	numbers_publish(inlet);
}

static const struct xf_runner_ops inlet_runner_ops = {
	.start = inlet_thread_start,
	.turn = inlet_turn,
	.stop = inlet_thread_stop,
};

/* ---- Life ---------------------------------------------------------------------------------------- */

struct xf_way *
xf_inlet_way(struct xf_inlet *inlet, const struct xf_way_setup *setup)
{
	return xf_way_create(setup, &inlet->runner, &way_ops, inlet);
}

bool
xf_inlet_may_reply(const struct xf_conf_route *route)
{
	return route->to == XF_TO_REPLY || route->request_ms > 0 || route->handler_count > 0;
}

struct xf_inlet *
xf_inlet_create(char *name, const struct xf_inlet_setup *setup, struct xf_error *error)
{
	struct xf_inlet *inlet = xf_alloc(sizeof(*inlet));
	const struct xf_conf_endpoint *source = setup->source;
	struct xf_endpoint_info *info = &inlet->runner.info;
	bool replies;

	if (xf_runner_init(&inlet->runner, &inlet_runner_ops, &inlet_calls, name, source, setup->late, error) != XF_OK) {
		free(inlet);
		return NULL;
	}
	pthread_mutex_init(&inlet->way_lock, NULL);
	xf_settlements_init(&inlet->settlements, setup->letters, name);
	xf_redelivery_init(&inlet->redelivery, setup->letters, name);
	inlet->seen = setup->seen;
	xf_parking_init(&inlet->parking, source, setup->backlog);
	inlet->ops = source->transport->class->source;
	inlet->read_back = setup->read_back;
	inlet->counted = setup->counted;
	inlet->lossy = source->traits & XF_TRAIT_LOSSY;
	inlet->all_subjects = strcmp(source->subject, ">") == 0;
	xf_arrival_init(&inlet->arrival, source);
	inlet->way = xf_inlet_way(inlet, &setup->way);
	xf_chain_init(&inlet->chain, &chain_ops, inlet, &inlet->runner.inbox);
	/* What goes to a spool first is read back by somebody who knows no way back. */
	replies = xf_inlet_may_reply(setup->way.route) && (source->traits & XF_TRAIT_REPLIES) && setup->way.accepts == NULL;
	xf_replies_init(&inlet->replies, setup->requests, &inlet->chain, replies ? inlet->ops : NULL, setup->way.server,
	                &inlet->runner.inbox);
	handlers_set(inlet);
	*info = (struct xf_endpoint_info){
		.struct_size = sizeof(*info),
		.max_in_flight = setup->way.route->max_in_flight,
		.name = xf_str(name),
		.route = xf_str(setup->way.route->name),
		.transport = xf_str(source->transport->name),
		.server = xf_str(setup->way.server->name),
		.subject = xf_str(source->subject),
		.replies = replies,
	};
	if (inlet->ops->create(xf_host(), &inlet->runner.endpoint, setup->shared, source->transport->options,
	                       source->options, info, &inlet->runner.instance, error) != 0) {
		xf_error_prefix(error, "source '%s'", name);
		inlet->runner.instance = NULL;
		xf_inlet_destroy(&inlet);
	}
	return inlet;
}

static struct xf_delivery *
parked_drop(void *inlet, struct xf_delivery *delivery)
{
	xf_maker_release(&((struct xf_inlet *)inlet)->way->maker, delivery);
	return NULL;
}

void
xf_inlet_destroy(struct xf_inlet **pointer)
{
	struct xf_inlet *inlet = *pointer;
	struct xf_way *other;

	if (inlet == NULL)
		return;
	*pointer = NULL;
	/* What the sinks gave back when they stopped is not sent again, and nobody settles it any more. */
	xf_way_shut(inlet->way);
	legs_take(inlet);
	while (xf_way_spooling(inlet->way) > 0) {
		xf_sleep_ms(1);
		legs_take(inlet);
	}
	while (inlet->late_first != NULL) {
		struct xf_delivery *late = inlet->late_first;

		inlet->late_first = late->waiting_next;
		xf_maker_release(&inlet->way->maker, late);
	}
	xf_parking_remake(&inlet->parking, parked_drop, inlet);
	xf_parking_fini(&inlet->parking);
	xf_arrival_fini(&inlet->arrival);
	xf_way_destroy(&inlet->way);
	xf_replies_fini(&inlet->replies);
	xf_chain_fini(&inlet->chain);
	other = atomic_load(&inlet->next); /* it was to go over, and did not come to */
	xf_way_destroy(&other);
	if (inlet->runner.instance != NULL)
		inlet->ops->destroy(inlet->runner.instance);
	xf_settlements_fini(&inlet->settlements);
	xf_redelivery_fini(&inlet->redelivery);
	pthread_mutex_destroy(&inlet->way_lock);
	xf_runner_fini(&inlet->runner);
	free(inlet);
}

/* ---- For others --------------------------------------------------------------------------------------- */

struct xf_runner *
xf_inlet_runner(struct xf_inlet *inlet)
{
	return &inlet->runner;
}

void
xf_inlet_pause(struct xf_inlet *inlet, bool paused)
{
	atomic_store(&inlet->paused, paused);
	xf_inbox_ring(&inlet->runner.inbox);
}

void
xf_inlet_drain(struct xf_inlet *inlet)
{
	atomic_store(&inlet->draining, true);
	xf_inbox_ring(&inlet->runner.inbox);
}

void
xf_inlet_redeliver(struct xf_inlet *inlet, const uint64_t *numbers, size_t count)
{
	xf_redelivery_add(&inlet->redelivery, numbers, count);
	xf_inbox_ring(&inlet->runner.inbox);
}

void
xf_inlet_redeliver_for(struct xf_inlet *inlet, struct xf_inlet *before)
{
	xf_redelivery_move(&inlet->redelivery, &before->redelivery);
	xf_inbox_ring(&inlet->runner.inbox);
}

bool
xf_inlet_drained(const struct xf_inlet *inlet)
{
	return atomic_load(&inlet->intake_ended) && atomic_load_explicit(&inlet->to_settle, memory_order_acquire) == 0;
}

uint64_t
xf_inlet_in_flight(const struct xf_inlet *inlet)
{
	return atomic_load_explicit(&inlet->in_flight, memory_order_acquire);
}

void
xf_inlet_hold(struct xf_inlet *inlet)
{
	atomic_store(&inlet->swapped, false);
	atomic_store(&inlet->hold, true);
	xf_inbox_ring(&inlet->runner.inbox);
}

bool
xf_inlet_quiet(const struct xf_inlet *inlet)
{
	return atomic_load(&inlet->quiet);
}

void
xf_inlet_offer(struct xf_inlet *inlet, struct xf_way *way)
{
	atomic_store(&inlet->next, way);
	xf_inbox_ring(&inlet->runner.inbox);
}

struct xf_way *
xf_inlet_left(struct xf_inlet *inlet)
{
	return atomic_load(&inlet->swapped) ? atomic_exchange(&inlet->next, NULL) : NULL;
}

uint32_t
xf_inlet_knobs_version(struct xf_inlet *inlet)
{
	uint32_t version;

	pthread_mutex_lock(&inlet->way_lock);
	version = atomic_load(&inlet->way->followed_version);
	pthread_mutex_unlock(&inlet->way_lock);
	return version;
}

bool
xf_inlet_was_up(const struct xf_inlet *inlet)
{
	return atomic_load(&inlet->runner.was_up);
}

void
xf_inlet_maps(struct xf_inlet *inlet, struct xf_bucket_maps *maps)
{
	pthread_mutex_lock(&inlet->way_lock);
	for (unsigned w = 0; w < XF_BUCKET_WORDS; w++) {
		maps->moving[w] |= xf_read(&inlet->way->lanes.moving[w]);
		maps->stuck[w] |= xf_read(&inlet->way->lanes.stuck[w]);
		maps->used[w] |= xf_read(&inlet->way->lanes.used_map[w]);
	}
	pthread_mutex_unlock(&inlet->way_lock);
}

/* Of a message that is read back all this was counted when it came. */
static void
intake_status(const struct xf_inlet *inlet, struct xf_route_status *status)
{
	status->acked += xf_read(&inlet->acked);
	status->overflow += xf_read(&inlet->overflow);
	status->filtered += xf_read(&inlet->filtered);
	status->copies += xf_read(&inlet->copies);
	status->duplicates += xf_read(&inlet->duplicates);
	status->in_flight += xf_read(&inlet->in_flight);
	status->redelivered += xf_read(&inlet->redelivered);
	status->accepted += xf_read(&inlet->accepted);
}

static void
replies_status(const struct xf_replies *replies, struct xf_reply_status *status)
{
	status->sent += xf_read(&replies->replied);
	status->failed += xf_read(&replies->failed);
	status->timed_out += xf_read(&replies->timed_out);
	status->unasked += xf_read(&replies->unasked);
	status->awaited += xf_read(&replies->open);
}

void
xf_inlet_status(struct xf_inlet *inlet, struct xf_route_status *status)
{
	uint64_t since = atomic_load_explicit(&inlet->oldest_ms, memory_order_relaxed), now = xf_now_ms();

	status->rejected += xf_read(&inlet->settlements.kept);
	replies_status(&inlet->replies, &status->replies);
	status->pool_waiting += atomic_load(&inlet->chain.pool.waiting);
	status->pool_busy += atomic_load(&inlet->chain.pool.busy);
	if (!inlet->counted)
		intake_status(inlet, status);
	status->in_flight_bytes += xf_read(&inlet->bytes);
	status->paused = status->paused || atomic_load(&inlet->paused);
	if (atomic_load(&inlet->settlements.blocked) && status->reason[0] == '\0')
		snprintf(status->reason, sizeof(status->reason),
		         "the store of dead letters takes no more: look at them, then purge (crossfade dead)");
	pthread_mutex_lock(&inlet->way_lock);
	xf_way_status(inlet->way, since > 0 && since < now ? now - since : 0, status);
	pthread_mutex_unlock(&inlet->way_lock);
}
