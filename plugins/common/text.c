#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 2048u

void
text_fini(struct text *text)
{
	free(text->data);
	*text = (struct text){.failed = false};
}

static bool
text_reserve(struct text *text, size_t more)
{
	size_t size = text->size > 0 ? text->size : 256;
	char *grown;

	if (text->failed)
		return false;
	if (text->len + more <= text->size)
		return true;
	while (size < text->len + more)
		size *= 2;
	grown = realloc(text->data, size);
	if (grown == NULL) {
		text->failed = true;
		return false;
	}
	text->data = grown;
	text->size = size;
	return true;
}

void
text_add(struct text *text, const void *data, size_t len)
{
	if (len == 0 || !text_reserve(text, len))
		return;
	memcpy(text->data + text->len, data, len);
	text->len += len;
}

void
text_puts(struct text *text, const char *string)
{
	text_add(text, string, strlen(string));
}

void
text_printf(struct text *text, const char *format, ...)
{
	char line[1024];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (n > 0)
		text_add(text, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

/* The length of the UTF-8 character at AT, or 0 where there is none. */
static size_t
utf8_length(const unsigned char *at, size_t left)
{
	size_t len = at[0] < 0x80 ? 1 : at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;

	if (len == 1)
		return 1;
	if (at[0] < 0xc2 || at[0] > 0xf4 || len > left)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf0 && at[1] < 0x90) ||
	    (at[0] == 0xf4 && at[1] > 0x8f))
		return 0;
	return len;
}

bool
utf8_is_valid(struct xf_str string)
{
	const unsigned char *at = (const unsigned char *)string.data;
	size_t left = string.len, len;

	for (; left > 0; at += len, left -= len) {
		len = utf8_length(at, left);
		if (len == 0)
			return false;
	}
	return true;
}

/* How many bytes at AT stand for themselves. */
static size_t
plain_length(const unsigned char *at, size_t left)
{
	size_t len = 0;

	while (len < left && at[len] >= ' ' && at[len] < 0x7f && at[len] != '"' && at[len] != '\\')
		len++;
	return len;
}

void
text_json(struct text *text, struct xf_str string)
{
	const unsigned char *at = (const unsigned char *)string.data;
	size_t left = string.len, len;

	text_add(text, "\"", 1);
	for (; left > 0; at += len, left -= len) {
		len = plain_length(at, left);
		if (len > 0) {
			text_add(text, at, len);
			continue;
		}
		len = utf8_length(at, left);
		if (len == 0) {
			text_puts(text, "\\ufffd");
			len = 1;
		} else if (at[0] == '"' || at[0] == '\\') {
			text_printf(text, "\\%c", at[0]);
		} else if (at[0] < ' ' || at[0] == 0x7f) {
			text_printf(text, "\\u%04x", at[0]);
		} else {
			text_add(text, at, len);
		}
	}
	text_add(text, "\"", 1);
}

/* ---- Arenas --------------------------------------------------------------------- */

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	_Alignas(16) char bytes[];
};

void
arena_fini(struct arena *arena)
{
	while (arena->blocks != NULL) {
		struct arena_block *next = arena->blocks->next;

		free(arena->blocks);
		arena->blocks = next;
	}
	arena->bytes = 0;
}

void *
arena_take(struct arena *arena, size_t size)
{
	struct arena_block *block = arena->blocks;
	size_t whole = (size + 15) & ~(size_t)15;

	if (block == NULL || block->size - block->used < whole) {
		size_t room = whole > BLOCK ? whole : BLOCK;

		block = malloc(sizeof(*block) + room);
		if (block == NULL)
			return NULL;
		*block = (struct arena_block){.next = arena->blocks, .size = room};
		arena->blocks = block;
		arena->bytes += sizeof(*block) + room;
	}
	block->used += whole;
	return block->bytes + block->used - whole;
}

struct xf_str
arena_copy(struct arena *arena, struct xf_str text)
{
	char *copy = arena_take(arena, text.len + 1);

	if (copy == NULL)
		return (struct xf_str){NULL, 0};
	if (text.len > 0)
		memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	return (struct xf_str){copy, text.len};
}
