/*
 * A template is compiled to parts: a field with its alternatives, of which text is one with a single one. Most are a constant or one
 * plain field, and touch no memory.
 */
#include "template.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "pointer.h"

#define TEXT_MAX 65536u /* there may be prompts among them */
#define TOKEN_MAX 1024u

enum field_kind {
	FIELD_LITERAL,
	FIELD_SUBJECT,
	FIELD_TOKEN,
	FIELD_ID,
	FIELD_KEY,
	FIELD_HEADER,
	FIELD_JSON,
	FIELD_HASH,
};

struct field {
	enum field_kind kind;
	unsigned token;     /* of FIELD_TOKEN */
	struct xf_str text; /* as it was written; of a literal what it stands for; own memory */
	struct xf_str arg;  /* the header's name, the pointer; within text */
};

struct part {
	struct field *fields;
	size_t count;
};

struct template {
	struct part *parts;
	size_t count;
};

/* ---- Views ----------------------------------------------------------------------- */

void
view_open(struct view *view, const struct xf_incoming *message)
{
	view->message = message;
	view->parsed = false;
}

void
view_fini(struct view *view)
{
	document_fini(&view->document);
}

struct document *
view_document(struct view *view)
{
	if (!view->parsed) {
		view->parsed = true;
		view->sound = document_parse(&view->document,
		                             (struct xf_str){view->message->payload, view->message->payload_size});
	}
	return view->sound ? &view->document : NULL;
}

/* ---- Compiling --------------------------------------------------------------------- */

struct compiler {
	struct xf_str text;
	size_t at;
	struct xf_error *error;
};

__attribute__((format(printf, 2, 3))) static bool
fail(struct compiler *c, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(c->error->text, sizeof(c->error->text), format, args);
	va_end(args);
	return false;
}

static struct part *
part_add(struct template *template)
{
	template->parts = need(realloc(template->parts, (template->count + 1) * sizeof(*template->parts)));
	template->parts[template->count] = (struct part){NULL, 0};
	return &template->parts[template->count++];
}

static struct field *
field_add(struct part *part, enum field_kind kind, struct xf_str text)
{
	part->fields = need(realloc(part->fields, (part->count + 1) * sizeof(*part->fields)));
	part->fields[part->count] = (struct field){.kind = kind, .text = str_copy(text)};
	return &part->fields[part->count++];
}

static bool
starts_with(struct xf_str text, const char *prefix, struct xf_str *rest)
{
	size_t len = strlen(prefix);

	if (text.len < len || memcmp(text.data, prefix, len) != 0)
		return false;
	*rest = (struct xf_str){text.data + len, text.len - len};
	return true;
}

static bool
token_read(struct xf_str text, unsigned *number)
{
	unsigned n = 0;

	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9' || n > TOKEN_MAX)
			return false;
		n = n * 10 + (unsigned)(text.data[i] - '0');
	}
	*number = n;
	return n >= 1 && n <= TOKEN_MAX;
}

static bool
header_name_valid(struct xf_str name)
{
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.data[i] <= ' ' || (unsigned char)name.data[i] >= 0x7f || name.data[i] == ':')
			return false;
	return name.len > 0;
}

static bool
name_compile(struct compiler *c, struct part *part, struct xf_str name)
{
	static const struct {
		const char *name;
		enum field_kind kind;
	} plain[] = {{"subject", FIELD_SUBJECT}, {"id", FIELD_ID}, {"key", FIELD_KEY}, {"payload.hash", FIELD_HASH}};
	struct field *field;
	struct xf_str rest;
	unsigned token;

	for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++)
		if (str_equal(name, str_of(plain[i].name))) {
			field_add(part, plain[i].kind, name);
			return true;
		}
	if (starts_with(name, "subject.", &rest) && token_read(rest, &token)) {
		field_add(part, FIELD_TOKEN, name)->token = token;
	} else if (starts_with(name, "header.", &rest) && header_name_valid(rest)) {
		field = field_add(part, FIELD_HEADER, name);
		starts_with(field->text, "header.", &field->arg);
	} else if (starts_with(name, "json.", &rest)) {
		if (pointer_check(rest) != NULL)
			return fail(c, "'%.*s' is no JSON pointer; expected json./name or json./list/0", STR_ARG(name));
		field = field_add(part, FIELD_JSON, name);
		starts_with(field->text, "json.", &field->arg);
	} else {
		return fail(c,
		            "unknown field '%.*s'; expected subject, subject.N, id, key, header.NAME, json./POINTER, "
		            "payload.hash or 'text'",
		            STR_ARG(name));
	}
	return true;
}

