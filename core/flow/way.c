#include "flow/way.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/memory.h"
#include "flow/replay.h"

#define BLOCKED_MS 500 /* then what a sink has not confirmed goes to its spool: most are shorter */
#define REPLAY_MAX 2048 /* messages that are read back at once */

/* ---- What the lanes call ----------------------------------------------------------------------- */

static void
chain_add(struct xf_leg **first, struct xf_leg **last, struct xf_leg *leg)
{
	leg->node.next = NULL;
	if (*last != NULL)
		(*last)->node.next = &leg->node;
	else
		*first = leg;
	*last = leg;
}

static void
lanes_spool(struct xf_way *way, struct xf_leg *leg)
{
	struct xf_spool_pipe *pipe = &way->spools[leg->sink];

	chain_add(&pipe->first, &pipe->last, leg);
	pipe->chained++;
}

static void
lanes_send(void *context, struct xf_leg *leg)
{
	struct xf_way *way = context;
	struct xf_pipe *pipe = &way->pipes[leg->pipe];

	if (leg->to_spool) {
		lanes_spool(way, leg);
		return;
	}
	leg->generation = pipe->generation;
	leg->bounced = false;
	chain_add(&pipe->first, &pipe->last, leg);
	pipe->out++;
}

static uint32_t
lanes_spooled(void *context, unsigned sink, uint16_t bucket, bool copies)
{
	return xf_spooler_lane(((struct xf_way *)context)->setup.spoolers[sink], bucket, copies);
}

static bool
lanes_spool_stands(void *context, unsigned sink, uint16_t bucket)
{
	return xf_spooler_lane_stands(((struct xf_way *)context)->setup.spoolers[sink], bucket);
}

static uint64_t
lanes_spooled_all(void *context, unsigned sink)
{
	return xf_spooler_messages(((struct xf_way *)context)->setup.spoolers[sink]);
}

static void
lanes_settle(void *context, struct xf_delivery *delivery)
{
	struct xf_way *way = context;

	way->ops->settle(way->context, delivery);
}

static void
lanes_refused(void *context, struct xf_delivery *delivery, const struct xf_leg *leg)
{
	struct xf_way *way = context;

	way->ops->refused(way->context, delivery, leg, xf_sink_name(way->pipes[leg->pipe].sink));
}

static void
lanes_release(void *context, struct xf_delivery *delivery)
{
	xf_maker_release(&((struct xf_way *)context)->maker, delivery);
}

static const struct xf_lanes_ops lanes_ops = {
	.send = lanes_send,
	.spooled = lanes_spooled,
	.spool_stands = lanes_spool_stands,
	.spooled_all = lanes_spooled_all,
	.settle = lanes_settle,
	.refused = lanes_refused,
	.release = lanes_release,
};

/* ---- A turn ---------------------------------------------------------------------------------------- */

void
xf_way_look(struct xf_way *way)
{
	way->now_ms = xf_now_ms();
	for (unsigned i = 0; i < way->lanes.pipe_count; i++)
		way->pipes[i].gate = way->pipes[i].sink != NULL ? xf_sink_gate(way->pipes[i].sink) : 0;
}

void
xf_way_returned(struct xf_way *way, struct xf_leg *leg, uint64_t now_ns)
{
	if (leg->to_spool)
		way->spools[leg->sink].out--;
	else
		way->pipes[leg->pipe].out--;
	if (leg->result == XF_RESULT_STORED && !leg->abandoned && !leg->to_spool)
		xf_histogram_record(&way->lanes.sinks[leg->sink].counters.publish, (now_ns - leg->taken_ns) / 1000, 1);
	xf_lanes_returned(&way->lanes, leg, way->now_ms);
}

static void
pipe_follow(struct xf_way *way, unsigned i)
{
	struct xf_pipe *pipe = &way->pipes[i];
	bool up = pipe->gate & 1, was_up = way->lanes.up >> i & 1;

	if (pipe->gate >> 1 != pipe->generation) {
		if (was_up)
			xf_lanes_pipe(&way->lanes, i, false, way->now_ms);
		if (pipe->out > 0)
			return; /* they come back first */
		pipe->generation = pipe->gate >> 1;
		was_up = false;
	}
	if (up && !was_up)
		xf_lanes_pipe(&way->lanes, i, true, way->now_ms);
}

