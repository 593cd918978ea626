/*
 * Findings are sorted by the order in which their files were read, so a mistake in the main file stands before
 * one in what it includes.
 */
#include "conf/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/utf8.h"

enum {
	KEPT_MAX = 1000,
	PRINTED_MAX = 100,
	SECRET_MIN = 4, /* shorter ones stand in every other word */
};

struct finding {
	struct xf_conf_place place;
	size_t file; /* index in the order of appearance */
	size_t sequence;
	bool warning;
	const char *text;
};

struct xf_report {
	struct xf_arena *arena;
	struct finding *findings;
	size_t count;
	size_t size;
	size_t errors; /* found, kept or not */
	const char **files;
	size_t file_count;
	struct xf_str *secrets;
	size_t secret_count;
};

static void
report_release(void *pointer)
{
	struct xf_report *report = pointer;

	free(report->findings);
	free(report->files);
	free(report->secrets);
	free(report);
}

struct xf_report *
xf_report_create(struct xf_arena *arena)
{
	struct xf_report *report = xf_alloc(sizeof(*report));

	report->arena = arena;
	xf_arena_defer(arena, report_release, report);
	return report;
}

const char *
xf_place_text(struct xf_arena *arena, struct xf_conf_place place)
{
	if (place.line == 0)
		return place.file;
	return xf_arena_format(arena, "%s:%u:%u", place.file, place.line, place.column);
}

static size_t
file_index(struct xf_report *report, const char *file)
{
	for (size_t i = 0; i < report->file_count; i++)
		if (strcmp(report->files[i], file) == 0)
			return i;
	report->files = xf_grow_array(report->files, report->file_count, report->file_count + 1,
	                              sizeof(*report->files));
	report->files[report->file_count] = file;
	return report->file_count++;
}

void
xf_report_file(struct xf_report *report, const char *file)
{
	file_index(report, file);
}

