/*
 * terminate.c - crossfaded is told to end while it works: it says that it is not ready, settles or spools what it has, and ends well
 * within the time that it is given; with a broker that stands still too. Nothing is lost.
 *
 * What is promised is drain_timeout, three seconds here. The margin is for machines with other work; the output has the figures.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "siege.h"

#define RATE (4000 / XF_SCALE)
#define DELAY_MS 50 /* so that there is something under way, and the drain takes a moment */
#define FED_MS 1000
#define FED (RATE * FED_MS / 1000)
#define DRAIN_MS 3000
#define MARGIN_MS 10000

/* What /readyz says while the server ends. */
struct watch {
	struct siege *siege;
	bool draining, ready_again;
};

static void
ready_watch(void *arg)
{
	struct watch *watch = arg;
	char *status = xf_server_string(watch->siege->world->server, "/readyz", "status");

	if (strcmp(status, "draining") == 0)
		watch->draining = true;
	else if (*status != '\0' && watch->draining)
		watch->ready_again = true;
	free(status);
}

/* Seconds to the end. */
static double
terminate(struct siege *s, struct watch *watch)
{
	uint64_t begin = xf_now_ms(), took;

	*watch = (struct watch){.siege = s};
	siege_moment(s);
	assert_int_equal(siege_terminate(s, ready_watch, watch), 0);
	took = xf_now_ms() - begin;
	assert_false(watch->ready_again);
	assert_in_range(took, 0, DRAIN_MS + MARGIN_MS * XF_SCALE);
	return (double)took / 1000;
}

/* STALLED: one side's broker stands still meanwhile, in turns. */
static void
rounds(struct siege *s, const char *name, const char *sides, unsigned count, bool stalled)
{
	unsigned seed = siege_seed(name), seen = 0;
	struct samples seconds = {0};
	struct siege_sum sum;

	siege_begin(s, name, sides, count * FED, RATE, DELAY_MS);
	for (unsigned i = 0; i < count; i++) {
		struct watch watch;

		siege_feed(s, i * FED, (i + 1) * FED);
		usleep(((unsigned)rand_r(&seed) % FED_MS) * 1000);
		if (stalled)
			broker_stop(s, i % 2 == 0 ? OLD : NEW);
		usleep(((unsigned)rand_r(&seed) % 200) * 1000);
		samples_add(&seconds, terminate(s, &watch));
		seen += watch.draining;
		assert_true(watch.draining || !stalled); /* else it may be over too soon to be seen */
		broker_heal(s, i % 2 == 0 ? OLD : NEW);
		feeder_join(&s->feeder);
		xf_server_start(s->world->server);
	}
	sum = siege_finish(s);
	printf("%s: %u times, ended after %.2f s (p50), %.2f s (p99), seen to drain %u times, %" PRIu64 " duplicates\n", name,
	       count, samples_at(&seconds, 0.5), samples_at(&seconds, 0.99), seen, sum.duplicates);
	figures_write(&(struct figures){.fault = !stalled        ? "SIGTERM under load"
	                                         : *sides == '\0' ? "SIGTERM, a broker stopped, no spool"
	                                                          : "SIGTERM, a broker stopped",
	                                .broker = "amqp to redis, nats",
	                                .acked = count * FED,
	                                .faults = count,
	                                .lost = (double)sum.ledger.lost,
	                                .reordered = (double)sum.reordered,
	                                .duplicates = (double)sum.duplicates,
	                                .recover = &seconds,
	                                .note = "drain_timeout 3 s"});
	samples_fini(&seconds);
	siege_check(s, &sum);
}

static unsigned
times(unsigned few, unsigned many)
{
	return getenv("XF_LONG") != NULL ? many : few;
}

static void
test_under_load(void **state)
{
	rounds(*state, "terminate", SPOOLS, times(4, 30), false);
}

/* What it cannot have is spooled. */
static void
test_with_a_stopped_broker(void **state)
{
	rounds(*state, "stopped", SPOOLS, times(2, 10), true);
}

/* What it cannot have stays at the source. */
static void
test_without_spools(void **state)
{
	rounds(*state, "unspooled", "", times(2, 10), true);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_under_load),
		cmocka_unit_test(test_with_a_stopped_broker),
		cmocka_unit_test(test_without_spools),
	};

	return cmocka_run_group_tests(tests, siege_setup, siege_teardown);
}
