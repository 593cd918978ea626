/*
 * starved.c - crossfaded asks for memory and there is none, at any place, for a moment: it goes on, or it ends and says that it is out of
 * memory, and after a start nothing is missing.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "siege.h"
#include "starve/starve.h"

#define RATE 2000
#define ROUND_MS 300 /* of messages */
#define ROUNDS_SHORT 6
#define ROUNDS_LONG 300
#define HIT_MS 1000  /* what is rarely asked for may not come */
#define DYING_MS 250 /* from the refusal to the end, where that comes of it */

struct siege_starved {
	struct siege *siege;
	struct starve *starve;
	char *dir;
	struct samples starts;
	unsigned rounds; /* in which something was refused, */
	unsigned ends;   /* and after which it ended */
};

static int
setup(void **state)
{
	struct siege_starved *z = xf_alloc(sizeof(*z));
	char *path;
	int fd;

	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	z->dir = xf_temp_create("starve");
	path = xf_format("%s/starve", z->dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, sizeof(*z->starve)), 0);
	z->starve = mmap(NULL, sizeof(*z->starve), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(z->starve != MAP_FAILED);
	close(fd);
	free(path);
	siege_setup((void **)&z->siege);
	*state = z;
	return 0;
}

static int
teardown(void **state)
{
	struct siege_starved *z = *state;

	siege_teardown((void *[]){z->siege});
	munmap(z->starve, sizeof(*z->starve));
	xf_temp_destroy(&z->dir);
	samples_fini(&z->starts);
	free(z);
	return 0;
}

/* From its next start on the server has the allocator that refuses. */
static void
server_preload(struct siege_starved *z)
{
	char *preload = xf_format("LD_PRELOAD=%s/tests/fault/libstarve.so", XF_BINARY_DIR), *file = xf_format(STARVE_VARIABLE "=%s/starve", z->dir);

	xf_server_environ(z->siege->world->server, preload);
	xf_server_environ(z->siege->world->server, file);
	free(preload);
	free(file);
}

/* Whether it ended within MS; then by SIGABRT, since anything else is nobody's intention. */
static bool
server_ends(struct xf_server *server, unsigned ms)
{
	uint64_t until = xf_now_ms() + ms;
	siginfo_t info = {0};

	for (;;) {
		assert_int_equal(waitid(P_PID, (id_t)xf_server_pid(server), &info, WEXITED | WNOHANG | WNOWAIT), 0);
		if (info.si_pid != 0)
			break;
		if (xf_now_ms() > until)
			return false;
		usleep(2000);
	}
	if (info.si_code == CLD_EXITED || info.si_status != SIGABRT)
		fail_msg("it ended otherwise: %s %d", info.si_code == CLD_EXITED ? "status" : "signal", info.si_status);
	if (!xf_server_logged(server, "Assertion `")) /* of glibc, which has no other way out of where it reads nsswitch.conf */
		xf_server_wait_logged(server, "out of memory");
	return true;
}

static void
starve(struct siege_starved *z, uint64_t least, int64_t before, int64_t refusals)
{
	struct xf_server *server = z->siege->world->server;
	uint64_t refused = atomic_load(&z->starve->refused), until = xf_now_ms() + HIT_MS;
	uint64_t begin;
	bool ended;

	atomic_store(&z->starve->least, least);
	atomic_store(&z->starve->before, before);
	atomic_store(&z->starve->refusals, refusals);
	while (atomic_load(&z->starve->refused) == refused && xf_now_ms() < until)
		world_route_number(z->siege->world, "in_flight"); /* an answer is made of many small pieces */
	ended = server_ends(server, DYING_MS);
	atomic_store(&z->starve->refusals, 0);
	z->rounds += atomic_load(&z->starve->refused) > refused;
	if (!ended && !server_ends(server, DYING_MS))
		return;
	z->ends++;
	siege_moment(z->siege);
	xf_server_kill(server); /* reaps it */
	begin = xf_now_ns();
	xf_server_start(server);
	samples_add(&z->starts, (double)(xf_now_ns() - begin) / 1e9);
}

static void
test_no_memory(void **state)
{
	static const uint64_t sizes[] = {1, 1, 512, 4096};
	static const int64_t refusals[] = {1, 20};
	struct siege_starved *z = *state;
	struct siege *s = z->siege;
	unsigned rounds = getenv("XF_LONG") != NULL ? ROUNDS_LONG : ROUNDS_SHORT, seed = siege_seed("starved");
	uint32_t fed = RATE * ROUND_MS / 1000;
	struct siege_sum sum;
	char *note;

	siege_begin(s, "starved", SPOOLS, rounds * fed, RATE, 5);
	server_preload(z);
	assert_int_equal(xf_server_stop(s->world->server), 0);
	xf_server_start(s->world->server);
	xf_server_wait_ready(s->world->server);
	for (unsigned i = 0; i < rounds; i++) {
		uint64_t least = sizes[(unsigned)rand_r(&seed) % 4];
		int64_t before = rand_r(&seed) % (least == 1 ? 300 : 3), count = refusals[rand_r(&seed) % 2];

		siege_feed(s, i * fed, (i + 1) * fed);
		if (i % 3 == 2) /* so that spools are written, and read */
			line_fault(s, i % 2 == 0 ? OLD : NEW, proxy_cut);
		starve(z, least, before, count);
		feeder_join(&s->feeder);
		line_heal(s, OLD);
		line_heal(s, NEW);
	}
	sum = siege_finish(s);
	note = xf_format("%u of them ended it", z->ends);
	printf("starved: memory refused in %u of %u rounds, %s, %" PRIu64 " duplicates\n", z->rounds, rounds, note, sum.duplicates);
	figures_write(&(struct figures){.fault = "no memory",
	                                .broker = "amqp to redis, nats",
	                                .acked = s->messages,
	                                .faults = z->rounds,
	                                .lost = (double)sum.ledger.lost,
	                                .reordered = (double)sum.reordered,
	                                .duplicates = (double)sum.duplicates,
	                                .recover = &z->starts,
	                                .note = note});
	free(note);
	assert_true(z->rounds > rounds / 2);
	siege_check(s, &sum);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
