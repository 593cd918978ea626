/*
 * Another configuration while messages are under way, by sources and sinks that do as each test says: a sink that takes all
 * and confirms nothing, a source that is busy, routes that read a migration and remember what they have had.
 *
 * An endpoint is known by its transport's name, and what it is told and has done outlives its instances, as a broker would.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "flow/parts.h"
#include "handler_fake.h"
#include "host/host.h"

#define MESSAGES 4096
#define ENDS 8
#define PATIENCE_S 60 /* past it the whole test ends: something waits for ever */

struct letter {
	char subject[32], id[32], key[32], reply[32];
	char own_key[32], own_id[32]; /* its headers of crossfade's */
};

/* What is atomic the test reads, or sets to steer; the rest is the running instance's. */
struct end {
	char name[16];
	_Atomic bool stuck, stuck_in_stop; /* does not come back from there */
	_Atomic bool is_stuck;

	/* as a source */
	_Atomic uint32_t to_emit; /* new messages */
	uint32_t emitted;
	uint32_t hops; /* of its messages; 0: they say nothing */
	struct letter gives; /* texts that they come with */
	bool gives_no_id;
	uint32_t again[MESSAGES], again_count;
	bool open[MESSAGES];
	_Atomic bool at_end; /* tells so */
	_Atomic uint32_t busy_ms; /* each call to work() */
	_Atomic bool held; /* has no credit */
	_Atomic uint32_t acked, rejected, retried;

	/* as a sink */
	_Atomic bool keeps; /* completes nothing */
	_Atomic bool down;
	_Atomic uint32_t room; /* takes so many at once; 0: all */
	_Atomic uint32_t code; /* of its answers; 0: STORED */
	_Atomic uint32_t stored, taken;
	uint32_t hops_seen;
	struct letter got; /* the last */
	uint32_t latest;
	_Atomic bool overtaken;
	bool has[MESSAGES];
};

struct instance {
	const struct xf_host *host;
	struct xf_endpoint *endpoint;
	struct end *end;
	bool up;
	uint64_t out[MESSAGES];
	uint32_t number[MESSAGES], out_count;
};

static struct end ends[ENDS];

static void
nap_ms(long ms)
{
	struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&time, NULL);
}

static void
assert_becomes(_Atomic uint32_t *number, uint32_t expected)
{
	for (int i = 0; i < 2000 && *number != expected; i++)
		nap_ms(5);
	assert_int_equal(*number, expected);
}

static struct end *
end_of(const char *name)
{
	for (size_t i = 0; i < ENDS; i++) {
		if (ends[i].name[0] == '\0')
			snprintf(ends[i].name, sizeof(ends[i].name), "%s", name);
		if (strcmp(ends[i].name, name) == 0)
			return &ends[i];
	}
	fail();
	return NULL;
}

static int32_t
instance_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared, const struct xf_config *transport,
                const struct xf_config *config, const struct xf_endpoint_info *info, void **out, struct xf_error *error)
{
	struct instance *instance = xf_alloc(sizeof(*instance));
	char name[16];

	(void)shared, (void)transport, (void)config, (void)error;
	snprintf(name, sizeof(name), "%.*s", XF_STR_ARG(info->transport));
	*instance = (struct instance){.host = host, .endpoint = endpoint, .end = end_of(name)};
	*out = instance;
	return 0;
}

static void
instance_ignore(void *instance)
{
	(void)instance;
}

static void
stick(struct end *end, const _Atomic bool *stuck)
{
	for (; *stuck; nap_ms(1))
		end->is_stuck = true;
	end->is_stuck = false;
}

/* ---- The source ------------------------------------------------------------------------------- */

static void
source_start(void *context)
{
	struct instance *instance = context;

	instance->host->state(instance->endpoint, XF_STATE_UP, NULL);
}

static void
source_emit(struct instance *instance, uint32_t number)
{
	char id[32] = "", payload[16], hops[16];
	const struct letter *gives = &instance->end->gives;
	struct xf_header headers[4];
	struct xf_incoming message = {.handle = number, .headers = headers, .reply = xf_str(gives->reply)};

	if (!instance->end->gives_no_id)
		snprintf(id, sizeof(id), "id-%u", number);
	message.subject = xf_str(gives->subject[0] != '\0' ? gives->subject : "orders");
	message.id = xf_str(id);
	message.key = xf_str(gives->key);
	message.payload_size = (uint64_t)snprintf(payload, sizeof(payload), "%u", number);
	message.payload = payload;
	snprintf(hops, sizeof(hops), "%u", instance->end->hops);
	headers[message.header_count++] = (struct xf_header){xf_str("first"), xf_str("1")};
	if (instance->end->hops > 0)
		headers[message.header_count++] = (struct xf_header){xf_str("Crossfade-Hops"), xf_str(hops)};
	if (gives->own_key[0] != '\0')
		headers[message.header_count++] = (struct xf_header){xf_str("Crossfade-Key"), xf_str(gives->own_key)};
	headers[message.header_count++] = (struct xf_header){xf_str("last"), xf_str("2")};
	instance->end->open[number] = true;
	assert_int_equal(instance->host->emit(instance->endpoint, &message, sizeof(message), 1), 1);
}

static void
source_work(void *context, struct xf_work *work)
{
	struct instance *instance = context;
	struct end *end = instance->end;

	work->timeout_ms = 1;
	end->held = work->credit_messages == 0;
	stick(end, &end->stuck);
	if (end->busy_ms > 0)
		nap_ms(end->busy_ms);
	if (end->at_end)
		instance->host->sight(instance->endpoint,
		                      &(struct xf_sight){.struct_size = sizeof(struct xf_sight), .known = XF_SIGHT_LAG});
	for (uint32_t credit = work->credit_messages; credit > 0; credit--) {
		if (end->again_count > 0) {
			source_emit(instance, end->again[--end->again_count]);
		} else if (end->to_emit > 0) {
			source_emit(instance, end->emitted++);
			end->to_emit--;
		} else
			break;
	}
}

