/*
 * Everything that a template gives is read first, so that it is of the message as it came. What is hidden is hidden last, wherever it was
 * moved or set.
 */
#include "edits.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "pointer.h"

enum { RENAME, SET, HASH, SALT, REDACT, REMOVE };
enum { FROM, TO };
enum { FIELD, VALUE, JSON };

static const char *const needs_hash[] = {"hash", NULL};
static const char *const not_with_value[] = {"json", NULL};
static const char *const not_with_json[] = {"value", NULL};

static const struct xf_option *const rename_fields[] = {
	[FROM] = ROW(.type = XF_OPTION_STRING, .key = "from", .flags = XF_OPTION_REQUIRED,
	             .help = "JSON pointer of a field; where there is none nothing is done"),
	[TO] = ROW(.type = XF_OPTION_STRING, .key = "to", .flags = XF_OPTION_REQUIRED,
	           .help = "JSON pointer of where it is to stand; what stands there is replaced"),
	NULL,
};

static const struct xf_option *const set_fields[] = {
	[FIELD] = ROW(.type = XF_OPTION_STRING, .key = "field", .flags = XF_OPTION_REQUIRED,
	              .help = "JSON pointer; objects on the way are made, and /- at its end appends to an array"),
	[VALUE] = ROW(.type = XF_OPTION_STRING, .key = "value", .conflicts = not_with_value,
	              .help = "Template of the string that it becomes"),
	[JSON] = ROW(.type = XF_OPTION_STRING, .key = "json", .conflicts = not_with_json,
	             .help = "Template of the JSON that it becomes: a number, true, null, {...}"),
	NULL,
};

const struct xf_option *const edits_fields[] = {
	[RENAME] = ROW(.type = XF_OPTION_MAP, .key = "rename", .flags = XF_OPTION_LIST, .fields = rename_fields,
	               .help = "Fields that get another name or place"),
	[SET] = ROW(.type = XF_OPTION_MAP, .key = "set", .flags = XF_OPTION_LIST, .fields = set_fields,
	            .help = "Fields that get a value"),
	[HASH] = ROW(.type = XF_OPTION_STRING, .key = "hash", .flags = XF_OPTION_LIST,
	             .help = "JSON pointers of fields that become their SHA-256 in hexadecimal digits; * is any name or element"),
	[SALT] = ROW(.type = XF_OPTION_STRING, .key = "salt", .flags = XF_OPTION_SECRET, .requires_ = needs_hash,
	             .help = "Secret of the hashes, which are HMAC-SHA-256 with it"),
	[REDACT] = ROW(.type = XF_OPTION_STRING, .key = "redact", .flags = XF_OPTION_LIST,
	               .help = "JSON pointers of fields that become \"***\"; * is any name or element"),
	[REMOVE] = ROW(.type = XF_OPTION_STRING, .key = "remove", .flags = XF_OPTION_LIST,
	               .help = "JSON pointers of fields that are removed; * is any name or element"),
	NULL,
};

struct edits {
	const struct xf_host *host;
	const struct xf_value *rename, *hash, *redact, *remove;
	struct xf_str salt;
	struct setting *set;
	uint32_t set_count;
};

__attribute__((format(printf, 2, 3))) static bool
fail(struct xf_error *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return false;
}

void
setting_fini(struct setting *setting)
{
	template_destroy(&setting->template);
	bytes_fini(&setting->scratch);
}

bool
setting_eval(struct setting *setting, struct view *view, struct xf_error *error)
{
	return setting->template == NULL ||
	       template_value(setting->template, view, &setting->scratch, &setting->value, error);
}

/* ---- Settings ---------------------------------------------------------------------- */

static bool
pointer_read(struct xf_str pointer, const char *what, struct xf_error *error)
{
	const char *wrong = pointer.len == 0 ? "a JSON pointer of a field is not empty" : pointer_check(pointer);

	return wrong == NULL || fail(error, "json: %s '%.*s': %s", what, STR_ARG(pointer), wrong);
}

static bool
pointers_read(const struct xf_value *list, const char *what, struct xf_error *error)
{
	for (uint32_t i = 0; i < list->count; i++)
		if (!pointer_read(item(list, i)->str, what, error))
			return false;
	return true;
}

static bool
set_read(struct edits *edits, const struct xf_config *map, struct xf_error *error)
{
	struct setting *setting = &edits->set[edits->set_count];
	const struct xf_value *value = edits->host->option(map, VALUE), *json = edits->host->option(map, JSON);
	struct xf_error why = {{0}};

	setting->target = edits->host->option(map, FIELD)->str;
	setting->json = json->present;
	if (!pointer_read(setting->target, "set", error))
		return false;
	if (!value->present && !json->present)
		return fail(error, "json: set '%.*s': expected value or json", STR_ARG(setting->target));
	setting->template = template_create(json->present ? json->str : value->str, &why);
	edits->set_count++;
	return setting->template != NULL || fail(error, "json: set '%.*s': %.400s", STR_ARG(setting->target), why.text);
}