/* A sink that takes nothing more, or not enough for a source that cannot wait. Where its spool takes nothing either, one that works
 * is the better place. */
static void
aside_follow(struct xf_way *way, unsigned i)
{
	struct xf_pipe *pipe = &way->pipes[i];
	bool blocked = xf_sink_state(pipe->sink) == XF_STATE_BLOCKED;
	enum xf_aside aside = way->pressed;

	if (!blocked)
		pipe->blocked_at = 0;
	else if (pipe->blocked_at == 0)
		pipe->blocked_at = way->now_ms;
	if (blocked && (way->pressed != XF_ASIDE_NOTHING || way->now_ms - pipe->blocked_at >= BLOCKED_MS))
		aside = XF_ASIDE_ALL;
	if (!blocked && aside != XF_ASIDE_NOTHING && xf_spooler_fails(pipe->spooler))
		aside = XF_ASIDE_NOTHING;
	if (aside == pipe->aside)
		return;
	if (aside != XF_ASIDE_NOTHING)
		xf_way_flush(way); /* or what is recalled would be sent behind what asks for it */
	pipe->aside = aside;
	xf_lanes_aside(&way->lanes, i, aside, way->now_ms);
	if (aside != XF_ASIDE_NOTHING)
		xf_sink_sweep(pipe->sink);
	way->tick_at = 0;
}

static void
asides_follow(struct xf_way *way)
{
	for (unsigned i = 0; i < way->lanes.pipe_count; i++)
		if (way->pipes[i].spooler != NULL)
			aside_follow(way, i);
}

void
xf_way_press(struct xf_way *way, enum xf_aside aside)
{
	way->pressed = aside;
	asides_follow(way);
	xf_way_flush(way);
}

static void
knobs_follow(struct xf_way *way)
{
	struct xf_knobs knobs;

	if (way->setup.migration == NULL)
		return;
	knobs = xf_migration_knobs(way->setup.migration);
	if (knobs.version == way->knobs_version)
		return;
	/* A copy that is read back is a leg of its own. */
	xf_lanes_set(&way->lanes, knobs.position.percent, way->setup.replays ? XF_MIRROR_OFF : knobs.position.mirror,
	             way->now_ms);
	if (knobs.forces != way->forces)
		xf_lanes_force(&way->lanes, way->now_ms);
	way->knobs_version = knobs.version;
	way->forces = knobs.forces;
	way->turns++;
	way->tick_at = 0;
	atomic_store(&way->followed_version, knobs.version);
}

static void
moving_tell(struct xf_way *way, uint32_t count)
{
	if (count == way->moving_told)
		return;
	xf_migration_moving(way->setup.migration, way->moving_told, count, xf_now_ms());
	way->moving_told = count;
}

void
xf_way_follow(struct xf_way *way)
{
	uint32_t tick, up = way->lanes.up;

	for (unsigned i = 0; i < way->lanes.pipe_count; i++)
		pipe_follow(way, i);
	way->turns += way->lanes.up != up;
	if (way->pressed != XF_ASIDE_NOTHING && 2 * way->lanes.open < xf_way_open_max(way) &&
	    2 * xf_maker_bytes(&way->maker) < way->setup.route->max_in_flight_bytes)
		way->pressed = XF_ASIDE_NOTHING;
	asides_follow(way);
	knobs_follow(way);
	if (way->lanes.holders != NULL && way->now_ms >= way->tick_at) {
		tick = xf_lanes_tick(&way->lanes, way->now_ms);
		way->tick_at = way->now_ms + (tick < 10 ? 10 : tick > 1000 ? 1000 : tick);
	}
	moving_tell(way, way->lanes.moving_count);
}

