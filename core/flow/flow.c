/*
 * Endpoints are made in create and run from start on: sinks first, so that what a source brings finds somebody.
 * They stop in the other order: sources, then sinks, which give back what they have.
 *
 * Locks, in this order: reload_lock lets one reload, or the drain, happen at a time. parts_lock guards which routes and
 * migrations there are: whoever looks or steers from outside holds it for reading, a reload takes it for writing in the
 * moments in which it exchanges them. control_lock makes changes of migrations and pauses one at a time. Nothing on the
 * journey of a message takes any of them.
 */
#include "flow/flow.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/memory.h"
#include "flow/parts.h"

#define FOLLOW_WAIT_MS 250 /* how long an answer waits for the inlets to see a change */
#define PATIENCE_MS 10000  /* a plugin may block for five seconds while it connects (transport.h) */
#define REPORT_BYTES (256 * 1024)

/* ---- Making ----------------------------------------------------------------------------------- */

enum xf_status
xf_position_check(const struct xf_conf *conf, const struct xf_conf_migration *migration, struct xf_position position,
                  struct xf_error *error)
{
	const struct xf_conf_endpoint *unmarked = position.mirror != XF_MIRROR_OFF ? xf_conf_unmarked(conf, migration) : NULL;
	bool in_place = migration->sides[0].in_place;

	if (in_place && position.percent > 0)
		return xf_error_set(error, "the old side is in place: what comes stands there already, so percent stays 0; "
		                           "let producers publish to a name of their own first, then take in_place away");
	if (in_place && position.mirror == XF_MIRROR_OFF)
		return xf_error_set(error, "the old side is in place, and without a mirror nothing would be published at all; "
		                           "pause the route instead");
	if (unmarked != NULL)
		return xf_error_set(error, "'%s' carries no headers, so whoever reads both sides could not tell a copy from a "
		                           "message; set envelope: json there, or leave mirror off",
		                    unmarked->transport->name);
	return XF_OK;
}

/* The committed position holds; a different one in the YAML is only said. */
struct xf_migration *
xf_flow_migration_make(struct xf_flow *flow, const struct xf_conf *all, const struct xf_conf_migration *conf,
                       struct xf_error *error)
{
	struct xf_knobs knobs = {.version = 1, .position = {conf->percent, conf->mirror}};
	struct xf_migration *migration;
	struct xf_position committed;
	char percent[16], written[16];
	bool found;

	if (xf_state_load(flow->state, conf->name, &committed, &found, error) != XF_OK)
		return NULL;
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
	if (xf_position_check(all, conf, knobs.position, error) != XF_OK) {
		xf_error_prefix(error, "migration '%s' stands where it cannot with this configuration", conf->name);
		return NULL;
	}
	migration = xf_alloc(sizeof(*migration));
	migration->conf = conf;
	atomic_init(&migration->knobs, xf_knobs_pack(knobs));
	return migration;
}

static struct xf_route *
route_make(struct xf_flow *flow, const struct xf_conf_route *conf, struct xf_error *error)
{
	struct xf_route_setup setup = {
		.conf = conf,
		.holder = flow->holder,
		.transports = &flow->transports,
		.spoolers = &flow->spoolers,
		.letters = flow->letters,
		.requests = flow->requests,
		.pools = &flow->pools,
	};

	if (conf->migration != NULL)
		setup.migration = flow->migrations[conf->migration - flow->holder->conf->migrations];
	if (xf_route_reads(conf) != NULL)
		setup.reads = flow->migrations[xf_route_reads(conf) - flow->holder->conf->migrations];
	return xf_route_create(&setup, error);
}

