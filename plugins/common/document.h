/*
 * document.h - a JSON text as a tree that remembers how everything stood.
 *
 * A node knows its text. What is changed is replaced there, and printing copies all else byte for byte, so that no number
 * loses digits and no untouched value its form. Nodes are numbers from 1 on; 0 is none.
 *
 * JSON is that of RFC 8259, but that bytes past ASCII are not looked at; at most DOCUMENT_VALUES_MAX values, DOCUMENT_DEPTH_MAX
 * deep. A name that an object has twice is two members: finding gives the first, changing changes both.
 *
 * Pointers are RFC 6901 and were checked by pointer_check() (pointer.h).
 */
#ifndef PLUGINS_DOCUMENT_H
#define PLUGINS_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#include <crossfade/plugin.h>

#define DOCUMENT_DEPTH_MAX 256
#define DOCUMENT_VALUES_MAX (1u << 20)

struct bytes;

enum node_type {
	NODE_NULL,
	NODE_BOOL,
	NODE_NUMBER,
	NODE_STRING,
	NODE_ARRAY,
	NODE_OBJECT,
};

struct node {
	const char *name; /* of a member: between its marks, as it stands */
	const char *text; /* as it stands; of a string with its marks */
	uint32_t name_len;
	uint32_t text_len;
	uint32_t parent;
	uint32_t child; /* the first */
	uint32_t last;  /* child */
	uint32_t next;  /* of its siblings */
	uint8_t type;   /* NODE_* */
	bool name_escaped;
	bool escaped; /* a string with escapes */
	bool changed; /* or something in it: its text is no longer what it is */
	bool gone;
};

/* Zeroed at first. */
struct document {
	struct node *nodes;
	uint32_t count; /* used, the unused node 0 included */
	uint32_t size;
	bool touched;      /* something was changed since the parse */
	struct made *made; /* what nodes point to that is not in the text */
	const char *wrong; /* after a failure: what is, and where in the text */
	size_t wrong_at;
};

/* Borrows TEXT until the next call. False: it is no JSON. The root is node 1. */
bool document_parse(struct document *document, struct xf_str text);
void document_fini(struct document *document);

static inline const struct node *
document_node(const struct document *document, uint32_t node)
{
	return &document->nodes[node];
}

/* ---- Looking ------------------------------------------------------------------ */

/* The node that POINTER names; 0: none. */
uint32_t document_find(const struct document *document, struct xf_str pointer);

/* A container's children: the first, and the one behind NODE; 0: none. */
uint32_t document_first(const struct document *document, uint32_t node);
uint32_t document_next(const struct document *document, uint32_t node);

/* What a string stands for, and a member's name. Valid until the next parse. An escape that makes no character is U+FFFD. */
struct xf_str document_string(struct document *document, uint32_t node);
struct xf_str document_name(struct document *document, uint32_t node);

/* Gives back what was decoded since document->made was MARK: for who keeps a document while others come and go. */
void document_forget(struct document *document, const struct made *mark);

/* ---- Changing ----------------------------------------------------------------- */

/* Calls CHANGE for every node that POINTER names, where a token "*" names every member or element. */
void document_each(struct document *document, struct xf_str pointer,
                   void (*change)(struct document *document, uint32_t node, void *context), void *context);

/* NODE becomes the string TEXT, which is copied. */
void document_set_string(struct document *document, uint32_t node, struct xf_str text);
void document_remove(struct document *document, uint32_t node);

/* A value that stands nowhere yet: a string, or the JSON text VALUE (0: it is none). Both are copied. */
uint32_t document_make_string(struct document *document, struct xf_str text);
uint32_t document_make(struct document *document, struct xf_str value);

/* The value of NODE as one that stands nowhere; NODE is gone. */
uint32_t document_take(struct document *document, uint32_t node);

/* Puts VALUE, as made or taken, where POINTER says: in place of what is there, or as a new member of an object (objects on the
 * way are made too), or with "-" as a new last element of an array. NULL, or why that cannot be. */
const char *document_put(struct document *document, struct xf_str pointer, uint32_t value);

void document_print(const struct document *document, uint32_t node, struct bytes *out);

#endif