void
xf_way_flush(struct xf_way *way)
{
	for (unsigned i = 0; i < way->lanes.pipe_count; i++) {
		struct xf_pipe *pipe = &way->pipes[i];

		if (pipe->first == NULL)
			continue;
		xf_sink_send(pipe->sink, pipe->first, pipe->last);
		pipe->first = pipe->last = NULL;
	}
	for (unsigned i = 0; i < way->lanes.sink_count; i++) {
		struct xf_spool_pipe *pipe = &way->spools[i];

		if (pipe->first == NULL)
			continue;
		if (pipe->out == 0)
			pipe->generation = xf_spooler_generation(way->setup.spoolers[i]);
		pipe->out += pipe->chained;
		xf_spooler_send(way->setup.spoolers[i], pipe->first, pipe->last, pipe->generation);
		pipe->first = pipe->last = NULL;
		pipe->chained = 0;
	}
}

uint64_t
xf_way_wants(const struct xf_way *way)
{
	uint64_t at = way->lanes.holders != NULL ? way->tick_at : UINT64_MAX;

	for (unsigned i = 0; i < way->lanes.pipe_count; i++) {
		const struct xf_pipe *pipe = &way->pipes[i];

		if (pipe->blocked_at != 0 && pipe->aside != XF_ASIDE_ALL && pipe->blocked_at + BLOCKED_MS < at)
			at = pipe->blocked_at + BLOCKED_MS;
	}
	return at;
}

struct xf_delivery *
xf_way_make(struct xf_way *way, const struct xf_incoming *message, struct xf_fields *fields, struct xf_error *error)
{
	struct xf_draft *draft = &way->draft;

	if (xf_maker_draft(&way->maker, message, draft, error) != XF_OK) {
		*fields = draft->fields;
		return NULL;
	}
	if (way->setup.route->to == XF_TO_REPLY) { /* nothing may be taken for delivered because there is nowhere to go */
		*fields = draft->fields;
		xf_error_set(error, "the route has no destination any more: it replies");
		return NULL;
	}
	xf_lanes_prefetch(&way->lanes, draft->bucket);
	return xf_maker_make(&way->maker, message, draft);
}

bool
xf_way_takes(struct xf_way *way, const struct xf_incoming *message, unsigned *sink)
{
	uint16_t bucket;

	*sink = UINT_MAX;
	if (!way->setup.replays || way->lanes.destination.to != XF_TO_MIGRATION)
		return true;
	bucket = xf_maker_bucket(&way->maker, message);
	*sink = XF_REPLAY_ROLE(message->flags) == XF_SPOOLED_AUTHORITY ? xf_lanes_target(&way->lanes, bucket)
	                                                               : XF_REPLAY_SINK(message->flags);
	return xf_lanes_sink_is_up(&way->lanes, bucket, *sink);
}

void
xf_way_accept(struct xf_way *way, struct xf_delivery *delivery)
{
	xf_lanes_accept(&way->lanes, delivery, way->now_ms);
}

void
xf_way_unmake(struct xf_way *from, struct xf_delivery *delivery, struct xf_incoming *message)
{
	*message = (struct xf_incoming){
		.handle = delivery->handle,
		.subject = delivery->subject,
		.id = delivery->id,
		.key = delivery->key_given,
		.reply = delivery->reply,
		.content_type = delivery->content_type,
		.payload = delivery->payload,
		.payload_size = delivery->payload_size,
		.headers = delivery->headers_given,
		.header_count = delivery->headers_given_count,
		.time_ms = delivery->time_ms,
		.ttl_ms = delivery->ttl_ms,
		.priority = delivery->priority,
		.release = delivery->release,
		.release_context = delivery->release_context,
	};
	if (delivery->release != NULL)
		from->maker.adopted_bytes -= delivery->payload_size;
	delivery->release = NULL;
}

uint32_t
xf_way_open_max(const struct xf_way *way)
{
	const struct xf_conf_route *route = way->setup.route;

	if (way->setup.replays)
		return route->max_in_flight < REPLAY_MAX ? route->max_in_flight : REPLAY_MAX;
	return route->concurrency > 0 && route->concurrency < route->max_in_flight ? route->concurrency
	                                                                           : route->max_in_flight;
}

bool
xf_way_spools(const struct xf_way *way)
{
	bool spools = way->setup.accepts != NULL;

	for (unsigned i = 0; i < way->lanes.pipe_count; i++)
		spools = spools || way->pipes[i].spooler != NULL;
	return spools;
}

