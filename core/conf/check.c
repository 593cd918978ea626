/*
 * What only all of the configuration together can tell: whether two sinks are one place, whether messages come round,
 * whether copies can be known for what they are, whether keys and ids last.
 */
#include "conf/check.h"

#include <stdlib.h>

#include "base/memory.h"
#include "conf/endpoint.h"
#include "conf/loops.h"
#include "conf/places.h"

/* Which routes write to a migration. */
struct writers {
	const size_t *routes;
	size_t count;
};

/* ---- Sinks at one place ------------------------------------------------------ */

/* What a route lets in; the caller frees it. */
static const char **
patterns_of(const struct xf_conf_route *route, size_t *count)
{
	const char **patterns = xf_alloc_array(route->source_count + 1, sizeof(*patterns));

	for (size_t i = 0; i < route->source_count; i++)
		if (route->sources[i].subject != NULL)
			patterns[(*count)++] = route->sources[i].subject;
	return patterns;
}

/* By what the routes let in, or by anything where no route uses it. */
static bool
sides_meet(struct xf_places *places, const struct xf_conf_migration *m, const struct writers *writers)
{
	static const char *const anything[] = {">"};
	bool meet = false;

	if (writers->count == 0)
		return xf_places_meet(places, &m->sides[0], &m->sides[1], anything, 1);
	for (size_t i = 0; i < writers->count && !meet; i++) {
		size_t count = 0;
		const char **patterns = patterns_of(&places->l->routes[writers->routes[i]], &count);

		meet = xf_places_meet(places, &m->sides[0], &m->sides[1], patterns, count);
		free(patterns);
	}
	return meet;
}

static void
sides_check(struct xf_places *places, const struct xf_conf_migration *m, const struct writers *writers)
{
	const struct xf_conf_endpoint *old = &m->sides[0], *new = &m->sides[1];
	struct xf_loading *l = places->l;

	if (sides_meet(places, m, writers))
		xf_report_error(l->report, new->place,
		                "migration '%s': new: the same place as 'old' at %s: transport '%s', subject '%s'; expected "
		                "another transport, or another subject",
		                m->name, xf_place_text(l->arena, old->place), new->transport->name, new->subject);
}

/* Each sink of `all` or `split` against those before it. */
static void
sinks_check(struct xf_places *places, const struct xf_conf_route *route)
{
	const char *word = route->to == XF_TO_ALL ? "all" : "split";
	struct xf_loading *l = places->l;
	size_t count = 0;
	const char **patterns;

	if (route->sink_count < 2)
		return;
	patterns = patterns_of(route, &count);
	for (size_t i = 1; i < route->sink_count; i++)
		for (size_t j = 0; j < i; j++) {
			const struct xf_conf_endpoint *sink = &route->sinks[i];

			if (!xf_places_meet(places, &route->sinks[j], sink, patterns, count))
				continue;
			xf_report_error(l->report, sink->place,
			                "route '%s': to: %s[%zu]: the same place as %s[%zu]: transport '%s', subject '%s'; "
			                "expected another transport, or another subject",
			                route->name, word, i, word, j, sink->transport->name, sink->subject);
			break;
		}
	free(patterns);
}

/* ---- Spools ------------------------------------------------------------------ */

static void
spool_refuse(struct xf_loading *l, const struct xf_conf_endpoint *sink, const char *kind, const char *owner, const char *where)
{
	xf_report_error(l->report, sink->spool_place,
	                "%s '%s': %s: 'spool' without 'when_down: spool', so nothing would ever be in it", kind, owner, where);
}

static void
sink_spool_check(struct xf_loading *l, const struct xf_conf_route *route, const struct xf_conf_endpoint *sink, const char *where)
{
	if (sink->spool_place.line != 0 && xf_conf_when_down(route, sink) != XF_WHEN_DOWN_SPOOL)
		spool_refuse(l, sink, "route", route->name, where);
}

static void
spools_check(struct xf_loading *l, const struct xf_conf_route *route)
{
	static const char *const words[] = {[XF_TO_ALL] = "all", [XF_TO_SPLIT] = "split"};

	if (route->dead_letter != NULL && route->dead_letter->spool_place.line != 0 &&
	    route->dead_letter->when_down != XF_WHEN_DOWN_SPOOL)
		spool_refuse(l, route->dead_letter, "route", route->name, "dead_letter");
	for (size_t i = 0; i < route->sink_count; i++)
		sink_spool_check(l, route, &route->sinks[i],
		                 route->to == XF_TO_SINK ? "to" : xf_arena_format(l->arena, "to: %s[%zu]", words[route->to], i));
}

