/*
 * A list of blocks; what does not fit into the newest one gets a block of at least its own size.
 */
#include "conf/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/memory.h"

enum { BLOCK_SIZE = 16384, ALIGNMENT = 16 };

struct block {
	struct block *next;
	size_t used;
	size_t size;
	_Alignas(ALIGNMENT) char data[];
};

struct deferred {
	struct deferred *next;
	void (*release)(void *pointer);
	void *pointer;
};

struct xf_arena {
	struct block *blocks;
	struct deferred *deferred;
};

struct xf_arena *
xf_arena_create(void)
{
	return xf_alloc(sizeof(struct xf_arena));
}

void
xf_arena_destroy(struct xf_arena **arena)
{
	struct xf_arena *a = *arena;

	if (a == NULL)
		return;
	*arena = NULL;
	for (struct deferred *d = a->deferred; d != NULL; d = d->next)
		d->release(d->pointer);
	while (a->blocks != NULL) {
		struct block *block = a->blocks;

		a->blocks = block->next;
		free(block);
	}
	free(a);
}

void *
xf_arena_alloc(struct xf_arena *arena, size_t size)
{
	struct block *block = arena->blocks;
	void *memory;

	XF_ASSERT(size < SIZE_MAX / 2);
	size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	if (block == NULL || block->size - block->used < size) {
		size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;

		block = xf_alloc(sizeof(*block) + room);
		block->size = room;
		block->next = arena->blocks;
		arena->blocks = block;
	}
	memory = block->data + block->used;
	block->used += size;
	return memory;
}

void *
xf_arena_array(struct xf_arena *arena, size_t count, size_t size)
{
	XF_ASSERT(size == 0 || count < SIZE_MAX / 2 / size);
	return xf_arena_alloc(arena, count * size);
}

char *
xf_arena_copy(struct xf_arena *arena, const char *text, size_t len)
{
	char *copy = xf_arena_alloc(arena, len + 1);

	if (len > 0)
		memcpy(copy, text, len);
	return copy;
}

char *
xf_arena_format(struct xf_arena *arena, const char *format, ...)
{
	va_list args;
	char *text, *copy;

	va_start(args, format);
	text = xf_vformat(format, args);
	va_end(args);
	copy = xf_arena_copy(arena, text, strlen(text));
	free(text);
	return copy;
}

void
xf_arena_defer(struct xf_arena *arena, void (*release)(void *pointer), void *pointer)
{
	struct deferred *d = xf_arena_alloc(arena, sizeof(*d));

	d->release = release;
	d->pointer = pointer;
	d->next = arena->deferred;
	arena->deferred = d;
}
