/*
 * The whole flow on a transport that misbehaves under a seed: its broker refuses for the moment, goes down with
 * messages out, forgets what it stored to tell, takes few, completes late, from its own thread and out of order.
 * Meanwhile the migration's share is turned up and down; or the two brokers are the sinks of `all` or `split`.
 *
 * Checked: nothing is acked before it stands where it must (invariant 1), order per key by first appearance (2), all that
 * was accepted is acked in the end (nothing lost), and the books balance (5).
 *
 * XF_SEED=N repeats one run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "flow/flow.h"
#include "handler_fake.h"

#define MESSAGES 20000
#define KEYS 64

struct faults {
	bool refuse; /* now and then: NOT_SENT while up */
	bool down;   /* now and then: DOWN, everything out UNKNOWN */
	bool late;   /* completions by another thread, out of order */
	bool single; /* takes one at a time */
};

/* ---- The world: one source, two brokers ------------------------------------------------------- */

struct stored {
	uint64_t when; /* over both brokers */
	uint32_t sequence;
	bool copy;
};

struct broker {
	struct xf_endpoint *endpoint;
	const struct xf_host *host;
	struct faults faults;
	pthread_mutex_t lock; /* guards all below */
	struct stored *log;
	size_t log_count, log_size;
	bool *has;      /* by sequence, authoritative */
	bool *has_copy;
	struct {
		uint64_t token;
		uint32_t sequence;
		bool copy;
	} out[256]; /* taken, not completed */
	uint32_t out_count;
	uint32_t out_stored; /* so many from the front stand in the log */
	uint64_t up_at; /* 0: is up */
	uint64_t random;      /* the sink's thread's */
	uint64_t random_late; /* guarded by lock */
	bool hung;
	pthread_mutex_t telling; /* held from choosing what to complete to having said so; taken before lock */
	pthread_t completer;
	bool completing;
	_Atomic bool stop;
};

static _Atomic uint64_t world_clock;

/* All but go and the counters is the source's thread's, or set before the run. */
static struct world {
	struct broker brokers[2];
	struct xf_endpoint *source;
	const struct xf_host *host;
	uint32_t emitted;
	uint32_t total;
	uint8_t *settled;  /* by sequence: times */
	_Atomic uint32_t acked;
	_Atomic uint32_t early; /* acked before it stood */
	bool works; /* handlers stand in between */
	enum xf_mirror mirror;
	enum xf_to to; /* in the place of the migration */
	enum xf_require require;
	enum xf_order order;
	_Atomic bool go;
	uint32_t again[4096];
	uint32_t again_count;
} world;

static uint64_t
random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void
broker_store_locked(struct broker *broker, uint32_t sequence, bool copy)
{
	if (broker->log_count == broker->log_size) {
		size_t size = broker->log_size ? broker->log_size * 2 : 4096;

		broker->log = xf_grow_array(broker->log, broker->log_size, size, sizeof(*broker->log));
		broker->log_size = size;
	}
	broker->log[broker->log_count++] = (struct stored){atomic_fetch_add(&world_clock, 1), sequence, copy};
	(copy ? broker->has_copy : broker->has)[sequence] = true;
}

/* The broker gets on with what it was sent, in order. */
static void
broker_advance_locked(struct broker *broker, uint32_t upto)
{
	for (; broker->out_stored < upto; broker->out_stored++)
		broker_store_locked(broker, broker->out[broker->out_stored].sequence, broker->out[broker->out_stored].copy);
}

/* Completes up to MAX of those out; out of order where the broker is late. */
static void
broker_complete(struct broker *broker, uint32_t max)
{
	struct xf_result results[256];
	uint32_t n = 0;

	pthread_mutex_lock(&broker->telling);
	pthread_mutex_lock(&broker->lock);
	while (n < max && broker->out_count > 0 && !broker->hung) {
		uint32_t i = broker->faults.late ? (uint32_t)(random_next(&broker->random_late) % broker->out_count) : 0;

		broker_advance_locked(broker, i + 1);
		results[n++] = (struct xf_result){.token = broker->out[i].token, .code = XF_RESULT_STORED};
		broker->out_count--;
		broker->out_stored--;
		memmove(&broker->out[i], &broker->out[i + 1], (broker->out_count - i) * sizeof(broker->out[0]));
	}
	pthread_mutex_unlock(&broker->lock);
	if (n > 0) {
		broker->host->complete(broker->endpoint, results, n);
		broker->host->wake(broker->endpoint);
	}
	pthread_mutex_unlock(&broker->telling);
}

