/*
 * A leg is in exactly one place: the inbox, the queue, a slot (the plugin has it), or on its way back. Slots are
 * found by token modulo their number; a token is never used twice, so a completion that comes twice or after the
 * fact finds another token there, and is ignored and counted.
 *
 * Threads: queue, tokens and slots are filled by the sink's thread; a slot is emptied by whoever completes it, with
 * a compare-and-swap that only one can win.
 */
#include "flow/sink.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/memory.h"
#include "flow/envelope.h"
#include "flow/lanes.h"

#define SLOTS 16384 /* twice what is ever out, so a free one is near */
#define OUT_MAX (SLOTS / 2)
#define BATCH 256
#define PREFETCH_BYTES 768
#define REPLY_TO_MAX 256

struct slot {
	_Atomic uint64_t token; /* 0: free */
	_Atomic(struct xf_leg *) leg;
};

struct xf_sink {
	struct xf_runner runner; /* first */
	const struct xf_sink_ops *ops;
	bool headers;  /* the sink carries them */
	bool envelope; /* it does not, and gets the message as one text */
	bool qualifies; /* ids alone do not tell what it stores from what its broker holds already */
	struct xf_requests *requests; /* NULL: it makes none */
	_Atomic uint64_t late; /* replies that nobody waited for */
	bool ordered; /* what failed is not to be passed */
	struct xf_leg *queue_first, *queue_last;
	uint64_t token;
	struct slot *slots;
	_Atomic uint32_t out; /* tokens taken and not completed */
	_Atomic uint32_t gate;
	_Atomic bool refuses; /* has failed a leg in this generation: lanes are looked at */
	_Atomic bool sweeps;  /* there is something recalled in the queue */
	_Atomic bool stopped; /* nobody looks into the inbox any more: whoever sends takes it back */
	uint32_t generation;
	bool publishing; /* the plugin is in publish(): its state takes effect after it */
	bool up, fell;   /* as it says; and whether it was DOWN since the gate was last set */
	struct xf_runner **inlets;
	size_t inlet_count;
	struct xf_outgoing batch[BATCH];
	struct xf_leg *batch_legs[BATCH];
};

/* Legs on their way back, gathered while they have the same home. */
struct returning {
	struct xf_inbox *home;
	struct xf_leg *first, *last;
};

static void
returning_flush(struct returning *returning)
{
	if (returning->first != NULL)
		xf_inbox_push(returning->home, &returning->first->node, &returning->last->node);
	*returning = (struct returning){NULL, NULL, NULL};
}

static void
returning_add(struct returning *returning, struct xf_leg *leg)
{
	struct xf_inbox *home = leg->delivery->home;

	if (returning->home != home)
		returning_flush(returning);
	returning->home = home;
	leg->node.next = NULL;
	if (returning->last != NULL)
		returning->last->node.next = &leg->node;
	else
		returning->first = leg;
	returning->last = leg;
}

/* DOWN: because the sink is; else one before it failed, or it was recalled. */
static void
leg_bounce(struct returning *returning, struct xf_leg *leg, bool down)
{
	leg->result = XF_RESULT_NOT_SENT;
	leg->result_flags = 0;
	leg->bounced = true;
	leg->down = down;
	returning_add(returning, leg);
}

static struct xf_leg *
queue_pop(struct xf_sink *sink)
{
	struct xf_leg *leg = sink->queue_first;

	if (leg != NULL) {
		sink->queue_first = (struct xf_leg *)leg->node.next;
		if (sink->queue_first == NULL)
			sink->queue_last = NULL;
	}
	return leg;
}

static void
queue_bounce(struct xf_sink *sink)
{
	struct returning returning = {NULL, NULL, NULL};
	struct xf_leg *leg;

	while ((leg = queue_pop(sink)) != NULL)
		leg_bounce(&returning, leg, true);
	returning_flush(&returning);
}

