/*
 * What handlers do with messages: by handlers that do as each test says, or have a thread of their own (handler_fake.h), and with a destination that
 * writes down what it gets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "flow/chain.h"
#include "flow/delivery.h"
#include "handler_fake.h"
#include "wait.h"

#define SEEN_MAX 64
#define STORM 5000
#define STORM_LANES 7

/* ---- Handlers -------------------------------------------------------------------------------------- */

/* One of them. What it does with a message: `says` is called with its number in the list of handlers. */
struct scripted {
	struct xf_endpoint *endpoint;
	unsigned number;
	uint64_t held[SEEN_MAX]; /* tokens, oldest first */
	const struct xf_incoming *messages[SEEN_MAX];
	unsigned held_count;
	unsigned cancelled;
};

static struct world {
	void (*says)(struct scripted *handler, const struct xf_task *task);
	struct scripted *instances[4];
	unsigned instance_count;
	unsigned calls;

	struct xf_inbox bell;
	struct xf_chain chain;
	struct xf_handlers handlers;
	struct xf_conf_handler confs[4];
	struct xf_conf_retry retry;

	char delivered[SEEN_MAX][64]; /* "subject id payload" */
	struct xf_job *open[SEEN_MAX];
	unsigned delivered_count;
	bool settles;   /* what is delivered is settled at once */
	bool borrowed;  /* the last one delivered lay where its source had it */
	char refused[256];
	unsigned refused_count, dropped_count;
	uint64_t settled[SEEN_MAX];
	uint8_t how[SEEN_MAX];
	unsigned settled_count;
} world;

static void
say(struct scripted *handler, uint64_t token, uint32_t code, const char *reason, const struct xf_incoming *made, uint32_t count)
{
	const struct xf_outcome outcome = {
		.token = token,
		.code = code,
		.delay_ms = code == XF_OUTCOME_LATER ? 5 : 0,
		.messages = made,
		.count = count,
		.stride = sizeof(*made),
		.reason = xf_str(reason),
	};

	xf_host()->finish(handler->endpoint, &outcome, sizeof(outcome), 1);
}

static int32_t
scripted_create(const struct xf_host *host, struct xf_endpoint *endpoint, const struct xf_config *config,
                const struct xf_handler_info *info, void **instance, struct xf_error *error)
{
	struct scripted *handler = xf_alloc(sizeof(*handler));

	(void)host, (void)config, (void)info, (void)error;
	handler->endpoint = endpoint;
	handler->number = world.instance_count;
	world.instances[world.instance_count++] = handler;
	*instance = handler;
	return 0;
}

static uint32_t
scripted_process(void *instance, const struct xf_task *tasks, uint32_t stride, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		world.calls++;
		world.says(instance, (const void *)((const char *)tasks + (size_t)i * stride));
	}
	return count;
}

static void
scripted_destroy(void *instance)
{
	free(instance);
}

static const struct xf_handler_ops sync_ops = {
	.struct_size = sizeof(sync_ops),
	.create = scripted_create,
	.process = scripted_process,
	.destroy = scripted_destroy,
};
static const struct xf_handler_class sync_class = {{sizeof(sync_class), XF_KIND_HANDLER, "sync", ""}, NULL, &sync_ops};

static uint64_t
holder_traits(const struct xf_host *host, const struct xf_config *config)
{
	(void)host, (void)config;
	return XF_HANDLER_HOLDS;
}

static void
hold(struct scripted *handler, const struct xf_task *task)
{
	handler->messages[handler->held_count] = task->message;
	handler->held[handler->held_count++] = task->token;
}

static void
held_remove(struct scripted *handler, unsigned index)
{
	for (unsigned i = index; i + 1 < handler->held_count; i++) {
		handler->held[i] = handler->held[i + 1];
		handler->messages[i] = handler->messages[i + 1];
	}
	handler->held_count--;
}

