/*
 * A template is compiled to parts: literal text, or a field with its alternatives. Most are
 * a constant or one plain field; those are answered with a borrowed string and touch no memory of their own.
 *
 * A payload is parsed as JSON at most once per evaluation, and only when a json field is really reached.
 * What is empty counts as missing, since an empty key or subject token is never meant.
 */
#include "conf/template.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>
#include <xxhash.h>

#include "base/memory.h"
#include "base/subject.h"

enum {
	TEXT_MAX = 4096,
	TOKEN_MAX = 1024,       /* N of subject.N */
	JSON_SIZE_MAX = 1 << 20, /* a larger payload has no fields: its tree would be some fifty times larger */
};

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
	unsigned token;    /* FIELD_TOKEN */
	struct xf_str arg; /* the literal, the header's name, the pointer; own memory */
};

/* A literal is a part with one alternative. */
struct part {
	struct field *fields;
	size_t count;
};

struct xf_template {
	struct xf_str text; /* own memory */
	struct part *parts;
	size_t count;
};

/* What one evaluation knows. */
struct evaluation {
	const struct xf_fields *from;
	cJSON *json;
	bool parsed;
	char digits[64]; /* of a number or a hash */
};

/* ---- Compiling -------------------------------------------------------------- */

struct compiler {
	struct xf_str text;
	size_t at;
	size_t wrong; /* where a mistake stands */
	struct xf_error *error;
};

static bool
fail(struct compiler *c, size_t at, const char *format, struct xf_str shown)
{
	c->wrong = at;
	xf_error_set(c->error, format, XF_STR_ARG(shown));
	return false;
}

static struct field *
field_add(struct part *part)
{
	part->fields = xf_grow_array(part->fields, part->count, part->count + 1, sizeof(struct field));
	return &part->fields[part->count++];
}

static struct part *
part_add(struct xf_template *template)
{
	template->parts = xf_grow_array(template->parts, template->count, template->count + 1, sizeof(struct part));
	return &template->parts[template->count++];
}

static void
arg_set(struct field *field, enum field_kind kind, const char *data, size_t len)
{
	field->kind = kind;
	field->arg = (struct xf_str){xf_strndup(data, len), len};
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
token_number(struct xf_str text, unsigned *number)
{
	unsigned n = 0;

	for (size_t i = 0; i < text.len; i++) {
		if (!isdigit((unsigned char)text.data[i]) || n > TOKEN_MAX)
			return false;
		n = n * 10 + (unsigned)(text.data[i] - '0');
	}
	*number = n;
	return n >= 1 && n <= TOKEN_MAX;
}

static bool
pointer_valid(struct xf_str pointer)
{
	for (size_t i = 0; i < pointer.len; i++)
		if (pointer.data[i] == '~' &&
		    (i + 1 == pointer.len || (pointer.data[i + 1] != '0' && pointer.data[i + 1] != '1')))
			return false;
	return pointer.len == 0 || pointer.data[0] == '/';
}

static bool
header_name_valid(struct xf_str name)
{
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.data[i] <= ' ' || (unsigned char)name.data[i] >= 0x7f ||
		    name.data[i] == ':')
			return false;
	return name.len > 0;
}

