/*
 * Where an endpoint leads is its address and its subjects. The address is the plugin's word, "the same broker,
 * namespace and kind" as text; a plugin without one is known by its transport alone. Subjects
 * are patterns: of a source its own, of a sink what its template can make of what the route's source lets in.
 *
 * A publishing loop is a cycle in the graph of (route, source): from one to another where some sink of the
 * first can publish what the second consumes. Patterns may be wider than the messages, so a loop that
 * is reported may need an unlucky message; one that is not reported cannot happen inside this configuration.
 */
#include "conf/check.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/subject.h"
#include "conf/class.h"

/* An endpoint's address as a number; equal for the same place. */
struct addresses {
	struct xf_loading *l;
	char **texts;
	size_t count;
};

static size_t
address_intern(struct addresses *a, char *text)
{
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->texts[i], text) == 0) {
			free(text);
			return i;
		}
	a->texts = xf_grow_array(a->texts, a->count, a->count + 1, sizeof(*a->texts));
	a->texts[a->count] = text;
	return a->count++;
}

static bool
address_ask(const struct xf_loading *l, const struct xf_conf_endpoint *ep, bool sink, char *out, size_t size)
{
	struct xf_class_side side = sink ? xf_class_sink(ep->transport->class) : xf_class_source(ep->transport->class);

	return xf_class_address(&side, l->catalogue->host, ep, out, size);
}

/* *SUBJECT becomes what is read there instead of the endpoint's subject, if the address says so. */
static size_t
address_of(struct addresses *a, const struct xf_conf_endpoint *ep, bool sink, const char **subject)
{
	char text[1024], *end;

	if (!address_ask(a->l, ep, sink, text, sizeof(text)))
		return address_intern(a, xf_format("transport %s", ep->transport->name));
	end = strchr(text, '\n');
	if (end != NULL) {
		*end = '\0';
		*subject = xf_arena_format(a->l->arena, "%s", end + 1);
	}
	return address_intern(a, xf_format("at %s", text));
}

static void
addresses_fini(struct addresses *a)
{
	for (size_t i = 0; i < a->count; i++)
		free(a->texts[i]);
	free(a->texts);
}

/* ---- Migrations ------------------------------------------------------------- */

/* Whether both sides are published to under patterns that meet, given what PATTERN lets in. */
static bool
subjects_meet(const struct xf_conf_migration *m, const char *pattern)
{
	struct xf_buffer old = {0}, new = {0};
	bool meet;

	xf_template_pattern_from(m->sides[0].template, xf_str(pattern), &old);
	xf_template_pattern_from(m->sides[1].template, xf_str(pattern), &new);
	meet = xf_subject_overlap((struct xf_str){old.data, old.len}, (struct xf_str){new.data, new.len});
	xf_buffer_fini(&old);
	xf_buffer_fini(&new);
	return meet;
}

/* By what the routes let in, or by anything where no route uses it. */
static bool
sides_meet(const struct xf_loading *l, const struct xf_conf_migration *m)
{
	bool used = false;

	if (!xf_template_may_equal(m->sides[0].template, m->sides[1].template))
		return false;
	for (size_t r = 0; r < l->conf->route_count; r++) {
		const struct xf_conf_route *route = &l->routes[r];

		if (route->migration != m)
			continue;
		for (size_t s = 0; s < route->source_count; s++) {
			used = true;
			if (route->sources[s].subject != NULL && subjects_meet(m, route->sources[s].subject))
				return true;
		}
	}
	return !used && subjects_meet(m, ">");
}

static void
sides_check(struct addresses *a, const struct xf_conf_migration *m)
{
	const struct xf_conf_endpoint *old = &m->sides[0], *new = &m->sides[1];
	const char *subject;
	char text[1024];

	if (!xf_endpoint_sound(old) || !xf_endpoint_sound(new) ||
	    address_of(a, old, true, &subject) != address_of(a, new, true, &subject))
		return;
	/* without an address, only the options can tell two places of one transport apart */
	if (!address_ask(a->l, old, true, text, sizeof(text)) && !xf_config_equal(old->options, new->options))
		return;
	if (!sides_meet(a->l, m))
		return;
	xf_report_error(a->l->report, new->place,
	                "migration '%s': new: the same place as 'old' at %s: transport '%s', subject '%s'; expected "
	                "another transport, or another subject",
	                m->name, xf_place_text(a->l->arena, old->place), new->transport->name, new->subject);
}

static void
key_check(struct xf_loading *l, size_t index)
{
	const struct xf_conf_migration *m = &l->migrations[index];

	if (m->key == NULL || !xf_template_uses_id(m->key))
		return;
	for (size_t r = 0; r < l->conf->route_count; r++) {
		const struct xf_conf_route *route = &l->routes[r];

		if (route->migration != m)
			continue;
		for (size_t s = 0; s < route->source_count; s++) {
			const struct xf_conf_endpoint *source = &route->sources[s];

			if (!xf_endpoint_sound(source) || source->traits & XF_TRAIT_IDS)
				continue;
			xf_report_warning(l->report, l->migration_key[index],
			                  "migration '%s': the key '%.*s' falls back on the message id, and what comes from "
			                  "'%s' in route '%s' has no lasting one: such messages keep no order; expected "
			                  "another last alternative, like {key|subject}",
			                  m->name, XF_STR_ARG(xf_template_text(m->key)), source->transport->name,
			                  route->name);
			return;
		}
	}
}

static void
migrations_check(struct addresses *a)
{
	struct xf_loading *l = a->l;

	for (size_t i = 0; i < l->conf->migration_count; i++) {
		bool used = false;

		for (size_t r = 0; r < l->conf->route_count; r++)
			used = used || l->routes[r].migration == &l->migrations[i];
		if (!used)
			xf_report_warning(l->report, l->migrations[i].place,
			                  "migration '%s' is not used by any route; expected one with 'to: {migration: %s}'",
			                  l->migrations[i].name, l->migrations[i].name);
		sides_check(a, &l->migrations[i]);
		key_check(l, i);
	}
}

