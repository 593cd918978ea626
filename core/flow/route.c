#include "flow/route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/memory.h"
#include "flow/forward.h"
#include "flow/replay.h"

#define LOSSY_WAIT_MS 3000

/* ---- Making ------------------------------------------------------------------------------------ */

static const struct xf_conf_endpoint *
sink_conf(const struct xf_conf_route *conf, unsigned side)
{
	return conf->migration != NULL ? &conf->migration->sides[side] : &conf->sinks[side];
}

/* "orders/to"; "orders/to/old" and "/new"; "orders/to/1", "/2", ... */
static char *
outlet_name(const struct xf_route *route, unsigned i)
{
	if (route->migration != NULL)
		return xf_format("%s/to/%s", route->conf->name, i == 0 ? "old" : "new");
	if (route->outlet_count > 1)
		return xf_format("%s/to/%u", route->conf->name, i + 1);
	return xf_format("%s/to", route->conf->name);
}

static enum xf_status
outlets_create(struct xf_route *route, struct xf_requests *requests, struct xf_error *error)
{
	struct xf_sink_setup setup = {
		.route = route->conf->name,
		.server = route->holder->conf->server.name,
		.requests = requests,
		.request_ms = (uint32_t)route->conf->request_ms,
	};
	unsigned connections = 0;

	route->outlet_count = route->migration != NULL ? XF_SIDES : (unsigned)route->conf->sink_count;
	for (unsigned i = 0; i < route->outlet_count; i++) {
		const struct xf_conf_endpoint *conf = sink_conf(route->conf, i);
		struct xf_transport *transport = xf_transport_use(route->transports, conf->transport, route->holder, error);

		route->outlet_transports[i] = transport;
		if (transport == NULL)
			return XF_FAILED;
		connections += xf_sink_connections(conf);
		XF_ASSERT(connections <= XF_PIPES_MAX); /* the configuration is checked */
		setup.conf = conf;
		setup.reads_there = false;
		for (size_t s = 0; s < route->conf->source_count && (route->migration == NULL || route->conf->handler_count > 0); s++)
			setup.reads_there = setup.reads_there || route->conf->sources[s].transport == conf->transport;
		setup.shared = transport->shared;
		route->outlets[i] = xf_outlet_create(outlet_name(route, i), &setup, error);
		if (route->outlets[i] == NULL)
			return XF_FAILED;
		if (xf_conf_when_down(route->conf, conf) != XF_WHEN_DOWN_SPOOL)
			continue;
		route->spoolers[i] = xf_spooler_use(route->open_spoolers, route->holder->conf->server.data_dir,
		                                    route->outlets[i]->name, conf, error);
		if (route->spoolers[i] == NULL)
			return XF_FAILED;
	}
	return XF_OK;
}

static enum xf_status
handlers_create(struct xf_route *route, struct xf_error *error)
{
	struct xf_handlers *handlers = &route->handlers;

	if (route->conf->pool != NULL) {
		handlers->pool = xf_pool_use(route->open_pools, route->conf->pool);
		handlers->pool_priority = route->conf->pool_priority;
	}
	for (size_t i = 0; i < route->conf->handler_count; i++) {
		handlers->list[i] = xf_handler_create(&route->conf->handlers[i], route->conf->name,
		                                      route->holder->conf->server.name, error);
		if (handlers->list[i] == NULL)
			return XF_FAILED;
		handlers->count++;
	}
	return XF_OK;
}

static void
way_setup_fill(const struct xf_route *route, struct xf_way_setup *setup)
{
	unsigned pipe = 0;

	*setup = (struct xf_way_setup){
		.route = route->conf,
		.server = &route->holder->conf->server,
		.migration = route->migration,
		.handlers = &route->handlers,
	};
	for (unsigned i = 0; i < route->outlet_count; i++) {
		const struct xf_outlet *outlet = route->outlets[i];

		setup->sink_conf[i] = outlet->conf;
		setup->spoolers[i] = route->spoolers[i];
		for (unsigned c = 0; c < outlet->count; c++)
			setup->sinks[pipe++] = outlet->sinks[c];
	}
}