bool
xf_way_is_full(const struct xf_way *way, uint64_t open, uint64_t bytes)
{
	const struct xf_conf_route *route = way->setup.route;

	return open >= route->max_in_flight || bytes >= route->max_in_flight_bytes;
}

uint32_t
xf_way_out(const struct xf_way *way)
{
	uint32_t out = 0;

	for (unsigned i = 0; i < way->lanes.pipe_count; i++)
		out += way->pipes[i].out;
	for (unsigned i = 0; i < way->lanes.sink_count; i++)
		out += way->spools[i].out + way->spools[i].chained;
	return out;
}

uint32_t
xf_way_spooling(const struct xf_way *way)
{
	uint32_t out = 0;

	for (unsigned i = 0; i < way->lanes.sink_count; i++)
		out += way->spools[i].out;
	return out;
}

/* ---- Life ------------------------------------------------------------------------------------------- */

/* What the lanes decide between: where all goes to one spool, a sink that is never up. */
static void
lanes_fill(struct xf_way *way, const struct xf_destination *destination)
{
	const struct xf_way_setup *setup = &way->setup;
	const struct xf_conf_route *route = setup->route;
	const struct xf_destination spool = {.to = XF_TO_SINK, .sink_count = 1};
	struct xf_lanes *lanes = &way->lanes;

	if (setup->accepts != NULL) {
		memset(way->setup.spoolers, 0, sizeof(way->setup.spoolers));
		way->setup.spoolers[0] = setup->accepts;
		xf_lanes_init(lanes, &lanes_ops, way, &spool, route->order == XF_ORDER_NONE ? XF_ORDER_NONE : XF_ORDER_LANE);
		xf_lanes_add_sink(lanes, 1, false);
		xf_lanes_add_spool(lanes, false, 0);
		return;
	}
	xf_lanes_init(lanes, &lanes_ops, way, destination, route->order);
	for (unsigned sink = 0; sink < destination->sink_count; sink++) {
		const struct xf_conf_endpoint *conf = setup->sink_conf[sink];

		xf_lanes_add_sink(lanes, xf_sink_connections(conf), xf_conf_when_down(route, conf) == XF_WHEN_DOWN_DROP);
		if (setup->spoolers[sink] != NULL && !setup->replays)
			xf_lanes_add_spool(lanes, conf->spool_drops, way->now_ms);
	}
}

struct xf_way *
xf_way_create(const struct xf_way_setup *setup, struct xf_runner *runner, const struct xf_way_ops *ops, void *context)
{
	const struct xf_conf_migration *migration = setup->route->migration;
	struct xf_way *way = xf_alloc(sizeof(*way));
	const struct xf_conf_route *route = setup->route;
	struct xf_destination destination;
	struct xf_lanes *lanes = &way->lanes;

	way->setup = *setup;
	way->ops = ops;
	way->context = context;
	way->now_ms = xf_now_ms();
	xf_destination_init(&destination, route, migration);
	if (setup->replays)
		destination.mirror = XF_MIRROR_OFF;
	xf_maker_init(&way->maker, setup->server, route, &destination, &runner->inbox);
	for (unsigned sink = 0; sink < destination.sink_count; sink++)
		xf_maker_add_sink(&way->maker, setup->sink_conf[sink]);
	lanes_fill(way, &destination);
	way->pipes = xf_alloc_array(lanes->pipe_count, sizeof(*way->pipes));
	for (unsigned i = 0; i < lanes->pipe_count && setup->accepts == NULL; i++) {
		way->pipes[i].sink = setup->sinks[i];
		if (lanes->sinks[xf_lanes_pipe_sink(lanes, i)].spools)
			way->pipes[i].spooler = setup->spoolers[xf_lanes_pipe_sink(lanes, i)];
		xf_sink_attach(setup->sinks[i], runner, route->order != XF_ORDER_NONE);
	}
	lanes->retry = route->retry;
	/* Legs that nobody waits for may pin half of the bound, never all of it. */
	lanes->loose_max = route->max_in_flight / 2 + 1;
	lanes->loose_bytes_max = route->max_in_flight_bytes / 4;
	if (destination.to == XF_TO_ALL) {
		lanes->loose_max = lanes->loose_max / destination.sink_count + 1;
		lanes->loose_bytes_max = lanes->loose_bytes_max / destination.sink_count + 1;
	}
	if (setup->migration != NULL) {
		lanes->handover_timeout_ms = migration->handover_timeout_ms;
		way->forces = xf_migration_knobs(setup->migration).forces;
		way->knobs_version = UINT32_MAX; /* none */
		knobs_follow(way);
	}
	return way;
}

