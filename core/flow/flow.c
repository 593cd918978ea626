/*
 * Endpoints are made in create and run from start on: sinks first, so that what a source brings finds somebody.
 * They stop in the other order: sources, then sinks, which give back what they have.
 *
 * Lock: control_lock makes changes of migrations and pauses one at a time. Nothing on the journey of a
 * message takes it.
 */
#include "flow/flow.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/memory.h"
#include "flow/inlet.h"

#define FOLLOW_WAIT_MS 250 /* how long an answer waits for the inlets to see a change */
#define REPORT_BYTES (256 * 1024)

struct route {
	const struct xf_conf_route *conf;
	struct xf_migration *migration;
	struct xf_inlet **inlets;
	struct xf_sink *sinks[XF_SIDES];
	unsigned side_count;
};

struct transport {
	const struct xf_conf_transport *conf;
	void *shared;
	bool opened;
};

struct xf_flow {
	const struct xf_conf *conf;
	struct xf_state *state;
	struct xf_rejects *rejects;
	struct transport *transports;
	struct xf_migration *migrations;
	struct route *routes;
	pthread_mutex_t control_lock;
	_Atomic bool was_up; /* once; what breaks later is for health to tell */
	_Atomic bool draining;
	_Atomic bool drain_now;
};

/* ---- Making ----------------------------------------------------------------------------------- */

static struct transport *
transport_find(struct xf_flow *flow, const struct xf_conf_transport *conf)
{
	return &flow->transports[conf - flow->conf->transports];
}

static enum xf_status
transport_open(struct xf_flow *flow, const struct xf_conf_transport *conf, struct xf_error *error)
{
	struct transport *transport = transport_find(flow, conf);

	if (transport->opened)
		return XF_OK;
	transport->conf = conf;
	if (conf->class->open != NULL &&
	    conf->class->open(xf_host(), conf->options, xf_str(conf->name), &transport->shared, error) != 0) {
		xf_error_prefix(error, "transport '%s'", conf->name);
		return XF_FAILED;
	}
	transport->opened = true;
	return XF_OK;
}

static enum xf_status
route_sinks_create(struct xf_flow *flow, struct route *route, struct xf_error *error)
{
	static const char *const names[XF_SIDES] = {"old", "new"};

	route->side_count = route->migration != NULL ? 2 : 1;
	for (unsigned side = 0; side < route->side_count; side++) {
		const struct xf_conf_endpoint *conf =
			route->migration != NULL ? &route->migration->conf->sides[side] : &route->conf->sinks[0];
		char *name = route->migration != NULL ? xf_format("%s/to/%s", route->conf->name, names[side])
		                                      : xf_format("%s/to", route->conf->name);

		if (transport_open(flow, conf->transport, error) != XF_OK) {
			free(name);
			return XF_FAILED;
		}
		route->sinks[side] = xf_sink_create(name, route->conf->name, flow->conf->server.name, conf,
		                                    transport_find(flow, conf->transport)->shared, error);
		if (route->sinks[side] == NULL)
			return XF_FAILED;
	}
	return XF_OK;
}

static enum xf_status
route_create(struct xf_flow *flow, struct route *route, const struct xf_conf_route *conf, struct xf_error *error)
{
	struct xf_inlet_setup setup = {
		.way = {.route = conf, .server = &flow->conf->server},
		.rejects = flow->rejects,
	};

	route->conf = conf;
	route->inlets = xf_alloc_array(conf->source_count, sizeof(*route->inlets));
	if (conf->migration != NULL)
		route->migration = &flow->migrations[conf->migration - flow->conf->migrations];
	if (route_sinks_create(flow, route, error) != XF_OK)
		return XF_FAILED;
	setup.way.migration = route->migration;
	for (unsigned side = 0; side < route->side_count; side++) {
		setup.way.sinks[side] = route->sinks[side];
		setup.way.sink_conf[side] = route->migration != NULL ? &route->migration->conf->sides[side] : &conf->sinks[0];
	}
	for (size_t i = 0; i < conf->source_count; i++) {
		char *name = conf->source_count == 1 ? xf_format("%s/from", conf->name)
		                                     : xf_format("%s/from/%zu", conf->name, i + 1);

		setup.source = &conf->sources[i];
		if (transport_open(flow, setup.source->transport, error) != XF_OK) {
			free(name);
			return XF_FAILED;
		}
		setup.shared = transport_find(flow, setup.source->transport)->shared;
		route->inlets[i] = xf_inlet_create(name, &setup, error);
		if (route->inlets[i] == NULL)
			return XF_FAILED;
	}
	return XF_OK;
}