struct xf_flow *
xf_flow_create(const struct xf_conf *conf, struct xf_state *state, struct xf_error *error)
{
	struct xf_flow *flow = xf_alloc(sizeof(*flow));
	pthread_rwlockattr_t prefer_writer;

	flow->first = xf_holder_create(conf, false);
	flow->holder = xf_holder_keep(flow->first);
	flow->state = state;
	flow->patience_ms = PATIENCE_MS;
	flow->requests = xf_requests_create();
	pthread_mutex_init(&flow->reload_lock, NULL);
	pthread_mutex_init(&flow->control_lock, NULL);
	pthread_rwlockattr_init(&prefer_writer);
	pthread_rwlockattr_setkind_np(&prefer_writer, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&flow->parts_lock, &prefer_writer); /* those who look must not starve a reload */
	pthread_rwlockattr_destroy(&prefer_writer);
	flow->migrations = xf_alloc_array(conf->migration_count, sizeof(*flow->migrations));
	flow->routes = xf_alloc_array(conf->route_count, sizeof(*flow->routes));
	flow->letters = xf_letters_open(conf->server.data_dir, conf->server.dead_letters_max, error);
	if (flow->letters == NULL)
		goto failed;
	for (size_t i = 0; i < conf->migration_count; i++) {
		flow->migrations[i] = xf_flow_migration_make(flow, conf, &conf->migrations[i], error);
		if (flow->migrations[i] == NULL)
			goto failed;
		flow->migration_count++;
	}
	for (size_t i = 0; i < conf->route_count; i++) {
		flow->routes[i] = route_make(flow, &conf->routes[i], error);
		if (flow->routes[i] == NULL)
			goto failed;
		flow->route_count++;
	}
	xf_spoolers_warn(&flow->spoolers, conf->server.data_dir);
	return flow;

failed:
	xf_flow_destroy(&flow);
	return NULL;
}

void
xf_flow_start(struct xf_flow *flow)
{
	pthread_mutex_lock(&flow->reload_lock); /* whoever asks for a reload may be there already, and is refused till this is done */
	for (size_t i = 0; i < flow->route_count; i++)
		xf_route_start_sinks(flow->routes[i]);
	for (size_t i = 0; i < flow->route_count; i++)
		xf_route_start_sources(flow->routes[i]);
	flow->started = true;
	pthread_mutex_unlock(&flow->reload_lock);
}

/* ---- Ending ------------------------------------------------------------------------------------- */

/* A source in the middle of a turn may take in more: only when it has heard of the drain does zero mean zero. */
static bool
flow_drained(const struct xf_flow *flow)
{
	bool drained = true;

	for (size_t i = 0; i < flow->route_count; i++)
		drained = drained && xf_route_drained(flow->routes[i]);
	return drained;
}

/* One whose thread was asked to end and has not, of what runs and of what a reload left. */
static const struct xf_runner *
flow_not_ended(struct xf_flow *flow)
{
	const struct xf_runner *runner = NULL;

	for (size_t i = 0; runner == NULL && i < flow->route_count; i++)
		runner = xf_route_not_ended(flow->routes[i]);
	for (size_t i = 0; runner == NULL && i < flow->left_count; i++)
		runner = xf_route_not_ended(flow->left[i].old);
	return runner;
}

static const struct xf_runner *
flow_wait_ended(struct xf_flow *flow)
{
	uint64_t until = xf_now_ms() + flow->patience_ms;
	const struct xf_runner *runner;

	while ((runner = flow_not_ended(flow)) != NULL && xf_now_ms() < until)
		xf_sleep_ms(1);
	return runner;
}

static void
flow_stop(struct xf_flow *flow, uint64_t *left)
{
	const struct xf_runner *runner;

	for (size_t i = 0; i < flow->route_count; i++)
		xf_route_end_sources(flow->routes[i], NULL);
	flow_wait_ended(flow);
	for (size_t i = 0; i < flow->route_count; i++)
		*left += xf_route_in_flight(flow->routes[i]);
	for (size_t i = 0; i < flow->route_count; i++)
		xf_route_end_sinks(flow->routes[i]);
	runner = flow_wait_ended(flow);
	if (runner != NULL)
		xf_log(XF_LOG_ERROR, runner->name, "plugin '%s' keeps the thread, and is not waited for any longer",
		       runner->conf->transport->plugin);
}

