/*
 * One mutex and condition per endpoint guard what the test's thread and the endpoint's thread share. The plugin is
 * never called with it held.
 *
 * An endpoint of the harness is what stands behind the plugin's `struct xf_endpoint *`.
 */
#include "harness.h"

#include "wait.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/str.h"
#include "settings.h"

#define FIRST_TOKEN 0x8000000000000001u /* so that a plugin which cuts tokens off is seen */
#define BATCH 1024

struct harness {
	void *module;
	const struct xf_transport_class *class;
	struct xf_config *settings;
	void *shared;
	unsigned endpoints;
	uint32_t request_ms;
	char name[64];
	char report[16384];
};

/* A handle that is out, or was, and what its message takes of the window. */
struct handle {
	uint64_t handle;
	uint64_t bytes;
	uint8_t state; /* 0 free, 1 out, 2 gone */
};

struct outgoing {
	struct xf_outgoing message; /* the harness's own copy */
	void *memory;               /* of that */
	void *lent;                 /* the copy that the plugin reads; freed when completed */
	struct harness_result result;
	bool addressed;
	char reply_to[512]; /* of a request */
};

struct reply_due {
	size_t index;
	struct harness_message *message;
	uint32_t status;
};

struct harness_endpoint {
	struct harness *harness;
	bool is_source;
	bool lossy;
	const struct xf_source_ops *source;
	const struct xf_sink_ops *sink;
	struct xf_endpoint_info info;
	struct xf_config *settings;
	void *instance;
	char name[64];
	char subject[256];

	pthread_t thread;
	bool started;
	bool stopped; /* test thread: joined */
	int bell;
	_Atomic bool quiet;   /* stop() has returned: no host function may be called */
	_Atomic bool in_work; /* emit() is allowed */

	pthread_mutex_t mutex;
	pthread_cond_t changed;
	/* the rest is guarded by mutex */
	bool stop;
	bool drain;
	uint32_t state;
	struct xf_sight sight; /* the newest */
	size_t sight_count;
	size_t state_counts[3];
	char reason[256];
	size_t log_counts[XF_LOG_DEBUG + 1];
	uint64_t rounds, begun; /* calls of work() that are over; all of them */

	uint32_t window;
	uint64_t window_bytes;
	uint32_t credit; /* of the present work() */
	uint64_t unsettled;
	uint64_t unsettled_bytes;
	uint32_t auto_outcome;
	bool auto_drop; /* count only */
	size_t received;
	struct harness_message **messages; /* message_count of them, NULL where only counted */
	size_t message_count, message_size;
	struct handle *handles; /* open addressing, handle_size a power of two */
	size_t handle_count, handle_size;
	struct xf_settlement *settlements; /* to be handed over */
	size_t settlement_count, settlement_size;
	uint64_t settled_round; /* the round after which the last of them were handed over */
	struct reply_due *replies; /* likewise, and before them */
	size_t reply_count, reply_size;

	struct outgoing **outgoing;
	size_t outgoing_count, outgoing_size;
	size_t next; /* to be offered */
	bool hold;
	size_t out; /* taken, not completed */
	size_t completed;
	size_t completed_as[XF_RESULT_FAILED + 1];
	struct harness_replied **replied;
	size_t replied_count, replied_size;
};

static _Atomic uint64_t clock_offset;
static _Atomic uint64_t clock_held; /* at this time; 0: it goes */

_Noreturn void
harness_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("harness: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	abort();
}

#define REQUIRE(endpoint, condition, ...)                                                          \
	do {                                                                                       \
		if (!(condition))                                                                  \
			endpoint_broke(endpoint, __VA_ARGS__);                                     \
	} while (0)

static _Noreturn void
endpoint_broke(struct harness_endpoint *e, const char *rule)
{
	harness_fail("%s '%s' of plugin %s: %s", e->is_source ? "source" : "sink", e->name,
	             e->harness->class->head.name, rule);
}

uint64_t
harness_now_ms(void)
{
	return xf_now_ms();
}

void
harness_sleep_ms(unsigned milliseconds)
{
	struct timespec t = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};

	nanosleep(&t, NULL);
}

void
harness_clock_advance(uint64_t milliseconds)
{
	atomic_fetch_add(&clock_offset, milliseconds);
}

void
harness_clock_hold(bool held)
{
	atomic_store(&clock_held, held ? xf_now_ms() : 0);
}

static size_t
count_entries(const char *folder)
{
	DIR *dir = opendir(folder);
	size_t count = 0;

	if (dir == NULL)
		harness_fail("cannot read %s: %s", folder, strerror(errno));
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count - 2; /* the dots */
}

size_t
harness_count_fds(void)
{
	return count_entries("/proc/self/fd") - 1; /* the one that reads */
}

size_t
harness_count_threads(void)
{
	return count_entries("/proc/self/task");
}

/* ---- What the plugin calls --------------------------------------------------- */

static struct harness_endpoint *
endpoint_of(struct xf_endpoint *endpoint)
{
	struct harness_endpoint *e = (struct harness_endpoint *)endpoint;

	if (e == NULL)
		harness_fail("a host function was called without an endpoint");
	REQUIRE(e, !atomic_load(&e->quiet), "a host function was called after stop()");
	return e;
}

static void
require_io(struct harness_endpoint *e, const char *rule)
{
	REQUIRE(e, e->started && pthread_equal(pthread_self(), e->thread), rule);
}

static void
endpoint_ring(struct harness_endpoint *e)
{
	uint64_t one = 1;

	ssize_t n = write(e->bell, &one, sizeof(one));

	(void)n; /* full means rung already */
}

static uint64_t
host_now_ms(void)
{
	uint64_t held = atomic_load(&clock_held);

	return (held != 0 ? held : xf_now_ms()) + atomic_load(&clock_offset);
}

static int64_t
host_wall_ms(void)
{
	return xf_wall_ms() + (int64_t)atomic_load(&clock_offset);
}

static void
host_log(struct xf_endpoint *endpoint, uint32_t level, const char *text)
{
	static const char *const words[] = {"error", "warning", "info", "debug"};
	struct harness_endpoint *e = endpoint != NULL ? endpoint_of(endpoint) : NULL;

	if (level > XF_LOG_DEBUG)
		harness_fail("log() with level %u", level);
	if (getenv("HARNESS_LOG") != NULL)
		fprintf(stderr, "%s %s: %s\n", words[level], e != NULL ? e->name : "plugin", text);
	if (e == NULL)
		return;
	pthread_mutex_lock(&e->mutex);
	e->log_counts[level]++;
	pthread_mutex_unlock(&e->mutex);
}

