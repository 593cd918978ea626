#include "output.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "client.h"

struct cell {
	char *text;
	enum colour colour;
};

bool
output_is_terminal(void)
{
	return isatty(STDOUT_FILENO) == 1;
}

static bool
has_colour(void)
{
	static int known = -1;

	if (known < 0) {
		const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

		known = output_is_terminal() && (no == NULL || no[0] == '\0') &&
			(term == NULL || strcmp(term, "dumb") != 0);
	}
	return known == 1;
}

const char *
colour_on(enum colour colour)
{
	static const char *const codes[] = {
		[PLAIN] = "", [GREEN] = "\033[32m", [YELLOW] = "\033[33m", [RED] = "\033[31m",
		[DIM] = "\033[2m", [BOLD] = "\033[1m",
	};

	return has_colour() ? codes[colour] : "";
}

const char *
colour_off(void)
{
	return has_colour() ? "\033[0m" : "";
}

char *
number_format(uint64_t number, char *out)
{
	char digits[24];
	int len = snprintf(digits, sizeof digits, "%" PRIu64, number), at = 0;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
	return out;
}

char *
age_format(uint64_t seconds, char *out)
{
	if (seconds >= 86400)
		snprintf(out, 32, "%" PRIu64 "d %" PRIu64 "h", seconds / 86400, seconds / 3600 % 24);
	else if (seconds >= 3600)
		snprintf(out, 32, "%" PRIu64 "h %" PRIu64 "m", seconds / 3600, seconds / 60 % 60);
	else if (seconds >= 60)
		snprintf(out, 32, "%" PRIu64 "m %" PRIu64 "s", seconds / 60, seconds % 60);
	else
		snprintf(out, 32, "%" PRIu64 "s", seconds);
	return out;
}

char *
size_format(uint64_t bytes, char *out)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double size = (double)bytes;
	size_t unit = 0;

	for (; size >= 1024 && unit < sizeof units / sizeof units[0] - 1; unit++)
		size /= 1024;
	snprintf(out, 32, "%.*f %s", unit > 0 && size < 100, size, units[unit]);
	return out;
}

enum colour
state_colour(const char *state)
{
	if (strcmp(state, "ok") == 0 || strcmp(state, "up") == 0)
		return GREEN;
	if (strcmp(state, "failing") == 0 || strcmp(state, "down") == 0)
		return RED;
	return YELLOW;
}

void
table_begin(struct table *table, const char *const *titles, size_t columns)
{
	*table = (struct table){.columns = columns, .titles = titles};
}

static struct cell *
cell_add(struct table *table)
{
	if (table->cells == table->size) {
		size_t size = table->size ? table->size * 2 : 64;

		table->cell = xf_grow_array(table->cell, table->size, size, sizeof *table->cell);
		table->size = size;
	}
	return &table->cell[table->cells++];
}

void
table_cell(struct table *table, enum colour colour, const char *format, ...)
{
	struct cell *cell = cell_add(table);
	va_list args;

	va_start(args, format);
	if (vasprintf(&cell->text, format, args) < 0)
		cell->text = xf_strdup("");
	va_end(args);
	cell->colour = colour;
}

void
table_number(struct table *table, uint64_t number)
{
	char text[32];

	table_cell(table, PLAIN, "%s", number_format(number, text));
}

void
table_sight(struct table *table, const cJSON *endpoint)
{
	static const char *const keys[] = {"depth", "lag", "consumers"};
	const cJSON *sight = cJSON_GetObjectItemCaseSensitive(endpoint, "sight");

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		const cJSON *value = cJSON_GetObjectItemCaseSensitive(sight, keys[i]);

		if (cJSON_IsNumber(value))
			table_number(table, (uint64_t)value->valuedouble);
		else
			table_cell(table, PLAIN, "-");
	}
}

void
table_handlers(struct table *table, const cJSON *route)
{
	static const char *const titles[] = {"HANDLER", "STATE", ">TAKEN", ">HELD", ">PASSED", ">DROPPED", ">FAILED", ">DELAYED",
		                             ">REFUSED", ">TAKEN BACK", "REASON"};
	static const char *const counts[] = {"taken", "held", "passed", "dropped", "failed", "delayed", "refused", "cancelled"};
	const cJSON *handler;

	cJSON_ArrayForEach(handler, cJSON_GetObjectItemCaseSensitive(route, "handlers")) {
		const char *state = json_text(handler, "state");

		if (table->cells == 0)
			table_begin(table, titles, sizeof titles / sizeof titles[0]);
		table_cell(table, PLAIN, "%s", json_text(handler, "name"));
		table_cell(table, state_colour(state), "%s", state);
		for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
			table_number(table, json_count(handler, counts[i]));
		table_cell(table, state_colour(state), "%s", json_text(handler, "reason"));
	}
}

/* Characters, not bytes. */
static size_t
width(const char *text)
{
	size_t count = 0;

	for (; *text != '\0'; text++)
		count += ((unsigned char)*text & 0xC0) != 0x80;
	return count;
}

/* The last column of a row is not padded when it stands at the left. */
static void
cell_print(const char *text, enum colour colour, size_t room, bool right, bool last)
{
	int gap = (int)(room - width(text));

	printf("%*s%s%s%s%*s", right ? gap : 0, "", colour_on(colour), text, colour != PLAIN ? colour_off() : "",
	       right || last ? 0 : gap, "");
	fputs(last ? "\n" : "  ", stdout);
}

void
table_print(struct table *table)
{
	size_t widths[TABLE_COLUMNS_MAX] = {0};

	for (size_t i = 0; i < table->columns; i++)
		widths[i] = width(table->titles[i]) - (table->titles[i][0] == '>');
	for (size_t i = 0; i < table->cells; i++) {
		size_t needed = width(table->cell[i].text), column = i % table->columns;

		if (needed > widths[column])
			widths[column] = needed;
	}
	for (size_t i = 0; i < table->columns; i++) {
		bool right = table->titles[i][0] == '>';

		cell_print(table->titles[i] + right, DIM, widths[i], right, i + 1 == table->columns);
	}
	for (size_t i = 0; i < table->cells; i++) {
		size_t column = i % table->columns;

		cell_print(table->cell[i].text, table->cell[i].colour, widths[column],
			   table->titles[column][0] == '>', column + 1 == table->columns);
		free(table->cell[i].text);
	}
	free(table->cell);
	*table = (struct table){0};
}