static void
holder_cancel(void *instance, uint64_t token)
{
	struct scripted *handler = instance;
	unsigned i = 0;

	while (i < handler->held_count && handler->held[i] != token)
		i++;
	assert_true(i < handler->held_count);
	assert_non_null(handler->messages[i]->subject.data);
	held_remove(handler, i);
	handler->cancelled++;
}

static const struct xf_handler_ops holder_ops = {
	.struct_size = sizeof(holder_ops),
	.traits = holder_traits,
	.create = scripted_create,
	.process = scripted_process,
	.cancel = holder_cancel,
	.destroy = scripted_destroy,
};
static const struct xf_handler_class holder_class = {{sizeof(holder_class), XF_KIND_HANDLER, "holder", ""}, NULL, &holder_ops};

/* ---- The destination ---------------------------------------------------------------------------------- */

static uint16_t
bucket(void *context, const struct xf_incoming *message)
{
	(void)context;
	return (uint16_t)message->subject.data[0];
}

static void
deliver(void *context, struct xf_job *job)
{
	const struct xf_incoming *message = &job->message;

	(void)context;
	assert_true(world.delivered_count < SEEN_MAX);
	snprintf(world.delivered[world.delivered_count], sizeof(world.delivered[0]), "%.*s %.*s %.*s", (int)message->subject.len,
	         message->subject.data, (int)message->id.len, message->id.data, (int)message->payload_size,
	         (const char *)message->payload);
	world.borrowed = job->message_block == NULL && job->given_block == NULL;
	job->under_way++;
	world.open[world.delivered_count++] = job;
	if (world.settles)
		xf_chain_settled(&world.chain, job, XF_REFUSED_NOT);
}

static uint8_t
refuse(void *context, struct xf_job *job, const char *reason)
{
	(void)context, (void)job;
	snprintf(world.refused, sizeof(world.refused), "%s", reason);
	world.refused_count++;
	return XF_REFUSED_KEPT;
}

static void
settle(void *context, struct xf_job *job)
{
	(void)context;
	world.settled[world.settled_count % SEEN_MAX] = job->handle;
	world.how[world.settled_count++ % SEEN_MAX] = job->refused;
}

static void
drop(void *context, struct xf_job *job)
{
	(void)context;
	assert_false(job->delivered);
	world.dropped_count++;
}

static const struct xf_chain_ops chain_ops = {
	.bucket = bucket,
	.deliver = deliver,
	.refuse = refuse,
	.drop = drop,
	.settle = settle,
};

/* ---- The set-up ------------------------------------------------------------------------------------------ */

static void
handler_add(const struct xf_handler_class *class, uint64_t timeout_ms)
{
	struct xf_conf_handler *conf = &world.confs[world.handlers.count];
	struct xf_error error;

	*conf = (struct xf_conf_handler){
		.name = class->head.name,
		.plugin = class->head.name,
		.class = class,
		.timeout_ms = timeout_ms,
		.holds = class != &sync_class,
	};
	world.handlers.list[world.handlers.count] = xf_handler_create(conf, "r", "s", &error);
	assert_non_null(world.handlers.list[world.handlers.count]);
	xf_handler_start(world.handlers.list[world.handlers.count++]);
}

static void
begin(void (*says)(struct scripted *handler, const struct xf_task *task))
{
	struct xf_error error;

	memset(&world, 0, sizeof(world));
	world.says = says;
	world.settles = true;
	world.retry = (struct xf_conf_retry){.constant = true, .initial_ms = 10, .max_ms = 10};
	assert_int_equal(xf_inbox_init(&world.bell, &error), XF_OK);
	xf_chain_init(&world.chain, &chain_ops, NULL, &world.bell);
}

static void
handlers_set(enum xf_order order)
{
	xf_chain_set(&world.chain, &world.handlers, order, &world.retry, 1000);
}