/* What has come since the sink stopped. On any thread that sends. */
static void
inbox_bounce(struct xf_sink *sink)
{
	struct xf_leg *leg = (struct xf_leg *)xf_inbox_take(&sink->runner.inbox), *next;
	struct returning returning = {NULL, NULL, NULL};

	for (; leg != NULL; leg = next) {
		next = (struct xf_leg *)leg->node.next;
		leg_bounce(&returning, leg, true);
	}
	returning_flush(&returning);
}

static void
queue_take_inbox(struct xf_sink *sink)
{
	struct xf_node *first = xf_inbox_take(&sink->runner.inbox);

	if (first == NULL)
		return;
	if (sink->queue_last != NULL)
		sink->queue_last->node.next = first;
	else
		sink->queue_first = (struct xf_leg *)first;
	sink->queue_last = (struct xf_leg *)first->last;
}

static void
queue_sweep(struct xf_sink *sink)
{
	struct returning returning = {NULL, NULL, NULL};
	struct xf_leg *leg = sink->queue_first, *next;

	sink->queue_first = sink->queue_last = NULL;
	for (; leg != NULL; leg = next) {
		next = (struct xf_leg *)leg->node.next;
		if (atomic_load_explicit(&leg->state, memory_order_acquire) == XF_LEG_RECALLED) {
			leg_bounce(&returning, leg, false);
			continue;
		}
		leg->node.next = NULL;
		if (sink->queue_last != NULL)
			sink->queue_last->node.next = &leg->node;
		else
			sink->queue_first = leg;
		sink->queue_last = leg;
	}
	returning_flush(&returning);
}

/* What the inlet's thread has written is in its processor's cache: all of a small message is asked for at once, while
 * the one before it is dealt with. It lies behind its leg (inlet.c). */
static void
queue_prefetch(const struct xf_sink *sink)
{
	const char *leg = (const char *)sink->queue_first;

	if (leg != NULL)
		for (size_t at = 0; at < PREFETCH_BYTES; at += 64)
			__builtin_prefetch(leg + at);
}

/*
 * A leg that failed goes again, so nothing of its lane may pass it: what is queued behind it is given back before it is
 * offered. Said here, by whoever completes it, since its inlet hears of it only later. Only what the plugin had
 * already may pass.
 */
static void
lane_refuse(struct xf_sink *sink, const struct xf_leg *leg)
{
	if (!sink->ordered)
		return;
	atomic_store_explicit(&leg->delivery->lane->at[leg->sink].refused, true, memory_order_relaxed);
	atomic_store_explicit(&sink->refuses, true, memory_order_release);
}

static bool
leg_must_wait(const struct xf_sink *sink, const struct xf_leg *leg)
{
	return atomic_load_explicit(&sink->refuses, memory_order_acquire) &&
	       atomic_load_explicit(&leg->delivery->lane->at[leg->sink].refused, memory_order_relaxed);
}

/* ---- What the plugin calls ------------------------------------------------------------ */

static void
sink_complete(struct xf_endpoint *endpoint, const struct xf_result *results, uint32_t count)
{
	struct xf_sink *sink = (struct xf_sink *)endpoint;
	struct returning returning = {NULL, NULL, NULL};
	uint32_t done = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct xf_result *result = &results[i];
		struct slot *slot = &sink->slots[result->token % SLOTS];
		struct xf_leg *leg = atomic_load_explicit(&slot->leg, memory_order_relaxed);
		uint64_t token = result->token;

		if (token == 0 || !atomic_compare_exchange_strong(&slot->token, &token, 0)) {
			xf_runner_violation(&sink->runner, "completed a token that is not out");
			continue;
		}
		leg->result = XF_RESULT_UNKNOWN;
		if (result->code >= XF_RESULT_STORED && result->code <= XF_RESULT_FAILED)
			leg->result = (uint8_t)result->code;
		leg->result_flags = (uint8_t)result->flags;
		leg->bounced = false;
		if (leg->result != XF_RESULT_STORED && leg->result != XF_RESULT_REJECTED)
			lane_refuse(sink, leg);
		if (result->code != XF_RESULT_STORED && result->reason.len > 0) {
			free(leg->reason);
			leg->reason = xf_strndup(result->reason.data, result->reason.len < 500 ? result->reason.len : 500);
		}
		returning_add(&returning, leg);
		done++;
	}
	/* Before the legs are back: who finds them back may rely on what is out. */
	if (atomic_fetch_sub(&sink->out, done) >= OUT_MAX)
		xf_inbox_ring(&sink->runner.inbox); /* the plugin may have room that could not be used */
	returning_flush(&returning);
}