/* A finding is a line, for terminals and JSON too: what it repeats of a file, perhaps cut short, may break none of them. */
static void
text_clean(char *text)
{
	for (char *at = text; *at != '\0'; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			*at = '?';
	while (*(text += xf_utf8_prefix(xf_str(text))) != '\0')
		*text = '?';
}

static void
finding_add(struct xf_report *report, struct xf_conf_place place, bool warning, const char *format, va_list args)
{
	char *text;

	if (!warning)
		report->errors++;
	if (report->count >= KEPT_MAX)
		return;
	text = xf_vformat(format, args);
	text_clean(text);
	if (report->count == report->size) {
		size_t size = report->size ? report->size * 2 : 16;

		report->findings = xf_grow_array(report->findings, report->size, size, sizeof(struct finding));
		report->size = size;
	}
	report->findings[report->count] = (struct finding){
		.place = place,
		.file = file_index(report, place.file),
		.sequence = report->count,
		.warning = warning,
		.text = xf_arena_copy(report->arena, text, strlen(text)),
	};
	report->count++;
	free(text);
}

void
xf_report_error(struct xf_report *report, struct xf_conf_place place, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	finding_add(report, place, false, format, args);
	va_end(args);
}

void
xf_report_warning(struct xf_report *report, struct xf_conf_place place, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	finding_add(report, place, true, format, args);
	va_end(args);
}

/* Of names with one or two letters any other is "near". */
static bool
shares_letter(struct xf_str word, const char *other)
{
	for (size_t i = 0; i < word.len; i++)
		if (word.data[i] != '\0' && strchr(other, word.data[i]) != NULL)
			return true;
	return false;
}

const char *
xf_report_nearest(struct xf_report *report, struct xf_str word, const char *const *words, size_t count,
                  const char *otherwise)
{
	const char *nearest;

	if (report->count >= KEPT_MAX)
		return otherwise;
	nearest = xf_str_nearest(word, words, count);
	if (nearest == NULL || !shares_letter(word, nearest))
		return otherwise;
	return xf_arena_format(report->arena, "; did you mean '%s'?", nearest);
}

const char *
xf_report_words(struct xf_report *report, const char *const *words, size_t count)
{
	struct xf_buffer text = {0};
	const char *copy;

	if (report->count >= KEPT_MAX)
		return "";
	for (size_t i = 0; i < count; i++)
		xf_buffer_printf(&text, "%s%s", i == 0 ? "" : i + 1 == count ? " or " : ", ", words[i]);
	copy = xf_arena_copy(report->arena, text.data, text.len);
	xf_buffer_fini(&text);
	return copy;
}

void
xf_report_secret(struct xf_report *report, struct xf_str secret)
{
	if (secret.len < SECRET_MIN)
		return;
	report->secrets = xf_grow_array(report->secrets, report->secret_count, report->secret_count + 1,
	                                sizeof(*report->secrets));
	report->secrets[report->secret_count++] = secret;
}

/* The length of the user part that begins at TEXT, right behind "://"; 0 where there is none. */
static size_t
user_length(const char *text)
{
	size_t end = strcspn(text, " \t\r\n'\""), at = 0;

	for (size_t i = 0; i < end; i++)
		if (text[i] == '@')
			at = i;
	return at;
}

static size_t
secret_length(const struct xf_report *report, const char *text)
{
	size_t longest = 0;

	for (size_t i = 0; i < report->secret_count; i++) {
		struct xf_str secret = report->secrets[i];

		if (secret.len > longest && strncmp(text, secret.data, secret.len) == 0)
			longest = secret.len;
	}
	return longest;
}

const char *
xf_report_redact(struct xf_report *report, const char *text)
{
	struct xf_buffer clean = {0};
	const char *copy;
	size_t skip;

	while (*text != '\0') {
		if ((skip = secret_length(report, text)) > 0) {
			xf_buffer_puts(&clean, "***");
			text += skip;
		} else if (strncmp(text, "://", 3) == 0) {
			xf_buffer_puts(&clean, "://");
			text += 3;
			if ((skip = user_length(text)) > 0) {
				xf_buffer_puts(&clean, "***");
				text += skip;
			}
		} else {
			xf_buffer_append(&clean, text++, 1);
		}
	}
	copy = xf_arena_copy(report->arena, clean.data, clean.len);
	xf_buffer_fini(&clean);
	return copy;
}

size_t
xf_report_errors(const struct xf_report *report)
{
	return report->errors;
}

static int
finding_compare(const void *left, const void *right)
{
	const struct finding *a = left, *b = right;

	if (a->file != b->file)
		return a->file < b->file ? -1 : 1;
	if (a->place.line != b->place.line)
		return a->place.line < b->place.line ? -1 : 1;
	if (a->place.column != b->place.column)
		return a->place.column < b->place.column ? -1 : 1;
	return a->sequence < b->sequence ? -1 : 1;
}

static void
findings_sort(struct xf_report *report)
{
	if (report->count > 1)
		qsort(report->findings, report->count, sizeof(struct finding), finding_compare);
}

void
xf_report_print(struct xf_report *report, struct xf_buffer *out)
{
	size_t printed = 0;

	findings_sort(report);
	for (size_t i = 0; i < report->count && printed < PRINTED_MAX; i++) {
		const struct finding *f = &report->findings[i];

		if (f->warning)
			continue;
		xf_buffer_printf(out, "%s: %s\n", xf_place_text(report->arena, f->place), f->text);
		printed++;
	}
	if (report->errors > printed)
		xf_buffer_printf(out, "... and %zu more\n", report->errors - printed);
}

const char *const *
xf_report_warnings(struct xf_report *report, size_t *count)
{
	const char **lines = xf_arena_array(report->arena, report->count, sizeof(*lines));

	findings_sort(report);
	*count = 0;
	for (size_t i = 0; i < report->count; i++) {
		const struct finding *f = &report->findings[i];

		if (f->warning)
			lines[(*count)++] = xf_arena_format(report->arena, "%s: %s",
			                                    xf_place_text(report->arena, f->place), f->text);
	}
	return lines;
}
