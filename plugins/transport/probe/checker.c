/*
 * The sink: checks every message that arrives, and confirms it at once.
 *
 * Within a side a message is out of order when a later one of its key arrived there before it; only a message's
 * first appearance counts. A message that leaves a gap behind the last of its key on its own side must have its
 * predecessor on another: where none has come that far, it arrived too early (reordered_across).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "ledger.h"
#include "probe.h"

#define ROOM 65536u
#define BATCH 256

struct checker {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct ledger *ledger;
	struct side *side;
	bool reported;
	uint32_t room; /* what is left of what work() said */
	struct xf_result results[BATCH];
};

static uint64_t
checker_traits(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint)
{
	(void)host;
	(void)transport;
	(void)endpoint;
	return XF_TRAIT_HEADERS;
}

static uint32_t
checker_address(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
                char *out, uint32_t size)
{
	struct xf_str side = host->option(endpoint, SINK_SIDE)->str;
	char text[96];
	int n = snprintf(text, sizeof(text), "probe:%p/side/%.*s", (const void *)transport, (int)side.len, side.data);

	if (n < 0 || (uint32_t)n > size || (size_t)n >= sizeof(text))
		return 0;
	memcpy(out, text, (size_t)n);
	return (uint32_t)n;
}

static int32_t
checker_check(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
              const struct xf_endpoint_info *info, struct xf_error *error)
{
	struct xf_str side = host->option(endpoint, SINK_SIDE)->str;
	bool fine = side.len > 0 && side.len < sizeof(((struct side *)0)->name);

	(void)transport;
	(void)info;
	for (uint64_t i = 0; i < side.len; i++) {
		char c = side.data[i];

		fine &= (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
		        c == '_';
	}
	if (fine)
		return 0;
	snprintf(error->text, sizeof(error->text), "side: expected 1 to 31 letters, digits, '-' or '_'");
	return -1;
}

static int32_t
checker_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared,
               const struct xf_config *transport, const struct xf_config *config, const struct xf_endpoint_info *info,
               void **instance, struct xf_error *error)
{
	struct checker *c = calloc(1, sizeof(*c));

	(void)transport;
	(void)info;
	if (c == NULL) {
		snprintf(error->text, sizeof(error->text), "no memory for the checker");
		return -1;
	}
	c->host = host;
	c->endpoint = endpoint;
	c->ledger = shared;
	c->side = ledger_side(shared, host->option(config, SINK_SIDE)->str);
	if (c->side == NULL) {
		snprintf(error->text, sizeof(error->text), "more than %d sides, or no memory", SIDES_MAX);
		free(c);
		return -1;
	}
	*instance = c;
	return 0;
}

static void
checker_start(void *instance)
{
	(void)instance;
}

static void
checker_work(void *instance, struct xf_work *work)
{
	struct checker *c = instance;

	if (!c->reported) {
		c->reported = true;
		c->host->state(c->endpoint, XF_STATE_UP, NULL);
	}
	work->room = c->room = ROOM;
}

/* ---- Checking ------------------------------------------------------------------- */

static bool
is_copy(const struct xf_outgoing *m)
{
	static const char name[] = "Crossfade-Copy";

	if (m->flags & XF_OUTGOING_COPY)
		return true;
	for (uint32_t i = 0; i < m->header_count; i++)
		if (m->headers[i].name.len == sizeof(name) - 1 &&
		    memcmp(m->headers[i].name.data, name, sizeof(name) - 1) == 0)
			return true;
	return false;
}

/* Counts what is no intact message of ours. */
static bool
stamp_read(struct checker *c, const struct xf_outgoing *m, struct stamp *stamp, struct producer **producer)
{
	if (m->payload_size < sizeof(*stamp)) {
		c->side->corrupted++;
		return false;
	}
	memcpy(stamp, m->payload, sizeof(*stamp));
	if (stamp->magic != STAMP_MAGIC ||
	    stamp->checksum != XXH3_64bits((const char *)m->payload + sizeof(stamp->checksum),
	                                   m->payload_size - sizeof(stamp->checksum))) {
		c->side->corrupted++;
		return false;
	}
	*producer = stamp->producer < PRODUCERS_MAX
	                    ? atomic_load_explicit(&c->ledger->producers[stamp->producer], memory_order_acquire)
	                    : NULL;
	if (stamp->run != c->ledger->run || *producer == NULL ||
	    stamp->number >= atomic_load_explicit(&(*producer)->sent, memory_order_acquire)) {
		c->side->unexpected++;
		return false;
	}
	return true;
}