static void
sink_replied(struct xf_endpoint *endpoint, const struct xf_replied *replies, uint32_t stride, uint32_t count)
{
	struct xf_sink *sink = (struct xf_sink *)endpoint;

	if (sink->requests == NULL)
		xf_runner_violation(&sink->runner, "brought a reply where none is awaited");
	else
		atomic_fetch_add(&sink->late, xf_requests_replied(sink->requests, replies, stride, count));
}

/* A plugin that says DOWN, or has stopped, with tokens out: nobody knows what became of them. */
static void
sink_complete_rest(struct xf_sink *sink)
{
	if (atomic_load(&sink->out) == 0)
		return;
	xf_runner_violation(&sink->runner, "left tokens uncompleted");
	for (size_t i = 0; i < SLOTS; i++) {
		struct xf_result result = {.token = atomic_load(&sink->slots[i].token), .code = XF_RESULT_UNKNOWN};

		if (result.token != 0)
			sink_complete(&sink->runner.endpoint, &result, 1);
	}
}

static void
inlets_ring(struct xf_sink *sink)
{
	for (size_t i = 0; i < sink->inlet_count; i++)
		xf_inbox_ring(&sink->inlets[i]->inbox);
}

static void
gate_set(struct xf_sink *sink, bool up)
{
	bool was_up = atomic_load_explicit(&sink->gate, memory_order_relaxed) & 1;

	if (up == was_up)
		return;
	if (!up) {
		sink_complete_rest(sink);
		queue_bounce(sink);
		sink->generation++;
		atomic_store(&sink->refuses, false); /* nothing is out any more, and nothing queued is let through */
	}
	atomic_store(&sink->gate, xf_gate(sink->generation, up));
	inlets_ring(sink);
}

static void
gate_follow(struct xf_sink *sink)
{
	if (sink->fell)
		gate_set(sink, false);
	sink->fell = false;
	gate_set(sink, sink->up);
}

static void
sink_state(struct xf_endpoint *endpoint, uint32_t state, const char *reason)
{
	struct xf_sink *sink = (struct xf_sink *)endpoint;

	if (xf_runner_state(&sink->runner, state, reason))
		inlets_ring(sink);
	if (state > XF_STATE_BLOCKED)
		return;
	sink->up = state != XF_STATE_DOWN;
	sink->fell = sink->fell || !sink->up;
	/* Within publish() nobody knows yet which legs of the batch the plugin took. */
	if (!sink->publishing)
		gate_follow(sink);
}

static uint32_t
sink_emit(struct xf_endpoint *endpoint, const struct xf_incoming *messages, uint32_t stride, uint32_t count)
{
	(void)messages, (void)stride, (void)count;
	xf_runner_violation((struct xf_runner *)endpoint, "emitted from a sink");
	return 0;
}

static void
sink_settle_within(struct xf_endpoint *endpoint, uint32_t milliseconds)
{
	(void)endpoint, (void)milliseconds;
}

static const struct xf_endpoint_calls sink_calls = {
	.wake = xf_runner_wake,
	.state = sink_state,
	.emit = sink_emit,
	.complete = sink_complete,
	.settle_within = sink_settle_within,
	.sight = xf_runner_sight,
	.replied = sink_replied,
};

/* ---- The loop ---------------------------------------------------------------------------- */

/* A broker that carries no headers gets the message as one text, made anew for each try: the leg may have gone to another
 * sink before. */
