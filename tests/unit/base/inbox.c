/*
 * One taker, several producers, real threads. Whoever is not woken shows as a deadline that passes: the taker sleeps
 * on its bell, with no other way to notice.
 */
#include "base/inbox.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"

#define PRODUCERS 3
#define DEADLINE_MS 20000

struct item {
	struct xf_node node; /* first */
	unsigned producer;
	unsigned number;
};

static bool
rings(const struct xf_inbox *inbox, int timeout_ms)
{
	struct pollfd fd = {.fd = inbox->bell, .events = POLLIN};

	return poll(&fd, 1, timeout_ms) == 1;
}

/* ---- One thread ------------------------------------------------------------------ */

static void
chains_come_out_as_they_went_in(void **state)
{
	struct item items[10] = {{.number = 0}};
	struct xf_inbox inbox;
	unsigned at = 0;

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		items[i].number = i;
		items[i].node.next = i < 9 ? &items[i + 1].node : NULL;
	}
	assert_int_equal(xf_inbox_init(&inbox, NULL), XF_OK);
	assert_null(xf_inbox_take(&inbox));
	for (unsigned length = 1; length <= 4; at += length++) /* 1 + 2 + 3 + 4 */
		xf_inbox_push(&inbox, &items[at].node, &items[at + length - 1].node);
	at = 0;
	for (struct xf_node *node = xf_inbox_take(&inbox); node != NULL; node = node->next)
		assert_int_equal(((struct item *)node)->number, at++);
	assert_int_equal(at, 10);
	assert_null(xf_inbox_take(&inbox));
	xf_inbox_fini(&inbox);
}

static void
nobody_sleeps_over_work(void **state)
{
	struct xf_inbox inbox;
	struct item item = {.number = 1};

	(void)state;
	assert_int_equal(xf_inbox_init(&inbox, NULL), XF_OK);
	xf_inbox_push(&inbox, &item.node, &item.node);
	assert_false(rings(&inbox, 0)); /* nobody slept: no system call was needed */
	assert_false(xf_inbox_sleep(&inbox));
	assert_non_null(xf_inbox_take(&inbox));

	assert_true(xf_inbox_sleep(&inbox));
	xf_inbox_push(&inbox, &item.node, &item.node);
	assert_true(rings(&inbox, 0));
	xf_inbox_awake(&inbox);
	assert_false(rings(&inbox, 0));
	assert_non_null(xf_inbox_take(&inbox));

	xf_inbox_ring(&inbox); /* awake: is remembered ... */
	assert_false(xf_inbox_sleep(&inbox));
	assert_true(xf_inbox_sleep(&inbox)); /* ... once */
	xf_inbox_ring(&inbox);
	xf_inbox_ring(&inbox);
	assert_true(rings(&inbox, 0));
	xf_inbox_awake(&inbox);
	assert_true(xf_inbox_sleep(&inbox));
	assert_false(rings(&inbox, 0));
	xf_inbox_awake(&inbox);
	xf_inbox_fini(&inbox);
}

/* ---- Several ----------------------------------------------------------------------- */

struct stress {
	struct xf_inbox inbox;
	struct xf_inbox answers[PRODUCERS]; /* a producer goes on when the taker has seen its chain */
	struct item *items[PRODUCERS];
	unsigned count; /* of each */
	bool in_turns;
};

struct producer {
	struct stress *stress;
	unsigned number;
};

/* False: the deadline passed. */
static bool
wait_for(struct xf_inbox *inbox)
{
	bool rung = true;

	if (xf_inbox_sleep(inbox)) {
		rung = rings(inbox, DEADLINE_MS);
		xf_inbox_awake(inbox);
	}
	return rung;
}

