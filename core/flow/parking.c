#include "flow/parking.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

void
xf_parking_init(struct xf_parking *parking, const struct xf_conf_endpoint *source, struct xf_backlog *backlog)
{
	*parking = (struct xf_parking){.source = source, .backlog = backlog};
	parking->end = &parking->first;
	if (source->migration != NULL)
		parking->seed = XXH3_64bits(source->migration->name, strlen(source->migration->name));
}

void
xf_parking_fini(struct xf_parking *parking)
{
	xf_buffer_fini(&parking->scratch);
}

/* Where the migration that is read has MESSAGE: by the key that it was published with. */
static uint16_t
bucket_of(struct xf_parking *parking, const struct xf_incoming *message)
{
	const struct xf_fields fields = {
		.subject = message->subject,
		.id = message->id,
		.key = message->key,
		.payload = {message->payload, message->payload_size},
		.headers = message->headers,
		.header_count = message->header_count,
	};
	struct xf_str key = {NULL, 0};
	struct xf_error error;

	for (uint32_t i = 0; i < message->header_count; i++)
		if (xf_str_equal_nocase(message->headers[i].name, xf_str("Crossfade-Key")))
			key = message->headers[i].value;
	if (key.len == 0 &&
	    xf_template_eval(parking->source->migration->key, &fields, &parking->scratch, &key, &error) != XF_OK)
		key.len = 0;
	return (uint16_t)(XXH3_64bits_withSeed(key.data, key.len, parking->seed) % XF_BUCKETS);
}

bool
xf_parking_waits(struct xf_parking *parking, const struct xf_incoming *message, uint16_t *bucket)
{
	if (!parking->view.any)
		return false;
	*bucket = bucket_of(parking, message);
	return xf_backlog_waits(&parking->view, *bucket);
}

void
xf_parking_add(struct xf_parking *parking, struct xf_delivery *delivery, uint16_t bucket)
{
	struct xf_parked *parked = xf_alloc(sizeof(*parked));

	*parked = (struct xf_parked){.delivery = delivery, .bucket = bucket};
	*parking->end = parked;
	parking->end = &parked->next;
	parking->count++;
}

/* Takes out the one that *AT points to, which stays its place. */
static void
parked_remove(struct xf_parking *parking, struct xf_parked **at)
{
	struct xf_parked *parked = *at;

	*at = parked->next;
	if (*at == NULL)
		parking->end = at;
	parking->count--;
	free(parked);
}

void
xf_parking_lag(struct xf_parking *parking, uint64_t lag)
{
	/* Those that wait here are not acked. The broker was asked when it had answered the time before, or later. */
	parking->at_end_ms = lag <= parking->count ? parking->told_ms : 0;
	parking->told_ms = xf_now_ms();
}

void
xf_parking_follow(struct xf_parking *parking, uint64_t open, uint64_t open_max, uint64_t now_ms, const char *name,
                  void (*go)(void *context, struct xf_delivery *delivery), void *context)
{
	bool full = parking->count > 0 && parking->count == open && parking->count >= open_max;
	unsigned side = parking->source->side;

	if (parking->backlog == NULL)
		return;
	if (parking->at_end_ms != 0 && open == parking->count) {
		xf_backlog_ended(parking->backlog, side, parking->at_end_ms);
		parking->at_end_ms = 0;
	}
	if (full != parking->full) {
		parking->full = full;
		if (xf_backlog_full(parking->backlog, side, full))
			xf_log(XF_LOG_WARN, name,
			       "both sides wait for each other since the share was turned back by force; they go on, and keys "
			       "that moved may be out of order");
	}
	if (!xf_backlog_look(parking->backlog, side, now_ms, &parking->view))
		return;
	for (struct xf_parked **at = &parking->first; *at != NULL;) {
		struct xf_delivery *delivery = (*at)->delivery;

		if (xf_backlog_waits(&parking->view, (*at)->bucket)) {
			at = &(*at)->next;
			continue;
		}
		parked_remove(parking, at);
		go(context, delivery);
	}
}

void
xf_parking_remake(struct xf_parking *parking,
                  struct xf_delivery *(*remake)(void *context, struct xf_delivery *delivery), void *context)
{
	for (struct xf_parked **at = &parking->first; *at != NULL;) {
		(*at)->delivery = remake(context, (*at)->delivery);
		if ((*at)->delivery != NULL)
			at = &(*at)->next;
		else
			parked_remove(parking, at);
	}
}
