/*
 * The source: generates messages.
 *
 * A batch is built in slots that are made once: subject, id, key and payload of each have their bytes, and
 * only what differs from message to message is written. The pace is that of a clock: what is due
 * is emitted in small batches about every millisecond; what could not be emitted in time is made up
 * for, but never more than a tenth of a second of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "ledger.h"
#include "probe.h"

#define SLOTS_MAX 128
#define SLOTS_BYTES (1u << 20)
#define WORK_MAX 4096
#define KEY_SIZE 12
#define ID_SIZE 56
#define CATCH_UP_NS 100000000u

/* What is sent again. */
struct again {
	uint64_t number;
	uint64_t due_ms;
};

struct generator {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct ledger *ledger;
	struct producer *producer;
	bool reported;

	uint64_t rate, count;
	uint64_t duration_ns; /* 0: without end */
	uint64_t end_ns;      /* where it is over; 0: nothing was sent yet, or there is no end */
	uint32_t size, keys;
	char *to; /* what stands before and behind the key's number in a subject */
	uint64_t before_len, behind_len;
	bool numbered;
	char *header; /* name of the header with the key */
	char id_head[24];
	uint32_t id_head_len;

	uint32_t slots;
	struct xf_incoming *batch;
	struct xf_header *headers;
	char *keys_text; /* KEY_SIZE each: a length, then "k123" */
	char *subjects;  /* subject_size each */
	uint64_t subject_size;
	char (*ids)[ID_SIZE];
	unsigned char *payloads;

	uint64_t next; /* to be sent for the first time */
	struct again *again;
	size_t again_first, again_count, again_size;
	uint64_t due_since_ns;  /* where the pace counts from */
	uint64_t due_sent;      /* messages since then */
	uint64_t rate_since_ns; /* of the measured rate */
	uint64_t rate_sent;
};

static uint64_t
generator_traits(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint)
{
	(void)host;
	(void)transport;
	(void)endpoint;
	return XF_TRAIT_HEADERS | XF_TRAIT_IDS;
}

static uint32_t
generator_address(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
                  char *out, uint32_t size)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "probe:%p/producer/%lld", (const void *)transport,
	                 (long long)host->option(endpoint, SOURCE_PRODUCER)->i64);

	if (n < 0 || (uint32_t)n > size)
		return 0;
	memcpy(out, text, (size_t)n);
	return (uint32_t)n;
}

static int32_t
generator_check(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint,
                const struct xf_endpoint_info *info, struct xf_error *error)
{
	const struct xf_value *to = host->option(endpoint, SOURCE_TO);

	(void)transport;
	(void)info;
	for (uint64_t i = 0; i < to->str.len; i++)
		if ((unsigned char)to->str.data[i] <= ' ' || to->str.data[i] == '*' || to->str.data[i] == '>') {
			snprintf(error->text, sizeof(error->text), "to: '%.*s' is no subject; expected tokens and {k}",
			         (int)to->str.len, to->str.data);
			return -1;
		}
	return 0;
}

/* ---- Making the slots ----------------------------------------------------------- */

static void
generator_free(struct generator *g)
{
	free(g->to);
	free(g->header);
	free(g->batch);
	free(g->headers);
	free(g->keys_text);
	free(g->subjects);
	free(g->ids);
	free(g->payloads);
	free(g->again);
	free(g);
}

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

static void
keys_write(struct generator *g)
{
	for (uint32_t k = 0; k < g->keys; k++) {
		char *text = g->keys_text + (size_t)k * KEY_SIZE;

		text[0] = (char)snprintf(text + 1, KEY_SIZE - 1, "k%u", k);
	}
}

/* What is the same in every message. */
static void
slots_write(struct generator *g)
{
	for (uint32_t i = 0; i < g->slots; i++) {
		struct xf_incoming *m = &g->batch[i];
		unsigned char *payload = g->payloads + (size_t)i * g->size;

		for (uint32_t b = SIZE_MIN; b < g->size; b++)
			payload[b] = (unsigned char)(b * 37 + b / 251); /* NUL and all other bytes are among them */
		((struct stamp *)(void *)payload)->magic = STAMP_MAGIC;
		memcpy(g->subjects + i * g->subject_size, g->to, g->before_len);
		memcpy(g->ids[i], g->id_head, g->id_head_len);
		g->headers[i].name = (struct xf_str){g->header, strlen(g->header)};
		*m = (struct xf_incoming){
			.subject = {g->subjects + i * g->subject_size, 0},
			.id = {g->ids[i], 0},
			.payload = payload,
			.payload_size = g->size,
			.headers = &g->headers[i],
			.header_count = g->header[0] != '\0',
			.attempt = 1,
		};
	}
}