/* The committed position holds; a different one in the YAML is only said. */
static enum xf_status
migration_init(struct xf_flow *flow, struct xf_migration *migration, const struct xf_conf_migration *conf,
               struct xf_error *error)
{
	struct xf_knobs knobs = {.version = 1, .position = {conf->percent, conf->mirror}};
	struct xf_position committed;
	char percent[16], written[16];
	bool found;

	migration->conf = conf;
	if (xf_state_load(flow->state, conf->name, &committed, &found, error) != XF_OK)
		return XF_FAILED;
	if (found) {
		if (committed.percent != conf->percent || committed.mirror != conf->mirror) {
			xf_percent_format(committed.percent, percent);
			xf_percent_format(conf->percent, written);
			xf_log(XF_LOG_WARN, NULL,
			       "migration '%s' stands at percent=%s mirror=%s as committed at run time; "
			       "%s:%u says percent=%s mirror=%s, which is its first value only",
			       conf->name, percent, xf_mirror_name(committed.mirror), conf->place.file, conf->place.line,
			       written, xf_mirror_name(conf->mirror));
		}
		knobs.position = committed;
	}
	atomic_init(&migration->knobs, xf_knobs_pack(knobs));
	return XF_OK;
}

struct xf_flow *
xf_flow_create(const struct xf_conf *conf, struct xf_state *state, struct xf_error *error)
{
	struct xf_flow *flow = xf_alloc(sizeof(*flow));

	flow->conf = conf;
	flow->state = state;
	pthread_mutex_init(&flow->control_lock, NULL);
	flow->transports = xf_alloc_array(conf->transport_count, sizeof(*flow->transports));
	flow->migrations = xf_alloc_array(conf->migration_count, sizeof(*flow->migrations));
	flow->routes = xf_alloc_array(conf->route_count, sizeof(*flow->routes));
	flow->rejects = xf_rejects_open(conf->server.data_dir, error);
	if (flow->rejects == NULL)
		goto failed;
	for (size_t i = 0; i < conf->migration_count; i++) {
		if (migration_init(flow, &flow->migrations[i], &conf->migrations[i], error) != XF_OK)
			goto failed;
	}
	for (size_t i = 0; i < conf->route_count; i++) {
		if (route_create(flow, &flow->routes[i], &conf->routes[i], error) != XF_OK)
			goto failed;
	}
	return flow;

failed:
	xf_flow_destroy(&flow);
	return NULL;
}

void
xf_flow_start(struct xf_flow *flow)
{
	for (size_t i = 0; i < flow->conf->route_count; i++)
		for (unsigned side = 0; side < flow->routes[i].side_count; side++)
			xf_sink_start(flow->routes[i].sinks[side]);
	for (size_t i = 0; i < flow->conf->route_count; i++)
		for (size_t s = 0; s < flow->routes[i].conf->source_count; s++)
			xf_inlet_start(flow->routes[i].inlets[s]);
}

/* ---- Ending ------------------------------------------------------------------------------------- */

static uint64_t
flow_in_flight(const struct xf_flow *flow)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < flow->conf->route_count; i++)
		for (size_t s = 0; s < flow->routes[i].conf->source_count; s++)
			sum += xf_inlet_in_flight(flow->routes[i].inlets[s]);
	return sum;
}