/* A side has a spool where one of the routes needs it. */
static void
sides_spool_check(struct xf_loading *l, const struct xf_conf_migration *m, const struct writers *writers)
{
	static const char *const names[] = {"old", "new"};

	for (unsigned side = 0; side < 2; side++) {
		const struct xf_conf_endpoint *sink = &m->sides[side];
		bool spools = sink->spool_place.line == 0 || sink->when_down == XF_WHEN_DOWN_SPOOL;

		for (size_t i = 0; i < writers->count; i++)
			spools = spools || xf_conf_when_down(&l->routes[writers->routes[i]], sink) == XF_WHEN_DOWN_SPOOL;
		if (!spools)
			spool_refuse(l, sink, "migration", m->name, names[side]);
	}
}

/* ---- Keys ------------------------------------------------------------------- */

/* A source of ROUTE whose messages have no id that outlives a redelivery, or NULL. */
static const struct xf_conf_endpoint *
fleeting_source(const struct xf_conf_route *route)
{
	for (size_t i = 0; i < route->source_count; i++) {
		const struct xf_conf_endpoint *source = &route->sources[i];

		if (xf_endpoint_sound(source) && !(source->traits & XF_TRAIT_IDS) && source->message_id == NULL &&
		    source->envelope == XF_ENVELOPE_NONE)
			return source;
	}
	return NULL;
}

/* True where it was reported. OWNER is "migration 'orders'". */
static bool
key_check(struct xf_loading *l, const struct xf_template *key, const struct xf_conf_route *route,
          struct xf_conf_place place, const char *kind, const char *owner)
{
	const struct xf_conf_endpoint *source;

	if (key == NULL || !xf_template_uses_id(key) || (source = fleeting_source(route)) == NULL)
		return false;
	xf_report_warning(l->report, place,
	                  "%s '%s': the key '%.*s' falls back on the message id, and what comes from '%s' in route '%s' "
	                  "has no lasting one: such messages keep no order; expected another last alternative, like "
	                  "{key|subject}",
	                  kind, owner, XF_STR_ARG(xf_template_text(key)), source->transport->name, route->name);
	return true;
}

/* ---- Ids -------------------------------------------------------------------- */

static void
dedupe_check(struct xf_loading *l, const struct xf_conf_route *route)
{
	const struct xf_conf_endpoint *source = fleeting_source(route);

	if (source != NULL)
		xf_report_warning(l->report, source->place,
		                  "route '%s': from: 'dedupe' goes by ids, and '%s' gives none to what comes without: such messages "
		                  "are never duplicates; did you mean to give the source a 'message_id'?",
		                  route->name, source->transport->name);
}

/* ---- In place --------------------------------------------------------------- */

/* What comes from anywhere else than the old side itself does not stand there, and would be lost to it. */
static void
in_place_check(struct xf_places *places, const struct xf_conf_migration *m, const struct xf_conf_route *route)
{
	const struct xf_conf_endpoint *old = &m->sides[0];
	struct xf_loading *l = places->l;
	const char *subject;

	for (size_t i = 0; i < route->source_count; i++) {
		const struct xf_conf_endpoint *source = &route->sources[i];

		if (!xf_endpoint_sound(source) || !xf_endpoint_sound(old))
			continue;
		if (xf_places_number(places, source, false, &subject) != xf_places_number(places, old, true, &subject))
			xf_report_error(l->report, source->place,
			                "route '%s': from: what comes from '%s' does not stand on the old side of migration "
			                "'%s', which is in place, on '%s'; expected that as the source, read in the same "
			                "mode",
			                route->name, source->transport->name, m->name, old->transport->name);
		else if (source->traits & XF_TRAIT_TAKES)
			xf_report_error(l->report, source->place,
			                "route '%s': from: reading '%s' takes messages away from the consumers of the old "
			                "side of migration '%s', which is in place; expected an entry name instead of "
			                "'in_place'",
			                route->name, source->shown, m->name);
	}
}

/* ---- Copies ----------------------------------------------------------------- */

/* Whether what SOURCE reads from a migration's side says of a copy that it is one; an in-place side gets none. */
static bool
copies_are_marked(const struct xf_conf_endpoint *source)
{
	const struct xf_conf_endpoint *side = &source->migration->sides[source->side];

	if (side->in_place)
		return true;
	if (side->traits & XF_TRAIT_HEADERS)
		return (source->traits & XF_TRAIT_HEADERS) != 0;
	return side->envelope != XF_ENVELOPE_NONE && source->envelope == side->envelope;
}

