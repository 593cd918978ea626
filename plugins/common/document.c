/*
 * A parse makes one array of nodes, which is kept for the next text unless it is large. A node that is removed is only marked.
 * A change marks all nodes above it, so that printing knows which texts are still whole.
 */
#include "document.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "pointer.h"

#define KEPT_MAX 4096u /* nodes */

struct made {
	struct made *next;
	char data[];
};

struct parser {
	struct document *document;
	const char *text;
	const char *at;
	const char *end;
};

/* ---- Memory --------------------------------------------------------------------- */

static char *
made_take(struct document *d, size_t size)
{
	struct made *made = need(malloc(sizeof(*made) + size));

	made->next = d->made;
	d->made = made;
	return made->data;
}

static struct xf_str
made_copy(struct document *d, const char *data, size_t len)
{
	char *copy = made_take(d, len);

	if (len > 0)
		memcpy(copy, data, len);
	return (struct xf_str){copy, len};
}

void
document_forget(struct document *d, const struct made *mark)
{
	for (struct made *next; d->made != mark; d->made = next) {
		next = d->made->next;
		free(d->made);
	}
}

void
document_fini(struct document *d)
{
	document_forget(d, NULL);
	free(d->nodes);
	*d = (struct document){.nodes = NULL};
}

/* 0: there are too many. */
static uint32_t
node_add(struct document *d)
{
	if (d->count > DOCUMENT_VALUES_MAX)
		return 0;
	if (d->count == d->size) {
		d->size = d->size > 0 ? d->size * 2 : 64;
		d->nodes = need(realloc(d->nodes, d->size * sizeof(*d->nodes)));
	}
	memset(&d->nodes[d->count], 0, sizeof(*d->nodes));
	return d->count++;
}

/* NODE becomes the last child of PARENT. */
static void
node_append(struct document *d, uint32_t parent, uint32_t node)
{
	d->nodes[node].parent = parent;
	d->nodes[node].next = 0;
	if (d->nodes[parent].last != 0)
		d->nodes[d->nodes[parent].last].next = node;
	else
		d->nodes[parent].child = node;
	d->nodes[parent].last = node;
}

/* ---- Parsing ---------------------------------------------------------------------- */

static bool
fail(struct parser *p, const char *why)
{
	if (p->document->wrong == NULL) {
		p->document->wrong = why;
		p->document->wrong_at = (size_t)(p->at - p->text);
	}
	return false;
}

static void
space_skip(struct parser *p)
{
	while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\r' || *p->at == '\n'))
		p->at++;
}

static bool
byte_take(struct parser *p, char c)
{
	if (p->at == p->end || *p->at != c)
		return false;
	p->at++;
	return true;
}

static bool
string_skip(struct parser *p, bool *escaped)
{
	if (!byte_take(p, '"'))
		return fail(p, "a string was expected");
	while (p->at < p->end) {
		unsigned char c = (unsigned char)*p->at;

		if (c < ' ')
			return fail(p, "a string has a control character");
		p->at++;
		if (c == '"')
			return true;
		if (c != '\\')
			continue;
		*escaped = true;
		if (p->at == p->end || *p->at == '\0' || strchr("\"\\/bfnrtu", *p->at) == NULL)
			return fail(p, "a string has an escape that JSON does not know");
		if (*p->at++ == 'u')
			for (int i = 0; i < 4; i++, p->at++)
				if (p->at == p->end || !isxdigit((unsigned char)*p->at))
					return fail(p, "a \\u has no four hexadecimal digits behind it");
	}
	return fail(p, "a string does not end");
}

static bool
digits_skip(struct parser *p)
{
	const char *start = p->at;

	while (p->at < p->end && *p->at >= '0' && *p->at <= '9')
		p->at++;
	return p->at > start || fail(p, "a digit was expected");
}

static bool
number_skip(struct parser *p)
{
	byte_take(p, '-');
	if (!byte_take(p, '0') && !digits_skip(p))
		return false;
	if (byte_take(p, '.') && !digits_skip(p))
		return false;
	if (byte_take(p, 'e') || byte_take(p, 'E')) {
		if (!byte_take(p, '+'))
			byte_take(p, '-');
		return digits_skip(p);
	}
	return true;
}