static void
end(void)
{
	for (size_t i = 0; i < world.handlers.count; i++)
		if (xf_handler_runner(world.handlers.list[i]) != NULL)
			xf_runner_stop(xf_handler_runner(world.handlers.list[i]));
	xf_chain_cancel(&world.chain);
	assert_int_equal(world.chain.bytes == 0, world.chain.inside == 0);
	xf_chain_fini(&world.chain);
	for (size_t i = 0; i < world.handlers.count; i++)
		xf_handler_destroy(&world.handlers.list[i]);
	xf_inbox_fini(&world.bell);
}

static void
enter(const char *subject, const char *id, uint64_t handle, uint64_t now_ms)
{
	const struct xf_incoming message = {
		.handle = handle, .subject = xf_str(subject), .id = xf_str(id), .payload = "x", .payload_size = 1};

	xf_chain_enter(&world.chain, xf_chain_make(&world.chain, &message, false, now_ms), now_ms);
}

/* ---- At once ------------------------------------------------------------------------------------------------ */

static void
says_pass(struct scripted *handler, const struct xf_task *task)
{
	say(handler, task->token, XF_OUTCOME_PASS, NULL, NULL, 0);
}

static void
test_passes_what_is_not_changed(void **state)
{
	(void)state;
	begin(says_pass);
	handler_add(&sync_class, 0);
	handler_add(&sync_class, 0);
	handlers_set(XF_ORDER_LANE);
	enter("a", "1", 11, 1000);
	assert_int_equal(world.delivered_count, 1);
	assert_string_equal(world.delivered[0], "a 1 x");
	assert_true(world.borrowed);
	assert_int_equal(world.calls, 2);
	assert_int_equal(world.settled_count, 1);
	assert_int_equal(world.settled[0], 11);
	assert_int_equal(world.how[0], XF_REFUSED_NOT);
	end();
}

/* The first doubles; the second adds a letter. */
static void
says_double(struct scripted *handler, const struct xf_task *task)
{
	struct xf_incoming made[2] = {*task->message, *task->message};
	char payload[16];

	if (handler->number == 0) {
		made[0].payload = "y";
		made[0].id = made[1].id = (struct xf_str){NULL, 0};
		made[1].payload = "z";
		say(handler, task->token, XF_OUTCOME_PASS, NULL, made, 2);
		return;
	}
	made[0].payload_size = (uint64_t)snprintf(payload, sizeof(payload), "%.*s!", (int)task->message->payload_size,
	                                          (const char *)task->message->payload);
	made[0].payload = payload;
	made[0].id = (struct xf_str){NULL, 0};
	say(handler, task->token, XF_OUTCOME_PASS, NULL, made, 1);
}

static void
test_several_go_on_in_order(void **state)
{
	(void)state;
	begin(says_double);
	handler_add(&sync_class, 0);
	handler_add(&sync_class, 0);
	handlers_set(XF_ORDER_LANE);
	world.settles = false;
	enter("a", "1", 11, 1000);
	assert_int_equal(world.delivered_count, 2);
	assert_string_equal(world.delivered[0], "a 1/1 y!");
	assert_string_equal(world.delivered[1], "a 1/2 z!");
	assert_int_equal(world.settled_count, 0);
	xf_chain_settled(&world.chain, world.open[1], XF_REFUSED_KEPT);
	assert_int_equal(world.settled_count, 0);
	xf_chain_settled(&world.chain, world.open[0], XF_REFUSED_NOT);
	assert_int_equal(world.settled_count, 1);
	assert_int_equal(world.how[0], XF_REFUSED_KEPT);
	end();
}

/* The first doubles, the second drops the former and refuses the latter. */
static void
says_give_up(struct scripted *handler, const struct xf_task *task)
{
	if (handler->number == 0)
		says_double(handler, task);
	else if (*(const char *)task->message->payload == 'y')
		say(handler, task->token, XF_OUTCOME_DROP, NULL, NULL, 0);
	else
		say(handler, task->token, XF_OUTCOME_REFUSE, "no", NULL, 0);
}

