/*
 * source.c - consumes a queue: prefetch, manual acknowledgement.
 *
 * A delivery is parsed where it was read and handed in from there; only one that comes in several
 * frames, or with a frame of another channel in between, is put together in memory of its own, which
 * the core then adopts. Without credit, parsing stops in front of a delivery and the bytes stay where
 * they are: in the read buffer, then in the socket, then with the broker. So memory is bounded by one
 * buffer and one message, whatever the prefetch.
 *
 * Every delivery that is unacknowledged has a slot. Slots in use form a list in order of delivery tag.
 * What is settled at the head of the list goes with one basic.ack `multiple`; what is settled behind
 * a message that takes longer is acknowledged one by one, once it has waited a while or holds much of
 * the prefetch. There are as many slots as prefetch, and the broker never has more out. A handle is a
 * slot with a number that changes with each use; a settlement for a channel that is gone finds its
 * slot empty and is ignored. While others are still out, acks gather for a millisecond: each one sent
 * costs a system call here and a wake-up there.
 *
 * RETRY waits here for its delay, then the message is put back into the queue. REJECT is acknowledged:
 * the core keeps such messages itself. EXTEND is nothing: the broker waits (for its consumer_timeout).
 *
 * Threads: all calls on the endpoint's thread.
 */
#include "endpoints.h"
#include "wire.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 256
#define HEADERS_PER_MESSAGE 1024 /* far above what the core lets through; what is more is cut off */
#define HEADER_POOL (8 * HEADERS_PER_MESSAGE)
#define TEXT_POOL (4 * HEADERS_PER_MESSAGE * CODEC_VALUE_TEXT_MAX)
#define PREFETCH_DEFAULT_MAX 4096
#define BODY_MAX ((uint64_t)512 << 20) /* RabbitMQ's own limit */
#define READS_PER_WORK 4
#define GAP_ACK_MS 200   /* settled messages behind an unsettled one wait so long for it */
#define RETRY_MIN_MS 250 /* until a queue that is missing is looked for again */
#define RETRY_MAX_MS 10000
#define NIL UINT32_MAX

enum slot_state {
	SLOT_FREE,
	SLOT_OUT,     /* emitted, not settled */
	SLOT_SETTLED, /* to be acknowledged */
	SLOT_HELD,    /* to be put back at due_ms */
};

struct slot {
	uint64_t handle;
	uint64_t tag;
	uint64_t due_ms;
	uint32_t next, prev; /* next also links the free ones */
	enum slot_state state;
};

enum phase {
	PHASE_AWAY,    /* not connected */
	PHASE_SETUP,   /* everything up to basic.consume was sent */
	PHASE_READY,   /* consuming */
	PHASE_CLOSING, /* channel.close was sent; nothing before its answer counts */
	PHASE_WAITING, /* channel closed; set up again at retry_at_ms */
};

/* A delivery that is put together from several frames. */
struct assembly {
	bool active;    /* deliver was seen */
	bool complete;  /* waits to be emitted */
	uint8_t *deliver; /* copies of the two frames' payloads, in one allocation */
	uint32_t deliver_size;
	uint8_t *header;
	uint32_t header_size;
	uint8_t *body;
	uint64_t body_size; /* as announced */
	uint64_t body_len;
	uint64_t body_room;
};

struct source {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct settings settings;
	struct wire wire;

	char *queue;
	char *exchange;
	char *exchange_type;
	char *binding; /* the subject pattern as AMQP's topic exchange writes it */
	char *tag;     /* the consumer's */
	bool declare;
	uint32_t prefetch;

	enum phase phase;
	bool channel_open;
	bool skip_exchange; /* exists, but is not what we would declare; or declaring is not allowed */
	bool skip_queue;
	uint64_t phase_until_ms; /* SETUP, CLOSING: an answer is due */
	uint64_t retry_at_ms;
	uint32_t retry_ms;

	struct slot *slots;
	uint32_t free;
	uint32_t head, tail;
	uint32_t used;    /* in the list */
	uint32_t settled; /* SLOT_SETTLED in the list */
	uint32_t held;
	uint64_t due_ms;    /* of the next held one, about */
	uint64_t gap_since_ms;
	uint64_t acked_ms; /* when acks were last written */
	uint64_t look_ms;  /* when work() will be called at the latest, by what the last one asked for */
	uint32_t generation;

	/* What this work() call gathers. */
	struct xf_incoming batch[BATCH];
	size_t batch_at[BATCH]; /* where in the input each begins, to go back to */
	uint32_t batch_count;
	struct xf_header *headers;
	uint32_t header_count;
	char *text;
	size_t text_len;
	uint32_t credit;
	uint64_t credit_bytes;
	bool first;   /* nothing emitted yet in this call: one message may exceed the bytes */
	bool stalled; /* a delivery waits for credit */
	bool more;    /* the socket was not read empty */
	bool warned_headers;

	struct assembly assembly;
};

static struct xf_str
str(const char *text)
{
	return (struct xf_str){text, strlen(text)};
}

/* ---- Slots --------------------------------------------------------------------- */

