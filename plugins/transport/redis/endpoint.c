/*
 * What a mode has not is refused by name instead of being ignored: an option that does nothing misleads whoever
 * wrote it.
 */
#include "endpoint.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "fields.h"

static const char *const modes[] = {"pubsub", "stream", "list", NULL};
const struct xf_option mode_option = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_ENUM,
	.key = "mode",
	.def = "pubsub",
	.values = modes,
	.help = "What the subject names: pubsub (a channel), stream (read through a consumer group) or list (a queue)",
};
const struct xf_option separator_option = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_STRING,
	.key = "separator",
	.help = "The character that names at Redis have between tokens instead of the dot: with \":\", a:b:c is a.b.c",
};
static const char *const ends[] = {"left", "right", NULL};
const struct xf_option push_option = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_ENUM,
	.key = "push",
	.def = "left",
	.values = ends,
	.help = "The end of a list at which messages are pushed, left (LPUSH) or right (RPUSH); they are taken at the "
	        "other",
};

static const struct mode_row shared_rows[] = {
	{"push", ROW_PUSH, 1 << MODE_LIST, "mode: list"},
	{"fields", ROW_FIELDS, 1 << MODE_STREAM, "mode: stream"},
	{NULL, 0, 0, NULL},
};

int
endpoint_mode(const struct xf_host *host, const struct xf_config *endpoint)
{
	return (int)host->option(endpoint, ROW_MODE)->i64;
}

char
endpoint_separator(const struct xf_host *host, const struct xf_config *endpoint)
{
	struct xf_str text = host->option(endpoint, ROW_SEPARATOR)->str;

	return text.len == 1 && text.data[0] != '.' ? text.data[0] : '\0';
}

bool
endpoint_pushes_left(const struct xf_host *host, const struct xf_config *endpoint)
{
	return host->option(endpoint, ROW_PUSH)->i64 == 0;
}

uint32_t
endpoint_address(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
                 char *out, uint32_t size)
{
	int mode = endpoint_mode(host, endpoint);
	struct settings settings;
	struct xf_error error;
	uint32_t length = 0;

	if (settings_read(host, transport, &settings, &error) == 0) /* channels are the server's, keys a database's */
		length = settings_address(&settings, mode != MODE_PUBSUB, modes[mode], out, size);
	settings_clear(&settings);
	return length;
}

static int
rows_check(const struct xf_host *host, const struct xf_config *endpoint, const struct mode_row *rows,
           struct xf_error *error)
{
	unsigned mode = 1u << endpoint_mode(host, endpoint);

	for (; rows->key != NULL; rows++)
		if (!(rows->modes & mode) && host->option(endpoint, rows->row)->present)
			return settings_fail(error, "%s: only with '%s'", rows->key, rows->words);
	return 0;
}

static int
separator_check(struct xf_str text, struct xf_error *error)
{
	unsigned char c;

	if (text.len == 0)
		return 0;
	c = (unsigned char)text.data[0];
	if (text.len != 1 || c <= ' ' || c >= 0x7f || isalnum(c) || c == '*' || c == '>')
		return settings_fail(error, "separator: expected one character such as ':' or '/'");
	return 0;
}

int
endpoint_check(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
               const struct mode_row *own, struct settings *settings, struct xf_error *error)
{
	if (settings_read(host, transport, settings, error) < 0 ||
	    separator_check(host->option(endpoint, ROW_SEPARATOR)->str, error) < 0 ||
	    rows_check(host, endpoint, shared_rows, error) < 0 || rows_check(host, endpoint, own, error) < 0)
		return -1;
	if (fields_name(host, host->option(endpoint, ROW_FIELDS), FIELD_PAYLOAD).len == 0)
		return settings_fail(error, "fields: the payload needs a field");
	return 0;
}

char *
endpoint_key(struct xf_str subject, char separator)
{
	char *key = malloc(subject.len > 0 ? subject.len : 1);

	for (uint64_t i = 0; key != NULL && i < subject.len; i++)
		key[i] = separator != '\0' && subject.data[i] == '.' ? separator : subject.data[i];
	return key;
}
