/*
 * A row from a text file, for transports that are not of this tree: a line is "KEY VALUE", where KEY is a field of struct
 * row; one that is a list is given once for each value. An empty line and one that begins with # say nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rows.h"

#define LINE_MAX_LEN 512
#define FILE_MAX_LEN (64 * 1024)

enum kind { TEXT, TEXTS, NUMBER, FLAG };

static const struct field {
	const char *key;
	enum kind kind;
	size_t place;
} fields[] = {
	{"plugin", TEXT, offsetof(struct row, plugin)},
	{"url", TEXT, offsetof(struct row, url)},
	{"broker", TEXT, offsetof(struct row, broker)},
	{"broker_args", TEXTS, offsetof(struct row, broker_args)},
	{"nowhere", TEXT, offsetof(struct row, nowhere)},
	{"transport", TEXTS, offsetof(struct row, transport)},
	{"source", TEXTS, offsetof(struct row, source)},
	{"sink", TEXTS, offsetof(struct row, sink)},
	{"other", TEXTS, offsetof(struct row, other)},
	{"denied", TEXT, offsetof(struct row, denied)},
	{"denied_args", TEXTS, offsetof(struct row, denied_args)},
	{"pattern", TEXT, offsetof(struct row, pattern)},
	{"subject", TEXT, offsetof(struct row, subject)},
	{"wide", TEXT, offsetof(struct row, wide)},
	{"largest", NUMBER, offsetof(struct row, largest)},
	{"no_source", FLAG, offsetof(struct row, no_source)},
	{"keeps", FLAG, offsetof(struct row, keeps)},
	{"carries_id", FLAG, offsetof(struct row, carries_id)},
	{"carries_reply", FLAG, offsetof(struct row, carries_reply)},
	{"carries_priority", FLAG, offsetof(struct row, carries_priority)},
	{"carries_ttl", FLAG, offsetof(struct row, carries_ttl)},
	{"replies_whole", FLAG, offsetof(struct row, replies_whole)},
	{"tells_no_receiver", FLAG, offsetof(struct row, tells_no_receiver)},
};

/* Numbers that are no size_t, and promises that do not apply. */
static bool
field_special(struct row *row, const char *key, char *value)
{
	char *why = value + strcspn(value, " ");
	size_t at = 0;

	if (strcmp(key, "ack_wait_ms") == 0) {
		row->ack_wait_ms = (unsigned)strtoul(value, NULL, 10);
	} else if (strcmp(key, "source_sight") == 0) {
		row->source_sight = (uint32_t)strtoul(value, NULL, 0);
	} else if (strcmp(key, "sink_sight") == 0) {
		row->sink_sight = (uint32_t)strtoul(value, NULL, 0);
	} else if (strcmp(key, "exempt") == 0) {
		while (at + 1 < ROW_OPTIONS && row->exempt[at].promise != NULL)
			at++;
		if (*why == '\0' || at + 1 == ROW_OPTIONS)
			return false; /* no reason, or too many */
		*why++ = '\0';
		row->exempt[at] = (struct exemption){value, why};
	} else {
		return false;
	}
	return true;
}

static bool
field_set(struct row *row, const struct field *field, char *value)
{
	char *place = (char *)row + field->place;
	const char **texts = (const char **)(void *)place;
	size_t at = 0;

	switch (field->kind) {
	case TEXT:
		*texts = value;
		return true;
	case TEXTS:
		while (at + 1 < ROW_OPTIONS && texts[at] != NULL)
			at++;
		texts[at] = value;
		return at + 1 < ROW_OPTIONS;
	case NUMBER:
		*(size_t *)(void *)place = strtoull(value, NULL, 10);
		return true;
	default:
		*(bool *)(void *)place = strcmp(value, "true") == 0;
		return *(bool *)(void *)place || strcmp(value, "false") == 0;
	}
}

/* LINE is kept. */
static bool
line_read(struct row *row, char *line)
{
	char *value = line + strcspn(line, " \t");

	if (*value != '\0')
		*value++ = '\0';
	value += strspn(value, " \t");
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strcmp(fields[i].key, line) == 0)
			return field_set(row, &fields[i], value);
	return field_special(row, line, value);
}

const struct row *
row_read(const char *file)
{
	static struct row row;
	static char texts[FILE_MAX_LEN]; /* the row points into it */
	char line[LINE_MAX_LEN];
	size_t used = 0;
	FILE *in = fopen(file, "r");
	unsigned number = 0;
	bool fine = in != NULL;

	if (in == NULL) {
		fprintf(stderr, "contract: no row of rows.c and no file: %s: %s\n", file, strerror(errno));
		return NULL;
	}
	row = (struct row){.name = file, .largest = 1000};
	while (fine && fgets(line, sizeof(line), in) != NULL) {
		size_t size;

		number++;
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '\0' || line[0] == '#')
			continue;
		size = strlen(line) + 1;
		fine = used + size <= sizeof(texts) && line_read(&row, memcpy(texts + used, line, size));
		used += size;
	}
	fclose(in);
	if (!fine) {
		fprintf(stderr, "contract: %s:%u: not understood: %s\n", file, number, line);
		return NULL;
	}
	if (row.plugin == NULL || row.pattern == NULL || row.subject == NULL) {
		fprintf(stderr, "contract: %s: a row needs plugin, pattern and subject\n", file);
		return NULL;
	}
	if (row.nowhere == NULL && (row.url != NULL || row.broker != NULL)) {
		fprintf(stderr, "contract: %s: beside url or broker a row needs nowhere\n", file);
		return NULL;
	}
	return &row;
}
