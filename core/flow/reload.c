/*
 * From one configuration to another while messages flow. Parts are compared by their digests:
 *
 *   migrations   by name; their knobs stay as they are, what else they say is a matter of the routes that use them
 *   transports   by name and digest, opened when the first route needs them (transports.h)
 *   routes       by name; one that is alike is not touched, not even its connections
 *
 * First everything new is made, so that what a plugin refuses changes nothing, and every thread that will have to stop is
 * called: one that its plugin keeps refuses the reload. Then new sinks connect while the old ones work; then the routes that
 * change are left, which settles what is under way; and only then each takes over (route.h).
 *
 * A drain that comes meanwhile cuts short what waits for the sake of order and of connections.
 *
 * From there on there is no way back, and none waits for ever: a thread that came when it was called, and does not end, is left
 * with its route. What of it is under way comes over if it ever ends.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "flow/parts.h"

#define CONNECT_WAIT_MS 3000 /* for new sinks; one that takes longer connects later */
#define LEAVE_WAIT_MS 5000   /* for what is under way to be confirmed; past it, it goes the new way unconfirmed */

/* What becomes of one route. */
struct move {
	struct xf_route *old; /* NULL: added */
	struct xf_route *new; /* NULL: removed; the same as old: kept */
};

struct reload {
	struct xf_flow *flow;
	struct xf_holder *holder;
	struct xf_reload_report *report;
	struct move *moves;
	size_t count;
	size_t *order; /* which move each route of the configuration is */
	struct xf_migration **migrations; /* as many as the configuration has */
	struct xf_migration **migrations_old;
	size_t migration_count, migration_old_count;
};

static bool
is_changed(const struct move *move)
{
	return move->old != NULL && move->new != NULL && move->old != move->new;
}

/* It is to stop, or has sources that are to go over. */
static bool
is_left(const struct move *move)
{
	return move->old != NULL && move->old != move->new;
}

static bool
is_lossy(const struct xf_route *route)
{
	bool lossy = false;

	for (size_t i = 0; i < route->conf->source_count; i++)
		lossy = lossy || (route->conf->sources[i].traits & XF_TRAIT_LOSSY);
	return lossy;
}

/* ---- Making what is new ------------------------------------------------------------------------------ */

/* Until it is NULL again the positions of migrations are changed only so that they fit CONF too. */
static void
coming_set(struct xf_flow *flow, const struct xf_conf *conf)
{
	pthread_mutex_lock(&flow->control_lock);
	flow->coming = conf;
	pthread_mutex_unlock(&flow->control_lock);
}

/* Those that go on are in both lists. Where they stand was not changed since it was said what is coming, or fits. */
static enum xf_status
migrations_make(struct reload *reload, struct xf_error *error)
{
	struct xf_flow *flow = reload->flow;
	const struct xf_conf *conf = reload->holder->conf;

	reload->migrations = xf_alloc_array(conf->migration_count, sizeof(*reload->migrations));
	for (size_t i = 0; i < conf->migration_count; i++) {
		size_t index = xf_flow_migration_find(flow, xf_str(conf->migrations[i].name));

		if (index == SIZE_MAX) {
			reload->migrations[i] = xf_flow_migration_make(flow, conf, &conf->migrations[i], error);
		} else {
			struct xf_position position = xf_migration_knobs(flow->migrations[index]).position;

			if (xf_position_check(conf, &conf->migrations[i], position, error) == XF_OK)
				reload->migrations[i] = flow->migrations[index];
			else
				xf_error_prefix(error, "migration '%s' stands where it cannot with this configuration",
				                conf->migrations[i].name);
		}
		if (reload->migrations[i] == NULL)
			return XF_FAILED;
		reload->migration_count++;
	}
	return XF_OK;
}

static struct xf_migration *
migration_find(const struct reload *reload, const struct xf_conf_migration *conf)
{
	return conf != NULL ? reload->migrations[conf - reload->holder->conf->migrations] : NULL;
}