void
xf_way_shut(struct xf_way *way)
{
	way->lanes.up = 0;
	way->lanes.shut = true;
}

void
xf_way_destroy(struct xf_way **pointer)
{
	struct xf_way *way = *pointer;

	if (way == NULL)
		return;
	*pointer = NULL;
	moving_tell(way, 0);
	xf_lanes_fini(&way->lanes);
	xf_maker_fini(&way->maker);
	free(way->pipes);
	free(way);
}

/* ---- For others ---------------------------------------------------------------------------------------- */

static void
leg_status_add(struct xf_leg_status *status, const struct xf_leg_counters *counters, uint64_t oldest_ms)
{
	struct xf_histogram_snapshot publish;
	/* What ends a leg is read before what begins one, so that in flight is never negative. */
	uint64_t confirmed = xf_read(&counters->confirmed), refused = xf_read(&counters->refused),
		 dropped = xf_read(&counters->dropped), crossed = xf_read(&counters->crossed),
		 moved = xf_read(&counters->moved), spooled = xf_read(&counters->spooled), accepted;

	accepted = xf_read(&counters->accepted);
	status->accepted += accepted;
	status->confirmed += confirmed;
	status->refused += refused;
	status->dropped += dropped;
	status->crossed += crossed;
	status->moved += moved;
	status->spooled += spooled;
	status->in_flight += accepted - confirmed - refused - dropped - crossed - moved - spooled;
	status->retried += xf_read(&counters->retried);
	status->copies += xf_read(&counters->copies);
	status->no_receiver += xf_read(&counters->no_receiver);
	status->only += xf_read(&counters->only);
	if (accepted > confirmed + refused + dropped + crossed + moved + spooled && oldest_ms > status->oldest_ms)
		status->oldest_ms = oldest_ms;
	xf_histogram_read(&counters->publish, &publish);
	xf_histogram_add(&status->publish, &publish);
}

void
xf_way_status(const struct xf_way *way, uint64_t oldest_ms, struct xf_route_status *status)
{
	struct xf_histogram_snapshot handover;

	if (way->setup.accepts != NULL)
		return; /* whoever reads it back counts */
	xf_histogram_read(&way->lanes.handover, &handover);
	xf_histogram_add(&status->handover, &handover);
	/* In a reload an inlet has its new way a moment before its route is another. */
	for (unsigned sink = 0; sink < way->lanes.sink_count && sink < status->leg_count; sink++)
		leg_status_add(&status->legs[sink], &way->lanes.sinks[sink].counters, oldest_ms);
}

void
xf_way_inherit(struct xf_way *to, const struct xf_way *from)
{
	to->turns = from->turns + 1;
	if (to->lanes.sink_count != from->lanes.sink_count)
		return;
	for (unsigned sink = 0; sink < to->lanes.sink_count; sink++) {
		struct xf_leg_counters *new = &to->lanes.sinks[sink].counters;
		const struct xf_leg_counters *old = &from->lanes.sinks[sink].counters;
		struct xf_leg_status done = {.accepted = 0};
		struct xf_histogram_snapshot publish;

		leg_status_add(&done, old, 0);
		xf_count(&new->accepted, done.accepted - done.in_flight);
		xf_count(&new->confirmed, done.confirmed);
		xf_count(&new->refused, done.refused);
		xf_count(&new->dropped, done.dropped);
		xf_count(&new->crossed, done.crossed);
		xf_count(&new->moved, done.moved);
		xf_count(&new->spooled, done.spooled);
		xf_count(&new->retried, done.retried);
		xf_count(&new->copies, done.copies);
		xf_count(&new->no_receiver, done.no_receiver);
		xf_count(&new->only, done.only);
		xf_histogram_read(&old->publish, &publish);
		xf_histogram_merge(&new->publish, &publish);
	}
}