/* What is read back, as a source. */
static const struct xf_conf_transport replay_transport = {.name = "spool", .plugin = "spool", .class = &xf_replay_class};
static const struct xf_conf_endpoint replay_conf = {.transport = &replay_transport, .subject = ">", .connections = 1};
static const struct xf_conf_transport forward_transport = {
	.name = "dead letters",
	.plugin = "dead letters",
	.class = &xf_forward_class,
};
static const struct xf_conf_endpoint forward_conf = {.transport = &forward_transport, .subject = ">", .connections = 1};

/* The source of FROM that source INDEX of ROUTE goes on with, or NULL. It knows what its route does, so that must be the same. */
static struct xf_route_source *
source_kept(struct xf_route *from, const struct xf_route *route, size_t index)
{
	if (from == NULL || from->conf->source_count != route->conf->source_count || from->seen != route->seen ||
	    from->backlog != route->backlog ||
	    xf_inlet_may_reply(from->conf) != xf_inlet_may_reply(route->conf) ||
	    !xf_digest_equal(from->conf->sources[index].digest, route->conf->sources[index].digest))
		return NULL;
	return &from->sources[index];
}

/* NAME is taken. */
static enum xf_status
inlet_create(const struct xf_route *route, struct xf_route_source *source, char *name, const struct xf_inlet_setup *setup,
             struct xf_error *error)
{
	source->inlet = xf_inlet_create(name, setup, error);
	if (source->inlet == NULL)
		return XF_FAILED;
	source->holder = xf_holder_keep(route->holder);
	if (route->paused && source->reads == NULL)
		xf_inlet_pause(source->inlet, true);
	return XF_OK;
}

/* "orders/from"; "orders/from/1", "/2", ... */
static char *
source_name(const struct xf_route *route, size_t index)
{
	return route->conf->source_count == 1 ? xf_format("%s/from", route->conf->name)
	                                      : xf_format("%s/from/%zu", route->conf->name, index + 1);
}

static enum xf_status
source_create(struct xf_route *route, const struct xf_route_setup *setup, size_t index, struct xf_error *error)
{
	struct xf_route_source *source = &route->sources[index], *kept = source_kept(setup->from, route, index);
	struct xf_inlet_setup inlet = {
		.source = &route->conf->sources[index],
		.letters = setup->letters,
		.requests = setup->requests,
		.seen = route->seen,
		.backlog = route->conf->sources[index].migration != NULL ? route->backlog : NULL,
	};
	struct xf_forward_setup forward = {setup->letters, route->conf->dead_of};
	char *name = source_name(route, index);

	if (inlet.source->accept_spooled) {
		/* With its number in any case: a source that comes beside it takes nothing away. */
		char *spool = xf_format("%s/from/%zu", route->conf->name, index + 1);

		source->accepts = xf_spooler_use(route->open_spoolers, route->holder->conf->server.data_dir, spool, inlet.source, error);
		free(spool);
		if (source->accepts == NULL) {
			free(name);
			return XF_FAILED;
		}
	}
	way_setup_fill(route, &inlet.way);
	inlet.way.accepts = source->accepts;
	if (source->accepts != NULL)
		inlet.way.handlers = NULL; /* whoever reads it back hands it to them */
	if (kept != NULL) {
		free(name);
		source->kept = true;
		source->way = xf_inlet_way(kept->inlet, &inlet.way);
		return XF_OK;
	}
	if (route->conf->dead_of != NULL) {
		inlet.source = &forward_conf;
		inlet.read_back = true;
		inlet.shared = &forward;
		return inlet_create(route, source, name, &inlet, error);
	}
	source->transport = xf_transport_use(route->transports, inlet.source->transport, route->holder, error);
	if (source->transport == NULL) {
		free(name);
		return XF_FAILED;
	}
	inlet.shared = source->transport->shared;
	return inlet_create(route, source, name, &inlet, error);
}

/* The one of FROM that reads the same spool, which is in the same place, or NULL. */
static struct xf_route_source *
reader_kept(struct xf_route *from, const struct xf_route *route, size_t index)
{
	if (from == NULL || from->conf->source_count != route->conf->source_count || index >= from->source_count ||
	    from->sources[index].reads != route->sources[index].reads || xf_route_source_rests(&from->sources[index]))
		return NULL;
	return &from->sources[index];
}

