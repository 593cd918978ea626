/*
 * Texts are sorted into rows by their key. A row without one takes its default. Every value and every nested
 * map is a small allocation that the configuration frees with itself.
 */
#include "settings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/memory.h"

struct xf_config {
	const struct xf_option *const *table;
	uint32_t rows;
	struct xf_value *values;
};

static void
value_fini(struct xf_value *value)
{
	struct xf_config *map = (struct xf_config *)value->map;

	free((char *)value->str.data);
	if (map != NULL)
		settings_destroy(&map);
	for (uint32_t i = 0; value->items != NULL && i < value->count; i++) {
		value_fini((struct xf_value *)value->items[i]);
		free((void *)value->items[i]);
	}
	free((void *)value->items);
}

void
settings_destroy(struct xf_config **settings)
{
	struct xf_config *s = *settings;

	*settings = NULL;
	if (s == NULL)
		return;
	for (uint32_t i = 0; i < s->rows; i++)
		value_fini(&s->values[i]);
	free(s->values);
	free(s);
}

const struct xf_value *
settings_option(const struct xf_config *settings, uint32_t row)
{
	static const struct xf_value none = {.struct_size = sizeof(none)};

	return settings != NULL && row < settings->rows ? &settings->values[row] : &none;
}

/* A number, then one of the units; UNITS ends with an empty name, whose factor is that of a bare number. */
struct unit {
	const char *name;
	int64_t factor;
};

static bool
number_parse(const char *text, const struct unit *units, int64_t *number)
{
	char *end;

	errno = 0;
	*number = strtoll(text, &end, 10);
	if (end == text || errno != 0)
		return false;
	while (units->name[0] != '\0' && strcmp(units->name, end) != 0)
		units++;
	*number *= units->factor;
	return strcmp(units->name, end) == 0;
}

static bool
scalar_parse(const struct xf_option *row, const char *text, struct xf_value *value)
{
	static const struct unit plain[] = {{"", 1}};
	static const struct unit durations[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"", 1}};
	static const struct unit sizes[] = {{"B", 1}, {"KiB", 1024}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"", 1}};
	char *end;
	bool is_true = strcmp(text, "true") == 0;

	value->str = (struct xf_str){xf_strdup(text), strlen(text)};
	switch (row->type) {
	case XF_OPTION_BOOL:
		value->i64 = is_true;
		return is_true || strcmp(text, "false") == 0;
	case XF_OPTION_I64:
		if (!number_parse(text, plain, &value->i64))
			return false;
		break;
	case XF_OPTION_DURATION:
		if (!number_parse(text, durations, &value->i64))
			return false;
		break;
	case XF_OPTION_BYTES:
		if (!number_parse(text, sizes, &value->i64))
			return false;
		break;
	case XF_OPTION_F64:
		value->f64 = strtod(text, &end);
		return end != text && *end == '\0';
	case XF_OPTION_PERCENT:
		value->i64 = (int64_t)(strtod(text, &end) * 100 + 0.5);
		return end != text && (*end == '\0' || strcmp(end, "%") == 0);
	case XF_OPTION_ENUM:
		for (value->i64 = 0; row->values[value->i64] != NULL; value->i64++)
			if (strcmp(row->values[value->i64], text) == 0)
				return true;
		return false;
	default:
		return true; /* texts */
	}
	return row->min == row->max || (value->i64 >= row->min && value->i64 <= row->max);
}

static bool
scalar_set(const struct xf_option *row, const char *text, struct xf_value *value, struct xf_error *error)
{
	value->struct_size = sizeof(*value);
	value->type = row->type;
	value->count = 1;
	if (scalar_parse(row, text, value))
		return true;
	xf_error_set(error, "option '%s': bad value '%s'", row->key, text);
	return false;
}

static struct xf_value *
list_append(struct xf_value *list, const struct xf_option *row)
{
	struct xf_value **items = (struct xf_value **)list->items;

	items = xf_grow_array(items, list->count, list->count + 1, sizeof(*items));
	items[list->count] = xf_alloc(sizeof(**items));
	items[list->count]->struct_size = sizeof(**items);
	items[list->count]->type = row->type;
	list->items = (const struct xf_value *const *)items;
	return items[list->count++];
}

static bool
default_set(const struct xf_option *row, struct xf_value *value, struct xf_error *error)
{
	char *copy, *rest, *word;
	bool fine = true;

	if (!(row->flags & XF_OPTION_LIST))
		return scalar_set(row, row->def, value, error);
	copy = rest = xf_strdup(row->def);
	while (fine && (word = strsep(&rest, "[], ")) != NULL)
		if (*word != '\0')
			fine = scalar_set(row, word, list_append(value, row), error);
	free(copy);
	return fine;
}

