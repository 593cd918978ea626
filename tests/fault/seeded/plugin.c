/*
 * A transport that breaks its promise on purpose, so that those who check it can be checked. It keeps messages in memory, in order,
 * and confirms each at once; `fault` says what happens to every `every`-th, first to the one in the middle:
 *
 *   drop    it is confirmed and forgotten
 *   swap    the next one of its key goes before it
 *   flip    a bit of its last byte is turned
 *   repeat  it is there twice
 *   hang    the call that brings it comes back after a while
 *   early   all are confirmed, kept back for a while, and forgotten when the sink stops
 *
 * Threads: the sink's and the source's meet at the broker's lock.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <crossfade/transport.h>

#define EARLY_MS 200
#define HANG_S 13 /* longer than a plugin may be at work before that is said */
#define ROOM 1024

enum fault { NONE, DROP, SWAP, FLIP, REPEAT, HANG, EARLY };

struct message {
	struct message *next;
	uint64_t due_ms; /* of one that is kept back */
	struct xf_outgoing at;
	struct xf_header *headers;
	char bytes[]; /* what at and headers point to */
};

struct queue {
	struct message *first, **end;
};

struct broker {
	const struct xf_host *host;
	enum fault fault;
	uint64_t every;
	pthread_mutex_t lock;
	/* guarded by lock */
	struct queue stored;
	struct xf_endpoint *reader;
};

struct sink {
	struct broker *broker;
	struct xf_endpoint *endpoint;
	bool reported;
	uint64_t count;
	struct message *swapped; /* waits for the next of its key */
	struct queue held;
};

struct source {
	struct broker *broker;
	struct xf_endpoint *endpoint;
	bool reported;
};

/* ---- Messages ----------------------------------------------------------------------------------- */

static struct xf_str
str_copy(char **to, struct xf_str from)
{
	struct xf_str copy = {*to, from.len};

	if (from.len > 0)
		memcpy(*to, from.data, from.len);
	*to += from.len;
	return copy;
}

static struct message *
message_copy(const struct xf_outgoing *m)
{
	uint64_t size = m->subject.len + m->id.len + m->key.len + m->payload_size;
	struct message *copy;
	char *to;

	for (uint32_t i = 0; i < m->header_count; i++)
		size += m->headers[i].name.len + m->headers[i].value.len;
	copy = calloc(1, sizeof(*copy) + size);
	if (copy == NULL)
		abort();
	copy->headers = calloc(m->header_count + 1, sizeof(*copy->headers));
	if (copy->headers == NULL)
		abort();
	to = copy->bytes;
	copy->at = (struct xf_outgoing){
		.subject = str_copy(&to, m->subject),
		.id = str_copy(&to, m->id),
		.key = str_copy(&to, m->key),
		.payload_size = m->payload_size,
		.headers = copy->headers,
		.header_count = m->header_count,
		.time_ms = m->time_ms,
	};
	for (uint32_t i = 0; i < m->header_count; i++) {
		copy->headers[i].name = str_copy(&to, m->headers[i].name);
		copy->headers[i].value = str_copy(&to, m->headers[i].value);
	}
	copy->at.payload = str_copy(&to, (struct xf_str){m->payload, m->payload_size}).data;
	return copy;
}

static void
message_destroy(struct message *m)
{
	if (m != NULL)
		free(m->headers);
	free(m);
}

static void
queue_push(struct queue *queue, struct message *m)
{
	m->next = NULL;
	if (queue->first == NULL)
		queue->end = &queue->first;
	*queue->end = m;
	queue->end = &m->next;
}

static struct message *
queue_pop(struct queue *queue)
{
	struct message *m = queue->first;

	if (m != NULL)
		queue->first = m->next;
	return m;
}

static void
queue_clear(struct queue *queue)
{
	while (queue->first != NULL)
		message_destroy(queue_pop(queue));
}

static bool
key_is_same(const struct message *a, const struct message *b)
{
	return a->at.key.len == b->at.key.len && memcmp(a->at.key.data, b->at.key.data, a->at.key.len) == 0;
}

/* ---- The broker --------------------------------------------------------------------------------- */

static const char *const fault_names[] = {"none", "drop", "swap", "flip", "repeat", "hang", "early", NULL};

