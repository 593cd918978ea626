#include "via.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "conf/options.h"
#include "tool.h"

static const struct {
	const char *scheme;
	const char *plugin;
} schemes[] = {
	{"nats", "nats"}, {"tls", "nats"},   {"redis", "redis"}, {"rediss", "redis"},
	{"amqp", "amqp"}, {"amqps", "amqp"}, {"http", "http"},   {"https", "http"},
};

#define SCHEMES (sizeof schemes / sizeof schemes[0])

/* Options of endpoints that are the core's own. */
static const struct {
	const char *key;
	unsigned sides;
} core_rows[] = {
	{"envelope", VIA_SOURCE | VIA_SINK},
	{"subject_escape", VIA_SOURCE | VIA_SINK},
	{"message_id", VIA_SOURCE},
	{"connections", VIA_SINK},
};

/* ---- Which broker --------------------------------------------------------------------------------------- */

static const char *
scheme_plugin(const char *given, size_t len)
{
	for (size_t i = 0; i < SCHEMES; i++)
		if (strlen(schemes[i].scheme) == len && strncasecmp(schemes[i].scheme, given, len) == 0)
			return schemes[i].plugin;
	return NULL;
}

static int
scheme_unknown(const struct via *via, size_t len)
{
	const char *names[SCHEMES], *nearest;

	for (size_t i = 0; i < SCHEMES; i++)
		names[i] = schemes[i].scheme;
	nearest = xf_str_nearest((struct xf_str){via->given, len}, names, SCHEMES);
	if (nearest != NULL)
		return complain(EXIT_USAGE, "%s: no plugin speaks %.*s://; did you mean %s://?", via->option, (int)len,
		                via->given, nearest);
	return complain(EXIT_USAGE,
	                "%s: no plugin speaks %.*s://; there are nats tls redis rediss amqp amqps http https, and "
	                "the transports of a file given with -c",
	                via->option, (int)len, via->given);
}

static int
transport_unknown(const struct via *via, const struct xf_conf *conf)
{
	const char **names, *nearest;

	if (conf == NULL)
		return complain(EXIT_USAGE, "%s: '%s' is no URL like nats://127.0.0.1:4222, and there is no file that "
		                            "names it; give -c FILE", via->option, via->given);
	names = xf_alloc_array(conf->transport_count + 1, sizeof *names);
	for (size_t i = 0; i < conf->transport_count; i++)
		names[i] = conf->transports[i].name;
	nearest = xf_str_nearest(xf_str(via->given), names, conf->transport_count);
	free(names);
	if (nearest != NULL)
		return complain(EXIT_USAGE, "%s: %s has no transport '%s'; did you mean '%s'?", via->option, conf->file,
		                via->given, nearest);
	return complain(EXIT_USAGE, "%s: %s has no transport '%s'", via->option, conf->file, via->given);
}

static int
broker_find(struct via *via, struct small *small)
{
	const struct xf_conf *conf = small->loaded.conf;
	const char *mark = strstr(via->given, "://");
	struct xf_error error = {{0}};
	const char *plugin;

	if (mark != NULL) {
		size_t len = (size_t)(mark - via->given);

		plugin = scheme_plugin(via->given, len);
		if (plugin == NULL)
			return scheme_unknown(via, len);
		via->class = xf_catalogue_transport(small->loaded.catalogue, plugin, &error);
		return via->class != NULL ? EXIT_DONE : complain(EXIT_FAILED, "%s", error.text);
	}
	for (size_t i = 0; conf != NULL && i < conf->transport_count; i++)
		if (strcmp(conf->transports[i].name, via->given) == 0) {
			via->known = &conf->transports[i];
			via->class = via->known->class;
			return EXIT_DONE;
		}
	return transport_unknown(via, conf);
}

/* ---- Which options ---------------------------------------------------------------------------------------- */

static size_t
key_length(const char *option)
{
	return strcspn(option, ".=");
}

static const struct xf_option *
row_find(const struct xf_option *const *rows, const char *key, size_t len)
{
	for (; rows != NULL && *rows != NULL; rows++)
		if (strlen((*rows)->key) == len && strncmp((*rows)->key, key, len) == 0)
			return *rows;
	return NULL;
}

static const struct xf_option *const *
side_rows(const struct via *via, enum via_side side)
{
	return side == VIA_SOURCE ? via->class->source_options : via->class->sink_options;
}