static bool
edits_read(struct edits *edits, const struct xf_config *map, struct xf_error *error)
{
	const struct xf_value *set = edits->host->option(map, SET);

	edits->rename = edits->host->option(map, RENAME);
	edits->hash = edits->host->option(map, HASH);
	edits->salt = edits->host->option(map, SALT)->str;
	edits->redact = edits->host->option(map, REDACT);
	edits->remove = edits->host->option(map, REMOVE);
	for (uint32_t i = 0; i < edits->rename->count; i++) {
		const struct xf_config *one = item(edits->rename, i)->map;
		struct xf_str from = edits->host->option(one, FROM)->str;

		if (!pointer_read(from, "rename", error) ||
		    !pointer_read(edits->host->option(one, TO)->str, "rename", error))
			return false;
		if (pointer_is_pattern(from))
			return fail(error, "json: rename '%.*s': one field is renamed; expected a pointer without *", STR_ARG(from));
	}
	edits->set = need(calloc(set->count + 1u, sizeof(*edits->set)));
	for (uint32_t i = 0; i < set->count; i++)
		if (!set_read(edits, item(set, i)->map, error))
			return false;
	return pointers_read(edits->hash, "hash", error) && pointers_read(edits->redact, "redact", error) &&
	       pointers_read(edits->remove, "remove", error);
}

struct edits *
edits_create(const struct xf_host *host, const struct xf_config *map, struct xf_error *error)
{
	struct edits *edits = need(calloc(1, sizeof(*edits)));

	edits->host = host;
	if (!edits_read(edits, map, error))
		edits_destroy(&edits);
	return edits;
}

void
edits_destroy(struct edits **edits)
{
	struct edits *e = *edits;

	*edits = NULL;
	if (e == NULL)
		return;
	for (uint32_t i = 0; i < e->set_count; i++)
		setting_fini(&e->set[i]);
	free(e->set);
	free(e);
}

/* ---- Changes ------------------------------------------------------------------------- */

bool
edits_eval(struct edits *edits, struct view *view, struct xf_error *error)
{
	for (uint32_t i = 0; i < edits->set_count; i++)
		if (!setting_eval(&edits->set[i], view, error))
			return false;
	return true;
}

/* Of a name that stands twice the last counts, as for most readers, and none stays behind. */
static void
node_take(struct document *document, uint32_t node, void *context)
{
	*(uint32_t *)context = document_take(document, node);
}

static bool
rename_apply(const struct edits *edits, struct document *document, const struct xf_config *map, struct xf_error *error)
{
	struct xf_str from = edits->host->option(map, FROM)->str, to = edits->host->option(map, TO)->str;
	uint32_t node = 0;
	const char *wrong;

	if (document_find(document, from) == 0 || str_equal(from, to))
		return true;
	document_each(document, from, node_take, &node);
	wrong = document_put(document, to, node);
	return wrong == NULL || fail(error, "its field %.*s cannot become %.*s: %s", STR_ARG(from), STR_ARG(to), wrong);
}

static bool
set_apply(struct document *document, const struct setting *setting, struct xf_error *error)
{
	uint32_t node = setting->json ? document_make(document, setting->value)
	                              : document_make_string(document, setting->value);
	const char *wrong;

	if (node == 0 && setting->json)
		return fail(error, "what its field %.*s should be set to is no JSON: %s", STR_ARG(setting->target),
		            document->wrong);
	wrong = document_put(document, setting->target, node);
	return wrong == NULL || fail(error, "its field %.*s cannot be set: %s", STR_ARG(setting->target), wrong);
}

static void
node_hash(struct document *document, uint32_t node, void *context)
{
	const struct edits *edits = context;
	struct bytes printed = {NULL, 0, 0};
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int len = 0;
	char digits[2 * EVP_MAX_MD_SIZE + 1] = "";
	struct xf_str text;
	int done;

	if (document_node(document, node)->type == NODE_STRING) {
		text = document_string(document, node);
	} else {
		document_print(document, node, &printed);
		text = (struct xf_str){printed.data, printed.len};
	}
	if (edits->salt.len > 0)
		done = HMAC(EVP_sha256(), edits->salt.data, (int)edits->salt.len, (const unsigned char *)text.data, text.len,
		            digest, &len) != NULL;
	else
		done = EVP_Digest(text.data, text.len, digest, &len, EVP_sha256(), NULL);
	for (unsigned int i = 0; done && i < len; i++)
		snprintf(digits + 2 * i, 3, "%02x", digest[i]);
	/* a value must not come out as it is because a library failed */
	document_set_string(document, node, str_of(done ? digits : "***"));
	bytes_fini(&printed);
}

static void
node_redact(struct document *document, uint32_t node, void *context)
{
	(void)context;
	document_set_string(document, node, str_of("***"));
}

static void
node_remove(struct document *document, uint32_t node, void *context)
{
	(void)context;
	document_remove(document, node);
}

static void
each(const struct xf_value *pointers, struct document *document,
     void (*change)(struct document *document, uint32_t node, void *context), struct edits *edits)
{
	for (uint32_t i = 0; i < pointers->count; i++)
		document_each(document, item(pointers, i)->str, change, edits);
}

bool
edits_apply(struct edits *edits, struct view *view, struct xf_error *error)
{
	struct document *document = view_document(view);

	if (document == NULL)
		return fail(error, "its payload is no JSON: %s at byte %zu", view->document.wrong, view->document.wrong_at);
	for (uint32_t i = 0; i < edits->rename->count; i++)
		if (!rename_apply(edits, document, item(edits->rename, i)->map, error))
			return false;
	for (uint32_t i = 0; i < edits->set_count; i++)
		if (!set_apply(document, &edits->set[i], error))
			return false;
	each(edits->hash, document, node_hash, edits);
	each(edits->redact, document, node_redact, edits);
	each(edits->remove, document, node_remove, edits);
	return true;
}