static void
slots_clear(struct source *source)
{
	uint32_t i;

	for (i = 0; i < source->prefetch; i++) {
		source->slots[i].state = SLOT_FREE;
		source->slots[i].handle = 0;
		source->slots[i].next = i + 1 < source->prefetch ? i + 1 : NIL;
	}
	source->free = 0;
	source->head = source->tail = NIL;
	source->used = source->settled = source->held = 0;
	source->due_ms = UINT64_MAX;
	source->gap_since_ms = 0;
}

/* A slot for the delivery TAG at the end of the list; NIL where the broker exceeds its prefetch. */
static uint32_t
slot_take(struct source *source, uint64_t tag)
{
	uint32_t index = source->free;
	struct slot *slot;

	if (index == NIL)
		return NIL;
	slot = &source->slots[index];
	source->free = slot->next;
	if (++source->generation == 0)
		source->generation = 1;
	slot->handle = (uint64_t)source->generation << 32 | index;
	slot->tag = tag;
	slot->state = SLOT_OUT;
	slot->next = NIL;
	slot->prev = source->tail;
	if (source->tail != NIL)
		source->slots[source->tail].next = index;
	else
		source->head = index;
	source->tail = index;
	source->used++;
	return index;
}

static void
slot_free(struct source *source, uint32_t index)
{
	struct slot *slot = &source->slots[index];

	if (slot->state == SLOT_SETTLED)
		source->settled--;
	else if (slot->state == SLOT_HELD)
		source->held--;
	if (slot->prev != NIL)
		source->slots[slot->prev].next = slot->next;
	else
		source->head = slot->next;
	if (slot->next != NIL)
		source->slots[slot->next].prev = slot->prev;
	else
		source->tail = slot->prev;
	source->used--;
	slot->state = SLOT_FREE;
	slot->handle = 0;
	slot->next = source->free;
	source->free = index;
}

/* Puts back what has waited for its delay. */
static void
held_release(struct source *source, uint64_t now)
{
	uint32_t index, next;

	if (source->held == 0 || now < source->due_ms)
		return;
	source->due_ms = UINT64_MAX;
	for (index = source->head; index != NIL && source->held > 0; index = next) {
		struct slot *slot = &source->slots[index];

		next = slot->next;
		if (slot->state != SLOT_HELD)
			continue;
		if (slot->due_ms <= now) {
			codec_write_nack(&source->wire.out, WIRE_CHANNEL, slot->tag, true);
			slot_free(source, index);
		} else if (slot->due_ms < source->due_ms) {
			source->due_ms = slot->due_ms;
		}
	}
}

/* Whether acks may gather: they hold little of the prefetch, and others are still to come. */
static bool
acks_wait(const struct source *source, uint64_t now)
{
	return now == source->acked_ms && source->settled < source->prefetch / 8 &&
	       source->used > source->settled + source->held;
}

static void
acks_write(struct source *source, uint64_t now)
{
	uint64_t last = 0;
	uint32_t count = 0, index, next;

	if (source->settled == 0 || acks_wait(source, now))
		return;
	source->acked_ms = now;

	while (source->head != NIL && source->slots[source->head].state == SLOT_SETTLED) {
		last = source->slots[source->head].tag;
		count++;
		slot_free(source, source->head);
	}
	if (count > 0)
		codec_write_ack(&source->wire.out, WIRE_CHANNEL, last, count > 1);
	if (source->settled == 0) {
		source->gap_since_ms = 0;
		return;
	}

	if (source->gap_since_ms == 0)
		source->gap_since_ms = now;
	if (source->settled < source->prefetch / 2 && now - source->gap_since_ms < GAP_ACK_MS)
		return;
	for (index = source->head; index != NIL && source->settled > 0; index = next) {
		next = source->slots[index].next;
		if (source->slots[index].state != SLOT_SETTLED)
			continue;
		codec_write_ack(&source->wire.out, WIRE_CHANNEL, source->slots[index].tag, false);
		slot_free(source, index);
	}
	source->gap_since_ms = 0;
}

/* When acks_write() or held_release() have something to do. */
static uint64_t
acks_due(const struct source *source, uint64_t now)
{
	uint64_t due = source->due_ms;
	uint64_t ack = acks_wait(source, now) ? now + 1 : source->gap_since_ms + GAP_ACK_MS;

	return source->settled > 0 && ack < due ? ack : due;
}

/* Whether acks mean anything at the moment. */
static bool
source_consuming(const struct source *source)
{
	return source->phase == PHASE_READY && !source->wire.failed;
}

/* ---- Channel ------------------------------------------------------------------------ */

static void
assembly_clear(struct assembly *assembly)
{
	free(assembly->deliver);
	free(assembly->header);
	free(assembly->body);
	memset(assembly, 0, sizeof(*assembly));
}

/* Nothing that was delivered on the channel can be settled any more; the broker offers it again. */
static void
channel_forget(struct source *source)
{
	slots_clear(source);
	assembly_clear(&source->assembly);
	source->channel_open = false;
}