static bool
name_unknown(struct compiler *c, size_t at, struct xf_str name)
{
	static const char *const words[] = {"subject", "subject.N", "id", "key", "header.NAME", "json./POINTER",
	                                    "payload.hash"};
	static const char *const heads[] = {"subject", "id", "key", "header", "json", "payload"};
	const char *dot = name.len > 0 ? memchr(name.data, '.', name.len) : NULL;
	struct xf_str head = {name.data, dot != NULL ? (uint64_t)(dot - name.data) : name.len};
	const char *near = NULL;

	c->wrong = at;
	for (size_t i = 0; near == NULL && i < sizeof(heads) / sizeof(*heads); i++)
		if (xf_str_is(head, heads[i]))
			near = heads[i];
	if (near == NULL)
		near = xf_str_nearest(head, heads, sizeof(heads) / sizeof(*heads));
	if (near != NULL && strcmp(near, "payload") == 0)
		near = "payload.hash";
	else if (near != NULL && strcmp(near, "header") == 0)
		near = dot != NULL && dot[1] != '\0' && name.len > head.len + 1 ? NULL : "header.NAME";
	else if (near != NULL && strcmp(near, "json") == 0)
		near = "json./POINTER";
	if (near == NULL && xf_str_nearest(head, heads + 3, 1) != NULL && name.len > head.len + 1)
		near = "header";
	if (near != NULL && dot != NULL && strchr(near, '.') == NULL && !xf_str_is(head, near))
		xf_error_set(c->error, "unknown field '%.*s'; did you mean '%s%.*s'?", XF_STR_ARG(name), near,
		             (int)(name.len - head.len), name.data + head.len);
	else if (near != NULL && strcmp(near, "subject") == 0 && dot != NULL)
		xf_error_set(c->error, "unknown field '%.*s'; expected subject.N with N from 1", XF_STR_ARG(name));
	else if (near != NULL && !xf_str_is(name, near))
		xf_error_set(c->error, "unknown field '%.*s'; did you mean '%s'?", XF_STR_ARG(name), near);
	else
		xf_error_set(c->error, "unknown field '%.*s'; expected %s, %s, %s, %s, %s, %s, %s or 'text'",
		             XF_STR_ARG(name), words[0], words[1], words[2], words[3], words[4], words[5],
		             words[6]);
	return false;
}

/* One name that is no literal. AT: where it stands. */
static bool
name_compile(struct compiler *c, struct part *part, size_t at, struct xf_str name)
{
	struct field *field;
	struct xf_str rest;

	if (name.len == 0)
		return fail(c, at, "empty field '%.*s'; expected one like {subject} or {header.NAME}",
		            xf_str("{}"));
	field = field_add(part);
	if (xf_str_is(name, "subject"))
		field->kind = FIELD_SUBJECT;
	else if (starts_with(name, "subject.", &rest) && token_number(rest, &field->token))
		field->kind = FIELD_TOKEN;
	else if (xf_str_is(name, "id"))
		field->kind = FIELD_ID;
	else if (xf_str_is(name, "key"))
		field->kind = FIELD_KEY;
	else if (xf_str_is(name, "payload.hash"))
		field->kind = FIELD_HASH;
	else if (starts_with(name, "header.", &rest) && header_name_valid(rest))
		arg_set(field, FIELD_HEADER, rest.data, rest.len);
	else if (starts_with(name, "json.", &rest) && pointer_valid(rest))
		arg_set(field, FIELD_JSON, rest.data, rest.len);
	else if (starts_with(name, "json.", &rest))
		return fail(c, at, "'%.*s' is no JSON pointer; expected json./name or json./list/0", name);
	else
		return name_unknown(c, at, name);
	return true;
}

/* c->at stands behind the opening quote. A doubled quote is one. */
static bool
quote_compile(struct compiler *c, struct part *part)
{
	struct xf_buffer literal = {0};
	size_t start = c->at - 1;

	for (; c->at < c->text.len; c->at++) {
		if (c->text.data[c->at] != '\'') {
			xf_buffer_append(&literal, c->text.data + c->at, 1);
		} else if (c->at + 1 < c->text.len && c->text.data[c->at + 1] == '\'') {
			xf_buffer_append(&literal, "'", 1);
			c->at++;
		} else {
			c->at++;
			arg_set(field_add(part), FIELD_LITERAL, literal.data, literal.len);
			xf_buffer_fini(&literal);
			return true;
		}
	}
	xf_buffer_fini(&literal);
	return fail(c, start, "a quote without its end in '%.*s'; expected 'text'",
	            (struct xf_str){c->text.data + start, c->text.len - start});
}