/* Pushes chains of 1 to 5; in turns, each waits for its answer, so that both ends fall asleep again and again. */
static void *
produce(void *context)
{
	struct producer *producer = context;
	struct stress *stress = producer->stress;
	struct item *items = stress->items[producer->number];
	unsigned random = producer->number + 1;

	for (unsigned at = 0, length; at < stress->count; at += length) {
		random = random * 1103515245 + 12345;
		length = 1 + (random >> 16) % 5;
		if (length > stress->count - at)
			length = stress->count - at;
		for (unsigned i = at; i < at + length; i++) {
			items[i].producer = producer->number;
			items[i].number = i;
			items[i].node.next = i + 1 < at + length ? &items[i + 1].node : NULL;
		}
		xf_inbox_push(&stress->inbox, &items[at].node, &items[at + length - 1].node);
		if (stress->in_turns)
			while (xf_inbox_take(&stress->answers[producer->number]) == NULL)
				if (!wait_for(&stress->answers[producer->number]))
					return context;
	}
	return NULL;
}

static void
run_stress(unsigned count, bool in_turns)
{
	struct stress stress = {.count = count, .in_turns = in_turns};
	struct producer producers[PRODUCERS];
	pthread_t threads[PRODUCERS];
	unsigned next[PRODUCERS] = {0}, total = 0;
	bool on_time = true, in_order = true;

	assert_int_equal(xf_inbox_init(&stress.inbox, NULL), XF_OK);
	for (unsigned i = 0; i < PRODUCERS; i++) {
		assert_int_equal(xf_inbox_init(&stress.answers[i], NULL), XF_OK);
		stress.items[i] = xf_alloc_array(count, sizeof(struct item));
		producers[i] = (struct producer){&stress, i};
		assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
	}
	while (total < PRODUCERS * count && on_time) {
		struct item *last[PRODUCERS] = {NULL};
		struct xf_node *node = xf_inbox_take(&stress.inbox);

		if (node == NULL) {
			on_time = wait_for(&stress.inbox);
			continue;
		}
		for (; node != NULL; node = node->next, total++) {
			struct item *item = (struct item *)node;

			in_order = in_order && item->number == next[item->producer];
			next[item->producer] = item->number + 1;
			last[item->producer] = item;
		}
		/* What was taken is free to travel on. */
		for (unsigned i = 0; in_turns && i < PRODUCERS; i++)
			if (last[i] != NULL)
				xf_inbox_push(&stress.answers[i], &last[i]->node, &last[i]->node);
	}
	for (unsigned i = 0; i < PRODUCERS; i++) {
		void *late;

		pthread_join(threads[i], &late);
		on_time = on_time && late == NULL;
		free(stress.items[i]);
		xf_inbox_fini(&stress.answers[i]);
	}
	xf_inbox_fini(&stress.inbox);
	assert_true(in_order);
	assert_true(on_time);
	assert_int_equal(total, PRODUCERS * count);
}

static void
every_producer_keeps_its_order(void **state)
{
	(void)state;
	run_stress(200000, false);
}

static void
no_wake_up_is_lost(void **state)
{
	(void)state;
	run_stress(20000, true);
}

/* The bell alone wakes, each time. */
static void *
ring_back(void *context)
{
	struct xf_inbox *inboxes = context;

	for (unsigned i = 0; i < 5000; i++) {
		if (!wait_for(&inboxes[1]))
			return context;
		xf_inbox_ring(&inboxes[0]);
	}
	return NULL;
}

static void
a_ring_wakes(void **state)
{
	struct xf_inbox inboxes[2];
	bool on_time = true;
	pthread_t thread;
	void *late;

	(void)state;
	assert_int_equal(xf_inbox_init(&inboxes[0], NULL), XF_OK);
	assert_int_equal(xf_inbox_init(&inboxes[1], NULL), XF_OK);
	assert_int_equal(pthread_create(&thread, NULL, ring_back, inboxes), 0);
	for (unsigned i = 0; i < 5000 && on_time; i++) {
		xf_inbox_ring(&inboxes[1]);
		on_time = wait_for(&inboxes[0]);
	}
	pthread_join(thread, &late);
	xf_inbox_fini(&inboxes[0]);
	xf_inbox_fini(&inboxes[1]);
	assert_true(on_time);
	assert_null(late);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chains_come_out_as_they_went_in),
		cmocka_unit_test(nobody_sleeps_over_work),
		cmocka_unit_test(every_producer_keeps_its_order),
		cmocka_unit_test(no_wake_up_is_lost),
		cmocka_unit_test(a_ring_wakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