static void
host_wake(struct xf_endpoint *endpoint)
{
	endpoint_ring(endpoint_of(endpoint));
}

static void
host_state(struct xf_endpoint *endpoint, uint32_t state, const char *reason)
{
	struct harness_endpoint *e = endpoint_of(endpoint);

	require_io(e, "state() on a wrong thread");
	REQUIRE(e, state <= XF_STATE_BLOCKED, "state() with a state that does not exist");
	REQUIRE(e, state == XF_STATE_UP || (reason != NULL && *reason != '\0'), "DOWN or BLOCKED without a reason");
	pthread_mutex_lock(&e->mutex);
	REQUIRE(e, e->is_source || state != XF_STATE_DOWN || e->out == 0, "DOWN with tokens not completed");
	e->state = state;
	e->state_counts[state]++;
	snprintf(e->reason, sizeof(e->reason), "%s", reason != NULL ? reason : "");
	pthread_cond_broadcast(&e->changed);
	pthread_mutex_unlock(&e->mutex);
	if (getenv("HARNESS_LOG") != NULL)
		fprintf(stderr, "state %s: %s %s\n", e->name,
		        state == XF_STATE_UP ? "UP" : state == XF_STATE_DOWN ? "DOWN" : "BLOCKED", reason ? reason : "");
}

static void
host_settle_within(struct xf_endpoint *endpoint, uint32_t milliseconds)
{
	struct harness_endpoint *e = endpoint_of(endpoint);

	(void)milliseconds;
	require_io(e, "settle_within() on a wrong thread");
	REQUIRE(e, e->is_source, "settle_within() of a sink");
}

static void
host_sight(struct xf_endpoint *endpoint, const struct xf_sight *sight)
{
	struct harness_endpoint *e = endpoint_of(endpoint);

	require_io(e, "sight() on a wrong thread");
	REQUIRE(e, e->state != XF_STATE_DOWN, "sight() while DOWN");
	pthread_mutex_lock(&e->mutex);
	e->sight = *sight;
	e->sight_count++;
	pthread_cond_broadcast(&e->changed);
	pthread_mutex_unlock(&e->mutex);
}

static const void *
host_get_ext(const char *name)
{
	(void)name;
	return NULL;
}

/* Grows ARRAY of SIZE elements so that one more fits behind COUNT. */
static void *
array_room(void *array, size_t count, size_t *size, size_t element)
{
	if (count < *size)
		return array;
	array = xf_grow_array(array, *size, *size ? *size * 2 : 64, element);
	*size = *size ? *size * 2 : 64;
	return array;
}

/* The place of HANDLE: its own, or the free one where it would stand. */
static struct handle *
handle_find_locked(struct harness_endpoint *e, uint64_t handle)
{
	uint64_t at = handle * 0x9e3779b97f4a7c15u;

	for (at = (at >> 20) & (e->handle_size - 1); e->handles[at].state != 0; at = (at + 1) & (e->handle_size - 1))
		if (e->handles[at].handle == handle)
			break;
	return &e->handles[at];
}

static void
handles_grow_locked(struct harness_endpoint *e)
{
	struct handle *old = e->handles;
	size_t old_size = e->handle_size, used = 0;

	if (e->handle_count * 2 < old_size)
		return;
	for (size_t i = 0; i < old_size; i++)
		used += old[i].state == 1;
	e->handle_size = used * 4 < 8192 ? 8192 : old_size * 2;
	e->handles = xf_alloc_array(e->handle_size, sizeof(*e->handles));
	e->handle_count = used;
	for (size_t i = 0; i < old_size; i++)
		if (old[i].state == 1)
			*handle_find_locked(e, old[i].handle) = old[i];
	free(old);
}

static void
handle_add_locked(struct harness_endpoint *e, uint64_t handle, uint64_t bytes)
{
	struct handle *h;

	handles_grow_locked(e);
	h = handle_find_locked(e, handle);
	REQUIRE(e, h->state != 1, "emitted a handle that is not settled yet");
	e->handle_count += h->state == 0;
	*h = (struct handle){handle, bytes, 1};
}

static void
settlement_add_locked(struct harness_endpoint *e, uint64_t handle, uint32_t outcome, uint32_t delay_ms)
{
	e->settlements = array_room(e->settlements, e->settlement_count, &e->settlement_size, sizeof(*e->settlements));
	e->settlements[e->settlement_count++] = (struct xf_settlement){handle, outcome, delay_ms};
}

/* Bytes that are copied one after the other into one allocation. */
struct copier {
	char *at;
	size_t len;
};

static struct xf_str
copy_str(struct copier *c, struct xf_str text)
{
	struct xf_str copy = {c->at, text.len};

	if (c->at == NULL) {
		c->len += text.len + 1;
		return text;
	}
	if (text.len > 0)
		memcpy(c->at, text.data, text.len);
	c->at[text.len] = '\0';
	c->at += text.len + 1;
	return copy;
}

static const struct xf_header *
copy_headers(struct copier *c, const struct xf_header *headers, uint32_t count)
{
	struct xf_header *copy = (struct xf_header *)c->at;

	if (c->at == NULL) {
		c->len += count * sizeof(*headers);
	} else {
		c->at += count * sizeof(*headers);
	}
	for (uint32_t i = 0; i < count; i++) {
		struct xf_header h = {copy_str(c, headers[i].name), copy_str(c, headers[i].value)};

		if (copy != NULL)
			copy[i] = h;
	}
	return copy != NULL ? copy : headers;
}

static void
copy_incoming(struct copier *c, struct xf_incoming *m)
{
	/* the headers first, for their alignment */
	m->headers = copy_headers(c, m->headers, m->header_count);
	m->subject = copy_str(c, m->subject);
	m->id = copy_str(c, m->id);
	m->key = copy_str(c, m->key);
	m->reply = copy_str(c, m->reply);
	m->content_type = copy_str(c, m->content_type);
	m->payload = copy_str(c, (struct xf_str){m->payload, m->payload_size}).data;
}