static void
source_settle(void *context, const struct xf_settlement *settlements, uint32_t count)
{
	struct end *end = ((struct instance *)context)->end;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t number = (uint32_t)settlements[i].handle;

		if (settlements[i].outcome == XF_SETTLE_EXTEND)
			continue;
		assert_true(end->open[number]);
		end->open[number] = false;
		if (settlements[i].outcome == XF_SETTLE_RETRY)
			end->again[end->again_count++] = number;
		*(settlements[i].outcome == XF_SETTLE_ACK      ? &end->acked
		  : settlements[i].outcome == XF_SETTLE_REJECT ? &end->rejected
		                                               : &end->retried) += 1;
	}
}

/* What is not settled the broker offers again. */
static void
source_stop(void *context)
{
	struct end *end = ((struct instance *)context)->end;

	stick(end, &end->stuck_in_stop);
	for (uint32_t number = end->emitted; number-- > 0;) {
		if (end->open[number])
			end->again[end->again_count++] = number;
		end->open[number] = false;
	}
}

/* ---- The sink --------------------------------------------------------------------------------- */

static void
out_complete(struct instance *instance, uint32_t code, const char *reason)
{
	struct end *end = instance->end;

	for (uint32_t i = 0; i < instance->out_count; i++) {
		struct xf_result result = {.token = instance->out[i], .code = code, .reason = xf_str(reason)};
		uint32_t number = instance->number[i];

		if (code == XF_RESULT_STORED && !end->has[number]) {
			end->overtaken = end->overtaken || number < end->latest;
			end->latest = number;
			end->has[number] = true;
			end->stored++;
		}
		instance->host->complete(instance->endpoint, &result, 1);
	}
	instance->out_count = 0;
}

static void
sink_work(void *context, struct xf_work *work)
{
	struct instance *instance = context;
	struct end *end = instance->end;

	work->timeout_ms = 1;
	stick(end, &end->stuck);
	if (end->down != !instance->up) {
		instance->up = !end->down;
		out_complete(instance, XF_RESULT_UNKNOWN, "the connection broke");
		instance->host->state(instance->endpoint, end->down ? XF_STATE_DOWN : XF_STATE_UP, NULL);
	}
	if (!end->keeps)
		out_complete(instance, end->code > 0 ? end->code : XF_RESULT_STORED, end->code > 0 ? "as told" : "");
	work->room = (end->room > 0 ? end->room : MESSAGES) - instance->out_count;
}

/* Bytes of a message are not terminated. */
static uint32_t
number_read(const char *text, uint64_t len)
{
	uint32_t number = 0;

	for (uint64_t i = 0; i < len; i++)
		number = number * 10 + (uint32_t)(text[i] - '0');
	return number;
}

static void
text_copy(char *to, struct xf_str text)
{
	snprintf(to, 32, "%.*s", XF_STR_ARG(text));
}

static void
letter_read(const struct xf_outgoing *message, struct letter *got)
{
	memset(got, 0, sizeof(*got));
	text_copy(got->subject, message->subject);
	text_copy(got->id, message->id);
	text_copy(got->key, message->key);
	text_copy(got->reply, message->reply);
	for (uint32_t h = 0; h < message->header_count; h++) {
		if (xf_str_is(message->headers[h].name, "Crossfade-Key"))
			text_copy(got->own_key, message->headers[h].value);
		if (xf_str_is(message->headers[h].name, "Crossfade-Id"))
			text_copy(got->own_id, message->headers[h].value);
	}
	assert_true(xf_str_is(message->headers[0].name, "first"));
	assert_true(xf_str_is(message->headers[1].name, "last"));
}

static uint32_t
sink_publish(void *context, const struct xf_outgoing *messages, uint32_t stride, uint32_t count)
{
	struct instance *instance = context;

	for (uint32_t i = 0; i < count; i++) {
		const struct xf_outgoing *message = (const void *)((const char *)messages + (size_t)i * stride);

		instance->out[instance->out_count] = message->token;
		instance->number[instance->out_count++] = number_read(message->payload, message->payload_size);
		letter_read(message, &instance->end->got);
		instance->end->taken++;
		for (uint32_t h = 0; h < message->header_count; h++)
			if (xf_str_is(message->headers[h].name, "Crossfade-Hops"))
				instance->end->hops_seen =
					number_read(message->headers[h].value.data, message->headers[h].value.len);
	}
	return count;
}

static void
sink_stop(void *context)
{
	stick(((struct instance *)context)->end, &((struct instance *)context)->end->stuck_in_stop);
	out_complete(context, XF_RESULT_UNKNOWN, "stopped");
}

static uint64_t
end_traits(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint)
{
	(void)host, (void)transport, (void)endpoint;
	return XF_TRAIT_IDS | XF_TRAIT_HEADERS;
}

static const struct xf_source_ops source_ops = {
	.struct_size = sizeof(source_ops),
	.traits = end_traits,
	.create = instance_create,
	.start = source_start,
	.work = source_work,
	.settle = source_settle,
	.stop = source_stop,
	.destroy = free,
};

static const struct xf_sink_ops sink_ops = {
	.struct_size = sizeof(sink_ops),
	.traits = end_traits,
	.create = instance_create,
	.start = instance_ignore,
	.work = sink_work,
	.publish = sink_publish,
	.stop = sink_stop,
	.destroy = free,
};

static const struct xf_transport_class scripted = {
	.head = {sizeof(scripted), XF_KIND_TRANSPORT, "scripted", "does as it is told"},
	.source = &source_ops,
	.sink = &sink_ops,
};

/* ---- The flow ----------------------------------------------------------------------------------- */

static struct world {
	char folder[64];
	const struct xf_conf *conf;
	struct xf_state *state;
	struct xf_flow *flow;
} world;

static const struct xf_transport_class *
class_find(void *context, const char *name, struct xf_error *error)
{
	(void)context, (void)name, (void)error;
	return &scripted;
}

static const struct xf_handler_class *
handler_find(void *context, const char *name, struct xf_error *error)
{
	(void)context, (void)name, (void)error;
	return &handler_fake;
}

