/*
 * A trie on tokens, but for two things.
 *
 * A pattern without wildcards is not taken apart: it is one edge from a root of its own, found by hashing the whole
 * subject. So most look-ups are one hash and one comparison, and literal patterns make nobody's walk longer. The trie
 * proper holds only patterns with wildcards, and costs nothing while there are none.
 *
 * All edges stand in one hash table, from (parent, text) to the node behind; only `*` is a pointer of the node, and
 * `>`, behind which nothing comes, is part of it. The table is probed linearly and has no tombstones: what stands
 * behind a removed edge moves up.
 */
#include "subjects.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define EDGES_MIN 16u

/* Those of a pattern; one, as there mostly is, stands where the others would be pointed to. */
struct values {
	union {
		void *one;
		void **many;
	} at;
	uint32_t count;
	uint32_t size; /* 0: room for one */
};

/* Where a pattern, or the beginning of some, ends. With a short text it is one line of the cache: that is what a look-up
 * among many waits for. */
struct node {
	struct values values; /* of the pattern that ends here */
	struct values tail;   /* of the one that goes on with a last ">" */
	struct node *star;    /* behind it a "*" */
	struct node *parent;
	uint32_t children; /* edges, and the star */
	uint32_t len;      /* of the text on the way here */
	char text[];
};

struct edge {
	uint64_t hash;
	struct node *node; /* NULL: a free place */
};

struct subjects {
	struct node *literals; /* the root of whole patterns */
	struct node *root;     /* of those with wildcards */
	struct edge *edges;
	size_t size; /* a power of two, more than half of it free */
	size_t used;
	size_t count; /* of values */
};

static struct node *
node_create(struct node *parent, const char *text, size_t len)
{
	struct node *node = calloc(1, sizeof(*node) + len);

	if (node == NULL)
		return NULL;
	node->parent = parent;
	node->len = (uint32_t)len;
	memcpy(node->text, text, len);
	return node;
}

static void *const *
values_items(const struct values *values)
{
	return values->size > 0 ? values->at.many : &values->at.one;
}

static void
values_fini(struct values *values)
{
	if (values->size > 0)
		free(values->at.many);
}

static void
node_free(struct node *node)
{
	if (node == NULL)
		return;
	node_free(node->star);
	values_fini(&node->values);
	values_fini(&node->tail);
	free(node);
}

struct subjects *
subjects_create(void)
{
	struct subjects *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->size = EDGES_MIN;
	s->edges = calloc(s->size, sizeof(*s->edges));
	s->literals = node_create(NULL, "", 0);
	s->root = node_create(NULL, "", 0);
	if (s->edges == NULL || s->literals == NULL || s->root == NULL)
		subjects_destroy(&s);
	return s;
}

void
subjects_destroy(struct subjects **subjects)
{
	struct subjects *s = *subjects;

	*subjects = NULL;
	if (s == NULL)
		return;
	/* each node hangs on one edge, or is the star of another */
	for (size_t i = 0; s->edges != NULL && i < s->size; i++)
		node_free(s->edges[i].node);
	node_free(s->literals);
	node_free(s->root);
	free(s->edges);
	free(s);
}

size_t
subjects_count(const struct subjects *subjects)
{
	return subjects->count;
}

/* ---- Edges ----------------------------------------------------------------------- */

static uint64_t
edge_hash(const struct node *parent, const char *text, size_t len)
{
	return XXH3_64bits_withSeed(text, len, (uint64_t)(uintptr_t)parent);
}

/* The place of the edge, or the free one where it would stand. */
static struct edge *
edge_find(const struct subjects *s, const struct node *parent, const char *text, size_t len, uint64_t hash)
{
	size_t mask = s->size - 1;

	for (size_t at = hash & mask;; at = (at + 1) & mask) {
		struct edge *edge = &s->edges[at];

		if (edge->node == NULL || (edge->hash == hash && edge->node->parent == parent && edge->node->len == len &&
		                           memcmp(edge->node->text, text, len) == 0))
			return edge;
	}
}

