/*
 * Each file is read, expanded, and merged into one root; then its includes, depth first. A file is known
 * by device and inode, so no spelling of its path makes it be read twice or for ever.
 */
#include "conf/document.h"

#include <glob.h>
#include <stdlib.h>

#include "base/memory.h"
#include "conf/expand.h"
#include "conf/file.h"

enum { DEPTH_MAX = 8, FILES_MAX = 256, TOTAL_SIZE_MAX = 16 << 20 };

struct seen {
	struct xf_file_identity identity;
	struct xf_conf_place place; /* of the include; line 0: the main file */
	bool open;                  /* it, or one that it includes, is being read */
};

struct document {
	struct xf_arena *arena;
	struct xf_report *report;
	struct xf_yaml *root;
	struct seen seen[FILES_MAX];
	size_t seen_count;
	size_t read;     /* bytes of files */
	size_t expanded; /* bytes of scalars */
	unsigned depth;
};

/* ---- Merging ---------------------------------------------------------------- */

static void
items_append(struct document *doc, struct xf_yaml *list, const struct xf_yaml *more)
{
	struct xf_yaml **items = xf_arena_array(doc->arena, list->count + more->count, sizeof(*items));

	if (list->count > 0)
		memcpy(items, list->items, list->count * sizeof(*items));
	if (more->count > 0)
		memcpy(items + list->count, more->items, more->count * sizeof(*items));
	list->items = items;
	list->count += more->count;
}

/* Room for FROM's entries behind INTO's, which stay. */
static void
entries_reserve(struct document *doc, struct xf_yaml *into, const struct xf_yaml *from)
{
	struct xf_yaml_entry *entries = xf_arena_array(doc->arena, into->count + from->count, sizeof(*entries));

	if (into->count > 0)
		memcpy(entries, into->entries, into->count * sizeof(*entries));
	into->entries = entries;
}

/* Entries of FROM that INTO has not are added; LEVELS of maps that both have are merged, all else is given twice. */
static void
map_merge(struct document *doc, struct xf_yaml *into, const struct xf_yaml *from, unsigned levels)
{
	entries_reserve(doc, into, from);
	for (size_t i = 0; i < from->count; i++) {
		const struct xf_yaml_entry *theirs = &from->entries[i];
		const struct xf_yaml_entry *ours = xf_yaml_entry(into, theirs->key);

		if (ours == NULL)
			into->entries[into->count++] = *theirs;
		else if (levels > 0 && ours->value->kind == XF_YAML_MAP && theirs->value->kind == XF_YAML_MAP)
			map_merge(doc, ours->value, theirs->value, levels - 1);
		else
			xf_report_error(doc->report, theirs->place, "'%s' stands here again; it was first given at %s",
			                theirs->key, xf_place_text(doc->arena, ours->place));
	}
}

/* Levels of maps below a section that files may fill together: names of transports are given once. */
static unsigned
section_levels(const char *section)
{
	return strcmp(section, "server") == 0 ? XF_YAML_DEPTH_MAX : 0;
}

static void
root_merge(struct document *doc, const struct xf_yaml *from)
{
	entries_reserve(doc, doc->root, from);
	for (size_t i = 0; i < from->count; i++) {
		const struct xf_yaml_entry *theirs = &from->entries[i];
		const struct xf_yaml_entry *ours = xf_yaml_entry(doc->root, theirs->key);

		if (strcmp(theirs->key, "include") == 0)
			continue;
		if (ours == NULL)
			doc->root->entries[doc->root->count++] = *theirs;
		else if (ours->value->kind == XF_YAML_MAP && theirs->value->kind == XF_YAML_MAP)
			map_merge(doc, ours->value, theirs->value, section_levels(theirs->key));
		else if (ours->value->kind == XF_YAML_LIST && theirs->value->kind == XF_YAML_LIST)
			items_append(doc, ours->value, theirs->value);
		else
			xf_report_error(doc->report, theirs->value->place,
			                "'%s' is %s here and %s at %s; expected the same in both", theirs->key,
			                xf_yaml_kind_name(theirs->value), xf_yaml_kind_name(ours->value),
			                xf_place_text(doc->arena, ours->value->place));
	}
}

/* ---- Files ------------------------------------------------------------------ */

static void file_load(struct document *doc, const char *file, struct xf_conf_place from);

static void
pattern_load(struct document *doc, const struct xf_yaml *node)
{
	glob_t found = {0};
	char *pattern;
	int status;

	if (node->bad)
		return;
	if (node->kind != XF_YAML_SCALAR || node->text.len == 0 || node->null) {
		xf_report_error(doc->report, node->place, "'include' is %s; expected a path, or a list of them",
		                xf_yaml_show(doc->report, doc->arena, node));
		return;
	}
	pattern = xf_file_beside(node->place.file, node->text.data);
	status = glob(pattern, 0, NULL, &found);
	/* an empty folder of pieces is fine; a file that is named must be there */
	if (status == GLOB_NOMATCH && strpbrk(pattern, "*?[") == NULL)
		xf_report_error(doc->report, node->place, "include %s: no such file",
		                xf_yaml_show(doc->report, doc->arena, node));
	else if (status != 0 && status != GLOB_NOMATCH)
		xf_report_error(doc->report, node->place, "include %s: cannot be read",
		                xf_yaml_show(doc->report, doc->arena, node));
	for (size_t i = 0; status == 0 && i < found.gl_pathc; i++)
		file_load(doc, xf_arena_copy(doc->arena, found.gl_pathv[i], strlen(found.gl_pathv[i])), node->place);
	globfree(&found);
	free(pattern);
}