/* All in one go; the broker answers in order, or closes the channel at what it refuses. */
static void
channel_setup(struct source *source, uint64_t now)
{
	struct codec_buffer *out = &source->wire.out;
	struct xf_str queue = str(source->queue), exchange = str(source->exchange);

	codec_write_channel_open(out, WIRE_CHANNEL);
	codec_write_qos(out, WIRE_CHANNEL, (uint16_t)source->prefetch);
	if (source->declare && exchange.len > 0 && !source->skip_exchange)
		codec_write_exchange_declare(out, WIRE_CHANNEL, exchange, str(source->exchange_type), false);
	if (source->declare && !source->skip_queue)
		codec_write_queue_declare(out, WIRE_CHANNEL, queue);
	if (source->declare && exchange.len > 0)
		codec_write_queue_bind(out, WIRE_CHANNEL, queue, exchange, str(source->binding));
	codec_write_consume(out, WIRE_CHANNEL, queue, str(source->tag));
	source->phase = PHASE_SETUP;
	source->phase_until_ms = now + source->settings.confirm_timeout_ms;
}

static void
channel_retry_later(struct source *source)
{
	source->phase = PHASE_WAITING;
	source->retry_at_ms = source->host->now_ms() + wire_jitter(&source->wire, source->retry_ms);
	source->retry_ms = source->retry_ms * 2 < RETRY_MAX_MS ? source->retry_ms * 2 : RETRY_MAX_MS;
}

/* What the operator reads when the broker refuses something about the queue. */
static void
channel_refused(struct source *source, const struct codec_close *reason)
{
	struct wire *wire = &source->wire;

	if (reason->code == 404 && reason->method == CODEC_BASIC_CONSUME)
		wire_state(wire, XF_STATE_BLOCKED, "no queue '%s'; create it, or set declare: true", source->queue);
	else if (reason->code == 404)
		wire_state(wire, XF_STATE_BLOCKED, "%.*s; create it", SETTINGS_STR(reason->text));
	else if (reason->code == 403)
		wire_state(wire, XF_STATE_BLOCKED, "no permission for queue '%s': %.*s; grant it to user '%s'",
		           source->queue, SETTINGS_STR(reason->text), source->settings.user);
	else
		wire_state(wire, XF_STATE_BLOCKED, "queue '%s': %u %.*s", source->queue, reason->code,
		           SETTINGS_STR(reason->text));
}

static void
channel_closed(struct source *source, const struct codec_frame *frame)
{
	uint64_t now = source->host->now_ms();
	bool declined;
	struct codec_close reason;

	if (!codec_close_read(frame, &reason)) {
		wire_fail(&source->wire, "the broker sent a malformed channel.close");
		return;
	}
	codec_write_empty(&source->wire.out, WIRE_CHANNEL, CODEC_CHANNEL_CLOSE_OK);
	channel_forget(source);

	/* What exists in another form, or may not be declared by us, may still be good to consume from. */
	declined = reason.code == 406 || reason.code == 403 || reason.code == 405;
	if (declined && reason.method == CODEC_EXCHANGE_DECLARE && !source->skip_exchange) {
		source->skip_exchange = true;
		channel_setup(source, now);
		return;
	}
	if (declined && reason.method == CODEC_QUEUE_DECLARE && !source->skip_queue) {
		source->skip_queue = true;
		channel_setup(source, now);
		return;
	}
	channel_refused(source, &reason);
	channel_retry_later(source);
}

static void
consume_ok(struct source *source)
{
	source->phase = PHASE_READY;
	source->retry_ms = RETRY_MIN_MS;
	wire_state(&source->wire, XF_STATE_UP, "%s", "");
}

/* The queue is gone. Its channel goes too, so that everything about old deliveries is forgotten at once. */
static void
consumer_cancelled(struct source *source, uint64_t now)
{
	wire_state(&source->wire, XF_STATE_BLOCKED,
	           "queue '%s' was deleted or moved; create it, or set declare: true", source->queue);
	codec_write_close(&source->wire.out, WIRE_CHANNEL, CODEC_CHANNEL_CLOSE, 200, "cancelled");
	channel_forget(source);
	source->skip_queue = source->skip_exchange = false;
	source->phase = PHASE_CLOSING;
	source->phase_until_ms = now + source->settings.confirm_timeout_ms;
}

static void
channel_method(struct source *source, const struct codec_frame *frame)
{
	struct wire *wire = &source->wire;
	struct codec_cursor at = codec_arguments(frame);
	bool active;

	if (frame->method == CODEC_CHANNEL_CLOSE_OK && source->phase == PHASE_CLOSING) {
		channel_retry_later(source);
		return;
	}
	if (frame->method == CODEC_CHANNEL_CLOSE) {
		if (source->phase == PHASE_CLOSING) /* both at once: ours is answered too */
			codec_write_empty(&wire->out, WIRE_CHANNEL, CODEC_CHANNEL_CLOSE_OK);
		else
			channel_closed(source, frame);
		return;
	}
	if (source->phase == PHASE_CLOSING)
		return;

	switch (frame->method) {
	case CODEC_CHANNEL_OPEN_OK:
		source->channel_open = true;
		break;
	case CODEC_BASIC_QOS_OK:
	case CODEC_EXCHANGE_DECLARE_OK:
	case CODEC_QUEUE_DECLARE_OK:
	case CODEC_QUEUE_BIND_OK:
		break;
	case CODEC_BASIC_CONSUME_OK:
		if (source->phase == PHASE_SETUP)
			consume_ok(source);
		break;
	case CODEC_BASIC_CANCEL:
		consumer_cancelled(source, source->host->now_ms());
		break;
	case CODEC_CHANNEL_FLOW:
		active = (codec_u8(&at) & 1) != 0;
		codec_write_flow_ok(&wire->out, WIRE_CHANNEL, active);
		break;
	default:
		wire_fail(wire, "the broker sent an unexpected method %u.%u", frame->method >> 16,
		          frame->method & 0xFFFF);
	}
}

