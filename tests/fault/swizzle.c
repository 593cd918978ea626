/*
 * swizzle.c - everything that can fail does, in an order drawn from a seed: brokers are killed or stand still, lines are cut, swallow,
 * slow down or end in the middle of a message, crossfaded is killed, stopped, reloaded, and the share of its migration moves. Then it
 * all ends, and what was sent must drain and be whole.
 *
 *     fault-swizzle --seconds N --seed S
 *
 * Without them: a fixed seed and a new one. A seed fixes what is done and in which order; when, the machine says.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
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

#define RATE (2000 / XF_SCALE)
#define DELAY_MS 5
#define SECONDS_SHORT 8
#define SECONDS_LONG 1800
#define FIXED_SEED 31

enum action {
	KILL_BROKER,
	STOP_BROKER,
	CUT,
	CUT_WITHIN,
	SWALLOW,
	SLOW,
	KILL_SERVER,
	TERM_SERVER,
	RELOAD,
	RELOAD_BAD,
	PERCENT,
	PERCENT_AGAIN, /* it is as likely as two */
	ACTIONS,
};

static const char *const action_names[ACTIONS] = {
	"broker killed", "broker stopped", "cut",    "cut within", "swallows", "slow",
	"killed",        "terminated",     "reload", "bad reload", "percent",  "percent",
};

struct draw {
	enum action action;
	int place;
	unsigned amount;
	unsigned lasts_ms; /* a state of a broker or a line */
	unsigned pause_ms; /* to the next */
};

struct swizzle {
	struct siege *siege;
	unsigned counts[ACTIONS];
	unsigned refused; /* changes of the share */
	uint64_t broker_until[PLACES], line_until[PLACES];
};

static unsigned seconds_given, seed_given;
static bool seeded;

/* As many numbers for one as for the other, so what happens does not change what comes. */
static struct draw
draw_next(unsigned *seed)
{
	struct draw draw = {.action = (enum action)(rand_r(seed) % ACTIONS)};

	draw.place = rand_r(seed) % PLACES;
	draw.amount = (unsigned)rand_r(seed);
	draw.lasts_ms = 200 + (unsigned)rand_r(seed) % 3000;
	draw.pause_ms = (unsigned)rand_r(seed) % 300;
	return draw;
}

static void
make_slow(struct proxy *proxy)
{
	proxy_slow(proxy, 8000);
	proxy_delay(proxy, 100);
}

static void
heal_due(void *arg)
{
	struct swizzle *z = arg;
	uint64_t now = xf_now_ms();

	for (int place = 0; place < PLACES; place++) {
		if (now >= z->broker_until[place])
			broker_heal(z->siege, place);
		if (now >= z->line_until[place])
			line_heal(z->siege, place);
	}
}

static void
broker_turn(struct swizzle *z, const struct draw *draw)
{
	broker_heal(z->siege, draw->place);
	if (draw->action == KILL_BROKER && draw->place != SOURCE)
		broker_kill(z->siege, draw->place);
	else
		broker_stop(z->siege, draw->place);
	z->broker_until[draw->place] = xf_now_ms() + draw->lasts_ms;
}

static void
line_turn(struct swizzle *z, const struct draw *draw)
{
	struct siege *s = z->siege;

	line_heal(s, draw->place);
	if (draw->action == CUT)
		proxy_cut(s->world->lines[draw->place]);
	else if (draw->action == CUT_WITHIN)
		proxy_cut_after(s->world->lines[draw->place], draw->amount & 1 ? PROXY_TO_BROKER : PROXY_FROM_BROKER,
		                1 + draw->amount / 2 % 4000);
	else
		line_fault(s, draw->place, draw->action == SWALLOW ? proxy_swallow : make_slow);
	z->line_until[draw->place] = xf_now_ms() + draw->lasts_ms;
}

static void
server_turn(struct swizzle *z, enum action action)
{
	struct xf_server *server = z->siege->world->server;

	siege_moment(z->siege);
	if (action == KILL_SERVER)
		xf_server_kill(server);
	else
		assert_int_equal(siege_terminate(z->siege, heal_due, z), 0);
	xf_server_start(server);
}

/* A good one is not waited for, so that other things happen while it is under way. */
static void
reload(struct swizzle *z, const struct draw *draw)
{
	struct world *w = z->siege->world;
	char in_flight[64];

	if (draw->action == RELOAD_BAD) {
		world_configure(w, ", percent: nonsense", "");
		assert_int_not_equal(XF_CLI(w->server, NULL, "reload"), 0);
	}
	snprintf(in_flight, sizeof(in_flight), ", max_in_flight: %u", 500 + draw->amount % 4000);
	world_configure(w, ", percent: 50", in_flight);
	if (draw->action == RELOAD)
		kill(xf_server_pid(w->server), SIGHUP);
}