/* Whether some other side has the message of KEY before OF_KEY, or a later one. */
static bool
others_have_reached(const struct checker *c, const struct stamp *stamp)
{
	for (int i = 0; i < SIDES_MAX; i++) {
		struct side *side = atomic_load_explicit(&c->ledger->sides[i], memory_order_acquire);
		_Atomic uint32_t *last;

		if (side == NULL)
			return false;
		if (side == c->side)
			continue;
		last = __atomic_load_n(&side->arrivals[stamp->producer].last, __ATOMIC_ACQUIRE);
		if (last != NULL && atomic_load_explicit(&last[stamp->key], memory_order_acquire) >= stamp->of_key)
			return true;
	}
	return false;
}

static void
order_check(struct checker *c, struct arrivals *arrivals, const struct stamp *stamp, const struct producer *producer)
{
	_Atomic uint32_t *last = arrivals->last;
	uint32_t before;

	if (last == NULL) {
		last = calloc(producer->keys, sizeof(*last));
		if (last == NULL)
			return;
		__atomic_store_n(&arrivals->last, last, __ATOMIC_RELEASE);
	}
	/* only this side's threads write it, under its lock */
	before = atomic_load_explicit(&last[stamp->key], memory_order_relaxed);
	if (stamp->of_key < before) {
		c->side->reordered++;
		return;
	}
	if (stamp->of_key > before && !others_have_reached(c, stamp))
		c->side->reordered_across++;
	atomic_store_explicit(&last[stamp->key], stamp->of_key + 1, memory_order_release);
}

static void
latency_count(struct side *side, const struct stamp *stamp, uint64_t now_ns)
{
	uint64_t us = now_ns > stamp->sent_ns ? (now_ns - stamp->sent_ns) / 1000 : 0;

	side->latency[latency_bucket(us)]++;
	side->latency_max = us > side->latency_max ? us : side->latency_max;
	side->latency_sum += us;
}

/* Whether the id ends in the number, as every one of a generator does. */
static bool
id_is_own(struct xf_str id, uint64_t number)
{
	uint64_t at = id.len;

	do {
		if (at == 0 || id.data[--at] != (char)('0' + number % 10))
			return false;
		number /= 10;
	} while (number > 0);
	return at > 0 && id.data[at - 1] == '-';
}

static void
duplicate_count(struct side *side, uint64_t newest, uint64_t number)
{
	uint64_t distance = newest > number ? newest - number : 0;

	side->duplicates++;
	side->duplicate_distance = distance > side->duplicate_distance ? distance : side->duplicate_distance;
}

static void
message_check_locked(struct checker *c, const struct xf_outgoing *m, uint64_t now_ns)
{
	struct side *side = c->side;
	struct producer *producer;
	struct arrivals *arrivals;
	struct stamp stamp;

	if (!stamp_read(c, m, &stamp, &producer))
		return;
	arrivals = &side->arrivals[stamp.producer];
	if (is_copy(m)) {
		side->copies++;
		side->copy_duplicates += bits_set(&arrivals->copies, stamp.number) != 0;
		return;
	}
	side->received++;
	side->last_ns = now_ns;
	side->renamed += !id_is_own(m->id, stamp.number);
	if (bits_set(&arrivals->messages, stamp.number) != 0) {
		duplicate_count(side, arrivals->newest, stamp.number);
		return;
	}
	arrivals->newest = stamp.number > arrivals->newest ? stamp.number : arrivals->newest;
	order_check(c, arrivals, &stamp, producer);
	latency_count(side, &stamp, now_ns);
}

static void
batch_check(struct checker *c, const char *messages, uint32_t stride, uint32_t count)
{
	uint64_t now_ns = ledger_now_ns();

	pthread_mutex_lock(&c->side->lock);
	for (uint32_t i = 0; i < count; i++) {
		const struct xf_outgoing *m = (const void *)(messages + (size_t)i * stride);

		message_check_locked(c, m, now_ns);
		c->results[i] = (struct xf_result){.token = m->token, .code = XF_RESULT_STORED};
	}
	pthread_mutex_unlock(&c->side->lock);
	c->host->complete(c->endpoint, c->results, count);
}

static uint32_t
checker_publish(void *instance, const struct xf_outgoing *messages, uint32_t stride, uint32_t count)
{
	struct checker *c = instance;

	for (uint32_t done = 0; done < count; done += BATCH)
		batch_check(c, (const char *)messages + (size_t)done * stride, stride,
		            count - done < BATCH ? count - done : BATCH);
	c->room -= count < c->room ? count : c->room;
	if (c->room == 0)
		c->host->wake(c->endpoint); /* to be asked for room again */
	return count;
}

static void
checker_stop(void *instance)
{
	(void)instance;
}

static void
checker_destroy(void *instance)
{
	free(instance);
}

const struct xf_sink_ops probe_checker = {
	.struct_size = sizeof(probe_checker),
	.traits = checker_traits,
	.address = checker_address,
	.check = checker_check,
	.create = checker_create,
	.start = checker_start,
	.work = checker_work,
	.publish = checker_publish,
	.stop = checker_stop,
	.destroy = checker_destroy,
};
