/*
 * The first value that is not as it should be ends the walk. A name that an object has twice is held against its schema twice.
 */
#include "schema.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#define NUMBER_EXACT_END 9007199254740992.0 /* 2^53: from there on, other numbers look the same */

struct walk {
	struct document *rules; /* what the schema was read from */
	struct document *document;
	struct bytes *scratch;
	struct xf_error *error;
};

/* ---- For people ------------------------------------------------------------------------ */

const char *
type_shown(enum node_type type)
{
	static const char *const shown[] = {"null", "a boolean", "a number", "a string", "an array", "an object"};

	return shown[type];
}

/* Appends to TEXT of SIZE bytes, LEN of them used. */
static size_t
place_write(const struct place *place, char *text, size_t size, size_t len)
{
	if (place == NULL)
		return len;
	len = place_write(place->above, text, size, len);
	if (len + 1 >= size)
		return len;
	text[len++] = '/';
	if (place->name.data == NULL)
		len += (size_t)snprintf(text + len, size - len, "%u", place->index);
	for (size_t i = 0; i < place->name.len && len + 2 < size; i++) {
		char c = place->name.data[i];

		if (c == '~' || c == '/')
			text[len++] = '~';
		text[len++] = c == '~' ? '0' : c == '/' ? '1' : c;
	}
	return len < size ? len : size - 1;
}

bool
place_fail(const struct place *place, struct xf_error *error, const char *format, ...)
{
	size_t size = sizeof(error->text) - 160, len = place_write(place, error->text, size, 0);
	va_list args;

	len += (size_t)snprintf(error->text + len, sizeof(error->text) - len, "%s", len > 0 ? ": " : "");
	va_start(args, format);
	vsnprintf(error->text + len, sizeof(error->text) - len, format, args);
	va_end(args);
	return false;
}

static void
types_write(unsigned types, char *out, size_t size)
{
	static const char *const words[] = {"null", "boolean", "number", "string", "array", "object", "integer"};
	size_t len = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < sizeof(words) / sizeof(*words) && len < size; i++)
		if (types & (1u << i))
			len += (size_t)snprintf(out + len, size - len, "%s%s", len > 0 ? " or " : "", words[i]);
}

/* ---- Equality -------------------------------------------------------------------------- */

static struct xf_str
text_of(const struct document *d, uint32_t node)
{
	return (struct xf_str){document_node(d, node)->text, document_node(d, node)->text_len};
}

static bool
numbers_equal(struct xf_str a, struct xf_str b)
{
	double x, y;

	if (str_equal(a, b))
		return true;
	return str_number(a, &x) && str_number(b, &y) && fabs(x) < NUMBER_EXACT_END && x <= y && x >= y;
}

static uint32_t
member_find(struct document *d, uint32_t object, struct xf_str name)
{
	uint32_t child = document_first(d, object);

	while (child != 0 && !str_equal(document_name(d, child), name))
		child = document_next(d, child);
	return child;
}

static uint32_t
children_count(const struct document *d, uint32_t node)
{
	uint32_t count = 0;

	for (uint32_t child = document_first(d, node); child != 0; child = document_next(d, child))
		count++;
	return count;
}

static bool
values_equal(struct document *a, uint32_t x, struct document *b, uint32_t y)
{
	enum node_type type = document_node(a, x)->type;
	uint32_t left, right;

	if (document_node(b, y)->type != type)
		return false;
	switch (type) {
	case NODE_NULL:
		return true;
	case NODE_BOOL:
		return str_equal(text_of(a, x), text_of(b, y));
	case NODE_NUMBER:
		return numbers_equal(text_of(a, x), text_of(b, y));
	case NODE_STRING:
		return str_equal(document_string(a, x), document_string(b, y));
	case NODE_ARRAY:
	case NODE_OBJECT:
		break;
	}
	if (children_count(a, x) != children_count(b, y))
		return false;
	left = document_first(a, x);
	right = document_first(b, y);
	for (; left != 0; left = document_next(a, left)) {
		uint32_t other = type == NODE_OBJECT ? member_find(b, y, document_name(a, left)) : right;

		if (other == 0 || !values_equal(a, left, b, other))
			return false;
		right = document_next(b, right);
	}
	return true;
}

/* ---- Rules ------------------------------------------------------------------------------ */

static bool value_holds(struct walk *w, const struct schema *s, uint32_t node, const struct place *place);

static bool
is_integer(struct xf_str text)
{
	double number;

	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] == '.' || text.data[i] == 'e' || text.data[i] == 'E')
			return str_number(text, &number) && floor(number) >= number;
	return true;
}

static bool
type_holds(struct walk *w, const struct schema *s, uint32_t node, const struct place *place)
{
	enum node_type type = document_node(w->document, node)->type;
	char wanted[80];

	if (s->never)
		return place_fail(place, w->error, "is not allowed");
	if (s->types == 0 || (s->types & TYPE(type)))
		return true;
	if (type == NODE_NUMBER && (s->types & TYPE_INTEGER) && is_integer(text_of(w->document, node)))
		return true;
	types_write(s->types, wanted, sizeof(wanted));
	return place_fail(place, w->error, "is %s; expected %s",
	                  type == NODE_NUMBER && (s->types & TYPE_INTEGER) ? "a number with a fraction" : type_shown(type),
	                  wanted);
}

