/*
 * A row's default is parsed as YAML and read by the same functions as a given value, so a default can be
 * whatever can be written. Rows come from plugins that may be older than this header: each is copied within its
 * own size first.
 */
#include "conf/options.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/memory.h"
#include "base/subject.h"
#include "conf/file.h"
#include "conf/scalar.h"

struct slot {
	struct xf_value value;
	const struct xf_yaml *node; /* NULL: not given */
	struct xf_conf_place key;
	const char *path; /* as it was given */
};

struct xf_config {
	const struct xf_option *const *rows;
	uint32_t count;
	bool sound;
	struct slot *slots;
};

static struct xf_option
row_copy(const struct xf_option *row)
{
	struct xf_option copy = {0};

	memcpy(&copy, row, row->struct_size < sizeof(copy) ? row->struct_size : sizeof(copy));
	return copy;
}

static uint32_t
rows_count(const struct xf_option *const *rows)
{
	uint32_t count = 0;

	while (rows != NULL && rows[count] != NULL)
		count++;
	return count;
}

/* ---- Values ----------------------------------------------------------------- */

/* One value being read: where its findings go and how they name it. */
struct reading {
	const struct xf_options_reader *reader;
	struct xf_option row;
	const char *path; /* "streams[1].retention" */
	const char *forms; /* of the row: ", or a map of since or sequence"; "" for none */
	bool sound;
};

static size_t
words_count(const char *const *words)
{
	size_t count = 0;

	while (words != NULL && words[count] != NULL)
		count++;
	return count;
}

static bool
words_contain(const char *const *words, const char *word)
{
	for (size_t i = 0; words != NULL && words[i] != NULL; i++)
		if (strcmp(words[i], word) == 0)
			return true;
	return false;
}

static const char *
shown(const struct reading *r, const struct xf_yaml *node)
{
	if (r->row.flags & XF_OPTION_SECRET && node->kind == XF_YAML_SCALAR && !node->null)
		return "***";
	return xf_yaml_show(r->reader->report, r->reader->arena, node);
}

static void
value_refuse(struct reading *r, const struct xf_yaml *node, const char *expected)
{
	r->sound = false;
	if (!node->bad)
		xf_report_error(r->reader->report, node->place, "%s'%s' is %s; %s", r->reader->scope, r->path,
		                shown(r, node), expected);
}

static const char *
bound_format(const struct reading *r, int64_t bound, char *out)
{
	switch (r->row.type) {
	case XF_OPTION_DURATION:
		xf_scalar_duration_format(bound, out);
		break;
	case XF_OPTION_BYTES:
		xf_scalar_size_format(bound, out);
		break;
	case XF_OPTION_PERCENT:
		xf_percent_format((uint32_t)bound, out);
		break;
	default:
		snprintf(out, 32, "%lld", (long long)bound);
		break;
	}
	return out;
}

static bool
bounds_check(struct reading *r, const struct xf_yaml *node, bool below, bool above)
{
	char min[32], max[32];
	const char *unit = r->row.unit != NULL ? r->row.unit : "";

	if (!below && !above)
		return true;
	if (r->row.max == INT64_MAX)
		value_refuse(r, node,
		             xf_arena_format(r->reader->arena, "expected at least %s%s%s",
		                             bound_format(r, r->row.min, min), *unit ? " " : "", unit));
	else
		value_refuse(r, node,
		             xf_arena_format(r->reader->arena, "expected %s to %s%s%s",
		                             bound_format(r, r->row.min, min),
		                             bound_format(r, r->row.max, max), *unit ? " " : "", unit));
	return false;
}

