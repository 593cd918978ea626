/*
 * A publishing loop is a cycle in the graph of (route, source): from one to another where some sink of the
 * first can publish what the second consumes. Subjects are patterns: of a source its own, of a sink what its
 * template can make of what the route's source lets in. Patterns may be wider than the messages, so a loop that
 * is reported may need an unlucky message; one that is not reported cannot happen inside this configuration.
 *
 * The search goes depth first. Whom a sink feeds is asked of a tree: below each place the tokens of the sources'
 * patterns, and at each branch how many nodes below it are new, and how many open; what is done with is neither, so
 * nothing is looked at twice. That keeps ten thousand routes within a fraction of a second.
 */
#include "conf/loops.h"

#include <stdlib.h>
#include <uthash.h>
#include <xxhash.h>

#include "base/memory.h"
#include "base/subject.h"
#include "conf/endpoint.h"

enum state { NEW, OPEN, DONE };

enum {
	DEPTH_MAX = 64, /* of a pattern with more tokens, those behind are as if they were `>` */
	AHEAD = 4,
};

struct branch {
	struct xf_str token;
	struct branch *parent;
	struct branch *children; /* by token */
	size_t *nodes;           /* whose pattern ends here */
	size_t node_count;
	size_t node_size;
	size_t counts[2]; /* of nodes here and below that are NEW, OPEN */
	uint64_t ahead[AHEAD]; /* bits of the tokens that come one, two, ... below; all, where there are wildcards */
	UT_hash_handle hh;
};

/* Where messages can come out. */
struct outlet {
	size_t place;
	char *pattern;
};

/* One source of one route. */
struct node {
	size_t route;
	size_t place;
	const char *subject;
	struct branch *leaf;
	struct outlet outlets[XF_CONF_SINKS_MAX + 1]; /* and one for dead letters */
	size_t outlet_count;
	enum state state;
	size_t parent;
};

struct graph {
	struct xf_places *places;
	struct node *nodes;
	size_t count;
	struct branch *roots; /* a place each, by number */
	const struct node **told; /* of each route: where the loop that was told last leads to */
};

#define NOBODY ((size_t)-1)

/* ---- The tree --------------------------------------------------------------- */

/* A pattern by its tokens, with a bit for each that has no wildcard. */
struct path {
	struct xf_str tokens[DEPTH_MAX + 1];
	uint64_t bits[DEPTH_MAX + 1];
	unsigned count;
};

/* Borrows PATTERN. */
static void
path_make(struct path *path, struct xf_str pattern)
{
	for (path->count = 0; pattern.len > 0; path->count++) {
		struct xf_str token = path->count < DEPTH_MAX ? xf_subject_token(pattern, 1) : xf_str(">");
		bool wild = xf_str_is(token, "*") || xf_str_is(token, ">");

		path->tokens[path->count] = token;
		path->bits[path->count] = wild ? 0 : UINT64_C(1) << (XXH3_64bits(token.data, token.len) % 64);
		if (xf_str_is(token, ">")) {
			path->count++;
			return;
		}
		pattern.data += token.len;
		pattern.len -= token.len;
		if (pattern.len > 0) {
			pattern.data++;
			pattern.len--;
		}
	}
}

static struct branch *
child_find(struct branch *branch, struct xf_str token)
{
	struct branch *child;

	HASH_FIND(hh, branch->children, token.data, (unsigned)token.len, child);
	return child;
}

/* Notes what comes below BRANCH, which is at DEPTH of PATH. */
static void
branch_note(struct branch *branch, const struct path *path, unsigned depth)
{
	for (unsigned k = 0; k < AHEAD && depth + k < path->count; k++) {
		uint64_t bits = path->bits[depth + k];

		branch->ahead[k] |= bits != 0 ? bits : UINT64_MAX;
		for (unsigned more = k + 1; more < AHEAD && xf_str_is(path->tokens[depth + k], ">"); more++)
			branch->ahead[more] = UINT64_MAX;
	}
}

static struct branch *
leaf_make(struct branch *branch, const struct path *path)
{
	for (unsigned depth = 0; depth < path->count; depth++) {
		struct branch *child = child_find(branch, path->tokens[depth]);

		branch_note(branch, path, depth);
		if (child == NULL) {
			child = xf_alloc(sizeof(*child));
			child->token = path->tokens[depth];
			child->parent = branch;
			HASH_ADD_KEYPTR(hh, branch->children, child->token.data, (unsigned)child->token.len, child);
		}
		branch = child;
	}
	return branch;
}

static void
branch_fini(struct branch *branch)
{
	struct branch *child, *next;

	HASH_ITER(hh, branch->children, child, next)
	{
		HASH_DEL(branch->children, child);
		branch_fini(child);
		free(child);
	}
	free(branch->nodes);
}