static void
outgoing_wrap(struct xf_leg *leg, struct xf_outgoing *out)
{
	const struct xf_delivery *delivery = leg->delivery;
	const struct xf_envelope_message message = {
		.id = out->dedup_id,
		.subject = out->subject,
		.key = out->key,
		.reply = out->reply,
		.content_type = out->content_type,
		.time_ms = out->time_ms,
		.headers = delivery->headers,
		.header_count = delivery->header_count + leg->copy,
		.payload = {out->payload, out->payload_size},
	};
	struct xf_buffer text = {0};

	xf_envelope_encode(&message, &text);
	free(leg->wrapped);
	leg->wrapped = text.data;
	out->payload = text.data;
	out->payload_size = text.len;
}

/*
 * What comes of a message, and is published where that came from, has the same id, and a broker that looks for duplicates by id alone (a
 * JetStream stream) would take it for the message that it holds. So there the subject is part of it. Not so where a migration goes on to the
 * place that consumers know: they see the ids, and an entry is a stream of its own.
 */
static void
outgoing_qualify(struct xf_leg *leg, struct xf_outgoing *out)
{
	free(leg->dedup_id);
	leg->dedup_id = xf_format("%.*s/%.*s", (int)out->dedup_id.len, out->dedup_id.data, (int)out->subject.len, out->subject.data);
	out->dedup_id = xf_str(leg->dedup_id);
}

/* Whoever asked is known here alone: the worker replies to this sink, and of a copy to nobody. */
static void
outgoing_ask(const struct xf_sink *sink, struct xf_leg *leg, struct xf_outgoing *out)
{
	char address[REPLY_TO_MAX];
	uint32_t len;

	out->reply = (struct xf_str){NULL, 0};
	if (leg->copy || leg->delivery->request == 0)
		return;
	out->request = leg->delivery->request;
	len = sink->ops->reply_to(sink->runner.instance, out->request, address, sizeof(address));
	free(leg->reply_to);
	leg->reply_to = xf_strndup(address, len < sizeof(address) ? len : sizeof(address));
	out->reply = xf_str(leg->reply_to);
}

static void
outgoing_fill(const struct xf_sink *sink, struct xf_leg *leg, uint64_t token, struct xf_outgoing *out)
{
	const struct xf_delivery *delivery = leg->delivery;

	out->token = token;
	out->subject = delivery->to[leg->sink];
	out->id = out->dedup_id = delivery->id;
	if (leg->copy)
		out->dedup_id.len += sizeof("/copy") - 1;
	out->key = delivery->key;
	out->reply = delivery->reply;
	out->request = 0;
	out->content_type = delivery->content_type;
	out->payload = delivery->payload;
	out->payload_size = delivery->payload_size;
	out->headers = delivery->headers;
	out->header_count = sink->headers ? delivery->header_count + leg->copy : 0;
	out->flags = (leg->copy ? XF_OUTGOING_COPY : 0) | (leg->attempts > 0 || leg->maybe ? XF_OUTGOING_RETRY : 0);
	out->time_ms = delivery->time_ms;
	out->ttl_ms = delivery->ttl_ms;
	out->priority = delivery->priority;
	if (sink->requests != NULL)
		outgoing_ask(sink, leg, out);
	if (sink->envelope)
		outgoing_wrap(leg, out);
	if (sink->qualifies)
		outgoing_qualify(leg, out);
}

/* Takes up to ROOM legs off the queue into the batch, each with a token. */
static uint32_t
batch_fill(struct xf_sink *sink, uint32_t room)
{
	struct returning returning = {NULL, NULL, NULL};
	uint32_t n = 0, out = atomic_load_explicit(&sink->out, memory_order_relaxed);
	uint64_t now = xf_now_ns();
	struct xf_leg *leg;

	if (room > BATCH)
		room = BATCH;
	if (out + room > OUT_MAX)
		room = out < OUT_MAX ? OUT_MAX - out : 0;
	while (n < room && (leg = queue_pop(sink)) != NULL) {
		uint32_t state = XF_LEG_QUEUED;
		struct slot *slot;

		queue_prefetch(sink);
		if (leg->generation != sink->generation || leg_must_wait(sink, leg) ||
		    !atomic_compare_exchange_strong_explicit(&leg->state, &state, XF_LEG_TAKEN, memory_order_acq_rel,
		                                             memory_order_relaxed)) {
			leg_bounce(&returning, leg, leg->generation != sink->generation);
			continue;
		}
		leg->taken_ns = now;
		do {
			sink->token++;
			slot = &sink->slots[sink->token % SLOTS];
		} while (sink->token == 0 || atomic_load_explicit(&slot->token, memory_order_acquire) != 0);
		atomic_store_explicit(&slot->leg, leg, memory_order_relaxed);
		atomic_store_explicit(&slot->token, sink->token, memory_order_release);
		sink->batch_legs[n] = leg;
		outgoing_fill(sink, leg, sink->token, &sink->batch[n]);
		n++;
	}
	returning_flush(&returning);
	return n;
}

