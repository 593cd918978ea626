/*
 * chunk.h - the memory of the messages of one inlet.
 *
 * Some dozens of messages share one allocation, which is used again once the last of them is gone. What counts
 * against a route's bound is whole chunks: what is really pinned, not what the payloads add up to.
 *
 * Threads: the source's.
 */
#ifndef XF_FLOW_CHUNK_H
#define XF_FLOW_CHUNK_H

#include <stddef.h>
#include <stdint.h>

struct xf_chunk {
	struct xf_chunk *next; /* in the pool */
	size_t size;           /* of memory */
	size_t used;
	uint32_t live;         /* allocations not freed */
	_Alignas(16) char memory[];
};

struct xf_chunks {
	struct xf_chunk *current;
	struct xf_chunk *pool; /* of the usual size */
	uint32_t pooled;
	uint64_t bytes; /* in chunks that are not in the pool */
};

/* SIZE bytes aligned to 16, not zeroed; *CHUNK is what to free them with. */
void *xf_chunks_alloc(struct xf_chunks *chunks, size_t size, struct xf_chunk **chunk);
void xf_chunks_free(struct xf_chunks *chunks, struct xf_chunk *chunk);
void xf_chunks_fini(struct xf_chunks *chunks); /* everything is freed before */

#endif