/* TEXT is what follows the server and the transports s, t, a, b, c, d. */
static const struct xf_conf *
conf_make(const char *text)
{
	const struct xf_conf_catalogue catalogue = {.transport = class_find, .handler = handler_find, .host = xf_host()};
	char *whole = xf_format("server: {name: test, data_dir: %s}\n"
	                        "transports: {s: {plugin: scripted}, t: {plugin: scripted}, a: {plugin: scripted}, "
	                        "b: {plugin: scripted}, c: {plugin: scripted}, d: {plugin: scripted}}\n%s",
	                        world.folder, text);
	struct xf_buffer errors = {0};
	const struct xf_conf *conf = xf_conf_load_text("test.yaml", xf_str(whole), &catalogue, &errors);

	if (conf == NULL)
		fail_msg("%.*s", (int)errors.len, errors.data);
	xf_buffer_fini(&errors);
	free(whole);
	return conf;
}

static void
world_make(const char *text)
{
	struct xf_error error;

	memset(ends, 0, sizeof(ends));
	alarm(PATIENCE_S);
	snprintf(world.folder, sizeof(world.folder), "/tmp/xf-reload-XXXXXX");
	assert_non_null(mkdtemp(world.folder));
	world.conf = conf_make(text);
	world.state = xf_state_open(world.folder, &error);
	assert_non_null(world.state);
	world.flow = xf_flow_create(world.conf, world.state, &error);
	assert_non_null(world.flow);
}

static void
world_start(void)
{
	xf_flow_start(world.flow);
	for (int i = 0; i < 2000 && !xf_flow_ready(world.flow); i++)
		nap_ms(5);
	assert_true(xf_flow_ready(world.flow));
}

static enum xf_status
reload(const char *text)
{
	const struct xf_conf *conf = conf_make(text);
	struct xf_reload_report report;
	struct xf_error error;
	enum xf_status status = xf_flow_reload(world.flow, conf, &report, &error);

	if (status != XF_OK)
		xf_conf_destroy(&conf);
	xf_reload_report_fini(&report);
	return status;
}

/* How many were late to end, or SIZE_MAX where it is refused. */
static size_t
reload_late(const char *text, uint64_t patience_ms)
{
	const struct xf_conf *conf = conf_make(text);
	struct xf_reload_report report;
	struct xf_error error;
	size_t late = SIZE_MAX;

	world.flow->patience_ms = patience_ms;
	if (xf_flow_reload(world.flow, conf, &report, &error) == XF_OK)
		late = report.late_count;
	else
		xf_conf_destroy(&conf);
	xf_reload_report_fini(&report);
	return late;
}

/* Refused, with PART in the reason. */
static void
assert_reload_fails(const char *text, const char *part)
{
	const struct xf_conf *conf = conf_make(text);
	struct xf_reload_report report;
	struct xf_error error = {{0}};

	assert_int_equal(xf_flow_reload(world.flow, conf, &report, &error), XF_FAILED);
	if (strstr(error.text, part) == NULL)
		fail_msg("'%s' does not say '%s'", error.text, part);
	xf_conf_destroy(&conf);
	xf_reload_report_fini(&report);
}

/* Ends all within TIMEOUT_MS, with LEFT messages that are not settled. */
static void
world_fini(uint64_t timeout_ms, uint64_t left)
{
	char command[128];

	assert_int_equal(xf_flow_drain(world.flow, timeout_ms), left);
	xf_flow_destroy(&world.flow);
	xf_state_close(&world.state);
	xf_conf_destroy(&world.conf);
	snprintf(command, sizeof(command), "rm -rf '%s'", world.folder);
	assert_int_equal(system(command), 0);
	alarm(0);
}

/* ---- Tests -------------------------------------------------------------------------------------- */

#define HANG(ONE, TWO) \
	"routes: [{name: r, from: {transport: s}, key: \"{id}\", to: {transport: " ONE "}}, " \
	"{name: q, from: {transport: t}, to: {transport: " TWO "}}]"

/* Takes a few, confirms nothing, and says that it is up: what it is left with goes the new way, in order. */
static void
a_sink_that_hangs_is_left(void **state)
{
	static const char *const hanging[] = {"a", "c"};

	(void)state;
	world_make(HANG("a", "c"));
	for (size_t i = 0; i < 2; i++) {
		end_of(hanging[i])->keeps = true;
		end_of(hanging[i])->room = 10;
	}
	world_start();
	end_of("s")->to_emit = end_of("t")->to_emit = 500;
	assert_becomes(&end_of("a")->taken, 10);
	assert_becomes(&end_of("c")->taken, 10);
	assert_int_equal(reload(HANG("b", "d")), XF_OK);
	end_of("t")->to_emit = 500;
	assert_becomes(&end_of("s")->acked, 500);
	assert_becomes(&end_of("t")->acked, 1000);
	assert_int_equal(end_of("b")->stored, 500);
	assert_int_equal(end_of("d")->stored, 1000);
	assert_false(end_of("d")->overtaken);
	world_fini(10000, 0);
}

static void *
reload_run(void *text)
{
	assert_int_equal(reload(text), XF_OK);
	return NULL;
}

/* Whoever looks is not kept waiting by a source that does not come back to its loop. */
static void
a_busy_source_keeps_nobody_out(void **state)
{
	pthread_t thread;
	uint64_t longest = 0, until;

	(void)state;
	world_make("routes: [{name: r, from: {transport: s}, to: {transport: a}}]");
	world_start();
	end_of("s")->busy_ms = 1500;
	nap_ms(50);
	assert_int_equal(pthread_create(&thread, NULL, reload_run,
	                                (void *)"routes: [{name: r, from: {transport: s}, to: {transport: b}}]"), 0);
	for (until = xf_now_ms() + 6000; xf_now_ms() < until; nap_ms(10)) {
		uint64_t began = xf_now_ms();

		xf_flow_enter(world.flow);
		xf_flow_leave(world.flow);
		if (xf_now_ms() - began > longest)
			longest = xf_now_ms() - began;
	}
	pthread_join(thread, NULL);
	assert_in_range(longest, 0, 500);
	end_of("s")->busy_ms = 0;
	world_fini(10000, 0);
}

static void
assert_comes_true(const _Atomic bool *what)
{
	for (int i = 0; i < 2000 && !*what; i++)
		nap_ms(5);
	assert_true(*what);
}

#define FOUR(SINK) \
	"routes: [{name: r, from: {transport: s}, to: {transport: " SINK "}}, " \
	"{name: q, from: {transport: t}, to: {transport: c}}]"
#define ONE "routes: [{name: r, from: {transport: s}, to: {transport: b}}]"