/* A source for SPOOLER: of what a sink could not take, or with REPLAYS false of what a source has accepted. NAME is taken. */
static enum xf_status
reader_create(struct xf_route *route, const struct xf_route_setup *setup, struct xf_spooler *spooler, bool replays, char *name,
              struct xf_error *error)
{
	size_t index = route->source_count++;
	struct xf_route_source *source = &route->sources[index], *kept;
	struct xf_inlet_setup inlet = {
		.source = &replay_conf,
		.read_back = true,
		.counted = true,
		.late = !xf_spooler_has_begun(spooler),
		.shared = spooler,
		.letters = setup->letters,
		.requests = setup->requests,
	};

	source->reads = spooler;
	source->replays = replays;
	kept = reader_kept(setup->from, route, index);
	way_setup_fill(route, &inlet.way);
	inlet.way.replays = replays;
	if (replays)
		inlet.way.handlers = NULL; /* it has been through them */
	if (kept == NULL)
		return inlet_create(route, source, name, &inlet, error);
	free(name);
	source->kept = true;
	source->way = xf_inlet_way(kept->inlet, &inlet.way);
	return XF_OK;
}

static enum xf_status
readers_create(struct xf_route *route, const struct xf_route_setup *setup, struct xf_error *error)
{
	enum xf_status status = XF_OK;

	for (size_t i = 0; status == XF_OK && i < route->conf->source_count; i++)
		if (route->sources[i].accepts != NULL)
			status = reader_create(route, setup, route->sources[i].accepts, false,
			                       xf_format("%s/spool", xf_spooler_name(route->sources[i].accepts)), error);
	for (unsigned i = 0; status == XF_OK && i < route->outlet_count; i++)
		if (route->spoolers[i] != NULL)
			status = reader_create(route, setup, route->spoolers[i], true, xf_format("%s/spool", route->outlets[i]->name),
			                       error);
	return status;
}

const struct xf_conf_migration *
xf_route_reads(const struct xf_conf_route *conf)
{
	const struct xf_conf_migration *migration = NULL;

	for (size_t i = 0; i < conf->source_count && migration == NULL; i++)
		migration = conf->sources[i].migration;
	return migration;
}

/* Of the same migration, or of none as before, what was had and what waits is the same. */
static bool
knows_the_same(const struct xf_route *route, const struct xf_route_setup *setup)
{
	const struct xf_route *from = setup->from;
	const struct xf_conf_migration *read = from != NULL ? xf_route_reads(from->conf) : NULL;

	if (from == NULL || (read != NULL) != (setup->reads != NULL) ||
	    (read != NULL && strcmp(read->name, setup->reads->conf->name) != 0))
		return false;
	return from->conf->drain_first == route->conf->drain_first && from->conf->dedupe_count == route->conf->dedupe_count &&
	       from->conf->dedupe_window_ms == route->conf->dedupe_window_ms;
}

/* Sources that are kept go on with what they know. */
static void
knowledge_set(struct xf_route *route, const struct xf_route_setup *setup)
{
	const struct xf_route *from = setup->from;

	if (knows_the_same(route, setup)) {
		route->seen = from->seen;
		route->backlog = from->backlog;
		route->borrows = true;
		return;
	}
	if (route->conf->dedupe_count > 0)
		route->seen = xf_seen_create(route->conf->dedupe_count, route->conf->dedupe_window_ms);
	if (setup->reads != NULL && route->conf->drain_first)
		route->backlog = xf_backlog_create(setup->reads);
}

struct xf_route *
xf_route_create(const struct xf_route_setup *setup, struct xf_error *error)
{
	struct xf_route *route = xf_alloc(sizeof(*route));
	enum xf_status status;

	route->conf = setup->conf;
	route->holder = xf_holder_keep(setup->holder);
	route->transports = setup->transports;
	route->migration = setup->migration;
	route->paused = setup->from != NULL && setup->from->paused;
	route->open_spoolers = setup->spoolers;
	route->open_pools = setup->pools;
	route->sources = xf_alloc_array(2 * route->conf->source_count + XF_CONF_SINKS_MAX, sizeof(*route->sources));
	knowledge_set(route, setup);
	status = outlets_create(route, setup->requests, error);
	if (status == XF_OK)
		status = handlers_create(route, error);
	for (size_t i = 0; status == XF_OK && i < route->conf->source_count; i++) {
		route->source_count++;
		status = source_create(route, setup, i, error);
	}
	if (status == XF_OK)
		status = readers_create(route, setup, error);
	if (status != XF_OK)
		xf_route_destroy(&route);
	return route;
}

