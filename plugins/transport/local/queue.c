#include "queue.h"

#include <stdlib.h>
#include <string.h>

#define RING_MIN 16u      /* so that ten thousand subscriptions with little to do stay small */
#define RING_KEPT 65536u  /* entries that an empty ring may go on holding */

/* ---- Rings ------------------------------------------------------------------- */

bool
ring_reserve(struct ring *ring, uint64_t count)
{
	uint64_t used = ring->tail - ring->head, size = ring->size ? ring->size : RING_MIN;
	struct entry *entries;

	if (used + count <= ring->size)
		return true;
	while (size < used + count)
		size *= 2;
	entries = malloc(size * sizeof(*entries));
	if (entries == NULL)
		return false;
	for (uint64_t at = ring->head; at != ring->tail; at++)
		entries[at & (size - 1)] = *ring_at(ring, at);
	free(ring->entries);
	ring->entries = entries;
	ring->size = size;
	return true;
}

void
ring_push(struct ring *ring, struct entry entry)
{
	*ring_at(ring, ring->tail++) = entry;
}

void
ring_relax(struct ring *ring)
{
	if (ring->head != ring->tail || ring->size <= RING_KEPT)
		return;
	free(ring->entries);
	ring->entries = NULL;
	ring->size = 0;
}

/* ---- Queues ------------------------------------------------------------------- */

static char *
text_copy(struct xf_str text)
{
	char *copy = malloc(text.len + 1);

	if (copy != NULL) {
		memcpy(copy, text.len ? text.data : "", text.len);
		copy[text.len] = '\0';
	}
	return copy;
}

struct queue *
queue_create(struct xf_str group, struct xf_str pattern)
{
	struct queue *queue = calloc(1, sizeof(*queue));

	if (queue == NULL)
		return NULL;
	queue->group = text_copy(group);
	queue->pattern = (struct xf_str){text_copy(pattern), pattern.len};
	queue->overdue_ms = UINT64_MAX;
	if (queue->group != NULL && queue->pattern.data != NULL)
		return queue;
	queue_destroy(queue);
	return NULL;
}

void
queue_destroy(struct queue *queue)
{
	free(queue->fresh.entries);
	free(queue->returned);
	free(queue->group);
	free((char *)(uintptr_t)queue->pattern.data);
	free(queue);
}

static int
returned_compare(const void *a, const void *b)
{
	const struct returned *x = a, *y = b;

	if (x->due_ms != y->due_ms)
		return x->due_ms < y->due_ms ? -1 : 1;
	return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

bool
queue_return_reserve(struct queue *queue, uint64_t count)
{
	size_t used = queue->returned_count - queue->returned_first;
	struct returned *grown;

	if (queue->returned_count + count <= queue->returned_size)
		return true;
	if (queue->returned_first > 0) {
		memmove(queue->returned, queue->returned + queue->returned_first, used * sizeof(*grown));
		queue->returned_first = 0;
		queue->returned_count = used;
	}
	if (used + count <= queue->returned_size)
		return true;
	grown = realloc(queue->returned, (used + count) * 2 * sizeof(*grown));
	if (grown == NULL)
		return false;
	queue->returned = grown;
	queue->returned_size = (used + count) * 2;
	return true;
}

void
queue_return(struct queue *queue, struct entry entry, uint64_t due_ms)
{
	struct returned *last = queue->returned_count > queue->returned_first
	                                ? &queue->returned[queue->returned_count - 1]
	                                : NULL;
	struct returned r = {entry, due_ms, entry.record->sequence};

	if (last == NULL)
		queue->returned_sorted = true;
	else if (returned_compare(last, &r) > 0)
		queue->returned_sorted = false;
	queue->returned[queue->returned_count++] = r;
}

/* The first that came back, or NULL. */
static struct returned *
returned_first(struct queue *queue)
{
	if (queue->returned_first == queue->returned_count) {
		queue->returned_first = queue->returned_count = 0;
		return NULL;
	}
	if (!queue->returned_sorted)
		qsort(queue->returned + queue->returned_first, queue->returned_count - queue->returned_first,
		      sizeof(*queue->returned), returned_compare);
	queue->returned_sorted = true;
	return &queue->returned[queue->returned_first];
}

uint64_t
queue_pending(const struct queue *queue)
{
	return queue->fresh.tail - queue->fresh.head + queue->returned_count - queue->returned_first;
}

struct entry *
queue_peek(struct queue *queue, uint64_t now_ms)
{
	struct returned *r = returned_first(queue);

	if (r != NULL && r->due_ms <= now_ms)
		return &r->entry;
	return queue->fresh.head != queue->fresh.tail ? ring_at(&queue->fresh, queue->fresh.head) : NULL;
}

void
queue_shift(struct queue *queue, uint64_t now_ms)
{
	const struct returned *r = returned_first(queue);

	if (r != NULL && r->due_ms <= now_ms)
		queue->returned_first++;
	else
		queue->fresh.head++;
}

uint32_t
queue_due_in(struct queue *queue, uint64_t now_ms)
{
	const struct returned *r = returned_first(queue);

	if (r == NULL)
		return UINT32_MAX;
	if (r->due_ms <= now_ms)
		return 0;
	return r->due_ms - now_ms < UINT32_MAX ? (uint32_t)(r->due_ms - now_ms) : UINT32_MAX - 1;
}