static void
test_drops_and_refuses(void **state)
{
	(void)state;
	begin(says_give_up);
	handler_add(&sync_class, 0);
	handler_add(&sync_class, 0);
	handlers_set(XF_ORDER_LANE);
	enter("a", "1", 11, 1000);
	assert_int_equal(world.delivered_count, 0);
	assert_int_equal(world.refused_count, 1);
	assert_string_equal(world.refused, "handler sync refused it: no");
	assert_int_equal(world.settled_count, 1);
	assert_int_equal(world.how[0], XF_REFUSED_KEPT);
	end();
}

static void
says_done(struct scripted *handler, const struct xf_task *task)
{
	assert_int_equal(handler->number, 0);
	say(handler, task->token, XF_OUTCOME_DONE, NULL, NULL, 0);
}

static void
test_done_goes_past_the_others(void **state)
{
	(void)state;
	begin(says_done);
	handler_add(&sync_class, 0);
	handler_add(&sync_class, 0);
	handlers_set(XF_ORDER_LANE);
	enter("a", "1", 11, 1000);
	assert_int_equal(world.delivered_count, 1);
	end();
}

/* ---- Attempts --------------------------------------------------------------------------------------------------- */

static void
says_fail(struct scripted *handler, const struct xf_task *task)
{
	say(handler, task->token, world.calls == 2 ? XF_OUTCOME_LATER : XF_OUTCOME_FAIL, "not yet", NULL, 0);
}

static void
test_fails_until_the_last_attempt(void **state)
{
	(void)state;
	begin(says_fail);
	world.retry.attempts = 3;
	handler_add(&sync_class, 0);
	handlers_set(XF_ORDER_LANE);
	enter("a", "1", 11, 1000);
	xf_chain_follow(&world.chain, 1009);
	assert_int_equal(world.calls, 1);
	xf_chain_follow(&world.chain, 1020); /* later: uses up none */
	assert_int_equal(world.calls, 2);
	xf_chain_follow(&world.chain, 1040);
	assert_int_equal(world.calls, 3);
	xf_chain_follow(&world.chain, 1060);
	assert_int_equal(world.calls, 4);
	assert_int_equal(world.refused_count, 1);
	assert_string_equal(world.refused, "handler sync failed as often as it is to be tried, the last time: not yet");
	assert_int_equal(world.settled_count, 1);
	end();
}

/* ---- Held -------------------------------------------------------------------------------------------------------- */

static void
test_one_of_a_lane_at_a_time(void **state)
{
	struct scripted *holder;

	(void)state;
	begin(hold);
	handler_add(&holder_class, 0);
	handlers_set(XF_ORDER_LANE);
	holder = world.instances[0];
	enter("a", "1", 11, 1000);
	enter("a", "2", 12, 1000);
	enter("b", "3", 13, 1000);
	enter("a", "4", 14, 1000);
	assert_int_equal(holder->held_count, 2); /* a 1, b 3 */
	say(holder, holder->held[1], XF_OUTCOME_PASS, NULL, NULL, 0);
	held_remove(holder, 1);
	xf_chain_follow(&world.chain, 1001);
	assert_string_equal(world.delivered[0], "b 3 x");
	say(holder, holder->held[0], XF_OUTCOME_FAIL, NULL, NULL, 0);
	held_remove(holder, 0);
	xf_chain_follow(&world.chain, 1002);
	assert_int_equal(holder->held_count, 0); /* a 2 does not pass it */
	xf_chain_follow(&world.chain, 1100);
	assert_int_equal(holder->held_count, 1);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(holder->held_count, 1);
		say(holder, holder->held[0], XF_OUTCOME_PASS, NULL, NULL, 0);
		held_remove(holder, 0);
		xf_chain_follow(&world.chain, 1101);
	}
	assert_string_equal(world.delivered[1], "a 1 x");
	assert_string_equal(world.delivered[2], "a 2 x");
	assert_string_equal(world.delivered[3], "a 4 x");
	assert_int_equal(world.settled_count, 4);
	end();
}

