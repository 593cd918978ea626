#include "bits.h"

#include <stdlib.h>
#include <string.h>

void
bits_fini(struct bits *bits)
{
	for (uint64_t i = 0; i < bits->count; i++)
		free(bits->chunks[i]);
	free(bits->chunks);
	*bits = (struct bits){0};
}

static uint64_t *
chunk_make(struct bits *bits, uint64_t index)
{
	uint64_t **grown;

	if (index >= bits->count) {
		grown = realloc(bits->chunks, (index + 1) * sizeof(*grown));
		if (grown == NULL)
			return NULL;
		memset(grown + bits->count, 0, (index + 1 - bits->count) * sizeof(*grown));
		bits->chunks = grown;
		bits->count = index + 1;
	}
	if (bits->chunks[index] == NULL)
		bits->chunks[index] = calloc(BITS_WORDS, sizeof(uint64_t));
	return bits->chunks[index];
}

int
bits_set(struct bits *bits, uint64_t at)
{
	uint64_t number = at / BITS_CHUNK, index = number - bits->first, mask = 1ull << (at % 64);
	uint64_t *chunk, *word;
	int before;

	if (number < bits->first)
		return -1;
	chunk = index < bits->count ? bits->chunks[index] : NULL;
	if (chunk == NULL)
		chunk = chunk_make(bits, index);
	if (chunk == NULL)
		return -1;
	word = &chunk[at % BITS_CHUNK / 64];
	before = (*word & mask) != 0;
	*word |= mask;
	return before;
}

const uint64_t *
bits_chunk(const struct bits *bits, uint64_t number)
{
	return number >= bits->first && number - bits->first < bits->count ? bits->chunks[number - bits->first] : NULL;
}

bool
bits_get(const struct bits *bits, uint64_t at)
{
	const uint64_t *chunk = bits_chunk(bits, at / BITS_CHUNK);

	return chunk != NULL && (chunk[at % BITS_CHUNK / 64] >> (at % 64) & 1);
}

void
bits_drop(struct bits *bits, uint64_t number)
{
	uint64_t drop = number > bits->first ? number - bits->first : 0;

	drop = drop < bits->count ? drop : bits->count;
	for (uint64_t i = 0; i < drop; i++)
		free(bits->chunks[i]);
	if (drop > 0)
		memmove(bits->chunks, bits->chunks + drop, (bits->count - drop) * sizeof(*bits->chunks));
	bits->count -= drop;
	if (number > bits->first)
		bits->first = number;
}