static void *
broker_completer(void *argument)
{
	struct broker *broker = argument;
	struct timespec nap = {.tv_nsec = 100000};

	while (!broker->stop) {
		broker_complete(broker, 32);
		nanosleep(&nap, NULL);
	}
	return NULL;
}

static uint64_t
sink_traits(const struct xf_host *host, const struct xf_config *transport, const struct xf_config *endpoint)
{
	(void)host, (void)transport, (void)endpoint;
	return XF_TRAIT_HEADERS;
}

static int32_t
sink_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared, const struct xf_config *transport,
            const struct xf_config *config, const struct xf_endpoint_info *info, void **instance,
            struct xf_error *error)
{
	struct broker *broker = shared;

	(void)transport, (void)config, (void)info, (void)error;
	broker->host = host;
	broker->endpoint = endpoint;
	*instance = broker;
	return 0;
}

static void
sink_start(void *instance)
{
	struct broker *broker = instance;

	if (broker->faults.late) {
		broker->completing = true;
		pthread_create(&broker->completer, NULL, broker_completer, broker);
	}
}

static void
sink_go_down(struct broker *broker)
{
	struct xf_result results[256];
	uint32_t n;

	pthread_mutex_lock(&broker->telling);
	pthread_mutex_lock(&broker->lock);
	n = broker->out_count;
	/* Some of what was sent has been stored, the rest is lost; nobody is told which. */
	broker_advance_locked(broker, broker->out_stored + (uint32_t)(random_next(&broker->random) % (n - broker->out_stored + 1)));
	for (uint32_t i = 0; i < n; i++)
		results[i] = (struct xf_result){.token = broker->out[i].token, .code = XF_RESULT_UNKNOWN};
	broker->out_count = broker->out_stored = 0;
	broker->up_at = xf_now_ms() + random_next(&broker->random) % 4;
	pthread_mutex_unlock(&broker->lock);
	broker->host->complete(broker->endpoint, results, n);
	pthread_mutex_unlock(&broker->telling);
	broker->host->state(broker->endpoint, XF_STATE_DOWN, "a fault");
}

static void
sink_work(void *instance, struct xf_work *work)
{
	struct broker *broker = instance;
	bool fail = broker->faults.down && random_next(&broker->random) % 64 == 0;

	work->timeout_ms = 1;
	if (broker->up_at == 0 && fail)
		sink_go_down(broker);
	if (broker->up_at != 0) {
		if (xf_now_ms() < broker->up_at)
			return;
		broker->up_at = 0;
		broker->host->state(broker->endpoint, XF_STATE_UP, NULL);
	}
	if (!broker->faults.late)
		broker_complete(broker, 256);
	pthread_mutex_lock(&broker->lock);
	work->room = broker->faults.single ? broker->out_count == 0 : 256 - broker->out_count;
	pthread_mutex_unlock(&broker->lock);
}

static uint32_t
sink_publish(void *instance, const struct xf_outgoing *messages, uint32_t stride, uint32_t count)
{
	struct broker *broker = instance;
	struct xf_result refused[256];
	uint32_t taken = count > 1 ? 1 + (uint32_t)(random_next(&broker->random) % count) : count, n = 0;

	pthread_mutex_lock(&broker->lock);
	if (broker->out_count + taken > 256)
		taken = 256 - broker->out_count;
	for (uint32_t i = 0; i < taken; i++) {
		const struct xf_outgoing *message = (const void *)((const char *)messages + (size_t)i * stride);
		bool copy = message->flags & XF_OUTGOING_COPY;
		uint32_t sequence;

		memcpy(&sequence, message->payload, sizeof(sequence));
		if (broker->faults.refuse && random_next(&broker->random) % 200 == 0) {
			refused[n++] = (struct xf_result){.token = message->token, .code = XF_RESULT_NOT_SENT};
			continue;
		}
		broker->out[broker->out_count].token = message->token;
		broker->out[broker->out_count].sequence = sequence;
		broker->out[broker->out_count++].copy = copy;
	}
	pthread_mutex_unlock(&broker->lock);
	if (n > 0)
		broker->host->complete(broker->endpoint, refused, n);
	return taken;
}