static void
number_read(struct reading *r, const struct xf_yaml *node, struct xf_value *value)
{
	bool bounded = r->row.min != 0 || r->row.max != 0;
	struct xf_error error = {{0}};
	enum xf_status status;
	uint32_t percent = 0;
	int64_t number = 0;

	switch (r->row.type) {
	case XF_OPTION_BOOL:
		status = xf_scalar_bool(node->text, &number, &error);
		bounded = false;
		break;
	case XF_OPTION_DURATION:
		status = xf_scalar_duration(node->text, &number, &error);
		break;
	case XF_OPTION_BYTES:
		status = xf_scalar_size(node->text, &number, &error);
		break;
	case XF_OPTION_PERCENT:
		status = xf_percent_parse(node->text, &percent, &error);
		number = percent;
		break;
	default:
		status = xf_scalar_i64(node->text, &number, &error);
		break;
	}
	if (status != XF_OK)
		value_refuse(r, node, error.text);
	else if (!bounded || bounds_check(r, node, number < r->row.min, number > r->row.max))
		value->i64 = number;
}

static void
real_read(struct reading *r, const struct xf_yaml *node, struct xf_value *value)
{
	bool bounded = r->row.min != 0 || r->row.max != 0;
	struct xf_error error = {{0}};
	double number = 0;

	if (xf_scalar_f64(node->text, &number, &error) != XF_OK)
		value_refuse(r, node, error.text);
	else if (!bounded || bounds_check(r, node, number < (double)r->row.min, number > (double)r->row.max))
		value->f64 = number;
}

static void
word_read(struct reading *r, const struct xf_yaml *node, struct xf_value *value)
{
	size_t count = words_count(r->row.values);
	struct xf_error error = {{0}};
	const char *meant = "";

	for (size_t i = 0; i < count; i++)
		if (xf_str_is(node->text, r->row.values[i])) {
			value->i64 = (int64_t)i;
			value->str = xf_str(r->row.values[i]);
			return;
		}
	if (words_contain(r->row.values, "true")) { /* of `yes` and `on`, that one is near by meaning */
		int64_t ignored;

		xf_scalar_bool(node->text, &ignored, &error);
		meant = strchr(error.text, ';') != NULL ? strchr(error.text, ';') : "";
	}
	if (*meant == '\0')
		meant = xf_report_nearest(r->reader->report, node->text, r->row.values, count, "");
	value_refuse(r, node,
	             xf_arena_format(r->reader->arena, "expected %s%s%s",
	                             xf_report_words(r->reader->report, r->row.values, count), r->forms,
	                             node->secret ? "" : meant));
}

static void
text_read(struct reading *r, const struct xf_yaml *node, struct xf_value *value)
{
	struct xf_error error = {{0}};
	const char *wrong;
	char *path;

	value->str = node->text;
	if (r->row.type == XF_OPTION_URL && xf_scalar_url(node->text, &error) != XF_OK) {
		value_refuse(r, node, error.text);
	} else if (r->row.type == XF_OPTION_SUBJECT &&
	           (wrong = xf_subject_pattern_check(node->text)) != NULL) {
		value_refuse(r, node,
		             xf_arena_format(r->reader->arena,
		                             "it %s; expected a subject like orders.eu, orders.* or orders.>", wrong));
	} else if (r->row.type == XF_OPTION_PATH && node->text.len == 0) {
		value_refuse(r, node, "expected a path");
	} else if (r->row.type == XF_OPTION_PATH) {
		path = xf_file_resolve(node->place.file, node->text.data);
		value->str = (struct xf_str){xf_arena_copy(r->reader->arena, path, strlen(path)), strlen(path)};
		free(path);
	}
	if (r->row.flags & XF_OPTION_SECRET)
		xf_report_secret(r->reader->report, node->text);
}

static const char *
type_words(uint32_t type)
{
	switch (type) {
	case XF_OPTION_BOOL:
		return "expected true or false";
	case XF_OPTION_I64:
		return "expected a whole number";
	case XF_OPTION_F64:
		return "expected a number";
	case XF_OPTION_STRING:
		return "expected text";
	case XF_OPTION_ENUM:
		return "expected a word";
	case XF_OPTION_DURATION:
		return "expected a duration like 250ms, 30s, 10m or 24h";
	case XF_OPTION_BYTES:
		return "expected a size like 512B, 64KiB or 1GiB";
	case XF_OPTION_PERCENT:
		return "expected a percentage from 0 to 100";
	case XF_OPTION_URL:
		return "expected a URL like scheme://host:port";
	case XF_OPTION_PATH:
		return "expected a path";
	case XF_OPTION_SUBJECT:
		return "expected a subject or subject pattern";
	case XF_OPTION_MAP:
		return "expected a map";
	}
	return "expected nothing";
}