/* ---- Loops ------------------------------------------------------------------ */

/* One source of one route, and where its messages can come out. */
struct node {
	size_t route;
	size_t source_address;
	const char *source_subject;
	size_t sink_count;
	size_t sink_address[2];
	char *sink_pattern[2];
	/* of the search */
	enum { NEW, OPEN, DONE } state;
	size_t parent;
	bool told; /* a loop that closes here */
};

struct graph {
	struct addresses *a;
	struct node *nodes;
	size_t count;
};

static void
node_add(struct graph *graph, size_t r, const struct xf_conf_endpoint *source)
{
	const struct xf_conf_route *route = &graph->a->l->routes[r];
	struct node *node;

	graph->nodes = xf_grow_array(graph->nodes, graph->count, graph->count + 1, sizeof(*graph->nodes));
	node = &graph->nodes[graph->count++];
	node->route = r;
	node->source_subject = source->subject;
	node->source_address = address_of(graph->a, source, false, &node->source_subject);
	for (size_t i = 0; i < 2; i++) {
		const struct xf_conf_endpoint *sink = route->migration != NULL ? &route->migration->sides[i]
		                                      : i < route->sink_count  ? &route->sinks[i]
		                                                               : NULL;
		struct xf_buffer pattern = {0};
		const char *subject;

		if (sink == NULL || !xf_endpoint_sound(sink))
			continue;
		xf_template_pattern_from(sink->template, xf_str(source->subject), &pattern);
		node->sink_address[node->sink_count] = address_of(graph->a, sink, true, &subject);
		node->sink_pattern[node->sink_count++] = pattern.data;
	}
}

static bool
node_feeds(const struct node *from, const struct node *to)
{
	for (size_t i = 0; i < from->sink_count; i++)
		if (from->sink_address[i] == to->source_address &&
		    xf_subject_overlap(xf_str(from->sink_pattern[i]), xf_str(to->source_subject)))
			return true;
	return false;
}

/* "'a' -> 'b' -> 'c' -> 'a'": the open nodes from TO to FROM, which feeds TO again. */
static const char *
loop_text(const struct graph *graph, size_t from, size_t to)
{
	enum { NAMES_MAX = 8 };
	const struct xf_loading *l = graph->a->l;
	const char *text = xf_arena_format(l->arena, "'%s'", l->routes[graph->nodes[to].route].name);
	size_t names = 0, at = from;

	for (; at != to && names < NAMES_MAX; at = graph->nodes[at].parent, names++)
		text = xf_arena_format(l->arena, "'%s' -> %s", l->routes[graph->nodes[at].route].name, text);
	return xf_arena_format(l->arena, "'%s' -> %s%s", l->routes[graph->nodes[to].route].name,
	                       at != to ? "... -> " : "", text);
}

/* Reported where the last one publishes. */
static void
loop_report(const struct graph *graph, size_t from, size_t to)
{
	struct xf_loading *l = graph->a->l;
	const struct node *last = &graph->nodes[from], *first = &graph->nodes[to];

	if (last->route == first->route)
		xf_report_error(l->report, l->to[last->route],
		                "route '%s': to: a publishing loop: it can publish '%s', which it consumes itself; expected "
		                "a subject or transport that it does not consume",
		                l->routes[last->route].name, first->source_subject);
	else
		xf_report_error(l->report, l->to[last->route],
		                "route '%s': to: a publishing loop: it can publish '%s', which comes back through %s; "
		                "expected a subject or transport that they do not consume",
		                l->routes[last->route].name, first->source_subject, loop_text(graph, from, to));
}

/* Depth first without recursion: a chain of routes may be long. A way back to an open node is a loop; of each
 * node's, the first is told. */
static void
loops_search(struct graph *graph, size_t start)
{
	size_t *next = xf_alloc_array(graph->count, sizeof(*next)); /* the neighbour to look at */
	size_t at = start;

	graph->nodes[at].state = OPEN;
	graph->nodes[at].parent = start;
	for (;;) {
		struct node *node = &graph->nodes[at];
		size_t to = next[at]++;

		if (to == graph->count) {
			node->state = DONE;
			if (at == start)
				break;
			at = node->parent;
		} else if (graph->nodes[to].state != DONE && node_feeds(node, &graph->nodes[to])) {
			if (graph->nodes[to].state == OPEN) {
				if (!node->told)
					loop_report(graph, at, to);
				node->told = true;
			} else {
				graph->nodes[to].state = OPEN;
				graph->nodes[to].parent = at;
				at = to;
			}
		}
	}
	free(next);
}

static void
loops_check(struct addresses *a)
{
	struct graph graph = {.a = a};

	for (size_t r = 0; r < a->l->conf->route_count; r++)
		for (size_t s = 0; s < a->l->routes[r].source_count; s++)
			if (xf_endpoint_sound(&a->l->routes[r].sources[s]))
				node_add(&graph, r, &a->l->routes[r].sources[s]);
	for (size_t i = 0; i < graph.count; i++)
		if (graph.nodes[i].state == NEW)
			loops_search(&graph, i);
	for (size_t i = 0; i < graph.count; i++)
		for (size_t s = 0; s < graph.nodes[i].sink_count; s++)
			free(graph.nodes[i].sink_pattern[s]);
	free(graph.nodes);
}

void
xf_conf_check(struct xf_loading *loading)
{
	struct addresses addresses = {.l = loading};

	migrations_check(&addresses);
	loops_check(&addresses);
	addresses_fini(&addresses);
}