static const struct xf_option fault = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_ENUM,
	.key = "fault",
	.def = "none",
	.values = fault_names,
	.help = "What it does wrong",
};

static const struct xf_option every = {
	.struct_size = sizeof(struct xf_option),
	.type = XF_OPTION_I64,
	.key = "every",
	.def = "10000",
	.min = 2,
	.max = 1 << 30,
	.help = "To one in how many messages",
};

enum { OPTION_FAULT, OPTION_EVERY };

static const struct xf_option *const options[] = {[OPTION_FAULT] = &fault, [OPTION_EVERY] = &every, NULL};

static int32_t
broker_open(const struct xf_host *host, const struct xf_config *transport, struct xf_str name, void **shared,
            struct xf_error *error)
{
	struct broker *b = calloc(1, sizeof(*b));

	(void)name;
	(void)error;
	if (b == NULL)
		abort();
	b->host = host;
	b->fault = (enum fault)host->option(transport, OPTION_FAULT)->i64;
	b->every = (uint64_t)host->option(transport, OPTION_EVERY)->i64;
	pthread_mutex_init(&b->lock, NULL);
	*shared = b;
	return 0;
}

static void
broker_close(void *shared)
{
	struct broker *b = shared;

	queue_clear(&b->stored);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

static uint64_t
traits(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint)
{
	(void)host;
	(void)transport;
	(void)endpoint;
	return XF_TRAIT_HEADERS | XF_TRAIT_IDS;
}

static void
nothing(void *instance)
{
	(void)instance;
}

static void
tell_up(const struct broker *b, struct xf_endpoint *endpoint, bool *reported)
{
	if (!*reported)
		b->host->state(endpoint, XF_STATE_UP, NULL);
	*reported = true;
}

/* ---- The sink ------------------------------------------------------------------------------------ */

static int32_t
sink_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared, const struct xf_config *transport,
            const struct xf_config *config, const struct xf_endpoint_info *info, void **instance, struct xf_error *error)
{
	struct sink *s = calloc(1, sizeof(*s));

	(void)host;
	(void)transport;
	(void)config;
	(void)info;
	(void)error;
	if (s == NULL)
		abort();
	s->broker = shared;
	s->endpoint = endpoint;
	*instance = s;
	return 0;
}

static void
sink_work(void *instance, struct xf_work *work)
{
	struct sink *s = instance;
	struct broker *b = s->broker;
	uint64_t now_ms = b->host->now_ms();

	tell_up(b, s->endpoint, &s->reported);
	pthread_mutex_lock(&b->lock);
	while (s->held.first != NULL && s->held.first->due_ms <= now_ms)
		queue_push(&b->stored, queue_pop(&s->held));
	if (b->reader != NULL)
		b->host->wake(b->reader);
	pthread_mutex_unlock(&b->lock);
	work->room = ROOM;
	work->timeout_ms = EARLY_MS / 10;
}

static void
store_locked(struct sink *s, struct message *m)
{
	struct broker *b = s->broker;
	bool chosen = ++s->count % b->every == b->every / 2;

	if (b->fault == EARLY) {
		m->due_ms = b->host->now_ms() + EARLY_MS;
		queue_push(&s->held, m);
	} else if (b->fault == DROP && chosen) {
		message_destroy(m);
	} else if (b->fault == SWAP && chosen && s->swapped == NULL) {
		s->swapped = m;
	} else {
		if (b->fault == FLIP && chosen)
			((char *)(uintptr_t)m->at.payload)[m->at.payload_size - 1] ^= 4;
		if (b->fault == REPEAT && chosen)
			queue_push(&b->stored, message_copy(&m->at));
		queue_push(&b->stored, m);
		if (s->swapped != NULL && key_is_same(s->swapped, m)) {
			queue_push(&b->stored, s->swapped);
			s->swapped = NULL;
		}
	}
}