/* Whatever of a route would have to stop: the reload is refused in a while, and what runs goes on. */
static void
who_does_not_come_back_is_told(void **state)
{
	static const struct {
		const char *end, *text, *said;
	} cases[] = {
		{"s", FOUR("b"), "'r/from' cannot be stopped: its plugin 'scripted'"}, /* kept */
		{"a", FOUR("b"), "'r/to' cannot be stopped: its plugin 'scripted'"},
		{"t", ONE, "'q/from' cannot be stopped: its plugin 'scripted'"}, /* removed */
	};
	uint32_t count = 0;

	(void)state;
	world_make(FOUR("a"));
	world_start();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct end *end = end_of(cases[i].end);
		uint64_t patience = world.flow->patience_ms;

		end->stuck = true;
		assert_comes_true(&end->is_stuck);
		world.flow->patience_ms = 2000; /* who is not stuck comes in that time */
		assert_reload_fails(cases[i].text, cases[i].said);
		world.flow->patience_ms = patience;
		end->stuck = false;
		end_of("s")->to_emit = end_of("t")->to_emit = 10;
		count += 10;
		assert_becomes(&end_of("a")->stored, count);
		assert_becomes(&end_of("c")->stored, count);
	}
	assert_int_equal(reload(ONE), XF_OK);
	end_of("s")->to_emit = 10;
	assert_becomes(&end_of("b")->stored, 10);
	world_fini(10000, 0);
}

/* It came when it was called, and does not end: the new configuration holds, and is the last until it has. */
static void
who_does_not_end_is_left(void **state)
{
	static const char *const stuck[] = {"t", "c"};
	uint64_t patience;

	(void)state;
	for (size_t i = 0; i < sizeof(stuck) / sizeof(stuck[0]); i++) {
		world_make(FOUR("a"));
		world_start();
		patience = world.flow->patience_ms;
		end_of(stuck[i])->stuck_in_stop = true;
		assert_in_range(reload_late(ONE, 2000), 1, 2);
		assert_reload_fails(FOUR("a"), "does not end since an earlier reload: its plugin 'scripted'");
		world.flow->patience_ms = patience;
		end_of("s")->to_emit = 10;
		assert_becomes(&end_of("b")->stored, 10);
		end_of(stuck[i])->stuck_in_stop = false;
		for (int wait = 0; wait < 2000 && reload_late(FOUR("a"), patience) != 0; wait++)
			nap_ms(5);
		end_of("t")->to_emit = 10;
		assert_becomes(&end_of("c")->stored, 10);
		world_fini(10000, 0);
	}
}

static void *
reload_late_run(void *late)
{
	while ((*(size_t *)late = reload_late(ONE, 2000)) == SIZE_MAX)
		;
	return NULL;
}

/* The source came when it was called, and then not again: what is under way goes the new way when it does. */
static void
a_source_goes_over_when_it_comes(void **state)
{
	pthread_t thread;
	size_t late = 0;

	(void)state;
	world_make("routes: [{name: r, from: {transport: s}, to: {transport: a}}]");
	end_of("a")->keeps = true;
	world_start();
	end_of("s")->to_emit = 10;
	assert_becomes(&end_of("a")->taken, 10);
	end_of("s")->held = false;
	assert_int_equal(pthread_create(&thread, NULL, reload_late_run, &late), 0);
	assert_comes_true(&end_of("s")->held); /* while it waits for what a keeps */
	end_of("s")->stuck = true;
	pthread_join(thread, NULL);
	assert_int_equal(late, 1);
	assert_reload_fails("routes: []", "'r/from' does not end since an earlier reload");
	assert_int_equal(end_of("s")->acked, 0);
	end_of("s")->stuck = false;
	assert_becomes(&end_of("s")->acked, 10);
	assert_int_equal(end_of("b")->stored, 10);
	end_of("s")->to_emit = 10;
	assert_becomes(&end_of("b")->stored, 20);
	for (int wait = 0; wait < 2000 && reload_late(FOUR("c"), 10000) != 0; wait++)
		nap_ms(5);
	end_of("s")->to_emit = 10;
	assert_becomes(&end_of("c")->stored, 10);
	world_fini(10000, 0);
}

/* Nor is the end of the server: it goes without. */
static void
a_drain_does_not_wait_for_who_does_not_come_back(void **state)
{
	static const char *const stuck[] = {"s", "a"};

	(void)state;
	for (size_t i = 0; i < sizeof(stuck) / sizeof(stuck[0]); i++) {
		world_make("routes: [{name: r, from: {transport: s}, to: {transport: a}}]");
		world_start();
		end_of(stuck[i])->stuck = true;
		assert_comes_true(&end_of(stuck[i])->is_stuck);
		world.flow->patience_ms = 300;
		assert_int_equal(xf_flow_drain(world.flow, 100), 0);
		assert_false(xf_flow_stopped(world.flow));
		end_of(stuck[i])->stuck = false;
		for (int wait = 0; wait < 2000 && !xf_flow_stopped(world.flow); wait++)
			nap_ms(5);
		assert_true(xf_flow_stopped(world.flow));
		world_fini(0, 0);
	}
}

static void
nothing_is_reloaded_before_the_start(void **state)
{
	(void)state;
	world_make("routes: [{name: r, from: {transport: s}, to: {transport: a}}]");
	assert_int_equal(reload("routes: [{name: r, from: {transport: s}, to: {transport: b}}]"), XF_FAILED);
	world_start();
	end_of("s")->to_emit = 10;
	assert_becomes(&end_of("a")->stored, 10);
	world_fini(10000, 0);
}

/* Leaves SPARE descriptors to be had; returns what stood as the limit. */
static rlim_t
descriptors_take(rlim_t spare)
{
	int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct rlimit limit;
	rlim_t before;

	assert_true(next >= 0);
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	before = limit.rlim_cur;
	limit.rlim_cur = (rlim_t)next + spare;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return before;
}

static void
descriptors_give(rlim_t count)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = count;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* A thread's stack is more than there are addresses: none can be made, as where there are too many. */
static size_t
threads_take(void)
{
	pthread_attr_t attributes;
	size_t before;

	assert_int_equal(pthread_getattr_default_np(&attributes), 0);
	assert_int_equal(pthread_attr_getstacksize(&attributes, &before), 0);
	assert_int_equal(pthread_attr_setstacksize(&attributes, (size_t)1 << 48), 0);
	assert_int_equal(pthread_setattr_default_np(&attributes), 0);
	pthread_attr_destroy(&attributes);
	return before;
}

