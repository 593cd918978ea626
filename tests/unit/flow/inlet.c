/*
 * What an inlet lets in and how it ends, by a source and a sink that do as each test says: bounds in bytes, keys out of
 * payloads, ids that were seen, what cannot be held back, what a spool held, what goes to one, a sink that goes down while it is handed messages, a drain
 * in the middle of a turn.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "flow/flow.h"
#include "flow/spooled.h"
#include "wait.h"

#define OUT_MAX 4096

/* The source's fields are its thread's, the sink's are its; what is atomic the test reads, or sets to steer. */
static struct world {
	const struct xf_host *host;
	struct xf_endpoint *source, *sink;

	/* the source */
	_Atomic uint32_t to_emit; /* messages like the one below */
	struct xf_incoming message;
	bool lossy;
	_Atomic bool slow; /* hears of nothing for 100 ms, then emits one */
	_Atomic uint32_t emitted, acked, rejected, retried, released;

	/* the sink */
	_Atomic uint32_t state; /* XF_STATE_* */
	_Atomic uint32_t window; /* how many it takes at once */
	_Atomic bool keeps; /* completes nothing */
	_Atomic bool refuses;
	_Atomic uint32_t falls; /* times to go down when it is handed something */
	bool down;
	uint64_t out[OUT_MAX];
	int64_t out_numbers[OUT_MAX];
	uint32_t out_count;
	_Atomic uint32_t last_number; /* the highest that was stored */
	_Atomic uint32_t passed_over; /* the next was not stored before it */
	_Atomic uint32_t again;       /* stored once more */
	uint64_t ttl[4]; /* of the first */
	uint32_t ttl_count;
	_Atomic uint32_t stored;
} world;

static void
nap_ms(long ms)
{
	struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&time, NULL);
}

/* Waits until *NUMBER is EXPECTED, and asserts that it is. */
static void
assert_becomes(_Atomic uint32_t *number, uint32_t expected)
{
	for (int i = 0; i < 2000 && *number != expected; i++)
		nap_ms(5);
	assert_int_equal(*number, expected);
}

/* ---- The source ------------------------------------------------------------------------- */

