/*
 * A source hands over what publishers sent on its subject. Nothing is kept here: a message that the core has not
 * settled is its publisher's still, who is told so, and not how it went on.
 *
 * A handle is the number of a slot and how often that was used, so one that was settled already is found to be so.
 */
#include <stdlib.h>
#include <string.h>

#include "plugin.h"

#define BATCH 128u
#define WORK_MAX 1024u
#define NO_SLOT UINT32_MAX
#define ADOPTED_MIN (16u << 10) /* payloads that are not copied again */

struct slot {
	struct delivery *delivery; /* NULL: free */
	uint32_t uses;
	uint32_t next_free;
};

struct endpoint {
	const struct xf_host *host;
	struct transport *transport;
	struct source source;
	bool up, told, draining;
	bool replies; /* its route makes some */
	struct slot *slots;
	uint32_t slot_count, first_free; /* NO_SLOT: none is */
};

/* ---- What it is --------------------------------------------------------------------------- */

static uint64_t
source_traits(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint)
{
	(void)host, (void)transport, (void)endpoint;
	return XF_TRAIT_HEADERS | XF_TRAIT_REPLIES;
}

static uint32_t
source_address(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint, char *out,
               uint32_t size)
{
	struct settings settings;
	struct xf_error error;

	(void)endpoint;
	if (settings_read(host, transport, &settings, &error) < 0 || settings.listen.len == 0)
		return 0;
	return settings_address_listen(&settings, out, size);
}

static int32_t
source_check(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
             const struct xf_endpoint_info *info, struct xf_error *error)
{
	struct settings settings;

	(void)endpoint, (void)info;
	if (settings_read(host, transport, &settings, error) < 0)
		return -1;
	return settings_check_source(&settings, error);
}

/* ---- Birth and death ------------------------------------------------------------------------ */

static int32_t
source_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared, const struct xf_config *transport,
              const struct xf_config *config, const struct xf_endpoint_info *info, void **instance,
              struct xf_error *error)
{
	struct transport *t = shared;
	struct endpoint *source;

	(void)transport, (void)config;
	if (settings_check_source(&t->settings, error) < 0)
		return -1;
	source = calloc(1, sizeof(*source));
	if (source == NULL)
		return settings_fail(error, "no memory");
	source->host = host;
	source->transport = t;
	source->first_free = NO_SLOT;
	source->source = (struct source){
		.exchange = &t->exchange, .endpoint = endpoint, .pattern = info->subject, .route_name = info->route};
	if (!exchange_add(&t->exchange, &source->source)) {
		free(source);
		return settings_fail(error, "no memory");
	}
	exchange_name(&t->exchange, info->server);
	source->replies = info->replies;
	if (source->replies)
		exchange_repliers(&t->exchange, 1);
	listener_enter(t->listener);
	*instance = source;
	return 0;
}

static void
source_start(void *instance)
{
	(void)instance; /* work() does all */
}

static void
source_stop(void *instance)
{
	struct endpoint *source = instance;

	source_end(&source->source);
	for (uint32_t i = 0; i < source->slot_count; i++)
		if (source->slots[i].delivery != NULL)
			source_give_up(&source->source, &source->slots[i].delivery, 1);
	free(source->slots);
	source->slots = NULL;
	source->slot_count = 0;
	source->first_free = NO_SLOT;
}

static void
source_destroy(void *instance)
{
	struct endpoint *source = instance;

	source_end(&source->source); /* it may never have been started */
	if (source->replies)
		exchange_repliers(&source->transport->exchange, -1);
	listener_leave(source->transport->listener);
	exchange_remove(&source->transport->exchange, &source->source);
	free(source);
}

/* ---- Slots -------------------------------------------------------------------------------------- */

/* Makes sure of COUNT free ones; returns how many there are. */
static uint32_t
slots_reserve(struct endpoint *source, uint32_t count)
{
	uint32_t found = 0, size;
	struct slot *grown;

	for (uint32_t i = source->first_free; i != NO_SLOT && found < count; i = source->slots[i].next_free)
		found++;
	if (found == count)
		return count;
	size = source->slot_count > 0 ? source->slot_count * 2 : BATCH;
	grown = realloc(source->slots, size * sizeof(*grown));
	if (grown == NULL)
		return found;
	for (uint32_t i = source->slot_count; i < size; i++)
		grown[i] = (struct slot){.next_free = i + 1 < size ? i + 1 : source->first_free};
	source->first_free = source->slot_count;
	source->slots = grown;
	source->slot_count = size;
	return count;
}

static uint64_t
slot_fill(struct endpoint *source, struct delivery *delivery)
{
	uint32_t index = source->first_free;
	struct slot *slot = &source->slots[index];

	source->first_free = slot->next_free;
	slot->delivery = delivery;
	slot->uses++;
	return (uint64_t)slot->uses << 32 | index;
}

/* NULL: it was emptied already, or never filled. */
static struct delivery *
slot_look(const struct endpoint *source, uint64_t handle)
{
	uint32_t index = (uint32_t)handle;

	if (index >= source->slot_count || source->slots[index].uses != handle >> 32)
		return NULL;
	return source->slots[index].delivery;
}

static struct delivery *
slot_empty(struct endpoint *source, uint64_t handle)
{
	uint32_t index = (uint32_t)handle;
	struct delivery *delivery = slot_look(source, handle);

	if (delivery == NULL)
		return NULL;
	source->slots[index].delivery = NULL;
	source->slots[index].next_free = source->first_free;
	source->first_free = index;
	return delivery;
}