static void
sink_stop(void *instance)
{
	struct broker *broker = instance;

	broker->stop = true;
	if (broker->completing)
		pthread_join(broker->completer, NULL);
	pthread_mutex_lock(&broker->lock);
	broker->hung = false;
	pthread_mutex_unlock(&broker->lock);
	broker_complete(broker, 256);
}

static void
instance_destroy(void *instance)
{
	(void)instance;
}

static int32_t
source_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared, const struct xf_config *transport,
              const struct xf_config *config, const struct xf_endpoint_info *info, void **instance,
              struct xf_error *error)
{
	(void)shared, (void)transport, (void)config, (void)info, (void)error;
	world.source = endpoint;
	world.host = host;
	*instance = &world;
	return 0;
}

static void
source_start(void *instance)
{
	(void)instance;
	world.host->state(world.source, XF_STATE_UP, NULL);
}

static void
source_work(void *instance, struct xf_work *work)
{
	uint32_t n = 0;

	(void)instance;
	work->timeout_ms = 1;
	while (world.go && n < work->credit_messages && n < 100 && (world.emitted < world.total || world.again_count > 0)) {
		uint32_t sequence = world.again_count > 0 ? world.again[--world.again_count] : world.emitted++;
		char key[16];
		struct xf_header header = {{"key", 3}, {key, (uint64_t)snprintf(key, sizeof(key), "k%u", sequence % KEYS)}};
		struct xf_incoming message = {
			.handle = sequence,
			.subject = {"orders.new", 10},
			.headers = &header,
			.header_count = 1,
			.payload = &sequence,
			.payload_size = sizeof(sequence),
		};

		assert_int_equal(world.host->emit(world.source, &message, sizeof(message), 1), 1);
		n++;
	}
}

/* Whether the message stands where an ack promises it. */
static bool
stands(uint32_t sequence)
{
	bool has[2], has_copy[2];

	for (unsigned side = 0; side < 2; side++) {
		pthread_mutex_lock(&world.brokers[side].lock);
		has[side] = world.brokers[side].has[sequence];
		has_copy[side] = world.brokers[side].has_copy[sequence];
		pthread_mutex_unlock(&world.brokers[side].lock);
	}
	if (world.to == XF_TO_ALL && world.require == XF_REQUIRE_ALL)
		return has[0] && has[1];
	if (world.to == XF_TO_ALL && world.require == XF_REQUIRE_FIRST)
		return has[0];
	if (world.mirror == XF_MIRROR_REQUIRED)
		return (has[0] && has_copy[1]) || (has[1] && has_copy[0]) || (has[0] && has[1]);
	return has[0] || has[1];
}

static void
source_settle(void *instance, const struct xf_settlement *settlements, uint32_t count)
{
	(void)instance;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t sequence = (uint32_t)settlements[i].handle;

		if (settlements[i].outcome == XF_SETTLE_EXTEND)
			continue;
		if (settlements[i].outcome == XF_SETTLE_RETRY) {
			world.again[world.again_count++] = sequence;
			continue;
		}
		world.settled[sequence]++;
		if (!stands(sequence))
			atomic_fetch_add(&world.early, 1);
		atomic_fetch_add(&world.acked, 1);
	}
}

static void
source_stop(void *instance)
{
	(void)instance;
}

