/*
 * libyaml's events, read by recursive descent. libyaml 0.2.5 knows no limit of depth and no duplicate
 * keys, and leaves aliases to the caller; all three are dealt with here, while the events come, so that
 * nothing grows beyond the text itself.
 */
#include "conf/yaml.h"

#include <stdio.h>
#include <stdlib.h>

#include <yaml.h>

#include "base/memory.h"

struct parse {
	struct xf_arena *arena;
	struct xf_report *report;
	const char *file;
	struct xf_str text;
	yaml_parser_t parser;
	unsigned depth;
};

static struct xf_conf_place
place_of(const struct parse *parse, yaml_mark_t mark)
{
	return (struct xf_conf_place){parse->file, (unsigned)mark.line + 1, (unsigned)mark.column + 1};
}

/* ---- Bytes ------------------------------------------------------------------ */

/* The length of the UTF-8 sequence at TEXT, or 0. Shortest forms only, no surrogates. */
static size_t
utf8_length(const unsigned char *text, size_t rest)
{
	static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = text[0] < 0x80   ? 1
	             : text[0] < 0xc2 ? 0
	             : text[0] < 0xe0 ? 2
	             : text[0] < 0xf0 ? 3
	             : text[0] < 0xf5 ? 4
	                              : 0;
	unsigned code;

	if (len == 0 || len > rest)
		return 0;
	if (len == 1)
		return 1;
	code = text[0] & (0xffu >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	return code < least[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : len;
}

/* libyaml gives no line for bytes that are no text; so they are looked for before. */
static bool
bytes_check(struct parse *parse, struct xf_str text)
{
	const unsigned char *bytes = (const unsigned char *)text.data;
	struct xf_conf_place place = {parse->file, 1, 1};

	for (size_t i = 0; i < text.len;) {
		size_t len = utf8_length(bytes + i, text.len - i);

		if (len == 0) {
			xf_report_error(parse->report, place, "byte 0x%02x is not UTF-8; expected UTF-8 text",
			                bytes[i]);
			return false;
		}
		if ((bytes[i] < ' ' && bytes[i] != '\n' && bytes[i] != '\r' && bytes[i] != '\t') ||
		    bytes[i] == 0x7f) {
			xf_report_error(parse->report, place, "control character 0x%02x; expected UTF-8 text",
			                bytes[i]);
			return false;
		}
		place.column++;
		if (bytes[i] == '\n') {
			place.line++;
			place.column = 1;
		}
		i += len;
	}
	return true;
}

/* ---- Nodes ------------------------------------------------------------------ */

/* Of all that cannot start a token, a tab is the one that nobody sees. */
static bool
is_at_tab(const struct parse *parse)
{
	struct xf_str rest = parse->text;

	for (size_t line = 0; line < parse->parser.problem_mark.line; line++) {
		const char *end = rest.len > 0 ? memchr(rest.data, '\n', rest.len) : NULL;

		if (end == NULL)
			return false;
		rest.len -= (uint64_t)(end + 1 - rest.data);
		rest.data = end + 1;
	}
	while (rest.len > 0 && *rest.data == ' ') {
		rest.data++;
		rest.len--;
	}
	return rest.len > 0 && *rest.data == '\t';
}

static bool
event_next(struct parse *parse, yaml_event_t *event)
{
	const yaml_parser_t *p = &parse->parser;
	struct xf_conf_place place;
	const char *problem;

	if (yaml_parser_parse(&parse->parser, event))
		return true;
	place = place_of(parse, p->problem_mark);
	problem = p->problem != NULL ? p->problem : "cannot be parsed";
	if (is_at_tab(parse))
		xf_report_error(parse->report, place, "not YAML: a tab; expected spaces as indentation");
	else if (p->context != NULL)
		xf_report_error(parse->report, place, "not YAML: %s, %s that began at %zu:%zu", problem, p->context,
		                p->context_mark.line + 1, p->context_mark.column + 1);
	else
		xf_report_error(parse->report, place, "not YAML: %s", problem);
	return false;
}

static void
decoration_check(struct parse *parse, struct xf_yaml *node, const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor != NULL) {
		xf_report_error(parse->report, node->place,
		                "anchor '&%s'; anchors and aliases are not allowed, write the value out", anchor);
		node->bad = true;
	}
	if (tag != NULL) {
		xf_report_error(parse->report, node->place,
		                "tag '%s'; tags are not allowed, the key says the type", tag);
		node->bad = true;
	}
}

static bool
is_null(const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;

	return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (event->data.scalar.length == 0 || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

static struct xf_yaml *node_read(struct parse *parse, yaml_event_t *event);

static struct xf_yaml *
scalar_read(struct parse *parse, yaml_event_t *event)
{
	struct xf_yaml *node = xf_arena_alloc(parse->arena, sizeof(*node));

	node->kind = XF_YAML_SCALAR;
	node->place = place_of(parse, event->start_mark);
	decoration_check(parse, node, event->data.scalar.anchor, event->data.scalar.tag);
	node->null = is_null(event);
	node->text.len = event->data.scalar.length;
	node->text.data =
		xf_arena_copy(parse->arena, (const char *)event->data.scalar.value, event->data.scalar.length);
	if (memchr(node->text.data, '\0', node->text.len) != NULL) {
		xf_report_error(parse->report, node->place, "text with a NUL character; expected text without");
		node->bad = true;
	}
	return node;
}

static bool
room_check(struct parse *parse, const struct xf_yaml *node, struct xf_conf_place place)
{
	unsigned max = node->kind == XF_YAML_LIST ? XF_YAML_ITEMS_MAX : XF_YAML_ENTRIES_MAX;

	if (node->count < max)
		return true;
	xf_report_error(parse->report, place, "%s with more than %u entries; expected fewer",
	                xf_yaml_kind_name(node), max);
	return false;
}

static struct xf_yaml *
list_read(struct parse *parse, yaml_event_t *start)
{
	struct xf_yaml *node = xf_arena_alloc(parse->arena, sizeof(*node));
	struct xf_yaml **items = NULL;
	size_t size = 0;

	node->kind = XF_YAML_LIST;
	node->place = place_of(parse, start->start_mark);
	decoration_check(parse, node, start->data.sequence_start.anchor, start->data.sequence_start.tag);
	for (;;) {
		yaml_event_t event;
		struct xf_yaml *item;

		if (!event_next(parse, &event))
			goto failed;
		if (event.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&event);
			break;
		}
		item = node_read(parse, &event);
		yaml_event_delete(&event);
		if (item == NULL || !room_check(parse, node, item->place))
			goto failed;
		if (node->count == size) {
			items = xf_grow_array(items, size, size ? size * 2 : 8, sizeof(struct xf_yaml *));
			size = size ? size * 2 : 8;
		}
		items[node->count++] = item;
	}
	node->items = xf_arena_array(parse->arena, node->count, sizeof(struct xf_yaml *));
	if (node->count > 0)
		memcpy(node->items, items, node->count * sizeof(struct xf_yaml *));
	free(items);
	return node;

failed:
	free(items);
	return NULL;
}

static int
entry_compare(const void *left, const void *right)
{
	const struct xf_yaml_entry *a = *(const struct xf_yaml_entry *const *)left;
	const struct xf_yaml_entry *b = *(const struct xf_yaml_entry *const *)right;
	int order = strcmp(a->key, b->key);

	return order != 0 ? order : a < b ? -1 : a > b; /* of equals the first in the file first */
}

/* Reports each key that stands there again, and leaves only its first value. */
static void
duplicates_check(struct parse *parse, struct xf_yaml *map)
{
	struct xf_yaml_entry **sorted = xf_alloc_array(map->count, sizeof(*sorted));
	struct xf_yaml_entry *first = NULL;
	size_t kept = 0;

	for (size_t i = 0; i < map->count; i++)
		sorted[i] = &map->entries[i];
	qsort(sorted, map->count, sizeof(*sorted), entry_compare);
	for (size_t i = 0; i < map->count; i++) {
		struct xf_yaml_entry *entry = sorted[i];

		if (first == NULL || strcmp(first->key, entry->key) != 0) {
			first = entry;
			continue;
		}
		xf_report_error(parse->report, entry->place, "key '%s' stands here again; it was first given in line %u",
		                entry->key, first->place.line);
		entry->value = NULL;
	}
	for (size_t i = 0; i < map->count; i++)
		if (map->entries[i].value != NULL)
			map->entries[kept++] = map->entries[i];
	map->count = kept;
	free(sorted);
}

/* The text of a key in *KEY (the arena's), or NULL there for one that was refused. */
static bool
key_read(struct parse *parse, yaml_event_t *event, struct xf_yaml_entry *entry)
{
	struct xf_yaml *node = node_read(parse, event);

	if (node == NULL)
		return false;
	entry->place = node->place;
	if (node->bad)
		return true;
	if (node->kind != XF_YAML_SCALAR || node->null)
		xf_report_error(parse->report, node->place, "the key is %s; expected text",
		                xf_yaml_kind_name(node));
	else
		entry->key = node->text.data;
	return true;
}

static struct xf_yaml *
map_read(struct parse *parse, yaml_event_t *start)
{
	struct xf_yaml *node = xf_arena_alloc(parse->arena, sizeof(*node));
	struct xf_yaml_entry *entries = NULL;
	size_t size = 0;

	node->kind = XF_YAML_MAP;
	node->place = place_of(parse, start->start_mark);
	decoration_check(parse, node, start->data.mapping_start.anchor, start->data.mapping_start.tag);
	for (;;) {
		struct xf_yaml_entry entry = {0};
		yaml_event_t event;
		bool read;

		if (!event_next(parse, &event))
			goto failed;
		if (event.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&event);
			break;
		}
		read = key_read(parse, &event, &entry);
		yaml_event_delete(&event);
		if (!read || !event_next(parse, &event))
			goto failed;
		entry.value = node_read(parse, &event);
		yaml_event_delete(&event);
		if (entry.value == NULL || !room_check(parse, node, entry.place))
			goto failed;
		if (entry.key == NULL)
			continue;
		if (node->count == size) {
			entries = xf_grow_array(entries, size, size ? size * 2 : 8, sizeof(*entries));
			size = size ? size * 2 : 8;
		}
		entries[node->count++] = entry;
	}
	node->entries = xf_arena_array(parse->arena, node->count, sizeof(*entries));
	if (node->count > 0)
		memcpy(node->entries, entries, node->count * sizeof(*entries));
	free(entries);
	duplicates_check(parse, node);
	return node;

failed:
	free(entries);
	return NULL;
}

/* The node that EVENT, which stays the caller's, begins. NULL: reported, nothing more can be read. */
static struct xf_yaml *
node_read(struct parse *parse, yaml_event_t *event)
{
	struct xf_yaml *node = NULL;

	if (parse->depth == XF_YAML_DEPTH_MAX) {
		xf_report_error(parse->report, place_of(parse, event->start_mark),
		                "nested more than %u levels deep; expected fewer", XF_YAML_DEPTH_MAX);
		return NULL;
	}
	parse->depth++;
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		node = scalar_read(parse, event);
		break;
	case YAML_SEQUENCE_START_EVENT:
		node = list_read(parse, event);
		break;
	case YAML_MAPPING_START_EVENT:
		node = map_read(parse, event);
		break;
	case YAML_ALIAS_EVENT:
		node = xf_arena_alloc(parse->arena, sizeof(*node));
		node->place = place_of(parse, event->start_mark);
		node->bad = true;
		node->null = true;
		node->text = xf_str("");
		xf_report_error(parse->report, node->place,
		                "alias '*%s'; anchors and aliases are not allowed, write the value out",
		                event->data.alias.anchor);
		break;
	default:
		xf_report_error(parse->report, place_of(parse, event->start_mark), "not YAML: no value here");
		break;
	}
	parse->depth--;
	return node;
}