static void
test_no_order_no_waiting(void **state)
{
	(void)state;
	begin(hold);
	handler_add(&holder_class, 0);
	handlers_set(XF_ORDER_NONE);
	enter("a", "1", 11, 1000);
	enter("a", "2", 12, 1000);
	assert_int_equal(world.instances[0]->held_count, 2);
	end();
}

static void
test_takes_back_what_takes_too_long(void **state)
{
	struct scripted *holder;
	uint64_t token;

	(void)state;
	begin(hold);
	world.retry.attempts = 2;
	handler_add(&holder_class, 50);
	handlers_set(XF_ORDER_LANE);
	holder = world.instances[0];
	enter("a", "1", 11, 1000);
	token = holder->held[0];
	xf_chain_follow(&world.chain, 1049);
	assert_int_equal(holder->cancelled, 0);
	xf_chain_follow(&world.chain, 1051);
	assert_int_equal(holder->cancelled, 1);
	say(holder, token, XF_OUTCOME_PASS, NULL, NULL, 0); /* too late */
	xf_chain_follow(&world.chain, 1052);
	assert_int_equal(world.delivered_count, 0);
	xf_chain_follow(&world.chain, 1100);
	assert_int_equal(holder->held_count, 1);
	xf_chain_follow(&world.chain, 1200);
	xf_chain_follow(&world.chain, 1201);
	assert_int_equal(world.refused_count, 1);
	assert_string_equal(world.refused,
	                    "handler holder failed as often as it is to be tried, the last time: it took longer than 50 ms");
	end();
}

/* ---- A reload ------------------------------------------------------------------------------------------------------ */

/* What one handler has made of it and the second holds begins anew with others, as it was given. */
static void
says_change_and_hold(struct scripted *handler, const struct xf_task *task)
{
	struct xf_incoming made = *task->message;

	if (handler->number == 1) {
		hold(handler, task);
		return;
	}
	made.payload = "changed";
	made.payload_size = 7;
	say(handler, task->token, XF_OUTCOME_PASS, NULL, &made, 1);
}

static void
test_other_handlers_begin_anew(void **state)
{
	(void)state;
	begin(says_change_and_hold);
	handler_add(&sync_class, 0);
	handler_add(&holder_class, 0);
	handlers_set(XF_ORDER_LANE);
	enter("a", "1", 11, 1000);
	enter("a", "2", 12, 1000);
	xf_chain_hold(&world.chain, true);
	enter("b", "3", 13, 1000);
	assert_int_equal(world.instances[1]->held_count, 1);
	xf_chain_cancel(&world.chain);
	xf_chain_follow(&world.chain, 1010);
	assert_int_equal(world.chain.given, 0);
	assert_int_equal(world.delivered_count, 0);
	xf_chain_set(&world.chain, NULL, XF_ORDER_LANE, &world.retry, 1010);
	xf_chain_hold(&world.chain, false);
	xf_chain_follow(&world.chain, 1010);
	assert_int_equal(world.delivered_count, 3);
	assert_string_equal(world.delivered[0], "a 1 x");
	assert_string_equal(world.delivered[1], "a 2 x");
	assert_string_equal(world.delivered[2], "b 3 x");
	assert_int_equal(world.settled_count, 3);
	assert_false(xf_chain_any(&world.chain));
	end();
}

/* ---- Promises broken -------------------------------------------------------------------------------------------------- */

static void
says_twice(struct scripted *handler, const struct xf_task *task)
{
	says_pass(handler, task);
	says_pass(handler, task);
}

static void
says_nothing(struct scripted *handler, const struct xf_task *task)
{
	(void)handler, (void)task;
}

static void
says_nonsense(struct scripted *handler, const struct xf_task *task)
{
	say(handler, task->token, 77, NULL, NULL, 0);
}