/* A source in the middle of a turn may take in more: only when it has heard of the drain does zero mean zero. */
static bool
flow_drained(const struct xf_flow *flow)
{
	bool drained = true;

	for (size_t i = 0; i < flow->conf->route_count; i++)
		for (size_t s = 0; s < flow->routes[i].conf->source_count; s++)
			drained = drained && xf_inlet_drained(flow->routes[i].inlets[s]);
	return drained;
}

static void
sleep_ms(unsigned ms)
{
	struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	nanosleep(&time, NULL);
}

uint64_t
xf_flow_drain(struct xf_flow *flow, uint64_t timeout_ms)
{
	uint64_t until = xf_now_ms() + timeout_ms, left;

	atomic_store(&flow->draining, true);
	for (size_t i = 0; i < flow->conf->route_count; i++)
		for (size_t s = 0; s < flow->routes[i].conf->source_count; s++)
			xf_inlet_drain(flow->routes[i].inlets[s]);
	while (!flow_drained(flow) && xf_now_ms() < until && !atomic_load(&flow->drain_now))
		sleep_ms(5);
	for (size_t i = 0; i < flow->conf->route_count; i++)
		for (size_t s = 0; s < flow->routes[i].conf->source_count; s++)
			xf_inlet_stop(flow->routes[i].inlets[s]);
	left = flow_in_flight(flow);
	for (size_t i = 0; i < flow->conf->route_count; i++)
		for (unsigned side = 0; side < flow->routes[i].side_count; side++)
			xf_sink_stop(flow->routes[i].sinks[side]);
	return left;
}

void
xf_flow_drain_now(struct xf_flow *flow)
{
	atomic_store(&flow->drain_now, true);
}

static void
route_fini(struct route *route)
{
	for (size_t i = 0; route->inlets != NULL && i < route->conf->source_count; i++)
		xf_inlet_destroy(&route->inlets[i]);
	for (unsigned side = 0; side < XF_SIDES; side++)
		xf_sink_destroy(&route->sinks[side]);
	free(route->inlets);
}

void
xf_flow_destroy(struct xf_flow **pointer)
{
	struct xf_flow *flow = *pointer;

	if (flow == NULL)
		return;
	*pointer = NULL;
	for (size_t i = 0; i < flow->conf->route_count; i++)
		route_fini(&flow->routes[i]);
	for (size_t i = 0; i < flow->conf->transport_count; i++) {
		struct transport *transport = &flow->transports[i];

		if (transport->opened && transport->conf->class->close != NULL)
			transport->conf->class->close(transport->shared);
	}
	xf_rejects_close(&flow->rejects);
	pthread_mutex_destroy(&flow->control_lock);
	free(flow->routes);
	free(flow->migrations);
	free(flow->transports);
	free(flow);
}

/* ---- Sight ----------------------------------------------------------------------------------------- */

/* Whether the route needs SIDE where its knobs stand. */
static bool
side_is_needed(const struct route *route, unsigned side)
{
	struct xf_position position;

	if (route->migration == NULL)
		return true;
	position = xf_migration_knobs(route->migration).position;
	return position.mirror != XF_MIRROR_OFF || (side == 1 ? position.percent > 0 : position.percent < 10000);
}

static bool
flow_was_up(const struct xf_flow *flow)
{
	for (size_t i = 0; i < flow->conf->route_count; i++) {
		const struct route *route = &flow->routes[i];

		for (size_t s = 0; s < route->conf->source_count; s++)
			if (!xf_inlet_was_up(route->inlets[s]))
				return false;
		for (unsigned side = 0; side < route->side_count; side++)
			if (side_is_needed(route, side) && !xf_sink_was_up(route->sinks[side]))
				return false;
	}
	return true;
}

bool
xf_flow_ready(struct xf_flow *flow)
{
	if (!atomic_load(&flow->was_up) && flow_was_up(flow))
		atomic_store(&flow->was_up, true);
	return atomic_load(&flow->was_up) && !atomic_load(&flow->draining);
}

size_t
xf_flow_route_count(const struct xf_flow *flow)
{
	return flow->conf->route_count;
}