uint64_t
xf_flow_drain(struct xf_flow *flow, uint64_t timeout_ms)
{
	uint64_t until = xf_now_ms() + timeout_ms, left = 0;

	atomic_store(&flow->draining, true);
	pthread_mutex_lock(&flow->reload_lock); /* one that is under way is brought to its end */
	for (size_t i = 0; i < flow->route_count; i++)
		xf_route_drain(flow->routes[i]);
	while (!flow_drained(flow) && xf_now_ms() < until && !atomic_load(&flow->drain_now))
		xf_sleep_ms(5);
	flow_stop(flow, &left);
	pthread_mutex_unlock(&flow->reload_lock);
	return left;
}

bool
xf_flow_stopped(struct xf_flow *flow)
{
	return flow_not_ended(flow) == NULL;
}

void
xf_flow_drain_now(struct xf_flow *flow)
{
	atomic_store(&flow->drain_now, true);
}

void
xf_flow_destroy(struct xf_flow **pointer)
{
	struct xf_flow *flow = *pointer;

	if (flow == NULL)
		return;
	*pointer = NULL;
	/* First what a reload has left: it may use what its successor has taken over. */
	for (size_t i = 0; i < flow->left_count; i++)
		flow->left[i].new = NULL;
	xf_flow_reap(flow);
	for (size_t i = 0; i < flow->route_count; i++)
		xf_route_destroy(&flow->routes[i]);
	for (size_t i = 0; i < flow->migration_count; i++)
		free(flow->migrations[i]);
	xf_letters_close(&flow->letters);
	xf_requests_destroy(&flow->requests);
	pthread_rwlock_destroy(&flow->parts_lock);
	pthread_mutex_destroy(&flow->control_lock);
	pthread_mutex_destroy(&flow->reload_lock);
	free(flow->routes);
	free(flow->migrations);
	xf_holder_release(&flow->holder);
	xf_holder_release(&flow->first);
	free(flow);
}

/* ---- Sight ----------------------------------------------------------------------------------------- */

void
xf_flow_enter(struct xf_flow *flow)
{
	pthread_rwlock_rdlock(&flow->parts_lock);
}

void
xf_flow_leave(struct xf_flow *flow)
{
	pthread_rwlock_unlock(&flow->parts_lock);
}

void
xf_flow_watch(struct xf_flow *flow)
{
	if (pthread_rwlock_tryrdlock(&flow->parts_lock) != 0)
		return; /* a reload has it, and the caller has signals to wait for */
	for (size_t i = 0; i < flow->route_count; i++)
		xf_route_watch(flow->routes[i]);
	xf_flow_leave(flow);
}

const struct xf_conf *
xf_flow_conf(const struct xf_flow *flow)
{
	return flow->holder->conf;
}

struct xf_letters *
xf_flow_letters(const struct xf_flow *flow)
{
	return flow->letters;
}

enum xf_status
xf_flow_redeliver(struct xf_flow *flow, uint64_t number, const char *route, int64_t before_ms, uint64_t *count,
                  struct xf_error *error)
{
	enum xf_status status = XF_OK;

	*count = 0;
	for (size_t i = 0; i < flow->route_count && status == XF_OK; i++) {
		const char *name = flow->routes[i]->conf->name;
		uint64_t *numbers;
		size_t more;

		if (route != NULL && strcmp(route, name) != 0)
			continue;
		status = xf_letters_choose(flow->letters, number, name, before_ms, &numbers, &more, error);
		if (status == XF_OK && more > 0)
			xf_inlet_redeliver(flow->routes[i]->sources[0].inlet, numbers, more);
		*count += more;
		free(numbers);
	}
	return status;
}