/* Puts the legs that the plugin did not take back in front of the queue. */
static void
batch_untake(struct xf_sink *sink, uint32_t taken, uint32_t count)
{
	struct returning returning = {NULL, NULL, NULL};

	for (uint32_t i = count; i-- > taken;) {
		struct xf_leg *leg = sink->batch_legs[i];
		uint64_t token = sink->batch[i].token;
		uint32_t state = XF_LEG_TAKEN;

		if (!atomic_compare_exchange_strong(&sink->slots[token % SLOTS].token, &token, 0)) {
			xf_runner_violation(&sink->runner, "completed what it did not take");
			continue;
		}
		atomic_fetch_sub(&sink->out, 1);
		if (!atomic_compare_exchange_strong(&leg->state, &state, XF_LEG_QUEUED)) {
			leg_bounce(&returning, leg, false);
			continue;
		}
		leg->node.next = (struct xf_node *)sink->queue_first;
		sink->queue_first = leg;
		if (sink->queue_last == NULL)
			sink->queue_last = leg;
	}
	returning_flush(&returning);
}

/* Offers the first N legs of the batch to the plugin; returns how many it took. */
static uint32_t
batch_publish(struct xf_sink *sink, uint32_t n)
{
	uint32_t taken;

	atomic_fetch_add(&sink->out, n);
	sink->publishing = true;
	taken = sink->ops->publish(sink->runner.instance, sink->batch, sizeof(sink->batch[0]), n);
	sink->publishing = false;
	if (taken > n) {
		xf_runner_violation(&sink->runner, "took more than it was offered");
		taken = n;
	}
	batch_untake(sink, taken, n);
	gate_follow(sink);
	return taken;
}

static bool
sink_publish(struct xf_sink *sink, uint32_t room)
{
	bool any = false;

	while (room > 0 && sink->queue_first != NULL) {
		uint32_t n = batch_fill(sink, room), taken;

		if (n == 0)
			break;
		taken = batch_publish(sink, n);
		any = any || taken > 0;
		room -= taken;
		if (taken < n)
			break;
	}
	return any;
}

static void
sink_thread_start(struct xf_runner *runner)
{
	struct xf_sink *sink = (struct xf_sink *)runner;

	sink->ops->start(runner->instance);
}

static bool
sink_turn(struct xf_runner *runner, struct xf_work *work)
{
	struct xf_sink *sink = (struct xf_sink *)runner;

	sink->ops->work(runner->instance, work);
	queue_take_inbox(sink);
	if (atomic_load_explicit(&sink->sweeps, memory_order_relaxed) && atomic_exchange(&sink->sweeps, false))
		queue_sweep(sink);
	if (!(atomic_load_explicit(&sink->gate, memory_order_relaxed) & 1)) {
		queue_bounce(sink);
		return false;
	}
	return sink_publish(sink, work->room);
}

static void
sink_thread_stop(struct xf_runner *runner)
{
	struct xf_sink *sink = (struct xf_sink *)runner;

	sink->ops->stop(runner->instance);
	/* For inlets that go on it is down: what they have they hold, for another sink. */
	sink->up = false;
	gate_set(sink, false);
	sink_complete_rest(sink);
	/* In this order, and the other way round in xf_sink_send(): so one of the two finds what comes meanwhile. */
	atomic_store(&sink->stopped, true);
	queue_take_inbox(sink);
	queue_bounce(sink);
}