void
xf_route_destroy(struct xf_route **pointer)
{
	struct xf_route *route = *pointer;

	if (route == NULL)
		return;
	*pointer = NULL;
	for (size_t i = 0; i < route->handlers.count; i++)
		xf_handler_stop(route->handlers.list[i]);
	for (size_t i = 0; i < route->source_count; i++) {
		struct xf_route_source *source = &route->sources[i];

		xf_way_destroy(&source->way);
		xf_inlet_destroy(&source->inlet);
		xf_spooler_release(route->open_spoolers, source->accepts);
		xf_transport_release(route->transports, source->transport);
		xf_holder_release(&source->holder);
	}
	for (size_t i = 0; i < route->handlers.count; i++)
		xf_handler_destroy(&route->handlers.list[i]);
	xf_pool_release(route->open_pools, route->handlers.pool);
	for (unsigned i = 0; i < route->outlet_count; i++) {
		xf_outlet_destroy(&route->outlets[i]);
		xf_transport_release(route->transports, route->outlet_transports[i]);
		xf_spooler_release(route->open_spoolers, route->spoolers[i]);
	}
	if (!route->borrows) {
		xf_seen_destroy(&route->seen);
		xf_backlog_destroy(&route->backlog);
	}
	free(route->sources);
	xf_holder_release(&route->holder);
	free(route);
}

/* ---- Running --------------------------------------------------------------------------------------- */

void
xf_route_start_sinks(struct xf_route *route)
{
	for (size_t i = 0; i < route->handlers.count; i++)
		xf_handler_start(route->handlers.list[i]);
	for (unsigned i = 0; i < route->outlet_count; i++) {
		if (route->spoolers[i] != NULL)
			xf_spooler_follow(route->spoolers[i], route->outlets[i]->conf);
		xf_outlet_start(route->outlets[i]);
	}
	for (size_t i = 0; i < route->conf->source_count; i++)
		if (route->sources[i].accepts != NULL)
			xf_spooler_follow(route->sources[i].accepts, &route->conf->sources[i]);
}

static void
source_start(struct xf_route_source *source)
{
	if (source->reads != NULL)
		xf_spooler_serve(source->reads, xf_inlet_runner(source->inlet));
	else
		xf_runner_start(xf_inlet_runner(source->inlet));
}

void
xf_route_start_sources(struct xf_route *route)
{
	for (size_t i = 0; i < route->source_count; i++)
		source_start(&route->sources[i]);
}

void
xf_route_drain(struct xf_route *route)
{
	for (size_t i = 0; i < route->source_count; i++)
		xf_inlet_drain(route->sources[i].inlet);
}

static bool
source_drained(const struct xf_route_source *source)
{
	return xf_route_source_rests(source) || xf_inlet_drained(source->inlet);
}

bool
xf_route_drained(const struct xf_route *route)
{
	bool drained = true;

	for (size_t i = 0; i < route->source_count; i++)
		drained = drained && source_drained(&route->sources[i]);
	return drained;
}

static bool
is_kept(const struct xf_route *new, size_t index)
{
	return new != NULL && index < new->source_count && new->sources[index].kept;
}

void
xf_route_end_sources(struct xf_route *route, const struct xf_route *new)
{
	for (size_t i = 0; i < route->source_count; i++) {
		struct xf_route_source *source = &route->sources[i];

		if (is_kept(new, i))
			continue;
		if (source->reads != NULL)
			xf_spooler_serve_end(source->reads, xf_inlet_runner(source->inlet));
		xf_runner_end(xf_inlet_runner(source->inlet));
	}
}