static void
spaces_skip(struct compiler *c)
{
	while (c->at < c->text.len && c->text.data[c->at] == ' ')
		c->at++;
}

/* c->at stands behind "{"; takes everything up to and with "}". */
static bool
field_compile(struct compiler *c, struct part *part)
{
	size_t open = c->at - 1;

	for (;;) {
		spaces_skip(c);
		if (c->at < c->text.len && c->text.data[c->at] == '\'') {
			c->at++;
			if (!quote_compile(c, part))
				return false;
		} else {
			struct xf_str name = {c->text.data + c->at, 0};
			size_t at = c->at;

			while (c->at < c->text.len && strchr("|}{", c->text.data[c->at]) == NULL)
				c->at++;
			name.len = c->at - at;
			while (name.len > 0 && name.data[name.len - 1] == ' ')
				name.len--;
			if (c->at == c->text.len || c->text.data[c->at] == '{')
				return fail(c, open, "'{' without '}' in '%.*s'",
				            (struct xf_str){c->text.data + open, c->text.len - open});
			if (!name_compile(c, part, at, name))
				return false;
		}
		spaces_skip(c);
		if (c->at == c->text.len)
			return fail(c, open, "'{' without '}' in '%.*s'",
			            (struct xf_str){c->text.data + open, c->text.len - open});
		if (c->text.data[c->at] == '}') {
			c->at++;
			return true;
		}
		if (c->text.data[c->at] != '|')
			return fail(c, c->at, "text behind a quote in '%.*s'; expected '|' or '}'",
			            (struct xf_str){c->text.data + open, c->text.len - open});
		c->at++;
	}
}

static bool
template_compile(struct compiler *c, struct xf_template *template)
{
	if (c->text.len > TEXT_MAX)
		return fail(c, 0, "%.*s", xf_str("too long; expected at most 4096 bytes"));
	while (c->at < c->text.len) {
		size_t start = c->at;

		while (c->at < c->text.len && c->text.data[c->at] != '{' && c->text.data[c->at] != '}')
			c->at++;
		if (c->at > start)
			arg_set(field_add(part_add(template)), FIELD_LITERAL, c->text.data + start, c->at - start);
		if (c->at == c->text.len)
			break;
		if (c->text.data[c->at] == '}')
			return fail(c, c->at, "'}' without '{' in '%.*s'", c->text);
		c->at++;
		if (!field_compile(c, part_add(template)))
			return false;
	}
	return true;
}

/* A field whose first alternative is a literal is that literal. Neighbouring literals become one. */
static void
template_fold(struct xf_template *template)
{
	size_t kept = 0;

	for (size_t i = 0; i < template->count; i++) {
		struct part *part = &template->parts[i], *last = kept > 0 ? &template->parts[kept - 1] : NULL;

		/* what stands behind a literal is never tried */
		for (size_t f = 0; f + 1 < part->count; f++)
			if (part->fields[f].kind == FIELD_LITERAL)
				while (part->count > f + 1)
					free((char *)part->fields[--part->count].arg.data);
		if (last != NULL && last->fields[0].kind == FIELD_LITERAL && part->fields[0].kind == FIELD_LITERAL) {
			struct xf_str a = last->fields[0].arg, b = part->fields[0].arg;
			char *both = xf_alloc(a.len + b.len + 1);

			memcpy(both, a.data, a.len);
			memcpy(both + a.len, b.data, b.len);
			free((char *)a.data);
			free((char *)b.data);
			free(part->fields);
			last->fields[0].arg = (struct xf_str){both, a.len + b.len};
		} else {
			template->parts[kept++] = *part;
		}
	}
	template->count = kept;
}