/* c->at stands behind the opening quote. A doubled quote is one. */
static bool
quote_compile(struct compiler *c, struct part *part)
{
	struct bytes literal = {NULL, 0, 0};
	size_t start = c->at - 1;

	for (; c->at < c->text.len; c->at++) {
		bool quote = c->text.data[c->at] == '\'';

		if (quote && (c->at + 1 == c->text.len || c->text.data[c->at + 1] != '\'')) {
			c->at++;
			field_add(part, FIELD_LITERAL, (struct xf_str){literal.data, literal.len});
			bytes_fini(&literal);
			return true;
		}
		c->at += quote;
		bytes_add(&literal, c->text.data + c->at, 1);
	}
	bytes_fini(&literal);
	return fail(c, "a quote without its end in '%.*s'; expected 'text'", (int)(c->text.len - start),
	            c->text.data + start);
}

static void
spaces_skip(struct compiler *c)
{
	while (c->at < c->text.len && c->text.data[c->at] == ' ')
		c->at++;
}

static bool
alternative_compile(struct compiler *c, struct part *part, const char *open)
{
	struct xf_str name = {c->text.data + c->at, 0};
	size_t start = c->at;

	if (c->at < c->text.len && c->text.data[c->at] == '\'') {
		c->at++;
		return quote_compile(c, part);
	}
	while (c->at < c->text.len && strchr("|}{", c->text.data[c->at]) == NULL)
		c->at++;
	name.len = c->at - start;
	while (name.len > 0 && name.data[name.len - 1] == ' ')
		name.len--;
	if (c->at == c->text.len || c->text.data[c->at] == '{')
		return fail(c, "'{' without '}' in '%s'", open);
	if (name.len == 0)
		return fail(c, "empty field '{}'; expected one like {subject} or {header.NAME}");
	return name_compile(c, part, name);
}

/* c->at stands behind "{"; takes everything up to and with "}". OPEN: what stands from the brace on. */
static bool
field_compile(struct compiler *c, struct part *part, const char *open)
{
	for (;;) {
		spaces_skip(c);
		if (!alternative_compile(c, part, open))
			return false;
		spaces_skip(c);
		if (c->at == c->text.len)
			return fail(c, "'{' without '}' in '%s'", open);
		if (c->text.data[c->at] != '|' && c->text.data[c->at] != '}')
			return fail(c, "text behind a quote in '%s'; expected '|' or '}'", open);
		if (c->text.data[c->at++] == '}')
			return true;
	}
}

static bool
template_compile(struct compiler *c, struct template *template)
{
	if (c->text.len > TEXT_MAX)
		return fail(c, "too long; expected at most %u bytes", TEXT_MAX);
	while (c->at < c->text.len) {
		size_t start = c->at;

		while (c->at < c->text.len && c->text.data[c->at] != '{' && c->text.data[c->at] != '}')
			c->at++;
		if (c->at > start)
			field_add(part_add(template), FIELD_LITERAL,
			          (struct xf_str){c->text.data + start, c->at - start});
		if (c->at == c->text.len)
			break;
		if (c->text.data[c->at++] == '}')
			return fail(c, "'}' without '{' in '%s'", c->text.data);
		if (!field_compile(c, part_add(template), c->text.data + c->at - 1))
			return false;
	}
	return true;
}

struct template *
template_create(struct xf_str text, struct xf_error *error)
{
	struct template *template = need(calloc(1, sizeof(*template)));
	struct compiler c = {.text = str_copy(text), .error = error};

	if (!template_compile(&c, template))
		template_destroy(&template);
	free((char *)c.text.data);
	return template;
}

void
template_destroy(struct template **template)
{
	struct template *t = *template;

	*template = NULL;
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->count; i++) {
		for (size_t f = 0; f < t->parts[i].count; f++)
			free((char *)t->parts[i].fields[f].text.data);
		free(t->parts[i].fields);
	}
	free(t->parts);
	free(t);
}

/* ---- Evaluating ---------------------------------------------------------------------- */

static const struct xf_str nothing = {NULL, 0};

static struct xf_str
subject_token(struct xf_str subject, unsigned number)
{
	const char *at = subject.data, *end;

	if (subject.len == 0)
		return nothing;
	for (end = at + subject.len; at < end;) {
		const char *dot = memchr(at, '.', (size_t)(end - at));

		if (--number == 0)
			return (struct xf_str){at, (uint64_t)((dot != NULL ? dot : end) - at)};
		at = dot != NULL ? dot + 1 : end;
	}
	return nothing;
}