/* The move of the old route NAME, which is probably the one at FIRST, or NULL. */
static struct move *
move_find(struct reload *reload, size_t first, const char *name)
{
	for (size_t i = 0; i < reload->count; i++) {
		struct move *move = &reload->moves[(first + i) % reload->count];

		if (move->old != NULL && strcmp(move->old->conf->name, name) == 0)
			return move;
	}
	return NULL;
}

static enum xf_status
routes_make(struct reload *reload, struct xf_error *error)
{
	struct xf_flow *flow = reload->flow;
	const struct xf_conf *conf = reload->holder->conf;

	reload->moves = xf_alloc_array(flow->route_count + conf->route_count, sizeof(*reload->moves));
	reload->order = xf_alloc_array(conf->route_count, sizeof(*reload->order));
	for (size_t i = 0; i < flow->route_count; i++)
		reload->moves[reload->count++].old = flow->routes[i];
	for (size_t i = 0; i < conf->route_count; i++) {
		const struct xf_conf_route *route = &conf->routes[i];
		struct move *move = move_find(reload, i, route->name);

		if (move == NULL)
			move = &reload->moves[reload->count++];
		reload->order[i] = (size_t)(move - reload->moves);
		if (move->old != NULL && xf_digest_equal(move->old->conf->digest, route->digest)) {
			move->new = move->old;
			continue;
		}
		move->new = xf_route_create(&(struct xf_route_setup){
			.conf = route,
			.holder = reload->holder,
			.migration = migration_find(reload, route->migration),
			.reads = migration_find(reload, xf_route_reads(route)),
			.transports = &flow->transports,
			.spoolers = &flow->spoolers,
			.letters = flow->letters,
			.requests = flow->requests,
			.pools = &flow->pools,
			.from = move->old,
		}, error);
		if (move->new == NULL)
			return XF_FAILED;
	}
	return XF_OK;
}

/* What was made and is not needed. Nobody looks meanwhile: transports that were opened are closed. */
static void
reload_undo(struct reload *reload)
{
	pthread_rwlock_wrlock(&reload->flow->parts_lock);
	for (size_t i = 0; i < reload->count; i++)
		if (reload->moves[i].new != reload->moves[i].old)
			xf_route_destroy(&reload->moves[i].new);
	for (size_t i = 0; i < reload->migration_count; i++) {
		const char *name = reload->migrations[i]->conf->name;

		if (xf_flow_migration_find(reload->flow, xf_str(name)) == SIZE_MAX)
			free(reload->migrations[i]);
	}
	pthread_rwlock_unlock(&reload->flow->parts_lock);
}

/* ---- Who comes back -------------------------------------------------------------------------------------- */

static enum xf_status
runner_refuses(const struct xf_runner *runner, const char *what, struct xf_error *error)
{
	return xf_error_set(error, "'%s' %s: its plugin '%s' keeps the thread; wait until it comes back, or restart the server",
	                    runner->name, what, runner->conf->transport->plugin);
}

/* Every thread that will have to stop comes by its loop, or nothing is changed. */
static enum xf_status
routes_answer(struct reload *reload, struct xf_error *error)
{
	uint64_t until = xf_now_ms() + reload->flow->patience_ms;
	const struct xf_runner *absent;

	for (size_t i = 0; i < reload->count; i++)
		if (is_left(&reload->moves[i]))
			xf_route_call(reload->moves[i].old);
	for (size_t i = 0; i < reload->count; i++) {
		while (is_left(&reload->moves[i]) && (absent = xf_route_absent(reload->moves[i].old)) != NULL) {
			if (atomic_load(&reload->flow->draining))
				return xf_error_set(error, "this server is stopping");
			if (xf_now_ms() >= until)
				return runner_refuses(absent, "cannot be stopped", error);
			xf_sleep_ms(1);
		}
	}
	return XF_OK;
}

