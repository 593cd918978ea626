#include "flow/forward.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "flow/spooled.h"

#define LOOK_MS 1000
#define READ_LETTERS 64
#define REASON_MAX 1000
#define OWN_HEADERS 6

struct forward {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct xf_letters *letters;
	char *route;
	uint64_t after;    /* those up to this number were emitted */
	uint32_t out;      /* and so many of them are not settled */
	bool some_stay;    /* some came back, or could not be read: from the start, once nothing is out and it is time */
	uint64_t again_at;
	bool failed;       /* said so */
	uint64_t *done;    /* confirmed, and to be removed: nothing else is read before they are */
	uint32_t done_count, done_size;
	uint64_t remove_at;
	struct xf_spooled_headers headers;
};

static int32_t
forward_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared, const struct xf_config *transport,
               const struct xf_config *config, const struct xf_endpoint_info *info, void **instance, struct xf_error *error)
{
	const struct xf_forward_setup *setup = shared;
	struct forward *forward = xf_alloc(sizeof(*forward));

	(void)transport, (void)config, (void)info, (void)error;
	forward->host = host;
	forward->endpoint = endpoint;
	forward->letters = setup->letters;
	forward->route = xf_strdup(setup->route);
	*instance = forward;
	return 0;
}

static void
forward_start(void *instance)
{
	struct forward *forward = instance;

	forward->host->state(forward->endpoint, XF_STATE_UP, "");
}

/* ---- Reading -------------------------------------------------------------------------------------------- */

struct numbers {
	uint64_t list[READ_LETTERS];
	uint32_t count;
};

static void
number_note(void *context, const struct xf_letter *letter)
{
	struct numbers *numbers = context;

	numbers->list[numbers->count++] = letter->number;
}

