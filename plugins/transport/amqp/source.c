/*
 * source.c - consumes a queue: prefetch, manual acknowledgement.
 *
 * A delivery is parsed where it was read and handed in from there; only one that comes in several
 * frames, or with a frame of another channel in between, is put together in memory of its own, which
 * the core then adopts. Without credit, parsing stops in front of a delivery and the bytes stay where
 * they are: in the read buffer, until that is full, then in the socket, then with the broker. So memory is bounded by one
 * buffer and one message, whatever the prefetch.
 *
 * What is unacknowledged, and how acks go out, is in acks.h.
 *
 * Lag: the broker tells how many messages wait in the queue; those that were delivered and not acknowledged are known
 * here. Between the two a message can be on its way, in no count. So lag is 0 only when two looks in a row, with no
 * delivery between them, found nothing.
 *
 * Order: after a crash or a lost connection the broker may still have the old consumer, and what that holds goes back into
 * the queue, to its place, only with it. Whoever consumes before gets later messages first. So basic.consume waits while
 * somebody else consumes, since the broker does not tell whose a consumer is. After a line was lost on which this one consumed,
 * it waits until the broker must have noticed. At a start there was a process at most, whose connections its system has closed: it
 * waits until no more consumers are seen to go. Those that were there beside this one are others', and not waited for again:
 * who shares a queue has no order there.
 *
 * Threads: all calls on the endpoint's thread.
 */
#include "acks.h"
#include "assembly.h"
#include "endpoints.h"
#include "incoming.h"
#include "replies.h"
#include "sight.h"
#include "topology.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 256
#define PREFETCH_DEFAULT_MAX 4096
#define READS_PER_WORK 4
#define RETRY_MIN_MS 250 /* until a queue that is missing is looked for again */
#define RETRY_MAX_MS 10000
#define LOOK_AGAIN_MS 100 /* where a look found nothing, but not for certain */
#define SETTLED_MS 2000   /* no consumer has gone for so long: the connections of a process that ended are closed */
#define NOTICE_MAX_MS 60000
#define STOP_MS 1000 /* for the last replies */

enum phase {
	PHASE_AWAY,    /* not connected */
	PHASE_LOOKING, /* everything before basic.consume was sent; that waits for a consumer from before to go */
	PHASE_SETUP,   /* basic.consume was sent */
	PHASE_READY,   /* consuming */
	PHASE_CLOSING, /* channel.close was sent; nothing before its answer counts */
	PHASE_WAITING, /* channel closed; set up again at retry_at_ms */
};

struct source {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct wire wire;
	struct topology topology;
	struct sight sight;

	char queue[CODEC_SHORT_MAX + 1]; /* as the broker calls it */
	char *tag;                       /* the consumer's */

	enum phase phase;
	uint64_t phase_until_ms; /* LOOKING: it waits no longer; SETUP, CLOSING: an answer is due */
	uint64_t others;         /* consumers beside this one, at the last look while it consumed */
	bool stranded;           /* a line was lost on which it consumed, and it has not consumed since */
	uint64_t seen;           /* LOOKING: consumers, at the last look */
	uint64_t settled_ms;     /* LOOKING, not stranded: that is how many there are */
	uint64_t retry_at_ms;
	uint32_t retry_ms;

	struct acks acks;
	struct replies replies;
	uint64_t look_ms; /* when work() will be called at the latest, by what the last one asked for */
	uint64_t delivered;
	uint64_t empty_at;  /* `delivered` when a look found nothing; UINT64_MAX: it found something */
	bool lag_reported;  /* and it was not 0 */

	/* What this work() call gathers. */
	struct xf_incoming batch[BATCH];
	size_t batch_at[BATCH]; /* where in the input each begins, to go back to */
	uint32_t batch_count;
	struct incoming incoming;
	uint32_t credit;
	uint64_t credit_bytes;
	bool first;   /* nothing emitted yet in this call: one message may exceed the bytes */
	bool stalled; /* a delivery waits for credit */
	bool more;    /* the socket was not read empty */