/* ---- Deliveries ------------------------------------------------------------------------ */

/* Hands in the batch. What the core does not take is parsed again later, from where it begins. */
static void
batch_flush(struct source *source)
{
	uint32_t count = source->batch_count, taken;

	source->batch_count = 0;
	source->header_count = 0;
	source->text_len = 0;
	if (count == 0)
		return;
	taken = source->host->emit(source->endpoint, source->batch, sizeof(source->batch[0]), count);
	if (taken >= count)
		return;
	source->wire.in_start = source->batch_at[taken];
	while (count-- > taken)
		slot_free(source, source->tail);
	source->stalled = true;
	source->credit = 0;
}

static void
header_add(struct source *source, struct xf_str name, struct xf_str value)
{
	if (source->header_count < HEADER_POOL)
		source->headers[source->header_count++] = (struct xf_header){name, value};
}

/* One value of the headers table, as text. */
static void
value_add(struct source *source, struct xf_str name, const struct codec_value *value)
{
	char *scratch = source->text + source->text_len;
	struct xf_str text = codec_value_text(value, scratch);

	if (text.data == NULL) {
		if (value->kind != CODEC_VOID && !source->warned_headers) {
			source->warned_headers = true;
			wire_log(&source->wire, XF_LOG_INFO, "header '%.*s' is binary or nested and is left out; this "
			         "is said once", SETTINGS_STR(name));
		}
		return;
	}
	if (text.data == scratch)
		source->text_len += text.len;
	header_add(source, name, text);
}

/* The headers table, where arrays of plain values are names that repeat. False if it is malformed. */
static bool
table_add(struct source *source, struct xf_str bytes, uint32_t *attempt)
{
	struct codec_cursor table = codec_cursor(bytes.data, bytes.len);
	uint32_t first = source->header_count;
	struct codec_value value;
	struct xf_str name;

	while (codec_field_next(&table, &name, &value)) {
		if (source->header_count - first >= HEADERS_PER_MESSAGE)
			return true;
		if (name.len == 16 && memcmp(name.data, "x-delivery-count", 16) == 0 && value.kind == CODEC_SIGNED) {
			/* A quorum queue's own count, not the publisher's. */
			if (value.number >= 0 && value.number < UINT32_MAX)
				*attempt = (uint32_t)value.number + 1;
		} else if (value.kind == CODEC_ARRAY) {
			struct codec_cursor array = codec_cursor(value.bytes.data, value.bytes.len);
			struct codec_value element;

			while (source->header_count - first < HEADERS_PER_MESSAGE &&
			       codec_value_next(&array, &element))
				value_add(source, name, &element);
			if (array.bad)
				return false;
		} else {
			value_add(source, name, &value);
		}
	}
	return !table.bad;
}

static void
property_add(struct source *source, const char *name, struct xf_str value)
{
	if (value.len > 0)
		header_add(source, str(name), value);
}

static uint64_t
expiration_ms(struct xf_str text)
{
	uint64_t value = 0;
	uint64_t i;

	if (text.len == 0)
		return 0;
	for (i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9' || value > UINT32_MAX)
			return 0;
		value = value * 10 + (uint64_t)(text.data[i] - '0');
	}
	return value > 0 ? value : 1; /* 0 means "at once" there and "never" here */
}

/* AMQP says seconds; publishers that write milliseconds are many. */
static int64_t
timestamp_ms(uint64_t timestamp)
{
	if (timestamp < 100000000000u)
		return (int64_t)timestamp * 1000;
	return timestamp <= INT64_MAX ? (int64_t)timestamp : 0;
}

/* Adds a whole delivery to the batch. False: the connection has failed. */
static bool
batch_add(struct source *source, const struct codec_deliver *deliver,
          const struct codec_properties *properties, const void *body, size_t at)
{
	struct xf_incoming *in = &source->batch[source->batch_count];
	uint32_t first = source->header_count;
	uint32_t slot = slot_take(source, deliver->tag);
	uint32_t attempt = deliver->redelivered ? 2 : 1;

	if (slot == NIL) {
		wire_fail(&source->wire, "the broker delivered more than the prefetch of %u", source->prefetch);
		return false;
	}
	property_add(source, CODEC_HEADER_CORRELATION_ID, properties->correlation_id);
	property_add(source, CODEC_HEADER_CONTENT_ENCODING, properties->content_encoding);
	property_add(source, CODEC_HEADER_TYPE, properties->type);
	property_add(source, CODEC_HEADER_APP_ID, properties->app_id);
	if (properties->table.len > 0 && !table_add(source, properties->table, &attempt)) {
		wire_fail(&source->wire, "the broker sent a malformed headers table");
		return false;
	}

	*in = (struct xf_incoming){
		.handle = source->slots[slot].handle,
		.subject = deliver->routing_key.len > 0 ? deliver->routing_key : str(source->queue),
		.id = properties->message_id,
		.reply = properties->reply_to,
		.content_type = properties->content_type,
		.payload = body,
		.payload_size = properties->body_size,
		.headers = source->headers + first,
		.header_count = source->header_count - first,
		.flags = deliver->redelivered ? XF_MESSAGE_REDELIVERED : 0,
		.time_ms = timestamp_ms(properties->timestamp),
		.ttl_ms = expiration_ms(properties->expiration),
		.attempt = attempt,
		.priority = properties->priority,
	};
	source->batch_at[source->batch_count++] = at;
	source->first = false;
	source->credit--;
	source->credit_bytes -= properties->body_size < source->credit_bytes ? properties->body_size :
	                                                                         source->credit_bytes;
	if (source->batch_count == BATCH || source->header_count > HEADER_POOL - 2 * HEADERS_PER_MESSAGE ||
	    source->text_len > TEXT_POOL - 2 * HEADERS_PER_MESSAGE * CODEC_VALUE_TEXT_MAX)
		batch_flush(source);
	return true;
}

