/*
 * A schema is read keyword by keyword, from a table. What is not in the table is a mistake: a rule that nobody keeps is worse than none.
 */
#include "schema.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define NUMBER_EXACT_END 9007199254740992.0 /* 2^53 */

struct reader {
	struct document *document;
	struct xf_error *error;
	const struct place *place; /* of the keyword that is read */
};

static struct schema *schema_make(struct reader *r, uint32_t node, const struct place *place);

static void
schema_free(struct schema *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = 0; i < s->property_count; i++)
		schema_free(s->properties[i].schema);
	free(s->properties);
	free(s->required);
	schema_free(s->others);
	schema_free(s->items);
	if (s->pattern != NULL) {
		regfree(s->pattern);
		free(s->pattern);
		free((char *)s->pattern_text.data);
	}
	free(s);
}

/* ---- Keywords ------------------------------------------------------------------------ */

static enum node_type
type_of(const struct reader *r, uint32_t node)
{
	return document_node(r->document, node)->type;
}

static bool
expected(struct reader *r, uint32_t node, const char *what)
{
	return place_fail(r->place, r->error, "is %s; expected %s", type_shown(type_of(r, node)), what);
}

static bool
read_nothing(struct reader *r, struct schema *s, uint32_t node)
{
	(void)r, (void)s, (void)node;
	return true;
}

static bool
type_add(struct reader *r, struct schema *s, uint32_t node)
{
	static const struct {
		const char *word;
		unsigned type;
	} words[] = {
		{"null", TYPE(NODE_NULL)},     {"boolean", TYPE(NODE_BOOL)}, {"number", TYPE(NODE_NUMBER)},
		{"string", TYPE(NODE_STRING)}, {"array", TYPE(NODE_ARRAY)},  {"object", TYPE(NODE_OBJECT)},
		{"integer", TYPE_INTEGER},
	};
	struct xf_str word;

	if (type_of(r, node) != NODE_STRING)
		return expected(r, node, "the name of a type, or a list of them");
	word = document_string(r->document, node);
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (str_equal(word, str_of(words[i].word))) {
			s->types |= words[i].type;
			return true;
		}
	return place_fail(r->place, r->error,
	                  "unknown type '%.*s'; expected null, boolean, integer, number, string, array or object",
	                  STR_ARG(word));
}

static bool
read_type(struct reader *r, struct schema *s, uint32_t node)
{
	if (type_of(r, node) != NODE_ARRAY)
		return type_add(r, s, node);
	for (uint32_t child = document_first(r->document, node); child != 0; child = document_next(r->document, child))
		if (!type_add(r, s, child))
			return false;
	return s->types != 0 || place_fail(r->place, r->error, "is empty; expected at least one type");
}

static bool
read_const(struct reader *r, struct schema *s, uint32_t node)
{
	(void)r;
	s->constant = node;
	return true;
}

static bool
read_enum(struct reader *r, struct schema *s, uint32_t node)
{
	if (type_of(r, node) != NODE_ARRAY || document_first(r->document, node) == 0)
		return expected(r, node, "a list with at least one value");
	s->words = node;
	return true;
}

static bool
read_properties(struct reader *r, struct schema *s, uint32_t node)
{
	struct document *d = r->document;

	if (type_of(r, node) != NODE_OBJECT)
		return expected(r, node, "an object of schemas");
	for (uint32_t child = document_first(d, node); child != 0; child = document_next(d, child)) {
		struct place place = {.above = r->place, .name = document_name(d, child)};
		struct schema *one = schema_make(r, child, &place);

		if (one == NULL)
			return false;
		s->properties = need(realloc(s->properties, (s->property_count + 1) * sizeof(*s->properties)));
		s->properties[s->property_count++] = (struct property){place.name, one};
	}
	return true;
}

static bool
read_additional(struct reader *r, struct schema *s, uint32_t node)
{
	s->others = schema_make(r, node, r->place);
	return s->others != NULL;
}

static bool
read_items(struct reader *r, struct schema *s, uint32_t node)
{
	s->items = schema_make(r, node, r->place);
	return s->items != NULL;
}

static bool
read_required(struct reader *r, struct schema *s, uint32_t node)
{
	struct document *d = r->document;

	if (type_of(r, node) != NODE_ARRAY)
		return expected(r, node, "a list of names");
	for (uint32_t child = document_first(d, node); child != 0; child = document_next(d, child)) {
		if (type_of(r, child) != NODE_STRING)
			return expected(r, child, "a name");
		s->required = need(realloc(s->required, (s->required_count + 1) * sizeof(*s->required)));
		s->required[s->required_count++] = document_string(d, child);
	}
	return true;
}

static bool
number_read(struct reader *r, uint32_t node, double *number)
{
	const struct node *n = document_node(r->document, node);

	if (n->type != NODE_NUMBER)
		return expected(r, node, "a number");
	if (!str_number((struct xf_str){n->text, n->text_len}, number) || fabs(*number) >= NUMBER_EXACT_END)
		return place_fail(r->place, r->error, "is %.*s; expected a number below 2^53, which is kept exactly",
		                  (int)(n->text_len < 40 ? n->text_len : 40), n->text);
	return true;
}

/* Of a bound and its excluding form the narrower counts. */
static bool
lower_read(struct reader *r, struct schema *s, uint32_t node, bool excluded)
{
	double number;

	if (!number_read(r, node, &number))
		return false;
	if (number < s->minimum || (number <= s->minimum && !excluded))
		return true;
	s->minimum = number;
	s->minimum_excluded = excluded;
	return true;
}

static bool
upper_read(struct reader *r, struct schema *s, uint32_t node, bool excluded)
{
	double number;

	if (!number_read(r, node, &number))
		return false;
	if (number > s->maximum || (number >= s->maximum && !excluded))
		return true;
	s->maximum = number;
	s->maximum_excluded = excluded;
	return true;
}