size_t
xf_flow_migration_count(const struct xf_flow *flow)
{
	return flow->conf->migration_count;
}

/* The first endpoint that keeps the route from its work gives the reason. */
static void
endpoint_judge(struct xf_route_status *status, const struct xf_endpoint_status *endpoint)
{
	if (endpoint->state == XF_STATE_UP || status->reason[0] != '\0')
		return;
	snprintf(status->reason, sizeof(status->reason), "%s is %s: %.180s", endpoint->name,
	         endpoint->state == XF_STATE_DOWN ? "down" : "blocked", endpoint->reason);
}

void
xf_flow_route_status(const struct xf_flow *flow, size_t index, struct xf_route_status *status)
{
	const struct route *route = &flow->routes[index];
	const struct xf_conf_route *conf = route->conf;
	const struct xf_conf_endpoint *sink = route->migration != NULL ? &route->migration->conf->sides[0] : &conf->sinks[0];

	*status = (struct xf_route_status){
		.name = conf->name,
		.promise = xf_conf_promise(&conf->sources[0], sink),
		.migration = route->migration != NULL ? route->migration->conf->name : NULL,
		.source_count = conf->source_count,
		.leg_count = route->side_count,
	};
	status->sources = xf_alloc_array(conf->source_count, sizeof(*status->sources));
	status->legs = xf_alloc_array(route->side_count, sizeof(*status->legs));
	for (size_t s = 0; s < conf->source_count; s++) {
		xf_inlet_status(route->inlets[s], status);
		xf_runner_status(xf_inlet_runner(route->inlets[s]), &status->sources[s]);
		endpoint_judge(status, &status->sources[s]);
	}
	for (unsigned side = 0; side < route->side_count; side++) {
		xf_sink_status(route->sinks[side], &status->legs[side].sink);
		if (side_is_needed(route, side))
			endpoint_judge(status, &status->legs[side].sink);
	}
	status->ok = status->reason[0] == '\0';
}

void
xf_route_status_fini(struct xf_route_status *status)
{
	free(status->sources);
	free(status->legs);
	status->sources = NULL;
	status->legs = NULL;
}

static void
leg_status_sum(struct xf_leg_status *sum, const struct xf_leg_status *leg, bool first)
{
	if (first || (leg->sink.state == XF_STATE_DOWN && sum->sink.state != XF_STATE_DOWN) ||
	    (leg->sink.state == XF_STATE_BLOCKED && sum->sink.state == XF_STATE_UP))
		sum->sink = leg->sink;
	sum->accepted += leg->accepted;
	sum->confirmed += leg->confirmed;
	sum->refused += leg->refused;
	sum->dropped += leg->dropped;
	sum->crossed += leg->crossed;
	sum->moved += leg->moved;
	sum->in_flight += leg->in_flight;
	sum->retried += leg->retried;
	sum->copies += leg->copies;
	sum->no_receiver += leg->no_receiver;
	if (leg->oldest_ms > sum->oldest_ms)
		sum->oldest_ms = leg->oldest_ms;
	xf_histogram_add(&sum->publish, &leg->publish);
}

/* Which buckets the routes of MIGRATION use, and where they are. */
static void
migration_maps(const struct xf_flow *flow, const struct xf_migration *migration, struct xf_bucket_maps *maps)
{
	for (size_t i = 0; i < flow->conf->route_count; i++) {
		const struct route *route = &flow->routes[i];

		for (size_t s = 0; route->migration == migration && s < route->conf->source_count; s++)
			xf_inlet_maps(route->inlets[s], maps);
	}
}