static void
includes_load(struct document *doc, const struct xf_yaml *root)
{
	const struct xf_yaml_entry *include = xf_yaml_entry(root, "include");

	if (include == NULL)
		return;
	if (doc->depth == DEPTH_MAX) {
		xf_report_error(doc->report, include->place, "included more than %d levels deep; expected fewer",
		                DEPTH_MAX);
		return;
	}
	doc->depth++;
	if (include->value->kind == XF_YAML_LIST)
		for (size_t i = 0; i < include->value->count; i++)
			pattern_load(doc, include->value->items[i]);
	else
		pattern_load(doc, include->value);
	doc->depth--;
}

/* Remembers the file; NULL where it may not be read (again). */
static struct seen *
file_enter(struct document *doc, const char *file, struct xf_conf_place from, struct xf_file_identity identity)
{
	for (size_t i = 0; i < doc->seen_count; i++) {
		const struct seen *seen = &doc->seen[i];

		if (seen->identity.device != identity.device || seen->identity.inode != identity.inode)
			continue;
		if (seen->open)
			xf_report_error(doc->report, from, "include '%s': it includes itself", file);
		else
			xf_report_error(doc->report, from, "include '%s': included a second time, first at %s", file,
			                xf_place_text(doc->arena, seen->place));
		return NULL;
	}
	if (doc->seen_count == FILES_MAX) {
		xf_report_error(doc->report, from, "include '%s': more than %d files", file, FILES_MAX);
		return NULL;
	}
	doc->seen[doc->seen_count] = (struct seen){identity, from, true};
	return &doc->seen[doc->seen_count++];
}

static void
content_load(struct document *doc, const char *file, struct xf_str content)
{
	struct xf_yaml *root = xf_yaml_parse(doc->arena, doc->report, file, content);

	if (root == NULL || root->bad)
		return;
	if (root->null && file != doc->root->place.file)
		return; /* an included file may be empty */
	if (root->kind != XF_YAML_MAP) {
		xf_report_error(doc->report, root->place,
		                "the file is %s; expected a map with server, transports, migrations and routes",
		                xf_yaml_kind_name(root));
		return;
	}
	xf_expand(doc->arena, doc->report, root, &doc->expanded);
	if (file == doc->root->place.file)
		doc->root->place = (struct xf_conf_place){file, root->place.line, root->place.column};
	root_merge(doc, root);
	includes_load(doc, root);
}

static void
file_load(struct document *doc, const char *file, struct xf_conf_place from)
{
	struct xf_buffer content = {0};
	struct xf_file_identity identity;
	struct xf_error error = {{0}};
	struct seen *seen;

	xf_report_file(doc->report, file);
	if (xf_file_read(file, XF_YAML_SIZE_MAX, &content, &identity, &error) != XF_OK) {
		if (from.line == 0)
			xf_report_error(doc->report, from, "%s", error.text);
		else
			xf_report_error(doc->report, from, "include '%s': %s", file, error.text);
		goto free_content;
	}
	doc->read += content.len;
	if (doc->read > TOTAL_SIZE_MAX) {
		xf_report_error(doc->report, from, "include '%s': more than %d bytes in all files", file, TOTAL_SIZE_MAX);
		goto free_content;
	}
	seen = file_enter(doc, file, from, identity);
	if (seen == NULL)
		goto free_content;
	content_load(doc, file, (struct xf_str){content.data, content.len});
	seen->open = false;

free_content:
	xf_buffer_fini(&content);
}

static struct document *
document_create(struct xf_arena *arena, struct xf_report *report, const char *file)
{
	struct document *doc = xf_arena_alloc(arena, sizeof(*doc));

	doc->arena = arena;
	doc->report = report;
	doc->root = xf_arena_alloc(arena, sizeof(*doc->root));
	doc->root->kind = XF_YAML_MAP;
	doc->root->place = (struct xf_conf_place){file, 0, 0};
	return doc;
}

/* Without a tree, every name in it would be reported as missing. */
static struct xf_yaml *
root_of(const struct document *doc, size_t errors_before)
{
	return doc->root->count == 0 && xf_report_errors(doc->report) > errors_before ? NULL : doc->root;
}

struct xf_yaml *
xf_document_load(struct xf_arena *arena, struct xf_report *report, const char *file)
{
	struct document *doc = document_create(arena, report, file);
	size_t before = xf_report_errors(report);

	file_load(doc, file, doc->root->place);
	return root_of(doc, before);
}

struct xf_yaml *
xf_document_read(struct xf_arena *arena, struct xf_report *report, const char *file, struct xf_str text)
{
	struct document *doc = document_create(arena, report, file);
	size_t before = xf_report_errors(report);

	xf_report_file(report, file);
	if (text.len > XF_YAML_SIZE_MAX)
		xf_report_error(report, doc->root->place, "has %zu bytes; expected at most %u", (size_t)text.len,
		                XF_YAML_SIZE_MAX);
	else
		content_load(doc, file, text);
	return root_of(doc, before);
}