static const struct xf_source_ops source_ops = {
	.struct_size = sizeof(source_ops),
	.create = source_create,
	.start = source_start,
	.work = source_work,
	.settle = source_settle,
	.stop = source_stop,
	.destroy = instance_destroy,
};

static const struct xf_sink_ops sink_ops = {
	.struct_size = sizeof(sink_ops),
	.traits = sink_traits,
	.create = sink_create,
	.start = sink_start,
	.work = sink_work,
	.publish = sink_publish,
	.stop = sink_stop,
	.destroy = instance_destroy,
};

static int32_t
transport_open(const struct xf_host *host, const struct xf_config *transport, struct xf_str name, void **shared,
               struct xf_error *error)
{
	(void)host, (void)transport, (void)error;
	*shared = xf_str_is(name, "old") ? &world.brokers[0] : &world.brokers[1];
	return 0;
}

static void
transport_close(void *shared)
{
	(void)shared;
}

static const struct xf_transport_class fake = {
	.head = {sizeof(fake), XF_KIND_TRANSPORT, "fake", "misbehaves"},
	.source = &source_ops,
	.sink = &sink_ops,
	.open = transport_open,
	.close = transport_close,
};

/* ---- A run ---------------------------------------------------------------------------------------- */

static void
world_init(uint32_t total, struct faults faults, enum xf_mirror mirror, uint64_t seed)
{
	memset(&world, 0, sizeof(world));
	world.total = total;
	world.settled = xf_alloc(total);
	world.mirror = mirror;
	world.to = XF_TO_MIGRATION;
	for (unsigned side = 0; side < 2; side++) {
		struct broker *broker = &world.brokers[side];

		broker->faults = faults;
		broker->random = seed * 2 + side + 0x9e3779b97f4a7c15u;
		broker->random_late = ~broker->random;
		broker->has = xf_alloc(total);
		broker->has_copy = xf_alloc(total);
		broker->up_at = 1;
		pthread_mutex_init(&broker->lock, NULL);
		pthread_mutex_init(&broker->telling, NULL);
	}
}

static void
world_fini(void)
{
	free(world.settled);
	for (unsigned side = 0; side < 2; side++) {
		free(world.brokers[side].log);
		free(world.brokers[side].has);
		free(world.brokers[side].has_copy);
		pthread_mutex_destroy(&world.brokers[side].lock);
		pthread_mutex_destroy(&world.brokers[side].telling);
	}
}

struct setup {
	struct xf_conf_transport transports[2];
	struct xf_conf_endpoint source;
	struct xf_conf_migration migration;
	uint32_t weights[2];
	struct xf_conf_handler handlers[2];
	struct xf_conf_route route;
	struct xf_conf conf;
	char folder[64];
	struct xf_state *state;
	struct xf_flow *flow;
};