/* Where the buckets are: of those that belong to new, the ones that have not arrived count as moving. */
static void
buckets_count(const struct xf_flow *flow, const struct xf_migration *migration, struct xf_migration_status *status)
{
	struct xf_bucket_maps maps = {.moving = {0}};

	migration_maps(flow, migration, &maps);
	status->lanes_new = status->percent;
	for (unsigned bucket = 0; bucket < XF_BUCKETS; bucket++) {
		bool is_stuck = maps.stuck[bucket / 64] >> (bucket % 64) & 1;
		bool moves = maps.moving[bucket / 64] >> (bucket % 64) & 1;

		status->lanes_stuck += is_stuck;
		status->lanes_moving += moves && !is_stuck;
		if ((moves || is_stuck) && bucket < status->percent)
			status->lanes_new--;
	}
}

void
xf_flow_migration_status(const struct xf_flow *flow, size_t index, struct xf_migration_status *status)
{
	const struct xf_migration *migration = &flow->migrations[index];
	struct xf_position position = xf_migration_knobs(migration).position;
	bool first = true;

	*status = (struct xf_migration_status){
		.name = migration->conf->name,
		.percent = position.percent,
		.mirror = position.mirror,
		.place = migration->conf->place,
	};
	for (unsigned side = 0; side < XF_SIDES; side++) {
		const struct xf_conf_endpoint *conf = &migration->conf->sides[side];

		status->sides[side].sink = (struct xf_endpoint_status){
			.name = side == 0 ? "old" : "new",
			.transport = conf->transport->name,
			.plugin = conf->transport->plugin,
			.subject = conf->subject,
			.reason = "no route uses the migration",
		};
	}
	buckets_count(flow, migration, status);
	for (size_t i = 0; i < flow->conf->route_count; i++) {
		struct xf_route_status route;

		if (flow->routes[i].migration != migration)
			continue;
		xf_flow_route_status(flow, i, &route);
		for (unsigned side = 0; side < XF_SIDES; side++)
			leg_status_sum(&status->sides[side], &route.legs[side], first);
		first = false;
		xf_route_status_fini(&route);
	}
	status->crossed = status->sides[0].crossed + status->sides[1].crossed;
}

void
xf_flow_transport_report(const struct xf_flow *flow, const struct xf_conf_transport *conf, struct xf_buffer *out)
{
	const struct transport *transport = &flow->transports[conf - flow->conf->transports];
	uint32_t len;
	char *text;

	if (!transport->opened || conf->class->report == NULL)
		return;
	text = xf_alloc(REPORT_BYTES);
	len = conf->class->report(transport->shared, text, REPORT_BYTES);
	if (len <= REPORT_BYTES)
		xf_buffer_append(out, text, len);
	free(text);
}

size_t
xf_flow_route_find(const struct xf_flow *flow, struct xf_str name)
{
	for (size_t i = 0; i < flow->conf->route_count; i++)
		if (xf_str_is(name, flow->conf->routes[i].name))
			return i;
	return SIZE_MAX;
}

size_t
xf_flow_migration_find(const struct xf_flow *flow, struct xf_str name)
{
	for (size_t i = 0; i < flow->conf->migration_count; i++)
		if (xf_str_is(name, flow->conf->migrations[i].name))
			return i;
	return SIZE_MAX;
}

/* ---- Steering ------------------------------------------------------------------------------------------ */

static uint32_t
lanes_in_use(const struct xf_flow *flow, const struct xf_migration *migration, uint32_t low, uint32_t high)
{
	struct xf_bucket_maps maps = {.moving = {0}};
	uint32_t count = 0;

	migration_maps(flow, migration, &maps);
	for (uint32_t bucket = low; bucket < high; bucket++)
		count += maps.used[bucket / 64] >> (bucket % 64) & 1;
	return count;
}

static enum xf_status
change_check(const struct xf_flow *flow, const struct xf_migration *migration, const struct xf_migration_effect *effect,
             struct xf_error *error)
{
	unsigned side = effect->to.percent > effect->from.percent;

	if (effect->to.percent == effect->from.percent)
		return XF_OK;
	for (size_t i = 0; i < flow->conf->route_count; i++) {
		const struct route *route = &flow->routes[i];
		struct xf_endpoint_status status;

		if (route->migration != migration || xf_sink_state(route->sinks[side]) == XF_STATE_UP)
			continue;
		xf_sink_status(route->sinks[side], &status);
		return xf_error_set(error, "the %s side does not work (%s: %s), so nothing is moved to it; mend it, or use force",
		                    side ? "new" : "old", status.name, status.reason);
	}
	return XF_OK;
}