/* ---- The loop ------------------------------------------------------------------------------------- */

static void
payload_release(void *context)
{
	struct call *call = context;

	call_drop(&call);
}

static void
incoming_fill(struct endpoint *source, struct delivery *delivery, struct xf_incoming *in)
{
	struct item *item = delivery->item;

	*in = (struct xf_incoming){
		.handle = slot_fill(source, delivery),
		.subject = item->subject,
		.id = item->id,
		.key = item->key,
		.reply = item->reply,
		.content_type = item->content_type,
		.payload = item->payload.data,
		.payload_size = item->payload.len,
		.headers = item->headers,
		.header_count = item->header_count,
		.flags = (delivery->attempt > 1 ? XF_MESSAGE_REDELIVERED : 0) | (item->call->kind == CALL_REQUEST ? 0 : XF_MESSAGE_TELL),
		.time_ms = item->time_ms,
		.attempt = delivery->attempt,
	};
	if (item->payload.len >= ADOPTED_MIN) {
		atomic_fetch_add(&item->call->refs, 1);
		in->release = payload_release;
		in->release_context = item->call;
	}
}

static void
incoming_undo(struct endpoint *source, struct xf_incoming *in)
{
	slot_empty(source, in->handle);
	if (in->release != NULL)
		in->release(in->release_context);
}

/* Emits up to COUNT; returns how many. */
static uint32_t
batch_emit(struct endpoint *source, uint32_t count, uint64_t *bytes, uint32_t *due_in_ms)
{
	struct delivery *deliveries[BATCH];
	struct xf_incoming in[BATCH];
	uint32_t n, emitted;

	count = slots_reserve(source, count < BATCH ? count : BATCH);
	n = source_take(&source->source, deliveries, count, *bytes, due_in_ms);
	for (uint32_t i = 0; i < n; i++) {
		incoming_fill(source, deliveries[i], &in[i]);
		*bytes -= in[i].payload_size < *bytes ? in[i].payload_size : *bytes;
	}
	if (n == 0)
		return 0;
	emitted = source->host->emit(source->source.endpoint, in, sizeof(in[0]), n);
	for (uint32_t i = emitted; i < n; i++)
		incoming_undo(source, &in[i]);
	if (emitted < n)
		source_untake(&source->source, deliveries + emitted, n - emitted);
	return emitted;
}

/* False: nobody listens yet. */
static bool
source_follow(struct endpoint *source, struct xf_work *work)
{
	struct xf_endpoint *endpoint = source->source.endpoint;
	struct xf_error error;
	uint32_t retry_ms;

	if (!source->up && !listener_ensure(source->transport->listener, &error, &retry_ms)) {
		if (!source->told)
			source->host->state(endpoint, XF_STATE_DOWN, error.text);
		source->told = true;
		work->timeout_ms = retry_ms < work->timeout_ms ? retry_ms : work->timeout_ms;
		return false;
	}
	if (!source->up) {
		source->up = true;
		source_begin(&source->source);
		source->host->state(endpoint, XF_STATE_UP, NULL);
	}
	if (work->draining && !source->draining) {
		source->draining = true;
		source_end(&source->source);
	}
	return true;
}

static void
source_work(void *instance, struct xf_work *work)
{
	struct endpoint *source = instance;
	uint32_t credit = work->credit_messages, done = 0, due_in_ms = 0;
	uint64_t bytes = work->credit_bytes;

	if (!source_follow(source, work))
		return;
	while (credit > 0 && done < WORK_MAX && (done == 0 || bytes > 0)) {
		uint32_t n = batch_emit(source, credit, &bytes, &due_in_ms);

		if (n == 0) {
			if (due_in_ms > 0 && due_in_ms < work->timeout_ms)
				work->timeout_ms = due_in_ms;
			return;
		}
		credit -= n;
		done += n;
	}
	if (credit > 0 && bytes > 0)
		work->timeout_ms = 0;
}

static void
source_settles(void *instance, const struct xf_settlement *settlements, uint32_t count)
{
	struct endpoint *source = instance;
	struct verdict verdicts[BATCH];
	uint32_t n = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct xf_settlement *s = &settlements[i];
		struct delivery *delivery = s->outcome != XF_SETTLE_EXTEND ? slot_empty(source, s->handle) : NULL;

		if (delivery != NULL)
			verdicts[n++] = (struct verdict){delivery, s->outcome, s->delay_ms};
		if (n == BATCH || (n > 0 && i + 1 == count)) {
			source_settle(&source->source, verdicts, n);
			n = 0;
		}
	}
}

static void
source_replies(void *instance, const struct xf_reply *replies, uint32_t stride, uint32_t count)
{
	struct endpoint *source = instance;

	for (uint32_t i = 0; i < count; i++) {
		const struct xf_reply *reply = (const void *)((const char *)replies + (size_t)i * stride);
		const struct delivery *delivery = slot_look(source, reply->handle);

		if (delivery != NULL)
			exchange_reply_to(&source->transport->exchange, delivery, reply);
	}
}

const struct xf_source_ops http_source = {
	.struct_size = sizeof(http_source),
	.traits = source_traits,
	.address = source_address,
	.check = source_check,
	.create = source_create,
	.start = source_start,
	.work = source_work,
	.settle = source_settles,
	.stop = source_stop,
	.destroy = source_destroy,
	.reply = source_replies,
};