const struct xf_conf_endpoint *
xf_conf_unmarked(const struct xf_conf *conf, const struct xf_conf_migration *migration)
{
	for (size_t r = 0; r < conf->route_count; r++)
		for (size_t s = 0; s < conf->routes[r].source_count; s++) {
			const struct xf_conf_endpoint *source = &conf->routes[r].sources[s];

			if (source->migration == migration && !copies_are_marked(source))
				return source;
		}
	return NULL;
}

/* A route that reads both sides must see which messages are copies. */
static void
copies_check(struct xf_loading *l, const struct xf_conf_route *route)
{
	static const char *const names[] = {"old", "new"};

	for (size_t i = 0; i < route->source_count; i++) {
		const struct xf_conf_endpoint *source = &route->sources[i];
		const struct xf_conf_migration *m = source->migration;

		if (m == NULL || m->mirror == XF_MIRROR_OFF || !xf_endpoint_sound(source) ||
		    !xf_endpoint_sound(&m->sides[source->side]) || copies_are_marked(source))
			continue;
		xf_report_error(l->report, source->place,
		                "route '%s': from: migration '%s' mirrors, and on its %s side, '%s', a copy carries no mark "
		                "that tells it from the message; expected 'envelope: json' there, or 'mirror: false'",
		                route->name, m->name, names[source->side], m->sides[source->side].transport->name);
	}
}

/* ---- All -------------------------------------------------------------------- */

static void
migration_check(struct xf_places *places, size_t index, const struct writers *writers, bool is_read)
{
	struct xf_loading *l = places->l;
	const struct xf_conf_migration *m = &l->migrations[index];
	bool told = false;

	if (writers->count == 0 && !is_read)
		xf_report_warning(l->report, m->place,
		                  "migration '%s' is not used by any route; expected one with 'to: {migration: %s}'",
		                  m->name, m->name);
	sides_check(places, m, writers);
	sides_spool_check(l, m, writers);
	for (size_t i = 0; i < writers->count; i++) {
		const struct xf_conf_route *route = &l->routes[writers->routes[i]];

		told = told || key_check(l, m->key, route, l->migration_notes[index].key, "migration", m->name);
		if (m->sides[0].in_place)
			in_place_check(places, m, route);
	}
}

static void
migrations_check(struct xf_places *places)
{
	const struct xf_loading *l = places->l;
	size_t migrations = l->conf->migration_count, routes = l->conf->route_count, *order, *next;
	struct writers *writers = xf_alloc_array(migrations, sizeof(*writers));
	bool *is_read = xf_alloc_array(migrations, sizeof(*is_read));

	/* the routes by their migration, as slices of one array */
	order = xf_alloc_array(routes, sizeof(*order));
	next = xf_alloc_array(migrations, sizeof(*next));
	for (size_t r = 0; r < routes; r++) {
		const struct xf_conf_route *route = &l->routes[r];

		if (route->migration != NULL)
			writers[route->migration - l->migrations].count++;
		for (size_t s = 0; s < route->source_count; s++)
			if (route->sources[s].migration != NULL)
				is_read[route->sources[s].migration - l->migrations] = true;
	}
	for (size_t i = 1; i < migrations; i++)
		next[i] = next[i - 1] + writers[i - 1].count;
	for (size_t i = 0; i < migrations; i++)
		writers[i].routes = order + next[i];
	for (size_t r = 0; r < routes; r++)
		if (l->routes[r].migration != NULL)
			order[next[l->routes[r].migration - l->migrations]++] = r;
	for (size_t i = 0; i < migrations; i++)
		migration_check(places, i, &writers[i], is_read[i]);
	free(next);
	free(order);
	free(is_read);
	free(writers);
}

void
xf_conf_check(struct xf_loading *loading)
{
	struct xf_places places = {.l = loading};

	migrations_check(&places);
	for (size_t r = 0; r < loading->conf->route_count; r++) {
		const struct xf_conf_route *route = &loading->routes[r];

		sinks_check(&places, route);
		spools_check(loading, route);
		copies_check(loading, route);
		if (loading->route_notes[r].dedupe)
			dedupe_check(loading, route);
		if (route->to == XF_TO_SPLIT)
			key_check(loading, route->key, route, loading->route_notes[r].key, "route", route->name);
	}
	xf_loops_check(&places);
	xf_places_fini(&places);
}