struct xf_template *
xf_template_create(struct xf_str text, size_t *column, struct xf_error *error)
{
	struct xf_template *template = xf_alloc(sizeof(*template));
	struct compiler c = {.text = text, .error = error};

	template->text = (struct xf_str){xf_strndup(text.data, text.len), text.len};
	if (!template_compile(&c, template)) {
		if (column != NULL)
			*column = c.wrong;
		xf_template_destroy(&template);
		return NULL;
	}
	template_fold(template);
	return template;
}

void
xf_template_destroy(struct xf_template **template)
{
	struct xf_template *t = *template;

	if (t == NULL)
		return;
	*template = NULL;
	for (size_t i = 0; i < t->count; i++) {
		for (size_t f = 0; f < t->parts[i].count; f++)
			free((char *)t->parts[i].fields[f].arg.data);
		free(t->parts[i].fields);
	}
	free(t->parts);
	free((char *)t->text.data);
	free(t);
}

/* ---- Evaluating ------------------------------------------------------------- */

/* The header's first value that is not empty. */
static struct xf_str
header_value(const struct xf_fields *from, struct xf_str name)
{
	for (uint32_t i = 0; i < from->header_count; i++)
		if (from->headers[i].value.len > 0 && xf_str_equal_nocase(from->headers[i].name, name))
			return from->headers[i].value;
	return (struct xf_str){NULL, 0};
}

/* Compares KEY with a pointer's token, where ~0 stands for ~ and ~1 for /. */
static bool
token_matches(struct xf_str token, const char *key)
{
	for (size_t i = 0; i < token.len; i++, key++) {
		char c = token.data[i];

		if (c == '~')
			c = token.data[++i] == '0' ? '~' : '/';
		if (*key != c)
			return false;
	}
	return *key == '\0';
}

static const cJSON *
json_child(const cJSON *node, struct xf_str token)
{
	const cJSON *child;
	size_t index = 0;

	if (cJSON_IsObject(node)) {
		cJSON_ArrayForEach(child, node)
			if (token_matches(token, child->string))
				return child;
		return NULL;
	}
	if (!cJSON_IsArray(node) || token.len == 0 || token.len > 7 || (token.len > 1 && token.data[0] == '0'))
		return NULL;
	for (size_t i = 0; i < token.len; i++) {
		if (!isdigit((unsigned char)token.data[i]))
			return NULL;
		index = index * 10 + (size_t)(token.data[i] - '0');
	}
	cJSON_ArrayForEach(child, node)
		if (index-- == 0)
			return child;
	return NULL;
}

static struct xf_str
number_text(struct evaluation *e, double number)
{
	static const double exact_max = 9007199254740992.0; /* 2^53: past it, other numbers look the same */

	if (number >= -exact_max && number <= exact_max && floor(number) >= number && number >= floor(number)) {
		snprintf(e->digits, sizeof(e->digits), "%lld", (long long)number);
	} else if (!isfinite(number) || number > exact_max || number < -exact_max) {
		return (struct xf_str){NULL, 0};
	} else {
		snprintf(e->digits, sizeof(e->digits), "%.15g", number);
		if (strtod(e->digits, NULL) < number || strtod(e->digits, NULL) > number)
			snprintf(e->digits, sizeof(e->digits), "%.17g", number);
	}
	return xf_str(e->digits);
}

static struct xf_str
json_value(struct evaluation *e, struct xf_str pointer)
{
	const cJSON *node;

	if (!e->parsed) {
		e->parsed = true;
		if (e->from->payload.len > 0 && e->from->payload.len <= JSON_SIZE_MAX)
			e->json = cJSON_ParseWithLength(e->from->payload.data, e->from->payload.len);
	}
	node = e->json;
	while (node != NULL && pointer.len > 0) {
		struct xf_str token = {pointer.data + 1, pointer.len - 1};
		const char *slash = token.len > 0 ? memchr(token.data, '/', token.len) : NULL;

		if (slash != NULL)
			token.len = (uint64_t)(slash - token.data);
		pointer.data += token.len + 1;
		pointer.len -= token.len + 1;
		node = json_child(node, token);
	}
	if (cJSON_IsString(node))
		return xf_str(node->valuestring);
	if (cJSON_IsNumber(node))
		return number_text(e, node->valuedouble);
	if (cJSON_IsBool(node))
		return xf_str(cJSON_IsTrue(node) ? "true" : "false");
	return (struct xf_str){NULL, 0}; /* nothing, null, or no single value */
}