/* ---- Documents -------------------------------------------------------------- */

/* Takes events up to one of TYPE that begins a document, or the end of all. */
static struct xf_yaml *
document_read(struct parse *parse)
{
	struct xf_yaml *root = NULL;
	yaml_event_t event;
	bool first = true;

	for (;;) {
		yaml_event_type_t type;

		if (!event_next(parse, &event))
			return NULL;
		type = event.type;
		if (type == YAML_DOCUMENT_START_EVENT && !first) {
			xf_report_error(parse->report, place_of(parse, event.start_mark),
			                "a second document begins; expected one per file");
			yaml_event_delete(&event);
			return root;
		}
		if (type == YAML_DOCUMENT_START_EVENT) {
			first = false;
			yaml_event_delete(&event);
			if (!event_next(parse, &event))
				return NULL;
			root = node_read(parse, &event);
			if (root == NULL) {
				yaml_event_delete(&event);
				return NULL;
			}
		}
		yaml_event_delete(&event);
		if (type == YAML_STREAM_END_EVENT)
			break;
	}
	if (root == NULL) {
		root = xf_arena_alloc(parse->arena, sizeof(*root));
		root->place = (struct xf_conf_place){parse->file, 1, 1};
		root->null = true;
		root->text = xf_str("");
	}
	return root;
}