/* What a header may say. */
static struct xf_str
value_of(struct xf_str text, char *out, size_t size)
{
	size_t len = text.len < size ? text.len : size;

	for (size_t i = 0; i < len; i++)
		out[i] = (unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f ? ' ' : text.data[i];
	return (struct xf_str){out, len};
}

/* The letter with what is known of it as a record of its own: the store may not be called while it is read. */
static void
letter_copy(void *context, const struct xf_letter *letter)
{
	const struct xf_fields *message = &letter->message;
	struct xf_header *headers = xf_alloc_array(message->header_count + OWN_HEADERS, sizeof(*headers));
	char reason[REASON_MAX], attempts[24], first[32], last[32];
	uint32_t n = 0;
	struct xf_spooled record;
	struct xf_buffer *out = context;

	snprintf(attempts, sizeof(attempts), "%" PRIu64, letter->attempts);
	xf_wall_format(letter->first_ms, first);
	xf_wall_format(letter->last_ms, last);
	for (; n < message->header_count; n++)
		headers[n] = message->headers[n];
	headers[n++] = (struct xf_header){xf_str("Crossfade-Dead-Route"), letter->route};
	if (letter->sink.len > 0)
		headers[n++] = (struct xf_header){xf_str("Crossfade-Dead-Sink"), letter->sink};
	headers[n++] = (struct xf_header){xf_str("Crossfade-Dead-Reason"), value_of(letter->reason, reason, sizeof(reason))};
	headers[n++] = (struct xf_header){xf_str("Crossfade-Dead-Attempts"), xf_str(attempts)};
	headers[n++] = (struct xf_header){xf_str("Crossfade-Dead-First"), xf_str(first)};
	headers[n++] = (struct xf_header){xf_str("Crossfade-Dead-Last"), xf_str(last)};
	record = (struct xf_spooled){
		.message = {
			.subject = message->subject,
			.id = message->id,
			.key = message->key,
			.reply = letter->reply,
			.content_type = letter->content_type,
			.payload = message->payload.data,
			.payload_size = message->payload.len,
			.headers = headers,
			.header_count = n,
			.time_ms = letter->first_ms,
		},
	};
	out->len = xf_spooled_size(&record);
	out->data = xf_alloc(out->len);
	xf_spooled_write(&record, out->data);
	free(headers);
}

/* *BYTES is how many it has, 0 where it is not there any more. */
static enum xf_status
letter_emit(struct forward *forward, uint64_t number, uint64_t *bytes, struct xf_error *error)
{
	struct xf_buffer copy = {0};
	struct xf_spooled record;
	enum xf_status status = xf_letters_get(forward->letters, number, letter_copy, &copy, error);

	*bytes = copy.len;
	if (status == XF_OK && copy.data != NULL)
		status = xf_spooled_read((struct xf_str){copy.data, copy.len}, &forward->headers, &record, error);
	if (status == XF_OK && copy.data != NULL) {
		record.message.handle = number;
		forward->out++;
		forward->host->emit(forward->endpoint, &record.message, sizeof(record.message), 1);
	}
	free(copy.data);
	return status;
}

/* Those that were not delivered come again, a while later. */
static void
again_set(struct forward *forward, uint32_t delay_ms)
{
	uint64_t at = forward->host->now_ms() + (delay_ms > LOOK_MS ? delay_ms : LOOK_MS);

	forward->some_stay = true;
	forward->again_at = at > forward->again_at ? at : forward->again_at;
}

static void
state_set(struct forward *forward, const struct xf_error *error)
{
	if (error != NULL && !forward->failed)
		forward->host->state(forward->endpoint, XF_STATE_DOWN, error->text);
	if (error == NULL && forward->failed)
		forward->host->state(forward->endpoint, XF_STATE_UP, "");
	forward->failed = error != NULL;
}

/* False: some that were confirmed are in the store still, and would be sent once more. */
static bool
done_remove(struct forward *forward)
{
	struct xf_error error;
	uint64_t now = forward->host->now_ms();

	if (forward->done_count == 0)
		return true;
	if (now < forward->remove_at)
		return false;
	if (xf_letters_remove_all(forward->letters, forward->done, forward->done_count, &error) != XF_OK) {
		state_set(forward, &error);
		forward->remove_at = now + LOOK_MS;
		return false;
	}
	forward->done_count = 0;
	return true;
}

static void
forward_work(void *instance, struct xf_work *work)
{
	struct forward *forward = instance;
	struct numbers numbers = {.count = 0};
	struct xf_error error;
	uint32_t limit = work->credit_messages < READ_LETTERS ? work->credit_messages : READ_LETTERS;
	uint64_t bytes, left = work->credit_bytes;

	work->timeout_ms = LOOK_MS;
	if (!done_remove(forward) || work->draining || limit == 0)
		return;
	if (forward->some_stay && forward->out == 0 && forward->host->now_ms() >= forward->again_at) {
		forward->after = 0;
		forward->some_stay = false;
	}
	if (xf_letters_list(forward->letters, forward->route, forward->after, limit, number_note, &numbers, &error) != XF_OK) {
		state_set(forward, &error);
		return;
	}
	for (uint32_t i = 0; i < numbers.count && left > 0; i++) {
		if (letter_emit(forward, numbers.list[i], &bytes, &error) != XF_OK) {
			state_set(forward, &error);
			again_set(forward, 0);
			return;
		}
		forward->after = numbers.list[i];
		left -= bytes < left ? bytes : left;
	}
	state_set(forward, NULL);
	if (numbers.count == limit)
		work->timeout_ms = 0;
}

/* One that is refused there is a dead letter of the route that brought it. */
static void
forward_settle(void *instance, const struct xf_settlement *settlements, uint32_t count)
{
	struct forward *forward = instance;

	if (forward->done_count + count > forward->done_size) {
		uint32_t size = (forward->done_count + count) * 2;

		forward->done = xf_grow_array(forward->done, forward->done_size, size, sizeof(*forward->done));
		forward->done_size = size;
	}
	for (uint32_t i = 0; i < count; i++) {
		if (settlements[i].outcome == XF_SETTLE_EXTEND)
			continue;
		forward->out--;
		if (settlements[i].outcome == XF_SETTLE_RETRY)
			again_set(forward, settlements[i].delay_ms);
		else
			forward->done[forward->done_count++] = settlements[i].handle;
	}
	done_remove(forward);
}

static void
forward_stop(void *instance)
{
	(void)instance;
}

static void
forward_destroy(void *instance)
{
	struct forward *forward = instance;

	xf_spooled_headers_fini(&forward->headers);
	free(forward->done);
	free(forward->route);
	free(forward);
}

static const struct xf_source_ops forward_ops = {
	.struct_size = sizeof(forward_ops),
	.create = forward_create,
	.start = forward_start,
	.work = forward_work,
	.settle = forward_settle,
	.stop = forward_stop,
	.destroy = forward_destroy,
};

const struct xf_transport_class xf_forward_class = {
	.head = {.struct_size = sizeof(xf_forward_class), .name = "dead letters"},
	.source = &forward_ops,
};
