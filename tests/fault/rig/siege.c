#include "siege.h"

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"

#define KEYS 200
#define PATIENCE_MS (2 * XF_WAIT_MS) /* a broker may offer again what a dead connection had only after half a minute */

/* ---- Birth and death ---------------------------------------------------------- */

int
siege_setup(void **state)
{
	struct siege *s = xf_alloc(sizeof(*s));
	void *world = NULL;

	world_setup(&world);
	s->world = world;
	s->brokers[OLD] = s->world->redis;
	s->brokers[NEW] = s->world->nats;
	s->brokers[SOURCE] = s->world->rabbit;
	for (int place = 0; place < PLACES; place++)
		s->world->lines[place] = proxy_create(xf_broker_url(s->brokers[place]));
	*state = s;
	return 0;
}

int
siege_teardown(void **state)
{
	struct siege *s = *state;

	for (int place = 0; place < PLACES; place++)
		broker_heal(s, place); /* a stopped one does not let a client go */
	xf_server_destroy(&s->world->server);
	for (int place = 0; place < PLACES; place++)
		proxy_destroy(&s->world->lines[place]);
	world_teardown((void *[]){s->world});
	ledger_destroy(&s->ledger);
	samples_fini(&s->moments);
	free(s);
	return 0;
}

void
siege_begin(struct siege *s, const char *name, const char *sides, uint32_t messages, unsigned rate, unsigned delay_ms)
{
	static uint32_t producer = 1000;

	for (int place = 0; place < PLACES; place++) {
		broker_heal(s, place);
		s->line_whole[place] = false; /* the delay is another */
	}
	if (s->feeder != NULL) /* of a test that failed */
		feeder_join(&s->feeder);
	s->messages = messages;
	s->rate = rate;
	s->delay_ms = delay_ms;
	s->percent_moves = false;
	s->moments.count = 0;
	ledger_destroy(&s->ledger);
	s->ledger = ledger_create(++producer, messages, KEYS);
	for (int place = 0; place < PLACES; place++)
		line_heal(s, place);
	world_begin(s->world, name);
	world_reopen(s->world);
	s->world->sides = sides;
	s->world->extra = "  drain_timeout: 3s\n";
	world_configure(s->world, ", percent: 50", "");
	xf_server_start(s->world->server);
	xf_server_wait_ready(s->world->server);
}

void
siege_feed(struct siege *s, uint32_t first, uint32_t end)
{
	s->feeder = feeder_start(xf_broker_url(s->world->rabbit), s->world->in, s->ledger, first, end, s->rate);
}

/* As brokers date what they store. */
static double
date_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (double)now.tv_sec * 1000 + (double)(now.tv_nsec / 1000000);
}

unsigned
siege_seed(const char *title)
{
	const char *given = getenv("XF_SEED");
	unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)(uint64_t)date_ms() ^ (unsigned)getpid() << 16;

	printf("%s: XF_SEED=%u\n", title, seed);
	fflush(stdout);
	return seed;
}

/* ---- Faults ------------------------------------------------------------------------ */

void
siege_moment(struct siege *s)
{
	samples_add(&s->moments, date_ms());
}

int
siege_terminate(struct siege *s, void (*meanwhile)(void *arg), void *arg)
{
	pid_t pid = xf_server_pid(s->world->server);
	uint64_t until = xf_now_ms() + XF_WAIT_MS;
	siginfo_t info = {0};

	kill(pid, SIGTERM);
	while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != pid && xf_now_ms() < until) {
		meanwhile(arg);
		usleep(2000);
	}
	return xf_server_stop(s->world->server); /* reaps it */
}

void
broker_stop(struct siege *s, int place)
{
	xf_broker_pause(s->brokers[place]);
	s->broker_state[place] = STOPPED;
}

void
broker_kill(struct siege *s, int place)
{
	xf_broker_kill(s->brokers[place]);
	s->broker_state[place] = DEAD;
}

void
broker_heal(struct siege *s, int place)
{
	if (s->broker_state[place] == STOPPED)
		xf_broker_resume(s->brokers[place]);
	else if (s->broker_state[place] == DEAD)
		xf_broker_restart(s->brokers[place]);
	s->broker_state[place] = RUNS;
}

void
line_fault(struct siege *s, int place, void (*fault)(struct proxy *proxy))
{
	fault(s->world->lines[place]);
	s->line_whole[place] = false;
}

void
line_heal(struct siege *s, int place)
{
	if (s->line_whole[place])
		return;
	proxy_clean(s->world->lines[place]);
	proxy_delay(s->world->lines[place], s->delay_ms);
	s->line_whole[place] = true;
}