static const struct xf_config *config_read(const struct xf_options_reader *reader, const struct xf_yaml *map,
                                           const struct xf_option *const *rows, const char *path);

static void
single_read(struct reading *r, const struct xf_yaml *node, struct xf_value *value)
{
	const char *expected = type_words(r->row.type);

	value->struct_size = sizeof(*value);
	value->type = r->row.type;
	if (node->bad) {
		r->sound = false;
		return;
	}
	if (r->row.type == XF_OPTION_ENUM && r->row.values != NULL)
		expected = xf_arena_format(r->reader->arena, "expected %s",
		                           xf_report_words(r->reader->report, r->row.values,
		                                           words_count(r->row.values)));
	/* {header.x|id} without quotes: one key, nothing behind it */
	if (r->row.type == XF_OPTION_STRING && node->kind == XF_YAML_MAP && node->count == 1 &&
	    node->entries[0].value->null)
		expected = xf_arena_format(r->reader->arena, "expected text; a template stands in quotes: \"{%s}\"",
		                           node->entries[0].key);
	if (r->row.type == XF_OPTION_MAP ? node->kind != XF_YAML_MAP : node->kind != XF_YAML_SCALAR || node->null) {
		value_refuse(r, node, xf_arena_format(r->reader->arena, "%s%s", expected, r->forms));
		return;
	}
	value->count = 1;
	switch (r->row.type) {
	case XF_OPTION_BOOL:
	case XF_OPTION_I64:
	case XF_OPTION_DURATION:
	case XF_OPTION_BYTES:
	case XF_OPTION_PERCENT:
		number_read(r, node, value);
		break;
	case XF_OPTION_F64:
		real_read(r, node, value);
		break;
	case XF_OPTION_ENUM:
		word_read(r, node, value);
		break;
	case XF_OPTION_MAP:
		value->map = config_read(r->reader, node, r->row.fields,
		                         xf_arena_format(r->reader->arena, "%s.", r->path));
		r->sound = r->sound && value->map->sound;
		break;
	default:
		text_read(r, node, value);
		break;
	}
}

static void
list_read(struct reading *r, const struct xf_yaml *node, struct xf_value *value)
{
	const struct xf_value **items;
	const char *path = r->path;
	bool list = node->kind == XF_YAML_LIST;
	size_t count = list ? node->count : 1;

	value->struct_size = sizeof(*value);
	value->type = r->row.type;
	items = xf_arena_array(r->reader->arena, count, sizeof(*items));
	for (size_t i = 0; i < count; i++) {
		struct xf_value *item = xf_arena_alloc(r->reader->arena, sizeof(*item));

		if (list)
			r->path = xf_arena_format(r->reader->arena, "%s[%zu]", path, i);
		single_read(r, list ? node->items[i] : node, item);
		item->present = 1;
		items[i] = item;
	}
	r->path = path;
	value->items = items;
	value->count = (uint32_t)count;
}

/* Reads NODE as a value of R's row. */
static void
value_read(struct reading *r, const struct xf_yaml *node, struct xf_value *value)
{
	if (r->row.flags & XF_OPTION_LIST)
		list_read(r, node, value);
	else
		single_read(r, node, value);
}

/* Whether TEXT as YAML is one scalar, and which. Most defaults are, and there is one for each key of each endpoint. */
static bool
default_is_plain(const char *text, struct xf_str *scalar)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._%/+-";
	size_t len = strlen(text);

	*scalar = (struct xf_str){text, len};
	if (len > 2 && text[0] == '\'' && strchr(text + 1, '\'') == text + len - 1) {
		*scalar = (struct xf_str){text + 1, len - 2};
		return true;
	}
	return len > 0 && text[0] != '-' && strspn(text, plain) == len && strcasecmp(text, "null") != 0;
}