static struct harness_message *
message_copy(const struct xf_incoming *in)
{
	struct copier measure = {0}, c;
	struct harness_message *m;
	struct xf_incoming copy = *in;

	copy_incoming(&measure, &copy);
	m = xf_alloc(sizeof(*m) + measure.len);
	m->reply_to[0] = '\0';
	c.at = (char *)(m + 1);
	m->in = *in;
	copy_incoming(&c, &m->in);
	m->in.release = NULL;
	m->in.release_context = NULL;
	return m;
}

static void
message_take_locked(struct harness_endpoint *e, const struct xf_incoming *in)
{
	REQUIRE(e, in->subject.len > 0, "emitted a message without a subject");
	handle_add_locked(e, in->handle, in->payload_size);
	e->messages = array_room(e->messages, e->message_count, &e->message_size, sizeof(*e->messages));
	e->messages[e->message_count++] = e->auto_drop ? NULL : message_copy(in);
	e->received++;
	e->unsettled++;
	e->unsettled_bytes += in->payload_size;
	if (e->auto_outcome != 0)
		settlement_add_locked(e, in->handle, e->auto_outcome, 0);
}

static uint32_t
host_emit(struct xf_endpoint *endpoint, const struct xf_incoming *messages, uint32_t stride, uint32_t count)
{
	struct harness_endpoint *e = endpoint_of(endpoint);

	require_io(e, "emit() on a wrong thread");
	REQUIRE(e, e->is_source, "emit() of a sink");
	REQUIRE(e, atomic_load(&e->in_work), "emit() outside of work()");
	REQUIRE(e, stride >= sizeof(*messages), "emit() with a stride that is too small");
	pthread_mutex_lock(&e->mutex);
	REQUIRE(e, e->lossy || count <= e->credit, "emitted more than its credit");
	e->credit -= count < e->credit ? count : e->credit;
	for (uint32_t i = 0; i < count; i++) {
		const struct xf_incoming *in = (const void *)((const char *)messages + (size_t)i * stride);

		message_take_locked(e, in);
		if (in->release != NULL)
			in->release(in->release_context);
	}
	pthread_cond_broadcast(&e->changed);
	pthread_mutex_unlock(&e->mutex);
	return count;
}

static void
result_take_locked(struct harness_endpoint *e, const struct xf_result *r)
{
	struct outgoing *o;

	REQUIRE(e, r->token >= FIRST_TOKEN && r->token - FIRST_TOKEN < e->outgoing_count,
	        "completed a token that never was");
	REQUIRE(e, r->code >= XF_RESULT_STORED && r->code <= XF_RESULT_FAILED, "completed with an unknown code");
	o = e->outgoing[r->token - FIRST_TOKEN];
	REQUIRE(e, o->lent != NULL || o->result.code != 0, "completed a token that it did not take");
	REQUIRE(e, o->result.code == 0, "completed a token twice");
	o->result.code = r->code;
	o->result.flags = r->flags;
	snprintf(o->result.reason, sizeof(o->result.reason), "%.*s", XF_STR_ARG(r->reason));
	free(o->lent);
	o->lent = NULL;
	e->out--;
	e->completed++;
	e->completed_as[r->code]++;
}

static void
host_complete(struct xf_endpoint *endpoint, const struct xf_result *results, uint32_t count)
{
	struct harness_endpoint *e = endpoint_of(endpoint);

	REQUIRE(e, !e->is_source, "complete() of a source");
	pthread_mutex_lock(&e->mutex);
	for (uint32_t i = 0; i < count; i++)
		result_take_locked(e, &results[i]);
	pthread_cond_broadcast(&e->changed);
	pthread_mutex_unlock(&e->mutex);
}

static void
replied_take_locked(struct harness_endpoint *e, const struct xf_replied *r)
{
	struct harness_replied *replied = xf_alloc(sizeof(*replied));
	bool asked = false;

	for (size_t i = 0; i < e->outgoing_count && !asked; i++)
		asked = e->outgoing[i]->message.request == r->request;
	REQUIRE(e, asked && r->request != 0, "brought a reply to a request that never was");
	REQUIRE(e, r->message != NULL ? r->message_size >= sizeof(*r->message) : r->status != 0,
	        "brought a reply without a message, or one of another size");
	*replied = (struct harness_replied){.request = r->request, .status = r->status};
	snprintf(replied->reason, sizeof(replied->reason), "%.*s", XF_STR_ARG(r->reason));
	replied->message = r->message != NULL ? message_copy(r->message) : NULL;
	e->replied = array_room(e->replied, e->replied_count, &e->replied_size, sizeof(*e->replied));
	e->replied[e->replied_count++] = replied;
}

static void
host_replied(struct xf_endpoint *endpoint, const struct xf_replied *replies, uint32_t stride, uint32_t count)
{
	struct harness_endpoint *e = endpoint_of(endpoint);

	REQUIRE(e, !e->is_source && e->info.request_ms > 0, "replied() of an endpoint that makes no requests");
	REQUIRE(e, stride >= sizeof(*replies), "replied() with a stride that is too small");
	pthread_mutex_lock(&e->mutex);
	for (uint32_t i = 0; i < count; i++)
		replied_take_locked(e, (const void *)((const char *)replies + (size_t)i * stride));
	pthread_cond_broadcast(&e->changed);
	pthread_mutex_unlock(&e->mutex);
}

static const struct xf_host harness_host = {
	.struct_size = sizeof(harness_host),
	.abi_minor = XF_ABI_MINOR,
	.option = settings_option,
	.now_ms = host_now_ms,
	.wall_ms = host_wall_ms,
	.log = host_log,
	.wake = host_wake,
	.state = host_state,
	.emit = host_emit,
	.complete = host_complete,
	.settle_within = host_settle_within,
	.get_ext = host_get_ext,
	.sight = host_sight,
	.replied = host_replied,
};

/* ---- The endpoint's thread ------------------------------------------------------- */