static uint32_t
sink_publish(void *instance, const struct xf_outgoing *messages, uint32_t stride, uint32_t count)
{
	struct sink *s = instance;
	struct broker *b = s->broker;

	if (b->fault == HANG && s->count < b->every / 2 && s->count + count >= b->every / 2)
		sleep(HANG_S); /* once */
	pthread_mutex_lock(&b->lock);
	for (uint32_t i = 0; i < count; i++)
		store_locked(s, message_copy((const void *)((const char *)messages + (size_t)i * stride)));
	if (b->reader != NULL)
		b->host->wake(b->reader);
	pthread_mutex_unlock(&b->lock);
	for (uint32_t i = 0; i < count; i++) {
		const struct xf_outgoing *m = (const void *)((const char *)messages + (size_t)i * stride);
		const struct xf_result result = {.token = m->token, .code = XF_RESULT_STORED};

		b->host->complete(s->endpoint, &result, 1);
	}
	return count;
}

static void
sink_destroy(void *instance)
{
	struct sink *s = instance;

	queue_clear(&s->held);
	message_destroy(s->swapped);
	free(s);
}

static const struct xf_sink_ops sink_ops = {
	.struct_size = sizeof(sink_ops),
	.traits = traits,
	.create = sink_create,
	.start = nothing,
	.work = sink_work,
	.publish = sink_publish,
	.stop = nothing,
	.destroy = sink_destroy,
};

/* ---- The source, one per transport: what it has given is gone from here ------------------------------- */

static int32_t
source_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared, const struct xf_config *transport,
              const struct xf_config *config, const struct xf_endpoint_info *info, void **instance, struct xf_error *error)
{
	struct source *s = calloc(1, sizeof(*s));

	(void)host;
	(void)transport;
	(void)config;
	(void)info;
	(void)error;
	if (s == NULL)
		abort();
	s->broker = shared;
	s->endpoint = endpoint;
	*instance = s;
	return 0;
}

static void
source_start(void *instance)
{
	struct source *s = instance;

	pthread_mutex_lock(&s->broker->lock);
	s->broker->reader = s->endpoint;
	pthread_mutex_unlock(&s->broker->lock);
}

static void
source_work(void *instance, struct xf_work *work)
{
	struct source *s = instance;
	struct broker *b = s->broker;

	tell_up(b, s->endpoint, &s->reported);
	for (uint32_t credit = work->credit_messages; credit > 0; credit--) {
		struct xf_incoming in = {0};
		struct message *m;

		pthread_mutex_lock(&b->lock);
		m = queue_pop(&b->stored);
		pthread_mutex_unlock(&b->lock);
		if (m == NULL)
			break;
		in.subject = m->at.subject;
		in.id = m->at.id;
		in.key = m->at.key;
		in.payload = m->at.payload;
		in.payload_size = m->at.payload_size;
		in.headers = m->at.headers;
		in.header_count = m->at.header_count;
		in.time_ms = m->at.time_ms;
		b->host->emit(s->endpoint, &in, sizeof(in), 1);
		message_destroy(m);
	}
}

static void
source_settle(void *instance, const struct xf_settlement *settlements, uint32_t count)
{
	(void)instance;
	(void)settlements;
	(void)count;
}

static void
source_stop(void *instance)
{
	struct source *s = instance;

	pthread_mutex_lock(&s->broker->lock);
	s->broker->reader = NULL;
	pthread_mutex_unlock(&s->broker->lock);
}

static const struct xf_source_ops source_ops = {
	.struct_size = sizeof(source_ops),
	.traits = traits,
	.create = source_create,
	.start = source_start,
	.work = source_work,
	.settle = source_settle,
	.stop = source_stop,
	.destroy = free,
};

/* ---- The entry ------------------------------------------------------------------------------------- */

static const struct xf_transport_class class = {
	.head = {
		.struct_size = sizeof(class),
		.kind = XF_KIND_TRANSPORT,
		.name = "seeded",
		.summary = "Breaks its promise on purpose",
	},
	.options = options,
	.source = &source_ops,
	.sink = &sink_ops,
	.open = broker_open,
	.close = broker_close,
};

const struct xf_entry *
xf_plugin_entry_v1(void)
{
	static const struct xf_class *const classes[] = {&class.head, NULL};
	static const struct xf_entry entry = {
		XF_ENTRY_HEAD,
		.id = "org.crossfade.test.seeded",
		.version = "1",
		.licence = "Apache-2.0",
		.url = "",
		.classes = classes,
	};

	return &entry;
}