/* Whether another message of SIZE payload bytes may be emitted in this call. */
static bool
credit_covers(const struct source *source, uint64_t size)
{
	return source->credit > 0 && (source->first || source->credit_bytes >= size);
}

enum taken {
	TAKEN,      /* consumed, or the connection failed */
	TAKE_LATER, /* not all of it has arrived, or there is no credit */
	TAKE_APART, /* does not lie in one piece: frame by frame */
};

/* A delivery whose three frames follow each other in the input, the rule for all but large ones. */
static enum taken
deliver_direct(struct source *source, const struct codec_frame *method)
{
	struct wire *wire = &source->wire;
	struct codec_frame header, body = {.payload = NULL};
	struct codec_properties properties;
	struct codec_deliver deliver;
	enum codec_status status;
	size_t total = method->total;
	size_t at;

	status = wire_peek(wire, total, &header);
	if (status == CODEC_BAD)
		return TAKEN;
	if (status == CODEC_MORE)
		return TAKE_LATER;
	if (header.type != CODEC_FRAME_HEADER || header.channel != WIRE_CHANNEL)
		return TAKE_APART;
	total += header.total;
	if (!codec_deliver_read(method, &deliver) ||
	    !codec_properties_read(header.payload, header.size, &properties)) {
		wire_fail(wire, "the broker sent a malformed delivery");
		return TAKEN;
	}
	if (properties.body_size > 0) {
		if (properties.body_size > wire->frame_max - CODEC_FRAME_OVERHEAD)
			return TAKE_APART;
		status = wire_peek(wire, total, &body);
		if (status == CODEC_BAD)
			return TAKEN;
		if (status == CODEC_MORE)
			return TAKE_LATER;
		if (body.type != CODEC_FRAME_BODY || body.channel != WIRE_CHANNEL || body.size != properties.body_size)
			return TAKE_APART;
		total += body.total;
	}
	if (!credit_covers(source, properties.body_size)) {
		source->stalled = true;
		return TAKE_LATER;
	}
	at = wire->in_start;
	wire_consume(wire, total); /* before adding: a flush that is not all taken goes back */
	batch_add(source, &deliver, &properties, body.payload, at);
	return TAKEN;
}

static uint8_t *
bytes_copy(const uint8_t *data, uint32_t size)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);

	if (copy != NULL && size > 0)
		memcpy(copy, data, size);
	return copy;
}

static void
assembly_begin(struct source *source, const struct codec_frame *method)
{
	struct assembly *assembly = &source->assembly;

	assembly->deliver = bytes_copy(method->payload, method->size);
	assembly->deliver_size = method->size;
	assembly->active = true;
	if (assembly->deliver == NULL)
		wire_fail(&source->wire, "out of memory");
}

static void
assembly_header(struct source *source, const struct codec_frame *frame)
{
	struct assembly *assembly = &source->assembly;
	struct codec_properties properties;

	if (assembly->header != NULL || !codec_properties_read(frame->payload, frame->size, &properties) ||
	    properties.body_size > BODY_MAX) {
		wire_fail(&source->wire, "the broker sent a malformed delivery");
		return;
	}
	assembly->header = bytes_copy(frame->payload, frame->size);
	assembly->header_size = frame->size;
	assembly->body_size = properties.body_size;
	assembly->complete = properties.body_size == 0;
	if (assembly->header == NULL)
		wire_fail(&source->wire, "out of memory");
}

/* Memory grows with what has really arrived, not with what was announced. */
static void
assembly_body(struct source *source, const struct codec_frame *frame)
{
	struct assembly *assembly = &source->assembly;

	if (assembly->header == NULL || frame->size > assembly->body_size - assembly->body_len) {
		wire_fail(&source->wire, "the broker sent a malformed delivery");
		return;
	}
	if (assembly->body_room - assembly->body_len < frame->size) {
		uint64_t room = 2 * (assembly->body_len + frame->size);
		uint8_t *body;

		if (room > assembly->body_size)
			room = assembly->body_size;
		body = realloc(assembly->body, room);
		if (body == NULL) {
			wire_fail(&source->wire, "out of memory");
			return;
		}
		assembly->body = body;
		assembly->body_room = room;
	}
	if (frame->size > 0)
		memcpy(assembly->body + assembly->body_len, frame->payload, frame->size);
	assembly->body_len += frame->size;
	assembly->complete = assembly->body_len == assembly->body_size;
}

