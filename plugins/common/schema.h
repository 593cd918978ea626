/*
 * schema.h - a subset of JSON Schema, compiled, and values held against it.
 */
#ifndef PLUGINS_SCHEMA_H
#define PLUGINS_SCHEMA_H

#include <regex.h>
#include <stdbool.h>

#include "bytes.h"
#include "document.h"

struct schema;

struct property {
	struct xf_str name;
	struct schema *schema;
};

/* Types, as bits; an integer is a number without a fraction. */
#define TYPE(node_type) (1u << (node_type))
#define TYPE_INTEGER (1u << 6)

/* What a schema says; zero says nothing. Names and nodes are of the document that it was read from. */
struct schema {
	bool never;     /* `false`: nothing is valid */
	unsigned types; /* 0: any */
	uint32_t constant, words; /* nodes of `const` and `enum`; 0: none */

	struct property *properties;
	uint32_t property_count;
	struct xf_str *required;
	uint32_t required_count;
	struct schema *others; /* what additional properties must be; NULL: anything */

	struct schema *items;
	uint32_t items_min, items_max;

	double minimum, maximum; /* infinite: none */
	bool minimum_excluded, maximum_excluded;

	uint32_t length_min, length_max;
	regex_t *pattern;
	struct xf_str pattern_text;
};

/* TEXT with its schema. */
struct schema_file {
	struct document document;
	struct xf_str text;
	struct schema *root;
	struct bytes scratch;
};

/* False with a reason: where in the schema, and what is wrong there. */
bool schema_read(struct schema_file *file, struct xf_str text, struct xf_error *error);
void schema_fini(struct schema_file *file);

/* Whether DOCUMENT is as FILE says; else ERROR names the first value that is not: "/items/3/price: is a string; expected number". */
bool schema_holds(struct schema_file *file, struct document *document, struct xf_error *error);

/* ---- Shared by both parts -------------------------------------------------------------- */

/* "a string" */
const char *type_shown(enum node_type type);

/* The way to a value, for people. */
struct place {
	const struct place *above; /* NULL: the root */
	struct xf_str name;
	uint32_t index; /* where name.data is NULL */
};

/* Writes "/items/3: " and the reason; returns false. */
bool place_fail(const struct place *place, struct xf_error *error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