static bool
slots_make(struct generator *g)
{
	g->slots = SLOTS_BYTES / g->size;
	g->slots = g->slots < 1 ? 1 : g->slots > SLOTS_MAX ? SLOTS_MAX : g->slots;
	g->subject_size = g->before_len + KEY_SIZE + g->behind_len;
	g->batch = calloc(g->slots, sizeof(*g->batch));
	g->headers = calloc(g->slots, sizeof(*g->headers));
	g->keys_text = calloc(g->keys, KEY_SIZE);
	g->subjects = calloc(g->slots, g->subject_size);
	g->ids = calloc(g->slots, sizeof(*g->ids));
	g->payloads = calloc(g->slots, g->size);
	if (g->batch == NULL || g->headers == NULL || g->keys_text == NULL || g->subjects == NULL || g->ids == NULL ||
	    g->payloads == NULL)
		return false;
	keys_write(g);
	slots_write(g);
	return true;
}

static bool
generator_configure(struct generator *g, const struct xf_config *config, struct xf_error *error)
{
	uint32_t number = (uint32_t)g->host->option(config, SOURCE_PRODUCER)->i64;
	const char *place;

	g->rate = (uint64_t)g->host->option(config, SOURCE_RATE)->i64;
	g->count = (uint64_t)g->host->option(config, SOURCE_COUNT)->i64;
	g->duration_ns = (uint64_t)g->host->option(config, SOURCE_DURATION)->i64 * 1000000u;
	/* stamps lie side by side and are read as they lie */
	g->size = ((uint32_t)g->host->option(config, SOURCE_SIZE)->i64 + 7u) & ~7u;
	g->keys = (uint32_t)g->host->option(config, SOURCE_KEYS)->i64;
	g->header = text_copy(g->host->option(config, SOURCE_HEADER)->str);
	g->to = text_copy(g->host->option(config, SOURCE_TO)->str);
	if (g->to == NULL || g->header == NULL)
		goto no_memory;
	place = strstr(g->to, "{k}");
	g->numbered = place != NULL;
	g->before_len = place != NULL ? (uint64_t)(place - g->to) : strlen(g->to);
	g->behind_len = place != NULL ? strlen(place + 3) : 0;
	g->id_head_len = (uint32_t)snprintf(g->id_head, sizeof(g->id_head), "%08x-%u-", (uint32_t)g->ledger->run, number);
	if (!slots_make(g))
		goto no_memory;
	g->producer = ledger_take_producer(g->ledger, number, g->keys, g->count, error);
	return g->producer != NULL;

no_memory:
	snprintf(error->text, sizeof(error->text), "no memory for the generator");
	return false;
}

static int32_t
generator_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared,
                 const struct xf_config *transport, const struct xf_config *config,
                 const struct xf_endpoint_info *info, void **instance, struct xf_error *error)
{
	struct generator *g = calloc(1, sizeof(*g));

	(void)transport;
	(void)info;
	if (g == NULL) {
		snprintf(error->text, sizeof(error->text), "no memory for the generator");
		return -1;
	}
	g->host = host;
	g->endpoint = endpoint;
	g->ledger = shared;
	if (!generator_configure(g, config, error)) {
		generator_free(g);
		return -1;
	}
	*instance = g;
	return 0;
}

/* ---- What is to be sent again ------------------------------------------------------- */

static void
again_add(struct generator *g, uint64_t number, uint64_t due_ms)
{
	struct again *grown;
	size_t at;

	if (g->again_count == g->again_size && g->again_first > 0) {
		memmove(g->again, g->again + g->again_first, (g->again_count - g->again_first) * sizeof(*grown));
		g->again_count -= g->again_first;
		g->again_first = 0;
	}
	if (g->again_count == g->again_size) {
		grown = realloc(g->again, (g->again_size + 64) * 2 * sizeof(*grown));
		if (grown == NULL)
			return; /* the next source of this producer finds it unsettled */
		g->again = grown;
		g->again_size = (g->again_size + 64) * 2;
	}
	/* by time, then by number; almost always at the end */
	for (at = g->again_count++; at > g->again_first; at--) {
		const struct again *before = &g->again[at - 1];

		if (before->due_ms < due_ms || (before->due_ms == due_ms && before->number < number))
			break;
		g->again[at] = *before;
	}
	g->again[at] = (struct again){number, due_ms};
}

/* Goes on where the last source of this producer stopped: what it left unsettled comes first. */
static void
generator_start(void *instance)
{
	struct generator *g = instance;
	struct producer *p = g->producer;

	g->next = atomic_load(&p->sent);
	pthread_mutex_lock(&p->lock);
	if (p->acked_count + p->rejected_count < g->next)
		for (uint64_t n = p->forgotten * BITS_CHUNK; n < g->next; n++)
			if (!bits_get(&p->acked, n) && !bits_get(&p->rejected, n))
				again_add(g, n, 0);
	pthread_mutex_unlock(&p->lock);
}