	struct assembly assembly;
};

/* Whether acks mean anything at the moment. */
static bool
source_consuming(const struct source *source)
{
	return source->phase == PHASE_READY && !source->wire.failed;
}

/* ---- Channel ------------------------------------------------------------------------ */

/* Nothing that was delivered on the channel can be settled any more; the broker offers it again. */
static void
channel_forget(struct source *source)
{
	acks_clear(&source->acks);
	assembly_clear(&source->assembly);
}

static void
consume_send(struct source *source, uint64_t now)
{
	codec_write_consume(&source->wire.out, WIRE_CHANNEL, settings_str(source->topology.queue), settings_str(source->tag),
	                    false);
	source->phase = PHASE_SETUP;
	source->phase_until_ms = now + source->wire.settings.confirm_timeout_ms;
}

/* A line that is dead at this end only, or whose other end fell silent with its machine, is given up by RabbitMQ after three
 * heartbeats at most; of a process that was killed it hears at once. */
static uint64_t
notice_ms(const struct wire *wire)
{
	uint64_t wait = 3 * (uint64_t)(wire->heartbeat_ms > 0 ? wire->heartbeat_ms : wire->settings.heartbeat_ms);

	return wait < NOTICE_MAX_MS ? wait : NOTICE_MAX_MS;
}

/* When it consumes beside whoever is there. */
static uint64_t
looking_until(const struct source *source)
{
	return source->settled_ms < source->phase_until_ms ? source->settled_ms : source->phase_until_ms;
}

/* All in one go; the broker answers in order, or closes the channel at what it refuses. */
static void
channel_setup(struct source *source, uint64_t now)
{
	struct codec_buffer *out = &source->wire.out;

	codec_write_channel_open(out, WIRE_CHANNEL);
	codec_write_qos(out, WIRE_CHANNEL, (uint16_t)source->acks.size);
	topology_write(&source->topology, out, WIRE_CHANNEL);
	if (source->topology.queue[0] == '\0') { /* the broker names a new one */
		consume_send(source, now);
		return;
	}
	source->phase = PHASE_LOOKING;
	source->phase_until_ms = now + notice_ms(&source->wire);
	source->seen = source->settled_ms = UINT64_MAX;
	sight_hurry(&source->sight, now);
}

static void
channel_retry_later(struct source *source)
{
	source->phase = PHASE_WAITING;
	source->retry_at_ms = source->host->now_ms() + wire_jitter(&source->wire, source->retry_ms);
	source->retry_ms = source->retry_ms * 2 < RETRY_MAX_MS ? source->retry_ms * 2 : RETRY_MAX_MS;
}

static void
channel_closed(struct source *source, const struct codec_frame *frame)
{
	char words[WIRE_REASON_MAX];
	struct codec_close reason;

	if (!codec_close_read(frame, &reason)) {
		wire_fail(&source->wire, "the broker sent a malformed channel.close");
		return;
	}
	codec_write_empty(&source->wire.out, WIRE_CHANNEL, CODEC_CHANNEL_CLOSE_OK);
	channel_forget(source);
	if (topology_refused(&source->topology, &reason, source->wire.server->user, words, sizeof(words))) {
		channel_setup(source, source->host->now_ms());
		return;
	}
	wire_state(&source->wire, XF_STATE_BLOCKED, "%s", words);
	channel_retry_later(source);
}

/* The queue is there; the broker may have named it. */
static void
queue_named(struct source *source, const struct codec_frame *frame)
{
	struct codec_queue queue;

	if (!codec_queue_read(frame, &queue)) {
		wire_fail(&source->wire, "the broker sent a malformed queue.declare-ok");
		return;
	}
	memset(source->queue, 0, sizeof(source->queue));
	memcpy(source->queue, queue.name.data, queue.name.len);
	sight_only(&source->sight, queue.name);
}

