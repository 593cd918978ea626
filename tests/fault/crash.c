/*
 * crash.c - crossfaded is killed again and again, at any moment, under load, while the brokers behind it come and go and its spools fill
 * and empty: it starts again on what it left, and nothing is lost, broken or reordered.
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
#include "base/memory.h"
#include "siege.h"

#define RATE (4000 / XF_SCALE)
#define DELAY_MS 10
#define KILLS_SHORT 14
#define KILLS_LONG 500

enum change { REMAINS, HEALED, CUT, STALLED, CHANGES };

/* Drawn before anything starts, so a seed is a run, whatever the machine does. */
struct step {
	unsigned fed_ms;  /* so much is fed, beginning with the step */
	unsigned kill_us; /* after so long */
	enum change changes[SOURCE];
};

static unsigned
kills_count(void)
{
	const char *given = getenv("XF_KILLS");

	return given != NULL ? (unsigned)atoi(given) : getenv("XF_LONG") != NULL ? KILLS_LONG : KILLS_SHORT;
}

/* Most are short; in a long one a spool grows or is read. */
static struct step
step_draw(unsigned *seed)
{
	struct step step = {.fed_ms = 200 + (unsigned)rand_r(seed) % 800};

	if (rand_r(seed) % 5 == 0)
		step.fed_ms += 3000;
	step.kill_us = (unsigned)rand_r(seed) % (step.fed_ms * 1000);
	for (int side = OLD; side <= NEW; side++)
		step.changes[side] = (enum change)(rand_r(seed) % CHANGES);
	return step;
}

static void
unreachable(struct proxy *proxy)
{
	proxy_refuse(proxy);
	proxy_cut(proxy);
}

static void
side_change(struct siege *s, int side, enum change change)
{
	if (change == REMAINS)
		return;
	broker_heal(s, side);
	line_heal(s, side);
	if (change == CUT)
		line_fault(s, side, unreachable);
	if (change == STALLED)
		broker_stop(s, side);
}

/* How long a start takes, by what is in the spools. */
#define CLASSES 4
static const double class_end[CLASSES] = {1, 1000, 10000, 1e9};
static const char *const class_names[CLASSES] = {"none", "below 1,000", "below 10,000", "10,000 and more"};

static void
restart_timed(struct siege *s, struct samples *all, struct samples *classes)
{
	double spooled = world_number(s->world, "sides.old.spool.messages") + world_number(s->world, "sides.new.spool.messages");
	uint64_t begin;
	double seconds;
	int class = 0;

	siege_moment(s);
	xf_server_kill(s->world->server);
	begin = xf_now_ns();
	xf_server_start(s->world->server);
	seconds = (double)(xf_now_ns() - begin) / 1e9;
	while (spooled >= class_end[class])
		class++;
	samples_add(all, seconds);
	samples_add(&classes[class], seconds);
}

static char *
note(const struct siege_sum *sum, struct samples *classes)
{
	struct xf_buffer text = {0};

	xf_buffer_printf(&text, "duplicates after one kill at most %" PRIu64 "; start p50/max by messages in the spools:",
	                 sum->duplicates_max);
	for (int i = 0; i < CLASSES; i++)
		if (classes[i].count > 0)
			xf_buffer_printf(&text, " %s %.2f/%.2f s (%zu),", class_names[i], samples_at(&classes[i], 0.5),
			                 samples_at(&classes[i], 1), classes[i].count);
	text.data[--text.len] = '\0';
	return text.data;
}

static void
test_killed(void **state)
{
	struct siege *s = *state;
	unsigned kills = kills_count(), seed = siege_seed("crash");
	struct step *steps = xf_alloc_array(kills, sizeof(*steps));
	struct samples restarts = {0}, classes[CLASSES] = {{0}};
	struct siege_sum sum;
	uint32_t messages = 0, fed = 0;
	char *said;

	for (unsigned i = 0; i < kills; i++) {
		steps[i] = step_draw(&seed);
		messages += steps[i].fed_ms * RATE / 1000;
	}
	siege_begin(s, "crash", SPOOLS, messages, RATE, DELAY_MS);
	for (unsigned i = 0; i < kills; i++) {
		uint32_t end = fed + steps[i].fed_ms * RATE / 1000;

		siege_feed(s, fed, end);
		fed = end;
		for (int side = OLD; side <= NEW; side++)
			side_change(s, side, steps[i].changes[side]);
		usleep(steps[i].kill_us);
		restart_timed(s, &restarts, classes);
		feeder_join(&s->feeder);
	}
	sum = siege_finish(s);
	said = note(&sum, classes);
	printf("crash: %u kills, %u acked, %" PRIu64 " duplicates, drained in %.1f s; %s\n", kills, messages, sum.duplicates,
	       sum.drain_seconds, said);
	figures_write(&(struct figures){.fault = "crossfaded killed",
	                                .broker = "amqp to redis, nats",
	                                .acked = messages,
	                                .faults = kills,
	                                .lost = (double)sum.ledger.lost,
	                                .reordered = (double)sum.reordered,
	                                .duplicates = (double)sum.duplicates,
	                                .recover = &restarts,
	                                .note = said});
	free(said);
	free(steps);
	samples_fini(&restarts);
	for (int i = 0; i < CLASSES; i++)
		samples_fini(&classes[i]);
	siege_check(s, &sum);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed),
	};

	return cmocka_run_group_tests(tests, siege_setup, siege_teardown);
}