/* Emits the delivery that was put together. The core adopts the body. False: no credit. */
static bool
assembly_emit(struct source *source)
{
	struct assembly *assembly = &source->assembly;
	struct codec_frame method = {.payload = assembly->deliver, .size = assembly->deliver_size};
	struct codec_properties properties;
	struct codec_deliver deliver;

	if (!credit_covers(source, assembly->body_size)) {
		source->stalled = true;
		return false;
	}
	batch_flush(source);
	if (source->credit == 0)
		return false;
	if (!codec_deliver_read(&method, &deliver) ||
	    !codec_properties_read(assembly->header, assembly->header_size, &properties)) {
		wire_fail(&source->wire, "the broker sent a malformed delivery");
		return false;
	}
	if (!batch_add(source, &deliver, &properties, assembly->body, source->wire.in_start))
		return false;
	if (assembly->body != NULL) {
		source->batch[0].release = free;
		source->batch[0].release_context = assembly->body;
	}
	batch_flush(source);
	if (source->stalled)
		return false;
	assembly->body = NULL; /* the core's */
	assembly_clear(assembly);
	return true;
}

static void
assembly_feed(struct source *source, const struct codec_frame *frame)
{
	if (frame->type == CODEC_FRAME_HEADER)
		assembly_header(source, frame);
	else if (frame->type == CODEC_FRAME_BODY)
		assembly_body(source, frame);
	else
		wire_fail(&source->wire, "the broker sent a method within a delivery");
}

/* Takes the next frame. False: there is nothing more to do with what has been read. */
static bool
frame_take(struct source *source)
{
	struct wire *wire = &source->wire;
	struct codec_frame frame;

	if (source->assembly.complete && !assembly_emit(source))
		return false;
	if (wire_peek(wire, 0, &frame) != CODEC_OK)
		return false;

	if (frame.channel == 0) {
		wire_consume(wire, frame.total);
		wire_control(wire, &frame);
	} else if (frame.channel != WIRE_CHANNEL) {
		wire_fail(wire, "the broker used channel %u, which is not open", frame.channel);
	} else if (source->phase == PHASE_CLOSING && frame.type != CODEC_FRAME_METHOD) {
		wire_consume(wire, frame.total);
	} else if (source->assembly.active) {
		wire_consume(wire, frame.total);
		if (frame.method == CODEC_CHANNEL_CLOSE)
			channel_method(source, &frame);
		else
			assembly_feed(source, &frame);
	} else if (frame.method == CODEC_BASIC_DELIVER && source->phase == PHASE_READY) {
		enum taken taken;

		if (source->credit == 0) {
			source->stalled = true;
			return false;
		}
		taken = deliver_direct(source, &frame);
		if (taken == TAKE_LATER)
			return false;
		if (taken == TAKE_APART) {
			/* Going back over frames that were put aside is not possible. */
			batch_flush(source);
			if (source->stalled)
				return false;
			wire_consume(wire, frame.total);
			assembly_begin(source, &frame);
		}
	} else if (frame.type == CODEC_FRAME_METHOD) {
		/* Whatever it does may invalidate slots: what was gathered goes first. */
		batch_flush(source);
		if (source->stalled)
			return false;
		wire_consume(wire, frame.total);
		channel_method(source, &frame);
	} else {
		wire_fail(wire, "the broker sent a part of a message without its beginning");
	}
	return !wire->failed && !source->stalled;
}

static void
input_read(struct source *source, struct xf_work *work)
{
	enum wire_news news = work->ready != 0 || source->more ? WIRE_SOME : WIRE_ALL;
	int reads = 0;
	bool again;

	/* What lies here from before comes first. */
	do {
		while (frame_take(source))
			;
		batch_flush(source);
		if (source->wire.failed)
			return;
		/* Control frames behind a delivery that waits for credit wait with it. */
		again = news == WIRE_SOME && !source->stalled && reads < READS_PER_WORK;
		if (again)
			news = wire_read(&source->wire);
		reads++;
	} while (again && news != WIRE_NOTHING);
	source->more = news == WIRE_SOME; /* stopped before the socket was empty */
	if (source->more && !source->stalled)
		work->timeout_ms = 0;
}

/* ---- The instance --------------------------------------------------------------------------- */

static uint64_t
source_traits(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint)
{
	(void)host;
	(void)transport;
	(void)endpoint;
	return XF_TRAIT_HEADERS | XF_TRAIT_TAKES;
}

static uint32_t
source_address(const struct xf_host *host, const struct xf_config *transport,
               const struct xf_config *endpoint, char *out, uint32_t size)
{
	struct xf_str exchange = host->option(endpoint, SOURCE_EXCHANGE)->str;
	struct xf_str queue = host->option(endpoint, SOURCE_QUEUE)->str;
	uint32_t len = settings_address(host, transport, exchange, out, size);

	/* On the default exchange the queue's name is what a publisher calls the subject. */
	if (len > 0 && exchange.len == 0 && queue.len > 0 && queue.len + 1 <= size - len) {
		out[len++] = '\n';
		memcpy(out + len, queue.data, queue.len);
		len += (uint32_t)queue.len;
	}
	return len;
}

