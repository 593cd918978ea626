#include "flow/requests.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/str.h"
#include "flow/message.h"

#define NONE UINT32_MAX

/* A number is the generation of its slot and the slot's index. */
struct slot {
	struct xf_reply_box *box; /* NULL: closed */
	void *context;
	uint32_t generation;
	uint32_t next; /* the next closed one */
};

struct xf_requests {
	pthread_mutex_t lock; /* held for no longer than it takes to look */
	struct slot *slots;
	uint32_t size;
	uint32_t closed; /* the first; NONE: there is none */
};

struct xf_requests *
xf_requests_create(void)
{
	struct xf_requests *requests = xf_alloc(sizeof(*requests));

	pthread_mutex_init(&requests->lock, NULL);
	requests->closed = NONE;
	return requests;
}

void
xf_requests_destroy(struct xf_requests **pointer)
{
	struct xf_requests *requests = *pointer;

	if (requests == NULL)
		return;
	*pointer = NULL;
	pthread_mutex_destroy(&requests->lock);
	free(requests->slots);
	free(requests);
}

/* Generations begin anywhere, so that a reply to a number of an earlier run finds none of this, but by a chance of one in a billion. */
static void
slots_grow(struct xf_requests *requests)
{
	uint32_t size = requests->size * 2 + 64, first;

	if (getrandom(&first, sizeof(first), GRND_NONBLOCK) != (ssize_t)sizeof(first))
		first = (uint32_t)xf_now_ns();
	first |= 1; /* not 0: no number is */
	requests->slots = xf_grow_array(requests->slots, requests->size, size, sizeof(*requests->slots));
	for (uint32_t i = size; i > requests->size; i--) {
		requests->slots[i - 1] = (struct slot){.generation = first, .next = requests->closed};
		requests->closed = i - 1;
	}
	requests->size = size;
}

/* With the lock. NULL: not open. */
static struct slot *
slot_find(struct xf_requests *requests, uint64_t number)
{
	uint32_t index = (uint32_t)number;
	struct slot *slot = index < requests->size ? &requests->slots[index] : NULL;

	return slot != NULL && slot->box != NULL && slot->generation == (uint32_t)(number >> 32) ? slot : NULL;
}

uint64_t
xf_requests_open(struct xf_requests *requests, struct xf_reply_box *box, void *context)
{
	uint64_t number;
	struct slot *slot;

	pthread_mutex_lock(&requests->lock);
	if (requests->closed == NONE)
		slots_grow(requests);
	slot = &requests->slots[requests->closed];
	number = (uint64_t)slot->generation << 32 | requests->closed;
	requests->closed = slot->next;
	slot->box = box;
	slot->context = context;
	pthread_mutex_unlock(&requests->lock);
	return number;
}

void *
xf_requests_find(struct xf_requests *requests, uint64_t number)
{
	struct slot *slot;
	void *context;

	pthread_mutex_lock(&requests->lock);
	slot = slot_find(requests, number);
	context = slot != NULL ? slot->context : NULL;
	pthread_mutex_unlock(&requests->lock);
	return context;
}

void
xf_requests_close(struct xf_requests *requests, uint64_t number)
{
	struct slot *slot;

	pthread_mutex_lock(&requests->lock);
	slot = slot_find(requests, number);
	if (slot != NULL) {
		slot->box = NULL;
		slot->context = NULL;
		slot->generation += slot->generation == UINT32_MAX ? 2 : 1; /* not 0: no number is */
		slot->next = requests->closed;
		requests->closed = (uint32_t)number;
	}
	pthread_mutex_unlock(&requests->lock);
}

static bool
reply_put(struct xf_requests *requests, struct xf_request_reply *reply)
{
	struct slot *slot;

	/* The box is there as long as its number is open, which nobody changes meanwhile. */
	pthread_mutex_lock(&requests->lock);
	slot = slot_find(requests, reply->number);
	if (slot != NULL) {
		struct xf_inbox *bell = slot->box->bell;

		reply->next = atomic_load(&slot->box->first);
		while (!atomic_compare_exchange_weak(&slot->box->first, &reply->next, reply))
			continue;
		xf_inbox_ring(bell);
	}
	pthread_mutex_unlock(&requests->lock);
	return slot != NULL;
}

uint32_t
xf_requests_replied(struct xf_requests *requests, const struct xf_replied *replies, uint32_t stride, uint32_t count)
{
	uint32_t late = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct xf_request_reply *reply = xf_alloc(sizeof(*reply));
		struct xf_replied said = {.request = 0};

		memcpy(&said, (const char *)replies + (size_t)i * stride, stride < sizeof(said) ? stride : sizeof(said));
		reply->number = said.request;
		reply->status = said.status >= 400 && said.status <= 599 ? said.status : said.status != 0 ? 502 : 0;
		if (said.reason.len > 0)
			reply->reason = xf_strndup(said.reason.data, said.reason.len < 500 ? said.reason.len : 500);
		if (said.message != NULL && xf_requests_find(requests, said.request) != NULL) {
			struct xf_incoming message = {.handle = 0};

			/* Of an older plugin: what it does not know is zero. */
			memcpy(&message, said.message, said.message_size < sizeof(message) ? said.message_size : sizeof(message));
			reply->message = xf_message_copy(&message);
		}
		if (reply_put(requests, reply))
			continue;
		late++;
		xf_request_reply_free(reply);
	}
	return late;
}

struct xf_request_reply *
xf_reply_box_take(struct xf_reply_box *box)
{
	struct xf_request_reply *reply, *first = NULL, *next;

	if (atomic_load_explicit(&box->first, memory_order_relaxed) == NULL)
		return NULL;
	for (reply = atomic_exchange(&box->first, NULL); reply != NULL; reply = next) {
		next = reply->next;
		reply->next = first;
		first = reply;
	}
	return first;
}

void
xf_request_reply_free(struct xf_request_reply *reply)
{
	free(reply->reason);
	free(reply->message);
	free(reply);
}
