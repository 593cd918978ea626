/*
 * A scalar is read from left to right; a default and a path are expanded by the same function, one level
 * deeper. The value of a variable is taken as it is, so nothing can grow by itself: the bounds are for
 * large variables that are named often.
 */
#include "conf/expand.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/memory.h"
#include "conf/file.h"

enum {
	NESTED_MAX = 16,
	FILE_SIZE_MAX = 64 << 10,
	SCALAR_SIZE_MAX = 1 << 20,
	TOTAL_SIZE_MAX = 16 << 20,
};

struct expansion {
	struct xf_arena *arena;
	struct xf_report *report;
	struct xf_yaml *node;
	const char *at;
	const char *end;
	unsigned nested;
};

static bool
is_name(struct xf_str name)
{
	if (name.len == 0 || isdigit((unsigned char)name.data[0]))
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!isalnum((unsigned char)name.data[i]) && name.data[i] != '_')
			return false;
	return true;
}

static bool text_expand(struct expansion *x, bool inside, struct xf_buffer *out);

static bool
file_expand(struct expansion *x, struct xf_buffer *out)
{
	struct xf_buffer path = {0}, content = {0};
	struct xf_error error = {{0}};
	const char *kept;
	char *resolved = NULL;
	bool done = false;

	x->node->secret = true;
	if (!text_expand(x, true, &path))
		goto free_all;
	if (path.len == 0) {
		xf_report_error(x->report, x->node->place, "${file:} names no file; expected ${file:PATH}");
		goto free_all;
	}
	resolved = xf_file_beside(x->node->place.file, path.data);
	if (xf_file_read(resolved, FILE_SIZE_MAX, &content, NULL, &error) != XF_OK) {
		xf_report_error(x->report, x->node->place, "${file:%s}: %s", path.data, error.text);
		goto free_all;
	}
	if (content.len > 0 && content.data[content.len - 1] == '\n')
		content.len--;
	if (content.len > 0 && content.data[content.len - 1] == '\r')
		content.len--;
	if (content.len > 0 && memchr(content.data, '\0', content.len) != NULL) {
		xf_report_error(x->report, x->node->place, "${file:%s}: has a NUL character; expected text", path.data);
		goto free_all;
	}
	kept = xf_arena_copy(x->arena, content.data, content.len);
	xf_report_secret(x->report, (struct xf_str){kept, content.len});
	xf_buffer_append(out, content.data, content.len);
	done = true;

free_all:
	free(resolved);
	xf_buffer_fini(&content);
	xf_buffer_fini(&path);
	return done;
}

/* Past the default of a variable that is set; it may name a file that is only there when it is needed. */
static bool
default_skip(struct expansion *x)
{
	unsigned open = 1;

	while (x->at < x->end) {
		char c = *x->at++;

		if (c == '{')
			open++;
		else if (c == '}' && --open == 0)
			return true;
	}
	return false;
}

/* Behind "${NAME" stands "}" or ":-DEFAULT}"; x->at is there. */
static bool
variable_expand(struct expansion *x, struct xf_str name, struct xf_buffer *out)
{
	char *copy = xf_strndup(name.data, name.len);
	const char *value = getenv(copy);
	bool has_default = *x->at == ':', done = false;

	x->at += has_default ? 2 : 1;
	if (has_default && (value == NULL || value[0] == '\0')) {
		done = text_expand(x, true, out);
	} else if (has_default && !default_skip(x)) {
		xf_report_error(x->report, x->node->place, "'${%s:-' without '}'", copy);
	} else if (value == NULL) {
		xf_report_error(x->report, x->node->place,
		                "${%s} is not set; expected it in the environment, or a default: ${%s:-...}", copy,
		                copy);
	} else {
		xf_buffer_puts(out, value);
		done = true;
	}
	free(copy);
	return done;
}

/* x->at stands behind "${". */
static bool
braces_expand(struct expansion *x, struct xf_buffer *out)
{
	struct xf_str name = {x->at, 0};

	if (x->nested == NESTED_MAX) {
		xf_report_error(x->report, x->node->place, "${...} nested more than %d levels deep", NESTED_MAX);
		return false;
	}
	if (x->end - x->at >= 5 && strncmp(x->at, "file:", 5) == 0) {
		bool done;

		x->at += 5;
		x->nested++;
		done = file_expand(x, out);
		x->nested--;
		return done;
	}
	while (x->at < x->end && *x->at != '}' && *x->at != ':')
		x->at++;
	name.len = (uint64_t)(x->at - name.data);
	if (x->at < x->end && (*x->at == '}' || (x->at + 1 < x->end && x->at[1] == '-')) && is_name(name)) {
		bool done;

		x->nested++;
		done = variable_expand(x, name, out);
		x->nested--;
		return done;
	}
	xf_report_error(x->report, x->node->place,
	                "'${' without a name and '}'; expected ${NAME}, ${NAME:-default} or ${file:PATH}, or $$ for a "
	                "dollar");
	return false;
}

/* All of the rest, or INSIDE of braces up to the closing one, which is taken. Braces inside, as those of
 * a template, come in pairs. */
static bool
text_expand(struct expansion *x, bool inside, struct xf_buffer *out)
{
	unsigned open = 1;

	while (x->at < x->end) {
		char c = *x->at++;

		if (inside && c == '}' && --open == 0)
			return true;
		if (c == '{')
			open++;
		if (c == '$' && x->at < x->end && *x->at == '$') {
			x->at++;
			xf_buffer_append(out, "$", 1);
		} else if (c == '$' && x->at < x->end && *x->at == '{') {
			x->at++;
			if (!braces_expand(x, out))
				return false;
		} else {
			xf_buffer_append(out, &c, 1);
		}
		if (out->len > SCALAR_SIZE_MAX) {
			xf_report_error(x->report, x->node->place, "expands to more than %d bytes", SCALAR_SIZE_MAX);
			return false;
		}
	}
	if (!inside)
		return true;
	xf_report_error(x->report, x->node->place, "'${' without '}'");
	return false;
}

static void
scalar_expand(struct xf_arena *arena, struct xf_report *report, struct xf_yaml *node, size_t *total)
{
	struct expansion x = {
		.arena = arena,
		.report = report,
		.node = node,
		.at = node->text.data,
		.end = node->text.data + node->text.len,
	};
	struct xf_buffer out = {0};

	if (node->bad || memchr(node->text.data, '$', node->text.len) == NULL)
		return;
	if (*total > TOTAL_SIZE_MAX) {
		node->bad = true;
		return;
	}
	if (text_expand(&x, false, &out)) {
		*total += out.len;
		if (*total > TOTAL_SIZE_MAX)
			xf_report_error(report, node->place, "all ${...} together expand to more than %d bytes",
			                TOTAL_SIZE_MAX);
		node->text.data = xf_arena_copy(arena, out.data, out.len);
		node->text.len = out.len;
	} else {
		node->bad = true;
	}
	xf_buffer_fini(&out);
}

void
xf_expand(struct xf_arena *arena, struct xf_report *report, struct xf_yaml *root, size_t *total)
{
	switch (root->kind) {
	case XF_YAML_SCALAR:
		scalar_expand(arena, report, root, total);
		break;
	case XF_YAML_LIST:
		for (size_t i = 0; i < root->count; i++)
			xf_expand(arena, report, root->items[i], total);
		break;
	case XF_YAML_MAP:
		for (size_t i = 0; i < root->count; i++)
			xf_expand(arena, report, root->entries[i].value, total);
		break;
	}
}