static void
loop_work(struct harness_endpoint *e, struct xf_work *work)
{
	uint32_t credit = 0;
	uint64_t bytes = 0;

	pthread_mutex_lock(&e->mutex);
	work->draining = e->drain || e->stop;
	if (e->is_source && !work->draining && e->window > e->unsettled && e->window_bytes > e->unsettled_bytes) {
		credit = e->window - (uint32_t)e->unsettled;
		bytes = e->window_bytes - e->unsettled_bytes;
	}
	e->credit = credit;
	e->begun++;
	pthread_mutex_unlock(&e->mutex);

	work->struct_size = sizeof(*work);
	work->credit_messages = credit;
	work->credit_bytes = bytes;
	work->fd = -1;
	work->events = 0;
	work->timeout_ms = 1000;
	work->room = 0;
	atomic_store(&e->in_work, true);
	if (e->is_source)
		e->source->work(e->instance, work);
	else
		e->sink->work(e->instance, work);
	atomic_store(&e->in_work, false);

	pthread_mutex_lock(&e->mutex);
	e->rounds++;
	pthread_cond_broadcast(&e->changed);
	pthread_mutex_unlock(&e->mutex);
}

static void
copy_outgoing(struct copier *c, struct xf_outgoing *m)
{
	m->headers = copy_headers(c, m->headers, m->header_count);
	m->subject = copy_str(c, m->subject);
	m->id = copy_str(c, m->id);
	m->dedup_id = copy_str(c, m->dedup_id);
	m->key = copy_str(c, m->key);
	m->reply = copy_str(c, m->reply);
	m->content_type = copy_str(c, m->content_type);
	m->payload = copy_str(c, (struct xf_str){m->payload, m->payload_size}).data;
}

static void *
outgoing_copy(const struct xf_outgoing *message, struct xf_outgoing *into)
{
	struct copier measure = {0}, c;
	struct xf_outgoing copy = *message;
	void *memory;

	copy_outgoing(&measure, &copy);
	memory = c.at = xf_alloc(measure.len);
	*into = *message;
	copy_outgoing(&c, into);
	return memory;
}

/* Elements as a later core might lay them out. */
struct offered {
	struct xf_outgoing message;
	uint64_t of_a_later_version;
};

/* Requests have their address asked for, once. */
static void
loop_address(struct harness_endpoint *e)
{
	pthread_mutex_lock(&e->mutex);
	for (size_t i = e->next; i < e->outgoing_count; i++) {
		struct outgoing *o = e->outgoing[i];

		if (o->message.request == 0 || o->addressed)
			continue;
		o->addressed = true;
		pthread_mutex_unlock(&e->mutex);
		memset(o->reply_to, 0, sizeof(o->reply_to));
		o->message.reply.len = e->sink->reply_to(e->instance, o->message.request, o->reply_to, sizeof(o->reply_to));
		o->message.reply.data = o->reply_to;
		REQUIRE(e, o->message.reply.len <= sizeof(o->reply_to), "reply_to() wrote more than there was room for");
		pthread_mutex_lock(&e->mutex);
	}
	pthread_mutex_unlock(&e->mutex);
}

/* Offers up to ROOM messages, in batches. */
static void
loop_publish(struct harness_endpoint *e, uint32_t room)
{
	struct offered *batch = xf_alloc_array(BATCH, sizeof(*batch));
	uint32_t count, taken;

	if (e->info.request_ms > 0)
		loop_address(e);
	do {
		pthread_mutex_lock(&e->mutex);
		count = 0;
		while (!e->hold && e->state != XF_STATE_DOWN && count < BATCH && count < room &&
		       e->next + count < e->outgoing_count) {
			struct outgoing *o = e->outgoing[e->next + count];

			if (o->message.request != 0 && !o->addressed) /* came meanwhile, and has rung */
				break;
			o->lent = outgoing_copy(&o->message, &batch[count].message);
			batch[count].message.token = FIRST_TOKEN + e->next + count;
			count++;
		}
		e->out += count; /* before the call: it may complete within */
		pthread_mutex_unlock(&e->mutex);
		if (count == 0)
			break;

		taken = e->sink->publish(e->instance, &batch->message, sizeof(*batch), count);

		pthread_mutex_lock(&e->mutex);
		REQUIRE(e, taken <= count, "publish() took more than there were");
		for (uint32_t i = 0; i < count; i++) {
			struct outgoing *o = e->outgoing[e->next + i];

			if (i < taken) {
				o->result.taken = true;
				continue;
			}
			REQUIRE(e, o->result.code == 0, "completed a token that it did not take");
			free(o->lent);
			o->lent = NULL;
			e->out--;
		}
		e->next += taken;
		pthread_mutex_unlock(&e->mutex);
		room -= taken;
	} while (taken == count && room > 0);
	free(batch);
}

/* Elements as a later core might lay them out. */
struct answered {
	struct xf_reply reply;
	uint64_t of_a_later_version;
};

static void
loop_reply(struct harness_endpoint *e)
{
	struct reply_due *due;
	struct answered *batch;
	size_t count;

	pthread_mutex_lock(&e->mutex);
	due = e->replies;
	count = e->reply_count;
	if (count > 0) {
		e->replies = NULL;
		e->reply_count = e->reply_size = 0;
	}
	batch = xf_alloc_array(count + 1, sizeof(*batch));
	for (size_t i = 0; i < count; i++)
		batch[i].reply = (struct xf_reply){
			.handle = e->messages[due[i].index]->in.handle,
			.request = &e->messages[due[i].index]->in,
			.message = &due[i].message->in,
			.message_size = sizeof(struct xf_incoming),
			.status = due[i].status,
		};
	pthread_mutex_unlock(&e->mutex);
	if (count > 0) {
		e->source->reply(e->instance, &batch->reply, sizeof(*batch), (uint32_t)count);
		for (size_t i = 0; i < count; i++)
			free(due[i].message);
		free(due);
	}
	free(batch);
}

static void
loop_settle(struct harness_endpoint *e)
{
	struct xf_settlement *batch;
	size_t count;

	pthread_mutex_lock(&e->mutex);
	if (e->hold && !e->stop) {
		pthread_mutex_unlock(&e->mutex);
		return;
	}
	batch = e->settlements;
	count = e->settlement_count;
	e->settlements = NULL;
	e->settlement_count = e->settlement_size = 0;
	for (size_t i = 0; i < count; i++) {
		struct handle *h = e->handle_size > 0 ? handle_find_locked(e, batch[i].handle) : NULL;

		if (h == NULL || h->state != 1 || batch[i].outcome == XF_SETTLE_EXTEND)
			continue;
		h->state = 2;
		e->unsettled--;
		e->unsettled_bytes -= h->bytes;
	}
	if (count > 0)
		e->settled_round = e->rounds + 1;
	pthread_mutex_unlock(&e->mutex);
	loop_reply(e); /* those that were asked for before what is settled here, at least */
	if (count > 0)
		e->source->settle(e->instance, batch, (uint32_t)count);
	free(batch);
	if (count > 0)
		endpoint_ring(e); /* the credit has changed: as the core, tell the plugin */
}