static bool
word_skip(struct parser *p, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(p->end - p->at) < len || memcmp(p->at, word, len) != 0)
		return fail(p, "a value was expected");
	p->at += len;
	return true;
}

static uint32_t value_parse(struct parser *p, unsigned depth);

/* p->at stands behind the opening brace or bracket. */
static bool
children_parse(struct parser *p, uint32_t parent, bool object, unsigned depth)
{
	char closing = object ? '}' : ']';

	if (depth == DOCUMENT_DEPTH_MAX)
		return fail(p, "it is nested too deeply");
	space_skip(p);
	if (byte_take(p, closing))
		return true;
	do {
		const char *name = NULL;
		uint32_t name_len = 0, child;
		bool escaped = false;

		space_skip(p);
		if (object) {
			name = p->at + 1;
			if (!string_skip(p, &escaped))
				return false;
			name_len = (uint32_t)(p->at - 1 - name);
			space_skip(p);
			if (!byte_take(p, ':'))
				return fail(p, "a ':' was expected");
			space_skip(p);
		}
		child = value_parse(p, depth + 1);
		if (child == 0)
			return false;
		p->document->nodes[child].name = name;
		p->document->nodes[child].name_len = name_len;
		p->document->nodes[child].name_escaped = escaped;
		node_append(p->document, parent, child);
		space_skip(p);
	} while (byte_take(p, ','));
	return byte_take(p, closing) || fail(p, object ? "a ',' or '}' was expected" : "a ',' or ']' was expected");
}

/* 0: there is none. */
static uint32_t
value_parse(struct parser *p, unsigned depth)
{
	const char *start = p->at;
	uint32_t node = node_add(p->document);
	enum node_type type = NODE_NUMBER;
	bool escaped = false, sound;

	if (node == 0)
		return fail(p, "it has too many values");
	switch (p->at < p->end ? *p->at : '\0') {
	case '{':
	case '[':
		type = *p->at++ == '{' ? NODE_OBJECT : NODE_ARRAY;
		sound = children_parse(p, node, type == NODE_OBJECT, depth);
		break;
	case '"':
		type = NODE_STRING;
		sound = string_skip(p, &escaped);
		break;
	case 't':
	case 'f':
		type = NODE_BOOL;
		sound = word_skip(p, *p->at == 't' ? "true" : "false");
		break;
	case 'n':
		type = NODE_NULL;
		sound = word_skip(p, "null");
		break;
	case '-':
	case '0' ... '9':
		sound = number_skip(p);
		break;
	default:
		sound = fail(p, "a value was expected");
	}
	if (!sound)
		return 0;
	p->document->nodes[node].type = (uint8_t)type;
	p->document->nodes[node].escaped = escaped;
	p->document->nodes[node].text = start;
	p->document->nodes[node].text_len = (uint32_t)(p->at - start);
	return node;
}

/* All of TEXT as one value; 0: it is none. */
static uint32_t
text_parse(struct document *d, struct xf_str text)
{
	struct parser p = {d, text.data, text.data, text.data + text.len};
	uint32_t node;

	d->wrong = NULL;
	if (text.len >= UINT32_MAX)
		return fail(&p, "it is too long");
	space_skip(&p);
	node = value_parse(&p, 0);
	if (node == 0)
		return 0;
	space_skip(&p);
	return p.at == p.end ? node : fail(&p, "something stands behind the value");
}

bool
document_parse(struct document *d, struct xf_str text)
{
	document_forget(d, NULL);
	if (d->size > KEPT_MAX) {
		free(d->nodes);
		d->nodes = NULL;
		d->size = 0;
	}
	d->count = 0;
	d->touched = false;
	node_add(d);
	return text_parse(d, text.len > 0 ? text : (struct xf_str){"", 0}) != 0;
}

/* ---- Looking ------------------------------------------------------------------------ */

static uint32_t
present(const struct document *d, uint32_t node)
{
	while (node != 0 && d->nodes[node].gone)
		node = d->nodes[node].next;
	return node;
}

uint32_t
document_first(const struct document *d, uint32_t node)
{
	return present(d, d->nodes[node].child);
}

uint32_t
document_next(const struct document *d, uint32_t node)
{
	return present(d, d->nodes[node].next);
}