/* Sides whose endpoints have it, as a rule of the core's or of the plugin's. */
static unsigned
option_sides(const struct via *via, const char *key, size_t len)
{
	unsigned sides = 0;

	for (size_t i = 0; i < sizeof core_rows / sizeof core_rows[0]; i++)
		if (strlen(core_rows[i].key) == len && strncmp(core_rows[i].key, key, len) == 0)
			sides |= core_rows[i].sides;
	if (row_find(via->class->source_options, key, len) != NULL)
		sides |= VIA_SOURCE;
	if (row_find(via->class->sink_options, key, len) != NULL)
		sides |= VIA_SINK;
	return sides;
}

static size_t
names_add(const char **names, size_t count, size_t room, const struct xf_option *const *rows)
{
	for (; rows != NULL && *rows != NULL && count < room; rows++)
		names[count++] = (*rows)->key;
	return count;
}

static int
option_unknown(const struct via *via, const char *key, size_t len)
{
	const char *names[256], *nearest;
	size_t count = 0;

	for (size_t i = 0; i < sizeof core_rows / sizeof core_rows[0]; i++)
		names[count++] = core_rows[i].key;
	count = names_add(names, count, 256, via->class->options);
	count = names_add(names, count, 256, via->class->source_options);
	count = names_add(names, count, 256, via->class->sink_options);
	nearest = xf_str_nearest((struct xf_str){key, len}, names, count);
	if (nearest != NULL)
		return complain(EXIT_USAGE, "-o: %s has no option '%.*s'; did you mean '%s'?", via->class->head.name, (int)len,
		                key, nearest);
	return complain(EXIT_USAGE, "-o: %s has no option '%.*s'; see crossfade plugin show %s", via->class->head.name,
	                (int)len, key, via->class->head.name);
}

/* Each has a place where the verb uses it. */
static int
options_check(const struct via *via, unsigned sides)
{
	for (const char *const *option = via->options; option != NULL && *option != NULL; option++) {
		size_t len = key_length(*option);
		unsigned has = option_sides(via, *option, len);

		if (strchr(*option, '=') == NULL)
			return complain(EXIT_USAGE, "-o takes KEY=VALUE, not '%s'", *option);
		if ((has & sides) != 0 || row_find(via->class->options, *option, len) != NULL)
			continue;
		if (has == 0)
			return option_unknown(via, *option, len);
		return complain(EXIT_USAGE, "-o: '%.*s' is for %s only, which this does not do", (int)len, *option,
		                has == VIA_SOURCE ? "consuming" : "publishing");
	}
	return EXIT_DONE;
}

bool
via_init(struct via *via, struct small *small, const char *option, const char *given, const char *const *options,
         unsigned sides, const char *name, int *status)
{
	*via = (struct via){.option = option, .given = given, .sides = sides, .options = options};
	*status = broker_find(via, small);
	if (*status == EXIT_DONE && (sides & VIA_SOURCE) != 0 && via->class->source == NULL)
		*status = complain(EXIT_USAGE, "%s: %s cannot be consumed from", option, via->class->head.name);
	if (*status == EXIT_DONE && (sides & VIA_SINK) != 0 && via->class->sink == NULL)
		*status = complain(EXIT_USAGE, "%s: %s cannot be published to", option, via->class->head.name);
	if (*status == EXIT_DONE)
		*status = options_check(via, sides);
	if (*status != EXIT_DONE)
		return false;
	via->name = xf_strdup(name);
	return true;
}

void
via_fini(struct via *via)
{
	free(via->name);
	*via = (struct via){0};
}

bool
via_is(const struct via *via, const char *plugin)
{
	return strcmp(via->class->head.name, plugin) == 0;
}

const char *
via_option(const struct via *via, const char *key)
{
	for (const char *const *option = via->options; option != NULL && *option != NULL; option++)
		if (strlen(key) == strcspn(*option, "=") && strncmp(*option, key, strlen(key)) == 0)
			return strchr(*option, '=') + 1;
	return NULL;
}

bool
via_is_transports(const struct via *via, const char *option)
{
	size_t len = key_length(option);

	return option_sides(via, option, len) == 0 && row_find(via->class->options, option, len) != NULL;
}