static bool
flow_was_up(const struct xf_flow *flow)
{
	for (size_t i = 0; i < flow->route_count; i++)
		if (!xf_route_was_up(flow->routes[i]))
			return false;
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
	return flow->route_count;
}

size_t
xf_flow_migration_count(const struct xf_flow *flow)
{
	return flow->migration_count;
}

void
xf_flow_route_status(const struct xf_flow *flow, size_t index, struct xf_route_status *status)
{
	xf_route_status(flow->routes[index], status);
}

static void
spool_sum(struct xf_endpoint_status *sum, const struct xf_endpoint_status *a, const struct xf_endpoint_status *b)
{
	sum->spools = a->spools || b->spools;
	sum->spool = (struct xf_spool_numbers){
		.messages = a->spool.messages + b->spool.messages,
		.bytes = a->spool.bytes + b->spool.bytes,
		.bytes_max = a->spool.bytes_max + b->spool.bytes_max,
		.refused = a->spool.refused + b->spool.refused,
		.failed = a->spool.failed || b->spool.failed,
	};
	sum->spool_age_ms = a->spool_age_ms > b->spool_age_ms ? a->spool_age_ms : b->spool_age_ms;
}

static void
leg_status_sum(struct xf_leg_status *sum, const struct xf_leg_status *leg, bool first)
{
	const struct xf_endpoint_status had = sum->sink;

	if (first || (leg->sink.state == XF_STATE_DOWN && sum->sink.state != XF_STATE_DOWN) ||
	    (leg->sink.state == XF_STATE_BLOCKED && sum->sink.state == XF_STATE_UP))
		sum->sink = leg->sink;
	spool_sum(&sum->sink, &had, &leg->sink);
	sum->accepted += leg->accepted;
	sum->confirmed += leg->confirmed;
	sum->refused += leg->refused;
	sum->dropped += leg->dropped;
	sum->crossed += leg->crossed;
	sum->moved += leg->moved;
	sum->spooled += leg->spooled;
	sum->in_flight += leg->in_flight;
	sum->retried += leg->retried;
	sum->copies += leg->copies;
	sum->no_receiver += leg->no_receiver;
	sum->only += leg->only;
	if (leg->oldest_ms > sum->oldest_ms)
		sum->oldest_ms = leg->oldest_ms;
	xf_histogram_add(&sum->publish, &leg->publish);
}