static struct xf_str
field_value(struct evaluation *e, const struct field *field)
{
	switch (field->kind) {
	case FIELD_LITERAL:
		return field->arg;
	case FIELD_SUBJECT:
		return e->from->subject;
	case FIELD_TOKEN:
		return xf_subject_token(e->from->subject, field->token);
	case FIELD_ID:
		return e->from->id;
	case FIELD_KEY:
		return e->from->key;
	case FIELD_HEADER:
		return header_value(e->from, field->arg);
	case FIELD_JSON:
		return json_value(e, field->arg);
	case FIELD_HASH:
		snprintf(e->digits, sizeof(e->digits), "%016llx",
		         (unsigned long long)XXH3_64bits(e->from->payload.len ? e->from->payload.data : "",
		                                         e->from->payload.len));
		return xf_str(e->digits);
	}
	return (struct xf_str){NULL, 0};
}

/* Whether what field_value() gives dies with the evaluation. */
static bool
is_fleeting(const struct field *field)
{
	return field->kind == FIELD_JSON || field->kind == FIELD_HASH;
}

static void
field_name(const struct field *field, struct xf_buffer *out)
{
	switch (field->kind) {
	case FIELD_LITERAL:
		xf_buffer_printf(out, "'%.*s'", XF_STR_ARG(field->arg));
		break;
	case FIELD_SUBJECT:
		xf_buffer_puts(out, "subject");
		break;
	case FIELD_TOKEN:
		xf_buffer_printf(out, "subject.%u", field->token);
		break;
	case FIELD_ID:
		xf_buffer_puts(out, "id");
		break;
	case FIELD_KEY:
		xf_buffer_puts(out, "key");
		break;
	case FIELD_HEADER:
		xf_buffer_printf(out, "header.%.*s", XF_STR_ARG(field->arg));
		break;
	case FIELD_JSON:
		xf_buffer_printf(out, "json.%.*s", XF_STR_ARG(field->arg));
		break;
	case FIELD_HASH:
		xf_buffer_puts(out, "payload.hash");
		break;
	}
}

static enum xf_status
missing(const struct part *part, struct xf_error *error)
{
	struct xf_buffer names = {0};

	for (size_t i = 0; i < part->count; i++) {
		xf_buffer_puts(&names, i > 0 ? "|" : "");
		field_name(&part->fields[i], &names);
	}
	xf_error_set(error, "the message has no value for {%s}", names.data);
	xf_buffer_fini(&names);
	return XF_FAILED;
}

/* The first alternative that has a value; NULL: none. */
static const struct field *
part_value(struct evaluation *e, const struct part *part, struct xf_str *value)
{
	for (size_t i = 0; i < part->count; i++) {
		*value = field_value(e, &part->fields[i]);
		if (value->len > 0 || part->fields[i].kind == FIELD_LITERAL)
			return &part->fields[i];
	}
	return NULL;
}

enum xf_status
xf_template_eval(const struct xf_template *template, const struct xf_fields *fields, struct xf_buffer *scratch,
                 struct xf_str *value, struct xf_error *error)
{
	struct evaluation e;
	enum xf_status status = XF_OK;
	const struct field *field;
	struct xf_str piece;