/* Room for one more. */
static bool
edges_reserve(struct subjects *s)
{
	struct edge *old = s->edges, *grown;
	size_t old_size = s->size, mask, at;

	if (s->used * 2 < s->size)
		return true;
	grown = calloc(s->size * 2, sizeof(*grown));
	if (grown == NULL)
		return false;
	s->edges = grown;
	s->size *= 2;
	mask = s->size - 1;
	for (size_t i = 0; i < old_size; i++) {
		if (old[i].node == NULL)
			continue;
		for (at = old[i].hash & mask; grown[at].node != NULL; at = (at + 1) & mask)
			;
		grown[at] = old[i];
	}
	free(old);
	return true;
}

static void
edge_remove(struct subjects *s, struct edge *edge)
{
	size_t mask = s->size - 1, hole = (size_t)(edge - s->edges);

	for (size_t at = (hole + 1) & mask; s->edges[at].node != NULL; at = (at + 1) & mask) {
		/* one that may stand in the hole: its own place is not behind the hole */
		if (((at - s->edges[at].hash) & mask) < ((at - hole) & mask))
			continue;
		s->edges[hole] = s->edges[at];
		hole = at;
	}
	s->edges[hole] = (struct edge){0, NULL};
	s->used--;
}

/* ---- The way of a pattern ---------------------------------------------------------- */

static size_t
token_len(const char *text, size_t len)
{
	const char *dot = memchr(text, '.', len);

	return dot != NULL ? (size_t)(dot - text) : len;
}

/* Whether a token of the pattern is a wildcard. */
static bool
is_wild(struct xf_str pattern)
{
	while (pattern.len > 0) {
		size_t len = token_len(pattern.data, pattern.len);

		if (len == 1 && (pattern.data[0] == '*' || pattern.data[0] == '>'))
			return true;
		len += len < pattern.len;
		pattern.data += len;
		pattern.len -= len;
	}
	return false;
}

/* What lies behind PARENT over TEXT; it is made if MAKE. NULL: it is not there, or no memory. */
static struct node *
node_step(struct subjects *s, struct node *parent, const char *text, size_t len, bool star, bool make)
{
	struct edge *edge;
	struct node *node;
	uint64_t hash;

	if (star && parent->star != NULL)
		return parent->star;
	if (make && !edges_reserve(s))
		return NULL;
	hash = edge_hash(parent, text, len);
	edge = star ? NULL : edge_find(s, parent, text, len, hash);
	if (!make || (edge != NULL && edge->node != NULL))
		return edge != NULL ? edge->node : NULL;
	node = node_create(parent, text, len);
	if (node == NULL)
		return NULL;
	parent->children++;
	if (star) {
		parent->star = node;
	} else {
		*edge = (struct edge){hash, node};
		s->used++;
	}
	return node;
}

/* Nodes that nothing ends at and nothing hangs on go. */
static void
node_prune(struct subjects *s, struct node *node)
{
	while (node->parent != NULL && node->values.count == 0 && node->tail.count == 0 && node->children == 0) {
		struct node *parent = node->parent;

		if (parent->star == node)
			parent->star = NULL;
		else
			edge_remove(s, edge_find(s, parent, node->text, node->len,
			                         edge_hash(parent, node->text, node->len)));
		parent->children--;
		node_free(node);
		node = parent;
	}
}

/* Where a pattern ends: its values, and the node that has them. */
struct ending {
	struct node *node;
	struct values *values; /* NULL: it is not there, or no memory */
};

static struct ending
pattern_find(struct subjects *s, struct xf_str pattern, bool make)
{
	struct node *node = s->root, *next;

	if (!is_wild(pattern)) {
		node = node_step(s, s->literals, pattern.data, pattern.len, false, make);
		return (struct ending){node, node != NULL ? &node->values : NULL};
	}
	for (;;) {
		size_t len = token_len(pattern.data, pattern.len);

		if (len == pattern.len && len == 1 && pattern.data[0] == '>')
			return (struct ending){node, &node->tail};
		next = node_step(s, node, pattern.data, len, len == 1 && pattern.data[0] == '*', make);
		if (next == NULL) {
			if (make)
				node_prune(s, node);
			return (struct ending){NULL, NULL};
		}
		node = next;
		if (len == pattern.len)
			return (struct ending){node, &node->values};
		pattern.data += len + 1;
		pattern.len -= len + 1;
	}
}