void
xf_route_end_sinks(struct xf_route *route)
{
	for (unsigned i = 0; i < route->outlet_count; i++)
		for (unsigned c = 0; c < route->outlets[i]->count; c++)
			xf_runner_end(xf_sink_runner(route->outlets[i]->sinks[c]));
	for (size_t i = 0; i < route->handlers.count; i++)
		if (xf_handler_runner(route->handlers.list[i]) != NULL)
			xf_runner_end(xf_handler_runner(route->handlers.list[i]));
}

/* ---- Who comes ----------------------------------------------------------------------------------------- */

/* The threads of ROUTE from number *NEXT on; NULL: there are no more. */
static struct xf_runner *
runner_next(const struct xf_route *route, size_t *next)
{
	size_t at = (*next)++;

	if (at < route->source_count)
		return route->sources[at].inlet != NULL ? xf_inlet_runner(route->sources[at].inlet) : runner_next(route, next);
	at -= route->source_count;
	if (at < route->handlers.count) {
		struct xf_runner *runner = xf_handler_runner(route->handlers.list[at]);

		return runner != NULL ? runner : runner_next(route, next);
	}
	at -= route->handlers.count;
	for (unsigned i = 0; i < route->outlet_count; at -= route->outlets[i++]->count)
		if (at < route->outlets[i]->count)
			return xf_sink_runner(route->outlets[i]->sinks[at]);
	return NULL;
}

void
xf_route_call(struct xf_route *route)
{
	struct xf_runner *runner;

	for (size_t next = 0; (runner = runner_next(route, &next)) != NULL;)
		xf_runner_call(runner);
}

void
xf_route_watch(struct xf_route *route)
{
	struct xf_runner *runner;

	for (size_t next = 0; (runner = runner_next(route, &next)) != NULL;)
		xf_runner_watch(runner);
}

const struct xf_runner *
xf_route_absent(const struct xf_route *route)
{
	const struct xf_runner *runner;

	for (size_t next = 0; (runner = runner_next(route, &next)) != NULL;)
		if (!xf_runner_answered(runner))
			return runner;
	return NULL;
}

const struct xf_runner *
xf_route_not_ended(struct xf_route *route)
{
	struct xf_runner *runner;

	for (size_t next = 0; (runner = runner_next(route, &next)) != NULL;)
		if (!xf_runner_ended(runner))
			return runner;
	return NULL;
}

const struct xf_runner *
xf_route_not_over(struct xf_route *route)
{
	for (size_t i = 0; i < route->source_count; i++) {
		struct xf_route_source *source = &route->sources[i];
		struct xf_way *left;

		if (!source->goes_over)
			continue;
		left = xf_inlet_left(source->inlet);
		if (left == NULL)
			return xf_inlet_runner(source->inlet);
		xf_way_destroy(&left);
		source->goes_over = false;
	}
	return NULL;
}

/* ---- Taking over ------------------------------------------------------------------------------------- */

/* What it misses nobody brings again, so its successor is there before it goes. */
static bool
is_lossy(const struct xf_route *route, size_t index)
{
	return index < route->conf->source_count && (route->conf->sources[index].traits & XF_TRAIT_LOSSY);
}

void
xf_route_leave(struct xf_route *old, const struct xf_route *new)
{
	for (size_t i = 0; i < old->source_count; i++) {
		if (is_kept(new, i))
			xf_inlet_hold(old->sources[i].inlet);
		else if (!is_lossy(old, i))
			xf_inlet_drain(old->sources[i].inlet);
	}
}

bool
xf_route_left(const struct xf_route *old, const struct xf_route *new)
{
	bool left = true;

	for (size_t i = 0; i < old->source_count; i++) {
		if (is_kept(new, i))
			left = left && xf_inlet_quiet(old->sources[i].inlet);
		else if (!is_lossy(old, i))
			left = left && source_drained(&old->sources[i]);
	}
	return left;
}