static void
threads_give(size_t stack)
{
	pthread_attr_t attributes;

	assert_int_equal(pthread_getattr_default_np(&attributes), 0);
	assert_int_equal(pthread_attr_setstacksize(&attributes, stack), 0);
	assert_int_equal(pthread_setattr_default_np(&attributes), 0);
	pthread_attr_destroy(&attributes);
}

/* Several endpoints are new: the first of them and the last want a thread and a descriptor each. */
#define MORE \
	"routes: [{name: r, from: {transport: s}, to: {transport: b}}, {name: q, from: {transport: t}, to: {transport: c}}]"

/* What runs goes on, and a reload goes through once there are descriptors and threads again. */
static void
a_reload_without_descriptors_or_threads_is_refused(void **state)
{
	rlim_t descriptors;
	size_t stack;

	(void)state;
	world_make("routes: [{name: r, from: {transport: s}, to: {transport: a}}]");
	world_start();
	for (rlim_t spare = 0; spare < 3; spare++) {
		descriptors = descriptors_take(spare);
		assert_reload_fails(MORE, "LimitNOFILE");
		descriptors_give(descriptors);
	}
	stack = threads_take();
	assert_reload_fails(MORE, "TasksMax");
	threads_give(stack);
	end_of("s")->to_emit = 10;
	assert_becomes(&end_of("a")->stored, 10);
	assert_int_equal(reload(MORE), XF_OK);
	end_of("s")->to_emit = 10;
	assert_becomes(&end_of("b")->stored, 10);
	world_fini(10000, 0);
}

static void
a_start_without_descriptors_or_threads_is_refused(void **state)
{
	struct xf_error error = {{0}};
	rlim_t descriptors;
	size_t stack;

	(void)state;
	world_make(MORE);
	xf_flow_destroy(&world.flow);
	stack = threads_take();
	world.flow = xf_flow_create(world.conf, world.state, &error);
	threads_give(stack);
	assert_null(world.flow);
	assert_non_null(strstr(error.text, "TasksMax"));
	assert_non_null(strstr(error.text, "'r/to'"));
	descriptors = descriptors_take(5); /* some for the store of dead letters */
	world.flow = xf_flow_create(world.conf, world.state, &error);
	descriptors_give(descriptors);
	assert_null(world.flow);
	assert_non_null(strstr(error.text, "LimitNOFILE"));
	world.flow = xf_flow_create(world.conf, world.state, &error);
	assert_non_null(world.flow);
	world_start();
	end_of("s")->to_emit = 10;
	assert_becomes(&end_of("b")->stored, 10);
	world_fini(10000, 0);
}

/* This server counts itself once, however often a message under way is made anew. */
static void
a_message_that_goes_the_new_way_has_hopped_once(void **state)
{
	static const uint32_t hops[] = {9, 15};

	(void)state;
	for (size_t i = 0; i < sizeof(hops) / sizeof(hops[0]); i++) {
		world_make("routes: [{name: r, from: {transport: s}, to: {transport: a}}]");
		end_of("a")->down = true;
		end_of("s")->hops = hops[i];
		xf_flow_start(world.flow);
		end_of("s")->to_emit = 1;
		nap_ms(200);
		assert_int_equal(reload("routes: [{name: r, from: {transport: s}, to: {transport: b}}]"), XF_OK);
		assert_becomes(&end_of("s")->acked, 1);
		assert_int_equal(end_of("b")->hops_seen, hops[i] + 1);
		world_fini(10000, 0);
	}
}

/* Sends one message while a is down, reloads to ROUTE, whose sink is b, and waits until b has it. */
static const struct letter *
letter_goes_the_new_way(const char *route)
{
	end_of("a")->down = true;
	xf_flow_start(world.flow);
	end_of("s")->to_emit = 1;
	nap_ms(200);
	assert_int_equal(reload(route), XF_OK);
	assert_becomes(&end_of("s")->acked, 1);
	return &end_of("b")->got;
}

#define KEYED(SINK) "routes: [{name: r, from: {transport: s}, key: \"k.{key|'none'}\", to: {transport: " SINK "}}]"

/* Its key is made of what the source gave, not of the key that the way before had made. */
static void
a_message_that_goes_the_new_way_has_the_key_that_its_siblings_get(void **state)
{
	const struct letter *got;

	(void)state;
	world_make(KEYED("a"));
	snprintf(end_of("s")->gives.key, sizeof(end_of("s")->gives.key), "one");
	got = letter_goes_the_new_way(KEYED("b"));
	assert_string_equal(got->key, "k.one");
	assert_string_equal(got->own_key, "k.one");
	world_fini(10000, 0);

	world_make(KEYED("a"));
	snprintf(end_of("s")->gives.own_key, sizeof(end_of("s")->gives.own_key), "two");
	got = letter_goes_the_new_way(KEYED("b"));
	assert_string_equal(got->key, "k.two");
	world_fini(10000, 0);

	world_make(KEYED("a"));
	got = letter_goes_the_new_way("routes: [{name: r, from: {transport: s}, to: {transport: b}}]");
	assert_string_equal(got->key, "");
	assert_string_equal(got->own_key, "");
	world_fini(10000, 0);
}

/* The first sink may have it: the second gets it under the same id. */
static void
a_message_that_goes_the_new_way_is_the_same(void **state)
{
	char id[32];

	(void)state;
	world_make("routes: [{name: r, from: {transport: s}, to: {transport: a}}]");
	end_of("s")->gives_no_id = true;
	snprintf(end_of("s")->gives.subject, sizeof(end_of("s")->gives.subject), "orders.eu");
	snprintf(end_of("s")->gives.reply, sizeof(end_of("s")->gives.reply), "answers");
	end_of("a")->keeps = true;
	world_start();
	end_of("s")->to_emit = 1;
	assert_becomes(&end_of("a")->taken, 1);
	snprintf(id, sizeof(id), "%s", end_of("a")->got.id);
	assert_true(strlen(id) > 8);
	assert_int_equal(reload("routes: [{name: r, from: {transport: s}, to: {transport: b}}]"), XF_OK);
	assert_becomes(&end_of("s")->acked, 1);
	assert_string_equal(end_of("b")->got.id, id);
	assert_string_equal(end_of("b")->got.own_id, id);
	assert_string_equal(end_of("b")->got.subject, "orders.eu");
	assert_string_equal(end_of("b")->got.reply, "answers");
	world_fini(10000, 0);
}