static int32_t
source_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared, const struct xf_config *transport,
              const struct xf_config *config, const struct xf_endpoint_info *info, void **instance,
              struct xf_error *error)
{
	(void)shared, (void)transport, (void)config, (void)info, (void)error;
	world.host = host;
	world.source = endpoint;
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
payload_release(void *context)
{
	free(context);
	world.released++;
}

static void
source_emit(void)
{
	struct xf_incoming message = world.message;

	message.handle = world.emitted++;
	message.time_ms = world.emitted;
	if (message.release != NULL)
		message.payload = message.release_context = xf_alloc(message.payload_size);
	assert_int_equal(world.host->emit(world.source, &message, sizeof(message), 1), 1);
}

static void
source_work(void *instance, struct xf_work *work)
{
	uint32_t credit = work->credit_messages;
	int64_t bytes = (int64_t)work->credit_bytes;

	(void)instance;
	work->timeout_ms = 1;
	if (world.slow && credit > 0) {
		nap_ms(100);
		world.slow = false;
		source_emit();
		return;
	}
	while (world.to_emit > 0 && (world.lossy || (credit > 0 && bytes > 0))) {
		source_emit();
		world.to_emit--;
		credit--;
		bytes -= (int64_t)world.message.payload_size;
	}
}

static void
source_settle(void *instance, const struct xf_settlement *settlements, uint32_t count)
{
	(void)instance;
	for (uint32_t i = 0; i < count; i++) {
		switch (settlements[i].outcome) {
		case XF_SETTLE_ACK:
			world.acked++;
			break;
		case XF_SETTLE_REJECT:
			world.rejected++;
			break;
		case XF_SETTLE_RETRY:
			world.retried++;
		}
	}
}

static void
instance_ignore(void *instance)
{
	(void)instance;
}

/* ---- The sink ----------------------------------------------------------------------------- */

static int32_t
sink_create(const struct xf_host *host, struct xf_endpoint *endpoint, void *shared, const struct xf_config *transport,
            const struct xf_config *config, const struct xf_endpoint_info *info, void **instance,
            struct xf_error *error)
{
	(void)host, (void)shared, (void)transport, (void)config, (void)info, (void)error;
	world.sink = endpoint;
	*instance = &world;
	return 0;
}

/* Times number the messages, as they were emitted. */
static void
number_store(int64_t number)
{
	if (number > (int64_t)world.last_number + 1)
		world.passed_over++;
	else if (number <= world.last_number)
		world.again++;
	if (number > world.last_number)
		world.last_number = (uint32_t)number;
}

static void
out_complete(void)
{
	for (uint32_t i = 0; i < world.out_count; i++) {
		struct xf_result result = {.token = world.out[i], .code = world.refuses ? XF_RESULT_REJECTED : XF_RESULT_STORED};

		number_store(world.out_numbers[i]);
		world.host->complete(world.sink, &result, 1);
	}
	world.stored += world.refuses ? 0 : world.out_count;
	world.out_count = 0;
}

static void
sink_work(void *instance, struct xf_work *work)
{
	(void)instance;
	work->timeout_ms = 1;
	if (!world.keeps || world.state == XF_STATE_DOWN)
		out_complete();
	world.host->state(world.sink, world.state, NULL);
	work->room = world.state == XF_STATE_UP && world.window > world.out_count ? world.window - world.out_count : 0;
}

static uint32_t
sink_publish(void *instance, const struct xf_outgoing *messages, uint32_t stride, uint32_t count)
{
	(void)instance;
	if (world.falls > 0) {
		world.falls--;
		world.host->state(world.sink, XF_STATE_DOWN, "while publishing");
		return 0;
	}
	for (uint32_t i = 0; i < count; i++) {
		const struct xf_outgoing *message = (const void *)((const char *)messages + (size_t)i * stride);

		world.out_numbers[world.out_count] = message->time_ms;
		world.out[world.out_count++] = message->token;
		if (world.ttl_count < sizeof(world.ttl) / sizeof(world.ttl[0]))
			world.ttl[world.ttl_count++] = message->ttl_ms;
	}
	return count;
}

static void
sink_stop(void *instance)
{
	(void)instance;
	out_complete();
}

static const struct xf_source_ops source_ops = {
	.struct_size = sizeof(source_ops),
	.create = source_create,
	.start = source_start,
	.work = source_work,
	.settle = source_settle,
	.stop = instance_ignore,
	.destroy = instance_ignore,
};

static const struct xf_sink_ops sink_ops = {
	.struct_size = sizeof(sink_ops),
	.create = sink_create,
	.start = instance_ignore,
	.work = sink_work,
	.publish = sink_publish,
	.stop = sink_stop,
	.destroy = instance_ignore,
};

static const struct xf_transport_class scripted = {
	.head = {sizeof(scripted), XF_KIND_TRANSPORT, "scripted", "does as it is told"},
	.source = &source_ops,
	.sink = &sink_ops,
};

/* ---- The flow ------------------------------------------------------------------------------- */

struct setup {
	struct xf_conf_transport transport;
	struct xf_conf_endpoint source, sink;
	struct xf_conf_route route;
	struct xf_conf conf;
	char folder[64];
	struct xf_state *state;
	struct xf_flow *flow;
};

static void
setup_make(struct setup *setup)
{
	struct xf_error error;
	size_t column;

	memset(setup, 0, sizeof(*setup));
	memset(&world, 0, sizeof(world));
	world.state = XF_STATE_UP;
	world.window = OUT_MAX;
	world.message = (struct xf_incoming){.subject = {"orders", 6}, .payload = "{}", .payload_size = 2};
	snprintf(setup->folder, sizeof(setup->folder), "/tmp/xf-inlet-XXXXXX");
	assert_non_null(mkdtemp(setup->folder));
	setup->transport = (struct xf_conf_transport){.name = "t", .plugin = "scripted", .class = &scripted};
	setup->source = (struct xf_conf_endpoint){.transport = &setup->transport, .subject = ">"};
	setup->sink = (struct xf_conf_endpoint){
		.transport = &setup->transport,
		.subject = "{subject}",
		.template = xf_template_create(xf_str("{subject}"), &column, &error),
	};
	setup->route = (struct xf_conf_route){
		.name = "r",
		.sources = &setup->source,
		.source_count = 1,
		.sinks = &setup->sink,
		.sink_count = 1,
		.max_in_flight = 1000,
		.max_in_flight_bytes = 64 << 20,
	};
	setup->conf = (struct xf_conf){
		.server = {.name = "test", .data_dir = setup->folder, .dead_letters_max = 64 << 20, .max_subject = 1024,
	                   .max_header_value = 4096, .max_headers = 64, .max_payload = 8 << 20},
		.transports = &setup->transport,
		.transport_count = 1,
		.routes = &setup->route,
		.route_count = 1,
	};
}

static void
setup_start(struct setup *setup)
{
	struct xf_error error;

	setup->state = xf_state_open(setup->folder, &error);
	assert_non_null(setup->state);
	setup->flow = xf_flow_create(&setup->conf, setup->state, &error);
	assert_non_null(setup->flow);
	xf_flow_start(setup->flow);
	for (int i = 0; i < 2000 && !xf_flow_ready(setup->flow); i++)
		nap_ms(5);
}

/* The plugins have broken no promise. */
static void
setup_end(struct setup *setup)
{
	struct xf_route_status status;
	char command[128];

	xf_flow_route_status(setup->flow, 0, &status);
	assert_int_equal(status.in_flight_bytes, 0);
	assert_int_equal(status.legs[0].accepted, status.legs[0].confirmed + status.legs[0].refused + status.legs[0].spooled);
	assert_int_equal(status.sources[0].violations, 0);
	assert_int_equal(status.legs[0].sink.violations, 0);
	xf_route_status_fini(&status);
	xf_flow_destroy(&setup->flow);
	xf_state_close(&setup->state);
	xf_template_destroy(&setup->sink.template);
	xf_template_destroy(&setup->route.key);
	snprintf(command, sizeof(command), "rm -rf '%s'", setup->folder);
	assert_int_equal(system(command), 0);
}

/* Drained, and the books balance. */
static void
setup_fini(struct setup *setup)
{
	struct xf_route_status status;

	world.keeps = false;
	assert_int_equal(xf_flow_drain(setup->flow, 10000), 0);
	xf_flow_route_status(setup->flow, 0, &status);
	assert_int_equal(status.accepted, status.acked + status.rejected + status.overflow + status.filtered + status.duplicates);
	xf_route_status_fini(&status);
	setup_end(setup);
}

static uint64_t
overflow_get(struct setup *setup)
{
	struct xf_route_status status;
	uint64_t overflow;

	xf_flow_route_status(setup->flow, 0, &status);
	overflow = status.overflow;
	xf_route_status_fini(&status);
	return overflow;
}

/* ---- Tests -------------------------------------------------------------------------------------- */

static void
a_bound_below_a_chunk_flows(void **state)
{
	struct setup setup;

	(void)state;
	setup_make(&setup);
	setup.route.max_in_flight_bytes = 1024;
	setup_start(&setup);
	world.to_emit = 50;
	assert_becomes(&world.acked, 50);
	world.to_emit = 50;
	assert_becomes(&world.acked, 100);
	setup_fini(&setup);
}

static void
adopted_payloads_count_against_the_bound(void **state)
{
	struct setup setup;

	(void)state;
	setup_make(&setup);
	setup.route.max_in_flight_bytes = 1 << 20;
	world.message.payload_size = 64 << 10;
	world.message.release = payload_release;
	world.keeps = true;
	setup_start(&setup);
	world.to_emit = 100;
	nap_ms(200);
	assert_in_range(world.emitted, 1, 17);
	world.keeps = false;
	assert_becomes(&world.acked, 100);
	assert_becomes(&world.released, 100);
	setup_fini(&setup);
}

static void
a_key_from_a_payload_is_checked(void **state)
{
	static const char breaks[] = "{\"k\": \"a\\r\\nNats-Msg-Id: b\"}", good[] = "{\"k\": \"a b\"}";
	struct xf_error error;
	struct setup setup;
	size_t column;
	char *longest;

	(void)state;
	setup_make(&setup);
	setup.route.key = xf_template_create(xf_str("{json./k}"), &column, &error);
	world.message.payload = breaks;
	world.message.payload_size = sizeof(breaks) - 1;
	setup_start(&setup);
	world.to_emit = 1;
	assert_becomes(&world.rejected, 1);

	longest = xf_format("{\"k\": \"%05000d\"}", 1);
	world.message.payload = longest;
	world.message.payload_size = strlen(longest);
	world.to_emit = 1;
	assert_becomes(&world.rejected, 2);
	assert_int_equal(world.stored, 0);
	free(longest);

	world.message.payload = good;
	world.message.payload_size = sizeof(good) - 1;
	world.to_emit = 1;
	assert_becomes(&world.acked, 1);
	setup_fini(&setup);
}

static void
a_pause_drops_what_cannot_be_held_back(void **state)
{
	struct setup setup;

	(void)state;
	setup_make(&setup);
	setup.source.traits = XF_TRAIT_LOSSY;
	world.lossy = true;
	setup_start(&setup);
	world.to_emit = 10;
	assert_becomes(&world.stored, 10);
	xf_flow_route_pause(setup.flow, 0, true, "test");
	nap_ms(50);
	world.to_emit = 10;
	assert_becomes(&world.acked, 20);
	assert_int_equal(world.stored, 10);
	assert_int_equal(overflow_get(&setup), 10);
	xf_flow_route_pause(setup.flow, 0, false, "test");
	nap_ms(50);
	world.to_emit = 10;
	assert_becomes(&world.stored, 20);
	setup_fini(&setup);
}

/* What is refused and cannot be kept goes back to its broker, or is counted as lost where that cannot be. */
static void
what_cannot_be_kept_is_accounted(void **state)
{
	for (unsigned lossy = 0; lossy < 2; lossy++) {
		struct setup setup;
		char path[96];
		sqlite3 *db;

		(void)state;
		setup_make(&setup);
		setup.source.traits = lossy ? XF_TRAIT_LOSSY : 0;
		world.lossy = lossy;
		world.message.subject = xf_str("not a subject");
		setup_start(&setup);
		snprintf(path, sizeof(path), "%s/dead.db", setup.folder);
		assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
		assert_int_equal(sqlite3_exec(db, "CREATE TRIGGER t BEFORE INSERT ON letter BEGIN SELECT RAISE(ABORT, 'no'); END",
		                              NULL, NULL, NULL), SQLITE_OK);
		sqlite3_close(db);
		world.to_emit = 1;
		assert_becomes(lossy ? &world.acked : &world.retried, 1);
		assert_int_equal(world.rejected, 0);
		assert_int_equal(overflow_get(&setup), lossy);
		setup_fini(&setup);
	}
}

/* A connection that breaks while it is written to: nothing of the batch is lost, doubled or told to be unknown. */
static void
a_sink_may_go_down_while_publishing(void **state)
{
	struct setup setup;

	(void)state;
	setup_make(&setup);
	setup_start(&setup);
	world.falls = 3;
	world.to_emit = 100;
	assert_becomes(&world.acked, 100);
	assert_int_equal(world.falls, 0);
	assert_int_equal(world.stored, 100);
	setup_fini(&setup);
}

static void
a_drain_waits_for_a_turn_that_has_begun(void **state)
{
	struct setup setup;

	(void)state;
	setup_make(&setup);
	setup_start(&setup);
	world.slow = true;
	nap_ms(20);
	assert_int_equal(xf_flow_drain(setup.flow, 10000), 0);
	assert_int_equal(world.emitted, 1);
	assert_int_equal(world.acked, 1);
	setup_fini(&setup);
}

/* While the first is under way the second is neither acked nor sent; what was refused may come again. */
static void
an_id_is_stored_once(void **state)
{
	struct xf_route_status status;
	struct setup setup;

	(void)state;
	setup_make(&setup);
	setup.route.dedupe_count = 1000;
	world.message.id = xf_str("a");
	world.keeps = true;
	setup_start(&setup);
	world.to_emit = 2;
	assert_becomes(&world.retried, 1);
	assert_int_equal(world.acked, 0);
	world.keeps = false;
	assert_becomes(&world.acked, 1);
	world.to_emit = 1;
	assert_becomes(&world.acked, 2);
	assert_int_equal(world.stored, 1);
	xf_flow_route_status(setup.flow, 0, &status);
	assert_int_equal(status.duplicates, 1);
	assert_int_equal(status.acked, 1);
	xf_route_status_fini(&status);

	world.refuses = true;
	world.message.id = xf_str("b");
	world.to_emit = 1;
	assert_becomes(&world.rejected, 1);
	world.refuses = false;
	world.to_emit = 1;
	assert_becomes(&world.acked, 3);
	assert_int_equal(world.stored, 2);
	setup_fini(&setup);
}

/* An id that was made here is nobody's duplicate, and pushes nobody out. */
static void
made_ids_are_not_remembered(void **state)
{
	struct setup setup;

	(void)state;
	setup_make(&setup);
	setup.route.dedupe_count = 1;
	world.message.id = xf_str("a");
	setup_start(&setup);
	world.to_emit = 1;
	assert_becomes(&world.stored, 1);
	assert_becomes(&world.acked, 1);
	world.message.id = (struct xf_str){NULL, 0};
	world.to_emit = 5;
	assert_becomes(&world.acked, 6);
	world.message.id = xf_str("a");
	world.to_emit = 1;
	assert_becomes(&world.acked, 7);
	assert_int_equal(world.stored, 6);
	setup_fini(&setup);
}

/* ---- Out of a spool ------------------------------------------------------------------------------ */

static _Atomic uint32_t written;

static void
spool_written(void *context, struct xf_spool_write *first)
{
	(void)context;
	assert_null(first->node.next);
	if (first->result == XF_SPOOL_DURABLE)
		written = 1; /* and the test goes on: FIRST is its own again */
}

static void
spool_add(struct xf_spool *spool, struct xf_str bytes, uint64_t time_ms)
{
	struct xf_spool_write write = {.bytes = bytes, .time_ms = time_ms, .generation = xf_spool_generation(spool)};

	written = 0;
	xf_spool_append(spool, &write, &write);
	assert_becomes(&written, 1);
}

static void
spool_add_message(struct xf_spool *spool, uint64_t ttl_ms, uint64_t time_ms)
{
	const struct xf_spooled record = {.message = {.subject = xf_str("orders"), .id = xf_str("a"), .ttl_ms = ttl_ms}};
	size_t size = xf_spooled_size(&record);
	char *bytes = xf_alloc(size);

	xf_spooled_write(&record, bytes);
	spool_add(spool, (struct xf_str){bytes, size}, time_ms);
	free(bytes);
}

/* What an earlier run left in the spool: no message, and four of which each has waited for a minute but one, which is of tomorrow. */
static void
spool_fill(struct setup *setup)
{
	char *folder = xf_format("%s/spools", setup->folder), *path = xf_format("%s/r.to", folder);
	uint64_t now = (uint64_t)xf_wall_ms();
	struct xf_spool_found found;
	struct xf_error error;
	struct xf_spool *spool;

	assert_int_equal(mkdir(folder, 0700), 0);
	spool = xf_spool_open(&(struct xf_spool_settings){.path = path, .name = "spool", .bytes_max = 1 << 20,
	                                                  .written = spool_written}, &found, &error);
	assert_non_null(spool);
	spool_add(spool, xf_str("no message"), now);
	spool_add_message(spool, 0, now - 60000);
	spool_add_message(spool, 600000, now - 60000);
	spool_add_message(spool, 1000, now - 60000);
	spool_add_message(spool, 600000, now + 86400000);
	xf_spool_close(&spool);
	free(folder);
	free(path);
}

static void
letter_seen(void *seen, const struct xf_letter *letter)
{
	*(bool *)seen = xf_str_is(letter->message.payload, "no message");
	assert_true(xf_str_is(letter->reason, "what stood in the spool is no message: the record is cut short"));
	assert_true(xf_str_is(letter->route, "r"));
}

static struct xf_leg_status
leg_get(struct setup *setup)
{
	struct xf_route_status status;
	struct xf_leg_status leg;

	xf_flow_route_status(setup->flow, 0, &status);
	leg = status.legs[0];
	xf_route_status_fini(&status);
	return leg;
}

/* What is no message becomes a dead letter, so that its lane comes to an end; lives are shorter by what was waited. */
static void
a_spool_comes_to_its_end(void **state)
{
	struct setup setup;
	struct xf_error error;
	bool seen = false;

	(void)state;
	setup_make(&setup);
	setup.sink.when_down = XF_WHEN_DOWN_SPOOL;
	setup.sink.spool_max_size = 1 << 20;
	spool_fill(&setup);
	setup_start(&setup);
	assert_becomes(&world.stored, 4);
	for (int i = 0; i < 2000 && leg_get(&setup).sink.spool.messages > 0; i++)
		nap_ms(5);
	assert_int_equal(leg_get(&setup).sink.spool.messages, 0);
	assert_int_equal(world.ttl[0], 0);
	assert_in_range(world.ttl[1], 600000 - 60000 - XF_WAIT_MS, 600000 - 60000);
	assert_int_equal(world.ttl[2], 1);
	assert_int_equal(world.ttl[3], 600000);
	assert_int_equal(xf_letters_get(xf_flow_letters(setup.flow), 1, letter_seen, &seen, &error), XF_OK);
	assert_true(seen);
	/* So what is new of that lane does not go that way any more. */
	world.to_emit = 1;
	assert_becomes(&world.acked, 1);
	assert_int_equal(leg_get(&setup).spooled, 0);
	assert_int_equal(xf_flow_drain(setup.flow, 10000), 0);
	setup_end(&setup);
}

/* ---- Into a spool --------------------------------------------------------------------------------- */

static bool
spool_is_made(const struct setup *setup)
{
	char *path = xf_format("%s/spools/r.to/records.db", setup->folder);
	bool made = access(path, F_OK) == 0;

	free(path);
	return made;
}

static void
lossy_make(struct setup *setup)
{
	setup_make(setup);
	setup->source.traits = XF_TRAIT_LOSSY;
	setup->sink.when_down = XF_WHEN_DOWN_UNSAID;
	setup->sink.spool_max_size = 64 << 20;
	setup->route.max_in_flight = 100;
	world.lossy = true;
}

static void
all_is_stored_in_order(struct setup *setup, uint32_t count)
{
	assert_becomes(&world.stored, count);
	assert_int_equal(overflow_get(setup), 0);
	assert_int_equal(world.passed_over, 0);
	assert_int_equal(world.last_number, count);
}

/* Nothing is made on disk, and no thread, until something is needed of it. */
static void
what_cannot_be_held_back_is_spooled(void **state)
{
	struct setup setup;

	(void)state;
	lossy_make(&setup);
	setup_start(&setup);
	world.to_emit = 50;
	assert_becomes(&world.stored, 50);
	assert_true(xf_flow_ready(setup.flow));
	assert_false(spool_is_made(&setup));
	assert_int_equal(xf_flow_drain(setup.flow, 10000), 0);
	setup_end(&setup);

	lossy_make(&setup);
	world.state = XF_STATE_DOWN;
	setup_start(&setup);
	world.to_emit = 20000;
	assert_becomes(&world.acked, 20000);
	assert_true(spool_is_made(&setup));
	assert_int_equal(leg_get(&setup).spooled, 20000);
	world.state = XF_STATE_UP;
	all_is_stored_in_order(&setup, 20000);
	assert_int_equal(world.again, 0);
	assert_int_equal(xf_flow_drain(setup.flow, 10000), 0);
	setup_end(&setup);
}

/* One that is up and has taken what it does not confirm: that is waited for, and all behind it goes to the spool. */
static void
a_sink_too_slow_for_what_cannot_be_held_back_has_it_spooled(void **state)
{
	struct setup setup;

	(void)state;
	lossy_make(&setup);
	world.window = 7;
	world.keeps = true;
	setup_start(&setup);
	world.to_emit = 90;
	assert_becomes(&world.emitted, 90);
	nap_ms(50);
	world.to_emit = 500;
	nap_ms(200);
	world.keeps = false;
	assert_becomes(&world.last_number, 590);
	assert_int_equal(overflow_get(&setup), 0);
	assert_int_equal(world.passed_over, 0);
	assert_true(world.again <= world.window); /* where this machine has taken a nap of its own */
	assert_true(leg_get(&setup).spooled > 0);
	setup_fini(&setup);
}

/* One that hangs, and nobody knows yet: what it has taken may be there twice, and nothing is lost. */
static void
a_sink_that_hangs_has_it_spooled(void **state)
{
	struct setup setup;

	(void)state;
	lossy_make(&setup);
	world.window = 7;
	world.keeps = true;
	setup_start(&setup);
	world.to_emit = 1000;
	assert_becomes(&world.emitted, 1000);
	assert_int_equal(overflow_get(&setup), 0);
	assert_int_equal(world.last_number, 0);
	world.keeps = false;
	assert_becomes(&world.last_number, 1000);
	assert_int_equal(world.passed_over, 0);
	setup_fini(&setup);
}

/* Where there is room neither in memory nor in the spool, it is dropped and counted. */
static void
a_full_spool_drops_what_cannot_be_held_back(void **state)
{
	struct setup setup;

	(void)state;
	lossy_make(&setup);
	setup.sink.spool_max_size = 1 << 16;
	world.state = XF_STATE_DOWN;
	setup_start(&setup);
	world.to_emit = 5000;
	assert_becomes(&world.emitted, 5000);
	assert_int_not_equal(overflow_get(&setup), 0);
	world.state = XF_STATE_UP;
	assert_becomes(&world.stored, 5000 - (uint32_t)overflow_get(&setup));
	setup_fini(&setup);
}

/* Where its spool cannot be written a sink that is up goes on, with what there is room for in memory. */
static void
a_spool_that_fails_stops_no_sink(void **state)
{
	struct setup setup;
	char *path;
	FILE *file;

	(void)state;
	lossy_make(&setup);
	path = xf_format("%s/spools", setup.folder);
	file = fopen(path, "w"); /* where its folder would be */
	assert_non_null(file);
	fclose(file);
	free(path);
	world.window = 7;
	world.keeps = true;
	setup_start(&setup);
	world.to_emit = 1000;
	assert_becomes(&world.emitted, 1000);
	assert_int_not_equal(overflow_get(&setup), 0);
	world.keeps = false;
	assert_becomes(&world.acked, 1000);
	world.to_emit = 50;
	assert_becomes(&world.acked, 1050);
	assert_true(world.again <= world.window); /* what it had when the spool was tried */
	assert_int_equal(world.stored - world.again, 1050 - (uint32_t)overflow_get(&setup));
	setup_fini(&setup);
}

/* What its own spool is to accept waits for that, as long as it takes. */
static void
what_cannot_be_held_back_waits_for_the_spool_that_accepts_it(void **state)
{
	struct setup setup;

	(void)state;
	lossy_make(&setup);
	setup.source.accept_spooled = true;
	setup.source.spool_max_size = 64 << 20;
	setup_start(&setup);
	world.to_emit = 5000;
	all_is_stored_in_order(&setup, 5000);
	setup_fini(&setup);
}

/* What it has taken and not confirmed is there twice at most; it may be minutes before it says. */
static void
a_blocked_sink_has_a_spool(void **state)
{
	struct setup setup;

	(void)state;
	setup_make(&setup);
	setup.sink.when_down = XF_WHEN_DOWN_SPOOL;
	setup.sink.spool_max_size = 64 << 20;
	setup.route.max_in_flight = 100;
	world.window = 10;
	world.keeps = true;
	setup_start(&setup);
	world.to_emit = 500;
	assert_becomes(&world.emitted, 100);
	world.state = XF_STATE_BLOCKED;
	assert_becomes(&world.acked, 500);
	assert_int_equal(leg_get(&setup).spooled, 500);
	assert_int_equal(world.stored, 0);
	world.state = XF_STATE_UP;
	world.keeps = false;
	assert_becomes(&world.stored, 510);
	assert_int_equal(world.passed_over, 0);
	assert_int_equal(world.last_number, 500);
	assert_int_equal(world.again, 10);
	world.to_emit = 1; /* and all is as before */
	assert_becomes(&world.acked, 501);
	assert_becomes(&world.stored, 511);
	setup_fini(&setup);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bound_below_a_chunk_flows),
		cmocka_unit_test(adopted_payloads_count_against_the_bound),
		cmocka_unit_test(a_key_from_a_payload_is_checked),
		cmocka_unit_test(a_pause_drops_what_cannot_be_held_back),
		cmocka_unit_test(what_cannot_be_kept_is_accounted),
		cmocka_unit_test(a_sink_may_go_down_while_publishing),
		cmocka_unit_test(a_drain_waits_for_a_turn_that_has_begun),
		cmocka_unit_test(an_id_is_stored_once),
		cmocka_unit_test(made_ids_are_not_remembered),
		cmocka_unit_test(a_spool_comes_to_its_end),
		cmocka_unit_test(what_cannot_be_held_back_is_spooled),
		cmocka_unit_test(a_sink_too_slow_for_what_cannot_be_held_back_has_it_spooled),
		cmocka_unit_test(a_sink_that_hangs_has_it_spooled),
		cmocka_unit_test(a_full_spool_drops_what_cannot_be_held_back),
		cmocka_unit_test(a_spool_that_fails_stops_no_sink),
		cmocka_unit_test(what_cannot_be_held_back_waits_for_the_spool_that_accepts_it),
		cmocka_unit_test(a_blocked_sink_has_a_spool),
	};

	xf_log_setup(XF_LOG_ERROR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