static void
setup_make(struct setup *setup, enum xf_mirror mirror)
{
	struct xf_error error;
	size_t column;

	memset(setup, 0, sizeof(*setup));
	snprintf(setup->folder, sizeof(setup->folder), "/tmp/xf-flow-XXXXXX");
	assert_non_null(mkdtemp(setup->folder));
	for (unsigned i = 0; i < 2; i++) {
		setup->transports[i] = (struct xf_conf_transport){.name = i ? "new" : "old", .plugin = "fake", .class = &fake};
		setup->migration.sides[i] = (struct xf_conf_endpoint){
			.transport = &setup->transports[i],
			.subject = "{subject}",
			.template = xf_template_create(xf_str("{subject}"), &column, &error),
			.traits = XF_TRAIT_HEADERS,
		};
	}
	setup->migration.name = "m";
	setup->migration.mirror = mirror;
	setup->migration.key = xf_template_create(xf_str("{header.key}"), &column, &error);
	setup->migration.handover_timeout_ms = 5000;
	setup->weights[0] = setup->weights[1] = 5000;
	setup->source = (struct xf_conf_endpoint){.transport = &setup->transports[0], .subject = ">"};
	setup->route = (struct xf_conf_route){
		.name = "r",
		.sources = &setup->source,
		.source_count = 1,
		.to = world.to,
		.migration = &setup->migration,
		.max_in_flight = 1000,
		.max_in_flight_bytes = 64 << 20,
	};
	if (world.to != XF_TO_MIGRATION) {
		setup->route.migration = NULL;
		setup->route.key = setup->migration.key;
		setup->route.sinks = setup->migration.sides;
		setup->route.sink_count = 2;
		setup->route.weights = setup->weights;
		setup->route.require = world.require;
		setup->route.order = world.order;
	}
	if (world.works) {
		setup->handlers[0] = handler_fake_conf("r/fake");
		setup->handlers[1] = handler_fake_conf("r/fake/2");
		setup->route.handlers = setup->handlers;
		setup->route.handler_count = 2;
		setup->route.retry = (struct xf_conf_retry){.constant = true, .initial_ms = 5, .max_ms = 5};
	}
	setup->conf = (struct xf_conf){
		.server = {.name = "test", .data_dir = setup->folder, .dead_letters_max = 64 << 20, .max_subject = 1024,
	                   .max_header_value = 4096, .max_headers = 64, .max_payload = 8 << 20},
		.transports = setup->transports,
		.transport_count = 2,
		.migrations = &setup->migration,
		.migration_count = 1,
		.routes = &setup->route,
		.route_count = 1,
	};
	setup->state = xf_state_open(setup->folder, &error);
	assert_non_null(setup->state);
	setup->flow = xf_flow_create(&setup->conf, setup->state, &error);
	assert_non_null(setup->flow);
	xf_flow_start(setup->flow);
}

static void
setup_fini(struct setup *setup)
{
	char command[128];

	xf_flow_destroy(&setup->flow);
	xf_state_close(&setup->state);
	xf_template_destroy(&setup->migration.key);
	xf_template_destroy(&setup->migration.sides[0].template);
	xf_template_destroy(&setup->migration.sides[1].template);
	snprintf(command, sizeof(command), "rm -rf '%s'", setup->folder);
	assert_int_equal(system(command), 0);
}

/* False: refused, while the side is down. */
static bool
knob_turn(struct setup *setup, uint32_t percent, bool force)
{
	struct xf_migration_change change = {.has_percent = true, .to.percent = percent, .force = force};
	struct xf_migration_effect effect;
	struct xf_error error;

	return xf_flow_migration_set(setup->flow, 0, &change, "test", &effect, &error) == XF_OK;
}

static void
nap_ms(long ms)
{
	struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&time, NULL);
}

/* The next entry of the two logs by time; NULL at the end. */
static const struct stored *
logs_next(size_t at[2])
{
	const struct stored *next = NULL;
	unsigned from = 0;

	for (unsigned side = 0; side < 2; side++) {
		const struct broker *broker = &world.brokers[side];

		if (at[side] < broker->log_count && (next == NULL || broker->log[at[side]].when < next->when)) {
			next = &broker->log[at[side]];
			from = side;
		}
	}
	if (next != NULL)
		at[from]++;
	return next;
}

/* First appearances per key, over both sides, are in order, and no message is on both sides as itself. */
static void
order_check(bool on_one_side)
{
	bool *seen = xf_alloc(world.total);
	const struct stored *stored;
	size_t at[2] = {0, 0};
	int64_t last[KEYS];

	memset(last, -1, sizeof(last));
	while ((stored = logs_next(at)) != NULL) {
		uint32_t sequence = stored->sequence;

		if (stored->copy || seen[sequence])
			continue;
		seen[sequence] = true;
		if ((int64_t)sequence <= last[sequence % KEYS])
			fail_msg("message %u of key %u after %lld", sequence, sequence % KEYS, (long long)last[sequence % KEYS]);
		last[sequence % KEYS] = sequence;
	}
	free(seen);
	for (uint32_t i = 0; on_one_side && i < world.total; i++)
		if (world.brokers[0].has[i] && world.brokers[1].has[i])
			fail_msg("message %u stands on both sides", i);
}