static void
node_count(struct node *node, enum state state, size_t change)
{
	for (struct branch *b = node->leaf; state != DONE && b != NULL; b = b->parent)
		b->counts[state] += change;
}

static void
node_turn(struct node *node, enum state state)
{
	node_count(node, node->state, (size_t)-1);
	node->state = state;
	node_count(node, state, 1);
}

/* A node at this very branch in STATE. */
static size_t
here_find(const struct graph *graph, const struct branch *branch, enum state state)
{
	for (size_t i = 0; i < branch->node_count; i++)
		if (graph->nodes[branch->nodes[i]].state == state)
			return branch->nodes[i];
	return NOBODY;
}

/* A node at or below BRANCH in STATE; there is one. */
static size_t
below_find(const struct graph *graph, const struct branch *branch, enum state state)
{
	size_t found = here_find(graph, branch, state);

	while (found == NOBODY) {
		const struct branch *child = branch->children;

		while (child->counts[state] == 0)
			child = child->hh.next;
		branch = child;
		found = here_find(graph, branch, state);
	}
	return found;
}

/* False where nothing below BRANCH can meet the rest of PATH, by the tokens next to come. */
static bool
may_meet(const struct branch *branch, const struct path *path, unsigned depth)
{
	for (unsigned k = 0; k < AHEAD && depth + k < path->count; k++) {
		uint64_t bits = path->bits[depth + k];

		if (bits != 0 && !(branch->ahead[k] & bits))
			return false;
	}
	return true;
}

/* A node in STATE below BRANCH whose pattern meets PATH from DEPTH on, or NOBODY. */
static size_t
meeting_find(const struct graph *graph, struct branch *branch, const struct path *path, unsigned depth, enum state state)
{
	struct branch *child, *next;
	struct xf_str token;
	size_t found;

	if (branch == NULL || branch->counts[state] == 0)
		return NOBODY;
	if (depth == path->count)
		return here_find(graph, branch, state);
	if (!may_meet(branch, path, depth))
		return NOBODY;
	child = child_find(branch, xf_str(">"));
	if (child != NULL && child->counts[state] > 0)
		return here_find(graph, child, state);
	token = path->tokens[depth++];
	if (xf_str_is(token, ">")) {
		HASH_ITER(hh, branch->children, child, next)
		if (child->counts[state] > 0)
			return below_find(graph, child, state);
		return NOBODY;
	}
	if (!xf_str_is(token, "*")) {
		found = meeting_find(graph, child_find(branch, xf_str("*")), path, depth, state);
		return found != NOBODY ? found : meeting_find(graph, child_find(branch, token), path, depth, state);
	}
	HASH_ITER(hh, branch->children, child, next)
	if ((found = meeting_find(graph, child, path, depth, state)) != NOBODY)
		return found;
	return NOBODY;
}

static size_t
fed_find(const struct graph *graph, const struct node *node, enum state state)
{
	size_t found = NOBODY;

	for (size_t i = 0; i < node->outlet_count && found == NOBODY; i++) {
		struct path path;

		path_make(&path, xf_str(node->outlets[i].pattern));
		found = meeting_find(graph, &graph->roots[node->outlets[i].place], &path, 0, state);
	}
	return found;
}

/* ---- The graph -------------------------------------------------------------- */

static void
outlet_add(struct graph *graph, struct node *node, const struct xf_conf_endpoint *source,
           const struct xf_conf_endpoint *sink)
{
	struct outlet *outlet = &node->outlets[node->outlet_count];
	struct xf_buffer pattern = {0};
	const char *subject;

	/* what is in place is never published to */
	if (!xf_endpoint_sound(sink) || sink->in_place)
		return;
	xf_template_pattern_from(sink->template, xf_str(source->subject), &pattern);
	outlet->place = xf_places_number(graph->places, sink, true, &subject);
	outlet->pattern = pattern.data;
	node->outlet_count++;
}

static void
node_add(struct graph *graph, size_t r, const struct xf_conf_endpoint *source)
{
	const struct xf_conf_route *route = &graph->places->l->routes[r];
	struct node *node = &graph->nodes[graph->count++];

	node->route = r;
	node->subject = source->subject;
	node->place = xf_places_number(graph->places, source, false, &node->subject);
	for (size_t i = 0; i < route->sink_count; i++)
		outlet_add(graph, node, source, &route->sinks[i]);
	if (route->dead_letter != NULL)
		outlet_add(graph, node, source, route->dead_letter);
	/* that a route writes what it reads is said already */
	for (size_t i = 0; i < 2 && route->migration != NULL && route->migration != source->migration; i++)
		outlet_add(graph, node, source, &route->migration->sides[i]);
}