/* ---- Values ---------------------------------------------------------------------------- */

static bool
values_add(struct values *values, void *value)
{
	uint32_t size = (values->count + 1) * 2;
	void **grown;

	if (values->count == 0 && values->size == 0) {
		values->at.one = value;
		values->count = 1;
		return true;
	}
	if (values->count == (values->size > 0 ? values->size : 1)) {
		grown = realloc(values->size > 0 ? values->at.many : NULL, size * sizeof(*grown));
		if (grown == NULL)
			return false;
		if (values->size == 0)
			grown[0] = values->at.one;
		values->at.many = grown;
		values->size = size;
	}
	values->at.many[values->count++] = value;
	return true;
}

static bool
values_remove(struct values *values, const void *value)
{
	void *const *items = values_items(values);

	for (uint32_t i = 0; i < values->count; i++) {
		if (items[i] != value)
			continue;
		values->count--;
		if (values->size > 0)
			values->at.many[i] = values->at.many[values->count];
		return true;
	}
	return false;
}

bool
subjects_add(struct subjects *subjects, struct xf_str pattern, void *value)
{
	struct ending end = pattern_find(subjects, pattern, true);

	if (end.values == NULL)
		return false;
	if (!values_add(end.values, value)) {
		node_prune(subjects, end.node);
		return false;
	}
	subjects->count++;
	return true;
}

bool
subjects_remove(struct subjects *subjects, struct xf_str pattern, void *value)
{
	struct ending end = pattern_find(subjects, pattern, false);

	if (end.values == NULL || !values_remove(end.values, value))
		return false;
	subjects->count--;
	node_prune(subjects, end.node);
	return true;
}

void *const *
subjects_under(const struct subjects *subjects, struct xf_str pattern, size_t *count)
{
	/* changes nothing, as nothing is made */
	struct ending end = pattern_find((struct subjects *)(uintptr_t)subjects, pattern, false);

	*count = end.values != NULL ? end.values->count : 0;
	return *count > 0 ? values_items(end.values) : NULL;
}

/* ---- Look-up --------------------------------------------------------------------------- */

static inline void **
values_put(const struct values *values, void **out)
{
	void *const *items = values_items(values);

	for (uint32_t i = 0; i < values->count; i++)
		*out++ = items[i];
	return out;
}

/* What matches from NODE on, where the REST of the subject begins. Only a `*` beside a token that matches too makes
 * the walk fork. */
static void **
walk(const struct subjects *s, const struct node *node, const char *rest, size_t rest_len, void **out)
{
	for (;;) {
		size_t len = token_len(rest, rest_len);
		const struct node *next = NULL;

		out = values_put(&node->tail, out);
		if (node->children > (node->star != NULL))
			next = edge_find(s, node, rest, len, edge_hash(node, rest, len))->node;
		if (len == rest_len) {
			out = next != NULL ? values_put(&next->values, out) : out;
			return node->star != NULL ? values_put(&node->star->values, out) : out;
		}
		rest += len + 1;
		rest_len -= len + 1;
		if (next != NULL && node->star != NULL)
			out = walk(s, node->star, rest, rest_len, out);
		node = next != NULL ? next : node->star;
		if (node == NULL)
			return out;
	}
}

size_t
subjects_match(const struct subjects *subjects, struct xf_str subject, void **out)
{
	void **end = out;
	const struct node *literal;

	if (subjects->literals->children > 0) {
		literal = edge_find(subjects, subjects->literals, subject.data, subject.len,
		                    edge_hash(subjects->literals, subject.data, subject.len))->node;
		end = literal != NULL ? values_put(&literal->values, end) : end;
	}
	if (subjects->root->children > 0 || subjects->root->tail.count > 0)
		end = walk(subjects, subjects->root, subject.data, subject.len, end);
	return (size_t)(end - out);
}