static void
books_check(struct setup *setup)
{
	struct xf_route_status status;

	xf_flow_route_status(setup->flow, 0, &status);
	assert_int_equal(status.accepted, status.acked + status.rejected + status.overflow + status.filtered + status.in_flight);
	for (unsigned side = 0; side < 2; side++) {
		struct xf_leg_status *leg = &status.legs[side];

		assert_int_equal(leg->accepted, leg->confirmed + leg->refused + leg->dropped + leg->crossed + leg->moved + leg->in_flight);
		assert_int_equal(leg->in_flight, 0);
		assert_int_equal(leg->sink.violations, 0);
	}
	xf_route_status_fini(&status);
}

static uint64_t
seed_get(void)
{
	const char *text = getenv("XF_SEED");
	uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : (uint64_t)xf_wall_ms();

	printf("seed %llu\n", (unsigned long long)seed);
	return seed;
}

static void
run_with(bool works, struct faults faults, enum xf_mirror mirror, uint32_t total, bool turn)
{
	uint64_t seed = seed_get(), random = seed | 1, until = xf_now_ms() + 60000;
	struct setup setup;

	world_init(total, faults, mirror, seed);
	world.works = works;
	setup_make(&setup, mirror);
	for (int i = 0; i < 200 && !xf_flow_ready(setup.flow); i++)
		nap_ms(5);
	world.go = true;
	while (world.acked < total && xf_now_ms() < until) {
		if (turn)
			knob_turn(&setup, (uint32_t)(random_next(&random) % 5) * 2500, faults.down && random_next(&random) % 8 == 0);
		nap_ms(turn ? 2 : 1);
	}
	if (world.acked < total)
		fail_msg("only %u of %u acked", world.acked, total);
	for (int i = 0; i < 400; i++) { /* copies that nobody waits for */
		struct xf_route_status status;
		uint64_t left;

		xf_flow_route_status(setup.flow, 0, &status);
		left = status.legs[0].in_flight + status.legs[1].in_flight;
		xf_route_status_fini(&status);
		if (left == 0)
			break;
		nap_ms(5);
	}
	books_check(&setup);
	assert_int_equal(world.early, 0);
	for (uint32_t i = 0; i < total; i++)
		assert_int_equal(world.settled[i], 1);
	assert_int_equal(xf_flow_drain(setup.flow, 1000), 0);
	if (!faults.refuse && !faults.down)
		order_check(true);
	setup_fini(&setup);
	world_fini();
}

static void
run(struct faults faults, enum xf_mirror mirror, uint32_t total, bool turn)
{
	run_with(false, faults, mirror, total, turn);
}

static void
test_calm(void **state)
{
	(void)state;
	run((struct faults){.late = false}, XF_MIRROR_OFF, MESSAGES, false);
}

static void
test_share_turns(void **state)
{
	(void)state;
	run((struct faults){.late = true}, XF_MIRROR_OFF, MESSAGES, true);
}

static void
test_share_turns_with_copies(void **state)
{
	(void)state;
	run((struct faults){.late = true}, XF_MIRROR_ON, MESSAGES, true);
}

static void
test_share_turns_with_required_copies(void **state)
{
	(void)state;
	run((struct faults){.late = true}, XF_MIRROR_REQUIRED, MESSAGES, true);
}

static void
test_refusals(void **state)
{
	(void)state;
	run((struct faults){.refuse = true, .late = true}, XF_MIRROR_OFF, 3000, true);
}

/* What is refused for the moment is passed only by what the plugin had already: here, by nothing. */
static void
test_refusals_are_not_overtaken(void **state)
{
	uint64_t until = xf_now_ms() + 60000;
	struct setup setup;

	(void)state;
	world_init(1000, (struct faults){.refuse = true, .single = true}, XF_MIRROR_OFF, seed_get());
	setup_make(&setup, XF_MIRROR_OFF);
	world.go = true;
	while (world.acked < world.total && xf_now_ms() < until)
		nap_ms(1);
	assert_int_equal(world.acked, world.total);
	assert_int_equal(xf_flow_drain(setup.flow, 1000), 0);
	order_check(true);
	setup_fini(&setup);
	world_fini();
}

