#include "flow/redelivery.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "flow/accept.h"

void
xf_redelivery_init(struct xf_redelivery *redelivery, struct xf_letters *letters, const char *name)
{
	*redelivery = (struct xf_redelivery){.letters = letters, .name = name};
	pthread_mutex_init(&redelivery->lock, NULL);
}

void
xf_redelivery_fini(struct xf_redelivery *redelivery)
{
	if (redelivery->count > 0)
		xf_log(XF_LOG_WARN, redelivery->name, "%zu dead letters that were to go out again stay: ask for them again",
		       redelivery->count);
	pthread_mutex_destroy(&redelivery->lock);
	free(redelivery->wanted);
	free(redelivery->arrived);
}

static int
number_compare(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

void
xf_redelivery_add(struct xf_redelivery *redelivery, const uint64_t *numbers, size_t count)
{
	uint64_t *wanted;
	size_t kept = 0;

	pthread_mutex_lock(&redelivery->lock);
	/* They go in the order of their numbers, which is that in which they were given up. */
	wanted = xf_alloc_array(redelivery->count + count, sizeof(*wanted));
	for (size_t i = 0; i < redelivery->count; i++)
		wanted[i] = redelivery->wanted[redelivery->first + i];
	for (size_t i = 0; i < count; i++)
		wanted[redelivery->count + i] = numbers[i];
	count += redelivery->count;
	if (count > 0)
		qsort(wanted, count, sizeof(*wanted), number_compare);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || wanted[kept - 1] != wanted[i])
			wanted[kept++] = wanted[i];
	free(redelivery->wanted);
	redelivery->wanted = wanted;
	redelivery->first = 0;
	redelivery->count = kept;
	atomic_store(&redelivery->any, kept > 0);
	pthread_mutex_unlock(&redelivery->lock);
}

void
xf_redelivery_move(struct xf_redelivery *to, struct xf_redelivery *from)
{
	uint64_t *wanted;
	size_t first, count;

	pthread_mutex_lock(&from->lock);
	wanted = from->wanted;
	first = from->first;
	count = from->count;
	from->wanted = NULL;
	from->first = from->count = 0;
	atomic_store(&from->any, false);
	pthread_mutex_unlock(&from->lock);
	if (count > 0)
		xf_redelivery_add(to, wanted + first, count);
	free(wanted);
}

bool
xf_redelivery_next(struct xf_redelivery *redelivery, uint64_t *number)
{
	bool any;

	if (!atomic_load_explicit(&redelivery->any, memory_order_relaxed))
		return false;
	pthread_mutex_lock(&redelivery->lock);
	any = redelivery->count > 0;
	if (any) {
		*number = redelivery->wanted[redelivery->first++];
		redelivery->count--;
	}
	atomic_store(&redelivery->any, redelivery->count > 0);
	pthread_mutex_unlock(&redelivery->lock);
	return any;
}

/* What is read from the store, which may not be called meanwhile. */
struct reading {
	struct xf_way *way;
	struct xf_chain *chain;
	struct xf_redelivered made;
};

static void
letter_make(void *context, const struct xf_letter *letter)
{
	struct xf_incoming message = {
		.subject = letter->message.subject,
		.id = letter->message.id,
		.key = letter->message.key,
		.reply = letter->reply,
		.content_type = letter->content_type,
		.payload = letter->message.payload.data,
		.payload_size = letter->message.payload.len,
		.headers = letter->message.headers,
		.header_count = letter->message.header_count,
		.time_ms = letter->first_ms,
	};
	struct reading *reading = context;
	struct xf_redelivered *made = &reading->made;
	const char *wrong = xf_accept_check(&message, reading->way->setup.server);
	struct xf_fields fields;
	struct xf_error error;
	char id[28];

	/* What a sink refused has been through the handlers; where there is no sink now, they are all that there is. */
	if (wrong == NULL && xf_chain_any(reading->chain) &&
	    (letter->sink.len == 0 || reading->way->setup.route->to == XF_TO_REPLY)) {
		message.id = xf_maker_id(&reading->way->maker, &message, id);
		made->job = xf_chain_make(reading->chain, &message, true, reading->way->now_ms);
		made->job->letter = letter->number;
		return;
	}
	if (wrong == NULL) {
		made->delivery = xf_way_make(reading->way, &message, &fields, &error);
		wrong = made->delivery == NULL ? error.text : NULL;
	}
	if (wrong != NULL) {
		made->reason = xf_strdup(wrong);
		made->sink = xf_strndup(letter->sink.data, letter->sink.len);
	} else
		made->delivery->letter = letter->number;
}

struct xf_redelivered
xf_redelivery_make(struct xf_redelivery *redelivery, uint64_t number, struct xf_way *way, struct xf_chain *chain)
{
	struct reading reading = {.way = way, .chain = chain};
	struct xf_error error;

	if (xf_letters_get(redelivery->letters, number, letter_make, &reading, &error) != XF_OK)
		xf_log(XF_LOG_ERROR, redelivery->name, "dead letter %" PRIu64 " is not delivered: %s", number, error.text);
	return reading.made;
}

void
xf_redelivery_arrived(struct xf_redelivery *redelivery, uint64_t number)
{
	if (redelivery->arrived_count == redelivery->arrived_size) {
		size_t size = redelivery->arrived_size * 2 + 16;

		redelivery->arrived = xf_grow_array(redelivery->arrived, redelivery->arrived_size, size, sizeof(*redelivery->arrived));
		redelivery->arrived_size = size;
	}
	redelivery->arrived[redelivery->arrived_count++] = number;
}

void
xf_redelivery_flush(struct xf_redelivery *redelivery)
{
	struct xf_error error;

	if (redelivery->arrived_count == 0)
		return;
	if (xf_letters_remove_all(redelivery->letters, redelivery->arrived, redelivery->arrived_count, &error) != XF_OK)
		xf_log(XF_LOG_ERROR, redelivery->name, "dead letters that were delivered stay in their store: %s", error.text);
	redelivery->arrived_count = 0;
}