static uint32_t
loop_wait(struct harness_endpoint *e, const struct xf_work *work)
{
	struct pollfd fds[2] = {{.fd = e->bell, .events = POLLIN}, {.fd = work->fd, .events = (short)work->events}};
	uint64_t count;
	int n = poll(fds, work->fd >= 0 ? 2 : 1,
	             work->timeout_ms > (uint32_t)INT32_MAX ? INT32_MAX : (int)work->timeout_ms);

	REQUIRE(e, n >= 0 || errno == EINTR, "poll() failed");
	if (n > 0 && (fds[0].revents & POLLIN))
		REQUIRE(e, read(e->bell, &count, sizeof(count)) > 0, "the bell cannot be read");
	REQUIRE(e, n <= 0 || work->fd < 0 || !(fds[1].revents & POLLNVAL), "asked to wait for a closed descriptor");
	return n > 0 && work->fd >= 0 ? (uint32_t)fds[1].revents : 0;
}

static void *
loop_run(void *context)
{
	struct harness_endpoint *e = context;
	struct xf_work work = {0};
	bool stop;

	pthread_mutex_lock(&e->mutex); /* until `thread` is set */
	stop = e->stop;
	pthread_mutex_unlock(&e->mutex);
	if (e->is_source)
		e->source->start(e->instance);
	else
		e->sink->start(e->instance);
	while (!stop) {
		loop_work(e, &work);
		if (e->is_source)
			loop_settle(e);
		else if (work.room > 0)
			loop_publish(e, work.room);
		pthread_mutex_lock(&e->mutex);
		stop = e->stop;
		pthread_mutex_unlock(&e->mutex);
		if (!stop)
			work.ready = loop_wait(e, &work);
	}
	if (e->is_source) {
		loop_settle(e);
		e->source->stop(e->instance);
	} else {
		e->sink->stop(e->instance);
	}
	atomic_store(&e->quiet, true);
	pthread_mutex_lock(&e->mutex);
	REQUIRE(e, e->out == 0, "stop() left tokens that are not completed");
	pthread_mutex_unlock(&e->mutex);
	return NULL;
}

/* ---- Transports ------------------------------------------------------------------ */

static void
plugin_path(const char *plugin, char *path, size_t size)
{
	snprintf(path, size, "%s/lib/crossfade/plugins/crossfade-transport-%s.so", XF_BINARY_DIR, plugin);
}

bool
harness_available(const char *plugin)
{
	char path[512];

	plugin_path(plugin, path, sizeof(path));
	return access(path, R_OK) == 0;
}

static const struct xf_transport_class *
class_find(void *module, const char *plugin, struct xf_error *error)
{
	const struct xf_entry *(*entry_of)(void) = (const struct xf_entry *(*)(void))dlsym(module, "xf_plugin_entry_v1");
	const struct xf_entry *entry;

	if (entry_of == NULL) {
		xf_error_set(error, "no xf_plugin_entry_v1 in it");
		return NULL;
	}
	entry = entry_of();
	if (entry->magic != XF_ENTRY_MAGIC || entry->abi_major != XF_ABI_MAJOR || entry->pointer_size != sizeof(void *) ||
	    entry->struct_size < sizeof(*entry)) {
		xf_error_set(error, "its entry is not of this ABI");
		return NULL;
	}
	for (size_t i = 0; entry->classes[i] != NULL; i++)
		if (entry->classes[i]->kind == XF_KIND_TRANSPORT && strcmp(entry->classes[i]->name, plugin) == 0)
			return (const struct xf_transport_class *)entry->classes[i];
	xf_error_set(error, "no transport class '%s' in it", plugin);
	return NULL;
}

struct harness *
harness_try_open(const char *plugin, const char *const *options, struct xf_error *error)
{
	struct harness *h = xf_alloc(sizeof(*h));
	char path[512];

	signal(SIGPIPE, SIG_IGN); /* as the core does */
	plugin_path(plugin, path, sizeof(path));
	snprintf(h->name, sizeof(h->name), "%s", plugin);
	h->module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (h->module == NULL) {
		xf_error_set(error, "%s", dlerror());
		goto free_harness;
	}
	h->class = class_find(h->module, plugin, error);
	if (h->class == NULL)
		goto close_module;
	h->settings = settings_create(h->class->options, options, error);
	if (h->settings == NULL)
		goto close_module;
	if (h->class->open != NULL &&
	    h->class->open(&harness_host, h->settings, xf_str(h->name), &h->shared, error) != 0)
		goto destroy_settings;
	return h;

destroy_settings:
	settings_destroy(&h->settings);
close_module:
	dlclose(h->module);
free_harness:
	free(h);
	return NULL;
}

struct harness *
harness_open(const char *plugin, const char *const *options)
{
	struct xf_error error = {""};
	struct harness *h = harness_try_open(plugin, options, &error);

	if (h == NULL)
		harness_fail("cannot open a transport of plugin %s: %s", plugin, error.text);
	return h;
}

void
harness_close(struct harness **harness)
{
	struct harness *h = *harness;

	*harness = NULL;
	if (h == NULL)
		return;
	if (h->endpoints != 0)
		harness_fail("transport %s is closed with %u endpoints", h->name, h->endpoints);
	if (h->class->close != NULL)
		h->class->close(h->shared);
	settings_destroy(&h->settings);
	/* the module stays, as in the core: sanitizers name its functions only while it is there */
	free(h);
}

const struct xf_transport_class *
harness_class(const struct harness *harness)
{
	return harness->class;
}

const char *
harness_report(struct harness *harness)
{
	uint32_t len = 0;

	if (harness->class->report != NULL)
		len = harness->class->report(harness->shared, harness->report, sizeof(harness->report) - 1);
	if (len >= sizeof(harness->report))
		harness_fail("plugin %s: report() wrote more than there was room for", harness->name);
	harness->report[len] = '\0';
	return harness->report;
}