static bool
subject_is_pattern(struct xf_str subject)
{
	uint64_t i;

	for (i = 0; i < subject.len; i++)
		if ((subject.data[i] == '*' || subject.data[i] == '>') && (i == 0 || subject.data[i - 1] == '.') &&
		    (i + 1 == subject.len || subject.data[i + 1] == '.'))
			return true;
	return subject.len == 0;
}

static int32_t
source_check(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
             const struct xf_endpoint_info *info, struct xf_error *error)
{
	const struct xf_value *queue = host->option(endpoint, SOURCE_QUEUE);
	const struct xf_value *exchange = host->option(endpoint, SOURCE_EXCHANGE);
	struct settings settings;

	if (!settings_read(host, transport, &settings, error))
		return -1;
	if (queue->count == 0 && subject_is_pattern(info->subject)) {
		settings_fail(error, "the subject '%.*s' is a pattern and cannot name a queue; say which with 'queue'",
		              SETTINGS_STR(info->subject));
		return -1;
	}
	if (queue->count > 0 && (queue->str.len == 0 || queue->str.len > CODEC_SHORT_MAX)) {
		settings_fail(error, "queue: a name has 1 to %u bytes", CODEC_SHORT_MAX);
		return -1;
	}
	if (queue->count == 0 && info->subject.len > CODEC_SHORT_MAX) {
		settings_fail(error, "the subject is longer than a queue's name may be (%u bytes)", CODEC_SHORT_MAX);
		return -1;
	}
	if (exchange->str.len > CODEC_SHORT_MAX || info->subject.len > CODEC_SHORT_MAX) {
		settings_fail(error, "exchange and subject may have %u bytes each", CODEC_SHORT_MAX);
		return -1;
	}
	if (exchange->str.len > 0 && host->option(endpoint, SOURCE_DECLARE)->i64 == 0) {
		settings_fail(error, "exchange: a source reads from a queue; an exchange to bind it to needs "
		                     "'declare: true'");
		return -1;
	}
	return 0;
}

/* `>` is `#` there; `*` is the same. */
static char *
binding_of(struct xf_str subject)
{
	char *binding = settings_copy(subject.len > 0 ? subject : (struct xf_str){"#", 1});
	size_t len = binding != NULL ? strlen(binding) : 0;

	if (len > 0 && binding[len - 1] == '>' && (len == 1 || binding[len - 2] == '.'))
		binding[len - 1] = '#';
	return binding;
}

static void
source_destroy(void *instance)
{
	struct source *source = instance;

	assembly_clear(&source->assembly);
	wire_fini(&source->wire);
	free(source->queue);
	free(source->exchange);
	free(source->exchange_type);
	free(source->binding);
	free(source->tag);
	free(source->slots);
	free(source->headers);
	free(source->text);
	free(source);
}

static uint32_t
prefetch_of(const struct xf_value *option, const struct xf_endpoint_info *info)
{
	if (option->count > 0)
		return (uint32_t)option->i64;
	if (info->max_in_flight > 0 && info->max_in_flight < PREFETCH_DEFAULT_MAX)
		return info->max_in_flight;
	return PREFETCH_DEFAULT_MAX;
}

static int32_t
source_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared,
              const struct xf_config *transport, const struct xf_config *config,
              const struct xf_endpoint_info *info, void **instance, struct xf_error *error)
{
	const struct xf_value *queue = host->option(config, SOURCE_QUEUE);
	struct source *source;
	bool wired;

	(void)shared;
	if (source_check(host, transport, config, info, error) != 0)
		return -1;
	source = calloc(1, sizeof(*source));
	if (source == NULL) {
		settings_fail(error, "out of memory");
		return -1;
	}
	source->host = host;
	source->endpoint = endpoint;
	settings_read(host, transport, &source->settings, error); /* passed its check above */
	wired = wire_init(&source->wire, host, endpoint, &source->settings, info);
	source->queue = settings_copy(queue->count > 0 ? queue->str : info->subject);
	source->exchange = settings_copy(host->option(config, SOURCE_EXCHANGE)->str);
	source->exchange_type = settings_copy(host->option(config, SOURCE_EXCHANGE_TYPE)->str);
	source->binding = binding_of(info->subject);
	if (asprintf(&source->tag, "crossfade %.*s", info->route.len > 200 ? 200 : (int)info->route.len,
	             info->route.len > 0 ? info->route.data : "") < 0)
		source->tag = NULL;
	source->declare = host->option(config, SOURCE_DECLARE)->i64 != 0;
	source->prefetch = prefetch_of(host->option(config, SOURCE_PREFETCH), info);
	source->retry_ms = RETRY_MIN_MS;
	source->slots = calloc(source->prefetch, sizeof(*source->slots));
	source->headers = calloc(HEADER_POOL, sizeof(*source->headers));
	source->text = malloc(TEXT_POOL);
	if (!wired || source->queue == NULL || source->exchange == NULL || source->exchange_type == NULL ||
	    source->binding == NULL || source->tag == NULL || source->slots == NULL || source->headers == NULL ||
	    source->text == NULL) {
		settings_fail(error, "out of memory");
		source_destroy(source);
		return -1;
	}
	slots_clear(source);
	*instance = source;
	return 0;
}