const struct xf_runner *
xf_flow_reap(struct xf_flow *flow)
{
	const struct xf_runner *late = NULL;
	size_t count = 0;

	for (size_t i = 0; i < flow->left_count; i++) {
		struct xf_left left = flow->left[i];
		const struct xf_runner *runner = xf_route_not_ended(left.old);

		if (runner == NULL && left.new != NULL)
			runner = xf_route_not_over(left.new);
		if (runner != NULL) {
			flow->left[count++] = left;
			late = runner;
		} else
			xf_route_destroy(&left.old);
	}
	flow->left_count = count;
	if (count > 0)
		return late;
	for (size_t i = 0; i < flow->left_migration_count; i++)
		free(flow->left_migrations[i]);
	free(flow->left_migrations);
	free(flow->left);
	flow->left_migrations = NULL;
	flow->left = NULL;
	flow->left_migration_count = 0;
	return NULL;
}

/* While something is left nothing else is exchanged: it may use what runs. */
static enum xf_status
left_reap(struct xf_flow *flow, struct xf_error *error)
{
	const struct xf_runner *late;

	pthread_rwlock_wrlock(&flow->parts_lock);
	late = xf_flow_reap(flow);
	pthread_rwlock_unlock(&flow->parts_lock);
	return late == NULL ? XF_OK : runner_refuses(late, "does not end since an earlier reload", error);
}

/* The old one, which is exchanged. */
static void
route_end(struct reload *reload, struct move *move)
{
	struct xf_reload_report *report = reload->report;
	struct xf_flow *flow = reload->flow;
	const struct xf_runner *late = xf_route_not_ended(move->old);

	if (late == NULL && move->new != NULL)
		late = xf_route_not_over(move->new);
	if (late == NULL) {
		xf_route_destroy(&move->old);
		return;
	}
	report->late = xf_grow_array(report->late, report->late_count, report->late_count + 1, sizeof(*report->late));
	report->late[report->late_count++] =
		xf_format("'%s' does not end: plugin '%s' keeps the thread, and what is under way there waits for it; no other "
	                  "reload goes through until then", late->name, late->conf->transport->plugin);
	flow->left = xf_grow_array(flow->left, flow->left_count, flow->left_count + 1, sizeof(*flow->left));
	flow->left[flow->left_count++] = (struct xf_left){move->old, move->new};
}

/* ---- Going over ---------------------------------------------------------------------------------------- */

static void
sinks_connect(struct reload *reload)
{
	uint64_t until = xf_now_ms() + CONNECT_WAIT_MS;

	for (size_t i = 0; i < reload->count; i++)
		if (reload->moves[i].new != NULL && reload->moves[i].new != reload->moves[i].old)
			xf_route_start_sinks(reload->moves[i].new);
	for (size_t i = 0; i < reload->count; i++)
		while (is_changed(&reload->moves[i]) && !xf_route_sinks_up(reload->moves[i].new) && xf_now_ms() < until &&
		       !atomic_load(&reload->flow->draining))
			xf_sleep_ms(2);
}

/* The next of the routes that are left, from NUMBER on: those with a source that cannot be held back, or the others. */
static struct move *
move_next(const struct reload *reload, bool lossy, size_t *number)
{
	while (*number < reload->count) {
		struct move *move = &reload->moves[(*number)++];

		if (is_left(move) && is_lossy(move->old) == lossy)
			return move;
	}
	return NULL;
}

static bool
move_left(struct move *move)
{
	return move->new != NULL ? xf_route_left(move->old, move->new) : xf_route_drained(move->old);
}

static bool
move_ended(struct move *move)
{
	return xf_route_not_ended(move->old) == NULL;
}

static bool
move_over(struct move *move)
{
	return move->new == NULL || xf_route_not_over(move->new) == NULL;
}

static void
moves_wait(const struct reload *reload, bool lossy, bool (*done)(struct move *move), uint64_t limit_ms)
{
	uint64_t until = xf_now_ms() + limit_ms;
	struct move *move;

	for (size_t i = 0; (move = move_next(reload, lossy, &i)) != NULL;)
		while (!done(move) && xf_now_ms() < until)
			xf_sleep_ms(1);
}