static struct xf_config *
settings_or_fail(const struct xf_option *const *table, const char *const *options)
{
	struct xf_error error = {""};
	struct xf_config *settings = settings_create(table, options, &error);

	if (settings == NULL)
		harness_fail("%s", error.text);
	return settings;
}

uint64_t
harness_source_traits(struct harness *harness, const char *const *options)
{
	struct xf_config *settings = settings_or_fail(harness->class->source_options, options);
	uint64_t traits = harness->class->source->traits(&harness_host, harness->settings, settings);

	settings_destroy(&settings);
	return traits;
}

uint64_t
harness_sink_traits(struct harness *harness, const char *const *options)
{
	struct xf_config *settings = settings_or_fail(harness->class->sink_options, options);
	uint64_t traits = harness->class->sink->traits(&harness_host, harness->settings, settings);

	settings_destroy(&settings);
	return traits;
}

/* ---- Endpoints --------------------------------------------------------------------- */

void
harness_requests(struct harness *harness, uint32_t request_ms)
{
	harness->request_ms = request_ms;
}

static struct harness_endpoint *
endpoint_alloc(struct harness *harness, const char *name, const char *subject, bool is_source)
{
	struct harness_endpoint *e = xf_alloc(sizeof(*e));
	pthread_condattr_t attr;

	e->harness = harness;
	e->is_source = is_source;
	e->source = harness->class->source;
	e->sink = harness->class->sink;
	if (is_source ? e->source == NULL : e->sink == NULL)
		harness_fail("plugin %s has no %s", harness->name, is_source ? "source" : "sink");
	snprintf(e->name, sizeof(e->name), "%s", name);
	snprintf(e->subject, sizeof(e->subject), "%s", subject != NULL ? subject : is_source ? ">" : "{subject}");
	e->window = 4096;
	e->window_bytes = 64 << 20;
	e->info = (struct xf_endpoint_info){
		.struct_size = sizeof(e->info),
		.max_in_flight = e->window,
		.name = xf_str(e->name),
		.route = xf_str("harness"),
		.transport = xf_str(harness->name),
		.server = xf_str("harness"),
		.subject = xf_str(e->subject),
		.request_ms = is_source ? 0 : harness->request_ms,
		.replies = is_source && harness->request_ms > 0,
	};
	e->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (e->bell < 0)
		harness_fail("no eventfd: %s", strerror(errno));
	pthread_mutex_init(&e->mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&e->changed, &attr);
	pthread_condattr_destroy(&attr);
	return e;
}

static void
endpoint_free(struct harness_endpoint *e)
{
	for (size_t i = 0; i < e->message_count; i++)
		free(e->messages[i]);
	for (size_t i = 0; i < e->reply_count; i++)
		free(e->replies[i].message);
	free(e->replies);
	for (size_t i = 0; i < e->replied_count; i++) {
		free(e->replied[i]->message);
		free(e->replied[i]);
	}
	free(e->replied);
	for (size_t i = 0; i < e->outgoing_count; i++) {
		free(e->outgoing[i]->memory);
		free(e->outgoing[i]);
	}
	free(e->messages);
	free(e->handles);
	free(e->settlements);
	free(e->outgoing);
	pthread_cond_destroy(&e->changed);
	pthread_mutex_destroy(&e->mutex);
	close(e->bell);
	settings_destroy(&e->settings);
	free(e);
}

static int32_t
endpoint_check_and_create(struct harness_endpoint *e, struct xf_error *error)
{
	struct harness *h = e->harness;
	struct xf_endpoint *handle = (struct xf_endpoint *)e;

	if (e->is_source) {
		if (e->source->check != NULL &&
		    e->source->check(&harness_host, h->settings, e->settings, &e->info, error) != 0)
			return -1;
		return e->source->create(&harness_host, handle, h->shared, h->settings, e->settings, &e->info,
		                         &e->instance, error);
	}
	if (e->sink->check != NULL && e->sink->check(&harness_host, h->settings, e->settings, &e->info, error) != 0)
		return -1;
	return e->sink->create(&harness_host, handle, h->shared, h->settings, e->settings, &e->info, &e->instance,
	                       error);
}

static struct harness_endpoint *
endpoint_create(struct harness *harness, const char *name, const char *subject, const char *const *options,
                bool is_source, struct xf_error *error)
{
	struct harness_endpoint *e = endpoint_alloc(harness, name, subject, is_source);
	struct xf_error own = {""};

	e->settings = settings_create(is_source ? harness->class->source_options : harness->class->sink_options, options,
	                              &own);
	if (e->settings == NULL || endpoint_check_and_create(e, &own) != 0) {
		if (error == NULL)
			harness_fail("%s '%s' of plugin %s: %s", is_source ? "source" : "sink", name, harness->name,
			             own.text);
		*error = own;
		endpoint_free(e);
		return NULL;
	}
	if (is_source)
		e->lossy = e->source->traits(&harness_host, harness->settings, e->settings) & XF_TRAIT_LOSSY;
	harness->endpoints++;
	return e;
}

struct harness_endpoint *
harness_source_create(struct harness *harness, const char *name, const char *subject, const char *const *options,
                      struct xf_error *error)
{
	return endpoint_create(harness, name, subject, options, true, error);
}

struct harness_endpoint *
harness_sink_create(struct harness *harness, const char *name, const char *subject, const char *const *options,
                    struct xf_error *error)
{
	return endpoint_create(harness, name, subject, options, false, error);
}

void
harness_start(struct harness_endpoint *endpoint)
{
	REQUIRE(endpoint, !endpoint->started, "is started twice by the test");
	pthread_mutex_lock(&endpoint->mutex);
	endpoint->started = true;
	if (pthread_create(&endpoint->thread, NULL, loop_run, endpoint) != 0)
		harness_fail("no thread");
	pthread_mutex_unlock(&endpoint->mutex);
}

void
harness_stop(struct harness_endpoint *endpoint)
{
	if (!endpoint->started || endpoint->stopped)
		return;
	pthread_mutex_lock(&endpoint->mutex);
	endpoint->stop = true;
	pthread_mutex_unlock(&endpoint->mutex);
	endpoint_ring(endpoint);
	pthread_join(endpoint->thread, NULL);
	endpoint->stopped = true;
}

