/*
 * The segment of a record is found by its address: segments are aligned to their size, and a record begins in
 * the first segment_size bytes even of a larger one.
 *
 * The bound counts segments, not messages, so it is about memory that is really used: one message
 * that is not settled keeps its whole segment. Segments are therefore small where the bound is.
 */
#include "store.h"

#include <stdlib.h>
#include <string.h>

#define SEGMENT_MIN 4096u
#define SEGMENT_MAX (64u << 10)
#define FREE_MAX 16 /* segments kept for the next sink */

void
store_init(struct store *store, uint64_t bytes_max)
{
	memset(store, 0, sizeof(*store));
	store->bytes_max = bytes_max;
	store->segment_size = SEGMENT_MIN;
	while (store->segment_size < SEGMENT_MAX && store->segment_size * 32 <= bytes_max)
		store->segment_size *= 2;
}

void
store_fini(struct store *store)
{
	while (store->free != NULL) {
		struct segment *next = store->free->next;

		free(store->free);
		store->free = next;
	}
	store->free_count = 0;
}

static void
segment_recycle(struct store *store, struct segment *segment)
{
	if (segment->size != store->segment_size || store->free_count == FREE_MAX) {
		free(segment);
		return;
	}
	segment->next = store->free;
	store->free = segment;
	store->free_count++;
}

struct segment *
store_open(struct store *store, uint64_t size)
{
	struct segment *segment = store->free;
	uint64_t whole = store->segment_size;

	if (size > store_largest(store)) {
		size += sizeof(*segment);
		whole = (size + store->segment_size - 1) & ~(store->segment_size - 1);
		segment = NULL;
	} else if (segment != NULL) {
		store->free = segment->next;
		store->free_count--;
	}
	if (segment == NULL)
		segment = aligned_alloc(store->segment_size, whole);
	if (segment == NULL)
		return NULL;
	*segment = (struct segment){
		.size = whole,
		.used = sizeof(*segment),
		.open = true,
		.single = whole > store->segment_size,
	};
	return segment;
}

void
store_seal(struct store *store, struct segment *segment)
{
	segment->open = false;
	if (segment->wanted == 0)
		segment_recycle(store, segment);
}

bool
store_has_room(const struct store *store, uint64_t size)
{
	return store->bytes + size <= store->bytes_max;
}

void
store_want(struct store *store, struct segment *segment, uint64_t count)
{
	if (segment->wanted == 0)
		store->bytes += segment->size;
	segment->wanted += count;
}

bool
store_unwant(struct store *store, struct segment *segment, uint64_t count)
{
	segment->wanted -= count;
	if (segment->wanted > 0)
		return false;
	store->bytes -= segment->size;
	if (!segment->open)
		segment_recycle(store, segment);
	return true;
}

static uint64_t
aligned(uint64_t size)
{
	return (size + 7) & ~(uint64_t)7;
}

uint64_t
record_size(const struct xf_outgoing *message)
{
	uint64_t size = sizeof(struct record) + message->header_count * sizeof(struct xf_header);

	size += message->subject.len + message->id.len + message->key.len + message->reply.len +
	        message->content_type.len + message->payload_size;
	for (uint32_t i = 0; i < message->header_count; i++)
		size += message->headers[i].name.len + message->headers[i].value.len;
	return aligned(size);
}

uint64_t
store_largest(const struct store *store)
{
	return store->segment_size - sizeof(struct segment);
}

/* Most texts are short, and a call of memcpy costs more than the copying: two overlapping words do it. */
static inline char *
put(char *at, const void *data, uint64_t len)
{
	const char *from = data;
	uint64_t a, b;
	uint32_t c, d;

	if (len > 16) {
		memcpy(at, from, len);
	} else if (len >= 8) {
		memcpy(&a, from, 8);
		memcpy(&b, from + len - 8, 8);
		memcpy(at, &a, 8);
		memcpy(at + len - 8, &b, 8);
	} else if (len >= 4) {
		memcpy(&c, from, 4);
		memcpy(&d, from + len - 4, 4);
		memcpy(at, &c, 4);
		memcpy(at + len - 4, &d, 4);
	} else if (len > 0) {
		at[0] = from[0];
		at[len / 2] = from[len / 2];
		at[len - 1] = from[len - 1];
	}
	return at + len;
}

struct record *
record_write(struct segment *segment, const struct xf_outgoing *message, uint64_t size)
{
	struct record *r = (struct record *)((char *)segment + segment->used);
	struct xf_header *headers = (struct xf_header *)(r + 1);
	char *at = (char *)(headers + message->header_count);

	if (size > segment->size - segment->used)
		return NULL;
	segment->used = segment->single ? segment->size : segment->used + size;
	r->time_ms = message->time_ms;
	r->expires_ms = r->dies_ms = 0;
	r->places = r->placed = 0;
	r->subject_len = (uint32_t)message->subject.len;
	r->id_len = (uint32_t)message->id.len;
	r->key_len = (uint32_t)message->key.len;
	r->reply_len = (uint32_t)message->reply.len;
	r->type_len = (uint32_t)message->content_type.len;
	r->header_count = message->header_count;
	r->payload_size = (uint32_t)message->payload_size;
	r->priority = message->priority;
	at = put(at, message->subject.data, message->subject.len);
	at = put(at, message->id.data, message->id.len);
	at = put(at, message->key.data, message->key.len);
	at = put(at, message->reply.data, message->reply.len);
	at = put(at, message->content_type.data, message->content_type.len);
	for (uint32_t i = 0; i < message->header_count; i++) {
		headers[i].name = (struct xf_str){at, message->headers[i].name.len};
		at = put(at, message->headers[i].name.data, message->headers[i].name.len);
		headers[i].value = (struct xf_str){at, message->headers[i].value.len};
		at = put(at, message->headers[i].value.data, message->headers[i].value.len);
	}
	put(at, message->payload, message->payload_size);
	return r;
}

void
record_unwrite(struct segment *segment, struct record *record)
{
	segment->used = (uint64_t)((char *)record - (char *)segment);
}

const char *
record_subject(const struct record *record)
{
	return (const char *)((const struct xf_header *)(record + 1) + record->header_count);
}

static inline struct xf_str
take(const char **at, uint32_t len)
{
	struct xf_str text = {*at, len};

	*at += len;
	return text;
}

void
record_read(const struct record *record, struct xf_incoming *incoming)
{
	const struct xf_header *headers = (const struct xf_header *)(record + 1);
	const char *at = record_subject(record);

	incoming->subject = take(&at, record->subject_len);
	incoming->id = take(&at, record->id_len);
	incoming->key = take(&at, record->key_len);
	incoming->reply = take(&at, record->reply_len);
	incoming->content_type = take(&at, record->type_len);
	if (record->header_count > 0) {
		const struct xf_header *last = &headers[record->header_count - 1];

		at = last->value.data + last->value.len;
	}
	incoming->payload = at;
	incoming->payload_size = record->payload_size;
	incoming->headers = headers;
	incoming->header_count = record->header_count;
	incoming->time_ms = record->time_ms;
	incoming->priority = record->priority;
	incoming->release = NULL;
	incoming->release_context = NULL;
}