static void
source_start(void *instance)
{
	(void)instance; /* the first work() connects */
}

static void
timeout_lower(struct xf_work *work, uint64_t now, uint64_t at)
{
	uint64_t wait = at > now ? at - now : 0;

	if (wait < work->timeout_ms)
		work->timeout_ms = (uint32_t)wait;
}

static void
source_away(struct source *source)
{
	if (!wire_connected(&source->wire))
		return;
	channel_forget(source);
	source->phase = PHASE_AWAY;
	source->skip_queue = source->skip_exchange = false;
	wire_drop(&source->wire);
}

/* Timers of the channel; heartbeats; what is to be written. */
static void
source_tend(struct source *source, struct xf_work *work, uint64_t now)
{
	struct wire *wire = &source->wire;
	uint32_t tick;

	if (source->phase == PHASE_WAITING && now >= source->retry_at_ms)
		channel_setup(source, now);
	if ((source->phase == PHASE_SETUP || source->phase == PHASE_CLOSING) && now >= source->phase_until_ms)
		wire_fail(wire, "the broker has not answered for %u ms", source->settings.confirm_timeout_ms);
	if (source_consuming(source)) {
		held_release(source, now);
		acks_write(source, now);
		timeout_lower(work, now, acks_due(source, now));
	} else if (source->phase == PHASE_WAITING) {
		timeout_lower(work, now, source->retry_at_ms);
	}
	tick = wire_tick(wire, now, !source->stalled);
	if (tick < work->timeout_ms)
		work->timeout_ms = tick;
	wire_flush(wire);
}

static void
source_work(void *instance, struct xf_work *work)
{
	struct source *source = instance;
	struct wire *wire = &source->wire;
	uint64_t now;

	if (wire->failed)
		source_away(source);
	if (!wire_connected(wire)) {
		if (work->draining)
			return;
		if (!wire_connect(wire)) {
			timeout_lower(work, source->host->now_ms(), wire->connect_at_ms);
			return;
		}
		channel_setup(source, source->host->now_ms());
	}

	source->credit = work->draining ? 0 : work->credit_messages;
	source->credit_bytes = work->credit_bytes;
	source->first = true;
	/* What is not read cannot tell that it ended. */
	if (source->stalled && (work->ready & (POLLERR | POLLHUP)) != 0)
		wire_fail(wire, "the broker closed the connection");
	source->stalled = false;
	input_read(source, work);
	now = source->host->now_ms();
	if (!wire->failed)
		source_tend(source, work, now);
	if (wire->failed) {
		source_away(source);
		work->timeout_ms = 0;
		return;
	}

	source->look_ms = now + work->timeout_ms;
	work->fd = wire->fd;
	work->events = (source->stalled ? 0 : POLLIN) | (wire_pending(wire) > 0 ? POLLOUT : 0);
}

static void
source_settle(void *instance, const struct xf_settlement *settlements, uint32_t count)
{
	struct source *source = instance;
	uint64_t now = source->host->now_ms();
	uint32_t i;

	for (i = 0; i < count; i++) {
		uint32_t index = (uint32_t)settlements[i].handle;
		struct slot *slot;

		if (index >= source->prefetch)
			continue;
		slot = &source->slots[index];
		if (slot->handle != settlements[i].handle || slot->state != SLOT_OUT)
			continue; /* its channel is gone, or it was settled before */
		switch (settlements[i].outcome) {
		case XF_SETTLE_ACK:
		case XF_SETTLE_REJECT:
			slot->state = SLOT_SETTLED;
			source->settled++;
			break;
		case XF_SETTLE_RETRY:
			slot->state = SLOT_HELD;
			slot->due_ms = now + settlements[i].delay_ms;
			if (slot->due_ms < source->due_ms)
				source->due_ms = slot->due_ms;
			source->held++;
			break;
		default:
			break;
		}
	}
	if (!source_consuming(source))
		return;
	held_release(source, now);
	acks_write(source, now);
	wire_flush(&source->wire);
	/* The wait was chosen before this. */
	if (acks_due(source, now) < source->look_ms || wire_pending(&source->wire) > 0 || source->wire.failed)
		source->host->wake(source->endpoint);
}

/* Messages that are to be tried later go back now; everything else unsettled goes back with the channel. */
static void
source_stop(void *instance)
{
	struct source *source = instance;

	if (source_consuming(source)) {
		held_release(source, UINT64_MAX);
		source->gap_since_ms = 1;
		acks_write(source, UINT64_MAX);
	}
	wire_close(&source->wire);
	channel_forget(source);
	source->phase = PHASE_AWAY;
}

const struct xf_source_ops source_ops = {
	.struct_size = sizeof(struct xf_source_ops),
	.traits = source_traits,
	.address = source_address,
	.check = source_check,
	.create = source_create,
	.start = source_start,
	.work = source_work,
	.settle = source_settle,
	.stop = source_stop,
	.destroy = source_destroy,
};