static void
violated(void (*says)(struct scripted *handler, const struct xf_task *task), unsigned delivered)
{
	struct xf_handler_status status;

	begin(says);
	world.retry.attempts = 1;
	handler_add(&sync_class, 0);
	handlers_set(XF_ORDER_LANE);
	enter("a", "1", 11, 1000);
	xf_chain_follow(&world.chain, 1010);
	assert_int_equal(world.delivered_count, delivered);
	assert_int_equal(world.refused_count, 1 - delivered);
	assert_int_equal(world.settled_count, 1);
	xf_handler_status(world.handlers.list[0], &status);
	assert_int_equal(status.violations, 1);
	end();
}

static void
test_violations(void **state)
{
	(void)state;
	violated(says_twice, 1);
	violated(says_nothing, 0);
	violated(says_nonsense, 0);
}

/* ---- With threads ------------------------------------------------------------------------------------------------------ */

static uint64_t
random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static unsigned storm_next[STORM_LANES]; /* the number that the lane is to bring next */

static void
storm_deliver(void *context, struct xf_job *job)
{
	unsigned lane = (unsigned)(job->message.subject.data[0] - 'a');
	unsigned number = (unsigned)strtoul(job->message.id.data, NULL, 10); /* what stands behind it is no digit */

	(void)context;
	assert_int_equal(number, storm_next[lane]);
	storm_next[lane]++;
	job->under_way++;
	xf_chain_settled(&world.chain, job, XF_REFUSED_NOT);
}

static void
test_order_under_threads(void **state)
{
	static const struct xf_chain_ops ops = {
		.bucket = bucket, .deliver = storm_deliver, .refuse = refuse, .drop = drop, .settle = settle};
	unsigned numbers[STORM_LANES] = {0}, sent = 0;
	uint64_t random = 42, start = xf_now_ms();
	struct xf_handler_status status;

	(void)state;
	memset(storm_next, 0, sizeof(storm_next));
	begin(says_pass);
	world.chain.ops = &ops;
	world.retry.initial_ms = world.retry.max_ms = 1;
	handler_add(&handler_fake, 0);
	handler_add(&sync_class, 0);
	handler_add(&handler_fake, 5);
	handlers_set(XF_ORDER_LANE);
	while (world.settled_count < STORM) {
		assert_true(xf_now_ms() < start + XF_WAIT_MS);
		while (sent < STORM && world.chain.inside < 200) {
			unsigned lane = (unsigned)random_next(&random) % STORM_LANES;
			char subject[2] = {(char)('a' + lane), '\0'}, id[16];

			snprintf(id, sizeof(id), "%u.", numbers[lane]++);
			enter(subject, id, sent++, xf_now_ms());
		}
		if (random_next(&random) % 512 == 0)
			xf_chain_cancel(&world.chain);
		if (xf_inbox_sleep(&world.bell)) {
			poll(&(struct pollfd){.fd = world.bell.bell, .events = POLLIN}, 1, 1);
			xf_inbox_awake(&world.bell);
		}
		xf_chain_follow(&world.chain, xf_now_ms());
	}
	assert_int_equal(world.refused_count, 0);
	assert_int_equal(world.chain.inside, 0);
	assert_int_equal(world.chain.given, 0);
	for (size_t i = 0; i < world.handlers.count; i++) {
		xf_handler_status(world.handlers.list[i], &status);
		assert_int_equal(status.violations, 0);
		assert_int_equal(status.taken, status.passed + status.failed + status.delayed + status.cancelled);
		assert_true(status.passed >= STORM);
	}
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passes_what_is_not_changed),
		cmocka_unit_test(test_several_go_on_in_order),
		cmocka_unit_test(test_drops_and_refuses),
		cmocka_unit_test(test_done_goes_past_the_others),
		cmocka_unit_test(test_fails_until_the_last_attempt),
		cmocka_unit_test(test_one_of_a_lane_at_a_time),
		cmocka_unit_test(test_no_order_no_waiting),
		cmocka_unit_test(test_takes_back_what_takes_too_long),
		cmocka_unit_test(test_other_handlers_begin_anew),
		cmocka_unit_test(test_violations),
		cmocka_unit_test(test_order_under_threads),
	};

	xf_log_setup(XF_LOG_ERROR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