static void
test_outages(void **state)
{
	(void)state;
	run((struct faults){.down = true, .late = true}, XF_MIRROR_OFF, MESSAGES, true);
}

static void
test_outages_with_required_copies(void **state)
{
	(void)state;
	run((struct faults){.down = true, .late = true}, XF_MIRROR_REQUIRED, MESSAGES, true);
}

/* Without a turn of the share, an outage keeps the order of first appearances. */
static void
test_outages_keep_order(void **state)
{
	uint64_t until = xf_now_ms() + 60000;
	struct setup setup;

	(void)state;
	world_init(MESSAGES, (struct faults){.down = true, .late = true}, XF_MIRROR_OFF, seed_get());
	setup_make(&setup, XF_MIRROR_OFF);
	world.go = true;
	while (world.acked < MESSAGES && xf_now_ms() < until)
		nap_ms(1);
	assert_int_equal(world.acked, MESSAGES);
	assert_int_equal(xf_flow_drain(setup.flow, 1000), 0);
	order_check(true);
	setup_fini(&setup);
	world_fini();
}

/* A turn back needs nothing from the broker that is left, even where it answers nothing at all. */
static void
test_rollback_from_a_hung_side(void **state)
{
	struct xf_migration_change change = {.rollback = true};
	struct xf_migration_effect effect;
	struct xf_error error;
	uint64_t until = xf_now_ms() + 20000;
	struct setup setup;

	(void)state;
	world_init(5000, (struct faults){.late = true}, XF_MIRROR_OFF, seed_get());
	setup_make(&setup, XF_MIRROR_OFF);
	while (!knob_turn(&setup, 10000, false) && xf_now_ms() < until)
		nap_ms(5); /* the new side is not up yet */
	pthread_mutex_lock(&world.brokers[1].lock);
	world.brokers[1].hung = true;
	pthread_mutex_unlock(&world.brokers[1].lock);
	world.go = true;
	nap_ms(100);
	assert_int_equal(world.acked, 0);
	assert_int_equal(xf_flow_migration_set(setup.flow, 0, &change, "test", &effect, &error), XF_OK);
	assert_int_equal(effect.to.percent, 0);
	while (world.acked < 5000 && xf_now_ms() < until)
		nap_ms(1);
	assert_int_equal(world.acked, 5000);
	for (uint32_t i = 0; i < 5000; i++)
		assert_true(world.brokers[0].has[i]);
	assert_int_equal(xf_flow_drain(setup.flow, 1000), 0);
	order_check(false);
	setup_fini(&setup);
	world_fini();
}

/* First appearances per key at SIDE alone. */
static void
side_order_check(unsigned side)
{
	const struct broker *broker = &world.brokers[side];
	bool *seen = xf_alloc(world.total);
	int64_t last[KEYS];

	memset(last, -1, sizeof(last));
	for (size_t i = 0; i < broker->log_count; i++) {
		uint32_t sequence = broker->log[i].sequence;

		assert_false(broker->log[i].copy);
		if (seen[sequence])
			continue;
		seen[sequence] = true;
		if ((int64_t)sequence <= last[sequence % KEYS])
			fail_msg("message %u of key %u after %lld at %u", sequence, sequence % KEYS,
			         (long long)last[sequence % KEYS], side);
		last[sequence % KEYS] = sequence;
	}
	free(seen);
}