/* The default as it would stand in the YAML. What is wrong with it is the plugin's mistake. */
static void
default_read(struct reading *r, struct xf_conf_place place, struct xf_value *value)
{
	struct xf_options_reader reader = *r->reader;
	const struct xf_options_reader *ours = r->reader;
	struct xf_yaml *node;
	struct xf_str scalar = xf_str(r->row.def);
	bool secret = (r->row.flags & XF_OPTION_SECRET) != 0;

	reader.scope = xf_arena_format(reader.arena, "%sa default of the plugin: ", reader.scope);
	r->reader = &reader;

	if ((r->row.type == XF_OPTION_STRING && !(r->row.flags & XF_OPTION_LIST)) ||
	    default_is_plain(r->row.def, &scalar)) {
		node = xf_arena_alloc(r->reader->arena, sizeof(*node));
		node->kind = XF_YAML_SCALAR;
		node->text = (struct xf_str){xf_arena_copy(r->reader->arena, scalar.data, scalar.len), scalar.len};
	} else {
		node = xf_yaml_parse(r->reader->arena, r->reader->report, place.file, xf_str(r->row.def));
		if (node == NULL) {
			r->sound = false;
			r->reader = ours;
			return;
		}
	}
	node->place = place;
	r->row.flags &= ~XF_OPTION_SECRET; /* a default is no secret, and not one to hide elsewhere */
	value_read(r, node, value);
	r->reader = ours;
	if (secret)
		r->row.flags |= XF_OPTION_SECRET;
}

/* ---- Maps ------------------------------------------------------------------- */

static struct xf_config *
config_create(const struct xf_options_reader *reader, const struct xf_option *const *rows)
{
	struct xf_config *config = xf_arena_alloc(reader->arena, sizeof(*config));

	config->rows = rows;
	config->count = rows_count(rows);
	config->sound = true;
	config->slots = xf_arena_array(reader->arena, config->count, sizeof(struct slot));
	for (uint32_t i = 0; i < config->count; i++) {
		config->slots[i].value.struct_size = sizeof(struct xf_value);
		config->slots[i].value.type = row_copy(rows[i]).type;
	}
	return config;
}

static struct slot *
slot_find(const struct xf_config *config, const char *key, struct xf_option *row)
{
	for (uint32_t i = 0; i < config->count; i++) {
		*row = row_copy(config->rows[i]);
		if (strcmp(row->key, key) == 0)
			return &config->slots[i];
	}
	return NULL;
}

/* ---- Forms ------------------------------------------------------------------ */

/* What goes on from KEY in MEMBER's, and may not stand beside it; NULL for none of that. */
static const char *
member_of(const struct xf_option *whole, const char *key)
{
	size_t len = strlen(whole->key);

	return strncmp(key, whole->key, len) == 0 && key[len] == '_' && key[len + 1] != '\0' &&
	                       words_contain(whole->conflicts, key)
	           ? key + len + 1
	           : NULL;
}

const char *
xf_option_member(const struct xf_option *const *rows, const struct xf_option *row, const struct xf_option **whole)
{
	for (size_t i = 0; rows[i] != NULL; i++) {
		struct xf_option other = row_copy(rows[i]);
		const char *member = member_of(&other, row->key);

		if (member != NULL) {
			*whole = rows[i];
			return member;
		}
	}
	return NULL;
}

/* The members that WHOLE has, to be freed; *COUNT of them. */
static const char **
members_list(const struct xf_config *config, const struct xf_option *whole, size_t *count)
{
	const char **words = xf_grow_array(NULL, 0, config->count, sizeof(*words));

	*count = 0;
	for (uint32_t i = 0; whole->conflicts != NULL && i < config->count; i++) {
		const char *member = member_of(whole, row_copy(config->rows[i]).key);

		if (member != NULL)
			words[(*count)++] = member;
	}
	return words;
}

