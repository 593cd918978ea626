/*
 * text.h - bytes that grow, and memory that is given back all at once.
 *
 * Both remember that memory ran out, so that a caller asks once at the end.
 */
#ifndef PLUGINS_TEXT_H
#define PLUGINS_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include <crossfade/plugin.h>

/* Zeroed at first; data is not terminated. */
struct text {
	char *data;
	size_t len;
	size_t size;
	bool failed;
};

void text_fini(struct text *text);
void text_add(struct text *text, const void *data, size_t len);
void text_puts(struct text *text, const char *string);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As a JSON string, with its quotation marks. What is no UTF-8 becomes U+FFFD. */
void text_json(struct text *text, struct xf_str string);

bool utf8_is_valid(struct xf_str string);

/* Zeroed at first. */
struct arena {
	struct arena_block *blocks;
	size_t bytes; /* that it holds of the heap */
};

void arena_fini(struct arena *arena);

/* Aligned for everything; NULL: no memory. */
void *arena_take(struct arena *arena, size_t size);

/* A terminated copy; data is NULL where there was no memory. */
struct xf_str arena_copy(struct arena *arena, struct xf_str text);

static inline struct xf_str
str_of(const char *text)
{
	return (struct xf_str){text, __builtin_strlen(text)};
}

#endif