/* Rings every inlet of the migration and gives it a moment to follow. */
static void
change_follow(const struct xf_flow *flow, const struct xf_migration *migration, uint32_t version)
{
	uint64_t until = xf_now_ms() + FOLLOW_WAIT_MS;

	for (size_t i = 0; i < flow->conf->route_count; i++) {
		const struct route *route = &flow->routes[i];

		for (size_t s = 0; route->migration == migration && s < route->conf->source_count; s++) {
			xf_inbox_ring(&xf_inlet_runner(route->inlets[s])->inbox);
			while (xf_inlet_knobs_version(route->inlets[s]) != version && xf_now_ms() < until)
				sleep_ms(1);
		}
	}
}

static void
change_log(const char *name, const struct xf_migration_effect *effect, bool force, const char *who)
{
	char from[16], to[16];

	xf_percent_format(effect->from.percent, from);
	xf_percent_format(effect->to.percent, to);
	xf_log(XF_LOG_INFO, NULL,
	       "migration '%s' changed by=%s percent=%s->%s mirror=%s->%s stage=%s->%s lanes=%u in_use=%u%s", name, who, from,
	       to, xf_mirror_name(effect->from.mirror), xf_mirror_name(effect->to.mirror),
	       xf_stage_name(effect->from.percent, effect->from.mirror),
	       xf_stage_name(effect->to.percent, effect->to.mirror), effect->lanes_moving, effect->lanes_in_use,
	       force ? " force" : "");
}

enum xf_status
xf_flow_migration_set(struct xf_flow *flow, size_t index, const struct xf_migration_change *change, const char *who,
                      struct xf_migration_effect *effect, struct xf_error *error)
{
	struct xf_migration *migration = &flow->migrations[index];
	bool force = change->force || change->rollback;
	enum xf_status status = XF_OK;
	struct xf_knobs knobs;
	uint32_t low, high;

	pthread_mutex_lock(&flow->control_lock);
	knobs = xf_migration_knobs(migration);
	effect->from = effect->to = knobs.position;
	if (change->has_percent)
		effect->to.percent = change->to.percent;
	if (change->has_mirror)
		effect->to.mirror = change->to.mirror;
	if (change->rollback)
		effect->to.percent = 0;
	low = effect->from.percent < effect->to.percent ? effect->from.percent : effect->to.percent;
	high = effect->from.percent + effect->to.percent - low;
	effect->lanes_moving = high - low;
	effect->lanes_in_use = lanes_in_use(flow, migration, low, high);
	if (!force)
		status = change_check(flow, migration, effect, error);
	if (status == XF_OK && !change->dry_run)
		status = xf_state_commit(flow->state, migration->conf->name, who, effect->from, effect->to, error);
	if (status == XF_OK && !change->dry_run) {
		knobs.version = (knobs.version + 1) & 0xffffff;
		knobs.forces = (uint16_t)(knobs.forces + force);
		knobs.position = effect->to;
		atomic_store(&migration->knobs, xf_knobs_pack(knobs));
		change_follow(flow, migration, knobs.version);
		change_log(migration->conf->name, effect, force, who);
	}
	pthread_mutex_unlock(&flow->control_lock);
	return status;
}

void
xf_flow_route_pause(struct xf_flow *flow, size_t index, bool paused, const char *who)
{
	struct route *route = &flow->routes[index];

	pthread_mutex_lock(&flow->control_lock);
	for (size_t s = 0; s < route->conf->source_count; s++)
		xf_inlet_pause(route->inlets[s], paused);
	xf_log(XF_LOG_INFO, NULL, "route '%s' %s by=%s", route->conf->name, paused ? "paused" : "resumed", who);
	pthread_mutex_unlock(&flow->control_lock);
}