static const char *
forms_words(const struct xf_options_reader *reader, const struct xf_config *config, const struct xf_option *whole)
{
	size_t count;
	const char **words = members_list(config, whole, &count);
	const char *forms =
		count > 0 ? xf_arena_format(reader->arena, ", or a map of %s", xf_report_words(reader->report, words, count)) : "";

	free(words);
	return forms;
}

/* ---- Keys ------------------------------------------------------------------- */

static void
key_refuse(const struct xf_options_reader *reader, const struct xf_yaml_entry *entry, const char *path,
           struct xf_config *const *configs, size_t count)
{
	const char **words = NULL;
	size_t n = 0;

	for (size_t t = 0; t < count; t++) {
		words = xf_grow_array(words, n, n + configs[t]->count, sizeof(*words));
		for (uint32_t i = 0; i < configs[t]->count; i++) {
			struct xf_option row = row_copy(configs[t]->rows[i]);

			const struct xf_option *whole;

			if (row.type < XF_OPTION_LATER && !(row.flags & XF_OPTION_DEPRECATED) &&
			    xf_option_member(configs[t]->rows, &row, &whole) == NULL)
				words[n++] = row.key;
		}
	}
	xf_report_error(reader->report, entry->place, "%sunknown key '%s%s'%s", reader->scope, path,
	                xf_report_redact(reader->report, entry->key),
	                xf_report_nearest(reader->report, xf_str(entry->key), words, n,
	                                  n == 0 ? "; expected no keys"
	                                         : xf_arena_format(reader->arena, "; expected %s",
	                                                           xf_report_words(reader->report, words, n))));
	free(words);
}

/* ENTRY is the value of R's row; what is wrong makes CONFIG unsound. */
static void
slot_read(struct reading *r, const struct xf_yaml_entry *entry, struct xf_config *config, struct slot *slot)
{
	const struct xf_options_reader *reader = r->reader;

	if (slot->node != NULL) { /* a form, and its row by its own name */
		xf_report_error(reader->report, entry->place, "%s'%s' cannot stand beside '%s'; expected one of them",
		                reader->scope, r->path, slot->path);
		config->sound = false;
		return;
	}
	slot->node = entry->value;
	slot->key = entry->place;
	slot->path = r->path;
	slot->value.present = 1;
	if (r->row.type == XF_OPTION_LATER) {
		xf_report_error(reader->report, entry->place, "%s'%s' is not built yet in this version", reader->scope,
		                r->path);
		r->sound = false;
	} else if (r->row.type == XF_OPTION_ELSEWHERE) {
		xf_report_error(reader->report, entry->place, "%s'%s' does not stand here; expected it %s", reader->scope,
		                r->path, r->row.help);
		r->sound = false;
	} else if (r->row.type != XF_OPTION_NODE) {
		value_read(r, entry->value, &slot->value);
	}
	if (r->row.flags & XF_OPTION_DEPRECATED)
		xf_report_warning(reader->report, entry->place, "%s'%s' is deprecated%s%s", reader->scope, r->path,
		                  r->row.help != NULL ? "; " : "", r->row.help != NULL ? r->row.help : "");
	config->sound = config->sound && r->sound;
}

/* The map of ENTRY, each member of which is a row of its own. */
static void
forms_read(struct reading *whole, const struct xf_yaml_entry *entry, struct xf_config *config)
{
	const struct xf_options_reader *reader = whole->reader;
	const struct xf_yaml *map = entry->value;

	if (map->count == 0) {
		xf_report_error(reader->report, map->place, "%s'%s' is an empty map; expected%s", reader->scope, whole->path,
		                whole->forms + strlen(", or"));
		config->sound = false;
	}
	for (size_t i = 0; i < map->count; i++) {
		const struct xf_yaml_entry *member = &map->entries[i];
		const char *key = xf_arena_format(reader->arena, "%s_%s", whole->row.key, member->key);
		struct reading r = {.reader = reader, .sound = true, .forms = ""};
		struct slot *slot = member_of(&whole->row, key) != NULL ? slot_find(config, key, &r.row) : NULL;
		const char **words;
		size_t count;

		r.path = xf_arena_format(reader->arena, "%s.%s", whole->path, member->key);
		if (slot != NULL) {
			slot_read(&r, member, config, slot);
			continue;
		}
		words = members_list(config, &whole->row, &count);
		xf_report_error(reader->report, member->place, "%sunknown key '%s.%s'%s", reader->scope, whole->path,
		                xf_report_redact(reader->report, member->key),
		                xf_report_nearest(reader->report, xf_str(member->key), words, count,
		                                  xf_arena_format(reader->arena, "; expected %s",
		                                                  xf_report_words(reader->report, words, count))));
		free(words);
		config->sound = false;
	}
}