const char *
via_url(const struct via *via)
{
	if (via->known == NULL)
		return via->given;
	for (uint32_t i = 0; via->class->options != NULL && via->class->options[i] != NULL; i++) {
		const struct xf_value *value = xf_config_option(via->known->options, i);

		if (strcmp(via->class->options[i]->key, "url") == 0 && value->count > 0)
			return value->items != NULL ? value->items[0]->str.data : value->str.data;
	}
	return NULL;
}

bool
via_knows(const struct via *via, enum via_side side, const char *key)
{
	return (option_sides(via, key, strlen(key)) & side) != 0;
}

/* ---- Values as they were given ------------------------------------------------------------------------------ */

/* A list or a mapping is written as in the file, all else is text whatever it holds. On the heap. */
static char *
given_format(const struct xf_option *row, const char *value)
{
	bool nested = row != NULL && ((row->flags & XF_OPTION_LIST) != 0 || row->type == XF_OPTION_MAP);
	struct xf_buffer out = {0};
	char *here, *path, *quoted;

	if (row != NULL && row->type == XF_OPTION_PATH && value[0] != '/' && value[0] != '\0') {
		here = getcwd(NULL, 0);
		path = xf_format("%s/%s", here != NULL ? here : "", value);
		quoted = small_quote(path);
		free(here);
		free(path);
		return quoted;
	}
	if (!nested || (value[0] != '[' && value[0] != '{') || strpbrk(value, "\r\n") != NULL)
		return small_quote(value);
	for (; *value != '\0'; value++)
		xf_buffer_printf(&out, "%s%c", *value == '$' ? "$" : "", *value);
	return out.data;
}

/* The group `tls:` of tls.ca=..., tls.cert=..., where the first of them stands. */
static void
group_write(const struct via *via, struct small *small, const struct xf_option *row, const char *const *first, int indent)
{
	size_t len = key_length(*first);

	for (const char *const *before = via->options; before != first; before++)
		if (key_length(*before) == len && (*before)[len] == '.' && strncmp(*before, *first, len) == 0)
			return;
	small_line(small, NULL, "%*s%.*s:", indent, "", (int)len, *first);
	for (const char *const *option = first; *option != NULL; option++) {
		const char *key = *option + len + 1;
		size_t key_len;
		char *origin, *value;

		if (key_length(*option) != len || (*option)[len] != '.' || strncmp(*option, *first, len) != 0)
			continue;
		key_len = strcspn(key, "=");
		origin = xf_format("-o %.*s", (int)(len + 1 + key_len), *option);
		value = given_format(row != NULL ? row_find(row->fields, key, key_len) : NULL, key + key_len + 1);
		small_line(small, origin, "%*s  %.*s: %s", indent, "", (int)key_len, key, value);
		free(origin);
		free(value);
	}
}

static void
option_write(const struct via *via, struct small *small, const struct xf_option *row, const char *const *option, int indent)
{
	size_t len = key_length(*option);
	char *origin, *value;

	if ((*option)[len] == '.') {
		group_write(via, small, row, option, indent);
		return;
	}
	origin = xf_format("-o %.*s", (int)len, *option);
	value = given_format(row, *option + len + 1);
	small_line(small, origin, "%*s%.*s: %s", indent, "", (int)len, *option, value);
	free(origin);
	free(value);
}

bool
via_gives(const struct via *via, const char *key)
{
	for (const char *const *option = via->options; option != NULL && *option != NULL; option++) {
		size_t len = key_length(*option);
		const struct xf_option *row = row_find(via->class->source_options, *option, len), *whole;

		if (len == strlen(key) && strncmp(*option, key, len) == 0)
			return true;
		if (row != NULL && xf_option_member(via->class->source_options, row, &whole) != NULL &&
		    strcmp(whole->key, key) == 0)
			return true;
	}
	return false;
}

/* ---- Values as a file had them ------------------------------------------------------------------------------- */

static void known_map_format(const struct xf_option *const *rows, const struct xf_config *config, struct xf_buffer *out);