/* For a moment both are there, and a message may come through both. */
void
xf_route_lossy_take_over(struct xf_route *new, struct xf_route *old, const _Atomic bool *hurries)
{
	uint64_t until = xf_now_ms() + LOSSY_WAIT_MS;

	for (size_t i = 0; i < new->source_count; i++) {
		if (is_kept(new, i) || !is_lossy(new, i))
			continue;
		source_start(&new->sources[i]);
		while (!xf_inlet_was_up(new->sources[i].inlet) && xf_now_ms() < until && !atomic_load(hurries))
			xf_sleep_ms(5);
	}
	for (size_t i = 0; i < old->source_count; i++)
		if (!is_kept(new, i) && is_lossy(old, i))
			xf_inlet_drain(old->sources[i].inlet);
	until = xf_now_ms() + LOSSY_WAIT_MS;
	/* Nobody brings again what it has: for that even who hurries waits. */
	for (size_t i = 0; i < old->source_count; i++)
		while (!is_kept(new, i) && !source_drained(&old->sources[i]) && xf_now_ms() < until)
			xf_sleep_ms(1);
}

void
xf_route_go_over(struct xf_route *old, struct xf_route *new)
{
	for (size_t i = 0; i < new->source_count; i++) {
		struct xf_route_source *source = &new->sources[i];

		if (!source->kept)
			continue;
		source->inlet = old->sources[i].inlet;
		xf_inlet_offer(source->inlet, source->way);
		source->way = NULL;
		source->goes_over = true;
	}
}

void
xf_route_take_over(struct xf_route *new, struct xf_route *old)
{
	if (!new->sources[0].kept)
		xf_inlet_redeliver_for(new->sources[0].inlet, old->sources[0].inlet);
	for (size_t i = 0; i < new->source_count; i++) {
		struct xf_route_source *source = &new->sources[i];

		if (source->kept) {
			source->holder = old->sources[i].holder;
			source->transport = old->sources[i].transport;
			source->kept = false;
			old->sources[i] = (struct xf_route_source){.accepts = old->sources[i].accepts};
		} else if (!is_lossy(new, i))
			source_start(source);
	}
	if (new->paused != old->paused)
		xf_route_pause(new, old->paused);
	old->borrows = new->borrows;
	new->borrows = false;
}

/* ---- Sight ---------------------------------------------------------------------------------------------- */

/* Whether the route needs outlet INDEX where its knobs stand, or to do all that was asked of it. */
static bool
outlet_is_needed(const struct xf_route *route, unsigned index)
{
	struct xf_position position;

	if (route->migration == NULL)
		return true;
	position = xf_migration_knobs(route->migration).position;
	return position.mirror != XF_MIRROR_OFF || (index == 1 ? position.percent > 0 : position.percent < 10000);
}

static bool
any_is_enough(const struct xf_conf_route *conf)
{
	return conf->to == XF_TO_ALL && conf->require == XF_REQUIRE_ANY;
}

static unsigned
outlets_up(const struct xf_route *route)
{
	unsigned up = 0;

	for (unsigned i = 0; i < route->outlet_count; i++)
		up += xf_outlet_state(route->outlets[i]) == XF_STATE_UP;
	return up;
}

static bool
accepts_without_sinks(const struct xf_route *route)
{
	for (size_t i = 0; i < route->conf->source_count; i++)
		if (route->sources[i].accepts == NULL)
			return false;
	return true;
}

bool
xf_route_was_up(const struct xf_route *route)
{
	for (size_t i = 0; i < route->source_count; i++)
		if (!xf_route_source_rests(&route->sources[i]) && !xf_inlet_was_up(route->sources[i].inlet))
			return false;
	if (any_is_enough(route->conf))
		return outlets_up(route) > 0;
	for (unsigned i = 0; i < route->outlet_count && !accepts_without_sinks(route); i++)
		if (outlet_is_needed(route, i) && route->spoolers[i] == NULL && !xf_outlet_was_up(route->outlets[i]))
			return false;
	return true;
}

bool
xf_route_sinks_up(const struct xf_route *route)
{
	bool up = true;

	for (unsigned i = 0; i < route->outlet_count; i++)
		up = up && xf_outlet_state(route->outlets[i]) != XF_STATE_DOWN;
	return up;
}

uint64_t
xf_route_in_flight(const struct xf_route *route)
{
	uint64_t sum = 0;

	/* What is read back its spool has. */
	for (size_t i = 0; i < route->conf->source_count; i++)
		sum += xf_inlet_in_flight(route->sources[i].inlet);
	return sum;
}