static void
graph_init(struct graph *graph, struct xf_places *places)
{
	const struct xf_loading *l = places->l;

	*graph = (struct graph){
		.places = places,
		.nodes = xf_alloc_array(l->source_count, sizeof(*graph->nodes)),
		.told = xf_alloc_array(l->conf->route_count, sizeof(*graph->told)),
	};
	for (size_t r = 0; r < l->conf->route_count; r++)
		for (size_t s = 0; s < l->routes[r].source_count; s++)
			if (xf_endpoint_sound(&l->routes[r].sources[s]))
				node_add(graph, r, &l->routes[r].sources[s]);
	graph->roots = xf_alloc_array(places->texts.count, sizeof(*graph->roots));
	for (size_t i = 0; i < graph->count; i++) {
		struct node *node = &graph->nodes[i];
		struct branch *leaf;
		struct path path;

		path_make(&path, xf_str(node->subject));
		leaf = leaf_make(&graph->roots[node->place], &path);
		if (leaf->node_count == leaf->node_size) {
			size_t size = leaf->node_size > 0 ? leaf->node_size * 2 : 1;

			leaf->nodes = xf_grow_array(leaf->nodes, leaf->node_size, size, sizeof(*leaf->nodes));
			leaf->node_size = size;
		}
		leaf->nodes[leaf->node_count++] = i;
		node->leaf = leaf;
		node_count(node, NEW, 1);
	}
}

static void
graph_fini(struct graph *graph)
{
	for (size_t i = 0; i < graph->count; i++)
		for (size_t o = 0; o < graph->nodes[i].outlet_count; o++)
			free(graph->nodes[i].outlets[o].pattern);
	for (size_t i = 0; i < graph->places->texts.count; i++)
		branch_fini(&graph->roots[i]);
	free(graph->told);
	free(graph->roots);
	free(graph->nodes);
}

/* ---- The search ------------------------------------------------------------- */

/* "'a' -> 'b' -> 'c' -> 'a'": the open nodes from TO to FROM, which feeds TO again. */
static const char *
loop_text(const struct graph *graph, size_t from, size_t to)
{
	enum { NAMES_MAX = 8 };
	const struct xf_loading *l = graph->places->l;
	const char *text = xf_arena_format(l->arena, "'%s'", l->routes[graph->nodes[to].route].name);
	size_t names = 0, at = from;

	for (; at != to && names < NAMES_MAX; at = graph->nodes[at].parent, names++)
		text = xf_arena_format(l->arena, "'%s' -> %s", l->routes[graph->nodes[at].route].name, text);
	return xf_arena_format(l->arena, "'%s' -> %s%s", l->routes[graph->nodes[to].route].name,
	                       at != to ? "... -> " : "", text);
}

/* Reported where the last one publishes; for several sources of a route that lead to the same, once. */
static void
loop_report(const struct graph *graph, size_t from, size_t to)
{
	struct xf_loading *l = graph->places->l;
	const struct node *last = &graph->nodes[from], *first = &graph->nodes[to], *told = graph->told[last->route];

	if (told != NULL && told->route == first->route && strcmp(told->subject, first->subject) == 0)
		return;
	graph->told[last->route] = first;
	if (last->route == first->route)
		xf_report_error(l->report, l->route_notes[last->route].to,
		                "route '%s': to: a publishing loop: it can publish '%s', which it consumes itself; expected "
		                "a subject or transport that it does not consume",
		                l->routes[last->route].name, first->subject);
	else
		xf_report_error(l->report, l->route_notes[last->route].to,
		                "route '%s': to: a publishing loop: it can publish '%s', which comes back through %s; "
		                "expected a subject or transport that they do not consume",
		                l->routes[last->route].name, first->subject, loop_text(graph, from, to));
}

/* Without recursion: a chain of routes may be long. A way back to an open node is a loop; of each node's, one is
 * told. */
static void
loops_search(struct graph *graph, size_t start)
{
	size_t at = start, to;

	node_turn(&graph->nodes[at], OPEN);
	for (;;) {
		struct node *node = &graph->nodes[at];

		to = fed_find(graph, node, NEW);
		if (to != NOBODY) {
			graph->nodes[to].parent = at;
			node_turn(&graph->nodes[to], OPEN);
			at = to;
			continue;
		}
		to = fed_find(graph, node, OPEN);
		if (to != NOBODY)
			loop_report(graph, at, to);
		node_turn(node, DONE);
		if (at == start)
			return;
		at = node->parent;
	}
}

void
xf_loops_check(struct xf_places *places)
{
	struct graph graph;

	graph_init(&graph, places);
	for (size_t i = 0; i < graph.count; i++)
		if (graph.nodes[i].state == NEW)
			loops_search(&graph, i);
	graph_fini(&graph);
}