/* Those whose requests others reply to, or those others. */
static void
routes_leave_some(struct reload *reload, bool lossy, bool asking)
{
	uint64_t until = xf_now_ms() + LEAVE_WAIT_MS;
	struct move *move;

	for (size_t i = 0; (move = move_next(reload, lossy, &i)) != NULL;) {
		if ((move->old->conf->request_ms > 0) != asking)
			continue;
		if (move->new != NULL)
			xf_route_leave(move->old, move->new);
		else
			xf_route_drain(move->old);
	}
	for (size_t i = 0; (move = move_next(reload, lossy, &i)) != NULL;)
		while ((move->old->conf->request_ms > 0) == asking && !move_left(move) && xf_now_ms() < until &&
		       !atomic_load(&reload->flow->draining))
			xf_sleep_ms(1);
}

/* A route of this server may be the worker of another, so it goes on until that has its replies. */
static void
routes_leave(struct reload *reload, bool lossy)
{
	routes_leave_some(reload, lossy, true);
	routes_leave_some(reload, lossy, false);
}

static void
routes_go_over(struct reload *reload, bool lossy)
{
	struct move *move;

	for (size_t i = 0; (move = move_next(reload, lossy, &i)) != NULL;) {
		if (move->new != NULL)
			xf_route_lossy_take_over(move->new, move->old, &reload->flow->draining);
		xf_route_end_sources(move->old, move->new);
	}
	moves_wait(reload, lossy, move_ended, reload->flow->patience_ms);
	for (size_t i = 0; (move = move_next(reload, lossy, &i)) != NULL;)
		xf_route_end_sinks(move->old);
	moves_wait(reload, lossy, move_ended, reload->flow->patience_ms);
	for (size_t i = 0; (move = move_next(reload, lossy, &i)) != NULL;)
		if (move->new != NULL)
			xf_route_go_over(move->old, move->new);
	moves_wait(reload, lossy, move_over, reload->flow->patience_ms);
}

static void
migrations_exchange(struct reload *reload)
{
	struct xf_flow *flow = reload->flow;
	const struct xf_conf *conf = reload->holder->conf;

	reload->migrations_old = flow->migrations;
	reload->migration_old_count = flow->migration_count;
	flow->migrations = reload->migrations;
	flow->migration_count = reload->migration_count;
	for (size_t i = 0; i < flow->migration_count; i++)
		flow->migrations[i]->conf = &conf->migrations[i];
}

static void
migration_leave(struct xf_flow *flow, struct xf_migration *migration)
{
	size_t count = flow->left_migration_count++;

	flow->left_migrations = xf_grow_array(flow->left_migrations, count, count + 1, sizeof(*flow->left_migrations));
	flow->left_migrations[count] = migration;
}

/* Those that the new configuration does not have; nobody uses them any more but a route that was left. */
static void
migrations_drop(struct reload *reload)
{
	struct xf_flow *flow = reload->flow;

	for (size_t i = 0; i < reload->migration_old_count; i++) {
		struct xf_migration *migration = reload->migrations_old[i];
		bool kept = false;

		for (size_t k = 0; k < reload->migration_count; k++)
			kept = kept || reload->migrations[k] == migration;
		if (!kept && flow->left_count == 0)
			free(migration);
		else if (!kept)
			migration_leave(flow, migration);
	}
	free(reload->migrations_old);
}

/* In the order of the configuration. */
static void
routes_exchange(struct reload *reload)
{
	struct xf_flow *flow = reload->flow;
	const struct xf_conf *conf = reload->holder->conf;

	free(flow->routes);
	flow->routes = xf_alloc_array(conf->route_count, sizeof(*flow->routes));
	flow->route_count = 0;
	for (size_t i = 0; i < conf->route_count; i++)
		flow->routes[flow->route_count++] = reload->moves[reload->order[i]].new;
}