void
xf_route_pause(struct xf_route *route, bool paused)
{
	route->paused = paused;
	for (size_t i = 0; i < route->conf->source_count; i++)
		xf_inlet_pause(route->sources[i].inlet, paused); /* what was accepted goes on, out of its spool too */
}

/* The first part that keeps the route from its work gives the reason. */
static void
part_judge(struct xf_route_status *status, const char *name, uint32_t state, const char *reason)
{
	if (state == XF_STATE_UP || status->reason[0] != '\0')
		return;
	snprintf(status->reason, sizeof(status->reason), "%s is %s: %.180s", name,
	         state == XF_STATE_DOWN ? "down" : "blocked", reason);
}

static void
endpoint_judge(struct xf_route_status *status, const struct xf_endpoint_status *endpoint)
{
	part_judge(status, endpoint->name, endpoint->state, endpoint->reason);
}

static void
handler_judge(struct xf_route_status *status, const struct xf_handler_status *handler)
{
	if (handler->threaded)
		part_judge(status, handler->name, handler->state, handler->reason);
}

/* SPOOLER may be NULL. */
static void
spool_status(struct xf_spooler *spooler, struct xf_endpoint_status *endpoint, struct xf_route_status *status)
{
	uint64_t now = (uint64_t)xf_steady_wall_ms();
	struct xf_error reason;

	endpoint->spools = spooler != NULL;
	endpoint->spool_age_ms = 0;
	if (!endpoint->spools)
		return;
	xf_spooler_numbers(spooler, &endpoint->spool, &reason);
	if (endpoint->spool.oldest_ms != 0 && endpoint->spool.oldest_ms < now)
		endpoint->spool_age_ms = now - endpoint->spool.oldest_ms;
	if (endpoint->spool.failed && status->reason[0] == '\0')
		snprintf(status->reason, sizeof(status->reason), "the spool of %s takes nothing: %.180s", endpoint->name, reason.text);
}

void
xf_route_status(const struct xf_route *route, struct xf_route_status *status)
{
	const struct xf_conf_route *conf = route->conf;
	bool enough;

	*status = (struct xf_route_status){
		.name = conf->name,
		.promise = xf_conf_route_promise(conf),
		.migration = route->migration != NULL ? route->migration->conf->name : NULL,
		.source_count = conf->source_count,
		.leg_count = route->outlet_count,
		.handler_count = route->handlers.count,
		.pool = conf->pool != NULL ? conf->pool->name : NULL,
		.pool_priority = conf->pool_priority,
	};
	status->sources = xf_alloc_array(conf->source_count, sizeof(*status->sources));
	status->legs = xf_alloc_array(route->outlet_count, sizeof(*status->legs));
	for (size_t i = 0; i < route->source_count; i++)
		xf_inlet_status(route->sources[i].inlet, status);
	for (size_t i = 0; i < conf->source_count; i++) {
		xf_runner_status(xf_inlet_runner(route->sources[i].inlet), &status->sources[i]);
		spool_status(route->sources[i].accepts, &status->sources[i], status);
		endpoint_judge(status, &status->sources[i]);
	}
	status->handlers = xf_alloc_array(route->handlers.count, sizeof(*status->handlers));
	for (size_t i = 0; i < route->handlers.count; i++) {
		xf_handler_status(route->handlers.list[i], &status->handlers[i]);
		handler_judge(status, &status->handlers[i]);
	}
	enough = any_is_enough(conf) && outlets_up(route) > 0;
	for (unsigned i = 0; i < route->outlet_count; i++) {
		xf_outlet_status(route->outlets[i], &status->legs[i].sink);
		spool_status(route->spoolers[i], &status->legs[i].sink, status);
		if (!enough && outlet_is_needed(route, i))
			endpoint_judge(status, &status->legs[i].sink);
	}
	status->ok = status->reason[0] == '\0';
}

void
xf_route_status_fini(struct xf_route_status *status)
{
	free(status->sources);
	free(status->legs);
	free(status->handlers);
	status->handlers = NULL;
	status->sources = NULL;
	status->legs = NULL;
}