	e.from = fields;
	e.json = NULL;
	e.parsed = false;
	scratch->len = 0;
	if (template->count == 1) {
		field = part_value(&e, &template->parts[0], &piece);
		if (field == NULL) {
			status = missing(&template->parts[0], error);
		} else if (is_fleeting(field)) {
			xf_buffer_append(scratch, piece.data, piece.len);
			*value = (struct xf_str){scratch->data, scratch->len};
		} else {
			*value = piece;
		}
		cJSON_Delete(e.json);
		return status;
	}
	for (size_t i = 0; i < template->count; i++) {
		if (part_value(&e, &template->parts[i], &piece) == NULL) {
			status = missing(&template->parts[i], error);
			break;
		}
		xf_buffer_append(scratch, piece.data, piece.len);
	}
	cJSON_Delete(e.json);
	if (status == XF_OK)
		*value = (struct xf_str){scratch->data, scratch->len};
	return status;
}

/* ---- Questions -------------------------------------------------------------- */

struct xf_str
xf_template_text(const struct xf_template *template)
{
	return template->text;
}

bool
xf_template_constant(const struct xf_template *template, struct xf_str *value)
{
	if (template->count > 1 || (template->count == 1 && template->parts[0].fields[0].kind != FIELD_LITERAL))
		return false;
	*value = template->count == 1 ? template->parts[0].fields[0].arg : (struct xf_str){"", 0};
	return true;
}

bool
xf_template_uses_id(const struct xf_template *template)
{
	for (size_t i = 0; i < template->count; i++)
		if (template->parts[i].fields[template->parts[i].count - 1].kind == FIELD_ID)
			return true;
	return false;
}

/* What FIELD can be, as a pattern: text without wildcards, `*` for one token, or else any number. */
static struct xf_str
field_pattern(const struct field *field, struct xf_str source)
{
	struct xf_str token;

	switch (field->kind) {
	case FIELD_LITERAL:
		return field->arg;
	case FIELD_SUBJECT:
		return source;
	case FIELD_TOKEN:
		token = xf_subject_token(source, field->token);
		return token.len == 0 || xf_str_is(token, ">") ? xf_str("*") : token;
	case FIELD_HASH:
		return xf_str("*");
	case FIELD_ID:
	case FIELD_KEY:
	case FIELD_HEADER:
	case FIELD_JSON:
		break;
	}
	return xf_str(">");
}

/* One pattern for all alternatives of PART. */
static struct xf_str
part_pattern(const struct part *part, struct xf_str source)
{
	struct xf_str pattern = field_pattern(&part->fields[0], source);

	for (size_t i = 1; i < part->count; i++) {
		struct xf_str other = field_pattern(&part->fields[i], source);

		if (xf_str_equal(pattern, other))
			continue;
		if (pattern.len == 0 || other.len == 0 || memchr(pattern.data, '.', pattern.len) != NULL ||
		    memchr(other.data, '.', other.len) != NULL || xf_str_is(pattern, ">") || xf_str_is(other, ">"))
			return xf_str(">");
		pattern = xf_str("*");
	}
	return pattern;
}

/* Appends the tokens of PATTERN to those in OUT, the first of them to OUT's last, which begins at *TOKEN_START and is
 * *HAZY where it has a part that is not known. False where nothing more can be told: OUT then ends with `>`. */
static bool
pattern_append(struct xf_buffer *out, size_t *token_start, bool *hazy, struct xf_str pattern)
{
	for (size_t i = 0; i <= pattern.len;) {
		const char *dot = i < pattern.len ? memchr(pattern.data + i, '.', pattern.len - i) : NULL;
		size_t end = dot != NULL ? (size_t)(dot - pattern.data) : pattern.len;
		struct xf_str token = {pattern.data + i, end - i};

		if (xf_str_is(token, ">")) {
			out->len = *token_start;
			xf_buffer_puts(out, ">");
			return false;
		}
		if (xf_str_is(token, "*"))
			*hazy = true;
		else
			xf_buffer_append(out, token.data, token.len);
		if (dot == NULL)
			break;
		if (*hazy) {
			out->len = *token_start;
			xf_buffer_puts(out, "*");
		}
		xf_buffer_puts(out, ".");
		*token_start = out->len;
		*hazy = false;
		i = end + 1;
	}
	return true;
}

