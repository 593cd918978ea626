/*
 * A turn of the loop:
 *
 *   1. take back the legs that came in, and let the lanes decide (lanes.h)
 *   2. see which sinks went down or came up, and whether the migration's knobs were turned
 *   3. have the plugin work: it emits, each message is accepted, and its legs are chained up per sink
 *   4. push the chains to the sinks, hand settlements to the plugin
 *
 * The pipe to a sink opens under a new generation of its gate only when every leg of the old one is back, so what
 * failed stands in the held lists before anything later can be sent (sink.h).
 */
#include "flow/inlet.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/subject.h"
#include "flow/accept.h"
#include "flow/maker.h"

#define REJECT_RETRY_MS 5000

/* The way to one sink, as this inlet sees it. */
struct pipe {
	struct xf_sink *sink;
	uint32_t generation;
	uint32_t out; /* legs sent and not back */
	struct xf_leg *first, *last; /* to be pushed */
};

struct xf_inlet {
	struct xf_runner runner; /* first */
	struct xf_inlet_setup setup;
	const struct xf_source_ops *ops;
	bool lossy;
	bool all_subjects;
	unsigned side_count;

	struct xf_lanes lanes;
	struct pipe pipes[XF_SIDES];
	struct xf_maker maker;
	uint32_t knobs_version;
	uint16_t forces;
	uint64_t now_ms;
	uint64_t tick_at; /* when the lanes want to be looked at */
	uint32_t credit;  /* left for emit in this turn */

	struct xf_settlement *settlements; /* to be handed over */
	uint32_t settlement_count, settlement_size;
	uint32_t unsynced; /* rejects written and not on disk: no settlement may leave before */
	uint64_t rejects_losses; /* of the file, before the first of them */
	uint32_t settle_within_ms;
	uint64_t extend_at;
	bool closed; /* paused, or rejects_full: nothing is to come in */
	bool rejects_full;
	uint64_t rejects_look_at;

	_Atomic bool paused;
	_Atomic bool draining;
	_Atomic bool intake_ended; /* the source had a turn in which it was draining */
	/* for others to read */
	_Atomic uint64_t accepted, acked, rejected, overflow, filtered, redelivered;
	_Atomic uint64_t in_flight, bytes, oldest_ms;
	_Atomic bool blocked_by_rejects;
	_Atomic uint32_t followed_version;
};

/* ---- Settling ---------------------------------------------------------------------------- */

static void
settlement_add(struct xf_inlet *inlet, uint64_t handle, uint32_t outcome, uint32_t delay_ms)
{
	if (inlet->settlement_count == inlet->settlement_size) {
		uint32_t size = inlet->settlement_size ? inlet->settlement_size * 2 : 256;

		inlet->settlements =
			xf_grow_array(inlet->settlements, inlet->settlement_size, size, sizeof(*inlet->settlements));
		inlet->settlement_size = size;
	}
	inlet->settlements[inlet->settlement_count++] = (struct xf_settlement){handle, outcome, delay_ms};
}

/* Not on disk, so not acked: what is unsure is offered again. */
static void
rejects_sync(struct xf_inlet *inlet)
{
	struct xf_error error;

	if (inlet->unsynced == 0)
		return;
	inlet->unsynced = 0;
	if (xf_rejects_sync(inlet->setup.rejects, inlet->rejects_losses, &error) == XF_OK)
		return;
	xf_log(XF_LOG_ERROR, inlet->runner.name, "%s", error.text);
	for (uint32_t i = 0; i < inlet->settlement_count; i++)
		if (inlet->settlements[i].outcome == XF_SETTLE_REJECT)
			inlet->settlements[i] =
				(struct xf_settlement){inlet->settlements[i].handle, XF_SETTLE_RETRY, REJECT_RETRY_MS};
	/* Those whose other leg is still out. */
	for (struct xf_delivery *at = inlet->lanes.oldest; at != NULL; at = at->newer)
		if (at->refused == XF_REFUSED_KEPT)
			at->refused = XF_REFUSED_UNSURE;
}