void
harness_destroy(struct harness_endpoint **endpoint)
{
	struct harness_endpoint *e = *endpoint;

	*endpoint = NULL;
	if (e == NULL)
		return;
	harness_stop(e);
	if (e->is_source)
		e->source->destroy(e->instance);
	else
		e->sink->destroy(e->instance);
	e->harness->endpoints--;
	endpoint_free(e);
}

struct harness_endpoint *
harness_source(struct harness *harness, const char *name, const char *subject, const char *const *options)
{
	struct harness_endpoint *e = harness_source_create(harness, name, subject, options, NULL);

	harness_start(e);
	return e;
}

struct harness_endpoint *
harness_sink(struct harness *harness, const char *name, const char *subject, const char *const *options)
{
	struct harness_endpoint *e = harness_sink_create(harness, name, subject, options, NULL);

	harness_start(e);
	return e;
}

/* Waits until CONDITION holds, with the mutex held; its value is whether it does. */
#define WAIT_LOCKED(endpoint, condition, deadline_ms)                                              \
	({                                                                                         \
		struct timespec wait_until = deadline_after(deadline_ms);                          \
		pthread_mutex_lock(&(endpoint)->mutex);                                            \
		while (!(condition) && pthread_cond_timedwait(&(endpoint)->changed, &(endpoint)->mutex, \
		                                              &wait_until) == 0)                   \
			;                                                                          \
		bool wait_holds = (condition);                                                     \
		pthread_mutex_unlock(&(endpoint)->mutex);                                          \
		wait_holds;                                                                        \
	})

#define READ_LOCKED(endpoint, expression)                                                          \
	({                                                                                         \
		pthread_mutex_lock(&(endpoint)->mutex);                                            \
		__typeof__(expression) read_value = (expression);                                  \
		pthread_mutex_unlock(&(endpoint)->mutex);                                          \
		read_value;                                                                        \
	})