/* What stands between a string's marks, decoded. */
static struct xf_str
decode(struct document *d, const char *text, size_t len)
{
	char *out = made_take(d, len);

	return (struct xf_str){out, json_unescape((struct xf_str){text, len}, out)};
}

struct xf_str
document_string(struct document *d, uint32_t node)
{
	const struct node *n = &d->nodes[node];

	if (n->escaped)
		return decode(d, n->text + 1, n->text_len - 2);
	return (struct xf_str){n->text + 1, n->text_len - 2};
}

struct xf_str
document_name(struct document *d, uint32_t node)
{
	struct node *n = &d->nodes[node];

	return n->name_escaped ? decode(d, n->name, n->name_len) : (struct xf_str){n->name, n->name_len};
}

/* A member's name is compared decoded, without a trace in the document. */
static bool
name_matches(const struct document *d, uint32_t node, struct xf_str token)
{
	const struct node *n = &d->nodes[node];
	struct document aside = {.nodes = NULL};
	bool matches;

	if (!n->name_escaped)
		return token_is(token, (struct xf_str){n->name, n->name_len});
	matches = token_is(token, decode(&aside, n->name, n->name_len));
	document_forget(&aside, NULL);
	return matches;
}

static uint32_t
child_find(const struct document *d, uint32_t node, struct xf_str token)
{
	uint32_t child, index;

	switch (d->nodes[node].type) {
	case NODE_OBJECT:
		for (child = document_first(d, node); child != 0; child = document_next(d, child))
			if (name_matches(d, child, token))
				return child;
		return 0;
	case NODE_ARRAY:
		if (!token_index(token, &index))
			return 0;
		for (child = document_first(d, node); child != 0; child = document_next(d, child))
			if (index-- == 0)
				return child;
		return 0;
	default:
		return 0;
	}
}

uint32_t
document_find(const struct document *d, struct xf_str pointer)
{
	uint32_t node = present(d, 1);

	while (node != 0 && pointer.len > 0)
		node = child_find(d, node, pointer_next(&pointer));
	return node;
}

/* ---- Changing ----------------------------------------------------------------------- */

static void
changed(struct document *d, uint32_t node)
{
	d->touched = true;
	for (; node != 0 && !d->nodes[node].changed; node = d->nodes[node].parent)
		d->nodes[node].changed = true;
}

static void
each_below(struct document *d, uint32_t node, struct xf_str pointer,
           void (*change)(struct document *d, uint32_t node, void *context), void *context)
{
	struct xf_str token;
	uint32_t index = 0, want = 0;
	bool all, object = d->nodes[node].type == NODE_OBJECT;

	if (pointer.len == 0) {
		change(d, node, context);
		return;
	}
	token = pointer_next(&pointer);
	all = token_is_star(token);
	if (!object && !all && !token_index(token, &want))
		return;
	for (uint32_t child = document_first(d, node), next; child != 0; child = next, index++) {
		next = document_next(d, child);
		if (all || (object ? name_matches(d, child, token) : index == want))
			each_below(d, child, pointer, change, context);
	}
}

void
document_each(struct document *d, struct xf_str pointer,
              void (*change)(struct document *d, uint32_t node, void *context), void *context)
{
	if (present(d, 1) != 0)
		each_below(d, 1, pointer, change, context);
}

static void
string_fill(struct document *d, uint32_t node, struct xf_str text)
{
	struct bytes json = {NULL, 0, 0};
	struct node *n = &d->nodes[node];
	struct xf_str kept;

	bytes_json(&json, text);
	kept = made_copy(d, json.data, json.len);
	bytes_fini(&json);
	n->type = NODE_STRING;
	n->text = kept.data;
	n->text_len = (uint32_t)kept.len;
	n->escaped = memchr(kept.data, '\\', kept.len) != NULL;
	n->child = n->last = 0;
	n->changed = false;
}

void
document_set_string(struct document *d, uint32_t node, struct xf_str text)
{
	string_fill(d, node, text);
	changed(d, d->nodes[node].parent);
}

void
document_remove(struct document *d, uint32_t node)
{
	d->nodes[node].gone = true;
	changed(d, d->nodes[node].parent);
}

uint32_t
document_make_string(struct document *d, struct xf_str text)
{
	uint32_t node = node_add(d);

	if (node != 0)
		string_fill(d, node, text);
	return node;
}