static void
settlements_flush(struct xf_inlet *inlet)
{
	rejects_sync(inlet);
	if (inlet->settlement_count > 0 && inlet->ops->settle != NULL)
		inlet->ops->settle(inlet->runner.instance, inlet->settlements, inlet->settlement_count);
	inlet->settlement_count = 0;
}

/* Keeps the message with its reason and counts it. False where it cannot be kept: it is not done. */
static bool
reject_keep(struct xf_inlet *inlet, const struct xf_fields *fields, const char *reason)
{
	struct xf_error error;

	if (inlet->unsynced == 0)
		inlet->rejects_losses = xf_rejects_losses(inlet->setup.rejects);
	if (xf_rejects_append(inlet->setup.rejects, inlet->setup.route->name, reason, fields, &error) != XF_OK) {
		if (!inlet->rejects_full) {
			xf_log(XF_LOG_ERROR, inlet->runner.name, "route pauses: %s", error.text);
			inlet->rejects_look_at = inlet->now_ms + 1000;
		}
		inlet->rejects_full = true;
		atomic_store(&inlet->blocked_by_rejects, true);
		return false;
	}
	if (xf_read(&inlet->rejected) == 0)
		xf_log(XF_LOG_WARN, inlet->runner.name, "a message was refused: %s; it is kept in rejected.ndjson", reason);
	xf_count(&inlet->rejected, 1);
	inlet->unsynced++;
	return true;
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
	settlement_add(inlet, handle, XF_SETTLE_RETRY, REJECT_RETRY_MS);
}

static void
lanes_send(void *context, struct xf_leg *leg)
{
	struct xf_inlet *inlet = context;
	struct pipe *pipe = &inlet->pipes[leg->side];

	leg->generation = pipe->generation;
	leg->bounced = false;
	leg->node.next = NULL;
	if (pipe->last != NULL)
		pipe->last->node.next = &leg->node;
	else
		pipe->first = leg;
	pipe->last = leg;
	pipe->out++;
}

static void
lanes_settle(void *context, struct xf_delivery *delivery)
{
	struct xf_inlet *inlet = context;

	if (delivery->refused == XF_REFUSED_NOT_KEPT)
		hand_back(inlet, delivery->handle);
	else if (delivery->refused == XF_REFUSED_KEPT)
		settlement_add(inlet, delivery->handle, XF_SETTLE_REJECT, 0);
	else if (delivery->refused == XF_REFUSED_UNSURE)
		settlement_add(inlet, delivery->handle, XF_SETTLE_RETRY, REJECT_RETRY_MS);
	else {
		xf_count(&inlet->acked, 1);
		settlement_add(inlet, delivery->handle, XF_SETTLE_ACK, 0);
	}
}

static void
lanes_refused(void *context, struct xf_leg *leg)
{
	struct xf_inlet *inlet = context;
	struct xf_delivery *delivery = leg->delivery;
	struct xf_fields fields = {
		.subject = delivery->subject,
		.id = delivery->id,
		.key = delivery->key,
		.payload = {delivery->payload, delivery->payload_size},
		.headers = delivery->headers,
		.header_count = delivery->header_count,
	};
	char *reason = xf_format("%s%s refused it: %s", xf_sink_name(inlet->pipes[leg->side].sink), leg->copy ? " (the copy)" : "",
	                         leg->reason != NULL ? leg->reason : "no reason given");

	if (delivery->refused == XF_REFUSED_NOT) /* once, where both sides refuse it */
		delivery->refused = reject_keep(inlet, &fields, reason) ? XF_REFUSED_KEPT : XF_REFUSED_NOT_KEPT;
	free(reason);
}

static void
lanes_release(void *context, struct xf_delivery *delivery)
{
	xf_maker_release(&((struct xf_inlet *)context)->maker, delivery);
}

static const struct xf_lanes_ops lanes_ops = {
	.send = lanes_send,
	.settle = lanes_settle,
	.refused = lanes_refused,
	.release = lanes_release,
};

/* ---- Accepting ----------------------------------------------------------------------------- */

static void
message_reject(struct xf_inlet *inlet, const struct xf_incoming *message, const struct xf_fields *fields,
               const char *reason)
{
	if (reject_keep(inlet, fields, reason))
		settlement_add(inlet, message->handle, XF_SETTLE_REJECT, 0);
	else
		hand_back(inlet, message->handle);
}