/* Both brokers as the sinks of one destination. */
static void
run_sinks(struct faults faults, enum xf_to to, enum xf_require require, enum xf_order order, uint32_t total)
{
	uint64_t until = xf_now_ms() + 60000;
	struct xf_route_status status;
	struct setup setup;

	world_init(total, faults, XF_MIRROR_OFF, seed_get());
	world.to = to;
	world.require = require;
	world.order = order;
	setup_make(&setup, XF_MIRROR_OFF);
	world.go = true;
	while (world.acked < total && xf_now_ms() < until)
		nap_ms(1);
	if (world.acked < total)
		fail_msg("only %u of %u acked", world.acked, total);
	for (uint64_t left = 1; left > 0 && xf_now_ms() < until; nap_ms(5)) {
		xf_flow_route_status(setup.flow, 0, &status);
		left = status.legs[0].in_flight + status.legs[1].in_flight;
		xf_route_status_fini(&status);
	}
	books_check(&setup);
	assert_int_equal(world.early, 0);
	for (uint32_t i = 0; i < total; i++)
		assert_int_equal(world.settled[i], 1);
	assert_int_equal(xf_flow_drain(setup.flow, 1000), 0);
	for (unsigned side = 0; side < 2 && order != XF_ORDER_NONE && (!faults.refuse || order == XF_ORDER_STRICT); side++)
		side_order_check(side);
	for (uint32_t i = 0; i < total && to == XF_TO_SPLIT; i++)
		if (world.brokers[0].has[i] == world.brokers[1].has[i])
			fail_msg("message %u stands at both or none", i);
	for (uint32_t i = KEYS; i < total && to == XF_TO_SPLIT; i++) /* keys stay together */
		assert_int_equal(world.brokers[0].has[i], world.brokers[0].has[i % KEYS]);
	setup_fini(&setup);
	world_fini();
}

static void
test_all(void **state)
{
	(void)state;
	run_sinks((struct faults){.late = true}, XF_TO_ALL, XF_REQUIRE_ALL, XF_ORDER_LANE, MESSAGES);
	run_sinks((struct faults){.down = true, .late = true}, XF_TO_ALL, XF_REQUIRE_ALL, XF_ORDER_LANE, MESSAGES);
}

static void
test_any(void **state)
{
	(void)state;
	run_sinks((struct faults){.late = true}, XF_TO_ALL, XF_REQUIRE_ANY, XF_ORDER_LANE, MESSAGES);
	run_sinks((struct faults){.down = true, .refuse = true, .late = true}, XF_TO_ALL, XF_REQUIRE_ANY, XF_ORDER_LANE, 3000);
}

static void
test_first(void **state)
{
	(void)state;
	run_sinks((struct faults){.down = true, .late = true}, XF_TO_ALL, XF_REQUIRE_FIRST, XF_ORDER_LANE, MESSAGES);
}

static void
test_split(void **state)
{
	(void)state;
	run_sinks((struct faults){.down = true, .late = true}, XF_TO_SPLIT, XF_REQUIRE_ALL, XF_ORDER_LANE, MESSAGES);
}

/* Refusals and outages at once, and not one message passes another of its key. */
static void
test_strict(void **state)
{
	(void)state;
	run_sinks((struct faults){.down = true, .refuse = true, .late = true}, XF_TO_ALL, XF_REQUIRE_ALL, XF_ORDER_STRICT, 2000);
}

static void
test_no_order(void **state)
{
	(void)state;
	run_sinks((struct faults){.down = true, .refuse = true, .late = true}, XF_TO_ALL, XF_REQUIRE_ALL, XF_ORDER_NONE, 3000);
}

/* Handlers that finish in any order, fail and put off keep the order of acceptance all the same. */
static void
test_handlers(void **state)
{
	(void)state;
	run_with(true, (struct faults){.late = true}, XF_MIRROR_OFF, 5000, true);
	run_with(true, (struct faults){.down = true, .refuse = true, .late = true}, XF_MIRROR_REQUIRED, 2000, true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calm),
		cmocka_unit_test(test_share_turns),
		cmocka_unit_test(test_share_turns_with_copies),
		cmocka_unit_test(test_share_turns_with_required_copies),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_refusals_are_not_overtaken),
		cmocka_unit_test(test_outages),
		cmocka_unit_test(test_outages_with_required_copies),
		cmocka_unit_test(test_outages_keep_order),
		cmocka_unit_test(test_rollback_from_a_hung_side),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_any),
		cmocka_unit_test(test_first),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_strict),
		cmocka_unit_test(test_no_order),
		cmocka_unit_test(test_handlers),
	};

	xf_log_setup(XF_LOG_ERROR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