/* Which buckets the routes of MIGRATION use, and where they are. */
static void
migration_maps(const struct xf_flow *flow, const struct xf_migration *migration, struct xf_bucket_maps *maps)
{
	for (size_t i = 0; i < flow->route_count; i++) {
		const struct xf_route *route = flow->routes[i];

		for (size_t s = 0; route->migration == migration && s < route->source_count; s++)
			if (xf_route_source_decides(route, s))
				xf_inlet_maps(route->sources[s].inlet, maps);
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
	const struct xf_migration *migration = flow->migrations[index];
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
	for (size_t i = 0; i < flow->route_count; i++) {
		struct xf_route_status route;

		if (flow->routes[i]->migration != migration)
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
	const struct xf_transport *transport = xf_transport_find(&flow->transports, conf);
	uint32_t len;
	char *text;

	if (transport == NULL || conf->class->report == NULL)
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
	for (size_t i = 0; i < flow->route_count; i++)
		if (xf_str_is(name, flow->routes[i]->conf->name))
			return i;
	return SIZE_MAX;
}

size_t
xf_flow_migration_find(const struct xf_flow *flow, struct xf_str name)
{
	for (size_t i = 0; i < flow->migration_count; i++)
		if (xf_str_is(name, flow->migrations[i]->conf->name))
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

/* Whether it may be made without force. */
static enum xf_status
change_check(const struct xf_flow *flow, const struct xf_migration *migration, const struct xf_migration_effect *effect,
             struct xf_error *error)
{
	unsigned side = effect->to.percent > effect->from.percent;

	if (effect->to.percent == effect->from.percent)
		return XF_OK;
	for (size_t i = 0; i < flow->route_count; i++) {
		const struct xf_route *route = flow->routes[i];
		struct xf_endpoint_status status;

		if (route->backlog != NULL && xf_backlog_turns(route->backlog, migration, effect->to.percent))
			return xf_error_set(error, "route '%s' still reads what stood on the %s side before keys moved away from "
			                    "it; turn them back when it is at its end (its lag is 0), or use force",
			                    route->conf->name, side ? "new" : "old");
		if (route->migration != migration || xf_outlet_state(route->outlets[side]) == XF_STATE_UP)
			continue;
		xf_outlet_status(route->outlets[side], &status);
		return xf_error_set(error, "the %s side does not work (%s: %s), so nothing is moved to it; mend it, or use force",
		                    side ? "new" : "old", status.name, status.reason);
	}
	return XF_OK;
}

/* A reload has found that what stands fits the configuration that it goes over to; so must what is changed meanwhile. */
static enum xf_status
coming_check(const struct xf_flow *flow, const struct xf_migration *migration, struct xf_position to, struct xf_error *error)
{
	const struct xf_conf *coming = flow->coming;

	for (size_t i = 0; coming != NULL && i < coming->migration_count; i++) {
		const struct xf_conf_migration *next = &coming->migrations[i];

		if (strcmp(next->name, migration->conf->name) != 0 || xf_position_check(coming, next, to, error) == XF_OK)
			continue;
		xf_error_prefix(error, "a reload is under way to a configuration that does not allow it");
		return XF_FAILED;
	}
	return XF_OK;
}

/* Rings every inlet of the migration and gives it a moment to follow. */
static void
change_follow(const struct xf_flow *flow, const struct xf_migration *migration, uint32_t version)
{
	uint64_t until = xf_now_ms() + FOLLOW_WAIT_MS;

	for (size_t i = 0; i < flow->route_count; i++) {
		const struct xf_route *route = flow->routes[i];

		for (size_t s = 0; route->migration == migration && s < route->source_count; s++) {
			if (!xf_route_source_decides(route, s) || xf_route_source_rests(&route->sources[s]))
				continue;
			xf_inbox_ring(&xf_inlet_runner(route->sources[s].inlet)->inbox);
			while (xf_inlet_knobs_version(route->sources[s].inlet) != version && xf_now_ms() < until)
				xf_sleep_ms(1);
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
	struct xf_migration *migration = flow->migrations[index];
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
	status = xf_position_check(xf_flow_conf(flow), migration->conf, effect->to, error);
	if (status == XF_OK)
		status = coming_check(flow, migration, effect->to, error);
	if (status == XF_OK && !force)
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

enum xf_status
xf_flow_handler_serve(const struct xf_flow *flow, size_t index, struct xf_str name, const struct xf_operator_request *request,
                      struct xf_operator_response *response, struct xf_error *error)
{
	const struct xf_route *route = flow->routes[index];

	for (size_t i = 0; i < route->handlers.count; i++)
		if (xf_handler_is(route->handlers.list[i], route->conf->name, name))
			return xf_handler_serve(route->handlers.list[i], request, response, error);
	response->status = 404;
	return xf_error_set(error, "route '%s' has no handler '%.*s'", route->conf->name, (int)(name.len < 100 ? name.len : 100),
	               name.data);
}

void
xf_flow_route_pause(struct xf_flow *flow, size_t index, bool paused, const char *who)
{
	struct xf_route *route = flow->routes[index];

	pthread_mutex_lock(&flow->control_lock);
	xf_route_pause(route, paused);
	xf_log(XF_LOG_INFO, NULL, "route '%s' %s by=%s", route->conf->name, paused ? "paused" : "resumed", who);
	pthread_mutex_unlock(&flow->control_lock);
}