/* The first value that is not empty. */
static struct xf_str
header_value(const struct xf_incoming *message, struct xf_str name)
{
	for (uint32_t i = 0; i < message->header_count; i++)
		if (message->headers[i].value.len > 0 && str_equal_nocase(message->headers[i].name, name))
			return message->headers[i].value;
	return nothing;
}

/* As everybody writes it, whatever the payload's form; none past 2^53, where other numbers look the same. */
static struct xf_str
number_value(struct view *view, struct xf_str text)
{
	static const double exact_max = 9007199254740992.0;
	double number;

	if (!str_number(text, &number) || fabs(number) > exact_max)
		return nothing;
	if (floor(number) >= number) {
		snprintf(view->digits, sizeof(view->digits), "%lld", (long long)number);
		return str_of(view->digits);
	}
	snprintf(view->digits, sizeof(view->digits), "%.15g", number);
	if (strtod(view->digits, NULL) < number || strtod(view->digits, NULL) > number)
		snprintf(view->digits, sizeof(view->digits), "%.17g", number);
	return str_of(view->digits);
}

static struct xf_str
json_value(struct view *view, struct xf_str pointer)
{
	struct document *document = view_document(view);
	uint32_t found = document != NULL ? document_find(document, pointer) : 0;
	struct xf_str text;

	if (found == 0)
		return nothing;
	text = (struct xf_str){document_node(document, found)->text, document_node(document, found)->text_len};
	switch (document_node(document, found)->type) {
	case NODE_STRING:
		return document_string(document, found);
	case NODE_NUMBER:
		return number_value(view, text);
	case NODE_BOOL:
		return text;
	default:
		return nothing;
	}
}

static struct xf_str
field_value(struct view *view, const struct field *field)
{
	const struct xf_incoming *message = view->message;

	switch (field->kind) {
	case FIELD_LITERAL:
		return field->text;
	case FIELD_SUBJECT:
		return message->subject;
	case FIELD_TOKEN:
		return subject_token(message->subject, field->token);
	case FIELD_ID:
		return message->id;
	case FIELD_KEY:
		return message->key;
	case FIELD_HEADER:
		return header_value(message, field->arg);
	case FIELD_JSON:
		return json_value(view, field->arg);
	case FIELD_HASH:
		snprintf(view->digits, sizeof(view->digits), "%016llx",
		         (unsigned long long)XXH3_64bits(message->payload_size > 0 ? message->payload : "",
		                                         message->payload_size));
		return str_of(view->digits);
	}
	return nothing;
}

static void
missing(const struct part *part, struct xf_error *error)
{
	size_t len = 0;
	char names[400] = "";

	if (error == NULL)
		return;
	for (size_t i = 0; i < part->count && len < sizeof(names); i++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%.*s", i > 0 ? "|" : "",
		                        STR_ARG(part->fields[i].text));
	snprintf(error->text, sizeof(error->text), "the message has no value for {%s}", names);
}

/* The first alternative that has one. */
static bool
part_value(const struct part *part, struct view *view, struct xf_str *value, struct xf_error *error)
{
	for (size_t i = 0; i < part->count; i++) {
		*value = field_value(view, &part->fields[i]);
		if (value->len > 0 || part->fields[i].kind == FIELD_LITERAL)
			return true;
	}
	missing(part, error);
	return false;
}

bool
template_value(const struct template *template, struct view *view, struct bytes *scratch, struct xf_str *value,
               struct xf_error *error)
{
	struct xf_str piece;

	scratch->len = 0;
	if (template->count == 1) {
		if (!part_value(&template->parts[0], view, &piece, error))
			return false;
		if (piece.data != view->digits) {
			*value = piece;
			return true;
		}
		bytes_str(scratch, piece);
	}
	for (size_t i = 0; template->count > 1 && i < template->count; i++) {
		if (!part_value(&template->parts[i], view, &piece, error))
			return false;
		bytes_str(scratch, piece);
	}
	*value = (struct xf_str){scratch->data, scratch->len};
	return true;
}

bool
template_put(const struct template *template, struct view *view, void (*put)(struct bytes *out, struct xf_str value),
             struct bytes *out, struct xf_error *error)
{
	for (size_t i = 0; i < template->count; i++) {
		const struct part *part = &template->parts[i];
		struct xf_str piece;

		if (!part_value(part, view, &piece, error))
			return false;
		if (part->count == 1 && part->fields[0].kind == FIELD_LITERAL)
			bytes_str(out, piece);
		else
			put(out, piece);
	}
	return true;
}