/* ---- Generating ------------------------------------------------------------------------ */

static char *
put_number(char *at, uint64_t number)
{
	char digits[20];
	unsigned n = 0;

	do
		digits[n++] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	while (n > 0)
		*at++ = digits[--n];
	return at;
}

/* The short texts are copied whole, with what lies behind them. */
static void
message_write(struct generator *g, uint32_t slot, uint64_t number, uint64_t now_ns, int64_t wall_ms)
{
	struct xf_incoming *m = &g->batch[slot];
	struct stamp *stamp = (struct stamp *)(void *)(g->payloads + (size_t)slot * g->size);
	uint32_t key = (uint32_t)(number % g->keys);
	const char *text = g->keys_text + (size_t)key * KEY_SIZE;
	uint64_t text_len = (uint64_t)text[0];
	char *subject = g->subjects + slot * g->subject_size, *at = subject + g->before_len;

	if (g->numbered) {
		memcpy(at, text + 2, KEY_SIZE - 2);
		at += text_len - 1;
		memcpy(at, g->to + g->before_len + 3, g->behind_len);
		at += g->behind_len;
	}
	m->handle = number;
	m->subject.len = (uint64_t)(at - subject);
	m->id.len = (uint64_t)(put_number(g->ids[slot] + g->id_head_len, number) - g->ids[slot]);
	m->key = (struct xf_str){text + 1, text_len};
	g->headers[slot].value = m->key;
	m->time_ms = wall_ms;
	stamp->producer = g->producer->number;
	stamp->run = g->ledger->run;
	stamp->number = number;
	stamp->key = key;
	stamp->of_key = (uint32_t)(number / g->keys);
	stamp->sent_ns = now_ns;
	stamp->checksum = XXH3_64bits(&stamp->magic, g->size - sizeof(stamp->checksum));
}

/* How many may be sent for the first time now; what then is left of the time to the next goes to *WAIT_MS. */
static uint64_t
generator_due(struct generator *g, uint64_t now_ns, uint32_t *wait_ms)
{
	uint64_t left = g->count > 0 ? g->count > g->next ? g->count - g->next : 0 : UINT64_MAX;
	uint64_t elapsed = now_ns - g->due_since_ns, due;

	if (g->end_ns > 0 && now_ns >= g->end_ns) {
		atomic_store(&g->producer->ended, true);
		return 0;
	}
	if (left == 0)
		return 0;
	if (g->rate == 0) {
		*wait_ms = 0;
		return left;
	}
	due = (uint64_t)((double)elapsed * (double)g->rate / 1e9);
	if (due > g->due_sent + g->rate * CATCH_UP_NS / 1000000000u + 1) {
		/* far behind: forget it but for the bound */
		g->due_since_ns = now_ns - CATCH_UP_NS;
		g->due_sent = 0;
		due = g->rate * CATCH_UP_NS / 1000000000u;
	}
	*wait_ms = (uint32_t)(1000 / g->rate);
	*wait_ms = *wait_ms < 1 ? 1 : *wait_ms > 100 ? 100 : *wait_ms;
	due = due > g->due_sent ? due - g->due_sent : 0;
	return due < left ? due : left;
}

/* Fills up to LIMIT slots, first with what is due again. Returns how many; *NEWS of them are new. */
static uint32_t
batch_fill(struct generator *g, uint32_t limit, uint64_t due, uint64_t now_ns, uint32_t *news)
{
	int64_t wall_ms = g->host->wall_ms();
	uint64_t now_ms = g->again_first < g->again_count ? g->host->now_ms() : 0;
	uint32_t n = 0;

	*news = 0;
	for (; n < limit && g->again_first + n < g->again_count && g->again[g->again_first + n].due_ms <= now_ms; n++) {
		message_write(g, n, g->again[g->again_first + n].number, now_ns, wall_ms);
		g->batch[n].attempt = 2;
		g->batch[n].flags = XF_MESSAGE_REDELIVERED;
	}
	for (; n < limit && *news < due; n++) {
		message_write(g, n, g->next + (*news)++, now_ns, wall_ms);
		g->batch[n].attempt = 1;
		g->batch[n].flags = 0;
	}
	return n;
}

static void
rate_measure(struct generator *g, uint64_t now_ns)
{
	uint64_t elapsed = now_ns - g->rate_since_ns;

	if (elapsed < 1000000000u)
		return;
	atomic_store_explicit(&g->producer->rate, (uint64_t)((double)(g->next - g->rate_sent) * 1e9 / (double)elapsed),
	                      memory_order_relaxed);
	g->rate_since_ns = now_ns;
	g->rate_sent = g->next;
}