/* The texts that begin with PREFIX, without it; ends with NULL. The caller frees the array. */
static const char **
texts_below(const char *const *texts, const char *prefix)
{
	size_t count = 0;
	const char **below;

	while (texts[count] != NULL)
		count++;
	below = xf_alloc_array(count + 1, sizeof(*below));
	count = 0;
	for (; *texts != NULL; texts++)
		if (strncmp(*texts, prefix, strlen(prefix)) == 0)
			below[count++] = *texts + strlen(prefix);
	return below;
}

/* A map from the texts "PREFIX.key=value"; *FOUND false where there are none and nothing was set. */
static bool
map_set(const struct xf_option *row, const char *const *texts, const char *prefix, struct xf_value *value,
        bool *found, struct xf_error *error)
{
	const char **below = texts_below(texts, prefix);

	*found = below[0] != NULL;
	if (*found) {
		value->struct_size = sizeof(*value);
		value->type = XF_OPTION_MAP;
		value->count = 1;
		value->present = 1;
		value->map = settings_create(row->fields, below, error);
	}
	free(below);
	if (*found && value->map == NULL) {
		xf_error_prefix(error, "%s", row->key);
		return false;
	}
	return true;
}

static bool
maps_set(const struct xf_option *row, const char *const *texts, struct xf_value *value, struct xf_error *error)
{
	char prefix[128];
	bool found = true;

	if (!(row->flags & XF_OPTION_LIST)) {
		snprintf(prefix, sizeof(prefix), "%s.", row->key);
		return map_set(row, texts, prefix, value, &found, error);
	}
	while (found) {
		struct xf_value element = {.struct_size = sizeof(element), .type = XF_OPTION_MAP};

		snprintf(prefix, sizeof(prefix), "%s[%u].", row->key, value->count);
		if (!map_set(row, texts, prefix, &element, &found, error))
			return false;
		if (found) {
			*list_append(value, row) = element;
			value->present = 1;
		}
	}
	return true;
}

/* Whether TEXT gives the row; then *VALUE is what follows the sign of equality. */
static bool
text_is_for(const struct xf_option *row, const char *text, const char **value)
{
	size_t len = strlen(row->key);

	if (strncmp(text, row->key, len) != 0)
		return false;
	*value = text + len + 1;
	return text[len] == '=' || (row->type == XF_OPTION_MAP && (text[len] == '.' || text[len] == '['));
}

static bool
row_set(const struct xf_option *row, const char *const *texts, struct xf_value *value, struct xf_error *error)
{
	const char *text;

	if (row->type == XF_OPTION_MAP) {
		if (!maps_set(row, texts, value, error))
			return false;
	} else {
		for (size_t i = 0; texts[i] != NULL; i++) {
			bool list = row->flags & XF_OPTION_LIST;

			if (!text_is_for(row, texts[i], &text))
				continue;
			if (value->present && !list) {
				xf_error_set(error, "option '%s' stands twice", row->key);
				return false;
			}
			if (!scalar_set(row, text, list ? list_append(value, row) : value, error))
				return false;
			value->present = 1;
		}
	}
	if (!value->present && row->def != NULL)
		return default_set(row, value, error);
	if (!value->present && (row->flags & XF_OPTION_REQUIRED)) {
		xf_error_set(error, "option '%s' is required", row->key);
		return false;
	}
	return true;
}

static bool
texts_known(const struct xf_config *s, const char *const *texts, struct xf_error *error)
{
	for (; *texts != NULL; texts++) {
		const char *value;
		uint32_t i = 0;

		while (i < s->rows && !text_is_for(s->table[i], *texts, &value))
			i++;
		if (i == s->rows) {
			xf_error_set(error, "no option takes '%s'", *texts);
			return false;
		}
	}
	return true;
}

struct xf_config *
settings_create(const struct xf_option *const *table, const char *const *texts, struct xf_error *error)
{
	static const char *const no_texts[] = {NULL};
	struct xf_config *s = xf_alloc(sizeof(*s));

	texts = texts != NULL ? texts : no_texts;
	s->table = table;
	while (table != NULL && table[s->rows] != NULL)
		s->rows++;
	s->values = xf_alloc_array(s->rows, sizeof(*s->values));
	if (!texts_known(s, texts, error))
		goto destroy;
	for (uint32_t i = 0; i < s->rows; i++) {
		s->values[i].struct_size = sizeof(s->values[i]);
		s->values[i].type = table[i]->type;
	}
	for (uint32_t i = 0; i < s->rows; i++)
		if (!row_set(table[i], texts, &s->values[i], error))
			goto destroy;
	return s;

destroy:
	settings_destroy(&s);
	return NULL;
}