void
xf_template_pattern_from(const struct xf_template *template, struct xf_str source, struct xf_buffer *out)
{
	size_t token_start = out->len;
	bool hazy = false;

	for (size_t i = 0; i < template->count; i++)
		if (!pattern_append(out, &token_start, &hazy, part_pattern(&template->parts[i], source)))
			return;
	if (hazy) {
		out->len = token_start;
		xf_buffer_puts(out, "*");
	}
}

void
xf_template_pattern(const struct xf_template *template, struct xf_buffer *out)
{
	xf_template_pattern_from(template, xf_str(">"), out);
}

static bool
part_equal(const struct part *a, const struct part *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (a->fields[i].kind != b->fields[i].kind || a->fields[i].token != b->fields[i].token ||
		    !xf_str_equal(a->fields[i].arg, b->fields[i].arg))
			return false;
	return true;
}

static bool
is_literal(const struct part *part)
{
	return part->fields[0].kind == FIELD_LITERAL;
}

/* Literal bytes of TEMPLATE's parts. */
static size_t
literal_length(const struct xf_template *template)
{
	size_t length = 0;

	for (size_t i = 0; i < template->count; i++)
		if (is_literal(&template->parts[i]))
			length += template->parts[i].fields[0].arg.len;
	return length;
}

/* How often A's parts have PART. */
static size_t
part_times(const struct xf_template *a, const struct part *part)
{
	size_t times = 0;

	for (size_t i = 0; i < a->count; i++)
		times += part_equal(&a->parts[i], part);
	return times;
}

/* The same fields, each as often: their values are then equally long for one message. */
static bool
same_fields(const struct xf_template *a, const struct xf_template *b)
{
	for (size_t i = 0; i < a->count; i++)
		if (!is_literal(&a->parts[i]) && part_times(a, &a->parts[i]) != part_times(b, &a->parts[i]))
			return false;
	for (size_t i = 0; i < b->count; i++)
		if (!is_literal(&b->parts[i]) && part_times(a, &b->parts[i]) != part_times(b, &b->parts[i]))
			return false;
	return true;
}

bool
xf_template_may_equal(const struct xf_template *a, const struct xf_template *b)
{
	struct xf_buffer left = {0}, right = {0};
	bool may;

	if (same_fields(a, b)) {
		if (literal_length(a) != literal_length(b))
			return false;
		if (a->count == b->count) { /* fields in the same places, the same lengths between them? */
			bool same_shape = true, same_text = true;

			for (size_t i = 0; i < a->count; i++) {
				bool literal = is_literal(&a->parts[i]);

				if (literal != is_literal(&b->parts[i]) ||
				    (!literal && !part_equal(&a->parts[i], &b->parts[i])) ||
				    (literal && a->parts[i].fields[0].arg.len != b->parts[i].fields[0].arg.len))
					same_shape = false;
				else if (!part_equal(&a->parts[i], &b->parts[i]))
					same_text = false;
			}
			if (same_shape)
				return same_text;
		}
	}
	xf_template_pattern(a, &left);
	xf_template_pattern(b, &right);
	may = xf_subject_overlap((struct xf_str){left.data, left.len}, (struct xf_str){right.data, right.len});
	xf_buffer_fini(&left);
	xf_buffer_fini(&right);
	return may;
}

const char *
xf_template_subject_check(const struct xf_template *template)
{
	struct xf_buffer sample = {0};
	const char *wrong;

	for (size_t i = 0; i < template->count; i++) {
		const struct part *part = &template->parts[i];

		if (is_literal(part))
			xf_buffer_append(&sample, part->fields[0].arg.data, part->fields[0].arg.len);
		else
			xf_buffer_puts(&sample, "x");
	}
	wrong = xf_subject_check((struct xf_str){sample.data, sample.len});
	xf_buffer_fini(&sample);
	return wrong;
}