/* What is done with it is said to the source later, by a settlement. Returns true where the payload was adopted. */
static bool
message_accept(struct xf_inlet *inlet, const struct xf_incoming *message)
{
	struct xf_delivery *delivery;
	struct xf_draft draft;
	struct xf_error error;
	const char *wrong;
	bool adopted;

	xf_count(&inlet->accepted, 1);
	if (message->flags & XF_MESSAGE_REDELIVERED)
		xf_count(&inlet->redelivered, 1);
	wrong = xf_accept_check(message, inlet->setup.server);
	if (wrong == NULL && !inlet->all_subjects &&
	    !xf_subject_match(inlet->runner.info.subject, message->subject)) {
		xf_count(&inlet->filtered, 1);
		settlement_add(inlet, message->handle, XF_SETTLE_ACK, 0);
		return false;
	}
	if (inlet->lossy && (inlet->closed || inlet->lanes.open >= inlet->setup.route->max_in_flight ||
	                     xf_maker_bytes(&inlet->maker) >= inlet->setup.route->max_in_flight_bytes)) {
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
	if (xf_maker_draft(&inlet->maker, message, &draft, &error) != XF_OK) {
		message_reject(inlet, message, &draft.fields, error.text);
		return false;
	}
	xf_lanes_prefetch(&inlet->lanes, draft.bucket);
	delivery = xf_maker_make(&inlet->maker, message, &draft);
	adopted = delivery->release != NULL;
	xf_lanes_accept(&inlet->lanes, delivery, inlet->now_ms);
	return adopted;
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

static const struct xf_endpoint_calls inlet_calls = {
	.wake = xf_runner_wake,
	.state = inlet_state,
	.emit = inlet_emit,
	.complete = inlet_complete,
	.settle_within = inlet_settle_within,
	.sight = xf_runner_sight,
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
		inlet->pipes[leg->side].out--;
		if (leg->result == XF_RESULT_STORED && !leg->abandoned)
			xf_histogram_record(&inlet->lanes.counters[leg->side].publish, (now_ns - leg->taken_ns) / 1000, 1);
		xf_lanes_returned(&inlet->lanes, leg, inlet->now_ms);
		leg = next;
	}
}

static void
pipe_follow(struct xf_inlet *inlet, unsigned side, uint32_t gate)
{
	struct pipe *pipe = &inlet->pipes[side];
	bool up = gate & 1, was_up = inlet->lanes.up[side];

	if (gate >> 1 != pipe->generation) {
		if (was_up)
			xf_lanes_side(&inlet->lanes, side, false, inlet->now_ms);
		if (pipe->out > 0)
			return; /* they come back first */
		pipe->generation = gate >> 1;
		was_up = false;
	}
	if (up && !was_up)
		xf_lanes_side(&inlet->lanes, side, true, inlet->now_ms);
}

static void
knobs_follow(struct xf_inlet *inlet)
{
	struct xf_knobs knobs;

	if (inlet->setup.migration == NULL)
		return;
	knobs = xf_migration_knobs(inlet->setup.migration);
	if (knobs.version == inlet->knobs_version)
		return;
	xf_lanes_set(&inlet->lanes, knobs.position.percent, knobs.position.mirror, inlet->now_ms);
	if (knobs.forces != inlet->forces)
		xf_lanes_force(&inlet->lanes, inlet->now_ms);
	inlet->knobs_version = knobs.version;
	inlet->forces = knobs.forces;
	inlet->tick_at = 0;
	atomic_store(&inlet->followed_version, knobs.version);
}

static void
pipes_flush(struct xf_inlet *inlet)
{
	for (unsigned side = 0; side < inlet->side_count; side++) {
		struct pipe *pipe = &inlet->pipes[side];

		if (pipe->first == NULL)
			continue;
		xf_sink_send(pipe->sink, pipe->first, pipe->last);
		pipe->first = pipe->last = NULL;
	}
}

/* Tells the broker in good time that what is open is still being worked on. */
static void
open_extend(struct xf_inlet *inlet)
{
	if (inlet->settle_within_ms == 0 || inlet->lanes.oldest == NULL) {
		inlet->extend_at = 0;
		return;
	}
	if (inlet->extend_at == 0)
		inlet->extend_at = inlet->now_ms + inlet->settle_within_ms / 3;
	if (inlet->now_ms < inlet->extend_at)
		return;
	for (struct xf_delivery *at = inlet->lanes.oldest; at != NULL; at = at->newer)
		settlement_add(inlet, at->handle, XF_SETTLE_EXTEND, 0);
	inlet->extend_at = inlet->now_ms + inlet->settle_within_ms / 3;
}

/* While refused messages find no place, nothing is taken in; looked at now and then. */
static void
rejects_look(struct xf_inlet *inlet)
{
	if (!inlet->rejects_full || inlet->now_ms < inlet->rejects_look_at)
		return;
	inlet->rejects_look_at = inlet->now_ms + 1000;
	inlet->rejects_full = xf_rejects_full(inlet->setup.rejects);
	atomic_store(&inlet->blocked_by_rejects, inlet->rejects_full);
}

static void
credit_set(struct xf_inlet *inlet, struct xf_work *work)
{
	uint64_t bytes = xf_maker_bytes(&inlet->maker), bytes_max = inlet->setup.route->max_in_flight_bytes;
	uint32_t open = inlet->lanes.open, open_max = inlet->setup.route->max_in_flight;

	inlet->closed = atomic_load_explicit(&inlet->paused, memory_order_relaxed) || inlet->rejects_full;
	work->draining = atomic_load_explicit(&inlet->draining, memory_order_relaxed);
	if (!inlet->closed && !work->draining && open < open_max && bytes < bytes_max) {
		work->credit_messages = open_max - open;
		work->credit_bytes = bytes_max - bytes;
	}
	inlet->credit = work->credit_messages;
}

static void
numbers_publish(struct xf_inlet *inlet)
{
	atomic_store_explicit(&inlet->bytes, xf_maker_bytes(&inlet->maker), memory_order_relaxed);
	atomic_store_explicit(&inlet->oldest_ms, inlet->lanes.oldest != NULL ? inlet->lanes.oldest->accepted_ms : 0,
	                      memory_order_relaxed);
	atomic_store_explicit(&inlet->in_flight, inlet->lanes.open, memory_order_release);
}

/* Not to sleep past what is to be done at a certain time. */
static void
wait_limit(const struct xf_inlet *inlet, struct xf_work *work)
{
	uint64_t until = inlet->now_ms + work->timeout_ms;

	if (inlet->lanes.holders != NULL && inlet->tick_at < until)
		until = inlet->tick_at;
	if (inlet->extend_at != 0 && inlet->extend_at < until)
		until = inlet->extend_at;
	if (inlet->rejects_full && inlet->rejects_look_at < until)
		until = inlet->rejects_look_at;
	work->timeout_ms = until > inlet->now_ms ? (uint32_t)(until - inlet->now_ms) : 0;
}

static bool
inlet_turn(struct xf_runner *runner, struct xf_work *work)
{
	struct xf_inlet *inlet = (struct xf_inlet *)runner;
	uint32_t gates[XF_SIDES], tick;
	uint64_t before;
	bool draining;

	inlet->now_ms = xf_now_ms();
	for (unsigned side = 0; side < inlet->side_count; side++)
		gates[side] = xf_sink_gate(inlet->pipes[side].sink); /* before the inbox: sink.h */
	legs_take(inlet);
	for (unsigned side = 0; side < inlet->side_count; side++)
		pipe_follow(inlet, side, gates[side]);
	knobs_follow(inlet);
	if (inlet->lanes.holders != NULL && inlet->now_ms >= inlet->tick_at) {
		tick = xf_lanes_tick(&inlet->lanes, inlet->now_ms);
		inlet->tick_at = inlet->now_ms + (tick < 10 ? 10 : tick > 1000 ? 1000 : tick);
	}
	rejects_look(inlet);
	pipes_flush(inlet);
	open_extend(inlet);
	settlements_flush(inlet);

	credit_set(inlet, work);
	draining = work->draining;
	before = xf_read(&inlet->accepted);
	inlet->ops->work(runner->instance, work);
	pipes_flush(inlet);
	settlements_flush(inlet);
	numbers_publish(inlet);
	if (draining)
		atomic_store(&inlet->intake_ended, true);
	wait_limit(inlet, work);
	/* Where something came there may be more. */
	return xf_read(&inlet->accepted) != before && inlet->lanes.open < inlet->setup.route->max_in_flight;
}

static void
inlet_thread_start(struct xf_runner *runner)
{
	((struct xf_inlet *)runner)->ops->start(runner->instance);
}

static void
inlet_thread_stop(struct xf_runner *runner)
{
	struct xf_inlet *inlet = (struct xf_inlet *)runner;

	legs_take(inlet);
	pipes_flush(inlet);
	settlements_flush(inlet);
	inlet->ops->stop(runner->instance);
	numbers_publish(inlet);
}

static const struct xf_runner_ops inlet_runner_ops = {
	.start = inlet_thread_start,
	.turn = inlet_turn,
	.stop = inlet_thread_stop,
};

/* ---- Life ---------------------------------------------------------------------------------------- */

static void
inlet_setup_lanes(struct xf_inlet *inlet)
{
	const struct xf_conf_route *route = inlet->setup.route;
	struct xf_lanes *lanes = &inlet->lanes;

	xf_lanes_init(lanes, &lanes_ops, inlet);
	/* Copies that nobody waits for may pin half of the bound, never all of it. */
	lanes->copies_max = route->max_in_flight / 2 + 1;
	lanes->copy_bytes_max = route->max_in_flight_bytes / 4;
	for (unsigned side = 0; side < inlet->side_count; side++) {
		const struct xf_conf_endpoint *conf = inlet->setup.sink_conf[side];
		struct pipe *pipe = &inlet->pipes[side];

		pipe->sink = inlet->setup.sinks[side];
		lanes->drop_when_down[side] = conf->when_down == XF_WHEN_DOWN_DROP;
		xf_maker_add_sink(&inlet->maker, conf);
		xf_sink_attach(pipe->sink, &inlet->runner);
	}
	inlet->maker.key = route->key;
	if (inlet->setup.migration != NULL) {
		const struct xf_conf_migration *migration = inlet->setup.migration->conf;

		xf_maker_set_migration(&inlet->maker, migration);
		lanes->handover_timeout_ms = migration->handover_timeout_ms;
		inlet->forces = xf_migration_knobs(inlet->setup.migration).forces;
		inlet->knobs_version = UINT32_MAX; /* none */
		knobs_follow(inlet);
	}
}

struct xf_inlet *
xf_inlet_create(char *name, const struct xf_inlet_setup *setup, struct xf_error *error)
{
	struct xf_inlet *inlet = xf_alloc(sizeof(*inlet));
	const struct xf_conf_endpoint *source = setup->source;
	struct xf_endpoint_info *info = &inlet->runner.info;

	xf_runner_init(&inlet->runner, &inlet_runner_ops, &inlet_calls, name, source);
	inlet->setup = *setup;
	inlet->ops = source->transport->class->source;
	inlet->lossy = source->traits & XF_TRAIT_LOSSY;
	inlet->all_subjects = strcmp(source->subject, ">") == 0;
	inlet->side_count = setup->sinks[1] != NULL ? 2 : 1;
	xf_maker_init(&inlet->maker, setup->server, &inlet->runner.inbox);
	inlet_setup_lanes(inlet);
	*info = (struct xf_endpoint_info){
		.struct_size = sizeof(*info),
		.max_in_flight = setup->route->max_in_flight,
		.name = xf_str(name),
		.route = xf_str(setup->route->name),
		.transport = xf_str(source->transport->name),
		.server = xf_str(setup->server->name),
		.subject = xf_str(source->subject),
	};
	if (inlet->ops->create(xf_host(), &inlet->runner.endpoint, setup->shared, source->transport->options,
	                       source->options, info, &inlet->runner.instance, error) != 0) {
		xf_error_prefix(error, "source '%s'", name);
		inlet->runner.instance = NULL;
		xf_inlet_destroy(&inlet);
	}
	return inlet;
}

void
xf_inlet_destroy(struct xf_inlet **pointer)
{
	struct xf_inlet *inlet = *pointer;

	if (inlet == NULL)
		return;
	*pointer = NULL;
	/* What the sinks gave back when they stopped is not sent again, and nobody settles it any more. */
	inlet->lanes.up[0] = inlet->lanes.up[1] = false;
	legs_take(inlet);
	xf_lanes_fini(&inlet->lanes);
	xf_maker_fini(&inlet->maker);
	if (inlet->runner.instance != NULL)
		inlet->ops->destroy(inlet->runner.instance);
	free(inlet->settlements);
	xf_runner_fini(&inlet->runner);
	free(inlet);
}

void
xf_inlet_start(struct xf_inlet *inlet)
{
	xf_runner_start(&inlet->runner);
}

void
xf_inlet_stop(struct xf_inlet *inlet)
{
	xf_runner_stop(&inlet->runner);
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

bool
xf_inlet_drained(const struct xf_inlet *inlet)
{
	return atomic_load(&inlet->intake_ended) && xf_inlet_in_flight(inlet) == 0;
}

uint64_t
xf_inlet_in_flight(const struct xf_inlet *inlet)
{
	return atomic_load_explicit(&inlet->in_flight, memory_order_acquire);
}

uint32_t
xf_inlet_knobs_version(const struct xf_inlet *inlet)
{
	return atomic_load(&inlet->followed_version);
}

bool
xf_inlet_was_up(const struct xf_inlet *inlet)
{
	return atomic_load(&inlet->runner.was_up);
}

const struct xf_lanes *
xf_inlet_lanes(const struct xf_inlet *inlet)
{
	return &inlet->lanes;
}

static void
leg_status_add(struct xf_leg_status *status, const struct xf_leg_counters *counters, uint64_t oldest_ms)
{
	struct xf_histogram_snapshot publish;
	/* What ends a leg is read before what begins one, so that in flight is never negative. */
	uint64_t confirmed = xf_read(&counters->confirmed), refused = xf_read(&counters->refused),
		 dropped = xf_read(&counters->dropped), crossed = xf_read(&counters->crossed),
		 moved = xf_read(&counters->moved), accepted;

	accepted = xf_read(&counters->accepted);
	status->accepted += accepted;
	status->confirmed += confirmed;
	status->refused += refused;
	status->dropped += dropped;
	status->crossed += crossed;
	status->moved += moved;
	status->in_flight += accepted - confirmed - refused - dropped - crossed - moved;
	status->retried += xf_read(&counters->retried);
	status->copies += xf_read(&counters->copies);
	status->no_receiver += xf_read(&counters->no_receiver);
	if (accepted > confirmed + refused + dropped + crossed + moved && oldest_ms > status->oldest_ms)
		status->oldest_ms = oldest_ms;
	xf_histogram_read(&counters->publish, &publish);
	xf_histogram_add(&status->publish, &publish);
}

void
xf_inlet_status(struct xf_inlet *inlet, struct xf_route_status *status)
{
	uint64_t since = atomic_load_explicit(&inlet->oldest_ms, memory_order_relaxed), now = xf_now_ms();
	struct xf_histogram_snapshot handover;

	status->acked += xf_read(&inlet->acked);
	status->rejected += xf_read(&inlet->rejected);
	status->overflow += xf_read(&inlet->overflow);
	status->filtered += xf_read(&inlet->filtered);
	status->in_flight += xf_read(&inlet->in_flight);
	status->in_flight_bytes += xf_read(&inlet->bytes);
	status->redelivered += xf_read(&inlet->redelivered);
	status->accepted += xf_read(&inlet->accepted);
	status->paused = status->paused || atomic_load(&inlet->paused);
	if (atomic_load(&inlet->blocked_by_rejects) && status->reason[0] == '\0')
		snprintf(status->reason, sizeof(status->reason),
		         "rejected.ndjson takes no more: look at it, then move it away");
	xf_histogram_read(&inlet->lanes.handover, &handover);
	xf_histogram_add(&status->handover, &handover);
	for (unsigned side = 0; side < inlet->side_count; side++)
		leg_status_add(&status->legs[side], &inlet->lanes.counters[side], since > 0 && since < now ? now - since : 0);
}