static struct timespec
deadline_after(unsigned milliseconds)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += milliseconds / 1000;
	t.tv_nsec += (long)(milliseconds % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

uint32_t
harness_state(struct harness_endpoint *endpoint)
{
	return READ_LOCKED(endpoint, endpoint->state);
}

size_t
harness_state_count(struct harness_endpoint *endpoint, uint32_t state)
{
	return READ_LOCKED(endpoint, endpoint->state_counts[state]);
}

const char *
harness_state_reason(struct harness_endpoint *endpoint)
{
	static char reason[sizeof(endpoint->reason)];

	pthread_mutex_lock(&endpoint->mutex);
	memcpy(reason, endpoint->reason, sizeof(reason));
	pthread_mutex_unlock(&endpoint->mutex);
	return reason;
}

bool
harness_wait_state(struct harness_endpoint *endpoint, uint32_t state, unsigned deadline_ms)
{
	return WAIT_LOCKED(endpoint, endpoint->state == state && endpoint->state_counts[state] > 0, deadline_ms);
}

struct xf_sight
harness_wait_sight(struct harness_endpoint *endpoint, uint32_t known, unsigned deadline_ms)
{
	struct xf_sight sight;
	size_t before;

	pthread_mutex_lock(&endpoint->mutex);
	before = endpoint->sight_count;
	pthread_mutex_unlock(&endpoint->mutex);
	if (!WAIT_LOCKED(endpoint, endpoint->sight_count > before && (endpoint->sight.known & known) == known, deadline_ms))
		harness_fail("%s: no sight of %x within %u ms", endpoint->name, known, deadline_ms);
	pthread_mutex_lock(&endpoint->mutex);
	sight = endpoint->sight;
	pthread_mutex_unlock(&endpoint->mutex);
	return sight;
}

bool
harness_wait_state_count(struct harness_endpoint *endpoint, uint32_t state, size_t count, unsigned deadline_ms)
{
	return WAIT_LOCKED(endpoint, endpoint->state_counts[state] >= count, deadline_ms);
}

void
harness_drain(struct harness_endpoint *endpoint)
{
	pthread_mutex_lock(&endpoint->mutex);
	endpoint->drain = true;
	pthread_mutex_unlock(&endpoint->mutex);
	endpoint_ring(endpoint);
}

size_t
harness_log_count(struct harness_endpoint *endpoint, uint32_t level)
{
	size_t count = 0;

	for (uint32_t i = 0; i <= level; i++)
		count += READ_LOCKED(endpoint, endpoint->log_counts[i]);
	return count;
}

/* ---- Sources ------------------------------------------------------------------------- */

void
harness_window(struct harness_endpoint *source, uint32_t messages, uint64_t bytes)
{
	uint64_t begun;

	pthread_mutex_lock(&source->mutex);
	source->window = messages;
	source->window_bytes = bytes;
	begun = source->begun;
	pthread_mutex_unlock(&source->mutex);
	if (!source->started || source->stopped)
		return;
	endpoint_ring(source);
	if (!WAIT_LOCKED(source, source->rounds >= begun, XF_WAIT_MS))
		harness_fail("%s: work() does not return", source->name);
}

void
harness_settle_auto(struct harness_endpoint *source, uint32_t outcome, bool keep)
{
	pthread_mutex_lock(&source->mutex);
	source->auto_outcome = outcome;
	source->auto_drop = !keep;
	pthread_mutex_unlock(&source->mutex);
}

size_t
harness_received(struct harness_endpoint *source)
{
	return READ_LOCKED(source, source->received);
}

bool
harness_wait_received(struct harness_endpoint *source, size_t count, unsigned deadline_ms)
{
	return WAIT_LOCKED(source, source->received >= count, deadline_ms);
}

const struct harness_message *
harness_message(struct harness_endpoint *source, size_t index)
{
	return READ_LOCKED(source, index < source->message_count ? source->messages[index] : NULL);
}

const char *
harness_header(const struct harness_message *message, const char *name)
{
	for (uint32_t i = 0; i < message->in.header_count; i++)
		if (strcmp(message->in.headers[i].name.data, name) == 0)
			return message->in.headers[i].value.data;
	return NULL;
}

static void
settle_locked(struct harness_endpoint *e, size_t index, uint32_t outcome, uint32_t delay_ms)
{
	struct harness_message *m = index < e->message_count ? e->messages[index] : NULL;

	if (m == NULL)
		harness_fail("the test settles message %zu, which is not there", index);
	m->settled |= outcome != XF_SETTLE_EXTEND;
	settlement_add_locked(e, m->in.handle, outcome, delay_ms);
}

void
harness_settle(struct harness_endpoint *source, size_t index, uint32_t outcome, uint32_t delay_ms)
{
	pthread_mutex_lock(&source->mutex);
	settle_locked(source, index, outcome, delay_ms);
	pthread_mutex_unlock(&source->mutex);
	endpoint_ring(source);
}

void
harness_settle_range(struct harness_endpoint *source, size_t first, size_t count, uint32_t outcome)
{
	pthread_mutex_lock(&source->mutex);
	for (size_t i = 0; i < count; i++)
		settle_locked(source, first + i, outcome, 0);
	pthread_mutex_unlock(&source->mutex);
	endpoint_ring(source);
}

void
harness_reply(struct harness_endpoint *source, size_t index, const struct xf_incoming *reply, uint32_t status)
{
	pthread_mutex_lock(&source->mutex);
	if (index >= source->message_count || source->messages[index] == NULL)
		harness_fail("the test replies to message %zu, which is not there", index);
	source->replies = array_room(source->replies, source->reply_count, &source->reply_size, sizeof(*source->replies));
	source->replies[source->reply_count++] = (struct reply_due){index, message_copy(reply), status};
	pthread_mutex_unlock(&source->mutex);
	endpoint_ring(source);
}

void
harness_reply_text(struct harness_endpoint *source, size_t index, const char *payload)
{
	struct xf_incoming reply = {.payload = payload, .payload_size = strlen(payload), .id = xf_str("reply"), .content_type = xf_str("text/plain")};

	harness_reply(source, index, &reply, 0);
}

void
harness_unwrap(struct harness_endpoint *source, size_t index, const char *address)
{
	struct harness_message *m;

	pthread_mutex_lock(&source->mutex);
	m = source->messages[index];
	snprintf(m->reply_to, sizeof(m->reply_to), "%s", address);
	m->in.reply = xf_str(m->reply_to);
	pthread_mutex_unlock(&source->mutex);
}

void
harness_settle_handle(struct harness_endpoint *source, uint64_t handle, uint32_t outcome)
{
	pthread_mutex_lock(&source->mutex);
	settlement_add_locked(source, handle, outcome, 0);
	pthread_mutex_unlock(&source->mutex);
	endpoint_ring(source);
}

bool
harness_wait_settled(struct harness_endpoint *source, unsigned deadline_ms)
{
	return WAIT_LOCKED(source, source->settlement_count == 0 && source->rounds >= source->settled_round, deadline_ms);
}

/* ---- Sinks ------------------------------------------------------------------------------ */

size_t
harness_publish(struct harness_endpoint *sink, const struct xf_outgoing *message)
{
	struct outgoing *o = xf_alloc(sizeof(*o));
	size_t token;

	o->memory = outgoing_copy(message, &o->message);
	pthread_mutex_lock(&sink->mutex);
	sink->outgoing = array_room(sink->outgoing, sink->outgoing_count, &sink->outgoing_size, sizeof(*sink->outgoing));
	token = sink->outgoing_count++;
	sink->outgoing[token] = o;
	pthread_mutex_unlock(&sink->mutex);
	if (sink->started && !sink->stopped)
		endpoint_ring(sink);
	return token;
}

size_t
harness_publish_text(struct harness_endpoint *sink, const char *subject, const char *payload)
{
	char id[32];
	struct xf_outgoing message = {
		.subject = xf_str(subject),
		.payload = payload,
		.payload_size = strlen(payload),
		.time_ms = xf_wall_ms(),
	};

	snprintf(id, sizeof(id), "%08x%08x", (unsigned)getpid(), (unsigned)xf_now_ns());
	message.id = message.dedup_id = xf_str(id);
	return harness_publish(sink, &message);
}

size_t
harness_republish(struct harness_endpoint *sink, size_t token)
{
	struct xf_outgoing again;

	pthread_mutex_lock(&sink->mutex);
	if (token >= sink->outgoing_count)
		harness_fail("the test publishes token %zu again, which never was", token);
	again = sink->outgoing[token]->message;
	pthread_mutex_unlock(&sink->mutex);
	again.flags |= XF_OUTGOING_RETRY;
	return harness_publish(sink, &again);
}

void
harness_hold(struct harness_endpoint *endpoint, bool held)
{
	pthread_mutex_lock(&endpoint->mutex);
	endpoint->hold = held;
	pthread_mutex_unlock(&endpoint->mutex);
	if (endpoint->started && !endpoint->stopped)
		endpoint_ring(endpoint);
}

const char *
harness_address(struct harness_endpoint *sink, uint64_t request)
{
	const char *address = NULL;

	pthread_mutex_lock(&sink->mutex);
	for (size_t i = 0; i < sink->outgoing_count && address == NULL; i++)
		if (sink->outgoing[i]->message.request == request && sink->outgoing[i]->addressed)
			address = sink->outgoing[i]->reply_to;
	pthread_mutex_unlock(&sink->mutex);
	return address;
}

size_t
harness_replied(struct harness_endpoint *sink)
{
	return READ_LOCKED(sink, sink->replied_count);
}

bool
harness_wait_replied(struct harness_endpoint *sink, size_t count, unsigned deadline_ms)
{
	return WAIT_LOCKED(sink, sink->replied_count >= count, deadline_ms);
}

const struct harness_replied *
harness_replied_at(struct harness_endpoint *sink, size_t index)
{
	return READ_LOCKED(sink, index < sink->replied_count ? sink->replied[index] : NULL);
}

size_t
harness_published(struct harness_endpoint *sink)
{
	return READ_LOCKED(sink, sink->outgoing_count);
}

size_t
harness_completed(struct harness_endpoint *sink)
{
	return READ_LOCKED(sink, sink->completed);
}

size_t
harness_completed_as(struct harness_endpoint *sink, uint32_t code)
{
	return READ_LOCKED(sink, sink->completed_as[code]);
}

bool
harness_wait_completed(struct harness_endpoint *sink, size_t count, unsigned deadline_ms)
{
	return WAIT_LOCKED(sink, sink->completed >= count, deadline_ms);
}

struct harness_result
harness_result(struct harness_endpoint *sink, size_t token)
{
	struct harness_result result = {0};

	pthread_mutex_lock(&sink->mutex);
	if (token < sink->outgoing_count)
		result = sink->outgoing[token]->result;
	pthread_mutex_unlock(&sink->mutex);
	return result;
}