/* Only what must not be seen half done: what can take time has been done before. */
static void
parts_exchange(struct reload *reload)
{
	struct xf_flow *flow = reload->flow;

	for (size_t i = 0; i < reload->count; i++) {
		struct move *move = &reload->moves[i];

		if (is_changed(move))
			xf_route_take_over(move->new, move->old);
		else if (move->old == NULL)
			xf_route_start_sources(move->new);
	}
	migrations_exchange(reload);
	routes_exchange(reload);
	for (size_t i = 0; i < reload->count; i++)
		if (is_left(&reload->moves[i]))
			route_end(reload, &reload->moves[i]);
	migrations_drop(reload);
	xf_holder_release(&flow->holder);
	flow->holder = xf_holder_keep(reload->holder);
}

static void
reload_apply(struct reload *reload)
{
	struct xf_flow *flow = reload->flow;

	sinks_connect(reload);
	/* What cannot be held back comes last, and is held only for as long as it takes itself. */
	for (int lossy = 0; lossy < 2; lossy++) {
		routes_leave(reload, lossy);
		routes_go_over(reload, lossy);
	}
	pthread_rwlock_wrlock(&flow->parts_lock);
	parts_exchange(reload);
	pthread_rwlock_unlock(&flow->parts_lock);
	xf_spoolers_warn(&flow->spoolers, flow->first->conf->server.data_dir);
}

/* ---- The report ------------------------------------------------------------------------------------------- */

static void
report_add(char ***list, size_t *count, const char *what, const char *name)
{
	*list = xf_grow_array(*list, *count, *count + 1, sizeof(**list));
	(*list)[(*count)++] = xf_format("%s '%s'", what, name);
}

static void
report_fill(const struct reload *reload)
{
	struct xf_reload_report *report = reload->report;

	for (size_t i = 0; i < reload->count; i++) {
		const struct move *move = &reload->moves[i];

		if (move->old == NULL)
			report_add(&report->added, &report->added_count, "route", move->new->conf->name);
		else if (move->new == NULL)
			report_add(&report->removed, &report->removed_count, "route", move->old->conf->name);
		else if (move->old == move->new)
			report_add(&report->kept, &report->kept_count, "route", move->new->conf->name);
		else
			report_add(&report->changed, &report->changed_count, "route", move->new->conf->name);
	}
	report->server_differs = !xf_digest_equal(reload->holder->conf->server_digest,
	                                          reload->flow->first->conf->server_digest);
}

static void
list_free(char **list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(list[i]);
	free(list);
}

void
xf_reload_report_fini(struct xf_reload_report *report)
{
	list_free(report->added, report->added_count);
	list_free(report->changed, report->changed_count);
	list_free(report->removed, report->removed_count);
	list_free(report->kept, report->kept_count);
	list_free(report->late, report->late_count);
	*report = (struct xf_reload_report){.added = NULL};
}

enum xf_status
xf_flow_reload(struct xf_flow *flow, const struct xf_conf *conf, struct xf_reload_report *report, struct xf_error *error)
{
	struct reload reload = {.flow = flow, .report = report};
	enum xf_status status = XF_OK;

	*report = (struct xf_reload_report){.added = NULL};
	pthread_mutex_lock(&flow->reload_lock);
	reload.holder = xf_holder_create(conf, true);
	if (atomic_load(&flow->draining))
		status = xf_error_set(error, "this server is stopping");
	else if (!flow->started)
		status = xf_error_set(error, "this server is starting");
	else
		status = left_reap(flow, error);
	coming_set(flow, conf);
	if (status == XF_OK)
		status = migrations_make(&reload, error);
	if (status == XF_OK)
		status = routes_make(&reload, error);
	if (status == XF_OK)
		status = routes_answer(&reload, error);
	if (status == XF_OK) {
		report_fill(&reload);
		reload_apply(&reload);
	} else {
		reload_undo(&reload);
		free(reload.migrations);
		reload.holder->own = false; /* and its last one */
	}
	coming_set(flow, NULL);
	xf_holder_release(&reload.holder);
	free(reload.moves);
	free(reload.order);
	pthread_mutex_unlock(&flow->reload_lock);
	return status;
}