static void
entry_read(const struct xf_options_reader *reader, const struct xf_yaml_entry *entry, const char *path,
           struct xf_config *const *configs, size_t count)
{
	struct reading r = {.reader = reader, .sound = true};

	r.path = xf_arena_format(reader->arena, "%s%s", path, entry->key);
	for (size_t t = 0; t < count; t++) {
		struct slot *slot = slot_find(configs[t], entry->key, &r.row);

		if (slot == NULL)
			continue;
		r.forms = forms_words(reader, configs[t], &r.row);
		if (entry->value->kind == XF_YAML_MAP && r.forms[0] != '\0')
			forms_read(&r, entry, configs[t]);
		else
			slot_read(&r, entry, configs[t], slot);
		return;
	}
	if (reader->open)
		return;
	key_refuse(reader, entry, path, configs, count);
	for (size_t t = 0; t < count; t++) /* whose it was meant to be is not known */
		configs[t]->sound = false;
}

static bool
is_before(struct xf_conf_place a, struct xf_conf_place b)
{
	return a.line != b.line ? a.line < b.line : a.column < b.column;
}

/* What the row of SLOT says about its neighbours. */
static void
neighbours_check(const struct xf_options_reader *reader, struct xf_config *config, const struct slot *slot,
                 struct xf_option row, const char *path)
{
	struct xf_option other;

	for (size_t i = 0; row.conflicts != NULL && row.conflicts[i] != NULL; i++) {
		const struct slot *rival = slot_find(config, row.conflicts[i], &other);
		bool mutual, later;

		if (rival == NULL || rival->node == NULL)
			continue;
		mutual = words_contain(other.conflicts, row.key);
		later = is_before(rival->key, slot->key);
		if (mutual && !later)
			continue; /* said at the later of the two */
		xf_report_error(reader->report, slot->key, "%s'%s' cannot stand beside '%s'; expected one of them",
		                reader->scope, slot->path, rival->path);
		config->sound = false;
	}
	for (size_t i = 0; row.requires_ != NULL && row.requires_[i] != NULL; i++) {
		const struct slot *partner = slot_find(config, row.requires_[i], &other);

		if (partner == NULL || partner->node != NULL)
			continue;
		xf_report_error(reader->report, slot->key, "%s'%s' needs '%s%s' beside it", reader->scope, slot->path, path,
		                row.requires_[i]);
		config->sound = false;
	}
}

/* After all keys: defaults, what is missing, what does not go together. */
static void
config_complete(const struct xf_options_reader *reader, const struct xf_yaml *map, struct xf_config *config,
                const char *path)
{
	for (uint32_t i = 0; i < config->count; i++) {
		struct xf_option row = row_copy(config->rows[i]);
		struct slot *slot = &config->slots[i];
		struct reading r = {.reader = reader, .row = row, .forms = "", .sound = true};

		if (slot->node != NULL) {
			neighbours_check(reader, config, slot, row, path);
		} else if (row.flags & XF_OPTION_REQUIRED) {
			xf_report_error(reader->report, map->place, "%s'%s%s' is missing%s%s", reader->scope, path,
			                row.key, row.help != NULL ? "; expected " : "",
			                row.help != NULL ? row.help : "");
			config->sound = false;
		} else if (row.def != NULL && row.type < XF_OPTION_NODE) {
			r.path = xf_arena_format(reader->arena, "%s%s", path, row.key);
			default_read(&r, map->place, &slot->value);
			config->sound = config->sound && r.sound;
		}
	}
}