/* Towards a side that is down it is refused. */
static void
share_move(struct swizzle *z, const struct draw *draw)
{
	struct world *w = z->siege->world;
	char body[64];
	int status;

	snprintf(body, sizeof(body), "{\"percent\": %u}", draw->amount % 5 * 25);
	status = xf_server_request(w->server, "PATCH", w->migration, body, NULL);
	if (status != 200 && status != 409)
		fail_msg("%s: %d", body, status);
	z->refused += status == 409;
}

static void
turn(struct swizzle *z, const struct draw *draw)
{
	z->counts[draw->action]++;
	switch (draw->action) {
	case KILL_BROKER:
	case STOP_BROKER:
		broker_turn(z, draw);
		break;
	case CUT:
	case CUT_WITHIN:
	case SWALLOW:
	case SLOW:
		line_turn(z, draw);
		break;
	case KILL_SERVER:
	case TERM_SERVER:
		server_turn(z, draw->action);
		break;
	case RELOAD:
	case RELOAD_BAD:
		reload(z, draw);
		break;
	default:
		share_move(z, draw);
	}
}

static void
figures_tell(struct swizzle *z, unsigned seed, struct siege_sum *sum)
{
	struct samples drained = {0};
	struct xf_buffer text = {0};
	unsigned faults = 0;

	for (int i = 0; i < ACTIONS; i++) {
		faults += z->counts[i];
		xf_buffer_printf(&text, "%s%s %u", i > 0 ? ", " : "", action_names[i], z->counts[i]);
	}
	printf("seed %u: %u messages, %u turns (%s; %u changes of the share refused), %" PRIu64 " duplicates, drained in %.1f s\n",
	       seed, z->siege->messages, faults, text.data, z->refused, sum->duplicates, sum->drain_seconds);
	fflush(stdout);
	samples_add(&drained, sum->drain_seconds);
	figures_write(&(struct figures){.fault = "swizzle",
	                                .broker = "amqp to redis, nats",
	                                .acked = z->siege->messages,
	                                .faults = faults,
	                                .lost = (double)sum->ledger.lost,
	                                .reordered = (double)sum->reordered,
	                                .duplicates = (double)sum->duplicates,
	                                .recover = &drained,
	                                .note = text.data});
	samples_fini(&drained);
	xf_buffer_fini(&text);
}

static void
swizzle(struct siege *s, unsigned seed, unsigned seconds)
{
	struct swizzle z = {.siege = s};
	unsigned state = seed;
	char name[32];
	struct siege_sum sum;
	uint64_t end;

	printf("replay: fault-swizzle --seconds %u --seed %u\n", seconds, seed);
	fflush(stdout);
	snprintf(name, sizeof(name), "swizzle%u", seed);
	siege_begin(s, name, SPOOLS, seconds * RATE, RATE, DELAY_MS);
	s->percent_moves = true;
	siege_feed(s, 0, s->messages);
	end = xf_now_ms() + seconds * 1000;
	while (xf_now_ms() < end) {
		struct draw draw = draw_next(&state);

		if (getenv("XF_VERBOSE") != NULL)
			fprintf(stderr, "%6.2f %s at %d, amount %u, lasts %u ms\n", seconds - (double)(end - xf_now_ms()) / 1000,
			        action_names[draw.action], draw.place, draw.amount, draw.lasts_ms);
		heal_due(&z);
		turn(&z, &draw);
		usleep(draw.pause_ms * 1000);
	}
	sum = siege_finish(s);
	figures_tell(&z, seed, &sum);
	siege_check(s, &sum);
}

static void
test_given(void **state)
{
	swizzle(*state, seeded ? seed_given : siege_seed("swizzle"), seconds_given);
}

static void
test_fixed_seed(void **state)
{
	swizzle(*state, FIXED_SEED, SECONDS_SHORT);
}

static void
test_new_seed(void **state)
{
	swizzle(*state, siege_seed("swizzle"), getenv("XF_LONG") != NULL ? SECONDS_LONG : SECONDS_SHORT);
}

int
main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fixed_seed),
		cmocka_unit_test(test_new_seed),
	};
	static const struct CMUnitTest given[] = {
		cmocka_unit_test(test_given),
	};

	for (int i = 1; i + 1 < argc; i += 2) {
		unsigned number = (unsigned)strtoul(argv[i + 1], NULL, 10);

		if (strcmp(argv[i], "--seconds") == 0)
			seconds_given = number;
		else if (strcmp(argv[i], "--seed") == 0)
			seed_given = number, seeded = true;
	}
	if (argc > 1 && (argc % 2 == 0 || (seconds_given == 0 && !seeded))) {
		fprintf(stderr, "usage: %s [--seconds N] [--seed S]\n", argv[0]);
		return 2;
	}
	if (argc == 1)
		return cmocka_run_group_tests(tests, siege_setup, siege_teardown);
	if (seconds_given == 0)
		seconds_given = SECONDS_SHORT;
	return cmocka_run_group_tests(given, siege_setup, siege_teardown);
}