/* ---- The end ------------------------------------------------------------------------ */

static double
spooled(struct siege *s)
{
	return world_number(s->world, "sides.old.spool.messages") + world_number(s->world, "sides.new.spool.messages");
}

/* Nor is anything on its way to crossfaded: RabbitMQ itself knows what it gave out and was not acked, and takes a second to say so. */
static bool
queue_is_empty(struct siege *s)
{
	static const char *const list[] = {"-q", "list_queues", "--no-table-headers", "name", "messages", NULL};
	char *said = xf_broker_ctl(s->world->rabbit, list), *line = xf_format("%s\t0\n", s->world->in);
	bool empty = strstr(said, line) != NULL;

	free(said);
	free(line);
	return empty;
}

static bool
is_quiet(struct siege *s)
{
	return rabbit_count(s->world->queue, s->world->in) == 0 && world_route_number(s->world, "in_flight") == 0 &&
	       spooled(s) <= 0;
}

/* Returns when it was so. */
static uint64_t
wait_drained(struct siege *s)
{
	uint64_t until = xf_now_ms() + PATIENCE_MS, now;

	for (;;) {
		now = xf_now_ms();
		if (is_quiet(s) && queue_is_empty(s) && is_quiet(s))
			return now;
		if (now > until) {
			char *route = xf_server_text(s->world->server, s->world->route);
			char *migration = xf_server_text(s->world->server, s->world->migration);

			print_error("%s\n%s\n", route, migration);
			free(route);
			free(migration);
			fail_msg("%" PRIu64 " messages are left in the queue, %.0f in the spools",
			         rabbit_count(s->world->queue, s->world->in), spooled(s));
		}
		usleep(20000);
	}
}

struct reading {
	struct siege *siege;
	int side;
	uint64_t *again; /* by moment; the first is before all of them */
};

static void
reading_arrived(void *arg, const struct arrival *arrival)
{
	struct reading *reading = arg;
	const struct siege *s = reading->siege;
	unsigned number;
	size_t moment = 0;

	if (arrival->id != NULL && sscanf(arrival->id, "%*u-%u", &number) == 1 && number < s->messages &&
	    ledger_has(s->ledger, reading->side, number)) {
		while (moment < s->moments.count && s->moments.values[moment] <= (double)arrival->time_ms)
			moment++;
		reading->again[moment]++;
	}
	ledger_arrived(s->ledger, reading->side, arrival);
}

static struct siege_sum
siege_read(struct siege *s)
{
	struct reading reading = {.siege = s, .again = xf_alloc_array(s->moments.count + 1, sizeof(uint64_t))};
	struct siege_sum sum = {.duplicates = 0};

	world_reopen(s->world);
	ledger_reset(s->ledger);
	reading.side = OLD;
	cache_read(s->world->old, s->world->name, reading_arrived, &reading);
	reading.side = NEW;
	jet_read(s->world->new, s->world->name, reading_arrived, &reading);
	sum.ledger = ledger_sum(s->ledger);
	sum.reordered = s->percent_moves ? sum.ledger.strayed : sum.ledger.reordered[OLD] + sum.ledger.reordered[NEW];
	sum.duplicates = sum.ledger.duplicates[OLD] + sum.ledger.duplicates[NEW] + sum.ledger.both;
	for (size_t i = 0; i <= s->moments.count; i++)
		if (reading.again[i] > sum.duplicates_max)
			sum.duplicates_max = reading.again[i];
	free(reading.again);
	return sum;
}

struct siege_sum
siege_finish(struct siege *s)
{
	struct siege_sum sum;
	uint64_t begin;
	double seconds;

	for (int place = 0; place < PLACES; place++) {
		broker_heal(s, place);
		line_heal(s, place);
	}
	if (s->feeder != NULL)
		feeder_join(&s->feeder);
	begin = xf_now_ms();
	seconds = (double)(wait_drained(s) - begin) / 1000;
	sum = siege_read(s);
	sum.drain_seconds = seconds;
	ledger_print(s->world->name, &sum.ledger);
	assert_int_equal(xf_server_stop(s->world->server), 0);
	return sum;
}

void
siege_check(const struct siege *s, const struct siege_sum *all)
{
	const struct ledger_sum *sum = &all->ledger;

	assert_int_equal(sum->lost, 0);
	assert_int_equal(sum->corrupted, 0);
	assert_int_equal(sum->unexpected, 0);
	assert_int_equal(sum->across, 0);
	assert_int_equal(all->reordered, 0);
	if (!s->percent_moves)
		assert_int_equal(sum->both, 0);
}