static bool
read_minimum(struct reader *r, struct schema *s, uint32_t node)
{
	return lower_read(r, s, node, false);
}

static bool
read_minimum_excluded(struct reader *r, struct schema *s, uint32_t node)
{
	return lower_read(r, s, node, true);
}

static bool
read_maximum(struct reader *r, struct schema *s, uint32_t node)
{
	return upper_read(r, s, node, false);
}

static bool
read_maximum_excluded(struct reader *r, struct schema *s, uint32_t node)
{
	return upper_read(r, s, node, true);
}

static bool
count_read(struct reader *r, uint32_t node, uint32_t *count)
{
	double number;

	if (type_of(r, node) != NODE_NUMBER)
		return expected(r, node, "a whole number");
	if (!number_read(r, node, &number))
		return false;
	if (number < 0 || floor(number) < number || number > UINT32_MAX)
		return place_fail(r->place, r->error, "is no whole number from 0 on");
	*count = (uint32_t)number;
	return true;
}

static bool
read_length_min(struct reader *r, struct schema *s, uint32_t node)
{
	return count_read(r, node, &s->length_min);
}

static bool
read_length_max(struct reader *r, struct schema *s, uint32_t node)
{
	return count_read(r, node, &s->length_max);
}

static bool
read_items_min(struct reader *r, struct schema *s, uint32_t node)
{
	return count_read(r, node, &s->items_min);
}

static bool
read_items_max(struct reader *r, struct schema *s, uint32_t node)
{
	return count_read(r, node, &s->items_max);
}

static bool
read_pattern(struct reader *r, struct schema *s, uint32_t node)
{
	struct xf_str text;
	char why[128];
	int status;

	if (type_of(r, node) != NODE_STRING)
		return expected(r, node, "a regular expression");
	text = str_copy(document_string(r->document, node));
	s->pattern = need(calloc(1, sizeof(*s->pattern)));
	status = regcomp(s->pattern, text.data, REG_EXTENDED | REG_NOSUB);
	if (status == 0) {
		s->pattern_text = text;
		return true;
	}
	regerror(status, s->pattern, why, sizeof(why));
	place_fail(r->place, r->error, "'%.*s' is no POSIX extended regular expression: %s", STR_ARG(text), why);
	free(s->pattern);
	free((char *)text.data);
	s->pattern = NULL;
	return false;
}

static const struct {
	const char *name;
	bool (*read)(struct reader *r, struct schema *s, uint32_t node);
} keywords[] = {
	{"type", read_type},
	{"const", read_const},
	{"enum", read_enum},
	{"properties", read_properties},
	{"required", read_required},
	{"additionalProperties", read_additional},
	{"items", read_items},
	{"minItems", read_items_min},
	{"maxItems", read_items_max},
	{"minimum", read_minimum},
	{"maximum", read_maximum},
	{"exclusiveMinimum", read_minimum_excluded},
	{"exclusiveMaximum", read_maximum_excluded},
	{"minLength", read_length_min},
	{"maxLength", read_length_max},
	{"pattern", read_pattern},
	{"title", read_nothing},
	{"description", read_nothing},
	{"default", read_nothing},
	{"examples", read_nothing},
	{"$schema", read_nothing},
	{"$id", read_nothing},
	{"$comment", read_nothing},
};

/* ---- Schemas ---------------------------------------------------------------------------- */

static bool
keyword_read(struct reader *r, struct schema *s, uint32_t node, const struct place *above)
{
	struct place place = {.above = above, .name = document_name(r->document, node)};
	const struct place *outer = r->place;

	for (size_t i = 0; i < sizeof(keywords) / sizeof(*keywords); i++)
		if (str_equal(place.name, str_of(keywords[i].name))) {
			bool sound;

			r->place = &place;
			sound = keywords[i].read(r, s, node);
			r->place = outer;
			return sound;
		}
	return place_fail(above, r->error, "unknown keyword '%.*s'; it would be ignored, and what it forbids let through",
	                  STR_ARG(place.name));
}

/* NULL: the reason was written. */
static struct schema *
schema_make(struct reader *r, uint32_t node, const struct place *place)
{
	struct schema *s = need(calloc(1, sizeof(*s)));
	struct document *d = r->document;
	bool sound = true;

	s->minimum = -INFINITY;
	s->maximum = INFINITY;
	s->items_max = s->length_max = UINT32_MAX;
	if (type_of(r, node) == NODE_BOOL)
		s->never = document_node(d, node)->text[0] == 'f';
	else if (type_of(r, node) != NODE_OBJECT)
		sound = place_fail(place, r->error, "is %s; expected a schema, which is an object, true or false",
		                   type_shown(type_of(r, node)));
	else
		for (uint32_t child = document_first(d, node); sound && child != 0; child = document_next(d, child))
			sound = keyword_read(r, s, child, place);
	if (sound)
		return s;
	schema_free(s);
	return NULL;
}

bool
schema_read(struct schema_file *file, struct xf_str text, struct xf_error *error)
{
	struct reader r = {.document = &file->document, .error = error};

	*file = (struct schema_file){.text = str_copy(text)};
	if (!document_parse(&file->document, file->text))
		snprintf(error->text, sizeof(error->text), "is no JSON: %s at byte %zu", file->document.wrong,
		         file->document.wrong_at);
	else
		file->root = schema_make(&r, 1, NULL);
	if (file->root != NULL)
		return true;
	schema_fini(file);
	return false;
}

void
schema_fini(struct schema_file *file)
{
	schema_free(file->root);
	document_fini(&file->document);
	bytes_fini(&file->scratch);
	free((char *)file->text.data);
	*file = (struct schema_file){.root = NULL};
}