static void
known_single_format(const struct xf_option *row, const struct xf_value *value, struct xf_buffer *out)
{
	char percent[16], *text;

	switch (row->type) {
	case XF_OPTION_BOOL:
		xf_buffer_puts(out, value->i64 != 0 ? "true" : "false");
		break;
	case XF_OPTION_I64:
		xf_buffer_printf(out, "%lld", (long long)value->i64);
		break;
	case XF_OPTION_F64:
		xf_buffer_printf(out, "%.17g", value->f64);
		break;
	case XF_OPTION_DURATION:
		xf_buffer_printf(out, "%lldms", (long long)value->i64);
		break;
	case XF_OPTION_BYTES:
		xf_buffer_printf(out, "%lldB", (long long)value->i64);
		break;
	case XF_OPTION_PERCENT:
		xf_percent_format((uint32_t)value->i64, percent);
		xf_buffer_printf(out, "%s%%", percent);
		break;
	case XF_OPTION_MAP:
		known_map_format(row->fields, value->map, out);
		break;
	default:
		text = small_quote(value->str.len > 0 ? value->str.data : "");
		xf_buffer_puts(out, text);
		free(text);
	}
}

static void
known_format(const struct xf_option *row, const struct xf_value *value, struct xf_buffer *out)
{
	if ((row->flags & XF_OPTION_LIST) == 0) {
		known_single_format(row, value, out);
		return;
	}
	xf_buffer_puts(out, "[");
	for (uint32_t i = 0; i < value->count; i++) {
		xf_buffer_puts(out, i > 0 ? ", " : "");
		known_single_format(row, value->items[i], out);
	}
	xf_buffer_puts(out, "]");
}

static void
known_map_format(const struct xf_option *const *rows, const struct xf_config *config, struct xf_buffer *out)
{
	bool any = false;

	xf_buffer_puts(out, "{");
	for (uint32_t i = 0; rows != NULL && rows[i] != NULL; i++) {
		const struct xf_value *value = xf_config_option(config, i);

		if (!value->present)
			continue;
		xf_buffer_printf(out, "%s%s: ", any ? ", " : "", rows[i]->key);
		known_format(rows[i], value, out);
		any = true;
	}
	xf_buffer_puts(out, "}");
}

static void
known_write(const struct via *via, struct small *small)
{
	const struct xf_option *const *rows = via->class->options;

	for (uint32_t i = 0; rows != NULL && rows[i] != NULL; i++) {
		const struct xf_value *value = xf_config_option(via->known->options, i);
		struct xf_buffer text = {0};

		if (!value->present || via_gives(via, rows[i]->key))
			continue;
		known_format(rows[i], value, &text);
		small_line(small, via->option, "    %s: %s", rows[i]->key, text.data);
		xf_buffer_fini(&text);
	}
}

/* The URL; consuming from http is listening there. */
static void
address_write(const struct via *via, struct small *small)
{
	bool listens = via_is(via, "http") && (via->sides & VIA_SOURCE) != 0;
	const char *host = strstr(via->given, "://") + 3;
	char *address = listens ? xf_strndup(host, strcspn(host, "/")) : xf_strdup(via->given);
	char *text = small_quote(address);

	if (!via_gives(via, listens ? "listen" : "url"))
		small_line(small, via->option, "    %s: %s", listens ? "listen" : "url", text);
	free(text);
	free(address);
}

/* ---- Writing -------------------------------------------------------------------------------------------------- */

void
via_write_transport(const struct via *via, struct small *small)
{
	char *text = small_quote(via->known != NULL ? via->known->plugin : via->class->head.name);

	small_line(small, NULL, "  %s:", via->name);
	small_line(small, via->option, "    plugin: %s", text);
	free(text);
	if (via->known != NULL) {
		known_write(via, small);
	} else {
		address_write(via, small);
	}
	for (const char *const *option = via->options; option != NULL && *option != NULL; option++) {
		size_t len = key_length(*option);
		const struct xf_option *row = row_find(via->class->options, *option, len);

		if (via_is_transports(via, *option))
			option_write(via, small, row, option, 4);
	}
}

void
via_write_endpoint(const struct via *via, struct small *small, enum via_side side, int indent,
                   const struct via_default *defaults)
{
	for (; defaults != NULL && defaults->key != NULL; defaults++) {
		char *text;

		if (!via_knows(via, side, defaults->key) || via_gives(via, defaults->key))
			continue;
		text = small_quote(defaults->value);
		small_line(small, via->option, "%*s%s: %s", indent, "", defaults->key, text);
		free(text);
	}
	for (const char *const *option = via->options; option != NULL && *option != NULL; option++) {
		size_t len = key_length(*option);

		if ((option_sides(via, *option, len) & side) != 0)
			option_write(via, small, row_find(side_rows(via, side), *option, len), option, indent);
	}
}