static const struct xf_runner_ops sink_runner_ops = {
	.start = sink_thread_start,
	.turn = sink_turn,
	.stop = sink_thread_stop,
};

/* ---- Life ------------------------------------------------------------------------------------ */

struct xf_sink *
xf_sink_create(char *name, const struct xf_sink_setup *setup, struct xf_error *error)
{
	struct xf_sink *sink = xf_alloc(sizeof(*sink));
	const struct xf_conf_endpoint *conf = setup->conf;
	struct xf_endpoint_info *info = &sink->runner.info;

	if (xf_runner_init(&sink->runner, &sink_runner_ops, &sink_calls, name, conf, false, error) != XF_OK) {
		free(sink);
		return NULL;
	}
	sink->ops = conf->transport->class->sink;
	sink->qualifies = setup->reads_there && (conf->traits & XF_TRAIT_DEDUP);
	sink->requests = setup->request_ms > 0 ? setup->requests : NULL;
	sink->headers = conf->traits & XF_TRAIT_HEADERS;
	sink->envelope = conf->envelope == XF_ENVELOPE_JSON;
	sink->slots = xf_alloc_array(SLOTS, sizeof(*sink->slots));
	*info = (struct xf_endpoint_info){
		.struct_size = sizeof(*info),
		.name = xf_str(name),
		.route = xf_str(setup->route),
		.transport = xf_str(conf->transport->name),
		.server = xf_str(setup->server),
		.subject = xf_str(conf->subject),
		.request_ms = setup->request_ms,
	};
	if (sink->ops->create(xf_host(), &sink->runner.endpoint, setup->shared, conf->transport->options, conf->options, info,
	                      &sink->runner.instance, error) != 0) {
		xf_error_prefix(error, "sink '%s'", name);
		sink->runner.instance = NULL;
		xf_sink_destroy(&sink);
	}
	return sink;
}

void
xf_sink_destroy(struct xf_sink **sink)
{
	if (*sink == NULL)
		return;
	if ((*sink)->runner.instance != NULL)
		(*sink)->ops->destroy((*sink)->runner.instance);
	free((*sink)->slots);
	free((*sink)->inlets);
	xf_runner_fini(&(*sink)->runner);
	free(*sink);
	*sink = NULL;
}

void
xf_sink_attach(struct xf_sink *sink, struct xf_runner *inlet, bool ordered)
{
	sink->ordered = ordered;
	sink->inlets = xf_grow_array(sink->inlets, sink->inlet_count, sink->inlet_count + 1, sizeof(*sink->inlets));
	sink->inlets[sink->inlet_count++] = inlet;
}

void
xf_sink_start(struct xf_sink *sink)
{
	xf_runner_start(&sink->runner);
}

void
xf_sink_stop(struct xf_sink *sink)
{
	xf_runner_stop(&sink->runner);
}

struct xf_runner *
xf_sink_runner(struct xf_sink *sink)
{
	return &sink->runner;
}

void
xf_sink_send(struct xf_sink *sink, struct xf_leg *first, struct xf_leg *last)
{
	xf_inbox_push(&sink->runner.inbox, &first->node, &last->node);
	if (atomic_load(&sink->stopped))
		inbox_bounce(sink);
}

uint32_t
xf_sink_gate(const struct xf_sink *sink)
{
	return atomic_load_explicit(&sink->gate, memory_order_acquire);
}

void
xf_sink_sweep(struct xf_sink *sink)
{
	atomic_store(&sink->sweeps, true);
	xf_inbox_ring(&sink->runner.inbox);
}

uint32_t
xf_sink_state(const struct xf_sink *sink)
{
	return atomic_load(&sink->runner.state);
}

bool
xf_sink_was_up(const struct xf_sink *sink)
{
	return atomic_load(&sink->runner.was_up);
}

const char *
xf_sink_name(const struct xf_sink *sink)
{
	return sink->runner.name;
}

void
xf_sink_status(struct xf_sink *sink, struct xf_endpoint_status *status)
{
	xf_runner_status(&sink->runner, status);
	status->late = atomic_load(&sink->late);
}