#define MIGRATION(NAME) "migrations: {" NAME ": {old: {transport: s}, new: {transport: t}}}\n"

/* What was given up is no duplicate when its broker offers it again. */
static void
what_a_source_gave_up_is_not_under_way(void **state)
{
	(void)state;
	world_make(MIGRATION("m") "routes: [{name: r, from: {migration: m}, max_in_flight: 100, to: {transport: a}}]");
	end_of("a")->keeps = true;
	world_start();
	end_of("s")->to_emit = 50;
	assert_becomes(&end_of("a")->taken, 50);
	/* The source is told of the bound, so it is another. */
	assert_int_equal(reload(MIGRATION("m") "routes: [{name: r, from: {migration: m}, max_in_flight: 200, "
	                                       "to: {transport: b}}]"), XF_OK);
	assert_becomes(&end_of("b")->stored, 50);
	assert_becomes(&end_of("s")->acked, 50);
	world_fini(10000, 0);
}

/* What the new way refuses is done with: the other side's goes the way that is good again. */
static void
what_the_new_way_refuses_is_not_under_way(void **state)
{
	(void)state;
	world_make(MIGRATION("m") "routes: [{name: r, from: {migration: m}, to: {transport: a}}]");
	end_of("a")->down = true;
	xf_flow_start(world.flow);
	end_of("s")->to_emit = 50;
	nap_ms(200);
	assert_int_equal(reload(MIGRATION("m") "routes: [{name: r, from: {migration: m}, key: \"{header.none}\", "
	                                       "to: {transport: b}}]"), XF_OK);
	assert_becomes(&end_of("s")->rejected, 50);
	assert_int_equal(reload(MIGRATION("m") "routes: [{name: r, from: {migration: m}, to: {transport: b}}]"), XF_OK);
	end_of("t")->to_emit = 50;
	assert_becomes(&end_of("t")->acked, 50);
	assert_int_equal(end_of("b")->stored, 50);
	world_fini(10000, 0);
}

/* Sources s and t give the same ids: what the one brought before the other one's is a duplicate, until the window changes. */
static void
what_was_seen_is_handed_on(void **state)
{
	(void)state;
	world_make("routes: [{name: r, from: [{transport: s}, {transport: t}], dedupe: true, to: {transport: a}}]");
	world_start();
	end_of("s")->to_emit = 50;
	assert_becomes(&end_of("s")->acked, 50);
	assert_int_equal(end_of("a")->stored, 50);
	assert_int_equal(reload("routes: [{name: r, from: [{transport: s}, {transport: t}], dedupe: true, to: {transport: b}}]"),
	                 XF_OK);
	end_of("t")->to_emit = 25;
	assert_becomes(&end_of("t")->acked, 25);
	assert_int_equal(end_of("b")->stored, 0);
	assert_int_equal(reload("routes: [{name: r, from: [{transport: s}, {transport: t}], dedupe: {count: 2000}, "
	                        "to: {transport: b}}]"), XF_OK);
	end_of("t")->to_emit = 25;
	assert_becomes(&end_of("t")->acked, 50);
	assert_int_equal(end_of("b")->stored, 25);
	world_fini(10000, 0);
}

static uint64_t
spool_bytes_max(void)
{
	struct xf_route_status status;
	uint64_t bytes_max;

	xf_flow_route_status(world.flow, 0, &status);
	bytes_max = status.legs[0].sink.spool.bytes_max;
	xf_route_status_fini(&status);
	return bytes_max;
}

#define SPOOLED(MORE) "routes: [{name: r, from: {transport: s}, to: {transport: a, when_down: spool" MORE "}}]"

static void
a_spool_follows_its_sink(void **state)
{
	(void)state;
	world_make(SPOOLED(", spool: {max_size: 1MiB}"));
	world_start();
	assert_int_equal(spool_bytes_max(), 1 << 20);
	assert_int_equal(reload(SPOOLED(", spool: {max_size: 2MiB}")), XF_OK);
	assert_int_equal(spool_bytes_max(), 2 << 20);
	assert_int_equal(reload(SPOOLED("")), XF_OK);
	assert_int_equal(spool_bytes_max(), 1 << 30);
	end_of("s")->to_emit = 10;
	assert_becomes(&end_of("a")->stored, 10);
	world_fini(10000, 0);
}

/* A plain source beside the migration stays, and the migration goes. */
static void
another_migration_is_read(void **state)
{
	(void)state;
	world_make(MIGRATION("m") "routes: [{name: r, from: [{migration: m, drain_first: true}, {transport: c}], "
	                          "to: {transport: a}}]");
	world_start();
	end_of("c")->to_emit = 10;
	assert_becomes(&end_of("a")->stored, 10);
	assert_int_equal(reload(MIGRATION("n") "routes: [{name: r, from: [{migration: n, drain_first: true}, "
	                                       "{transport: c}], to: {transport: a}}]"), XF_OK);
	nap_ms(50);
	end_of("c")->to_emit = 10;
	assert_becomes(&end_of("a")->stored, 20);
	assert_int_equal(reload(MIGRATION("n") "routes: [{name: r, from: [{migration: n}, {transport: c}], "
	                                       "to: {transport: a}}]"), XF_OK);
	end_of("c")->to_emit = 10;
	assert_becomes(&end_of("a")->stored, 30);
	world_fini(10000, 0);
}

static void
share_set(uint32_t percent)
{
	const struct xf_migration_change change = {.has_percent = true, .force = true, .to = {.percent = percent}};
	struct xf_migration_effect effect;
	struct xf_error error;

	assert_int_equal(xf_flow_migration_set(world.flow, 0, &change, "test", &effect, &error), XF_OK);
}