static const struct xf_config *
config_read(const struct xf_options_reader *reader, const struct xf_yaml *map, const struct xf_option *const *rows,
            const char *path)
{
	struct xf_config *config = config_create(reader, rows);

	for (size_t i = 0; i < map->count; i++)
		entry_read(reader, &map->entries[i], path, &config, 1);
	config_complete(reader, map, config, path);
	return config;
}

void
xf_options_read(const struct xf_options_reader *reader, const struct xf_yaml *map, struct xf_table *tables,
                size_t count)
{
	enum { TABLES_MAX = 4 };
	struct xf_config *configs[TABLES_MAX];

	XF_ASSERT(count > 0 && count <= TABLES_MAX);
	for (size_t t = 0; t < count; t++)
		configs[t] = config_create(reader, tables[t].rows);
	for (size_t i = 0; map->kind == XF_YAML_MAP && i < map->count; i++)
		entry_read(reader, &map->entries[i], "", configs, count);
	for (size_t t = 0; t < count; t++) {
		config_complete(reader, map, configs[t], "");
		tables[t].config = configs[t];
	}
}

/* ---- Use -------------------------------------------------------------------- */

const struct xf_value *
xf_config_option(const struct xf_config *config, uint32_t row)
{
	static const struct xf_value nothing = {.struct_size = sizeof(struct xf_value)};

	/* a plugin that asks for a row that it does not have gets nothing */
	return config != NULL && row < config->count ? &config->slots[row].value : &nothing;
}

bool
xf_config_sound(const struct xf_config *config)
{
	return config->sound;
}

const struct xf_yaml *
xf_config_node(const struct xf_config *config, uint32_t row)
{
	XF_ASSERT(row < config->count);
	return config->slots[row].node;
}

struct xf_conf_place
xf_config_key_place(const struct xf_config *config, uint32_t row)
{
	XF_ASSERT(row < config->count);
	return config->slots[row].key;
}

/* Each piece with its length before it, so that no two lists of pieces look alike. */
static void
piece_write(struct xf_buffer *out, struct xf_str piece)
{
	xf_buffer_append(out, &piece.len, sizeof(piece.len));
	if (piece.len > 0)
		xf_buffer_append(out, piece.data, piece.len);
}

static void
value_write(const struct xf_value *value, struct xf_buffer *out)
{
	const uint32_t head[] = {value->type, value->present, value->count};

	xf_buffer_append(out, head, sizeof(head));
	xf_buffer_append(out, &value->i64, sizeof(value->i64));
	xf_buffer_append(out, &value->f64, sizeof(value->f64));
	piece_write(out, value->str);
	for (uint32_t i = 0; value->items != NULL && i < value->count; i++)
		value_write(value->items[i], out);
	if (value->map != NULL)
		xf_config_write(value->map, out);
}

void
xf_config_write(const struct xf_config *config, struct xf_buffer *out)
{
	for (uint32_t i = 0; i < config->count; i++) {
		struct xf_option row = row_copy(config->rows[i]);

		piece_write(out, xf_str(row.key));
		value_write(&config->slots[i].value, out);
	}
}

static bool
value_equal(const struct xf_value *a, const struct xf_value *b)
{
	if (a->count != b->count || a->i64 != b->i64 || a->f64 < b->f64 || a->f64 > b->f64 ||
	    !xf_str_equal(a->str, b->str) || (a->map == NULL) != (b->map == NULL))
		return false;
	for (uint32_t i = 0; a->items != NULL && b->items != NULL && i < a->count; i++)
		if (!value_equal(a->items[i], b->items[i]))
			return false;
	return a->map == NULL || xf_config_equal(a->map, b->map);
}

bool
xf_config_equal(const struct xf_config *a, const struct xf_config *b)
{
	if (a->rows != b->rows)
		return false;
	for (uint32_t i = 0; i < a->count; i++)
		if (!value_equal(&a->slots[i].value, &b->slots[i].value))
			return false;
	return true;
}