static void
work_begin(struct generator *g, uint64_t now_ns)
{
	if (g->reported)
		return;
	g->reported = true;
	g->due_since_ns = g->rate_since_ns = now_ns;
	g->rate_sent = g->next;
	g->host->state(g->endpoint, XF_STATE_UP, NULL);
}

/* Emits up to one batch. Returns how many were taken. */
static uint32_t
batch_emit(struct generator *g, uint32_t limit, uint64_t due, uint64_t now_ns)
{
	uint32_t news, n = batch_fill(g, limit < g->slots ? limit : g->slots, due, now_ns, &news), taken, olds = n - news;
	uint64_t chunk = g->next / BITS_CHUNK;

	if (n == 0)
		return 0;
	if (atomic_load_explicit(&g->producer->first_ns, memory_order_relaxed) == 0)
		atomic_store(&g->producer->first_ns, now_ns);
	if (g->duration_ns > 0 && g->end_ns == 0)
		g->end_ns = now_ns + g->duration_ns;
	/* before the call: a message may arrive before it returns */
	atomic_store_explicit(&g->producer->sent, g->next + news, memory_order_release);
	taken = g->host->emit(g->endpoint, g->batch, sizeof(g->batch[0]), n);
	g->again_first += taken < olds ? taken : olds;
	if (g->again_first == g->again_count)
		g->again_first = g->again_count = 0;
	g->next += taken > olds ? taken - olds : 0;
	g->due_sent += taken > olds ? taken - olds : 0;
	if (taken < n)
		atomic_store_explicit(&g->producer->sent, g->next, memory_order_release);
	if (g->next / BITS_CHUNK != chunk)
		ledger_forget(g->ledger, g->producer);
	return taken;
}

static void
generator_work(void *instance, struct xf_work *work)
{
	struct generator *g = instance;
	uint64_t now_ns = ledger_now_ns(), bytes = work->credit_bytes;
	uint32_t credit = work->credit_messages, wait_ms = 1000, taken, done = 0;

	work_begin(g, now_ns);
	rate_measure(g, now_ns);
	if (credit == 0 && g->end_ns > 0 && now_ns >= g->end_ns)
		atomic_store(&g->producer->ended, true); /* held back at its end */
	while (credit > 0 && done < WORK_MAX) {
		uint64_t due = generator_due(g, now_ns, &wait_ms);
		uint64_t limit = bytes / g->size > 0 ? bytes / g->size : done == 0;

		taken = batch_emit(g, limit < credit ? (uint32_t)limit : credit, due, now_ns);
		if (taken == 0)
			break;
		credit -= taken;
		bytes -= (uint64_t)taken * g->size < bytes ? (uint64_t)taken * g->size : bytes;
		done += taken;
		now_ns = g->rate == 0 || done >= g->slots ? ledger_now_ns() : now_ns;
	}
	if (g->again_first < g->again_count) {
		uint64_t now_ms = g->host->now_ms(), due_ms = g->again[g->again_first].due_ms;

		wait_ms = due_ms <= now_ms ? 0 : due_ms - now_ms < wait_ms ? (uint32_t)(due_ms - now_ms) : wait_ms;
	}
	/* without credit or bytes the core calls again when there are some */
	if (credit > 0 && bytes >= g->size && wait_ms < work->timeout_ms)
		work->timeout_ms = wait_ms;
}

static void
generator_settle(void *instance, const struct xf_settlement *settlements, uint32_t count)
{
	struct generator *g = instance;
	struct producer *p = g->producer;

	pthread_mutex_lock(&p->lock);
	for (uint32_t i = 0; i < count; i++) {
		const struct xf_settlement *s = &settlements[i];

		if (s->outcome == XF_SETTLE_ACK)
			p->acked_count += bits_set(&p->acked, s->handle) == 0;
		else if (s->outcome == XF_SETTLE_REJECT)
			p->rejected_count += bits_set(&p->rejected, s->handle) == 0;
		else if (s->outcome == XF_SETTLE_RETRY) {
			p->retried_count++;
			again_add(g, s->handle, s->delay_ms > 0 ? g->host->now_ms() + s->delay_ms : 0);
		}
	}
	pthread_mutex_unlock(&p->lock);
}

static void
generator_stop(void *instance)
{
	struct generator *g = instance;

	atomic_store(&g->producer->rate, 0);
}

static void
generator_destroy(void *instance)
{
	struct generator *g = instance;

	ledger_give_producer(g->ledger, g->producer);
	generator_free(g);
}

const struct xf_source_ops probe_generator = {
	.struct_size = sizeof(probe_generator),
	.traits = generator_traits,
	.address = generator_address,
	.check = generator_check,
	.create = generator_create,
	.start = generator_start,
	.work = generator_work,
	.settle = generator_settle,
	.stop = generator_stop,
	.destroy = generator_destroy,
};
