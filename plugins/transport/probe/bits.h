/*
 * bits.h - a bit per message, in chunks that come when they are first needed and go when nobody asks any more.
 *
 * Threads: the caller's lock.
 */
#ifndef PROBE_BITS_H
#define PROBE_BITS_H

#include <stdbool.h>
#include <stdint.h>

#define BITS_CHUNK 65536u
#define BITS_WORDS (BITS_CHUNK / 64)

struct bits {
	uint64_t **chunks; /* by number minus first; NULL: all zero */
	uint64_t first;
	uint64_t count;
};

void bits_fini(struct bits *bits);

/* Sets a bit and tells what it was. -1: no memory, or its chunk was dropped. */
int bits_set(struct bits *bits, uint64_t at);
bool bits_get(const struct bits *bits, uint64_t at);

/* The words of a chunk, or NULL: all zero. */
const uint64_t *bits_chunk(const struct bits *bits, uint64_t number);

/* Forgets the chunks below NUMBER. */
void bits_drop(struct bits *bits, uint64_t number);

#endif