#define SIDES(OLD) \
	"migrations: {m: {old: {transport: " OLD "}, new: {transport: b}, mirror: true, key: \"{id}\"}}\n" \
	"routes: [{name: r, from: {transport: s}, to: {migration: m}}]"

static void *
reload_in_place_run(void *status)
{
	*(enum xf_status *)status = reload(SIDES("s, in_place: true"));
	return NULL;
}

static enum xf_status
knobs_set(struct xf_migration_change change, struct xf_error *error)
{
	struct xf_migration_effect effect;
	enum xf_status status;

	xf_flow_enter(world.flow);
	status = xf_flow_migration_set(world.flow, 0, &change, "test", &effect, error);
	xf_flow_leave(world.flow);
	return status;
}

/* What is changed while a reload is under way holds in both configurations, or not at all. */
static void
a_change_during_a_reload_fits_both(void **state)
{
	const struct xf_migration_change off = {.has_mirror = true, .to = {.mirror = XF_MIRROR_OFF}};
	const struct xf_migration_change half = {.has_percent = true, .force = true, .to = {.percent = 5000}};
	const struct xf_migration_change required = {.has_mirror = true, .to = {.mirror = XF_MIRROR_REQUIRED}};
	struct xf_error error = {{0}};
	enum xf_status reloaded = XF_FAILED;
	struct xf_migration_status now;
	pthread_t thread;

	(void)state;
	world_make(SIDES("a"));
	end_of("a")->keeps = true;
	world_start();
	end_of("s")->to_emit = 10;
	assert_becomes(&end_of("a")->taken, 10);
	end_of("s")->held = false;
	assert_int_equal(pthread_create(&thread, NULL, reload_in_place_run, &reloaded), 0);
	assert_comes_true(&end_of("s")->held); /* while it waits for what a keeps */
	assert_int_equal(knobs_set(off, &error), XF_FAILED);
	assert_non_null(strstr(error.text, "a reload is under way"));
	assert_int_equal(knobs_set(half, &error), XF_FAILED);
	assert_int_equal(knobs_set(required, &error), XF_OK);
	pthread_join(thread, NULL);
	assert_int_equal(reloaded, XF_OK);
	xf_flow_migration_status(world.flow, 0, &now);
	assert_int_equal(now.percent, 0);
	assert_int_equal(now.mirror, XF_MIRROR_REQUIRED);
	assert_becomes(&end_of("s")->acked, 10);
	assert_int_equal(end_of("b")->stored, 10);
	assert_int_equal(knobs_set(off, &error), XF_FAILED);
	assert_null(strstr(error.text, "a reload is under way"));
	world_fini(10000, 0);
}

/* What waits for the other side is not under way: its broker has it. */
static void
a_drain_does_not_wait_for_what_waits(void **state)
{
	(void)state;
	world_make(MIGRATION("m") "routes: [{name: r, from: {migration: m, drain_first: true}, to: {transport: a}}]");
	world_start();
	share_set(10000);
	nap_ms(50);
	end_of("t")->to_emit = 10;
	nap_ms(200);
	assert_int_equal(end_of("a")->stored, 0);
	assert_int_equal(end_of("t")->acked, 0);
	alarm(10);
	world_fini(60000, 10);
}

#define FROM_TO(SOURCE, SINK) "routes: [{name: r, from: {transport: " SOURCE "}, to: {transport: " SINK "}}]"

static void *
reload_error_run(void *error)
{
	const struct xf_conf *conf = conf_make(FROM_TO("s", "b"));
	struct xf_reload_report report;

	if (xf_flow_reload(world.flow, conf, &report, error) != XF_OK)
		xf_conf_destroy(&conf);
	xf_reload_report_fini(&report);
	return NULL;
}

static void *
drain_run(void *left)
{
	*(uint64_t *)left = xf_flow_drain(world.flow, 0);
	return NULL;
}

/* A server that is to stop does not first wait for what a reload waits for. */
static void
a_drain_cuts_a_reload_short(void **state)
{
	struct xf_error error = {{0}};
	struct xf_runner *source;
	pthread_t reloads, drains;
	uint64_t left;

	(void)state;
	world_make(FROM_TO("s", "a"));
	world_start();
	world.flow->patience_ms = PATIENCE_S * 1000;
	source = xf_inlet_runner(world.flow->routes[0]->sources[0].inlet);
	end_of("s")->stuck = true;
	assert_comes_true(&end_of("s")->is_stuck);
	assert_int_equal(pthread_create(&reloads, NULL, reload_error_run, &error), 0);
	while (xf_runner_answered(source))
		nap_ms(1);
	assert_int_equal(pthread_create(&drains, NULL, drain_run, &left), 0);
	pthread_join(reloads, NULL);
	assert_string_equal(error.text, "this server is stopping");
	end_of("s")->stuck = false;
	pthread_join(drains, NULL);
	assert_int_equal(left, 0);
	world_fini(0, 0);
}

/* Letters that are to go out again go by the source that comes after the one that was asked. */
static void
what_is_to_be_delivered_again_is_handed_on(void **state)
{
	struct xf_error error;
	uint64_t count;

	(void)state;
	world_make(FROM_TO("s", "a"));
	end_of("a")->code = XF_RESULT_REJECTED;
	world_start();
	end_of("s")->to_emit = 10;
	assert_becomes(&end_of("s")->rejected, 10);
	end_of("a")->code = XF_RESULT_STORED;
	xf_flow_route_pause(world.flow, 0, true, "test");
	assert_int_equal(xf_flow_redeliver(world.flow, 0, "r", INT64_MAX, &count, &error), XF_OK);
	assert_int_equal(count, 10);
	assert_int_equal(reload(FROM_TO("t", "a")), XF_OK);
	assert_int_equal(end_of("a")->stored, 0);
	xf_flow_route_pause(world.flow, 0, false, "test");
	assert_becomes(&end_of("a")->stored, 10);
	world_fini(10000, 0);
}

static uint64_t
rejected_of_route(void)
{
	struct xf_route_status status;
	uint64_t rejected;

	xf_flow_enter(world.flow);
	xf_flow_route_status(world.flow, 0, &status);
	rejected = status.rejected;
	xf_route_status_fini(&status);
	xf_flow_leave(world.flow);
	return rejected;
}