uint32_t
document_make(struct document *d, struct xf_str value)
{
	return text_parse(d, made_copy(d, value.data, value.len));
}

uint32_t
document_take(struct document *d, uint32_t node)
{
	uint32_t taken = node_add(d);

	if (taken == 0)
		return 0;
	document_remove(d, node);
	d->nodes[taken] = d->nodes[node];
	d->nodes[taken].gone = false;
	d->nodes[taken].parent = 0;
	for (uint32_t child = d->nodes[taken].child; child != 0; child = d->nodes[child].next)
		d->nodes[child].parent = taken;
	return taken;
}

/* NODE gets the name that TOKEN says. */
static void
name_set(struct document *d, uint32_t node, struct xf_str token)
{
	struct bytes plain = {NULL, 0, 0}, json = {NULL, 0, 0};
	struct xf_str kept;

	token_name(token, &plain);
	bytes_json(&json, (struct xf_str){plain.data, plain.len});
	kept = made_copy(d, json.data + 1, json.len - 2);
	d->nodes[node].name = kept.data;
	d->nodes[node].name_len = (uint32_t)kept.len;
	d->nodes[node].name_escaped = json.len - 2 != plain.len;
	bytes_fini(&plain);
	bytes_fini(&json);
}

/* VALUE takes the place of NODE, whose name and siblings it gets. */
static void
replace(struct document *d, uint32_t node, uint32_t value)
{
	struct node *n = &d->nodes[node], *v = &d->nodes[value];

	n->type = v->type;
	n->escaped = v->escaped;
	n->text = v->text;
	n->text_len = v->text_len;
	n->child = v->child;
	n->last = v->last;
	n->changed = v->changed;
	for (uint32_t child = n->child; child != 0; child = d->nodes[child].next)
		d->nodes[child].parent = node;
	changed(d, n->parent);
}

/* VALUE becomes a new child of PARENT. */
static const char *
insert(struct document *d, uint32_t parent, struct xf_str token, uint32_t value)
{
	switch (d->nodes[parent].type) {
	case NODE_OBJECT:
		name_set(d, value, token);
		break;
	case NODE_ARRAY:
		if (token.len != 1 || token.data[0] != '-')
			return "the array has no such element";
		break;
	default:
		return "what should hold it is neither an object nor an array";
	}
	node_append(d, parent, value);
	changed(d, parent);
	return NULL;
}

const char *
document_put(struct document *d, struct xf_str pointer, uint32_t value)
{
	uint32_t node = 1, child;
	const char *wrong;

	if (value == 0)
		return "it has too many values";
	if (present(d, 1) == 0)
		return "there is no document any more";
	while (pointer.len > 0) {
		struct xf_str token = pointer_next(&pointer);

		child = child_find(d, node, token);
		if (child == 0) {
			bool deepest = pointer.len == 0;

			child = deepest ? value : document_make(d, (struct xf_str){"{}", 2});
			if (child == 0)
				return "it has too many values";
			wrong = insert(d, node, token, child);
			if (wrong != NULL || deepest)
				return wrong;
		} else if (d->nodes[node].type == NODE_OBJECT) {
			/* of a name that stands twice the others go: nobody knows which of them a reader takes */
			for (uint32_t other = document_next(d, child); other != 0; other = document_next(d, other))
				if (name_matches(d, other, token))
					document_remove(d, other);
		}
		node = child;
	}
	replace(d, node, value);
	return NULL;
}

void
document_print(const struct document *d, uint32_t node, struct bytes *out)
{
	const struct node *n = &d->nodes[node];
	bool object = n->type == NODE_OBJECT, first = true;

	if (!n->changed) {
		bytes_add(out, n->text, n->text_len);
		return;
	}
	bytes_puts(out, object ? "{" : "[");
	for (uint32_t child = document_first(d, node); child != 0; child = document_next(d, child), first = false) {
		bytes_puts(out, first ? "" : ",");
		if (object) {
			bytes_puts(out, "\"");
			bytes_add(out, d->nodes[child].name, d->nodes[child].name_len);
			bytes_puts(out, "\":");
		}
		document_print(d, child, out);
	}
	bytes_puts(out, object ? "}" : "]");
}
