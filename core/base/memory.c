#include "base/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

static _Noreturn void
out_of_memory(size_t size)
{
	fprintf(stderr, "crossfade: out of memory (%zu bytes)\n", size);
	abort();
}

_Noreturn void
xf_assert_failed(const char *what, const char *file, int line)
{
	fprintf(stderr, "crossfade: assertion failed: %s (%s:%d)\n", what, file, line);
	abort();
}

void *
xf_alloc(size_t size)
{
	return xf_alloc_array(1, size);
}

void *
xf_alloc_array(size_t count, size_t size)
{
	void *memory = calloc(count ? count : 1, size ? size : 1);

	if (memory == NULL)
		out_of_memory(count * size);
	return memory;
}

void *
xf_grow_array(void *array, size_t old_count, size_t new_count, size_t size)
{
	void *grown;

	XF_ASSERT(new_count >= old_count && size > 0 && new_count <= SIZE_MAX / size);
	grown = realloc(array, new_count ? new_count * size : 1);
	if (grown == NULL)
		out_of_memory(new_count * size);
	memset((char *)grown + old_count * size, 0, (new_count - old_count) * size);
	return grown;
}

char *
xf_strdup(const char *text)
{
	return xf_strndup(text, strlen(text));
}

char *
xf_strndup(const char *text, size_t len)
{
	char *copy = xf_alloc(len + 1);

	if (len > 0)
		memcpy(copy, text, len);
	return copy;
}

char *
xf_format(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = xf_vformat(format, args);
	va_end(args);
	return text;
}

char *
xf_vformat(const char *format, va_list args)
{
	char *text = NULL;

	if (vasprintf(&text, format, args) < 0)
		out_of_memory(strlen(format));
	return text;
}
