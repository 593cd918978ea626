/*
 * The order of reading: files and includes to one tree, the tree to settings, the settings checked against
 * each other. Every step goes on after a mistake, so that all are told in one go.
 */
#include "conf/conf.h"

#include <stdlib.h>

#include "base/utf8.h"
#include "conf/arena.h"
#include "conf/check.h"
#include "conf/digest.h"
#include "conf/document.h"
#include "conf/report.h"
#include "conf/schema.h"

/* The settings lie in their own arena, behind this. */
struct loaded {
	struct xf_conf conf;
	struct xf_arena *arena;
};

/* TEXT NULL: what is in FILE. */
static const struct xf_conf *
load(const char *file, const struct xf_str *text, const struct xf_conf_catalogue *catalogue, struct xf_buffer *errors)
{
	struct xf_arena *arena = xf_arena_create();
	struct xf_report *report = xf_report_create(arena);
	struct loaded *loaded = xf_arena_alloc(arena, sizeof(*loaded));
	struct xf_loading loading = {
		.arena = arena,
		.report = report,
		.catalogue = catalogue,
		.conf = &loaded->conf,
	};
	struct xf_yaml *root;

	loaded->arena = arena;
	loaded->conf.file = xf_arena_copy(arena, file, strlen(file));
	root = text == NULL ? xf_document_load(arena, report, loaded->conf.file)
	                    : xf_document_read(arena, report, loaded->conf.file, *text);
	if (root != NULL) {
		xf_schema_read(&loading, root);
		xf_conf_check(&loading);
	}
	xf_names_fini(&loading.transport_names);
	xf_names_fini(&loading.migration_names);
	xf_names_fini(&loading.pool_names);
	if (xf_report_errors(report) > 0) {
		xf_report_print(report, errors);
		xf_arena_destroy(&arena);
		return NULL;
	}
	xf_dead_routes_add(&loading);
	xf_digests_fill(&loading);
	loaded->conf.warnings = xf_report_warnings(report, &loaded->conf.warning_count);
	return &loaded->conf;
}

const struct xf_conf *
xf_conf_load(const char *file, const struct xf_conf_catalogue *catalogue, struct xf_buffer *errors)
{
	return load(file, NULL, catalogue, errors);
}

const struct xf_conf *
xf_conf_load_text(const char *name, struct xf_str text, const struct xf_conf_catalogue *catalogue,
                  struct xf_buffer *errors)
{
	return load(name, &text, catalogue, errors);
}

/* The character at AT, and its length; a byte that begins none is one by itself. */
static uint64_t
character_read(const char *at, uint64_t left, uint32_t *c)
{
	unsigned char lead = (unsigned char)*at;
	uint64_t len = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

	*c = lead;
	if (len == 1 || len > left || !xf_utf8_valid((struct xf_str){at, len}))
		return 1;
	*c = lead & (0x7fu >> len);
	for (uint64_t i = 1; i < len; i++)
		*c = *c << 6 | ((unsigned char)at[i] & 0x3f);
	return len;
}

/* Beyond ASCII there are line breaks and characters that YAML does not allow, so all of that is escaped. */
void
xf_conf_quote(struct xf_buffer *out, struct xf_str text)
{
	uint32_t c;

	xf_buffer_puts(out, "\"");
	for (uint64_t i = 0, len; i < text.len; i += len) {
		len = character_read(text.data + i, text.len - i, &c);
		if (c == '"' || c == '\\')
			xf_buffer_printf(out, "\\%c", (int)c);
		else if (c == '$')
			xf_buffer_puts(out, "$$");
		else if (len > 1 || c < ' ' || c == 0x7f)
			xf_buffer_printf(out, "\\U%08x", c);
		else
			xf_buffer_append(out, text.data + i, 1);
	}
	xf_buffer_puts(out, "\"");
}

void
xf_conf_destroy(const struct xf_conf **conf)
{
	struct loaded *loaded = (struct loaded *)*conf;
	struct xf_arena *arena;

	if (loaded == NULL)
		return;
	*conf = NULL;
	arena = loaded->arena;
	xf_arena_destroy(&arena);
}
