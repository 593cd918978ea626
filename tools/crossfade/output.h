/*
 * output.h - tables, numbers and colour for a person at a terminal.
 *
 * Colour goes to terminals only, and not where NO_COLOR is set.
 */
#ifndef CROSSFADE_OUTPUT_H
#define CROSSFADE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

enum colour {
	PLAIN,
	GREEN,
	YELLOW,
	RED,
	DIM,
	BOLD,
};

/* Around text; both empty where there is no colour. Static. */
const char *colour_on(enum colour colour);
const char *colour_off(void);

/* A terminal reads standard output. */
bool output_is_terminal(void);

/* 1234567 as "1,234,567". OUT has room for 32 bytes; returns it. */
char *number_format(uint64_t number, char *out);

/* 90061 as "1d 1h", 75 as "1m 15s". OUT has room for 32 bytes; returns it. */
char *age_format(uint64_t seconds, char *out);

/* 1536 as "1.5 KiB". OUT has room for 32 bytes; returns it. */
char *size_format(uint64_t bytes, char *out);

/* "ok", "up" green; "paused", "blocked" yellow; "failing", "down" red. */
enum colour state_colour(const char *state);

#define TABLE_COLUMNS_MAX 16

struct table {
	size_t columns;
	const char *const *titles; /* one that begins with '>' is set to the right */
	size_t cells;
	size_t size;
	struct cell *cell;
};

/* Cells are added from left to right, row by row, then the table is printed and forgotten. */
void table_begin(struct table *table, const char *const *titles, size_t columns);
void table_cell(struct table *table, enum colour colour, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void table_number(struct table *table, uint64_t number);

/* Three cells: depth, lag and consumers of an endpoint in an answer, "-" where they are not known. */
void table_sight(struct table *table, const cJSON *endpoint);

/* A row for each handler of ROUTE; the first one begins the table. */
void table_handlers(struct table *table, const cJSON *route);

void table_print(struct table *table);

#endif