struct xf_yaml *
xf_yaml_parse(struct xf_arena *arena, struct xf_report *report, const char *file, struct xf_str text)
{
	struct parse parse = {.arena = arena, .report = report, .file = file, .text = text};
	struct xf_yaml *root;

	if (!bytes_check(&parse, text))
		return NULL;
	if (!yaml_parser_initialize(&parse.parser)) {
		xf_report_error(report, (struct xf_conf_place){file, 0, 0}, "no memory to parse it");
		return NULL;
	}
	yaml_parser_set_encoding(&parse.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parse.parser, (const unsigned char *)(text.len ? text.data : ""), text.len);
	root = document_read(&parse);
	yaml_parser_delete(&parse.parser);
	return root;
}

const struct xf_yaml_entry *
xf_yaml_entry(const struct xf_yaml *map, const char *key)
{
	if (map->kind != XF_YAML_MAP)
		return NULL;
	for (size_t i = 0; i < map->count; i++)
		if (strcmp(map->entries[i].key, key) == 0)
			return &map->entries[i];
	return NULL;
}

const char *
xf_yaml_kind_name(const struct xf_yaml *node)
{
	switch (node->kind) {
	case XF_YAML_MAP:
		return "a map";
	case XF_YAML_LIST:
		return "a list";
	case XF_YAML_SCALAR:
		break;
	}
	return node->null ? "empty" : "text";
}

const char *
xf_yaml_show(struct xf_report *report, struct xf_arena *arena, const struct xf_yaml *node)
{
	enum { SHOWN_MAX = 60 };
	size_t len = 0;
	char *text;

	if (node->secret)
		return "***";
	if (node->kind != XF_YAML_SCALAR || node->null)
		return xf_yaml_kind_name(node);
	text = xf_arena_format(arena, "%s", xf_report_redact(report, node->text.data));
	for (size_t n; text[len] != '\0' && len < SHOWN_MAX; len += n) {
		n = utf8_length((const unsigned char *)text + len, strlen(text + len));
		if (n <= 1) {
			n = 1;
			if ((unsigned char)text[len] < ' ' || (unsigned char)text[len] >= 0x7f)
				text[len] = '?';
		}
	}
	return xf_arena_format(arena, "'%.*s%s'", (int)len, text, text[len] != '\0' ? "..." : "");
}