static bool
words_hold(struct walk *w, const struct schema *s, uint32_t node, const struct place *place)
{
	if (s->constant != 0 && !values_equal(w->document, node, w->rules, s->constant))
		return place_fail(place, w->error, "is not the one value that is allowed");
	if (s->words == 0)
		return true;
	for (uint32_t word = document_first(w->rules, s->words); word != 0; word = document_next(w->rules, word))
		if (values_equal(w->document, node, w->rules, word))
			return true;
	return place_fail(place, w->error, "is none of the values that are allowed");
}

static bool
number_holds(struct walk *w, const struct schema *s, uint32_t node, const struct place *place)
{
	double number;

	if (isinf(s->minimum) && isinf(s->maximum))
		return true;
	if (!str_number(text_of(w->document, node), &number))
		return place_fail(place, w->error, "is a number that cannot be compared");
	if (number < s->minimum || (number <= s->minimum && s->minimum_excluded))
		return place_fail(place, w->error, "is too small; expected a number %s %.17g",
		                  s->minimum_excluded ? "above" : "from", s->minimum);
	if (number > s->maximum || (number >= s->maximum && s->maximum_excluded))
		return place_fail(place, w->error, "is too large; expected a number %s %.17g",
		                  s->maximum_excluded ? "below" : "up to", s->maximum);
	return true;
}

/* In characters; bytes that go on with one are not counted. */
static uint64_t
length_of(struct xf_str text)
{
	uint64_t length = 0;

	for (uint64_t i = 0; i < text.len; i++)
		length += ((unsigned char)text.data[i] & 0xc0) != 0x80;
	return length;
}

/* All of TEXT, also behind a NUL; its copy is terminated, as regexec() expects of any. */
static bool
pattern_matches(struct walk *w, const regex_t *pattern, struct xf_str text)
{
	regmatch_t whole = {.rm_so = 0, .rm_eo = (regoff_t)text.len};

	if (text.len > INT32_MAX)
		return false;
	w->scratch->len = 0;
	bytes_str(w->scratch, text);
	bytes_add(w->scratch, "", 1);
	return regexec(pattern, w->scratch->data, 1, &whole, REG_STARTEND) == 0;
}

static bool
string_holds(struct walk *w, const struct schema *s, uint32_t node, const struct place *place)
{
	struct xf_str text;
	uint64_t length;

	if (s->length_min == 0 && s->length_max == UINT32_MAX && s->pattern == NULL)
		return true;
	text = document_string(w->document, node);
	length = length_of(text);
	if (length < s->length_min)
		return place_fail(place, w->error, "is %llu characters long; expected at least %u", (unsigned long long)length,
		                  s->length_min);
	if (length > s->length_max)
		return place_fail(place, w->error, "is %llu characters long; expected at most %u", (unsigned long long)length,
		                  s->length_max);
	return s->pattern == NULL || pattern_matches(w, s->pattern, text) ||
	       place_fail(place, w->error, "does not match '%.*s'", STR_ARG(s->pattern_text));
}

static bool
array_holds(struct walk *w, const struct schema *s, uint32_t node, const struct place *above)
{
	uint32_t count = children_count(w->document, node);
	struct place place = {.above = above};

	if (count < s->items_min)
		return place_fail(above, w->error, "has %u elements; expected at least %u", count, s->items_min);
	if (count > s->items_max)
		return place_fail(above, w->error, "has %u elements; expected at most %u", count, s->items_max);
	if (s->items == NULL)
		return true;
	for (uint32_t child = document_first(w->document, node); child != 0;
	     child = document_next(w->document, child), place.index++)
		if (!value_holds(w, s->items, child, &place))
			return false;
	return true;
}

static const struct schema *
property_schema(const struct schema *s, struct xf_str name)
{
	for (uint32_t i = 0; i < s->property_count; i++)
		if (str_equal(s->properties[i].name, name))
			return s->properties[i].schema;
	return s->others;
}

static bool
object_holds(struct walk *w, const struct schema *s, uint32_t node, const struct place *above)
{
	for (uint32_t i = 0; i < s->required_count; i++)
		if (member_find(w->document, node, s->required[i]) == 0)
			return place_fail(above, w->error, "has no '%.*s'", STR_ARG(s->required[i]));
	if (s->property_count == 0 && s->others == NULL)
		return true;
	for (uint32_t child = document_first(w->document, node); child != 0; child = document_next(w->document, child)) {
		struct place place = {.above = above, .name = document_name(w->document, child)};
		const struct schema *one = property_schema(s, place.name);

		if (one != NULL && !value_holds(w, one, child, &place))
			return false;
	}
	return true;
}

static bool
value_holds(struct walk *w, const struct schema *s, uint32_t node, const struct place *place)
{
	if (!type_holds(w, s, node, place) || !words_hold(w, s, node, place))
		return false;
	switch (document_node(w->document, node)->type) {
	case NODE_NUMBER:
		return number_holds(w, s, node, place);
	case NODE_STRING:
		return string_holds(w, s, node, place);
	case NODE_ARRAY:
		return array_holds(w, s, node, place);
	case NODE_OBJECT:
		return object_holds(w, s, node, place);
	default:
		return true;
	}
}

bool
schema_holds(struct schema_file *file, struct document *document, struct xf_error *error)
{
	struct walk w = {&file->document, document, &file->scratch, error};
	const struct made *mark = file->document.made;
	bool holds = value_holds(&w, file->root, 1, NULL);

	document_forget(&file->document, mark);
	return holds;
}