static uint64_t
letters_count(void)
{
	struct xf_letters_sum sum;

	xf_letters_sum(xf_flow_letters(world.flow), &sum);
	return sum.count;
}

/* One of two has refused it, which is told once, whatever becomes of it on another way. */
static void
what_was_refused_is_told_once(void **state)
{
	static const char *const after[] = {
		"routes: [{name: r, from: {transport: s}, to: {transport: c}}]",
		"routes: [{name: r, from: {transport: s}, to: {all: [{transport: a}, {transport: c}]}}]",
		"routes: [{name: r, from: {transport: s}, key: \"{header.none}\", to: {transport: c}}]",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
		world_make("routes: [{name: r, from: {transport: s}, to: {all: [{transport: a}, {transport: b}]}}]");
		end_of("a")->code = XF_RESULT_REJECTED;
		end_of("b")->keeps = true;
		world_start();
		end_of("s")->to_emit = 10;
		for (int wait = 0; wait < 2000 && rejected_of_route() < 10; wait++)
			nap_ms(5);
		assert_int_equal(rejected_of_route(), 10);
		assert_int_equal(reload(after[i]), XF_OK);
		assert_becomes(&end_of("s")->rejected, 10);
		assert_int_equal(end_of("s")->acked, 0);
		assert_int_equal(rejected_of_route(), 10);
		assert_int_equal(letters_count(), 10);
		world_fini(10000, 0);
	}
}

static void
a_route_promises_what_its_weakest_sink_does(void **state)
{
	struct xf_route_status status;

	(void)state;
	world_make("routes: [{name: r, from: {transport: s}, to: {all: [{transport: a}, {transport: b, when_down: drop}]}}]");
	xf_flow_route_status(world.flow, 0, &status);
	assert_non_null(strstr(status.promise, "dropped and counted while it is down"));
	xf_route_status_fini(&status);
	world_start();
	world_fini(10000, 0);
}

/* One refuses, the other goes down with the message out, and where it is down it is to drop. */
static void
the_last_of_several_is_dropped(void **state)
{
	(void)state;
	world_make("routes: [{name: r, from: {transport: s}, to: {all: [{transport: a}, {transport: b, when_down: drop}], "
	           "require: any}}]");
	end_of("a")->code = XF_RESULT_REJECTED;
	end_of("b")->keeps = true;
	world_start();
	end_of("s")->to_emit = 10;
	assert_becomes(&end_of("b")->taken, 10);
	nap_ms(100);
	end_of("b")->down = true;
	assert_becomes(&end_of("s")->rejected, 10);
	world_fini(10000, 0);
}

/* What is queued behind a message that is refused for the moment waits, as the sink is not down. */
static void
only_what_is_down_drops(void **state)
{
	(void)state;
	world_make("routes: [{name: r, from: {transport: s}, to: {transport: a, when_down: drop}}]");
	end_of("a")->keeps = true;
	end_of("a")->room = 1;
	end_of("a")->code = XF_RESULT_NOT_SENT;
	world_start();
	end_of("s")->to_emit = 100;
	assert_becomes(&end_of("a")->taken, 1);
	nap_ms(50);
	end_of("a")->keeps = false;
	nap_ms(500);
	end_of("a")->code = 0;
	assert_becomes(&end_of("s")->acked, 100);
	assert_int_equal(end_of("a")->stored, 100);
	world_fini(10000, 0);
}

#define WORKED(HANDLERS) \
	"routes: [{name: r, from: {transport: s}, to: {transport: a}, retry: {initial: 5ms, backoff: constant}, " \
	"handlers: [" HANDLERS "]}]"

/* What handlers have when they go begins anew with those that come, and nothing passes it. */
static void
handlers_come_and_go(void **state)
{
	static const char *const texts[] = {WORKED("{plugin: fake}"), WORKED("{plugin: fake}, {plugin: fake, timeout: 1h}"), WORKED("")};

	(void)state;
	world_make(WORKED("{plugin: fake, timeout: 2h}"));
	world_start();
	end_of("s")->to_emit = 3000;
	for (size_t i = 0; i < 9; i++) {
		nap_ms(10);
		assert_int_equal(reload(texts[i % 3]), XF_OK);
	}
	assert_becomes(&end_of("s")->acked, 3000);
	assert_int_equal(end_of("a")->stored, 3000);
	assert_false(end_of("a")->overtaken);
	world_fini(10000, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sink_that_hangs_is_left),
		cmocka_unit_test(a_busy_source_keeps_nobody_out),
		cmocka_unit_test(who_does_not_come_back_is_told),
		cmocka_unit_test(who_does_not_end_is_left),
		cmocka_unit_test(a_source_goes_over_when_it_comes),
		cmocka_unit_test(a_drain_does_not_wait_for_who_does_not_come_back),
		cmocka_unit_test(nothing_is_reloaded_before_the_start),
		cmocka_unit_test(a_reload_without_descriptors_or_threads_is_refused),
		cmocka_unit_test(a_start_without_descriptors_or_threads_is_refused),
		cmocka_unit_test(a_message_that_goes_the_new_way_has_hopped_once),
		cmocka_unit_test(a_message_that_goes_the_new_way_has_the_key_that_its_siblings_get),
		cmocka_unit_test(a_message_that_goes_the_new_way_is_the_same),
		cmocka_unit_test(what_a_source_gave_up_is_not_under_way),
		cmocka_unit_test(what_the_new_way_refuses_is_not_under_way),
		cmocka_unit_test(what_was_seen_is_handed_on),
		cmocka_unit_test(another_migration_is_read),
		cmocka_unit_test(a_spool_follows_its_sink),
		cmocka_unit_test(a_change_during_a_reload_fits_both),
		cmocka_unit_test(a_drain_does_not_wait_for_what_waits),
		cmocka_unit_test(a_drain_cuts_a_reload_short),
		cmocka_unit_test(what_is_to_be_delivered_again_is_handed_on),
		cmocka_unit_test(what_was_refused_is_told_once),
		cmocka_unit_test(a_route_promises_what_its_weakest_sink_does),
		cmocka_unit_test(the_last_of_several_is_dropped),
		cmocka_unit_test(only_what_is_down_drops),
		cmocka_unit_test(handlers_come_and_go),
	};

	xf_log_setup(XF_LOG_ERROR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
