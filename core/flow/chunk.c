#include "flow/chunk.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/memory.h"

#define CHUNK_BYTES (16 * 1024 - sizeof(struct xf_chunk))
#define POOLED_MAX 256 /* 4 MiB kept for the next burst */

static void
chunk_retire(struct xf_chunks *chunks, struct xf_chunk *chunk)
{
	chunks->bytes -= chunk->size;
	if (chunk->size != CHUNK_BYTES || chunks->pooled == POOLED_MAX) {
		free(chunk);
		return;
	}
	chunk->next = chunks->pool;
	chunks->pool = chunk;
	chunks->pooled++;
}

static struct xf_chunk *
chunk_get(struct xf_chunks *chunks, size_t size)
{
	struct xf_chunk *chunk = chunks->pool;

	if (size <= CHUNK_BYTES && chunk != NULL) {
		chunks->pool = chunk->next;
		chunks->pooled--;
	} else {
		size = size <= CHUNK_BYTES ? CHUNK_BYTES : size;
		chunk = malloc(sizeof(*chunk) + size);
		if (chunk == NULL)
			chunk = xf_alloc(sizeof(*chunk) + size); /* says so and ends */
		chunk->size = size;
	}
	chunk->used = 0;
	chunk->live = 0;
	chunks->bytes += chunk->size;
	return chunk;
}

void *
xf_chunks_alloc(struct xf_chunks *chunks, size_t size, struct xf_chunk **chunk)
{
	struct xf_chunk *current = chunks->current;
	void *memory;

	size = (size + 15) & ~(size_t)15;
	if (current == NULL || current->size - current->used < size)
		current = chunks->current = chunk_get(chunks, size);
	memory = current->memory + current->used;
	current->used += size;
	current->live++;
	*chunk = current;
	return memory;
}

void
xf_chunks_free(struct xf_chunks *chunks, struct xf_chunk *chunk)
{
	XF_ASSERT(chunk->live > 0);
	if (--chunk->live > 0)
		return;
	if (chunk == chunks->current)
		chunks->current = NULL; /* at rest nothing counts, however small the bound */
	chunk_retire(chunks, chunk);
}

void
xf_chunks_fini(struct xf_chunks *chunks)
{
	XF_ASSERT(chunks->bytes == 0);
	while (chunks->pool != NULL) {
		struct xf_chunk *next = chunks->pool->next;

		free(chunks->pool);
		chunks->pool = next;
	}
}