static void
consume_ok(struct source *source)
{
	source->phase = PHASE_READY;
	source->stranded = false;
	source->retry_ms = RETRY_MIN_MS;
	source->empty_at = UINT64_MAX;
	sight_hurry(&source->sight, 0);
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
	topology_reset(&source->topology);
	source->phase = PHASE_CLOSING;
	source->phase_until_ms = now + source->wire.settings.confirm_timeout_ms;
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
	case CODEC_QUEUE_DECLARE_OK:
		queue_named(source, frame);
		break;
	case CODEC_CHANNEL_OPEN_OK:
	case CODEC_BASIC_QOS_OK:
	case CODEC_EXCHANGE_DECLARE_OK:
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
	incoming_clear(&source->incoming);
	if (count == 0)
		return;
	taken = source->host->emit(source->endpoint, source->batch, sizeof(source->batch[0]), count);
	if (taken >= count)
		return;
	source->wire.in_start = source->batch_at[taken];
	source->delivered -= count - taken;
	while (count-- > taken)
		acks_untake(&source->acks);
	source->stalled = true;
	source->credit = 0;
}

/* Adds a whole delivery to the batch. False: the connection has failed. */
static bool
batch_add(struct source *source, const struct codec_deliver *deliver,
          const struct codec_properties *properties, const void *body, size_t at)
{
	struct xf_incoming *in = &source->batch[source->batch_count];
	uint64_t handle = acks_take(&source->acks, deliver->tag);

	if (handle == 0) {
		wire_fail(&source->wire, "the broker delivered more than the prefetch of %u", source->acks.size);
		return false;
	}
	if (!incoming_read(&source->incoming, properties, true, deliver->redelivered ? 2 : 1, in))
		return false;
	in->handle = handle;
	in->subject = deliver->routing_key.len > 0 ? deliver->routing_key : settings_str(source->queue);
	in->payload = body;
	in->flags = deliver->redelivered ? XF_MESSAGE_REDELIVERED : 0;
	source->batch_at[source->batch_count++] = at;
	source->delivered++;
	source->first = false;
	source->credit--;
	source->credit_bytes -= properties->body_size < source->credit_bytes ? properties->body_size :
	                                                                         source->credit_bytes;
	if (source->batch_count == BATCH || incoming_full(&source->incoming))
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

/* Emits the delivery that was put together. The core adopts the body. False: no credit. */
static bool
assembly_emit(struct source *source)
{
	struct assembly *assembly = &source->assembly;
	struct codec_properties properties;
	struct codec_deliver deliver;

	if (!credit_covers(source, assembly->body_size)) {
		source->stalled = true;
		return false;
	}
	batch_flush(source);
	if (source->credit == 0)
		return false;
	if (!assembly_read(assembly, &source->wire, &deliver, &properties))
		return false;
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

/* A look at the queue is over before this one consumes. What is refused here, consuming will tell of. */
static void
others_judge(struct source *source)
{
	uint64_t now = source->host->now_ms();

	if (source->sight.found == 0 || source->sight.consumers <= source->others) {
		consume_send(source, now);
		return;
	}
	if (source->sight.consumers < source->seen && !source->stranded)
		source->settled_ms = now + SETTLED_MS;
	source->seen = source->sight.consumers;
	wire_state(&source->wire, XF_STATE_BLOCKED, "queue '%s' has another consumer, perhaps this one's own from before; waits "
	           "until that is gone, for up to %" PRIu64 " s", source->queue,
	           (source->stranded ? notice_ms(&source->wire) : SETTLED_MS) / 1000);
	sight_hurry(&source->sight, now + LOOK_AGAIN_MS);
}

/* A look at the queue is over, with so many deliveries read that wait for credit. */
static void
sight_report(struct source *source, uint32_t waiting)
{
	const struct sight *seen = &source->sight;
	uint64_t lag = seen->messages + source->acks.used + waiting;
	struct xf_sight sight = {
		.struct_size = sizeof(sight),
		.known = XF_SIGHT_DEPTH | XF_SIGHT_LAG | XF_SIGHT_CONSUMERS,
		.depth = lag,
		.lag = lag,
		.consumers = seen->consumers,
	};

	if (source->phase == PHASE_LOOKING) {
		others_judge(source);
		return;
	}
	if (seen->found == 0)
		return;
	if (source->phase == PHASE_READY)
		source->others = seen->consumers > 0 ? seen->consumers - 1 : 0;
	if (lag == 0 && source->empty_at != source->delivered) {
		source->empty_at = source->delivered;
		sight_hurry(&source->sight, source->host->now_ms() + LOOK_AGAIN_MS);
		return;
	}
	if (lag > 0)
		source->empty_at = UINT64_MAX;
	source->lag_reported = lag > 0;
	wire_sight(&source->wire, &sight);
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
	} else if (frame.channel == WIRE_CHANNEL_SIGHT) {
		batch_flush(source); /* what it does must not be done twice by going back over it */
		if (source->stalled)
			return false;
		wire_consume(wire, frame.total);
		if (sight_frame(&source->sight, &frame))
			sight_report(source, 0);
	} else if (frame.channel == WIRE_CHANNEL_REPLY && source->replies.open) {
		batch_flush(source); /* likewise */
		if (source->stalled)
			return false;
		wire_consume(wire, frame.total);
		replies_frame(&source->replies, &frame);
	} else if (frame.channel != WIRE_CHANNEL) {
		wire_fail(wire, "the broker used channel %u, which is not open", frame.channel);
	} else if (source->phase == PHASE_CLOSING && frame.type != CODEC_FRAME_METHOD) {
		wire_consume(wire, frame.total);
	} else if (source->assembly.active) {
		wire_consume(wire, frame.total);
		if (frame.method == CODEC_CHANNEL_CLOSE)
			channel_method(source, &frame);
		else
			assembly_feed(&source->assembly, wire, &frame);
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
			assembly_begin(&source->assembly, wire, &frame);
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

/* Held back in front of a delivery: what has been read behind it is looked through for answers about the queue, and for what
 * becomes of replies. */
static void
sight_ahead(struct source *source)
{
	uint32_t waiting = source->assembly.active ? 1 : 0;
	struct codec_frame frame;
	bool over = false;
	size_t behind;

	for (behind = 0; wire_peek(&source->wire, behind, &frame) == CODEC_OK; behind += frame.total) {
		if (frame.method == CODEC_BASIC_DELIVER)
			waiting++;
		if (frame.channel == WIRE_CHANNEL_SIGHT)
			over = sight_frame(&source->sight, &frame) || over;
		else if (frame.channel == WIRE_CHANNEL_REPLY && source->replies.open)
			replies_frame(&source->replies, &frame);
		else
			continue;
		wire_void(&source->wire, behind);
	}
	if (over)
		sight_report(source, waiting);
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
		again = news == WIRE_SOME && (!source->stalled || !wire_full(&source->wire)) && reads < READS_PER_WORK;
		if (again)
			news = wire_read(&source->wire);
		reads++;
	} while (again && news != WIRE_NOTHING);
	if (source->stalled)
		sight_ahead(source);
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
	return XF_TRAIT_HEADERS | XF_TRAIT_TAKES | XF_TRAIT_REPLIES;
}

static uint32_t
source_address(const struct xf_host *host, const struct xf_config *transport,
               const struct xf_config *endpoint, char *out, uint32_t size)
{
	struct xf_str exchange = host->option(endpoint, ENDPOINT_EXCHANGE)->str;
	struct xf_str queue = host->option(endpoint, ENDPOINT_QUEUE)->str;
	uint32_t len = settings_address(host, transport, exchange, out, size);

	/* On the default exchange the queue's name is what a publisher calls the subject. */
	if (len > 0 && exchange.len == 0 && queue.len > 0 && queue.len + 1 <= size - len) {
		out[len++] = '\n';
		memcpy(out + len, queue.data, queue.len);
		len += (uint32_t)queue.len;
	}
	return len;
}

static int32_t
source_check(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
             const struct xf_endpoint_info *info, struct xf_error *error)
{
	struct settings settings;

	return settings_read(host, transport, &settings, error) &&
	               topology_check(host, transport, endpoint, TOPOLOGY_SOURCE, info, error)
	           ? 0
	           : -1;
}

static void
source_destroy(void *instance)
{
	struct source *source = instance;

	assembly_clear(&source->assembly);
	wire_fini(&source->wire);
	topology_fini(&source->topology);
	acks_fini(&source->acks);
	free(source->tag);
	incoming_fini(&source->incoming);
	replies_fini(&source->replies);
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

/* False where there is no memory. */
static bool
parts_create(struct source *source, const struct xf_config *transport, const struct xf_config *config,
             const struct xf_endpoint_info *info)
{
	const struct xf_host *host = source->host;
	uint32_t prefetch = prefetch_of(host->option(config, SOURCE_PREFETCH), info);

	if (asprintf(&source->tag, "crossfade %.*s", info->route.len > 200 ? 200 : (int)info->route.len,
	             info->route.len > 0 ? info->route.data : "") < 0)
		source->tag = NULL;
	return topology_init(&source->topology, host, transport, config, TOPOLOGY_SOURCE, info) &&
	       acks_init(&source->acks, prefetch) && source->tag != NULL &&
	       incoming_init(&source->incoming, &source->wire);
}

static int32_t
source_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared,
              const struct xf_config *transport, const struct xf_config *config,
              const struct xf_endpoint_info *info, void **instance, struct xf_error *error)
{
	struct source *source;

	(void)shared;
	if (!topology_check(host, transport, config, TOPOLOGY_SOURCE, info, error))
		return -1;
	source = calloc(1, sizeof(*source));
	if (source == NULL) {
		settings_fail(error, "out of memory");
		return -1;
	}
	source->host = host;
	source->endpoint = endpoint;
	source->retry_ms = RETRY_MIN_MS;
	if (!wire_init(&source->wire, host, endpoint, transport, info, error)) {
		source_destroy(source);
		return -1;
	}
	source->wire.pauses = true;
	replies_init(&source->replies, &source->wire, &source->acks);
	if (!parts_create(source, transport, config, info)) {
		settings_fail(error, "out of memory");
		source_destroy(source);
		return -1;
	}
	strcpy(source->queue, source->topology.queue);
	sight_init(&source->sight, &source->wire);
	sight_only(&source->sight, settings_str(source->queue));
	*instance = source;
	return 0;
}

static void
source_start(void *instance)
{
	(void)instance; /* the first work() connects */
}

static void
source_away(struct source *source)
{
	if (!wire_connected(&source->wire))
		return;
	if (source->phase == PHASE_SETUP || source->phase == PHASE_READY)
		source->stranded = true;
	channel_forget(source);
	source->phase = PHASE_AWAY;
	topology_reset(&source->topology);
	replies_reset(&source->replies);
	wire_drop(&source->wire);
}

static bool
source_reading(const struct source *source)
{
	return !source->stalled || !wire_full(&source->wire);
}

/* Writes the acks that are due. Where nothing is left, a look at the queue tells whether that was all. */
static void
acks_tend(struct source *source, uint64_t now)
{
	acks_write(&source->acks, &source->wire.out, WIRE_CHANNEL, now);
	if (source->acks.used == 0 && source->lag_reported) {
		source->lag_reported = false;
		sight_hurry(&source->sight, now + LOOK_AGAIN_MS);
	}
}

/* Timers of the channel; heartbeats; what is to be written. */
static void
source_tend(struct source *source, struct xf_work *work, uint64_t now)
{
	struct wire *wire = &source->wire;
	uint64_t due = replies_due(&source->replies, now, !source->stalled);
	uint32_t tick;

	if (now >= due)
		wire_fail(wire, "the broker has not confirmed a reply for %u ms", wire->settings.confirm_timeout_ms);
	wire_call_at(work, now, due);
	if (source->phase == PHASE_WAITING && now >= source->retry_at_ms)
		channel_setup(source, now);
	if (source->phase == PHASE_LOOKING && now >= looking_until(source))
		consume_send(source, now);
	if ((source->phase == PHASE_SETUP || source->phase == PHASE_CLOSING) && now >= source->phase_until_ms)
		wire_fail(wire, "the broker has not answered for %u ms", source->wire.settings.confirm_timeout_ms);
	if (source_consuming(source)) {
		acks_tend(source, now);
		wire_call_at(work, now, acks_due(&source->acks, now));
		wire_call_at(work, now, sight_tick(&source->sight, now));
	} else if (source->phase == PHASE_LOOKING) {
		wire_call_at(work, now, sight_tick(&source->sight, now));
		wire_call_at(work, now, looking_until(source));
	} else if (source->phase == PHASE_WAITING) {
		wire_call_at(work, now, source->retry_at_ms);
	}
	tick = wire_tick(wire, now, source_reading(source));
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
			wire_call_at(work, source->host->now_ms(), wire->connect_at_ms);
			return;
		}
		sight_reset(&source->sight, source->host->now_ms());
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
	work->events = wire_events(wire, source_reading(source));
}

static void
source_settle(void *instance, const struct xf_settlement *settlements, uint32_t count)
{
	struct source *source = instance;
	uint64_t now = source->host->now_ms();
	uint32_t i;

	for (i = 0; i < count; i++)
		acks_settle(&source->acks, &settlements[i], now);
	if (!source_consuming(source))
		return;
	acks_tend(source, now);
	wire_flush(&source->wire);
	/* The wait was chosen before this. */
	if (acks_due(&source->acks, now) < source->look_ms || wire_pending(&source->wire) > 0 || source->wire.failed)
		source->host->wake(source->endpoint);
}

static void
source_reply(void *instance, const struct xf_reply *replies, uint32_t stride, uint32_t count)
{
	struct source *source = instance;
	uint64_t now = source->host->now_ms();
	uint32_t i;

	if (!source_consuming(source))
		return;
	for (i = 0; i < count; i++)
		replies_publish(&source->replies, (const struct xf_reply *)((const char *)replies + (size_t)stride * i), now);
	wire_flush(&source->wire);
	source->host->wake(source->endpoint); /* the wait was chosen before this */
}

/* The last replies are confirmed, so that their requests need not come again. What else comes goes back. */
static void
replies_finish(struct source *source)
{
	uint64_t now = source->host->now_ms(), until = now + STOP_MS;
	struct wire *wire = &source->wire;
	struct codec_frame frame;

	for (; replies_waiting(&source->replies) && !wire->failed && now < until; now = source->host->now_ms()) {
		struct pollfd poller = {.fd = wire->fd, .events = (short)wire_events(wire, true)};

		while (wire_peek(wire, 0, &frame) == CODEC_OK) {
			wire_consume(wire, frame.total);
			if (frame.channel == WIRE_CHANNEL_REPLY)
				replies_frame(&source->replies, &frame);
		}
		wire_flush(wire);
		if (!replies_waiting(&source->replies) || poll(&poller, 1, (int)(until - now)) < 0)
			return;
		wire_read(wire);
	}
}

/* Messages that are to be tried later go back now; everything else unsettled goes back with the channel. */
static void
source_stop(void *instance)
{
	struct source *source = instance;

	if (source_consuming(source))
		replies_finish(source);
	if (source_consuming(source))
		acks_write_all(&source->acks, &source->wire.out, WIRE_CHANNEL);
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
	.reply = source_reply,
};
